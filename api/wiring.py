"""Puts the service together: database, log, projections, commands, and the edge in front of them.

The one place where every room meets. A `System` is what a process works with, whatever it does: serve requests, follow
the log, run jobs, import files. It is opened from the settings of the environment and closed at the end of a `with`.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID

import psycopg
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

import application.use_cases  # noqa: F401  declares the commands
from api.app import create_app
from api.graphql.execution import Executor
from api.graphql.router import graphql_router
from api.graphql.schema import schema
from api.services import Lifespan, Readiness, ReadinessCheck, Services
from api.settings import Settings
from application.anyb_times import AnybTimes
from application.balance_checks import DispatchedFindings
from application.cascade_runs import CASCADE_RUN, COMMAND, CascadeRuns
from application.clock import Clock, MovableClock, SystemClock, UuidSource
from application.command import CommandAnswer, CommandRequest
from application.dispatch import Dispatcher
from application.files.content import FileContent
from application.hub_exceptions import HUB_EVENT_COMMAND, RefusedHubEvents
from application.imports.enrolment import EnrolmentTerms
from application.imports.importer import Imports
from application.job_runs import JOBS, FenceGuard, JobRuns, RunFences, Starter
from application.scope import ScopeGuard
from application.security import SecondFactorGuard
from application.waiver_reconciliation import WAIVER_COMMAND, MisalignedWaivers
from domain.errors import Problem
from infrastructure.anyb_times import PostgresAnybTimes
from infrastructure.auth.chain import authenticator_of
from infrastructure.auth.sandbox import SandboxIssuer
from infrastructure.command_status import PostgresCommandStatus
from infrastructure.event_store.log import EventLog
from infrastructure.event_store.log_source import PostgresLogSource
from infrastructure.files.collecting import ReadingLimits
from infrastructure.files.reader import read_file
from infrastructure.housekeeping import Housekeeping
from infrastructure.imports.references import RegisterReferences
from infrastructure.imports.store import PostgresImports
from infrastructure.jobs.accounts import RegisterAccounts
from infrastructure.jobs.broker import BrokerStarter, broker_of
from infrastructure.jobs.cascades import CascadeItems
from infrastructure.jobs.lease import SchedulerLease
from infrastructure.jobs.scheduler import Scheduler
from infrastructure.jobs.store import PostgresFences, PostgresRuns
from infrastructure.jobs.threads import BackgroundWork
from infrastructure.jobs.times import JobTimes
from infrastructure.postgres.clock import PostgresClockOffset
from infrastructure.postgres.command_records import PostgresAuditTrail
from infrastructure.postgres.connection import StoreConnection
from infrastructure.postgres.database import Database, connect
from infrastructure.postgres.migrate import migrate
from infrastructure.postgres.query_records import PostgresQueryTrail
from infrastructure.postgres.server import EmbeddedServer
from infrastructure.unit_of_work import PortFactory, PostgresUnits
from projections.cascades.queries import PORTS as CASCADE_PORTS
from projections.cascades.queries import CascadeQueries
from projections.engine import (
    InlineProjections,
    ProjectionCollector,
    ProjectionSet,
    Projector,
    ReadModels,
    Rebuilder,
    Statuses,
)
from projections.read_models import INLINE, read_models
from projections.register.fold import register
from projections.register.queries import PORTS, DirectoryQueries, ItemQueries, JobWorkQueries

_logger: Final = logging.getLogger(__name__)

#: What runs until its event is set.
Loop = Callable[[threading.Event], None]


@dataclass
class System:
    """Everything a process of the service works with. `server` is the embedded PostgreSQL when this process owns it."""

    settings: Settings
    database: Database
    clock: Clock
    server: EmbeddedServer | None = None

    def __post_init__(self) -> None:
        self.ids = UuidSource(self.clock)
        self.projections: ProjectionSet = read_models()
        self.inline = InlineProjections(self.projections)
        self.log = EventLog(self.database.writing)
        self.log_source = PostgresLogSource(self.database.writing)
        self.units = PostgresUnits(self.database, self.ids, inline=self.inline, ports=self._ports())
        self.rebuilder = Rebuilder(self.projections, self.database.writing, self.log_source)
        self.projector = Projector(self.projections, self.database.writing, self.log_source)
        self.read_models = ReadModels(
            self.projections, self.database.reading, PostgresLogSource(self.database.reading), self.clock
        )
        self.statuses = Statuses(self.projections, self.database.writing, self.log_source, self.clock)
        self._background: BackgroundWork[UUID] = BackgroundWork("job", self._work_on_run)
        self._importing: BackgroundWork[str] = BackgroundWork("file", self._work_on_file)
        self.dispatcher = Dispatcher(
            self.units,
            PostgresAuditTrail(self.database),
            self.clock,
            self.ids,
            guards=(SecondFactorGuard(SystemClock()), ScopeGuard(), FenceGuard()),
            continuations={COMMAND: self._go_on_with_cascade},
            aftermaths={WAIVER_COMMAND: self._reconcile_waiver, HUB_EVENT_COMMAND: self._look_into_hub_event},
        )

    @cached_property
    def jobs(self) -> JobRuns:
        """Runs of jobs: worked on by a worker behind BROKER_URL, else by threads of this process."""
        starter: Starter = self._background.start
        if self.settings.broker_url is not None:
            starter = BrokerStarter(broker_of(self.settings.broker_url))
        return JobRuns(
            PostgresRuns(self.database),
            RegisterAccounts(self.database, self._port(DirectoryQueries), self._port(JobWorkQueries)),
            self.dispatcher,
            self.clock,
            self.ids,
            starter,
            definitions={**JOBS, CASCADE_RUN.type.name: CASCADE_RUN},
            items={CASCADE_RUN.type.name: self._cascade_items},
        )

    @cached_property
    def _cascade_items(self) -> CascadeItems:
        return CascadeItems(self.database, self._port(CascadeQueries))

    @cached_property
    def cascades(self) -> CascadeRuns:
        """Master policy transactions on their way through the records."""
        return CascadeRuns(self.jobs, self._cascade_items.running)

    @cached_property
    def imports(self) -> Imports:
        """Partner files: what is sent is taken in by threads of this process."""
        return Imports(
            PostgresImports(self.database),
            read_partner_file,
            RegisterReferences(self.database, self._port(DirectoryQueries), self._port(ItemQueries)),
            self.dispatcher,
            self.clock,
            self._importing.start,
            terms=EnrolmentTerms(take_test=self.settings.sandbox),
        )

    def _go_on_with_cascade(self, request: CommandRequest, answer: CommandAnswer) -> CommandAnswer:
        return self.cascades.go_on(request, answer)

    def _reconcile_waiver(self, request: CommandRequest, problems: Sequence[Problem]) -> None:
        MisalignedWaivers(self.dispatcher, self.clock).refused(request, problems)

    def _look_into_hub_event(self, request: CommandRequest, problems: Sequence[Problem]) -> None:
        RefusedHubEvents(self.dispatcher, self.clock).refused(request, problems)

    def _work_on_file(self, sha256: str, stopping: Callable[[], bool]) -> None:
        self.imports.work(sha256, stopping=stopping)

    def _work_on_run(self, run: UUID, stopping: Callable[[], bool]) -> None:
        self.jobs.work(run, stopping=stopping)

    @cached_property
    def scheduler(self) -> Scheduler:
        """The schedule of the jobs; it also takes up files left half taken in, and keeps the store."""
        keeping = Housekeeping(self.database, self.clock, purge=self.rebuilder.purge)
        return Scheduler(
            self.jobs,
            self.clock,
            JobTimes(self.database),
            leads=SchedulerLease(self.database).leads,
            resume=(self.cascades.resume, self.imports.resume, keeping.tick),
        )

    @cached_property
    def issuer(self) -> SandboxIssuer:
        """The sandbox's own token issuer."""
        return SandboxIssuer(f"{self.settings.public_url}/v1/sandbox", now=lambda: SystemClock().now().timestamp())

    def prepare(self) -> tuple[str, ...]:
        """Migrate the database and make the read models there are events enough for; those left to rebuild."""
        for name in migrate(self.database.conninfo):
            _logger.info("applied migration %s", name)
        return self.rebuilder.prepare()

    def services(self, **members: Any) -> Services:
        """What the edge is wired to; `members` replace or add some of it."""
        given: dict[str, Any] = {
            "dispatcher": self.dispatcher,
            "authenticator": authenticator_of(
                self.database,
                self.clock,
                oidc_issuer=self.settings.oidc_issuer,
                oidc_audience=self.settings.oidc_audience,
                oidc_jwks_url=self.settings.oidc_jwks_url,
                oidc_roles_claim=self.settings.oidc_roles_claim,
                sandbox=self.issuer if self.settings.sandbox else None,
            ),
            "settings": self.settings,
            "clock": self.clock,
            "ids": self.ids,
            "graphql": graphql_router(
                Executor(
                    schema(),
                    self.read_models,
                    self.clock,
                    PostgresQueryTrail(self.database),
                    DispatchedFindings(self.dispatcher),
                ),
                workers=self.settings.limits.workers,
            ),
            "command_status": PostgresCommandStatus(self.database),
            "jobs": self.jobs,
            "files": self.imports,
            "sandbox_clock": self.clock if isinstance(self.clock, MovableClock) else None,
            "sandbox_issuer": self.issuer if self.settings.sandbox else None,
            "readiness": self._readiness(),
            "metrics": self._metrics(),
        }
        return Services(**(given | members))

    def app(self, *, projecting: bool = True, scheduling: bool = False, **members: Any) -> FastAPI:
        """The HTTP application; with `projecting` its process also follows the log, with `scheduling` it also starts
        jobs by the schedule, as a small deployment wants it."""
        loops: list[tuple[str, Loop]] = []
        if projecting:
            loops.append(("projector", self.projector.run))
        if scheduling:
            loops.append(("scheduler", self.scheduler.run))
        if loops:
            members.setdefault("lifespan", _beside(loops))
        return create_app(self.services(**members))

    def wait_for_background(self) -> None:
        """Wait until no run and no file is being worked on in this process."""
        self._background.wait()
        self._importing.wait()

    def close(self) -> None:
        """Stop background work behind its present item, close the pools, and stop the embedded server if it is ours."""
        self._background.close()
        self._importing.close()
        self.database.close()
        if self.server is not None:
            self.server.stop()

    def __enter__(self) -> System:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ports(self) -> dict[type, PortFactory]:
        queries = (*PORTS.items(), *CASCADE_PORTS.items())
        return {kind: self._port(one) for kind, one in queries} | {
            AnybTimes: PostgresAnybTimes,
            RunFences: PostgresFences,
        }

    def _port(self, queries: Any) -> PortFactory:
        def make(connection: psycopg.Connection[Any]) -> Any:
            scratch = cast(StoreConnection, connection).scratch
            if register.name not in scratch:
                scratch[register.name] = self._inline_tables(connection)
            return queries(connection.cursor(), scratch[register.name])

        return make

    def _inline_tables(self, connection: psycopg.Connection[Any]) -> dict[str, str]:
        """The tables that ports read: the register's by their own names, others with their read model's in front."""
        schemas = self.inline.schemas(connection)
        return {
            table.name if model is register else f"{model.name}_{table.name}": f'"{schemas[model.name]}"."{table.name}"'
            for model in INLINE
            for table in model.tables
        }

    def _metrics(self) -> CollectorRegistry:
        """A registry of this system alone, with where its read models stand (PLT-106)."""
        registry = CollectorRegistry()
        registry.register(ProjectionCollector(self.statuses.all))
        return registry

    def _readiness(self) -> tuple[ReadinessCheck, ...]:
        def database() -> Readiness:
            try:
                self.database.ping()
            except Exception:
                return Readiness("database", False, "unreachable")
            return Readiness("database", True)

        def projections() -> Readiness:
            try:
                missing = self.statuses.ready()
            except Exception:
                return Readiness("projections", False, "unreachable")
            return Readiness("projections", not missing, ", ".join(missing))

        return database, projections


#: Code values beyond the implementation guide that are taken: life insurance as an insurance line.
_AGREED_CODES: Final = (("HD03", frozenset({"LIF"})),)


def read_partner_file(name: str, content: bytes) -> FileContent:
    """Read a partner's file as this service agreed to. Raises FileRefused."""
    return read_file(name, content, ReadingLimits(agreed_codes=_AGREED_CODES))


def _beside(loops: list[tuple[str, Loop]]) -> Lifespan:
    """Runs loops in threads while the application serves."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        stop = threading.Event()
        threads = [threading.Thread(target=loop, args=(stop,), name=name, daemon=True) for name, loop in loops]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(timeout=10)

    return lifespan


def look_for_garbage_rarely() -> None:
    """For the whole process: commands over thousands of records make many objects and next to no cycles."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def open_system(
    settings: Settings, *, folder: Path | None = None, server_settings: dict[str, str] | None = None
) -> System:
    """A system on the settings' database, else on the embedded one in the data folder; migrated and prepared.

    `server_settings` are those of the embedded server, such as the ones of a server whose data nobody keeps."""
    look_for_garbage_rarely()
    environment = {
        name: value
        for name, value in (
            ("DATABASE_URL", settings.database_url),
            ("DATABASE_READ_URL", settings.database_read_url),
        )
        if value
    }
    database, server = connect(
        environment, folder=folder or settings.data_directory / "postgres", settings=server_settings
    )
    try:
        migrate(database.conninfo)
        clock = MovableClock(PostgresClockOffset(database), production=not settings.sandbox)
        system = System(settings, database, clock, server)
        left = system.prepare()
    except BaseException:
        database.close()
        if server is not None:
            server.stop()
        raise
    if left:
        _logger.warning("to be rebuilt: %s", ", ".join(left))
    return system
