"""Balances: what an account, a member, a product or an invoice owes, by the figures of its items (BAL-013 to 038).

Nothing here is stored and added to; every figure is a formula over items and buckets as they stand. Amounts are minor
units of one currency; figures of different currencies are never added (BAL-001).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.errors import refuse
from domain.payments.classification import AccountKind


@dataclass(frozen=True, slots=True)
class Buckets:
    """Money on the account that is on no item (BAL-009): sums over payment records in force (BAL-010)."""

    unapplied: int = 0
    member_unapplied: int = 0
    member_overpayment: int = 0

    @property
    def suspense(self) -> int:
        """unapplied + member_unapplied (BAL-035)."""
        return self.unapplied + self.member_unapplied


def due_and_unpaid(remaining_due: int, open_credit: int) -> int:
    """Σ remaining due − Σ open credit of live invoices, whatever their due date (BAL-013)."""
    return remaining_due - open_credit


def account_balance(kind: AccountKind, due: int, buckets: Buckets) -> int:
    """due_and_unpaid less the money that the account kind keeps for its dues (BAL-016). ANYB is no part of it."""
    balance = due - buckets.unapplied
    if kind.member_level:
        balance -= buckets.member_overpayment
    if kind is AccountKind.LIST_BILL_INDIVIDUAL:
        balance -= buckets.member_unapplied
    return balance


def account_balance_with_anyb(balance: int, anyb: int) -> int:
    """The separate figure with what was not billed yet (BAL-017)."""
    return balance + anyb


def member_balance(due: int, buckets: Buckets) -> int:
    """due_and_unpaid − member_unapplied − member_overpayment of one member record (BAL-020)."""
    return due - buckets.member_unapplied - buckets.member_overpayment


@dataclass(frozen=True, slots=True)
class Totals:
    """Signed sums over a level's items: billed, paid, written off; per amount type, and added (BAL-013, BAL-027)."""

    billed: int = 0
    paid: int = 0
    written_off: int = 0

    @property
    def remaining_due(self) -> int:
        """total_billed − total_paid − total_written_off, signed (BAL-027)."""
        return self.billed - self.paid - self.written_off

    def plus(self, other: Totals) -> Totals:
        """The sum of two levels or amount types."""
        return Totals(self.billed + other.billed, self.paid + other.paid, self.written_off + other.written_off)


def added(parts: Iterable[Totals]) -> Totals:
    """The sum of all parts."""
    total = Totals()
    for part in parts:
        total = total.plus(part)
    return total


class ProductState(StrEnum):
    """BAL-028, by the signed total."""

    PAYMENT_REQUIRED = "PAYMENT_REQUIRED"
    FULLY_PAID = "FULLY_PAID"
    OVERPAID = "OVERPAID"


def product_state(remaining: int) -> ProductState:
    """The state shown beside a product's remaining due."""
    if remaining > 0:
        return ProductState.PAYMENT_REQUIRED
    return ProductState.FULLY_PAID if remaining == 0 else ProductState.OVERPAID


def check_paid_amount(accumulated: int, change: int) -> int:
    """A product's accumulated paid amount after a change; never negative (BAL-012, PAID_AMOUNT_NEGATIVE)."""
    if accumulated + change < 0:
        raise refuse("PAID_AMOUNT_NEGATIVE", "the product's paid amount would become negative", paid=accumulated)
    return accumulated + change


class MinimumDueMode(StrEnum):
    """BAL-031."""

    FULL = "FULL"
    FIXED_AMOUNT = "FIXED_AMOUNT"


def minimum_due_settings(mode: MinimumDueMode, amount: int | None) -> tuple[MinimumDueMode, int]:
    """A valid configuration of the minimum due. Refusals AMOUNT_REQUIRED, MINIMUM_DUE_NEGATIVE."""
    if mode is MinimumDueMode.FIXED_AMOUNT and amount is None:
        raise refuse("AMOUNT_REQUIRED", "a fixed minimum due needs an amount", pointer="/amount")
    if amount is not None and amount < 0:
        raise refuse("MINIMUM_DUE_NEGATIVE", "a minimum due is never negative", pointer="/amount")
    return mode, amount or 0


def minimum_current(mode: MinimumDueMode, amount: int, remaining_due_at_issue: int) -> int:
    """What of a new invoice is due at least: all of it, or the smaller of that and the amount (BAL-031)."""
    return remaining_due_at_issue if mode is MinimumDueMode.FULL else min(amount, remaining_due_at_issue)


@dataclass(frozen=True, slots=True)
class InvoicePosition:
    """A live invoice (or a product's part of it) for the figures of section 3.

    `remaining_due_at_issue` and `minimum_current` are what it stored at its issue (BAL-031).
    """

    number: str
    period_start: dt.date
    issue_position: int
    due_date: dt.date
    remaining_due: int
    remaining_due_at_issue: int
    minimum_current: int
    open_credit: int = 0
    paid: int = 0

    @property
    def payable(self) -> int:
        return self.remaining_due - self.open_credit


def newest(invoices: Sequence[InvoicePosition]) -> InvoicePosition | None:
    """Latest period start, then latest issue (BAL-029)."""
    return max(invoices, key=lambda one: (one.period_start, one.issue_position), default=None)


@dataclass(frozen=True, slots=True)
class DueFigures:
    """Figures of BAL-029 to BAL-034 on a day. Always 0 ≤ past_due ≤ minimum_due."""

    newest_invoice_due: int
    prior_due: int
    minimum_due: int
    past_due: int
    prepaid: int

    @property
    def total_due(self) -> int:
        return self.newest_invoice_due + self.prior_due


def due_figures(invoices: Sequence[InvoicePosition], day: dt.date, member_overpayment: int = 0) -> DueFigures:
    """Dues of an account or product as of `day` from its live invoices (BAL-029, BAL-032 to BAL-034).

    An invoice is past due from the day after its due date. Raises BALANCE_CONSTRAINT_VIOLATED.
    """
    latest = newest(invoices)
    prepaid = sum(one.paid for one in invoices if one.due_date > day) + member_overpayment
    if latest is None:
        return DueFigures(0, 0, 0, 0, prepaid)
    older = [one for one in invoices if one is not latest]
    reduction = latest.remaining_due_at_issue - latest.remaining_due
    current = max(0, latest.minimum_current - reduction)
    minimum = sum(one.remaining_due for one in older) + current
    past = sum(one.remaining_due for one in older if one.due_date < day)
    if latest.due_date < day:
        past += current
    if not 0 <= past <= minimum:
        raise refuse("BALANCE_CONSTRAINT_VIOLATED", "past due lies outside the minimum due", past=past, minimum=minimum)
    return DueFigures(
        newest_invoice_due=latest.payable,
        prior_due=sum(one.payable for one in older),
        minimum_due=minimum,
        past_due=past,
        prepaid=prepaid,
    )


def minimum_due_at_issue(older: Iterable[InvoicePosition], current: int) -> int:
    """What the invoice stores at issue: remaining due of all older invoices + its own minimum (BAL-031)."""
    return sum(one.remaining_due for one in older) + current


def not_yet_billed(total_billable: int, total_billed_of_term: int) -> int:
    """What of a product's term is still to be billed (BAL-030)."""
    return total_billable - total_billed_of_term


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Three computations of one figure that do not agree (BAL-025)."""

    level: str
    key: str
    figure: str
    register: int
    aggregated: int
    from_statement: int

    @property
    def difference(self) -> int:
        """Largest distance between the three."""
        values = (self.register, self.aggregated, self.from_statement)
        return max(values) - min(values)


def discrepancies(
    level: str, key: str, register: Mapping[str, int], aggregated: Mapping[str, int], from_statement: Mapping[str, int]
) -> list[Discrepancy]:
    """Every figure in which register, transactions and statement differ; never corrected here (BAL-025)."""
    found = []
    for figure in sorted({*register, *aggregated, *from_statement}):
        values = [source.get(figure, 0) for source in (register, aggregated, from_statement)]
        if len(set(values)) > 1:
            found.append(Discrepancy(level, key, figure, *values))
    return found


def account_from_members(member_balances: Iterable[int], account_level_items: int, unapplied: int) -> int:
    """account_balance from its members: Σ member_balance + items without member − unapplied (BAL-021)."""
    return sum(member_balances) + account_level_items - unapplied


def contradictions(
    *,
    remaining_due: int,
    open_credit: int,
    total_billed: int,
    total_paid: int,
    written_off: int,
    buckets: Buckets,
) -> list[str]:
    """Which figures of an account cannot be right, whatever happened on it; nothing: they fit together (BAL-053).

    What is due less the credit left is what was billed less what was paid and written off, since a credit that was used
    took the same from both sides. Nothing of what is due, credited or kept is below zero.
    """
    found = []
    if remaining_due - open_credit != total_billed - total_paid - written_off:
        found.append("due_and_unpaid")
    parts = {
        "remaining_due": remaining_due,
        "open_credit": open_credit,
        "unapplied": buckets.unapplied,
        "member_unapplied": buckets.member_unapplied,
        "member_overpayment": buckets.member_overpayment,
    }
    return found + [name for name, amount in parts.items() if amount < 0]
