"""What follows on an account whenever money or invoices moved: invoice statuses and the next payment due date.

Both are derived from the register after the moves of the command were written; an event says so when the value is
another one than before (INV-074, CAL-082). Every handler that moves money ends here, with the invoices it touched.
"""

from __future__ import annotations

from collections.abc import Iterable

from application.calendars import load_calendars
from application.register import ItemRegister
from application.unit_of_work import UnitOfWork
from domain.accounts.account import ACCOUNT, Account, NextPaymentDueDateChanged
from domain.calendar.invoicing_terms import InvoicingTerms
from domain.calendar.next_payment_due_date import OpenInvoice, next_payment_due_date
from domain.invoices.invoice import INVOICE, InvoiceStatusChanged, runtime_status
from domain.invoices.target import unbilled_periods


def settle(unit: UnitOfWork, account: str, invoices: Iterable[str], cause: str) -> None:
    """Write what was decided so far, then tell the statuses of the touched invoices and the account's next due date."""
    unit.flush()
    register = unit.port(ItemRegister)
    touched = sorted(set(invoices))
    if touched:
        stored = unit.load_many(INVOICE, touched)
        for row in register.invoices(touched):
            invoice = stored[row.number]
            if invoice.state.discarded or not invoice.state.issued:
                continue
            status = runtime_status(row.positive_billed, row.collectible_due)
            if status is not invoice.state.runtime_status:
                changed = InvoiceStatusChanged(
                    number=row.number, account=account, old=invoice.state.runtime_status, new=status, cause=cause
                )
                unit.append(INVOICE, row.number, [changed])
    tell_next_due_date(unit, account)


def tell_next_due_date(unit: UnitOfWork, account: str) -> None:
    """`NextPaymentDueDateChanged` when the derived date is another one than before (CAL-081, CAL-082)."""
    loaded = unit.load(ACCOUNT, account)
    state = loaded.state
    terms = invoicing_terms(unit, state)
    open_invoices = [
        OpenInvoice(row.due_date, row.collectible_due)
        for row in unit.port(ItemRegister).live_invoices(account, open_only=True)
    ]
    # Before its first product an account owes nothing, whatever its periods are.
    target = next(iter(unbilled_periods(state)), None) if terms is not None and state.master_policies else None
    new = next_payment_due_date(open_invoices, terms, target)
    if new != state.next_payment_due_date:
        unit.append(
            ACCOUNT, account, [NextPaymentDueDateChanged(number=account, old=state.next_payment_due_date, new=new)]
        )


def invoicing_terms(unit: UnitOfWork, account: Account) -> InvoicingTerms | None:
    """What the account's dates are computed from; None before its first product or with an incomplete schedule."""
    earliest = account.earliest_day
    if account.grid is None or earliest is None or account.schedule is None or not account.schedule.complete:
        return None
    calendar = load_calendars(unit).state.find(account.calendar) if account.calendar else None
    return InvoicingTerms(
        account.schedule,
        account.grid,
        account.bill_type,
        earliest,
        calendar.number_of_days_ahead if calendar else None,
    )
