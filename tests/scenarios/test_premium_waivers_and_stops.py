"""Premium waivers, and stopping and resuming the billing of a member (PRM-080 to PRM-098)."""

from __future__ import annotations

from typing import Any

import pytest

from domain.platform.tasks import TaskRaised
from tests.scenarios.billing import amend, generate, lines
from tests.scenarios.conftest import World
from tests.scenarios.premiums import (
    anyb,
    anyb_by_period,
    anyb_items,
    charge_items,
    decide,
    given,
    invoiced,
    life,
    net,
    record,
    statuses,
    told,
    versions,
)

_WAIVERS = """query ($m: String!) { premiumWaivers(memberRecord: $m) {
  waiverId source start end expirationDate coverages state } }"""


def waive(world: World, member: str, day: str, **members: Any) -> dict[str, Any]:
    """A waiver that claims grants."""
    return given("ApplyPremiumWaiver", world, member, day, **{"source": "CLAIMS", "origin": "CLAIMS", **members})


def unwaivable(world: World, member: str, day: str, **members: Any) -> list[str]:
    return told("ApplyPremiumWaiver", world, member, day, **{"source": "CLAIMS", "origin": "CLAIMS", **members})


def shown(world: World, member: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.query(_WAIVERS, m=member)["premiumWaivers"]
    return found


@pytest.mark.rule("PRM-029", "PRM-095", "PRM-096", "PRM-104", "PRM-E13")
def test_a_waiver_over_invoices_is_credited_changed_and_ended(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    world.member(policy, "MR-2", annual="600.00")
    invoiced(world, account, 3)
    waive(world, "MR-1", "2025-03-11", transaction_id="W-1")
    assert net(world, "MR-1", account, "2025-03-01", "2025-03-31") == ["32.88"]
    assert anyb(world, "MR-1") == "-67.12"
    april = world.do("GenerateInvoice", account=account, confirmed=True)
    assert april["billed"]["amount"] == "-17.12"
    assert sorted(one[3] for one in lines(world, account, april["invoice"])) == ["-100.00", "-67.12", "100.00", "50.00"]
    amend(world, "MR-1", "2025-02-01", ("LIFE", "1320.00"))
    parts = {one["modalStart"]: (one["charge"]["amount"], one["waiver"]["amount"]) for one in anyb_items(world, "MR-1")}
    assert parts == {
        "2025-02-01": ("10.00", "0.00"), "2025-03-01": ("10.00", "-6.72"), "2025-04-01": ("10.00", "-10.00"),
    }  # fmt: skip
    assert anyb(world, "MR-1") == "13.28"
    given("EndPremiumWaiver", world, "MR-1", "2025-04-21", waiver_id="W-1", origin="CLAIMS", source="CLAIMS")
    assert net(world, "MR-1", account, "2025-04-01", "2025-04-30") == ["36.16"]
    assert anyb(world, "MR-1") == "49.44"
    may = world.do("GenerateInvoice", account=account, confirmed=True)
    assert may["billed"]["amount"] == "209.44"
    world.check(account)


@pytest.mark.rule("PRM-029", "PRM-E13")
def test_three_parts_of_a_period_with_a_waiver_in_the_middle(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    waive(world, "MR-1", "2025-03-11", last_waived_day="2025-03-20")
    amend(world, "MR-1", "2025-03-21", ("LIFE", "1560.00"))
    [march] = charge_items(world, "MR-1", account, "2025-03-01", "2025-03-31")
    assert (march["gross"]["amount"], march["waiver"]["amount"], march["net"]["amount"]) == (
        "112.77",
        "-32.88",
        "79.89",
    )


@pytest.mark.rule("PRM-046")
def test_a_waiver_makes_no_version_and_marks_the_rows_it_overlaps(world: World) -> None:
    world.on("2024-12-20")
    _, policy = world.group()
    world.member(policy, "MR-1", amounts=[*life("1200.00"), {"coverage": "DENTAL", "annual_amount": "600.00"}])
    amend(world, "MR-1", "2025-04-16", ("LIFE", "1320.00"))
    waive(world, "MR-1", "2025-03-11", last_waived_day="2025-04-15", coverages=["LIFE"])
    query = """query ($m: String!) { modalPremiumHistory(memberRecord: $m) { nodes {
      current effectiveDate flags item { coverage } } } }"""
    rows = world.query(query, m="MR-1")["modalPremiumHistory"]["nodes"]
    assert [(one["item"]["coverage"], one["effectiveDate"], one["flags"]) for one in rows if one["current"]] == [
        ("DENTAL", "2025-01-01", []),
        ("LIFE", "2025-05-01", []),
        ("LIFE", "2025-04-16", []),
        ("LIFE", "2025-01-01", ["WAIVER"]),
    ]
    assert len(versions(world, "MR-1")) == 2
    waive(world, "MR-1", "2025-04-30", coverages=["LIFE"])
    rows = world.query(query, m="MR-1")["modalPremiumHistory"]["nodes"]
    assert [one["flags"] for one in rows if one["current"]] == [[], ["WAIVER"], ["WAIVER"], ["WAIVER"]]


@pytest.mark.rule("PRM-080", "PRM-081", "PRM-082", "PRM-084", "PRM-E14")
def test_billing_is_stopped_and_resumed(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    amend(world, "MR-1", "2025-05-01", ("LIFE", "1320.00"), transaction_id="A-5")
    amend(world, "MR-1", "2025-07-01", ("LIFE", "1440.00"), transaction_id="A-7")
    invoiced(world, account, 5)
    stopped = given("StopBilling", world, "MR-1", "2025-04-11", nonforfeiture="REDUCED_PAID_UP")
    assert stopped["backed_off"] == []
    assert {statuses(world, "MR-1")[one] for one in ("A-5", "A-7")} == {"APPLIED"}
    assert anyb_by_period(world, "MR-1") == {"2025-04-01": "-67.12", "2025-05-01": "-110.00"}
    world.on("2025-04-20")
    assert "STOPPED" in record(world, "MR-1")["badges"]
    june = world.do("GenerateInvoice", account=account, confirmed=True)
    assert june["billed"]["amount"] == "-177.12"
    assert told("StopBilling", world, "MR-1", "2025-05-11", nonforfeiture="EXTENDED_TERM") == ["ALREADY_STOPPED"]
    assert told("ResumeBilling", world, "MR-1", "2025-06-16", reason="WISH") == ["RESUME_REASON_INVALID"]
    resumed = given("ResumeBilling", world, "MR-1", "2025-06-16", reason="PAYMENT_RECEIVED")
    assert resumed["backed_off"] == ["A-7"]
    decide(world, "MR-1", ("A-7", "ROLL_ON", "1440.00"))
    assert anyb_by_period(world, "MR-1") == {"2025-06-01": "49.32"}
    july = world.do("GenerateInvoice", account=account, confirmed=True)
    assert july["billed"]["amount"] == "169.32"
    assert told("ResumeBilling", world, "MR-1", "2025-08-01", reason="OTHER") == ["NO_ACTIVE_STOP_BILLING"]
    world.check(account)


@pytest.mark.rule("PRM-082")
def test_a_resume_on_the_day_of_the_stop_voids_it_and_an_amendment_may_stop_and_resume_too(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    given("ApplyAmendment", world, "MR-1", "2025-03-11", kinds=["STOP_BILLING"], nonforfeiture="EXTENDED_TERM")
    assert net(world, "MR-1", account, "2025-03-01", "2025-04-30") == ["32.88", "0.00"]
    given("ApplyAmendment", world, "MR-1", "2025-03-11", kinds=["RESUME_BILLING"], reason="HOME_OFFICE_ERROR")
    assert net(world, "MR-1", account, "2025-03-01", "2025-04-30") == ["100.00", "100.00"]
    both = told(
        "ApplyAmendment", world, "MR-1", "2025-05-01", kinds=["STOP_BILLING", "GENERAL"],
        nonforfeiture="EXTENDED_TERM", amounts=life("1320.00"),
    )  # fmt: skip
    assert both == ["AMENDMENT_KIND_CONFLICT"]


@pytest.mark.rule("PRM-090", "PRM-092", "PRM-098")
def test_a_waiver_is_refused_for_what_is_wrong_with_its_dates(world: World) -> None:
    world.on("2025-06-20")
    _, policy = world.group(waiver_claim_filing_days=60)
    world.member(policy, "MR-1")
    given("ApplyCancellation", world, "MR-1", "2025-12-01")
    assert unwaivable(world, "MR-1", "2024-12-31") == ["WAIVER_DATE_MISALIGNED"]
    assert unwaivable(world, "MR-1", "2025-04-20") == ["WAIVER_DATE_MISALIGNED"]
    assert unwaivable(world, "MR-1", "2026-01-01") == ["MEMBER_NOT_IN_FORCE"]
    assert unwaivable(world, "MR-1", "2025-06-10", end_date="2025-06-10") == ["WAIVER_DATES_INVALID"]
    contradiction = {"end_date": "2025-06-20", "last_waived_day": "2025-06-20"}
    assert unwaivable(world, "MR-1", "2025-06-10", **contradiction) == ["WAIVER_DATES_INVALID"]
    waive(world, "MR-1", "2025-06-10", transaction_id="W-1", last_waived_day="2025-06-30")
    assert unwaivable(world, "MR-1", "2025-06-30") == ["WAIVER_OVERLAP"]
    waive(world, "MR-1", "2025-07-01", transaction_id="W-2", expiration_date="2025-09-01")
    assert "WAIVED" in record(world, "MR-1")["badges"]
    assert [(one["waiverId"], one["start"], one["end"], one["expirationDate"]) for one in shown(world, "MR-1")] == [
        ("W-1", "2025-06-10", "2025-06-30", None),
        ("W-2", "2025-07-01", "2025-08-31", "2025-09-01"),
    ]


@pytest.mark.rule("PRM-091", "PRM-095")
def test_only_the_source_that_grants_waivers_ends_them_and_an_end_on_the_start_voids(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    assert told("ApplyPremiumWaiver", world, "MR-1", "2025-02-01", source="POLICY") == ["WAIVER_SOURCE_NOT_ALLOWED"]
    end = {"waiver_id": "W-1", "source": "CLAIMS", "origin": "CLAIMS"}
    assert told("EndPremiumWaiver", world, "MR-1", "2025-02-11", **end) == ["NO_ACTIVE_WAIVER"]
    waive(world, "MR-1", "2025-02-01", transaction_id="W-1")
    stranger = {"waiver_id": "W-1", "source": "POLICY", "roles": ("POL",)}
    assert told("EndPremiumWaiver", world, "MR-1", "2025-02-11", **stranger) == ["WAIVER_SOURCE_NOT_ALLOWED"]
    for unnamed in ({"origin": "POLICY"}, {"origin": "BILLING"}):
        stated = {"waiver_id": "W-1", "roles": ("POL",), **unnamed}
        assert told("EndPremiumWaiver", world, "MR-1", "2025-02-11", **stated) == ["WAIVER_SOURCE_NOT_ALLOWED"]
    assert net(world, "MR-1", account, "2025-02-01", "2025-02-28") == ["0.00"]
    given("EndPremiumWaiver", world, "MR-1", "2025-02-15", waiver_id="W-1", roles=("POL",))  # names no other source
    assert net(world, "MR-1", account, "2025-02-01", "2025-02-28") == ["46.03"]
    given("EndPremiumWaiver", world, "MR-1", "2025-02-01", **end)
    assert net(world, "MR-1", account, "2025-02-01", "2025-02-28") == ["100.00"]
    assert [one["state"] for one in shown(world, "MR-1")] == ["VOID"]


@pytest.mark.rule("PRM-092")
def test_somebody_is_asked_to_reconcile_a_waiver_whose_start_lies_outside_its_bounds(world: World) -> None:
    world.on("2025-06-20")
    account, policy = world.group(waiver_claim_filing_days=60)
    world.member(policy, "MR-1")

    def tasks() -> list[tuple[str, str, str, str]]:
        nodes = world.query("{ tasks { nodes { type subject account state } } }")["tasks"]["nodes"]
        return [(one["type"], one["subject"], one["account"], one["state"]) for one in nodes]

    message = {"transaction_id": "W 1/é", "member_record": "MR-1", "source": "CLAIMS", "origin": "CLAIMS"}
    dry = world.send("ApplyPremiumWaiver", envelope={"dry_run": True}, **message, effective_date="2024-12-31")
    assert (dry.status_code, tasks()) == (422, [])
    assert unwaivable(world, "MR-1", "2025-06-10", end_date="2025-06-10") == ["WAIVER_DATES_INVALID"]
    assert tasks() == []  # other refusals are for the sender alone
    for late in ("2025-04-20", "2025-04-19"):  # sent again, with another date: one task for the message
        refused = world.send("ApplyPremiumWaiver", **message, effective_date=late)
        assert [one["code"] for one in refused.json()["problems"]] == ["WAIVER_DATE_MISALIGNED"]
    found = ("WAIVER_DATE_MISALIGNED", "MR-1", account)
    assert tasks() == [(*found, "OPEN")]
    [raised] = world.events(TaskRaised)
    assert (raised.code, raised.privilege, raised.links) == (
        "WAIVER_DATE_MISALIGNED", "waiver.manage", {"transaction": "W 1/é", "effective_date": "2025-04-20"},
    )  # fmt: skip
    assert shown(world, "MR-1") == []
    assert unwaivable(world, "MR-1", "2025-04-20", transaction_id="W-2") == ["WAIVER_DATE_MISALIGNED"]
    assert tasks() == [(*found, "OPEN"), (*found, "OPEN")]
    waive(world, "MR-1", "2025-04-21", transaction_id="W-2")
    assert tasks() == [(*found, "OPEN")]  # the one of the message that is still refused
    closed = world.query('{ tasks(state: "CANCELLED") { nodes { links } } }')["tasks"]["nodes"]
    assert [one["links"]["transaction"] for one in closed] == ["W-2"]
    named = {"member_record": "MR-1", "transaction_id": "W-3", "effective_date": "2025-04-20"}
    assert world.refused("ReportMisalignedWaiver", **named, roles=("POL",))[0] == 403
    missing = world.refused("ReportMisalignedWaiver", **{**named, "member_record": "MR-9"}, roles=("SYS",))
    assert missing[1] == ["MEMBER_RECORD_NOT_FOUND"]


def test_a_waiver_stays_refused_where_the_task_to_reconcile_it_cannot_be_raised(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any, **__: Any) -> None:
        raise TimeoutError

    world.on("2024-12-20")
    _, policy = world.group()
    world.member(policy, "MR-1")
    monkeypatch.setattr("application.waiver_reconciliation.raise_task", dies)
    assert unwaivable(world, "MR-1", "2024-12-31") == ["WAIVER_DATE_MISALIGNED"]
    assert world.events(TaskRaised) == []


@pytest.mark.rule("PRM-093", "PRM-094")
def test_a_waiver_reaches_all_records_of_the_person_unless_it_is_out_of_scope_or_told_otherwise(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    other = world.policy("C-1", "MP-2", premium_waiver_source="POLICY")
    world.setup(other, account)
    for member, of in (("MR-1", policy), ("MR-2", policy), ("MR-3", other)):
        world.member(of, member, customer="P-1")
    head = len(statuses(world, "MR-1"))
    for _ in range(2):  # delivered twice, one task
        strange = waive(world, "MR-1", "2025-02-01", transaction_id="W-0", classification="OUT_OF_SCOPE")
        assert (strange["status"], strange["premium_version"]) == ("OUT_OF_SCOPE", None)
    tasks = world.query("{ tasks { nodes { type subject account } } }")["tasks"]["nodes"]
    assert tasks == [{"type": "WAIVER_OUT_OF_SCOPE", "subject": "MR-1", "account": account}]
    assert len(statuses(world, "MR-1")) == head
    alone = waive(world, "MR-1", "2025-02-01", apply_to_all_policies=False, end_date="2025-03-01")
    assert alone["applied_to"] == []
    reached = waive(world, "MR-1", "2025-03-01", transaction_id="W-3")
    assert [one["member_record"] for one in reached["applied_to"]] == ["MR-2"]
    assert net(world, "MR-2", account, "2025-02-01", "2025-03-31") == ["100.00", "0.00"]
    assert net(world, "MR-3", account, "2025-03-01", "2025-03-31") == ["100.00"]
    waive(world, "MR-2", "2025-01-01", transaction_id="W-4", apply_to_all_policies=False, end_date="2025-02-01")
    # All or none: one of the two records has a waiver on these days already, so neither is waived.
    assert unwaivable(world, "MR-1", "2025-01-01", end_date="2025-02-01") == ["WAIVER_OVERLAP"]
    whole = {"transaction_id": "W-5", "member_record": "MR-1", "effective_date": "2025-01-01", "source": "CLAIMS"}
    told_of = world.send("ApplyPremiumWaiver", **whole, end_date="2025-02-01").json()["problems"]
    assert [one["entity"] for one in told_of] == ["MR-2"]
    assert net(world, "MR-1", account, "2025-01-01", "2025-01-31") == ["100.00"]


@pytest.mark.rule("PRM-095", "PRM-124")
def test_the_daily_jobs_reach_more_members_than_a_command_takes_locks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    members = [f"MR-{number}" for number in range(1, 9)]
    for number, member in enumerate(members, 1):
        world.member(policy, member)
        waive(world, member, "2025-01-11", transaction_id=f"W-{number}", expiration_date="2025-02-11")
    invoice = generate(world, account)
    monkeypatch.setattr("infrastructure.unit_of_work.LOCK_LIMIT", 6)
    monkeypatch.setattr("application.premium_checks._PORTION", 3)
    worked_out = world.do("RecalculateAnyb", accounts=[account])
    assert (worked_out["members"], worked_out["changed"], worked_out["kept"]) == (8, [], [])
    world.on("2025-02-11")
    ended = world.do("ExpirePremiumWaivers", account=account)["ended"]
    assert ended == {member: [f"W-{number}"] for number, member in enumerate(members, 1)}
    assert world.do("ExpirePremiumWaivers", account=account)["ended"] == {}
    assert {one["state"] for member in members for one in shown(world, member)} == {"EXPIRED"}
    assert len(lines(world, account, invoice)) == 16  # a charge and a waiver of each
    world.check(account)
    world.verify()


@pytest.mark.rule("PRM-095", "PRM-097")
def test_a_waiver_with_an_expiration_ends_by_itself_once(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    waive(world, "MR-1", "2025-01-11", transaction_id="W-1", expiration_date="2025-02-11")
    given("ApplyRenewal", world, "MR-1", "2025-02-01", amounts=life("1320.00"))
    assert net(world, "MR-1", account, "2025-01-01", "2025-02-28") == ["32.88", "65.10"]
    assert world.do("ExpirePremiumWaivers", members=["MR-1"])["ended"] == {}
    world.on("2025-02-11")
    assert world.do("ExpirePremiumWaivers", account=account)["ended"] == {"MR-1": ["W-1"]}
    assert world.do("ExpirePremiumWaivers", members=["MR-1"])["ended"] == {}
    assert "WAIVED" not in record(world, "MR-1")["badges"]
    assert [one["state"] for one in shown(world, "MR-1")] == ["EXPIRED"]
    assert generate(world, account) == "INV-00000001"
    world.check(account)


@pytest.mark.rule("PRM-083", "PRM-160")
def test_billing_is_not_resumed_while_the_stored_premium_is_not_what_it_should_be(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    amend(world, "MR-1", "2025-03-16", ("LIFE", "1320.00"))
    given("StopBilling", world, "MR-1", "2025-04-11", nonforfeiture="REDUCED_PAID_UP")
    world.do("SetParameter", name="premium.proration_basis", value="MODAL_PERIOD_DAYS")
    found = world.do("ValidateModalAmounts", accounts=[account])
    assert found["count"] > 0
    assert {one["member_record"] for one in found["discrepancies"]} == {"MR-1"}
    assert told("ResumeBilling", world, "MR-1", "2025-06-16", reason="OTHER") == ["RECONCILIATION_INCOMPLETE"]
    world.do("SetParameter", name="premium.proration_basis", value="ANNUAL_365")
    assert given("ResumeBilling", world, "MR-1", "2025-06-16", reason="OTHER")["status"] == "APPLIED"
