"""What a FlexiBill schedule may not be: no advanced mode, no advance timing, nothing that hangs on the calendar.

The restrictions hold from the moment an account becomes FLEXIBILL (CAL-100), for every frequency alike (CAL-097).
"""

from __future__ import annotations

from collections.abc import Mapping

from domain.accounts.bill_type import BillType
from domain.calendar.schedule import (
    SHIPPED_PARAMETERS,
    DueDayMode,
    GenerationOption,
    Schedule,
    ScheduleParameters,
    TimeUnit,
    Timing,
    default_schedule,
)
from domain.errors import Problem

#: Advanced values that a FlexiBill account may set although its advanced toggle stays off (CAL-095). The generation
#: option and unit are among them only to be answered by their own, clearer codes (CAL-097, CAL-098).
SETTABLE = frozenset({"timing", "due_date_offset", "generation_option", "generation_units", "generation_unit"})


def condition_problems(schedule: Schedule) -> list[Problem]:
    """Bill type conditions broken by a FlexiBill schedule (CAL-095 to CAL-098), ranges apart."""
    problems = []
    if schedule.advanced_mode:
        problems.append(
            Problem("ADVANCED_MODE_NOT_ALLOWED", "A FlexiBill account has no advanced mode", "/advanced_mode")
        )
    if schedule.timing is Timing.ADVANCE:
        problems.append(advance_refused())
    if schedule.due_day_mode is DueDayMode.CALENDAR_DAY:
        problems.append(
            Problem("FLEXIBILL_CALENDAR_NOT_ALLOWED", "A FlexiBill due date is not a calendar day", "/due_day_mode")
        )
    if schedule.generation_option is GenerationOption.DAY_OF_MONTH:
        problems.append(
            Problem(
                "FLEXIBILL_CALENDAR_NOT_ALLOWED",
                "A FlexiBill generation date is not a calendar day",
                "/generation_option",
            )
        )
    if schedule.due_day_mode is DueDayMode.LAST_DAY_OF_PERIOD and schedule.due_date_offset != 0:
        problems.append(
            Problem("OFFSET_NOT_ALLOWED", "The last day of the period takes no due-date offset", "/due_date_offset")
        )
    return problems


def range_problems(schedule: Schedule, limit: int) -> list[Problem]:
    """Ranges narrower than those of other accounts: day offset and generation units are 0 to `limit` days (CAL-098)."""
    problems = []
    span = {"minimum": 0, "maximum": limit}
    if not 0 <= schedule.day_offset <= limit:
        problems.append(
            Problem("OFFSET_OUT_OF_RANGE", f"The day offset is 0 to {limit} days", "/day_offset", params=span)
        )
    if schedule.generation_option is GenerationOption.UNITS_IN_ADVANCE:
        if schedule.generation_unit is not TimeUnit.DAYS:
            problems.append(
                Problem("OFFSET_OUT_OF_RANGE", "A FlexiBill lead time is given in days", "/generation_unit")
            )
        elif schedule.generation_units is None or not 0 <= schedule.generation_units <= limit:
            problems.append(
                Problem("OFFSET_OUT_OF_RANGE", f"The lead time is 0 to {limit} days", "/generation_units", params=span)
            )
    return problems


def convert(
    current: Schedule | None,
    repository: Mapping[str, object],
    parameters: ScheduleParameters = SHIPPED_PARAMETERS,
) -> tuple[Schedule | None, list[Problem]]:
    """The schedule an account without product gets when it becomes FLEXIBILL: the FlexiBill default set (CAL-100).

    With ADVANCE timing nothing is converted: (None, ADVANCE_DUE_DATE_NOT_ALLOWED).
    """
    if current is not None and current.timing is Timing.ADVANCE:
        return None, [advance_refused()]
    return default_schedule(repository, BillType.FLEXIBILL, parameters=parameters), []


def advance_refused() -> Problem:
    """ADVANCE timing on FlexiBill (CAL-096)."""
    return Problem("ADVANCE_DUE_DATE_NOT_ALLOWED", "A FlexiBill account is not due in advance", "/timing")
