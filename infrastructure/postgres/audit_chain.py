"""The chains over the audit trails, of commands and of queries: append-only like the log, hash-chained like a stream
(PLT-079).

One chain over all records would make every command wait for the one before it. So records are written unchained and
sealed afterwards, in their order (transaction, position), by a job that runs every few seconds: each seal holds the
hash over the seal before it and its record. A record changed, removed or slipped in before the last seal is found.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec
import psycopg
from psycopg.rows import dict_row

from infrastructure.event_store.hash_chain import GENESIS
from infrastructure.postgres.connection import StoreConnection
from infrastructure.postgres.database import Database

#: Records one transaction seals.
SEAL_BATCH = 5_000

#: The trails, each with a table of seals beside it.
COMMANDS, QUERIES = "command_audit", "query_audit"
_TRAILS = (COMMANDS, QUERIES)

_LOCK = 7_246_002
_UNSEALED = """
    SELECT a.* FROM {trail} a
     WHERE (a.transaction, a.position) > (%s::text::xid8, %s)
       AND a.transaction < pg_snapshot_xmin(pg_current_snapshot())
     ORDER BY a.transaction, a.position LIMIT %s
"""
_SEALED = """
    SELECT s.sequence, s.previous_hash AS seal_previous, s.hash AS seal_hash, a.*
      FROM {trail}_seal s LEFT JOIN {trail} a ON a.transaction = s.transaction AND a.position = s.position
     ORDER BY s.sequence
"""

_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class SealBreak:
    """The first seal that does not fit; `sequence` counts from 1. 0: records lie unsealed in front of the last seal."""

    sequence: int
    trail: str = COMMANDS


def seal_audit(database: Database) -> int:
    """Seal what was recorded since the last call; the number of records. One process at a time does it."""
    return sum(_seal_trail(database, trail) for trail in _TRAILS)


def verify_audit(database: Database) -> SealBreak | None:
    """The first break of the audit chains; None when all is well. Records not sealed yet are not judged."""
    with database.reading() as connection, connection.transaction():
        for trail in _TRAILS:
            found = _first_break(connection, trail)
            if found is not None:
                return found
    return None


def _seal_trail(database: Database, trail: str) -> int:
    total = 0
    while True:
        with database.writing() as connection, connection.transaction():
            sealed = _seal_batch(connection, trail)
        total += sealed
        if sealed < SEAL_BATCH:
            return total


def _first_break(connection: StoreConnection, trail: str) -> SealBreak | None:
    sequence, head = 0, GENESIS
    with psycopg.ServerCursor(connection, name=f"{trail}_chain", row_factory=dict_row) as cursor:
        cursor.itersize = SEAL_BATCH
        for row in cursor.execute(_SEALED.format(trail=trail).encode()):
            sequence += 1
            found, previous, digest = row.pop("sequence"), row.pop("seal_previous"), row.pop("seal_hash")
            if (found, previous) != (sequence, head) or _seal(head, row) != digest:
                return SealBreak(sequence, trail)
            head = digest
    slipped_in = connection.execute(
        f"SELECT 1 FROM {trail} a WHERE (a.transaction, a.position) <="
        f" (SELECT s.transaction, s.position FROM {trail}_seal s ORDER BY s.sequence DESC LIMIT 1)"
        f" AND NOT EXISTS (SELECT FROM {trail}_seal s WHERE s.position = a.position) LIMIT 1".encode()
    ).fetchone()
    return None if slipped_in is None else SealBreak(0, trail)


def _seal_batch(connection: psycopg.Connection[tuple[object, ...]], trail: str) -> int:
    taken = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK]).fetchone()
    if taken is None or not taken[0]:
        return 0
    last = connection.execute(
        f"SELECT sequence, transaction::text, position, hash FROM {trail}_seal ORDER BY sequence DESC LIMIT 1".encode()
    ).fetchone() or (0, "0", 0, GENESIS)
    sequence, transaction, position, head = last
    with connection.cursor(row_factory=dict_row) as cursor:
        unsealed = _UNSEALED.format(trail=trail).encode()
        rows = cursor.execute(unsealed, [transaction, position, SEAL_BATCH]).fetchall()
    seals = []
    for number, row in enumerate(rows, int(str(sequence)) + 1):
        digest = _seal(head, row)  # type: ignore[arg-type]
        seals.append((number, str(row["transaction"]), row["position"], head, digest))
        head = digest
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {trail}_seal (sequence, transaction, position, previous_hash, hash)"
            " VALUES (%s, %s::text::xid8, %s, %s, %s)".encode(),
            seals,
        )
    return len(rows)


def _seal(previous: bytes, record: dict[str, object]) -> bytes:
    """SHA-256 over the previous hash in hexadecimal and the canonical JSON of the record's columns."""
    shown = {name: value.hex() if isinstance(value, bytes) else value for name, value in record.items()}
    return hashlib.sha256(previous.hex().encode() + _encode(shown)).digest()
