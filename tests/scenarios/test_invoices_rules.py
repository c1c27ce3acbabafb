"""Rules of invoices that the worked examples leave out, on the whole service."""

from __future__ import annotations

import datetime as dt

import pytest

from domain.accounts.account import NextPaymentDueDateChanged
from domain.invoices.invoice import AnybConsumed, InvoiceDiscarded, InvoiceIssued, InvoiceRegenerated
from tests.scenarios.billing import (
    account_now,
    amend,
    cents,
    consuming,
    discard,
    generate,
    lines,
    pay,
    pay_invoice,
    regenerate,
    standing,
    statement,
)
from tests.scenarios.conftest import World
from tests.scenarios.jobs import run_job


@pytest.mark.rule("INV-003", "INV-051", "PRM-126")
def test_a_member_who_comes_late_is_charged_for_the_periods_billed_without_him(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    generate(world, account)
    generate(world, account)
    world.member(policy, "MR-2", start="2025-01-16", annual="3650.00")
    assert account_now(world, account)["balances"]["anyb"] == "608.34"  # from the 16th, twice
    march = generate(world, account)
    assert sorted(lines(world, account, march)) == [
        ("CHARGE", "MR-1", "LIFE", "100.00"),
        *[("CHARGE", "MR-2", "LIFE", "304.17")] * 3,
    ]
    made = statement(world, march)
    assert (made.current_period_amount, made.retro_added) == (cents("404.17"), cents("608.34"))
    world.check(account)


@pytest.mark.rule("INV-034")
def test_credits_beyond_the_charges_make_a_negative_invoice_and_wait_on_it(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    consuming(world, False)
    world.member(policy, "MR-1")
    world.member(policy, "MR-2", annual="120.00")
    invoices = [generate(world, account) for _ in range(3)]
    pay(world, account, "330.00", "1")
    world.do("ApplyCancellation", transaction_id="CA-1", member_record="MR-1", effective_date="2025-01-01")
    april = generate(world, account)
    made = statement(world, april)
    assert (made.current_due, made.total_due) == (cents("-290.00"), cents("-290.00"))
    assert account_now(world, account)["balances"]["anyb"] == "0.00"
    assert standing(world, account)[april] == ("ISSUED", "10.00")
    assert [standing(world, account)[one] for one in invoices] == [("PAID", "0.00")] * 3
    may = statement(world, generate(world, account))
    assert (may.previous_balance, may.total_due) == (cents("-290.00"), cents("-280.00"))
    world.check(account)
    world.verify()


@pytest.mark.rule("INV-121")
@pytest.mark.parametrize(("order", "refused"), [("ANY", False), ("DEPENDENTS_FIRST", True), ("NEWEST_FIRST", True)])
def test_the_discard_order_protects_what_later_invoices_carry(world: World, order: str, refused: bool) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.do("SetParameter", name="invoicing.discard_order", value=order)
    world.member(policy, "MR-1")
    january = generate(world, account)
    amend(world, "MR-1", "2025-01-01", ("LIFE", "1320.00"))
    february = generate(world, account)
    assert ("RETRO", "MR-1", "LIFE", "10.00") in lines(world, account, february)
    ask = {"reason": "Wrong", "confirmed": True}
    if refused:
        assert world.refused("DiscardInvoice", invoice=january, **ask)[1] == ["DEPENDENT_INVOICE_EXISTS"]
        discard(world, february)
    discard(world, january)
    world.check(account)


@pytest.mark.rule("INV-121")
def test_under_dependents_first_an_older_invoice_goes_that_nobody_corrects(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.do("SetParameter", name="invoicing.discard_order", value="DEPENDENTS_FIRST")
    world.member(policy, "MR-1")
    january = generate(world, account)
    generate(world, account)
    discard(world, january)
    world.check(account)


@pytest.mark.rule("INV-121", "INV-142", "PRM-122")
def test_a_period_made_again_is_compared_with_what_later_invoices_carry_for_it(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    consuming(world, False)
    world.member(policy, "MR-1")
    january = generate(world, account)
    amend(world, "MR-1", "2025-01-01", ("LIFE", "1320.00"))
    generate(world, account)  # 110.00, and 10.00 for January
    discard(world, january)
    again = regenerate(world, january)
    assert lines(world, account, again) == [("CHARGE", "MR-1", "LIFE", "110.00")]
    assert account_now(world, account)["balances"]["anyb"] == "-10.00"
    march = generate(world, account)
    assert sorted(lines(world, account, march)) == [
        ("CHARGE", "MR-1", "LIFE", "110.00"),
        ("RETRO", "MR-1", "LIFE", "-10.00"),
    ]
    assert account_now(world, account)["balances"]["dueAndUnpaid"] == "330.00"
    world.check(account)
    world.verify()


@pytest.mark.rule("INV-123")
def test_a_hold_on_invoices_keeps_none_from_being_discarded(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    invoice = generate(world, account)
    world.do("CreateHold", account=account, type="INVOICE", reason="Review")
    discard(world, invoice)
    assert world.refused("RegenerateInvoice", invoice=invoice, confirmed=True)[1] == ["HOLD_ACTIVE"]


@pytest.mark.rule("INV-076")
def test_the_next_due_date_is_that_of_the_earliest_unpaid_invoice(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    january = generate(world, account)
    generate(world, account)

    def due() -> dt.date | None:
        found: dt.date | None = world.events(NextPaymentDueDateChanged)[-1].new
        return found

    assert due() == dt.date(2025, 1, 1)
    payment = pay_invoice(world, account, january, "100.00", "1")["record"]
    assert due() == dt.date(2025, 2, 1)
    world.do("ReversePayment", payment=payment, reason="ENTRY_ERROR")
    assert due() == dt.date(2025, 1, 1)
    discard(world, january)
    assert due() == dt.date(2025, 2, 1)


@pytest.mark.rule("INV-041", "INV-129", "INV-140")
def test_events_tell_what_an_invoice_was_made_of_and_how_it_ended(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    generate(world, account)
    amend(world, "MR-1", "2025-01-01", ("LIFE", "1320.00"))
    february = generate(world, account)
    [consumed] = world.events(AnybConsumed)
    assert (consumed.number, consumed.members, consumed.total) == (february, ("MR-1",), cents("10.00"))
    issued = world.events(InvoiceIssued)[-1]
    assert (issued.number, issued.account, issued.period_start, issued.issue_date) == (
        february,
        account,
        dt.date(2025, 2, 1),
        dt.date(2024, 12, 20),
    )
    pay(world, account, "150.00", "1")
    discard(world, february)
    [gone] = world.events(InvoiceDiscarded)
    assert (gone.number, gone.unallocated) == (february, cents("50.00"))
    assert (gone.period_start, gone.period_end) == (dt.date(2025, 2, 1), dt.date(2025, 3, 1))
    assert (gone.issue_date, gone.due_date) == (issued.issue_date, issued.due_date)
    assert (gone.reason, gone.source.value) == ("Wrong rates", "MANUAL")
    assert gone.statement == statement(world, february)
    assert dict(gone.freed_by_destination) == {"unapplied": cents("50.00")}
    again = regenerate(world, february)
    [linked] = world.events(InvoiceRegenerated)
    assert (linked.number, linked.replaced_by) == (february, again)


@pytest.mark.rule("INV-044", "PLT-012")
def test_a_generation_that_is_refused_uses_no_number(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    first = generate(world, account)
    world.do("ApplyCancellation", transaction_id="CA-1", member_record="MR-1", effective_date="2025-02-01")
    assert world.refused("GenerateInvoice", account=account, confirmed=True)[1] == ["NO_INVOICE_REQUIRED"]
    world.do("ApplyReinstatement", transaction_id="RE-1", member_record="MR-1", effective_date="2025-02-01")
    assert [first, generate(world, account)] == ["INV-00000001", "INV-00000002"]


@pytest.mark.rule("PRM-066", "PRM-122")
def test_cancelled_and_reinstated_with_a_gap_the_days_in_between_are_given_back(world: World) -> None:
    world.on("2025-01-20")
    account, policy = world.group()
    consuming(world, False)
    world.member(policy, "MR-1", annual="3650.00")
    for _ in range(3):
        generate(world, account)
    world.do("ApplyCancellation", transaction_id="CA-1", member_record="MR-1", effective_date="2025-02-11")
    assert account_now(world, account)["balances"]["anyb"] == "-508.34"  # 304.17 - 100.00, and March
    world.do("ApplyReinstatement", transaction_id="RE-1", member_record="MR-1", effective_date="2025-03-01")
    assert account_now(world, account)["balances"]["anyb"] == "-204.17"
    world.check(account)
    april = generate(world, account)
    assert ("RETRO", "MR-1", "LIFE", "-204.17") in lines(world, account, april)
    world.check(account)
    world.verify()


@pytest.mark.rule("PLT-025")
def test_a_replay_does_not_ask_what_is_set_today(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    pay(world, account, "150.00", "1")
    january = generate(world, account)
    world.do("SetParameter", name="autoconsumption.invoice_generation", value=False)
    february = generate(world, account)
    shown = {january: ("PAID", "0.00"), february: ("ISSUED", "100.00")}
    assert standing(world, account) == shown
    world.on("2026-12-20")  # every read model and state is what its events make of it, whatever day and setting it is
    world.verify()
    assert standing(world, account) == shown
    assert statement(world, january).total_due == -5000  # as it was issued, before the money was used


@pytest.mark.rule("INV-160")
def test_an_invoice_hold_stops_every_way_to_an_invoice_from_its_first_day_to_its_last(world: World) -> None:
    world.on("2025-01-17")
    account, policy = world.group()
    world.member(policy, "MR-1")
    january = generate(world, account)
    discard(world, january)
    other = world.account(world.sponsor("C-2"), in_single_bill_setup=True)  # never invoiced: the job's next
    second = world.policy("C-2", "MP-2")
    world.setup(second, other)
    world.member(second, "MR-2")
    days = {"effective_date": "2025-01-20", "expiration_date": "2025-01-22"}
    for held in (account, other):
        world.do("CreateHold", account=held, type="INVOICE", reason="Disputed", **days)
    tags = "query ($a: String!) { billingAccount(number: $a) { tags } }"

    def on_hold() -> bool:
        return "Invoice On Hold" in world.query(tags, a=account)["billingAccount"]["tags"]

    assert not on_hold()  # not before its first day
    for day in ("2025-01-20", "2025-01-21"):
        world.on(day)
        head = world.head()
        assert world.refused("GenerateInvoice", account=account, confirmed=True)[1] == ["HOLD_ACTIVE"]
        assert world.refused("RegenerateInvoice", invoice=january, confirmed=True)[1] == ["HOLD_ACTIVE"]
        assert run_job(world, accounts=[other])["skipped"] == {"HOLD_ACTIVE": 1}
        assert (on_hold(), world.head()) == (True, head)
    world.on("2025-01-22")  # the day it expires
    assert not on_hold()
    again = regenerate(world, january)
    assert standing(world, account)[again] == ("ISSUED", "100.00")
    assert run_job(world, accounts=[other])["skipped"] == {}
    assert len(standing(world, other)) == 2  # January and February, both due by now
