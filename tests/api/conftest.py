"""The real application on a real database, with tokens of the sandbox's issuer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from httpx import Response
from starlette.testclient import TestClient

import application.platform  # noqa: F401  declares the platform's commands
from api.app import create_app
from api.services import Services
from api.settings import Rates, Settings
from application.clock import ManualClock, SystemClock, UuidSource
from application.command import CommandRegistry
from application.dispatch import Dispatcher
from application.security import SecondFactorGuard
from infrastructure.auth.chain import authenticator_of
from infrastructure.auth.sandbox import SandboxIssuer
from infrastructure.command_status import PostgresCommandStatus
from infrastructure.postgres.command_records import PostgresAuditTrail
from infrastructure.postgres.database import Database
from infrastructure.unit_of_work import PostgresUnits
from tests.api.boxes import HANDLERS, TYPES
from tests.api.service import Service, customer

PLATFORM = ("IssueApiKey", "RotateApiKey", "RevokeApiKey", "SetParameter")
_keys = itertools.count(1)


@dataclass
class Api:
    """A client of the application, and what the application stands on."""

    client: TestClient
    services: Services
    issuer: SandboxIssuer
    clock: ManualClock
    database: Database
    tokens: dict[tuple[str, ...], str] = field(default_factory=dict)

    def token(self, *roles: str, user: str = "ann", **claims: Any) -> str:
        """A token for a user with these roles."""
        return self.issuer.token(user, roles, **claims)

    def headers(self, *roles: str, key: str | None = None, **claims: Any) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.token(*roles, **claims)}"}
        return headers if key is None else {**headers, "Idempotency-Key": key}

    def send(
        self,
        name: str,
        payload: Mapping[str, Any] | None = None,
        *roles: str,
        key: str | None = "",
        headers: Mapping[str, str] | None = None,
        claims: Mapping[str, Any] | None = None,
        path: str = "",
        **envelope: Any,
    ) -> Response:
        """Send one command; a fresh key unless one is given, none for None."""
        sent = {
            **self.headers(*(roles or ("ADM", "BOF")), **(claims or {})),
            **({} if key is None else {"Idempotency-Key": key or f"key-{next(_keys)}"}),
            **(headers or {}),
        }
        body = {**({} if payload is None else {"payload": payload}), **envelope}
        return self.client.post(path or f"/v1/commands/{name}", json=body, headers=sent)

    def post(self, path: str, content: Any, *roles: str, **headers: str) -> Response:
        """Send a body as it is."""
        sent = {"Content-Type": "application/json", **self.headers(*(roles or ("ADM", "BOF"))), **headers}
        return self.client.post(path, content=content, headers={k.replace("_", "-"): v for k, v in sent.items()})

    def events(self) -> int:
        """How many events there are."""
        with self.database.writing() as connection:
            row = connection.execute("SELECT count(*) FROM event").fetchone()
        assert row is not None
        return int(row[0])

    def audit(self) -> list[tuple[str, str, str | None, list[str]]]:
        """The audit trail: command, outcome, layer, codes."""
        with self.database.writing() as connection:
            return connection.execute(
                "SELECT command, outcome, layer, codes FROM command_audit ORDER BY transaction, position"
            ).fetchall()


MakeApi = Callable[..., Api]


@pytest.fixture
def make_api(database: Database, clock: ManualClock, ids: UuidSource) -> Iterator[MakeApi]:
    """Makes the application, with members of its services or settings replaced."""
    opened: list[TestClient] = []

    def make(settings: Settings | None = None, **members: Any) -> Api:
        issuer = SandboxIssuer("http://testserver/v1/sandbox", now=lambda: SystemClock().now().timestamp())
        types = {name: CommandRegistry.types[name] for name in PLATFORM} | TYPES
        handlers = {name: CommandRegistry.handlers[name] for name in PLATFORM} | HANDLERS
        dispatcher = Dispatcher(
            PostgresUnits(database, ids),
            PostgresAuditTrail(database),
            clock,
            ids,
            guards=(SecondFactorGuard(SystemClock()),),
            types=types,
            handlers=handlers,
        )
        authenticator = authenticator_of(database, clock, oidc_issuer=None, oidc_audience=None, sandbox=issuer)
        base = Settings(sandbox=True)
        services = Services(
            dispatcher=dispatcher,
            authenticator=authenticator,
            settings=settings or replace(base, rates=replace(base.rates, enabled=False)),
            clock=clock,
            ids=ids,
            commands=types,
            command_status=PostgresCommandStatus(database),
            sandbox_issuer=issuer,
        )
        client = TestClient(create_app(replace(services, **members)), raise_server_exceptions=True)
        client.__enter__()
        opened.append(client)
        return Api(client, services, issuer, clock, database)

    yield make
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def api(make_api: MakeApi) -> Api:
    """The application as a sandbox serves it."""
    return make_api()


@pytest.fixture
def service(database: Database, clock: ManualClock) -> Iterator[Service]:
    """The whole service, with a customer."""
    from api.wiring import System  # only these tests need every room

    system = System(Settings(sandbox=True, rates=Rates(enabled=False)), database, clock)
    assert system.prepare() == ()
    with TestClient(create_app(system.services())) as client:
        service = Service(system, client)
        service.done("CreateBillingCustomer", customer("C-100"))
        yield service


def problem(response: Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of a refused request, checked for its form (PLT-015)."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["code"] == code, document
    assert document["type"] == f"urn:billing:problem:{code}"
    assert document["status"] == status
    assert document["detail"] == document["problems"][0]["message"]
    assert set(document) >= {"title", "layer", "instance", "correlation_id", "retryable", "retry_after_s"}
    for member in document["problems"]:
        assert set(member) == {"code", "message", "pointer", "entity", "params", "hint"}
    return document


def pointers(document: Mapping[str, Any]) -> list[str | None]:
    """The pointers of a problem document."""
    return [member["pointer"] for member in document["problems"]]
