"""What an aggregate is here: a named kind of stream, a small immutable state, and one total `evolve`.

Each room holds its aggregate in one file: first its events, in the order of life; then the state, only what decisions
need; then `evolve(state, event)` with a case for every event; then the decisions, functions of state and facts that
return events or raise one Refusal with every problem. An `Aggregate` value ties the first three together so that the
write path can load, fold and snapshot any of them the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Aggregate(Generic[S]):
    """A kind of stream.

    `stream_type` prefixes every stream id (`account:LB000000018`); `initial` is the state before the first event;
    `snapshot_every` is the number of events after which the state is stored beside the stream (0: never), which needs
    a state made of plain frozen dataclasses, tuples, mappings and scalars.
    """

    stream_type: str
    state_class: type[S]
    initial: S
    evolve: Callable[[S, object], S]
    snapshot_every: int = 0

    def stream(self, identifier: str) -> str:
        """The stream id of one aggregate of this kind."""
        return f"{self.stream_type}:{identifier}"

    def fold(self, events: Iterable[object], state: S | None = None) -> S:
        """The state after the events, from `state` or from the beginning."""
        current = self.initial if state is None else state
        for event in events:
            current = self.evolve(current, event)
        return current
