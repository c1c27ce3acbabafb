"""Deciding on a policy transaction: form, lock, guards, effects, and the events of the whole reaction.

`decide` is the one way in for every transaction of the catalogue. It answers with the events, or with one `Refusal`;
a message that was accepted before is answered with no events, the same id with other content is a conflict. What is
special to a family of transactions (employment, waivers, account-wide changes, roll-on) is in a file of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from domain.accounts.bill_type import BillType
from domain.calendar.periods import modal_anchor
from domain.calendar.seasonal import modality_problems
from domain.errors import Problem, Refusal, refuse, refuse_if_any
from domain.members import account_changes, employment, rollon
from domain.members.effects import consequences, with_effects
from domain.members.events import (
    BillingRewritten,
    CancellationRescinded,
    GroupOrigin,
    MemberPremiumStarted,
    MemberRecordPlaced,
    PremiumWaiverOutOfScope,
    TransactionParked,
    TransactionRejected,
    TransactionUnparked,
)
from domain.members.first_placement import first_account, first_modality
from domain.members.forms import form_problems
from domain.members.guards import Circumstances, bounds_problems, guard_problems, waiver_start
from domain.members.matrix import react
from domain.members.modality import transition_problems
from domain.members.placements import ACCOUNT_LEVEL, MOVES, MOVES_TO_DIRECT, Placement, last_placement
from domain.members.record import MemberRecord, cancellation_in_force
from domain.members.requests import RoutingKey, TransactionFacts, TransactionRequest, fingerprint
from domain.members.unit import Unit, apply, create_version, next_version, put_in_force
from domain.premium.transactions import AmendmentKind, Origin, PolicyTransaction, TransactionType, WaiverSource
from domain.products.master_policy import RollOnMode

_T = TransactionType
_WAIVERS: Final = frozenset({_T.WAIVER_ADD, _T.WAIVER_REMOVE})
#: On whose behalf a message that names no waiver source speaks (PRM-091).
_SOURCE_OF_ORIGIN: Final = {Origin.POLICY: WaiverSource.POLICY, Origin.CLAIMS: WaiverSource.CLAIMS}
#: Types on which the lock is tested after their own conditions (MEM-123).
_LOCK_LAST: Final = MOVES
_BILL_TYPE_ORIGIN: Final = {
    BillType.LIST_BILL: GroupOrigin.LIST_BILL,
    BillType.SELF_BILL: GroupOrigin.SELF_BILL,
}


def decide(record: MemberRecord, request: TransactionRequest, facts: TransactionFacts) -> tuple[object, ...]:
    """The events of a policy transaction on the record; none when it was accepted before with the same content.

    Raises Refusal: form faults all at once (PRM-001 to PRM-003), then IDEMPOTENCY_CONFLICT, then the conditions of the
    rulebook in their order. Raises KeyError when `facts` lack the terms of an account concerned.
    """
    refuse_if_any(form_problems(request))
    unit = Unit(record, facts)
    mark = fingerprint(request)
    if not _is_repeated(record, request, mark):
        _process(unit, request, mark)
    return tuple(unit.events)


def unpark(record: MemberRecord, transaction_id: str, facts: TransactionFacts) -> tuple[object, ...]:
    """The events of a parked message whose turn has come: applied, or rejected to its origin (PRM-115, PRM-012).

    Call it for one after the other in the order of `record.parked`, once the lock has ended. Raises Refusal
    ROLL_ON_PENDING while it has not, LookupError for a message that is not parked.
    """
    waiting = next((one for one in record.parked if one.request.transaction_id == transaction_id), None)
    if waiting is None:
        raise LookupError(f"{transaction_id} is not parked")
    if record.is_roll_on_pending:
        raise _pending(record)
    unit = Unit(record, facts)
    unit.emit(TransactionUnparked(member_record=record.number, transaction_id=transaction_id))
    try:
        _process(unit, waiting.request, waiting.fingerprint)
    except Refusal as refusal:
        rejected = TransactionRejected(
            member_record=record.number,
            transaction_id=transaction_id,
            origin=waiting.request.origin or Origin.POLICY,
            codes=tuple(problem.code for problem in refusal.problems),
        )
        return (rejected,)
    return tuple(unit.events)


def _is_repeated(record: MemberRecord, request: TransactionRequest, mark: str) -> bool:
    """Whether the message was accepted before (PLT-004, PLT-005). Raises Refusal IDEMPOTENCY_CONFLICT."""
    assert request.transaction_id is not None
    receipt = record.receipt(request.transaction_id)
    parked = (one.fingerprint for one in record.parked if one.request.transaction_id == request.transaction_id)
    known = receipt.fingerprint if receipt is not None else next(parked, None)
    if known is None:
        return False
    if known == mark or _is_employment_event(record, request):
        return True
    raise refuse(
        "IDEMPOTENCY_CONFLICT",
        "the transaction id was used with other content",
        pointer="/transaction_id",
        transaction_id=request.transaction_id,
    )


def _is_employment_event(record: MemberRecord, request: TransactionRequest) -> bool:
    """Whether both it and the one of that id are employment events: it is ignored, whatever it says (MEM-100)."""
    if request.kind is not _T.EMPLOYMENT_CHANGE:
        return False
    known = {one.event_id for one in record.employment}
    known |= {one.request.transaction_id or "" for one in record.parked if one.request.kind is _T.EMPLOYMENT_CHANGE}
    return request.transaction_id in known


def _process(unit: Unit, request: TransactionRequest, mark: str) -> None:
    kind, record = request.kind, unit.record
    assert kind is not None
    if kind is _T.NEW_BUSINESS:
        _start(unit, request, mark)
        return
    if not record.exists:
        raise refuse("MEMBER_RECORD_UNKNOWN", "no New Business was processed for the member record")
    if request.member_record != record.number:
        raise ValueError(f"{request.member_record} is not member record {record.number}")
    if kind is _T.REWRITE and request.cascade is None:
        raise refuse("REWRITE_ONLY_FROM_MASTER_POLICY", "a rewrite comes with its master policy only")
    if record.is_roll_on_pending and kind not in _LOCK_LAST and kind is not _T.REWRITE:
        _park(unit, request, mark)
        return
    _refuse_bill_type(record, request, unit.facts)
    if kind is _T.EMPLOYMENT_CHANGE:
        employment.change(unit, request, mark)
    elif kind in ACCOUNT_LEVEL:
        account_changes.change(unit, request, mark)
    else:
        _split_employment(unit, request)
        _apply(unit, request, mark)


def _park(unit: Unit, request: TransactionRequest, mark: str) -> None:
    """Keep what is to wait for the end of the lock; refuse the rest with ROLL_ON_PENDING (PRM-115).

    decision: account-wide changes wait as well (PRM-148 says so of the seasonal one): the lock is on one record, the
    change is on all of the account.
    """
    claims_waiver = request.kind in _WAIVERS and request.waiver_source is not WaiverSource.POLICY
    if request.kind is _T.WAIVER_REMOVE:
        claims_waiver = _source_of(unit, request) is WaiverSource.CLAIMS
    if not (claims_waiver or request.kind is _T.EMPLOYMENT_CHANGE or request.kind in ACCOUNT_LEVEL):
        raise _pending(unit.record)
    unit.emit(
        TransactionParked(
            member_record=unit.record.number, request=request, fingerprint=mark, received_at=unit.facts.now
        )
    )


def _source_of(unit: Unit, request: TransactionRequest) -> WaiverSource | None:
    """The source of the waiver that a request ends, parked waivers included."""
    for one in unit.record.transactions:
        if one.type is _T.WAIVER_ADD and one.waiver_id == request.waiver_id:
            return one.waiver_source
    for waiting in unit.record.parked:
        asked = waiting.request
        if asked.kind is _T.WAIVER_ADD and (asked.waiver_id or asked.transaction_id) == request.waiver_id:
            return asked.waiver_source
    return request.waiver_source


def _pending(record: MemberRecord) -> Refusal:
    waiting = [one.transaction_id for one in record.backed_off]
    return refuse("ROLL_ON_PENDING", "the record awaits roll-on decisions", transactions=waiting)


def _refuse_bill_type(record: MemberRecord, request: TransactionRequest, facts: TransactionFacts) -> None:
    """PRM-008: under a self-bill master policy, records on individual direct only."""
    if facts.policy.bill_type is not BillType.SELF_BILL or request.effective_date is None:
        return
    placed = last_placement(record.placements, max(request.effective_date, record.effective_date))
    if placed is None or not placed.direct:
        raise _bill_type_mismatch()


def _bill_type_mismatch() -> Refusal:
    return refuse("BILL_TYPE_MISMATCH", "a self-bill master policy takes master policy transactions only")


# -------------------------------------------------------------------------------------------------------------- start


def _start(unit: Unit, request: TransactionRequest, mark: str) -> None:
    """New Business: version 1, the first placement, modality and anchor (PRM-060)."""
    record, facts, member = unit.record, unit.facts, request.member
    assert request.effective_date is not None
    assert member is not None
    transaction = _transaction(unit, request)
    if record.exists:
        refused = react(transaction, unit.in_force).refused or "MEMBER_RECORD_EXISTS"
        raise refuse(refused, "the member record exists", entity=record.number)
    refuse_if_any(bounds_problems(transaction, record, facts))
    listed = facts.policy.bill_type is BillType.LIST_BILL
    account = _routed_account(request, facts) if listed or request.account is None else request.account
    terms = facts.terms_of(account)
    direct = terms.bill_type is BillType.INDIVIDUAL_DIRECT
    if facts.policy.bill_type is BillType.SELF_BILL and not direct:
        raise _bill_type_mismatch()
    transaction = replace(transaction, account=account)
    if not direct and request.modality is not None and terms.allocation_mode is not None:
        gaps = tuple(sorted(terms.seasonal_gaps))
        refuse_if_any(modality_problems(terms.allocation_mode, terms.invoicing.frequency, gaps, request.modality))
    if not direct or request.modality is None:
        choice = first_modality(account, request.payroll_frequency, facts)
        transaction = replace(transaction, modality=choice.modality, modality_from_account=choice.from_account)
    assert request.member_record is not None
    unit.emit(
        MemberPremiumStarted(
            member_record=request.member_record,
            transaction_id=transaction.transaction_id,
            customer_number=member.customer_number,
            first_name=member.first_name,
            last_name=member.last_name,
            employee_id=member.employee_id,
            master_policy=facts.policy.number,
            group_origin=_BILL_TYPE_ORIGIN.get(facts.policy.bill_type, GroupOrigin.NONE),
            currency=facts.policy.currency,
            effective_date=transaction.effective_date,
            anchor=modal_anchor(transaction.effective_date, terms.invoicing, facts.policy.terms.align_first_period),
            direct=direct,
        )
    )
    put_in_force(unit, transaction, mark, caused_by=request.cascade)
    placement = Placement(account, transaction.effective_date, None, direct)
    unit.emit(MemberRecordPlaced(member_record=request.member_record, placement=placement))
    create_version(unit, transaction)


def _routed_account(request: TransactionRequest, facts: TransactionFacts) -> str:
    """The account of a first placement. Refuses with every reason of the validator (MEM-084)."""
    assert request.effective_date is not None
    location, division = request.location or None, request.division or None
    key = RoutingKey(request.effective_date, location, division, request.member_class, request.payroll_frequency)
    return first_account(key, facts)


# ---------------------------------------------------------------------------------------------- every later transaction


def _apply(unit: Unit, request: TransactionRequest, mark: str) -> None:
    record, facts = unit.record, unit.facts
    if request.kind in MOVES_TO_DIRECT:
        refuse_if_any(_selection_problems(request, facts))
    if request.out_of_scope and request.kind in _WAIVERS:
        _set_aside(unit, request, mark)
        return
    transaction = _transaction(unit, request)
    if request.kind is _T.WAIVER_REMOVE:
        transaction = _of_its_waiver(unit, request, transaction)
    found = Circumstances.of(record, transaction, facts)
    if request.kind is _T.REWRITE:
        _rewrite(unit, request, transaction, mark)
        return
    refuse_if_any(_condition_problems(unit, transaction, found))
    transaction, fallback = with_effects(transaction, found, facts)
    voiding = _voided(unit, transaction)
    automatic = _mode(request, facts) is RollOnMode.AUTOMATIC
    reaction = apply(
        unit,
        transaction,
        mark,
        root_fallback=fallback,
        voiding=voiding,
        consequences=consequences(transaction, found, facts),
        mode=RollOnMode.AUTOMATIC if automatic else RollOnMode.MANUAL,
        caused_by=request.cascade,
    )
    if automatic and reaction.backed_off:
        rollon.decide_at_once(unit, reaction.backed_off, request.decisions)


def _condition_problems(unit: Unit, transaction: PolicyTransaction, found: Circumstances) -> list[Problem]:
    """PRM-006 first, then the guards of the type; a move by MEM-122 and MEM-123 first (PRM-006)."""
    record, facts = unit.record, unit.facts
    bounds = bounds_problems(transaction, record, facts)
    if transaction.type not in MOVES:
        return bounds or guard_problems(transaction, found, facts)
    problems = guard_problems(transaction, found, facts)
    if not problems and record.is_roll_on_pending:
        raise _pending(record)
    return problems or bounds


def _selection_problems(request: TransactionRequest, facts: TransactionFacts) -> list[Problem]:
    """The prerequisites of a move to individual direct, all of them (MEM-121), and the modality offered (MEM-111)."""
    problems = []
    if request.account is None:
        problems.append(Problem("ACCOUNT_SELECTION_MISSING", "the receiving account is not chosen", "/account"))
    if facts.account_incomplete:
        problems.append(Problem("ACCOUNT_CREATION_INCOMPLETE", "the receiving account is not complete", "/account"))
    if request.modality is None:
        problems.append(Problem("MODALITY_MISSING", "the modality is not chosen", "/modality"))
    return problems + transition_problems(request.modality, facts.transition_modalities)


def _transaction(unit: Unit, request: TransactionRequest) -> PolicyTransaction:
    """The transaction of a request, before its effects are decided."""
    assert request.transaction_id is not None
    assert request.kind is not None
    assert request.effective_date is not None
    assert request.transaction_date is not None
    assert request.origin is not None
    # What belongs to another kind of amendment is not taken from this one (PRM-002).
    kind, kinds = request.kind, request.kinds
    starts = kind is _T.NEW_BUSINESS
    changes_class = starts or AmendmentKind.CLASSIFICATION_CHANGE in kinds
    changes_payroll = starts or AmendmentKind.PAYROLL_FREQUENCY_CHANGE in kinds
    return PolicyTransaction(
        transaction_id=request.transaction_id,
        type=kind,
        effective_date=request.effective_date,
        transaction_date=request.transaction_date,
        recorded_at=unit.facts.now,
        order=unit.record.next_order,
        origin=request.origin,
        kinds=tuple(dict.fromkeys(kinds)),
        version=next_version(unit.record, kind),
        amounts=request.amounts,
        account=request.account if kind in MOVES_TO_DIRECT else None,
        modality=request.modality if kind in MOVES_TO_DIRECT or starts else None,
        payroll_frequency=request.payroll_frequency if changes_payroll else None,
        location=request.location if starts else None,
        division=request.division if starts else None,
        member_class=request.member_class if changes_class else None,
        nonforfeiture=request.nonforfeiture,
        reason=request.reason,
        waiver_id=request.waiver_id or (request.transaction_id if kind is _T.WAIVER_ADD else None),
        waiver_source=request.waiver_source,
        until=request.until if kind is _T.WAIVER_ADD else None,
        expiration=request.expiration if kind is _T.WAIVER_ADD else None,
        coverages=request.coverages,
    )


def _split_employment(unit: Unit, request: TransactionRequest) -> None:
    """A location or division stated by the way becomes an employment change of its date, first (PRM-002, MEM-077)."""
    if request.location is None and request.division is None:
        return
    if request.kind in _WAIVERS:
        return
    employment.change_with(unit, request)


def _mode(request: TransactionRequest, facts: TransactionFacts) -> RollOnMode:
    """PRM-116: the message may say it; one that carries decisions means AUTOMATIC."""
    if request.roll_on_mode is not None:
        return request.roll_on_mode
    return RollOnMode.AUTOMATIC if request.decisions else facts.policy.terms.roll_on_mode


def _voided(unit: Unit, transaction: PolicyTransaction) -> tuple[object, ...]:
    """The cancellation that a rescission voids (PRM-065)."""
    if transaction.type is not _T.RESCIND_CANCELLATION:
        return ()
    cancellation = cancellation_in_force(unit.record.transactions)
    assert cancellation is not None
    return (
        CancellationRescinded(
            member_record=unit.record.number,
            transaction_id=transaction.transaction_id,
            cancellation_id=cancellation.transaction_id,
            effective_date=transaction.effective_date,
        ),
    )


def _of_its_waiver(unit: Unit, request: TransactionRequest, transaction: PolicyTransaction) -> PolicyTransaction:
    """The end of a waiver carries the waiver's source. Refuses WAIVER_SOURCE_NOT_ALLOWED to others (PRM-091)."""
    added = waiver_start(transaction, unit.in_force)
    if added is None:
        return transaction
    asking = request.waiver_source or _SOURCE_OF_ORIGIN.get(transaction.origin)
    stranger = asking is not added.waiver_source
    if stranger and not unit.facts.waiver_override:
        raise refuse("WAIVER_SOURCE_NOT_ALLOWED", "a waiver is ended by the source that granted it", pointer="/source")
    return replace(transaction, waiver_source=added.waiver_source, coverages=added.coverages)


def _set_aside(unit: Unit, request: TransactionRequest, mark: str) -> None:
    """A waiver request that is out of scope ends here (PRM-093)."""
    assert request.transaction_id is not None
    unit.emit(
        PremiumWaiverOutOfScope(
            member_record=unit.record.number,
            transaction_id=request.transaction_id,
            source=request.waiver_source,
            fingerprint=mark,
        )
    )


# ------------------------------------------------------------------------------------------------------------- rewrite


def _rewrite(unit: Unit, request: TransactionRequest, transaction: PolicyTransaction, mark: str) -> None:
    """The cascaded rewrite: one new version from the new date and anchor, all before it obsolete (PRM-069).

    A pending roll-on ends with it: what was backed off is obsolete too (PRM-115).
    """
    record, facts, day = unit.record, unit.facts, transaction.effective_date
    refuse_if_any(bounds_problems(transaction, record, facts))
    found = Circumstances.of(record, replace(transaction, effective_date=max(day, record.effective_date)), facts)
    if found.cancelled_on(max(day, record.effective_date)) is not None:
        raise refuse("MEMBER_NOT_IN_FORCE", "the member is cancelled on the new effective date")
    first = next(one for one in record.transactions if one.type is _T.NEW_BUSINESS)
    segment = found.before.at(max(day, record.effective_date))
    assert segment is not None
    placed = last_placement(found.placements, max(day, record.effective_date))
    account = segment.account if placed is None else placed.account
    terms = facts.terms_of(account)
    transaction = replace(
        transaction,
        amounts=request.amounts or first.amounts,
        account=account,
        modality=segment.modality,
        modality_from_account=segment.modality is None,
        payroll_frequency=segment.payroll_frequency,
        location=segment.location,
        division=segment.division,
        member_class=segment.member_class,
    )
    reaction = react(transaction, unit.in_force, cascaded=True)
    backed_off = tuple(one.transaction_id for one in record.backed_off)
    rewritten = BillingRewritten(
        member_record=record.number,
        transaction_id=transaction.transaction_id,
        old_effective_date=record.effective_date,
        effective_date=day,
        anchor=modal_anchor(day, terms.invoicing, facts.policy.terms.align_first_period),
        obsolete_transactions=(*reaction.obsolete, *backed_off),
        obsolete_versions=tuple(one.number for one in record.versions),
    )
    apply(
        unit,
        transaction,
        mark,
        caused_by=request.cascade,
        cascaded=True,
        root_fallback=placed is not None and placed.root_fallback,
        voiding=(rewritten,),
    )
