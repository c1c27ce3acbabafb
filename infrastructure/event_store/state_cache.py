"""States this process has folded already, so that the next load of a stream reads only what came behind them.

It remembers as well which streams were loaded one after another, so that the next such command asks for all
of them in one round trip.

A kept state is never taken on trust: the load asks the log for the event it ends with, and the state holds if that
event still has the same hash, which stands for everything before it in the stream (PLT-024). So it does not matter
whether other processes have written meanwhile, nor whether what was folded was committed in the end.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any, Final

from domain.aggregate import Aggregate
from infrastructure.event_store.streams import Folded

#: Bytes of stored text behind all the states kept, and behind one of them at most.
CACHE_BYTES: Final = 16_000_000
STATE_BYTES: Final = 1_000_000

#: How many loads are remembered, and how many of the streams that were loaded behind each.
LOADS: Final = 20_000
FOLLOWERS: Final = 4


class StateCache:
    """The states used last, by stream. Shared by the threads of a process, for states never change."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, tuple[Aggregate[Any], Folded[Any]]] = OrderedDict()
        self._size = 0
        self._followers: OrderedDict[tuple[str, str], tuple[tuple[Aggregate[Any], str], ...]] = OrderedDict()
        self._lock = Lock()

    def get(self, aggregate: Aggregate[Any], stream: str) -> Folded[Any] | None:
        """What is kept of a stream."""
        with self._lock:
            of, folded = self._kept.get(stream, (None, None))
            if folded is None or of is not aggregate:
                return None
            self._kept.move_to_end(stream)
            return folded

    def put(self, aggregate: Aggregate[Any], stream: str, folded: Folded[Any]) -> None:
        """Keep a state, unless it is a large one."""
        with self._lock:
            _, known = self._kept.pop(stream, (None, None))
            if known is not None:
                self._size -= known.size
            if folded.size > STATE_BYTES:
                return
            self._kept[stream] = aggregate, folded
            self._size += folded.size
            while self._size > self._limit:
                _, (_, oldest) = self._kept.popitem(last=False)
                self._size -= oldest.size

    def snapshot_saved(self, stream: str, position: int) -> None:
        """Remember that a stream has a snapshot at a position; should it be rolled back, the next one comes later."""
        with self._lock:
            if stream in self._kept:
                aggregate, folded = self._kept[stream]
                self._kept[stream] = aggregate, folded._replace(snapshot=position)

    def loaded_behind(self, command: str, first: str, aggregate: Aggregate[Any], stream: str) -> None:
        """Remember that a command loaded a stream some time behind the first one."""
        with self._lock:
            others = [one for one in self._followers.pop((command, first), ()) if one[1] != stream]
            self._followers[command, first] = (*others[1 - FOLLOWERS :], (aggregate, stream))
            if len(self._followers) > LOADS:
                self._followers.popitem(last=False)

    def likely_behind(self, command: str, first: str) -> list[tuple[Aggregate[Any], str, Folded[Any]]]:
        """The streams that such a command loaded behind the first one before, with what is kept of them."""
        with self._lock:
            likely = self._followers.get((command, first), ())
            if not likely:
                return []
            self._followers.move_to_end((command, first))
            kept = [(aggregate, stream, *self._kept.get(stream, (None, None))) for aggregate, stream in likely]
            return [(wanted, stream, folded) for wanted, stream, of, folded in kept if folded and of is wanted]
