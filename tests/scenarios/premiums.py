"""Short words for what premium scenarios say and see: policy transactions in, versions, charges and ANYB out."""

from __future__ import annotations

import itertools
from typing import Any

from tests.scenarios.billing import generate
from tests.scenarios.conftest import World

_ids = itertools.count(1)

_ANYB = """query ($m: String!) { memberAnyb(memberRecord: $m) { held total { amount } items {
  account modalStart kind sequence sources item { coverage coverageClass }
  invoiced { amount } corrected { amount } charge { amount } waiver { amount } amount { amount } } } }"""
_CHARGES = """query ($m: String!, $a: String!, $first: Date!, $last: Date!) {
  modalCharges(memberRecord: $m, account: $a, from: $first, to: $last) {
    periodStart periodEnd coveredFrom coveredTo days whole sequence modality item { coverage coverageClass }
    gross { amount } waiver { amount } net { amount } } }"""
_VERSIONS = """query ($m: String!) {
  memberRecord(number: $m) { state badges locked versions { number status type transactionId seasonal } }
  memberTransactions(memberRecord: $m, first: 100) { nodes { transactionId type status version rolledOnFrom } } }"""


def given(name: str, world: World, member: str, day: str | None, **members: Any) -> dict[str, Any]:
    """A policy transaction that is accepted, under an id of its own unless one is given."""
    return world.do(name, **_stated(member, day, members))


def told(name: str, world: World, member: str, day: str | None, **members: Any) -> list[str]:
    """A policy transaction that is refused; its codes."""
    return world.refused(name, **_stated(member, day, members))[1]


def _stated(member: str, day: str | None, members: dict[str, Any]) -> dict[str, Any]:
    stated = {"transaction_id": f"TX-{next(_ids)}", "member_record": member, **members}
    return stated if day is None else {"effective_date": day, **stated}


def life(annual: str, **members: Any) -> list[dict[str, Any]]:
    """The annual amount of LIFE."""
    return [{"coverage": "LIFE", "annual_amount": annual, **members}]


def decide(world: World, member: str, *decisions: tuple[str, str, str | None]) -> dict[str, Any]:
    """Decisions on backed-off transactions: (transaction, ROLL_ON or DROP, annual amount of LIFE where re-rated)."""
    return world.do("InstructRollOn", member_record=member, decisions=decisions_of(*decisions))


def decisions_of(*decisions: tuple[str, str, str | None]) -> list[dict[str, Any]]:
    return [
        {"transaction_id": one, "action": action, **({"amounts": life(annual)} if annual else {})}
        for one, action, annual in decisions
    ]


def invoiced(world: World, account: str, count: int) -> list[str]:
    """The next invoices of the account, oldest first."""
    return [generate(world, account) for _ in range(count)]


def anyb_items(world: World, member: str) -> list[dict[str, Any]]:
    """What is not billed yet of a record, charge by charge."""
    items: list[dict[str, Any]] = world.query(_ANYB, m=member)["memberAnyb"]["items"]
    return items


def anyb(world: World, member: str) -> str:
    """What is not billed yet of a record over all its accounts."""
    return str(world.query(_ANYB, m=member)["memberAnyb"]["total"]["amount"])


def anyb_by_period(world: World, member: str, account: str | None = None) -> dict[str, str]:
    """What is not billed yet by modal period; a period has one charge."""
    found = [one for one in anyb_items(world, member) if account in (None, one["account"])]
    by_period = {one["modalStart"]: one["amount"]["amount"] for one in found}
    assert len(by_period) == len(found)
    return by_period


def anyb_by_account(result: dict[str, Any]) -> dict[str, str]:
    """What is not billed yet by account, as a command answers it."""
    return {one["account"]: one["amount"]["amount"] for one in result["anyb"]}


def charge_items(world: World, member: str, account: str, first: str, last: str) -> list[dict[str, Any]]:
    """The charges of the modal periods of some days."""
    answer = world.query(_CHARGES, m=member, a=account, first=first, last=last)
    found: list[dict[str, Any]] = answer["modalCharges"]
    return found


def charges(world: World, member: str, account: str, first: str, last: str) -> list[tuple[str, str]]:
    """The modal periods of some days with their net charge."""
    found = charge_items(world, member, account, first, last)
    return [(one["periodStart"], one["net"]["amount"]) for one in found]


def net(world: World, member: str, account: str, first: str, last: str) -> list[str]:
    """The net charges of the modal periods of some days."""
    return [amount for _, amount in charges(world, member, account, first, last)]


def versions(world: World, member: str) -> dict[int, str]:
    """Versions of the modal premium with their status."""
    found = world.query(_VERSIONS, m=member)["memberRecord"]["versions"]
    return {one["number"]: one["status"] for one in found}


def statuses(world: World, member: str) -> dict[str, str]:
    """Transactions with their status."""
    found = world.query(_VERSIONS, m=member)["memberTransactions"]["nodes"]
    return {one["transactionId"]: one["status"] for one in found}


def record(world: World, member: str) -> dict[str, Any]:
    """The record as its screen shows it: state, badges, versions."""
    found: dict[str, Any] = world.query(_VERSIONS, m=member)["memberRecord"]
    return found


def second_account(world: World, sponsor: str = "C-1", **members: Any) -> str:
    """A further account of the sponsor, billed monthly on the first."""
    return world.account(sponsor, **members)


def individual_account(world: World, person: str = "P-MR-1", **members: Any) -> str:
    """An account of the insured person, for a move to individual direct billing."""
    world.do(
        "CreateBillingCustomer",
        reference=person,
        kind="INDIVIDUAL",
        role="INSURED",
        first_name="Ada",
        last_name="Miller",
        email="ada@miller.example",
        address={"line1": "2 Mill Lane", "city": "Austin", "state": "TX", "postal_code": "78701", "country": "US"},
    )
    return world.account(person, **members)
