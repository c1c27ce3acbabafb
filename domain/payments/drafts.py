"""Allocation drafts: what a user prepares before money moves (PAY-070 to PAY-075).

A draft has versions and no effect. It is saved whatever its amounts say (the warnings are stored with the version), and
refused for the same amounts when it is applied.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from domain.errors import Problem, refuse, refuse_if_any
from domain.payments.classification import Cause
from domain.payments.payment import (
    DraftAllocationApplied,
    DraftAllocationCleared,
    DraftAllocationDeleted,
    DraftAllocationSaved,
    DraftPaymentDeleted,
    PaymentRecord,
    Phase,
    with_status,
)
from domain.payments.targets import Target


def save_draft(
    state: PaymentRecord, targets: Sequence[Target], *, warnings: Sequence[str] = (), file: str | None = None
) -> list[object]:
    """Save a version of the draft of an INITIATED payment or of a record in force (PAY-070, PAY-071)."""
    if state.phase not in (Phase.INITIATED, Phase.IN_FORCE):
        raise refuse("PAYMENT_NOT_ALLOCATABLE", "a payment in this state takes no draft", status=state.status)
    return [
        DraftAllocationSaved(
            record=state.known,
            version=state.draft_versions + 1,
            targets=tuple(targets),
            warnings=tuple(warnings),
            file=file,
        )
    ]


def clear_draft(state: PaymentRecord, *, confirmed: bool) -> list[object]:
    """Save a version with all amounts 0 (PAY-072)."""
    problems = [] if state.draft else [Problem("DRAFT_NOT_FOUND", "the record has no draft")]
    if not confirmed:
        problems.append(Problem("CONFIRMATION_REQUIRED", "clearing a draft must be confirmed", pointer="/confirmed"))
    refuse_if_any(problems)
    return [DraftAllocationCleared(record=state.known, version=state.draft_versions + 1)]


def draft_to_apply(state: PaymentRecord) -> tuple[Target, ...]:
    """The targets of the draft, for applying it. Refusals DRAFT_NOT_FOUND, DRAFT_EMPTY (PAY-072)."""
    if state.draft is None:
        raise refuse("DRAFT_NOT_FOUND", "the record has no draft")
    if state.draft.cleared or (not state.draft.targets and state.draft.file is None):
        raise refuse("DRAFT_EMPTY", "the draft has no amounts")
    return state.draft.targets


def draft_applied(state: PaymentRecord) -> list[object]:
    """The event that closes an applied draft."""
    if state.draft is None:
        return []
    return [DraftAllocationApplied(record=state.known, version=state.draft.version)]


def delete_draft_payment(state: PaymentRecord, *, confirmed: bool, date: dt.date) -> list[object]:
    """Delete a draft payment with all versions of its draft (PAY-073)."""
    problems = (
        []
        if state.phase is Phase.INITIATED
        else [Problem("PAYMENT_NOT_DRAFT", "only a draft payment can be deleted", params={"status": state.status})]
    )
    if not confirmed:
        problems.append(Problem("CONFIRMATION_REQUIRED", "deleting must be confirmed", pointer="/confirmed"))
    refuse_if_any(problems)
    events: list[object] = [DraftPaymentDeleted(record=state.known)]
    return with_status(state, events, Cause.MANUAL, date)


def delete_draft_allocation(state: PaymentRecord, *, confirmed: bool) -> list[object]:
    """Delete the draft of a real record; what is posted stays (PAY-074)."""
    problems = []
    if state.draft is None:
        posted = state.items_total + state.member_overpayment_total > 0
        problems.append(
            Problem("ALLOCATION_POSTED", "posted allocations cannot be deleted")
            if posted
            else Problem("DRAFT_NOT_FOUND", "the record has no draft")
        )
    if not confirmed:
        problems.append(Problem("CONFIRMATION_REQUIRED", "deleting must be confirmed", pointer="/confirmed"))
    refuse_if_any(problems)
    draft = state.draft
    if draft is None:
        return []
    return [DraftAllocationDeleted(record=state.known, version=draft.version, cause=Cause.MANUAL)]
