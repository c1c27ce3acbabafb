"""Distributing money to invoice items: SPREAD, WALK, and the automated plan built from them (PAY-039 to PAY-051).

An account may have 30,000 open items and more, so items are columns, and an order is established only where a cent
depends on it: whatever is covered in full needs none. SPREAD shares an amount inside a scope (by priority groups, or
proportionally); WALK takes invoices from the oldest and spreads inside each; a plan places instructed amounts first and
walks what could not be placed as instructed. Everything here is arithmetic on facts: nothing is read, nothing written.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from domain.errors import InvariantError
from domain.payments.classification import Explanation
from domain.payments.payment import InvoiceLines
from domain.payments.targets import Instruction

_LAST = dt.date.max


class PriorityKey(StrEnum):
    """Group keys of a spread (PAY-042)."""

    INVOICING_PERIOD = "INVOICING_PERIOD"
    PREMIUM_SEQUENCE = "PREMIUM_SEQUENCE"
    PRODUCT = "PRODUCT"


@dataclass(frozen=True, slots=True)
class SpreadSettings:
    """How an account spreads money (PAY-041, PAY-042): `order` as configured, `effective_order` completed."""

    use_priority_rules: bool = False
    order: tuple[PriorityKey, ...] = ()
    product_priority: Mapping[str, int] = field(default_factory=dict)

    @property
    def effective_order(self) -> tuple[PriorityKey, ...]:
        """The configured keys; INVOICING_PERIOD is put before PREMIUM_SEQUENCE, or last, where it is missing."""
        order = self.order or (PriorityKey.INVOICING_PERIOD, PriorityKey.PREMIUM_SEQUENCE)
        if PriorityKey.INVOICING_PERIOD in order:
            return order
        place = order.index(PriorityKey.PREMIUM_SEQUENCE) if PriorityKey.PREMIUM_SEQUENCE in order else len(order)
        return (*order[:place], PriorityKey.INVOICING_PERIOD, *order[place:])

    def rank(self, product: str) -> int:
        """The priority of a product, 1 first; products without one come together last."""
        return self.product_priority.get(product, 1 << 30)


#: Fixed settings of consumption in the recurring job: prior-period corrections come first (PAY-079 b).
RECURRING_SETTINGS = SpreadSettings(True, (PriorityKey.INVOICING_PERIOD,))


@dataclass(frozen=True, slots=True)
class OpenItems:
    """Positive items of live invoices, as columns: row i is one net line with its collectible due (minor units, ≥ 0).

    `invoices[i]`, `lines[i]` identify it; the rest is what orders and groups it (PAY-040, PAY-042). `held[i]` is the
    reconciliation hold, `offset[i]` what was set off (they name the refusal when money is directed there);
    `withheld[i]`: of a member marked CANCELLATION_REQUESTED, never taken automatically (PAY-048). The last four columns
    may be left empty: all zero, false or "". Rows without due matter only where they carry an active write-off, a hold
    or an offset.
    """

    invoices: Sequence[str] = ()
    lines: Sequence[int] = ()
    members: Sequence[str] = ()
    coverages: Sequence[str] = ()
    sequences: Sequence[int] = ()
    sequence_dates: Sequence[dt.date | None] = ()
    billing_starts: Sequence[dt.date] = ()
    modal_starts: Sequence[dt.date] = ()
    products: Sequence[str] = ()
    due: Sequence[int] = ()
    master_policies: Sequence[str] = ()
    held: Sequence[int] = ()
    offset: Sequence[int] = ()
    withheld: Sequence[bool] = ()

    def __len__(self) -> int:
        return len(self.due)

    def rows_of(self, *, invoice: str | None = None, member: str | None = None) -> list[int]:
        """Row numbers of an invoice, of a member record, or of both."""
        return [
            row
            for row in range(len(self.due))
            if (invoice is None or self.invoices[row] == invoice) and (member is None or self.members[row] == member)
        ]

    def sort_key(self, row: int, place: Mapping[str, int]) -> tuple[object, ...]:
        """Item order (PAY-040); `place` is the invoice's place in invoice order."""
        return (
            place[self.invoices[row]],
            self.billing_starts[row],
            self.modal_starts[row],
            self.sequence_dates[row] or _LAST,
            self.members[row],
            self.coverages[row],
            self.sequences[row],
            self.lines[row],
        )


@dataclass(frozen=True, slots=True)
class OpenInvoice:
    """A live invoice as allocation sees it. `tolerated`: it carries the badge TOLERANCE (PAY-049)."""

    number: str
    due_date: dt.date
    period_start: dt.date
    tolerated: bool = False


class WriteOffKind(StrEnum):
    SMALL_BALANCE = "SMALL_BALANCE"
    MANUAL = "MANUAL"


@dataclass(frozen=True, slots=True)
class ActiveWriteOff:
    """An active write-off of an invoice, portion by line. `order` grows with the time of issue (WRO-040)."""

    write_off: str
    invoice: str
    kind: WriteOffKind
    order: int
    lines: tuple[int, ...]
    amounts: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.amounts)


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Everything an allocation on one account is decided on: its live items and invoices, settings, active write-offs.

    `invoices` holds every live invoice of `items`, paid ones included where they are named. `always_reverse_manual`:
    manual write-offs give way to every new payment, not only where needed (WRO-040).
    """

    items: OpenItems
    invoices: Sequence[OpenInvoice]
    settings: SpreadSettings = field(default_factory=SpreadSettings)
    write_offs: Sequence[ActiveWriteOff] = ()
    always_reverse_manual: bool = False

    def work(self) -> tuple[Dues, WriteOffs]:
        """Fresh working figures for one allocation."""
        dues = Dues(self.items, self.invoices, self.settings)
        return dues, WriteOffs(dues, self.write_offs, always_reverse_manual=self.always_reverse_manual)


def invoice_places(invoices: Iterable[OpenInvoice]) -> dict[str, int]:
    """Each invoice's place in invoice order: due date, period start, number (PAY-040)."""
    ordered = sorted(invoices, key=lambda one: (one.due_date, one.period_start, one.number))
    return {invoice.number: place for place, invoice in enumerate(ordered)}


def share_proportionally(amount: int, dues: Sequence[int]) -> list[int]:
    """PAY-043: amount × due ÷ Σ due, HALF_UP each; the difference on the last, within [0, due], the rest before it.

    `amount` ≤ Σ dues; dues in item order.
    """
    total = sum(dues)
    if total == 0:
        return [0] * len(dues)
    double, twice = 2 * amount, 2 * total
    shares = [(double * due + total) // twice for due in dues]
    difference = amount - sum(shares)
    row = len(shares) - 1
    while difference:
        new = min(max(shares[row] + difference, 0), dues[row])
        difference -= new - shares[row]
        shares[row] = new
        row -= 1
    return shares


class Dues:
    """The working figures of one allocation: what every item still takes, and what it has been given.

    The only mutable thing in the room, and it never leaves a function that returns a finished result: a plan works off
    dues step by step (each target sees what those before left), and copying 30,000 figures for every step is waste.
    """

    def __init__(self, items: OpenItems, invoices: Iterable[OpenInvoice], settings: SpreadSettings) -> None:
        self.items = items
        self.settings = settings
        self.place = invoice_places(invoices)
        self.left = list(items.due)
        self.given: dict[int, int] = {}
        self._by_invoice: dict[str, list[int]] | None = None

    @property
    def by_invoice(self) -> dict[str, list[int]]:
        """Rows by invoice, invoices in invoice order; invoices that are not live have no rows."""
        if self._by_invoice is None:
            found: dict[str, list[int]] = {}
            for row, invoice in enumerate(self.items.invoices):
                found.setdefault(invoice, []).append(row)
            self._by_invoice = {
                invoice: found[invoice]
                for invoice in sorted(self.place, key=self.place.__getitem__)
                if invoice in found
            }
        return self._by_invoice

    def due_of(self, rows: Iterable[int]) -> int:
        left = self.left
        return sum(left[row] for row in rows)

    def raise_due(self, rows: Mapping[int, int]) -> None:
        """Give items back what a reversed write-off had covered (WRO-040)."""
        for row, amount in rows.items():
            self.left[row] += amount

    def in_item_order(self, rows: Iterable[int]) -> list[int]:
        """The rows in item order."""
        items, place = self.items, self.place
        return sorted(rows, key=lambda row: items.sort_key(row, place))

    def give(self, row: int, amount: int) -> None:
        if amount:
            self.left[row] -= amount
            self.given[row] = self.given.get(row, 0) + amount

    def spread(self, rows: Iterable[int], amount: int) -> int:
        """SPREAD: share `amount` over the rows; returns what they do not take (PAY-041)."""
        open_rows = [row for row in rows if self.left[row] > 0]
        total = self.due_of(open_rows)
        if amount >= total:
            for row in open_rows:
                self.give(row, self.left[row])
            return amount - total
        if amount > 0:
            self._spread_short(open_rows, amount)
        return 0

    def _spread_short(self, rows: list[int], amount: int) -> None:
        groups = self._groups(rows) if self.settings.use_priority_rules else [rows]
        for group in groups:
            total = self.due_of(group)
            if amount >= total:
                for row in group:
                    self.give(row, self.left[row])
                amount -= total
                continue
            ordered = self.in_item_order(group)
            shares = share_proportionally(amount, [self.left[row] for row in ordered])
            for row, share in zip(ordered, shares, strict=True):
                self.give(row, share)
            return

    def _groups(self, rows: list[int]) -> list[list[int]]:
        """Priority groups of the rows, the first to be covered first (PAY-042)."""
        items, place, settings = self.items, self.place, self.settings
        order = settings.effective_order
        groups: dict[tuple[object, ...], list[int]] = {}
        for row in rows:
            key: list[object] = []
            for part in order:
                if part is PriorityKey.INVOICING_PERIOD:
                    key += (place[items.invoices[row]], items.billing_starts[row], items.modal_starts[row])
                elif part is PriorityKey.PREMIUM_SEQUENCE:
                    key.append(items.sequence_dates[row] or _LAST)
                else:
                    key.append(settings.rank(items.products[row]))
            groups.setdefault(tuple(key), []).append(row)
        return [groups[key] for key in sorted(groups)]

    def walk(
        self,
        amount: int,
        rows: Iterable[int] | None = None,
        before: Callable[[str, int], None] | None = None,
    ) -> int:
        """WALK: invoices in invoice order, SPREAD inside each; returns what no invoice takes (PAY-044).

        `rows` limits the scope; None is every item. `before` is told each invoice and what it is about to take, while
        its write-offs can still give way.
        """
        if rows is None:
            scopes: Iterable[list[int]] = self.by_invoice.values()
        else:
            found: dict[str, list[int]] = {}
            for row in rows:
                found.setdefault(self.items.invoices[row], []).append(row)
            scopes = [found[invoice] for invoice in sorted(found, key=self.place.__getitem__)]
        for scope in scopes:
            if amount == 0:
                break
            take = min(amount, self.due_of(scope))
            if take and before is not None:
                before(self.items.invoices[scope[0]], take)
            self.spread(scope, take)
            amount -= take
        return amount

    def result(self) -> tuple[InvoiceLines, ...]:
        """What was given, by invoice in invoice order, lines in row order."""
        return lines_of(self.items, self.given, self.place)


def lines_of(items: OpenItems, given: Mapping[int, int], place: Mapping[str, int]) -> tuple[InvoiceLines, ...]:
    """Amounts by row as lines by invoice, invoices in invoice order."""
    columns: dict[str, tuple[list[int], list[int]]] = {}
    for row in sorted(given):
        if given[row]:
            lines, amounts = columns.setdefault(items.invoices[row], ([], []))
            lines.append(items.lines[row])
            amounts.append(given[row])
    return tuple(
        InvoiceLines(invoice, tuple(columns[invoice][0]), tuple(columns[invoice][1]))
        for invoice in sorted(columns, key=place.__getitem__)
    )


def spread(
    items: OpenItems, invoices: Iterable[OpenInvoice], settings: SpreadSettings, amount: int
) -> tuple[tuple[InvoiceLines, ...], int]:
    """SPREAD an amount over all the items: the lines, and what is left (PAY-041)."""
    dues = Dues(items, invoices, settings)
    rest = dues.spread(range(len(items)), amount)
    return dues.result(), rest


def walk(
    items: OpenItems, invoices: Iterable[OpenInvoice], settings: SpreadSettings, amount: int
) -> tuple[tuple[InvoiceLines, ...], int]:
    """WALK an amount over all the items: the lines, and what is left (PAY-044)."""
    dues = Dues(items, invoices, settings)
    rest = dues.walk(amount)
    return dues.result(), rest


# --- Write-offs give way ---------------------------------------------------------------------------------------------


class WriteOffs:
    """Active write-offs by invoice, and which of them an allocation reverses (WRO-040, PAY-045, PAY-068).

    A new allocation to an invoice reverses its small-balance write-offs in full; manual ones stay while the amount fits
    into the due reached so, else they are reversed in full, newest first, until it fits.
    """

    def __init__(self, dues: Dues, active: Sequence[ActiveWriteOff], *, always_reverse_manual: bool = False) -> None:
        self._dues = dues
        self._always = always_reverse_manual
        self._small = _by_invoice(active, WriteOffKind.SMALL_BALANCE)
        self._manual = _by_invoice(active, WriteOffKind.MANUAL)
        self._rows: dict[tuple[str, int], int] | None = None
        self.reversed: list[str] = []

    def directed_due(self, invoice: str, *, manual_command: bool, rows: Sequence[int] | None = None) -> int:
        """Collectible due + active small-balance write-offs, for manual commands + manual ones (PAY-045).

        With `rows` only their part of all that.
        """
        scope = self._dues.by_invoice.get(invoice, []) if rows is None else rows
        due = self._dues.due_of(scope)
        kinds = (self._small, self._manual) if manual_command else (self._small,)
        for kind in kinds:
            for write_off in kind.get(invoice, ()):
                if rows is None:
                    due += write_off.total
                else:
                    portions = self._portions(write_off)
                    due += sum(portions.get(row, 0) for row in rows)
        return due

    def give_way(self, invoice: str, amount: int, *, rows: Sequence[int] | None = None) -> None:
        """Reverse what must give way to `amount` on the invoice; the items' dues grow by it."""
        for write_off in self._small.pop(invoice, ()):
            self._reverse(write_off)
        scope = self._dues.by_invoice.get(invoice, []) if rows is None else rows
        manual = self._manual.get(invoice, [])
        while manual and (self._always or amount > self._dues.due_of(scope)):
            self._reverse(manual.pop())

    def reverse_all(self, invoice: str) -> None:
        """Reverse every active write-off of an invoice that money leaves (WRO-039)."""
        for write_off in (*self._small.pop(invoice, ()), *self._manual.pop(invoice, ())):
            self._reverse(write_off)

    def _reverse(self, write_off: ActiveWriteOff) -> None:
        self._dues.raise_due(self._portions(write_off))
        self.reversed.append(write_off.write_off)

    def _portions(self, write_off: ActiveWriteOff) -> dict[int, int]:
        if self._rows is None:
            items = self._dues.items
            self._rows = {
                (invoice, line): row
                for row, (invoice, line) in enumerate(zip(items.invoices, items.lines, strict=True))
            }
        return {
            self._rows[(write_off.invoice, line)]: amount
            for line, amount in zip(write_off.lines, write_off.amounts, strict=True)
        }


def _by_invoice(active: Sequence[ActiveWriteOff], kind: WriteOffKind) -> dict[str, list[ActiveWriteOff]]:
    found: dict[str, list[ActiveWriteOff]] = {}
    for write_off in sorted(active, key=lambda one: one.order):
        if write_off.kind is kind:
            found.setdefault(write_off.invoice, []).append(write_off)
    return found


# --- The automated plan ----------------------------------------------------------------------------------------------


class Need(StrEnum):
    """What a plan needs permission for (PAY-049), in the order of their explanations (PAY-033)."""

    GAP = "GAP"
    MISMATCH = "MISMATCH"
    PARTIAL = "PARTIAL"


@dataclass(frozen=True, slots=True)
class Permissions:
    """The three permissions of approach `allocationRules` (PAY-035); defaults of the parameter table."""

    gaps: bool = False
    mismatched_amounts: bool = True
    partial_coverage: bool = True

    def allows(self, need: Need) -> bool:
        return {Need.GAP: self.gaps, Need.MISMATCH: self.mismatched_amounts, Need.PARTIAL: self.partial_coverage}[need]


_NOT_ALLOWED = {
    Need.GAP: Explanation.GAP_NOT_ALLOWED,
    Need.MISMATCH: Explanation.MISMATCH_NOT_ALLOWED,
    Need.PARTIAL: Explanation.PARTIAL_NOT_ALLOWED,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of approach `allocationRules`: lines to allocate, what stays unapplied and why (PAY-048 to PAY-050).

    `executed` is False when a permission is missing: then there are no lines and the whole amount stays unapplied.
    `reversed_write_offs` give way to it; `touched` invoices are those that get money.
    """

    executed: bool
    lines: tuple[InvoiceLines, ...]
    unapplied: int
    needs: frozenset[Need]
    explanation: Explanation | None
    reversed_write_offs: tuple[str, ...] = ()

    @property
    def allocated(self) -> int:
        return sum(part.total for part in self.lines)

    @property
    def touched(self) -> tuple[str, ...]:
        return tuple(part.invoice for part in self.lines)


def set_aside_changed(
    instructions: Sequence[Instruction], due_at_acceptance: Mapping[str, int], due_now: Mapping[str, int]
) -> tuple[list[Instruction], int]:
    """Instructions as they can still be served, and the money set aside because its target changed (PAY-030).

    Dues are directed dues; an invoice that is no longer live has none now. What was not payable at acceptance either is
    not set aside: it is residue of the plan.
    """
    kept: list[Instruction] = []
    aside = 0
    taken_then: dict[str, int] = {}
    taken_now: dict[str, int] = {}
    for one in instructions:
        if one.invoice is None:
            kept.append(one)
            continue
        then_left = due_at_acceptance.get(one.invoice, 0) - taken_then.get(one.invoice, 0)
        now_left = due_now.get(one.invoice, 0) - taken_now.get(one.invoice, 0)
        payable_then = max(min(one.amount, then_left), 0)
        lost = max(payable_then - max(now_left, 0), 0)
        aside += lost
        taken_then[one.invoice] = taken_then.get(one.invoice, 0) + payable_then
        taken_now[one.invoice] = taken_now.get(one.invoice, 0) + min(payable_then, max(now_left, 0))
        if one.amount > lost:
            kept.append(Instruction(one.amount - lost, one.invoice))
    return kept, aside


def plan_allocation(
    amount: int,
    instructions: Sequence[Instruction],
    account: OpenAccount,
    permissions: Permissions,
    *,
    accepted_references: Sequence[Instruction] | None = None,
    excluded: frozenset[str] = frozenset(),
    set_aside: int = 0,
) -> Plan:
    """Approach `allocationRules` for one account's `amount` (PAY-048 to PAY-051).

    `instructions` may be empty: the plan is then the walk of the whole amount. `accepted_references` are the references
    as accepted, for the GAP test, when some were set aside since (PAY-030); `excluded` invoices are no candidates
    (PAY-091). `amount` does not contain what was set aside (`set_aside`), which only names the explanation.
    """
    if sum(one.amount for one in instructions) > amount:
        raise InvariantError(f"more instructed than the {amount} there are")
    dues, giving_way = account.work()
    references = _summed(instructions)
    withheld = _withheld_due(account.items)
    takes: dict[str, int] = {}
    needs: set[Need] = set()
    full_due: dict[str, int] = {}
    for invoice, asked in references.items():
        directed = giving_way.directed_due(invoice, manual_command=False)
        full_due[invoice] = directed
        if asked != directed:
            needs.add(Need.MISMATCH)
        takeable = max(directed - withheld.get(invoice, 0), 0)
        if invoice not in excluded and invoice in dues.by_invoice:
            takes[invoice] = min(asked, takeable)
    rest = amount - sum(takes.values())
    for invoice, rows in dues.by_invoice.items():
        if invoice in excluded:
            continue
        due = full_due.get(invoice)
        if due is None:
            due = dues.due_of(rows)
            full_due[invoice] = due
        take = min(rest, due - withheld.get(invoice, 0) - takes.get(invoice, 0))
        if take > 0:
            takes[invoice] = takes.get(invoice, 0) + take
            rest -= take
    if not any(takes.values()):
        return Plan(True, (), amount, frozenset(), _left_over(rest, set_aside, False, bool(withheld)))
    needs |= _coverage_needs(takes, full_due, rest)
    if _gap(
        accepted_references if accepted_references is not None else instructions, takes, full_due, account.invoices
    ):
        needs.add(Need.GAP)
    missing = [need for need in Need if need in needs and not permissions.allows(need)]
    if missing:
        return Plan(False, (), amount, frozenset(needs), _NOT_ALLOWED[missing[0]])
    for invoice, take in takes.items():
        if take:
            giving_way.give_way(invoice, take)
            dues.spread(_takeable_rows(dues, invoice), take)
    return Plan(
        True,
        dues.result(),
        rest,
        frozenset(needs),
        _left_over(rest, set_aside, True, bool(withheld)),
        tuple(giving_way.reversed),
    )


def _summed(instructions: Sequence[Instruction]) -> dict[str, int]:
    """Instructed amounts by invoice: those of one invoice count as one reference (PAY-048)."""
    found: dict[str, int] = {}
    for one in instructions:
        if one.invoice is not None:
            found[one.invoice] = found.get(one.invoice, 0) + one.amount
    return found


def _withheld_due(items: OpenItems) -> dict[str, int]:
    found: dict[str, int] = {}
    for row, withheld in enumerate(items.withheld):
        if withheld:
            found[items.invoices[row]] = found.get(items.invoices[row], 0) + items.due[row]
    return found


def _takeable_rows(dues: Dues, invoice: str) -> list[int]:
    rows = dues.by_invoice[invoice]
    withheld = dues.items.withheld
    return [row for row in rows if not withheld[row]] if withheld else rows


def _coverage_needs(takes: Mapping[str, int], full_due: Mapping[str, int], rest: int) -> set[Need]:
    needs: set[Need] = set()
    if any(take and take < full_due[invoice] for invoice, take in takes.items()):
        needs |= {Need.MISMATCH, Need.PARTIAL}
    if rest:
        needs.add(Need.MISMATCH)
    return needs


def _gap(
    accepted: Sequence[Instruction],
    takes: Mapping[str, int],
    full_due: Mapping[str, int],
    invoices: Sequence[OpenInvoice],
) -> bool:
    """Whether the instruction is one single invoice reference and an older invoice would stay due (PAY-049)."""
    named = {one.invoice for one in accepted}
    if len(named) != 1 or None in named:
        return False
    place = invoice_places(invoices)
    (reference,) = named
    if reference not in place:
        return False
    return any(
        place[one.number] < place[reference]
        and not one.tolerated
        and full_due.get(one.number, 0) > takes.get(one.number, 0)
        for one in invoices
    )


def _left_over(rest: int, set_aside: int, allocated: bool, withheld: bool) -> Explanation | None:
    if set_aside:
        return Explanation.TARGET_CHANGED
    if not rest:
        return None
    if withheld:
        return Explanation.CANCELLATION_REQUESTED
    return Explanation.EXCESS if allocated else Explanation.NO_OPEN_INVOICE
