"""One unit of change: an incoming transaction, what it does to the later ones, and the recalculation, all or nothing.

PRM-105 makes the whole reaction one unit. `Unit` is its growing list of events, each folded into the record at once, so
that the next step sees what the last one decided; a refusal on the way leaves nothing, because nobody keeps the unit.

    apply     the matrix sorts the later ones: back off, make ineffective, make obsolete, keep
              the incoming one is in force
    settle    kept ones whose guard fails become ineffective; the others are routed again where they must be
              a version with the rows that changed
              the placements, unless a decision is open
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from domain.errors import Problem, Refusal
from domain.members.events import (
    LaterTransaction,
    MemberPremiumRecalculated,
    MemberRecordMoved,
    ModalPremiumVersionCreated,
    Movement,
    MovementKind,
    PolicyTransactionApplied,
    RollOnRequested,
    TransactionsBackedOff,
    TransactionsMadeIneffective,
    VersionStatus,
)
from domain.members.guards import Circumstances, kept_problem
from domain.members.matrix import Reaction, react
from domain.members.placements import Placement, placement_on, placements_of
from domain.members.record import MemberRecord, evolve, latest_timeline
from domain.members.requests import TransactionFacts
from domain.members.routing import rerouted
from domain.members.rows import changed_rows, refuse_gaps, rows_of
from domain.premium.timeline import Timeline, order_key
from domain.premium.transactions import PolicyTransaction, TransactionType
from domain.products.master_policy import RollOnMode

#: Types that create no version of the modal premium (PRM-040, PRM-046, PRM-148).
_VERSIONLESS: Final = frozenset(
    {TransactionType.WAIVER_ADD, TransactionType.WAIVER_REMOVE, TransactionType.SEASONAL_UPDATE}
)


class Unit:
    """The events one command gives, and the record as it is after them."""

    def __init__(self, record: MemberRecord, facts: TransactionFacts) -> None:
        self.record = record
        self.facts = facts
        self.events: list[object] = []

    def emit(self, *happened: object) -> None:
        """Add events and fold them."""
        for one in happened:
            self.record = evolve(self.record, one)
            self.events.append(one)

    @property
    def in_force(self) -> tuple[PolicyTransaction, ...]:
        """The transactions in force, in the order of PRM-004."""
        return tuple(sorted((one for one in self.record.transactions if one.in_force), key=order_key))

    @property
    def timeline(self) -> Timeline:
        """The premium timeline of what is in force now."""
        policy = self.facts.policy
        return latest_timeline(
            self.record,
            term_expiration=policy.expiration,
            multiple_sequences=policy.terms.multiple_premium_sequences,
        )


def next_version(record: MemberRecord, kind: TransactionType) -> int | None:
    """The number of the version a transaction of the type creates, None when it creates none (PRM-040)."""
    return None if kind in _VERSIONLESS else record.latest_version + 1


def apply(
    unit: Unit,
    transaction: PolicyTransaction,
    fingerprint: str,
    *,
    caused_by: str | None = None,
    cascaded: bool = False,
    root_fallback: bool = False,
    voiding: Sequence[object] = (),
    consequences: Sequence[object] = (),
    mode: RollOnMode = RollOnMode.MANUAL,
) -> Reaction:
    """Put an incoming transaction in force, treat every later one by the matrix, and recalculate (PRM-102 to PRM-105).

    `caused_by` is the master policy transaction of a cascade, `cascaded` tells a rewrite. `voiding` events come before
    the transaction (a rescinded cancellation, a rewrite), `consequences` after it. Refuses with the code of the matrix.
    """
    before = unit.in_force
    reaction = react(transaction, before, cascaded=cascaded)
    if reaction.refused is not None:
        raise Refusal(
            Problem(
                reaction.refused,
                "a later transaction stands in the way",
                "/effective_date",
                params={"transaction_id": reaction.by},
            )
        )
    _set_aside(unit, transaction.transaction_id, reaction, mode)
    unit.emit(*voiding)
    late = bool(reaction.kept or reaction.backed_off or reaction.ineffective)
    put_in_force(
        unit,
        transaction,
        fingerprint,
        before=before,
        caused_by=caused_by,
        root_fallback=root_fallback,
        out_of_sequence=late and not cascaded,
    )
    unit.emit(*consequences)
    settle(unit, transaction, before)
    return reaction


def put_in_force(
    unit: Unit,
    transaction: PolicyTransaction,
    fingerprint: str,
    *,
    before: Iterable[PolicyTransaction] = (),
    caused_by: str | None = None,
    root_fallback: bool = False,
    out_of_sequence: bool = False,
) -> None:
    """Emit `PolicyTransactionApplied` with the accounts the transaction concerns (PRM-010)."""
    day, direct = transaction.effective_date, unit.record.direct_accounts
    placements = (*placements_of(before, direct), *placements_of((*before, transaction), direct))
    concerned = {one.account for one in placements if one.end is None or one.end >= day}
    if transaction.account is not None:
        concerned.add(transaction.account)
    unit.emit(
        PolicyTransactionApplied(
            member_record=unit.record.number,
            transaction=transaction,
            fingerprint=fingerprint,
            accounts=tuple(sorted(concerned)),
            out_of_sequence=out_of_sequence,
            cascade=caused_by,
            root_fallback=root_fallback,
        )
    )


def settle(unit: Unit, transaction: PolicyTransaction, before: Sequence[PolicyTransaction]) -> None:
    """Recalculate on top of a transaction that is now in force: kept ones, version, placements (PRM-113).

    `before` is what was in force before the unit.
    """
    _drop_failing(unit, transaction)
    known = {one.transaction_id for one in before}
    kept = tuple(
        one.transaction_id
        for one in unit.in_force
        if one.transaction_id in known and order_key(one) > order_key(transaction)
    )
    changes = rerouted(unit.record, before, unit.in_force, transaction, unit.facts)
    if kept or changes:
        unit.emit(
            MemberPremiumRecalculated(
                member_record=unit.record.number, caused_by=transaction.transaction_id, kept=kept, rerouted=changes
            )
        )
    if transaction.version is not None:
        create_version(unit, transaction)
    publish_placements(unit, transaction.transaction_id)


def create_version(unit: Unit, transaction: PolicyTransaction) -> None:
    """Emit the version of a transaction with the rows it changes (PRM-040 to PRM-045). Refuses as PRM-047."""
    record, timeline = unit.record, unit.timeline
    versions = {one.transaction_id: one.version for one in record.transactions if one.version is not None}
    refuse_gaps(timeline, transaction.effective_date)
    added, ended = changed_rows(record.rows, rows_of(timeline, unit.facts.accounts, versions))
    assert transaction.version is not None
    unit.emit(
        ModalPremiumVersionCreated(
            member_record=record.number,
            version=transaction.version,
            status=VersionStatus.PENDING if record.is_roll_on_pending else VersionStatus.ACTIVE,
            origin=transaction.transaction_id,
            type=transaction.type,
            effective_date=transaction.effective_date,
            rows=added,
            withdrawn=ended,
            rolled_on=transaction.rolled_on_from is not None,
        )
    )


def publish_placements(unit: Unit, cause: str) -> None:
    """Emit `MemberRecordMoved` when the placements of the ACTIVE version changed; a pending one waits (PRM-111)."""
    record = unit.record
    if record.is_roll_on_pending:
        return
    placements = placements_of(record.transactions, record.direct_accounts, record.fallbacks)
    if placements == record.placements:
        return
    unit.emit(
        MemberRecordMoved(
            member_record=record.number,
            transaction_id=cause,
            movements=movements(record.placements, placements, cause),
            placements=placements,
        )
    )


def movements(before: Sequence[Placement], after: Sequence[Placement], cause: str) -> tuple[Movement, ...]:
    """The movement entries of a change of placements, two a change of account with one correlation (MEM-071).

    A placement that begins is a movement into it; one that is undone, on a date on which none begins now, is a movement
    from it back to the account that bills the day instead.
    """
    old, new = {(one.account, one.start) for one in before}, {(one.account, one.start) for one in after}
    begun = {one.start for one in after if (one.account, one.start) not in old}
    found: list[Movement] = []
    for earlier, later in pairwise(after):
        if (later.account, later.start) not in old:
            found += _pair(earlier.account, later, later.account, cause)
    for undone in before:
        instead = placement_on(after, undone.start)
        changed = (undone.account, undone.start) not in new and undone.start not in begun
        if changed and instead is not None and instead.account != undone.account:
            found += _pair(undone.account, undone, instead.account, cause)
    return tuple(found)


def _pair(left: str, at: Placement, entered: str, cause: str) -> list[Movement]:
    correlation = f"{cause}/{at.start.isoformat()}/{at.account}"
    return [
        Movement(MovementKind.MOVED_OUT, left, at.start, correlation),
        Movement(MovementKind.MOVED_IN, entered, at.start, correlation),
    ]


def _set_aside(unit: Unit, cause: str, reaction: Reaction, mode: RollOnMode) -> None:
    """Lock the record and back off what must be decided; make ineffective what must be (PRM-110)."""
    record = unit.record
    if reaction.backed_off:
        active = record.active_version
        unit.emit(
            RollOnRequested(
                member_record=record.number,
                caused_by=cause,
                mode=mode,
                active_version=active.number if active is not None else 0,
                transactions=_later(record, reaction.backed_off),
                requested_at=unit.facts.now,
            ),
            TransactionsBackedOff(member_record=record.number, caused_by=cause, transactions=reaction.backed_off),
        )
    if reaction.ineffective:
        unit.emit(
            TransactionsMadeIneffective(
                member_record=record.number, caused_by=cause, transactions=_later(record, reaction.ineffective)
            )
        )


def _drop_failing(unit: Unit, transaction: PolicyTransaction) -> None:
    """Make kept later transactions ineffective whose guard holds no longer, in their order (PRM-113)."""
    failing: list[LaterTransaction] = []
    standing = list(unit.in_force)
    for one in unit.in_force:
        if order_key(one) <= order_key(transaction):
            continue
        found = Circumstances.among(unit.record, [other for other in standing if other is not one], one, unit.facts)
        code = kept_problem(one, found)
        if code is not None:
            standing.remove(one)
            failing.append(replace(_as_later(one), code=code))
    if failing:
        unit.emit(
            TransactionsMadeIneffective(
                member_record=unit.record.number, caused_by=transaction.transaction_id, transactions=tuple(failing)
            )
        )


def _later(record: MemberRecord, ids: Iterable[str]) -> tuple[LaterTransaction, ...]:
    wanted = set(ids)
    found = (one for one in record.transactions if one.transaction_id in wanted)
    return tuple(_as_later(one) for one in sorted(found, key=order_key))


def _as_later(one: PolicyTransaction) -> LaterTransaction:
    return LaterTransaction(one.transaction_id, one.type, one.origin, one.effective_date, one.amounts)
