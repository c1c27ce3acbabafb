"""Several commands in one request: each on its own, or all or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from httpx import Response

from api.settings import Limits, Settings
from tests.api.conftest import Api, MakeApi, pointers, problem


def fill(account: str, amount: str = "1.00", **members: Any) -> dict[str, Any]:
    return {"name": "FillBox", "payload": {"account": account, "amount": amount}, **members}


def send(api: Api, *commands: Any, mode: str | None = None, key: str | None = None, **headers: str) -> Response:
    body: dict[str, Any] = {"commands": list(commands)}
    if mode is not None:
        body["mode"] = mode
    return api.client.post("/v1/commands/batch", json=body, headers={**api.headers("ADM", "BOF", key=key), **headers})


def outcomes(response: Response) -> list[tuple[int, str | None]]:
    assert response.status_code == 200, response.text
    results: list[Mapping[str, Any]] = response.json()["results"]
    assert [result["index"] for result in results] == list(range(len(results)))
    return [(result["status"], result["problem"]["code"] if "problem" in result else None) for result in results]


@pytest.fixture
def boxes(api: Api) -> Api:
    """Boxes A, B and C; B is closed."""
    for account in "ABC":
        api.send("OpenBox", {"account": account})
    api.send("CloseBox", {"account": "B"})
    return api


@pytest.mark.rule("PLT-E05", "PLT-009")
def test_items_succeed_or_fail_alone_and_a_repeated_batch_judges_only_the_refused_ones_anew(boxes: Api) -> None:
    first = send(boxes, fill("A"), fill("B"), fill("C"), key="K9")
    assert outcomes(first) == [(200, None), (409, "ACCOUNT_NOT_ACTIVE"), (200, None)]
    boxes.send("ReopenBox", {"account": "B"})
    second = send(boxes, fill("A"), fill("B"), fill("C"), key="K9")
    assert outcomes(second) == [(200, None), (200, None), (200, None)]
    assert [result["replayed"] for result in second.json()["results"]] == [True, False, True]
    assert second.json()["results"][0]["answer"] == first.json()["results"][0]["answer"]
    assert [result["answer"]["result"] for result in second.json()["results"]] == [{"balance": 100}] * 3


@pytest.mark.rule("PLT-009", "PLT-003")
def test_an_item_of_a_batch_has_a_key_of_its_own_that_no_client_can_send(boxes: Api) -> None:
    send(boxes, fill("A"), key="K9")
    problem(boxes.send("FillBox", {"account": "A", "amount": "1.00"}, "BOF", key="K9#0"), 400, "REQUEST_INVALID")
    of_its_own = send(boxes, fill("A", "2.00", idempotency_key="K9"), key="K9")
    assert of_its_own.json()["results"][0]["answer"]["result"] == {"balance": 300}


def test_an_item_without_any_key_is_refused_alone(boxes: Api) -> None:
    response = send(boxes, fill("A"), fill("C", idempotency_key="k"))
    assert outcomes(response) == [(400, "IDEMPOTENCY_KEY_MISSING"), (200, None)]


@pytest.mark.rule("PLT-E05", "PLT-009")
def test_a_batch_has_at_most_500_items_and_at_least_one(boxes: Api) -> None:
    assert len(outcomes(send(boxes, *([fill("A")] * 500), key="K1"))) == 500
    events = boxes.events()
    document = problem(send(boxes, *([fill("A")] * 501), key="K2"), 413, "BATCH_TOO_LARGE")
    assert pointers(document) == ["/commands"]
    problem(send(boxes, key="K3"), 400, "REQUEST_INVALID")
    assert boxes.events() == events


@pytest.mark.rule("PLT-E05", "PLT-009")
def test_an_atomic_batch_is_of_one_account(boxes: Api) -> None:
    events = boxes.events()
    document = problem(send(boxes, fill("A"), fill("C"), mode="ATOMIC", key="K1"), 400, "REQUEST_INVALID")
    assert pointers(document) == ["/commands/1"]
    assert boxes.events() == events


@pytest.mark.rule("PLT-009")
def test_an_atomic_batch_does_all_its_items_in_order(boxes: Api) -> None:
    response = send(boxes, fill("A"), fill("A", "2.00"), fill("A", "3.00"), mode="ATOMIC", key="K1")
    results = response.json()["results"]
    assert response.json()["mode"] == "ATOMIC"
    assert [result["answer"]["result"]["balance"] for result in results] == [100, 300, 600]
    again = send(boxes, fill("A"), fill("A", "2.00"), fill("A", "3.00"), mode="ATOMIC", key="K1")
    assert [result["replayed"] for result in again.json()["results"]] == [True] * 3


@pytest.mark.rule("PLT-009", "PLT-014")
def test_an_atomic_batch_with_failing_items_does_nothing_and_names_the_problems_of_all(boxes: Api) -> None:
    events = boxes.events()
    response = send(boxes, fill("A"), fill("A", "0.00"), fill("A", "-5.00"), mode="ATOMIC", key="K1")
    document = problem(response, 422, "AMOUNT_INVALID")
    assert [(entry["code"], entry["pointer"], entry["params"]["index"]) for entry in document["problems"]] == [
        ("AMOUNT_INVALID", "/commands/1/amount", 1),
        ("AMOUNT_INVALID", "/commands/2/amount", 2),
    ]
    assert boxes.events() == events
    assert outcomes(send(boxes, fill("A"), mode="ATOMIC", key="K1")) == [(200, None)]


def test_an_atomic_batch_with_malformed_items_names_them_all(boxes: Api) -> None:
    response = send(boxes, fill("A", colour=1), "nonsense", {"payload": {}}, fill("A"), mode="ATOMIC", key="K1")
    document = problem(response, 400, "REQUEST_INVALID")
    assert pointers(document) == ["/commands/0/colour", "/commands/1/name", "/commands/2/name"]


@pytest.mark.rule("PLT-013")
def test_each_item_is_authorised_by_itself(boxes: Api) -> None:
    response = send(boxes, {"name": "IssueApiKey", "payload": {}}, {"name": "OpenCrate", "payload": {}}, key="K1")
    assert outcomes(response) == [(403, "FORBIDDEN"), (400, "COMMAND_UNKNOWN")]


def test_a_failure_of_one_item_does_not_stop_the_others(boxes: Api) -> None:
    broken = {"name": "BreakBox", "payload": {"how": "crash"}}
    response = send(boxes, fill("A"), broken, fill("C"), key="K1")
    assert outcomes(response) == [(200, None), (500, "INTERNAL_ERROR"), (200, None)]
    assert "Smith" not in response.text


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"commands": [{}], "mode": "BEST_EFFORT"}, "/mode"),
        ({"commands": {}}, "/commands"),
        ({"mode": "ATOMIC"}, "/commands"),
        ({"commands": [{}], "colour": "red"}, "/colour"),
        ({"commands": [{}], "idempotency_key": 7}, "/idempotency_key"),
        ([], ""),
    ],
)
def test_a_malformed_batch_is_refused_as_a_whole(api: Api, body: Any, pointer: str) -> None:
    response = api.client.post("/v1/commands/batch", json=body, headers=api.headers("BOF"))
    assert pointer in pointers(problem(response, 400, "REQUEST_INVALID"))


def test_a_batch_has_its_own_limit_of_size(make_api: MakeApi) -> None:
    api = make_api(Settings(sandbox=True, limits=Limits(batch_bytes=10_000)))
    problem(send(api, fill("A" * 20_000), key="K1"), 413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("mode", ["INDEPENDENT", "ATOMIC"])
def test_a_dry_run_asked_for_in_the_query_holds_for_every_item(boxes: Api, mode: str) -> None:
    before = boxes.events()
    body = {"mode": mode, "commands": [fill("A"), fill("A", dry_run=False)]}
    headers = boxes.headers("ADM", "BOF", key=None)
    response = boxes.client.post("/v1/commands/batch?dryRun=true", json=body, headers=headers)
    assert outcomes(response) == [(200, None), (200, None)]
    assert [result["answer"]["dry_run"] for result in response.json()["results"]] == [True, True]
    assert boxes.events() == before
    refused = boxes.client.post("/v1/commands/batch?dry_run=true", json=body, headers=headers)
    problem(refused, 400, "REQUEST_INVALID")
