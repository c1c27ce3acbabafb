"""Parameters: what each may hold, the value in force on a day for given keys, and all values ever set (PLT-110)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from api.graphql.context import Context
from api.graphql.guard import read
from api.graphql.paging import (
    DEFAULT_PAGE,
    After,
    Connection,
    First,
    check_page,
    connection,
    cursor_of,
    fingerprint_of,
    page_of,
)
from api.graphql.scalars import Payload, Position
from domain.errors import Problem, refuse_if_any
from domain.platform.parameters import (
    KEY_VALUES,
    PARAMETER,
    PARAMETERS,
    Kind,
    ParameterType,
    Value,
    ValueInForce,
    identifiers_for,
    value_in_force,
)


@strawberry.input(description="For what a parameter's value is asked, such as `bill_type` LIST_BILL.")
class ParameterKeyInput:
    key: str = strawberry.field(description="The key.")
    value: str = strawberry.field(description="Its value.")


@strawberry.type(description="For what a parameter's value goes.")
class ParameterKey:
    key: str = strawberry.field(description="The key.")
    value: str = strawberry.field(description="Its value.")


@strawberry.type(description="The value that goes on a day, with what it came from.")
class ParameterInForce:
    value: Payload | None = strawberry.field(description="The value, by the parameter's type; amounts are texts.")
    keys: list[ParameterKey] = strawberry.field(description="The keys it was set for; none: it goes for the system.")
    version: int = strawberry.field(description="Its version for these keys; 0: it is the default.")


@strawberry.type(description="A value that was set, and the day from which it goes.")
class ParameterSetting:
    keys: list[ParameterKey] = strawberry.field(description="The keys it was set for; none: it goes for the system.")
    version: int = strawberry.field(description="Its version for these keys, from 1 on.")
    value: Payload | None = strawberry.field(description="The value.")
    previous_value: Payload | None = strawberry.field(description="What went before it.")
    effective_from: dt.date = strawberry.field(description="The first day it goes.")
    recorded_at: dt.datetime = strawberry.field(description="When it was set, in UTC.")
    actor: str = strawberry.field(description="Who set it.")
    position: Position = strawberry.field(description="The position of its event.")


@strawberry.type(description="A parameter: a figure or switch that an insurer may set with `SetParameter`.")
class Parameter:
    name: strawberry.ID = strawberry.field(description="Its full name, with its domain.")
    room: str = strawberry.field(description="The document of the rulebook it belongs to.")
    type: str = strawberry.field(description="BOOLEAN, INTEGER, CHOICE, CHOICES, CODES, TEXT, AMOUNT, TIME, CRON ...")
    unit: str | None = strawberry.field(description="What an INTEGER counts, if that needs a word.")
    lowest: int | None = strawberry.field(description="The least INTEGER.")
    highest: int | None = strawberry.field(description="The greatest INTEGER.")
    choices: list[str] = strawberry.field(description="What CHOICE and CHOICES are taken from.")
    nullable: bool = strawberry.field(description="Whether it may be without a value.")
    scope: list[str] = strawberry.field(description="The keys it may be set for, from general to special; none: none.")
    default: Payload | None = strawberry.field(description="The value for the asked keys while nothing is set.")
    kind: strawberry.Private[ParameterType]
    asked: strawberry.Private[Mapping[str, str]]
    day: strawberry.Private[dt.date]

    @strawberry.field(description="The value in force on the day for the asked keys.")
    async def in_force(self, info: strawberry.Info) -> ParameterInForce:
        context: Context = info.context
        name = ("parameters in force", tuple(sorted(self.asked.items())), self.day)
        found = await context.batched(
            name, lambda names: _in_force(context, names, self.asked, self.day), self.kind.name
        )
        assert found is not None
        return ParameterInForce(value=_shown(found.value), keys=_keys(dict(found.keys)), version=found.version)

    @strawberry.field(description="The values ever set for any keys, in the order in which they were set.")
    def settings(
        self, info: strawberry.Info, first: First = DEFAULT_PAGE, after: After = None
    ) -> Connection[ParameterSetting]:
        context: Context = info.context
        fingerprint = fingerprint_of("parameter settings", (), {"name": self.kind.name})
        place = check_page(first, after, fingerprint, 2)
        rows = context.history.family(
            PARAMETER.stream(self.kind.name), after=(place[0], place[1]) if place else None, limit=first + 1
        )
        cursors = [cursor_of(fingerprint, found) for _, found in rows[:first]]
        nodes = [_setting(row) for row, _ in rows[:first]]
        return connection(nodes, cursors, len(rows) > first, after is not None, None)


def _in_force(context: Context, names: list[str], keys: Mapping[str, str], day: dt.date) -> Mapping[str, ValueInForce]:
    """The values of parameters for the same keys on a day, with one query."""
    streams = {name: identifiers_for(PARAMETERS[name], keys) for name in names}
    states = context.history.states(PARAMETER, {one for several in streams.values() for one in several})
    return {
        name: value_in_force(PARAMETERS[name], keys, [states[one].state for one in several if one in states], day)
        for name, several in streams.items()
    }


def _shown(value: Value) -> Payload | None:
    if value is None:
        return None
    return Payload(list(value) if isinstance(value, tuple) else value)


def _keys(keys: Mapping[str, str]) -> list[ParameterKey]:
    return [ParameterKey(key=key, value=value) for key, value in sorted(keys.items())]


def _setting(row: dict[str, Any]) -> ParameterSetting:
    event = row["payload"]
    return ParameterSetting(
        keys=_keys(event["keys"]),
        version=event["version"],
        value=event["value"],
        previous_value=event["previous_value"],
        effective_from=dt.date.fromisoformat(event["effective_from"]),
        recorded_at=row["recorded_at"],
        actor=row["actor"],
        position=row["position"],
    )


def _parameter(kind: ParameterType, keys: Mapping[str, str], day: dt.date) -> Parameter:
    whole = kind.kind is Kind.INTEGER
    return Parameter(
        name=strawberry.ID(kind.name),
        room=kind.document,
        type=kind.kind.value,
        unit=kind.unit or None,
        lowest=kind.low if whole else None,
        highest=kind.high if whole else None,
        choices=list(kind.choices),
        nullable=kind.nullable,
        scope=list(kind.keys),
        default=_shown(kind.default_for(keys)),
        kind=kind,
        asked=keys,
        day=day,
    )


def _asked(keys: list[ParameterKeyInput]) -> dict[str, str]:
    """The keys. Raises REQUEST_INVALID for one that no parameter has, with a value it cannot have, or named twice."""
    known = {key for kind in PARAMETERS.values() for key in kind.keys}
    problems = []
    asked: dict[str, str] = {}
    for index, one in enumerate(keys):
        allowed = KEY_VALUES.get(one.key)
        if one.key not in known:
            message = f"no parameter is set by {one.key}"
        elif one.key in asked:
            message = f"{one.key} is named twice"
        elif allowed is not None and one.value not in allowed:
            message = f"{one.key} is one of {', '.join(allowed)}"
        else:
            asked[one.key] = one.value
            continue
        problems.append(Problem("REQUEST_INVALID", message, pointer=f"/keys/{index}"))
    refuse_if_any(problems)
    return asked


@strawberry.type
class ParameterQueries:
    """The root fields of parameters."""

    @read(
        "parameter.view",
        "The parameters by name, each with the value in force on a day (today unless told) for the keys given.",
    )
    def parameters(
        self,
        info: strawberry.Info,
        first: First = DEFAULT_PAGE,
        after: After = None,
        name: Annotated[str | None, strawberry.argument(description="How the full name begins.")] = None,
        room: Annotated[str | None, strawberry.argument(description="The document, such as 07.")] = None,
        keys: Annotated[
            list[ParameterKeyInput] | None,
            strawberry.argument(
                description="For what the values are asked; a parameter without such a key ignores it."
            ),
        ] = None,
        on: Annotated[dt.date | None, strawberry.argument(description="The day.")] = None,
    ) -> Connection[Parameter]:
        context: Context = info.context
        asked = _asked(keys or [])
        day = on or context.today()
        chosen = [
            kind
            for _, kind in sorted(PARAMETERS.items())
            if kind.name.startswith(name or "") and room in (None, kind.document)
        ]
        return page_of(
            chosen, f"parameters {name or ''} {room or ''}", first, after, lambda kind: _parameter(kind, asked, day)
        )
