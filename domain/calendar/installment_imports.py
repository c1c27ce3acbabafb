"""Installment schedules that come ready from another system: checked, not computed (CAL-132, CAL-134).

A policy in the middle of its term is brought over with the due dates and amounts its customer was promised. They are
kept as they are; only what each installment bills of which item, and up to when, is worked out here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from domain.calendar.installments import (
    AccountSchedule,
    BillableItem,
    Component,
    ComponentType,
    GivenComponent,
    ItemPart,
    PlanPurchase,
    ServicePeriod,
    billed_to_dates,
    checked_purchase,
    component_problems,
    configured_due_day,
    imported_billed_to_dates,
)
from domain.errors import Problem, refuse_if_any
from domain.money import split_proportionally


def schedule_given(purchase: PlanPurchase, given: Sequence[GivenComponent]) -> AccountSchedule:
    """The schedule of a purchase whose components are given, by due date.

    Refuses as `checked_purchase` does; then, all together, the codes of CAL-132 and REQUEST_INVALID for a negative
    amount, for a deposit beside the given components and for items on several accounts.

    decision: given components are those of one account; they say nothing of how they are shared between several.
    """
    plan, period = checked_purchase(purchase)
    problems = component_problems(given, sum(item.amount for item in purchase.items))
    problems += [
        Problem("REQUEST_INVALID", "An amount is not negative", f"/installments/{index}/amount")
        for index, component in enumerate(given)
        if component.amount is not None and component.amount < 0
    ]
    if purchase.deposit is not None:
        problems.append(Problem("REQUEST_INVALID", "A deposit is one of the given components", "/deposit_amount"))
    if len(purchase.accounts) != 1:
        problems.append(Problem("REQUEST_INVALID", "A given schedule is that of one account", "/installments"))
    refuse_if_any(problems)
    (account,) = purchase.accounts
    due_day = configured_due_day(purchase, plan, account)
    return AccountSchedule(account, due_day, _components(given, purchase.items, period, due_day))


def _components(
    given: Sequence[GivenComponent], items: Iterable[BillableItem], period: ServicePeriod, due_day: int | None
) -> tuple[Component, ...]:
    ordered = sorted(
        (ComponentType(one.type), one.due_date, one.amount)
        for one in given
        if one.type is not None and one.due_date is not None and one.amount is not None
    )
    ordered.sort(key=lambda one: one[1])
    dates = [due_date for type_, due_date, _ in ordered if type_ is ComponentType.INSTALLMENT]
    months = imported_billed_to_dates(len(dates), period.start, period.end)
    billed_to = iter(months if due_day is None else billed_to_dates(dates, period.end))
    left = {item.item: item.amount for item in sorted(items, key=lambda item: item.item)}
    components = []
    for type_, due_date, amount in ordered:
        parts = split_proportionally(amount, list(left.values()), ceilings=list(left.values()))
        left = {item: rest - part for (item, rest), part in zip(left.items(), parts, strict=True)}
        components.append(
            Component(
                type_,
                due_date,
                tuple(ItemPart(item, part) for item, part in zip(left, parts, strict=True)),
                next(billed_to) if type_ is ComponentType.INSTALLMENT else None,
            )
        )
    return tuple(components)
