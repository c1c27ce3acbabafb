"""Reading: one snapshot in which every read model stands still, and what a caller may know about its age (PLT-071).

A session sees the live generation of each projection as it is at one instant; a rebuild that switches meanwhile is seen
by the next one. Queries ask the session for the name of a table, never for a generation. A caller that wants to read
its own writes names the position its command was answered with; the session opens when the projections concerned have
reached it.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from psycopg.rows import dict_row, tuple_row

from application.clock import Clock
from application.log import LogPosition, LogReader
from domain.errors import refuse
from projections.engine import catalogue
from projections.engine.catalogue import Generation
from projections.engine.database import Connection, Connections
from projections.engine.log_source import LogSource
from projections.engine.projection import Mode, ProjectionSet

#: Milliseconds a query waits for `min_position` unless it says otherwise, and at most.
DEFAULT_WAIT: Final = 2_000
LONGEST_WAIT: Final = 10_000
#: A position that no event will ever have.
_BEYOND: Final = 2**62
#: Seconds between looks while waiting.
_LOOK: Final = 0.02


class ReadSession:
    """One snapshot of the read models. Valid inside the `with` that opened it."""

    def __init__(
        self,
        connection: Connection,
        live: Mapping[str, Generation],
        names: tuple[str, ...],
        log: LogSource,
        clock: Clock,
    ) -> None:
        self.connection = connection
        self.as_of: dt.datetime = clock.now()
        self._live = live
        self._names = names
        self._log = log
        self._age: tuple[int, int] | None = None

    def table(self, projection: str, table: str) -> str:
        """The quoted name of a read model's table, to be put into a query."""
        return f'"{self._live[projection].schema}"."{table}"'

    def generation(self, projection: str) -> Generation:
        """The live generation of a projection."""
        return self._live[projection]

    def fetch(self, query: str, parameters: Any = ()) -> list[dict[str, Any]]:
        """The rows of a query."""
        return self.connection.cursor(row_factory=dict_row).execute(query, parameters).fetchall()

    @property
    def position(self) -> int:
        """The position the session's projections have all reached: the highest event they hold."""
        return self._position_and_lag()[0]

    @property
    def lag_ms(self) -> int:
        """How long ago the oldest event was recorded that one of the session's projections does not hold; 0: none."""
        return self._position_and_lag()[1]

    def _position_and_lag(self) -> tuple[int, int]:
        if self._age is None:
            following = [self._live[name] for name in self._names if self._live[name].mode is Mode.FOLLOWING]
            if following:
                last = min(following, key=lambda record: record.place)
                self._age = last.highest, lag_of(self._log.settled(), last.place, self.as_of)
            else:
                self._age = highest_of(self._log.visible(self.connection)), 0
        return self._age


class ReadModels:
    """Opens sessions over the read models. `connections` may be those of a read replica."""

    def __init__(self, projections: ProjectionSet, connections: Connections, log: LogSource, clock: Clock) -> None:
        self._projections = projections
        self._connections = connections
        self._log = log
        self._clock = clock

    @contextmanager
    def session(
        self, *names: str, min_position: int | None = None, wait_ms: int = DEFAULT_WAIT
    ) -> Iterator[ReadSession]:
        """A session over the named projections (none: all).

        With `min_position` it opens when they all hold the event of that position; it waits for that up to `wait_ms`
        (0 to 10,000). Raises Refusal PROJECTION_BEHIND, SERVICE_UNAVAILABLE for a projection yet to be built, and
        REQUEST_INVALID for a wait out of range.
        """
        wanted = names or tuple(self._projections)
        if not 0 <= wait_ms <= LONGEST_WAIT:
            raise refuse("REQUEST_INVALID", f"A query waits 0 to {LONGEST_WAIT} milliseconds.", pointer="/wait_ms")
        with self._connections() as connection:
            if min_position is not None:
                self._wait(connection, wanted, min_position, wait_ms)
            with connection.transaction():
                with connection.pipeline():
                    connection.execute("set transaction isolation level repeatable read, read only")
                    cursor = connection.cursor(row_factory=tuple_row).execute(catalogue.LIVE_QUERY)
                    live = {record.name: record for record in map(catalogue.generation_of, cursor.fetchall())}
                _require(live, wanted)
                yield ReadSession(connection, live, wanted, self._log, self._clock)

    def highest(self) -> int:
        """The position of the newest event there is, which the models that are folded with it hold already."""
        with self._connections() as connection, connection.transaction():
            return highest_of(self._log.visible(connection))

    def _wait(self, connection: Connection, names: Iterable[str], position: int, wait_ms: int) -> None:
        """Return when all projections hold the event of the position."""
        until = time.monotonic() + wait_ms / 1000
        names = tuple(names)
        while True:
            with connection.transaction():
                reached = self._reached(connection, names, position)
            if reached is None:
                return
            if time.monotonic() >= until:
                raise refuse(
                    "PROJECTION_BEHIND", "The read model has not reached the position yet.",
                    position=reached, min_position=position,
                )  # fmt: skip
            time.sleep(_LOOK)

    def _reached(self, connection: Connection, names: tuple[str, ...], position: int) -> int | None:
        """None when all projections hold the event of the position, else the position they hold."""
        live = catalogue.live(connection)
        _require(live, names)
        reader = self._log.visible(connection)
        place = reader.place_of(position)
        if place is None or place.position != position:
            # Not visible here (yet), or a number that no event has: then everything there is must have been seen.
            place = reader.head()
            if place.position < position:
                return min(
                    [live[name].highest for name in names if live[name].mode is Mode.FOLLOWING] or [place.position]
                )
        behind = [
            live[name].highest for name in names if live[name].mode is Mode.FOLLOWING and live[name].place < place
        ]
        return min(behind) if behind else None


def highest_of(reader: LogReader) -> int:
    """The highest position there is; 0 in an empty log. It need not be that of the last event in log order."""
    place = reader.place_of(_BEYOND)
    return 0 if place is None else place.position


def lag_of(reader: LogReader, place: LogPosition, now: dt.datetime) -> int:
    """Milliseconds since the first event behind the place was recorded; 0 when there is none."""
    if reader.head() <= place:
        return 0
    following = reader.read(place, 1)
    if not following:
        return 0
    return max(round((now - following[0].recorded_at).total_seconds() * 1000), 0)


def _require(live: Mapping[str, Generation], names: Iterable[str]) -> None:
    for name in names:
        if name not in live:
            raise refuse("SERVICE_UNAVAILABLE", "The read model is yet to be built.", projection=name)
