"""Running a job as operations do: over HTTP, followed to its end."""

from __future__ import annotations

import time
from typing import Any

from tests.scenarios.conftest import World


def headers(world: World, *roles: str) -> dict[str, str]:
    token = world.system.issuer.token("olga", roles, person="P-OLGA", second_factor=True)
    return {"Authorization": f"Bearer {token}"}


def run_job(world: World, job: str = "InvoiceGeneration", **selection: Any) -> dict[str, Any]:
    """Start a run and follow it to its end."""
    started = world.client.post(f"/v1/jobs/{job}", json=selection, headers=headers(world, "OPS"))
    assert started.status_code == 202, started.text
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        run: dict[str, Any] = world.client.get(started.headers["location"], headers=headers(world, "OPS")).json()
        if run["state"] not in ("SCHEDULED", "RUNNING"):
            return run
        time.sleep(0.02)
    raise AssertionError(run)
