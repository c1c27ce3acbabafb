"""The sandbox clock's offset in the database, so that every process of a non-production environment shows one time."""

from __future__ import annotations

import datetime as dt

from infrastructure.postgres.database import Database


class PostgresClockOffset:
    """Keeps the offset of `application.clock.MovableClock`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> dt.timedelta:
        """The offset; zero when the clock was never moved."""
        with self._database.writing() as connection:
            row = connection.execute("SELECT clock_offset FROM clock_offset").fetchone()
        return dt.timedelta() if row is None else row[0]

    def recorded_until(self) -> dt.datetime | None:
        """The latest instant of an event or of a checkpoint over events; None for an empty log."""
        with self._database.writing() as connection:
            row = connection.execute(
                "SELECT greatest((SELECT max(recorded_at) FROM event),"
                " (SELECT max(taken_at) FROM chain_checkpoint WHERE streams > 0))"
            ).fetchone()
        return None if row is None else row[0]

    def write(self, offset: dt.timedelta) -> None:
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO clock_offset (clock_offset) VALUES (%s)"
                " ON CONFLICT (only_row) DO UPDATE SET clock_offset = EXCLUDED.clock_offset",
                [offset],
            )
