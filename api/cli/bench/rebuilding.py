"""Rebuilding every read model from the log, against reading and decoding the log alone."""

from __future__ import annotations

import gc
import time
from typing import Any, Final

from api.cli.bench.groups import durable_system, group, send
from api.cli.bench.measure import Measure, rate
from application.log import START

MEMBERS: Final = 10_000
_PAGE: Final = 20_000


def measure() -> list[Measure]:
    """A log of 10,000 members, two invoices and a payment."""
    with durable_system() as system:
        billed = group(system, MEMBERS, 1)
        for _ in range(2):
            send(system, "GenerateInvoice", account=billed.account, confirmed=True)
        send(system, "ApplyPayment", account=billed.account, amount="500000.00", method="CASH", allocation="RULES")
        system.projector.catch_up()
        floor = max(_read(system) for _ in range(2))
        gc.collect()
        started = time.perf_counter()
        reports = system.rebuilder.rebuild(list(system.projections), restart=True)
        seconds = time.perf_counter() - started
        events = max(report.events for report in reports)
    return [rate("rebuild of all read models", events / seconds, floor, "events/s", 0.4)]


def _read(system: Any) -> float:
    gc.collect()
    started, after, count = time.perf_counter(), START, 0
    while events := system.log.read(after, _PAGE):
        after = events[-1].place
        count += len(events)
    return float(count / (time.perf_counter() - started))
