"""What is checked of a purchase before anything else: its service periods, its price components, their accounts.

A purchase names service periods, and for each the price components with the accounts that bill them. All failures are
reported together, in the order that makes the leading code (MEM-047 to MEM-052). The product's own dates are checked by
the purchase that carries them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from domain.errors import Problem


class PriceComponent(StrEnum):
    """What a price is made of (MEM-046)."""

    NET = "NET"
    TAX = "TAX"


@dataclass(frozen=True, slots=True)
class PurchasedItem:
    """A price component as it is asked for, `amount` in minor units of `currency`.

    `account` is the one named for it or inherited, None when there is neither.
    """

    component: PriceComponent
    amount: int
    currency: str
    account: str | None


@dataclass(frozen=True, slots=True)
class PurchasedPeriod:
    """A service period `[start, end)` as it is asked for, with the price components it is bought for."""

    start: dt.date
    end: dt.date
    items: tuple[PurchasedItem, ...] = ()


def purchase_problems(periods: Sequence[PurchasedPeriod], currencies: Mapping[str, str]) -> list[Problem]:
    """Every failure of bil0009, bil0008, bil0016, bil0010, bil0001 and CURRENCY_MISMATCH, in this order (MEM-049).

    `currencies` holds the currency of each account that exists. A period that fails bil0009 is left out of bil0008.
    """
    places = [(f"/service_periods/{number}", period) for number, period in enumerate(periods)]
    items = [
        (f"{place}/items/{number}", item, period.items[:number])
        for place, period in places
        for number, item in enumerate(period.items)
    ]
    sound = [(place, period) for place, period in places if period.start < period.end]
    return [
        *(
            Problem("bil0009", "A service period ends after it starts", f"{place}/end")
            for place, period in places
            if period.end <= period.start
        ),
        *(
            Problem("bil0008", "Service periods do not overlap", place)
            for (_, first), (place, second) in combinations(sound, 2)
            if first.start < second.end and second.start < first.end
        ),
        *(
            Problem("bil0016", "An amount is not negative", f"{place}/amount")
            for place, item, _ in items
            if item.amount < 0
        ),
        *(
            Problem("bil0010", "A price component stands once in a service period", f"{place}/component")
            for place, item, before in items
            if item.component in [earlier.component for earlier in before]
        ),
        *(
            Problem("bil0001", "A price component has an account that exists", f"{place}/account", item.account)
            for place, item, _ in items
            if item.account is None or item.account not in currencies
        ),
        *(
            Problem(
                "CURRENCY_MISMATCH",
                "An amount is in the currency of its account",
                f"{place}/currency",
                params={"currency": currencies[item.account]},
            )
            for place, item, _ in items
            if item.account is not None and currencies.get(item.account, item.currency) != item.currency
        ),
    ]
