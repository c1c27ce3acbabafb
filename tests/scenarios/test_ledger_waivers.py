"""Waived lines in the ledger: receivable and credits as the register counts the pairs, whichever way a pair points."""

from __future__ import annotations

import pytest

from tests.scenarios.billing import amend, lines
from tests.scenarios.conftest import World
from tests.scenarios.premiums import given, invoiced

_LEDGER = """query ($account: String!) {
  trialBalance { code closing { amount } }
  ledgerReconciliation(account: $account) { inBalance controls { number ledger { amount } variance { amount } } } }"""


def _closing(world: World, account: str) -> dict[str, str]:
    """Closing balances other than zero by ledger account; C1, C2 and C10 are compared, and no control varies."""
    found = world.query(_LEDGER, account=account, roles=("ARM",))
    controls = found["ledgerReconciliation"]["controls"]
    assert {"C1", "C2", "C10"} <= {one["number"] for one in controls}
    assert [one for one in controls if one["variance"]["amount"] != "0.00"] == []
    closing = {line["code"]: line["closing"]["amount"] for line in found["trialBalance"]}
    return {code: amount for code, amount in closing.items() if amount != "0.00"}


def _waived_group(world: World) -> tuple[str, str]:
    """A group of two that was billed two months, one of them waived from the start: account and master policy."""
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    world.member(policy, "MR-2")
    given("ApplyPremiumWaiver", world, "MR-1", "2025-01-01", source="CLAIMS", origin="CLAIMS", transaction_id="W-1")
    invoiced(world, account, 2)
    assert _closing(world, account) == {"1100": "200.00", "4000": "-400.00", "5100": "200.00"}
    return account, policy


@pytest.mark.rule("LED-036", "LED-049", "LED-E11", "INV-007")
def test_a_waived_charge_that_is_taken_back_moves_neither_receivable_nor_credits(world: World) -> None:
    account, _ = _waived_group(world)
    given("ApplyCancellation", world, "MR-1", "2025-02-01", reason="LEFT")
    (march,) = invoiced(world, account, 1)
    assert sorted(one[3] for one in lines(world, account, march)) == ["-100.00", "100.00", "100.00"]
    assert _closing(world, account) == {"1100": "300.00", "4000": "-400.00", "5100": "100.00"}
    world.do("DiscardInvoice", invoice=march, reason="Wrong", confirmed=True)
    assert _closing(world, account) == {"1100": "200.00", "4000": "-400.00", "5100": "200.00"}
    world.verify()


@pytest.mark.rule("LED-036", "LED-049", "INV-007")
def test_a_charge_below_zero_with_a_larger_waiver_above_zero_is_receivable_by_the_net(world: World) -> None:
    account, _ = _waived_group(world)
    amend(world, "MR-1", "2025-02-01", ("LIFE", "600.00"))  # February -50.00, its waiver +50.00
    given("EndPremiumWaiver", world, "MR-1", "2025-02-11", waiver_id="W-1", origin="CLAIMS", source="CLAIMS")
    (march,) = invoiced(world, account, 1)
    retro = [one for one in lines(world, account, march) if one[0] == "RETRO"]
    assert sorted(one[3] for one in retro) == ["-50.00", "79.59"]
    # 18 of 28 days of February at 50.00 are no longer waived: 29.59 net of what was taken back.
    assert _closing(world, account)["5100"] == "120.41"
    world.do("DiscardInvoice", invoice=march, reason="Wrong", confirmed=True)
    assert _closing(world, account) == {"1100": "200.00", "4000": "-400.00", "5100": "200.00"}
    world.verify()
