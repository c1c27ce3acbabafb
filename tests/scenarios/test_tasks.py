"""What waits for a person: raised once for its cause, told again while it stands, closed by itself when it is gone."""

from __future__ import annotations

from typing import Any

import pytest

from application import premium_checks, rewrites
from domain.errors import refuse
from domain.invoices.invoice import Invoice
from domain.members.waiver_expiration import WaiverExpirationFailed
from domain.platform.tasks import TaskCancelled, TaskRaised, TaskReminded
from tests.scenarios.billing import amend
from tests.scenarios.conftest import World
from tests.scenarios.jobs import run_job
from tests.scenarios.premiums import decide, invoiced

_TASKS = """query ($account: String, $state: String, $type: String, $priority: String, $assignee: String,
    $first: Int! = 50, $after: String) {
  tasks(account: $account, state: $state, type: $type, priority: $priority, assignee: $assignee, first: $first,
        after: $after) { totalCount pageInfo { endCursor hasNextPage }
    nodes { number type queue priority privilege state subject account code reason links remindedOn note } } }"""


def tasks(world: World, **filters: Any) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = world.query(_TASKS, **filters)["tasks"]["nodes"]
    return nodes


def rewrite(world: World, policy: str) -> dict[str, Any]:
    return world.do(
        "ApplyMasterPolicyTransaction",
        transaction_id="RW-1",
        master_policy=policy,
        type="REWRITE",
        effective_date="2025-02-10",
        records=[{"member_record": "MR-1", "effective_date": "2025-02-10"}],
    )


@pytest.mark.rule("INV-131", "PLT-061")
def test_an_invoice_that_a_rewrite_could_not_discard_stays_and_is_a_task_until_it_is_discarded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.on("2024-11-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    issued = invoiced(world, account, 3)
    guard = rewrites.check_discardable

    def refusing(invoice: Invoice, *others: Any) -> None:
        if invoice.number == issued[1]:
            raise refuse("INVOICE_NOT_DISCARDABLE", "a refund of its money is under way", entity=invoice.number)
        guard(invoice, *others)

    monkeypatch.setattr(rewrites, "check_discardable", refusing)
    [done] = rewrite(world, policy)["accounts"]
    # Newest first, and the one before the refused one as well.
    assert (done["discarded"], done["not_discarded"]) == ([issued[2], issued[0]], [issued[1]])
    [task] = tasks(world)
    assert task == {
        "number": "TK-00000001",
        "type": "REWRITE_DISCARD_FAILED",
        "queue": "GENERATION_EXCEPTIONS",
        "priority": "HIGH",
        "privilege": "invoice.discard",
        "state": "OPEN",
        "subject": issued[1],
        "account": account,
        "code": "INVOICE_NOT_DISCARDABLE",
        "reason": (
            "The policy was rewritten, but the invoice could not be discarded: a refund of its money is under way"
        ),
        "links": {"invoice": issued[1], "account": account, "period_start": "2025-02-01"},
        "remindedOn": None,
        "note": None,
    }
    world.do("DiscardInvoice", invoice=issued[1], reason="Rewritten", confirmed=True)
    assert tasks(world) == []
    assert tasks(world, state="CANCELLED")[0]["note"] == "the invoice was discarded"
    world.verify()


@pytest.mark.rule("ACC-025")
def test_an_account_with_a_task_is_not_closed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.on("2024-11-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    invoiced(world, account, 2)

    def refusing(invoice: Invoice, *others: Any) -> None:
        raise refuse("INVOICE_NOT_DISCARDABLE", "not now", entity=invoice.number)

    def reasons() -> list[str]:
        answer = world.send("CloseBillingAccount", account=account, reason="Left").json()
        found: list[str] = answer["problems"][0]["params"]["reasons"]
        return found

    assert "PENDING_TASKS" not in reasons()
    monkeypatch.setattr(rewrites, "check_discardable", refusing)
    rewrite(world, policy)
    assert "PENDING_TASKS" in reasons()


def locked(world: World) -> tuple[str, str]:
    """MR-1 with a roll-on undecided since March 3rd; (account, policy)."""
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    world.member(policy, "MR-2")
    amend(world, "MR-1", "2025-04-01", ("LIFE", "1320.00"), transaction_id="A-4")
    world.on("2025-03-03", hour=23)
    assert amend(world, "MR-1", "2025-03-01", ("LIFE", "1260.00"), transaction_id="A-3")["roll_on_pending"]
    return account, policy


@pytest.mark.rule("PRM-117")
def test_a_roll_on_older_than_five_days_is_listed_and_told_every_day_until_it_is_decided(world: World) -> None:
    account, policy = locked(world)
    world.on("2025-03-09", hour=22)
    run = run_job(world, "RollOnAgeing")
    assert (run["selected"], run["skipped"]) == (1, {"NOT_OVERDUE": 1})
    assert tasks(world) == []
    world.on("2025-03-10", hour=1)
    assert "RollOnAgeing" in world.system.scheduler.tick()
    world.system.wait_for_background()
    [task] = tasks(world)
    assert task == {
        "number": "TK-00000001",
        "type": "ROLL_ON_OVERDUE",
        "queue": "ROLL_ON_LIST",
        "priority": "MEDIUM",
        "privilege": "policytxn.rollon",
        "state": "OPEN",
        "subject": "MR-1",
        "account": account,
        "code": "ROLL_ON_PENDING",
        "reason": "A roll-on has been undecided for 6 days; waiting for a decision: A-4",
        "links": {
            "member_record": "MR-1",
            "master_policy": policy,
            "caused_by": "A-3",
            "requested_at": "2025-03-03T23:00:00+00:00",
        },
        "remindedOn": None,
        "note": None,
    }
    world.on("2025-03-10", hour=20)
    run_job(world, "RollOnAgeing")
    assert world.events(TaskReminded) == []
    for day in (11, 12):
        world.on(f"2025-03-{day}")
        for _ in range(2):
            run_job(world, "RollOnAgeing")
    assert [one.day.day for one in world.events(TaskReminded)] == [11, 12]
    [task] = tasks(world)
    assert (task["remindedOn"], task["reason"][:40]) == ("2025-03-12", "A roll-on has been undecided for 8 days;")
    assert len(world.events(TaskRaised)) == 1
    # The lock is still there: it never ends by itself. A decision ends it, and with it the task.
    assert run_job(world, "RollOnAgeing", accounts=[account])["selected"] == 1
    decide(world, "MR-1", ("A-4", "ROLL_ON", "1380.00"))
    assert [one.task for one in world.events(TaskCancelled)] == ["TK-00000001"]
    assert tasks(world) == []
    assert run_job(world, "RollOnAgeing")["selected"] == 0
    world.verify()


@pytest.mark.rule("PRM-117")
def test_the_days_of_a_roll_on_are_those_of_the_parameter(world: World) -> None:
    locked(world)
    world.do("SetParameter", name="premium.roll_on_alert_days", value=30, effective_from="2025-03-04")
    world.on("2025-04-03", hour=22)
    assert run_job(world, "RollOnAgeing")["skipped"] == {"NOT_OVERDUE": 1}
    world.on("2025-04-03", hour=23)
    assert run_job(world, "RollOnAgeing")["done"] == 1


def test_waivers_whose_end_cannot_be_recorded_on_three_days_in_a_row_are_a_task(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")

    def failing(*_: Any) -> Any:
        raise RuntimeError

    mended = premium_checks.expire_waivers
    monkeypatch.setattr(premium_checks, "expire_waivers", failing)
    seen = []
    # On the 3rd it is not tried; twice on the 5th is one day.
    for day, runs in ((1, 1), (2, 1), (4, 1), (5, 2), (6, 1), (7, 1)):
        world.on(f"2025-02-0{day}")
        for _ in range(runs):
            assert run_job(world, "WaiverExpiration")["failed"] == 1
        seen.append((world.events(WaiverExpirationFailed)[-1].failures, len(tasks(world))))
    assert seen == [(1, 0), (2, 0), (1, 0), (2, 0), (3, 1), (4, 1)]
    [task] = tasks(world)
    assert (task["type"], task["queue"], task["subject"]) == ("WAIVER_EXPIRATION_FAILED", "FAILED_OPERATIONS", account)
    assert task["reason"] == ("The end of waivers could not be recorded on 3 days: a technical failure: RuntimeError")
    monkeypatch.setattr(premium_checks, "expire_waivers", mended)
    run_job(world, "WaiverExpiration")
    assert tasks(world) == []
    world.verify()


@pytest.mark.rule("PLT-062", "PLT-068", "PLT-069")
def test_the_queues_are_one_list_most_urgent_first_in_pages_and_by_filters(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, policy = locked(world)
    invoiced(world, account, 2)
    world.on("2025-03-20")
    run_job(world, "RollOnAgeing")

    def refusing(invoice: Invoice, *others: Any) -> None:
        raise refuse("INVOICE_NOT_DISCARDABLE", "not now", entity=invoice.number)

    monkeypatch.setattr(rewrites, "check_discardable", refusing)
    decide(world, "MR-1", ("A-4", "ROLL_ON", "1380.00"))
    amend(world, "MR-2", "2025-04-01", ("LIFE", "1320.00"), transaction_id="B-4")
    amend(world, "MR-2", "2025-03-01", ("LIFE", "1260.00"), transaction_id="B-3")
    world.on("2025-03-30")
    run_job(world, "RollOnAgeing")
    world.on("2025-03-31")
    rewrite(world, policy)
    found = tasks(world)
    assert [(one["priority"], one["type"]) for one in found][:2] == [("HIGH", "REWRITE_DISCARD_FAILED")] * 2
    first = world.query(_TASKS, first=1)["tasks"]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (len(found), True)
    rest = world.query(_TASKS, first=50, after=first["pageInfo"]["endCursor"])["tasks"]["nodes"]
    assert [one["number"] for one in first["nodes"] + rest] == [one["number"] for one in found]
    assert [one["type"] for one in tasks(world, priority="HIGH")] == ["REWRITE_DISCARD_FAILED"] * 2
    assert {one["subject"] for one in tasks(world, type="ROLL_ON_OVERDUE", state="CANCELLED")} >= {"MR-1"}
    assert tasks(world, account="LB999999999") == []
    assert tasks(world, assignee="ann") == []
    number = found[0]["number"]
    world.do("ClaimTask", task=number, roles=("BOF", "SUP"))
    assert [one["number"] for one in tasks(world, assignee="ann")] == [number]
    one = "query ($n: String!) { task(number: $n) { state } }"
    assert world.query(one, n=number)["task"] == {"state": "CLAIMED"}
    assert world.query(one, n="TK-99999999")["task"] is None
    token = world.system.issuer.token("ann", world.roles, person="P-ANN")
    answer = world.client.post(
        "/v1/graphql",
        json={"query": '{ tasks(queue: "ELSEWHERE", priority: "HUGE") { totalCount } }'},
        headers={"Authorization": f"Bearer {token}"},
    ).json()
    assert {one["pointer"] for one in answer["errors"][0]["extensions"]["problems"]} == {"/queue", "/priority"}
