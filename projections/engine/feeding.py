"""One read of the log for many generations: those that stand at the same place are fed from the same batch.

A laggard (a retried projection, a copy being rebuilt) is read for separately until it has caught up with the others;
from then on it shares their reads. A generation that fails leaves the round alone.

With a `background` executor the next events are read while these are being folded. What was read ahead is used if the
next batch begins where it begins; a generation that failed, or was held at a bound, wants other events.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future

from application.log import LogPosition, LogReader, RecordedEvent
from projections.engine.garbage import no_garbage_collection
from projections.engine.writer import GenerationWriter

#: Seconds a batch should take at most: as long as its transaction is open, the settled horizon of the log stands still.
LONGEST_BATCH = 0.5
#: Events read at once at the beginning, unless told otherwise, and at least.
SHORT_BATCH = 1_000


class Feeding:
    """Feeds writers round by round, in batches of at most `most` events that adapt to the time they take."""

    def __init__(
        self, reader: LogReader, most: int, *, first: int = SHORT_BATCH, background: Executor | None = None
    ) -> None:
        self._reader = reader
        self._most = most
        self._background = background
        self._ahead: tuple[LogPosition, Future[Sequence[RecordedEvent]]] | None = None
        self._limit = min(most, first)
        #: Whether every read of the last round came to the end of what there was to read.
        self.at_the_end = False

    def round(
        self, writers: Iterable[GenerationWriter], bounds: Mapping[GenerationWriter, LogPosition] | None = None
    ) -> int:
        """Feed every writer a batch from where it stands, up to its bound if it has one; the number of events read."""
        groups: dict[LogPosition, list[GenerationWriter]] = {}
        for writer in writers:
            if not writer.failed and (not bounds or writer.place < bounds.get(writer, _ENDLESS)):
                groups.setdefault(writer.place, []).append(writer)
        self.at_the_end = True
        with no_garbage_collection():
            return sum(self._feed(place, groups[place], bounds or {}) for place in sorted(groups))

    def _feed(
        self, place: LogPosition, writers: Sequence[GenerationWriter], bounds: Mapping[GenerationWriter, LogPosition]
    ) -> int:
        limit = self._limit
        events = self._next(place, limit)
        if not events:
            return 0
        if self._background is not None and len(events) == limit:
            after = events[-1].place
            self._ahead = after, self._background.submit(self._read, after, min(limit * 2, self._most))
        started = time.monotonic()
        for writer in writers:
            bound = bounds.get(writer)
            share = events if bound is None else up_to(events, bound)
            if share:
                writer.feed(share)
        if time.monotonic() - started > LONGEST_BATCH * len(writers):
            self._limit = max(limit // 2, SHORT_BATCH)
        elif len(events) == limit:
            self._limit = min(limit * 2, self._most)
        if len(events) == limit:
            self.at_the_end = False
        return len(events)

    def _next(self, place: LogPosition, limit: int) -> Sequence[RecordedEvent]:
        """Up to `limit` events behind the place, of those read ahead if that is where they begin."""
        ahead, self._ahead = self._ahead, None
        if ahead is None or ahead[0] != place:
            return self._read(place, limit)
        events = ahead[1].result()[:limit]
        if len(events) == limit:
            return events
        return [*events, *self._read(events[-1].place if events else place, limit - len(events))]

    def _read(self, place: LogPosition, limit: int) -> Sequence[RecordedEvent]:
        """Up to `limit` events behind the place; the reader may give fewer at once than there are."""
        events = list(self._reader.read(place, limit))
        while events and len(events) < limit:
            more = self._reader.read(events[-1].place, limit - len(events))
            if not more:
                break
            events += more
        return events


_ENDLESS = LogPosition(1 << 63, 0)


def up_to(events: Sequence[RecordedEvent], bound: LogPosition) -> Sequence[RecordedEvent]:
    """The events, which are in log order, up to and including the bound."""
    return events[: bisect_right(events, bound, key=lambda event: event.place)]
