"""Members on several accounts, with several frequencies and sequences, and whole policies (examples of 04)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.billing import amend, cents, generate, lines
from tests.scenarios.conftest import World
from tests.scenarios.premiums import (
    anyb,
    anyb_by_account,
    anyb_by_period,
    anyb_items,
    charge_items,
    charges,
    decide,
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

_CASCADE = """query ($p: String!, $t: String) { cascadeStatus(masterPolicy: $p, transactionId: $t) {
  status applied skipped deadLettered results { nodes { memberRecord result code } } } }"""
_MODAL = """query ($m: String!, $from: Date!, $to: Date!) { modalPeriods(memberRecord: $m, from: $from, to: $to) {
  from to partial modality anchor } }"""


def modal(world: World, member: str, first: str, last: str) -> list[tuple[str, str, bool, str]]:
    text = _MODAL.replace("$from", "$first").replace("$to", "$last")
    found = world.query(text, m=member, first=first, last=last)["modalPeriods"]
    return [(one["from"], one["to"], one["partial"], one["modality"]) for one in found]


def split(world: World, setup_type: str, keys: list[dict[str, Any]], **policy: Any) -> tuple[list[str], str]:
    """A policy split over an account for each key; (accounts, policy)."""
    world.calendar()
    sponsor = world.sponsor()
    for key in keys:
        if key.get("unit", sponsor) != sponsor:
            world.sponsor(key["unit"], role="LOCATION", parent=sponsor)
    reference = world.policy(sponsor, **policy)
    accounts = [world.account(key.get("unit", sponsor)) for key in keys]
    started = world.do(
        "StartBillingSetup", master_policy=reference, bill_type="LIST_BILL", allocation_mode="TRUE_GROUP",
        setup_type=setup_type,
    )  # fmt: skip
    entries = [{**key, "account": account} for key, account in zip(keys, accounts, strict=True)]
    world.do("SaveBillingSetup", setup_ref=started["setup_ref"], entries=entries)
    world.do("IssueBillingSetup", setup_ref=started["setup_ref"])
    return accounts, reference


@pytest.mark.rule("PRM-021", "PRM-E01")
def test_the_modal_premium_of_every_frequency(world: World) -> None:
    world.on("2024-12-20")
    world.calendar()
    sponsor = world.sponsor()
    expected = {
        "WEEKLY": "25.00", "BIWEEKLY": "50.00", "EVERY_28_DAYS": "100.00", "SEMI_MONTHLY": "54.17",
        "MONTHLY": "108.33", "BIMONTHLY": "216.67", "QUARTERLY": "325.00", "SEMI_ANNUAL": "650.00",
        "ANNUAL": "1300.00",
    }  # fmt: skip
    found = {}
    for number, frequency in enumerate(expected, 1):
        policy = world.policy(sponsor, f"MP-{number}")
        schedule = {"frequency": frequency, "due_day_mode": "PERIOD_START_OFFSET"}
        account = world.account(sponsor, in_single_bill_setup=True, schedule=schedule)
        world.setup(policy, account)
        world.member(policy, f"MR-{number}", annual="1300.00")
        found[frequency] = net(world, f"MR-{number}", account, "2025-01-01", "2025-01-01")[0]
        if frequency == "WEEKLY":
            assert len(net(world, "MR-1", account, "2025-01-01", "2025-12-31")) == 53  # 53 full modal premiums
    assert found == expected


@pytest.mark.rule("PRM-044", "PRM-062", "PRM-129", "PRM-E05", "MEM-083")
def test_a_class_change_moves_a_member_to_the_account_of_its_class(world: World) -> None:
    world.on("2024-12-20")
    classes = [{"code": code, "effective_date": "2025-01-01"} for code in ("A", "B")]
    accounts, policy = split(world, "PER_CLASS", [{"member_class": "A"}, {"member_class": "B"}], classes=classes)
    of_a, of_b = accounts
    for member, day in (("MR-1", "2025-04-10"), ("MR-2", "2025-04-21")):
        world.member(policy, member, "2025-01-10", member_class="A", amounts=life("1440.00", coverage_class="A"))
        given(
            "ApplyAmendment", world, member, day, kinds=["CLASSIFICATION_CHANGE"], member_class="B",
            amounts=[
                {"coverage": "LIFE", "coverage_class": "A", "removed": True},
                {"coverage": "LIFE", "coverage_class": "B", "annual_amount": "1860.00"},
            ],
        )  # fmt: skip
    assert charges(world, "MR-1", of_a, "2025-03-10", "2025-05-09") == [("2025-03-10", "120.00")]
    assert charges(world, "MR-1", of_b, "2025-03-10", "2025-05-09") == [("2025-04-10", "155.00")]
    assert net(world, "MR-2", of_a, "2025-04-10", "2025-05-09") == ["43.40"]
    assert net(world, "MR-2", of_b, "2025-04-10", "2025-06-09") == ["96.82", "155.00"]


@pytest.mark.rule("PRM-063", "PRM-027", "PRM-E06", "CAL-104", "CAL-114", "CAL-E25")
def test_a_member_paid_by_another_payroll_is_deducted_by_it_from_then_on(world: World) -> None:
    world.on("2024-12-20")
    world.calendar()
    policy = world.policy(world.sponsor())
    account = world.account("C-1", in_single_bill_setup=True)
    for frequency, start, days in (("MONTHLY", "2025-01-01", [1]), ("BIWEEKLY", "2025-01-01", [3])):
        stated = {"payroll_frequency": frequency, "start_date": start, "payroll_days": days}
        world.do("DefinePayrollCalendar", account=account, **stated)
        world.do("ConfirmPayrollCalendar", account=account, payroll_frequency=frequency)
    world.setup(policy, account, allocation_mode="INDIVIDUAL")
    for member in ("MR-1", "MR-2"):
        world.member(policy, member, annual="1300.00", payroll_frequency="MONTHLY")
    invoiced(world, account, 3)
    change = {"kinds": ["PAYROLL_FREQUENCY_CHANGE"], "payroll_frequency": "BIWEEKLY"}
    given("ApplyAmendment", world, "MR-1", "2025-03-12", **change)
    assert charges(world, "MR-1", account, "2025-03-01", "2025-04-08") == [
        ("2025-03-01", "39.18"), ("2025-03-12", "50.00"), ("2025-03-26", "50.00"),
    ]  # fmt: skip
    assert modal(world, "MR-1", "2025-03-01", "2025-03-25") == [
        ("2025-03-01", "2025-03-11", True, "MONTHLY"), ("2025-03-12", "2025-03-25", False, "BIWEEKLY"),
    ]  # fmt: skip
    assert anyb(world, "MR-1") == "30.85"
    april = generate(world, account)
    assert sorted(one[3] for one in lines(world, account, april) if one[1] == "MR-1") == [
        "-69.15", "50.00", "50.00", "50.00", "50.00",
    ]  # fmt: skip
    given("ApplyAmendment", world, "MR-2", "2025-03-10", **change)
    assert net(world, "MR-2", account, "2025-03-01", "2025-03-25") == ["32.05", "7.12", "50.00"]
    assert [one[:3] for one in modal(world, "MR-2", "2025-03-01", "2025-03-25")] == [
        ("2025-03-01", "2025-03-09", True), ("2025-03-10", "2025-03-11", True), ("2025-03-12", "2025-03-25", False),
    ]  # fmt: skip
    world.check(account)


@pytest.mark.rule("PRM-145", "PRM-147", "PRM-148", "PRM-E15", "CAL-089", "CAL-091")
def test_a_seasonal_account_charges_its_active_months_only(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group(align_first_period=True)
    world.do("ConfigureInvoicingSchedule", account=account, schedule={"advanced_mode": True})
    world.do("ChangeSeasonalGaps", account=account, seasonal_billing=True, months=[6, 7, 8])
    for member, day in (("MR-1", "2025-04-11"), ("MR-2", "2025-04-16")):
        world.member(policy, member)
        amend(world, member, day, ("LIFE", "1800.00"), transaction_id=f"A-{member}")
    assert net(world, "MR-1", account, "2025-03-01", "2025-09-30") == ["133.33", "177.78", "200.00", "200.00"]
    assert net(world, "MR-2", account, "2025-04-01", "2025-04-30") == ["166.67"]
    world.member(policy, "MR-3", start="2025-09-16")
    assert net(world, "MR-3", account, "2025-09-01", "2025-10-31") == ["66.67", "133.33"]
    world.do("ChangeSeasonalGaps", account=account, seasonal_billing=True, months=[6, 7])
    assert versions(world, "MR-2") == {1: "INACTIVE", 2: "INACTIVE", 3: "INACTIVE", 4: "ACTIVE"}
    assert [one["seasonal"] for one in record(world, "MR-2")["versions"]] == [False, False, True, True]
    assert charges(world, "MR-2", account, "2025-03-01", "2025-08-31") == [
        ("2025-03-01", "120.00"), ("2025-04-01", "150.00"), ("2025-05-01", "180.00"), ("2025-08-01", "180.00"),
    ]  # fmt: skip


def _sequence(number: int, annual: str, start: str = "2025-01-01") -> dict[str, Any]:
    holder = {"party": f"P-{number}", "annual_amount": annual, "effective_date": start}
    return {"sequence_id": f"S{number}", "number": number, "effective_date": start, "holders": [holder]}


@pytest.mark.rule("PRM-050", "PRM-051", "PRM-052", "PRM-053", "PRM-056", "PRM-130", "PRM-E16")
def test_a_premium_is_split_over_its_sequences_and_corrected_each_for_itself(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    both = [_sequence(1, "600.00"), _sequence(2, "600.00")]
    world.member(policy, "MR-1", amounts=life("1200.00", sequences=both))
    invoiced(world, account, 4)
    third = [*both, _sequence(3, "600.00", "2025-04-11")]
    given("ApplyAmendment", world, "MR-1", "2025-04-11", amounts=life("1800.00", sequences=third))
    april = charge_items(world, "MR-1", account, "2025-04-01", "2025-04-30")
    assert {one["sequence"]: one["net"]["amount"] for one in april} == {"S1": "49.32", "S2": "49.32", "S3": "32.87"}
    assert {one["sequence"]: one["amount"]["amount"] for one in anyb_items(world, "MR-1")} == {
        "S1": "-0.68", "S2": "-0.68", "S3": "32.87",
    }  # fmt: skip
    assert anyb(world, "MR-1") == "31.51"
    may = generate(world, account)
    amounts = sorted(cents(one[3]) for one in lines(world, account, may))
    assert amounts == [-68, -68, 3287, 5000, 5000, 5000]  # the new sequence is billed whole from May on
    world.check(account)


@pytest.mark.rule("PRM-050", "PRM-052", "MEM-033", "MEM-036")
def test_a_sequence_goes_on_until_it_is_stated_anew(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    both = [_sequence(1, "600.00"), _sequence(2, "600.00")]
    world.member(policy, "MR-1", amounts=life("1200.00", sequences=both))
    invoiced(world, account, 6)
    third = [_sequence(3, "600.00", "2025-04-11")]
    given("ApplyAmendment", world, "MR-1", "2025-04-11", amounts=life("1800.00", sequences=third))
    assert {one["sequence"]: one["amount"]["amount"] for one in _in_period(world, "2025-04-01")} == {
        "S1": "-0.68", "S2": "-0.68", "S3": "32.87",
    }  # fmt: skip
    given("ApplyAmendment", world, "MR-1", "2025-05-01", amounts=life("2160.00"))
    assert {one["sequence"]: one["corrected"]["amount"] for one in _in_period(world, "2025-05-01")} == {
        "S1": "60.00", "S2": "60.00", "S3": "60.00",
    }  # fmt: skip
    whole = [_sequence(1, "1440.00")]  # makes up the whole annual amount: the others have ended
    given("ApplyAmendment", world, "MR-1", "2025-06-01", amounts=life("1440.00", sequences=whole))
    assert {one["sequence"]: one["corrected"]["amount"] for one in _in_period(world, "2025-06-01")} == {
        "S1": "120.00", "S2": "0.00",
    }  # fmt: skip
    assert anyb(world, "MR-1") == "131.51"  # 31.51 + 80.00 + 20.00
    world.check(account)


def _in_period(world: World, start: str) -> list[dict[str, Any]]:
    return [one for one in anyb_items(world, "MR-1") if one["modalStart"] == start]


@pytest.mark.rule("MEM-035")
def test_sequences_of_one_number_do_not_overlap(world: World) -> None:
    world.on("2024-12-20")
    _, policy = world.group()
    world.member(policy, "MR-1", amounts=life("1200.00", sequences=[_sequence(1, "600.00"), _sequence(2, "600.00")]))
    twin = {**_sequence(1, "600.00"), "sequence_id": "X1"}
    stated = life("1200.00", sequences=[_sequence(1, "600.00"), twin])
    assert told("ApplyAmendment", world, "MR-1", "2025-02-01", amounts=stated) == ["SEQUENCE_CONFLICT"]
    assert told("ApplyAmendment", world, "MR-1", "2025-02-01", amounts=life("1500.00", sequences=[twin])) == [
        "SEQUENCE_CONFLICT"
    ]
    ended = {**_sequence(3, "600.00"), "end_date": "2025-01-01"}
    assert told("ApplyAmendment", world, "MR-1", "2025-02-01", amounts=life("1800.00", sequences=[ended])) == [
        "SEQUENCE_CONFLICT"
    ]
    heir = {**twin, "replaces_sequence_id": "S1"}
    assert given("ApplyAmendment", world, "MR-1", "2025-02-01", amounts=life("1500.00", sequences=[heir]))


@pytest.mark.rule("PRM-053", "PRM-054", "PRM-E16")
def test_a_change_of_holders_alone_cuts_the_shares_and_not_the_whole(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    uneven = [_sequence(1, "720.00"), _sequence(2, "480.00")]
    world.member(policy, "MR-1", amounts=life("1200.00", sequences=uneven))
    invoiced(world, account, 6)
    even = []
    for number, before in ((1, "720.00"), (2, "480.00")):
        old = {"party": f"P-{number}", "annual_amount": before, "effective_date": "2025-01-01"}
        new = {"party": f"P-{number}", "annual_amount": "600.00", "effective_date": "2025-06-11"}
        holders = [{**old, "expiration_date": "2025-06-11"}, new]
        even.append({**_sequence(number, before), "holders": holders})
    given("ApplyAmendment", world, "MR-1", "2025-06-11", amounts=life("1200.00", sequences=even))
    june = charge_items(world, "MR-1", account, "2025-06-01", "2025-06-30")
    assert {one["sequence"]: one["net"]["amount"] for one in june} == {"S1": "53.33", "S2": "46.67"}
    assert anyb(world, "MR-1") == "0.00"
    assert sorted(one["amount"]["amount"] for one in anyb_items(world, "MR-1")) == ["-6.67", "6.67"]


@pytest.mark.rule("PRM-072", "PRM-102", "PRM-E19", "MEM-103", "MEM-106")
def test_an_employment_change_before_a_later_amendment_moves_the_member(world: World) -> None:
    world.on("2024-12-20")
    units = [{"unit": unit} for unit in ("L-1", "L-2", "C-1")]
    (first, second, _), policy = split(world, "PER_LOCATION", units)
    world.member(policy, "MR-1", annual="1440.00", location="L-1")
    world.member(policy, "MR-2", location="L-2")
    amend(world, "MR-1", "2025-05-01", ("LIFE", "1560.00"), transaction_id="A-5")
    invoiced(world, first, 5)
    invoiced(world, second, 4)
    moved = given("ApplyEmploymentChange", world, "MR-1", "2025-04-16", location="L-2", transaction_id="E-1")
    assert (moved["roll_on_pending"], versions(world, "MR-1")[3]) == (False, "ACTIVE")
    assert statuses(world, "MR-1")["A-5"] == "APPLIED"
    assert anyb_by_account(moved) == {first: "-190.82", second: "59.18"}
    assert net(world, "MR-1", first, "2025-04-01", "2025-04-30") == ["59.18"]
    may = generate(world, second)
    assert sorted(one[3] for one in lines(world, second, may) if one[1] == "MR-1") == ["130.00", "59.18"]
    world.check(first)
    world.check(second)


@pytest.mark.rule("PRM-150", "PRM-151", "PRM-E24")
def test_a_cancelled_policy_reaches_its_records_by_what_they_are(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    for number in range(1, 6):
        world.member(policy, f"MR-{number}")
    given("ApplyCancellation", world, "MR-2", "2025-03-01")
    for member, kind in (("MR-3", "CONTINUATION"), ("MR-4", "PORTABILITY")):
        direct = individual_account(world, f"P-{member}")
        given(
            "MoveMemberToIndividualDirect", world, member, "2025-02-01", type=kind, account=direct, modality="MONTHLY"
        )
    amend(world, "MR-5", "2025-04-01", ("LIFE", "1320.00"), transaction_id="A-4")
    amend(world, "MR-5", "2025-03-01", ("LIFE", "1260.00"))
    stated = {"master_policy": policy, "effective_date": "2025-06-01"}
    world.do("ApplyMasterPolicyTransaction", transaction_id="MC-1", type="CANCELLATION", **stated)

    def cascade(transaction: str) -> dict[str, Any]:
        [found] = world.query(_CASCADE, p=policy, t=transaction)["cascadeStatus"]
        return dict(found)

    found = cascade("MC-1")
    assert (found["status"], found["applied"], found["skipped"], found["deadLettered"]) == (
        "COMPLETED_WITH_ERRORS", 2, 1, 1,
    )  # fmt: skip
    assert [(one["memberRecord"], one["result"]) for one in found["results"]["nodes"]] == [
        ("MR-1", "APPLIED"), ("MR-2", "SKIPPED"), ("MR-3", "APPLIED"), ("MR-5", "DEAD_LETTERED"),
    ]  # fmt: skip
    decide(world, "MR-5", ("A-4", "DROP", None))
    world.do("ReprocessDeadLetter", items=["DL-00000001"])
    assert cascade("MC-1")["status"] == "COMPLETED"
    world.do("ApplyMasterPolicyTransaction", transaction_id="MR-X", type="REINSTATEMENT", **stated)
    reached = [one["memberRecord"] for one in cascade("MR-X")["results"]["nodes"]]
    assert reached == ["MR-1", "MR-3", "MR-5"]
    assert net(world, "MR-5", account, "2025-06-01", "2025-06-30") == ["105.00"]


@pytest.mark.rule("PRM-141")
def test_the_invoices_of_a_member_are_cleaned_up_where_members_are_billed_individually(world: World) -> None:
    world.on("2024-12-20")
    world.calendar()
    policy = world.policy(world.sponsor())
    account = world.account("C-1", in_single_bill_setup=True)
    stated = {"payroll_frequency": "MONTHLY", "start_date": "2025-01-01", "payroll_days": [1]}
    world.do("DefinePayrollCalendar", account=account, **stated)
    world.do("ConfirmPayrollCalendar", account=account, payroll_frequency="MONTHLY")
    world.setup(policy, account, allocation_mode="INDIVIDUAL")
    world.member(policy, "MR-1", payroll_frequency="MONTHLY")
    issued = invoiced(world, account, 3)
    clean = {"member_record": "MR-1", "account": account, "confirmed": True}
    assert world.refused("CleanUpMemberInvoices", **clean)[1] == ["NOTHING_TO_CLEAN_UP"]
    amend(world, "MR-1", "2025-04-01", ("LIFE", "1440.00"), transaction_id="A-4")
    amend(world, "MR-1", "2025-02-01", ("LIFE", "1320.00"))
    assert world.refused("CleanUpMemberInvoices", **clean)[1] == ["ROLL_ON_PENDING"]
    decide(world, "MR-1", ("A-4", "DROP", None))
    assert anyb_by_period(world, "MR-1") == {"2025-02-01": "10.00", "2025-03-01": "10.00"}
    unconfirmed = world.refused("CleanUpMemberInvoices", member_record="MR-1", account=account)
    assert unconfirmed[1] == ["CONFIRMATION_REQUIRED"]
    done = world.do("CleanUpMemberInvoices", **clean)
    assert (done["discarded"], len(done["issued"]), done["anyb"]) == ([issued[2], issued[1]], 2, "0.00")
    assert [one[3] for one in lines(world, account, done["issued"][0])] == ["110.00"]
    world.check(account)


@pytest.mark.rule("PRM-141")
def test_nothing_is_cleaned_up_on_an_account_that_bills_the_group(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    refused = world.refused("CleanUpMemberInvoices", member_record="MR-1", account=account, confirmed=True)
    assert refused[1] == ["CLEANUP_NOT_AVAILABLE"]
    assert told("ApplyNewBusiness", world, "MR-9", "2025-01-01", master_policy="MP-9") == ["MASTER_POLICY_NOT_FOUND"]
