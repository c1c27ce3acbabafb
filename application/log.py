"""The event log as readers see it: recorded events in a total, gap-proof order.

Writers append concurrently, so an event with a higher number may become visible before one with a lower number. The
order of the log is therefore (transaction, position), and a reader only ever sees transactions below the oldest one
still running: what it has read can no longer be overtaken. Outside, an event is named by its `position` alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from uuid import UUID


class LogPosition(NamedTuple):
    """A place in the log's order: all events up to and including it have been seen."""

    transaction: int
    position: int


START = LogPosition(0, 0)


class RecordedEvent(NamedTuple):
    """A stored event with its metadata (PLT-023). `event` is the domain event, already upcast."""

    position: int
    transaction: int
    stream: str
    stream_position: int
    type: str
    event: Any
    recorded_at: dt.datetime
    effective_date: dt.date | None
    event_id: UUID
    actor: str
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID | None

    @property
    def stream_type(self) -> str:
        """The kind of aggregate, the part of the stream id before the colon."""
        return self.stream.partition(":")[0]

    @property
    def identifier(self) -> str:
        """The aggregate's own number, the part of the stream id after the colon."""
        return self.stream.partition(":")[2]

    @property
    def place(self) -> LogPosition:
        return LogPosition(self.transaction, self.position)


@dataclass(frozen=True, slots=True)
class UnreadableEvent:
    """Stands in `RecordedEvent.event` for an event whose type or schema version this code does not know.

    A projection that would fold this type stops with an alert; the others go on (PLT-026).
    """

    type: str
    schema_version: int
    payload: bytes
    reason: str


class Page(NamedTuple):
    """Events in log order, and whether the read stopped at its limit, so that there may be more behind them."""

    events: Sequence[RecordedEvent]
    more: bool


class LogReader(Protocol):
    """Reads the log in order; safe against events that commit late."""

    def page(self, after: LogPosition, limit: int) -> Page:
        """Events behind `after`, in log order, up to `limit`, in which a large event counts as many: what a page takes
        of memory is bounded, though an event may carry thousands of lines. At least one, if there is any."""
        ...

    def read(self, after: LogPosition, limit: int) -> Sequence[RecordedEvent]:
        """The events of `page`. Empty: nothing readable yet."""
        ...

    def head(self) -> LogPosition:
        """The last readable place of the log now; START when the log is empty."""
        ...

    def place_of(self, position: int) -> LogPosition | None:
        """The place of the event with this position (or of the nearest one before it); None when there is none."""
        ...
