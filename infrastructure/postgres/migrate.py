"""Migrations: numbered SQL files, each applied once, in order, under a lock that lets one process at a time do it.

They only ever expand the schema (PLT-109): two releases run side by side, and what is no longer used goes in a later
release. A file that was applied is never edited; its hash is kept and compared. Each file is one transaction.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import psycopg

#: The migrations of this release.
FOLDER = Path(__file__).parent.parent / "migrations"

_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")
_LOCK = 7_246_001  # the number is arbitrary; it only has to be the same everywhere
#: No migration may hold a lock for longer than this (PLT-109).
_LOCK_TIMEOUT = "2s"


class MigrationError(Exception):
    """The migrations of this release do not fit the database: one applied before was edited or is missing."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: number, name, SQL text."""

    number: int
    name: str
    text: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations(folder: Path = FOLDER) -> list[Migration]:
    """The migrations of a folder in the order of their numbers. Raises MigrationError for a number used twice."""
    found: dict[int, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.match(path.name)
        if match is None:
            raise MigrationError(f"{path.name} is not named like 0001_words.sql")
        number = int(match.group(1))
        if number in found:
            raise MigrationError(f"{path.name} and {found[number].name} have the same number")
        found[number] = Migration(number, path.name, path.read_text())
    return [found[number] for number in sorted(found)]


def migrate(conninfo: str, folder: Path = FOLDER) -> list[str]:
    """Apply what is missing; the names of the files applied. Waits while another process is doing the same."""
    with psycopg.connect(conninfo, autocommit=True, application_name="rollon migrate") as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        try:
            return _apply_missing(connection, migrations(folder))
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def pending(conninfo: str, folder: Path = FOLDER) -> list[str]:
    """The names of the files not yet applied; empty when the database is ready for this release."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return [migration.name for migration in _missing(connection, migrations(folder))]


def _apply_missing(connection: psycopg.Connection, known: list[Migration]) -> list[str]:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migration (number integer PRIMARY KEY, name text NOT NULL, digest text NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now())"
    )
    applied = []
    for migration in _missing(connection, known):
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            connection.execute(migration.text.encode())
            connection.execute(
                "INSERT INTO migration (number, name, digest) VALUES (%s, %s, %s)",
                [migration.number, migration.name, migration.digest],
            )
        applied.append(migration.name)
    return applied


def _missing(connection: psycopg.Connection, known: list[Migration]) -> list[Migration]:
    exists = connection.execute("SELECT to_regclass('migration') IS NOT NULL").fetchone()
    if exists is None or not exists[0]:
        return known
    applied: dict[int, str] = dict(connection.execute("SELECT number, digest FROM migration").fetchall())
    # A database ahead of this release is fine: the newer release only expanded it.
    for migration in known:
        if applied.get(migration.number, migration.digest) != migration.digest:
            raise MigrationError(f"{migration.name} was changed after it was applied")
    return [migration for migration in known if migration.number not in applied]
