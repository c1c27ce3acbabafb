"""Working days: the weekend, the holidays and the working weekends of a business calendar, and what jobs make of them.

A business calendar moves the processing date of job runs and, only where a rule says so, due dates. It never moves a
period boundary, a modal period, a payroll deduction date, an installment due date or a generation date (CAL-012).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class BusinessCalendar:
    """Which days are worked: `weekend_days` are ISO weekdays (1 Monday to 7 Sunday), at most six of them (CAL-001)."""

    weekend_days: frozenset[int]
    holidays: frozenset[dt.date] = frozenset()
    working_weekends: frozenset[dt.date] = frozenset()

    def __post_init__(self) -> None:
        if len(self.weekend_days) > 6 or not self.weekend_days <= frozenset(range(1, 8)):
            raise ValueError("weekend days are at most six ISO weekdays")

    def is_working_day(self, day: dt.date) -> bool:
        """A working weekend date, or neither a weekend day nor a holiday (CAL-004)."""
        if day in self.working_weekends:
            return True
        return day.isoweekday() not in self.weekend_days and day not in self.holidays

    def next_working_day(self, day: dt.date) -> dt.date:
        """The first working day strictly after the day (CAL-004)."""
        following = day + _DAY
        while not self.is_working_day(following):
            following += _DAY
        return following

    def previous_working_day(self, day: dt.date) -> dt.date:
        """The last working day strictly before the day (CAL-004)."""
        earlier = day - _DAY
        while not self.is_working_day(earlier):
            earlier -= _DAY
        return earlier


class NonWorkingDayMode(StrEnum):
    """What a job does on a non-working run date (CAL-005)."""

    NONE = "NONE"
    POSTPONE = "POSTPONE"
    IN_ADVANCE = "IN_ADVANCE"


#: Shipped values of `job.invoice_generation.non_working_day_mode` and `job.draft_bill.non_working_day_mode` (CAL-006).
INVOICE_GENERATION_MODE = NonWorkingDayMode.POSTPONE
DRAFT_BILL_MODE = NonWorkingDayMode.NONE


def processing_date(run_date: dt.date, mode: NonWorkingDayMode, calendar: BusinessCalendar | None) -> dt.date | None:
    """The date up to which a run takes due items, inclusive; None when it skips the calendar's accounts (CAL-005).

    With `NONE` the calendar is not read and may be None (CAL-006); with another mode it must be given.
    """
    if mode is NonWorkingDayMode.NONE:
        return run_date
    if calendar is None:
        raise ValueError(f"mode {mode} needs a calendar")
    if calendar.is_working_day(run_date):
        return run_date
    return None if mode is NonWorkingDayMode.POSTPONE else calendar.next_working_day(run_date)


class BusinessDayRule(StrEnum):
    """Parameter `due_date.business_day_rule` (CAL-066)."""

    NONE = "NONE"
    NEXT = "NEXT"
    PREVIOUS = "PREVIOUS"


def business_day(
    day: dt.date, rule: BusinessDayRule, calendar: BusinessCalendar | None, not_before: dt.date
) -> dt.date:
    """The due date moved to a working day; PREVIOUS turns to the next one rather than go before `not_before` (CAL-066).

    Without a calendar every day counts as worked.
    """
    if rule is BusinessDayRule.NONE or calendar is None or calendar.is_working_day(day):
        return day
    if rule is BusinessDayRule.PREVIOUS:
        earlier = calendar.previous_working_day(day)
        if earlier >= not_before:
            return earlier
    return calendar.next_working_day(day)
