"""A stream of commands: a line each, answered in order, each alone, with bounded memory."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from api.settings import Limits, Rates, Settings
from tests.api.conftest import Api, MakeApi, problem

OFF = Rates(enabled=False)


def line(name: str, key: str, payload: Any, **members: Any) -> bytes:
    return json.dumps({"name": name, "idempotency_key": key, "payload": payload, **members}).encode() + b"\n"


def results(api: Api, body: bytes | Iterable[bytes], *roles: str) -> list[dict[str, Any]]:
    headers = {**api.headers(*(roles or ("ADM", "BOF"))), "Content-Type": "application/x-ndjson"}
    response = api.client.post("/v1/commands", content=body, headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(text) for text in response.text.splitlines()]


def test_each_line_is_answered_by_one_line_in_order_and_fails_alone(api: Api) -> None:
    body = b"".join(
        [
            line("OpenBox", "k1", {"account": "A"}),
            b"\n",
            line("FillBox", "k2", {"account": "A", "amount": "0.00"}),
            b"{nonsense\n",
            b'{"name":"FillBox","name":"OpenBox"}\n',
            b"7\n",
            line("IssueApiKey", "k3", {}),
            line("OpenCrate", "k4", {}),
            line("BreakBox", "k5", {"how": "crash"}),
            line("FillBox", "k6", {"account": "A", "amount": "1.00"}),
            line("OpenBox", "k1", {"account": "A"}),
            line("FillBox", "k7", {"account": "A", "amount": "1.00"}, dry_run=True).rstrip(),
        ]
    )
    found = results(api, body)
    assert [result["line"] for result in found] == [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert [(result["status"], result.get("problem", {}).get("code")) for result in found] == [
        (200, None),
        (422, "AMOUNT_INVALID"),
        (400, "REQUEST_INVALID"),
        (400, "REQUEST_INVALID"),
        (400, "REQUEST_INVALID"),
        (403, "FORBIDDEN"),
        (400, "COMMAND_UNKNOWN"),
        (500, "INTERNAL_ERROR"),
        (200, None),
        (200, None),
        (200, None),
    ]
    assert found[9]["replayed"] is True
    assert found[9]["answer"] == found[0]["answer"]
    assert found[10]["answer"]["dry_run"] is True
    assert api.events() == 2


def test_ten_thousand_lines_are_answered_in_order(make_api: MakeApi) -> None:
    api = make_api(Settings(sandbox=True, rates=OFF))
    api.send("OpenBox", {"account": "A"})
    # Every hundredth is a command; the others are refused early, so that the test is about the stream.
    lines = [
        line("FillBox", f"k{n}", {"account": "A", "amount": "1.00"})
        if n % 100 == 0
        else line("IssueApiKey", f"k{n}", {})
        for n in range(10_000)
    ]
    found = results(api, iter(lines))
    assert [result["line"] for result in found] == list(range(1, 10_001))
    assert [result["status"] for result in found] == [200 if n % 100 == 0 else 403 for n in range(10_000)]
    assert [result["answer"]["result"]["balance"] for result in found[::100]] == [100 * n for n in range(1, 101)]
    assert api.events() == 101


@pytest.mark.parametrize("chunk", [1, 7, 64, 100_000])
def test_lines_may_be_cut_anywhere_on_their_way(api: Api, chunk: int) -> None:
    body = b"".join(line("OpenBox", f"k{n}", {"account": f"ü{n}"}) for n in range(5))
    found = results(api, (body[start : start + chunk] for start in range(0, len(body), chunk)))
    assert [result["answer"]["result"]["account"] for result in found] == [f"ü{n}" for n in range(5)]


def test_a_line_above_the_limit_is_refused_alone_however_it_arrives(make_api: MakeApi) -> None:
    api = make_api(Settings(sandbox=True, rates=OFF, limits=Limits(line_bytes=1_000)))
    body = b"".join(
        [
            line("OpenBox", "k1", {"account": "A"}),
            line("FillBox", "k2", {"account": "A", "amount": "1.00", "note": "x" * 10_000}),
            line("FillBox", "k3", {"account": "A", "amount": "1.00"}),
            line("FillBox", "k4", {"account": "A", "amount": "1.00", "note": "x" * 5_000}).rstrip(),
        ]
    )
    for size in (10, 500, 100_000):
        found = results(api, (body[start : start + size] for start in range(0, len(body), size)))
        assert [(result["line"], result["status"]) for result in found] == [(1, 200), (2, 413), (3, 200), (4, 413)]
        assert found[1]["problem"]["code"] == "PAYLOAD_TOO_LARGE"


def test_a_stream_above_its_limit_of_lines_ends_there(make_api: MakeApi) -> None:
    api = make_api(Settings(sandbox=True, rates=OFF, limits=Limits(stream_lines=10)))
    found = results(api, b"".join(line("OpenBox", f"k{n}", {"account": f"A{n}"}) for n in range(100)))
    assert [result["status"] for result in found] == [200] * 10 + [413]
    assert api.events() == 10


def test_a_stream_without_credentials_or_in_another_form_is_refused_as_a_whole(api: Api) -> None:
    body = line("OpenBox", "k1", {"account": "A"})
    headers = {"Content-Type": "application/x-ndjson"}
    problem(api.client.post("/v1/commands", content=body, headers=headers), 401, "UNAUTHENTICATED")
    problem(api.post("/v1/commands", body), 415, "MEDIA_TYPE_UNSUPPORTED")
    assert api.events() == 0


def test_an_empty_stream_is_answered_empty(api: Api) -> None:
    assert results(api, b"") == []
    assert results(api, b"\n \n\n") == []


class Exchange:
    """An ASGI conversation by hand: what is sent when, and what memory stands at."""

    def __init__(
        self,
        api: Api,
        chunks: AsyncIterator[bytes],
        path: str = "/v1/commands",
        content_type: str = "application/x-ndjson",
    ) -> None:
        self._app = api.client.app
        self._chunks = chunks
        self.sent: list[bytes] = []
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [
                (b"content-type", content_type.encode()),
                *((name.lower().encode(), value.encode()) for name, value in api.headers("ADM", "BOF").items()),
            ],
            "client": ("127.0.0.1", 1),
            "server": ("testserver", 80),
        }

    async def receive(self) -> dict[str, Any]:
        try:
            return {"type": "http.request", "body": await anext(self._chunks), "more_body": True}
        except StopAsyncIteration:
            return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.body" and message.get("body"):
            self.sent.append(message["body"])

    def run(self) -> None:
        async def conversation() -> None:
            await self._app(self.scope, self.receive, self.send)

        asyncio.run(conversation())


def test_the_first_line_is_answered_before_the_second_is_sent(api: Api) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield line("OpenBox", "k1", {"account": "A"})
        while not exchange.sent:
            await asyncio.sleep(0.01)
        yield line("OpenBox", "k2", {"account": "B"})

    exchange = Exchange(api, chunks())
    exchange.run()
    assert [json.loads(text)["line"] for text in exchange.sent] == [1, 2]


def test_memory_does_not_grow_with_the_stream(api: Api) -> None:
    """16 MB of lines go through while the memory taken stays far below that."""
    refused = b'"' + b"x" * 19_990 + b"\n"

    answered = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal answered
        for _ in range(800):
            yield refused
            answered += b"".join(exchange.sent).count(b"\n")
            exchange.sent.clear()

    exchange = Exchange(api, chunks())
    tracemalloc.start()
    try:
        exchange.run()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answered + b"".join(exchange.sent).count(b"\n") == 800
    assert peak < 5_000_000


SLOW = Settings(sandbox=True, rates=OFF, limits=Limits(body_seconds=0.1))


async def fallen_silent() -> AsyncIterator[bytes]:
    """One line, then nothing for a long time."""
    yield line("OpenBox", "k1", {"account": "A"})
    await asyncio.sleep(60)
    yield b""


def test_a_stream_that_falls_silent_is_ended_behind_what_it_did(make_api: MakeApi) -> None:
    api = make_api(SLOW)
    exchange = Exchange(api, fallen_silent())
    exchange.run()
    found = [json.loads(text) for text in b"".join(exchange.sent).splitlines()]
    assert [(result["line"], result["status"]) for result in found] == [(1, 200), (2, 400)]
    assert api.events() == 1


def test_a_body_that_does_not_arrive_is_not_waited_for(make_api: MakeApi) -> None:
    api = make_api(SLOW)
    exchange = Exchange(api, fallen_silent(), "/v1/commands/OpenBox", "application/json")
    exchange.run()
    document = json.loads(b"".join(exchange.sent))
    assert (document["status"], document["code"]) == (400, "REQUEST_INVALID")
    assert api.events() == 0


def test_a_dry_run_asked_for_in_the_query_holds_for_every_line(api: Api) -> None:
    body = line("OpenBox", "k1", {"account": "A"}) + line("OpenBox", "k2", {"account": "B"}, dry_run=False)
    headers = {**api.headers("ADM"), "Content-Type": "application/x-ndjson"}
    response = api.client.post("/v1/commands?dryRun=true", content=body, headers=headers)
    found = [json.loads(text) for text in response.text.splitlines()]
    assert [result["answer"]["dry_run"] for result in found] == [True, True]
    assert api.events() == 0
    problem(api.client.post("/v1/commands?dryrun=true", content=body, headers=headers), 400, "REQUEST_INVALID")
    assert api.events() == 0
