"""Periods that get no invoice of their own: nobody was covered, or all that is due is nothing. The account goes on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.billing import amend, generate, lines
from tests.scenarios.conftest import World
from tests.scenarios.jobs import run_job
from tests.scenarios.premiums import given, individual_account

_PERIODS = """
query ($account: String!) { invoicingPeriods(account: $account, first: 6) { from status invoice } }
"""
_INVOICES = """
query ($account: String!) { invoices(account: $account) { nodes { number periodStart } } }
"""


def invoiced(world: World, account: str) -> list[str]:
    """The first days of the periods that have an invoice, as the account's invoices tell."""
    return [one["periodStart"] for one in world.query(_INVOICES, account=account)["invoices"]["nodes"]]


def statuses(world: World, account: str) -> dict[str, str]:
    return {one["from"]: one["status"] for one in world.query(_PERIODS, account=account)["invoicingPeriods"]}


def refused(world: World, account: str, **members: Any) -> list[str]:
    before = world.head()
    codes: list[str] = world.refused("GenerateInvoice", account=account, confirmed=True, **members)[1]
    assert world.head() == before
    return codes


@pytest.mark.rule("CAL-050", "INV-010", "INV-030", "INV-032", "PRM-122")
def test_periods_before_the_first_member_do_not_stand_in_the_way(world: World) -> None:
    world.on("2025-01-20")
    account, policy = world.group()
    world.member(policy, "MR-1", start="2025-03-01")
    # March is not to be generated before 2025-02-14.
    assert refused(world, account) == ["NO_INVOICE_REQUIRED"]
    assert refused(world, account, period_start="2025-03-01") == ["PERIOD_NOT_ELIGIBLE"]
    world.on("2025-02-14")
    assert refused(world, account, period_start="2025-02-01") == ["PERIOD_NOT_ELIGIBLE"]
    world.do("GenerateInvoice", account=account, period_start="2025-03-01", confirmed=True)
    assert invoiced(world, account) == ["2025-03-01"]
    world.on("2025-03-17")
    generate(world, account)
    assert invoiced(world, account) == ["2025-03-01", "2025-04-01"]
    # Somebody turns out to have been covered in January: it is due with the next invoice, once.
    world.member(policy, "MR-2", start="2025-01-01")
    world.on("2025-04-16")
    may = generate(world, account)
    assert lines(world, account, may) == [
        ("CHARGE", "MR-1", "LIFE", "100.00"),
        ("CHARGE", "MR-2", "LIFE", "100.00"),
        *[("CHARGE", "MR-2", "LIFE", "100.00")] * 4,
    ]
    world.on("2025-05-16")
    june = generate(world, account)
    assert [line[3] for line in lines(world, account, june)] == ["100.00", "100.00"]
    world.check(account)
    world.verify()


@pytest.mark.rule("CAL-050", "INV-090")
def test_the_job_goes_on_behind_months_in_which_nobody_was_covered(world: World) -> None:
    world.on("2025-01-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    generate(world, account)
    given("ApplyCancellation", world, "MR-1", "2025-02-01")
    world.on("2025-02-20")
    assert refused(world, account) == ["NO_INVOICE_REQUIRED"]
    given("ApplyReinstatement", world, "MR-1", "2025-04-01")
    assert run_job(world)["skipped"] == {"NO_INVOICE_REQUIRED": 1}
    world.on("2025-03-17")
    assert run_job(world)["done"] == 1
    assert invoiced(world, account) == ["2025-01-01", "2025-04-01"]
    assert run_job(world)["skipped"] == {"NOT_DUE": 1}
    world.check(account)


@pytest.mark.rule("INV-031", "INV-032", "PRM-126")
def test_a_period_passed_over_for_nothing_due_is_billed_later_and_once(world: World) -> None:
    """The individual direct half of INV-E13, and what becomes due for such a period."""
    world.on("2024-12-20")
    _, policy = world.group()
    world.member(policy, "MR-1")
    direct = individual_account(world)
    given(
        "MoveMemberToIndividualDirect", world, "MR-1", "2025-02-01",
        type="PORTABILITY", account=direct, modality="MONTHLY",
    )  # fmt: skip
    generate(world, direct)
    given("StopBilling", world, "MR-1", "2025-03-01", nonforfeiture="REDUCED_PAID_UP")
    passed = world.do("GenerateInvoice", account=direct, confirmed=True)
    assert (passed["period_start"], passed["status"]) == ("2025-03-01", "SKIPPED_ZERO")
    # The stop turns out to have ended in the middle of March, after April too was passed over.
    assert world.do("GenerateInvoice", account=direct, confirmed=True)["period_start"] == "2025-04-01"
    given("ResumeBilling", world, "MR-1", "2025-03-16", reason="PAYMENT_RECEIVED")
    may = generate(world, direct)
    # 16 days of March at 1,200.00 / 365, and April.
    assert [line[3] for line in lines(world, direct, may)] == ["100.00", "52.60", "100.00"]
    assert [line[3] for line in lines(world, direct, generate(world, direct))] == ["100.00"]
    # What is corrected once more for March is a retroactive line, once.
    amend(world, "MR-1", "2025-03-16", ("LIFE", "2400.00"))
    july = generate(world, direct)
    assert sorted((line[0], line[3]) for line in lines(world, direct, july)) == [
        ("CHARGE", "200.00"), ("RETRO", "100.00"), ("RETRO", "100.00"), ("RETRO", "100.00"), ("RETRO", "52.61"),
    ]  # fmt: skip
    assert [line[3] for line in lines(world, direct, generate(world, direct))] == ["200.00"]
    assert statuses(world, direct) == {
        "2025-02-01": "INVOICED", "2025-03-01": "PLANNED", "2025-04-01": "PLANNED", "2025-05-01": "INVOICED",
        "2025-06-01": "INVOICED", "2025-07-01": "INVOICED",
    }  # fmt: skip
    world.check(direct)
    world.verify()
