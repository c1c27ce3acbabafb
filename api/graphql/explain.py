"""Explain: the chain behind a figure of an invoice line or of a balance, down to the events that made it.

An auditor starts from any figure and gets what it is made of, in order, each part with its amount and with the events
that recorded it; for charges also the transactions, the pieces of the period and the rounding (api.graphql.members).
"""

from __future__ import annotations

import json
from typing import Any

import strawberry

from api.graphql.accounts import require_account
from api.graphql.balances import account_rows, balances_of
from api.graphql.context import Context
from api.graphql.events import EVENT_COLUMNS, Event, event_of
from api.graphql.guard import read
from api.graphql.invoices import Invoice, InvoiceItem, find_invoice, invoice_of, item_of_row, item_row
from api.graphql.member_types import ChargeExplanation, MemberTransaction, transaction_of
from api.graphql.members import explain_of
from api.graphql.payments import PaymentRecord, record_of
from api.graphql.scalars import Money, Position, money
from domain.errors import refuse
from domain.invoices.invoice import INVOICE
from domain.members.record import MEMBER_RECORD

#: Parts of a balance that are listed; the rest is counted.
_LISTED = 200


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


def _events(context: Context, positions: list[int]) -> dict[int, Event]:
    query = f"select {EVENT_COLUMNS} from event where position = any(%(positions)s)"
    return {row["position"]: event_of(row) for row in context.session.fetch(query, {"positions": positions})}


def _stream_events(context: Context, stream: str, types: list[str], line: int) -> list[Event]:
    """Events of an invoice that concern a line: its chunk, and what happened to the invoice as a whole."""
    rows = context.session.fetch(
        f"select {EVENT_COLUMNS} from event where stream = %(stream)s and type = any(%(types)s)"
        " and (type <> 'InvoiceProjected' or (payload -> 'lines' ->> 'first_line')::int <= %(line)s"
        " and %(line)s < (payload -> 'lines' ->> 'first_line')::int"
        " + json_array_length(payload -> 'lines' -> 'amounts'))"
        " order by stream_position limit 100",
        {"stream": stream, "types": types, "line": line},
    )
    return [event_of(row) for row in rows]


_INVOICE_EVENTS = ["InvoiceInitialised", "InvoiceProjected", "AnybConsumed", "InvoiceIssued", "InvoiceDiscarded"]


def _sources(context: Context, invoice: str, line: int, member: str, currency: str) -> list[MemberTransaction]:
    """The transactions that the invoice names for a correction."""
    rows = context.session.fetch(
        "select source ->> 'transactions' as transactions from event,"
        " lateral json_array_elements(payload -> 'lines' -> 'sources') as source"
        " where stream = %(stream)s and type = 'InvoiceProjected' and (source ->> 'line')::int = %(line)s",
        {"stream": INVOICE.stream(invoice), "line": line},
    )
    if not rows:
        return []
    named = json.loads(rows[0]["transactions"])
    loaded = context.state(MEMBER_RECORD, member)
    known = {} if loaded is None else {one.transaction_id: one for one in loaded.state.transactions}
    return [transaction_of(known[one], currency) for one in named if one in known]


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
        row = None if found is None else item_row(context, str(found.number), line)
        if found is None or row is None:
            raise refuse("INVOICE_NOT_FOUND", "there is no such invoice line", pointer="/invoice")
        currency = found.currency
        others = context.rows(
            """
            select i.*, t.kind, t.part, t.coverage, t.plan, t.coverage_class, t.tier, t.sub_group, t.sequence_id,
                   t.master_policy, t.modality, t.modal_start, t.modal_end, t.covered_from, t.covered_end,
                   t.billing_start, t.billing_end, t.location, t.division, t.cause
              from {item} as own join {term} as terms on terms.invoice = own.invoice and terms.term = own.term
              join {item} as i on i.member = own.member
              join {invoice} as v on v.invoice = i.invoice and v.live and v.account = %(account)s
              join {term} as t on t.invoice = i.invoice and t.term = i.term and t.coverage = terms.coverage
                   and t.plan = terms.plan and t.coverage_class = terms.coverage_class and t.tier = terms.tier
                   and t.sub_group = terms.sub_group and t.sequence_root = terms.sequence_root
                   and t.modality = terms.modality and t.modal_start = terms.modal_start
             where own.invoice = %(invoice)s and own.line = %(line)s
               and (i.invoice, i.line) <> (own.invoice, own.line)
             order by v.position, i.line limit 100
            """,
            {"account": found.account, "invoice": str(found.number), "line": line},
        )
        money_rows = context.rows(
            "select record, amount, position from {allocation} where invoice = %(invoice)s and line = %(line)s"
            " and amount > 0 order by position",
            {"invoice": str(found.number), "line": line},
        )
        events = _events(context, [one["position"] for one in money_rows])
        offsets = context.rows(
            """
            select case when negative_invoice = %(invoice)s and negative_line = %(line)s then positive_invoice
                        else negative_invoice end as invoice,
                   case when negative_invoice = %(invoice)s and negative_line = %(line)s then positive_line
                        else negative_line end as line, amount, matched
              from {credit_pair}
             where (negative_invoice = %(invoice)s and negative_line = %(line)s)
                or (positive_invoice = %(invoice)s and positive_line = %(line)s)
             order by 1, 2 limit 100
            """,
            {"invoice": str(found.number), "line": line},
        )
        return ItemExplanation(
            item=item_of_row(row, currency),
            invoice=found,
            sources=_sources(context, str(found.number), line, row["member"], currency),
            charges=explain_of(
                context, found.account, row["member"], row["coverage"], row["modal_start"], row["sequence_root"]
            ),
            other_items=[item_of_row(one, currency) for one in others],
            money=[
                ItemMoney(
                    record=one["record"], amount=money(one["amount"], currency), event=events.get(one["position"])
                )
                for one in money_rows
            ],
            offsets=[
                ItemOffset(
                    invoice=one["invoice"],
                    line=one["line"],
                    amount=money(one["amount"], currency),
                    matched=one["matched"],
                )
                for one in offsets
            ],
            events=_stream_events(context, INVOICE.stream(str(found.number)), _INVOICE_EVENTS, line),
        )

    @read("balance.view", "What the balance of an account is made of: invoices, payments, each with its own history.")
    def explain_balance(
        self, info: strawberry.Info, account: str, min_position: Position | None = None, wait_ms: int | None = None
    ) -> BalanceExplanation:
        context: Context = info.context
        number = require_account(context, account)
        balances = balances_of(account_rows(context, [number])[number])
        invoices, more_invoices = _some(
            context,
            "select v.*, a.currency from {invoice} as v join {account} as a on a.account = v.account"
            " where v.account = %(account)s and v.live and (v.remaining_due <> 0 or v.open_credit <> 0)",
            "period_start, position",
            number,
        )
        payments, more_payments = _some(
            context,
            "select r.*, a.currency from {record} as r join {account} as a on a.account = r.account"
            " where r.account = %(account)s"
            " and (r.unapplied <> 0 or r.member_unapplied <> 0 or r.member_overpayment <> 0)",
            "transaction_date, record",
            number,
        )
        return BalanceExplanation(
            due_and_unpaid=balances.due_and_unpaid,
            unapplied=balances.unapplied,
            account_balance=balances.account_balance,
            invoices=[invoice_of(row) for row in invoices],
            more_invoices=more_invoices,
            payments=[record_of(row) for row in payments],
            more_payments=more_payments,
        )


def _some(context: Context, query: str, order: str, account: str) -> tuple[list[dict[str, Any]], int]:
    """The first rows of a query and how many more there are."""
    rows = context.rows(f"{query} order by {order} limit {_LISTED}", {"account": account})
    if len(rows) < _LISTED:
        return rows, 0
    [count] = context.rows(f"select count(*) as n from ({query}) as counted", {"account": account})
    return rows, count["n"] - len(rows)
