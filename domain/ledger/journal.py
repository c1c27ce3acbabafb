"""Journal entries: built from the movements of one money event, balanced per entity and currency, never changed.

A money event is a list of movements: so much, of this case, between these dimensions. The posting table says which
accounts; this file writes the lines, adds the clearing lines between entities (LED-007) and the exchange differences
(LED-032), and refuses to hand out an entry that does not balance (LED-002).

How detailed an entry is (LED-005; decision): one line a movement and side, up to DETAIL_LINES movements. A larger entry
in base currency (an invoice of 100,000 items, or its discard) is summed over the dimensions below the coverage: item,
premium sequence, member record. Each cent can still be followed to its item, because the register keeps the operations
of the same event item by item (LED-045); what grows with the number of members is the register, never an entry. Entries
in a foreign currency stay detailed, because their lots are kept by item.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

from domain.errors import InvariantError, Problem, refuse
from domain.ledger.chart import CHART, EXCHANGE_GAIN, EXCHANGE_LOSS, INTERCOMPANY, MAPPINGS, LotKind
from domain.ledger.exchange import EMPTY, Lot, LotKey, Undone, convert, rate_text
from domain.ledger.rules import (
    NEW_POSITIONS,
    Case,
    PaymentOperation,
    TransactionClass,
    TransactionType,
    classification_of,
    rule_of,
)
from domain.payments.classification import Bucket

#: Most movements that are written line by line.
DETAIL_LINES = 1_000


class Dimensions(NamedTuple):
    """What a line is about (LED-005). None where it does not apply or is not known."""

    entity: str
    account: str | None = None
    customer: str | None = None
    master_policy: str | None = None
    member: str | None = None
    product: str | None = None
    coverage: str | None = None
    amount_type: str | None = None
    sequence: str | None = None
    invoice: str | None = None
    item: str | None = None
    payment: str | None = None
    write_off: str | None = None
    refund: str | None = None
    state: str | None = None
    renewal: bool | None = None

    def summed(self) -> Dimensions:
        """The dimensions of a summed line: without item, premium sequence and member record."""
        return self._replace(item=None, sequence=None, member=None)


class Movement(NamedTuple):
    """One amount of a money event, minor units ≥ 0, with the keys that its posting rule may ask for.

    `debit` and `credit` are the dimensions of the two lines; they differ where money changes account or owner.
    `undone`: what is left of the allocation or write-off that this movement undoes, in a foreign currency (LED-043).
    """

    amount: int
    debit: Dimensions
    credit: Dimensions
    case: Case = Case.PLAIN
    amount_type: str | None = None
    funds: str | None = None
    write_off: str | None = None
    bucket: Bucket | None = None
    to_bucket: Bucket | None = None
    undone: Undone | None = None

    def code(self, side: str) -> str:
        """The account code of one side of the rule. Raises KeyError where the movement lacks the key."""
        if not side.startswith("{"):
            return side
        name = side.strip("{}")
        mapping, key = ("bucket", self.to_bucket) if name == "to_bucket" else (name, getattr(self, name))
        return MAPPINGS[mapping][str(key)]


#: The members of a `Movement` that its posting rule may ask for: from `case` to `to_bucket`.
_KEYS = slice(Movement._fields.index("case"), Movement._fields.index("undone"))


@dataclass(frozen=True, slots=True)
class MoneyEvent:
    """A business transaction as the ledger posts it (LED-004, LED-019): the id is that of the causing domain event."""

    transaction_id: str
    type: TransactionType
    timestamp: dt.datetime
    effective_date: dt.date
    currency: str
    movements: tuple[Movement, ...]
    activity: str | None = None


class JournalLine(NamedTuple):
    """One line: exactly one of `debit` and `credit` is above 0, in the original currency; so are the base amounts.

    Lines of exchange differences have no original amount, base amounts only (LED-002).
    """

    number: int
    code: str
    currency: str
    base_currency: str
    debit: int
    credit: int
    base_debit: int
    base_credit: int
    rate: str
    dimensions: Dimensions


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A balanced, dated, immutable entry; all lines carry the same timestamp (LED-023)."""

    transaction_id: str
    type: TransactionType
    transaction_class: TransactionClass
    operation: PaymentOperation | None
    timestamp: dt.datetime
    effective_date: dt.date
    accounting_date: dt.date
    late_posting: bool
    lines: tuple[JournalLine, ...]
    reverses: str | None = None
    activity: str | None = None
    template: str = "DEFAULT"
    template_version: int = 1

    @property
    def total(self) -> int:
        """Total debits in base currency, minor units."""
        return sum(line.base_debit for line in self.lines)


@dataclass(frozen=True, slots=True)
class Posting:
    """The outcome of a posting: an entry, or why there is none (LED-008); lots and undone as they are now."""

    entry: JournalEntry | None
    lots: Mapping[LotKey, Lot] = field(default_factory=dict)
    undone: tuple[Undone | None, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Dating:
    """When an entry counts (LED-025); see `domain.ledger.periods.accounting_date`."""

    accounting_date: dt.date
    late: bool = False


def post(
    event: MoneyEvent,
    dating: Dating,
    *,
    base_currency: str | None = None,
    rate: Fraction | None = None,
    lots: Mapping[LotKey, Lot] | None = None,
) -> Posting:
    """The entry of a money event (LED-036), or NO_POSTING when no amount is left (LED-008).

    In base currency (the default) neither rate nor lots are needed. In a foreign one, `rate` is that of the event's own
    day for types that create new positions, `lots` holds the lots the event takes from; the outcome holds the changed.
    """
    moved = tuple(movement for movement in event.movements if movement.amount)
    if any(movement.amount < 0 for movement in moved):
        raise InvariantError(f"{event.transaction_id}: amounts of movements are never negative")
    if not moved:
        return Posting(None, reason="every amount is 0.00")
    base = base_currency or event.currency
    if base == event.currency:
        valued = [(movement, movement.amount, movement.amount) for movement in _summed(event.type, moved)]
        outcome = Posting(_entry(event, dating, valued, base))
    else:
        outcome = _post_foreign(event, dating, moved, base, rate, dict(lots or {}))
    check_balanced(outcome.entry)
    return outcome


def _summed(type_: TransactionType, movements: Sequence[Movement]) -> Sequence[Movement]:
    """The movements themselves, or sums over item, sequence and member when there are too many of them."""
    if len(movements) <= DETAIL_LINES:
        return movements
    totals: dict[tuple[str, str, Dimensions, Dimensions], int] = {}
    first: dict[tuple[str, str, Dimensions, Dimensions], Movement] = {}
    for movement in movements:
        rule = rule_of(type_, movement.case)
        debit, credit = movement.debit.summed(), movement.credit.summed()
        key = (movement.code(rule.debit), movement.code(rule.credit), debit, credit)
        totals[key] = totals.get(key, 0) + movement.amount
        first.setdefault(key, movement._replace(debit=debit, credit=credit))
    return [first[key]._replace(amount=amount) for key, amount in totals.items()]


def _entry(
    event: MoneyEvent, dating: Dating, valued: Sequence[tuple[Movement, int, int]], base_currency: str
) -> JournalEntry:
    """Lines of (movement, base amount of the debit, base amount of the credit), clearing and differences added."""
    sides: list[JournalLine] = []
    currency = event.currency
    keys: object = None
    debit = credit = ""
    for movement, base_debit, base_credit in valued:
        amount = movement.amount
        if movement[_KEYS] != keys:  # most movements of an event have the same
            keys, rule = movement[_KEYS], rule_of(event.type, movement.case)
            debit, credit = movement.code(rule.debit), movement.code(rule.credit)
        in_debit = rate_text(base_debit, amount, currency, base_currency)
        in_credit = rate_text(base_credit, amount, currency, base_currency)
        number = len(sides) + 1
        sides += (
            JournalLine(number, debit, currency, base_currency, amount, 0, base_debit, 0, in_debit, movement.debit),
            JournalLine(
                number + 1, credit, currency, base_currency, 0, amount, 0, base_credit, in_credit, movement.credit
            ),
        )
        if base_debit != base_credit:
            sides.append(_difference(number + 2, movement, base_debit - base_credit, currency, base_currency))
    sides += _clearing(sides, currency, base_currency)
    class_, operation = classification_of(event.type)
    return JournalEntry(
        transaction_id=event.transaction_id,
        type=event.type,
        transaction_class=class_,
        operation=operation,
        timestamp=event.timestamp,
        effective_date=event.effective_date,
        accounting_date=dating.accounting_date,
        late_posting=dating.late,
        lines=tuple(sides),
        activity=event.activity,
    )


def _difference(number: int, movement: Movement, surplus: int, currency: str, base_currency: str) -> JournalLine:
    """LED-032: a debit surplus is a gain, credited; a credit surplus a loss, debited.

    What undoes an allocation mirrors that one's line: it takes back the gain or the loss (LED-043).
    """
    gain = (surplus > 0) is (movement.undone is None)
    return JournalLine(
        number,
        EXCHANGE_GAIN if gain else EXCHANGE_LOSS,
        currency,
        base_currency,
        0,
        0,
        max(-surplus, 0),
        max(surplus, 0),
        "0",
        Dimensions(movement.debit.entity, movement.debit.account),
    )


def _clearing(lines: Sequence[JournalLine], currency: str, base_currency: str) -> list[JournalLine]:
    """Lines on intercompany clearing for entities whose debits and credits differ (LED-007)."""
    surplus: dict[str, tuple[int, int]] = {}
    for line in lines:
        original, base = surplus.get(line.dimensions.entity, (0, 0))
        surplus[line.dimensions.entity] = (
            original + line.debit - line.credit,
            base + line.base_debit - line.base_credit,
        )
    clearing: list[JournalLine] = []
    for entity, (original, base) in surplus.items():
        if original or base:
            clearing.append(
                JournalLine(
                    len(lines) + len(clearing) + 1,
                    INTERCOMPANY,
                    currency,
                    base_currency,
                    max(-original, 0),
                    max(original, 0),
                    max(-base, 0),
                    max(base, 0),
                    rate_text(abs(base), abs(original), currency, base_currency),
                    Dimensions(entity),
                )
            )
    return clearing


def _post_foreign(
    event: MoneyEvent,
    dating: Dating,
    moved: Sequence[Movement],
    base: str,
    rate: Fraction | None,
    lots: dict[LotKey, Lot],
) -> Posting:
    if event.type in NEW_POSITIONS:
        if rate is None:
            raise refuse("EXCHANGE_RATE_MISSING", "an entry in a foreign currency needs the rate of its day")
        amounts = convert([movement.amount for movement in moved], rate, event.currency, base)
        pairs = [(amount, amount) for amount in amounts]
        left: list[Undone | None] = [None] * len(moved)
    else:
        pairs, left = [], []
        for movement in moved:
            debit_base, credit_base, still = _carried(event.type, movement, lots)
            pairs.append((debit_base, credit_base))
            left.append(still)
    changed: set[LotKey] = set()
    for movement, (debit_base, credit_base) in zip(moved, pairs, strict=True):
        rule = rule_of(event.type, movement.case)
        for side, dimensions, in_base, debit in (
            (rule.debit, movement.debit, debit_base, True),
            (rule.credit, movement.credit, credit_base, False),
        ):
            code = movement.code(side)
            key = lot_key(code, dimensions)
            if key is None:
                continue
            changed.add(key)
            if _grows(code, debit=debit):
                lots[key] = lots.get(key, EMPTY).add(movement.amount, in_base)
    valued = [(movement, debit, credit) for movement, (debit, credit) in zip(moved, pairs, strict=True)]
    return Posting(_entry(event, dating, valued, base), {key: lots.get(key, EMPTY) for key in changed}, tuple(left))


def lot_key(code: str, dimensions: Dimensions) -> LotKey | None:
    """The lot of a line, or None for an account without lots (LED-031)."""
    kind = CHART[code].lot
    if kind is None:
        return None
    parts = {
        LotKind.INVOICE_ITEM: (dimensions.invoice, dimensions.item),
        LotKind.PAYMENT: (dimensions.payment,),
        LotKind.PAYMENT_ON_ACCOUNT: (dimensions.payment, dimensions.account),
        LotKind.PAYMENT_OF_MEMBER: (dimensions.payment, dimensions.account, dimensions.member),
        LotKind.REFUND: (dimensions.refund,),
    }[kind]
    if any(part is None for part in parts):
        raise InvariantError(f"account {code} keeps lots by {kind}, but the line names {parts}")
    return (code, *(str(part) for part in parts))


def _grows(code: str, *, debit: bool) -> bool:
    """Whether a side adds to the account's open position. 1110 is an asset that holds credits."""
    return debit is (CHART[code].grows_on_debit and code != "1110")


def _carried(type_: TransactionType, movement: Movement, lots: dict[LotKey, Lot]) -> tuple[int, int, Undone | None]:
    """Base amounts of the debit and the credit of a carrying entry, and what is left to undo (LED-031, LED-043)."""
    if movement.undone is not None:
        still, receivable, source = movement.undone.take(movement.amount)
        return receivable, source, still
    rule = rule_of(type_, movement.case)
    bases: list[int | None] = []
    for code, dimensions, debit in (
        (movement.code(rule.debit), movement.debit, True),
        (movement.code(rule.credit), movement.credit, False),
    ):
        key = lot_key(code, dimensions)
        if key is None or _grows(code, debit=debit):
            bases.append(None)
            continue
        lots[key], taken = lots.get(key, EMPTY).take(movement.amount)
        bases.append(taken)
    debit_base, credit_base = bases
    if debit_base is None and credit_base is None:
        raise InvariantError(f"{type_} in a foreign currency carries neither a lot nor what it undoes")
    first = debit_base if debit_base is not None else credit_base
    second = credit_base if credit_base is not None else debit_base
    return first or 0, second or 0, None


def check_balanced(entry: JournalEntry | None) -> None:
    """LED-002: debits = credits per entity, in base currency and in each original currency; ENTRY_UNBALANCED."""
    if entry is None:
        return
    sums: dict[tuple[str, str, str], int] = {}
    for line in entry.lines:
        debit, credit, base_debit, base_credit = line.debit, line.credit, line.base_debit, line.base_credit
        if debit < 0 or credit < 0 or base_debit < 0 or base_credit < 0:
            raise InvariantError(f"ENTRY_UNBALANCED: {entry.transaction_id} has a negative amount")
        entity = line.dimensions.entity
        original, base = (entity, "original", line.currency), (entity, "base", line.base_currency)
        sums[original] = sums.get(original, 0) + debit - credit
        sums[base] = sums.get(base, 0) + base_debit - base_credit
    wrong = {key: value for key, value in sums.items() if value}
    if wrong or len(entry.lines) < 2:
        raise InvariantError(f"ENTRY_UNBALANCED: {entry.transaction_id} {wrong}")


def reversal(
    entry: JournalEntry, *, transaction_id: str, timestamp: dt.datetime, dating: Dating, already_reversed: bool
) -> JournalEntry:
    """The entry with sides exchanged, same accounts, amounts and rates (LED-042); ENTRY_ALREADY_REVERSED."""
    if already_reversed:
        raise refuse("ENTRY_ALREADY_REVERSED", "the entry is reversed already", entity=entry.transaction_id)
    mirrored = replace(
        entry,
        transaction_id=transaction_id,
        timestamp=timestamp,
        accounting_date=dating.accounting_date,
        late_posting=dating.late,
        reverses=entry.transaction_id,
        lines=tuple(
            line._replace(
                debit=line.credit,
                credit=line.debit,
                base_debit=line.base_credit,
                base_credit=line.base_debit,
            )
            for line in entry.lines
        ),
    )
    check_balanced(mirrored)
    return mirrored


def manual_entry_problems(lines: Sequence[JournalLine], reason: str | None) -> list[Problem]:
    """A manual entry is a two-line adjustment with a reason, balanced, on no control account (LED-044)."""
    problems = []
    if not reason:
        problems.append(Problem("REASON_REQUIRED", "a manual entry needs a reason", pointer="/reason"))
    if len(lines) != 2 or sum(line.base_debit - line.base_credit for line in lines) != 0:
        problems.append(Problem("ENTRY_UNBALANCED", "two lines, debits equal to credits", pointer="/lines"))
    for index, line in enumerate(lines):
        if line.code not in CHART:
            problems.append(Problem("ACCOUNT_UNKNOWN", "there is no such account", pointer=f"/lines/{index}/account"))
        elif CHART[line.code].control:
            problems.append(
                Problem(
                    "CONTROL_ACCOUNT_PROTECTED",
                    "the account is kept by billing alone",
                    pointer=f"/lines/{index}/account",
                )
            )
    return problems
