"""The boundary functions: where periods start, for any frequency, anchor and number."""

from __future__ import annotations

import calendar
import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.calendar.frequency import Frequency
from domain.calendar.months import add_months, day_of_month, is_month_end, month_length, month_number
from domain.calendar.periods import Period, index_at, period_at, periods_between, start_of
from tests.domain.calendar.builders import LAW, ONE_DAY, D, dates, spans

ANCHORS = st.dates(dt.date(1990, 1, 1), dt.date(2060, 12, 31))
#: Anchors where month lengths bite, drawn as often as all others.
LATE_ANCHORS = ANCHORS.map(lambda day: day.replace(day=calendar.monthrange(day.year, day.month)[1])) | ANCHORS.map(
    lambda day: day.replace(day=min(calendar.monthrange(day.year, day.month)[1], 29))
)
FREQUENCIES = st.sampled_from(Frequency)
NUMBERS = st.integers(-400, 400)


def starts(anchor: str, frequency: Frequency, count: int, first: int = 0) -> list[dt.date]:
    return [start_of(D(anchor), frequency, k) for k in range(first, first + count)]


def from_anchor(anchor: str, frequency: Frequency, count: int) -> list[str]:
    return spans(periods_between(D(anchor), frequency, D(anchor), dt.date(2099, 1, 1)), count)


@pytest.mark.rule("CAL-013")
@pytest.mark.parametrize(
    ("frequency", "paymode", "cycle", "limit"),
    [
        ("WEEKLY", 52, True, 6),
        ("BIWEEKLY", 26, True, 13),
        ("EVERY_28_DAYS", 13, True, 27),
        ("SEMI_MONTHLY", 24, False, 14),
        ("MONTHLY", 12, False, 29),
        ("BIMONTHLY", 6, False, 59),
        ("QUARTERLY", 4, False, 89),
        ("SEMI_ANNUAL", 2, False, 179),
        ("ANNUAL", 1, False, 364),
    ],
)
def test_each_frequency_has_its_paymode_category_and_day_offset_limit(
    frequency: str, paymode: int, cycle: bool, limit: int
) -> None:
    item = Frequency(frequency)
    assert (item.paymode, item.is_cycle, item.day_offset_limit) == (paymode, cycle, limit)
    assert item.is_month_based == (not cycle and item is not Frequency.SEMI_MONTHLY)


@pytest.mark.rule("CAL-013", "CAL-044", "CAL-045")
@pytest.mark.parametrize(
    ("frequency", "second", "third"),
    [
        (Frequency.WEEKLY, "2023-05-08", "2023-05-15"),
        (Frequency.BIWEEKLY, "2023-05-15", "2023-05-29"),
        (Frequency.EVERY_28_DAYS, "2023-05-29", "2023-06-26"),
        (Frequency.SEMI_MONTHLY, "2023-05-16", "2023-06-01"),
        (Frequency.MONTHLY, "2023-06-01", "2023-07-01"),
        (Frequency.BIMONTHLY, "2023-07-01", "2023-09-01"),
        (Frequency.QUARTERLY, "2023-08-01", "2023-11-01"),
        (Frequency.SEMI_ANNUAL, "2023-11-01", "2024-05-01"),
        (Frequency.ANNUAL, "2024-05-01", "2025-05-01"),
    ],
)
def test_each_frequency_has_its_step(frequency: Frequency, second: str, third: str) -> None:
    assert starts("2023-05-01", frequency, 3) == dates("2023-05-01", second, third)


@pytest.mark.rule("CAL-045", "CAL-046", "CAL-E03")
@pytest.mark.parametrize(
    ("anchor", "frequency", "expected"),
    [
        (
            "2024-01-31",
            Frequency.MONTHLY,
            ["2024-01-31..2024-02-28", "2024-02-29..2024-03-30", "2024-03-31..2024-04-29", "2024-04-30..2024-05-30"],
        ),
        (
            "2024-01-30",
            Frequency.MONTHLY,
            ["2024-01-30..2024-02-28", "2024-02-29..2024-03-29", "2024-03-30..2024-04-29"],
        ),
        (
            "2024-04-30",
            Frequency.MONTHLY,
            ["2024-04-30..2024-05-30", "2024-05-31..2024-06-29", "2024-06-30..2024-07-30"],
        ),
        (
            "2025-11-30",
            Frequency.QUARTERLY,
            ["2025-11-30..2026-02-27", "2026-02-28..2026-05-30", "2026-05-31..2026-08-30"],
        ),
        (
            "2023-12-31",
            Frequency.BIMONTHLY,
            ["2023-12-31..2024-02-28", "2024-02-29..2024-04-29", "2024-04-30..2024-06-29"],
        ),
    ],
)
def test_month_based_periods_keep_the_month_end_or_the_day_of_the_anchor(
    anchor: str, frequency: Frequency, expected: list[str]
) -> None:
    assert from_anchor(anchor, frequency, len(expected)) == expected


@pytest.mark.rule("CAL-046")
def test_a_month_end_is_the_last_day_of_its_own_year() -> None:
    assert is_month_end(D("2025-02-28"))
    assert not is_month_end(D("2024-02-28"))
    assert starts("2025-02-28", Frequency.MONTHLY, 3) == dates("2025-02-28", "03-31", "04-30")
    assert starts("2024-02-28", Frequency.MONTHLY, 3) == dates("2024-02-28", "03-28", "04-28")


@pytest.mark.rule("CAL-046")
def test_without_stickiness_the_aligned_date_is_the_anchors_day() -> None:
    anchor = D("2024-04-30")
    assert [start_of(anchor, Frequency.MONTHLY, k, sticky=False) for k in range(4)] == dates(
        "2024-04-30", "05-30", "06-30", "07-30"
    )
    assert index_at(anchor, Frequency.MONTHLY, D("2024-05-30"), sticky=False) == 1
    assert index_at(anchor, Frequency.MONTHLY, D("2024-05-30")) == 0
    assert period_at(anchor, Frequency.MONTHLY, D("2024-06-01"), sticky=False) == Period(
        D("2024-05-30"), D("2024-06-30")
    )


@pytest.mark.rule("CAL-047", "CAL-E04")
def test_annual_periods_from_29_february_start_on_28_february_in_common_years() -> None:
    assert starts("2024-02-29", Frequency.ANNUAL, 5) == dates(
        "2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"
    )
    fourth = period_at(D("2024-02-29"), Frequency.ANNUAL, D("2027-12-31"))
    assert (fourth.start, fourth.to) == (D("2027-02-28"), D("2028-02-28"))
    assert [start_of(D("2024-02-29"), Frequency.ANNUAL, k, sticky=False) for k in (1, 4)] == dates(
        "2025-02-28", "2028-02-29"
    )


@pytest.mark.rule("CAL-048", "CAL-E05")
@pytest.mark.parametrize(
    ("anchor", "expected"),
    [
        (
            "2024-01-01",
            ["2024-01-01..2024-01-15", "2024-01-16..2024-01-31", "2024-02-01..2024-02-15", "2024-02-16..2024-02-29"],
        ),
        (
            "2024-01-10",
            ["2024-01-10..2024-01-24", "2024-01-25..2024-02-09", "2024-02-10..2024-02-24", "2024-02-25..2024-03-09"],
        ),
        (
            "2023-02-15",
            ["2023-02-15..2023-03-01", "2023-03-02..2023-03-14", "2023-03-15..2023-03-29", "2023-03-30..2023-04-14"],
        ),
    ],
)
def test_semi_monthly_periods_halve_the_month_after_15_days(anchor: str, expected: list[str]) -> None:
    assert from_anchor(anchor, Frequency.SEMI_MONTHLY, len(expected)) == expected


@pytest.mark.rule("CAL-044", "CAL-E06")
def test_cycle_periods_are_7_14_or_28_days_and_never_month_aligned() -> None:
    ends = {
        frequency: period_at(D("2024-03-04"), frequency, D("2024-03-04")).to
        for frequency in (Frequency.WEEKLY, Frequency.BIWEEKLY, Frequency.EVERY_28_DAYS)
    }
    assert ends == {
        Frequency.WEEKLY: D("2024-03-10"),
        Frequency.BIWEEKLY: D("2024-03-17"),
        Frequency.EVERY_28_DAYS: D("2024-03-31"),
    }
    assert starts("2026-01-01", Frequency.EVERY_28_DAYS, 4) == dates("2026-01-01", "01-29", "02-26", "03-26")
    assert start_of(D("2026-01-01"), Frequency.EVERY_28_DAYS, 13) == D("2026-12-31")


def naive_start(anchor: dt.date, frequency: Frequency, k: int) -> dt.date:
    """The rules word for word, with the standard library's month lengths."""
    if frequency.is_cycle:
        return anchor + dt.timedelta(days=k * {"WEEKLY": 7, "BIWEEKLY": 14, "EVERY_28_DAYS": 28}[frequency])
    step = {"MONTHLY": 1, "BIMONTHLY": 2, "QUARTERLY": 3, "SEMI_ANNUAL": 6, "ANNUAL": 12, "SEMI_MONTHLY": 1}[frequency]
    whole, half = divmod(k, 2) if frequency is Frequency.SEMI_MONTHLY else (k, 0)
    months = anchor.year * 12 + anchor.month - 1 + whole * step
    year, month = months // 12, months % 12 + 1
    length = calendar.monthrange(year, month)[1]
    anchor_is_month_end = anchor.day == calendar.monthrange(anchor.year, anchor.month)[1]
    start = dt.date(year, month, length if anchor_is_month_end else min(anchor.day, length))
    return start + dt.timedelta(days=15 * half)


@pytest.mark.rule("CAL-043", "CAL-044", "CAL-045", "CAL-046", "CAL-048")
@LAW
@given(ANCHORS | LATE_ANCHORS, FREQUENCIES, NUMBERS)
@example(dt.date(2024, 1, 31), Frequency.SEMI_MONTHLY, 3)
def test_a_start_is_what_the_rules_say_of_anchor_frequency_and_number_alone(
    anchor: dt.date, frequency: Frequency, k: int
) -> None:
    assert start_of(anchor, frequency, k) == naive_start(anchor, frequency, k)


@pytest.mark.rule("CAL-043")
@LAW
@given(ANCHORS | LATE_ANCHORS, FREQUENCIES, NUMBERS, st.booleans())
def test_periods_are_contiguous_for_every_frequency_and_anchor(
    anchor: dt.date, frequency: Frequency, k: int, sticky: bool
) -> None:
    start, end = start_of(anchor, frequency, k, sticky), start_of(anchor, frequency, k + 1, sticky)
    assert start < end
    assert period_at(anchor, frequency, start, sticky) == Period(start, end)
    assert period_at(anchor, frequency, end - ONE_DAY, sticky) == Period(start, end)
    assert period_at(anchor, frequency, end, sticky).start == end
    assert start_of(anchor, frequency, 0, sticky) == anchor


@pytest.mark.rule("CAL-043")
@LAW
@given(ANCHORS | LATE_ANCHORS, FREQUENCIES, NUMBERS, st.integers(0, 365), st.booleans())
def test_the_number_of_a_day_is_the_inverse_of_the_start(
    anchor: dt.date, frequency: Frequency, k: int, days: int, sticky: bool
) -> None:
    assert index_at(anchor, frequency, start_of(anchor, frequency, k, sticky), sticky) == k
    day = start_of(anchor, frequency, k, sticky) + dt.timedelta(days=days)
    found = index_at(anchor, frequency, day, sticky)
    assert start_of(anchor, frequency, found, sticky) <= day < start_of(anchor, frequency, found + 1, sticky)


@pytest.mark.rule("CAL-048")
@LAW
@given(ANCHORS | LATE_ANCHORS, st.integers(-40, 40))
def test_semi_monthly_has_24_periods_a_year_and_first_halves_of_15_days(anchor: dt.date, years: int) -> None:
    month = month_number(anchor) + 12 * years
    k = 24 * years
    first = start_of(anchor, Frequency.SEMI_MONTHLY, k)
    assert month_number(first) == month
    assert (start_of(anchor, Frequency.SEMI_MONTHLY, k + 1) - first).days == 15
    assert start_of(anchor, Frequency.SEMI_MONTHLY, k + 24) == start_of(anchor, Frequency.MONTHLY, 12 * (years + 1))


@pytest.mark.rule("CAL-043")
@LAW
@given(ANCHORS | LATE_ANCHORS, FREQUENCIES, ANCHORS, st.integers(-5, 900))
def test_periods_between_are_exactly_those_that_share_a_day_with_the_interval(
    anchor: dt.date, frequency: Frequency, first: dt.date, days: int
) -> None:
    end = first + dt.timedelta(days=days)
    found = list(periods_between(anchor, frequency, first, end))
    if days <= 0:
        assert found == []
        return
    assert found[0] == period_at(anchor, frequency, first)
    assert found[-1] == period_at(anchor, frequency, end - ONE_DAY)
    assert all(earlier.end == later.start for earlier, later in pairwise(found))


def test_every_month_of_four_centuries_has_its_length() -> None:
    months = [(year, month) for year in range(1850, 2251) for month in range(1, 13)]
    assert [month_length(year * 12 + month - 1) for year, month in months] == [
        calendar.monthrange(year, month)[1] for year, month in months
    ]


@LAW
@given(st.integers(1900 * 12, 2200 * 12 - 1), st.integers(1, 31), st.integers(-600, 600))
def test_days_are_limited_to_the_month_and_months_step_plainly(month: int, day: int, months: int) -> None:
    length = calendar.monthrange(month // 12, month % 12 + 1)[1]
    assert month_length(month) == length
    limited = day_of_month(month, day)
    assert (month_number(limited), limited.day) == (month, min(day, length))
    moved = add_months(limited, months)
    assert month_number(moved) == month + months
    assert moved.day == min(limited.day, month_length(month + months))
