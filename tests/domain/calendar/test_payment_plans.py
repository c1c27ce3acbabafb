"""Payment plan templates: creation, availability, expiration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from domain.calendar.payment_plans import (
    PAYMENT_PLANS,
    DueDayType,
    PaymentPlan,
    PaymentPlanExpirationSet,
    PlanRequest,
    PlanStatus,
    PlanType,
    available_plans,
    create_plan,
    plan_key,
    set_expiration,
    usable_plan,
)
from domain.errors import Refusal
from tests.domain.calendar.builders import D, codes, pointers

REQUEST = PlanRequest(
    code="MONTHLY-3",
    uri="urn:plan:monthly-3",
    description="Three monthly installments",
    type="MONTHLY",
    frequency="MONTHLY",
    max_installments=3,
    due_day_type="DAY_OF_MONTH",
    effective_date="2025-01-01",
    expiration_date="2026-01-01",
)


def plan_of(request: PlanRequest = REQUEST) -> PaymentPlan:
    plan = PAYMENT_PLANS.fold(create_plan(request, code_taken=False, uri_taken=False))
    assert plan is not None
    return plan


def refused(decision: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        decision()
    return refusal.value


def wrong(**changes: object) -> list[str]:
    request = replace(REQUEST, **changes)  # type: ignore[arg-type]
    return codes(refused(lambda: create_plan(request, code_taken=False, uri_taken=False)).problems)


@pytest.mark.rule("CAL-120")
def test_a_plan_has_its_attributes_and_two_of_them_are_optional() -> None:
    assert plan_of() == PaymentPlan(
        code="MONTHLY-3",
        uri="urn:plan:monthly-3",
        description="Three monthly installments",
        type=PlanType.MONTHLY,
        frequency=PlanType.MONTHLY,
        max_installments=3,
        due_day_type=DueDayType.DAY_OF_MONTH,
        effective_date=D("2025-01-01"),
        expiration_date=D("2026-01-01"),
    )
    open_ended = plan_of(replace(REQUEST, max_installments=None, expiration_date=None))
    assert (open_ended.max_installments, open_ended.expiration_date) == (None, None)


@pytest.mark.rule("CAL-120", "CAL-121")
def test_every_missing_attribute_is_named() -> None:
    refusal = refused(lambda: create_plan(PlanRequest(code=" "), code_taken=False, uri_taken=False))
    assert set(codes(refusal.problems)) == {"PLAN_MISSING_ATTRIBUTE"}
    assert pointers(refusal.problems) == [
        "/code",
        "/uri",
        "/description",
        "/type",
        "/frequency",
        "/due_day_type",
        "/effective_date",
    ]


@pytest.mark.rule("CAL-121")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"code": "-A"}, ["PLAN_CODE_FORMAT"]),
        ({"code": "A" * 31}, ["PLAN_CODE_FORMAT"]),
        ({"code": "A B"}, ["PLAN_CODE_FORMAT"]),
        ({"frequency": "WEEKLY"}, ["PLAN_FREQUENCY_UNSUPPORTED"]),
        ({"type": "WEEKLY"}, ["PLAN_TYPE_UNSUPPORTED"]),
        ({"max_installments": 0}, ["PLAN_COUNT_OUT_OF_RANGE"]),
        ({"max_installments": 13}, ["PLAN_COUNT_OUT_OF_RANGE"]),
        ({"due_day_type": "DAY_OF_WEEK"}, ["PLAN_DUE_DAY_TYPE_MISMATCH"]),
        ({"effective_date": "2025-02-30"}, ["PLAN_DATE_INVALID"]),
        ({"effective_date": "20250101"}, ["PLAN_DATE_INVALID"]),
        ({"expiration_date": "tomorrow"}, ["PLAN_DATE_INVALID"]),
        ({"expiration_date": "2025-01-01"}, ["PLAN_DATE_INVALID"]),
    ],
)
def test_each_violation_has_its_code(changes: dict[str, object], expected: list[str]) -> None:
    assert wrong(**changes) == expected


@pytest.mark.rule("CAL-121")
def test_boundaries_that_are_allowed() -> None:
    assert plan_of(replace(REQUEST, code="A" * 30, max_installments=12, expiration_date="2025-01-02"))
    assert plan_of(replace(REQUEST, code="0_-", max_installments=1))


@pytest.mark.rule("CAL-121")
def test_all_violations_are_reported_together_in_the_order_of_the_rule() -> None:
    request = PlanRequest(
        code="?",
        uri="urn:x",
        type="YEARLY",
        frequency="MONTHLY",
        max_installments=99,
        due_day_type="DAY_OF_WEEK",
        effective_date="2025-05-01",
        expiration_date="2025-04-01",
    )
    refusal = refused(lambda: create_plan(request, code_taken=True, uri_taken=True))
    assert codes(refusal.problems) == [
        "PLAN_MISSING_ATTRIBUTE",
        "PLAN_CODE_DUPLICATE",
        "PLAN_URI_DUPLICATE",
        "PLAN_CODE_FORMAT",
        "PLAN_TYPE_UNSUPPORTED",
        "PLAN_COUNT_OUT_OF_RANGE",
        "PLAN_DUE_DAY_TYPE_MISMATCH",
        "PLAN_DATE_INVALID",
    ]


@pytest.mark.rule("CAL-121")
def test_codes_are_the_same_ignoring_case() -> None:
    assert plan_key("Monthly-3") == plan_key("MONTHLY-3")
    assert plan_key("Monthly-3") != plan_key("MONTHLY_3")


@pytest.mark.rule("CAL-122")
def test_a_plan_is_available_from_its_effective_date_to_before_its_expiration() -> None:
    plan = plan_of()
    assert [plan.status_on(D(day)) for day in ("2024-12-31", "2025-01-01", "2025-12-31", "2026-01-01")] == [
        PlanStatus.SCHEDULED,
        PlanStatus.AVAILABLE,
        PlanStatus.AVAILABLE,
        PlanStatus.EXPIRED,
    ]
    assert plan_of(replace(REQUEST, expiration_date=None)).status_on(D("2099-01-01")) is PlanStatus.AVAILABLE
    assert usable_plan(plan, D("2025-06-01")) is plan
    assert refused(lambda: usable_plan(plan, D("2026-01-01"))).code == "PLAN_NOT_AVAILABLE"
    assert refused(lambda: usable_plan(None, D("2025-06-01"))).code == "ENTITY_NOT_FOUND"
    other = replace(plan, code="A", expiration_date=None)
    assert [item.code for item in available_plans({"m": plan, "a": other}, D("2025-06-01"))] == ["A", "MONTHLY-3"]
    assert available_plans({"m": plan, "a": other}, D("2026-06-01")) == (other,)


@pytest.mark.rule("CAL-123")
def test_an_expiration_may_be_set_or_brought_forward_but_not_into_the_past() -> None:
    plan = plan_of()
    today = D("2025-06-01")
    assert set_expiration(plan, D("2025-06-01"), today) == [
        PaymentPlanExpirationSet(code="MONTHLY-3", expiration_date=D("2025-06-01"))
    ]
    assert set_expiration(plan, D("2026-01-01"), today) == []
    open_ended = plan_of(replace(REQUEST, expiration_date=None))
    events = set_expiration(open_ended, D("2030-01-01"), today)
    expired = PAYMENT_PLANS.fold(events, open_ended)
    assert expired == replace(open_ended, expiration_date=D("2030-01-01"))
    for day in ("2025-05-31", "2026-01-02"):
        assert codes(refused(lambda day=day: set_expiration(plan, D(day), today)).problems) == ["PLAN_DATE_INVALID"]
    early = refused(lambda: set_expiration(plan, D("2025-01-01"), D("2024-06-01")))
    assert codes(early.problems) == ["PLAN_DATE_INVALID"]
    assert refused(lambda: set_expiration(None, today, today)).code == "ENTITY_NOT_FOUND"
