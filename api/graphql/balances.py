"""The balances of an account and of its members, from the figures of items and buckets as they stand (08)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import strawberry

from api.graphql.context import Context
from api.graphql.scalars import Money, Position, money
from domain.accounts.bill_type import AllocationMode, BillType
from domain.balances.balances import (
    Buckets,
    account_balance,
    account_balance_with_anyb,
    contradictions,
    due_and_unpaid,
    member_balance,
)
from domain.errors import refuse
from domain.payments.classification import AccountKind, account_kind
from projections.register.reads import account_rows


@strawberry.type(description="What an account owes and has (BAL-013 to BAL-018).")
class AccountBalances:
    due_and_unpaid: Money = strawberry.field(description="Remaining due less open credit of its live invoices.")
    remaining_due: Money = strawberry.field(description="What is collectible on positive items.")
    open_credit: Money = strawberry.field(description="Credit of negative items that was not used.")
    total_billed: Money = strawberry.field(description="Signed sum of all items of live invoices.")
    total_paid: Money = strawberry.field(description="Money on items.")
    written_off: Money = strawberry.field(description="Written off on items.")
    unapplied: Money = strawberry.field(description="Money on no invoice and no member.")
    member_unapplied: Money = strawberry.field(description="Money of members on no item.")
    member_overpayment: Money = strawberry.field(description="Money of members above what they owe.")
    suspense: Money = strawberry.field(description="Unapplied and member unapplied (BAL-035).")
    anyb: Money = strawberry.field(description="Amendments not yet billed.")
    account_balance: Money = strawberry.field(description="Due and unpaid less the money kept for it (BAL-016).")
    account_balance_with_anyb: Money = strawberry.field(description="The same with what is not billed yet (BAL-017).")
    calculated_at: dt.datetime = strawberry.field(description="When the last change of a figure was recorded.")
    position: Position = strawberry.field(description="The position of that change.")


async def account_row(context: Context, account: str) -> dict[str, Any]:
    """One of them, loaded together with those that other fields ask for."""
    row = await context.batched("account", lambda accounts: account_rows(context.reads, accounts), account)
    assert row is not None
    return row


def kind_of(row: dict[str, Any]) -> AccountKind | None:
    """The account kind of a row; None before it has a bill type."""
    if row["bill_type"] is None:
        return None
    mode = None if row["allocation_mode"] is None else AllocationMode(row["allocation_mode"])
    return account_kind(BillType(row["bill_type"]), mode)


def figures_of(row: dict[str, Any]) -> tuple[int, int]:
    """Due and unpaid, and the balance, of a row of the register: an account, or several of one kind and currency."""
    buckets = Buckets(row["unapplied"], row["member_unapplied"], row["member_overpayment"])
    due = due_and_unpaid(row["remaining_due"], row["open_credit"])
    kind = kind_of(row)
    return due, due - buckets.unapplied if kind is None else account_balance(kind, due, buckets)


def balances_of(context: Context, row: dict[str, Any]) -> AccountBalances:
    """The balances of a row of the register. Refuses DATA_INCOMPLETE, and has somebody told, when its figures do not
    fit together (INV-243)."""
    currency = row["currency"]
    buckets = Buckets(row["unapplied"], row["member_unapplied"], row["member_overpayment"])
    wrong = contradictions(
        remaining_due=row["remaining_due"],
        open_credit=row["open_credit"],
        total_billed=row["total_billed"],
        total_paid=row["total_paid"],
        written_off=row["written_off"],
        buckets=buckets,
    )
    if wrong:
        context.incomplete.add(row["account"])
        raise refuse("DATA_INCOMPLETE", "the stored figures do not fit together", entity=row["account"], figures=wrong)
    due, balance = figures_of(row)
    return AccountBalances(
        due_and_unpaid=money(due, currency),
        remaining_due=money(row["remaining_due"], currency),
        open_credit=money(row["open_credit"], currency),
        total_billed=money(row["total_billed"], currency),
        total_paid=money(row["total_paid"], currency),
        written_off=money(row["written_off"], currency),
        unapplied=money(row["unapplied"], currency),
        member_unapplied=money(row["member_unapplied"], currency),
        member_overpayment=money(row["member_overpayment"], currency),
        suspense=money(buckets.suspense, currency),
        anyb=money(row["anyb"], currency),
        account_balance=money(balance, currency),
        account_balance_with_anyb=money(account_balance_with_anyb(balance, row["anyb"]), currency),
        calculated_at=row["changed_at"],
        position=row["position"],
    )


@strawberry.type(description="What one member record owes and has on an account (BAL-020).")
class MemberBalances:
    account: str = strawberry.field(description="The account.")
    member_record: str = strawberry.field(description="The member record.")
    due_and_unpaid: Money = strawberry.field(description="Remaining due less open credit of the member's items.")
    billed: Money = strawberry.field(description="Signed sum of the member's items on live invoices.")
    paid: Money = strawberry.field(description="Money on the member's items.")
    anyb: Money = strawberry.field(description="Amendments not yet billed.")
    member_unapplied: Money = strawberry.field(description="The member's money on no item.")
    member_overpayment: Money = strawberry.field(description="The member's money above what is owed.")
    member_balance: Money = strawberry.field(description="Due and unpaid less the member's money.")


def member_balances_of(row: dict[str, Any]) -> MemberBalances:
    """The balances of a row of `MEMBER_BALANCES`."""
    currency = row["currency"]
    buckets = Buckets(0, row["member_unapplied"], row["member_overpayment"])
    return MemberBalances(
        account=row["account"],
        member_record=row["member"],
        due_and_unpaid=money(row["due"], currency),
        billed=money(row["billed"], currency),
        paid=money(row["paid"], currency),
        anyb=money(row["anyb"], currency),
        member_unapplied=money(row["member_unapplied"], currency),
        member_overpayment=money(row["member_overpayment"], currency),
        member_balance=money(member_balance(row["due"], buckets), currency),
    )
