"""Installments: on which dates a purchase with a payment plan is due, and how much each time, to the cent.

    service period   |----------------------------------------------------|   end exclusive
    anniversaries         ^d    ^d    ^d    ^d  ...                            min(due day, L) of each month
    installments          1     2     3                                        the earliest n, n limited by the plan
    billed to                   =2    =3                                  =end each to the next one, the last to the end

Each billable item is split on its own, so that what an installment bills can be told by item; the differences of
rounding lie on the first installment. Amounts are minor units. CAL-124 to CAL-138.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from domain.calendar.months import add_months, day_of_month, month_number
from domain.calendar.payment_plans import DueDayType, PaymentPlan, PlanType, usable_plan
from domain.errors import InvariantError, Problem, refuse
from domain.money import half_up_ratio, split_proportionally


@dataclass(frozen=True, slots=True)
class DueDayEntry:
    """A due day for installments, of an account or of a product, apart from the invoicing schedule's (CAL-124)."""

    plan_type: PlanType
    due_day_type: DueDayType
    value: int


class ComponentType(StrEnum):
    """CAL-132."""

    DEPOSIT = "DEPOSIT"
    INSTALLMENT = "INSTALLMENT"


@dataclass(frozen=True, slots=True)
class ItemPart:
    """What an installment bills of one billable item (price component x account), in minor units."""

    item: str
    amount: int


@dataclass(frozen=True, slots=True)
class Component:
    """One line of an installment schedule. `billed_to_date` is exclusive; a deposit has none (CAL-133, CAL-134)."""

    type: ComponentType
    due_date: dt.date
    parts: tuple[ItemPart, ...]
    billed_to_date: dt.date | None

    @property
    def amount(self) -> int:
        """The sum of its parts, in minor units (CAL-130)."""
        return sum(part.amount for part in self.parts)


@dataclass(frozen=True, slots=True)
class BillableItem:
    """An item to be split: its id, the account that bills it, its amount in minor units (>= 0)."""

    item: str
    account: str
    amount: int


@dataclass(frozen=True, slots=True)
class ServicePeriod:
    """`[start, end)` of the service a purchase pays for."""

    start: dt.date
    end: dt.date


@dataclass(frozen=True, slots=True)
class PlanPurchase:
    """A purchase with a payment plan. `plan` is None when its URI is unknown; `product_due_day` None when not set.

    `due_day_in_request`: the request body names a due day. `account_entries` are the due-day entries by account.
    `deposit` is in minor units.
    """

    plan: PaymentPlan | None
    transaction_date: dt.date
    service_periods: tuple[ServicePeriod, ...]
    items: tuple[BillableItem, ...]
    account_entries: Mapping[str, tuple[DueDayEntry, ...]]
    product_due_day: DueDayEntry | None = None
    due_day_in_request: bool = False
    deposit: int | None = None

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts that bill the items, ascending (CAL-131)."""
        return tuple(sorted({item.account for item in self.items}))


@dataclass(frozen=True, slots=True)
class AccountSchedule:
    """The components one account bills for a purchase, and the due day they follow (CAL-131).

    `due_day` is None for an imported schedule without one.
    """

    account: str
    due_day: int | None
    components: tuple[Component, ...]


def has_installments(plan_uri: str | None) -> bool:
    """Whether a product is billed by installments; then it has no modal premium, else no installments (CAL-125)."""
    return plan_uri is not None


def single_due_date(effective: dt.date, transaction_date: dt.date) -> dt.date:
    """The one due date of a purchase without plan (CAL-125)."""
    return max(effective, transaction_date)


def anniversary_dates(due_day: int, period: ServicePeriod, transaction_date: dt.date) -> tuple[dt.date, ...]:
    """`min(due day, L)` of each month, not before service start and transaction date, before the end (CAL-128)."""
    first = max(period.start, transaction_date)
    months = range(month_number(first), month_number(period.end) + 1)
    dates = (day_of_month(month, due_day) for month in months)
    return tuple(day for day in dates if first <= day < period.end)


def split_amount(amount: int, count: int) -> tuple[int, ...]:
    """An item's amount over the installments: HALF_UP shares, the rounding difference on the first (CAL-130).

    Should the first share get the other sign, the others are rounded down (towards zero) instead. The parts add up.
    """
    share = half_up_ratio(amount, count)
    if (amount - share * (count - 1)) * (1 if amount >= 0 else -1) < 0:
        share = abs(amount) // count * (1 if amount >= 0 else -1)
    return (amount - share * (count - 1), *(share for _ in range(count - 1)))


def schedule_purchase(purchase: PlanPurchase) -> tuple[AccountSchedule, ...]:
    """The installment schedules of a purchase, one per account in order of account (CAL-126 to CAL-134).

    Refuses with the first failure of CAL-126: ENTITY_NOT_FOUND, PLAN_NOT_AVAILABLE, SERVICE_PERIOD_COUNT_INVALID,
    bil0040, bil0041, bil0002; then DEPOSIT_OUT_OF_RANGE.
    """
    plan, period = checked_purchase(purchase)
    accounts = purchase.accounts
    due_days = {account: _due_day(purchase, plan, account) for account in accounts}
    dates = {}
    for account, due_day in due_days.items():
        all_dates = anniversary_dates(due_day, period, purchase.transaction_date)
        if not all_dates:
            raise refuse("bil0002", "No due date lies in the service period", pointer="/service_periods/0")
        dates[account] = all_dates[: plan.max_installments]
    deposit = _deposit_parts(purchase, accounts)
    return tuple(
        AccountSchedule(
            account,
            due_days[account],
            _components(purchase, period, account, dates[account], deposit),
        )
        for account in accounts
    )


def checked_purchase(purchase: PlanPurchase) -> tuple[PaymentPlan, ServicePeriod]:
    """The plan and the one service period of a purchase. Refuses with the first failure of CAL-126 up to bil0040."""
    plan = usable_plan(purchase.plan, purchase.transaction_date)
    if len(purchase.service_periods) != 1:
        raise refuse(
            "SERVICE_PERIOD_COUNT_INVALID", "A purchase with a plan has one service period", pointer="/service_periods"
        )
    if purchase.due_day_in_request:
        raise refuse("bil0040", "A due day is configured, not requested", pointer="/due_day")
    return plan, purchase.service_periods[0]


def configured_due_day(purchase: PlanPurchase, plan: PaymentPlan, account: str) -> int | None:
    """The due day of an account: the product's, else that of its one fitting entry; None without (CAL-126, CAL-127)."""
    product = purchase.product_due_day
    if product is not None and _fits(product, plan.type):
        return product.value
    entries = [entry for entry in purchase.account_entries.get(account, ()) if _fits(entry, plan.type)]
    return entries[0].value if len(entries) == 1 else None


def _due_day(purchase: PlanPurchase, plan: PaymentPlan, account: str) -> int:
    due_day = configured_due_day(purchase, plan, account)
    if due_day is None:
        raise refuse("bil0041", "No due day is configured for the plan", pointer="/plan_uri", account=account)
    return due_day


def _fits(entry: DueDayEntry, plan_type: PlanType) -> bool:
    return entry.due_day_type is DueDayType.DAY_OF_MONTH and entry.plan_type is plan_type


def _deposit_parts(purchase: PlanPurchase, accounts: Sequence[str]) -> dict[str, int]:
    """What the deposit takes from each item, in proportion, the difference on the last item by id (CAL-133).

    Decision: a deposit on a purchase over several accounts has no one total to be measured by and is refused alike.
    """
    if purchase.deposit is None:
        return {}
    total = sum(item.amount for item in purchase.items)
    if len(accounts) != 1 or not 0 < purchase.deposit < total:
        raise refuse(
            "DEPOSIT_OUT_OF_RANGE",
            "A deposit is above zero, below the total, and on one account",
            pointer="/deposit_amount",
        )
    items = sorted(purchase.items, key=lambda item: item.item)
    amounts = [item.amount for item in items]
    shares = split_proportionally(purchase.deposit, amounts, ceilings=amounts)
    return {item.item: share for item, share in zip(items, shares, strict=True)}


def _components(
    purchase: PlanPurchase,
    period: ServicePeriod,
    account: str,
    dates: Sequence[dt.date],
    deposit: Mapping[str, int],
) -> tuple[Component, ...]:
    items = sorted((item for item in purchase.items if item.account == account), key=lambda item: item.item)
    splits = {item.item: split_amount(item.amount - deposit.get(item.item, 0), len(dates)) for item in items}
    components = [
        Component(
            ComponentType.INSTALLMENT,
            due_date,
            tuple(ItemPart(item.item, splits[item.item][index]) for item in items),
            billed_to,
        )
        for index, (due_date, billed_to) in enumerate(zip(dates, billed_to_dates(dates, period.end), strict=True))
    ]
    if deposit:
        parts = tuple(ItemPart(item.item, deposit[item.item]) for item in items)
        components.insert(
            0, Component(ComponentType.DEPOSIT, max(period.start, purchase.transaction_date), parts, None)
        )
    if sum(component.amount for component in components) != sum(item.amount for item in items):
        raise InvariantError("the installments do not add up to the billable items")
    return tuple(components)


def billed_to_dates(due_dates: Sequence[dt.date], service_end: dt.date) -> tuple[dt.date, ...]:
    """Up to when each installment bills, exclusive: to the next due date, the last to the service end (CAL-134)."""
    return (*(later for _, later in pairwise(due_dates)), service_end)


def imported_billed_to_dates(count: int, term_effective: dt.date, term_expiration: dt.date) -> tuple[dt.date, ...]:
    """The same for `count` imported installments without a due day of the month: by months of the term (CAL-134)."""
    return (*(add_months(term_effective, number) for number in range(1, count)), term_expiration)


@dataclass(frozen=True, slots=True)
class GivenComponent:
    """A component as it is given from outside, an import; None where an attribute is missing. Amount in minor units."""

    type: str | None
    due_date: dt.date | None
    amount: int | None


def component_problems(components: Sequence[GivenComponent], total: int) -> list[Problem]:
    """What is wrong with a given schedule of a billable total in minor units (CAL-132).

    INSTALLMENT_TYPE_INVALID, INSTALLMENT_DUE_DATE_MISSING and REQUEST_INVALID (amount) by component, then
    INSTALLMENT_SUM_MISMATCH.
    """
    problems = []
    for index, component in enumerate(components):
        place = f"/installments/{index}"
        if component.type not in ComponentType.__members__:
            problems.append(
                Problem("INSTALLMENT_TYPE_INVALID", "A component is DEPOSIT or INSTALLMENT", f"{place}/type")
            )
        if component.due_date is None:
            problems.append(Problem("INSTALLMENT_DUE_DATE_MISSING", "A component has a due date", f"{place}/due_date"))
        if component.amount is None:
            problems.append(Problem("REQUEST_INVALID", "A component has an amount", f"{place}/amount"))
    if sum(component.amount or 0 for component in components) != total:
        problems.append(
            Problem("INSTALLMENT_SUM_MISMATCH", "The components do not add up to the billable total", "/installments")
        )
    return problems


def entry_problems(entries: Sequence[DueDayEntry]) -> list[Problem]:
    """DUE_DAYS_INVALID for an entry whose value is no day of its type (SetInstallmentDueDays)."""
    return [
        Problem(
            "DUE_DAYS_INVALID",
            "A due day is a day of the month 1 to 31 or an ISO weekday 1 to 7",
            f"/entries/{index}/value",
        )
        for index, entry in enumerate(entries)
        if not 1 <= entry.value <= (31 if entry.due_day_type is DueDayType.DAY_OF_MONTH else 7)
    ]


@dataclass(frozen=True, slots=True)
class Anniversary:
    """The `anniversary_date` of an invoice, None when it stays empty, and the code to be logged, if any (CAL-138)."""

    date: dt.date | None
    log_code: str | None = None


def anniversary_date(entries: Sequence[DueDayEntry], plan_type: PlanType | None, system_date: dt.date) -> Anniversary:
    """The first date strictly after the system date with the account entry's day (CAL-138).

    `plan_type` is None for an account without plan.
    """
    if len(entries) > 1:
        return Anniversary(None, "MULTIPLE_DUE_DAY_ENTRIES")
    if plan_type is None or not entries or not _fits(entries[0], plan_type):
        return Anniversary(None)
    month = month_number(system_date)
    days = (day_of_month(at, entries[0].value) for at in (month, month + 1))
    return Anniversary(next(day for day in days if day > system_date))
