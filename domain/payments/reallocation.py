"""Reallocation: money that stays on the account but changes its place (PAY-097 to PAY-100).

Members (LIST_BILL INDIVIDUAL): new totals by member record; what they lose goes to `unapplied` first, overpayment
before items, the youngest items before older ones; then the others take it, oldest items first. Payment: all or chosen
invoices are freed and the same amount goes to new targets, in one activity.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from domain.errors import Problem, refuse_if_any
from domain.payments.allocation import OpenAccount, OpenItems
from domain.payments.classification import AccountKind, Bucket, Cause, Explanation, PaymentStatus
from domain.payments.distribution import allocate
from domain.payments.manual_allocation import TargetFacts, distribute_to_targets
from domain.payments.payment import (
    AllocatedItems,
    MemberAmounts,
    PaymentReallocated,
    PaymentRecord,
    delete_draft,
    explain,
    fold,
    move_between_buckets,
    move_from_items,
    move_to_items,
    reason_problems,
    with_status,
)
from domain.payments.targets import Remainder, Target
from domain.payments.unallocation import take_from_record

_REALLOCATABLE = (PaymentStatus.ALLOCATED, PaymentStatus.PARTIALLY_ALLOCATED)


@dataclass(frozen=True, slots=True)
class Reallocation:
    """A decided reallocation: events, invoices whose write-offs give way or are reversed, warnings."""

    events: tuple[object, ...]
    reversed_write_offs: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()


def _state_problems(state: PaymentRecord) -> list[Problem]:
    problems = []
    if state.status not in _REALLOCATABLE:
        problems.append(
            Problem(
                "PAYMENT_NOT_REALLOCATABLE",
                "a payment in this state is not reallocated",
                params={"status": state.status},
            )
        )
    if state.locked_by_refund:
        problems.append(Problem("PAYMENT_LOCKED_BY_REFUND", "a refund of this payment is under way"))
    return problems


def submission_problems(*, status_seen: str, status_now: str, version_seen: int, version_now: int) -> list[Problem]:
    """At submission the status is checked before the version (PAY-099)."""
    if status_seen != status_now:
        return [Problem("PAYMENT_STATUS_CHANGED", "the payment's status has changed", params={"status": status_now})]
    if version_seen != version_now:
        return [Problem("CONCURRENT_CHANGE", "the payment has changed since", params={"version": version_now})]
    return []


# --- By member -------------------------------------------------------------------------------------------------------


def originals(state: PaymentRecord, items: AllocatedItems) -> dict[str, int]:
    """What the payment holds on each member record: items and overpayment (PAY-097)."""
    totals = dict(state.member_overpayment)
    for member, amount in zip(items.members, items.amounts, strict=True):
        if member is not None:
            totals[member] = totals.get(member, 0) + amount
    return totals


def reallocate_members(
    state: PaymentRecord,
    items: AllocatedItems,
    targets: Mapping[str, int],
    account: OpenAccount,
    *,
    confirm_remainder: bool,
    reason: str | None = None,
    date: dt.date,
) -> Reallocation:
    """New totals by member record; members not named keep theirs (PAY-097, PAY-098). No difference: no event.

    `items`: all lines the record holds money on, in item order; `account`: what is due now, those lines included.
    Active write-offs on the invoices left are reversed (WRO-039), those on invoices that get money give way (WRO-040).
    """
    before = originals(state, items)
    problems = []
    if state.known.account_kind is not AccountKind.LIST_BILL_INDIVIDUAL:
        problems.append(Problem("CAPABILITY_NOT_AVAILABLE", "money is not kept by member on this account"))
    problems += _state_problems(state)
    problems += _member_target_problems(before, targets, confirm_remainder)
    refuse_if_any(problems)
    changed = {member: total for member, total in targets.items() if total != before.get(member, 0)}
    if not changed:
        return Reallocation(())
    losses = {
        member: before[member] - total for member, total in sorted(changed.items()) if total < before.get(member, 0)
    }
    gains = {
        member: total - before.get(member, 0)
        for member, total in sorted(changed.items())
        if total > before.get(member, 0)
    }
    overpaid, left = _losses(state, items, losses)
    events: list[object] = [
        *delete_draft(state, Cause.REALLOCATION),
        *move_between_buckets(
            state,
            Bucket.MEMBER_OVERPAYMENT,
            Bucket.UNAPPLIED,
            cause=Cause.REALLOCATION,
            date=date,
            source_members=overpaid,
            reason=reason,
        ),
        *move_from_items(state, left, to=Bucket.UNAPPLIED, cause=Cause.REALLOCATION, date=date, reason=reason),
    ]
    freed = sum(losses.values())
    dues, write_offs = account.work()
    for invoice in dict.fromkeys(left.invoices):
        write_offs.reverse_all(invoice)
    kept: dict[str, int] = {}
    warnings = []
    for member, gain in gains.items():
        rows = dues.items.rows_of(member=member)
        if dues.due_of(rows) != gain:
            warnings.append(
                Problem(
                    "DIFFERS_FROM_DUE", f"member record {member} owes another amount", params={"member_record": member}
                )
            )
        rest = dues.spread(rows, gain)
        for invoice in dict.fromkeys(dues.items.invoices[row] for row in rows if row in dues.given):
            write_offs.give_way(invoice, 0)
        if rest:
            kept[member] = rest
    after = fold(state, events)
    events += move_to_items(after, dues.result(), cause=Cause.REALLOCATION, date=date, reason=reason)
    events += move_between_buckets(
        after,
        Bucket.UNAPPLIED,
        Bucket.MEMBER_OVERPAYMENT,
        cause=Cause.REALLOCATION,
        date=date,
        to_members=MemberAmounts(tuple(kept), tuple(kept.values())),
        reason=reason,
    )
    events.append(
        PaymentReallocated(
            record=state.known,
            unallocated=freed,
            allocated=sum(gains.values()),
            cause=Cause.REALLOCATION,
            date=date,
            reason=reason,
        )
    )
    if freed > sum(gains.values()):
        events += explain(fold(state, events), Explanation.UNALLOCATED, date)
    return Reallocation(
        tuple(with_status(state, events, Cause.REALLOCATION, date, reason)),
        tuple(write_offs.reversed),
        tuple(warnings),
    )


def _member_target_problems(
    before: Mapping[str, int], targets: Mapping[str, int], confirm_remainder: bool
) -> list[Problem]:
    problems = [
        Problem("AMOUNT_NEGATIVE", "a target is never negative", pointer=f"/targets/{index}/amount")
        for index, amount in enumerate(targets.values())
        if amount < 0
    ]
    if problems:
        return problems
    totals = {**before, **targets}
    original, wanted = sum(before.values()), sum(totals.values())
    if wanted == 0:
        return [
            Problem("REALLOCATION_ALL_ZERO", "all targets are zero: unallocate the payment instead", pointer="/targets")
        ]
    if wanted > original:
        return [
            Problem(
                "REALLOCATION_EXCEEDS_ALLOCATED",
                "the targets add up to more than is allocated",
                pointer="/targets",
                params={"allocated": original, "asked": wanted},
            )
        ]
    if wanted < original and not confirm_remainder:
        return [
            Problem(
                "REMAINDER_CONFIRMATION_REQUIRED",
                "what no member takes would become unapplied",
                pointer="/confirm_remainder",
                params={"remainder": original - wanted},
            )
        ]
    return []


def _losses(
    state: PaymentRecord, items: AllocatedItems, losses: Mapping[str, int]
) -> tuple[MemberAmounts, AllocatedItems]:
    """What each losing member gives: overpayment first, then items from the last in item order (PAY-098)."""
    overpaid: dict[str, int] = {}
    taken = [0] * len(items)
    rows_of: dict[str, list[int]] = {}
    for row, member in enumerate(items.members):
        if member is not None and member in losses:
            rows_of.setdefault(member, []).append(row)
    for member, loss in losses.items():
        from_overpayment = min(loss, state.member_overpayment.get(member, 0))
        if from_overpayment:
            overpaid[member] = from_overpayment
        left = loss - from_overpayment
        for row in reversed(rows_of.get(member, [])):
            taken[row] = min(left, items.amounts[row])
            left -= taken[row]
    return MemberAmounts(tuple(overpaid), tuple(overpaid.values())), take_from_record(items, taken)


# --- Whole payment ---------------------------------------------------------------------------------------------------


def reallocate_payment(
    state: PaymentRecord,
    items: AllocatedItems,
    targets: Sequence[Target],
    facts: TargetFacts,
    *,
    invoices: Collection[str] | None,
    reason: str | None,
    text: str | None = None,
    date: dt.date,
) -> Reallocation:
    """Free all or chosen invoices and allocate the same amount to new targets (PAY-100); not on SELF_BILL.

    `items`: all lines the record holds money on; `facts`: dues as they are now, those lines included.
    """
    freed = items if invoices is None else items.where(invoices=frozenset(invoices))
    problems = []
    if state.known.account_kind is AccountKind.SELF_BILL:
        problems.append(Problem("CAPABILITY_NOT_AVAILABLE", "self-bill payments are not reallocated"))
    problems += _state_problems(state)
    if reason:
        problems += reason_problems(reason, text)
    amount = sum(freed.amounts)
    asked = sum(target.amount for target in targets)
    if not len(freed):
        problems.append(
            Problem("NOTHING_TO_UNALLOCATE", "none of the payment's money is on these invoices", pointer="/invoices")
        )
    elif asked != amount:
        problems.append(
            Problem(
                "REALLOCATION_NOT_EQUAL",
                "the targets must add up to the amount unallocated",
                pointer="/targets",
                params={"unallocated": amount, "asked": asked},
            )
        )
    refuse_if_any(problems)
    open_account, reversed_first = _freed_account(facts.open_account, freed)
    distribution = distribute_to_targets(
        amount, targets, Remainder.KEEP_UNAPPLIED, replace(facts, open_account=open_account), with_unapplied=True
    )
    events: list[object] = [
        *delete_draft(state, Cause.REALLOCATION),
        *move_from_items(state, freed, to=Bucket.UNAPPLIED, cause=Cause.REALLOCATION, date=date, reason=reason),
    ]
    events += allocate(fold(state, events), distribution, cause=Cause.REALLOCATION, date=date, reason=reason)
    events.append(
        PaymentReallocated(
            record=state.known,
            unallocated=amount,
            allocated=distribution.placed,
            cause=Cause.REALLOCATION,
            date=date,
            reason=reason,
        )
    )
    return Reallocation(
        tuple(with_status(state, events, Cause.REALLOCATION, date, reason)),
        (*reversed_first, *distribution.reversed_write_offs),
        distribution.warnings,
    )


def _freed_account(account: OpenAccount, freed: AllocatedItems) -> tuple[OpenAccount, tuple[str, ...]]:
    """The account as it stands once the money is off its lines: dues grown, write-offs of those invoices reversed."""
    dues, write_offs = account.work()
    for invoice in dict.fromkeys(freed.invoices):
        write_offs.reverse_all(invoice)
    rows = {
        (invoice, line): row
        for row, (invoice, line) in enumerate(zip(account.items.invoices, account.items.lines, strict=True))
    }
    columns = zip(freed.invoices, freed.lines, freed.amounts, strict=True)
    dues.raise_due({rows[(invoice, line)]: amount for invoice, line, amount in columns})
    gone = frozenset(write_offs.reversed)
    items: OpenItems = replace(account.items, due=dues.left)
    left = tuple(one for one in account.write_offs if one.write_off not in gone)
    return replace(account, items=items, write_offs=left), tuple(write_offs.reversed)
