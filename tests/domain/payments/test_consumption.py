"""Automatic use of unapplied money and of members' overpayment."""

from __future__ import annotations

import datetime as dt

import pytest

from domain.payments.allocation import RECURRING_SETTINGS, OpenAccount, SpreadSettings
from domain.payments.classification import AccountKind, Category, Cause
from domain.payments.consumption import Consumable, consume, in_consumption_order, use_member_money
from domain.payments.payment import AllocatedItems, InvoiceLines, PaymentRecord, fold, merged, move_to_items
from domain.payments.unallocation import allocate_member_money, unallocate_discarded
from tests.domain.payments.builders import (
    TODAY,
    Row,
    allocated,
    by_invoice,
    by_line,
    cents,
    open_invoices,
    open_items,
    record,
    simple,
)


def money(record_id: str, amount: str, day: str, category: Category = Category.BANKING) -> Consumable:
    return Consumable(record_id, record_id, category, dt.date.fromisoformat(day), cents(amount))


@pytest.mark.rule("PAY-E17", "PAY-078", "PAY-079", "PAY-083")
def test_credits_are_used_up_before_bank_money_and_older_money_before_younger() -> None:
    items, invoices = simple(INV_1=30000, INV_2=20000)
    # P3 is older than all, but locked by a refund: it is not offered at all.
    records = [
        money("P1", "130.00", "2025-02-01"),
        money("P2", "150.00", "2025-02-10"),
        money("C1", "100.00", "2025-03-01", Category.CUSTOMER_CREDIT),
    ]
    done = consume(records, OpenAccount(items, invoices))
    assert [(name, by_invoice(lines)) for name, lines in done.by_record] == [
        ("C1", {"INV-1": 10000}),
        ("P1", {"INV-1": 13000}),
        ("P2", {"INV-1": 7000, "INV-2": 8000}),
    ]
    assert done.rest == 0


@pytest.mark.rule("PAY-E18", "PAY-044")
def test_the_shares_of_the_items_do_not_depend_on_how_many_payments_they_come_from() -> None:
    rows = [Row("INV-1", 6000, coverage="A"), Row("INV-1", 4000, coverage="B"), Row("INV-1", 2000, coverage="C")]
    done = consume(
        [money("P1", "55.00", "2025-01-01"), money("P2", "45.00", "2025-01-02")],
        OpenAccount(open_items(rows), open_invoices("INV-1")),
    )
    assert {name: by_line(lines) for name, lines in done.by_record} == {
        "P1": {("INV-1", 1): 5000, ("INV-1", 2): 500},
        "P2": {("INV-1", 2): 2833, ("INV-1", 3): 1667},
    }


@pytest.mark.rule("PAY-044", "PAY-040")
def test_records_fill_items_in_item_order_whatever_order_they_are_read_in() -> None:
    rows = [Row("INV-1", 6000, member="MR-2"), Row("INV-1", 4000, member="MR-1")]
    done = consume(
        [money("P1", "50.00", "2025-01-01"), money("P2", "50.00", "2025-01-02")],
        OpenAccount(open_items(rows), open_invoices("INV-1")),
    )
    assert {name: by_line(lines) for name, lines in done.by_record} == {
        "P1": {("INV-1", 1): 1000, ("INV-1", 2): 4000},
        "P2": {("INV-1", 1): 5000},
    }


@pytest.mark.rule("PAY-083")
def test_consumption_order_is_category_then_effective_date_then_number() -> None:
    records = [
        money("P2", "1.00", "2025-01-01"),
        money("P1", "1.00", "2025-01-01"),
        money("P0", "1.00", "2025-02-01"),
        money("I1", "1.00", "2025-09-01", Category.INTERNAL),
    ]
    assert [one.record for one in in_consumption_order(records)] == ["I1", "P1", "P2", "P0"]


@pytest.mark.rule("PAY-079", "PAY-126")
def test_the_recurring_job_pays_selected_invoices_only_and_prior_periods_first() -> None:
    rows = [
        Row("INV-1", 15000),
        Row("INV-2", 4000, coverage="A"),
        Row("INV-2", 6000, coverage="B", billing_start=dt.date(2025, 1, 1)),
        Row("INV-3", 5000),
    ]
    account = OpenAccount(open_items(rows), open_invoices("INV-1", "INV-2", "INV-3"), RECURRING_SETTINGS)
    done = consume([money("P1", "180.00", "2025-01-01")], account, only_invoices=frozenset(("INV-1", "INV-2")))
    assert by_line(done.by_record[0][1]) == {("INV-1", 1): 15000, ("INV-2", 2): 3000}


@pytest.mark.rule("PAY-077")
def test_items_of_a_member_with_a_requested_cancellation_are_left_alone() -> None:
    rows = [Row("INV-1", 100, member="MR-1", withheld=True), Row("INV-1", 100, member="MR-2")]
    done = consume([money("P1", "2.00", "2025-01-01")], OpenAccount(open_items(rows), open_invoices("INV-1")))
    assert by_line(done.by_record[0][1]) == {("INV-1", 2): 100}
    assert done.rest == 100


@pytest.mark.rule("PAY-078")
def test_nothing_consumable_is_no_event() -> None:
    items, invoices = simple(INV_1=30000)
    assert consume([], OpenAccount(items, invoices)).by_record == ()


@pytest.mark.rule("PAY-081", "PAY-082")
def test_overpayment_pays_the_members_own_items_only_and_up_to_the_amount_asked() -> None:
    rows = [Row("INV-1", 5000, member="MR-1"), Row("INV-1", 9000, member="MR-2"), Row("INV-2", 5000, member="MR-1")]
    account = OpenAccount(open_items(rows), open_invoices("INV-1", "INV-2"))
    held = [Consumable("P1", "P1", Category.BANKING, dt.date(2025, 1, 1), 12000, "MR-1")]
    everything = use_member_money(held, account)
    assert by_line(everything.by_record[0][1][0][1]) == {("INV-1", 1): 5000, ("INV-2", 1): 5000}
    assert everything.left == {("P1", "MR-1"): 2000}
    some = use_member_money(held, account, limit=6000)
    assert by_line(some.by_record[0][1][0][1]) == {("INV-1", 1): 5000, ("INV-2", 1): 1000}
    assert some.left == {("P1", "MR-1"): 6000}


@pytest.mark.rule("PAY-E13", "PAY-094", "PAY-096")
def test_money_of_a_discarded_invoice_walks_over_the_members_other_items() -> None:
    kind = AccountKind.LIST_BILL_INDIVIDUAL
    bank = record(kind, 14000, number="B1")
    credit = record(kind, 4000, number="C1", category=Category.CUSTOMER_CREDIT)
    on_bank = allocated([("INV-5", 1, "MR-1", 6000), ("INV-5", 2, "MR-2", 8000)])
    on_credit = allocated([("INV-5", 1, "MR-1", 4000)])
    freed = {}
    for payment, items in ((bank, on_bank), (credit, on_credit)):
        paid = fold(payment, _paid(payment, items))
        freed[payment.known.record_id] = fold(paid, unallocate_discarded(paid, items, invoice="INV-5", date=TODAY))
    account = OpenAccount(
        open_items([Row("INV-3", 3000, member="MR-1"), Row("INV-4", 5000, member="MR-1")]),
        open_invoices("INV-3", "INV-4"),
        SpreadSettings(use_priority_rules=True),
    )
    holdings = [
        Consumable(name, name, state.known.category, state.effective_date, amount, member)
        for name, state in freed.items()
        for member, amount in state.member_overpayment.items()
    ]
    used = dict(use_member_money(holdings, account).by_record)
    after = {
        name: fold(state, allocate_member_money(state, used.get(name, ()), cause=Cause.INVOICE_DISCARDED, date=TODAY))
        for name, state in freed.items()
    }
    assert dict(after["C1"].items) == {"INV-3": 3000, "INV-4": 1000}
    assert dict(after["B1"].items) == {"INV-4": 4000}
    assert dict(after["B1"].member_overpayment) == {"MR-1": 2000, "MR-2": 8000}
    assert {state.status for state in after.values()} == {"ALLOCATED"}


@pytest.mark.rule("PAY-E13", "PAY-087", "PAY-094")
def test_on_a_group_account_the_money_of_a_discarded_invoice_becomes_unapplied() -> None:
    for number, category, amount in (("B1", Category.BANKING, 14000), ("C1", Category.CUSTOMER_CREDIT, 4000)):
        payment = record(AccountKind.LIST_BILL_TRUE_GROUP, amount, number=number, category=category)
        items = allocated([("INV-5", 1, "MR-1", amount)])
        paid = fold(payment, _paid(payment, items))
        assert fold(paid, unallocate_discarded(paid, items, invoice="INV-5", date=TODAY)).unapplied == amount


def _paid(payment: PaymentRecord, items: AllocatedItems) -> list[object]:
    lines = [
        InvoiceLines(invoice, (line,), (amount,))
        for invoice, line, amount in zip(items.invoices, items.lines, items.amounts, strict=True)
    ]
    return move_to_items(payment, merged(lines), cause=Cause.MANUAL, date=TODAY)
