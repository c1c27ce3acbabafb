"""Commands: what a client may ask for, one frozen model each, and the registry that the edge and the dispatcher read.

A command is declared with `@command(...)`, which names its privilege, its room, an example that runs, and the codes it
may be refused with; its handler with `@handles(...)`. Field names are snake_case (PLT-001); a member the model does not
know is a `REQUEST_INVALID` (PLT-002). Amounts are decimal strings, dates ISO civil dates (PLT-073).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, NamedTuple, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from domain.errors import Problem

if TYPE_CHECKING:
    from application.unit_of_work import UnitOfWork

#: Decimal text of an amount, as in PLT-073; the currency's own decimals are checked by the handler. decision: at most
#: 13 digits before the point, so that totals of many amounts still fit the 64 bits they are kept in.
AmountText = Annotated[str, Field(pattern=r"^-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,3})?$", examples=["1200.00"])]
CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$", examples=["USD"])]
#: Identifier given by a client or a partner system.
Identifier = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]

#: The days a client may name, both inclusive. decision: the rulebook sets no bounds. Beyond these a date is a slip or
#: another system's "never"; periods are counted from it, and those of the years 1 or 9999 are endless or leave the
#: calendar. What has no end is told by leaving the date out.
FIRST_DAY: Final = dt.date(1900, 1, 1)
LAST_DAY: Final = dt.date(2199, 12, 31)


def is_day_in_bounds(day: dt.date) -> bool:
    """Whether a client may name the day."""
    return FIRST_DAY <= day <= LAST_DAY


class Part(BaseModel):
    """Base of a structured member of a command: immutable, no unknown members, nothing coerced, dates in bounds."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @field_validator("*")
    @classmethod
    def _dates_in_bounds(cls, value: Any) -> Any:
        days = value if isinstance(value, list | tuple) else (value,)
        if any(isinstance(day, dt.date) and not is_day_in_bounds(day) for day in days):
            raise PydanticCustomError("day_out_of_bounds", f"Input should be a day from {FIRST_DAY} to {LAST_DAY}")
        return value


class Command(Part):
    """Base of every command's payload."""

    model_config = ConfigDict(str_strip_whitespace=False)


@dataclass(frozen=True, slots=True)
class CommandType:
    """What is known of a command: its model, privilege, documentation, and the handler once it is declared."""

    name: str
    model: type[Command]
    privilege: str
    room: str
    summary: str
    example: Mapping[str, Any]
    refusals: tuple[str, ...]
    rules: tuple[str, ...]
    account_field: str | None = None
    activity: bool = False


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking: a user, a machine or a job (PLT-029). `client` separates idempotency keys (PLT-003).

    `person` is who stands behind one or several logins (PLT-037), `second_factor_at` when that person last gave a
    second factor (PLT-040); `session` and `address` are for the audit record alone (PLT-078).
    """

    kind: str  # USER, MACHINE, JOB
    identifier: str
    client: str
    privileges: frozenset[str]
    person: str | None = None
    scope: tuple[str, ...] | None = None  # None: ALL
    roles: frozenset[str] = frozenset()
    second_factor_at: dt.datetime | None = None
    session: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """The envelope of PLT-002 after authentication, with the payload as the client sent it (JSON values)."""

    name: str
    payload: Mapping[str, Any]
    principal: Principal
    channel: str
    idempotency_key: str | None = None
    expected_version: int | None = None
    effective_date: dt.date | None = None
    dry_run: bool = False
    confirmations: tuple[str, ...] = ()
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    on_behalf_of: str | None = None


class WrittenEvent(NamedTuple):
    """An event a command wrote (or, in a dry run, would write)."""

    type: str
    event_id: str
    stream: str
    stream_position: int
    position: int | None
    payload: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class CommandAnswer:
    """Answer of PLT-010: result figures, events, highest global position written, warnings."""

    command_id: str
    result: Mapping[str, Any]
    events: tuple[WrittenEvent, ...]
    position: int | None
    warnings: tuple[Problem, ...] = ()
    missing_confirmations: tuple[str, ...] = ()
    dry_run: bool = False
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a handler returns beside the events it appended: JSON-ready result members and warnings.

    `once` are members told in the answer to the first accepted command alone and stored nowhere, such as the secret of
    a new API key (PLT-095): a repeated command is answered without them, and a dry run has none.
    """

    result: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[Problem] = ()
    once: Mapping[str, Any] = field(default_factory=dict)


C = TypeVar("C", bound=Command)
Handler = Callable[[Any, "UnitOfWork"], Outcome]


class CommandRegistry:
    """All declared commands and their handlers, by name. Filled at import, read-only afterwards."""

    types: ClassVar[dict[str, CommandType]] = {}
    handlers: ClassVar[dict[str, Handler]] = {}


def command(
    *,
    privilege: str,
    room: str,
    summary: str,
    example: Mapping[str, Any],
    refusals: Sequence[str] = (),
    rules: Sequence[str] = (),
    account_field: str | None = None,
    activity: bool = False,
) -> Callable[[type[C]], type[C]]:
    """Declare a command. `example` is a payload that runs in the demo data; `refusals` are its own codes, in order;
    `account_field` names the member that holds its account, where that is not `account` itself (PLT-009). `activity`:
    it may go on behind its commit, and then names the `activity_id` in its result (PLT-010)."""

    def declare(model: type[C]) -> type[C]:
        name = model.__name__
        field = account_field or ("account" if "account" in model.model_fields else None)
        CommandRegistry.types[name] = CommandType(
            name, model, privilege, room, summary, example, tuple(refusals), tuple(rules), field, activity
        )
        return model

    return declare


def handles(model: type[C]) -> Callable[[Callable[[C, UnitOfWork], Outcome]], Callable[[C, UnitOfWork], Outcome]]:
    """Declare the handler of a command: `handler(command, unit_of_work) -> Outcome`."""

    def declare(handler: Callable[[C, UnitOfWork], Outcome]) -> Callable[[C, UnitOfWork], Outcome]:
        CommandRegistry.handlers[model.__name__] = handler
        return handler

    return declare
