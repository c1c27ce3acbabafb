"""The order of the log: no event is ever skipped or seen out of order, whoever commits when."""

from __future__ import annotations

import datetime as dt
import random
import threading
import time

import psycopg
import pytest

from application.clock import SystemClock, UuidSource
from application.dispatch import ConcurrencyError
from application.log import START, RecordedEvent, UnreadableEvent
from domain.money import Money
from infrastructure.event_store import log
from infrastructure.event_store.append import INSERT_UP_TO
from infrastructure.event_store.log import BYTES_A_LINE, LIGHT, EventLog
from infrastructure.event_store.streams import heads_call
from infrastructure.event_store.verification import verify_streams
from infrastructure.postgres.connection import BEGIN, COMMIT, Call, Statement
from infrastructure.postgres.database import Database
from infrastructure.unit_of_work import PostgresUnits
from tests.conftest import Units, answer_of, audit_of
from tests.infrastructure.sample import TILL, TillFilled, TillOpened, wait_until_blocked

TAKE_ID = Statement("take_id", "SELECT pg_current_xact_id()")


def filled(minor: int = 1) -> TillFilled:
    return TillFilled(amount=Money(minor, "USD"), effective_date=dt.date(2025, 3, 1))


class Writer:
    """One real transaction, driven step by step."""

    def __init__(self, units: Units) -> None:
        self._context = units.context()
        self._opening = units.units.begin(self._context)
        self.unit = self._opening.__enter__()

    def takes_its_transaction_id(self) -> None:
        self.unit.exists(TILL, "nothing")  # begins the transaction
        self.unit.connection.round_trip(Call(TAKE_ID))

    def inserts(self, *tills: str) -> int:
        """Write an event to each till without committing; the position of the last."""
        for till in tills:
            self.unit.load(TILL, till)
            self.unit.append(TILL, till, [filled()])
        answer = self.unit.complete(answer_of(self._context), audit_of(self._context), commit=False)
        assert answer.position is not None
        return int(answer.position)

    def commits(self) -> None:
        self.unit.commit()
        self._opening.__exit__(None, None, None)

    def rolls_back(self) -> None:
        self._opening.__exit__(None, None, None)


class Reader:
    """Follows the log and remembers everything it was given."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.place = START
        self.seen: list[RecordedEvent] = []

    def reads(self, limit: int = 1_000) -> list[int]:
        events = self.log.read(self.place, limit)
        if events:
            self.place = events[-1].place
        self.seen.extend(events)
        return [event.position for event in events]


@pytest.fixture
def reader(event_store: EventLog) -> Reader:
    return Reader(event_store)


@pytest.mark.rule("PLT-028")
def test_a_lower_position_that_commits_late_is_not_skipped(unit_of_work: Units, reader: Reader) -> None:
    slow, fast = Writer(unit_of_work), Writer(unit_of_work)
    low = slow.inserts("slow")
    high = fast.inserts("fast")
    assert low < high
    fast.commits()
    assert reader.reads() == []  # the event at `high` is there, but one before it may still come
    slow.commits()
    assert reader.reads() == [low, high]
    assert reader.reads() == []


@pytest.mark.rule("PLT-028")
def test_a_lower_transaction_with_a_higher_position_is_not_skipped(unit_of_work: Units, reader: Reader) -> None:
    early, late = Writer(unit_of_work), Writer(unit_of_work)
    early.takes_its_transaction_id()
    low = late.inserts("late")
    late.commits()
    assert reader.reads() == []
    high = early.inserts("early")
    early.commits()
    assert low < high
    assert reader.reads() == [high, low]  # the order of the log is that of the transactions
    assert reader.seen[0].transaction < reader.seen[1].transaction
    assert reader.reads() == []


@pytest.mark.rule("PLT-028")
def test_a_writer_that_rolls_back_holds_nobody_up(unit_of_work: Units, reader: Reader) -> None:
    first, second = Writer(unit_of_work), Writer(unit_of_work)
    first.inserts("first")
    position = second.inserts("second")
    second.commits()
    assert reader.reads() == []
    first.rolls_back()
    assert reader.reads() == [position]


@pytest.mark.rule("PLT-028")
def test_a_stream_read_behind_the_transactions_own_start_is_not_continued(unit_of_work: Units) -> None:
    """Else the log would have event 2 of the stream before event 1."""
    early = Writer(unit_of_work)
    early.takes_its_transaction_id()
    unit_of_work.write(lambda unit: unit.append(TILL, "T1", [TillOpened(name="x", currency="USD")]))
    with pytest.raises((ConcurrencyError, psycopg.errors.NotNullViolation)) as caught:
        early.inserts("T1")
    early.rolls_back()
    assert "transaction" in str(caught.value)


@pytest.mark.rule("PLT-028")
def test_the_same_holds_when_many_events_are_copied_in(unit_of_work: Units) -> None:
    early = Writer(unit_of_work)
    early.takes_its_transaction_id()
    unit_of_work.write(lambda unit: unit.append(TILL, "T1", [TillOpened(name="x", currency="USD")]))
    early.unit.load(TILL, "T1")
    early.unit.append(TILL, "T1", [filled() for _ in range(INSERT_UP_TO)])
    with pytest.raises(ConcurrencyError, match="transaction"):
        early.inserts("T1")
    early.rolls_back()


@pytest.mark.rule("PLT-021")
def test_of_two_writers_on_one_stream_the_second_is_told(database: Database, unit_of_work: Units) -> None:
    unit_of_work.write(lambda unit: unit.append(TILL, "T1", [TillOpened(name="x", currency="USD")]))
    first, context = Writer(unit_of_work), unit_of_work.context()
    first.inserts("T1")
    caught: list[ConcurrencyError] = []

    def second() -> None:
        try:
            with unit_of_work.units.begin(context) as unit:
                unit.load(TILL, "T1")
                unit.append(TILL, "T1", [filled()])
                unit.complete(answer_of(context), audit_of(context), commit=True)
        except ConcurrencyError as error:
            caught.append(error)

    thread = threading.Thread(target=second)
    thread.start()
    wait_until_blocked(database)  # for the first writer to decide
    first.commits()
    thread.join()
    assert [(error.stream, error.current_version) for error in caught] == [("till:T1", 2)]


@pytest.mark.rule("PLT-028")
def test_eight_writers_and_a_reader_that_misses_nothing(database: Database, reader: Reader) -> None:
    """Writers on shared and own streams, small and large appends, roll-backs and pauses in the worst places; a reader
    follows all the while. What it saw is what is stored, in one order that agrees with every stream's own."""
    stop = threading.Event()
    failures: list[BaseException] = []
    conflicts = [0]

    def write(number: int) -> None:
        chance = random.Random(number)
        clock = SystemClock()
        ids = UuidSource(clock)
        units = Units(PostgresUnits(database, ids), clock, ids)
        for step in range(60):
            tills = {f"shared-{chance.randrange(6)}" for _ in range(2)} | {f"own-{number}"}
            size = INSERT_UP_TO + 1 if step % 20 == 19 else 1
            context = units.context()
            try:
                with units.units.begin(context) as unit:
                    for till in chance.sample(sorted(tills), len(tills)):
                        unit.load(TILL, till)
                        unit.append(TILL, till, [filled() for _ in range(size)])
                    unit.complete(answer_of(context), audit_of(context), commit=False)
                    time.sleep(chance.random() * 0.004)
                    if chance.random() < 0.85:
                        unit.commit()
            except ConcurrencyError:
                conflicts[0] += 1

    def run(number: int) -> None:
        try:
            write(number)
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    follower = threading.Thread(target=lambda: _follow(reader, stop))
    follower.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stop.set()
    follower.join()
    assert failures == []
    assert conflicts[0] > 0, "the writers never met: the test shows nothing"

    with psycopg.connect(database.conninfo) as connection:
        stored = connection.execute(
            "SELECT position, stream, stream_position FROM event ORDER BY transaction, position"
        ).fetchall()
        gone = connection.execute("SELECT max(position) - count(*) FROM event").fetchone()
    assert [(e.position, e.stream, e.stream_position) for e in reader.seen] == stored
    assert len(stored) > 500
    assert gone is not None
    assert gone[0] > 0, "no position was lost by a roll-back: the test shows too little"
    heads: dict[str, int] = {}
    for event in reader.seen:
        assert event.stream_position == heads.get(event.stream, 0) + 1, "a stream's order differs from the log's"
        heads[event.stream] = event.stream_position
    assert verify_streams(database) == []


def _follow(reader: Reader, stop: threading.Event) -> None:
    while not stop.is_set():
        reader.reads(limit=7)
    while reader.reads(limit=7):
        pass


# What the log tells


def test_an_empty_log_has_nothing_to_tell(event_store: EventLog) -> None:
    assert event_store.head() == START
    assert event_store.place_of(5) is None
    assert event_store.read(START, 10) == []


@pytest.mark.rule("PLT-023")
def test_a_recorded_event_carries_its_metadata(unit_of_work: Units, event_store: EventLog) -> None:
    cause = unit_of_work.ids.new()
    answer = unit_of_work.write(
        lambda unit: unit.append(TILL, "T1", [TillOpened(name="x", currency="USD"), filled(7)]), causation_id=cause
    )
    first, second = event_store.read(START, 10)
    assert (first.stream, first.stream_type, first.identifier) == ("till:T1", "till", "T1")
    assert (first.stream_position, second.stream_position) == (1, 2)
    assert (second.type, second.event) == ("TillFilled", filled(7))
    assert (second.recorded_at, second.effective_date) == (unit_of_work.clock.now(), dt.date(2025, 3, 1))
    assert (str(second.event_id), second.position) == (answer.events[1].event_id, answer.events[1].position)
    assert (second.actor, str(second.command_id), second.causation_id) == ("clerk", answer.command_id, cause)
    assert event_store.head() == second.place


def test_pages_follow_each_other_without_gap_or_repetition(unit_of_work: Units, reader: Reader) -> None:
    for number in range(10):
        unit_of_work.write(lambda unit, number=number: unit.append(TILL, f"T{number}", [filled(), filled()]))
    pages = []
    while page := reader.reads(limit=3):
        pages.append(page)
    assert [len(page) for page in pages] == [3] * 6 + [2]
    assert [position for page in pages for position in page] == list(range(1, 21))


def test_the_place_of_a_position_is_its_event_or_the_one_before(unit_of_work: Units, event_store: EventLog) -> None:
    Writer(unit_of_work).rolls_back()
    burnt = Writer(unit_of_work)
    unit_of_work.write(lambda unit: unit.append(TILL, "T1", [filled()]))
    lost = burnt.inserts("T2")
    burnt.rolls_back()
    unit_of_work.write(lambda unit: unit.append(TILL, "T3", [filled()]))
    first, second = event_store.read(START, 10)
    assert event_store.place_of(first.position) == first.place
    assert event_store.place_of(lost) == first.place
    assert event_store.place_of(10**12) == second.place
    assert event_store.place_of(0) is None


def test_waiting_for_a_position_ends_when_it_can_be_read(unit_of_work: Units, event_store: EventLog) -> None:
    slow, fast = Writer(unit_of_work), Writer(unit_of_work)
    slow.inserts("slow")
    position = fast.inserts("fast")
    fast.commits()
    assert not event_store.wait_readable(position, timeout=0.02)
    threading.Timer(0.05, slow.commits).start()
    assert event_store.wait_readable(position, timeout=5)


@pytest.mark.rule("PLT-028")
def test_a_streams_past_includes_the_events_of_that_very_instant(unit_of_work: Units, event_store: EventLog) -> None:
    for hour in range(3):
        unit_of_work.clock.advance(dt.timedelta(hours=1))
        unit_of_work.write(lambda unit, hour=hour: unit.load(TILL, "T1") and unit.append(TILL, "T1", [filled(hour)]))
    until = dt.datetime(2025, 3, 1, 14, tzinfo=dt.UTC)
    assert [e.stream_position for e in event_store.streams(["till:T1"], until)] == [1, 2]
    assert [e.stream_position for e in event_store.streams(["till:T1"], until - dt.timedelta(microseconds=1))] == [1]
    assert [e.stream_position for e in event_store.streams(["till:T1", "till:none"])] == [1, 2, 3]


@pytest.mark.rule("PLT-026")
def test_an_event_of_an_unknown_type_or_version_does_not_stop_the_reader(
    database: Database, unit_of_work: Units, event_store: EventLog
) -> None:
    unit_of_work.write(lambda unit: unit.append(TILL, "T1", [filled(1), filled(2), filled(3)]))
    with psycopg.connect(database.conninfo) as connection:
        connection.execute("ALTER TABLE event DISABLE TRIGGER event_append_only")
        connection.execute("UPDATE event SET type = 'TillPainted' WHERE position = 1")
        connection.execute("UPDATE event SET schema_version = 9 WHERE position = 2")
    painted, future, known = event_store.read(START, 10)
    assert isinstance(painted.event, UnreadableEvent)
    assert (painted.event.type, painted.event.schema_version) == ("TillPainted", 1)
    assert isinstance(future.event, UnreadableEvent)
    assert (future.event.type, future.event.schema_version) == ("TillFilled", 9)
    assert b'"minor":2' in future.event.payload
    assert known.event == filled(3)


def test_a_log_restored_from_another_servers_dump_is_recognised(
    database: Database, unit_of_work: Units, event_store: EventLog
) -> None:
    slow = Writer(unit_of_work)
    slow.inserts("running")
    unit_of_work.write(lambda unit: unit.append(TILL, "T1", [filled()]))
    assert not event_store.is_foreign()
    slow.rolls_back()
    with psycopg.connect(database.conninfo) as connection:
        connection.execute("ALTER TABLE event DISABLE TRIGGER event_append_only")
        connection.execute("UPDATE event SET transaction = '123456789'")
    assert event_store.is_foreign()
    assert event_store.read(START, 10) == []


def test_a_page_holds_no_more_than_its_limit_and_tells_whether_there_may_be_more(
    unit_of_work: Units, event_store: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "ROWS_AT_ONCE", 2)
    unit_of_work.write(lambda unit: unit.append(TILL, "A", [filled(number) for number in range(7)]))
    first = event_store.page(START, 3)
    assert ([event.stream_position for event in first.events], first.more) == ([1, 2, 3], True)
    rest = event_store.page(first.events[-1].place, 10**9)
    assert ([event.stream_position for event in rest.events], rest.more) == ([4, 5, 6, 7], False)
    assert event_store.page(rest.events[-1].place, 5) == ([], False)
    monkeypatch.setattr(log, "READ_LIMIT", 5)
    assert [event.stream_position for event in event_store.read(START, 10**9)] == [1, 2, 3, 4, 5]


def test_a_large_event_counts_as_many(unit_of_work: Units, event_store: EventLog) -> None:
    large = TillOpened(name="x" * (LIGHT + BYTES_A_LINE * 80), currency="USD")  # counts as 80 and a little
    events = [filled(1), large, filled(2), large, filled(3), large]
    unit_of_work.write(lambda unit: unit.append(TILL, "A", events))
    place, pages = START, []
    while (page := event_store.page(place, 60)).events:
        pages.append([event.stream_position for event in page.events])
        place = page.events[-1].place
    assert pages == [[1, 2], [3, 4], [5, 6]]
    assert [len(event_store.page(START, limit).events) for limit in (1, 2, 60, 90, 95, 190, 1_000)] == [
        1, 2, 2, 4, 4, 6, 6
    ]  # fmt: skip


def test_the_transaction_id_is_taken_before_a_position(database: Database) -> None:
    """The library's recorder relies on it: whoever holds a position is a running transaction others can wait for."""
    with database.writing() as connection:
        connection.round_trip(Call(BEGIN), Call(heads_call([]).statement, [[]]))
        plan = connection.execute(
            "EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO event (stream, stream_position, type, schema_version, event_id,"
            " effective_date, recorded_at, actor_kind, actor, client, channel, command_id, correlation_id,"
            " previous_hash, hash, payload) VALUES ('s', 1, 't', 1, gen_random_uuid(), now(), now(), '', '', '', '',"
            " gen_random_uuid(), gen_random_uuid(), sha256(''), sha256(''), '{}')"
        ).fetchall()
        connection.round_trip(Call(COMMIT))
    text = " ".join(row[0] for row in plan)
    assert text.index("pg_current_xact_id()") < text.index("nextval")
