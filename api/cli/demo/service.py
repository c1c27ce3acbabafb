"""The service of the demonstration, and a client that speaks to it as any other would: over HTTP."""

from __future__ import annotations

import datetime as dt
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import uvicorn

from api.cli.opening import throw_away
from api.wiring import System
from application.clock import MovableClock

#: Who does what: no one person may hold all of these rights together.
STAFF = ("ADM", "BOF")
POLICY_SYSTEM = ("POL",)
CASH_DESK = ("ARA",)
OPERATIONS = ("OPS",)
AUDITOR = ("AUD",)

_PATIENCE = 60.0


class DemoError(Exception):
    """The service answered something that the story does not expect."""


class Client:
    """A client of the service at a URL."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._tokens: dict[tuple[str, ...], str] = {}

    def command(self, name: str, /, *, roles: Sequence[str] = STAFF, **payload: Any) -> dict[str, Any]:
        """Send a command; its answer. Raises DemoError when it is refused."""
        headers = {"Idempotency-Key": str(uuid4())}
        return self._json("POST", f"/v1/commands/{name}", {"payload": payload}, roles, headers)

    def query(self, text: str, **variables: Any) -> dict[str, Any]:
        """A GraphQL query; its data."""
        answer = self._json("POST", "/v1/graphql", {"query": text, "variables": variables}, AUDITOR)
        if answer.get("errors"):
            raise DemoError(str(answer["errors"][0]["message"]))
        data: dict[str, Any] = answer["data"]
        return data

    def send_file(self, kind: str, name: str, content: bytes) -> dict[str, Any]:
        """Send a file and follow it to its end; its receipt."""
        roles = POLICY_SYSTEM if kind == "ENROLMENT" else CASH_DESK
        sent = self._json("POST", f"/v1/files?kind={kind}&name={name}", content, roles)
        receipt = self._until(f"/v1/files/{sent['sha256']}", roles, lambda found: found["report"]["left"] == 0)
        return {**receipt, "repeated": sent["repeated"]}

    def run_job(self, job: str) -> dict[str, Any]:
        """Run a job to its end."""
        run = self._json("POST", f"/v1/jobs/{job}", {}, OPERATIONS)
        ended = ("COMPLETED", "COMPLETED_WITH_EXCEPTIONS", "FAILED", "CANCELLED", "PAUSED")
        return self._until(f"/v1/jobs/{run['run_id']}", OPERATIONS, lambda found: found["state"] in ended)

    def move_clock(self, day: dt.date, hour: int = 12) -> None:
        """It is now this day."""
        instant = dt.datetime.combine(day, dt.time(hour), dt.UTC)
        self._json("POST", "/v1/sandbox/clock", {"now": f"{instant:%Y-%m-%dT%H:%M:%SZ}"}, OPERATIONS)

    def wait(self) -> None:
        """Wait until the service answers."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._token(AUDITOR)
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > deadline:
                    raise DemoError("the service does not answer") from None
                time.sleep(0.05)
            else:
                return

    def _until(self, path: str, roles: Sequence[str], reached: Any) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE
        while True:
            found = self._json("GET", path, None, roles)
            if reached(found):
                return found
            if time.monotonic() > deadline:
                raise DemoError(f"{path} does not end")
            time.sleep(0.02)

    def _token(self, roles: Sequence[str]) -> str:
        key = tuple(roles)
        if key not in self._tokens:
            body = {"user": "-".join(roles).lower(), "roles": list(roles), "second_factor": True}
            self._tokens[key] = self._json("POST", "/v1/sandbox/token", body, None)["access_token"]
        return self._tokens[key]

    def _json(
        self,
        method: str,
        path: str,
        body: Any,
        roles: Sequence[str] | None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        raw = isinstance(body, bytes)
        data = body if raw or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, dict(headers or {}), method=method)
        request.add_header("Content-Type", "application/octet-stream" if raw else "application/json")
        if roles is not None:
            request.add_header("Authorization", f"Bearer {self._token(roles)}")
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as response:
                answer: dict[str, Any] = json.load(response)
        except urllib.error.HTTPError as error:
            problem = json.load(error)
            raise DemoError(f"{path}: {error.code} {problem.get('detail') or problem}") from None
        return answer


@contextmanager
def served(start: dt.date) -> Iterator[tuple[System, Client]]:
    """A service on a throw-away database and a free port, at noon of `start`, and its client."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with throw_away(url) as system:
        assert isinstance(system.clock, MovableClock)
        system.clock.set_now(dt.datetime.combine(start, dt.time(12), dt.UTC))
        server = uvicorn.Server(
            uvicorn.Config(system.app(), host="127.0.0.1", port=port, log_config=None, access_log=False)
        )
        thread = threading.Thread(target=server.run, name="service", daemon=True)
        thread.start()
        try:
            client = Client(url)
            client.wait()
            yield system, client
        finally:
            server.should_exit = True
            thread.join(timeout=15)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port
