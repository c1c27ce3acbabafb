"""Roll-on: deciding what becomes of the transactions that an earlier one, arriving late, has backed off.

Policy decides on each: `ROLL_ON`, with the amounts it has rated anew, or `DROP`. A rolled-on transaction is a new one
of the same type and date in the place of the original, with its own guards; it creates one version, in which the later
ones that were kept are recalculated. The last decision makes the latest version the ACTIVE one (PRM-110 to PRM-117).

    v3 ACTIVE, v4 PENDING, 04-01 and 07-01 backed off
    roll-on of 04-01   v5 PENDING         only after every earlier one is decided, or along with it
    drop of 07-01      v5 ACTIVE          no version: it only is no longer awaited
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from domain.errors import Problem, Refusal, refuse, refuse_if_any
from domain.members.effects import consequences, with_effects
from domain.members.events import RollOnCompleted, TransactionDropped, TransactionRolledOn, VersionStatus
from domain.members.forms import amount_problems
from domain.members.guards import Circumstances, guard_problems
from domain.members.record import MemberRecord
from domain.members.requests import RollOnAction, RollOnDecision, TransactionFacts
from domain.members.unit import Unit, next_version, publish_placements, put_in_force, settle
from domain.premium.transactions import PolicyTransaction, PremiumAmount, TransactionStatus


def instruct(record: MemberRecord, decisions: Sequence[RollOnDecision], facts: TransactionFacts) -> tuple[object, ...]:
    """The events of roll-on decisions, applied in chronological order; none when all were made before (PRM-117).

    Refuses NOT_BACKED_OFF, ALREADY_DECIDED, NOT_ROLL_ON_PENDING, ROLL_ON_OUT_OF_ORDER, and with the code of its own
    guard a rolled-on transaction that may not take effect.
    """
    if not decisions:
        raise refuse("TRANSACTION_INCOMPLETE", "no decision is given", pointer="/decisions", field="decisions")
    unit = Unit(record, facts)
    _decide(unit, decisions)
    return tuple(unit.events)


def decide_at_once(unit: Unit, backed_off: Iterable[str], decisions: Sequence[RollOnDecision]) -> None:
    """Make the decisions that came along with the transaction, all of them (PRM-116). Refuses ROLL_ON_INCOMPLETE."""
    decided = {one.transaction_id for one in decisions}
    missing = [one for one in backed_off if one not in decided]
    if missing:
        raise refuse(
            "ROLL_ON_INCOMPLETE",
            "a decision is missing for a transaction that is backed off",
            pointer="/roll_on_decisions",
            transactions=missing,
        )
    _decide(unit, decisions, "/roll_on_decisions")


def _decide(unit: Unit, decisions: Sequence[RollOnDecision], where: str = "/decisions") -> None:
    refuse_if_any(
        [
            problem
            for index, one in enumerate(decisions)
            for problem in amount_problems(one.amounts, f"{where}/{index}/amounts")
        ]
    )
    fresh = _fresh(unit.record, decisions, where)
    if not fresh:
        return
    if not unit.record.is_roll_on_pending:
        raise refuse("NOT_ROLL_ON_PENDING", "the record awaits no roll-on decision")
    refuse_if_any(_out_of_order(unit.record, fresh, where))
    by_id = {one.transaction_id: one for one in fresh}
    for original in unit.record.backed_off:
        decision = by_id.get(original.transaction_id)
        if decision is None:
            continue
        if decision.action is RollOnAction.ROLL_ON:
            _roll_on(unit, original, decision)
        else:
            unit.emit(
                TransactionDropped(
                    member_record=unit.record.number,
                    transaction_id=original.transaction_id,
                    content=decision.content,
                )
            )
    if not unit.record.backed_off:
        _complete(unit)


def _fresh(record: MemberRecord, decisions: Sequence[RollOnDecision], where: str) -> list[RollOnDecision]:
    """The decisions not made before. Refuses those made otherwise, and those on what awaits none (PRM-117)."""
    problems: list[Problem] = []
    fresh: dict[str, RollOnDecision] = {}
    decided = {one.transaction_id: one for one in record.decided}
    for index, decision in enumerate(decisions):
        pointer, found = f"{where}/{index}", record.transaction(decision.transaction_id)
        known = decided.get(decision.transaction_id)
        twice = fresh.get(decision.transaction_id)
        if known is not None or (twice is not None and twice.content != decision.content):
            if known is None or known.content != decision.content:
                problems.append(
                    Problem(
                        "ALREADY_DECIDED",
                        "the transaction was decided otherwise",
                        pointer,
                        params={"transaction_id": decision.transaction_id},
                    )
                )
        elif found is None or found.status is not TransactionStatus.BACKED_OFF:
            code = "NOT_BACKED_OFF" if record.is_roll_on_pending else "NOT_ROLL_ON_PENDING"
            problems.append(
                Problem(
                    code,
                    "the transaction awaits no decision",
                    pointer,
                    params={"transaction_id": decision.transaction_id},
                )
            )
        else:
            fresh[decision.transaction_id] = decision
    refuse_if_any(problems)
    return list(fresh.values())


def _out_of_order(record: MemberRecord, decisions: Sequence[RollOnDecision], where: str) -> list[Problem]:
    """PRM-112: no roll-on while an earlier one is undecided and not decided along with it."""
    decided = {one.transaction_id: one for one in decisions}
    problems: list[Problem] = []
    undecided: str | None = None
    for waiting in record.backed_off:
        decision = decided.get(waiting.transaction_id)
        if decision is None:
            undecided = undecided or waiting.transaction_id
        elif decision.action is RollOnAction.ROLL_ON and undecided is not None:
            problems.append(
                Problem(
                    "ROLL_ON_OUT_OF_ORDER",
                    "an earlier transaction is still to be decided",
                    f"{where}/{decisions.index(decision)}",
                    params={"transaction_id": waiting.transaction_id, "undecided": undecided},
                )
            )
    return problems


def _roll_on(unit: Unit, original: PolicyTransaction, decision: RollOnDecision) -> None:
    """Put the successor of a backed-off transaction in force, in the original's place (PRM-113)."""
    record, before = unit.record, unit.in_force
    identifier = decision.rolled_on_as or f"{original.transaction_id}/rolled-on"
    if record.transaction(identifier) is not None or record.receipt(identifier) is not None:
        raise refuse("IDEMPOTENCY_CONFLICT", "the transaction id is in use", transaction_id=identifier)
    successor = replace(
        original,
        transaction_id=identifier,
        recorded_at=unit.facts.now,
        status=TransactionStatus.APPLIED,
        version=next_version(record, original.type),
        amounts=decision.amounts or tuple(_renewed(one, identifier) for one in original.amounts),
        rolled_on_from=original.transaction_id,
        caused_back_off=None,
    )
    found = Circumstances.of(record, successor, unit.facts)
    problems = guard_problems(successor, found, unit.facts)
    if problems:
        named = (replace(one, params={**one.params, "transaction_id": original.transaction_id}) for one in problems)
        raise Refusal(tuple(named))
    successor, fallback = with_effects(successor, found, unit.facts)
    unit.emit(
        TransactionRolledOn(
            member_record=record.number,
            transaction_id=original.transaction_id,
            rolled_on_as=identifier,
            re_rated=bool(decision.amounts),
            content=decision.content,
        )
    )
    put_in_force(unit, successor, decision.content, before=before, root_fallback=fallback)
    unit.emit(*consequences(successor, found, unit.facts))
    settle(unit, successor, before)


def _renewed(amount: PremiumAmount, transaction_id: str) -> PremiumAmount:
    """The amount with its premium sequences under new ids, each naming the one it replaces (PRM-055)."""
    return replace(
        amount,
        sequences=tuple(
            replace(
                one,
                sequence_id=f"{one.sequence_id}/{transaction_id}",
                replaces=one.sequence_id,
                lineage=one.root,
            )
            for one in amount.sequences
        ),
    )


def _complete(unit: Unit) -> None:
    """The last decision is made: the latest version is ACTIVE, the lock ends (PRM-114)."""
    record = unit.record
    assert record.lock is not None
    cause, active = record.lock.caused_by, record.latest_version
    current = (VersionStatus.PENDING, VersionStatus.ACTIVE)
    unit.emit(
        RollOnCompleted(
            member_record=record.number,
            active_version=active,
            inactive_versions=tuple(
                one.number for one in record.versions if one.status in current and one.number != active
            ),
        )
    )
    publish_placements(unit, cause)
