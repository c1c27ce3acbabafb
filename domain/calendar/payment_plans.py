"""Payment plan templates: into how many installments a purchase may be split, and when a template may be used.

A plan never changes but for its expiration date, which may be set or brought forward; schedules generated from it go on
(CAL-122, CAL-123). Whether it can be used follows from its dates. Only MONTHLY plans with a due day of the month exist.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from domain.aggregate import Aggregate
from domain.errors import Problem, refuse, refuse_if_any
from domain.events import event

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,29}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
MAX_INSTALLMENTS = 12


class PlanType(StrEnum):
    """Types and frequencies of plans; the only one so far (CAL-121)."""

    MONTHLY = "MONTHLY"


class DueDayType(StrEnum):
    """What the value of a due day means: a day of the month 1-31 or an ISO weekday 1-7 (CAL-120, CAL-124)."""

    DAY_OF_MONTH = "DAY_OF_MONTH"
    DAY_OF_WEEK = "DAY_OF_WEEK"


@event()
class PaymentPlanCreated:
    """A plan may be used for purchases from its effective date (CAL-120). `expiration_date` is exclusive."""

    code: str
    uri: str
    description: str
    type: PlanType
    frequency: PlanType
    max_installments: int | None
    due_day_type: DueDayType
    effective_date: dt.date
    expiration_date: dt.date | None


@event()
class PaymentPlanExpirationSet:
    """The plan takes no purchase from this date on (CAL-123)."""

    code: str
    expiration_date: dt.date


class PlanStatus(StrEnum):
    """Derived from the dates (state machine "Payment plan")."""

    SCHEDULED = "SCHEDULED"
    AVAILABLE = "AVAILABLE"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class PaymentPlan:
    """A plan. `max_installments` None: as many as there are due dates. `expiration_date` is exclusive, None: open."""

    code: str
    uri: str
    description: str
    type: PlanType
    frequency: PlanType
    max_installments: int | None
    due_day_type: DueDayType
    effective_date: dt.date
    expiration_date: dt.date | None = None

    def status_on(self, day: dt.date) -> PlanStatus:
        """SCHEDULED before the effective date, EXPIRED from the expiration on, AVAILABLE between (CAL-122)."""
        if day < self.effective_date:
            return PlanStatus.SCHEDULED
        if self.expiration_date is not None and day >= self.expiration_date:
            return PlanStatus.EXPIRED
        return PlanStatus.AVAILABLE


def evolve(state: PaymentPlan | None, happened: object) -> PaymentPlan | None:
    """The plan after one more event; None before it is created."""
    match happened:
        case PaymentPlanCreated():
            return PaymentPlan(
                code=happened.code,
                uri=happened.uri,
                description=happened.description,
                type=happened.type,
                frequency=happened.frequency,
                max_installments=happened.max_installments,
                due_day_type=happened.due_day_type,
                effective_date=happened.effective_date,
                expiration_date=happened.expiration_date,
            )
        case PaymentPlanExpirationSet(expiration_date=expiration_date) if state is not None:
            return replace(state, expiration_date=expiration_date)
        case _:
            raise TypeError(f"a payment plan knows no event {type(happened).__name__} here")


PAYMENT_PLANS: Aggregate[PaymentPlan | None] = Aggregate("payment-plan", PaymentPlan, None, evolve)


def plan_key(code: str) -> str:
    """The identifier of a plan's stream: its code, ignoring case (CAL-121)."""
    return code.casefold()


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """A plan as it is asked for; None where an attribute is missing. Texts are as given, dates possibly malformed."""

    code: str | None = None
    uri: str | None = None
    description: str | None = None
    type: str | None = None
    frequency: str | None = None
    max_installments: int | None = None
    due_day_type: str | None = None
    effective_date: dt.date | str | None = None
    expiration_date: dt.date | str | None = None


_MANDATORY = ("code", "uri", "description", "type", "frequency", "due_day_type", "effective_date")


def create_plan(
    request: PlanRequest, *, code_taken: bool, uri_taken: bool, maximum: int = MAX_INSTALLMENTS
) -> list[PaymentPlanCreated]:
    """Create a plan (CreatePaymentPlan). `code_taken` ignores case; `maximum` is parameter `plan.max_installments`.

    Refuses all violations of CAL-121 together, in its order.
    """
    effective, expiration = _as_date(request.effective_date), _as_date(request.expiration_date)
    refuse_if_any(_plan_problems(request, effective, expiration, code_taken, uri_taken, maximum))
    if effective is None:
        raise AssertionError("a plan without effective date was refused above")
    return [
        PaymentPlanCreated(
            code=request.code or "",
            uri=request.uri or "",
            description=request.description or "",
            type=PlanType.MONTHLY,
            frequency=PlanType.MONTHLY,
            max_installments=request.max_installments,
            due_day_type=DueDayType.DAY_OF_MONTH,
            effective_date=effective,
            expiration_date=expiration,
        )
    ]


def _plan_problems(
    request: PlanRequest,
    effective: dt.date | None,
    expiration: dt.date | None,
    code_taken: bool,
    uri_taken: bool,
    maximum: int,
) -> list[Problem]:
    missing = [name for name in _MANDATORY if not _given(request, name)]
    problems = [
        Problem("PLAN_MISSING_ATTRIBUTE", f"{name} is missing", f"/{name}", params={"attribute": name})
        for name in missing
    ]
    code = request.code or ""
    count = request.max_installments
    monthly = request.frequency == PlanType.MONTHLY
    unreadable = [
        name
        for name, value, day in (
            ("effective_date", request.effective_date, effective),
            ("expiration_date", request.expiration_date, expiration),
        )
        if day is None and value is not None and value != ""
    ]
    checks = (
        (code_taken and code, "PLAN_CODE_DUPLICATE", "A plan has this code", "/code"),
        (uri_taken and request.uri, "PLAN_URI_DUPLICATE", "A plan has this URI", "/uri"),
        ("code" not in missing and not _CODE.fullmatch(code), "PLAN_CODE_FORMAT", "The code is malformed", "/code"),
        (
            "frequency" not in missing and not monthly,
            "PLAN_FREQUENCY_UNSUPPORTED",
            "Only MONTHLY is supported",
            "/frequency",
        ),
        (
            "type" not in missing and request.type != PlanType.MONTHLY,
            "PLAN_TYPE_UNSUPPORTED",
            "Only MONTHLY is supported",
            "/type",
        ),
        (
            count is not None and not 1 <= count <= maximum,
            "PLAN_COUNT_OUT_OF_RANGE",
            f"A plan has 1 to {maximum} installments",
            "/max_installments",
        ),
        (
            monthly and "due_day_type" not in missing and request.due_day_type != DueDayType.DAY_OF_MONTH,
            "PLAN_DUE_DAY_TYPE_MISMATCH",
            "A monthly plan is due on a day of the month",
            "/due_day_type",
        ),
        *((True, "PLAN_DATE_INVALID", "Not a date of the form YYYY-MM-DD", f"/{name}") for name in unreadable),
        (
            effective is not None and expiration is not None and expiration <= effective,
            "PLAN_DATE_INVALID",
            "A plan expires after it becomes effective",
            "/expiration_date",
        ),
    )
    return problems + [Problem(code, message, pointer) for wrong, code, message, pointer in checks if wrong]


def _given(request: PlanRequest, name: str) -> bool:
    value = getattr(request, name)
    return bool(value.strip()) if isinstance(value, str) else value is not None


def _as_date(value: dt.date | str | None) -> dt.date | None:
    """The date of a text YYYY-MM-DD; None when there is none or it is malformed."""
    if not isinstance(value, str):
        return value
    if not _DATE.fullmatch(value):
        return None
    try:
        return dt.date.fromisoformat(value)
    except ValueError:
        return None


def set_expiration(
    state: PaymentPlan | None, expiration_date: dt.date, system_date: dt.date
) -> list[PaymentPlanExpirationSet]:
    """Set the expiration date or bring it forward (ExpirePaymentPlan, CAL-123).

    Refuses ENTITY_NOT_FOUND; PLAN_DATE_INVALID for a date before the system date, not after the effective date, or
    later than the one the plan has.
    """
    if state is None:
        raise refuse("ENTITY_NOT_FOUND", "No payment plan of this code", pointer="/code")
    if state.expiration_date == expiration_date:
        return []
    wrong = {
        "An expiration date is not set in the past": expiration_date < system_date,
        "A plan expires after it becomes effective": expiration_date <= state.effective_date,
        "An expiration date is only brought forward": state.expiration_date is not None
        and expiration_date > state.expiration_date,
    }
    refuse_if_any(
        [Problem("PLAN_DATE_INVALID", message, "/expiration_date") for message, applies in wrong.items() if applies]
    )
    return [PaymentPlanExpirationSet(code=state.code, expiration_date=expiration_date)]


def available_plans(plans: Mapping[str, PaymentPlan], day: dt.date) -> tuple[PaymentPlan, ...]:
    """The plans that a purchase with this transaction date may use, by code (CAL-122)."""
    available = (plan for plan in plans.values() if plan.status_on(day) is PlanStatus.AVAILABLE)
    return tuple(sorted(available, key=lambda plan: plan.code))


def usable_plan(plan: PaymentPlan | None, transaction_date: dt.date, pointer: str = "/plan_uri") -> PaymentPlan:
    """The plan, if a purchase may use it (CAL-122, CAL-126).

    Refuses ENTITY_NOT_FOUND for an unknown plan, PLAN_NOT_AVAILABLE for one not available on the transaction date.
    """
    if plan is None:
        raise refuse("ENTITY_NOT_FOUND", "No payment plan of this URI", pointer=pointer)
    if plan.status_on(transaction_date) is not PlanStatus.AVAILABLE:
        raise refuse("PLAN_NOT_AVAILABLE", "The plan is not available on the transaction date", pointer=pointer)
    return plan
