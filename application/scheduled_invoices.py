"""The invoice of an account that is due for generation: what the invoice generation job asks for, one period a command.

The job takes every active account in turn and asks until nothing of it is due any more; each missed period is caught up
in order (INV-090). What only means "not in this run" (a hold, a process that runs, a period whose invoice a user
discarded) is told with its own code, which the run
counts as skipped (INV-093).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import takewhile
from typing import Annotated, Final

from pydantic import Field

from application.calendars import load_calendars
from application.clock import civil_date
from application.command import Command, Identifier, Outcome, command, handles
from application.invoices import check, issue, open_process
from application.parameters import account_keys, parameters_in_force
from application.settlement import invoicing_terms
from application.unit_of_work import UnitOfWork
from domain.accounts.account import Account, PeriodStatus
from domain.accounts.bill_type import BillType
from domain.calendar.business_calendar import NonWorkingDayMode, processing_date
from domain.calendar.generation import due_for_generation
from domain.calendar.periods import Period
from domain.errors import refuse
from domain.invoices.invoice import GenerationSource
from domain.invoices.target import target_period
from domain.platform.privileges import SYSTEM_PRIVILEGE

_MODE: Final = "job.invoice_generation.non_working_day_mode"
#: 1900 to 2199, a day inside it, so that it is a day of these years in every zone.
_FIRST_INSTANT: Final = int(dt.datetime(1900, 1, 2, tzinfo=dt.UTC).timestamp())
_LAST_INSTANT: Final = int(dt.datetime(2199, 12, 30, tzinfo=dt.UTC).timestamp())


@command(
    privilege=SYSTEM_PRIVILEGE,
    room="05",
    summary="Generate the invoice of an account that is due for generation",
    rules=("INV-090", "INV-093", "CAL-005", "CAL-078"),
    refusals=(
        "BILLING_ACCOUNT_NOT_FOUND",
        "ACCOUNT_NOT_ACTIVE",
        "ACCOUNT_NOT_OPERATIONAL",
        "CAPABILITY_NOT_AVAILABLE",
        "BILLING_ADDRESS_MISSING",
        "HOLD_ACTIVE",
        "PROCESS_CONFLICT",
        "NO_INVOICE_REQUIRED",
    ),
    example={"account": "LB000000018", "run_started": 1739512800},
)
class GenerateScheduledInvoice(Command):
    """Bills the account's target period if its generation date is reached on `run_date`.

    Without `run_date` it is the account's own today at `run_started`, seconds since 1970 in UTC (PLT-051). When nothing
    is to be billed now, the result names the reason as `skipped` and the command has changed nothing.
    """

    account: Identifier
    run_started: Annotated[int, Field(ge=_FIRST_INSTANT, le=_LAST_INSTANT)]
    run_date: dt.date | None = None


@handles(GenerateScheduledInvoice)
def generate_scheduled_invoice(command: GenerateScheduledInvoice, unit: UnitOfWork) -> Outcome:
    account = open_process(unit, command.account, "GENERATION").state
    if account.bill_type in (BillType.SELF_BILL, BillType.FLEXIBILL):
        # Payment requests and FlexiBill have selections of their own (doc 06, INV-195).
        raise refuse("CAPABILITY_NOT_AVAILABLE", f"{account.bill_type} accounts are not taken", entity=account.number)
    started = dt.datetime.fromtimestamp(command.run_started, dt.UTC)
    run_date = command.run_date or civil_date(started, account.time_zone)
    due = list(_due_periods(unit, account, run_date))
    if not due:
        return Outcome({"account": account.number, "skipped": "NOT_DUE"})
    ready = list(takewhile(lambda period: not _awaits_user(account, period), due))
    if not ready:
        return Outcome({"account": account.number, "skipped": "AWAITING_REGENERATION"})
    check(unit, account)
    return issue(unit, account, ready, GenerationSource.AUTOMATED)


def _awaits_user(account: Account, period: Period) -> bool:
    """Whether a user discarded the period's invoice and is to say when it is billed again (INV-093)."""
    record = account.periods.get(period.start)
    return record is not None and record.status is PeriodStatus.DISCARDED and record.by_user


def _due_periods(unit: UnitOfWork, account: Account, run_date: dt.date) -> Iterator[Period]:
    """The account's periods that are due on the run date, earliest first (CAL-078)."""
    terms = invoicing_terms(unit, account)
    if terms is None:
        raise refuse("ACCOUNT_NOT_OPERATIONAL", "the account has no complete schedule", entity=account.number)
    mode = NonWorkingDayMode(str(parameters_in_force(unit, (_MODE,), account_keys(account), run_date)[_MODE]))
    calendar = load_calendars(unit).state.find(account.calendar) if account.calendar else None
    if calendar is None:
        # decision: an account without a calendar knows no non-working days.
        mode = NonWorkingDayMode.NONE
    processed = processing_date(run_date, mode, calendar.days if calendar else None)
    if processed is None:
        return iter(())
    due = due_for_generation(terms, target_period(account), account.settled_starts(), processed)
    return (dates.period for dates in due)
