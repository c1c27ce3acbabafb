"""What tests with a database share: one embedded PostgreSQL a test process, a fresh migrated database a test.

A database is a copy of a migrated template, made in some 15 ms; the server forgets about durability, since nobody keeps
its data. Rooms whose tests are pure never start it.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from application.clock import Clock, ManualClock, UuidSource
from application.command import CommandRequest, Principal
from application.dispatch import CommandContext, fingerprint_of
from infrastructure.event_store.log import EventLog
from infrastructure.postgres.database import Database
from infrastructure.postgres.migrate import migrate
from infrastructure.postgres.server import THROWAWAY_SETTINGS, EmbeddedServer
from infrastructure.unit_of_work import PostgresUnitOfWork, PostgresUnits

_TEMPLATE = "migrated_template"
_names = itertools.count(1)


@pytest.fixture(scope="session")
def database_server() -> Iterator[EmbeddedServer]:
    """The embedded server of this test process, in a folder that goes with it."""
    with (
        throwaway_folder() as folder,
        EmbeddedServer(folder / "pg", settings=THROWAWAY_SETTINGS) as server,
    ):
        yield server


@contextmanager
def throwaway_folder() -> Iterator[Path]:
    """A folder with a short path, in memory where the system offers it; it is removed at the end."""
    memory = Path("/dev/shm")
    place = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="rollon-test-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_template(database_server: EmbeddedServer) -> str:
    """The name of a database with all migrations applied, to be copied."""
    migrate(database_server.ensure_database(_TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def conninfo(database_server: EmbeddedServer, migrated_template: str) -> Iterator[str]:
    """The connection string of a fresh migrated database."""
    name = f"test_{next(_names)}"
    yield database_server.copy_database(migrated_template, name)
    database_server.drop_database(name)


@pytest.fixture
def database(conninfo: str) -> Iterator[Database]:
    """A fresh migrated database."""
    with Database(conninfo) as database:
        yield database


@pytest.fixture
def event_store(database: Database) -> EventLog:
    """The log of the fresh database, read with its writers' connections."""
    return EventLog(database.writing)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at noon UTC of 2025-03-01 until the test moves it."""
    return ManualClock(dt.datetime(2025, 3, 1, 12, tzinfo=dt.UTC))


@pytest.fixture
def ids(clock: ManualClock) -> UuidSource:
    return UuidSource(clock)


@dataclass
class Units:
    """Opens units of work without a dispatcher: for tests of what lies below it."""

    units: PostgresUnits
    clock: Clock
    ids: UuidSource
    principal: Principal = field(
        default_factory=lambda: Principal("USER", "clerk", "console", frozenset({"till.manage"}), person="P-1")
    )

    def context(self, **members: Any) -> CommandContext:
        request = CommandRequest(
            name=members.pop("name", "Test"),
            payload=members.pop("payload", {}),
            principal=members.pop("principal", self.principal),
            channel="TEST",
            **members,
        )
        now = self.clock.now()
        return CommandContext(request, self.ids.new(), self.ids.new(), fingerprint_of(request), now)

    def begin(self, **members: Any) -> Any:
        """A unit of work as a context manager; members are those of the request."""
        return self.units.begin(self.context(**members))

    def write(self, decide: Callable[[PostgresUnitOfWork], object], **members: Any) -> Any:
        """Run `decide` in a unit of its own and commit; the answer with events and position."""
        context = self.context(**members)
        with self.units.begin(context) as unit:
            decide(unit)
            return unit.complete(answer_of(context), audit_of(context), commit=True)


def answer_of(context: CommandContext) -> Any:
    """An answer without anything in it, for the unit of work to complete."""
    from application.command import CommandAnswer

    return CommandAnswer(str(context.command_id), {}, (), None)


def audit_of(context: CommandContext) -> Any:
    """The audit record of an accepted command."""
    from application.dispatch import AuditRecord

    request = context.request
    return AuditRecord(
        command_id=context.command_id,
        command=request.name,
        principal=request.principal,
        channel=request.channel,
        idempotency_key=request.idempotency_key,
        fingerprint=context.fingerprint,
        accepted=True,
        replayed=False,
        dry_run=False,
        layer=None,
        codes=(),
        positions={},
        correlation_id=context.correlation_id,
        recorded_at=context.now,
        duration=0,
    )


@pytest.fixture
def unit_of_work(database: Database, clock: ManualClock, ids: UuidSource) -> Units:
    """Units of work on the fresh database: `with unit_of_work.begin() as unit`, or `unit_of_work.write(decide)`."""
    return Units(PostgresUnits(database, ids), clock, ids)


@pytest.fixture
def fresh_key() -> Callable[[], str]:
    """Idempotency keys never used before."""
    return lambda: f"key-{uuid4()}"
