"""Badges of an invoice on a day, and the amounts its bill shows."""

from __future__ import annotations

import datetime as dt
from dataclasses import fields
from typing import Any

import pytest

from domain.invoices.invoice import StatementAmounts
from domain.invoices.views import InvoiceBadge, invoice_badges, shown_amounts
from domain.payments.classification import AccountKind

DUE = dt.date(2025, 3, 1)
PLAIN: dict[str, Any] = {
    "live": True,
    "collectible_due": 0,
    "due_date": DUE,
    "today": DUE,
    "waived": False,
    "overpayment_applied": False,
    "invoice_hold": False,
    "regenerates": None,
    "late": False,
}


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({}, ()),
        ({"collectible_due": 1}, ()),  # due today is not overdue
        ({"collectible_due": 1, "today": DUE + dt.timedelta(days=1)}, ("OVERDUE",)),
        ({"collectible_due": 0, "today": DUE + dt.timedelta(days=1)}, ()),
        ({"collectible_due": 1, "today": DUE + dt.timedelta(days=1), "live": False}, ()),
        ({"invoice_hold": True}, ("ON_HOLD",)),
        ({"invoice_hold": True, "live": False}, ()),
        ({"regenerates": "INV-1", "live": False}, ("REGENERATED",)),
        (
            {"late": True, "waived": True, "overpayment_applied": True},
            ("PREMIUM_WAIVER", "OVERPAYMENT_APPLIED", "LATE"),
        ),
    ],
)
def test_badges_follow_from_the_facts_of_the_day(facts: dict[str, Any], shown: tuple[str, ...]) -> None:
    assert invoice_badges(**(PLAIN | facts)) == tuple(InvoiceBadge(one) for one in shown)


@pytest.mark.rule("INV-052", "INV-053")
@pytest.mark.parametrize("kind", AccountKind)
def test_every_bill_shows_amounts_that_its_statement_holds(kind: AccountKind) -> None:
    shown = shown_amounts(kind)
    assert set(shown) <= {field.name for field in fields(StatementAmounts)}
    assert len(set(shown)) == len(shown)
    individual = kind is AccountKind.LIST_BILL_INDIVIDUAL
    assert ("previous_balance" in shown, "payments_received" in shown) == (not individual, not individual)
    assert ("outstanding_balance" in shown) is individual
    assert {"current_period_amount", "total_due", "carried_forward"} <= set(shown)
