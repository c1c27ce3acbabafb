"""Short ways to say dates, periods, schedules and terms in calendar tests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from itertools import islice
from typing import TypeVar

from hypothesis import settings

from domain.accounts.bill_type import BillType
from domain.calendar.frequency import Frequency
from domain.calendar.invoicing_terms import InvoicingTerms
from domain.calendar.periods import InvoicingGrid, Period
from domain.calendar.schedule import DueDayMode, GenerationOption, Schedule, TimeUnit, Timing
from domain.errors import Problem

T = TypeVar("T")
D = dt.date.fromisoformat
ONE_DAY = dt.timedelta(days=1)
#: Settings of property tests: no time limit an example, so that a busy machine proves nothing wrong.
LAW = settings(deadline=None)


def dates(*texts: str) -> list[dt.date]:
    """Dates from ISO texts; a text without a year takes the year of the one before."""
    result: list[dt.date] = []
    for text in texts:
        result.append(D(text if len(text) == 10 else f"{result[-1].year}-{text}"))
    return result


def spans(periods: Iterable[Period], count: int) -> list[str]:
    """The first `count` periods as `from..to`, with a trailing * on partial ones."""
    return [f"{item.start}..{item.to}{'*' if item.partial else ''}" for item in islice(periods, count)]


def take(items: Iterable[T], count: int) -> list[T]:
    """The first `count` items."""
    return list(islice(items, count))


def codes(problems: Iterable[Problem]) -> list[str]:
    """The codes of problems, in order."""
    return [problem.code for problem in problems]


def pointers(problems: Iterable[Problem]) -> list[str | None]:
    """The pointers of problems, in order."""
    return [problem.pointer for problem in problems]


def calendar_day(*due_days: int, frequency: Frequency = Frequency.MONTHLY, **values: object) -> Schedule:
    """A complete schedule due on calendar days, generated on the due date."""
    return _schedule(frequency, DueDayMode.CALENDAR_DAY, due_days=due_days, **values)


def period_start(day_offset: int = 0, frequency: Frequency = Frequency.MONTHLY, **values: object) -> Schedule:
    """A complete schedule due on the period start plus days."""
    return _schedule(frequency, DueDayMode.PERIOD_START_OFFSET, day_offset=day_offset, **values)


def last_day(frequency: Frequency = Frequency.MONTHLY, **values: object) -> Schedule:
    """A complete schedule due on the last day of the period."""
    return _schedule(frequency, DueDayMode.LAST_DAY_OF_PERIOD, **values)


def _schedule(frequency: Frequency, mode: DueDayMode, **values: object) -> Schedule:
    given = {
        "generation_option": GenerationOption.UNITS_IN_ADVANCE,
        "generation_units": 0,
        "generation_unit": TimeUnit.DAYS,
        "advanced_mode": True,
        **values,
    }
    return Schedule(frequency=frequency, due_day_mode=mode, **given)  # type: ignore[arg-type]


def terms_of(
    schedule: Schedule,
    start: str | None = None,
    *,
    grid: InvoicingGrid | None = None,
    bill_type: BillType | None = BillType.LIST_BILL,
    earliest: str | None = None,
    lead_time_days: int | None = None,
) -> InvoicingTerms:
    """The schedule on a fresh grid from an ISD, or on a given grid."""
    if grid is None:
        assert start is not None
        assert schedule.frequency is not None
        grid = InvoicingGrid.starting(D(start), schedule.frequency)
    first = D(earliest) if earliest else grid.invoicing_start
    return InvoicingTerms(schedule, grid, bill_type, first, lead_time_days)


ARREARS = Timing.ARREARS
ADVANCE = Timing.ADVANCE
ON_TIME = Timing.ON_TIME
