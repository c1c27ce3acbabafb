"""The invoice of a large group, from the command to the commit: items a second, and the memory it takes.

Measured in a process of its own, so that the peak memory is that of the generation and of nothing else.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from typing import Any, Final

from api.cli.bench.groups import durable_system, group, send
from api.cli.bench.measure import Measure, duration, rate

MEMBERS: Final = 10_000
COVERAGES: Final = 3
_ITEMS_A_SECOND: Final = 20_000
_MEGABYTES: Final = 500


def measure() -> list[Measure]:
    """An invoice for 10,000 members with 3 coverages each."""
    with durable_system() as system:
        billed = group(system, MEMBERS, COVERAGES)
        context = multiprocessing.get_context("spawn")
        answers: Any = context.Queue()
        process = context.Process(target=_generate, args=(system.database.conninfo, billed.account, answers))
        process.start()
        seconds, lines, before, peak = answers.get(timeout=600)
        process.join()
    if lines != MEMBERS * COVERAGES:
        raise AssertionError(f"the invoice has {lines} items")
    return [
        rate("invoice items committed", lines / seconds, _ITEMS_A_SECOND, "items/s", 1.0),
        duration("peak memory of an invoice", peak, _MEGABYTES, "MB", 1.0),
        duration("memory an invoice adds", max(peak - before, 1.0), _MEGABYTES, "MB", 1.0),
    ]


def _generate(conninfo: str, account: str, answers: Any) -> None:
    from api.cli.bench.processes import system_on

    with system_on(conninfo) as system:
        before = _peak()
        started = time.perf_counter()
        answer = send(system, "GenerateInvoice", account=account, confirmed=True)
        seconds = time.perf_counter() - started
        answers.put((seconds, answer.result["lines"], before, _peak()))


def _peak() -> float:
    """The peak resident memory of this process, megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
