"""When an invoice is generated: generation date, window, draft date, which periods a run takes, and retries.

Everything here starts from the computed due date, never from a corrected one (CAL-075), and no business calendar moves
it (CAL-012): calendars move the processing date of the run instead. Payment requests of self-bill accounts use the same
functions (CAL-069). CAL-073 to CAL-080.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Container, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from domain.accounts.bill_type import BillType
from domain.calendar.due_dates import computed_due_date, computed_due_dates
from domain.calendar.invoicing_terms import InvoicingTerms
from domain.calendar.months import add_months, day_of_month, month_number
from domain.calendar.periods import Period
from domain.calendar.schedule import GenerationOption, Schedule, TimeUnit
from domain.calendar.seasonal import is_gap
from domain.errors import Problem, Refusal


@dataclass(frozen=True, slots=True)
class PeriodDates:
    """The dates of a period as previews show them (CAL-068); `window_end` is the window's last day, inclusive."""

    period: Period
    computed_due_date: dt.date
    generation_date: dt.date
    window_end: dt.date
    draft_date: dt.date | None


def moved(day: dt.date, count: int, unit: TimeUnit) -> dt.date:
    """The day `count` units later (negative: earlier); months by plain month arithmetic (CAL-074, CAL-076)."""
    if unit is TimeUnit.MONTHS:
        return add_months(day, count)
    return day + dt.timedelta(days=count * (7 if unit is TimeUnit.WEEKS else 1))


def generation_date(terms: InvoicingTerms, period: Period, computed_due: dt.date | None = None) -> dt.date:
    """The day from which the invoice of a period is generated (CAL-073 to CAL-075).

    `computed_due` spares the computation of the due date where it is known. Refuses GENERATION_RULE_MISSING when the
    schedule leaves the lead time to a calendar that has no rule.
    """
    schedule = terms.schedule
    if schedule.generation_option is GenerationOption.UNITS_IN_ADVANCE and schedule.generation_units is None:
        if terms.lead_time_days is None:
            raise Refusal(rule_missing())
        return period.start - dt.timedelta(days=terms.lead_time_days)
    due = computed_due_date(terms, period) if computed_due is None else computed_due
    if schedule.generation_option is GenerationOption.DAY_OF_MONTH and schedule.generation_day is not None:
        return day_of_month(month_number(due) - schedule.generation_month_offset, schedule.generation_day)
    if schedule.generation_option is GenerationOption.UNITS_IN_ADVANCE and schedule.generation_units is not None:
        return moved(due, -schedule.generation_units, schedule.generation_unit)
    raise ValueError("an incomplete schedule has no dates")


def rule_missing() -> Problem:
    """No lead time: neither in the schedule nor by a rule of the calendar (CAL-024)."""
    return Problem("GENERATION_RULE_MISSING", "The account's calendar has no lead-time rule", "/generation_units")


def window_end(schedule: Schedule, generated_from: dt.date) -> dt.date:
    """The last day, inclusive, of the generation window that begins on the generation date (CAL-076)."""
    return moved(generated_from, schedule.generation_window, schedule.generation_window_unit)


def is_late(schedule: Schedule, generated_from: dt.date, run_date: dt.date) -> bool:
    """Whether an invoice generated on the run date is marked late: after the window's last day (CAL-076).

    Decision: the day on which the run takes place counts, not the processing date it works up to.
    """
    return run_date > window_end(schedule, generated_from)


def draft_date(schedule: Schedule, generated_from: dt.date) -> dt.date | None:
    """The day from which the draft bill of a period is made; None without draft automation (CAL-077)."""
    return generated_from - dt.timedelta(days=schedule.draft_offset_days) if schedule.draft_automation else None


def dates_of(terms: InvoicingTerms, period: Period, computed_due: dt.date | None = None) -> PeriodDates:
    """All dates of a period together."""
    due = computed_due_date(terms, period) if computed_due is None else computed_due
    generated_from = generation_date(terms, period, due)
    schedule = terms.schedule
    return PeriodDates(
        period, due, generated_from, window_end(schedule, generated_from), draft_date(schedule, generated_from)
    )


def period_dates(terms: InvoicingTerms, first: Period) -> Iterator[PeriodDates]:
    """The dates of the periods from `first` on, without end: the schedule preview."""
    return (dates_of(terms, period, due) for period, due in computed_due_dates(terms, first))


def first_generated_after_due(terms: InvoicingTerms, invoiced: Container[dt.date], count: int) -> PeriodDates | None:
    """The first of the next `count` periods without invoice whose generation date is after its due date (CAL-025).

    `invoiced` holds the starts of the periods with a non-discarded invoice. Gap periods get none and do not count.
    """
    gaps = terms.schedule.seasonal_gaps
    earliest = terms.grid.period_at(terms.earliest)
    to_bill = (
        (period, due)
        for period, due in computed_due_dates(terms, earliest)
        if period.start not in invoiced and not is_gap(period, gaps)
    )
    for period, due in islice(to_bill, count):
        dates = dates_of(terms, period, due)
        if dates.generation_date > dates.computed_due_date:
            return dates
    return None


def due_for_generation(
    terms: InvoicingTerms, next_to_bill: Period, settled: Container[dt.date], processing_date: dt.date
) -> Iterator[PeriodDates]:
    """The periods a run takes, one after another: from the next period to bill while they are due (CAL-078).

    `settled` holds the starts of periods that are not to be billed again: with a non-discarded invoice or payment
    request, or passed over as SKIPPED_ZERO. Gap periods are stepped over (CAL-087).
    """
    gaps = terms.schedule.seasonal_gaps
    for dates in period_dates(terms, next_to_bill):
        if dates.period.start in settled or is_gap(dates.period, gaps):
            continue
        if dates.generation_date > processing_date:
            return
        yield dates


def due_for_draft(
    terms: InvoicingTerms, next_to_bill: Period, settled: Container[dt.date], processing_date: dt.date
) -> Iterator[PeriodDates]:
    """The periods whose draft date is reached, from the next period to bill on; none for SELF_BILL (draft feed)."""
    if not terms.schedule.draft_automation or terms.bill_type is BillType.SELF_BILL:
        return
    gaps = terms.schedule.seasonal_gaps
    for dates in period_dates(terms, next_to_bill):
        if dates.period.start in settled or is_gap(dates.period, gaps):
            continue
        if dates.draft_date is None or dates.draft_date > processing_date:
            return
        yield dates


class Product(StrEnum):
    """What a reached date triggers, without a manual step (CAL-080)."""

    DRAFT = "DRAFT"
    INVOICE = "INVOICE"
    PAYMENT_REQUEST = "PAYMENT_REQUEST"


def triggered(terms: InvoicingTerms, dates: PeriodDates, processing_date: dt.date) -> tuple[Product, ...]:
    """What a processing date triggers for a period: its draft bill, then its invoice or payment request (CAL-080)."""
    self_bill = terms.bill_type is BillType.SELF_BILL
    products = []
    if dates.draft_date is not None and dates.draft_date <= processing_date and not self_bill:
        products.append(Product.DRAFT)
    if dates.generation_date <= processing_date:
        products.append(Product.PAYMENT_REQUEST if self_bill else Product.INVOICE)
    return tuple(products)


def next_attempt(schedule: Schedule, failed_at: dt.datetime, failures: int) -> dt.datetime | None:
    """When a failed generation is tried again; None after the last failure, when only a user can start it (CAL-079).

    `failures` counts this one and the ones before it; `generation_retry_count` retries follow the first attempt.
    """
    if failures > schedule.generation_retry_count:
        return None
    return failed_at + dt.timedelta(minutes=schedule.generation_retry_interval)
