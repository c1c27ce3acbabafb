"""Runs of jobs in the database, and the claim that lets one process at a time work on one.

Each process that takes a run up raises its fence by one and works under that number. It holds an advisory lock named by
run and number on a connection of its own, so that the run of a process that was killed is free at once; and it gives a
sign of life every few seconds, so that the run of one that hangs is taken over after a minute (PLT-055). Whoever lost
the run saves nothing any more, and what it still wants to commit of an item is refused (PLT-053).
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.types.json import Json

from application.job_runs import RunTakenOverError, StoredRun
from application.jobs import ControlAction, JobRun, RunState
from infrastructure.postgres.connection import StoreConnection
from infrastructure.postgres.database import Database

_logger: Final = logging.getLogger(__name__)

_COLUMNS: Final = (
    "run_id, job, state, run_date, trigger, selected, done, failed, skipped, last_item, started_at, ended_at, failures,"
    " saved_at, requested, began_at"
)
_LOCK_CLASS: Final = 7_246_004  # of advisory locks; arbitrary, the same everywhere
#: Seconds without a sign of life after which a run is taken over, and between two of them.
TAKEN_OVER_AFTER: Final = 60.0
HEARTBEAT: Final = 10.0

#: What an operator may ask for in which states; where no process has the run, it is so at once.
_CONTROL: Final = {
    ControlAction.PAUSE: "UPDATE job_run SET requested = CASE WHEN fence = 0 THEN NULL ELSE 'PAUSE' END,"
    " state = CASE WHEN fence = 0 THEN 'PAUSED' ELSE state END"
    " WHERE run_id = %(run)s AND state IN ('SCHEDULED', 'RUNNING')",
    ControlAction.RESUME: "UPDATE job_run SET requested = NULL,"
    " state = CASE WHEN fence = 0 THEN 'SCHEDULED' ELSE 'RUNNING' END"
    " WHERE run_id = %(run)s AND (state = 'PAUSED' OR requested = 'PAUSE')",
    ControlAction.CANCEL: "UPDATE job_run SET requested = CASE WHEN fence = 0 OR state = 'PAUSED' THEN NULL"
    " ELSE 'CANCEL' END, ended_at = CASE WHEN fence = 0 OR state = 'PAUSED' THEN %(now)s ELSE ended_at END,"
    " state = CASE WHEN fence = 0 OR state = 'PAUSED' THEN 'CANCELLED' ELSE state END"
    " WHERE run_id = %(run)s AND state IN ('SCHEDULED', 'RUNNING', 'PAUSED')",
}


class PostgresRuns:
    """The port `RunStore`."""

    def __init__(
        self, database: Database, *, taken_over_after: float = TAKEN_OVER_AFTER, heartbeat: float = HEARTBEAT
    ) -> None:
        self._database = database
        self._taken_over_after = dt.timedelta(seconds=taken_over_after)
        self._heartbeat = heartbeat

    def create(self, run: StoredRun, *, started_by: str, scheduled_for: dt.datetime | None = None) -> bool:
        """Keep a new run; False when a run of the job is active, or was started for this scheduled time."""
        progress = run.progress
        with self._database.writing() as connection:
            cursor = connection.execute(
                "INSERT INTO job_run (run_id, job, state, run_date, trigger, started_by, scheduled_for, accounts,"
                " excluded, groups, started_at, ended_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
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
                    None if run.groups is None else Json([list(group) for group in run.groups]),
                    progress.started_at,
                    progress.ended_at,
                ],
            )
            return cursor.rowcount == 1

    def find(self, run_id: UUID) -> JobRun | None:
        with self._database.writing() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM job_run WHERE run_id = %s", [run_id]).fetchone()
        return None if row is None else _run(row)

    def recent(self, job: str | None, state: RunState | None, before: UUID | None, limit: int) -> list[JobRun]:
        """Runs, the latest first, of a job and in a state if they are named, begun before a run if one is given."""
        query = (
            f"SELECT {_COLUMNS} FROM job_run WHERE (%(job)s::text IS NULL OR job = %(job)s)"
            " AND (%(state)s::text IS NULL OR state = %(state)s) AND (%(before)s::uuid IS NULL OR"
            " (started_at, run_id) < (SELECT started_at, run_id FROM job_run WHERE run_id = %(before)s))"
            " ORDER BY started_at DESC, run_id DESC LIMIT %(limit)s"
        )
        parameters = {"job": job, "state": state and state.value, "before": before, "limit": limit}
        with self._database.writing() as connection:
            rows = connection.execute(query, parameters).fetchall()
        return [_run(row) for row in rows]

    def control(self, run_id: UUID, action: ControlAction, now: dt.datetime) -> bool:
        """Note what an operator asks for; False when the run's state does not allow it."""
        with self._database.writing() as connection:
            return connection.execute(_CONTROL[action], {"run": run_id, "now": now}).rowcount == 1

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
                "UPDATE job_run SET state = 'RUNNING', ended_at = NULL, requested = NULL"
                " WHERE run_id = %s AND ended_at IS NOT NULL",
                [run_id],
            )
            return cursor.rowcount == 1

    @contextmanager
    def claim(self, run_id: UUID) -> Iterator[Claim | None]:
        with self._database.writing() as connection:
            stored = self._take(connection, run_id)
            if stored is None:
                yield None
                return
            stop = threading.Event()
            alive = threading.Thread(
                target=self._live, args=(run_id, stored.fence, stop), name=f"heartbeat {run_id}", daemon=True
            )
            alive.start()
            try:
                yield Claim(connection, stored)
            finally:
                stop.set()
                alive.join()
                if not connection.closed:
                    _unlock(connection, run_id, stored.fence)

    def _take(self, connection: StoreConnection, run_id: UUID) -> StoredRun | None:
        """The run, if its last process is dead or has not given a sign of life for long."""
        row = connection.execute(
            "SELECT fence, saved_at < clock_timestamp() - %s FROM job_run"
            " WHERE run_id = %s AND state IN ('SCHEDULED', 'RUNNING')",
            [self._taken_over_after, run_id],
        ).fetchone()
        if row is None:
            return None
        fence, silent = row
        dead = _locked(connection, run_id, fence)
        try:
            if not (dead or silent) or not _locked(connection, run_id, fence + 1):
                return None
            # The lock comes first: whoever reads the new number finds its process alive.
            taken = connection.execute(
                "UPDATE job_run SET fence = fence + 1, saved_at = clock_timestamp(),"
                " began_at = coalesce(began_at, clock_timestamp()) WHERE run_id = %s AND fence = %s"
                " AND (%s OR saved_at < clock_timestamp() - %s) AND state IN ('SCHEDULED', 'RUNNING')"
                f" RETURNING {_COLUMNS}, accounts, excluded, groups, fence",
                [run_id, fence, dead, self._taken_over_after],
            ).fetchone()
            if taken is None:
                _unlock(connection, run_id, fence + 1)
                return None
        finally:
            if dead:
                _unlock(connection, run_id, fence)
        accounts, excluded, groups, number = taken[-4:]
        return StoredRun(
            _run(taken[:-4]),
            tuple(accounts),
            frozenset(excluded),
            None if groups is None else tuple((calendar, zone) for calendar, zone in groups),
            number,
        )

    def _live(self, run_id: UUID, fence: int, stop: threading.Event) -> None:
        """Give signs of life until told to stop, or until the run is another process's."""
        while not stop.wait(self._heartbeat):
            try:
                with self._database.writing() as connection:
                    cursor = connection.execute(
                        "UPDATE job_run SET saved_at = clock_timestamp() WHERE run_id = %s AND fence = %s",
                        [run_id, fence],
                    )
                    if cursor.rowcount == 0:
                        return
            except Exception:
                _logger.exception("run %s: no sign of life could be given", run_id)


@dataclass(frozen=True, slots=True)
class Claim:
    """The port `ClaimedRun`: the connection that holds the lock, and the run as it stood when it was taken."""

    connection: StoreConnection
    stored: StoredRun

    def save(self, progress: JobRun) -> ControlAction | None:
        row = self.connection.execute(
            "UPDATE job_run SET state = %s, selected = %s, done = %s, failed = %s, skipped = %s, last_item = %s,"
            " ended_at = %s, failures = %s, saved_at = clock_timestamp(),"
            " requested = CASE WHEN %s IN ('SCHEDULED', 'RUNNING') THEN requested END"
            " WHERE run_id = %s AND fence = %s RETURNING requested",
            [
                progress.state.value,
                progress.selected,
                progress.done,
                progress.failed,
                Json(dict(progress.skipped)),
                progress.last_item,
                progress.ended_at,
                Json([list(failure) for failure in progress.failures]),
                progress.state.value,
                progress.run_id,
                self.stored.fence,
            ],
        ).fetchone()
        if row is None:
            raise RunTakenOverError(f"run {progress.run_id} is not worked on under {self.stored.fence} any more")
        return None if row[0] is None else ControlAction(row[0])


class PostgresFences:
    """The port `RunFences`, bound to a command's connection: the run's row stays what it is until the end of it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def holds(self, run_id: UUID, fence: int) -> bool:
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT fence = %s FROM job_run WHERE run_id = %s FOR SHARE", [fence, run_id])
            row = cursor.fetchone()
        return row is not None and bool(row[0])


def _locked(connection: StoreConnection, run_id: UUID, fence: int) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_LOCK_CLASS, f"{run_id} {fence}"])
    found = row.fetchone()
    return bool(found and found[0])


def _unlock(connection: StoreConnection, run_id: UUID, fence: int) -> None:
    connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [_LOCK_CLASS, f"{run_id} {fence}"])


def _run(row: tuple[Any, ...]) -> JobRun:
    run_id, job, state, run_date, trigger, selected, done, failed, skipped, last_item, started, ended, failures = row[
        :13
    ]
    saved_at, requested, began_at = row[13:]
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
        heartbeat_at=saved_at,
        requested=requested,
        forecast_at=_forecast(state, began_at, saved_at, selected - left, left),
    )


def _forecast(
    state: str, began_at: dt.datetime | None, saved_at: dt.datetime, taken: int, left: int
) -> dt.datetime | None:
    """When the run ends, if the rest takes as long as what it has taken; on the server's clock."""
    if state != RunState.RUNNING.value or began_at is None or taken <= 0:
        return None
    return saved_at + (saved_at - began_at) * left / taken
