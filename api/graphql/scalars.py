"""Values the whole schema shares: money as decimal text with its currency, log positions, JSON payloads."""

from __future__ import annotations

import datetime as dt
import re
from contextlib import suppress
from typing import Any, Final, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

from application.command import FIRST_DAY, LAST_DAY, is_day_in_bounds
from domain.money import format_amount

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

#: RFC 3339: date, time with seconds, offset. A moment without its offset is none (PLT-073).
_MOMENT: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)

#: A position of the event log.
Position = NewType("Position", int)
#: The payload of an event.
Payload = NewType("Payload", object)


def _position(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError("a position is a whole number from 0 to 2^63 - 1")
    return value


def _date(value: Any) -> dt.date:
    if isinstance(value, str) and _DATE.fullmatch(value) and is_day_in_bounds(day := dt.date.fromisoformat(value)):
        return day
    raise ValueError(f"a date has the form YYYY-MM-DD, from {FIRST_DAY} to {LAST_DAY}")


def _moment(value: Any) -> dt.datetime:
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        with suppress(OverflowError):
            moment = dt.datetime.fromisoformat(value.upper()).astimezone(dt.UTC)
            if is_day_in_bounds(moment.date()):
                return moment
    raise ValueError(
        f"a moment has the form YYYY-MM-DDTHH:MM:SS with Z or an offset such as +02:00, from {FIRST_DAY} to {LAST_DAY}"
    )


def _shown_moment(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


#: How the schema shows them.
SCALARS: dict[object, ScalarDefinition] = {
    dt.date: strawberry.scalar(
        name="Date", description="Date (isoformat)", serialize=dt.date.isoformat, parse_value=_date
    ),
    dt.datetime: strawberry.scalar(
        name="DateTime",
        description="A moment (RFC 3339): shown in UTC with Z; taken with any offset, and never without one.",
        serialize=_shown_moment,
        parse_value=_moment,
    ),
    Position: strawberry.scalar(
        name="Position",
        description="A position of the event log: a whole number of up to 63 bits.",
        serialize=int,
        parse_value=_position,
    ),
    Payload: strawberry.scalar(
        name="Payload",
        description="The payload of an event: any JSON value, with amounts as whole minor units, as it is stored.",
        serialize=lambda value: value,
        parse_value=lambda value: value,
    ),
}


@strawberry.type(description="An amount of money.")
class Money:
    amount: str = strawberry.field(description="A decimal number with all digits of the currency, such as -12.50.")
    currency: str = strawberry.field(description="ISO 4217 code.")


def money(minor_units: int, currency: str) -> Money:
    """Minor units as the schema shows them."""
    return Money(amount=format_amount(minor_units, currency), currency=currency)
