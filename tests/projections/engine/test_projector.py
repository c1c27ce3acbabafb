"""The projector: every event once and in order, whatever is killed; a failing projection stops alone."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from application.log import LogPosition
from projections.engine import Mode, Projection, ProjectionSet, Statuses, catalogue
from projections.engine.catalogue import State
from projections.engine.database import dedicated
from projections.engine.writer import GenerationWriter, OvertakenError
from tests.projections.engine.conftest import Workbench
from tests.projections.engine.toy import (
    History,
    ToyAccountOpened,
    ToyInvoiceIssued,
    ToyNothingHappened,
    expected,
    journal,
    stumbling,
    toy_set,
)

PROJECTOR = """
import sys, threading
from infrastructure.event_store.log_source import PostgresLogSource
from infrastructure.postgres.connection import StoreConnection
from projections.engine import Mode, Projector
from tests.projections.engine.toy import toy_set
import contextlib

@contextlib.contextmanager
def connect():
    connection = StoreConnection.connect(sys.argv[1], autocommit=True)
    try:
        yield connection
    finally:
        connection.close()

print("ready", flush=True)
Projector(toy_set(Mode.FOLLOWING), connect, PostgresLogSource(connect), poll=0.01, most_events=int(sys.argv[2])).run(
    threading.Event())
"""


@contextlib.contextmanager
def projector_process(bench: Workbench, most_events: int) -> Iterator[subprocess.Popen[str]]:
    """A projector in a process of its own, killed at the end without a chance to tidy up."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROJECTOR, bench.conninfo, str(most_events)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def running(projector: object) -> Iterator[threading.Event]:
    """A projector in a thread."""
    stop = threading.Event()
    thread = threading.Thread(target=projector.run, args=(stop,))  # type: ignore[attr-defined]
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def wait_until(condition: object, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.mark.fault
@pytest.mark.rule("PLT-101")
def test_every_event_takes_effect_once_though_the_projector_is_killed_again_and_again(bench: Workbench) -> None:
    projections = toy_set(Mode.FOLLOWING)
    bench.rebuilder(projections).prepare()
    history, chance = History(seed=31), random.Random(31)
    seen = set()
    for _ in range(5):
        with projector_process(bench, most_events=7):
            until = time.monotonic() + 0.15 + chance.random() * 0.3
            while time.monotonic() < until:
                bench.commit(history.next(chance.randrange(1, 40)))
        seen.add(bench.query("select min(events_seen), max(events_seen) from read_models.generation")[0])
    assert len(seen) > 3, "the projector was not killed in the middle of its work"
    assert bench.projector(projections).catch_up() > 0
    assert bench.rows(projections) == expected(bench.events())
    counts = bench.query("select distinct events_seen from read_models.generation")
    assert counts == [(len(bench.events()),)]


@pytest.mark.fault
def test_a_batch_cut_off_between_rows_and_commit_is_as_if_it_had_not_been(bench: Workbench) -> None:
    projections = toy_set(Mode.FOLLOWING)
    bench.rebuilder(projections).prepare()
    bench.commit(History(seed=1).next(100))
    events = bench.events()
    with dedicated(bench.connect) as connection:
        record = catalogue.live(connection)["journal"]
        writer = GenerationWriter(projections["journal"], record, connection)
        writer.feed(events[:40])
        writer._batch._close = lambda error: _kill(bench, connection)  # type: ignore[method-assign]
        with pytest.raises(psycopg.OperationalError):
            writer.feed(events[40:])
    assert bench.query("select max(position) from read_journal_1.entry") <= [(events[39].position,)]
    bench.projector(projections).catch_up()
    assert bench.rows(projections) == expected(events)


def _kill(bench: Workbench, connection: psycopg.Connection) -> None:
    """Kill the server's side of a connection."""
    bench.query("select pg_terminate_backend(%s)", connection.info.backend_pid)
    connection.execute("select 1")


@pytest.mark.rule("PLT-028")
def test_an_event_that_commits_late_is_not_skipped(bench: Workbench) -> None:
    projections = toy_set(Mode.FOLLOWING)
    bench.rebuilder(projections).prepare()
    history = History(seed=2, accounts=2)
    projector = bench.projector(projections)
    with bench.connect() as slow:
        with slow.transaction():
            late = bench.append(slow, [ToyInvoiceIssued(account="LATE", invoice="L", items=(("M", 1),))])
            quick = bench.commit(history.next(30))
            assert late[0].position < quick[0].position
            assert projector.catch_up() == 0, "an event was read in front of one that may still appear"
        assert projector.catch_up() == 31
    assert bench.rows(projections) == expected(bench.events())
    assert "LATE" in {row[0] for row in bench.rows(projections)["balances.account"]}


@pytest.mark.rule("PLT-028")
def test_many_writers_side_by_side_lose_no_event(bench: Workbench) -> None:
    projections = ProjectionSet([journal(Mode.FOLLOWING)])
    bench.rebuilder(projections).prepare()
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        chance = random.Random(writer)
        try:
            with bench.connect() as connection:
                for number in range(30):
                    name = f"{writer}-{number}"
                    with connection.transaction():
                        for part in "ab":
                            bench.append_apart(
                                connection, ToyInvoiceIssued(account=name, invoice=name + part, items=(("M", 1),))
                            )
                            time.sleep(chance.random() * 0.003)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    with running(bench.projector(projections, poll=0.001, most_events=5)):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        wait_until(lambda: bench.query("select count(*) from read_journal_1.entry") == [(240,)])
    positions = [position for (position,) in bench.query("select position from event")]
    assert sorted(positions) == [p for (p,) in bench.query("select position from read_journal_1.entry order by 1")]


@pytest.mark.rule("PLT-026")
def test_a_failing_event_stops_its_projection_alone_until_it_is_retried(bench: Workbench) -> None:
    stumbles = {"INV-00000005"}
    failing = stumbling(Mode.FOLLOWING, stumbles)
    healthy = toy_set(Mode.FOLLOWING)
    projections = ProjectionSet([*healthy.values(), failing])
    rebuilder = bench.rebuilder(projections)
    rebuilder.prepare()
    bench.commit(History(seed=8).next(200))
    projector = bench.projector(projections)
    projector.catch_up()

    events = bench.events()
    at = next(e for e in events if isinstance(e.event, ToyInvoiceIssued) and e.event.invoice in stumbles)
    before = [e.event.invoice for e in events if e.position < at.position and isinstance(e.event, ToyInvoiceIssued)]
    assert bench.rows(healthy) == expected(events)
    status = {s.name: s for s in Statuses(projections, bench.connect, bench.log, bench.clock).all()}
    assert {s.state for name, s in status.items() if name != "stumbling"} == {State.RUNNING}
    failure = status["stumbling"].failure
    assert status["stumbling"].state is State.FAILED
    assert failure is not None
    assert (failure.position, failure.event_type, failure.error) == (at.position, "ToyInvoiceIssued", "ProjectionError")
    assert failure.message == "the invoice is one to stumble over"
    assert sorted(before) == [i for (i,) in bench.query("select invoice from read_stumbling_1.seen order by 1")]

    assert projector.catch_up() == 0
    assert rebuilder.retry("stumbling")
    projector.catch_up()
    assert catalogue_state(bench, "stumbling") == State.FAILED, "it still stumbles, and stops at the same place"
    stumbles.clear()
    assert rebuilder.retry("stumbling")
    assert not rebuilder.retry("stumbling")
    projector.catch_up()
    assert catalogue_state(bench, "stumbling") == State.RUNNING
    issued = sum(isinstance(e.event, ToyInvoiceIssued) for e in events)
    assert bench.query("select count(*) from read_stumbling_1.seen") == [(issued,)]


def catalogue_state(bench: Workbench, name: str) -> str:
    return str(bench.query("select state from read_models.generation where name = %s and live", name)[0][0])


def test_an_error_of_the_database_is_narrowed_down_to_the_event_that_caused_it(bench: Workbench) -> None:
    projections = ProjectionSet([stumbling(Mode.FOLLOWING, set())])
    bench.rebuilder(projections).prepare()
    twice = [f"I-{number}" for number in range(60)]
    twice[41] = "I-7"
    bench.commit([ToyInvoiceIssued(account="A", invoice=invoice, items=()) for invoice in twice])
    with dedicated(bench.connect) as connection:
        record = catalogue.live(connection)["stumbling"]
        writer = GenerationWriter(projections["stumbling"], record, connection, cache_limit=1)
        events = bench.events()
        writer.feed(events[:20])
        writer._rows.forget()  # so that only the database knows that the invoice exists
        writer.feed(events[20:])
        assert writer.failed
        failure = writer.record.failure
    assert failure is not None
    assert (failure.position, failure.error) == (events[41].position, "UniqueViolation")
    assert failure.message.startswith("state 23505, table seen, constraint seen_key")
    assert "I-7" not in failure.message
    assert bench.query("select count(*) from read_stumbling_1.seen") == [(41,)]


@pytest.mark.rule("PLT-026")
def test_an_event_of_a_future_schema_version_stops_only_who_folds_it(bench: Workbench) -> None:
    opened = Projection("opened", 1, Mode.FOLLOWING, toy_set(Mode.FOLLOWING)["balances"].tables)
    opened.on(ToyAccountOpened)(lambda recorded, rows: None)
    projections = ProjectionSet([journal(Mode.FOLLOWING), opened])
    bench.rebuilder(projections).prepare()
    bench.commit([ToyInvoiceIssued(account="A", invoice="I", items=(("M", 5),))])
    with bench.connect() as connection:
        connection.execute(
            "insert into event (stream, stream_position, type, schema_version, event_id, effective_date, recorded_at,"
            " actor_kind, actor, client, channel, command_id, correlation_id, previous_hash, hash, payload)"
            " select stream, 2, 'ToyAccountOpened', 9, gen_random_uuid(), effective_date, recorded_at, actor_kind,"
            " actor, client, channel, command_id, correlation_id, hash, hash, '{}' from event"
        )
    bench.commit([ToyInvoiceIssued(account="B", invoice="J", items=(("M", 6),))])
    bench.projector(projections).catch_up()
    assert catalogue_state(bench, "opened") == State.FAILED
    assert catalogue_state(bench, "journal") == State.RUNNING
    assert bench.query("select sum(amount) from read_journal_1.entry") == [(11,)]


def test_a_second_writer_at_work_by_mistake_changes_nothing(bench: Workbench) -> None:
    projections = toy_set(Mode.FOLLOWING)
    bench.rebuilder(projections).prepare()
    bench.commit(History(seed=6).next(60))
    events = bench.events()
    with dedicated(bench.connect) as first, dedicated(bench.connect) as second:
        record = catalogue.live(first)["items"]
        one = GenerationWriter(projections["items"], record, first)
        two = GenerationWriter(projections["items"], record, second)
        one.feed(events[:30])
        with pytest.raises(OvertakenError):
            two.feed(events[:30])
        assert second.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
        two.reload()
        assert two.place == one.place
        two.feed(events[30:])
        with contextlib.suppress(OvertakenError):  # or it noticed before that its rows are not its own any more
            one.feed(events[30:])
        one.reload()
        assert one.place == two.place
    assert bench.rows(ProjectionSet([projections["items"]]))["items.item"] == expected(events)["items.item"]


def test_another_projector_stands_by_and_takes_over(bench: Workbench) -> None:
    projections = toy_set(Mode.FOLLOWING)
    bench.rebuilder(projections).prepare()
    history = History(seed=12)

    def caught_up() -> bool:
        return bench.query("select min(events_seen) from read_models.generation") == bench.query(
            "select count(*) from event"
        )

    with projector_process(bench, most_events=1000):
        bench.commit(history.next(20))
        wait_until(caught_up)
        with running(bench.projector(projections, poll=0.01)):
            time.sleep(0.3)
            holders = "select count(distinct pid) from pg_locks where locktype = 'advisory' and granted"
            assert bench.query(holders) == [(1,)], "two projectors feed the same projections"
    with running(bench.projector(projections, poll=0.01)):
        bench.commit(history.next(20))
        wait_until(caught_up)
    assert bench.rows(projections) == expected(bench.events())


def test_projections_at_one_place_are_fed_from_one_read(bench: Workbench) -> None:
    projections = toy_set(Mode.FOLLOWING)
    bench.rebuilder(projections).prepare()
    bench.commit(History(seed=5).next(100))
    bench.projector(ProjectionSet([projections["journal"]])).catch_up()
    bench.commit(History(seed=6).next(50))
    reads: list[LogPosition] = []
    reader = bench.log.settled()
    page = reader.page
    reader.page = lambda after, limit: reads.append(after) or page(after, limit)  # type: ignore[method-assign, func-returns-value]
    projector = bench.projector(projections)
    assert projector.catch_up() == 200, "the laggards' 150 and the other's 50"
    places = [place for place in reads if place == LogPosition(0, 0)]
    assert len(places) == 1, "three projections at the beginning, one read"


@pytest.mark.rule("PLT-101")
def test_a_projection_follows_within_moments(bench: Workbench) -> None:
    projections = toy_set(Mode.FOLLOWING)
    bench.rebuilder(projections).prepare()
    delays = []
    with running(bench.projector(projections)):
        for number in range(10):
            [recorded] = bench.commit([ToyNothingHappened(note=str(number))])
            started = time.monotonic()
            wait_until(
                lambda position=recorded.position: bench.query(  # type: ignore[misc]
                    "select min(highest) from read_models.generation"
                )[0][0] >= position
            )  # fmt: skip
            delays.append(time.monotonic() - started)
    assert sorted(delays)[8] < 2.0


def test_a_notification_wakes_the_projector_at_once(bench: Workbench) -> None:
    projections = ProjectionSet([journal(Mode.FOLLOWING)])
    bench.rebuilder(projections).prepare()
    with running(bench.projector(projections, poll=30, channel="appended")):
        time.sleep(0.5)
        bench.commit([ToyInvoiceIssued(account="A", invoice="I", items=(("M", 5),))])
        bench.query("select pg_notify('appended', '')")
        wait_until(lambda: bench.query("select count(*) from read_journal_1.entry") == [(1,)], seconds=5)
