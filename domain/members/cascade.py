"""Which member records a master policy transaction reaches, and with which transaction of their own (PRM-150, PRM-151).

Cancellation, rescission, reinstatement and rewrite of a list-bill master policy run through its records one after
another, in ascending member record number, each a transaction of its own. Ported records have left the policy's cover
and are not included; continued ones are. A record already cancelled on the date is skipped. A reinstatement or
rescission reaches only the records that the very cancellation had reached.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from domain.members.placements import MOVES_TO_DIRECT, Placement, last_placement
from domain.members.record import MemberRecord, active_timeline
from domain.members.requests import TransactionRequest
from domain.premium.timeline import order_key
from domain.premium.transactions import Origin, PremiumAmount, TransactionType
from domain.products.master_policy import CascadeResult

_T = TransactionType
#: Master policy transactions that cascade (PRM-150); a renewal is only recorded.
CASCADING = frozenset({_T.CANCELLATION, _T.RESCIND_CANCELLATION, _T.REINSTATEMENT, _T.REWRITE})


class CascadeOutcome(StrEnum):
    """What becomes of a record in a cascade (PRM-151). REFUSED: its dead letter was, when it was processed again."""

    APPLIED = "APPLIED"
    SKIPPED = "SKIPPED"
    DEAD_LETTERED = "DEAD_LETTERED"
    REFUSED = "REFUSED"


class CascadeStatus(StrEnum):
    """States of a cascade."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    COMPLETED_WITH_ERRORS = "COMPLETED_WITH_ERRORS"


@dataclass(frozen=True, slots=True)
class RecordTerms:
    """What a master policy rewrite states for one record (PRM-152): its new effective date and amounts, if any."""

    effective_date: dt.date | None = None
    amounts: tuple[PremiumAmount, ...] = ()


@dataclass(frozen=True, slots=True)
class CascadeRequest:
    """A master policy transaction. `undoes` is the master cancellation a reinstatement or rescission undoes."""

    transaction_id: str
    type: TransactionType
    master_policy: str
    effective_date: dt.date
    transaction_date: dt.date
    origin: Origin = Origin.POLICY
    reason: str | None = None
    undoes: str | None = None
    records: Mapping[str, RecordTerms] | None = None


class Judgement(StrEnum):
    """What a master policy transaction is to a record."""

    INCLUDED = "INCLUDED"
    SKIPPED = "SKIPPED"
    NOT_INCLUDED = "NOT_INCLUDED"


def judge(request: CascadeRequest, record: MemberRecord, term_expiration: dt.date | None = None) -> Judgement:
    """What the transaction is to one record of the master policy (PRM-151); `term_expiration` is exclusive.

    A record that starts after the date of a cancellation is not in force on it and not included.
    """
    if not record.exists or record.master_policy != request.master_policy:
        return Judgement.NOT_INCLUDED
    if request.type in (_T.REINSTATEMENT, _T.RESCIND_CANCELLATION):
        return Judgement.INCLUDED if _was_cancelled_by(record, request.undoes) else Judgement.NOT_INCLUDED
    day = _date_of(request, record)
    placed = last_placement(record.placements, day)
    if day < record.effective_date and request.type is not _T.REWRITE:
        return Judgement.NOT_INCLUDED
    if placed is not None and placed.direct and _is_ported(record, placed, day):
        return Judgement.NOT_INCLUDED
    timeline = active_timeline(record, term_expiration=term_expiration)
    segment = timeline.at(max(day, record.effective_date))
    if segment is None:
        return Judgement.NOT_INCLUDED
    return Judgement.INCLUDED if segment.in_force else Judgement.SKIPPED


def record_request(request: CascadeRequest, record: MemberRecord) -> TransactionRequest:
    """The transaction of one record in the cascade; the same id again is the same transaction (PRM-150).

    A rewritten record begins on the date stated for it, else on the later of its old and the master's new date
    (PRM-152).
    """
    terms = (request.records or {}).get(record.number, RecordTerms())
    return TransactionRequest(
        transaction_id=f"{request.transaction_id}/{record.number}",
        type=request.type.value,
        effective_date=_date_of(request, record),
        transaction_date=request.transaction_date,
        origin=request.origin,
        member_record=record.number,
        amounts=terms.amounts,
        reason=request.reason,
        cascade=request.transaction_id,
    )


def standing_results(
    transaction_id: str, results: Iterable[CascadeResult], records: Mapping[str, MemberRecord]
) -> list[CascadeResult]:
    """The results of a cascade as they stand: a record it was applied to later, from its dead letter, is applied.

    `records` holds at least those that were dead-lettered.
    """
    return [
        replace(one, result=CascadeOutcome.APPLIED.value)
        if is_dead_lettered(one)
        and any(receipt.cascade == transaction_id for receipt in records[one.member_record].receipts)
        else one
        for one in results
    ]


def is_dead_lettered(result: CascadeResult) -> bool:
    """Whether the record waits as a dead letter."""
    return result.result == CascadeOutcome.DEAD_LETTERED


def status_of(results: Iterable[CascadeResult]) -> CascadeStatus:
    """The status of a cascade whose records have these results; a reprocessed dead letter completes it."""
    failed = any(one.result in (CascadeOutcome.DEAD_LETTERED, CascadeOutcome.REFUSED) for one in results)
    return CascadeStatus.COMPLETED_WITH_ERRORS if failed else CascadeStatus.COMPLETED


def _date_of(request: CascadeRequest, record: MemberRecord) -> dt.date:
    if request.type is not _T.REWRITE:
        return request.effective_date
    stated = (request.records or {}).get(record.number, RecordTerms()).effective_date
    return stated or max(record.effective_date, request.effective_date)


def _is_ported(record: MemberRecord, placed: Placement, day: dt.date) -> bool:
    """Whether the individual direct placement of the day came by anything but a continuation."""
    moves = [
        one
        for one in record.active_transactions
        if one.in_force and one.type in MOVES_TO_DIRECT and one.effective_date <= day
    ]
    last = max(moves, key=order_key, default=None)
    return last is not None and last.type is _T.PORTABILITY and last.account == placed.account


def _was_cancelled_by(record: MemberRecord, cascade: str | None) -> bool:
    """Whether a cancellation of that cascade was applied to the record and is in force."""
    caused = {one.transaction_id for one in record.receipts if one.cascade is not None and one.cascade == cascade}
    return any(
        one.transaction_id in caused and one.type is _T.CANCELLATION and one.in_force for one in record.transactions
    )
