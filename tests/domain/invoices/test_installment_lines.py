"""The lines, period and due date of invoices of installments."""

from __future__ import annotations

import datetime as dt

import pytest

from domain.calendar.business_calendar import BusinessCalendar, BusinessDayRule
from domain.calendar.due_dates import Correction
from domain.calendar.installment_schedules import Installment, NumberedComponent
from domain.calendar.installments import ComponentType, ItemPart
from domain.calendar.periods import Period
from domain.invoices.billing import billed_amounts
from domain.invoices.installment_lines import (
    installment_columns,
    installment_due_date,
    installment_period,
    installments_period,
)
from domain.invoices.lines import InstallmentItem, LineKind
from domain.ledger.chart import AmountType
from domain.ledger.postings import amount_type_of

D = dt.date.fromisoformat


def installment(number: int, day: str, to: str | None, *parts: tuple[str, int]) -> Installment:
    type_ = ComponentType.DEPOSIT if to is None else ComponentType.INSTALLMENT
    amount = sum(amount for _, amount in parts)
    items = tuple(ItemPart(item, part) for item, part in parts)
    return Installment("P1", NumberedComponent(number, type_, D(day), amount, items, None if to is None else D(to)))


DEPOSIT = installment(1, "2025-02-10", None, ("NET", 9000), ("TAX", 600))
FIRST = installment(2, "2025-02-10", "2025-03-10", ("NET", 5000), ("TAX", 0))


@pytest.mark.rule("CAL-130", "CAL-134", "INV-001")
def test_an_invoice_has_a_line_a_price_component_with_the_installments_own_days() -> None:
    columns = installment_columns([FIRST, DEPOSIT])
    (chunk,) = columns.chunks()
    assert chunk.amounts == (9000, 600, 5000, 0)
    assert chunk.members == ("", "", "", "")
    terms = [chunk.terms[index] for index in chunk.term]
    assert [one.installment for one in terms] == [
        InstallmentItem("P1", 1, "NET"),
        InstallmentItem("P1", 1, "TAX"),
        InstallmentItem("P1", 2, "NET"),
        InstallmentItem("P1", 2, "TAX"),
    ]
    assert {one.kind for one in terms} == {LineKind.PRODUCT_ITEM}
    assert [(one.covered_from, one.covered_end) for one in terms[1:3]] == [
        (D("2025-02-10"), D("2025-02-11")),
        (D("2025-02-10"), D("2025-03-10")),
    ]
    assert installments_period([DEPOSIT, FIRST]) == Period(D("2025-02-10"), D("2025-03-10"))
    assert {(one.billing_start, one.billing_end) for one in terms} == {(D("2025-02-10"), D("2025-03-10"))}
    assert billed_amounts([chunk], D("2025-02-10")) == (14600, 0, 0)
    assert [amount_type_of(one) for one in terms] == [AmountType.PREMIUM, AmountType.TAX] * 2
    assert len({(one.coverage, one.sequence_root, one.modal_start) for one in terms}) == 4


@pytest.mark.rule("CAL-134")
def test_a_due_date_behind_the_end_of_service_still_has_a_day() -> None:
    late = installment(3, "2026-02-01", "2026-01-15", ("NET", 1))
    assert installment_period(late.component) == Period(D("2026-02-01"), D("2026-02-02"))


@pytest.mark.rule("CAL-065", "CAL-066")
@pytest.mark.parametrize(
    ("today", "rule", "final", "corrections"),
    [
        ("2025-02-10", BusinessDayRule.NONE, "2025-03-15", ()),
        ("2025-03-16", BusinessDayRule.NONE, "2025-03-16", (Correction.PAST_DATE,)),
        ("2025-02-10", BusinessDayRule.NEXT, "2025-03-17", (Correction.BUSINESS_DAY,)),
        ("2025-02-10", BusinessDayRule.PREVIOUS, "2025-03-14", (Correction.BUSINESS_DAY,)),
        ("2025-03-16", BusinessDayRule.PREVIOUS, "2025-03-17", (Correction.PAST_DATE, Correction.BUSINESS_DAY)),
    ],
)
def test_the_due_date_is_the_installments_own_but_not_in_the_past(
    today: str, rule: BusinessDayRule, final: str, corrections: tuple[Correction, ...]
) -> None:
    calendar = BusinessCalendar(frozenset({6, 7}), frozenset(), frozenset())
    due = installment_due_date(D("2025-03-15"), system_date=D(today), rule=rule, calendar=calendar)
    assert (due.computed, due.final, due.corrections) == (D("2025-03-15"), D(final), corrections)
