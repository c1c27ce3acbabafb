"""Money as integer minor units with a currency, and the only two ways it is ever rounded or split.

Every amount in the system is an `int` of minor units (cents for USD, yen for JPY, fils for KWD). A rate is an exact
`Fraction`; it becomes money once, at the very end, by `half_up`. The decimal text form is for the edge only:
`parse_amount` on the way in, `format_amount` on the way out (PLT-073, PLT-111).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

_DECIMAL = re.compile(r"^-?(?:0|[1-9]\d{0,17})(?:\.\d+)?$")

#: Minor-unit decimals by ISO 4217 code. Only currencies with 0, 2 or 3 decimals are supported (PLT-111).
_ZERO = ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF")
_THREE = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
_TWO = (
    "AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BMD", "BND", "BOB", "BRL",
    "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHF", "CNY", "COP", "CRC", "CUP", "CVE", "CZK", "DKK", "DOP",
    "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GHS", "GIP", "GMD", "GTQ", "GYD", "HKD", "HNL",
    "HTG", "HUF", "IDR", "ILS", "INR", "IRR", "JMD", "KES", "KGS", "KHR", "KPW", "KYD", "KZT", "LAK", "LBP", "LKR",
    "LRD", "LSL", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MYR", "MZN",
    "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "QAR", "RON", "RSD", "RUB",
    "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL", "THB",
    "TJS", "TMT", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "USD", "UYU", "UZS", "VES", "WST", "XCD", "YER", "ZAR",
    "ZMW",
)  # fmt: skip
CURRENCY_DECIMALS: dict[str, int] = {
    **dict.fromkeys(_ZERO, 0),
    **dict.fromkeys(_TWO, 2),
    **dict.fromkeys(_THREE, 3),
}


class AmountFormatError(ValueError):
    """The text is not a decimal amount of the currency (PLT-073). Carries a message fit for a user."""


class CurrencyNotSupportedError(ValueError):
    """The currency is unknown or has other than 0, 2 or 3 decimals (PLT-111, CURRENCY_NOT_SUPPORTED)."""


def decimals_of(currency: str) -> int:
    """Number of minor-unit decimals of an ISO 4217 currency. Raises CurrencyNotSupportedError (PLT-111)."""
    try:
        return CURRENCY_DECIMALS[currency]
    except KeyError:
        raise CurrencyNotSupportedError(f"currency {currency!r} is not supported") from None


@dataclass(frozen=True, slots=True)
class Money:
    """An amount: `minor` units of `currency`. Amounts of different currencies are never added (BAL-001)."""

    minor: int
    currency: str

    def __str__(self) -> str:
        return f"{format_amount(self.minor, self.currency)} {self.currency}"


def parse_amount(text: str, currency: str) -> int:
    """Minor units of a decimal text such as "-12.50"; fewer decimals than the currency's are fine, more are not.

    Raises AmountFormatError, CurrencyNotSupportedError. No separators, exponent or plus sign (PLT-073).
    """
    places = decimals_of(currency)
    if not _DECIMAL.match(text):
        raise AmountFormatError("an amount is a decimal number such as 1234.50, without separators or exponent")
    sign = -1 if text.startswith("-") else 1
    whole, _, fraction = text.lstrip("-").partition(".")
    if len(fraction) > places:
        raise AmountFormatError(f"more decimals than {currency} has ({places})")
    scale = int(10**places)
    return sign * (int(whole) * scale + int((fraction + "0" * places)[:places] or "0"))


def format_amount(minor: int, currency: str) -> str:
    """Decimal text with exactly the currency's decimals; zero has no sign (PLT-073)."""
    places = decimals_of(currency)
    digits = str(abs(minor)).rjust(places + 1, "0")
    body = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    return f"-{body}" if minor < 0 else body


def half_up(value: Fraction | int) -> int:
    """Round to the nearest integer, ties away from zero (HALF_UP). The one rounding of the system."""
    if isinstance(value, int):
        return value
    return half_up_ratio(value.numerator, value.denominator)


def half_up_ratio(numerator: int, denominator: int) -> int:
    """HALF_UP of numerator / denominator (denominator > 0), in integers only: the fast path of `half_up`."""
    if numerator >= 0:
        return (2 * numerator + denominator) // (2 * denominator)
    return -((-2 * numerator + denominator) // (2 * denominator))


def split_proportionally(
    minor: int, weights: Sequence[int | Fraction], ceilings: Sequence[int] | None = None
) -> list[int]:
    """Split a non-negative amount by weight, each share HALF_UP, the difference on the last share.

    A share never falls below 0 nor, with `ceilings`, above its ceiling: what the last share cannot take or give is
    passed to the share before it, and so on (PAY-043). The shares add up to `minor` exactly.
    """
    total = sum(weights)
    if not weights or total == 0:
        return [0] * len(weights)
    shares = [half_up(Fraction(minor) * weight / total) for weight in weights]
    if ceilings is not None:
        shares = [min(share, ceiling) for share, ceiling in zip(shares, ceilings, strict=True)]
    difference = minor - sum(shares)
    for index in range(len(shares) - 1, -1, -1):
        if difference == 0:
            break
        share = max(shares[index] + difference, 0)
        moved = (share if ceilings is None else min(share, ceilings[index])) - shares[index]
        shares[index] += moved
        difference -= moved
    return shares
