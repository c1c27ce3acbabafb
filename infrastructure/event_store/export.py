"""The stored log as a file and back: one JSON object a line, every column, payloads exactly as stored.

A log kept in this form loads into any later version of the schema, keeps positions, order and hashes, and is how a log
is carried to another server: its transaction ids mean nothing there, so loading gives the events new ones, in an order
that keeps the order of the log.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import tuple_row

from infrastructure.postgres.connection import read_log_types
from infrastructure.postgres.database import Database


class StoredRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the log. Hashes in hexadecimal; `transaction` is the writer's on the server it was written on."""

    position: int
    transaction: int
    stream: str
    stream_position: int
    type: str
    schema_version: int
    event_id: UUID
    effective_date: dt.date
    recorded_at: dt.datetime
    actor_kind: str
    actor: str
    client: str
    channel: str
    on_behalf_of: str | None
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID | None
    previous_hash: str
    hash: str
    payload: msgspec.Raw


_COLUMNS = StoredRow.__struct_fields__
_WRITTEN = tuple(name for name in _COLUMNS if name != "transaction")


def export_log(database: Database, path: Path) -> int:
    """Write the readable log to a file, in log order; the number of events."""
    columns = ", ".join(f"encode({name}, 'hex')" if name in ("previous_hash", "hash") else name for name in _COLUMNS)
    query = (
        f"SELECT {columns} FROM event WHERE transaction < pg_snapshot_xmin(pg_current_snapshot())"
        " ORDER BY transaction, position"
    )
    count = 0
    with (
        path.open("wb") as file,
        database.reading() as connection,
        connection.transaction(),
        psycopg.ServerCursor(connection, name="export", row_factory=tuple_row) as cursor,
    ):
        read_log_types(cursor.adapters)
        cursor.itersize = 5_000
        for row in cursor.execute(query.encode(), binary=True):
            stored = StoredRow(**dict(zip(_COLUMNS, (*row[:-1], msgspec.Raw(row[-1])), strict=True)))
            file.write(msgspec.json.encode(stored) + b"\n")
            count += 1
    return count


def load_log(database: Database, path: Path) -> int:
    """Load a log file into an empty log; the number of events. Raises ValueError if the log is not empty.

    Within a transaction the log is ordered by position, so a new one is begun wherever the position goes back.
    """
    with database.writing() as connection:
        if connection.execute("SELECT 1 FROM event LIMIT 1").fetchone() is not None:
            raise ValueError("the log is not empty")
        count = 0
        rows = _rows(path)
        first = next(rows, None)
        while first is not None:
            copied, first = _copy_run(connection, first, rows)
            count += copied
        connection.execute(
            "SELECT setval(pg_get_serial_sequence('event', 'position'), (SELECT max(position) FROM event))"
        )
    return count


def _copy_run(
    connection: psycopg.Connection[tuple[object, ...]], first: StoredRow, rows: Iterator[StoredRow]
) -> tuple[int, StoredRow | None]:
    """Copy rows with rising positions, in one transaction; how many, and the first row behind them."""
    count, last = 0, 0
    command = f"COPY event ({', '.join(_WRITTEN)}) FROM STDIN"
    with connection.transaction(), connection.cursor().copy(command.encode()) as copy:
        for row in chain([first], rows):
            if row.position < last:
                return count, row
            copy.write_row([_copy_value(name, row) for name in _WRITTEN])
            count, last = count + 1, row.position
    return count, None


def _copy_value(name: str, row: StoredRow) -> object:
    value = getattr(row, name)
    if name in ("previous_hash", "hash"):
        return bytes.fromhex(value)
    return bytes(value).decode() if name == "payload" else value


def _rows(path: Path) -> Iterator[StoredRow]:
    decode = msgspec.json.Decoder(StoredRow).decode
    with path.open("rb") as file:
        for line in file:
            yield decode(line)
