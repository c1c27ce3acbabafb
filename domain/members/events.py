"""What happens in the life of a member record, in that order: its events, and the values they carry.

Reading the class names from top to bottom tells the life: started, changed, cancelled and reinstated, moved, waived,
backed off and rolled on, and what of it was not yet billed. Every event carries decided figures: dates as clamped,
accounts as routed, amounts as prorated, versions as numbered. Annual, modal and prorated amounts are minor units.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from domain.calendar.frequency import Frequency
from domain.events import event
from domain.members.placements import Placement
from domain.members.requests import TransactionRequest
from domain.premium.anyb import AnybKind
from domain.premium.transactions import (
    ItemKey,
    Origin,
    PolicyTransaction,
    PremiumAmount,
    TransactionType,
    WaiverSource,
)
from domain.products.master_policy import RollOnMode


class GroupOrigin(StrEnum):
    """Whether the record came out of a group arrangement, and of which kind (MEM-125, MEM-128)."""

    LIST_BILL = "LIST_BILL"
    SELF_BILL = "SELF_BILL"
    NONE = "NONE"


class VersionStatus(StrEnum):
    """PRM-043."""

    ACTIVE = "ACTIVE"
    PENDING = "PENDING"
    INACTIVE = "INACTIVE"
    OBSOLETE = "OBSOLETE"


@dataclass(frozen=True, slots=True)
class ModalPremiumRow:
    """A row of the modal premium history (PRM-041): what a coverage costs on an account from a date on.

    Annual, modal and prorated amounts are minor units; [period_start, period_end) is the modal period in which the row
    begins. `prorated` and `days` are given when the row covers part of that period only (PRM-042). `origin_version` is
    the version in which the row's transaction first appeared.
    """

    origin_version: int
    transaction_id: str
    account: str
    key: ItemKey
    effective: dt.date
    modality: Frequency
    annual: int
    modal: int
    period_start: dt.date
    period_end: dt.date
    prorated: int | None = None
    days: int | None = None
    location: str | None = None
    division: str | None = None
    stop: bool = False
    resume: bool = False
    seasonal: bool = False
    rolled_on: bool = False
    sequences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RowReference:
    """Names a row that holds no longer: there is one row an account, item key and date."""

    account: str
    key: ItemKey
    effective: dt.date


@event()
class MemberPremiumStarted:
    """A member record begins with its New Business (PRM-060, MEM-067). `anchor` starts its modal grid (PRM-034).

    Names and employee identifier are personal data of class P3; nothing here decides by them.
    """

    member_record: str
    transaction_id: str
    customer_number: str
    first_name: str | None
    last_name: str | None
    employee_id: str | None
    master_policy: str
    group_origin: GroupOrigin
    currency: str
    effective_date: dt.date
    anchor: dt.date
    direct: bool


@event()
class PolicyTransactionApplied:
    """A transaction is in force (PRM-010), with the effects decided for it: account, modality, clamped date.

    `fingerprint` identifies its content (PLT-004), `cascade` the master policy transaction that caused it, `accounts`
    are those concerned from its date on. `root_fallback` tells that its account is the root's, for want of another.
    """

    member_record: str
    transaction: PolicyTransaction
    fingerprint: str
    accounts: tuple[str, ...]
    out_of_sequence: bool = False
    cascade: str | None = None
    root_fallback: bool = False


@event()
class MemberRecordPlaced:
    """The first placement of a member record (MEM-069)."""

    member_record: str
    placement: Placement


class MovementKind(StrEnum):
    """MEM-071."""

    MOVED_OUT = "MOVED_OUT"
    MOVED_IN = "MOVED_IN"


@dataclass(frozen=True, slots=True)
class Movement:
    """One of the two entries of a change of account; both carry the same correlation (MEM-071)."""

    kind: MovementKind
    account: str
    date: dt.date
    correlation: str


@event()
class MemberRecordMoved:
    """The placements of a record changed: the entries written, and all placements from now on in force (MEM-070)."""

    member_record: str
    transaction_id: str
    movements: tuple[Movement, ...]
    placements: tuple[Placement, ...]


@event()
class ModalPremiumVersionCreated:
    """A version of the modal premium (PRM-040): the rows it adds to those of the version before, and those it ends.

    `status` is ACTIVE, or PENDING while a roll-on decision is open. `origin` is the transaction it was made for.
    """

    member_record: str
    version: int
    status: VersionStatus
    origin: str
    type: TransactionType
    effective_date: dt.date
    rows: tuple[ModalPremiumRow, ...]
    withdrawn: tuple[RowReference, ...]
    seasonal: bool = False
    rolled_on: bool = False


@event()
class MemberCancelled:
    """Cover ends on the date, which is not charged (PRM-064); `flat` when that is the record's first day."""

    member_record: str
    transaction_id: str
    effective_date: dt.date
    reason: str | None
    flat: bool


@event()
class CancellationRescinded:
    """A cancellation is voided; it and its rescission count for nothing from now on (PRM-065, PRM-012)."""

    member_record: str
    transaction_id: str
    cancellation_id: str
    effective_date: dt.date


@event()
class MemberReinstated:
    """Cover goes on from the date; with a lapse when that is later than the cancellation (PRM-066)."""

    member_record: str
    transaction_id: str
    cancellation_id: str
    cancelled_on: dt.date
    effective_date: dt.date


@event()
class BillingRenewed:
    """New annual amounts hold from the date (PRM-068). Policy gets one billing adjustment message for it (PRM-011)."""

    member_record: str
    transaction_id: str
    effective_date: dt.date
    amounts: tuple[PremiumAmount, ...]


@event()
class BillingRewritten:
    """The record begins anew from another date with a new anchor; what was before is obsolete (PRM-069)."""

    member_record: str
    transaction_id: str
    old_effective_date: dt.date
    effective_date: dt.date
    anchor: dt.date
    obsolete_transactions: tuple[str, ...]
    obsolete_versions: tuple[int, ...]


@event()
class BillingStopped:
    """Premium is 0.00 from the date while the cover goes on as nonforfeiture (PRM-080)."""

    member_record: str
    transaction_id: str
    effective_date: dt.date
    nonforfeiture: str


@event()
class BillingResumed:
    """Every stop active on the date ends; `stops` are they, the earliest first (PRM-082)."""

    member_record: str
    transaction_id: str
    effective_date: dt.date
    reason: str
    stops: tuple[str, ...]


@event()
class MemberPremiumMoved:
    """The premium ends on one account and begins on another, with a modality of its own (PRM-070).

    `first_invoice_grace_days` is stamped by a portability and never changes afterwards (MEM-134).
    """

    member_record: str
    transaction_id: str
    type: TransactionType
    effective_date: dt.date
    from_account: str
    to_account: str
    modality: Frequency | None
    first_invoice_grace_days: int | None = None


@event()
class MemberRecordReturned:
    """The record is billed by its group again from the date (MEM-125 to MEM-127)."""

    member_record: str
    transaction_id: str
    effective_date: dt.date
    from_account: str
    to_account: str
    to_original_account: bool


@event()
class ContinuationRemoved:
    """The continuation of a self-bill member costs nothing from the date; it stays on its account (MEM-128)."""

    member_record: str
    transaction_id: str
    effective_date: dt.date
    account: str


class EmploymentOutcome(StrEnum):
    """MEM-100, MEM-101."""

    CHANGED = "CHANGED"
    NO_CHANGE = "NO_CHANGE"


@event()
class EmploymentChanged:
    """What customer management stated about location and division from a date on (MEM-098 to MEM-102).

    None is not stated, an empty text cleared. A statement that changes nothing is kept as `NO_CHANGE`: should an
    earlier change arrive later, it changes something after all. `original_date` is the date as it was sent.
    """

    member_record: str
    event_id: str
    effective_date: dt.date
    original_date: dt.date
    location: str | None
    division: str | None
    outcome: EmploymentOutcome
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Rerouting:
    """What a kept transaction now decides about account and modality; an account of None places nobody (MEM-106)."""

    transaction_id: str
    account: str | None
    modality: Frequency | None = None
    modality_from_account: bool = False
    root_fallback: bool = False


@event()
class MemberPremiumRecalculated:
    """Kept later transactions were recalculated on top of an earlier one (PRM-102, MEM-106)."""

    member_record: str
    caused_by: str
    kept: tuple[str, ...]
    rerouted: tuple[Rerouting, ...]


@event()
class PremiumWaiverApplied:
    """The premium of the coverages is waived from the date (PRM-090); `until` is the first charged day, None open."""

    member_record: str
    transaction_id: str
    waiver_id: str
    source: WaiverSource
    effective_date: dt.date
    until: dt.date | None
    expiration: dt.date | None
    coverages: tuple[str, ...]


class WaiverEnding(StrEnum):
    """How a waiver ended (waiver states of 04)."""

    ENDED = "ENDED"
    VOID = "VOID"
    EXPIRED = "EXPIRED"


@event()
class PremiumWaiverEnded:
    """A waiver ends on the date, the first charged day; VOID when that is its start (PRM-095)."""

    member_record: str
    transaction_id: str | None
    waiver_id: str
    source: WaiverSource
    effective_date: dt.date
    ending: WaiverEnding


@event()
class PremiumWaiverOutOfScope:
    """A waiver request outside billing's scope ended without any change; it raises a task (PRM-093)."""

    member_record: str
    transaction_id: str
    source: WaiverSource | None
    fingerprint: str


@dataclass(frozen=True, slots=True)
class LaterTransaction:
    """A later transaction that no longer stands, as its sender knows it; `code` is the guard that fails, if any."""

    transaction_id: str
    type: TransactionType
    origin: Origin
    effective_date: dt.date
    amounts: tuple[PremiumAmount, ...] = ()
    code: str | None = None


@event()
class RollOnRequested:
    """The record is locked until Policy decides on the backed-off transactions (PRM-110).

    First of its unit: what was in force until now is what the ACTIVE version goes on to show. Under AUTOMATIC the
    decisions came along and the lock is ended in the same unit (PRM-116).
    """

    member_record: str
    caused_by: str
    mode: RollOnMode
    active_version: int
    transactions: tuple[LaterTransaction, ...]
    requested_at: dt.datetime


@event()
class TransactionsBackedOff:
    """Later transactions await a roll-on or a drop (PRM-102, B1)."""

    member_record: str
    caused_by: str
    transactions: tuple[str, ...]


@event()
class TransactionsMadeIneffective:
    """Later transactions have no effect any more; their origin is told (PRM-102, IN; PRM-113)."""

    member_record: str
    caused_by: str
    transactions: tuple[LaterTransaction, ...]


@event()
class TransactionRolledOn:
    """A backed-off transaction is replaced by a new one of the same type, date and place in the order (PRM-113)."""

    member_record: str
    transaction_id: str
    rolled_on_as: str
    re_rated: bool
    content: str


@event()
class TransactionDropped:
    """A backed-off transaction is given up (PRM-112)."""

    member_record: str
    transaction_id: str
    content: str


@event()
class RollOnCompleted:
    """The last decision is made: the latest version is ACTIVE and the lock ended (PRM-114)."""

    member_record: str
    active_version: int
    inactive_versions: tuple[int, ...]


@event()
class TransactionParked:
    """A message that arrived during the lock waits for its end (PRM-115)."""

    member_record: str
    request: TransactionRequest
    fingerprint: str
    received_at: dt.datetime


@event()
class TransactionUnparked:
    """A parked message is applied now; its transaction follows in the same unit."""

    member_record: str
    transaction_id: str


@event()
class TransactionRejected:
    """A parked message was refused when its turn came; its origin is told (PRM-012)."""

    member_record: str
    transaction_id: str
    origin: Origin
    codes: tuple[str, ...]


@event()
class ModalityChanged:
    """The invoicing frequency of the account gives the record another modality from the day on (PRM-073)."""

    member_record: str
    transaction_id: str
    master_policy: str
    account: str
    old_modality: Frequency
    modality: Frequency
    effective_date: dt.date


@event()
class SeasonalPremiumRecalculated:
    """The gap months of the account changed, and with them the modal amounts of the record (PRM-148)."""

    member_record: str
    transaction_id: str
    account: str
    gap_months: tuple[int, ...]
    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AnybLine:
    """ANYB of one charge key, in minor units: what was compared, and the difference in its parts (PRM-121).

    `sequence` is the root of the premium sequence's lineage, `period_start` that of the full modal period,
    `billing_start` that of the invoicing period that billed or should have billed it.
    """

    item: ItemKey
    sequence: str
    modality: Frequency
    period_start: dt.date
    billing_start: dt.date
    kind: AnybKind
    invoiced_charge: int
    invoiced_waiver: int
    charge: int
    waiver: int
    sources: tuple[str, ...] = ()

    @property
    def amount(self) -> int:
        """Both parts together."""
        return self.charge + self.waiver


@event()
class MemberAnybChanged:
    """What the account has not yet billed for the record is now this (PRM-123): all its open keys and their total."""

    member_record: str
    account: str
    currency: str
    total: int
    lines: tuple[AnybLine, ...]
    calculated_at: dt.datetime


@event()
class BilledPremiumReduced:
    """The corrected charge of a billed key fell below what is invoiced (PRM-131). Amounts in minor units, net."""

    member_record: str
    account: str
    item: ItemKey
    sequence: str
    modality: Frequency
    period_start: dt.date
    billing_start: dt.date
    invoiced: int
    corrected: int
    difference: int
    source_type: TransactionType | None


@event()
class AnybUpdateExcluded:
    """The transaction touches nothing that is billed: no ANYB changed (PRM-125)."""

    member_record: str
    transaction_id: str


@event()
class MemberRecordRenamed:
    """The individual customer's name or employee identifier changed (MEM-007); personal data of class P3."""

    member_record: str
    first_name: str | None
    last_name: str | None
    employee_id: str | None
    customer_version: int


@event()
class MemberNameEventStale:
    """A name event with a version not above the last applied one changed nothing (MEM-008)."""

    member_record: str
    customer_version: int
    last_version: int


@event()
class MemberCancellationRequested:
    """Policy was asked to cancel the record for non-payment of its first individual invoice (MEM-137)."""

    member_record: str
    effective_date: dt.date
    reason: str


@event()
class MemberCancellationRequestRefused:
    """Policy refused to cancel; the mark is cleared and a task raised (MEM-137)."""

    member_record: str
    reason: str
