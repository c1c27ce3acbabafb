"""Behind a real server and a real socket: early refusals, and streams that flow both ways."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn

from tests.api.conftest import Api


@pytest.fixture
def address(api: Api) -> Iterator[str]:
    """The application behind uvicorn."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(api.client.app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of an answer that ends with the connection, or with its length."""
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if length and len(body) >= int(length[0].split(b":")[1]):
            break
    return int(received.split(b" ")[1]), received.partition(b"\r\n\r\n")[2]


def received_from(connection: socket.socket) -> bytes:
    """The next bytes; a connection that ends before its answer does is no answer."""
    received = connection.recv(65_536)
    assert received
    return received


def test_a_refusal_comes_before_the_body_was_sent(api: Api, address: str) -> None:
    """Whoever may not, and whoever announces too much, is told at once: the body stays with the client."""
    host, port = address.removeprefix("http://").split(":")
    for roles, length, status, code in ((("CCA",), 100, 403, "FORBIDDEN"), (("BOF",), 10**9, 413, "PAYLOAD_TOO_LARGE")):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            head = [
                "POST /v1/commands/OpenBox HTTP/1.1",
                f"Host: {host}",
                "Content-Type: application/json",
                "Idempotency-Key: k",
                "Expect: 100-continue",
                f"Content-Length: {length}",
                *(f"{name}: {value}" for name, value in api.headers(*roles).items()),
            ]
            connection.sendall("\r\n".join([*head, "", ""]).encode())
            found, body = read_answer(connection)
        assert (found, json.loads(body)["code"]) == (status, code)


def test_a_body_without_end_is_cut_off_at_its_limit(api: Api, address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        authorization = api.headers("BOF")["Authorization"]
        connection.sendall(
            f"POST /v1/commands/OpenBox HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Authorization: {authorization}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        sent = 0
        try:
            while sent < 100_000_000:
                connection.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
                sent += 65_536
        except OSError:
            pass
        assert sent < 50_000_000
    assert api.audit() == [("OpenBox", "REFUSED", "FACADE", ["PAYLOAD_TOO_LARGE"])]


def test_a_line_is_answered_before_the_next_one_is_sent(api: Api, address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        authorization = api.headers("BOF")["Authorization"]
        connection.sendall(
            f"POST /v1/commands HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-ndjson\r\n"
            f"Authorization: {authorization}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        received = b""
        for number in range(3):
            body = {"name": "OpenBox", "idempotency_key": f"k{number}", "payload": {"account": f"A{number}"}}
            line = json.dumps(body).encode() + b"\n"
            connection.sendall(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            while f'"line":{number + 1},"status":200'.encode() not in received:
                received += received_from(connection)
        connection.sendall(b"0\r\n\r\n")
        while not received.endswith(b"0\r\n\r\n"):
            received += received_from(connection)
    assert api.events() == 3


def test_an_ordinary_command_goes_through(api: Api, address: str) -> None:
    with httpx.Client(base_url=address, headers=api.headers("BOF")) as client:
        for number in range(20):
            body = {"payload": {"account": f"A{number}"}}
            answer = client.post("/v1/commands/OpenBox", json=body, headers={"Idempotency-Key": f"k{number}"})
            assert answer.status_code == 200
    assert api.events() == 20
