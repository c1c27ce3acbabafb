"""The chain of a stream, its verification, and the daily checkpoint, with the rulebook's tampering."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from domain.money import Money
from infrastructure.event_store.hash_chain import GENESIS, Hasher, Origin, StreamName
from infrastructure.event_store.verification import (
    Break,
    BreakKind,
    Checkpoint,
    check_checkpoint,
    checkpoints,
    take_checkpoint,
    verify_streams,
)
from infrastructure.postgres.database import Database
from tests.conftest import Units
from tests.infrastructure.sample import TILL, TillFilled, TillOpened

DAY = dt.date(2025, 3, 1)
COLUMNS = (
    "position, stream, stream_position, type, schema_version, event_id, effective_date, recorded_at, actor_kind, actor,"
    " client, channel, on_behalf_of, command_id, correlation_id, causation_id, previous_hash, hash, payload::text"
)


def _filled(minor: int, *notes: str) -> TillFilled:
    return TillFilled(amount=Money(minor, "USD"), effective_date=DAY, notes=notes)


def _fill(units: Units, till: str, count: int) -> None:
    """A stream of `count` events by several commands."""
    units.write(lambda unit: unit.append(TILL, till, [TillOpened(name='Ä "100%"', currency="USD")]))
    for index in range(1, count):
        units.write(
            lambda unit, index=index: unit.load(TILL, till) and unit.append(TILL, till, [_filled(index, "é\\")])
        )


def _stored(database: Database, stream: str) -> list[dict[str, Any]]:
    with psycopg.connect(database.conninfo, row_factory=psycopg.rows.dict_row) as connection:
        query = f"SELECT {COLUMNS} FROM event WHERE stream = %s ORDER BY stream_position"
        return connection.execute(query.encode(), [stream]).fetchall()


def hash_by_the_book(row: dict[str, Any]) -> str:
    """PLT-024 with nothing but a JSON library and SHA-256: what an auditor would write."""
    stream_type, stream_id = row["stream"].split(":")
    members = {
        "event_id": str(row["event_id"]),
        "type": row["type"],
        "schema_version": row["schema_version"],
        "stream_type": stream_type,
        "stream_id": stream_id,
        "stream_position": row["stream_position"],
        "recorded_at": row["recorded_at"].astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "effective_date": row["effective_date"].isoformat(),
        "actor": {"kind": row["actor_kind"], "id": row["actor"], "client": row["client"]},
        "on_behalf_of": row["on_behalf_of"],
        "channel": row["channel"],
        "command_id": str(row["command_id"]),
        "correlation_id": str(row["correlation_id"]),
        "causation_id": None if row["causation_id"] is None else str(row["causation_id"]),
        "payload": json.loads(row["payload"]),
        "previous_hash": row["previous_hash"].hex(),
    }
    text = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256((row["previous_hash"].hex() + text).encode()).hexdigest()


@contextmanager
def tampering(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """What only the owner of the database can do: switch off the protection of the table."""
    with psycopg.connect(database.conninfo) as connection:
        connection.execute("ALTER TABLE event DISABLE TRIGGER event_append_only")
        yield connection
        connection.execute("ALTER TABLE event ENABLE TRIGGER event_append_only")


def _rehash(connection: psycopg.Connection[Any], stream: str, first: int, last: int) -> None:
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        previous: bytes | None = None
        for position in range(first, last + 1):
            query = f"SELECT {COLUMNS} FROM event WHERE stream = %s AND stream_position = %s"
            row = cursor.execute(query.encode(), [stream, position]).fetchone()
            assert row is not None
            row["previous_hash"] = previous or row["previous_hash"]
            previous = bytes.fromhex(hash_by_the_book(row))
            cursor.execute(
                "UPDATE event SET previous_hash = %s, hash = %s WHERE stream = %s AND stream_position = %s",
                [row["previous_hash"], previous, stream, position],
            )


@pytest.mark.rule("PLT-023", "PLT-024")
def test_every_event_is_chained_by_the_rulebooks_formula(database: Database, unit_of_work: Units) -> None:
    _fill(unit_of_work, "T1", 5)
    rows = _stored(database, "till:T1")
    assert [row["stream_position"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0]["previous_hash"].hex() == "0" * 64
    assert [row["previous_hash"] for row in rows[1:]] == [row["hash"] for row in rows[:-1]]
    assert [row["hash"].hex() for row in rows] == [hash_by_the_book(row) for row in rows]


def test_the_hash_of_a_known_event_never_changes() -> None:
    """Hashes in stores of earlier releases must verify for ever, so the formula is pinned by a figure."""
    from uuid import UUID

    origin = Origin("USER", "u-1", "console", "API", None, UUID(int=1), UUID(int=2), UUID(int=3))
    hasher = Hasher(origin, dt.datetime(2025, 3, 1, 12, tzinfo=dt.UTC))
    digest = hasher.hash(
        GENESIS,
        StreamName.of("till:T1"),
        1,
        b"TillOpened",
        1,
        str(UUID(int=4)).encode(),
        b"2025-03-01",
        b'{"currency":"USD","name":"front"}',
    )
    text = (
        "0" * 64 + '{"actor":{"client":"console","id":"u-1","kind":"USER"},'
        '"causation_id":"00000000-0000-0000-0000-000000000003","channel":"API","command_id":"00000000-0000-0000-0000-000000000001",'
        '"correlation_id":"00000000-0000-0000-0000-000000000002","effective_date":"2025-03-01",'
        '"event_id":"00000000-0000-0000-0000-000000000004","on_behalf_of":null,'
        '"payload":{"currency":"USD","name":"front"},"previous_hash":"' + "0" * 64 + '",'
        '"recorded_at":"2025-03-01T12:00:00.000000Z","schema_version":1,"stream_id":"T1","stream_position":1,'
        '"stream_type":"till","type":"TillOpened"}'
    )
    assert digest.hex() == hashlib.sha256(text.encode()).hexdigest()
    assert digest.hex() == "a435af8ed5ea2b5d223aec33998f6f1f924690bb69cabcedad755aa977e0fb79"


@pytest.mark.rule("PLT-082")
def test_an_untouched_log_verifies(database: Database, unit_of_work: Units) -> None:
    for till in ("T1", "T2", "T3"):
        _fill(unit_of_work, till, 4)
    assert verify_streams(database) == []
    assert verify_streams(database, ["till:T2"]) == []


@pytest.mark.rule("PLT-E16")
def test_tampering_is_found_where_the_rulebook_says(database: Database, unit_of_work: Units) -> None:
    _fill(unit_of_work, "T0", 3)
    _fill(unit_of_work, "T1", 12)
    checkpoint = take_checkpoint(database, DAY, unit_of_work.clock.now())
    with tampering(database) as connection:
        connection.execute(
            "UPDATE event SET payload = replace(payload::text, '\"minor\":6', '\"minor\":7')::json"
            " WHERE stream = 'till:T1' AND stream_position = 7"
        )
    assert verify_streams(database) == [Break("till:T1", 7, BreakKind.CONTENT)]
    with tampering(database) as connection:
        _rehash(connection, "till:T1", 7, 7)
    assert verify_streams(database) == [Break("till:T1", 8, BreakKind.LINK)]
    assert check_checkpoint(database, checkpoint) == []
    with tampering(database) as connection:
        _rehash(connection, "till:T1", 7, 12)
    assert verify_streams(database) == []
    assert check_checkpoint(database, checkpoint) == [Break("till:T1", 12, BreakKind.CHECKPOINT)]


@pytest.mark.rule("PLT-082")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("payload = (payload::text || ' ')::json", Break("till:T1", 2, BreakKind.CONTENT)),
        ("actor = 'somebody else'", Break("till:T1", 2, BreakKind.CONTENT)),
        ("recorded_at = recorded_at - interval '1 day'", Break("till:T1", 2, BreakKind.CONTENT)),
        ("effective_date = effective_date + 1", Break("till:T1", 2, BreakKind.CONTENT)),
        ("type = 'TillEmptied'", Break("till:T1", 2, BreakKind.CONTENT)),
        ("on_behalf_of = 'me'", Break("till:T1", 2, BreakKind.CONTENT)),
        ("stream_position = 20", Break("till:T1", 3, BreakKind.GAP)),
        ("stream = 'till:T9'", Break("till:T1", 3, BreakKind.GAP)),
    ],
)
def test_any_changed_member_breaks_the_chain(
    database: Database, unit_of_work: Units, change: str, expected: Break
) -> None:
    _fill(unit_of_work, "T1", 3)
    with tampering(database) as connection:
        connection.execute(f"UPDATE event SET {change} WHERE stream = 'till:T1' AND stream_position = 2".encode())
    assert expected in verify_streams(database)


@pytest.mark.rule("PLT-023")
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("event", "actor"),
        ("chain_checkpoint", "streams"),
        ("chain_checkpoint_head", "hash"),
        ("command_audit", "actor"),
        ("command_audit_seal", "hash"),
    ],
)
def test_what_is_recorded_can_neither_be_changed_nor_deleted(
    database: Database, unit_of_work: Units, statement: str, table: str, column: str
) -> None:
    _fill(unit_of_work, "T1", 1)
    with (
        psycopg.connect(database.conninfo) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"),
    ):
        connection.execute(statement.format(table, column, column).encode())


@pytest.mark.rule("PLT-024")
def test_a_days_checkpoint_covers_the_heads_of_all_streams(database: Database, unit_of_work: Units) -> None:
    _fill(unit_of_work, "T2", 3)
    _fill(unit_of_work, "T1", 2)
    first = take_checkpoint(database, DAY, unit_of_work.clock.now())
    heads = [f"till:T1 2 {_stored(database, 'till:T1')[-1]['hash'].hex()}\n"]
    heads.append(f"till:T2 3 {_stored(database, 'till:T2')[-1]['hash'].hex()}\n")
    assert (first.streams, first.hash) == (2, hashlib.sha256("".join(heads).encode()).digest())

    unit_of_work.write(lambda unit: unit.load(TILL, "T1") and unit.append(TILL, "T1", [_filled(5)]))
    _fill(unit_of_work, "T0", 1)
    second = take_checkpoint(database, DAY + dt.timedelta(days=1), unit_of_work.clock.now())
    later = [f"till:{till} {rows[-1]['stream_position']} {rows[-1]['hash'].hex()}\n"
             for till in ("T0", "T1", "T2") for rows in [_stored(database, f"till:{till}")]]  # fmt: skip
    assert (second.streams, second.hash) == (3, hashlib.sha256("".join(later).encode()).digest())
    assert checkpoints(database) == [first, second]
    assert check_checkpoint(database, first) == check_checkpoint(database, second) == []
    with psycopg.connect(database.conninfo) as connection:
        kept = connection.execute("SELECT taken_on, stream FROM chain_checkpoint_head ORDER BY 1, 2").fetchall()
    assert kept == [
        (DAY, "till:T1"),
        (DAY, "till:T2"),
        (second.taken_on, "till:T0"),
        (second.taken_on, "till:T1"),
    ]


@pytest.mark.rule("PLT-024")
def test_a_day_has_one_checkpoint(database: Database, unit_of_work: Units) -> None:
    _fill(unit_of_work, "T1", 2)
    first = take_checkpoint(database, DAY, unit_of_work.clock.now())
    _fill(unit_of_work, "T2", 2)
    assert take_checkpoint(database, DAY, unit_of_work.clock.now() + dt.timedelta(hours=1)) == first


@pytest.mark.rule("PLT-082")
def test_events_cut_off_the_end_of_a_stream_are_missed_by_the_checkpoint(
    database: Database, unit_of_work: Units
) -> None:
    _fill(unit_of_work, "T1", 4)
    checkpoint = take_checkpoint(database, DAY, unit_of_work.clock.now())
    with tampering(database) as connection:
        connection.execute("DELETE FROM event WHERE stream = 'till:T1' AND stream_position > 2")
    assert verify_streams(database) == []
    assert check_checkpoint(database, checkpoint) == [Break("till:T1", 4, BreakKind.CHECKPOINT)]


@pytest.mark.rule("PLT-082")
def test_heads_changed_together_with_the_log_do_not_give_the_hash_of_the_second_store(
    database: Database, unit_of_work: Units
) -> None:
    _fill(unit_of_work, "T1", 3)
    kept_elsewhere = take_checkpoint(database, DAY, unit_of_work.clock.now())
    with tampering(database) as connection:
        connection.execute("UPDATE event SET actor = 'x' WHERE stream_position = 2")
        _rehash(connection, "till:T1", 2, 3)
        connection.execute("ALTER TABLE chain_checkpoint_head DISABLE TRIGGER ALL")
        connection.execute(
            "UPDATE chain_checkpoint_head h SET hash = e.hash FROM event e"
            " WHERE e.stream = h.stream AND e.stream_position = h.stream_position"
        )
    assert verify_streams(database) == []
    assert check_checkpoint(database, kept_elsewhere) == [Break("", 0, BreakKind.CHECKPOINT)]


@pytest.mark.rule("PLT-024")
def test_an_empty_log_has_a_checkpoint_too(database: Database, unit_of_work: Units) -> None:
    empty = take_checkpoint(database, DAY, unit_of_work.clock.now())
    assert empty == Checkpoint(DAY, unit_of_work.clock.now(), 0, hashlib.sha256().digest())
    _fill(unit_of_work, "T1", 1)
    assert take_checkpoint(database, DAY + dt.timedelta(days=1), unit_of_work.clock.now()).streams == 1


@pytest.mark.rule("PLT-024")
def test_a_checkpoint_over_nothing_stays_intact_when_a_sandbox_goes_back_behind_it(
    database: Database, unit_of_work: Units
) -> None:
    empty = take_checkpoint(database, DAY, unit_of_work.clock.now())
    _fill(unit_of_work, "T1", 1)
    earlier = take_checkpoint(database, DAY - dt.timedelta(days=365), unit_of_work.clock.now())
    assert [check_checkpoint(database, one) for one in (earlier, empty)] == [[], []]
