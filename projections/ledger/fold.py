"""The fold of the ledger: from events to journal entries by the rules of domain.ledger, one entry an event (LED-021).

decision: an invoice is posted by its sums over entity, policy, coverage, amount type and case, not line by line; its
lines stay in the register. What is posted at the issue is kept with the invoice, so
that a discard mirrors it to the cent whatever happened since. Lines about an item name invoice and line; member and
coverage follow from there.
decision: entries are in the account's currency, which is taken as the base currency of its entity; exchange into
another one has its rules in domain.ledger.exchange and waits for entities to state theirs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from application.log import RecordedEvent
from domain.accounts.account import BillingAccountCreated, MasterPolicyAssociated
from domain.invoices.invoice import (
    CreditPairs,
    InvoiceDiscarded,
    InvoiceIssued,
    InvoiceProjected,
    NegativeItemOffset,
    NegativeItemOffsetUndone,
    OpenCreditSetOff,
)
from domain.invoices.lines import LineTerms
from domain.ledger.chart import AmountType
from domain.ledger.journal import Dimensions, JournalLine, MoneyEvent, post
from domain.ledger.periods import accounting_date
from domain.ledger.postings import (
    Envelope,
    PostingTerms,
    amount_type_of,
    invoice_posting,
    line_cases,
    payment_posting,
    set_off_posting,
)
from domain.ledger.rules import Case
from domain.payments.payment import (
    NO_SOURCES,
    BucketMoved,
    MemberOverpaymentAllocated,
    MemberOverpaymentReleased,
    PaymentAllocated,
    PaymentDeclined,
    PaymentReceived,
    PaymentReleased,
    PaymentReversed,
    PaymentSettled,
    PaymentSuspended,
    PaymentTransferred,
    PaymentUnallocated,
    RecordIdentity,
    SuspenseSources,
)
from domain.products.master_policy import BillingProductCreated
from projections.engine import Mode, Projection, Rows
from projections.ledger.tables import TABLES

ledger = Projection("ledger", version=2, mode=Mode.FOLLOWING, tables=TABLES)

#: Between the parts of a key of sums: no identifier holds a control character.
_SEPARATOR = "\x1f"


# --- What postings need to know ---------------------------------------------------------------------------------------


@ledger.on(BillingAccountCreated)
def account_created(recorded: RecordedEvent, rows: Rows) -> None:
    event: BillingAccountCreated = recorded.event
    # Until a product gives the account its underwriting company, the account stands for its own entity.
    rows["book"].add({"account": event.number, "currency": event.currency, "entity": "", "changed": recorded.position})


@ledger.on(BillingProductCreated)
def product_created(recorded: RecordedEvent, rows: Rows) -> None:
    event: BillingProductCreated = recorded.event
    rows["policy"].add({"master_policy": event.master_policy, "entity": event.underwriting_company})


@ledger.on(
    MasterPolicyAssociated,
    book=lambda recorded: (recorded.event.number,),
    policy=lambda recorded: (recorded.event.master_policy,),
)
def policy_associated(recorded: RecordedEvent, rows: Rows) -> None:
    event: MasterPolicyAssociated = recorded.event
    book = rows["book"].require(event.number)
    if not book["entity"]:
        book["entity"] = rows["policy"].require(event.master_policy)["entity"]
        book["changed"] = recorded.position


# --- Invoices ---------------------------------------------------------------------------------------------------------


def _invoice(recorded: RecordedEvent) -> Iterable[str]:
    return (recorded.event.number,)


def _account(recorded: RecordedEvent) -> Iterable[str]:
    return (recorded.event.account,)


def _policies(recorded: RecordedEvent) -> Iterable[str]:
    return {terms.master_policy for terms in recorded.event.lines.terms if terms.master_policy}


@ledger.on(InvoiceProjected, billed=_invoice, book=_account, policy=_policies)
def invoice_projected(recorded: RecordedEvent, rows: Rows) -> None:
    event: InvoiceProjected = recorded.event
    row = rows["billed"].get(event.number)
    if row is None:
        row = {"invoice": event.number, "account": event.account, "sums": {}}
        rows["billed"].add(row)
    # Many lines share their terms: what these mean is looked up once for all of them.
    shared: dict[tuple[int, Case], tuple[LineTerms, int]] = {}
    for terms, case, amount in line_cases(event.lines):
        _, so_far = shared.get((id(terms), case)) or (terms, 0)
        shared[id(terms), case] = terms, so_far + amount
    sums = dict(row["sums"])
    for (_, case), (terms, amount) in shared.items():
        entity = _entity(rows, event.account, terms.master_policy)
        key = _SEPARATOR.join((entity, terms.master_policy, terms.coverage, amount_type_of(terms), case))
        sums[key] = sums.get(key, 0) + amount
    row["sums"] = sums


def _entity(rows: Rows, account: str, master_policy: str) -> str:
    """The accountable entity of a line (LED-006). decision: that of the account, where no policy names another one."""
    row = rows["policy"].require(master_policy) if master_policy else rows["book"].require(account)
    entity: str = row["entity"]
    return entity


@ledger.on(InvoiceIssued, billed=_invoice)
def invoice_issued(recorded: RecordedEvent, rows: Rows) -> None:
    _post_invoice(recorded, rows, discarded=False)


@ledger.on(InvoiceDiscarded, billed=_invoice)
def invoice_discarded(recorded: RecordedEvent, rows: Rows) -> None:
    _post_invoice(recorded, rows, discarded=True)


def _post_invoice(recorded: RecordedEvent, rows: Rows, *, discarded: bool) -> None:
    number: str = recorded.event.number
    billed = rows["billed"].get(number)
    if billed is None:
        return  # an invoice without lines moves nothing (LED-008)
    account = billed["account"]

    def terms(key: str) -> PostingTerms:
        entity, policy, coverage, amount_type, case = key.split(_SEPARATOR)
        dimensions = Dimensions(
            entity,
            account=account,
            master_policy=policy or None,
            coverage=coverage,
            amount_type=amount_type,
            invoice=number,
        )
        return PostingTerms(Case(case), AmountType(amount_type), dimensions)

    sums = [(terms(key), amount) for key, amount in sorted(billed["sums"].items())]
    currency = rows["book"].require(account)["currency"]
    _post(recorded, rows, invoice_posting(sums, _envelope(recorded), currency, discarded=discarded), account)


@ledger.on(NegativeItemOffset, OpenCreditSetOff, book=_account)
def credit_set_off(recorded: RecordedEvent, rows: Rows) -> None:
    _post_pairs(recorded, rows, undone=False)


@ledger.on(NegativeItemOffsetUndone, book=_account)
def credit_set_off_undone(recorded: RecordedEvent, rows: Rows) -> None:
    _post_pairs(recorded, rows, undone=True)


def _post_pairs(recorded: RecordedEvent, rows: Rows, *, undone: bool) -> None:
    account: str = recorded.event.account
    pairs: CreditPairs = recorded.event.pairs
    book = rows["book"].require(account)

    def item(invoice: str, line: int) -> Dimensions:
        return Dimensions(book["entity"], account=account, invoice=invoice, item=f"{invoice}/{line}")

    movements = (
        (amount, item(credit, credit_line), item(positive, positive_line))
        for credit, credit_line, positive, positive_line, amount in zip(
            pairs.negative_invoices,
            pairs.negative_lines,
            pairs.positive_invoices,
            pairs.positive_lines,
            pairs.amounts,
            strict=True,
        )
    )
    event = set_off_posting(movements, _envelope(recorded), book["currency"], undone=undone)
    _post(recorded, rows, event, account)


# --- Payments ---------------------------------------------------------------------------------------------------------


def _accounts_of_payment(recorded: RecordedEvent) -> Iterable[str]:
    targets = getattr(recorded.event, "targets", ())
    sources: SuspenseSources = getattr(recorded.event, "sources", NO_SOURCES)
    return {
        recorded.event.record.account,
        *(target.account for target in targets if hasattr(target, "account")),
        *sources.accounts,
    }


@ledger.on(
    PaymentReceived,
    PaymentSettled,
    PaymentAllocated,
    MemberOverpaymentAllocated,
    PaymentUnallocated,
    BucketMoved,
    MemberOverpaymentReleased,
    PaymentTransferred,
    PaymentSuspended,
    PaymentReleased,
    PaymentReversed,
    PaymentDeclined,
    book=_accounts_of_payment,
)
def payment_moved(recorded: RecordedEvent, rows: Rows) -> None:
    record: RecordIdentity = recorded.event.record
    account, entities = record.account, dict[str, str]()

    def entity_of(account: str) -> str:
        if account not in entities:
            entities[account] = rows["book"].require(account)["entity"]
        return entities[account]

    def item(invoice: str, line: int) -> Dimensions:
        return Dimensions(
            entity_of(account),
            account=account,
            invoice=invoice,
            item=f"{invoice}/{line}",
            payment=record.payment_number,
        )

    event = payment_posting(recorded.event, _envelope(recorded), entity_of, item)
    if event is not None:
        _post(recorded, rows, event, account)


# --- Posting ----------------------------------------------------------------------------------------------------------


def _envelope(recorded: RecordedEvent) -> Envelope:
    effective = recorded.effective_date or recorded.recorded_at.date()
    return Envelope(str(recorded.event_id), recorded.recorded_at, effective)


def _post(recorded: RecordedEvent, rows: Rows, event: MoneyEvent, account: str) -> None:
    """Write the entry of a money event, if it moves anything (LED-008)."""
    posting = post(event, accounting_date(event.timestamp, dt.UTC, {}))
    entry = posting.entry
    if entry is None:
        return
    rows["entry"].append(
        recorded.position,
        entry.transaction_id,
        recorded.stream,
        entry.type.value,
        entry.transaction_class.value,
        None if entry.operation is None else entry.operation.value,
        account,
        event.currency,
        entry.timestamp,
        entry.effective_date,
        entry.accounting_date,
        entry.total,
    )
    rows["line"].extend(_line(recorded.position, line, line.dimensions) for line in entry.lines)
    sums: dict[tuple[str, str, str, str], list[int]] = {}
    for line in entry.lines:
        told = line.dimensions
        total = sums.setdefault((told.entity, told.account or account, line.code, line.currency), [0, 0])
        total[0] += line.debit
        total[1] += line.credit
    for (entity, owner, code, currency), (debit, credit) in sums.items():
        _add(rows, "day", (entity, code, currency, entry.accounting_date), debit, credit)
        _add(rows, "balance", (owner, code), debit, credit)


def _line(position: int, line: JournalLine, told: Dimensions) -> tuple[Any, ...]:
    """A row of the table `line`."""
    return (
        position,
        line.number,
        line.code,
        told.entity,
        line.currency,
        line.debit,
        line.credit,
        told.account,
        told.master_policy,
        told.member,
        told.coverage,
        told.amount_type,
        told.invoice,
        told.item,
        told.payment,
    )


_KEYS = {"day": ("entity", "code", "currency", "accounting_date"), "balance": ("account", "code")}


def _add(rows: Rows, table: str, key: tuple[Any, ...], debit: int, credit: int) -> None:
    row = rows[table].get(key)
    if row is None:
        row = {**dict(zip(_KEYS[table], key, strict=True)), "debit": 0, "credit": 0}
        rows[table].add(row)
    row["debit"] += debit
    row["credit"] += credit
