"""Runs of jobs on the database: one worker a run, failing items, interruptions of every kind."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import pytest

from application import job_runs
from application.job_runs import RunTakenOverError
from application.jobs import ControlAction, RunRequest, RunState
from domain.errors import Refusal
from infrastructure.jobs.store import PostgresRuns
from infrastructure.jobs.threads import BackgroundWork
from infrastructure.postgres.database import Database
from tests.infrastructure.jobs.fakes import OPERATOR, Sweeper, runs_of

ROOT = Path(__file__).parents[3]


def accounts(first: int, last: int) -> list[str]:
    return [f"A{number:03}" for number in range(first, last + 1)]


@pytest.mark.rule("PLT-054", "PLT-055", "INV-094")
def test_failing_items_are_counted_and_named_and_stop_nobody(database: Database) -> None:
    sweeper = Sweeper(database, {"A002": "DATA_INCOMPLETE", "A004": "HELD", "A005": "CRASH"})
    runs = runs_of(database, sweeper, 6)
    run_id = runs.start(RunRequest("Sweep"), OPERATOR).run_id
    runs.work(run_id)
    run = runs.run(run_id)
    assert run is not None
    assert (run.state, run.selected, run.done, run.failed, run.left) == (
        RunState.COMPLETED_WITH_EXCEPTIONS,
        6,
        3,
        2,
        0,
    )
    assert run.skipped == {"HELD": 1}
    assert run.failures == (("A002", "DATA_INCOMPLETE"), ("A005", "INTERNAL_ERROR"))
    assert run.last_item == "A006"
    assert run.ended_at is not None
    assert sweeper.swept() == ["A001", "A003", "A006"]


@pytest.mark.rule("PLT-054")
def test_the_same_technical_failure_again_and_again_pauses_the_run(database: Database) -> None:
    sweeper = Sweeper(database, dict.fromkeys(accounts(3, 9), "CRASH"))
    runs = runs_of(database, sweeper, 9, abort_after=4)
    run_id = runs.start(RunRequest("Sweep"), OPERATOR).run_id
    runs.work(run_id)
    run = runs.run(run_id)
    assert run is not None
    assert (run.state, run.done, run.failed, run.left) == (RunState.PAUSED, 2, 4, 3)


@pytest.mark.rule("PLT-051")
def test_a_second_run_of_an_active_job_is_refused_until_the_first_has_ended(database: Database) -> None:
    runs = runs_of(database, Sweeper(database), 2)
    first = runs.start(RunRequest("Sweep", accounts=("A001",)), OPERATOR)
    with pytest.raises(Refusal) as refused:
        runs.start(RunRequest("Sweep"), OPERATOR)
    assert refused.value.code == "RUN_ALREADY_ACTIVE"
    runs.work(first.run_id)
    assert runs.start(RunRequest("Sweep"), OPERATOR).state is RunState.SCHEDULED


def test_two_processes_never_work_on_one_run(database: Database) -> None:
    sweeper = Sweeper(database)
    runs = runs_of(database, sweeper, 3)
    run_id = runs.start(RunRequest("Sweep"), OPERATOR).run_id
    with PostgresRuns(database).claim(run_id) as claimed:
        assert claimed is not None
        runs.work(run_id)
        assert sweeper.swept() == []
    runs.work(run_id)
    assert sweeper.swept() == accounts(1, 3)


@pytest.mark.rule("PLT-055")
def test_a_run_goes_on_behind_its_last_item_after_its_process_was_stopped(database: Database) -> None:
    sweeper = Sweeper(database)
    runs = runs_of(database, sweeper, 6)
    run_id = runs.start(RunRequest("Sweep", run_date=dt.date(2025, 3, 1)), OPERATOR).run_id
    runs.work(run_id, stopping=lambda: len(sweeper.swept()) == 2)
    stopped = runs.run(run_id)
    assert stopped is not None
    assert (stopped.state, stopped.done, stopped.left, stopped.last_item) == (RunState.RUNNING, 2, 4, "A002")
    runs.work(run_id)
    ended = runs.run(run_id)
    assert ended is not None
    assert (ended.state, ended.done, ended.left, ended.run_date) == (RunState.COMPLETED, 6, 0, dt.date(2025, 3, 1))
    assert sweeper.swept() == accounts(1, 6)


@pytest.mark.rule("PLT-054", "PLT-055")
def test_a_run_whose_process_was_killed_is_gone_on_with_and_no_item_is_done_twice(
    database: Database, conninfo: str
) -> None:
    sweeper = Sweeper(database)
    runs = runs_of(database, sweeper, 8)
    run_id = runs.start(RunRequest("Sweep"), OPERATOR).run_id
    command = [sys.executable, "-m", "tests.infrastructure.jobs.fakes", conninfo, str(run_id), "8", "A005"]
    killed = subprocess.run(command, cwd=ROOT, check=False, timeout=60)
    assert killed.returncode < 0  # by the signal
    assert sweeper.swept() == accounts(1, 5)
    left = runs.run(run_id)
    assert left is not None
    assert left.state is RunState.RUNNING
    taken_up: list[object] = []
    resumed = runs_of(database, sweeper, 8, taken_up.append)
    resumed.resume()
    assert taken_up == [run_id]
    resumed.work(run_id)
    ended = resumed.run(run_id)
    assert ended is not None
    assert (ended.state, ended.done, ended.failed) == (RunState.COMPLETED, 8, 0)
    assert sweeper.swept() == accounts(1, 8)


@pytest.mark.rule("INV-043", "INV-094")
@pytest.mark.parametrize(("fault", "code"), [("DATA_INCOMPLETE", "DATA_INCOMPLETE"), ("CRASH", "INTERNAL_ERROR")])
def test_a_failure_is_recorded_once_although_the_process_was_killed_in_front_of_the_record(
    database: Database, conninfo: str, fault: str, code: str
) -> None:
    sweeper = Sweeper(database, {"A003": fault})
    runs = runs_of(database, sweeper, 4)
    run_id = runs.start(RunRequest("Recorded"), OPERATOR).run_id
    command = [sys.executable, "-m", "tests.infrastructure.jobs.fakes", conninfo, str(run_id), "4", "A003", fault]
    killed = subprocess.run(command, cwd=ROOT, check=False, timeout=60)
    assert killed.returncode < 0  # by the signal
    assert sweeper.swept() == accounts(1, 2)
    runs.work(run_id)
    run = runs.run(run_id)
    assert run is not None
    assert (run.state, run.done, run.failed) == (RunState.COMPLETED_WITH_EXCEPTIONS, 3, 1)
    assert sweeper.swept() == ["A001", "A002", f"A003 {code}", "A004"]


@pytest.mark.rule("PLT-051")
def test_a_paused_run_stops_behind_its_present_item_and_goes_on_from_there(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_runs, "SAVE_EVERY", 0.0)
    sweeper = Sweeper(database)
    runs = runs_of(database, sweeper, 6)
    run_id = runs.start(RunRequest("Sweep"), OPERATOR).run_id

    def pausing() -> bool:
        if len(sweeper.swept()) == 2:
            asked = runs.control(run_id, ControlAction.PAUSE)
            assert asked is not None
            assert (asked.state, asked.requested) == (RunState.RUNNING, "PAUSE")
        return False

    runs.work(run_id, stopping=pausing)
    paused = runs.run(run_id)
    assert paused is not None
    # Asked in front of the third item, it is told behind it.
    assert (paused.state, paused.done, paused.last_item, paused.requested) == (RunState.PAUSED, 3, "A003", None)
    runs.work(run_id)
    assert sweeper.swept() == accounts(1, 3)
    with pytest.raises(Refusal) as refused:
        runs.start(RunRequest("Sweep"), OPERATOR)
    assert refused.value.code == "RUN_ALREADY_ACTIVE"
    resumed = runs.control(run_id, ControlAction.RESUME)
    assert resumed is not None
    assert resumed.state is RunState.RUNNING
    runs.work(run_id)
    ended = runs.run(run_id)
    assert ended is not None
    assert (ended.state, ended.done, ended.left) == (RunState.COMPLETED, 6, 0)


@pytest.mark.rule("PLT-051")
def test_a_run_is_cancelled_while_it_runs_while_it_is_paused_and_before_it_begins(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_runs, "SAVE_EVERY", 0.0)
    sweeper = Sweeper(database)
    runs = runs_of(database, sweeper, 4)
    first = runs.start(RunRequest("Sweep"), OPERATOR).run_id
    paused = runs.control(first, ControlAction.PAUSE)
    assert paused is not None
    assert (paused.state, paused.requested) == (RunState.PAUSED, None)
    runs.work(first)
    assert sweeper.swept() == []
    cancelled = runs.control(first, ControlAction.CANCEL)
    assert cancelled is not None
    assert (cancelled.state, cancelled.ended_at is not None) == (RunState.CANCELLED, True)
    second = runs.start(RunRequest("Sweep"), OPERATOR).run_id
    runs.work(second, stopping=lambda: len(sweeper.swept()) == 1 and bool(runs.control(second, ControlAction.CANCEL)))
    left = runs.run(second)
    assert left is not None
    assert (left.state, left.requested) == (RunState.RUNNING, "CANCEL")  # its process was stopped as well
    runs.work(second)
    ended = runs.run(second)
    assert ended is not None
    assert (ended.state, ended.done, ended.ended_at is not None) == (RunState.CANCELLED, 1, True)
    assert sweeper.swept() == accounts(1, 1)
    for action in ControlAction:
        with pytest.raises(Refusal) as refused:
            runs.control(second, action)
        assert refused.value.code == "STATE_INVALID"
    assert runs.control(UUID(int=0), ControlAction.PAUSE) is None


@pytest.mark.rule("PLT-053", "PLT-055", "PLT-E11")
def test_the_run_of_a_process_that_hangs_is_taken_over_and_what_it_saves_late_is_refused(database: Database) -> None:
    sweeper = Sweeper(database)
    runs = runs_of(database, sweeper, 4)
    run_id = runs.start(RunRequest("Sweep"), OPERATOR).run_id
    hanging = PostgresRuns(database, heartbeat=60)
    patient = PostgresRuns(database, taken_over_after=60)
    eager = PostgresRuns(database, taken_over_after=0.2)
    with hanging.claim(run_id) as late:
        assert late is not None
        assert late.stored.fence == 1
        with patient.claim(run_id) as early:
            assert early is None  # it has given a sign of life within the minute
        time.sleep(0.3)
        with eager.claim(run_id) as taken:
            assert taken is not None
            assert taken.stored.fence == 2
            with pytest.raises(RunTakenOverError):
                late.save(late.stored.progress)
            taken.save(taken.stored.progress)
            with eager.claim(run_id) as third:
                assert third is None
    runs.work(run_id)
    assert sweeper.swept() == accounts(1, 4)


@pytest.mark.rule("PLT-055")
def test_a_long_item_does_not_make_a_run_look_forsaken(database: Database) -> None:
    runs = runs_of(database, Sweeper(database), 1)
    run_id = runs.start(RunRequest("Sweep"), OPERATOR).run_id
    with PostgresRuns(database, heartbeat=0.05).claim(run_id) as busy:
        assert busy is not None
        time.sleep(0.6)
        with PostgresRuns(database, taken_over_after=0.4).claim(run_id) as other:
            assert other is None


@pytest.mark.rule("PLT-055")
def test_a_run_tells_when_it_will_have_ended_if_it_goes_on_as_it_does(database: Database) -> None:
    sweeper = Sweeper(database)
    runs = runs_of(database, sweeper, 4)
    run_id = runs.start(RunRequest("Sweep"), OPERATOR).run_id
    runs.work(run_id, stopping=lambda: len(sweeper.swept()) == 2)
    run = runs.run(run_id)
    assert run is not None
    assert run.heartbeat_at is not None
    assert run.forecast_at is not None
    # Half of it is done: it takes as long again.
    assert dt.timedelta(0) < run.forecast_at - run.heartbeat_at < dt.timedelta(minutes=1)
    runs.work(run_id)
    ended = runs.run(run_id)
    assert ended is not None
    assert ended.forecast_at is None


@pytest.mark.rule("PLT-068")
def test_runs_are_told_latest_first_in_pages(database: Database) -> None:
    runs = runs_of(database, Sweeper(database), 1)
    ids = []
    for _ in range(3):
        ids.append(runs.start(RunRequest("Sweep"), OPERATOR).run_id)
        runs.work(ids[-1])
    last = runs.start(RunRequest("Sweep"), OPERATOR).run_id
    assert [one.run_id for one in runs.recent("Sweep", None, None, 10)] == [last, *reversed(ids)]
    assert [one.run_id for one in runs.recent(None, RunState.COMPLETED, None, 2)] == [ids[2], ids[1]]
    assert [one.run_id for one in runs.recent(None, None, ids[1], 10)] == [ids[0]]
    assert runs.recent("Other", None, None, 10) == []


def test_background_work_runs_once_more_when_asked_meanwhile_and_stops_when_closed() -> None:
    taken: list[str] = []

    def work(subject: str, stopping: object) -> None:
        taken.append(subject)
        if len(taken) == 1:
            background.start(subject)

    background: BackgroundWork[str] = BackgroundWork("test", work)
    background.start("A")
    background.wait()
    assert taken == ["A", "A"]
    background.close()
    background.start("B")
    background.wait()
    assert taken == ["A", "A"]
