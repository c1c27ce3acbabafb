"""Parameters of invoices, payments and credits do what they say, and a value nobody carries out is not taken."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.billing import amend_for, consuming, discard, generate, pay_invoice, standing
from tests.scenarios.conftest import World


def _set(world: World, name: str, value: Any, **keys: str) -> None:
    world.do("SetParameter", name=name, value=value, keys=keys)


def _internal(world: World, account: str, amount: str, **members: Any) -> dict[str, Any]:
    [record] = world.do(
        "CreateInternalPayment",
        **{"account": account, "subtype": "CLAIM_DEDUCTION", "related_entity": "CLM-1", "amount": amount, **members},
    )["records"]
    return dict(record)


@pytest.fixture
def group(world: World) -> tuple[World, str]:
    """An account with one member at 100.00 a month."""
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy)
    return world, account


@pytest.mark.rule("PAY-038", "BAL-064")
def test_an_order_of_categories_names_each_of_them(group: tuple[World, str]) -> None:
    world, account = group
    for name in ("consumption.category_order", "excess.category_order"):
        for value in ([], ["BANKING"], ["INTERNAL", "BANKING"]):
            assert world.refused("SetParameter", name=name, value=value) == (422, ["CATEGORY_ORDER_INCOMPLETE"])
        _set(world, name, ["INTERNAL", "CUSTOMER_CREDIT", "BANKING"])
    _internal(world, account, "30.00", remainder="KEEP_UNAPPLIED")
    invoice = generate(world, account)
    assert standing(world, account) == {invoice: ("PARTIALLY_PAID", "70.00")}


@pytest.mark.rule("BAL-064")
def test_the_excess_of_a_credit_leaves_in_the_order_set_for_it(group: tuple[World, str]) -> None:
    world, account = group
    consuming(world, False)
    _set(world, "excess.category_order", ["INTERNAL", "CUSTOMER_CREDIT", "BANKING"])
    invoice = generate(world, account)
    target = [{"kind": "INVOICE", "invoice": invoice, "amount": "60.00"}]
    internal = _internal(world, account, "60.00", allocation="TARGETS", targets=target)
    bank = pay_invoice(world, account, invoice, "40.00", "1")
    amend_for(world, "MR-1", "2025-01-01", "2025-02-01", "600.00", "1200.00")
    generate(world, account)
    records = world.check(account).records
    assert (records[internal["record"]].unapplied, records[bank["record"]].unapplied) == (5000, 0)


@pytest.mark.rule("PAY-112")
def test_money_is_not_transferred_between_types_that_do_not_go_together(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy)
    sponsor = world.sponsor("C-2")
    other = world.account(sponsor, in_single_bill_setup=True)
    world.setup(world.policy(sponsor, "MP-2", bill_type="SELF_BILL"), other, bill_type="SELF_BILL")
    [record] = world.do("ApplyPayment", account=account, amount="40.00", method="CASH")["records"]
    move = {"record": record["record"], "reason": "MISAPPLIED", "targets": [{"account": other, "amount": "40.00"}]}
    _set(world, "transfer.incompatible_types", ["LIST_BILL>SELF_BILL"])
    response = world.send("TransferPayment", roles=("ARM",), **move)
    [problem] = response.json()["problems"]
    assert (problem["code"], problem["params"]) == ("TARGET_INVALID", {"reasons": ["INCOMPATIBLE_TYPES"]})
    _set(world, "transfer.incompatible_types", ["SELF_BILL>LIST_BILL"])
    assert world.send("TransferPayment", roles=("ARM",), **move).status_code == 200


@pytest.mark.rule("INV-031", "INV-032")
def test_a_list_bill_gets_no_invoice_of_nothing_where_that_is_suppressed(group: tuple[World, str]) -> None:
    world, account = group
    _set(world, "invoicing.zero_invoice", "SUPPRESS", bill_type="LIST_BILL")
    first = generate(world, account)
    world.do(
        "StopBilling", roles=("SUP",), transaction_id="S-1", member_record="MR-1", effective_date="2025-02-01",
        nonforfeiture="REDUCED_PAID_UP",
    )  # fmt: skip
    skipped = world.do("GenerateInvoice", account=account, confirmed=True)
    assert (skipped["period_start"], skipped["status"]) == ("2025-02-01", "SKIPPED_ZERO")
    assert list(standing(world, account)) == [first]


@pytest.mark.rule("INV-044")
def test_invoice_numbers_follow_the_pattern_set_for_them(group: tuple[World, str]) -> None:
    world, account = group
    for pattern in ("INV", "INV-{sequence:08}{x}", "INV/{sequence:08}", "{sequence}", "{sequence:04}{sequence:04}"):
        assert world.refused("SetParameter", name="invoice_number_pattern", value=pattern) == (
            422,
            ["VALUE_OUT_OF_RANGE"],
        )
    assert generate(world, account) == "INV-00000001"
    _set(world, "invoice_number_pattern", "NW-{sequence:05}-B")
    second = generate(world, account)
    assert second == "NW-00002-B"
    discard(world, second)
    assert generate(world, account) == "NW-00003-B"


@pytest.mark.rule("PLT-110")
def test_a_value_whose_rules_are_not_carried_out_is_not_taken(group: tuple[World, str]) -> None:
    world, _ = group
    for name, value in (
        ("reconciliation.trigger_strategy", "SEPARATE"),
        ("minimum_due.mode", "FIXED_AMOUNT"),
        ("ptd.daily_rate_basis", "ANNUAL_ACTUAL"),
    ):
        assert world.refused("SetParameter", name=name, value=value) == (422, ["VALUE_OUT_OF_RANGE"])
