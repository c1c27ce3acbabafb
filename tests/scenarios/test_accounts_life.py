"""Accounts from their number to their closing, by the rulebook's examples, over HTTP."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.scenarios.billing import discard, generate, pay, standing, unapplied
from tests.scenarios.conftest import World

MONTHLY = {"frequency": "MONTHLY", "due_day_mode": "CALENDAR_DAY", "due_days": [1]}


def problems(world: World, name: str, **payload: Any) -> dict[str, Any]:
    """The problems of a command that must be refused, by code, and that nothing was written."""
    before = world.head()
    response = world.send(name, **payload)
    assert response.status_code != 200, response.json()
    assert world.head() == before
    return {one["code"]: one for one in response.json()["problems"]}


def holds(world: World, account: str) -> tuple[list[str], list[str]]:
    """The statuses of an account's holds, and its tags of active ones."""
    text = "query ($n: String!) { billingAccount(number: $n) { tags holds { status effective } } }"
    found = world.query(text, n=account)["billingAccount"]
    return [one["status"] for one in sorted(found["holds"], key=lambda one: one["effective"])], [
        tag for tag in found["tags"] if tag.endswith("On Hold")
    ]


@pytest.mark.rule("ACC-E01", "ACC-011", "ACC-012", "ACC-013", "ACC-014")
def test_a_number_that_anybody_has_already_is_skipped_for_good(world: World) -> None:
    world.calendar()
    owner = world.sponsor()
    for sequence in range(1, 42):
        number = world.account(owner)
        if sequence == 1:
            assert number == "LB000000018"
    imported = world.account(world.sponsor("C-2"), legacy_number="lb000000422 ", in_single_bill_setup=True)
    assert imported.startswith("CB")
    assert [world.account(owner), world.account(owner)] == ["LB000000430", "LB000000448"]
    found = world.query('query { billingAccount(number: "LB000000422") { number } }')
    assert found["billingAccount"]["number"] == imported


@pytest.mark.rule("ACC-014")
def test_a_legacy_number_leads_to_one_account_only(world: World) -> None:
    world.calendar()
    owner = world.sponsor()
    taken = world.account(owner)
    world.account(owner, legacy_number="OLD-7")
    for legacy in ("old-7", f" {taken.lower()} "):
        ask = {"owner": owner, "currency": "USD", "schedule": MONTHLY, "legacy_number": legacy}
        assert set(problems(world, "CreateBillingAccount", **ask)) == {"LEGACY_NUMBER_CONFLICT"}


@pytest.mark.rule("ACC-013", "ACC-017", "ACC-018", "ACC-019")
def test_an_account_becomes_active_when_nothing_is_missing(world: World) -> None:
    """ACC-E03, except for its payor without an address, whom no customer can be (MEM-002)."""
    ask = {"owner": world.sponsor(), "currency": "USD", "schedule": MONTHLY}
    found = problems(world, "CreateBillingAccount", **ask, delivery_method="PRINT_MAIL")
    assert found["MANDATORY_FIELDS_MISSING"]["params"]["fields"] == ["business_calendar"]
    draft = world.do("CreateBillingAccount", **ask, activate=False)
    assert (draft["account"], draft["status"]) == ("LB000000018", "DRAFT")  # no number was consumed before
    missing = problems(world, "ActivateBillingAccount", account=draft["account"])
    assert missing["MANDATORY_FIELDS_MISSING"]["params"]["fields"] == ["business_calendar"]
    world.calendar()
    world.do("AssignBillingCalendar", account=draft["account"], calendar="US")
    assert world.do("ActivateBillingAccount", account=draft["account"])["status"] == "ACTIVE"


@pytest.mark.rule("ACC-015", "ACC-016")
def test_an_account_is_named_after_its_owner_and_counted(world: World) -> None:
    world.calendar()
    owner = world.sponsor()
    ask = {"owner": owner, "currency": "USD", "schedule": MONTHLY}
    names = [world.do("CreateBillingAccount", **ask)["name"] for _ in range(2)]
    assert names == ["Northwind Mills BA 1", "Northwind Mills BA 2"]
    assert set(problems(world, "CreateBillingAccount", **(ask | {"owner": "C-404"}))) == {"CUSTOMER_NOT_FOUND"}


@pytest.mark.rule("ACC-020")
def test_an_account_without_a_product_is_not_invoiced(world: World) -> None:
    world.calendar()
    account = world.account(world.sponsor())
    assert set(problems(world, "GenerateInvoice", account=account, confirmed=True)) == {"ACCOUNT_NOT_OPERATIONAL"}


@pytest.mark.rule("ACC-050", "ACC-051", "ACC-054", "ACC-055", "ACC-056")
def test_overlapping_holds_stop_invoices_but_not_money(world: World) -> None:
    """The invoices and the money of ACC-E04."""
    world.on("2026-02-20")
    account, policy = world.group(start="2026-03-01")
    world.member(policy, "MR-1", start="2026-03-01", annual="6000.00")
    march = generate(world, account)
    for start, end in (("2026-03-01", "2026-03-15"), ("2026-03-10", "2026-03-20")):
        world.do(
            "CreateHold", account=account, type="INVOICE", reason="Review", effective_date=start, expiration_date=end
        )
    world.on("2026-03-16")
    found = problems(world, "GenerateInvoice", account=account, confirmed=True)["HOLD_ACTIVE"]
    assert "2026-03-20" in str(found["params"])
    assert holds(world, account) == (["EXPIRED", "ACTIVE"], ["Invoice On Hold"])
    pay(world, account, "500.00", "1")
    assert standing(world, account)[march] == ("PAID", "0.00")
    world.on("2026-03-20")
    assert holds(world, account) == (["EXPIRED", "EXPIRED"], [])
    generate(world, account)
    world.check(account)


@pytest.mark.rule("ACC-E05", "ACC-049")
def test_a_hold_ends_at_midnight_where_the_account_is(world: World) -> None:
    world.on("2026-03-01")
    world.calendar()
    sponsor = world.sponsor()
    policy = world.policy(sponsor, start="2026-03-01")
    account = world.account(sponsor, in_single_bill_setup=True, time_zone="America/Los_Angeles")
    world.setup(policy, account)
    world.member(policy, "MR-1", start="2026-03-01")
    world.do("CreateHold", account=account, type="INVOICE", reason="Review", expiration_date="2026-03-15")
    world.clock.set(dt.datetime(2026, 3, 15, 6, 59, tzinfo=dt.UTC))
    assert set(problems(world, "GenerateInvoice", account=account, confirmed=True)) == {"HOLD_ACTIVE"}
    world.clock.set(dt.datetime(2026, 3, 15, 7, 0, tzinfo=dt.UTC))
    generate(world, account)


@pytest.mark.rule("ACC-E06", "ACC-050", "ACC-052", "ACC-053")
def test_what_of_a_hold_may_still_be_changed(world: World) -> None:
    world.on("2026-03-05")
    account, policy = world.group(start="2026-03-01")
    world.member(policy, "MR-1", start="2026-03-01")
    ask = {"account": account, "type": "INVOICE", "reason": "Review"}
    for dates in (
        {"effective_date": "2026-03-04"},
        {"effective_date": "2026-03-05", "expiration_date": "2026-03-05"},
    ):
        assert set(problems(world, "CreateHold", **ask, **dates)) == {"HOLD_DATES_INVALID"}
    [hold] = world.do("CreateHold", **ask, effective_date="2026-03-05")["holds"]
    world.on("2026-03-07")
    change = {"account": account, "hold_id": hold["hold_id"]}
    assert set(problems(world, "UpdateHold", **change, effective_date="2026-03-06")) == {"HOLD_EFFECTIVE_IMMUTABLE"}
    assert set(problems(world, "UpdateHold", **change, expiration_date="2026-03-07")) == {"HOLD_DATES_INVALID"}
    world.do("UpdateHold", **change, expiration_date="2026-03-08")
    assert set(problems(world, "GenerateInvoice", account=account, confirmed=True)) == {"HOLD_ACTIVE"}
    world.do("ReleaseHold", **change)
    generate(world, account)
    assert set(problems(world, "UpdateHold", **change, expiration_date="2026-04-01")) == {"HOLD_FINAL"}


@pytest.mark.rule("ACC-005", "ACC-065")
def test_an_account_that_has_a_bill_type_takes_no_other(world: World) -> None:
    """The first half of ACC-E10: two drafts choose one empty account, the first to be issued decides."""
    world.calendar()
    sponsor = world.sponsor()
    account = world.account(sponsor)
    first, second = world.policy(sponsor), world.policy(sponsor, "MP-2", bill_type="SELF_BILL")
    started = world.do(
        "StartBillingSetup",
        master_policy=second,
        bill_type="SELF_BILL",
        allocation_mode="TRUE_GROUP",
        setup_type="SINGLE_BILL",
        account=account,
    )
    world.setup(first, account)
    found = problems(world, "IssueBillingSetup", setup_ref=started["setup_ref"])
    assert "BILL_TYPE" in str(found["ACCOUNT_NOT_ELIGIBLE"]["params"])


@pytest.mark.rule("ACC-025", "ACC-026")
def test_an_account_closes_when_nothing_is_open_on_it(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    invoice = generate(world, account)
    pay(world, account, "120.00", "1")
    ask = {"account": account, "reason": "Left"}
    found = problems(world, "CloseBillingAccount", **ask)["ACCOUNT_NOT_CLOSABLE"]
    assert found["params"]["reasons"] == ["ACTIVE_PRODUCTS", "BALANCES", "SETUP_ENTRY"]
    discard(world, invoice)
    assert unapplied(world, account) == 12000
    empty = world.account("C-1")
    world.do("CreateHold", account=empty, type="INVOICE", reason="Review")
    world.do("CloseBillingAccount", account=empty, reason="Left")
    assert holds(world, empty)[0] == ["RELEASED"]
    assert set(problems(world, "CreateHold", account=empty, type="INVOICE", reason="Again")) == {"ACCOUNT_NOT_ACTIVE"}
    assert set(problems(world, "GenerateInvoice", account=empty, confirmed=True)) == {"ACCOUNT_NOT_ACTIVE"}
    query = "query ($n: String!) { billingAccount(number: $n) { status } }"
    assert world.query(query, n=empty)["billingAccount"]["status"] == "CLOSED"
    assert world.do("ReopenBillingAccount", account=empty)["status"] == "ACTIVE"
    assert holds(world, empty)[0] == ["RELEASED"]
