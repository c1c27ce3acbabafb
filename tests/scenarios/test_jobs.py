"""Jobs as operations see them: started over HTTP, followed to their end, harmless when repeated or interrupted."""

from __future__ import annotations

from typing import Any

import pytest

from application import premium_checks
from application.unit_of_work import UnitOfWork
from domain.errors import refuse
from domain.members.record import MemberRecord
from domain.members.requests import TransactionFacts
from tests.scenarios.billing import amend
from tests.scenarios.conftest import World
from tests.scenarios.jobs import headers, run_job


def test_a_run_date_far_ahead_is_refused(world: World) -> None:
    for day, status in (("2026-01-02", 202), ("2027-01-02", 400), ("2199-01-01", 400)):
        answer = world.client.post("/v1/jobs/AnybRecalculation", json={"run_date": day}, headers=headers(world, "OPS"))
        assert answer.status_code == status, answer.text
        if status == 400:
            assert [problem["pointer"] for problem in answer.json()["problems"]] == ["/run_date"]


def _periods(world: World, account: str) -> list[str]:
    """Period starts of the account's invoices in order of issue."""
    with world.system.database.reading() as connection:
        rows = connection.execute(
            "SELECT payload->>'period_start' FROM event WHERE type = 'InvoiceIssued' AND payload->>'account' = %s"
            " ORDER BY position",
            [account],
        ).fetchall()
    return [row[0] for row in rows]


def _invoices(world: World, account: str) -> list[str]:
    """Numbers of the account's invoices in order of issue."""
    with world.system.database.reading() as connection:
        rows = connection.execute(
            "SELECT payload->>'number' FROM event WHERE type = 'InvoiceIssued' AND payload->>'account' = %s"
            " ORDER BY position",
            [account],
        ).fetchall()
    return [row[0] for row in rows]


@pytest.mark.rule("INV-090", "PLT-051", "PLT-054", "PLT-055")
def test_the_invoice_job_bills_what_is_due_and_nothing_twice(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    run = run_job(world)
    assert (run["state"], run["selected"], run["done"], run["failed"], run["left"]) == ("COMPLETED", 1, 1, 0, 0)
    assert run["last_item"] == account
    assert _periods(world, account) == ["2025-01-01"]
    again = run_job(world)
    assert (again["state"], again["done"], again["skipped"]) == ("COMPLETED", 0, {"NOT_DUE": 1})
    assert _periods(world, account) == ["2025-01-01"]


@pytest.mark.rule("INV-090", "INV-093", "INV-E10")
def test_a_job_that_was_down_catches_up_and_holds_and_discards_are_skipped(world: World) -> None:
    world.on("2025-01-20")
    account, policy = world.group(start="2025-03-01")
    world.member(policy, "MR-1", start="2025-03-01")
    world.on("2025-03-14")
    hold = world.do(
        "CreateHold",
        account=account,
        type="INVOICE",
        reason="Rates disputed",
        effective_date="2025-03-15",
        expiration_date="2025-03-20",
    )
    assert hold
    world.on("2025-03-19")
    assert run_job(world)["skipped"] == {"HOLD_ACTIVE": 1}
    world.on("2025-03-20")
    assert run_job(world)["done"] == 1
    assert _periods(world, account) == ["2025-03-01", "2025-04-01"]
    world.on("2025-03-21")
    march, april = _invoices(world, account)
    world.do("DiscardInvoice", invoice=april, reason="To get at March", confirmed=True)
    world.do("DiscardInvoice", invoice=march, reason="Wrong rates", confirmed=True)
    world.on("2025-04-16")
    assert run_job(world)["skipped"] == {"AWAITING_REGENERATION": 1}
    world.on("2025-04-17")
    world.do("RegenerateInvoice", invoice=march, confirmed=True)
    world.do("RegenerateInvoice", invoice=april, confirmed=True)
    assert run_job(world)["done"] == 1
    assert _periods(world, account) == ["2025-03-01", "2025-04-01", "2025-03-01", "2025-04-01", "2025-05-01"]


def test_a_run_takes_the_accounts_it_is_told_to_and_refuses_unknown_ones(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    unknown = world.client.post(
        "/v1/jobs/InvoiceGeneration", json={"accounts": ["LB999999999"]}, headers=headers(world, "OPS")
    )
    assert (unknown.status_code, unknown.json()["problems"][0]["code"]) == (404, "BILLING_ACCOUNT_NOT_FOUND")
    excluded = run_job(world, accounts=[account], excluded_accounts=[account])
    assert (excluded["state"], excluded["selected"], excluded["done"]) == ("COMPLETED", 0, 0)
    assert run_job(world, run_date="2024-12-16", accounts=[account])["skipped"] == {"NOT_DUE": 1}
    assert run_job(world, run_date="2024-12-17", accounts=[account])["done"] == 1


@pytest.mark.rule("PLT-051")
def test_without_the_privilege_no_job_runs(world: World) -> None:
    refused = world.client.post("/v1/jobs/InvoiceGeneration", json={}, headers=headers(world, "CCA"))
    assert (refused.status_code, refused.json()["problems"][0]["code"]) == (403, "FORBIDDEN")


@pytest.mark.rule("PRM-124")
def test_anyb_is_worked_out_anew_without_new_events_where_nothing_differs(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    assert run_job(world, "AnybRecalculation")["done"] == 0
    world.member(policy, "MR-1")
    world.do("GenerateInvoice", account=account, confirmed=True)
    world.do(
        "ApplyAmendment",
        transaction_id="AM-1",
        member_record="MR-1",
        effective_date="2025-01-01",
        kinds=["GENERAL"],
        amounts=[{"coverage": "LIFE", "annual_amount": "1320.00"}],
    )
    before = _last_position(world)
    run = run_job(world, "AnybRecalculation")
    assert (run["state"], run["done"], run["failed"]) == ("COMPLETED", 1, 0)
    assert _last_position(world) == before
    found = world.query("query ($a: String!) { accountAnyb(account: $a) { total { amount } } }", a=account)
    assert found["accountAnyb"]["total"]["amount"] == "10.00"
    assert world.client.get("/v1/jobs", headers=headers(world, "OPS")).json()["jobs"][0]["name"] == "AnybRecalculation"


_TIMES = """query ($a: String!, $m: String!, $before: DateTime) {
  accountAnyb(account: $a) { calculatedAt total { amount } members { nodes { memberRecord calculatedAt } } }
  memberAnyb(memberRecord: $m) { calculatedAt }
  before: memberAnyb(memberRecord: $m, asOf: $before) { calculatedAt } }"""


@pytest.mark.rule("PRM-123", "PRM-124")
def test_the_nightly_job_stamps_when_it_worked_a_figure_out_and_corrects_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    for number in (1, 2, 3):
        world.member(policy, f"MR-{number}")
    amend(world, "MR-3", "2025-06-01", ("LIFE", "1320.00"), transaction_id="A-6")
    world.do("GenerateInvoice", account=account, confirmed=True)
    for number in (1, 2):
        amend(world, f"MR-{number}", "2025-01-01", ("LIFE", "1320.00"), transaction_id=f"A-{number}")
    before = _last_position(world)

    def times(member: str = "MR-1") -> tuple[Any, ...]:
        found = world.query(_TIMES, a=account, m=member, before="2024-12-31T00:00:00Z")
        rows = {one["memberRecord"]: second(one) for one in found["accountAnyb"]["members"]["nodes"]}
        return second(found["accountAnyb"]), rows, second(found["memberAnyb"]), second(found["before"])

    def second(found: dict[str, Any]) -> str | None:
        at = found["calculatedAt"]
        return None if at is None else f"{at[:19]}Z"

    changed = "2024-12-20T12:00:00Z"
    assert times() == (changed, {"MR-1": changed, "MR-2": changed}, changed, changed)
    assert times("MR-3")[2:] == (None, None)  # nothing of it was ever unbilled
    world.on("2025-01-05", hour=2)
    assert "AnybRecalculation" in world.system.scheduler.tick()
    world.system.wait_for_background()
    first = "2025-01-05T02:00:00Z"
    assert times() == (first, {"MR-1": first, "MR-2": first}, first, changed)
    assert times("MR-3")[2:] == (first, None)
    assert _last_position(world) == before
    # A record whose figures are held, and one whose figures cannot be worked out, keep figure and time.
    world.on("2025-01-05", hour=12)
    assert amend(world, "MR-3", "2025-03-01", ("LIFE", "1260.00"), transaction_id="A-3")["roll_on_pending"]
    before = _last_position(world)
    unpublished = premium_checks.unpublished

    def blocked(unit: UnitOfWork, record: MemberRecord, facts: TransactionFacts) -> Any:
        if record.number == "MR-2":
            raise refuse("MODAL_CALCULATION_BLOCKED", "a split has a gap", entity=record.number)
        return unpublished(unit, record, facts)

    monkeypatch.setattr(premium_checks, "unpublished", blocked)
    for day in (6, 7):
        world.on(f"2025-01-0{day}", hour=2)
        run = run_job(world, "AnybRecalculation")
        assert (run["done"], run["failed"]) == (1, 0)
        now = f"2025-01-0{day}T02:00:00Z"
        assert times() == (now, {"MR-1": now, "MR-2": first}, now, changed)
        assert times("MR-3")[2] == first
    assert _last_position(world) == before
    kept = world.do("RecalculateAnyb", accounts=[account])["kept"]
    assert kept == [
        {"member_record": "MR-2", "code": "MODAL_CALCULATION_BLOCKED"},
        {"member_record": "MR-3", "code": "ROLL_ON_PENDING"},
    ]
    monkeypatch.undo()
    world.on("2025-01-08", hour=2)
    run_job(world, "AnybRecalculation")
    assert times("MR-2")[2] == "2025-01-08T02:00:00Z"
    assert times("MR-3")[2] == first
    # A dry run leaves nothing behind.
    world.on("2025-01-09")
    assert world.send("RecalculateAnyb", accounts=[account], envelope={"dry_run": True}).status_code == 200
    assert times("MR-2")[2] == "2025-01-08T02:00:00Z"
    world.verify()


def _last_position(world: World) -> int:
    with world.system.database.reading() as connection:
        row = connection.execute("SELECT max(position) FROM event").fetchone()
    assert row is not None
    return int(row[0])
