"""Executing a batch's writes and queries on a PostgreSQL connection, in few round trips.

Small batches (a command's inline rows, a quiet projector) go in one round trip through the pipeline; large ones as they
are, COPY blocks in pieces. The caller owns the transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, Protocol

import psycopg
import psycopg.pq
from psycopg.rows import tuple_row

from projections.engine.projection import ProjectionError

Connection = psycopg.Connection[Any]
#: Gives a connection for the length of a `with`: a pool's `connection`, or a function that connects.
Connections = Callable[[], AbstractContextManager[Connection]]

#: For the engine's own connections. A rebuild's statements may take as long as they must. Rows are found by their keys,
#: one by one: a table without statistics tempts the planner to read all of it for every batch.
_SETTINGS: Final = {
    "synchronous_commit": "off",
    "statement_timeout": "0",
    "timezone": "'UTC'",
    "jit": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
#: Characters of parameters up to which statements share a round trip.
_PIPELINED: Final = 32_000
#: Bytes of a COPY block handed to the driver at once.
_PIECE: Final = 1 << 18
#: Statements of the same text sent together.
_TOGETHER: Final = 500


#: Rows up to which new ones are written by INSERT, which shares a round trip with others, instead of COPY.
FEW_ROWS: Final = 100

#: A row as a tuple in column order.
Values = tuple[Any, ...]


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


@contextmanager
def dedicated(connections: Connections) -> Iterator[Connection]:
    """A connection for the engine's own batches, in autocommit mode.

    Its commits do not wait for the disk: a batch's rows and position are lost together or not at all.
    """
    with connections() as connection:
        before = connection.autocommit
        connection.autocommit = True
        for name, value in _SETTINGS.items():
            connection.execute(f"set {name} = {value}")
        try:
            yield connection
        finally:
            _give_back(connection, before)


def _give_back(connection: Connection, autocommit: bool) -> None:
    """Make the connection as it was; one that is still in a transaction is of no more use."""
    if connection.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
        connection.close()
        return
    for name in _SETTINGS:
        connection.execute(f"reset {name}")
    connection.autocommit = autocommit


class ConnectionDatabase:
    """The `Database` of the rows on one connection, inside the transaction that the caller has open."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def write(self, writes: Sequence[Write]) -> None:
        if len(writes) > 1 and _is_small(writes):
            self._write_together(writes)
            return
        for (copied, _, exact), group in groupby(writes, key=_likeness):
            several = list(group)
            if copied:
                for write in several:
                    self._copy(write)
            elif exact or len(several) == 1:
                for write in several:
                    _check(write, self._cursor().execute(write.sql, write.parameters).rowcount)
            else:
                for part in _parts(several, _TOGETHER):
                    self._cursor().executemany(part[0].sql, [write.parameters for write in part])

    def query(self, queries: Sequence[Query]) -> list[list[Values]]:
        if len(queries) <= 1 or sum(_size(query.parameters) for query in queries) > _PIPELINED:
            return [self._cursor().execute(query.sql, query.parameters).fetchall() for query in queries]
        with self.connection.pipeline():
            cursors = [self._cursor().execute(query.sql, query.parameters) for query in queries]
            return [cursor.fetchall() for cursor in cursors]

    def _cursor(self) -> psycopg.Cursor[Values]:
        return self.connection.cursor(row_factory=tuple_row)

    def _write_together(self, writes: Sequence[Write]) -> None:
        with self.connection.pipeline():
            cursors = [self._cursor().execute(write.sql, write.parameters) for write in writes]
        for write, cursor in zip(writes, cursors, strict=True):
            _check(write, cursor.rowcount)

    def _copy(self, write: Write) -> None:
        assert write.block is not None
        block = memoryview(write.block)
        with self._cursor().copy(write.sql) as copy:
            for start in range(0, len(block), _PIECE):
                copy.write(block[start : start + _PIECE])


def _likeness(write: Write) -> tuple[bool, str, bool]:
    """Writes that are alike and neighbours may be sent together."""
    return write.block is not None, write.sql, write.rows is not None


def _parts(writes: list[Write], size: int) -> Iterator[list[Write]]:
    return (writes[start : start + size] for start in range(0, len(writes), size))


def _is_small(writes: Sequence[Write]) -> bool:
    if any(write.block is not None for write in writes):
        return False
    return len(writes) <= _TOGETHER and sum(_size(write.parameters) for write in writes) <= _PIPELINED


def _size(parameters: Any) -> int:
    values = parameters.values() if isinstance(parameters, dict) else parameters
    return sum(len(value) if isinstance(value, str | list) else 16 for value in values)


def _check(write: Write, count: int) -> None:
    if write.rows is not None and count != write.rows:
        raise ProjectionError(f"{count} of {write.rows} rows of {write.table} were there to be changed")
