"""The summary of an account over GraphQL: it takes as long for a hundred thousand members as for a thousand."""

from __future__ import annotations

import json
import statistics
import threading
import time
from typing import Any, Final

import uvicorn

from api.cli.bench.groups import durable_system, group, send
from api.cli.bench.measure import Measure, duration
from api.cli.demo.service import Client, free_port

SMALL: Final = 1_000
LARGE: Final = 100_000
QUERIES: Final = 200

_SUMMARY = """
query ($account: String!) {
  billingAccount(number: $account) { number status }
  accountBalances(account: $account) { remainingDue { amount } unapplied { amount } anyb { amount }
    accountBalance { amount } }
  invoices(account: $account, first: 5, newestFirst: true) { nodes {
    number totalDue { amount } remainingDue { amount } } }
}
"""


def measure(large: int = LARGE) -> list[Measure]:
    """Medians of alternating queries, so that both accounts meet the same machine."""
    with durable_system() as system:
        accounts = [group(system, members, 1).account for members in (SMALL, large)]
        for account in accounts:
            send(system, "GenerateInvoice", account=account, confirmed=True)
        system.projector.catch_up()
        small, big = _medians(system, accounts)
    return [duration(f"account summary, {large:,} members", big, small, "ms", 0.67)]


def _medians(system: Any, accounts: list[str]) -> list[float]:
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(system.app(projecting=False), host="127.0.0.1", port=port, log_config=None, access_log=False)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        client = Client(f"http://127.0.0.1:{port}")
        client.wait()
        times: list[list[float]] = [[] for _ in accounts]
        for number in range(QUERIES):
            for place, account in enumerate(accounts):
                started = time.perf_counter()
                answer = client.query(_SUMMARY, account=account)
                if number >= QUERIES // 10:
                    times[place].append((time.perf_counter() - started) * 1000)
                if not answer["invoices"]["nodes"]:
                    raise AssertionError(json.dumps(answer))
        return [statistics.median(some) for some in times]
    finally:
        server.should_exit = True
        thread.join(timeout=15)
