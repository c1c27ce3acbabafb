"""Open items, invoices and payment records as the tests of this room need them: short rows, amounts in minor units."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from domain.payments.allocation import OpenInvoice, OpenItems
from domain.payments.classification import (
    AccountKind,
    Category,
    Channel,
    Initiation,
    InternalSubtype,
    Method,
    PaymentDetails,
)
from domain.payments.payment import AllocatedItems, InvoiceLines, PaymentRecord
from domain.payments.receiving import Offer, PayingAccount, receive, received

TODAY = dt.date(2025, 3, 1)


def cents(amount: str) -> int:
    """Minor units of a decimal text as the rulebook prints it: "1,234.50"."""
    whole, _, fraction = amount.replace(",", "").partition(".")
    return int(whole) * 100 + int((fraction + "00")[:2])


@dataclass(frozen=True)
class Row:
    """One open item; line numbers are given by position."""

    invoice: str
    due: int
    member: str = "MR-1"
    coverage: str = "DENTAL"
    product: str = ""
    sequence: int = 1
    sequence_date: dt.date | None = None
    billing_start: dt.date | None = None
    modal_start: dt.date | None = None
    master_policy: str = "MP-1"
    held: int = 0
    offset: int = 0
    withheld: bool = False


def month_of(invoice: str) -> dt.date:
    """INV-1 is January 2025, INV-2 February, and so on."""
    number = int(invoice.rsplit("-", 1)[1])
    return dt.date(2025 + (number - 1) // 12, (number - 1) % 12 + 1, 1)


def open_items(rows: Sequence[Row]) -> OpenItems:
    """The rows as columns; line numbers count from 1 inside each invoice."""
    counts: dict[str, int] = {}
    lines = []
    for row in rows:
        counts[row.invoice] = counts.get(row.invoice, 0) + 1
        lines.append(counts[row.invoice])
    return OpenItems(
        invoices=[row.invoice for row in rows],
        lines=lines,
        members=[row.member for row in rows],
        coverages=[row.coverage for row in rows],
        sequences=[row.sequence for row in rows],
        sequence_dates=[row.sequence_date for row in rows],
        billing_starts=[row.billing_start or month_of(row.invoice) for row in rows],
        modal_starts=[row.modal_start or row.billing_start or month_of(row.invoice) for row in rows],
        products=[row.product or row.coverage for row in rows],
        due=[row.due for row in rows],
        master_policies=[row.master_policy for row in rows],
        held=[row.held for row in rows],
        offset=[row.offset for row in rows],
        withheld=[row.withheld for row in rows],
    )


def open_invoices(*numbers: str, tolerated: Sequence[str] = ()) -> list[OpenInvoice]:
    """Live invoices due on the first of their month."""
    return [OpenInvoice(number, month_of(number), month_of(number), number in tolerated) for number in numbers]


def simple(**dues: int) -> tuple[OpenItems, list[OpenInvoice]]:
    """One item an invoice: simple(INV_1=10000)."""
    numbers = [name.replace("_", "-") for name in dues]
    rows = [Row(number, due) for number, due in zip(numbers, dues.values(), strict=True)]
    return open_items(rows), open_invoices(*numbers)


def by_line(lines: Sequence[InvoiceLines]) -> dict[tuple[str, int], int]:
    """Amounts by (invoice, line)."""
    return {
        (part.invoice, line): amount for part in lines for line, amount in zip(part.lines, part.amounts, strict=True)
    }


def by_invoice(lines: Sequence[InvoiceLines]) -> dict[str, int]:
    """Amounts by invoice."""
    return {part.invoice: part.total for part in lines}


def allocated(rows: Sequence[tuple[str, int, str | None, int]]) -> AllocatedItems:
    """Rows (invoice, line, member, amount) as columns."""
    if not rows:
        return AllocatedItems()
    invoices, lines, members, amounts = zip(*rows, strict=True)
    return AllocatedItems(invoices, lines, members, amounts)


def details(category: Category = Category.BANKING, **overrides: object) -> PaymentDetails:
    """Complete details of a payment that is registered only."""
    method = {
        Category.BANKING: Method.CASH,
        Category.INTERNAL: Method.INTERNAL,
        Category.CUSTOMER_CREDIT: Method.CREDIT,
    }[category]
    values: dict[str, object] = {
        "category": category,
        "method": method,
        "initiation": Initiation.MANUAL,
        "channel": Channel.UI,
    }
    if category is Category.INTERNAL:
        values |= {"subtype": InternalSubtype.CLAIM_DEDUCTION, "related_entity": "CLM-1"}
    return PaymentDetails(**(values | overrides))


def account(kind: AccountKind, number: str = "BA-1") -> PayingAccount:
    return PayingAccount(number, True, True, kind, "USD")


def offer(amount: int, stated: PaymentDetails | None = None, **overrides: object) -> Offer:
    values: dict[str, object] = {
        "amount": amount,
        "currency": "USD",
        "details": stated or details(),
        "transaction_date": TODAY,
        "effective_date": TODAY,
    }
    return Offer(**(values | overrides))


def record(
    kind: AccountKind,
    amount: int,
    *,
    category: Category = Category.BANKING,
    number: str = "PAY-00000001",
    record_id: str | None = None,
    account_number: str = "BA-1",
    **overrides: object,
) -> PaymentRecord:
    """A payment record in force with everything unapplied."""
    events = receive(
        offer(amount, details(category, **overrides)),
        account(kind, account_number),
        number=number,
        record=record_id or number,
        today=TODAY,
    )
    return received(events)
