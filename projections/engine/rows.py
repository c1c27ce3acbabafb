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

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Protocol

import psycopg

from application.log import RecordedEvent, UnreadableEvent
from projections.engine.columns import array_literal, copy_block
from projections.engine.projection import Projection, ProjectionError
from projections.engine.table import Key, Row, Table

#: Rows up to which new ones are written by INSERT, which shares a round trip with others, instead of COPY.
FEW_ROWS = 100
#: Events loaded ahead after a set statement made the cache forget a table.
FEW_EVENTS = 64

Values = tuple[Any, ...]
_DECODED = itemgetter(RecordedEvent._fields.index("event"))


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a batch: a statement with its parameters, or a COPY of a block.

    `rows` is the number of rows it must change, None when any number is right.
    """

    sql: str
    parameters: Any = ()
    block: bytes | None = None
    table: str | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A query for rows of one table."""

    sql: str
    parameters: Sequence[Any]


class Database(Protocol):
    """Where rows are loaded from and written to: one transaction of one connection."""

    def write(self, writes: Sequence[Write]) -> None:
        """Execute the writes in order. Raises ProjectionError when a write changed another number of rows."""
        ...

    def query(self, queries: Sequence[Query]) -> list[list[Values]]:
        """The rows of each query."""
        ...


class FoldError(Exception):
    """A handler failed at an event. `index` is its place among the events folded; the cause is chained."""

    def __init__(self, index: int, event: RecordedEvent) -> None:
        super().__init__(event.type)
        self.index = index
        self.event = event


class TableRows:
    """The rows of one table, as the handlers of a projection use them."""

    __slots__ = (
        "_absent",
        "_appended",
        "_blocks",
        "_deleted",
        "_key_of",
        "_new",
        "_old",
        "_owner",
        "_stored",
        "_table",
        "_touched",
        "_unknown",
        "_whole",
        "_young",
    )

    def __init__(self, table: Table, owner: Rows, empty: bool) -> None:
        self._table = table
        self._owner = owner
        self._key_of = table.key_of
        self._young: dict[Key, Row] = {}
        self._old: dict[Key, Row] = {}
        self._stored: dict[Key, Values] = {}
        self._absent: set[Key] = set()
        self._touched: dict[Key, Row] = {}
        self._new: dict[Key, Row] = {}
        self._unknown: set[Key] = set()
        self._deleted: set[Key] = set()
        self._appended: list[Values] = []
        self._blocks: list[list[Sequence[Any]]] = []
        #: Every row there is, is in memory: nothing need be loaded. So it is as long as a new table fits the cache.
        self._whole = empty

    # For handlers

    def get(self, key: Key) -> Row | None:
        """The row of this key, to be read or changed in place; None when there is none.

        `key` is the value of a single key column, the tuple of several in the order of the table's key.
        """
        row = self._young.get(key)
        if row is None:
            row = self._fetch(key)
            if row is None:
                return None
        self._touched[key] = row
        return row

    def require(self, key: Key) -> Row:
        """The row of this key. Raises ProjectionError when there is none."""
        row = self.get(key)
        if row is None:
            raise ProjectionError(f"the event needs a row of {self._table.name} that does not exist")
        return row

    def add(self, row: Row) -> None:
        """Add a row whose key is new. A key that exists is an error: here, or when the batch is written."""
        key = self._key_of(row)
        if key in self._young or key in self._old:
            raise ProjectionError(f"a row of {self._table.name} is added twice")
        self._young[key] = self._new[key] = row
        if key in self._absent:
            self._absent.discard(key)

    def put(self, row: Row) -> None:
        """Set the row of its key, whether there is one or not."""
        key = self._key_of(row)
        if key in self._new:
            self._new[key] = row
        elif key in self._young or key in self._old:
            self._touched[key] = row
        elif self._whole or key in self._absent:
            self._absent.discard(key)
            self._new[key] = row
        else:
            self._touched[key] = row
            self._unknown.add(key)
        self._young[key] = row

    def delete(self, key: Key) -> None:
        """Delete the row of this key, if there is one."""
        self._young.pop(key, None)
        self._old.pop(key, None)
        self._touched.pop(key, None)
        self._stored.pop(key, None)
        self._unknown.discard(key)
        if key in self._new:
            del self._new[key]
        elif key not in self._absent:
            self._deleted.add(key)
        self._absent.add(key)

    def append(self, *values: Any) -> None:
        """Add a row with a new key, given in column order, that the fold is not going to look at: the cheapest way."""
        self._appended.append(values)
        if not self._table.append_only:
            self._owner.outdate(self)

    def extend(self, rows: Iterable[Values]) -> None:
        """`append` many rows."""
        self._appended.extend(rows)
        if not self._table.append_only:
            self._owner.outdate(self)

    def append_columns(self, count: int, columns: Mapping[str, Any]) -> None:
        """`append` `count` rows given by column: a list or tuple of `count` values, or one value for all rows."""
        if columns.keys() != set(self._table.names):
            raise ProjectionError(f"columns of {self._table.name} are missing or unknown")
        block: list[Sequence[Any]] = []
        for name in self._table.names:
            values = columns[name]
            if not isinstance(values, list | tuple):
                values = [values] * count
            elif len(values) != count:
                raise ProjectionError(f"column {self._table.name}.{name} does not have {count} values")
            block.append(values)
        if count:
            self._blocks.append(block)
        if not self._table.append_only:
            self._owner.outdate(self)

    def find(self, **equal: Any) -> list[Row]:
        """The rows with these values in these columns, in key order, to be read or changed in place.

        Costs a query each time; where a set statement or a declared key will do, it is the better way.
        """
        self._refuse_append_only()
        found = self._owner.query_after_writes(
            [Query(self._table.find(self._owner.schema, [*equal]), [*equal.values()])]
        )
        rows = []
        for values in found[0]:
            row = self._remember(values)
            self._touched[self._key_of(row)] = row
            rows.append(row)
        return rows

    # For the engine

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        """Those of the keys that must be loaded, each once."""
        if self._whole:
            return []
        young, old, absent = self._young, self._old, self._absent
        return [key for key in dict.fromkeys(keys) if key not in young and key not in old and key not in absent]

    def load_query(self, keys: Sequence[Key]) -> Query:
        """The query for the rows of the keys."""
        return Query(self._table.statement("load", self._owner.schema), self._key_arrays(keys))

    def loaded(self, keys: Sequence[Key], found: Sequence[Values]) -> None:
        """Take over the rows that a query for the keys found; the others are known not to exist."""
        for values in found:
            self._remember(values)
        if len(found) < len(keys):
            self._absent.update(key for key in keys if key not in self._young)

    def forget(self) -> None:
        """Forget everything, written or not: the rows may have changed, or what was done is taken back."""
        for store in (
            self._young,
            self._old,
            self._stored,
            self._absent,
            self._touched,
            self._new,
            self._unknown,
            self._deleted,
            self._appended,
            self._blocks,
        ):
            store.clear()
        self._whole = False

    def forget_clean(self) -> None:
        """Forget the cached rows; everything changed has been handed over by `writes`."""
        for store in (self._young, self._old, self._stored, self._absent):
            store.clear()
        self._whole = False

    def forget_absent(self) -> None:
        """Forget which keys are known not to exist."""
        self._absent.clear()
        self._whole = False

    @property
    def whole(self) -> bool:
        """Whether all rows of the table are in memory."""
        return self._whole

    def trim(self, limit: int) -> None:
        """Keep about `limit` rows, those used last: between batches, when all is written."""
        self._absent.clear()
        if len(self._young) * 2 <= limit:
            return
        stored, young = self._stored, self._young
        for key in self._old:
            if key not in young:
                stored.pop(key, None)
                self._whole = False
        self._old, self._young = young, {}

    def writes(self) -> list[Write]:
        """What changed since the last call, as writes; from here on it counts as written."""
        found: list[Write] = []
        if self._deleted:
            found.append(self._delete(list(self._deleted)))
            self._deleted = set()
        if self._appended or self._blocks:
            found.append(self._copy_appended())
            self._appended, self._blocks = [], []
        if self._new:
            found.append(self._insert(self._values(self._new)))
        if self._touched:
            found += self._changes()
        self._new, self._touched, self._unknown = {}, {}, set()
        return found

    def _fetch(self, key: Key) -> Row | None:
        row = self._old.get(key)
        if row is not None:
            self._young[key] = row
            return row
        if self._whole or key in self._absent:
            return None
        self._refuse_append_only()
        self._owner.undeclared_loads += 1
        self.loaded([key], self._owner.query_after_writes([self.load_query([key])])[0])
        return self._young.get(key)

    def _remember(self, values: Values) -> Row:
        """The cached row of a loaded one: what is in memory is never older than what was loaded."""
        row = self._table.row_of(values)
        key = self._key_of(row)
        known = self._young.get(key)
        if known is None:
            known = self._old.get(key)
            if known is None:
                self._stored[key] = self._table.values_of(row)
                known = row
            self._young[key] = known
        return known

    def _refuse_append_only(self) -> None:
        if self._table.append_only:
            raise ProjectionError(f"table {self._table.name} is append-only: its rows are not read by the fold")

    def _values(self, rows: dict[Key, Row]) -> list[Values]:
        """The rows as tuples."""
        if set(map(len, rows.values())) != {len(self._table.columns)}:
            raise ProjectionError(f"a row of {self._table.name} has columns too many or too few")
        values = list(map(self._table.values_of, rows.values()))
        if list(map(self._table.key_of_values, values)) != list(rows):
            raise ProjectionError(f"a row of {self._table.name} has got another key")
        return values

    def _changes(self) -> list[Write]:
        """The touched rows that are not as they were: those that exist are updated, of the others it is not known."""
        touched = self._touched
        for key in self._new:  # these have been written
            touched.pop(key, None)
        keys, rows = list(touched), self._values(touched) if touched else []
        # Of a row that was added since it is in memory nothing is remembered: touched again, it counts as changed.
        changed = [row for stored, row in zip(map(self._stored.get, keys), rows, strict=True) if stored != row]
        self._stored.update(zip(keys, rows, strict=True))
        if not self._unknown:
            return [self._array_write("update", changed, len(changed))] if changed else []
        key_of, unknown = self._table.key_of_values, self._unknown
        known = [row for row in changed if key_of(row) not in unknown]
        writes = [self._array_write("upsert", [row for row in changed if key_of(row) in unknown], None)]
        return [*writes, self._array_write("update", known, len(known))] if known else writes

    def _insert(self, rows: list[Values]) -> Write:
        if len(rows) <= FEW_ROWS:
            return self._array_write("insert", rows, len(rows))
        return self._copy(rows)

    def _copy_appended(self) -> Write:
        table = self._table
        rows = self._appended
        if rows and set(map(len, rows)) != {len(table.columns)}:
            raise ProjectionError(f"a row of {table.name} has too many or too few values")
        for block in self._blocks:
            rows += zip(*block, strict=True)
        if table.frozen is not None:
            rows = list(map(table.frozen, rows))
        return self._insert(rows)

    def _copy(self, rows: list[Values]) -> Write:
        table = self._table
        return Write(table.copy_in(self._owner.schema), block=copy_block(table.columns, rows), table=table.name)

    def _array_write(self, kind: str, rows: list[Values], count: int | None) -> Write:
        table = self._table
        arrays = list(map(array_literal, table.columns, zip(*rows, strict=True)))
        return Write(table.statement(kind, self._owner.schema), arrays, table=table.name, rows=count)

    def _delete(self, keys: list[Key]) -> Write:
        sql = self._table.statement("delete", self._owner.schema)
        return Write(sql, self._key_arrays(keys), table=self._table.name)

    def _key_arrays(self, keys: Sequence[Key]) -> list[str]:
        table = self._table
        columns = [keys] if len(table.key) == 1 else zip(*keys, strict=True)
        return list(map(array_literal, table.key_columns, columns))


class Rows(dict[str, TableRows]):
    """The tables of a projection's generation by name, as one batch after the other is folded into them."""

    __slots__ = ("_database", "_limit", "_names", "_outdated", "_pending", "_statements", "projection", "schema",
                 "undeclared_loads")  # fmt: skip

    def __init__(
        self,
        projection: Projection,
        schema: str,
        database: Database,
        cache_limit: int = 50_000,
        *,
        empty: bool = False,
    ) -> None:
        self.projection = projection
        self.schema = schema
        self.undeclared_loads = 0
        self._database = database
        self._limit = max(cache_limit // len(projection.tables), 1)
        super().__init__((table.name, TableRows(table, self, empty)) for table in projection.tables)
        self._names = {table.name: table.qualified(schema) for table in projection.tables}
        self._statements: dict[str, str] = {}
        self._pending: list[Write] = []
        self._outdated = False

    # For handlers

    def execute(self, sql: str, parameters: Mapping[str, Any], *, changes: str | tuple[str, ...]) -> None:
        """Execute a statement over the projection's own tables, in order with the other writes.

        Tables are named in braces, values are parameters: `update {item} set live = false where invoice = %(invoice)s`.
        `changes` names the tables it changes. It must give the same rows whenever it is repeated on the same rows: no
        clock, no random values, no `limit` without a complete order.
        """
        made = self._statements.get(sql)
        if made is None:
            made = self._statements[sql] = sql.format_map(self._names)
        self._collect()
        self._pending.append(Write(made, dict(parameters)))
        for name in (changes,) if isinstance(changes, str) else changes:
            self[name].forget_clean()
        self._outdated = True

    # For the engine

    def outdate(self, table: TableRows) -> None:
        """Rows were added behind the cache: a key known not to exist may exist now."""
        table.forget_absent()
        self._outdated = True

    def query_after_writes(self, queries: Sequence[Query]) -> list[list[Values]]:
        """Query what the writes so far have made of the rows."""
        self._collect()
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
        self._collect()
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

    def _collect(self) -> None:
        for table in self.values():
            self._pending += table.writes()

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
        plan = {
            name: [
                (declared.setdefault(table, []).extend, keys_of) for table, keys_of in pairs if not self[table].whole
            ]
            for name, pairs in self.projection.keys.items()
        }
        if not declared:
            return {}
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
            self.loaded(wanted, self.query_after_writes(self.load_queries(wanted)))


def _located(error: Exception, index: int, event: RecordedEvent) -> Exception:
    """The error as one of the event, unless it is the database's: that one is not the event's fault."""
    return error if isinstance(error, psycopg.OperationalError) else FoldError(index, event)
