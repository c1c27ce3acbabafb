"""Generation dates, windows, drafts, due periods, retries."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts.bill_type import BillType
from domain.calendar.due_dates import computed_due_date, final_due_date
from domain.calendar.frequency import Frequency
from domain.calendar.generation import (
    Product,
    dates_of,
    draft_date,
    due_for_draft,
    due_for_generation,
    generation_date,
    is_late,
    next_attempt,
    period_dates,
    triggered,
    window_end,
)
from domain.calendar.invoicing_periods import PeriodHistory, next_period_to_bill
from domain.calendar.invoicing_terms import InvoicingTerms
from domain.calendar.periods import InvoicingGrid
from domain.calendar.schedule import GenerationOption, Schedule, TimeUnit
from domain.errors import Refusal
from tests.domain.calendar.builders import LAW, D, calendar_day, dates, period_start, take, terms_of

DAY_OF_MONTH = GenerationOption.DAY_OF_MONTH
WEEKS, MONTHS = TimeUnit.WEEKS, TimeUnit.MONTHS


def generated(schedule: Schedule, start: str, day: str | None = None, lead_time_days: int | None = None) -> dt.date:
    terms = terms_of(schedule, start, lead_time_days=lead_time_days)
    return generation_date(terms, terms.grid.period_at(D(day or start)))


@pytest.mark.rule("CAL-073", "CAL-E14")
def test_a_day_of_the_month_is_limited_to_the_month_some_months_before_the_due_date() -> None:
    schedule = calendar_day(15, generation_option=DAY_OF_MONTH, generation_day=31, generation_month_offset=1)
    assert generated(schedule, "2024-03-01") == D("2024-02-29")
    same_month = calendar_day(20, generation_option=DAY_OF_MONTH, generation_day=5)
    assert generated(same_month, "2024-03-01") == D("2024-03-05")


@pytest.mark.rule("CAL-074", "CAL-E14")
def test_units_in_advance_are_days_weeks_or_plain_months() -> None:
    assert generated(calendar_day(31, generation_units=1, generation_unit=MONTHS), "2023-03-01") == D("2023-02-28")
    assert generated(calendar_day(5, generation_units=15), "2024-08-01") == D("2024-07-21")
    assert generated(calendar_day(5, generation_units=2, generation_unit=WEEKS), "2024-08-01") == D("2024-07-22")


@pytest.mark.rule("CAL-074", "CAL-024")
def test_without_units_the_lead_time_rule_counts_from_the_period_start() -> None:
    schedule = calendar_day(20, generation_units=None)
    assert generated(schedule, "2024-08-01", lead_time_days=10) == D("2024-07-22")
    with pytest.raises(Refusal) as refusal:
        generated(schedule, "2024-08-01")
    assert refusal.value.code == "GENERATION_RULE_MISSING"


@pytest.mark.rule("CAL-075", "CAL-076", "CAL-064", "CAL-E14")
def test_a_run_after_the_window_is_late_and_corrects_the_due_date_but_not_the_generation_date() -> None:
    schedule = calendar_day(5, generation_units=15, generation_window=2, generation_window_unit=WEEKS)
    terms = terms_of(schedule, "2024-08-01")
    period = terms.grid.period_at(D("2024-08-01"))
    found = dates_of(terms, period)
    assert (found.generation_date, found.window_end) == (D("2024-07-21"), D("2024-08-04"))
    assert not is_late(schedule, found.generation_date, D("2024-08-04"))
    assert is_late(schedule, found.generation_date, D("2024-08-12"))
    assert final_due_date(terms, period, system_date=D("2024-08-12")).final == D("2024-09-05")
    assert generation_date(terms, period) == D("2024-07-21")


@pytest.mark.rule("CAL-076")
@pytest.mark.parametrize(
    ("window", "unit", "expected"),
    [(0, TimeUnit.DAYS, "2024-01-31"), (3, TimeUnit.DAYS, "2024-02-03"), (1, MONTHS, "2024-02-29")],
)
def test_a_window_ends_so_many_units_after_the_generation_date(window: int, unit: TimeUnit, expected: str) -> None:
    schedule = calendar_day(31, generation_window=window, generation_window_unit=unit)
    assert window_end(schedule, D("2024-01-31")) == D(expected)


@pytest.mark.rule("CAL-077")
def test_the_draft_date_lies_before_the_generation_date_when_drafts_are_automatic() -> None:
    assert draft_date(calendar_day(5, draft_automation=True, draft_offset_days=7), D("2024-03-03")) == D("2024-02-25")
    assert draft_date(calendar_day(5, draft_automation=False), D("2024-03-03")) is None


@pytest.mark.rule("CAL-078")
def test_missed_days_are_caught_up_period_after_period() -> None:
    terms = terms_of(calendar_day(5, generation_units=15), "2024-01-01")
    first = terms.grid.period_at(D("2024-01-01"))
    found = [item.period.start for item in due_for_generation(terms, first, frozenset(), D("2024-03-21"))]
    assert found == dates("2024-01-01", "02-01", "03-01", "04-01")
    assert list(due_for_generation(terms, first, frozenset(), D("2023-12-20"))) == []
    assert [item.period.start for item in due_for_generation(terms, first, frozenset(), D("2023-12-21"))] == [
        D("2024-01-01")
    ]


@pytest.mark.rule("CAL-078", "CAL-087", "CAL-E15")
def test_a_run_passes_over_gaps_and_periods_already_billed() -> None:
    schedule = calendar_day(5, generation_units=15, seasonal_billing=True, seasonal_gaps=(6, 7, 8))
    terms = terms_of(schedule, "2024-01-01")
    invoiced = frozenset(dates("2024-01-01", "02-01", "03-01", "04-01", "05-01"))
    history = PeriodHistory(invoiced=invoiced)
    target = next_period_to_bill(terms.grid, terms.earliest, history, schedule.seasonal_gaps)
    assert target.start == D("2024-09-01")
    assert list(due_for_generation(terms, target, invoiced, D("2024-07-31"))) == []
    caught_up = due_for_generation(terms, terms.grid.period_at(D("2024-05-01")), invoiced, D("2024-09-20"))
    assert [item.period.start for item in caught_up] == dates("2024-09-01", "10-01")


@pytest.mark.rule("CAL-077")
def test_drafts_are_due_from_their_draft_date_and_never_on_self_bill() -> None:
    schedule = calendar_day(5, generation_units=15, draft_automation=True, draft_offset_days=5)
    list_bill = terms_of(schedule, "2024-01-01")
    self_bill = terms_of(schedule, "2024-01-01", bill_type=BillType.SELF_BILL)
    first = list_bill.grid.period_at(D("2024-01-01"))
    assert [item.draft_date for item in take(period_dates(list_bill, first), 1)] == [D("2023-12-16")]
    drafts = [item.period.start for item in due_for_draft(list_bill, first, frozenset(), D("2024-01-16"))]
    assert drafts == dates("2024-01-01", "02-01")
    assert list(due_for_draft(list_bill, first, frozenset(), D("2023-12-15"))) == []
    assert list(due_for_draft(self_bill, first, frozenset(), D("2024-01-16"))) == []
    manual = terms_of(calendar_day(5), "2024-01-01")
    assert list(due_for_draft(manual, first, frozenset(), D("2024-01-16"))) == []


@pytest.mark.rule("CAL-080")
@pytest.mark.parametrize(
    ("bill_type", "day", "expected"),
    [
        (BillType.LIST_BILL, "2023-12-15", ()),
        (BillType.LIST_BILL, "2023-12-16", (Product.DRAFT,)),
        (BillType.LIST_BILL, "2023-12-21", (Product.DRAFT, Product.INVOICE)),
        (BillType.SELF_BILL, "2023-12-16", ()),
        (BillType.SELF_BILL, "2023-12-21", (Product.PAYMENT_REQUEST,)),
    ],
)
def test_reached_dates_trigger_draft_invoice_or_payment_request(
    bill_type: BillType, day: str, expected: tuple[Product, ...]
) -> None:
    schedule = calendar_day(5, generation_units=15, draft_automation=True, draft_offset_days=5)
    terms = terms_of(schedule, "2024-01-01", bill_type=bill_type)
    found = dates_of(terms, terms.grid.period_at(D("2024-01-01")))
    assert triggered(terms, found, D(day)) == expected


def test_a_failed_generation_is_retried_so_many_times_and_then_waits_for_a_user() -> None:
    schedule = calendar_day(5, generation_retry_count=3, generation_retry_interval=60)
    failed_at = dt.datetime(2024, 7, 1, 2, 0, tzinfo=dt.UTC)
    again = failed_at + dt.timedelta(hours=1)
    assert [next_attempt(schedule, failed_at, failures) for failures in (1, 2, 3, 4)] == [again, again, again, None]
    assert next_attempt(calendar_day(5, generation_retry_count=0), failed_at, 1) is None


@pytest.mark.rule("CAL-068")
def test_previews_show_computed_dates_of_each_period() -> None:
    terms = terms_of(calendar_day(10, generation_units=1, generation_unit=WEEKS), "2024-01-01")
    found = take(period_dates(terms, terms.grid.period_at(D("2024-01-01"))), 3)
    assert [(item.computed_due_date, item.generation_date) for item in found] == [
        (D("2024-01-10"), D("2024-01-03")),
        (D("2024-02-10"), D("2024-02-03")),
        (D("2024-03-10"), D("2024-03-03")),
    ]


@pytest.mark.rule("CAL-075", "CAL-078")
@LAW
@given(
    st.dates(dt.date(2015, 1, 1), dt.date(2035, 12, 31)),
    st.sampled_from(Frequency),
    st.integers(0, 20),
    st.integers(-10, 400),
)
def test_a_run_takes_exactly_the_periods_whose_generation_date_is_reached(
    start: dt.date, frequency: Frequency, units: int, days: int
) -> None:
    schedule = period_start(3, frequency, generation_units=units)
    grid = InvoicingGrid.starting(start, frequency)
    terms = InvoicingTerms(schedule, grid, BillType.LIST_BILL, start)
    processing_date = start + dt.timedelta(days=days)
    first = grid.period_at(start)
    taken = [item.period for item in due_for_generation(terms, first, frozenset(), processing_date)]
    candidates = take(grid.periods_from(start), len(taken) + 3)
    reached = [
        period
        for period in candidates
        if computed_due_date(terms, period) - dt.timedelta(days=units) <= processing_date
    ]
    assert taken == reached
