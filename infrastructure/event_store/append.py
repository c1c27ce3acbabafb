"""Appending to the log: one multi-row INSERT for a few events, a binary COPY for many; writers never wait for a lock.

A writer takes its transaction id with its first row, after it has read the streams it adds to. That makes the order of
the log, (transaction, position), agree with the order inside every stream: whoever appends n + 1 has seen n committed,
so his transaction id is the higher one. Should a unit of work have read a stream only after its id was taken, the
append itself refuses (`after`), as it does when another writer was faster (the unique stream position).
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple
from uuid import UUID

from psycopg import errors

from application.dispatch import ConcurrencyError
from infrastructure.event_store.hash_chain import Origin
from infrastructure.postgres.binary_copy import END, EPOCH_DAY, HEADER, NULL, ROWS_PER_WRITE, sized, timestamp
from infrastructure.postgres.connection import Call, Row, Statement, StoreConnection

#: Up to so many events an INSERT is faster than a COPY with its extra round trips (tests/benchmarks/store_bench.py).
INSERT_UP_TO = 32

_ROW_COLUMNS = (
    ("stream", "text"),
    ("stream_position", "integer"),
    ("type", "text"),
    ("schema_version", "smallint"),
    ("event_id", "uuid"),
    ("effective_date", "date"),
    ("previous_hash", "bytea"),
    ("hash", "bytea"),
    ("payload", "json"),
)
# The instant, then the members of an `Origin` in their order.
_SHARED_COLUMNS = (
    ("recorded_at", "timestamptz"),
    ("actor_kind", "text"),
    ("actor", "text"),
    ("client", "text"),
    ("channel", "text"),
    ("on_behalf_of", "text"),
    ("command_id", "uuid"),
    ("correlation_id", "uuid"),
    ("causation_id", "uuid"),
)
_TRANSACTION = Statement("event_transaction", "SELECT pg_current_xact_id()")
_POSITIONS = Statement(
    "event_positions",
    "SELECT position FROM event WHERE transaction = pg_current_xact_id() AND position > $1::bigint ORDER BY position",
)
_RANGE = Statement(
    "event_range",
    "SELECT min(position), max(position), count(*) FROM event"
    " WHERE transaction = pg_current_xact_id() AND position > $1::bigint",
)
_LAST_OWN = Statement(
    "event_last_own", "SELECT coalesce(max(position), 0) FROM event WHERE transaction = pg_current_xact_id()"
)


class NewEvent(NamedTuple):
    """An event ready to be stored, beside what it shares with the others of its command. Payload: canonical JSON."""

    stream: str
    stream_position: int
    type: str
    schema_version: int
    event_id: str
    effective_date: dt.date
    previous_hash: bytes
    hash: bytes
    payload: bytes


class Written(NamedTuple):
    """Where events were written: their transaction, and their positions in the order in which they were given."""

    transaction: int
    positions: Sequence[int]


def insert_call(origin: Origin, recorded_at: dt.datetime, events: Sequence[NewEvent], after: int) -> Call:
    """The INSERT of a few events, to be sent with other calls; `written_rows` reads its rows.

    `after` is the highest transaction that wrote a stream these events continue. Failures: see `conflict`.
    """
    parameters: list[object] = [after, recorded_at, *origin]
    for event in events:
        parameters.extend(event[:-1])
        parameters.append(event.payload.decode())
    return Call(_insert(len(events)), parameters)


def written_rows(rows: Sequence[Row]) -> Written:
    """Where the events of an `insert_call` were written."""
    return Written(rows[0][1], [row[0] for row in rows])


def copy_in(
    connection: StoreConnection, origin: Origin, recorded_at: dt.datetime, events: Iterable[NewEvent], after: int
) -> Written:
    """Append many events in the open transaction. Raises ConcurrencyError."""
    [[own]], [[last]] = connection.round_trip(Call(_TRANSACTION), Call(_LAST_OWN))
    if own < after:
        raise ConcurrencyError("a stream was read behind the transaction's own start")
    columns = ", ".join(name for name, _ in _ROW_COLUMNS + _SHARED_COLUMNS)
    with connection.cursor().copy(f"COPY event ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
        for block in _binary_rows(origin, recorded_at, events):
            copy.write(block)
    [[(first, highest, count)]] = connection.round_trip(Call(_RANGE, [last]))
    if highest - first + 1 == count:  # nobody else took a position in between
        return Written(own, range(first, highest + 1))
    [rows] = connection.round_trip(Call(_POSITIONS, [last]))
    return Written(own, [row[0] for row in rows])


def conflict(error: BaseException) -> ConcurrencyError | None:
    """The error as a conflict with another writer, if it is one: a taken stream position, a stream read too late, a
    deadlock, a serialization failure, a lock not had in time."""
    if isinstance(error, errors.UniqueViolation) and error.diag.constraint_name == "event_stream_position":
        return ConcurrencyError("a stream was changed meanwhile")
    if isinstance(error, errors.NotNullViolation) and error.diag.column_name == "transaction":
        return ConcurrencyError("a stream was read behind the transaction's own start")
    if isinstance(error, errors.SerializationFailure | errors.DeadlockDetected | errors.LockNotAvailable):
        return ConcurrencyError("another transaction was in the way")
    return None


@cache
def _insert(count: int) -> Statement:
    shared = ", ".join(f"${number}::{kind}" for number, (_, kind) in enumerate(_SHARED_COLUMNS, 2))
    number = len(_SHARED_COLUMNS) + 2
    rows = []
    for _ in range(count):
        rows.append("(" + ", ".join(f"${number + i}::{kind}" for i, (_, kind) in enumerate(_ROW_COLUMNS)) + ")")
        number += len(_ROW_COLUMNS)
    names = ", ".join(name for name, _ in _ROW_COLUMNS)
    shared_names = ", ".join(name for name, _ in _SHARED_COLUMNS)
    # No transaction id but one above `after` may be used: else the row has none, which the table refuses.
    return Statement(
        f"event_insert_{count}",
        f"INSERT INTO event (transaction, {names}, {shared_names})"
        f" SELECT CASE WHEN pg_current_xact_id() >= $1::xid8 THEN pg_current_xact_id() END, {names}, {shared}"
        f" FROM (VALUES {', '.join(rows)}) AS added ({names}) RETURNING position, transaction",
    )


def _binary_rows(origin: Origin, recorded_at: dt.datetime, events: Iterable[NewEvent]) -> Iterator[bytes]:
    """The rows in PostgreSQL's binary COPY format, a few hundred at a time so that both sides work at once."""
    shared = _binary_shared(origin, recorded_at)
    count = struct.pack("!h", len(_ROW_COLUMNS) + len(_SHARED_COLUMNS))
    integer, date, size = struct.Struct("!ii").pack, struct.Struct("!ii").pack, struct.Struct("!i").pack
    hash_size, uuid_size = size(32), size(16)
    types: dict[tuple[str, int], bytes] = {}
    streams: dict[str, bytes] = {}
    parts = [HEADER]
    for index, event in enumerate(events):
        stream, stream_position, name, version, event_id, effective, previous, digest, payload = event
        kind = types.get((name, version)) or types.setdefault(
            (name, version), sized(name.encode()) + struct.pack("!ih", 2, version)
        )
        parts += (
            count,
            streams.get(stream) or streams.setdefault(stream, sized(stream.encode())),
            integer(4, stream_position),
            kind,
            uuid_size,
            bytes.fromhex(event_id.replace("-", "")),
            date(4, effective.toordinal() - EPOCH_DAY),
            hash_size,
            previous,
            hash_size,
            digest,
            size(len(payload)),
            payload,
            shared,
        )
        if index % ROWS_PER_WRITE == ROWS_PER_WRITE - 1:
            yield b"".join(parts)
            parts.clear()
    parts.append(END)
    yield b"".join(parts)


def _binary_shared(origin: Origin, recorded_at: dt.datetime) -> bytes:
    parts = [timestamp(recorded_at)]
    for value in origin:
        if isinstance(value, UUID):
            parts.append(sized(value.bytes))
        else:
            parts.append(NULL if value is None else sized(str(value).encode()))
    return b"".join(parts)
