"""Commands on an account's calendar: what a saved schedule tells, what a process or a parameter does to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from domain.accounts.account import (
    BillingAccountUpdated,
    InvoicingScheduleConfigured,
    InvoicingStartDateSet,
    SeasonalGapsChanged,
)
from infrastructure.postgres.command_records import lock_number
from tests.scenarios.billing import discard, generate, lines
from tests.scenarios.conftest import World
from tests.scenarios.premiums import charge_items, given, individual_account, told
from tests.scenarios.test_calendar_screens import group_from, payroll, preview, spans

_ITEMS = "query ($i: String!) { invoice(number: $i) { items { nodes { coveredFrom coveredTo } } } }"
_MODAL = """query ($m: String!) { modalPeriods(memberRecord: $m, from: "2025-04-30", to: "2025-07-01") { from to } }"""

_WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@contextmanager
def busy(world: World, account: str) -> Iterator[None]:
    """Somebody else works on the account: what wants it waits until this is over."""
    key = lock_number(f"account:{account}")
    with world.system.database.writing() as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (key,))
        try:
            yield
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s)", (key,))


def until_somebody_waits(world: World) -> None:
    """Until a request has begun its process and waits for the account."""
    for _ in range(400):
        with world.system.database.writing() as connection:
            if connection.execute(_WAITING).fetchone() != (0,):
                return
        time.sleep(0.01)
    raise AssertionError("no request waits for the account")


def process_on(world: World, kind: str, account: str) -> tuple[str, dict[str, Any]]:
    """A process that may be started on the account: its command."""
    if kind == "GENERATION":
        return "GenerateInvoice", {"account": account, "confirmed": True}
    invoice = generate(world, account)
    if kind == "DISCARD":
        return "DiscardInvoice", {"invoice": invoice, "reason": "Wrong rates", "confirmed": True}
    discard(world, invoice)
    return "RegenerateInvoice", {"invoice": invoice, "confirmed": True}


@pytest.mark.rule("CAL-028")
@pytest.mark.parametrize("kind", ["GENERATION", "DISCARD", "REGENERATION"])
def test_a_schedule_is_not_changed_while_a_process_runs_on_the_account(world: World, kind: str) -> None:
    """Two requests at once: the change is refused at once with whatever else is wrong with it, and may come later."""
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    name, payload = process_on(world, kind, account)
    schedule = {"due_days": [10]}
    with ThreadPoolExecutor(1) as pool, busy(world, account):
        running = pool.submit(lambda: world.send(name, **payload))
        until_somebody_waits(world)
        answer = world.send("ConfigureInvoicingSchedule", account=account, schedule=schedule)
        wrong = world.refused("ConfigureInvoicingSchedule", account=account, schedule={"due_days": [32]})
        gaps = world.refused("ChangeSeasonalGaps", account=account, seasonal_billing=True, months=[7])
    assert answer.status_code == 409
    [problem] = answer.json()["problems"]
    assert (problem["code"], problem["params"]["process"]) == ("PROCESS_CONFLICT", kind)
    assert set(wrong[1]) == {"DUE_DAYS_INVALID", "PROCESS_CONFLICT"}
    assert "PROCESS_CONFLICT" in gaps[1]
    assert running.result().status_code == 200, running.result().text
    world.do("ConfigureInvoicingSchedule", account=account, schedule=schedule)
    world.verify()


@pytest.mark.rule("CAL-028", "INV-150")
def test_who_sees_only_some_accounts_is_refused_at_once_too(world: World) -> None:
    world.on("2024-12-20")
    account, policy = world.group()
    world.member(policy, "MR-1")
    token = world.system.issuer.token("sue", ("BOF",), scope_nodes=("C-1",))

    def ask(name: str, key: str, **payload: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
        return world.client.post(f"/v1/commands/{name}", json={"payload": payload}, headers=headers)

    bill = {"account": account, "confirmed": True}
    with ThreadPoolExecutor(1) as pool, busy(world, account):
        running = pool.submit(lambda: ask("GenerateInvoice", "first", **bill))
        until_somebody_waits(world)
        refused = [
            ask("ConfigureInvoicingSchedule", "second", account=account, schedule={"due_days": [10]}),
            ask("GenerateInvoice", "third", **bill),
        ]
    assert [answer.json()["code"] for answer in refused] == ["PROCESS_CONFLICT"] * 2
    assert running.result().status_code == 200, running.result().text
    assert len(world.check(account).live) == 1


@pytest.mark.rule("CAL-028")
def test_a_saved_schedule_tells_that_the_account_was_updated(world: World) -> None:
    world.on("2024-12-20")
    account, _ = world.group()
    assert world.events(BillingAccountUpdated) == []
    world.do("ConfigureInvoicingSchedule", account=account, schedule={"advanced_mode": True})
    world.do("ChangeSeasonalGaps", account=account, seasonal_billing=True, months=[7, 8])
    told = world.events(InvoicingScheduleConfigured, SeasonalGapsChanged, BillingAccountUpdated)
    assert [type(one).__name__ for one in told] == [
        "InvoicingScheduleConfigured",
        "InvoicingScheduleConfigured",
        "BillingAccountUpdated",
        "InvoicingScheduleConfigured",
        "SeasonalGapsChanged",
        "BillingAccountUpdated",
    ]
    updates = world.events(BillingAccountUpdated)
    assert [(one.number, one.schedule_version) for one in updates] == [(account, 2), (account, 3)]
    refused = world.refused("ConfigureInvoicingSchedule", account=account, schedule={"due_days": [10]}, roles=("AUD",))
    assert refused == (403, ["FORBIDDEN"])
    world.do("UpdateInvoicePreferences", account=account, content_type="SUMMARY")
    last = world.events(BillingAccountUpdated)[-1]
    assert (last.schedule_version, last.preferences.content_type) == (None, "SUMMARY")


def parameter(world: World, name: str, value: Any, **keys: str) -> None:
    """Set a parameter from today on, for the system or for the keys."""
    world.do("SetParameter", name=name, value=value, keys=keys)


def billed_from(world: World, number: int, start: str, frequency: str = "MONTHLY") -> str:
    """A group of its own, billed from a day on; its account."""
    policy = world.policy("C-1", f"MP-{number}", start=start)
    schedule = {"frequency": frequency, "due_day_mode": "PERIOD_START_OFFSET"}
    account = world.account("C-1", in_single_bill_setup=True, schedule=schedule)
    world.setup(policy, account)
    return account


@pytest.mark.rule("CAL-039", "CAL-038")
def test_invoicing_starts_where_the_parameter_aligns_it(world: World) -> None:
    world.on("2024-12-20")
    world.calendar()
    world.sponsor()
    plain = billed_from(world, 1, "2025-01-16")
    parameter(world, "invoicing_start.alignment", "MONTH_START", frequency_category="PERIOD")
    parameter(world, "invoicing_start.alignment", "WEEK_START", frequency_category="CYCLE")
    parameter(world, "invoicing_start.alignment_weekday", 7)
    monthly, weekly = billed_from(world, 2, "2025-01-16"), billed_from(world, 3, "2025-01-16", "WEEKLY")
    assert spans(preview(world, plain, 1)) == [("2025-01-16", "2025-02-15")]
    assert spans(preview(world, monthly, 2)) == [("2025-01-01", "2025-01-31"), ("2025-02-01", "2025-02-28")]
    assert spans(preview(world, weekly, 1)) == [("2025-01-12", "2025-01-18")]
    world.member("MP-2", "MR-1", start="2025-01-16")
    invoice = generate(world, monthly)
    assert lines(world, monthly, invoice) == [("CHARGE", "MR-1", "LIFE", "100.00")]
    [item] = world.query(_ITEMS, i=invoice)["invoice"]["items"]["nodes"]
    assert (item["coveredFrom"], item["coveredTo"]) == ("2025-01-16", "2025-02-15")


@pytest.mark.rule("CAL-039", "CAL-042")
def test_a_rewrite_aligns_the_start_too(world: World) -> None:
    world.on("2024-12-20")
    world.calendar()
    world.sponsor()
    account = billed_from(world, 1, "2025-01-16")
    parameter(world, "invoicing_start.alignment", "MONTH_START", account=account)
    assert spans(preview(world, account, 1)) == [("2025-01-16", "2025-02-15")]  # a parameter moves no grid
    world.do(
        "ApplyMasterPolicyTransaction", transaction_id="RW-1", master_policy="MP-1", type="REWRITE",
        effective_date="2025-02-10",
    )  # fmt: skip
    assert spans(preview(world, account, 1)) == [("2025-02-01", "2025-02-28")]


@pytest.mark.rule("CAL-046", "CAL-101")
def test_periods_stick_to_month_ends_as_the_parameter_of_the_account_says(world: World) -> None:
    world.on("2025-01-02")
    world.calendar()
    world.sponsor()
    sticky = billed_from(world, 1, "2025-04-30")
    parameter(world, "period.month_end_sticky", False)
    loose = billed_from(world, 2, "2025-04-30")
    assert [one["from"] for one in preview(world, sticky, 3)] == ["2025-04-30", "2025-05-31", "2025-06-30"]
    assert [one["from"] for one in preview(world, loose, 3)] == ["2025-04-30", "2025-05-30", "2025-06-30"]
    world.member("MP-2", "MR-2", start="2025-04-30")
    found = world.query(_MODAL, m="MR-2")["modalPeriods"]
    assert [one["from"] for one in found] == ["2025-04-30", "2025-05-30", "2025-06-30"]
    parameter(world, "period.month_end_sticky", True, account=loose)
    world.do("SetInvoicingStartDate", account=loose, date="2025-02-28")
    assert [one["from"] for one in preview(world, loose, 2)] == ["2025-02-28", "2025-03-31"]


@pytest.mark.rule("CAL-041", "CAL-038")
def test_a_moved_member_opens_earlier_periods_and_never_moves_the_start(world: World) -> None:
    world.on("2024-12-20")
    _, policy = world.group()
    for member in ("MR-1", "MR-2"):
        world.member(policy, member, customer="P-MR-1")
    direct = individual_account(world)
    move = {"type": "PORTABILITY", "account": direct, "modality": "MONTHLY"}
    given("MoveMemberToIndividualDirect", world, "MR-1", "2025-03-10", **move)
    assert spans(preview(world, direct, 1)) == [("2025-03-10", "2025-04-09")]
    given("MoveMemberToIndividualDirect", world, "MR-2", "2025-01-25", **move)
    assert [one["from"] for one in preview(world, direct, 3)] == ["2025-01-10", "2025-02-10", "2025-03-10"]
    assert {one["anchor"] for one in preview(world, direct, 3)} == {"2025-03-10"}
    [start] = [one for one in world.events(InvoicingStartDateSet) if one.number == direct]
    assert start.date.isoformat() == "2025-03-10"
    first = world.do("GenerateInvoice", account=direct, confirmed=True)
    assert (first["period_start"], first["period_end"]) == ("2025-01-10", "2025-02-09")
    world.check(direct)


def pays_by(world: World, account: str, frequency: str, days: list[int], *, confirm: bool = True) -> None:
    """A payroll calendar of the account from 2025-01-01 on."""
    pattern = {"payroll_frequency": frequency, "start_date": "2025-01-01", "payroll_days": days}
    world.do("DefinePayrollCalendar", account=account, **pattern)
    if confirm:
        world.do("ConfirmPayrollCalendar", account=account, payroll_frequency=frequency)


@pytest.mark.rule("CAL-112")
def test_members_billed_individually_need_a_confirmed_payroll_calendar_of_each_frequency(world: World) -> None:
    """The set-up is issued once every frequency the account serves has its confirmed dates."""
    world.on("2024-12-20")
    world.calendar()
    policy = world.policy(world.sponsor())
    account = world.account("C-1", in_single_bill_setup=True)
    started = world.do(
        "StartBillingSetup", master_policy=policy, allocation_mode="INDIVIDUAL", account=account,
        payroll_frequencies=["MONTHLY", "WEEKLY"],
    )  # fmt: skip

    def missing() -> list[tuple[str, str, str]]:
        answer = world.send("IssueBillingSetup", setup_ref=started["setup_ref"])
        assert answer.status_code == 422, answer.text
        return [(one["code"], one["pointer"], one["params"]["payroll_frequency"]) for one in answer.json()["problems"]]

    incomplete = ("PAYROLL_CALENDAR_INCOMPLETE", "/entries/0/account")
    assert missing() == [(*incomplete, "MONTHLY"), (*incomplete, "WEEKLY")]
    pays_by(world, account, "WEEKLY", [5])
    pays_by(world, account, "SEMI_MONTHLY", [15, 31], confirm=False)
    assert missing() == [(*incomplete, "MONTHLY"), (*incomplete, "SEMI_MONTHLY")]
    pays_by(world, account, "MONTHLY", [10])
    assert missing() == [(*incomplete, "SEMI_MONTHLY")]
    world.do("ConfirmPayrollCalendar", account=account, payroll_frequency="SEMI_MONTHLY")
    world.do("IssueBillingSetup", setup_ref=started["setup_ref"])


@pytest.mark.rule("CAL-112", "CAL-015")
def test_an_account_set_up_by_payroll_frequency_needs_the_calendar_of_its_own(world: World) -> None:
    world.on("2024-12-20")
    world.calendar()
    policy = world.policy(world.sponsor())
    accounts = {name: world.account("C-1", in_single_bill_setup=True) for name in ("MONTHLY", "WEEKLY")}
    started = world.do(
        "StartBillingSetup", master_policy=policy, allocation_mode="INDIVIDUAL", setup_type="PER_PAYROLL_FREQUENCY",
        payroll_frequencies=list(accounts),
        entries=[{"payroll_frequency": name, "account": account} for name, account in accounts.items()],
    )  # fmt: skip
    pays_by(world, accounts["MONTHLY"], "MONTHLY", [10])
    answer = world.send("IssueBillingSetup", setup_ref=started["setup_ref"])
    [problem] = answer.json()["problems"]
    assert (problem["code"], problem["entity"]) == ("PAYROLL_CALENDAR_INCOMPLETE", accounts["WEEKLY"])
    pays_by(world, accounts["WEEKLY"], "WEEKLY", [5])
    world.do("IssueBillingSetup", setup_ref=started["setup_ref"])
    other = {"payroll_frequency": "BIWEEKLY", "start_date": "2025-01-01", "payroll_days": [5]}
    assert world.refused("DefinePayrollCalendar", account=accounts["WEEKLY"], **other)[1] == [
        "PAYROLL_FREQUENCY_MISMATCH"
    ]


@pytest.mark.rule("CAL-112", "CAL-093", "CAL-118")
def test_a_seasonal_account_gets_its_payroll_calendar_with_the_set_up(world: World) -> None:
    world.on("2024-12-20")
    world.calendar()
    policy = world.policy(world.sponsor(), start="2025-01-15")
    schedule = {"frequency": "MONTHLY", "due_day_mode": "PERIOD_START_OFFSET", "advanced_mode": True}
    account = world.account("C-1", in_single_bill_setup=True, schedule=schedule)
    world.do("ChangeSeasonalGaps", account=account, seasonal_billing=True, months=[7])
    world.setup(policy, account, allocation_mode="INDIVIDUAL")
    [locked] = payroll(world, account)
    assert (locked["status"], locked["payrollFrequency"], locked["payrollDays"]) == ("LOCKED", "MONTHLY", [15])


@pytest.mark.rule("CAL-030")
def test_a_policy_is_tied_only_to_an_account_whose_schedule_fits_its_bill_type(world: World) -> None:
    """What ACC-065 lists is a reason why the account is not eligible; the rest is told with its own code."""
    world.on("2024-12-20")
    world.calendar()
    sponsor = world.sponsor()
    advanced = {"frequency": "MONTHLY", "due_day_mode": "CALENDAR_DAY", "due_days": [1], "advanced_mode": True}
    account = world.account(sponsor, in_single_bill_setup=True, schedule=advanced)
    world.do("ChangeSeasonalGaps", account=account, seasonal_billing=True, months=[7])
    policy = world.policy(sponsor, "MP-1", bill_type="FLEXIBILL")
    started = world.do("StartBillingSetup", master_policy=policy, bill_type="FLEXIBILL", account=account)
    answer = world.send("IssueBillingSetup", setup_ref=started["setup_ref"])
    found = {(one["code"], one["pointer"]): one for one in answer.json()["problems"]}
    assert found["ACCOUNT_NOT_ELIGIBLE", None]["params"]["reasons"] == ["SEASONAL_NOT_ALLOWED"]
    assert set(found) == {
        ("ACCOUNT_NOT_ELIGIBLE", None),
        ("ADVANCED_MODE_NOT_ALLOWED", "/advanced_mode"),
        ("FLEXIBILL_CALENDAR_NOT_ALLOWED", "/due_day_mode"),
    }
    parameter(world, "selfbill.frequencies", ["QUARTERLY"])
    monthly = world.account(sponsor, in_single_bill_setup=True)
    own = world.policy(sponsor, "MP-2", bill_type="SELF_BILL")
    started = world.do(
        "StartBillingSetup", master_policy=own, bill_type="SELF_BILL", allocation_mode="TRUE_GROUP", account=monthly
    )
    refused = world.send("IssueBillingSetup", setup_ref=started["setup_ref"]).json()["problems"]
    assert [one["params"]["reasons"] for one in refused] == [["FREQUENCY_NOT_ALLOWED"]]


@pytest.mark.rule("CAL-023", "CAL-083", "CAL-020")
def test_the_limits_and_defaults_of_a_schedule_are_those_of_the_parameters(world: World) -> None:
    world.on("2024-12-20")
    world.calendar()
    sponsor = world.sponsor()
    account = world.account(sponsor)

    def refused(**schedule: Any) -> list[str]:
        return world.refused("ConfigureInvoicingSchedule", account=account, schedule=schedule)[1]

    late = {"advanced_mode": True, "timing": "ARREARS", "due_date_offset": 4}
    offset = {"due_day_mode": "PERIOD_START_OFFSET", "day_offset": 12}
    world.do("ConfigureInvoicingSchedule", account=account, schedule={**late, "generation_units": 0})
    world.do("ConfigureInvoicingSchedule", account=account, schedule=offset)
    parameter(world, "due_date_offset.max", 3)
    parameter(world, "day_offset.limit", 10, frequency="MONTHLY")
    assert refused(**late, **offset) == ["OFFSET_OUT_OF_RANGE", "OFFSET_OUT_OF_RANGE"]
    seasonal = {"advanced_mode": True, "seasonal_billing": True, "seasonal_gaps": [7], "due_date_offset": 0}
    parameter(world, "seasonal.frequencies", [])
    assert refused(**seasonal, day_offset=0) == ["SEASONAL_REQUIRES_MONTHLY"]
    parameter(world, "schedule.default_timing", "ARREARS")
    parameter(world, "generation_retry_count", 7)
    parameter(world, "draft_automation", True)
    fresh = world.account(sponsor)
    [of_old, of_fresh] = [one for one in world.events(InvoicingScheduleConfigured) if one.version == 1]
    assert of_fresh.number == fresh
    chosen = [
        (one.schedule.timing, one.schedule.generation_retry_count, one.schedule.draft_automation)
        for one in (of_old, of_fresh)
    ]
    assert chosen == [("ON_TIME", 3, False), ("ARREARS", 7, True)]


@pytest.mark.rule("PLT-014")
def test_what_is_wrong_with_a_schedule_is_named_at_its_place_in_the_payload(world: World) -> None:
    def named(command: str, **members: Any) -> list[tuple[str, str | None]]:
        response = world.send(command, **members)
        assert response.status_code in (400, 409, 422), response.text
        return [(one["code"], one["pointer"]) for one in response.json()["problems"]]

    world.on("2024-12-20")
    world.calendar()
    owner = world.sponsor()
    wrong = {"frequency": "MONTHLY", "due_day_mode": "CALENDAR_DAY", "due_days": [15, 31], "generation_window": 2}
    expected = [("ADVANCED_MODE_REQUIRED", "/schedule/generation_window"), ("DUE_DAYS_INVALID", "/schedule/due_days")]
    assert named("CreateBillingAccount", owner=owner, currency="USD", schedule=wrong) == expected
    account = world.account(owner)
    assert named("ConfigureInvoicingSchedule", account=account, schedule=wrong) == expected
    unfinished = named("ConfigureInvoicingSchedule", account=account, schedule={"due_day_mode": None})
    assert unfinished == [("SCHEDULE_INCOMPLETE", None)]  # it is about no single member
    advanced = {"frequency": "QUARTERLY", "advanced_mode": True}
    world.do("ConfigureInvoicingSchedule", account=account, schedule=advanced)
    gaps = named("ChangeSeasonalGaps", account=account, seasonal_billing=True, months=[])
    assert gaps == [("SEASONAL_REQUIRES_MONTHLY", None), ("SEASONAL_GAP_COUNT_INVALID", "/months")]


@pytest.mark.rule("CAL-025")
def test_as_many_periods_are_looked_at_for_a_late_generation_as_the_parameter_says(world: World) -> None:
    """Generated on the last day of the month and due on the 30th: too late in the first month of 31 days."""
    world.on("2025-04-01")
    account = group_from(world, "2025-04-01", due_day_mode="CALENDAR_DAY", due_days=[1])
    wanted = {
        "advanced_mode": True, "due_days": [30], "generation_option": "DAY_OF_MONTH", "generation_day": 31,
        "generation_month_offset": 0,
    }  # fmt: skip
    answer = world.send("ConfigureInvoicingSchedule", account=account, schedule=wanted)
    [problem] = answer.json()["problems"]
    assert (problem["code"], problem["params"]["from"]) == ("GENERATION_AFTER_DUE", "2025-05-01")
    parameter(world, "schedule.validation_periods", 1)
    world.do("ConfigureInvoicingSchedule", account=account, schedule=wanted)


@pytest.mark.rule("CAL-026")
def test_the_activation_of_an_account_names_what_its_schedule_lacks(world: World) -> None:
    world.on("2024-12-20")
    world.do(
        "CreateBillingCalendar", name="EMPTY", weekend_days=[6, 7], holidays=[], working_weekends=[],
        execution_time="06:00",
    )  # fmt: skip
    world.calendar()
    sponsor = world.sponsor()
    half = {"frequency": "SEMI_MONTHLY", "due_day_mode": "CALENDAR_DAY"}
    lead = {"frequency": "MONTHLY", "advanced_mode": True, "generation_units": None}
    drafts = [world.account(sponsor, activate=False, schedule=schedule) for schedule in (half, lead)]
    world.do("AssignBillingCalendar", account=drafts[1], calendar="EMPTY")
    named = []
    for account in drafts:
        answer = world.send("ActivateBillingAccount", account=account)
        [problem] = answer.json()["problems"]
        assert problem["code"] == "MANDATORY_FIELDS_MISSING"
        assert problem["params"]["fields"] == ["invoice_schedule"]
        named.append(problem["params"]["schedule"])
    assert named == [["due_days"], ["generation_units"]]
    world.do("ConfigureInvoicingSchedule", account=drafts[0], schedule={"due_days": [10, 25]})
    world.do("ActivateBillingAccount", account=drafts[0])


@pytest.mark.rule("CAL-027")
def test_the_version_of_a_schedule_is_told_by_business_day_and_by_when_it_was_known(world: World) -> None:
    world.on("2025-01-01")
    account, _ = world.group()
    world.on("2025-01-10").do("ConfigureInvoicingSchedule", account=account, schedule={"due_days": [10]})
    world.on("2025-02-01").do("ConfigureInvoicingSchedule", account=account, schedule={"due_days": [20]})
    text = """query ($a: String!, $on: Date, $at: DateTime) { invoicingSchedule(account: $a, on: $on, asOf: $at) {
      version dueDays } }"""

    def told(on: str | None, at: str | None = None) -> tuple[int, int] | None:
        found = world.query(text, a=account, on=on, at=at)["invoicingSchedule"]
        return None if found is None else (found["version"], found["dueDays"][0])

    assert [told(day) for day in ("2024-12-31", "2025-01-01", "2025-01-10", "2025-02-01", None)] == [
        None, (1, 1), (2, 10), (3, 20), (3, 20),
    ]  # fmt: skip
    assert told("2025-06-01", "2025-01-15T00:00:00Z") == (2, 10)
    assert told("2025-01-09", "2025-01-15T00:00:00Z") == (1, 1)
    assert told("2025-01-09", "2024-06-01T00:00:00Z") is None


@pytest.mark.rule("CAL-092")
def test_a_seasonal_account_takes_no_other_modality_than_its_frequency(world: World) -> None:
    world.on("2024-12-20")
    account = group_from(world, "2025-01-01", due_day_mode="CALENDAR_DAY", due_days=[1], advanced_mode=True)
    world.do("ChangeSeasonalGaps", account=account, seasonal_billing=True, months=[7])
    new = {"master_policy": "MP-1", "customer": "P-1", "first_name": "Ada", "last_name": "Miller"}
    life = [{"coverage": "LIFE", "annual_amount": "1100.00"}]
    weekly = told("ApplyNewBusiness", world, "MR-1", "2025-01-01", **new, amounts=life, modality="WEEKLY")
    assert weekly == ["MODALITY_LOCKED_BY_SEASONAL"]
    given("ApplyNewBusiness", world, "MR-1", "2025-01-01", **new, amounts=life, modality="MONTHLY")
    world.do("ChangeSeasonalGaps", account=account, seasonal_billing=False, months=[])
    given("ApplyNewBusiness", world, "MR-2", "2025-01-01", **new, amounts=life, modality="WEEKLY")
    assert {one["gross"]["amount"] for one in charge_items(world, "MR-2", account, "2025-01-01", "2025-01-31")} == {
        "91.67"
    }


@pytest.mark.rule("CAL-083", "CAL-086")
def test_a_member_is_not_moved_to_an_account_with_seasonal_gaps(world: World) -> None:
    world.on("2024-12-20")
    _, policy = world.group()
    world.member(policy, "MR-1")
    schedule = {"frequency": "MONTHLY", "due_day_mode": "PERIOD_START_OFFSET", "advanced_mode": True}
    direct = individual_account(world, schedule=schedule)
    world.do("ChangeSeasonalGaps", account=direct, seasonal_billing=True, months=[7])
    move = {"type": "PORTABILITY", "account": direct, "modality": "MONTHLY"}
    assert told("MoveMemberToIndividualDirect", world, "MR-1", "2025-03-10", **move) == ["ACCOUNT_NOT_ELIGIBLE"]
    world.do("ChangeSeasonalGaps", account=direct, seasonal_billing=False, months=[])
    given("MoveMemberToIndividualDirect", world, "MR-1", "2025-03-10", **move)
