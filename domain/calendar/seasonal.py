"""Seasonal gaps: months of every year in which a group is not invoiced, while its coverage goes on.

A period is a gap when its first day lies in a gap month, so a period is a gap as a whole or not at all (CAL-084). Gaps
are stored as a tuple of months 1 to 12 in order; no months means seasonal billing is off.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from domain.accounts.bill_type import AllocationMode, BillType
from domain.calendar.frequency import Frequency
from domain.calendar.periods import InvoicingGrid, Period
from domain.calendar.schedule import SHIPPED_PARAMETERS, Schedule, ScheduleParameters
from domain.errors import Problem

Months = tuple[int, ...]
_DAY = dt.timedelta(days=1)


def is_gap(period: Period, gaps: Months) -> bool:
    """Whether the period is a gap period: its `from` lies in a gap month (CAL-084)."""
    return period.start.month in gaps


def gap_end(grid: InvoicingGrid, period: Period, gaps: Months) -> dt.date:
    """The last day, inclusive, up to which coverage goes on without an invoice after the period (CAL-088).

    That of the run of gap periods that follows the period at once; the period's own last day when none follows.
    """
    last = period
    following = grid.period_after(period)
    while is_gap(following, gaps):
        last, following = following, grid.period_after(following)
    return last.to


def next_active_period(grid: InvoicingGrid, day: dt.date, gaps: Months) -> Period:
    """The first period that is no gap and ends after the day: it takes what is dated or received on it (CAL-089)."""
    return next(period for period in grid.periods_from(day) if not is_gap(period, gaps))


def named_period_problems(period: Period, gaps: Months, pointer: str = "/period") -> list[Problem]:
    """SEASONAL_GAP when someone names a gap period for an invoice, draft or payment request (CAL-087)."""
    if not is_gap(period, gaps):
        return []
    return [Problem("SEASONAL_GAP", "The period lies in a seasonal gap", pointer)]


def active_period_count(gaps: Months) -> int:
    """The paymode of a seasonal account: twelve less its gaps (CAL-085)."""
    return 12 - len(gaps)


def listed_dates(dates: Iterable[dt.date], grid: InvoicingGrid, gaps: Months) -> Iterator[dt.date]:
    """Deduction dates that are listed and matched: all but those in a gap period, which move nothing (CAL-094)."""
    return (day for day in dates if not is_gap(grid.period_at(day), gaps))


def condition_problems(
    schedule: Schedule, bill_type: BillType | None, parameters: ScheduleParameters = SHIPPED_PARAMETERS
) -> list[Problem]:
    """What is wrong with the seasonal side of a schedule: bill type, frequency, number of gaps (CAL-083, CAL-085).

    ADVANCED_MODE_REQUIRED is left to the check of all advanced values.
    """
    problems = []
    if schedule.seasonal_billing:
        if bill_type not in {BillType.LIST_BILL, None}:
            problems.append(
                Problem("SEASONAL_NOT_ALLOWED", "Seasonal gaps are for list bill accounts", "/seasonal_billing")
            )
        if schedule.frequency is not None and schedule.frequency not in parameters.seasonal_frequencies:
            problems.append(Problem("SEASONAL_REQUIRES_MONTHLY", "Seasonal gaps need monthly invoicing", "/frequency"))
    if any(not 1 <= month <= 12 for month in schedule.seasonal_gaps):
        problems.append(Problem("REQUEST_INVALID", "Gaps are months 1 to 12", "/seasonal_gaps"))
    elif not (1 <= len(schedule.seasonal_gaps) <= 11 if schedule.seasonal_billing else not schedule.seasonal_gaps):
        problems.append(
            Problem(
                "SEASONAL_GAP_COUNT_INVALID",
                "Seasonal billing has 1 to 11 gap months, switched off it has none",
                "/seasonal_gaps",
                params={"count": len(schedule.seasonal_gaps)},
            )
        )
    return problems


def lock_problems(current: Schedule | None, proposed: Schedule, locked: bool) -> list[Problem]:
    """SEASONAL_LOCKED when the gaps would change while issued or paid invoices stand (CAL-090).

    `locked`: a non-discarded invoice of the account is ISSUED, PARTIALLY_PAID or PAID.
    """
    before = current.seasonal_gaps if current is not None else ()
    if not locked or before == proposed.seasonal_gaps:
        return []
    return [Problem("SEASONAL_LOCKED", "Issued or paid invoices fix the seasonal gaps", "/seasonal_gaps")]


@dataclass(frozen=True, slots=True)
class SeasonalChange:
    """What a saved change of gaps says to the premium side (CAL-091)."""

    old: Months
    new: Months

    @property
    def active_period_count(self) -> int:
        """Invoiced periods of a year from now on."""
        return active_period_count(self.new)


def seasonal_change(current: Schedule | None, saved: Schedule) -> SeasonalChange | None:
    """The change of the gap set, None when it is the same set (CAL-091)."""
    before = current.seasonal_gaps if current is not None else ()
    return None if before == saved.seasonal_gaps else SeasonalChange(before, saved.seasonal_gaps)


def modality_problems(
    allocation_mode: AllocationMode, frequency: Frequency, gaps: Months, modality: Frequency, pointer: str = "/modality"
) -> list[Problem]:
    """MODALITY_LOCKED_BY_SEASONAL for another modality than the locked one (CAL-092, MEM-112).

    With gaps, TRUE_GROUP follows the invoicing frequency and INDIVIDUAL the monthly payroll calendar of CAL-093.
    """
    locked_to = frequency if allocation_mode is AllocationMode.TRUE_GROUP else Frequency.MONTHLY
    if not gaps or modality is locked_to:
        return []
    return [
        Problem(
            "MODALITY_LOCKED_BY_SEASONAL",
            "Seasonal billing fixes the modality",
            pointer,
            params={"locked_to": str(locked_to)},
        )
    ]
