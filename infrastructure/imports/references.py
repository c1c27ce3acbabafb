"""Looks up, in the register, the numbers of ours that a partner's file mentions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg

from application.register import Directory, ItemRegister
from infrastructure.postgres.database import Database

Connection = psycopg.Connection[Any]


class RegisterReferences:
    """The port `References`; the two factories bind ports to a connection."""

    def __init__(
        self,
        database: Database,
        directory: Callable[[Connection], Directory],
        items: Callable[[Connection], ItemRegister],
    ) -> None:
        self._database = database
        self._directory = directory
        self._items = items

    def account(self, word: str) -> str | None:
        with self._database.writing() as connection:
            return self._directory(connection).resolve_account(word)

    def account_of_invoice(self, word: str) -> str | None:
        with self._database.writing() as connection:
            found = self._items(connection).account_of_invoice(word)
        return None if found is None else found[0]
