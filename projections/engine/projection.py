"""The declaration of a projection: its tables, the events it handles, and what each of them does to the rows.

    ACCOUNT = Table("account", (Column("account", "text"), Column("billed", "bigint")), key=("account",))
    balances = Projection("balances", version=1, mode=Mode.INLINE, tables=(ACCOUNT,))

    @balances.on(InvoiceIssued, account=lambda recorded: (recorded.event.account,))
    def invoice_issued(recorded: RecordedEvent, rows: Rows) -> None:
        row = rows["account"].get(recorded.event.account)
        ...

A handler is a pure function of the event and of the projection's own rows: it reads no clock, no other projection and
nothing outside, or a rebuild would not give the same rows (law 4). The keyword arguments of `on` name the keys of the
rows the handler is going to read, table by table, so that a whole batch is loaded with one query a table.

The version stands for what the fold does. Whoever changes a handler so that it gives other rows raises it; a changed
table or a further event is noticed without that. Either makes a rebuild necessary.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from string import Formatter
from typing import TYPE_CHECKING

from application.log import RecordedEvent
from domain.events import event_type
from projections.engine.table import Key, Table

if TYPE_CHECKING:
    from projections.engine.rows import Rows

EventHandler = Callable[[RecordedEvent, "Rows"], None]
KeysOf = Callable[[RecordedEvent], Iterable[Key]]

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,39}$")


class Mode(StrEnum):
    """When the rows change: in the transaction of the command (INLINE), or behind it by the projector (FOLLOWING)."""

    INLINE = "INLINE"
    FOLLOWING = "FOLLOWING"


class ProjectionError(Exception):
    """A fold cannot go on with an event. The message is shown to operators: it must not hold personal data."""


@dataclass(frozen=True, slots=True)
class Projection:
    """A read model as the engine runs it. See the module's docstring."""

    name: str
    version: int
    mode: Mode
    tables: tuple[Table, ...]
    handlers: dict[str, EventHandler] = field(default_factory=dict)
    keys: dict[str, tuple[tuple[str, KeysOf], ...]] = field(default_factory=dict)
    loaded_tables: set[str] = field(default_factory=set)
    _statements: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise ValueError(f"projection {self.name!r} is not a lower-case name of at most 40 characters")
        if self.version < 1:
            raise ValueError(f"projection {self.name}: versions count from 1")
        names = [table.name for table in self.tables]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"projection {self.name} needs tables of different names")

    def on(self, *events: type | str, **keys: KeysOf) -> Callable[[EventHandler], EventHandler]:
        """Register the handler of the event classes (or type names). An event has at most one handler."""
        unknown = set(keys) - {table.name for table in self.tables if not table.append_only}
        if unknown:
            raise ValueError(f"projection {self.name} has no table to load for {sorted(unknown)}")

        def register(handler: EventHandler) -> EventHandler:
            for event in events:
                name = event if isinstance(event, str) else event_type(event)
                if name in self.handlers:
                    raise ValueError(f"projection {self.name} handles {name} twice")
                self.handlers[name] = handler
                self.keys[name] = tuple(keys.items())
            self.loaded_tables.update(keys)
            return handler

        return register

    @property
    def events(self) -> frozenset[str]:
        """The type names of the events it handles."""
        return frozenset(self.handlers)

    def table(self, name: str) -> Table:
        """One of its tables. Raises KeyError."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(f"projection {self.name} has no table {name}")

    def statement(self, schema: str, sql: str) -> tuple[str, tuple[str, ...]]:
        """A statement with its tables in braces, for the tables of a schema, and the names of those tables."""
        made = self._statements.get((schema, sql))
        if made is None:
            named = tuple(dict.fromkeys(name for _, name, _, _ in Formatter().parse(sql) if name))
            text = sql.format_map({name: self.table(name).qualified(schema) for name in named})
            made = self._statements[(schema, sql)] = text, named
        return made

    @property
    def definition(self) -> str:
        """A fingerprint of version, tables and events: another one makes a rebuild necessary."""
        parts = [f"{self.version}", self.mode, *sorted(self.events)]
        for table in self.tables:
            parts += table.create("", building=False)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


class ProjectionSet(Mapping[str, Projection]):
    """The projections of the service, by name."""

    def __init__(self, projections: Iterable[Projection]) -> None:
        self._by_name: dict[str, Projection] = {}
        for projection in projections:
            if projection.name in self._by_name:
                raise ValueError(f"projection {projection.name} is declared twice")
            self._by_name[projection.name] = projection

    def __getitem__(self, name: str) -> Projection:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def of(self, mode: Mode) -> tuple[Projection, ...]:
        """The projections of one mode, in the order of declaration."""
        return tuple(projection for projection in self._by_name.values() if projection.mode is mode)
