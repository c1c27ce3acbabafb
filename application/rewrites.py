"""What a master policy rewrite does to the accounts of the policy before its members follow (PRM-152, step 2).

The invoicing start is set again from the earliest effective date, invoices that no longer fit it are discarded, newest
first, and the deduction dates of accounts that bill members individually move with it. What remains invoiced is
compared with the rewritten premium afterwards, like after every other transaction.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from application.invoices import discard, failed_discard
from application.invoicing_start import start_terms
from application.payroll import shift_with_rewrite
from application.settlement import tell_next_due_date
from application.tasks import raise_task
from application.unit_of_work import UnitOfWork
from domain.accounts.account import (
    ACCOUNT,
    Account,
    EarliestEffectiveDateChanged,
    InvoicingStartDateReset,
    PeriodRecord,
)
from domain.calendar.invoicing_start import InvoicingStart, StartAfterProduct, after_rewrite
from domain.errors import Refusal
from domain.invoices.invoice import INVOICE, GenerationSource, Invoice, check_discardable
from domain.platform.tasks import TaskType
from domain.products.master_policy import MASTER_POLICY, MasterPolicy

#: Why invoices of a rewritten policy are discarded (INV-131).
REWRITE = "REWRITE"


def restart_invoicing(unit: UnitOfWork, policy: MasterPolicy, accounts: Sequence[str]) -> list[dict[str, object]]:
    """Start the accounts of a rewritten policy anew; `policy` has its new effective date already.

    What was done on each account: its invoicing start, the invoices discarded and those that may not be (INV-130,
    INV-131). Accounts whose earliest effective date stays are untouched.
    """
    unit.lock(*(f"account:{number}" for number in accounts))
    done: list[dict[str, object]] = []
    for number in sorted(accounts):
        account: Account = unit.load(ACCOUNT, number).state
        old, new = account.earliest_effective_date, _earliest_effective(unit, account)
        if old is None or new == old or account.grid is None or account.invoicing_start is None:
            continue
        current = InvoicingStart(account.invoicing_start, account.invoicing_start_manual)
        terms = start_terms(unit, account)
        start = after_rewrite(
            current,
            account.grid,
            account.earliest_day or account.invoicing_start,
            new,
            terms.rule,
            month_end_sticky=terms.month_end_sticky,
        )
        outdated = [one for one in account.live_periods() if _is_outdated(one, current.day, start)]
        discarded, failed = _discard(unit, number, [one.invoice for one in outdated if one.invoice is not None])
        events: list[object] = [EarliestEffectiveDateChanged(number=number, date=new)]
        if start.start.day != current.day:
            events.append(
                InvoicingStartDateReset(
                    number=number,
                    old=current.day,
                    date=start.start.day,
                    frequency=account.frequency,
                    month_end_sticky=start.grid.sticky,
                )
            )
        after = unit.append(ACCOUNT, number, events).state
        tell_next_due_date(unit, number)
        warnings = shift_with_rewrite(unit, after, old, new)
        done.append(
            {
                "account": number,
                "invoicing_start": start.start.day.isoformat(),
                "discarded": discarded,
                "not_discarded": failed,
                "warnings": [problem.code for problem in warnings],
            }
        )
    return done


def _earliest_effective(unit: UnitOfWork, account: Account) -> dt.date:
    """The earliest effective date of the policies billed to the account (CAL-038)."""
    policies = unit.load_many(MASTER_POLICY, account.master_policies)
    return min(loaded.state.effective_date for loaded in policies.values())


def _is_outdated(period: PeriodRecord, old: dt.date, start: StartAfterProduct) -> bool:
    """Whether an invoiced period does not fit the new invoicing start (INV-130)."""
    new = start.start.day
    if new == old:
        return False
    if new < old or period.start < new:
        return True
    return start.grid.period_at(period.start).start != period.start


def _discard(unit: UnitOfWork, account: str, oldest_first: list[str]) -> tuple[list[str], list[str]]:
    """Discard newest first; one that may not be discarded stays and the rest goes on (INV-131)."""
    discarded, failed = [], []
    for number in reversed(oldest_first):
        invoice = unit.load(INVOICE, number).state
        try:
            check_discardable(invoice, REWRITE, None)
        except Refusal as refusal:
            failed.append(number)
            _ask_somebody(unit, invoice, refusal)
            continue
        discard(unit, unit.load(ACCOUNT, account).state, invoice, REWRITE, GenerationSource.AUTOMATED)
        unit.flush()
        discarded.append(number)
    return discarded, failed


def _ask_somebody(unit: UnitOfWork, invoice: Invoice, refusal: Refusal) -> None:
    """The invoice stays although its policy was rewritten; a user is to see to it (INV-131)."""
    raise_task(
        unit,
        TaskType.REWRITE_DISCARD_FAILED,
        cause=failed_discard(invoice.number),
        subject=invoice.number,
        account=invoice.account,
        code=refusal.code,
        reason=f"The policy was rewritten, but the invoice could not be discarded: {refusal.problems[0].message}",
        links={"invoice": invoice.number, "account": invoice.account, "period_start": invoice.period_start.isoformat()},
    )
