"""Commands on an account's calendar: what a saved schedule tells, what a process or a parameter does to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from domain.accounts.account import BillingAccountUpdated, InvoicingScheduleConfigured, SeasonalGapsChanged
from infrastructure.postgres.command_records import lock_number
from tests.scenarios.billing import discard, generate
from tests.scenarios.conftest import World

_WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@contextmanager
def busy(world: World, account: str) -> Iterator[None]:
    """Somebody else works on the account: what wants it waits until this is over."""
    key = lock_number(f"account:{account}")
    with world.system.database.writing() as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (key,))
        try:
            yield
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s)", (key,))


def until_somebody_waits(world: World) -> None:
    """Until a request has begun its process and waits for the account."""
    for _ in range(400):
        with world.system.database.writing() as connection:
            if connection.execute(_WAITING).fetchone() != (0,):
                return
        time.sleep(0.01)
    raise AssertionError("no request waits for the account")


def process_on(world: World, kind: str, account: str) -> tuple[str, dict[str, Any]]:
    """A process that may be started on the account: its command."""
    if kind == "GENERATION":
        return "GenerateInvoice", {"account": account, "confirmed": True}
    invoice = generate(world, account)
    if kind == "DISCARD":
        return "DiscardInvoice", {"invoice": invoice, "reason": "Wrong rates", "confirmed": True}
    discard(world, invoice)
    return "RegenerateInvoice", {"invoice": invoice, "confirmed": True}


@pytest.mark.rule("CAL-028")
@pytest.mark.parametrize("kind", ["GENERATION", "DISCARD", "REGENERATION"])
def test_a_schedule_is_not_changed_while_a_process_runs_on_the_account(world: World, kind: str) -> None:
    """Two requests at once: the change is refused at once with whatever else is wrong with it, and may come later."""
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    name, payload = process_on(world, kind, account)
    schedule = {"due_days": [10]}
    with ThreadPoolExecutor(1) as pool, busy(world, account):
        running = pool.submit(lambda: world.send(name, **payload))
        until_somebody_waits(world)
        answer = world.send("ConfigureInvoicingSchedule", account=account, schedule=schedule)
        wrong = world.refused("ConfigureInvoicingSchedule", account=account, schedule={"due_days": [32]})
        gaps = world.refused("ChangeSeasonalGaps", account=account, seasonal_billing=True, months=[7])
    assert answer.status_code == 409
    [problem] = answer.json()["problems"]
    assert (problem["code"], problem["params"]["process"]) == ("PROCESS_CONFLICT", kind)
    assert set(wrong[1]) == {"DUE_DAYS_INVALID", "PROCESS_CONFLICT"}
    assert "PROCESS_CONFLICT" in gaps[1]
    assert running.result().status_code == 200, running.result().text
    world.do("ConfigureInvoicingSchedule", account=account, schedule=schedule)
    world.verify()


@pytest.mark.rule("CAL-028")
def test_a_saved_schedule_tells_that_the_account_was_updated(world: World) -> None:
    world.on("2024-12-20")
    account, _ = world.group()
    assert world.events(BillingAccountUpdated) == []
    world.do("ConfigureInvoicingSchedule", account=account, schedule={"advanced_mode": True})
    world.do("ChangeSeasonalGaps", account=account, seasonal_billing=True, months=[7, 8])
    told = world.events(InvoicingScheduleConfigured, SeasonalGapsChanged, BillingAccountUpdated)
    assert [type(one).__name__ for one in told] == [
        "InvoicingScheduleConfigured",
        "InvoicingScheduleConfigured",
        "BillingAccountUpdated",
        "InvoicingScheduleConfigured",
        "SeasonalGapsChanged",
        "BillingAccountUpdated",
    ]
    updates = world.events(BillingAccountUpdated)
    assert [(one.number, one.schedule_version) for one in updates] == [(account, 2), (account, 3)]
    refused = world.refused("ConfigureInvoicingSchedule", account=account, schedule={"due_days": [10]}, roles=("AUD",))
    assert refused == (403, ["FORBIDDEN"])
    world.do("UpdateInvoicePreferences", account=account, content_type="SUMMARY")
    last = world.events(BillingAccountUpdated)[-1]
    assert (last.schedule_version, last.preferences.content_type) == (None, "SUMMARY")
