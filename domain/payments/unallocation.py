"""Taking money off invoices again: by a user, by a discard, by an excess; and putting it back (PAY-087 to PAY-096).

The old allocation stays in history; each unallocation says from where, to where, why and by what cause. Where the money
goes follows from the account kind and the cause alone (`classification.destination`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from enum import StrEnum

from domain.errors import InvariantError, Problem, refuse_if_any
from domain.payments.classification import AccountKind, Bucket, Category, Cause, Explanation, PaymentStatus, destination
from domain.payments.payment import (
    AllocatedItems,
    InvoiceLines,
    MemberOverpaymentReleased,
    PaymentRecord,
    action_problems,
    all_to_unapplied,
    by_member,
    check_conservation,
    delete_draft,
    explain,
    fold,
    move_between_buckets,
    move_from_items,
    move_overpayment_to_items,
    move_to_items,
    reason_problems,
    with_status,
)


class MemberScope(StrEnum):
    """What of a member is unallocated (PAY-092)."""

    ENTIRE = "ENTIRE"
    OVERPAYMENT_ONLY = "OVERPAYMENT_ONLY"


def unallocatable_problems(
    state: PaymentRecord, reason: str | None, text: str | None, *, whole: bool = False
) -> list[Problem]:
    """Why a user cannot unallocate the record (PAY-089). `whole`: members' unapplied money is moved too (PAY-090)."""
    problems = action_problems(state, "UNALLOCATION")
    allocated = state.status in (PaymentStatus.ALLOCATED, PaymentStatus.PARTIALLY_ALLOCATED)
    free_by_member = whole and state.status is PaymentStatus.UNAPPLIED and state.member_unapplied_total > 0
    if not (allocated or free_by_member):
        problems.append(
            Problem(
                "PAYMENT_NOT_UNALLOCATABLE",
                "nothing of this payment can be unallocated",
                params={"status": state.status},
            )
        )
    if state.locked_by_refund:
        problems.append(Problem("PAYMENT_LOCKED_BY_REFUND", "a refund of this payment is under way"))
    return [*problems, *reason_problems(reason, text)]


def unallocate_payment(
    state: PaymentRecord,
    items: AllocatedItems,
    *,
    invoices: Collection[str] | None,
    reason: str | None,
    text: str | None = None,
    date: dt.date,
) -> list[object]:
    """Bring the whole record, or only its money on the chosen invoices, back to `unapplied` (PAY-090, PAY-093).

    `items`: all lines the record holds money on. On LIST_BILL INDIVIDUAL the caller then lets the rules allocate what
    moved (PAY-091). Raises the refusals of PAY-089 and NOTHING_TO_UNALLOCATE.
    """
    problems = unallocatable_problems(state, reason, text, whole=invoices is None)
    chosen = items if invoices is None else items.where(invoices=frozenset(invoices))
    if invoices is not None and not len(chosen):
        problems.append(
            Problem("NOTHING_TO_UNALLOCATE", "none of the payment's money is on these invoices", pointer="/invoices")
        )
    refuse_if_any(problems)
    if invoices is None:
        moves = all_to_unapplied(state, items, cause=Cause.MANUAL, date=date, reason=reason)
    else:
        moves = move_from_items(state, chosen, to=Bucket.UNAPPLIED, cause=Cause.MANUAL, date=date, reason=reason)
    events = [*delete_draft(state, Cause.MANUAL), *moves]
    events += explain(fold(state, events), Explanation.UNALLOCATED, date)
    return with_status(state, events, Cause.MANUAL, date, reason)


def unallocate_from_members(
    state: PaymentRecord,
    items: AllocatedItems,
    *,
    members: Sequence[str],
    scope: MemberScope,
    reason: str | None,
    text: str | None = None,
    date: dt.date,
) -> list[object]:
    """Bring the payment's money on these members to their `member_unapplied` (customer credit: `unapplied`) (PAY-092).

    Refused, naming each, for members on whom nothing in scope lies; LIST_BILL INDIVIDUAL only.
    """
    problems = []
    if state.known.account_kind is not AccountKind.LIST_BILL_INDIVIDUAL:
        problems.append(Problem("CAPABILITY_NOT_AVAILABLE", "money is not kept by member on this account"))
    problems += unallocatable_problems(state, reason, text)
    chosen = items.where(members=frozenset(members)) if scope is MemberScope.ENTIRE else AllocatedItems()
    holding = {*chosen.members, *state.member_overpayment}
    for index, member in enumerate(members):
        if member not in holding:
            problems.append(
                Problem(
                    "NOTHING_TO_UNALLOCATE",
                    f"nothing of the payment lies on member record {member}",
                    pointer=f"/members/{index}",
                    params={"member_record": member},
                )
            )
    refuse_if_any(problems)
    to = destination(state.known.account_kind, state.known.category, Cause.MANUAL_MEMBERS)
    overpaid = by_member(state.member_overpayment, members)
    events = [
        *delete_draft(state, Cause.MANUAL_MEMBERS),
        *move_from_items(state, chosen, to=to, cause=Cause.MANUAL_MEMBERS, date=date, reason=reason),
        *move_between_buckets(
            state,
            Bucket.MEMBER_OVERPAYMENT,
            to,
            cause=Cause.MANUAL_MEMBERS,
            date=date,
            source_members=overpaid,
            to_members=overpaid,
            reason=reason,
        ),
    ]
    events += explain(fold(state, events), Explanation.UNALLOCATED, date)
    return with_status(state, events, Cause.MANUAL_MEMBERS, date, reason)


def unallocate_discarded(
    state: PaymentRecord, items: AllocatedItems, *, invoice: str, date: dt.date, reason: str | None = None
) -> list[object]:
    """Free the record's money on a discarded invoice (PAY-094, PAY-096).

    Group accounts: to `unapplied`. Member-level accounts: to the members' overpayment, which the caller then walks over
    their other items with `consumption.use_member_money` and `allocate_member_money`.
    """
    to = destination(state.known.account_kind, state.known.category, Cause.INVOICE_DISCARDED)
    freed = items.where(invoices=frozenset((invoice,)))
    events = move_from_items(
        state, freed, to=to, cause=Cause.INVOICE_DISCARDED, date=date, reason=reason, caused_by=invoice
    )
    events += explain(fold(state, events), Explanation.UNALLOCATED, date)
    return with_status(state, events, Cause.INVOICE_DISCARDED, date, reason)


def allocate_member_money(
    state: PaymentRecord,
    members: Sequence[tuple[str, Sequence[InvoiceLines]]],
    *,
    cause: Cause,
    date: dt.date,
) -> list[object]:
    """Move members' overpayment onto their items, as `use_member_money` decided (PAY-081, PAY-082, PAY-096)."""
    events = move_overpayment_to_items(check_conservation(state, thoroughly=True), members, cause=cause, date=date)
    return with_status(state, events, cause, date)


def unallocate_excess(
    state: PaymentRecord,
    items: AllocatedItems,
    *,
    date: dt.date,
    caused_by: str,
    amendment: bool = False,
) -> list[object]:
    """Free what a credit made excessive: `items` are the net amounts that leave each line (BAL-063 to BAL-067).

    `caused_by`: the invoice or transaction of the credit; `amendment`: see BAL-066.
    """
    to = destination(state.known.account_kind, state.known.category, Cause.EXCESS, amendment=amendment)
    events = move_from_items(state, items, to=to, cause=Cause.EXCESS, date=date, caused_by=caused_by)
    events += explain(fold(state, events), Explanation.EXCESSIVE_PAYMENT, date)
    return with_status(state, events, Cause.EXCESS, date)


def return_excess(
    state: PaymentRecord,
    bucket: Bucket,
    lines: Sequence[tuple[str | None, InvoiceLines]],
    *,
    date: dt.date,
) -> list[object]:
    """Allocate freed money back to the items it was freed from (BAL-073, BAL-075): `lines` by member record.

    The money must still be in the bucket it was freed to; a returned allocation counts as new.
    """
    if bucket is Bucket.UNAPPLIED:
        parts = [part for _, part in lines]
        events = move_to_items(state, parts, cause=Cause.EXCESS_RETURNED, date=date)
    elif bucket is Bucket.MEMBER_OVERPAYMENT:
        named = [(member, (part,)) for member, part in lines if member is not None]
        events = move_overpayment_to_items(state, named, cause=Cause.EXCESS_RETURNED, date=date)
    else:
        events = [
            event
            for member, part in lines
            for event in move_to_items(
                state, (part,), cause=Cause.EXCESS_RETURNED, date=date, source=bucket, member=member
            )
        ]
    return with_status(state, events, Cause.EXCESS_RETURNED, date)


def release_member_overpayment(
    state: PaymentRecord, member: str, amount: int, *, date: dt.date, reason: str | None = None
) -> list[object]:
    """Release a member's overpayment to `member_unapplied` or `unapplied` (PAY-082). AMOUNT_EXCEEDS_OVERPAYMENT."""
    held = state.member_overpayment.get(member, 0)
    problems = []
    if amount <= 0:
        problems.append(Problem("AMOUNT_INVALID", "the amount must be above zero", pointer="/amount"))
    if amount > held:
        problems.append(
            Problem(
                "AMOUNT_EXCEEDS_OVERPAYMENT",
                "the member record's overpayment from this payment is smaller",
                pointer="/amount",
                params={"member_overpayment": held},
            )
        )
    refuse_if_any(problems)
    identity = state.known
    individual = identity.account_kind is AccountKind.LIST_BILL_INDIVIDUAL
    to_member = individual and identity.category is not Category.CUSTOMER_CREDIT
    released = MemberOverpaymentReleased(
        record=identity,
        member=member,
        amount=amount,
        to=Bucket.MEMBER_UNAPPLIED if to_member else Bucket.UNAPPLIED,
        date=date,
        reason=reason,
    )
    events: list[object] = [released]
    events += explain(fold(state, events), Explanation.UNALLOCATED, date)
    return with_status(state, events, Cause.MANUAL, date, reason)


def freed_amount(before: PaymentRecord, events: Sequence[object]) -> int:
    """What a command brought to `unapplied`: the amount that PAY-091 lets the rules allocate."""
    return fold(before, events).unapplied - before.unapplied


def take_from_record(items: AllocatedItems, amounts: Sequence[int]) -> AllocatedItems:
    """The lines with other, smaller amounts; rows of amount 0 are left out. Never more than a line holds."""
    rows = [row for row, amount in enumerate(amounts) if amount]
    if any(amounts[row] > items.amounts[row] for row in rows):
        raise InvariantError("more taken off a line than the record holds on it")
    chosen = items.select(rows)
    return AllocatedItems(chosen.invoices, chosen.lines, chosen.members, tuple(amounts[row] for row in rows))
