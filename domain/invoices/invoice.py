"""The invoice: issued once, numbered for good, undone only by a discard that leaves it readable.

Its life: initialised for a period, projected (its lines, in chunks), balances calculated (the static statement),
issued; later its runtime status moves with the money on it; at the end it may be discarded, and another invoice may be
issued for the same period. Everything up to the issue happens in one unit of work, so a failed generation leaves no
trace but its failure event (INV-040 to INV-044, INV-070 to INV-076).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from enum import StrEnum

from domain.accounts.bill_type import AllocationMode, BillType
from domain.aggregate import Aggregate
from domain.errors import InvariantError, Problem, refuse
from domain.events import event
from domain.invoices.lines import LineChunk


class GenerationSource(StrEnum):
    MANUAL = "MANUAL"
    AUTOMATED = "AUTOMATED"


class InvoiceBasis(StrEnum):
    """What an invoice bills: an invoicing period of the account, or installments of products bought with a plan.

    An invoice of installments stands beside the account's periods: it neither takes nor frees one (CAL-136).
    """

    PERIOD = "PERIOD"
    INSTALLMENTS = "INSTALLMENTS"


class RuntimeStatus(StrEnum):
    """Derived from collectible due, never set (INV-072 to INV-074)."""

    ISSUED = "ISSUED"
    PARTIALLY_PAID = "PARTIALLY_PAID"
    PAID = "PAID"
    DISCARDED = "DISCARDED"


@dataclass(frozen=True, slots=True)
class StatementAmounts:
    """The static amounts of the statement, in minor units (BAL-045 to BAL-050); never changed after issue.

    Amounts that a bill type does not show are None (INV-052).
    """

    previous_balance: int | None
    payments_received: int | None
    outstanding_balance: int | None
    current_period_amount: int
    retro_added: int
    retro_credit: int
    adjustments: int | None
    balance_written_off: int
    current_due: int
    overpayment_allocated: int
    payments_allocated_to_invoices: int | None
    carried_forward: int
    total_due: int
    minimum_due: int
    minimum_current: int


@event()
class InvoiceInitialised:
    """Generation began for a period: dates, account model and currency are decided (INV-040 step 1).

    `anniversary_date`: the next due day of the account's payment plan, if it has one (CAL-138).
    """

    number: str
    sequence: int
    account: str
    owner: str
    bill_type: BillType
    allocation_mode: AllocationMode | None
    period_start: dt.date
    period_end: dt.date
    computed_due_date: dt.date
    due_date: dt.date
    due_date_corrections: tuple[str, ...]
    generation_date: dt.date
    late: bool
    currency: str
    source: GenerationSource
    operator: str
    issue_date: dt.date
    regenerates: str | None = None
    basis: InvoiceBasis = InvoiceBasis.PERIOD
    anniversary_date: dt.date | None = None


@event()
class InvoiceProjected:
    """A chunk of the invoice's lines (INV-040 steps 2 and 3); an invoice has one or many of these events."""

    number: str
    sequence: int
    account: str
    lines: LineChunk


@event()
class AnybConsumed:
    """What these members had not been billed yet on the account is on this invoice now (INV-041, PRM-126)."""

    number: str
    account: str
    members: tuple[str, ...]
    total: int


@event()
class InvoiceBalancesCalculated:
    """The static statement amounts are fixed (INV-040 step 5, BAL-042)."""

    number: str
    sequence: int
    account: str
    statement: StatementAmounts


@event()
class InvoiceIssued:
    """The invoice is issued; totals of its positive and negative net lines in minor units (INV-040 step 6)."""

    number: str
    sequence: int
    account: str
    owner: str
    period_start: dt.date
    period_end: dt.date
    issue_date: dt.date
    due_date: dt.date
    currency: str
    lines: int
    positive_total: int
    negative_total: int
    total_due: int
    runtime_status: RuntimeStatus


@event()
class InvoiceStatusChanged:
    """The runtime status moved with the money on the invoice (INV-074)."""

    number: str
    account: str
    old: RuntimeStatus
    new: RuntimeStatus
    cause: str


@dataclass(frozen=True, slots=True)
class CreditPairs:
    """Credits set against charges, as columns: `amounts[i]` (> 0) of a negative item on a positive one (BAL-061).

    Items are named by invoice number and line. A pair of items stands at most once in the columns.
    """

    negative_invoices: tuple[str, ...]
    negative_lines: tuple[int, ...]
    positive_invoices: tuple[str, ...]
    positive_lines: tuple[int, ...]
    amounts: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.amounts)

    def __len__(self) -> int:
        return len(self.amounts)


@event()
class NegativeItemOffset:
    """Credits of this invoice were matched with earlier charges of the same key (BAL-058 to BAL-061, BAL-078)."""

    account: str
    pairs: CreditPairs


@event()
class OpenCreditSetOff:
    """Credit that found no charge of its key was set off against other unpaid items (BAL-068)."""

    account: str
    pairs: CreditPairs


@event()
class NegativeItemOffsetUndone:
    """Pairs were undone because one of their invoices was discarded (BAL-075, BAL-076)."""

    account: str
    pairs: CreditPairs


@event()
class InvoiceDiscarded:
    """The invoice is undone; items, number and static amounts stay readable (INV-124, INV-129)."""

    number: str
    sequence: int
    account: str
    period_start: dt.date
    period_end: dt.date
    due_date: dt.date
    issue_date: dt.date
    reason: str
    source: GenerationSource
    statement: StatementAmounts
    positive_total: int
    negative_total: int
    unallocated: int
    freed_by_destination: dict[str, int]


@event()
class ItemsReturnedToPending:
    """The items of a discarded invoice wait to be billed again (INV-124 step 4)."""

    number: str
    account: str
    items: int


@event()
class InvoiceRegenerated:
    """A new invoice took the place of this discarded one (INV-140)."""

    number: str
    account: str
    replaced_by: str


@event()
class InvoiceGenerationFailed:
    """A generation ended without invoice: what was to be billed, and the cause (INV-043). In the account's stream.

    `failures` counts those of this period in a row, this one included. `retry_at` is when the job tries again; None:
    the retries are used up, and `task` waits for a user (CAL-079). `run_date` is the day the failed run worked up to.
    """

    account: str
    period_start: dt.date
    period_end: dt.date
    code: str
    detail: str
    source: GenerationSource
    run_date: dt.date
    failures: int
    failed_at: dt.datetime
    retry_at: dt.datetime | None
    task: str | None


@dataclass(frozen=True, slots=True)
class Invoice:
    """What decisions on an invoice need; its lines are in the register."""

    number: str = ""
    sequence: int = 0
    account: str = ""
    owner: str = ""
    bill_type: BillType = BillType.LIST_BILL
    allocation_mode: AllocationMode | None = None
    period_start: dt.date = dt.date.min
    period_end: dt.date = dt.date.min
    due_date: dt.date = dt.date.min
    issue_date: dt.date = dt.date.min
    currency: str = ""
    basis: InvoiceBasis = InvoiceBasis.PERIOD
    anniversary_date: dt.date | None = None
    lines: int = 0
    positive_total: int = 0
    negative_total: int = 0
    statement: StatementAmounts | None = None
    issued: bool = False
    discarded: bool = False
    runtime_status: RuntimeStatus = RuntimeStatus.ISSUED
    replaced_by: str | None = None


def evolve(state: Invoice, happened: object) -> Invoice:
    match happened:
        case InvoiceInitialised():
            return Invoice(
                number=happened.number,
                sequence=happened.sequence,
                account=happened.account,
                owner=happened.owner,
                bill_type=happened.bill_type,
                allocation_mode=happened.allocation_mode,
                period_start=happened.period_start,
                period_end=happened.period_end,
                due_date=happened.due_date,
                issue_date=happened.issue_date,
                currency=happened.currency,
                basis=happened.basis,
                anniversary_date=happened.anniversary_date,
            )
        case InvoiceProjected():
            nets = happened.lines.nets()
            positive = sum(net for net in nets if net > 0)
            return replace(
                state,
                lines=state.lines + len(nets),
                positive_total=state.positive_total + positive,
                negative_total=state.negative_total + sum(nets) - positive,
            )
        case InvoiceBalancesCalculated():
            return replace(state, statement=happened.statement)
        case InvoiceIssued():
            if (state.lines, state.positive_total, state.negative_total) != (
                happened.lines,
                happened.positive_total,
                happened.negative_total,
            ):
                raise InvariantError(f"invoice {happened.number}: the lines do not add up to the issued totals")
            return replace(state, issued=True, runtime_status=happened.runtime_status)
        case InvoiceStatusChanged():
            return replace(state, runtime_status=happened.new)
        case InvoiceDiscarded():
            return replace(state, discarded=True, runtime_status=RuntimeStatus.DISCARDED)
        case InvoiceRegenerated():
            return replace(state, replaced_by=happened.replaced_by)
        case (
            AnybConsumed()
            | NegativeItemOffset()
            | OpenCreditSetOff()
            | NegativeItemOffsetUndone()
            | ItemsReturnedToPending()
        ):
            return state
        case _:
            raise TypeError(f"not an event of an invoice: {type(happened).__name__}")


#: Snapshots keep the lines of a large invoice from being read again with every payment on it.
INVOICE = Aggregate("invoice", Invoice, Invoice(), evolve, snapshot_every=5)


def runtime_status(positive_billed: int, collectible_due: int) -> RuntimeStatus:
    """Status of an issued invoice from its positive net lines and what is still collectible (INV-072, BAL-007)."""
    if collectible_due == 0:
        return RuntimeStatus.PAID
    return RuntimeStatus.ISSUED if collectible_due == positive_billed else RuntimeStatus.PARTIALLY_PAID


def check_discardable(state: Invoice, reason: str, expected_status: RuntimeStatus | None) -> None:
    """Guards of a discard that the invoice itself can judge, first failing one (INV-120, INV-122)."""
    if not state.issued:
        raise refuse("INVOICE_NOT_FOUND", "there is no such invoice")
    if state.discarded:
        raise refuse("INVOICE_NOT_DISCARDABLE", "the invoice is already discarded", entity=state.number)
    if expected_status is not None and expected_status is not state.runtime_status:
        raise refuse(
            "INVOICE_STATUS_CHANGED",
            "the invoice's status changed since it was shown",
            entity=state.number,
            shown=expected_status.value,
            current=state.runtime_status.value,
        )
    if not reason.strip():
        raise refuse("REASON_REQUIRED", "a discard needs a reason", pointer="/reason")


def regeneration_problems(state: Invoice) -> list[Problem]:
    """Guards of a regeneration that the discarded invoice itself can judge (INV-140)."""
    if not state.issued:
        return [Problem("INVOICE_NOT_FOUND", "there is no such invoice")]
    if not state.discarded:
        return [Problem("NOT_DISCARDED", "only a discarded invoice is regenerated", entity=state.number)]
    if state.replaced_by is not None:
        return [
            Problem(
                "PERIOD_ALREADY_INVOICED",
                "the period has a live invoice",
                entity=state.number,
                params={"invoice": state.replaced_by},
            )
        ]
    return []
