"""Due dates: from a period's boundary to the day its invoice is due, and what corrects that day.

    computed = base date -> due-day mode                                    a function of schedule, grid and period
    final    = computed -> past date -> business day -> previous invoice    fixed when the invoice is created

The base date is a boundary of the period (its start, or its last day in arrears) shifted by the due-date offset. A
boundary is never moved by days counted from another date: it is taken from the grid some steps away, so that month
ends stay month ends. CAL-056 to CAL-069; payment requests of self-bill accounts use the same functions.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from domain.calendar.business_calendar import BusinessCalendar, BusinessDayRule, business_day
from domain.calendar.frequency import Frequency
from domain.calendar.invoicing_terms import InvoicingTerms
from domain.calendar.months import add_months, day_of_month, month_number
from domain.calendar.periods import Period, aligned_date, index_at, start_of
from domain.calendar.schedule import DueDayMode, Timing

_DAY = dt.timedelta(days=1)
_HALF_MONTH = dt.timedelta(days=15)


class Correction(StrEnum):
    """What moved a final due date away from the computed one, in the order of application (CAL-056)."""

    PAST_DATE = "PAST_DATE"
    BUSINESS_DAY = "BUSINESS_DAY"
    SEQUENCE = "SEQUENCE"


@dataclass(frozen=True, slots=True)
class DueDate:
    """The due date of an invoice: as computed, as it finally is, and why they differ (CAL-065)."""

    computed: dt.date
    final: dt.date
    corrections: tuple[Correction, ...] = ()


def computed_due_date(terms: InvoicingTerms, period: Period) -> dt.date:
    """The computed due date of a period, also of an earlier sequence (CAL-056 to CAL-063).

    Semi-monthly calendar days take time in proportion to the number of the account's periods before it (CAL-061).
    """
    if not _semi_monthly_days(terms) or terms.grid.period_at(period.start) != period:
        # A discarded period of a grid that a rewrite has replaced has no neighbours in the present one (CAL-042).
        return _uncorrected(terms, period)
    for candidate, due in computed_due_dates(terms, _first_of_sequence(terms, period)):
        if candidate.start >= period.start:
            return due
    raise AssertionError("a grid has no end")


def computed_due_dates(terms: InvoicingTerms, first: Period) -> Iterator[tuple[Period, dt.date]]:
    """The periods from `first` on, without end, each with its computed due date.

    Under semi-monthly calendar days a date not later than the one before it in the same sequence is replaced by the
    next due-day date, so that two invoices never share one (CAL-061).
    """
    strict = _semi_monthly_days(terms)
    begin = _first_of_sequence(terms, first) if strict else first
    previous: dt.date | None = None
    sequence = -1
    for period in terms.grid.periods_from(begin.start):
        due = _uncorrected(terms, period)
        if strict:
            if sequence != terms.grid.sequence_index(period.start):
                sequence, previous = terms.grid.sequence_index(period.start), None
            if previous is not None and due <= previous:
                due = first_due_day_from(terms.schedule.due_days, previous + _DAY)
            previous = due if terms.grid.sequences[sequence].frequency is Frequency.SEMI_MONTHLY else None
        if period.start >= first.start:
            yield period, due


def final_due_date(
    terms: InvoicingTerms,
    period: Period,
    *,
    system_date: dt.date,
    previous_due: dt.date | None = None,
    rule: BusinessDayRule = BusinessDayRule.NONE,
    calendar: BusinessCalendar | None = None,
) -> DueDate:
    """The due date of an invoice or payment request created on `system_date` (CAL-064 to CAL-067).

    `previous_due` is the final due date of the non-discarded invoice of the nearest earlier period, None without one.
    """
    computed = computed_due_date(terms, period)
    corrections = []
    day = computed
    if day < system_date and not terms.flexibill:
        day = _first_not_past(terms, period, day, system_date)
        corrections.append(Correction.PAST_DATE)
    worked = business_day(day, rule, calendar, not_before=system_date)
    if worked != day:
        day = worked
        corrections.append(Correction.BUSINESS_DAY)
    if previous_due is not None and day < previous_due:
        day = previous_due
        corrections.append(Correction.SEQUENCE)
    return DueDate(computed, day, tuple(corrections))


def shifted(terms: InvoicingTerms, boundary: dt.date, offset: int) -> dt.date:
    """A period start shifted by the due-date offset, in months, cycles or, on FlexiBill, periods (CAL-057).

    The shift of a period's last day is that of the following period's start less one day.
    """
    if terms.flexibill:
        return _periods_away(terms, boundary, offset)
    return _shifted(terms, boundary, offset)


def _shifted(terms: InvoicingTerms, boundary: dt.date, offset: int) -> dt.date:
    """The shift by `offset` cycles (CYCLE) or months (PERIOD)."""
    if offset == 0:
        return boundary
    frequency = terms.frequency
    if frequency.is_cycle:
        return boundary + dt.timedelta(days=offset * frequency.days)
    aligned = _aligned_start(terms, boundary)
    if aligned is None:
        return add_months(boundary, offset)
    return aligned_date(terms.grid.invoicing_start, month_number(aligned) + offset, terms.grid.sticky) + (
        boundary - aligned
    )


def _aligned_start(terms: InvoicingTerms, boundary: dt.date) -> dt.date | None:
    """The aligned date a boundary is, or under SEMI_MONTHLY lies one half after; None when it is not aligned."""
    reference, sticky = terms.grid.invoicing_start, terms.grid.sticky
    for start in (boundary, boundary - _HALF_MONTH) if terms.frequency is Frequency.SEMI_MONTHLY else (boundary,):
        if start == aligned_date(reference, month_number(start), sticky):
            return start
    return None


def _periods_away(terms: InvoicingTerms, boundary: dt.date, count: int) -> dt.date:
    """The period start `count` periods (>= 0) after a boundary.

    Decision: in the sequence in force these are the grid's own periods, a stub counting as one. A boundary of a former
    sequence steps by the frequency in force, as every other shift does.
    """
    if count == 0:
        return boundary
    period = terms.grid.period_at(boundary)
    index = terms.grid.sequence_index(boundary)
    if period.start == boundary and index == len(terms.grid.sequences) - 1:
        for _ in range(count):
            period = terms.grid.period_after(period)
        return period.start
    frequency = terms.frequency
    if frequency.is_cycle:
        return _shifted(terms, boundary, count)
    if frequency.is_month_based:
        return _shifted(terms, boundary, count * frequency.months)
    if _aligned_start(terms, boundary) is not None:
        reference, sticky = terms.grid.invoicing_start, terms.grid.sticky
        return start_of(reference, frequency, index_at(reference, frequency, boundary, sticky) + count, sticky)
    months, half = divmod(count, 2)
    return add_months(boundary, months) + half * _HALF_MONTH


def _signed_offset(terms: InvoicingTerms) -> int:
    """The signed shift s (CAL-058)."""
    sign = {Timing.ARREARS: 1, Timing.ADVANCE: -1, Timing.ON_TIME: 0}[terms.schedule.timing]
    return sign * terms.schedule.due_date_offset


def _base_date(terms: InvoicingTerms, period: Period) -> dt.date:
    """The base date B (CAL-058)."""
    if terms.schedule.timing is Timing.ARREARS:
        return shifted(terms, period.end, _signed_offset(terms)) - _DAY
    return shifted(terms, period.start, _signed_offset(terms))


def _uncorrected(terms: InvoicingTerms, period: Period) -> dt.date:
    """The due date by the due-day mode, each period on its own (CAL-059, CAL-060, CAL-062, CAL-063)."""
    schedule = terms.schedule
    if schedule.due_day_mode is DueDayMode.CALENDAR_DAY:
        base = _base_date(terms, period)
        if terms.frequency is Frequency.SEMI_MONTHLY:
            return nearest_due_day(schedule.due_days, base)
        if schedule.timing is Timing.ADVANCE:
            return last_due_day_to(schedule.due_days, base)
        return first_due_day_from(schedule.due_days, base)
    return _in_period(terms, shifted(terms, _mode_boundary(terms, period), _signed_offset(terms)))


def _mode_boundary(terms: InvoicingTerms, period: Period) -> dt.date:
    """The boundary that a period mode shifts: the period's start, or the following period's."""
    return period.end if terms.schedule.due_day_mode is DueDayMode.LAST_DAY_OF_PERIOD else period.start


def _in_period(terms: InvoicingTerms, boundary: dt.date) -> dt.date:
    """The due date of a period mode at a shifted boundary (CAL-062, CAL-063)."""
    if terms.schedule.due_day_mode is DueDayMode.LAST_DAY_OF_PERIOD:
        return boundary - _DAY
    if terms.schedule.due_day_mode is DueDayMode.PERIOD_START_OFFSET:
        return boundary + dt.timedelta(days=terms.schedule.day_offset)
    raise ValueError("an incomplete schedule has no dates")


def _first_not_past(terms: InvoicingTerms, period: Period, due: dt.date, system_date: dt.date) -> dt.date:
    """The first valid due date on or after the system date, for one that lies before it (CAL-064)."""
    if terms.schedule.due_day_mode is DueDayMode.CALENDAR_DAY:
        return first_due_day_from(terms.schedule.due_days, system_date)
    frequency = terms.frequency
    boundary, offset = _mode_boundary(terms, period), _signed_offset(terms)
    semi_monthly = frequency is Frequency.SEMI_MONTHLY
    # No step is longer than this, so that fewer steps cannot reach the system date.
    longest = frequency.days if frequency.is_cycle else 31
    if semi_monthly and _aligned_start(terms, boundary) is None:
        longest = 366
    steps = max(1, (system_date - due).days // longest)
    while True:
        if semi_monthly:
            moved = _shifted(terms, _boundary_of_following(terms, boundary, steps), offset)
        else:
            moved = _shifted(terms, boundary, offset + steps)
        if _in_period(terms, moved) >= system_date:
            return _in_period(terms, moved)
        steps += 1


def _boundary_of_following(terms: InvoicingTerms, boundary: dt.date, steps: int) -> dt.date:
    """A semi-monthly boundary `steps` periods later: by halves where it is one, else along the grid (CAL-064)."""
    reference, sticky = terms.grid.invoicing_start, terms.grid.sticky
    if _aligned_start(terms, boundary) is not None:
        k = index_at(reference, Frequency.SEMI_MONTHLY, boundary, sticky)
        return start_of(reference, Frequency.SEMI_MONTHLY, k + steps, sticky)
    period = terms.grid.period_at(boundary)
    for _ in range(steps):
        period = terms.grid.period_after(period)
    return period.start


def _semi_monthly_days(terms: InvoicingTerms) -> bool:
    return terms.frequency is Frequency.SEMI_MONTHLY and terms.schedule.due_day_mode is DueDayMode.CALENDAR_DAY


def _first_of_sequence(terms: InvoicingTerms, period: Period) -> Period:
    """The first period of the sequence that holds the period: the earliest of the account, or the stub (CAL-061)."""
    grid = terms.grid
    index = grid.sequence_index(period.start)
    return grid.period_at(grid.sequences[index].first_day if index else min(terms.earliest, period.start))


def first_due_day_from(due_days: tuple[int, ...], day: dt.date) -> dt.date:
    """The first due-day date on or after the day; due-day dates are `min(due day, L)` of each month (CAL-059)."""
    month = month_number(day)
    return min(date for at in (month, month + 1) for due_day in due_days if (date := day_of_month(at, due_day)) >= day)


def last_due_day_to(due_days: tuple[int, ...], day: dt.date) -> dt.date:
    """The last due-day date on or before the day."""
    month = month_number(day)
    return max(date for at in (month - 1, month) for due_day in due_days if (date := day_of_month(at, due_day)) <= day)


def nearest_due_day(due_days: tuple[int, ...], day: dt.date) -> dt.date:
    """The due-day date nearest to the day; of two equally near ones the later (CAL-060)."""
    later, earlier = first_due_day_from(due_days, day), last_due_day_to(due_days, day)
    return later if later - day <= day - earlier else earlier
