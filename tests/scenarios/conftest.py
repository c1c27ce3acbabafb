"""The whole service as its clients see it: every scenario speaks HTTP to the real application on a real database."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.openapi import openapi_document
from api.settings import Settings
from api.wiring import System
from application.clock import ManualClock
from infrastructure.postgres.database import Database
from infrastructure.postgres.migrate import migrate
from infrastructure.postgres.server import EmbeddedServer
from tests.scenarios.books import Books, check_all, check_snapshots, events_of

_TEMPLATE = "service_template"
_databases = itertools.count(1)
_keys = itertools.count(1)

#: Roles that, between them, may do everything the scenarios do.
STAFF = ("ADM", "BOF", "POL", "HUB", "EXT")

#: Commands that these roles may not give, and the role that may.
_OTHERS = {"UnallocatePayment": ("ARA",), "ReallocatePayment": ("ARA",)}


class RefusedError(AssertionError):
    """The service refused a command that the scenario takes for granted; holds the problem document."""

    def __init__(self, name: str, status: int, document: Mapping[str, Any]) -> None:
        super().__init__(f"{name}: {status} {document}")
        self.status = status
        self.document = document


@dataclass
class World:
    """A client of a running service, with a clock of its own and short words for what scenarios do most."""

    client: TestClient
    system: System
    clock: ManualClock
    roles: tuple[str, ...] = STAFF
    names: dict[str, str] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)

    # Time

    def on(self, day: str, hour: int = 12) -> World:
        """It is now this day, at noon in UTC unless told otherwise."""
        self.clock.set(dt.datetime.combine(dt.date.fromisoformat(day), dt.time(hour), dt.UTC))
        return self

    # Commands

    def send(
        self,
        name: str,
        /,
        *,
        roles: tuple[str, ...] = (),
        envelope: Mapping[str, Any] | None = None,
        key: str | None = None,
        **payload: Any,
    ) -> Any:
        """Send a command, under a fresh idempotency key unless one is given; the response, whatever it is."""
        acting = roles or _OTHERS.get(name, self.roles)
        token = self.system.issuer.token("ann", acting, person="P-ANN", second_factor=True)
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key or f"key-{next(_keys)}"}
        body = {"payload": payload, **(envelope or {})}
        response = self.client.post(f"/v1/commands/{name}", json=body, headers=headers)
        if response.status_code >= 400:
            code = response.json()["code"]
            assert code in self._documented(name, response.status_code), f"{name} does not document {code}"
        return response

    def _documented(self, name: str, status: int) -> list[str]:
        """The codes that the OpenAPI document gives for a refusal of the command with this status."""
        if not self.document:
            self.document.update(openapi_document(self.system.services()))
        responses = self.document["paths"][f"/v1/commands/{name}"]["post"]["responses"]
        codes: list[str] = responses.get(str(status), {}).get("x-codes", [])
        return codes

    def do(self, name: str, /, **payload: Any) -> dict[str, Any]:
        """Send a command that must be accepted; its result."""
        response = self.send(name, **payload)
        if response.status_code != 200:
            raise RefusedError(name, response.status_code, response.json())
        result: dict[str, Any] = response.json()["result"]
        return result

    def refused(self, name: str, /, **payload: Any) -> tuple[int, list[str]]:
        """Send a command that must be refused; the status and the codes of all its problems."""
        response = self.send(name, **payload)
        assert response.status_code != 200, response.json()
        return response.status_code, [problem["code"] for problem in response.json()["problems"]]

    # The log

    def head(self) -> int:
        """The position of the last event."""
        return self.system.log.head().position

    def events(self, *types: type) -> list[Any]:
        """The events of these types, in the order of the log."""
        return [one.event for one in events_of(self.system) if isinstance(one.event, types)]

    def check(self, account: str) -> Books:
        """The laws of cash, items and premium hold on the account (see books.py); its books."""
        return check_all(self.system, account)

    def verify(self) -> None:
        """Every read model and the register are, row by row, what a rebuild from the log gives (PLT-024)."""
        self.system.projector.catch_up()
        for name in self.system.projections:
            [report] = self.system.rebuilder.verify([name])
            assert report.equal, report
        check_snapshots(self.system)

    # Queries

    def query(self, text: str, /, *, roles: tuple[str, ...] = (), **variables: Any) -> dict[str, Any]:
        """A GraphQL query that must succeed, on read models that have caught up; its data."""
        self.system.projector.catch_up()
        token = self.system.issuer.token("ann", roles or self.roles, person="P-ANN")
        response = self.client.post(
            "/v1/graphql", json={"query": text, "variables": variables}, headers={"Authorization": f"Bearer {token}"}
        )
        assert response.status_code == 200, response.text
        answer = response.json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    # A group to bill

    def calendar(self) -> None:
        """A business calendar, the default one, without holidays; invoices are generated 15 days ahead."""
        self.do(
            "CreateBillingCalendar",
            name="US",
            weekend_days=[6, 7],
            holidays=[],
            working_weekends=[],
            execution_time="06:00",
        )
        self.do("SetDefaultBillingCalendar", name="US")
        self.do("DefineGenerationRule", calendar="US", number_of_days_ahead=15)

    def sponsor(self, reference: str = "C-1", **members: Any) -> str:
        self.do(
            "CreateBillingCustomer",
            **{
                "reference": reference,
                "kind": "ORGANIZATION",
                "role": "GROUP_SPONSOR",
                "legal_name": "Northwind Mills",
                "legal_identification": f"98-{reference}",
                "email": "benefits@northwind.example",
                "address": {
                    "line1": "1 Mill Lane",
                    "city": "Austin",
                    "state": "TX",
                    "postal_code": "78701",
                    "country": "US",
                },
                **members,
            },
        )
        return reference

    def policy(self, sponsor: str, reference: str = "MP-1", start: str = "2025-01-01", **members: Any) -> str:
        self.do(
            "CreateMasterPolicyProduct",
            **{
                "master_policy": reference,
                "sponsor": sponsor,
                "product": "GROUP-LIFE",
                "line_of_business": "LIFE",
                "bill_type": "LIST_BILL",
                "currency": "USD",
                "effective_date": start,
                **members,
            },
        )
        return reference

    def account(self, owner: str, **members: Any) -> str:
        result = self.do(
            "CreateBillingAccount",
            **{
                "owner": owner,
                "currency": "USD",
                "schedule": {"frequency": "MONTHLY", "due_day_mode": "CALENDAR_DAY", "due_days": [1]},
                "activate": True,
                **members,
            },
        )
        return str(result["account"])

    def setup(self, policy: str, account: str, **members: Any) -> str:
        started = self.do(
            "StartBillingSetup",
            **{
                "master_policy": policy,
                "bill_type": "LIST_BILL",
                "allocation_mode": "TRUE_GROUP",
                "setup_type": "SINGLE_BILL",
                "account": account,
                **members,
            },
        )
        reference = str(started["setup_ref"])
        self.do("SaveBillingSetup", setup_ref=reference, entries=[{"account": account}])
        self.do("IssueBillingSetup", setup_ref=reference)
        return reference

    def group(self, **policy: Any) -> tuple[str, str]:
        """A sponsor with a policy billed monthly to one account on the first; (account, policy)."""
        self.calendar()
        sponsor = self.sponsor()
        reference = self.policy(sponsor, **policy)
        account = self.account(sponsor, in_single_bill_setup=True)
        self.setup(reference, account)
        return account, reference

    def member(
        self, policy: str, record: str = "MR-1", start: str = "2025-01-01", annual: str = "1200.00", **members: Any
    ) -> dict[str, Any]:
        return self.do(
            "ApplyNewBusiness",
            **{
                "transaction_id": f"NB-{record}",
                "member_record": record,
                "master_policy": policy,
                "customer": f"P-{record}",
                "first_name": "Ada",
                "last_name": "Miller",
                "effective_date": start,
                "amounts": [{"coverage": "LIFE", "annual_amount": annual}],
                **members,
            },
        )


@pytest.fixture(scope="session")
def service_template(database_server: EmbeddedServer) -> str:
    """A database as the service leaves it after its first start."""
    conninfo = database_server.ensure_database(_TEMPLATE)
    migrate(conninfo)
    with System(
        Settings(sandbox=True), Database(conninfo), ManualClock(dt.datetime(2025, 1, 1, tzinfo=dt.UTC))
    ) as system:
        assert system.prepare() == ()
    return _TEMPLATE


@contextmanager
def fresh_world(server: EmbeddedServer, template: str) -> Iterator[World]:
    """A service with nothing in it, at noon of 2025-01-01."""
    name = f"scenario_{next(_databases)}"
    conninfo = server.copy_database(template, name)
    clock = ManualClock(dt.datetime(2025, 1, 1, 12, tzinfo=dt.UTC))
    base = Settings(sandbox=True)
    settings = replace(base, rates=replace(base.rates, enabled=False))
    with System(settings, Database(conninfo), clock) as system, TestClient(system.app(projecting=False)) as client:
        yield World(client, system, clock)
    server.drop_database(name)


@pytest.fixture
def world(database_server: EmbeddedServer, service_template: str) -> Iterator[World]:
    """A service with nothing in it, at noon of 2025-01-01."""
    with fresh_world(database_server, service_template) as world:
        yield world
