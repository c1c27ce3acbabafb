"""Changes that reach many member records: master policy transactions, and an account's modality and seasonal gaps.

A master policy transaction is recorded and has begun, which is all its command does. Each account of a rewritten policy
and each record then has a step, a command with a commit of its own, decided by the same rules as a transaction sent for
the record alone; the last step ends the cascade. A record that cannot take it is kept as a dead letter, to be processed
again when what was missing is there; the others go on (PRM-150 to PRM-152). Who sends the steps: `cascade_runs`.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final

from pydantic import Field

from application.cascade_results import Cascades
from application.command import Command, Identifier, Outcome, Part, command, handles
from application.members import AmountPart, ShortText, apply_events, dead_letter, facts_of, premium_amounts
from application.parameters import parameters_in_force
from application.register import PendingLetters, Placements
from application.reprocessing import OWN_MESSAGES, StillFailingError
from application.rewrites import restart_invoicing
from application.setups import load_policy
from application.unit_of_work import UnitOfWork
from domain.accounts.bill_type import BillType
from domain.accounts.setup import SETUP
from domain.calendar.frequency import Frequency
from domain.errors import Problem, Refusal, refuse, refuse_if_any
from domain.members.cascade import (
    CASCADING,
    CascadeOutcome,
    CascadeRequest,
    CascadeStatus,
    Judgement,
    RecordTerms,
    judge,
    record_request,
    status_of,
)
from domain.members.cascade_run import (
    CASCADE,
    CASCADE_RECORD,
    Cascade,
    CascadeAccountRestarted,
    CascadeBegun,
    CascadeEnded,
    CascadeRecordEnded,
    CascadeRecordTermsStated,
    former_id,
    record_id,
)
from domain.members.dead_letter import CONFIGURATION_FAILURES, DeadLetterKind, Reason, reasons_of
from domain.members.decisions import decide
from domain.members.forms import missing
from domain.members.record import MEMBER_RECORD, MemberRecord
from domain.members.requests import TransactionFacts, TransactionRequest
from domain.platform.privileges import SYSTEM_PRIVILEGE
from domain.premium.transactions import Origin, TransactionType
from domain.products.master_policy import (
    MASTER_POLICY,
    CascadeResult,
    MasterPolicy,
    MasterPolicyCascadeStarted,
    MasterPolicyRewritten,
    MasterPolicyTransactionRecorded,
    RecordedTransaction,
)

#: Member records loaded at once.
_PORTION: Final = 500
#: Results that an answer names; all of them are counted, and read from `cascadeStatus`.
RESULTS_TOLD: Final = 1_000
#: Records up to which a cascade is over before its command is answered. decision: a client of a small policy is to
#: need nothing but the answer.
AT_ONCE: Final = "premium.cascade_at_once"

_T = TransactionType
#: What a master policy has: what runs through its records (PRM-150), and what is only recorded of it (PRM-008).
MASTER_TYPES: Final = (
    _T.CANCELLATION,
    _T.RESCIND_CANCELLATION,
    _T.REINSTATEMENT,
    _T.REWRITE,
    _T.RENEWAL,
    _T.AMENDMENT,
)
_Type = Annotated[str, Field(max_length=100, json_schema_extra={"enum": [one.value for one in MASTER_TYPES]})]
_MANDATORY: Final = ("transaction_id", "master_policy", "type", "effective_date")
_UNDOING: Final = frozenset({_T.REINSTATEMENT, _T.RESCIND_CANCELLATION})
_WAITING: Final = Reason("WAITING", "an earlier message of the record waits", "decide the earlier dead letter first")


class RecordPart(Part):
    """What a rewrite states for one record."""

    member_record: Identifier
    effective_date: dt.date | None = None
    amounts: Annotated[tuple[AmountPart, ...], Field(max_length=100)] = ()


@command(
    privilege="policytxn.submit",
    room="04",
    summary="Take a master policy transaction and let it run through the member records",
    rules=("PRM-003", "PRM-008", "PRM-150", "PRM-151", "PRM-152"),
    refusals=(
        "MASTER_POLICY_NOT_FOUND",
        "BILL_TYPE_MISMATCH",
        "TRANSACTION_INCOMPLETE",
        "UNKNOWN_TRANSACTION_TYPE",
        "REQUEST_INVALID",
        "MEMBER_RECORD_NOT_FOUND",
        "ACTIVITY_IN_PROGRESS",
        "NO_CANCELLATION_IN_FORCE",
        "RESCIND_DATE_MISMATCH",
        "REINSTATEMENT_BEFORE_CANCELLATION",
    ),
    activity=True,
    example={
        "transaction_id": "MTX-1",
        "master_policy": "MP-100",
        "type": "CANCELLATION",
        "effective_date": "2025-07-01",
        "reason": "Sponsor left",
    },
)
class ApplyMasterPolicyTransaction(Command):
    """`undoes` names the master cancellation that a reinstatement or rescission undoes; default: the latest one.

    A policy with few records (parameter `premium.cascade_at_once`) is answered when all of them have their result. For
    a larger one the answer is 202 with `status` RUNNING and an `activity_id`: what becomes of it tells the query
    `cascadeStatus`, and its progress GET /v1/jobs/{activity_id}. Renewals and amendments are recorded; premiums
    come with the transactions of the members. Sent again, it is answered with what became of it.
    """

    transaction_id: Identifier | None = None
    master_policy: Identifier | None = None
    type: _Type | None = None
    effective_date: dt.date | None = None
    transaction_date: dt.date | None = None
    origin: Origin = Origin.POLICY
    reason: ShortText | None = None
    undoes: Identifier | None = None
    records: Annotated[tuple[RecordPart, ...], Field(max_length=10_000)] = ()


class StatedMasterTransaction(ApplyMasterPolicyTransaction):
    """A master policy transaction of which nothing mandatory is missing (PRM-003)."""

    transaction_id: Identifier
    master_policy: Identifier
    type: _Type
    effective_date: dt.date


@command(
    privilege=SYSTEM_PRIVILEGE,
    room="04",
    summary="Take one step of a cascade: an account, a record, or its end",
    rules=("PRM-150", "PRM-151", "PRM-152"),
    refusals=("ENTITY_NOT_FOUND", "MEMBER_RECORD_NOT_FOUND"),
    example={"cascade": "0197bb2e-8f4a-7a3e-9d3c-5f3e0a1b2c3d", "member_record": "MR-1001"},
)
class RunCascadeStep(Command):
    """Names an account that a rewrite starts anew, or a record; neither: all of them have their result.

    The result names why a record was `skipped`, or the code with which it `failed` and became a dead letter. A step
    taken again has no effect and the same result.
    """

    cascade: Identifier
    account: Identifier | None = None
    member_record: Identifier | None = None


@command(
    privilege=SYSTEM_PRIVILEGE,
    room="04",
    summary="Keep the record of a cascade as a dead letter whose step failed for a technical reason",
    rules=("PRM-151",),
    refusals=("ENTITY_NOT_FOUND", "MEMBER_RECORD_NOT_FOUND", "STATE_INVALID"),
    example={
        "cascade": "0197bb2e-8f4a-7a3e-9d3c-5f3e0a1b2c3d",
        "member_record": "MR-1001",
        "code": "INTERNAL_ERROR",
        "detail": "a technical failure: TimeoutError",
    },
)
class GiveUpCascadeStep(Command):
    """Only a record can be given up; an account that is not started anew keeps the cascade from going on."""

    cascade: Identifier
    account: Identifier | None = None
    member_record: Identifier | None = None
    code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")]
    detail: Annotated[str, Field(max_length=500)] = ""


# --- The master policy transaction -----------------------------------------------------------------------------------


@handles(ApplyMasterPolicyTransaction)
def apply_master_policy_transaction(sent: ApplyMasterPolicyTransaction, unit: UnitOfWork) -> Outcome:
    command = _complete(sent)
    unit.lock(f"master_policy:{command.master_policy}")
    policy = load_policy(unit, command.master_policy)
    state = policy.state
    unit.expect_main(MASTER_POLICY, policy)
    answer: dict[str, object] = {"master_policy": state.number, "transaction_id": command.transaction_id}
    known = next((one for one in state.transactions if one.transaction_id == command.transaction_id), None)
    if known is not None:
        return Outcome({**answer, **_repeated(unit, command, state, known)})
    if state.bill_type is not BillType.LIST_BILL:
        raise refuse("BILL_TYPE_MISMATCH", "only list-bill policies cascade", pointer="/master_policy")
    kind = _kind_of(command)
    if kind not in CASCADING:
        recorded = MasterPolicyTransactionRecorded(
            transaction_id=command.transaction_id, type=command.type, effective_date=command.effective_date
        )
        unit.append(MASTER_POLICY, state.number, [recorded])
        return Outcome({**answer, "status": "RECORDED"})
    _refuse_beside_another(unit, state)
    undone = _undone_by(command, state)
    terms = _terms_of(unit, command, state)
    policy_after, cascade = _begin(unit, command, state, undone, terms)
    if unit.dry_run:
        answer |= {"cascade": cascade.identifier, "members": cascade.members}
        return Outcome({**answer, **_foreseen(unit, policy_after, cascade, terms, _at_once(unit))})
    return Outcome({**answer, **_on_its_way(unit, cascade)})


def _at_once(unit: UnitOfWork) -> int:
    return int(str(parameters_in_force(unit, (AT_ONCE,), {}, unit.today())[AT_ONCE]))


def _on_its_way(unit: UnitOfWork, cascade: Cascade) -> dict[str, object]:
    """A cascade that has begun; the activity is that of a policy with more records than are gone through at once."""
    activity = {"activity_id": cascade.identifier} if cascade.members > _at_once(unit) else {}
    return {
        "cascade": cascade.identifier,
        "members": cascade.members,
        **activity,
        "status": CascadeStatus.RUNNING.value,
    }


def _repeated(
    unit: UnitOfWork, command: StatedMasterTransaction, policy: MasterPolicy, known: RecordedTransaction
) -> dict[str, object]:
    """What became of a transaction that is sent again (PLT-004, PLT-005). Refused IDEMPOTENCY_CONFLICT if it differs.

    decision: like that of a member, it is told as it stands: a cascade on its way as when it began, one that has ended
    with its counts, a dead letter that was processed meanwhile among those applied.
    """
    cascade = Cascade() if known.cascade is None else unit.load(CASCADE, known.cascade).state
    if not _is_same(unit, command, policy, known, cascade):
        raise refuse("IDEMPOTENCY_CONFLICT", "the id belongs to another transaction", pointer="/transaction_id")
    if known.type not in CASCADING:
        return {"status": "RECORDED"}
    if known.cascade is None:
        return _as_it_stands(unit, cascade, former_id(policy.number, known.transaction_id))
    on_its_way = _on_its_way(unit, cascade)
    return on_its_way if cascade.is_running else on_its_way | _as_it_stands(unit, cascade, known.cascade)


def _is_same(
    unit: UnitOfWork,
    command: StatedMasterTransaction,
    policy: MasterPolicy,
    known: RecordedTransaction,
    cascade: Cascade,
) -> bool:
    """Whether the transaction states what was recorded of it; what it leaves out was filled in the first time."""
    if (known.type, known.effective_date) != (command.type, command.effective_date):
        return False
    first = cascade.request
    if first is None:
        return True
    if (command.origin, command.reason) != (first.origin, first.reason):
        return False
    if command.undoes not in (None, first.undoes) or command.transaction_date not in (None, first.transaction_date):
        return False
    terms = {record_id(known.cascade or "", one): own for one, own in _terms_of(unit, command, policy).items()}
    stored = unit.read_many(CASCADE_RECORD, terms)
    return all(name in stored and stored[name].state.terms == own for name, own in terms.items())


def _complete(command: ApplyMasterPolicyTransaction) -> StatedMasterTransaction:
    """The transaction, refused TRANSACTION_INCOMPLETE for each mandatory member it lacks (PRM-003)."""
    refuse_if_any([missing(name) for name in _MANDATORY if getattr(command, name) is None])
    return StatedMasterTransaction.model_construct(**dict(command))


def _kind_of(command: StatedMasterTransaction) -> TransactionType:
    """The type, one of those a master policy has; the others are transactions of its members (PRM-001, PRM-008)."""
    kind = TransactionType.__members__.get(command.type)
    if kind is None:
        raise refuse(
            "UNKNOWN_TRANSACTION_TYPE",
            f"{command.type} is not a billing transaction type",
            pointer="/type",
            type=command.type,
        )
    if kind not in MASTER_TYPES:
        raise refuse("REQUEST_INVALID", "not a transaction of a master policy", pointer="/type")
    return kind


def _refuse_beside_another(unit: UnitOfWork, policy: MasterPolicy) -> None:
    """Master transactions of a policy come one after another: what one does depends on what the one before did.

    decision: a second one is refused while the first has not reached all records, and is to be sent again; so it is
    whole, whatever it undoes. Transactions of members go on: each meets the record before or behind its turn.
    """
    cascades = [one.cascade for one in policy.transactions if one.cascade is not None]
    if cascades and unit.load(CASCADE, cascades[-1]).state.is_running:
        raise refuse(
            "ACTIVITY_IN_PROGRESS",
            "an earlier transaction has not reached all records of the policy",
            pointer="/master_policy",
            entity=cascades[-1],
        )


def _undone_by(command: StatedMasterTransaction, policy: MasterPolicy) -> RecordedTransaction | None:
    """The master cancellation that a reinstatement or rescission undoes.

    decision: it must fit as for a record alone (PRM-065, PRM-066), else the whole transaction is refused, rather than
    by every record.
    """
    kind = TransactionType(command.type)
    if kind not in _UNDOING:
        return None
    cancelled = [
        one
        for one in policy.transactions
        if one.type == _T.CANCELLATION and command.undoes in (None, one.transaction_id)
    ]
    if not cancelled:
        raise refuse("NO_CANCELLATION_IN_FORCE", "the master policy was not cancelled", pointer="/undoes")
    undone = cancelled[-1]
    if kind is _T.RESCIND_CANCELLATION and command.effective_date != undone.effective_date:
        raise refuse("RESCIND_DATE_MISMATCH", "the cancellation has another date", pointer="/effective_date")
    if kind is _T.REINSTATEMENT and command.effective_date < undone.effective_date:
        raise refuse(
            "REINSTATEMENT_BEFORE_CANCELLATION", "the cancellation has a later date", pointer="/effective_date"
        )
    return undone


def _terms_of(unit: UnitOfWork, command: StatedMasterTransaction, policy: MasterPolicy) -> dict[str, RecordTerms]:
    """What is stated for single records, by number. Refused when the policy has no such record."""
    known = unit.port(Cascades).records_among(policy.number, [part.member_record for part in command.records])
    refuse_if_any(
        [
            Problem("MEMBER_RECORD_NOT_FOUND", "the policy has no such record", f"/records/{index}/member_record")
            for index, part in enumerate(command.records)
            if part.member_record not in known
        ]
    )
    return {
        part.member_record: RecordTerms(
            part.effective_date, premium_amounts(part.amounts, policy.currency, f"/records/{index}/amounts")
        )
        for index, part in enumerate(command.records)
    }


def _begin(
    unit: UnitOfWork,
    command: StatedMasterTransaction,
    policy: MasterPolicy,
    undone: RecordedTransaction | None,
    terms: Mapping[str, RecordTerms],
) -> tuple[MasterPolicy, Cascade]:
    """Record the master transaction and begin its cascade; the policy and the cascade behind it."""
    identifier = str(unit.new_id())
    members = unit.port(Cascades).size_of(policy.number)
    started = MasterPolicyCascadeStarted(
        transaction_id=command.transaction_id,
        type=command.type,
        effective_date=command.effective_date,
        members=members,
        cascade=identifier,
    )
    events: list[object] = [started]
    accounts: Sequence[str] = ()
    if command.type == _T.REWRITE:
        events.append(
            MasterPolicyRewritten(
                transaction_id=command.transaction_id,
                old_effective_date=policy.effective_date,
                effective_date=command.effective_date,
            )
        )
        accounts = _accounts_of(unit, policy)
    after = unit.append(MASTER_POLICY, policy.number, events)
    begun = CascadeBegun(
        cascade=identifier,
        master_policy=policy.number,
        transaction_id=command.transaction_id,
        type=TransactionType(command.type),
        effective_date=command.effective_date,
        transaction_date=command.transaction_date or unit.today(),
        origin=command.origin,
        reason=command.reason,
        undoes=None if undone is None else undone.transaction_id,
        undone=None if undone is None else undone.cascade,
        accounts=tuple(accounts),
        members=members,
        sender=unit.principal.client,
    )
    cascade = unit.append(CASCADE, identifier, [begun])
    for number, stated in terms.items():
        own = CascadeRecordTermsStated(
            cascade=identifier,
            member_record=number,
            effective_date=stated.effective_date,
            amounts=stated.amounts,
        )
        unit.append(CASCADE_RECORD, record_id(identifier, number), [own])
    return after.state, cascade.state


def _accounts_of(unit: UnitOfWork, policy: MasterPolicy) -> list[str]:
    """The accounts of the policy's set-up."""
    if policy.setup_ref is None:
        return []
    setup = unit.load(SETUP, policy.setup_ref).state
    return sorted({entry.account for entry in setup.entries if entry.account})


def _foreseen(
    unit: UnitOfWork, policy: MasterPolicy, cascade: Cascade, terms: Mapping[str, RecordTerms], limit: int
) -> dict[str, object]:
    """What a dry run tells: of a small policy everything that would happen, of a large one whom it would reach."""
    if cascade.members <= limit:
        for account in cascade.accounts:
            _restart(unit, cascade, account)
        reached = [_reach(unit, cascade, number) for portion in _portions(unit, cascade) for number in portion]
        results = [_result(one) for one in reached if one is not None]
        counts = Counter(one.result for one in results)
        restarted = unit.load(CASCADE, cascade.identifier).state
        return _told(restarted, status_of(results), counts, results)
    groups: Counter[Judgement] = Counter()
    for portion in _portions(unit, cascade):
        for number, loaded in unit.read_many(MEMBER_RECORD, portion).items():
            own = replace(cascade.transaction, records={number: terms[number]} if number in terms else None)
            groups[judge(own, loaded.state, policy.expiration_date)] += 1
    return {
        "status": CascadeStatus.RUNNING.value,
        "foreseen": {judgement.value: groups[judgement] for judgement in Judgement},
    }


def _portions(unit: UnitOfWork, cascade: Cascade) -> Iterator[list[str]]:
    """The records of the policy, some at a time."""
    after = ""
    policy = cascade.transaction.master_policy
    while portion := unit.port(Cascades).without_result(cascade.identifier, policy, after, _PORTION):
        yield portion
        after = portion[-1]


# --- Its steps -------------------------------------------------------------------------------------------------------


@handles(RunCascadeStep)
def run_cascade_step(command: RunCascadeStep, unit: UnitOfWork) -> Outcome:
    cascade = _cascade(unit, command.cascade)
    if command.account is not None:
        return _restart(unit, cascade, command.account)
    if command.member_record is None:
        return _end(unit, cascade)
    ended = _reach(unit, cascade, command.member_record)
    return Outcome({"cascade": cascade.identifier, "member_record": command.member_record, **_step_result(ended)})


@handles(GiveUpCascadeStep)
def give_up_cascade_step(command: GiveUpCascadeStep, unit: UnitOfWork) -> Outcome:
    cascade = _cascade(unit, command.cascade)
    number = command.member_record
    if number is None:
        raise refuse("STATE_INVALID", "only the step of a record can be given up", pointer="/member_record")
    unit.lock(f"member:{number}")
    known = unit.load(CASCADE_RECORD, record_id(cascade.identifier, number)).state.ended
    _member(unit, number)
    reason = Reason(command.code, command.detail or command.code, "reprocess when the cause is mended")
    ended = known or _keep(unit, cascade, number, (reason,))
    return Outcome({"cascade": cascade.identifier, "member_record": number, **_step_result(ended)})


def _cascade(unit: UnitOfWork, identifier: str) -> Cascade:
    cascade = unit.load(CASCADE, identifier).state
    if not cascade.identifier:
        raise refuse("ENTITY_NOT_FOUND", "there is no such cascade", pointer="/cascade")
    return cascade


def _member(unit: UnitOfWork, number: str) -> MemberRecord:
    member = unit.load(MEMBER_RECORD, number).state
    if not member.exists:
        raise refuse("MEMBER_RECORD_NOT_FOUND", "there is no such member record", pointer="/member_record")
    return member


def _step_result(ended: CascadeRecordEnded | None) -> dict[str, object]:
    """What the run is told: whether the record was reached, is skipped, or failed."""
    if ended is None:
        return {"result": Judgement.NOT_INCLUDED.value, "skipped": Judgement.NOT_INCLUDED.value}
    told: dict[str, object] = {"result": ended.result.value, "code": ended.code}
    if ended.result is CascadeOutcome.SKIPPED:
        return {**told, "skipped": "ALREADY_CANCELLED"}
    return told if ended.result is CascadeOutcome.APPLIED else {**told, "failed": ended.code}


def _restart(unit: UnitOfWork, cascade: Cascade, account: str) -> Outcome:
    """Start an account of a rewritten policy anew, invoices that do not fit any more discarded newest first."""
    policy = load_policy(unit, cascade.transaction.master_policy).state
    unit.lock(f"account:{account}")
    if not unit.load(CASCADE, cascade.identifier).state.is_restarted(account):
        done = next(iter(restart_invoicing(unit, policy, [account])), None)
        restarted = CascadeAccountRestarted(
            cascade=cascade.identifier,
            account=account,
            invoicing_start=None if done is None else dt.date.fromisoformat(str(done["invoicing_start"])),
            discarded=_texts(done, "discarded"),
            not_discarded=_texts(done, "not_discarded"),
            warnings=_texts(done, "warnings"),
        )
        unit.append(CASCADE, cascade.identifier, [restarted])
    return Outcome({"cascade": cascade.identifier, "account": account})


def _texts(done: Mapping[str, object] | None, name: str) -> tuple[str, ...]:
    found = () if done is None else done[name]
    return tuple(str(one) for one in found) if isinstance(found, list) else ()


def _reach(unit: UnitOfWork, cascade: Cascade, number: str) -> CascadeRecordEnded | None:
    """Give a record its transaction and its result, once; None: the cascade does not concern it.

    decision: behind earlier messages of the record it waits as other messages do (PLT-058), before the lock is looked
    at; also where it undoes what is among them.
    """
    unit.lock(f"member:{number}")
    stream = record_id(cascade.identifier, number)
    record = unit.load(CASCADE_RECORD, stream).state
    if record.ended is not None or not cascade.is_running:
        return record.ended
    policy = load_policy(unit, cascade.transaction.master_policy).state
    member = _member(unit, number)
    transaction = cascade.transaction_of(record, number)
    judgement = judge(transaction, member, policy.expiration_date)
    concerned = judgement is not Judgement.NOT_INCLUDED or _is_to_be_undone(unit, cascade, number)
    if concerned and unit.port(PendingLetters).pending(number):
        return _keep(unit, cascade, number, (_WAITING,), waiting=True)
    if judgement is Judgement.NOT_INCLUDED:
        return None
    if judgement is Judgement.SKIPPED:
        return _ended(unit, cascade, number, CascadeOutcome.SKIPPED)
    facts = _facts(unit, policy, number)
    try:
        events = decide(member, record_request(transaction, member), facts)
    except Refusal as refusal:
        return _keep(unit, cascade, number, reasons_of(refusal.problems))
    apply_events(unit, unit.load(MEMBER_RECORD, number), events, facts)
    return _ended(unit, cascade, number, CascadeOutcome.APPLIED)


def _is_to_be_undone(unit: UnitOfWork, cascade: Cascade, number: str) -> bool:
    """Whether the cancellation that the cascade undoes still waits to reach the record: it comes first, then this."""
    return cascade.undone is not None and unit.load(CASCADE_RECORD, record_id(cascade.undone, number)).state.waits


def _ended(
    unit: UnitOfWork,
    cascade: Cascade,
    number: str,
    result: CascadeOutcome,
    code: str | None = None,
    letter: str | None = None,
) -> CascadeRecordEnded:
    ended = CascadeRecordEnded(
        cascade=cascade.identifier, member_record=number, result=result, code=code, dead_letter=letter
    )
    unit.append(CASCADE_RECORD, record_id(cascade.identifier, number), [ended])
    return ended


def _keep(
    unit: UnitOfWork, cascade: Cascade, number: str, reasons: tuple[Reason, ...], *, waiting: bool = False
) -> CascadeRecordEnded:
    """Keep the record's transaction as a dead letter (PRM-151)."""
    transaction = cascade.transaction
    message = ApplyCascadedRecord(
        cascade=cascade.identifier,
        member_record=number,
        master_policy=transaction.master_policy,
        transaction_id=transaction.transaction_id,
        type=transaction.type.value,
        effective_date=transaction.effective_date,
    )
    kept = dead_letter(
        unit,
        message,
        number,
        reasons,
        waiting=waiting,
        kind=DeadLetterKind.CASCADE_RECORD,
        source=cascade.sender,
    )
    letter = str(kept.result["dead_letter"])
    return _ended(unit, cascade, number, CascadeOutcome.DEAD_LETTERED, reasons[0].code, letter)


def _end(unit: UnitOfWork, cascade: Cascade) -> Outcome:
    """End a cascade all of whose records have had their turn."""
    if cascade.ended is None:
        counts = unit.port(Cascades).counts(cascade.identifier)
        ended = CascadeEnded(
            cascade=cascade.identifier,
            master_policy=cascade.transaction.master_policy,
            transaction_id=cascade.transaction.transaction_id,
            status=_status(counts),
            applied=counts[CascadeOutcome.APPLIED],
            skipped=counts[CascadeOutcome.SKIPPED],
            dead_lettered=_failed(counts),
        )
        unit.append(CASCADE, cascade.identifier, [ended])
    return Outcome(_as_it_stands(unit, cascade, cascade.identifier))


def _failed(counts: Mapping[CascadeOutcome, int]) -> int:
    return counts[CascadeOutcome.DEAD_LETTERED] + counts[CascadeOutcome.REFUSED]


def _status(counts: Mapping[CascadeOutcome, int]) -> CascadeStatus:
    return CascadeStatus.COMPLETED_WITH_ERRORS if _failed(counts) else CascadeStatus.COMPLETED


def _as_it_stands(unit: UnitOfWork, cascade: Cascade, identifier: str) -> dict[str, object]:
    """A cascade all of whose records have had their turn, with their results of now."""
    found = unit.port(Cascades)
    counts = found.counts(identifier)
    return _told(cascade, _status(counts), counts, found.results(identifier, RESULTS_TOLD))


def _told(
    cascade: Cascade, status: CascadeStatus, counts: Mapping[Any, int], results: Sequence[CascadeResult]
) -> dict[str, object]:
    """How a cascade ended: its status, counts, the accounts started anew, the results of the first records."""
    restarted = [
        {
            "account": one.account,
            "invoicing_start": one.invoicing_start.isoformat(),
            "discarded": list(one.discarded),
            "not_discarded": list(one.not_discarded),
            "warnings": list(one.warnings),
        }
        for one in cascade.restarted
        if one.invoicing_start is not None
    ]
    return {
        "status": status.value,
        "counts": {outcome.value: counts.get(outcome, 0) for outcome in CascadeOutcome},
        **({"accounts": restarted} if restarted else {}),
        "results": [
            {"member_record": one.member_record, "result": str(one.result), "code": one.code}
            for one in results[:RESULTS_TOLD]
        ],
    }


def _result(ended: CascadeRecordEnded) -> CascadeResult:
    return CascadeResult(ended.member_record, ended.result, ended.code)


def _facts(unit: UnitOfWork, policy: MasterPolicy, number: str, account: str | None = None) -> TransactionFacts:
    return facts_of(unit, policy, number, (account,) if account else ())


# --- Dead letters of a cascade ---------------------------------------------------------------------------------------


class ApplyCascadedRecord(Command):
    """The transaction of one record in a cascade, as a dead letter keeps it; what it states stands in the cascade."""

    cascade: Identifier
    member_record: Identifier
    master_policy: Identifier
    transaction_id: Identifier
    type: str
    effective_date: dt.date


def _apply_cascaded(command: ApplyCascadedRecord, unit: UnitOfWork) -> Outcome:
    """Process a record's dead letter. What is to be put right first keeps it waiting.

    decision: any other refusal ends it, as it does other messages (PLT-059), and is the record's result.
    """
    cascade = _cascade(unit, command.cascade)
    number = command.member_record
    unit.lock(f"member:{number}")
    record = unit.load(CASCADE_RECORD, record_id(cascade.identifier, number)).state
    policy = load_policy(unit, cascade.transaction.master_policy).state
    member = _member(unit, number)
    transaction = cascade.transaction_of(record, number)
    if judge(transaction, member, policy.expiration_date) is not Judgement.INCLUDED:
        return _reprocessed(_ended(unit, cascade, number, CascadeOutcome.SKIPPED))
    facts = _facts(unit, policy, number)
    try:
        events = decide(member, record_request(transaction, member), facts)
    except Refusal as refusal:
        if all(problem.code in CONFIGURATION_FAILURES for problem in refusal.problems):
            raise StillFailingError(reasons_of(refusal.problems)) from refusal
        _ended(unit, cascade, number, CascadeOutcome.REFUSED, refusal.code)
        raise
    apply_events(unit, unit.load(MEMBER_RECORD, number), events, facts)
    return _reprocessed(_ended(unit, cascade, number, CascadeOutcome.APPLIED))


def _reprocessed(ended: CascadeRecordEnded) -> Outcome:
    return Outcome({"member_record": ended.member_record, "result": ended.result.value})


class ApplyCascadedTransaction(Command):
    """The same of a cascade from before cascades had streams: it holds the whole master transaction."""

    member_record: Identifier
    request: StatedMasterTransaction


def _apply_cascaded_before(command: ApplyCascadedTransaction, unit: UnitOfWork) -> Outcome:
    sent, number = command.request, command.member_record
    policy = load_policy(unit, sent.master_policy).state
    member = unit.load(MEMBER_RECORD, number).state
    undone = _undone_by(sent, policy)
    transaction = CascadeRequest(
        transaction_id=sent.transaction_id,
        type=TransactionType(sent.type),
        master_policy=policy.number,
        effective_date=sent.effective_date,
        transaction_date=sent.transaction_date or unit.today(),
        origin=sent.origin,
        reason=sent.reason,
        undoes=None if undone is None else undone.transaction_id,
        records=_terms_of(unit, sent, policy),
    )
    facts = _facts(unit, policy, number)
    try:
        events = decide(member, record_request(transaction, member), facts)
    except Refusal as refusal:
        raise StillFailingError(reasons_of(refusal.problems)) from refusal
    apply_events(unit, unit.load(MEMBER_RECORD, number), events, facts)
    return Outcome({"member_record": number, "result": CascadeOutcome.APPLIED.value})


OWN_MESSAGES[ApplyCascadedRecord.__name__] = (ApplyCascadedRecord, _apply_cascaded)
OWN_MESSAGES[ApplyCascadedTransaction.__name__] = (ApplyCascadedTransaction, _apply_cascaded_before)


# --- Changes of an account ------------------------------------------------------------------------------------------


def change_modality(
    unit: UnitOfWork, account: str, modality: Frequency, first_day: dt.date, mark: str
) -> dict[str, str]:
    """Let the members placed on the account follow its frequency from the day (PRM-073, CAL-017); what became of each.

    `mark` makes the transactions' ids: the same mark again is the same change.
    """
    request = TransactionRequest(
        type=TransactionType.INVOICING_MODALITY_CHANGE.value,
        effective_date=first_day,
        transaction_date=unit.today(),
        origin=Origin.BILLING,
        account=account,
        modality=modality,
    )
    return _for_members(unit, account, first_day, request, f"MODALITY/{account}/{mark}")


def recalculate_seasonal(unit: UnitOfWork, account: str, day: dt.date, mark: str) -> dict[str, str]:
    """Work out anew what the members of the account pay after its gap months changed (PRM-148, CAL-091)."""
    request = TransactionRequest(
        type=TransactionType.SEASONAL_UPDATE.value,
        effective_date=day,
        transaction_date=unit.today(),
        origin=Origin.BILLING,
        account=account,
    )
    return _for_members(unit, account, dt.date.min, request, f"SEASONAL/{account}/{mark}")


def _for_members(
    unit: UnitOfWork, account: str, first_day: dt.date, request: TransactionRequest, mark: str
) -> dict[str, str]:
    """One transaction of all members, with the change of the account that they follow: no bill may lie between.

    The account's lock keeps them still, for every transaction of a member takes it before it decides; a lock for each
    of them would be too many, and taken the other way round than theirs.
    """
    results: dict[str, str] = {}
    numbers = unit.port(Placements).members_on(account, first_day, dt.date.max)
    for start in range(0, len(numbers), _PORTION):
        for number, member in unit.load_many(MEMBER_RECORD, numbers[start : start + _PORTION]).items():
            policy = unit.load(MASTER_POLICY, member.state.master_policy).state
            own = replace(request, transaction_id=f"{mark}/{number}", member_record=number)
            facts = _facts(unit, policy, number, request.account)
            apply_events(unit, member, decide(member.state, own, facts), facts)
            results[number] = CascadeOutcome.APPLIED
    return results
