"""Streams on the write path: the present state of one aggregate or of many with one query, and the head to go on from.

A stream is folded from its first event, or, for an aggregate that asks for it (`snapshot_every`), from the state stored
beside it. A stored state carries a fingerprint of its class and of the source of the domain that folded it; after any
change of that source it is ignored, so that a state never outlives the rules it was computed by.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import inspect
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

import domain
from domain.aggregate import Aggregate
from infrastructure.event_store.codec import Decode, decoders, encode_hook, typed_decoder
from infrastructure.event_store.hash_chain import GENESIS
from infrastructure.postgres.connection import Call, Row, Statement

S = TypeVar("S")

_encode_state = msgspec.json.Encoder(enc_hook=encode_hook).encode

#: How many streams one query loads at most.
STREAMS_PER_QUERY = 10_000

_COLUMNS = "stream, stream_position, type, schema_version, payload, recorded_at, transaction, hash"
_ONE = Statement("stream_one", f"SELECT {_COLUMNS} FROM event WHERE stream = $1::text ORDER BY stream_position")
# The event a known state ends with, without its payload, and what came behind it.
_BEHIND = Statement(
    "stream_behind",
    """
    SELECT stream, stream_position, type, schema_version, CASE WHEN stream_position > $2::int THEN payload END,
           recorded_at, transaction, hash
      FROM event WHERE stream = $1::text AND stream_position >= $2::int ORDER BY stream_position
    """,
)
_MANY = Statement(
    "stream_many", f"SELECT {_COLUMNS} FROM event WHERE stream = ANY($1::text[]) ORDER BY stream, stream_position"
)
# A snapshot comes first, as a row without a type; it stands at the position of the last event folded into it.
_MANY_BEHIND_SNAPSHOTS = Statement(
    "stream_many_snapshot",
    """
    SELECT s.stream, s.stream_position, '', 0::smallint, s.state, s.recorded_at, s.transaction, s.hash
      FROM snapshot s WHERE s.stream = ANY($1::text[]) AND s.fingerprint = $2::text
    UNION ALL
    SELECT e.stream, e.stream_position, e.type, e.schema_version, e.payload, e.recorded_at, e.transaction, e.hash
      FROM unnest($1::text[]) AS wanted (stream)
      LEFT JOIN snapshot s ON s.stream = wanted.stream AND s.fingerprint = $2::text
      JOIN event e ON e.stream = wanted.stream AND e.stream_position > coalesce(s.stream_position, 0)
    ORDER BY 1, 2
    """,
)
_UP_TO = Statement(
    "stream_up_to",
    f"SELECT {_COLUMNS} FROM event WHERE stream = $1::text AND stream_position <= $2::int ORDER BY stream_position",
)
_EXISTS = Statement("stream_exists", "SELECT EXISTS (SELECT FROM event WHERE stream = $1::text)")
_HEADS = Statement(
    "stream_heads",
    """
    SELECT e.stream, e.stream_position, e.hash, e.recorded_at, e.transaction
      FROM unnest($1::text[]) AS wanted (stream)
     CROSS JOIN LATERAL (SELECT * FROM event WHERE event.stream = wanted.stream
                          ORDER BY stream_position DESC LIMIT 1) AS e
    """,
)


class Head(NamedTuple):
    """Where a stream ends: the position, hash, instant and transaction of its last event."""

    stream_position: int
    hash: bytes
    recorded_at: dt.datetime
    transaction: int


#: The head of a stream without events.
NO_HEAD = Head(0, GENESIS, dt.datetime(1, 1, 1, tzinfo=dt.UTC), 0)


class Folded(NamedTuple, Generic[S]):
    """An aggregate's state and the head it was folded up to; the position of the snapshot it was folded behind (0: of
    none), and how many bytes of snapshot and payload it was folded out of."""

    state: S
    head: Head
    snapshot: int
    size: int


def load_call(aggregate: Aggregate[Any], streams: Sequence[str]) -> Call:
    """The query for the streams of one kind of aggregate; `fold_rows` makes states of its rows."""
    if aggregate.snapshot_every:
        return Call(_MANY_BEHIND_SNAPSHOTS, [list(streams), fingerprint(aggregate)])
    if len(streams) == 1:
        return Call(_ONE, streams)
    return Call(_MANY, [list(streams)])


def behind_call(stream: str, head: Head) -> Call:
    """The query for what came behind the head of a known state; `fold_behind` makes the present state of its rows."""
    return Call(_BEHIND, [stream, head.stream_position])


def up_to_call(stream: str, version: int) -> Call:
    """The query for a stream as it was at a version."""
    return Call(_UP_TO, [stream, version])


def exists_call(stream: str) -> Call:
    """The query for whether a stream has an event."""
    return Call(_EXISTS, [stream])


def heads_call(streams: Sequence[str]) -> Call:
    """The query for the heads of streams; streams without events are left out."""
    return Call(_HEADS, [list(streams)])


def heads_of(rows: Sequence[Row]) -> dict[str, Head]:
    """The heads by stream, of the rows of `heads_call`."""
    return {
        stream: Head(position, digest, recorded, transaction)
        for stream, position, digest, recorded, transaction in rows
    }


def fold_rows(aggregate: Aggregate[S], rows: Sequence[Row], before: S | None = None) -> Iterator[tuple[str, Folded[S]]]:
    """The state of each stream among rows ordered by stream and position, from the state `before` or the initial one.

    Raises UnknownEventError.
    """
    evolve, initial = aggregate.evolve, aggregate.initial if before is None else before
    index, count = 0, len(rows)
    while index < count:
        stream = rows[index][0]
        state, snapshot, size = initial, 0, 0
        while index < count and rows[index][0] == stream:
            _, position, name, version, payload, recorded_at, transaction, digest = rows[index]
            if name:
                state = evolve(state, decoders[name, version](payload))
            else:
                state, snapshot = _decoder_of(aggregate)(payload), position
            size += len(payload)
            index += 1
        yield stream, Folded(state, Head(position, digest, recorded_at, transaction), snapshot, size)


def fold_behind(aggregate: Aggregate[S], known: Folded[S], rows: Sequence[Row]) -> Folded[S] | None:
    """The present state, of a known one and the rows of `behind_call`; None if the log does not lead to the known one.

    Raises UnknownEventError.
    """
    if not rows or rows[0][-1] != known.head.hash:
        return None
    if len(rows) == 1:
        return known
    [(_, folded)] = fold_rows(aggregate, rows[1:], known.state)
    return folded._replace(snapshot=known.snapshot, size=known.size + folded.size)


def state_text(state: object) -> str:
    """A state as JSON. Unlike a payload it is not canonical, for nothing is hashed over it: a state may have mappings
    with keys that are not text, such as dates, which the canonical form does not know."""
    return _encode_state(state).decode()


def state_of(aggregate: Aggregate[S], text: str) -> S:
    """The state that `state_text` wrote."""
    state: S = _decoder_of(aggregate)(text.encode())
    return state


def fingerprint(aggregate: Aggregate[Any]) -> str:
    """What a stored state depends on beside its events: its class and the source that folds it."""
    state_class: Any = aggregate.state_class
    return _fingerprint(state_class, aggregate.evolve)


@cache
def _fingerprint(state_class: Any, evolve: object) -> str:
    digest = hashlib.sha256()
    for part in (state_class, evolve):
        digest.update(f"{part.__module__}.{getattr(part, '__qualname__', part)}\n".encode())
    digest.update(_domain_source())
    module = sys.modules.get(getattr(evolve, "__module__", ""))
    if module is not None and not module.__name__.startswith(f"{domain.__name__}."):
        digest.update(inspect.getsource(module).encode())
    return digest.hexdigest()


@cache
def _domain_source() -> bytes:
    """A hash over every source file of the domain: folding may lean on any of them."""
    folder = Path(str(domain.__file__)).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.digest()


def _decoder_of(aggregate: Aggregate[Any]) -> Decode:
    state_class: Any = aggregate.state_class
    return _state_decoder(state_class)


@cache
def _state_decoder(state_class: Any) -> Decode:
    return typed_decoder(state_class)
