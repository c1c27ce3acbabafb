"""A real PostgreSQL with an empty event log for every test of the engine, and the means to write to that log."""

from __future__ import annotations

import datetime as dt
import itertools
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from application.clock import ManualClock
from application.log import START, RecordedEvent
from infrastructure.event_store.codec import canonical
from infrastructure.event_store.log import EventLog
from infrastructure.event_store.log_source import PostgresLogSource
from infrastructure.postgres.connection import StoreConnection
from infrastructure.postgres.server import EmbeddedServer
from projections.engine import InlineProjections, Mode, ProjectionSet, Projector, Rebuilder, catalogue
from projections.engine.database import Connection
from tests.projections.engine.toy import Expected, account_of, toy_set

NOON = dt.datetime(2025, 3, 1, 12, tzinfo=dt.UTC)
NAMESPACE = uuid.UUID(int=7)


class Workbench:
    """A database with an event log, and the engine's parts on it."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self.clock = ManualClock(NOON)
        self.log = PostgresLogSource(self.connect)
        self._positions: dict[str, int] = defaultdict(int)
        self._ids = itertools.count(1)

    @contextmanager
    def connect(self, lock_timeout: int = 0) -> Iterator[StoreConnection]:
        """A connection whose statements may wait for a lock for `lock_timeout` milliseconds (0: for ever)."""
        options = f"-c timezone=UTC -c jit=off -c lock_timeout={lock_timeout}"
        connection = StoreConnection.connect(self.conninfo, autocommit=True, options=options)
        try:
            yield connection
        finally:
            connection.close()

    def append(self, connection: Connection, events: Sequence[object]) -> list[RecordedEvent]:
        """Append events in the connection's transaction, each to the stream of its account, as of the clock."""
        if not events:
            return []
        rows = []
        for happened in events:
            stream = f"toy:{account_of(happened)}"
            self._positions[stream] += 1
            number = next(self._ids)
            rows.append(
                (stream, self._positions[stream], type(happened).__name__, uuid.uuid5(NAMESPACE, str(number)),
                 NOON.date(), NOON + dt.timedelta(milliseconds=number), canonical(happened).decode())
            )  # fmt: skip
        values = ", ".join(["(%s, %s, %s, 1, %s, %s, %s, 'USER', 'u', 'c', 'API', %s, %s, '', '', %s)"] * len(rows))
        sql = (
            "insert into event (stream, stream_position, type, schema_version, event_id, effective_date, recorded_at,"
            " actor_kind, actor, client, channel, command_id, correlation_id, previous_hash, hash, payload) values "
            + values.replace("'', '',", "decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex'),")
            + " returning position, transaction::text::bigint"
        )
        parameters = [v for row in rows for v in (*row[:6], uuid.UUID(int=1), uuid.UUID(int=2), row[6])]
        places = connection.execute(sql, parameters).fetchall()
        return [
            RecordedEvent(position, transaction, row[0], row[1], row[2], happened, row[5], row[4], row[3], "u",
                          uuid.UUID(int=1), uuid.UUID(int=2), None)
            for (position, transaction), row, happened in zip(places, rows, events, strict=True)
        ]  # fmt: skip

    def append_apart(self, connection: Connection, happened: object) -> None:
        """Append one event to a stream of its own; may be called from several threads."""
        connection.execute(
            "insert into event (stream, stream_position, type, schema_version, event_id, effective_date, recorded_at,"
            " actor_kind, actor, client, channel, command_id, correlation_id, previous_hash, hash, payload) values"
            " (%s, 1, %s, 1, %s, %s, %s, 'USER', 'u', 'c', 'API', %s, %s, %s, %s, %s)",
            (f"toy:{uuid.uuid4()}", type(happened).__name__, uuid.uuid4(), NOON.date(), NOON, uuid.UUID(int=1),
             uuid.UUID(int=2), bytes(32), bytes(32), canonical(happened).decode()),
        )  # fmt: skip

    def commit(
        self, events: Sequence[object], inline: InlineProjections | None = None, *, lock_timeout: int = 0
    ) -> list[RecordedEvent]:
        """Append events and feed the inline projections, in one transaction, as a command does."""
        with self.connect(lock_timeout) as connection, connection.transaction():
            recorded = self.append(connection, events)
            if inline is not None:
                with connection.cursor() as cursor:
                    inline.run(cursor, recorded)
            return recorded

    def events(self) -> list[RecordedEvent]:
        """The whole log, in its order."""
        reader, found = EventLog(self.connect), []
        after = START
        while more := reader.read(after, 10_000):
            found += more
            after = more[-1].place
        return found

    def rebuilder(self, projections: ProjectionSet, **options: Any) -> Rebuilder:
        return Rebuilder(projections, self.connect, self.log, **options)

    def projector(self, projections: ProjectionSet, **options: Any) -> Projector:
        return Projector(projections, self.connect, self.log, **options)

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return connection.execute(sql, parameters or None).fetchall()

    def rows(self, projections: ProjectionSet) -> Expected:
        """All rows of the live generations in key order."""
        with self.connect() as connection:
            live = catalogue.live(connection)
            return {
                f"{projection.name}.{table.name}": connection.execute(
                    f"select * from {table.qualified(live[projection.name].schema)} order by {', '.join(table.key)}"
                ).fetchall()
                for projection in projections.values()
                for table in projection.tables
            }

    def text(self, projections: ProjectionSet) -> dict[str, list[str]]:
        """All rows of the live generations as PostgreSQL writes them, in key order: equal means byte for byte."""
        with self.connect() as connection:
            live = catalogue.live(connection)
            return {
                f"{projection.name}.{table.name}": [
                    row for (row,) in connection.execute(
                        f"select t::text from {table.qualified(live[projection.name].schema)} t"
                        f" order by {', '.join(table.key)}"
                    )
                ]
                for projection in projections.values()
                for table in projection.tables
            }  # fmt: skip


@pytest.fixture(scope="session")
def new_workbench(
    database_server: EmbeddedServer, migrated_template: str
) -> Callable[[], AbstractContextManager[Workbench]]:
    """Makes workbenches with databases of their own, for tests that need more than one."""
    numbers = itertools.count(1)

    @contextmanager
    def make() -> Iterator[Workbench]:
        name = f"engine_{next(numbers)}"
        bench = Workbench(database_server.copy_database(migrated_template, name))
        with bench.connect() as connection:
            catalogue.install(connection)
        try:
            yield bench
        finally:
            database_server.drop_database(name)

    return make


@pytest.fixture
def bench(new_workbench: Callable[[], AbstractContextManager[Workbench]]) -> Iterator[Workbench]:
    with new_workbench() as made:
        yield made


@pytest.fixture
def following() -> ProjectionSet:
    return toy_set(Mode.FOLLOWING)


@pytest.fixture
def inline() -> ProjectionSet:
    return toy_set(Mode.INLINE)
