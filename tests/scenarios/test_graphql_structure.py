"""Calendars, periods, customers, policies and set-ups over GraphQL."""

from __future__ import annotations

import pytest

from tests.scenarios.conftest import World

_STRUCTURE = """
query ($account: String!, $policy: String!, $setup: String!) {
  billingCalendars { name default numberOfDaysAhead accounts isWorkingDay(day: "2025-03-01") }
  invoicingSchedule(account: $account) { frequency dueDays invoicingStart version }
  schedulePreview(account: $account, periods: 3) { number from to status computedDueDate generationDate }
  invoicingPeriods(account: $account, first: 3) { number status invoice late }
  invoicingPeriodAt(account: $account, day: "2025-02-14") { number from to }
  billingCustomer(reference: "C-1") { name role accounts { number } address { city } }
  masterPolicy(number: $policy) { setup rollOnMode transactions { type } }
  billingSetup(setupRef: $setup) { issuedRevision entries { key account complete } }
  consolidatedBilling(customer: "C-1") { accounts { number balances { accountBalance { amount } } } }
  deadLetters { totalCount }
  payrollCalendars(account: $account) { number status }
  paymentPlans { code }
  installmentSchedule(account: $account) { totalCount }
  projections { name state live }
}
"""


@pytest.mark.rule("CAL-049", "CAL-068")
def test_the_structure_of_a_group(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    world.do("GenerateInvoice", account=account, confirmed=True)
    found = world.query(_STRUCTURE, account=account, policy=policy, setup="SET-00000001")
    assert found["billingCalendars"] == [
        {"name": "US", "default": True, "numberOfDaysAhead": 15, "accounts": 1, "isWorkingDay": False}
    ]
    assert found["schedulePreview"][0] == {
        "number": 2,
        "from": "2025-02-01",
        "to": "2025-02-28",
        "status": "PLANNED",
        "computedDueDate": "2025-02-01",
        "generationDate": "2025-01-17",
    }
    assert [one["status"] for one in found["invoicingPeriods"]] == ["INVOICED", "PLANNED", "PLANNED"]
    assert found["invoicingPeriodAt"] == {"number": 2, "from": "2025-02-01", "to": "2025-02-28"}
    assert found["billingCustomer"]["address"] == {"city": "Austin"}
    assert found["billingSetup"]["entries"] == [{"key": "sponsor", "account": account, "complete": True}]
    assert found["consolidatedBilling"]["accounts"][0]["balances"]["accountBalance"]["amount"] == "100.00"
    assert {one["state"] for one in found["projections"]} == {"RUNNING"}


_FOUND = """
query ($text: String!, $after: String) {
  findMembers(text: $text, first: 2, after: $after) { totalCount pageInfo { endCursor hasNextPage }
    nodes { memberRecord lastName firstName } }
  findAccounts(name: "northwind") { nodes { number name } }
}
"""


def test_people_and_accounts_are_found_by_a_part_of_their_names(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    for record, first, last in (
        ("MR-1", "Bo", "Smith"),
        ("MR-2", "Ada", "Smithers"),
        ("MR-3", "Al", "Smith"),
        ("MR-4", "Cy", "Jones"),
    ):
        world.member(policy, record, first_name=first, last_name=last)
    found = world.query(_FOUND, text="SMITH")
    assert found["findMembers"]["totalCount"] == 3
    assert [one["memberRecord"] for one in found["findMembers"]["nodes"]] == ["MR-3", "MR-1"]
    rest = world.query(_FOUND, text="SMITH", after=found["findMembers"]["pageInfo"]["endCursor"])["findMembers"]
    assert [one["memberRecord"] for one in rest["nodes"]] == ["MR-2"]
    assert not rest["pageInfo"]["hasNextPage"]
    assert world.query(_FOUND, text="100%")["findMembers"]["totalCount"] == 0
    assert [one["number"] for one in found["findAccounts"]["nodes"]] == [account]
    assert all(report.equal for report in world.system.rebuilder.verify(["search"]))
