"""What the parameters of the calendar and of premium do to what is recorded after they were set."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.billing import amend, amend_for, discard, generate, lines, regenerate
from tests.scenarios.conftest import World
from tests.scenarios.premiums import anyb, anyb_by_period, charges, given, invoiced, life, net, told

_MODAL = """query ($m: String!, $from: Date!, $to: Date!) {
  modalPeriods(memberRecord: $m, from: $from, to: $to) { from to anchor } }"""
_HISTORY = """query ($m: String!, $n: Int) { modalPremiumHistory(memberRecord: $m, first: $n) {
  nodes { version } totalCount } }"""
_LOCKED = "query { rollOnPending { nodes { memberRecord daysPending overdue } } }"


def parameter(world: World, name: str, value: Any, **keys: str) -> None:
    """Set a parameter from today on, for the system or for the keys."""
    world.do("SetParameter", name=name, value=value, keys=keys)


@pytest.mark.rule("CAL-003")
def test_a_holiday_on_a_weekend_day_is_refused_unless_the_parameter_lets_it_pass(world: World) -> None:
    calendar = {
        "weekend_days": [6, 7], "holidays": ["2025-07-05"], "working_weekends": [], "execution_time": "06:00",
    }  # fmt: skip
    assert world.refused("CreateBillingCalendar", name="US", **calendar)[1] == ["CALENDAR_DATE_CONFLICT"]
    parameter(world, "calendar.strict_holidays", False)
    world.do("CreateBillingCalendar", name="US", **calendar)
    clash = {**calendar, "working_weekends": ["2025-07-05"]}
    assert world.refused("UpdateBillingCalendar", name="US", **clash)[1] == ["CALENDAR_DATE_CONFLICT"]
    parameter(world, "calendar.strict_holidays", True)
    assert world.refused("UpdateBillingCalendar", name="US", **calendar)[1] == ["CALENDAR_DATE_CONFLICT"]


@pytest.mark.rule("CAL-121")
def test_a_payment_plan_has_as_many_installments_as_the_parameter_allows(world: World) -> None:
    plan = {
        "description": "Monthly", "type": "MONTHLY", "frequency": "MONTHLY", "due_day_type": "DAY_OF_MONTH",
        "effective_date": "2025-01-01",
    }  # fmt: skip
    world.do("CreatePaymentPlan", code="P-12", uri="urn:p:12", max_installments=12, **plan)
    parameter(world, "plan.max_installments", 6)
    seven = world.refused("CreatePaymentPlan", code="P-7", uri="urn:p:7", max_installments=7, **plan)
    assert seven[1] == ["PLAN_COUNT_OUT_OF_RANGE"]
    world.do("CreatePaymentPlan", code="P-6", uri="urn:p:6", max_installments=6, **plan)


@pytest.mark.rule("CAL-102", "CAL-E25")
def test_modal_periods_begin_with_the_invoicing_period_where_the_parameter_aligns_them(world: World) -> None:
    world.on("2024-12-20")
    account, plain = world.group()
    parameter(world, "modal.align_first_period", True)
    aligned = world.policy("C-1", "MP-2")
    world.setup(aligned, account)
    own = world.policy("C-1", "MP-3", align_first_period=False)
    world.setup(own, account)
    found = {}
    for number, policy in enumerate((plain, aligned, own), 1):
        world.member(policy, f"MR-{number}", start="2025-03-20")
        periods = world.query(_MODAL, m=f"MR-{number}", **{"from": "2025-03-20", "to": "2025-03-31"})["modalPeriods"]
        found[policy] = [(one["anchor"], one["from"], one["to"]) for one in periods]
    first = [("2025-03-20", "2025-03-20", "2025-04-19")]
    assert found == {plain: first, aligned: [("2025-03-01", "2025-03-01", "2025-03-31")], own: first}


@pytest.mark.rule("PRM-091", "PRM-094")
def test_the_source_of_waivers_is_that_of_the_policy_and_of_what_is_set_for_it_later(world: World) -> None:
    world.on("2024-12-20")
    account, _ = world.group()
    parameter(world, "premium.premium_waiver_source", "POLICY")
    policy = world.policy("C-1", "MP-2")
    world.setup(policy, account)
    for member in ("MR-1", "MR-2"):
        world.member(policy, member, customer="P-1")
    waiver = {"source": "CLAIMS", "origin": "CLAIMS", "end_date": "2025-03-01"}
    assert told("ApplyPremiumWaiver", world, "MR-1", "2025-02-01", **waiver) == ["WAIVER_SOURCE_NOT_ALLOWED"]
    parameter(world, "premium.premium_waiver_source", "CLAIMS")
    assert told("ApplyPremiumWaiver", world, "MR-1", "2025-02-01", **waiver) == ["WAIVER_SOURCE_NOT_ALLOWED"]
    parameter(world, "premium.premium_waiver_source", "CLAIMS", master_policy=policy)
    parameter(world, "premium.apply_to_all_policies", False)
    alone = given("ApplyPremiumWaiver", world, "MR-1", "2025-02-01", **waiver)
    assert alone["applied_to"] == []
    both = given(
        "ApplyPremiumWaiver", world, "MR-1", "2025-04-01", **{**waiver, "end_date": "2025-05-01"},
        apply_to_all_policies=True,
    )  # fmt: skip
    assert [one["member_record"] for one in both["applied_to"]] == ["MR-2"]


@pytest.mark.rule("PRM-092")
def test_a_claim_is_filed_in_time_by_the_parameter_of_its_product(world: World) -> None:
    world.on("2025-06-01")
    account, free = world.group()
    parameter(world, "premium.waiver_claim_filing_days", 90, product="GROUP-STD")
    bound = world.policy("C-1", "MP-2", product="GROUP-STD")
    stated = world.policy("C-1", "MP-3", product="GROUP-STD", waiver_claim_filing_days=365)
    for number, policy in enumerate((free, bound, stated), 1):
        if policy != free:
            world.setup(policy, account)
        world.member(policy, f"MR-{number}")
    claim = {"source": "CLAIMS", "origin": "CLAIMS", "end_date": "2025-03-01"}
    given("ApplyPremiumWaiver", world, "MR-1", "2025-02-01", **claim)
    assert told("ApplyPremiumWaiver", world, "MR-2", "2025-02-01", **claim) == ["WAIVER_DATE_MISALIGNED"]
    given("ApplyPremiumWaiver", world, "MR-3", "2025-02-01", **claim)


@pytest.mark.rule("PRM-116", "PRM-117")
def test_a_roll_on_waits_or_comes_with_its_decisions_as_the_parameter_says(world: World) -> None:
    world.on("2025-04-20")
    _, policy = world.group()
    for member in ("MR-1", "MR-2"):
        world.member(policy, member)
        amend(world, member, "2025-04-01", ("LIFE", "1440.00"))
    amend(world, "MR-1", "2025-02-01", ("LIFE", "1320.00"))
    parameter(world, "premium.roll_on_mode", "AUTOMATIC", master_policy=policy)
    early = {"kinds": ["GENERAL"], "amounts": life("1320.00")}
    assert told("ApplyAmendment", world, "MR-2", "2025-02-01", **early) == ["ROLL_ON_INCOMPLETE"]

    def locked() -> list[tuple[str, int, bool]]:
        nodes = world.query(_LOCKED)["rollOnPending"]["nodes"]
        return [(one["memberRecord"], one["daysPending"], one["overdue"]) for one in nodes]

    assert locked() == [("MR-1", 0, False)]
    world.on("2025-04-25")
    assert locked() == [("MR-1", 5, False)]
    parameter(world, "premium.roll_on_alert_days", 4)
    assert locked() == [("MR-1", 5, True)]


def test_a_page_of_the_modal_history_is_as_long_as_its_user_has_it_set(world: World) -> None:
    world.on("2024-12-20")
    _, policy = world.group()
    world.member(policy, "MR-1")
    for month in range(1, 12):
        amend(world, "MR-1", f"2025-{month:02}-16", ("LIFE", f"{1200 + month}.00"))
    parameter(world, "premium.modal_history_page_size", 10, user="ann")
    pages = {wanted: world.query(_HISTORY, m="MR-1", n=wanted)["modalPremiumHistory"] for wanted in (None, 11)}
    assert {wanted: len(found["nodes"]) for wanted, found in pages.items()} == {None: 10, 11: 11}
    assert pages[None]["totalCount"] > 11


def _amended_within(world: World, member: str, month: str) -> None:
    """1,200.00 a year but for the days from the 11th to the 20th of the month, which cost 2,400.00."""
    amend_for(world, member, f"{month}-11", f"{month}-21", "2400.00", "1200.00")


@pytest.mark.rule("PRM-024", "PLT-110", "PRM-121")
def test_another_proration_basis_prices_no_invoiced_period_anew(world: World) -> None:
    """By 365: 21 days of 1,200.00 and 10 of 2,400.00 are 134.79; by the days of January and March 132.26."""
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    world.member(policy, "MR-2")
    for month in ("2025-01", "2025-02", "2025-03", "2025-04"):
        _amended_within(world, "MR-1", month)
    _, february = invoiced(world, account, 2)
    assert net(world, "MR-1", account, "2025-01-01", "2025-04-30") == ["134.79", "124.93", "134.79", "131.51"]
    parameter(world, "premium.proration_basis", "MODAL_PERIOD_DAYS")
    assert net(world, "MR-1", account, "2025-01-01", "2025-04-30") == ["134.79", "124.93", "132.26", "133.33"]
    world.do("RecalculateAnyb", accounts=[account])
    assert anyb(world, "MR-1") == "0.00"
    # What changes in an invoiced period changes by the basis it was invoiced by.
    _amended_within(world, "MR-2", "2025-01")
    assert anyb_by_period(world, "MR-2") == {"2025-01-01": "34.79"}
    march = generate(world, account)
    assert sorted((one[1], one[3]) for one in lines(world, account, march)) == [
        ("MR-1", "132.26"), ("MR-2", "100.00"), ("MR-2", "34.79"),
    ]  # fmt: skip
    parameter(world, "premium.proration_basis", "ANNUAL_ACTUAL")
    assert anyb(world, "MR-1") == "0.00"
    # A discarded period is priced when it is invoiced again, by what is set then for its first day.
    parameter(world, "premium.proration_basis", "MODAL_PERIOD_DAYS")
    discard(world, february)
    again = regenerate(world, february)
    assert [one[3] for one in lines(world, account, again)] == ["135.71", "100.00"]
    assert anyb(world, "MR-1") == "0.00"
    world.check(account)
    world.verify()


@pytest.mark.rule("PRM-024", "PLT-110", "PRM-E22")
def test_a_proration_basis_prices_past_periods_that_are_not_invoiced(world: World) -> None:
    world.on("2026-11-26")
    account, policy = world.group(start="2024-01-01")
    for member in ("MR-1", "MR-2"):
        world.member(policy, member, start="2024-01-01")
    given("ApplyCancellation", world, "MR-1", "2024-02-11")
    for value, february in (("MODAL_PERIOD_DAYS", "34.48"), ("ANNUAL_ACTUAL", "32.79"), ("ANNUAL_365", "32.88")):
        parameter(world, "premium.proration_basis", value, account=account)
        assert net(world, "MR-1", account, "2024-02-01", "2024-02-29") == [february]
    invoiced(world, account, 2)
    later = {"name": "premium.proration_basis", "value": "MODAL_PERIOD_DAYS", "effective_from": "2026-12-01"}
    world.do("SetParameter", keys={"account": account}, **later)
    given("ApplyCancellation", world, "MR-2", "2024-03-11")
    assert net(world, "MR-2", account, "2024-03-01", "2024-03-31") == ["32.88"]
    world.on("2026-12-01")
    assert net(world, "MR-2", account, "2024-03-01", "2024-03-31") == ["32.26"]
    assert net(world, "MR-1", account, "2024-02-01", "2024-02-29") == ["32.88"]
    world.do("RecalculateAnyb", accounts=[account])
    assert anyb(world, "MR-1") == "0.00"
    world.check(account)


@pytest.mark.rule("PRM-024", "PLT-110")
def test_a_proration_basis_holds_from_the_first_period_that_starts_on_its_day_or_later(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    world.member(policy, "MR-2", start="2025-01-16")
    for month in ("2025-02", "2025-03"):
        for member in ("MR-1", "MR-2"):
            _amended_within(world, member, month)
    basis = {"name": "premium.proration_basis", "value": "MODAL_PERIOD_DAYS", "effective_from": "2025-02-15"}
    world.do("SetParameter", **basis)
    assert net(world, "MR-1", account, "2025-02-01", "2025-03-31") == ["124.93", "132.26"]
    # MR-2's periods start on the 16th: that of January is before the day (by its own days 116.13), the next behind it.
    found = charges(world, "MR-2", account, "2025-02-01", "2025-03-31")
    assert found[:2] == [("2025-01-16", "118.36"), ("2025-02-16", "135.71")]
    invoiced(world, account, 3)
    world.check(account)


@pytest.mark.rule("PRM-024")
def test_the_proration_basis_of_a_product_is_that_of_its_policies_unless_the_account_has_one(world: World) -> None:
    world.on("2024-12-20")
    account, plain = world.group()
    other = world.policy("C-1", "MP-2", product="GROUP-STD")
    world.setup(other, account)
    for number, policy in enumerate((plain, other), 1):
        world.member(policy, f"MR-{number}")
        _amended_within(world, f"MR-{number}", "2025-01")

    def january() -> list[str]:
        return [net(world, member, account, "2025-01-01", "2025-01-31")[0] for member in ("MR-1", "MR-2")]

    parameter(world, "premium.proration_basis", "MODAL_PERIOD_DAYS", product="GROUP-STD")
    assert january() == ["134.79", "132.26"]
    parameter(world, "premium.proration_basis", "MODAL_PERIOD_DAYS")
    parameter(world, "premium.proration_basis", "ANNUAL_365", product="GROUP-STD")
    assert january() == ["132.26", "134.79"]
    invoiced(world, account, 1)
    parameter(world, "premium.proration_basis", "MODAL_PERIOD_DAYS", account=account)
    _amended_within(world, "MR-2", "2025-02")
    assert january() == ["132.26", "134.79"]
    assert net(world, "MR-2", account, "2025-02-01", "2025-02-28") == ["135.71"]
    world.check(account)


@pytest.mark.rule("PLT-052", "PLT-110")
def test_jobs_start_at_the_time_of_day_that_their_parameter_says(world: World) -> None:
    world.on("2025-03-10", 12)
    world.calendar()
    nightly = {"AnybRecalculation", "WaiverExpiration"}

    def started(day: str, hour: int) -> set[str]:
        world.on(day, hour)
        return nightly & set(world.system.scheduler.tick())

    assert started("2025-03-10", 12) == nightly
    later = {"premium.anyb_job_time": "05:00", "premium.waiver_expiration_job_time": "07:00"}
    for name, time in later.items():
        world.do("SetParameter", name=name, value=time, effective_from="2025-03-11")
    assert [started("2025-03-11", hour) for hour in (4, 5, 6, 7)] == [
        set(), {"AnybRecalculation"}, set(), {"WaiverExpiration"},
    ]  # fmt: skip
    own = {"name": "job.start_time", "keys": {"job": "AnybRecalculation"}, "value": "01:00"}
    world.do("SetParameter", **own, effective_from="2025-03-13")
    assert [started("2025-03-12", hour) for hour in (2, 5)] == [set(), {"AnybRecalculation"}]
    assert [started("2025-03-13", hour) for hour in (0, 1, 5)] == [{"WaiverExpiration"}, {"AnybRecalculation"}, set()]
