"""The static amounts of a statement: calculated once at issue, printed, never changed (BAL-042 to BAL-051).

Group accounts carry a balance forward: what the last statement said, less what was paid, plus what is new. On
LIST_BILL INDIVIDUAL the statement lists what is open instead, because money there belongs to members. In both cases the
result must equal the live figure directly after issue; if it does not, the generation stops.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from domain.errors import Problem, Refusal
from domain.invoices.invoice import StatementAmounts
from domain.payments.classification import AccountKind


class Movement(StrEnum):
    """Movements of money on the account that count as received, or as taken back (BAL-046).

    Allocation and unallocation move no money to or from the account, nor does the decline or reversal of a payment that
    was suspended before.
    """

    ACCEPTED = "ACCEPTED"
    TRANSFERRED_IN = "TRANSFERRED_IN"
    RELEASED = "RELEASED"
    REFUND_RESTORED = "REFUND_RESTORED"
    DECLINED = "DECLINED"
    REVERSED = "REVERSED"
    SUSPENDED = "SUSPENDED"
    TRANSFERRED_OUT = "TRANSFERRED_OUT"
    REFUND_APPROVED = "REFUND_APPROVED"


_INCOMING = frozenset((Movement.ACCEPTED, Movement.TRANSFERRED_IN, Movement.RELEASED, Movement.REFUND_RESTORED))


def payments_received(movements: Iterable[tuple[Movement, int]]) -> int:
    """Σ of the movements in the window; amounts positive, the kind gives the sign (BAL-046)."""
    return sum(amount if kind in _INCOMING else -amount for kind, amount in movements)


@dataclass(frozen=True, slots=True)
class StatementDetail:
    """Live balance of a detail (product × amount type) directly after issue: remaining due − open credit (BAL-042)."""

    product: str
    amount_type: str
    due: int


@dataclass(frozen=True, slots=True)
class Window:
    """What happened on the account between the previous statement's issue and this one, by recorded position (BAL-044).

    `discarded_billed`: signed billed total of invoices discarded in the window that were issued at or before the
    previous statement. `written_off`: write-offs issued less reversed in the window.
    """

    previous_balance: int = 0
    payments_received: int = 0
    discarded_billed: int = 0
    written_off: int = 0


@dataclass(frozen=True, slots=True)
class NewCharges:
    """The new invoice's items (BAL-045, INV-051): own period signed; other periods apart, both as positive numbers."""

    current_period_amount: int
    retro_added: int = 0
    retro_credit: int = 0

    @property
    def current_due(self) -> int:
        return self.current_period_amount + self.retro_added - self.retro_credit


@dataclass(frozen=True, slots=True)
class OpenItemsSide:
    """What LIST_BILL INDIVIDUAL adds to the picture (BAL-049, BAL-050), after reconciliation and re-evaluation.

    `earlier_remaining_due`: of all earlier live invoices; `overpayment_to_earlier`, `overpayment_to_new`: what this
    generation allocated; `open_credit`: all that is left; `set_off_on_new`: credit of any invoice set off against this
    invoice's own items.
    """

    earlier_remaining_due: int = 0
    overpayment_to_earlier: int = 0
    overpayment_to_new: int = 0
    open_credit: int = 0
    set_off_on_new: int = 0
    payments_allocated_to_invoices: int = 0


@dataclass(frozen=True, slots=True)
class AfterIssue:
    """Live figures directly after issue, for the identities (BAL-048, BAL-049). Minor units."""

    due_and_unpaid: int
    account_balance: int
    unapplied: int
    member_overpayment: int
    details: tuple[StatementDetail, ...]


def statement(
    kind: AccountKind,
    window: Window,
    charges: NewCharges,
    side: OpenItemsSide,
    after: AfterIssue,
    *,
    carried_forward: int = 0,
    minimum_due: int,
    minimum_current: int,
) -> StatementAmounts:
    """The static amounts of the invoice being issued. Raises STATEMENT_NOT_RECONCILED (BAL-047 to BAL-050)."""
    allocated = side.overpayment_to_earlier + side.overpayment_to_new
    if kind is AccountKind.LIST_BILL_INDIVIDUAL:
        outstanding = side.earlier_remaining_due + side.overpayment_to_earlier - side.open_credit - side.set_off_on_new
        total = outstanding + charges.current_period_amount + charges.retro_added - allocated
        _check(total, {"due_and_unpaid": after.due_and_unpaid, "details": sum(one.due for one in after.details)})
        return StatementAmounts(
            previous_balance=None,
            payments_received=None,
            outstanding_balance=outstanding,
            current_period_amount=charges.current_period_amount,
            retro_added=charges.retro_added,
            retro_credit=charges.retro_credit,
            adjustments=None,
            balance_written_off=window.written_off,
            current_due=charges.current_due,
            overpayment_allocated=allocated,
            payments_allocated_to_invoices=side.payments_allocated_to_invoices,
            carried_forward=carried_forward,
            total_due=total,
            minimum_due=minimum_due,
            minimum_current=minimum_current,
        )
    adjustments = charges.retro_added - charges.retro_credit - window.discarded_billed
    total = (
        window.previous_balance
        - window.payments_received
        + charges.current_period_amount
        + adjustments
        - window.written_off
    )
    kept = after.unapplied + (after.member_overpayment if kind is AccountKind.INDIVIDUAL_DIRECT else 0)
    _check(
        total,
        {"account_balance": after.account_balance, "details": sum(one.due for one in after.details) - kept},
    )
    return StatementAmounts(
        previous_balance=window.previous_balance,
        payments_received=window.payments_received,
        outstanding_balance=None,
        current_period_amount=charges.current_period_amount,
        retro_added=charges.retro_added,
        retro_credit=charges.retro_credit,
        adjustments=adjustments,
        balance_written_off=window.written_off,
        current_due=charges.current_due,
        overpayment_allocated=allocated,
        payments_allocated_to_invoices=None,
        carried_forward=carried_forward,
        total_due=total,
        minimum_due=minimum_due,
        minimum_current=minimum_current,
    )


def _check(total: int, others: dict[str, int]) -> None:
    differing = {name: value for name, value in others.items() if value != total}
    if differing:
        raise Refusal(
            Problem(
                "STATEMENT_NOT_RECONCILED",
                "the statement's total due differs from the live balance",
                params={"total_due": total, **differing},
            )
        )
