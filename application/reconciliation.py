"""Credits against charges when an invoice is issued or discarded (BAL-054 to BAL-078).

The pure rules decide on plain items; this gathers the items from the register (and, at issue, from the invoice being
made), and turns the decision into events: pairs on the invoice, freed or returned money on the payments.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from application.parameters import account_keys, parameters_in_force
from application.register import ItemRegister, ItemRow
from application.unit_of_work import UnitOfWork
from domain.accounts.account import Account
from domain.balances.reconciliation import (
    Allocation,
    FreedBefore,
    ItemId,
    MatchKey,
    NegativeItem,
    Offset,
    PositiveItem,
    Reconciliation,
    Returned,
    member_key,
    reconcile,
    undo,
)
from domain.invoices.invoice import INVOICE, CreditPairs, NegativeItemOffset, NegativeItemOffsetUndone, OpenCreditSetOff
from domain.invoices.lines import LineChunk, LineTerms
from domain.payments.classification import Bucket, Category, account_kind
from domain.payments.payment import PAYMENT, AllocatedItems, InvoiceLines
from domain.payments.unallocation import return_excess, unallocate_excess
from domain.premium.transactions import TransactionType


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What reconciliation decided at an issue; `credit_on_own` is what was set against the invoice's own items."""

    invoice: str
    account: str
    outcome: Reconciliation = field(default_factory=Reconciliation)
    touched: frozenset[str] = frozenset()
    credit_on_own: int = 0


def credit_pairs(offsets: Sequence[Offset]) -> CreditPairs:
    """Pairs as columns."""
    return CreditPairs(
        tuple(one.negative.invoice for one in offsets),
        tuple(one.negative.line for one in offsets),
        tuple(one.positive.invoice for one in offsets),
        tuple(one.positive.line for one in offsets),
        tuple(one.amount for one in offsets),
    )


def reconcile_issue(
    unit: UnitOfWork, account: Account, number: str, chunks: Sequence[LineChunk], due_date: dt.date
) -> Reconciled:
    """Match the credits of an invoice being issued, and earlier open credits, with what is charged (BAL-070)."""
    register = unit.port(ItemRegister)
    totals = register.totals(account.number)
    position = 1 + max((row.position for row in register.live_invoices(account.number, open_only=False)), default=0)
    negatives, own = _of_chunks(number, chunks, position, due_date)
    older = [_negative(row) for row in register.credit_items(account.number)] if totals.open_credit else []
    if not negatives and not older:
        return Reconciled(number, account.number)
    members = sorted({one.member for one in negatives})
    keyed = register.items_of_keys(account.number, members) if members else []
    rows = [*(row for row in keyed if row.billed > 0), *register.open_items(account.number)]
    return _reconciled(unit, account, number, negatives, _Charges.of(register, account, rows, own), older)


@dataclass(frozen=True, slots=True)
class _Charges:
    """Positive items that credits may reach, and the money on those of them that are paid."""

    positives: Sequence[PositiveItem]
    allocations: Sequence[Allocation]

    @classmethod
    def of(
        cls, register: ItemRegister, account: Account, rows: Iterable[ItemRow], own: Iterable[PositiveItem] = ()
    ) -> _Charges:
        """Items of the register, each once, and `own`, those of the invoice being made."""
        live = {row.number: row for row in register.live_invoices(account.number, open_only=False)}
        items = {(row.invoice, row.line): row for row in rows}
        positives = [_positive(row, live[row.invoice].position, live[row.invoice].due_date) for row in items.values()]
        paid = sorted({row.invoice for row in items.values() if row.paid})
        allocations = [
            Allocation(
                row.record,
                Category(row.category),
                ItemId(row.invoice, row.line),
                row.member or None,
                row.amount,
                row.position,
            )
            for row in register.allocations_on(paid)
            if (row.invoice, row.line) in items
        ]
        return cls([*positives, *own], allocations)


def _reconciled(
    unit: UnitOfWork,
    account: Account,
    number: str,
    negatives: Sequence[NegativeItem],
    charges: _Charges,
    older: Sequence[NegativeItem] = (),
    *,
    setting_off: bool = True,
) -> Reconciled:
    """Let the rules decide on the credits of invoice `number`."""
    kind = account_kind(
        account.bill_type.value if account.bill_type else "LIST_BILL",
        account.allocation_mode.value if account.allocation_mode else None,
    )
    names = ("excess.amendment_to_overpayment", "excess.category_order")
    values = parameters_in_force(unit, names, account_keys(account), unit.today(account.time_zone))
    order = values["excess.category_order"]
    assert isinstance(order, tuple)
    outcome = reconcile(
        negatives,
        charges.positives,
        charges.allocations,
        (),
        kind=kind,
        older_credits=older,
        category_order=tuple(Category(one) for one in order),
        amendment_to_overpayment=bool(values["excess.amendment_to_overpayment"]),
        setting_off=setting_off,
    )
    pairs = (*outcome.offsets, *outcome.set_offs)
    return Reconciled(
        number,
        account.number,
        outcome,
        outcome.touched | {one.item.invoice for one in outcome.freed} | {one.negative.invoice for one in pairs},
        sum(one.amount for one in pairs if one.positive.invoice == number),
    )


def write(unit: UnitOfWork, reconciled: Reconciled, today: dt.date) -> None:
    """Append what reconciliation decided: freed money first, then the pairs (BAL-070, BAL-078)."""
    outcome = reconciled.outcome
    by_record: dict[tuple[str, Bucket], list[ItemId]] = {}
    for one in outcome.freed:
        by_record.setdefault((one.record, one.to), []).append(one.item)
    unit.load_many(PAYMENT, sorted({record for record, _ in by_record}))
    for record, bucket in by_record:
        parts = [one for one in outcome.freed if one.record == record and one.to is bucket]
        items = AllocatedItems(
            tuple(one.item.invoice for one in parts),
            tuple(one.item.line for one in parts),
            tuple(one.member for one in parts),
            tuple(one.amount for one in parts),
        )
        state = unit.load(PAYMENT, record).state
        events = unallocate_excess(
            state,
            items,
            date=today,
            caused_by=reconciled.invoice,
            amendment=bucket is Bucket.MEMBER_OVERPAYMENT,
        )
        unit.append(PAYMENT, record, events, effective_date=today)
    if outcome.offsets:
        matched = NegativeItemOffset(account=reconciled.account, pairs=credit_pairs(outcome.offsets))
        unit.append(INVOICE, reconciled.invoice, [matched])
    if outcome.set_offs:
        set_off = OpenCreditSetOff(account=reconciled.account, pairs=credit_pairs(outcome.set_offs))
        unit.append(INVOICE, reconciled.invoice, [set_off])


def undo_pairs(unit: UnitOfWork, account: Account, invoice: str, today: dt.date) -> set[str]:
    """Undo the pairs of an invoice being discarded; freed money goes back where it can (BAL-075, BAL-076).

    Its own payments are off it already, in this unit. Answers the other invoices touched. Credits of other invoices
    that were set against its items are open again: they are matched at once with other charges of their key, and what
    finds none waits for the next issue (BAL-068).
    """
    register = unit.port(ItemRegister)
    rows = register.pairs_of(invoice)
    if not rows:
        return set()
    unit.flush()
    pairs = [
        Offset(
            ItemId(row.negative_invoice, row.negative_line), ItemId(row.positive_invoice, row.positive_line), row.amount
        )
        for row in rows
    ]
    partners = sorted({pair.positive.invoice for pair in pairs if pair.positive.invoice != invoice})
    positives = [
        _positive(row, 0, today) for number in partners for row in register.items_of_invoice(number) if row.billed > 0
    ]
    freed = [
        FreedBefore(
            row.record,
            Category(row.category),
            ItemId(row.invoice, row.line),
            row.member or None,
            Bucket(row.bucket),
            row.amount,
            row.position,
        )
        for row in register.excess_freed_by(invoice)
    ]
    undone = undo(invoice, pairs, positives, freed_before=freed, available=_available(unit, freed))
    removed = NegativeItemOffsetUndone(account=account.number, pairs=credit_pairs(undone.removed))
    unit.append(INVOICE, invoice, [removed])
    _return(unit, undone.returned, today)
    touched = {one.positive.invoice for one in undone.removed} | {one.negative.invoice for one in undone.removed}
    return touched | _match_again(unit, account, invoice, undone.released, today)


def _match_again(
    unit: UnitOfWork, account: Account, without: str, released: Mapping[ItemId, int], today: dt.date
) -> set[str]:
    """Match credits that a discard released with what other invoices than `without` charge (BAL-076).

    Invoice by invoice, oldest first: what a credit frees is put down to its own invoice, whose discard returns it.
    """
    register = unit.port(ItemRegister)
    order = {row.number: row.position for row in register.live_invoices(account.number, open_only=False)}
    touched: set[str] = set()
    for number in sorted({item.invoice for item in released}, key=lambda one: order[one]):
        unit.flush()
        unit.load(INVOICE, number)  # its stream is written to
        lines = {item.line: amount for item, amount in released.items() if item.invoice == number}
        negatives = [
            replace(_negative(row), open_credit=lines[row.line])
            for row in register.items_of_invoice(number)
            if row.line in lines
        ]
        members = sorted({one.member for one in negatives})
        rows = [
            row for row in register.items_of_keys(account.number, members) if row.billed > 0 and row.invoice != without
        ]
        charges = _Charges.of(register, account, rows)
        matched = _reconciled(unit, account, number, negatives, charges, setting_off=False)
        write(unit, matched, today)
        touched |= matched.touched
    return touched


def _available(unit: UnitOfWork, freed: Iterable[FreedBefore]) -> dict[tuple[str, Bucket, str | None], int]:
    """What of freed money is still in its bucket and not locked by a refund."""
    found: dict[tuple[str, Bucket, str | None], int] = {}
    records = unit.load_many(PAYMENT, {one.record for one in freed})
    for one in freed:
        state = records[one.record].state
        member = None if one.bucket is Bucket.UNAPPLIED else one.member
        usable = 0 if state.locked_by_refund or not state.in_force else state.in_bucket(one.bucket, member)
        found[one.record, one.bucket, member] = usable
    return found


def _return(unit: UnitOfWork, returned: Sequence[Returned], today: dt.date) -> None:
    places: dict[tuple[str, Bucket], list[tuple[str | None, InvoiceLines]]] = {}
    for one in returned:
        line = InvoiceLines(one.item.invoice, (one.item.line,), (one.amount,))
        places.setdefault((one.record, one.bucket), []).append((one.member, line))
    for (record, bucket), lines in places.items():
        state = unit.load(PAYMENT, record).state
        unit.append(PAYMENT, record, return_excess(state, bucket, lines, date=today), effective_date=today)


def _of_chunks(
    number: str, chunks: Sequence[LineChunk], position: int, due_date: dt.date
) -> tuple[list[NegativeItem], list[PositiveItem]]:
    """The credits of the new invoice, and its charges when there is any credit to set against them."""
    negatives: list[NegativeItem] = []
    positives: list[PositiveItem] = []
    for chunk in chunks:
        for index, net in enumerate(chunk.nets()):
            if net == 0:
                continue
            terms, member = chunk.terms[chunk.term[index]], chunk.members[index]
            item = ItemId(number, chunk.first_line + index)
            key, written_off = _key(member, terms), _write_off_key(member, terms)
            if net > 0:
                positives.append(PositiveItem(item, key, written_off, member, position, due_date, net))
            else:
                negatives.append(
                    NegativeItem(
                        item,
                        key,
                        written_off,
                        member,
                        terms.covered_from,
                        terms.coverage,
                        terms.tier,
                        terms.sequence,
                        -net,
                        position,
                        terms.cause == TransactionType.AMENDMENT.value,
                    )
                )
    return negatives, positives


def _key(member: str, terms: LineTerms | ItemRow) -> MatchKey:
    return member_key(member, terms.coverage, terms.tier, terms.sequence_root, terms.modal_start)


def _write_off_key(member: str, terms: LineTerms | ItemRow) -> MatchKey:
    """Member, coverage, modal period and segment, whatever the premium sequence (BAL-062).

    decision: an item's segment is what its key says beside the coverage: plan, class, tier and sub-group.
    """
    segment = (terms.plan, terms.coverage_class, terms.tier, terms.sub_group)
    return (member, terms.coverage, terms.modal_start, *segment)


def _negative(row: ItemRow) -> NegativeItem:
    return NegativeItem(
        ItemId(row.invoice, row.line),
        _key(row.member, row),
        _write_off_key(row.member, row),
        row.member,
        row.covered_from,
        row.coverage,
        row.tier,
        row.sequence,
        -row.billed - row.offset,
        0,
        row.cause == TransactionType.AMENDMENT.value,
    )


def _positive(row: ItemRow, position: int, due_date: dt.date) -> PositiveItem:
    return PositiveItem(
        ItemId(row.invoice, row.line),
        _key(row.member, row),
        _write_off_key(row.member, row),
        row.member,
        position,
        due_date,
        row.billed,
        row.paid,
        row.offset,
        row.written_off,
        row.held,
    )
