"""A first billing cycle: a group, its members, an invoice, money, a late amendment, the next invoice."""

from __future__ import annotations

from tests.scenarios.conftest import World


def test_a_group_is_billed_and_pays(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    world.member(policy, "MR-2", annual="2400.00")
    invoice = world.do("GenerateInvoice", account=account, confirmed=True)
    print(invoice)
    paid = world.do(
        "ApplyPayment",
        account=account,
        amount="300.00",
        method="CHECK",
        check_number="1",
        check_date="2024-12-20",
        reference="CHK-1",
        allocation="RULES",
    )
    print(paid)
    world.on("2025-01-18")
    late = world.do(
        "ApplyAmendment",
        transaction_id="AM-1",
        member_record="MR-1",
        effective_date="2025-01-01",
        kinds=["GENERAL"],
        amounts=[{"coverage": "LIFE", "annual_amount": "1320.00"}],
    )
    print(late)
    second = world.do("GenerateInvoice", account=account, confirmed=True)
    print(second)
    gone = world.do("DiscardInvoice", invoice=second["invoice"], reason="Wrong", confirmed=True)
    print(gone)
    third = world.do("GenerateInvoice", account=account, confirmed=True)
    print(third)
