"""Paid-to-date of accounts and members, and what it is worked out from (BAL-079 to BAL-103)."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import strawberry

from api.graphql.accounts import require_account
from api.graphql.context import Context
from api.graphql.guard import read
from api.graphql.members import require_member
from api.graphql.reading import reading
from api.graphql.scalars import Money, Position, money
from api.graphql.sight import visible_accounts
from application.paid_to_date import Reckoned, account_paid_to_date, member_paid_to_date
from domain.accounts.account import ACCOUNT
from domain.errors import refuse
from domain.members.placements import placement_on

_DAY = dt.timedelta(days=1)


@strawberry.type(description="An invoice as it counts for a paid-to-date (BAL-087).")
class CountedInvoice:
    invoice: str = strawberry.field(description="The invoice.")
    period_start: dt.date = strawberry.field(description="The first day of its period.")
    period_end: dt.date = strawberry.field(description="The last day of its period.")
    billed: Money = strawberry.field(description="What it bills of the unit.")
    paid: Money = strawberry.field(description="Money on the unit's items.")
    written_off: Money = strawberry.field(description="Written off on the unit's items.")
    collectible: Money = strawberry.field(description="What may still be collected.")
    fully_paid: bool = strawberry.field(description="Whether nothing of the unit is left to pay.")


@strawberry.type(description="Days with one rate (BAL-083, BAL-084).")
class RateDays:
    start: dt.date = strawberry.field(description="The first day.")
    end: dt.date = strawberry.field(description="The last day.")
    kind: str = strawberry.field(description="CHARGED or FREE.")
    daily: str = strawberry.field(description="The rate of a day in minor units, as a fraction.")


@strawberry.type(description="How far the money reaches (BAL-102).")
class PaidToDate:
    account: str = strawberry.field(description="The account.")
    master_policy: str = strawberry.field(description="The master policy.")
    member_record: str | None = strawberry.field(description="The member record; null: the whole unit.")
    paid_to_date: dt.date | None = strawberry.field(description="The first day not covered; null: none is.")
    paid_through: dt.date | None = strawberry.field(description="The last covered day.")
    nothing_paid: bool = strawberry.field(description="Whether no day is covered.")
    display_date: dt.date | None = strawberry.field(description="What operational views show.")
    by_invoice: dt.date | None = strawberry.field(description="The component by invoice.")
    by_daily_rate: dt.date | None = strawberry.field(description="The component by daily rate.")
    strategy: str = strawberry.field(description="BY_INVOICE, DAILY_RATE or MAXIMUM.")
    cap_reason: str | None = strawberry.field(description="CANCELLATION, LAPSE, MOVE or BILLED_END.")
    settled: Money = strawberry.field(description="What is settled of the unit (BAL-082).")
    calculated_at: dt.datetime = strawberry.field(description="When it was worked out.")
    invoices: list[CountedInvoice] = strawberry.field(description="The invoices it was worked out from.")
    days: list[RateDays] = strawberry.field(description="The first 100 runs of days of equal rate it walks.")


def _told(context: Context, found: Reckoned) -> PaidToDate:
    loaded = context.state(ACCOUNT, found.account)
    assert loaded is not None
    currency = loaded.state.currency
    result = found.result
    return PaidToDate(
        account=found.account,
        master_policy=found.master_policy,
        member_record=found.member_record,
        paid_to_date=result.paid_to_date,
        paid_through=result.paid_through,
        nothing_paid=result.nothing_paid,
        display_date=result.display_date,
        by_invoice=result.by_invoice,
        by_daily_rate=result.daily_rate,
        strategy=str(result.strategy),
        cap_reason=None if result.cap_reason is None else str(result.cap_reason),
        settled=money(found.settled, currency),
        calculated_at=context.clock.now(),
        invoices=[
            CountedInvoice(
                invoice=row.invoice,
                period_start=row.period_start,
                period_end=row.period_end - _DAY,
                billed=money(row.billed, currency),
                paid=money(row.paid, currency),
                written_off=money(row.written_off, currency),
                collectible=money(row.collectible, currency),
                fully_paid=row.collectible == 0,
            )
            for row in found.invoices
        ],
        days=[
            RateDays(start=one.start, end=one.end - _DAY, kind=str(one.kind), daily=str(one.daily))
            for one in found.segments[:100]
        ],
    )


OnDay = Annotated[dt.date | None, strawberry.argument(description="The day whose account answers; default: today.")]


@strawberry.type
class PaidToDateQueries:
    """The root fields of paid-to-date."""

    @read("ptd.view", "How far the money of an account reaches for a master policy, with what it is worked out from.")
    def account_paid_to_date(
        self,
        info: strawberry.Info,
        account: str,
        master_policy: str | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> list[PaidToDate]:
        context: Context = info.context
        number = require_account(context, account)
        loaded = context.state(ACCOUNT, number)
        assert loaded is not None
        policies = loaded.state.master_policies if master_policy is None else (master_policy,)
        return [
            _told(context, account_paid_to_date(reading(context), number, policy, context.rates)) for policy in policies
        ]

    @read("ptd.view", "How far the money reaches for a member on the account that bills it on a day.")
    def paid_to_date(
        self,
        info: strawberry.Info,
        member_record: str,
        account: str | None = None,
        on: OnDay = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> PaidToDate:
        context: Context = info.context
        record = require_member(context, member_record)
        if account is None:
            day = max(on or context.today(), record.effective_date)
            placed = placement_on(record.placements, day)
            if placed is None or placed.account not in visible_accounts(context, [placed.account]):
                raise refuse("ENTITY_NOT_FOUND", "no account bills the member on the day", pointer="/on")
            number = placed.account
        else:
            number = require_account(context, account)
        return _told(context, member_paid_to_date(reading(context), member_record, number, context.rates))
