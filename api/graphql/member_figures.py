"""A member's figures for other systems: what is due and paid as of a date, and the position against earned premium.

They go over all accounts that keep figures by member, and as of a date (BAL-104 to BAL-112, LED-066 to LED-071): the
lines come from the register, what happened to them from the events of payments and invoices, each on its own day.

decision: a total over several accounts is shown only to who sees all of them; part of it would be a wrong figure.
decision: an amount is given per currency, so both answers hold one entry a currency (LED-070).
decision: what the days of a running period earn follows from the premium as it is known now, not as it was on the day.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import strawberry

from api.graphql.balances import kind_of
from api.graphql.context import Context
from api.graphql.guard import read
from api.graphql.reading import reading
from api.graphql.scalars import Money, Position, money
from api.graphql.sight import require_all_visible
from application.clock import civil_date
from application.invoices import members_of
from application.pricing import account_terms
from domain.accounts.account import ACCOUNT
from domain.balances.member_days import member_segments
from domain.balances.member_figures import (
    InvoicedPeriod,
    MemberItem,
    MemberTransaction,
    billable_position,
    billed_of_running_periods,
    member_scope,
    member_totals,
    request_problems,
)
from domain.balances.paid_to_date import RateSegment
from domain.errors import Problem, refuse_if_any
from domain.invoices.invoice import (
    INVOICE,
    CreditPairs,
    InvoiceDiscarded,
    NegativeItemOffset,
    NegativeItemOffsetUndone,
    OpenCreditSetOff,
)
from domain.members.record import MEMBER_RECORD
from domain.payments.payment import PAYMENT, MemberOverpaymentAllocated, PaymentAllocated, PaymentUnallocated
from projections.register.reads import (
    accounts_of_member,
    find_member,
    lines_of_member,
    records_on_accounts,
    records_with_member_money,
)

_ALLOCATIONS = (PaymentAllocated, MemberOverpaymentAllocated, PaymentUnallocated)
_OFFSETS = (NegativeItemOffset, OpenCreditSetOff, NegativeItemOffsetUndone)
#: Members of the request as this schema names them.
_ARGUMENTS = {"/as_of": "/asOf", "/end_date": "/endDate"}


@strawberry.type(description="Something about the figures that their reader must know.")
class FigureWarning:
    code: str = strawberry.field(description="PARTIAL_SCOPE: accounts that keep no figures by member are left out.")
    message: str = strawberry.field(description="What it says.")


@strawberry.type(description="A member's totals in one currency (BAL-104 to BAL-106).")
class MemberPaymentTotals:
    currency: str = strawberry.field(description="The currency.")
    total_remaining_due: Money = strawberry.field(
        description="Remaining due less open credit on invoices issued by the as-of date and due by the end date."
    )
    total_paid: Money = strawberry.field(description="Money on the member's items; not cut by the end date.")


@strawberry.type(
    description="What a member still owes and has paid, over all accounts with figures by member (LED-066)."
)
class MemberPaymentState:
    member_record: str = strawberry.field(description="The member record.")
    as_of: dt.date = strawberry.field(description="The last day of documents and transactions that count.")
    end_date: dt.date = strawberry.field(description="The last due date that counts for what is due.")
    totals: list[MemberPaymentTotals] = strawberry.field(
        description="The totals by currency; empty while no account with figures by member bills the member."
    )
    warnings: list[FigureWarning] = strawberry.field(description="What is left out.")
    position: Position = strawberry.field(description="The position of the answer.")


@strawberry.type(description="A member's position in one currency (BAL-109).")
class MemberBillableAmount:
    currency: str = strawberry.field(description="The currency.")
    total_billable_amount: Money = strawberry.field(
        description="Total paid and member overpayment less total due and projected due, also called net premium"
        " position: above 0 is paid but not yet earned, below 0 is owed."
    )
    total_paid: Money = strawberry.field(description="Money on the member's items as of the day.")
    member_overpayment: Money = strawberry.field(description="Money of the member above what was owed, as of the day.")
    total_due: Money = strawberry.field(description="Billed for periods that ended by the day, less write-offs.")
    projected_due: Money = strawberry.field(description="Earned of the running invoiced period, its last day excluded.")


@strawberry.type(description="What a member paid against what was earned on a day (LED-069).")
class MemberBillablePosition:
    member_record: str = strawberry.field(description="The member record.")
    as_of: dt.date = strawberry.field(description="The day.")
    amounts: list[MemberBillableAmount] = strawberry.field(
        description="The position by currency; empty while no account with figures by member bills the member."
    )
    warnings: list[FigureWarning] = strawberry.field(description="What is left out.")
    position: Position = strawberry.field(description="The position of the answer.")


@dataclass(frozen=True, slots=True)
class _Billed:
    """The accounts of one currency on which a member has figures of its own, and what was billed there."""

    accounts: dict[str, dict[str, Any]]
    lines: list[dict[str, Any]]
    items: list[MemberItem]
    transactions: list[MemberTransaction]


def _scope(context: Context, member: str) -> tuple[dict[str, list[dict[str, Any]]], list[FigureWarning]]:
    """The supported accounts of a member by currency, and warnings. Raises MEMBER_RECORD_NOT_FOUND,
    MEMBER_SCOPE_UNSUPPORTED, and FORBIDDEN when an account that counts lies outside the caller's scope."""
    rows = accounts_of_member(context.reads, member)
    kinds = {row["account"]: kind for row in rows if (kind := kind_of(row)) is not None}
    warnings = member_scope(find_member(context.reads, member) is not None, kinds.values())
    counted = [row for row in rows if row["account"] in kinds and kinds[row["account"]].member_level]
    require_all_visible(context, [row["account"] for row in counted])
    context.tell(MEMBER_RECORD.stream(member))
    by_currency: dict[str, list[dict[str, Any]]] = {}
    for row in counted:
        by_currency.setdefault(row["currency"], []).append(row)
    return by_currency, [FigureWarning(code=one.code, message=one.message) for one in warnings]


def _billed(context: Context, member: str, accounts: Sequence[dict[str, Any]]) -> _Billed:
    """What was billed to a member on accounts, and what happened to it, each on the civil day of the account."""
    zones = {row["account"]: row["time_zone"] for row in accounts}
    lines = lines_of_member(context.reads, member, list(zones))
    zone_of = {row["invoice"]: zones[row["account"]] for row in lines}
    streams = [INVOICE.stream(invoice) for invoice in zone_of]
    discarded = {
        event.number: civil_date(row["recorded_at"], zone_of[event.number])
        for row, event in context.history.of_types(streams, InvoiceDiscarded)
    }
    items = [
        MemberItem(
            item=(row["invoice"], row["line"]),
            issue_date=row["issue_date"],
            due_date=row["due_date"],
            billed=row["billed"],
            home_start=row["billing_start"],
            home_end=row["billing_end"],
            discarded_on=discarded.get(row["invoice"]),
        )
        for row in lines
    ]
    wanted = {one.item for one in items}
    transactions = _allocations(context, list(zones), wanted)
    for row, event in context.history.of_types(streams, *_OFFSETS):
        day = civil_date(row["recorded_at"], zones[event.account])
        sign = -1 if isinstance(event, NegativeItemOffsetUndone) else 1
        transactions += _offsets(event.pairs, wanted, day, sign)
    return _Billed({row["account"]: row for row in accounts}, lines, items, transactions)


def _allocations(context: Context, accounts: Sequence[str], items: set[tuple[str, int]]) -> list[MemberTransaction]:
    """Money that came onto the items, and left them again."""
    streams = [PAYMENT.stream(record) for record in records_on_accounts(context.reads, accounts)]
    return [
        MemberTransaction(
            item=(row["invoice"], row["line"]),
            date=row["date"],
            paid=-row["amount"] if row["type"] == PaymentUnallocated.__name__ else row["amount"],
        )
        for row in context.history.money_on_lines(streams, _ALLOCATIONS, items)
    ]


def _offsets(pairs: CreditPairs, items: set[tuple[str, int]], day: dt.date, sign: int) -> Iterable[MemberTransaction]:
    """What credits set against charges, or no longer set against them, mean for either side's items."""
    negative = zip(pairs.negative_invoices, pairs.negative_lines, pairs.amounts, strict=True)
    positive = zip(pairs.positive_invoices, pairs.positive_lines, pairs.amounts, strict=True)
    return [
        MemberTransaction(item=(invoice, line), date=day, offset=sign * amount)
        for invoice, line, amount in (*negative, *positive)
        if (invoice, line) in items
    ]


def _periods(context: Context, member: str, billed: _Billed, day: dt.date) -> list[InvoicedPeriod]:
    """The invoiced periods that contain the day, one an account, each with the member's rates in it."""
    items = zip((row["account"] for row in billed.lines), billed.items, strict=True)
    return [
        InvoicedPeriod(start, end, amount, _rates(context, member, account, end))
        for (account, start, end), amount in billed_of_running_periods(items, day).items()
    ]


def _rates(context: Context, member: str, account: str, end: dt.date) -> tuple[RateSegment, ...]:
    unit = reading(context)
    terms = account_terms(unit, unit.load(ACCOUNT, account).state)
    return tuple(
        segment
        for portion in members_of(unit, [member])
        for one in portion
        for segment in member_segments(one.timeline, terms, end)
    )


def _overpayment(context: Context, member: str, billed: _Billed, day: dt.date) -> int:
    """The member's overpayment at the end of the day on its account."""
    total = 0
    for row in records_with_member_money(context.reads, member, list(billed.accounts)):
        zone = billed.accounts[row["account"]]["time_zone"]
        state = context.history.state_at(PAYMENT, row["record"], _last_moment(day, zone))
        total += 0 if state is None else state.member_overpayment.get(member, 0)
    return total


def _last_moment(day: dt.date, zone: str) -> dt.datetime:
    """The last instant of a civil day in a time zone."""
    return dt.datetime.combine(day, dt.time.max, ZoneInfo(zone))


def _check(problems: Sequence[Problem]) -> None:
    refuse_if_any([replace(one, pointer=_ARGUMENTS.get(one.pointer or "", one.pointer)) for one in problems])


AsOf = Annotated[
    dt.date | None,
    strawberry.argument(description="The last day whose documents and transactions count, not after today; needed."),
]
EndDate = Annotated[
    dt.date | None, strawberry.argument(description="The last due date that counts for what is due; needed.")
]


@strawberry.type
class MemberFigureQueries:
    """The root fields of members' figures for other systems."""

    @read(
        "member.financial.view",
        "What a member still owes and has paid, as of a date, over all accounts that keep figures by member. Refused"
        " MEMBER_SCOPE_UNSUPPORTED when there is none, and outside the scope of who does not see all of them.",
    )
    def member_payment_state(
        self,
        info: strawberry.Info,
        member_record: str,
        as_of: AsOf = None,
        end_date: EndDate = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> MemberPaymentState:
        context: Context = info.context
        _check(request_problems(as_of, end_date, context.today()))
        assert as_of is not None
        assert end_date is not None
        by_currency, warnings = _scope(context, member_record)
        totals = []
        for currency, accounts in sorted(by_currency.items()):
            billed = _billed(context, member_record, accounts)
            found = member_totals(billed.items, billed.transactions, as_of, end_date)
            totals.append(
                MemberPaymentTotals(
                    currency=currency,
                    total_remaining_due=money(found.total_remaining_due, currency),
                    total_paid=money(found.total_paid, currency),
                )
            )
        return MemberPaymentState(
            member_record=member_record,
            as_of=as_of,
            end_date=end_date,
            totals=totals,
            warnings=warnings,
            position=Position(context.session.position),
        )

    @read(
        "member.financial.view",
        "What a member paid against what was earned on a day, with its parts, over all accounts that keep figures by"
        " member. Refused as `memberPaymentState`.",
    )
    def member_billable_position(
        self,
        info: strawberry.Info,
        member_record: str,
        as_of: AsOf = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> MemberBillablePosition:
        context: Context = info.context
        _check(request_problems(as_of, dt.date.max, context.today()))
        assert as_of is not None
        by_currency, warnings = _scope(context, member_record)
        amounts = []
        for currency, accounts in sorted(by_currency.items()):
            billed = _billed(context, member_record, accounts)
            found = billable_position(
                billed.items,
                billed.transactions,
                _periods(context, member_record, billed, as_of),
                _overpayment(context, member_record, billed, as_of),
                as_of,
            )
            amounts.append(
                MemberBillableAmount(
                    currency=currency,
                    total_billable_amount=money(found.total_billable_amount, currency),
                    total_paid=money(found.total_paid, currency),
                    member_overpayment=money(found.member_overpayment, currency),
                    total_due=money(found.total_due, currency),
                    projected_due=money(found.projected_due, currency),
                )
            )
        return MemberBillablePosition(
            member_record=member_record,
            as_of=as_of,
            amounts=amounts,
            warnings=warnings,
            position=Position(context.session.position),
        )
