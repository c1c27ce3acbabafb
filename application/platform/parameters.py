"""Setting a parameter (PLT-110)."""

from __future__ import annotations

import datetime as dt
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field

from application.command import Command, Identifier, Outcome, command, handles
from application.unit_of_work import UnitOfWork
from domain.errors import refuse
from domain.platform.parameters import (
    PARAMETER,
    Kind,
    ParameterSet,
    ParameterUnknownError,
    identifier_of,
    parameter,
    set_parameter,
)

Text = Annotated[str, Field(max_length=1000)]


@command(
    privilege="parameter.manage",
    room="13",
    summary="Set a parameter from a day on, for the system or for keys within its scope",
    example={
        "name": "recurring.waiting_days",
        "keys": {"customer_type": "ORGANIZATION"},
        "value": 5,
    },
    refusals=("ENTITY_NOT_FOUND", "VALUE_OUT_OF_RANGE", "CATEGORY_ORDER_INCOMPLETE"),
    rules=("PLT-110",),
)
class SetParameter(Command):
    """`keys` name for what the value goes, none: for the whole system. The type and range of `value` are those of the
    parameter. `effective_from` is a civil date in UTC, default today, never in the past."""

    name: Identifier
    keys: Annotated[dict[Identifier, Identifier], Field(max_length=10)] = Field(default_factory=dict)
    value: bool | int | Text | Annotated[list[Text], Field(max_length=1000)] | None
    effective_from: dt.date | None = None


@handles(SetParameter)
def set_value(wanted: SetParameter, unit: UnitOfWork) -> Outcome:
    """Set the value; the answer names the version and what went before it."""
    try:
        kind = parameter(wanted.name)
    except ParameterUnknownError:
        raise refuse(
            "ENTITY_NOT_FOUND", "there is no parameter of this name", pointer="/name", entity="parameter"
        ) from None
    if kind.kind is Kind.ZONE and isinstance(wanted.value, str):
        _require_zone(wanted.value)
    today = unit.today()
    identifier = identifier_of(kind.name, wanted.keys)
    loaded = unit.load(PARAMETER, identifier)
    unit.expect_main(PARAMETER, loaded)
    value = tuple(wanted.value) if isinstance(wanted.value, list) else wanted.value
    effective_from = wanted.effective_from or unit.effective_date or today
    occurred = set_parameter(loaded.state, kind, wanted.keys, value, effective_from, today)
    unit.append(PARAMETER, identifier, occurred, effective_date=effective_from)
    (event,) = occurred
    assert isinstance(event, ParameterSet)
    return Outcome(
        {
            "name": event.name,
            "keys": dict(event.keys),
            "version": event.version,
            "value": event.value,
            "previous_value": event.previous_value,
            "effective_from": event.effective_from.isoformat(),
        }
    )


def _require_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise refuse("VALUE_OUT_OF_RANGE", "there is no such time zone", pointer="/value") from None
