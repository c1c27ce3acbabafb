"""Runs as operations and the schedule handle them: at each calendar's time, paused, cancelled, taken over."""

from __future__ import annotations

import datetime as dt
import threading
import time
from typing import Any

import pytest

from application.command import CommandAnswer, CommandRequest
from application.job_runs import JobRuns
from application.jobs import RunRequest, RunState
from domain.invoices.invoice import InvoiceIssued
from infrastructure.jobs.store import PostgresRuns
from tests.infrastructure.jobs.fakes import OPERATOR
from tests.scenarios.conftest import World
from tests.scenarios.jobs import headers


def groups(world: World, zones: tuple[str, ...], calendars: tuple[str, ...]) -> list[str]:
    """An account a zone, on the calendar of the same place, each with a member and January due."""
    world.on("2024-12-16", hour=0)
    world.calendar()
    accounts = []
    for number, (zone, calendar) in enumerate(zip(zones, calendars, strict=True), start=1):
        sponsor = world.sponsor(f"C-{number}")
        policy = world.policy(sponsor, f"MP-{number}")
        account = world.account(sponsor, in_single_bill_setup=True, time_zone=zone)
        world.setup(policy, account)
        world.member(policy, f"MR-{number}")
        if calendar != "US":
            hours = {"weekend_days": [6, 7], "holidays": [], "working_weekends": [], "execution_time": "09:30"}
            world.do("CreateBillingCalendar", name=calendar, **hours)
            world.do("AssignBillingCalendar", account=account, calendar=calendar)
        accounts.append(account)
    return accounts


@pytest.mark.rule("CAL-001", "PLT-050", "PLT-052")
def test_invoices_are_generated_at_the_time_of_each_calendar_in_the_zone_of_each_account(world: World) -> None:
    zones = ("UTC", "America/Los_Angeles", "Pacific/Auckland", "UTC")
    utc, west, east, late = groups(world, zones, ("US", "US", "US", "LATE"))
    while world.system.scheduler.tick():  # what would have run the day before: nothing is due yet
        world.system.wait_for_background()
    assert world.events(InvoiceIssued) == []
    seen: dict[str, str] = {}
    for _ in range(2 * 48):
        world.clock.set(world.clock.now() + dt.timedelta(minutes=30))
        world.system.scheduler.tick()
        world.system.wait_for_background()
        for issued in world.events(InvoiceIssued):
            seen.setdefault(issued.account, world.clock.now().isoformat()[:16])
    # January is due on the 17th: in Auckland it is then while it is still the 16th elsewhere.
    assert seen == {
        east: "2024-12-16T17:00",
        utc: "2024-12-17T06:00",
        late: "2024-12-17T09:30",
        west: "2024-12-17T14:00",
    }


@pytest.mark.rule("PLT-053", "PLT-055", "PLT-E11")
def test_what_a_hanging_process_commits_late_is_refused_and_every_account_is_billed_once(world: World) -> None:
    accounts = sorted(groups(world, ("UTC",) * 3, ("US",) * 3))
    world.on("2024-12-20")
    system = world.system
    late, next_one = Gate(system.dispatcher, accounts[1]), Gate(system.dispatcher, accounts[1])
    first = runs_of(world, PostgresRuns(system.database, heartbeat=60), late)
    second = runs_of(world, PostgresRuns(system.database, taken_over_after=0.2), next_one)
    run_id = first.start(RunRequest("InvoiceGeneration"), OPERATOR).run_id
    hanging = threading.Thread(target=first.work, args=(run_id,))
    hanging.start()
    late.reached.wait(10)  # it hangs in the second account
    assert [one.account for one in world.events(InvoiceIssued)] == accounts[:1]
    time.sleep(1.2)
    taking_over = threading.Thread(target=second.work, args=(run_id,))
    taking_over.start()
    next_one.reached.wait(10)  # behind the last saved item
    late.go.set()
    hanging.join(10)
    assert not hanging.is_alive()
    assert [one.account for one in world.events(InvoiceIssued)] == accounts[:1]  # refused
    next_one.go.set()
    taking_over.join(20)
    run = second.run(run_id)
    assert run is not None
    assert (run.state, run.done, run.failed) == (RunState.COMPLETED, 3, 0)
    assert [one.account for one in world.events(InvoiceIssued)] == accounts
    world.verify()


class Gate:
    """Executes commands; the first one of an account waits to be let through."""

    def __init__(self, executor: Any, account: str) -> None:
        self.executor = executor
        self.account = account
        self.reached, self.go = threading.Event(), threading.Event()

    def execute(self, request: CommandRequest) -> CommandAnswer:
        if request.payload.get("account") == self.account and not self.reached.is_set():
            self.reached.set()
            assert self.go.wait(20)
        answer: CommandAnswer = self.executor.execute(request)
        return answer


def runs_of(world: World, store: PostgresRuns, executor: Any) -> JobRuns:
    """Runs of another process on the world's database, worked on by hand."""
    jobs = world.system.jobs
    return JobRuns(store, jobs._accounts, executor, world.clock, world.system.ids, lambda run: None)


@pytest.mark.rule("PLT-051", "PLT-055", "PLT-078")
def test_operators_pause_and_cancel_runs_over_http_and_list_them(world: World) -> None:
    [account] = groups(world, ("UTC",), ("US",))
    world.on("2024-12-20")
    waiting = runs_of(world, PostgresRuns(world.system.database), world.system.dispatcher)
    run_id = waiting.start(RunRequest("InvoiceGeneration"), OPERATOR).run_id

    def control(action: str, role: str = "OPS") -> tuple[int, str]:
        answer = world.client.post(f"/v1/job-runs/{run_id}/{action}", headers=headers(world, role))
        body = answer.json()
        return answer.status_code, body.get("state") or body["problems"][0]["code"]

    assert control("pause", "SUP") == (403, "FORBIDDEN")
    assert control("pause") == (200, "PAUSED")
    assert control("pause") == (409, "STATE_INVALID")
    listed = world.client.get("/v1/job-runs?state=PAUSED", headers=headers(world, "OPS")).json()
    assert [one["run_id"] for one in listed["runs"]] == [str(run_id)]
    assert control("resume") == (200, "SCHEDULED")
    world.system.wait_for_background()
    run = world.client.get(f"/v1/jobs/{run_id}", headers=headers(world, "OPS")).json()
    assert (run["state"], run["done"], run["last_item"]) == ("COMPLETED", 1, account)
    assert control("cancel") == (409, "STATE_INVALID")
    assert recorded(world, f"run:{run_id}") == [
        ("PauseJob", "REFUSED", ["FORBIDDEN"], "olga"),
        ("PauseJob", "ACCEPTED", [], "olga"),
        ("PauseJob", "REFUSED", ["STATE_INVALID"], "olga"),
        ("ResumeJob", "ACCEPTED", [], "olga"),
        ("CancelJobRun", "REFUSED", ["STATE_INVALID"], "olga"),
    ]


def recorded(world: World, subject: str) -> list[tuple[str, str, list[str], str]]:
    """What the audit trail tells of an object that is no stream: name, outcome, codes and by whom, in order."""
    with world.system.database.reading() as connection:
        return connection.execute(
            "SELECT command, outcome, codes, actor FROM command_audit WHERE object = %s ORDER BY position", [subject]
        ).fetchall()


@pytest.mark.rule("PLT-078")
def test_who_starts_a_run_by_hand_is_on_record_started_or_refused(world: World) -> None:
    groups(world, ("UTC",), ("US",))

    def start(job: str, role: str, body: dict[str, Any]) -> int:
        return world.client.post(f"/v1/jobs/{job}", headers=headers(world, role), json=body).status_code

    assert start("InvoiceGeneration", "SUP", {}) == 403
    assert start("InvoiceGeneration", "OPS", {"run_date": "soon"}) == 400
    assert start("InvoiceGeneration", "OPS", {}) == 202
    assert start("NoSuchJob", "OPS", {}) == 404
    world.system.wait_for_background()
    assert [(name, outcome, codes) for name, outcome, codes, _ in recorded(world, "job:InvoiceGeneration")] == [
        ("RunJob", "REFUSED", ["FORBIDDEN"]),
        ("RunJob", "REFUSED", ["REQUEST_INVALID"]),
        ("RunJob", "ACCEPTED", []),
    ]
    assert [outcome for _, outcome, _, _ in recorded(world, "job:NoSuchJob")] == ["REFUSED"]


@pytest.mark.rule("PLT-052")
def test_the_parameters_say_when_a_job_starts(world: World) -> None:
    world.do("SetParameter", name="platform.time_zone", value="America/New_York", effective_from="2025-03-01")
    world.do("SetParameter", name="job.start_time", keys={"job": "AnybRecalculation"}, value="03:15",
             effective_from="2025-03-01")  # fmt: skip
    world.on("2025-03-04", hour=0)
    world.system.scheduler.tick()  # what is due since yesterday
    world.clock.set(world.clock.now().replace(hour=8, minute=14))
    assert "AnybRecalculation" not in world.system.scheduler.tick()
    world.clock.set(world.clock.now().replace(hour=8, minute=15))
    assert "AnybRecalculation" in world.system.scheduler.tick()
