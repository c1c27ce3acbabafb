"""The rows of one table during a fold: a bounded cache of rows, and what has been done to them since the last write.

A row is in one of these places, and `get` looks for it in this order:

    young, old      loaded or made before; two generations of a cache, so that the rows used last stay
    appended        added by this batch and not looked at since
    absent          known not to exist
    the table       loaded now, behind all writes of this batch to the table

While `whole`, every row of the table is in the first two, and nothing is ever loaded: so it is for a new table as long
as it fits the cache.

What has been done is turned into writes in this order, which the methods keep right: deletions by key, replaced groups,
increases, appended and new rows, changed rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from projections.engine.columns import Column, array_literal, copy_block
from projections.engine.database import FEW_ROWS, Query, Values, Write
from projections.engine.projection import ProjectionError
from projections.engine.table import Key, Row, Table

if TYPE_CHECKING:
    from projections.engine.rows import Rows


#: Rows of earlier writes that are watched for a handler that still holds them.
FEW_HELD = 16


class TableRows:
    """The rows of one table, as the handlers of a projection use them."""

    __slots__ = (
        "_absent",
        "_appended",
        "_carried",
        "_deleted",
        "_increases",
        "_key_of",
        "_new",
        "_old",
        "_owner",
        "_replaced",
        "_stale",
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
        # The cache. Of loaded and changed rows it is remembered how they are stored.
        self._young: dict[Key, Row] = {}
        self._old: dict[Key, Row] = {}
        self._stored: dict[Key, Values] = {}
        self._absent: set[Key] = set()
        self._whole = empty
        # What has been done since the last write.
        self._touched: dict[Key, Row] = {}
        self._new: dict[Key, Row] = {}
        self._unknown: set[Key] = set()
        self._deleted: set[Key] = set()
        self._appended = _Appended(table)
        self._replaced: _Replaced | None = None
        self._increases: dict[str, dict[Key, int]] = {}
        # Rows that a handler may still hold from before a statement.
        self._carried: dict[Key, Row] = {}
        self._stale: list[tuple[Row, Values]] = []

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
        if self._replaced:
            self._owner.seal(self)
        key = self._key_of(row)
        if key in self._young or key in self._old:
            raise ProjectionError(f"a row of {self._table.name} is added twice")
        self._young[key] = self._new[key] = row

    def put(self, row: Row) -> None:
        """Set the row of its key, whether there is one or not."""
        if self._replaced or self._increases:
            self._owner.seal(self)
        key = self._key_of(row)
        if key in self._new:
            self._new[key] = row
        elif key in self._young or key in self._old:
            self._touched[key] = row
        elif self._appended.take(key) is not None or self._whole or key in self._absent:
            self._new[key] = row
        else:
            self._touched[key] = row
            self._unknown.add(key)
        self._young[key] = row

    def delete(self, key: Key) -> None:
        """Delete the row of this key, if there is one."""
        if self._replaced or self._increases:
            self._owner.seal(self)
        known = self._young.pop(key, None) is not None
        known = self._old.pop(key, None) is not None or known
        self._touched.pop(key, None)
        self._carried.pop(key, None)
        self._stored.pop(key, None)
        self._unknown.discard(key)
        if key in self._new:
            del self._new[key]
        elif self._appended.take(key) is None and (known or not (self._whole or key in self._absent)):
            self._deleted.add(key)
        self._absent.add(key)

    def increase(self, key: Key, column: str, amount: int) -> None:
        """Add an amount to a column of the row of this key, which must exist, without looking at it.

        Amounts of a batch are added up; a row that is not in memory need not be loaded. The cheapest way to keep totals
        of many rows.
        """
        row = self._young.get(key) or self._old.get(key)
        if row is None:
            values = self._appended.take(key)
            if values is None:
                if self._whole or key in self._absent:
                    raise ProjectionError(f"the event increases a row of {self._table.name} that does not exist")
                amounts = self._increases.setdefault(column, {})
                amounts[key] = amounts.get(key, 0) + amount
                return
            row = self._adopt(key, values)
        row[column] += amount
        self._touched[key] = row

    def append(self, *values: Any) -> None:
        """Add a row with a new key, given in column order, that the fold will hardly look at: the cheapest way."""
        self._appended.rows.append(values)

    def extend(self, rows: Iterable[Values]) -> None:
        """`append` many rows."""
        self._appended.rows.extend(rows)

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
        self._appended.rows.extend(zip(*block, strict=True))

    def replace(self, rows: Iterable[Values], **equal: Any) -> None:
        """Have the rows with these values in these columns be the given ones, in column order, from here on.

        Of a group that is replaced several times in a batch only the last state is written. Made for tables whose rows
        belong together and always come together; columns at the front of the key are found fastest.
        """
        names = tuple(equal)
        otherwise = self._replaced is not None and self._replaced.names != names
        if otherwise or self._new or self._touched or self._deleted or self._increases:
            self._owner.seal(self)
        if self._young or self._old or self._absent or self._whole:
            self._owner.outdate(self)
        group = tuple(equal.values())
        self._appended.drop(names, group)
        if self._replaced is None:
            self._replaced = _Replaced(names)
        self._replaced.groups[group] = list(rows)

    def find(self, **equal: Any) -> list[Row]:
        """The rows with these values in these columns, in key order, to be read or changed in place.

        Costs a query each time; where declared keys, `replace` or a set statement will do, they are the better way.
        """
        self._refuse_append_only()
        query = Query(self._table.find(self._owner.schema, [*equal]), [*equal.values()])
        rows = []
        for values in self._owner.query_after_writes([query], [self])[0]:
            row = self._remember(values)
            self._touched[self._key_of(row)] = row
            rows.append(row)
        return rows

    # For the engine

    @property
    def name(self) -> str:
        return self._table.name

    @property
    def whole(self) -> bool:
        """Whether all rows of the table are in memory, so that none need be loaded."""
        return self._whole

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
        """Forget everything, written or not: what was done is taken back, or others have written."""
        self._forget_rows()
        self._touched, self._new, self._carried = {}, {}, {}
        self._unknown, self._deleted = set(), set()
        self._appended, self._replaced, self._increases = _Appended(self._table), None, {}
        self._stale = []

    def outdate(self) -> None:
        """Forget the rows in memory, all handed over by `writes`: a statement is about to change the table."""
        values_of = self._table.values_of
        self._stale = [(row, values_of(row)) for row in self._carried.values()]
        self._carried = {}
        self._forget_rows()

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

    def writes(self, *, last: bool) -> list[Write]:
        """What changed since the last call, as writes; from here on it counts as written.

        Unless it is the `last` call of the batch, a handler may go on with rows it has taken.
        """
        if self._stale:
            self._check_stale()
        found: list[Write] = []
        if self._deleted:
            found.append(self._by_key("delete", list(self._deleted), None))
            self._deleted = set()
        rows = self._appended.written()
        if self._replaced:
            found.append(self._delete_groups(self._replaced))
            rows = [row for group in self._replaced.groups.values() for row in group] + rows
            self._replaced = None
        if self._increases:
            found += self._increase()
            self._increases = {}
        if rows:
            self._whole = False
            self._absent.clear()
            found.append(self._insert_appended(rows))
        if self._new:
            new = self._values(self._new)
            found.append(self._insert(new))
            if not last or self._carried:
                self._stored.update(zip(self._new, new, strict=True))
        if self._touched or self._carried:
            found += self._changes()
        if last:
            self._carried = {}
        elif self._new or self._touched:
            earlier = self._carried if len(self._carried) < FEW_HELD else {}
            self._carried = {**earlier, **self._new, **self._touched}
        self._new, self._touched, self._unknown = {}, {}, set()
        return found

    def _fetch(self, key: Key) -> Row | None:
        row = self._old.get(key)
        if row is not None:
            self._young[key] = row
            return row
        if self._appended:
            values = self._appended.take(key)
            if values is not None:
                return self._adopt(key, values)
        if (self._whole or key in self._absent) and not self._replaced:
            return None
        self._refuse_append_only()
        self._owner.undeclared_loads += 1
        self.loaded([key], self._owner.query_after_writes([self.load_query([key])], [self])[0])
        return self._young.get(key)

    def _adopt(self, key: Key, values: Values) -> Row:
        """An appended row becomes one that is kept and may be changed."""
        self._refuse_append_only()
        row = self._young[key] = self._new[key] = self._table.row_of(values)
        return row

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

    def _forget_rows(self) -> None:
        self._young, self._old, self._stored = {}, {}, {}
        self._absent = set()
        self._whole = False

    def _refuse_append_only(self) -> None:
        if self._table.append_only:
            raise ProjectionError(f"table {self._table.name} is append-only: its rows are not read by the fold")

    def _check_stale(self) -> None:
        """A row taken before a statement that changed its table must not be changed behind it: it would be lost."""
        stale, self._stale = self._stale, []
        if any(self._table.values_of(row) != values for row, values in stale):
            raise ProjectionError(f"a row of {self._table.name} taken before a statement was changed behind it")

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
        touched = {**self._carried, **self._touched} if self._carried else self._touched
        for key in touched.keys() & self._new.keys():  # these have just been written as they are
            touched.pop(key)
        if not touched:
            return []
        keys, rows = list(touched), self._values(touched)
        # Of a row that was added since it is in memory nothing is remembered: touched again, it counts as changed.
        changed = [row for stored, row in zip(map(self._stored.get, keys), rows, strict=True) if stored != row]
        self._stored.update(zip(keys, rows, strict=True))
        if not self._unknown:
            return [self._by_row("update", changed, len(changed))] if changed else []
        key_of, unknown = self._table.key_of_values, self._unknown
        known = [row for row in changed if key_of(row) not in unknown]
        writes = [self._by_row("upsert", [row for row in changed if key_of(row) in unknown], None)]
        return [*writes, self._by_row("update", known, len(known))] if known else writes

    def _insert_appended(self, rows: list[Values]) -> Write:
        if set(map(len, rows)) != {len(self._table.columns)}:
            raise ProjectionError(f"a row of {self._table.name} has too many or too few values")
        return self._insert(rows if self._table.frozen is None else list(map(self._table.frozen, rows)))

    def _insert(self, rows: list[Values]) -> Write:
        table = self._table
        if len(rows) <= FEW_ROWS:
            return self._by_row("insert", rows, len(rows))
        return Write(table.copy_in(self._owner.schema), block=copy_block(table.columns, rows), table=table.name)

    def _delete_groups(self, replaced: _Replaced) -> Write:
        table = self._table
        columns = [table.column(name) for name in replaced.names]
        sql = table.delete_groups(self._owner.schema, replaced.names)
        return Write(sql, _arrays(columns, zip(*replaced.groups, strict=True)), table=table.name)

    def _increase(self) -> list[Write]:
        table, writes = self._table, []
        for name, amounts in self._increases.items():
            sql = table.increase(self._owner.schema, name)
            arrays = [*self._key_arrays(list(amounts)), array_literal(_AMOUNT, list(amounts.values()))]
            writes.append(Write(sql, arrays, table=table.name, rows=len(amounts)))
        return writes

    def _by_row(self, kind: str, rows: Sequence[Values], count: int | None) -> Write:
        table = self._table
        arrays = _arrays(table.columns, zip(*rows, strict=True))
        return Write(table.statement(kind, self._owner.schema), arrays, table=table.name, rows=count)

    def _by_key(self, kind: str, keys: Sequence[Key], count: int | None) -> Write:
        sql = self._table.statement(kind, self._owner.schema)
        return Write(sql, self._key_arrays(keys), table=self._table.name, rows=count)

    def _key_arrays(self, keys: Sequence[Key]) -> list[str]:
        table = self._table
        return _arrays(table.key_columns, [keys] if len(table.key) == 1 else zip(*keys, strict=True))


#: The amounts of `increase` as a parameter.
_AMOUNT = Column("amount", "bigint")


def _arrays(columns: Sequence[Column], values: Iterable[Sequence[Any]]) -> list[str]:
    return list(map(array_literal, columns, values))


class _Replaced:
    """Groups of rows that replace what the table holds of them: the columns they are named by, and the rows."""

    __slots__ = ("groups", "names")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.groups: dict[tuple[Any, ...], list[Values]] = {}


class _Appended:
    """Rows added without being looked at; found again, where it is needed after all, by an index made then."""

    __slots__ = ("_indexes", "_table", "rows")

    def __init__(self, table: Table) -> None:
        self._table = table
        self.rows: list[Values | None] = []
        #: By the columns of an index: the numbers of the rows by their values there, and how many rows are in it.
        self._indexes: dict[tuple[str, ...], tuple[dict[Any, list[int]], int]] = {}

    def __bool__(self) -> bool:
        return bool(self.rows)

    def take(self, key: Key) -> Values | None:
        """Take the row of a key out, if there is one."""
        if not self.rows:
            return None
        numbers = self._index(self._table.key, self._table.key_of_values).pop(key, None)
        return self._taken(numbers[-1]) if numbers else None

    def drop(self, names: tuple[str, ...], group: tuple[Any, ...]) -> None:
        """Take out all rows with these values in these columns."""
        if not self.rows:
            return
        positions = [self._table.names.index(name) for name in names]
        group_of = itemgetter(*positions) if len(names) > 1 else lambda row: (row[positions[0]],)
        for number in self._index(names, group_of).pop(group, ()):
            self._taken(number)

    def written(self) -> list[Values]:
        """All rows, which then are no longer held here."""
        rows = [row for row in self.rows if row is not None] if self._indexes else self.rows
        self.rows, self._indexes = [], {}
        return rows  # type: ignore[return-value]  # without an index nothing has been taken out

    def _index(self, names: tuple[str, ...], values_of: Any) -> dict[Any, list[int]]:
        index, indexed = self._indexes.get(names, ({}, 0))
        if indexed < len(self.rows):
            for number, row in enumerate(islice(self.rows, indexed, None), indexed):
                if row is not None:
                    index.setdefault(values_of(row), []).append(number)
            self._indexes[names] = index, len(self.rows)
        return index

    def _taken(self, number: int) -> Values | None:
        row, self.rows[number] = self.rows[number], None
        return row
