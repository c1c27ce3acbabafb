"""A member's figures for other systems: as of any date, over the accounts it was moved between, apart from others."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.billing import amend, generate, pay
from tests.scenarios.conftest import World
from tests.scenarios.premiums import individual_account
from tests.scenarios.test_payments_of_members import individual
from tests.scenarios.test_scope_of_reads import asked

_STATE = """
query ($member: String!, $asOf: Date, $end: Date) {
  memberPaymentState(memberRecord: $member, asOf: $asOf, endDate: $end) {
    totals { currency totalRemainingDue { amount } totalPaid { amount } } warnings { code } position } }
"""
_POSITION = """
query ($member: String!, $asOf: Date) {
  memberBillablePosition(memberRecord: $member, asOf: $asOf) { warnings { code }
    amounts { currency totalBillableAmount { amount } totalPaid { amount } memberOverpayment { amount }
      totalDue { amount } projectedDue { amount } } } }
"""
_AUDITOR = ("AUD",)


def _state(world: World, as_of: str, end: str, member: str = "MR-7") -> tuple[str, str]:
    """Remaining due and paid."""
    [found] = world.query(_STATE, roles=_AUDITOR, member=member, asOf=as_of, end=end)["memberPaymentState"]["totals"]
    return found["totalRemainingDue"]["amount"], found["totalPaid"]["amount"]


def _position(world: World, as_of: str, member: str = "MR-7") -> tuple[str, ...]:
    """Paid, overpaid, due, projected, and the position they make."""
    answer = world.query(_POSITION, roles=_AUDITOR, member=member, asOf=as_of)["memberBillablePosition"]
    [found] = answer["amounts"]
    names = ("totalPaid", "memberOverpayment", "totalDue", "projectedDue", "totalBillableAmount")
    return tuple(found[name]["amount"] for name in names)


def _pay_for(world: World, account: str, invoice: str, amount: str, number: str, member: str = "MR-7") -> str:
    target = {"kind": "INVOICE_MEMBER", "amount": amount, "invoice": invoice, "member_record": member}
    return str(pay(world, account, amount, number, allocation="TARGETS", targets=[target])["record"])


@pytest.fixture
def moved(world: World) -> World:
    """MR-7 on a list bill with MR-8, moved to an account of its own on 2025-03-01, with a payment that is reversed."""
    world.on("2024-12-20").calendar()
    account = individual(world, ("MR-7", "1200.00"), ("MR-8", "1200.00"))
    january = generate(world, account)
    world.on("2025-01-05")
    _pay_for(world, account, january, "100.00", "1")
    _pay_for(world, account, january, "30.00", "2", member="MR-8")
    world.on("2025-01-20")
    february = generate(world, account)
    world.on("2025-02-10")
    withdrawn = _pay_for(world, account, february, "60.00", "3")
    direct = individual_account(world, "P-MR-7")
    world.do(
        "MoveMemberToIndividualDirect", transaction_id="MV-1", member_record="MR-7", effective_date="2025-03-01",
        type="PORTABILITY", account=direct, modality="MONTHLY",
    )  # fmt: skip
    world.on("2025-02-20")
    generate(world, direct)
    world.on("2025-02-25")
    world.do("ReversePayment", payment=withdrawn, reason="ENTRY_ERROR")
    world.on("2025-03-20")
    return world


@pytest.mark.rule("BAL-104", "BAL-105", "BAL-106", "BAL-107", "BAL-108", "LED-066", "LED-067")
def test_totals_as_of_a_date_go_over_both_accounts_of_a_member_who_moved(moved: World) -> None:
    assert _state(moved, "2024-12-19", "2025-12-31") == ("0.00", "0.00")
    assert _state(moved, "2025-01-04", "2025-01-31") == ("100.00", "0.00")
    assert _state(moved, "2025-01-20", "2025-01-31") == ("0.00", "100.00")
    assert _state(moved, "2025-01-20", "2025-02-01") == ("100.00", "100.00")
    assert _state(moved, "2025-02-19", "2025-12-31") == ("40.00", "160.00")
    assert _state(moved, "2025-02-24", "2025-02-28") == ("40.00", "160.00")
    assert _state(moved, "2025-02-24", "2025-03-01") == ("140.00", "160.00")
    assert _state(moved, "2025-02-25", "2025-03-01") == ("200.00", "100.00")
    assert _state(moved, "2025-03-20", "2025-02-28", "MR-8") == ("170.00", "30.00")


@pytest.mark.rule("BAL-109", "BAL-110", "BAL-111", "BAL-112", "LED-069")
def test_the_position_weighs_what_was_paid_against_what_the_days_so_far_cost(moved: World) -> None:
    assert _position(moved, "2024-12-25") == ("0.00",) * 5
    # 1200.00 a year is 3.2876... a day: ten days of January cost 32.88, fifteen of February 49.32.
    assert _position(moved, "2025-01-10") == ("100.00", "0.00", "0.00", "32.88", "67.12")
    assert _position(moved, "2025-01-31") == ("100.00", "0.00", "100.00", "0.00", "0.00")
    assert _position(moved, "2025-02-15") == ("160.00", "0.00", "100.00", "49.32", "10.68")
    assert _position(moved, "2025-02-28") == ("100.00", "0.00", "200.00", "0.00", "-100.00")
    assert _position(moved, "2025-03-10") == ("100.00", "0.00", "200.00", "32.88", "-132.88")


@pytest.mark.rule("BAL-105", "BAL-109", "BAL-112")
def test_credits_used_and_overpayments_count_from_their_day_on(world: World) -> None:
    world.on("2024-12-20").calendar()
    account = individual(world, ("MR-7", "1200.00"))
    january = generate(world, account)
    world.on("2025-01-20")
    amend(world, "MR-7", "2025-01-01", ("LIFE", "960.00"))
    february = generate(world, account)
    # 80.00 for February and 20.00 of January given back: the credit is set against January's 100.00.
    assert _state(world, "2025-01-19", "2025-12-31") == ("100.00", "0.00")
    assert _state(world, "2025-01-20", "2025-12-31") == ("160.00", "0.00")
    world.on("2025-01-25")
    targets = [
        {"kind": "INVOICE_MEMBER", "amount": "80.00", "invoice": january, "member_record": "MR-7"},
        {"kind": "MEMBER", "amount": "95.00", "member_record": "MR-7"},
    ]
    pay(world, account, "175.00", "1", allocation="TARGETS", targets=targets)
    assert _state(world, "2025-01-24", "2025-12-31") == ("160.00", "0.00")
    assert _state(world, "2025-01-25", "2025-12-31") == ("0.00", "160.00")
    assert [_position(world, day)[1] for day in ("2025-01-24", "2025-01-25")] == ["0.00", "15.00"]
    world.on("2025-01-28")
    world.do("DiscardInvoice", invoice=february, reason="Wrong rates", confirmed=True)
    assert _state(world, "2025-01-27", "2025-12-31") == ("0.00", "160.00")
    # Without the credit January costs 100.00 again, and February nothing.
    due, paid = _state(world, "2025-01-28", "2025-12-31")
    balance = (
        "query ($a: String!) { memberBalances(account: $a) { nodes { dueAndUnpaid { amount } paid { amount } } } }"
    )
    [today] = world.query(balance, a=account)["memberBalances"]["nodes"]
    assert (due, paid) == (today["dueAndUnpaid"]["amount"], today["paid"]["amount"])
    assert round(float(due) + float(paid)) == 100


def _codes(world: World, text: str, **variables: Any) -> list[tuple[str, str | None]]:
    answer = asked(world, text, roles=_AUDITOR, **variables)
    return [
        (problem["code"], problem.get("pointer"))
        for error in answer["errors"]
        for problem in error["extensions"]["problems"]
    ]


@pytest.mark.rule("BAL-107", "LED-068", "LED-071")
def test_what_is_missing_unknown_or_not_kept_by_member_is_said_and_who_asked_is_recorded(world: World) -> None:
    world.on("2024-12-20")
    _, policy = world.group()
    world.member(policy, "MR-1")
    asked_for = {"asOf": "2024-12-20", "end": "2025-01-31"}
    assert _codes(world, _STATE, member="MR-1") == [("REQUEST_INVALID", "/asOf"), ("REQUEST_INVALID", "/endDate")]
    assert _codes(world, _STATE, member="MR-1", asOf="2024-12-21", end="2025-01-31") == [("REQUEST_INVALID", "/asOf")]
    assert _codes(world, _POSITION, member="MR-1") == [("REQUEST_INVALID", "/asOf")]
    assert [code for code, _ in _codes(world, _STATE, member="MR-9", **asked_for)] == ["MEMBER_RECORD_NOT_FOUND"]
    for text in (_STATE, _POSITION):
        assert [code for code, _ in _codes(world, text, member="MR-1", **asked_for)] == ["MEMBER_SCOPE_UNSUPPORTED"]
        for roles in (("ARM",), ("BOF",)):
            [error] = asked(world, text, roles=roles, member="MR-1", **asked_for)["errors"]
            assert error["extensions"]["code"] == "FORBIDDEN"
    direct = individual_account(world)
    world.do(
        "MoveMemberToIndividualDirect", transaction_id="MV-1", member_record="MR-1", effective_date="2025-03-01",
        type="PORTABILITY", account=direct, modality="MONTHLY",
    )  # fmt: skip
    for text, name in ((_STATE, "memberPaymentState"), (_POSITION, "memberBillablePosition")):
        found = world.query(text, roles=("EXT",), member="MR-1", **asked_for)[name]
        assert [one["code"] for one in found["warnings"]] == ["PARTIAL_SCOPE"]
    trail = '{ recordedQueries(concerning: "member:MR-1") { nodes { actor query classes } } }'
    recorded = world.query(trail, roles=_AUDITOR)["recordedQueries"]["nodes"]
    assert [(one["actor"], one["query"][0]["field"]) for one in recorded] == [
        ("ann", "memberPaymentState"), ("ann", "memberBillablePosition"),
    ]  # fmt: skip
    assert recorded[0]["query"][0]["arguments"] == {
        "memberRecord": "MR-1",
        "asOf": "2024-12-20",
        "endDate": "2025-01-31",
    }


@pytest.mark.rule("PLT-036")
def test_a_total_is_not_shown_to_who_sees_only_some_of_its_accounts(moved: World) -> None:
    variables = {"member": "MR-7", "asOf": "2025-03-20", "end": "2025-03-20"}
    assert "errors" not in asked(moved, _STATE, "C-1", "P-MR-7", roles=_AUDITOR, **variables)
    token_scope = asked(moved, _STATE, "C-1", roles=_AUDITOR, **variables)
    assert [error["extensions"]["code"] for error in token_scope["errors"]] == ["FORBIDDEN"]
