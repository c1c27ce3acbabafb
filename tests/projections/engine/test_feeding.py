"""One read of the log for many generations, and reading ahead: every event is fed once, in order, whatever happens."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from application.log import START, LogPosition, Page, RecordedEvent
from projections.engine.feeding import SHORT_BATCH, Feeding
from projections.engine.writer import GenerationWriter

NOON = dt.datetime(2025, 1, 1, 12, tzinfo=dt.UTC)


def event(position: int) -> RecordedEvent:
    return RecordedEvent(position, position, "toy:A", position, "Toy", None, NOON, NOON.date(), uuid.UUID(int=position),
                         "u", uuid.UUID(int=1), uuid.UUID(int=2), None)  # fmt: skip


@dataclass
class Log:
    """A log of so many events that gives at most `most` of them at once, and notes what it was asked for."""

    count: int
    most: int
    asked: list[tuple[int, int]] = field(default_factory=list)

    def page(self, after: LogPosition, limit: int) -> Page:
        self.asked.append((after.position, limit))
        first, count = after.position + 1, min(limit, self.most)
        events = [event(position) for position in range(first, min(first + count, self.count + 1))]
        return Page(events, len(events) == count)

    def read(self, after: LogPosition, limit: int) -> Sequence[RecordedEvent]:
        return self.page(after, limit).events

    def head(self) -> LogPosition:
        return LogPosition(self.count, self.count)


@dataclass(eq=False)
class Writer:
    """Notes what it is fed; stands back once where it is told to, as one does whose batch in the background failed."""

    back_at: int = 0
    failed: bool = False
    place: LogPosition = START
    fed: list[int] = field(default_factory=list)

    def feed(self, events: Sequence[RecordedEvent]) -> None:
        if self.back_at and events[-1].position > self.back_at:
            events, self.back_at = [one for one in events if one.position <= self.back_at], 0
        self.fed += [one.position for one in events]
        self.place = events[-1].place if events else self.place


def fed_to_the_end(feeding: Feeding, writers: Sequence[Writer], bounds: dict[Any, LogPosition] | None = None) -> None:
    for _ in range(100):
        feeding.round(cast(Sequence[GenerationWriter], writers), bounds)
        if feeding.at_the_end:
            return
    raise AssertionError("there is no end")


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("most", [700, 3_000, 100_000])
def test_every_event_is_fed_once_and_in_order(most: int, ahead: bool) -> None:
    log, writers = Log(50_123, most), [Writer(), Writer(back_at=9_999)]
    with ThreadPoolExecutor(1) as background:
        fed_to_the_end(Feeding(log, 20_000, background=background if ahead else None), writers)
    assert all(writer.fed == list(range(1, 50_124)) for writer in writers)


def test_what_was_read_ahead_is_not_read_again() -> None:
    log, writer = Log(7 * SHORT_BATCH, 100_000), Writer()
    with ThreadPoolExecutor(1) as background:
        fed_to_the_end(Feeding(log, 4 * SHORT_BATCH, background=background), [writer])
    assert log.asked == [(0, 1_000), (1_000, 2_000), (3_000, 4_000), (7_000, 4_000)]
    assert len(writer.fed) == 7_000


def test_what_was_read_ahead_of_a_bound_is_read_again_behind_it() -> None:
    log, writer = Log(5_000, 100_000), Writer()
    with ThreadPoolExecutor(1) as background:
        feeding = Feeding(log, 20_000, background=background)
        fed_to_the_end(feeding, [writer], {writer: LogPosition(1_500, 1_500)})
        assert writer.fed == list(range(1, 1_501))
        fed_to_the_end(feeding, [writer])
    assert writer.fed == list(range(1, 5_001))
