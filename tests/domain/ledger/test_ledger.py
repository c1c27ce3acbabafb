"""The ledger by the rulebook's examples; beancount reads every journal back and checks it on its own."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from beancount import loader
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import InvariantError, Refusal
from domain.invoices.lines import LineColumns, LineTerms
from domain.ledger.chart import CHART, MAPPINGS, AccountType, AmountType, WriteOffClass
from domain.ledger.exchange import EMPTY, ExchangeRate, Lot, Undone, convert, rate_on, rate_problems, rate_text
from domain.ledger.export import ExportMode, beancount_text, export_batch, repeated
from domain.ledger.journal import (
    Dating,
    Dimensions,
    JournalEntry,
    JournalLine,
    MoneyEvent,
    Movement,
    check_balanced,
    manual_entry_problems,
    post,
    reversal,
)
from domain.ledger.periods import (
    PeriodStatus,
    accounting_date,
    close_problems,
    reopen,
)
from domain.ledger.postings import (
    Envelope,
    PostingTerms,
    invoice_case,
    invoice_posting,
    line_cases,
    payment_posting,
    refund_posting,
    set_off_posting,
    write_off_posting,
)
from domain.ledger.reports import account_balance, balances, breaches, controls, trial_balance
from domain.ledger.requests import PostingRequest, request_problems
from domain.ledger.rules import (
    POSTING_RULES,
    Case,
    PaymentOperation,
    TransactionClass,
    TransactionType,
    classification_of,
    classification_problems,
    rule_of,
)
from domain.payments.classification import AccountKind, Bucket, Category, Cause, InternalSubtype, Method
from domain.payments.payment import (
    AllocatedItems,
    InvoiceLines,
    MemberAmounts,
    PaymentRecord,
    fold,
    move_between_buckets,
    move_from_items,
    move_to_items,
)
from domain.payments.receiving import receive, settle
from domain.payments.transfer import TransferRequest, transfer
from domain.payments.withdrawal import ReleaseTarget, decline, release, reverse, suspend
from domain.premium.transactions import TransactionType as PolicyTransactionType
from tests.domain.invoices.builders import CHARGE, WAIVER, only_chunk
from tests.domain.payments.builders import TODAY, account, details, offer

NOON = dt.datetime(2025, 4, 1, 12, tzinfo=dt.UTC)
DAY = dt.date(2025, 4, 1)
DATED = Dating(DAY)
LBG, LBI = AccountKind.LIST_BILL_TRUE_GROUP, AccountKind.LIST_BILL_INDIVIDUAL


class Book:
    """A journal being kept: posts events one after another, all with the same date unless said."""

    def __init__(self, entity: str = "ALPHA") -> None:
        self.entries: list[JournalEntry] = []
        self.count = 0
        self.entities = {"BA-1": entity, "BA-A": entity, "BA-B": entity}

    def envelope(self) -> Envelope:
        self.count += 1
        return Envelope(f"E-{self.count}", NOON, DAY)

    def post(self, event: MoneyEvent | None) -> JournalEntry | None:
        if event is None:
            return None
        entry = post(event, DATED).entry
        if entry is not None:
            self.entries.append(entry)
        return entry

    def item(self, invoice: str, line: int, **more: str) -> Dimensions:
        return Dimensions("ALPHA", account="BA-1", invoice=invoice, item=f"{invoice}/{line}", **more)

    def payment_events(self, events: Sequence[object]) -> list[JournalEntry]:
        posted = [
            self.post(payment_posting(one, self.envelope(), self.entities.__getitem__, self.item)) for one in events
        ]
        return [entry for entry in posted if entry is not None]

    def invoice(self, *rows: tuple[str, int, AmountType, Case], discarded: bool = False) -> JournalEntry | None:
        """Rows (item, signed amount, amount type, case) of one invoice."""
        sums = []
        for item, amount, amount_type, case in rows:
            dimensions = Dimensions(
                "ALPHA", account="BA-1", invoice=item.split("/", maxsplit=1)[0], item=item, member="MR-1"
            )
            sums.append((PostingTerms(case, amount_type, dimensions), abs(amount)))
        return self.post(invoice_posting(sums, self.envelope(), "USD", discarded=discarded))

    def premium(self, item: str, amount: int, *, discarded: bool = False) -> JournalEntry | None:
        return self.invoice((item, amount, AmountType.PREMIUM, invoice_case(amount)), discarded=discarded)

    def set_off(self, amount: int, credit: str, positive: str, *, undone: bool = False) -> JournalEntry | None:
        def at(item: str) -> Dimensions:
            return Dimensions("ALPHA", account="BA-1", invoice=item.split("/", maxsplit=1)[0], item=item)

        return self.post(set_off_posting([(amount, at(credit), at(positive))], self.envelope(), "USD", undone=undone))

    @property
    def balances(self) -> dict[str, int]:
        return balances(self.entries)


def lines_of(entry: JournalEntry | None) -> list[tuple[str, int, int]]:
    assert entry is not None
    return [(line.code, line.debit, line.credit) for line in entry.lines]


def received(book: Book, amount: int, kind: AccountKind = LBG, **stated: object) -> PaymentRecord:
    events = receive(offer(amount, details(**stated)), account(kind), number="PAY-1", record="PAY-1", today=TODAY)
    book.payment_events(events)
    return fold(PaymentRecord(), events)


def pay(book: Book, state: PaymentRecord, invoice: str, line: int, amount: int) -> PaymentRecord:
    events = move_to_items(state, [InvoiceLines(invoice, (line,), (amount,))], cause=Cause.MANUAL, date=TODAY)
    book.payment_events(events)
    return fold(state, events)


def take(
    book: Book, state: PaymentRecord, invoice: str, line: int, amount: int, to: Bucket = Bucket.UNAPPLIED
) -> PaymentRecord:
    rows = AllocatedItems((invoice,), (line,), ("MR-1",), (amount,))
    events = move_from_items(state, rows, to=to, cause=Cause.EXCESS, date=TODAY)
    book.payment_events(events)
    return fold(state, events)


# --- Examples --------------------------------------------------------------------------------------------------------


@pytest.mark.rule("LED-E01", "LED-035", "LED-036", "LED-048")
def test_an_invoice_a_payment_and_its_allocation() -> None:
    book = Book()
    issued = book.invoice(
        ("INV-1/1", 10000, AmountType.PREMIUM, Case.POSITIVE),
        ("INV-1/2", 600, AmountType.TAX, Case.POSITIVE),
        ("INV-1/3", 400, AmountType.FEE, Case.POSITIVE),
    )
    assert lines_of(issued) == [
        ("1100", 10000, 0),
        ("4000", 0, 10000),
        ("1100", 600, 0),
        ("2300", 0, 600),
        ("1100", 400, 0),
        ("4100", 0, 400),
    ]
    state = received(book, 11000)
    assert lines_of(book.entries[-1]) == [("1000", 11000, 0), ("2100", 0, 11000)]
    events = move_to_items(state, [InvoiceLines("INV-1", (1, 2, 3), (10000, 600, 400))], cause=Cause.MANUAL, date=TODAY)
    (entry,) = book.payment_events(events)
    assert sum(credit for code, _, credit in lines_of(entry) if code == "1100") == 11000
    assert book.balances == {"1000": 11000, "2300": -600, "4000": -10000, "4100": -400}
    trial = trial_balance(book.entries, DAY, DAY)
    assert sum(line.debits for line in trial if line.base) == sum(line.credits for line in trial if line.base) == 33000
    closing = {line.code: line.closing for line in trial if line.base}
    assert closing == {"1000": 11000, "1100": 0, "2100": 0, "2300": -600, "4000": -10000, "4100": -400}
    tomorrow = DAY + dt.timedelta(days=1)
    later = trial_balance(book.entries, tomorrow, tomorrow)
    assert {line.code: line.opening for line in later if line.base} == closing
    assert {(line.debits, line.credits) for line in later} == {(0, 0)}
    broken = [*book.entries, replace(book.entries[0], lines=book.entries[0].lines[:1])]
    with pytest.raises(Refusal) as refused:
        trial_balance(broken, DAY, DAY)
    assert refused.value.code == "TRIAL_BALANCE_OUT_OF_BALANCE"


@pytest.mark.rule("LED-E02", "LED-049", "LED-050")
def test_a_negative_item_frees_its_excess_and_is_set_off() -> None:
    book = Book()
    book.premium("INV-1/1", 10000)
    state = pay(book, received(book, 10000), "INV-1", 1, 10000)
    issued = book.invoice(
        ("INV-2/1", 10000, AmountType.PREMIUM, Case.POSITIVE), ("INV-2/2", -4000, AmountType.PREMIUM, Case.NEGATIVE)
    )
    assert lines_of(issued)[2:] == [("4000", 4000, 0), ("1110", 0, 4000)]
    take(book, state, "INV-1", 1, 4000)
    assert lines_of(book.set_off(4000, "INV-2/2", "INV-1/1")) == [("1110", 4000, 0), ("1100", 0, 4000)]
    assert book.balances == {"1000": 10000, "1100": 10000, "2100": -4000, "4000": -16000}
    found = controls(
        book.balances,
        {"remaining_due": 10000, "open_credit": 0, "due_and_unpaid": 10000, "unapplied": 4000, "billed_premium": 16000},
    )
    assert breaches(found) == []
    assert account_balance(LBG, book.balances) == 6000


@pytest.mark.rule("LED-E03", "LED-050")
def test_a_credit_larger_than_its_item_leaves_the_account_balance_alone_at_every_step() -> None:
    book = Book()
    book.premium("INV-1/1", 10000)
    state = pay(book, received(book, 8000), "INV-1", 1, 8000)
    book.invoice(
        ("INV-2/1", 10000, AmountType.PREMIUM, Case.POSITIVE), ("INV-2/2", -15000, AmountType.PREMIUM, Case.NEGATIVE)
    )
    assert account_balance(LBG, book.balances) == -3000
    take(book, state, "INV-1", 1, 8000)
    assert (book.balances["1100"], book.balances["1110"]) == (20000, -15000)
    assert account_balance(LBG, book.balances) == -3000
    book.set_off(10000, "INV-2/2", "INV-1/1")
    book.set_off(5000, "INV-2/2", "INV-2/1")
    assert book.balances == {"1000": 8000, "1100": 5000, "2100": -8000, "4000": -5000}
    assert account_balance(LBG, book.balances) == -3000


@pytest.mark.rule("LED-E04", "LED-040")
def test_a_discard_after_a_set_off_leaves_only_what_was_paid_and_earned() -> None:
    book = Book()
    book.premium("INV-1/1", 10000)
    state = pay(book, received(book, 10000), "INV-1", 1, 10000)
    book.premium("INV-2/1", 10000)
    book.premium("INV-2/2", -4000)
    state = take(book, state, "INV-1", 1, 4000)
    book.set_off(4000, "INV-2/2", "INV-1/1")
    book.set_off(4000, "INV-2/2", "INV-1/1", undone=True)
    pay(book, state, "INV-1", 1, 4000)
    book.premium("INV-2/1", 10000, discarded=True)
    book.premium("INV-2/2", -4000, discarded=True)
    assert book.balances == {"1000": 10000, "4000": -10000}


@pytest.mark.rule("LED-050")
def test_the_account_balance_counts_the_buckets_that_the_kind_of_account_has() -> None:
    ledger = {"1000": 7, "1100": 10000, "1110": -300, "2100": -1000, "2110": -200, "2120": -50, "2150": -9}
    for kind in (LBG, AccountKind.SELF_BILL, AccountKind.FLEXIBILL):
        assert account_balance(kind, ledger) == 8700
    assert account_balance(AccountKind.INDIVIDUAL_DIRECT, ledger) == 8650
    assert account_balance(LBI, ledger) == 8450


@pytest.mark.rule("LED-006", "LED-007")
def test_an_item_is_of_its_underwriter_and_money_of_the_accounts_entity_with_clearing_between() -> None:
    book = Book()
    state = received(book, 10000)
    underwritten = Dimensions("BETA", account="BA-1", invoice="INV-1", item="INV-1/1")
    (allocation,) = [
        payment_posting(one, book.envelope(), book.entities.__getitem__, lambda invoice, line: underwritten)
        for one in move_to_items(state, [InvoiceLines("INV-1", (1,), (10000,))], cause=Cause.MANUAL, date=TODAY)
    ]
    entry = book.post(allocation)
    assert entry is not None
    assert [(line.code, line.debit, line.credit, line.dimensions.entity) for line in entry.lines] == [
        ("2100", 10000, 0, "ALPHA"),
        ("1100", 0, 10000, "BETA"),
        ("1900", 0, 10000, "ALPHA"),
        ("1900", 10000, 0, "BETA"),
    ]


@pytest.mark.rule("LED-E05", "LED-043", "LED-049")
def test_a_write_off_is_reversed_in_part() -> None:
    book = Book()
    book.invoice(
        ("INV-1/1", 6000, AmountType.PREMIUM, Case.POSITIVE),
        ("INV-1/2", 4000, AmountType.PREMIUM, Case.POSITIVE),
        ("INV-1/3", 5000, AmountType.PREMIUM, Case.POSITIVE),
    )
    state = received(book, 13800, LBI)
    for line, amount in ((1, 5500), (2, 3700), (3, 4600)):
        state = pay(book, state, "INV-1", line, amount)
    small = WriteOffClass.SMALL_BALANCE
    portions = [(500, book.item("INV-1", 1)), (300, book.item("INV-1", 2)), (400, book.item("INV-1", 3))]
    book.post(write_off_posting(small, portions, book.envelope(), "USD"))
    assert "1100" not in book.balances
    book.premium("INV-2/1", -4000)
    book.post(write_off_posting(small, portions[1:2], book.envelope(), "USD", reversed_=True))
    take(book, state, "INV-1", 2, 3700, Bucket.MEMBER_UNAPPLIED)
    book.set_off(4000, "INV-2/1", "INV-1/2")
    assert book.balances == {"1000": 13800, "2110": -3700, "4000": -11000, "5010": 900}
    (c8,) = controls(book.balances, {"write_offs_and_adjustments": 900})
    assert (c8.number, c8.variance) == ("C8", 0)


REFUND = Dimensions("ALPHA", account="BA-1", payment="PAY-1", refund="RF-1")


@pytest.mark.rule("LED-E06", "LED-036")
@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (
            [
                (TransactionType.REFUND_ISSUED, Case.PLAIN),
                (TransactionType.REFUND_PAID, Case.ISSUED_BEFORE),
            ],
            {"1000": 10000, "2100": -10000},
        ),
        ([(TransactionType.REFUND_PAID, Case.NEVER_ISSUED)], {"1000": 10000, "2100": -10000}),
        (
            [
                (TransactionType.REFUND_ISSUED, Case.PLAIN),
                (TransactionType.REFUND_STOPPED, Case.ISSUED_BEFORE),
            ],
            {"1000": 30000, "2100": -30000},
        ),
        ([(TransactionType.REFUND_DECLINED, Case.NEVER_ISSUED)], {"1000": 30000, "2100": -30000}),
        ([(TransactionType.REFUND_VOIDED, Case.PLAIN)], {"1000": 30000, "2100": -30000}),
        ([(TransactionType.REFUND_CANCELLED, Case.PLAIN)], {"1000": 30000, "2100": -30000}),
    ],
)
def test_a_refund_by_its_outcome(steps: list[tuple[TransactionType, Case]], expected: dict[str, int]) -> None:
    book = Book()
    received(book, 30000)
    parts = [(20000, Bucket.UNAPPLIED, REFUND)]
    approved = book.post(refund_posting(TransactionType.REFUND_APPROVED, parts, book.envelope(), "USD"))
    assert lines_of(approved) == [("2100", 20000, 0), ("2200", 0, 20000)]
    for type_, case in steps:
        book.post(refund_posting(type_, parts, book.envelope(), "USD", case=case))
    assert book.balances == expected


CARD = {"method": Method.CREDIT_CARD, "token_profile": "T", "account_holder": "H", "bank_processing": True}


@pytest.mark.rule("LED-E07", "LED-037", "LED-041")
def test_a_recurring_draw_waits_in_clearing_and_a_failure_leaves_no_trace() -> None:
    for completed in (True, False):
        book = Book()
        book.premium("INV-1/1", 50000)
        state = received(book, 50000, recurring=True, pre_authorised=True, **CARD)
        assert lines_of(book.entries[-1]) == [("1010", 50000, 0), ("2100", 0, 50000)]
        state = pay(book, state, "INV-1", 1, 50000)
        if completed:
            book.payment_events(settle(state, TODAY))
            assert book.balances == {"1000": 50000, "4000": -50000}
        else:
            rows = {"PAY-1": AllocatedItems(("INV-1",), (1,), ("MR-1",), (50000,))}
            book.payment_events(
                decline([state], rows, reason="CARD_DECLINED", by_hub=True, failed=True, date=TODAY)["PAY-1"]
            )
            assert book.balances == {"1100": 50000, "4000": -50000}


@pytest.mark.rule("LED-E07", "LED-041")
def test_a_pending_payment_is_posted_when_the_bank_honours_it_and_never_if_it_fails() -> None:
    book = Book()
    state = received(book, 50000, **CARD)
    assert book.entries == []
    book.payment_events(decline([state], {}, reason="CARD_DECLINED", failed=True, date=TODAY)["PAY-1"])
    assert book.entries == []
    (entry,) = book.payment_events(settle(state, TODAY))
    assert entry.type is TransactionType.PAYMENT_RECEIVED
    assert lines_of(entry) == [("1000", 50000, 0), ("2100", 0, 50000)]


def on_two_accounts(book: Book) -> tuple[list[PaymentRecord], dict[str, AllocatedItems]]:
    """LED-E08: 1,000.00 settled, BA-A item 600.00 and unapplied 50.00, BA-B item 350.00."""
    states, items = [], {}
    for record_id, name, amount, on_item in (("PAY-1", "BA-A", 65000, 60000), ("PAY-1/2", "BA-B", 35000, 35000)):
        events = receive(offer(amount), account(LBG, name), number="PAY-1", record=record_id, today=TODAY)
        state = fold(PaymentRecord(), events)
        invoice = f"INV-{name}"
        more = move_to_items(state, [InvoiceLines(invoice, (1,), (on_item,))], cause=Cause.MANUAL, date=TODAY)
        book.payment_events([*events, *more])
        states.append(fold(state, more))
        items[record_id] = AllocatedItems((invoice,), (1,), ("MR-1",), (on_item,))
    return states, items


@pytest.mark.rule("LED-E08", "LED-037", "LED-041")
def test_a_suspension_over_two_accounts_then_reversal_or_release() -> None:
    for reversed_ in (True, False):
        book = Book()
        states, items = on_two_accounts(book)
        outcome = suspend(states, items, reason="MISDIRECTED", date=TODAY)
        entries = [entry for events in outcome.values() for entry in book.payment_events(events)]
        assert [entry.type for entry in entries] == [
            TransactionType.PAYMENT_UNALLOCATED,
            TransactionType.PAYMENT_SUSPENDED,
            TransactionType.PAYMENT_UNALLOCATED,
            TransactionType.PAYMENT_SUSPENDED,
        ]
        assert book.balances == {"1000": 100000, "2150": -100000}
        states = [fold(state, outcome[state.known.record_id]) for state in states]
        if reversed_:
            for events in reverse(states, {}, reason="ENTRY_ERROR", date=TODAY).values():
                book.payment_events(events)
            assert book.balances == {}
        else:
            existing, _ = release(states, [ReleaseTarget(account(LBG, "BA-B"), 100000, "PAY-1/3")], date=TODAY)
            for events in existing.values():
                book.payment_events(events)
            assert balances(book.entries, "BA-A") == {"1000": 65000}
            assert balances(book.entries, "BA-B") == {"1000": 35000, "2100": -100000}
            assert book.balances == {"1000": 100000, "2100": -100000}


@pytest.mark.rule("LED-E08", "LED-041")
def test_money_released_to_a_new_account_is_posted_with_its_arrival_there() -> None:
    book = Book()
    states, items = on_two_accounts(book)
    outcome = suspend(states, items, reason="MISDIRECTED", date=TODAY)
    for events in outcome.values():
        book.payment_events(events)
    states = [fold(state, outcome[state.known.record_id]) for state in states]
    existing, new = release(states, [ReleaseTarget(account(LBG, "BA-1"), 100000, "PAY-1/3")], date=TODAY)
    for events in (*existing.values(), *new.values()):
        book.payment_events(events)
    assert book.entries[-1].type is TransactionType.SUSPENSE_RELEASED
    assert book.balances == {"1000": 100000, "2100": -100000}


@pytest.mark.rule("LED-E09", "LED-006", "LED-007", "LED-002")
def test_a_transfer_between_companies_goes_through_clearing_and_inside_one_does_not() -> None:
    for other in ("BETA", "ALPHA"):
        book = Book()
        book.entities["BA-B"] = other
        state = fold(PaymentRecord(), receive(offer(70000), account(LBG, "BA-A"), number="P", record="P", today=TODAY))
        request = TransferRequest(account(LBG, "BA-B"), 70000, "P/2")
        events, arrivals = transfer(state, AllocatedItems(), [request], reason="MISAPPLIED", date=TODAY)
        entries = book.payment_events([*events, *arrivals["P/2"]])
        assert len(entries) == 1
        told = [
            (line.code, line.debit, line.credit, line.dimensions.account, line.dimensions.entity)
            for line in entries[0].lines
        ]
        moved = [("2100", 70000, 0, "BA-A", "ALPHA"), ("2100", 0, 70000, "BA-B", other)]
        clearing = [("1900", 0, 70000, None, "ALPHA"), ("1900", 70000, 0, None, "BETA")]
        assert told == (moved + clearing if other == "BETA" else moved)


@pytest.mark.rule("LED-E10", "LED-035")
def test_internal_money_and_credits_come_from_their_own_accounts() -> None:
    book = Book()
    state = received(
        book,
        8000,
        LBI,
        category=Category.INTERNAL,
        subtype=InternalSubtype.CASH_DEDUCTION,
    )
    assert lines_of(book.entries[-1]) == [("1310", 8000, 0), ("2100", 0, 8000)]
    state = pay(book, state, "INV-1", 1, 5000)
    (moved,) = book.payment_events(
        move_between_buckets(
            state,
            Bucket.UNAPPLIED,
            Bucket.MEMBER_OVERPAYMENT,
            cause=Cause.INSTRUCTION,
            date=TODAY,
            to_members=MemberAmounts(("MR-1",), (3000,)),
        )
    )
    assert lines_of(moved) == [("2100", 3000, 0), ("2120", 0, 3000)]
    credit = Book()
    received(credit, 2500, category=Category.CUSTOMER_CREDIT)
    assert lines_of(credit.entries[-1]) == [("5200", 2500, 0), ("2100", 0, 2500)]
    assert credit.entries[-1].type is TransactionType.CUSTOMER_CREDIT_GRANTED


@pytest.mark.rule("LED-E11", "LED-036")
def test_a_waived_charge_is_expense_not_negative_income() -> None:
    book = Book()
    book.invoice(
        ("INV-1/1", 10000, AmountType.PREMIUM, invoice_case(10000)),
        ("INV-1/1", -10000, AmountType.PREMIUM, invoice_case(-10000, waiver_offset=True)),
    )
    assert book.balances == {"4000": -10000, "5100": 10000}
    assert controls(book.balances, {"billed_premium": 0})[0].variance == 0
    later = Book()
    later.premium("INV-1/1", 10000)
    retro = later.invoice(("INV-2/1", -10000, AmountType.PREMIUM, invoice_case(-10000, waiver_cause=True)))
    assert lines_of(retro) == [("5100", 10000, 0), ("1110", 0, 10000)]
    later.set_off(10000, "INV-2/1", "INV-1/1")
    ended = later.invoice(("INV-3/1", 10000, AmountType.PREMIUM, invoice_case(10000, waiver_cause=True)))
    assert lines_of(ended) == [("1100", 10000, 0), ("5100", 0, 10000)]


BY_WAIVER = replace(CHARGE, cause=PolicyTransactionType.WAIVER_ADD.value)


@pytest.mark.rule("LED-036", "LED-E11")
@pytest.mark.parametrize(
    ("terms", "amount", "case"),
    [
        (CHARGE, 10000, Case.POSITIVE),
        (CHARGE, -10000, Case.NEGATIVE),
        (WAIVER, -10000, Case.RETRO_WAIVER),
        (WAIVER, 10000, Case.RETRO_WAIVER_END),
        (BY_WAIVER, -10000, Case.RETRO_WAIVER),
        (BY_WAIVER, 10000, Case.RETRO_WAIVER_END),
    ],
)
def test_a_line_that_stands_alone_is_posted_by_its_sign_and_cause(terms: LineTerms, amount: int, case: Case) -> None:
    assert list(line_cases(only_chunk(("MR-1", terms, amount)))) == [(terms, case, 10000)]


@pytest.mark.rule("LED-036", "LED-049", "INV-007")
@pytest.mark.parametrize(
    ("charge", "waiver", "parts"),
    [
        (100, -100, [(Case.POSITIVE, 100), (Case.WAIVER_OFFSET, 100)]),
        (100, -40, [(Case.POSITIVE, 100), (Case.WAIVER_OFFSET, 40)]),
        (100, -130, [(Case.POSITIVE, 100), (Case.WAIVER_OFFSET, 100), (Case.RETRO_WAIVER, 30)]),
        (100, 40, [(Case.POSITIVE, 100), (Case.RETRO_WAIVER_END, 40)]),
        (-100, -40, [(Case.NEGATIVE, 100), (Case.RETRO_WAIVER, 40)]),
        (-100, 100, [(Case.NEGATIVE, 100), (Case.WAIVER_OFFSET_END, 100)]),
        (-100, 40, [(Case.NEGATIVE, 100), (Case.WAIVER_OFFSET_END, 40)]),
        (-100, 130, [(Case.NEGATIVE, 100), (Case.WAIVER_OFFSET_END, 100), (Case.RETRO_WAIVER_END, 30)]),
    ],
)
def test_receivable_and_credits_keep_the_net_of_a_charge_and_its_waiver(
    charge: int, waiver: int, parts: list[tuple[Case, int]]
) -> None:
    chunk = only_chunk(("MR-1", CHARGE, charge), ("MR-1", WAIVER, waiver))
    assert [(case, amount) for _, case, amount in line_cases(chunk)] == parts
    book = Book()
    rows = [("INV-1/1", amount, AmountType.PREMIUM, case) for _, case, amount in line_cases(chunk)]
    book.invoice(*rows)
    net = charge + waiver
    assert chunk.nets() == (net, 0)
    expected = {"1100": max(net, 0), "1110": min(net, 0), "4000": -charge, "5100": -waiver}
    assert book.balances == {code: amount for code, amount in expected.items() if amount}
    told = {"remaining_due": max(net, 0), "open_credit": max(-net, 0), "billed_premium": net}
    assert [one.number for one in controls(book.balances, told)] == ["C1", "C2", "C10"]
    assert breaches(controls(book.balances, told)) == []
    book.invoice(*rows, discarded=True)
    assert book.balances == {}


_AMOUNTS = st.integers(-10000, 10000).filter(bool)


@pytest.mark.rule("LED-049")
@settings(max_examples=60)
@given(st.lists(st.tuples(_AMOUNTS, st.none() | _AMOUNTS), min_size=1, max_size=8))
def test_the_controls_hold_for_any_mix_of_charges_and_waivers(pairs: list[tuple[int, int | None]]) -> None:
    lines = []
    for number, (charge, waiver) in enumerate(pairs):
        lines.append((f"MR-{number}", CHARGE, charge))
        if waiver is not None:
            lines.append((f"MR-{number}", WAIVER, waiver))
    chunk = only_chunk(*lines)
    book = Book()
    book.invoice(*[("INV-1/1", amount, AmountType.PREMIUM, case) for _, case, amount in line_cases(chunk)])
    told = {
        "remaining_due": sum(net for net in chunk.nets() if net > 0),
        "open_credit": -sum(net for net in chunk.nets() if net < 0),
        "billed_premium": sum(chunk.amounts),
    }
    assert breaches(controls(book.balances, told)) == []


@pytest.mark.rule("LED-E12", "LED-035")
def test_third_party_items_are_payable_to_the_third_party() -> None:
    book = Book()
    book.invoice(("INV-1/1", 10000, AmountType.PRODUCT_ITEM, Case.POSITIVE))
    state = pay(book, received(book, 10000, AccountKind.FLEXIBILL), "INV-1", 1, 10000)
    issued = book.invoice(
        ("INV-2/1", 5000, AmountType.PRODUCT_ITEM, Case.POSITIVE),
        ("INV-2/2", -3000, AmountType.PRODUCT_ITEM, Case.NEGATIVE),
    )
    assert lines_of(issued) == [("1100", 5000, 0), ("2400", 0, 5000), ("2400", 3000, 0), ("1110", 0, 3000)]
    take(book, state, "INV-1", 1, 3000)
    book.set_off(3000, "INV-2/2", "INV-1/1")
    assert book.balances == {"1000": 10000, "1100": 5000, "2100": -3000, "2400": -12000}


# --- Currencies ------------------------------------------------------------------------------------------------------


@pytest.mark.rule("LED-E13", "LED-030", "LED-028")
def test_the_lines_of_an_entry_convert_to_exactly_the_converted_total() -> None:
    assert convert([1667, 1667, 1666], Fraction("1.085"), "EUR", "USD") == [1809, 1809, 1807]
    assert convert([1000], Fraction("0.0067"), "JPY", "USD") == [670]
    march = ExchangeRate("EUR", "USD", Fraction("1.085"), dt.date(2025, 3, 1), dt.date(2025, 4, 1))
    april = ExchangeRate("EUR", "USD", Fraction("1.12"), dt.date(2025, 4, 1))
    assert rate_on([march, april], "EUR", "USD", dt.date(2025, 3, 31)) == Fraction("1.085")
    assert rate_on([], "USD", "USD", DAY) == 1
    with pytest.raises(Refusal) as refused:
        rate_on([march, april], "USD", "EUR", dt.date(2025, 3, 31))
    assert refused.value.code == "EXCHANGE_RATE_MISSING"
    assert rate_problems(april, [march]) == []
    overlapping = ExchangeRate("EUR", "USD", Fraction(0), dt.date(2025, 3, 31))
    assert [problem.code for problem in rate_problems(overlapping, [march])] == [
        "RATE_INVALID",
        "EXCHANGE_RATE_OVERLAP",
    ]


ITEM = Dimensions("ALPHA", account="BA-1", invoice="INV-1", item="INV-1/1")
MONEY = Dimensions("ALPHA", account="BA-1", payment="PAY-1")


def euro(type_: TransactionType, *movements: Movement) -> MoneyEvent:
    return MoneyEvent("T", type_, NOON, DAY, "EUR", movements)


def base_lines(entry: JournalEntry | None) -> list[tuple[str, int, int, int, int]]:
    assert entry is not None
    return [(line.code, line.debit, line.credit, line.base_debit, line.base_credit) for line in entry.lines]


@pytest.mark.rule("LED-E14", "LED-030", "LED-031", "LED-032", "LED-033", "LED-043")
def test_lots_carry_their_own_worth_and_the_difference_is_realised() -> None:
    issued = post(
        euro(TransactionType.INVOICE_ISSUED, Movement(10000, ITEM, ITEM, Case.POSITIVE, amount_type="PREMIUM")),
        DATED,
        base_currency="USD",
        rate=Fraction("1.08333"),
    )
    paid = post(
        euro(TransactionType.PAYMENT_RECEIVED, Movement(7000, MONEY, MONEY, funds="BANK")),
        DATED,
        base_currency="USD",
        rate=Fraction("1.09111"),
    )
    lots = dict(issued.lots) | dict(paid.lots)
    assert lots == {("1100", "INV-1", "INV-1/1"): Lot(10000, 10833), ("2100", "PAY-1", "BA-1"): Lot(7000, 7638)}

    def allocation(amount: int) -> MoneyEvent:
        return euro(TransactionType.PAYMENT_ALLOCATED, Movement(amount, MONEY, ITEM, bucket=Bucket.UNAPPLIED))

    first = post(allocation(3333), DATED, base_currency="USD", lots=lots)
    assert base_lines(first.entry) == [
        ("2100", 3333, 0, 3637, 0),
        ("1100", 0, 3333, 0, 3611),
        ("4900", 0, 0, 0, 26),
    ]
    lots |= dict(first.lots)
    second = post(allocation(3667), DATED, base_currency="USD", lots=lots)
    assert base_lines(second.entry) == [
        ("2100", 3667, 0, 4001, 0),
        ("1100", 0, 3667, 0, 3972),
        ("4900", 0, 0, 0, 29),
    ]
    lots |= dict(second.lots)
    assert lots[("1100", "INV-1", "INV-1/1")] == Lot(3000, 3250)
    assert lots[("2100", "PAY-1", "BA-1")] == EMPTY
    undone = Movement(1000, ITEM, MONEY, bucket=Bucket.UNAPPLIED, undone=Undone(3667, 3972, 4001))
    third = post(euro(TransactionType.PAYMENT_UNALLOCATED, undone), DATED, base_currency="USD", lots=lots)
    assert base_lines(third.entry) == [
        ("1100", 1000, 0, 1083, 0),
        ("2100", 0, 1000, 0, 1091),
        ("4900", 0, 0, 8, 0),
    ]
    assert third.undone == (Undone(2667, 2889, 2910),)
    lots |= dict(third.lots)
    assert lots[("1100", "INV-1", "INV-1/1")] == Lot(4000, 4333)
    gains = sum(
        line.base_debit - line.base_credit
        for entry in (first.entry, second.entry, third.entry)
        if entry
        for line in entry.lines
        if line.code == "4900"
    )
    assert gains == -47


@pytest.mark.rule("LED-E14", "LED-032")
def test_a_set_off_of_a_credit_worth_less_than_its_item_is_a_loss() -> None:
    credit = Dimensions("ALPHA", account="BA-1", invoice="INV-2", item="INV-2/1")
    lots = {("1110", "INV-2", "INV-2/1"): Lot(4000, 4320), ("1100", "INV-1", "INV-1/1"): Lot(10000, 11000)}
    outcome = post(
        euro(TransactionType.CREDIT_SET_OFF, Movement(4000, credit, ITEM)), DATED, base_currency="USD", lots=lots
    )
    assert base_lines(outcome.entry) == [
        ("1110", 4000, 0, 4320, 0),
        ("1100", 0, 4000, 0, 4400),
        ("5900", 0, 0, 80, 0),
    ]


def test_a_foreign_payment_without_a_rate_is_not_posted() -> None:
    event = euro(TransactionType.PAYMENT_RECEIVED, Movement(7000, MONEY, MONEY, funds="BANK"))
    with pytest.raises(Refusal) as refused:
        post(event, DATED, base_currency="USD")
    assert refused.value.code == "EXCHANGE_RATE_MISSING"


@pytest.mark.rule("LED-033")
def test_the_shown_rate_is_base_by_original_in_major_units() -> None:
    assert rate_text(10833, 10000, "EUR", "USD") == "1.0833"
    assert rate_text(670, 1000, "JPY", "USD") == "0.0067"
    assert rate_text(5, 5, "USD", "USD") == "1"


@given(st.integers(1, 10**6), st.integers(0, 10**7), st.lists(st.integers(1, 10**6), max_size=8))
@settings(max_examples=80, deadline=None)
@pytest.mark.rule("LED-031")
def test_a_lot_gives_its_whole_worth_however_it_is_taken(original: int, base: int, takes: list[int]) -> None:
    lot, given_base = Lot(original, base), 0
    for amount in [*takes, original]:
        lot, taken = lot.take(min(amount, lot.original))
        assert taken >= 0
        given_base += taken
    assert (lot, given_base) == (EMPTY, base)


# --- Dates, periods, requests ----------------------------------------------------------------------------------------

NEW_YORK = ZoneInfo("America/New_York")
MARCH, APRIL = dt.date(2025, 3, 1), dt.date(2025, 4, 1)


@pytest.mark.rule("LED-E16", "LED-025")
def test_an_entry_counts_on_its_civil_date_unless_that_month_is_closed() -> None:
    moment = dt.datetime(2025, 4, 1, 3, 30, tzinfo=dt.UTC)
    assert accounting_date(moment, NEW_YORK, {}) == Dating(dt.date(2025, 3, 31))
    closed = {dt.date(2025, 2, 1): PeriodStatus.CLOSED, MARCH: PeriodStatus.CLOSED}
    assert accounting_date(moment, NEW_YORK, closed) == Dating(dt.date(2025, 4, 1), late=True)
    assert accounting_date(moment, NEW_YORK, {MARCH: PeriodStatus.CLOSING}) == Dating(dt.date(2025, 4, 1), late=True)


@pytest.mark.rule("LED-026")
def test_a_period_closes_when_nothing_in_it_is_open() -> None:
    statuses = {dt.date(2025, 2, 1): PeriodStatus.OPEN, MARCH: PeriodStatus.CLOSING}
    (problem,) = close_problems(
        MARCH, statuses, unposted=[dt.date(2025, 3, 31)], in_balance=False, open_control_reviews=1
    )
    assert (problem.code, problem.params["reasons"]) == (
        "PERIOD_NOT_CLOSABLE",
        ["EARLIER_PERIOD_OPEN", "REQUESTS_UNPOSTED", "TRIAL_BALANCE_OUT_OF_BALANCE", "CONTROL_REVIEW_OPEN"],
    )
    ready = {dt.date(2025, 2, 1): PeriodStatus.CLOSED, MARCH: PeriodStatus.CLOSING}
    assert close_problems(MARCH, ready, unposted=[APRIL], in_balance=True, open_control_reviews=0) == []
    with pytest.raises(Refusal) as refused:
        reopen(dt.date(2025, 1, 1), ready, None)
    assert [one.code for one in refused.value.problems] == ["PERIOD_NOT_REOPENABLE", "REASON_REQUIRED"]
    reopen(dt.date(2025, 2, 1), ready, "late bank file")


@pytest.mark.rule("LED-E17", "LED-009", "LED-010", "LED-011", "LED-019", "LED-020", "LED-023")
def test_an_incomplete_or_contradicting_request_is_refused_with_its_reasons() -> None:
    def codes(*stated: str | None) -> list[str]:
        return [problem.code for problem in request_problems(PostingRequest(*stated), {"T-1"})]

    day, moment = "2025-05-03", "2025-05-03T10:00:00Z"
    write_off = TransactionType.WRITE_OFF_ISSUED
    (incomplete,) = request_problems(PostingRequest(None, None, "T-2", "INVOICE"), ())
    assert incomplete.params["fields"] == ["BusinessTransactionType", "BusinessTransactionDate"]
    assert codes(write_off, day, "T-2", "INVOICE") == ["TIMESTAMP_INCOMPLETE"]
    assert codes(write_off, moment, "T-1", "INVOICE") == ["BUSINESS_TRANSACTION_ID_DUPLICATE"]
    assert codes(write_off, moment, "T-2", "TRANSFER") == ["CLASSIFICATION_INVALID"]
    assert codes(write_off, moment, "T-2", "PAYMENT") == ["CLASSIFICATION_MISSING"]
    assert codes(write_off, moment, "T-2", "PAYMENT", "DIRECT_PAYMENT") == ["CLASSIFICATION_INCONSISTENT"]
    assert codes("SOMETHING", moment, "T-2", "INVOICE") == ["POSTING_CONFIGURATION_MISSING"]
    assert codes(write_off, moment, "T-2", "INVOICE") == []
    assert classification_problems(None, None, None)[0].code == "CLASSIFICATION_MISSING"


@pytest.mark.rule("LED-034")
def test_the_chart_is_the_rulebooks() -> None:
    by_type = {kind: " ".join(one.code for one in CHART.values() if one.type is kind) for kind in AccountType}
    assert by_type == {
        "ASSET": "1000 1010 1100 1110 1190 1300 1310 1320 1900",
        "LIABILITY": "2100 2110 2120 2150 2200 2210 2300 2400",
        "INCOME": "4000 4100 4900",
        "EXPENSE": "5000 5010 5100 5200 5300 5900",
    }


@pytest.mark.rule("LED-035")
def test_amounts_buckets_funds_and_write_offs_have_the_accounts_of_the_rulebook() -> None:
    assert {name: {str(key): code for key, code in mapping.items()} for name, mapping in MAPPINGS.items()} == {
        "amount_type": {
            "PREMIUM": "4000",
            "FEE": "4100",
            "TAX": "2300",
            "PRODUCT_ITEM": "2400",
        },
        "bucket": {"UNAPPLIED": "2100", "MEMBER_UNAPPLIED": "2110", "MEMBER_OVERPAYMENT": "2120"},
        "funds": {
            "BANK": "1000",
            "HUB": "1010",
            "CLAIM_DEDUCTION": "1300",
            "CASH_DEDUCTION": "1310",
            "APL": "1320",
            "CUSTOMER_CREDIT": "5200",
        },
        "write_off": {"MANUAL": "5000", "SMALL_BALANCE": "5010"},
    }


@pytest.mark.rule("LED-034", "LED-036")
def test_every_side_of_every_rule_is_an_account_of_the_chart() -> None:
    for type_ in TransactionType:
        class_, operation = classification_of(type_)
        assert (operation is None) is (class_ is TransactionClass.INVOICE)
        cases = [rule.case for rule in POSTING_RULES[type_][1]]
        assert len(set(cases)) == len(cases)
        for rule in POSTING_RULES[type_][1]:
            for side in (rule.debit, rule.credit):
                name = side.strip("{}")
                assert name in CHART or name == "to_bucket" or name in MAPPINGS
    assert {code for mapping in MAPPINGS.values() for code in mapping.values()} <= set(CHART)
    with pytest.raises(KeyError):
        rule_of(TransactionType.PAYMENT_SETTLED, Case.POSITIVE)
    assert classification_of(TransactionType.BUCKET_MOVED)[1] is PaymentOperation.PAYMENT_ALLOCATION


@pytest.mark.rule("LED-E21", "LED-008", "LED-044")
def test_a_zero_invoice_posts_nothing_and_control_accounts_take_no_manual_entry() -> None:
    event = MoneyEvent("T", TransactionType.INVOICE_ISSUED, NOON, DAY, "USD", (Movement(0, ITEM, ITEM, Case.POSITIVE),))
    outcome = post(event, DATED)
    assert outcome.entry is None
    assert outcome.reason
    book = Book()
    waived = book.invoice(
        ("INV-1/1", 5000, AmountType.PREMIUM, Case.POSITIVE), ("INV-1/1", -5000, AmountType.PREMIUM, Case.WAIVER_OFFSET)
    )
    assert lines_of(waived) == [("1100", 5000, 0), ("4000", 0, 5000), ("5100", 5000, 0), ("1100", 0, 5000)]
    other = JournalLine(2, "1000", "USD", "USD", 0, 100, 0, 100, "1", ITEM)
    for code in ("1010", "1100", "1110", "2100", "2110", "2120", "2150", "2200", "2210"):
        line = JournalLine(1, code, "USD", "USD", 100, 0, 100, 0, "1", ITEM)
        assert [problem.code for problem in manual_entry_problems([line, other], "r")] == ["CONTROL_ACCOUNT_PROTECTED"]
    allowed = JournalLine(1, "4100", "USD", "USD", 100, 0, 100, 0, "1", ITEM)
    assert manual_entry_problems([allowed, other], "r") == []
    assert [problem.code for problem in manual_entry_problems([other], None)] == ["REASON_REQUIRED", "ENTRY_UNBALANCED"]


@pytest.mark.rule("LED-002", "LED-042", "LED-003")
def test_an_entry_that_does_not_balance_is_never_handed_out_and_one_is_reversed_once() -> None:
    book = Book()
    entry = book.premium("INV-1/1", 10000)
    assert entry is not None
    with pytest.raises(InvariantError):
        check_balanced(replace(entry, lines=entry.lines[:1]))
    back = reversal(entry, transaction_id="R-1", timestamp=NOON, dating=DATED, already_reversed=False)
    assert back.reverses == entry.transaction_id
    assert balances([entry, back]) == {}
    assert [
        (line.code, line.debit, line.credit, line.base_debit, line.base_credit, line.rate) for line in back.lines
    ] == [(line.code, line.credit, line.debit, line.base_credit, line.base_debit, line.rate) for line in entry.lines]
    assert entry == book.entries[0], "the reversed entry stays as it was"
    with pytest.raises(Refusal) as refused:
        reversal(entry, transaction_id="R-2", timestamp=NOON, dating=DATED, already_reversed=True)
    assert refused.value.code == "ENTRY_ALREADY_REVERSED"


@pytest.mark.rule("LED-051")
def test_a_variance_counts_what_is_not_posted_yet() -> None:
    ledger = {"2100": -10000}
    (with_blocked,) = controls(ledger, {"unapplied": 14000}, {"unapplied": 4000})
    assert breaches([with_blocked]) == []
    (without,) = controls(ledger, {"unapplied": 14000})
    assert (without.variance, [one.number for one in breaches([without])]) == (4000, ["C4"])


# --- Export ----------------------------------------------------------------------------------------------------------


def busy_book() -> Book:
    """A book in which a bit of everything happened."""
    book = Book()
    book.entities["BA-B"] = "Beta life & co"
    book.premium("INV-1/1", 10000)
    state = pay(book, received(book, 11000, LBI), "INV-1", 1, 10000)
    state = take(book, state, "INV-1", 1, 4000, Bucket.MEMBER_UNAPPLIED)
    request = TransferRequest(account(LBI, "BA-B"), 500, "PAY-1/2")
    rows = AllocatedItems(("INV-1",), (1,), ("MR-1",), (6000,))
    confirmed = ("UNALLOCATION", "MEMBER_UNAPPLIED_MOVE", "RETAIN_REMAINDER")
    events, _ = transfer(state, rows, [request], reason="MISAPPLIED", confirmations=confirmed, date=TODAY)
    book.payment_events(events)
    return book


@pytest.mark.rule("LED-053")
def test_a_batch_takes_the_days_entries_and_is_repeated_as_it_was() -> None:
    book = Book()
    book.invoice(("INV-1/1", 11000, AmountType.PREMIUM, Case.POSITIVE))
    pay(book, received(book, 11000), "INV-1", 1, 11000)
    ask = {"entity": "ALPHA", "accounting_date": DAY}
    batch = export_batch(book.entries, number=1, transmission=1, **ask)
    assert (len(batch.entries), batch.debits, batch.credits) == (3, 33000, 33000)
    again = repeated(batch, number=2, transmission=9, accepted=True)
    assert (again.rows, again.digest, again.transmission, again.repeats) == (batch.rows, batch.digest, 9, 1)
    summary = export_batch(book.entries, number=3, transmission=3, mode=ExportMode.SUMMARY, **ask)
    assert [(row.code, row.debit, row.credit) for row in summary.rows] == [
        ("1000", 11000, 0),
        ("1100", 0, 11000),
        ("1100", 11000, 0),
        ("2100", 0, 11000),
        ("2100", 11000, 0),
        ("4000", 0, 11000),
    ]
    with pytest.raises(Refusal) as refused:
        export_batch(book.entries, number=4, transmission=4, entity="BETA", accounting_date=DAY)
    assert refused.value.code == "NOTHING_TO_EXPORT"
    with pytest.raises(Refusal) as refused:
        repeated(batch, number=2, transmission=9, accepted=False)
    assert refused.value.code == "BATCH_NOT_ACCEPTED"


@pytest.mark.rule("LED-002", "LED-007")
def test_beancount_finds_nothing_wrong_with_the_journal() -> None:
    book = busy_book()
    issued = post(
        euro(TransactionType.INVOICE_ISSUED, Movement(10000, ITEM, ITEM, Case.POSITIVE, amount_type="PREMIUM")),
        DATED,
        base_currency="USD",
        rate=Fraction("1.08333"),
    )
    paid = post(
        euro(TransactionType.PAYMENT_RECEIVED, Movement(7000, MONEY, MONEY, funds="BANK")),
        DATED,
        base_currency="USD",
        rate=Fraction("1.09111"),
    )
    allocated = post(
        euro(TransactionType.PAYMENT_ALLOCATED, Movement(3333, MONEY, ITEM, bucket=Bucket.UNAPPLIED)),
        DATED,
        base_currency="USD",
        lots=dict(issued.lots) | dict(paid.lots),
    )
    foreign = [outcome.entry for outcome in (issued, paid, allocated) if outcome.entry]
    text = beancount_text([*book.entries, *foreign])
    entries, errors, _ = loader.load_string(text)
    assert errors == []
    assert sum(1 for entry in entries if type(entry).__name__ == "Transaction") == len(book.entries) + 3
    _, errors, _ = loader.load_string(text.replace(" 100.00 USD", " 100.01 USD", 1))
    assert errors, "beancount must notice a journal that does not balance"


# --- Size ------------------------------------------------------------------------------------------------------------


@pytest.mark.rule("LED-004")
def test_an_invoice_of_three_hundred_thousand_lines_is_one_small_entry() -> None:
    count = 300_000
    coverages = [replace(CHARGE, coverage=f"C{number}") for number in range(4)]
    collected = LineColumns()
    for row in range(count):
        collected.add(f"MR-{row}", coverages[row % 4], 1000 + row % 3)
    chunks = list(collected.chunks())
    started = time.perf_counter()
    sums: Counter[tuple[str, Case]] = Counter()
    for chunk in chunks:
        for terms, case, amount in line_cases(chunk):
            sums[terms.coverage, case] += amount
    summed = [
        (PostingTerms(case, AmountType.PREMIUM, Dimensions("ALPHA", account="BA-1", coverage=coverage)), amount)
        for (coverage, case), amount in sums.items()
    ]
    entry = post(invoice_posting(summed, Envelope("E", NOON, DAY), "USD"), DATED).entry
    assert time.perf_counter() - started < 20  # a fraction of a second; it must not grow with the square
    assert entry is not None
    assert [line.dimensions.coverage for line in entry.lines] == ["C0", "C0", "C1", "C1", "C2", "C2", "C3", "C3"]
    assert entry.total == sum(collected.amounts)
