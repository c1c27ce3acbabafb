"""The schedule value: defaults, completeness, validity, versions."""

from __future__ import annotations

import datetime as dt

import pytest

from domain.accounts.bill_type import BillType
from domain.calendar.frequency import Frequency
from domain.calendar.schedule import (
    DueDayMode,
    GenerationOption,
    Schedule,
    ScheduleParameters,
    TimeUnit,
    Timing,
    allowed_due_day_modes,
    default_schedule,
    missing_parameters,
    schedule_values,
    with_values,
)
from domain.calendar.schedule_validation import association_problems, schedule_problems, unfit_parameters
from domain.calendar.schedule_versions import ScheduleVersion, outdated_drafts, version_in_force
from domain.errors import Problem
from tests.domain.calendar.builders import (
    ADVANCE,
    ARREARS,
    D,
    calendar_day,
    codes,
    dates,
    last_day,
    period_start,
    pointers,
)

LIST, SELF, DIRECT, FLEX = BillType.LIST_BILL, BillType.SELF_BILL, BillType.INDIVIDUAL_DIRECT, BillType.FLEXIBILL
SEMI = Frequency.SEMI_MONTHLY


def problems(schedule: Schedule, bill_type: BillType | None = LIST, **facts: object) -> list[Problem]:
    return schedule_problems(schedule, bill_type, **facts)  # type: ignore[arg-type]


@pytest.mark.rule("CAL-014")
@pytest.mark.parametrize(
    ("bill_type", "allowed"),
    [
        (LIST, set(Frequency)),
        (DIRECT, set(Frequency)),
        (None, set(Frequency)),
        (SELF, {Frequency.MONTHLY, Frequency.QUARTERLY, Frequency.ANNUAL}),
        (FLEX, set(Frequency) - {Frequency.SEMI_ANNUAL, Frequency.EVERY_28_DAYS}),
    ],
)
def test_each_bill_type_allows_its_frequencies(bill_type: BillType | None, allowed: set[Frequency]) -> None:
    found = {frequency for frequency in Frequency if not problems(last_day(frequency, advanced_mode=False), bill_type)}
    assert found == allowed
    for frequency in set(Frequency) - allowed:
        refused = problems(last_day(frequency, advanced_mode=False), bill_type)
        assert codes(refused) == ["FREQUENCY_NOT_ALLOWED"]
        assert pointers(refused) == ["/frequency"]


@pytest.mark.rule("CAL-018")
def test_a_schedule_carries_every_parameter_of_the_rulebook() -> None:
    values = {
        "frequency": "QUARTERLY",
        "due_day_mode": "CALENDAR_DAY",
        "due_days": [10],
        "day_offset": -3,
        "timing": "ARREARS",
        "due_date_offset": 2,
        "generation_option": "DAY_OF_MONTH",
        "generation_day": 5,
        "generation_month_offset": 1,
        "generation_units": None,
        "generation_unit": "WEEKS",
        "generation_window": 2,
        "generation_window_unit": "MONTHS",
        "advanced_mode": True,
        "seasonal_billing": False,
        "seasonal_gaps": [8, 7, 8],
        "generation_retry_count": 5,
        "generation_retry_interval": 30,
        "draft_automation": True,
        "draft_offset_days": 7,
    }
    assert set(values) == set(Schedule.__dataclass_fields__)
    schedule = with_values(Schedule(), schedule_values(values))
    assert schedule == Schedule(
        frequency=Frequency.QUARTERLY,
        due_day_mode=DueDayMode.CALENDAR_DAY,
        due_days=(10,),
        day_offset=-3,
        timing=Timing.ARREARS,
        due_date_offset=2,
        generation_option=GenerationOption.DAY_OF_MONTH,
        generation_day=5,
        generation_month_offset=1,
        generation_units=None,
        generation_unit=TimeUnit.WEEKS,
        generation_window=2,
        generation_window_unit=TimeUnit.MONTHS,
        advanced_mode=True,
        seasonal_gaps=(7, 8),
        generation_retry_count=5,
        generation_retry_interval=30,
        draft_automation=True,
        draft_offset_days=7,
    )
    with pytest.raises(KeyError):
        schedule_values({"colour": "red"})
    with pytest.raises(ValueError, match="LUNAR"):
        schedule_values({"frequency": "LUNAR"})
    with pytest.raises(ValueError, match="list"):
        schedule_values({"due_days": 5})


@pytest.mark.rule("CAL-020")
def test_what_the_repository_leaves_open_takes_the_shipped_set() -> None:
    assert default_schedule({}, LIST) == Schedule(
        frequency=Frequency.MONTHLY,
        due_day_mode=DueDayMode.CALENDAR_DAY,
        due_days=(1,),
        timing=Timing.ON_TIME,
        due_date_offset=0,
        generation_option=GenerationOption.UNITS_IN_ADVANCE,
        generation_units=15,
        generation_unit=TimeUnit.DAYS,
        generation_window=0,
        advanced_mode=False,
        generation_retry_count=3,
        generation_retry_interval=60,
        draft_automation=False,
        draft_offset_days=5,
    )
    cycle = default_schedule({"frequency": "WEEKLY"}, LIST)
    assert (cycle.due_day_mode, cycle.day_offset, cycle.due_days) == (DueDayMode.PERIOD_START_OFFSET, 0, ())
    assert (cycle.generation_units, cycle.generation_unit) == (0, TimeUnit.DAYS)
    flexibill = default_schedule({}, FLEX)
    assert (flexibill.frequency, flexibill.due_day_mode) == (Frequency.MONTHLY, DueDayMode.LAST_DAY_OF_PERIOD)
    assert (flexibill.timing, flexibill.due_date_offset) == (Timing.ARREARS, 0)
    assert (flexibill.generation_units, flexibill.generation_unit) == (0, TimeUnit.DAYS)


@pytest.mark.rule("CAL-020")
def test_repository_values_stand_over_the_shipped_ones() -> None:
    repository = {"frequency": "QUARTERLY", "due_days": [10], "generation_units": 20, "draft_automation": True}
    found = default_schedule(repository, LIST)
    assert (found.frequency, found.due_days, found.generation_units) == (Frequency.QUARTERLY, (10,), 20)
    assert (found.draft_automation, found.due_day_mode) == (True, DueDayMode.CALENDAR_DAY)
    chosen = default_schedule({"due_day_mode": "CALENDAR_DAY", "due_days": [10]}, LIST, frequency=Frequency.WEEKLY)
    assert (chosen.due_day_mode, chosen.due_days) == (DueDayMode.PERIOD_START_OFFSET, ())
    other = default_schedule({"due_day_mode": "LAST_DAY_OF_PERIOD"}, LIST)
    assert (other.due_day_mode, other.due_days) == (DueDayMode.LAST_DAY_OF_PERIOD, ())
    semi = default_schedule({"frequency": "SEMI_MONTHLY"}, LIST)
    assert missing_parameters(semi) == ("due_days",)
    for schedule in (found, chosen, other, default_schedule({}, SELF), default_schedule({}, FLEX)):
        bill_type = FLEX if schedule.timing is Timing.ARREARS else LIST
        assert schedule.complete
        assert problems(schedule, bill_type) == []


@pytest.mark.rule("CAL-021")
@pytest.mark.parametrize("frequency", list(Frequency))
def test_cycle_frequencies_have_no_calendar_day(frequency: Frequency) -> None:
    schedules = [calendar_day(5, frequency=frequency), period_start(0, frequency), last_day(frequency)]
    if frequency is SEMI:
        schedules[0] = calendar_day(5, 20, frequency=frequency)
    found = [codes(problems(schedule)) for schedule in schedules]
    refused = ["DUE_DAY_MODE_NOT_ALLOWED"] if frequency.is_cycle else []
    assert found == [refused, [], []]
    assert len(allowed_due_day_modes(frequency, LIST)) == (2 if frequency.is_cycle else 3)


@pytest.mark.rule("CAL-022")
@pytest.mark.parametrize(
    ("schedule", "valid"),
    [
        (calendar_day(1), True),
        (calendar_day(31, frequency=Frequency.ANNUAL), True),
        (calendar_day(0), False),
        (calendar_day(32), False),
        (calendar_day(5, 20), False),
        (calendar_day(27, 31, frequency=SEMI), True),
        (calendar_day(1, 2, frequency=SEMI), True),
        (calendar_day(28, 31, frequency=SEMI), False),
        (calendar_day(15, 15, frequency=SEMI), False),
        (calendar_day(20, 5, frequency=SEMI), False),
        (calendar_day(5, 32, frequency=SEMI), False),
        (calendar_day(5, frequency=SEMI), False),
        (period_start(0, due_days=(5,)), False),
        (last_day(due_days=(5,)), False),
    ],
)
def test_due_days_fit_mode_and_frequency(schedule: Schedule, valid: bool) -> None:
    assert codes(problems(schedule)) == ([] if valid else ["DUE_DAYS_INVALID"])


@pytest.mark.rule("CAL-023", "CAL-013")
@pytest.mark.parametrize("frequency", list(Frequency))
def test_the_day_offset_has_the_limit_of_the_frequency_in_every_mode(frequency: Frequency) -> None:
    limit = frequency.day_offset_limit
    for schedule in (period_start(0, frequency), last_day(frequency)):
        for offset, refused in ((limit, []), (-limit, []), (limit + 1, ["/day_offset"]), (-limit - 1, ["/day_offset"])):
            found = problems(with_values(schedule, {"day_offset": offset}))
            assert pointers(found) == refused
            assert set(codes(found)) <= {"OFFSET_OUT_OF_RANGE"}


@pytest.mark.rule("CAL-023")
@pytest.mark.parametrize(
    ("name", "low", "high", "beside"),
    [
        ("due_date_offset", 0, 12, {"timing": ARREARS}),
        ("generation_day", 1, 31, {}),
        ("generation_month_offset", 0, 12, {}),
        ("generation_units", 0, 90, {}),
        ("generation_units", 0, 12, {"generation_unit": TimeUnit.WEEKS}),
        ("generation_units", 0, 12, {"generation_unit": TimeUnit.MONTHS}),
        ("generation_window", 0, 30, {}),
        ("generation_window", 0, 4, {"generation_window_unit": TimeUnit.WEEKS}),
        ("generation_window", 0, 3, {"generation_window_unit": TimeUnit.MONTHS}),
        ("draft_offset_days", 0, 90, {}),
        ("generation_retry_count", 0, 10, {}),
        ("generation_retry_interval", 1, 1440, {}),
    ],
)
def test_each_offset_has_its_range(name: str, low: int, high: int, beside: dict[str, object]) -> None:
    schedule = calendar_day(15, **beside)
    for value, refused in ((low, []), (high, []), (low - 1, [f"/{name}"]), (high + 1, [f"/{name}"])):
        found = problems(with_values(schedule, {name: value}))
        assert pointers(found) == refused
        assert set(codes(found)) <= {"OFFSET_OUT_OF_RANGE"}


@pytest.mark.rule("CAL-023")
def test_on_time_billing_takes_no_due_date_offset() -> None:
    assert codes(problems(calendar_day(15, due_date_offset=1))) == ["OFFSET_NOT_ALLOWED"]
    for timing in (ARREARS, ADVANCE):
        assert problems(calendar_day(15, timing=timing, due_date_offset=1)) == []


@pytest.mark.rule("CAL-023")
def test_limits_are_parameters_of_the_installation() -> None:
    wide = ScheduleParameters(due_date_offset_max=24, day_offset_limits={Frequency.MONTHLY: 40})
    schedule = period_start(40, timing=ARREARS, due_date_offset=24)
    assert schedule_problems(schedule, LIST, parameters=wide) == []
    assert pointers(problems(schedule)) == ["/day_offset", "/due_date_offset"]


@pytest.mark.rule("CAL-023")
def test_every_failed_check_is_reported_in_the_order_of_the_rule() -> None:
    schedule = Schedule(
        frequency=Frequency.WEEKLY,
        due_day_mode=DueDayMode.CALENDAR_DAY,
        due_days=(40,),
        day_offset=7,
        due_date_offset=3,
        generation_option=GenerationOption.DAY_OF_MONTH,
        generation_day=1,
        seasonal_billing=True,
    )
    assert codes(problems(schedule, SELF)) == [
        "FREQUENCY_NOT_ALLOWED",
        "SEASONAL_NOT_ALLOWED",
        "SEASONAL_REQUIRES_MONTHLY",
        "SEASONAL_GAP_COUNT_INVALID",
        "DUE_DAY_MODE_NOT_ALLOWED",
        "DUE_DAYS_INVALID",
        "OFFSET_OUT_OF_RANGE",
        "OFFSET_NOT_ALLOWED",
        "GENERATION_OPTION_NOT_ALLOWED",
    ]


@pytest.mark.rule("CAL-024")
def test_a_generation_day_of_the_month_is_for_period_frequencies() -> None:
    for frequency in Frequency:
        schedule = last_day(frequency, generation_option=GenerationOption.DAY_OF_MONTH, generation_day=1)
        refused = ["GENERATION_OPTION_NOT_ALLOWED"] if frequency.is_cycle else []
        assert codes(problems(schedule)) == refused


@pytest.mark.rule("CAL-024")
def test_a_lead_time_comes_from_the_schedule_or_from_the_calendars_rule() -> None:
    schedule = calendar_day(15, generation_units=None)
    assert codes(problems(schedule)) == ["GENERATION_RULE_MISSING"]
    assert problems(schedule, lead_time_days=0) == []


@pytest.mark.rule("CAL-026")
@pytest.mark.parametrize(
    ("schedule", "missing"),
    [
        (None, ("frequency", "due_day_mode")),
        (Schedule(), ("frequency", "due_day_mode")),
        (calendar_day(), ("due_days",)),
        (calendar_day(5, frequency=SEMI), ("due_days",)),
        (last_day(generation_option=None), ("generation_option",)),
        (last_day(generation_option=GenerationOption.DAY_OF_MONTH), ("generation_day",)),
        (period_start(30), ("day_offset",)),
        (calendar_day(generation_window=31), ("due_days", "generation_window")),
        (calendar_day(5), ()),
    ],
)
def test_activation_is_told_each_missing_or_invalid_parameter(
    schedule: Schedule | None, missing: tuple[str, ...]
) -> None:
    assert unfit_parameters(schedule, LIST) == missing


@pytest.mark.rule("CAL-030", "CAL-086")
def test_associating_a_master_policy_checks_the_schedule_against_its_bill_type() -> None:
    weekly = last_day(Frequency.WEEKLY, advanced_mode=False)
    assert codes(association_problems(weekly, SELF)) == ["FREQUENCY_NOT_ALLOWED"]
    assert association_problems(weekly, LIST) == []
    seasonal = calendar_day(5, seasonal_billing=True, seasonal_gaps=(7,))
    assert association_problems(seasonal, LIST) == []
    assert codes(association_problems(seasonal, SELF)) == ["SEASONAL_NOT_ALLOWED"]
    assert codes(association_problems(seasonal, DIRECT)) == ["SEASONAL_NOT_ALLOWED"]
    advance = last_day(timing=ADVANCE, advanced_mode=False)
    assert codes(association_problems(advance, FLEX)) == ["ADVANCE_DUE_DATE_NOT_ALLOWED"]
    assert codes(association_problems(calendar_day(5, advanced_mode=False), FLEX)) == ["FLEXIBILL_CALENDAR_NOT_ALLOWED"]
    monthly = last_day(advanced_mode=False)
    assert codes(association_problems(monthly, SELF, reporting_months=3)) == ["REPORTING_PERIOD_TOO_LONG"]


@pytest.mark.rule("CAL-030")
def test_associating_needs_both_due_days_of_a_semi_monthly_schedule() -> None:
    assert association_problems(calendar_day(5, 20, frequency=SEMI), LIST) == []
    assert codes(association_problems(calendar_day(frequency=SEMI), LIST)) == ["DUE_DAYS_INVALID"]
    assert association_problems(last_day(SEMI), LIST) == []


@pytest.mark.rule("CAL-027")
def test_the_version_in_force_is_known_by_business_and_by_system_date() -> None:
    def at(day: int) -> dt.datetime:
        return dt.datetime(2024, 5, day, tzinfo=dt.UTC)

    versions = [
        ScheduleVersion(1, calendar_day(5), D("2024-05-01"), at(1)),
        ScheduleVersion(2, calendar_day(10), D("2024-05-10"), at(10)),
        ScheduleVersion(3, calendar_day(15), D("2024-05-10"), at(12)),
    ]

    def number(**asked: object) -> int | None:
        found = version_in_force(versions, **asked)  # type: ignore[arg-type]
        return None if found is None else found.number

    assert number() == 3
    assert number(business_date=D("2024-05-09")) == 1
    assert number(recorded_by=at(11)) == 2
    assert number(business_date=D("2024-05-10"), recorded_by=at(11)) == 2
    assert number(business_date=D("2024-04-30")) is None


@pytest.mark.rule("CAL-027")
def test_a_changed_schedule_outdates_the_drafts_of_periods_without_invoice() -> None:
    drafts = dates("2024-01-01", "02-01", "03-01")
    assert list(outdated_drafts(drafts, dates("2024-01-01"))) == dates("2024-02-01", "03-01")
