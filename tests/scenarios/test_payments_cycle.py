"""Money on a group's account: received, spread, taken off, moved and withdrawn, by the rulebook's examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from domain.money import format_amount
from domain.payments.payment import PaymentReallocated, PaymentReceived, SuspenseEntryOpened
from tests.scenarios.billing import (
    account_now,
    amend,
    cents,
    consuming,
    discard,
    generate,
    paid_on,
    pay,
    pay_invoice,
    standing,
    unapplied,
)
from tests.scenarios.conftest import World

PERMISSIONS = (
    "allocation.allow_allocation_with_gaps",
    "allocation.allow_allocation_of_mismatched_amounts",
    "allocation.allow_partial_invoice_coverage",
)


def permit(world: World, *wanted: bool) -> None:
    """Gap, mismatch, partial."""
    for name, value in zip(PERMISSIONS, wanted, strict=True):
        world.do("SetParameter", name=name, value=value)


def dues(world: World, *amounts: str) -> tuple[str, list[str]]:
    """A group of one whose invoices of January, February, ... come to these amounts."""
    account, policy = world.group()
    invoices = []
    for month, amount in enumerate(amounts, start=1):
        annual = f"{12 * int(amount)}.00"
        if month == 1:
            world.member(policy, "MR-1", annual=annual)
        else:
            amend(world, "MR-1", f"2025-{month:02}-01", ("LIFE", annual))
        invoices.append(generate(world, account))
    return account, invoices


def hub(
    world: World, account: str, reference: str, amount: str, targets: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """A payment routed by the hub, for the account or for named invoices; its only record."""
    result = world.do(
        "AcceptHubPayment",
        payment_reference=reference,
        amount=amount,
        currency="USD",
        method="EFT_ACH",
        token_profile="TP-1",
        account_holder="Northwind Mills",
        targets=[{"account": account, **target} for target in targets] or [{"account": account}],
    )
    [record] = result["records"]
    return dict(record)


def placed(world: World, account: str, record: str, invoices: Sequence[str]) -> tuple[str, ...]:
    """What a record has on each invoice and, last, unapplied."""
    held = world.check(account).records[record]
    on_invoices = [sum(part for (number, _), part in held.items.items() if number == one) for one in invoices]
    return tuple(format_amount(amount, "USD") for amount in (*on_invoices, held.unapplied))


@pytest.mark.rule("PAY-041", "PAY-042", "PAY-043", "PAY-044")
@pytest.mark.parametrize(
    ("rules", "order", "january", "february"),
    [
        (False, [], ("100.00", "40.00"), ("57.14", "22.86")),
        (True, [], ("100.00", "40.00"), ("57.14", "22.86")),
        (True, ["INVOICING_PERIOD", "PRODUCT"], ("100.00", "40.00"), ("80.00", "0.00")),
        (True, ["PRODUCT"], ("100.00", "40.00"), ("80.00", "0.00")),
    ],
)
def test_a_walk_fills_the_older_invoice_and_spreads_the_rest_by_priority(
    world: World, rules: bool, order: list[str], january: tuple[str, str], february: tuple[str, str]
) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.do("SetParameter", name="allocation.use_priority_rules", value=rules)
    world.do("SetParameter", name="allocation.coverage_priority_order", value=order)
    for product, priority in (("DENTAL", 1), ("VISION", 2)):
        world.do("SetParameter", name="allocation.product_priority", keys={"product": product}, value=priority)
    amounts = [{"coverage": "DENTAL", "annual_amount": "1200.00"}, {"coverage": "VISION", "annual_amount": "480.00"}]
    world.member(policy, "MR-1", amounts=amounts)
    invoices = [generate(world, account), generate(world, account)]
    pay(world, account, "220.00", "1")
    for invoice, expected in zip(invoices, (january, february), strict=True):
        assert paid_on(world, account, invoice) == [cents(amount) for amount in expected]


@pytest.mark.rule("PAY-E04", "PAY-048", "PAY-049")
def test_what_the_permissions_forbid_stays_unapplied(world: World) -> None:
    world.on("2024-12-20")
    account, invoices = dues(world, "100", "200", "150")
    second = {"invoice": invoices[1]}
    nothing = ("0.00", "0.00", "0.00")
    cases: list[tuple[str, dict[str, str], list[tuple[str, ...]]]] = [
        ("300.00", {}, [("100.00", "200.00", "0.00", "0.00")] * 3),
        ("150.00", {}, [(*nothing, "150.00"), (*nothing, "150.00"), ("100.00", "50.00", "0.00", "0.00")]),
        ("500.00", {}, [(*nothing, "500.00"), *[("100.00", "200.00", "150.00", "50.00")] * 2]),
        ("200.00", second, [(*nothing, "200.00")] * 3),
        ("300.00", second, [(*nothing, "300.00"), *[("100.00", "200.00", "0.00", "0.00")] * 2]),
    ]
    columns = ((False, False, False), (False, True, False), (False, True, True))
    for column, permissions in enumerate(columns):
        permit(world, *permissions)
        for row, (amount, target, expected) in enumerate(cases):
            payment = hub(world, account, f"HUB-{column}-{row}", amount, [target] if target else ())["record"]
            found = placed(world, account, payment, invoices)
            assert found == expected[column], (permissions, amount, target)
            world.do("DeclinePayment", payment=payment, reason="INSUFFICIENT_FUNDS")
    permit(world, True, False, False)
    payment = hub(world, account, "HUB-GAP", "200.00", [second])["record"]
    assert placed(world, account, payment, invoices) == ("0.00", "200.00", "0.00", "0.00")
    world.verify()


@pytest.mark.rule("PAY-E05", "PAY-048")
def test_what_cannot_be_placed_as_instructed_is_walked_over_the_account(world: World) -> None:
    world.on("2024-12-20")
    account, invoices = dues(world, "300", "150", "200")

    def instructed(first: str, third: str) -> list[dict[str, str]]:
        return [{"invoice": invoices[0], "amount": first}, {"invoice": invoices[2], "amount": third}]

    permit(world, False, True, True)
    payment = hub(world, account, "HUB-1", "350.00", instructed("100.00", "250.00"))
    assert placed(world, account, payment["record"], invoices) == ("150.00", "0.00", "200.00", "0.00")
    assert payment["status"] == "ALLOCATED"
    world.do("DeclinePayment", payment=payment["record"], reason="INSUFFICIENT_FUNDS")
    for number, permissions in enumerate(((False, False, True), (False, True, False))):
        permit(world, *permissions)
        payment = hub(world, account, f"HUB-2-{number}", "350.00", instructed("100.00", "250.00"))
        assert placed(world, account, payment["record"], invoices) == ("0.00", "0.00", "0.00", "350.00")
        world.do("DeclinePayment", payment=payment["record"], reason="INSUFFICIENT_FUNDS")
    permit(world, False, True, False)
    payment = hub(world, account, "HUB-3", "500.00", instructed("100.00", "400.00"))
    assert placed(world, account, payment["record"], invoices) == ("300.00", "0.00", "200.00", "0.00")


@pytest.mark.rule("PAY-026")
def test_the_hub_gets_the_same_answer_for_the_same_reference_and_no_second_payment(world: World) -> None:
    world.on("2024-12-20")
    account, invoices = dues(world, "100")
    first = hub(world, account, "HUB-1", "60.00", [{"invoice": invoices[0]}])
    before = world.head()
    assert hub(world, account, "HUB-1", "60.00", [{"invoice": invoices[0]}])["record"] == first["record"]
    assert world.head() == before
    assert paid_on(world, account, invoices[0]) == [6000]
    body = {
        "payment_reference": "HUB-1",
        "currency": "USD",
        "method": "EFT_ACH",
        "token_profile": "TP-1",
        "account_holder": "Northwind Mills",
        "targets": [{"account": account}],
    }
    assert world.refused("AcceptHubPayment", **body, amount="61.00")[1] == ["IDEMPOTENCY_CONFLICT"]
    assert world.head() == before


@pytest.mark.rule("PAY-E07", "PAY-020")
@pytest.mark.parametrize("failing", [False, True])
def test_a_pending_card_payment_serves_its_targets_when_it_comes_in_force(world: World, failing: bool) -> None:
    world.on("2024-12-20")
    account, (first, second) = dues(world, "300", "200")
    record = pay(
        world,
        account,
        "500.00",
        "1",
        method="CREDIT_CARD",
        token_profile="TP-1",
        account_holder="Ada Miller",
        check_number=None,
        check_date=None,
        channel="PORTAL",
        bank_processing=True,
        allocation="TARGETS",
        targets=[
            {"kind": "INVOICE", "invoice": first, "amount": "300.00"},
            {"kind": "INVOICE", "invoice": second, "amount": "200.00"},
        ],
    )
    assert record["status"] == "PENDING"
    assert standing(world, account) == {first: ("ISSUED", "300.00"), second: ("ISSUED", "200.00")}
    discard(world, second)
    event = {"payment": record["record"]}
    if failing:
        failed = world.do("ApplyHubPaymentEvent", hub_event_id="EV-1", type="FAILED", reason="CARD_DECLINED", **event)
        [after] = failed["records"]
        assert (after["status"], after["allocated"], after["unapplied"]) == ("DECLINED", "0.00", "0.00")
        assert standing(world, account)[first] == ("ISSUED", "300.00")
        codes = world.refused("ApplyHubPaymentEvent", hub_event_id="EV-2", type="COMPLETED", **event)[1]
        assert codes == ["PAYMENT_EVENT_REJECTED"]
    else:
        done = world.do("ApplyHubPaymentEvent", hub_event_id="EV-1", type="COMPLETED", **event)
        [after] = done["records"]
        assert (after["status"], after["unapplied"]) == ("PARTIALLY_ALLOCATED", "200.00")
        assert after["explanation"] == "TARGET_CHANGED"
        assert standing(world, account)[first] == ("PAID", "0.00")


@pytest.mark.rule("PAY-077", "PAY-079", "PAY-083")
def test_loose_money_pays_the_next_invoice_the_oldest_payment_first(world: World) -> None:
    world.on("2025-01-10")
    account, policy = world.group()
    world.member(policy, "MR-1", annual="2400.00")
    younger = pay(world, account, "150.00", "1")["record"]
    older = pay(world, account, "130.00", "2", effective_date="2025-01-05")["record"]
    january = generate(world, account)
    assert placed(world, account, older, [january]) == ("130.00", "0.00")
    assert placed(world, account, younger, [january]) == ("70.00", "80.00")
    february = generate(world, account)
    assert placed(world, account, younger, [january, february]) == ("70.00", "80.00", "0.00")
    assert standing(world, account) == {january: ("PAID", "0.00"), february: ("PARTIALLY_PAID", "120.00")}
    world.verify()


@pytest.mark.rule("PAY-087", "PAY-089", "PAY-090")
def test_money_taken_off_by_hand_lies_loose_until_somebody_places_it(world: World) -> None:
    world.on("2024-12-20")
    account, (first, second) = dues(world, "300", "200")
    record = pay(world, account, "400.00", "1")["record"]
    assert world.refused("UnallocatePayment", record=record)[1] == ["REASON_REQUIRED"]
    ask = {"record": record, "reason": "MISAPPLIED"}
    world.do("UnallocatePayment", **ask, invoices=[second])
    assert placed(world, account, record, [first, second]) == ("300.00", "0.00", "100.00")
    assert world.refused("UnallocatePayment", **ask, invoices=[second])[1] == ["NOTHING_TO_UNALLOCATE"]
    world.do("UnallocatePayment", **ask)
    assert placed(world, account, record, [first, second]) == ("0.00", "0.00", "400.00")
    assert world.refused("UnallocatePayment", **ask)[1] == ["PAYMENT_NOT_UNALLOCATABLE"]
    target = {"kind": "INVOICE", "invoice": second, "amount": "200.00"}
    assert world.refused("AllocatePayment", record=record, targets=[target])[1] == ["REMAINDER_CHOICE_REQUIRED"]
    world.do("AllocatePayment", record=record, targets=[target], remainder="DISTRIBUTE")
    assert placed(world, account, record, [first, second]) == ("200.00", "200.00", "0.00")
    too_much = {"kind": "INVOICE", "invoice": first, "amount": "100.01"}
    codes = world.refused("AllocatePayment", record=record, targets=[too_much], remainder="KEEP_UNAPPLIED")[1]
    assert codes == ["PAYMENT_NOT_ALLOCATABLE"]
    world.check(account)


@pytest.mark.rule("PAY-100")
def test_money_moves_to_another_invoice_in_one_step_and_in_full(world: World) -> None:
    world.on("2024-12-20")
    account, (first, second) = dues(world, "300", "200")
    record = pay_invoice(world, account, first, "200.00", "1")["record"]
    ask = {"record": record, "invoices": [first]}  # a reason is told or not (PAY-100)
    part = {"kind": "INVOICE", "invoice": second, "amount": "150.00"}
    assert world.refused("ReallocatePayment", **ask, targets=[part])[1] == ["REALLOCATION_NOT_EQUAL"]
    assert world.refused("ReallocatePayment", **ask, targets=[{**part, "amount": "200.00"}], reason="OTHER")[1] == [
        "REASON_TEXT_REQUIRED"
    ]
    world.do("ReallocatePayment", **ask, targets=[{**part, "amount": "200.00"}])
    assert placed(world, account, record, [first, second]) == ("0.00", "200.00", "0.00")
    assert standing(world, account) == {first: ("ISSUED", "300.00"), second: ("PAID", "0.00")}
    [moved] = world.events(PaymentReallocated)
    assert (moved.unallocated, moved.allocated) == (cents("200.00"), cents("200.00"))


@pytest.mark.rule("PAY-106", "PAY-107", "PAY-108", "PAY-110", "PAY-111")
@pytest.mark.parametrize(
    ("command", "reason", "status"),
    [("ReversePayment", "ENTRY_ERROR", "REVERSED"), ("DeclinePayment", "INSUFFICIENT_FUNDS", "DECLINED")],
)
def test_what_a_withdrawn_payment_had_paid_is_due_again(world: World, command: str, reason: str, status: str) -> None:
    world.on("2024-12-20")
    account, (first, second) = dues(world, "300", "200")
    record = pay(world, account, "520.00", "1")["record"]
    assert world.refused(command, payment=record)[1] == ["REASON_REQUIRED"]
    [after] = world.do(command, payment=record, reason=reason)["records"]
    assert (after["status"], after["unapplied"], after["allocated"]) == (status, "0.00", "0.00")
    assert standing(world, account) == {first: ("ISSUED", "300.00"), second: ("ISSUED", "200.00")}
    assert account_now(world, account)["balances"]["totalPaid"] == "0.00"
    final = {"ReversePayment": "PAYMENT_NOT_REVERSIBLE", "DeclinePayment": "PAYMENT_NOT_DECLINABLE"}
    assert world.refused(command, payment=record, reason=reason)[1] == [final[command]]
    world.verify()


@pytest.mark.rule("PAY-094")
def test_only_the_money_of_the_discarded_invoice_comes_loose(world: World) -> None:
    """The group account of PAY-E13."""
    world.on("2024-12-20")
    account, (first, second) = dues(world, "140", "100")
    consuming(world, False)
    bank = pay(world, account, "240.00", "1")["record"]
    assert placed(world, account, bank, [first, second]) == ("140.00", "100.00", "0.00")
    discard(world, first)
    assert placed(world, account, bank, [first, second]) == ("0.00", "100.00", "140.00")
    assert unapplied(world, account) == cents("140.00")
    assert standing(world, account)[second] == ("PAID", "0.00")
    world.verify()


def two_groups(world: World) -> tuple[tuple[str, str], tuple[str, list[str]]]:
    """BA-1 with one invoice of 600.00, BA-2 with invoices of 250.00 and 200.00."""
    first, [nine] = dues(world, "600")
    sponsor = world.sponsor("C-2")
    policy = world.policy(sponsor, "MP-2")
    second = world.account(sponsor, in_single_bill_setup=True)
    world.setup(policy, second)
    world.member(policy, "MR-2", annual="3000.00")
    invoices = [generate(world, second)]
    amend(world, "MR-2", "2025-02-01", ("LIFE", "2400.00"))
    return (first, nine), (second, [*invoices, generate(world, second)])


@pytest.mark.rule("PAY-E06", "PAY-024", "PAY-025", "PAY-026")
def test_one_hub_payment_for_two_accounts_is_accepted_whole_or_not_at_all(world: World) -> None:
    world.on("2025-04-20")
    (first, nine), (second, invoices) = two_groups(world)
    world.on("2025-05-02")
    permit(world, False, True, False)
    body = {
        "payment_reference": "HUB-1",
        "amount": "1000.00",
        "currency": "USD",
        "method": "CHECK",
        "check_number": "77",
        "check_date": "2025-04-28",
        "reference": "CHK-77",
        "targets": [
            {"account": first, "invoice": nine, "amount": "600.00"},
            {"account": second, "amount": "400.00"},
        ],
    }
    short = [body["targets"][0], {"account": second, "amount": "390.00"}]  # type: ignore[index]
    before = world.head()
    assert world.refused("AcceptHubPayment", **(body | {"targets": short}))[1] == ["INSTRUCTION_SUM_MISMATCH"]
    assert world.head() == before
    accepted = world.do("AcceptHubPayment", **body)
    one, other = accepted["records"]
    assert (one["account"], one["status"], one["allocated"]) == (first, "ALLOCATED", "600.00")
    assert (other["account"], other["status"], other["explanation"]) == (second, "UNAPPLIED", "PARTIAL_NOT_ALLOWED")
    assert one["record"] != other["record"]
    received = world.events(PaymentReceived)
    assert {event.effective_date.isoformat() for event in received} == {"2025-04-28"}
    assert {event.record.payment_number for event in received} == {accepted["payment"]}
    assert [event.record.record_id for event in world.events(SuspenseEntryOpened)] == [other["record"]]
    assert world.do("AcceptHubPayment", **body) == accepted
    assert standing(world, first)[nine] == ("PAID", "0.00")
    assert [standing(world, second)[invoice][0] for invoice in invoices] == ["ISSUED", "ISSUED"]
    world.verify()


@pytest.mark.rule("PAY-024")
def test_every_fault_of_a_hub_payment_is_told_and_nothing_is_created(world: World) -> None:
    world.on("2024-12-20")
    account, _ = dues(world, "100")
    before = world.head()
    codes = world.refused(
        "AcceptHubPayment",
        payment_reference="HUB-1",
        amount="100.00",
        currency="EUR",
        method="EFT_ACH",
        token_profile="TP-1",
        account_holder="Northwind Mills",
        targets=[{"account": account, "amount": "60.00"}, {"account": "LB000000404", "amount": "40.00"}],
    )[1]
    assert set(codes) == {"CURRENCY_MISMATCH", "BILLING_ACCOUNT_NOT_FOUND"}
    assert world.head() == before
