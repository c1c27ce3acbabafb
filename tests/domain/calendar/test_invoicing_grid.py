"""The grid of an account: sequences, stubs, backward extension, numbers."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.accounts.bill_type import BillType
from domain.calendar.frequency import Frequency
from domain.calendar.invoicing_periods import (
    PeriodHistory,
    PeriodStatus,
    fixed_periods,
    next_period_to_bill,
    numbered_periods,
    status_of,
)
from domain.calendar.months import month_number
from domain.calendar.periods import GridSequence, InvoicingGrid, Period, aligned_date, start_of
from domain.calendar.transitions import first_day_of_new_sequence
from tests.domain.calendar.builders import LAW, ONE_DAY, D, dates, spans, take

FREQUENCIES = st.sampled_from(Frequency)
MONTHLY_2025 = InvoicingGrid.starting(D("2025-01-01"), Frequency.MONTHLY)
WEEKLY_2024 = InvoicingGrid.starting(D("2024-02-15"), Frequency.WEEKLY)


def starting(*texts: str) -> frozenset[dt.date]:
    return frozenset(dates(*texts))


@pytest.mark.rule("CAL-051", "CAL-052", "CAL-E07")
def test_a_frequency_change_keeps_fixed_periods_also_when_discarded() -> None:
    history = PeriodHistory(invoiced=starting("2025-01-01"), ever_invoiced=starting("2025-01-01", "02-01"))
    fixed = fixed_periods(MONTHLY_2025, D("2025-01-01"), history, BillType.LIST_BILL)
    first_day = first_day_of_new_sequence(MONTHLY_2025, fixed)
    assert first_day == D("2025-03-01")
    grid = MONTHLY_2025.with_frequency(Frequency.QUARTERLY, first_day, fixed_from=fixed[0].start)
    assert spans(grid.periods_from(D("2025-01-01")), 4) == [
        "2025-01-01..2025-01-31",
        "2025-02-01..2025-02-28",
        "2025-03-01..2025-05-31",
        "2025-06-01..2025-08-31",
    ]
    assert next_period_to_bill(grid, D("2025-01-01"), history).start == D("2025-02-01")


@pytest.mark.rule("CAL-053", "CAL-055", "CAL-E08")
@pytest.mark.parametrize(
    ("frequency", "expected"),
    [
        (Frequency.MONTHLY, ["2024-04-25..2024-05-14*", "2024-05-15..2024-06-14", "2024-06-15..2024-07-14"]),
        (
            Frequency.SEMI_MONTHLY,
            ["2024-04-25..2024-04-29*", "2024-04-30..2024-05-14", "2024-05-15..2024-05-29", "2024-05-30..2024-06-14"],
        ),
        (Frequency.BIWEEKLY, ["2024-04-25..2024-05-08", "2024-05-09..2024-05-22"]),
    ],
)
def test_a_new_sequence_starts_with_a_partial_stub_up_to_the_first_aligned_date(
    frequency: Frequency, expected: list[str]
) -> None:
    grid = WEEKLY_2024.with_frequency(frequency, D("2024-04-25"))
    assert spans(grid.periods_from(D("2024-04-18")), 1) == ["2024-04-18..2024-04-24"]
    assert spans(grid.periods_from(D("2024-04-25")), len(expected)) == expected


@pytest.mark.rule("CAL-053")
def test_month_based_steps_follow_from_the_month_of_the_first_aligned_date() -> None:
    grid = WEEKLY_2024.with_frequency(Frequency.QUARTERLY, D("2024-04-25"))
    assert spans(grid.periods_from(D("2024-04-25")), 3) == [
        "2024-04-25..2024-05-14*",
        "2024-05-15..2024-08-14",
        "2024-08-15..2024-11-14",
    ]


@pytest.mark.rule("CAL-054")
def test_after_several_changes_alignment_is_still_that_of_the_invoicing_start() -> None:
    monthly = InvoicingGrid.starting(D("2024-01-31"), Frequency.MONTHLY)
    weekly = monthly.with_frequency(Frequency.WEEKLY, D("2024-03-31"))
    assert spans(weekly.periods_from(D("2024-03-31")), 1) == ["2024-03-31..2024-04-06"]
    again = weekly.with_frequency(Frequency.MONTHLY, D("2024-04-14"))
    assert spans(again.periods_from(D("2024-02-29")), 7) == [
        "2024-02-29..2024-03-30",
        "2024-03-31..2024-04-06",
        "2024-04-07..2024-04-13",
        "2024-04-14..2024-04-29*",
        "2024-04-30..2024-05-30",
        "2024-05-31..2024-06-29",
        "2024-06-30..2024-07-30",
    ]


@pytest.mark.rule("CAL-051")
def test_without_a_fixed_period_the_new_sequence_starts_on_the_invoicing_start() -> None:
    assert first_day_of_new_sequence(MONTHLY_2025, ()) == D("2025-01-01")
    grid = MONTHLY_2025.with_frequency(Frequency.QUARTERLY, D("2025-01-01"))
    assert grid == InvoicingGrid.starting(D("2025-01-01"), Frequency.QUARTERLY)


@pytest.mark.rule("CAL-051")
def test_a_second_change_on_the_same_day_replaces_the_unbilled_sequence() -> None:
    once = MONTHLY_2025.with_frequency(Frequency.WEEKLY, D("2025-03-01"))
    assert once.with_frequency(Frequency.QUARTERLY, D("2025-03-01")) == MONTHLY_2025.with_frequency(
        Frequency.QUARTERLY, D("2025-03-01")
    )
    assert once.frequency is Frequency.WEEKLY
    assert [once.sequence_index(D(day)) for day in ("2024-12-31", "2025-02-28", "2025-03-01")] == [0, 0, 1]


@pytest.mark.rule("CAL-051")
def test_drafts_fix_nothing_and_payment_requests_fix_on_self_bill_only() -> None:
    history = PeriodHistory(requested=starting("2025-01-01"), opened=starting("2025-02-01"))
    earliest = D("2025-01-01")
    assert fixed_periods(MONTHLY_2025, earliest, history, BillType.LIST_BILL) == ()
    assert [item.start for item in fixed_periods(MONTHLY_2025, earliest, history, BillType.SELF_BILL)] == [earliest]


@pytest.mark.rule("CAL-041")
@pytest.mark.parametrize(
    ("start", "frequency", "day", "expected"),
    [
        ("2024-03-31", Frequency.MONTHLY, "2024-01-15", "2023-12-31..2024-01-30"),
        ("2024-03-31", Frequency.MONTHLY, "2024-01-31", "2024-01-31..2024-02-28"),
        ("2024-02-15", Frequency.WEEKLY, "2024-02-01", "2024-02-01..2024-02-07"),
        ("2024-02-15", Frequency.QUARTERLY, "2024-02-14", "2023-11-15..2024-02-14"),
    ],
)
def test_the_grid_extends_backwards_from_the_same_anchor(
    start: str, frequency: Frequency, day: str, expected: str
) -> None:
    grid = InvoicingGrid.starting(D(start), frequency)
    assert spans([grid.period_at(D(day))], 1) == [expected]


@pytest.mark.rule("CAL-041", "CAL-051")
def test_a_change_with_fixed_periods_only_before_the_invoicing_start_keeps_those() -> None:
    fixed = (MONTHLY_2025.period_at(D("2024-11-10")), MONTHLY_2025.period_at(D("2024-12-10")))
    first_day = first_day_of_new_sequence(MONTHLY_2025, fixed)
    assert first_day == D("2025-01-01")
    grid = MONTHLY_2025.with_frequency(Frequency.QUARTERLY, first_day, fixed_from=fixed[0].start)
    assert spans(grid.periods_from(D("2024-10-05")), 4) == [
        "2024-10-01..2024-10-31",
        "2024-11-01..2024-11-30",
        "2024-12-01..2024-12-31",
        "2025-01-01..2025-03-31",
    ]
    earlier = MONTHLY_2025.with_frequency(Frequency.QUARTERLY, D("2024-12-01"))
    assert spans(earlier.periods_from(D("2024-11-01")), 3) == [
        "2024-11-01..2024-11-30",
        "2024-12-01..2025-02-28",
        "2025-03-01..2025-05-31",
    ]


@pytest.mark.rule("CAL-049")
def test_a_period_is_known_by_its_first_day_and_its_number_counts_from_the_earliest_period() -> None:
    grid = WEEKLY_2024.with_frequency(Frequency.MONTHLY, D("2024-04-25"))
    assert grid.number_of(D("2024-02-15"), D("2024-02-15")) == 1
    assert grid.number_of(D("2024-04-30"), D("2024-02-15")) == 11
    assert grid.number_of(D("2024-04-30"), D("2024-02-01")) == 13
    assert [(number, item.start) for number, item in take(numbered_periods(grid, D("2024-04-18")), 3)] == [
        (1, D("2024-04-18")),
        (2, D("2024-04-25")),
        (3, D("2024-05-15")),
    ]


@pytest.mark.rule("CAL-049")
def test_the_status_of_a_period_follows_from_what_happened_to_it() -> None:
    history = PeriodHistory(
        invoiced=starting("2025-01-01", "07-01"),
        ever_invoiced=starting("2025-01-01", "02-01", "07-01"),
        opened=starting("2025-03-01"),
    )
    gaps = (6, 7)
    statuses = [status_of(item, history, gaps) for item in take(MONTHLY_2025.periods_from(D("2025-01-01")), 8)]
    assert statuses == [
        PeriodStatus.INVOICED,
        PeriodStatus.DISCARDED,
        PeriodStatus.OPEN,
        PeriodStatus.PLANNED,
        PeriodStatus.PLANNED,
        PeriodStatus.GAP,
        PeriodStatus.INVOICED,
        PeriodStatus.PLANNED,
    ]


@pytest.mark.rule("CAL-050")
def test_the_next_period_to_bill_passes_over_invoices_gaps_and_skipped_periods() -> None:
    history = PeriodHistory(invoiced=starting("2025-01-01"), passed_over=starting("2025-02-01"))
    assert next_period_to_bill(MONTHLY_2025, D("2025-01-01"), history, (3, 4)).start == D("2025-05-01")


@pytest.mark.rule("CAL-050", "CAL-041")
def test_the_next_period_to_bill_may_lie_before_the_invoicing_start() -> None:
    history = PeriodHistory(invoiced=starting("2025-01-01"))
    assert next_period_to_bill(MONTHLY_2025, D("2024-11-01"), history).start == D("2024-11-01")


@pytest.mark.rule("CAL-050")
def test_a_discarded_period_counts_as_not_billed() -> None:
    history = PeriodHistory(invoiced=starting("2025-02-01"), ever_invoiced=starting("2025-01-01", "02-01"))
    assert next_period_to_bill(MONTHLY_2025, D("2025-01-01"), history).start == D("2025-01-01")


def test_a_sequence_that_begins_within_a_period_cuts_it() -> None:
    grid = WEEKLY_2024.with_frequency(Frequency.MONTHLY, D("2024-04-22")).with_frequency(
        Frequency.WEEKLY, D("2024-06-01")
    )
    assert spans(grid.periods_from(D("2024-04-18")), 4) == [
        "2024-04-18..2024-04-21*",
        "2024-04-22..2024-05-14*",
        "2024-05-15..2024-05-31*",
        "2024-06-01..2024-06-07",
    ]


def test_a_grid_refuses_sequences_out_of_order() -> None:
    with pytest.raises(ValueError, match="follow one another"):
        InvoicingGrid(
            D("2025-01-01"),
            (GridSequence(D("2025-02-01"), Frequency.MONTHLY), GridSequence(D("2025-02-01"), Frequency.WEEKLY)),
        )
    with pytest.raises(ValueError, match="at least one"):
        InvoicingGrid(D("2025-01-01"), ())


GRIDS = st.builds(
    lambda start, first, changes: (start, first, changes),
    st.dates(dt.date(2000, 1, 1), dt.date(2040, 12, 31)),
    FREQUENCIES,
    st.lists(st.tuples(FREQUENCIES, st.integers(1, 9)), max_size=4),
)


def grid_of(recipe: tuple[dt.date, Frequency, list[tuple[Frequency, int]]]) -> InvoicingGrid:
    """A grid that has changed frequency several times, each time some periods after the change before."""
    start, frequency, changes = recipe
    grid = InvoicingGrid.starting(start, frequency)
    for changed, billed in changes:
        last = take(grid.periods_from(grid.sequences[-1].first_day), billed)[-1]
        grid = grid.with_frequency(changed, last.end)
    return grid


@pytest.mark.rule("CAL-043", "CAL-053")
@LAW
@given(GRIDS, st.integers(-400, 1200))
def test_a_grid_has_neither_gap_nor_overlap_whatever_changes_it_has_seen(
    recipe: tuple[dt.date, Frequency, list[tuple[Frequency, int]]], days: int
) -> None:
    grid = grid_of(recipe)
    day = grid.invoicing_start + dt.timedelta(days=days)
    period = grid.period_at(day)
    assert day in period
    assert all(grid.period_at(inside) == period for inside in (period.start, period.to))
    assert grid.period_after(period).start == period.end
    assert grid.period_before(period).end == period.start
    assert list(grid.periods_between(day, period.end + ONE_DAY)) == [period, grid.period_after(period)]


@pytest.mark.rule("CAL-051", "CAL-052")
@LAW
@given(GRIDS, FREQUENCIES, st.integers(1, 6))
def test_a_frequency_change_moves_no_boundary_before_its_first_day(
    recipe: tuple[dt.date, Frequency, list[tuple[Frequency, int]]], frequency: Frequency, billed: int
) -> None:
    grid = grid_of(recipe)
    fixed = take(grid.periods_from(grid.invoicing_start), billed)
    changed = grid.with_frequency(frequency, fixed[-1].end, fixed_from=fixed[0].start)
    assert take(changed.periods_from(grid.invoicing_start), billed) == fixed
    assert changed.period_at(fixed[-1].end).start == fixed[-1].end


@pytest.mark.rule("CAL-053", "CAL-054")
@LAW
@given(GRIDS, st.integers(1, 8))
def test_after_its_stub_a_period_sequence_starts_on_dates_aligned_with_the_invoicing_start(
    recipe: tuple[dt.date, Frequency, list[tuple[Frequency, int]]], count: int
) -> None:
    grid = grid_of(recipe)
    assume(not grid.frequency.is_cycle)
    periods = take(grid.periods_from(grid.sequences[-1].first_day), count + 1)
    for period in periods[1 if periods[0].partial else 0 :]:
        allowed = {aligned_date(grid.invoicing_start, month_number(period.start))}
        if grid.frequency is Frequency.SEMI_MONTHLY:
            first_half = period.start - dt.timedelta(days=15)
            allowed.add(aligned_date(grid.invoicing_start, month_number(first_half)) + dt.timedelta(days=15))
        assert period.start in allowed
        assert not period.partial
    if grid.frequency.is_month_based:
        months = [month_number(period.start) for period in periods[1:]]
        assert all(later - earlier == grid.frequency.months for earlier, later in pairwise(months))


@pytest.mark.rule("CAL-049")
@LAW
@given(GRIDS, st.integers(-300, 900), st.integers(-300, 900))
def test_the_number_of_a_period_is_its_place_when_counted_one_by_one(
    recipe: tuple[dt.date, Frequency, list[tuple[Frequency, int]]], earliest_days: int, days: int
) -> None:
    grid = grid_of(recipe)
    earliest, day = sorted(grid.invoicing_start + dt.timedelta(days=n) for n in (earliest_days, days))
    counted = sum(1 for _ in grid.periods_between(earliest, day + ONE_DAY))
    assert grid.number_of(day, earliest) == counted
    assert grid.number_of(earliest, day) == 2 - counted


@pytest.mark.rule("CAL-043")
def test_a_period_knows_its_last_day_its_length_and_its_days() -> None:
    period = MONTHLY_2025.period_at(D("2025-02-10"))
    assert period == Period(start_of(D("2025-01-01"), Frequency.MONTHLY, 1), D("2025-03-01"))
    assert (period.to, period.days) == (D("2025-02-28"), 28)
    assert D("2025-02-28") in period
    assert D("2025-03-01") not in period
