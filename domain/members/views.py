"""What a member record is on a day, derived and never stored (MEM-068): future, in force, stopped, ended; badges.

Read from the ACTIVE version, as every reader does (PRM-111).
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

from domain.members.events import GroupOrigin
from domain.members.placements import Placement, closed, placement_on
from domain.members.record import MemberRecord, active_timeline, cancellation_in_force


class DerivedState(StrEnum):
    """MEM-068; `LAPSED` are the days between a cancellation and a later reinstatement."""

    FUTURE = "FUTURE"
    IN_FORCE = "IN_FORCE"
    STOPPED = "STOPPED"
    LAPSED = "LAPSED"
    ENDED = "ENDED"


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
