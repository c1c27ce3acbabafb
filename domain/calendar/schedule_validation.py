"""What can be wrong with an invoicing schedule, each check once, in the order in which its problems are reported.

The order is that of CAL-023: frequency, bill type and seasonal conditions, advanced mode, due-day mode, due days,
ranges; then generation. Missing parameters are not wrong here: a draft account may lack them (CAL-026). The advanced
mode check needs to know what a command sets and stands with it, in `transitions`.
"""

from __future__ import annotations

from domain.accounts.bill_type import BillType
from domain.calendar import flexibill, seasonal
from domain.calendar.frequency import Frequency
from domain.calendar.generation import rule_missing
from domain.calendar.schedule import (
    SHIPPED_PARAMETERS,
    DueDayMode,
    GenerationOption,
    Schedule,
    ScheduleParameters,
    TimeUnit,
    Timing,
    allowed_due_day_modes,
    missing_parameters,
)
from domain.errors import Problem

#: Largest values by unit (CAL-023): of the lead time and of the generation window.
LEAD_TIME_LIMITS = {TimeUnit.DAYS: 90, TimeUnit.WEEKS: 12, TimeUnit.MONTHS: 12}
WINDOW_LIMITS = {TimeUnit.DAYS: 30, TimeUnit.WEEKS: 4, TimeUnit.MONTHS: 3}
#: Decision: the rulebook gives no range for the interval; a day is the longest sensible one, in minutes.
RETRY_INTERVAL_LIMIT = 1440
PRIMARY_DAY_LIMIT = 27


def schedule_problems(
    schedule: Schedule,
    bill_type: BillType | None,
    *,
    lead_time_days: int | None = None,
    reporting_months: int | None = None,
    parameters: ScheduleParameters = SHIPPED_PARAMETERS,
) -> list[Problem]:
    """Everything wrong with the values a schedule has, in order. See the parts for the meaning of the arguments."""
    return [
        *frequency_problems(schedule, bill_type, parameters),
        *condition_problems(schedule, bill_type, reporting_months, parameters),
        *form_problems(schedule, bill_type, lead_time_days, parameters),
    ]


def frequency_problems(schedule: Schedule, bill_type: BillType | None, parameters: ScheduleParameters) -> list[Problem]:
    """FREQUENCY_NOT_ALLOWED (CAL-014)."""
    allowed = parameters.allowed_frequencies(bill_type)
    if schedule.frequency is None or schedule.frequency in allowed:
        return []
    return [
        Problem(
            "FREQUENCY_NOT_ALLOWED",
            "The bill type does not allow this frequency",
            "/frequency",
            params={"allowed": [str(item) for item in Frequency if item in allowed]},
        )
    ]


def condition_problems(
    schedule: Schedule, bill_type: BillType | None, reporting_months: int | None, parameters: ScheduleParameters
) -> list[Problem]:
    """Bill type and seasonal conditions; `reporting_months` is the account's longest reporting period (CAL-036)."""
    problems = flexibill.condition_problems(schedule) if bill_type is BillType.FLEXIBILL else []
    problems += seasonal.condition_problems(schedule, bill_type, parameters)
    frequency = schedule.frequency
    months = frequency.months if frequency is not None and frequency.is_month_based else None
    if reporting_months is not None and months is not None and reporting_months > months:
        problems.append(
            Problem(
                "REPORTING_PERIOD_TOO_LONG",
                "A reporting period is longer than the invoicing period",
                "/frequency",
                params={"reporting_months": reporting_months},
            )
        )
    return problems


def form_problems(
    schedule: Schedule,
    bill_type: BillType | None,
    lead_time_days: int | None,
    parameters: ScheduleParameters,
    *,
    days_required: bool = False,
) -> list[Problem]:
    """Due-day mode, due days, ranges and generation, in this order."""
    return [
        *mode_problems(schedule, bill_type),
        *due_day_problems(schedule, required=days_required),
        *range_problems(schedule, bill_type, parameters),
        *generation_problems(schedule, bill_type, lead_time_days),
    ]


def mode_problems(schedule: Schedule, bill_type: BillType | None) -> list[Problem]:
    """DUE_DAY_MODE_NOT_ALLOWED (CAL-021); on FlexiBill the same fault has its own code (CAL-097)."""
    if schedule.frequency is None or schedule.due_day_mode is None or bill_type is BillType.FLEXIBILL:
        return []
    allowed = allowed_due_day_modes(schedule.frequency, bill_type)
    if schedule.due_day_mode in allowed:
        return []
    return [
        Problem(
            "DUE_DAY_MODE_NOT_ALLOWED",
            "The frequency does not allow this due-day mode",
            "/due_day_mode",
            params={"allowed": [str(item) for item in allowed]},
        )
    ]


def due_day_problems(schedule: Schedule, *, required: bool = False) -> list[Problem]:
    """DUE_DAYS_INVALID: days that are not what mode and frequency take; missing ones only if `required` (CAL-022)."""
    days = schedule.due_days
    if not days:
        return [due_days_invalid()] if required and schedule.due_day_mode is DueDayMode.CALENDAR_DAY else []
    if schedule.due_day_mode is not DueDayMode.CALENDAR_DAY:
        wrong = schedule.due_day_mode is not None
    elif schedule.frequency is Frequency.SEMI_MONTHLY:
        wrong = len(days) != 2 or not (1 <= days[0] <= PRIMARY_DAY_LIMIT and days[0] < days[1] <= 31)
    else:
        wrong = len(days) != 1 or not 1 <= days[0] <= 31
    return [due_days_invalid()] if wrong else []


def due_days_invalid() -> Problem:
    """Days that do not fit mode and frequency (CAL-022)."""
    return Problem(
        "DUE_DAYS_INVALID",
        "A calendar day is one day 1 to 31; semi-monthly takes two, the first at most 27 and before the second",
        "/due_days",
    )


def range_problems(schedule: Schedule, bill_type: BillType | None, parameters: ScheduleParameters) -> list[Problem]:
    """OFFSET_OUT_OF_RANGE per field, then OFFSET_NOT_ALLOWED (CAL-023, CAL-098)."""
    narrow = bill_type is BillType.FLEXIBILL and schedule.frequency is not None
    limit = parameters.day_offset_limits[schedule.frequency] if schedule.frequency is not None else 0
    ranges: list[tuple[str, int | None, int, int]] = []
    problems: list[Problem] = []
    if narrow:
        problems += flexibill.range_problems(schedule, limit)
    else:
        if schedule.frequency is not None:
            ranges.append(("day_offset", schedule.day_offset, -limit, limit))
        ranges.append(("generation_units", schedule.generation_units, 0, LEAD_TIME_LIMITS[schedule.generation_unit]))
    ranges += [
        ("due_date_offset", schedule.due_date_offset, 0, parameters.due_date_offset_max),
        ("generation_day", schedule.generation_day, 1, 31),
        ("generation_month_offset", schedule.generation_month_offset, 0, 12),
        ("generation_window", schedule.generation_window, 0, WINDOW_LIMITS[schedule.generation_window_unit]),
        ("generation_retry_count", schedule.generation_retry_count, 0, 10),
        ("generation_retry_interval", schedule.generation_retry_interval, 1, RETRY_INTERVAL_LIMIT),
        ("draft_offset_days", schedule.draft_offset_days, 0, 90),
    ]
    problems += [
        Problem(
            "OFFSET_OUT_OF_RANGE",
            f"{name} is {low} to {high}",
            f"/{name}",
            params={"minimum": low, "maximum": high},
        )
        for name, value, low, high in ranges
        if value is not None and not low <= value <= high
    ]
    if schedule.timing is Timing.ON_TIME and schedule.due_date_offset != 0:
        problems.append(Problem("OFFSET_NOT_ALLOWED", "On-time billing takes no due-date offset", "/due_date_offset"))
    return problems


def generation_problems(schedule: Schedule, bill_type: BillType | None, lead_time_days: int | None) -> list[Problem]:
    """GENERATION_OPTION_NOT_ALLOWED, GENERATION_RULE_MISSING (CAL-024); on FlexiBill CAL-097 and CAL-098 answer.

    `lead_time_days` is the lead-time rule of the account's calendar, None without one.
    """
    problems: list[Problem] = []
    option = schedule.generation_option
    if bill_type is BillType.FLEXIBILL:
        return problems
    if option is GenerationOption.DAY_OF_MONTH and schedule.frequency is not None and schedule.frequency.is_cycle:
        problems.append(
            Problem(
                "GENERATION_OPTION_NOT_ALLOWED",
                "A frequency of whole weeks has no generation day of the month",
                "/generation_option",
            )
        )
    if option is GenerationOption.UNITS_IN_ADVANCE and schedule.generation_units is None and lead_time_days is None:
        problems.append(rule_missing())
    return problems


def association_problems(
    schedule: Schedule,
    bill_type: BillType,
    *,
    reporting_months: int | None = None,
    parameters: ScheduleParameters = SHIPPED_PARAMETERS,
) -> list[Problem]:
    """What keeps a master policy of the bill type from an account with this schedule (CAL-030, CAL-086)."""
    problems = [
        *frequency_problems(schedule, bill_type, parameters),
        *condition_problems(schedule, bill_type, reporting_months, parameters),
        *range_problems(schedule, bill_type, parameters),
    ]
    if schedule.frequency is Frequency.SEMI_MONTHLY:
        problems += due_day_problems(schedule, required=True)
    return problems


def unfit_parameters(
    schedule: Schedule | None,
    bill_type: BillType | None,
    *,
    lead_time_days: int | None = None,
    parameters: ScheduleParameters = SHIPPED_PARAMETERS,
) -> tuple[str, ...]:
    """Names of missing or invalid parameters, for the activation of the account (CAL-026, ACC-018); empty when it fits.

    GENERATION_AFTER_DUE needs the grid and is asked of `transitions.generation_after_due_problems`.
    """
    if schedule is None:
        return ("frequency", "due_day_mode")
    problems = schedule_problems(schedule, bill_type, lead_time_days=lead_time_days, parameters=parameters)
    invalid = [(problem.pointer or "").lstrip("/") for problem in problems]
    return tuple(dict.fromkeys([*missing_parameters(schedule), *invalid]))
