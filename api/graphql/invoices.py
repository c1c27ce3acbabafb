"""Invoices: the list of an account, one invoice with its statement and its lines, the money on it."""

from __future__ import annotations

import datetime as dt
from enum import Enum
from typing import Annotated, Any, Final

import strawberry

from api.graphql.context import Context
from api.graphql.events import EffectiveFrom, EffectiveTo, Event, stream_history
from api.graphql.guard import needs, read
from api.graphql.paging import DEFAULT_PAGE, After, Connection, First, check_range, page
from api.graphql.personal import of_member
from api.graphql.reading import reading
from api.graphql.scalars import Money, Position, money
from application.parameters import parameters_in_force
from application.query_trail import DataClass
from domain.accounts.account import ACCOUNT
from domain.accounts.holds import HoldStatus, HoldType
from domain.errors import refuse
from domain.invoices.invoice import INVOICE, InvoiceInitialised, RuntimeStatus
from domain.invoices.invoice import Invoice as InvoiceState
from domain.invoices.lines import LinePart
from domain.invoices.views import invoice_badges, shown_amounts
from domain.members.record import MEMBER_RECORD
from domain.members.views import DerivedState, derived_state
from domain.payments.classification import account_kind
from domain.payments.payment import PAYMENT, MemberOverpaymentAllocated
from domain.products.master_policy import MASTER_POLICY
from projections.register import reads
from projections.register.reads import (
    INVOICES,
    INVOICES_NEWEST_FIRST,
    ITEM_ORDERS,
    find_member,
    invoices_with_waivers,
    item_filter,
    names_of,
    payments_on_invoices,
    periods_of_invoice,
    products_of_invoice,
    records_on_invoices,
)

_DAY = dt.timedelta(days=1)


#: Bill types whose lists begin with the oldest invoice (INV-230).
_OLDEST_FIRST: Final = frozenset({"LIST_BILL", "INDIVIDUAL_DIRECT", "FLEXIBILL"})


@strawberry.enum(description="The orders of an invoice's lines (INV-237, INV-238); text by code point.")
class ItemOrder(Enum):
    MEMBER = "MEMBER"
    MEMBER_REVERSED = "MEMBER_REVERSED"
    POLICY = "POLICY"
    COVERAGE = "COVERAGE"
    LOCATION = "LOCATION"
    LINE = "LINE"


Order = Annotated[
    ItemOrder,
    strawberry.argument(
        description="MEMBER: last name, first name, customer number, member record number, all four turned in"
        " MEMBER_REVERSED; the others by their own value, then by MEMBER. Names order nothing for callers without"
        " `member.view`. LINE: as issued."
    ),
]
Products = Annotated[list[str] | None, strawberry.argument(description="Only lines of these products, see `products`.")]
Search = Annotated[
    str | None,
    strawberry.argument(
        description="Only lines of the member record with this number; for holders of `member.view` also by a part of"
        " the name or the employee number."
    ),
]


@strawberry.type(description="One amount of a bill.")
class ShownAmount:
    name: str = strawberry.field(description="Which amount: the name of the statement's field.")
    amount: Money = strawberry.field(description="The amount.")


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
    shown: list[ShownAmount] = strawberry.field(
        description="The amounts that the bill shows, in its order: which ones depends on bill type and allocation mode"
        " (INV-052)."
    )


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
    product: str | None = strawberry.field(description="On a product item: the product. It has no member record.")
    installment: int | None = strawberry.field(description="On a product item: the number of the installment.")
    component: str | None = strawberry.field(description="On a product item: the price component, NET or TAX.")
    amount: Money = strawberry.field(description="The amount as printed.")
    billed: Money = strawberry.field(description="The amount as counted: a charge together with its waiver.")
    paid: Money = strawberry.field(description="Money on it.")
    offset: Money = strawberry.field(description="Set against credits or charges.")
    written_off: Money = strawberry.field(description="Written off.")
    held: Money = strawberry.field(description="Held by a reconciliation hold.")
    paid_units: strawberry.Private[int]
    remaining_due: Money = strawberry.field(description="What is left: billed less paid, offset and written off.")

    @strawberry.field(
        description="The person's last name. Needs `member.view`.",
        permission_classes=[needs("member.view")],
        extensions=[of_member(DataClass.IDENTITY)],
    )
    async def last_name(self, info: strawberry.Info) -> str | None:
        return (await self._person(info.context)).get("last_name")

    @strawberry.field(
        description="The person's first name. Needs `member.view`.",
        permission_classes=[needs("member.view")],
        extensions=[of_member(DataClass.IDENTITY)],
    )
    async def first_name(self, info: strawberry.Info) -> str | None:
        return (await self._person(info.context)).get("first_name")

    @strawberry.field(
        description="Marks of the line (INV-240): PREMIUM_WAIVER, it is waived or waives; OVERPAYMENT_APPLIED, money"
        " that the member had paid too much is on it; STOP_BILLING, the member is not billed today."
    )
    async def indicators(self, info: strawberry.Info) -> list[str]:
        context: Context = info.context
        record = await context.state_of(MEMBER_RECORD, self.member_record)
        initialised = await _initialised(context, self.invoice)
        overpaid = await _overpaid_lines(context, initialised)
        stopped = record is not None and derived_state(record.state, context.today()) is DerivedState.STOPPED
        shown = {
            "PREMIUM_WAIVER": self.part == LinePart.WAIVER or self.amount != self.billed,
            "OVERPAYMENT_APPLIED": self.line in overpaid and self.paid_units > 0,
            "STOP_BILLING": stopped,
        }
        return [name for name, is_shown in shown.items() if is_shown]

    async def _person(self, context: Context) -> dict[str, Any]:
        found = await context.batched("names", lambda members: names_of(context.reads, members), self.member_record)
        return found or {}


@strawberry.type(description="The lines of an invoice in one invoicing period: the invoiced one or an earlier one.")
class InvoicePeriod:
    start: dt.date = strawberry.field(description="The first day.")
    end: dt.date = strawberry.field(description="The last day.")
    invoiced: bool = strawberry.field(description="Whether it is the invoice's own period; else an earlier one.")
    lines: int = strawberry.field(description="How many of the chosen lines belong to it.")
    amount: Money = strawberry.field(description="Their sum as printed.")
    billed: Money = strawberry.field(description="Their sum as counted.")
    remaining_due: Money = strawberry.field(description="What is left on the positive ones.")


# decision: the product that rows are chosen by is the coverage, the only kind of item that is charged (MEM-016).
@strawberry.type(description="A product with lines on an invoice.")
class InvoiceProduct:
    product: str = strawberry.field(description="The coverage.")
    plans: list[str] = strawberry.field(description="The plans it comes in on this invoice; empty: none is named.")


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
    paid: Money = strawberry.field(description="Money on its positive lines; `payments` tells whose (BAL-038).")
    offset: Money = strawberry.field(description="Of its positive lines, what credits were set against.")
    written_off: Money = strawberry.field(description="Of its positive lines, what was written off.")
    remaining_due: Money = strawberry.field(description="What is left of its positive lines.")
    open_credit: Money = strawberry.field(description="Credit of its negative lines that was not used.")
    payable: Money = strawberry.field(description="Remaining due less open credit; below 0 it is a credit (BAL-005).")
    held: Money = strawberry.field(description="Held amount.")
    collectible_due: Money = strawberry.field(description="Remaining due less what is held, never below 0 (BAL-006).")
    total_due: Money = strawberry.field(description="The total due as issued.")
    position: Position = strawberry.field(description="The position of its issue.")
    status: str = strawberry.field(description="ISSUED, PARTIALLY_PAID, PAID or DISCARDED (INV-072, INV-073).")
    currency: str = strawberry.field(description="ISO 4217 code.")
    collectible_units: strawberry.Private[int]
    time_zone: strawberry.Private[str]

    @strawberry.field(description="Marks beside it today, in the order of INV-075.")
    async def badges(self, info: strawberry.Info) -> list[str]:
        context: Context = info.context
        today = context.today(self.time_zone)
        made = await _initialised(context, str(self.number))
        waived = await context.batched(
            "invoices with waivers", lambda numbers: invoices_with_waivers(context.reads, numbers), str(self.number)
        )
        account = await context.state_of(ACCOUNT, self.account)
        holds = () if account is None else account.state.holds
        return [
            str(badge)
            for badge in invoice_badges(
                live=self.live,
                collectible_due=self.collectible_units,
                due_date=self.due_date,
                today=today,
                waived=bool(waived),
                overpayment_applied=bool(await _overpaid_lines(context, made)),
                invoice_hold=any(
                    one.type is HoldType.INVOICE and one.status_on(today) is HoldStatus.ACTIVE for one in holds
                ),
                regenerates=made.regenerates,
                late=made.late,
            )
        ]

    @strawberry.field(description="The bill type of the account when it was issued.")
    async def bill_type(self, info: strawberry.Info) -> str:
        return str((await _initialised(info.context, str(self.number))).bill_type)

    @strawberry.field(description="TRUE_GROUP or INDIVIDUAL, of list bill.")
    async def allocation_mode(self, info: strawberry.Info) -> str | None:
        mode = (await _initialised(info.context, str(self.number))).allocation_mode
        return None if mode is None else str(mode)

    @strawberry.field(description="MANUAL or AUTOMATED.")
    async def source(self, info: strawberry.Info) -> str:
        return str((await _initialised(info.context, str(self.number))).source)

    @strawberry.field(description="Who generated it: a user, or the job whose run did.")
    async def operator(self, info: strawberry.Info) -> str:
        return (await _initialised(info.context, str(self.number))).operator

    @strawberry.field(description="The discarded invoice that it was generated for again; null: none.")
    async def regenerates(self, info: strawberry.Info) -> str | None:
        return (await _initialised(info.context, str(self.number))).regenerates

    @strawberry.field(description="What its generation is found by in logs and in the histories of what it touched.")
    async def tracking_reference(self, info: strawberry.Info) -> str:
        # decision: the correlation id of the command or run that issued it, which its other events carry too.
        context: Context = info.context
        event = await context.batched("events", context.history.at, int(self.position))
        assert event is not None
        return str(event["correlation_id"])

    @strawberry.field(description="The frozen amounts of the statement.")
    async def statement(self, info: strawberry.Info) -> Statement | None:
        state = await self._state(info.context)
        amounts = state.statement
        if amounts is None:
            return None
        figures: dict[str, Any] = {
            name: None if (value := getattr(amounts, name)) is None else money(value, self.currency)
            for name in Statement.__annotations__
            if name != "shown"
        }
        names = shown_amounts(account_kind(state.bill_type, state.allocation_mode))
        shown = [ShownAmount(name=_camel(name), amount=figures[name]) for name in names if figures[name] is not None]
        return Statement(**figures, shown=shown)

    @strawberry.field(description="PERIOD: it bills a period of the account; INSTALLMENTS: those of products.")
    async def basis(self, info: strawberry.Info) -> str:
        return str((await _initialised(info.context, str(self.number))).basis)

    @strawberry.field(description="The next due day of the account's payment plan at its issue (CAL-138).")
    async def anniversary_date(self, info: strawberry.Info) -> dt.date | None:
        return (await _initialised(info.context, str(self.number))).anniversary_date

    @strawberry.field(description="How many lines it has.")
    async def lines(self, info: strawberry.Info) -> int:
        return (await self._state(info.context)).lines

    @strawberry.field(description="The invoice that took its place.")
    async def replaced_by(self, info: strawberry.Info) -> str | None:
        return (await self._state(info.context)).replaced_by

    @strawberry.field(
        description="Its lines, in order of their members; all criteria hold together (INV-239). That they were seen is"
        " recorded."
    )
    def items(
        self,
        info: strawberry.Info,
        first: First = DEFAULT_PAGE,
        after: After = None,
        order: Order = ItemOrder.MEMBER,
        member: str | None = None,
        coverage: str | None = None,
        products: Products = None,
        period: Annotated[
            dt.date | None, strawberry.argument(description="Only lines of the period with this first day.")
        ] = None,
        search: Search = None,
    ) -> Connection[InvoiceItem]:
        parameters = item_filter(
            str(self.number), member=member, coverage=coverage, products=products, period=period,
            text=_searched(search), names=_sees_names(info.context),
        )  # fmt: skip
        info.context.tell(INVOICE.stream(str(self.number)))
        listing = ITEM_ORDERS[order.value]
        return page(info.context, listing, parameters, first, after, lambda row: item_of_row(row, self.currency))

    @strawberry.field(
        description="The invoicing periods that it bills, its own first, then earlier ones; with the chosen lines each."
    )
    def periods(self, info: strawberry.Info, products: Products = None, search: Search = None) -> list[InvoicePeriod]:
        parameters = item_filter(
            str(self.number), products=products, text=_searched(search), names=_sees_names(info.context)
        )
        return [
            InvoicePeriod(
                start=row["billing_start"],
                end=row["billing_end"] - _DAY,
                invoiced=row["billing_start"] == self.period_start,
                lines=row["lines"],
                amount=money(row["amount"], self.currency),
                billed=money(row["billed"], self.currency),
                remaining_due=money(row["remaining_due"], self.currency),
            )
            for row in periods_of_invoice(info.context.reads, parameters)
        ]

    @strawberry.field(description="The products with lines on it, by which they can be chosen.")
    def products(self, info: strawberry.Info) -> list[InvoiceProduct]:
        return [
            InvoiceProduct(product=row["coverage"], plans=row["plans"] or [])
            for row in products_of_invoice(info.context.reads, str(self.number))
        ]

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
        self,
        info: strawberry.Info,
        first: First = DEFAULT_PAGE,
        after: After = None,
        as_of: dt.datetime | None = None,
        date_from: EffectiveFrom = None,
        date_to: EffectiveTo = None,
    ) -> Connection[Event]:
        return stream_history(
            info.context, [INVOICE.stream(str(self.number))], first, after, as_of, date_from=date_from, date_to=date_to
        )

    async def _state(self, context: Context) -> InvoiceState:
        loaded = await context.state_of(INVOICE, str(self.number))
        assert loaded is not None
        return loaded.state


async def _initialised(context: Context, invoice: str) -> InvoiceInitialised:
    """How an invoice was begun, together with those of the other rows of the answer."""

    def load(numbers: list[str]) -> dict[str, InvoiceInitialised]:
        streams = [INVOICE.stream(number) for number in numbers]
        return {event.number: event for _, event in context.history.of_types(streams, InvoiceInitialised)}

    found = await context.batched("invoices as initialised", load, invoice)
    assert found is not None
    return found


async def _overpaid_lines(context: Context, invoice: InvoiceInitialised) -> frozenset[int]:
    """The lines of an invoice on which money stands that members had paid too much (INV-240)."""
    if not account_kind(invoice.bill_type, invoice.allocation_mode).member_level:
        return frozenset()

    def load(numbers: list[str]) -> dict[str, frozenset[int]]:
        lines: dict[str, set[int]] = {}
        streams = [PAYMENT.stream(record) for record in records_on_invoices(context.reads, numbers)]
        for _, event in context.history.of_types(streams, MemberOverpaymentAllocated):
            for part in event.lines:
                lines.setdefault(part.invoice, set()).update(part.lines)
        return {number: frozenset(found) for number, found in lines.items()}

    return await context.batched("overpaid lines", load, invoice.number) or frozenset()


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _sees_names(context: Context) -> bool:
    # decision: the order of names, and whether one is found, already tell of people; so both are for who may see them.
    return "member.view" in context.principal.privileges


def _searched(text: str | None) -> str | None:
    """The text to look for. Raises REQUEST_INVALID for less than two characters."""
    if text is None:
        return None
    if len(text.strip()) < 2:
        raise refuse("REQUEST_INVALID", "at least two characters", pointer="/search")
    return text.strip()


def item_of_row(row: dict[str, Any], currency: str) -> InvoiceItem:
    """The line of a row of the register with its terms."""
    # A credit is used up by what it was set against, a charge is covered by it (BAL-002, BAL-003).
    offset = row["offset_amount"] if row["billed"] > 0 else -row["offset_amount"]
    settled = row["paid"] + offset + row["written_off"]
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
        product=row["product"],
        installment=row["installment"],
        component=row["component"],
        amount=money(row["amount"], currency),
        billed=money(row["billed"], currency),
        paid=money(row["paid"], currency),
        offset=money(row["offset_amount"], currency),
        written_off=money(row["written_off"], currency),
        held=money(row["held"], currency),
        paid_units=row["paid"],
        remaining_due=money(row["billed"] - settled, currency),
    )


def invoice_of(row: dict[str, Any]) -> Invoice:
    """The invoice of a row of the register with its currency."""
    currency = row["currency"]
    # A discarded invoice asks for nothing any more; what it asked for is in its statement.
    due, credit = (row["remaining_due"], row["open_credit"]) if row["live"] else (0, 0)
    offset = row["offset_amount"] if row["live"] else 0
    collectible = row["collectible_due"] if row["live"] else 0
    return Invoice(
        number=strawberry.ID(row["invoice"]),
        account=row["account"],
        period_start=row["period_start"],
        period_end=row["period_end"] - _DAY,
        issue_date=row["issue_date"],
        due_date=row["due_date"],
        live=row["live"],
        total_billed=money(row["positive_billed"] + row["negative_billed"], currency),
        paid=money(row["paid"], currency),
        offset=money(offset, currency),
        written_off=money(row["written_off"], currency),
        remaining_due=money(due, currency),
        open_credit=money(credit, currency),
        payable=money(due - credit, currency),
        collectible_due=money(collectible, currency),
        held=money(row["held"], currency),
        total_due=money(row["total_due"], currency),
        position=row["position"],
        status=row["status"],
        currency=currency,
        collectible_units=collectible,
        time_zone=row["time_zone"],
    )


def invoices_of(
    context: Context,
    account: str,
    first: int,
    after: str | None,
    *,
    newest_first: bool | None = None,
    recent: bool = False,
    live: bool | None = None,
    status: str | None = None,
    period_from: dt.date | None = None,
    period_to: dt.date | None = None,
    number: str | None = None,
) -> Connection[Invoice]:
    """A page of an account's invoices, in the order of its bill type unless told otherwise (INV-230, INV-231).

    Raises REQUEST_INVALID for a status that is none, DATE_RANGE_INVALID.
    """
    if status is not None and status not in RuntimeStatus.__members__:
        raise refuse("REQUEST_INVALID", f"one of {', '.join(RuntimeStatus)}", pointer="/status")
    check_range(period_from, period_to, "/periodFrom")
    if newest_first is None:
        row = reads.account_rows(context.reads, [account]).get(account)
        newest_first = row is not None and row["bill_type"] not in {None, *_OLDEST_FIRST}
    listing = INVOICES_NEWEST_FIRST if newest_first else INVOICES
    parameters = {
        "account": account, "live": live, "status": status, "period_from": period_from, "period_to": period_to,
        "number": number.strip().upper() if number else None, "recent": _recent(context) if recent else None,
    }  # fmt: skip
    return page(context, listing, parameters, first, after, invoice_of)


def recent_invoices(context: Context, account: str) -> list[Invoice]:
    """The card of the account home: the newest invoices, newest first (INV-230)."""
    return invoices_of(context, account, _recent(context), None, newest_first=True, recent=True).nodes


def _recent(context: Context) -> int:
    """How many invoices are recent: parameter `invoicing.recent_invoices`."""
    name = "invoicing.recent_invoices"
    rows = parameters_in_force(reading(context), (name,), {}, context.today())[name]
    assert isinstance(rows, int)
    return rows


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
    tracking_reference: str


@strawberry.type(description="What was billed for a plan on a day (INV-242).")
class TotalBilled:
    date: dt.date
    plan: str
    coverage: str
    amount: Money


NewestFirst = Annotated[
    bool | None,
    strawberry.argument(description="Default: by the bill type, oldest first for all but SELF_BILL (INV-230)."),
]
Recent = Annotated[
    bool, strawberry.argument(description="Only the newest ones, as many as `invoicing.recent_invoices` says.")
]
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

    @read(
        "invoice.view",
        "The invoices of an account, by period and time of issue; all criteria hold together. `periodFrom` and"
        " `periodTo` choose the invoices whose period they overlap.",
    )
    def invoices(
        self,
        info: strawberry.Info,
        account: str,
        first: First = DEFAULT_PAGE,
        after: After = None,
        newest_first: NewestFirst = None,
        recent: Recent = False,
        live: bool | None = None,
        status: str | None = None,
        period_from: dt.date | None = None,
        period_to: dt.date | None = None,
        number: Annotated[str | None, strawberry.argument(description="The number, or its beginning.")] = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> Connection[Invoice]:
        return invoices_of(
            info.context, account, first, after, newest_first=newest_first, recent=recent, live=live, status=status,
            period_from=period_from, period_to=period_to, number=number,
        )  # fmt: skip

    @read("invoice.view", "Total due, remaining due, due date and status of an invoice (INV-241).")
    async def invoice_summary(self, info: strawberry.Info, invoice: str) -> InvoiceSummary:
        if not invoice.strip():
            raise refuse("REQUEST_INVALID", "an invoice number", pointer="/invoice")
        found = find_invoice(info.context, invoice)
        if found is None:
            raise refuse("INVOICE_NOT_FOUND", "there is no such invoice", pointer="/invoice")
        return InvoiceSummary(
            invoice=str(found.number),
            total_due=found.total_due,
            remaining_due=found.remaining_due,
            due_date=found.due_date,
            status=found.status,
            tracking_reference=await found.tracking_reference(info),
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
