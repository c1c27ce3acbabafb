"""When an account has to pay next: what is open first, else the period to bill next (CAL-081, CAL-082)."""

from __future__ import annotations

import pytest

from domain.accounts.account import NextPaymentDueDateChanged
from tests.scenarios.billing import discard, generate, pay_invoice
from tests.scenarios.conftest import World
from tests.scenarios.premiums import given, individual_account

_NEXT = "query ($a: String!) { billingAccount(number: $a) { nextPaymentDueDate } }"
_FIFTEENTH = {"frequency": "MONTHLY", "due_day_mode": "CALENDAR_DAY", "due_days": [15]}


def next_due(world: World, account: str) -> str | None:
    found: str | None = world.query(_NEXT, a=account)["billingAccount"]["nextPaymentDueDate"]
    return found


@pytest.mark.rule("CAL-081", "CAL-082", "CAL-E17")
def test_the_date_moves_with_what_is_issued_paid_reversed_and_discarded(world: World) -> None:
    world.on("2023-12-20")
    world.calendar()
    sponsor = world.sponsor()
    account = world.account(sponsor, schedule=_FIFTEENTH, in_single_bill_setup=True)
    policy = world.policy(sponsor, start="2024-01-01")
    assert next_due(world, account) is None
    world.setup(policy, account)
    assert next_due(world, account) == "2024-01-15"
    world.member(policy, "MR-1", start="2024-01-01")
    invoices = [generate(world, account) for _ in range(3)]
    payments = {}
    for number in (0, 2):
        payments[number] = pay_invoice(world, account, invoices[number], "100.00", str(number))["record"]
    assert next_due(world, account) == "2024-02-15"
    pay_invoice(world, account, invoices[1], "100.00", "1")
    assert next_due(world, account) == "2024-04-15"
    world.do("ReversePayment", payment=payments[0], reason="NSF")
    assert next_due(world, account) == "2024-01-15"
    discard(world, invoices[0])
    assert next_due(world, account) == "2024-01-15"
    world.check(account)


@pytest.mark.rule("CAL-081", "CAL-082")
def test_the_date_follows_the_start_and_the_schedule_and_is_told_when_it_changes(world: World) -> None:
    world.on("2024-12-20")
    world.calendar()
    sponsor = world.sponsor()
    account = world.account(sponsor, schedule=_FIFTEENTH, in_single_bill_setup=True)
    policy = world.policy(sponsor)
    world.setup(policy, account)
    assert next_due(world, account) == "2025-01-15"
    world.do("ConfigureInvoicingSchedule", account=account, schedule={"due_days": [20]})
    assert next_due(world, account) == "2025-01-20"
    world.do("SetInvoicingStartDate", account=account, date="2024-12-01")
    assert next_due(world, account) == "2024-12-20"
    world.member(policy, "MR-1")
    world.member(policy, "MR-2")
    told = [(one.old, one.new) for one in world.events(NextPaymentDueDateChanged) if one.number == account]
    assert [str(new) for _, new in told] == ["2025-01-15", "2025-01-20", "2024-12-20"]
    direct = individual_account(world)
    assert next_due(world, direct) is None
    move = {"type": "PORTABILITY", "account": direct, "modality": "MONTHLY"}
    given("MoveMemberToIndividualDirect", world, "MR-1", "2025-03-01", **move)
    assert next_due(world, direct) == "2025-03-01"
