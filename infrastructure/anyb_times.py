"""The times of ANYB calculations in the database, in the transaction of the command or of the query."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg
from psycopg.types.json import Json

from application.anyb_times import AnybTime


class PostgresAnybTimes:
    """The port `AnybTimes`, bound to a connection."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def calculated(self, account: str, at: dt.datetime, kept: Mapping[str, str]) -> None:
        before = self._read([account], " FOR UPDATE").get(account)
        document = {
            record: {"code": code, "calculated_at": _text(before.of_record(record) if before else None)}
            for record, code in kept.items()
        }
        self._connection.execute(
            "INSERT INTO anyb_calculation (account, calculated_at, kept) VALUES (%s, %s, %s) ON CONFLICT (account)"
            " DO UPDATE SET calculated_at = EXCLUDED.calculated_at, kept = EXCLUDED.kept",
            [account, at, Json(document)],
        )

    def of(self, accounts: Iterable[str]) -> dict[str, AnybTime]:
        return self._read(list(accounts), "")

    def _read(self, accounts: list[str], locking: str) -> dict[str, AnybTime]:
        with self._connection.cursor() as cursor:
            cursor.execute(
                f"SELECT account, calculated_at, kept FROM anyb_calculation WHERE account = ANY(%s){locking}",
                [accounts],
            )
            return {account: AnybTime(at, _times(kept)) for account, at, kept in cursor.fetchall()}


def _times(kept: Mapping[str, Mapping[str, str | None]]) -> dict[str, dt.datetime | None]:
    found: dict[str, dt.datetime | None] = {}
    for record, told in kept.items():
        at = told["calculated_at"]
        found[record] = None if at is None else dt.datetime.fromisoformat(at)
    return found


def _text(at: dt.datetime | None) -> str | None:
    return None if at is None else at.isoformat()
