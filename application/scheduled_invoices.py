"""The invoice of an account that is due for generation: what the invoice generation job asks for, one period a command.

The job takes every active account in turn and asks until nothing of it is due any more; each missed period is caught up
in order (INV-090). What only means "not in this run" (a hold, a process that runs, a period whose invoice a user
discarded) is told with its own code, which the run counts as skipped (INV-093).

A generation that fails changes nothing but what a second command then records of it: that it failed, and when it is
tried again, or the task that waits for a user when it was tried often enough (INV-043, CAL-079). What is to come stands
in the account's own stream, so that it holds whatever process dies meanwhile.
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
from application.invoices import check, failed_generation, issue, open_process
from application.parameters import account_keys, parameters_in_force
from application.register import Directory
from application.settlement import invoicing_terms
from application.tasks import on_completion, raise_task
from application.unit_of_work import UnitOfWork
from domain.accounts.account import (
    ACCOUNT,
    Account,
    GenerationFailure,
    InvoiceGenerationResumed,
    PeriodStatus,
)
from domain.accounts.bill_type import BillType
from domain.calendar.business_calendar import NonWorkingDayMode, processing_date
from domain.calendar.generation import due_for_generation, next_attempt
from domain.calendar.periods import Period
from domain.errors import refuse
from domain.invoices.invoice import GenerationSource, InvoiceGenerationFailed
from domain.invoices.target import target_period, unbilled_periods
from domain.platform.privileges import SYSTEM_PRIVILEGE
from domain.platform.tasks import Task, TaskType

_MODE: Final = "job.invoice_generation.non_working_day_mode"
#: 1900 to 2199, a day inside it, so that it is a day of these years in every zone.
_FIRST_INSTANT: Final = int(dt.datetime(1900, 1, 2, tzinfo=dt.UTC).timestamp())
_LAST_INSTANT: Final = int(dt.datetime(2199, 12, 30, tzinfo=dt.UTC).timestamp())
#: When a run was started, seconds since 1970 in UTC: every account's own day of the run follows from it (PLT-051).
RunStarted = Annotated[int, Field(ge=_FIRST_INSTANT, le=_LAST_INSTANT)]


@command(
    privilege=SYSTEM_PRIVILEGE,
    room="05",
    summary="Generate the invoice of an account that is due for generation",
    rules=("INV-090", "INV-093", "CAL-005", "CAL-078", "CAL-079"),
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
    is to be billed now, the result names the reason as `skipped` and the command has changed nothing. `named`: a user
    asked for this very account, so that an earlier failure does not stand in the way.
    """

    account: Identifier
    run_started: RunStarted
    run_date: dt.date | None = None
    named: bool = False


@command(
    privilege=SYSTEM_PRIVILEGE,
    room="05",
    summary="Record that the invoice of an account could not be generated",
    rules=("INV-043", "INV-094", "CAL-079"),
    refusals=("BILLING_ACCOUNT_NOT_FOUND",),
    example={
        "account": "LB000000018",
        "run_started": 1739512800,
        "code": "BILLING_ADDRESS_MISSING",
        "detail": "the effective payor has no active address",
    },
)
class RecordGenerationFailure(Command):
    """What the job sends after a generation of its failed: the cause, as code and text.

    decision: a user whose own command is refused has the answer; only what nobody waits for is recorded and retried.
    The result names when it is tried again, or the task that waits for a user.
    """

    account: Identifier
    run_started: RunStarted
    run_date: dt.date | None = None
    named: bool = False
    code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")]
    detail: Annotated[str, Field(max_length=500)] = ""


@handles(GenerateScheduledInvoice)
def generate_scheduled_invoice(command: GenerateScheduledInvoice, unit: UnitOfWork) -> Outcome:
    account = open_process(unit, command.account, "GENERATION").state
    if account.bill_type in (BillType.SELF_BILL, BillType.FLEXIBILL):
        # Payment requests and FlexiBill have selections of their own (doc 06, INV-195).
        raise refuse("CAPABILITY_NOT_AVAILABLE", f"{account.bill_type} accounts are not taken", entity=account.number)
    failure = account.generation_failure
    run_date = _run_date(command, account, failure)
    due = list(_due_periods(unit, account, run_date))
    if not due:
        return Outcome({"account": account.number, "skipped": "NOT_DUE"})
    # decision: a user acts by finishing the task, by generating by hand, or by running the job for the account by name.
    if failure is not None and not command.named:
        if failure.retry_at is None:
            return Outcome({"account": account.number, "skipped": "EXCEPTION_TASK", "task": failure.task})
        if failure.retry_at > unit.now:
            return Outcome({"account": account.number, "skipped": "RETRY_PENDING"})
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
    processed = processed_on(unit, account, run_date)
    if processed is None:
        return iter(())
    due = due_for_generation(terms, target_period(account), account.settled_starts(), processed)
    return (dates.period for dates in due)


def processed_on(unit: UnitOfWork, account: Account, run_date: dt.date) -> dt.date | None:
    """The day a run on `run_date` works up to for the account; None: not in this run (CAL-005)."""
    mode = NonWorkingDayMode(str(parameters_in_force(unit, (_MODE,), account_keys(account), run_date)[_MODE]))
    calendar = load_calendars(unit).state.find(account.calendar) if account.calendar else None
    if calendar is None:
        # decision: an account without a calendar knows no non-working days.
        mode = NonWorkingDayMode.NONE
    return processing_date(run_date, mode, calendar.days if calendar else None)


def _run_date(
    command: GenerateScheduledInvoice | RecordGenerationFailure, account: Account, failure: GenerationFailure | None
) -> dt.date:
    """The day the run works up to: a retry never works up to an earlier one than the run that failed."""
    started = dt.datetime.fromtimestamp(command.run_started, dt.UTC)
    own = command.run_date or civil_date(started, account.time_zone)
    return own if failure is None else max(own, failure.run_date)


@handles(RecordGenerationFailure)
def record_generation_failure(command: RecordGenerationFailure, unit: UnitOfWork) -> Outcome:
    number = unit.port(Directory).resolve_account(command.account)
    if number is None:
        raise refuse("BILLING_ACCOUNT_NOT_FOUND", "there is no such account", pointer="/account")
    unit.lock(f"account:{number}")
    account = unit.load(ACCOUNT, number).state
    period = next(unbilled_periods(account), None)
    if not account.active or account.schedule is None or period is None:
        # What failed is not to be billed any more; there is nothing to try again.
        return Outcome({"account": number, "skipped": "NOT_DUE"})
    before = account.generation_failure
    same = before is not None and before.period_start == period.start
    failures = before.failures + 1 if before is not None and same else 1
    retry_at = next_attempt(account.schedule, unit.now, failures)
    task = _exception_task(unit, account, period, command, failures) if retry_at is None else None
    failed = InvoiceGenerationFailed(
        account=number,
        period_start=period.start,
        period_end=period.end,
        code=command.code,
        detail=command.detail,
        source=GenerationSource.AUTOMATED,
        run_date=_run_date(command, account, before if same else None),
        failures=failures,
        failed_at=unit.now,
        retry_at=retry_at,
        task=task,
    )
    unit.append(ACCOUNT, number, [failed])
    return Outcome(
        {
            "account": number,
            "period_start": period.start.isoformat(),
            "failures": failures,
            "retry_at": None if retry_at is None else retry_at.isoformat(),
            "task": task,
        }
    )


def _exception_task(
    unit: UnitOfWork, account: Account, period: Period, command: RecordGenerationFailure, failures: int
) -> str:
    """The task that names account, period and reason (CAL-079)."""
    last = period.end - dt.timedelta(days=1)
    return raise_task(
        unit,
        TaskType.GENERATION_FAILED,
        cause=failed_generation(account.number),
        subject=account.number,
        account=account.number,
        code=command.code,
        reason=f"The invoice of {period.start} to {last} could not be generated: {command.detail or command.code}",
        links={
            "account": account.number,
            "period_start": period.start.isoformat(),
            "period_end": last.isoformat(),
            "failures": str(failures),
        },
    )


@on_completion(TaskType.GENERATION_FAILED)
def resume_generation(unit: UnitOfWork, task: Task) -> None:
    """The job may try again: a user has acted (CAL-079)."""
    unit.lock(f"account:{task.account}")
    failure = unit.load(ACCOUNT, task.account).state.generation_failure
    if failure is not None and failure.task == task.number:
        resumed = InvoiceGenerationResumed(number=task.account, period_start=failure.period_start, task=task.number)
        unit.append(ACCOUNT, task.account, [resumed])
