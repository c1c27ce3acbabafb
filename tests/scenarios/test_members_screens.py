"""What the screens of a member record show: history, transactions, work list, waivers; and messages kept for later."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.scenarios.billing import amend
from tests.scenarios.conftest import World
from tests.scenarios.premiums import given, individual_account, invoiced, life, record

_HISTORY = """query ($m: String!, $all: Boolean! = false, $on: Date, $asOf: DateTime) {
  modalPremiumHistory(memberRecord: $m, allVersions: $all, on: $on, asOf: $asOf, first: 100) { nodes {
    version versionStatus originVersion current transactionType transactionEffectiveDate effectiveDate account
    modality location division flags days item { coverage plan coverageClass tier }
    annualAmount { amount } modalAmount { amount } proratedAmount { amount } } } }"""
_TRANSACTIONS = """query ($m: String!, $type: String, $status: String, $from: Date, $to: Date,
  $down: Boolean! = false, $asOf: DateTime) {
  memberTransactions(memberRecord: $m, type: $type, status: $status, dateFrom: $from, dateTo: $to, descending: $down,
    asOf: $asOf) { totalCount nodes { transactionId type kinds origin effectiveDate transactionDate recordedAt status
      version rolledOnFrom causedBackOff } } }"""
_WORK = """query ($policy: String, $days: Int! = 0) { rollOnPending(masterPolicy: $policy, minDaysPending: $days) {
  totalCount nodes { memberRecord masterPolicy accounts causedBy daysPending
    backedOff { transactionId effectiveDate amounts { annualAmount { amount } } } } } }"""
_ANYB = """query ($m: String!) { memberAnyb(memberRecord: $m) { calculatedAt total { amount } } }"""


def history(world: World, member: str, **wanted: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.query(_HISTORY, m=member, **wanted)["modalPremiumHistory"]["nodes"]
    return found


def transactions(world: World, member: str, **wanted: Any) -> list[str]:
    text = _TRANSACTIONS.replace("$from", "$first").replace("$to", "$last")
    found = world.query(text, m=member, **wanted)["memberTransactions"]["nodes"]
    return [one["transactionId"] for one in found]


@pytest.mark.rule("PRM-013", "PRM-041", "PRM-042", "PRM-045")
def test_the_history_of_modal_premium_tells_every_change_newest_version_first(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    world.on("2025-01-10")
    amend(world, "MR-1", "2025-03-16", ("LIFE", "1320.00"))
    world.on("2025-02-10")
    given("StopBilling", world, "MR-1", "2025-05-01", nonforfeiture="EXTENDED_TERM")
    given("ResumeBilling", world, "MR-1", "2025-07-01", reason="OTHER")
    direct = individual_account(world)
    move = {"type": "PORTABILITY", "account": direct, "modality": "MONTHLY"}
    given("MoveMemberToIndividualDirect", world, "MR-1", "2025-09-16", **move)
    rows = history(world, "MR-1")
    order = [(one["version"], one["effectiveDate"]) for one in rows]
    assert order == sorted(order, key=lambda one: (-one[0], -dt.date.fromisoformat(one[1]).toordinal()))
    by_date = {(one["account"], one["effectiveDate"]): one for one in rows if one["current"]}
    cut = by_date[account, "2025-03-16"]
    assert (cut["proratedAmount"]["amount"], cut["days"], cut["modalAmount"]["amount"]) == ("57.86", 16, "110.00")
    assert by_date[account, "2025-04-01"]["proratedAmount"] is None
    assert by_date[account, "2025-05-01"]["flags"] == ["STOP"]
    assert by_date[account, "2025-07-01"]["flags"] == ["RESUME"]
    assert by_date[account, "2025-09-16"]["annualAmount"]["amount"] == "0.00"
    moved = by_date[direct, "2025-10-01"]
    # On an individual direct account the later of both dates is shown, on a list bill both as they are.
    assert (moved["transactionType"], moved["transactionEffectiveDate"]) == ("PORTABILITY", "2025-10-01")
    assert by_date[account, "2025-04-01"]["transactionEffectiveDate"] == "2025-03-16"
    assert {one["versionStatus"] for one in rows if one["current"]} == {"ACTIVE"}
    assert len(history(world, "MR-1", all=True)) > len(rows)
    assert {one["effectiveDate"] for one in history(world, "MR-1", on="2025-03-31")} == {"2025-01-01", "2025-03-16"}
    known = history(world, "MR-1", asOf="2025-01-31T00:00:00Z")
    assert {one["version"] for one in known} == {1, 2}
    assert all(one["flags"] == [] for one in known)


@pytest.mark.rule("PRM-012", "PRM-013", "PRM-041")
def test_transactions_are_filtered_and_sorted_both_ways(world: World) -> None:
    world.on("2024-12-20")
    _, policy = world.group()
    world.member(policy, "MR-1")
    amend(world, "MR-1", "2025-04-01", ("LIFE", "1320.00"), transaction_id="A-4")
    world.on("2025-01-05")
    amend(world, "MR-1", "2025-03-01", ("LIFE", "1260.00"), transaction_id="A-3")
    decisions = [{"transaction_id": "A-4", "action": "ROLL_ON", "rolled_on_as": "A-4R"}]
    world.do("InstructRollOn", member_record="MR-1", decisions=decisions)
    given("ApplyCancellation", world, "MR-1", "2025-08-01", transaction_id="C-8")
    assert transactions(world, "MR-1") == ["NB-MR-1", "A-3", "A-4", "A-4R", "C-8"]
    assert transactions(world, "MR-1", down=True) == ["C-8", "A-4R", "A-4", "A-3", "NB-MR-1"]
    assert transactions(world, "MR-1", type="CANCELLATION") == ["C-8"]
    assert transactions(world, "MR-1", status="ROLLED_ON") == ["A-4"]
    assert transactions(world, "MR-1", first="2025-03-01", last="2025-03-31") == ["A-3"]
    assert transactions(world, "MR-1", asOf="2024-12-31T00:00:00Z") == ["NB-MR-1", "A-4"]
    text = _TRANSACTIONS.replace("$from", "$first").replace("$to", "$last")
    nodes = {one["transactionId"]: one for one in world.query(text, m="MR-1")["memberTransactions"]["nodes"]}
    assert (nodes["A-4R"]["rolledOnFrom"], nodes["A-4"]["causedBackOff"]) == ("A-4", "A-3")
    rows = history(world, "MR-1")
    assert any("ROLLED_ON" in one["flags"] for one in rows)


@pytest.mark.rule("PRM-110", "PRM-111", "PRM-123")
def test_the_work_list_of_roll_ons_begins_with_the_longest_waiting(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    for member in ("MR-1", "MR-2"):
        world.member(policy, member)
        amend(world, member, "2025-04-01", ("LIFE", "1320.00"), transaction_id=f"{member}/4")
    invoiced(world, account, 1)
    for member, day in (("MR-2", "2025-01-02"), ("MR-1", "2025-01-06")):
        world.on(day)
        amend(world, member, "2025-03-01", ("LIFE", "1260.00"), transaction_id=f"{member}/3")
    world.on("2025-01-09")
    work = world.query(_WORK, policy=policy)["rollOnPending"]
    assert [(one["memberRecord"], one["causedBy"], one["daysPending"]) for one in work["nodes"]] == [
        ("MR-2", "MR-2/3", 7), ("MR-1", "MR-1/3", 3),
    ]  # fmt: skip
    [backed_off] = work["nodes"][0]["backedOff"]
    assert (backed_off["effectiveDate"], backed_off["amounts"][0]["annualAmount"]["amount"]) == (
        "2025-04-01",
        "1320.00",
    )
    assert [one["memberRecord"] for one in world.query(_WORK, days=5)["rollOnPending"]["nodes"]] == ["MR-2"]
    assert world.query(_WORK, policy="MP-9")["rollOnPending"]["totalCount"] == 0
    assert world.query(_ANYB, m="MR-1")["memberAnyb"]["calculatedAt"] is None
    given("ApplyEmploymentChange", world, "MR-2", "2025-02-01", location="L-1")  # parked
    world.do("InstructRollOn", member_record="MR-2", decisions=[{"transaction_id": "MR-2/4", "action": "DROP"}])
    amend(world, "MR-2", "2025-01-01", ("LIFE", "1320.00"), roll_on_mode="AUTOMATIC", roll_on_decisions=[
        {"transaction_id": "MR-2/3", "action": "ROLL_ON"},
    ])  # fmt: skip
    changed = world.query(_ANYB, m="MR-2")["memberAnyb"]
    assert (changed["total"]["amount"], changed["calculatedAt"][:10]) == ("10.00", "2025-01-09")


@pytest.mark.rule("MEM-087", "MEM-091", "MEM-093", "MEM-094", "MEM-095", "MEM-E02")
def test_a_missing_combination_is_set_up_and_its_messages_are_processed_once(world: World) -> None:
    world.on("2025-02-20")
    classes = [{"code": code, "effective_date": "2025-01-01"} for code in ("C1", "C2")]
    first = [
        {"unit": "L-4", "member_class": "C1"},
        {"unit": "C-1", "member_class": "C1"},
    ]
    world.calendar()
    sponsor = world.sponsor()
    world.sponsor("L-4", role="LOCATION", parent=sponsor)
    policy = world.policy(sponsor, classes=classes)
    entries = [{**key, "account": world.account(str(key["unit"]))} for key in first]
    unused = [{"unit": unit, "member_class": "C2", "not_used": True} for unit in ("L-4", "C-1")]
    started = world.do("StartBillingSetup", master_policy=policy, setup_type="PER_LOCATION_AND_CLASS")
    world.do("SaveBillingSetup", setup_ref=started["setup_ref"], entries=[*entries, *unused])
    world.do("IssueBillingSetup", setup_ref=started["setup_ref"])
    check = {
        "master_policy": policy, "effective_date": "2025-03-01", "member_class": "C2",
        "employments": [{"location": "L-4"}],
    }  # fmt: skip
    checked = world.do("CheckMemberPurchase", **check)
    assert (checked["status"], [one["code"] for one in checked["reasons"]]) == ("BLOCKED", ["LOCATION_CLASS_MISSING"])
    assert world.query("{ deadLetters { totalCount } }", roles=("OPS",))["deadLetters"]["totalCount"] == 0
    kept = world.member(policy, "MR-1", "2025-03-01", location="L-4", member_class="C2")
    assert (kept["status"], kept["dead_letter"]) == ("DEAD_LETTERED", "DL-00000001")
    assert [one["code"] for one in kept["reasons"]] == ["LOCATION_CLASS_MISSING"]
    assert kept["reasons"][0]["hint"]
    later = given("ApplyAmendment", world, "MR-1", "2025-04-01", amounts=life("1320.00"), transaction_id="A-1")
    assert later["status"] == "WAITING"
    failed = world.do("ReprocessDeadLetter", items=["DL-00000001"])
    assert [(one["state"], one["attempts"]) for one in failed["items"]] == [("OPEN", 1)]
    account = world.account("L-4")
    world.do("StartBillingSetupUpdate", master_policy=policy, effective_date="2025-03-01")
    world.do("AssignEntryAccount", setup_ref=started["setup_ref"], unit="L-4", member_class="C2", account=account)
    used = {"unit": "L-4", "member_class": "C2", "account": account}
    root = {"unit": "C-1", "member_class": "C2", "not_used": True}
    world.do("SaveBillingSetup", setup_ref=started["setup_ref"], entries=[*entries, used, root])
    world.do("IssueBillingSetup", setup_ref=started["setup_ref"])
    done = world.do("ReprocessDeadLetter", items=["DL-00000001"])
    assert {one["item"]: one["state"] for one in done["items"]} == {
        "DL-00000001": "RESOLVED", "DL-00000002": "RESOLVED",
    }  # fmt: skip
    assert transactions(world, "MR-1") == ["NB-MR-1", "A-1"]
    head = world.head()
    again = world.do("ReprocessDeadLetter", items=["DL-00000001"])
    assert ([one["state"] for one in again["items"]], world.head()) == (["RESOLVED"], head)
    assert history(world, "MR-1")[0]["account"] == account
    assert world.do("CheckMemberPurchase", **check) == {"status": "AUTHORIZED", "account": account, "reasons": []}


@pytest.mark.rule("MEM-087", "MEM-E01")
def test_without_an_employment_the_root_bills_if_it_is_set_up_for_the_class(world: World) -> None:
    world.on("2025-02-20")
    classes = [{"code": code, "effective_date": "2025-01-01"} for code in ("C1", "C2")]
    world.calendar()
    sponsor = world.sponsor()
    world.sponsor("L-1", role="LOCATION", parent=sponsor)
    policy = world.policy(sponsor, classes=classes)
    root = world.account(sponsor)
    entries = [
        {"unit": "C-1", "member_class": "C1", "account": root},
        {"unit": "C-1", "member_class": "C2", "not_used": True},
        *({"unit": "L-1", "member_class": code, "account": world.account("L-1")} for code in ("C1", "C2")),
    ]
    started = world.do("StartBillingSetup", master_policy=policy, setup_type="PER_LOCATION_AND_CLASS")
    world.do("SaveBillingSetup", setup_ref=started["setup_ref"], entries=entries)
    world.do("IssueBillingSetup", setup_ref=started["setup_ref"])
    world.member(policy, "MR-1", "2025-03-01", member_class="C1")
    assert history(world, "MR-1")[0]["account"] == root
    kept = world.member(policy, "MR-2", "2025-03-01", member_class="C2")
    assert [one["code"] for one in kept["reasons"]] == ["EMPLOYMENT_MISSING", "PARENT_BILLING_MISSING"]
    assert world.query('{ memberRecord(number: "MR-2") { number } }')["memberRecord"] is None


@pytest.mark.rule("MEM-068")
def test_the_state_of_a_record_follows_the_day_it_is_asked_for(world: World) -> None:
    world.on("2025-03-10")
    _, policy = world.group()
    world.member(policy, "MR-1", start="2025-04-01")
    assert record(world, "MR-1")["state"] == "FUTURE"
    given("StopBilling", world, "MR-1", "2025-05-01", nonforfeiture="EXTENDED_TERM")
    given("ApplyCancellation", world, "MR-1", "2025-06-01")
    text = """query ($m: String!, $d: Date!) { memberRecord(number: $m) { state(on: $d) badges(on: $d) } }"""
    states = {day: world.query(text, m="MR-1", d=day)["memberRecord"]["state"] for day in (
        "2025-03-31", "2025-04-01", "2025-05-01", "2025-06-01",
    )}  # fmt: skip
    assert list(states.values()) == ["FUTURE", "IN_FORCE", "STOPPED", "ENDED"]
