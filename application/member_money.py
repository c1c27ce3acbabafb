"""Money of members on accounts that keep it by member: unapplied from items, reallocated, and overpayment put to use.

Each command acts on payment records of a LIST_BILL account with individual allocation (overpayment also on individual
direct ones); the rules are those of domain.payments, what follows on the account is settled as for any other payment.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from application.command import AmountText, Command, Identifier, Outcome, Part, command, handles
from application.payments import (
    FreeText,
    ReasonCode,
    Stated,
    account_named,
    allocated_items,
    configuration_of,
    kind_of,
    load_record,
    minor,
    open_account,
    records_result,
)
from application.register import ItemRegister, Placements
from application.settlement import settle
from application.unit_of_work import UnitOfWork
from domain.accounts.account import Account
from domain.errors import Problem, refuse, refuse_if_any
from domain.money import format_amount
from domain.payments.classification import Category, Cause
from domain.payments.consumption import Consumable, use_member_money
from domain.payments.manual_allocation import Scope
from domain.payments.payment import PAYMENT
from domain.payments.reallocation import reallocate_members
from domain.payments.unallocation import (
    MemberScope,
    allocate_member_money,
    release_member_overpayment,
    unallocate_from_members,
)


@command(
    privilege="payment.unallocate",
    room="07",
    summary="Take a payment's money off members, into what is kept for each of them",
    rules=("PAY-087", "PAY-089", "PAY-092"),
    refusals=(
        "PAYMENT_NOT_FOUND",
        "PAYMENT_NOT_UNALLOCATABLE",
        "NOTHING_TO_UNALLOCATE",
        "PAYMENT_LOCKED_BY_REFUND",
        "CAPABILITY_NOT_AVAILABLE",
        "REASON_REQUIRED",
        "CONFIRMATION_REQUIRED",
        "CONCURRENT_CHANGE",
    ),
    example={
        "record": "PAY-00000001",
        "members": ["MR-1001"],
        "scope": "OVERPAYMENT_ONLY",
        "reason": "MISAPPLIED",
        "confirmed": True,
    },
)
class UnallocateFromMembers(Command):
    """`scope` ENTIRE: items and overpayment of the payment on the members; OVERPAYMENT_ONLY: the overpayment."""

    record: Identifier
    members: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=1000)]
    scope: MemberScope = MemberScope.ENTIRE
    reason: ReasonCode | None = None
    text: FreeText | None = None
    confirmed: bool = False


class MemberTotalPart(Part):
    """What the payment shall hold on a member record from now on, items and overpayment together."""

    member_record: Identifier
    amount: AmountText


@command(
    privilege="payment.reallocate",
    room="07",
    summary="Give a payment's money on members new totals",
    rules=("PAY-097", "PAY-098", "PAY-099"),
    refusals=(
        "PAYMENT_NOT_FOUND",
        "PAYMENT_NOT_REALLOCATABLE",
        "PAYMENT_LOCKED_BY_REFUND",
        "CAPABILITY_NOT_AVAILABLE",
        "AMOUNT_INVALID",
        "AMOUNT_NEGATIVE",
        "REALLOCATION_ALL_ZERO",
        "REALLOCATION_EXCEEDS_ALLOCATED",
        "REMAINDER_CONFIRMATION_REQUIRED",
        "MEMBER_RECORD_NOT_FOUND",
        "PAYMENT_STATUS_CHANGED",
        "CONCURRENT_CHANGE",
    ),
    example={
        "record": "PAY-00000001",
        "targets": [
            {"member_record": "MR-1001", "amount": "50.00"},
            {"member_record": "MR-1002", "amount": "150.00"},
        ],
    },
)
class ReallocateMembers(Command):
    """Records that are not named keep what they have; what the totals leave over becomes unapplied when
    `confirm_remainder` says so."""

    record: Identifier
    targets: Annotated[tuple[MemberTotalPart, ...], Field(min_length=1, max_length=1000)]
    confirm_remainder: bool = False
    reason: ReasonCode | None = None


@command(
    privilege="payment.apply",
    room="07",
    summary="Let a member's overpayment pay the member's items",
    rules=("PAY-081", "PAY-082"),
    refusals=("BILLING_ACCOUNT_NOT_FOUND", "AMOUNT_INVALID", "AMOUNT_EXCEEDS_OVERPAYMENT", "CAPABILITY_NOT_AVAILABLE"),
    example={"account": "LB000000018", "member_record": "MR-1001", "amount": "50.00"},
)
class AllocateMemberOverpayment(Command):
    """Oldest invoice first, up to the amount; without an amount as far as the overpayment reaches."""

    account: Identifier
    member_record: Identifier
    amount: AmountText | None = None


@command(
    privilege="payment.unallocate",
    room="07",
    summary="Release a member's overpayment of a payment",
    rules=("PAY-082",),
    refusals=(
        "PAYMENT_NOT_FOUND",
        "AMOUNT_INVALID",
        "AMOUNT_EXCEEDS_OVERPAYMENT",
        "PAYMENT_LOCKED_BY_REFUND",
        "CONCURRENT_CHANGE",
    ),
    example={"record": "PAY-00000001", "member_record": "MR-1001", "amount": "50.00"},
)
class ReleaseMemberOverpayment(Command):
    """To what is kept for the member; on an individual direct account, and of a customer credit, to unapplied."""

    record: Identifier
    member_record: Identifier
    amount: AmountText
    reason: ReasonCode | None = None


@handles(UnallocateFromMembers)
def unallocate_members(command: UnallocateFromMembers, unit: UnitOfWork) -> Outcome:
    record, account = load_record(unit, command.record)
    today = unit.today(account.state.time_zone)
    items = allocated_items(unit.port(ItemRegister).allocations_of(record.identifier))
    members = tuple(dict.fromkeys(command.members))
    events = unallocate_from_members(
        record.state,
        items,
        members=members,
        scope=command.scope,
        reason=command.reason,
        text=command.text,
        date=today,
    )
    if not command.confirmed:
        unit.require_confirmation("UNALLOCATION", "the members' money is taken off them")
    left = set(items.where(members=frozenset(members)).invoices) if command.scope is MemberScope.ENTIRE else set()
    record = unit.append(PAYMENT, record.identifier, events, effective_date=today)
    settle(unit, account.identifier, left, "PAYMENT_UNALLOCATED")
    return records_result(record.state.known.payment_number, [record])


@handles(ReallocateMembers)
def reallocate_to_members(command: ReallocateMembers, unit: UnitOfWork) -> Outcome:
    record, account = load_record(unit, command.record, "PAYMENT_STATUS_CHANGED")
    today = unit.today(account.state.time_zone)
    stated = Stated(account.state.currency)
    targets = {
        part.member_record: stated.minor(part.amount, f"/targets/{index}/amount")
        for index, part in enumerate(command.targets)
    }
    refuse_if_any([*stated.problems, *_unknown_members(unit, account.state, command)])
    items = allocated_items(unit.port(ItemRegister).allocations_of(record.identifier))
    touched = set(record.state.items)
    decided = reallocate_members(
        record.state,
        items,
        targets,
        open_account(unit, account.state, sorted(touched)),
        confirm_remainder=command.confirm_remainder,
        reason=command.reason,
        date=today,
    )
    if decided.events:
        record = unit.append(PAYMENT, record.identifier, decided.events, effective_date=today)
        settle(unit, account.identifier, touched | set(record.state.items), "PAYMENT_REALLOCATED")
    answer = records_result(record.state.known.payment_number, [record])
    return Outcome(answer.result, decided.warnings)


def _unknown_members(unit: UnitOfWork, account: Account, command: ReallocateMembers) -> list[Problem]:
    known = unit.port(Placements).ever_on(account.number, [part.member_record for part in command.targets])
    seen: set[str] = set()
    problems = []
    for index, part in enumerate(command.targets):
        where = f"/targets/{index}/member_record"
        if part.member_record not in known:
            problems.append(
                Problem("MEMBER_RECORD_NOT_FOUND", "there is no such member record on the account", pointer=where)
            )
        if part.member_record in seen:
            problems.append(Problem("REQUEST_INVALID", "a member record is named once", pointer=where))
        seen.add(part.member_record)
    return problems


@handles(AllocateMemberOverpayment)
def allocate_overpayment(command: AllocateMemberOverpayment, unit: UnitOfWork) -> Outcome:
    account = account_named(unit, command.account)
    state, today = account.state, unit.today(account.state.time_zone)
    if not kind_of(state).member_level:
        raise refuse("CAPABILITY_NOT_AVAILABLE", "money is not kept by member on this account", pointer="/account")
    holdings = [
        Consumable(row.record, row.payment, Category(row.category), row.effective_date, row.amount, row.member)
        for row in unit.port(ItemRegister).overpayments(state.number)
        if row.member == command.member_record
    ]
    held = sum(one.amount for one in holdings)
    amount = held if command.amount is None else minor(command.amount, state.currency, "/amount")
    if command.amount is not None and amount <= 0:
        raise refuse("AMOUNT_INVALID", "the amount must be above zero", pointer="/amount")
    if amount > held or not held:
        raise refuse(
            "AMOUNT_EXCEEDS_OVERPAYMENT",
            "the member record has no overpayment of this size",
            pointer="/amount",
            member_overpayment=held,
        )
    order = configuration_of(unit, state).category_order
    own = open_account(unit, state, within=Scope((), (command.member_record,)))
    used = use_member_money(holdings, own, category_order=order, limit=amount)
    touched: set[str] = set()
    paid = 0
    for identifier, lines_of_members in used.by_record:
        record = unit.load(PAYMENT, identifier)
        events = allocate_member_money(record.state, lines_of_members, cause=Cause.OVERPAYMENT, date=today)
        unit.append(PAYMENT, identifier, events, effective_date=today)
        for _, lines in lines_of_members:
            touched |= {part.invoice for part in lines}
            paid += sum(part.total for part in lines)
    settle(unit, state.number, touched, "PAYMENT_ALLOCATED")
    return Outcome(
        {
            "account": state.number,
            "member_record": command.member_record,
            "allocated": format_amount(paid, state.currency),
            "member_overpayment": format_amount(held - paid, state.currency),
            "currency": state.currency,
        }
    )


@handles(ReleaseMemberOverpayment)
def release_overpayment(command: ReleaseMemberOverpayment, unit: UnitOfWork) -> Outcome:
    record, account = load_record(unit, command.record)
    today = unit.today(account.state.time_zone)
    amount = minor(command.amount, account.state.currency, "/amount")
    if record.state.locked_by_refund:
        raise refuse("PAYMENT_LOCKED_BY_REFUND", "a refund of this payment is under way", pointer="/record")
    events = release_member_overpayment(record.state, command.member_record, amount, date=today, reason=command.reason)
    record = unit.append(PAYMENT, record.identifier, events, effective_date=today)
    settle(unit, account.identifier, (), "PAYMENT_UNALLOCATED")
    return records_result(record.state.known.payment_number, [record])
