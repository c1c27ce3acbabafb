"""Money that leaves whole: suspension to the hub, its release, reversal and decline (PAY-101 to PAY-111).

These act on the payment, that is on all its records at once, from whichever account they are started. A refund of the
payment comes first: what is being paid out cannot be taken back at the same time. On every record the order is the
same: draft deleted, all parts brought to `unapplied`, then out. What the accounts do with other money afterwards
(members' overpayment on the items that became due again, write-offs, statuses) is the caller's next step.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from domain.errors import InvariantError, Problem, refuse, refuse_if_any
from domain.payments.classification import DECLINE_REASONS, Category, Cause, FundsStatus, PaymentStatus
from domain.payments.payment import (
    NO_SOURCES,
    AllocatedItems,
    Origin,
    PaymentDeclined,
    PaymentReceived,
    PaymentRecord,
    PaymentReleased,
    PaymentReversed,
    PaymentSuspended,
    Phase,
    RecordIdentity,
    RefundLockReleased,
    SuspenseSources,
    action_problems,
    all_to_unapplied,
    delete_draft,
    fold,
    reason_problems,
    with_status,
)
from domain.payments.receiving import NamedInvoice, PayingAccount, invoice_reference_problems

_IN_USE = (PaymentStatus.UNAPPLIED, PaymentStatus.PARTIALLY_ALLOCATED, PaymentStatus.ALLOCATED)


class Withdrawal(StrEnum):
    """What is done to the payment, and by whom: the refund guard depends on both (PAY-102, PAY-109)."""

    SUSPENSION = "SUSPENSION"
    USER_REVERSAL = "USER_REVERSAL"
    USER_DECLINE = "USER_DECLINE"
    HUB_REVERSAL = "HUB_REVERSAL"
    HUB_DECLINE = "HUB_DECLINE"

    @property
    def by_hub(self) -> bool:
        return self in (Withdrawal.HUB_REVERSAL, Withdrawal.HUB_DECLINE)


@dataclass(frozen=True, slots=True)
class RefundState:
    """A refund that includes money of the payment, with its status (WRO-073)."""

    refund: str
    status: str


@dataclass(frozen=True, slots=True)
class GuardOutcome:
    """What the refund guard decided: refunds to cancel first, refunds to wait for, or why it is refused.

    `parked` refunds are cancelled, voided or stopped by the refund room; the action waits for their outcome (WRO-085).
    """

    cancel: tuple[str, ...] = ()
    parked: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def refund_guard(action: Withdrawal, refunds: Sequence[RefundState]) -> GuardOutcome:
    """PAY-102 for a suspension, PAY-109 for reversal and decline. Ended refunds other than PAID do not count."""
    paid = [one for one in refunds if one.status == "PAID"]
    running = [one for one in refunds if one.status in ("APPROVED", "STOP_REQUESTED")]
    initiated = tuple(one.refund for one in refunds if one.status == "INITIATED")
    if paid:
        return GuardOutcome(problems=(_refund_problem("PAYMENT_REFUNDED", "the payment was refunded", paid[0]),))
    if running and (action is Withdrawal.SUSPENSION or action.by_hub):
        return GuardOutcome(
            problems=(_refund_problem("REFUND_IN_PROGRESS", "a refund of the payment is under way", running[0]),)
        )
    return GuardOutcome(cancel=initiated, parked=tuple(one.refund for one in running))


def _refund_problem(code: str, message: str, refund: RefundState) -> Problem:
    return Problem(code, message, params={"refund": refund.refund, "refund_status": refund.status})


def _parked_problems(guard: GuardOutcome) -> list[Problem]:
    if not guard.parked:
        return []
    return [
        Problem("REFUND_IN_PROGRESS", "a refund of the payment is under way", params={"refunds": list(guard.parked)})
    ]


#: Events by record id.
RecordEvents = dict[str, list[object]]


def suspend(
    records: Sequence[PaymentRecord],
    items: Mapping[str, AllocatedItems],
    *,
    reason: str | None,
    text: str | None = None,
    refunds: Sequence[RefundState] = (),
    requested_by_hub: bool = False,
    date: dt.date,
) -> RecordEvents:
    """Move all money of the payment to general suspense (PAY-101 to PAY-103).

    `items`: by record id, all lines it holds money on. Records already TRANSFERRED stay as they are.
    """
    problems = []
    if requested_by_hub:
        problems.append(Problem("SUSPEND_FROM_DOMAIN_ONLY", "a payment assigned to billing is suspended there"))
    banking = all(record.known.category is Category.BANKING for record in records)
    if not banking or not any(record.status in _IN_USE for record in records):
        problems.append(
            Problem(
                "PAYMENT_NOT_SUSPENDABLE",
                "only bank money in force can be suspended",
                params={"statuses": [str(record.status) for record in records]},
            )
        )
    guard = refund_guard(Withdrawal.SUSPENSION, refunds)
    refuse_if_any([*problems, *guard.problems, *reason_problems(reason, text)])
    events: RecordEvents = {}
    for record in records:
        if record.status not in _IN_USE:
            continue
        before = _emptied(record, items, guard.cancel, Cause.SUSPENSION, date, reason)
        unapplied = fold(record, before).unapplied
        suspended = PaymentSuspended(record=record.known, amount=unapplied, reason=reason or "", date=date, text=text)
        events[record.known.record_id] = with_status(record, [*before, suspended], Cause.SUSPENSION, date, reason)
    return events


def _emptied(
    record: PaymentRecord,
    items: Mapping[str, AllocatedItems],
    cancelled_refunds: Sequence[str],
    cause: Cause,
    date: dt.date,
    reason: str | None,
) -> list[object]:
    """Locks of cancelled refunds lifted, draft deleted, everything brought to `unapplied`."""
    lifted: list[object] = [
        RefundLockReleased(record=record.known, refund=refund)
        for refund in record.refund_locks
        if refund in cancelled_refunds
    ]
    own = items.get(record.known.record_id, AllocatedItems())
    return [
        *lifted,
        *delete_draft(record, cause),
        *all_to_unapplied(record, own, cause=cause, date=date, reason=reason),
    ]


# --- Release ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReleaseTarget:
    """Where released money goes: an account, an amount, the invoice it is meant for, a record id should one be new."""

    account: PayingAccount
    amount: int
    new_record: str
    invoice: str | None = None


def release(
    records: Sequence[PaymentRecord],
    targets: Sequence[ReleaseTarget],
    *,
    invoices: Mapping[str, NamedInvoice] | None = None,
    date: dt.date,
) -> tuple[RecordEvents, RecordEvents]:
    """Bring a suspended payment back to accounts (PAY-104): events of existing records, and of new ones.

    Targets of one account are served as one. The oldest suspended record on a target account gets it back with the new
    amount; another account gets a new record; suspended records without target become TRANSFERRED. `records` in record
    order, `invoices` known by number. The allocation of what was released is the caller's next step.
    """
    suspended = [record for record in records if record.phase is Phase.SUSPENDED]
    problems = []
    if not suspended:
        problems.append(Problem("PAYMENT_NOT_SUSPENDED", "the payment is not suspended"))
    total = sum(record.suspended for record in suspended)
    asked = sum(target.amount for target in targets)
    if suspended and asked != total:
        problems.append(
            Problem(
                "RELEASE_AMOUNT_MISMATCH",
                "the targets must add up to the suspended amount",
                pointer="/targets",
                params={"suspended": total, "released": asked},
            )
        )
    for index, target in enumerate(targets):
        problems.extend(_release_problems(target, records, f"/targets/{index}"))
        problems.extend(
            invoice_reference_problems(
                target.invoice, target.account.number, invoices or {}, f"/targets/{index}/invoice"
            )
        )
    refuse_if_any(problems)
    by_account: dict[str, int] = {}
    for target in targets:
        by_account[target.account.number] = by_account.get(target.account.number, 0) + target.amount
    sources = _suspense_sources(suspended, by_account)
    existing: RecordEvents = {}
    for record in suspended:
        account = record.known.account
        back = PaymentReleased(
            record=record.known,
            suspended=record.suspended,
            amount=by_account.pop(account, 0),
            date=date,
            sources=sources.pop(account, NO_SOURCES),
        )
        existing[record.known.record_id] = with_status(record, [back], Cause.RELEASE, date)
    new: RecordEvents = {}
    for target in targets:
        if target.account.number in by_account:
            amount = by_account.pop(target.account.number)
            arrived = received_elsewhere(
                suspended[0],
                target.account,
                target.new_record,
                amount,
                Origin.RELEASE,
                sources[target.account.number],
            )
            new[target.new_record] = with_status(PaymentRecord(), [arrived], Cause.RELEASE, date)
    return existing, new


def _suspense_sources(suspended: Sequence[PaymentRecord], wanted: Mapping[str, int]) -> dict[str, SuspenseSources]:
    """By target account, on which accounts the money it gets was suspended, so that the suspense of each account ends.

    An account is served with its own money first, then with what others left, in record order.
    """
    left: dict[str, int] = {}
    for record in suspended:
        left[record.known.account] = left.get(record.known.account, 0) + record.suspended
    found: dict[str, dict[str, int]] = {}
    for account, amount in wanted.items():
        own = min(amount, left.get(account, 0))
        if own:
            found[account] = {account: own}
            left[account] -= own
    for account, amount in wanted.items():
        missing = amount - sum(found.get(account, {}).values())
        for source, available in left.items():
            taken = min(missing, available)
            if taken:
                found.setdefault(account, {})[source] = taken
                left[source] -= taken
                missing -= taken
    return {account: SuspenseSources(tuple(parts), tuple(parts.values())) for account, parts in found.items()}


def _release_problems(target: ReleaseTarget, records: Sequence[PaymentRecord], where: str) -> list[Problem]:
    problems = []
    if not target.account.exists:
        problems.append(
            Problem("BILLING_ACCOUNT_NOT_FOUND", "there is no such billing account", pointer=f"{where}/account")
        )
    elif not target.account.active:
        problems.append(Problem("ACCOUNT_NOT_ACTIVE", "the billing account is not active", pointer=f"{where}/account"))
    elif records and target.account.currency != records[0].known.currency:
        problems.append(
            Problem("CURRENCY_MISMATCH", "the account is kept in another currency", pointer=f"{where}/account")
        )
    if target.amount <= 0:
        problems.append(Problem("AMOUNT_INVALID", "the amount must be above zero", pointer=f"{where}/amount"))
    return problems


def received_elsewhere(
    source: PaymentRecord,
    account: PayingAccount,
    record_id: str,
    amount: int,
    origin: Origin,
    sources: SuspenseSources = NO_SOURCES,
) -> PaymentReceived:
    """The receipt of a record that got its money from another record of the payment: number and dates are the same."""
    identity = source.known
    return PaymentReceived(
        record=RecordIdentity(
            identity.payment_number, record_id, account.number, account.kind, identity.category, identity.currency
        ),
        amount=amount,
        details=source.stated,
        transaction_date=source.transaction_date,
        effective_date=source.effective_date,
        expiration_date=source.expiration_date,
        in_force=True,
        funds_status=source.funds_status,
        funds=source.funds,
        origin=origin,
        from_record=identity.record_id,
        sources=sources,
    )


def redirect(records: Sequence[PaymentRecord], domain: str, *, date: dt.date) -> RecordEvents:
    """The hub routes a suspended payment to another domain: its records become TRANSFERRED with amount 0 (PAY-105)."""
    suspended = [record for record in records if record.phase is Phase.SUSPENDED]
    if not suspended:
        refuse_if_any([Problem("PAYMENT_NOT_SUSPENDED", "the payment is not suspended")])
    return {
        record.known.record_id: with_status(
            record,
            [PaymentReleased(record=record.known, suspended=record.suspended, amount=0, date=date, domain=domain)],
            Cause.RELEASE,
            date,
        )
        for record in suspended
    }


# --- Reversal and decline --------------------------------------------------------------------------------------------


def reverse(
    records: Sequence[PaymentRecord],
    items: Mapping[str, AllocatedItems],
    *,
    reason: str | None,
    text: str | None = None,
    refunds: Sequence[RefundState] = (),
    by_hub: bool = False,
    date: dt.date,
) -> RecordEvents:
    """Remove a payment that was entered or routed wrongly (PAY-106, PAY-110).

    A payment that the hub knows must be suspended first, unless the hub itself reverses. A caller that parks the action
    behind a running refund (WRO-085) asks `refund_guard` first; here such a refund is REFUND_IN_PROGRESS.
    """
    problems = [problem for record in records for problem in action_problems(record, "REVERSAL")]
    problems += _reversal_problems(records, by_hub)
    guard = refund_guard(Withdrawal.HUB_REVERSAL if by_hub else Withdrawal.USER_REVERSAL, refunds)
    refuse_if_any([*problems, *guard.problems, *_parked_problems(guard), *reason_problems(reason, text)])
    return _all_gone(PaymentReversed, records, items, guard.cancel, Cause.REVERSAL, date, reason, text)


def _reversal_problems(records: Sequence[PaymentRecord], by_hub: bool) -> list[Problem]:
    statuses = {record.status for record in records} - {PaymentStatus.TRANSFERRED}
    params = {"statuses": sorted(statuses)}
    if statuses == {PaymentStatus.SUSPENDED}:
        return []
    if not statuses or not statuses <= {*_IN_USE, PaymentStatus.REFUNDED}:
        return [Problem("PAYMENT_NOT_REVERSIBLE", "a payment in this state is not reversed", params=params)]
    if any(record.stated.hub_known or record.stated.bank_processing for record in records) and not by_hub:
        return [Problem("SUSPENSION_REQUIRED", "the hub knows the payment: suspend it first", params=params)]
    return []


def decline(
    records: Sequence[PaymentRecord],
    items: Mapping[str, AllocatedItems],
    *,
    reason: str | None,
    text: str | None = None,
    refunds: Sequence[RefundState] = (),
    by_hub: bool = False,
    failed: bool = False,
    date: dt.date,
) -> RecordEvents:
    """The money was not honoured (PAY-107 to PAY-110). `failed`: the hub reported FAILED, which is
    PAYMENT_EVENT_REJECTED for money that does not await the bank (PAY-022).

    A pending payment is declined without financial effect.
    """
    awaiting = all(
        record.funds_status is FundsStatus.AWAITING and record.phase not in (Phase.DECLINED, Phase.REVERSED)
        for record in records
        if record.status is not PaymentStatus.TRANSFERRED
    )
    if failed and not awaiting:
        raise refuse("PAYMENT_EVENT_REJECTED", "the payment does not await the bank")
    statuses = {record.status for record in records} - {PaymentStatus.TRANSFERRED}
    declinable = {*_IN_USE, PaymentStatus.REFUNDED, PaymentStatus.PENDING, PaymentStatus.SUSPENDED}
    problems = []
    if not records:
        problems.append(Problem("PAYMENT_NOT_FOUND", "there is no such payment"))
    elif not statuses or not statuses <= declinable:
        problems.append(
            Problem(
                "PAYMENT_NOT_DECLINABLE",
                "a payment in this state is not declined",
                params={"statuses": sorted(statuses)},
            )
        )
    guard = refund_guard(Withdrawal.HUB_DECLINE if by_hub or failed else Withdrawal.USER_DECLINE, refunds)
    problems += [*guard.problems, *_parked_problems(guard)]
    if records:
        problems += _decline_reason_problems(records[0], reason, text)
    refuse_if_any(problems)
    declined = partial(PaymentDeclined, failed=failed)
    return _all_gone(declined, records, items, guard.cancel, Cause.DECLINE, date, reason, text)


def _decline_reason_problems(record: PaymentRecord, reason: str | None, text: str | None) -> list[Problem]:
    allowed = DECLINE_REASONS[record.stated.method]
    if reason and reason not in allowed:
        return [
            Problem(
                "REASON_NOT_FOR_METHOD",
                f"not a reason of a payment by {record.stated.method}",
                pointer="/reason",
                params={"allowed": list(allowed)},
            )
        ]
    return reason_problems(reason, text)


def _all_gone(
    gone: Callable[..., PaymentReversed | PaymentDeclined],
    records: Sequence[PaymentRecord],
    items: Mapping[str, AllocatedItems],
    cancelled_refunds: Sequence[str],
    cause: Cause,
    date: dt.date,
    reason: str | None,
    text: str | None,
) -> RecordEvents:
    """All money of all records brought together and out, told by the event that `gone` makes (PAY-110).

    Suspended money goes out of general suspense; a pending record has none. TRANSFERRED ones stay as they are.
    """
    events: RecordEvents = {}
    for record in records:
        if record.status is PaymentStatus.TRANSFERRED:
            continue
        from_suspense = record.phase is Phase.SUSPENDED
        before: list[object] = []
        if record.phase is Phase.PENDING:
            before = delete_draft(record, cause)
        elif not from_suspense:
            before = _emptied(record, items, cancelled_refunds, cause, date, reason)
        after = fold(record, before)
        if after.refunded and not from_suspense:
            raise InvariantError(f"payment record {record.known.record_id} still has money in a refund")
        told = gone(
            record=record.known,
            amount=after.suspended if from_suspense else after.unapplied,
            from_suspense=from_suspense,
            funds=record.funds,
            reason=reason or "",
            date=date,
            text=text,
        )
        events[record.known.record_id] = with_status(record, [*before, told], cause, date, reason)
    return events
