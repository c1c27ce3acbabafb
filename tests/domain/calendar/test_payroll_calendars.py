"""The payroll calendars of an account through their life."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import pytest

from domain.accounts.bill_type import AllocationMode
from domain.calendar.frequency import Frequency
from domain.calendar.payroll import PayrollPattern, ShiftUnit
from domain.calendar.payroll_calendars import (
    PAYROLL_CALENDARS,
    DeductionStartShifted,
    PayrollCalendarDefined,
    PayrollCalendars,
    PayrollCalendarStatus,
    PayrollFacts,
    Shifted,
    change,
    confirm,
    define,
    extend_horizon,
    lock_for_season,
    setup_problems,
    shift_deduction_starts,
    unlock_after_season,
)
from domain.errors import Refusal
from tests.domain.calendar.builders import D, codes, dates, take

WEEKLY, BIWEEKLY, SEMI, MONTHLY = (
    Frequency.WEEKLY,
    Frequency.BIWEEKLY,
    Frequency.SEMI_MONTHLY,
    Frequency.MONTHLY,
)
FACTS = PayrollFacts("LB000000018", D("2024-12-31"))
NONE = PayrollCalendars()


def after(state: PayrollCalendars, *events: object) -> PayrollCalendars:
    return PAYROLL_CALENDARS.fold(events, state)


def confirmed(
    frequency: Frequency, start: str, *days: int, state: PayrollCalendars = NONE, facts: PayrollFacts = FACTS
) -> PayrollCalendars:
    state = after(state, *define(state, facts, frequency, D(start), days))
    return after(state, *confirm(state, facts, frequency))


def in_force(state: PayrollCalendars, frequency: Frequency) -> list[dt.date]:
    version = state.confirmed_version(frequency)
    assert version is not None
    return list(version.dates)


def refused(decision: Callable[[], object]) -> list[str]:
    with pytest.raises(Refusal) as refusal:
        decision()
    return codes(refusal.value.problems)


def rewritten(
    state: PayrollCalendars,
    old: str,
    new: str,
    facts: PayrollFacts = FACTS,
    mode: AllocationMode = AllocationMode.INDIVIDUAL,
) -> Shifted:
    """What a rewrite from one effective date to another does; the invoicing start follows the new one."""
    return shift_deduction_starts(
        state, facts, allocation_mode=mode, old_effective=D(old), new_effective=D(new), invoicing_start=D(new)
    )


@pytest.mark.rule("CAL-112")
def test_a_calendar_is_used_only_once_it_is_confirmed() -> None:
    state = after(NONE, *define(NONE, FACTS, MONTHLY, D("2024-01-10"), [10]))
    assert [item.status for item in state.active] == [PayrollCalendarStatus.DRAFT]
    assert state.confirmed_version(MONTHLY) is None
    assert codes(setup_problems(state, [MONTHLY], "/entries/0")) == ["PAYROLL_CALENDAR_INCOMPLETE"]
    state = after(state, *confirm(state, FACTS, MONTHLY))
    assert [item.status for item in state.active] == [PayrollCalendarStatus.CONFIRMED]
    assert take(in_force(state, MONTHLY), 2) == dates("2024-01-10", "02-10")
    assert setup_problems(state, [MONTHLY], "/entries/0") == []
    missing = setup_problems(state, [MONTHLY, WEEKLY, SEMI], "/entries/0")
    assert [problem.params["payroll_frequency"] for problem in missing] == ["WEEKLY", "SEMI_MONTHLY"]
    assert refused(lambda: confirm(state, FACTS, MONTHLY)) == ["STATE_INVALID"]
    assert refused(lambda: confirm(state, FACTS, WEEKLY)) == ["ENTITY_NOT_FOUND"]


@pytest.mark.rule("CAL-105")
def test_an_account_has_one_active_calendar_per_frequency() -> None:
    state = confirmed(MONTHLY, "2024-01-10", 10)
    assert refused(lambda: define(state, FACTS, MONTHLY, D("2024-02-01"), [1])) == ["PAYROLL_CALENDAR_DUPLICATE"]
    assert refused(lambda: define(state, FACTS, MONTHLY, None, [32])) == [
        "PAYROLL_CALENDAR_DUPLICATE",
        "PAYROLL_CALENDAR_INCOMPLETE",
        "PAYROLL_DAY_INVALID",
    ]
    both = confirmed(WEEKLY, "2024-01-05", 5, state=state)
    assert refused(lambda: change(both, FACTS, WEEKLY, MONTHLY, D("2024-01-01"), [1])) == ["PAYROLL_CALENDAR_DUPLICATE"]


@pytest.mark.rule("CAL-016")
def test_calendars_of_different_frequencies_never_read_each_other() -> None:
    monthly = confirmed(MONTHLY, "2024-01-10", 10)
    both = confirmed(WEEKLY, "2024-01-05", 5, state=monthly)
    assert in_force(both, MONTHLY) == in_force(monthly, MONTHLY)
    changed = after(both, *change(both, FACTS, WEEKLY, WEEKLY, D("2024-01-05"), [4]))
    changed = after(changed, *confirm(changed, FACTS, WEEKLY))
    assert in_force(changed, MONTHLY) == in_force(monthly, MONTHLY)
    assert take(in_force(changed, WEEKLY), 2) == dates("2024-01-11", "01-18")


@pytest.mark.rule("CAL-015")
def test_a_tied_account_takes_its_frequency_only() -> None:
    tied = replace(FACTS, tied_to=WEEKLY)
    assert refused(lambda: define(NONE, tied, MONTHLY, D("2024-01-10"), [10])) == ["PAYROLL_FREQUENCY_MISMATCH"]
    assert define(NONE, tied, WEEKLY, D("2024-01-10"), [5])


@pytest.mark.rule("CAL-106", "CAL-109")
def test_two_days_are_sorted() -> None:
    event = define(NONE, FACTS, SEMI, D("2024-01-01"), [20, 10])[0]
    assert event.payroll_days == (10, 20)
    assert take(event.dates, 3) == dates("2024-01-10", "01-20", "02-10")


@pytest.mark.rule("CAL-113", "CAL-E21")
def test_a_change_freezes_invoiced_dates_and_waits_for_its_confirmation() -> None:
    facts = replace(FACTS, invoiced_to=D("2024-03-31"))
    monthly = confirmed(MONTHLY, "2024-01-10", 10)
    state = after(monthly, *change(monthly, facts, MONTHLY, BIWEEKLY, D("2024-03-22"), [5]))
    assert in_force(state, MONTHLY) == in_force(monthly, MONTHLY)
    assert state.confirmed_version(BIWEEKLY) is None
    state = after(state, *confirm(state, facts, BIWEEKLY))
    assert state.confirmed_version(MONTHLY) is None
    assert take(in_force(state, BIWEEKLY), 6) == dates("2024-01-10", "02-10", "03-10", "04-05", "04-19", "05-03")
    assert [item.number for item in state.active] == [1]


@pytest.mark.rule("CAL-113")
def test_the_calendar_that_changes_need_not_be_named_where_it_can_only_be_one() -> None:
    monthly = confirmed(MONTHLY, "2024-01-10", 10)
    [only] = change(monthly, FACTS, None, BIWEEKLY, D("2024-03-22"), [5])
    assert (only.number, only.payroll_frequency) == (1, BIWEEKLY)
    both = after(monthly, *define(monthly, FACTS, WEEKLY, D("2024-01-05"), [5]))
    [weekly] = change(both, FACTS, None, WEEKLY, D("2024-01-08"), [1])
    assert weekly.number == 2
    with pytest.raises(Refusal) as refusal:
        change(both, FACTS, None, BIWEEKLY, D("2024-03-22"), [5])
    assert refusal.value.code == "ENTITY_NOT_FOUND"


@pytest.mark.rule("CAL-113")
def test_without_an_invoice_the_whole_sequence_is_new() -> None:
    monthly = confirmed(MONTHLY, "2024-01-10", 10)
    state = after(monthly, *change(monthly, FACTS, MONTHLY, MONTHLY, D("2024-02-20"), [20]))
    state = after(state, *confirm(state, FACTS, MONTHLY))
    assert take(in_force(state, MONTHLY), 2) == dates("2024-02-20", "03-20")


@pytest.mark.rule("CAL-113")
def test_an_invoice_issued_before_the_confirmation_still_freezes_its_dates() -> None:
    monthly = confirmed(MONTHLY, "2024-01-10", 10)
    state = after(monthly, *change(monthly, FACTS, MONTHLY, MONTHLY, D("2024-01-20"), [20]))
    state = after(state, *confirm(state, replace(FACTS, invoiced_to=D("2024-01-31")), MONTHLY))
    assert take(in_force(state, MONTHLY), 3) == dates("2024-01-10", "02-20", "03-20")


def test_a_draft_is_replaced_by_a_later_change_and_the_same_pattern_changes_nothing() -> None:
    state = after(NONE, *define(NONE, FACTS, MONTHLY, D("2024-01-10"), [10]))
    assert change(state, FACTS, MONTHLY, MONTHLY, D("2024-01-10"), [10]) == []
    state = after(state, *change(state, FACTS, MONTHLY, MONTHLY, D("2024-01-12"), [12]))
    state = after(state, *confirm(state, FACTS, MONTHLY))
    assert in_force(state, MONTHLY)[0] == D("2024-01-12")
    assert refused(lambda: change(state, FACTS, WEEKLY, WEEKLY, D("2024-01-10"), [5])) == ["ENTITY_NOT_FOUND"]


@pytest.mark.rule("CAL-111")
def test_the_horizon_rolls_forward_and_running_twice_adds_nothing() -> None:
    state = confirmed(MONTHLY, "2024-01-31", 31)
    assert extend_horizon(state, FACTS.account, D("2024-12-31")) == []
    events = extend_horizon(state, FACTS.account, D("2025-02-28"))
    assert [list(event.added) for event in events] == [dates("2025-01-31", "02-28")]
    state = after(state, *events)
    assert in_force(state, MONTHLY)[-3:] == dates("2024-12-31", "2025-01-31", "02-28")
    assert extend_horizon(state, FACTS.account, D("2025-02-28")) == []
    draft = after(NONE, *define(NONE, FACTS, MONTHLY, D("2024-01-10"), [10]))
    assert extend_horizon(draft, FACTS.account, D("2026-01-01")) == []


@pytest.mark.rule("CAL-111", "CAL-113")
def test_the_horizon_of_a_changed_calendar_grows_from_its_new_pattern_only() -> None:
    facts = replace(FACTS, invoiced_to=D("2024-03-31"))
    state = confirmed(MONTHLY, "2024-01-10", 10)
    state = after(state, *change(state, facts, MONTHLY, MONTHLY, D("2024-01-20"), [20]))
    state = after(state, *confirm(state, facts, MONTHLY))
    events = extend_horizon(state, FACTS.account, D("2025-02-28"))
    assert [list(event.added) for event in events] == [dates("2025-01-20", "02-20")]


@pytest.mark.rule("CAL-093", "CAL-E16")
def test_seasonal_billing_locks_one_monthly_calendar_and_puts_the_others_out_of_use() -> None:
    facts = replace(FACTS, horizon=D("2026-08-31"))
    state = confirmed(WEEKLY, "2026-02-20", 5, facts=facts)
    state = after(state, *lock_for_season(state, facts, D("2026-02-15")))
    assert [item.status for item in state.by_number.values()] == [
        PayrollCalendarStatus.INACTIVE,
        PayrollCalendarStatus.LOCKED,
    ]
    assert in_force(state, MONTHLY) == dates("2026-02-15", "03-15", "04-15", "05-15", "06-15", "07-15", "08-15")
    assert setup_problems(state, [MONTHLY], "/entries/0") == []
    assert lock_for_season(state, facts, D("2026-02-15")) == []
    assert refused(lambda: change(state, facts, MONTHLY, MONTHLY, D("2026-03-01"), [1])) == ["PAYROLL_CALENDAR_LOCKED"]
    assert refused(lambda: define(state, facts, WEEKLY, D("2026-03-01"), [1])) == ["PAYROLL_CALENDAR_LOCKED"]
    assert refused(lambda: confirm(state, facts, MONTHLY)) == ["PAYROLL_CALENDAR_LOCKED"]


@pytest.mark.rule("CAL-093", "CAL-113")
def test_locking_a_monthly_calendar_keeps_the_dates_that_are_invoiced() -> None:
    facts = replace(FACTS, invoiced_to=D("2024-01-31"))
    state = confirmed(MONTHLY, "2024-01-10", 10)
    state = after(state, *lock_for_season(state, facts, D("2024-01-15")))
    assert take(in_force(state, MONTHLY), 3) == dates("2024-01-10", "02-15", "03-15")
    version = state.confirmed_version(MONTHLY)
    assert version is not None
    assert version.invoiced_to == D("2024-01-31")
    fresh = after(NONE, *lock_for_season(NONE, facts, D("2024-01-15")))
    assert take(in_force(fresh, MONTHLY), 2) == dates("2024-01-15", "02-15")


@pytest.mark.rule("CAL-093")
def test_switching_seasonal_billing_off_makes_the_calendar_editable_and_leaves_it_confirmed() -> None:
    state = confirmed(MONTHLY, "2024-01-10", 10)
    state = after(state, *lock_for_season(state, FACTS, D("2024-02-15")))
    assert [item.status for item in state.active] == [PayrollCalendarStatus.LOCKED]
    assert in_force(state, MONTHLY)[0] == D("2024-02-15")
    state = after(state, *unlock_after_season(state, FACTS.account))
    assert [item.status for item in state.active] == [PayrollCalendarStatus.CONFIRMED]
    assert in_force(state, MONTHLY)[0] == D("2024-02-15")
    assert change(state, FACTS, MONTHLY, MONTHLY, D("2024-03-01"), [1])
    assert unlock_after_season(state, FACTS.account) == []
    again = after(state, *define(state, FACTS, WEEKLY, D("2024-03-01"), [5]))
    assert len(again.active) == 2


@pytest.mark.rule("CAL-115", "CAL-116", "CAL-117", "CAL-119", "CAL-E20")
def test_a_rewrite_shifts_every_active_calendar_and_says_by_how_much() -> None:
    state = confirmed(MONTHLY, "2024-01-31", 31)
    state = confirmed(WEEKLY, "2024-01-05", 5, state=state)
    result = rewritten(state, "2024-01-01", "2024-02-01")
    monthly, weekly = result.events
    assert isinstance(monthly, DeductionStartShifted)
    assert isinstance(weekly, DeductionStartShifted)
    assert (monthly.old_start, monthly.new_start) == (D("2024-01-31"), D("2024-02-29"))
    assert (monthly.unit, monthly.amount) == (ShiftUnit.MONTHS, 1)
    assert take(monthly.dates, 3) == dates("2024-02-29", "03-31", "04-30")
    assert (weekly.new_start, weekly.dates[0]) == (D("2024-02-05"), D("2024-02-09"))
    assert result.warnings == ()
    state = after(state, *result.events)
    version = state.confirmed_version(MONTHLY)
    assert version is not None
    assert version.pattern == PayrollPattern(MONTHLY, D("2024-02-29"), (31,))
    assert [item.status for item in state.active] == [PayrollCalendarStatus.CONFIRMED] * 2


@pytest.mark.rule("CAL-116", "CAL-117", "CAL-E20")
@pytest.mark.parametrize(
    ("old", "new", "frequency", "day", "start", "new_start", "expected"),
    [
        ("2024-01-01", "2024-02-15", WEEKLY, 5, "2024-01-05", "2024-02-19", ["2024-02-23", "03-01", "03-08"]),
        ("2024-03-01", "2024-02-10", MONTHLY, 15, "2024-03-15", "2024-02-24", ["2024-03-15", "04-15"]),
    ],
)
def test_a_rewrite_to_another_day_of_the_month_shifts_by_days(
    old: str, new: str, frequency: Frequency, day: int, start: str, new_start: str, expected: list[str]
) -> None:
    state = confirmed(frequency, start, day)
    result = rewritten(state, old, new)
    assert [event.new_start for event in result.events if isinstance(event, DeductionStartShifted)] == [D(new_start)]
    assert take(in_force(after(state, *result.events), frequency), len(expected)) == dates(*expected)


@pytest.mark.rule("CAL-117", "CAL-113")
def test_dates_of_invoices_that_stand_are_kept_and_those_before_the_new_start_are_dropped() -> None:
    state = confirmed(MONTHLY, "2024-01-10", 10)
    facts = replace(FACTS, invoiced_to=D("2024-03-31"))
    result = rewritten(state, "2024-01-01", "2024-02-05", facts)
    state = after(state, *result.events)
    assert take(in_force(state, MONTHLY), 3) == dates("2024-02-10", "03-10", "04-10")
    version = state.confirmed_version(MONTHLY)
    assert version is not None
    assert version.invoiced_to == D("2024-03-31")


@pytest.mark.rule("CAL-117")
def test_a_shifted_start_before_the_policy_is_accepted_with_a_warning() -> None:
    state = confirmed(MONTHLY, "2024-01-10", 10)
    result = rewritten(state, "2024-01-20", "2024-02-20")
    assert codes(result.warnings) == ["DEDUCTION_START_BEFORE_POLICY"]
    assert len(result.events) == 1
    on_the_day = rewritten(confirmed(MONTHLY, "2024-01-20", 20), "2024-01-20", "2024-02-20")
    assert on_the_day.warnings == ()


@pytest.mark.rule("CAL-115")
def test_nothing_is_shifted_without_a_change_or_on_a_true_group_account() -> None:
    state = confirmed(MONTHLY, "2024-01-10", 10)
    for old, new, mode in (
        ("2024-01-01", "2024-01-01", AllocationMode.INDIVIDUAL),
        ("2024-01-01", "2024-02-01", AllocationMode.TRUE_GROUP),
    ):
        assert rewritten(state, old, new, mode=mode).events == ()


@pytest.mark.rule("CAL-118")
def test_a_locked_calendar_is_built_again_from_the_new_effective_date() -> None:
    state = after(NONE, *lock_for_season(NONE, FACTS, D("2024-01-15")))
    result = rewritten(state, "2024-01-15", "2024-02-20")
    assert [type(event) for event in result.events] == [PayrollCalendarDefined]
    state = after(state, *result.events)
    assert [item.status for item in state.active] == [PayrollCalendarStatus.LOCKED]
    assert take(in_force(state, MONTHLY), 2) == dates("2024-02-20", "03-20")


def test_a_draft_beside_a_confirmed_version_is_shifted_too() -> None:
    state = confirmed(MONTHLY, "2024-01-10", 10)
    state = after(state, *change(state, FACTS, MONTHLY, MONTHLY, D("2024-01-20"), [20]))
    result = rewritten(state, "2024-01-01", "2024-02-01")
    state = after(state, *result.events)
    assert in_force(state, MONTHLY)[0] == D("2024-02-10")
    state = after(state, *confirm(state, FACTS, MONTHLY))
    assert in_force(state, MONTHLY)[0] == D("2024-02-20")


def test_a_start_beyond_the_horizon_still_shows_its_first_date() -> None:
    event = define(NONE, FACTS, MONTHLY, D("2027-01-10"), [10])[0]
    assert list(event.dates) == dates("2027-01-10")
