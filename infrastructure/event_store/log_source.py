"""The log as the projection engine needs it (projections.engine.LogSource): followed, or as one transaction sees it."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, cast

import psycopg

from application.log import START, LogPosition, LogReader
from infrastructure.event_store.log import _COLUMNS, Connections, EventLog
from infrastructure.postgres.connection import Call, Statement, StoreConnection

_READ_VISIBLE = Statement(
    "log_read_visible",
    f"SELECT {_COLUMNS} FROM event WHERE (transaction, position) > ($1::xid8, $2::bigint)"
    " ORDER BY transaction, position LIMIT $3::int",
)
_HEAD_VISIBLE = Statement(
    "log_head_visible", "SELECT transaction, position FROM event ORDER BY transaction DESC, position DESC LIMIT 1"
)


class PostgresLogSource:
    """Opens readers of the log. `connections` gives them one for each read, such as `Database.writing`."""

    def __init__(self, connections: Connections) -> None:
        self._settled = EventLog(connections)

    def settled(self) -> LogReader:
        """A reader that never skips an event."""
        return self._settled

    def visible(self, connection: psycopg.Connection[Any]) -> LogReader:
        """A reader of all that the connection's present transaction sees; the connection is a StoreConnection."""
        return _VisibleLog(cast(StoreConnection, connection))


class _VisibleLog(EventLog):
    """The log without the horizon that protects followers: for a moment in which nobody appends."""

    _statement = _READ_VISIBLE

    def __init__(self, connection: StoreConnection) -> None:
        super().__init__(lambda: nullcontext(connection))

    def head(self) -> LogPosition:
        with self._connections() as connection:
            [rows] = connection.round_trip(Call(_HEAD_VISIBLE))
        return LogPosition(*rows[0]) if rows else START
