"""Modal premium and daily rates: what an annual amount comes to for a period, and for a day of it.

Both are plain integer quotients, so that the many can be priced fast and nothing is lost before the one rounding. A
rate is kept as *weight over denominator*: the denominator belongs to the period and its proration basis, the weights of
its days add up, and `half_up_ratio(sum of weights, denominator)` is the premium of the days.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.calendar.frequency import Frequency
from domain.money import decimals_of, half_up_ratio

_COMMON, _LEAP = 365, 366


class ProrationBasis(StrEnum):
    """By what a day is charged (PRM-024)."""

    ANNUAL_365 = "ANNUAL_365"
    ANNUAL_ACTUAL = "ANNUAL_ACTUAL"
    MODAL_PERIOD_DAYS = "MODAL_PERIOD_DAYS"


@dataclass(frozen=True, slots=True)
class BasisFrom:
    """The proration basis of modal periods that start on `first` or later, until the next one of the same policy.

    `master_policy` None: of every policy that has none of its own. Before the first it is the shipped one.
    """

    master_policy: str | None
    first: dt.date
    basis: ProrationBasis


def basis_on(
    bases: Sequence[BasisFrom], master_policy: str, period_start: dt.date, otherwise: ProrationBasis
) -> ProrationBasis:
    """The basis of a policy's modal period by its first day; `bases` of a policy are in the order of their days."""
    own = [one for one in bases if one.master_policy == master_policy]
    begun = [one.basis for one in own or bases if one.first <= period_start and (own or one.master_policy is None)]
    return begun[-1] if begun else otherwise


def paymode(modality: Frequency, gap_months: int = 0) -> int:
    """Periods by which an annual amount is divided: the modality's, or the active months of a seasonal account."""
    return 12 - gap_months if gap_months else modality.paymode


def modal_premium(annual: int, modality: Frequency, gap_months: int = 0) -> int:
    """The modal premium in minor units: annual / paymode, rounded once (PRM-021, PRM-145)."""
    return half_up_ratio(annual, paymode(modality, gap_months))


@dataclass(frozen=True, slots=True)
class DailyRate:
    """How the days of one full modal period [start, end) are charged (PRM-024); `paymode` includes seasonal gaps."""

    basis: ProrationBasis
    paymode: int
    start: dt.date
    end: dt.date

    @property
    def denominator(self) -> int:
        """The denominator of every weight of the period."""
        if self.basis is ProrationBasis.ANNUAL_365:
            return _COMMON
        if self.basis is ProrationBasis.ANNUAL_ACTUAL:
            return _COMMON * _LEAP
        return (self.end - self.start).days

    def modal(self, annual: int) -> int:
        """The modal premium of the annual amount in minor units."""
        return half_up_ratio(annual, self.paymode)

    def weight(self, annual: int, first: dt.date, end: dt.date) -> int:
        """The premium of the days [first, end) in minor units, times the denominator."""
        if self.basis is ProrationBasis.ANNUAL_365:
            return annual * (end - first).days
        if self.basis is ProrationBasis.ANNUAL_ACTUAL:
            leap = _leap_days(first, end)
            return annual * (leap * _COMMON + ((end - first).days - leap) * _LEAP)
        return half_up_ratio(annual, self.paymode) * (end - first).days


def _leap_days(first: dt.date, end: dt.date) -> int:
    """Days of [first, end) that lie in leap calendar years."""
    days = 0
    for year in range(first.year, end.year + 1):
        if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
            low = max(first, dt.date(year, 1, 1))
            high = min(end, dt.date(year + 1, 1, 1)) if year < dt.MAXYEAR else end
            days += max((high - low).days, 0)
    return days


#: Lengths of the months for which a daily rate of the modal premium is shown.
SHOWN_MONTH_LENGTHS = (28, 29, 30, 31)
_SHOWN_DECIMALS = 8


def shown_daily_rates(modal: int, currency: str) -> tuple[str, ...]:
    """The stored daily rates of a modal premium for months of 28 to 31 days, in major units with 8 decimals (PRM-146).

    For display; charges use the exact quotient. Raises CurrencyNotSupportedError.
    """
    scale = 10 ** (_SHOWN_DECIMALS - decimals_of(currency))
    return tuple(_decimal(half_up_ratio(modal * scale, days)) for days in SHOWN_MONTH_LENGTHS)


def _decimal(scaled: int) -> str:
    digits = str(abs(scaled)).rjust(_SHOWN_DECIMALS + 1, "0")
    return f"{'-' if scaled < 0 else ''}{digits[:-_SHOWN_DECIMALS]}.{digits[-_SHOWN_DECIMALS:]}"
