"""The days of a member on an account: rates, days that cost nothing, gaps and absences."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest

from domain.balances.member_days import absences, first_day, gaps_from, member_segments
from domain.balances.paid_to_date import Absence, CapReason, DayKind, Gap, RateSegment
from domain.calendar.frequency import Frequency
from domain.calendar.periods import InvoicingGrid
from domain.premium.timeline import OPEN_END
from tests.domain.premium.builders import account, amount, day, direct, member

MONTHLY = InvoicingGrid.starting(day("2025-01-01"), Frequency.MONTHLY)
SUMMER = frozenset({7, 8})


def charged(start: str, end: str | None, daily: Fraction) -> RateSegment:
    return RateSegment(day(start), day(end) if end else OPEN_END, DayKind.CHARGED, daily)


def free(start: str, end: str | None) -> RateSegment:
    return RateSegment(day(start), day(end) if end else OPEN_END, DayKind.FREE)


# --- Rates -----------------------------------------------------------------------------------------------------------


@pytest.mark.rule("BAL-083", "BAL-084")
def test_a_day_costs_the_annual_premium_of_its_amendment_by_365_also_in_a_leap_year() -> None:
    history = member("1200.00").amend("2028-02-16", amount("2400.00"))
    assert member_segments(history.timeline(), account(), None) == [
        charged("2025-01-01", "2028-02-16", Fraction(120000, 365)),
        charged("2028-02-16", None, Fraction(240000, 365)),
    ]


@pytest.mark.rule("BAL-083")
def test_days_of_a_stop_and_waived_days_cost_nothing() -> None:
    stopped = member().stop("2025-03-01").resume("2025-05-01")
    assert [one.kind for one in member_segments(stopped.timeline(), account(), None)] == [
        DayKind.CHARGED, DayKind.FREE, DayKind.CHARGED,
    ]  # fmt: skip
    waived = member().waive("2025-03-01", "2025-05-01")
    assert member_segments(waived.timeline(), account(), None) == [
        charged("2025-01-01", "2025-03-01", Fraction(120000, 365)),
        free("2025-03-01", "2025-05-01"),
        charged("2025-05-01", None, Fraction(120000, 365)),
    ]


@pytest.mark.rule("BAL-083")
def test_days_on_another_account_and_cancelled_days_are_left_out() -> None:
    history = member().port("2025-04-01", "D").cancel("2025-06-01")
    rate = Fraction(120000, 365)
    assert member_segments(history.timeline(), account(), None) == [charged("2025-01-01", "2025-04-01", rate)]
    there = member_segments(history.timeline(), direct("D", "2025-04-01"), None)
    assert there == [charged("2025-04-01", "2025-06-01", rate)]
    assert member_segments(history.timeline(), direct("E", "2025-04-01"), None) == []


@pytest.mark.rule("BAL-084", "BAL-085")
def test_on_a_seasonal_account_a_day_costs_its_modal_premium_and_gap_months_are_free() -> None:
    terms = account(seasonal_gaps=SUMMER)
    timeline = member("1200.00").cancel("2025-10-01").timeline()
    found = member_segments(timeline, terms, day("2025-07-01"))
    assert [one.kind for one in found] == [DayKind.CHARGED] * 6 + [DayKind.FREE, DayKind.CHARGED]
    assert found[0] == charged("2025-01-01", "2025-02-01", Fraction(12000, 31))  # ten periods a year
    assert found[1] == charged("2025-02-01", "2025-03-01", Fraction(12000, 28))
    assert found[6] == free("2025-07-01", "2025-09-01")
    assert found[7] == charged("2025-09-01", "2025-10-01", Fraction(12000, 30))


@pytest.mark.rule("BAL-083", "BAL-085")
def test_the_days_of_a_seasonal_account_follow_each_other_and_waived_periods_are_free() -> None:
    terms = account(seasonal_gaps=SUMMER)
    timeline = member().waive("2025-03-01", "2025-04-01").timeline()
    found = member_segments(timeline, terms, day("2025-06-01"))
    assert found[2] == free("2025-03-01", "2025-04-01")
    assert all(before.end == after.start for before, after in pairwise(found))
    assert member_segments(timeline, account("E", seasonal_gaps=SUMMER), None) == []


# --- Gaps ------------------------------------------------------------------------------------------------------------


@pytest.mark.rule("BAL-085")
def test_a_gap_counts_where_billing_stands_at_its_beginning_or_inside_it() -> None:
    assert gaps_from(day("2025-07-01"), MONTHLY, SUMMER) == (Gap(day("2025-07-01"), day("2025-09-01")),)
    assert gaps_from(day("2025-08-01"), MONTHLY, SUMMER) == (Gap(day("2025-08-01"), day("2025-09-01")),)
    assert gaps_from(day("2025-12-01"), MONTHLY, (12, 1)) == (Gap(day("2025-12-01"), day("2026-02-01")),)


@pytest.mark.rule("BAL-085")
def test_there_is_no_gap_elsewhere() -> None:
    assert gaps_from(day("2025-06-01"), MONTHLY, SUMMER) == ()
    assert gaps_from(day("2025-07-01"), MONTHLY, ()) == ()
    assert gaps_from(None, MONTHLY, SUMMER) == ()
    assert gaps_from(day("2025-07-01"), None, SUMMER) == ()


# --- Absences --------------------------------------------------------------------------------------------------------


@pytest.mark.rule("BAL-083")
def test_a_member_who_stays_has_no_absence() -> None:
    timeline = member().timeline()
    assert absences(timeline, "G") == ()
    assert first_day(timeline, "G") == day("2025-01-01")
    assert absences(timeline, "D") == ()  # never there, so never away from there
    assert first_day(timeline, "D") is None


@pytest.mark.rule("BAL-083")
def test_a_cancellation_lasts_and_one_that_a_reinstatement_ended_is_a_lapse() -> None:
    cancelled = member().cancel("2025-06-01")
    assert absences(cancelled.timeline(), "G") == (Absence(day("2025-06-01"), None, CapReason.CANCELLATION),)
    back = cancelled.reinstate("2025-08-01", amount("1200.00"))
    assert absences(back.timeline(), "G") == (Absence(day("2025-06-01"), day("2025-08-01"), CapReason.LAPSE),)


@pytest.mark.rule("BAL-083")
def test_a_move_away_is_an_absence_from_the_old_account_only() -> None:
    timeline = member().port("2025-04-01", "D").timeline()
    assert absences(timeline, "G") == (Absence(day("2025-04-01"), None, CapReason.MOVE),)
    assert absences(timeline, "D") == ()
    assert first_day(timeline, "D") == day("2025-04-01")


def test_an_absence_of_two_causes_is_one_with_the_reason_it_began_with() -> None:
    timeline = member().port("2025-04-01", "D").cancel("2025-06-01").timeline()
    assert absences(timeline, "G") == (Absence(day("2025-04-01"), None, CapReason.MOVE),)


def test_a_cancellation_up_to_the_end_of_the_term_lasts() -> None:
    history = member()
    history.expiration = day("2026-01-01")
    timeline = history.cancel("2025-06-01").timeline()
    assert absences(timeline, "G") == (Absence(day("2025-06-01"), None, CapReason.CANCELLATION),)
