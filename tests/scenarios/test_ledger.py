"""The ledger after real cycles: every entry balanced, the trial balance zero, the identities without a variance."""

from __future__ import annotations

import pytest

from tests.scenarios.conftest import World

_LEDGER = """
query ($account: String!) {
  trialBalance { code closing { amount } }
  ledgerReconciliation(account: $account) { inBalance controls { number name ledger { amount } variance { amount } } }
  journalEntries(account: $account, first: 100) { nodes { type position total { amount } event { type }
    lines { code debit { amount } credit { amount } invoice item payment } } }
}
"""


def _figures(world: World, account: str) -> tuple[dict[str, str], list[str]]:
    """Closing balances by ledger account, and the entries' types; checks that nothing varies."""
    found = world.query(_LEDGER, account=account, roles=("ARM",))
    assert found["ledgerReconciliation"]["inBalance"], found["ledgerReconciliation"]
    entries = found["journalEntries"]["nodes"]
    for entry in entries:
        debits = sum(round(float(line["debit"]["amount"]) * 100) for line in entry["lines"])
        credits = sum(round(float(line["credit"]["amount"]) * 100) for line in entry["lines"])
        assert debits == credits == round(float(entry["total"]["amount"]) * 100)
    closing = {line["code"]: line["closing"]["amount"] for line in found["trialBalance"]}
    return {code: amount for code, amount in closing.items() if amount != "0.00"}, [one["type"] for one in entries]


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
    assert "1000" not in closing
    assert types[-1] == "PAYMENT_REVERSED"
    world.do("DiscardInvoice", invoice="INV-00000002", reason="Wrong", confirmed=True)
    closing, types = _figures(world, account)
    assert closing == {"1100": "200.00", "4000": "-200.00"}
    assert "INVOICE_DISCARDED" in types
    [report] = world.system.rebuilder.verify(["ledger"])
    assert report.equal
