"""A small billing log and the read models over it: every kind of table, write and statement that the engine offers.

Accounts have totals (loaded and changed), items are rows that a set statement closes, members come and go by upsert,
search and deletion, the journal only grows. `expected` folds the same events in memory, independently of the engine:
what all the engine's ways of filling the tables are compared with.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterable, Sequence
from typing import Any

from application.log import RecordedEvent
from domain.events import event
from projections.engine import Column, Index, Mode, Projection, ProjectionError, ProjectionSet, Rows, Table


@event()
class ToyAccountOpened:
    account: str
    name: str


@event()
class ToyInvoiceIssued:
    account: str
    invoice: str
    items: tuple[tuple[str, int], ...]  # member, amount


@event()
class ToyMoneyAllocated:
    account: str
    invoice: str
    amounts: tuple[tuple[int, int], ...]  # item number, amount


@event()
class ToyInvoiceDiscarded:
    account: str
    invoice: str


@event()
class ToyMemberLeft:
    account: str
    member: str


@event()
class ToyAccountClosed:
    account: str


@event()
class ToyNothingHappened:
    note: str


ACCOUNT = Table(
    "account",
    (
        Column("account", "text"),
        Column("name", "text", nullable=True),
        Column("billed", "bigint"),
        Column("paid", "bigint"),
        Column("invoices", "integer"),
        Column("open_invoices", "text[]"),
        Column("closed", "boolean"),
        Column("last_seen", "timestamptz"),
    ),
    key=("account",),
    indexes=(Index(("lower(name)",)),),
    account="account",
)
ITEM = Table(
    "item",
    (
        Column("invoice", "text"),
        Column("number", "integer"),
        Column("account", "text"),
        Column("member", "text"),
        Column("billed", "bigint"),
        Column("paid", "bigint"),
        Column("live", "boolean"),
        Column("due", "date", nullable=True),
    ),
    key=("invoice", "number"),
    indexes=(Index(("account", "due")), Index(("member",), where="live")),
    account="account",
)
MEMBER = Table(
    "member",
    (
        Column("account", "text"),
        Column("member", "text"),
        Column("billed", "bigint"),
        Column("history", "jsonb"),
    ),
    key=("account", "member"),
    account="account",
)
ENTRY = Table(
    "entry",
    (
        Column("position", "bigint"),
        Column("line", "integer"),
        Column("account", "text"),
        Column("kind", "text"),
        Column("amount", "bigint"),
        Column("event", "uuid"),
    ),
    key=("position", "line"),
    indexes=(Index(("account", "position")),),
    append_only=True,
    account="account",
)


PART = Table(
    "part",
    (Column("account", "text"), Column("invoice", "text"), Column("number", "integer"), Column("amount", "bigint")),
    key=("account", "invoice", "number"),
    account="account",
)
TALLY = Table(
    "tally",
    (Column("account", "text"), Column("billed", "bigint"), Column("paid", "bigint"), Column("left_open", "bigint")),
    key=("account",),
)


def balances(mode: Mode) -> Projection:
    projection = Projection("balances", version=1, mode=mode, tables=(ACCOUNT,))

    def own(recorded: RecordedEvent) -> tuple[str]:
        return (recorded.event.account,)

    def account_row(recorded: RecordedEvent, rows: Rows) -> dict[str, Any]:
        row = rows["account"].get(recorded.event.account)
        if row is None:
            row = {
                "account": recorded.event.account,
                "name": None,
                "billed": 0,
                "paid": 0,
                "invoices": 0,
                "open_invoices": [],
                "closed": False,
            }
            rows["account"].put(row)
        row["last_seen"] = recorded.recorded_at
        return row

    @projection.on(ToyAccountOpened, account=own)
    def opened(recorded: RecordedEvent, rows: Rows) -> None:
        account_row(recorded, rows)["name"] = recorded.event.name

    @projection.on(ToyInvoiceIssued, account=own)
    def issued(recorded: RecordedEvent, rows: Rows) -> None:
        row = account_row(recorded, rows)
        row["billed"] += sum(amount for _, amount in recorded.event.items)
        row["invoices"] += 1
        row["open_invoices"] = [*row["open_invoices"], recorded.event.invoice]

    @projection.on(ToyMoneyAllocated, account=own)
    def allocated(recorded: RecordedEvent, rows: Rows) -> None:
        account_row(recorded, rows)["paid"] += sum(amount for _, amount in recorded.event.amounts)

    @projection.on(ToyInvoiceDiscarded, account=own)
    def discarded(recorded: RecordedEvent, rows: Rows) -> None:
        row = account_row(recorded, rows)
        row["open_invoices"] = [invoice for invoice in row["open_invoices"] if invoice != recorded.event.invoice]

    @projection.on(ToyAccountClosed, account=own)
    def closed(recorded: RecordedEvent, rows: Rows) -> None:
        account_row(recorded, rows)["closed"] = True

    return projection


def items(mode: Mode) -> Projection:
    projection = Projection("items", version=1, mode=mode, tables=(ITEM,))

    def paid_items(recorded: RecordedEvent) -> list[tuple[str, int]]:
        return [(recorded.event.invoice, number) for number, _ in recorded.event.amounts]

    @projection.on(ToyInvoiceIssued)
    def issued(recorded: RecordedEvent, rows: Rows) -> None:
        happened = recorded.event
        if len(happened.items) > 6:
            count = len(happened.items)
            rows["item"].append_columns(
                count,
                {
                    "invoice": happened.invoice,
                    "number": list(range(count)),
                    "account": happened.account,
                    "member": [member for member, _ in happened.items],
                    "billed": [amount for _, amount in happened.items],
                    "paid": 0,
                    "live": True,
                    "due": recorded.effective_date,
                },
            )
            return
        for number, (member, amount) in enumerate(happened.items):
            rows["item"].add(
                {
                    "invoice": happened.invoice,
                    "number": number,
                    "account": happened.account,
                    "member": member,
                    "billed": amount,
                    "paid": 0,
                    "live": True,
                    "due": recorded.effective_date,
                }
            )

    @projection.on(ToyMoneyAllocated, item=paid_items)
    def allocated(recorded: RecordedEvent, rows: Rows) -> None:
        for number, amount in recorded.event.amounts:
            row = rows["item"].get((recorded.event.invoice, number))
            if row is not None:
                row["paid"] += amount

    @projection.on(ToyInvoiceDiscarded)
    def discarded(recorded: RecordedEvent, rows: Rows) -> None:
        rows.execute(
            "update {item} set live = false, due = null where invoice = %(invoice)s",
            {"invoice": recorded.event.invoice},
            changes="item",
        )

    return projection


def members(mode: Mode) -> Projection:
    projection = Projection("members", version=1, mode=mode, tables=(MEMBER,))

    def billed_members(recorded: RecordedEvent) -> list[tuple[str, str]]:
        return [(recorded.event.account, member) for member, _ in recorded.event.items]

    @projection.on(ToyInvoiceIssued, member=billed_members)
    def issued(recorded: RecordedEvent, rows: Rows) -> None:
        for member, amount in recorded.event.items:
            row = rows["member"].get((recorded.event.account, member))
            if row is None:
                rows["member"].put(
                    {
                        "account": recorded.event.account,
                        "member": member,
                        "billed": amount,
                        "history": [recorded.event.invoice],
                    }
                )
            else:
                row["billed"] += amount
                row["history"].append(recorded.event.invoice)

    @projection.on(ToyMemberLeft)
    def left(recorded: RecordedEvent, rows: Rows) -> None:
        rows["member"].delete((recorded.event.account, recorded.event.member))

    @projection.on(ToyAccountClosed)
    def closed(recorded: RecordedEvent, rows: Rows) -> None:
        for row in reversed(rows["member"].find(account=recorded.event.account)):
            row["history"] = {"closed_after": row["history"]}
            rows["member"].delete((row["account"], row["member"]))
            row["member"] = row["member"] + "*"
            rows["member"].put(row)

    return projection


def journal(mode: Mode) -> Projection:
    projection = Projection("journal", version=1, mode=mode, tables=(ENTRY,))

    @projection.on(ToyInvoiceIssued)
    def issued(recorded: RecordedEvent, rows: Rows) -> None:
        rows["entry"].extend(
            (recorded.position, line, recorded.event.account, "BILLED", amount, recorded.event_id)
            for line, (_, amount) in enumerate(recorded.event.items)
        )

    @projection.on(ToyMoneyAllocated)
    def allocated(recorded: RecordedEvent, rows: Rows) -> None:
        for line, (_, amount) in enumerate(recorded.event.amounts):
            rows["entry"].append(recorded.position, line, recorded.event.account, "PAID", amount, recorded.event_id)

    return projection


def groups(mode: Mode) -> Projection:
    """Rows that come in groups and are replaced together, and totals that are increased without being looked at."""
    projection = Projection("groups", version=1, mode=mode, tables=(PART, TALLY))

    @projection.on(ToyInvoiceIssued, tally=lambda recorded: (recorded.event.account,))
    def issued(recorded: RecordedEvent, rows: Rows) -> None:
        account, invoice = recorded.event.account, recorded.event.invoice
        rows["part"].replace(
            ((account, invoice, number, amount) for number, (_, amount) in enumerate(recorded.event.items)),
            account=account,
            invoice=invoice,
        )
        if rows["tally"].get(account) is None:
            rows["tally"].add({"account": account, "billed": 0, "paid": 0, "left_open": 0})
        for _, amount in recorded.event.items:
            rows["tally"].increase(account, "billed", amount)
            rows["tally"].increase(account, "left_open", amount)

    @projection.on(ToyMoneyAllocated)
    def allocated(recorded: RecordedEvent, rows: Rows) -> None:
        account, invoice, amounts = recorded.event.account, recorded.event.invoice, recorded.event.amounts
        if recorded.position % 3 == 0:
            rows["part"].replace(
                [(account, invoice, n, amount) for n, amount in amounts], account=account, invoice=invoice
            )
        else:
            rows["part"].append(account, invoice, 1_000 + recorded.position, len(amounts))
        for _, amount in amounts:
            rows["tally"].increase(account, "paid", amount)
            rows["tally"].increase(account, "left_open", -amount)

    @projection.on(ToyInvoiceDiscarded)
    def discarded(recorded: RecordedEvent, rows: Rows) -> None:
        account, invoice = recorded.event.account, recorded.event.invoice
        rows["part"].replace((), account=account, invoice=invoice)
        if recorded.position % 2:
            rows["part"].delete((account, invoice, 0))
            rows["part"].add({"account": account, "invoice": invoice, "number": 0, "amount": recorded.position})

    return projection


def toy_set(mode: Mode) -> ProjectionSet:
    """All toy projections, all in one mode."""
    return ProjectionSet((balances(mode), items(mode), members(mode), journal(mode), groups(mode)))


def stumbling(mode: Mode, stumbles: set[str]) -> Projection:
    """A projection that fails at invoices whose number is in `stumbles`, which a test may empty."""
    projection = Projection("stumbling", version=1, mode=mode, tables=(Table(
        "seen", (Column("invoice", "text"), Column("position", "bigint")), key=("invoice",)),))  # fmt: skip

    @projection.on(ToyInvoiceIssued)
    def issued(recorded: RecordedEvent, rows: Rows) -> None:
        if recorded.event.invoice in stumbles:
            raise ProjectionError("the invoice is one to stumble over")
        rows["seen"].add({"invoice": recorded.event.invoice, "position": recorded.position})

    return projection


Expected = dict[str, list[tuple[Any, ...]]]


def expected(events: Iterable[RecordedEvent]) -> Expected:
    """The rows of all toy tables in key order, folded in memory."""
    accounts: dict[str, list[Any]] = {}
    item_rows: dict[tuple[str, int], list[Any]] = {}
    member_rows: dict[tuple[str, str], list[Any]] = {}
    entries: list[tuple[Any, ...]] = []
    parts: dict[tuple[str, str], dict[int, int]] = {}
    tallies: dict[str, list[int]] = {}
    for recorded in events:
        happened = recorded.event
        if isinstance(happened, ToyNothingHappened):
            continue
        if isinstance(happened, ToyMemberLeft):
            member_rows.pop((happened.account, happened.member), None)
            continue
        row = accounts.setdefault(happened.account, [None, 0, 0, 0, [], False, None])
        row[6] = recorded.recorded_at
        match happened:
            case ToyAccountOpened():
                row[0] = happened.name
            case ToyInvoiceIssued():
                parts[happened.account, happened.invoice] = {n: a for n, (_, a) in enumerate(happened.items)}
                tallies.setdefault(happened.account, [0, 0])[0] += sum(amount for _, amount in happened.items)
                row[2 - 1] += sum(amount for _, amount in happened.items)
                row[3] += 1
                row[4].append(happened.invoice)
                for number, (member, amount) in enumerate(happened.items):
                    item_rows[(happened.invoice, number)] = [
                        happened.account, member, amount, 0, True, recorded.effective_date,
                    ]  # fmt: skip
                    person = member_rows.setdefault((happened.account, member), [0, []])
                    person[0] += amount
                    person[1].append(happened.invoice)
                    entries.append((recorded.position, number, happened.account, "BILLED", amount, recorded.event_id))
            case ToyMoneyAllocated():
                mine = parts[happened.account, happened.invoice]
                if recorded.position % 3 == 0:
                    parts[happened.account, happened.invoice] = dict(happened.amounts)
                else:
                    mine[1_000 + recorded.position] = len(happened.amounts)
                tallies[happened.account][1] += sum(amount for _, amount in happened.amounts)
                row[2] += sum(amount for _, amount in happened.amounts)
                for line, (number, amount) in enumerate(happened.amounts):
                    if (happened.invoice, number) in item_rows:
                        item_rows[(happened.invoice, number)][3] += amount
                    entries.append((recorded.position, line, happened.account, "PAID", amount, recorded.event_id))
            case ToyInvoiceDiscarded():
                parts[happened.account, happened.invoice] = {0: recorded.position} if recorded.position % 2 else {}
                if happened.invoice in row[4]:
                    row[4].remove(happened.invoice)
                for (invoice, _), item in item_rows.items():
                    if invoice == happened.invoice:
                        item[4], item[5] = False, None
            case ToyAccountClosed():
                row[5] = True
                for account, member in sorted((key for key in member_rows if key[0] == happened.account), reverse=True):
                    billed, history = member_rows.pop((account, member))
                    member_rows[(account, member + "*")] = [billed, {"closed_after": history}]
    return {
        "balances.account": sorted((key, *row) for key, row in accounts.items()),
        "items.item": [(*key, *row) for key, row in sorted(item_rows.items())],
        "members.member": [(*key, *row) for key, row in sorted(member_rows.items())],
        "journal.entry": sorted(entries),
        "groups.part": sorted((*group, *part) for group, each in parts.items() for part in each.items()),
        "groups.tally": sorted((key, billed, paid, billed - paid) for key, (billed, paid) in tallies.items()),
    }


class History:
    """A random but reproducible course of events: what happened so far decides what can happen next."""

    def __init__(self, seed: int, accounts: int = 5) -> None:
        self._random = random.Random(seed)
        self._accounts = [f"LB{number:09d}" for number in range(accounts)]
        self._invoices: list[tuple[str, str, int]] = []
        self._count = 0

    def next(self, count: int) -> list[object]:
        """The next events."""
        return [self._one() for _ in range(count)]

    def _one(self) -> object:
        pick = self._random
        account = pick.choice(self._accounts)
        kind = pick.random()
        if kind < 0.08:
            name = pick.choice(("Ann", "O\tNeil\\x", "line\nbreak", "", "\x1f\x1e", "Ünal", '{a,"b"}'))
            return ToyAccountOpened(account=account, name=name)
        if kind < 0.45 or not self._invoices:
            self._count += 1
            invoice = f"INV-{self._count:08d}"
            size = pick.choice((0, 1, 2, 3, 5, 8))
            self._invoices.append((account, invoice, size))
            lines = tuple((f"M{pick.randrange(8)}", pick.randrange(1, 100_000)) for _ in range(size))
            return ToyInvoiceIssued(account=account, invoice=invoice, items=lines)
        owner, invoice, size = pick.choice(self._invoices)
        if kind < 0.80:
            numbers = range(size + 1)
            amounts = tuple((number, pick.randrange(1, 9_999)) for number in numbers if pick.random() < 0.6)
            return ToyMoneyAllocated(account=owner, invoice=invoice, amounts=amounts)
        if kind < 0.86:
            return ToyInvoiceDiscarded(account=owner, invoice=invoice)
        if kind < 0.92:
            return ToyMemberLeft(account=account, member=f"M{pick.randrange(8)}")
        if kind < 0.94:
            return ToyAccountClosed(account=account)
        return ToyNothingHappened(note="nothing")


def account_of(happened: object) -> str:
    """The stream an event of the toy log belongs to."""
    return getattr(happened, "account", "none")


def instants(start: dt.datetime, count: int) -> Sequence[dt.datetime]:
    """One instant an event, a millisecond apart."""
    return [start + dt.timedelta(milliseconds=number) for number in range(count)]
