"""What jobs go through, from the register."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

import psycopg

from application.job_runs import StoredRun, Work
from application.register import Directory, JobWork
from domain.calendar.billing_calendars import BILLING_CALENDARS
from infrastructure.event_store.history import EventHistory
from infrastructure.postgres.database import Database

#: The one stream of the billing calendars.
INSTALLATION: Final = "installation"
SHIPPED_TIME: Final = dt.time(6, 0)


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
                    return found.active_accounts(after, limit, excluded, run.groups)
                case Work.FAILED_GENERATIONS:
                    assert run.progress.started_at is not None
                    return found.failed_generations(run.progress.started_at, after, limit, excluded)
                case Work.LOCKED_RECORDS:
                    return found.locked_records(run.accounts or None, after, limit, excluded)

    def latest_retry(self, now: dt.datetime) -> dt.datetime | None:
        with self._database.writing() as connection:
            return self._work(connection).latest_retry(now)

    def calendar_times(self) -> dict[tuple[str, str], dt.time]:
        with self._database.writing() as connection, connection.transaction():
            groups = self._work(connection).groups()
            states = EventHistory(connection).states(BILLING_CALENDARS, [INSTALLATION])
        calendars = states[INSTALLATION].state if INSTALLATION in states else BILLING_CALENDARS.initial
        found = {}
        for calendar, zone in groups:
            known = calendars.find(calendar) if calendar else None
            # decision: an account without a billing calendar is billed at the time the calendars are shipped with.
            found[calendar, zone] = dt.time.fromisoformat(known.execution_time) if known else SHIPPED_TIME
        return found

    def resolve(self, number: str) -> str | None:
        with self._database.writing() as connection:
            return self._directory(connection).resolve_account(number)
