"""Paid-to-date: how far the money reaches, as the first day it does not (BAL-079 to BAL-103).

Two walks answer it. By invoice: periods from the first, as long as they are fully paid. By daily rate: days from the
start, as long as the accumulated rate is settled. The walk by days is defined day by day, and its answer is exactly
that; it is computed by segments of equal rate, because an account may have run for forty years. In a segment the number
of covered days is the largest k for which the accumulated rate still rounds to no more than what is settled:

    HALF_UP(c + k·r) ≤ settled    ⇔    c + k·r < settled + ½    ⇒    k = ⌈(settled + ½ − c) / r⌉ − 1

All dates are exclusive ends: the first day not covered. Amounts are minor units, rates exact minor units a day.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from domain.errors import InvariantError

_HALF = Fraction(1, 2)
_DAY = dt.timedelta(days=1)


class DayKind(StrEnum):
    """What a day of the unit is (BAL-083). ABSENT days are never covered, FREE ones at rate 0."""

    CHARGED = "CHARGED"
    FREE = "FREE"
    ABSENT = "ABSENT"


class Strategy(StrEnum):
    """BAL-081."""

    BY_INVOICE = "BY_INVOICE"
    DAILY_RATE = "DAILY_RATE"
    MAXIMUM = "MAXIMUM"


class CapReason(StrEnum):
    """Why a result is lower than the money would reach (BAL-102)."""

    CANCELLATION = "CANCELLATION"
    LAPSE = "LAPSE"
    MOVE = "MOVE"
    BILLED_END = "BILLED_END"


@dataclass(frozen=True, slots=True)
class RateSegment:
    """Days [start, end) of one kind at one rate, exact minor units a day (> 0 if and only if CHARGED)."""

    start: dt.date
    end: dt.date
    kind: DayKind
    daily: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        if self.start >= self.end or (self.daily > 0) is not (self.kind is DayKind.CHARGED) or self.daily < 0:
            raise InvariantError(f"not a rate segment: {self}")


def daily_annual(annual: int, days: int = 365) -> Fraction:
    """Annual premium ÷ 365, also in leap years (ANNUAL_365), or ÷ the days of the year (ANNUAL_ACTUAL) (BAL-084)."""
    return Fraction(annual, days)


def daily_modal(modal_premium: int, start: dt.date, end: dt.date) -> Fraction:
    """Modal premium ÷ days of its modal period [start, end): the basis of seasonal accounts (BAL-084)."""
    return Fraction(modal_premium, (end - start).days)


@dataclass(frozen=True, slots=True)
class Gap:
    """A seasonal gap [start, end)."""

    start: dt.date
    end: dt.date


@dataclass(frozen=True, slots=True)
class Absence:
    """Days [start, end) on which the unit is not there; `end` None: no return (BAL-095 to BAL-098)."""

    start: dt.date
    end: dt.date | None
    reason: CapReason


@dataclass(frozen=True, slots=True)
class UnitInvoice:
    """An invoice that carries an item of the unit for its own period (BAL-087).

    `fully_paid`: all items of the unit on it have collectible due 0, by payment, offset or eligible write-off.
    `billed`: positive billed amount of the unit on it; `signed`: its signed billed amount.
    """

    period_start: dt.date
    period_end: dt.date
    fully_paid: bool
    billed: int
    signed: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """Parameters `ptd.*` of the bill type or account."""

    strategy: Strategy = Strategy.MAXIMUM
    gap_credit: bool = True
    require_first_invoice_paid: bool = False
    cap_at_billed_end: bool = False


@dataclass(frozen=True, slots=True)
class PaidToDate:
    """An answer (BAL-102). `value` None: no day is covered. `placeholder` is shown then (BAL-093)."""

    value: dt.date | None
    by_invoice: dt.date | None
    daily_rate: dt.date | None
    strategy: Strategy
    placeholder: dt.date | None = None
    cap_reason: CapReason | None = None
    self_bill: bool = False

    @property
    def paid_to_date(self) -> dt.date | None:
        """First day not covered. SELF_BILL without a covered day: the policy effective date (BAL-093)."""
        return self.placeholder if self.value is None and self.self_bill else self.value

    @property
    def nothing_paid(self) -> bool:
        """No day is covered, also when some money lies on an item."""
        return self.value is None

    @property
    def paid_through(self) -> dt.date | None:
        """The last covered day (BAL-079)."""
        return None if self.value is None else self.value - _DAY

    @property
    def display_date(self) -> dt.date | None:
        """What operational views show: the value, or the placeholder, marked as such."""
        return self.value or self.placeholder


# --- The walk by days ------------------------------------------------------------------------------------------------


def walk_days(segments: Sequence[RateSegment], settled: int, *, free_until: dt.date | None = None) -> dt.date | None:
    """`ptd_daily_rate`: the day after the last covered day, or None (BAL-085, BAL-086).

    `segments` cover the unit from its start without overlap, ascending; days between them are ABSENT. `free_until`:
    FREE days are walked before this day only (see `free_limit`); None: without limit. Money left at the end of the last
    segment changes nothing: there are no further days.
    """
    reached: dt.date | None = None
    spent = Fraction(0)
    for segment in segments:
        if segment.kind is DayKind.ABSENT:
            continue
        days = (segment.end - segment.start).days
        if segment.kind is DayKind.FREE:
            covered = days if spent < settled + _HALF else 0
            if free_until is not None:
                covered = min(covered, max((free_until - segment.start).days, 0))
        else:
            covered = min(_covered_days(settled, spent, segment.daily), days)
        if covered:
            reached = segment.start + covered * _DAY
            spent += covered * segment.daily
        if covered < days:
            break
    return reached


def _covered_days(settled: int, spent: Fraction, daily: Fraction) -> int:
    """Largest k ≥ 0 with HALF_UP(spent + k·daily) ≤ settled, for settled ≥ 0."""
    room = settled + _HALF - spent
    return max(-((-room) // daily) - 1, 0)


def free_limit(last_invoiced_end: dt.date | None, gaps: Iterable[Gap]) -> dt.date | None:
    """Until when FREE days are walked: the last invoiced period's end, or that of a gap that adjoins it (BAL-085)."""
    if last_invoiced_end is None:
        return None
    return _over_gaps(last_invoiced_end, gaps)


def _over_gaps(day: dt.date, gaps: Iterable[Gap]) -> dt.date:
    for gap in sorted(gaps, key=lambda one: one.start):
        if gap.start <= day < gap.end:
            day = gap.end
    return day


def unit_segments(members: Iterable[Sequence[RateSegment]]) -> list[RateSegment]:
    """The segments of a TRUE_GROUP unit: rates of all members added day by day (BAL-084).

    A day is CHARGED if any member is charged, else FREE if any is there, else ABSENT. Cost grows with the number of
    segments, not with days × members.
    """
    rates: dict[dt.date, dict[int, int]] = {}
    present: dict[dt.date, int] = {}
    for segments in members:
        for segment in segments:
            if segment.kind is DayKind.ABSENT:
                continue
            for day, sign in ((segment.start, 1), (segment.end, -1)):
                present[day] = present.get(day, 0) + sign
                by_denominator = rates.setdefault(day, {})
                denominator = segment.daily.denominator
                by_denominator[denominator] = by_denominator.get(denominator, 0) + sign * segment.daily.numerator
    days = sorted(present)
    result: list[RateSegment] = []
    running: dict[int, int] = {}
    there = 0
    for place, day in enumerate(days[:-1]):
        there += present[day]
        for denominator, numerator in rates[day].items():
            running[denominator] = running.get(denominator, 0) + numerator
        rate = sum((Fraction(numerator, denominator) for denominator, numerator in running.items()), Fraction(0))
        kind = DayKind.CHARGED if rate > 0 else DayKind.FREE if there else DayKind.ABSENT
        end = days[place + 1]
        if result and result[-1].end == day and (result[-1].kind, result[-1].daily) == (kind, rate):
            result[-1] = RateSegment(result[-1].start, end, kind, rate)
        else:
            result.append(RateSegment(day, end, kind, rate))
    return result


# --- The walk by invoices --------------------------------------------------------------------------------------------


def walk_invoices(
    invoices: Sequence[UnitInvoice], *, gap_credit: bool = True, gaps: Sequence[Gap] = ()
) -> dt.date | None:
    """`ptd_invoice`: the exclusive end of the n-th invoice's period, or None (BAL-087 to BAL-089).

    n = fully paid invoices in a row from the first + (with `gap_credit`) fully paid ones after a gap with a positive
    amount. When every invoice before a seasonal gap is fully paid, a result at the gap's start moves to its end.
    """
    ordered = sorted(invoices, key=lambda one: (one.period_start, one.period_end))
    row = 0
    while row < len(ordered) and ordered[row].fully_paid:
        row += 1
    if row == 0:
        return None
    behind = sum(1 for one in ordered[row:] if one.fully_paid and one.billed > 0) if gap_credit else 0
    reached = ordered[row + behind - 1].period_end
    all_before_paid = all(one.fully_paid for one in ordered if one.period_end <= reached)
    return _over_gaps(reached, (gap for gap in gaps if gap.start == reached)) if all_before_paid else reached


# --- Results ---------------------------------------------------------------------------------------------------------


def choose(strategy: Strategy, by_invoice: dt.date | None, daily_rate: dt.date | None) -> dt.date | None:
    """The component the strategy asks for; MAXIMUM is the later one, a missing one being ignored (BAL-081)."""
    if strategy is Strategy.BY_INVOICE:
        return by_invoice
    if strategy is Strategy.DAILY_RATE:
        return daily_rate
    return max((one for one in (by_invoice, daily_rate) if one is not None), default=None)


def capped(
    value: dt.date | None, absences: Iterable[Absence], billed_end: dt.date | None = None
) -> tuple[dt.date | None, CapReason | None]:
    """The value below every absence it falls into, and the cap that lowered it (BAL-095 to BAL-099).

    A value inside (start, end] of an absence is its start: being absent is never being covered. `billed_end`: the end
    of the last invoiced period, with `ptd.cap_at_billed_end`.
    """
    if value is None:
        return None, None
    reason = None
    if billed_end is not None and value > billed_end:
        value, reason = billed_end, CapReason.BILLED_END
    for absence in sorted(absences, key=lambda one: one.start, reverse=True):
        if absence.start < value and (absence.end is None or value <= absence.end):
            value, reason = absence.start, absence.reason
    return value, reason


def paid_to_date(
    segments: Sequence[RateSegment],
    invoices: Sequence[UnitInvoice],
    settled: int,
    *,
    start: dt.date,
    gaps: Sequence[Gap] = (),
    absences: Sequence[Absence] = (),
    settings: Settings | None = None,
) -> PaidToDate:
    """The paid-to-date of a unit with rate segments: every bill type but SELF_BILL and FLEXIBILL (BAL-080 to BAL-099).

    `settled` as in BAL-082; `start` is the unit's start on the account, the placeholder; `absences` also cap the result
    by invoice (cancellation, lapse, move, return).
    """
    chosen = settings or Settings()
    last = max((one.period_end for one in invoices), default=None)
    if last is None:
        return PaidToDate(None, None, None, chosen.strategy, start)
    by_invoice = walk_invoices(invoices, gap_credit=chosen.gap_credit, gaps=gaps)
    daily = walk_days(segments, settled, free_until=free_limit(last, gaps))
    return _result(chosen, invoices, by_invoice, daily, absences, last, start)


def _result(
    settings: Settings,
    invoices: Sequence[UnitInvoice],
    by_invoice: dt.date | None,
    daily: dt.date | None,
    absences: Sequence[Absence],
    last_invoiced_end: dt.date,
    placeholder: dt.date,
    *,
    self_bill: bool = False,
) -> PaidToDate:
    value = choose(settings.strategy, by_invoice, daily)
    first = min(invoices, key=lambda one: one.period_start)
    if settings.require_first_invoice_paid and not first.fully_paid:
        value = None
    value, reason = capped(value, absences, last_invoiced_end if settings.cap_at_billed_end else None)
    if value is not None and value <= placeholder:
        value = None
    return PaidToDate(value, by_invoice, daily, settings.strategy, placeholder, reason, self_bill)


def self_bill_paid_to_date(
    invoices: Sequence[UnitInvoice],
    settled: int,
    *,
    effective: dt.date,
    expiration: dt.date | None = None,
    absences: Sequence[Absence] = (),
    settings: Settings | None = None,
) -> PaidToDate:
    """The paid-to-date of a master policy on a SELF_BILL account, by its average rate (BAL-090, BAL-093).

    `invoices`: the non-discarded invoices of the policy with their signed billed amounts; [effective, expiration) is
    the policy's term, a cancellation acts as absence only.
    """
    chosen = settings or Settings()
    if not invoices:
        return PaidToDate(None, None, None, chosen.strategy, effective, self_bill=True)
    by_invoice = walk_invoices(invoices, gap_credit=chosen.gap_credit)
    days = sum(
        max(
            (
                (min(one.period_end, expiration) if expiration else one.period_end) - max(one.period_start, effective)
            ).days,
            0,
        )
        for one in invoices
    )
    signed = sum(one.signed for one in invoices)
    daily = None
    if days and signed > 0:
        covered = _covered_days(settled, Fraction(0), Fraction(signed, days))
        daily = effective + covered * _DAY if covered else None
    last = max(one.period_end for one in invoices)
    return _result(chosen, invoices, by_invoice, daily, absences, last, effective, self_bill=True)


def member_of_group(unit: PaidToDate, effective: dt.date, absences: Sequence[Absence] = ()) -> PaidToDate:
    """A member's value on a TRUE_GROUP account, from the unit's (BAL-094 to BAL-098)."""
    value = None if unit.value is None or unit.value <= effective else unit.value
    value, reason = capped(value, absences)
    if value is not None and value <= effective:
        value = None
    return PaidToDate(value, unit.by_invoice, unit.daily_rate, unit.strategy, effective, reason or unit.cap_reason)


def settled_amount(
    paid: int,
    write_offs: Iterable[tuple[str, int]],
    member_overpayment: int,
    excluded_reasons: frozenset[str] = frozenset(),
) -> int:
    """Paid on the unit's items in force + active write-offs (reason, net amount) + overpayment (BAL-082)."""
    return paid + member_overpayment + sum(amount for reason, amount in write_offs if reason not in excluded_reasons)
