"""What may be chosen for an invoicing schedule as it stands: the options that its page offers, and what it disables.

The options follow the values chosen so far, also those not stored yet: a frequency narrows the due-day modes, a primary
due day those of the secondary. They say beforehand what the checks of `schedule_validation` say afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.accounts.bill_type import BillType
from domain.calendar import flexibill
from domain.calendar.due_day_pickers import DueDayPickers
from domain.calendar.frequency import Frequency
from domain.calendar.schedule import (
    ADVANCED_FIELDS,
    DueDayMode,
    GenerationOption,
    Schedule,
    ScheduleParameters,
    TimeUnit,
    Timing,
    allowed_due_day_modes,
)
from domain.calendar.schedule_validation import LEAD_TIME_LIMITS, WINDOW_LIMITS

#: The seasonal side of a schedule, which has conditions of its own (CAL-083, CAL-090).
_SEASONAL = frozenset({"seasonal_billing", "seasonal_gaps"})
_SIMPLE = ("frequency", "due_day_mode", "due_days", "day_offset")


@dataclass(frozen=True, slots=True)
class Range:
    """Whole numbers from `low` to `high`, both inclusive."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class ScheduleOptions:
    """What each attribute may take; `editable` names those that may be set at all.

    `primary_days` are those of the one due day, or of the first of two; `secondary_days` those of the second, none
    before the first is chosen. `gaps_locked`: the gap months are shown and cannot be changed (CAL-090).
    """

    frequencies: tuple[Frequency, ...]
    due_day_modes: tuple[DueDayMode, ...]
    primary_days: tuple[int, ...]
    secondary_days: tuple[int, ...]
    timings: tuple[Timing, ...]
    generation_options: tuple[GenerationOption, ...]
    generation_units: tuple[TimeUnit, ...]
    day_offset: Range
    due_date_offset: Range
    units: Range
    window: Range
    editable: tuple[str, ...]
    gaps_locked: bool


def schedule_options(
    schedule: Schedule, bill_type: BillType | None, parameters: ScheduleParameters, *, seasonal_locked: bool
) -> ScheduleOptions:
    """The options of a schedule that has the values chosen so far (CAL-013 to CAL-023, CAL-070 to CAL-072, CAL-083,
    CAL-095 to CAL-098). `seasonal_locked`: a live invoice fixes the gaps (CAL-090)."""
    frequency = schedule.frequency
    third_party = bill_type is BillType.FLEXIBILL
    allowed = parameters.allowed_frequencies(bill_type)
    if schedule.seasonal_billing:
        allowed &= parameters.seasonal_frequencies
    limit = 0 if frequency is None else parameters.day_offset_limits[frequency]
    cycle = frequency is not None and frequency.is_cycle
    primary, secondary = _due_days(schedule)
    by_day_of_month = not third_party and not cycle
    without_offset = schedule.timing is Timing.ON_TIME or (
        third_party and schedule.due_day_mode is DueDayMode.LAST_DAY_OF_PERIOD
    )
    return ScheduleOptions(
        frequencies=tuple(one for one in Frequency if one in allowed),
        due_day_modes=() if frequency is None else allowed_due_day_modes(frequency, bill_type),
        primary_days=primary,
        secondary_days=secondary,
        timings=tuple(one for one in Timing if not (third_party and one is Timing.ADVANCE)),
        generation_options=tuple(
            one for one in GenerationOption if by_day_of_month or one is not GenerationOption.DAY_OF_MONTH
        ),
        generation_units=(TimeUnit.DAYS,) if third_party else tuple(TimeUnit),
        day_offset=Range(0 if third_party else -limit, limit),
        due_date_offset=Range(0, 0 if without_offset else parameters.due_date_offset_max),
        units=Range(0, limit if third_party else LEAD_TIME_LIMITS[schedule.generation_unit]),
        window=Range(0, WINDOW_LIMITS[schedule.generation_window_unit]),
        editable=_editable(schedule, bill_type, parameters, seasonal_locked),
        gaps_locked=seasonal_locked,
    )


def _due_days(schedule: Schedule) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The days to choose from: of the one due day, or of the two pickers of a semi-monthly schedule."""
    if schedule.due_day_mode is not DueDayMode.CALENDAR_DAY:
        return (), ()
    if schedule.frequency is not Frequency.SEMI_MONTHLY:
        return tuple(range(1, 32)), ()
    pickers = DueDayPickers()
    if schedule.due_days and schedule.due_days[0] in pickers.primary_options:
        pickers = pickers.with_primary(schedule.due_days[0])
    return pickers.primary_options, pickers.secondary_options


def _editable(
    schedule: Schedule, bill_type: BillType | None, parameters: ScheduleParameters, seasonal_locked: bool
) -> tuple[str, ...]:
    if bill_type is BillType.FLEXIBILL:
        return (*_SIMPLE, *(name for name in ADVANCED_FIELDS if name in flexibill.SETTABLE))
    seasonal = (
        bill_type in {BillType.LIST_BILL, None}
        and schedule.frequency in parameters.seasonal_frequencies
        and not seasonal_locked
    )
    advanced = ADVANCED_FIELDS if schedule.advanced_mode else ()
    return (*_SIMPLE, "advanced_mode", *(name for name in advanced if seasonal or name not in _SEASONAL))
