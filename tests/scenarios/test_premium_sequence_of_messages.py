"""Messages in any order: back-off and roll-on, kept transactions, parked, repeated and conflicting messages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.billing import amend, discard, generate, lines, regenerate
from tests.scenarios.conftest import World
from tests.scenarios.premiums import (
    anyb,
    anyb_by_account,
    anyb_by_period,
    anyb_items,
    charges,
    decide,
    decisions_of,
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


@pytest.mark.rule("PRM-102", "PRM-110", "PRM-111", "PRM-112", "PRM-113", "PRM-114", "PRM-117", "PRM-E09")
def test_backed_off_amendments_are_rolled_on_in_order_and_billed_once(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    for member in ("MR-1", "MR-2", "MR-3"):
        world.member(policy, member)
        amend(world, member, "2025-04-01", ("LIFE", "1320.00"), transaction_id=f"{member}/4")
        amend(world, member, "2025-07-01", ("LIFE", "1440.00"), transaction_id=f"{member}/7")
    invoiced(world, account, 8)
    for member in ("MR-1", "MR-2", "MR-3"):
        back = amend(world, member, "2025-03-01", ("LIFE", "1260.00"), transaction_id=f"{member}/3")
        assert (back["roll_on_pending"], back["backed_off"]) == (True, [f"{member}/4", f"{member}/7"])
    assert versions(world, "MR-1") == {1: "INACTIVE", 2: "INACTIVE", 3: "ACTIVE", 4: "PENDING"}
    assert anyb(world, "MR-1") == "0.00"
    assert told("ApplyRenewal", world, "MR-1", "2025-09-01", amounts=life("1500.00")) == ["ROLL_ON_PENDING"]
    alone = decisions_of(("MR-1/7", "ROLL_ON", None))
    assert world.refused("InstructRollOn", member_record="MR-1", decisions=alone)[1] == ["ROLL_ON_OUT_OF_ORDER"]
    first = decide(world, "MR-1", ("MR-1/4", "ROLL_ON", "1380.00"))
    assert (first["roll_on_pending"], versions(world, "MR-1")[5]) == (True, "PENDING")
    last = decide(world, "MR-1", ("MR-1/7", "ROLL_ON", "1500.00"))
    assert [(one["premium_version"], one["decisions"]) for one in (first, last)] == [
        (5, [_rolled_on("MR-1/4", 5)]), (6, [_rolled_on("MR-1/7", 6)]),
    ]  # fmt: skip
    assert versions(world, "MR-1") == {**dict.fromkeys(range(1, 6), "INACTIVE"), 6: "ACTIVE"}
    months = {f"2025-0{month}-01": "5.00" for month in range(3, 9)}
    assert anyb_by_period(world, "MR-1") == months
    assert anyb(world, "MR-1") == "30.00"
    again = decide(world, "MR-1", ("MR-1/7", "ROLL_ON", "1500.00"))  # delivered again
    assert {**again, "version": last["version"]} == last
    assert len(versions(world, "MR-1")) == 6
    other = decisions_of(("MR-1/7", "DROP", None))
    assert world.refused("InstructRollOn", member_record="MR-1", decisions=other)[1] == ["ALREADY_DECIDED"]
    decide(world, "MR-2", ("MR-2/4", "ROLL_ON", "1380.00"), ("MR-2/7", "DROP", None))
    decide(world, "MR-3", ("MR-3/4", "DROP", None), ("MR-3/7", "DROP", None))
    assert statuses(world, "MR-3")["MR-3/7"] == "DROPPED"
    assert (anyb(world, "MR-2"), anyb(world, "MR-3")) == ("10.00", "-40.00")
    world.check(account)


@pytest.mark.rule("PRM-121", "PRM-122", "PRM-129")
@pytest.mark.parametrize("day", ["2025-01-01", "2025-03-01"])
def test_what_an_account_billed_is_credited_when_the_move_to_it_is_undone(world: World, day: str) -> None:
    """A cancellation dated before the move makes it ineffective: the record was never on the individual account."""
    world.on("2024-12-20")
    account, policy = world.group()
    for member in ("MR-1", "MR-2"):
        world.member(policy, member)
    invoiced(world, account, 4)
    direct = individual_account(world)
    given(
        "MoveMemberToIndividualDirect", world, "MR-1", "2025-04-01",
        type="PORTABILITY", account=direct, modality="MONTHLY", transaction_id="M-1",
    )  # fmt: skip
    invoiced(world, direct, 2)
    cancelled = given("ApplyCancellation", world, "MR-1", day)
    assert statuses(world, "MR-1")["M-1"] == "INEFFECTIVE"
    group = "-400.00" if day == "2025-01-01" else "-200.00"
    assert anyb_by_account(cancelled) == {account: group, direct: "-200.00"}
    credited = world.do("GenerateInvoice", account=direct, confirmed=True)
    assert credited["billed"]["amount"] == "-200.00"
    assert anyb(world, "MR-1") == group
    given("RescindCancellation", world, "MR-1", day)
    assert anyb(world, "MR-1") == "0.00"
    world.check(account)
    world.check(direct)


def _rolled_on(transaction: str, version: int) -> dict[str, Any]:
    successor = f"{transaction}/rolled-on"
    return {
        "transaction_id": transaction,
        "status": "ROLLED_ON",
        "rolled_on_as": successor,
        "premium_version": version,
    }


@pytest.mark.rule("PRM-106", "PRM-E12", "MEM-131")
def test_a_move_out_of_sequence_makes_later_amendments_ineffective(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    amend(world, "MR-1", "2025-04-01", ("LIFE", "1320.00"), transaction_id="A-4")
    invoiced(world, account, 4)
    direct = individual_account(world)
    move = {"type": "PORTABILITY", "account": direct, "modality": "MONTHLY"}
    moved = given("MoveMemberToIndividualDirect", world, "MR-1", "2025-03-01", **move)
    assert anyb_by_account(moved)[account] == "-210.00"
    assert statuses(world, "MR-1")["A-4"] == "INEFFECTIVE"
    assert net(world, "MR-1", direct, "2025-03-01", "2025-04-30") == ["100.00", "100.00"]
    again = told("MoveMemberToIndividualDirect", world, "MR-1", "2025-03-01", **move)
    assert again == ["TRANSITION_DATE_NOT_AFTER_PREVIOUS"]
    world.check(account)


@pytest.mark.rule("PRM-064", "PRM-103", "PRM-127", "PRM-128", "PRM-E11")
def test_a_cancellation_out_of_sequence_is_credited_and_a_discard_restores_it(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    world.member(policy, "MR-2")
    invoiced(world, account, 3)
    amend(world, "MR-1", "2025-01-01", ("LIFE", "1440.00"))
    assert anyb(world, "MR-1") == "60.00"
    given("ApplyCancellation", world, "MR-1", "2025-02-01")
    assert anyb(world, "MR-1") == "-180.00"
    april = world.do("GenerateInvoice", account=account, confirmed=True)
    assert april["billed"]["amount"] == "-80.00"
    assert anyb(world, "MR-1") == "0.00"
    discard(world, april["invoice"])
    assert anyb(world, "MR-1") == "-180.00"
    again = regenerate(world, april["invoice"])
    assert anyb(world, "MR-1") == "0.00"
    assert len(lines(world, account, again)) == 4
    world.check(account)


@pytest.mark.rule("PRM-103", "PRM-129", "PRM-E10", "MEM-130")
def test_a_move_and_a_waiver_are_kept_while_an_amendment_is_rolled_on(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    amend(world, "MR-1", "2025-04-01", ("LIFE", "1320.00"), transaction_id="A-4")
    given(
        "ApplyPremiumWaiver", world, "MR-1", "2025-05-01", source="CLAIMS", origin="CLAIMS",
        last_waived_day="2025-05-31", transaction_id="W-5",
    )  # fmt: skip
    direct = individual_account(world)
    given(
        "MoveMemberToIndividualDirect", world, "MR-1", "2025-06-16", type="PORTABILITY", account=direct,
        modality="MONTHLY", transaction_id="P-6",
    )  # fmt: skip
    invoiced(world, account, 6)
    invoiced(world, direct, 2)
    back = amend(world, "MR-1", "2025-03-11", ("LIFE", "1260.00"))
    assert back["backed_off"] == ["A-4"]
    assert {statuses(world, "MR-1")[one] for one in ("W-5", "P-6")} == {"APPLIED"}
    assert versions(world, "MR-1")[4] == "PENDING"
    done = decide(world, "MR-1", ("A-4", "ROLL_ON", "1380.00"))
    assert anyb_by_account(done) == {account: "12.83", direct: "12.46"}
    parts = {
        one["modalStart"]: (one["charge"]["amount"], one["waiver"]["amount"])
        for one in anyb_items(world, "MR-1")
        if one["account"] == account
    }
    assert parts == {
        "2025-03-01": ("5.37", "0.00"), "2025-04-01": ("5.00", "0.00"), "2025-05-01": ("5.00", "-5.00"),
        "2025-06-01": ("2.46", "0.00"),
    }  # fmt: skip
    world.check(account)
    world.check(direct)


@pytest.mark.rule("PRM-116")
def test_an_automatic_roll_on_happens_with_the_message_itself(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group(roll_on_mode="AUTOMATIC")
    world.member(policy, "MR-1")
    amend(world, "MR-1", "2025-04-01", ("LIFE", "1320.00"), transaction_id="A-4")
    amend(world, "MR-1", "2025-07-01", ("LIFE", "1440.00"), transaction_id="A-7")
    late = {"transaction_id": "A-3", "kinds": ["GENERAL"], "amounts": life("1260.00")}
    only = decisions_of(("A-4", "ROLL_ON", None))
    refused = told("ApplyAmendment", world, "MR-1", "2025-03-01", **late, roll_on_decisions=only)
    assert refused == ["ROLL_ON_INCOMPLETE"]
    both = decisions_of(("A-4", "ROLL_ON", "1380.00"), ("A-7", "DROP", None))
    done = given("ApplyAmendment", world, "MR-1", "2025-03-01", **late, roll_on_decisions=both)
    assert (done["status"], done["roll_on_pending"], done["backed_off"]) == ("APPLIED", False, [])
    assert not record(world, "MR-1")["locked"]
    assert statuses(world, "MR-1")["A-7"] == "DROPPED"
    assert net(world, "MR-1", account, "2025-03-01", "2025-07-31") == ["105.00"] + ["115.00"] * 4


@pytest.mark.rule("PRM-113", "PRM-E26")
def test_a_rolled_on_amendment_takes_its_old_place_before_a_move_of_the_same_day(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    amend(world, "MR-1", "2025-04-01", ("LIFE", "1320.00"), transaction_id="A-4")
    direct = individual_account(world)
    given(
        "MoveMemberToIndividualDirect", world, "MR-1", "2025-04-01", type="PORTABILITY", account=direct,
        modality="MONTHLY", amounts=life("1440.00"),
    )  # fmt: skip
    assert amend(world, "MR-1", "2025-03-01", ("LIFE", "1260.00"))["backed_off"] == ["A-4"]
    decide(world, "MR-1", ("A-4", "ROLL_ON", None))
    assert net(world, "MR-1", direct, "2025-04-01", "2025-04-30") == ["120.00"]
    assert charges(world, "MR-1", account, "2025-03-01", "2025-04-30") == [("2025-03-01", "105.00")]


@pytest.mark.rule("PRM-103", "PRM-E20", "CAL-017", "PRM-073")
def test_a_change_of_frequency_is_recalculated_under_a_late_amendment(world: World) -> None:
    world.on("2025-01-20")
    world.calendar()
    policy = world.policy(world.sponsor(), start="2025-02-01")
    account = world.account("C-1", in_single_bill_setup=True)
    world.setup(policy, account)
    world.member(policy, "MR-1", start="2025-02-01")
    invoiced(world, account, 2)
    world.do("ConfigureInvoicingSchedule", account=account, schedule={"frequency": "QUARTERLY"})
    amend(world, "MR-1", "2025-06-01", ("LIFE", "1500.00"), transaction_id="A-6")
    before = charges(world, "MR-1", account, "2025-02-01", "2025-10-31")
    assert before == [
        ("2025-02-01", "100.00"), ("2025-03-01", "100.00"), ("2025-02-01", "98.63"), ("2025-05-01", "352.60"),
        ("2025-08-01", "375.00"),
    ]  # fmt: skip
    assert amend(world, "MR-1", "2025-03-11", ("LIFE", "1320.00"))["backed_off"] == ["A-6"]
    decide(world, "MR-1", ("A-6", "ROLL_ON", "1560.00"))
    after = net(world, "MR-1", account, "2025-02-01", "2025-10-31")
    assert after == ["100.00", "108.82", "108.49", "372.82", "390.00"]
    assert anyb_by_period(world, "MR-1") == {"2025-03-01": "8.82"}


@pytest.mark.rule("PRM-115", "PRM-012")
def test_messages_of_claims_and_customer_management_wait_for_the_end_of_a_lock(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    amend(world, "MR-1", "2025-04-01", ("LIFE", "1320.00"), transaction_id="A-4")
    amend(world, "MR-1", "2025-03-01", ("LIFE", "1260.00"))
    parked = given(
        "ApplyPremiumWaiver", world, "MR-1", "2025-05-01", source="CLAIMS", origin="CLAIMS", transaction_id="W-5"
    )
    moved = given("ApplyEmploymentChange", world, "MR-1", "2025-02-01", location="C-9", transaction_id="E-2")
    assert (parked["status"], moved["status"]) == ("PARKED", "PARKED")
    again = given("ApplyEmploymentChange", world, "MR-1", "2025-02-01", location="C-9", transaction_id="E-2")
    assert again["status"] == "PARKED"
    assert told("ApplyCancellation", world, "MR-1", "2025-08-01") == ["ROLL_ON_PENDING"]
    assert told("StopBilling", world, "MR-1", "2025-08-01", nonforfeiture="EXTENDED_TERM") == ["ROLL_ON_PENDING"]
    decide(world, "MR-1", ("A-4", "DROP", None))
    found = statuses(world, "MR-1")
    assert (found["W-5"], found["E-2"], found["A-4"]) == ("APPLIED", "APPLIED", "DROPPED")
    assert net(world, "MR-1", account, "2025-04-01", "2025-05-31") == ["105.00", "0.00"]


@pytest.mark.rule("PRM-004", "PRM-101")
def test_a_message_sent_again_changes_nothing_and_another_content_is_refused(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    sent = {"transaction_id": "A-1", "kinds": ["GENERAL"], "amounts": life("1320.00")}
    first = given("ApplyAmendment", world, "MR-1", "2025-02-01", **sent)
    head = world.head()
    world.on("2025-01-05")
    again = given("ApplyAmendment", world, "MR-1", "2025-02-01", **sent)
    assert (again, world.head()) == (first, head)
    other = {**sent, "amounts": life("1330.00")}
    assert told("ApplyAmendment", world, "MR-1", "2025-02-01", **other) == ["IDEMPOTENCY_CONFLICT"]
    assert told("ApplyCancellation", world, "MR-1", "2025-02-01", transaction_id="A-1") == ["IDEMPOTENCY_CONFLICT"]
    for day, code in (("2025-01-01", "OOS_NEW_BUSINESS_NOT_SUPPORTED"), ("2025-03-01", "MEMBER_RECORD_EXISTS")):
        stated = {"master_policy": policy, "amounts": life("1200.00")}
        assert told("ApplyNewBusiness", world, "MR-1", day, **stated) == [code]
    # Of two transactions of one day the later recorded one prevails, in sequence.
    later = amend(world, "MR-1", "2025-02-01", ("LIFE", "1440.00"))
    assert later["backed_off"] == []
    assert net(world, "MR-1", account, "2025-02-01", "2025-02-28") == ["120.00"]
    key = "the-same-key"
    cancelled: dict[str, Any] = {"transaction_id": "C-1", "member_record": "MR-1", "effective_date": "2025-06-01"}
    one = world.send("ApplyCancellation", key=key, **cancelled)
    two = world.send("ApplyCancellation", key=key, **cancelled)
    assert (one.status_code, one.json()["result"]) == (200, two.json()["result"])
    assert generate(world, account) == "INV-00000001"


@pytest.mark.rule("PRM-111", "PRM-122", "INV-004")
def test_what_was_invoiced_anew_while_a_decision_was_open_is_not_billed_again(world: World) -> None:
    """February is billed from the ACTIVE version while its ANYB is held; the decision finds nothing left to bill."""
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1", annual="1200.00")
    _, february = invoiced(world, account, 2)
    amend(world, "MR-1", "2025-02-01", ("LIFE", "2400.00"))
    amend(world, "MR-1", "2025-08-01", ("LIFE", "3600.00"), transaction_id="AM-8")
    assert amend(world, "MR-1", "2025-07-01", ("LIFE", "3000.00"))["roll_on_pending"]
    assert anyb(world, "MR-1") == "100.00"
    discard(world, february)
    again = regenerate(world, february)
    assert [line[-1] for line in lines(world, account, again)] == ["200.00"]
    decide(world, "MR-1", ("AM-8", "ROLL_ON", None))
    assert anyb(world, "MR-1") == "0.00"
    assert anyb_items(world, "MR-1") == []
