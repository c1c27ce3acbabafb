"""The calendars of the installation: definition, default, lead-time rules, deactivation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from domain.calendar.billing_calendars import (
    BILLING_CALENDARS,
    BillingCalendars,
    CalendarRequest,
    DefaultBillingCalendarSet,
    assignable,
    calendar_of_new_account,
    change_calendar,
    deactivate,
    define_calendar,
    define_generation_rule,
    set_default,
)
from domain.errors import Refusal
from tests.domain.calendar.builders import D, codes, pointers

REQUEST = CalendarRequest("US", (6, 7), ("2024-07-04",), ("2024-07-06",), "02:00")


def state_of(*names: str, default: str | None = None) -> BillingCalendars:
    state = BillingCalendars()
    for name in names:
        state = BILLING_CALENDARS.fold(define_calendar(state, replace(REQUEST, name=name)), state)
    return BILLING_CALENDARS.fold(set_default(state, default), state) if default else state


def refused(decision: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        decision()
    return refusal.value


@pytest.mark.rule("CAL-001")
def test_a_calendar_is_defined_with_its_days_and_its_execution_time() -> None:
    state = state_of("US")
    calendar = state.find("us ")
    assert calendar is not None
    assert (calendar.name, calendar.execution_time, calendar.active) == ("US", "02:00", True)
    assert not calendar.days.is_working_day(D("2024-07-04"))
    assert calendar.days.is_working_day(D("2024-07-06"))
    assert not calendar.days.is_working_day(D("2024-07-07"))


@pytest.mark.rule("CAL-001")
def test_every_missing_attribute_is_named() -> None:
    refusal = refused(lambda: define_calendar(BillingCalendars(), CalendarRequest(" ", None)))
    assert codes(refusal.problems) == ["CALENDAR_MISSING_ATTRIBUTE"] * 3
    assert pointers(refusal.problems) == ["/name", "/weekend_days", "/execution_time"]


@pytest.mark.rule("CAL-001")
def test_no_weekend_days_must_be_said_and_seven_are_no_calendar() -> None:
    events = define_calendar(BillingCalendars(), CalendarRequest("ALL DAYS", (), execution_time="23:59"))
    assert events[0].weekend_days == ()
    refusal = refused(lambda: define_calendar(BillingCalendars(), replace(REQUEST, weekend_days=range(1, 8))))
    assert "REQUEST_INVALID" in codes(refusal.problems)


@pytest.mark.rule("CAL-002")
def test_a_name_is_unique_ignoring_case_and_surrounding_blanks() -> None:
    refusal = refused(lambda: define_calendar(state_of("US"), replace(REQUEST, name="us ")))
    assert codes(refusal.problems) == ["CALENDAR_NAME_DUPLICATE"]


@pytest.mark.rule("CAL-002")
@pytest.mark.parametrize("name", ["-US", "Ferien Süd", "U" * 51, "US\n", " US"])
def test_a_name_of_another_form_is_invalid(name: str) -> None:
    refusal = refused(lambda: define_calendar(BillingCalendars(), replace(REQUEST, name=name)))
    assert codes(refusal.problems) == ["CALENDAR_NAME_INVALID"]
    assert define_calendar(BillingCalendars(), replace(REQUEST, name="U" * 50))


@pytest.mark.rule("CAL-003", "CAL-E01")
@pytest.mark.parametrize(
    ("holidays", "working_weekends", "conflicts"),
    [
        (("2024-07-06", "2024-07-04", "2024-07-07"), (), [["2024-07-06", "2024-07-07"]]),
        (("2024-07-05",), ("2024-07-04",), [["2024-07-04"]]),
        (("2024-07-04",), ("2024-07-04",), [["2024-07-04"], ["2024-07-04"]]),
    ],
)
def test_every_conflicting_date_is_listed(
    holidays: tuple[str, ...], working_weekends: tuple[str, ...], conflicts: list[list[str]]
) -> None:
    request = replace(REQUEST, holidays=holidays, working_weekends=working_weekends)
    refusal = refused(lambda: define_calendar(BillingCalendars(), request))
    assert set(codes(refusal.problems)) == {"CALENDAR_DATE_CONFLICT"}
    assert [problem.params["dates"] for problem in refusal.problems] == conflicts


@pytest.mark.rule("CAL-003")
def test_a_date_that_is_none_is_named_by_its_place() -> None:
    request = replace(REQUEST, holidays=("2024-07-04", "2024-02-30", "20240704"), working_weekends=("2024-W27-6",))
    refusal = refused(lambda: define_calendar(BillingCalendars(), request))
    assert codes(refusal.problems) == ["CALENDAR_DATE_INVALID"] * 3
    assert pointers(refusal.problems) == ["/holidays/1", "/holidays/2", "/working_weekends/0"]


@pytest.mark.rule("CAL-003")
def test_with_lenient_holidays_one_on_a_weekend_day_is_accepted_without_effect() -> None:
    request = replace(REQUEST, holidays=("2024-07-13",))
    events = define_calendar(BillingCalendars(), request, strict_holidays=False)
    calendar = BILLING_CALENDARS.fold(events).find("US")
    assert calendar is not None
    assert not calendar.days.is_working_day(D("2024-07-13"))
    both = replace(REQUEST, holidays=("2024-07-06",), working_weekends=("2024-07-06",))
    refusal = refused(lambda: define_calendar(BillingCalendars(), both, strict_holidays=False))
    assert codes(refusal.problems) == ["CALENDAR_DATE_CONFLICT"]


@pytest.mark.rule("CAL-007")
def test_at_most_one_calendar_is_the_default() -> None:
    state = state_of("US", "CA", default="US")
    events = set_default(state, "ca")
    assert events == [DefaultBillingCalendarSet(name="CA", former="US")]
    assert BILLING_CALENDARS.fold(events, state).default == "CA"
    assert set_default(state, "US") == []
    assert refused(lambda: set_default(state, "MX")).code == "ENTITY_NOT_FOUND"


@pytest.mark.rule("CAL-008")
def test_a_new_account_takes_the_named_calendar_else_the_default_else_none() -> None:
    state = state_of("US", "CA", default="US")
    assert calendar_of_new_account(state, None) == "US"
    assert calendar_of_new_account(state, "ca") == "CA"
    assert calendar_of_new_account(state_of("US"), None) is None
    assert refused(lambda: calendar_of_new_account(state, "MX")).code == "ENTITY_NOT_FOUND"


@pytest.mark.rule("CAL-009")
def test_an_inactive_calendar_takes_no_new_assignment_and_no_change() -> None:
    state = state_of("US", "CA")
    state = BILLING_CALENDARS.fold(deactivate(state, "CA", accounts=0), state)
    assert refused(lambda: assignable(state, "CA")).code == "ENTITY_NOT_FOUND"
    assert refused(lambda: set_default(state, "CA")).code == "ENTITY_NOT_FOUND"
    assert refused(lambda: change_calendar(state, replace(REQUEST, name="CA"))).code == "STATE_INVALID"
    assert refused(lambda: deactivate(state, "CA", accounts=0)).code == "STATE_INVALID"


@pytest.mark.rule("CAL-009")
def test_a_calendar_in_use_is_not_deactivated() -> None:
    state = state_of("US", "CA", "MX", default="US")
    state = BILLING_CALENDARS.fold(define_generation_rule(state, "MX", 10), state)
    used_by = {
        name: refused(lambda name=name, count=count: deactivate(state, name, accounts=count)).problems[0].params
        for name, count in (("US", 2), ("CA", 1), ("MX", 0))
    }
    assert used_by == {
        "US": {"used_by": ["DEFAULT", "ACCOUNTS"]},
        "CA": {"used_by": ["ACCOUNTS"]},
        "MX": {"used_by": ["RULE"]},
    }
    assert refused(lambda: deactivate(state, "CA", accounts=1)).code == "CALENDAR_IN_USE"
    assert deactivate(state, "CA", accounts=0)[0].name == "CA"


@pytest.mark.rule("CAL-009")
def test_a_change_replaces_the_days_and_keeps_name_and_rule() -> None:
    state = state_of("US")
    state = BILLING_CALENDARS.fold(define_generation_rule(state, "US", 10), state)
    request = CalendarRequest("us", (7,), (), (), "03:30")
    state = BILLING_CALENDARS.fold(change_calendar(state, request), state)
    calendar = state.find("US")
    assert calendar is not None
    assert (calendar.name, calendar.execution_time, calendar.number_of_days_ahead) == ("US", "03:30", 10)
    assert calendar.days.is_working_day(D("2024-07-06"))
    assert not calendar.days.is_working_day(D("2024-07-07"))
    assert change_calendar(state, request) == []
    assert refused(lambda: change_calendar(state, replace(REQUEST, name="MX"))).code == "ENTITY_NOT_FOUND"
    bad = replace(REQUEST, name="US", holidays=("2024-07-06",), working_weekends=(), execution_time="25:00")
    refusal = refused(lambda: change_calendar(state, bad))
    assert codes(refusal.problems) == ["REQUEST_INVALID", "CALENDAR_DATE_CONFLICT"]


@pytest.mark.rule("CAL-011")
def test_a_lead_time_rule_names_a_calendar_and_0_to_90_days_once() -> None:
    state = state_of("US", "CA")
    for days in (0, 90):
        assert define_generation_rule(state, "US", days)[0].number_of_days_ahead == days
    refusal = refused(lambda: define_generation_rule(state, None, None))
    assert codes(refusal.problems) == ["GENERATION_RULE_MISSING_ATTRIBUTE"] * 2
    assert pointers(refusal.problems) == ["/calendar", "/number_of_days_ahead"]
    for days in (-1, 91):
        refusal = refused(lambda days=days: define_generation_rule(state, "US", days))
        assert codes(refusal.problems) == ["LEAD_TIME_OUT_OF_RANGE"]
        assert refusal.problems[0].params == {"minimum": 0, "maximum": 90}
    state = BILLING_CALENDARS.fold(define_generation_rule(state, "US", 10), state)
    refusal = refused(lambda: define_generation_rule(state, " us", 91))
    assert codes(refusal.problems) == ["LEAD_TIME_OUT_OF_RANGE", "CALENDAR_ALREADY_USED"]
    assert define_generation_rule(state, "CA", 10)
    assert refused(lambda: define_generation_rule(state, "MX", 10)).code == "ENTITY_NOT_FOUND"
