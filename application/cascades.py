"""Changes that reach many member records: master policy transactions, and an account's modality and seasonal gaps.

Each record gets a transaction of its own, decided by the same rules as one sent for it alone. A record that cannot take
it is kept as a dead letter, to be processed again when what was missing is there; the others go on (PRM-150, PRM-151).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from application.command import Command, Identifier, Outcome, Part, command, handles
from application.members import AmountPart, ShortText, apply_events, dead_letter, facts_of, premium_amounts
from application.register import Directory, Placements
from application.reprocessing import OWN_MESSAGES, StillFailingError
from application.rewrites import restart_invoicing
from application.setups import load_policy
from application.unit_of_work import UnitOfWork
from domain.accounts.bill_type import BillType
from domain.accounts.setup import SETUP
from domain.calendar.frequency import Frequency
from domain.errors import Refusal, refuse
from domain.members.cascade import (
    CASCADING,
    CascadeOutcome,
    CascadeRequest,
    RecordTerms,
    record_request,
    select,
    status_of,
)
from domain.members.dead_letter import DeadLetterKind, reasons_of
from domain.members.decisions import decide
from domain.members.record import MEMBER_RECORD, MemberRecord
from domain.members.requests import TransactionRequest
from domain.premium.transactions import Origin, TransactionType
from domain.products.master_policy import (
    MASTER_POLICY,
    CascadeResult,
    MasterPolicy,
    MasterPolicyCascadeCompleted,
    MasterPolicyCascadeStarted,
    MasterPolicyRewritten,
    MasterPolicyTransactionRecorded,
)

#: Member records loaded at once.
_PORTION = 500


class RecordPart(Part):
    """What a rewrite states for one record."""

    member_record: Identifier
    effective_date: dt.date | None = None
    amounts: Annotated[tuple[AmountPart, ...], Field(max_length=100)] = ()


@command(
    privilege="policytxn.submit",
    room="04",
    summary="Take a master policy transaction and let it run through the member records",
    rules=("PRM-008", "PRM-150", "PRM-151", "PRM-152"),
    refusals=("MASTER_POLICY_NOT_FOUND", "BILL_TYPE_MISMATCH", "TRANSACTION_INCOMPLETE", "REQUEST_INVALID"),
    example={
        "transaction_id": "MTX-1",
        "master_policy": "MP-100",
        "type": "CANCELLATION",
        "effective_date": "2025-07-01",
        "reason": "Sponsor left",
    },
)
class ApplyMasterPolicyTransaction(Command):
    """`undoes` names the master cancellation that a reinstatement or rescission undoes; default: the latest one."""

    transaction_id: Identifier
    master_policy: Identifier
    type: Literal["CANCELLATION", "RESCIND_CANCELLATION", "REINSTATEMENT", "REWRITE", "RENEWAL"]
    effective_date: dt.date
    transaction_date: dt.date | None = None
    origin: Origin = Origin.POLICY
    reason: ShortText | None = None
    undoes: Identifier | None = None
    records: Annotated[tuple[RecordPart, ...], Field(max_length=10_000)] = ()


class ApplyCascadedTransaction(Command):
    """The transaction of one record in a cascade, as a dead letter keeps it."""

    member_record: Identifier
    request: ApplyMasterPolicyTransaction


def _apply_cascaded(command: ApplyCascadedTransaction, unit: UnitOfWork) -> Outcome:
    """Try the record's transaction again; whatever stands in its way keeps it waiting."""
    policy = load_policy(unit, command.request.master_policy).state
    member = unit.load(MEMBER_RECORD, command.member_record)
    try:
        request = _cascade_request(command.request, unit, policy)
        _apply(unit, policy, record_request(request, member.state))
    except Refusal as refusal:
        raise StillFailingError(reasons_of(refusal.problems)) from refusal
    return Outcome({"member_record": command.member_record, "result": CascadeOutcome.APPLIED.value})


OWN_MESSAGES[ApplyCascadedTransaction.__name__] = (ApplyCascadedTransaction, _apply_cascaded)


@handles(ApplyMasterPolicyTransaction)
def apply_master_policy_transaction(command: ApplyMasterPolicyTransaction, unit: UnitOfWork) -> Outcome:
    unit.lock(f"master_policy:{command.master_policy}")
    policy = load_policy(unit, command.master_policy)
    state = policy.state
    unit.expect_main(MASTER_POLICY, policy)
    known = next((one for one in state.transactions if one.transaction_id == command.transaction_id), None)
    if known is not None:
        if (known.type, known.effective_date) != (command.type, command.effective_date):
            raise refuse("IDEMPOTENCY_CONFLICT", "the id belongs to another transaction", pointer="/transaction_id")
        return Outcome({"master_policy": state.number, "transaction_id": known.transaction_id, "status": "REPEATED"})
    if state.bill_type is not BillType.LIST_BILL:
        raise refuse("BILL_TYPE_MISMATCH", "only list-bill policies cascade", pointer="/master_policy")
    request = _cascade_request(command, unit, state)
    if request.type not in CASCADING:
        recorded = MasterPolicyTransactionRecorded(
            transaction_id=command.transaction_id, type=command.type, effective_date=command.effective_date
        )
        unit.append(MASTER_POLICY, state.number, [recorded])
        return Outcome({"master_policy": state.number, "transaction_id": command.transaction_id, "status": "RECORDED"})
    numbers = unit.port(Directory).members_of_policy(state.number)
    started = MasterPolicyCascadeStarted(
        transaction_id=command.transaction_id,
        type=command.type,
        effective_date=command.effective_date,
        members=len(numbers),
    )
    unit.append(MASTER_POLICY, state.number, [started])
    restarted: list[dict[str, object]] = []
    if request.type is TransactionType.REWRITE:
        rewritten = MasterPolicyRewritten(
            transaction_id=command.transaction_id,
            old_effective_date=state.effective_date,
            effective_date=command.effective_date,
        )
        state = unit.append(MASTER_POLICY, state.number, [rewritten]).state
        restarted = restart_invoicing(unit, state, _accounts_of(unit, state))
    results: list[CascadeResult] = []
    for portion in _portions(unit, numbers):
        selection = select(request, portion, term_expiration=state.expiration_date)
        results += [CascadeResult(number, CascadeOutcome.SKIPPED) for number in selection.skipped]
        results += [_run(command, unit, state, request, number) for number in selection.included]
    results.sort(key=lambda one: one.member_record)
    status = status_of(results)
    completed = MasterPolicyCascadeCompleted(
        transaction_id=command.transaction_id, status=status, results=tuple(results)
    )
    unit.append(MASTER_POLICY, state.number, [completed])
    counts = {outcome.value: sum(one.result == outcome for one in results) for outcome in CascadeOutcome}
    return Outcome(
        {
            "master_policy": state.number,
            "transaction_id": command.transaction_id,
            "status": status.value,
            "counts": counts,
            **({"accounts": restarted} if restarted else {}),
            "results": [
                {"member_record": one.member_record, "result": one.result, "code": one.code} for one in results[:1000]
            ],
        }
    )


def _accounts_of(unit: UnitOfWork, policy: MasterPolicy) -> list[str]:
    """The accounts of the policy's set-up."""
    if policy.setup_ref is None:
        return []
    setup = unit.load(SETUP, policy.setup_ref).state
    return sorted({entry.account for entry in setup.entries if entry.account})


def _cascade_request(command: ApplyMasterPolicyTransaction, unit: UnitOfWork, policy: MasterPolicy) -> CascadeRequest:
    kind = TransactionType(command.type)
    undoes = command.undoes
    if undoes is None and kind in (TransactionType.REINSTATEMENT, TransactionType.RESCIND_CANCELLATION):
        cancelled = [one for one in policy.transactions if one.type == TransactionType.CANCELLATION]
        if not cancelled:
            raise refuse("NO_CANCELLATION_IN_FORCE", "the master policy was not cancelled", pointer="/undoes")
        undoes = cancelled[-1].transaction_id
    records = {
        part.member_record: RecordTerms(
            part.effective_date, premium_amounts(part.amounts, policy.currency, f"/records/{index}/amounts")
        )
        for index, part in enumerate(command.records)
    }
    return CascadeRequest(
        transaction_id=command.transaction_id,
        type=kind,
        master_policy=policy.number,
        effective_date=command.effective_date,
        transaction_date=command.transaction_date or unit.today(),
        origin=command.origin,
        reason=command.reason,
        undoes=undoes,
        records=records,
    )


def _portions(unit: UnitOfWork, numbers: Sequence[str]) -> Iterator[list[MemberRecord]]:
    for start in range(0, len(numbers), _PORTION):
        yield [one.state for one in unit.read_many(MEMBER_RECORD, numbers[start : start + _PORTION]).values()]


def _run(
    command: ApplyMasterPolicyTransaction, unit: UnitOfWork, policy: MasterPolicy, request: CascadeRequest, number: str
) -> CascadeResult:
    """The transaction of one record; a failure becomes a dead letter (PRM-151)."""
    unit.lock(f"member:{number}")
    member = unit.load(MEMBER_RECORD, number)
    try:
        _apply(unit, policy, record_request(request, member.state))
    except Refusal as refusal:
        stated = tuple(part for part in command.records if part.member_record == number)
        kept = ApplyCascadedTransaction(member_record=number, request=command.model_copy(update={"records": stated}))
        dead_letter(unit, kept, number, reasons_of(refusal.problems), kind=DeadLetterKind.CASCADE_RECORD)
        return CascadeResult(number, CascadeOutcome.DEAD_LETTERED, refusal.code)
    return CascadeResult(number, CascadeOutcome.APPLIED)


def _apply(unit: UnitOfWork, policy: MasterPolicy, request: TransactionRequest) -> None:
    number = request.member_record or ""
    accounts = (request.account,) if request.account else ()
    facts = facts_of(unit, policy, number, accounts)
    member = unit.load(MEMBER_RECORD, number)
    apply_events(unit, member, decide(member.state, request, facts), facts)


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
    results: dict[str, str] = {}
    for number in unit.port(Placements).members_on(account, first_day, dt.date.max):
        unit.lock(f"member:{number}")
        member = unit.load(MEMBER_RECORD, number)
        policy = unit.load(MASTER_POLICY, member.state.master_policy).state
        own = replace(request, transaction_id=f"{mark}/{number}", member_record=number)
        _apply(unit, policy, own)
        results[number] = CascadeOutcome.APPLIED
    return results
