"""A task goes from its queue to one user and ends once, whatever is asked of it then."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from domain.errors import Refusal
from domain.platform.privileges import PRIVILEGES
from domain.platform.tasks import (
    KINDS,
    TASK,
    Priority,
    Queue,
    Task,
    TaskRaised,
    TaskReminded,
    TaskState,
    TaskType,
    cancel,
    claim,
    complete,
    give_back,
    reassign,
    remind,
)

NOW = dt.datetime(2025, 3, 3, 12, tzinfo=dt.UTC)
RAISED = TaskRaised(
    task="TK-00000001",
    type=TaskType.GENERATION_FAILED,
    queue=Queue.GENERATION_EXCEPTIONS,
    priority=Priority.HIGH,
    privilege="invoice.generate",
    subject="LB000000018",
    account="LB000000018",
    cause="GENERATION_FAILED LB000000018",
    code="DATA_INCOMPLETE",
    reason="The price is not known",
    links={},
    raised_at=NOW,
)

Decision = Callable[[Task], list[object]]

DECISIONS: dict[str, Decision] = {
    "claim": lambda task: claim(task, "ann"),
    "claim by another": lambda task: claim(task, "ben"),
    "return": lambda task: give_back(task, "ann", ""),
    "complete": lambda task: complete(task, "ann", "Done", NOW),
    "complete by another": lambda task: complete(task, "ben", "Done", NOW),
    "reassign": lambda task: reassign(task, "ben", "Ann is away"),
    "cancel": lambda task: cancel(task, "the cause is gone", NOW),
}


def after(*decisions: str) -> Task:
    """The task when these were decided one after another."""
    task = TASK.fold([RAISED])
    for name in decisions:
        task = TASK.fold(DECISIONS[name](task), task)
    return task


@pytest.mark.rule("PLT-061")
@pytest.mark.parametrize(
    ("decisions", "state", "assignee"),
    [
        ((), TaskState.OPEN, None),
        (("claim",), TaskState.CLAIMED, "ann"),
        (("claim", "claim"), TaskState.CLAIMED, "ann"),
        (("claim", "return"), TaskState.OPEN, None),
        (("claim", "return", "claim by another"), TaskState.CLAIMED, "ben"),
        (("reassign",), TaskState.CLAIMED, "ben"),
        (("claim", "reassign", "complete by another"), TaskState.DONE, "ben"),
        (("cancel",), TaskState.CANCELLED, None),
        (("claim", "cancel"), TaskState.CANCELLED, "ann"),
        (("claim", "complete", "cancel"), TaskState.DONE, "ann"),
        (("cancel", "cancel"), TaskState.CANCELLED, None),
    ],
)
def test_a_task_is_where_its_decisions_brought_it(
    decisions: tuple[str, ...], state: TaskState, assignee: str | None
) -> None:
    task = after(*decisions)
    assert (task.state, task.assignee) == (state, assignee)
    assert task.pending is (state in (TaskState.OPEN, TaskState.CLAIMED))


@pytest.mark.rule("PLT-061")
@pytest.mark.parametrize(
    ("decisions", "refused", "code"),
    [
        (("claim",), "claim by another", "TASK_ALREADY_CLAIMED"),
        (("claim",), "complete by another", "TASK_ALREADY_CLAIMED"),
        ((), "complete", "STATE_INVALID"),
        ((), "return", "STATE_INVALID"),
        (("cancel",), "claim", "STATE_INVALID"),
        (("claim", "complete"), "complete", "STATE_INVALID"),
        (("claim", "complete"), "reassign", "STATE_INVALID"),
        (("cancel",), "return", "STATE_INVALID"),
    ],
)
def test_what_does_not_fit_the_state_is_refused(decisions: tuple[str, ...], refused: str, code: str) -> None:
    with pytest.raises(Refusal) as refusal:
        DECISIONS[refused](after(*decisions))
    assert refusal.value.code == code


@pytest.mark.rule("PLT-061")
def test_finishing_and_giving_a_task_to_somebody_need_words() -> None:
    for decision in (lambda: complete(after("claim"), "ann", "  ", NOW), lambda: reassign(after(), "ben", "")):
        with pytest.raises(Refusal) as refusal:
            decision()
        assert refusal.value.code == "REASON_REQUIRED"


@pytest.mark.rule("PRM-117")
def test_a_cause_that_stands_is_told_once_a_day_from_the_day_after_it_was_raised() -> None:
    task, told = after(), []
    for hours in (0, 6, 12, 20, 36, 40):
        events = remind(task, (NOW + dt.timedelta(hours=hours)).date(), "It still stands")
        told += [one.day.day for one in events if isinstance(one, TaskReminded)]
        task = TASK.fold(events, task)
    assert told == [4, 5]
    assert remind(after("cancel"), dt.date(2025, 3, 9), "It still stands") == []


def test_every_type_of_task_has_a_queue_and_a_privilege_that_exists() -> None:
    assert KINDS.keys() == set(TaskType)
    assert {kind.privilege for kind in KINDS.values()} <= PRIVILEGES.keys()
