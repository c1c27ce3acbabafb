"""Is the log still what was written? The hash chain of every stream, and the daily checkpoints over their heads.

Verifying a stream finds the first event whose content does not give its hash, or that is not chained to the one before
it (PLT-024, PLT-082). Someone who recomputes all hashes behind a change is found by the checkpoints: each keeps the
heads of the streams that grew since the one before, and one hash over all heads in stream order, which is also kept
where the database's owner cannot reach it. A break is reported, never repaired.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import psycopg
from psycopg import Connection
from psycopg.rows import tuple_row

from infrastructure.event_store.hash_chain import GENESIS, Hasher, Origin, StreamName
from infrastructure.postgres.connection import Row, read_log_types
from infrastructure.postgres.database import Database

_ROWS_PER_FETCH = 5_000
_READABLE = "transaction < pg_snapshot_xmin(pg_current_snapshot())"


class BreakKind(StrEnum):
    """What does not fit."""

    CONTENT = "CONTENT"  # the event does not give its hash
    LINK = "LINK"  # the event is not chained to the one before it
    GAP = "GAP"  # the event before it is missing
    CHECKPOINT = "CHECKPOINT"  # the stream does not lead to the head of the checkpoint


@dataclass(frozen=True, slots=True)
class Break:
    """The first break of a stream."""

    stream: str
    stream_position: int
    kind: BreakKind


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A day's checkpoint: how many streams there were, and the hash over their heads in stream order.

    The hash is SHA-256 over one line a stream: id, blank, position, blank, hash in hexadecimal, line feed.
    """

    taken_on: dt.date
    taken_at: dt.datetime
    streams: int
    hash: bytes


def verify_streams(database: Database, streams: Sequence[str] | None = None) -> list[Break]:
    """The first break of every broken stream, of those named or of all, in stream order; empty when all is well."""
    condition = "" if streams is None else "WHERE stream = ANY(%s)"
    query = (
        "SELECT stream, stream_position, type, schema_version, event_id, effective_date, recorded_at, actor_kind,"
        " actor, client, channel, on_behalf_of, command_id, correlation_id, causation_id, previous_hash, hash, payload"
        f" FROM event {condition} ORDER BY stream, stream_position"
    )
    parameters = [] if streams is None else [list(streams)]
    with database.reading() as connection, connection.transaction():
        return list(_breaks(_stream_rows(connection, query, parameters)))


def _breaks(rows: Iterable[Row]) -> Iterator[Break]:
    stream, position, head, broken = None, 0, GENESIS, False
    name = StreamName.of("")
    for row in rows:
        if row[0] != stream:
            stream, position, head, broken = row[0], 0, GENESIS, False
            name = StreamName.of(row[0])
        if broken:
            continue
        kind = _break_of(row, name, position, head)
        position, head = row[1], row[16]
        if kind is not None:
            broken = True
            yield Break(row[0], row[1], kind)


def _break_of(row: Row, name: StreamName, position: int, head: bytes) -> BreakKind | None:
    """What is wrong with an event behind the one at `position` with hash `head`."""
    (
        _, stream_position, kind, version, event_id, effective_date, recorded_at, actor_kind, actor, client, channel,
        on_behalf_of, command_id, correlation_id, causation_id, previous, digest, payload,
    ) = row  # fmt: skip
    if stream_position != position + 1:
        return BreakKind.GAP
    if previous != head:
        return BreakKind.LINK
    origin = Origin(actor_kind, actor, client, channel, on_behalf_of, command_id, correlation_id, causation_id)
    expected = Hasher(origin, recorded_at).hash(
        previous,
        name,
        stream_position,
        kind.encode(),
        version,
        str(event_id).encode(),
        effective_date.isoformat().encode(),
        payload,
    )
    return None if expected == digest else BreakKind.CONTENT


def take_checkpoint(database: Database, day: dt.date, now: dt.datetime) -> Checkpoint:
    """Take the checkpoint of a day over all streams as the log can be read now; a day has one, taken once.

    The caller hands it to the second store, which allows no change (PLT-024).
    """
    with database.writing() as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        known = connection.execute(_SELECT_CHECKPOINTS + " WHERE taken_on = %s", [day]).fetchone()
        if known is not None:
            return Checkpoint(*known)
        last = connection.execute("SELECT transaction, position FROM chain_checkpoint ORDER BY taken_on DESC LIMIT 1")
        transaction, position = last.fetchone() or ("0", 0)
        head = connection.execute(
            f"SELECT transaction, position FROM event WHERE {_READABLE}"
            " ORDER BY transaction DESC, position DESC LIMIT 1"
        ).fetchone() or (transaction, position)
        connection.execute(
            "INSERT INTO chain_checkpoint_head (taken_on, stream, stream_position, hash)"
            " SELECT DISTINCT ON (stream) %s::date, stream, stream_position, hash FROM event"
            f" WHERE (transaction, position) > (%s::text::xid8, %s) AND {_READABLE}"
            " ORDER BY stream, stream_position DESC",
            [day, str(transaction), position],
        )
        streams, digest = _hash_over_heads(connection, day)
        connection.execute(
            "INSERT INTO chain_checkpoint (taken_on, taken_at, transaction, position, streams, hash)"
            " VALUES (%s, %s, %s::text::xid8, %s, %s, %s)",
            [day, now, str(head[0]), head[1], streams, digest],
        )
        return Checkpoint(day, now, streams, digest)


def checkpoints(database: Database) -> list[Checkpoint]:
    """All checkpoints, oldest first."""
    with database.reading() as connection:
        return [Checkpoint(*row) for row in connection.execute(_SELECT_CHECKPOINTS + " ORDER BY taken_on")]


def check_checkpoint(database: Database, checkpoint: Checkpoint) -> list[Break]:
    """The streams that no longer lead to a checkpoint, as kept in the second store or in the database.

    A break without a stream means that the kept heads themselves do not give the checkpoint's hash.
    """
    query = (
        "SELECT h.stream, h.stream_position FROM chain_checkpoint_head h"
        " LEFT JOIN event e ON e.stream = h.stream AND e.stream_position = h.stream_position"
        " WHERE h.taken_on = %s AND e.hash IS DISTINCT FROM h.hash ORDER BY h.stream"
    )
    with database.reading() as connection, connection.transaction():
        rows = connection.execute(query, [checkpoint.taken_on]).fetchall()
        breaks = [Break(stream, position, BreakKind.CHECKPOINT) for stream, position in rows]
        # A checkpoint over nothing binds nothing: a sandbox's clock may have gone back behind it since.
        bound = checkpoint.streams > 0
        if bound and _hash_over_heads(connection, checkpoint.taken_on) != (checkpoint.streams, checkpoint.hash):
            breaks.append(Break("", 0, BreakKind.CHECKPOINT))
        return breaks


_SELECT_CHECKPOINTS = "SELECT taken_on, taken_at, streams, hash FROM chain_checkpoint"


def _hash_over_heads(connection: Connection[Row], day: dt.date) -> tuple[int, bytes]:
    """Number of streams, and the hash over their heads as of a checkpoint day."""
    query = (
        "SELECT DISTINCT ON (stream) stream, stream_position, hash FROM chain_checkpoint_head"
        " WHERE taken_on <= %s ORDER BY stream, taken_on DESC"
    )
    digest, streams = hashlib.sha256(), 0
    for stream, position, head in _stream_rows(connection, query, [day]):
        digest.update(f"{stream} {position} {head.hex()}\n".encode())
        streams += 1
    return streams, digest.digest()


def _stream_rows(connection: Connection[Row], query: str, parameters: Sequence[object]) -> Iterator[Row]:
    """The rows of a query, fetched in blocks inside the open transaction, so that memory stays bounded."""
    with psycopg.ServerCursor(connection, name="verification", row_factory=tuple_row) as cursor:
        read_log_types(cursor.adapters)
        cursor.itersize = _ROWS_PER_FETCH
        cursor.execute(query.encode(), parameters, binary=True)
        yield from cursor
