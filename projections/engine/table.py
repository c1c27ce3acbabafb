"""The declaration of a read model's table, and the statements that follow from it.

A table is declared once: columns with their PostgreSQL types, the primary key, the indexes. Definition, loading and
writing of rows are generated from that; nobody writes them by hand. A generation of a projection lives in a schema of
its own, so every statement here takes the schema.

Every table has a primary key made of figures from the events: no serial numbers, no default values, nothing that a
second fold of the same log could give differently (law 4).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any

from projections.engine.columns import COPY_FORMAT, TYPES, Column, freeze

Row = dict[str, Any]
#: The key of a row: the value of a single key column, or the tuple of several.
Key = Any

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,39}$")


@dataclass(frozen=True, slots=True)
class Index:
    """An index: column names or SQL expressions in order, unique or not, with an optional condition.

    It is built when a rebuild has read the log, which is many times faster than keeping it up to date meanwhile. A
    unique one is there from the start, so that a violation is found at its event, and so is one with `while_building`,
    for tables whose set statements or searches need it.
    """

    on: tuple[str, ...]
    unique: bool = False
    where: str | None = None
    method: str = "btree"
    while_building: bool = False

    @property
    def from_the_start(self) -> bool:
        return self.unique or self.while_building


@dataclass(frozen=True)
class Table:
    """A table of a projection.

    `append_only` tables take rows that are never read or changed by the fold, the fastest kind. `account` names the
    column by which two generations are compared (PLT-108). `fill` is the percentage of a page used for new rows; room
    left lets updates stay on their page.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    indexes: tuple[Index, ...] = ()
    append_only: bool = False
    account: str | None = None
    fill: int | None = None

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        for name in (self.name, *names):
            if not _NAME.match(name):
                raise ValueError(f"table {self.name}: {name!r} is not a lower-case name of at most 40 characters")
        if len(set(names)) != len(names):
            raise ValueError(f"table {self.name} has a column twice")
        for column in self.columns:
            if column.type not in TYPES:
                raise ValueError(f"column {self.name}.{column.name} has the unknown type {column.type}")
        by_name = {column.name: column for column in self.columns}
        for name in self.key:
            if name not in by_name or by_name[name].nullable or by_name[name].kind.freeze:
                raise ValueError(f"table {self.name}: {name} cannot be part of its key")
        if not self.key:
            raise ValueError(f"table {self.name} needs a key")
        if self.account is not None and self.account not in by_name:
            raise ValueError(f"table {self.name} has no account column {self.account}")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The column names in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """A column by its name."""
        return self.columns[self.names.index(name)]

    @cached_property
    def key_columns(self) -> tuple[Column, ...]:
        return tuple(map(self.column, self.key))

    @cached_property
    def key_of(self) -> Callable[[Row], Key]:
        """The key of a row."""
        return itemgetter(*self.key)

    @cached_property
    def key_of_values(self) -> Callable[[Sequence[Any]], Key]:
        """The key of a row given as a tuple in column order."""
        return itemgetter(*(self.names.index(name) for name in self.key))

    @cached_property
    def values_of(self) -> Callable[[Row], tuple[Any, ...]]:
        """A row as a tuple in column order, its mutable values frozen. Raises KeyError for a missing column."""
        if len(self.columns) == 1:
            name = self.names[0]
            return lambda row: (row[name],)
        plain: Callable[[Row], tuple[Any, ...]] = itemgetter(*self.names)
        frozen = self.frozen
        return plain if frozen is None else lambda row: frozen(plain(row))

    @cached_property
    def frozen(self) -> Callable[[Sequence[Any]], tuple[Any, ...]] | None:
        """Freezes the mutable values of a row given in column order; None when the table has no such column."""
        mutable = [(position, column) for position, column in enumerate(self.columns) if column.kind.freeze]
        if not mutable:
            return None

        def frozen(values: Sequence[Any]) -> tuple[Any, ...]:
            changed = list(values)
            for position, column in mutable:
                changed[position] = freeze(column, changed[position])
            return tuple(changed)

        return frozen

    def row_of(self, values: Sequence[Any]) -> Row:
        """The row of a tuple in column order."""
        return dict(zip(self.names, values, strict=True))

    # Definition

    def create(self, schema: str, *, building: bool) -> list[str]:
        """The statements that create the empty table; with `building`, without what `finish` adds."""
        columns = [
            f'"{column.name}" {column.kind.ddl}{"" if column.nullable else " not null"}' for column in self.columns
        ]
        columns.append(f'constraint "{self.name}_key" primary key ({_quoted(self.key)})')
        fill = self.fill or (100 if self.append_only else 85)
        statements = [f"create table {self.qualified(schema)} ({', '.join(columns)}) with (fillfactor = {fill})"]
        statements += [
            self._create_index(schema, number, "index")
            for number, index in enumerate(self.indexes)
            if index.from_the_start or not building
        ]
        return statements

    def finish(self, schema: str, *, concurrently: bool) -> list[str]:
        """The statements that complete a table created with `building`: what was left out, and statistics.

        They may be repeated after an interruption. With `concurrently` they hold no long transaction, and must each run
        in a transaction of their own.
        """
        how = "index concurrently" if concurrently else "index"
        statements = []
        for number, index in enumerate(self.indexes):
            if not index.from_the_start:
                statements.append(f'drop index if exists "{schema}"."{self._index_name(number)}"')
                statements.append(self._create_index(schema, number, how))
        return [*statements, f"analyze {self.qualified(schema)}"]

    def qualified(self, schema: str) -> str:
        """The table's quoted name."""
        return f'"{schema}"."{self.name}"'

    def _index_name(self, number: int) -> str:
        return f"{self.name}_index_{number}"

    def _create_index(self, schema: str, number: int, how: str) -> str:
        index = self.indexes[number]
        terms = ", ".join(f'"{term}"' if term in self.names else term for term in index.on)
        where = f" where {index.where}" if index.where else ""
        unique = "unique " if index.unique else ""
        name = self._index_name(number)
        return f'create {unique}{how} "{name}" on {self.qualified(schema)} using {index.method} ({terms}){where}'

    # Rows

    def statement(self, kind: str, schema: str) -> str:
        """The statement `load`, `insert`, `upsert`, `update` or `delete` of a schema, made once."""
        made = self._statements.get((kind, schema))
        if made is None:
            made = self._statements[(kind, schema)] = getattr(self, kind)(schema)
        return made

    @cached_property
    def _statements(self) -> dict[tuple[str, str], str]:
        return {}

    def copy_in(self, schema: str) -> str:
        """Adds rows from a block of `copy_block`."""
        return f"copy {self.qualified(schema)} ({_quoted(self.names)}) from stdin {COPY_FORMAT}"

    def load(self, schema: str) -> str:
        """Loads rows by key; takes one array a key column."""
        names = ", ".join(f't."{name}"' for name in self.names)
        if len(self.key) == 1:
            array = _array(self.key_columns[0])
            return f'select {names} from {self.qualified(schema)} t where t."{self.key[0]}" = any({array})'
        return f"select {names} from {_unnest(self.key_columns)} join {self.qualified(schema)} t on {self._key_match}"

    def find(self, schema: str, columns: Sequence[str]) -> str:
        """Loads the rows with given values in some columns, in key order; takes one parameter a column."""
        types = {column.name: column.type for column in self.columns}
        condition = " and ".join(f'"{name}" = %s::{types[name]}' for name in columns)
        return (
            f"select {_quoted(self.names)} from {self.qualified(schema)} where {condition} order by {_quoted(self.key)}"
        )

    def insert(self, schema: str) -> str:
        """Adds rows; takes one array a column."""
        names = _quoted(self.names)
        values = ", ".join(f'v."{name}"' for name in self.names)
        return f"insert into {self.qualified(schema)} ({names}) select {values} from {_unnest(self.columns)}"

    def upsert(self, schema: str) -> str:
        """Adds rows or replaces those of the same key; takes one array a column."""
        changes = ", ".join(f'"{name}" = excluded."{name}"' for name in self._dependent)
        action = f"update set {changes}" if changes else "nothing"
        return f"{self.insert(schema)} on conflict ({_quoted(self.key)}) do {action}"

    def update(self, schema: str) -> str:
        """Replaces rows that exist; takes one array a column."""
        changes = ", ".join(f'"{name}" = v."{name}"' for name in self._dependent)
        source = _unnest(self.columns)
        return f"update {self.qualified(schema)} t set {changes} from {source} where {self._key_match}"

    def delete(self, schema: str) -> str:
        """Deletes rows by key; takes one array a key column."""
        return f"delete from {self.qualified(schema)} t using {_unnest(self.key_columns)} where {self._key_match}"

    def delete_groups(self, schema: str, names: Sequence[str]) -> str:
        """Deletes the rows with given values in some columns; takes one array a column."""
        match = " and ".join(f't."{name}" = v."{name}"' for name in names)
        source = _unnest([self.column(name) for name in names])
        return f"delete from {self.qualified(schema)} t using {source} where {match}"

    def increase(self, schema: str, name: str) -> str:
        """Adds to a column of rows that exist; takes one array a key column and one of amounts."""
        arrays = ", ".join([*map(_array, self.key_columns), "%s::bigint[]"])
        source = f"unnest({arrays}) as v({_quoted(self.key)}, added)"
        change = f'"{name}" = t."{name}" + v.added'
        return f"update {self.qualified(schema)} t set {change} from {source} where {self._key_match}"

    @cached_property
    def _dependent(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name not in self.key)

    @cached_property
    def _key_match(self) -> str:
        return " and ".join(f't."{name}" = v."{name}"' for name in self.key)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _array(column: Column) -> str:
    return f"%s::{'text' if column.kind.through_text else column.type}[]"


def _unnest(columns: Sequence[Column]) -> str:
    """The rows `v` out of one array a column."""
    arrays = ", ".join(map(_array, columns))
    names = _quoted([column.name for column in columns])
    if not any(column.kind.through_text for column in columns):
        return f"unnest({arrays}) as v({names})"
    casts = ", ".join(
        f'u."{column.name}"::{column.type} as "{column.name}"' if column.kind.through_text else f'u."{column.name}"'
        for column in columns
    )
    return f"(select {casts} from unnest({arrays}) as u({names})) as v"
