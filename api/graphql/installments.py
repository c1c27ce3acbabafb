"""Installments of products bought with a payment plan, and the schedules they came with (CAL-124 to CAL-139)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import strawberry
import structlog

from api.graphql.accounts import resolve_account
from api.graphql.context import Context
from api.graphql.guard import read
from api.graphql.paging import DEFAULT_PAGE, After, Connection, First, page_of
from api.graphql.scalars import Money, money
from api.graphql.sight import visible_accounts
from domain.accounts.account import ACCOUNT
from domain.calendar.installment_schedules import (
    INSTALLMENT_SCHEDULES,
    Installment,
    InstallmentBilled,
    InstallmentReplaced,
    InstallmentSchedule,
    InstallmentScheduleGenerated,
    InstallmentState,
    InstallmentSuperseded,
    PurchaseSchedule,
    total,
)
from domain.errors import refuse

_DAY = dt.timedelta(days=1)
log: Final = structlog.get_logger("rollon.api")
#: An account number of ours or of an older system.
_NUMBER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9./-]{0,39}")
_KINDS: Final = (InstallmentScheduleGenerated, InstallmentBilled, InstallmentSuperseded, InstallmentReplaced)


@strawberry.type(description="What an installment bills of one item.")
class InstallmentPart:
    item: str = strawberry.field(description="The billable item: the price component, NET or TAX.")
    amount: Money = strawberry.field(description="What of the installment is for it.")


@strawberry.type(description="An installment of an account (CAL-135).")
class InstallmentLine:
    number: int = strawberry.field(description="Its number.")
    schedule: int = strawberry.field(description="The number of the schedule it, or the one it replaces, came with.")
    product: str = strawberry.field(description="The product it pays for.")
    type: str = strawberry.field(description="DEPOSIT or INSTALLMENT.")
    due_date: dt.date = strawberry.field(description="When it is due.")
    amount: Money = strawberry.field(description="The sum of its parts.")
    parts: list[InstallmentPart] = strawberry.field(description="Its parts by item.")
    billed_to_date: dt.date | None = strawberry.field(description="Exclusive.")
    state: str = strawberry.field(description="UNBILLED or BILLED.")
    superseded: bool = strawberry.field(description="Whether its invoice was discarded and another one stands for it.")
    replaces: int | None = strawberry.field(description="The superseded installment it stands for.")
    replaced_by: int | None = strawberry.field(description="The installment that stands for it.")
    invoice: str | None = strawberry.field(description="The invoice that billed it.")
    created_at: dt.datetime = strawberry.field(description="When it was given to the account.")
    modified_at: dt.datetime | None = strawberry.field(description="When it was billed or superseded, the last time.")


@dataclass(frozen=True, slots=True)
class _Ledger:
    """The installments of an account with when each was made and last changed."""

    state: InstallmentSchedule
    currency: str
    created: Mapping[int, dt.datetime]
    modified: Mapping[int, dt.datetime]

    def line(self, one: Installment) -> InstallmentLine:
        number = one.component.number
        return InstallmentLine(
            number=number,
            schedule=one.schedule,
            product=one.product,
            type=str(one.component.type),
            due_date=one.component.due_date,
            amount=money(one.component.amount, self.currency),
            parts=[
                InstallmentPart(item=part.item, amount=money(part.amount, self.currency))
                for part in one.component.parts
            ],
            billed_to_date=one.component.billed_to_date,
            state=str(one.state),
            superseded=one.superseded,
            replaces=one.replaces,
            replaced_by=self.state.replaced_by(number),
            invoice=one.invoice,
            created_at=self.created[number],
            modified_at=self.modified.get(number),
        )


@strawberry.type(description="The installments that one purchase, or an import, gave an account (CAL-131).")
class InstallmentPurchase:
    number: int = strawberry.field(description="Its number on the account, from 1.")
    product: str = strawberry.field(description="The product.")
    plan: str = strawberry.field(description="The code of the payment plan.")
    plan_uri: str = strawberry.field(description="The URI of the payment plan.")
    service_from: dt.date = strawberry.field(description="The first day of the service period.")
    service_to: dt.date = strawberry.field(description="The last day of the service period.")
    transaction_date: dt.date = strawberry.field(description="The day of the purchase.")
    due_day: int | None = strawberry.field(description="The due day; null for an import without one.")
    imported: bool = strawberry.field(description="Whether another system made the schedule.")
    total: Money = strawberry.field(description="The sum of its installments; superseded ones are excluded.")
    billed: Money = strawberry.field(description="What of the total is billed.")
    _ledger: strawberry.Private[_Ledger]

    @strawberry.field(description="Its installments by due date, then number, with those that stand for others.")
    def installments(self, first: First = DEFAULT_PAGE, after: After = None) -> Connection[InstallmentLine]:
        found = [one for one in _ordered(self._ledger.state) if one.schedule == self.number]
        return page_of(found, f"installments of schedule {self.number}", first, after, self._ledger.line)


def _ordered(state: InstallmentSchedule) -> list[Installment]:
    return sorted(state.by_number.values(), key=lambda one: (one.component.due_date, one.component.number))


def _account_number(context: Context, account: str) -> str:
    """The account a read names. Refused REQUEST_INVALID for a malformed number, ENTITY_NOT_FOUND (CAL-139)."""
    if not _NUMBER.fullmatch(account.strip()):
        raise refuse("REQUEST_INVALID", "an account number", pointer="/account")
    number = resolve_account(context, account)
    if number is None or number not in visible_accounts(context, [number]):
        raise refuse("ENTITY_NOT_FOUND", "there is no such account", pointer="/account")
    return number


def _ledger_of(context: Context, number: str) -> _Ledger:
    """The account's installments."""
    account, loaded = context.state(ACCOUNT, number), context.state(INSTALLMENT_SCHEDULES, number)
    assert account is not None
    created: dict[int, dt.datetime] = {}
    modified: dict[int, dt.datetime] = {}
    for row, happened in context.history.of_types([INSTALLMENT_SCHEDULES.stream(number)], *_KINDS):
        match happened:
            case InstallmentScheduleGenerated(installments=given):
                created |= {component.number: row["recorded_at"] for component in given}
            case InstallmentReplaced(replacement=component):
                created[component.number] = row["recorded_at"]
            case _:
                modified[happened.number] = row["recorded_at"]
    state = InstallmentSchedule() if loaded is None else loaded.state
    return _Ledger(state, account.state.currency, created, modified)


def _record(context: Context, account: str) -> None:
    """A successful read is recorded for monitoring (CAL-139)."""
    log.info("installment_schedule_read", account=account, client=context.principal.client)


def installment_line(context: Context, account: str, number: int) -> InstallmentLine | None:
    """One installment of an account."""
    ledger = _ledger_of(context, account)
    found = ledger.state.by_number.get(number)
    return None if found is None else ledger.line(found)


def _purchase(ledger: _Ledger, one: PurchaseSchedule) -> InstallmentPurchase:
    own = [installment for installment in ledger.state.by_number.values() if installment.schedule == one.number]
    billed = [installment for installment in own if installment.state is InstallmentState.BILLED]
    return InstallmentPurchase(
        number=one.number,
        product=one.product,
        plan=one.plan_code,
        plan_uri=one.plan_uri,
        service_from=one.service_start,
        service_to=one.service_end - _DAY,
        transaction_date=one.transaction_date,
        due_day=one.due_day,
        imported=one.imported,
        total=money(total(own), ledger.currency),
        billed=money(total(billed), ledger.currency),
        _ledger=ledger,
    )


@strawberry.type
class InstallmentQueries:
    """The root fields of installments."""

    @read(
        "installment.view",
        "The installments of an account by due date, then number; who read them is recorded (CAL-139).",
    )
    def installment_schedule(
        self,
        info: strawberry.Info,
        account: str,
        first: First = DEFAULT_PAGE,
        after: After = None,
        state: str | None = None,
        product: str | None = None,
        due_from: dt.date | None = None,
        due_to: dt.date | None = None,
        superseded: bool | None = None,
    ) -> Connection[InstallmentLine]:
        number = _account_number(info.context, account)
        ledger = _ledger_of(info.context, number)
        found = [
            one
            for one in _ordered(ledger.state)
            if state in (None, one.state)
            and product in (None, one.product)
            and superseded in (None, one.superseded)
            and (due_from is None or one.component.due_date >= due_from)
            and (due_to is None or one.component.due_date <= due_to)
        ]
        name = f"installments {number} {state} {product} {due_from} {due_to} {superseded}"
        shown = page_of(found, name, first, after, ledger.line)
        _record(info.context, number)
        return shown

    @read(
        "installment.view",
        "The schedules that purchases gave an account, in order, each with its installments; who read them is recorded"
        " (CAL-139).",
    )
    def installment_purchases(
        self,
        info: strawberry.Info,
        account: str,
        product: str | None = None,
        first: First = DEFAULT_PAGE,
        after: After = None,
    ) -> Connection[InstallmentPurchase]:
        number = _account_number(info.context, account)
        ledger = _ledger_of(info.context, number)
        found = [one for one in ledger.state.schedules if product in (None, one.product)]
        name = f"installment purchases {number} {product}"
        shown = page_of(found, name, first, after, lambda one: _purchase(ledger, one))
        _record(info.context, number)
        return shown
