"""Our log through the interface of the eventsourcing library."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from eventsourcing.persistence import DataError, IntegrityError, ProgrammingError, StoredEvent
from eventsourcing.postgres import PostgresDatastore, PostgresFactory

from infrastructure.event_store.append import INSERT_UP_TO
from infrastructure.event_store.recorder import EventLogRecorder
from infrastructure.event_store.verification import verify_streams
from infrastructure.postgres.database import Database
from tests.conftest import Units
from tests.infrastructure.event_store.test_log import Writer, filled
from tests.infrastructure.sample import TILL, TillOpened

FILLED = b'{"amount":{"currency":"USD","minor":5},"effective_date":"2025-03-01","notes":[]}'
OPENED = b'{"currency":"USD","name":"front"}'


@pytest.fixture
def datastore(database: Database) -> Iterator[PostgresDatastore]:
    parts = psycopg.conninfo.conninfo_to_dict(database.conninfo)
    with PostgresDatastore(
        str(parts["dbname"]),
        str(parts["host"]),
        str(parts["port"]),
        "postgres",
        "",
        originator_id_type="text",
        pool_size=3,
    ) as datastore:
        yield datastore


@pytest.fixture
def recorder(datastore: PostgresDatastore) -> EventLogRecorder:
    recorder = EventLogRecorder(datastore)
    recorder.create_table()
    return recorder


def opened(stream: str) -> StoredEvent:
    return StoredEvent(stream, 1, "TillOpened/1", OPENED)


def later(stream: str, first: int, last: int) -> list[StoredEvent]:
    return [StoredEvent(stream, version, "TillFilled/1", FILLED) for version in range(first, last + 1)]


def test_what_the_library_inserts_it_selects(recorder: EventLogRecorder) -> None:
    events = [opened("till:A"), *later("till:A", 2, 5)]
    assert recorder.insert_events(events) == [1, 2, 3, 4, 5]
    assert recorder.select_events("till:A") == events
    assert recorder.select_events("till:A", gt=1, lte=3) == events[1:3]
    assert recorder.select_events("till:A", desc=True, limit=2) == events[:2:-1]
    assert recorder.select_events("till:none") == []
    assert recorder.insert_events([]) == []


def test_a_library_insert_is_chained_and_read_by_our_own_code(
    recorder: EventLogRecorder, database: Database, unit_of_work: Units
) -> None:
    unit_of_work.write(lambda unit: unit.append(TILL, "A", [TillOpened(name="x", currency="USD")]))
    recorder.insert_events([*later("till:A", 2, 2 + 2 * INSERT_UP_TO), opened("till:B")])
    assert verify_streams(database) == []
    with unit_of_work.begin() as unit:
        assert unit.load(TILL, "A").state.balance == 5 * (2 * INSERT_UP_TO + 1)
        assert unit.load(TILL, "B").state.name == "front"


def test_what_our_own_code_wrote_the_library_selects(recorder: EventLogRecorder, unit_of_work: Units) -> None:
    unit_of_work.write(lambda unit: unit.append(TILL, "A", [filled(5)]))
    [notification] = recorder.select_notifications(start=1, limit=10)
    assert (notification.id, notification.originator_id, notification.originator_version) == (1, "till:A", 1)
    assert (notification.topic, notification.state) == ("TillFilled/1", FILLED)


@pytest.mark.parametrize("version", [1, 3, 0])
def test_a_taken_position_or_a_gap_is_an_integrity_error(recorder: EventLogRecorder, version: int) -> None:
    recorder.insert_events([opened("till:A")])
    with pytest.raises(IntegrityError):
        recorder.insert_events([opened("till:B"), StoredEvent("till:A", version, "TillFilled/1", FILLED)])
    assert recorder.max_notification_id() == 1


def test_a_state_that_is_no_json_is_a_data_error(recorder: EventLogRecorder) -> None:
    with pytest.raises(DataError):
        recorder.insert_events([StoredEvent("till:A", 1, "TillFilled/1", b"not json")])


def test_notifications_are_selected_by_id_topic_and_limit(recorder: EventLogRecorder) -> None:
    assert recorder.max_notification_id() is None
    recorder.insert_events([opened("till:A"), *later("till:A", 2, 4), opened("till:B")])

    def ids(**arguments: object) -> list[int]:
        return [n.id for n in recorder.select_notifications(**{"start": 1, "limit": 10, **arguments})]  # type: ignore[arg-type]

    assert ids() == ids(start=None) == [1, 2, 3, 4, 5]
    assert ids(start=2, limit=2) == [2, 3]
    assert ids(start=2, inclusive_of_start=False, stop=4) == [3, 4]
    assert ids(topics=["TillOpened/1"]) == [1, 5]
    assert ids(topics=("TillOpened/1",), start=1, inclusive_of_start=False) == [5]
    assert ids(start=6) == []
    assert recorder.max_notification_id() == 5


def test_an_id_that_commits_late_is_waited_for(recorder: EventLogRecorder, unit_of_work: Units) -> None:
    slow, fast = Writer(unit_of_work), Writer(unit_of_work)
    low = slow.inserts("slow")
    high = fast.inserts("fast")
    fast.commits()
    threading.Timer(0.1, slow.commits).start()
    assert [n.id for n in recorder.select_notifications(start=1, limit=10)] == [low, high]


def test_an_id_that_is_never_used_is_passed_by(recorder: EventLogRecorder, unit_of_work: Units) -> None:
    burnt = Writer(unit_of_work)
    burnt.inserts("gone")
    high = recorder.insert_events([opened("till:A")])
    threading.Timer(0.1, burnt.rolls_back).start()
    assert [n.id for n in recorder.select_notifications(start=1, limit=10)] == high == [2]


def test_when_patience_ends_only_what_is_certain_is_told(recorder: EventLogRecorder, unit_of_work: Units) -> None:
    recorder.insert_events([opened("till:A")])
    slow = Writer(unit_of_work)
    slow.inserts("slow")
    recorder.insert_events([opened("till:B")])
    recorder.patience = 0.05
    assert [n.id for n in recorder.select_notifications(start=1, limit=10)] == [1]
    slow.commits()
    assert [n.id for n in recorder.select_notifications(start=1, limit=10)] == [1, 2, 3]


def test_a_subscription_follows_the_log(recorder: EventLogRecorder, unit_of_work: Units) -> None:
    recorder.insert_events([opened("till:A")])
    with recorder.subscribe(gt=0) as subscription:
        assert next(subscription).id == 1
        threading.Timer(0.1, lambda: unit_of_work.write(lambda unit: unit.append(TILL, "B", [filled()]))).start()
        started = time.monotonic()
        assert next(subscription).originator_id == "till:B"
        assert time.monotonic() - started < 5


def test_the_librarys_factory_makes_the_recorder(database: Database) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(database.conninfo)
    environment = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(parts["dbname"]),
        "POSTGRES_HOST": str(parts["host"]),
        "POSTGRES_PORT": str(parts["port"]),
        "POSTGRES_USER": "postgres",
        "POSTGRES_PASSWORD": "",
        "ORIGINATOR_ID_TYPE": "text",
        "CREATE_TABLE": "no",
        "APPLICATION_RECORDER_TOPIC": "infrastructure.event_store.recorder:OfTheLibrary",
    }
    with PostgresFactory(environment) as factory:
        recorder = factory.application_recorder()
        assert recorder.insert_events([opened("till:A")]) == [1]


def test_the_table_and_the_kind_of_ids_are_fixed(database: Database, datastore: PostgresDatastore) -> None:
    with pytest.raises(ValueError, match="event"):
        EventLogRecorder(datastore, events_table_name="other")
    datastore.originator_id_type = "uuid"
    with pytest.raises(ValueError, match="text"):
        EventLogRecorder(datastore)


def test_a_database_without_migrations_is_a_programming_error(recorder: EventLogRecorder, database: Database) -> None:
    with psycopg.connect(database.conninfo) as connection:
        connection.execute("ALTER TABLE event RENAME TO elsewhere")
    with pytest.raises(ProgrammingError):
        recorder.max_notification_id()
