"""How fast projections are rebuilt, against the floor of reading and decoding the log alone.

Five projections of the usual kinds (account totals, an append-only journal, invoices, invoice items, member totals) are
rebuilt from one read of a log of small billing events. Run it with
`python -m tests.benchmarks.projection_bench [events]`.
"""

from __future__ import annotations

import datetime as dt
import gc
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from application.log import START, RecordedEvent
from domain.events import event
from infrastructure.event_store.codec import canonical
from infrastructure.event_store.log import EventLog
from infrastructure.event_store.log_source import PostgresLogSource
from infrastructure.postgres.connection import StoreConnection
from infrastructure.postgres.database import Database
from infrastructure.postgres.migrate import migrate
from infrastructure.postgres.server import EmbeddedServer
from projections.engine import (
    Column,
    Index,
    InlineProjections,
    Mode,
    Outcome,
    Projection,
    ProjectionSet,
    Rebuilder,
    Rows,
    Table,
)

EVENTS = 300_000
ACCOUNTS = 500
INLINE_ROWS = 30_000
NOON = dt.datetime(2025, 3, 1, 12, tzinfo=dt.UTC)


@event()
class BenchInvoiceIssued:
    account: str
    invoice: str
    currency: str
    due: dt.date
    lines: tuple[tuple[str, str, int], ...]  # member, coverage, amount


@event()
class BenchMoneyReceived:
    account: str
    payment: str
    currency: str
    amount: int
    received: dt.date


@event()
class BenchMoneyAllocated:
    account: str
    payment: str
    invoice: str
    line: int
    amount: int


@event()
class BenchMemberChanged:
    account: str
    member: str
    coverage: str
    annual: int
    effective: dt.date


def projections(mode: Mode = Mode.FOLLOWING) -> ProjectionSet:
    """The five projections of the benchmark."""
    return ProjectionSet((_accounts(mode), _journal(mode), _invoices(mode), _items(mode), _members(mode)))


def _own_account(recorded: RecordedEvent) -> tuple[str]:
    return (recorded.event.account,)


def _accounts(mode: Mode) -> Projection:
    table = Table(
        "account",
        (
            Column("account", "text"), Column("billed", "bigint"), Column("received", "bigint"),
            Column("allocated", "bigint"), Column("changes", "bigint"), Column("position", "bigint"),
        ),
        key=("account",),
        account="account",
    )  # fmt: skip
    projection = Projection("bench_accounts", version=1, mode=mode, tables=(table,))

    def row_of(recorded: RecordedEvent, rows: Rows) -> dict[str, Any]:
        account = recorded.event.account
        row = rows["account"].get(account)
        if row is None:
            row = {"account": account, "billed": 0, "received": 0, "allocated": 0, "changes": 0}
            rows["account"].put(row)
        row["position"] = recorded.position
        return row

    @projection.on(BenchInvoiceIssued, account=_own_account)
    def issued(recorded: RecordedEvent, rows: Rows) -> None:
        row_of(recorded, rows)["billed"] += sum(line[2] for line in recorded.event.lines)

    @projection.on(BenchMoneyReceived, account=_own_account)
    def received(recorded: RecordedEvent, rows: Rows) -> None:
        row_of(recorded, rows)["received"] += recorded.event.amount

    @projection.on(BenchMoneyAllocated, account=_own_account)
    def allocated(recorded: RecordedEvent, rows: Rows) -> None:
        row_of(recorded, rows)["allocated"] += recorded.event.amount

    @projection.on(BenchMemberChanged, account=_own_account)
    def changed(recorded: RecordedEvent, rows: Rows) -> None:
        row_of(recorded, rows)["changes"] += 1

    return projection


def _journal(mode: Mode) -> Projection:
    table = Table(
        "entry",
        (
            Column("position", "bigint"), Column("account", "text"), Column("debit", "smallint"),
            Column("credit", "smallint"), Column("amount", "bigint"), Column("booked", "date"),
        ),
        key=("position",),
        indexes=(Index(("account", "position")),),
        append_only=True,
        account="account",
    )  # fmt: skip
    projection = Projection("bench_journal", version=1, mode=mode, tables=(table,))

    @projection.on(BenchInvoiceIssued)
    def issued(recorded: RecordedEvent, rows: Rows) -> None:
        total = sum(line[2] for line in recorded.event.lines)
        rows["entry"].append(recorded.position, recorded.event.account, 1200, 4000, total, recorded.effective_date)

    @projection.on(BenchMoneyReceived)
    def received(recorded: RecordedEvent, rows: Rows) -> None:
        happened = recorded.event
        rows["entry"].append(recorded.position, happened.account, 1000, 2100, happened.amount, happened.received)

    @projection.on(BenchMoneyAllocated)
    def allocated(recorded: RecordedEvent, rows: Rows) -> None:
        happened = recorded.event
        rows["entry"].append(recorded.position, happened.account, 2100, 1200, happened.amount, recorded.effective_date)

    return projection


def _invoices(mode: Mode) -> Projection:
    table = Table(
        "invoice",
        (
            Column("invoice", "text"), Column("account", "text"), Column("currency", "text"), Column("due", "date"),
            Column("billed", "bigint"), Column("paid", "bigint"),
        ),
        key=("invoice",),
        indexes=(Index(("account", "due")),),
        account="account",
    )  # fmt: skip
    projection = Projection("bench_invoices", version=1, mode=mode, tables=(table,))

    @projection.on(BenchInvoiceIssued)
    def issued(recorded: RecordedEvent, rows: Rows) -> None:
        happened = recorded.event
        rows["invoice"].add(
            {
                "invoice": happened.invoice,
                "account": happened.account,
                "currency": happened.currency,
                "due": happened.due,
                "billed": sum(line[2] for line in happened.lines),
                "paid": 0,
            }
        )

    @projection.on(BenchMoneyAllocated, invoice=lambda recorded: (recorded.event.invoice,))
    def allocated(recorded: RecordedEvent, rows: Rows) -> None:
        rows["invoice"].require(recorded.event.invoice)["paid"] += recorded.event.amount

    return projection


def _items(mode: Mode) -> Projection:
    table = Table(
        "item",
        (
            Column("invoice", "text"), Column("line", "integer"), Column("account", "text"),
            Column("member", "text"), Column("coverage", "text"), Column("billed", "bigint"),
            Column("paid", "bigint"),
        ),
        key=("invoice", "line"),
        indexes=(Index(("member",)),),
        account="account",
    )  # fmt: skip
    projection = Projection("bench_items", version=1, mode=mode, tables=(table,))

    @projection.on(BenchInvoiceIssued)
    def issued(recorded: RecordedEvent, rows: Rows) -> None:
        happened = recorded.event
        if len(happened.lines) > 100:
            members, coverages, amounts = zip(*happened.lines, strict=True)
            rows["item"].append_columns(
                len(happened.lines),
                {
                    "invoice": happened.invoice, "line": list(range(len(members))), "account": happened.account,
                    "member": members, "coverage": coverages, "billed": amounts, "paid": 0,
                },
            )  # fmt: skip
            return
        for line, (member, coverage, amount) in enumerate(happened.lines):
            rows["item"].add(
                {
                    "invoice": happened.invoice, "line": line, "account": happened.account, "member": member,
                    "coverage": coverage, "billed": amount, "paid": 0,
                }
            )  # fmt: skip

    @projection.on(BenchMoneyAllocated, item=lambda recorded: ((recorded.event.invoice, recorded.event.line),))
    def allocated(recorded: RecordedEvent, rows: Rows) -> None:
        happened = recorded.event
        rows["item"].require((happened.invoice, happened.line))["paid"] += happened.amount

    return projection


def _members(mode: Mode) -> Projection:
    table = Table(
        "member",
        (
            Column("account", "text"), Column("member", "text"), Column("annual", "bigint"),
            Column("coverage", "text"), Column("changes", "integer"), Column("effective", "date"),
        ),
        key=("account", "member"),
        account="account",
    )  # fmt: skip
    projection = Projection("bench_members", version=1, mode=mode, tables=(table,))

    @projection.on(BenchMemberChanged, member=lambda recorded: ((recorded.event.account, recorded.event.member),))
    def changed(recorded: RecordedEvent, rows: Rows) -> None:
        happened = recorded.event
        row = rows["member"].get((happened.account, happened.member))
        changes = row["changes"] if row is not None else 0
        rows["member"].put(
            {
                "account": happened.account,
                "member": happened.member,
                "annual": happened.annual,
                "coverage": happened.coverage,
                "changes": changes + 1,
                "effective": happened.effective,
            }
        )

    return projection


def course(count: int, seed: int = 1) -> Iterator[object]:
    """`count` events of a billing course: invoices of one to four lines, money, allocations, member changes."""
    pick = random.Random(seed)
    accounts = [f"LB{number:09d}" for number in range(ACCOUNTS)]
    day = NOON.date()
    lines: list[tuple[str, str, int]] = []
    for number in range(count):
        account = accounts[pick.randrange(ACCOUNTS)]
        kind = pick.random()
        if kind < 0.2 or not lines:
            invoice = f"INV-{number:08d}"
            size = pick.randrange(1, 5)
            lines.extend((account, invoice, line) for line in range(size))
            yield BenchInvoiceIssued(
                account=account,
                invoice=invoice,
                currency="USD",
                due=day + dt.timedelta(days=pick.randrange(60)),
                lines=tuple((f"MR-{pick.randrange(10**6):07d}", "LIFE", pick.randrange(10**5)) for _ in range(size)),
            )
        elif kind < 0.4:
            yield BenchMoneyReceived(
                account=account, payment=f"PAY-{number}", currency="USD", amount=pick.randrange(10**6), received=day
            )
        elif kind < 0.6:
            owner, invoice, line = lines[pick.randrange(max(0, len(lines) - 20_000), len(lines))]
            yield BenchMoneyAllocated(
                account=owner, payment=f"PAY-{number}", invoice=invoice, line=line, amount=pick.randrange(10**4)
            )
        else:
            yield BenchMemberChanged(
                account=account,
                member=f"MR-{pick.randrange(100):07d}",
                coverage="DENTAL",
                annual=pick.randrange(10**6),
                effective=day,
            )


def run(count: int = EVENTS) -> list[dict[str, Any]]:
    """Measure; one result a figure: name, value, floor, ratio and unit."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "pg") as server:
        conninfo = server.ensure_database("bench")
        migrate(conninfo)

        with Database(conninfo) as database:
            connect = database.writing
            log = PostgresLogSource(connect)
            _fill(connect, count)
            floor, rebuilt = 0.0, 0.0
            for restart in (False, True):  # in turns, so that a busy moment of the machine meets both
                floor = max(floor, _read_all(EventLog(connect), count))
                rebuilt = max(rebuilt, _rebuild(connect, log, count, restart))
            return [_result("projections.rebuild_five", rebuilt, floor, "events/s"), *_inline(connect, log)]


def _fill(connect: Any, count: int) -> None:
    """Write the log directly: what is measured is reading it."""
    with connect() as connection:
        with connection.cursor().copy(
            "copy event (stream, stream_position, type, schema_version, event_id, effective_date, recorded_at,"
            " actor_kind, actor, client, channel, command_id, correlation_id, previous_hash, hash, payload) from stdin"
        ) as copy:
            for number, happened in enumerate(course(count)):
                copy.write_row(
                    (f"bench:{number}", 1, type(happened).__name__, 1, uuid.UUID(int=number), NOON.date(), NOON, "USER",
                     "bench", "bench", "API", uuid.UUID(int=1), uuid.UUID(int=2), bytes(32), bytes(32),
                     canonical(happened).decode())
                )  # fmt: skip
        connection.execute("vacuum analyze event")


def _read_all(reader: EventLog, count: int) -> float:
    gc.collect()
    started, after, read = time.perf_counter(), START, 0
    while events := reader.read(after, 20_000):
        after = events[-1].place
        read += len(events)
    assert read == count
    return count / (time.perf_counter() - started)


def _rebuild(connect: Any, log: PostgresLogSource, count: int, restart: bool) -> float:
    chosen = projections()
    gc.collect()
    rebuilder = Rebuilder(chosen, connect, log)
    rebuilder.prepare()
    started = time.perf_counter()
    reports = rebuilder.rebuild(chosen, restart=restart)
    seconds = time.perf_counter() - started
    assert all(report.outcome is Outcome.SWITCHED and report.events == count for report in reports)
    return count / seconds


def _inline(connect: Any, log: PostgresLogSource) -> list[dict[str, Any]]:
    """Rows a second of one command that issues an invoice of many items; and the cost of a small command."""
    chosen = ProjectionSet((_accounts(Mode.INLINE), _items(Mode.INLINE), _invoices(Mode.INLINE)))
    with connect() as connection:
        connection.execute("truncate read_models.generation")
        for (schema,) in connection.execute(
            "select nspname from pg_namespace where nspname like 'read_bench%'"
        ).fetchall():
            connection.execute(f'drop schema "{schema}" cascade')
    Rebuilder(chosen, connect, log).rebuild(chosen)
    inline = InlineProjections(chosen)
    lines = tuple((f"MR-{number:07d}", "LIFE", number) for number in range(INLINE_ROWS))
    large, small = [], []
    with connect() as connection:
        for number in range(5):
            invoice = BenchInvoiceIssued(
                account="LB000000001", invoice=f"BIG-{number}", currency="USD", due=NOON.date(), lines=lines
            )
            large.append(_run_inline(connection, inline, [_recorded(invoice, 10**9 + number)]))
        for number in range(200):
            invoice = BenchInvoiceIssued(
                account="LB000000002", invoice=f"SMALL-{number}", currency="USD", due=NOON.date(), lines=lines[:3]
            )
            small.append(_run_inline(connection, inline, [_recorded(invoice, 2 * 10**9 + number)]))
    return [
        _result("projections.inline_items", INLINE_ROWS / min(large), 100_000.0, "rows/s"),
        _result("projections.inline_command", sorted(small)[len(small) // 2] * 1000, None, "ms"),
    ]


def _recorded(happened: object, position: int) -> RecordedEvent:
    return RecordedEvent(
        position, 1, "bench:inline", 1, type(happened).__name__, happened, NOON, NOON.date(), uuid.UUID(int=position),
        "bench", uuid.UUID(int=1), uuid.UUID(int=2), None,
    )  # fmt: skip


def _run_inline(connection: StoreConnection, inline: InlineProjections, events: list[RecordedEvent]) -> float:
    with connection.transaction(), connection.cursor() as cursor:
        started = time.perf_counter()
        inline.run(cursor, events)
        return time.perf_counter() - started


def _result(name: str, value: float, floor: float | None, unit: str) -> dict[str, Any]:
    ratio = round(value / floor, 3) if floor else None
    return {"name": name, "value": round(value, 3), "floor": floor and round(floor, 3), "ratio": ratio, "unit": unit}


if __name__ == "__main__":
    for result in run(int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS):
        print(result)
