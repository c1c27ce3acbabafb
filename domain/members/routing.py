"""Where a transaction places the record, when it arrives and again when what is before it changes.

A transaction states an account only where it places the record somewhere else. What it is routed by are the attributes
of its date: class and payroll frequency, location and division of the employment timeline. When an earlier transaction
changes one of them, or puts the record on individual direct or out of cover, the kept later ones are routed again
(MEM-106, MEM-107); with the same attributes they stay where they are, whatever the set-up says today (MEM-081).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from domain.accounts.setup import Routed
from domain.calendar.frequency import Frequency
from domain.errors import Problem, Refusal, refuse
from domain.members.events import Rerouting
from domain.members.guards import Circumstances
from domain.members.modality import derived_modality
from domain.members.placements import MOVES_TO_DIRECT, last_placement, placements_of
from domain.members.record import MemberRecord, rerouted_transaction
from domain.members.requests import RoutingKey, TransactionFacts
from domain.premium.timeline import Segment, order_key
from domain.premium.transactions import AmendmentKind, PolicyTransaction, TransactionType

_T = TransactionType
_STOP_OR_RESUME: Final = frozenset({AmendmentKind.STOP_BILLING, AmendmentKind.RESUME_BILLING})
#: Reasons that leave a placed record where it is, unless the class decides (MEM-089).
_STAYS: Final = frozenset({"EMPLOYER_BILLING_MISSING", "LOCATION_CLASS_MISSING"})


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """By what a record is routed on a day, and whether it is routed at all: in force, and on a group account."""

    location: str | None
    division: str | None
    member_class: str | None
    payroll_frequency: Frequency | None
    in_force: bool
    direct: bool

    def key(self, day: dt.date, *, employment_change: bool) -> RoutingKey:
        """What the set-up is asked."""
        return RoutingKey(
            day, self.location, self.division, self.member_class, self.payroll_frequency, employment_change
        )


def whereabouts(transaction: PolicyTransaction, found: Circumstances) -> Whereabouts:
    """The whereabouts on the date of the transaction, its own statements included."""
    day = transaction.effective_date
    segment = segment_with(transaction, found)
    direct = found.is_direct(day) and transaction.type is not _T.MOVED_TO_LIST_BILL
    if segment is None:
        return Whereabouts(None, None, None, None, False, direct)
    return Whereabouts(
        segment.location,
        segment.division,
        segment.member_class,
        segment.payroll_frequency,
        segment.in_force,
        direct,
    )


def segment_with(transaction: PolicyTransaction, found: Circumstances) -> Segment | None:
    """The segment that begins with the transaction, its account left out."""
    unplaced = replace(transaction, account=None, modality=None, modality_from_account=False)
    return found.before.with_transaction(unplaced).at(transaction.effective_date)


def routes(transaction: PolicyTransaction) -> bool:
    """Whether it is routed: amendments, employment changes, reinstatements, returns (MEM-081, PRM-066, MEM-126)."""
    if transaction.type is _T.AMENDMENT:
        return not _STOP_OR_RESUME & set(transaction.kinds)
    return transaction.type in (_T.EMPLOYMENT_CHANGE, _T.REINSTATEMENT, _T.MOVED_TO_LIST_BILL)


def placed(
    transaction: PolicyTransaction, found: Circumstances, facts: TransactionFacts
) -> tuple[PolicyTransaction, bool]:
    """The transaction with the account and modality it decides, and whether the account is the root's for want of one.

    Refuses with the reasons of the validator when there is no account and the record cannot stay (MEM-083, MEM-089).
    """
    if transaction.type is _T.MOVED_TO_LIST_BILL:
        return _returned(transaction, found, facts), False
    here = whereabouts(transaction, found)
    current = found.placement(transaction.effective_date)
    if not routes(transaction) or here.direct or not here.in_force or current is None:
        return replace(transaction, account=None), False
    if transaction.type is _T.REINSTATEMENT and _same_as_at_cancellation(transaction, found, here):
        return replace(transaction, account=None), False
    employment = transaction.type in (_T.EMPLOYMENT_CHANGE, _T.REINSTATEMENT)
    answer = facts.route(here.key(transaction.effective_date, employment_change=employment))
    if answer.account is None:
        _refuse_unless_it_stays(transaction, found, answer, facts)
        return replace(transaction, account=None), False
    marked = answer.fallback or current.root_fallback
    account = answer.account if answer.account != current.account or marked else None
    return _with_modality(transaction, found, account, facts), answer.fallback


def rerouted(
    record: MemberRecord,
    before: Sequence[PolicyTransaction],
    after: Sequence[PolicyTransaction],
    cause: PolicyTransaction,
    facts: TransactionFacts,
) -> tuple[Rerouting, ...]:
    """What kept transactions later than the cause now decide about account and modality, where that differs.

    `before` is what was in force before the unit, `after` what is in force now, in order. A kept one that finds no
    account stays on the one it had: the whole reaction does not fail for it.
    """
    chain = list(after)
    old = {one.transaction_id: one for one in before}
    found: list[Rerouting] = []
    for index, one in enumerate(after):
        known = old.get(one.transaction_id)
        if order_key(one) <= order_key(cause) or not routes(one) or known is None:
            continue
        was = Circumstances.among(record, [other for other in before if other is not known], known, facts)
        now = Circumstances.among(record, [other for other in chain if other is not chain[index]], one, facts)
        decided, fallback = _replaced(one, was, now, facts)
        if decided == one and fallback == (one.transaction_id in record.fallbacks):
            continue
        change = Rerouting(
            one.transaction_id, decided.account, decided.modality, decided.modality_from_account, fallback
        )
        chain[index] = rerouted_transaction(one, change)
        found.append(change)
    return tuple(found)


def _replaced(
    one: PolicyTransaction, was: Circumstances, now: Circumstances, facts: TransactionFacts
) -> tuple[PolicyTransaction, bool]:
    """A kept transaction in its new circumstances, and whether it is now on the root's account.

    With the same attributes it goes on to the account it led to before, from wherever the record comes now.
    """
    if whereabouts(one, was) != whereabouts(one, now):
        try:
            return placed(one, now, facts)
        except Refusal:
            return one, one.transaction_id in now.record.fallbacks
    day = one.effective_date
    left, leaves = was.placement(day), now.placement(day)
    if left is None or leaves is None or leaves.direct or leaves.account == left.account:
        return one, one.transaction_id in now.record.fallbacks
    led_to = one.account or left.account
    account = None if led_to == leaves.account else led_to
    return _with_modality(one, now, account, facts), one.transaction_id in now.record.fallbacks


def _with_modality(
    transaction: PolicyTransaction, found: Circumstances, account: str | None, facts: TransactionFacts
) -> PolicyTransaction:
    """The transaction on the account, with its modality where account or payroll frequency change it (PRM-063)."""
    segment = segment_with(transaction, found)
    current = found.placement(transaction.effective_date)
    plain = replace(transaction, account=account, modality=None, modality_from_account=False)
    changes_payroll = AmendmentKind.PAYROLL_FREQUENCY_CHANGE in transaction.kinds
    moves = account is not None and current is not None and account != current.account
    if segment is None or current is None or not (moves or changes_payroll):
        return plain
    terms = facts.terms_of(account or current.account)
    choice = derived_modality(terms, segment.payroll_frequency, facts.policy.terms.allowed_modalities)
    if choice is None or (choice.from_account and segment.modality is None) or choice.modality is segment.modality:
        return plain
    return replace(plain, modality=choice.modality, modality_from_account=choice.from_account)


def _same_as_at_cancellation(transaction: PolicyTransaction, found: Circumstances, here: Whereabouts) -> bool:
    """Whether no employment segment of the lapse routes a reinstated record elsewhere (PRM-066)."""
    cancelled_on = found.cancelled_on(transaction.effective_date)
    segment = None if cancelled_on is None else found.before.at(cancelled_on)
    if segment is None:
        return True
    return (segment.location, segment.division) == (here.location, here.division)


def _refuse_unless_it_stays(
    transaction: PolicyTransaction, found: Circumstances, answer: Routed, facts: TransactionFacts
) -> None:
    """MEM-089: a placed record stays where only its unit is not set up, unless the class decides and has changed."""
    segment = found.before.at(transaction.effective_date)
    changes_class = (
        transaction.member_class is not None
        and segment is not None
        and segment.member_class != transaction.member_class
    )
    stays = set(answer.reasons) <= _STAYS and not (changes_class and facts.class_decides)
    if transaction.type is _T.EMPLOYMENT_CHANGE or not stays:
        raise Refusal([_no_account(reason, transaction) for reason in answer.reasons])


def _no_account(reason: str, transaction: PolicyTransaction) -> Problem:
    return Problem(
        reason, "no account is set up for the routing key", params={"date": transaction.effective_date.isoformat()}
    )


# ------------------------------------------------------------------------------------------------------------- return


@dataclass(frozen=True, slots=True)
class ReturnTarget:
    """Where a return leads: the account left by the move, or that of the routing key on the date (MEM-126)."""

    account: str
    is_original: bool


def return_target(transaction: PolicyTransaction, found: Circumstances, facts: TransactionFacts) -> ReturnTarget:
    """The account of a return. Refuses GROUP_ACCOUNT_NOT_ACTIVE, NO_GROUP_ACCOUNT_FOR_ATTRIBUTES (MEM-126)."""
    day = transaction.effective_date
    move = max((one for one in found.before.transactions if one.type in MOVES_TO_DIRECT), key=order_key, default=None)
    here = whereabouts(transaction, found)
    if move is not None:
        direct = found.record.direct_accounts
        earlier = [one for one in found.before.transactions if order_key(one) < order_key(move)]
        left = last_placement(placements_of(earlier, direct), move.effective_date)
        then = whereabouts(move, Circumstances.among(found.record, found.before.transactions, move, facts))
        if left is not None and not left.direct and _attributes(then) == _attributes(here):
            if left.account in facts.inactive_accounts:
                raise refuse(
                    "GROUP_ACCOUNT_NOT_ACTIVE", "the account left by the move is not active", entity=left.account
                )
            return ReturnTarget(left.account, True)
    answer = facts.route(here.key(day, employment_change=False))
    if answer.account is None:
        raise refuse(
            "NO_GROUP_ACCOUNT_FOR_ATTRIBUTES",
            "no group account is set up for the attributes of the date",
            reasons=list(answer.reasons),
        )
    return ReturnTarget(answer.account, False)


def _returned(transaction: PolicyTransaction, found: Circumstances, facts: TransactionFacts) -> PolicyTransaction:
    """The return with its account and the modality of that account (MEM-127). Refuses MODALITY_UNRESOLVED."""
    target = return_target(transaction, found, facts)
    segment = found.before.at(transaction.effective_date)
    payroll = None if segment is None else segment.payroll_frequency
    terms = facts.terms_of(target.account)
    choice = derived_modality(terms, payroll, facts.policy.terms.allowed_modalities)
    if choice is None:
        raise refuse("MODALITY_UNRESOLVED", "no modality can be derived on the group account", entity=target.account)
    return replace(
        transaction, account=target.account, modality=choice.modality, modality_from_account=choice.from_account
    )


def _attributes(here: Whereabouts) -> tuple[object, ...]:
    return (here.payroll_frequency, here.location, here.division, here.member_class)
