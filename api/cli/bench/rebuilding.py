"""Rebuilding every read model from the log, against reading and decoding the log alone."""

from __future__ import annotations

import gc
import time
from typing import Any, Final

from api.cli.bench.groups import durable_system, group, send
from api.cli.bench.measure import Measure, rate
from application.log import START

MEMBERS: Final = 30_000
ROUNDS: Final = 3
_PAGE: Final = 20_000


def measure() -> list[Measure]:
    """A log of 30,000 members, two invoices and a payment; the best of several rounds each, in turn."""
    with durable_system() as system:
        billed = group(system, MEMBERS, 1)
        for _ in range(2):
            send(system, "GenerateInvoice", account=billed.account, confirmed=True)
        send(system, "ApplyPayment", account=billed.account, amount="500000.00", method="CASH", allocation="RULES")
        system.projector.catch_up()
        floor = rebuilt = 0.0
        for _ in range(ROUNDS):
            floor = max(floor, _read(system))
            rebuilt = max(rebuilt, _rebuilt(system))
    return [rate("rebuild of all read models", rebuilt, floor, "events/s", 0.4)]


def _read(system: Any) -> float:
    gc.collect()
    started, after, count = time.perf_counter(), START, 0
    while events := system.log.read(after, _PAGE):
        after = events[-1].place
        count += len(events)
    return float(count / (time.perf_counter() - started))


def _rebuilt(system: Any) -> float:
    gc.collect()
    started = time.perf_counter()
    reports = system.rebuilder.rebuild(list(system.projections), restart=True)
    return float(max(report.events for report in reports) / (time.perf_counter() - started))
