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
_HOME = "query ($a: String!) { billingAccount(number: $a) { balances { accountBalance { amount } } } }"
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
    assert not any((answer["data"] or {}).values())
    [problem] = answer["errors"][0]["extensions"]["problems"]
    assert (problem["code"], problem["entity"]) == ("DATA_INCOMPLETE", account)
    figures: Any = problem["params"]["figures"]
    return [name for name in ("due_and_unpaid", "remaining_due", "open_credit", "unapplied") if f"'{name}'" in figures]


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
    ("change", "figures", "total"),
    [
        ("remaining_due = remaining_due + 1", ["due_and_unpaid"], "remaining_due"),
        ("total_paid = 0", ["due_and_unpaid"], "total_paid"),
        ("unapplied = -1500", ["unapplied"], "unapplied"),
    ],
)
def test_figures_that_contradict_one_another_give_a_task_instead_of_a_balance(
    world: World, account: str, change: str, figures: list[str], total: str
) -> None:
    for text, field in ((_BALANCES, "accountBalances"), (_EXPLAINED, "explainBalance")):
        assert seen(world, text, a=account)[field]["accountBalance"]["amount"] == "45.00"
    head = world.head()
    tamper(world, "account", change)
    for text in (_BALANCES, _EXPLAINED, _HOME):
        assert incomplete(world, text, account) == figures
    [raised] = world.events(TaskRaised)  # once, however often it is asked
    assert (raised.subject, raised.code, raised.account) == (account, "DATA_INCOMPLETE", account)
    assert raised.links["figures"] == total
    assert world.head() == head + 1
    [task] = seen(world, _TASKS)["tasks"]["nodes"]
    assert (task["type"], task["queue"], task["state"]) == ("BALANCE_INCOMPLETE", "BILLING_EXCEPTIONS", "OPEN")


@pytest.mark.parametrize(
    ("table", "change", "figures"),
    [
        ("account", "anyb = 0", "anyb"),
        ("invoice", "remaining_due = 0, open_credit = 100", "remaining_due, open_credit"),
        ("record", "unapplied = unapplied + 5, items = items - 5", "total_paid, unapplied"),
    ],
)
def test_totals_are_compared_with_their_parts(
    world: World, account: str, table: str, change: str, figures: str
) -> None:
    tamper(world, table, change)
    world.do("ReportIncompleteBalance", account=account, roles=("SYS",))
    [raised] = world.events(TaskRaised)
    assert raised.links["figures"] == figures


def test_the_task_closes_when_the_figures_agree_again(world: World, account: str) -> None:
    tamper(world, "account", "total_billed = total_billed + 1")
    assert incomplete(world, _BALANCES, account) == ["due_and_unpaid"]
    tamper(world, "account", "total_billed = total_billed - 1")
    told = world.do("ReportIncompleteBalance", account=account, roles=("SYS",))
    assert told == {"account": account, "skipped": "CONSISTENT"}
    assert seen(world, '{ tasks(state: "OPEN") { totalCount } }')["tasks"]["totalCount"] == 0
    assert seen(world, _BALANCES, a=account)["accountBalances"]["accountBalance"]["amount"] == "45.00"
    assert world.refused("ReportIncompleteBalance", account="LB999999998", roles=("SYS",))[1] == [
        "BILLING_ACCOUNT_NOT_FOUND"
    ]
    assert world.refused("ReportIncompleteBalance", account=account, roles=("ARM",))[0] == 403
