"""How events change the register. One handler an event type; what is written follows from the event alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from application.log import RecordedEvent
from domain.accounts.account import (
    BillingAccountActivated,
    BillingAccountClosed,
    BillingAccountCreated,
    BillingAccountReopened,
    BillingCalendarAssigned,
    BillTypeAssigned,
    InvoiceGenerationResumed,
    InvoicingPeriodInvoiced,
    InvoicingPeriodSkipped,
)
from domain.accounts.setup import BillingSetupIssued
from domain.calendar.payment_plans import PaymentPlanCreated, plan_key
from domain.customers.customer import BillingCustomerCreated
from domain.invoices.invoice import (
    CreditPairs,
    InvoiceBalancesCalculated,
    InvoiceDiscarded,
    InvoiceGenerationFailed,
    InvoiceInitialised,
    InvoiceIssued,
    InvoiceProjected,
    NegativeItemOffset,
    NegativeItemOffsetUndone,
    OpenCreditSetOff,
)
from domain.invoices.lines import LineChunk, LineTerms
from domain.members.dead_letter import DeadLetterDiscarded, DeadLetterResolved, MemberTransactionDeadLettered
from domain.members.events import (
    BillingRewritten,
    MemberAnybChanged,
    MemberPremiumStarted,
    MemberRecordMoved,
    MemberRecordPlaced,
    RollOnCompleted,
    RollOnRequested,
)
from domain.members.placements import Placement
from domain.payments.classification import Bucket, Cause, PaymentStatus
from domain.payments.payment import (
    BucketMoved,
    DraftPaymentDeleted,
    InvoiceLines,
    MemberAmounts,
    MemberOverpaymentAllocated,
    MemberOverpaymentReleased,
    PaymentAllocated,
    PaymentDeclined,
    PaymentInitiated,
    PaymentReceived,
    PaymentRefunded,
    PaymentRefundRestored,
    PaymentReleased,
    PaymentReversed,
    PaymentSettled,
    PaymentStatusChanged,
    PaymentSuspended,
    PaymentTransferred,
    PaymentUnallocated,
    RecordIdentity,
    RefundLockReleased,
    RefundLockSet,
    UnappliedExplained,
)
from domain.platform.tasks import (
    TaskCancelled,
    TaskClaimed,
    TaskCompleted,
    TaskRaised,
    TaskReassigned,
    TaskReminded,
    TaskReturned,
    TaskState,
)
from projections.engine.projection import Mode, Projection, ProjectionError
from projections.engine.rows import Rows
from projections.engine.table import Row
from projections.register.tables import TABLES

register = Projection("register", version=3, mode=Mode.INLINE, tables=TABLES)

#: Kinds of movements in a statement's window.
PAYMENT, ALLOCATED, DISCARDED, WRITTEN_OFF = "PAYMENT", "ALLOCATED", "DISCARDED", "WRITTEN_OFF"

_BUCKETS = {
    Bucket.UNAPPLIED: "unapplied",
    Bucket.MEMBER_UNAPPLIED: "member_unapplied",
    Bucket.MEMBER_OVERPAYMENT: "member_overpayment",
}


# --- Accounts, customers, set-ups -------------------------------------------------------------------------------------


@register.on(BillingAccountCreated)
def account_created(recorded: RecordedEvent, rows: Rows) -> None:
    event: BillingAccountCreated = recorded.event
    rows["account"].add(
        {
            "account": event.number,
            "owner": event.owner,
            "currency": event.currency,
            "time_zone": event.time_zone,
            "status": "DRAFT",
            "bill_type": None,
            "allocation_mode": None,
            "calendar": None,
            "remaining_due": 0,
            "open_credit": 0,
            "total_billed": 0,
            "total_paid": 0,
            "written_off": 0,
            "unapplied": 0,
            "member_unapplied": 0,
            "member_overpayment": 0,
            "anyb": 0,
            "position": recorded.position,
            "changed_at": recorded.recorded_at,
        }
    )
    rows["number"].append(event.number, event.number)
    if event.legacy_number is not None:
        rows["number"].append(event.legacy_number, event.number)


def _own(recorded: RecordedEvent) -> Iterable[str]:
    return (recorded.event.number,)


@register.on(BillingAccountActivated, BillingAccountReopened, account=_own)
def account_active(recorded: RecordedEvent, rows: Rows) -> None:
    rows["account"].require(recorded.event.number)["status"] = "ACTIVE"


@register.on(BillingAccountClosed, account=_own)
def account_closed(recorded: RecordedEvent, rows: Rows) -> None:
    rows["account"].require(recorded.event.number)["status"] = "CLOSED"
    rows["failed_generation"].delete(recorded.event.number)


@register.on(BillingCalendarAssigned, account=_own)
def calendar_assigned(recorded: RecordedEvent, rows: Rows) -> None:
    rows["account"].require(recorded.event.number)["calendar"] = recorded.event.calendar


@register.on(BillTypeAssigned, account=_own)
def bill_type_assigned(recorded: RecordedEvent, rows: Rows) -> None:
    row = rows["account"].require(recorded.event.number)
    row["bill_type"] = recorded.event.bill_type.value
    row["allocation_mode"] = recorded.event.allocation_mode and recorded.event.allocation_mode.value


@register.on(BillingCustomerCreated)
def customer_created(recorded: RecordedEvent, rows: Rows) -> None:
    event: BillingCustomerCreated = recorded.event
    rows["customer"].append(event.reference, event.role.value, event.parent)


@register.on(BillingSetupIssued)
def setup_issued(recorded: RecordedEvent, rows: Rows) -> None:
    event: BillingSetupIssued = recorded.event
    accounts = ((event.setup_ref, account) for account in event.accounts)
    rows["setup_account"].replace(accounts, setup_ref=event.setup_ref)


@register.on(PaymentPlanCreated)
def plan_created(recorded: RecordedEvent, rows: Rows) -> None:
    event: PaymentPlanCreated = recorded.event
    rows["plan"].append(plan_key(event.code), event.uri)


# --- Member records ---------------------------------------------------------------------------------------------------


@register.on(MemberPremiumStarted)
def member_started(recorded: RecordedEvent, rows: Rows) -> None:
    event: MemberPremiumStarted = recorded.event
    rows["member"].append(event.member_record, event.customer_number, event.master_policy, False)


def _member(recorded: RecordedEvent) -> Iterable[str]:
    return (recorded.event.member_record,)


@register.on(MemberRecordPlaced)
def member_placed(recorded: RecordedEvent, rows: Rows) -> None:
    event: MemberRecordPlaced = recorded.event
    rows["placement"].append(*_placement(event.member_record, 0, event.placement))


@register.on(MemberRecordMoved)
def member_moved(recorded: RecordedEvent, rows: Rows) -> None:
    event: MemberRecordMoved = recorded.event
    placements = (
        _placement(event.member_record, number, placement) for number, placement in enumerate(event.placements)
    )
    rows["placement"].replace(placements, member=event.member_record)


def _placement(member: str, number: int, placement: Placement) -> tuple[Any, ...]:
    return (member, placement.start, placement.end or dt.date.max, placement.account, number)


@register.on(RollOnRequested, member=_member)
def roll_on_requested(recorded: RecordedEvent, rows: Rows) -> None:
    rows["member"].require(recorded.event.member_record)["locked"] = True


@register.on(RollOnCompleted, BillingRewritten, member=_member)
def roll_on_completed(recorded: RecordedEvent, rows: Rows) -> None:
    rows["member"].require(recorded.event.member_record)["locked"] = False


def _member_on_account(recorded: RecordedEvent) -> Iterable[tuple[str, str]]:
    return ((recorded.event.account, recorded.event.member_record),)


@register.on(MemberAnybChanged, member_anyb=_member_on_account, account=lambda recorded: (recorded.event.account,))
def member_anyb_changed(recorded: RecordedEvent, rows: Rows) -> None:
    event: MemberAnybChanged = recorded.event
    row = rows["member_anyb"].get((event.account, event.member_record))
    if row is None:
        row = {
            "account": event.account,
            "member": event.member_record,
            "total": 0,
            "calculated_at": event.calculated_at,
        }
        rows["member_anyb"].add(row)
    _account(rows, event.account, recorded)["anyb"] += event.total - row["total"]
    row["total"] = event.total
    row["calculated_at"] = event.calculated_at
    lines = (
        (
            event.account,
            event.member_record,
            number,
            line.item.coverage,
            line.item.plan,
            line.item.coverage_class,
            line.item.tier,
            line.item.sub_group,
            line.sequence,
            line.modality.value,
            line.period_start,
            line.billing_start,
            line.kind.value,
            line.invoiced_charge,
            line.invoiced_waiver,
            line.charge,
            line.waiver,
            list(line.sources),
        )
        for number, line in enumerate(event.lines)
    )
    rows["anyb"].replace(lines, account=event.account, member=event.member_record)


@register.on(MemberTransactionDeadLettered)
def dead_lettered(recorded: RecordedEvent, rows: Rows) -> None:
    event: MemberTransactionDeadLettered = recorded.event
    rows["dead_letter"].add({"dead_letter": event.dead_letter, "key": event.key, "position": recorded.position})


@register.on(InvoiceGenerationFailed)
def generation_failed(recorded: RecordedEvent, rows: Rows) -> None:
    event: InvoiceGenerationFailed = recorded.event
    rows["failed_generation"].put(
        {
            "account": event.account,
            "period_start": event.period_start,
            "retry_at": event.retry_at,
            "task": event.task,
        }
    )


@register.on(InvoicingPeriodInvoiced, InvoicingPeriodSkipped, failed_generation=_own)
def period_settled(recorded: RecordedEvent, rows: Rows) -> None:
    row = rows["failed_generation"].get(recorded.event.number)
    if row is not None and row["period_start"] <= recorded.event.period_start:
        rows["failed_generation"].delete(recorded.event.number)


@register.on(InvoiceGenerationResumed)
def generation_resumed(recorded: RecordedEvent, rows: Rows) -> None:
    rows["failed_generation"].delete(recorded.event.number)


@register.on(TaskRaised)
def task_raised(recorded: RecordedEvent, rows: Rows) -> None:
    event: TaskRaised = recorded.event
    rows["task"].add(
        {
            "task": event.task,
            "type": event.type.value,
            "queue": event.queue.value,
            "priority": int(event.priority),
            "privilege": event.privilege,
            "subject": event.subject,
            "account": event.account,
            "cause": event.cause,
            "code": event.code,
            "reason": event.reason,
            "links": dict(event.links),
            "state": TaskState.OPEN.value,
            "assignee": None,
            "raised_at": event.raised_at,
            "reminded_on": None,
            "closed_at": None,
            "closed_by": None,
            "note": None,
        }
    )


def _task(recorded: RecordedEvent) -> Iterable[str]:
    return (recorded.event.task,)


@register.on(TaskReminded, task=_task)
def task_reminded(recorded: RecordedEvent, rows: Rows) -> None:
    row = rows["task"].require(recorded.event.task)
    row["reminded_on"] = recorded.event.day
    row["reason"] = recorded.event.reason


@register.on(TaskClaimed, TaskReassigned, task=_task)
def task_claimed(recorded: RecordedEvent, rows: Rows) -> None:
    row = rows["task"].require(recorded.event.task)
    row["state"] = TaskState.CLAIMED.value
    row["assignee"] = recorded.event.user


@register.on(TaskReturned, task=_task)
def task_returned(recorded: RecordedEvent, rows: Rows) -> None:
    row = rows["task"].require(recorded.event.task)
    row["state"] = TaskState.OPEN.value
    row["assignee"] = None


@register.on(TaskCompleted, task=_task)
def task_completed(recorded: RecordedEvent, rows: Rows) -> None:
    event: TaskCompleted = recorded.event
    row = rows["task"].require(event.task)
    row["state"] = TaskState.DONE.value
    row["closed_at"] = event.at
    row["closed_by"] = event.user
    row["note"] = event.note


@register.on(TaskCancelled, task=_task)
def task_cancelled(recorded: RecordedEvent, rows: Rows) -> None:
    event: TaskCancelled = recorded.event
    row = rows["task"].require(event.task)
    row["state"] = TaskState.CANCELLED.value
    row["closed_at"] = event.at
    row["note"] = event.reason


@register.on(DeadLetterResolved, DeadLetterDiscarded)
def dead_letter_closed(recorded: RecordedEvent, rows: Rows) -> None:
    rows["dead_letter"].delete(recorded.event.dead_letter)


# --- Invoices ---------------------------------------------------------------------------------------------------------


@register.on(InvoiceInitialised)
def invoice_initialised(recorded: RecordedEvent, rows: Rows) -> None:
    event: InvoiceInitialised = recorded.event
    rows["invoice"].add(
        {
            "invoice": event.number,
            "account": event.account,
            "sequence": event.sequence,
            "period_start": event.period_start,
            "period_end": event.period_end,
            "issue_date": event.issue_date,
            "due_date": event.due_date,
            "positive_billed": 0,
            "negative_billed": 0,
            "paid": 0,
            "written_off": 0,
            "remaining_due": 0,
            "open_credit": 0,
            "held": 0,
            "total_due": 0,
            "live": True,
            "position": recorded.position,
        }
    )


def _invoice_and_account(recorded: RecordedEvent) -> Iterable[str]:
    return (recorded.event.account,)


@register.on(InvoiceProjected, invoice=_own, account=_invoice_and_account)
def invoice_projected(recorded: RecordedEvent, rows: Rows) -> None:
    event: InvoiceProjected = recorded.event
    chunk: LineChunk = event.lines
    base = chunk.first_line  # a chunk has no more terms than lines, so these numbers are unique in the invoice
    rows["term"].extend(
        (
            event.number,
            base + index,
            terms.kind.value,
            terms.part.value,
            terms.coverage,
            terms.plan,
            terms.coverage_class,
            terms.tier,
            terms.sub_group,
            terms.sequence,
            terms.sequence_id,
            terms.sequence_root,
            terms.sequence_effective,
            terms.master_policy,
            terms.modality.value,
            terms.modal_start,
            terms.modal_end,
            terms.covered_from,
            terms.covered_end,
            terms.billing_start,
            terms.billing_end,
            terms.location,
            terms.division,
            terms.cause,
            terms.waiver_start,
            *_installment(terms),
        )
        for index, terms in enumerate(chunk.terms)
    )
    count, nets = len(chunk), chunk.nets()
    positive = sum(net for net in nets if net > 0)
    negative = sum(nets) - positive
    row = rows["invoice"].require(event.number)
    row["positive_billed"] += positive
    row["negative_billed"] += negative
    row["remaining_due"] += positive
    row["open_credit"] -= negative
    account = _account(rows, event.account, recorded)
    account["remaining_due"] += positive
    account["open_credit"] -= negative
    account["total_billed"] += positive + negative
    rows["item"].append_columns(
        count,
        {
            "invoice": event.number,
            "line": list(range(chunk.first_line, chunk.first_line + count)),
            "member": chunk.members,
            "term": [base + index for index in chunk.term],
            "amount": chunk.amounts,
            "billed": nets,
            "paid": 0,
            "offset_amount": 0,
            "written_off": 0,
            "held": 0,
        },
    )


def _installment(terms: LineTerms) -> tuple[Any, Any, Any]:
    """Product, number and price component of the installment that lines bill."""
    item = terms.installment
    return (None, None, None) if item is None else (item.product, item.installment, item.component)


@register.on(InvoiceBalancesCalculated, invoice=_own)
def balances_calculated(recorded: RecordedEvent, rows: Rows) -> None:
    rows["invoice"].require(recorded.event.number)["total_due"] = recorded.event.statement.total_due


@register.on(InvoiceIssued, invoice=_own)
def invoice_issued(recorded: RecordedEvent, rows: Rows) -> None:
    event: InvoiceIssued = recorded.event
    row = rows["invoice"].require(event.number)
    if (row["positive_billed"], row["negative_billed"]) != (event.positive_total, event.negative_total):
        raise ProjectionError("the lines of the invoice do not add up to its totals")
    row["position"] = recorded.position


@register.on(InvoiceDiscarded, invoice=_own, account=_invoice_and_account)
def invoice_discarded(recorded: RecordedEvent, rows: Rows) -> None:
    event: InvoiceDiscarded = recorded.event
    row = rows["invoice"].require(event.number)
    account = _account(rows, event.account, recorded)
    account["remaining_due"] -= row["remaining_due"]
    account["open_credit"] -= row["open_credit"]
    billed = event.positive_total + event.negative_total
    account["total_billed"] -= billed
    row["live"] = False
    rows["movement"].append(event.account, recorded.position, 0, DISCARDED, billed, row["position"])


def _invoices_of_pairs(recorded: RecordedEvent) -> Iterable[str]:
    pairs: CreditPairs = recorded.event.pairs
    return {*pairs.negative_invoices, *pairs.positive_invoices}


@register.on(NegativeItemOffset, OpenCreditSetOff, invoice=_invoices_of_pairs, account=_invoice_and_account)
def credit_set_off(recorded: RecordedEvent, rows: Rows) -> None:
    _apply_pairs(recorded, rows, 1)


@register.on(NegativeItemOffsetUndone, invoice=_invoices_of_pairs, account=_invoice_and_account)
def credit_set_off_undone(recorded: RecordedEvent, rows: Rows) -> None:
    _apply_pairs(recorded, rows, -1)


def _apply_pairs(recorded: RecordedEvent, rows: Rows, sign: int) -> None:
    pairs: CreditPairs = recorded.event.pairs
    offsets: dict[tuple[str, int], int] = {}
    for invoice, line, amount in zip(pairs.positive_invoices, pairs.positive_lines, pairs.amounts, strict=True):
        offsets[invoice, line] = offsets.get((invoice, line), 0) + sign * amount
        rows["invoice"].require(invoice)["remaining_due"] -= sign * amount
    for invoice, line, amount in zip(pairs.negative_invoices, pairs.negative_lines, pairs.amounts, strict=True):
        offsets[invoice, line] = offsets.get((invoice, line), 0) + sign * amount
        rows["invoice"].require(invoice)["open_credit"] -= sign * amount
    _add_to_items(rows, "offset_amount", offsets)
    account = _account(rows, recorded.event.account, recorded)
    account["remaining_due"] -= sign * pairs.total
    account["open_credit"] -= sign * pairs.total
    parameters = {
        "negative_invoices": list(pairs.negative_invoices),
        "negative_lines": list(pairs.negative_lines),
        "positive_invoices": list(pairs.positive_invoices),
        "positive_lines": list(pairs.positive_lines),
        "amounts": [sign * amount for amount in pairs.amounts],
        "matched": isinstance(recorded.event, NegativeItemOffset),
    }
    rows.execute(
        "insert into {credit_pair} as p select v.*, %(matched)s from unnest(%(negative_invoices)s::text[],"
        " %(negative_lines)s::int[], %(positive_invoices)s::text[], %(positive_lines)s::int[],"
        " %(amounts)s::bigint[]) as v on conflict (negative_invoice, negative_line, positive_invoice, positive_line)"
        " do update set amount = p.amount + excluded.amount",
        parameters,
        changes="credit_pair",
    )
    if sign < 0:
        rows.execute(
            "delete from {credit_pair} where amount = 0 and (negative_invoice = any(%(negative_invoices)s)"
            " or positive_invoice = any(%(positive_invoices)s))",
            parameters,
            changes="credit_pair",
        )


def _add_to_items(rows: Rows, column: str, amounts: dict[tuple[str, int], int]) -> None:
    """Add signed amounts to a column of items, by (invoice, line)."""
    items = rows["item"]
    for key, amount in amounts.items():
        items.increase(key, column, amount)


# --- Payments ---------------------------------------------------------------------------------------------------------


def _account_of_record(recorded: RecordedEvent) -> Iterable[str]:
    return (recorded.event.record.account,)


def _record(recorded: RecordedEvent) -> Iterable[str]:
    return (recorded.event.record.record_id,)


def _account(rows: Rows, number: str, recorded: RecordedEvent) -> Row:
    row = rows["account"].require(number)
    row["position"] = recorded.position
    row["changed_at"] = recorded.recorded_at
    return row


def _new_record(recorded: RecordedEvent, rows: Rows, status: PaymentStatus | None) -> Row:
    event: PaymentInitiated | PaymentReceived = recorded.event
    identity = event.record
    row = {
        "record": identity.record_id,
        "payment": identity.payment_number,
        "account": identity.account,
        "category": identity.category.value,
        "transaction_date": event.transaction_date,
        "effective_date": event.effective_date,
        "amount": event.amount,
        "items": 0,
        "unapplied": 0,
        "member_unapplied": 0,
        "member_overpayment": 0,
        "refunded": 0,
        "transferred": 0,
        "suspended": 0,
        "refund_locks": 0,
        "status": status.value if status else None,
        "explanation": None,
        "suspended_for": None,
    }
    rows["record"].put(row)
    return row


@register.on(PaymentInitiated)
def payment_initiated(recorded: RecordedEvent, rows: Rows) -> None:
    _new_record(recorded, rows, PaymentStatus.INITIATED)


@register.on(PaymentReceived, account=_account_of_record, record=_record)
def payment_received(recorded: RecordedEvent, rows: Rows) -> None:
    event: PaymentReceived = recorded.event
    row = _new_record(recorded, rows, None if event.in_force else PaymentStatus.PENDING)
    if event.in_force:
        _bring_in(recorded, rows, row, event.amount)


@register.on(PaymentSettled, account=_account_of_record, record=_record)
def payment_settled(recorded: RecordedEvent, rows: Rows) -> None:
    event: PaymentSettled = recorded.event
    if event.came_in_force:
        _bring_in(recorded, rows, rows["record"].require(event.record.record_id), event.amount)


def _bring_in(recorded: RecordedEvent, rows: Rows, record: Row, amount: int) -> None:
    """Money gets in force on the account: it enters through unapplied and counts as received (PAY-007, BAL-046)."""
    record["unapplied"] += amount
    _account(rows, record["account"], recorded)["unapplied"] += amount
    rows["movement"].append(record["account"], recorded.position, 0, PAYMENT, amount, None)


def _take_out(recorded: RecordedEvent, rows: Rows, amount: int) -> Row:
    """Money leaves the account from unapplied (suspension, reversal, decline, transfer)."""
    identity: RecordIdentity = recorded.event.record
    record = rows["record"].require(identity.record_id)
    if amount:
        record["unapplied"] -= amount
        _account(rows, identity.account, recorded)["unapplied"] -= amount
        rows["movement"].append(identity.account, recorded.position, 0, PAYMENT, -amount, None)
    return record


@register.on(PaymentSuspended, account=_account_of_record, record=_record)
def payment_suspended(recorded: RecordedEvent, rows: Rows) -> None:
    record = _take_out(recorded, rows, recorded.event.amount)
    record["suspended"] += recorded.event.amount
    record["suspended_for"] = recorded.event.reason
    record["amount"] -= recorded.event.amount


@register.on(PaymentReleased, account=_account_of_record, record=_record)
def payment_released(recorded: RecordedEvent, rows: Rows) -> None:
    event: PaymentReleased = recorded.event
    record = rows["record"].require(event.record.record_id)
    record["suspended"] -= event.suspended
    record["amount"] = event.amount
    if event.amount:
        _bring_in(recorded, rows, record, event.amount)


@register.on(PaymentReversed, PaymentDeclined, account=_account_of_record, record=_record)
def payment_gone(recorded: RecordedEvent, rows: Rows) -> None:
    event: PaymentReversed | PaymentDeclined = recorded.event
    if event.from_suspense:
        record = rows["record"].require(event.record.record_id)
        record["suspended"] -= event.amount
    else:
        record = _take_out(recorded, rows, event.amount)


@register.on(PaymentTransferred, account=_account_of_record, record=_record)
def payment_transferred(recorded: RecordedEvent, rows: Rows) -> None:
    record = _take_out(recorded, rows, recorded.event.amount)
    record["amount"] -= recorded.event.amount
    record["transferred"] += recorded.event.amount


@register.on(PaymentRefunded, account=_account_of_record, record=_record)
def payment_refunded(recorded: RecordedEvent, rows: Rows) -> None:
    event: PaymentRefunded = recorded.event
    record = rows["record"].require(event.record.record_id)
    record["refunded"] += event.amount
    _move_bucket(recorded, rows, event.source, -event.amount, _members_of(event.member, event.amount))
    rows["movement"].append(event.record.account, recorded.position, 0, PAYMENT, -event.amount, None)


@register.on(PaymentRefundRestored, account=_account_of_record, record=_record)
def refund_restored(recorded: RecordedEvent, rows: Rows) -> None:
    event: PaymentRefundRestored = recorded.event
    record = rows["record"].require(event.record.record_id)
    record["refunded"] -= event.amount
    _move_bucket(recorded, rows, event.to, event.amount, _members_of(event.member, event.amount))
    rows["movement"].append(event.record.account, recorded.position, 0, PAYMENT, event.amount, None)


@register.on(RefundLockSet, record=_record)
def refund_lock_set(recorded: RecordedEvent, rows: Rows) -> None:
    rows["record"].require(recorded.event.record.record_id)["refund_locks"] += 1


@register.on(RefundLockReleased, record=_record)
def refund_lock_released(recorded: RecordedEvent, rows: Rows) -> None:
    rows["record"].require(recorded.event.record.record_id)["refund_locks"] -= 1


@register.on(UnappliedExplained, record=_record)
def unapplied_explained(recorded: RecordedEvent, rows: Rows) -> None:
    rows["record"].require(recorded.event.record.record_id)["explanation"] = recorded.event.explanation.value


@register.on(PaymentStatusChanged, record=_record)
def payment_status_changed(recorded: RecordedEvent, rows: Rows) -> None:
    rows["record"].require(recorded.event.record.record_id)["status"] = recorded.event.new.value


@register.on(DraftPaymentDeleted, record=_record)
def draft_payment_deleted(recorded: RecordedEvent, rows: Rows) -> None:
    rows["record"].require(recorded.event.record.record_id)["status"] = PaymentStatus.DELETED.value


def _invoices_of_lines(recorded: RecordedEvent) -> Iterable[str]:
    return [part.invoice for part in recorded.event.lines]


@register.on(PaymentAllocated, account=_account_of_record, record=_record, invoice=_invoices_of_lines)
def payment_allocated(recorded: RecordedEvent, rows: Rows) -> None:
    event: PaymentAllocated = recorded.event
    total = sum(part.total for part in event.lines)
    _put_on_lines(recorded, rows, event.lines, 1)
    _move_bucket(recorded, rows, event.source, -total, _members_of(event.member, total))


@register.on(MemberOverpaymentAllocated, account=_account_of_record, record=_record, invoice=_invoices_of_lines)
def overpayment_allocated(recorded: RecordedEvent, rows: Rows) -> None:
    event: MemberOverpaymentAllocated = recorded.event
    _put_on_lines(recorded, rows, event.lines, 1)
    _move_bucket(recorded, rows, Bucket.MEMBER_OVERPAYMENT, -event.members.total, event.members)


@register.on(PaymentUnallocated, account=_account_of_record, record=_record, invoice=_invoices_of_lines)
def payment_unallocated(recorded: RecordedEvent, rows: Rows) -> None:
    event: PaymentUnallocated = recorded.event
    total = sum(part.total for part in event.lines)
    _put_on_lines(recorded, rows, event.lines, -1)
    if event.cause is Cause.EXCESS and event.caused_by is not None:
        rows["freed"].extend(
            (
                event.caused_by,
                event.record.record_id,
                part.invoice,
                line,
                event.to.value,
                amount,
                recorded.position,
            )
            for part in event.lines
            for line, amount in zip(part.lines, part.amounts, strict=True)
        )
    _move_bucket(recorded, rows, event.to, total, event.members)


@register.on(BucketMoved, account=_account_of_record, record=_record)
def bucket_moved(recorded: RecordedEvent, rows: Rows) -> None:
    event: BucketMoved = recorded.event
    _move_bucket(recorded, rows, event.source, -event.amount, event.source_members)
    _move_bucket(recorded, rows, event.to, event.amount, event.to_members)


@register.on(MemberOverpaymentReleased, account=_account_of_record, record=_record)
def overpayment_released(recorded: RecordedEvent, rows: Rows) -> None:
    event: MemberOverpaymentReleased = recorded.event
    members = _members_of(event.member, event.amount)
    _move_bucket(recorded, rows, Bucket.MEMBER_OVERPAYMENT, -event.amount, members)
    _move_bucket(recorded, rows, event.to, event.amount, members)


def _members_of(member: str | None, amount: int) -> MemberAmounts:
    return MemberAmounts((member,), (amount,)) if member is not None else MemberAmounts()


def _move_bucket(recorded: RecordedEvent, rows: Rows, bucket: Bucket, amount: int, members: MemberAmounts) -> None:
    """Signed change of a bucket of the record and its account, and of the members who own the money in it."""
    identity: RecordIdentity = recorded.event.record
    column = _BUCKETS[bucket]
    rows["record"].require(identity.record_id)[column] += amount
    _account(rows, identity.account, recorded)[column] += amount
    if bucket is Bucket.UNAPPLIED:
        return
    sign = 1 if amount > 0 else -1
    for member, part in zip(members.members, members.amounts, strict=True):
        key = (identity.record_id, member)
        row = rows["member_money"].get(key)
        if row is None:
            row = {
                "record": identity.record_id,
                "member": member,
                "account": identity.account,
                "member_unapplied": 0,
                "member_overpayment": 0,
            }
            rows["member_money"].add(row)
        row[column] += sign * part


def _put_on_lines(recorded: RecordedEvent, rows: Rows, lines: Iterable[InvoiceLines], sign: int) -> None:
    """Money of the record onto (or, with sign -1, off) invoice lines."""
    identity: RecordIdentity = recorded.event.record
    amounts: dict[tuple[str, int], int] = {}
    total = 0
    for part in lines:
        for line, amount in zip(part.lines, part.amounts, strict=True):
            amounts[part.invoice, line] = amounts.get((part.invoice, line), 0) + sign * amount
        row = rows["invoice"].require(part.invoice)
        row["remaining_due"] -= sign * part.total
        row["paid"] += sign * part.total
        total += sign * part.total
    if not amounts:
        return
    _add_to_items(rows, "paid", amounts)
    parameters: dict[str, Any] = {
        "record": identity.record_id,
        "invoices": [invoice for invoice, _ in amounts],
        "lines": [line for _, line in amounts],
        "amounts": list(amounts.values()),
        "position": recorded.position,
    }
    rows.execute(
        "insert into {allocation} as a select %(record)s, v.invoice, v.line, v.amount, %(position)s"
        " from unnest(%(invoices)s::text[], %(lines)s::int[], %(amounts)s::bigint[]) as v(invoice, line, amount)"
        " on conflict (record, invoice, line) do update set amount = a.amount + excluded.amount,"
        " position = case when excluded.amount > 0 then excluded.position else a.position end",
        parameters,
        changes="allocation",
    )
    if sign < 0:
        rows.execute(
            "delete from {allocation} where record = %(record)s and invoice = any(%(invoices)s) and amount = 0",
            parameters,
            changes="allocation",
        )
    rows["record"].require(identity.record_id)["items"] += total
    account = _account(rows, identity.account, recorded)
    account["remaining_due"] -= total
    account["total_paid"] += total
    rows["movement"].append(identity.account, recorded.position, 1, ALLOCATED, total, None)
