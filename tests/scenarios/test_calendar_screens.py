"""The schedule of an account as its screens show it: previews of what might be, periods, versions, payroll dates."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from infrastructure.postgres.server import EmbeddedServer
from tests.scenarios.billing import discard, generate
from tests.scenarios.conftest import World, fresh_world
from tests.scenarios.premiums import invoiced
from tests.scenarios.test_jobs import run_job

_PERIODS = """query ($a: String!, $n: Int! = 4, $p: ProposedSchedule) {
  schedulePreview(account: $a, periods: $n, proposed: $p) {
    number from to status partial anchor frequency computedDueDate generationDate windowEnd draftDate } }"""
_INVOICED = """query ($a: String!, $n: Int! = 12) { invoicingPeriods(account: $a, first: $n) {
  number from to status computedDueDate dueDate corrections late invoice partial } }"""
_HISTORY = """query ($a: String!) { scheduleHistory(account: $a) { totalCount nodes {
  version author businessDate frequency dueDayMode dueDays changed reset firstDay } } }"""
_PAYROLL = """query ($a: String!, $gaps: Boolean! = false) { payrollCalendars(account: $a, gaps: $gaps) {
  number status payrollFrequency startDate payrollDays draft frozenTo dates
  lastShift { oldStart newStart unit amount } } }"""


def preview(world: World, account: str, periods: int = 4, **proposed: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.query(_PERIODS, a=account, n=periods, p=proposed or None)["schedulePreview"]
    return found


def spans(periods: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["from"], one["to"]) for one in periods]


def payroll(world: World, account: str, *, gaps: bool = False) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.query(_PAYROLL, a=account, gaps=gaps)["payrollCalendars"]
    return found


def group_from(world: World, start: str, **schedule: Any) -> str:
    """A group billed from a day on; its account."""
    world.calendar()
    policy = world.policy(world.sponsor(), start=start)
    wanted = {"frequency": "MONTHLY", "due_day_mode": "PERIOD_START_OFFSET", **schedule}
    account = world.account("C-1", in_single_bill_setup=True, schedule=wanted)
    world.setup(policy, account)
    return account


_FIRST_PERIODS = [
    ("MONTHLY", "2024-01-31", ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]),
    ("MONTHLY", "2024-01-30", ["2024-01-30", "2024-02-29", "2024-03-30", "2024-04-30"]),
    ("MONTHLY", "2024-04-30", ["2024-04-30", "2024-05-31", "2024-06-30", "2024-07-31"]),
    ("MONTHLY", "2025-01-29", ["2025-01-29", "2025-02-28", "2025-03-29", "2025-04-29"]),
    ("QUARTERLY", "2025-11-30", ["2025-11-30", "2026-02-28", "2026-05-31", "2026-08-31"]),
    ("BIMONTHLY", "2023-12-31", ["2023-12-31", "2024-02-29", "2024-04-30", "2024-06-30"]),
    ("ANNUAL", "2024-02-29", ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]),
    ("SEMI_ANNUAL", "2024-08-31", ["2024-08-31", "2025-02-28", "2025-08-31", "2026-02-28"]),
    ("SEMI_MONTHLY", "2024-01-01", ["2024-01-01", "2024-01-16", "2024-02-01", "2024-02-16", "2024-03-01"]),
    ("SEMI_MONTHLY", "2024-01-10", ["2024-01-10", "2024-01-25", "2024-02-10", "2024-02-25", "2024-03-10"]),
    ("SEMI_MONTHLY", "2023-02-15", ["2023-02-15", "2023-03-02", "2023-03-15", "2023-03-30", "2023-04-15"]),
    ("EVERY_28_DAYS", "2026-01-01", ["2026-01-01", "2026-01-29", "2026-02-26", "2026-03-26"]),
    ("BIWEEKLY", "2024-03-04", ["2024-03-04", "2024-03-18", "2024-04-01"]),
    ("WEEKLY", "2024-03-04", ["2024-03-04", "2024-03-11", "2024-03-18"]),
]


@pytest.mark.rule("CAL-043", "CAL-044", "CAL-045", "CAL-046", "CAL-047", "CAL-048", "CAL-E03", "CAL-E04", "CAL-E05")
def test_the_periods_of_every_frequency_follow_from_its_anchor_alone(world: World) -> None:
    """One account a case; leap years, month ends and 53-week years come out of the one preview."""
    world.on("2023-01-02")
    world.calendar()
    sponsor = world.sponsor()
    for number, (frequency, start, starts) in enumerate(_FIRST_PERIODS, 1):
        policy = world.policy(sponsor, f"MP-{number}", start=start)
        schedule = {"frequency": frequency, "due_day_mode": "PERIOD_START_OFFSET"}
        if frequency in ("WEEKLY", "BIWEEKLY", "EVERY_28_DAYS"):
            schedule |= {"generation_option": "UNITS_IN_ADVANCE"}
        account = world.account(sponsor, in_single_bill_setup=True, schedule=schedule)
        world.setup(policy, account)
        found = preview(world, account, len(starts))
        assert [one["from"] for one in found] == starts, frequency
        for one, following in itertools.pairwise(found):
            assert date.fromisoformat(one["to"]) + timedelta(1) == date.fromisoformat(following["from"]), frequency
        assert {one["anchor"] for one in found} == {start}


@pytest.mark.rule("CAL-051", "CAL-053", "CAL-E07")
def test_a_change_of_frequency_can_be_tried_before_it_is_made(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    _, february = invoiced(world, account, 2)
    discard(world, february)
    head = world.head()
    proposed = {"frequency": "QUARTERLY"}
    tried = preview(world, account, 3, **proposed)
    assert spans(tried) == [
        ("2025-02-01", "2025-02-28"), ("2025-03-01", "2025-05-31"), ("2025-06-01", "2025-08-31"),
    ]  # fmt: skip
    assert world.head() == head
    assert spans(preview(world, account, 2)) == [("2025-02-01", "2025-02-28"), ("2025-03-01", "2025-03-31")]
    world.do("ConfigureInvoicingSchedule", account=account, schedule=proposed)
    assert spans(preview(world, account, 3)) == spans(tried)


@pytest.mark.rule("CAL-021", "CAL-022", "CAL-023", "CAL-025", "CAL-085")
@pytest.mark.parametrize(
    ("proposed", "code"),
    [
        ({"dueDays": [32]}, "DUE_DAYS_INVALID"),
        ({"frequency": "WEEKLY", "dueDayMode": "CALENDAR_DAY"}, "DUE_DAY_MODE_NOT_ALLOWED"),
        ({"frequency": "SEMI_MONTHLY"}, "DUE_DAYS_INVALID"),
        ({"frequency": "FORTNIGHTLY"}, "REQUEST_INVALID"),
        ({"dueDateOffset": 2}, "ADVANCED_MODE_REQUIRED"),
        ({"advancedMode": True, "timing": "ON_TIME", "dueDateOffset": 2}, "OFFSET_NOT_ALLOWED"),
        ({"advancedMode": True, "timing": "ARREARS", "dueDateOffset": 13}, "OFFSET_OUT_OF_RANGE"),
        ({"advancedMode": True, "generationOption": "DAY_OF_MONTH", "generationDay": 20}, "GENERATION_AFTER_DUE"),
        ({"advancedMode": True, "seasonalBilling": True, "seasonalGaps": []}, "SEASONAL_GAP_COUNT_INVALID"),
    ],
)
def test_proposed_values_are_answered_with_the_codes_of_their_refusal(
    calendar_world: tuple[World, str], proposed: dict[str, Any], code: str
) -> None:
    world, account = calendar_world
    token = world.system.issuer.token("ann", world.roles)
    answer = world.client.post(
        "/v1/graphql",
        json={"query": _PERIODS, "variables": {"a": account, "p": proposed}},
        headers={"Authorization": f"Bearer {token}"},
    ).json()
    assert code in [one["code"] for one in answer["errors"][0]["extensions"]["problems"]], answer


@pytest.mark.rule("CAL-064", "CAL-065", "CAL-076")
def test_periods_show_why_a_due_date_moved(world: World) -> None:
    world.on("2025-02-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    invoiced(world, account, 2)
    january, february, march, *_ = world.query(_INVOICED, a=account)["invoicingPeriods"]
    assert (january["computedDueDate"], january["dueDate"], january["corrections"]) == (
        "2025-01-01", "2025-03-01", ["PAST_DATE"],
    )  # fmt: skip
    assert (february["status"], february["dueDate"]) == ("INVOICED", "2025-03-01")
    assert (march["status"], march["dueDate"], march["corrections"], march["late"]) == ("OPEN", None, [], True)


@pytest.mark.rule("CAL-027", "CAL-037")
def test_the_versions_of_a_schedule_tell_who_changed_what(world: World) -> None:
    world.on("2024-12-20")
    account = group_from(world, "2025-01-01", due_day_mode="CALENDAR_DAY", due_days=[1])
    world.on("2025-01-02").do("ConfigureInvoicingSchedule", account=account, schedule={"frequency": "WEEKLY"})
    history = world.query(_HISTORY, a=account)["scheduleHistory"]
    assert history["totalCount"] == 2
    newest, first = history["nodes"]
    assert (first["version"], first["frequency"], first["dueDays"], first["reset"]) == (1, "MONTHLY", [1], [])
    assert (newest["version"], newest["frequency"], newest["dueDayMode"], newest["dueDays"]) == (
        2, "WEEKLY", "PERIOD_START_OFFSET", [],
    )  # fmt: skip
    assert (newest["businessDate"], newest["author"]) == ("2025-01-02", "ann")
    assert "frequency" in newest["changed"]
    assert "due_day_mode" in newest["reset"]


@pytest.mark.rule("CAL-084", "CAL-085", "CAL-087", "CAL-090")
def test_gap_months_are_stepped_over_and_locked_by_invoices(world: World) -> None:
    world.on("2024-12-20")
    account = group_from(world, "2025-01-01", due_day_mode="CALENDAR_DAY", due_days=[1], advanced_mode=True)
    world.member("MP-1", "MR-1")
    assert world.refused("ChangeSeasonalGaps", account=account, seasonal_billing=True, months=[])[1] == [
        "SEASONAL_GAP_COUNT_INVALID"
    ]
    every = list(range(1, 13))
    assert world.refused("ChangeSeasonalGaps", account=account, seasonal_billing=True, months=every)[1] == [
        "SEASONAL_GAP_COUNT_INVALID"
    ]
    world.do("ChangeSeasonalGaps", account=account, seasonal_billing=True, months=[6, 7, 8])
    assert world.refused("ConfigureInvoicingSchedule", account=account, schedule={"frequency": "QUARTERLY"})[1] == [
        "SEASONAL_REQUIRES_MONTHLY"
    ]
    issued = invoiced(world, account, 5)
    statuses = [one["status"] for one in world.query(_INVOICED, a=account, n=9)["invoicingPeriods"]]
    assert statuses == ["INVOICED"] * 5 + ["GAP"] * 3 + ["PLANNED"]
    locked = world.refused("ChangeSeasonalGaps", account=account, seasonal_billing=True, months=[7, 8])
    assert locked[1] == ["SEASONAL_LOCKED"]
    gap = world.refused("GenerateInvoice", account=account, period_start="2025-07-01", confirmed=True)
    assert gap[1] == ["SEASONAL_GAP"]
    september = world.do("GenerateInvoice", account=account, confirmed=True)
    assert (september["period_start"], september["billed"]["amount"]) == ("2025-09-01", "133.33")
    for number in [september["invoice"], *reversed(issued)]:
        discard(world, number)
    world.do("ChangeSeasonalGaps", account=account, seasonal_billing=True, months=[7, 8])
    assert generate(world, account)
    world.check(account)


@pytest.mark.rule("CAL-093", "CAL-094", "CAL-E16")
def test_a_seasonal_account_that_bills_individually_has_one_locked_monthly_calendar(world: World) -> None:
    world.on("2026-01-20")
    world.calendar()
    policy = world.policy(world.sponsor(), start="2026-02-15")
    schedule = {"frequency": "MONTHLY", "due_day_mode": "PERIOD_START_OFFSET", "advanced_mode": True}
    account = world.account("C-1", in_single_bill_setup=True, schedule=schedule)
    pattern = {"payroll_frequency": "WEEKLY", "start_date": "2026-02-15", "payroll_days": [5]}
    world.do("DefinePayrollCalendar", account=account, **pattern)
    world.do("ConfirmPayrollCalendar", account=account, payroll_frequency="WEEKLY")
    world.setup(policy, account, allocation_mode="INDIVIDUAL")
    world.do("ChangeSeasonalGaps", account=account, seasonal_billing=True, months=[7])
    [locked] = payroll(world, account)
    assert (locked["status"], locked["payrollFrequency"], locked["payrollDays"]) == ("LOCKED", "MONTHLY", [15])
    assert locked["dates"][:6] == [
        "2026-02-15", "2026-03-15", "2026-04-15", "2026-05-15", "2026-06-15", "2026-08-15",
    ]  # fmt: skip
    assert "2026-07-15" in payroll(world, account, gaps=True)[0]["dates"]
    edited = world.refused(
        "ChangePayrollCalendar", account=account, serving="MONTHLY", payroll_frequency="MONTHLY",
        start_date="2026-03-01", payroll_days=[1],
    )  # fmt: skip
    assert edited[1] == ["PAYROLL_CALENDAR_LOCKED"]
    world.do("ChangeSeasonalGaps", account=account, seasonal_billing=False, months=[])
    assert [one["status"] for one in payroll(world, account)] == ["CONFIRMED"]


@pytest.mark.rule("CAL-115", "CAL-116", "CAL-117", "CAL-119", "CAL-E20")
@pytest.mark.parametrize(
    ("old", "new", "pattern", "start", "dates", "shift"),
    [
        (
            "2024-01-01", "2024-02-01", ("MONTHLY", "2024-01-31", [31]), "2024-02-29",
            ["2024-02-29", "2024-03-31", "2024-04-30"], ("MONTHS", 1),
        ),
        (
            "2024-01-01", "2024-02-15", ("WEEKLY", "2024-01-05", [5]), "2024-02-19",
            ["2024-02-23", "2024-03-01", "2024-03-08"], ("DAYS", 45),
        ),
    ],
)  # fmt: skip
def test_a_rewrite_shifts_the_deduction_dates(
    world: World, old: str, new: str, pattern: tuple[str, str, list[int]], start: str, dates: list[str],
    shift: tuple[str, int],
) -> None:  # fmt: skip
    world.on("2023-12-20")
    world.calendar()
    policy = world.policy(world.sponsor(), start=old)
    account = world.account("C-1", in_single_bill_setup=True)
    frequency, first, days = pattern
    stated = {"payroll_frequency": frequency, "start_date": first, "payroll_days": days}
    world.do("DefinePayrollCalendar", account=account, **stated)
    world.do("ConfirmPayrollCalendar", account=account, payroll_frequency=frequency)
    world.setup(policy, account, allocation_mode="INDIVIDUAL")
    world.do(
        "ApplyMasterPolicyTransaction", transaction_id="RW-1", master_policy=policy, type="REWRITE", effective_date=new
    )
    [calendar] = payroll(world, account)
    assert (calendar["startDate"], calendar["dates"][:3], calendar["status"]) == (start, dates, "CONFIRMED")
    assert calendar["lastShift"] == {"oldStart": first, "newStart": start, "unit": shift[0], "amount": shift[1]}


@pytest.fixture(scope="module")
def calendar_world(database_server: EmbeddedServer, service_template: str) -> Iterator[tuple[World, str]]:
    """One service for all proposals, none of which changes anything."""
    with fresh_world(database_server, service_template) as world:
        world.on("2024-12-20")
        account, _ = world.group()
        yield world, account


@pytest.mark.rule("CAL-105", "CAL-106", "CAL-110", "CAL-111", "CAL-113", "CAL-E21")
def test_payroll_calendars_are_reviewed_changed_and_rolled_on(world: World) -> None:
    world.on("2023-12-20")
    world.calendar()
    policy = world.policy(world.sponsor(), start="2024-01-01")
    account = world.account("C-1", in_single_bill_setup=True)
    bare = world.refused("DefinePayrollCalendar", account=account, payroll_frequency="MONTHLY")
    assert set(bare[1]) == {"PAYROLL_CALENDAR_INCOMPLETE"}
    wrong = {"account": account, "payroll_frequency": "WEEKLY", "start_date": "2024-01-01", "payroll_days": [8]}
    assert world.refused("DefinePayrollCalendar", **wrong)[1] == ["PAYROLL_DAY_INVALID"]
    twins = {**wrong, "payroll_frequency": "SEMI_MONTHLY", "payroll_days": [15, 15]}
    assert world.refused("DefinePayrollCalendar", **twins)[1] == ["PAYROLL_DAY_INVALID"]
    monthly = {**wrong, "payroll_frequency": "MONTHLY", "start_date": "2024-01-10", "payroll_days": [10]}
    world.do("DefinePayrollCalendar", **monthly)
    world.do("ConfirmPayrollCalendar", account=account, payroll_frequency="MONTHLY")
    world.setup(policy, account, allocation_mode="INDIVIDUAL")
    ends = {**wrong, "payroll_frequency": "SEMI_MONTHLY", "start_date": "2024-02-01", "payroll_days": [31, 30]}
    _, half = world.do("DefinePayrollCalendar", **ends)["calendars"]
    assert half["dates"][:5] == ["2024-02-29", "2024-03-30", "2024-03-31", "2024-04-30", "2024-05-30"]
    world.member(policy, "MR-1", start="2024-01-01", payroll_frequency="MONTHLY")
    invoiced(world, account, 3)
    changed = {**wrong, "payroll_frequency": "BIWEEKLY", "start_date": "2024-03-22", "payroll_days": [5]}
    world.do("ChangePayrollCalendar", serving="MONTHLY", **changed)
    by_draft = {one["draft"]: one for one in payroll(world, account) if one["payrollFrequency"] != "SEMI_MONTHLY"}
    assert by_draft[False]["payrollFrequency"] == "MONTHLY"  # in force until the new one is confirmed
    world.do("ConfirmPayrollCalendar", account=account, payroll_frequency="BIWEEKLY")
    [now] = [one for one in payroll(world, account) if one["payrollFrequency"] == "BIWEEKLY"]
    assert now["dates"][:6] == [
        "2024-01-10", "2024-02-10", "2024-03-10", "2024-04-05", "2024-04-19", "2024-05-03",
    ]  # fmt: skip
    assert now["frozenTo"] == "2024-03-31"
    world.on("2024-12-20")
    assert world.do("ExtendPayrollCalendars", account=account, roles=("SYS",))["added"] > 20
    assert world.do("ExtendPayrollCalendars", account=account, roles=("SYS",))["added"] == 0
    [rolled] = [one for one in payroll(world, account) if one["payrollFrequency"] == "BIWEEKLY"]
    assert rolled["dates"][-1] > "2026-12-01"
    assert world.refused("ExtendPayrollCalendars", account=account)[1] == ["FORBIDDEN"]


@pytest.mark.rule("CAL-111")
def test_the_daily_job_rolls_the_horizon_of_every_account(world: World) -> None:
    world.on("2023-12-20")
    world.calendar()
    policy = world.policy(world.sponsor(), start="2024-01-01")
    account = world.account("C-1", in_single_bill_setup=True)
    pattern = {"payroll_frequency": "MONTHLY", "start_date": "2024-01-10", "payroll_days": [10]}
    world.do("DefinePayrollCalendar", account=account, **pattern)
    world.do("ConfirmPayrollCalendar", account=account, payroll_frequency="MONTHLY")
    world.setup(policy, account, allocation_mode="INDIVIDUAL")
    [before] = payroll(world, account)
    world.on("2024-12-20")
    run = run_job(world, "PayrollHorizon")
    assert (run["state"], run["done"]) == ("COMPLETED", 1)
    assert run_job(world, "PayrollHorizon")["skipped"] == {"UNCHANGED": 1}
    [after] = payroll(world, account)
    assert (before["dates"][-1], after["dates"][-1]) == ("2025-12-10", "2026-12-10")
    assert after["dates"][: len(before["dates"])] == before["dates"]


_OPTIONS = """query ($a: String!, $p: ProposedSchedule) { scheduleOptions(account: $a, proposed: $p) {
  frequencies dueDayModes primaryDueDays secondaryDueDays timings generationOptions editable gapsLocked reset
  dayOffset { low high } dueDateOffset { low high } } }"""


@pytest.mark.rule("CAL-070", "CAL-021", "CAL-031", "CAL-090")
def test_a_schedule_page_offers_what_fits_the_values_chosen_so_far(world: World) -> None:
    world.on("2024-12-20")
    account = group_from(world, "2025-01-01", due_day_mode="CALENDAR_DAY", due_days=[20], advanced_mode=True)
    world.member("MP-1", "MR-1")

    def offered(**proposed: Any) -> dict[str, Any]:
        found: dict[str, Any] = world.query(_OPTIONS, a=account, p=proposed or None)["scheduleOptions"]
        return found

    stored = offered()
    assert len(stored["frequencies"]) == 9
    assert (len(stored["dueDayModes"]), stored["primaryDueDays"][-1], stored["reset"]) == (3, 31, [])
    assert (stored["gapsLocked"], "seasonal_gaps" in stored["editable"]) == (False, True)
    twice = offered(frequency="SEMI_MONTHLY")
    assert (twice["primaryDueDays"][-1], twice["secondaryDueDays"][0]) == (27, 21)
    assert offered(frequency="SEMI_MONTHLY", dueDays=[5])["secondaryDueDays"][0] == 6
    weekly = offered(frequency="WEEKLY")
    assert weekly["dueDayModes"] == ["PERIOD_START_OFFSET", "LAST_DAY_OF_PERIOD"]
    assert weekly["generationOptions"] == ["UNITS_IN_ADVANCE"]
    assert weekly["dayOffset"] == {"low": -6, "high": 6}
    assert {"due_day_mode", "due_days"} <= set(weekly["reset"])
    assert "seasonal_gaps" not in weekly["editable"]
    assert offered(timing="ARREARS")["dueDateOffset"] == {"low": 0, "high": 12}
    world.do("SetParameter", name="day_offset.limit", value=3, keys={"frequency": "WEEKLY"})
    assert offered(frequency="WEEKLY")["dayOffset"] == {"low": -3, "high": 3}
    generate(world, account)
    locked = offered()
    assert (locked["gapsLocked"], "seasonal_gaps" in locked["editable"]) == (True, False)
