"""Every policy transaction as a user sees it: what it charges and what it leaves unbilled (examples of 04)."""

from __future__ import annotations

import pytest

from tests.scenarios.billing import amend, cents, discard, generate, lines, regenerate, standing, statement
from tests.scenarios.conftest import World
from tests.scenarios.premiums import (
    anyb,
    anyb_by_account,
    anyb_by_period,
    anyb_items,
    charge_items,
    charges,
    given,
    individual_account,
    invoiced,
    life,
    net,
    record,
    statuses,
    told,
    versions,
)


@pytest.mark.rule("PRM-022", "PRM-023", "PRM-033", "PRM-E02")
def test_a_period_is_rounded_once_however_many_amendments_cut_it(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    for member in ("MR-1", "MR-2", "MR-3"):
        world.member(policy, member)
    amend(world, "MR-1", "2025-04-16", ("LIFE", "1560.00"))
    assert net(world, "MR-1", account, "2025-04-01", "2025-05-31") == ["113.42", "130.00"]
    for day in ("2025-03-05", "2025-03-20"):
        amend(world, "MR-2", day, ("LIFE", "1200.00"))
    assert net(world, "MR-2", account, "2025-03-01", "2025-03-31") == ["100.00"]
    amend(world, "MR-3", "2025-03-10", ("LIFE", "1500.00"))
    amend(world, "MR-3", "2025-03-22", ("LIFE", "1200.00"))
    assert net(world, "MR-3", account, "2025-03-01", "2025-03-31") == ["111.78"]


@pytest.mark.rule("PRM-028", "PRM-E03", "CAL-102")
def test_the_first_period_of_an_aligned_member_is_charged_from_the_effective_date(world: World) -> None:
    world.on("2024-12-20")
    account, aligned = world.group(align_first_period=True)
    world.member(aligned, "MR-1", start="2025-05-16", annual="1825.00")
    assert charges(world, "MR-1", account, "2025-05-01", "2025-06-30") == [
        ("2025-05-01", "80.00"),
        ("2025-06-01", "152.08"),
    ]
    plain = world.policy("C-1", "MP-2")
    world.setup(plain, account)
    world.member(plain, "MR-2", start="2025-05-16", annual="1825.00")
    [first, _] = charge_items(world, "MR-2", account, "2025-05-16", "2025-06-30")
    assert (first["periodStart"], first["periodEnd"], first["net"]["amount"]) == ("2025-05-16", "2025-06-15", "152.08")


@pytest.mark.rule("PRM-044", "PRM-061", "PRM-062", "PRM-E04")
def test_a_class_change_credits_the_old_key_and_charges_the_new_one(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    for member in ("MR-1", "MR-2"):
        world.member(policy, member, amounts=life("1200.00", coverage_class="A"))
    invoiced(world, account, 3)
    for member, annual in (("MR-1", "1200.00"), ("MR-2", "3000.00")):
        given(
            "ApplyAmendment", world, member, "2025-03-16", kinds=["CLASSIFICATION_CHANGE"],
            amounts=[
                {"coverage": "LIFE", "coverage_class": "A", "removed": True},
                {"coverage": "LIFE", "coverage_class": "B", "annual_amount": annual},
            ],
        )  # fmt: skip
    by_class = {one["item"]["coverageClass"]: one["amount"]["amount"] for one in anyb_items(world, "MR-1")}
    assert by_class == {"A": "-51.61", "B": "51.61"}
    assert anyb(world, "MR-1") == "0.00"
    by_class = {one["item"]["coverageClass"]: one["amount"]["amount"] for one in anyb_items(world, "MR-2")}
    assert by_class == {"A": "-50.68", "B": "131.51"}
    assert anyb(world, "MR-2") == "80.83"
    assert net(world, "MR-2", account, "2025-04-01", "2025-04-30") == ["250.00"]


@pytest.mark.rule("PRM-064", "PRM-127", "PRM-E07")
def test_a_cancellation_credits_what_is_invoiced_and_makes_a_negative_invoice(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    world.member(policy, "MR-2", annual="600.00")
    given("ApplyCancellation", world, "MR-1", "2025-03-16")
    assert net(world, "MR-1", account, "2025-03-01", "2025-04-30") == ["49.32"]
    given("RescindCancellation", world, "MR-1", "2025-03-16")
    invoiced(world, account, 3)
    result = given("ApplyCancellation", world, "MR-1", "2025-03-16")
    assert anyb_by_account(result) == {account: "-50.68"}
    april = generate(world, account)
    assert sorted(one[3] for one in lines(world, account, april)) == ["-50.68", "50.00"]
    assert statement(world, april).current_due == cents("-0.68")
    assert anyb(world, "MR-1") == "0.00"
    assert record(world, "MR-1")["badges"] == ["FUTURE", "CANCELLED"]
    assert told("ApplyCancellation", world, "MR-1", "2025-04-01") == ["ALREADY_CANCELLED"]
    given("RescindCancellation", world, "MR-1", "2025-03-16")
    # March was credited 50.68 already.
    assert anyb_by_account(given("ApplyCancellation", world, "MR-1", "2025-03-01")) == {account: "-49.32"}
    given("RescindCancellation", world, "MR-1", "2025-03-01")
    flat = given("ApplyCancellation", world, "MR-1", "2025-01-01")
    assert net(world, "MR-1", account, "2025-01-01", "2025-06-30") == []
    # January, February and March were invoiced at 100.00 and credited 50.68.
    assert anyb_by_account(flat) == {account: "-249.32"}
    world.check(account)


@pytest.mark.rule("PRM-025", "PRM-065", "PRM-066", "PRM-E08")
def test_a_cancelled_member_comes_back_without_and_with_a_lapse(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    members = ("MR-1", "MR-2", "MR-3", "MR-4")
    for member in members:
        world.member(policy, member)
        given("ApplyCancellation", world, member, "2025-03-16")
    world.member(policy, "MR-5")
    invoiced(world, account, 4)
    assert told("ApplyReinstatement", world, "MR-1", "2025-03-10") == ["REINSTATEMENT_BEFORE_CANCELLATION"]
    assert told("RescindCancellation", world, "MR-1", "2025-03-17") == ["RESCIND_DATE_MISMATCH"]
    assert anyb_by_account(given("ApplyReinstatement", world, "MR-1", "2025-03-16")) == {account: "150.68"}
    assert anyb_by_account(given("RescindCancellation", world, "MR-2", "2025-03-16")) == {account: "150.68"}
    assert anyb_by_account(given("ApplyReinstatement", world, "MR-3", "2025-04-11")) == {account: "65.75"}
    given("ApplyReinstatement", world, "MR-4", "2025-03-21")
    assert net(world, "MR-4", account, "2025-03-01", "2025-03-31") == ["85.48"]
    assert told("ApplyReinstatement", world, "MR-4", "2025-05-01") == ["NO_CANCELLATION_IN_FORCE"]
    assert told("RescindCancellation", world, "MR-2", "2025-03-16") == ["NO_CANCELLATION_IN_FORCE"]
    may = generate(world, account)
    amounts = sorted(one[3] for one in lines(world, account, may) if one[1] == "MR-3")
    assert amounts == ["100.00", "65.75"]
    world.check(account)


@pytest.mark.rule("PRM-068", "PRM-101", "PRM-126", "PRM-128", "PRM-E17")
def test_a_lower_renewal_keeps_the_invoices_and_credits_the_next_one(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    invoiced(world, account, 3)
    given("ApplyRenewal", world, "MR-1", "2025-02-01", amounts=life("1080.00"))
    assert anyb_by_period(world, "MR-1") == {"2025-02-01": "-10.00", "2025-03-01": "-10.00"}
    april = generate(world, account)
    assert sorted(one[3] for one in lines(world, account, april)) == ["-10.00", "-10.00", "90.00"]
    assert anyb(world, "MR-1") == "0.00"
    discard(world, april)
    assert anyb(world, "MR-1") == "-20.00"
    regenerate(world, april)
    assert anyb(world, "MR-1") == "0.00"
    assert told("ApplyRenewal", world, "MR-1", "2025-01-15", amounts=life("1080.00")) == ["OOS_RENEWAL_NOT_SUPPORTED"]
    world.check(account)


@pytest.mark.rule("PRM-122", "PRM-E18")
def test_a_late_joiner_is_charged_for_the_periods_already_invoiced(world: World) -> None:
    world.on("2024-12-20")
    account, aligned = world.group(align_first_period=True)
    world.member(aligned, "MR-1")
    plain = world.policy("C-1", "MP-2")
    world.setup(plain, account)
    invoiced(world, account, 4)
    world.member(aligned, "MR-2", start="2025-02-16")
    found = anyb_items(world, "MR-2")
    assert [(one["kind"], one["amount"]["amount"]) for one in found] == [
        ("PRIOR_PERIOD_CHARGE", "42.74"),
        ("PRIOR_PERIOD_CHARGE", "100.00"),
        ("PRIOR_PERIOD_CHARGE", "100.00"),
    ]
    world.member(plain, "MR-3", start="2025-02-16")
    assert anyb(world, "MR-3") == "300.00"
    may = generate(world, account)
    amounts = [one[3] for one in lines(world, account, may) if one[1] == "MR-2"]
    assert sorted(amounts) == ["100.00", "100.00", "100.00", "42.74"]
    world.check(account)


@pytest.mark.rule("PRM-024", "PRM-E22")
@pytest.mark.parametrize(
    ("basis", "charge"), [("ANNUAL_365", "32.88"), ("MODAL_PERIOD_DAYS", "34.48"), ("ANNUAL_ACTUAL", "32.79")]
)
def test_the_daily_rate_of_a_leap_year_follows_the_basis(world: World, basis: str, charge: str) -> None:
    world.on("2023-12-20")
    world.calendar()
    policy = world.policy(world.sponsor(), start="2024-01-01")
    account = world.account("C-1", in_single_bill_setup=True)
    world.setup(policy, account)
    world.do("SetParameter", name="premium.proration_basis", value=basis)
    world.member(policy, "MR-1", start="2024-01-01")
    given("ApplyCancellation", world, "MR-1", "2024-02-11")
    assert net(world, "MR-1", account, "2024-02-01", "2024-02-29") == [charge]


@pytest.mark.rule("PRM-070", "PRM-129", "PRM-E23", "MEM-070", "MEM-072")
def test_a_ported_member_is_apportioned_by_days_and_keeps_its_premium(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1", annual="1440.00")
    invoiced(world, account, 5)
    direct = individual_account(world)
    moved = given(
        "MoveMemberToIndividualDirect", world, "MR-1", "2025-04-16", type="PORTABILITY", account=direct,
        modality="MONTHLY",
    )  # fmt: skip
    assert anyb_by_account(moved).get(account) == "-180.82"
    assert net(world, "MR-1", account, "2025-04-01", "2025-04-30") == ["59.18"]
    found = charge_items(world, "MR-1", direct, "2025-04-01", "2025-05-31")
    assert [(one["coveredFrom"], one["net"]["amount"]) for one in found] == [
        ("2025-04-16", "59.18"),
        ("2025-05-01", "120.00"),
    ]
    # The account of the member is invoiced from the transition date on.
    first = world.do("GenerateInvoice", account=direct, confirmed=True)
    assert (first["period_start"], first["period_end"]) == ("2025-04-16", "2025-05-15")
    assert [one[3] for one in lines(world, direct, first["invoice"])] == ["59.18", "120.00"]
    amend(world, "MR-1", "2025-04-01", ("LIFE", "1560.00"))
    assert anyb_by_period(world, "MR-1", account) == {"2025-04-01": "-55.89", "2025-05-01": "-120.00"}
    assert anyb_by_period(world, "MR-1", direct) == {"2025-04-01": "4.93", "2025-05-01": "10.00"}
    assert statuses(world, "MR-1")[moved["transaction_id"]] == "APPLIED"
    world.check(account)
    world.check(direct)


@pytest.mark.rule("PRM-023", "PRM-029", "PRM-E25")
def test_a_period_cut_by_its_last_day_is_charged_at_most_the_modal_premium(world: World) -> None:
    world.on("2025-06-20")
    world.calendar()
    policy = world.policy(world.sponsor())
    schedule = {"frequency": "BIMONTHLY", "due_day_mode": "CALENDAR_DAY", "due_days": [1]}
    account = world.account("C-1", in_single_bill_setup=True, schedule=schedule)
    world.setup(policy, account)
    for member in ("MR-1", "MR-2", "MR-3"):
        world.member(policy, member)
    [whole] = charge_items(world, "MR-1", account, "2025-07-01", "2025-08-31")
    assert (whole["days"], whole["net"]["amount"], whole["whole"]) == (62, "200.00", True)
    given("ApplyCancellation", world, "MR-1", "2025-08-31")
    assert net(world, "MR-1", account, "2025-07-01", "2025-08-31") == ["200.00"]
    given("ApplyCancellation", world, "MR-2", "2025-08-30")
    assert net(world, "MR-2", account, "2025-07-01", "2025-08-31") == ["197.26"]
    given(
        "ApplyPremiumWaiver", world, "MR-3", "2025-08-31", source="CLAIMS", last_waived_day="2025-08-31",
        origin="CLAIMS",
    )  # fmt: skip
    [waived] = charge_items(world, "MR-3", account, "2025-07-01", "2025-08-31")
    assert (waived["gross"]["amount"], waived["waiver"]["amount"], waived["net"]["amount"]) == (
        "200.00", "0.00", "200.00",
    )  # fmt: skip


@pytest.mark.rule("PRM-040", "PRM-043", "PRM-069", "PRM-152", "PRM-E21")
def test_a_rewritten_policy_makes_everything_before_it_obsolete(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    given("ApplyAmendment", world, "MR-1", "2025-03-01", transaction_id="AM-1", amounts=life("1320.00"))
    invoiced(world, account, 3)
    rewritten = world.do(
        "ApplyMasterPolicyTransaction", transaction_id="RW-1", master_policy=policy, type="REWRITE",
        effective_date="2025-02-01",
    )  # fmt: skip
    assert rewritten["status"] == "COMPLETED"
    assert [status for status, _ in standing(world, account).values()] == ["DISCARDED", "ISSUED", "ISSUED"]
    assert versions(world, "MR-1") == {1: "OBSOLETE", 2: "OBSOLETE", 3: "ACTIVE"}
    assert statuses(world, "MR-1")["AM-1"] == "OBSOLETE"
    assert anyb_by_period(world, "MR-1") == {"2025-03-01": "-10.00"}
    april = generate(world, account)
    assert sorted(one[3] for one in lines(world, account, april)) == ["-10.00", "100.00"]
    world.check(account)
    world.verify()


@pytest.mark.rule("CAL-042", "INV-130", "INV-131")
@pytest.mark.parametrize(
    ("day", "discarded", "first"),
    [("2025-02-10", 4, "2025-02-10"), ("2024-12-01", 4, "2024-12-01"), ("2025-01-01", 0, "2025-05-01")],
)
def test_a_rewrite_starts_the_accounts_of_the_policy_anew(world: World, day: str, discarded: int, first: str) -> None:
    world.on("2024-11-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    issued = invoiced(world, account, 4)
    rewritten = world.do(
        "ApplyMasterPolicyTransaction", transaction_id="RW-1", master_policy=policy, type="REWRITE",
        effective_date=day, records=[{"member_record": "MR-1", "effective_date": max(day, "2025-01-01")}],
    )  # fmt: skip
    done = rewritten.get("accounts", [])
    assert [one["discarded"] for one in done] == ([list(reversed(issued))] if discarded else [])
    if day < "2025-01-01":
        # Nobody is covered in December.
        assert world.refused("GenerateInvoice", account=account, confirmed=True)[1] == ["NO_INVOICE_REQUIRED"]
        return
    again = world.do("GenerateInvoice", account=account, confirmed=True)
    assert again["period_start"] == first
    world.check(account)


@pytest.mark.rule("INV-130", "PRM-152")
def test_a_rewrite_of_one_of_two_policies_leaves_the_account_and_makes_the_difference_unbilled(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    other = world.policy("C-1", "MP-2")
    world.setup(other, account)
    world.member(policy, "MR-1")
    world.member(other, "MR-2")
    invoiced(world, account, 2)
    rewritten = world.do(
        "ApplyMasterPolicyTransaction", transaction_id="RW-1", master_policy=policy, type="REWRITE",
        effective_date="2025-02-01",
    )  # fmt: skip
    assert "accounts" not in rewritten
    assert anyb_by_period(world, "MR-1") == {"2025-01-01": "-100.00"}
    assert anyb(world, "MR-2") == "0.00"
