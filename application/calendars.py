"""Business calendars, their default and their lead-time rules."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from application.command import Command, Identifier, Outcome, command, handles
from application.parameters import parameters_in_force
from application.register import Directory
from application.unit_of_work import Loaded, UnitOfWork
from domain.calendar.billing_calendars import (
    BILLING_CALENDARS,
    BillingCalendars,
    CalendarRequest,
    change_calendar,
    deactivate,
    define_calendar,
    define_generation_rule,
    set_default,
)

_STRICT = "calendar.strict_holidays"
#: All business calendars of an installation are one stream, so that names and the default are judged together.
INSTALLATION = "installation"

Dates = Annotated[tuple[str, ...], Field(max_length=2000)]


class CalendarMembers(Command):
    """Working days: weekend days are ISO weekdays 1 to 7; execution_time is HH:MM in the account's time zone."""

    name: str | None = None
    weekend_days: Annotated[tuple[int, ...], Field(max_length=7)] | None = None
    holidays: Dates = ()
    working_weekends: Dates = ()
    execution_time: str | None = None

    def request(self) -> CalendarRequest:
        return CalendarRequest(self.name, self.weekend_days, self.holidays, self.working_weekends, self.execution_time)


_EXAMPLE = {
    "name": "US-STANDARD",
    "weekend_days": [6, 7],
    "holidays": ["2025-01-01", "2025-07-04", "2025-12-25"],
    "working_weekends": [],
    "execution_time": "06:00",
}


@command(
    privilege="calendar.manage",
    room="02",
    summary="Create a business calendar",
    rules=("CAL-001", "CAL-002", "CAL-003"),
    refusals=(
        "CALENDAR_MISSING_ATTRIBUTE",
        "CALENDAR_NAME_DUPLICATE",
        "CALENDAR_NAME_INVALID",
        "CALENDAR_DATE_CONFLICT",
        "CALENDAR_DATE_INVALID",
    ),
    example=_EXAMPLE,
)
class CreateBillingCalendar(CalendarMembers):
    """A calendar of working days that accounts and jobs refer to by name."""


@command(
    privilege="calendar.manage",
    room="02",
    summary="Change a business calendar for what has not run yet",
    rules=("CAL-009",),
    refusals=("ENTITY_NOT_FOUND", "CALENDAR_MISSING_ATTRIBUTE", "CALENDAR_DATE_CONFLICT", "CALENDAR_DATE_INVALID"),
    example=_EXAMPLE,
)
class UpdateBillingCalendar(CalendarMembers):
    """The calendar as it is to be, whole."""


@command(
    privilege="calendar.manage",
    room="02",
    summary="Take a calendar out of use",
    rules=("CAL-009",),
    refusals=("ENTITY_NOT_FOUND", "CALENDAR_IN_USE"),
    example={"name": "US-STANDARD"},
)
class DeactivateBillingCalendar(Command):
    """An inactive calendar takes no new assignment."""

    name: Identifier


@command(
    privilege="calendar.manage",
    room="02",
    summary="Make a calendar the default of new accounts",
    rules=("CAL-007", "CAL-008"),
    refusals=("ENTITY_NOT_FOUND",),
    example={"name": "US-STANDARD"},
)
class SetDefaultBillingCalendar(Command):
    """Existing accounts stay on their calendar."""

    name: Identifier


@command(
    privilege="calendar.manage",
    room="02",
    summary="Define how many days ahead a calendar's invoices are generated",
    rules=("CAL-011",),
    refusals=(
        "GENERATION_RULE_MISSING_ATTRIBUTE",
        "LEAD_TIME_OUT_OF_RANGE",
        "CALENDAR_ALREADY_USED",
        "ENTITY_NOT_FOUND",
    ),
    example={"calendar": "US-STANDARD", "number_of_days_ahead": 15},
)
class DefineGenerationRule(Command):
    """One lead-time rule a calendar."""

    calendar: str | None = None
    number_of_days_ahead: int | None = None


def load_calendars(unit: UnitOfWork) -> Loaded[BillingCalendars]:
    """All business calendars of the installation."""
    return unit.load(BILLING_CALENDARS, INSTALLATION)


def _main(unit: UnitOfWork) -> Loaded[BillingCalendars]:
    """The calendars for a command about one of them; the expected version is that of all together (PLT-020)."""
    calendars = load_calendars(unit)
    unit.expect_main(BILLING_CALENDARS, calendars)
    return calendars


def _strict_holidays(unit: UnitOfWork) -> bool:
    """Whether a holiday on a weekend day is refused rather than of no effect (CAL-003)."""
    return parameters_in_force(unit, (_STRICT,), {}, unit.today())[_STRICT] is True


@handles(CreateBillingCalendar)
def create_billing_calendar(command: CreateBillingCalendar, unit: UnitOfWork) -> Outcome:
    calendars = _main(unit)
    events = define_calendar(calendars.state, command.request(), strict_holidays=_strict_holidays(unit))
    unit.append(BILLING_CALENDARS, INSTALLATION, events)
    return Outcome({"name": command.name})


@handles(UpdateBillingCalendar)
def update_billing_calendar(command: UpdateBillingCalendar, unit: UnitOfWork) -> Outcome:
    calendars = _main(unit)
    events = change_calendar(calendars.state, command.request(), strict_holidays=_strict_holidays(unit))
    unit.append(BILLING_CALENDARS, INSTALLATION, events)
    return Outcome({"name": command.name})


@handles(DeactivateBillingCalendar)
def deactivate_billing_calendar(command: DeactivateBillingCalendar, unit: UnitOfWork) -> Outcome:
    calendars = _main(unit)
    accounts = unit.port(Directory).accounts_on_calendar(command.name)
    unit.append(BILLING_CALENDARS, INSTALLATION, deactivate(calendars.state, command.name, accounts=accounts))
    return Outcome({"name": command.name})


@handles(SetDefaultBillingCalendar)
def set_default_billing_calendar(command: SetDefaultBillingCalendar, unit: UnitOfWork) -> Outcome:
    calendars = _main(unit)
    unit.append(BILLING_CALENDARS, INSTALLATION, set_default(calendars.state, command.name))
    return Outcome({"name": command.name})


@handles(DefineGenerationRule)
def define_lead_time_rule(command: DefineGenerationRule, unit: UnitOfWork) -> Outcome:
    calendars = _main(unit)
    events = define_generation_rule(calendars.state, command.calendar, command.number_of_days_ahead)
    unit.append(BILLING_CALENDARS, INSTALLATION, events)
    return Outcome({"calendar": command.calendar, "number_of_days_ahead": command.number_of_days_ahead})
