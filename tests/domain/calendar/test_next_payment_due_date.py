"""The next payment due date, derived after each thing that happens."""

from __future__ import annotations

import datetime as dt

import pytest

from domain.accounts.bill_type import BillType
from domain.calendar.invoicing_periods import PeriodHistory, next_period_to_bill
from domain.calendar.next_payment_due_date import OpenInvoice, next_payment_due_date
from tests.domain.calendar.builders import D, calendar_day, dates, terms_of

TERMS = terms_of(calendar_day(15), "2024-01-01")
JANUARY, FEBRUARY, MARCH = dates("2024-01-01", "02-01", "03-01")


def derived(dues: dict[dt.date, int]) -> dt.date | None:
    """The date for invoices by period with their collectible due; each is due on the 15th."""
    target = next_period_to_bill(TERMS.grid, TERMS.earliest, PeriodHistory(invoiced=frozenset(dues)))
    invoices = [OpenInvoice(start.replace(day=15), due) for start, due in dues.items()]
    return next_payment_due_date(invoices, TERMS, target)


@pytest.mark.rule("CAL-081", "CAL-082", "CAL-E17")
def test_the_date_follows_invoices_payments_reversals_and_discards() -> None:
    assert derived({}) == D("2024-01-15")
    assert derived({JANUARY: 0, FEBRUARY: 5000, MARCH: 0}) == D("2024-02-15")
    assert derived({JANUARY: 0, FEBRUARY: 0, MARCH: 0}) == D("2024-04-15")
    assert derived({JANUARY: 5000, FEBRUARY: 0, MARCH: 0}) == D("2024-01-15")
    assert derived({FEBRUARY: 0, MARCH: 0}) == D("2024-01-15")


@pytest.mark.rule("CAL-081")
def test_an_invoice_without_anything_collectible_does_not_count() -> None:
    assert derived({JANUARY: -100, FEBRUARY: 1}) == D("2024-02-15")


@pytest.mark.rule("CAL-081")
def test_before_the_first_product_there_is_no_date() -> None:
    assert next_payment_due_date([], None, None) is None


@pytest.mark.rule("CAL-081")
def test_a_self_bill_account_takes_the_date_of_its_payment_request() -> None:
    terms = terms_of(calendar_day(15), "2024-01-01", bill_type=BillType.SELF_BILL)
    target = terms.grid.period_at(D("2024-01-01"))
    assert next_payment_due_date([], terms, target, requested_due=D("2024-01-22")) == D("2024-01-22")
    assert next_payment_due_date([], terms, target) == D("2024-01-15")
    unpaid = [OpenInvoice(D("2023-12-15"), 1)]
    assert next_payment_due_date(unpaid, terms, target, requested_due=D("2024-01-22")) == D("2023-12-15")


@pytest.mark.rule("CAL-082")
def test_a_schedule_or_start_change_derives_another_date() -> None:
    changed = terms_of(calendar_day(20), "2024-01-01")
    moved = terms_of(calendar_day(15), "2024-02-20")
    assert next_payment_due_date([], changed, changed.grid.period_at(JANUARY)) == D("2024-01-20")
    assert next_payment_due_date([], moved, moved.grid.period_at(D("2024-02-20"))) == D("2024-03-15")
