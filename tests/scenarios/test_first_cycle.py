"""A first billing cycle: a group, its members, an invoice, money, a late amendment, the next invoice, made twice."""

from __future__ import annotations

from tests.scenarios.billing import account_now, amend, cents, discard, generate, pay, regenerate, standing, statement
from tests.scenarios.conftest import World


def test_a_group_is_billed_and_pays(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    world.member(policy, "MR-2", annual="2400.00")
    first = world.do("GenerateInvoice", account=account, confirmed=True)
    assert first == {
        "invoice": "INV-00000001",
        "account": account,
        "period_start": "2025-01-01",
        "period_end": "2025-01-31",
        "issue_date": "2024-12-20",
        "due_date": "2025-01-01",
        "lines": 2,
        "billed": {"amount": "300.00", "currency": "USD"},
        "total_due": {"amount": "300.00", "currency": "USD"},
        "status": "ISSUED",
    }
    record = pay(world, account, "300.00", "1")
    assert (record["status"], record["allocated"], record["unapplied"]) == ("ALLOCATED", "300.00", "0.00")
    world.on("2025-01-18")
    late = amend(world, "MR-1", "2025-01-01", ("LIFE", "1320.00"))
    assert late["anyb"] == [{"account": account, "amount": {"amount": "10.00", "currency": "USD"}, "held": False}]
    second = generate(world, account)
    assert statement(world, second).total_due == cents("320.00")
    assert discard(world, second)["freed_to"] == {}
    third = regenerate(world, second)
    assert statement(world, third).total_due == cents("320.00")
    assert standing(world, account)[third] == ("ISSUED", "320.00")
    assert account_now(world, account)["balances"] == {
        "dueAndUnpaid": "320.00",
        "totalPaid": "300.00",
        "accountBalance": "320.00",
        "anyb": "0.00",
    }
    world.check(account)
    world.verify()


def test_the_cycle_starts_again_where_a_discarded_period_is_generated_as_the_next_one(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    first = generate(world, account)
    discard(world, first)
    again = generate(world, account)
    assert again != first
    assert statement(world, again).total_due == cents("100.00")
    world.check(account)
