"""The billing calendars of the installation: their life, which one is the default, and their lead-time rules.

One stream holds all of them. They are few and rarely change, and what is decided about one (its name is unique, at most
one is the default, one lead-time rule each) is decided about all. A calendar is found by its name, ignoring case and
surrounding blanks, and a name never changes: accounts refer to it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from domain.aggregate import Aggregate
from domain.calendar.business_calendar import BusinessCalendar
from domain.errors import Problem, Refusal, refuse, refuse_if_any
from domain.events import event

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,49}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
MAX_DAYS_AHEAD = 90


@event()
class BillingCalendarDefined:
    """A calendar exists and may be assigned. `execution_time` is HH:MM in the time zone of each account (CAL-001)."""

    name: str
    weekend_days: tuple[int, ...]
    holidays: tuple[dt.date, ...]
    working_weekends: tuple[dt.date, ...]
    execution_time: str


@event()
class BillingCalendarChanged:
    """The calendar has these attributes from now on; what was executed before is untouched (CAL-009)."""

    name: str
    weekend_days: tuple[int, ...]
    holidays: tuple[dt.date, ...]
    working_weekends: tuple[dt.date, ...]
    execution_time: str


@event()
class DefaultBillingCalendarSet:
    """The calendar is the default of new accounts; `former` lost the mark (CAL-007)."""

    name: str
    former: str | None


@event()
class GenerationRuleDefined:
    """The lead-time rule of a calendar: invoices are generated this many days before the period starts (CAL-011)."""

    calendar: str
    number_of_days_ahead: int


@event()
class BillingCalendarDeactivated:
    """The calendar takes no new assignment (CAL-009)."""

    name: str


@dataclass(frozen=True, slots=True)
class BillingCalendar:
    """One calendar. `number_of_days_ahead` is its lead-time rule, in days, or None."""

    name: str
    days: BusinessCalendar
    execution_time: str
    active: bool = True
    number_of_days_ahead: int | None = None


@dataclass(frozen=True, slots=True)
class BillingCalendars:
    """All calendars by key (see `calendar_key`); `default` is the name of the default one."""

    by_key: Mapping[str, BillingCalendar] = field(default_factory=dict)
    default: str | None = None

    def find(self, name: str) -> BillingCalendar | None:
        """The calendar of the name, active or not."""
        return self.by_key.get(calendar_key(name))


def calendar_key(name: str) -> str:
    """What makes two names the same: everything but case and surrounding blanks (CAL-002)."""
    return name.strip().casefold()


def evolve(state: BillingCalendars, happened: object) -> BillingCalendars:
    """The calendars after one more event."""
    match happened:
        case BillingCalendarDefined():
            return _with(state, BillingCalendar(happened.name, _days_of(happened), happened.execution_time))
        case BillingCalendarChanged():
            known = state.by_key[calendar_key(happened.name)]
            return _with(state, replace(known, days=_days_of(happened), execution_time=happened.execution_time))
        case DefaultBillingCalendarSet(name=name):
            return replace(state, default=name)
        case GenerationRuleDefined(calendar=name, number_of_days_ahead=days):
            return _with(state, replace(state.by_key[calendar_key(name)], number_of_days_ahead=days))
        case BillingCalendarDeactivated(name=name):
            return _with(state, replace(state.by_key[calendar_key(name)], active=False))
        case _:
            raise TypeError(f"billing calendars know no event {type(happened).__name__}")


def _with(state: BillingCalendars, calendar: BillingCalendar) -> BillingCalendars:
    return replace(state, by_key={**state.by_key, calendar_key(calendar.name): calendar})


def _days_of(happened: BillingCalendarDefined | BillingCalendarChanged) -> BusinessCalendar:
    return BusinessCalendar(
        frozenset(happened.weekend_days), frozenset(happened.holidays), frozenset(happened.working_weekends)
    )


BILLING_CALENDARS = Aggregate("billing-calendars", BillingCalendars, BillingCalendars(), evolve)
#: The identifier of the one stream of this aggregate.
INSTALLATION = "installation"


@dataclass(frozen=True, slots=True)
class CalendarRequest:
    """A calendar as it is asked for; None where an attribute is missing. Dates may come as text and be malformed."""

    name: str | None
    weekend_days: Sequence[int] | None
    holidays: Sequence[dt.date | str] = ()
    working_weekends: Sequence[dt.date | str] = ()
    execution_time: str | None = None


def define_calendar(
    state: BillingCalendars, request: CalendarRequest, *, strict_holidays: bool = True
) -> list[BillingCalendarDefined]:
    """Create a calendar. `strict_holidays` is parameter `calendar.strict_holidays`.

    Refuses CALENDAR_MISSING_ATTRIBUTE, CALENDAR_NAME_DUPLICATE, CALENDAR_NAME_INVALID, CALENDAR_DATE_CONFLICT,
    CALENDAR_DATE_INVALID, all together (CAL-001 to CAL-003).
    """
    problems = _missing(request)
    if request.name is not None and request.name.strip():
        if state.find(request.name) is not None:
            problems.append(Problem("CALENDAR_NAME_DUPLICATE", "A calendar has this name already", "/name"))
        if not _NAME.fullmatch(request.name):
            problems.append(Problem("CALENDAR_NAME_INVALID", "The name is not of the permitted form", "/name"))
    holidays, working_weekends = _checked_days(request, strict_holidays, problems)
    refuse_if_any(problems)
    return [
        BillingCalendarDefined(
            name=(request.name or "").strip(),
            weekend_days=tuple(sorted(set(request.weekend_days or ()))),
            holidays=holidays,
            working_weekends=working_weekends,
            execution_time=request.execution_time or "",
        )
    ]


def change_calendar(
    state: BillingCalendars, request: CalendarRequest, *, strict_holidays: bool = True
) -> list[BillingCalendarChanged]:
    """Replace the attributes of the calendar that the request names; nothing happens when they are the same.

    Refuses ENTITY_NOT_FOUND alone; STATE_INVALID (inactive) and the codes of CAL-001 and CAL-003 together.
    """
    if request.name is None:
        raise Refusal(_missing(request))
    known = _known(state, request.name)
    problems = [] if known.active else [Problem("STATE_INVALID", "The calendar is not active", "/name")]
    problems += _missing(request)
    holidays, working_weekends = _checked_days(request, strict_holidays, problems)
    refuse_if_any(problems)
    changed = BillingCalendarChanged(
        name=known.name,
        weekend_days=tuple(sorted(set(request.weekend_days or ()))),
        holidays=holidays,
        working_weekends=working_weekends,
        execution_time=request.execution_time or "",
    )
    same = _days_of(changed) == known.days and changed.execution_time == known.execution_time
    return [] if same else [changed]


def set_default(state: BillingCalendars, name: str) -> list[DefaultBillingCalendarSet]:
    """Name the default calendar (CAL-007). Refuses ENTITY_NOT_FOUND for an unknown or inactive one."""
    calendar = assignable(state, name)
    if state.default == calendar.name:
        return []
    return [DefaultBillingCalendarSet(name=calendar.name, former=state.default)]


def define_generation_rule(
    state: BillingCalendars, calendar: str | None, number_of_days_ahead: int | None
) -> list[GenerationRuleDefined]:
    """Give a calendar its lead-time rule (CAL-011).

    Refuses GENERATION_RULE_MISSING_ATTRIBUTE, LEAD_TIME_OUT_OF_RANGE, ENTITY_NOT_FOUND, CALENDAR_ALREADY_USED.
    """
    problems = [
        Problem("GENERATION_RULE_MISSING_ATTRIBUTE", f"{name} is missing", f"/{name}", params={"attribute": name})
        for name, value in (("calendar", calendar), ("number_of_days_ahead", number_of_days_ahead))
        if value is None or value == ""
    ]
    if number_of_days_ahead is not None and not 0 <= number_of_days_ahead <= MAX_DAYS_AHEAD:
        problems.append(
            Problem(
                "LEAD_TIME_OUT_OF_RANGE",
                f"The lead time is 0 to {MAX_DAYS_AHEAD} days",
                "/number_of_days_ahead",
                params={"minimum": 0, "maximum": MAX_DAYS_AHEAD},
            )
        )
    known = assignable(state, calendar, "/calendar") if calendar else None
    if known is not None and known.number_of_days_ahead is not None:
        problems.append(Problem("CALENDAR_ALREADY_USED", "The calendar has a lead-time rule already", "/calendar"))
    refuse_if_any(problems)
    if known is None or number_of_days_ahead is None:
        raise AssertionError("a rule without calendar or days was refused above")
    return [GenerationRuleDefined(calendar=known.name, number_of_days_ahead=number_of_days_ahead)]


def deactivate(state: BillingCalendars, name: str, *, accounts: int) -> list[BillingCalendarDeactivated]:
    """Close a calendar to new assignments. `accounts` is the number of accounts that have it.

    Refuses ENTITY_NOT_FOUND, STATE_INVALID (inactive already) and CALENDAR_IN_USE, naming by what (CAL-009).
    """
    known = _known(state, name)
    if not known.active:
        raise refuse("STATE_INVALID", "The calendar is not active", pointer="/name")
    used_by = [
        use
        for use, used in (
            ("DEFAULT", state.default == known.name),
            ("RULE", known.number_of_days_ahead is not None),
            ("ACCOUNTS", accounts > 0),
        )
        if used
    ]
    if used_by:
        raise refuse("CALENDAR_IN_USE", "The calendar is in use", pointer="/name", used_by=used_by)
    return [BillingCalendarDeactivated(name=known.name)]


def assignable(state: BillingCalendars, name: str, pointer: str = "/name") -> BillingCalendar:
    """The calendar, if it may be assigned. Refuses ENTITY_NOT_FOUND for an unknown or inactive one (CAL-009)."""
    calendar = state.find(name)
    if calendar is None or not calendar.active:
        raise refuse("ENTITY_NOT_FOUND", "No active calendar of this name", pointer=pointer)
    return calendar


def calendar_of_new_account(state: BillingCalendars, named: str | None, pointer: str = "/calendar") -> str | None:
    """The calendar a new account gets: the one the creation names, else the default, else none (CAL-008)."""
    return state.default if named is None else assignable(state, named, pointer).name


def _known(state: BillingCalendars, name: str) -> BillingCalendar:
    calendar = state.find(name)
    if calendar is None:
        raise refuse("ENTITY_NOT_FOUND", "No calendar of this name", pointer="/name")
    return calendar


def _missing(request: CalendarRequest) -> list[Problem]:
    """Missing mandatory attributes (CAL-001), and attributes that are present but no such thing (PLT-018)."""
    problems = [
        Problem("CALENDAR_MISSING_ATTRIBUTE", f"{name} is missing", f"/{name}", params={"attribute": name})
        for name, missing in (
            ("name", request.name is None or not request.name.strip()),
            ("weekend_days", request.weekend_days is None),
            ("execution_time", not request.execution_time),
        )
        if missing
    ]
    weekend = set(request.weekend_days or ())
    if len(weekend) > 6 or not weekend <= set(range(1, 8)):
        problems.append(Problem("REQUEST_INVALID", "Weekend days are at most six ISO weekdays 1 to 7", "/weekend_days"))
    if request.execution_time and not _TIME.fullmatch(request.execution_time):
        problems.append(Problem("REQUEST_INVALID", "The execution time is HH:MM", "/execution_time"))
    return problems


def _checked_days(
    request: CalendarRequest, strict_holidays: bool, problems: list[Problem]
) -> tuple[tuple[dt.date, ...], tuple[dt.date, ...]]:
    """Holidays and working weekends as sorted dates; adds what is wrong with them to the problems (CAL-003)."""
    unreadable: list[Problem] = []
    holidays = _dates("holidays", request.holidays, unreadable)
    working_weekends = _dates("working_weekends", request.working_weekends, unreadable)
    both = holidays & working_weekends
    on_weekend: set[dt.date] = set()
    on_working_day: set[dt.date] = set()
    if request.weekend_days is not None:
        weekend = set(request.weekend_days)
        on_weekend = {day for day in holidays if strict_holidays and day.isoweekday() in weekend}
        on_working_day = {day for day in working_weekends if day.isoweekday() not in weekend}
    for pointer, message, dates in (
        ("/holidays", "A holiday falls on a weekend day", on_weekend),
        ("/working_weekends", "A working weekend date is not a weekend day", on_working_day),
        ("/working_weekends", "A date is a holiday and a working weekend", both),
    ):
        if dates:
            listed = [day.isoformat() for day in sorted(dates)]
            problems.append(Problem("CALENDAR_DATE_CONFLICT", message, pointer, params={"dates": listed}))
    problems += unreadable
    return tuple(sorted(holidays)), tuple(sorted(working_weekends))


def _dates(name: str, values: Sequence[dt.date | str], problems: list[Problem]) -> set[dt.date]:
    dates: set[dt.date] = set()
    for index, value in enumerate(values):
        day = value if isinstance(value, dt.date) else _parsed(value)
        if day is None:
            problems.append(Problem("CALENDAR_DATE_INVALID", "Not a date of the form YYYY-MM-DD", f"/{name}/{index}"))
        else:
            dates.add(day)
    return dates


def _parsed(text: str) -> dt.date | None:
    """The date of a text YYYY-MM-DD, None when it is none; other ISO forms are not dates here (PLT-073)."""
    if not _DATE.fullmatch(text):
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None
