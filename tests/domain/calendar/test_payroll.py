"""Deduction dates of a payroll calendar, and shifts of their start."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.calendar.frequency import Frequency
from domain.calendar.payroll import (
    PayrollPattern,
    ShiftUnit,
    StartShift,
    horizon_end,
    payroll_problems,
    protected,
    seasonal_pattern,
    sequence_faults,
    start_shift,
)
from domain.calendar.periods import InvoicingGrid
from domain.calendar.seasonal import listed_dates
from tests.domain.calendar.builders import LAW, ONE_DAY, D, codes, dates, pointers, take

WEEKLY, BIWEEKLY, SEMI, MONTHLY = (
    Frequency.WEEKLY,
    Frequency.BIWEEKLY,
    Frequency.SEMI_MONTHLY,
    Frequency.MONTHLY,
)


@pytest.mark.rule("CAL-107", "CAL-108", "CAL-109", "CAL-110", "CAL-E18", "CAL-E19")
@pytest.mark.parametrize(
    ("frequency", "days", "start", "expected"),
    [
        (MONTHLY, (10,), "2021-04-09", ["2021-04-10", "05-10"]),
        (MONTHLY, (31,), "2021-01-31", ["2021-01-31", "02-28", "03-31", "04-30"]),
        (MONTHLY, (29,), "2021-02-10", ["2021-02-28", "03-29", "04-29"]),
        (WEEKLY, (2,), "2021-05-03", ["2021-05-04", "05-11", "05-18"]),
        (SEMI, (10, 20), "2022-04-20", ["2022-04-20", "05-10", "05-20"]),
        (SEMI, (15, 31), "2022-04-15", ["2022-04-15", "04-30", "05-15"]),
        (SEMI, (30, 31), "2021-01-30", ["2021-01-30", "01-31", "02-28", "03-30", "03-31", "04-30", "05-30"]),
        (SEMI, (29, 31), "2021-04-29", ["2021-04-29", "04-30", "05-29", "05-31"]),
        (BIWEEKLY, (5,), "2024-03-22", ["2024-03-22", "04-05", "04-19", "05-03"]),
        (BIWEEKLY, (1,), "2024-03-22", ["2024-03-25", "04-08", "04-22"]),
    ],
)
def test_deduction_dates(frequency: Frequency, days: tuple[int, ...], start: str, expected: list[str]) -> None:
    pattern = PayrollPattern(frequency, D(start), days)
    assert take(pattern.dates(), len(expected)) == dates(*expected)


@pytest.mark.rule("CAL-106")
def test_each_missing_attribute_is_named() -> None:
    refused = payroll_problems(MONTHLY, None, None)
    assert set(codes(refused)) == {"PAYROLL_CALENDAR_INCOMPLETE"}
    assert pointers(refused) == ["/start_date", "/payroll_days"]
    assert pointers(payroll_problems(None, D("2024-01-01"), [1])) == ["/payroll_frequency"]
    one_of_two = payroll_problems(SEMI, D("2024-01-01"), [10])
    assert (codes(one_of_two), pointers(one_of_two)) == (["PAYROLL_CALENDAR_INCOMPLETE"], ["/payroll_days"])


@pytest.mark.rule("CAL-105", "CAL-106")
@pytest.mark.parametrize(
    ("frequency", "days", "valid"),
    [
        (WEEKLY, [7], True),
        (WEEKLY, [8], False),
        (BIWEEKLY, [0], False),
        (BIWEEKLY, [1, 2], False),
        (MONTHLY, [31], True),
        (MONTHLY, [32], False),
        (SEMI, [31, 1], True),
        (SEMI, [15, 15], False),
        (SEMI, [0, 15], False),
        (SEMI, [1, 2, 3], False),
    ],
)
def test_payroll_days_have_the_range_of_their_frequency(frequency: Frequency, days: list[int], valid: bool) -> None:
    refused = payroll_problems(frequency, D("2024-01-01"), days)
    assert codes(refused) == ([] if valid else ["PAYROLL_DAY_INVALID"])


@pytest.mark.rule("CAL-015")
def test_payroll_frequencies_are_four_and_a_tied_account_has_one() -> None:
    for frequency in Frequency:
        days = [10, 20] if frequency is SEMI else [5]
        refused = codes(payroll_problems(frequency, D("2024-01-01"), days))
        assert refused == ([] if frequency in (WEEKLY, BIWEEKLY, SEMI, MONTHLY) else ["REQUEST_INVALID"])
    assert codes(payroll_problems(WEEKLY, D("2024-01-01"), [5], tied_to=BIWEEKLY)) == ["PAYROLL_FREQUENCY_MISMATCH"]
    assert payroll_problems(WEEKLY, D("2024-01-01"), [5], tied_to=WEEKLY) == []


@pytest.mark.rule("CAL-111")
def test_dates_exist_to_the_horizon_and_no_weekend_moves_them() -> None:
    horizon = horizon_end(D("2024-01-31"), 24)
    assert horizon == D("2026-01-31")
    found = PayrollPattern(MONTHLY, D("2024-01-31"), (31,)).dates_to(horizon)
    assert (len(found), found[-1]) == (25, D("2026-01-31"))
    assert found[2] == D("2024-03-31")
    assert found[2].isoweekday() == 7


@pytest.mark.rule("CAL-112")
@pytest.mark.parametrize(
    ("frequency", "days", "texts", "fault"),
    [
        (WEEKLY, (5,), ["2024-01-05", "01-12", "01-18"], "weekday"),
        (WEEKLY, (5,), ["2024-01-05", "01-19"], "apart"),
        (BIWEEKLY, (5,), ["2024-01-05", "01-12"], "apart"),
        (MONTHLY, (31,), ["2024-01-31", "02-28"], "payroll day"),
        (MONTHLY, (10,), ["2024-01-10", "03-10"], "missing"),
        (SEMI, (10, 20), ["2024-01-10", "01-10"], "follow"),
        (MONTHLY, (10,), ["2023-12-10", "2024-01-10"], "before the start"),
    ],
)
def test_a_wrong_sequence_is_found_out(
    frequency: Frequency, days: tuple[int, ...], texts: list[str], fault: str
) -> None:
    pattern = PayrollPattern(frequency, D("2024-01-01"), days)
    assert any(fault in found for found in sequence_faults(pattern, dates(*texts)))


@pytest.mark.rule("CAL-113", "CAL-E21")
def test_former_dates_up_to_the_last_invoiced_day_stay_and_new_ones_come_after_it() -> None:
    former = PayrollPattern(MONTHLY, D("2024-01-10"), (10,)).dates_to(D("2024-12-31"))
    new = PayrollPattern(BIWEEKLY, D("2024-03-22"), (5,)).dates_to(D("2024-05-03"))
    assert list(protected(former, new, D("2024-03-31"))) == dates(
        "2024-01-10", "02-10", "03-10", "04-05", "04-19", "05-03"
    )
    assert protected(former, new, None) == new


@pytest.mark.rule("CAL-116", "CAL-E20")
@pytest.mark.parametrize(
    ("old", "new", "shift", "start", "shifted"),
    [
        ("2024-01-01", "2024-02-01", StartShift(ShiftUnit.MONTHS, 1), "2024-01-31", "2024-02-29"),
        ("2024-01-01", "2024-02-15", StartShift(ShiftUnit.DAYS, 45), "2024-01-05", "2024-02-19"),
        ("2024-03-01", "2024-02-10", StartShift(ShiftUnit.DAYS, -20), "2024-03-15", "2024-02-24"),
        ("2024-03-31", "2023-12-31", StartShift(ShiftUnit.MONTHS, -3), "2024-05-31", "2024-02-29"),
        ("2024-01-31", "2024-02-29", StartShift(ShiftUnit.DAYS, 29), "2024-01-31", "2024-02-29"),
    ],
)
def test_a_rewrite_shifts_by_months_on_the_same_day_of_the_month_else_by_days(
    old: str, new: str, shift: StartShift, start: str, shifted: str
) -> None:
    assert start_shift(D(old), D(new)) == shift
    assert shift.apply(D(start)) == D(shifted)


@pytest.mark.rule("CAL-115")
def test_the_same_effective_date_shifts_nothing() -> None:
    assert start_shift(D("2024-01-01"), D("2024-01-01")) is None


@pytest.mark.rule("CAL-117", "CAL-E20")
@pytest.mark.parametrize(
    ("frequency", "days", "start", "expected"),
    [
        (MONTHLY, (31,), "2024-02-29", ["2024-02-29", "03-31", "04-30"]),
        (WEEKLY, (5,), "2024-02-19", ["2024-02-23", "03-01", "03-08"]),
        (MONTHLY, (15,), "2024-02-24", ["2024-03-15"]),
    ],
)
def test_the_sequence_follows_from_the_shifted_start(
    frequency: Frequency, days: tuple[int, ...], start: str, expected: list[str]
) -> None:
    assert take(PayrollPattern(frequency, D(start), days).dates(), len(expected)) == dates(*expected)


@pytest.mark.rule("CAL-093", "CAL-094", "CAL-E16")
def test_dates_in_a_gap_are_suppressed_and_later_ones_do_not_move() -> None:
    pattern = seasonal_pattern(D("2026-02-15"))
    assert pattern == PayrollPattern(MONTHLY, D("2026-02-15"), (15,))
    grid = InvoicingGrid.starting(D("2026-02-15"), MONTHLY)
    assert list(listed_dates(pattern.dates_to(D("2026-08-31")), grid, (7,))) == dates(
        "2026-02-15", "03-15", "04-15", "05-15", "06-15", "08-15"
    )


PATTERNS = st.one_of(
    st.tuples(st.sampled_from([WEEKLY, BIWEEKLY]), st.tuples(st.integers(1, 7))),
    st.tuples(st.just(MONTHLY), st.tuples(st.integers(1, 31))),
    st.tuples(
        st.just(SEMI),
        st.sets(st.integers(1, 31), min_size=2, max_size=2).map(lambda days: tuple(sorted(days))),
    ),
)
STARTS = st.dates(dt.date(2010, 1, 1), dt.date(2040, 12, 31))


@pytest.mark.rule("CAL-107", "CAL-108", "CAL-109", "CAL-110", "CAL-112")
@LAW
@given(PATTERNS, STARTS)
def test_every_sequence_increases_strictly_and_passes_its_verification(
    frequency_days: tuple[Frequency, tuple[int, ...]], start: dt.date
) -> None:
    frequency, days = frequency_days
    pattern = PayrollPattern(frequency, start, days)
    found = take(pattern.dates(), 60)
    assert all(later > earlier for earlier, later in pairwise(found))
    assert sequence_faults(pattern, found) == []
    window = [start + n * ONE_DAY for n in range(40)]

    def complies(day: dt.date) -> bool:
        if frequency.is_cycle:
            return day.isoweekday() == days[0]
        return day.day in days or ((day + ONE_DAY).day == 1 and max(days) > day.day)

    assert found[0] == next(day for day in window if complies(day))


@pytest.mark.rule("CAL-108", "CAL-109")
@LAW
@given(PATTERNS, STARTS, st.integers(0, 30))
def test_dates_depend_on_the_payroll_days_and_never_on_the_date_before(
    frequency_days: tuple[Frequency, tuple[int, ...]], start: dt.date, number: int
) -> None:
    frequency, days = frequency_days
    found = take(PayrollPattern(frequency, start, days).dates(), number + 10)
    assert take(PayrollPattern(frequency, found[number], days).dates(), 10) == found[number:]
