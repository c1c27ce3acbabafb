"""What a member record is on a day, derived and never stored (MEM-068): future, in force, stopped, ended; badges.

Read from the ACTIVE version, as every reader does (PRM-111).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from domain.members.events import GroupOrigin
from domain.members.placements import Placement, closed, placement_on
from domain.members.record import MemberRecord, active_timeline, cancellation_in_force
from domain.premium.transactions import PolicyTransaction, TransactionType


class DerivedState(StrEnum):
    """MEM-068; `LAPSED` are the days between a cancellation and a later reinstatement."""

    FUTURE = "FUTURE"
    IN_FORCE = "IN_FORCE"
    STOPPED = "STOPPED"
    LAPSED = "LAPSED"
    ENDED = "ENDED"


class WaiverState(StrEnum):
    """State machine "Waiver" of 04-premium-and-transactions, and SCHEDULED before the first waived day."""

    SCHEDULED = "SCHEDULED"
    ACTIVE = "ACTIVE"
    ENDED = "ENDED"
    EXPIRED = "EXPIRED"
    VOID = "VOID"


@dataclass(frozen=True, slots=True)
class WaiverView:
    """A waiver on a day; `end` is the first charged day, None while it is open or when it is void."""

    transaction: PolicyTransaction
    end: dt.date | None
    state: WaiverState


class Badge(StrEnum):
    """Marks shown beside a member record (queries of 03-members-and-products)."""

    FUTURE = "FUTURE"
    CANCELLED = "CANCELLED"
    STOPPED = "STOPPED"
    WAIVED = "WAIVED"
    ROOT_FALLBACK = "ROOT_FALLBACK"
    CANCELLATION_REQUESTED = "CANCELLATION_REQUESTED"
    ROLL_ON_PENDING = "ROLL_ON_PENDING"


def is_in_force(record: MemberRecord, day: dt.date, term_expiration: dt.date | None = None) -> bool:
    """Whether the record covers the day."""
    return active_timeline(record, term_expiration=term_expiration).is_in_force(day)


def derived_state(record: MemberRecord, day: dt.date, term_expiration: dt.date | None = None) -> DerivedState:
    """The state on the day (MEM-068)."""
    if day < record.effective_date:
        return DerivedState.FUTURE
    segment = active_timeline(record, term_expiration=term_expiration).at(day)
    if segment is None:
        return DerivedState.ENDED
    if not segment.in_force:
        cancellation = cancellation_in_force(record.active_transactions)
        ended = cancellation is not None and cancellation.effective_date <= day
        return DerivedState.ENDED if ended else DerivedState.LAPSED
    return DerivedState.STOPPED if segment.stopped else DerivedState.IN_FORCE


def badges(record: MemberRecord, day: dt.date) -> tuple[Badge, ...]:
    """The marks of the record on the day, in the order of `Badge`."""
    segment = active_timeline(record).at(day)
    placement = placement_on(record.placements, day)
    shown = {
        Badge.FUTURE: record.effective_date > day,
        Badge.CANCELLED: record.is_cancelled,
        Badge.STOPPED: segment is not None and segment.in_force and segment.stopped,
        Badge.WAIVED: segment is not None and segment.in_force and bool(segment.waivers),
        Badge.ROOT_FALLBACK: placement is not None and placement.root_fallback,
        Badge.CANCELLATION_REQUESTED: record.cancellation_requested,
        Badge.ROLL_ON_PENDING: record.is_roll_on_pending,
    }
    return tuple(badge for badge, is_shown in shown.items() if is_shown)


def placement_history(record: MemberRecord) -> tuple[Placement, ...]:
    """The placements of the record, the last one closed by a cancellation in force (MEM-069)."""
    cancellation = cancellation_in_force(record.active_transactions)
    return closed(record.placements, None if cancellation is None else cancellation.effective_date)


def continues_group(record: MemberRecord, day: dt.date) -> bool:
    """Whether the record is on individual direct on the day after leaving a group arrangement (MEM-125)."""
    placement = placement_on(record.placements, day)
    return placement is not None and placement.direct and record.group_origin is not GroupOrigin.NONE


def transactions_in_order(record: MemberRecord) -> list[PolicyTransaction]:
    """Every transaction of the record by effective date, then by recording."""
    return sorted(record.transactions, key=lambda one: (one.effective_date, one.recorded_at, one.order))


def waivers_on(record: MemberRecord, day: dt.date) -> list[WaiverView]:
    """The waivers of the record by start, those undone included (PRM-090)."""
    removed = {
        one.waiver_id: one.effective_date
        for one in record.active_transactions
        if one.type is TransactionType.WAIVER_REMOVE and one.in_force
    }
    return [
        _waiver_on(one, removed.get(one.waiver_id) or one.until, day)
        for one in transactions_in_order(record)
        if one.type is TransactionType.WAIVER_ADD
    ]


def _waiver_on(waiver: PolicyTransaction, stated: dt.date | None, day: dt.date) -> WaiverView:
    """`stated` is the end that was sent, with the waiver or later; its expiration ends it if that comes first."""
    end = min((one for one in (stated, waiver.expiration) if one is not None), default=None)
    if not waiver.in_force or (end is not None and end <= waiver.effective_date):
        return WaiverView(waiver, None, WaiverState.VOID)
    if end is not None and end <= day:
        state = WaiverState.EXPIRED if end == waiver.expiration != stated else WaiverState.ENDED
    else:
        state = WaiverState.SCHEDULED if waiver.effective_date > day else WaiverState.ACTIVE
    return WaiverView(waiver, end, state)
