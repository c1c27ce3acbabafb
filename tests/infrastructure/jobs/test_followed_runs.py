"""Runs that follow commands: under the command's id, through items of their own, leaving none of them out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest

from application.clock import SystemClock, UuidSource
from application.command import CommandAnswer, CommandRequest
from application.job_runs import JobDefinition, JobRuns, StoredRun, key_of
from application.jobs import JobRun, JobType, RunState
from infrastructure.jobs.store import PostgresRuns
from infrastructure.postgres.database import Database
from tests.infrastructure.jobs.fakes import FakeAccounts

JOB = JobDefinition(
    JobType("Following", "Following"),
    "TakeStep",
    payload=lambda run, item: {"item": item},
    on_failure="GiveUpStep",
    by_hand=False,
    insists=True,
)
ITEMS = ("a 1", "a 2", "b 1")


class OwnItems:
    """Three items; four are expected."""

    def behind(self, run: StoredRun, after: str) -> Iterator[str]:
        yield from (item for item in ITEMS if item > after)

    def count(self, run: StoredRun) -> int:
        return 4


class Steps:
    """Executes steps: `faults` says how often the step of an item fails, `results` what it answers."""

    def __init__(self, **faults: int) -> None:
        self.faults = dict(faults)
        self.results: dict[str, dict[str, str]] = {}
        self.taken: list[tuple[str, str]] = []

    def execute(self, request: CommandRequest) -> CommandAnswer:
        item = str(request.payload["item"])
        self.taken.append((request.name, item))
        fault = f"{request.name}_{item.replace(' ', '')}"
        if self.faults.get(fault):
            self.faults[fault] -= 1
            raise RuntimeError("the network is gone")
        return CommandAnswer(str(uuid4()), self.results.get(item, {}), (), None)


def runs_of(database: Database, steps: Steps, starter: Callable[[UUID], None] = lambda _: None) -> JobRuns:
    clock = SystemClock()
    return JobRuns(
        PostgresRuns(database),
        FakeAccounts(0),
        steps,
        clock,
        UuidSource(clock),
        starter,
        definitions={"Following": JOB},
        items={"Following": OwnItems()},
    )


def worked(runs: JobRuns, run_id: UUID) -> JobRun:
    run = runs.run(run_id)
    assert run is not None
    return run


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("application.job_runs.PAUSE", 0.0)


def test_a_command_has_one_run_under_its_own_id_and_several_commands_have_several(database: Database) -> None:
    handed: list[UUID] = []
    runs = runs_of(database, Steps(), handed.append)
    first, second = uuid4(), uuid4()
    for run_id in (first, second, first):
        runs.follow("Following", run_id, "ann")
    assert handed == [first, second]
    assert (worked(runs, first).trigger, worked(runs, first).state) == ("COMMAND", RunState.SCHEDULED)
    assert "Following" not in runs.jobs()


@pytest.mark.rule("PLT-055")
def test_a_run_goes_through_items_of_its_own_and_nothing_is_left_when_it_ends(database: Database) -> None:
    steps = Steps()
    steps.results = {"a 1": {"skipped": "NOT_NEEDED"}, "a 2": {"failed": "LOCKED"}}
    runs = runs_of(database, steps)
    run_id = uuid4()
    runs.follow("Following", run_id, "ann", at_once=True)
    run = worked(runs, run_id)
    assert steps.taken == [("TakeStep", item) for item in ITEMS]
    assert (run.selected, run.done, run.failed, run.skipped, run.left) == (4, 1, 1, {"NOT_NEEDED": 1}, 0)
    assert (run.state, run.failures) == (RunState.COMPLETED_WITH_EXCEPTIONS, (("a 2", "LOCKED"),))


def test_an_item_that_fails_is_tried_again_before_its_failure_is_recorded(database: Database) -> None:
    steps = Steps(TakeStep_a1=2, TakeStep_a2=3)
    runs = runs_of(database, steps)
    run_id = uuid4()
    runs.follow("Following", run_id, "ann", at_once=True)
    assert steps.taken == [
        *[("TakeStep", "a 1")] * 3,
        *[("TakeStep", "a 2")] * 3,
        ("GiveUpStep", "a 2"),
        ("TakeStep", "b 1"),
    ]
    assert worked(runs, run_id).failures == (("a 2", "INTERNAL_ERROR"),)


@pytest.mark.rule("PLT-055")
def test_a_failure_that_cannot_be_recorded_leaves_the_run_to_be_taken_up_again(database: Database) -> None:
    steps = Steps(TakeStep_a2=3, GiveUpStep_a2=1)
    runs = runs_of(database, steps)
    run_id = uuid4()
    with pytest.raises(RuntimeError):
        runs.follow("Following", run_id, "ann", at_once=True)
    left = worked(runs, run_id)
    assert (left.state, left.last_item) == (RunState.RUNNING, None)
    runs.work(run_id)
    ended = worked(runs, run_id)
    assert (ended.state, ended.done, ended.failed) == (RunState.COMPLETED, 3, 0)


def test_the_key_of_an_item_fits_whatever_it_is_called(database: Database) -> None:
    run_id = uuid4()
    keys = {key_of(run_id, item, "0") for item in ("LB000000018", "record MR 1", "record MR\u00a01", "r" * 200)}
    assert f"job:{run_id}:LB000000018:0" in keys
    assert len(keys) == 4
    assert all(len(key) <= 100 and key.isascii() and " " not in key for key in keys)
