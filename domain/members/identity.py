"""Names of the person behind a record, and the request to cancel it for an unpaid first invoice: marks, no premium."""

from __future__ import annotations

import datetime as dt

from domain.errors import refuse
from domain.members.events import (
    MemberCancellationRequested,
    MemberCancellationRequestRefused,
    MemberNameEventStale,
    MemberRecordRenamed,
)
from domain.members.placements import MOVES_TO_DIRECT, last_placement
from domain.members.record import MemberRecord
from domain.premium.timeline import order_key

#: MEM-137.
NON_PAYMENT = "NON_PAYMENT_FIRST_INVOICE"


def rename(
    record: MemberRecord,
    *,
    first_name: str | None,
    last_name: str | None,
    employee_id: str | None,
    customer_version: int,
) -> tuple[object, ...]:
    """A name event of the individual customer; one not newer than the last applied is recorded as stale (MEM-008)."""
    if customer_version <= record.customer_version:
        return (
            MemberNameEventStale(
                member_record=record.number,
                customer_version=customer_version,
                last_version=record.customer_version,
            ),
        )
    return (
        MemberRecordRenamed(
            member_record=record.number,
            first_name=first_name,
            last_name=last_name,
            employee_id=employee_id,
            customer_version=customer_version,
        ),
    )


def request_cancellation(record: MemberRecord, today: dt.date) -> tuple[object, ...]:
    """Ask Policy to cancel from the move date on; a marked record is not asked about again (MEM-137).

    Refuses NOT_ON_INDIVIDUAL_DIRECT for a record that did not move to individual direct or is no longer there.
    """
    if record.cancellation_requested:
        return ()
    moves = [one for one in record.active_transactions if one.in_force and one.type in MOVES_TO_DIRECT]
    move = max(moves, key=order_key, default=None)
    placed = last_placement(record.placements, today)
    if move is None or placed is None or not placed.direct or record.is_cancelled:
        raise refuse("NOT_ON_INDIVIDUAL_DIRECT", "the record is not on individual direct", entity=record.number)
    return (
        MemberCancellationRequested(
            member_record=record.number, effective_date=move.effective_date, reason=NON_PAYMENT
        ),
    )


def cancellation_refused(record: MemberRecord, reason: str) -> tuple[object, ...]:
    """Policy refused to cancel: the mark is cleared (MEM-137)."""
    if not record.cancellation_requested:
        return ()
    return (MemberCancellationRequestRefused(member_record=record.number, reason=reason),)
