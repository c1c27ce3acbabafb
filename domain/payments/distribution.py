"""What an allocation has decided, before it is written: lines to pay, overpayment to keep, what stays and why.

Every way of allocating (rules, targets, file, consumption) ends in a `Distribution`; `allocate` turns it into the
events of one payment record. So the ways differ in how they decide, never in how money moves.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from domain.errors import InvariantError, Problem, refuse_if_any
from domain.payments.allocation import Plan
from domain.payments.classification import Bucket, Cause, Explanation
from domain.payments.payment import (
    NO_MEMBERS,
    InvoiceLines,
    MemberAmounts,
    PaymentRecord,
    Phase,
    check_conservation,
    explain,
    fold,
    move_between_buckets,
    move_to_items,
    with_status,
)


@dataclass(frozen=True, slots=True)
class Distribution:
    """A decided allocation of one amount.

    `lines` get paid, `overpayments` are kept for members, `rest` stays in the bucket it came from. `explanation` says
    why (PAY-033), `master_policies` which policies the rest was meant for (PAY-065), `reversed_write_offs` which
    write-offs give way (WRO-040), `warnings` what the user should know.
    """

    lines: tuple[InvoiceLines, ...] = ()
    overpayments: MemberAmounts = NO_MEMBERS
    rest: int = 0
    explanation: Explanation | None = None
    master_policies: tuple[str, ...] = ()
    reversed_write_offs: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def placed(self) -> int:
        """What leaves the bucket, minor units."""
        return sum(part.total for part in self.lines) + self.overpayments.total

    @property
    def touched(self) -> tuple[str, ...]:
        """Invoices that get money."""
        return tuple(part.invoice for part in self.lines)


def of_plan(plan: Plan) -> Distribution:
    """The distribution an automated plan decided."""
    return Distribution(
        lines=plan.lines,
        rest=plan.unapplied,
        explanation=plan.explanation,
        reversed_write_offs=plan.reversed_write_offs,
    )


def allocatable_problems(
    state: PaymentRecord, source: Bucket = Bucket.UNAPPLIED, member: str | None = None
) -> list[Problem]:
    """Why the record's money in this bucket cannot be allocated by a command (PAY-063)."""
    if state.phase is not Phase.IN_FORCE or state.in_bucket(source, member) == 0:
        return [
            Problem(
                "PAYMENT_NOT_ALLOCATABLE",
                "the payment is not in force, or nothing of it is left to allocate",
                params={"status": state.status},
            )
        ]
    if state.locked_by_refund:
        return [Problem("PAYMENT_LOCKED_BY_REFUND", "a refund of this payment is under way")]
    return []


def allocate(
    state: PaymentRecord,
    distribution: Distribution,
    *,
    cause: Cause,
    date: dt.date,
    source: Bucket = Bucket.UNAPPLIED,
    member: str | None = None,
    reason: str | None = None,
) -> list[object]:
    """Carry out a distribution on one record: allocations, overpayment, explanation of the rest, status (PAY-013).

    Raises InvariantError when the distribution places more than the bucket (of that member) holds.
    """
    check_conservation(state, thoroughly=True)
    if distribution.placed > state.in_bucket(source, member):
        raise InvariantError(f"{distribution.placed} placed out of {state.in_bucket(source, member)}")
    events = move_to_items(
        state, distribution.lines, cause=cause, date=date, source=source, member=member, reason=reason
    )
    if distribution.overpayments.members:
        from_members = distribution.overpayments if source is not Bucket.UNAPPLIED else NO_MEMBERS
        events += move_between_buckets(
            state,
            source,
            Bucket.MEMBER_OVERPAYMENT,
            cause=cause,
            date=date,
            source_members=from_members,
            to_members=distribution.overpayments,
            reason=reason,
        )
    if distribution.explanation is not None and source is Bucket.UNAPPLIED:
        after = fold(state, events)
        policies = distribution.master_policies or (None,)
        for policy in policies:
            events += explain(after, distribution.explanation, date, policy)
    return with_status(state, events, cause, date, reason)


def allocate_by_command(
    state: PaymentRecord,
    distribution: Distribution,
    *,
    date: dt.date,
    source: Bucket = Bucket.UNAPPLIED,
    member: str | None = None,
    cause: Cause = Cause.MANUAL,
) -> list[object]:
    """`allocate` on a user's command: refused on a record that is not in force, empty or locked (PAY-063)."""
    refuse_if_any(allocatable_problems(state, source, member))
    return allocate(state, distribution, cause=cause, date=date, source=source, member=member)
