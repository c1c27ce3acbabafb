"""What the store keeps of commands beside their events: answers bound to keys, number sequences, the audit trail.

Writing them is part of the unit of work's last round trip, so this module mostly makes calls for others to send.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from application.command import CommandAnswer, WrittenEvent
from application.dispatch import AuditRecord, CommandContext, StoredAnswer
from domain.errors import Problem
from infrastructure.event_store.codec import canonical
from infrastructure.postgres.connection import Call, Row, Statement
from infrastructure.postgres.database import Database

#: `idempotency.retention_days`: how long a key is bound to its answer (PLT-005).
RETENTION = dt.timedelta(days=90)

_OPEN_KEY = Statement("key_open", "SELECT * FROM open_key($1::text, $2::text, $3::bigint, $4::timestamptz)")
_EVENTS_OF = Statement(
    "answer_events",
    "SELECT type, event_id, stream, stream_position, position FROM event WHERE command_id = $1::uuid ORDER BY position",
)
_INSERT_AUDIT = """
    INSERT INTO command_audit (recorded_at, command_id, command, outcome, layer, codes, actor_kind, actor, person,
        client, channel, address, session, on_behalf_of, idempotency_key, fingerprint, object, positions, duration_us,
        correlation_id)
    VALUES ($1::timestamptz, $2::uuid, $3::text, $4::text, $5::text, $6::text[], $7::text, $8::text, $9::text,
        $10::text, $11::text, $12::text, $13::text, $14::text, $15::text, $16::bytea, $17::text, $18::json, $19::bigint,
        $20::uuid)
    """
_AUDIT = Statement("audit_record", _INSERT_AUDIT)
# One statement for both, since every accepted command has both. Only an expired answer can be in the way: the key is
# locked, and a live answer would have been given.
_AUDIT_AND_ANSWER = Statement(
    "audit_record_and_answer",
    f"""
    WITH bound AS (
        INSERT INTO stored_answer (client, key, fingerprint, command_id, answer, stored_at)
        VALUES ($10::text, $15::text, $16::bytea, $2::uuid, $21::json, $22::timestamptz)
            ON CONFLICT (client, key) DO UPDATE
           SET fingerprint = EXCLUDED.fingerprint, command_id = EXCLUDED.command_id, answer = EXCLUDED.answer,
               stored_at = EXCLUDED.stored_at
    )
    {_INSERT_AUDIT}
    """,
)
_LOCK = Statement("lock", "SELECT pg_advisory_xact_lock(key) FROM unnest($1::bigint[]) AS wanted (key)")
_TRY_LOCK = Statement("lock_try", "SELECT pg_try_advisory_xact_lock($1::bigint)")
_HOLDERS = Statement(
    "lock_holders",
    """
    SELECT EXISTS (SELECT FROM pg_locks AS l
                    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
                      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                      AND (l.classid::bigint << 32) | l.objid::bigint = wanted.key)
      FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted (key, number) ORDER BY wanted.number
    """,
)
_SEQUENCE = Statement("sequence", "SELECT value FROM number_sequence WHERE name = $1::text")
_SAVE_SEQUENCE = Statement(
    "sequence_save",
    """
    INSERT INTO number_sequence (name, value) VALUES ($1::text, $2::bigint)
        ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value
    """,
)


@dataclass(frozen=True, slots=True)
class _Body:
    """The part of an answer that is stored; its events are found again by the command id."""

    result: dict[str, Any]
    warnings: tuple[Problem, ...]


_decode_body = msgspec.json.Decoder(_Body).decode


def open_key_call(context: CommandContext) -> Call:
    """Lock the idempotency key for the transaction and look for its answer."""
    request = context.request
    client, key = request.principal.client, request.idempotency_key
    return Call(_OPEN_KEY, [client, key, lock_number(f"key {client} {key}"), context.now - RETENTION])


class OpenedKey(NamedTuple):
    """What was found of a key: whether no running command holds it, and what is stored of an answered one."""

    free: bool
    fingerprint: bytes | None
    command_id: UUID | None
    body: bytes | None


def opened_key(row: Row) -> OpenedKey:
    """What `open_key_call` found."""
    return OpenedKey(*row)


def events_of_call(command_id: UUID) -> Call:
    """The query for the events a command wrote."""
    return Call(_EVENTS_OF, [command_id])


def stored_answer(key: OpenedKey, events: Sequence[Row]) -> StoredAnswer:
    """The answer as it was given, of an answered key and the events of its command."""
    stored = _decode_body(key.body or b"")
    written = tuple(
        WrittenEvent(name, str(event_id), stream, stream_position, position)
        for name, event_id, stream, stream_position, position in events
    )
    answer = CommandAnswer(
        command_id=str(key.command_id),
        result=stored.result,
        events=written,
        position=max((event.position or 0 for event in written), default=None),
        warnings=stored.warnings,
    )
    return StoredAnswer(key.fingerprint or b"", answer)


def audit_call(record: AuditRecord, subject: str | None, positions: Mapping[str, int]) -> Call:
    """Write an audit record; `subject` is the stream of the command's main object."""
    return Call(_AUDIT, _audit_values(record, subject, positions))


def audit_and_answer_call(
    record: AuditRecord, subject: str | None, positions: Mapping[str, int], answer: CommandAnswer, now: dt.datetime
) -> Call:
    """Write the audit record of an accepted command and bind its key to the answer, from `now` on."""
    body = canonical({"result": answer.result, "warnings": answer.warnings}).decode()
    return Call(_AUDIT_AND_ANSWER, [*_audit_values(record, subject, positions), body, now])


def _audit_values(record: AuditRecord, subject: str | None, positions: Mapping[str, int]) -> list[object]:
    principal = record.principal
    return [
        record.recorded_at,
        record.command_id,
        record.command,
        _outcome(record),
        record.layer,
        list(record.codes),
        principal.kind,
        principal.identifier,
        principal.person,
        principal.client,
        record.channel,
        principal.address,
        principal.session,
        record.on_behalf_of,
        record.idempotency_key,
        record.fingerprint,
        subject,
        canonical(positions).decode(),
        record.duration,
        record.correlation_id,
    ]


def lock_call(keys: Sequence[str]) -> Call:
    """Take the locks, one after another in the order given, until the transaction ends."""
    return Call(_LOCK, [[lock_number(key) for key in keys]])


def try_lock_call(key: str) -> Call:
    """Take a lock if it is free; whether it was had."""
    return Call(_TRY_LOCK, [lock_number(key)])


def holders_call(keys: Sequence[str]) -> Call:
    """The query for whether each of the locks is held by anybody, in the order given."""
    return Call(_HOLDERS, [[lock_number(key) for key in keys]])


def sequence_call(name: str) -> Call:
    """The query for the last number taken of a sequence."""
    return Call(_SEQUENCE, [name])


def save_sequence_call(name: str, value: int) -> Call:
    """Store the last number taken of a sequence."""
    return Call(_SAVE_SEQUENCE, [name, value])


def lock_number(key: str) -> int:
    """The 64-bit number of an advisory lock. Two keys with one number would only wait for each other."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big", signed=True)


def _outcome(record: AuditRecord) -> str:
    if not record.accepted:
        return "REFUSED" if record.layer else "FAILED"
    if record.replayed:
        return "REPLAYED"
    return "DRY_RUN" if record.dry_run else "ACCEPTED"


class PostgresAuditTrail:
    """Records commands that left nothing else behind (refused, replayed, failed, dry), and what is no command."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, record: AuditRecord) -> None:
        with self._database.writing() as connection:
            connection.round_trip(audit_call(record, record.subject, record.positions))


def forget_old_answers(database: Database, now: dt.datetime, batch: int = 10_000) -> int:
    """The daily job of PLT-005: free the keys bound longer than the retention; the number of keys freed.

    Works in batches of `batch` rows, a transaction each, so that no other writer waits for it.
    """
    freed = 0
    while True:
        with database.writing() as connection:
            cursor = connection.execute(
                "DELETE FROM stored_answer WHERE ctid = ANY (ARRAY(SELECT ctid FROM stored_answer"
                " WHERE stored_at <= %s ORDER BY stored_at LIMIT %s))",
                [now - RETENTION, batch],
            )
        freed += cursor.rowcount
        if cursor.rowcount < batch:
            return freed
