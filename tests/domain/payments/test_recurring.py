"""Recurring draws: waiting days, consumption before the draw, retries."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from domain.payments.allocation import RECURRING_SETTINGS, OpenAccount
from domain.payments.classification import Category, Method
from domain.payments.consumption import Consumable, consume
from domain.payments.recurring import (
    DrawableInvoice,
    DrawFacts,
    Retries,
    RetryState,
    Skip,
    draw_amount,
    select_invoices,
    skip_reason,
    waiting_days,
)
from tests.domain.payments.builders import by_invoice, simple


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def facts(authorised: str, days: int, **overrides: object) -> DrawFacts:
    values: dict[str, object] = {
        "hold_active": False,
        "method_active": True,
        "authorised_on": day(authorised),
        "waiting_days": days,
        "retries": Retries(),
        "data_complete": True,
    }
    return DrawFacts(**(values | overrides))


@pytest.mark.rule("PAY-E21", "PAY-124")
@pytest.mark.parametrize(
    ("authorised", "customer_type", "run", "skipped"),
    [
        ("2025-01-01", "INDIVIDUAL", "2025-01-10", Skip.WAITING_PERIOD),
        ("2025-01-01", "INDIVIDUAL", "2025-01-14", Skip.WAITING_PERIOD),
        ("2025-01-01", "INDIVIDUAL", "2025-01-15", None),
        ("2024-12-20", "INDIVIDUAL", "2025-01-02", Skip.WAITING_PERIOD),
        ("2024-12-20", "INDIVIDUAL", "2025-01-05", None),
        ("2025-01-01", "ORGANIZATION", "2025-01-03", Skip.WAITING_PERIOD),
        ("2025-01-01", "ORGANIZATION", "2025-01-04", None),
    ],
)
def test_an_account_is_drawn_from_its_waiting_days_on(
    authorised: str, customer_type: str, run: str, skipped: Skip | None
) -> None:
    days = waiting_days({}, "LIST_BILL", Method.CREDIT_CARD, customer_type)
    assert skip_reason(facts(authorised, days), day(run)) == skipped


@pytest.mark.rule("PAY-124")
def test_the_most_specific_row_of_waiting_days_wins() -> None:
    rows = {
        (None, None, "INDIVIDUAL"): 10,
        ("LIST_BILL", None, "INDIVIDUAL"): 8,
        (None, "EFT_ACH", "INDIVIDUAL"): 7,
        ("SELF_BILL", "EFT_ACH", "INDIVIDUAL"): 1,
    }
    assert waiting_days(rows, "LIST_BILL", Method.EFT_ACH, "INDIVIDUAL") == 8
    assert waiting_days(rows, "FLEXIBILL", Method.EFT_ACH, "INDIVIDUAL") == 7
    assert waiting_days(rows, "FLEXIBILL", Method.CREDIT_CARD, "INDIVIDUAL") == 10
    assert waiting_days(rows, "FLEXIBILL", Method.CREDIT_CARD, "ORGANIZATION") == 3


@pytest.mark.rule("PAY-123")
def test_the_first_check_that_fails_names_the_skip() -> None:
    waiting = Retries(RetryState.WAITING, 1, day("2025-02-01"))
    everything = facts("2025-01-20", 14, hold_active=True, method_active=False, retries=waiting, data_complete=False)
    told = []
    for change in (
        {"hold_active": False},
        {"method_active": True},
        {"waiting_days": 0},
        {"retries": Retries()},
        {"data_complete": True},
    ):
        told.append(skip_reason(everything, day("2025-01-21")))
        everything = replace(everything, **change)
    assert told == [
        Skip.HOLD_ACTIVE,
        Skip.PAYMENT_METHOD_NOT_ACTIVE,
        Skip.WAITING_PERIOD,
        Skip.RETRY_WAIT,
        Skip.DATA_INCOMPLETE,
    ]
    assert skip_reason(everything, day("2025-01-21")) is None


@pytest.mark.rule("PAY-E21", "PAY-126", "PAY-125")
def test_what_lies_on_the_account_is_used_first_and_only_the_rest_is_drawn() -> None:
    items, invoices = simple(INV_1=15000, INV_2=10000)
    # 180.00 unapplied; another 120.00 is locked by a refund and not offered.
    offered = [Consumable("P1", "P1", Category.BANKING, day("2025-01-01"), 18000)]
    used = consume(
        offered, OpenAccount(items, invoices, RECURRING_SETTINGS), only_invoices=frozenset(("INV-1", "INV-2"))
    )
    paid = by_invoice(used.by_record[0][1])
    assert paid == {"INV-1": 15000, "INV-2": 3000}
    assert draw_amount(25000 - sum(paid.values())) == 7000
    assert draw_amount(0, requests=500, still_consumable=600) == 0
    assert draw_amount(100, requests=500, still_consumable=200) == 400


@pytest.mark.rule("PAY-125")
def test_an_invoice_is_selected_when_its_payment_date_has_come() -> None:
    invoices = [
        DrawableInvoice("INV-1", day("2025-03-10"), 100),
        DrawableInvoice("INV-2", day("2025-03-11"), 100),
        DrawableInvoice("INV-3", day("2025-03-01"), 0),
    ]
    assert [one.number for one in select_invoices(invoices, day("2025-03-10"))] == ["INV-1"]
    early = select_invoices(invoices, day("2025-03-10"), offset_days=1)
    assert [one.number for one in early] == ["INV-1", "INV-2"]
    later = select_invoices(invoices, day("2025-03-10"), business_day=lambda given: given + dt.timedelta(days=1))
    assert later == []


@pytest.mark.rule("PAY-E21", "PAY-129")
def test_a_failed_draw_waits_is_tried_twice_more_and_then_stops() -> None:
    retries = Retries().failed(day("2025-03-10"), "INSUFFICIENT_FUNDS")
    assert not retries.allows(day("2025-03-12"))
    assert retries.allows(day("2025-03-13"))
    retries = retries.failed(day("2025-03-13"), "INSUFFICIENT_FUNDS")
    assert retries.not_before == day("2025-03-16")
    retries = retries.failed(day("2025-03-16"), "INSUFFICIENT_FUNDS")
    assert retries.state is RetryState.STOPPED
    assert not retries.allows(day("2026-01-01"))
    assert retries.completed() == Retries()
    for useless in ("CARD_EXPIRED", "ACCOUNT_CLOSED", "NO_ACCOUNT", "NOT_AUTHORISED"):
        assert Retries().failed(day("2025-03-10"), useless).state is RetryState.STOPPED
