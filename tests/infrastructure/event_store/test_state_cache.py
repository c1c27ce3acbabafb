"""States kept in memory: those used last, within their bounds."""

from __future__ import annotations

from domain.aggregate import Aggregate
from infrastructure.event_store.state_cache import FOLLOWERS, STATE_BYTES, StateCache
from infrastructure.event_store.streams import NO_HEAD, Folded

COUNTER = Aggregate("counter", int, 0, lambda state, event: state + 1)
OTHER = Aggregate("counter", int, 0, lambda state, event: state + 2)


def folded(state: int, size: int) -> Folded[int]:
    return Folded(state, NO_HEAD, 0, size)


def test_a_state_is_kept_for_the_aggregate_that_folded_it() -> None:
    cache = StateCache()
    assert cache.get(COUNTER, "counter:A") is None
    cache.put(COUNTER, "counter:A", folded(1, 10))
    assert cache.get(COUNTER, "counter:A") == folded(1, 10)
    assert cache.get(OTHER, "counter:A") is None
    cache.put(COUNTER, "counter:A", folded(2, 20))
    assert cache.get(COUNTER, "counter:A") == folded(2, 20)


def test_the_states_not_used_for_longest_make_room() -> None:
    cache = StateCache(limit=100)
    for name in "ABCD":
        cache.put(COUNTER, name, folded(1, 25))
    cache.get(COUNTER, "A")
    cache.put(COUNTER, "E", folded(1, 40))
    assert [name for name in "ABCDE" if cache.get(COUNTER, name)] == ["A", "D", "E"]
    cache.put(COUNTER, "E", folded(1, 5))  # grown smaller behind a snapshot: there is room again
    cache.put(COUNTER, "F", folded(1, 45))
    assert [name for name in "ADEF" if cache.get(COUNTER, name)] == ["A", "D", "E", "F"]


def test_a_large_state_is_not_kept_nor_what_it_was_before() -> None:
    cache = StateCache()
    cache.put(COUNTER, "A", folded(1, STATE_BYTES))
    assert cache.get(COUNTER, "A") is not None
    cache.put(COUNTER, "A", folded(2, STATE_BYTES + 1))
    assert cache.get(COUNTER, "A") is None


def test_a_saved_snapshot_is_remembered() -> None:
    cache = StateCache()
    cache.snapshot_saved("A", 8)
    assert cache.get(COUNTER, "A") is None
    cache.put(COUNTER, "A", folded(1, 10))
    cache.snapshot_saved("A", 8)
    assert cache.get(COUNTER, "A") == Folded(1, NO_HEAD, 8, 10)


def test_the_streams_a_command_loaded_behind_another_are_remembered_as_far_as_they_are_kept() -> None:
    cache = StateCache()
    names = [f"F{number}" for number in range(FOLLOWERS + 1)]
    for name in names:
        cache.put(COUNTER, name, folded(1, 10))
        cache.loaded_behind("Pay", "A", COUNTER, name)
    cache.loaded_behind("Pay", "A", OTHER, names[2])  # of another kind than what is kept
    assert [name for _, name, _ in cache.likely_behind("Pay", "A")] == [names[1], *names[3:]]
    assert cache.likely_behind("Pay", "B") == []
    assert cache.likely_behind("Bill", "A") == []
