"""Computed and final due dates."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts.bill_type import BillType
from domain.calendar.business_calendar import BusinessCalendar, BusinessDayRule
from domain.calendar.due_dates import (
    Correction,
    DueDate,
    computed_due_date,
    computed_due_dates,
    final_due_date,
    first_due_day_from,
    last_due_day_to,
    nearest_due_day,
    shifted,
)
from domain.calendar.frequency import Frequency
from domain.calendar.generation import generation_date
from domain.calendar.invoicing_terms import InvoicingTerms
from domain.calendar.periods import InvoicingGrid, Period
from domain.calendar.schedule import DueDayMode, Schedule, Timing
from tests.domain.calendar.builders import (
    ADVANCE,
    ARREARS,
    LAW,
    ON_TIME,
    ONE_DAY,
    D,
    calendar_day,
    dates,
    last_day,
    period_start,
    take,
    terms_of,
)

SEMI = Frequency.SEMI_MONTHLY


def due(terms: InvoicingTerms, day: str) -> dt.date:
    """The computed due date of the period that holds the day."""
    return computed_due_date(terms, terms.grid.period_at(D(day)))


def final(terms: InvoicingTerms, day: str, system_date: str, previous: str | None = None) -> dt.date:
    return final_due_date(
        terms,
        terms.grid.period_at(D(day)),
        system_date=D(system_date),
        previous_due=D(previous) if previous else None,
    ).final


@pytest.mark.rule("CAL-058", "CAL-059", "CAL-E09")
def test_monthly_arrears_is_due_on_the_first_due_day_after_the_period() -> None:
    terms = terms_of(calendar_day(15, timing=ARREARS), "2024-01-01")
    assert due(terms, "2024-03-31") == D("2024-04-15")


@pytest.mark.rule("CAL-062", "CAL-E09")
def test_a_negative_offset_lies_before_the_period_start() -> None:
    assert due(terms_of(period_start(-2), "2024-01-01"), "2024-01-01") == D("2023-12-30")


@pytest.mark.rule("CAL-060", "CAL-E09")
def test_semi_monthly_takes_the_nearest_due_day() -> None:
    assert nearest_due_day((1, 17), D("2024-08-10")) == D("2024-08-17")
    assert nearest_due_day((1, 17), D("2024-08-04")) == D("2024-08-01")


@pytest.mark.rule("CAL-060")
def test_semi_monthly_nearness_does_not_depend_on_the_timing() -> None:
    for timing in (ON_TIME, ADVANCE):
        terms = terms_of(calendar_day(4, 20, frequency=SEMI, timing=timing), "2024-08-06")
        assert due(terms, "2024-08-06") == D("2024-08-04")
    arrears = terms_of(calendar_day(4, 20, frequency=SEMI, timing=ARREARS), "2024-08-07")
    assert due(arrears, "2024-08-07") == D("2024-08-20")


@pytest.mark.rule("CAL-057", "CAL-058", "CAL-059", "CAL-E09")
def test_advance_is_due_on_the_last_due_day_up_to_the_shifted_start() -> None:
    terms = terms_of(calendar_day(15, timing=ADVANCE, due_date_offset=1), "2024-01-01")
    assert shifted(terms, D("2024-03-01"), -1) == D("2024-02-01")
    assert due(terms, "2024-03-01") == D("2024-01-15")


@pytest.mark.rule("CAL-059")
def test_a_due_day_is_limited_to_the_length_of_its_month() -> None:
    terms = terms_of(calendar_day(31), "2024-01-15")
    assert [due(terms, day) for day in ("2024-01-15", "2024-02-15", "2024-04-15")] == dates(
        "2024-01-31", "02-29", "04-30"
    )
    late = terms_of(calendar_day(30, timing=ADVANCE), "2024-03-15")
    assert due(late, "2024-03-15") == D("2024-02-29")


@pytest.mark.rule("CAL-058")
def test_arrears_count_from_the_last_day_and_on_time_from_the_first() -> None:
    assert due(terms_of(calendar_day(10, timing=ON_TIME), "2024-01-10"), "2024-01-10") == D("2024-01-10")
    assert due(terms_of(calendar_day(10, timing=ADVANCE), "2024-01-10"), "2024-01-10") == D("2024-01-10")
    assert due(terms_of(calendar_day(9, timing=ARREARS), "2024-01-10"), "2024-01-10") == D("2024-02-09")
    assert due(terms_of(calendar_day(10, timing=ARREARS), "2024-01-10"), "2024-01-10") == D("2024-02-10")


@pytest.mark.rule("CAL-063", "CAL-057", "CAL-E12")
def test_the_last_day_shifts_as_the_following_start_does() -> None:
    terms = terms_of(last_day(timing=ARREARS, due_date_offset=1), "2024-01-31")
    assert [due(terms, day) for day in ("2024-01-31", "2024-02-29", "2024-03-31")] == dates(
        "2024-03-30", "04-29", "05-30"
    )


@pytest.mark.rule("CAL-057", "CAL-062")
@pytest.mark.parametrize(
    ("schedule", "start", "expected"),
    [
        (period_start(3, timing=ARREARS, due_date_offset=2), "2023-12-31", "2024-03-03"),
        (period_start(0, Frequency.QUARTERLY, timing=ARREARS, due_date_offset=2), "2023-12-31", "2024-02-29"),
        (period_start(0, Frequency.BIWEEKLY, timing=ARREARS, due_date_offset=2), "2023-12-31", "2024-01-28"),
        (period_start(0, Frequency.BIWEEKLY, timing=ADVANCE, due_date_offset=1), "2023-12-31", "2023-12-17"),
        (period_start(0, SEMI, timing=ARREARS, due_date_offset=2), "2023-12-31", "2024-02-29"),
    ],
)
def test_a_shift_counts_months_for_period_and_cycles_for_cycle_frequencies(
    schedule: Schedule, start: str, expected: str
) -> None:
    assert due(terms_of(schedule, start), start) == D(expected)


@pytest.mark.rule("CAL-057")
def test_a_semi_monthly_boundary_shifts_to_the_same_half() -> None:
    terms = terms_of(period_start(0, SEMI, timing=ARREARS, due_date_offset=1), "2024-01-31")
    assert [period.start for period in take(terms.grid.periods_from(D("2024-01-31")), 3)] == dates(
        "2024-01-31", "02-15", "02-29"
    )
    assert due(terms, "2024-02-15") == D("2024-03-15")
    assert due(terms, "2024-02-29") == D("2024-03-31")
    other = terms_of(period_start(0, SEMI, timing=ARREARS, due_date_offset=1), "2024-01-30")
    assert other.grid.period_at(D("2024-02-14")).start == D("2024-02-14")
    assert due(other, "2024-02-14") == D("2024-03-15")


@pytest.mark.rule("CAL-057")
def test_a_stub_start_shifts_by_plain_months_and_its_end_with_the_grid() -> None:
    grid = InvoicingGrid.starting(D("2024-02-15"), Frequency.WEEKLY).with_frequency(Frequency.MONTHLY, D("2024-04-25"))
    start = terms_of(period_start(0, timing=ARREARS, due_date_offset=1), grid=grid)
    assert due(start, "2024-04-25") == D("2024-05-25")
    end = terms_of(last_day(timing=ARREARS, due_date_offset=1), grid=grid)
    assert due(end, "2024-04-25") == D("2024-06-14")
    # 10-15 lies 15 days after an aligned date, which means nothing to a monthly schedule.
    halfway = InvoicingGrid.starting(D("2024-01-30"), Frequency.WEEKLY).with_frequency(
        Frequency.MONTHLY, D("2024-10-15")
    )
    plain = terms_of(period_start(0, timing=ARREARS, due_date_offset=1), grid=halfway)
    assert due(plain, "2024-10-15") == D("2024-11-15")


@pytest.mark.rule("CAL-057", "CAL-027")
def test_a_discarded_period_of_a_former_sequence_shifts_by_the_schedule_in_force() -> None:
    grid = InvoicingGrid.starting(D("2024-02-15"), Frequency.WEEKLY).with_frequency(Frequency.MONTHLY, D("2024-04-25"))
    terms = terms_of(period_start(0, timing=ARREARS, due_date_offset=1), grid=grid)
    assert due(terms, "2024-04-18") == D("2024-05-18")
    assert grid.period_at(D("2024-04-18")) == Period(D("2024-04-18"), D("2024-04-25"))
    back = terms_of(
        period_start(0, Frequency.WEEKLY, timing=ARREARS, due_date_offset=1),
        grid=InvoicingGrid.starting(D("2024-01-31"), Frequency.MONTHLY).with_frequency(
            Frequency.WEEKLY, D("2024-03-31")
        ),
    )
    assert due(back, "2024-02-29") == D("2024-03-07")


@pytest.mark.rule("CAL-057", "CAL-018")
@pytest.mark.parametrize(
    ("frequency", "start", "expected"),
    [
        (Frequency.MONTHLY, "2024-01-31", "2024-03-31"),
        (Frequency.QUARTERLY, "2024-01-31", "2024-07-31"),
        (Frequency.WEEKLY, "2024-01-31", "2024-02-14"),
        (SEMI, "2024-01-31", "2024-02-29"),
    ],
)
def test_a_flexibill_offset_counts_invoicing_periods(frequency: Frequency, start: str, expected: str) -> None:
    schedule = period_start(0, frequency, timing=ARREARS, due_date_offset=2, advanced_mode=False)
    assert due(terms_of(schedule, start, bill_type=BillType.FLEXIBILL), start) == D(expected)


@pytest.mark.rule("CAL-057")
def test_a_flexibill_offset_counts_a_stub_as_a_period_and_former_periods_by_the_frequency_in_force() -> None:
    grid = InvoicingGrid.starting(D("2024-02-15"), Frequency.WEEKLY).with_frequency(
        Frequency.QUARTERLY, D("2024-04-25")
    )
    schedule = period_start(0, Frequency.QUARTERLY, timing=ARREARS, due_date_offset=1, advanced_mode=False)
    terms = terms_of(schedule, grid=grid, bill_type=BillType.FLEXIBILL)
    assert due(terms, "2024-04-25") == D("2024-05-15")
    assert due(terms, "2024-04-18") == D("2024-07-18")
    semi = grid.with_frequency(SEMI, D("2024-04-25"))
    halves = terms_of(
        period_start(0, SEMI, timing=ARREARS, due_date_offset=3, advanced_mode=False),
        grid=semi,
        bill_type=BillType.FLEXIBILL,
    )
    assert due(halves, "2024-04-18") == D("2024-06-02")
    assert due(halves, "2024-02-15") == D("2024-03-30")


@pytest.mark.rule("CAL-061", "CAL-060", "CAL-E11")
def test_semi_monthly_due_dates_never_repeat() -> None:
    terms = terms_of(calendar_day(14, 16, frequency=SEMI, timing=ARREARS), "2023-01-01")
    expected = dates("2023-01-16", "02-14", "02-16", "03-14", "03-16", "04-14")
    first = terms.grid.period_at(D("2023-01-01"))
    assert [day for _, day in take(computed_due_dates(terms, first), 6)] == expected
    periods = take(terms.grid.periods_from(D("2023-01-01")), 6)
    assert [computed_due_date(terms, period) for period in periods] == expected


@pytest.mark.rule("CAL-061")
def test_periods_opened_backwards_take_part_in_the_sequence() -> None:
    schedule = calendar_day(3, 28, frequency=SEMI)
    assert due(terms_of(schedule, "2023-03-01"), "2023-03-01") == D("2023-02-28")
    backward = terms_of(schedule, "2023-03-01", earliest="2023-02-16")
    # 02-28 is nearest to 02-16 (12 days, 02-03: 13) and to 03-01, where it is taken.
    assert [due(backward, day) for day in ("2023-02-16", "2023-03-01")] == dates("2023-02-28", "03-03")


@pytest.mark.rule("CAL-061")
def test_a_later_semi_monthly_sequence_begins_anew_with_its_stub() -> None:
    grid = InvoicingGrid.starting(D("2024-02-15"), Frequency.WEEKLY).with_frequency(SEMI, D("2024-04-25"))
    terms = terms_of(calendar_day(1, 27, frequency=SEMI), grid=grid)
    periods = grid.periods_from(D("2024-04-25"))
    # Starts 04-25 (stub), 04-30, 05-15, 05-30: nearest 04-27, 05-01, 05-27 (tie with none), then 06-01.
    assert [computed_due_date(terms, period) for period in take(periods, 4)] == dates(
        "2024-04-27", "05-01", "05-27", "06-01"
    )
    assert due(terms, "2024-04-18") == D("2024-04-27")


@pytest.mark.rule("CAL-061")
@LAW
@given(
    st.dates(dt.date(2015, 1, 1), dt.date(2035, 12, 31)),
    st.integers(1, 27).flatmap(lambda primary: st.tuples(st.just(primary), st.integers(primary + 1, 31))),
    st.sampled_from(Timing),
    st.integers(0, 3),
    st.integers(-30, 0),
)
def test_semi_monthly_due_dates_are_strictly_increasing_due_day_dates(
    start: dt.date, due_days: tuple[int, int], timing: Timing, offset: int, earlier: int
) -> None:
    offset = 0 if timing is Timing.ON_TIME else offset
    schedule = calendar_day(*due_days, frequency=SEMI, timing=timing, due_date_offset=offset)
    grid = InvoicingGrid.starting(start, SEMI)
    earliest = grid.period_at(start + dt.timedelta(days=15 * earlier)).start
    terms = InvoicingTerms(schedule, grid, BillType.LIST_BILL, earliest)
    found = take(computed_due_dates(terms, grid.period_at(earliest)), 60)
    due_dates = [day for _, day in found]
    assert all(later > before for before, later in pairwise(due_dates))
    assert all(first_due_day_from(due_days, day) == day for day in due_dates)
    assert computed_due_date(terms, found[41][0]) == due_dates[41]
    assert take(computed_due_dates(terms, found[17][0]), 3) == found[17:20]


@pytest.mark.rule("CAL-064", "CAL-067", "CAL-E10")
def test_a_past_calendar_day_moves_to_the_next_one_and_then_to_the_previous_invoice() -> None:
    terms = terms_of(calendar_day(5), "2024-07-01")
    assert due(terms, "2024-07-01") == D("2024-07-05")
    assert final(terms, "2024-07-01", "2024-08-31") == D("2024-09-05")
    assert final(terms, "2024-07-01", "2024-08-31", previous="2024-09-10") == D("2024-09-10")


@pytest.mark.rule("CAL-067", "CAL-065", "CAL-E10")
def test_a_due_date_before_that_of_the_previous_invoice_becomes_that_date() -> None:
    terms = terms_of(calendar_day(25), "2024-03-01")
    period = terms.grid.period_at(D("2024-03-01"))
    found = final_due_date(terms, period, system_date=D("2024-03-01"), previous_due=D("2024-03-28"))
    assert found == DueDate(D("2024-03-25"), D("2024-03-28"), (Correction.SEQUENCE,))
    equal = final_due_date(terms, period, system_date=D("2024-03-01"), previous_due=D("2024-03-25"))
    assert equal == DueDate(D("2024-03-25"), D("2024-03-25"))


@pytest.mark.rule("CAL-064", "CAL-E10")
def test_a_past_quarterly_last_day_moves_in_steps_of_one_month() -> None:
    terms = terms_of(last_day(Frequency.QUARTERLY), "2024-01-01")
    assert final(terms, "2024-01-01", "2024-05-10") == D("2024-05-31")


@pytest.mark.rule("CAL-064")
@pytest.mark.parametrize(
    ("schedule", "start", "period", "system_date", "expected"),
    [
        (period_start(2, Frequency.WEEKLY), "2024-01-01", "2024-01-01", "2024-01-25", "2024-01-31"),
        (period_start(0, SEMI), "2024-01-31", "2024-01-31", "2024-02-20", "2024-02-29"),
        (last_day(SEMI), "2024-01-31", "2024-01-31", "2024-02-20", "2024-02-28"),
        (
            period_start(0, SEMI, timing=ARREARS, due_date_offset=1),
            "2024-01-31",
            "2024-01-31",
            "2024-03-01",
            "2024-03-15",
        ),
        (calendar_day(4, 20, frequency=SEMI), "2024-01-01", "2024-01-01", "2024-01-05", "2024-01-20"),
        (period_start(0), "2023-12-31", "2023-12-31", "2024-02-10", "2024-02-29"),
        (period_start(0, timing=ADVANCE, due_date_offset=2), "2024-03-31", "2024-03-31", "2024-02-10", "2024-02-29"),
        (last_day(Frequency.ANNUAL), "2024-01-01", "2024-01-01", "2025-06-15", "2025-06-30"),
    ],
)
def test_a_past_due_date_in_the_period_moves_by_the_smallest_number_of_steps(
    schedule: Schedule, start: str, period: str, system_date: str, expected: str
) -> None:
    assert final(terms_of(schedule, start), period, system_date) == D(expected)


@pytest.mark.rule("CAL-064", "CAL-057")
def test_a_past_stub_of_a_former_sequence_moves_along_the_grid_by_the_smallest_number_of_periods() -> None:
    grid = (
        InvoicingGrid.starting(D("2024-02-15"), Frequency.WEEKLY)
        .with_frequency(Frequency.QUARTERLY, D("2024-04-25"))
        .with_frequency(SEMI, D("2024-08-15"))
    )
    terms = terms_of(period_start(0, SEMI), grid=grid)
    assert due(terms, "2024-04-25") == D("2024-04-25")
    assert final(terms, "2024-04-25", "2024-05-15") == D("2024-05-15")
    assert final(terms, "2024-04-25", "2024-08-10") == D("2024-08-15")
    assert final(terms, "2024-04-25", "2024-08-16") == D("2024-08-30")


@pytest.mark.rule("CAL-064")
def test_a_due_date_on_the_system_date_is_not_past_and_gaps_are_not_considered() -> None:
    terms = terms_of(calendar_day(5, seasonal_billing=True, seasonal_gaps=(8,)), "2024-07-01")
    period = terms.grid.period_at(D("2024-07-01"))
    assert final_due_date(terms, period, system_date=D("2024-07-05")) == DueDate(D("2024-07-05"), D("2024-07-05"))
    assert final(terms, "2024-07-01", "2024-07-06") == D("2024-08-05")


@pytest.mark.rule("CAL-064")
def test_a_flexibill_due_date_is_not_corrected_for_a_past_date() -> None:
    terms = terms_of(last_day(timing=ARREARS, advanced_mode=False), "2024-01-01", bill_type=BillType.FLEXIBILL)
    assert final(terms, "2024-01-01", "2024-05-10") == D("2024-01-31")
    assert final(terms, "2024-01-01", "2024-05-10", previous="2024-02-02") == D("2024-02-02")


@pytest.mark.rule("CAL-056", "CAL-065", "CAL-066", "CAL-012")
def test_corrections_apply_in_order_and_are_kept_beside_the_computed_date() -> None:
    calendar = BusinessCalendar(frozenset({6, 7}))
    terms = terms_of(calendar_day(7), "2024-06-01")
    period = terms.grid.period_at(D("2024-06-01"))
    found = final_due_date(
        terms,
        period,
        system_date=D("2024-07-01"),
        previous_due=D("2024-07-10"),
        rule=BusinessDayRule.NEXT,
        calendar=calendar,
    )
    assert found == DueDate(
        D("2024-06-07"), D("2024-07-10"), (Correction.PAST_DATE, Correction.BUSINESS_DAY, Correction.SEQUENCE)
    )
    moved = final_due_date(terms, period, system_date=D("2024-07-01"), rule=BusinessDayRule.NEXT, calendar=calendar)
    assert moved == DueDate(D("2024-06-07"), D("2024-07-08"), (Correction.PAST_DATE, Correction.BUSINESS_DAY))


@pytest.mark.rule("CAL-012", "CAL-066")
def test_without_a_business_day_rule_no_calendar_moves_a_due_or_generation_date() -> None:
    calendar = BusinessCalendar(frozenset({6, 7}))
    terms = terms_of(calendar_day(7), "2024-07-01")
    period = terms.grid.period_at(D("2024-07-01"))
    found = final_due_date(terms, period, system_date=D("2024-07-01"), calendar=calendar)
    assert found == DueDate(D("2024-07-07"), D("2024-07-07"))
    assert generation_date(terms, period) == D("2024-07-07")


@pytest.mark.rule("CAL-068")
def test_a_regenerated_invoice_is_corrected_against_its_own_system_date_and_predecessor() -> None:
    terms = terms_of(calendar_day(15), "2024-01-01")
    assert final(terms, "2024-02-01", "2024-02-01", previous="2024-01-15") == D("2024-02-15")
    assert final(terms, "2024-02-01", "2024-03-20", previous="2024-04-20") == D("2024-04-20")
    assert due(terms, "2024-02-01") == D("2024-02-15")


@pytest.mark.rule("CAL-069")
def test_payment_requests_take_their_dates_from_the_same_functions() -> None:
    schedule = calendar_day(15, generation_units=10)
    self_bill = terms_of(schedule, "2024-01-31", bill_type=BillType.SELF_BILL)
    list_bill = terms_of(schedule, "2024-01-31")
    period = self_bill.grid.period_at(D("2024-02-29"))
    assert period == Period(D("2024-02-29"), D("2024-03-31"))
    assert computed_due_date(self_bill, period) == D("2024-03-15") == computed_due_date(list_bill, period)
    assert generation_date(self_bill, period) == D("2024-03-05")
    assert final_due_date(self_bill, period, system_date=D("2024-03-20")).final == D("2024-04-15")


def test_a_discarded_period_of_a_replaced_grid_is_due_on_its_own() -> None:
    terms = terms_of(calendar_day(14, 16, frequency=SEMI, timing=ARREARS), "2023-01-08")
    assert computed_due_date(terms, Period(D("2023-01-16"), D("2023-02-01"))) == D("2023-02-14")


MODES = st.sampled_from(DueDayMode)


@pytest.mark.rule("CAL-064")
@LAW
@given(
    st.dates(dt.date(2015, 1, 1), dt.date(2035, 12, 31)),
    st.sampled_from(Frequency),
    MODES,
    st.sampled_from(Timing),
    st.integers(0, 3),
    st.integers(-6, 6),
    st.integers(1, 31),
    st.integers(0, 8),
    st.integers(-400, 800),
)
def test_a_past_due_date_becomes_the_first_valid_one_not_before_the_system_date(
    start: dt.date,
    frequency: Frequency,
    mode: DueDayMode,
    timing: Timing,
    offset: int,
    day_offset: int,
    due_day: int,
    number: int,
    lateness: int,
) -> None:
    offset = 0 if timing is Timing.ON_TIME else offset
    if mode is DueDayMode.CALENDAR_DAY and (frequency.is_cycle or frequency is SEMI):
        mode = DueDayMode.PERIOD_START_OFFSET
    schedule = Schedule(
        frequency=frequency,
        due_day_mode=mode,
        due_days=(due_day,) if mode is DueDayMode.CALENDAR_DAY else (),
        day_offset=day_offset,
        timing=timing,
        due_date_offset=offset,
    )
    terms = InvoicingTerms(schedule, InvoicingGrid.starting(start, frequency), BillType.LIST_BILL, start)
    period = take(terms.grid.periods_from(start), number + 1)[number]
    computed = computed_due_date(terms, period)
    system_date = computed + dt.timedelta(days=lateness)
    found = final_due_date(terms, period, system_date=system_date)
    if lateness <= 0:
        assert found == DueDate(computed, computed)
        return
    assert found.corrections == (Correction.PAST_DATE,)
    assert found.final >= system_date
    # No valid date lies between: the same due-day mode, one step less, is before the system date.
    assert max(candidates_before(terms, period, found.final)) < system_date


def candidates_before(terms: InvoicingTerms, period: Period, found: dt.date) -> list[dt.date]:
    """Valid dates before the one found, walked step by step from the computed one."""
    schedule, frequency = terms.schedule, terms.frequency
    if schedule.due_day_mode is DueDayMode.CALENDAR_DAY:
        return [last_due_day_to(schedule.due_days, found - ONE_DAY)]
    sign = {ARREARS: 1, ADVANCE: -1, ON_TIME: 0}[schedule.timing] * schedule.due_date_offset
    start_mode = schedule.due_day_mode is DueDayMode.PERIOD_START_OFFSET
    days = dt.timedelta(days=schedule.day_offset) if start_mode else -ONE_DAY
    boundary = period.start if start_mode else period.end
    result = []
    for step in range(1200):
        if frequency is SEMI:
            following = take(terms.grid.periods_from(boundary), step + 1)[step].start
            day = shifted(terms, following, sign) + days
        else:
            day = shifted(terms, boundary, sign + step) + days
        if day >= found:
            return result
        result.append(day)
    raise AssertionError("the found date is not among the valid ones")


@pytest.mark.rule("CAL-059", "CAL-060")
@LAW
@given(
    st.lists(st.integers(1, 31), min_size=1, max_size=2).map(tuple),
    st.dates(dt.date(2015, 1, 1), dt.date(2035, 12, 31)),
)
def test_neighbouring_due_days_are_the_nearest_on_either_side(due_days: tuple[int, ...], day: dt.date) -> None:
    def is_due_day(candidate: dt.date) -> bool:
        last = (candidate + ONE_DAY).day == 1
        return any(candidate.day == item or (last and item > candidate.day) for item in due_days)

    window = [day + n * ONE_DAY for n in range(-62, 63)]
    after = next(item for item in window if item >= day and is_due_day(item))
    before = next(item for item in reversed(window) if item <= day and is_due_day(item))
    assert (first_due_day_from(due_days, day), last_due_day_to(due_days, day)) == (after, before)
    nearest = nearest_due_day(due_days, day)
    assert abs(nearest - day) == min(after - day, day - before)
    assert nearest == after or after - day > day - before
