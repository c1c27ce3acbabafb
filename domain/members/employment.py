"""Employment changes: location and division from a date on, and the account they lead to (MEM-098 to MEM-107).

The timeline must not depend on the order in which events arrive (MEM-101). So an event is kept as it was stated: an
attribute it does not name is not filled in, and one that changes nothing today is kept as well. When an earlier change
arrives later, a statement that used to change nothing may change something after all; it is then applied on its date.

    L2 from 04-01 known; "L2 from 06-01" arrives          no change, kept
    "L1 from 05-01" arrives                               L1 from 05-01, and now L2 from 06-01
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from domain.members.events import EmploymentChanged, EmploymentOutcome
from domain.members.guards import Circumstances
from domain.members.record import EmploymentStatement
from domain.members.requests import TransactionRequest, fingerprint
from domain.members.routing import placed, whereabouts
from domain.members.unit import Unit, apply, next_version
from domain.premium.timeline import Segment, Timeline
from domain.premium.transactions import Origin, PolicyTransaction, TransactionType


def change(unit: Unit, request: TransactionRequest, mark: str) -> None:
    """An employment change as its source states it. Refuses with the validator's reasons (MEM-105)."""
    assert request.transaction_id is not None
    assert request.effective_date is not None
    assert request.transaction_date is not None
    _state(
        unit,
        EmploymentStatement(
            request.transaction_id,
            request.effective_date,
            request.location,
            request.division,
            EmploymentOutcome.CHANGED,
        ),
        request.transaction_date,
        request.origin or Origin.CEM,
        mark,
    )
    _revive(unit, request.effective_date)


def change_with(unit: Unit, request: TransactionRequest) -> None:
    """The part of a policy transaction that changes location or division, as a change of its own (MEM-098).

    Nothing is recorded when the values are those in force: a policy transaction repeats them every time.
    """
    assert request.effective_date is not None
    day = max(request.effective_date, unit.record.effective_date)
    if not _changes(unit.timeline, day, request.location, request.division):
        return
    part = replace(
        request,
        transaction_id=f"{request.transaction_id}/employment",
        type=TransactionType.EMPLOYMENT_CHANGE.value,
        kinds=(),
        amounts=(),
        decisions=(),
    )
    change(unit, part, fingerprint((part.location, part.division, part.effective_date)))


def _state(unit: Unit, statement: EmploymentStatement, transaction_date: dt.date, origin: Origin, mark: str) -> None:
    """Enter a statement: a transaction when it changes something, else a statement kept for later."""
    record, facts = unit.record, unit.facts
    day = max(statement.date, record.effective_date)
    location, division = _not_overruled(record.employment, statement, record.effective_date)
    transaction = PolicyTransaction(
        transaction_id=statement.event_id,
        type=TransactionType.EMPLOYMENT_CHANGE,
        effective_date=day,
        transaction_date=transaction_date,
        recorded_at=facts.now,
        order=record.next_order,
        origin=origin,
        version=next_version(record, TransactionType.EMPLOYMENT_CHANGE),
        location=location,
        division=division,
        original_date=statement.date if statement.date != day else None,
    )
    found = Circumstances.of(record, transaction, facts)
    is_change = (location is not None or division is not None) and _is_change(unit, transaction, found)
    unit.emit(
        EmploymentChanged(
            member_record=record.number,
            event_id=statement.event_id,
            effective_date=day,
            original_date=statement.date,
            location=statement.location,
            division=statement.division,
            outcome=EmploymentOutcome.CHANGED if is_change else EmploymentOutcome.NO_CHANGE,
            fingerprint=mark,
        )
    )
    if is_change:
        transaction, fallback = placed(transaction, found, facts)
        apply(unit, transaction, mark, root_fallback=fallback)


def _not_overruled(
    known: Sequence[EmploymentStatement], statement: EmploymentStatement, start: dt.date
) -> tuple[str | None, str | None]:
    """What of a statement still counts on its day, which for one dated before the record's start is that start.

    Of several statements that meet on one day, of each attribute the one dated last holds, then the one recorded last
    (MEM-101, MEM-102).
    """
    location, division = statement.location, statement.division
    place = next((at for at, one in enumerate(known) if one.event_id == statement.event_id), len(known))
    for at, other in enumerate(known):
        meets = max(other.date, start) == max(statement.date, start)
        if meets and (other.date, at) > (statement.date, place):
            location = None if other.location is not None else location
            division = None if other.division is not None else division
    return location, division


def _is_change(unit: Unit, transaction: PolicyTransaction, found: Circumstances) -> bool:
    """Whether values or routing change (MEM-100); routing only on another date than the segment's start (MEM-081)."""
    day = transaction.effective_date
    if _changes(found.before, day, transaction.location, transaction.division):
        return True
    here, current = whereabouts(transaction, found), found.placement(day)
    if not here.in_force or here.direct or current is None or _since(found.before, day) == day:
        return False
    answer = unit.facts.route(here.key(day, employment_change=True))
    return answer.account is not None and answer.account != current.account


def _changes(timeline: Timeline, day: dt.date, location: str | None, division: str | None) -> bool:
    """Whether the values differ from those in force on the day; what is not stated differs from nothing."""
    segment = _segment(timeline, day)
    if segment is None:
        return True
    changes_location = location is not None and (location or None) != segment.location
    return changes_location or (division is not None and (division or None) != segment.division)


def _since(timeline: Timeline, day: dt.date) -> dt.date:
    """The start of the employment segment that holds the day: adjacent equal ones are one (MEM-101)."""
    segment = _segment(timeline, day)
    if segment is None:
        return day
    since = segment.start
    for earlier in reversed(timeline.segments):
        if earlier.start >= since:
            continue
        if (earlier.location, earlier.division) != (segment.location, segment.division):
            break
        since = earlier.start
    return since


def _segment(timeline: Timeline, day: dt.date) -> Segment | None:
    """The segment of the day; after the end of the term the last one."""
    found = timeline.at(day)
    if found is None and timeline.segments and day >= timeline.segments[-1].end:
        return timeline.segments[-1]
    return found


def _revive(unit: Unit, since: dt.date) -> None:
    """Apply later statements that changed nothing until now and do now, in order of date (MEM-101)."""
    waiting = sorted(
        (one for one in unit.record.employment if one.outcome is EmploymentOutcome.NO_CHANGE and one.date > since),
        key=lambda one: one.date,
    )
    for statement in waiting:
        day = max(statement.date, unit.record.effective_date)
        location, division = _not_overruled(unit.record.employment, statement, unit.record.effective_date)
        if _changes(unit.timeline, day, location, division):
            receipt = unit.record.receipt(statement.event_id)
            mark = "" if receipt is None else receipt.fingerprint
            _state(unit, statement, unit.facts.today, Origin.CEM, mark)
