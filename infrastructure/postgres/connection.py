"""A connection that can run several prepared statements in one network round trip.

A command costs little more than its round trips to the database, so the write path sends what belongs together in one
pipeline: begin, lock and look up the key; insert events, answer and audit record and commit. `round_trip` does that
on libpq's pipeline mode with statements prepared once a connection, and it raises psycopg's own errors. Everything else
on the connection is plain psycopg: the connection is in autocommit mode, transactions are begun explicitly.
"""

from __future__ import annotations

import datetime as dt
import select
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import errors, pq
from psycopg.abc import AdaptContext
from psycopg.adapt import AdaptersMap
from psycopg.adapt import Transformer as new_transformer
from psycopg.types.numeric import Int8BinaryLoader
from psycopg.types.string import ByteaBinaryLoader

if TYPE_CHECKING:
    from psycopg.abc import PQGen, Transformer

_BINARY = 1
_XID8 = 5069
# Plain numbers, which compare faster than members of an enumeration.
_FINE = (int(pq.ExecStatus.COMMAND_OK), int(pq.ExecStatus.TUPLES_OK))
_SYNC = int(pq.ExecStatus.PIPELINE_SYNC)


class Statement(NamedTuple):
    """A prepared statement: a name unique in the program, and SQL with $1, $2, ... whose types SQL can tell."""

    name: str
    sql: str


class Call(NamedTuple):
    """A statement with its parameters."""

    statement: Statement
    parameters: Sequence[object] = ()


BEGIN = Statement("begin", "BEGIN")
COMMIT = Statement("commit", "COMMIT")
ROLLBACK = Statement("rollback", "ROLLBACK")

Row = tuple[Any, ...]


class StoreConnection(psycopg.Connection[Row]):
    """A psycopg connection with `round_trip`. Used by one thread at a time, as pools hand it out."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ready: set[str] = set()
        self._poll = select.poll()
        self._poll.register(self.pgconn.socket, select.POLLIN)
        self._transformer: Transformer | None = None
        #: What whoever holds the connection keeps with it for the length of one unit of work.
        self.scratch: dict[str, Any] = {}

    def _deallocate(self, name: bytes | None) -> PQGen[None]:
        # After a DROP, ALTER or ROLLBACK psycopg forgets what it prepared itself with DEALLOCATE ALL, which takes the
        # statements of `round_trip` with it.
        if name is None:
            self._ready.clear()
        return super()._deallocate(name)

    def round_trip(self, *calls: Call) -> list[list[Row]]:
        """Run the calls in order, in one round trip; the rows of each. `json` comes as the bytes stored, `xid8` as int.

        Raises the psycopg error of the first failing call; the calls behind it were not run.
        """
        encoders = _ENCODERS
        texts = [[None if value is None else encoders[type(value)](value) for value in call[1]] for call in calls]
        pgconn = self.pgconn
        pgconn.enter_pipeline_mode()
        try:
            expected: list[str | None] = []  # a name: the answer to its preparation; None: a result
            for (statement, _), parameters in zip(calls, texts, strict=True):
                self._send(statement, parameters, expected)
            pgconn.pipeline_sync()
            results, failure = self._receive(expected)
            pgconn.exit_pipeline_mode()
        except BaseException:
            self.close()  # interrupted between question and answer, it is of no more use
            raise
        if failure is not None:
            raise errors.error_from_result(failure, encoding="utf-8")
        return [self._rows(result) for result in results]

    def _send(self, statement: Statement, parameters: Sequence[bytes | None], expected: list[str | None]) -> None:
        name = statement.name.encode()
        if statement.name not in self._ready and statement.name not in expected:
            self.pgconn.send_prepare(name, statement.sql.encode())
            expected.append(statement.name)
        self.pgconn.send_query_prepared(name, parameters, None, _BINARY)
        expected.append(None)

    def _receive(self, expected: Sequence[str | None]) -> tuple[list[pq.abc.PGresult], pq.abc.PGresult | None]:
        """The results up to the end of the pipeline, and the first failure among them."""
        results: list[pq.abc.PGresult] = []
        failure: pq.abc.PGresult | None = None
        answers = iter(expected)
        self._flush()
        pgconn = self.pgconn
        while True:
            while pgconn.is_busy():
                self._poll.poll()
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is None:  # parts one statement's results from the next one's
                continue
            status = result.status
            if status == _SYNC:
                return results, failure
            name = next(answers)
            if status not in _FINE:
                failure = failure or result
            elif name is None:
                results.append(result)
            else:
                self._ready.add(name)

    def _flush(self) -> None:
        """Send everything. If that is more than the socket takes, read meanwhile, or both sides wait for ever."""
        pgconn = self.pgconn
        while pgconn.flush():
            self._poll.modify(pgconn.socket, select.POLLIN | select.POLLOUT)
            try:
                if self._poll.poll()[0][1] & select.POLLIN:
                    pgconn.consume_input()
            finally:
                self._poll.modify(pgconn.socket, select.POLLIN)

    def _rows(self, result: pq.abc.PGresult) -> list[Row]:
        count = result.ntuples
        if not count:
            return []
        transformer = self._transformer or self._new_transformer()
        transformer.set_pgresult(result)
        return transformer.load_rows(0, count, tuple)

    def _new_transformer(self) -> Transformer:
        self._transformer = new_transformer(_Context(self))
        return self._transformer


class _Context(AdaptContext):
    """How `round_trip` reads results: as psycopg does, but JSON as its bytes and transaction ids as integers."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection
        self._adapters = AdaptersMap(connection.adapters)
        read_log_types(self._adapters)

    @property
    def adapters(self) -> AdaptersMap:
        return self._adapters

    @property
    def connection(self) -> StoreConnection:
        return self._connection


def read_log_types(adapters: AdaptersMap) -> None:
    """Make a connection or cursor read `json` as the bytes stored and `xid8` as int, in binary results."""
    adapters.register_loader("json", ByteaBinaryLoader)
    adapters.register_loader(_XID8, Int8BinaryLoader)


def _text(value: object) -> bytes:
    """A parameter in PostgreSQL's text form."""
    return _ENCODERS[type(value)](value)


def _array(values: list[Any]) -> bytes:
    parts = []
    for value in values:
        part = _text(value)
        if isinstance(value, int):
            parts.append(part)
        else:
            parts.append(b'"' + part.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"')
    return b"{" + b",".join(parts) + b"}"


class _Encoders(dict[type, Callable[[Any], bytes]]):
    """By type; a type not listed, such as an enumeration of strings, is written like the one it is derived from."""

    def __missing__(self, kind: type) -> Callable[[Any], bytes]:
        for base in kind.__mro__[1:]:
            if base in self:
                self[kind] = self[base]
                return self[base]
        raise TypeError(f"{kind.__name__} is no parameter type")


_ENCODERS = _Encoders(
    {
        str: str.encode,
        int: lambda value: b"%d" % value,
        bool: lambda value: b"t" if value else b"f",
        bytes: lambda value: b"\\x" + value.hex().encode(),
        UUID: lambda value: b"%032x" % value.int,
        dt.datetime: lambda value: value.isoformat().encode(),
        dt.date: lambda value: value.isoformat().encode(),
        list: _array,
    }
)
