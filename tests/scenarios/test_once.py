"""What is sent twice counts once: the same key, the same transaction, the same content under another name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.billing import account_now, generate, lines
from tests.scenarios.conftest import World


def amendment(**members: Any) -> dict[str, Any]:
    return {
        "transaction_id": "AM-1",
        "member_record": "MR-1",
        "effective_date": "2025-01-01",
        "kinds": ["GENERAL"],
        "amounts": [{"coverage": "LIFE", "annual_amount": "1320.00"}],
        **members,
    }


@pytest.mark.rule("PLT-003", "PLT-004")
def test_the_same_key_gives_the_same_answer_and_writes_nothing_more(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    first = world.send("GenerateInvoice", key="once", account=account, confirmed=True)
    assert first.status_code == 200
    before = world.head()
    again = world.send("GenerateInvoice", key="once", account=account, confirmed=True)
    assert again.json()["result"] == first.json()["result"]
    assert world.head() == before
    other = world.send("GenerateInvoice", key="once", account=account, confirmed=True, period_start="2025-02-01")
    assert [one["code"] for one in other.json()["problems"]] == ["IDEMPOTENCY_CONFLICT"]
    assert world.head() == before
    assert len(world.check(account).live) == 1


@pytest.mark.rule("PRM-120")
def test_the_same_transaction_under_another_key_is_counted_once(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    generate(world, account)
    world.do("ApplyAmendment", **amendment())
    assert account_now(world, account)["balances"]["anyb"] == "10.00"
    before = world.head()
    world.do("ApplyAmendment", **amendment())
    assert world.head() == before
    assert account_now(world, account)["balances"]["anyb"] == "10.00"
    changed = amendment(amounts=[{"coverage": "LIFE", "annual_amount": "1440.00"}])
    assert world.refused("ApplyAmendment", **changed)[1] == ["IDEMPOTENCY_CONFLICT"]
    assert world.head() == before
    assert lines(world, account, generate(world, account)) == [
        ("CHARGE", "MR-1", "LIFE", "110.00"),
        ("RETRO", "MR-1", "LIFE", "10.00"),
    ]
    world.check(account)


@pytest.mark.rule("PRM-120", "PRM-122")
def test_the_same_content_under_another_name_changes_no_amount(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    generate(world, account)
    world.do("ApplyAmendment", **amendment())
    world.do("ApplyAmendment", **amendment(transaction_id="AM-2"))
    assert account_now(world, account)["balances"]["anyb"] == "10.00"
    world.check(account)
    world.verify()


@pytest.mark.rule("PLT-007")
def test_a_trial_run_says_what_would_happen_and_changes_nothing(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    before = world.head()
    tried = world.send("GenerateInvoice", envelope={"dry_run": True}, account=account, confirmed=True)
    assert tried.status_code == 200
    assert tried.json()["result"]["total_due"] == {"amount": "100.00", "currency": "USD"}
    assert world.head() == before
    assert generate(world, account) == tried.json()["result"]["invoice"]
