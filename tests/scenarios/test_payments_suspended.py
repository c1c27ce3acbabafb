"""Suspended payments: the money leaves every account, and comes back to others, without the ledger losing track."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.billing import generate, pay
from tests.scenarios.conftest import World
from tests.scenarios.test_scope_of_reads import asked

_LEDGER = """
query ($account: String) {
  ledgerReconciliation(account: $account) { inBalance accountsWithVariance
    controls { number ledger { amount } projection { amount } } }
  trialBalance { code closing { amount } }
}
"""


@pytest.fixture
def two(world: World) -> tuple[World, str, str]:
    """Two accounts of two groups with one invoice each, of 600.00 and of 400.00."""
    world.on("2024-12-20").calendar()
    accounts = []
    for number, annual in enumerate(("7200.00", "4800.00"), start=1):
        sponsor = world.sponsor(f"C-{number}")
        account = world.account(sponsor, in_single_bill_setup=True)
        policy = world.policy(sponsor, f"MP-{number}")
        world.setup(policy, account)
        world.member(policy, f"MR-{number}", annual=annual)
        generate(world, account)
        accounts.append(account)
    return world, accounts[0], accounts[1]


def _hub_payment(world: World, reference: str, **targets: str) -> str:
    parts = [{"account": account, "amount": amount} for account, amount in targets.items()]
    total = sum(round(float(amount) * 100) for amount in targets.values())
    return str(
        world.do(
            "AcceptHubPayment",
            payment_reference=reference,
            amount=f"{total // 100}.{total % 100:02d}",
            currency="USD",
            method="EFT_ACH",
            token_profile="TP-1",
            account_holder="Northwind Mills",
            targets=parts,
        )["payment"]
    )


def _in_balance(world: World) -> dict[str, str]:
    """No identity varies on any account (LED-049); the closing balances."""
    found: dict[str, Any] = world.query(_LEDGER, roles=("ARM",))
    reconciliation = found["ledgerReconciliation"]
    assert reconciliation["accountsWithVariance"] == [], reconciliation
    assert reconciliation["inBalance"]
    return {line["code"]: line["closing"]["amount"] for line in found["trialBalance"]}


def _due(world: World, *accounts: str) -> list[str]:
    query = "query ($account: String!) { accountBalances(account: $account) { dueAndUnpaid { amount } } }"
    return [world.query(query, account=account)["accountBalances"]["dueAndUnpaid"]["amount"] for account in accounts]


@pytest.mark.rule("LED-E08", "LED-049", "PAY-103", "PAY-104", "PAY-E14")
def test_money_suspended_on_two_accounts_and_released_to_one_leaves_no_suspense_on_either(
    two: tuple[World, str, str],
) -> None:
    world, first, second = two
    payment = _hub_payment(world, "HUB-1", **{first: "650.00", second: "400.00"})
    assert _due(world, first, second) == ["0.00", "0.00"]
    world.do("SuspendPayment", payment=payment, reason="MISDIRECTED")
    assert _due(world, first, second) == ["600.00", "400.00"]
    assert _in_balance(world)["2150"] == "-1050.00"
    assert world.refused(
        "ReleaseSuspendedPayment", payment=payment, targets=[{"account": second, "amount": "1000.00"}]
    ) == (422, ["RELEASE_AMOUNT_MISMATCH"])
    world.do("ReleaseSuspendedPayment", payment=payment, targets=[{"account": second, "amount": "1050.00"}])
    assert _due(world, first, second) == ["600.00", "0.00"]
    closing = _in_balance(world)
    assert (closing["2150"], closing["2100"], closing["1000"]) == ("0.00", "-650.00", "1050.00")
    world.verify()


@pytest.mark.rule("LED-E08", "LED-049", "PAY-104", "PAY-110")
def test_a_payment_released_to_a_third_account_and_suspended_again_can_still_be_reversed(
    two: tuple[World, str, str],
) -> None:
    world, first, second = two
    sponsor = world.sponsor("C-3")
    third = world.account(sponsor, in_single_bill_setup=True)
    world.setup(world.policy(sponsor, "MP-3"), third)
    payment = _hub_payment(world, "HUB-1", **{first: "600.00", second: "400.00"})
    world.do("SuspendPayment", payment=payment, reason="MISDIRECTED")
    targets = [{"account": third, "amount": "700.00"}, {"account": second, "amount": "300.00"}]
    world.do("ReleaseSuspendedPayment", payment=payment, targets=targets)
    assert _due(world, first, second, third) == ["600.00", "100.00", "0.00"]
    assert _in_balance(world)["2150"] == "0.00"
    world.do("SuspendPayment", payment=payment, reason="MISDIRECTED")
    world.do("ReversePayment", payment=payment, reason="ENTRY_ERROR")
    closing = _in_balance(world)
    assert (closing["2150"], closing["2100"], closing["1000"], closing["1100"]) == ("0.00", "0.00", "0.00", "1000.00")
    world.verify()


@pytest.mark.rule("PAY-001", "PAY-104", "PAY-114")
def test_records_of_a_payment_released_and_transferred_again_and_again_keep_ids_of_their_own(
    two: tuple[World, str, str],
) -> None:
    world, first, second = two
    third = world.account(world.sponsor("C-3"), in_single_bill_setup=True)
    payment = _hub_payment(world, "HUB-1", **{first: "100.00"})
    world.do("SuspendPayment", payment=payment, reason="MISDIRECTED")
    parts = [{"account": first, "amount": "60.00"}, {"account": second, "amount": "40.00"}]
    world.do("ReleaseSuspendedPayment", payment=payment, targets=parts)
    moved = world.do(
        "TransferPayment",
        roles=("ARM",),
        record=payment,
        reason="MISAPPLIED",
        targets=[{"account": third, "amount": "60.00"}],
        confirmations=["UNALLOCATION"],
    )
    world.do("SuspendPayment", payment=payment, reason="MISDIRECTED")
    fourth = world.account(world.sponsor("C-4"), in_single_bill_setup=True)
    parts = [{"account": account, "amount": "50.00"} for account in (third, fourth)]
    released = world.do("ReleaseSuspendedPayment", payment=payment, targets=parts)
    found = {one["record"]: one["account"] for one in [*moved["records"], *released["records"]]}
    assert len(found) == 4
    query = "query ($n: String!) { payment(number: $n) { records { record account amount { amount } } } }"
    records = world.query(query, n=payment)["payment"]["records"]
    amounts = {one["account"]: one["amount"]["amount"] for one in records}
    assert len(records) == 4
    assert amounts == {first: "0.00", second: "0.00", third: "50.00", fourth: "50.00"}
    world.verify()


_QUEUE = """
query ($first: Int!, $after: String, $account: String, $place: SuspensePlace, $reason: String, $from: Date, $to: Date) {
  suspenseQueue(first: $first, after: $after, account: $account, place: $place, reason: $reason, dateFrom: $from,
                dateTo: $to) { totalCount pageInfo { hasNextPage endCursor }
    nodes { place reason text reference receiptDate ageDays amount { amount } record { record account status } } } }
"""


def _queue(world: World, **criteria: Any) -> list[dict[str, Any]]:
    found = world.query(_QUEUE, **{"first": 50, **criteria})["suspenseQueue"]
    assert found["totalCount"] == len(found["nodes"])
    nodes: list[dict[str, Any]] = found["nodes"]
    return nodes


@pytest.mark.rule("PAY-084", "PAY-085", "PAY-086")
def test_the_suspense_queue_lists_money_without_a_home_until_it_has_one(two: tuple[World, str, str]) -> None:
    world, first, second = two
    assert _queue(world) == []
    pay(world, first, "700.00", "1")
    world.on("2024-12-22")
    suspended = _hub_payment(world, "HUB-1", **{second: "400.00"})
    world.on("2024-12-24")
    said = "Meant for another insurer."
    world.do("SuspendPayment", payment=suspended, reason="OTHER", text=said)
    world.on("2024-12-30")
    over, away = _queue(world)
    assert (over["place"], over["amount"]["amount"], over["text"]) == ("UNAPPLIED", "100.00", None)
    assert (over["record"]["account"], over["receiptDate"], over["ageDays"]) == (first, "2024-12-20", 10)
    assert (over["reference"], away["reference"]) == ("SUS-00000001", "SUS-00000002")
    assert (away["place"], away["amount"]["amount"], away["reason"], away["text"]) == (
        "GENERAL_SUSPENSE", "400.00", "OTHER", said,
    )  # fmt: skip
    assert away["record"] == {"record": suspended, "account": second, "status": "SUSPENDED"}
    for criteria, wanted in (
        ({"account": first}, [over]),
        ({"place": "GENERAL_SUSPENSE"}, [away]),
        ({"place": "UNAPPLIED"}, [over]),
        ({"reason": "OTHER"}, [away]),
        ({"reason": over["reason"]}, [over]),
        ({"from": over["receiptDate"], "to": over["receiptDate"]}, [over]),
        ({"account": first, "reason": "OTHER"}, []),
    ):
        assert _queue(world, **criteria) == wanted, criteria
    page = world.query(_QUEUE, first=1)["suspenseQueue"]
    assert (page["totalCount"], page["nodes"], page["pageInfo"]["hasNextPage"]) == (2, [over], True)
    page = world.query(_QUEUE, first=1, after=page["pageInfo"]["endCursor"])["suspenseQueue"]
    assert (page["nodes"], page["pageInfo"]["hasNextPage"]) == ([away], False)
    world.do("ReleaseSuspendedPayment", payment=suspended, targets=[{"account": second, "amount": "400.00"}])
    assert [one["record"]["account"] for one in _queue(world) if one["place"] == "GENERAL_SUSPENSE"] == []
    world.verify()


def test_the_suspense_queue_needs_its_privilege_and_an_account_within_a_scope(two: tuple[World, str, str]) -> None:
    world, first, second = two
    pay(world, first, "700.00", "1")
    pay(world, second, "700.00", "2")
    variables = {"first": 50}

    def codes(*scope: str, roles: tuple[str, ...] = ("BOF",), **criteria: Any) -> list[str]:
        answer = asked(world, _QUEUE, *scope, roles=roles, **variables, **criteria)
        return [error["extensions"]["code"] for error in answer["errors"]]

    assert codes(roles=("OPS",)) == ["FORBIDDEN"]
    assert codes("C-1") == ["FORBIDDEN"]
    assert codes("C-1", account=second) == ["BILLING_ACCOUNT_NOT_FOUND"]
    assert codes(**{"from": "2025-02-01", "to": "2025-01-01"}) == ["DATE_RANGE_INVALID"]
    found = asked(world, _QUEUE, "C-1", roles=("BOF",), account=first, **variables)["data"]["suspenseQueue"]["nodes"]
    assert [one["record"]["account"] for one in found] == [first]
