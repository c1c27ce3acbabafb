"""Foreign currency: rates by day, conversion by line, lots that carry what a position was worth (LED-027 to 033).

New money positions convert at the rate of their own day. Everything later moves what a position is worth by then: a lot
has an original and a base balance, and part of it takes its proportional base, the last part all that is left, so that
no rounding ever stays behind. Where two lots of one entry disagree, the difference is a realised exchange gain or loss.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from domain.errors import InvariantError, Problem, refuse
from domain.money import decimals_of, half_up, half_up_ratio

#: Decimals of a rate, at most (LED-028), and of the effective rate that is shown (LED-033).
RATE_DECIMALS = 10


@dataclass(frozen=True, slots=True)
class ExchangeRate:
    """A rate in major units (1 `from_currency` = `rate` `to_currency`), valid on days [valid_from, valid_to)."""

    from_currency: str
    to_currency: str
    rate: Fraction
    valid_from: dt.date
    valid_to: dt.date | None = None
    source: str = ""


def rate_problems(new: ExchangeRate, existing: Iterable[ExchangeRate]) -> list[Problem]:
    """RATE_INVALID: not above 0, more than 10 decimals; EXCHANGE_RATE_OVERLAP: with another of its pair (LED-028)."""
    problems = []
    decimals_fit = (new.rate * 10**RATE_DECIMALS).denominator == 1
    if new.rate <= 0 or not decimals_fit or (new.valid_to is not None and new.valid_to <= new.valid_from):
        problems.append(
            Problem("RATE_INVALID", "a rate is above zero, has 10 decimals at most, and a validity", pointer="/rate")
        )
    for other in existing:
        same_pair = (other.from_currency, other.to_currency) == (new.from_currency, new.to_currency)
        begins_before = new.valid_to is None or other.valid_from < new.valid_to
        ends_after = other.valid_to is None or new.valid_from < other.valid_to
        if same_pair and begins_before and ends_after:
            problems.append(
                Problem(
                    "EXCHANGE_RATE_OVERLAP",
                    "another rate of the pair is valid in these days",
                    pointer="/valid_from",
                    params={"valid_from": other.valid_from.isoformat()},
                )
            )
            break
    return problems


def rate_on(rates: Iterable[ExchangeRate], from_currency: str, to_currency: str, day: dt.date) -> Fraction:
    """The rate valid on the transaction's own day; 1 inside one currency; never an inverse rate (LED-027 to LED-029).

    Raises EXCHANGE_RATE_MISSING.
    """
    if from_currency == to_currency:
        return Fraction(1)
    for one in rates:
        if (one.from_currency, one.to_currency) == (from_currency, to_currency):
            until = one.valid_to
            if one.valid_from <= day and (until is None or day < until):
                return one.rate
    raise refuse(
        "EXCHANGE_RATE_MISSING", f"no rate from {from_currency} to {to_currency} on {day}", day=day.isoformat()
    )


def convert(amounts: Sequence[int], rate: Fraction, currency: str, base_currency: str) -> list[int]:
    """Base amounts of an entry's lines: each HALF_UP, the difference to HALF_UP of the total on the last (LED-030).

    Minor units of each currency; lines in line number order.
    """
    if currency == base_currency and rate == 1:
        return list(amounts)
    factor = rate * Fraction(10 ** decimals_of(base_currency), 10 ** decimals_of(currency))
    base = [half_up(amount * factor) for amount in amounts]
    if base:
        base[-1] += half_up(sum(amounts) * factor) - sum(base)
    return base


def rate_text(base: int, original: int, currency: str, base_currency: str) -> str:
    """The effective rate base ÷ original in major units with up to 10 decimals (LED-033); "1" inside one currency."""
    if currency == base_currency:
        return "1"
    if original == 0:
        return "0"
    scale = Fraction(10 ** decimals_of(currency), 10 ** decimals_of(base_currency))
    scaled = half_up(Fraction(base, original) * scale * 10**RATE_DECIMALS)
    whole, fraction = divmod(scaled, 10**RATE_DECIMALS)
    return f"{whole}.{fraction:0{RATE_DECIMALS}d}".rstrip("0").rstrip(".")


LotKey = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lot:
    """An open position: original and base balance, both ≥ 0 in minor units (LED-031)."""

    original: int
    base: int

    def take(self, amount: int) -> tuple[Lot, int]:
        """The lot less `amount`, and the base taken: HALF_UP(base × amount ÷ original), all of it with the last."""
        if not 0 <= amount <= self.original:
            raise InvariantError(f"{amount} taken from a lot of {self.original}")
        taken = self.base if amount == self.original else half_up_ratio(self.base * amount, self.original)
        return Lot(self.original - amount, self.base - taken), taken

    def add(self, amount: int, base: int) -> Lot:
        """The lot with more in it."""
        return Lot(self.original + amount, self.base + base)


EMPTY = Lot(0, 0)


@dataclass(frozen=True, slots=True)
class Undone:
    """What of an allocation or write-off is not undone yet: original, base on 1100, base on the other side."""

    original: int
    receivable_base: int
    source_base: int

    def take(self, amount: int) -> tuple[Undone, int, int]:
        """What is left after undoing `amount`, and the base amounts to post; the last part takes what is left."""
        receivable_left, receivable = Lot(self.original, self.receivable_base).take(amount)
        source_left, source = Lot(self.original, self.source_base).take(amount)
        return Undone(receivable_left.original, receivable_left.base, source_left.base), receivable, source
