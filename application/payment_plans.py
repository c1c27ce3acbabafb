"""Payment plans that products are purchased with; the due days of an account's installments (CAL-120 to CAL-124)."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from pydantic import Field

from application.accounts import load_account
from application.command import Command, Identifier, Outcome, Part, command, handles
from application.parameters import parameters_in_force
from application.register import Directory
from application.unit_of_work import UnitOfWork
from domain.calendar.installment_schedules import INSTALLMENT_SCHEDULES, set_due_days
from domain.calendar.installments import DueDayEntry
from domain.calendar.payment_plans import (
    PAYMENT_PLANS,
    DueDayType,
    PaymentPlan,
    PlanRequest,
    PlanType,
    create_plan,
    plan_key,
    set_expiration,
)

_MAXIMUM = "plan.max_installments"

Text = Annotated[str, Field(max_length=500)]


@command(
    privilege="payment_plan.manage",
    room="02",
    summary="Create a payment plan",
    rules=("CAL-120", "CAL-121"),
    refusals=(
        "PLAN_MISSING_ATTRIBUTE",
        "PLAN_CODE_DUPLICATE",
        "PLAN_URI_DUPLICATE",
        "PLAN_CODE_FORMAT",
        "PLAN_FREQUENCY_UNSUPPORTED",
        "PLAN_TYPE_UNSUPPORTED",
        "PLAN_COUNT_OUT_OF_RANGE",
        "PLAN_DUE_DAY_TYPE_MISMATCH",
        "PLAN_DATE_INVALID",
    ),
    example={
        "code": "MONTHLY-12",
        "uri": "urn:plan:monthly-12",
        "description": "Twelve monthly installments",
        "type": "MONTHLY",
        "frequency": "MONTHLY",
        "max_installments": 12,
        "due_day_type": "DAY_OF_MONTH",
        "effective_date": "2025-01-01",
    },
)
class CreatePaymentPlan(Command):
    """Everything that is wrong is reported together; dates are texts YYYY-MM-DD."""

    code: Text | None = None
    uri: Text | None = None
    description: Text | None = None
    type: Text | None = None
    frequency: Text | None = None
    max_installments: int | None = None
    due_day_type: Text | None = None
    effective_date: Text | None = None
    expiration_date: Text | None = None


@command(
    privilege="payment_plan.manage",
    room="02",
    summary="Set the day from which a payment plan may no longer be used",
    rules=("CAL-122", "CAL-123"),
    refusals=("ENTITY_NOT_FOUND", "PLAN_DATE_INVALID"),
    example={"code": "MONTHLY-12", "expiration_date": "2030-12-31"},
)
class ExpirePaymentPlan(Command):
    """Schedules already generated go on."""

    code: Identifier
    expiration_date: dt.date


class DueDayPart(Part):
    """A due day of installments."""

    plan_type: PlanType = PlanType.MONTHLY
    due_day_type: DueDayType = DueDayType.DAY_OF_MONTH
    value: int


@command(
    privilege="schedule.update",
    room="02",
    summary="Replace the installment due days of an account",
    rules=("CAL-124",),
    refusals=("BILLING_ACCOUNT_NOT_FOUND", "DUE_DAYS_INVALID"),
    example={"account": "LB000000018", "entries": [{"plan_type": "MONTHLY", "value": 15}]},
)
class SetInstallmentDueDays(Command):
    """Apart from the due days of the invoicing schedule."""

    account: Identifier
    entries: Annotated[tuple[DueDayPart, ...], Field(max_length=10)]


@handles(CreatePaymentPlan)
def create_payment_plan(command: CreatePaymentPlan, unit: UnitOfWork) -> Outcome:
    request = PlanRequest(**command.model_dump())
    unit.lock("payment_plans")
    key = plan_key(command.code or "")
    plan = unit.load(PAYMENT_PLANS, key)
    unit.expect_main(PAYMENT_PLANS, plan)
    taken = bool(command.code) and plan.version > 0
    uri_taken = bool(command.uri) and unit.port(Directory).plan_of_uri(command.uri or "") is not None
    maximum = parameters_in_force(unit, (_MAXIMUM,), {}, unit.today())[_MAXIMUM]
    events = create_plan(request, code_taken=taken, uri_taken=uri_taken, maximum=int(str(maximum)))
    return _told(unit.append(PAYMENT_PLANS, key, events).state)


@handles(ExpirePaymentPlan)
def expire_payment_plan(command: ExpirePaymentPlan, unit: UnitOfWork) -> Outcome:
    key = plan_key(command.code)
    unit.lock("payment_plans")
    plan = unit.load(PAYMENT_PLANS, key)
    unit.expect_main(PAYMENT_PLANS, plan)
    events = set_expiration(plan.state, command.expiration_date, unit.today())
    return _told(unit.append(PAYMENT_PLANS, key, events).state)


@handles(SetInstallmentDueDays)
def set_installment_due_days(command: SetInstallmentDueDays, unit: UnitOfWork) -> Outcome:
    account = load_account(unit, command.account)
    schedule = unit.load(INSTALLMENT_SCHEDULES, account.identifier)
    unit.expect_main(INSTALLMENT_SCHEDULES, schedule)
    entries = [DueDayEntry(part.plan_type, part.due_day_type, part.value) for part in command.entries]
    unit.append(INSTALLMENT_SCHEDULES, account.identifier, set_due_days(schedule.state, account.identifier, entries))
    return Outcome(
        {"account": account.identifier, "entries": [part.model_dump(mode="json") for part in command.entries]}
    )


def _told(plan: PaymentPlan | None) -> Outcome:
    assert plan is not None
    expiration = plan.expiration_date
    return Outcome(
        {"code": plan.code, "uri": plan.uri, "expiration_date": None if expiration is None else expiration.isoformat()}
    )
