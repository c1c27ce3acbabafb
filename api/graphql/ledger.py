"""The ledger: journal entries with their lines, the trial balance, and its agreement with the balances (11)."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Final

import strawberry

from api.graphql.context import Context
from api.graphql.events import Event, event_of
from api.graphql.guard import read
from api.graphql.paging import DEFAULT_PAGE, After, Connection, First, page
from api.graphql.scalars import Money, Position, money
from domain.errors import refuse
from domain.ledger.chart import CHART
from domain.ledger.reports import controls
from projections.ledger.reads import ENTRIES, control_sides, line_counts, lines_of, trial_balance

#: Lines of an entry that are shown at once.
MOST_LINES: Final = 1_000

Lines = Annotated[int, strawberry.argument(description=f"How many of them, 1 to {MOST_LINES}.")]
Behind = Annotated[int, strawberry.argument(description="The number of the line before the first one.")]


@strawberry.type(description="A line of a journal entry: exactly one of debit and credit is above 0.")
class JournalLine:
    number: int = strawberry.field(description="Its number in the entry.")
    code: str = strawberry.field(description="The ledger account.")
    name: str = strawberry.field(description="The ledger account's name.")
    entity: str = strawberry.field(description="The accountable entity.")
    debit: Money = strawberry.field(description="The debit.")
    credit: Money = strawberry.field(description="The credit.")
    account: str | None = strawberry.field(description="The billing account.")
    master_policy: str | None = strawberry.field(description="The master policy.")
    coverage: str | None = strawberry.field(description="The coverage.")
    amount_type: str | None = strawberry.field(description="PREMIUM, FEE, TAX or PRODUCT_ITEM.")
    invoice: str | None = strawberry.field(description="The invoice.")
    item: str | None = strawberry.field(description="The invoice line, as invoice/line.")
    payment: str | None = strawberry.field(description="The payment.")


@strawberry.type(description="A journal entry: one event that moves money, balanced.")
class JournalEntry:
    position: Position = strawberry.field(description="The position of its event.")
    transaction_id: strawberry.ID = strawberry.field(description="The id of its event (LED-004).")
    stream: str = strawberry.field(description="The stream of its event.")
    type: str = strawberry.field(description="INVOICE_ISSUED, PAYMENT_RECEIVED ...")
    transaction_class: str = strawberry.field(description="INVOICE or PAYMENT.")
    operation: str | None = strawberry.field(description="DIRECT_PAYMENT or PAYMENT_ALLOCATION.")
    account: str = strawberry.field(description="The billing account.")
    recorded_at: dt.datetime = strawberry.field(description="Its timestamp, that of all its lines.")
    effective_date: dt.date = strawberry.field(description="The effective date of the event.")
    accounting_date: dt.date = strawberry.field(description="The day on which it counts.")
    total: Money = strawberry.field(description="The sum of its debits.")
    currency: strawberry.Private[str]

    @strawberry.field(description="How many lines it has: a payment of a large group has two an invoice line.")
    async def line_count(self, info: strawberry.Info) -> int:
        context: Context = info.context
        return (
            await context.batched("line counts", lambda keys: line_counts(context.reads, keys), int(self.position)) or 0
        )

    @strawberry.field(description="Its lines, by number from 1.")
    async def lines(self, info: strawberry.Info, first: Lines = MOST_LINES, after: Behind = 0) -> list[JournalLine]:
        context: Context = info.context
        if not 1 <= first <= MOST_LINES:
            raise refuse("REQUEST_INVALID", f"1 to {MOST_LINES} lines", pointer="/first")
        if after < 0:
            raise refuse("REQUEST_INVALID", "the number of a line, or 0", pointer="/after")
        found = await context.batched(
            ("journal lines", first, after),
            lambda keys: lines_of(context.reads, keys, after, first),
            int(self.position),
        )
        return [_line(row) for row in found or ()]

    @strawberry.field(description="The event it was posted from.")
    async def event(self, info: strawberry.Info) -> Event | None:
        context: Context = info.context
        found = await context.batched("events", context.history.at, int(self.position))
        return None if found is None else event_of(found)


@strawberry.type(description="A ledger account of an entity in a currency (LED-048). Balances are debits less credits.")
class TrialBalanceLine:
    entity: str
    code: str
    name: str
    opening: Money
    debits: Money
    credits: Money
    closing: Money


@strawberry.type(description="A control identity: what the ledger says and what the balances say (LED-049).")
class LedgerControl:
    number: str
    name: str
    ledger: Money
    projection: Money
    variance: Money


@strawberry.type(description="The agreement of the ledger with the balances.")
class LedgerReconciliation:
    position: Position = strawberry.field(description="The position both sides were compared at.")
    in_balance: bool = strawberry.field(description="Whether no identity has a variance.")
    controls: list[LedgerControl] = strawberry.field(description="The identities.")
    accounts_with_variance: list[str] = strawberry.field(description="Billing accounts whose identities differ.")


def _entry(row: dict[str, Any]) -> JournalEntry:
    return JournalEntry(
        position=row["position"],
        transaction_id=strawberry.ID(row["transaction_id"]),
        stream=row["stream"],
        type=row["type"],
        transaction_class=row["class"],
        operation=row["operation"],
        account=row["account"],
        recorded_at=row["recorded_at"],
        effective_date=row["effective_date"],
        accounting_date=row["accounting_date"],
        total=money(row["total"], row["currency"]),
        currency=row["currency"],
    )


def _line(row: dict[str, Any]) -> JournalLine:
    return JournalLine(
        number=row["number"],
        code=row["code"],
        name=CHART[row["code"]].name,
        entity=row["entity"],
        debit=money(row["debit"], row["currency"]),
        credit=money(row["credit"], row["currency"]),
        account=row["account"],
        master_policy=row["master_policy"],
        coverage=row["coverage"],
        amount_type=row["amount_type"],
        invoice=row["invoice"],
        item=row["item"],
        payment=row["payment"],
    )


@strawberry.type
class LedgerQueries:
    """The root fields of the ledger."""

    @read("ledger.view", "Journal entries in posting order; all criteria hold together.")
    def journal_entries(
        self,
        info: strawberry.Info,
        first: First = DEFAULT_PAGE,
        after: After = None,
        account: str | None = None,
        type: str | None = None,
        invoice: str | None = None,
        payment: str | None = None,
        date_from: dt.date | None = None,
        date_to: dt.date | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> Connection[JournalEntry]:
        context: Context = info.context
        parameters = {
            "account": account, "type": type, "invoice": invoice, "payment": payment, "date_from": date_from,
            "date_to": date_to,
        }  # fmt: skip
        return page(context, ENTRIES, parameters, first, after, _entry)

    @read("ledger.view", "Opening, debits, credits and closing by entity and account, for accounting dates (LED-048).")
    def trial_balance(
        self,
        info: strawberry.Info,
        date_from: dt.date | None = None,
        date_to: dt.date | None = None,
        entity: str | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> list[TrialBalanceLine]:
        context: Context = info.context
        rows = trial_balance(context.reads, date_from or dt.date.min, date_to or dt.date.max, entity)
        totals: dict[tuple[str, str], int] = {}
        for row in rows:
            key = (row["entity"], row["currency"])
            totals[key] = totals.get(key, 0) + row["opening"] + row["debits"] - row["credits"]
        if any(totals.values()):
            raise refuse("TRIAL_BALANCE_OUT_OF_BALANCE", "debits and credits differ")
        return [
            TrialBalanceLine(
                entity=row["entity"],
                code=row["code"],
                name=CHART[row["code"]].name,
                opening=money(row["opening"], row["currency"]),
                debits=money(row["debits"], row["currency"]),
                credits=money(row["credits"], row["currency"]),
                closing=money(row["opening"] + row["debits"] - row["credits"], row["currency"]),
            )
            for row in rows
        ]

    @read("ledger.view", "Whether the ledger and the balances tell one story, of one account or of all (LED-049).")
    def ledger_reconciliation(
        self,
        info: strawberry.Info,
        account: str | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> LedgerReconciliation:
        context: Context = info.context
        totals: dict[tuple[str, str, str], list[int]] = {}
        varying: list[str] = []
        for row in control_sides(context.reads, account):
            projection = {
                "remaining_due": row["remaining_due"],
                "open_credit": row["open_credit"],
                "due_and_unpaid": row["remaining_due"] - row["open_credit"],
                "unapplied": row["unapplied"],
                "member_unapplied": row["member_unapplied"],
                "member_overpayment": row["member_overpayment"],
                "suspended": row["suspended"],
                "billed_premium": row["billed_premium"],
            }
            found = controls(row["ledger"] or {}, projection)
            if any(one.variance for one in found):
                varying.append(row["account"])
            for one in found:
                total = totals.setdefault((one.number, one.name, row["currency"]), [0, 0])
                total[0] += one.ledger
                total[1] += one.projection
        shown = [
            LedgerControl(
                number=number,
                name=name,
                ledger=money(said, currency),
                projection=money(projected, currency),
                variance=money(projected - said, currency),
            )
            for (number, name, currency), (said, projected) in totals.items()
        ]
        return LedgerReconciliation(
            position=Position(context.session.position),
            in_balance=not varying,
            controls=shown,
            accounts_with_variance=varying[:200],
        )
