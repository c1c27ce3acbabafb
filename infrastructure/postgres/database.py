"""One database: the pool for writing, the pool for reading, and the limits every connection works under.

Commands and projections use the write pool, queries the read pool, which goes to the replica of `DATABASE_READ_URL`
when there is one. No connection waits for ever: a statement, a lock, and a transaction left idle each have a limit, so
that one stuck client cannot hold back the readers of the log.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infrastructure.postgres.connection import StoreConnection
from infrastructure.postgres.pool import FaithfulPool
from infrastructure.postgres.server import DEFAULT_FOLDER, EmbeddedServer


@dataclass(frozen=True, slots=True)
class Limits:
    """How long, in milliseconds, a connection may take, and how many connections there may be."""

    statement: int = 120_000
    lock: int = 10_000
    idle_in_transaction: int = 300_000
    query: int = 30_000
    connect: int = 10_000
    pool_wait: int = 30_000
    writers: int = 20
    readers: int = 20


class Database:
    """The two pools. Opened on construction, closed by `close` or at the end of a `with`."""

    def __init__(self, conninfo: str, read_conninfo: str | None = None, *, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self.conninfo = conninfo
        self.writers = _pool("writers", conninfo, limits, limits.statement, limits.writers)
        self.readers = _pool("readers", read_conninfo or conninfo, limits, limits.query, limits.readers)

    @contextmanager
    def writing(self) -> Iterator[StoreConnection]:
        """A connection of the write pool, in autocommit mode; a transaction left open is rolled back."""
        with self.writers.connection() as connection:
            connection.scratch = {}
            yield connection

    @contextmanager
    def reading(self) -> Iterator[StoreConnection]:
        """A connection of the read pool, read-only by default, in autocommit mode."""
        with self.readers.connection() as connection:
            yield connection

    def ping(self) -> None:
        """Raises when the database cannot be asked."""
        with self.writing() as connection:
            connection.execute("SELECT 1")

    def close(self) -> None:
        self.writers.close()
        self.readers.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(
    environment: Mapping[str, str] = os.environ,
    *,
    folder: Path = DEFAULT_FOLDER,
    name: str = "rollon",
    limits: Limits | None = None,
    settings: dict[str, str] | None = None,
) -> tuple[Database, EmbeddedServer | None]:
    """The database of `DATABASE_URL` (and `DATABASE_READ_URL`), else the embedded server's in the data folder.

    The server is returned so that its owner can stop it behind the pools. Nothing is migrated here. `settings` are
    those of the embedded server; a server of one's own has its own.
    """
    url = environment.get("DATABASE_URL")
    if url:
        return Database(url, environment.get("DATABASE_READ_URL") or None, limits=limits), None
    server = EmbeddedServer(folder, settings=settings).start()
    return Database(server.ensure_database(name), limits=limits), server


def _pool(name: str, conninfo: str, limits: Limits, statement: int, size: int) -> FaithfulPool:
    given = conninfo_to_dict(conninfo)
    options = [
        str(given.get("options") or ""),
        f"-c statement_timeout={statement}",
        f"-c lock_timeout={limits.lock}",
        f"-c idle_in_transaction_session_timeout={limits.idle_in_transaction}",
        "-c timezone=UTC",
        "-c jit=off",
    ]
    if name == "readers":
        options.append("-c default_transaction_read_only=on")
    return FaithfulPool(
        make_conninfo(
            conninfo,
            options=" ".join(filter(None, options)),
            connect_timeout=max(1, limits.connect // 1000),
            application_name=f"rollon {name}",
            tcp_user_timeout=limits.statement,
        ),
        max_size=size,
        timeout=limits.pool_wait / 1000,
        name=name,
    )
