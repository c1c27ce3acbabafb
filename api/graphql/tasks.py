"""Tasks for people: the queues, and one task (PLT-061, PLT-062)."""

from __future__ import annotations

import datetime as dt
from enum import Enum
from typing import Any

import strawberry

from api.graphql.guard import read
from api.graphql.paging import DEFAULT_PAGE, After, Connection, First, page
from api.graphql.scalars import Payload, Position
from domain.errors import Problem, refuse_if_any
from domain.platform.tasks import Priority, Queue, TaskState, TaskType
from projections.register.task_reads import TASKS, find_task


@strawberry.type(description="Work that waits for a person, or waited for one (PLT-061).")
class Task:
    number: strawberry.ID = strawberry.field(description="Its number.")
    type: str = strawberry.field(description="What there is to do.")
    queue: str = strawberry.field(description="The queue that offers it.")
    priority: str = strawberry.field(description="LOW, MEDIUM, HIGH or CRITICAL.")
    privilege: str = strawberry.field(description="The privilege it needs beside `task.work`.")
    state: str = strawberry.field(description="OPEN, CLAIMED, DONE or CANCELLED.")
    subject: str = strawberry.field(description="What it concerns.")
    account: str = strawberry.field(description="The account by whose scope it is seen.")
    code: str = strawberry.field(description="The cause, as a code.")
    reason: str = strawberry.field(description="The cause, in words.")
    links: Payload = strawberry.field(description="Further objects and figures by their kind.")
    assignee: str | None = strawberry.field(description="The user who has it.")
    raised_at: dt.datetime = strawberry.field(description="Since when it waits.")
    reminded_on: dt.date | None = strawberry.field(description="The last day its cause was told again.")
    closed_at: dt.datetime | None = strawberry.field(description="When it was finished, or its cause was gone.")
    closed_by: str | None = strawberry.field(description="The user who finished it; null: its cause went.")
    note: str | None = strawberry.field(description="What was done, or why it closed by itself.")


def _task(row: dict[str, Any]) -> Task:
    return Task(
        number=strawberry.ID(row["task"]),
        type=row["type"],
        queue=row["queue"],
        priority=Priority(row["priority"]).name,
        privilege=row["privilege"],
        state=row["state"],
        subject=row["subject"],
        account=row["account"],
        code=row["code"],
        reason=row["reason"],
        links=Payload(row["links"]),
        assignee=row["assignee"],
        raised_at=row["raised_at"],
        reminded_on=row["reminded_on"],
        closed_at=row["closed_at"],
        closed_by=row["closed_by"],
        note=row["note"],
    )


@strawberry.type
class TaskQueries:
    """The root fields of tasks."""

    @read("task.view", "Tasks, most urgent and oldest first; without a state those that wait for somebody.")
    def tasks(
        self,
        info: strawberry.Info,
        first: First = DEFAULT_PAGE,
        after: After = None,
        state: str | None = None,
        queue: str | None = None,
        type: str | None = None,
        priority: str | None = None,
        assignee: str | None = None,
        account: str | None = None,
        raised_before: dt.datetime | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> Connection[Task]:
        _check(state=(state, TaskState), queue=(queue, Queue), type=(type, TaskType), priority=(priority, Priority))
        scope = info.context.principal.scope
        parameters = {
            "state": state,
            "queue": queue,
            "type": type,
            "priority": None if priority is None else int(Priority[priority]),
            "assignee": assignee,
            "account": account,
            "raised_before": raised_before,
            "scope": None if scope is None else list(scope),
        }
        return page(info.context, TASKS, parameters, first, after, _task)

    @read("task.view", "One task by its number, whatever became of it; null when there is none.")
    def task(
        self, info: strawberry.Info, number: str, min_position: Position | None = None, wait_ms: int | None = None
    ) -> Task | None:
        row = find_task(info.context.reads, number)
        return None if row is None else _task(row)


def _check(**filters: tuple[str | None, type[Enum]]) -> None:
    """Raises REQUEST_INVALID with every filter whose value is none of its choices (PLT-069)."""
    refuse_if_any(
        [
            Problem("REQUEST_INVALID", f"there is no such {name}", pointer=f"/{name}")
            for name, (value, choices) in filters.items()
            if value is not None and value not in choices.__members__
        ]
    )
