"""Setting parameters over HTTP, with a second user waiting in line."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from domain.platform.parameters import PARAMETER, identifiers_for, parameter, value_in_force
from infrastructure.event_store.streams import fold_rows, load_call
from tests.api.conftest import Api, pointers, problem


def set_to(api: Api, name: str, value: Any, **members: Any) -> Any:
    envelope = {key: members.pop(key) for key in ("expected_version", "effective_date", "key") if key in members}
    return api.send("SetParameter", {"name": name, "value": value, **members}, "ADM", **envelope)


def in_force(api: Api, name: str, on: dt.date, **keys: str) -> Any:
    kind = parameter(name)
    streams = [PARAMETER.stream(one) for one in identifiers_for(kind, keys)]
    with api.database.writing() as connection:
        [rows] = connection.round_trip(load_call(PARAMETER, streams))
    return value_in_force(kind, keys, [folded.state for _, folded in fold_rows(PARAMETER, rows)], on).value


@pytest.mark.rule("PLT-110")
def test_a_parameter_is_set_from_a_day_on_and_read_back_as_of_a_day(api: Api) -> None:
    response = set_to(
        api, "recurring.waiting_days", 5, keys={"customer_type": "ORGANIZATION"}, effective_from="2025-04-01"
    )
    assert response.json()["result"] == {
        "name": "recurring.waiting_days",
        "keys": {"customer_type": "ORGANIZATION"},
        "version": 1,
        "value": 5,
        "previous_value": 3,
        "effective_from": "2025-04-01",
    }
    before, after = dt.date(2025, 3, 31), dt.date(2025, 4, 1)
    assert in_force(api, "recurring.waiting_days", before, customer_type="ORGANIZATION") == 3
    assert in_force(api, "recurring.waiting_days", after, customer_type="ORGANIZATION") == 5
    assert in_force(api, "recurring.waiting_days", after, customer_type="INDIVIDUAL") == 14


@pytest.mark.rule("PLT-110")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("calendar.strict_holidays", False),
        ("consumption.category_order", ["BANKING", "INTERNAL", "CUSTOMER_CREDIT"]),
        ("premium.waiver_claim_filing_days", None),
        ("ptd.job_schedule", "daily 05:15"),
        ("platform.time_zone", "America/New_York"),
    ],
)
def test_values_of_every_type_survive_the_event_log(api: Api, name: str, value: Any) -> None:
    assert set_to(api, name, value).json()["result"]["value"] == value
    found = in_force(api, name, dt.date(2025, 3, 1))
    assert found == (tuple(value) if isinstance(value, list) else value)
    assert type(found) is (tuple if isinstance(value, list) else type(value))


@pytest.mark.rule("PLT-110")
@pytest.mark.parametrize(
    ("payload", "status", "code", "where"),
    [
        ({"name": "no.such", "value": 1}, 404, "ENTITY_NOT_FOUND", ["/name"]),
        ({"name": "retention.years", "value": 6}, 422, "VALUE_OUT_OF_RANGE", ["/value"]),
        ({"name": "retention.years", "value": "7"}, 422, "VALUE_OUT_OF_RANGE", ["/value"]),
        ({"name": "platform.time_zone", "value": "Europe/Atlantis"}, 422, "VALUE_OUT_OF_RANGE", ["/value"]),
        (
            {"name": "retention.years", "value": 8, "effective_from": "2025-02-28"},
            422,
            "VALUE_OUT_OF_RANGE",
            ["/effective_from"],
        ),
        ({"name": "retention.years", "value": 8, "keys": {"x": "y"}}, 400, "REQUEST_INVALID", ["/keys/x"]),
        ({"name": "retention.years"}, 400, "REQUEST_INVALID", ["/value"]),
        (
            {"name": "retention.years", "value": 7, "effective_from": "soon"},
            400,
            "REQUEST_INVALID",
            ["/effective_from"],
        ),
    ],
)
def test_what_is_out_of_range_unknown_or_malformed_is_refused(
    api: Api, payload: dict[str, Any], status: int, code: str, where: list[str]
) -> None:
    assert pointers(problem(api.send("SetParameter", payload, "ADM"), status, code)) == where
    assert api.events() == 0


@pytest.mark.rule("PLT-020")
def test_whoever_saw_an_older_version_is_told(api: Api) -> None:
    assert set_to(api, "retention.years", 8, expected_version=0).status_code == 200
    document = problem(set_to(api, "retention.years", 9, expected_version=0), 409, "CONCURRENT_CHANGE")
    assert document["problems"][0]["params"]["current_version"] == 1
    assert set_to(api, "retention.years", 9, expected_version=1).status_code == 200


@pytest.mark.rule("PLT-006")
def test_the_effective_date_of_the_envelope_stands_in_for_the_day(api: Api) -> None:
    response = set_to(api, "retention.years", 8, effective_date="2025-05-01")
    assert response.json()["result"]["effective_from"] == "2025-05-01"
