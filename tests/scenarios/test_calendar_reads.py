"""Reads of calendars, payment plans and installments: refused as the rulebook says, and what belongs together shown."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from tests.scenarios.conftest import World

PLAN = {
    "code": "M12", "uri": "urn:plan:m12", "description": "Monthly", "type": "MONTHLY", "frequency": "MONTHLY",
    "max_installments": 12, "due_day_type": "DAY_OF_MONTH", "effective_date": "2025-01-01",
}  # fmt: skip


def _answer(world: World, text: str, *roles: str) -> tuple[Any, set[str]]:
    """Data and error codes of a query by somebody with these roles."""
    token = world.system.issuer.token("ann", roles or world.roles)
    answer = world.client.post("/v1/graphql", json={"query": text}, headers={"Authorization": f"Bearer {token}"}).json()
    return answer["data"], {error["extensions"]["code"] for error in answer.get("errors", ())}


@pytest.mark.rule("CAL-010")
def test_a_calendar_shows_its_rule_and_the_accounts_with_their_schedules(world: World) -> None:
    world.calendar()
    sponsor = world.sponsor()
    numbers = sorted(world.account(sponsor) for _ in range(2))
    found, _ = _answer(
        world,
        """{ billingCalendar(name: "us") { numberOfDaysAhead accounts history { nodes { type actor recordedAt } }
             linkedAccounts { nodes { number schedule { frequency dueDays }
               history { nodes { type actor recordedAt } } } } } }""",
    )
    calendar = found["billingCalendar"]
    assert (calendar["numberOfDaysAhead"], calendar["accounts"]) == (15, 2)
    assert [one["type"] for one in calendar["history"]["nodes"]] == [
        "BillingCalendarDefined",
        "DefaultBillingCalendarSet",
        "GenerationRuleDefined",
    ]
    linked = calendar["linkedAccounts"]["nodes"]
    assert [one["number"] for one in linked] == numbers
    assert all(one["schedule"] == {"frequency": "MONTHLY", "dueDays": [1]} for one in linked)
    for one in linked:
        assigned = [event for event in one["history"]["nodes"] if event["type"] == "BillingCalendarAssigned"]
        assert [(event["actor"], event["recordedAt"][:10]) for event in assigned] == [("ann", "2025-01-01")]


@pytest.mark.rule("CAL-018")
def test_a_schedule_shows_every_value_it_carries(world: World) -> None:
    world.calendar()
    schedule = {
        "frequency": "MONTHLY", "due_day_mode": "CALENDAR_DAY", "due_days": [20], "day_offset": 3, "timing": "ARREARS",
        "due_date_offset": 1, "generation_option": "DAY_OF_MONTH", "generation_day": 28, "generation_month_offset": 2,
        "generation_units": 4, "generation_unit": "WEEKS", "generation_window": 2, "generation_window_unit": "WEEKS",
        "advanced_mode": True, "seasonal_billing": True, "seasonal_gaps": [6, 7], "generation_retry_count": 5,
        "generation_retry_interval": 30, "draft_automation": True, "draft_offset_days": 7,
    }  # fmt: skip
    account = world.account(world.sponsor(), schedule=schedule)
    words = {name: name.split("_")[0] + "".join(one.title() for one in name.split("_")[1:]) for name in schedule}
    text = '{ invoicingSchedule(account: "%s") { %s } }' % (account, " ".join(words.values()))  # noqa: UP031
    found, _ = _answer(world, text)
    assert found["invoicingSchedule"] == {words[name]: value for name, value in schedule.items()}


@pytest.mark.rule("CAL-139")
def test_plan_and_installment_reads_are_refused_one_by_one(world: World) -> None:
    world.calendar()
    account = world.account(world.sponsor())
    world.do("CreatePaymentPlan", **PLAN)
    plan, schedule = '{ paymentPlan(code: "%s") { code } }', '{ installmentSchedule(account: "%s") { totalCount } }'
    assert _answer(world, plan % "m12") == ({"paymentPlan": {"code": "M12"}}, set())
    assert _answer(world, schedule % account) == ({"installmentSchedule": {"totalCount": 0}}, set())
    for text, unknown in ((plan, "X"), (schedule, "LB000000026")):
        assert _answer(world, text % unknown)[1] == {"ENTITY_NOT_FOUND"}
        assert _answer(world, text % unknown, "HUB") == (None, {"FORBIDDEN"})
        assert _answer(world, text % "")[1] == {"REQUEST_INVALID"}
    assert _answer(world, schedule % "no such number")[1] == {"REQUEST_INVALID"}
    assert _answer(world, "{ paymentPlan { code } }")[1] == {"REQUEST_INVALID"}
    assert _answer(world, "{ installmentSchedule { totalCount } }")[1] == {"REQUEST_INVALID"}


@pytest.mark.rule("CAL-139")
def test_a_schedule_read_is_recorded_when_something_was_delivered(world: World) -> None:
    world.calendar()
    account = world.account(world.sponsor())
    schedule = '{ installmentSchedule(account: "%s", first: %d) { totalCount } }'
    purchases = '{ installmentPurchases(account: "%s") { totalCount } }'

    def recorded(number: str, first: int = 50, *roles: str) -> list[dict[str, Any]]:
        with structlog.testing.capture_logs() as lines:
            _answer(world, schedule % (number, first), *roles)
        return [dict(line) for line in lines if line["event"] == "installment_schedule_read"]

    [line] = recorded(account.lower())
    assert (line["account"], line["client"], line["log_level"]) == (account, "sandbox", "info")
    for refused in ((account, 50, "HUB"), ("LB000000026",), ("no such number",), (account, 0)):
        assert recorded(*refused) == []
    with structlog.testing.capture_logs() as lines:
        _answer(world, purchases % account)
    assert "installment_schedule_read" in {line["event"] for line in lines}


@pytest.mark.rule("CAL-139", "PLT-033")
def test_within_a_scope_a_foreign_schedule_is_as_unknown_as_one_that_is_not_there(world: World) -> None:
    world.calendar()
    own, foreign = (world.account(world.sponsor(reference)) for reference in ("C-1", "C-2"))
    token = world.system.issuer.token("sue", ("BOF",), scope_nodes=("C-1",))

    def codes(number: str, field: str = "installmentSchedule") -> set[str]:
        text = f"query ($a: String!) {{ {field}(account: $a) {{ totalCount }} }}"
        body, headers = {"query": text, "variables": {"a": number}}, {"Authorization": f"Bearer {token}"}
        answer = world.client.post("/v1/graphql", json=body, headers=headers).json()
        return {error["extensions"]["code"] for error in answer.get("errors", ())}

    assert codes(own) == set()
    assert codes(foreign) == codes("LB000000099") == {"ENTITY_NOT_FOUND"}
    assert codes("no such number") == {"REQUEST_INVALID"}
    assert codes(own, "installmentPurchases") == set()
    assert codes(foreign, "installmentPurchases") == {"ENTITY_NOT_FOUND"}
