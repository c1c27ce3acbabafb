"""What a transaction decides beyond what it states, and what it announces when it is in force.

The same for a transaction that arrives and for one that is rolled on: its account and modality follow from where the
record then is (`with_effects`), and the business event of its type is told (`consequences`, PRM-011).
"""

from __future__ import annotations

from domain.members.events import (
    BillingRenewed,
    BillingResumed,
    BillingStopped,
    ContinuationRemoved,
    MemberCancelled,
    MemberPremiumMoved,
    MemberRecordReturned,
    MemberReinstated,
    PremiumWaiverApplied,
    PremiumWaiverEnded,
    WaiverEnding,
)
from domain.members.guards import Circumstances, waiver_start
from domain.members.placements import MOVES_TO_DIRECT
from domain.members.requests import TransactionFacts
from domain.members.routing import placed, return_target, routes
from domain.premium.transactions import AmendmentKind, PolicyTransaction, TransactionType, WaiverSource

_T = TransactionType


def with_effects(
    transaction: PolicyTransaction, found: Circumstances, facts: TransactionFacts
) -> tuple[PolicyTransaction, bool]:
    """The transaction with the account and modality it decides, and whether that is the root's account (MEM-104).

    A move states both itself. Refuses where no account or modality is found.
    """
    if not routes(transaction):
        return transaction, False
    return placed(transaction, found, facts)


def consequences(transaction: PolicyTransaction, found: Circumstances, facts: TransactionFacts) -> tuple[object, ...]:
    """The business events of a transaction that is in force in these circumstances."""
    kind = transaction.type
    if kind is _T.CANCELLATION:
        return (_cancelled(transaction, found),)
    if kind is _T.REINSTATEMENT:
        return _reinstated(transaction, found)
    if kind is _T.RENEWAL:
        return (
            BillingRenewed(
                member_record=found.record.number,
                transaction_id=transaction.transaction_id,
                effective_date=transaction.effective_date,
                amounts=transaction.amounts,
            ),
        )
    if kind is _T.AMENDMENT:
        return _stopped_or_resumed(transaction, found)
    if kind in MOVES_TO_DIRECT:
        return (_moved(transaction, found, facts),)
    if kind is _T.MOVED_TO_LIST_BILL:
        return (_returned(transaction, found, facts),)
    if kind is _T.CONTINUATION_REMOVED:
        return (
            ContinuationRemoved(
                member_record=found.record.number,
                transaction_id=transaction.transaction_id,
                effective_date=transaction.effective_date,
                account=_account(transaction, found),
            ),
        )
    if kind is _T.WAIVER_ADD:
        return (_waived(transaction, found),)
    if kind is _T.WAIVER_REMOVE:
        return (_waiver_ended(transaction, found),)
    return ()


def _cancelled(transaction: PolicyTransaction, found: Circumstances) -> MemberCancelled:
    return MemberCancelled(
        member_record=found.record.number,
        transaction_id=transaction.transaction_id,
        effective_date=transaction.effective_date,
        reason=transaction.reason,
        flat=transaction.effective_date == found.record.effective_date,
    )


def _reinstated(transaction: PolicyTransaction, found: Circumstances) -> tuple[object, ...]:
    cancelled_on = found.cancelled_on(transaction.effective_date)
    if cancelled_on is None:
        return ()
    cancellation = next(
        one
        for one in reversed(found.before.transactions)
        if one.type is _T.CANCELLATION and one.effective_date == cancelled_on
    )
    return (
        MemberReinstated(
            member_record=found.record.number,
            transaction_id=transaction.transaction_id,
            cancellation_id=cancellation.transaction_id,
            cancelled_on=cancelled_on,
            effective_date=transaction.effective_date,
        ),
    )


def _stopped_or_resumed(transaction: PolicyTransaction, found: Circumstances) -> tuple[object, ...]:
    if AmendmentKind.STOP_BILLING in transaction.kinds:
        return (
            BillingStopped(
                member_record=found.record.number,
                transaction_id=transaction.transaction_id,
                effective_date=transaction.effective_date,
                nonforfeiture=transaction.nonforfeiture or "",
            ),
        )
    if AmendmentKind.RESUME_BILLING not in transaction.kinds:
        return ()
    segment = found.before.at(transaction.effective_date)
    stops = () if segment is None else tuple(one.transaction_id for one in segment.stops)
    return (
        BillingResumed(
            member_record=found.record.number,
            transaction_id=transaction.transaction_id,
            effective_date=transaction.effective_date,
            reason=transaction.reason or "",
            stops=stops,
        ),
    )


def _moved(transaction: PolicyTransaction, found: Circumstances, facts: TransactionFacts) -> MemberPremiumMoved:
    grace = facts.policy.terms.first_invoice_grace_days
    return MemberPremiumMoved(
        member_record=found.record.number,
        transaction_id=transaction.transaction_id,
        type=transaction.type,
        effective_date=transaction.effective_date,
        from_account=_account(transaction, found),
        to_account=transaction.account or "",
        modality=transaction.modality,
        first_invoice_grace_days=grace if transaction.type is _T.PORTABILITY else None,
    )


def _returned(transaction: PolicyTransaction, found: Circumstances, facts: TransactionFacts) -> MemberRecordReturned:
    return MemberRecordReturned(
        member_record=found.record.number,
        transaction_id=transaction.transaction_id,
        effective_date=transaction.effective_date,
        from_account=_account(transaction, found),
        to_account=transaction.account or "",
        to_original_account=return_target(transaction, found, facts).is_original,
    )


def _account(transaction: PolicyTransaction, found: Circumstances) -> str:
    """The account that bills the record until the transaction."""
    placement = found.placement(transaction.effective_date)
    return "" if placement is None else placement.account


def _waived(transaction: PolicyTransaction, found: Circumstances) -> PremiumWaiverApplied:
    return PremiumWaiverApplied(
        member_record=found.record.number,
        transaction_id=transaction.transaction_id,
        waiver_id=transaction.waiver_id or transaction.transaction_id,
        source=transaction.waiver_source or WaiverSource.CLAIMS,
        effective_date=transaction.effective_date,
        until=transaction.until,
        expiration=transaction.expiration,
        coverages=transaction.coverages,
    )


def _waiver_ended(transaction: PolicyTransaction, found: Circumstances) -> PremiumWaiverEnded:
    added = waiver_start(transaction, found.in_force)
    voids = added is not None and added.effective_date == transaction.effective_date
    return PremiumWaiverEnded(
        member_record=found.record.number,
        transaction_id=transaction.transaction_id,
        waiver_id=transaction.waiver_id or "",
        source=transaction.waiver_source or WaiverSource.CLAIMS,
        effective_date=transaction.effective_date,
        ending=WaiverEnding.VOID if voids else WaiverEnding.ENDED,
    )
