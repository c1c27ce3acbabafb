"""Small commands: what one costs against the raw insert of the bytes it writes, and what eight writers do together.

One command is measured twice. Through the dispatcher it is all that a client waits for behind the HTTP edge: validated,
authorised, its key looked up and bound to the answer, the account locked, loaded, decided and saved with the audit
record, the inline register held in place. The unit of work alone loads, decides and saves, with the audit record but
without a key, a lock and the register: what the event store itself costs.
"""

from __future__ import annotations

import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import psycopg

from api.cli.bench.groups import durable_system, finish, new_account, send, unit_context
from api.cli.bench.measure import Measure, duration, rate
from api.cli.bench.processes import system_on
from domain.accounts.account import ACCOUNT, BillingAccountUpdated
from domain.accounts.lifecycle import require_active
from infrastructure.unit_of_work import PostgresUnits

COMMANDS: Final = 600
WARM_UP: Final = 50
ACCOUNTS: Final = 16
WRITERS: Final = 8
PROCESSES: Final = 2
SECONDS: Final = 2.0
ROUNDS: Final = 9

_UNITS: Final = "units"
_DISPATCHER: Final = "dispatcher"

_COMMAND: Final = "UpdateInvoicePreferences"
_RAW = "CREATE TABLE raw_row (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL)"
_BODY = """
    SELECT event::text || coalesce(stored_answer::text, '') || command_audit::text
      FROM event LEFT JOIN stored_answer USING (command_id) JOIN command_audit USING (command_id)
     ORDER BY event.position DESC LIMIT 1
"""
_FORMATS: Final = ("PDF", "XLSX", "CSV")


def measure() -> list[Measure]:
    """All figures, on one server."""
    with durable_system() as system:
        accounts = [new_account(system) for _ in range(ACCOUNTS)]
        units = PostgresUnits(system.database, system.ids)
        with psycopg.connect(system.database.conninfo, autocommit=True) as connection:
            connection.execute(_RAW)
            alone = [
                _alone("command through the dispatcher", connection, lambda turn: _change(system, accounts, turn)),
                _alone("load-decide-save, unit of work", connection, lambda turn: _save(system, units, accounts, turn)),
            ]
        return [*alone, *_together(system.database.conninfo, accounts)]


def _alone(name: str, connection: psycopg.Connection[Any], change: Callable[[int], None]) -> Measure:
    """Changes of accounts, one after another, against one durable insert of a row of the same bytes: those of the
    event, the audit record and the stored answer, if there is one. Both alternate, so that they meet the same machine.
    """
    ours, raw = [], []
    change(0)
    row = connection.execute(_BODY).fetchone()
    assert row is not None
    for number in range(1, COMMANDS + WARM_UP):
        started = time.perf_counter()
        change(number)
        between = time.perf_counter()
        connection.execute("INSERT INTO raw_row (body) VALUES (%s)", [row[0]], prepare=True)
        ours.append(between - started)
        raw.append(time.perf_counter() - between)
    value, floor = statistics.median(ours[WARM_UP:]) * 1e6, statistics.median(raw[WARM_UP:]) * 1e6
    return duration(name, value, floor, "us", 0.3)


def _together(conninfo: str, accounts: Sequence[str]) -> list[Measure]:
    """Commands a second of eight writers in two processes, against one writer: units of work alone, and through the
    dispatcher. Each writes to accounts of its own, as most commands do. The medians of rounds in turn.

    On a machine of two cores this measures how much of the second core is had: one writer and the server process that
    works for it take turns, and keep one core busy together.
    """
    share = len(accounts) // WRITERS
    shares = [accounts[number * share : (number + 1) * share] for number in range(WRITERS)]
    each = WRITERS // PROCESSES
    together = [shares[number * each : (number + 1) * each] for number in range(PROCESSES)]
    found = []
    for name, way, wanted in (
        (f"{WRITERS} concurrent writers", _UNITS, 2.0),
        (f"{WRITERS} concurrent writers, dispatcher", _DISPATCHER, 1.7),
    ):
        one, eight = [], []
        for _ in range(ROUNDS):
            one.append(_throughput(conninfo, way, [[accounts[:2]]]))
            eight.append(_throughput(conninfo, way, together))
        found.append(rate(name, statistics.median(eight), statistics.median(one), "commands/s", wanted))
    return found


def _throughput(conninfo: str, way: str, processes: Sequence[Sequence[Sequence[str]]]) -> float:
    context = multiprocessing.get_context("spawn")
    ready, start, counts = context.Semaphore(0), context.Event(), context.Queue()
    workers = [
        context.Process(target=_work, args=(conninfo, way, threads, ready, start, counts)) for threads in processes
    ]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire()
    start.set()
    done = sum(counts.get() for _ in workers)
    for worker in workers:
        worker.join()
    return float(done / SECONDS)


def _work(conninfo: str, way: str, threads: Sequence[Sequence[str]], ready: Any, start: Any, counts: Any) -> None:
    """One process: a thread for each share of accounts, changing them in turn until the time is over."""
    with system_on(conninfo) as system:
        units = PostgresUnits(system.database, system.ids)
        done = [0] * len(threads)

        def once(thread: int, number: int) -> None:
            if way == _UNITS:
                _save(system, units, threads[thread], number)
            else:
                _change(system, threads[thread], number)

        def write(thread: int) -> None:
            deadline = time.perf_counter() + SECONDS
            while time.perf_counter() < deadline:
                once(thread, done[thread])
                done[thread] += 1

        for thread in range(len(threads)):
            once(thread, 1)
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
    send(system, _COMMAND, account=accounts[number % len(accounts)], document_format=_format(accounts, number))


def _save(system: Any, units: PostgresUnits, accounts: Sequence[str], number: int) -> None:
    """The same decision in a unit of work of its own."""
    account = accounts[number % len(accounts)]
    context = unit_context(system)
    context = context._replace(request=replace(context.request, idempotency_key=None))
    with units.begin(context) as unit:
        state = unit.load(ACCOUNT, account).state
        require_active(state)
        preferences = replace(state.preferences, document_format=_format(accounts, number))
        unit.append(ACCOUNT, account, [BillingAccountUpdated(number=account, preferences=preferences)])
        finish(unit, context)


def _format(accounts: Sequence[str], number: int) -> str:
    return _FORMATS[number // len(accounts) % len(_FORMATS)]
