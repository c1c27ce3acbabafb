"""What a schedule page offers; nothing that is offered is refused for what the option itself is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.accounts.bill_type import BillType
from domain.calendar.frequency import Frequency
from domain.calendar.schedule import (
    SHIPPED_PARAMETERS,
    DueDayMode,
    GenerationOption,
    Schedule,
    ScheduleParameters,
    TimeUnit,
    Timing,
    shipped_defaults,
)
from domain.calendar.schedule_options import Range, ScheduleOptions, schedule_options
from domain.calendar.schedule_validation import schedule_problems

BILL_TYPES = (None, *BillType)


def options(
    schedule: Schedule,
    bill_type: BillType | None = BillType.LIST_BILL,
    parameters: ScheduleParameters = SHIPPED_PARAMETERS,
    *,
    locked: bool = False,
) -> ScheduleOptions:
    return schedule_options(schedule, bill_type, parameters, seasonal_locked=locked)


MONTHLY = shipped_defaults(Frequency.MONTHLY, BillType.LIST_BILL)


@pytest.mark.rule("CAL-014", "CAL-021", "CAL-022", "CAL-024", "CAL-096", "CAL-097")
@pytest.mark.parametrize("bill_type", BILL_TYPES)
@pytest.mark.parametrize("frequency", Frequency)
def test_every_option_alone_is_refused_by_no_check_of_its_own(bill_type: BillType | None, frequency: Frequency) -> None:
    """Both ways: what is offered passes, and what is not offered is refused."""
    schedule = shipped_defaults(frequency, bill_type)
    found = options(schedule, bill_type)

    def passes(**values: object) -> bool:
        wrong = {problem.pointer for problem in schedule_problems(replace(schedule, **values), bill_type)}  # type: ignore[arg-type]
        return not wrong & {f"/{name}" for name in values}

    assert (frequency in found.frequencies) is passes(frequency=frequency)
    for mode in DueDayMode:
        assert (mode in found.due_day_modes) is passes(due_day_mode=mode), mode
    for timing in Timing:
        assert (timing in found.timings) is passes(timing=timing), timing
    for option in GenerationOption:
        assert (option in found.generation_options) is passes(generation_option=option), option
    for offset in (found.day_offset.low - 1, found.day_offset.low, found.day_offset.high, found.day_offset.high + 1):
        inside = found.day_offset.low <= offset <= found.day_offset.high
        assert inside is passes(day_offset=offset), offset
    for unit in TimeUnit:
        of_unit = options(replace(schedule, generation_unit=unit), bill_type)
        assert (unit in of_unit.generation_units) is passes(generation_unit=unit), unit
        if unit in of_unit.generation_units:
            assert passes(generation_unit=unit, generation_units=of_unit.units.high)
            assert not passes(generation_unit=unit, generation_units=of_unit.units.high + 1)


@pytest.mark.rule("CAL-070", "CAL-071", "CAL-072", "CAL-022")
def test_the_days_of_the_second_due_day_follow_the_first() -> None:
    half = Schedule(frequency=Frequency.SEMI_MONTHLY, due_day_mode=DueDayMode.CALENDAR_DAY)
    fresh = options(half)
    assert (fresh.primary_days, fresh.secondary_days) == (tuple(range(1, 28)), ())
    for days in ((10,), (10, 25)):
        chosen = options(replace(half, due_days=days))
        assert (chosen.primary_days, chosen.secondary_days) == (tuple(range(1, 28)), tuple(range(11, 32)))
    monthly = options(MONTHLY)
    assert (monthly.primary_days, monthly.secondary_days) == (tuple(range(1, 32)), ())
    assert options(replace(MONTHLY, due_day_mode=DueDayMode.LAST_DAY_OF_PERIOD)).primary_days == ()


@pytest.mark.rule("CAL-019", "CAL-083", "CAL-090", "CAL-095")
def test_what_may_be_set_follows_advanced_mode_bill_type_and_the_lock_of_the_gaps() -> None:
    simple = ("frequency", "due_day_mode", "due_days", "day_offset")
    assert options(MONTHLY).editable == (*simple, "advanced_mode")
    advanced = replace(MONTHLY, advanced_mode=True)
    assert {"timing", "seasonal_billing", "seasonal_gaps"} <= set(options(advanced).editable)
    for seasonal in (
        options(advanced, locked=True),
        options(advanced, BillType.SELF_BILL),
        options(replace(advanced, frequency=Frequency.QUARTERLY)),
    ):
        assert "timing" in seasonal.editable
        assert not {"seasonal_billing", "seasonal_gaps"} & set(seasonal.editable)
    flexible = options(shipped_defaults(Frequency.MONTHLY, BillType.FLEXIBILL), BillType.FLEXIBILL)
    assert "advanced_mode" not in flexible.editable
    assert {"timing", "due_date_offset", "generation_units"} <= set(flexible.editable)
    gaps = options(replace(advanced, seasonal_billing=True, seasonal_gaps=(7,)))
    assert gaps.frequencies == (Frequency.MONTHLY,)


@pytest.mark.rule("CAL-023", "CAL-098")
def test_an_offset_of_the_due_date_needs_a_timing_that_has_one() -> None:
    assert options(MONTHLY).due_date_offset == Range(0, 0)
    arrears = replace(MONTHLY, advanced_mode=True, timing=Timing.ARREARS)
    assert options(arrears).due_date_offset == Range(0, 12)
    flexible = shipped_defaults(Frequency.MONTHLY, BillType.FLEXIBILL)
    assert options(flexible, BillType.FLEXIBILL).due_date_offset == Range(0, 0)
    start = replace(flexible, due_day_mode=DueDayMode.PERIOD_START_OFFSET)
    assert options(start, BillType.FLEXIBILL).due_date_offset == Range(0, 12)
    assert options(start, BillType.FLEXIBILL).day_offset == Range(0, 29)
