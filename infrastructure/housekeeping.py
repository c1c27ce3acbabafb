"""What the store needs regularly: sealing the trail of commands, the daily checkpoint, forgetting old answers.

Every step may be done by any process and any number of times: a day has one checkpoint, a record is sealed once, an
answer is forgotten once. What a restart leaves undone, the next tick does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from application.clock import Clock
from infrastructure.event_store.verification import take_checkpoint
from infrastructure.postgres.audit_chain import seal_audit
from infrastructure.postgres.command_records import forget_old_answers
from infrastructure.postgres.database import Database


class Housekeeping:
    """Does what is due at each tick: sealing every time, the rest once a day (PLT-005, PLT-024, PLT-082)."""

    def __init__(self, database: Database, clock: Clock, *, purge: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._purge = purge
        self._done_on: dt.date | None = None

    def tick(self) -> None:
        """Seal what was recorded; on the first tick of a day also take its checkpoint, forget what is too old and
        drop the copies of read models that are no longer used."""
        seal_audit(self._database)
        now = self._clock.now()
        if self._done_on == now.date():
            return
        take_checkpoint(self._database, now.date(), now)
        forget_old_answers(self._database, now)
        self._purge()
        self._done_on = now.date()
