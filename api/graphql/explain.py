"""Explain: the chain behind a figure of an invoice line or of a balance, down to the events that made it.

An auditor starts from any figure and gets what it is made of, in order, each part with its amount and with the events
that recorded it; for charges also the transactions, the pieces of the period and the rounding (api.graphql.members).
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import strawberry

from api.graphql.accounts import require_account
from api.graphql.balances import balances_of
from api.graphql.context import Context
from api.graphql.events import Event, event_of
from api.graphql.guard import read
from api.graphql.installments import InstallmentLine, installment_line
from api.graphql.invoices import Invoice, InvoiceItem, find_invoice, invoice_of, item_of_row
from api.graphql.member_types import ChargeExplanation, MemberTransaction, transaction_of
from api.graphql.members import explain_of
from api.graphql.payments import PaymentRecord, record_of
from api.graphql.scalars import Money, Position, money
from domain.errors import refuse
from domain.invoices.invoice import (
    INVOICE,
    AnybConsumed,
    InvoiceDiscarded,
    InvoiceInitialised,
    InvoiceIssued,
    InvoiceProjected,
)
from domain.members.record import MEMBER_RECORD
from projections.engine.listing import Listing
from projections.register.reads import (
    OPEN_INVOICES,
    RECORDS_WITH_FREE_MONEY,
    account_rows,
    find_item,
    items_of_same_charge,
    money_on_item,
    offsets_of_item,
)

#: Parts of a balance that are listed; the rest is counted.
_LISTED = 200
#: What is told of an invoice about one of its lines.
_INVOICE_EVENTS = (InvoiceInitialised, InvoiceProjected, AnybConsumed, InvoiceIssued, InvoiceDiscarded)


@strawberry.type(description="Money of a payment on an invoice line, with the event that put it there.")
class ItemMoney:
    record: str = strawberry.field(description="The payment record.")
    amount: Money = strawberry.field(description="The amount in force.")
    event: Event | None = strawberry.field(description="The last event that put money of the record there.")


@strawberry.type(description="A credit set against a charge.")
class ItemOffset:
    invoice: str = strawberry.field(description="The invoice of the other side.")
    line: int = strawberry.field(description="Its line.")
    amount: Money = strawberry.field(description="The amount.")
    matched: bool = strawberry.field(description="Whether both are of the same charge.")


@strawberry.type(description="How an invoice line comes about and what became of it.")
class ItemExplanation:
    item: InvoiceItem = strawberry.field(description="The line.")
    invoice: Invoice = strawberry.field(description="Its invoice.")
    sources: list[MemberTransaction] = strawberry.field(description="For a correction: the transactions behind it.")
    charges: list[ChargeExplanation] = strawberry.field(
        description="The charge as it is today: transactions, version, pieces, proration, rounding."
    )
    charges_when_billed: list[ChargeExplanation] = strawberry.field(
        description="The charge as it was known when the invoice was made: it less what live invoices had billed of it "
        "by then is the line."
    )
    installment: InstallmentLine | None = strawberry.field(
        description="For a product item: the installment it bills, with its product, due date and parts."
    )
    other_items: list[InvoiceItem] = strawberry.field(
        description="The lines of the same charge on other live invoices: together they are what was billed of it."
    )
    money: list[ItemMoney] = strawberry.field(description="The money on it.")
    offsets: list[ItemOffset] = strawberry.field(description="What was set against it.")
    events: list[Event] = strawberry.field(description="The events of the invoice that carry it, in order.")


@strawberry.type(description="What the balance of an account is made of.")
class BalanceExplanation:
    due_and_unpaid: Money = strawberry.field(description="The sum over the invoices of remaining due less open credit.")
    unapplied: Money = strawberry.field(description="The sum over the payments of money on no item.")
    account_balance: Money = strawberry.field(description="Due and unpaid less the money kept for it.")
    invoices: list[Invoice] = strawberry.field(description="The invoices with something due or credited, in order.")
    more_invoices: int = strawberry.field(description="How many such invoices are not listed.")
    payments: list[PaymentRecord] = strawberry.field(description="The records with money on no item, in order.")
    more_payments: int = strawberry.field(description="How many such records are not listed.")


def _sources(context: Context, invoice: str, line: int, member: str, currency: str) -> list[MemberTransaction]:
    """The transactions that the invoice names for a correction."""
    named = context.history.sources_of_line(INVOICE.stream(invoice), InvoiceProjected, line)
    loaded = context.state(MEMBER_RECORD, member)
    known = {} if loaded is None else {one.transaction_id: one for one in loaded.state.transactions}
    return [transaction_of(known[one], currency) for one in named if one in known]


def _charges(
    context: Context, account: str, row: dict[str, Any], as_of: dt.datetime | None = None
) -> list[ChargeExplanation]:
    """The charge of a member's line as it is today, or as it was known at an instant; a product item is no charge."""
    if not row["member"]:
        return []
    return explain_of(context, account, row["member"], row["coverage"], row["modal_start"], row["sequence_root"], as_of)


@strawberry.type
class ExplainQueries:
    """The root fields that explain figures."""

    @read("invoice.view", "How an invoice line comes about: transactions, version, pieces, proration, money, events.")
    def explain_invoice_item(
        self,
        info: strawberry.Info,
        invoice: str,
        line: int,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> ItemExplanation:
        context: Context = info.context
        found = find_invoice(context, invoice)
        row = None if found is None else find_item(context.reads, str(found.number), line)
        if found is None or row is None:
            raise refuse("INVOICE_NOT_FOUND", "there is no such invoice line", pointer="/invoice")
        currency = found.currency
        number = str(found.number)
        placed = money_on_item(context.reads, number, line)
        events = context.history.at(one["position"] for one in placed)
        return ItemExplanation(
            item=item_of_row(row, currency),
            invoice=found,
            sources=_sources(context, number, line, row["member"], currency) if row["member"] else [],
            charges=_charges(context, found.account, row),
            charges_when_billed=_charges(
                context, found.account, row, context.history.last_recorded(INVOICE.stream(number), InvoiceProjected)
            ),
            installment=None
            if row["installment"] is None
            else installment_line(context, found.account, row["installment"]),
            other_items=[
                item_of_row(one, currency) for one in items_of_same_charge(context.reads, found.account, number, line)
            ],
            money=[
                ItemMoney(
                    record=one["record"],
                    amount=money(one["amount"], currency),
                    event=event_of(events[one["position"]]) if one["position"] in events else None,
                )
                for one in placed
            ],
            offsets=[
                ItemOffset(
                    invoice=one["invoice"],
                    line=one["line"],
                    amount=money(one["amount"], currency),
                    matched=one["matched"],
                )
                for one in offsets_of_item(context.reads, number, line)
            ],
            events=[event_of(row) for row in context.history.of_line(INVOICE.stream(number), _INVOICE_EVENTS, line)],
        )

    @read("balance.view", "What the balance of an account is made of: invoices, payments, each with its own history.")
    def explain_balance(
        self, info: strawberry.Info, account: str, min_position: Position | None = None, wait_ms: int | None = None
    ) -> BalanceExplanation:
        context: Context = info.context
        number = require_account(context, account)
        balances = balances_of(context, account_rows(context.reads, [number])[number])
        invoices, more_invoices = _some(context, OPEN_INVOICES, number)
        payments, more_payments = _some(context, RECORDS_WITH_FREE_MONEY, number)
        return BalanceExplanation(
            due_and_unpaid=balances.due_and_unpaid,
            unapplied=balances.unapplied,
            account_balance=balances.account_balance,
            invoices=[invoice_of(row) for row in invoices],
            more_invoices=more_invoices,
            payments=[record_of(row) for row in payments],
            more_payments=more_payments,
        )


def _some(context: Context, listing: Listing, account: str) -> tuple[list[dict[str, Any]], int]:
    """The first rows of a list and how many more there are."""
    fetch, parameters = context.reads.fetch, {"account": account}
    rows = [row for row, _ in listing.page(fetch, parameters, _LISTED, None)]
    return rows, 0 if len(rows) < _LISTED else listing.count(fetch, parameters) - len(rows)
