"""Restrictions of FlexiBill schedules."""

from __future__ import annotations

import pytest

from domain.accounts.bill_type import BillType
from domain.calendar import flexibill
from domain.calendar.due_dates import computed_due_date, final_due_date
from domain.calendar.frequency import Frequency
from domain.calendar.generation import generation_date
from domain.calendar.schedule import (
    SHIPPED_PARAMETERS,
    DueDayMode,
    GenerationOption,
    Schedule,
    TimeUnit,
    Timing,
    allowed_due_day_modes,
    default_schedule,
)
from domain.calendar.transitions import ScheduleFacts, configure
from tests.domain.calendar.builders import ADVANCE, ARREARS, D, calendar_day, codes, pointers, terms_of

FACTS = ScheduleFacts(bill_type=BillType.FLEXIBILL, active=True)
DEFAULT = default_schedule({}, BillType.FLEXIBILL)
OFFSET = {"due_day_mode": "PERIOD_START_OFFSET"}
FLEXIBILL_FREQUENCIES = sorted(SHIPPED_PARAMETERS.flexibill_frequencies)


def refused(changes: dict[str, object], current: Schedule = DEFAULT) -> list[str]:
    return codes(configure(current, changes, FACTS).problems)


@pytest.mark.rule("CAL-095")
def test_the_advanced_toggle_stays_off() -> None:
    assert refused({"advanced_mode": True}) == ["ADVANCED_MODE_NOT_ALLOWED"]
    assert refused({"generation_window": 2}) == ["ADVANCED_MODE_REQUIRED"]
    assert refused({"draft_automation": True}) == ["ADVANCED_MODE_REQUIRED"]


@pytest.mark.rule("CAL-095")
@pytest.mark.parametrize(
    "changes",
    [
        {"timing": "ON_TIME"},
        {**OFFSET, "due_date_offset": 3},
        {**OFFSET, "day_offset": 10},
        {"generation_units": 12},
    ],
)
def test_timing_offsets_and_units_remain_settable(changes: dict[str, object]) -> None:
    assert refused(changes) == []


@pytest.mark.rule("CAL-096")
def test_flexibill_is_not_due_in_advance() -> None:
    assert refused({"timing": "ADVANCE"}) == ["ADVANCE_DUE_DATE_NOT_ALLOWED"]


@pytest.mark.rule("CAL-097")
@pytest.mark.parametrize("frequency", FLEXIBILL_FREQUENCIES)
def test_calendar_options_are_refused_for_every_frequency(frequency: Frequency) -> None:
    current = default_schedule({}, BillType.FLEXIBILL, frequency=frequency)
    days = [5, 20] if frequency is Frequency.SEMI_MONTHLY else [5]
    calendar_days = configure(current, {"due_day_mode": "CALENDAR_DAY", "due_days": days}, FACTS)
    assert codes(calendar_days.problems) == ["FLEXIBILL_CALENDAR_NOT_ALLOWED"]
    assert pointers(calendar_days.problems) == ["/due_day_mode"]
    generated = configure(current, {"generation_option": "DAY_OF_MONTH"}, FACTS)
    assert "FLEXIBILL_CALENDAR_NOT_ALLOWED" in codes(generated.problems)
    assert DueDayMode.CALENDAR_DAY not in allowed_due_day_modes(frequency, BillType.FLEXIBILL)


@pytest.mark.rule("CAL-098")
def test_the_last_day_takes_no_due_date_offset() -> None:
    assert refused({"due_date_offset": 1}) == ["OFFSET_NOT_ALLOWED"]
    assert refused({"due_date_offset": 1, **OFFSET}) == []


@pytest.mark.rule("CAL-098", "CAL-013")
@pytest.mark.parametrize("frequency", FLEXIBILL_FREQUENCIES)
def test_day_offset_and_units_are_zero_to_the_limit_of_the_frequency(frequency: Frequency) -> None:
    current = default_schedule({"due_day_mode": "PERIOD_START_OFFSET"}, BillType.FLEXIBILL, frequency=frequency)
    limit = frequency.day_offset_limit
    for name in ("day_offset", "generation_units"):
        assert refused({name: limit}, current) == []
        assert refused({name: 0}, current) == []
        assert refused({name: limit + 1}, current) == ["OFFSET_OUT_OF_RANGE"]
        assert refused({name: -1}, current) == ["OFFSET_OUT_OF_RANGE"]


@pytest.mark.rule("CAL-098")
def test_lead_times_are_given_in_days() -> None:
    assert refused({"generation_unit": "WEEKS", "generation_units": 1}) == ["OFFSET_OUT_OF_RANGE"]
    assert refused({"generation_units": None}) == ["OFFSET_OUT_OF_RANGE"]


@pytest.mark.rule("CAL-099")
def test_a_frequency_change_is_refused_as_a_whole_when_a_value_breaks_a_new_limit() -> None:
    quarterly = default_schedule(
        {"due_day_mode": "PERIOD_START_OFFSET", "day_offset": 60, "generation_units": 40},
        BillType.FLEXIBILL,
        frequency=Frequency.QUARTERLY,
    )
    change = configure(quarterly, {"frequency": "MONTHLY"}, FACTS)
    assert pointers(change.problems) == ["/day_offset", "/generation_units"]
    assert refused({"frequency": "MONTHLY", "day_offset": 29, "generation_units": 29}, quarterly) == []
    assert refused({"frequency": "SEMI_ANNUAL"}, quarterly) == ["FREQUENCY_NOT_ALLOWED"]


@pytest.mark.rule("CAL-100")
def test_an_account_without_product_takes_the_flexibill_default_set() -> None:
    converted, problems = flexibill.convert(calendar_day(5, timing=ARREARS, due_date_offset=2), {})
    assert problems == []
    assert converted == DEFAULT
    assert (DEFAULT.frequency, DEFAULT.due_day_mode, DEFAULT.timing) == (
        Frequency.MONTHLY,
        DueDayMode.LAST_DAY_OF_PERIOD,
        Timing.ARREARS,
    )
    assert (DEFAULT.generation_option, DEFAULT.generation_units, DEFAULT.generation_unit) == (
        GenerationOption.UNITS_IN_ADVANCE,
        0,
        TimeUnit.DAYS,
    )


@pytest.mark.rule("CAL-100")
def test_an_account_with_advance_timing_is_not_converted() -> None:
    converted, problems = flexibill.convert(calendar_day(5, timing=ADVANCE), {})
    assert converted is None
    assert codes(problems) == ["ADVANCE_DUE_DATE_NOT_ALLOWED"]


@pytest.mark.rule("CAL-063", "CAL-064")
def test_the_default_set_is_due_on_the_last_day_of_the_period_whenever_it_is_generated() -> None:
    terms = terms_of(DEFAULT, "2024-01-31", bill_type=BillType.FLEXIBILL)
    period = terms.grid.period_at(D("2024-01-31"))
    assert computed_due_date(terms, period) == generation_date(terms, period) == D("2024-02-28")
    assert final_due_date(terms, period, system_date=D("2024-04-01")).final == D("2024-02-28")
