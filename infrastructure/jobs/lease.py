"""The lease by which one scheduler leads (PLT-053): for half a minute at a time, on the database's own clock.

A number rises with every change of the leader, so that operators see that it changed. Which process works on a run is
settled by the run's own number.
"""

from __future__ import annotations

from typing import Final
from uuid import uuid4

from infrastructure.postgres.database import Database

#: How long a lease lasts that is not renewed.
SECONDS: Final = 30

_TAKE: Final = """
INSERT INTO scheduler_lease AS held (holder, fence, ends_at)
VALUES (%(me)s, 1, clock_timestamp() + %(seconds)s * interval '1 second')
ON CONFLICT (only_row) DO UPDATE
   SET fence = held.fence + CASE WHEN held.holder = EXCLUDED.holder THEN 0 ELSE 1 END,
       holder = EXCLUDED.holder, ends_at = EXCLUDED.ends_at
 WHERE held.holder = EXCLUDED.holder OR held.ends_at < clock_timestamp()
RETURNING fence
"""


class SchedulerLease:
    """One scheduler's share in the lease; two objects are two schedulers."""

    def __init__(self, database: Database, *, seconds: float = SECONDS) -> None:
        self._database = database
        self._seconds = seconds
        self._me = str(uuid4())

    def leads(self) -> bool:
        """Take the lease or renew it; whether this scheduler leads."""
        with self._database.writing() as connection:
            row = connection.execute(_TAKE, {"me": self._me, "seconds": self._seconds}).fetchone()
        return row is not None
