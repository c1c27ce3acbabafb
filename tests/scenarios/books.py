"""What must be true of an account whatever has happened on it, computed a second time from nothing but its events.

The books are kept here in the plainest way: an entry an item, an entry a payment record, every event once. The register
that decisions are made on must show the same figures, and the figures must keep the laws: no cent is lost or made.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from api.wiring import System
from application.command import CommandRequest, Principal
from application.dispatch import CommandContext
from application.log import START, RecordedEvent
from application.pricing import account_terms
from application.register import AccountSums
from domain.accounts.account import ACCOUNT
from domain.aggregate import Aggregate
from domain.invoices.invoice import (
    INVOICE,
    InvoiceBasis,
    InvoiceDiscarded,
    InvoiceInitialised,
    InvoiceIssued,
    InvoiceProjected,
    InvoiceStatusChanged,
    NegativeItemOffset,
    NegativeItemOffsetUndone,
    OpenCreditSetOff,
    RuntimeStatus,
)
from domain.invoices.lines import LinePart
from domain.members.events import MemberAnybChanged, MemberPremiumStarted
from domain.members.record import MEMBER_RECORD, active_timeline
from domain.payments.payment import (
    PAYMENT,
    PaymentAllocated,
    PaymentDeclined,
    PaymentReceived,
    PaymentReversed,
    PaymentUnallocated,
)
from domain.premium.charges import charges_billed_in
from domain.products.master_policy import MASTER_POLICY
from infrastructure.event_store.streams import state_of, state_text

ItemName = tuple[str, int]


@dataclass
class Item:
    """A net line: what it counts, and what covers it."""

    account: str
    member: str
    billing_start: dt.date
    billed: int = 0
    paid: int = 0
    offset: int = 0


@dataclass
class Record:
    """A payment record: what came in and where it lies."""

    account: str
    received: int = 0
    gone: int = 0
    unapplied: int = 0
    items: dict[ItemName, int] = field(default_factory=lambda: defaultdict(int))


@dataclass
class Books:
    """Everything the events say about invoices, money and what is not yet billed."""

    items: dict[ItemName, Item] = field(default_factory=dict)
    live: dict[str, bool] = field(default_factory=dict)
    account_of: dict[str, str] = field(default_factory=dict)
    period_of: dict[str, dt.date] = field(default_factory=dict)
    status: dict[str, RuntimeStatus] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    pairs: dict[tuple[ItemName, ItemName], int] = field(default_factory=lambda: defaultdict(int))
    anyb: dict[tuple[str, str], int] = field(default_factory=dict)
    members: list[str] = field(default_factory=list)

    def enter(self, recorded: RecordedEvent) -> None:
        """Keep the books of one event."""
        event: Any = recorded.event
        match event:
            case InvoiceInitialised():
                self.live[event.number] = True
                self.account_of[event.number] = event.account
                if event.basis is InvoiceBasis.PERIOD:
                    self.period_of[event.number] = event.period_start
            case InvoiceProjected():
                self._project(event)
            case InvoiceIssued():
                self.status[event.number] = event.runtime_status
            case InvoiceStatusChanged():
                assert self.status[event.number] is event.old
                self.status[event.number] = event.new
            case InvoiceDiscarded():
                assert self.live[event.number]
                self.live[event.number] = False
            case NegativeItemOffset() | OpenCreditSetOff():
                self._pair(event, 1)
            case NegativeItemOffsetUndone():
                self._pair(event, -1)
            case PaymentReceived():
                new = Record(event.record.account, event.amount, 0, event.amount)
                assert event.in_force
                assert event.record.record_id not in self.records
                self.records[event.record.record_id] = new
            case PaymentAllocated():
                self._move(event, 1)
            case PaymentUnallocated():
                self._move(event, -1)
            case PaymentReversed() | PaymentDeclined():
                record = self.records[event.record.record_id]
                record.gone += event.amount
                record.unapplied -= event.amount
            case MemberPremiumStarted():
                self.members.append(event.member_record)
            case MemberAnybChanged():
                assert event.total == sum(line.charge + line.waiver for line in event.lines)
                self.anyb[event.account, event.member_record] = event.total
            case _:
                assert recorded.type not in _MOVES_NOT_KEPT, recorded.type

    def _project(self, event: InvoiceProjected) -> None:
        chunk = event.lines
        for index, amount in enumerate(chunk.amounts):
            line = chunk.first_line + index
            terms = chunk.terms[chunk.term[index]]
            self.items[event.number, line] = Item(event.account, chunk.members[index], terms.billing_start, amount)
            if terms.part is LinePart.WAIVER and index:
                self._join(event, index)

    def _join(self, event: InvoiceProjected, index: int) -> None:
        """A waiver line counts with the charge in front of it, when that is of the same key."""
        chunk = event.lines
        before, own = chunk.terms[chunk.term[index - 1]], chunk.terms[chunk.term[index]]
        same = before.part is LinePart.CHARGE and chunk.members[index - 1] == chunk.members[index]
        if same and (before.coverage, before.modal_start) == (own.coverage, own.modal_start):
            line = chunk.first_line + index
            self.items[event.number, line - 1].billed += self.items[event.number, line].billed
            self.items[event.number, line].billed = 0

    def _pair(self, event: NegativeItemOffset | OpenCreditSetOff | NegativeItemOffsetUndone, sign: int) -> None:
        pairs = event.pairs
        columns = (
            pairs.negative_invoices,
            pairs.negative_lines,
            pairs.positive_invoices,
            pairs.positive_lines,
            pairs.amounts,
        )
        for credit, credit_line, charge, charge_line, amount in zip(*columns, strict=True):
            assert amount > 0
            self.items[credit, credit_line].offset += sign * amount
            self.items[charge, charge_line].offset += sign * amount
            self.pairs[(credit, credit_line), (charge, charge_line)] += sign * amount

    def _move(self, event: PaymentAllocated | PaymentUnallocated, sign: int) -> None:
        record = self.records[event.record.record_id]
        for part in event.lines:
            for line, amount in zip(part.lines, part.amounts, strict=True):
                assert amount > 0
                record.items[part.invoice, line] += sign * amount
                record.unapplied -= sign * amount
                self.items[part.invoice, line].paid += sign * amount

    # The laws

    def check(self) -> None:
        """Cash, items and credits: every cent in one place, none negative."""
        for name, record in self.records.items():
            assert record.unapplied >= 0, name
            assert all(amount >= 0 for amount in record.items.values()), name
            assert record.received - record.gone == record.unapplied + sum(record.items.values()), name
        for (invoice, line), item in self.items.items():
            where = f"{invoice}/{line}: {item}"
            assert item.paid >= 0, where
            assert item.offset >= 0, where
            assert item.paid + item.offset <= abs(item.billed), where
            assert item.billed > 0 or item.paid == 0, where
            if not self.live[invoice]:
                assert item.paid == item.offset == 0, f"discarded {where}"
        for (credit, charge), amount in self.pairs.items():
            assert amount >= 0
            if amount:
                assert self.items[credit].billed < 0 < self.items[charge].billed
        periods = [(self.account_of[one], start) for one, start in self.period_of.items() if self.live[one]]
        assert len(periods) == len(set(periods)), "a period has two live invoices"
        billed: dict[str, int] = defaultdict(int)
        due: dict[str, int] = defaultdict(int)
        for (invoice, _), item in self.items.items():
            if item.billed > 0:
                billed[invoice] += item.billed
                due[invoice] += item.billed - item.paid - item.offset
        for invoice, live in self.live.items():
            if live:
                assert self.status[invoice] is _status(billed[invoice], due[invoice]), invoice

    def due(self, account: str) -> int:
        """Remaining due of the account's live invoices."""
        return sum(
            item.billed - item.paid - item.offset
            for (invoice, _), item in self.items.items()
            if item.account == account and item.billed > 0 and self.live[invoice]
        )

    def credit(self, account: str) -> int:
        """Open credit of the account's live invoices."""
        return sum(
            -item.billed - item.offset
            for (invoice, _), item in self.items.items()
            if item.account == account and item.billed < 0 and self.live[invoice]
        )

    def billed(self, account: str, periods: Collection[dt.date]) -> dict[str, int]:
        """What live invoices carry for these billing periods, named by their first days, by member."""
        found: dict[str, int] = defaultdict(int)
        for (invoice, _), item in self.items.items():
            if item.account == account and self.live[invoice] and item.billing_start in periods:
                found[item.member] += item.billed
        return found


def _status(billed: int, due: int) -> RuntimeStatus:
    if due == 0:
        return RuntimeStatus.PAID
    return RuntimeStatus.ISSUED if due == billed else RuntimeStatus.PARTIALLY_PAID


#: Kinds of moves these books do not know: a history that has them is not for them.
_MOVES_NOT_KEPT = frozenset(
    {
        "BucketMoved",
        "MemberOverpaymentAllocated",
        "MemberOverpaymentReleased",
        "PaymentRefunded",
        "PaymentRefundRestored",
        "PaymentReleased",
        "PaymentSettled",
        "PaymentSuspended",
        "PaymentTransferred",
    }
)


def events_of(system: System) -> Iterator[RecordedEvent]:
    """Every event of the log, in its order."""
    place = START
    while found := system.log.read(place, 10_000):
        yield from found
        place = found[-1].place


def books_of(system: System) -> Books:
    """The books of the whole log."""
    books = Books()
    for recorded in events_of(system):
        books.enter(recorded)
    return books


@contextmanager
def looking(system: System) -> Iterator[Any]:
    """A unit of work to read with; nothing is written."""
    principal = Principal("JOB", "books", "books", frozenset())
    request = CommandRequest(name="Look", payload={}, principal=principal, channel="TEST")
    context = CommandContext(request, system.ids.new(), system.ids.new(), b"", system.clock.now())
    with system.units.begin(context) as unit:
        yield unit


def check_register(system: System, books: Books) -> None:
    """The register shows what the books show, row by row."""
    with system.database.writing() as connection:
        schema = system.inline.schemas(connection)["register"]

        def rows(sql: str) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in connection.execute(sql.format(s=f'"{schema}"')).fetchall()]

        items = rows('select invoice, line, billed, paid, offset_amount, written_off, held from {s}."item"')
        assert {(row[0], row[1]): row[2:] for row in items} == {
            name: (item.billed, item.paid, item.offset, 0, 0) for name, item in books.items.items()
        }
        allocations = rows('select record, invoice, line, amount from {s}."allocation"')
        assert {(row[0], row[1], row[2]): row[3] for row in allocations} == {
            (name, invoice, line): amount
            for name, record in books.records.items()
            for (invoice, line), amount in record.items.items()
            if amount
        }
        records = rows('select record, items, unapplied from {s}."record"')
        assert {row[0]: row[1:] for row in records} == {
            name: (sum(record.items.values()), record.unapplied) for name, record in books.records.items()
        }
        accounts = rows(
            'select account, remaining_due, open_credit, total_billed, total_paid, unapplied, anyb from {s}."account"'
        )
        assert {row[0]: row[1:] for row in accounts} == {row[0]: _totals(books, row[0]) for row in accounts}
        pairs = rows(
            'select negative_invoice, negative_line, positive_invoice, positive_line, amount from {s}."credit_pair"'
        )
        assert {((row[0], row[1]), (row[2], row[3])): row[4] for row in pairs} == {
            pair: amount for pair, amount in books.pairs.items() if amount
        }


def _totals(books: Books, account: str) -> tuple[int, ...]:
    live = [item for (invoice, _), item in books.items.items() if item.account == account and books.live[invoice]]
    return (
        books.due(account),
        books.credit(account),
        sum(item.billed for item in live),
        sum(item.paid for item in live),
        sum(record.unapplied for record in books.records.values() if record.account == account),
        sum(total for (number, _), total in books.anyb.items() if number == account),
    )


def check_premium(system: System, books: Books, account: str) -> None:
    """Billed and not yet billed make what the billed periods cost today, for every member (PRM-120, PRM-122)."""
    with looking(system) as unit:
        state = unit.load(ACCOUNT, account).state
        terms = account_terms(unit, state)
        periods = state.billed_periods()
        carried = books.billed(account, {period.start for period in periods})
        for number, loaded in unit.read_many(MEMBER_RECORD, books.members).items():
            record = loaded.state
            if record.is_roll_on_pending:
                continue
            policy = unit.load(MASTER_POLICY, record.master_policy).state
            timeline = active_timeline(
                record,
                term_expiration=policy.expiration_date,
                multiple_sequences=policy.terms.multiple_premium_sequences,
            )
            cost = sum(
                charge.gross + charge.waiver
                for period in periods
                for charge in charges_billed_in(timeline, terms, period)
            )
            billed = carried.get(number, 0)
            waiting = books.anyb.get((account, number), 0)
            assert billed + waiting == cost, f"{number}: billed {billed}, not yet billed {waiting}, costs {cost}"
        for invoice, live in books.live.items():
            if live:
                assert unit.load(INVOICE, invoice).state.runtime_status is books.status[invoice]
        assert unit.port(AccountSums).differing(account) == []


#: Aggregates whose states are stored beside their streams, by kind of stream.
_STORED: dict[str, Aggregate[Any]] = {one.stream_type: one for one in (ACCOUNT, INVOICE, MEMBER_RECORD, PAYMENT)}


def check_snapshots(system: System) -> None:
    """What is stored of a state gives the state that all events of its stream give (law 1)."""
    states: dict[str, Any] = {}
    for recorded in events_of(system):
        aggregate = _STORED.get(recorded.stream_type)
        if aggregate is not None:
            before = states.get(recorded.stream, aggregate.initial)
            states[recorded.stream] = aggregate.evolve(before, recorded.event)
    with looking(system) as unit:
        for stream, state in states.items():
            kind, _, identifier = stream.partition(":")
            assert state_of(_STORED[kind], state_text(state)) == state, stream
            assert unit.load(_STORED[kind], identifier).state == state, stream


def check_all(system: System, account: str) -> Books:
    """Every law on the account; the books."""
    books = books_of(system)
    books.check()
    check_register(system, books)
    check_premium(system, books, account)
    return books
