"""The suspense queue: a work list of money without a home, one entry after another on a record (PAY-084 to PAY-086).

An entry holds no money. Its open amount is always what the record has unapplied or in general suspense at that moment,
and `payment.with_status` resolves it when nothing of that is left.
"""

from __future__ import annotations

import datetime as dt

from domain.errors import Problem, refuse_if_any
from domain.payments.classification import Category, Explanation, SuspenseReason
from domain.payments.payment import PaymentRecord, SuspenseEntryOpened


def suspense_reference(sequence: int) -> str:
    """SUS- and eight digits."""
    return f"SUS-{sequence:08d}"


def open_amount(state: PaymentRecord) -> int:
    """What an entry of the record is about now (PAY-086)."""
    return state.suspended if state.suspended else state.unapplied + state.member_unapplied_total


def needs_entry(state: PaymentRecord) -> bool:
    """Whether automated allocation left money on the record that no entry is open for (PAY-085)."""
    return open_amount(state) > 0 and not state.suspense


def open_entry(
    state: PaymentRecord, *, reference: str, reason: Explanation | SuspenseReason | str, receipt_date: dt.date
) -> list[object]:
    """Open an entry; reference and amount are mandatory (PAY-085, SUSPENSE_DATA_MISSING)."""
    amount = open_amount(state)
    missing = [name for name, value in (("reference", reference), ("amount", amount)) if not value]
    if missing:
        refuse_if_any(
            [
                Problem(
                    "SUSPENSE_DATA_MISSING",
                    f"a suspense entry needs {' and '.join(missing)}",
                    params={"fields": missing},
                )
            ]
        )
    return [
        SuspenseEntryOpened(
            record=state.known, reference=reference, amount=amount, receipt_date=receipt_date, reason=str(reason)
        )
    ]


def hold_internal_payment(
    state: PaymentRecord, *, reference: str, reason: str | None, receipt_date: dt.date
) -> list[object]:
    """A user holds an internal payment (PAY-085). Refusals NOT_INTERNAL, REASON_REQUIRED."""
    problems = []
    if state.known.category is not Category.INTERNAL:
        problems.append(Problem("NOT_INTERNAL", "only internal payments are held this way"))
    if not reason:
        problems.append(Problem("REASON_REQUIRED", "a reason is needed", pointer="/reason"))
    refuse_if_any(problems)
    return open_entry(state, reference=reference, reason=SuspenseReason.INTERNAL_HELD, receipt_date=receipt_date)
