"""Two ways to prepare statements on one connection: ours by name, psycopg's by itself."""

from __future__ import annotations

from infrastructure.postgres.connection import Call, Statement
from infrastructure.postgres.database import Database

_ONE = Statement("test_one", "SELECT 1")


def test_statements_survive_psycopg_forgetting_its_own(database: Database) -> None:
    with database.writing() as connection:
        assert connection.round_trip(Call(_ONE)) == [[(1,)]]
        for _ in range(10):  # often enough for psycopg to prepare it
            connection.execute("SELECT 2")
        connection.execute("CREATE TEMPORARY TABLE passing ()")
        connection.execute("DROP TABLE passing")  # whereupon it forgets everything that is prepared
        connection.execute("SELECT 3")
        assert connection.round_trip(Call(_ONE)) == [[(1,)]]
