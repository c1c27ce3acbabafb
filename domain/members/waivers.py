"""Waivers beyond one record and one message: all records of a customer at once, and expirations by the calendar.

A waiver request is a transaction like any other (`decide`). By default it reaches every in-force record of the same
individual customer whose master policy takes waivers from its source, one waiver a record, all or none (PRM-094). A
waiver with an expiration date ends by itself: the premium timeline has known it all along, the daily job only says so.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from domain.errors import Problem, Refusal, refuse_if_any
from domain.members.decisions import decide
from domain.members.events import PremiumWaiverEnded, WaiverEnding
from domain.members.record import MemberRecord
from domain.members.requests import TransactionFacts, TransactionRequest
from domain.members.views import is_in_force
from domain.premium.transactions import PolicyTransaction, TransactionType, WaiverSource


@dataclass(frozen=True, slots=True)
class WaiverCandidate:
    """A record of the customer with the facts of its master policy."""

    record: MemberRecord
    facts: TransactionFacts


def waived_records(request: TransactionRequest, candidates: Iterable[WaiverCandidate]) -> tuple[WaiverCandidate, ...]:
    """The records a waiver reaches: the one named, and those in force on its start whose policy takes the source.

    Ascending by member record number (PRM-094).
    """
    reached = [
        one
        for one in candidates
        if one.record.number == request.member_record
        or (one.facts.policy.terms.premium_waiver_source is request.waiver_source and _is_in_force(one, request))
    ]
    return tuple(sorted(reached, key=lambda one: one.record.number))


def decide_waiver_for_all(
    request: TransactionRequest, candidates: Iterable[WaiverCandidate]
) -> Mapping[str, tuple[object, ...]]:
    """The events of a waiver by member record number, all or none: one Refusal names every record that refuses.

    On the records not named in the request the transaction and waiver ids carry the record number (PRM-094).
    """
    problems: list[Problem] = []
    decided: dict[str, tuple[object, ...]] = {}
    for one in waived_records(request, candidates):
        number = one.record.number
        try:
            decided[number] = decide(one.record, _for_record(request, number), one.facts)
        except Refusal as refusal:
            problems += [replace(problem, entity=problem.entity or number) for problem in refusal.problems]
    refuse_if_any(problems)
    return decided


def waivers_to_expire(record: MemberRecord, today: dt.date) -> tuple[PolicyTransaction, ...]:
    """The waivers in force whose expiration date has come and of which that was not said yet (PRM-095)."""
    ended = {
        one.waiver_id
        for one in record.active_transactions
        if one.in_force and one.type is TransactionType.WAIVER_REMOVE
    }
    return tuple(
        one
        for one in record.active_transactions
        if one.in_force
        and one.type is TransactionType.WAIVER_ADD
        and one.expiration is not None
        and one.expiration <= today
        and (one.until is None or one.expiration < one.until)
        and one.waiver_id not in ended
        and one.waiver_id not in record.expired_waivers
    )


def expire_waivers(record: MemberRecord, today: dt.date) -> tuple[PremiumWaiverEnded, ...]:
    """The events of the daily job on the record; none when nothing expires (PRM-095)."""
    return tuple(
        PremiumWaiverEnded(
            member_record=record.number,
            transaction_id=None,
            waiver_id=one.waiver_id or one.transaction_id,
            source=one.waiver_source or WaiverSource.CLAIMS,
            effective_date=one.expiration or today,
            ending=WaiverEnding.EXPIRED,
        )
        for one in waivers_to_expire(record, today)
    )


def _is_in_force(candidate: WaiverCandidate, request: TransactionRequest) -> bool:
    if request.effective_date is None:
        return False
    return is_in_force(candidate.record, request.effective_date, candidate.facts.policy.expiration)


def _for_record(request: TransactionRequest, number: str) -> TransactionRequest:
    if number == request.member_record:
        return request
    return replace(
        request,
        member_record=number,
        transaction_id=f"{request.transaction_id}/{number}",
        waiver_id=None if request.waiver_id is None else f"{request.waiver_id}/{number}",
    )
