"""What a credit does to what was billed and paid before, by the rulebook's examples, on the whole service."""

from __future__ import annotations

import pytest

from domain.payments.classification import Cause
from domain.payments.payment import PaymentAllocated, PaymentUnallocated
from tests.scenarios.billing import (
    account_now,
    amend,
    amend_for,
    cents,
    consuming,
    discard,
    generate,
    lines,
    offset_on,
    paid_on,
    pay,
    pay_invoice,
    regenerate,
    standing,
    statement,
    unapplied,
)
from tests.scenarios.conftest import World


@pytest.mark.rule("BAL-E02", "BAL-043", "BAL-047", "BAL-048", "BAL-071")
@pytest.mark.parametrize("automatic", [True, False])
def test_freed_money_pays_the_next_invoices_or_waits(world: World, automatic: bool) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    consuming(world, automatic)
    world.do("SetParameter", name="allocation.use_priority_rules", value=True)
    world.do("SetParameter", name="allocation.coverage_priority_order", value=["PRODUCT"])
    world.do("SetParameter", name="allocation.product_priority", keys={"product": "DENTAL"}, value=1)
    world.member(policy, "MR-A", amounts=[{"coverage": "DENTAL", "annual_amount": "3600.00"}])
    world.member(policy, "MR-B", annual="8400.00")
    january = generate(world, account)
    assert statement(world, january).total_due == cents("1000.00")
    pay(world, account, "900.00", "1")
    assert paid_on(world, account, january) == [cents("300.00"), cents("600.00")]
    amend(world, "MR-A", "2025-01-01", ("DENTAL", "1800.00"))
    amend(world, "MR-A", "2025-02-01", ("DENTAL", "6000.00"))
    february = generate(world, account)
    made = statement(world, february)
    assert (made.current_period_amount, made.retro_credit) == (cents("1200.00"), cents("150.00"))
    assert made.current_due == cents("1050.00")
    assert made.total_due == cents("1150.00")
    assert offset_on(world, account, january) == [cents("150.00"), 0]
    if automatic:
        assert standing(world, account) == {january: ("PAID", "0.00"), february: ("PARTIALLY_PAID", "1150.00")}
        assert unapplied(world, account) == 0
        pay(world, account, "1150.00", "2")
        assert standing(world, account) == {january: ("PAID", "0.00"), february: ("PAID", "0.00")}
    else:
        assert standing(world, account) == {
            january: ("PARTIALLY_PAID", "100.00"),
            february: ("ISSUED", "1200.00"),
        }
        assert unapplied(world, account) == cents("150.00")
        targets = [
            {"kind": "INVOICE", "invoice": january, "amount": "100.00"},
            {"kind": "INVOICE", "invoice": february, "amount": "1050.00"},
        ]
        pay(world, account, "1150.00", "2", allocation="TARGETS", targets=targets)
        assert standing(world, account) == {january: ("PAID", "0.00"), february: ("PARTIALLY_PAID", "150.00")}
        assert unapplied(world, account) == cents("150.00")
    assert account_now(world, account)["balances"]["accountBalance"] == "0.00"
    assert statement(world, february).total_due == cents("1150.00")
    world.check(account)
    world.verify()


@pytest.mark.rule("BAL-E14", "BAL-061", "BAL-063", "BAL-067")
@pytest.mark.parametrize(
    ("paid", "freed", "left", "due"),
    [
        ("100.00", "40.00", "60.00", "0.00"),
        ("80.00", "20.00", "60.00", "0.00"),
        ("50.00", "0.00", "50.00", "10.00"),
        ("0.00", "0.00", "0.00", "60.00"),
    ],
)
def test_a_credit_frees_only_what_is_paid_beyond_the_rest(
    world: World, paid: str, freed: str, left: str, due: str
) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    consuming(world, False)
    world.member(policy, "MR-1")
    january = generate(world, account)
    generate(world, account)
    if cents(paid):
        pay_invoice(world, account, january, paid, "1")
    amend_for(world, "MR-1", "2025-01-01", "2025-02-01", "720.00", "1200.00")
    march = generate(world, account)
    assert ("RETRO", "MR-1", "LIFE", "-40.00") in lines(world, account, march)
    assert unapplied(world, account) == cents(freed)
    assert paid_on(world, account, january) == [cents(left)]
    assert offset_on(world, account, january) == [cents("40.00")]
    assert account_now(world, account)["invoices"][january]["remainingDue"]["amount"] == due
    assert world.check(account).credit(account) == 0
    unallocated = [one for one in world.events(PaymentUnallocated) if one.cause is Cause.EXCESS]
    assert [part.total for one in unallocated for part in one.lines] == [cents(freed)] * bool(cents(freed))
    world.verify()


@pytest.mark.rule("BAL-E19", "BAL-075", "INV-125")
def test_a_discarded_credit_gives_the_money_back_and_takes_it_again(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    consuming(world, False)
    world.member(policy, "MR-1")
    first = generate(world, account)
    pay(world, account, "100.00", "1")
    amend_for(world, "MR-1", "2025-01-01", "2025-02-01", "600.00", "1200.00")
    second = generate(world, account)
    assert unapplied(world, account) == cents("50.00")
    assert (paid_on(world, account, first), offset_on(world, account, first)) == ([5000], [5000])
    discard(world, second)
    assert account_now(world, account)["balances"]["anyb"] == "-50.00"
    assert (paid_on(world, account, first), offset_on(world, account, first)) == ([10000], [0])
    assert standing(world, account)[first] == ("PAID", "0.00")
    assert unapplied(world, account) == 0
    assert [one.cause for one in world.events(PaymentAllocated)][-1] is Cause.EXCESS_RETURNED
    regenerate(world, second)
    assert unapplied(world, account) == cents("50.00")
    assert account_now(world, account)["balances"]["anyb"] == "0.00"
    world.check(account)
    world.verify()


@pytest.mark.rule("BAL-E19", "BAL-075", "INV-125")
def test_freed_money_that_was_used_elsewhere_stays_there_after_the_discard(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    consuming(world, False)
    world.member(policy, "MR-1")
    first = generate(world, account)
    record = pay(world, account, "100.00", "1")["record"]
    elsewhere = generate(world, account)
    amend_for(world, "MR-1", "2025-01-01", "2025-02-01", "600.00", "1200.00")
    third = generate(world, account)
    world.do(
        "AllocatePayment",
        record=record,
        targets=[{"kind": "INVOICE", "invoice": elsewhere, "amount": "50.00"}],
        remainder="KEEP_UNAPPLIED",
    )
    discard(world, third)
    now = standing(world, account)
    assert now[first] == ("PARTIALLY_PAID", "50.00")
    assert now[elsewhere] == ("PARTIALLY_PAID", "50.00")
    assert paid_on(world, account, elsewhere) == [5000]
    world.check(account)


@pytest.mark.rule("BAL-060", "BAL-076")
def test_a_credit_whose_charge_is_discarded_finds_another_one_at_once(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    consuming(world, False)
    world.member(policy, "MR-1")
    january = generate(world, account)
    amend(world, "MR-1", "2025-01-01", ("LIFE", "1440.00"))  # 20.00 more in January
    again = amend(world, "MR-1", "2025-02-01", ("LIFE", "1200.00"))
    february = generate(world, account)
    assert sorted(lines(world, account, february)) == [
        ("CHARGE", "MR-1", "LIFE", "100.00"),
        ("RETRO", "MR-1", "LIFE", "20.00"),
    ]
    amend(world, "MR-1", "2025-01-01", ("LIFE", "840.00"))  # 50.00 less than billed
    decision = {"transaction_id": again["transaction_id"], "action": "ROLL_ON"}
    world.do("InstructRollOn", member_record="MR-1", decisions=[decision])
    pay_invoice(world, account, january, "100.00", "1")
    generate(world, account)
    assert sorted(offset_on(world, account, february)) == [0, 2000]  # the newest invoice first
    assert (offset_on(world, account, january), paid_on(world, account, january)) == ([3000], [7000])
    discard(world, february)
    assert (offset_on(world, account, january), paid_on(world, account, january)) == ([5000], [5000])
    assert unapplied(world, account) == cents("50.00")
    assert world.check(account).credit(account) == 0
    regenerate(world, february)
    world.check(account)
    world.verify()


@pytest.mark.rule("BAL-068", "BAL-076")
def test_a_released_credit_without_another_charge_waits_for_the_next_issue(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    consuming(world, False)
    world.member(policy, "MR-1")
    world.member(policy, "MR-2")
    january = generate(world, account)
    world.do("ApplyCancellation", transaction_id="CA-1", member_record="MR-1", effective_date="2025-01-01")
    february = generate(world, account)
    assert offset_on(world, account, january) == [10000, 0]
    discard(world, january)
    assert world.check(account).credit(account) == 10000
    assert account_now(world, account)["balances"]["dueAndUnpaid"] == "0.00"  # 100.00 of MR-2 less the credit
    assert offset_on(world, account, february) == [0, 0]
    generate(world, account)
    books = world.check(account)
    assert (books.credit(account), books.due(account)) == (0, 10000)
    world.verify()


@pytest.mark.rule("BAL-058", "BAL-061")
def test_a_credit_on_an_earlier_periods_invoice_still_finds_the_charge_it_corrects(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    consuming(world, False)
    world.member(policy, "MR-1")
    world.member(policy, "MR-2")
    january = generate(world, account)
    february = generate(world, account)
    discard(world, january)
    amend(world, "MR-1", "2025-02-01", ("LIFE", "0.00"))
    march = generate(world, account)  # January again, with the credit for February
    assert offset_on(world, account, february) == [10000, 0]
    assert world.check(account).credit(account) == 0
    assert standing(world, account)[march][1] == "200.00"
    world.verify()


@pytest.mark.rule("BAL-014", "BAL-051")
def test_a_late_change_moves_no_balance_until_it_is_billed(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    january = generate(world, account)
    amend(world, "MR-1", "2025-01-01", ("LIFE", "1320.00"))
    before = account_now(world, account)["balances"]
    assert (before["dueAndUnpaid"], before["accountBalance"], before["anyb"]) == ("100.00", "100.00", "10.00")
    assert statement(world, january).total_due == cents("100.00")
    generate(world, account)
    after = account_now(world, account)["balances"]
    assert (after["dueAndUnpaid"], after["accountBalance"], after["anyb"]) == ("220.00", "220.00", "0.00")
    world.check(account)


@pytest.mark.rule("BAL-056")
def test_nothing_is_freed_for_a_member_who_waits_for_a_roll_on(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    consuming(world, False)
    world.member(policy, "MR-1")
    january = generate(world, account)
    pay(world, account, "100.00", "1")
    amend(world, "MR-1", "2025-02-01", ("LIFE", "1440.00"), transaction_id="LATER")
    amend(world, "MR-1", "2025-01-01", ("LIFE", "600.00"), transaction_id="EARLIER")
    generate(world, account)
    assert (paid_on(world, account, january), unapplied(world, account)) == ([10000], 0)
    world.do("InstructRollOn", member_record="MR-1", decisions=[{"transaction_id": "LATER", "action": "ROLL_ON"}])
    generate(world, account)
    assert (paid_on(world, account, january), unapplied(world, account)) == ([5000], 5000)
    world.check(account)


@pytest.mark.rule("BAL-003", "BAL-020", "BAL-021", "BAL-E14")
@pytest.mark.parametrize(("paid", "due"), [("100.00", "100.00"), ("50.00", "110.00"), (None, "160.00")])
def test_a_credit_that_was_set_off_leaves_nothing_on_its_line_and_is_counted_once_by_member(
    world: World, paid: str | None, due: str
) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy)
    consuming(world, False)
    january = generate(world, account)
    if paid is not None:
        pay(world, account, paid, "1")
    amend_for(world, "MR-1", "2025-01-01", "2025-02-01", "720.00", "1200.00")
    february = generate(world, account)
    query = """query ($account: String!, $invoice: String!) {
      accountBalances(account: $account) { dueAndUnpaid { amount } }
      memberBalances(account: $account) { nodes { dueAndUnpaid { amount } memberBalance { amount } } }
      invoice(number: $invoice) { items { nodes { amount { amount } offset { amount } remainingDue { amount } } } } }"""
    found = world.query(query, account=account, invoice=february)
    assert found["accountBalances"]["dueAndUnpaid"]["amount"] == due
    assert found["memberBalances"]["nodes"] == [{"dueAndUnpaid": {"amount": due}, "memberBalance": {"amount": due}}]
    lines = {
        one["amount"]["amount"]: (one["offset"]["amount"], one["remainingDue"]["amount"])
        for one in found["invoice"]["items"]["nodes"]
    }
    assert lines == {"100.00": ("0.00", "100.00"), "-40.00": ("40.00", "0.00")}
    discard(world, january)  # the credit is open again
    found = world.query(query, account=account, invoice=february)
    credit = next(one for one in found["invoice"]["items"]["nodes"] if one["amount"]["amount"] == "-40.00")
    assert (credit["offset"]["amount"], credit["remainingDue"]["amount"]) == ("0.00", "-40.00")
    assert found["memberBalances"]["nodes"][0]["dueAndUnpaid"] == found["accountBalances"]["dueAndUnpaid"]
