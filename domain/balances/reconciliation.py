"""Negative items: what a credit does to what was billed and paid before (BAL-054 to BAL-078).

A credit first looks for the positive items it corrects (its matching key, newest invoice first) and lowers them by an
offset. If such an item had been paid beyond what is left of it, the excess is freed, bank money before internal money
before customer credits, youngest allocation first. What finds nothing to correct is set off against other unpaid items,
oldest first. A credit is given exactly once; it never moves a payment, and freed money never leaves its record.

    credit ──offset──▶ matching item ──excess──▶ bucket of the payment
       └────set off──▶ other items' unpaid due

Under SEPARATE the first half happens when the transaction arrives (stage 1: holds instead of offsets), the second at
issue; under COMBINED all of it at issue. Undoing removes pairs and puts freed money back where it still can be found.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from domain.errors import Problem, Refusal, refuse
from domain.payments.classification import AccountKind, Bucket, Category, Cause, destination

#: Order in which categories are freed (BAL-064); global, configurable.
EXCESS_ORDER = (Category.BANKING, Category.INTERNAL, Category.CUSTOMER_CREDIT)

MatchKey = tuple[Hashable, ...]


def member_key(member: str, coverage: str, tier: str, sequence_lineage: str, modal_start: dt.date) -> MatchKey:
    """Matching key on LIST_BILL and INDIVIDUAL_DIRECT (BAL-058).

    `sequence_lineage` names the first sequence of a line of replacements: a replaced one matches its replacement.
    """
    return (member, coverage, tier, sequence_lineage, modal_start)


def self_bill_key(
    master_policy: str, plan_coverage: str, reporting_start: dt.date, segments: tuple[str, ...]
) -> MatchKey:
    """Matching key on SELF_BILL (BAL-059)."""
    return (master_policy, plan_coverage, reporting_start, segments)


def flexibill_key(product_id: str) -> MatchKey:
    """Matching key on FLEXIBILL (BAL-059)."""
    return (product_id,)


@dataclass(frozen=True, slots=True)
class ItemId:
    """A net line of an invoice."""

    invoice: str
    line: int


@dataclass(frozen=True, slots=True)
class NegativeItem:
    """A credit with `open_credit` > 0 left. `write_off_key` identifies the write-off portions it makes void (BAL-062).

    Under stage 1 it is a prospective one, from negative ANYB. `amendment`: it stems from an (OOS) amendment (BAL-066).
    """

    item: ItemId
    key: MatchKey
    write_off_key: MatchKey
    member: str
    covered_start: dt.date
    coverage: str
    tier: str
    sequence: int
    open_credit: int
    issue_position: int = 0
    amendment: bool = False

    @property
    def order(self) -> tuple[object, ...]:
        """Order in which negative items are processed (BAL-060)."""
        return (
            self.covered_start,
            self.member,
            self.coverage,
            self.tier,
            self.sequence,
            self.item.invoice,
            self.item.line,
        )


@dataclass(frozen=True, slots=True)
class PositiveItem:
    """A positive item of a live invoice. `issue_position` grows with the issue of its invoice.

    `transaction_date` orders FLEXIBILL candidates (latest first); None elsewhere.
    """

    item: ItemId
    key: MatchKey
    write_off_key: MatchKey
    member: str
    issue_position: int
    due_date: dt.date
    billed: int
    paid: int = 0
    offset: int = 0
    written_off: int = 0
    hold: int = 0
    transaction_date: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Allocation:
    """Money of one payment record on one item. `order` grows with the time of allocation: newest is highest."""

    record: str
    category: Category
    item: ItemId
    member: str | None
    amount: int
    order: int


@dataclass(frozen=True, slots=True)
class WriteOffPortion:
    """An active write-off's portion on one item."""

    write_off: str
    item: ItemId
    amount: int


@dataclass(frozen=True, slots=True)
class Offset:
    """A pair: `amount` of the credit lowers the positive item (BAL-061), or its unpaid due (set-off, BAL-068)."""

    negative: ItemId
    positive: ItemId
    amount: int


@dataclass(frozen=True, slots=True)
class Freed:
    """Money of one record that leaves one item for a bucket: the net amount (BAL-067)."""

    record: str
    category: Category
    item: ItemId
    member: str | None
    amount: int
    to: Bucket


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The outcome of one reconciliation, in the order in which it is carried out (BAL-070).

    `credits`: what stays open of each negative item.
    """

    reversed_portions: tuple[WriteOffPortion, ...] = ()
    freed: tuple[Freed, ...] = ()
    offsets: tuple[Offset, ...] = ()
    set_offs: tuple[Offset, ...] = ()
    credits: Mapping[ItemId, int] = field(default_factory=dict)

    @property
    def touched(self) -> frozenset[str]:
        """Invoices whose positive items changed."""
        pairs = (pair.positive.invoice for pair in (*self.offsets, *self.set_offs))
        return frozenset((*pairs, *(one.item.invoice for one in self.reversed_portions)))


class _Figures:
    """Working figures of the items of one reconciliation; lives inside a function call only."""

    def __init__(
        self,
        positives: Iterable[PositiveItem],
        allocations: Iterable[Allocation],
        category_order: Sequence[Category],
    ) -> None:
        self.positives = {one.item: one for one in positives}
        self.billed = {one.item: one.billed for one in self.positives.values()}
        self.paid = {one.item: one.paid for one in self.positives.values()}
        self.offset = {one.item: one.offset for one in self.positives.values()}
        self.written_off = {one.item: one.written_off for one in self.positives.values()}
        self.hold = {one.item: one.hold for one in self.positives.values()}
        rank = {category: place for place, category in enumerate(category_order)}
        ordered = sorted(allocations, key=lambda one: (rank[one.category], -one.order))
        self.of_item: dict[ItemId, list[Allocation]] = {}
        for one in ordered:
            self.of_item.setdefault(one.item, []).append(one)
        self.taken: dict[Allocation, int] = {}

    def remaining_due(self, item: ItemId) -> int:
        return self.billed[item] - self.paid[item] - self.offset[item] - self.written_off[item]

    def capacity(self, item: ItemId) -> int:
        return self.billed[item] - self.offset[item]

    def excess(self, item: ItemId, prospective: int = 0) -> int:
        """BAL-063: paid beyond what is left of the item."""
        return max(0, self.paid[item] - (self.billed[item] - self.offset[item] - prospective))

    def take(self, item: ItemId, amount: int) -> list[tuple[Allocation, int]]:
        """Take money off an item in the order of BAL-064."""
        taken = []
        for one in self.of_item.get(item, ()):
            if amount == 0:
                break
            part = min(amount, one.amount - self.taken.get(one, 0))
            if part:
                self.taken[one] = self.taken.get(one, 0) + part
                self.paid[item] -= part
                amount -= part
                taken.append((one, part))
        if amount:
            raise refuse(
                "RECONCILIATION_OUT_OF_BALANCE", "an item is paid by more than its allocations", entity=item.invoice
            )
        return taken


def _candidates(positives: Iterable[PositiveItem]) -> dict[MatchKey, list[PositiveItem]]:
    """Positive items by key in the order of BAL-060: newest invoice first, then item id descending."""
    found: dict[MatchKey, list[PositiveItem]] = {}
    for one in positives:
        found.setdefault(one.key, []).append(one)
    for same in found.values():
        same.sort(
            key=lambda one: (one.transaction_date or dt.date.min, one.issue_position, one.item.invoice, one.item.line),
            reverse=True,
        )
    return found


def reconcile(
    negatives: Sequence[NegativeItem],
    positives: Sequence[PositiveItem],
    allocations: Sequence[Allocation],
    portions: Sequence[WriteOffPortion],
    *,
    kind: AccountKind,
    older_credits: Sequence[NegativeItem] = (),
    category_order: Sequence[Category] = EXCESS_ORDER,
    amendment_to_overpayment: bool = False,
    setting_off: bool = True,
) -> Reconciliation:
    """Match, free the excess, set off what is left (BAL-057 to BAL-070).

    `negatives`: the items of the new invoice, or credits that a discard released (BAL-076), all to be matched; the
    latter wait for the next issue with what finds no candidate, so for them `setting_off` is off.
    `older_credits`: open credits of earlier issues, set off before them but not matched again (BAL-068). `positives`:
    all positive items of the account's live invoices that a key or a set-off may reach, those of the new invoice
    included, holds already released (BAL-074). Raises RECONCILIATION_OUT_OF_BALANCE when totals do not agree.
    """
    figures = _Figures(positives, allocations, category_order)
    reversed_portions = _reverse_portions(negatives, figures, portions)
    candidates = _candidates(positives)
    offsets: list[Offset] = []
    freed: dict[tuple[str, ItemId, Bucket], Freed] = {}
    credits: dict[ItemId, int] = {}
    ordered = sorted(negatives, key=lambda one: one.order)
    for negative in ordered:
        left = negative.open_credit
        for candidate in candidates.get(negative.key, ()):
            pair = min(left, figures.capacity(candidate.item))
            if pair == 0:
                continue
            figures.offset[candidate.item] += pair
            left -= pair
            offsets.append(Offset(negative.item, candidate.item, pair))
            _free(
                figures, candidate.item, figures.excess(candidate.item), negative, kind, amendment_to_overpayment, freed
            )
            if left == 0:
                break
        credits[negative.item] = left
    older = sorted(older_credits, key=lambda one: (one.issue_position, one.order))
    credits |= {one.item: one.open_credit for one in older}
    set_offs = _set_off([*older, *ordered], credits, figures, kind) if setting_off else []
    outcome = Reconciliation(tuple(reversed_portions), tuple(freed.values()), tuple(offsets), tuple(set_offs), credits)
    check_totals(outcome, negatives, older_credits, positives)
    return outcome


def _reverse_portions(
    negatives: Iterable[NegativeItem], figures: _Figures, portions: Sequence[WriteOffPortion]
) -> list[WriteOffPortion]:
    """Write-off portions on items of the same member, coverage, modal period and segment are reversed (BAL-062)."""
    keys = {one.write_off_key for one in negatives}
    reversed_portions = []
    for portion in portions:
        positive = figures.positives.get(portion.item)
        if positive is not None and positive.write_off_key in keys:
            figures.written_off[portion.item] -= portion.amount
            reversed_portions.append(portion)
    return reversed_portions


def _free(
    figures: _Figures,
    item: ItemId,
    excess: int,
    negative: NegativeItem,
    kind: AccountKind,
    amendment_to_overpayment: bool,
    freed: dict[tuple[str, ItemId, Bucket], Freed],
) -> None:
    amendment = negative.amendment and amendment_to_overpayment
    for allocation, amount in figures.take(item, excess) if excess else ():
        to = destination(kind, allocation.category, Cause.EXCESS, amendment=amendment)
        key = (allocation.record, item, to)
        before = freed[key].amount if key in freed else 0
        freed[key] = Freed(allocation.record, allocation.category, item, allocation.member, before + amount, to)


def _set_off(
    negatives: Sequence[NegativeItem], credits: dict[ItemId, int], figures: _Figures, kind: AccountKind
) -> list[Offset]:
    """Set open credit off against unpaid due, oldest invoice first (BAL-068).

    On LIST_BILL INDIVIDUAL only of the same member. Held amounts wait for their own credit.
    """
    if not any(credits.values()):
        return []
    by_member = kind is AccountKind.LIST_BILL_INDIVIDUAL
    queues: dict[str, list[ItemId]] = {}
    oldest_first = sorted(
        figures.positives.values(), key=lambda one: (one.due_date, one.item.invoice, one.item.line), reverse=True
    )
    for one in oldest_first:
        if figures.remaining_due(one.item) - figures.hold[one.item] > 0:
            queues.setdefault(one.member if by_member else "", []).append(one.item)
    pairs = []
    for negative in negatives:
        queue = queues.get(negative.member if by_member else "", [])
        while credits[negative.item] and queue:
            item = queue[-1]
            free = figures.remaining_due(item) - figures.hold[item]
            amount = min(credits[negative.item], free)
            figures.offset[item] += amount
            credits[negative.item] -= amount
            pairs.append(Offset(negative.item, item, amount))
            if amount == free:
                queue.pop()
    return pairs


def check_totals(
    outcome: Reconciliation,
    negatives: Sequence[NegativeItem],
    older_credits: Sequence[NegativeItem],
    positives: Sequence[PositiveItem],
) -> None:
    """BAL-077: every credit is given once, no remaining due is negative, nothing is freed that was not paid."""
    used: dict[ItemId, int] = {}
    change: dict[ItemId, int] = {}
    for pair in (*outcome.offsets, *outcome.set_offs):
        used[pair.negative] = used.get(pair.negative, 0) + pair.amount
        change[pair.positive] = change.get(pair.positive, 0) - pair.amount
    for portion in outcome.reversed_portions:
        change[portion.item] = change.get(portion.item, 0) + portion.amount
    for one in outcome.freed:
        change[one.item] = change.get(one.item, 0) + one.amount
    wrong = [
        Problem("RECONCILIATION_OUT_OF_BALANCE", "a credit is not given exactly once", entity=negative.item.invoice)
        for negative in (*negatives, *older_credits)
        if used.get(negative.item, 0) + outcome.credits[negative.item] != negative.open_credit
    ]
    wrong += [
        Problem("RECONCILIATION_OUT_OF_BALANCE", "an item is overpaid or overdrawn", entity=one.item.invoice)
        for one in positives
        if not 0 <= one.billed - one.paid - one.offset - one.written_off + change.get(one.item, 0) <= one.billed
    ]
    if wrong:
        raise Refusal(wrong)


# --- SEPARATE, stage 1: holds ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FreedBefore:
    """Money that an earlier stage 1 or reconciliation freed, as far as it was not returned since.

    `order` grows with the time of freeing. `available`: what of it is still in that bucket of the record and not locked
    by a refund; rows of one record, bucket and member share it, so it is given once, in `Availability`.
    """

    record: str
    category: Category
    item: ItemId
    member: str | None
    bucket: Bucket
    amount: int
    order: int


#: Money still in a bucket and not locked, by (record, bucket, member or None for unapplied).
Availability = Mapping[tuple[str, Bucket, str | None], int]


@dataclass(frozen=True, slots=True)
class Returned:
    """Freed money that goes back to its item; it counts as a new allocation (BAL-064)."""

    record: str
    bucket: Bucket
    item: ItemId
    member: str | None
    amount: int


@dataclass(frozen=True, slots=True)
class Holding:
    """The outcome of stage 1 (BAL-072, BAL-073): new holds by item (0: released), money freed and returned."""

    holds: Mapping[ItemId, int]
    freed: tuple[Freed, ...]
    returned: tuple[Returned, ...]
    reversed_portions: tuple[WriteOffPortion, ...]


def hold(
    prospective: Sequence[NegativeItem],
    positives: Sequence[PositiveItem],
    allocations: Sequence[Allocation],
    portions: Sequence[WriteOffPortion],
    *,
    kind: AccountKind,
    freed_before: Sequence[FreedBefore] = (),
    available: Availability | None = None,
    category_order: Sequence[Category] = EXCESS_ORDER,
    amendment_to_overpayment: bool = False,
) -> Holding:
    """Stage 1 of SEPARATE for the members concerned: hold what the credits will offset, free the excess (BAL-072, 073).

    `prospective`: the members' negative ANYB as credits; `positives`: their positive items with their present holds. A
    larger excess than before frees more; a smaller one returns what a hold freed, the last freed first, as far as it is
    still there.
    """
    figures = _Figures(positives, allocations, category_order)
    reversed_portions = _reverse_portions(prospective, figures, portions)
    candidates = _candidates(positives)
    holds: dict[ItemId, int] = {one.item: 0 for one in positives if one.hold}
    freed: dict[tuple[str, ItemId, Bucket], Freed] = {}
    for negative in sorted(prospective, key=lambda one: one.order):
        left = negative.open_credit
        for candidate in candidates.get(negative.key, ()):
            pair = min(left, figures.capacity(candidate.item) - holds.get(candidate.item, 0))
            if pair == 0:
                continue
            holds[candidate.item] = holds.get(candidate.item, 0) + pair
            left -= pair
            excess = figures.excess(candidate.item, holds[candidate.item])
            _free(figures, candidate.item, excess, negative, kind, amendment_to_overpayment, freed)
            if left == 0:
                break
    returned = _returns(
        freed_before,
        available or {},
        lambda item: figures.remaining_due(item) - holds.get(item, 0) if item in figures.positives else 0,
    )
    present = {one.item: one.hold for one in positives}
    changed = {item: amount for item, amount in holds.items() if amount != present.get(item, 0)}
    return Holding(changed, tuple(freed.values()), returned, tuple(reversed_portions))


def _returns(
    freed_before: Sequence[FreedBefore], available: Availability, room_of: Callable[[ItemId], int]
) -> tuple[Returned, ...]:
    """Money going back to its items: the last freed first, up to the item's room and what is still in the bucket."""
    left = dict(available)
    used: dict[ItemId, int] = {}
    returned: dict[tuple[str, Bucket, ItemId, str | None], int] = {}
    for one in sorted(freed_before, key=lambda each: each.order, reverse=True):
        place = (one.record, one.bucket, None if one.bucket is Bucket.UNAPPLIED else one.member)
        room = room_of(one.item) - used.get(one.item, 0)
        amount = min(one.amount, left.get(place, 0), room)
        if amount > 0:
            left[place] -= amount
            used[one.item] = used.get(one.item, 0) + amount
            key = (one.record, one.bucket, one.item, one.member)
            returned[key] = returned.get(key, 0) + amount
    return tuple(
        Returned(record, bucket, item, member, amount) for (record, bucket, item, member), amount in returned.items()
    )


# --- Undoing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Undone:
    """What the discard of an invoice undoes: pairs removed, money back on its items, credits open again.

    `returned` belongs to credits of the discarded invoice (BAL-075); `released` are credits of other invoices whose
    positive partner was discarded: open credit to be matched again at once (BAL-076).
    """

    removed: tuple[Offset, ...]
    returned: tuple[Returned, ...]
    released: Mapping[ItemId, int]


def undo(
    invoice: str,
    pairs: Sequence[Offset],
    positives: Sequence[PositiveItem],
    *,
    freed_before: Sequence[FreedBefore] = (),
    available: Availability | None = None,
) -> Undone:
    """Undo the reconciliation of a discarded invoice; its own payments are off it already (BAL-075, BAL-076).

    `pairs`: all offsets and set-offs in which the invoice takes part, on either side; `positives`: the positive
    partners on other live invoices, as they stand now; `freed_before`: what the reconciliation of this invoice's
    credits freed.
    """
    mine = [pair for pair in pairs if pair.negative.invoice == invoice]
    others = [pair for pair in pairs if pair.negative.invoice != invoice and pair.positive.invoice == invoice]
    given_back: dict[ItemId, int] = {}
    for pair in mine:
        given_back[pair.positive] = given_back.get(pair.positive, 0) + pair.amount
    room = {
        one.item: one.billed - one.paid - (one.offset - given_back.get(one.item, 0)) - one.written_off - one.hold
        for one in positives
    }
    released: dict[ItemId, int] = {}
    for pair in others:
        released[pair.negative] = released.get(pair.negative, 0) + pair.amount
    returned = _returns(freed_before, available or {}, lambda item: room.get(item, 0))
    return Undone((*mine, *others), returned, released)


def after_reconciliation(positives: Sequence[PositiveItem], outcome: Reconciliation) -> dict[ItemId, PositiveItem]:
    """The positive items as they stand after the outcome: what statuses, balances and further steps start from."""
    items = {one.item: one for one in positives}
    for portion in outcome.reversed_portions:
        one = items[portion.item]
        items[portion.item] = replace(one, written_off=one.written_off - portion.amount)
    for freed in outcome.freed:
        one = items[freed.item]
        items[freed.item] = replace(one, paid=one.paid - freed.amount)
    for pair in (*outcome.offsets, *outcome.set_offs):
        one = items[pair.positive]
        items[pair.positive] = replace(one, offset=one.offset + pair.amount)
    return items
