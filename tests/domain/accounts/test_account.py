"""The billing account as its events tell it: nothing of the invoicing grid is decided while they are read."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from application.accounts import schedule_events
from domain.accounts.account import (
    ACCOUNT,
    Account,
    InvoicingFrequencyChanged,
    InvoicingPeriodInvoiced,
    InvoicingPeriodSkipped,
    InvoicingScheduleConfigured,
    InvoicingStartDateReset,
    InvoicingStartDateSet,
)
from domain.calendar.frequency import Frequency
from domain.calendar.periods import GridSequence, InvoicingGrid
from domain.calendar.schedule import DueDayMode, Schedule
from domain.calendar.transitions import ScheduleFacts, configure

D = dt.date.fromisoformat

#: Monthly from January 2025, opened backwards by an older product: November 2024 was passed over, December invoiced.
MONTHLY = Schedule(frequency=Frequency.MONTHLY, due_day_mode=DueDayMode.PERIOD_START_OFFSET, generation_units=0)
HISTORY = (
    InvoicingScheduleConfigured(number="LB1", version=1, schedule=MONTHLY, changed=()),
    InvoicingStartDateSet(number="LB1", date=D("2025-01-01"), manual=False, frequency=Frequency.MONTHLY),
    InvoicingPeriodSkipped(number="LB1", period_start=D("2024-11-01"), period_end=D("2024-12-01")),
    InvoicingPeriodInvoiced(
        number="LB1",
        period_start=D("2024-12-01"),
        period_end=D("2025-01-01"),
        invoice="INV-1",
        due_date=D("2024-12-01"),
    ),
)


def history() -> Account:
    return ACCOUNT.fold(HISTORY)


@pytest.mark.rule("CAL-037", "CAL-051", "CAL-052")
def test_a_frequency_change_carries_the_start_of_the_earliest_fixed_period_and_the_grid_follows_it() -> None:
    account = history()
    facts = ScheduleFacts(grid=account.grid, fixed=account.fixed_periods())
    change = configure(account.schedule, {"frequency": Frequency.QUARTERLY}, facts)
    assert change.problems == ()
    _, changed = schedule_events(account, change)
    assert isinstance(changed, InvoicingFrequencyChanged)
    assert (changed.first_day, changed.fixed_from) == (D("2025-01-01"), D("2024-12-01"))
    after = ACCOUNT.evolve(account, changed)
    assert after.grid == change.grid
    assert after.grid is not None
    assert after.grid.sequences == (
        GridSequence(D("2024-12-01"), Frequency.MONTHLY),
        GridSequence(D("2025-01-01"), Frequency.QUARTERLY),
    )


@pytest.mark.rule("CAL-052")
def test_what_was_fixed_is_read_from_the_event_and_not_worked_out_again() -> None:
    decided = InvoicingFrequencyChanged(
        number="LB1",
        old=Frequency.MONTHLY,
        new=Frequency.QUARTERLY,
        reset=(),
        first_day=D("2025-01-01"),
        fixed_from=D("2024-11-01"),
    )
    earlier = ACCOUNT.evolve(history(), decided).grid
    fresh = ACCOUNT.evolve(history(), replace(decided, fixed_from=None)).grid
    assert earlier is not None
    assert fresh is not None
    assert earlier.sequences[0] == GridSequence(D("2024-11-01"), Frequency.MONTHLY)
    assert fresh.sequences == (GridSequence(D("2025-01-01"), Frequency.QUARTERLY),)


@pytest.mark.rule("CAL-042", "CAL-043")
def test_the_grid_starts_with_the_frequency_and_the_month_end_rule_that_the_event_tells() -> None:
    account = history()
    reset = InvoicingStartDateReset(
        number="LB1",
        old=D("2025-01-01"),
        date=D("2024-11-30"),
        frequency=Frequency.QUARTERLY,
        month_end_sticky=False,
    )
    assert ACCOUNT.evolve(account, reset).grid == InvoicingGrid.starting(D("2024-11-30"), Frequency.QUARTERLY, False)
    assert ACCOUNT.evolve(account, replace(reset, frequency=None)).grid is None
