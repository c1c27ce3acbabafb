"""Money kept by member on a list bill with individual allocation: taken off, moved, released and put to use again."""

from __future__ import annotations

from typing import Any

import pytest

from api.graphql.context import Context
from application.command import Principal
from application.register import ItemRegister, Placements
from tests.scenarios.billing import amend_for, discard, generate, pay, standing
from tests.scenarios.conftest import World

_MEMBERS = """
query ($account: String!) { memberBalances(account: $account) { nodes { memberRecord
  dueAndUnpaid { amount } memberUnapplied { amount } memberOverpayment { amount } } } }
"""

_PAYMENT = """
query ($number: String!) { payment(number: $number) { records { record status
  unapplied { amount } allocated { amount } } } }
"""
_LEDGER = "{ ledgerReconciliation { inBalance controls { number variance { amount } } } }"


def _in_balance(world: World) -> None:
    """The read models are what a rebuild gives, and the ledger agrees with the balances (LED-049)."""
    world.verify()
    found = world.query(_LEDGER, roles=("ARM",))["ledgerReconciliation"]
    assert found["inBalance"], found


def individual(world: World, *members: tuple[str, str], number: int = 1) -> str:
    """A list bill account with individual allocation and members at annual amounts, paid on the first of each month."""
    sponsor = world.sponsor(f"C-{number}")
    policy = world.policy(sponsor, f"MP-{number}")
    account = world.account(sponsor, in_single_bill_setup=True)
    monthly = {"account": account, "payroll_frequency": "MONTHLY"}
    world.do("DefinePayrollCalendar", **monthly, start_date="2025-01-01", payroll_days=[1])
    world.do("ConfirmPayrollCalendar", **monthly)
    world.setup(policy, account, allocation_mode="INDIVIDUAL")
    for member, annual in members:
        world.member(policy, member, annual=annual, payroll_frequency="MONTHLY")
    return account


def _on(kind: str, amount: str, **named: str) -> dict[str, str]:
    return {"kind": kind, "amount": amount, **named}


def _paid_to(world: World, account: str, amount: str, number: str, *targets: dict[str, str], **members: Any) -> str:
    return str(pay(world, account, amount, number, allocation="TARGETS", targets=targets, **members)["record"])


def _members(world: World, account: str) -> dict[str, tuple[str, str, str]]:
    """By member: due, kept for the member, overpaid."""
    found = world.query(_MEMBERS, account=account)["memberBalances"]["nodes"]
    figures = ("dueAndUnpaid", "memberUnapplied", "memberOverpayment")
    return {one["memberRecord"]: tuple(one[name]["amount"] for name in figures) for one in found}


def _record(world: World, record: str) -> tuple[str, str, str]:
    """Status, unapplied, and what is on items."""
    records = world.query(_PAYMENT, number=record.partition("/")[0])["payment"]["records"]
    [found] = [one for one in records if one["record"] == record]
    return found["status"], found["unapplied"]["amount"], found["allocated"]["amount"]


@pytest.mark.rule("PAY-089", "PAY-092", "PAY-E11")
def test_money_is_taken_off_members_into_what_is_kept_for_them(world: World) -> None:
    world.on("2024-12-20").calendar()
    account = individual(world, ("MR-7", "4800.00"), ("MR-8", "2400.00"))
    invoice = generate(world, account)
    record = _paid_to(
        world, account, "1000.00", "1",
        _on("MEMBER", "550.00", member_record="MR-7"),
        _on("INVOICE_MEMBER", "200.00", invoice=invoice, member_record="MR-8"),
        remainder="KEEP_UNAPPLIED",
    )  # fmt: skip
    off = {"record": record, "reason": "MISAPPLIED", "confirmed": True, "roles": ("ARA",)}
    assert _members(world, account)["MR-7"] == ("0.00", "0.00", "150.00")
    assert world.refused(
        "UnallocateFromMembers", **{**off, "members": ["MR-8"], "scope": "OVERPAYMENT_ONLY", "confirmed": False}
    )[1] == ["NOTHING_TO_UNALLOCATE"]
    assert world.refused("UnallocateFromMembers", **{**off, "members": ["MR-7"], "confirmed": False})[1] == [
        "CONFIRMATION_REQUIRED"
    ]
    assert world.refused("UnallocateFromMembers", **{**off, "members": ["MR-7"], "reason": None})[1] == [
        "REASON_REQUIRED"
    ]
    world.do("UnallocateFromMembers", **off, members=["MR-7"], scope="OVERPAYMENT_ONLY")
    assert _members(world, account)["MR-7"] == ("0.00", "150.00", "0.00")
    world.do("UnallocateFromMembers", **off, members=["MR-7"], scope="ENTIRE")
    assert _members(world, account) == {"MR-7": ("400.00", "550.00", "0.00"), "MR-8": ("0.00", "0.00", "0.00")}
    assert standing(world, account) == {invoice: ("PARTIALLY_PAID", "400.00")}
    assert _record(world, record) == ("PARTIALLY_ALLOCATED", "250.00", "200.00")
    _in_balance(world)


@pytest.mark.rule("PAY-063")
def test_what_is_kept_for_a_member_pays_that_member_only(world: World) -> None:
    world.on("2024-12-20").calendar()
    account = individual(world, ("MR-1", "1200.00"), ("MR-2", "1200.00"))
    invoice = generate(world, account)
    record = _paid_to(world, account, "160.00", "1", _on("MEMBER", "160.00", member_record="MR-1"))
    world.do(
        "UnallocateFromMembers", roles=("ARA",), record=record, members=["MR-1"], reason="MISAPPLIED", confirmed=True
    )
    kept = {"record": record, "source": "MEMBER_UNAPPLIED", "member_record": "MR-1"}
    for_another = _on("INVOICE_MEMBER", "60.00", invoice=invoice, member_record="MR-2")
    assert world.refused("AllocatePayment", **kept, targets=[for_another], remainder="KEEP_UNAPPLIED")[1] == [
        "SOURCE_NOT_FOR_MEMBER"
    ]
    own = _on("INVOICE_MEMBER", "70.00", invoice=invoice, member_record="MR-1")
    assert world.refused("AllocatePayment", **{**kept, "member_record": None}, targets=[own])[1] == [
        "MEMBER_RECORD_NOT_FOUND"
    ]
    assert world.refused("AllocatePayment", **{**kept, "member_record": "MR-2"}, targets=[own])[1] == [
        "PAYMENT_NOT_ALLOCATABLE"
    ]
    world.do("AllocatePayment", **kept, targets=[own], remainder="KEEP_UNAPPLIED")
    assert _members(world, account) == {"MR-1": ("30.00", "90.00", "0.00"), "MR-2": ("100.00", "0.00", "0.00")}
    world.do("AllocatePayment", **kept, targets=[], remainder="DISTRIBUTE")
    assert _members(world, account) == {"MR-1": ("0.00", "60.00", "0.00"), "MR-2": ("100.00", "0.00", "0.00")}
    _in_balance(world)


@pytest.mark.rule("PAY-097", "PAY-098", "PAY-E19")
def test_a_payment_is_reallocated_to_new_totals_of_its_members(world: World) -> None:
    world.on("2024-12-20").calendar()
    account = individual(world, ("MR-1", "3600.00"), ("MR-2", "4800.00"))
    first = generate(world, account)
    amend_for(world, "MR-1", "2025-02-01", "2025-03-01", "1800.00", "3600.00")
    amend_for(world, "MR-2", "2025-02-01", "2025-03-01", "360.00", "4800.00")
    second = generate(world, account)
    record = _paid_to(
        world, account, "900.00", "1",
        _on("MEMBER", "500.00", member_record="MR-1"),
        _on("INVOICE_MEMBER", "400.00", invoice=first, member_record="MR-2"),
    )  # fmt: skip
    assert _members(world, account) == {"MR-1": ("0.00", "0.00", "50.00"), "MR-2": ("30.00", "0.00", "0.00")}

    def totals(one: str, two: str, **members: Any) -> dict[str, Any]:
        targets = [{"member_record": "MR-1", "amount": one}, {"member_record": "MR-2", "amount": two}]
        return {"record": record, "targets": targets, "roles": ("ARA",), **members}

    def refused(*wanted: str, **members: Any) -> list[str]:
        return world.refused("ReallocateMembers", **totals(*wanted, **members))[1]

    assert refused("0.00", "0.00") == ["REALLOCATION_ALL_ZERO"]
    assert refused("600.00", "400.00") == ["REALLOCATION_EXCEEDS_ALLOCATED"]
    assert refused("-1.00", "400.00") == ["AMOUNT_NEGATIVE"]
    assert refused("300.00", "450.00") == ["REMAINDER_CONFIRMATION_REQUIRED"]
    unknown = {"member_record": "MR-9", "amount": "10.00"}
    assert world.refused("ReallocateMembers", **totals("300.00", "450.00") | {"targets": [unknown]})[1] == [
        "MEMBER_RECORD_NOT_FOUND"
    ]
    position = world.head()
    world.do("ReallocateMembers", **totals("500.00", "400.00"))
    assert world.head() == position
    world.do("ReallocateMembers", **totals("300.00", "450.00", confirm_remainder=True))
    assert _members(world, account) == {"MR-1": ("150.00", "0.00", "0.00"), "MR-2": ("0.00", "0.00", "20.00")}
    assert standing(world, account) == {first: ("PAID", "0.00"), second: ("PARTIALLY_PAID", "150.00")}
    assert _record(world, record) == ("PARTIALLY_ALLOCATED", "150.00", "730.00")
    _in_balance(world)


@pytest.mark.rule("PAY-082")
def test_a_members_overpayment_is_used_or_released_when_asked_for(world: World) -> None:
    world.on("2024-12-20").calendar()
    account = individual(world, ("MR-1", "1200.00"), ("MR-2", "1200.00"))
    first = generate(world, account)
    holding = _paid_to(world, account, "180.00", "1", _on("MEMBER", "180.00", member_record="MR-1"))
    use = {"account": account, "member_record": "MR-1"}
    assert world.refused("AllocateMemberOverpayment", **use, amount="80.01")[1] == ["AMOUNT_EXCEEDS_OVERPAYMENT"]
    assert world.refused("AllocateMemberOverpayment", **use, amount="0.00")[1] == ["AMOUNT_INVALID"]
    world.do("UnallocateFromMembers", roles=("ARA",), record=_other(world, account, first), members=["MR-2"],
             reason="MISAPPLIED", confirmed=True)  # fmt: skip
    release = {"record": holding, "member_record": "MR-1", "roles": ("ARA",)}
    assert world.refused("ReleaseMemberOverpayment", **release, amount="90.00")[1] == ["AMOUNT_EXCEEDS_OVERPAYMENT"]
    world.do("ReleaseMemberOverpayment", **release, amount="30.00")
    assert _members(world, account)["MR-1"] == ("0.00", "30.00", "50.00")
    world.do("UnallocatePayment", record=holding, invoices=[first], reason="MISAPPLIED")
    used = world.do("AllocateMemberOverpayment", **use, amount="20.00")
    assert (used["allocated"], used["member_overpayment"]) == ("20.00", "30.00")
    assert _members(world, account)["MR-1"] == ("80.00", "30.00", "30.00")
    assert world.do("AllocateMemberOverpayment", **use)["allocated"] == "30.00"
    assert _members(world, account)["MR-1"] == ("50.00", "30.00", "0.00")
    _in_balance(world)


def _other(world: World, account: str, invoice: str) -> str:
    return _paid_to(world, account, "40.00", "2", _on("INVOICE_MEMBER", "40.00", invoice=invoice, member_record="MR-2"))


@pytest.mark.rule("PAY-081", "PAY-103", "PAY-110", "PAY-E14")
@pytest.mark.parametrize("command", ["SuspendPayment", "ReversePayment", "DeclinePayment"])
def test_money_that_leaves_makes_room_for_the_overpayment_of_others(world: World, command: str) -> None:
    world.on("2024-12-20").calendar()
    account = individual(world, ("MR-7", "7200.00"))
    invoice = generate(world, account)
    leaving = _paid_to(world, account, "600.00", "1", _on("INVOICE", "600.00", invoice=invoice))
    staying = _paid_to(world, account, "120.00", "2", _on("MEMBER", "120.00", member_record="MR-7"))
    assert _members(world, account)["MR-7"] == ("0.00", "0.00", "120.00")
    reason = "INSUFFICIENT_FUNDS" if command == "DeclinePayment" else "ENTRY_ERROR"
    world.do(command, roles=("ARM",), payment=leaving, reason=reason)
    assert standing(world, account) == {invoice: ("PARTIALLY_PAID", "480.00")}
    assert _members(world, account)["MR-7"] == ("480.00", "0.00", "0.00")
    assert _record(world, staying) == ("ALLOCATED", "0.00", "120.00")
    _in_balance(world)


@pytest.mark.rule("PAY-112", "PAY-113", "PAY-114")
def test_a_transfer_asks_before_it_moves_what_is_kept_for_members(world: World) -> None:
    world.on("2024-12-20").calendar()
    account, other = individual(world, ("MR-1", "1200.00")), individual(world, ("MR-2", "1200.00"), number=2)
    generate(world, account)
    record = _paid_to(world, account, "160.00", "1", _on("MEMBER", "160.00", member_record="MR-1"))
    world.do("ReleaseMemberOverpayment", roles=("ARA",), record=record, member_record="MR-1", amount="25.00")
    move = {"record": record, "reason": "MISAPPLIED", "targets": [{"account": other, "amount": "150.00"}]}
    response = world.send("TransferPayment", roles=("ARM",), **move)
    asked = ["MEMBER_UNAPPLIED_MOVE", "UNALLOCATION", "RETAIN_REMAINDER"]
    assert [one["params"]["confirmations"] for one in response.json()["problems"]] == [asked]
    world.do("TransferPayment", roles=("ARM",), **move, confirmations=asked)
    assert _members(world, account)["MR-1"] == ("100.00", "0.00", "0.00")
    assert _record(world, record) == ("UNAPPLIED", "10.00", "0.00")
    assert _record(world, f"{record}/2") == ("UNAPPLIED", "150.00", "0.00")


@pytest.mark.rule("PAY-064", "PAY-065")
def test_a_target_names_a_member_of_the_account(world: World) -> None:
    world.on("2024-12-20").calendar()
    account = individual(world, ("MR-1", "1200.00"))
    invoice = generate(world, account)
    for target in (
        _on("MEMBER", "10.00", member_record="MR-9"),
        _on("MEMBER", "10.00"),
        _on("INVOICE_MEMBER", "10.00", invoice=invoice),
    ):
        assert world.refused("ApplyPayment", account=account, amount="10.00", method="CASH", targets=[target]) == (
            404,
            ["MEMBER_RECORD_NOT_FOUND"],
        )
    discard(world, invoice)
    assert world.refused(
        "ApplyPayment", account=account, amount="10.00", method="CASH",
        targets=[_on("INVOICE_MEMBER", "10.00", invoice=invoice, member_record="MR-1")],
    )[1] == ["INVOICE_NOT_ELIGIBLE"]  # fmt: skip


def _on_invoices(world: World, record: str) -> dict[str, str]:
    """What a record has on each invoice."""
    query = (
        "query ($number: String!) { payment(number: $number) { records { invoices { invoice applied { amount } } } } }"
    )
    [found] = world.query(query, number=record)["payment"]["records"]
    return {one["invoice"]: one["applied"]["amount"] for one in found["invoices"]}


@pytest.mark.rule("PAY-090", "PAY-091", "PAY-E12")
@pytest.mark.parametrize(
    ("chosen", "after", "left"),
    [((), {"INV-4": "120.00"}, "380.00"), (("INV-3",), {"INV-2": "300.00", "INV-4": "120.00"}, "80.00"),
     (("INV-3", "INV-4"), {"INV-2": "300.00", "INV-4": "120.00"}, "80.00")],
)  # fmt: skip
def test_money_taken_off_by_hand_pays_other_invoices_by_the_rules(
    world: World, chosen: tuple[str, ...], after: dict[str, str], left: str
) -> None:
    """Naming an invoice that has none of the money does not keep the money from it."""
    world.on("2024-12-20").calendar()
    account = individual(world, ("MR-1", "3600.00"))
    named = {"INV-2": generate(world, account)}
    amend_for(world, "MR-1", "2025-02-01", "2025-03-01", "2400.00", "1440.00")
    named |= {"INV-3": generate(world, account), "INV-4": generate(world, account)}
    record = _paid_to(
        world, account, "500.00", "1",
        _on("INVOICE", "300.00", invoice=named["INV-2"]), _on("INVOICE", "200.00", invoice=named["INV-3"]),
    )  # fmt: skip
    ask = {"invoices": [named[one] for one in chosen]} if chosen else {}
    world.do("UnallocatePayment", record=record, reason="MISAPPLIED", **ask)
    assert _on_invoices(world, record) == {named[one]: amount for one, amount in after.items()}
    assert _record(world, record)[:2] == ("PARTIALLY_ALLOCATED", left)
    _in_balance(world)


@pytest.mark.rule("PAY-038", "PAY-083", "PAY-096")
@pytest.mark.parametrize("bank_first", [False, True])
def test_freed_money_of_members_is_used_in_the_order_that_is_set(world: World, bank_first: bool) -> None:
    world.on("2024-12-20").calendar()
    account = individual(world, ("MR-1", "1200.00"))
    first = generate(world, account)
    second = generate(world, account)
    _paid_to(world, account, "50.00", "1", _on("INVOICE", "50.00", invoice=second))
    bank = _paid_to(world, account, "60.00", "2", _on("INVOICE", "60.00", invoice=first))
    claim = world.do(
        "CreateInternalPayment", account=account, amount="40.00", subtype="CLAIM_DEDUCTION", related_entity="CLM-1",
        targets=[_on("INVOICE", "40.00", invoice=first)],
    )["payment"]  # fmt: skip
    if bank_first:
        order = ["CUSTOMER_CREDIT", "BANKING", "INTERNAL"]
        world.do("SetParameter", name="consumption.category_order", value=order)
    discard(world, first)
    used = {record: _on_invoices(world, record) for record in (bank, claim)}
    if bank_first:
        assert used == {bank: {second: "50.00"}, claim: {}}
    else:
        assert used == {bank: {second: "10.00"}, claim: {second: "40.00"}}
    assert _members(world, account) == {"MR-1": ("0.00", "0.00", "50.00")}
    _in_balance(world)


@pytest.mark.rule("PAY-063")
def test_a_members_money_pays_no_whole_invoice(world: World) -> None:
    world.on("2024-12-20").calendar()
    account = individual(world, ("MR-1", "1200.00"), ("MR-2", "1200.00"))
    invoice = generate(world, account)
    record = _paid_to(world, account, "60.00", "1", _on("MEMBER", "60.00", member_record="MR-1"))
    world.do(
        "UnallocateFromMembers", roles=("ARA",), record=record, members=["MR-1"], reason="MISAPPLIED", confirmed=True
    )
    kept = {"record": record, "source": "MEMBER_UNAPPLIED", "member_record": "MR-1"}
    assert world.refused("AllocatePayment", **kept, targets=[_on("INVOICE", "60.00", invoice=invoice)])[1] == [
        "SOURCE_NOT_FOR_MEMBER"
    ]
    both = _on("INVOICE", "60.00", invoice=invoice, member_record="MR-1")
    assert world.refused("AllocatePayment", **kept, targets=[both])[0] == 400
    assert _members(world, account) == {"MR-1": ("100.00", "60.00", "0.00"), "MR-2": ("100.00", "0.00", "0.00")}


def test_the_items_of_targets_are_those_of_the_whole_account_that_they_concern(world: World) -> None:
    world.on("2024-12-20").calendar()
    account = individual(world, ("MR-1", "1200.00"), ("MR-2", "2400.00"), ("MR-3", "3600.00"))
    invoices = [generate(world, account) for _ in range(3)]
    _paid_to(world, account, "350.00", "1", _on("MEMBER", "350.00", member_record="MR-1"))
    _paid_to(world, account, "500.00", "2", _on("INVOICE", "500.00", invoice=invoices[0]))
    with world.system.read_models.session() as session:
        context = Context(Principal("JOB", "test", "test", frozenset()), session, world.clock)
        register, placements = context.port(ItemRegister), context.port(Placements)
        found = 0
        for chosen in ([], [invoices[0]], [invoices[2], invoices[1]]):
            for members in ([], ["MR-1"], ["MR-2", "MR-3"], ["MR-9"]):
                for named in (chosen, invoices):
                    rows = register.open_items_of(account, invoices=chosen, members=members, named=named)
                    whole = [
                        row
                        for row in register.open_items(account, named)
                        if row.invoice in chosen or row.member in members
                    ]
                    # Members' items come first, then invoice by invoice; each part is in item order.
                    first = [row for row in whole if row.invoice not in chosen]
                    assert rows == first + [row for one in chosen for row in whole if row.invoice == one]
                    found += len(rows)
        assert found > 40
        assert placements.ever_on(account, ["MR-2", "MR-9"]) == {"MR-2"}
        assert placements.ever_on("LB999999998", ["MR-2"]) == frozenset()
