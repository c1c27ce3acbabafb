"""Cascades as a process: step by step, behind their command, whatever happens meanwhile."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest

import application.cascade_runs
import application.cascades
from application.command import CommandAnswer, CommandRequest, Principal
from application.dispatch import AuditRecord, CommandContext
from application.job_runs import JobRuns
from application.jobs import ControlAction, RunState
from domain.aggregate import Aggregate
from domain.members.cascade_run import CascadeAccountRestarted, CascadeRecordEnded
from domain.members.dead_letter import DEAD_LETTER, DeadLetterKind, MemberTransactionDeadLettered, Reason
from domain.members.events import PolicyTransactionApplied
from domain.products.master_policy import (
    MASTER_POLICY,
    CascadeResult,
    MasterPolicyCascadeCompleted,
    MasterPolicyCascadeStarted,
)
from infrastructure.jobs import cascades as cascade_items
from tests.scenarios.conftest import World
from tests.scenarios.jobs import headers
from tests.scenarios.premiums import anyb_by_period, decide, given, invoiced, life, statuses, told

_STATUS = """query ($p: String!, $t: String, $n: Int!, $a: String) {
  cascadeStatus(masterPolicy: $p, transactionId: $t) {
    status activityId members applied skipped deadLettered refused
    accounts { account invoicingStart discarded notDiscarded }
    results(first: $n, after: $a) {
      totalCount pageInfo { hasNextPage endCursor } nodes { memberRecord result code deadLetter } } } }"""
_LETTER = "query ($n: String!) { deadLetter(number: $n) { state } }"


def policy_of(world: World, members: int) -> tuple[str, str]:
    """A group with so many members; (account, policy)."""
    world.on("2024-12-20")
    account, policy = world.group()
    for number in range(1, members + 1):
        world.member(policy, f"MR-{number}")
    return account, policy


def in_background(world: World) -> None:
    """From now on cascades are worked on behind the answer of their command."""
    world.do("SetParameter", name="premium.cascade_at_once", value=0)


def master(world: World, policy: str, transaction: str, kind: str, day: str, **members: Any) -> Any:
    """The response to a master policy transaction."""
    return world.send(
        "ApplyMasterPolicyTransaction", transaction_id=transaction, master_policy=policy, type=kind,
        effective_date=day, **members,
    )  # fmt: skip


def begun(world: World, policy: str, transaction: str, kind: str, day: str, **members: Any) -> dict[str, Any]:
    """A master policy transaction that goes on behind its answer; its result."""
    response = master(world, policy, transaction, kind, day, **members)
    assert response.status_code == 202, response.text
    result: dict[str, Any] = response.json()["result"]
    assert response.headers["location"] == f"/v1/jobs/{result['activity_id']}"
    return result


def status(world: World, policy: str, transaction: str, first: int = 100, after: str | None = None) -> dict[str, Any]:
    [found] = world.query(_STATUS, p=policy, t=transaction, n=first, a=after)["cascadeStatus"]
    return dict(found)


def results(world: World, policy: str, transaction: str) -> list[tuple[str, str, str | None]]:
    nodes = status(world, policy, transaction)["results"]["nodes"]
    return [(one["memberRecord"], one["result"], one["code"]) for one in nodes]


@contextmanager
def nobody_works(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No process works on a run that is handed to it."""
    with monkeypatch.context() as patched:
        patched.setattr(JobRuns, "work", lambda *_, **__: None)
        patched.setattr(application.cascade_runs, "PATIENCE", 0.0)
        yield


def taken_up(world: World) -> None:
    """A scheduler looks for what was left, and somebody works on it."""
    world.system.cascades.resume()
    world.system.jobs.resume()
    world.system.wait_for_background()


def applied(world: World) -> list[str]:
    """The members' transactions of cascades, in the order of the log."""
    return [one.transaction.transaction_id for one in world.events(PolicyTransactionApplied) if one.cascade is not None]


@pytest.mark.rule("PRM-150", "PRM-151", "PLT-010", "PLT-055")
def test_a_large_cascade_goes_on_behind_its_answer_and_tells_how_far_it_is(world: World) -> None:
    _, policy = policy_of(world, 3)
    given("ApplyCancellation", world, "MR-2", "2025-03-01")
    in_background(world)
    first = master(world, policy, "MC-1", "CANCELLATION", "2025-06-01", key="cancel-1")
    assert first.status_code == 202
    answer = first.json()["result"]
    assert (answer["status"], answer["members"]) == ("RUNNING", 3)
    world.system.wait_for_background()
    again = master(world, policy, "MC-1", "CANCELLATION", "2025-06-01", key="cancel-1")
    assert (again.status_code, again.json()["result"]) == (202, answer)
    found = status(world, policy, "MC-1", first=2)
    assert (found["status"], found["activityId"]) == ("COMPLETED", answer["activity_id"])
    assert (found["members"], found["applied"], found["skipped"], found["deadLettered"]) == (3, 2, 1, 0)
    assert found["results"]["totalCount"] == 3
    assert [one["memberRecord"] for one in found["results"]["nodes"]] == ["MR-1", "MR-2"]
    rest = status(world, policy, "MC-1", after=found["results"]["pageInfo"]["endCursor"])
    assert [one["memberRecord"] for one in rest["results"]["nodes"]] == ["MR-3"]
    run = world.client.get(first.headers["location"], headers=headers(world, "OPS")).json()
    assert (run["job"], run["trigger"], run["state"]) == ("MasterPolicyCascade", "COMMAND", "COMPLETED")
    # Two records, and the end; the other record needed nothing.
    assert (run["selected"], run["done"], run["skipped"], run["left"]) == (4, 3, {"ALREADY_CANCELLED": 1}, 0)
    world.verify()


@pytest.mark.rule("PRM-150")
def test_each_record_has_a_transaction_of_its_own_in_ascending_order(world: World) -> None:
    _, policy = policy_of(world, 12)
    answer = world.do(
        "ApplyMasterPolicyTransaction", transaction_id="MC-1", master_policy=policy, type="CANCELLATION",
        effective_date="2025-06-01",
    )  # fmt: skip
    numbers = sorted(f"MR-{number}" for number in range(1, 13))
    assert [one["member_record"] for one in answer["results"]] == numbers
    assert applied(world) == [f"MC-1/{number}" for number in numbers]
    with world.system.database.reading() as connection:
        [(commands, transactions)] = connection.execute(
            "SELECT count(DISTINCT command_id), count(DISTINCT transaction) FROM event"
            " WHERE type = 'PolicyTransactionApplied' AND payload ->> 'cascade' = 'MC-1'"
        ).fetchall()
    assert (commands, transactions) == (12, 12)


@pytest.mark.rule("PRM-150", "PLT-004")
def test_a_small_cascade_whose_request_died_is_over_when_the_command_is_sent_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, policy = policy_of(world, 2)
    stated = {"transaction_id": "MC-1", "master_policy": policy, "type": "CANCELLATION", "effective_date": "2025-06-01"}
    with monkeypatch.context() as patched:
        patched.setattr(JobRuns, "follow", _dies)
        unfinished = world.send("ApplyMasterPolicyTransaction", key="cancel-1", **stated)
        assert (unfinished.status_code, unfinished.json()["result"]["status"]) == (202, "RUNNING")
    assert status(world, policy, "MC-1")["status"] == "RUNNING"
    again = world.send("ApplyMasterPolicyTransaction", key="cancel-1", **stated)
    assert (again.status_code, again.json()["result"]["status"]) == (200, "COMPLETED")
    assert again.json()["result"]["counts"]["APPLIED"] == 2
    # The position it tells holds the members' transactions too, for who wants to read them.
    assert again.json()["position"] == world.head()
    third = world.send("ApplyMasterPolicyTransaction", key="cancel-1", **stated)
    assert third.json()["result"] == again.json()["result"]
    assert applied(world) == ["MC-1/MR-1", "MC-1/MR-2"]


def _dies(*_: Any, **__: Any) -> None:
    raise RuntimeError("the process is gone")


@pytest.mark.rule("PRM-150", "PLT-055")
def test_a_cascade_that_nobody_works_on_is_taken_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _, policy = policy_of(world, 2)
    with monkeypatch.context() as patched:
        patched.setattr(JobRuns, "follow", _dies)
        assert master(world, policy, "MC-1", "CANCELLATION", "2025-06-01").status_code == 202
    assert applied(world) == []
    taken_up(world)
    assert applied(world) == ["MC-1/MR-1", "MC-1/MR-2"]
    assert status(world, policy, "MC-1")["status"] == "COMPLETED"
    taken_up(world)
    assert len(applied(world)) == 2


@pytest.mark.rule("PLT-010")
def test_a_command_that_goes_on_is_done_when_its_cascade_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _, policy = policy_of(world, 1)
    in_background(world)

    def told_state(command: str) -> str:
        found = world.client.get(f"/v1/commands/{command}", headers=headers(world, "AUD"))
        return str(found.json()["state"])

    with nobody_works(monkeypatch):
        command = master(world, policy, "MC-1", "CANCELLATION", "2025-06-01").json()["command_id"]
        assert told_state(command) == "QUEUED"
    taken_up(world)
    assert told_state(command) == "DONE"


@pytest.mark.rule("PLT-055")
def test_a_cascade_whose_run_was_cancelled_is_gone_on_with(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _, policy = policy_of(world, 2)
    in_background(world)
    with nobody_works(monkeypatch):
        run = UUID(begun(world, policy, "MC-1", "CANCELLATION", "2025-06-01")["activity_id"])
        cancelled = world.system.jobs.control(run, ControlAction.CANCEL)
        assert cancelled is not None
        assert cancelled.state is RunState.CANCELLED
    taken_up(world)
    assert applied(world) == ["MC-1/MR-1", "MC-1/MR-2"]
    assert status(world, policy, "MC-1")["status"] == "COMPLETED"


@pytest.mark.rule("PLT-055")
def test_a_run_that_another_release_gave_up_is_gone_on_with(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _, policy = policy_of(world, 2)
    in_background(world)
    with nobody_works(monkeypatch):
        begun(world, policy, "MC-1", "CANCELLATION", "2025-06-01")
    with monkeypatch.context() as patched:
        patched.setattr(world.system.jobs, "definitions", {})
        world.system.jobs.resume()
        world.system.wait_for_background()
    assert applied(world) == []
    taken_up(world)
    assert applied(world) == ["MC-1/MR-1", "MC-1/MR-2"]
    assert status(world, policy, "MC-1")["status"] == "COMPLETED"


@pytest.mark.rule("PRM-150", "PLT-022")
def test_a_second_transaction_waits_until_the_first_has_reached_all_records(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, policy = policy_of(world, 2)
    in_background(world)
    with nobody_works(monkeypatch):
        running = begun(world, policy, "MC-1", "CANCELLATION", "2025-06-01")
        undoing = master(world, policy, "MR-X", "RESCIND_CANCELLATION", "2025-06-01", key="rescind")
        problem = undoing.json()["problems"][0]
        assert (undoing.status_code, problem["code"], problem["entity"]) == (
            409, "ACTIVITY_IN_PROGRESS", running["activity_id"],
        )  # fmt: skip
        assert undoing.json()["retryable"]
        # The same transaction again is known; one without effect on records is taken.
        assert begun(world, policy, "MC-1", "CANCELLATION", "2025-06-01") == running
        assert master(world, policy, "RN-1", "RENEWAL", "2026-01-01").json()["result"]["status"] == "RECORDED"
    taken_up(world)
    assert master(world, policy, "MR-X", "RESCIND_CANCELLATION", "2025-06-01", key="rescind").status_code == 202
    world.system.wait_for_background()
    assert [one[:2] for one in results(world, policy, "MR-X")] == [("MR-1", "APPLIED"), ("MR-2", "APPLIED")]


@pytest.mark.rule("PLT-005")
def test_a_transaction_sent_again_under_another_key_tells_what_became_of_it(world: World) -> None:
    _, policy = policy_of(world, 3)
    for transaction, day in (("A-2", "2025-09-01"), ("A-1", "2025-08-01")):
        given("ApplyAmendment", world, "MR-2", day, transaction_id=transaction, amounts=life("1320.00"))
    in_background(world)
    first = begun(world, policy, "MC-1", "CANCELLATION", "2025-06-01", reason="LEFT")
    world.system.wait_for_background()
    again = begun(world, policy, "MC-1", "CANCELLATION", "2025-06-01", reason="LEFT")
    assert {name: again[name] for name in ("cascade", "activity_id", "members")} == {
        name: first[name] for name in ("cascade", "activity_id", "members")
    }
    assert (again["status"], again["counts"]) == (
        "COMPLETED_WITH_ERRORS", {"APPLIED": 2, "SKIPPED": 0, "DEAD_LETTERED": 1, "REFUSED": 0},
    )  # fmt: skip
    assert [one["member_record"] for one in again["results"]] == ["MR-1", "MR-2", "MR-3"]
    head = world.head()
    stated = [{"member_record": "MR-1", "effective_date": "2025-06-01"}]
    for other in ({"reason": "DIED"}, {"transaction_date": "2024-01-01"}, {"records": stated}):
        refused = master(world, policy, "MC-1", "CANCELLATION", "2025-06-01", **{"reason": "LEFT", **other})
        assert [one["code"] for one in refused.json()["problems"]] == ["IDEMPOTENCY_CONFLICT"]
    assert world.head() == head


@pytest.mark.rule("PRM-004", "PRM-103", "PRM-151")
def test_transactions_of_members_meet_the_record_before_or_behind_its_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, policy = policy_of(world, 3)
    in_background(world)
    with nobody_works(monkeypatch):
        begun(world, policy, "MC-1", "CANCELLATION", "2025-06-01")
        given("ApplyAmendment", world, "MR-1", "2025-08-01", transaction_id="AM-1", amounts=life("1320.00"))
        given("ApplyAmendment", world, "MR-2", "2025-03-01", transaction_id="AM-2", amounts=life("1320.00"))
        given("ApplyCancellation", world, "MR-3", "2025-05-01")
        world.member(policy, "MR-0")
    taken_up(world)
    assert statuses(world, "MR-1")["AM-1"] == "INEFFECTIVE"
    assert statuses(world, "MR-2")["AM-2"] == "APPLIED"
    assert results(world, policy, "MC-1") == [
        ("MR-0", "APPLIED", None),
        ("MR-1", "APPLIED", None),
        ("MR-2", "APPLIED", None),
        ("MR-3", "SKIPPED", None),
    ]
    assert told("ApplyAmendment", world, "MR-1", "2025-08-01", amounts=life("1440.00")) == ["MEMBER_NOT_IN_FORCE"]
    invoiced(world, account, 1)
    world.check(account)


@pytest.mark.rule("PRM-150")
def test_a_member_enrolled_behind_the_turn_of_its_number_is_reached_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, policy = policy_of(world, 2)
    monkeypatch.setattr(cascade_items, "PORTION", 1)
    reach = application.cascades._reach

    def enrolling(unit: Any, cascade: Any, number: str) -> Any:
        if number == "MR-2" and not world.events(CascadeRecordEnded)[1:]:
            world.member(policy, "MR-0")
        return reach(unit, cascade, number)

    monkeypatch.setattr(application.cascades, "_reach", enrolling)
    in_background(world)
    begun(world, policy, "MC-1", "CANCELLATION", "2025-06-01")
    world.system.wait_for_background()
    assert applied(world) == ["MC-1/MR-1", "MC-1/MR-2", "MC-1/MR-0"]
    assert status(world, policy, "MC-1")["status"] == "COMPLETED"


@pytest.mark.rule("PRM-151", "PLT-058", "PLT-059", "PLT-E09")
def test_what_comes_behind_a_record_that_waits_waits_too(world: World) -> None:
    _, policy = policy_of(world, 2)
    for transaction, day in (("A-2", "2025-09-01"), ("A-1", "2025-08-01")):
        given("ApplyAmendment", world, "MR-1", day, transaction_id=transaction, amounts=life("1320.00"))
    master(world, policy, "MC-1", "CANCELLATION", "2025-06-01")
    assert results(world, policy, "MC-1")[0] == ("MR-1", "DEAD_LETTERED", "ROLL_ON_PENDING")
    later = given("ApplyAmendment", world, "MR-1", "2025-10-01", transaction_id="A-3", amounts=life("1440.00"))
    assert later["status"] == "WAITING"
    # The reinstatement reaches the record as well: it comes behind the cancellation that is still to come.
    master(world, policy, "MI-1", "REINSTATEMENT", "2025-06-01")
    assert results(world, policy, "MI-1") == [("MR-1", "DEAD_LETTERED", "WAITING"), ("MR-2", "APPLIED", None)]
    decide(world, "MR-1", ("A-2", "DROP", None))
    done = world.do("ReprocessDeadLetter", items=["DL-00000001"])["items"]
    assert [(one["item"], one["state"]) for one in done] == [
        ("DL-00000001", "RESOLVED"), ("DL-00000002", "RESOLVED"), ("DL-00000003", "RESOLVED"),
    ]  # fmt: skip
    assert done[1]["outcome"] == "REFUSED"  # the amendment of a cancelled member
    for transaction in ("MC-1", "MI-1"):
        assert status(world, policy, transaction)["status"] == "COMPLETED"
        assert results(world, policy, transaction)[0] == ("MR-1", "APPLIED", None)
    assert statuses(world, "MR-1")["MI-1/MR-1"] == "APPLIED"


@pytest.mark.rule("PRM-151", "PLT-060")
def test_a_reinstatement_is_not_for_a_record_whose_cancellation_was_given_up(world: World) -> None:
    _, policy = policy_of(world, 1)
    for transaction, day in (("A-2", "2025-09-01"), ("A-1", "2025-08-01")):
        given("ApplyAmendment", world, "MR-1", day, transaction_id=transaction, amounts=life("1320.00"))
    master(world, policy, "MC-1", "CANCELLATION", "2025-06-01")
    master(world, policy, "MI-1", "REINSTATEMENT", "2025-06-01")
    decide(world, "MR-1", ("A-2", "DROP", None))
    world.do("DiscardDeadLetter", item="DL-00000001", reason="The member stays", roles=("SUP",))
    assert results(world, policy, "MI-1") == [("MR-1", "SKIPPED", None)]
    assert status(world, policy, "MI-1")["status"] == "COMPLETED"
    assert status(world, policy, "MC-1")["status"] == "COMPLETED_WITH_ERRORS"
    assert statuses(world, "MR-1")["A-1"] == "APPLIED"


@pytest.mark.rule("PRM-151", "PLT-059")
def test_a_dead_letter_that_is_refused_is_the_end_for_its_record(world: World) -> None:
    _, policy = policy_of(world, 1)
    for transaction, day in (("A-2", "2025-09-01"), ("A-1", "2025-08-01")):
        given("ApplyAmendment", world, "MR-1", day, transaction_id=transaction, amounts=life("1320.00"))
    master(
        world, policy, "RW-1", "REWRITE", "2025-02-01",
        records=[{"member_record": "MR-1", "effective_date": "2024-06-01"}],
    )  # fmt: skip
    code = "OUTSIDE_PRODUCT_DATES"
    assert results(world, policy, "RW-1") == [("MR-1", "DEAD_LETTERED", code)]
    [done] = world.do("ReprocessDeadLetter", items=["DL-00000001"])["items"]
    assert (done["state"], done["outcome"]) == ("RESOLVED", "REFUSED")
    assert results(world, policy, "RW-1") == [("MR-1", "REFUSED", code)]
    found = status(world, policy, "RW-1")
    assert (found["status"], found["refused"], found["deadLettered"]) == ("COMPLETED_WITH_ERRORS", 1, 0)


@pytest.mark.rule("PRM-151")
def test_a_technical_failure_of_a_record_does_not_stop_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, policy = policy_of(world, 3)
    monkeypatch.setattr("application.job_runs.PAUSE", 0.0)
    decided = application.cascades.decide
    tried: list[str] = []

    def failing(record: Any, *given_to: Any) -> Any:
        if record.number == "MR-2":
            tried.append(record.number)
            raise ZeroDivisionError("a defect")
        return decided(record, *given_to)

    with monkeypatch.context() as patched:
        patched.setattr(application.cascades, "decide", failing)
        answer = master(world, policy, "MC-1", "CANCELLATION", "2025-06-01")
    assert (answer.status_code, answer.json()["result"]["status"]) == (200, "COMPLETED_WITH_ERRORS")
    assert len(tried) == 3
    assert [(one[1], one[2]) for one in results(world, policy, "MC-1")] == [
        ("APPLIED", None), ("DEAD_LETTERED", "INTERNAL_ERROR"), ("APPLIED", None),
    ]  # fmt: skip
    world.do("ReprocessDeadLetter", items=["DL-00000001"])
    assert world.query(_LETTER, n="DL-00000001", roles=("SUP",))["deadLetter"] == {"state": "RESOLVED"}
    assert status(world, policy, "MC-1")["status"] == "COMPLETED"


@pytest.mark.rule("PLT-007", "PRM-150")
def test_a_dry_run_tells_what_would_happen_and_changes_nothing(world: World) -> None:
    _, policy = policy_of(world, 3)
    given("ApplyCancellation", world, "MR-2", "2025-03-01")
    head = world.head()
    stated = {"transaction_id": "MC-1", "master_policy": policy, "type": "CANCELLATION", "effective_date": "2025-06-01"}

    def foreseen() -> dict[str, Any]:
        answer = world.send("ApplyMasterPolicyTransaction", envelope={"dry_run": True}, **stated)
        assert answer.status_code == 200
        return dict(answer.json()["result"])

    small = foreseen()
    assert (small["status"], small["counts"]) == (
        "COMPLETED", {"APPLIED": 2, "SKIPPED": 1, "DEAD_LETTERED": 0, "REFUSED": 0},
    )  # fmt: skip
    assert [one["result"] for one in small["results"]] == ["APPLIED", "SKIPPED", "APPLIED"]
    assert world.head() == head
    in_background(world)
    assert foreseen()["foreseen"] == {"INCLUDED": 2, "SKIPPED": 1, "NOT_INCLUDED": 0}
    assert world.query(_STATUS, p=policy, t=None, n=1, a=None)["cascadeStatus"] == []


@pytest.mark.rule("PRM-065", "PRM-066", "PRM-151")
def test_what_undoes_a_cancellation_must_fit_it(world: World) -> None:
    _, policy = policy_of(world, 1)

    def codes(kind: str, day: str, **members: Any) -> list[str]:
        stated = {"transaction_id": f"M-{kind}", "master_policy": policy, "type": kind, "effective_date": day}
        return world.refused("ApplyMasterPolicyTransaction", **stated, **members)[1]

    assert codes("REINSTATEMENT", "2025-06-01") == ["NO_CANCELLATION_IN_FORCE"]
    master(world, policy, "MC-1", "CANCELLATION", "2025-06-01")
    assert codes("RESCIND_CANCELLATION", "2025-06-02") == ["RESCIND_DATE_MISMATCH"]
    assert codes("REINSTATEMENT", "2025-05-31") == ["REINSTATEMENT_BEFORE_CANCELLATION"]
    assert codes("REINSTATEMENT", "2025-06-01", undoes="MC-9") == ["NO_CANCELLATION_IN_FORCE"]


@pytest.mark.rule("PRM-152")
def test_what_is_stated_for_a_record_that_the_policy_does_not_have_is_refused(world: World) -> None:
    _, policy = policy_of(world, 1)
    refused = master(
        world, policy, "RW-1", "REWRITE", "2025-02-01",
        records=[{"member_record": number, "amounts": life("2400.00")} for number in ("MR-1", "MR-9")],
    )  # fmt: skip
    [problem] = refused.json()["problems"]
    assert (problem["code"], problem["pointer"]) == ("MEMBER_RECORD_NOT_FOUND", "/records/1/member_record")
    assert applied(world) == []


@pytest.mark.rule("PRM-004", "PRM-103", "PRM-150")
def test_members_are_amended_while_a_cascade_runs_and_each_record_is_reached_once(world: World) -> None:
    account, policy = policy_of(world, 10)
    in_background(world)
    begun(world, policy, "MC-1", "CANCELLATION", "2025-06-01")

    def amended(number: int) -> tuple[str, int]:
        stated = {"member_record": f"MR-{number}", "kinds": ["GENERAL"], "amounts": life("1320.00")}
        answer = world.send("ApplyAmendment", transaction_id=f"AM-{number}", effective_date="2025-08-01", **stated)
        return f"MR-{number}", answer.status_code

    with ThreadPoolExecutor(3) as pool:
        # The last records first: some are amended before their turn, others behind it.
        codes = dict(pool.map(amended, range(10, 0, -1)))
    world.system.wait_for_background()
    numbers = sorted(codes)
    assert applied(world) == [f"MC-1/{number}" for number in numbers]
    for number in numbers:
        found = statuses(world, number)
        assert found[f"MC-1/{number}"] == "APPLIED"
        # Before the cancellation an amendment loses its effect to it, behind it there is no cover to be amended.
        assert (codes[number], found.get(f"AM-{number.removeprefix('MR-')}")) in ((200, "INEFFECTIVE"), (422, None))
    invoiced(world, account, 1)
    world.check(account)
    world.verify()


@pytest.mark.rule("PRM-152", "PRM-069", "INV-131")
def test_a_rewrite_goes_through_its_steps_accounts_first(world: World) -> None:
    account, policy = policy_of(world, 2)
    given("ApplyAmendment", world, "MR-1", "2025-03-01", transaction_id="AM-1", amounts=life("1320.00"))
    issued = invoiced(world, account, 3)
    in_background(world)
    begun(
        world, policy, "RW-1", "REWRITE", "2025-02-01",
        records=[{"member_record": "MR-2", "effective_date": "2025-03-01", "amounts": life("2400.00")}],
    )  # fmt: skip
    world.system.wait_for_background()
    steps = world.events(CascadeAccountRestarted, CascadeRecordEnded)
    assert [getattr(one, "account", None) or one.member_record for one in steps] == [account, "MR-1", "MR-2"]
    found = status(world, policy, "RW-1")
    assert (found["status"], found["applied"]) == ("COMPLETED", 2)
    assert found["accounts"] == [
        {"account": account, "invoicingStart": "2025-02-01", "discarded": [issued[0]], "notDiscarded": []}
    ]
    # MR-1 from the master's date at its first amounts, MR-2 from its own date at the amounts stated.
    assert anyb_by_period(world, "MR-1") == {"2025-03-01": "-10.00"}
    assert anyb_by_period(world, "MR-2") == {"2025-02-01": "-100.00", "2025-03-01": "100.00"}
    world.check(account)
    world.verify()


@pytest.mark.rule("PRM-115", "PRM-151")
def test_a_rewrite_ends_the_lock_of_a_record(world: World) -> None:
    _, policy = policy_of(world, 1)
    for transaction, day in (("A-2", "2025-09-01"), ("A-1", "2025-08-01")):
        given("ApplyAmendment", world, "MR-1", day, transaction_id=transaction, amounts=life("1320.00"))
    assert master(world, policy, "RW-1", "REWRITE", "2025-02-01").json()["result"]["status"] == "COMPLETED"
    assert statuses(world, "MR-1")["A-2"] == "OBSOLETE"
    given("ApplyCancellation", world, "MR-1", "2025-06-01")


def test_steps_are_not_for_users(world: World) -> None:
    _, policy = policy_of(world, 1)
    answer = master(world, policy, "MC-1", "CANCELLATION", "2025-06-01").json()["result"]
    step = {"cascade": answer["cascade"], "member_record": "MR-1"}
    assert world.refused("RunCascadeStep", **step) == (403, ["FORBIDDEN"])
    assert world.refused("GiveUpCascadeStep", code="OTHER", **step) == (403, ["FORBIDDEN"])
    again = world.do("RunCascadeStep", roles=("SYS",), **step)
    assert again["result"] == "APPLIED"
    assert world.refused("RunCascadeStep", roles=("SYS",), cascade="none")[1] == ["ENTITY_NOT_FOUND"]
    assert world.refused("GiveUpCascadeStep", roles=("SYS",), cascade=answer["cascade"], code="OTHER")[1] == [
        "STATE_INVALID"
    ]
    assert applied(world) == ["MC-1/MR-1"]


def written(world: World, *appended: tuple[Aggregate[Any], str, list[object]]) -> None:
    """Write events as an earlier release wrote them."""
    principal = Principal("USER", "ann", "sandbox", frozenset())
    request = CommandRequest("Earlier", {}, principal, "API")
    system = world.system
    command = system.ids.new()
    context = CommandContext(request, command, command, b"", world.clock.now())
    record = AuditRecord(
        command, "Earlier", principal, "API", None, b"", True, False, False, None, (), {}, command, context.now, 0
    )  # fmt: skip
    with system.units.begin(context) as unit:
        for aggregate, identifier, events in appended:
            unit.load(aggregate, identifier)
            unit.append(aggregate, identifier, events)
        unit.complete(CommandAnswer(str(command), {}, (), None), record, commit=True)


@pytest.mark.rule("PLT-026", "PRM-151")
def test_a_cascade_from_before_they_were_processes_is_told_reprocessed_and_undone(world: World) -> None:
    _, policy = policy_of(world, 2)
    given("ApplyCancellation", world, "MR-2", "2025-03-01")
    day = dt.date(2025, 6, 1)
    request = {
        "transaction_id": "MC-0",
        "master_policy": policy,
        "type": "CANCELLATION",
        "effective_date": "2025-06-01",
    }
    kept = MemberTransactionDeadLettered(
        dead_letter="DL-90000001", kind=DeadLetterKind.CASCADE_RECORD, key="MR-1", command="ApplyCascadedTransaction",
        payload=json.dumps({"member_record": "MR-1", "request": request}),
        reasons=(Reason("ROLL_ON_PENDING", "locked", "decide"),), source="sandbox", waiting=False,
        received_at=world.clock.now(),
    )  # fmt: skip
    found = (CascadeResult("MR-1", "DEAD_LETTERED", "ROLL_ON_PENDING"), CascadeResult("MR-2", "SKIPPED"))
    written(
        world,
        (DEAD_LETTER, "DL-90000001", [kept]),
        (MASTER_POLICY, policy, [
            MasterPolicyCascadeStarted(transaction_id="MC-0", type="CANCELLATION", effective_date=day, members=2),
            MasterPolicyCascadeCompleted(transaction_id="MC-0", status="COMPLETED_WITH_ERRORS", results=found),
        ]),
    )  # fmt: skip
    repeated = world.do("ApplyMasterPolicyTransaction", **request)
    assert (repeated["status"], repeated["counts"]["SKIPPED"]) == ("COMPLETED_WITH_ERRORS", 1)
    before = status(world, policy, "MC-0")
    assert (before["status"], before["activityId"], before["deadLettered"]) == ("COMPLETED_WITH_ERRORS", None, 1)
    [done] = world.do("ReprocessDeadLetter", items=["DL-90000001"])["items"]
    assert done["state"] == "RESOLVED"
    after = status(world, policy, "MC-0")
    assert (after["status"], after["applied"], after["skipped"]) == ("COMPLETED", 1, 1)
    assert results(world, policy, "MC-0")[0][:2] == ("MR-1", "APPLIED")
    master(world, policy, "MI-1", "REINSTATEMENT", "2025-06-01")
    assert results(world, policy, "MI-1") == [("MR-1", "APPLIED", None)]
    taken_up(world)
    world.verify()


@pytest.mark.rule("PRM-073", "CAL-017")
def test_a_change_of_frequency_reaches_more_members_than_a_command_takes_locks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, _ = policy_of(world, 8)
    monkeypatch.setattr("infrastructure.unit_of_work.LOCK_LIMIT", 6)
    changed = world.do(
        "ConfigureInvoicingSchedule", account=account,
        schedule={"frequency": "QUARTERLY", "due_day_mode": "CALENDAR_DAY", "due_days": [1]},
    )  # fmt: skip
    assert changed["members"] == 8
    world.check(account)
