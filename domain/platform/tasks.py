"""Tasks: work that waits for a person, offered in a queue until somebody takes it and finishes it (PLT-061, PLT-062).

A task is raised once for its cause, whatever comes of the same cause again, and closes by itself when the cause is
gone. Who finishes it says what was done; what that sets going again is the room's whose task it is.

    OPEN: claim, assignment -> CLAIMED: return -> OPEN, complete -> DONE; OPEN, CLAIMED: cause gone -> CANCELLED
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final

from domain.aggregate import Aggregate
from domain.errors import refuse
from domain.events import event


class TaskType(StrEnum):
    """What there is to do."""

    GENERATION_FAILED = "GENERATION_FAILED"
    REWRITE_DISCARD_FAILED = "REWRITE_DISCARD_FAILED"
    ROLL_ON_OVERDUE = "ROLL_ON_OVERDUE"
    WAIVER_EXPIRATION_FAILED = "WAIVER_EXPIRATION_FAILED"
    BALANCE_INCOMPLETE = "BALANCE_INCOMPLETE"
    WAIVER_OUT_OF_SCOPE = "WAIVER_OUT_OF_SCOPE"
    WAIVER_DATE_MISALIGNED = "WAIVER_DATE_MISALIGNED"
    HUB_EVENT_REFUSED = "HUB_EVENT_REFUSED"


class Queue(StrEnum):
    """Where tasks are offered (PLT-062)."""

    GENERATION_EXCEPTIONS = "GENERATION_EXCEPTIONS"
    ROLL_ON_LIST = "ROLL_ON_LIST"
    FAILED_OPERATIONS = "FAILED_OPERATIONS"
    BILLING_EXCEPTIONS = "BILLING_EXCEPTIONS"


class Priority(IntEnum):
    """How urgent a task is; a queue shows the highest first."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


@dataclass(frozen=True, slots=True)
class TaskKind:
    """What is the same for all tasks of a type. `privilege` is needed to work on one, beside that for tasks."""

    queue: Queue
    priority: Priority
    privilege: str


#: decision: an account that is not billed goes before a lock that Policy is to end.
KINDS: Final[Mapping[TaskType, TaskKind]] = MappingProxyType(
    {
        TaskType.GENERATION_FAILED: TaskKind(Queue.GENERATION_EXCEPTIONS, Priority.HIGH, "invoice.generate"),
        TaskType.REWRITE_DISCARD_FAILED: TaskKind(Queue.GENERATION_EXCEPTIONS, Priority.HIGH, "invoice.discard"),
        TaskType.ROLL_ON_OVERDUE: TaskKind(Queue.ROLL_ON_LIST, Priority.MEDIUM, "policytxn.rollon"),
        TaskType.WAIVER_EXPIRATION_FAILED: TaskKind(Queue.FAILED_OPERATIONS, Priority.MEDIUM, "waiver.manage"),
        TaskType.BALANCE_INCOMPLETE: TaskKind(Queue.BILLING_EXCEPTIONS, Priority.CRITICAL, "balance.verify"),
        TaskType.WAIVER_OUT_OF_SCOPE: TaskKind(Queue.BILLING_EXCEPTIONS, Priority.MEDIUM, "waiver.manage"),
        TaskType.WAIVER_DATE_MISALIGNED: TaskKind(Queue.BILLING_EXCEPTIONS, Priority.MEDIUM, "waiver.manage"),
        TaskType.HUB_EVENT_REFUSED: TaskKind(Queue.FAILED_OPERATIONS, Priority.HIGH, "payment.apply"),
    }
)


class TaskState(StrEnum):
    """State machine "Task"."""

    OPEN = "OPEN"
    CLAIMED = "CLAIMED"
    DONE = "DONE"
    CANCELLED = "CANCELLED"


@event()
class TaskRaised:
    """Something needs a person. `subject` is the object it concerns, `cause` what it is raised once for; `links` name
    further objects and figures by their kind. `account` is the one by whose scope it is seen."""

    task: str
    type: TaskType
    queue: Queue
    priority: Priority
    privilege: str
    subject: str
    account: str
    cause: str
    code: str
    reason: str
    links: Mapping[str, str]
    raised_at: dt.datetime


@event()
class TaskReminded:
    """The cause still stands on a later day, on which it was told again."""

    task: str
    day: dt.date
    reason: str


@event()
class TaskClaimed:
    """A user took the task out of its queue."""

    task: str
    user: str


@event()
class TaskReturned:
    """The task is offered to everybody again."""

    task: str
    reason: str


@event()
class TaskReassigned:
    """A supervisor gave the task to a user."""

    task: str
    user: str
    reason: str


@event()
class TaskCompleted:
    """The task was finished by a user, who says what was done."""

    task: str
    user: str
    note: str
    at: dt.datetime


@event()
class TaskCancelled:
    """The cause is gone without the task (PLT-061)."""

    task: str
    reason: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Task:
    """A task; `number` is empty before it was raised."""

    number: str = ""
    type: TaskType = TaskType.GENERATION_FAILED
    queue: Queue = Queue.GENERATION_EXCEPTIONS
    priority: Priority = Priority.MEDIUM
    privilege: str = ""
    subject: str = ""
    account: str = ""
    cause: str = ""
    state: TaskState = TaskState.OPEN
    assignee: str | None = None
    reminded_on: dt.date | None = None

    @property
    def pending(self) -> bool:
        """Whether it still waits for somebody."""
        return self.state in (TaskState.OPEN, TaskState.CLAIMED)


def evolve(state: Task, happened: object) -> Task:
    match happened:
        case TaskRaised():
            return Task(
                number=happened.task,
                type=happened.type,
                queue=happened.queue,
                priority=happened.priority,
                privilege=happened.privilege,
                subject=happened.subject,
                account=happened.account,
                cause=happened.cause,
                reminded_on=happened.raised_at.date(),
            )
        case TaskReminded():
            return replace(state, reminded_on=happened.day)
        case TaskClaimed() | TaskReassigned():
            return replace(state, state=TaskState.CLAIMED, assignee=happened.user)
        case TaskReturned():
            return replace(state, state=TaskState.OPEN, assignee=None)
        case TaskCompleted():
            return replace(state, state=TaskState.DONE, assignee=happened.user)
        case TaskCancelled():
            return replace(state, state=TaskState.CANCELLED)
        case _:
            raise TypeError(f"not an event of a task: {type(happened).__name__}")


TASK: Final = Aggregate("task", Task, Task(), evolve)


def claim(state: Task, user: str) -> list[object]:
    """Take a task; whoever has it already changes nothing. Refusals: STATE_INVALID, TASK_ALREADY_CLAIMED."""
    _require_pending(state)
    if state.state is TaskState.CLAIMED:
        _require_assignee(state, user)
        return []
    return [TaskClaimed(task=state.number, user=user)]


def give_back(state: Task, user: str, reason: str) -> list[object]:
    """Offer a task that the user has to everybody again. Refusals: STATE_INVALID, TASK_ALREADY_CLAIMED."""
    _require_claimed(state)
    _require_assignee(state, user)
    return [TaskReturned(task=state.number, reason=reason.strip())]


def complete(state: Task, user: str, note: str, now: dt.datetime) -> list[object]:
    """Finish a task that the user has. Refusals: STATE_INVALID, TASK_ALREADY_CLAIMED, REASON_REQUIRED.

    decision: what was done is always said; it is all that is left of the matter for whoever looks at it later.
    """
    _require_claimed(state)
    _require_assignee(state, user)
    if not note.strip():
        raise refuse("REASON_REQUIRED", "finishing a task needs a note of what was done", pointer="/reason")
    return [TaskCompleted(task=state.number, user=user, note=note.strip(), at=now)]


def reassign(state: Task, user: str, reason: str) -> list[object]:
    """Give a task to a user, whoever has it. Refusals: STATE_INVALID, REASON_REQUIRED."""
    _require_pending(state)
    if not reason.strip():
        raise refuse("REASON_REQUIRED", "giving a task to somebody needs a reason", pointer="/reason")
    if state.assignee == user:
        return []
    return [TaskReassigned(task=state.number, user=user, reason=reason.strip())]


def remind(state: Task, day: dt.date, reason: str) -> list[object]:
    """Tell again that the cause stands, once a day."""
    if not state.pending or (state.reminded_on is not None and state.reminded_on >= day):
        return []
    return [TaskReminded(task=state.number, day=day, reason=reason)]


def cancel(state: Task, reason: str, now: dt.datetime) -> list[object]:
    """Close a task whose cause is gone; one that is closed stays as it is."""
    return [TaskCancelled(task=state.number, reason=reason, at=now)] if state.pending else []


def _require_pending(state: Task) -> None:
    if not state.pending:
        raise refuse("STATE_INVALID", "the task is closed", entity=state.number, state=state.state.value)


def _require_claimed(state: Task) -> None:
    _require_pending(state)
    if state.state is not TaskState.CLAIMED:
        raise refuse("STATE_INVALID", "the task is claimed first", entity=state.number, state=state.state.value)


def _require_assignee(state: Task, user: str) -> None:
    if state.assignee != user:
        raise refuse("TASK_ALREADY_CLAIMED", "somebody else has the task", entity=state.number)
