"""Running jobs by hand: the port behind "run this job now" (PLT-051 to PLT-055).

A run has a job, a run date, a selection and a state; its progress is at most ten seconds old. Who runs them, how they
are scheduled and how they resume is the runner's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from application.command import Principal


class RunState(StrEnum):
    """State machine "Job run"."""

    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    COMPLETED_WITH_EXCEPTIONS = "COMPLETED_WITH_EXCEPTIONS"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


class ControlAction(StrEnum):
    """What operators do with a run (PLT-051)."""

    PAUSE = "PAUSE"
    RESUME = "RESUME"
    CANCEL = "CANCEL"


@dataclass(frozen=True, slots=True)
class JobType:
    """A job that may be run by hand. `privilege` is the job's own; `job.run` lets any job be run."""

    name: str
    summary: str
    privilege: str = "job.run"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to run. `run_date` None: today of each account; no `accounts`: all; an account both included and excluded
    is excluded (PLT-051)."""

    job: str
    run_date: dt.date | None = None
    accounts: tuple[str, ...] = ()
    excluded_accounts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobRun:
    """A run and its progress (PLT-055). Counts are items; `skipped` counts them by reason; `failures` names the first
    failed items with their code. `heartbeat_at` is when its process last gave a sign of life, `requested` what an
    operator has asked for that it has not come to yet, and `forecast_at` when it ends if it goes on as it does."""

    run_id: UUID
    job: str
    state: RunState
    run_date: dt.date | None
    trigger: str
    selected: int = 0
    done: int = 0
    failed: int = 0
    left: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    last_item: str | None = None
    started_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    failures: tuple[tuple[str, str], ...] = ()
    heartbeat_at: dt.datetime | None = None
    requested: str | None = None
    forecast_at: dt.datetime | None = None


class JobRunner(Protocol):
    """Starts runs and tells of them."""

    def jobs(self) -> Mapping[str, JobType]:
        """The jobs that may be run by hand, by name."""
        ...

    def start(self, request: RunRequest, principal: Principal) -> JobRun:
        """Start a run, or accept it to be started; the caller has checked the privilege.

        Raises Refusal: RUN_ALREADY_ACTIVE, BILLING_ACCOUNT_NOT_FOUND.
        """
        ...

    def run(self, run_id: UUID) -> JobRun | None:
        """A run with its progress; None when there is none of this id."""
        ...

    def control(self, run_id: UUID, action: ControlAction) -> JobRun | None:
        """Pause a run, go on with it, or cancel it; None when there is none of this id.

        A run that is worked on stops behind its present item. Raises Refusal: STATE_INVALID.
        """
        ...

    def recent(self, job: str | None, state: RunState | None, before: UUID | None, limit: int) -> list[JobRun]:
        """Runs, the latest first, of a job and in a state if they are named, begun before a run if one is given."""
        ...
