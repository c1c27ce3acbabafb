"""A cascade on its way: what was asked for, which records have their result, how it ended (PRM-150 to PRM-152).

A master policy may have a hundred thousand records, so a cascade is no single command. It begins with the master
transaction, each record gets its transaction and its result in a commit of its own, and it ends when none is left:

    CascadeBegun    CascadeAccountRestarted ...    [record: CascadeRecordEnded] ...    CascadeEnded

What is told of one record, its stated terms and its result, stands in a stream of the record in the cascade: the first
result is there once, whoever works on the cascade and however often a step is taken again.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from domain.aggregate import Aggregate
from domain.events import event
from domain.members.cascade import CascadeOutcome, CascadeRequest, CascadeStatus, RecordTerms
from domain.premium.transactions import Origin, PremiumAmount, TransactionType


@event()
class CascadeBegun:
    """A master policy transaction begins to reach its records. `members` are the records of the policy then.

    `sender` is the client it came from. `undone` is the cascade of the cancellation that a reinstatement or rescission
    undoes, None when that one is older than cascades with a stream; `accounts` are those that a rewrite starts anew,
    ascending.
    """

    cascade: str
    master_policy: str
    transaction_id: str
    type: TransactionType
    effective_date: dt.date
    transaction_date: dt.date
    origin: Origin
    reason: str | None
    undoes: str | None
    undone: str | None
    accounts: tuple[str, ...]
    members: int
    sender: str


@event()
class CascadeAccountRestarted:
    """An account of a rewritten policy was started anew, or needed nothing: `invoicing_start` is None (PRM-152)."""

    cascade: str
    account: str
    invoicing_start: dt.date | None
    discarded: tuple[str, ...]
    not_discarded: tuple[str, ...]
    warnings: tuple[str, ...]


@event()
class CascadeEnded:
    """Every record has its result. The counts are of this moment: a dead letter may still be applied (PRM-151)."""

    cascade: str
    master_policy: str
    transaction_id: str
    status: CascadeStatus
    applied: int
    skipped: int
    dead_lettered: int


@event()
class CascadeRecordTermsStated:
    """The master transaction states a date or amounts of its own for the record (PRM-152)."""

    cascade: str
    member_record: str
    effective_date: dt.date | None
    amounts: tuple[PremiumAmount, ...]


@event()
class CascadeRecordEnded:
    """What became of a record; of one that was dead-lettered, once more when its dead letter is processed."""

    cascade: str
    member_record: str
    result: CascadeOutcome
    code: str | None = None
    dead_letter: str | None = None


@dataclass(frozen=True, slots=True)
class Cascade:
    """State of a cascade; `identifier` is empty before it begins."""

    identifier: str = ""
    request: CascadeRequest | None = None
    undone: str | None = None
    members: int = 0
    accounts: tuple[str, ...] = ()
    restarted: tuple[CascadeAccountRestarted, ...] = ()
    ended: CascadeEnded | None = None
    sender: str = ""

    @property
    def is_running(self) -> bool:
        """Whether records may still wait for their turn."""
        return bool(self.identifier) and self.ended is None

    def is_restarted(self, account: str) -> bool:
        """Whether the account has had its turn."""
        return any(one.account == account for one in self.restarted)

    @property
    def transaction(self) -> CascadeRequest:
        """The master transaction, without what it states for single records."""
        if self.request is None:
            raise ValueError("the cascade has not begun")
        return self.request

    def transaction_of(self, record: CascadeRecord, member_record: str) -> CascadeRequest:
        """The master transaction with what it states for one record."""
        if record.terms is None:
            return self.transaction
        return replace(self.transaction, records={member_record: record.terms})


def evolve(state: Cascade, happened: object) -> Cascade:
    match happened:
        case CascadeBegun():
            request = CascadeRequest(
                transaction_id=happened.transaction_id,
                type=happened.type,
                master_policy=happened.master_policy,
                effective_date=happened.effective_date,
                transaction_date=happened.transaction_date,
                origin=happened.origin,
                reason=happened.reason,
                undoes=happened.undoes,
            )
            return Cascade(
                identifier=happened.cascade,
                request=request,
                undone=happened.undone,
                members=happened.members,
                accounts=happened.accounts,
                sender=happened.sender,
            )
        case CascadeAccountRestarted():
            return replace(state, restarted=(*state.restarted, happened))
        case CascadeEnded():
            return replace(state, ended=happened)
        case _:
            raise TypeError(f"not an event of a cascade: {type(happened).__name__}")


@dataclass(frozen=True, slots=True)
class CascadeRecord:
    """State of a record in a cascade. `ended` is its last result, None before its turn."""

    terms: RecordTerms | None = None
    ended: CascadeRecordEnded | None = None

    @property
    def waits(self) -> bool:
        """Whether it waits as a dead letter."""
        return self.ended is not None and self.ended.result is CascadeOutcome.DEAD_LETTERED


def evolve_record(state: CascadeRecord, happened: object) -> CascadeRecord:
    match happened:
        case CascadeRecordTermsStated():
            return replace(state, terms=RecordTerms(happened.effective_date, happened.amounts))
        case CascadeRecordEnded():
            return replace(state, ended=happened)
        case _:
            raise TypeError(f"not an event of a record in a cascade: {type(happened).__name__}")


CASCADE = Aggregate("cascade", Cascade, Cascade(), evolve)
CASCADE_RECORD = Aggregate("cascade_record", CascadeRecord, CascadeRecord(), evolve_record)


def record_id(cascade: str, member_record: str) -> str:
    """The identifier of a record in a cascade; a cascade's own has one length, so no two meet."""
    return f"{cascade}/{member_record}"


def former_id(master_policy: str, transaction_id: str) -> str:
    """What identifies a cascade from before cascades had streams of their own."""
    return f"{master_policy}/{transaction_id}"
