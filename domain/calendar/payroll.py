"""Deduction dates: on which days an employer takes premium from the payroll, and how a rewrite shifts them.

The dates of a payroll calendar are a function of its frequency, start date and payroll days; each is computed from the
payroll day and never from the date before it, so day 31 comes back after a February. No business calendar moves them
(CAL-111). What an invoice has already used is protected: a new sequence takes over only after it (CAL-113).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count, pairwise, takewhile

from domain.calendar.frequency import Frequency
from domain.calendar.months import add_months, day_of_month, month_number
from domain.errors import Problem

PAYROLL_FREQUENCIES = (Frequency.WEEKLY, Frequency.BIWEEKLY, Frequency.SEMI_MONTHLY, Frequency.MONTHLY)


@dataclass(frozen=True, slots=True)
class PayrollPattern:
    """What a deduction sequence is a function of.

    `payroll_days` is one ISO weekday (WEEKLY, BIWEEKLY), one day of the month (MONTHLY) or two in order (SEMI_MONTHLY).
    """

    frequency: Frequency
    start_date: dt.date
    payroll_days: tuple[int, ...]

    def dates(self) -> Iterator[dt.date]:
        """The deduction dates on or after the start date, strictly increasing, without end (CAL-107 to CAL-110)."""
        if self.frequency.is_cycle:
            first = self.start_date + dt.timedelta(days=(self.payroll_days[0] - self.start_date.isoweekday()) % 7)
            return (first + dt.timedelta(days=k * self.frequency.days) for k in count())
        return self._days_of_months()

    def dates_to(self, last: dt.date) -> tuple[dt.date, ...]:
        """The deduction dates from the start date to `last`, inclusive."""
        return tuple(takewhile(lambda day: day <= last, self.dates()))

    def _days_of_months(self) -> Iterator[dt.date]:
        previous = None
        for month in count(month_number(self.start_date)):
            for payroll_day in self.payroll_days:
                day = day_of_month(month, payroll_day)
                if day >= self.start_date and day != previous:
                    yield day
                    previous = day


def payroll_problems(
    frequency: Frequency | None,
    start_date: dt.date | None,
    payroll_days: Sequence[int] | None,
    *,
    tied_to: Frequency | None = None,
) -> list[Problem]:
    """What is wrong with a payroll calendar as asked for (CAL-015, CAL-105, CAL-106).

    `tied_to` is the payroll frequency of an account used under PER_PAYROLL_FREQUENCY. PAYROLL_CALENDAR_INCOMPLETE names
    each missing attribute; PAYROLL_DAY_INVALID, PAYROLL_FREQUENCY_MISMATCH.
    """
    days = tuple(payroll_days or ())
    needed = 2 if frequency is Frequency.SEMI_MONTHLY else 1
    missing = {
        "payroll_frequency": frequency is None,
        "start_date": start_date is None,
        "payroll_days": len(days) < needed,
    }
    problems = [
        Problem("PAYROLL_CALENDAR_INCOMPLETE", f"{name} is missing", f"/{name}", params={"attribute": name})
        for name, lacks in missing.items()
        if lacks
    ]
    if frequency is not None and frequency not in PAYROLL_FREQUENCIES:
        problems.append(Problem("REQUEST_INVALID", "Not a payroll frequency", "/payroll_frequency"))
    highest = 7 if frequency is not None and frequency.is_cycle else 31
    if days and (len(days) > needed or len(set(days)) != len(days) or any(not 1 <= day <= highest for day in days)):
        problems.append(
            Problem(
                "PAYROLL_DAY_INVALID",
                "A payroll day is an ISO weekday 1 to 7, or one or two different days 1 to 31",
                "/payroll_days",
                params={"maximum": highest},
            )
        )
    if tied_to is not None and frequency is not None and frequency is not tied_to:
        problems.append(
            Problem(
                "PAYROLL_FREQUENCY_MISMATCH",
                "The account serves another payroll frequency",
                "/payroll_frequency",
                params={"payroll_frequency": str(tied_to)},
            )
        )
    return problems


def sequence_faults(pattern: PayrollPattern, dates: Sequence[dt.date]) -> list[str]:
    """What a reader would find wrong with a sequence of the pattern, checked apart from how it was made (CAL-112).

    Weekday, day or limited day, interval, strictly increasing, nothing before the start date; empty when it is right.
    """
    faults = [f"{day} is before the start date" for day in dates if day < pattern.start_date]
    faults += [f"{later} does not follow {earlier}" for earlier, later in pairwise(dates) if later <= earlier]
    if pattern.frequency.is_cycle:
        faults += [f"{day} is another weekday" for day in dates if day.isoweekday() != pattern.payroll_days[0]]
        faults += [
            f"{earlier} and {later} are not {pattern.frequency.days} days apart"
            for earlier, later in pairwise(dates)
            if (later - earlier).days != pattern.frequency.days
        ]
        return faults
    for day in dates:
        last_of_month = (day + dt.timedelta(days=1)).day == 1
        if day.day not in pattern.payroll_days and not (last_of_month and max(pattern.payroll_days) > day.day):
            faults.append(f"{day} is no payroll day")
    faults += [
        f"a month is missing between {earlier} and {later}"
        for earlier, later in pairwise(dates)
        if month_number(later) - month_number(earlier) > 1
    ]
    return faults


def protected(
    former: Iterable[dt.date], following: Iterable[dt.date], invoiced_to: dt.date | None
) -> tuple[dt.date, ...]:
    """Former dates up to E, then the new sequence after E (CAL-113).

    `invoiced_to` is E, the last day, inclusive, of the latest period with a non-discarded invoice; None: the whole
    sequence is new.
    """
    if invoiced_to is None:
        return tuple(following)
    kept = (day for day in former if day <= invoiced_to)
    return (*kept, *(day for day in following if day > invoiced_to))


def horizon_end(system_date: dt.date, months: int) -> dt.date:
    """The last day up to which deduction dates exist: `payroll.horizon_months` ahead of the system date (CAL-111)."""
    return add_months(system_date, months)


class ShiftUnit(StrEnum):
    """Unit of a deduction start shift (CAL-119)."""

    MONTHS = "MONTHS"
    DAYS = "DAYS"


@dataclass(frozen=True, slots=True)
class StartShift:
    """By how much deduction starts move: `amount` units, negative for an earlier effective date (CAL-116)."""

    unit: ShiftUnit
    amount: int

    def apply(self, start: dt.date) -> dt.date:
        """The shifted start date; months by plain month arithmetic (CAL-116)."""
        if self.unit is ShiftUnit.MONTHS:
            return add_months(start, self.amount)
        return start + dt.timedelta(days=self.amount)


def start_shift(old_effective: dt.date, new_effective: dt.date) -> StartShift | None:
    """The shift of a rewrite: whole months when the day of the month is the same, else days; None without a change."""
    if old_effective == new_effective:
        return None
    if old_effective.day == new_effective.day:
        return StartShift(ShiftUnit.MONTHS, month_number(new_effective) - month_number(old_effective))
    return StartShift(ShiftUnit.DAYS, (new_effective - old_effective).days)


def seasonal_pattern(earliest_effective: dt.date) -> PayrollPattern:
    """The monthly calendar that seasonal billing gives an INDIVIDUAL account (CAL-093)."""
    return PayrollPattern(Frequency.MONTHLY, earliest_effective, (earliest_effective.day,))
