"""The balances of an account and of its members, from the figures of items and buckets as they stand (08).

Those of an account are also told as of a pair of dates: effective, and recorded.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import strawberry

from api.graphql.context import Context
from api.graphql.scalars import Money, Position, money
from domain.accounts.bill_type import AllocationMode, BillType
from domain.balances.balances import (
    Buckets,
    DueFigures,
    InvoicePosition,
    account_balance,
    account_balance_with_anyb,
    contradictions,
    due_and_unpaid,
    due_figures,
    member_balance,
)
from domain.errors import refuse
from domain.ledger.past_balances import BALANCE_CODES, ControlBalance, past_balances
from domain.members.events import MemberAnybChanged
from domain.members.record import MEMBER_RECORD
from domain.payments.classification import AccountKind, account_kind
from projections.ledger.reads import controls_as_of
from projections.register.reads import account_rows, dues_of_accounts, invoices_named, members_ever_on


@strawberry.type(description="What an account owes and has (BAL-013 to BAL-018, BAL-031 to BAL-036).")
class AccountBalances:
    account: str = strawberry.field(description="The account.")
    currency: str = strawberry.field(description="ISO 4217 code of all its figures.")
    due_and_unpaid: Money = strawberry.field(description="Remaining due less open credit of its live invoices.")
    total_due: Money = strawberry.field(description="The same figure by its name in statements (BAL-036).")
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
    as_of_effective: dt.date = strawberry.field(description="The last effective date of the events that count.")
    as_of_recorded: dt.datetime = strawberry.field(description="The instant by which they were recorded (BAL-001).")
    calculated_at: dt.datetime = strawberry.field(description="When the last change of a figure was recorded.")
    position: Position = strawberry.field(description="The position of that change.")
    # The live invoices on a past day; None: those of today, read when a figure of theirs is asked for.
    past_invoices: strawberry.Private[Sequence[InvoicePosition] | None] = None
    overpayment: strawberry.Private[int] = 0

    @strawberry.field(
        description="What must be paid at least: of older invoices what remains, of the newest what was fixed at its"
        " issue and is not paid yet (BAL-031, BAL-032)."
    )
    async def minimum_due(self, info: strawberry.Info) -> Money:
        return money((await self._dues(info.context)).minimum_due, self.currency)

    @strawberry.field(description="The part of it whose due date lies before the as-of day (BAL-033).")
    async def past_due(self, info: strawberry.Info) -> Money:
        return money((await self._dues(info.context)).past_due, self.currency)

    @strawberry.field(
        description="Money on invoices that are due after the as-of day, and member overpayment (BAL-034)."
    )
    async def prepaid(self, info: strawberry.Info) -> Money:
        return money((await self._dues(info.context)).prepaid, self.currency)

    async def _dues(self, context: Context) -> DueFigures:
        invoices = self.past_invoices
        if invoices is None:
            rows = await context.batched(
                "dues", lambda accounts: dues_of_accounts(context.reads, accounts), self.account
            )
            invoices = [invoice_position(row, row) for row in rows or ()]
        return due_figures(invoices, self.as_of_effective, self.overpayment)


def invoice_position(invoice: Mapping[str, Any], due: Mapping[str, Any]) -> InvoicePosition:
    """An invoice with what is due on it. decision: all that remains is due at least, as FULL has it (BAL-031)."""
    remaining = due["remaining_due"]
    return InvoicePosition(
        number=invoice["invoice"],
        period_start=invoice["period_start"],
        issue_position=invoice["position"],
        due_date=invoice["due_date"],
        remaining_due=remaining,
        remaining_due_at_issue=remaining,
        minimum_current=remaining,
        open_credit=due["open_credit"],
        paid=due["paid"],
    )


async def account_row(context: Context, account: str) -> dict[str, Any]:
    """One of them, loaded together with those that other fields ask for."""
    row = await context.batched("account", lambda accounts: account_rows(context.reads, accounts), account)
    assert row is not None
    return row


def kind_of(row: Mapping[str, Any]) -> AccountKind | None:
    """The account kind of a row; None before it has a bill type."""
    if row["bill_type"] is None:
        return None
    mode = None if row["allocation_mode"] is None else AllocationMode(row["allocation_mode"])
    return account_kind(BillType(row["bill_type"]), mode)


def figures_of(row: Mapping[str, Any]) -> tuple[int, int]:
    """Due and unpaid, and the balance, of a row of the register: an account, or several of one kind and currency."""
    buckets = Buckets(row["unapplied"], row["member_unapplied"], row["member_overpayment"])
    due = due_and_unpaid(row["remaining_due"], row["open_credit"])
    kind = kind_of(row)
    return due, due - buckets.unapplied if kind is None else account_balance(kind, due, buckets)


def balances_of(context: Context, row: Mapping[str, Any]) -> AccountBalances:
    """The present balances of a row of the register. Refuses DATA_INCOMPLETE, and has somebody told, when its figures
    do not fit together (INV-243)."""
    return _balances(context, row, row, context.today(row["time_zone"]), context.session.as_of)


def balances_as_of(
    context: Context, row: Mapping[str, Any], on: dt.date | None, as_of: dt.datetime | None
) -> AccountBalances:
    """The balances of an account as they were for a pair of dates, out of the journal (BAL-001).

    Counts what is effective on or before `on`, today unless told, and was recorded by `as_of`, which is included. The
    journal's control accounts hold the figures of the register to the cent (LED-049), and every one of their movements
    with its dates.

    decision: the effective date of an invoice and of an unbilled amount is here the day they were made, as in BAL-104:
    an invoice issued ahead is owed from its issue on, whatever period it is for.
    """
    account = row["account"]
    day = on or context.today(row["time_zone"])
    known = min(as_of or context.session.as_of, context.session.as_of)
    found = controls_as_of(context.reads, account, BALANCE_CODES, day, as_of, row["time_zone"])
    past = past_balances(ControlBalance(one["invoice"], one["code"], one["balance"], one["paid"]) for one in found)
    end_of_day = dt.datetime.combine(day, dt.time(), ZoneInfo(row["time_zone"])) + dt.timedelta(days=1)
    members = [MEMBER_RECORD.stream(member) for member in members_ever_on(context.reads, account)]
    figures = {
        "remaining_due": past.remaining_due,
        "open_credit": past.open_credit,
        "total_billed": past.total_billed,
        "total_paid": past.total_paid,
        "written_off": past.written_off,
        "unapplied": past.buckets.unapplied,
        "member_unapplied": past.buckets.member_unapplied,
        "member_overpayment": past.buckets.member_overpayment,
        "anyb": context.history.last_totals(members, MemberAnybChanged, account, end_of_day, as_of),
        "changed_at": max((one["recorded_at"] for one in found), default=known),
        "position": max((one["position"] for one in found), default=0),
    }
    answer = _balances(context, row, figures, day, known)
    answer.past_invoices = [
        invoice_position(invoice, past.invoices[invoice["invoice"]]._asdict())
        for invoice in invoices_named(context.reads, list(past.invoices))
    ]
    return answer


def _balances(
    context: Context, row: Mapping[str, Any], figures: Mapping[str, Any], on: dt.date, as_of: dt.datetime
) -> AccountBalances:
    account, currency = row["account"], row["currency"]
    buckets = Buckets(figures["unapplied"], figures["member_unapplied"], figures["member_overpayment"])
    wrong = contradictions(
        remaining_due=figures["remaining_due"],
        open_credit=figures["open_credit"],
        total_billed=figures["total_billed"],
        total_paid=figures["total_paid"],
        written_off=figures["written_off"],
        buckets=buckets,
    )
    if wrong:
        context.incomplete.add(account)
        raise refuse("DATA_INCOMPLETE", "the stored figures do not fit together", entity=account, figures=wrong)
    due, balance = figures_of({**row, **figures})
    return AccountBalances(
        account=account,
        currency=currency,
        due_and_unpaid=money(due, currency),
        total_due=money(due, currency),
        remaining_due=money(figures["remaining_due"], currency),
        open_credit=money(figures["open_credit"], currency),
        total_billed=money(figures["total_billed"], currency),
        total_paid=money(figures["total_paid"], currency),
        written_off=money(figures["written_off"], currency),
        unapplied=money(buckets.unapplied, currency),
        member_unapplied=money(buckets.member_unapplied, currency),
        member_overpayment=money(buckets.member_overpayment, currency),
        suspense=money(buckets.suspense, currency),
        anyb=money(figures["anyb"], currency),
        account_balance=money(balance, currency),
        account_balance_with_anyb=money(account_balance_with_anyb(balance, figures["anyb"]), currency),
        as_of_effective=on,
        as_of_recorded=as_of,
        calculated_at=figures["changed_at"],
        position=figures["position"],
        overpayment=buckets.member_overpayment,
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
