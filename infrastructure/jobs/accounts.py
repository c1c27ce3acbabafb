"""What jobs go through, from the register."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import psycopg

from application.job_runs import StoredRun, Work
from application.register import Directory, JobWork
from infrastructure.postgres.database import Database


class RegisterAccounts:
    """The port `Accounts`; `directory` and `work` bind the ports of those names to a connection."""

    def __init__(
        self,
        database: Database,
        directory: Callable[[psycopg.Connection[Any]], Directory],
        work: Callable[[psycopg.Connection[Any]], JobWork],
    ) -> None:
        self._database = database
        self._directory = directory
        self._work = work

    def items(self, work: Work, run: StoredRun, after: str, limit: int) -> list[str]:
        excluded = sorted(run.excluded)
        with self._database.writing() as connection:
            found = self._work(connection)
            match work:
                case Work.ACTIVE_ACCOUNTS:
                    return found.active_accounts(after, limit, excluded)
                case Work.FAILED_GENERATIONS:
                    assert run.progress.started_at is not None
                    return found.failed_generations(run.progress.started_at, after, limit, excluded)
                case Work.LOCKED_RECORDS:
                    return found.locked_records(run.accounts or None, after, limit, excluded)

    def latest_retry(self, now: dt.datetime) -> dt.datetime | None:
        with self._database.writing() as connection:
            return self._work(connection).latest_retry(now)

    def resolve(self, number: str) -> str | None:
        with self._database.writing() as connection:
            return self._directory(connection).resolve_account(number)
