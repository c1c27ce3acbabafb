"""What the edge is wired to: one value that holds everything, made in one place, passed to whoever serves a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from api.settings import Settings
from application.clock import Clock, MovableClock, UuidSource
from application.command import CommandAnswer, CommandRegistry, CommandRequest, CommandType
from application.command_status import CommandStatusReader
from application.dispatch import CommandRefused, Layer
from application.jobs import JobRunner
from application.security import Authenticator
from application.uploads import FileImporter
from domain.errors import Problem


class CommandDispatcher(Protocol):
    """The dispatcher as the edge uses it (application.dispatch.Dispatcher)."""

    def authorise(self, request: CommandRequest) -> None:
        """Privilege and second factor alone, before the body is read. Raises CommandRefused."""
        ...

    def refuse(self, request: CommandRequest, layer: Layer, problems: Sequence[Problem]) -> CommandRefused:
        """Record a refusal that the edge decided."""
        ...

    def put_on_record(self, request: CommandRequest, subject: str, problems: Sequence[Problem] = ()) -> None:
        """Record what was asked for besides commands, and done or refused elsewhere."""
        ...

    def execute(self, request: CommandRequest) -> CommandAnswer:
        """Run one command. Raises CommandRefused."""
        ...

    def execute_atomic(self, requests: Sequence[CommandRequest]) -> list[CommandAnswer]:
        """Run the commands of one account, all or none. Raises BatchRefused."""
        ...


class TokenIssuer(Protocol):
    """The sandbox's own issuer (infrastructure.auth.sandbox.SandboxIssuer)."""

    issuer: str
    lifetime: int

    def token(
        self,
        user: str,
        roles: Sequence[str],
        *,
        client: str = "sandbox",
        person: str | None = None,
        scope_nodes: Sequence[str] | None = None,
        second_factor: bool = False,
    ) -> str: ...

    def jwks(self) -> dict[str, Any]: ...

    def discovery(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Readiness:
    """The result of one readiness check. `detail` names no data and no secret (PLT-106)."""

    name: str
    ready: bool
    detail: str = ""


ReadinessCheck = Callable[[], Readiness]
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the edge needs. What is None is not offered: its addresses answer 404.

    `commands` are those that are offered and documented, by default all that are declared.
    `graphql` is mounted under /v1/graphql and /graphql behind authentication; `mounts` are other applications by path
    (the console). `metrics` is the registry /metrics shows: other rooms add their collectors to it.
    """

    dispatcher: CommandDispatcher
    authenticator: Authenticator
    settings: Settings
    clock: Clock
    ids: UuidSource
    commands: Mapping[str, CommandType] = field(default_factory=lambda: CommandRegistry.types)
    command_status: CommandStatusReader | None = None
    graphql: APIRouter | None = None
    jobs: JobRunner | None = None
    files: FileImporter | None = None
    sandbox_clock: MovableClock | None = None
    sandbox_issuer: TokenIssuer | None = None
    readiness: Sequence[ReadinessCheck] = ()
    mounts: Sequence[tuple[str, ASGIApp]] = ()
    lifespan: Lifespan | None = None
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)
