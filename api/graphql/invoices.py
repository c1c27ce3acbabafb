"""Invoices: the list of an account, one invoice with its statement and its lines, the money on it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import strawberry

from api.graphql.context import Context
from api.graphql.events import Event, stream_history
from api.graphql.guard import read
from api.graphql.paging import DEFAULT_PAGE, After, Connection, First, page
from api.graphql.scalars import Money, Position, money
from domain.errors import refuse
from domain.invoices.invoice import INVOICE
from domain.invoices.invoice import Invoice as InvoiceState
from domain.products.master_policy import MASTER_POLICY
from projections.register import reads
from projections.register.reads import (
    INVOICES,
    INVOICES_NEWEST_FIRST,
    ITEMS,
    find_member,
    payments_on_invoices,
)

_DAY = dt.timedelta(days=1)


@strawberry.type(description="The frozen amounts of the statement (BAL-044 to BAL-050); null: not shown.")
class Statement:
    previous_balance: Money | None
    payments_received: Money | None
    outstanding_balance: Money | None
    current_period_amount: Money
    retro_added: Money
    retro_credit: Money
    adjustments: Money | None
    balance_written_off: Money
    current_due: Money
    overpayment_allocated: Money
    payments_allocated_to_invoices: Money | None
    carried_forward: Money
    total_due: Money
    minimum_due: Money
    minimum_current: Money


@strawberry.type(description="A line of an invoice: one charge, waiver or correction of one member.")
class InvoiceItem:
    invoice: str = strawberry.field(description="The invoice.")
    line: int = strawberry.field(description="The number of the line, from 1.")
    member_record: str = strawberry.field(description="The member record.")
    kind: str = strawberry.field(description="CURRENT, RETRO, ... as on the bill.")
    part: str = strawberry.field(description="CHARGE or WAIVER.")
    coverage: str = strawberry.field(description="The coverage.")
    plan: str = strawberry.field(description="The plan; empty: none.")
    coverage_class: str = strawberry.field(description="The class; empty: none.")
    tier: str = strawberry.field(description="The tier; empty: none.")
    sub_group: str = strawberry.field(description="The sub-group; empty: none.")
    sequence: str = strawberry.field(description="The premium sequence.")
    master_policy: str = strawberry.field(description="The master policy.")
    modality: str = strawberry.field(description="The frequency of the modal premium.")
    modal_start: dt.date = strawberry.field(description="The first day of the modal period.")
    modal_end: dt.date = strawberry.field(description="The last day of the modal period.")
    covered_from: dt.date = strawberry.field(description="The first day the amount covers.")
    covered_to: dt.date = strawberry.field(description="The last day the amount covers.")
    billing_start: dt.date = strawberry.field(description="The first day of the invoicing period it belongs to.")
    billing_end: dt.date = strawberry.field(description="The last day of the invoicing period it belongs to.")
    location: str | None = strawberry.field(description="The location.")
    division: str | None = strawberry.field(description="The division.")
    cause: str | None = strawberry.field(description="What caused a correction.")
    amount: Money = strawberry.field(description="The amount as printed.")
    billed: Money = strawberry.field(description="The amount as counted: a charge together with its waiver.")
    paid: Money = strawberry.field(description="Money on it.")
    offset: Money = strawberry.field(description="Set against credits or charges.")
    written_off: Money = strawberry.field(description="Written off.")
    held: Money = strawberry.field(description="Held by a reconciliation hold.")
    remaining_due: Money = strawberry.field(description="What is left: billed less paid, offset and written off.")


@strawberry.type(description="Money of a payment record on an invoice.")
class InvoicePayment:
    payment: str = strawberry.field(description="The payment number.")
    record: str = strawberry.field(description="The payment record.")
    transaction_date: dt.date = strawberry.field(description="When the payment was made.")
    allocation_date: dt.datetime = strawberry.field(description="When money was last allocated here.")
    status: str | None = strawberry.field(description="The payment's status.")
    allocated: Money = strawberry.field(description="The amount in force here.")


@strawberry.type(description="An invoice.")
class Invoice:
    number: strawberry.ID = strawberry.field(description="The invoice number.")
    account: str = strawberry.field(description="The account it was issued on.")
    period_start: dt.date = strawberry.field(description="The first day of its period.")
    period_end: dt.date = strawberry.field(description="The last day of its period.")
    issue_date: dt.date = strawberry.field(description="The day it was issued.")
    due_date: dt.date = strawberry.field(description="The day it is due.")
    live: bool = strawberry.field(description="Whether it counts: it was not discarded.")
    total_billed: Money = strawberry.field(description="Signed sum of its lines.")
    remaining_due: Money = strawberry.field(description="What is collectible on its positive lines.")
    open_credit: Money = strawberry.field(description="Credit of its negative lines that was not used.")
    held: Money = strawberry.field(description="Held amount.")
    total_due: Money = strawberry.field(description="The total due as issued.")
    position: Position = strawberry.field(description="The position of its issue.")
    currency: strawberry.Private[str]

    @strawberry.field(description="ISSUED, PARTIALLY_PAID, PAID, DISCARDED ...")
    async def status(self, info: strawberry.Info) -> str:
        return _status(await self._state(info.context))

    @strawberry.field(description="The frozen amounts of the statement.")
    async def statement(self, info: strawberry.Info) -> Statement | None:
        amounts = (await self._state(info.context)).statement
        if amounts is None:
            return None
        shown: dict[str, Any] = {
            name: value if value is None else money(value, self.currency)
            for name, value in ((name, getattr(amounts, name)) for name in Statement.__annotations__)
        }
        return Statement(**shown)

    @strawberry.field(description="How many lines it has.")
    async def lines(self, info: strawberry.Info) -> int:
        return (await self._state(info.context)).lines

    @strawberry.field(description="The invoice that took its place.")
    async def replaced_by(self, info: strawberry.Info) -> str | None:
        return (await self._state(info.context)).replaced_by

    @strawberry.field(description="Its lines, in line order.")
    def items(
        self,
        info: strawberry.Info,
        first: First = DEFAULT_PAGE,
        after: After = None,
        member: str | None = None,
        coverage: str | None = None,
    ) -> Connection[InvoiceItem]:
        parameters = {"invoice": self.number, "member": member, "coverage": coverage}
        return page(info.context, ITEMS, parameters, first, after, lambda row: item_of_row(row, self.currency))

    @strawberry.field(description="The money on it, by payment number descending; only what is in force.")
    async def payments(self, info: strawberry.Info) -> list[InvoicePayment]:
        context: Context = info.context
        found = await context.batched(
            "invoice payments", lambda keys: payments_on_invoices(context.reads, keys), str(self.number)
        )
        return [
            InvoicePayment(
                payment=row["payment"],
                record=row["record"],
                transaction_date=row["transaction_date"],
                allocation_date=row["allocated_at"],
                status=row["status"],
                allocated=money(row["amount"], self.currency),
            )
            for row in found or ()
        ]

    @strawberry.field(description="What happened to it, in order; `asOf` limits it to what was recorded by then.")
    def history(
        self, info: strawberry.Info, first: First = DEFAULT_PAGE, after: After = None, as_of: dt.datetime | None = None
    ) -> Connection[Event]:
        return stream_history(info.context, [INVOICE.stream(str(self.number))], first, after, as_of)

    async def _state(self, context: Context) -> InvoiceState:
        loaded = await context.state_of(INVOICE, str(self.number))
        assert loaded is not None
        return loaded.state


def _status(state: InvoiceState) -> str:
    return "DISCARDED" if state.discarded else str(state.runtime_status)


def item_of_row(row: dict[str, Any], currency: str) -> InvoiceItem:
    """The line of a row of the register with its terms."""
    settled = row["paid"] + row["offset_amount"] + row["written_off"]
    return InvoiceItem(
        invoice=row["invoice"],
        line=row["line"],
        member_record=row["member"],
        kind=row["kind"],
        part=row["part"],
        coverage=row["coverage"],
        plan=row["plan"],
        coverage_class=row["coverage_class"],
        tier=row["tier"],
        sub_group=row["sub_group"],
        sequence=row["sequence_id"],
        master_policy=row["master_policy"],
        modality=row["modality"],
        modal_start=row["modal_start"],
        modal_end=row["modal_end"] - _DAY,
        covered_from=row["covered_from"],
        covered_to=row["covered_end"] - _DAY,
        billing_start=row["billing_start"],
        billing_end=row["billing_end"] - _DAY,
        location=row["location"],
        division=row["division"],
        cause=row["cause"],
        amount=money(row["amount"], currency),
        billed=money(row["billed"], currency),
        paid=money(row["paid"], currency),
        offset=money(row["offset_amount"], currency),
        written_off=money(row["written_off"], currency),
        held=money(row["held"], currency),
        remaining_due=money(row["billed"] - settled, currency),
    )


def invoice_of(row: dict[str, Any]) -> Invoice:
    """The invoice of a row of the register with its currency."""
    currency = row["currency"]
    return Invoice(
        number=strawberry.ID(row["invoice"]),
        account=row["account"],
        period_start=row["period_start"],
        period_end=row["period_end"] - _DAY,
        issue_date=row["issue_date"],
        due_date=row["due_date"],
        live=row["live"],
        total_billed=money(row["positive_billed"] + row["negative_billed"], currency),
        # A discarded invoice asks for nothing any more; what it asked for is in its statement.
        remaining_due=money(row["remaining_due"] if row["live"] else 0, currency),
        open_credit=money(row["open_credit"] if row["live"] else 0, currency),
        held=money(row["held"], currency),
        total_due=money(row["total_due"], currency),
        position=row["position"],
        currency=currency,
    )


def invoices_of(
    context: Context,
    account: str,
    first: int,
    after: str | None,
    *,
    newest_first: bool = False,
    live: bool | None = None,
    period_from: dt.date | None = None,
    period_to: dt.date | None = None,
    number: str | None = None,
) -> Connection[Invoice]:
    """A page of an account's invoices (INV-230, INV-231)."""
    listing = INVOICES_NEWEST_FIRST if newest_first else INVOICES
    parameters = {
        "account": account, "live": live, "period_from": period_from, "period_to": period_to,
        "number": number.strip().upper() if number else None,
    }  # fmt: skip
    return page(context, listing, parameters, first, after, invoice_of)


def find_invoice(context: Context, number: str) -> Invoice | None:
    """One invoice by number."""
    row = reads.find_invoice(context.reads, number.strip().upper())
    return None if row is None else invoice_of(row)


@strawberry.type(description="The figures of an invoice for partners (INV-241).")
class InvoiceSummary:
    invoice: str
    total_due: Money
    remaining_due: Money
    due_date: dt.date
    status: str


@strawberry.type(description="What was billed for a plan on a day (INV-242).")
class TotalBilled:
    date: dt.date
    plan: str
    coverage: str
    amount: Money


Dates = Annotated[list[dt.date], strawberry.argument(description="1 to 60 days.")]


@strawberry.type
class InvoiceQueries:
    """The root fields of invoices."""

    @read("invoice.view", "One invoice by its number; null when there is none.")
    def invoice(
        self,
        info: strawberry.Info,
        number: str,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> Invoice | None:
        return find_invoice(info.context, number)

    @read("invoice.view", "The invoices of an account, by period and time of issue.")
    def invoices(
        self,
        info: strawberry.Info,
        account: str,
        first: First = DEFAULT_PAGE,
        after: After = None,
        newest_first: bool = False,
        live: bool | None = None,
        period_from: dt.date | None = None,
        period_to: dt.date | None = None,
        number: str | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> Connection[Invoice]:
        return invoices_of(
            info.context, account, first, after, newest_first=newest_first, live=live, period_from=period_from,
            period_to=period_to, number=number,
        )  # fmt: skip

    @read("invoice.view", "Total due, remaining due, due date and status of an invoice (INV-241).")
    def invoice_summary(self, info: strawberry.Info, invoice: str) -> InvoiceSummary:
        if not invoice.strip():
            raise refuse("REQUEST_INVALID", "an invoice number", pointer="/invoice")
        found = find_invoice(info.context, invoice)
        if found is None:
            raise refuse("INVOICE_NOT_FOUND", "there is no such invoice", pointer="/invoice")
        loaded = info.context.state(INVOICE, str(found.number))
        return InvoiceSummary(
            invoice=str(found.number),
            total_due=found.total_due,
            remaining_due=found.remaining_due,
            due_date=found.due_date,
            status=_status(loaded.state),
        )

    @read("invoice.view", "What was billed for a master policy on days, by plan, over all its accounts (INV-242).")
    def total_billed(self, info: strawberry.Info, master_policy: str, dates: Dates) -> list[TotalBilled]:
        context: Context = info.context
        if not 1 <= len(dates) <= 60:
            raise refuse("REQUEST_INVALID", "1 to 60 days", pointer="/dates")
        _require_policy(context, master_policy)
        rows = reads.total_billed(context.reads, master_policy, dates)
        return [
            TotalBilled(
                date=row["day"],
                plan=row["plan"],
                coverage=row["coverage"],
                amount=money(row["amount"], row["currency"]),
            )
            for row in rows
        ]


def _require_policy(context: Context, reference: str) -> None:
    if context.state(MASTER_POLICY, reference) is not None:
        return
    if find_member(context.reads, reference) is not None:
        raise refuse("NOT_A_MASTER_POLICY", "this is a member record", pointer="/masterPolicy")
    raise refuse("MASTER_POLICY_NOT_FOUND", "there is no such master policy", pointer="/masterPolicy")
