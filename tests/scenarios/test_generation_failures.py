"""Invoices that cannot be generated: nothing of them stays but what is known of the failure, they are tried again, and
in the end somebody is asked (INV-043, INV-094, CAL-079)."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import pytest

import application.scheduled_invoices as scheduled
from api.wiring import System
from domain.accounts.account import ACCOUNT, InvoiceGenerationResumed
from domain.errors import refuse
from domain.invoices.invoice import InvoiceGenerationFailed, InvoiceIssued
from infrastructure.event_store.history import EventHistory
from infrastructure.postgres.database import Database
from tests.scenarios.conftest import World
from tests.scenarios.jobs import run_job

_keys = itertools.count()
_TASKS = """query ($account: String, $state: String, $queue: String, $first: Int! = 50, $after: String) {
  tasks(account: $account, state: $state, queue: $queue, first: $first, after: $after) { totalCount
    pageInfo { endCursor hasNextPage }
    nodes { number type queue priority privilege state subject account code reason links assignee closedBy note } } }"""


def tasks(world: World, **filters: Any) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = world.query(_TASKS, **filters)["tasks"]["nodes"]
    return nodes


class Fault:
    """Something that goes wrong behind every price of an invoice, until it is mended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: Exception | None = None
        issue = scheduled.issue

        def failing(*arguments: Any, **named: Any) -> Any:
            outcome = issue(*arguments, **named)
            if self.error is not None:
                raise self.error
            return outcome

        monkeypatch.setattr(scheduled, "issue", failing)


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Fault:
    return Fault(monkeypatch)


def billed_group(world: World) -> str:
    """An account whose January is due from December 17 on, with a member and something not yet billed."""
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    return account


def tick(world: World) -> list[str]:
    """What the schedule starts now, done to its end."""
    started = world.system.scheduler.tick()
    world.system.wait_for_background()
    return started


def later(world: World, minutes: int) -> None:
    world.clock.set(world.clock.now() + dt.timedelta(minutes=minutes))


@pytest.mark.rule("INV-043", "INV-094")
def test_a_failed_generation_leaves_nothing_but_its_event_and_uses_no_number(world: World, fault: Fault) -> None:
    account = billed_group(world)
    before = world.events(object)
    fault.error = RuntimeError("Ada Miller's premium cannot be priced")
    run = run_job(world)
    assert (run["state"], run["failed"]) == ("COMPLETED_WITH_EXCEPTIONS", 1)
    assert run["failures"] == [{"item": account, "code": "INTERNAL_ERROR"}]
    *same, failed = world.events(object)
    assert same == before
    assert isinstance(failed, InvoiceGenerationFailed)
    assert (failed.account, failed.code) == (account, "INTERNAL_ERROR")
    assert failed.detail == "a technical failure: RuntimeError"  # not what it says, which may be about persons
    assert (failed.period_start, failed.period_end) == (dt.date(2025, 1, 1), dt.date(2025, 2, 1))
    fault.error = None
    assert world.do("GenerateInvoice", account=account, confirmed=True)["invoice"] == "INV-00000001"
    world.check(account)
    world.verify()


@pytest.mark.rule("INV-043", "INV-094")
def test_a_refusal_is_a_failure_and_the_others_are_billed(world: World) -> None:
    world.on("2024-12-20")
    world.calendar()
    by_rule = {"advanced_mode": True, "generation_units": None}
    monthly = {"frequency": "MONTHLY", "due_day_mode": "CALENDAR_DAY", "due_days": [1]}
    accounts = []
    for number in (1, 2):
        sponsor = world.sponsor(f"C-{number}")
        policy = world.policy(sponsor, f"MP-{number}")
        schedule = monthly | by_rule if number == 1 else monthly
        accounts.append(world.account(sponsor, in_single_bill_setup=True, schedule=schedule))
        world.setup(policy, accounts[-1])
        world.member(policy, f"MR-{number}")
    bare = {"weekend_days": [6, 7], "holidays": [], "working_weekends": [], "execution_time": "06:00"}
    world.do("CreateBillingCalendar", name="BARE", **bare)
    world.do("AssignBillingCalendar", account=accounts[0], calendar="BARE")
    run = run_job(world)
    assert (run["done"], run["failed"]) == (1, 1)
    [failed] = world.events(InvoiceGenerationFailed)
    assert (failed.account, failed.code) == (accounts[0], "GENERATION_RULE_MISSING")
    assert failed.detail == "The account's calendar has no lead-time rule"
    assert [one.account for one in world.events(InvoiceIssued)] == [accounts[1]]


def test_a_skip_is_no_failure(world: World) -> None:
    account = billed_group(world)
    world.do("CreateHold", account=account, type="INVOICE", reason="Disputed", effective_date="2024-12-20")
    assert run_job(world)["skipped"] == {"HOLD_ACTIVE": 1}
    assert world.events(InvoiceGenerationFailed) == []


@pytest.mark.rule("CAL-079", "INV-094")
def test_a_failed_generation_is_tried_again_three_times_an_hour_apart_and_then_somebody_is_asked(
    world: World, fault: Fault
) -> None:
    account = billed_group(world)
    fault.error = refuse("DATA_INCOMPLETE", "the price of LIFE is not known")
    tick(world)  # whatever is due today
    [first] = world.events(InvoiceGenerationFailed)
    assert (first.failures, first.retry_at) == (1, first.failed_at + dt.timedelta(hours=1))
    later(world, 59)
    assert tick(world) == []
    assert run_job(world)["skipped"] == {"RETRY_PENDING": 1}
    for failures in (2, 3, 4):
        later(world, 1 if failures == 2 else 60)
        assert tick(world) == ["InvoiceGenerationRetry"]
        assert tick(world) == []
        assert world.events(InvoiceGenerationFailed)[-1].failures == failures
        assert len(tasks(world)) == (1 if failures == 4 else 0)
    last = world.events(InvoiceGenerationFailed)[-1]
    [task] = tasks(world)
    assert (last.retry_at, last.task) == (None, task["number"])
    assert task == {
        "number": "TK-00000001",
        "type": "GENERATION_FAILED",
        "queue": "GENERATION_EXCEPTIONS",
        "priority": "HIGH",
        "privilege": "invoice.generate",
        "state": "OPEN",
        "subject": account,
        "account": account,
        "code": "DATA_INCOMPLETE",
        "reason": ("The invoice of 2025-01-01 to 2025-01-31 could not be generated: the price of LIFE is not known"),
        "links": {"account": account, "period_start": "2025-01-01", "period_end": "2025-01-31", "failures": "4"},
        "assignee": None,
        "closedBy": None,
        "note": None,
    }
    # No automatic attempt follows, however often the job runs and whatever the day.
    fault.error = None
    for days in (3, 4):
        later(world, days * 24 * 60)
        assert "InvoiceGenerationRetry" not in tick(world)
        assert run_job(world)["skipped"] == {"EXCEPTION_TASK": 1}
    assert world.events(InvoiceIssued) == []
    assert len(tasks(world)) == 1


@pytest.mark.rule("CAL-079", "PLT-061")
def test_after_the_task_is_done_the_job_takes_the_account_again(world: World, fault: Fault) -> None:
    account = _exhausted(world, fault)
    [task] = tasks(world)
    number = task["number"]
    assert world.refused("CompleteTask", task=number, reason="Done") == (409, ["STATE_INVALID"])
    assert world.do("ClaimTask", task=number)["assignee"] == "ann"
    assert world.refused("CompleteTask", task=number) == (422, ["REASON_REQUIRED"])
    assert world.do("CompleteTask", task=number, reason="The price was entered")["state"] == "DONE"
    [resumed] = world.events(InvoiceGenerationResumed)
    assert (resumed.number, resumed.task) == (account, number)
    assert tasks(world) == []
    [done] = tasks(world, state="DONE")
    assert (done["closedBy"], done["note"]) == ("ann", "The price was entered")
    # It fails again: a failure of its own, with retries of its own.
    fault.error = refuse("DATA_INCOMPLETE", "the price of DENTAL is not known")
    assert run_job(world)["failed"] == 1
    assert world.events(InvoiceGenerationFailed)[-1].failures == 1
    fault.error = None
    later(world, 60)
    assert tick(world) == ["InvoiceGenerationRetry"]
    assert [one.account for one in world.events(InvoiceIssued)] == [account]
    world.verify()


@pytest.mark.rule("CAL-079", "PLT-061")
def test_a_user_who_generates_by_hand_closes_the_task(world: World, fault: Fault) -> None:
    account = _exhausted(world, fault)
    world.do("GenerateInvoice", account=account, confirmed=True)
    assert tasks(world) == []
    [closed] = tasks(world, state="CANCELLED")
    assert (closed["note"], closed["closedBy"]) == ("the invoice was generated", None)
    later(world, 24 * 60 * 28)  # February is due
    assert run_job(world)["done"] == 1


@pytest.mark.rule("CAL-079")
def test_an_account_that_a_user_names_is_tried_whatever_failed_before(world: World, fault: Fault) -> None:
    account = _exhausted(world, fault)
    fault.error = refuse("DATA_INCOMPLETE", "still not known")
    assert run_job(world, accounts=[account])["failed"] == 1
    last = world.events(InvoiceGenerationFailed)[-1]
    assert (last.failures, last.retry_at, last.task) == (5, None, tasks(world)[0]["number"])
    assert len(tasks(world)) == 1
    fault.error = None
    assert run_job(world, accounts=[account])["done"] == 1
    assert tasks(world) == []


@pytest.mark.rule("CAL-079")
def test_the_schedule_of_the_account_says_how_often_and_when(world: World, fault: Fault) -> None:
    world.on("2024-12-20")
    world.calendar()
    sponsor = world.sponsor()
    policy = world.policy(sponsor)
    schedule = {
        "frequency": "MONTHLY",
        "due_day_mode": "CALENDAR_DAY",
        "due_days": [1],
        "advanced_mode": True,
        "generation_retry_count": 1,
        "generation_retry_interval": 5,
    }
    account = world.account(sponsor, in_single_bill_setup=True, schedule=schedule)
    world.setup(policy, account)
    world.member(policy)
    fault.error = RuntimeError()
    tick(world)
    later(world, 5)
    assert tick(world) == ["InvoiceGenerationRetry"]
    assert [one.retry_at is None for one in world.events(InvoiceGenerationFailed)] == [False, True]
    assert len(tasks(world, account=account)) == 1


@pytest.mark.rule("CAL-079")
def test_a_retry_outlives_the_process_and_works_up_to_the_day_of_its_run(world: World, fault: Fault) -> None:
    account = billed_group(world)
    world.on("2024-12-02")  # January is due on the 17th
    fault.error = RuntimeError()
    assert run_job(world, run_date="2024-12-17")["failed"] == 1
    fault.error = None
    later(world, 60)
    # Another process, which knows nothing but the database.
    with System(world.system.settings, Database(world.system.database.conninfo), world.clock) as other:
        assert "InvoiceGenerationRetry" in other.scheduler.tick()
        other.wait_for_background()
    assert [one.period_start for one in world.events(InvoiceIssued)] == [dt.date(2025, 1, 1)]
    with world.system.database.reading() as connection:
        assert EventHistory(connection).states(ACCOUNT, [account])[account].state.generation_failure is None
    world.verify()


def _exhausted(world: World, fault: Fault) -> str:
    """An account whose generation failed for good, by a fault that is mended since."""
    account = billed_group(world)
    fault.error = refuse("DATA_INCOMPLETE", "the price of LIFE is not known")
    tick(world)
    for _ in range(3):
        later(world, 60)
        tick(world)
    fault.error = None
    return account


@pytest.mark.rule("PLT-061")
def test_a_task_is_one_users_until_it_is_returned_and_a_supervisor_gives_it_to_another(
    world: World, fault: Fault
) -> None:
    _exhausted(world, fault)
    number = tasks(world)[0]["number"]
    world.do("ClaimTask", task=number)
    assert world.do("ClaimTask", task=number)["state"] == "CLAIMED"
    ben = _as(world, "ben", "BOF")
    assert ben("ClaimTask", task=number) == (409, "TASK_ALREADY_CLAIMED")
    assert ben("ReturnTask", task=number) == (409, "TASK_ALREADY_CLAIMED")
    assert ben("CompleteTask", task=number, reason="Done") == (409, "TASK_ALREADY_CLAIMED")
    world.do("ReturnTask", task=number, reason="Not mine")
    assert tasks(world)[0]["state"] == "OPEN"
    assert ben("ClaimTask", task=number) == (200, "CLAIMED")
    assert ben("ReassignTask", task=number, user="ann", reason="Away") == (403, "FORBIDDEN")
    sue = _as(world, "sue", "SUP")
    assert sue("ReassignTask", task=number, user="ann") == (422, "REASON_REQUIRED")
    assert sue("ReassignTask", task=number, user="ann", reason="Ben is away") == (200, "CLAIMED")
    assert tasks(world)[0]["assignee"] == "ann"
    assert ben("CompleteTask", task=number, reason="Done") == (409, "TASK_ALREADY_CLAIMED")
    world.do("CompleteTask", task=number, reason="Done")
    assert sue("ReassignTask", task=number, user="ben", reason="Again") == (409, "STATE_INVALID")
    assert world.refused("ClaimTask", task="TK-99999999") == (404, ["ENTITY_NOT_FOUND"])


@pytest.mark.rule("PLT-061", "PLT-036")
def test_a_task_needs_the_privilege_it_names_and_is_seen_in_the_scope_of_its_account(
    world: World, fault: Fault
) -> None:
    _exhausted(world, fault)
    number = tasks(world)[0]["number"]
    # Collections may work on tasks, but does not generate invoices; operations only look.
    assert _as(world, "col", "COL")("ClaimTask", task=number) == (403, "FORBIDDEN")
    assert _as(world, "ops", "OPS")("ClaimTask", task=number) == (403, "FORBIDDEN")
    world.sponsor("C-2")
    outside = _as(world, "ben", "BOF", scope=("C-2",))
    assert outside("ClaimTask", task=number) == (404, "ENTITY_NOT_FOUND")
    assert _as(world, "ben", "BOF", scope=("C-1",))("ClaimTask", task=number) == (200, "CLAIMED")
    for scope, seen in ((("C-2",), 0), (("C-1",), 1)):
        token = world.system.issuer.token("ben", ("BOF",), person="P-BEN", scope_nodes=scope)
        answer = world.client.post(
            "/v1/graphql", json={"query": _TASKS}, headers={"Authorization": f"Bearer {token}"}
        ).json()
        assert answer["data"]["tasks"]["totalCount"] == seen


def _as(world: World, user: str, role: str, scope: tuple[str, ...] | None = None) -> Any:
    """A sender of commands for one user: (status, leading code or state)."""

    def send(name: str, **payload: Any) -> tuple[int, str]:
        more = {} if scope is None else {"scope_nodes": scope}
        token = world.system.issuer.token(user, (role,), person=f"P-{user}", **more)
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"task-{next(_keys)}"}
        answer = world.client.post(f"/v1/commands/{name}", json={"payload": payload}, headers=headers)
        body = answer.json()
        return answer.status_code, body["result"]["state"] if answer.status_code == 200 else body["problems"][0]["code"]

    return send
