"""A member's figures for other systems: totals as of a date, and the position against earned premium (BAL-104 to 112).

They are asked over all accounts the member was ever billed on, for a date in the past, so they are computed from dated
items and transactions, not from today's balances. Amounts in minor units of one currency; dates inclusive unless said.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from domain.balances.paid_to_date import DayKind, RateSegment
from domain.errors import Problem, Refusal
from domain.money import half_up
from domain.payments.classification import AccountKind

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class MemberItem:
    """A net line of the member on an invoice of a supported account.

    `home_start`, `home_end`: the invoicing period [start, end) in which the item's covered period starts, whatever
    invoice carries it (BAL-110). `discarded_on`: the day its invoice was discarded, None while it is live.
    """

    item: tuple[str, int]
    issue_date: dt.date
    due_date: dt.date
    billed: int
    home_start: dt.date
    home_end: dt.date
    discarded_on: dt.date | None = None

    def stood(self, day: dt.date) -> bool:
        """Whether the item's invoice was issued by and live at the end of the day."""
        return self.issue_date <= day and (self.discarded_on is None or self.discarded_on > day)


@dataclass(frozen=True, slots=True)
class MemberTransaction:
    """What a dated transaction did to an item: signed changes of paid, written off, and offset (or applied credit)."""

    item: tuple[str, int]
    date: dt.date
    paid: int = 0
    written_off: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class MemberTotals:
    """`memberPaymentState` (LED-066): what is still due, and what was paid."""

    total_remaining_due: int
    total_paid: int


def request_problems(as_of: dt.date | None, end: dt.date | None, today: dt.date) -> list[Problem]:
    """As-of after today, or a date missing (BAL-107)."""
    problems = []
    if as_of is None or as_of > today:
        problems.append(Problem("REQUEST_INVALID", "the as-of date is missing or lies in the future", pointer="/as_of"))
    if end is None:
        problems.append(Problem("REQUEST_INVALID", "the end date is missing", pointer="/end_date"))
    return problems


def member_scope(known: bool, kinds: Iterable[AccountKind]) -> tuple[Problem, ...]:
    """Warnings about the accounts a member was ever on (BAL-107).

    Refusals MEMBER_RECORD_NOT_FOUND, and MEMBER_SCOPE_UNSUPPORTED when no account keeps figures by member.
    """
    if not known:
        raise Refusal(Problem("MEMBER_RECORD_NOT_FOUND", "there is no such member record"))
    on = set(kinds)
    supported = {kind for kind in on if kind.member_level}
    if on and not supported:
        raise Refusal(
            Problem("MEMBER_SCOPE_UNSUPPORTED", "the member was only on accounts that keep no figures by member")
        )
    if on - supported:
        return (Problem("PARTIAL_SCOPE", "accounts that keep no figures by member are left out"),)
    return ()


def member_totals(
    items: Sequence[MemberItem], transactions: Iterable[MemberTransaction], as_of: dt.date, end: dt.date
) -> MemberTotals:
    """Totals over documents issued ≤ as-of (and, for what is due, due ≤ end), transactions ≤ as-of (BAL-104 to 106)."""
    standing = {one.item: one for one in items if one.stood(as_of)}
    effects = _effects(transactions, as_of)
    remaining = paid = 0
    for key, one in standing.items():
        happened = effects.get(key, _Effects())
        paid += happened.paid
        if one.due_date <= end:
            sign = 1 if one.billed > 0 else -1
            remaining += one.billed - happened.paid - happened.written_off - sign * happened.offset
    return MemberTotals(remaining, paid)


@dataclass(slots=True)
class _Effects:
    paid: int = 0
    written_off: int = 0
    offset: int = 0


def _effects(transactions: Iterable[MemberTransaction], as_of: dt.date) -> dict[tuple[str, int], _Effects]:
    found: dict[tuple[str, int], _Effects] = {}
    for one in transactions:
        if one.date <= as_of:
            effect = found.setdefault(one.item, _Effects())
            effect.paid += one.paid
            effect.written_off += one.written_off
            effect.offset += one.offset
    return found


@dataclass(frozen=True, slots=True)
class InvoicedPeriod:
    """An invoiced period [start, end) of one account, what was billed for it, and the member's rates in it."""

    start: dt.date
    end: dt.date
    billed: int
    segments: tuple[RateSegment, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class BillablePosition:
    """`memberBillablePosition` (LED-069): positive is paid but not yet earned, negative is owed (BAL-109)."""

    total_paid: int
    member_overpayment: int
    total_due: int
    projected_due: int

    @property
    def total_billable_amount(self) -> int:
        return self.total_paid + self.member_overpayment - self.total_due - self.projected_due


def billable_position(
    items: Sequence[MemberItem],
    transactions: Sequence[MemberTransaction],
    periods: Iterable[InvoicedPeriod],
    member_overpayment: int,
    day: dt.date,
) -> BillablePosition:
    """The position on a day (BAL-109 to BAL-112). `member_overpayment` as of that day.

    Without a complete period and an invoiced period that contains the day everything is 0.00 (BAL-112).
    """
    complete = [one for one in items if one.stood(day) and one.home_end <= day + _DAY]
    running = [one for one in periods if one.start <= day < one.end]
    if not complete and not running:
        return BillablePosition(0, 0, 0, 0)
    effects = _effects(transactions, day)
    due = sum(one.billed - effects.get(one.item, _Effects()).written_off for one in complete)
    standing = {one.item for one in items if one.stood(day)}
    return BillablePosition(
        total_paid=sum(effect.paid for key, effect in effects.items() if key in standing),
        member_overpayment=member_overpayment,
        total_due=due,
        projected_due=sum(projected_due(one, day) for one in running),
    )


def billed_of_running_periods(
    items: Iterable[tuple[str, MemberItem]], day: dt.date
) -> dict[tuple[str, dt.date, dt.date], int]:
    """What was billed for the periods that contain the day, by account, start and end; items with their account."""
    billed: dict[tuple[str, dt.date, dt.date], int] = {}
    for account, one in items:
        if one.stood(day) and one.home_start <= day < one.home_end:
            key = (account, one.home_start, one.home_end)
            billed[key] = billed.get(key, 0) + one.billed
    return billed


def projected_due(period: InvoicedPeriod, day: dt.date) -> int:
    """Premium of the period's days up to and including `day`, HALF_UP once, at most what was billed (BAL-111).

    On the period's last day 0: the period is complete then.
    """
    if not period.start <= day < period.end - _DAY:
        return 0
    earned = Fraction(0)
    for segment in period.segments:
        if segment.kind is DayKind.CHARGED:
            first, last = max(segment.start, period.start), min(segment.end, day + _DAY)
            earned += max((last - first).days, 0) * segment.daily
    return min(half_up(earned), period.billed)
