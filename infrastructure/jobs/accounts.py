"""The accounts that jobs go through, from the register's directory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg

from application.register import Directory
from infrastructure.postgres.database import Database


class DirectoryAccounts:
    """The port `Accounts`; `directory` binds the port `Directory` to a connection."""

    def __init__(self, database: Database, directory: Callable[[psycopg.Connection[Any]], Directory]) -> None:
        self._database = database
        self._directory = directory

    def due_order(self, after: str, limit: int) -> list[str]:
        with self._database.writing() as connection:
            return self._directory(connection).accounts_due_order(after, limit)

    def resolve(self, number: str) -> str | None:
        with self._database.writing() as connection:
            return self._directory(connection).resolve_account(number)
