"""The unit of work: what a handler reads, locks, numbers and appends, and how it is committed as a whole."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, cast

import psycopg
import pytest

from application.dispatch import ConcurrencyError
from application.log import RecordedEvent
from domain.aggregate import Aggregate
from domain.money import Money
from infrastructure.event_store import streams as stream_store
from infrastructure.event_store.append import INSERT_UP_TO
from infrastructure.event_store.snapshots import REPLACE_UP_TO
from infrastructure.event_store.verification import verify_streams
from infrastructure.postgres.connection import StoreConnection
from infrastructure.postgres.database import Database
from infrastructure.unit_of_work import LOCK_LIMIT, PostgresUnitOfWork, PostgresUnits
from tests.conftest import Units, answer_of, audit_of
from tests.infrastructure.sample import (
    TILL,
    TILL_WITH_SNAPSHOTS,
    TillFilled,
    TillOpened,
    TillState,
    evolve,
    wait_until_blocked,
)

OPENED = TillOpened(name="front", currency="USD")


def filled(minor: int = 1) -> TillFilled:
    return TillFilled(amount=Money(minor, "USD"), effective_date=dt.date(2025, 3, 1))


def rows(database: Database, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.conninfo) as connection:
        return connection.execute(query.encode(), parameters).fetchall()


# Reading


def test_an_absent_aggregate_has_the_initial_state_at_version_zero(unit_of_work: Units) -> None:
    with unit_of_work.begin() as unit:
        till = unit.load(TILL, "none")
        assert (till.state, till.version) == (TILL.initial, 0)
        assert not unit.exists(TILL, "none")
        assert unit.load_many(TILL, ["none", "neither"]) == {}


def test_an_aggregate_is_folded_from_its_events(unit_of_work: Units) -> None:
    unit_of_work.write(lambda unit: unit.append(TILL, "T1", [OPENED, filled(5), filled(7)]))
    with unit_of_work.begin() as unit:
        till = unit.load(TILL, "T1")
        assert (till.identifier, till.state, till.version) == ("T1", TillState("front", "USD", 12, 2), 3)
        assert unit.exists(TILL, "T1")


def test_what_was_appended_is_part_of_what_is_loaded_afterwards(unit_of_work: Units) -> None:
    with unit_of_work.begin() as unit:
        assert unit.append(TILL, "T1", [OPENED]).version == 1
        assert unit.append(TILL, "T1", [filled(5)]).state.balance == 5
        assert unit.load(TILL, "T1").version == 2
        assert unit.exists(TILL, "T1")
        assert unit.load_many(TILL, ["T1"])["T1"].state.balance == 5


def test_many_aggregates_come_with_one_query(unit_of_work: Units, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        unit_of_work.write(lambda unit, number=number: unit.append(TILL, f"T{number}", [OPENED, filled(number)]))
    with unit_of_work.begin() as unit:
        calls = _count_round_trips(unit, monkeypatch)
        found = unit.load_many(TILL, ["T3", "T1", "none", "T1"])
        assert len(calls) == 1
        assert {name: till.state.balance for name, till in found.items()} == {"T3": 3, "T1": 1}
        assert unit.load_many(TILL, ["T1", "T3"]) == found
        assert unit.load(TILL, "T3").state.balance == 3
        assert len(calls) == 1
        assert unit.load_many(TILL, ["T0", "T1"])["T0"].version == 2
        assert len(calls) == 2


def test_more_streams_than_a_query_takes_come_in_several(unit_of_work: Units, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_store, "STREAMS_PER_QUERY", 4)
    unit_of_work.write(lambda unit: [unit.append(TILL, f"T{number}", [filled(number)]) for number in range(10)])
    with unit_of_work.begin() as unit:
        calls = _count_round_trips(unit, monkeypatch)
        found = unit.load_many(TILL, [f"T{number}" for number in range(10)])
        assert len(calls) == 3
        assert {name: till.state.balance for name, till in found.items()} == {f"T{n}": n for n in range(10)}


# Appending


@pytest.mark.rule("PLT-023", "PLT-027")
def test_events_of_several_streams_are_written_in_one_transaction_with_one_correlation(
    database: Database, unit_of_work: Units
) -> None:
    def decide(unit: PostgresUnitOfWork) -> None:
        unit.append(TILL, "A", [OPENED])
        unit.append(TILL, "B", [OPENED, filled(1)])
        unit.append(TILL, "A", [filled(2)])

    answer = unit_of_work.write(decide)
    assert [(e.stream, e.stream_position) for e in answer.events] == [
        ("till:A", 1),
        ("till:B", 1),
        ("till:B", 2),
        ("till:A", 2),
    ]
    assert rows(database, "SELECT count(DISTINCT transaction), count(DISTINCT correlation_id) FROM event") == [(1, 1)]
    positions = [event.position for event in answer.events]
    assert positions == sorted(positions)
    assert answer.position == positions[-1]


@pytest.mark.parametrize("count", [1, INSERT_UP_TO, INSERT_UP_TO + 1, 1_000])
def test_few_events_are_inserted_and_many_copied_with_the_same_result(
    database: Database, unit_of_work: Units, count: int
) -> None:
    unit_of_work.write(lambda unit: unit.append(TILL, "A", [OPENED]))
    answer = unit_of_work.write(
        lambda unit: unit.load(TILL, "A") and [unit.append(TILL, f"{'AB'[n % 2]}", [filled(n)]) for n in range(count)],
        on_behalf_of='tab\tquote"\\',
    )
    stored = rows(
        database,
        "SELECT stream, stream_position, event_id::text, position, payload::text, on_behalf_of FROM event"
        " WHERE position > 1 ORDER BY position",
    )
    assert [(e.stream, e.stream_position, e.event_id, e.position) for e in answer.events] == [row[:4] for row in stored]
    assert [row[4] for row in stored] == [
        f'{{"amount":{{"currency":"USD","minor":{n}}},"effective_date":"2025-03-01","notes":[]}}' for n in range(count)
    ]
    assert {row[5] for row in stored} == {'tab\tquote"\\'}
    assert verify_streams(database) == []


@pytest.mark.rule("PLT-023")
def test_the_recorded_time_increases_within_a_stream_even_when_the_clock_does_not(
    database: Database, unit_of_work: Units
) -> None:
    unit_of_work.write(lambda unit: unit.append(TILL, "A", [OPENED, filled(1)]))
    unit_of_work.write(lambda unit: unit.load(TILL, "A") and unit.append(TILL, "A", [filled(2)]))
    unit_of_work.clock.advance(dt.timedelta(seconds=-5))
    unit_of_work.write(lambda unit: unit.load(TILL, "A") and unit.append(TILL, "A", [filled(3)]))
    noon = dt.datetime(2025, 3, 1, 12, tzinfo=dt.UTC)
    step = dt.timedelta(microseconds=1)
    assert [row[0] for row in rows(database, "SELECT recorded_at FROM event ORDER BY position")] == [
        noon,
        noon,
        noon + step,
        noon + 2 * step,
    ]


@pytest.mark.rule("PLT-006")
def test_the_effective_date_is_the_one_given_the_events_own_the_envelopes_or_today(
    database: Database, unit_of_work: Units
) -> None:
    def decide(unit: PostgresUnitOfWork) -> None:
        unit.append(TILL, "A", [OPENED, filled(1)])
        unit.append(TILL, "A", [filled(2)], effective_date=dt.date(2024, 1, 1))

    unit_of_work.write(decide)
    unit_of_work.write(lambda unit: unit.append(TILL, "B", [OPENED]), effective_date=dt.date(2023, 1, 1))
    unit_of_work.clock.advance(dt.timedelta(days=3))
    unit_of_work.write(lambda unit: unit.append(TILL, "C", [OPENED]))
    assert [row[0].isoformat() for row in rows(database, "SELECT effective_date FROM event ORDER BY position")] == [
        "2025-03-01",
        "2025-03-01",
        "2024-01-01",
        "2023-01-01",
        "2025-03-04",
    ]


def test_leaving_without_committing_leaves_nothing(database: Database, unit_of_work: Units) -> None:
    context = unit_of_work.context()
    with unit_of_work.units.begin(context) as unit:
        unit.append(TILL, "A", [OPENED])
        unit.next_number("invoice")
        unit.complete(answer_of(context), audit_of(context), commit=False)
    with suppress(ZeroDivisionError), unit_of_work.begin() as unit:
        unit.append(TILL, "A", [OPENED])
        raise ZeroDivisionError
    assert rows(database, "SELECT count(*) FROM event") == [(0,)]
    assert rows(database, "SELECT count(*) FROM number_sequence") == [(0,)]
    assert rows(database, "SELECT count(*) FROM command_audit") == [(0,)]


def test_no_connection_is_left_in_a_transaction(database: Database, unit_of_work: Units) -> None:
    with suppress(ZeroDivisionError), unit_of_work.begin() as unit:
        unit.load(TILL, "A")
        raise ZeroDivisionError
    unit_of_work.write(lambda unit: unit.append(TILL, "A", [OPENED]))
    states = rows(
        database,
        "SELECT state FROM pg_stat_activity WHERE application_name = 'rollon writers' AND datname = current_database()",
    )
    assert {state for (state,) in states} == {"idle"}


def test_appending_to_a_stream_that_was_taken_to_be_new_is_a_conflict(unit_of_work: Units) -> None:
    unit_of_work.write(lambda unit: unit.append(TILL, "A", [OPENED]))
    with pytest.raises(ConcurrencyError) as caught:
        unit_of_work.write(lambda unit: unit.append(TILL, "A", [OPENED]))
    assert (caught.value.stream, caught.value.current_version) == ("till:A", 1)


# Round trips


def test_a_command_makes_two_round_trips(
    database: Database, unit_of_work: Units, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One to begin, open the key, lock and load; one to write everything and commit."""
    unit_of_work.write(lambda unit: unit.append(TILL, "A", [OPENED]))
    context = unit_of_work.context(idempotency_key="K1")
    with unit_of_work.units.begin(context) as unit:
        calls = _count_round_trips(unit, monkeypatch)
        unit.require_fresh_key()
        unit.lock("account A")
        unit.load(TILL, "A")
        unit.append(TILL, "A", [filled(1)])
        unit.complete(answer_of(context), audit_of(context), commit=True)
    names = [[call.statement.name for call in trip] for trip in calls]
    assert names == [
        ["begin", "key_open", "lock", "stream_behind"],
        ["event_insert_1", "audit_record_and_answer", "commit"],
    ]


def _count_round_trips(unit: PostgresUnitOfWork, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    calls: list[tuple[Any, ...]] = []
    original = unit.connection.round_trip

    def counted(*sent: Any) -> Any:
        calls.append(sent)
        return original(*sent)

    monkeypatch.setattr(unit.connection, "round_trip", counted)
    return calls


# Locks and numbers


@pytest.mark.rule("PLT-012")
def test_a_lock_is_held_until_the_unit_ends_and_taken_before_anything_is_read(
    database: Database, unit_of_work: Units
) -> None:
    unit_of_work.write(lambda unit: unit.append(TILL, "A", [OPENED]))
    seen: list[int] = []
    first = unit_of_work.context()

    def second() -> None:
        with unit_of_work.begin() as unit:
            unit.lock("account A")
            seen.append(unit.load(TILL, "A").version)

    with unit_of_work.units.begin(first) as unit:
        unit.lock("account A")
        unit.load(TILL, "A")
        thread = threading.Thread(target=second)
        thread.start()
        wait_until_blocked(database)
        assert seen == []
        unit.append(TILL, "A", [filled(1)])
        unit.complete(answer_of(first), audit_of(first), commit=True)
    thread.join()
    assert seen == [2]


@pytest.mark.rule("PLT-012")
def test_locks_are_taken_in_ascending_order_whatever_order_they_are_named_in(unit_of_work: Units) -> None:
    """Two units that name the same accounts crosswise do not block each other for good."""
    done: list[str] = []

    def work(*keys: str) -> None:
        for _ in range(20):
            with unit_of_work.begin() as unit:
                unit.lock(*keys)
                unit.load(TILL, "A")
        done.append("".join(keys))

    threads = [threading.Thread(target=work, args=keys) for keys in (("A", "B", "C"), ("C", "B", "A"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert sorted(done) == ["ABC", "CBA"]


def test_a_command_takes_only_so_many_locks(unit_of_work: Units) -> None:
    with unit_of_work.begin() as unit, pytest.raises(ValueError, match="at most"):
        unit.lock(*(str(number) for number in range(LOCK_LIMIT + 1)))


def test_numbers_have_no_gap_whoever_takes_and_whoever_gives_up(database: Database, unit_of_work: Units) -> None:
    """Six threads take numbers in units of which every third is rolled back."""
    taken: list[int] = []

    def work() -> None:
        for step in range(9):
            context = unit_of_work.context()
            with unit_of_work.units.begin(context) as unit:
                numbers = [unit.next_number("invoice", start=100) for _ in range(2)]
                if step % 3 != 2:
                    unit.complete(answer_of(context), audit_of(context), commit=True)
                    taken.extend(numbers)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(100, 100 + 6 * 6 * 2))
    assert rows(database, "SELECT name, value FROM number_sequence") == [("invoice", 171)]


def test_taking_a_number_does_not_take_a_transaction_id(unit_of_work: Units) -> None:
    """Else a stream read behind it could not be continued, see append."""
    with unit_of_work.begin() as unit:
        unit.lock("account A")
        unit.next_number("invoice")
        unit.load(TILL, "A")
        row = unit.connection.execute("SELECT pg_current_xact_id_if_assigned()").fetchone()
        assert row == (None,)


def test_two_sequences_are_independent(unit_of_work: Units) -> None:
    with unit_of_work.begin() as unit:
        assert [unit.next_number("a"), unit.next_number("b", start=7), unit.next_number("a")] == [1, 7, 2]


# Ports and inline projections


@dataclass(frozen=True)
class Inline:
    """Inline projections of one function, fed with whatever happens."""

    project: Callable[[psycopg.Cursor[Any], Sequence[RecordedEvent]], None]
    enter: tuple[str, ...] = ("SELECT 'begun with'",)

    def handle(self, connection: psycopg.Connection[Any], types: Iterable[str]) -> bool:
        assert [*types]
        return bool(cast(StoreConnection, connection).scratch["entered"] == [[("begun with",)]])

    def run(self, cursor: psycopg.Cursor[Any], events: Sequence[RecordedEvent]) -> None:
        self.project(cursor, events)


def test_inline_projections_see_the_events_with_their_positions_in_the_same_transaction(
    database: Database, unit_of_work: Units
) -> None:
    fed: list[RecordedEvent] = []

    def project(cursor: psycopg.Cursor[Any], events: Sequence[RecordedEvent]) -> None:
        fed.extend(events)
        cursor.execute("CREATE TABLE IF NOT EXISTS balance (till text PRIMARY KEY, balance bigint)")
        for event in events:
            if isinstance(event.event, TillFilled):
                cursor.execute(
                    "INSERT INTO balance VALUES (%s, %s) ON CONFLICT (till) DO UPDATE SET balance ="
                    " balance.balance + EXCLUDED.balance",
                    [event.identifier, event.event.amount.minor],
                )

    unit_of_work.units = PostgresUnits(database, unit_of_work.ids, inline=Inline(project))
    answer = unit_of_work.write(lambda unit: unit.append(TILL, "A", [OPENED, filled(5), filled(6)]))
    assert [event.position for event in fed] == [event.position for event in answer.events]
    assert [str(event.event_id) for event in fed] == [event.event_id for event in answer.events]
    [(transaction,)] = rows(database, "SELECT DISTINCT transaction::text FROM event")
    assert {str(event.transaction) for event in fed} == {transaction}
    assert fed[0].event is OPENED
    assert rows(database, "SELECT * FROM balance") == [("A", 11)]
    bulk = unit_of_work.write(
        lambda unit: unit.load(TILL, "A") and unit.append(TILL, "A", [filled() for _ in range(INSERT_UP_TO + 1)])
    )
    assert [event.position for event in fed[3:]] == [event.position for event in bulk.events]
    assert rows(database, "SELECT * FROM balance") == [("A", 11 + INSERT_UP_TO + 1)]


def test_a_failing_inline_projection_takes_the_events_with_it(database: Database, unit_of_work: Units) -> None:
    def project(cursor: psycopg.Cursor[Any], events: Sequence[RecordedEvent]) -> None:
        cursor.execute("SELECT 1 / 0")

    unit_of_work.units = PostgresUnits(database, unit_of_work.ids, inline=Inline(project))
    with pytest.raises(psycopg.errors.DivisionByZero):
        unit_of_work.write(lambda unit: unit.append(TILL, "A", [OPENED]))
    assert rows(database, "SELECT count(*) FROM event") == [(0,)]


@pytest.mark.parametrize(
    "failure", [psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure, psycopg.errors.LockNotAvailable]
)
def test_a_transaction_that_had_to_give_way_may_be_run_again(
    database: Database, unit_of_work: Units, failure: type[psycopg.Error]
) -> None:
    def project(cursor: psycopg.Cursor[Any], events: Sequence[RecordedEvent]) -> None:
        raise failure

    unit_of_work.units = PostgresUnits(database, unit_of_work.ids, inline=Inline(project))
    with pytest.raises(ConcurrencyError):
        unit_of_work.write(lambda unit: unit.append(TILL, "A", [OPENED]))


class Register:
    """A read port."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def tills(self) -> int:
        row = self._connection.execute("SELECT count(DISTINCT stream) FROM event").fetchone()
        assert row is not None
        return int(row[0])


def test_a_port_reads_in_the_units_transaction_behind_its_locks(database: Database, unit_of_work: Units) -> None:
    unit_of_work.units = PostgresUnits(database, unit_of_work.ids, ports={Register: Register})
    context, found = unit_of_work.context(), []

    def other() -> None:
        with unit_of_work.begin() as unit:
            register = unit.port(Register)
            unit.lock("account A")
            found.append(register.tills())

    with unit_of_work.units.begin(context) as unit:
        assert unit.port(Register) is unit.port(Register)
        unit.lock("account A")
        assert unit.port(Register).tills() == 0
        thread = threading.Thread(target=other)
        thread.start()
        wait_until_blocked(database)
        unit.append(TILL, "A", [OPENED])
        unit.complete(answer_of(context), audit_of(context), commit=True)
    thread.join()
    assert found == [1]


# Writing before the end


def test_ports_see_what_was_flushed_and_the_rest_is_written_behind_it(database: Database, unit_of_work: Units) -> None:
    unit_of_work.units = PostgresUnits(database, unit_of_work.ids, ports={Register: Register})

    def decide(unit: PostgresUnitOfWork) -> None:
        unit.append(TILL, "A", [OPENED, filled(1)])
        assert unit.port(Register).tills() == 0
        unit.flush()
        assert unit.port(Register).tills() == 1
        assert unit.append(TILL, "A", [filled(2)]).version == 3
        unit.append(TILL, "B", [OPENED])

    answer = unit_of_work.write(decide, idempotency_key="K1")
    assert [(e.stream, e.stream_position) for e in answer.events] == [
        ("till:A", 1),
        ("till:A", 2),
        ("till:A", 3),
        ("till:B", 1),
    ]
    assert [event.position for event in answer.events] == [1, 2, 3, 4]
    assert verify_streams(database) == []
    assert rows(database, "SELECT count(DISTINCT recorded_at), count(DISTINCT transaction) FROM event") == [(1, 1)]


def test_many_events_may_be_written_several_times_in_one_unit(database: Database, unit_of_work: Units) -> None:
    many = [filled() for _ in range(INSERT_UP_TO + 1)]

    def decide(unit: PostgresUnitOfWork) -> None:
        unit.append(TILL, "A", many)
        unit.flush()
        unit.append(TILL, "B", many)

    answer = unit_of_work.write(decide)
    stored = rows(database, "SELECT stream, stream_position, position FROM event ORDER BY position")
    assert [(event.stream, event.stream_position, event.position) for event in answer.events] == stored
    assert len(stored) == 2 * len(many)


def test_what_was_flushed_goes_with_a_unit_that_is_given_up(database: Database, unit_of_work: Units) -> None:
    with suppress(ZeroDivisionError), unit_of_work.begin(idempotency_key="K1") as unit:
        unit.append(TILL, "A", [OPENED])
        unit.flush()
        raise ZeroDivisionError
    assert rows(database, "SELECT count(*) FROM event") == [(0,)]


def test_a_dry_run_may_flush_too(database: Database, unit_of_work: Units) -> None:
    context = unit_of_work.context(dry_run=True)
    with unit_of_work.units.begin(context) as unit:
        unit.append(TILL, "A", [OPENED])
        unit.flush()
        unit.append(TILL, "A", [filled(1)])
        answer = unit.complete(answer_of(context), audit_of(context), commit=True)
    assert [(e.stream_position, e.position, e.payload is None) for e in answer.events] == [
        (1, None, False),
        (2, None, False),
    ]
    assert rows(database, "SELECT count(*) FROM event") == [(0,)]


def test_the_recorded_time_increases_in_every_stream_also_when_some_were_flushed(
    database: Database, unit_of_work: Units
) -> None:
    for _ in range(3):
        unit_of_work.write(lambda unit: unit.load(TILL, "B") and unit.append(TILL, "B", [filled()]))

    def decide(unit: PostgresUnitOfWork) -> None:
        unit.load(TILL, "B")
        unit.append(TILL, "A", [OPENED])
        unit.flush()
        unit.append(TILL, "B", [filled()])
        unit.append(TILL, "A", [filled()])

    unit_of_work.write(decide)
    for stream in ("till:A", "till:B"):
        times = [
            row[0]
            for row in rows(database, "SELECT recorded_at FROM event WHERE stream = %s ORDER BY position", stream)
        ]
        assert times == sorted(times)
    [(distinct, count)] = rows(
        database, "SELECT count(DISTINCT recorded_at), count(*) FROM event WHERE stream = 'till:B'"
    )
    assert (distinct, count) == (4, 4)


@pytest.mark.rule("PLT-028")
def test_a_stream_that_others_moved_behind_a_flush_is_a_conflict(unit_of_work: Units) -> None:
    unit_of_work.write(lambda unit: unit.append(TILL, "B", [OPENED]))

    def decide(unit: PostgresUnitOfWork) -> None:
        unit.append(TILL, "A", [OPENED])
        unit.flush()
        unit_of_work.write(lambda other: other.load(TILL, "B") and other.append(TILL, "B", [filled(1)]))
        unit.load(TILL, "B")
        unit.append(TILL, "B", [filled(2)])

    with pytest.raises(ConcurrencyError):
        unit_of_work.write(decide)


def test_aggregates_read_in_bulk_are_not_kept_but_include_what_this_unit_did(unit_of_work: Units) -> None:
    unit_of_work.write(lambda unit: [unit.append(TILL, f"T{number}", [filled(number)]) for number in range(4)])
    with unit_of_work.begin() as unit:
        unit.load(TILL, "T1")
        unit.append(TILL, "T1", [filled(10)])
        found = unit.read_many(TILL, ["T1", "T2", "none"])
        assert {name: (till.state.balance, till.version) for name, till in found.items()} == {
            "T1": (11, 2),
            "T2": (2, 1),
        }
        assert set(unit._pending.streams) == {"till:T1"}


# Processes


def test_one_process_at_a_time_runs_on_a_subject(unit_of_work: Units) -> None:
    with unit_of_work.begin() as first:
        assert first.start_process("account A", "GENERATION") is None
        assert first.start_process("account A", "GENERATION") is None
        assert first.running_process("account A") is None
        first.load(TILL, "A")
        with unit_of_work.begin() as second:
            assert second.running_process("account A") == "GENERATION"
            assert second.running_process("account B") is None
            assert second.start_process("account A", "DISCARD") == "GENERATION"
            assert second.start_process("account B", "DISCARD") is None
    with unit_of_work.begin() as third:
        assert third.start_process("account A", "DISCARD") is None


# States kept, and snapshots


def another_process(database: Database, units: Units) -> Units:
    """Units of work that know nothing of what others have folded."""
    return replace(units, units=PostgresUnits(database, units.ids))


def counting_till(folded: list[object]) -> Aggregate[TillState]:
    """A till that notes which events it is folded of."""
    return Aggregate("till", TillState, TillState(), lambda state, event: folded.append(event) or evolve(state, event))


def test_a_stream_loaded_again_reads_only_what_came_behind_whoever_wrote_it(
    database: Database, unit_of_work: Units, monkeypatch: pytest.MonkeyPatch
) -> None:
    folded: list[object] = []
    till = counting_till(folded)
    unit_of_work.write(lambda unit: unit.append(TILL, "A", [OPENED, *(filled(1) for _ in range(20))]))
    with unit_of_work.begin() as unit:
        assert unit.load(till, "A").state.balance == 20
    another_process(database, unit_of_work).write(
        lambda unit: unit.load(TILL, "A") and unit.append(TILL, "A", [filled(4), filled(5)])
    )
    folded.clear()
    with unit_of_work.begin() as unit:
        calls = _count_round_trips(unit, monkeypatch)
        loaded = unit.load(till, "A")
        assert (loaded.state.balance, loaded.version) == (29, 23)
        assert [call.statement.name for trip in calls for call in trip] == ["begin", "stream_behind"]
    assert folded == [filled(4), filled(5)]
    with unit_of_work.begin() as unit:
        assert unit.load(till, "A").state.balance == 29
    assert len(folded) == 2


def test_what_a_command_made_of_a_stream_is_known_to_the_next_one(
    unit_of_work: Units, monkeypatch: pytest.MonkeyPatch
) -> None:
    folded: list[object] = []
    till = counting_till(folded)

    def flushed(unit: PostgresUnitOfWork) -> None:
        unit.append(till, "A", [OPENED, filled(1)])
        unit.flush()
        unit.append(till, "A", [filled(2)])

    unit_of_work.write(flushed)
    unit_of_work.write(lambda unit: unit.load(till, "A") and unit.append(till, "A", [filled(4)]) and unit.flush())
    folded.clear()
    with unit_of_work.begin() as unit:
        calls = _count_round_trips(unit, monkeypatch)
        loaded = unit.load(till, "A")
        assert (loaded.state, loaded.version) == (TillState("front", "USD", 7, 3), 4)
        assert [call.statement.name for trip in calls for call in trip] == ["begin", "stream_behind"]
    assert folded == []
    unit_of_work.write(lambda unit: unit.load(till, "A") and unit.append(till, "A", [filled(8)]))
    with unit_of_work.begin() as unit:
        assert unit.load(till, "A").state.balance == 15


@pytest.mark.parametrize("second", ["nothing", "write", "overtaken"])
def test_streams_that_such_a_command_loaded_before_come_in_one_round_trip(
    second: str, database: Database, unit_of_work: Units, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "AB":
        unit_of_work.write(lambda unit, name=name: unit.append(TILL, name, [OPENED, filled(1)]))

    def load_both(unit: PostgresUnitOfWork) -> list[int]:
        return [unit.load(TILL, name).state.balance for name in "AB"]

    with unit_of_work.begin() as unit:
        calls = _count_round_trips(unit, monkeypatch)
        assert load_both(unit) == [1, 1]
        assert len(calls) == 2  # nothing is known of what follows
    other = another_process(database, unit_of_work)
    if second == "write":
        other.write(lambda unit: unit.load(TILL, "B") and unit.append(TILL, "B", [filled(5)]))
    with unit_of_work.begin() as unit:
        calls = _count_round_trips(unit, monkeypatch)
        assert unit.load(TILL, "A").state.balance == 1
        if second == "overtaken":
            other.write(lambda unit: unit.load(TILL, "B") and unit.append(TILL, "B", [filled(5)]))
            unit.lock("till B")  # what was read before the lock was had is not gone on from
        assert unit.load(TILL, "B").state.balance == (1 if second == "nothing" else 6)
        assert len(calls) == (1 if second != "overtaken" else 2)
    with unit_of_work.begin(name="Other") as unit:
        calls = _count_round_trips(unit, monkeypatch)
        load_both(unit)
        assert len(calls) == 2  # another command is not expected to do the same


def test_a_stream_read_ahead_and_overtaken_meets_the_conflict(database: Database, unit_of_work: Units) -> None:
    for name in "AB":
        unit_of_work.write(lambda unit, name=name: unit.append(TILL, name, [OPENED]))
    other = another_process(database, unit_of_work)

    def decide(unit: PostgresUnitOfWork, *, overtaken: bool) -> None:
        unit.load(TILL, "A")
        if overtaken:
            other.write(lambda unit: unit.load(TILL, "B") and unit.append(TILL, "B", [filled(5)]))
        unit.load(TILL, "B")
        unit.append(TILL, "B", [filled(1)])

    unit_of_work.write(lambda unit: decide(unit, overtaken=False))
    with pytest.raises(ConcurrencyError):
        unit_of_work.write(lambda unit: decide(unit, overtaken=True))
    with unit_of_work.begin() as unit:
        assert unit.load(TILL, "B").state.balance == 6


def test_a_state_of_events_that_were_never_committed_is_not_gone_on_from(unit_of_work: Units) -> None:
    unit_of_work.write(lambda unit: unit.append(TILL, "A", [OPENED]))
    with unit_of_work.begin() as unit:
        unit.load(TILL, "A")
        unit.append(TILL, "A", [filled(100)])
        unit.complete(answer_of(unit_of_work.context()), audit_of(unit_of_work.context()), commit=False)
        unit.enter(unit_of_work.context())
        assert unit.load(TILL, "A").state.balance == 100  # as the next command of a batch sees it; then rolled back
    unit_of_work.write(lambda unit: unit.load(TILL, "A") and unit.append(TILL, "A", [filled(7)]))
    with unit_of_work.begin() as unit:
        assert unit.load(TILL, "A").state == TillState("front", "USD", 7, 1)


def test_a_decision_on_a_kept_state_still_meets_the_conflict(database: Database, unit_of_work: Units) -> None:
    unit_of_work.write(lambda unit: unit.append(TILL, "A", [OPENED]))
    with unit_of_work.begin() as unit:
        unit.load(TILL, "A")

    def overtaken(unit: PostgresUnitOfWork) -> None:
        unit.load(TILL, "A")
        another_process(database, unit_of_work).write(
            lambda other: other.load(TILL, "A") and other.append(TILL, "A", [filled(1)])
        )
        unit.append(TILL, "A", [filled(2)])

    with pytest.raises(ConcurrencyError) as raised:
        unit_of_work.write(overtaken)
    assert (raised.value.stream, raised.value.current_version) == ("till:A", 2)
    with unit_of_work.begin() as unit:
        assert unit.load(TILL, "A").state.balance == 1


def test_a_long_stream_is_loaded_from_its_snapshot(database: Database, unit_of_work: Units) -> None:
    for number in range(25):
        unit_of_work.write(
            lambda unit, number=number: (
                unit.load(TILL_WITH_SNAPSHOTS, "A") and unit.append(TILL_WITH_SNAPSHOTS, "A", [filled(number)])
            )
        )
    assert rows(database, "SELECT stream, stream_position FROM snapshot") == [("till:A", 20)]
    expected = TillState("", "", sum(range(25)), 25)
    with another_process(database, unit_of_work).begin() as unit:
        folded: list[object] = []
        counting = Aggregate("till", TillState, TillState(), lambda s, e: folded.append(e) or evolve(s, e), 10)
        assert unit.load(TILL_WITH_SNAPSHOTS, "A").state == expected
        assert unit.load(counting, "A").state == expected
    with another_process(database, unit_of_work).begin() as unit:
        # The aggregate that counts has another fold, so the snapshot is none of its own: it reads every event.
        assert unit.load(counting, "A").version == 25
        assert len(folded) == 25


def test_a_snapshot_is_the_head_of_a_stream_as_good_as_its_last_event(database: Database, unit_of_work: Units) -> None:
    for number in range(10):
        unit_of_work.write(
            lambda unit, number=number: (
                unit.load(TILL_WITH_SNAPSHOTS, "A") and unit.append(TILL_WITH_SNAPSHOTS, "A", [filled(number)])
            )
        )
    assert rows(database, "SELECT stream_position FROM snapshot") == [(10,)]
    answer = unit_of_work.write(
        lambda unit: unit.load(TILL_WITH_SNAPSHOTS, "A") and unit.append(TILL_WITH_SNAPSHOTS, "A", [filled(99)])
    )
    assert answer.events[0].stream_position == 11
    assert verify_streams(database) == []
    assert rows(database, "SELECT count(DISTINCT recorded_at) FROM event") == [(11,)]


def test_a_snapshot_of_another_state_of_the_source_is_ignored(database: Database, unit_of_work: Units) -> None:
    unit_of_work.write(lambda unit: unit.append(TILL_WITH_SNAPSHOTS, "A", [filled(1) for _ in range(20)]))
    with psycopg.connect(database.conninfo) as connection:
        connection.execute("""UPDATE snapshot SET state = replace(state::text, '"balance":20', '"balance":77')::json""")
    with another_process(database, unit_of_work).begin() as unit:
        assert unit.load(TILL_WITH_SNAPSHOTS, "A").state.balance == 77  # it is used
    with psycopg.connect(database.conninfo) as connection:
        connection.execute("UPDATE snapshot SET fingerprint = 'of an earlier release'")
    with another_process(database, unit_of_work).begin() as unit:
        assert unit.load(TILL_WITH_SNAPSHOTS, "A").state.balance == 20
        assert unit.load_many(TILL_WITH_SNAPSHOTS, ["A"])["A"].version == 20


def test_many_states_of_new_streams_are_stored_as_one_by_one(database: Database, unit_of_work: Units) -> None:
    events = [OPENED, *(filled(number) for number in range(20))]
    unit_of_work.write(lambda unit: unit.append(TILL_WITH_SNAPSHOTS, "one", events))
    names = [f"many-{number}" for number in range(REPLACE_UP_TO + 2)]

    def decide(unit: PostgresUnitOfWork) -> None:
        unit.load(TILL_WITH_SNAPSHOTS, "one")
        unit.append(TILL_WITH_SNAPSHOTS, "one", events[1:])
        for name in names:
            unit.append(TILL_WITH_SNAPSHOTS, name, events)

    unit_of_work.write(decide)
    found = rows(database, "SELECT stream, stream_position, fingerprint, state::text, hash FROM snapshot")
    assert len(found) == len(names) + 1
    expected = stream_store.state_text(TillState("front", "USD", 190, 20))
    heads = dict(rows(database, "SELECT stream, hash FROM event WHERE stream_position = 21"))
    mark = stream_store.fingerprint(TILL_WITH_SNAPSHOTS)
    assert {row for row in found if row[0] != "till:one"} == {
        (f"till:{name}", 21, mark, expected, heads[f"till:{name}"]) for name in names
    }
    assert [row[1:4] for row in found if row[0] == "till:one"] == [
        (41, mark, stream_store.state_text(TillState("front", "USD", 380, 40)))
    ]
    [(recorded, transactions)] = rows(
        database,
        "SELECT count(DISTINCT e.recorded_at), count(DISTINCT e.transaction) FROM snapshot s JOIN event e"
        " USING (stream, stream_position, recorded_at, transaction, hash)",
    )
    assert (recorded, transactions) == (1, 1)
    with another_process(database, unit_of_work).begin() as unit:
        for name in names:
            assert unit.load(TILL_WITH_SNAPSHOTS, name).state == TillState("front", "USD", 190, 20)
    assert verify_streams(database) == []


def test_the_fingerprint_tells_apart_states_folds_and_kinds() -> None:
    other_fold = Aggregate("till", TillState, TillState(), _other_fold, 10)
    same_file = Aggregate("till", TillState, TillState(), _same_fold, 10)
    other_state = Aggregate("till", Money, Money(0, "USD"), evolve, 10)  # type: ignore[arg-type]
    kinds = (TILL_WITH_SNAPSHOTS, other_fold, same_file, other_state)
    assert len({stream_store.fingerprint(aggregate) for aggregate in kinds}) == 4
    assert stream_store.fingerprint(TILL_WITH_SNAPSHOTS) == stream_store.fingerprint(TILL)


def _same_fold(state: TillState, happened: object) -> TillState:
    return state


def _other_fold(state: TillState, happened: object) -> TillState:
    return state


# The command's circumstances


def test_a_unit_tells_the_commands_circumstances(unit_of_work: Units) -> None:
    day = dt.date(2025, 2, 1)
    with unit_of_work.begin(effective_date=day, confirmations=("a", "b")) as unit:
        assert unit.now == dt.datetime(2025, 3, 1, 12, tzinfo=dt.UTC)
        assert (unit.today(), unit.today("Pacific/Auckland")) == (dt.date(2025, 3, 1), dt.date(2025, 3, 2))
        assert (unit.effective_date, unit.confirmations, unit.channel) == (day, {"a", "b"}, "TEST")
        assert unit.principal.identifier == "clerk"
        assert unit.new_id().version == 7
