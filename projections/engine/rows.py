"""The rows a fold works on: in memory for a batch of events, written as a whole behind it.

Handlers see plain dicts. The rows they are going to need are loaded for the whole batch with one query a table; what
they change is written with one statement a table: new rows by COPY, changed ones by an UPDATE from arrays. Rows stay in
a bounded cache from batch to batch, so that the totals of a busy account are loaded once and not ten thousand times.

Which of the rows a handler got were really changed is found by comparing, when the batch is written: nobody has to
remember to mark a row, and reading one costs no write.

Statements over many rows at once (`Rows.execute`) keep their place in the order of the writes. They may change rows
behind the cache's back, so the tables they change are loaded afresh afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import psycopg

from application.log import RecordedEvent, UnreadableEvent
from projections.engine.database import Database, Query, Values, Write
from projections.engine.projection import KeysOf, Projection, ProjectionError
from projections.engine.table import Key
from projections.engine.table_rows import TableRows

#: Events loaded ahead after a set statement made the cache forget a table.
FEW_EVENTS = 64

_DECODED = itemgetter(RecordedEvent._fields.index("event"))


class FoldError(Exception):
    """A handler failed at an event. `index` is its place among the events folded; the cause is chained."""

    def __init__(self, index: int, event: RecordedEvent) -> None:
        super().__init__(event.type)
        self.index = index
        self.event = event


class Rows(dict[str, TableRows]):
    """The tables of a projection's generation by name, as one batch after the other is folded into them."""

    __slots__ = (
        "_database",
        "_empty",
        "_limit",
        "_outdated",
        "_pending",
        "projection",
        "schema",
        "undeclared_loads",
    )

    def __init__(
        self,
        projection: Projection,
        schema: str,
        database: Database,
        cache_limit: int = 50_000,
        *,
        empty: bool = False,
    ) -> None:
        super().__init__()
        self.projection = projection
        self.schema = schema
        self.undeclared_loads = 0
        self._database = database
        self._limit = max(cache_limit // len(projection.tables), 1)
        self._empty = empty
        self._pending: list[Write] = []
        self._outdated = False

    def __missing__(self, name: str) -> TableRows:
        """A table is prepared when it is first asked for: a command touches few of them."""
        made = self[name] = TableRows(self.projection.table(name), self, self._empty)
        return made

    # For handlers

    def execute(self, sql: str, parameters: Mapping[str, Any], *, changes: str | tuple[str, ...]) -> None:
        """Execute a statement over the projection's own tables, in order with the other writes.

        Tables are named in braces, values are parameters: `update {item} set live = false where invoice = %(invoice)s`.
        `changes` names the tables it changes; rows taken from those before must be taken again. It must give the same
        rows whenever it is repeated on the same rows: no clock, no random values, no `limit` without a complete order.
        """
        statement, named = self.projection.statement(self.schema, sql)
        tables = [self[name] for name in named]
        changed = [self[name] for name in ((changes,) if isinstance(changes, str) else changes)]
        for table in dict.fromkeys((*tables, *changed)):
            self.seal(table)
        self._pending.append(Write(statement, dict(parameters)))
        for table in changed:
            self.outdate(table)

    # For the engine

    def seal(self, table: TableRows) -> None:
        """Put what was done to the table so far in its place among the writes."""
        self._pending += table.writes(last=False)

    def outdate(self, table: TableRows) -> None:
        """Forget the rows of a table that is going to change behind the cache, and load what comes next anew."""
        table.outdate()
        if table.name in self.projection.loaded_tables:
            self._outdated = True

    def query_after_writes(self, queries: Sequence[Query], tables: Iterable[TableRows]) -> list[list[Values]]:
        """Query what the writes so far have made of the tables."""
        for table in tables:
            self.seal(table)
        if self._pending:
            pending, self._pending = self._pending, []
            self._database.write(pending)
        return self._database.query(queries)

    def fold(self, events: Sequence[RecordedEvent]) -> None:
        """Run the handlers over the events, all of types the projection handles.

        Raises FoldError at the event whose handler failed; what the batch did so far is then to be forgotten.
        """
        self._refuse_unreadable(events)
        index, ahead = 0, len(events)
        while index < len(events):
            start = index
            self._preload(events[index : index + ahead], index)
            self._outdated = False
            index = self._fold_until_outdated(events, index, min(index + ahead, len(events)))
            ahead = max(FEW_EVENTS, 2 * (index - start))

    def take_writes(self) -> list[Write]:
        """Everything not yet written, in order; the rows count as written from here on."""
        for table in self.values():
            self._pending += table.writes(last=True)
        pending, self._pending = self._pending, []
        return pending

    def trim(self) -> None:
        """Keep the cache within its bound: between batches."""
        for table in self.values():
            table.trim(self._limit)

    def forget(self) -> None:
        """Forget everything in memory: the batch is taken back, or others have written."""
        self._pending = []
        for table in self.values():
            table.forget()

    def _refuse_unreadable(self, events: Sequence[RecordedEvent]) -> None:
        """An event of an unknown schema version stops those who would have to fold it (PLT-026)."""
        if UnreadableEvent in set(map(type, map(_DECODED, events))):
            index = next(index for index, event in enumerate(events) if isinstance(event.event, UnreadableEvent))
            raise FoldError(index, events[index]) from ProjectionError(events[index].event.reason)

    def _fold_until_outdated(self, events: Sequence[RecordedEvent], index: int, end: int) -> int:
        handlers = self.projection.handlers
        try:
            for event in events[index:end]:
                handlers[event.type](event, self)
                index += 1
                if self._outdated:
                    break
        except Exception as error:
            raise _located(error, index, events[index]) from error
        return index

    def wanted(self, events: Sequence[RecordedEvent], offset: int = 0) -> dict[str, list[Key]]:
        """The keys by table that the events declare to need and that are not in memory. Raises FoldError."""
        declared: dict[str, list[Key]] = {}
        plan = _Plan(self, declared)
        index = 0
        try:
            for event in events:
                for declare, keys_of in plan[event.type]:
                    declare(keys_of(event))
                index += 1
        except Exception as error:
            raise _located(error, offset + index, events[index]) from error
        wanted = {name: self[name].missing(found) for name, found in declared.items()}
        return {name: missing for name, missing in wanted.items() if missing}

    def load_queries(self, wanted: Mapping[str, Sequence[Key]]) -> list[Query]:
        """The queries for the wanted keys, one a table."""
        return [self[name].load_query(missing) for name, missing in wanted.items()]

    def loaded(self, wanted: Mapping[str, Sequence[Key]], found: Sequence[Sequence[Values]]) -> None:
        """Take over what the queries found."""
        for (name, missing), rows in zip(wanted.items(), found, strict=True):
            self[name].loaded(missing, rows)

    def _preload(self, events: Sequence[RecordedEvent], offset: int) -> None:
        wanted = self.wanted(events, offset)
        if wanted:
            tables = [self[name] for name in wanted]
            self.loaded(wanted, self.query_after_writes(self.load_queries(wanted), tables))


class _Plan(dict[str, list[tuple[Callable[[Iterable[Key]], None], KeysOf]]]):
    """What to do with an event of a type, to collect the keys it declares by table; made as types come up."""

    def __init__(self, rows: Rows, declared: dict[str, list[Key]]) -> None:
        super().__init__()
        self._rows = rows
        self._declared = declared

    def __missing__(self, name: str) -> list[tuple[Callable[[Iterable[Key]], None], KeysOf]]:
        made = self[name] = [
            (self._declared.setdefault(table, []).extend, keys_of)
            for table, keys_of in self._rows.projection.keys[name]
            if not self._rows[table].whole
        ]
        return made


def _located(error: Exception, index: int, event: RecordedEvent) -> Exception:
    """The error as one of the event, unless it is the database's: that one is not the event's fault."""
    return error if isinstance(error, psycopg.OperationalError) else FoldError(index, event)
