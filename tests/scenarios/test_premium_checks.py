"""Working premium out again, and what changes of an account mean for the members billed to it."""

from __future__ import annotations

import pytest

from tests.scenarios.conftest import World

ANYB = """query ($m: String!, $a: String!) { memberAnyb(memberRecord: $m) { total { amount } calculatedAt }
  accountAnyb(account: $a) { total { amount } members { nodes { memberRecord total { amount } } } } }"""
HISTORY = """query ($m: String!) { modalPremiumHistory(memberRecord: $m) { nodes { current effectiveDate modality
  modalAmount { amount } } } }"""


@pytest.mark.rule("PRM-123")
def test_recalculation_without_new_events_changes_nothing(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    world.do("GenerateInvoice", account=account, confirmed=True)
    world.do(
        "ApplyAmendment", transaction_id="A-1", member_record="MR-1", effective_date="2025-01-01", kinds=["GENERAL"],
        amounts=[{"coverage": "LIFE", "annual_amount": "1320.00"}],
    )  # fmt: skip
    before = world.on("2024-12-21").head()
    again = world.do("RecalculateAnyb", accounts=[account])
    assert (again["members"], again["changed"]) == (1, [])
    assert world.head() == before
    anyb = world.query(ANYB, m="MR-1", a=account)
    assert [anyb[of]["total"]["amount"] for of in ("memberAnyb", "accountAnyb")] == ["10.00", "10.00"]
    assert anyb["accountAnyb"]["members"]["nodes"] == [{"memberRecord": "MR-1", "total": {"amount": "10.00"}}]
    assert anyb["memberAnyb"]["calculatedAt"].startswith("2024-12-21T12:00:00")
    assert world.refused("RecalculateAnyb") == (400, ["REQUEST_INVALID"])
    assert world.refused("RecalculateAnyb", accounts=["LB9"]) == (404, ["BILLING_ACCOUNT_NOT_FOUND"])


@pytest.mark.rule("PRM-160")
def test_stored_premiums_are_what_the_transactions_give(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    for record in ("MR-1", "MR-2"):
        world.member(policy, record)
    for transaction, day in (("A-2", "2025-03-16"), ("A-1", "2025-02-01")):
        world.do(
            "ApplyAmendment", transaction_id=transaction, member_record="MR-1", effective_date=day, kinds=["GENERAL"],
            amounts=[{"coverage": "LIFE", "annual_amount": "1320.00"}],
        )  # fmt: skip
    world.do("InstructRollOn", member_record="MR-1", decisions=[{"transaction_id": "A-2", "action": "ROLL_ON"}])
    found = world.do("ValidateModalAmounts", accounts=[account])
    assert (found["members"], found["count"], found["discrepancies"]) == (2, 0, [])


@pytest.mark.rule("CAL-017", "PRM-073")
def test_members_follow_the_frequency_of_their_account(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    changed = world.do(
        "ConfigureInvoicingSchedule", account=account,
        schedule={"frequency": "QUARTERLY", "due_day_mode": "CALENDAR_DAY", "due_days": [1]},
    )  # fmt: skip
    assert changed["members"] == 1
    rows = world.query(HISTORY, m="MR-1")["modalPremiumHistory"]["nodes"]
    newest = next(row for row in rows if row["current"])
    assert (newest["modality"], newest["modalAmount"]["amount"]) == ("QUARTERLY", "300.00")
    invoice = world.do("GenerateInvoice", account=account, confirmed=True)
    assert (invoice["period_start"], invoice["period_end"]) == ("2025-01-01", "2025-03-31")
    assert invoice["billed"]["amount"] == "300.00"


@pytest.mark.rule("CAL-121", "CAL-123")
def test_payment_plans_report_everything_wrong_at_once(world: World) -> None:
    plan = {
        "code": "M12", "uri": "urn:plan:m12", "description": "Monthly", "type": "MONTHLY", "frequency": "MONTHLY",
        "max_installments": 12, "due_day_type": "DAY_OF_MONTH", "effective_date": "2025-01-01",
    }  # fmt: skip
    assert world.do("CreatePaymentPlan", **plan)["code"] == "M12"
    status, codes = world.refused(
        "CreatePaymentPlan", **{**plan, "code": "m12", "max_installments": 13, "effective_date": "2025-02-30"}
    )
    assert (status, sorted(codes)) == (
        409,
        ["PLAN_CODE_DUPLICATE", "PLAN_COUNT_OUT_OF_RANGE", "PLAN_DATE_INVALID", "PLAN_URI_DUPLICATE"],
    )
    world.do("ExpirePaymentPlan", code="M12", expiration_date="2026-01-01")
    assert world.refused("ExpirePaymentPlan", code="M12", expiration_date="2027-01-01")[1] == ["PLAN_DATE_INVALID"]
    assert world.refused("ExpirePaymentPlan", code="X", expiration_date="2027-01-01")[1] == ["ENTITY_NOT_FOUND"]


@pytest.mark.rule("CAL-110", "CAL-112")
def test_a_payroll_calendar_is_defined_reviewed_and_confirmed(world: World) -> None:
    world.on("2024-12-20")
    world.calendar()
    account = world.account(world.sponsor())
    pattern = {"payroll_frequency": "SEMI_MONTHLY", "start_date": "2025-01-15", "payroll_days": [15, 31]}
    [draft] = world.do("DefinePayrollCalendar", account=account, **pattern)["calendars"]
    assert draft["status"] == "DRAFT"
    assert draft["dates"][:4] == ["2025-01-15", "2025-01-31", "2025-02-15", "2025-02-28"]
    assert world.refused("DefinePayrollCalendar", account=account, **pattern)[1] == ["PAYROLL_CALENDAR_DUPLICATE"]
    [confirmed] = world.do("ConfirmPayrollCalendar", account=account, payroll_frequency="SEMI_MONTHLY")["calendars"]
    assert confirmed["status"] == "CONFIRMED"
    assert world.refused("ConfirmPayrollCalendar", account=account, payroll_frequency="SEMI_MONTHLY")[1] == [
        "STATE_INVALID"
    ]
