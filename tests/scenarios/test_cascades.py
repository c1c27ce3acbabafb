"""Master policy transactions that run through the member records, and messages kept for later."""

from __future__ import annotations

import json

import pytest

from domain.members.dead_letter import DEAD_LETTER, DeadLetterKind, MemberTransactionDeadLettered, Reason
from tests.scenarios.conftest import World
from tests.scenarios.test_cascade_runs import written

LETTER = "query ($n: String!) { deadLetter(number: $n) { state } }"
ANYB = """query ($m: String!) {
  memberAnyb(memberRecord: $m) { total { amount } } memberRecord(number: $m) { state badges } }"""


@pytest.mark.rule("PRM-150", "PRM-151")
def test_a_cancelled_policy_cancels_its_members_and_a_rescission_brings_back_those_it_reached(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    for record in ("MR-1", "MR-2", "MR-3"):
        world.member(policy, record)
    world.do("GenerateInvoice", account=account, confirmed=True)
    world.do(
        "ApplyCancellation", transaction_id="C-2", member_record="MR-2", effective_date="2025-01-10", reason="LEFT"
    )
    cancelled = world.do(
        "ApplyMasterPolicyTransaction", transaction_id="MC-1", master_policy=policy, type="CANCELLATION",
        effective_date="2025-01-16", reason="SPONSOR_LEFT",
    )  # fmt: skip
    assert cancelled["status"] == "COMPLETED"
    results = {one["member_record"]: one["result"] for one in cancelled["results"]}
    assert results == {"MR-1": "APPLIED", "MR-2": "SKIPPED", "MR-3": "APPLIED"}
    # 15 of 31 days at 1200.00 a year stay: 49.32 of 100.00.
    assert world.query(ANYB, m="MR-1")["memberAnyb"]["total"]["amount"] == "-50.68"
    again = world.do(
        "ApplyMasterPolicyTransaction", transaction_id="MC-1", master_policy=policy, type="CANCELLATION",
        effective_date="2025-01-16", reason="SPONSOR_LEFT",
    )  # fmt: skip
    assert again == cancelled
    assert (again["counts"]["APPLIED"], again["counts"]["SKIPPED"]) == (2, 1)
    rescinded = world.do(
        "ApplyMasterPolicyTransaction", transaction_id="MR-1X", master_policy=policy, type="RESCIND_CANCELLATION",
        effective_date="2025-01-16",
    )  # fmt: skip
    assert {one["member_record"]: one["result"] for one in rescinded["results"]} == {
        "MR-1": "APPLIED",
        "MR-3": "APPLIED",
    }
    assert world.query(ANYB, m="MR-1")["memberAnyb"]["total"]["amount"] == "0.00"
    assert "CANCELLED" in world.query(ANYB, m="MR-2")["memberRecord"]["badges"]


@pytest.mark.rule("PRM-151", "MEM-094")
def test_a_locked_record_is_kept_for_later_and_the_others_go_on(world: World) -> None:
    world.on("2024-12-20")
    _, policy = world.group()
    for record in ("MR-1", "MR-2"):
        world.member(policy, record)
    for transaction, day in (("A-2", "2025-03-01"), ("A-1", "2025-02-01")):
        world.do(
            "ApplyAmendment", transaction_id=transaction, member_record="MR-1", effective_date=day, kinds=["GENERAL"],
            amounts=[{"coverage": "LIFE", "annual_amount": "1320.00"}],
        )  # fmt: skip
    cancelled = world.do(
        "ApplyMasterPolicyTransaction", transaction_id="MC-1", master_policy=policy, type="CANCELLATION",
        effective_date="2025-06-01", reason="SPONSOR_LEFT",
    )  # fmt: skip
    assert cancelled["status"] == "COMPLETED_WITH_ERRORS"
    assert [(one["member_record"], one["result"], one["code"]) for one in cancelled["results"]] == [
        ("MR-1", "DEAD_LETTERED", "ROLL_ON_PENDING"),
        ("MR-2", "APPLIED", None),
    ]
    failed = world.do("ReprocessDeadLetter", items=["DL-00000001"])
    assert [(one["state"], one["attempts"]) for one in failed["items"]] == [("OPEN", 1)]
    world.do("InstructRollOn", member_record="MR-1", decisions=[{"transaction_id": "A-2", "action": "ROLL_ON"}])
    done = world.do("ReprocessDeadLetter", items=["DL-00000001"])
    assert [one["state"] for one in done["items"]] == ["RESOLVED"]
    assert "CANCELLED" in world.query(ANYB, m="MR-1")["memberRecord"]["badges"]
    assert [one["state"] for one in world.do("ReprocessDeadLetter", items=["DL-00000001"])["items"]] == ["RESOLVED"]


@pytest.mark.rule("MEM-091", "MEM-093", "MEM-094")
def test_messages_of_a_record_wait_behind_the_one_that_failed(world: World) -> None:
    world.on("2024-12-20")
    world.calendar()
    sponsor = world.sponsor()
    policy = world.policy(sponsor)
    first = world.member(policy, "MR-1")
    assert (first["status"], first["dead_letter"]) == ("DEAD_LETTERED", "DL-00000001")
    second = world.member(policy, "MR-1", transaction_id="NB-X")
    assert second["status"] == "WAITING"
    assert world.refused("DiscardDeadLetter", item="DL-00000001", roles=("SUP",)) == (422, ["REASON_REQUIRED"])
    account = world.account(sponsor, in_single_bill_setup=True)
    world.setup(policy, account)
    done = world.do("ReprocessDeadLetter", items=["DL-00000001"])
    states = {one["item"]: one["state"] for one in done["items"]}
    assert states == {"DL-00000001": "RESOLVED", "DL-00000002": "RESOLVED"}
    assert done["items"][1]["outcome"] == "REFUSED"  # the record exists by now
    assert world.query(ANYB, m="MR-1")["memberRecord"]["state"] == "FUTURE"


@pytest.mark.rule("MEM-096", "MEM-093")
def test_a_discarded_message_lets_those_behind_it_through(world: World) -> None:
    world.on("2024-12-20")
    _, policy = world.group()
    amendment = {"member_record": "MR-1", "effective_date": "2025-02-01", "kinds": ["GENERAL"]}
    early = world.do(
        "ApplyAmendment", transaction_id="A-1", amounts=[{"coverage": "LIFE", "annual_amount": "9.00"}], **amendment
    )
    assert (early["status"], early["dead_letter"]) == ("DEAD_LETTERED", "DL-00000001")
    assert world.member(policy, "MR-1")["status"] == "WAITING"
    assert world.member(policy, "MR-2")["status"] == "APPLIED"  # others are not affected
    world.do("DiscardDeadLetter", item="DL-00000001", reason="Sent in error", roles=("SUP",))
    for number, state in (("DL-00000001", "DISCARDED"), ("DL-00000002", "RESOLVED")):
        assert world.query(LETTER, n=number, roles=("SUP",))["deadLetter"] == {"state": state}
    assert world.query(ANYB, m="MR-1")["memberRecord"]["state"] == "FUTURE"


@pytest.mark.rule("PLT-059")
def test_five_hundred_messages_are_processed_again_at_once(world: World) -> None:
    world.on("2024-12-20")
    amendment = {"effective_date": "2025-02-01", "kinds": ["GENERAL"]}
    letters = [
        MemberTransactionDeadLettered(
            dead_letter=f"DL-9{number:07}", kind=DeadLetterKind.MEMBER_TRANSACTION, key=f"MR-{number}",
            command="ApplyAmendment",
            payload=json.dumps({"transaction_id": "A-1", "member_record": f"MR-{number}", **amendment}),
            reasons=(Reason("MEMBER_RECORD_UNKNOWN", "unknown", "process it"),), source="policy", waiting=False,
            received_at=world.clock.now(),
        )
        for number in range(500)
    ]  # fmt: skip
    written(world, *((DEAD_LETTER, one.dead_letter, [one]) for one in letters))
    numbers = [one.dead_letter for one in letters]
    done = world.do("ReprocessDeadLetter", items=numbers)["items"]
    assert [(one["item"], one["state"], one["attempts"]) for one in done] == [(one, "OPEN", 1) for one in numbers]
    assert world.refused("ReprocessDeadLetter", items=[*numbers, "DL-1"]) == (400, ["REQUEST_INVALID"])


@pytest.mark.rule("PLT-059", "MEM-093", "MEM-094")
def test_messages_of_a_record_are_processed_oldest_first_in_whatever_order_they_are_named(world: World) -> None:
    world.on("2024-12-20")
    _, policy = world.group()
    amendment = {"member_record": "MR-1", "kinds": ["GENERAL"]}
    for number, day in enumerate(("2025-02-01", "2025-03-01"), start=1):
        amounts = [{"coverage": "LIFE", "annual_amount": f"{number}200.00"}]
        world.do("ApplyAmendment", transaction_id=f"A-{number}", effective_date=day, amounts=amounts, **amendment)
    world.member(policy, "MR-1")
    numbers = ["DL-00000003", "DL-00000002", "DL-00000001"]
    # The first cannot be processed as long as the third waits behind it; the others have to wait.
    found = world.do("ReprocessDeadLetter", items=numbers)["items"]
    assert [(one["item"], one["state"], one["attempts"]) for one in found] == [
        ("DL-00000001", "OPEN", 1), ("DL-00000002", "WAITING", 0), ("DL-00000003", "WAITING", 0),
    ]  # fmt: skip
    [waiting] = world.do("ReprocessDeadLetter", items=["DL-00000003"])["items"]
    assert (waiting["state"], waiting["attempts"]) == ("WAITING", 0)
    world.do("DiscardDeadLetter", item="DL-00000001", reason="Sent too early", roles=("SUP",))
    world.do("DiscardDeadLetter", item="DL-00000002", reason="Sent too early", roles=("SUP",))
    assert world.query(LETTER, n="DL-00000003", roles=("SUP",))["deadLetter"] == {"state": "RESOLVED"}
    assert world.query(ANYB, m="MR-1")["memberRecord"]["state"] == "FUTURE"
