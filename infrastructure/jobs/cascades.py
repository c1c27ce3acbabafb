"""What the run of a cascade goes through: the accounts it starts anew, then the records it concerns, then its end.

Records are read a portion at a time and judged together, so that those the cascade does not concern cost no command and
memory does not grow with the policy. The last word on a record has its step, under the record's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import psycopg

from application.cascade_results import Cascades
from application.cascade_runs import ACCOUNT, END, RECORD
from application.job_runs import StoredRun
from domain.members.cascade import Judgement, judge
from domain.members.cascade_run import CASCADE, CASCADE_RECORD, Cascade, CascadeRecord, record_id
from domain.members.record import MEMBER_RECORD
from domain.products.master_policy import MASTER_POLICY
from infrastructure.event_store.history import EventHistory
from infrastructure.postgres.connection import StoreConnection
from infrastructure.postgres.database import Database

#: Records read at once.
PORTION: Final = 500


class CascadeItems:
    """The port `Items` of cascades; `found` binds the port `Cascades` to a connection."""

    def __init__(self, database: Database, found: Callable[[psycopg.Connection[Any]], Cascades]) -> None:
        self._database = database
        self._found = found

    def running(self) -> list[str]:
        """Cascades that have not ended."""
        with self._database.writing() as connection:
            return self._cascades(connection).running()

    def count(self, run: StoredRun) -> int:
        """All records of the policy, those included that the cascade does not concern; the accounts, and the end."""
        cascade = self._cascade(run)
        with self._database.writing() as connection:
            return len(cascade.accounts) + self._cascades(connection).size_of(cascade.transaction.master_policy) + 1

    def behind(self, run: StoredRun, after: str) -> Iterator[str]:
        """Ascending within accounts and within records.

        Records are gone through twice: one that was enrolled meanwhile, behind those already passed, is found the
        second time, when all others have their result.
        """
        cascade = self._cascade(run)
        kind, _, last = after.partition(" ")
        if kind in ("", ACCOUNT):
            yield from (f"{ACCOUNT} {number}" for number in cascade.accounts if number > last)
        if after != END:
            yield from self._records(cascade, last if kind == RECORD else "")
            yield from self._records(cascade, "")
            yield END

    def _cascade(self, run: StoredRun) -> Cascade:
        identifier = str(run.progress.run_id)
        with self._database.writing() as connection:
            return EventHistory(connection).states(CASCADE, [identifier])[identifier].state

    def _records(self, cascade: Cascade, after: str) -> Iterator[str]:
        policy = cascade.transaction.master_policy
        while True:
            with self._database.writing() as connection:
                portion = self._cascades(connection).without_result(cascade.identifier, policy, after, PORTION)
                concerned = _concerned(EventHistory(connection), cascade, portion)
            yield from (f"{RECORD} {number}" for number in concerned)
            if not portion:
                return
            after = portion[-1]

    def _cascades(self, connection: StoreConnection) -> Cascades:
        connection.scratch.clear()  # what was read on this connection before may be of another generation
        return self._found(connection)


def _concerned(history: EventHistory, cascade: Cascade, portion: list[str]) -> list[str]:
    """The records of a portion that need a step: to be reached, skipped, or to wait behind what is to be undone."""
    if not portion:
        return []
    policy = cascade.transaction.master_policy
    expiration = history.states(MASTER_POLICY, [policy])[policy].state.expiration_date
    members = history.states(MEMBER_RECORD, portion)
    own = _records_of(history, cascade.identifier, portion)
    undone = {} if cascade.undone is None else _records_of(history, cascade.undone, portion)
    none = CascadeRecord()
    return [
        number
        for number in portion
        if judge(cascade.transaction_of(own.get(number, none), number), members[number].state, expiration)
        is not Judgement.NOT_INCLUDED
        or undone.get(number, none).waits
    ]


def _records_of(history: EventHistory, cascade: str, portion: list[str]) -> dict[str, CascadeRecord]:
    named = {record_id(cascade, number): number for number in portion}
    return {named[name]: loaded.state for name, loaded in history.states(CASCADE_RECORD, named).items()}
