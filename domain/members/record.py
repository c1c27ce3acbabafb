"""The member record: one person's enrolment under a master policy, as the chain of its policy transactions.

A member record is what was sent to it. Premium, cover, placement and ANYB are functions of its transactions in force in
the order of PRM-004; nothing here adds them up. What the record itself keeps are decisions: which transactions were
applied, backed off, rolled on, made ineffective; which versions of the premium they gave, and which of them is the
`ACTIVE` one that every reader uses; where the record was placed; what was last published as not yet billed.

    NB v1 ---- AM 04-01 v2 ---- AM 07-01 v3 ACTIVE
                                   AM 03-01 arrives: v4 PENDING, 04-01 and 07-01 backed off, the record is locked
                                   roll-on of 04-01: v5 PENDING, roll-on of 07-01: v6 ACTIVE, v3 to v5 INACTIVE

While decisions are open there are two views: the transactions as they stand now (`latest`), and those of the version
that stays ACTIVE (`active`), which is what invoicing, ANYB and paid-to-date read (PRM-110, PRM-111).

The file holds the state and `evolve`, which folds the events of `events.py` into it without working anything out: each
step costs what changed. The decisions are in files of their own, one a family.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any, Final

from domain.aggregate import Aggregate
from domain.members.events import (
    AnybLine,
    AnybUpdateExcluded,
    BilledPremiumReduced,
    BillingRenewed,
    BillingResumed,
    BillingRewritten,
    BillingStopped,
    CancellationRescinded,
    ContinuationRemoved,
    EmploymentChanged,
    EmploymentOutcome,
    GroupOrigin,
    MemberAnybChanged,
    MemberCancellationRequested,
    MemberCancellationRequestRefused,
    MemberCancelled,
    MemberNameEventStale,
    MemberPremiumMoved,
    MemberPremiumRecalculated,
    MemberPremiumStarted,
    MemberRecordMoved,
    MemberRecordPlaced,
    MemberRecordRenamed,
    MemberRecordReturned,
    MemberReinstated,
    ModalityChanged,
    ModalPremiumRow,
    ModalPremiumVersionCreated,
    PolicyTransactionApplied,
    PremiumWaiverApplied,
    PremiumWaiverEnded,
    PremiumWaiverOutOfScope,
    Rerouting,
    RollOnCompleted,
    RollOnRequested,
    SeasonalPremiumRecalculated,
    TransactionDropped,
    TransactionParked,
    TransactionRejected,
    TransactionRolledOn,
    TransactionsBackedOff,
    TransactionsMadeIneffective,
    TransactionUnparked,
    VersionStatus,
    WaiverEnding,
)
from domain.members.placements import Placement
from domain.members.requests import RollOnAction, TransactionRequest
from domain.premium.timeline import MemberTerms, Timeline, build_timeline
from domain.premium.transactions import PolicyTransaction, TransactionStatus, TransactionType
from domain.products.master_policy import RollOnMode


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the modal premium, without its rows."""

    number: int
    status: VersionStatus
    origin: str
    type: TransactionType
    effective_date: dt.date
    seasonal: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """A message that was accepted, by its id, content and the cascade it came from."""

    transaction_id: str
    fingerprint: str
    cascade: str | None = None


@dataclass(frozen=True, slots=True)
class RollOnLock:
    """The lock ROLL_ON_PENDING: since when, and the transactions as the ACTIVE version has them (PRM-110)."""

    caused_by: str
    mode: RollOnMode
    requested_at: dt.datetime
    before: tuple[PolicyTransaction, ...]


@dataclass(frozen=True, slots=True)
class RollOnDecided:
    """A decision made on a backed-off transaction, kept for a repeated delivery (PRM-117)."""

    transaction_id: str
    action: RollOnAction
    content: str
    rolled_on_as: str | None = None


@dataclass(frozen=True, slots=True)
class EmploymentStatement:
    """What was stated about location and division from a date on (MEM-099); `date` as it was sent."""

    event_id: str
    date: dt.date
    location: str | None
    division: str | None
    outcome: EmploymentOutcome


@dataclass(frozen=True, slots=True)
class Parked:
    """A message that waits for the end of the lock."""

    request: TransactionRequest
    fingerprint: str


@dataclass(frozen=True, slots=True)
class AccountAnyb:
    """The last published ANYB of the record on an account, in minor units."""

    account: str
    total: int
    lines: tuple[AnybLine, ...]


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """State of a member record; `number` is empty before its New Business.

    `effective_date` and `anchor` change by a rewrite only. `direct_accounts` are the accounts that bill it one by one,
    `fallbacks` the transactions that placed it on the root's account for want of another (MEM-104). `placements` are
    those of the ACTIVE version, unclosed by a cancellation; `rows` those of the latest one.
    """

    number: str = ""
    customer_number: str = ""
    master_policy: str = ""
    group_origin: GroupOrigin = GroupOrigin.NONE
    currency: str = ""
    effective_date: dt.date = dt.date.min
    anchor: dt.date = dt.date.min
    transactions: tuple[PolicyTransaction, ...] = ()
    versions: tuple[Version, ...] = ()
    rows: tuple[ModalPremiumRow, ...] = ()
    placements: tuple[Placement, ...] = ()
    direct_accounts: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    employment: tuple[EmploymentStatement, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    lock: RollOnLock | None = None
    decided: tuple[RollOnDecided, ...] = ()
    parked: tuple[Parked, ...] = ()
    expired_waivers: tuple[str, ...] = ()
    anyb: tuple[AccountAnyb, ...] = ()
    customer_version: int = 0
    first_invoice_grace_days: int | None = None
    cancellation_requested: bool = False

    @property
    def exists(self) -> bool:
        """Whether New Business was processed."""
        return bool(self.number)

    @property
    def is_roll_on_pending(self) -> bool:
        """Whether the record is locked until Policy decides (PRM-110)."""
        return self.lock is not None

    @property
    def active_transactions(self) -> tuple[PolicyTransaction, ...]:
        """The transactions as the ACTIVE version has them (PRM-111)."""
        return self.transactions if self.lock is None else self.lock.before

    @property
    def backed_off(self) -> tuple[PolicyTransaction, ...]:
        """The transactions that await a decision, in the order of PRM-004."""
        waiting = (one for one in self.transactions if one.status is TransactionStatus.BACKED_OFF)
        return tuple(sorted(waiting, key=lambda one: one.sort_key))

    @property
    def latest_version(self) -> int:
        """The number of the latest version, 0 before the first (PRM-040)."""
        return self.versions[-1].number if self.versions else 0

    @property
    def active_version(self) -> Version | None:
        """The one version that every reader uses (PRM-043)."""
        return next((one for one in reversed(self.versions) if one.status is VersionStatus.ACTIVE), None)

    @property
    def next_order(self) -> int:
        """The place in the stream of the next transaction, the tie-breaker of PRM-004."""
        return len(self.transactions) + 1

    @property
    def accounts(self) -> frozenset[str]:
        """Every account that bills or ever billed the record: it may still carry what a later message undid."""
        placed = {one.account for one in self.transactions if one.account} | {one.account for one in self.placements}
        return frozenset(placed | {one.account for one in self.anyb})

    @property
    def is_cancelled(self) -> bool:
        """The stored state CANCELLED: a cancellation in force that no reinstatement ended (MEM-068)."""
        return cancellation_in_force(self.active_transactions) is not None

    def transaction(self, transaction_id: str) -> PolicyTransaction | None:
        """A transaction of any status by its id."""
        return next((one for one in self.transactions if one.transaction_id == transaction_id), None)

    def successor(self, transaction_id: str) -> PolicyTransaction | None:
        """The rolled-on transaction in the place of a backed-off one (PRM-113)."""
        return next((one for one in self.transactions if one.rolled_on_from == transaction_id), None)

    def receipt(self, transaction_id: str) -> Receipt | None:
        """The receipt of an accepted message."""
        return next((one for one in self.receipts if one.transaction_id == transaction_id), None)

    def anyb_of(self, account: str) -> AccountAnyb | None:
        """The last published ANYB on the account; `is_roll_on_pending` marks it as held (PRM-111)."""
        return next((one for one in self.anyb if one.account == account), None)


def cancellation_in_force(transactions: Iterable[PolicyTransaction]) -> PolicyTransaction | None:
    """The cancellation in force that no reinstatement in force ended (PRM-065)."""
    found: PolicyTransaction | None = None
    for one in sorted((one for one in transactions if one.in_force), key=lambda one: one.sort_key):
        if one.type is TransactionType.CANCELLATION and found is None:
            found = one
        elif one.type in (TransactionType.REINSTATEMENT, TransactionType.REWRITE):
            found = None
    return found


def active_timeline(
    record: MemberRecord, *, term_expiration: dt.date | None = None, multiple_sequences: bool = True
) -> Timeline:
    """The premium timeline of the ACTIVE version: what invoicing, ANYB and paid-to-date read (PRM-111).

    `term_expiration` is the first day not covered by the master policy; without `multiple_sequences` every item key has
    the single sequence 1.
    """
    return build_timeline(record.active_transactions, terms_of(record, term_expiration, multiple_sequences))


def latest_timeline(
    record: MemberRecord, *, term_expiration: dt.date | None = None, multiple_sequences: bool = True
) -> Timeline:
    """The premium timeline as the transactions stand now; while a roll-on is pending that of the PENDING version."""
    return build_timeline(record.transactions, terms_of(record, term_expiration, multiple_sequences))


def terms_of(record: MemberRecord, term_expiration: dt.date | None, multiple_sequences: bool) -> MemberTerms:
    """What of the record besides its transactions decides its premium."""
    return MemberTerms(
        record.number,
        record.effective_date,
        record.anchor,
        term_expiration,
        multiple_sequences,
        record.master_policy,
    )


# ------------------------------------------------------------------------------------------------------------ evolve


_VALUES: Final = attrgetter(*(one.name for one in fields(MemberRecord)))
_PLACE: Final = {one.name: place for place, one in enumerate(fields(MemberRecord))}


def _with(state: MemberRecord, **changes: Any) -> MemberRecord:
    """The record with some fields changed; what `dataclasses.replace` gives, at less cost."""
    values = list(_VALUES(state))
    for name, value in changes.items():
        values[_PLACE[name]] = value
    return MemberRecord(*values)


def _started(_: MemberRecord, happened: MemberPremiumStarted) -> MemberRecord:
    return MemberRecord(
        number=happened.member_record,
        customer_number=happened.customer_number,
        master_policy=happened.master_policy,
        group_origin=happened.group_origin,
        currency=happened.currency,
        effective_date=happened.effective_date,
        anchor=happened.anchor,
    )


def _applied(state: MemberRecord, happened: PolicyTransactionApplied) -> MemberRecord:
    transaction = happened.transaction
    receipt = Receipt(transaction.transaction_id, happened.fingerprint, happened.cascade)
    fallbacks = (*state.fallbacks, transaction.transaction_id) if happened.root_fallback else state.fallbacks
    return _with(
        state,
        transactions=(*state.transactions, transaction),
        receipts=(*state.receipts, receipt),
        fallbacks=fallbacks,
    )


def _placed(state: MemberRecord, happened: MemberRecordPlaced) -> MemberRecord:
    direct = (happened.placement.account,) if happened.placement.direct else ()
    return _with(state, placements=(happened.placement,), direct_accounts=direct)


def _moved(state: MemberRecord, happened: MemberRecordMoved) -> MemberRecord:
    return _with(state, placements=happened.placements)


def _versioned(state: MemberRecord, happened: ModalPremiumVersionCreated) -> MemberRecord:
    created = Version(
        happened.version,
        happened.status,
        happened.origin,
        happened.type,
        happened.effective_date,
        happened.seasonal,
    )
    earlier = state.versions
    if happened.status is VersionStatus.ACTIVE:
        earlier = tuple(
            replace(one, status=VersionStatus.INACTIVE) if one.status is VersionStatus.ACTIVE else one
            for one in earlier
        )
    rows = state.rows
    if happened.withdrawn:
        gone = {(one.account, one.key, one.effective) for one in happened.withdrawn}
        rows = tuple(one for one in rows if (one.account, one.key, one.effective) not in gone)
    return _with(state, versions=(*earlier, created), rows=(*rows, *happened.rows))


def _cancelled(state: MemberRecord, _: MemberCancelled) -> MemberRecord:
    return _with(state, cancellation_requested=False) if state.cancellation_requested else state


def _rescinded(state: MemberRecord, happened: CancellationRescinded) -> MemberRecord:
    return _with(
        state,
        transactions=_with_status(state.transactions, {happened.cancellation_id}, TransactionStatus.RESCINDED),
    )


def _rewritten(state: MemberRecord, happened: BillingRewritten) -> MemberRecord:
    obsolete = set(happened.obsolete_transactions)
    return _with(
        state,
        effective_date=happened.effective_date,
        anchor=happened.anchor,
        transactions=_with_status(state.transactions, obsolete, TransactionStatus.OBSOLETE),
        versions=tuple(replace(one, status=VersionStatus.OBSOLETE) for one in state.versions),
        rows=(),
        lock=None,
    )


def _premium_moved(state: MemberRecord, happened: MemberPremiumMoved) -> MemberRecord:
    direct = state.direct_accounts
    if happened.to_account not in direct:
        direct = (*direct, happened.to_account)
    grace = happened.first_invoice_grace_days
    return _with(
        state,
        direct_accounts=direct,
        first_invoice_grace_days=state.first_invoice_grace_days if grace is None else grace,
    )


def _employment_changed(state: MemberRecord, happened: EmploymentChanged) -> MemberRecord:
    statement = EmploymentStatement(
        happened.event_id, happened.original_date, happened.location, happened.division, happened.outcome
    )
    known = any(one.event_id == happened.event_id for one in state.employment)
    employment = tuple(statement if one.event_id == happened.event_id else one for one in state.employment)
    receipts = state.receipts
    if happened.outcome is EmploymentOutcome.NO_CHANGE:
        receipts = (*receipts, Receipt(happened.event_id, happened.fingerprint))
    return _with(state, employment=employment if known else (*employment, statement), receipts=receipts)


def _recalculated(state: MemberRecord, happened: MemberPremiumRecalculated) -> MemberRecord:
    if not happened.rerouted:
        return state
    rerouted = {one.transaction_id: one for one in happened.rerouted}
    transactions = tuple(
        rerouted_transaction(one, rerouted[one.transaction_id]) if one.transaction_id in rerouted else one
        for one in state.transactions
    )
    fallbacks = tuple(one for one in state.fallbacks if one not in rerouted)
    marked = tuple(one.transaction_id for one in happened.rerouted if one.root_fallback)
    return _with(state, transactions=transactions, fallbacks=(*fallbacks, *marked))


def rerouted_transaction(transaction: PolicyTransaction, rerouting: Rerouting) -> PolicyTransaction:
    """The transaction with account and modality as decided anew."""
    return replace(
        transaction,
        account=rerouting.account,
        modality=rerouting.modality,
        modality_from_account=rerouting.modality_from_account,
    )


def _waiver_ended(state: MemberRecord, happened: PremiumWaiverEnded) -> MemberRecord:
    if happened.ending is not WaiverEnding.EXPIRED:
        return state
    return _with(state, expired_waivers=(*state.expired_waivers, happened.waiver_id))


def _out_of_scope(state: MemberRecord, happened: PremiumWaiverOutOfScope) -> MemberRecord:
    return _with(state, receipts=(*state.receipts, Receipt(happened.transaction_id, happened.fingerprint)))


def _locked(state: MemberRecord, happened: RollOnRequested) -> MemberRecord:
    return _with(state, lock=RollOnLock(happened.caused_by, happened.mode, happened.requested_at, state.transactions))


def _backed_off(state: MemberRecord, happened: TransactionsBackedOff) -> MemberRecord:
    ids = set(happened.transactions)
    return _with(
        state,
        transactions=tuple(
            replace(one, status=TransactionStatus.BACKED_OFF, caused_back_off=happened.caused_by)
            if one.transaction_id in ids
            else one
            for one in state.transactions
        ),
    )


def _made_ineffective(state: MemberRecord, happened: TransactionsMadeIneffective) -> MemberRecord:
    ids = {one.transaction_id for one in happened.transactions}
    return _with(state, transactions=_with_status(state.transactions, ids, TransactionStatus.INEFFECTIVE))


def _rolled_on(state: MemberRecord, happened: TransactionRolledOn) -> MemberRecord:
    decided = RollOnDecided(happened.transaction_id, RollOnAction.ROLL_ON, happened.content, happened.rolled_on_as)
    return _with(
        state,
        transactions=_with_status(state.transactions, {happened.transaction_id}, TransactionStatus.ROLLED_ON),
        decided=(*state.decided, decided),
    )


def _dropped(state: MemberRecord, happened: TransactionDropped) -> MemberRecord:
    return _with(
        state,
        transactions=_with_status(state.transactions, {happened.transaction_id}, TransactionStatus.DROPPED),
        decided=(*state.decided, RollOnDecided(happened.transaction_id, RollOnAction.DROP, happened.content)),
    )


def _completed(state: MemberRecord, happened: RollOnCompleted) -> MemberRecord:
    inactive = set(happened.inactive_versions)
    return _with(
        state,
        lock=None,
        versions=tuple(
            replace(one, status=VersionStatus.ACTIVE)
            if one.number == happened.active_version
            else replace(one, status=VersionStatus.INACTIVE)
            if one.number in inactive
            else one
            for one in state.versions
        ),
    )


def _parked(state: MemberRecord, happened: TransactionParked) -> MemberRecord:
    return _with(state, parked=(*state.parked, Parked(happened.request, happened.fingerprint)))


def _no_longer_parked(state: MemberRecord, happened: TransactionUnparked | TransactionRejected) -> MemberRecord:
    left = tuple(one for one in state.parked if one.request.transaction_id != happened.transaction_id)
    return _with(state, parked=left)


def _anyb_changed(state: MemberRecord, happened: MemberAnybChanged) -> MemberRecord:
    published = AccountAnyb(happened.account, happened.total, happened.lines)
    others = tuple(one for one in state.anyb if one.account != happened.account)
    return _with(state, anyb=(*others, published))


def _renamed(state: MemberRecord, happened: MemberRecordRenamed) -> MemberRecord:
    return _with(state, customer_version=happened.customer_version)


def _cancellation_requested(state: MemberRecord, _: MemberCancellationRequested) -> MemberRecord:
    return _with(state, cancellation_requested=True)


def _cancellation_refused(state: MemberRecord, _: MemberCancellationRequestRefused) -> MemberRecord:
    return _with(state, cancellation_requested=False)


def _unchanged(state: MemberRecord, _: object) -> MemberRecord:
    return state


def _with_status(
    transactions: tuple[PolicyTransaction, ...], ids: set[str], status: TransactionStatus
) -> tuple[PolicyTransaction, ...]:
    return tuple(replace(one, status=status) if one.transaction_id in ids else one for one in transactions)


#: A case for every event of the record. A table rather than a `match`: tens of thousands of records are loaded for one
#: invoice, and a look-up costs the same for the last case as for the first.
_EVOLVE: Final[dict[type, Callable[[MemberRecord, Any], MemberRecord]]] = {
    MemberPremiumStarted: _started,
    PolicyTransactionApplied: _applied,
    MemberRecordPlaced: _placed,
    MemberRecordMoved: _moved,
    ModalPremiumVersionCreated: _versioned,
    MemberCancelled: _cancelled,
    CancellationRescinded: _rescinded,
    MemberReinstated: _unchanged,
    BillingRenewed: _unchanged,
    BillingRewritten: _rewritten,
    BillingStopped: _unchanged,
    BillingResumed: _unchanged,
    MemberPremiumMoved: _premium_moved,
    MemberRecordReturned: _unchanged,
    ContinuationRemoved: _unchanged,
    EmploymentChanged: _employment_changed,
    MemberPremiumRecalculated: _recalculated,
    PremiumWaiverApplied: _unchanged,
    PremiumWaiverEnded: _waiver_ended,
    PremiumWaiverOutOfScope: _out_of_scope,
    RollOnRequested: _locked,
    TransactionsBackedOff: _backed_off,
    TransactionsMadeIneffective: _made_ineffective,
    TransactionRolledOn: _rolled_on,
    TransactionDropped: _dropped,
    RollOnCompleted: _completed,
    TransactionParked: _parked,
    TransactionUnparked: _no_longer_parked,
    TransactionRejected: _no_longer_parked,
    ModalityChanged: _unchanged,
    SeasonalPremiumRecalculated: _unchanged,
    MemberAnybChanged: _anyb_changed,
    BilledPremiumReduced: _unchanged,
    AnybUpdateExcluded: _unchanged,
    MemberRecordRenamed: _renamed,
    MemberNameEventStale: _unchanged,
    MemberCancellationRequested: _cancellation_requested,
    MemberCancellationRequestRefused: _cancellation_refused,
}


def evolve(state: MemberRecord, happened: object) -> MemberRecord:
    """The record after one more event. Raises TypeError for what is not an event of a member record."""
    step = _EVOLVE.get(type(happened))
    if step is None:
        raise TypeError(f"not an event of a member record: {type(happened).__name__}")
    return step(state, happened)


MEMBER_RECORD: Final = Aggregate("member", MemberRecord, MemberRecord(), evolve, snapshot_every=4)
