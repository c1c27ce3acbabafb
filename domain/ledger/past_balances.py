"""What an account owed and had, out of the balances of its control accounts as they stood (BAL-001, LED-049).

The control accounts move with every event that moves a figure, to the cent and with its dates; so any past moment is a
sum of the journal. Amounts are minor units of the account's currency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from domain.balances.balances import Buckets
from domain.ledger.reports import controlled_figures

_RECEIVABLE: Final = "1100"
#: The control accounts that figures of an account come from (C1 to C4, C8).
BALANCE_CODES: Final = ("1100", "1110", "2100", "2110", "2120", "5000", "5010")


class ControlBalance(NamedTuple):
    """The balance of a control account (debits less credits) for one invoice, or for none; of it what payments took."""

    invoice: str | None
    code: str
    balance: int
    paid: int


class PastDue(NamedTuple):
    """What was due on an invoice, and the money on it."""

    remaining_due: int
    open_credit: int
    paid: int


@dataclass(frozen=True, slots=True)
class PastBalances:
    """The figures of an account at one moment (BAL-013 to BAL-018), and by invoice what was due."""

    remaining_due: int
    open_credit: int
    total_billed: int
    total_paid: int
    written_off: int
    buckets: Buckets
    invoices: Mapping[str, PastDue]


def past_balances(found: Iterable[ControlBalance]) -> PastBalances:
    """The figures that the control accounts give. What was billed is what is due, was paid or written off (BAL-013)."""
    totals: dict[str, int] = {}
    by_invoice: dict[str, dict[str, int]] = {}
    paid: dict[str, int] = {}
    for invoice, code, balance, taken in found:
        totals[code] = totals.get(code, 0) + balance
        if invoice is not None:
            by_invoice.setdefault(invoice, {})[code] = balance
            if code == _RECEIVABLE:
                paid[invoice] = taken
    figures = controlled_figures(totals)
    total_paid, written_off = sum(paid.values()), figures["write_offs_and_adjustments"]
    return PastBalances(
        remaining_due=figures["remaining_due"],
        open_credit=figures["open_credit"],
        total_billed=figures["due_and_unpaid"] + total_paid + written_off,
        total_paid=total_paid,
        written_off=written_off,
        buckets=Buckets(figures["unapplied"], figures["member_unapplied"], figures["member_overpayment"]),
        invoices={invoice: _due(codes, paid.get(invoice, 0)) for invoice, codes in by_invoice.items()},
    )


def _due(codes: Mapping[str, int], paid: int) -> PastDue:
    figures = controlled_figures(codes)
    return PastDue(figures["remaining_due"], figures["open_credit"], paid)
