"""The projector: the process that keeps the FOLLOWING projections up with the log.

It reads the log once and feeds all projections that stand at the same place. Any number of projectors may run, on any
machines and of any release: each projection is fed by one of them at a time, the one that holds its advisory lock, and
only by one whose code fits the live tables. When it goes away, however it goes, its connection and with it the lock go
too, and another one takes over within a second.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable

from projections.engine import catalogue
from projections.engine.advisory import lock_key, try_lock
from projections.engine.catalogue import Generation, State
from projections.engine.database import Connection, Connections, dedicated
from projections.engine.feeding import Feeding
from projections.engine.log_source import LogSource
from projections.engine.projection import Mode, Projection, ProjectionSet
from projections.engine.writer import PASSING, GenerationWriter, OvertakenError

_logger = logging.getLogger(__name__)

#: Seconds between looks at the log when nothing happens, unless a notification comes first.
POLL = 0.1
#: Seconds between attempts at the locks of projections that another projector feeds.
STANDBY = 0.5
#: Seconds before a new attempt after trouble with the database.
BACK_OFF = 1.0
#: Events read at once at most.
MOST_EVENTS = 20_000
#: Rows kept in memory from batch to batch, of all projections together; about a kilobyte each.
CACHED_ROWS = 200_000


class Projector:
    """Keeps the FOLLOWING projections of a set up with the log.

    `connections` opens a connection for as long as the projector works; `channel` is a notification channel that
    appenders may use to wake it earlier than by polling.
    """

    def __init__(
        self,
        projections: ProjectionSet,
        connections: Connections,
        log: LogSource,
        *,
        channel: str | None = None,
        poll: float = POLL,
        most_events: int = MOST_EVENTS,
    ) -> None:
        self._projections = {projection.name: projection for projection in projections.of(Mode.FOLLOWING)}
        self._connections = connections
        self._log = log
        self._channel = channel
        self._poll = poll
        self._most = most_events

    def run(self, stop: threading.Event) -> None:
        """Follow the log until `stop` is set; trouble with the database is waited out."""
        while not stop.is_set():
            try:
                with dedicated(self._connections) as connection:
                    self._follow(connection, stop)
            except PASSING as error:
                _logger.warning("projector interrupted: %s", type(error).__name__)
                stop.wait(BACK_OFF)
            except Exception:
                _logger.exception("projector failed; it begins again")
                stop.wait(BACK_OFF)

    def catch_up(self) -> int:
        """Feed until nothing readable is left, then return; the number of events read. For jobs and tests."""
        with dedicated(self._connections) as connection, _Following(self, connection) as following:
            following.take_locks()
            total = 0
            while read := following.round():
                total += read
            return total

    def _follow(self, connection: Connection, stop: threading.Event) -> None:
        if self._channel is not None:
            connection.execute(f'listen "{self._channel}"')
        with _Following(self, connection) as following:
            tried = -STANDBY
            while not stop.is_set():
                if time.monotonic() - tried >= STANDBY:
                    following.take_locks()
                    tried = time.monotonic()
                if following.round() == 0:
                    self._wait(connection, stop)

    def _wait(self, connection: Connection, stop: threading.Event) -> None:
        if self._channel is None:
            stop.wait(self._poll)
            return
        until = time.monotonic() + self._poll
        while (left := until - time.monotonic()) > 0 and not stop.is_set():
            if any(True for _ in connection.notifies(timeout=min(left, STANDBY), stop_after=1)):
                return


class _Following:
    """A projector at work on one connection: its locks and its writers, which end with the connection."""

    def __init__(self, projector: Projector, connection: Connection) -> None:
        self._projections: dict[str, Projection] = projector._projections
        self._definitions = {name: projection.definition for name, projection in self._projections.items()}
        self._connection = connection
        self._feeding = Feeding(projector._log.settled(), projector._most)
        self._locked: set[str] = set()
        self._writers: dict[str, GenerationWriter] = {}

    def __enter__(self) -> _Following:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._connection.closed:
            self._connection.execute("select pg_advisory_unlock_all()")

    def take_locks(self) -> None:
        """Try to become the one that feeds the projections of which another projector has been it so far."""
        for name, definition in self._definitions.items():
            if name not in self._locked:
                # Of the definition too: an older release must not keep a newer one from feeding its own tables.
                key = lock_key(f"follow {name} {definition}")
                if try_lock(self._connection, key):
                    self._locked.add(name)

    def round(self) -> int:
        """Feed every projection one batch; the number of events read."""
        self._attend(catalogue.live(self._connection).values())
        try:
            return self._feeding.round(self._writers.values())
        except OvertakenError:
            # Stopped, retried or replaced by an operator meanwhile; the next round sees how it is now.
            self._writers.clear()
            return 1

    def _attend(self, records: Iterable[Generation]) -> None:
        """Have a writer for exactly the live generations that run, fit this code and are locked."""
        wanted = {
            record.name: record
            for record in records
            if record.name in self._locked
            and record.state is State.RUNNING
            and record.definition == self._definitions[record.name]
        }
        for name, writer in list(self._writers.items()):
            record = wanted.get(name)
            if record is None or writer.failed or record.generation != writer.record.generation:
                del self._writers[name]
        for name, record in wanted.items():
            if name not in self._writers:
                self._writers[name] = GenerationWriter(
                    self._projections[name], record, self._connection, cache_limit=CACHED_ROWS // len(self._projections)
                )
