"""How fast the event store is, each figure against a floor measured in the same run on the same machine.

The server is the embedded one, on disk and with every durability setting on. `python -m tests.benchmarks.store_bench`
prints the records; each is a dict of name, value, floor, ratio and unit, where ratio is value : floor for rates and
floor : value for times, so that more is better.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import psycopg

from application.clock import SystemClock, UuidSource
from application.command import CommandRequest, Principal
from application.dispatch import CommandContext, Dispatcher, fingerprint_of
from application.log import START
from domain.money import Money
from infrastructure.event_store.log import EventLog
from infrastructure.postgres.command_records import PostgresAuditTrail
from infrastructure.postgres.database import Database
from infrastructure.postgres.migrate import migrate
from infrastructure.postgres.server import EmbeddedServer
from infrastructure.unit_of_work import PostgresUnits
from tests.conftest import answer_of, audit_of
from tests.infrastructure.sample import HANDLERS, TILL, TYPES, TillFilled

CLERK = Principal("USER", "clerk", "console", frozenset({"till.manage"}), person="P-1")
FILLED = TillFilled(
    amount=Money(12_000, "USD"), effective_date=dt.date(2025, 3, 1), notes=("monthly premium", "dental")
)
_RAW = "CREATE TABLE IF NOT EXISTS raw_row (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL)"


class Record(TypedDict):
    """One figure and its floor."""

    name: str
    value: float
    floor: float
    ratio: float
    unit: str


@contextmanager
def durable_database() -> Iterator[str]:
    """The connection string of a fresh migrated database on an embedded server with its data on disk."""
    folder = Path(tempfile.mkdtemp(prefix="rollon-bench-"))
    try:
        with EmbeddedServer(folder / "pg") as server:
            conninfo = server.ensure_database("bench")
            migrate(conninfo)
            yield conninfo
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Client:
    """Sends commands through a dispatcher of its own, like a process of the service."""

    def __init__(self, database: Database, name: str) -> None:
        clock = SystemClock()
        ids = UuidSource(clock)
        units, audit = PostgresUnits(database, ids), PostgresAuditTrail(database)
        self._dispatcher = Dispatcher(units, audit, clock, ids, types=TYPES, handlers=HANDLERS)
        self._name = name
        self._sent = 0

    def send(self, command: str, **payload: Any) -> None:
        self._sent += 1
        key = f"{self._name}-{self._sent}"
        self._dispatcher.execute(CommandRequest(command, payload, CLERK, "API", idempotency_key=key))

    def open_tills(self, count: int) -> list[str]:
        tills = [f"{self._name}-{number}" for number in range(count)]
        for till in tills:
            self.send("OpenTill", till=till, name="front")
        return tills


def command_against_raw_insert(conninfo: str, commands: int = 1_000) -> Record:
    """Load, decide and save one aggregate through the dispatcher, against one durable insert of a row of the same
    bytes: those of the event, the stored answer and the audit record. Both alternate, so that they meet the same
    machine; the figures are medians, in microseconds."""
    with Database(conninfo) as database, psycopg.connect(conninfo, autocommit=True) as raw:
        raw.execute(_RAW)
        client = Client(database, "single")
        tills = client.open_tills(100)
        client.send("FillTill", till=tills[0], amount="120.00", notes=["monthly premium"])
        row = raw.execute(
            "SELECT event::text || stored_answer::text || command_audit::text FROM event JOIN stored_answer"
            " USING (command_id) JOIN command_audit USING (command_id) ORDER BY event.position DESC LIMIT 1"
        ).fetchone()
        assert row is not None
        body = row[0]
        ours, floor = [], []
        for number in range(commands + 100):
            started = time.perf_counter()
            client.send("FillTill", till=tills[number % 100], amount="120.00", notes=["monthly premium"])
            between = time.perf_counter()
            raw.execute("INSERT INTO raw_row (body) VALUES (%s)", [body], prepare=True)
            ours.append(between - started)
            floor.append(time.perf_counter() - between)
    value, base = statistics.median(ours[100:]) * 1e6, statistics.median(floor[100:]) * 1e6
    return Record(name="command load-decide-save", value=value, floor=base, ratio=base / value, unit="us")


def concurrent_writers(conninfo: str, seconds: float = 4.0, processes: int = 2, writers: int = 8) -> Record:
    """Commands a second of eight writers, against one writer. The eight are threads in as many processes as the machine
    has cores, which is how the service is deployed; each works on aggregates of its own, as most commands do."""
    alone = _throughput(conninfo, "alone", seconds, processes=1, threads=1)
    together = _throughput(conninfo, "together", seconds, processes=processes, threads=writers // processes)
    return Record(name=f"{writers} writers", value=together, floor=alone, ratio=together / alone, unit="commands/s")


def _throughput(conninfo: str, name: str, seconds: float, processes: int, threads: int) -> float:
    context = multiprocessing.get_context("spawn")
    ready, start, counts = context.Semaphore(0), context.Event(), context.Queue()
    workers = [
        context.Process(target=_work, args=(conninfo, f"{name}-{number}", seconds, threads, ready, start, counts))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire()
    start.set()
    done = sum(counts.get() for _ in workers)
    for worker in workers:
        worker.join()
    return float(done / seconds)


def _work(conninfo: str, name: str, seconds: float, threads: int, ready: Any, start: Any, counts: Any) -> None:
    """One process: its threads fill tills of their own until the time is over."""
    with Database(conninfo) as database:
        clients = [Client(database, f"{name}-{number}") for number in range(threads)]
        tills = [client.open_tills(200) for client in clients]
        done = [0] * threads

        def fill(number: int) -> None:
            client, own = clients[number], tills[number]
            deadline = time.perf_counter() + seconds
            while time.perf_counter() < deadline:
                client.send("FillTill", till=own[done[number] % len(own)], amount="120.00")
                done[number] += 1

        workers = [threading.Thread(target=fill, args=(number,)) for number in range(threads)]
        ready.release()
        start.wait()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        counts.put(sum(done))


def bulk_append(conninfo: str, events: int = 20_000, rounds: int = 5) -> Record:
    """Events a second of one unit of work that appends many, from the domain events to the commit, hashes included,
    against a plain COPY of the same rows into a table of the same columns and indexes; the best of several rounds."""
    with Database(conninfo) as database, psycopg.connect(conninfo, autocommit=True) as raw:
        raw.execute("CREATE TABLE copied (LIKE event INCLUDING INDEXES)")
        ours, floor = [], []
        for number in range(rounds):
            context = _context(f"bulk-{number}")
            started = time.perf_counter()
            with PostgresUnits(database, UuidSource(SystemClock())).begin(context) as unit:
                for stream in range(100):
                    unit.append(TILL, f"bulk-{number}-{stream}", [FILLED] * (events // 100))
                unit.complete(answer_of(context), audit_of(context), commit=True)
            ours.append(time.perf_counter() - started)
            rows = _copied_out(raw, context)
            started = time.perf_counter()
            with raw.cursor().copy("COPY copied FROM STDIN (FORMAT BINARY)") as copy:
                for block in rows:
                    copy.write(block)
            floor.append(time.perf_counter() - started)
    value, base = events / min(ours), events / min(floor)
    return Record(name=f"bulk append of {events} events", value=value, floor=base, ratio=value / base, unit="events/s")


def _copied_out(raw: psycopg.Connection[Any], context: CommandContext) -> Sequence[bytes]:
    """The rows of one command in binary form, in blocks of 64 KiB."""
    query = f"COPY (SELECT * FROM event WHERE command_id = '{context.command_id}') TO STDOUT (FORMAT BINARY)"
    with raw.cursor().copy(query.encode()) as copy:
        whole = b"".join(bytes(block) for block in copy)
    return [whole[start : start + 65_536] for start in range(0, len(whole), 65_536)]


def read_and_decode(conninfo: str, floor: float = 100_000) -> Record:
    """Events a second that one process reads from the log and decodes into domain events, against a fixed floor."""
    with Database(conninfo) as database:
        units = PostgresUnits(database, UuidSource(SystemClock()))
        for number in range(5):
            context = _context(f"read-{number}")
            with units.begin(context) as unit:
                for stream in range(1_000):
                    unit.append(TILL, f"read-{number}-{stream}", [FILLED] * 20)
                unit.complete(answer_of(context), audit_of(context), commit=True)
        log = EventLog(database.writing)
        rates = []
        for _ in range(2):
            place, count = START, 0
            started = time.perf_counter()
            while events := log.read(place, 5_000):
                place, count = events[-1].place, count + len(events)
            rates.append(count / (time.perf_counter() - started))
    value = max(rates)
    return Record(name="read and decode the log", value=value, floor=floor, ratio=value / floor, unit="events/s")


def _context(key: str) -> CommandContext:
    ids = UuidSource(SystemClock())
    request = CommandRequest("Bulk", {}, CLERK, "JOB", idempotency_key=key)
    return CommandContext(request, ids.new(), ids.new(), fingerprint_of(request), SystemClock().now())


def run() -> list[Record]:
    """All figures, in one run on one server."""
    with durable_database() as conninfo:
        return [
            command_against_raw_insert(conninfo),
            concurrent_writers(conninfo),
            bulk_append(conninfo),
            read_and_decode(conninfo),
        ]


if __name__ == "__main__":
    for record in run():
        sys.stdout.write(
            f"{record['name']:32} {record['value']:12,.0f} {record['unit']:10} floor {record['floor']:12,.0f}"
            f"  ratio {record['ratio']:.2f}\n"
        )
