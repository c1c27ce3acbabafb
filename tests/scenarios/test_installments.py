"""Products bought with a payment plan: their installments, the invoices that bill them, discards, money and ledger."""

from __future__ import annotations

import random
from typing import Any

import pytest

from domain.calendar.installment_schedules import InstallmentBilled, InstallmentReplaced, InstallmentSuperseded
from domain.invoices.invoice import InvoiceInitialised, InvoiceIssued
from domain.money import format_amount
from tests.scenarios.billing import (
    account_now,
    cents,
    consuming,
    discard,
    generate,
    offset_on,
    paid_on,
    pay,
    pay_invoice,
    regenerate,
    standing,
    statement,
)
from tests.scenarios.conftest import World
from tests.scenarios.jobs import run_job
from tests.scenarios.premiums import individual_account
from tests.scenarios.test_concurrency import insist, together

_READ = """
query ($account: String!) { installmentSchedule(account: $account, first: 200) { nodes {
  number product type dueDate amount { amount } billedToDate state superseded replaces replacedBy invoice
  createdAt modifiedAt parts { item amount { amount } } } } }
"""
NET = {"component": "NET", "amount": "1000.00", "currency": "USD"}


def plan(world: World, **members: Any) -> str:
    """A monthly plan of at most three installments unless told otherwise; its URI."""
    code = members.pop("code", "M3")
    world.do(
        "CreatePaymentPlan",
        **{
            "code": code, "uri": f"urn:plan:{code}", "description": "Monthly", "type": "MONTHLY",
            "frequency": "MONTHLY", "max_installments": 3, "due_day_type": "DAY_OF_MONTH",
            "effective_date": "2025-01-01", **members,
        },
    )  # fmt: skip
    return f"urn:plan:{code}"


def due_day(world: World, account: str, *days: int) -> None:
    entries = [{"plan_type": "MONTHLY", "value": day} for day in days]
    world.do("SetInstallmentDueDays", account=account, entries=entries)


def purchase(account: str, *items: dict[str, Any], **members: Any) -> dict[str, Any]:
    """The purchase of CAL-E22: NET 1000.00 for 2025-01-15 to 2026-01-15, bought on 2025-02-10."""
    period = {"start": "2025-01-15", "end": "2026-01-15", "items": list(items) or [NET]}
    return {
        "account": account,
        "product": "P1",
        "plan_uri": "urn:plan:M3",
        "transaction_date": "2025-02-10",
        "service_periods": [period],
        **members,
    }


def bought(world: World, account: str, *items: dict[str, Any], **members: Any) -> list[dict[str, Any]]:
    """The installments a purchase gave its one account."""
    result = world.do("GenerateInstallmentSchedule", **purchase(account, *items, **members))
    [schedule] = result["schedules"]
    found: list[dict[str, Any]] = schedule["installments"]
    return found


def bill(world: World, account: str, *numbers: int) -> list[dict[str, Any]]:
    """Bill installments now; the invoices."""
    result = world.do("BillInstallments", account=account, installments=list(numbers), confirmed=True)
    found: list[dict[str, Any]] = result["invoices"]
    return found


def installments(world: World, account: str) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = world.query(_READ, account=account)["installmentSchedule"]["nodes"]
    return nodes


def shown(nodes: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one.get("due_date") or one["dueDate"], one["amount"]["amount"]) for one in nodes]


@pytest.fixture
def account(world: World) -> str:
    """An active list-bill account with a member, due day 31 and the plan of three installments, on 2025-02-10."""
    world.on("2024-12-20")
    number, policy = world.group()
    world.member(policy, "MR-1")
    world.on("2025-02-10")
    plan(world)
    due_day(world, number, 31)
    return number


@pytest.mark.rule("CAL-128", "CAL-129", "CAL-130", "CAL-134", "CAL-135", "CAL-E22")
def test_a_purchase_is_answered_with_its_installments(world: World, account: str) -> None:
    answer = world.do("GenerateInstallmentSchedule", **purchase(account))
    [schedule] = answer["schedules"]
    assert (answer["product"], answer["plan"]) == ("P1", "M3")
    assert (schedule["account"], schedule["due_day"], schedule["total"]["amount"]) == (account, 31, "1000.00")
    assert shown(schedule["installments"]) == [
        ("2025-02-28", "333.34"),
        ("2025-03-31", "333.33"),
        ("2025-04-30", "333.33"),
    ]
    assert [one["billed_to_date"] for one in schedule["installments"]] == ["2025-03-31", "2025-04-30", "2026-01-15"]
    assert {one["state"] for one in schedule["installments"]} == {"UNBILLED"}
    stored = installments(world, account)
    assert shown(stored) == shown(schedule["installments"])
    assert [one["number"] for one in stored] == [1, 2, 3]
    plan(world, code="ALL", max_installments=None)
    free = bought(world, account, plan_uri="urn:plan:ALL")
    assert [one["due_date"] for one in (free[0], free[-1])] == ["2025-02-28", "2025-12-31"]
    assert len(free) == 11
    small = bought(world, account, {**NET, "amount": "200.00"})
    assert [one["amount"]["amount"] for one in small] == ["66.66", "66.67", "66.67"]
    assert [one["number"] for one in small] == [15, 16, 17]
    world.verify()


@pytest.mark.rule("CAL-126", "CAL-127", "CAL-E23")
def test_the_due_day_is_the_products_else_the_accounts_and_never_the_requests(world: World, account: str) -> None:
    late = purchase(account, transaction_date="2026-01-05")
    assert world.refused("GenerateInstallmentSchedule", **late) == (400, ["bil0002"])
    asked = purchase(account, due_day=20)
    assert world.refused("GenerateInstallmentSchedule", **asked) == (400, ["bil0040"])
    due_day(world, account)
    assert world.refused("GenerateInstallmentSchedule", **purchase(account)) == (400, ["bil0041"])
    due_day(world, account, 5, 6)
    assert world.refused("GenerateInstallmentSchedule", **purchase(account)) == (400, ["bil0041"])
    due_day(world, account, 5)
    world.do("SetParameter", name="plan.product_due_day", value=20, keys={"product": "P2"})
    of_product = bought(world, account, product="P2", transaction_date="2025-01-15")
    assert of_product[0]["due_date"] == "2025-01-20"
    assert bought(world, account, transaction_date="2025-01-15")[0]["due_date"] == "2025-02-05"
    due_day(world, account, 15)
    plan(world, code="M12", max_installments=12)
    tax = {**NET, "component": "TAX", "amount": "60.00"}
    twelve = bought(
        world, account, {**NET, "amount": "1200.00"}, tax, plan_uri="urn:plan:M12", transaction_date="2025-01-15"
    )
    assert shown(twelve) == [(f"2025-{month:02}-15", "105.00") for month in range(1, 13)]
    parts = [(one["item"], one["amount"]["amount"]) for one in twelve[3]["parts"]]
    assert parts == [("NET", "100.00"), ("TAX", "5.00")]


@pytest.mark.rule("CAL-134", "CAL-135", "CAL-136", "CAL-137", "CAL-138", "CAL-E24")
def test_an_installment_is_billed_once_and_after_a_discard_another_takes_its_place(world: World, account: str) -> None:
    bought(world, account)
    world.on("2025-02-28")
    [first] = bill(world, account, 1)
    assert first["installments"] == [1]
    assert (first["billed"]["amount"], first["due_date"], first["issue_date"]) == ("333.34", "2025-02-28", "2025-02-28")
    [initialised] = [one for one in world.events(InvoiceInitialised) if one.number == first["invoice"]]
    assert str(initialised.anniversary_date) == "2025-03-31"
    assert [one["state"] for one in installments(world, account)] == ["BILLED", "UNBILLED", "UNBILLED"]
    assert world.refused("BillInstallments", account=account, installments=[1], confirmed=True) == (
        409,
        ["INSTALLMENT_STATE_INVALID"],
    )
    discard(world, first["invoice"])
    old, new, *_ = installments(world, account)
    assert (old["number"], old["state"], old["superseded"], old["invoice"]) == (1, "BILLED", True, first["invoice"])
    assert (new["number"], new["state"], new["superseded"], new["replaces"]) == (4, "UNBILLED", False, 1)
    assert shown([new]) == [("2025-02-28", "333.34")]
    assert (old["replacedBy"], new["replacedBy"]) == (4, None)
    assert (old["createdAt"][:10], old["modifiedAt"][:10]) == ("2025-02-10", "2025-02-28")
    assert (new["createdAt"][:10], new["modifiedAt"]) == ("2025-02-28", None)
    assert (new["billedToDate"], new["type"], new["parts"]) == ("2025-03-31", old["type"], old["parts"])
    for superseded in ([1], [4, 1]):
        refused = world.refused("BillInstallments", account=account, installments=superseded, confirmed=True)
        assert refused == (409, ["INSTALLMENT_STATE_INVALID"])
    current = [one for one in installments(world, account) if not one["superseded"]]
    assert sum(cents(one["amount"]["amount"]) for one in current) == cents("1000.00")
    [again] = bill(world, account, 4)
    assert again["invoice"] != first["invoice"]
    assert account_now(world, account)["balances"]["dueAndUnpaid"] == "333.34"
    kinds = (InstallmentBilled, InstallmentSuperseded, InstallmentReplaced)
    assert [type(one).__name__ for one in world.events(*kinds)] == [
        "InstallmentBilled",
        "InstallmentSuperseded",
        "InstallmentReplaced",
        "InstallmentBilled",
    ]
    world.check(account)
    world.verify()


@pytest.mark.rule("CAL-136", "INV-140", "INV-044", "CAL-137")
def test_a_discarded_invoice_of_installments_is_regenerated_from_what_stands_for_them(
    world: World, account: str
) -> None:
    bought(world, account, NET, {**NET, "component": "TAX", "amount": "60.00"})
    [one] = bill(world, account, 2)
    discard(world, one["invoice"])
    new = regenerate(world, one["invoice"])
    assert standing(world, account)[new] == ("ISSUED", "353.33")
    assert [(line["number"], line["invoice"]) for line in installments(world, account) if line["replaces"] == 2] == [
        (4, new)
    ]
    issued = [(event.number, event.due_date, event.period_start) for event in world.events(InvoiceIssued)]
    assert issued[0][1:] == issued[1][1:]
    assert issued[0][0] != issued[1][0]
    again = world.refused("RegenerateInvoice", invoice=one["invoice"], confirmed=True)
    assert again == (409, ["PERIOD_ALREADY_INVOICED"])
    discard(world, new)
    bill(world, account, 5)
    taken = world.refused("RegenerateInvoice", invoice=new, confirmed=True)
    assert taken == (409, ["PERIOD_ALREADY_INVOICED"])
    world.check(account)
    world.verify()


@pytest.mark.rule("CAL-136", "INV-011")
def test_installments_of_several_due_dates_get_an_invoice_each_beside_the_accounts_periods(
    world: World, account: str
) -> None:
    generate(world, account)
    bought(world, account)
    issued = bill(world, account, 3, 1, 1)
    assert [(one["installments"], one["due_date"], one["billed"]["amount"]) for one in issued] == [
        ([1], "2025-02-28", "333.34"),
        ([3], "2025-04-30", "333.33"),
    ]
    assert (issued[0]["period_start"], issued[0]["period_end"]) == ("2025-02-28", "2025-03-30")
    assert (issued[1]["period_start"], issued[1]["period_end"]) == ("2025-04-30", "2026-01-14")
    february = world.do("GenerateInvoice", account=account, confirmed=True)
    assert february["period_start"] == "2025-02-01"
    assert cents(february["billed"]["amount"]) == cents("100.00")
    assert [one.sequence for one in world.events(InvoiceIssued)] == [1, 2, 3, 4]
    total = statement(world, february["invoice"])
    assert total.total_due == cents("866.67")
    assert (total.previous_balance, total.current_period_amount) == (cents("766.67"), cents("100.00"))
    world.check(account)
    world.verify()


@pytest.mark.rule("CAL-136", "CAL-E22")
@pytest.mark.parametrize("ahead", [None, 15])
def test_the_run_bills_what_is_due_counted_from_the_calendars_days_ahead(
    world: World, account: str, ahead: int | None
) -> None:
    if ahead is None:
        world.do("CreateBillingCalendar", name="PLAIN", weekend_days=[6, 7], holidays=[], working_weekends=[],
                 execution_time="06:00")  # fmt: skip
        world.do("AssignBillingCalendar", account=account, calendar="PLAIN")
    bought(world, account)
    before, reached = ("2025-03-28", "2025-03-31") if ahead is None else ("2025-03-14", "2025-03-17")
    world.on(before)
    run_job(world)
    assert [one["state"] for one in installments(world, account)] == ["BILLED", "UNBILLED", "UNBILLED"]
    world.on(reached)
    assert run_job(world)["failed"] == 0
    lines = installments(world, account)
    assert [one["state"] for one in lines] == ["BILLED", "BILLED", "UNBILLED"]
    late, on_time = (
        next(event for event in world.events(InvoiceInitialised) if event.number == line["invoice"])
        for line in lines[:2]
    )
    assert (str(late.due_date), late.due_date_corrections) == (before, ("PAST_DATE",))
    assert (str(on_time.due_date), on_time.due_date_corrections) == ("2025-03-31", ())
    assert str(late.computed_due_date) == "2025-02-28"
    count = len(world.events(InvoiceInitialised))
    run_job(world)
    assert len(world.events(InvoiceInitialised)) == count
    world.check(account)


# --- Money and books -------------------------------------------------------------------------------------------------

_BOOKS = """
query ($account: String!) {
  trialBalance { code closing { amount } }
  ledgerReconciliation(account: $account) { inBalance controls { number variance { amount } } }
}
"""
TAX = {"component": "TAX", "amount": "60.00", "currency": "USD"}


def closing(world: World, account: str) -> dict[str, str]:
    """Closing balances of ledger accounts that are not zero; the control identities hold."""
    found = world.query(_BOOKS, account=account, roles=("ARM",))
    assert found["ledgerReconciliation"]["inBalance"], found
    assert {one["variance"]["amount"] for one in found["ledgerReconciliation"]["controls"]} == {"0.00"}
    return {
        one["code"]: one["closing"]["amount"] for one in found["trialBalance"] if one["closing"]["amount"] != "0.00"
    }


@pytest.mark.rule("LED-035", "LED-036", "INV-124", "PAY-040")
def test_installments_are_paid_posted_and_freed_like_everything_billed(world: World, account: str) -> None:
    bought(world, account, NET, TAX)
    [first] = bill(world, account, 1)
    assert closing(world, account) == {"1100": "353.34", "4000": "-333.34", "2300": "-20.00"}
    pay(world, account, "400.00", "1")
    assert paid_on(world, account, first["invoice"]) == [cents("333.34"), cents("20.00")]
    assert closing(world, account) == {"1000": "400.00", "2100": "-46.66", "4000": "-333.34", "2300": "-20.00"}
    [second] = bill(world, account, 2)
    assert standing(world, account) == {
        first["invoice"]: ("PAID", "0.00"),
        second["invoice"]: ("PARTIALLY_PAID", "306.67"),
    }
    assert discard(world, first["invoice"])["freed_to"] == {"unapplied": {"amount": "353.34", "currency": "USD"}}
    assert closing(world, account)["2300"] == "-20.00"
    [replacement] = bill(world, account, 4)
    assert replacement["status"] == "PAID"
    assert account_now(world, account)["balances"]["accountBalance"] == "306.67"
    world.check(account)
    world.verify()


@pytest.mark.rule("INV-124", "PAY-096", "BAL-016")
def test_money_of_a_discarded_installment_on_a_member_level_account_is_nobodys(world: World) -> None:
    world.on("2024-12-20")
    world.calendar()
    policy, account = world.policy(world.sponsor()), world.account("C-1", in_single_bill_setup=True)
    stated = {"payroll_frequency": "MONTHLY", "start_date": "2025-01-01", "payroll_days": [1]}
    world.do("DefinePayrollCalendar", account=account, **stated)
    world.do("ConfirmPayrollCalendar", account=account, payroll_frequency="MONTHLY")
    world.setup(policy, account, allocation_mode="INDIVIDUAL")
    world.member(policy, "MR-1", payroll_frequency="MONTHLY")
    world.on("2025-02-10")
    plan(world)
    due_day(world, account, 31)
    bought(world, account)
    generate(world, account)
    [first] = bill(world, account, 1)
    pay_invoice(world, account, first["invoice"], "333.34", "1")
    assert standing(world, account)[first["invoice"]] == ("PAID", "0.00")
    assert discard(world, first["invoice"])["freed_to"] == {"unapplied": {"amount": "333.34", "currency": "USD"}}
    [again] = bill(world, account, 4)
    assert closing(world, account)["2100"] == "-333.34"
    pay(world, account, "100.00", "2", allocation="TARGETS", remainder="KEEP_UNAPPLIED",
        targets=[{"kind": "INVOICE", "invoice": again["invoice"], "amount": "100.00"}])  # fmt: skip
    assert standing(world, account)[again["invoice"]] == ("PARTIALLY_PAID", "233.34")
    world.check(account)
    world.verify()


@pytest.mark.rule("CAL-131", "CAL-130")
def test_items_on_different_accounts_give_each_its_own_schedule(world: World, account: str) -> None:
    other = world.account("C-1", name="Taxes")
    due_day(world, other, 5)
    answer = world.do("GenerateInstallmentSchedule", **purchase(account, NET, {**TAX, "account": other}))
    first, second = sorted(answer["schedules"], key=lambda one: one["due_day"], reverse=True)
    assert (first["account"], first["total"]["amount"], first["due_day"]) == (account, "1000.00", 31)
    assert (second["account"], second["total"]["amount"], second["due_day"]) == (other, "60.00", 5)
    assert shown(second["installments"]) == [("2025-03-05", "20.00"), ("2025-04-05", "20.00"), ("2025-05-05", "20.00")]
    assert shown(installments(world, other)) == shown(second["installments"])
    deposit = purchase(account, NET, {**TAX, "account": other}, deposit_amount="10.00")
    assert world.refused("GenerateInstallmentSchedule", **deposit) == (422, ["DEPOSIT_OUT_OF_RANGE"])


@pytest.mark.rule("CAL-133", "CAL-136")
def test_a_deposit_is_asked_for_first_and_taken_from_the_items_in_proportion(world: World, account: str) -> None:
    deposit, *rest = bought(world, account, NET, TAX, deposit_amount="106.00")
    assert (deposit["type"], deposit["due_date"], deposit["billed_to_date"]) == ("DEPOSIT", "2025-02-10", None)
    assert [one["amount"]["amount"] for one in deposit["parts"]] == ["100.00", "6.00"]
    assert [one["type"] for one in rest] == ["INSTALLMENT"] * 3
    assert [one["amount"]["amount"] for one in rest] == ["318.00", "318.00", "318.00"]
    run_date = world.on("2025-02-10")
    [invoice] = bill(run_date, account, 1)
    assert (invoice["billed"]["amount"], invoice["period_start"], invoice["period_end"]) == (
        "106.00",
        "2025-02-10",
        "2025-02-10",
    )
    for amount in ("0.00", "1060.00", "-1.00"):
        refused = world.refused("GenerateInstallmentSchedule", **purchase(account, NET, TAX, deposit_amount=amount))
        assert refused == (422, ["DEPOSIT_OUT_OF_RANGE"])
    world.check(account)


@pytest.mark.rule("CAL-132", "CAL-134", "CAL-135")
def test_a_schedule_of_another_system_is_kept_as_it_comes(world: World, account: str) -> None:
    due_day(world, account)
    given = [
        {"type": "INSTALLMENT", "due_date": "2025-03-01", "amount": "500.00"},
        {"type": "DEPOSIT", "due_date": "2025-01-15", "amount": "60.00"},
        {"type": "INSTALLMENT", "due_date": "2025-05-20", "amount": "500.00"},
    ]
    made = bought(world, account, NET, TAX, installments=given)
    assert shown(made) == [("2025-01-15", "60.00"), ("2025-03-01", "500.00"), ("2025-05-20", "500.00")]
    assert [one["billed_to_date"] for one in made] == [None, "2025-02-15", "2026-01-15"]
    items = [{part["item"]: cents(part["amount"]["amount"]) for part in one["parts"]} for one in made]
    assert sum(one["NET"] for one in items) == cents("1000.00")
    assert sum(one["TAX"] for one in items) == cents("60.00")
    [schedule] = world.query(
        "query ($a: String!) { installmentPurchases(account: $a) { nodes { imported dueDay total { amount } } } }",
        a=account,
    )["installmentPurchases"]["nodes"]
    assert schedule == {"imported": True, "dueDay": None, "total": {"amount": "1060.00"}}
    bad = [{"type": "FEE", "amount": "500.00"}, {"due_date": "2025-03-01", "amount": "1.00"}]
    status, found = world.refused("GenerateInstallmentSchedule", **purchase(account, installments=bad))
    assert status == 422
    assert sorted(found) == [
        "INSTALLMENT_DUE_DATE_MISSING",
        "INSTALLMENT_SUM_MISMATCH",
        "INSTALLMENT_TYPE_INVALID",
        "INSTALLMENT_TYPE_INVALID",
    ]
    bill(world, account, 2)
    assert [one["state"] for one in installments(world, account)] == ["UNBILLED", "BILLED", "UNBILLED"]
    world.check(account)
    world.verify()


@pytest.mark.rule("CAL-126", "CAL-122", "CAL-123", "MEM-047", "MEM-049", "MEM-050", "MEM-052")
def test_a_purchase_is_refused_as_a_whole_by_what_comes_first(world: World, account: str) -> None:
    period = purchase(account)["service_periods"][0]
    items = [
        {**NET, "amount": "-1.00"},
        {**NET, "account": "LB999999999"},
        {**TAX, "currency": "EUR"},
    ]
    wrong = [{**period, "items": items}, {**period, "start": "2026-01-15", "items": [NET]}]
    everything = purchase(account, service_periods=wrong, plan_uri="urn:none", due_day=3)
    assert world.refused("GenerateInstallmentSchedule", **everything) == (
        400,
        ["bil0009", "bil0016", "bil0010", "bil0001", "CURRENCY_MISMATCH"],
    )
    nobody = purchase(account)
    del nobody["account"]
    assert world.refused("GenerateInstallmentSchedule", **nobody) == (400, ["bil0001"])
    later = {**period, "start": "2025-06-01", "end": "2026-06-01"}
    overlapping = purchase(account, service_periods=[period, later])
    assert world.refused("GenerateInstallmentSchedule", **overlapping) == (400, ["bil0008"])
    malformed = purchase(account, {**NET, "amount": "1.001"})
    assert world.refused("GenerateInstallmentSchedule", **malformed) == (400, ["REQUEST_INVALID"])
    unknown = purchase(account, plan_uri="urn:none")
    assert world.refused("GenerateInstallmentSchedule", **unknown) == (404, ["ENTITY_NOT_FOUND"])
    early = purchase(account, transaction_date="2024-12-31")
    assert world.refused("GenerateInstallmentSchedule", **early)[1] == ["PLAN_NOT_AVAILABLE"]
    next_year = {**period, "start": "2026-01-15", "end": "2027-01-15"}
    two = purchase(account, service_periods=[period, next_year])
    assert world.refused("GenerateInstallmentSchedule", **two) == (400, ["SERVICE_PERIOD_COUNT_INVALID"])
    none = purchase(account, service_periods=[])
    assert world.refused("GenerateInstallmentSchedule", **none) == (400, ["SERVICE_PERIOD_COUNT_INVALID"])
    assert installments(world, account) == []
    bought(world, account)
    world.do("ExpirePaymentPlan", code="M3", expiration_date="2025-02-11")
    world.on("2025-02-28")
    after = purchase(account, transaction_date="2025-02-28")
    assert world.refused("GenerateInstallmentSchedule", **after)[1] == ["PLAN_NOT_AVAILABLE"]
    assert len(bill(world, account, 1)) == 1


@pytest.mark.rule("CAL-136", "INV-043", "INV-046", "INV-160")
def test_a_failed_invoice_changes_no_installment(world: World, account: str) -> None:
    bought(world, account)
    written = world.head()
    one = {"account": account, "installments": [1]}
    assert world.refused("BillInstallments", **one)[1] == ["CONFIRMATION_REQUIRED"]
    assert world.refused("BillInstallments", **{**one, "installments": [1, 9]}, confirmed=True) == (
        404,
        ["ENTITY_NOT_FOUND"],
    )
    assert world.refused("BillInstallments", account="LB999999999", installments=[1], confirmed=True)[1] == [
        "BILLING_ACCOUNT_NOT_FOUND"
    ]
    assert world.head() == written
    world.do("CreateHold", account=account, type="INVOICE", reason="Rates under review")
    assert world.refused("BillInstallments", **one, confirmed=True)[1] == ["HOLD_ACTIVE"]
    assert {line["state"] for line in installments(world, account)} == {"UNBILLED"}
    assert world.events(InvoiceIssued) == []


@pytest.mark.rule("PLT-029", "CAL-139")
def test_installments_are_for_who_may_purchase_bill_and_read(world: World, account: str) -> None:
    for role in ("BOF", "POL", "EXT"):
        assert world.send("GenerateInstallmentSchedule", roles=(role,), **purchase(account)).status_code == 200
    for role in ("SUP", "AUD", "HUB", "SYS"):
        assert world.send("GenerateInstallmentSchedule", roles=(role,), **purchase(account)).status_code == 403
    billed = {"account": account, "installments": [1], "confirmed": True}
    for role in ("POL", "EXT", "AUD", "ARA"):
        assert world.send("BillInstallments", roles=(role,), **billed).status_code == 403
    assert world.send("BillInstallments", roles=("SUP",), **billed).status_code == 200
    job = {"account": account, "run_started": 1739512800}
    assert world.send("BillScheduledInstallments", roles=("ADM", "BOF", "SUP"), **job).status_code == 403
    world.query(_READ, account=account, roles=("EXT",))


@pytest.mark.rule("CAL-137", "CAL-139")
def test_schedules_are_read_by_purchase_and_an_invoice_line_names_its_installment(world: World, account: str) -> None:
    bought(world, account, NET, TAX)
    bought(world, account, product="P2")
    [first] = bill(world, account, 1)
    discard(world, first["invoice"])
    [again] = bill(world, account, 7)
    found = world.query(
        """query ($a: String!, $p: String) { installmentPurchases(account: $a, product: $p) { totalCount nodes {
           number product plan serviceFrom serviceTo transactionDate total { amount } billed { amount }
           installments(first: 2) { totalCount pageInfo { hasNextPage } nodes { number schedule } } } } }""",
        a=account,
        p="P1",
    )["installmentPurchases"]
    assert found["totalCount"] == 1
    assert found["nodes"][0] == {
        "number": 1,
        "product": "P1",
        "plan": "M3",
        "serviceFrom": "2025-01-15",
        "serviceTo": "2026-01-14",
        "transactionDate": "2025-02-10",
        "total": {"amount": "1060.00"},
        "billed": {"amount": "353.34"},
        "installments": {
            "totalCount": 4,
            "pageInfo": {"hasNextPage": True},
            "nodes": [{"number": 1, "schedule": 1}, {"number": 7, "schedule": 1}],
        },
    }
    current = world.query(
        """query ($a: String!) { installmentSchedule(account: $a, product: "P1", superseded: false, state: "BILLED",
           dueTo: "2025-02-28") { nodes { number } } }""",
        a=account,
    )["installmentSchedule"]["nodes"]
    assert current == [{"number": 7}]
    told = world.query(
        """query ($i: String!) {
          invoice(number: $i) { basis anniversaryDate items { nodes {
            kind memberRecord lastName indicators product installment component coveredFrom coveredTo
            amount { amount } } } products { product plans } periods { start invoiced lines } }
          explainInvoiceItem(invoice: $i, line: 2) { charges { net { amount } } installment { number replaces dueDate }
            events { type } } }""",
        i=again["invoice"],
    )
    assert (told["invoice"]["basis"], told["invoice"]["anniversaryDate"]) == ("INSTALLMENTS", "2025-02-28")
    line = {
        "kind": "PRODUCT_ITEM", "memberRecord": "", "lastName": None, "indicators": [], "product": "P1",
        "installment": 7, "coveredFrom": "2025-02-28", "coveredTo": "2025-03-30",
    }  # fmt: skip
    assert told["invoice"]["items"]["nodes"] == [
        {**line, "component": "NET", "amount": {"amount": "333.34"}},
        {**line, "component": "TAX", "amount": {"amount": "20.00"}},
    ]
    assert told["invoice"]["products"] == [{"product": "P1", "plans": []}]
    assert told["invoice"]["periods"] == [{"start": "2025-02-28", "invoiced": True, "lines": 2}]
    explained = told["explainInvoiceItem"]
    assert explained["charges"] == []
    assert explained["installment"] == {"number": 7, "replaces": 1, "dueDate": "2025-02-28"}
    assert [event["type"] for event in explained["events"]] == [
        "InvoiceInitialised",
        "InvoiceProjected",
        "InvoiceIssued",
    ]


@pytest.mark.rule("CAL-138")
@pytest.mark.parametrize(
    ("days", "bought_before", "expected"), [((31,), True, "2025-03-31"), ((5, 20), True, None), ((31,), False, None)]
)
def test_an_invoice_of_a_period_names_the_next_due_day_of_the_plan(
    world: World, account: str, days: tuple[int, ...], bought_before: bool, expected: str | None
) -> None:
    if bought_before:
        bought(world, account)
    due_day(world, account, *days)
    world.on("2025-02-28")
    number = generate(world, account)
    [told] = [one.anniversary_date for one in world.events(InvoiceInitialised) if one.number == number]
    assert told is None if expected is None else str(told) == expected


@pytest.mark.rule("CAL-136", "INV-090")
def test_in_one_run_neither_the_periods_nor_the_installments_stand_in_each_others_way(
    world: World, account: str
) -> None:
    """Nobody is covered any more: no invoice of a period is required, the installments are billed all the same."""
    bought(world, account)
    world.do(
        "ApplyCancellation", transaction_id="C-1", member_record="MR-1", effective_date="2025-01-01", reason="LEFT"
    )
    world.on("2025-03-17")
    run = run_job(world)
    assert (run["state"], run["failed"], run["done"]) == ("COMPLETED", 0, 1)
    assert [one["state"] for one in installments(world, account)] == ["BILLED", "BILLED", "UNBILLED"]
    sources = [(str(one.source), str(one.basis)) for one in world.events(InvoiceInitialised)]
    assert sources == [("AUTOMATED", "INSTALLMENTS")] * 2
    world.do("CreateHold", account=account, type="INVOICE", reason="Rates under review")
    world.on("2025-04-28")
    held = run_job(world)
    assert (held["failed"], held["done"], held["skipped"]) == (0, 0, {"HOLD_ACTIVE": 1})
    assert [one["state"] for one in installments(world, account)] == ["BILLED", "BILLED", "UNBILLED"]
    world.check(account)


@pytest.mark.rule("ACC-025")
def test_an_account_with_a_product_bought_with_a_plan_is_not_closed(world: World, account: str) -> None:
    other = world.account("C-1", name="Travel")
    due_day(world, other, 31)
    bought(world, other)

    def reasons() -> list[str]:
        response = world.send("CloseBillingAccount", account=other, reason="Moved")
        [problem] = response.json()["problems"]
        assert problem["code"] == "ACCOUNT_NOT_CLOSABLE"
        found: list[str] = problem["params"]["reasons"]
        return found

    assert reasons() == ["ACTIVE_PRODUCTS"]
    world.on("2026-01-15")
    assert reasons() == ["ACTIVE_PRODUCTS"]  # the service is over, the installments are not billed


@pytest.mark.rule("CAL-136", "PAY-096", "PAY-081", "BAL-016", "INV-031")
def test_an_insured_persons_own_account_bills_premium_and_installments_side_by_side(world: World) -> None:
    """What a discarded invoice of premium frees stays the member's; what an installment frees is nobody's."""
    world.on("2024-12-20")
    _, policy = world.group()
    world.member(policy, "MR-1")
    direct = individual_account(world)
    move = {"type": "PORTABILITY", "account": direct, "modality": "MONTHLY"}
    world.do(
        "MoveMemberToIndividualDirect", transaction_id="M-1", member_record="MR-1", effective_date="2025-02-01", **move
    )
    world.on("2025-02-10")
    plan(world)
    due_day(world, direct, 31)
    bought(world, direct, NET, TAX)
    premium = generate(world, direct)
    [first] = bill(world, direct, 1)
    assert closing(world, direct) == {"1100": "453.34", "4000": "-433.34", "2300": "-20.00"}
    pay(world, direct, "500.00", "1")
    assert standing(world, direct) == {premium: ("PAID", "0.00"), first["invoice"]: ("PAID", "0.00")}
    [second] = bill(world, direct, 2)
    assert standing(world, direct)[second["invoice"]] == ("PARTIALLY_PAID", "306.67")
    freed = discard(world, premium)["freed_to"]
    assert {place: one["amount"] for place, one in freed.items()} == {"member_overpayment": "100.00"}
    assert closing(world, direct)["2120"] == "-100.00"
    freed = discard(world, first["invoice"])["freed_to"]
    assert {place: one["amount"] for place, one in freed.items()} == {"unapplied": "353.34"}
    third = generate(world, direct)
    assert standing(world, direct)[third] == ("PAID", "0.00")
    assert "2120" not in closing(world, direct)
    zero = bought(world, direct, {**NET, "amount": "0.00"}, product="FREE")
    [free] = bill(world, direct, zero[0]["number"])
    assert (free["billed"]["amount"], free["status"], free["lines"]) == ("0.00", "PAID", 1)
    world.verify()


@pytest.mark.rule("BAL-068", "BAL-076", "LED-036")
def test_a_credit_without_another_charge_pays_an_installment_and_waits_again_after_its_discard(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    consuming(world, False)
    world.member(policy, "MR-1")
    january = generate(world, account)
    world.do("ApplyCancellation", transaction_id="CA-1", member_record="MR-1", effective_date="2025-01-01")
    february = generate(world, account)
    discard(world, january)
    assert world.check(account).credit(account) == cents("100.00")
    world.on("2025-02-10")
    plan(world)
    due_day(world, account, 31)
    bought(world, account)
    [first] = bill(world, account, 1)
    assert standing(world, account)[first["invoice"]] == ("PARTIALLY_PAID", "233.34")
    assert offset_on(world, account, first["invoice"]) == [cents("100.00")]
    assert world.check(account).credit(account) == 0
    assert statement(world, first["invoice"]).total_due == cents("233.34")
    assert closing(world, account) == {"1100": "233.34", "4000": "-233.34"}
    discard(world, first["invoice"])
    assert world.check(account).credit(account) == cents("100.00")
    assert offset_on(world, account, february) == [0]
    assert closing(world, account) == {"1110": "-100.00", "4000": "100.00"}
    [again] = bill(world, account, 4)
    assert standing(world, account)[again["invoice"]] == ("PARTIALLY_PAID", "233.34")
    world.check(account)
    world.verify()


@pytest.mark.rule("CAL-135", "INV-150", "PLT-011")
def test_of_requests_and_purchases_at_the_same_moment_each_installment_is_billed_once_and_none_is_lost(
    world: World, account: str
) -> None:
    bought(world, account)
    billed = {"account": account, "installments": [1, 2], "confirmed": True}
    answers = together(
        lambda: insist(world, "BillInstallments", **billed),
        lambda: insist(world, "BillInstallments", **billed),
        lambda: insist(world, "GenerateInstallmentSchedule", **purchase(account, product="P2")),
        lambda: insist(world, "GenerateInstallmentSchedule", **purchase(account, product="P3")),
        lambda: insist(world, "GenerateInvoice", account=account, confirmed=True),
    )
    assert sorted(map(sorted, answers)) == [[], [], [], [], ["INSTALLMENT_STATE_INVALID"]]
    assert sorted(one.number for one in world.events(InstallmentBilled)) == [1, 2]
    assert sorted(line["number"] for line in installments(world, account)) == list(range(1, 10))
    world.check(account)
    world.verify()


def as_promised(world: World, account: str, promised: dict[str, int]) -> None:
    """What stands for each product adds up to its price, and live invoices bill exactly the BILLED installments."""
    books = world.check(account)
    current = [one for one in installments(world, account) if not one["superseded"]]
    total: dict[str, int] = dict.fromkeys(promised, 0)
    billed: dict[str, int] = {}
    for one in current:
        total[one["product"]] += cents(one["amount"]["amount"])
        if one["state"] == "BILLED":
            assert books.live[one["invoice"]]
            billed[one["invoice"]] = billed.get(one["invoice"], 0) + cents(one["amount"]["amount"])
    assert total == promised
    on_items: dict[str, int] = {}
    for (invoice, _), item in books.items.items():
        if books.live[invoice] and not item.member:
            on_items[invoice] = on_items.get(invoice, 0) + item.billed
    assert on_items == billed


@pytest.mark.rule("CAL-130", "CAL-135", "CAL-136", "CAL-137", "LED-049")
def test_whatever_is_bought_billed_paid_and_discarded_no_cent_of_a_price_is_lost(world: World, account: str) -> None:
    chance = random.Random(1)
    promised: dict[str, int] = {}
    plan(world, code="ALL", max_installments=None)
    for step in range(24):
        doing = chance.choice(["buy", "bill", "bill", "discard", "regenerate", "pay", "period", "run"])
        live = [number for number, (status, _) in standing(world, account).items() if status != "DISCARDED"]
        waiting = [one["number"] for one in installments(world, account) if one["state"] == "UNBILLED"]
        gone = [number for number in standing(world, account) if number not in live]
        if doing == "buy" or not promised:
            product = f"P{step}"
            net, tax = chance.randint(0, 99_999), chance.randint(0, 999)
            items = ({**NET, "amount": format_amount(net, "USD")}, {**TAX, "amount": format_amount(tax, "USD")})
            deposit = {"deposit_amount": "0.01"} if net + tax > 1 and chance.random() < 0.3 else {}
            uri = chance.choice(["urn:plan:M3", "urn:plan:ALL"])
            bought(world, account, *items, product=product, plan_uri=uri, **deposit)
            promised[product] = net + tax
        elif doing == "bill" and waiting:
            bill(world, account, *chance.sample(waiting, min(len(waiting), chance.randint(1, 3))))
        elif doing == "discard" and live:
            discard(world, chance.choice(live))
        elif doing == "regenerate" and gone:
            world.send("RegenerateInvoice", invoice=chance.choice(gone), confirmed=True)
        elif doing == "pay":
            pay(world, account, format_amount(chance.randint(1, 60_000), "USD"), str(step))
        elif doing == "period":
            world.send("GenerateInvoice", account=account, confirmed=True)
        elif doing == "run":
            world.on(f"2025-0{2 + step // 6}-{11 + step % 6 * 3}")
            assert run_job(world)["failed"] == 0
        if step % 4 == 3:
            as_promised(world, account, promised)
    closing(world, account)
    world.verify()
