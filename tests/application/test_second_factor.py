"""The second factor: how long it is good for, and how often."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from application.clock import ManualClock, UuidSource
from application.command import Command, CommandRequest, CommandType, Outcome, Principal
from application.dispatch import CommandRefused, Dispatcher
from application.security import SecondFactorGuard
from application.unit_of_work import UnitOfWork
from domain.errors import refuse
from infrastructure.postgres.command_records import PostgresAuditTrail
from infrastructure.postgres.database import Database
from infrastructure.unit_of_work import PostgresUnits

TEN = dt.datetime(2025, 3, 1, 10, tzinfo=dt.UTC)


class ApproveRefund(Command):
    refund: str


class RevealPersonalData(Command):
    refund: str = ""


def decide(command: Any, unit: UnitOfWork) -> Outcome:
    if command.refund == "GONE":
        raise refuse("REFUND_NOT_FOUND", "there is no such refund")
    return Outcome({})


class World:
    """Commands that need a second factor, sent by one user."""

    def __init__(self, database: Database, clock: ManualClock, ids: UuidSource) -> None:
        self.clock = clock
        models = (ApproveRefund, RevealPersonalData)
        types = {m.__name__: CommandType(m.__name__, m, "refund.approve", "09", "", {}, (), ()) for m in models}
        self.dispatcher = Dispatcher(
            PostgresUnits(database, ids),
            PostgresAuditTrail(database),
            clock,
            ids,
            guards=(SecondFactorGuard(clock),),
            types=types,
            handlers=dict.fromkeys(types, decide),
        )
        self.user = Principal("USER", "b", "console", frozenset({"refund.approve"}), person="p-b", second_factor_at=TEN)
        self.sent = 0

    def send(self, name: str, refund: str = "R1", key: str | None = None, **changed: Any) -> str:
        """ACCEPTED, REPLAYED or the code of the refusal."""
        self.sent += 1
        principal = replace(self.user, **changed)
        request = CommandRequest(name, {"refund": refund}, principal, "TEST", key or f"k{self.sent}")
        try:
            return "REPLAYED" if self.dispatcher.execute(request).replayed else "ACCEPTED"
        except CommandRefused as refused:
            return refused.code


@pytest.fixture
def world(database: Database, clock: ManualClock, ids: UuidSource) -> World:
    clock.set(TEN)
    return World(database, clock, ids)


@pytest.mark.rule("PLT-040")
def test_a_factor_is_good_for_five_minutes_the_last_instant_included(world: World) -> None:
    world.clock.set(TEN + dt.timedelta(minutes=5))
    assert world.send("ApproveRefund") == "ACCEPTED"
    world.clock.set(TEN + dt.timedelta(minutes=5, seconds=1))
    assert world.send("RevealPersonalData") == "SECOND_FACTOR_REQUIRED"
    assert world.send("RevealPersonalData", second_factor_at=None) == "SECOND_FACTOR_REQUIRED"


@pytest.mark.rule("PLT-040")
def test_an_accepted_approval_uses_the_factor_up_and_a_fresh_one_is_good_again(world: World) -> None:
    assert world.send("ApproveRefund", "R1") == "ACCEPTED"
    assert world.send("ApproveRefund", "R2") == "SECOND_FACTOR_REUSED"
    later = TEN + dt.timedelta(minutes=1)
    world.clock.set(later)
    assert world.send("ApproveRefund", "R2", second_factor_at=later) == "ACCEPTED"
    assert world.send("ApproveRefund", "R3") == "SECOND_FACTOR_REUSED"  # the older one does not come back


@pytest.mark.rule("PLT-040")
def test_a_refused_approval_does_not_use_it_up_and_a_repeated_one_does_not_need_another(world: World) -> None:
    assert world.send("ApproveRefund", "GONE") == "REFUND_NOT_FOUND"
    assert world.send("ApproveRefund", "R1", key="K") == "ACCEPTED"
    assert world.send("ApproveRefund", "R1", key="K") == "REPLAYED"


@pytest.mark.rule("PLT-040")
def test_the_other_commands_share_a_factor(world: World) -> None:
    assert [world.send("RevealPersonalData") for _ in range(3)] == ["ACCEPTED"] * 3
    assert world.send("ApproveRefund") == "ACCEPTED"
    assert world.send("RevealPersonalData") == "ACCEPTED"


@pytest.mark.rule("PLT-040")
def test_the_factor_is_the_persons_not_the_logins(world: World) -> None:
    assert world.send("ApproveRefund", "R1") == "ACCEPTED"
    assert world.send("ApproveRefund", "R2", identifier="b-second-login") == "SECOND_FACTOR_REUSED"
    assert world.send("ApproveRefund", "R2", identifier="c", person="p-c") == "ACCEPTED"


@pytest.mark.rule("PLT-040")
def test_jobs_and_machines_need_none(world: World) -> None:
    for kind in ("JOB", "MACHINE"):
        assert [world.send("ApproveRefund", kind=kind, second_factor_at=None) for _ in range(2)] == ["ACCEPTED"] * 2
