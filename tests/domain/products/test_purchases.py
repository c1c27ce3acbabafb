"""The checks of a purchase: every failure, in the order that makes the leading code."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.products.purchases import PriceComponent, PurchasedItem, PurchasedPeriod, purchase_problems

NET, TAX = PriceComponent.NET, PriceComponent.TAX
CURRENCIES = {"A": "USD", "B": "EUR"}


def item(
    component: PriceComponent = NET, amount: int = 100, currency: str = "USD", account: str | None = "A"
) -> PurchasedItem:
    return PurchasedItem(component, amount, currency, account)


def period(start: str, end: str, *items: PurchasedItem) -> PurchasedPeriod:
    return PurchasedPeriod(dt.date.fromisoformat(start), dt.date.fromisoformat(end), items or (item(),))


def told(*periods: PurchasedPeriod) -> list[tuple[str, str | None]]:
    return [(problem.code, problem.pointer) for problem in purchase_problems(periods, CURRENCIES)]


@pytest.mark.rule("MEM-048", "MEM-049", "MEM-052")
def test_every_failure_is_told_in_the_order_of_the_leading_code() -> None:
    wrong = (
        item(account=None),
        item(account="NOBODY"),
        item(TAX, -5),
        item(TAX, currency="EUR", account="B"),
        item(PriceComponent.NET, currency="EUR"),
    )
    assert told(
        period("2025-01-01", "2025-01-01", *wrong),
        period("2025-02-01", "2025-03-01"),
        period("2025-02-28", "2025-04-01"),
    ) == [
        ("bil0009", "/service_periods/0/end"),
        ("bil0008", "/service_periods/2"),
        ("bil0016", "/service_periods/0/items/2/amount"),
        ("bil0010", "/service_periods/0/items/1/component"),
        ("bil0010", "/service_periods/0/items/3/component"),
        ("bil0010", "/service_periods/0/items/4/component"),
        ("bil0001", "/service_periods/0/items/0/account"),
        ("bil0001", "/service_periods/0/items/1/account"),
        ("CURRENCY_MISMATCH", "/service_periods/0/items/4/currency"),
    ]


@pytest.mark.rule("MEM-048")
def test_periods_may_touch_a_component_may_stand_in_each_and_zero_is_an_amount() -> None:
    assert (
        told(
            period("2025-01-01", "2025-02-01", item(amount=0), item(TAX)),
            period("2025-02-01", "2025-03-01", item(), item(TAX, currency="EUR", account="B")),
        )
        == []
    )


@pytest.mark.rule("MEM-049")
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(-3, 20)).map(
            lambda one: PurchasedPeriod(
                dt.date(2025, 1, 1) + dt.timedelta(one[0]), dt.date(2025, 1, 1) + dt.timedelta(one[0] + one[1])
            )
        ),
        max_size=5,
    )
)
def test_periods_are_accepted_when_each_has_days_and_no_day_lies_in_two(periods: list[PurchasedPeriod]) -> None:
    days = [one.start + dt.timedelta(n) for one in periods for n in range((one.end - one.start).days)]
    sound = all(one.start < one.end for one in periods)
    assert (purchase_problems(periods, {}) == []) == (sound and len(days) == len(set(days)))
