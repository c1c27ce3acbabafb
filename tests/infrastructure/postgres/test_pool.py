"""Which connection a pool gives, and that it is a pool for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg_pool import PoolTimeout

from infrastructure.postgres.connection import StoreConnection
from infrastructure.postgres.pool import FaithfulPool


@pytest.fixture
def pool(conninfo: str) -> Iterator[FaithfulPool]:
    with FaithfulPool(conninfo, max_size=3, timeout=10, name="test") as pool:
        yield pool


def three(pool: FaithfulPool) -> list[StoreConnection]:
    return [pool.getconn() for _ in range(3)]


def test_a_thread_gets_the_connection_it_had_before_if_that_is_free(pool: FaithfulPool) -> None:
    connections = three(pool)
    for connection in connections:
        pool.putconn(connection)
    with ThreadPoolExecutor(1) as other:
        theirs = other.submit(pool.getconn).result()
        assert theirs is connections[2]  # a thread that had none gets the one used last
        mine = pool.getconn()
        assert mine is connections[1]  # the one it had is taken
        pool.putconn(theirs)
        pool.putconn(mine)
        for _ in range(5):
            assert other.submit(pool.getconn).result() is theirs
            assert pool.getconn() is mine
            pool.putconn(mine)
            pool.putconn(theirs)


def test_a_connection_that_is_gone_is_not_given_again(pool: FaithfulPool) -> None:
    connections = three(pool)
    connections[2].close()
    for connection in connections:
        pool.putconn(connection)
    again = three(pool)
    assert len(set(map(id, again))) == 3
    assert connections[2] not in again
    assert [connection.execute("SELECT 1").fetchall() for connection in again] == [[(1,)]] * 3
    with pytest.raises(PoolTimeout):
        pool.getconn(timeout=0.05)
    for connection in again:
        pool.putconn(connection)
