"""Status, readiness and metrics of projections."""

from __future__ import annotations

import datetime as dt

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from projections.engine import InlineProjections, Mode, ProjectionCollector, ProjectionSet, Statuses
from projections.engine.catalogue import Purpose, State
from tests.projections.engine.conftest import Workbench
from tests.projections.engine.toy import ToyInvoiceIssued, ToyNothingHappened, balances, journal, stumbling


@pytest.fixture
def mixed() -> ProjectionSet:
    return ProjectionSet([balances(Mode.INLINE), journal(Mode.FOLLOWING), stumbling(Mode.FOLLOWING, {"I-1"})])


@pytest.mark.rule("PLT-106")
def test_status_tells_state_position_and_lag_of_each_projection(bench: Workbench, mixed: ProjectionSet) -> None:
    rebuilder = bench.rebuilder(mixed)
    rebuilder.prepare()
    inline = InlineProjections(mixed)
    [first] = bench.commit([ToyNothingHappened(note="")], inline)
    [stone] = bench.commit([ToyInvoiceIssued(account="A", invoice="I-1", items=())], inline)
    bench.projector(mixed).catch_up()
    [last] = bench.commit([ToyNothingHappened(note="")], inline)
    bench.clock.set(last.recorded_at + dt.timedelta(seconds=30))
    status = {each.name: each for each in Statuses(mixed, bench.connect, bench.log, bench.clock).all()}
    assert set(status) == {"balances", "journal", "stumbling"}
    assert {each.generation for each in status.values()} == {1}
    assert {each.purpose for each in status.values()} == {Purpose.SERVE}
    assert not any(each.outdated for each in status.values())
    now = status["balances"]
    assert (now.state, now.position, now.events_behind, now.lag_ms) == (State.RUNNING, last.position, 0, 0)
    behind = status["journal"]
    assert (behind.state, behind.position, behind.events_seen) == (State.RUNNING, stone.position, 2)
    assert (behind.events_behind, behind.lag_ms) == (1, 30_000)
    failed = status["stumbling"]
    assert (failed.state, failed.position, failed.events_behind) == (State.FAILED, first.position, 2)
    assert failed.lag_ms == 30_001
    assert failed.failure is not None
    assert failed.failure.position == stone.position


@pytest.mark.rule("PLT-106")
def test_a_process_is_ready_when_all_its_projections_are_live(bench: Workbench, mixed: ProjectionSet) -> None:
    statuses = Statuses(mixed, bench.connect, bench.log, bench.clock)
    assert statuses.ready() == tuple(f"{name} is yet to be built" for name in mixed)
    bench.rebuilder(mixed).prepare()
    assert statuses.ready() == ()
    newer = balances(Mode.INLINE)
    newer.on("SomethingElse")(lambda recorded, rows: None)
    release = Statuses(ProjectionSet([newer, mixed["journal"]]), bench.connect, bench.log, bench.clock)
    assert release.ready() == ("balances is of another definition", "stumbling is unknown to this release")


@pytest.mark.rule("PLT-106")
def test_metrics_hold_lag_and_position_per_projection(bench: Workbench, mixed: ProjectionSet) -> None:
    bench.rebuilder(mixed).prepare()
    bench.commit([ToyInvoiceIssued(account="A", invoice="I-1", items=())], InlineProjections(mixed))
    bench.projector(mixed).catch_up()
    [last] = bench.commit([ToyNothingHappened(note="")], InlineProjections(mixed))
    bench.clock.set(last.recorded_at + dt.timedelta(seconds=2))
    registry = CollectorRegistry()
    registry.register(ProjectionCollector(Statuses(mixed, bench.connect, bench.log, bench.clock).all))
    lines = set(generate_latest(registry).decode().splitlines())
    assert f'rollon_projection_position{{projection="balances"}} {last.position}.0' in lines
    assert f'rollon_projection_position{{projection="journal"}} {last.position - 1}.0' in lines
    assert 'rollon_projection_lag_seconds{projection="journal"} 2.0' in lines
    assert 'rollon_projection_failed{projection="stumbling"} 1.0' in lines
    assert 'rollon_projection_failed{projection="journal"} 0.0' in lines
