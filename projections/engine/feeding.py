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

from application.log import LogPosition, LogReader, Page, RecordedEvent
from projections.engine.garbage import no_garbage_collection
from projections.engine.writer import GenerationWriter

#: Seconds a batch should take at most: as long as its transaction is open, the settled horizon of the log stands still.
LONGEST_BATCH = 0.5
#: Events read at once at the beginning, unless told otherwise, and at least.
SHORT_BATCH = 1_000


class Feeding:
    """Feeds writers round by round, in batches that adapt to the time they take: of `most` events at most, as the pages
    of the log count them."""

    def __init__(
        self, reader: LogReader, most: int, *, first: int = SHORT_BATCH, background: Executor | None = None
    ) -> None:
        self._reader = reader
        self._most = most
        self._background = background
        self._ahead: tuple[LogPosition, Future[Page]] | None = None
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
        events, more = self._next(place, limit)
        if not events:
            return 0
        if more:
            self.at_the_end = False
            if self._background is not None:
                after = events[-1].place
                self._ahead = after, self._background.submit(self._reader.page, after, min(limit * 2, self._most))
        started = time.monotonic()
        for writer in writers:
            bound = bounds.get(writer)
            share = events if bound is None else up_to(events, bound)
            if share:
                writer.feed(share)
        if time.monotonic() - started > LONGEST_BATCH * len(writers):
            self._limit = max(limit // 2, SHORT_BATCH)
        elif more:
            self._limit = min(limit * 2, self._most)
        return len(events)

    def _next(self, place: LogPosition, limit: int) -> Page:
        """The next page behind the place: the one read ahead if that is where it begins."""
        ahead, self._ahead = self._ahead, None
        if ahead is None or ahead[0] != place:
            return self._reader.page(place, limit)
        page = ahead[1].result()
        return page if len(page.events) <= limit else Page(page.events[:limit], True)


_ENDLESS = LogPosition(1 << 63, 0)


def up_to(events: Sequence[RecordedEvent], bound: LogPosition) -> Sequence[RecordedEvent]:
    """The events, which are in log order, up to and including the bound."""
    return events[: bisect_right(events, bound, key=lambda event: event.place)]
