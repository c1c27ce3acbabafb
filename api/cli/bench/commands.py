"""Small commands: what one costs against the raw insert of the bytes it writes, and what eight writers do together."""

from __future__ import annotations

import multiprocessing
import statistics
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import psycopg

from api.cli.bench.groups import durable_system, new_account, send
from api.cli.bench.measure import Measure, duration, rate
from api.cli.bench.processes import system_on

COMMANDS: Final = 600
WARM_UP: Final = 50
ACCOUNTS: Final = 16
WRITERS: Final = 8
PROCESSES: Final = 2
SECONDS: Final = 4.0

_COMMAND: Final = "UpdateInvoicePreferences"
_RAW = "CREATE TABLE raw_row (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL)"
_BODY = """
    SELECT event::text || stored_answer::text || command_audit::text FROM event JOIN stored_answer USING (command_id)
      JOIN command_audit USING (command_id) ORDER BY event.position DESC LIMIT 1
"""


def measure() -> list[Measure]:
    """Both figures, on one server."""
    with durable_system() as system:
        accounts = [new_account(system) for _ in range(ACCOUNTS)]
        return [_alone(system, accounts), _together(system.database.conninfo, accounts)]


def _alone(system: Any, accounts: Sequence[str]) -> Measure:
    """Load, decide and save one account through the dispatcher, against one durable insert of a row of the same bytes:
    those of the event, the stored answer and the audit record. Both alternate, so that they meet the same machine."""
    ours, raw = [], []
    with psycopg.connect(system.database.conninfo, autocommit=True) as connection:
        connection.execute(_RAW)
        send(system, _COMMAND, account=accounts[0], content_type="SUMMARY")
        row = connection.execute(_BODY).fetchone()
        assert row is not None
        for number in range(COMMANDS + WARM_UP):
            started = time.perf_counter()
            _change(system, accounts, number)
            between = time.perf_counter()
            connection.execute("INSERT INTO raw_row (body) VALUES (%s)", [row[0]], prepare=True)
            ours.append(between - started)
            raw.append(time.perf_counter() - between)
    value, floor = statistics.median(ours[WARM_UP:]) * 1e6, statistics.median(raw[WARM_UP:]) * 1e6
    return duration("command load-decide-save", value, floor, "us", 0.3)


def _together(conninfo: str, accounts: Sequence[str]) -> Measure:
    """Commands a second of eight writers in as many processes as the machine has cores, against one writer; each
    writes to accounts of its own, as most commands do."""
    one = _throughput(conninfo, [[accounts[:2]]])
    share = len(accounts) // WRITERS
    shares = [accounts[number * share : (number + 1) * share] for number in range(WRITERS)]
    each = WRITERS // PROCESSES
    eight = _throughput(conninfo, [shares[number * each : (number + 1) * each] for number in range(PROCESSES)])
    return rate(f"{WRITERS} concurrent writers", eight, one, "commands/s", 2.0)


def _throughput(conninfo: str, processes: Sequence[Sequence[Sequence[str]]]) -> float:
    context = multiprocessing.get_context("spawn")
    ready, start, counts = context.Semaphore(0), context.Event(), context.Queue()
    workers = [context.Process(target=_work, args=(conninfo, threads, ready, start, counts)) for threads in processes]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire()
    start.set()
    done = sum(counts.get() for _ in workers)
    for worker in workers:
        worker.join()
    return float(done / SECONDS)


def _work(conninfo: str, threads: Sequence[Sequence[str]], ready: Any, start: Any, counts: Any) -> None:
    """One process: a thread for each share of accounts, changing them in turn until the time is over."""
    with system_on(conninfo) as system:
        done = [0] * len(threads)

        def write(thread: int) -> None:
            deadline = time.perf_counter() + SECONDS
            while time.perf_counter() < deadline:
                _change(system, threads[thread], done[thread])
                done[thread] += 1

        for own in threads:
            _change(system, own, 1)
        workers = [threading.Thread(target=write, args=(number,)) for number in range(len(threads))]
        ready.release()
        start.wait()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        counts.put(sum(done))


def _change(system: Any, accounts: Sequence[str], number: int) -> None:
    """Give the next account in turn other preferences than it has."""
    format_ = ("PDF", "XLSX", "CSV")[number // len(accounts) % 3]
    send(system, _COMMAND, account=accounts[number % len(accounts)], document_format=format_)
