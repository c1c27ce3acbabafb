"""Invoices of a group from the first to the regenerated one, by the rulebook's examples."""

from __future__ import annotations

import pytest

from domain.invoices.invoice import InvoiceDiscarded, InvoiceStatusChanged
from tests.scenarios.billing import (
    account_now,
    amend,
    amend_for,
    cents,
    consuming,
    discard,
    generate,
    lines,
    paid_on,
    pay,
    pay_invoice,
    regenerate,
    standing,
    statement,
    unapplied,
)
from tests.scenarios.conftest import World


@pytest.mark.rule("INV-050", "INV-051", "BAL-044", "BAL-045", "BAL-046", "BAL-047")
def test_each_statement_goes_on_from_the_one_before(world: World) -> None:
    """The chain of INV-E04 as far as money and corrections go."""
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-A", annual="4800.00")
    world.member(policy, "MR-B", annual="7200.00")
    january = generate(world, account)
    assert statement(world, january).total_due == cents("1000.00")
    first = pay(world, account, "900.00", "1")
    amend_for(world, "MR-A", "2025-01-01", "2025-02-01", "5280.00", "4800.00")  # 40.00 more in January
    amend_for(world, "MR-B", "2025-01-01", "2025-02-01", "5400.00", "7200.00")  # 150.00 less in January
    february = statement(world, generate(world, account))
    assert february.previous_balance == cents("1000.00")
    assert february.payments_received == cents("900.00")
    assert february.current_period_amount == cents("1000.00")
    assert (february.retro_added, february.retro_credit) == (cents("40.00"), cents("150.00"))
    assert february.adjustments == cents("-110.00")
    assert february.current_due == cents("890.00")
    assert february.total_due == cents("990.00")
    pay(world, account, "600.00", "2")
    amend(world, "MR-A", "2025-03-01", ("LIFE", "5400.00"))  # 50.00 more from March on
    march = statement(world, generate(world, account))
    assert (march.previous_balance, march.payments_received) == (cents("990.00"), cents("600.00"))
    assert march.total_due == cents("990.00") - cents("600.00") + cents("1050.00")
    world.do("ReversePayment", payment=first["record"], reason="ENTRY_ERROR")
    april = statement(world, generate(world, account))
    assert april.payments_received == cents("-900.00")
    assert april.total_due == march.total_due + cents("900.00") + cents("1050.00")
    assert statement(world, january).total_due == cents("1000.00")
    world.check(account)
    world.verify()


@pytest.mark.rule("INV-E05", "INV-050", "INV-126", "INV-142", "BAL-042")
def test_an_invoice_in_the_middle_is_discarded_and_made_again(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1", annual="6000.00")
    january, february = generate(world, account), generate(world, account)
    pay(world, account, "700.00", "1")
    march = generate(world, account)
    assert statement(world, march).total_due == cents("800.00")
    pay(world, account, "300.00", "2")
    amend_for(world, "MR-1", "2025-02-01", "2025-03-01", "5760.00", "6000.00")
    discard(world, february)
    again = regenerate(world, february)
    made = statement(world, again)
    assert made.previous_balance == cents("800.00")
    assert made.payments_received == cents("300.00")
    assert made.current_period_amount == cents("480.00")
    assert made.adjustments == cents("-500.00")
    assert made.total_due == cents("480.00")
    assert statement(world, march).total_due == cents("800.00")
    assert statement(world, february).total_due == cents("1000.00")
    april = statement(world, generate(world, account))
    assert (april.previous_balance, april.total_due) == (cents("480.00"), cents("980.00"))
    assert standing(world, account)[january] == ("PAID", "0.00")
    world.do("SetParameter", name="invoicing.discard_order", value="NEWEST_FIRST")
    assert world.refused("DiscardInvoice", invoice=again, reason="Late", confirmed=True)[1] == [
        "DEPENDENT_INVOICE_EXISTS"
    ]
    world.check(account)
    world.verify()


@pytest.mark.rule("INV-E08", "INV-011", "INV-044", "INV-140", "INV-143")
def test_a_paid_invoice_is_discarded_and_its_money_pays_the_next(world: World) -> None:
    world.on("2025-01-20")
    account, policy = world.group(start="2025-02-01")
    world.member(policy, "MR-1", start="2025-02-01", annual="3600.00")
    first = generate(world, account)
    pay(world, account, "300.00", "1")
    assert standing(world, account)[first] == ("PAID", "0.00")
    answer = discard(world, first)
    assert answer["freed_to"] == {"unapplied": {"amount": "300.00", "currency": "USD"}}
    assert account_now(world, account)["invoices"][first]["status"] == "DISCARDED"
    assert statement(world, first).total_due == cents("300.00")
    assert unapplied(world, account) == cents("300.00")
    amend(world, "MR-1", "2025-02-01", ("LIFE", "3360.00"))
    second = regenerate(world, first)
    assert second != first
    assert standing(world, account)[second] == ("PAID", "0.00")
    assert paid_on(world, account, second) == [cents("280.00")]
    assert unapplied(world, account) == cents("20.00")
    assert world.refused("RegenerateInvoice", invoice=first, confirmed=True)[1] == ["PERIOD_ALREADY_INVOICED"]
    world.check(account)


@pytest.mark.rule("INV-072", "INV-073", "INV-074", "BAL-007")
def test_the_status_follows_from_what_is_still_due(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    invoice = generate(world, account)
    seen = [standing(world, account)[invoice]]
    for number, amount in enumerate(("0.01", "99.98", "0.01")):
        pay(world, account, amount, str(number))
        seen.append(standing(world, account)[invoice])
    assert seen == [
        ("ISSUED", "100.00"),
        ("PARTIALLY_PAID", "99.99"),
        ("PARTIALLY_PAID", "0.01"),
        ("PAID", "0.00"),
    ]
    told = [(one.old.value, one.new.value) for one in world.events(InvoiceStatusChanged)]
    assert told == [("ISSUED", "PARTIALLY_PAID"), ("PARTIALLY_PAID", "PAID")]
    discard(world, invoice)
    assert account_now(world, account)["invoices"][invoice]["status"] == "DISCARDED"


@pytest.mark.rule("INV-031", "INV-072")
def test_a_group_of_one_who_pays_nothing_gets_an_invoice_of_nothing(world: World) -> None:
    """The list bill half of INV-E13: stop billing."""
    world.on("2025-02-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    generate(world, account)
    generate(world, account)
    world.do(
        "StopBilling",
        transaction_id="ST-1",
        member_record="MR-1",
        effective_date="2025-03-01",
        nonforfeiture="REDUCED_PAID_UP",
    )
    march = generate(world, account)
    assert standing(world, account)[march] == ("PAID", "0.00")
    assert statement(world, march).current_period_amount == 0
    world.check(account)


@pytest.mark.rule("INV-007", "INV-031")
def test_a_waived_member_stays_on_the_invoice_with_two_lines(world: World) -> None:
    """The list bill half of INV-E13: a waiver."""
    world.on("2025-02-20")
    account, policy = world.group(premium_waiver_source="CLAIMS")
    world.member(policy, "MR-1")
    generate(world, account)
    generate(world, account)
    world.do(
        "ApplyPremiumWaiver",
        transaction_id="WV-1",
        member_record="MR-1",
        source="CLAIMS",
        effective_date="2025-03-01",
    )
    march = generate(world, account)
    assert lines(world, account, march) == [
        ("CHARGE", "MR-1", "LIFE", "100.00"),
        ("WAIVER_OFFSET", "MR-1", "LIFE", "-100.00"),
    ]
    assert standing(world, account)[march] == ("PAID", "0.00")
    world.check(account)


@pytest.mark.rule("INV-030")
def test_nothing_is_invoiced_when_nobody_is_covered(world: World) -> None:
    """The last of INV-E13: cancelled, no other product."""
    world.on("2025-02-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    generate(world, account)
    generate(world, account)
    world.do("ApplyCancellation", transaction_id="CA-1", member_record="MR-1", effective_date="2025-03-01")
    before = world.head()
    assert world.refused("GenerateInvoice", account=account, confirmed=True)[1] == ["NO_INVOICE_REQUIRED"]
    assert world.head() == before


@pytest.mark.rule("INV-E20", "INV-007", "INV-003")
def test_a_waiver_after_the_invoice_is_credited_and_its_end_charged(world: World) -> None:
    world.on("2025-02-20")
    account, policy = world.group(premium_waiver_source="CLAIMS", start="2025-03-01")
    consuming(world, False)
    world.member(policy, "MR-A", start="2025-03-01")
    world.member(policy, "MR-B", start="2025-03-01", annual="600.00")
    march = generate(world, account)
    assert statement(world, march).total_due == cents("150.00")
    pay(world, account, "150.00", "1")
    world.on("2025-03-20")
    world.do(
        "ApplyPremiumWaiver",
        transaction_id="WV-1",
        member_record="MR-A",
        source="CLAIMS",
        effective_date="2025-03-11",
    )
    april = generate(world, account)
    made = statement(world, april)
    assert sorted(lines(world, account, april)) == [
        ("CHARGE", "MR-A", "LIFE", "100.00"),
        ("CHARGE", "MR-B", "LIFE", "50.00"),
        ("RETRO", "MR-A", "LIFE", "-67.12"),
        ("WAIVER_OFFSET", "MR-A", "LIFE", "-100.00"),
    ]
    assert (made.current_period_amount, made.retro_credit) == (cents("50.00"), cents("67.12"))
    assert made.total_due == cents("-17.12")
    world.do(
        "EndPremiumWaiver",
        transaction_id="WV-2",
        member_record="MR-A",
        waiver_id="WV-1",
        source="CLAIMS",
        effective_date="2025-04-21",
    )
    may = statement(world, generate(world, account))
    assert (may.current_period_amount, may.retro_added) == (cents("150.00"), cents("32.88"))
    assert may.total_due == cents("165.76")
    world.check(account)
    world.verify()


@pytest.mark.rule("INV-122", "PLT-020")
def test_a_discard_decided_on_an_old_status_is_refused(world: World) -> None:
    """The last of INV-E19: a payment came between the dialog and its confirmation."""
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    invoice = generate(world, account)
    with_version = {"expected_version": _version(world, invoice)}
    pay(world, account, "50.00", "1")
    before = world.head()
    response = world.send("DiscardInvoice", envelope=with_version, invoice=invoice, reason="Late", confirmed=True)
    assert [one["code"] for one in response.json()["problems"]] == ["INVOICE_STATUS_CHANGED"]
    assert world.head() == before


def _version(world: World, invoice: str) -> int:
    return len(world.system.log.streams([f"invoice:{invoice}"]))


@pytest.mark.rule("INV-010", "INV-011", "INV-015", "INV-046")
def test_only_the_next_period_is_invoiced_and_only_when_confirmed(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    assert world.refused("GenerateInvoice", account=account)[1] == ["CONFIRMATION_REQUIRED"]
    ask = {"account": account, "confirmed": True}
    assert world.refused("GenerateInvoice", **ask, period_start="2025-02-01")[1] == ["PERIOD_NOT_ELIGIBLE"]
    first = world.do("GenerateInvoice", **ask, period_start="2025-01-01")
    assert (first["period_start"], first["period_end"]) == ("2025-01-01", "2025-01-31")
    assert world.refused("GenerateInvoice", **ask, period_start="2025-01-01")[1] == ["PERIOD_ALREADY_INVOICED"]
    early = world.do("GenerateInvoice", **ask)
    assert early["period_start"] == "2025-02-01"
    discard(world, first["invoice"])
    assert world.do("GenerateInvoice", **ask)["period_start"] == "2025-01-01"


@pytest.mark.rule("INV-120", "INV-141")
def test_discarded_periods_are_made_again_earliest_first(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    january, february = generate(world, account), generate(world, account)
    assert world.refused("RegenerateInvoice", invoice=january, confirmed=True)[1] == ["NOT_DISCARDED"]
    for invoice in (january, february):
        discard(world, invoice)
        assert world.refused("DiscardInvoice", invoice=invoice, reason="Again", confirmed=True)[1] == [
            "INVOICE_NOT_DISCARDABLE"
        ]
    assert world.refused("RegenerateInvoice", invoice=february, confirmed=True)[1] == ["EARLIER_DISCARDED_PERIOD"]
    regenerate(world, january)
    regenerate(world, february)
    assert len(world.events(InvoiceDiscarded)) == 2
    world.check(account)


@pytest.mark.rule("INV-127", "PRM-126")
def test_a_discard_brings_back_what_was_not_billed_and_regeneration_takes_it_again(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    generate(world, account)
    amend(world, "MR-1", "2025-01-01", ("LIFE", "1320.00"))
    february = generate(world, account)
    assert statement(world, february).retro_added == cents("10.00")
    assert account_now(world, account)["balances"]["anyb"] == "0.00"
    discard(world, february)
    assert account_now(world, account)["balances"]["anyb"] == "10.00"
    again = regenerate(world, february)
    assert statement(world, again).retro_added == cents("10.00")
    assert account_now(world, account)["balances"]["anyb"] == "0.00"
    world.check(account)
    world.verify()


@pytest.mark.rule("INV-006")
def test_several_premium_sequences_are_billed_and_corrected_each_for_itself(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group(multiple_premium_sequences=True)
    sequences = [
        {
            "sequence_id": f"SQ-{number}",
            "number": number,
            "effective_date": start,
            "holders": [{"party": "P-MR-1", "annual_amount": annual, "effective_date": start}],
        }
        for number, start, annual in ((1, "2025-01-01", "1200.00"), (2, "2025-01-01", "600.00"))
    ]
    world.member(policy, "MR-1", amounts=[{"coverage": "LIFE", "annual_amount": "1800.00", "sequences": sequences}])
    january = generate(world, account)
    assert sorted(amount for _, _, _, amount in lines(world, account, january)) == ["100.00", "50.00"]
    pay_invoice(world, account, january, "75.00", "1")
    sequences[1]["holders"][0]["annual_amount"] = "840.00"
    amend(
        world,
        "MR-1",
        "2025-01-01",
        amounts=[{"coverage": "LIFE", "annual_amount": "2040.00", "sequences": sequences}],
    )
    february = generate(world, account)
    assert sorted(line for line in lines(world, account, february) if line[0] == "RETRO") == [
        ("RETRO", "MR-1", "LIFE", "20.00")
    ]
    assert statement(world, february).current_period_amount == cents("170.00")
    world.check(account)


@pytest.mark.rule("INV-004", "PRM-111", "PRM-112")
def test_an_out_of_sequence_amendment_waits_for_its_roll_on_before_it_is_billed(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    generate(world, account)
    amend(world, "MR-1", "2025-03-01", ("LIFE", "1440.00"), transaction_id="LATER")
    locked = amend(world, "MR-1", "2025-01-01", ("LIFE", "1320.00"), transaction_id="EARLIER")
    assert (locked["roll_on_pending"], locked["backed_off"]) == (True, ["LATER"])
    february = generate(world, account)
    assert lines(world, account, february) == [("CHARGE", "MR-1", "LIFE", "100.00")]
    world.do("InstructRollOn", member_record="MR-1", decisions=[{"transaction_id": "LATER", "action": "ROLL_ON"}])
    assert account_now(world, account)["balances"]["anyb"] == "20.00"
    march = generate(world, account)
    assert sorted(lines(world, account, march)) == [
        ("CHARGE", "MR-1", "LIFE", "120.00"),
        ("RETRO", "MR-1", "LIFE", "10.00"),
        ("RETRO", "MR-1", "LIFE", "10.00"),
    ]
    world.check(account)
    world.verify()
