"""The whole service as it is wired, and a client that speaks to it in the rulebook's commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from httpx import Response
from starlette.testclient import TestClient

if TYPE_CHECKING:
    from api.wiring import System

WEEKEND = {"name": "US-EAST", "weekend_days": [6, 7], "execution_time": "06:00"}
MONTHLY = {"frequency": "MONTHLY", "due_day_mode": "CALENDAR_DAY", "due_days": [1]}


class Service:
    """A client of the whole service."""

    def __init__(self, system: System, client: TestClient) -> None:
        self.system = system
        self.client = client
        self._sent = 0

    def send(
        self, name: str, payload: Any, *roles: str, key: str | None = None, content: bytes | None = None, **claims: Any
    ) -> Response:
        self._sent += 1
        token = self.system.issuer.token("ann", roles or ("ADM", "BOF"), **claims)
        headers = {
            "Authorization": f"Bearer {token}",
            "Idempotency-Key": key or f"service-{self._sent}",
            "Content-Type": "application/json",
        }
        path = "/v1/commands/batch" if name == "batch" else f"/v1/commands/{name}"
        if content is not None:
            return self.client.post(path, content=content, headers=headers)
        return self.client.post(path, json=payload if name == "batch" else {"payload": payload}, headers=headers)

    def done(self, name: str, payload: Any, *roles: str) -> dict[str, Any]:
        """The result of a command that is accepted."""
        response = self.send(name, payload, *roles)
        assert response.status_code == 200, response.text
        result: dict[str, Any] = response.json()["result"]
        return result

    def events(self) -> int:
        with self.system.database.writing() as connection:
            row = connection.execute("SELECT count(*) FROM event").fetchone()
        assert row is not None
        return int(row[0])

    def account(self, owner: str = "C-100") -> str:
        """An active account."""
        return str(self.done("CreateBillingAccount", account_of(owner))["account"])


def account_of(owner: str, **members: Any) -> dict[str, Any]:
    return {"owner": owner, "name": "Northwind BA", "currency": "USD", "schedule": MONTHLY, **members}


def customer(reference: str, **members: Any) -> dict[str, Any]:
    return {
        "reference": reference,
        "kind": "ORGANIZATION",
        "role": "GROUP_SPONSOR",
        "legal_name": "Northwind Mills Inc.",
        "legal_identification": f"98-{reference}",
        "address": {"line1": "1 Mill Lane", "city": "Austin", "state": "TX", "postal_code": "78701", "country": "US"},
        **members,
    }
