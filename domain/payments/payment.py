"""The payment record: one payment's money on one billing account, and every place a cent of it may lie.

A payment is one movement of money; a record is its part on one account. All records of a payment share the payment
number, the record id is the stream (PAY-001). A record's money is always in exactly one of these places:

    items, by invoice     member_overpayment, by member     member_unapplied, by member
    unapplied             refunded                          suspended

and the only thing that ever happens to it is a move between two of them, or a move in or out of the record (receipt,
release, transfer, redirection, decline, reversal). `evolve` proves after every event that the places still add up to
what came in less what went out (PAY-002, BAL-008); a violation is an InvariantError, never a stored event.

The state keeps totals by invoice and by member, not by invoice line: one payment may cover 300,000 lines. Which lines
they are is in the events, as columns by invoice, and in the item register that is folded from them; decisions get lines
as facts. A movement of more than LINES_PER_EVENT lines is written as several events of one kind.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from domain.aggregate import Aggregate
from domain.errors import InvariantError, Problem, refuse
from domain.events import event
from domain.payments.classification import (
    AccountKind,
    Bucket,
    Category,
    Cause,
    Explanation,
    Funds,
    FundsStatus,
    PaymentDetails,
    PaymentStatus,
)
from domain.payments.targets import Remainder, Target

#: Most invoice lines (or members) that one event carries.
LINES_PER_EVENT = 1000


@dataclass(frozen=True, slots=True)
class RecordIdentity:
    """Which record an event is about, so that readers need no look-up: number, record id, account, currency."""

    payment_number: str
    record_id: str
    account: str
    account_kind: AccountKind
    category: Category
    currency: str


@dataclass(frozen=True, slots=True)
class InvoiceLines:
    """Money on lines of one invoice, as columns: `amounts[i]` minor units (> 0) on line number `lines[i]`."""

    invoice: str
    lines: tuple[int, ...]
    amounts: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.amounts)


@dataclass(frozen=True, slots=True)
class MemberAmounts:
    """Money by member record, as columns: `amounts[i]` minor units (> 0) of member record `members[i]`."""

    members: tuple[str, ...] = ()
    amounts: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        return sum(self.amounts)


NO_MEMBERS = MemberAmounts()


@dataclass(frozen=True, slots=True)
class SuspenseSources:
    """Suspended money by the account it was suspended on, as columns: `amounts[i]` minor units (> 0) of
    `accounts[i]`."""

    accounts: tuple[str, ...] = ()
    amounts: tuple[int, ...] = ()


NO_SOURCES = SuspenseSources()


class Origin(StrEnum):
    """How a record came to its account: with the payment, by transfer, or by release from suspense (LED-041)."""

    RECEIPT = "RECEIPT"
    TRANSFER = "TRANSFER"
    RELEASE = "RELEASE"


@dataclass(frozen=True, slots=True)
class TransferTarget:
    """Where transferred money goes: the account, the amount, and the new record that holds it there."""

    account: str
    amount: int
    record_id: str


# --- Events, in the order of life ------------------------------------------------------------------------------------


@event()
class PaymentInitiated:
    """A draft payment: the money is announced, nothing is accepted yet (PAY-070, PAY-121)."""

    record: RecordIdentity
    amount: int
    details: PaymentDetails
    transaction_date: dt.date
    effective_date: dt.date


@event()
class PaymentReceived:
    """A payment is accepted on the account (PAY-023). In force at once, or awaiting the bank (PAY-020).

    `origin` TRANSFER or RELEASE: the money was received before, on another record or as this one (LED-041). With
    RELEASE, `sources` tells on which accounts it was suspended; empty in events from before that was told.
    """

    record: RecordIdentity
    amount: int
    details: PaymentDetails
    transaction_date: dt.date
    effective_date: dt.date
    in_force: bool
    funds_status: FundsStatus
    funds: Funds
    expiration_date: dt.date | None = None
    origin: Origin = Origin.RECEIPT
    from_record: str | None = None
    replaces: str | None = None
    sources: SuspenseSources = NO_SOURCES


@event()
class AllocationPreset:
    """The targets that are executed when the money gets in force; a later one replaces it (PAY-076)."""

    record: RecordIdentity
    targets: tuple[Target, ...]
    remainder: Remainder = Remainder.KEEP_UNAPPLIED


@event()
class PaymentSettled:
    """The bank honoured the money (PAY-020, PAY-021). `came_in_force`: it was pending until now (LED-041)."""

    record: RecordIdentity
    amount: int
    came_in_force: bool
    funds: Funds
    date: dt.date


@event()
class PaymentAllocated:
    """Money went from a bucket onto invoice lines (PAY-041 to PAY-083). `member` owns the bucket it came from."""

    record: RecordIdentity
    allocation: int
    source: Bucket
    lines: tuple[InvoiceLines, ...]
    cause: Cause
    date: dt.date
    member: str | None = None
    reason: str | None = None


@event()
class MemberOverpaymentAllocated:
    """Members' overpayment went onto lines of their own (PAY-081, PAY-082). Columns by member, lines by invoice."""

    record: RecordIdentity
    allocation: int
    members: MemberAmounts
    lines: tuple[InvoiceLines, ...]
    cause: Cause
    date: dt.date


@event()
class PaymentUnallocated:
    """Money left invoice lines for a bucket (PAY-087, PAY-088). `members` is filled when the bucket is kept by member.

    One event a record and cause, lines as columns: the net amount that left each line (BAL-067).
    """

    record: RecordIdentity
    lines: tuple[InvoiceLines, ...]
    to: Bucket
    members: MemberAmounts
    cause: Cause
    date: dt.date
    reason: str | None = None
    caused_by: str | None = None


@event()
class BucketMoved:
    """Money went from one bucket to another on the same account; a bucket kept by member names its members."""

    record: RecordIdentity
    source: Bucket
    to: Bucket
    amount: int
    source_members: MemberAmounts
    to_members: MemberAmounts
    cause: Cause
    date: dt.date
    reason: str | None = None


@event()
class MemberOverpaymentReleased:
    """A member's overpayment was released to `to` (PAY-082)."""

    record: RecordIdentity
    member: str
    amount: int
    to: Bucket
    date: dt.date
    reason: str | None = None


@event()
class PaymentReallocated:
    """A reallocation was carried out; its parts are the moves around this event (PAY-098, PAY-100, BAL-075)."""

    record: RecordIdentity
    unallocated: int
    allocated: int
    cause: Cause
    date: dt.date
    reason: str | None = None


@event()
class UnappliedExplained:
    """Why money of the record is still unapplied (PAY-033). `master_policy`: what it was meant for (PAY-065)."""

    record: RecordIdentity
    unapplied: int
    explanation: Explanation
    date: dt.date
    master_policy: str | None = None


@event()
class SuspenseEntryOpened:
    """A work-list entry for money without a home (PAY-085). `reason`: an Explanation or a SuspenseReason."""

    record: RecordIdentity
    reference: str
    amount: int
    receipt_date: dt.date
    reason: str


@event()
class SuspenseEntryResolved:
    """The money of the entry has found a home (PAY-086)."""

    record: RecordIdentity
    reference: str
    cause: Cause
    date: dt.date


@event()
class RefundLockSet:
    """A refund was initiated: its money may not be used until the refund ends (WRO-059)."""

    record: RecordIdentity
    refund: str


@event()
class RefundLockReleased:
    """The refund ended."""

    record: RecordIdentity
    refund: str


@event()
class PaymentRefunded:
    """An approved refund took money out of a bucket (WRO-070)."""

    record: RecordIdentity
    refund: str
    source: Bucket
    amount: int
    date: dt.date
    member: str | None = None


@event()
class PaymentRefundRestored:
    """A refund ended without payment: its money is back in the bucket it came from (WRO-074)."""

    record: RecordIdentity
    refund: str
    to: Bucket
    amount: int
    date: dt.date
    member: str | None = None


@event()
class PaymentTransferred:
    """Unapplied money left for other accounts; each target got a record of its own (PAY-114 to PAY-116)."""

    record: RecordIdentity
    targets: tuple[TransferTarget, ...]
    amount: int
    remainder: int
    reason: str
    date: dt.date
    text: str | None = None


@event()
class PaymentSuspended:
    """All money of the record left the account for the hub's general suspense (PAY-103)."""

    record: RecordIdentity
    amount: int
    reason: str
    date: dt.date
    text: str | None = None


@event()
class PaymentReleased:
    """Money came back from general suspense (PAY-104), or went to another domain (PAY-105).

    `suspended` is what the record had in suspense, `amount` what it has from now on; the difference went to or came
    from the payment's other records, or (with `domain`) to that domain. `sources` tells on which accounts the `amount`
    was suspended; empty in events from before that was told.
    """

    record: RecordIdentity
    suspended: int
    amount: int
    date: dt.date
    domain: str | None = None
    sources: SuspenseSources = NO_SOURCES


@event()
class PaymentReversed:
    """The payment was entered or routed wrongly: its money is gone (PAY-106, PAY-110). Final."""

    record: RecordIdentity
    amount: int
    from_suspense: bool
    funds: Funds
    reason: str
    date: dt.date
    text: str | None = None


@event()
class PaymentDeclined:
    """The money was not honoured (PAY-107, PAY-110). `amount` 0: it never was in force. Final.

    `failed`: the hub reported it (FAILED), so the funds status ends as that.
    """

    record: RecordIdentity
    amount: int
    from_suspense: bool
    funds: Funds
    failed: bool
    reason: str
    date: dt.date
    text: str | None = None


@event()
class DraftAllocationSaved:
    """A version of the record's allocation draft; it moves no money (PAY-070, PAY-071)."""

    record: RecordIdentity
    version: int
    targets: tuple[Target, ...]
    warnings: tuple[str, ...] = ()
    file: str | None = None


@event()
class DraftAllocationCleared:
    """A version with all amounts 0 (PAY-072)."""

    record: RecordIdentity
    version: int


@event()
class DraftAllocationApplied:
    """The draft was carried out; the allocations stand beside it."""

    record: RecordIdentity
    version: int


@event()
class DraftAllocationDeleted:
    """The draft was deleted by a user (PAY-074) or by what happened to its money (PAY-075)."""

    record: RecordIdentity
    version: int
    cause: Cause


@event()
class DraftPaymentDeleted:
    """A draft payment was deleted (PAY-073). Final."""

    record: RecordIdentity


@event()
class PaymentStatusChanged:
    """The status derived from the record's parts is another one than before (PAY-013). For readers; moves nothing."""

    record: RecordIdentity
    old: PaymentStatus | None
    new: PaymentStatus
    cause: Cause
    date: dt.date
    reason: str | None = None


# --- State -----------------------------------------------------------------------------------------------------------


class Phase(StrEnum):
    """The part of the status that is not derived from the money (PAY-010, PAY-011)."""

    INITIATED = "INITIATED"
    PENDING = "PENDING"
    IN_FORCE = "IN_FORCE"
    SUSPENDED = "SUSPENDED"
    DECLINED = "DECLINED"
    REVERSED = "REVERSED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Draft:
    """The current allocation draft of a record. `cleared`: emptied by the user, cannot be applied (PAY-072)."""

    version: int
    targets: tuple[Target, ...]
    cleared: bool = False
    file: str | None = None


@dataclass(frozen=True, slots=True)
class SuspenseEntry:
    """An open entry of the suspense queue; its open amount is the record's unapplied or suspended money (PAY-086)."""

    reference: str
    reason: str


@dataclass(frozen=True, slots=True)
class Suspension:
    """Why and when the money went to general suspense, in the words of whoever sent it there (PAY-101)."""

    reason: str
    date: dt.date
    text: str | None = None


@dataclass(frozen=True, slots=True)
class PaymentRecord:
    """What decisions need to know of a record. All amounts in minor units.

    `came_in` less `went_out` is what the record has; the places below always add up to it (PAY-002).
    """

    identity: RecordIdentity | None = None
    details: PaymentDetails | None = None
    phase: Phase = Phase.INITIATED
    funds_status: FundsStatus = FundsStatus.CLEARED
    funds: Funds = Funds.BANK
    announced: int = 0
    came_in: int = 0
    went_out: int = 0
    transaction_date: dt.date = dt.date.min
    effective_date: dt.date = dt.date.min
    expiration_date: dt.date | None = None
    items: Mapping[str, int] = field(default_factory=dict)
    items_total: int = 0
    member_overpayment: Mapping[str, int] = field(default_factory=dict)
    member_overpayment_total: int = 0
    member_unapplied: Mapping[str, int] = field(default_factory=dict)
    member_unapplied_total: int = 0
    unapplied: int = 0
    refunded: int = 0
    suspended: int = 0
    allocations: int = 0
    refund_locks: tuple[str, ...] = ()
    preset: tuple[Target, ...] = ()
    has_preset: bool = False
    preset_remainder: Remainder = Remainder.KEEP_UNAPPLIED
    draft: Draft | None = None
    draft_versions: int = 0
    suspense: tuple[SuspenseEntry, ...] = ()
    explanation: Explanation | None = None
    suspension: Suspension | None = None

    @property
    def known(self) -> RecordIdentity:
        """The identity of a record that exists. Raises a PAYMENT_NOT_FOUND refusal for one without events."""
        if self.identity is None:
            raise refuse("PAYMENT_NOT_FOUND", "there is no such payment record")
        return self.identity

    @property
    def stated(self) -> PaymentDetails:
        """What was stated about the payment. Raises a PAYMENT_NOT_FOUND refusal for a record without events."""
        if self.details is None:
            raise refuse("PAYMENT_NOT_FOUND", "there is no such payment record")
        return self.details

    @property
    def amount(self) -> int:
        """The record's amount: what it has, or what was announced while it is not in force."""
        if self.phase in (Phase.IN_FORCE, Phase.SUSPENDED):
            return self.came_in - self.went_out
        return self.announced

    @property
    def in_force(self) -> bool:
        """Whether the record counts in balances (PAY-006)."""
        return self.phase is Phase.IN_FORCE

    @property
    def transferable(self) -> int:
        """The amount less what was refunded (PAY-112)."""
        return self.amount - self.refunded

    @property
    def locked_by_refund(self) -> bool:
        return bool(self.refund_locks)

    @property
    def status(self) -> PaymentStatus:
        """PAY-011, from the record's own parts."""
        if self.phase is not Phase.IN_FORCE:
            return PaymentStatus(self.phase)
        allocated = self.items_total + self.member_overpayment_total
        free = self.unapplied + self.member_unapplied_total
        if allocated:
            return PaymentStatus.PARTIALLY_ALLOCATED if free else PaymentStatus.ALLOCATED
        if free:
            return PaymentStatus.UNAPPLIED
        return PaymentStatus.REFUNDED if self.refunded else PaymentStatus.TRANSFERRED

    def in_bucket(self, bucket: Bucket, member: str | None = None) -> int:
        """Money in a bucket, or in one member's part of it."""
        if bucket is Bucket.UNAPPLIED:
            return self.unapplied
        by_member = self.member_unapplied if bucket is Bucket.MEMBER_UNAPPLIED else self.member_overpayment
        return sum(by_member.values()) if member is None else by_member.get(member, 0)


def check_conservation(state: PaymentRecord, *, thoroughly: bool = False) -> PaymentRecord:
    """The state, if every cent of it is in exactly one place; InvariantError otherwise (PAY-002, BAL-008, BAL-009).

    `thoroughly` also adds up the parts by invoice and member: it costs as much as there are, so decisions do it, folds
    do not.
    """
    places = (
        state.items_total,
        state.member_overpayment_total,
        state.member_unapplied_total,
        state.unapplied,
        state.refunded,
        state.suspended,
    )
    if min(places) < 0:
        raise InvariantError(f"payment record {state.identity}: a place holds a negative amount {places}")
    if sum(places) != state.came_in - state.went_out:
        raise InvariantError(
            f"payment record {state.identity}: places {places} do not add up to {state.came_in} - {state.went_out}"
        )
    if thoroughly:
        parts = (state.items, state.member_overpayment, state.member_unapplied)
        for by_key, total in zip(parts, places, strict=False):
            if sum(by_key.values()) != total or any(amount <= 0 for amount in by_key.values()):
                raise InvariantError(f"payment record {state.identity}: parts do not add up to {total}")
        allowed = state.known.account_kind.buckets
        if (state.member_overpayment_total and Bucket.MEMBER_OVERPAYMENT not in allowed) or (
            state.member_unapplied_total and Bucket.MEMBER_UNAPPLIED not in allowed
        ):
            raise InvariantError(f"payment record {state.identity}: the account keeps no money by member")
    return state


def _moved(parts: Mapping[str, int], keys: Iterable[str], amounts: Iterable[int], sign: int) -> dict[str, int]:
    """The parts with amounts added (sign 1) or taken (sign -1); a part of 0 disappears, one below 0 is a defect."""
    changed = dict(parts)
    for key, amount in zip(keys, amounts, strict=True):
        new = changed.get(key, 0) + sign * amount
        if new < 0 or amount <= 0:
            raise InvariantError(f"{amount} moved where {parts.get(key, 0)} lay on {key}")
        if new:
            changed[key] = new
        else:
            del changed[key]
    return changed


def _items(state: PaymentRecord, lines: Sequence[InvoiceLines], sign: int) -> PaymentRecord:
    totals = [part.total for part in lines]
    return replace(
        state,
        items=_moved(state.items, (part.invoice for part in lines), totals, sign),
        items_total=state.items_total + sign * sum(totals),
    )


def _bucket(state: PaymentRecord, bucket: Bucket, amount: int, members: MemberAmounts, sign: int) -> PaymentRecord:
    """The state with money put into (sign 1) or taken out of (sign -1) a bucket."""
    if bucket is Bucket.UNAPPLIED:
        if members.members:
            raise InvariantError("unapplied money has no member")
        return replace(state, unapplied=state.unapplied + sign * amount)
    if members.total != amount:
        raise InvariantError(f"{amount} moved by member as {members.total}")
    if bucket is Bucket.MEMBER_UNAPPLIED:
        return replace(
            state,
            member_unapplied=_moved(state.member_unapplied, members.members, members.amounts, sign),
            member_unapplied_total=state.member_unapplied_total + sign * amount,
        )
    return replace(
        state,
        member_overpayment=_moved(state.member_overpayment, members.members, members.amounts, sign),
        member_overpayment_total=state.member_overpayment_total + sign * amount,
    )


def _one(member: str | None, amount: int) -> MemberAmounts:
    return NO_MEMBERS if member is None else MemberAmounts((member,), (amount,))


def _received(state: PaymentRecord, happened: PaymentReceived) -> PaymentRecord:
    return replace(
        state,
        identity=happened.record,
        details=happened.details,
        phase=Phase.IN_FORCE if happened.in_force else Phase.PENDING,
        funds_status=happened.funds_status,
        funds=happened.funds,
        announced=happened.amount,
        came_in=happened.amount if happened.in_force else 0,
        unapplied=happened.amount if happened.in_force else 0,
        transaction_date=happened.transaction_date,
        effective_date=happened.effective_date,
        expiration_date=happened.expiration_date,
    )


def _released(state: PaymentRecord, happened: PaymentReleased) -> PaymentRecord:
    gained = happened.amount - happened.suspended
    return replace(
        state,
        phase=Phase.IN_FORCE,
        suspended=state.suspended - happened.suspended,
        suspension=None,
        unapplied=state.unapplied + happened.amount,
        came_in=state.came_in + max(gained, 0),
        went_out=state.went_out + max(-gained, 0),
    )


def _withdrawn(state: PaymentRecord, happened: PaymentReversed | PaymentDeclined, phase: Phase) -> PaymentRecord:
    place = "suspended" if happened.from_suspense else "unapplied"
    taken: dict[str, Any] = {place: getattr(state, place) - happened.amount}
    failed = isinstance(happened, PaymentDeclined) and happened.failed
    return replace(
        state,
        phase=phase,
        funds_status=FundsStatus.FAILED if failed else state.funds_status,
        went_out=state.went_out + happened.amount,
        **taken,
    )


def _apply(state: PaymentRecord, happened: object) -> PaymentRecord:
    match happened:
        case PaymentInitiated():
            return replace(
                state,
                identity=happened.record,
                details=happened.details,
                phase=Phase.INITIATED,
                announced=happened.amount,
                transaction_date=happened.transaction_date,
                effective_date=happened.effective_date,
            )
        case PaymentReceived():
            return _received(state, happened)
        case AllocationPreset():
            return replace(state, preset=happened.targets, has_preset=True, preset_remainder=happened.remainder)
        case PaymentSettled() if happened.came_in_force:
            return replace(
                state,
                phase=Phase.IN_FORCE,
                funds_status=FundsStatus.SETTLED,
                funds=happened.funds,
                came_in=state.came_in + happened.amount,
                unapplied=state.unapplied + happened.amount,
                preset=(),
                has_preset=False,
            )
        case PaymentSettled():
            return replace(state, funds_status=FundsStatus.SETTLED, funds=happened.funds)
        case PaymentAllocated():
            amount = sum(part.total for part in happened.lines)
            taken = _bucket(state, happened.source, amount, _one(happened.member, amount), -1)
            return replace(_items(taken, happened.lines, 1), allocations=happened.allocation, preset=())
        case MemberOverpaymentAllocated():
            taken = _bucket(state, Bucket.MEMBER_OVERPAYMENT, happened.members.total, happened.members, -1)
            return replace(_items(taken, happened.lines, 1), allocations=happened.allocation)
        case PaymentUnallocated():
            amount = sum(part.total for part in happened.lines)
            return _bucket(_items(state, happened.lines, -1), happened.to, amount, happened.members, 1)
        case BucketMoved():
            taken = _bucket(state, happened.source, happened.amount, happened.source_members, -1)
            return _bucket(taken, happened.to, happened.amount, happened.to_members, 1)
        case MemberOverpaymentReleased():
            members = _one(happened.member, happened.amount)
            taken = _bucket(state, Bucket.MEMBER_OVERPAYMENT, happened.amount, members, -1)
            to_members = NO_MEMBERS if happened.to is Bucket.UNAPPLIED else members
            return _bucket(taken, happened.to, happened.amount, to_members, 1)
        case UnappliedExplained():
            return replace(state, explanation=happened.explanation)
        case SuspenseEntryOpened():
            return replace(state, suspense=(*state.suspense, SuspenseEntry(happened.reference, happened.reason)))
        case SuspenseEntryResolved():
            left = tuple(entry for entry in state.suspense if entry.reference != happened.reference)
            return replace(state, suspense=left)
        case RefundLockSet():
            return replace(state, refund_locks=(*state.refund_locks, happened.refund))
        case RefundLockReleased():
            left_locks = tuple(refund for refund in state.refund_locks if refund != happened.refund)
            return replace(state, refund_locks=left_locks)
        case PaymentRefunded():
            taken = _bucket(state, happened.source, happened.amount, _one(happened.member, happened.amount), -1)
            return replace(taken, refunded=state.refunded + happened.amount)
        case PaymentRefundRestored():
            back = _bucket(state, happened.to, happened.amount, _one(happened.member, happened.amount), 1)
            return replace(back, refunded=state.refunded - happened.amount)
        case PaymentTransferred():
            return replace(
                state, unapplied=state.unapplied - happened.amount, went_out=state.went_out + happened.amount
            )
        case PaymentSuspended():
            return replace(
                state,
                phase=Phase.SUSPENDED,
                unapplied=state.unapplied - happened.amount,
                suspended=state.suspended + happened.amount,
                suspension=Suspension(happened.reason, happened.date, happened.text),
            )
        case PaymentReleased():
            return _released(state, happened)
        case PaymentReversed():
            return _withdrawn(state, happened, Phase.REVERSED)
        case PaymentDeclined():
            return _withdrawn(state, happened, Phase.DECLINED)
        case DraftAllocationSaved():
            draft = Draft(happened.version, happened.targets, file=happened.file)
            return replace(state, draft=draft, draft_versions=happened.version)
        case DraftAllocationCleared():
            draft = Draft(happened.version, (), cleared=True)
            return replace(state, draft=draft, draft_versions=happened.version)
        case DraftAllocationApplied() | DraftAllocationDeleted():
            return replace(state, draft=None)
        case DraftPaymentDeleted():
            return replace(state, phase=Phase.DELETED, draft=None)
        case PaymentReallocated() | PaymentStatusChanged():
            return state
        case _:
            raise TypeError(f"not an event of a payment: {happened!r}")


def evolve(state: PaymentRecord, happened: object) -> PaymentRecord:
    """The state after an event. Raises InvariantError when money would appear, vanish or be counted twice."""
    return check_conservation(_apply(state, happened))


PAYMENT: Aggregate[PaymentRecord] = Aggregate("payment", PaymentRecord, PaymentRecord(), evolve, snapshot_every=200)


def fold(state: PaymentRecord, events: Iterable[object]) -> PaymentRecord:
    """The state after the events."""
    for happened in events:
        state = evolve(state, happened)
    return state


# --- Moves of money: the building stones of every decision -----------------------------------------------------------


def with_status(
    before: PaymentRecord, events: Sequence[object], cause: Cause, date: dt.date, reason: str | None = None
) -> list[object]:
    """The events, followed by one PaymentStatusChanged if the status after all of them is another one (PAY-013).

    Proves on the way that the moves are possible and conserve the money. Suspense entries whose money has found a home
    are resolved (PAY-086). Events of several decisions may be put together and passed again: status changes and
    resolved entries among them are dropped and told once, net, for the whole.
    """
    told = [one for one in events if not isinstance(one, PaymentStatusChanged | SuspenseEntryResolved)]
    after = check_conservation(fold(before, told), thoroughly=True)
    if after.unapplied + after.suspended + after.member_unapplied_total == 0:
        told.extend(
            SuspenseEntryResolved(record=after.known, reference=entry.reference, cause=cause, date=date)
            for entry in after.suspense
        )
    old = before.status if before.identity is not None else None
    if after.status is not old:
        told.append(
            PaymentStatusChanged(record=after.known, old=old, new=after.status, cause=cause, date=date, reason=reason)
        )
    return told


def in_chunks(lines: Sequence[InvoiceLines], size: int = LINES_PER_EVENT) -> Iterator[tuple[InvoiceLines, ...]]:
    """The lines in portions of at most `size`, in the order given."""
    portion: list[InvoiceLines] = []
    room = size
    for part in lines:
        start = 0
        while start < len(part.lines):
            end = min(start + room, len(part.lines))
            whole = start == 0 and end == len(part.lines)
            portion.append(
                part if whole else InvoiceLines(part.invoice, part.lines[start:end], part.amounts[start:end])
            )
            room -= end - start
            start = end
            if room == 0:
                yield tuple(portion)
                portion, room = [], size
    if portion:
        yield tuple(portion)


def record_lines(lines: Iterable[InvoiceLines]) -> Iterator[tuple[str, int, int]]:
    """The columns as rows: invoice, line number, amount."""
    for part in lines:
        for line, amount in zip(part.lines, part.amounts, strict=True):
            yield part.invoice, line, amount


def move_to_items(
    state: PaymentRecord,
    lines: Sequence[InvoiceLines],
    *,
    cause: Cause,
    date: dt.date,
    source: Bucket = Bucket.UNAPPLIED,
    member: str | None = None,
    reason: str | None = None,
) -> list[object]:
    """PaymentAllocated events that move money from a bucket (of one member) onto invoice lines."""
    return [
        PaymentAllocated(
            record=state.known,
            allocation=state.allocations + 1,
            source=source,
            lines=portion,
            cause=cause,
            date=date,
            member=member,
            reason=reason,
        )
        for portion in in_chunks(lines)
    ]


def move_overpayment_to_items(
    state: PaymentRecord,
    by_member: Iterable[tuple[str, Sequence[InvoiceLines]]],
    *,
    cause: Cause,
    date: dt.date,
) -> list[object]:
    """MemberOverpaymentAllocated events that move members' overpayment onto their own lines (PAY-081)."""
    events: list[object] = []
    members: list[str] = []
    amounts: list[int] = []
    lines: list[InvoiceLines] = []
    count = 0

    def flush() -> None:
        if members:
            events.append(
                MemberOverpaymentAllocated(
                    record=state.known,
                    allocation=state.allocations + 1,
                    members=MemberAmounts(tuple(members), tuple(amounts)),
                    lines=merged(lines),
                    cause=cause,
                    date=date,
                )
            )

    for member, own in by_member:
        size = sum(len(part.lines) for part in own)
        if size == 0:
            continue
        if count and count + size > LINES_PER_EVENT:
            flush()
            members, amounts, lines, count = [], [], [], 0
        members.append(member)
        amounts.append(sum(part.total for part in own))
        lines.extend(own)
        count += size
    flush()
    return events


def merged(lines: Iterable[InvoiceLines]) -> tuple[InvoiceLines, ...]:
    """The same lines with one InvoiceLines an invoice, invoices and lines in order of first appearance.

    Amounts on the same line are added.
    """
    columns: dict[str, dict[int, int]] = {}
    for part in lines:
        of_invoice = columns.setdefault(part.invoice, {})
        for line, amount in zip(part.lines, part.amounts, strict=True):
            of_invoice[line] = of_invoice.get(line, 0) + amount
    return tuple(InvoiceLines(invoice, tuple(by), tuple(by.values())) for invoice, by in columns.items())


@dataclass(frozen=True, slots=True)
class AllocatedItems:
    """Money that records hold on invoice lines, one row a line, in item order (PAY-040). A fact from the register.

    `members[i]` is the member record of the line, None on an account-level line.
    """

    invoices: Sequence[str] = ()
    lines: Sequence[int] = ()
    members: Sequence[str | None] = ()
    amounts: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.lines)

    def select(self, rows: Iterable[int]) -> AllocatedItems:
        """The rows with these indices, in this order."""
        chosen = list(rows)
        return AllocatedItems(
            tuple(self.invoices[row] for row in chosen),
            tuple(self.lines[row] for row in chosen),
            tuple(self.members[row] for row in chosen),
            tuple(self.amounts[row] for row in chosen),
        )

    def where(self, *, invoices: frozenset[str] | None = None, members: frozenset[str] | None = None) -> AllocatedItems:
        """The rows on these invoices and of these member records."""
        return self.select(
            row
            for row in range(len(self))
            if (invoices is None or self.invoices[row] in invoices)
            and (members is None or self.members[row] in members)
        )


def move_from_items(
    state: PaymentRecord,
    items: AllocatedItems,
    *,
    to: Bucket,
    cause: Cause,
    date: dt.date,
    reason: str | None = None,
    caused_by: str | None = None,
) -> list[object]:
    """PaymentUnallocated events that move this money off its lines into a bucket.

    Money of lines without member record goes to `unapplied` when the bucket is kept by member (PAY-096).
    """
    if to is Bucket.UNAPPLIED:
        groups: list[tuple[Bucket, AllocatedItems]] = [(to, items)]
    else:
        with_member = [row for row in range(len(items)) if items.members[row] is not None]
        without = [row for row in range(len(items)) if items.members[row] is None]
        groups = [(to, items.select(with_member)), (Bucket.UNAPPLIED, items.select(without))]
    events: list[object] = []
    for bucket, rows in groups:
        for start in range(0, len(rows), LINES_PER_EVENT):
            portion = rows.select(range(start, min(start + LINES_PER_EVENT, len(rows))))
            by_member: dict[str, int] = {}
            by_invoice: dict[str, tuple[list[int], list[int]]] = {}
            columns = zip(portion.invoices, portion.lines, portion.members, portion.amounts, strict=True)
            for invoice, line, member, amount in columns:
                numbers, amounts = by_invoice.setdefault(invoice, ([], []))
                numbers.append(line)
                amounts.append(amount)
                if bucket is not Bucket.UNAPPLIED and member is not None:
                    by_member[member] = by_member.get(member, 0) + amount
            events.append(
                PaymentUnallocated(
                    record=state.known,
                    lines=tuple(
                        InvoiceLines(invoice, tuple(numbers), tuple(amounts))
                        for invoice, (numbers, amounts) in by_invoice.items()
                    ),
                    to=bucket,
                    members=MemberAmounts(tuple(by_member), tuple(by_member.values())),
                    cause=cause,
                    date=date,
                    reason=reason,
                    caused_by=caused_by,
                )
            )
    return events


def move_between_buckets(
    state: PaymentRecord,
    source: Bucket,
    to: Bucket,
    *,
    cause: Cause,
    date: dt.date,
    amount: int = 0,
    source_members: MemberAmounts = NO_MEMBERS,
    to_members: MemberAmounts = NO_MEMBERS,
    reason: str | None = None,
) -> list[object]:
    """BucketMoved events, at most LINES_PER_EVENT members each. Money of members moves within or out of their buckets.

    The amount is that of the members named; when both buckets are kept by member, the money stays with its member.
    """
    named = source_members if source_members.members else to_members
    if not named.members:
        return (
            []
            if amount == 0
            else [_bucket_moved(state, source, to, amount, NO_MEMBERS, NO_MEMBERS, cause, date, reason)]
        )
    events: list[object] = []
    for start in range(0, len(named.members), LINES_PER_EVENT):
        portion = slice(start, start + LINES_PER_EVENT)
        members = MemberAmounts(named.members[portion], named.amounts[portion])
        from_members = members if source is not Bucket.UNAPPLIED else NO_MEMBERS
        into_members = members if to is not Bucket.UNAPPLIED else NO_MEMBERS
        events.append(_bucket_moved(state, source, to, members.total, from_members, into_members, cause, date, reason))
    return events


def _bucket_moved(
    state: PaymentRecord,
    source: Bucket,
    to: Bucket,
    amount: int,
    source_members: MemberAmounts,
    to_members: MemberAmounts,
    cause: Cause,
    date: dt.date,
    reason: str | None,
) -> BucketMoved:
    return BucketMoved(
        record=state.known,
        source=source,
        to=to,
        amount=amount,
        source_members=source_members,
        to_members=to_members,
        cause=cause,
        date=date,
        reason=reason,
    )


def by_member(parts: Mapping[str, int], members: Iterable[str] | None = None) -> MemberAmounts:
    """The parts of a bucket as columns in member record order; of these members only, if named."""
    chosen = sorted(parts) if members is None else sorted(member for member in members if member in parts)
    return MemberAmounts(tuple(chosen), tuple(parts[member] for member in chosen))


def all_to_unapplied(
    state: PaymentRecord, items: AllocatedItems, *, cause: Cause, date: dt.date, reason: str | None = None
) -> list[object]:
    """The events that bring every part of the record back to `unapplied`: items, overpayment, member unapplied.

    `items` must be all the lines the record holds money on, else InvariantError: nothing may be left behind.
    """
    if sum(items.amounts) != state.items_total:
        raise InvariantError(
            f"payment record {state.identity}: lines of {sum(items.amounts)} given for {state.items_total} on items"
        )
    return [
        *move_from_items(state, items, to=Bucket.UNAPPLIED, cause=cause, date=date, reason=reason),
        *(
            moved
            for bucket, parts in (
                (Bucket.MEMBER_OVERPAYMENT, state.member_overpayment),
                (Bucket.MEMBER_UNAPPLIED, state.member_unapplied),
            )
            for moved in move_between_buckets(
                state,
                bucket,
                Bucket.UNAPPLIED,
                cause=cause,
                date=date,
                source_members=by_member(parts),
                reason=reason,
            )
        ),
    ]


def delete_draft(state: PaymentRecord, cause: Cause) -> list[object]:
    """The event that deletes the record's draft, if it has one (PAY-075)."""
    if state.draft is None:
        return []
    return [DraftAllocationDeleted(record=state.known, version=state.draft.version, cause=cause)]


def explain(
    state: PaymentRecord, explanation: Explanation, date: dt.date, master_policy: str | None = None
) -> list[object]:
    """The explanation of what is unapplied in `state`; nothing when nothing is, or nothing changes (PAY-033)."""
    if state.unapplied == 0 or (state.explanation is explanation and master_policy is None):
        return []
    return [
        UnappliedExplained(
            record=state.known,
            unapplied=state.unapplied,
            explanation=explanation,
            date=date,
            master_policy=master_policy,
        )
    ]


#: What may be done with an internal record that reached a SELF_BILL account by transfer (PAY-119).
SELF_BILL_INTERNAL_ACTIONS = frozenset(("VIEW", "ALLOCATION", "TRANSFER", "DECLINE"))


def action_problems(state: PaymentRecord, action: str) -> list[Problem]:
    """ACTION_NOT_ALLOWED for an internal record on a SELF_BILL account, unless it is one of the few (PAY-119)."""
    identity = state.known
    stranded = identity.category is Category.INTERNAL and identity.account_kind is AccountKind.SELF_BILL
    if not stranded or action in SELF_BILL_INTERNAL_ACTIONS:
        return []
    return [
        Problem(
            "ACTION_NOT_ALLOWED",
            "an internal payment on a self-bill account is allocated, transferred or declined only",
            params={"action": action, "allowed": sorted(SELF_BILL_INTERNAL_ACTIONS)},
        )
    ]


def reason_problems(reason: str | None, text: str | None, allowed: Sequence[str] = ()) -> list[Problem]:
    """A reason is needed, from the list if there is one; OTHER needs a text (PLT-018)."""
    if not reason:
        return [Problem("REASON_REQUIRED", "a reason is needed", pointer="/reason", params={"allowed": list(allowed)})]
    if allowed and reason not in allowed:
        return [
            Problem(
                "REQUEST_INVALID",
                "the reason is not one of the list",
                pointer="/reason",
                params={"allowed": list(allowed)},
            )
        ]
    if reason == "OTHER" and not (text or "").strip():
        return [Problem("REASON_TEXT_REQUIRED", "the reason OTHER needs a text", pointer="/text")]
    return []
