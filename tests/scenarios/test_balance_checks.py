"""A balance whose stored figures do not fit together is not shown, and somebody is asked to look."""

from __future__ import annotations

from typing import Any

import pytest

from domain.platform.tasks import TaskRaised
from tests.scenarios.billing import amend, generate, pay_invoice
from tests.scenarios.conftest import World
from tests.scenarios.test_scope_of_reads import asked, seen

_BALANCES = "query ($a: String!) { accountBalances(account: $a) { accountBalance { amount } } }"
_EXPLAINED = "query ($a: String!) { explainBalance(account: $a) { accountBalance { amount } } }"
_TASKS = "{ tasks { nodes { type queue subject reason state } } }"


def tamper(world: World, table: str, change: str) -> None:
    """Change rows of the register behind the service's back."""
    world.system.projector.catch_up()
    with world.system.read_models.session() as session:
        name = session.table("register", table)
    with world.system.database.writing() as connection:
        connection.execute(f"update {name} set {change}".encode())


def incomplete(world: World, text: str, account: str) -> list[str]:
    """The figures that a query names which refuses to give any."""
    answer = asked(world, text, a=account)
    assert answer["data"] is None
    [problem] = answer["errors"][0]["extensions"]["problems"]
    assert (problem["code"], problem["entity"]) == ("DATA_INCOMPLETE", account)
    figures: Any = problem["params"]["figures"]
    return [name for name in ("remaining_due", "open_credit", "unapplied", "total_paid", "anyb") if name in figures]


@pytest.fixture
def account(world: World) -> str:
    """An account with invoices, one paid in part, money on no invoice, and something not billed yet."""
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    january = generate(world, account)
    pay_invoice(world, account, january, "40.00", "1")
    world.do("AcceptExternalPayment", account=account, amount="15.00", designation="UNAPPLIED")
    amend(world, "MR-1", "2025-01-01", ("LIFE", "1320.00"))
    return account


@pytest.mark.rule("INV-243")
@pytest.mark.parametrize(
    ("table", "change", "figures"),
    [
        ("account", "remaining_due = remaining_due + 1", ["remaining_due"]),
        ("account", "anyb = 0", ["anyb"]),
        ("invoice", "remaining_due = 0, open_credit = 100", ["remaining_due", "open_credit"]),
        ("record", "unapplied = unapplied + 5, items = items - 5", ["unapplied", "total_paid"]),
    ],
)
def test_inconsistent_figures_give_a_task_instead_of_a_balance(
    world: World, account: str, table: str, change: str, figures: list[str]
) -> None:
    assert seen(world, _BALANCES, a=account)["accountBalances"]["accountBalance"]["amount"] == "45.00"
    assert seen(world, _EXPLAINED, a=account)["explainBalance"]["accountBalance"]["amount"] == "45.00"
    head = world.head()
    tamper(world, table, change)
    assert incomplete(world, _BALANCES, account) == figures
    assert incomplete(world, _EXPLAINED, account) == figures
    [raised] = world.events(TaskRaised)  # once, however often it is asked
    assert (raised.subject, raised.code, raised.account) == (account, "DATA_INCOMPLETE", account)
    assert world.head() == head + 1
    assert all(name in raised.reason for name in figures)
    [task] = seen(world, _TASKS)["tasks"]["nodes"]
    assert (task["type"], task["queue"], task["state"]) == ("BALANCE_INCOMPLETE", "BILLING_EXCEPTIONS", "OPEN")


def test_the_task_closes_when_the_figures_agree_again(world: World, account: str) -> None:
    tamper(world, "account", "unapplied = unapplied + 1")
    incomplete(world, _BALANCES, account)
    tamper(world, "account", "unapplied = unapplied - 1")
    told = world.do("ReportIncompleteBalance", account=account, roles=("SYS",))
    assert told == {"account": account, "skipped": "CONSISTENT"}
    assert seen(world, _BALANCES, a=account)["accountBalances"]["accountBalance"]["amount"] == "45.00"
    assert world.refused("ReportIncompleteBalance", account="LB999999998", roles=("SYS",))[1] == [
        "BILLING_ACCOUNT_NOT_FOUND"
    ]
    assert world.refused("ReportIncompleteBalance", account=account, roles=("ARM",))[0] == 403
