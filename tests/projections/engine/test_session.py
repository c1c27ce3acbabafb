"""Reading: one snapshot, its age, and waiting for what one has written oneself."""

from __future__ import annotations

import datetime as dt
import threading
import time

import pytest

from domain.errors import Refusal
from projections.engine import InlineProjections, Mode, ProjectionSet, ReadModels
from tests.projections.engine.conftest import Workbench
from tests.projections.engine.test_projector import running
from tests.projections.engine.toy import History, ToyInvoiceIssued, ToyNothingHappened, balances, journal, toy_set


@pytest.fixture
def mixed() -> ProjectionSet:
    """Balances inline, the journal behind."""
    return ProjectionSet([balances(Mode.INLINE), journal(Mode.FOLLOWING)])


def models(bench: Workbench, projections: ProjectionSet) -> ReadModels:
    return ReadModels(projections, bench.connect, bench.log, bench.clock)


def test_a_session_is_one_snapshot_of_all_read_models(bench: Workbench) -> None:
    projections = toy_set(Mode.INLINE)
    rebuilder = bench.rebuilder(projections)
    rebuilder.prepare()
    inline = InlineProjections(projections)
    history = History(seed=3)
    bench.commit(history.next(50), inline)
    with models(bench, projections).session() as session:
        count = f"select count(*) as n from {session.table('journal', 'entry')}"
        sums = f"select sum(billed)::bigint as n from {session.table('balances', 'account')}"
        before = session.fetch(count), session.fetch(sums), session.position
        bench.commit(history.next(50), inline)
        rebuilder.rebuild(projections)
        assert (session.fetch(count), session.fetch(sums), session.position) == before
    with models(bench, projections).session() as session:
        assert session.generation("journal").generation == 2
        assert session.fetch(f"select count(*) as n from {session.table('journal', 'entry')}") != before[0]


@pytest.mark.rule("PLT-071", "PLT-E13")
def test_a_query_waits_until_the_projection_has_reached_the_position(bench: Workbench, mixed: ProjectionSet) -> None:
    bench.rebuilder(mixed).prepare()
    inline = InlineProjections(mixed)
    bench.commit(History(seed=3).next(20), inline)
    projector = bench.projector(mixed)
    projector.catch_up()
    [allocated] = bench.commit([ToyInvoiceIssued(account="A", invoice="I", items=(("M", 5),))], inline)

    timer = threading.Timer(0.8, projector.catch_up)
    timer.start()
    started = time.monotonic()
    with models(bench, mixed).session("journal", min_position=allocated.position, wait_ms=10_000) as session:
        assert session.position >= allocated.position
        assert session.lag_ms == 0
        entries = session.fetch(f"select amount from {session.table('journal', 'entry')} where account = 'A'")
    assert entries == [{"amount": 5}]
    assert time.monotonic() - started > 0.7, "it answered before the projection was there"
    timer.join()


@pytest.mark.rule("PLT-071", "PLT-E13")
def test_a_projection_that_stays_behind_is_refused_with_its_position(bench: Workbench, mixed: ProjectionSet) -> None:
    bench.rebuilder(mixed).prepare()
    inline = InlineProjections(mixed)
    seen = bench.commit([ToyNothingHappened(note="seen")], inline)[-1]
    bench.projector(mixed).catch_up()
    [unseen] = bench.commit([ToyInvoiceIssued(account="A", invoice="I", items=(("M", 5),))], inline)
    started = time.monotonic()
    with (
        pytest.raises(Refusal) as raised,
        models(bench, mixed).session("journal", min_position=unseen.position),
    ):
        pytest.fail("the session must not open")
    assert time.monotonic() - started > 1.9, "it gave up before the 2 seconds that are the default"
    [problem] = raised.value.problems
    assert (problem.code, problem.params) == (
        "PROJECTION_BEHIND",
        {"position": seen.position, "min_position": unseen.position},
    )


@pytest.mark.rule("PLT-E13")
def test_inline_rows_show_a_command_at_once_in_any_query(bench: Workbench, mixed: ProjectionSet) -> None:
    bench.rebuilder(mixed).prepare()
    inline = InlineProjections(mixed)
    [issued] = bench.commit([ToyInvoiceIssued(account="A", invoice="I", items=(("M", 5),))], inline)
    with models(bench, mixed).session("balances", min_position=issued.position, wait_ms=0) as session:
        assert session.fetch(f"select billed from {session.table('balances', 'account')}") == [{"billed": 5}]
        assert (session.position, session.lag_ms) == (issued.position, 0)


@pytest.mark.rule("PLT-071")
def test_the_position_of_inline_rows_is_the_highest_they_show_whatever_the_order_of_commits(bench: Workbench) -> None:
    projections = ProjectionSet([balances(Mode.INLINE)])
    bench.rebuilder(projections).prepare()
    inline = InlineProjections(projections)
    with bench.connect() as first, bench.connect() as second:
        with first.transaction(), second.transaction():
            first.execute("select pg_current_xact_id()")
            second.execute("select pg_current_xact_id()")
            low = bench.append(second, [ToyNothingHappened(note="a lower position in a later transaction")])
            high = bench.append(first, [ToyInvoiceIssued(account="A", invoice="I", items=())])
            inline.run(second.cursor(), low)
            inline.run(first.cursor(), high)
        assert high[0].position > low[0].position
        assert high[0].transaction < low[0].transaction
    with models(bench, projections).session(min_position=high[0].position) as session:
        assert session.position == high[0].position


@pytest.mark.rule("PLT-071")
def test_a_position_that_commits_late_is_waited_for_although_higher_ones_are_seen(bench: Workbench) -> None:
    projections = ProjectionSet([journal(Mode.FOLLOWING)])
    bench.rebuilder(projections).prepare()
    with running(bench.projector(projections, poll=0.005)):
        with bench.connect() as slow, slow.transaction():
            late = bench.append(slow, [ToyInvoiceIssued(account="A", invoice="I", items=(("M", 5),))])[0]
            [higher] = bench.commit([ToyNothingHappened(note="")])
            assert higher.position > late.position
            with pytest.raises(Refusal), models(bench, projections).session(min_position=late.position, wait_ms=100):
                pytest.fail("the session must not open")
        with models(bench, projections).session(min_position=late.position) as session:
            assert session.fetch(f"select amount from {session.table('journal', 'entry')}") == [{"amount": 5}]
        with models(bench, projections).session(min_position=higher.position) as session:
            assert session.position >= higher.position
        with (
            pytest.raises(Refusal, match="PROJECTION_BEHIND"),
            models(bench, projections).session(min_position=higher.position + 1000, wait_ms=50),
        ):
            pytest.fail("no such event yet")


@pytest.mark.rule("PLT-071")
def test_the_lag_is_the_age_of_the_first_event_not_seen(bench: Workbench, mixed: ProjectionSet) -> None:
    bench.rebuilder(mixed).prepare()
    inline = InlineProjections(mixed)
    bench.commit([ToyNothingHappened(note="seen")], inline)
    bench.projector(mixed).catch_up()
    [unseen] = bench.commit([ToyNothingHappened(note="first unseen")], inline)
    bench.commit([ToyNothingHappened(note="second unseen")], inline)
    bench.clock.set(unseen.recorded_at + dt.timedelta(seconds=7, milliseconds=250))
    with models(bench, mixed).session("journal") as session:
        assert session.lag_ms == 7250
        assert session.as_of == bench.clock.now()
    with models(bench, mixed).session("balances") as session:
        assert session.lag_ms == 0
    bench.projector(mixed).catch_up()
    with models(bench, mixed).session("journal") as session:
        assert session.lag_ms == 0


@pytest.mark.rule("PLT-071")
@pytest.mark.parametrize("wait_ms", [-1, 10_001])
def test_a_wait_out_of_range_is_refused(bench: Workbench, mixed: ProjectionSet, wait_ms: int) -> None:
    bench.rebuilder(mixed).prepare()
    with pytest.raises(Refusal, match="REQUEST_INVALID"), models(bench, mixed).session(wait_ms=wait_ms):
        pytest.fail("the session must not open")


def test_a_read_model_yet_to_be_built_is_unavailable(bench: Workbench, mixed: ProjectionSet) -> None:
    with pytest.raises(Refusal, match="SERVICE_UNAVAILABLE"), models(bench, mixed).session("journal"):
        pytest.fail("the session must not open")


def test_a_session_cannot_write(bench: Workbench, mixed: ProjectionSet) -> None:
    bench.rebuilder(mixed).prepare()
    with models(bench, mixed).session() as session, pytest.raises(Exception, match="read-only transaction"):
        session.fetch(f"delete from {session.table('journal', 'entry')} returning 1")
