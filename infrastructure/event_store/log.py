"""Reading the log in its order, safe against events that commit late.

The order is (transaction, position). A reader takes only events of transactions below the oldest one still running: no
event can ever appear in front of what it has read. A long write transaction anywhere on the server holds readers back
for as long as it runs, but never makes them miss an event; the limits of the connections bound that time.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from application.log import START, LogPosition, Page, RecordedEvent, UnreadableEvent
from domain.events import UnknownEventError
from infrastructure.event_store.codec import Decode, Decoders
from infrastructure.postgres.connection import Call, Row, Statement, StoreConnection
from projections.engine.garbage import no_garbage_collection

#: Events one page holds at most, whatever was asked for.
READ_LIMIT = 25_000
#: Rows fetched at once: before they are weighed, this many large events are in memory.
ROWS_AT_ONCE = 2_000
#: Bytes of payload up to which an event counts once; of those beyond, so many count as one event more. The lines of an
#: invoice or an allocation, which make most of a large payload, stand in it column by column, in 10 to 25 bytes each.
LIGHT = 4_096
BYTES_A_LINE = 10

_COLUMNS = (
    "position, transaction, stream, stream_position, type, payload, recorded_at, effective_date, event_id, actor,"
    " command_id, correlation_id, causation_id, schema_version"
)
_PAYLOAD = _COLUMNS.split(", ").index("payload")
_READABLE = "transaction < pg_snapshot_xmin(pg_current_snapshot())"
_READ = Statement(
    "log_read",
    f"SELECT {_COLUMNS} FROM event WHERE (transaction, position) > ($1::xid8, $2::bigint) AND {_READABLE}"
    " ORDER BY transaction, position LIMIT $3::int",
)
_HEAD = Statement(
    "log_head",
    f"SELECT transaction, position FROM event WHERE {_READABLE} ORDER BY transaction DESC, position DESC LIMIT 1",
)
_PLACE = Statement(
    "log_place",
    "SELECT transaction, position FROM event WHERE position <= $1::bigint ORDER BY position DESC LIMIT 1",
)
_IS_READABLE = Statement(
    "log_is_readable", f"SELECT EXISTS (SELECT FROM event WHERE position = $1::bigint AND {_READABLE})"
)
_FOREIGN = Statement(
    "log_foreign", "SELECT EXISTS (SELECT FROM event WHERE transaction >= pg_snapshot_xmax(pg_current_snapshot()))"
)
_STREAMS = Statement(
    "log_streams",
    f"SELECT {_COLUMNS} FROM event WHERE stream = ANY($1::text[]) AND recorded_at <= $2::timestamptz"
    " ORDER BY transaction, position",
)

_FOR_EVER = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)

#: Opens a connection for the time of one read, such as `Database.reading` or `Database.writing`.
Connections = Callable[[], AbstractContextManager[StoreConnection]]


class EventLog:
    """The log reader (application.log.LogReader) over PostgreSQL.

    An event whose type or version this code does not know comes as an `UnreadableEvent`, so that only those who need
    it stop (PLT-026).
    """

    _statement = _READ

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._decoders = _ForgivingDecoders()

    def page(self, after: LogPosition, limit: int) -> Page:
        """Events behind `after`, in log order, that together weigh `limit` (never more than READ_LIMIT)."""
        limit = min(limit, READ_LIMIT)
        events: list[RecordedEvent] = []
        weight = 0
        with self._connections() as connection:
            while weight < limit:
                wanted = min(limit - weight, ROWS_AT_ONCE)
                [rows] = connection.round_trip(Call(self._statement, [*after, wanted]))
                fitting = rows
                for index, row in enumerate(rows):
                    if weight >= limit:
                        fitting = rows[:index]
                        break
                    size = len(row[_PAYLOAD])
                    weight += 1 if size <= LIGHT else 1 + (size - LIGHT) // BYTES_A_LINE
                events += self._events(fitting)
                if len(rows) < wanted and fitting is rows:
                    return Page(events, False)
                after = events[-1].place
        return Page(events, True)

    def read(self, after: LogPosition, limit: int) -> Sequence[RecordedEvent]:
        """The events of `page`."""
        return self.page(after, limit).events

    def head(self) -> LogPosition:
        """The last readable place now; START when the log is empty."""
        with self._connections() as connection:
            [rows] = connection.round_trip(Call(_HEAD))
        return LogPosition(*rows[0]) if rows else START

    def place_of(self, position: int) -> LogPosition | None:
        """The place of the event with this position, or of the nearest one before it; None when there is none."""
        with self._connections() as connection:
            [rows] = connection.round_trip(Call(_PLACE, [position]))
        return LogPosition(*rows[0]) if rows else None

    def wait_readable(self, position: int, timeout: float = 2.0) -> bool:
        """Wait until the event with this position can be read; False when it still cannot after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            with self._connections() as connection:
                [[(readable,)]] = connection.round_trip(Call(_IS_READABLE, [position]))
            if readable or time.monotonic() >= deadline:
                return bool(readable)
            time.sleep(0.005)

    def is_foreign(self) -> bool:
        """Whether events carry transaction ids this server has not reached: the log was restored from a logical dump of
        another one. They would stay unreadable for long; such a log is carried over by export and load instead."""
        with self._connections() as connection:
            [[(foreign,)]] = connection.round_trip(Call(_FOREIGN))
        return bool(foreign)

    def streams(self, streams: Sequence[str], recorded_until: dt.datetime | None = None) -> list[RecordedEvent]:
        """All events of a few streams recorded up to an instant, that instant included (PLT-028), in log order."""
        with self._connections() as connection:
            [rows] = connection.round_trip(Call(_STREAMS, [list(streams), recorded_until or _FOR_EVER]))
            return self._events(rows)

    def _events(self, rows: Sequence[Row]) -> list[RecordedEvent]:
        decoders = self._decoders
        with no_garbage_collection():
            return [
                RecordedEvent(
                    position, transaction, stream, stream_position, name, decoders[name, version](payload),
                    recorded_at, effective_date, event_id, actor, command_id, correlation_id, causation_id,
                )
                for position, transaction, stream, stream_position, name, payload, recorded_at, effective_date,
                    event_id, actor, command_id, correlation_id, causation_id, version in rows
            ]  # fmt: skip


def head_call() -> Call:
    """The query for the last readable place, for a caller with a transaction of its own."""
    return Call(_HEAD)


class _ForgivingDecoders(Decoders):
    """Decoders that answer an unknown type or version with an `UnreadableEvent`."""

    def __missing__(self, key: tuple[str, int]) -> Decode:
        try:
            return super().__missing__(key)
        except UnknownEventError as error:
            reason = str(error)
            self[key] = decode = lambda payload: UnreadableEvent(*key, payload=payload, reason=reason)
            return decode
