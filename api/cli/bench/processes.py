"""The service in another process, on the database of a measure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from api.settings import Settings
from api.wiring import System, look_for_garbage_rarely
from application.clock import MovableClock
from infrastructure.postgres.clock import PostgresClockOffset
from infrastructure.postgres.database import Database


@contextmanager
def system_on(conninfo: str) -> Iterator[System]:
    """A system on a database that another process has prepared; it shows that process's time."""
    look_for_garbage_rarely()  # as every serving process does
    database = Database(conninfo)
    with System(Settings(sandbox=True), database, MovableClock(PostgresClockOffset(database), production=False)) as one:
        yield one
