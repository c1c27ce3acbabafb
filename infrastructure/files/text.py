"""From bytes to characters, and the few lexical values all formats share: exact amounts and civil dates.

X12 and BAI2 name no character set. UTF-8 is tried first; what is not UTF-8 is read as Windows-1252, the usual set of
partners' systems, or at last as Latin-1, which cannot fail. Characters that no text holds are defects, not exceptions.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache

from domain.money import AmountFormatError, decimals_of, parse_amount

#: An X12 or XML decimal: optional minus, digits with an optional point, at least one digit. No exponent.
_DECIMAL = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)\Z")
_SIGNED = re.compile(r"[+-]?[0-9]{1,18}\Z")
_COUNT = re.compile(r"[0-9]{1,18}\Z")


def decode(content: bytes) -> str:
    """The text of a file that names no character set; a byte order mark is dropped. Never fails."""
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def exact_minor(text: str, currency: str) -> int:
    """Minor units of a decimal text, exactly: zeros beyond the currency's decimals are fine, other digits are not.

    Raises AmountFormatError (domain.money), CurrencyNotSupportedError.
    """
    places = decimals_of(currency)
    if not _DECIMAL.match(text):
        raise AmountFormatError("not a decimal number")
    sign = "-" if text.startswith("-") else ""
    whole, _, fraction = text.lstrip("-").partition(".")
    fraction = fraction[:places] + fraction[places:].rstrip("0")
    return parse_amount(f"{sign}{whole.lstrip('0') or '0'}{'.' if fraction else ''}{fraction}", currency)


def whole_number(text: str) -> int | None:
    """A count of ASCII digits (at most 18), or None."""
    return int(text) if _COUNT.match(text) else None


def signed_whole_number(text: str) -> int | None:
    """ASCII digits (at most 18) with an optional sign, or None."""
    return int(text) if _SIGNED.match(text) else None


@lru_cache(maxsize=50_000)
def compact_date(text: str) -> dt.date | None:
    """A civil date from CCYYMMDD, or None. Cached: a file repeats few dates many times."""
    if len(text) != 8 or not _COUNT.match(text):
        return None
    try:
        return dt.date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def short_date(text: str) -> dt.date | None:
    """A civil date from YYMMDD, years 1969 to 2068 (the POSIX pivot), or None."""
    if len(text) != 6 or not _COUNT.match(text):
        return None
    year = int(text[:2])
    return compact_date(f"{19 if year >= 69 else 20}{text}")


def clock_time(text: str) -> dt.time | None:
    """A time from HHMM, HHMMSS, HHMMSSD or HHMMSSDD (tenths, hundredths), or None."""
    if not 4 <= len(text) <= 8 or len(text) == 5 or not _COUNT.match(text):
        return None
    try:
        return dt.time(
            int(text[:2]), int(text[2:4]), int(text[4:6] or 0), int(text[6:].ljust(2, "0") if text[6:] else 0) * 10_000
        )
    except ValueError:
        return None
