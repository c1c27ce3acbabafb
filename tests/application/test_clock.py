"""The clock and the id source."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.clock import (
    ClockBehindRecordsError,
    ClockOffsetForbiddenError,
    ManualClock,
    MovableClock,
    SystemClock,
    UuidSource,
    civil_date,
)
from infrastructure.postgres.clock import PostgresClockOffset
from infrastructure.postgres.database import Database
from tests.conftest import Units
from tests.infrastructure.sample import TILL, TillOpened

NOON = dt.datetime(2025, 3, 1, 12, tzinfo=dt.UTC)


class _Offset:
    def __init__(self) -> None:
        self.offset = dt.timedelta()
        self.until: dt.datetime | None = None

    def read(self) -> dt.timedelta:
        return self.offset

    def write(self, offset: dt.timedelta) -> None:
        self.offset = offset

    def recorded_until(self) -> dt.datetime | None:
        return self.until


@pytest.mark.rule("PLT-E12")
def test_one_instant_is_another_civil_date_elsewhere() -> None:
    instant = dt.datetime(2025, 4, 1, 6, 30, tzinfo=dt.UTC)
    assert civil_date(instant) == dt.date(2025, 4, 1)
    assert civil_date(instant, "America/Los_Angeles") == dt.date(2025, 3, 31)
    assert civil_date(instant, "Pacific/Auckland") == dt.date(2025, 4, 1)


def test_the_system_clock_tells_utc() -> None:
    before = dt.datetime.now(dt.UTC)
    assert before <= SystemClock().now() <= dt.datetime.now(dt.UTC)
    assert SystemClock().now().utcoffset() == dt.timedelta()


@pytest.mark.rule("PLT-050")
def test_only_a_non_production_environment_accepts_an_offset() -> None:
    production = MovableClock(_Offset(), production=True, base=ManualClock(NOON))
    with pytest.raises(ClockOffsetForbiddenError):
        production.set_offset(dt.timedelta(days=1))
    with pytest.raises(ClockOffsetForbiddenError):
        production.set_now(NOON + dt.timedelta(days=1))
    assert production.now() == NOON


@pytest.mark.rule("PLT-050")
def test_a_production_clock_ignores_an_offset_that_lies_in_the_store() -> None:
    store = _Offset()
    store.write(dt.timedelta(days=30))
    clock = MovableClock(store, production=True, base=ManualClock(NOON))
    assert (clock.now(), clock.offset) == (NOON, dt.timedelta())


@pytest.mark.rule("PLT-050")
def test_the_sandbox_clock_is_moved_for_all_processes_of_the_environment(database: Database) -> None:
    base = ManualClock(NOON)
    always = dt.timedelta()
    one = MovableClock(PostgresClockOffset(database), production=False, base=base, refresh=always)
    other = MovableClock(PostgresClockOffset(database), production=False, base=base, refresh=always)
    assert other.now() == NOON
    one.set_now(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    assert other.now() == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    base.advance(dt.timedelta(hours=1))
    assert one.now() == other.now() == dt.datetime(2026, 1, 1, 1, tzinfo=dt.UTC)
    other.set_offset(dt.timedelta(days=-1))
    assert one.now() == NOON + dt.timedelta(hours=1) - dt.timedelta(days=1)


@pytest.mark.rule("PLT-023", "PLT-050")
def test_the_clock_goes_back_to_any_day_before_something_is_recorded_and_then_not_behind_it(
    database: Database, unit_of_work: Units
) -> None:
    clock = MovableClock(PostgresClockOffset(database), production=False, base=unit_of_work.clock)
    recorded = unit_of_work.clock.now()
    long_ago = dt.datetime(2020, 2, 29, tzinfo=dt.UTC)
    clock.set_now(long_ago)
    assert clock.now() == long_ago
    unit_of_work.write(lambda unit: unit.append(TILL, "T1", [TillOpened(name="Till", currency="USD")]))
    clock.set_now(recorded + dt.timedelta(days=2))
    clock.set_now(recorded + dt.timedelta(days=1))
    with pytest.raises(ClockBehindRecordsError) as refusal:
        clock.set_now(recorded - dt.timedelta(seconds=1))
    assert refusal.value.until >= recorded
    assert clock.now() == recorded + dt.timedelta(days=1)


def test_between_two_looks_at_the_store_the_offset_stays() -> None:
    store = _Offset()
    clock = MovableClock(store, production=False, base=ManualClock(NOON), refresh=dt.timedelta(hours=1))
    assert clock.now() == NOON
    store.write(dt.timedelta(days=1))
    assert clock.now() == NOON


def test_an_instant_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        ManualClock(dt.datetime(2025, 1, 1))  # noqa: DTZ001


@pytest.mark.rule("PLT-023")
def test_ids_are_version_seven_of_their_instant() -> None:
    identifier = UuidSource(ManualClock(NOON)).new()
    assert (identifier.version, identifier.variant) == (7, "specified in RFC 4122")
    assert identifier.int >> 80 == int(NOON.timestamp() * 1000)


@given(st.lists(st.integers(min_value=-5_000, max_value=5_000), min_size=1, max_size=30), st.binary(min_size=1))
def test_ids_increase_even_when_the_clock_goes_back_and_chance_is_against_them(steps: list[int], seed: bytes) -> None:
    clock = ManualClock(NOON)
    source = UuidSource(clock, random_bytes=lambda count: (seed * (count // len(seed) + 1))[:count])
    ids = []
    for step in steps:
        clock.advance(dt.timedelta(milliseconds=step))
        ids.append(source.new())
        ids.extend(UUID(text) for text in source.texts(3))
    assert ids == sorted(set(ids))
    assert {identifier.version for identifier in ids} == {7}


def test_ids_that_run_out_within_a_millisecond_borrow_the_next_one() -> None:
    source = UuidSource(ManualClock(NOON), random_bytes=lambda count: b"\xff" * count)
    ids = [source.new()]
    source._tail = (1 << 74) - 2
    ids += [source.new(), source.new()]
    assert ids == sorted(set(ids))
    assert ids[-1].int >> 80 == int(NOON.timestamp() * 1000) + 1


def test_an_ids_text_is_that_of_the_id() -> None:
    one, other = UuidSource(ManualClock(NOON), bytes), UuidSource(ManualClock(NOON), bytes)
    assert [str(one.new()) for _ in range(3)] == other.texts(3)


def test_ids_of_different_sources_differ() -> None:
    sources = [UuidSource(ManualClock(NOON)) for _ in range(200)]
    assert len({identifier for source in sources for identifier in (source.new(), source.new())}) == 400


def test_a_forked_process_does_not_repeat_its_parents_ids() -> None:
    source = UuidSource(ManualClock(NOON))
    source.new()
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(source.texts(50)))
    child.start()
    assert not set(receiver.recv()) & set(source.texts(50))
    child.join()


def test_threads_never_get_the_same_id() -> None:
    source, found, lock = UuidSource(SystemClock()), [], threading.Lock()

    def take() -> None:
        mine = [source.new() for _ in range(2_000)]
        with lock:
            found.extend(mine)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 8_000


def test_only_one_thread_at_a_time_reads_the_offset_again() -> None:
    """The others go on with what is known: each may hold a connection that the reading one waits for."""
    reading, go_on = threading.Event(), threading.Event()

    class Store:
        reads = 0

        def read(self) -> dt.timedelta:
            self.reads += 1
            if self.reads == 2:
                reading.set()
                assert go_on.wait(10)
            return dt.timedelta(days=self.reads)

        def write(self, offset: dt.timedelta) -> None: ...

        def recorded_until(self) -> None: ...

    store = Store()
    clock = MovableClock(store, production=False, refresh=dt.timedelta(0))
    assert clock.offset == dt.timedelta(days=1)
    with ThreadPoolExecutor(1) as other:
        theirs = other.submit(lambda: clock.offset)
        assert reading.wait(10)
        assert clock.offset == dt.timedelta(days=1)
        go_on.set()
        assert theirs.result(10) == dt.timedelta(days=2)
    assert clock.offset == dt.timedelta(days=3)
