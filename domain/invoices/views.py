"""What is shown of an invoice beside its amounts: its badges, and which amounts its bill shows at all.

Derived on the day that is asked about and never stored (INV-052, INV-075).
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Final

from domain.payments.classification import AccountKind


class InvoiceBadge(StrEnum):
    """Marks beside an invoice, in the order in which they are shown (INV-075)."""

    OVERDUE = "OVERDUE"
    PREMIUM_WAIVER = "PREMIUM_WAIVER"
    OVERPAYMENT_APPLIED = "OVERPAYMENT_APPLIED"
    ON_HOLD = "ON_HOLD"
    REGENERATED = "REGENERATED"
    LATE = "LATE"


def invoice_badges(
    *,
    live: bool,
    collectible_due: int,
    due_date: dt.date,
    today: dt.date,
    waived: bool,
    overpayment_applied: bool,
    invoice_hold: bool,
    regenerates: str | None,
    late: bool,
) -> tuple[InvoiceBadge, ...]:
    """The marks of an invoice on a day. A discarded one asks for nothing and waits for nothing: of it only what it was
    made of is told.

    decision: ON_HOLD is that an Invoice hold is active on its account, `invoice_hold`. `regenerates`: the discarded
    invoice it was generated for.
    """
    shown = {
        InvoiceBadge.OVERDUE: live and collectible_due > 0 and due_date < today,
        InvoiceBadge.PREMIUM_WAIVER: waived,
        InvoiceBadge.OVERPAYMENT_APPLIED: overpayment_applied,
        InvoiceBadge.ON_HOLD: live and invoice_hold,
        InvoiceBadge.REGENERATED: regenerates is not None,
        InvoiceBadge.LATE: late,
    }
    return tuple(badge for badge, is_shown in shown.items() if is_shown)


_CARRIED_FORWARD: Final = (
    "previous_balance",
    "payments_received",
    "current_period_amount",
    "adjustments",
    "balance_written_off",
    "current_due",
    "total_due",
)
_OPEN_ITEMS: Final = (
    "outstanding_balance",
    "current_period_amount",
    "retro_added",
    "retro_credit",
    "overpayment_allocated",
    "payments_allocated_to_invoices",
    "total_due",
)
#: Shown on every bill for information; it is part of the balance already (INV-053).
_FOR_INFORMATION: Final = ("carried_forward",)


def shown_amounts(kind: AccountKind) -> tuple[str, ...]:
    """Which of the statement's amounts the bills of such an account show, in their order: names of
    `StatementAmounts` (INV-052, INV-053)."""
    own = _OPEN_ITEMS if kind is AccountKind.LIST_BILL_INDIVIDUAL else _CARRIED_FORWARD
    return (*own, *_FOR_INFORMATION)
