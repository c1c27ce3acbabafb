"""Transfer of a record's money to other accounts (PAY-112 to PAY-116).

The source first brings everything it has to `unapplied`, then the transferred sum leaves; each target gets a record of
its own under the same payment number, unapplied. Nothing is allocated on either side in this activity.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from domain.errors import Problem, refuse_if_any
from domain.payments.classification import TRANSFER_REASONS, AccountKind, Cause, Explanation, PaymentStatus
from domain.payments.payment import (
    AllocatedItems,
    Origin,
    PaymentRecord,
    PaymentTransferred,
    TransferTarget,
    all_to_unapplied,
    delete_draft,
    explain,
    fold,
    reason_problems,
    with_status,
)
from domain.payments.receiving import PayingAccount
from domain.payments.withdrawal import RecordEvents, received_elsewhere

_TRANSFERABLE = (PaymentStatus.UNAPPLIED, PaymentStatus.PARTIALLY_ALLOCATED, PaymentStatus.ALLOCATED)


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """One target of a transfer: the account, the amount, the id of the record it would get."""

    account: PayingAccount
    amount: int
    new_record: str


def missing_confirmations(
    state: PaymentRecord, targets: Sequence[TransferRequest], given: Collection[str]
) -> tuple[str, ...]:
    """Confirmations still to be given, in the order they are asked (PAY-113)."""
    total = sum(target.amount for target in targets)
    needed = (
        ("DRAFT_DELETION", state.draft is not None),
        ("MEMBER_UNAPPLIED_MOVE", state.member_unapplied_total > 0),
        ("UNALLOCATION", state.items_total + state.member_overpayment_total > 0),
        ("RETAIN_REMAINDER", total < state.transferable),
    )
    return tuple(name for name, asked in needed if asked and name not in given)


def transfer_problems(
    state: PaymentRecord,
    targets: Sequence[TransferRequest],
    *,
    reason: str | None,
    text: str | None,
    incompatible: Collection[tuple[AccountKind, AccountKind]] = (),
) -> list[Problem]:
    """Everything PAY-112 refuses, each target with all its reasons."""
    identity = state.known
    problems = []
    if state.status not in _TRANSFERABLE:
        problems.append(
            Problem(
                "PAYMENT_NOT_TRANSFERABLE",
                "a payment in this state is not transferred",
                params={"status": state.status},
            )
        )
    if state.locked_by_refund:
        problems.append(Problem("PAYMENT_LOCKED_BY_REFUND", "a refund of this payment is under way"))
    seen: set[str] = set()
    for index, target in enumerate(targets):
        account = target.account
        reasons = [
            name
            for name, applies in (
                ("SOURCE_ACCOUNT", account.number == identity.account),
                ("NAMED_TWICE", account.number in seen),
                ("NOT_FOUND", not account.exists),
                ("NOT_ACTIVE", account.exists and not account.active),
                ("OTHER_CURRENCY", account.exists and account.currency != identity.currency),
                ("INCOMPATIBLE_TYPES", account.exists and (identity.account_kind, account.kind) in incompatible),
            )
            if applies
        ]
        seen.add(account.number)
        if reasons:
            problems.append(
                Problem(
                    "TARGET_INVALID",
                    "the target account cannot receive the money",
                    pointer=f"/targets/{index}/account",
                    params={"reasons": reasons},
                )
            )
        if target.amount <= 0:
            problems.append(
                Problem("AMOUNT_INVALID", "the amount must be above zero", pointer=f"/targets/{index}/amount")
            )
    if not targets:
        problems.append(
            Problem("TARGET_INVALID", "a transfer needs a target", pointer="/targets", params={"reasons": ["NONE"]})
        )
    total = sum(target.amount for target in targets)
    if total > state.transferable:
        problems.append(
            Problem(
                "TRANSFER_EXCEEDS_PAYMENT",
                "more than the payment has",
                pointer="/targets",
                params={"transferable": state.transferable, "asked": total},
            )
        )
    return [*problems, *reason_problems(reason, text, TRANSFER_REASONS)]


def transfer(
    state: PaymentRecord,
    items: AllocatedItems,
    targets: Sequence[TransferRequest],
    *,
    reason: str | None,
    text: str | None = None,
    confirmations: Collection[str] = (),
    incompatible: Collection[tuple[AccountKind, AccountKind]] = (),
    date: dt.date,
) -> tuple[list[object], RecordEvents]:
    """The events of the source, and those of each target's new record by its id.

    `items`: all lines the source holds money on. Refusals of PAY-112; if there are none, CONFIRMATION_REQUIRED with all
    missing confirmations (PAY-113).
    """
    refuse_if_any(transfer_problems(state, targets, reason=reason, text=text, incompatible=incompatible))
    missing = missing_confirmations(state, targets, confirmations)
    if missing:
        refuse_if_any(
            [
                Problem(
                    "CONFIRMATION_REQUIRED",
                    "the transfer must be confirmed",
                    params={"confirmations": list(missing)},
                )
            ]
        )
    total = sum(target.amount for target in targets)
    events: list[object] = [
        *delete_draft(state, Cause.TRANSFER),
        *all_to_unapplied(state, items, cause=Cause.TRANSFER, date=date, reason=reason),
        PaymentTransferred(
            record=state.known,
            targets=tuple(
                TransferTarget(target.account.number, target.amount, target.new_record) for target in targets
            ),
            amount=total,
            remainder=state.transferable - total,
            reason=reason or "",
            date=date,
            text=text,
        ),
    ]
    events += explain(fold(state, events), Explanation.TRANSFER, date)
    arrivals: RecordEvents = {}
    for target in targets:
        arrived = received_elsewhere(state, target.account, target.new_record, target.amount, Origin.TRANSFER)
        there = fold(PaymentRecord(), [arrived])
        arrivals[target.new_record] = with_status(
            PaymentRecord(), [arrived, *explain(there, Explanation.TRANSFER, date)], Cause.TRANSFER, date, reason
        )
    return with_status(state, events, Cause.TRANSFER, date, reason), arrivals
