"""Storing states beside their streams; infrastructure.event_store.streams reads them again.

A state is written in the transaction that writes its stream's head, over the one that was there before.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from domain.aggregate import Aggregate
from infrastructure.event_store.streams import Head, fingerprint, state_text
from infrastructure.postgres.binary_copy import END, HEADER, ROWS_PER_WRITE, sized, timestamp
from infrastructure.postgres.connection import Call, Statement, StoreConnection

#: More states of new streams than this are copied, which costs the server a third of what replacing does.
REPLACE_UP_TO: Final = 32

_SAVE = Statement(
    "snapshot_save",
    """
    INSERT INTO snapshot (stream, stream_position, fingerprint, state, recorded_at, hash, transaction)
    VALUES ($1::text, $2::int, $3::text, $4::json, $5::timestamptz, $6::bytea, pg_current_xact_id())
        ON CONFLICT (stream) DO UPDATE
       SET stream_position = EXCLUDED.stream_position, fingerprint = EXCLUDED.fingerprint, state = EXCLUDED.state,
           recorded_at = EXCLUDED.recorded_at, hash = EXCLUDED.hash, transaction = EXCLUDED.transaction
    """,
)
_TRANSACTION = Statement("snapshot_transaction", "SELECT pg_current_xact_id()")


class Snapshot(NamedTuple):
    """A state to be stored beside its stream, at the stream's head."""

    aggregate: Aggregate[Any]
    stream: str
    state: Any
    head: Head


def save_call(snapshot: Snapshot) -> Call:
    """Store a state, to be sent with other calls."""
    aggregate, stream, state, head = snapshot
    values = [stream, head.stream_position, fingerprint(aggregate), state_text(state), head.recorded_at, head.hash]
    return Call(_SAVE, values)


def copy_new(connection: StoreConnection, snapshots: Sequence[Snapshot]) -> None:
    """Store the first states of streams that began in this transaction."""
    [[(transaction,)]] = connection.round_trip(Call(_TRANSACTION))
    columns = "stream, stream_position, fingerprint, state, recorded_at, hash, transaction"
    with connection.cursor().copy(f"COPY snapshot ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
        for block in _binary_rows(snapshots, transaction):
            copy.write(block)


def _binary_rows(snapshots: Sequence[Snapshot], transaction: int) -> Iterator[bytes]:
    count, own, integer = struct.pack("!h", 7), struct.pack("!iq", 8, transaction), struct.Struct("!ii").pack
    of: dict[int, bytes] = {}
    instants: dict[dt.datetime, bytes] = {}
    parts = [HEADER]
    for index, (aggregate, stream, state, (position, digest, recorded_at, _)) in enumerate(snapshots):
        parts += (
            count,
            sized(stream.encode()),
            integer(4, position),
            of.get(id(aggregate)) or of.setdefault(id(aggregate), sized(fingerprint(aggregate).encode())),
            sized(state_text(state).encode()),
            instants.get(recorded_at) or instants.setdefault(recorded_at, timestamp(recorded_at)),
            sized(digest),
            own,
        )
        if index % ROWS_PER_WRITE == ROWS_PER_WRITE - 1:
            yield b"".join(parts)
            parts.clear()
    parts.append(END)
    yield b"".join(parts)
