"""The next payment due date of an account: what the payor looks at to know when money is expected.

It is derived, never advanced: from the open invoices or, without one, from the next period to bill. It is derived again
on the first product issue, an invoice or payment request created or discarded, an invoice status change, a change of
the invoicing start date and a change of the schedule (CAL-082); a caller that sees another value says so.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from domain.calendar.due_dates import computed_due_date
from domain.calendar.invoicing_terms import InvoicingTerms
from domain.calendar.periods import Period


@dataclass(frozen=True, slots=True)
class OpenInvoice:
    """A non-discarded invoice: its final due date and its collectible due, in minor units."""

    due_date: dt.date
    collectible_due: int


def next_payment_due_date(
    invoices: Iterable[OpenInvoice],
    terms: InvoicingTerms | None,
    next_to_bill: Period | None,
    requested_due: dt.date | None = None,
) -> dt.date | None:
    """The earliest due date with something collectible, else the due date of the next period to bill (CAL-081).

    `terms` and `next_to_bill` are None before the first product is issued, and so is the answer. `requested_due` is the
    due date stored on the payment request of the next period to bill, where a SELF_BILL account has one.
    """
    if terms is None or next_to_bill is None:
        return None
    earliest = min((invoice.due_date for invoice in invoices if invoice.collectible_due > 0), default=None)
    return earliest or requested_due or computed_due_date(terms, next_to_bill)
