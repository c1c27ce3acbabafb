"""Many clients at once on one account: everything happens once, one after another, and no cent is lost."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Barrier
from typing import Any

import pytest

from domain.members.events import PolicyTransactionApplied
from domain.payments.payment import PaymentAllocated, PaymentUnallocated
from tests.scenarios.billing import discard, generate, pay
from tests.scenarios.conftest import World
from tests.scenarios.test_calendar_commands import busy, until_somebody_waits

#: Refusals a client answers by sending the command again.
AGAIN = {"CONCURRENT_CHANGE", "PROCESS_CONFLICT"}


def insist(world: World, name: str, **payload: Any) -> set[str]:
    """Send a command until it is decided; the codes of its refusal, none when it was accepted."""
    for _ in range(200):
        response = world.send(name, **payload)
        assert response.status_code < 500, response.text
        if response.status_code == 200:
            return set()
        codes = {one["code"] for one in response.json()["problems"]}
        if not codes & AGAIN:
            return codes
        time.sleep(0.02)
    raise AssertionError(f"{name} is never decided")


def together(*doings: Callable[[], Any]) -> list[Any]:
    """Run all of it at the same moment, a thread each; what each gave."""
    start = Barrier(len(doings))

    def run(doing: Callable[[], Any]) -> Any:
        start.wait()
        return doing()

    with ThreadPoolExecutor(len(doings)) as pool:
        return list(pool.map(run, doings))


@pytest.mark.rule("PLT-011", "PLT-012", "PLT-021", "INV-011", "INV-150")
def test_members_change_while_their_account_is_invoiced_and_paid(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    members = [f"MR-{number}" for number in range(1, 7)]
    for member in members:
        world.member(policy, member)
    generate(world, account)
    accepted: list[str] = []

    def change(member: str) -> None:
        chance = random.Random(member)
        for number in range(4):
            transaction = f"TX-{member}-{number}"
            refused = insist(
                world,
                "ApplyAmendment",
                transaction_id=transaction,
                member_record=member,
                effective_date=f"2025-0{1 + number}-{chance.choice(['01', '11'])}",
                kinds=["GENERAL"],
                amounts=[{"coverage": "LIFE", "annual_amount": f"{chance.randint(1, 3000)}.00"}],
            )
            assert not refused
            accepted.append(transaction)

    issued: list[set[str]] = []

    def bill() -> None:
        issued.extend(insist(world, "GenerateInvoice", account=account, confirmed=True) for _ in range(3))

    def receive() -> None:
        for number in range(6):
            pay(world, account, "333.33", str(number))

    together(*(lambda member=member: change(member) for member in members), bill, bill, receive)
    assert issued == [set()] * 6
    books = world.check(account)
    assert len(books.live) == 7
    applied = [one.transaction.transaction_id for one in world.events(PolicyTransactionApplied)]
    assert sorted(one for one in applied if one.startswith("TX-")) == sorted(accepted)
    assert sum(record.received for record in books.records.values()) == 6 * 33333
    world.verify()


@pytest.mark.rule("INV-011", "INV-150", "PLT-011")
def test_one_of_several_generations_of_a_period_issues_it(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    ask = {"account": account, "confirmed": True, "period_start": "2025-01-01"}
    answers = together(*(lambda: world.send("GenerateInvoice", **ask) for _ in range(6)))
    assert sum(answer.status_code == 200 for answer in answers) == 1
    codes = {one["code"] for answer in answers if answer.status_code != 200 for one in answer.json()["problems"]}
    assert codes <= {"PROCESS_CONFLICT", "PERIOD_ALREADY_INVOICED", "CONCURRENT_CHANGE"}
    assert len(world.check(account).live) == 1


@pytest.mark.rule("INV-122", "INV-150")
def test_one_of_several_discards_takes_the_money_off_once(world: World) -> None:
    """Two discards of INV-E19, and a few more."""
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    invoice = generate(world, account)
    pay(world, account, "100.00", "1")
    ask = {"invoice": invoice, "reason": "Wrong", "confirmed": True}
    answers = together(*(lambda: world.send("DiscardInvoice", **ask) for _ in range(6)))
    assert sum(answer.status_code == 200 for answer in answers) == 1
    codes = {one["code"] for answer in answers if answer.status_code != 200 for one in answer.json()["problems"]}
    assert codes <= {"PROCESS_CONFLICT", "INVOICE_NOT_DISCARDABLE", "INVOICE_STATUS_CHANGED", "CONCURRENT_CHANGE"}
    assert [record.unapplied for record in world.check(account).records.values()] == [10000]


@pytest.mark.rule("PLT-004")
def test_one_key_sent_at_once_by_many_writes_once(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    generate(world, account)
    ask = {
        "account": account,
        "amount": "60.00",
        "method": "CASH",
        "bank_processing": False,
        "allocation": "RULES",
    }
    answers = together(*(lambda: world.send("ApplyPayment", key="at-once", **ask) for _ in range(6)))
    done = [answer.json()["result"]["payment"] for answer in answers if answer.status_code == 200]
    assert len(set(done)) == 1
    refused = [one for answer in answers if answer.status_code != 200 for one in answer.json()["problems"]]
    assert {one["code"] for one in refused} <= {"COMMAND_IN_PROGRESS"}
    late = world.send("ApplyPayment", key="at-once", **ask)
    assert late.json()["result"]["payment"] == done[0]
    assert sum(record.received for record in world.check(account).records.values()) == 6000


@pytest.mark.rule("PAY-002", "PLT-012")
def test_money_moved_by_many_hands_at_once_stays_whole(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1", annual="2400.00")
    invoices = [generate(world, account), generate(world, account)]
    record = pay(world, account, "300.00", "1")["record"]
    turns = itertools.cycle(invoices)

    def take_off() -> None:
        for _ in range(5):
            insist(world, "UnallocatePayment", record=record, reason="MISAPPLIED")

    def put_on() -> None:
        for _ in range(5):
            target = {"kind": "INVOICE", "invoice": next(turns), "amount": "70.00"}
            insist(world, "AllocatePayment", record=record, targets=[target], remainder="KEEP_UNAPPLIED")

    together(take_off, take_off, put_on, put_on, put_on)
    moves = [one for one in world.events(PaymentAllocated, PaymentUnallocated) if one.record.record_id == record]
    assert {type(one) for one in moves[1:]} == {PaymentAllocated, PaymentUnallocated}
    assert world.check(account).records[record].received == 30000
    world.verify()


@pytest.mark.rule("INV-150", "INV-151", "INV-E19")
def test_a_regeneration_waits_behind_a_generation_and_all_else_is_refused_with_its_name(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    january, february, march = (generate(world, account) for _ in range(3))
    for invoice in (february, january):
        discard(world, invoice)
    with ThreadPoolExecutor(2) as pool, busy(world, account):
        generation = pool.submit(lambda: world.send("GenerateInvoice", account=account, confirmed=True))
        until_somebody_waits(world)
        regeneration = pool.submit(lambda: world.send("RegenerateInvoice", invoice=february, confirmed=True))
        ask = {"invoice": march, "reason": "Wrong rates", "confirmed": True}
        [refused] = world.send("DiscardInvoice", **ask).json()["problems"]
        assert (refused["code"], refused["params"]["process"]) == ("PROCESS_CONFLICT", "GENERATION")
        assert not wait([regeneration], timeout=0.3).done
    assert [one.result().status_code for one in (generation, regeneration)] == [200, 200]
    periods = [one.result().json()["result"]["period_start"] for one in (generation, regeneration)]
    assert periods == ["2025-01-01", "2025-02-01"]
    assert sum(world.check(account).live.values()) == 3
