"""Seasonal gaps, schedule side."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts.bill_type import AllocationMode, BillType
from domain.calendar.frequency import Frequency
from domain.calendar.periods import InvoicingGrid
from domain.calendar.schedule import ScheduleParameters
from domain.calendar.seasonal import (
    SeasonalChange,
    active_period_count,
    gap_end,
    is_gap,
    modality_problems,
    named_period_problems,
    next_active_period,
)
from domain.calendar.transitions import ScheduleChange, ScheduleFacts, change_gaps, configure
from tests.domain.calendar.builders import LAW, D, calendar_day, codes, take

GRID = InvoicingGrid.starting(D("2024-01-01"), Frequency.MONTHLY)
FACTS = ScheduleFacts(bill_type=BillType.LIST_BILL, active=True, grid=GRID)
PLAIN = calendar_day(5)
SUMMER = calendar_day(5, seasonal_billing=True, seasonal_gaps=(6, 7, 8))


def refused(change: ScheduleChange) -> list[str]:
    return codes(change.problems)


@pytest.mark.rule("CAL-083")
def test_gaps_need_list_bill_monthly_and_advanced_mode() -> None:
    assert refused(change_gaps(PLAIN, True, [7], FACTS)) == []
    assert refused(change_gaps(PLAIN, True, [7], replace(FACTS, bill_type=None))) == []
    for bill_type in (BillType.SELF_BILL, BillType.INDIVIDUAL_DIRECT):
        assert refused(change_gaps(PLAIN, True, [7], replace(FACTS, bill_type=bill_type))) == ["SEASONAL_NOT_ALLOWED"]
    quarterly = calendar_day(5, frequency=Frequency.QUARTERLY)
    assert refused(change_gaps(quarterly, True, [7], FACTS)) == ["SEASONAL_REQUIRES_MONTHLY"]
    simple = calendar_day(5, advanced_mode=False)
    assert set(refused(change_gaps(simple, True, [7], FACTS))) == {"ADVANCED_MODE_REQUIRED"}
    wide = ScheduleParameters(seasonal_frequencies=frozenset({Frequency.MONTHLY, Frequency.SEMI_MONTHLY}))
    semi = calendar_day(5, 20, frequency=Frequency.SEMI_MONTHLY)
    assert refused(change_gaps(semi, True, [7], replace(FACTS, parameters=wide))) == []


@pytest.mark.rule("CAL-084")
def test_a_period_is_a_gap_by_its_first_day_in_every_year() -> None:
    grid = InvoicingGrid.starting(D("2024-06-15"), Frequency.MONTHLY)
    for year in (2024, 2025, 2031):
        found = [is_gap(grid.period_at(D(f"{year}-{day}")), (7,)) for day in ("07-14", "07-15", "08-14", "08-15")]
        assert found == [False, True, True, False]


@pytest.mark.rule("CAL-085", "CAL-E15")
@pytest.mark.parametrize("months", [[], list(range(1, 13))])
def test_1_to_11_months_must_be_chosen(months: list[int]) -> None:
    assert refused(change_gaps(PLAIN, True, months, FACTS)) == ["SEASONAL_GAP_COUNT_INVALID"]
    assert refused(change_gaps(PLAIN, False, [7], FACTS)) == ["SEASONAL_GAP_COUNT_INVALID"]
    for outside in (0, 13):
        assert refused(change_gaps(PLAIN, True, [outside, 7], FACTS)) == ["REQUEST_INVALID"]
    for count in (1, 11):
        assert refused(change_gaps(PLAIN, True, range(2, 2 + count), FACTS)) == []
    assert refused(change_gaps(PLAIN, True, [1, 12], FACTS)) == []


@pytest.mark.rule("CAL-085")
def test_the_paymode_is_twelve_less_the_gaps_and_switched_off_there_are_none() -> None:
    assert active_period_count((6, 7, 8)) == 9
    change = configure(SUMMER, {"seasonal_billing": False}, FACTS)
    assert (change.problems, change.schedule.seasonal_gaps) == ((), ())
    assert change.seasonal == SeasonalChange((6, 7, 8), ())
    assert change.seasonal.active_period_count == 12


@pytest.mark.rule("CAL-087", "CAL-E15")
def test_naming_a_gap_period_is_refused() -> None:
    assert codes(named_period_problems(GRID.period_at(D("2024-07-10")), (6, 7, 8))) == ["SEASONAL_GAP"]
    assert named_period_problems(GRID.period_at(D("2024-09-10")), (6, 7, 8)) == []


@pytest.mark.rule("CAL-088", "CAL-E15")
def test_coverage_runs_to_the_end_of_the_gap_that_follows_at_once() -> None:
    assert gap_end(GRID, GRID.period_at(D("2024-05-01")), (6, 7, 8)) == D("2024-08-31")
    assert gap_end(GRID, GRID.period_at(D("2024-04-01")), (6, 7, 8)) == D("2024-04-30")
    assert gap_end(GRID, GRID.period_at(D("2024-11-01")), (12, 1, 3)) == D("2025-01-31")
    assert gap_end(GRID, GRID.period_at(D("2024-06-01")), (6, 7, 8)) == D("2024-08-31")


@pytest.mark.rule("CAL-089")
def test_what_is_dated_in_a_gap_waits_for_the_first_active_period() -> None:
    assert next_active_period(GRID, D("2024-06-10"), (6, 7, 8)).start == D("2024-09-01")
    assert next_active_period(GRID, D("2024-05-31"), (6, 7, 8)).start == D("2024-05-01")


@pytest.mark.rule("CAL-090", "CAL-E15")
def test_issued_or_paid_invoices_lock_the_gaps_and_discarded_ones_do_not() -> None:
    locked = replace(FACTS, seasonal_locked=True)
    assert refused(change_gaps(SUMMER, True, [7, 8], locked)) == ["SEASONAL_LOCKED"]
    assert refused(change_gaps(SUMMER, False, [], locked)) == ["SEASONAL_LOCKED"]
    assert refused(change_gaps(PLAIN, True, [7], locked)) == ["SEASONAL_LOCKED"]
    assert refused(change_gaps(SUMMER, True, [6, 7, 8], locked)) == []
    change = change_gaps(SUMMER, True, [8, 7], FACTS)
    assert change.problems == ()
    assert change.seasonal == SeasonalChange((6, 7, 8), (7, 8))
    assert change.seasonal.active_period_count == 10


@pytest.mark.rule("CAL-091")
def test_an_unchanged_set_is_no_change() -> None:
    assert change_gaps(SUMMER, True, [8, 6, 7, 7], FACTS).seasonal is None
    assert configure(SUMMER, {"due_days": [9]}, FACTS).seasonal is None
    assert change_gaps(PLAIN, True, [7], FACTS).seasonal == SeasonalChange((), (7,))


@pytest.mark.rule("CAL-083", "CAL-E15")
def test_a_seasonal_account_does_not_become_quarterly() -> None:
    assert refused(configure(SUMMER, {"frequency": "QUARTERLY"}, FACTS)) == ["SEASONAL_REQUIRES_MONTHLY"]


@pytest.mark.rule("CAL-092")
def test_gaps_fix_the_modality() -> None:
    monthly, weekly = Frequency.MONTHLY, Frequency.WEEKLY
    for mode in AllocationMode:
        assert modality_problems(mode, monthly, (7,), monthly) == []
        assert codes(modality_problems(mode, monthly, (7,), weekly)) == ["MODALITY_LOCKED_BY_SEASONAL"]
        assert modality_problems(mode, monthly, (), weekly) == []
    semi = Frequency.SEMI_MONTHLY
    true_group = modality_problems(AllocationMode.TRUE_GROUP, semi, (7,), monthly)
    assert [problem.params for problem in true_group] == [{"locked_to": "SEMI_MONTHLY"}]
    individual = modality_problems(AllocationMode.INDIVIDUAL, semi, (7,), semi)
    assert [problem.params for problem in individual] == [{"locked_to": "MONTHLY"}]


@pytest.mark.rule("CAL-084", "CAL-088")
@LAW
@given(
    st.dates(D("2000-01-01"), D("2040-12-31")), st.sets(st.integers(1, 12), min_size=1, max_size=11), st.integers(0, 40)
)
def test_from_the_end_of_a_gap_the_next_period_is_active(start: dt.date, months: set[int], number: int) -> None:
    gaps = tuple(sorted(months))
    grid = InvoicingGrid.starting(start, Frequency.MONTHLY)
    period = take(grid.periods_from(start), number + 1)[number]
    end = gap_end(grid, period, gaps)
    after = grid.period_after(grid.period_at(end))
    assert not is_gap(after, gaps)
    between = [item for item in grid.periods_between(period.end, after.start) if item.start != period.start]
    assert all(is_gap(item, gaps) for item in between)
    assert end >= period.to
