"""The check before a purchase and the transaction itself are judged by one validator (MEM-084 to MEM-090)."""

from __future__ import annotations

from typing import Any

import pytest

from domain.products.master_policy import MemberValidationFailed
from tests.scenarios.conftest import World
from tests.scenarios.test_members_employment_and_moves import locations

DAY = "2025-03-01"


def checked(world: World, policy: str, **members: Any) -> list[str]:
    """The reasons of a blocked purchase; none: it is authorised."""
    answer = world.do("CheckMemberPurchase", master_policy=policy, effective_date=DAY, **members)
    assert answer["status"] == ("BLOCKED" if answer["reasons"] else "AUTHORIZED")
    assert all(one["hint"] for one in answer["reasons"])
    return [one["code"] for one in answer["reasons"]]


def sent(world: World, policy: str, record: str, **members: Any) -> list[str]:
    """The reasons for which New Business is kept as a dead letter; none: it is applied."""
    result = world.member(policy, record, DAY, **members)
    return [one["code"] for one in result.get("reasons", ())]


def at(*units: str) -> dict[str, Any]:
    return {"employments": [{"location": unit} for unit in units]}


@pytest.mark.rule("MEM-084", "MEM-086", "MEM-087", "MEM-090")
def test_employment_and_account_are_looked_for_first(world: World) -> None:
    world.on("2025-02-20")
    accounts, policy = locations(world, "L-1", "L-2")
    head = world.head()
    answer = world.do("CheckMemberPurchase", master_policy=policy, effective_date=DAY, **at("L-1"))
    assert (answer["status"], answer["account"]) == ("AUTHORIZED", accounts["L-1"])
    assert world.head() == head  # an authorised purchase leaves nothing behind
    assert checked(world, policy, **at("L-9")) == sent(world, policy, "MR-9", location="L-9")
    assert checked(world, policy, **at("L-9")) == ["EMPLOYER_BILLING_MISSING"]
    assert checked(world, policy, **at("L-1", "L-2")) == ["MULTIPLE_EMPLOYMENTS"]
    # One that ended, and one that has not begun, are none.
    employments = [
        {"location": "L-2", "end_date": DAY},
        {"location": "L-1", "effective_date": DAY},
        {"location": "L-9", "effective_date": "2025-03-02"},
    ]
    assert checked(world, policy, employments=employments) == []
    assert world.refused("CheckMemberPurchase", master_policy="MP-9", effective_date=DAY) == (
        404, ["MASTER_POLICY_NOT_FOUND"],
    )  # fmt: skip
    # Only the reasons are told to others; no record and no message is kept.
    failed = world.events(MemberValidationFailed)
    assert [one.reasons for one in failed] == [("EMPLOYER_BILLING_MISSING",)] * 2 + [("MULTIPLE_EMPLOYMENTS",)]
    found = world.query("{ memberRecords { totalCount } deadLetters { totalCount } }", roles=("AUD",))
    assert (found["memberRecords"]["totalCount"], found["deadLetters"]["totalCount"]) == (0, 1)


@pytest.mark.rule("MEM-084", "MEM-088")
def test_an_individual_account_needs_the_payroll_calendar_of_the_member_s_frequency(world: World) -> None:
    world.on("2025-02-20")
    world.calendar()
    policy = world.policy(world.sponsor())
    account = world.account("C-1", in_single_bill_setup=True)
    monthly = {"account": account, "payroll_frequency": "MONTHLY"}
    world.do("DefinePayrollCalendar", **monthly, start_date="2025-01-01", payroll_days=[1])
    world.do("ConfirmPayrollCalendar", **monthly)
    world.setup(policy, account, allocation_mode="INDIVIDUAL")
    assert checked(world, policy, payroll_frequency="WEEKLY") == ["PAYROLL_CALENDAR_MISSING"]
    assert sent(world, policy, "MR-1", payroll_frequency="WEEKLY") == ["PAYROLL_CALENDAR_MISSING"]
    # Without a frequency there is no calendar to miss, and nothing that gives the modality.
    assert checked(world, policy) == sent(world, policy, "MR-2") == ["MODALITY_UNRESOLVED"]
    assert checked(world, policy, payroll_frequency="MONTHLY") == []
    assert sent(world, policy, "MR-3", payroll_frequency="MONTHLY") == []
