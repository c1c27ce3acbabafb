"""A log as a file, and a file as a log."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import psycopg
import pytest

from application.log import START
from domain.money import Money
from infrastructure.event_store.export import export_log, load_log
from infrastructure.event_store.log import EventLog
from infrastructure.event_store.verification import verify_streams
from infrastructure.postgres.database import Database
from infrastructure.postgres.server import EmbeddedServer
from infrastructure.unit_of_work import PostgresUnits
from tests.conftest import Units
from tests.infrastructure.event_store.test_log import Writer
from tests.infrastructure.sample import TILL, TillFilled, TillOpened

EVERYTHING_BUT_TRANSACTION = (
    "position, stream, stream_position, type, schema_version, event_id, effective_date, recorded_at, actor_kind, actor,"
    " client, channel, on_behalf_of, command_id, correlation_id, causation_id, previous_hash, hash, payload::text"
)


def filled(*notes: str) -> TillFilled:
    return TillFilled(amount=Money(5, "USD"), effective_date=dt.date(2025, 3, 1), notes=notes)


def stored(database: Database) -> list[tuple[object, ...]]:
    """The log in its order."""
    with psycopg.connect(database.conninfo) as connection:
        query = f"SELECT {EVERYTHING_BUT_TRANSACTION} FROM event ORDER BY transaction, position"
        return connection.execute(query.encode()).fetchall()


@pytest.fixture
def other(database_server: EmbeddedServer, migrated_template: str) -> Database:
    """Another fresh database."""
    with Database(database_server.copy_database(migrated_template, "import_target")) as database:
        yield database
    database_server.drop_database("import_target")


def sample(units: Units) -> None:
    """Two streams, awkward text, a roll-back, and a transaction that got its position after a later one."""
    units.write(lambda unit: unit.append(TILL, "A", [TillOpened(name='"Ä\\ \n\t', currency="USD"), filled("é", "\\.")]))
    burnt = Writer(units)
    burnt.inserts("gone")
    burnt.rolls_back()
    early, late = Writer(units), Writer(units)
    early.takes_its_transaction_id()
    late.inserts("late")
    late.commits()
    early.inserts("early", "early too")
    early.commits()
    units.write(lambda unit: unit.load(TILL, "A") and unit.append(TILL, "A", [filled()]), on_behalf_of="x\\N")


def test_a_log_comes_back_with_its_positions_order_and_hashes(
    database: Database, other: Database, unit_of_work: Units, tmp_path: Path
) -> None:
    sample(unit_of_work)
    path = tmp_path / "log.ndjson"
    assert export_log(database, path) == 6
    assert load_log(other, path) == 6
    assert stored(other) == stored(database)
    positions = [row[0] for row in stored(other)]
    assert positions != sorted(positions), "the sample has no position behind a later one: the test shows too little"
    assert verify_streams(other) == []
    events = EventLog(other.writing).read(START, 100)
    assert [event.position for event in events] == positions
    assert [(e.event, e.event_id) for e in events] == [
        (e.event, e.event_id) for e in EventLog(database.writing).read(START, 100)
    ]


def test_a_loaded_log_goes_on_where_it_ended(
    database: Database, other: Database, unit_of_work: Units, tmp_path: Path
) -> None:
    sample(unit_of_work)
    export_log(database, tmp_path / "log.ndjson")
    load_log(other, tmp_path / "log.ndjson")
    unit_of_work.units = PostgresUnits(other, unit_of_work.ids)
    answer = unit_of_work.write(lambda unit: unit.load(TILL, "A") and unit.append(TILL, "A", [filled()]))
    assert answer.events[0].stream_position == 4
    assert answer.position > max(int(str(row[0])) for row in stored(database))
    assert verify_streams(other) == []


def test_a_line_is_readable_json_with_the_payload_inside(
    database: Database, unit_of_work: Units, tmp_path: Path
) -> None:
    unit_of_work.write(lambda unit: unit.append(TILL, "A", [filled("x")]))
    export_log(database, tmp_path / "log.ndjson")
    [line] = (tmp_path / "log.ndjson").read_text().splitlines()
    row = json.loads(line)
    assert (row["stream"], row["payload"]["notes"], row["previous_hash"]) == ("till:A", ["x"], "0" * 64)
    assert row["recorded_at"] == "2025-03-01T12:00:00Z"


def test_a_log_is_not_loaded_over_another(database: Database, unit_of_work: Units, tmp_path: Path) -> None:
    unit_of_work.write(lambda unit: unit.append(TILL, "A", [filled()]))
    export_log(database, tmp_path / "log.ndjson")
    with pytest.raises(ValueError, match="not empty"):
        load_log(database, tmp_path / "log.ndjson")


def test_an_empty_log_is_an_empty_file(database: Database, other: Database, tmp_path: Path) -> None:
    assert export_log(database, tmp_path / "log.ndjson") == 0
    assert load_log(other, tmp_path / "log.ndjson") == 0
