"""The event store as a recorder of the `eventsourcing` library, so that the library's tools work on our log.

The table, the order of the log and the hash chain are ours. A stored event's topic is `Type/version`, its state the
payload as stored; a notification's id is the event's position. The library expects positions in their own order and no
late comers among them; where a position is missing, the recorder first waits for the writers that may still fill it.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from threading import Thread
from typing import Any
from uuid import UUID

from eventsourcing.persistence import (
    IntegrityError,
    ListenNotifySubscription,
    Notification,
    StoredEvent,
    Subscription,
)
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg import Connection, RawCursor
from psycopg.rows import tuple_row

from application.clock import Clock, SystemClock, UuidSource
from infrastructure.event_store import streams as stream_store
from infrastructure.event_store.append import INSERT_UP_TO, NewEvent, insert_call
from infrastructure.event_store.hash_chain import Hasher, Origin, StreamName
from infrastructure.event_store.streams import NO_HEAD, Head
from infrastructure.postgres.connection import Call, Row

_STORED = "stream, stream_position, type || '/' || schema_version, payload::text"
_MICROSECOND = dt.timedelta(microseconds=1)


class EventLogRecorder(PostgresApplicationRecorder):
    """Records and selects in the `event` table. The datastore's originator ids are text; migrations make the table."""

    #: How long, in seconds, `select_notifications` waits for writers that hold lower positions.
    patience = 5.0

    def __init__(
        self,
        datastore: PostgresDatastore,
        *,
        events_table_name: str = "event",
        clock: Clock | None = None,
        ids: UuidSource | None = None,
    ) -> None:
        if events_table_name != "event":
            raise ValueError("the log's table is named event")
        if datastore.originator_id_type != "text":
            raise ValueError("stream ids are text")
        super().__init__(datastore, events_table_name=events_table_name)
        self._clock = clock or SystemClock()
        self._ids = ids or UuidSource(self._clock)

    def create_table(self) -> None:
        """Nothing to do: the table comes with the migrations."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Append events of any number of streams in one transaction; their positions.

        `origin` may be given (infrastructure.event_store.hash_chain.Origin); else the library itself is the actor.
        Raises IntegrityError when a stream position is taken or would leave a gap.
        """
        if not stored_events:
            return []
        origin = kwargs.get("origin") or self._own_origin()
        with self.datastore.get_connection() as connection, connection.transaction():
            heads = self._heads(connection, {str(event.originator_id) for event in stored_events})
            latest = max((head.recorded_at for head in heads.values()), default=NO_HEAD.recorded_at)
            recorded_at = max(self._clock.now(), latest + _MICROSECOND)
            after = max((head.transaction for head in heads.values()), default=0)
            rows = self._chained(stored_events, heads, origin, recorded_at)
            positions: list[int] = []
            for start in range(0, len(rows), INSERT_UP_TO):
                call = insert_call(origin, recorded_at, rows[start : start + INSERT_UP_TO], after)
                positions += [row[0] for row in _run(connection, call)]
            return positions

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """The events of one stream, by position in it."""
        query = (
            f"SELECT {_STORED} FROM event WHERE stream = $1::text AND stream_position > $2::int"
            f" AND stream_position <= $3::int ORDER BY stream_position {'DESC' if desc else 'ASC'} LIMIT $4::bigint"
        )
        highest = 2**31 - 1
        parameters = [str(originator_id), gt or 0, highest if lte is None else min(lte, highest), limit]
        with self.datastore.get_connection() as connection, _cursor(connection) as cursor:
            rows = cursor.execute(query, parameters).fetchall()
        return [StoredEvent(stream, position, topic, payload.encode()) for stream, position, topic, payload in rows]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """The events from a position on, in the order of positions, such that none can appear among them later."""
        behind = 0 if start is None else start - 1 if inclusive_of_start else start
        with self.datastore.get_connection() as connection, _cursor(connection) as cursor:
            deadline = time.monotonic() + self.patience
            while True:
                found = self._select(cursor, behind, limit, stop, topics)
                last = found[-1].id if found else behind
                if self._without_gap(cursor, behind, last) or self._writers_ended(cursor, deadline):
                    # What was missing a moment ago is there by now, or will never be.
                    return [n for n in self._select(cursor, behind, limit, stop, topics) if n.id <= last]
                if time.monotonic() >= deadline:
                    return self._before_gap(cursor, behind, found)

    def max_notification_id(self) -> int | None:
        """The highest position; None for an empty log."""
        with self.datastore.get_connection() as connection, _cursor(connection) as cursor:
            row = cursor.execute("SELECT max(position) FROM event").fetchone()
        return None if row is None else row[0]

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[PostgresApplicationRecorder]:
        """Follow the log; looks for new events twenty times a second, since writers do not notify."""
        return PollingSubscription(recorder=self, gt=gt, topics=topics)

    def _own_origin(self) -> Origin:
        command_id = self._ids.new()
        return Origin("JOB", "eventsourcing", "eventsourcing", "LIBRARY", None, command_id, command_id, None)

    def _heads(self, connection: Connection[Any], streams: set[str]) -> dict[str, Head]:
        rows = _run(connection, stream_store.heads_call(sorted(streams)))
        return {
            stream: Head(position, digest, recorded, int(transaction))
            for stream, position, digest, recorded, transaction in rows
        }

    def _chained(
        self,
        stored_events: Sequence[StoredEvent],
        heads: dict[str, Head],
        origin: Origin,
        recorded_at: dt.datetime,
    ) -> list[NewEvent]:
        hasher, day = Hasher(origin, recorded_at), self._clock.now().date()
        heads = dict(heads)
        rows = []
        for event, event_id in zip(stored_events, self._ids.texts(len(stored_events)), strict=True):
            stream = str(event.originator_id)
            head = heads.get(stream, NO_HEAD)
            if event.originator_version != head.stream_position + 1:
                raise IntegrityError(
                    f"{stream} stands at {head.stream_position}, not before {event.originator_version}"
                )
            name, _, version = event.topic.partition("/")
            digest = hasher.hash(
                head.hash,
                StreamName.of(stream),
                event.originator_version,
                name.encode(),
                int(version),
                event_id.encode(),
                day.isoformat().encode(),
                event.state,
            )
            heads[stream] = head._replace(stream_position=event.originator_version, hash=digest)
            rows.append(
                NewEvent(
                    stream, event.originator_version, name, int(version), event_id, day, head.hash, digest, event.state
                )
            )
        return rows

    def _select(
        self, cursor: RawCursor[Row], behind: int, limit: int, stop: int | None, topics: Sequence[str]
    ) -> list[Notification]:
        query = (
            f"SELECT position, {_STORED} FROM event WHERE position > $1::bigint AND position <= $2::bigint"
            " AND ($3::text[] IS NULL OR type || '/' || schema_version = ANY($3::text[]))"
            " ORDER BY position LIMIT $4::bigint"
        )
        highest = 2**63 - 1 if stop is None else stop
        rows = cursor.execute(query, [behind, highest, list(topics) or None, limit]).fetchall()
        return [
            Notification(
                id=position, originator_id=stream, originator_version=version, topic=topic, state=payload.encode()
            )
            for position, stream, version, topic, payload in rows
        ]

    def _without_gap(self, cursor: RawCursor[Row], behind: int, last: int) -> bool:
        """Whether every position behind `behind` up to `last` is there."""
        query = "SELECT count(*) FROM event WHERE position > $1::bigint AND position <= $2::bigint"
        row = cursor.execute(query, [behind, last]).fetchone()
        return row is not None and row[0] == last - behind

    def _writers_ended(self, cursor: RawCursor[Row], deadline: float) -> bool:
        """Wait until all transactions running now have ended. A writer takes its transaction id before a position, so
        whoever holds a position lower than one that can be seen is among them."""
        query = (
            "SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint FROM pg_current_snapshot() s"
        )
        row = cursor.execute(query).fetchone()
        assert row is not None
        oldest, newest = row
        while oldest < newest and time.monotonic() < deadline:
            time.sleep(0.002)
            row = cursor.execute(query).fetchone()
            assert row is not None
            oldest = row[0]
        return bool(oldest >= newest)

    def _before_gap(self, cursor: RawCursor[Row], behind: int, found: Sequence[Notification]) -> Sequence[Notification]:
        """Those of `found` in front of the first missing position."""
        return [n for n in found if self._without_gap(cursor, behind, n.id)]


class OfTheLibrary(EventLogRecorder):
    """The recorder as the library's factory makes it, which names the table after the application; the name is ours."""

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str = "event") -> None:
        super().__init__(datastore)


class PollingSubscription(ListenNotifySubscription[EventLogRecorder]):
    """A subscription that looks for new events by itself."""

    interval = 0.05

    def __init__(self, recorder: EventLogRecorder, gt: int | None = None, topics: Sequence[str] = ()) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._poll_thread = Thread(target=self._poll, daemon=True)
        self._poll_thread.start()

    def __exit__(self, *args: object, **kwargs: Any) -> None:
        try:
            super().__exit__(*args, **kwargs)
        finally:
            self._poll_thread.join()

    def _poll(self) -> None:
        while not self._has_been_stopped:
            self._has_been_notified.set()
            time.sleep(self.interval)


def _cursor(connection: Connection[Any]) -> RawCursor[Row]:
    return RawCursor(connection, row_factory=tuple_row)


def _run(connection: Connection[Any], call: Call) -> list[Row]:
    """Run a call on the library's connection; the first parameter of an insert, a transaction id, goes as text."""
    first, *others = call.parameters
    parameters = [str(first) if isinstance(first, int) else first, *others]
    with _cursor(connection) as cursor:
        return cursor.execute(call.statement.sql, parameters).fetchall()
