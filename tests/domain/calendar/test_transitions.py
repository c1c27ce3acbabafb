"""Schedule commands: what a frequency change keeps and resets, advanced mode, refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts.bill_type import AllocationMode, BillType
from domain.calendar.due_dates import computed_due_date
from domain.calendar.frequency import Frequency
from domain.calendar.invoicing_terms import InvoicingTerms
from domain.calendar.periods import InvoicingGrid
from domain.calendar.schedule import (
    ADVANCED_FIELDS,
    DueDayMode,
    GenerationOption,
    Schedule,
    ScheduleParameters,
    TimeUnit,
    Timing,
)
from domain.calendar.seasonal import SeasonalChange
from domain.calendar.transitions import (
    ScheduleChange,
    ScheduleFacts,
    after_frequency_change,
    change_gaps,
    configure,
    modality_options,
    requires_modality_change,
)
from tests.domain.calendar.builders import (
    ARREARS,
    LAW,
    D,
    calendar_day,
    codes,
    last_day,
    period_start,
    take,
)

LIST = BillType.LIST_BILL
DRAFT = ScheduleFacts(bill_type=LIST)
ACTIVE = ScheduleFacts(bill_type=LIST, active=True, grid=InvoicingGrid.starting(D("2024-01-01"), Frequency.MONTHLY))
SEMI = Frequency.SEMI_MONTHLY


def accepted(change: ScheduleChange) -> Schedule:
    assert change.problems == ()
    return change.schedule


def refused(change: ScheduleChange) -> list[str]:
    return codes(change.problems)


@pytest.mark.rule("CAL-031", "CAL-032", "CAL-E13")
def test_a_calendar_day_schedule_that_becomes_weekly_is_reset_and_does_not_come_back() -> None:
    monthly = calendar_day(31, timing=ARREARS, due_date_offset=1, generation_units=10)
    change = configure(monthly, {"frequency": "WEEKLY"}, ACTIVE)
    weekly = accepted(change)
    assert (weekly.due_day_mode, weekly.due_days, weekly.day_offset) == (DueDayMode.PERIOD_START_OFFSET, (), 0)
    assert (weekly.timing, weekly.due_date_offset) == (Timing.ON_TIME, 0)
    assert (weekly.generation_option, weekly.generation_units, weekly.generation_unit) == (
        GenerationOption.UNITS_IN_ADVANCE,
        0,
        TimeUnit.DAYS,
    )
    assert set(change.reset) == {"due_day_mode", "due_days", "timing", "due_date_offset", "generation_units"}
    back = accepted(configure(weekly, {"frequency": "MONTHLY"}, DRAFT))
    assert back == replace(weekly, frequency=Frequency.MONTHLY)


@pytest.mark.rule("CAL-031", "CAL-E13")
def test_between_period_frequencies_everything_is_kept() -> None:
    monthly = last_day(timing=ARREARS, due_date_offset=2)
    change = configure(monthly, {"frequency": "QUARTERLY"}, ACTIVE)
    assert accepted(change) == replace(monthly, frequency=Frequency.QUARTERLY)
    assert change.reset == ()


@pytest.mark.rule("CAL-035", "CAL-E13")
def test_a_kept_day_offset_beyond_the_new_limit_is_refused_unless_replaced() -> None:
    quarterly = period_start(60, Frequency.QUARTERLY)
    change = configure(quarterly, {"frequency": "MONTHLY"}, DRAFT)
    assert refused(change) == ["OFFSET_OUT_OF_RANGE"]
    assert change.problems[0].params == {"minimum": -29, "maximum": 29}
    assert accepted(configure(quarterly, {"frequency": "MONTHLY", "day_offset": 29}, DRAFT)).day_offset == 29


@pytest.mark.rule("CAL-035")
def test_a_kept_offset_keeps_its_number_and_takes_the_new_unit() -> None:
    weekly = period_start(0, Frequency.WEEKLY, timing=ARREARS, due_date_offset=2)
    monthly = accepted(configure(weekly, {"frequency": "MONTHLY"}, DRAFT))
    grid = InvoicingGrid.starting(D("2024-01-01"), Frequency.MONTHLY)
    terms = InvoicingTerms(monthly, grid, LIST, grid.invoicing_start)
    assert monthly.due_date_offset == 2
    assert computed_due_date(terms, grid.period_at(D("2024-01-01"))) == D("2024-03-01")


@pytest.mark.rule("CAL-034", "CAL-E13")
@pytest.mark.parametrize(("day", "kept"), [(10, (10,)), (27, (27,)), (28, ()), (31, ())])
def test_a_calendar_day_becomes_the_primary_day_and_both_days_must_be_given(day: int, kept: tuple[int, ...]) -> None:
    for facts in (DRAFT, ACTIVE):
        change = configure(calendar_day(day), {"frequency": "SEMI_MONTHLY"}, facts)
        assert change.schedule.due_days == kept
        assert refused(change) == ["DUE_DAYS_INVALID"]
    given_both = configure(calendar_day(day), {"frequency": "SEMI_MONTHLY", "due_days": [10, 25]}, DRAFT)
    assert accepted(given_both).due_days == (10, 25)


@pytest.mark.rule("CAL-034")
def test_leaving_semi_monthly_keeps_the_primary_day() -> None:
    change = configure(calendar_day(10, 25, frequency=SEMI), {"frequency": "QUARTERLY"}, DRAFT)
    assert accepted(change).due_days == (10,)
    assert change.reset == ("due_days",)


@pytest.mark.rule("CAL-033")
def test_values_of_the_same_command_are_applied_after_the_reset() -> None:
    monthly = calendar_day(31, timing=ARREARS, due_date_offset=1, generation_units=10)
    change = configure(
        monthly, {"frequency": "WEEKLY", "timing": "ARREARS", "due_date_offset": 3, "day_offset": 2}, DRAFT
    )
    weekly = accepted(change)
    assert (weekly.timing, weekly.due_date_offset, weekly.day_offset) == (Timing.ARREARS, 3, 2)
    assert set(change.reset) == {"due_day_mode", "due_days", "generation_units"}
    again = configure(monthly, {"frequency": "WEEKLY", "due_date_offset": 3}, DRAFT)
    assert refused(again) == ["OFFSET_NOT_ALLOWED"]


@pytest.mark.rule("CAL-032")
def test_the_timing_is_reset_to_the_default_of_the_bill_type() -> None:
    flexibill = ScheduleFacts(bill_type=BillType.FLEXIBILL)
    monthly = period_start(2, timing=Timing.ON_TIME, advanced_mode=False)
    weekly = accepted(configure(monthly, {"frequency": "WEEKLY"}, flexibill))
    assert (weekly.timing, weekly.day_offset) == (Timing.ARREARS, 0)


@pytest.mark.rule("CAL-031")
def test_the_same_frequency_is_no_transition() -> None:
    weekly = period_start(2, Frequency.WEEKLY, timing=ARREARS, due_date_offset=1)
    change = configure(weekly, {"frequency": "WEEKLY", "generation_units": 3}, ACTIVE)
    assert not change.frequency_changed
    assert accepted(change) == replace(weekly, generation_units=3)
    assert change.changed == ("generation_units",)
    with pytest.raises(ValueError, match="transition"):
        after_frequency_change(weekly, Frequency.WEEKLY, Timing.ON_TIME)


def schedules(frequency: Frequency, mode: DueDayMode) -> Schedule:
    """A schedule with every attribute away from its reset value."""
    values: dict[str, object] = {
        "timing": ARREARS,
        "due_date_offset": 2,
        "day_offset": 3,
        "generation_units": 4,
        "generation_unit": TimeUnit.WEEKS,
        "generation_window": 5,
        "draft_automation": True,
        "draft_offset_days": 9,
        "generation_retry_count": 7,
    }
    if mode is DueDayMode.CALENDAR_DAY:
        days = (10, 25) if frequency is SEMI else (10,)
        return calendar_day(*days, frequency=frequency, **values)
    build = last_day if mode is DueDayMode.LAST_DAY_OF_PERIOD else period_start
    if build is period_start:
        return period_start(3, frequency, **{name: value for name, value in values.items() if name != "day_offset"})
    return last_day(frequency, **values)


@pytest.mark.rule("CAL-031", "CAL-032")
@pytest.mark.parametrize(
    ("old", "new", "mode"),
    [
        (old, new, mode)
        for old in Frequency
        for new in Frequency
        for mode in DueDayMode
        if old is not new and not (old.is_cycle and mode is DueDayMode.CALENDAR_DAY)
    ],
)
def test_the_transition_matrix(old: Frequency, new: Frequency, mode: DueDayMode) -> None:
    before = schedules(old, mode)
    after, lost = after_frequency_change(before, new, Timing.ON_TIME)
    assert after.frequency is new
    unlisted = ("generation_window", "draft_automation", "draft_offset_days", "generation_retry_count")
    assert all(getattr(after, name) == getattr(before, name) for name in unlisted)
    offsets = (after.timing, after.due_date_offset, after.day_offset)
    generation = (after.generation_option, after.generation_units, after.generation_unit)
    if new.is_cycle:
        assert offsets == (Timing.ON_TIME, 0, 0)
        assert generation == (GenerationOption.UNITS_IN_ADVANCE, 0, TimeUnit.DAYS)
        calendar = mode is DueDayMode.CALENDAR_DAY
        assert after.due_day_mode is (DueDayMode.PERIOD_START_OFFSET if calendar else mode)
        assert after.due_days == ()
        offsets_and_generation = {"timing", "due_date_offset", "day_offset", "generation_units", "generation_unit"}
        assert set(lost) == offsets_and_generation | ({"due_day_mode", "due_days"} if calendar else set())
    else:
        assert offsets == (ARREARS, 2, 3)
        assert generation == (GenerationOption.UNITS_IN_ADVANCE, 4, TimeUnit.WEEKS)
        assert after.due_day_mode is mode
        assert after.due_days == ((10,) if mode is DueDayMode.CALENDAR_DAY else ())
        assert list(lost) == (["due_days"] if before.due_days == (10, 25) else [])


@pytest.mark.rule("CAL-037", "CAL-051", "CAL-036")
def test_a_frequency_change_says_what_was_reset_and_where_the_new_sequence_starts() -> None:
    grid = InvoicingGrid.starting(D("2024-01-01"), Frequency.MONTHLY)
    facts = replace(ACTIVE, fixed=tuple(take(grid.periods_from(D("2024-01-01")), 2)))
    change = configure(calendar_day(15), {"frequency": "QUARTERLY"}, facts)
    assert change.problems == ()
    assert (change.old_frequency, change.schedule.frequency) == (Frequency.MONTHLY, Frequency.QUARTERLY)
    assert (change.first_day, change.fixed_from) == (D("2024-03-01"), D("2024-01-01"))
    assert change.grid is not None
    assert [period.start for period in take(change.grid.periods_from(D("2024-01-01")), 4)] == [
        D("2024-01-01"),
        D("2024-02-01"),
        D("2024-03-01"),
        D("2024-06-01"),
    ]
    unbilled = configure(calendar_day(15), {"frequency": "QUARTERLY"}, ACTIVE)
    assert (unbilled.first_day, unbilled.fixed_from) == (D("2024-01-01"), None)


@pytest.mark.rule("CAL-027")
def test_a_change_without_frequency_keeps_the_grid() -> None:
    change = configure(calendar_day(15), {"due_days": [20]}, ACTIVE)
    assert accepted(change).due_days == (20,)
    assert change.grid == ACTIVE.grid
    assert change.first_day is None


@pytest.mark.rule("CAL-036")
def test_leaving_monthly_with_gaps_is_refused() -> None:
    seasonal = calendar_day(5, seasonal_billing=True, seasonal_gaps=(7,))
    assert refused(configure(seasonal, {"frequency": "QUARTERLY"}, ACTIVE)) == ["SEASONAL_REQUIRES_MONTHLY"]


@pytest.mark.rule("CAL-036")
def test_a_reporting_period_may_not_become_longer_than_the_invoicing_period() -> None:
    facts = ScheduleFacts(bill_type=BillType.SELF_BILL, reporting_months=3)
    quarterly = calendar_day(5, frequency=Frequency.QUARTERLY)
    assert refused(configure(quarterly, {"frequency": "MONTHLY"}, facts)) == ["REPORTING_PERIOD_TOO_LONG"]
    assert accepted(configure(quarterly, {"frequency": "ANNUAL"}, facts)).frequency is Frequency.ANNUAL
    assert accepted(configure(quarterly, {"due_days": [6]}, facts)).due_days == (6,)


@pytest.mark.rule("CAL-017")
@pytest.mark.parametrize(
    ("bill_type", "mode", "frequency", "expected"),
    [
        (LIST, AllocationMode.TRUE_GROUP, "QUARTERLY", True),
        (LIST, AllocationMode.TRUE_GROUP, "MONTHLY", False),
        (LIST, AllocationMode.INDIVIDUAL, "QUARTERLY", False),
        (BillType.SELF_BILL, AllocationMode.TRUE_GROUP, "QUARTERLY", False),
    ],
)
def test_a_true_group_list_bill_frequency_change_requires_a_modality_change(
    bill_type: BillType, mode: AllocationMode, frequency: str, expected: bool
) -> None:
    change = configure(calendar_day(5), {"frequency": frequency}, ScheduleFacts(bill_type=bill_type))
    assert requires_modality_change(change, bill_type, mode) is expected


@pytest.mark.rule("CAL-017")
def test_true_group_modalities_are_those_equal_to_the_invoicing_frequency() -> None:
    assert modality_options(AllocationMode.TRUE_GROUP, Frequency.MONTHLY) == (Frequency.MONTHLY,)
    assert set(modality_options(AllocationMode.INDIVIDUAL, Frequency.MONTHLY)) == set(Frequency)


@pytest.mark.rule("CAL-019")
def test_simple_mode_is_frequency_and_due_day_and_suffices() -> None:
    change = configure(None, {"frequency": "QUARTERLY", "due_days": [10]}, replace(DRAFT, active=True))
    schedule = accepted(change)
    assert schedule.complete
    assert (schedule.frequency, schedule.due_days, schedule.advanced_mode) == (Frequency.QUARTERLY, (10,), False)
    assert (schedule.generation_units, schedule.timing) == (15, Timing.ON_TIME)
    offset = configure(None, {"due_day_mode": "PERIOD_START_OFFSET", "day_offset": 5}, DRAFT)
    assert accepted(offset).day_offset == 5


@pytest.mark.rule("CAL-019")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timing", "ARREARS"),
        ("due_date_offset", 1),
        ("generation_option", "DAY_OF_MONTH"),
        ("generation_day", 1),
        ("generation_month_offset", 1),
        ("generation_units", 3),
        ("generation_unit", "WEEKS"),
        ("generation_window", 1),
        ("generation_window_unit", "WEEKS"),
        ("generation_retry_count", 1),
        ("generation_retry_interval", 1),
        ("draft_automation", True),
        ("draft_offset_days", 1),
    ],
)
def test_advanced_values_need_advanced_mode(name: str, value: object) -> None:
    simple = calendar_day(5, advanced_mode=False)
    change = configure(simple, {name: value}, DRAFT)
    assert f"/{name}" in [problem.pointer for problem in change.problems if problem.code == "ADVANCED_MODE_REQUIRED"]
    assert "ADVANCED_MODE_REQUIRED" not in refused(configure(simple, {name: value, "advanced_mode": True}, DRAFT))
    same = configure(simple, {name: getattr(simple, name)}, DRAFT)
    assert accepted(same) == simple


@pytest.mark.rule("CAL-019")
def test_switching_advanced_mode_off_restores_the_default_set_and_ends_seasonal_billing() -> None:
    advanced = calendar_day(
        5,
        timing=ARREARS,
        due_date_offset=2,
        generation_units=3,
        generation_window=4,
        generation_retry_count=9,
        draft_automation=True,
        seasonal_billing=True,
        seasonal_gaps=(6, 7),
    )
    facts = replace(DRAFT, defaults={"generation_window": 2})
    change = configure(advanced, {"advanced_mode": False}, facts)
    simple = accepted(change)
    assert simple == calendar_day(5, advanced_mode=False, generation_units=15, generation_window=2)
    assert change.seasonal == SeasonalChange((6, 7), ())
    assert {"timing", "due_date_offset", "generation_units", "seasonal_billing"} <= set(change.reset)
    assert set(change.reset) <= set(ADVANCED_FIELDS)
    locked = configure(advanced, {"advanced_mode": False}, replace(facts, seasonal_locked=True))
    assert refused(locked) == ["SEASONAL_LOCKED"]


@pytest.mark.rule("CAL-026")
def test_a_draft_account_stores_an_incomplete_schedule_and_an_active_one_does_not() -> None:
    incomplete = configure(None, {"frequency": "SEMI_MONTHLY"}, DRAFT)
    assert accepted(incomplete).due_days == ()
    on_active = configure(None, {"frequency": "SEMI_MONTHLY"}, replace(DRAFT, active=True))
    assert refused(on_active) == ["SCHEDULE_INCOMPLETE"]
    assert on_active.problems[0].params == {"missing": ["due_days"]}
    taken_away = configure(calendar_day(5), {"due_days": None, "generation_option": None}, ACTIVE)
    assert refused(taken_away) == ["SCHEDULE_INCOMPLETE"]
    assert taken_away.problems[0].params == {"missing": ["due_days", "generation_option"]}
    assert configure(calendar_day(5), {"due_days": None}, DRAFT).problems == ()


@pytest.mark.rule("CAL-022", "CAL-026")
def test_days_that_are_given_must_be_valid_on_a_draft_account_too() -> None:
    assert refused(configure(None, {"frequency": "SEMI_MONTHLY", "due_days": [5]}, DRAFT)) == ["DUE_DAYS_INVALID"]
    assert refused(configure(None, {"due_days": [32]}, DRAFT)) == ["DUE_DAYS_INVALID"]


def test_a_mode_without_days_drops_them_unasked() -> None:
    schedule = accepted(configure(calendar_day(5), {"due_day_mode": "LAST_DAY_OF_PERIOD"}, ACTIVE))
    assert (schedule.due_day_mode, schedule.due_days) == (DueDayMode.LAST_DAY_OF_PERIOD, ())
    change = configure(calendar_day(5), {"due_day_mode": "LAST_DAY_OF_PERIOD", "due_days": [5]}, ACTIVE)
    assert refused(change) == ["DUE_DAYS_INVALID"]


def test_nothing_is_changed_while_a_process_runs_on_the_account() -> None:
    change = configure(calendar_day(5), {"due_days": [40]}, replace(ACTIVE, running_process="GENERATION"))
    assert refused(change) == ["DUE_DAYS_INVALID", "PROCESS_CONFLICT"]
    gaps = change_gaps(calendar_day(5), True, [7], replace(ACTIVE, running_process="DISCARD"))
    assert refused(gaps) == ["PROCESS_CONFLICT"]


@pytest.mark.rule("CAL-029")
def test_one_schedule_applied_to_several_accounts_is_judged_for_each_on_its_own() -> None:
    wanted = {"frequency": "WEEKLY", "due_day_mode": "LAST_DAY_OF_PERIOD"}
    accounts = {
        "A": (calendar_day(5), ACTIVE),
        "B": (calendar_day(5), ScheduleFacts(bill_type=BillType.SELF_BILL)),
        "C": (calendar_day(5, seasonal_billing=True, seasonal_gaps=(7,)), DRAFT),
    }
    assert {name: refused(configure(current, wanted, facts)) for name, (current, facts) in accounts.items()} == {
        "A": [],
        "B": ["FREQUENCY_NOT_ALLOWED"],
        "C": ["SEASONAL_REQUIRES_MONTHLY"],
    }


@pytest.mark.rule("CAL-025", "CAL-E14")
def test_a_generation_date_after_the_due_date_is_refused_naming_the_first_such_period() -> None:
    wanted = {
        "generation_option": "DAY_OF_MONTH",
        "generation_day": 20,
        "generation_month_offset": 0,
        "due_days": [15],
    }
    for facts in (DRAFT, ACTIVE):
        change = configure(calendar_day(1), wanted, facts)
        assert refused(change) == ["GENERATION_AFTER_DUE"]
    assert change.problems[0].params == {
        "from": "2024-01-01",
        "to": "2024-01-31",
        "due_date": "2024-01-15",
        "generation_date": "2024-01-20",
    }
    assert accepted(configure(calendar_day(1), {**wanted, "generation_month_offset": 1}, ACTIVE))


@pytest.mark.rule("CAL-025")
def test_only_the_next_24_periods_without_invoice_are_compared() -> None:
    # Due on the 28th, generated on the 29th or, in the February of a common year, on the 28th.
    wanted = {"generation_option": "DAY_OF_MONTH", "generation_day": 29}
    grid = InvoicingGrid.starting(D("2025-02-01"), Frequency.MONTHLY)
    facts = replace(ACTIVE, grid=grid)
    assert configure(calendar_day(28), wanted, facts).problems[0].params["from"] == "2025-03-01"
    one = replace(facts, parameters=ScheduleParameters(validation_periods=1))
    assert accepted(configure(calendar_day(28), wanted, one)).generation_day == 29
    invoiced = frozenset(period.start for period in take(grid.periods_from(D("2025-02-01")), 3))
    later = configure(calendar_day(28), wanted, replace(facts, invoiced=invoiced))
    assert later.problems[0].params["from"] == "2025-05-01"
    annual = replace(facts, grid=InvoicingGrid.starting(D("2025-02-01"), Frequency.ANNUAL))
    yearly = configure(calendar_day(28, frequency=Frequency.ANNUAL), wanted, annual)
    assert yearly.problems[0].params["from"] == "2028-02-01"


@pytest.mark.rule("CAL-025", "CAL-024")
def test_a_lead_time_rule_may_put_generation_after_an_advance_due_date() -> None:
    facts = replace(ACTIVE, lead_time_days=10)
    wanted = {"timing": "ADVANCE", "due_date_offset": 1, "generation_units": None}
    change = configure(calendar_day(15), wanted, facts)
    assert refused(change) == ["GENERATION_AFTER_DUE"]
    assert accepted(configure(calendar_day(15), wanted, replace(facts, lead_time_days=60))).generation_units is None
    assert refused(configure(calendar_day(15), wanted, ACTIVE)) == ["GENERATION_RULE_MISSING"]


@pytest.mark.rule("CAL-025")
def test_without_an_invoicing_start_a_rule_that_hangs_on_it_waits() -> None:
    wanted = {"generation_option": "DAY_OF_MONTH", "generation_day": 20, "due_day_mode": "PERIOD_START_OFFSET"}
    assert configure(calendar_day(5), wanted, DRAFT).problems == ()
    assert refused(configure(calendar_day(5), wanted, ACTIVE)) == ["GENERATION_AFTER_DUE"]


@LAW
@given(
    st.sampled_from(Frequency),
    st.sampled_from(Frequency),
    st.sampled_from(DueDayMode),
    st.sampled_from([None, *BillType]),
)
def test_a_command_that_repeats_the_schedule_changes_nothing(
    frequency: Frequency, other: Frequency, mode: DueDayMode, bill_type: BillType | None
) -> None:
    current = schedules(frequency, mode)
    facts = ScheduleFacts(bill_type=bill_type)
    values = {name: getattr(current, name) for name in Schedule.__dataclass_fields__}
    same = configure(current, values, facts)
    assert (same.schedule, same.changed, same.reset, same.seasonal) == (current, (), (), None)
    moved = configure(current, {"frequency": other}, facts)
    assert moved.frequency_changed == (other is not frequency)
