"""Tasks for people: raising them, closing those whose cause is gone, and the commands by which they are worked on.

A room raises a task with `raise_task` and names its cause; as long as a task of the cause waits, no second one is made.
`close_tasks` ends what waits for a cause that is gone. What follows when a user finishes a task of some type is
registered with `on_completion`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from application.command import Command, Identifier, Outcome, command, handles
from application.register import WaitingTasks
from application.unit_of_work import Loaded, UnitOfWork
from domain.errors import refuse
from domain.platform.tasks import (
    KINDS,
    TASK,
    Task,
    TaskRaised,
    TaskType,
    cancel,
    claim,
    complete,
    give_back,
    reassign,
    remind,
)

Completion = Callable[[UnitOfWork, Task], None]

_COMPLETIONS: dict[TaskType, Completion] = {}
_NOTHING: Mapping[str, str] = MappingProxyType({})

_Note = Annotated[str, Field(max_length=500)]


def on_completion(kind: TaskType) -> Callable[[Completion], Completion]:
    """Declare what happens, in the same unit, when a user finishes a task of a type."""

    def declare(completion: Completion) -> Completion:
        _COMPLETIONS[kind] = completion
        return completion

    return declare


def raise_task(
    unit: UnitOfWork,
    kind: TaskType,
    *,
    cause: str,
    subject: str,
    account: str,
    code: str,
    reason: str,
    links: Mapping[str, str] = _NOTHING,
) -> str:
    """The number of the task that waits for the cause, made now if there is none.

    The caller holds the lock of the object the cause belongs to, so that two units do not raise it side by side.
    """
    waiting = unit.port(WaitingTasks).of_cause(cause)
    if waiting is not None:
        return waiting
    number = f"TK-{unit.next_number('task'):08d}"
    same = KINDS[kind]
    raised = TaskRaised(
        task=number,
        type=kind,
        queue=same.queue,
        priority=same.priority,
        privilege=same.privilege,
        subject=subject,
        account=account,
        cause=cause,
        code=code,
        reason=reason,
        links=dict(links),
        raised_at=unit.now,
    )
    unit.append(TASK, number, [raised])
    return number


def remind_task(unit: UnitOfWork, number: str, reason: str) -> bool:
    """Tell again that a task's cause stands; whether it was told, which it is once a day (UTC)."""
    events = remind(unit.load(TASK, number).state, unit.today(), reason)
    unit.append(TASK, number, events)
    return bool(events)


def close_tasks(unit: UnitOfWork, cause: str, reason: str) -> None:
    """Close the task that waits for a cause, which is gone (PLT-061)."""
    number = unit.port(WaitingTasks).of_cause(cause)
    if number is not None:
        unit.append(TASK, number, cancel(unit.load(TASK, number).state, reason, unit.now))


def overdue_roll_on(member_record: str) -> str:
    """The cause of the task that waits while a roll-on lock is older than it should be (PRM-117)."""
    return f"ROLL_ON_OVERDUE {member_record}"


def refused_hub_event(hub_event_id: str) -> str:
    """The cause of the task that waits while an event of the Payment Hub is refused (PAY-022)."""
    return f"HUB_EVENT_REFUSED {hub_event_id}"


def misaligned_waiver(member_record: str, transaction_id: str) -> str:
    """The cause of the task that waits while a waiver is refused for a start outside its bounds (PRM-092)."""
    return f"WAIVER_DATE_MISALIGNED {member_record}/{transaction_id}"


_REFUSALS = ("ENTITY_NOT_FOUND", "FORBIDDEN", "STATE_INVALID", "TASK_ALREADY_CLAIMED")


@command(
    privilege="task.work",
    room="13",
    summary="Take a task",
    rules=("PLT-061",),
    refusals=_REFUSALS,
    example={"task": "TK-00000001"},
)
class ClaimTask(Command):
    """The task is the caller's until it is returned or finished; it needs the privilege that the task names besides."""

    task: Identifier


@command(
    privilege="task.work",
    room="13",
    summary="Give a task back to its queue",
    rules=("PLT-061",),
    refusals=_REFUSALS,
    example={"task": "TK-00000001", "reason": "Needs somebody from operations"},
)
class ReturnTask(Command):
    """Only whoever has the task gives it back."""

    task: Identifier
    reason: _Note = ""


@command(
    privilege="task.work",
    room="13",
    summary="Finish a task",
    rules=("PLT-061", "CAL-079"),
    refusals=(*_REFUSALS, "REASON_REQUIRED"),
    example={"task": "TK-00000001", "reason": "Billing address added"},
)
class CompleteTask(Command):
    """Only whoever has the task finishes it. `reason` says what was done.

    A finished task of a failed generation lets the job generate the account's invoice again.
    """

    task: Identifier
    reason: _Note = ""


@command(
    privilege="task.assign",
    room="13",
    summary="Give a task to a user",
    rules=("PLT-061",),
    refusals=("ENTITY_NOT_FOUND", "STATE_INVALID", "REASON_REQUIRED"),
    example={"task": "TK-00000001", "user": "ben", "reason": "Ann is away"},
)
class ReassignTask(Command):
    """Whoever had it.

    decision: users are the identity provider's; that the user exists and is there is not checked.
    """

    task: Identifier
    user: Identifier
    reason: _Note = ""


@handles(ClaimTask)
def claim_task(command: ClaimTask, unit: UnitOfWork) -> Outcome:
    task = _workable(unit, command.task)
    return _done(unit, task, claim(task.state, unit.principal.identifier))


@handles(ReturnTask)
def return_task(command: ReturnTask, unit: UnitOfWork) -> Outcome:
    task = _workable(unit, command.task)
    return _done(unit, task, give_back(task.state, unit.principal.identifier, command.reason))


@handles(CompleteTask)
def complete_task(command: CompleteTask, unit: UnitOfWork) -> Outcome:
    task = _workable(unit, command.task)
    events = complete(task.state, unit.principal.identifier, command.reason, unit.now)
    follow = _COMPLETIONS.get(task.state.type)
    if follow is not None:
        follow(unit, task.state)
    return _done(unit, task, events)


@handles(ReassignTask)
def reassign_task(command: ReassignTask, unit: UnitOfWork) -> Outcome:
    task = _task(unit, command.task)
    return _done(unit, task, reassign(task.state, command.user, command.reason))


def _task(unit: UnitOfWork, number: str) -> Loaded[Task]:
    task = unit.load(TASK, number)
    if not task.version:
        raise refuse("ENTITY_NOT_FOUND", "there is no such task", pointer="/task")
    unit.expect_main(TASK, task, status=lambda state: state.state.value)
    return task


def _workable(unit: UnitOfWork, number: str) -> Loaded[Task]:
    task = _task(unit, number)
    if task.state.privilege not in unit.principal.privileges:
        raise refuse("FORBIDDEN", f"the task needs {task.state.privilege}", entity=task.identifier)
    return task


def _done(unit: UnitOfWork, task: Loaded[Task], events: list[object]) -> Outcome:
    after = unit.append(TASK, task.identifier, events)
    return Outcome(
        {
            "task": after.identifier,
            "state": after.state.state.value,
            "assignee": after.state.assignee,
            "version": after.version,
        }
    )
