"""The ledger after real cycles: every entry balanced, the trial balance zero, the identities without a variance."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.billing import cents, generate, pay
from tests.scenarios.conftest import World

_LEDGER = """
query ($account: String!) {
  trialBalance { code opening { amount } debits { amount } credits { amount } closing { amount } }
  ledgerReconciliation(account: $account) { inBalance controls { number name ledger { amount } variance { amount } } }
  journalEntries(account: $account, first: 100) { nodes { type position transactionId total { amount } event { type }
    lines { code debit { amount } credit { amount } invoice item payment } } }
}
"""


def _cents(holder: dict[str, Any], name: str) -> int:
    return cents(holder[name]["amount"])


def _figures(world: World, account: str) -> tuple[dict[str, str], list[str]]:
    """Closing balances by ledger account, and the entries' types; checks that they balance and that nothing varies."""
    found = world.query(_LEDGER, account=account, roles=("ARM",))
    reconciliation = found["ledgerReconciliation"]
    assert reconciliation["inBalance"], reconciliation
    assert {one["number"] for one in reconciliation["controls"]} == {"C1", "C2", "C3", "C4", "C5", "C10"}
    assert {one["variance"]["amount"] for one in reconciliation["controls"]} == {"0.00"}, reconciliation
    entries = found["journalEntries"]["nodes"]
    for entry in entries:
        sides = [(_cents(line, "debit"), _cents(line, "credit")) for line in entry["lines"]]
        assert len(sides) >= 2
        assert all(min(side) == 0 < max(side) for side in sides), entry  # one side, and never below 0
        debits, credits = (sum(side) for side in zip(*sides, strict=True))
        assert debits == credits == _cents(entry, "total")
    assert len({one["transactionId"] for one in entries}) == len({one["position"] for one in entries}) == len(entries)
    balance = found["trialBalance"]
    assert sum(_cents(line, "debits") for line in balance) == sum(_cents(line, "credits") for line in balance) > 0
    for line in balance:
        moved = _cents(line, "debits") - _cents(line, "credits")
        assert _cents(line, "opening") + moved == _cents(line, "closing")
    closing = {line["code"]: line["closing"]["amount"] for line in balance}
    return {code: amount for code, amount in closing.items() if amount != "0.00"}, [one["type"] for one in entries]


def test_the_lines_of_an_entry_are_read_in_parts(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    for record in ("MR-1", "MR-2", "MR-3"):
        world.member(policy, record)
    generate(world, account)
    pay(world, account, "250.00", "1")
    text = """query ($account: String!, $first: Int!, $after: Int!) { journalEntries(account: $account) { nodes {
        type lineCount lines(first: $first, after: $after) { number code debit { amount } } } } }"""

    def lines(first: int, after: int) -> tuple[int, list[int]]:
        found = world.query(text, roles=("ARM",), account=account, first=first, after=after)["journalEntries"]["nodes"]
        [entry] = [one for one in found if one["type"] == "PAYMENT_ALLOCATED"]
        return entry["lineCount"], [line["number"] for line in entry["lines"]]

    count, numbers = lines(1_000, 0)
    assert count == len(numbers) >= 4
    assert numbers == list(range(1, count + 1))
    assert [number for after in range(0, count, 3) for number in lines(3, after)[1]] == numbers
    assert lines(3, count) == (count, [])
    token = world.system.issuer.token("ann", ("ARM",), person="P-ANN")
    for first, after in ((0, 0), (1_001, 0), (10, -1)):
        variables = {"account": account, "first": first, "after": after}
        answer = world.client.post(
            "/v1/graphql",
            json={"query": text, "variables": variables},
            headers={"Authorization": f"Bearer {token}"},
        ).json()
        assert {error["extensions"]["code"] for error in answer["errors"]} == {"REQUEST_INVALID"}


@pytest.mark.rule("LED-001", "LED-002", "LED-004", "LED-048", "LED-049")
def test_the_ledger_follows_invoices_and_money(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    for record in ("MR-1", "MR-2"):
        world.member(policy, record)
    world.do("GenerateInvoice", account=account, confirmed=True)
    assert _figures(world, account) == ({"1100": "200.00", "4000": "-200.00"}, ["INVOICE_ISSUED"])
    payment = world.do(
        "ApplyPayment", account=account, amount="250.00", method="CHECK", check_number="1", check_date="2024-12-20",
        reference="CHK-1", allocation="RULES",
    )["payment"]  # fmt: skip
    closing, types = _figures(world, account)
    assert closing == {"1000": "250.00", "2100": "-50.00", "4000": "-200.00"}
    assert types == ["INVOICE_ISSUED", "PAYMENT_RECEIVED", "PAYMENT_ALLOCATED"]
    world.on("2025-01-18")
    world.do(
        "ApplyCancellation", transaction_id="C-1", member_record="MR-2", effective_date="2025-01-16", reason="LEFT"
    )
    world.do("GenerateInvoice", account=account, confirmed=True)
    closing, types = _figures(world, account)
    assert closing["4000"] == "-249.32"  # 200.00 and 100.00, less the 50.68 that the cancellation gives back
    world.do("ReversePayment", payment=payment, reason="NSF")
    closing, types = _figures(world, account)
    assert closing == {"1100": "249.32", "4000": "-249.32"}
    assert types[-1] == "PAYMENT_REVERSED"
    world.do("DiscardInvoice", invoice="INV-00000002", reason="Wrong", confirmed=True)
    closing, types = _figures(world, account)
    assert closing == {"1100": "200.00", "4000": "-200.00"}
    assert "INVOICE_DISCARDED" in types
    world.verify()


@pytest.mark.rule("LED-049", "LED-051")
def test_a_ledger_that_lags_behind_the_balances_is_not_taken_for_one_that_differs(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy)
    world.do("GenerateInvoice", account=account, confirmed=True)
    _figures(world, account)
    world.do("ApplyPayment", account=account, amount="40.00", method="CASH")  # in the balances, not in the ledger yet
    headers = {"Authorization": f"Bearer {world.system.issuer.token('ann', ('ARM',))}"}
    query = {"query": "{ ledgerReconciliation(waitMs: 0) { inBalance } }"}
    [error] = world.client.post("/v1/graphql", json=query, headers=headers).json()["errors"]
    assert error["extensions"]["code"] == "PROJECTION_BEHIND"
    world.system.projector.catch_up()
    answer = world.client.post("/v1/graphql", json=query, headers=headers).json()
    assert answer["data"] == {"ledgerReconciliation": {"inBalance": True}}
