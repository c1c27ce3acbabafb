"""The policy transactions of a member record: what was asked, when it takes effect, and what became of it.

A transaction is a value; the premium of a member is a function of those in force, in the order of PRM-004 (effective
date, then recording). Nothing here changes a transaction: a back-off, a roll-on or a rewrite gives it another status
and, where the rulebook says so, a successor that names it. Amounts are annual, in minor units.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from domain.calendar.frequency import Frequency


class TransactionType(StrEnum):
    """The catalogue `BillingTransactionTypes` (PRM-001)."""

    NEW_BUSINESS = "NEW_BUSINESS"
    AMENDMENT = "AMENDMENT"
    CANCELLATION = "CANCELLATION"
    RESCIND_CANCELLATION = "RESCIND_CANCELLATION"
    REINSTATEMENT = "REINSTATEMENT"
    RENEWAL = "RENEWAL"
    REWRITE = "REWRITE"
    CONTINUATION = "CONTINUATION"
    PORTABILITY = "PORTABILITY"
    MOVED_TO_LIST_BILL = "MOVED_TO_LIST_BILL"
    CONTINUATION_REMOVED = "CONTINUATION_REMOVED"
    EMPLOYMENT_CHANGE = "EMPLOYMENT_CHANGE"
    WAIVER_ADD = "WAIVER_ADD"
    WAIVER_REMOVE = "WAIVER_REMOVE"
    INVOICING_MODALITY_CHANGE = "INVOICING_MODALITY_CHANGE"
    SEASONAL_UPDATE = "SEASONAL_UPDATE"


class AmendmentKind(StrEnum):
    """Kinds of an AMENDMENT (PRM-002)."""

    GENERAL = "GENERAL"
    CLASSIFICATION_CHANGE = "CLASSIFICATION_CHANGE"
    PAYROLL_FREQUENCY_CHANGE = "PAYROLL_FREQUENCY_CHANGE"
    STOP_BILLING = "STOP_BILLING"
    RESUME_BILLING = "RESUME_BILLING"


class TransactionStatus(StrEnum):
    """PRM-012. Only APPLIED transactions are in force."""

    APPLIED = "APPLIED"
    BACKED_OFF = "BACKED_OFF"
    ROLLED_ON = "ROLLED_ON"
    DROPPED = "DROPPED"
    INEFFECTIVE = "INEFFECTIVE"
    RESCINDED = "RESCINDED"
    OBSOLETE = "OBSOLETE"
    PARKED = "PARKED"
    REJECTED = "REJECTED"
    DEAD_LETTERED = "DEAD_LETTERED"


class Origin(StrEnum):
    """Who sent a transaction (PRM-003)."""

    POLICY = "POLICY"
    CLAIMS = "CLAIMS"
    CEM = "CEM"
    ENROLLMENT = "ENROLLMENT"
    BILLING = "BILLING"


class WaiverSource(StrEnum):
    """Who grants a premium waiver (PRM-090)."""

    POLICY = "POLICY"
    CLAIMS = "CLAIMS"


@dataclass(frozen=True, slots=True, order=True)
class ItemKey:
    """Plan, coverage, class, tier and sub-group; the coverage is mandatory (item key of 04, MEM-018)."""

    coverage: str
    plan: str = ""
    coverage_class: str = ""
    tier: str = ""
    sub_group: str = ""


@dataclass(frozen=True, slots=True)
class SequenceHolder:
    """A holder's annual share of a premium sequence (MEM-033); dates are the first day in and the first day out."""

    party: str
    annual: int
    effective: dt.date
    expiration: dt.date | None = None


@dataclass(frozen=True, slots=True)
class PremiumSequence:
    """A premium sequence of an item (MEM-033). `replaces` names the sequence whose place it takes (PRM-055).

    `lineage` is the id of the first sequence of such a chain; None where the sequence begins one or replaces the first.
    """

    sequence_id: str
    number: int
    effective: dt.date
    holders: tuple[SequenceHolder, ...]
    end: dt.date | None = None
    replaces: str | None = None
    lineage: str | None = None

    @property
    def root(self) -> str:
        """The id under which amounts of the whole chain are compared (PRM-055)."""
        return self.lineage or self.replaces or self.sequence_id


@dataclass(frozen=True, slots=True)
class PremiumAmount:
    """The annual amount of one item key from the transaction's date; None takes the key away (PRM-061).

    Without sequences the key has the single sequence 1 (PRM-050).
    """

    key: ItemKey
    annual: int | None
    sequences: tuple[PremiumSequence, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyTransaction:
    """One member-level transaction with everything its recalculation may need.

    `order` is the place in the member record's stream, the tie-breaker of PRM-004 (a rolled-on transaction carries its
    original's). Fields that do not belong to the type are None or empty. `until` is the first day no longer waived.
    A text that is not stated is None, one that is cleared is empty (MEM-099). `account` is stated only where the
    transaction places the record; `modality_from_account` says that the modality is resolved by day from the account's
    invoicing frequency from now on (PRM-073), as it is for a start that states none.
    """

    transaction_id: str
    type: TransactionType
    effective_date: dt.date
    transaction_date: dt.date
    recorded_at: dt.datetime
    order: int
    origin: Origin = Origin.POLICY
    kinds: tuple[AmendmentKind, ...] = ()
    status: TransactionStatus = TransactionStatus.APPLIED
    version: int | None = None
    amounts: tuple[PremiumAmount, ...] = ()
    account: str | None = None
    modality: Frequency | None = None
    payroll_frequency: Frequency | None = None
    location: str | None = None
    division: str | None = None
    member_class: str | None = None
    nonforfeiture: str | None = None
    reason: str | None = None
    waiver_id: str | None = None
    waiver_source: WaiverSource | None = None
    until: dt.date | None = None
    expiration: dt.date | None = None
    coverages: tuple[str, ...] = ()
    rolled_on_from: str | None = None
    caused_back_off: str | None = None
    original_date: dt.date | None = None
    modality_from_account: bool = False

    @property
    def in_force(self) -> bool:
        """Applied and not undone (PRM-012)."""
        return self.status is TransactionStatus.APPLIED

    @property
    def sort_key(self) -> tuple[dt.date, int]:
        """Order of PRM-004: effective date, then recording."""
        return (self.effective_date, self.order)
