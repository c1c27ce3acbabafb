"""Paid-to-date after real payments: by invoice, by daily rate, capped by a cancellation, lowered by a reversal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from application.invoices import PricedMember, members_of
from application.unit_of_work import UnitOfWork
from tests.scenarios.billing import amend, generate
from tests.scenarios.conftest import World

_PTD = """
query ($account: String!, $member: String!) {
  accountPaidToDate(account: $account) { paidToDate paidThrough nothingPaid byInvoice byDailyRate displayDate
    settled { amount } invoices { invoice fullyPaid } days { start kind daily } }
  paidToDate(memberRecord: $member) { paidToDate paidThrough capReason displayDate }
}
"""


def _pay(world: World, account: str, amount: str, number: str) -> str:
    return str(
        world.do(
            "ApplyPayment", account=account, amount=amount, method="CHECK", check_number=number,
            check_date="2024-12-20", reference=f"CHK-{number}", allocation="RULES",
        )["payment"]
    )  # fmt: skip


@pytest.mark.rule("BAL-079", "BAL-081", "BAL-085", "BAL-088", "BAL-092", "BAL-093", "BAL-094", "BAL-095")
def test_how_far_the_money_reaches(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    for record in ("MR-1", "MR-2"):
        world.member(policy, record)
    world.do("GenerateInvoice", account=account, confirmed=True)

    def found(member: str = "MR-1") -> tuple[dict[str, Any], dict[str, Any]]:
        answer = world.query(_PTD, account=account, member=member)
        [unit] = answer["accountPaidToDate"]
        return unit, answer["paidToDate"]

    unit, member = found()
    assert (unit["paidToDate"], unit["nothingPaid"], unit["displayDate"]) == (None, True, "2025-01-01")
    assert (unit["paidThrough"], member["paidToDate"], member["paidThrough"]) == (None, None, None)
    payment = _pay(world, account, "100.00", "1")
    unit, member = found()
    # 2 × 1200.00 a year: 6.575... a day; 15 days cost 98.63, 16 cost 105.21.
    assert (unit["byInvoice"], unit["byDailyRate"]) == (None, "2025-01-16")
    assert member["paidThrough"] == "2025-01-15"
    _pay(world, account, "100.00", "2")
    unit, member = found()
    # By invoice the whole of January; by daily rate 200.00 pays for 30 days (197.26), not for 31 (203.84).
    assert (unit["byInvoice"], unit["byDailyRate"], unit["paidToDate"]) == ("2025-02-01", "2025-01-31", "2025-02-01")
    world.do(
        "ApplyCancellation", transaction_id="C-1", member_record="MR-2", effective_date="2025-01-16", reason="LEFT"
    )
    _, cancelled = found("MR-2")
    assert (cancelled["paidToDate"], cancelled["capReason"]) == ("2025-01-16", "CANCELLATION")
    world.do("ReversePayment", payment=payment, reason="NSF")
    unit, member = found()
    assert unit["settled"]["amount"] == "100.00"
    # Fifteen days of two cost 98.63; the sixteenth, of one, would make 101.92.
    assert (unit["byInvoice"], unit["byDailyRate"], unit["paidToDate"]) == (None, "2025-01-16", "2025-01-16")
    assert (member["paidToDate"], member["paidThrough"]) == ("2025-01-16", "2025-01-15")


def test_members_are_read_again_only_when_something_happened_to_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy)
    other = world.policy("C-1", "MP-2")
    world.setup(other, account)
    world.member(other, "MR-9", annual="2400.00")
    world.do("GenerateInvoice", account=account, confirmed=True)
    read: list[Sequence[str]] = []

    def counted(unit: UnitOfWork, numbers: Sequence[str]) -> Iterator[list[PricedMember]]:
        read.append(numbers)
        return members_of(unit, numbers)

    monkeypatch.setattr("application.paid_to_date.members_of", counted)
    text = "query ($a: String!, $p: String) { accountPaidToDate(account: $a, masterPolicy: $p) { days { daily } } }"

    def days() -> list[str]:
        [unit] = world.query(text, a=account, p=policy)["accountPaidToDate"]
        return [one["daily"] for one in unit["days"]]

    changes: list[Callable[[], object]] = [
        lambda: None,
        lambda: _pay(world, account, "50.00", "1"),
        lambda: amend(world, "MR-9", "2025-01-01", ("LIFE", "1200.00")),
        lambda: amend(world, "MR-1", "2025-01-01", ("LIFE", "2400.00")),
        lambda: world.member(policy, "MR-2"),
        lambda: generate(world, account),
        lambda: None,
    ]
    seen, reads = [], []
    for change in [lambda: None, *changes]:
        change()
        before = len(read)
        seen.append(days())
        reads.append(len(read) - before)
    # Only the first question, the policy's own members and another last invoiced day make it read them.
    assert reads == [1, 0, 0, 0, 1, 1, 1, 0]
    assert seen[0] == seen[3] != seen[4] != seen[5]
