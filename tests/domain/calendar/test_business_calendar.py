"""Working days and the processing dates of jobs."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.calendar.business_calendar import (
    DRAFT_BILL_MODE,
    INVOICE_GENERATION_MODE,
    BusinessCalendar,
    BusinessDayRule,
    NonWorkingDayMode,
    business_day,
    processing_date,
)
from tests.domain.calendar.builders import LAW, ONE_DAY, D

SATURDAY_SUNDAY = frozenset({6, 7})
PLAIN = BusinessCalendar(SATURDAY_SUNDAY)
JULY = BusinessCalendar(SATURDAY_SUNDAY, frozenset({D("2024-07-04")}), frozenset({D("2024-07-06")}))
MODES = list(NonWorkingDayMode)


@pytest.mark.rule("CAL-004", "CAL-E01")
def test_a_holiday_is_not_worked_and_a_working_weekend_is() -> None:
    assert not JULY.is_working_day(D("2024-07-04"))
    assert JULY.is_working_day(D("2024-07-05"))
    assert JULY.is_working_day(D("2024-07-06"))
    assert not JULY.is_working_day(D("2024-07-07"))


@pytest.mark.rule("CAL-004")
def test_neighbouring_working_days_are_strictly_after_and_before() -> None:
    assert JULY.next_working_day(D("2024-07-03")) == D("2024-07-05")
    assert JULY.next_working_day(D("2024-07-06")) == D("2024-07-08")
    assert JULY.previous_working_day(D("2024-07-05")) == D("2024-07-03")
    assert JULY.previous_working_day(D("2024-07-08")) == D("2024-07-06")


@pytest.mark.rule("CAL-001")
def test_a_week_has_at_most_six_weekend_days_and_may_have_none() -> None:
    assert BusinessCalendar(frozenset()).is_working_day(D("2024-07-07"))
    with pytest.raises(ValueError, match="at most six"):
        BusinessCalendar(frozenset(range(1, 8)))


@pytest.mark.rule("CAL-005", "CAL-E01")
@pytest.mark.parametrize(
    ("run_date", "expected"),
    [
        ("2024-07-04", {"NONE": "2024-07-04", "POSTPONE": None, "IN_ADVANCE": "2024-07-05"}),
        ("2024-07-06", {"NONE": "2024-07-06", "POSTPONE": "2024-07-06", "IN_ADVANCE": "2024-07-06"}),
    ],
)
def test_the_processing_date_follows_from_run_date_and_mode(run_date: str, expected: dict[str, str | None]) -> None:
    found = {mode: processing_date(D(run_date), mode, JULY) for mode in MODES}
    assert found == {mode: None if day is None else D(day) for mode, day in expected.items()}


@pytest.mark.rule("CAL-005", "CAL-E02")
@pytest.mark.parametrize(
    ("mode", "saturday", "monday"),
    [
        (NonWorkingDayMode.NONE, ["X", "Y"], ["X", "Y", "Z"]),
        (NonWorkingDayMode.POSTPONE, [], ["X", "Y", "Z"]),
        (NonWorkingDayMode.IN_ADVANCE, ["X", "Y", "Z"], ["X", "Y", "Z"]),
    ],
)
def test_a_run_takes_the_items_up_to_its_processing_date(
    mode: NonWorkingDayMode, saturday: list[str], monday: list[str]
) -> None:
    generation_dates = {"X": D("2024-07-05"), "Y": D("2024-07-06"), "Z": D("2024-07-08")}

    def taken(run_date: str) -> list[str]:
        limit = processing_date(D(run_date), mode, PLAIN)
        return [name for name, day in generation_dates.items() if limit is not None and day <= limit]

    assert (taken("2024-07-06"), taken("2024-07-08")) == (saturday, monday)


@pytest.mark.rule("CAL-006")
def test_invoices_are_postponed_and_drafts_read_no_calendar_by_default() -> None:
    assert INVOICE_GENERATION_MODE is NonWorkingDayMode.POSTPONE
    assert DRAFT_BILL_MODE is NonWorkingDayMode.NONE
    assert processing_date(D("2024-07-06"), DRAFT_BILL_MODE, None) == D("2024-07-06")
    with pytest.raises(ValueError, match="needs a calendar"):
        processing_date(D("2024-07-06"), INVOICE_GENERATION_MODE, None)


@pytest.mark.rule("CAL-066")
@pytest.mark.parametrize(
    ("rule", "day", "not_before", "expected"),
    [
        (BusinessDayRule.NONE, "2024-07-07", "2024-07-01", "2024-07-07"),
        (BusinessDayRule.NEXT, "2024-07-07", "2024-07-01", "2024-07-08"),
        (BusinessDayRule.NEXT, "2024-07-05", "2024-07-01", "2024-07-05"),
        (BusinessDayRule.PREVIOUS, "2024-07-07", "2024-07-01", "2024-07-06"),
        (BusinessDayRule.PREVIOUS, "2024-07-07", "2024-07-06", "2024-07-06"),
        (BusinessDayRule.PREVIOUS, "2024-07-07", "2024-07-07", "2024-07-08"),
    ],
)
def test_a_due_date_moves_to_a_working_day_but_never_back_before_the_system_date(
    rule: BusinessDayRule, day: str, not_before: str, expected: str
) -> None:
    assert business_day(D(day), rule, JULY, D(not_before)) == D(expected)


DAYS = st.dates(dt.date(2020, 1, 1), dt.date(2030, 12, 31))
NEAR = st.integers(-20, 20)


@pytest.mark.rule("CAL-004", "CAL-005")
@LAW
@given(st.frozensets(st.integers(1, 7), max_size=6), st.frozensets(NEAR), st.frozensets(NEAR), DAYS)
def test_no_working_day_lies_between_a_day_and_its_working_neighbours(
    weekend: frozenset[int], holidays: frozenset[int], weekends: frozenset[int], day: dt.date
) -> None:
    calendar = BusinessCalendar(
        weekend,
        frozenset(day + dt.timedelta(days=n) for n in holidays - weekends),
        frozenset(day + dt.timedelta(days=n) for n in weekends),
    )
    following, earlier = calendar.next_working_day(day), calendar.previous_working_day(day)
    assert earlier < day < following
    assert calendar.is_working_day(following)
    assert calendar.is_working_day(earlier)
    between = [earlier + n * ONE_DAY for n in range(1, (following - earlier).days) if earlier + n * ONE_DAY != day]
    assert not any(calendar.is_working_day(item) for item in between)
    expected = {"NONE": day, "POSTPONE": None, "IN_ADVANCE": following}
    if calendar.is_working_day(day):
        expected = dict.fromkeys(expected, day)
    assert {str(mode): processing_date(day, mode, calendar) for mode in MODES} == expected
