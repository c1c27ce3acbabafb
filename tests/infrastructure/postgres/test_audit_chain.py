"""The audit trail is sealed in its order, and a change to it is found."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any
from uuid import UUID

import psycopg
import pytest

from application.command import Principal
from application.query_trail import DataClass, QueryRecord
from infrastructure.postgres import audit_chain
from infrastructure.postgres.audit_chain import QUERIES, SealBreak, seal_audit, verify_audit
from infrastructure.postgres.command_records import PostgresAuditTrail
from infrastructure.postgres.database import Database
from infrastructure.postgres.query_records import PostgresQueryTrail
from tests.conftest import Units, audit_of


def record(database: Database, units: Units, count: int) -> None:
    trail = PostgresAuditTrail(database)
    for _ in range(count):
        trail.record(audit_of(units.context()))


def tamper(database: Database, statement: str) -> None:
    with psycopg.connect(database.conninfo) as connection:
        for table in ("command_audit", "command_audit_seal", "query_audit", "query_audit_seal"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())
        connection.execute(statement.encode())


def count(database: Database) -> Any:
    with psycopg.connect(database.conninfo) as connection:
        return connection.execute("SELECT count(*) FROM command_audit_seal").fetchone()


def test_every_record_is_sealed_once(database: Database, unit_of_work: Units, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_chain, "SEAL_BATCH", 4)
    record(database, unit_of_work, 10)
    assert seal_audit(database) == 10
    assert seal_audit(database) == 0
    record(database, unit_of_work, 3)
    assert verify_audit(database) is None
    assert seal_audit(database) == 3
    assert (count(database), verify_audit(database)) == ((13,), None)


def test_sealing_in_two_processes_at_once_seals_once(
    database: Database, unit_of_work: Units, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(database, unit_of_work, 200)
    monkeypatch.setattr(audit_chain, "SEAL_BATCH", 5)
    failures: list[BaseException] = []

    def seal() -> None:
        try:
            seal_audit(database)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=seal) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seal_audit(database)
    assert failures == []
    assert (count(database), verify_audit(database)) == ((200,), None)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE command_audit SET actor = 'x' WHERE position = 4", SealBreak(4)),
        ("UPDATE command_audit SET outcome = 'REFUSED', codes = '{A}' WHERE position = 5", SealBreak(5)),
        ("DELETE FROM command_audit WHERE position = 2", SealBreak(2)),
        ("DELETE FROM command_audit_seal WHERE sequence = 3", SealBreak(3)),
        ("UPDATE command_audit_seal SET hash = sha256('x') WHERE sequence = 6", SealBreak(6)),
        ("UPDATE command_audit_seal SET previous_hash = sha256('x') WHERE sequence = 6", SealBreak(6)),
        (
            """
            INSERT INTO command_audit (transaction, recorded_at, command_id, command, outcome, actor_kind, actor,
                client, channel, duration_us, correlation_id)
            SELECT '1'::xid8, recorded_at, command_id, command, outcome, actor_kind, actor, client, channel,
                duration_us, correlation_id
              FROM command_audit WHERE position = 1
            """,
            SealBreak(0),
        ),
    ],
)
def test_a_record_changed_removed_or_slipped_in_is_found(
    database: Database, unit_of_work: Units, statement: str, expected: SealBreak
) -> None:
    record(database, unit_of_work, 6)
    seal_audit(database)
    tamper(database, statement)
    assert verify_audit(database) == expected


@pytest.mark.rule("PLT-079")
@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT 1", None),
        ("UPDATE query_audit SET objects = '{member:MR-2}' WHERE position = 2", SealBreak(2, QUERIES)),
        ("DELETE FROM query_audit WHERE position = 3", SealBreak(3, QUERIES)),
    ],
)
def test_the_trail_of_queries_has_a_chain_of_its_own(
    database: Database, unit_of_work: Units, statement: str, expected: SealBreak | None
) -> None:
    record(database, unit_of_work, 2)
    trail = PostgresQueryTrail(database)
    for number in range(3):
        trail.record(
            QueryRecord(
                recorded_at=dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
                principal=Principal("USER", "ann", "console", frozenset()),
                fields=({"field": "memberRecord", "arguments": {"number": f"MR-{number}"}},),
                classes=(DataClass.IDENTITY,),
                objects=(f"member:MR-{number}",),
                object_count=1,
                duration=5,
                correlation_id=UUID(int=number),
            )
        )
    assert seal_audit(database) == 5
    tamper(database, statement)
    assert verify_audit(database) == expected


@pytest.mark.rule("PLT-079")
@pytest.mark.parametrize("statement", ["UPDATE query_audit SET actor = 'x'", "DELETE FROM query_audit"])
def test_the_trail_of_queries_is_append_only(database: Database, statement: str) -> None:
    with psycopg.connect(database.conninfo) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())
