"""Rebuilding and verifying beside the live rows: the same rows byte for byte, while commands and queries go on."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import psycopg
import pytest

from domain.errors import Refusal
from projections.engine import (
    InlineProjections,
    Mode,
    NotReadyError,
    Outcome,
    Progress,
    ProjectionSet,
    ReadModels,
    catalogue,
)
from projections.engine.catalogue import State
from projections.engine.comparison import AccountDifference, RowDifference
from tests.projections.engine.conftest import Workbench
from tests.projections.engine.test_projector import running, wait_until
from tests.projections.engine.toy import (
    History,
    ToyInvoiceIssued,
    ToyNothingHappened,
    balances,
    expected,
    stumbling,
    toy_set,
)


def outcomes(reports: list[object]) -> set[Outcome]:
    return {report.outcome for report in reports}  # type: ignore[attr-defined]


@pytest.mark.rule("PLT-108")
@pytest.mark.parametrize("mode", list(Mode))
def test_rebuilt_twice_the_rows_are_the_same_byte_for_byte(bench: Workbench, mode: Mode) -> None:
    projections = toy_set(mode)
    history = History(seed=14)
    for _ in range(10):
        bench.commit(history.next(80))
    rebuilder = bench.rebuilder(projections, most_events=150)
    assert set(rebuilder.prepare()) == set(projections), "on a log with events everything is yet to be built"
    assert outcomes(rebuilder.rebuild(projections)) == {Outcome.SWITCHED}
    first = bench.text(projections)
    assert bench.rows(projections) == expected(bench.events())
    reports = bench.rebuilder(projections, most_events=37).rebuild(projections)
    assert outcomes(reports) == {Outcome.SWITCHED}
    assert all(report.comparison is not None and report.comparison.equal for report in reports)
    assert {report.generation for report in reports} == {2}
    assert bench.text(projections) == first


@pytest.mark.parametrize("small_table", [0, 1 << 30])
def test_a_rebuilt_generation_has_all_indexes_of_one_that_was_there_from_the_start(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, small_table: int
) -> None:
    monkeypatch.setattr("projections.engine.rebuild.SMALL_TABLE", small_table)
    projections = toy_set(Mode.FOLLOWING)
    bench.rebuilder(projections).prepare()
    bench.commit(History(seed=1).next(100))
    bench.projector(projections).catch_up()
    bench.rebuilder(projections).rebuild(projections)

    def indexes(generation: int) -> list[tuple[str, ...]]:
        return bench.query(
            "select tablename, indexname, replace(indexdef, schemaname, '') from pg_indexes"
            " where schemaname like %s order by 1, 2",
            f"read%_{generation}",
        )

    assert indexes(1) == indexes(2)
    assert len(indexes(1)) == 10


#: Milliseconds a command and a query may wait for a lock; the server ends those that wait longer. A query needs none.
COMMAND_LOCK, QUERY_LOCK = 2_000, 50


@contextlib.contextmanager
def going_on(work: Callable[[], object]) -> Iterator[list[object]]:
    """Do the work again and again until the end of the `with`, beside it; what it gave. It must never fail."""
    stop, done, failures = threading.Event(), [], []

    def loop() -> None:
        try:
            while not stop.wait(0.01):
                done.append(work())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join(30)
        assert not failures, failures


def command(bench: Workbench, history: History, inline: InlineProjections | None) -> Callable[[], object]:
    return lambda: bench.commit(history.next(5), inline, lock_timeout=COMMAND_LOCK)


def query(bench: Workbench, projections: ProjectionSet) -> Callable[[], object]:
    """A query over two projections, which checks that its snapshot holds together."""
    models = ReadModels(projections, lambda: bench.connect(lock_timeout=QUERY_LOCK), bench.log, bench.clock)

    def ask() -> None:
        with models.session("balances", "items") as session:
            items = f"select coalesce(sum(billed), 0)::bigint as n from {session.table('items', 'item')}"
            totals = f"select coalesce(sum(billed), 0)::bigint as n from {session.table('balances', 'account')}"
            same_place = session.generation("items").place == session.generation("balances").place
            if same_place or projections["items"].mode is Mode.INLINE:
                assert session.fetch(items) == session.fetch(totals)

    return ask


@pytest.mark.rule("PLT-108", "PLT-109")
@pytest.mark.parametrize("mode", list(Mode))
def test_a_rebuild_goes_on_beside_commands_and_queries_and_nobody_waits_long(bench: Workbench, mode: Mode) -> None:
    projections = toy_set(mode)
    rebuilder = bench.rebuilder(projections, most_events=200)
    rebuilder.prepare()
    inline = InlineProjections(projections) if mode is Mode.INLINE else None
    history = History(seed=17)
    for _ in range(5):
        bench.commit(history.next(100), inline)
    with contextlib.ExitStack() as stack:
        if mode is Mode.FOLLOWING:
            stack.enter_context(running(bench.projector(projections, poll=0.05)))
        commands = stack.enter_context(going_on(command(bench, history, inline)))
        queries = stack.enter_context(going_on(query(bench, projections)))
        reports = rebuilder.rebuild(projections)
        assert outcomes(reports) == {Outcome.SWITCHED}, reports
        # The live rows had gone on changing, and the copy was compared with them at one and the same position.
        assert all(report.comparison is not None and report.comparison.equal for report in reports), reports
        wait_until(lambda: len(commands) > 3 and len(queries) > 3, seconds=30)
    bench.projector(projections).catch_up()
    assert bench.rows(projections) == expected(bench.events())
    assert {record.generation for record in live(bench).values()} == {2}


def live(bench: Workbench) -> dict[str, catalogue.Generation]:
    with bench.connect() as connection:
        return catalogue.live(connection)


def test_an_inline_copy_takes_over_events_that_lie_ahead_of_the_settled_log(bench: Workbench) -> None:
    projections = toy_set(Mode.INLINE)
    rebuilder = bench.rebuilder(projections)
    rebuilder.prepare()
    inline = InlineProjections(projections)
    history = History(seed=19)
    bench.commit(history.next(100), inline)
    with bench.connect() as slow:
        with slow.transaction():
            # A transaction that began before and ends after the switch: the log stays unsettled from here on.
            late = bench.append(slow, history.next(3))
            bench.commit(history.next(50), inline)
            reports = rebuilder.rebuild(projections)
            assert outcomes(reports) == {Outcome.SWITCHED}
            assert all(report.comparison is not None and report.comparison.equal for report in reports)
            bench.commit(history.next(20), inline)
            inline.run(slow.cursor(), late)
        bench.commit(history.next(20), inline)
    # The late events were folded last, as the live rows saw them; their accounts' rows do not depend on the order.
    verified = rebuilder.verify(["journal"])
    assert [report.equal for report in verified] == [True], verified


def test_events_fed_ahead_are_skipped_when_they_are_settled(bench: Workbench) -> None:
    projections = toy_set(Mode.INLINE)
    rebuilder = bench.rebuilder(projections)
    rebuilder.prepare()
    inline = InlineProjections(projections)
    history = History(seed=23)
    bench.commit(history.next(40), inline)
    bench.query("update read_balances_1.account set paid = paid + 1 returning 1")
    with bench.connect() as slow, slow.transaction():
        slow.execute("select pg_current_xact_id()")
        bench.commit(history.next(30), inline)
        [report] = rebuilder.rebuild(["balances"])
        assert report.outcome is Outcome.DIFFERENT
        [ahead] = bench.query("select cardinality(ahead) from read_models.generation where state = 'BUILDING'")
        assert ahead == (30,)
    bench.commit(history.next(5), inline)
    [report] = rebuilder.rebuild(["balances"], reason="the live row was tampered with")
    assert report.outcome is Outcome.SWITCHED
    assert bench.rows(projections)["balances.account"] == expected(bench.events())["balances.account"]


REBUILD = """
import sys, contextlib
from infrastructure.event_store.log_source import PostgresLogSource
from infrastructure.postgres.connection import StoreConnection
from projections.engine import Mode, Rebuilder
from tests.projections.engine.toy import toy_set

@contextlib.contextmanager
def connect():
    connection = StoreConnection.connect(sys.argv[1], autocommit=True)
    try:
        yield connection
    finally:
        connection.close()

projections = toy_set(Mode[sys.argv[2]])
print("ready", flush=True)
Rebuilder(projections, connect, PostgresLogSource(connect), most_events=60).rebuild(
    projections, progress=lambda progress: print(progress.phase, progress.position, flush=True))
print("done", flush=True)
"""


@pytest.mark.fault
@pytest.mark.rule("PLT-108")
@pytest.mark.parametrize("mode", list(Mode))
def test_a_rebuild_that_is_killed_goes_on_from_where_it_was(bench: Workbench, mode: Mode) -> None:
    projections = toy_set(mode)
    history = History(seed=41)
    for _ in range(30):
        bench.commit(history.next(100))
    reached = [0]
    for lines in (6, 10):
        process = subprocess.Popen(
            [sys.executable, "-c", REBUILD, bench.conninfo, mode.name], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(lines):
            assert process.stdout.readline() != "done\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        reached.append(bench.query("select max(events_seen) from read_models.generation")[0][0])
    assert reached == sorted(set(reached)), "each run goes on where the last one was killed"
    wait_until(lambda: bench.query("select count(*) from pg_locks where locktype = 'advisory'") == [(0,)])
    reports = bench.rebuilder(projections).rebuild(projections)
    assert outcomes(reports) == {Outcome.SWITCHED}
    assert {report.generation for report in reports} == {1}
    assert {report.events for report in reports} == {3000}
    assert bench.rows(projections) == expected(bench.events())


def test_a_rebuild_can_be_stopped_and_tells_its_progress(bench: Workbench) -> None:
    projections = toy_set(Mode.FOLLOWING)
    bench.commit(History(seed=2).next(400))
    told: list[Progress] = []
    rebuilder = bench.rebuilder(projections, most_events=50)
    reports = rebuilder.rebuild(projections, progress=told.append, stopping=lambda: len(told) >= 4)
    assert outcomes(reports) == {Outcome.INTERRUPTED}
    assert live(bench) == {}
    reports = rebuilder.rebuild(projections, progress=told.append)
    assert outcomes(reports) == {Outcome.SWITCHED}
    phases = [phase for phase, _ in itertools.groupby(progress.phase for progress in told)]
    assert phases[:2] == ["reading", "indexing"]
    assert Counter(progress.phase for progress in told if progress.phase != "reading") == {
        "indexing": len(projections),
        "switching": len(projections),
    }
    reading = [progress.fraction for progress in told if progress.phase == "reading"]
    assert reading[0] == 0.0
    assert reading == sorted(reading)
    assert told[-1].fraction == 1.0
    assert told[-1].head == bench.events()[-1].position


@pytest.mark.rule("PLT-108")
def test_verification_names_a_tampered_a_missing_and_a_surplus_row_and_changes_nothing(bench: Workbench) -> None:
    projections = toy_set(Mode.FOLLOWING)
    rebuilder = bench.rebuilder(projections)
    rebuilder.prepare()
    items = (("M1", 100), ("M2", 200), ("M3", 300))
    bench.commit([ToyInvoiceIssued(account=a, invoice=f"I-{a}", items=items) for a in "AB"])
    bench.projector(projections).catch_up()
    assert [report.equal for report in rebuilder.verify(projections)] == [True] * len(projections)

    bench.query("update read_items_1.item set paid = 1 where invoice = 'I-B' and number = 0 returning 1")
    bench.query("delete from read_items_1.item where invoice = 'I-B' and number = 1 returning 1")
    bench.query("insert into read_items_1.item select 'I-X', number, account, member, billed, paid, live, due"
                " from read_items_1.item where invoice = 'I-B' and number = 0 returning 1")  # fmt: skip
    before = bench.text(projections)
    report = {report.projection: report for report in rebuilder.verify(projections)}
    assert {name for name, each in report.items() if not each.equal} == {"items"}
    comparison = report["items"].comparison
    assert comparison is not None
    [table] = comparison.tables
    assert (table.live_rows, table.rebuilt_rows, table.differing_accounts, table.differing_rows) == (6, 6, 1, 3)
    assert table.accounts == (AccountDifference("B", 3, 3),)
    assert table.rows == (
        RowDifference("DIFFERENT", '["I-B", 0]'),
        RowDifference("MISSING", '["I-B", 1]'),
        RowDifference("SURPLUS", '["I-X", 0]'),
    )
    assert bench.text(projections) == before
    assert bench.query("select count(*) from read_models.generation where purpose = 'VERIFY'") == [(0,)]
    assert bench.query("select count(*) from pg_namespace where nspname like 'read%_2'") == [(0,)]


@pytest.mark.rule("PLT-108")
@pytest.mark.parametrize("mode", list(Mode))
def test_verification_goes_on_beside_commands(bench: Workbench, mode: Mode) -> None:
    projections = toy_set(mode)
    rebuilder = bench.rebuilder(projections, most_events=100)
    rebuilder.prepare()
    inline = InlineProjections(projections) if mode is Mode.INLINE else None
    history = History(seed=29)
    bench.commit(history.next(300), inline)
    with contextlib.ExitStack() as stack:
        if mode is Mode.FOLLOWING:
            stack.enter_context(running(bench.projector(projections, poll=0.05)))
        stack.enter_context(going_on(command(bench, history, inline)))
        reports = rebuilder.verify(projections)
    assert [report.equal for report in reports] == [True] * len(projections), reports


@pytest.mark.rule("PLT-108")
def test_a_difference_is_reported_and_switched_to_only_with_a_reason(bench: Workbench) -> None:
    projections = toy_set(Mode.FOLLOWING)
    rebuilder = bench.rebuilder(projections)
    rebuilder.prepare()
    bench.commit(History(seed=3).next(100))
    bench.projector(projections).catch_up()
    right = bench.text(projections)
    bench.query("update read_balances_1.account set billed = billed + 1 returning 1")
    [report] = rebuilder.rebuild(["balances"])
    assert report.outcome is Outcome.DIFFERENT
    assert report.comparison is not None
    assert report.comparison.tables[0].differing_accounts == 5
    assert live(bench)["balances"].generation == 1
    [report] = rebuilder.rebuild(["balances"], reason="totals were changed by hand")
    assert (report.outcome, report.generation) == (Outcome.SWITCHED, 2)
    assert live(bench)["balances"].reason == "totals were changed by hand"
    assert bench.text(projections) == right


def test_another_version_is_built_beside_the_old_one_and_put_in_its_place(bench: Workbench) -> None:
    old = ProjectionSet([balances(Mode.FOLLOWING)])
    bench.rebuilder(old).prepare()
    bench.commit(History(seed=3).next(100))
    bench.projector(old).catch_up()
    new = balances(Mode.FOLLOWING)
    object.__setattr__(new, "version", 2)
    release = ProjectionSet([new])
    assert bench.rebuilder(release).prepare() == ("balances",)
    assert bench.projector(release).catch_up() == 0, "a release does not feed tables it does not know"
    [report] = bench.rebuilder(release).rebuild(["balances"])
    assert (report.outcome, report.comparison) == (Outcome.SWITCHED, None)
    assert report.reason == "definition of version 1 replaced by version 2"
    bench.commit(History(seed=4).next(20))
    assert bench.projector(old).catch_up() == 0
    assert bench.projector(release).catch_up() == 20


def test_a_projection_that_fails_while_it_is_rebuilt_leaves_the_live_one_and_the_others_alone(
    bench: Workbench,
) -> None:
    stumbles: set[str] = set()
    projections = ProjectionSet([*toy_set(Mode.FOLLOWING).values(), stumbling(Mode.FOLLOWING, stumbles)])
    rebuilder = bench.rebuilder(projections, most_events=60)
    rebuilder.prepare()
    bench.commit(History(seed=8).next(300))
    bench.projector(projections).catch_up()
    stumbles.add("INV-00000040")
    reports = {report.projection: report for report in rebuilder.rebuild(projections)}
    assert {name for name, report in reports.items() if report.outcome is Outcome.FAILED} == {"stumbling"}
    failure = reports["stumbling"].failure
    assert failure is not None
    assert failure.error == "ProjectionError"
    assert {name: record.generation for name, record in live(bench).items()} == {
        **dict.fromkeys(toy_set(Mode.FOLLOWING), 2), "stumbling": 1
    }  # fmt: skip
    assert live(bench)["stumbling"].state is State.RUNNING
    stumbles.clear()
    [report] = rebuilder.rebuild(["stumbling"])
    assert (report.outcome, report.generation) == (Outcome.SWITCHED, 2)


def test_a_failed_live_projection_is_replaced_by_a_rebuild_with_mended_code(bench: Workbench) -> None:
    stumbles = {"INV-00000040"}
    projections = ProjectionSet([stumbling(Mode.FOLLOWING, stumbles)])
    rebuilder = bench.rebuilder(projections)
    rebuilder.prepare()
    bench.commit(History(seed=8).next(300))
    bench.projector(projections).catch_up()
    assert live(bench)["stumbling"].state is State.FAILED
    stumbles.clear()
    [report] = rebuilder.rebuild(["stumbling"])
    assert report.outcome is Outcome.SWITCHED
    assert report.comparison is not None
    assert report.comparison.equal, "up to where the live one stopped"
    assert live(bench)["stumbling"].state is State.RUNNING
    assert live(bench)["stumbling"].events_seen == 300


@pytest.mark.rule("PLT-108")
def test_a_second_rebuild_of_the_same_projection_is_refused(bench: Workbench) -> None:
    projections = toy_set(Mode.FOLLOWING)
    bench.commit(History(seed=8).next(30))
    rebuilder = bench.rebuilder(projections)
    codes = []

    def again(_: Progress) -> None:
        with pytest.raises(Refusal) as raised:
            rebuilder.rebuild(["journal"])
        codes.append(raised.value.code)

    rebuilder.rebuild(projections, progress=again)
    assert set(codes) == {"RUN_ALREADY_ACTIVE"}
    assert outcomes(rebuilder.rebuild(["journal"])) == {Outcome.SWITCHED}


def test_retired_generations_are_dropped_after_their_time_and_not_under_a_reader(bench: Workbench) -> None:
    projections = toy_set(Mode.FOLLOWING)
    rebuilder = bench.rebuilder(projections)
    rebuilder.prepare()
    bench.commit(History(seed=8).next(30))
    bench.projector(projections).catch_up()
    models = ReadModels(projections, bench.connect, bench.log, bench.clock)
    with models.session("journal") as session:
        query = f"select count(*) as n from {session.table('journal', 'entry')}"
        before = session.fetch(query)
        rebuilder.rebuild(projections)
        assert rebuilder.purge() == 0
        assert session.fetch(query) == before, "the reader goes on in the generation it began with"
        with pytest.raises(psycopg.errors.LockNotAvailable):
            rebuilder.purge(dt.timedelta(0))
    assert rebuilder.purge(dt.timedelta(0)) > 0
    assert bench.query("select count(*) from pg_namespace where nspname like 'read%_1'") == [(0,)]
    assert bench.query("select count(*) from read_models.generation") == [(5,)]


def test_only_what_is_live_and_of_this_definition_can_be_verified(bench: Workbench) -> None:
    projections = toy_set(Mode.FOLLOWING)
    bench.commit([ToyNothingHappened(note="")])
    with pytest.raises(NotReadyError):
        bench.rebuilder(projections).verify(["journal"])
    assert bench.query("select count(*) from read_models.generation") == [(0,)]


def test_a_projection_taken_out_of_the_code_is_retired(bench: Workbench) -> None:
    projections = toy_set(Mode.INLINE)
    rebuilder = bench.rebuilder(projections)
    rebuilder.prepare()
    assert rebuilder.retire("journal", "replaced by the ledger")
    assert not rebuilder.retire("journal", "replaced by the ledger")
    rest = ProjectionSet(p for p in projections.values() if p.name != "journal")
    bench.commit(History(seed=8).next(30), InlineProjections(rest))
