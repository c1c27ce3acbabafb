"""Runs of jobs in the database, and the claim that lets one process at a time work on one.

A claim is an advisory lock of a connection of its own. It ends with the connection, so the run of a process that was
killed is free at once, and progress is saved on that connection: who lost the lock cannot save.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Json

from application.job_runs import StoredRun
from application.jobs import JobRun, RunState
from infrastructure.postgres.connection import StoreConnection
from infrastructure.postgres.database import Database

_COLUMNS: Final = (
    "run_id, job, state, run_date, trigger, selected, done, failed, skipped, last_item, started_at, ended_at, failures"
)
_LOCK_CLASS: Final = 7_246_004  # of advisory locks; arbitrary, the same everywhere


class PostgresRuns:
    """The port `RunStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, run: StoredRun, *, started_by: str, scheduled_for: dt.datetime | None = None) -> bool:
        """Keep a new run; False when a run of the job is active, or was started for this scheduled time."""
        progress = run.progress
        with self._database.writing() as connection:
            cursor = connection.execute(
                "INSERT INTO job_run (run_id, job, state, run_date, trigger, started_by, scheduled_for, accounts,"
                " excluded, started_at, ended_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                [
                    progress.run_id,
                    progress.job,
                    progress.state.value,
                    progress.run_date,
                    progress.trigger,
                    started_by,
                    scheduled_for,
                    list(run.accounts),
                    sorted(run.excluded),
                    progress.started_at,
                    progress.ended_at,
                ],
            )
            return cursor.rowcount == 1

    def find(self, run_id: UUID) -> JobRun | None:
        with self._database.writing() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM job_run WHERE run_id = %s", [run_id]).fetchone()
        return None if row is None else _run(row)

    def unfinished(self) -> list[UUID]:
        with self._database.writing() as connection:
            rows = connection.execute(
                "SELECT run_id FROM job_run WHERE state IN ('SCHEDULED', 'RUNNING') ORDER BY started_at, run_id"
            ).fetchall()
        return [row[0] for row in rows]

    def reopen(self, run_id: UUID) -> bool:
        """Have a run that has ended be worked on again from where it stands; False when it has not ended."""
        with self._database.writing() as connection:
            cursor = connection.execute(
                "UPDATE job_run SET state = 'RUNNING', ended_at = NULL WHERE run_id = %s AND ended_at IS NOT NULL",
                [run_id],
            )
            return cursor.rowcount == 1

    @contextmanager
    def claim(self, run_id: UUID) -> Iterator[Claim | None]:
        with self._database.writing() as connection:
            if not _locked(connection, run_id):
                yield None
                return
            try:
                row = connection.execute(
                    f"SELECT {_COLUMNS}, accounts, excluded FROM job_run"
                    " WHERE run_id = %s AND state IN ('SCHEDULED', 'RUNNING')",
                    [run_id],
                ).fetchone()
                yield (
                    None
                    if row is None
                    else Claim(connection, StoredRun(_run(row[:-2]), tuple(row[-2]), frozenset(row[-1])))
                )
            finally:
                if not connection.closed:
                    connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [_LOCK_CLASS, str(run_id)])


@dataclass(frozen=True, slots=True)
class Claim:
    """The port `ClaimedRun`: the connection that holds the lock, and the run as it stood when it was taken."""

    connection: StoreConnection
    stored: StoredRun

    def save(self, progress: JobRun) -> None:
        self.connection.execute(
            "UPDATE job_run SET state = %s, selected = %s, done = %s, failed = %s, skipped = %s, last_item = %s,"
            " ended_at = %s, failures = %s, saved_at = clock_timestamp() WHERE run_id = %s",
            [
                progress.state.value,
                progress.selected,
                progress.done,
                progress.failed,
                Json(dict(progress.skipped)),
                progress.last_item,
                progress.ended_at,
                Json([list(failure) for failure in progress.failures]),
                progress.run_id,
            ],
        )


def _locked(connection: StoreConnection, run_id: UUID) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_LOCK_CLASS, str(run_id)]).fetchone()
    return bool(row and row[0])


def _run(row: tuple[Any, ...]) -> JobRun:
    run_id, job, state, run_date, trigger, selected, done, failed, skipped, last_item, started, ended, failures = row
    # An account that becomes active while the run goes on is taken too: nothing is ever left below zero. And what a run
    # that ended was counted for and did not take needed nothing.
    whole = state in (RunState.COMPLETED, RunState.COMPLETED_WITH_EXCEPTIONS)
    left = 0 if whole else max(selected - done - failed - sum(skipped.values()), 0)
    return JobRun(
        run_id=run_id,
        job=job,
        state=RunState(state),
        run_date=run_date,
        trigger=trigger,
        selected=selected,
        done=done,
        failed=failed,
        left=left,
        skipped=skipped,
        last_item=last_item,
        started_at=started,
        ended_at=ended,
        failures=tuple((item, code) for item, code in failures),
    )
