"""Changing an invoicing schedule: what a frequency change keeps and resets, and the decision on a whole command.

`configure` answers a command with a `ScheduleChange`: the schedule it would store, everything that is wrong with it,
and, when the frequency changes, the attributes that were reset, the first day of the new sequence and the new grid. The
steps are always the same: take the schedule in force (or the default set), let a frequency change reset what it resets
(CAL-031), let switching advanced mode off restore the default set (CAL-019), put the given values over that (CAL-033),
and judge the result.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from domain.accounts.bill_type import AllocationMode, BillType
from domain.calendar import flexibill, seasonal
from domain.calendar.frequency import Frequency
from domain.calendar.generation import first_generated_after_due
from domain.calendar.invoicing_terms import InvoicingTerms
from domain.calendar.periods import InvoicingGrid, Period
from domain.calendar.schedule import (
    ADVANCED_FIELDS,
    SHIPPED_PARAMETERS,
    DueDayMode,
    GenerationOption,
    Schedule,
    ScheduleParameters,
    TimeUnit,
    Timing,
    default_schedule,
    missing_parameters,
    schedule_values,
    with_values,
)
from domain.calendar.schedule_validation import (
    PRIMARY_DAY_LIMIT,
    condition_problems,
    form_problems,
    frequency_problems,
)
from domain.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleFacts:
    """What a schedule decision needs to know of the account.

    `grid` is None before the first product; `earliest` the first day of the earliest period, None for the ISD.
    `fixed` are the fixed periods of the present grid (CAL-051), `invoiced` the starts of periods with a non-discarded
    invoice. `seasonal_locked`: a non-discarded invoice is ISSUED, PARTIALLY_PAID or PAID. `running_process` names a
    draft, generation, discard or regeneration that runs on the account. `reporting_months` is the length of the longest
    reporting period (SELF_BILL), `defaults` the rules repository's values for the account.
    """

    bill_type: BillType | None = None
    active: bool = False
    grid: InvoicingGrid | None = None
    earliest: dt.date | None = None
    fixed: tuple[Period, ...] = ()
    invoiced: frozenset[dt.date] = frozenset()
    lead_time_days: int | None = None
    seasonal_locked: bool = False
    running_process: str | None = None
    reporting_months: int | None = None
    defaults: Mapping[str, object] = field(default_factory=dict)
    parameters: ScheduleParameters = SHIPPED_PARAMETERS


@dataclass(frozen=True, slots=True)
class ScheduleChange:
    """The answer to a schedule command; to be stored only when there are no problems.

    `old_frequency` is set when the command is a frequency change (CAL-031); then `reset` names the attributes it reset
    or removed, `first_day` is S of CAL-051 and `fixed_from` the start of the earliest fixed period (both None without a
    grid or fixed period), and `grid` the grid from then on. `changed` names all attributes with another value.
    """

    schedule: Schedule
    problems: tuple[Problem, ...]
    changed: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()
    old_frequency: Frequency | None = None
    first_day: dt.date | None = None
    fixed_from: dt.date | None = None
    grid: InvoicingGrid | None = None
    seasonal: seasonal.SeasonalChange | None = None

    @property
    def frequency_changed(self) -> bool:
        """Whether this is a frequency change, stored as one InvoicingFrequencyChanged (CAL-037)."""
        return self.old_frequency is not None


def configure(current: Schedule | None, changes: Mapping[str, object], facts: ScheduleFacts) -> ScheduleChange:
    """Judge a command that sets the named values of the account's schedule (ConfigureInvoicingSchedule).

    Values are enums or their names; None and empty lists take a value away. Every failed check is reported, in the
    order of CAL-023. Raises KeyError for a name that is no schedule field and ValueError for an unknown enum name.
    """
    given = schedule_values(changes)
    base, old_frequency, reset = _base(current, given, facts)
    proposed = _proposed(base, given)
    grid, first_day, fixed_from = _grid_after(proposed, old_frequency, facts)
    problems = [
        *frequency_problems(proposed, facts.bill_type, facts.parameters),
        *condition_problems(proposed, facts.bill_type, facts.reporting_months, facts.parameters),
        *seasonal.lock_problems(current, proposed, facts.seasonal_locked),
        *_advanced_problems(base, proposed, given, facts.bill_type),
        *form_problems(
            proposed,
            facts.bill_type,
            facts.lead_time_days,
            facts.parameters,
            days_required=_becomes_semi_monthly(old_frequency, proposed),
        ),
    ]
    missing = missing_parameters(proposed)
    if facts.running_process is not None:
        problems.append(process_conflict(facts.running_process))
    unanswered = [name for name in missing if not (name == "due_days" and _has(problems, "DUE_DAYS_INVALID"))]
    if facts.active and unanswered:
        problems.append(schedule_incomplete(unanswered))
    if not problems and not missing:
        problems += generation_after_due_problems(proposed, replace(facts, grid=grid))
    changed = tuple(
        name
        for name in Schedule.__dataclass_fields__
        if current is None or getattr(current, name) != getattr(proposed, name)
    )
    return ScheduleChange(
        schedule=proposed,
        problems=tuple(problems),
        changed=changed,
        reset=tuple(name for name in reset if name not in given),
        old_frequency=old_frequency,
        first_day=first_day,
        fixed_from=fixed_from,
        grid=grid,
        seasonal=seasonal.seasonal_change(current, proposed),
    )


def change_gaps(
    current: Schedule, seasonal_billing: bool, months: Iterable[int], facts: ScheduleFacts
) -> ScheduleChange:
    """Judge a command that switches seasonal billing or changes its gap months (ChangeSeasonalGaps).

    Refuses SEASONAL_NOT_ALLOWED, SEASONAL_REQUIRES_MONTHLY, SEASONAL_GAP_COUNT_INVALID, SEASONAL_LOCKED,
    ADVANCED_MODE_REQUIRED, PROCESS_CONFLICT.
    """
    return configure(current, {"seasonal_billing": seasonal_billing, "seasonal_gaps": tuple(months)}, facts)


def after_frequency_change(
    schedule: Schedule, frequency: Frequency, default_timing: Timing
) -> tuple[Schedule, tuple[str, ...]]:
    """The schedule after a change of its frequency alone, and the names of the attributes that lost their value.

    The matrix of CAL-031; values of the same command come afterwards (CAL-033).
    """
    old = schedule.frequency
    if old is None or old is frequency:
        raise ValueError("a transition leads from one frequency to another")
    values: dict[str, object] = {"frequency": frequency}
    if frequency.is_cycle:
        values |= {"timing": default_timing, "due_date_offset": 0, "day_offset": 0, **_RESET_GENERATION}
        if schedule.due_day_mode is DueDayMode.CALENDAR_DAY:
            values |= {"due_day_mode": DueDayMode.PERIOD_START_OFFSET, "due_days": ()}
    elif schedule.due_day_mode is DueDayMode.CALENDAR_DAY:
        if frequency is Frequency.SEMI_MONTHLY:
            values["due_days"] = tuple(day for day in schedule.due_days[:1] if day <= PRIMARY_DAY_LIMIT)
        elif old is Frequency.SEMI_MONTHLY:
            values["due_days"] = schedule.due_days[:1]
    changed = with_values(schedule, values)
    lost = (name for name in values if name != "frequency" and getattr(schedule, name) != getattr(changed, name))
    return changed, tuple(lost)


#: Generation after a reset (CAL-032).
_RESET_GENERATION: Mapping[str, object] = MappingProxyType(
    {
        "generation_option": GenerationOption.UNITS_IN_ADVANCE,
        "generation_day": None,
        "generation_month_offset": 0,
        "generation_units": 0,
        "generation_unit": TimeUnit.DAYS,
    }
)


def first_day_of_new_sequence(grid: InvoicingGrid, fixed: Iterable[Period]) -> dt.date:
    """S: the day after the latest fixed period, or the ISD when none is fixed (CAL-051).

    Fixed is every period of the grid for which an invoice was ever issued and, for SELF_BILL, every period with a
    non-discarded payment request.
    """
    return max((period.end for period in fixed), default=grid.invoicing_start)


def generation_after_due_problems(schedule: Schedule, facts: ScheduleFacts) -> list[Problem]:
    """GENERATION_AFTER_DUE, naming the first such period among the next ones without invoice (CAL-025).

    Decision: without an invoicing start date there are no periods yet. Where the answer does not hang on the start date
    (calendar due days, or a lead time) a grid from any first of January gives it; otherwise it waits for the grid.
    """
    grid = facts.grid
    if schedule.frequency is None:
        return []
    if grid is None:
        period_mode = schedule.due_day_mode is not DueDayMode.CALENDAR_DAY
        if period_mode and schedule.generation_option is GenerationOption.DAY_OF_MONTH:
            return []
        grid = InvoicingGrid.starting(dt.date(2001, 1, 1), schedule.frequency)
    terms = InvoicingTerms(
        schedule,
        grid,
        facts.bill_type,
        facts.earliest if facts.earliest is not None and facts.grid is not None else grid.invoicing_start,
        facts.lead_time_days,
    )
    first = first_generated_after_due(terms, facts.invoiced, facts.parameters.validation_periods)
    if first is None:
        return []
    dates = {"due_date": first.computed_due_date.isoformat(), "generation_date": first.generation_date.isoformat()}
    period = {} if facts.grid is None else {"from": first.period.start.isoformat(), "to": first.period.to.isoformat()}
    return [
        Problem(
            "GENERATION_AFTER_DUE",
            "An invoice would be generated after its due date",
            "/generation_option",
            params={**period, **dates},
        )
    ]


def process_conflict(process: str) -> Problem:
    """A draft, generation, discard or regeneration runs on the account (CAL-028)."""
    return Problem("PROCESS_CONFLICT", "Another process is running on the account", params={"process": process})


def schedule_incomplete(missing: Iterable[str]) -> Problem:
    """An active account takes a complete schedule only (CAL-026)."""
    return Problem("SCHEDULE_INCOMPLETE", "The schedule lacks parameters", params={"missing": list(missing)})


def requires_modality_change(
    change: ScheduleChange, bill_type: BillType | None, allocation_mode: AllocationMode | None
) -> bool:
    """Whether ModalityChangeRequired follows, per master policy and member, with old and new frequency (CAL-017)."""
    true_group = bill_type is BillType.LIST_BILL and allocation_mode is AllocationMode.TRUE_GROUP
    return change.frequency_changed and true_group


def modality_options(allocation_mode: AllocationMode | None, frequency: Frequency) -> tuple[Frequency, ...]:
    """The modalities a list bill master policy may have: its account's frequency under TRUE_GROUP (CAL-017)."""
    return (frequency,) if allocation_mode is AllocationMode.TRUE_GROUP else tuple(Frequency)


def _base(
    current: Schedule | None, given: Mapping[str, object], facts: ScheduleFacts
) -> tuple[Schedule, Frequency | None, tuple[str, ...]]:
    """The schedule before the command's own values, the frequency it is a transition from, and what was reset."""
    frequency = given.get("frequency")
    if frequency is not None and not isinstance(frequency, Frequency):
        raise TypeError("a frequency is expected")
    if current is None:
        fresh = default_schedule(facts.defaults, facts.bill_type, frequency=frequency, parameters=facts.parameters)
        return fresh, None, ()
    base, old_frequency = current, None
    if frequency is not None and current.frequency is not None and frequency is not current.frequency:
        old_frequency = current.frequency
        base, _ = after_frequency_change(current, frequency, facts.parameters.timing_of(facts.bill_type))
    elif frequency is not None:
        base = replace(current, frequency=frequency)
    if current.advanced_mode and given.get("advanced_mode") is False:
        fresh = default_schedule(facts.defaults, facts.bill_type, frequency=base.frequency, parameters=facts.parameters)
        restored = {name: getattr(fresh, name) for name in ADVANCED_FIELDS}
        base = with_values(base, {**restored, "seasonal_billing": False, "seasonal_gaps": ()})
    lost = tuple(
        name
        for name in Schedule.__dataclass_fields__
        if name != "frequency" and getattr(current, name) != getattr(base, name)
    )
    return base, old_frequency, lost


def _proposed(base: Schedule, given: Mapping[str, object]) -> Schedule:
    """The base with the command's values; a mode without days, and seasonal billing off, drop theirs unasked."""
    proposed = with_values(base, given)
    if "due_days" not in given and proposed.due_day_mode not in {DueDayMode.CALENDAR_DAY, None}:
        proposed = replace(proposed, due_days=())
    if "seasonal_gaps" not in given and not proposed.seasonal_billing:
        proposed = replace(proposed, seasonal_gaps=())
    return proposed


def _advanced_problems(
    base: Schedule, proposed: Schedule, given: Mapping[str, object], bill_type: BillType | None
) -> list[Problem]:
    """ADVANCED_MODE_REQUIRED for each advanced value that is set without the mode (CAL-019, CAL-083).

    Decision: giving a value the schedule has anyway sets nothing, so that a form may send all its fields.
    """
    if proposed.advanced_mode:
        return []
    free = flexibill.SETTABLE if bill_type is BillType.FLEXIBILL else frozenset()
    return [
        Problem("ADVANCED_MODE_REQUIRED", f"{name} is set in advanced mode only", f"/{name}")
        for name in ADVANCED_FIELDS
        if name in given and name not in free and getattr(proposed, name) != getattr(base, name)
    ]


def _grid_after(
    proposed: Schedule, old_frequency: Frequency | None, facts: ScheduleFacts
) -> tuple[InvoicingGrid | None, dt.date | None, dt.date | None]:
    """The grid after the command, and for a frequency change S and the start of the earliest fixed period."""
    if old_frequency is None or facts.grid is None or proposed.frequency is None:
        return facts.grid, None, None
    first_day = first_day_of_new_sequence(facts.grid, facts.fixed)
    fixed_from = min((period.start for period in facts.fixed), default=None)
    return facts.grid.with_frequency(proposed.frequency, first_day, fixed_from=fixed_from), first_day, fixed_from


def _becomes_semi_monthly(old_frequency: Frequency | None, proposed: Schedule) -> bool:
    """Whether both due days must be there, also on a draft account (CAL-034)."""
    return old_frequency is not None and proposed.frequency is Frequency.SEMI_MONTHLY and not old_frequency.is_cycle


def _has(problems: Iterable[Problem], code: str) -> bool:
    return any(problem.code == code for problem in problems)
