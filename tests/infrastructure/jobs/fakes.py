"""Accounts and an executor for runs of jobs; what was executed is kept in the database, once for each key."""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

from application.clock import SystemClock, UuidSource
from application.command import CommandAnswer, CommandRequest, Principal
from application.dispatch import CommandRefused, Layer
from application.job_runs import JobDefinition, JobRuns, Starts, StoredRun, Work
from application.jobs import JobType
from domain.errors import Problem
from infrastructure.jobs.store import PostgresRuns
from infrastructure.postgres.database import Database

JOB = JobDefinition(
    JobType("Sweep", "Sweep"),
    "SweepAccount",
    payload=lambda run, account: {"account": account},
    skips=frozenset({"HELD"}),
    starts=Starts.DAILY,
    starts_at=dt.time(6),
)
#: The same, with a command that records what failed.
RECORDED = replace(JOB, type=JobType("Recorded", "Sweep"), starts=Starts.BY_HAND, on_failure="RecordFailure")
JOBS: Mapping[str, JobDefinition] = {"Sweep": JOB, "Recorded": RECORDED}
OPERATOR = Principal("USER", "olga", "console", frozenset({"job.run"}))

TABLE = "CREATE TABLE IF NOT EXISTS swept (key text PRIMARY KEY, account text NOT NULL)"


@dataclass(frozen=True, slots=True)
class FakeAccounts:
    """Accounts A001, A002, ..."""

    count: int

    def items(self, work: Work, run: StoredRun, after: str, limit: int) -> list[str]:
        return [account for account in self._all() if account > after and account not in run.excluded][:limit]

    def latest_retry(self, now: dt.datetime) -> dt.datetime | None:
        return None

    def calendar_times(self) -> dict[tuple[str, str], dt.time]:
        return {}

    def resolve(self, number: str) -> str | None:
        return number if number in self._all() else None

    def _all(self) -> list[str]:
        return [f"A{number:03}" for number in range(1, self.count + 1)]


@dataclass
class Sweeper:
    """Executes the command of an item; `faults` says what goes wrong at an account."""

    database: Database
    faults: Mapping[str, str] = field(default_factory=dict)
    die_at: str | None = None

    def execute(self, request: CommandRequest) -> CommandAnswer:
        account = str(request.payload["account"])
        fault = self.faults.get(account)
        if request.name == "RecordFailure":
            if account == self.die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            account, fault = f"{account} {request.payload['code']}", None
        if fault == "CRASH":
            raise RuntimeError("the network is gone")
        if fault is not None:
            raise CommandRefused(Layer.COMMAND_VALIDATION, [Problem(fault, fault)], uuid4(), uuid4())
        with self.database.writing() as connection:
            connection.execute(
                "INSERT INTO swept VALUES (%s, %s) ON CONFLICT DO NOTHING", [request.idempotency_key, account]
            )
        if account == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return CommandAnswer(str(uuid4()), {"account": account}, (), None)

    def swept(self) -> list[str]:
        with self.database.writing() as connection:
            rows = connection.execute("SELECT account FROM swept ORDER BY account").fetchall()
        return [row[0] for row in rows]


def runs_of(
    database: Database,
    sweeper: Sweeper,
    count: int,
    starter: Callable[[UUID], None] = lambda run: None,
    *,
    abort_after: int | None = None,
) -> JobRuns:
    """Runs over so many accounts."""
    with database.writing() as connection:
        connection.execute(TABLE)
    clock = SystemClock()
    return JobRuns(
        PostgresRuns(database),
        FakeAccounts(count),
        sweeper,
        clock,
        UuidSource(clock),
        starter,
        definitions=JOBS,
        abort_after=abort_after,
    )


if __name__ == "__main__":
    # A process that works on a run and is killed behind an item, or in front of the record of its failure: conninfo,
    # run id, accounts, the fatal account, and what goes wrong there.
    with Database(sys.argv[1]) as own:
        sweeper = Sweeper(own, dict.fromkeys(sys.argv[4:5], sys.argv[5]) if sys.argv[5:] else {}, sys.argv[4])
        runs_of(own, sweeper, int(sys.argv[3])).work(UUID(sys.argv[2]))
