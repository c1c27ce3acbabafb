"""Several prepared statements in one network round trip."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from enum import StrEnum
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infrastructure.postgres.connection import BEGIN, COMMIT, ROLLBACK, Call, Statement, StoreConnection
from infrastructure.postgres.database import Database

ECHO = Statement(
    "echo",
    "SELECT $1::text, $2::bigint, $3::bool, $4::bytea, $5::uuid, $6::timestamptz, $7::date, $8::text[], $9::bigint[],"
    " $10::json",
)
ONE = Statement("one", "SELECT 1")
DIVIDE = Statement("divide", "SELECT 10 / $1::int")
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


class Colour(StrEnum):
    RED = "RED"


@pytest.fixture
def connection(database: Database) -> Iterator[StoreConnection]:
    with database.writing() as connection:
        yield connection


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(
    st.tuples(
        TEXT,
        st.integers(-(2**63), 2**63 - 1),
        st.booleans(),
        st.binary(),
        st.uuids(),
        st.datetimes(timezones=st.just(dt.UTC)),
        st.dates(),
        st.lists(TEXT),
        st.lists(st.integers(-(2**63), 2**63 - 1)),
    )
)
def test_every_value_comes_back_as_it_was_sent(connection: StoreConnection, values: tuple[object, ...]) -> None:
    [[row]] = connection.round_trip(Call(ECHO, [*values, '{"b" : 1}']))
    assert row == (*values, b'{"b" : 1}')


def test_nothing_comes_back_as_nothing(connection: StoreConnection) -> None:
    [[row]] = connection.round_trip(Call(ECHO, [None] * 10))
    assert row == (None,) * 10


def test_an_enumeration_of_strings_is_sent_as_its_string(connection: StoreConnection) -> None:
    [[row]] = connection.round_trip(Call(ECHO, [Colour.RED, *[None] * 9]))
    assert row[0] == "RED"


def test_a_value_of_an_unknown_type_is_refused_before_anything_is_sent(connection: StoreConnection) -> None:
    with pytest.raises(TypeError, match="complex"):
        connection.round_trip(Call(ONE), Call(ECHO, [1j] * 10))
    assert connection.round_trip(Call(ONE)) == [[(1,)]]


def test_calls_run_in_order_and_each_has_its_rows(connection: StoreConnection) -> None:
    many = Statement("many", "SELECT n FROM generate_series(1, $1::int) n")
    results = connection.round_trip(Call(BEGIN), Call(many, [3]), Call(many, [0]), Call(ONE), Call(COMMIT))
    assert results == [[], [(1,), (2,), (3,)], [], [(1,)], []]


def test_a_statement_is_prepared_once(connection: StoreConnection) -> None:
    for _ in range(3):
        connection.round_trip(Call(ONE), Call(ONE))
    names = connection.execute("SELECT name FROM pg_prepared_statements WHERE name = 'one'").fetchall()
    assert names == [("one",)]


def test_a_failing_call_stops_those_behind_it_and_the_connection_goes_on(connection: StoreConnection) -> None:
    connection.execute("CREATE TABLE mark (n int)")
    mark = Statement("mark", "INSERT INTO mark VALUES ($1::int)")
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.round_trip(Call(BEGIN), Call(mark, [1]), Call(DIVIDE, [0]), Call(mark, [2]), Call(COMMIT))
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
    connection.round_trip(Call(ROLLBACK))
    assert connection.round_trip(Call(DIVIDE, [5]), Call(mark, [3])) == [[(2,)], []]
    assert connection.execute("SELECT n FROM mark").fetchall() == [(3,)]


def test_a_statement_that_cannot_be_prepared_is_an_error_each_time(connection: StoreConnection) -> None:
    bad = Statement("bad", "SELECT nothing FROM nowhere")
    for _ in range(2):
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.round_trip(Call(ONE), Call(bad), Call(ONE))
    assert connection.round_trip(Call(ONE)) == [[(1,)]]


def test_more_than_the_network_holds_goes_both_ways_at_once(connection: StoreConnection) -> None:
    big = "x" * 2_000_000
    results = connection.round_trip(*[Call(ECHO, [big, *[None] * 9]) for _ in range(8)])
    assert [len(rows[0][0]) for rows in results] == [2_000_000] * 8


def test_a_lost_connection_is_an_operational_error_and_not_used_again(database: Database) -> None:
    with database.writing() as connection, psycopg.connect(database.conninfo, autocommit=True) as other:
        connection.round_trip(Call(ONE))
        other.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            connection.round_trip(Call(ONE))
        assert connection.closed
    with database.writing() as another:
        assert another.round_trip(Call(ONE)) == [[(1,)]]


def test_a_statement_that_takes_too_long_is_ended(connection: StoreConnection) -> None:
    connection.execute("SET statement_timeout = '30ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.round_trip(Call(Statement("sleep", "SELECT pg_sleep(5)")))
    assert connection.round_trip(Call(ONE)) == [[(1,)]]


def test_uuids_are_uuids(connection: StoreConnection) -> None:
    [[row]] = connection.round_trip(Call(Statement("a_uuid", "SELECT $1::uuid, pg_current_xact_id()"), [UUID(int=5)]))
    assert row[0] == UUID(int=5)
    assert isinstance(row[1], int)


def test_threads_with_a_connection_each_do_not_disturb_one_another(database: Database) -> None:
    wrong: list[object] = []

    def work(number: int) -> None:
        for step in range(50):
            with database.writing() as connection:
                [[row]] = connection.round_trip(Call(DIVIDE, [number])) if step % 2 else [[(10 // number,)]]
                if row != (10 // number,):
                    wrong.append(row)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
