"""Values that no business has: refused with their names, never a failure of the service, and nothing is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from api.failures import refusal_of, trace_of
from application.command import CommandRegistry
from domain.platform.tasks import TaskRaised
from tests.scenarios.conftest import World

FAR, EARLY = "9999-12-31", "0001-01-01"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_AMOUNT = re.compile(r"-?\d+\.\d+")
#: What is sent instead of a member, by what it is.
_DATES = (FAR, "9999-12-01", EARLY, "\uff12\uff10\uff12\uff15-01-01")
_AMOUNTS = ("9" * 40 + ".00", "1E400", "NaN", "1.001", "\uff11.00")
_NUMBERS = (-1, 2**63 - 1)
_TEXTS = ("A" * 5000, "\u202e\u0130\U0001f469\u200d\U0001f467", "%s{0}';--")
_OTHERS: tuple[Any, ...] = (None, [{}], {"": 1})


def strange(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Each place in a JSON value, with what does not belong there."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from strange(member, (*path, name))
    elif isinstance(value, list) and value:
        yield from strange(value[0], (*path, 0))
    if isinstance(value, str):
        wrong: tuple[Any, ...] = _DATES if _DATE.fullmatch(value) else _AMOUNTS if _AMOUNT.fullmatch(value) else _TEXTS
    else:
        wrong = _NUMBERS if isinstance(value, int) and not isinstance(value, bool) else _OTHERS
    yield from ((path, one) for one in wrong if path)


def replaced(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """The JSON value with another one at that place."""
    if not path:
        return new
    if isinstance(value, list):
        return [replaced(value[0], path[1:], new), *value[1:]]
    return {**value, path[0]: replaced(value[path[0]], path[1:], new)}


@pytest.fixture
def group(world: World) -> tuple[World, dict[str, str]]:
    """A group with a member and an invoice; the examples' names of objects and theirs."""
    account, policy = world.group()
    world.member(policy)
    world.do("GenerateInvoice", account=account, confirmed=True)
    return world, {"account": account, "member_record": "MR-1", "master_policy": policy, "invoice": "INV-00000001"}


@pytest.mark.parametrize("room", sorted({kind.room for kind in CommandRegistry.types.values() if kind.example}))
def test_no_strange_value_makes_a_command_fail(group: tuple[World, dict[str, str]], room: str) -> None:
    world, names = group
    sent = 0
    for name, kind in CommandRegistry.types.items():
        if kind.room != room:
            continue
        example = {member: names.get(member, value) for member, value in kind.example.items()}
        for path, value in strange(example):
            before = world.system.log.head()
            response = world.send(name, **replaced(example, path, value))
            assert response.status_code < 500, (name, path, value, response.text)
            # Of an event of the hub that is refused somebody may be told (PAY-022); nothing else is written.
            told: tuple[type, ...] = (TaskRaised,) if name == "ApplyHubPaymentEvent" else ()
            written = world.system.log.read(before, 100)
            assert response.status_code == 200 or all(isinstance(one.event, told) for one in written), (path, value)
            sent += 1
    assert sent > 0


@pytest.mark.rule("PLT-014", "PLT-018")
@pytest.mark.parametrize("day", [FAR, EARLY, "2200-01-01", "1899-12-31"])
def test_days_no_calendar_reaches_are_each_named(group: tuple[World, dict[str, str]], day: str) -> None:
    world, _ = group
    before = world.head()
    response = world.send(
        "ApplyPremiumWaiver",
        transaction_id="TX-1",
        member_record="MR-1",
        source="CLAIMS",
        effective_date=day,
        last_waived_day=day,
        envelope={"effective_date": day},
    )
    assert response.status_code == 400
    assert [problem["pointer"] for problem in response.json()["problems"]] == ["/effective_date"]
    response = world.send(
        "ApplyPremiumWaiver",
        transaction_id="TX-1",
        member_record="MR-1",
        source="CLAIMS",
        effective_date=day,
        last_waived_day=day,
    )
    assert response.status_code == 400
    assert {problem["code"] for problem in response.json()["problems"]} == {"REQUEST_INVALID"}
    assert [problem["pointer"] for problem in response.json()["problems"]] == ["/effective_date", "/last_waived_day"]
    assert world.head() == before


def test_a_job_runs_for_no_day_out_of_reach(world: World) -> None:
    token = world.system.issuer.token("olga", ("OPS",), second_factor=True)
    for day in (FAR, EARLY):
        response = world.client.post(
            "/v1/jobs/InvoiceGeneration", json={"run_date": day}, headers={"Authorization": f"Bearer {token}"}
        )
        assert response.status_code == 400
        assert [problem["pointer"] for problem in response.json()["problems"]] == ["/run_date"]


@pytest.mark.parametrize("day", [FAR, EARLY, "20250101", "2025-W01-1"])
def test_a_query_names_no_day_out_of_reach(group: tuple[World, dict[str, str]], day: str) -> None:
    world, names = group
    token = world.system.issuer.token("ann", world.roles)
    answer = world.client.post(
        "/v1/graphql",
        json={
            "query": 'query($account: String!, $day: Date!) { explainCharge(memberRecord: "MR-1", account: $account,'
            ' coverage: "LIFE", periodStart: $day) { basis } }',
            "variables": {"account": names["account"], "day": day},
        },
        headers={"Authorization": f"Bearer {token}"},
    ).json()
    assert answer["errors"][0]["extensions"]["code"] == "REQUEST_INVALID"


@pytest.mark.rule("PLT-073")
def test_an_amount_is_a_plain_decimal_of_at_most_fifteen_digits(
    group: tuple[World, dict[str, str]],
) -> None:
    world, names = group
    payment: dict[str, Any] = {
        "account": names["account"],
        "method": "CHECK",
        "check_number": "1",
        "check_date": "2025-01-01",
    }
    before = world.head()
    for amount in ("10000000000000.00", "1.001", "1E2", "1,000.00", "1_000.00", "+1.00", "1.", ""):
        refused = world.send("ApplyPayment", amount=amount, reference="CHK-1", **payment)
        code = "AMOUNT_INVALID" if amount == "1.001" else "REQUEST_INVALID"
        assert [(one["code"], one["pointer"]) for one in refused.json()["problems"]] == [(code, "/amount")], amount
    assert world.head() == before
    fewer = world.do("ApplyPayment", amount="60.5", reference="CHK-1", **payment)["records"][0]
    assert fewer["amount"] == "60.50"
    world.do("ApplyPayment", amount="9999999999999.99", reference="CHK-2", **payment)
    world.check(names["account"])


@pytest.mark.rule("PLT-073")
def test_a_moment_with_any_offset_is_converted(group: tuple[World, dict[str, str]]) -> None:
    world, _ = group
    token = world.system.issuer.token("ann", world.roles)

    def asked(as_of: str) -> dict[str, Any]:
        text = """query ($at: DateTime!) { modalPremiumHistory(memberRecord: "MR-1", asOf: $at) { totalCount } }"""
        body = {"query": text, "variables": {"at": as_of}}
        answer = world.client.post("/v1/graphql", json=body, headers={"Authorization": f"Bearer {token}"})
        return dict(answer.json())

    # The record begins at noon of 2025-01-01.
    for as_of in ("2025-01-01T12:30:00Z", "2025-01-01T14:30:00+02:00"):
        assert asked(as_of)["data"]["modalPremiumHistory"]["totalCount"] == 1
    early = asked("2025-01-01T13:30:00+02:00")["errors"]
    assert [one["extensions"]["code"] for one in early] == ["MEMBER_RECORD_NOT_FOUND"]


@pytest.mark.rule("PLT-073")
def test_a_moment_without_its_offset_is_none(group: tuple[World, dict[str, str]]) -> None:
    """Neither a bare date nor a local time says when something was; as a variable or in the text of the query."""
    world, names = group
    token = world.system.issuer.token("ann", world.roles)

    def codes(text: str, **variables: Any) -> set[str]:
        answer = world.client.post(
            "/v1/graphql", json={"query": text, "variables": variables}, headers={"Authorization": f"Bearer {token}"}
        ).json()
        return {one["extensions"]["code"] for one in answer.get("errors", [])}

    wrong = (
        "2025-01-01", "2025-01-01T12:30:00", "2025-01-01T12:30", "2025-01-01T12:30Z", "2025-01-01 12:30:00Z",
        "20250101T123000Z", "2025-W01-3T12:30:00Z", "2025-02-30T12:30:00Z", "2025-01-01T25:00:00Z",
        "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "2025-01-01T12:30:00+0200", "now", "",
    )  # fmt: skip
    asked = 'query ($at: DateTime!) { modalPremiumHistory(memberRecord: "MR-1", asOf: $at) { totalCount } }'
    for moment in wrong:
        assert codes(asked, at=moment) == {"REQUEST_INVALID"}, moment
        literal = f'{{ modalPremiumHistory(memberRecord: "MR-1", asOf: "{moment}") {{ totalCount }} }}'
        assert codes(literal) == {"REQUEST_INVALID"}, moment
    for moment in ("2025-01-01T12:30:00.123456Z", "2025-01-01t12:30:00z", "2025-01-01T12:30:00-00:00"):
        assert codes(asked, at=moment) == set(), moment
    for moment in (1735734600, True, None):
        assert codes(asked, at=moment) == {"REQUEST_INVALID"}, moment
    told = world.query(
        "query ($a: String!) { billingAccount(number: $a) { balances { calculatedAt } } }", a=names["account"]
    )
    assert re.fullmatch(r"2025-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", told["billingAccount"]["balances"]["calculatedAt"])


def test_a_total_that_cannot_be_kept_is_a_refusal() -> None:
    refusal = refusal_of(psycopg.errors.NumericValueOutOfRange("bigint out of range"))
    assert (refusal.status, refusal.code) == (400, "REQUEST_INVALID")
    assert refusal_of(ValueError("any other")).status == 500


def test_a_failure_is_traced_without_what_was_sent() -> None:
    try:
        dict[str, int]()["Ada Miller"]
    except KeyError as failure:
        trace = trace_of(failure)
    assert trace["kind"] == "builtins.KeyError"
    assert any("test_a_failure_is_traced" in place for place in trace["at"])
    assert "Ada Miller" not in str(trace)
