"""Payments: the records of an account, one payment with all its records, where its money lies, what happened to it.

decision: the suspense queue lists every record with money in suspense or on no invoice, whether or not an entry was
opened for it, so that no money is overlooked; its age counts from the payment's transaction date (PAY-084).
"""

from __future__ import annotations

import datetime as dt
from enum import Enum
from typing import Any

import strawberry

from api.graphql.context import Context
from api.graphql.events import EffectiveFrom, EffectiveTo, Event, stream_history
from api.graphql.guard import read
from api.graphql.paging import DEFAULT_PAGE, After, Connection, First, check_range, page
from api.graphql.scalars import Money, Position, money
from api.graphql.sight import require_all_visible, visible_accounts
from domain.payments.payment import PAYMENT
from domain.payments.payment import PaymentRecord as RecordState
from projections.register.reads import (
    ALLOCATIONS,
    MEMBERS_OF_RECORD,
    PAYMENTS,
    SUSPENSE_QUEUE,
    covered_invoices,
    parts_of_payments,
    records_of_payment,
)

_DAY = dt.timedelta(days=1)


@strawberry.type(description="Money of a payment record on one line of an invoice.")
class Allocation:
    invoice: str = strawberry.field(description="The invoice.")
    line: int = strawberry.field(description="The line.")
    member_record: str = strawberry.field(description="The member record.")
    coverage: str = strawberry.field(description="The coverage.")
    amount: Money = strawberry.field(description="The amount on the line.")
    position: Position = strawberry.field(description="The position of the last allocation to it.")


@strawberry.type(description="An invoice that a payment record covers.")
class CoveredInvoice:
    invoice: str = strawberry.field(description="The invoice.")
    issue_date: dt.date = strawberry.field(description="The day it was issued.")
    due_date: dt.date = strawberry.field(description="The day it is due.")
    period_start: dt.date = strawberry.field(description="The first day of its period.")
    period_end: dt.date = strawberry.field(description="The last day of its period.")
    applied: Money = strawberry.field(description="The amount on it.")


@strawberry.type(description="Why and when a payment's money went to general suspense.")
class Suspension:
    reason: str = strawberry.field(description="The reason.")
    date: dt.date = strawberry.field(description="The day.")
    text: str | None = strawberry.field(description="What was said about it.")


@strawberry.type(description="A member's money of a payment record that is on no item.")
class MemberMoney:
    member_record: str = strawberry.field(description="The member record.")
    member_unapplied: Money = strawberry.field(description="Money of the member on no item.")
    member_overpayment: Money = strawberry.field(description="Money of the member above what was owed.")


@strawberry.type(description="The part of a payment that lies on one account.")
class PaymentRecord:
    record: strawberry.ID = strawberry.field(description="The record's id.")
    payment: str = strawberry.field(description="The payment number.")
    account: str = strawberry.field(description="The account.")
    category: str = strawberry.field(description="What kind of payment it is.")
    status: str | None = strawberry.field(description="Its status.")
    explanation: str | None = strawberry.field(description="Why its money lies where it does, if that needs a word.")
    transaction_date: dt.date = strawberry.field(description="When the payment was made.")
    effective_date: dt.date = strawberry.field(description="From when it counts.")
    amount: Money = strawberry.field(description="Its amount.")
    allocated: Money = strawberry.field(description="Money on items.")
    unapplied: Money = strawberry.field(description="Money on no invoice and no member.")
    member_unapplied: Money = strawberry.field(description="Money of members on no item.")
    member_overpayment: Money = strawberry.field(description="Money of members above what they owe.")
    refunded: Money = strawberry.field(description="Money that went back.")
    transferred: Money = strawberry.field(description="Money that went on to other accounts; no part of its amount.")
    suspended: Money = strawberry.field(description="Money in general suspense; no part of its amount.")
    currency: strawberry.Private[str]

    @strawberry.field(description="How it was paid.")
    async def method(self, info: strawberry.Info) -> str | None:
        details = (await self._state(info.context)).details
        return None if details is None else str(details.method)

    @strawberry.field(
        description="CLEARED, ISSUED (a check that counts already), AWAITING the bank, SETTLED or FAILED (PAY-012)."
    )
    async def funds_status(self, info: strawberry.Info) -> str:
        return str((await self._state(info.context)).funds_status)

    @strawberry.field(description="MANUAL or AUTOMATIC.")
    async def initiation(self, info: strawberry.Info) -> str | None:
        details = (await self._state(info.context)).details
        return None if details is None else str(details.initiation)

    @strawberry.field(description="The way it came: UI, PORTAL, EXTERNAL, PAYMENT_HUB and so on.")
    async def channel(self, info: strawberry.Info) -> str | None:
        details = (await self._state(info.context)).details
        return None if details is None else str(details.channel)

    @strawberry.field(description="What an internal payment is of: CLAIM_DEDUCTION, CASH_DEDUCTION or APL.")
    async def subtype(self, info: strawberry.Info) -> str | None:
        details = (await self._state(info.context)).details
        return None if details is None or details.subtype is None else str(details.subtype)

    @strawberry.field(description="Whether the bank collects it through the hub.")
    async def bank_processing(self, info: strawberry.Info) -> bool:
        details = (await self._state(info.context)).details
        return details is not None and details.bank_processing

    @strawberry.field(description="Until when it was said to be valid.")
    async def expiration_date(self, info: strawberry.Info) -> dt.date | None:
        return (await self._state(info.context)).expiration_date

    @strawberry.field(description="The payer's reference.")
    async def reference(self, info: strawberry.Info) -> str | None:
        details = (await self._state(info.context)).details
        return None if details is None else details.reference

    @strawberry.field(description="Why its money is in general suspense, or was when it was reversed; null: it is not.")
    async def suspension(self, info: strawberry.Info) -> Suspension | None:
        found = (await self._state(info.context)).suspension
        return None if found is None else Suspension(reason=found.reason, date=found.date, text=found.text)

    @strawberry.field(
        description="What of the payment lies on accounts outside the caller's scope, as one line `other accounts`;"
        " null: nothing does."
    )
    async def other_accounts(self, info: strawberry.Info) -> Money | None:
        context: Context = info.context
        return _other_accounts(context, await _parts_of(context, self.payment))

    @strawberry.field(description="The position of its stream, for `expected_version`.")
    async def version(self, info: strawberry.Info) -> int:
        loaded = await info.context.state_of(PAYMENT, str(self.record))
        return 0 if loaded is None else int(loaded.version)

    @strawberry.field(description="Where its money lies on items, by invoice and line.")
    def allocations(
        self, info: strawberry.Info, first: First = DEFAULT_PAGE, after: After = None
    ) -> Connection[Allocation]:
        currency = self.currency
        return page(
            info.context,
            ALLOCATIONS,
            {"record": self.record},
            first,
            after,
            lambda row: Allocation(
                invoice=row["invoice"],
                line=row["line"],
                member_record=row["member"],
                coverage=row["coverage"],
                amount=money(row["amount"], currency),
                position=row["position"],
            ),
        )

    @strawberry.field(description="The members it holds money for that is on no item, by record number (BAL-039).")
    def members(
        self, info: strawberry.Info, first: First = DEFAULT_PAGE, after: After = None
    ) -> Connection[MemberMoney]:
        currency = self.currency
        return page(
            info.context,
            MEMBERS_OF_RECORD,
            {"record": self.record},
            first,
            after,
            lambda row: MemberMoney(
                member_record=row["member"],
                member_unapplied=money(row["member_unapplied"], currency),
                member_overpayment=money(row["member_overpayment"], currency),
            ),
        )

    @strawberry.field(description="The invoices it covers, one row an invoice.")
    async def invoices(self, info: strawberry.Info) -> list[CoveredInvoice]:
        context: Context = info.context
        rows = await context.batched(
            "covered invoices", lambda keys: covered_invoices(context.reads, keys), str(self.record)
        )
        return [
            CoveredInvoice(
                invoice=row["invoice"],
                issue_date=row["issue_date"],
                due_date=row["due_date"],
                period_start=row["period_start"],
                period_end=row["period_end"] - _DAY,
                applied=money(row["amount"], self.currency),
            )
            for row in rows or ()
        ]

    @strawberry.field(
        description="What happened to it, in order; `asOf` limits it to what was recorded by then. Refused when parts"
        " of the payment lie outside the caller's scope: the events name them."
    )
    async def history(
        self,
        info: strawberry.Info,
        first: First = DEFAULT_PAGE,
        after: After = None,
        as_of: dt.datetime | None = None,
        date_from: EffectiveFrom = None,
        date_to: EffectiveTo = None,
    ) -> Connection[Event]:
        require_all_visible(info.context, [part["account"] for part in await _parts_of(info.context, self.payment)])
        return stream_history(
            info.context, [PAYMENT.stream(str(self.record))], first, after, as_of, date_from=date_from, date_to=date_to
        )

    async def _state(self, context: Context) -> RecordState:
        loaded = await context.state_of(PAYMENT, str(self.record))
        assert loaded is not None
        return loaded.state


@strawberry.type(description="A payment: the money that came in under one number, with its parts by account.")
class Payment:
    number: strawberry.ID = strawberry.field(description="The payment number.")
    amount: Money = strawberry.field(
        description="What was received, of the parts that are visible: their amounts and general suspense (BAL-008)."
    )
    allocated: Money = strawberry.field(description="Of this, money on items.")
    member_overpayment: Money = strawberry.field(description="Of this, money of members above what they owe.")
    suspense: Money = strawberry.field(
        description="Of this, unapplied and member unapplied; by account in `records` (BAL-035)."
    )
    general_suspense: Money = strawberry.field(description="Of this, with the hub, on no account.")
    refunded: Money = strawberry.field(description="Of this, what went back to the payer.")
    transferred: Money = strawberry.field(description="What moved between its parts or out of them.")
    records: list[PaymentRecord] = strawberry.field(description="Its visible parts, in the order of their creation.")
    other_accounts: Money | None = strawberry.field(
        description="The sum of its parts on accounts outside the caller's scope, the line `other accounts`;"
        " null: there are none."
    )


@strawberry.enum(description="Where money without a home lies (PAY-084).")
class SuspensePlace(Enum):
    GENERAL_SUSPENSE = strawberry.enum_value("GENERAL_SUSPENSE", description="With the hub, out of all balances.")
    UNAPPLIED = strawberry.enum_value("UNAPPLIED", description="On the account, on no invoice; its owner is known.")


@strawberry.type(description="Money without a home, an entry of the suspense queue (PAY-084 to PAY-086).")
class SuspenseItem:
    record: PaymentRecord = strawberry.field(description="The payment record.")
    place: SuspensePlace = strawberry.field(description="Where the money lies.")
    amount: Money = strawberry.field(
        description="What is open now: the suspended amount, else what is unapplied, members' too."
    )
    reason: str | None = strawberry.field(description="Why it was suspended, or why it is still unapplied.")
    receipt_date: dt.date = strawberry.field(description="When the payment was made.")
    age_days: int = strawberry.field(description="Days since then.")

    @strawberry.field(description="What was said when it was suspended.")
    async def text(self, info: strawberry.Info) -> str | None:
        if self.place is not SuspensePlace.GENERAL_SUSPENSE:
            return None
        found = (await self.record._state(info.context)).suspension
        return None if found is None else found.text

    @strawberry.field(description="The reference of its open entry, SUS- and eight digits; null: none was opened.")
    async def reference(self, info: strawberry.Info) -> str | None:
        entries = (await self.record._state(info.context)).suspense
        return entries[-1].reference if entries else None


async def _parts_of(context: Context, payment: str) -> list[dict[str, Any]]:
    """The parts of a payment, loaded together with those of the other payments of the answer."""
    found = await context.batched("parts of payments", lambda keys: parts_of_payments(context.reads, keys), payment)
    return found or []


def _other_accounts(context: Context, parts: list[dict[str, Any]]) -> Money | None:
    """The sum of the parts that the caller does not see (PLT-035); None when all are seen."""
    visible = visible_accounts(context, (part["account"] for part in parts))
    hidden = [part for part in parts if part["account"] not in visible]
    if not hidden:
        return None
    return money(sum(part["amount"] for part in hidden), hidden[0]["currency"])


def record_of(row: dict[str, Any]) -> PaymentRecord:
    """The record of a row of the register with its currency."""
    currency = row["currency"]
    return PaymentRecord(
        record=strawberry.ID(row["record"]),
        payment=row["payment"],
        account=row["account"],
        category=row["category"],
        status=row["status"],
        explanation=row["explanation"],
        transaction_date=row["transaction_date"],
        effective_date=row["effective_date"],
        amount=money(row["amount"], currency),
        allocated=money(row["items"], currency),
        unapplied=money(row["unapplied"], currency),
        member_unapplied=money(row["member_unapplied"], currency),
        member_overpayment=money(row["member_overpayment"], currency),
        refunded=money(row["refunded"], currency),
        transferred=money(row["transferred"], currency),
        suspended=money(row["suspended"], currency),
        currency=currency,
    )


def _payment(context: Context, rows: list[dict[str, Any]], visible: list[dict[str, Any]]) -> Payment:
    currency = rows[0]["currency"]

    def added(*columns: str) -> Money:
        return money(sum(row[column] for row in visible for column in columns), currency)

    return Payment(
        number=strawberry.ID(rows[0]["payment"]),
        amount=added("amount", "suspended"),
        allocated=added("items"),
        member_overpayment=added("member_overpayment"),
        suspense=added("unapplied", "member_unapplied"),
        general_suspense=added("suspended"),
        refunded=added("refunded"),
        transferred=added("transferred"),
        records=[record_of(row) for row in visible],
        other_accounts=_other_accounts(context, rows),
    )


def payments_of(
    context: Context,
    account: str,
    first: int,
    after: str | None,
    *,
    status: str | None = None,
    category: str | None = None,
    date_from: dt.date | None = None,
    date_to: dt.date | None = None,
) -> Connection[PaymentRecord]:
    """A page of an account's records, the newest transaction first. Raises DATE_RANGE_INVALID."""
    check_range(date_from, date_to)
    parameters = {
        "account": account, "status": status, "category": category, "date_from": date_from, "date_to": date_to,
    }  # fmt: skip
    return page(context, PAYMENTS, parameters, first, after, record_of)


def _suspense_item(row: dict[str, Any], today: dt.date) -> SuspenseItem:
    return SuspenseItem(
        record=record_of(row),
        place=SuspensePlace(row["place"]),
        amount=money(row["open_amount"], row["currency"]),
        reason=row["reason"],
        receipt_date=row["transaction_date"],
        age_days=max((today - row["transaction_date"]).days, 0),
    )


@strawberry.type
class PaymentQueries:
    """The root fields of payments."""

    @read("payment.view", "One payment with its records; null when there is none.")
    def payment(
        self,
        info: strawberry.Info,
        number: str,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> Payment | None:
        rows = records_of_payment(info.context.reads, number.strip().upper())
        if not rows:
            return None
        visible = visible_accounts(info.context, (row["account"] for row in rows))
        return _payment(info.context, rows, [row for row in rows if row["account"] in visible])

    @read("payment.view", "The payment records of an account, the newest transaction first.")
    def payments(
        self,
        info: strawberry.Info,
        account: str,
        first: First = DEFAULT_PAGE,
        after: After = None,
        status: str | None = None,
        category: str | None = None,
        date_from: dt.date | None = None,
        date_to: dt.date | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> Connection[PaymentRecord]:
        return payments_of(
            info.context, account, first, after, status=status, category=category, date_from=date_from, date_to=date_to
        )

    @read(
        "payment.view",
        "The suspense queue: payment records with money that is suspended, or on no invoice, the oldest first; all"
        " criteria hold together.",
    )
    def suspense_queue(
        self,
        info: strawberry.Info,
        first: First = DEFAULT_PAGE,
        after: After = None,
        account: str | None = None,
        place: SuspensePlace | None = None,
        reason: str | None = None,
        date_from: dt.date | None = None,
        date_to: dt.date | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> Connection[SuspenseItem]:
        check_range(date_from, date_to)
        context: Context = info.context
        today = context.today()
        parameters = {
            "account": account, "place": None if place is None else place.value, "reason": reason,
            "date_from": date_from, "date_to": date_to,
        }  # fmt: skip
        return page(context, SUSPENSE_QUEUE, parameters, first, after, lambda row: _suspense_item(row, today))
