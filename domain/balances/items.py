"""The figures of one invoice item, and what follows from them alone (BAL-002 to BAL-007).

A positive item is due, paid, offset or written off, cent by cent; a negative item is a credit that is applied or open.
Everything is in minor units.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from domain.errors import InvariantError


@dataclass(frozen=True, slots=True)
class ItemFigures:
    """A net line of a live invoice. Positive (`billed` > 0): paid, offset, written_off, hold. Negative: applied."""

    billed: int
    paid: int = 0
    offset: int = 0
    written_off: int = 0
    hold: int = 0
    applied: int = 0

    @property
    def remaining_due(self) -> int:
        """billed − paid − offset − written_off of a positive item (BAL-002); 0 of a negative one."""
        return self.billed - self.paid - self.offset - self.written_off if self.billed > 0 else 0

    @property
    def open_credit(self) -> int:
        """|billed| − applied of a negative item (BAL-003); 0 of a positive one."""
        return -self.billed - self.applied if self.billed < 0 else 0

    @property
    def collectible_due(self) -> int:
        """remaining_due − reconciliation hold, never below 0 (BAL-006)."""
        return max(self.remaining_due - self.hold, 0)

    def checked(self) -> ItemFigures:
        """The figures, if they obey BAL-002 and BAL-003; InvariantError otherwise."""
        parts = (self.paid, self.offset, self.written_off, self.hold, self.applied, self.open_credit)
        negative_paid = self.billed < 0 and (self.paid or self.written_off or self.offset or self.hold)
        if min(parts) < 0 or negative_paid or not 0 <= self.remaining_due <= max(self.billed, 0):
            raise InvariantError(f"item figures do not add up: {self}")
        return self


@dataclass(frozen=True, slots=True)
class InvoiceFigures:
    """The live figures of an invoice (BAL-005, BAL-038)."""

    billed: int
    positive_billed: int
    paid: int
    offset: int
    written_off: int
    held: int
    remaining_due: int
    open_credit: int
    collectible_due: int

    @property
    def payable(self) -> int:
        """remaining_due − open_credit; negative is a credit (BAL-005)."""
        return self.remaining_due - self.open_credit

    @property
    def status(self) -> str:
        """PAID, ISSUED or PARTIALLY_PAID, from collectible due alone (BAL-007, INV-072)."""
        if self.collectible_due == 0:
            return "PAID"
        return "ISSUED" if self.collectible_due == self.positive_billed else "PARTIALLY_PAID"


def invoice_figures(items: Iterable[ItemFigures]) -> InvoiceFigures:
    """The figures of an invoice from those of its items."""
    billed = positive = paid = offset = written_off = held = due = credit = collectible = 0
    for item in items:
        billed += item.billed
        positive += max(item.billed, 0)
        paid += item.paid
        offset += item.offset
        written_off += item.written_off
        held += item.hold
        due += item.remaining_due
        credit += item.open_credit
        collectible += item.collectible_due
    return InvoiceFigures(billed, positive, paid, offset, written_off, held, due, credit, collectible)
