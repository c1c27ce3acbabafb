"""The version that a user saw is held against what a command is about, whichever command it is (PLT-020)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.billing import generate, pay
from tests.scenarios.conftest import World
from tests.scenarios.premiums import given, life

pytestmark = pytest.mark.rule("PLT-020")

_SEEN = """query ($a: String!, $m: String!) {
  billingAccount(number: $a) { version } memberRecord(number: $m) { version } }"""
_SETUPS = "query ($a: String!) { billingAccount(number: $a) { setups } }"


def _commands(account: str, policy: str, setup: str, dead_letter: str) -> list[tuple[str, dict[str, Any]]]:
    """Commands about objects that are there, none of them on its own behalf refused for a member of its payload."""
    schedule = {"frequency": "MONTHLY", "due_day_mode": "CALENDAR_DAY", "due_days": [15]}
    transaction = {"member_record": "MR-1", "transaction_id": "TX-9", "effective_date": "2025-06-01"}
    member = {"member_record": "MR-1"}
    return [
        ("ActivateBillingAccount", {"account": account}),
        ("CloseBillingAccount", {"account": account, "reason": "Sold"}),
        ("ReopenBillingAccount", {"account": account}),
        ("UpdateInvoicePreferences", {"account": account, "delivery_method": "EMAIL"}),
        ("CreateHold", {"account": account, "type": "INVOICE", "reason": "Audit"}),
        ("ConfigureInvoicingSchedule", {"account": account, "schedule": schedule}),
        ("SetInvoicingStartDate", {"account": account, "date": "2025-03-01"}),
        ("AssignBillingCalendar", {"account": account, "calendar": "US"}),
        ("GenerateInvoice", {"account": account, "confirmed": True}),
        ("ApplyPayment", {"account": account, "amount": "10.00", "method": "CASH"}),
        ("CreateInternalPayment", {"account": account, "amount": "10.00", "subtype": "APL"}),
        ("CreateBillingCustomer", {"reference": "C-9", "kind": "ORGANIZATION", "legal_name": "Mill"}),
        ("CreateMasterPolicyProduct", _product("MP-9")),
        ("StartBillingSetup", _setup(policy)),
        ("SaveBillingSetup", {"setup_ref": setup, "entries": [{"account": account}]}),
        ("AssignEntryAccount", {"setup_ref": setup, "account": account}),
        ("IssueBillingSetup", {"setup_ref": setup}),
        ("DiscardBillingSetup", {"setup_ref": setup}),
        ("StartBillingSetupUpdate", {"master_policy": policy, "effective_date": "2025-06-01"}),
        ("CreateBillingCalendar", _calendar("CA")),
        ("UpdateBillingCalendar", _calendar("US")),
        ("DeactivateBillingCalendar", {"name": "US"}),
        ("SetDefaultBillingCalendar", {"name": "US"}),
        ("DefineGenerationRule", {"calendar": "US", "number_of_days_ahead": 20}),
        ("SetInstallmentDueDays", {"account": account, "entries": [{"plan_type": "MONTHLY", "value": 15}]}),
        ("ConfirmPayrollCalendar", {"account": account, "payroll_frequency": "WEEKLY"}),
        ("DiscardDeadLetter", {"item": dead_letter, "reason": "sent by mistake"}),
        ("ApplyNewBusiness", {**transaction, "master_policy": policy, "amounts": life("1200.00")}),
        ("ApplyAmendment", {**transaction, "kinds": ["GENERAL"], "amounts": life("1320.00")}),
        ("ApplyCancellation", transaction),
        ("RescindCancellation", transaction),
        ("ApplyReinstatement", transaction),
        ("ApplyRenewal", {**transaction, "amounts": life("1320.00")}),
        ("StopBilling", transaction),
        ("ResumeBilling", transaction),
        ("ApplyPremiumWaiver", {**transaction, "source": "CLAIMS"}),
        ("EndPremiumWaiver", transaction),
        ("ReturnMemberToGroup", transaction),
        ("MoveMemberToIndividualDirect", {**transaction, "type": "CONTINUATION"}),
        ("ApplyEmploymentChange", {**transaction, "location": "C-101"}),
        ("InstructRollOn", {**member, "decisions": [{"transaction_id": "TX-1", "action": "DROP"}]}),
        ("CleanUpMemberInvoices", {**member, "account": account, "confirmed": True}),
        ("ApplyMasterPolicyTransaction", _of_policy(policy)),
    ]


def _calendar(name: str) -> dict[str, Any]:
    free = {"holidays": [], "working_weekends": [], "weekend_days": [6, 7]}
    return {"name": name, "execution_time": "06:00", **free}


def _product(policy: str) -> dict[str, Any]:
    kind = {"product": "GROUP-LIFE", "line_of_business": "LIFE", "bill_type": "LIST_BILL", "currency": "USD"}
    return {"master_policy": policy, "sponsor": "C-1", "effective_date": "2025-01-01", **kind}


def _setup(policy: str) -> dict[str, Any]:
    kind = {"bill_type": "LIST_BILL", "allocation_mode": "TRUE_GROUP", "setup_type": "SINGLE_BILL"}
    return {"master_policy": policy, **kind}


def _of_policy(policy: str) -> dict[str, Any]:
    return {"master_policy": policy, "transaction_id": "MT-9", "type": "CANCELLATION", "effective_date": "2025-06-01"}


def test_a_command_about_a_version_that_is_not_the_present_one_is_refused_before_any_rule(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    [setup] = world.query(_SETUPS, a=account)["billingAccount"]["setups"]
    kept = given("ApplyAmendment", world, "MR-7", "2025-02-01", kinds=["GENERAL"], amounts=life("1.00"))
    before = world.head()
    wrong = {}
    for name, payload in _commands(account, policy, setup, kept["dead_letter"]):
        roles = ("OPS",) if name == "DiscardDeadLetter" else ()
        response = world.send(name, roles=roles, envelope={"expected_version": 999_999}, **payload)
        problems = response.json().get("problems", [])
        params = [one["params"] for one in problems if one["code"] == "CONCURRENT_CHANGE"]
        if len(params) != 1 or params[0]["current_version"] == 999_999:
            wrong[name] = response.json()
    assert wrong == {}
    assert world.head() == before


def test_a_version_that_cannot_be_compared_is_not_passed_over(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    before = world.head()
    for name, payload in (("RecalculateAnyb", {"accounts": [account]}), ("ExpirePremiumWaivers", {"account": account})):
        for dry_run in (False, True):
            envelope = {"expected_version": 3, "dry_run": dry_run}
            response = world.send(name, roles=("OPS", "SUP", "POL"), envelope=envelope, **payload)
            assert response.status_code == 400, response.text
            [problem] = response.json()["problems"]
            assert (problem["code"], problem["pointer"]) == ("REQUEST_INVALID", "/expected_version")
        assert world.send(name, roles=("OPS", "SUP", "POL"), envelope={"expected_version": 0}, **payload).is_success
    assert world.head() == before


def test_of_two_users_who_saw_the_same_version_the_second_is_refused(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    seen = world.query(_SEEN, a=account, m="MR-1")
    member = {"expected_version": seen["memberRecord"]["version"]}
    first, second = (
        {"member_record": "MR-1", "transaction_id": f"TX-{day}", "effective_date": day, "kinds": ["GENERAL"]}
        for day in ("2025-03-01", "2025-05-01")
    )
    assert world.send("ApplyAmendment", envelope=member, amounts=life("1320.00"), **first).status_code == 200
    before = world.head()
    response = world.send("ApplyAmendment", envelope=member, amounts=life("1440.00"), **second)
    assert (response.status_code, response.json()["code"]) == (409, "CONCURRENT_CHANGE")
    assert response.json()["problems"][0]["params"] == {
        "expected_version": member["expected_version"],
        "current_version": world.query(_SEEN, a=account, m="MR-1")["memberRecord"]["version"],
    }
    assert world.head() == before
    held = {"expected_version": seen["billingAccount"]["version"]}
    hold = {"account": account, "type": "INVOICE", "reason": "Audit"}
    assert [world.send("CreateHold", envelope=held, **hold).status_code for _ in range(2)] == [200, 409]


def test_a_waiver_for_all_policies_of_a_person_expects_the_version_of_the_named_record_alone(world: World) -> None:
    world.on("2024-12-20")
    _, policy = world.group(premium_waiver_source="CLAIMS")
    for record in ("MR-1", "MR-2"):
        world.member(policy, record, customer="P-1")
    given("ApplyAmendment", world, "MR-1", "2025-02-01", kinds=["GENERAL"], amounts=life("1320.00"))
    versions = world.query(
        '{ a: memberRecord(number: "MR-1") { version } b: memberRecord(number: "MR-2") { version } }'
    )
    assert versions["a"]["version"] != versions["b"]["version"]
    response = world.send(
        "ApplyPremiumWaiver",
        envelope={"expected_version": versions["a"]["version"]},
        member_record="MR-1",
        transaction_id="W-1",
        waiver_id="W-1",
        effective_date="2025-04-01",
        source="CLAIMS",
        apply_to_all_policies=True,
    )
    assert response.status_code == 200, response.text
    assert [one["member_record"] for one in response.json()["result"]["applied_to"]] == ["MR-2"]


def test_invoices_and_whole_payments_are_held_against_the_version_too(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    invoice = generate(world, account)
    payment = str(pay(world, account, "50.00", "1")["record"])
    world.do("DiscardInvoice", invoice=invoice, reason="Rates", confirmed=True)
    before = world.head()
    reason = {"payment": payment, "reason": "MISDIRECTED"}
    wrong = {}
    for name, payload in (
        ("RegenerateInvoice", {"invoice": invoice, "confirmed": True}),
        ("ReversePayment", {"payment": payment, "reason": "DUPLICATE"}),
        ("DeclinePayment", {"payment": payment, "reason": "INSUFFICIENT_FUNDS"}),
        ("SuspendPayment", reason),
        ("ReleaseSuspendedPayment", {"payment": payment, "targets": [{"account": account, "amount": "50.00"}]}),
    ):
        response = world.send(name, envelope={"expected_version": 1}, **payload)
        if response.json().get("code") != "CONCURRENT_CHANGE":
            wrong[name] = response.json()
    assert wrong == {}
    assert world.head() == before
    version = len(world.system.log.streams([f"payment:{payment}"]))
    assert world.send("SuspendPayment", envelope={"expected_version": version}, **reason).status_code == 200
