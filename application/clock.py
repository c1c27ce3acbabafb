"""The one clock and the one source of ids (law 7), passed in wherever a time or an id is needed.

Timestamps are UTC with microseconds. Civil dates are taken from an instant in an account's time zone (PLT-050). A
`MovableClock` runs on another clock with an offset, which only an environment marked non-production may set: a year of
billing then runs in a test in seconds.
"""

from __future__ import annotations

import datetime as dt
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

_TAILS = 1 << 74
_LOWER = (1 << 62) - 1
_TIME = (1 << 48) - 1
_BLOCK = 256


class Clock(Protocol):
    """Tells the instant, in UTC."""

    def now(self) -> dt.datetime:
        """The present instant: timezone-aware, UTC, microseconds."""
        ...


class ClockOffsetStore(Protocol):
    """Keeps the offset of the movable clock, so that all processes of an environment agree on it."""

    def read(self) -> dt.timedelta: ...

    def write(self, offset: dt.timedelta) -> None: ...

    def recorded_until(self) -> dt.datetime | None:
        """The latest instant at which something was recorded; None: nothing was yet."""
        ...


class ClockOffsetForbiddenError(PermissionError):
    """A production environment accepts no clock offset (PLT-050)."""


class ClockBehindRecordsError(ValueError):
    """The clock would show a time before `until`, the instant of the last record."""

    def __init__(self, until: dt.datetime) -> None:
        super().__init__(f"the clock does not go back behind the last record, of {until.isoformat()}")
        self.until = until


class SystemClock:
    """The machine's clock."""

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)


class ManualClock:
    """Stands still at an instant until it is moved; for tests, which decide what time it is."""

    def __init__(self, instant: dt.datetime) -> None:
        self._instant = _utc(instant)

    def now(self) -> dt.datetime:
        return self._instant

    def set(self, instant: dt.datetime) -> None:
        self._instant = _utc(instant)

    def advance(self, step: dt.timedelta) -> None:
        self._instant += step


class MovableClock:
    """A clock that can be moved, by an offset shared through a store; refuses to be moved in production (PLT-050).

    The offset is re-read at most every `refresh` (0: always), so that the other processes of the environment follow.
    """

    def __init__(
        self,
        store: ClockOffsetStore,
        *,
        production: bool,
        base: Clock | None = None,
        refresh: dt.timedelta = dt.timedelta(seconds=1),
    ) -> None:
        self._store = store
        self._production = production
        self._base = base or SystemClock()
        self._refresh = refresh.total_seconds()
        self._offset = dt.timedelta()
        self._read_at: float | None = None
        self._reading = threading.Lock()

    def now(self) -> dt.datetime:
        if self._production:
            return self._base.now()
        return self._base.now() + self._current_offset()

    @property
    def offset(self) -> dt.timedelta:
        """How far the clock stands from the machine's; zero in production."""
        return dt.timedelta() if self._production else self._current_offset()

    def set_offset(self, offset: dt.timedelta) -> None:
        """Move the clock for every process of the environment. Raises ClockOffsetForbiddenError in production."""
        if self._production:
            raise ClockOffsetForbiddenError("a production environment accepts no clock offset")
        self._store.write(offset)
        self._offset, self._read_at = offset, time.monotonic()

    def set_now(self, instant: dt.datetime) -> None:
        """Move the clock so that it shows `instant` now.

        Raises ClockOffsetForbiddenError in production, ClockBehindRecordsError for an instant before the last record.
        """
        instant = _utc(instant)
        if not self._production and instant < self.now():
            until = self._store.recorded_until()
            if until is not None and instant < until:
                raise ClockBehindRecordsError(until)
        self.set_offset(instant - self._base.now())

    def _current_offset(self) -> dt.timedelta:
        moment = time.monotonic()
        if self._read_at is None:
            self._offset, self._read_at = self._store.read(), moment
        elif moment - self._read_at >= self._refresh and self._reading.acquire(blocking=False):
            # One thread at a time: whoever holds a connection and asks the time must not wait for others who do.
            try:
                self._offset, self._read_at = self._store.read(), moment
            finally:
                self._reading.release()
        return self._offset


class UuidSource:
    """Fresh UUIDs of version 7 (RFC 9562): 48 bits of Unix milliseconds, then 74 bits that count up.

    Ids of one source increase strictly, also within a millisecond and when the clock is set back: each millisecond
    starts the count at a random place, and every id goes a random step further. Chance is drawn in blocks, because
    asking the system for it is what an id costs most.
    """

    def __init__(self, clock: Clock, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._random_bytes = random_bytes
        self._chance: Iterator[int] = iter(())
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._milliseconds = -1
        self._tail = 0

    def new(self) -> UUID:
        """One fresh id."""
        now = int(self._clock.now().timestamp() * 1000)
        with self._lock:
            return UUID(int=self._next(now, self._random()))

    def texts(self, count: int) -> list[str]:
        """`count` fresh ids in increasing order, as their text, for who needs no more than that."""
        now = int(self._clock.now().timestamp() * 1000)
        with self._lock:
            digits = [f"{self._next(now, chance):032x}" for chance in self._randoms(count)]
        return [f"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}" for d in digits]

    def _next(self, now: int, chance: int) -> int:
        step = chance + 1
        if now > self._milliseconds:
            self._milliseconds = now
            # 73 of the 74 bits: there is room to count up.
            self._tail = self._random() << 41 | self._random() << 9 | step >> 23
        else:
            self._tail += step
            if self._tail >= _TAILS:
                self._milliseconds, self._tail = self._milliseconds + 1, step
        # Version 7: time, version, upper 12 bits of the tail, variant, lower 62 bits of the tail.
        upper, lower = self._tail >> 62, self._tail & _LOWER
        return (self._milliseconds & _TIME) << 80 | 0x7 << 76 | upper << 64 | 0x2 << 62 | lower

    def _randoms(self, count: int) -> Sequence[int]:
        """So many times 32 random bits."""
        if count > _BLOCK:
            return struct.unpack(f"!{count}I", self._random_bytes(4 * count))
        return [self._random() for _ in range(count)]

    def _random(self) -> int:
        """32 random bits."""
        if os.getpid() != self._process:  # a forked process must not go on with its parent's block
            self._process, self._chance = os.getpid(), iter(())
        for number in self._chance:
            return number
        self._chance = iter(struct.unpack(f"!{_BLOCK}I", self._random_bytes(4 * _BLOCK)))
        return next(self._chance)


def civil_date(instant: dt.datetime, time_zone: str = "UTC") -> dt.date:
    """The civil date of an instant in an IANA time zone (PLT-050). Raises ZoneInfoNotFoundError for an unknown zone."""
    return instant.astimezone(_zone(time_zone)).date()


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _utc(instant: dt.datetime) -> dt.datetime:
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return instant.astimezone(dt.UTC)
