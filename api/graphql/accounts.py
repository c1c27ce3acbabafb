"""Billing accounts: master data, schedule, holds; from each account its balances, invoices, payments and history."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import Annotated, Any

import strawberry

from api.graphql.balances import (
    AccountBalances,
    MemberBalances,
    account_row,
    balances_as_of,
    balances_of,
    member_balances_of,
)
from api.graphql.context import Context
from api.graphql.events import EffectiveFrom, EffectiveTo, Event, stream_history
from api.graphql.guard import needs, read
from api.graphql.invoices import Invoice, invoices_of, recent_invoices
from api.graphql.paging import DEFAULT_PAGE, After, Connection, First, page
from api.graphql.payments import PaymentRecord, payments_of
from api.graphql.scalars import Money, Position, money
from application.anyb_times import latest
from application.query_trail import DataClass
from application.register import Directory
from domain.accounts.account import ACCOUNT
from domain.accounts.account import Account as AccountState
from domain.accounts.holds import Hold as HoldState
from domain.accounts.views import account_tags
from domain.errors import refuse
from projections.register.reads import (
    ACCOUNT_ANYB,
    ACCOUNTS,
    MEMBER_BALANCES,
    account_rows,
    anyb_changed_at,
    held_members,
)


@strawberry.type(description="A hold on an account.")
class Hold:
    hold_id: str = strawberry.field(description="Its id.")
    type: str = strawberry.field(description="What it holds up.")
    reason: str = strawberry.field(description="Why.")
    effective: dt.date = strawberry.field(description="The first day.")
    expiration: dt.date | None = strawberry.field(description="The first day it no longer holds; null: open.")
    status: str = strawberry.field(description="Today's status in the account's time zone.")


@strawberry.type(description="When an account is billed.")
class InvoicingSchedule:
    frequency: str | None = strawberry.field(description="How often.")
    due_day_mode: str | None = strawberry.field(description="How the due day is found.")
    due_days: list[int] = strawberry.field(description="The due days.")
    day_offset: int = strawberry.field(description="Days added to the due day, signed.")
    timing: str = strawberry.field(description="Whether it is billed in advance, on time or in arrears.")
    due_date_offset: int = strawberry.field(description="Periods added to the due date.")
    generation_option: str | None = strawberry.field(description="How the day of generation is found.")
    generation_units: int | None = strawberry.field(description="Lead time; null: the calendar's rule.")
    generation_unit: str = strawberry.field(description="The unit of the lead time.")
    generation_day: int | None = strawberry.field(description="The day of the month of generation, where it has one.")
    generation_month_offset: int = strawberry.field(description="Months from that day to the due date.")
    generation_window: int = strawberry.field(description="How long behind that day generation is not late.")
    generation_window_unit: str = strawberry.field(description="The unit of the window.")
    generation_retry_count: int = strawberry.field(description="How often a failed generation is tried again.")
    generation_retry_interval: int = strawberry.field(description="Minutes between two of these attempts.")
    draft_automation: bool = strawberry.field(description="Whether draft bills are made by themselves.")
    draft_offset_days: int = strawberry.field(description="Days from the draft to the generation.")
    advanced_mode: bool = strawberry.field(description="Whether more than frequency and due day may be set.")
    seasonal_billing: bool = strawberry.field(description="Whether there are months without bills.")
    seasonal_gaps: list[int] = strawberry.field(description="Months without bills.")
    version: int = strawberry.field(description="How often it was changed.")
    invoicing_start: dt.date | None = strawberry.field(description="The invoicing start date.")


@strawberry.type(description="How and where invoices are delivered.")
class InvoicePreferences:
    document_format: str
    content_type: str
    delivery_method: str
    consolidated_statement: bool
    bill_by: list[str]


@strawberry.type(description="The ANYB of a member record on an account (PRM-123).")
class MemberAnybTotal:
    member_record: str = strawberry.field(description="The member record.")
    total: Money = strawberry.field(description="Amendments not yet billed.")
    calculated_at: dt.datetime = strawberry.field(description="When it was last worked out.")


@strawberry.type(description="The ANYB of an account: its members with a figure other than 0 (PRM-126).")
class AccountAnyb:
    account: str = strawberry.field(description="The account.")
    total: Money = strawberry.field(description="The sum.")
    calculated_at: dt.datetime | None = strawberry.field(description="When it was last worked out; null: never.")
    members: Connection[MemberAnybTotal] = strawberry.field(description="The members, by record number.")
    held_members: int = strawberry.field(description="Members on the account with an undecided roll-on.")


@strawberry.type(description="A billing account.")
class BillingAccount:
    number: strawberry.ID = strawberry.field(description="The account number.")
    owner: str = strawberry.field(description="The customer who owns it.")
    currency: str = strawberry.field(description="ISO 4217 code.")
    time_zone: str = strawberry.field(description="The zone its civil days are taken in.")
    status: str = strawberry.field(description="DRAFT, ACTIVE, CLOSED ...")
    bill_type: str | None = strawberry.field(description="The bill type, once a set-up gave it one.")
    allocation_mode: str | None = strawberry.field(description="TRUE_GROUP or INDIVIDUAL.")
    calendar: str | None = strawberry.field(description="Its business calendar.")

    @strawberry.field(description="Its name.")
    async def name(self, info: strawberry.Info) -> str:
        state = await self._state(info.context)
        if state.owner_is_individual:
            info.context.tell(ACCOUNT.stream(str(self.number)), DataClass.IDENTITY)
        return state.name

    @strawberry.field(description="Its number in an older system.")
    async def legacy_number(self, info: strawberry.Info) -> str | None:
        return (await self._state(info.context)).legacy_number

    @strawberry.field(description="Who pays, if not the owner.")
    async def payor(self, info: strawberry.Info) -> str | None:
        return (await self._state(info.context)).payor

    @strawberry.field(description="Its tags, in the order of the account home.")
    async def tags(self, info: strawberry.Info) -> list[str]:
        state = await self._state(info.context)
        return list(account_tags(state, info.context.today(state.time_zone)))

    @strawberry.field(description="When it is billed.")
    async def schedule(self, info: strawberry.Info) -> InvoicingSchedule | None:
        return schedule_of(await self._state(info.context))

    @strawberry.field(description="How its invoices are delivered.")
    async def preferences(self, info: strawberry.Info) -> InvoicePreferences:
        preferences = asdict((await self._state(info.context)).preferences)
        return InvoicePreferences(**{**preferences, "bill_by": list(preferences["bill_by"])})

    @strawberry.field(description="The master policies billed to it.")
    async def master_policies(self, info: strawberry.Info) -> list[str]:
        return list((await self._state(info.context)).master_policies)

    @strawberry.field(description="The set-ups that name it.")
    async def setups(self, info: strawberry.Info) -> list[str]:
        return list((await self._state(info.context)).setups)

    @strawberry.field(description="The next payment due date.")
    async def next_payment_due_date(self, info: strawberry.Info) -> dt.date | None:
        return (await self._state(info.context)).next_payment_due_date

    @strawberry.field(description="The position of its stream, for `expected_version`.")
    async def version(self, info: strawberry.Info) -> int:
        loaded = await info.context.state_of(ACCOUNT, str(self.number))
        return 0 if loaded is None else int(loaded.version)

    @strawberry.field(
        description="Its holds, past and future ones too. Needs `hold.view`.", permission_classes=[needs("hold.view")]
    )
    async def holds(self, info: strawberry.Info) -> list[Hold]:
        state = await self._state(info.context)
        return [_hold(hold, info.context.today(state.time_zone)) for hold in state.holds]

    @strawberry.field(
        description="What it owes and has. Needs `balance.view`.", permission_classes=[needs("balance.view")]
    )
    async def balances(self, info: strawberry.Info) -> AccountBalances:
        return balances_of(info.context, await account_row(info.context, str(self.number)))

    @strawberry.field(
        description="Its invoices, by period and time of issue. Needs `invoice.view`.",
        permission_classes=[needs("invoice.view")],
    )
    def invoices(
        self,
        info: strawberry.Info,
        first: First = DEFAULT_PAGE,
        after: After = None,
        newest_first: bool | None = None,
        live: bool | None = None,
        status: str | None = None,
    ) -> Connection[Invoice]:
        return invoices_of(
            info.context, str(self.number), first, after, newest_first=newest_first, live=live, status=status
        )

    @strawberry.field(
        description="Its newest invoices, newest first, as many as `invoicing.recent_invoices` says. Needs"
        " `invoice.view`.",
        permission_classes=[needs("invoice.view")],
    )
    def recent_invoices(self, info: strawberry.Info) -> list[Invoice]:
        return recent_invoices(info.context, str(self.number))

    @strawberry.field(
        description="Its payment records, newest first. Needs `payment.view`.",
        permission_classes=[needs("payment.view")],
    )
    def payments(
        self, info: strawberry.Info, first: First = DEFAULT_PAGE, after: After = None, status: str | None = None
    ) -> Connection[PaymentRecord]:
        return payments_of(info.context, str(self.number), first, after, status=status)

    @strawberry.field(
        description="What its members owe and have, by record number. Needs `balance.view`.",
        permission_classes=[needs("balance.view")],
    )
    def member_balances(
        self, info: strawberry.Info, first: First = DEFAULT_PAGE, after: After = None, member: str | None = None
    ) -> Connection[MemberBalances]:
        return member_balances(info.context, str(self.number), first, after, member)

    @strawberry.field(
        description="Amendments not yet billed. Needs `anyb.view`.", permission_classes=[needs("anyb.view")]
    )
    def anyb(self, info: strawberry.Info, first: First = DEFAULT_PAGE, after: After = None) -> AccountAnyb:
        return anyb_of(info.context, str(self.number), self.currency, first, after)

    @strawberry.field(description="What happened to it, in order; `asOf` limits it to what was recorded by then.")
    def history(
        self,
        info: strawberry.Info,
        first: First = DEFAULT_PAGE,
        after: After = None,
        as_of: dt.datetime | None = None,
        date_from: EffectiveFrom = None,
        date_to: EffectiveTo = None,
    ) -> Connection[Event]:
        return stream_history(
            info.context, [ACCOUNT.stream(str(self.number))], first, after, as_of, date_from=date_from, date_to=date_to
        )

    async def _state(self, context: Context) -> AccountState:
        loaded = await context.state_of(ACCOUNT, str(self.number))
        assert loaded is not None
        return loaded.state


def account_of(row: dict[str, Any]) -> BillingAccount:
    """The account of a row of the register."""
    return BillingAccount(
        number=strawberry.ID(row["account"]),
        owner=row["owner"],
        currency=row["currency"],
        time_zone=row["time_zone"],
        status=row["status"],
        bill_type=row["bill_type"],
        allocation_mode=row["allocation_mode"],
        calendar=row["calendar"],
    )


def _hold(hold: HoldState, today: dt.date) -> Hold:
    return Hold(
        hold_id=hold.hold_id,
        type=str(hold.type),
        reason=hold.reason,
        effective=hold.effective,
        expiration=hold.expiration,
        status=str(hold.status_on(today)),
    )


def schedule_of(state: AccountState) -> InvoicingSchedule | None:
    """The schedule of an account; None when it has none."""
    schedule = state.schedule
    if schedule is None:
        return None

    def text(value: object) -> str | None:
        return None if value is None else str(value)

    return InvoicingSchedule(
        frequency=text(schedule.frequency),
        due_day_mode=text(schedule.due_day_mode),
        due_days=list(schedule.due_days),
        day_offset=schedule.day_offset,
        timing=str(schedule.timing),
        due_date_offset=schedule.due_date_offset,
        generation_option=text(schedule.generation_option),
        generation_units=schedule.generation_units,
        generation_unit=str(schedule.generation_unit),
        generation_day=schedule.generation_day,
        generation_month_offset=schedule.generation_month_offset,
        generation_window=schedule.generation_window,
        generation_window_unit=str(schedule.generation_window_unit),
        generation_retry_count=schedule.generation_retry_count,
        generation_retry_interval=schedule.generation_retry_interval,
        draft_automation=schedule.draft_automation,
        draft_offset_days=schedule.draft_offset_days,
        advanced_mode=schedule.advanced_mode,
        seasonal_billing=schedule.seasonal_billing,
        seasonal_gaps=list(state.seasonal_gaps),
        version=state.schedule_version,
        invoicing_start=state.invoicing_start,
    )


def resolve_account(context: Context, number: str) -> str | None:
    """The account with this number or legacy number (ACC-014)."""
    found: str | None = context.port(Directory).resolve_account(number)
    return found


def require_account(context: Context, number: str) -> str:
    """The account with this number. Raises BILLING_ACCOUNT_NOT_FOUND."""
    found = resolve_account(context, number)
    if found is None:
        raise refuse("BILLING_ACCOUNT_NOT_FOUND", "there is no such account", pointer="/account")
    return found


def member_balances(
    context: Context, account: str, first: int, after: str | None, member: str | None
) -> Connection[MemberBalances]:
    """A page of the members' balances on an account."""
    parameters = {"account": account, "member": member}
    return page(context, MEMBER_BALANCES, parameters, first, after, member_balances_of)


def anyb_of(context: Context, account: str, currency: str, first: int, after: str | None) -> AccountAnyb:
    """What is not billed yet on an account."""
    time = context.anyb_times.of([account]).get(account)
    members = page(
        context,
        ACCOUNT_ANYB,
        {"account": account},
        first,
        after,
        lambda row: MemberAnybTotal(
            member_record=row["member"],
            total=money(row["total"], currency),
            calculated_at=max(row["calculated_at"], (time and time.of_record(row["member"])) or row["calculated_at"]),
        ),
    )
    row = account_rows(context.reads, [account])[account]
    held = held_members(context.reads, account)
    changed = anyb_changed_at(context.reads, account)
    return AccountAnyb(
        account=account,
        total=money(row["anyb"], currency),
        calculated_at=latest((changed, time.calculated_at if time else None)),
        members=members,
        held_members=held,
    )


Effective = Annotated[
    dt.date | None,
    strawberry.argument(description="The last effective date that counts; default: today in the account's time zone."),
]
Recorded = Annotated[
    dt.datetime | None, strawberry.argument(description="The instant by which it was recorded; default: now.")
]


@strawberry.type
class AccountQueries:
    """The root fields of accounts."""

    @read("account.view", "One account by its number or legacy number; null when there is none.")
    def billing_account(
        self,
        info: strawberry.Info,
        number: str,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> BillingAccount | None:
        found = resolve_account(info.context, number)
        return None if found is None else account_of(account_rows(info.context.reads, [found])[found])

    @read("account.view", "Accounts by number; all criteria hold together. `number` is a prefix.")
    def billing_accounts(
        self,
        info: strawberry.Info,
        first: First = DEFAULT_PAGE,
        after: After = None,
        number: str | None = None,
        owner: str | None = None,
        status: str | None = None,
        bill_type: str | None = None,
        allocation_mode: str | None = None,
        currency: str | None = None,
        calendar: str | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> Connection[BillingAccount]:
        parameters = {
            "number": number.strip().upper() if number else None,
            "owner": owner,
            "status": status,
            "bill_type": bill_type,
            "allocation_mode": allocation_mode,
            "currency": currency,
            "calendar": calendar,
        }
        return page(info.context, ACCOUNTS, parameters, first, after, account_of)

    @read("hold.view", "The holds of an account.")
    def holds(
        self, info: strawberry.Info, account: str, status: str | None = None, type: str | None = None
    ) -> list[Hold]:
        loaded = info.context.state(ACCOUNT, require_account(info.context, account))
        today = info.context.today(loaded.state.time_zone)
        holds = [_hold(hold, today) for hold in loaded.state.holds]
        return [hold for hold in holds if status in (None, hold.status) and type in (None, hold.type)]

    @read(
        "balance.view",
        "What an account owes and has; with `on` or `asOf` as it was for that pair of dates (BAL-001), with `on` in the"
        " future what will be past due.",
    )
    def account_balances(
        self,
        info: strawberry.Info,
        account: str,
        on: Effective = None,
        as_of: Recorded = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> AccountBalances:
        context: Context = info.context
        found = require_account(context, account)
        row = account_rows(context.reads, [found])[found]
        if on is None and as_of is None:
            return balances_of(context, row)
        return balances_as_of(context, row, on, as_of)

    @read("balance.view", "What the members of an account owe and have, by record number.")
    def member_balances(
        self,
        info: strawberry.Info,
        account: str,
        first: First = DEFAULT_PAGE,
        after: After = None,
        member: str | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> Connection[MemberBalances]:
        return member_balances(info.context, require_account(info.context, account), first, after, member)

    @read("anyb.view", "Amendments not yet billed of an account, by member.")
    def account_anyb(
        self,
        info: strawberry.Info,
        account: str,
        first: First = DEFAULT_PAGE,
        after: After = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> AccountAnyb:
        found = require_account(info.context, account)
        return anyb_of(info.context, found, account_rows(info.context.reads, [found])[found]["currency"], first, after)
