"""The invoicing schedule: what an account says about when it is invoiced and when its invoices are due.

A schedule is one value (CAL-018); a changed one is a new version and applies to periods without invoice (CAL-027). The
invoicing start date and the business calendar of the account belong to it in the rulebook's list, but they have their
own commands and events and are held beside it. Most accounts use the simple mode, frequency and due day; everything
else takes the default set: the rules repository's values where it has any, the shipped ones elsewhere (CAL-020).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum

from domain.accounts.bill_type import BillType
from domain.calendar.frequency import Frequency


class DueDayMode(StrEnum):
    """How a due date lies in or near its period (CAL-018)."""

    CALENDAR_DAY = "CALENDAR_DAY"
    PERIOD_START_OFFSET = "PERIOD_START_OFFSET"
    LAST_DAY_OF_PERIOD = "LAST_DAY_OF_PERIOD"


class Timing(StrEnum):
    """Whether a due date lies with its period, before it or after it (CAL-058)."""

    ON_TIME = "ON_TIME"
    ADVANCE = "ADVANCE"
    ARREARS = "ARREARS"


class GenerationOption(StrEnum):
    """How the generation date is found: on a day of the month (option 1) or some time ahead (option 2) (CAL-024)."""

    DAY_OF_MONTH = "DAY_OF_MONTH"
    UNITS_IN_ADVANCE = "UNITS_IN_ADVANCE"


class TimeUnit(StrEnum):
    """Unit of a lead time or of a generation window."""

    DAYS = "DAYS"
    WEEKS = "WEEKS"
    MONTHS = "MONTHS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """An invoicing schedule. None and empty `due_days` stand for a parameter that is missing (CAL-026).

    `due_date_offset` counts months (PERIOD), cycles (CYCLE) or invoicing periods (FLEXIBILL); `day_offset` is signed
    days. `generation_units` None takes the lead-time rule of the account's calendar. `seasonal_gaps` are months 1-12 in
    order. The retry interval is in minutes.
    """

    frequency: Frequency | None = None
    due_day_mode: DueDayMode | None = None
    due_days: tuple[int, ...] = ()
    day_offset: int = 0
    timing: Timing = Timing.ON_TIME
    due_date_offset: int = 0
    generation_option: GenerationOption | None = GenerationOption.UNITS_IN_ADVANCE
    generation_day: int | None = None
    generation_month_offset: int = 0
    generation_units: int | None = 0
    generation_unit: TimeUnit = TimeUnit.DAYS
    generation_window: int = 0
    generation_window_unit: TimeUnit = TimeUnit.DAYS
    advanced_mode: bool = False
    seasonal_billing: bool = False
    seasonal_gaps: tuple[int, ...] = ()
    generation_retry_count: int = 3
    generation_retry_interval: int = 60
    draft_automation: bool = False
    draft_offset_days: int = 5

    @property
    def complete(self) -> bool:
        """Whether nothing is missing (CAL-026)."""
        return not missing_parameters(self)


#: Values that belong to advanced mode (CAL-019): everything but frequency, due day and the mode itself.
ADVANCED_FIELDS: tuple[str, ...] = (
    "seasonal_billing",
    "seasonal_gaps",
    "timing",
    "due_date_offset",
    "generation_option",
    "generation_day",
    "generation_month_offset",
    "generation_units",
    "generation_unit",
    "generation_window",
    "generation_window_unit",
    "generation_retry_count",
    "generation_retry_interval",
    "draft_automation",
    "draft_offset_days",
)
_FIELDS = tuple(item.name for item in fields(Schedule))
_ENUMS: Mapping[str, type[StrEnum]] = {
    "frequency": Frequency,
    "due_day_mode": DueDayMode,
    "timing": Timing,
    "generation_option": GenerationOption,
    "generation_unit": TimeUnit,
    "generation_window_unit": TimeUnit,
}


@dataclass(frozen=True, slots=True)
class ScheduleParameters:
    """Parameters of the installation that limit schedules (table of parameters); the values shipped with it."""

    day_offset_limits: Mapping[Frequency, int] = field(
        default_factory=lambda: {item: item.day_offset_limit for item in Frequency}
    )
    due_date_offset_max: int = 12
    validation_periods: int = 24
    flexibill_frequencies: frozenset[Frequency] = frozenset(Frequency) - {
        Frequency.SEMI_ANNUAL,
        Frequency.EVERY_28_DAYS,
    }
    selfbill_frequencies: frozenset[Frequency] = frozenset({Frequency.MONTHLY, Frequency.QUARTERLY, Frequency.ANNUAL})
    seasonal_frequencies: frozenset[Frequency] = frozenset({Frequency.MONTHLY})
    default_timing: Timing = Timing.ON_TIME
    flexibill_default_timing: Timing = Timing.ARREARS

    def allowed_frequencies(self, bill_type: BillType | None) -> frozenset[Frequency]:
        """The invoicing frequencies of a bill type; None is an account without product (CAL-014)."""
        if bill_type is BillType.SELF_BILL:
            return self.selfbill_frequencies
        if bill_type is BillType.FLEXIBILL:
            return self.flexibill_frequencies
        return frozenset(Frequency)

    def timing_of(self, bill_type: BillType | None) -> Timing:
        """Parameter `schedule.default_timing` (CAL-032)."""
        return self.flexibill_default_timing if bill_type is BillType.FLEXIBILL else self.default_timing


SHIPPED_PARAMETERS = ScheduleParameters()


def schedule_values(values: Mapping[str, object]) -> dict[str, object]:
    """Named values as a schedule holds them: enums from their names, days and gaps as tuples, gaps sorted and unique.

    Raises KeyError for a name that is no schedule field and ValueError for a name that is no member of its enum.
    """
    typed: dict[str, object] = {}
    for name, value in values.items():
        if name not in _FIELDS:
            raise KeyError(name)
        if value is not None and name in _ENUMS:
            typed[name] = _ENUMS[name](str(value))
        elif name == "due_days":
            typed[name] = tuple(_integers(value))
        elif name == "seasonal_gaps":
            typed[name] = tuple(sorted(set(_integers(value))))
        else:
            typed[name] = value
    return typed


def _integers(value: object) -> list[int]:
    if value is None:
        return []
    if not isinstance(value, (tuple, list, set, frozenset)):
        raise ValueError("days and months come as a list")
    return [int(item) for item in value]


def with_values(schedule: Schedule, values: Mapping[str, object]) -> Schedule:
    """The schedule with typed values (see `schedule_values`) in place of its own."""
    return replace(schedule, **values)  # type: ignore[arg-type]


def shipped_defaults(
    frequency: Frequency, bill_type: BillType | None, parameters: ScheduleParameters = SHIPPED_PARAMETERS
) -> Schedule:
    """The shipped default set for a frequency (CAL-020)."""
    timing = parameters.timing_of(bill_type)
    if bill_type is BillType.FLEXIBILL:
        return Schedule(frequency=frequency, due_day_mode=DueDayMode.LAST_DAY_OF_PERIOD, timing=timing)
    if frequency.is_cycle:
        return Schedule(frequency=frequency, due_day_mode=DueDayMode.PERIOD_START_OFFSET, timing=timing)
    return Schedule(
        frequency=frequency,
        due_day_mode=DueDayMode.CALENDAR_DAY,
        due_days=(1,),
        timing=timing,
        generation_units=15,
        generation_unit=TimeUnit.DAYS,
    )


def default_schedule(
    repository: Mapping[str, object],
    bill_type: BillType | None,
    *,
    frequency: Frequency | None = None,
    parameters: ScheduleParameters = SHIPPED_PARAMETERS,
) -> Schedule:
    """The default set of a new account: the rules repository's values over the shipped ones (CAL-020).

    `frequency` is one the creator chose. Repository values that belong to the calendar (a due day, a generation day of
    the month) are left out where the frequency or bill type has none; the shipped ones stand instead.
    """
    given = schedule_values(repository)
    chosen = frequency or given.pop("frequency", None) or Frequency.MONTHLY
    given.pop("frequency", None)
    if not isinstance(chosen, Frequency):
        raise TypeError("a frequency is expected")
    if chosen.is_cycle or bill_type is BillType.FLEXIBILL:
        if given.get("due_day_mode") is DueDayMode.CALENDAR_DAY:
            del given["due_day_mode"]
        if given.get("generation_option") is GenerationOption.DAY_OF_MONTH:
            del given["generation_option"]
    shipped = shipped_defaults(chosen, bill_type, parameters)
    if given.get("due_day_mode", shipped.due_day_mode) is not DueDayMode.CALENDAR_DAY:
        given["due_days"] = ()
    defaults = with_values(shipped, given)
    if chosen is Frequency.SEMI_MONTHLY and len(defaults.due_days) == 1:
        # One day is half an answer: both stay missing until somebody gives two (CAL-022, CAL-026).
        return replace(defaults, due_days=())
    return defaults


def allowed_due_day_modes(frequency: Frequency, bill_type: BillType | None) -> tuple[DueDayMode, ...]:
    """The due-day modes to choose from (CAL-021, CAL-097)."""
    if frequency.is_cycle or bill_type is BillType.FLEXIBILL:
        return (DueDayMode.PERIOD_START_OFFSET, DueDayMode.LAST_DAY_OF_PERIOD)
    return tuple(DueDayMode)


def missing_parameters(schedule: Schedule) -> tuple[str, ...]:
    """Names of the parameters an invoicing schedule lacks, in the order of its fields (CAL-026)."""
    days_needed = 0
    if schedule.due_day_mode is DueDayMode.CALENDAR_DAY:
        days_needed = 2 if schedule.frequency is Frequency.SEMI_MONTHLY else 1
    day_needed = schedule.generation_option is GenerationOption.DAY_OF_MONTH
    lacking = {
        "frequency": schedule.frequency is None,
        "due_day_mode": schedule.due_day_mode is None,
        "due_days": len(schedule.due_days) < days_needed,
        "generation_option": schedule.generation_option is None,
        "generation_day": day_needed and schedule.generation_day is None,
    }
    return tuple(name for name, lacks in lacking.items() if lacks)
