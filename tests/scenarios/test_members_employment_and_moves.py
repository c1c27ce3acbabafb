"""Employment changes and moves of members between group and individual accounts (examples of 03)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.billing import amend, generate, lines
from tests.scenarios.conftest import World
from tests.scenarios.premiums import (
    anyb,
    anyb_by_account,
    charge_items,
    charges,
    given,
    individual_account,
    invoiced,
    life,
    net,
    record,
    statuses,
    told,
    versions,
)
from tests.scenarios.test_members_screens import history
from tests.scenarios.test_premium_accounts import split

_RECORD = """query ($m: String!) { memberRecord(number: $m) { state badges
  placements { account start end direct rootFallback } } }"""


def placements(world: World, member: str) -> list[tuple[str, str, str | None]]:
    found = world.query(_RECORD, m=member)["memberRecord"]["placements"]
    return [(one["account"], one["start"], one["end"]) for one in found]


def locations(world: World, *units: str, **policy: Any) -> tuple[dict[str, str], str]:
    """A policy billed by location; accounts by unit."""
    accounts, reference = split(world, "PER_LOCATION", [{"unit": unit} for unit in (*units, "C-1")], **policy)
    return dict(zip((*units, "C-1"), accounts, strict=True)), reference


@pytest.mark.rule("MEM-E03", "MEM-070", "MEM-072", "MEM-103")
def test_a_member_who_changes_its_location_is_charged_by_days_on_both_accounts(world: World) -> None:
    world.on("2024-12-20")
    accounts, policy = locations(world, "L-1", "L-2")
    world.member(policy, "MR-1", location="L-1")
    world.member(policy, "MR-2", location="L-2")
    invoiced(world, accounts["L-1"], 4)
    invoiced(world, accounts["L-2"], 4)
    moved = given("ApplyEmploymentChange", world, "MR-1", "2025-04-16", location="L-2")
    assert anyb_by_account(moved) == {accounts["L-1"]: "-50.68", accounts["L-2"]: "49.32"}
    assert charges(world, "MR-1", accounts["L-2"], "2025-04-01", "2025-05-31") == [
        ("2025-04-01", "49.32"), ("2025-05-01", "100.00"),
    ]  # fmt: skip
    assert placements(world, "MR-1") == [
        (accounts["L-1"], "2025-01-01", "2025-04-15"), (accounts["L-2"], "2025-04-16", None),
    ]  # fmt: skip


@pytest.mark.rule("MEM-101", "MEM-E05", "MEM-100")
def test_employment_events_in_any_order_give_one_timeline(world: World) -> None:
    world.on("2024-12-20")
    accounts, policy = locations(world, "L-1", "L-2", "L-3")
    world.member(policy, "MR-1", annual="2400.00", location="L-1")
    for unit in ("L-2", "L-3"):
        world.member(policy, f"MR-{unit}", location=unit)
    for unit in ("L-1", "L-2", "L-3"):
        invoiced(world, accounts[unit], 6)
    first = given("ApplyEmploymentChange", world, "MR-1", "2025-06-01", location="L-3", transaction_id="EV-1")
    assert anyb_by_account(first) == {accounts["L-1"]: "-200.00", accounts["L-3"]: "200.00"}
    later = given("ApplyEmploymentChange", world, "MR-1", "2025-04-01", location="L-2")
    assert anyb_by_account(later) == {
        accounts["L-1"]: "-600.00", accounts["L-2"]: "400.00", accounts["L-3"]: "200.00",
    }  # fmt: skip
    assert placements(world, "MR-1") == [
        (accounts["L-1"], "2025-01-01", "2025-03-31"), (accounts["L-2"], "2025-04-01", "2025-05-31"),
        (accounts["L-3"], "2025-06-01", None),
    ]  # fmt: skip
    head = world.head()
    given("ApplyEmploymentChange", world, "MR-1", "2025-06-01", location="L-3", transaction_id="EV-1")
    assert world.head() == head  # a redelivered event is ignored
    same = given("ApplyEmploymentChange", world, "MR-1", "2025-05-01", location="L-2")
    assert same["transaction_id"] not in statuses(world, "MR-1")  # NO_CHANGE: recorded, no transaction


@pytest.mark.rule("MEM-102", "MEM-104")
def test_a_change_before_the_start_is_clamped_and_an_unknown_unit_falls_back_to_the_root(world: World) -> None:
    world.on("2025-01-20")
    accounts, policy = locations(world, "L-1", "L-2")
    world.member(policy, "MR-1", start="2025-03-01", location="L-1")
    given("ApplyEmploymentChange", world, "MR-1", "2025-02-01", location="L-2")
    assert [one for one in placements(world, "MR-1") if one[0] == accounts["L-2"]] == [
        (accounts["L-2"], "2025-03-01", None)
    ]
    given("ApplyEmploymentChange", world, "MR-1", "2025-05-01", location="L-9")
    assert placements(world, "MR-1")[-1] == (accounts["C-1"], "2025-05-01", None)
    world.on("2025-05-02")
    assert "ROOT_FALLBACK" in record(world, "MR-1")["badges"]
    given("ApplyEmploymentChange", world, "MR-1", "2025-07-01", location="L-1")
    world.on("2025-07-02")
    assert "ROOT_FALLBACK" not in record(world, "MR-1")["badges"]
    assert world.refused("ApplyEmploymentChange", transaction_id="E-9", member_record="MR-1", location="L-1")[1] == [
        "EFFECTIVE_DATE_MISSING"
    ]
    assert told("ApplyEmploymentChange", world, "MR-8", "2025-07-01", location="L-1") == ["MEMBER_RECORD_NOT_FOUND"]


@pytest.mark.rule("MEM-E07", "MEM-103", "PRM-072")
def test_under_a_single_bill_an_employment_change_moves_nobody(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    invoiced(world, account, 4)
    given("ApplyEmploymentChange", world, "MR-1", "2025-04-16", location="L-2", transaction_id="E-1")
    assert statuses(world, "MR-1")["E-1"] == "APPLIED"
    assert anyb(world, "MR-1") == "0.00"
    assert net(world, "MR-1", account, "2025-04-01", "2025-04-30") == ["100.00"]


@pytest.mark.rule("MEM-122", "MEM-125", "MEM-126", "MEM-127", "MEM-E09")
def test_a_member_leaves_returns_and_leaves_again(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    direct = individual_account(world)
    move = {"type": "PORTABILITY", "account": direct, "modality": "MONTHLY"}
    assert told("ReturnMemberToGroup", world, "MR-1", "2025-05-01") == ["NOT_ON_INDIVIDUAL_DIRECT"]
    before = told("MoveMemberToIndividualDirect", world, "MR-1", "2024-12-31", **move)
    assert before == ["BEFORE_MEMBER_EFFECTIVE"]
    given("MoveMemberToIndividualDirect", world, "MR-1", "2025-04-16", **move)
    assert told("ReturnMemberToGroup", world, "MR-1", "2025-04-15") == ["RETURN_BEFORE_CONTINUATION"]
    given("ReturnMemberToGroup", world, "MR-1", "2025-05-01", transaction_id="R-1")
    made_by = {one["transactionId"]: one["type"] for one in record(world, "MR-1")["versions"]}
    assert made_by["R-1"] == "MOVED_TO_LIST_BILL"
    assert placements(world, "MR-1") == [
        (account, "2025-01-01", "2025-04-15"), (direct, "2025-04-16", "2025-04-30"), (account, "2025-05-01", None),
    ]  # fmt: skip
    assert net(world, "MR-1", account, "2025-04-01", "2025-05-31") == ["49.32", "100.00"]
    assert net(world, "MR-1", direct, "2025-04-01", "2025-05-31") == ["49.32"]
    again = told("MoveMemberToIndividualDirect", world, "MR-1", "2025-05-01", **move)
    assert again == ["TRANSITION_DATE_NOT_AFTER_PREVIOUS"]
    given("MoveMemberToIndividualDirect", world, "MR-1", "2025-05-02", **move)
    assert told("MoveMemberToIndividualDirect", world, "MR-1", "2025-06-01", **move) == ["ALREADY_INDIVIDUAL_DIRECT"]
    given("ApplyCancellation", world, "MR-1", "2025-08-01")
    gone = told("MoveMemberToIndividualDirect", world, "MR-1", "2025-09-01", **move)
    assert gone == ["MEMBER_NOT_IN_FORCE"]


@pytest.mark.rule("MEM-121", "MEM-111", "MEM-118", "MEM-E23")
def test_a_move_names_everything_that_is_missing(world: World) -> None:
    world.on("2024-12-20")
    _, policy = world.group(allowed_modalities=["WEEKLY"])
    world.member(policy, "MR-1", payroll_frequency="WEEKLY")
    nothing = told("MoveMemberToIndividualDirect", world, "MR-1", "2025-04-16", type="CONTINUATION")
    assert nothing == ["ACCOUNT_SELECTION_MISSING", "MODALITY_MISSING"]
    direct = individual_account(world)
    yearly = {"type": "CONTINUATION", "account": direct, "modality": "ANNUAL"}
    assert told("MoveMemberToIndividualDirect", world, "MR-1", "2025-04-16", **yearly) == ["MODALITY_NOT_ALLOWED"]
    wrong = world.send(
        "MoveMemberToIndividualDirect", transaction_id="M-1", member_record="MR-1", effective_date="2025-04-16",
        type="CONTINUATION", account=world.account("C-1", currency="CAD"), modality="MONTHLY",
    ).json()  # fmt: skip
    assert (wrong["code"], wrong["problems"][0]["params"]) == (
        "ACCOUNT_NOT_ELIGIBLE", {"reasons": ["OWNER", "CURRENCY"]},
    )  # fmt: skip
    other = {"type": "CONTINUATION", "account": "ID999", "modality": "MONTHLY"}
    unknown = told("MoveMemberToIndividualDirect", world, "MR-1", "2025-04-16", **other)
    assert unknown == ["BILLING_ACCOUNT_NOT_FOUND"]


@pytest.mark.rule("MEM-126", "MEM-E10")
def test_a_member_whose_class_changed_returns_to_the_account_of_its_class_or_stays(world: World) -> None:
    world.on("2024-12-20")
    classes = [{"code": code, "effective_date": "2025-01-01"} for code in ("A", "B", "C")]
    entries = [{"member_class": "A"}, {"member_class": "B"}]
    accounts, policy = split_with_unused(world, entries, classes)
    for member, code in (("MR-1", "B"), ("MR-2", "C")):
        world.member(policy, member, member_class="A")
        direct = individual_account(world, f"P-{member}")
        move = {"type": "CONTINUATION", "account": direct, "modality": "MONTHLY"}
        given("MoveMemberToIndividualDirect", world, member, "2025-03-01", **move)
        given(
            "ApplyAmendment", world, member, "2025-04-01", kinds=["CLASSIFICATION_CHANGE"], member_class=code,
            amounts=life("1200.00"),
        )  # fmt: skip
    given("ReturnMemberToGroup", world, "MR-1", "2025-05-01")
    assert placements(world, "MR-1")[-1] == (accounts[1], "2025-05-01", None)
    assert told("ReturnMemberToGroup", world, "MR-2", "2025-05-01") == ["NO_GROUP_ACCOUNT_FOR_ATTRIBUTES"]
    assert placements(world, "MR-2")[-1][0].startswith("ID")


def split_with_unused(
    world: World, entries: list[dict[str, Any]], classes: list[dict[str, Any]]
) -> tuple[list[str], str]:
    """A policy split by class, whose last class is not billed."""
    world.calendar()
    policy = world.policy(world.sponsor(), classes=classes)
    accounts = [world.account("C-1") for _ in entries]
    started = world.do("StartBillingSetup", master_policy=policy, setup_type="PER_CLASS")
    filled = [{**key, "account": account} for key, account in zip(entries, accounts, strict=True)]
    unused = {"member_class": classes[-1]["code"], "not_used": True}
    world.do("SaveBillingSetup", setup_ref=started["setup_ref"], entries=[*filled, unused])
    world.do("IssueBillingSetup", setup_ref=started["setup_ref"])
    return accounts, policy


@pytest.mark.rule("MEM-020", "MEM-E21", "MEM-026", "MEM-022", "PRM-003")
def test_what_a_new_member_states_must_agree(world: World) -> None:
    world.on("2024-12-20")
    classes = [{"code": "A", "effective_date": "2025-01-01"}, {"code": "B", "effective_date": "2025-03-01"}]
    account, policy = world.group(classes=classes)
    both = {"coverage": "LIFE", "annual_amount": "1000.00", "monthly_amount": "83.33"}
    world.member(policy, "MR-1", amounts=[both])
    new = {"master_policy": policy, "customer": "P-2"}
    wrong = told("ApplyNewBusiness", world, "MR-2", "2025-01-01", **new, amounts=[{**both, "monthly_amount": "83.34"}])
    assert wrong == ["PREMIUM_AMOUNTS_INCONSISTENT"]
    twice = told("ApplyNewBusiness", world, "MR-2", "2025-01-01", **new, amounts=life("1.00") + life("2.00"))
    assert twice == ["PREMIUM_KEY_DUPLICATE"]
    for code in ("Z", "B"):  # one that there is not, one that there is not yet
        unknown = told("ApplyNewBusiness", world, "MR-2", "2025-01-01", **new, amounts=life("1.00"), member_class=code)
        assert unknown == ["CLASS_UNKNOWN"]
    changed = {"kinds": ["CLASSIFICATION_CHANGE"], "member_class": "Z", "amounts": life("1.00")}
    assert told("ApplyAmendment", world, "MR-1", "2025-02-01", **changed) == ["CLASS_UNKNOWN"]
    early = told("ApplyNewBusiness", world, "MR-2", "2024-12-31", **new, amounts=life("1.00"))
    assert early == ["OUTSIDE_PRODUCT_DATES"]
    bare = world.send("ApplyNewBusiness", master_policy=policy).json()["problems"]
    assert {(one["code"], one["pointer"]) for one in bare} == {
        *(("TRANSACTION_INCOMPLETE", f"/{name}") for name in ("transaction_id", "member_record", "effective_date")),
        ("PREMIUM_MISSING", "/amounts"),
    }
    nameless = world.send("ApplyAmendment").json()["problems"]
    assert {(one["code"], one["pointer"]) for one in nameless} == {
        ("TRANSACTION_INCOMPLETE", f"/{name}")
        for name in ("transaction_id", "member_record", "effective_date", "amounts")
    }
    typeless = world.send("MoveMemberToIndividualDirect", member_record="MR-1").json()["problems"]
    assert {(one["code"], one["pointer"]) for one in typeless} == {
        ("TRANSACTION_INCOMPLETE", f"/{name}") for name in ("transaction_id", "type", "effective_date")
    }
    world.member(policy, "MR-3", amounts=[{"coverage": "LIFE", "monthly_amount": "83.33"}])
    [charge] = charge_items(world, "MR-3", account, "2025-01-01", "2025-01-31")
    assert charge["net"]["amount"] == "83.33"
    assert [one["annualAmount"]["amount"] for one in history(world, "MR-3")] == ["999.96"]
    invoice = generate(world, account)
    assert sorted(one[3] for one in lines(world, account, invoice)) == ["83.33", "83.33"]


@pytest.mark.rule("PRM-006", "PRM-007", "MEM-085")
def test_a_transaction_needs_a_known_member_in_force_within_the_dates_of_its_policy(world: World) -> None:
    world.on("2024-12-20")
    _, policy = world.group(expiration_date="2026-01-01")
    world.member(policy, "MR-1", start="2025-02-01")
    amounts = life("1320.00")
    assert told("ApplyAmendment", world, "MR-1", "2025-01-31", amounts=amounts) == ["BEFORE_MEMBER_EFFECTIVE"]
    assert told("ApplyAmendment", world, "MR-1", "2026-01-01", amounts=amounts) == ["OUTSIDE_PRODUCT_DATES"]
    early = given("ApplyAmendment", world, "MR-7", "2025-03-01", amounts=amounts)
    assert (early["status"], [one["code"] for one in early["reasons"]]) == ("DEAD_LETTERED", ["MEMBER_RECORD_UNKNOWN"])
    waiting = given("ApplyEmploymentChange", world, "MR-7", "2025-03-01", location="L-1")
    assert waiting["status"] == "WAITING"
    given("ApplyCancellation", world, "MR-1", "2025-06-01")
    for name, stated in (
        ("ApplyAmendment", {"amounts": amounts}),
        ("ApplyRenewal", {"amounts": amounts}),
        ("StopBilling", {"nonforfeiture": "EXTENDED_TERM"}),
    ):
        assert told(name, world, "MR-1", "2025-07-01", **stated) == ["MEMBER_NOT_IN_FORCE"]
    assert amend(world, "MR-1", "2025-05-01", ("LIFE", "1320.00"))["backed_off"]
    assert told("ApplyRenewal", world, "MR-1", "2025-05-01", amounts=amounts) == ["ROLL_ON_PENDING"]
    undecided = [{"transaction_id": "TX-0", "action": "DROP"}]
    assert world.refused("InstructRollOn", member_record="MR-1", decisions=undecided)[1] == ["NOT_BACKED_OFF"]


@pytest.mark.rule("PRM-001", "PRM-008", "PRM-112", "PRM-150")
def test_what_a_record_without_a_lock_and_a_policy_without_a_cascade_answer(world: World) -> None:
    world.on("2024-12-20")
    _, policy = world.group()
    world.member(policy, "MR-1")
    decision = [{"transaction_id": "NB-MR-1", "action": "DROP"}]
    assert world.refused("InstructRollOn", member_record="MR-1", decisions=decision)[1] == ["NOT_ROLL_ON_PENDING"]
    stated = {"master_policy": policy, "effective_date": "2025-06-01"}
    renewed = world.do("ApplyMasterPolicyTransaction", transaction_id="MN-1", type="RENEWAL", **stated)
    assert renewed["status"] == "RECORDED"
    amended = world.do("ApplyMasterPolicyTransaction", transaction_id="MA-1", type="AMENDMENT", **stated)
    assert (amended["status"], len(versions(world, "MR-1"))) == ("RECORDED", 1)
    repeated = {**stated, "effective_date": "2025-07-01"}
    conflict = world.refused("ApplyMasterPolicyTransaction", transaction_id="MN-1", type="RENEWAL", **repeated)
    assert conflict[1] == ["IDEMPOTENCY_CONFLICT"]
    undone = world.refused("ApplyMasterPolicyTransaction", transaction_id="MX-1", type="REINSTATEMENT", **stated)
    assert undone[1] == ["NO_CANCELLATION_IN_FORCE"]
    selfbill = world.policy("C-1", "MP-SB", bill_type="SELF_BILL")
    other = {**stated, "master_policy": selfbill}
    mismatch = world.refused("ApplyMasterPolicyTransaction", transaction_id="MX-2", type="CANCELLATION", **other)
    assert mismatch[1] == ["BILL_TYPE_MISMATCH"]
    for type_, code in (("ROLL_ON", "UNKNOWN_TRANSACTION_TYPE"), ("PORTABILITY", "REQUEST_INVALID")):
        strange = world.refused("ApplyMasterPolicyTransaction", transaction_id="MX-3", type=type_, **stated)
        assert strange[1] == [code]


@pytest.mark.rule("PRM-003")
def test_a_master_policy_transaction_names_every_mandatory_member_it_lacks(world: World) -> None:
    world.on("2024-12-20")
    _, policy = world.group()
    stated = {"transaction_id": "MN-1", "master_policy": policy, "type": "RENEWAL", "effective_date": "2025-06-01"}

    def lacking(**members: Any) -> list[tuple[str, str, str]]:
        response = world.send("ApplyMasterPolicyTransaction", **members)
        assert response.status_code == 422, response.text
        return [(one["code"], one["pointer"], one["params"]["field"]) for one in response.json()["problems"]]

    assert lacking() == [("TRANSACTION_INCOMPLETE", f"/{name}", name) for name in stated]
    for left_out in stated:
        rest = {name: value for name, value in stated.items() if name != left_out}
        assert lacking(**rest) == [("TRANSACTION_INCOMPLETE", f"/{left_out}", left_out)]
    assert world.do("ApplyMasterPolicyTransaction", **stated)["status"] == "RECORDED"
