"""Payroll deduction calendars of accounts that bill members by their own payroll (CAL-100 to CAL-119)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from application.accounts import load_account
from application.command import Command, Identifier, Outcome, command, handles
from application.parameters import account_keys, parameters_in_force
from application.unit_of_work import Loaded, UnitOfWork
from domain.accounts.account import Account
from domain.accounts.bill_type import AllocationMode
from domain.accounts.setup import SETUP, SetupType
from domain.calendar.frequency import Frequency
from domain.calendar.payroll import horizon_end
from domain.calendar.payroll_calendars import (
    PAYROLL_CALENDARS,
    PayrollCalendar,
    PayrollCalendars,
    PayrollFacts,
    change,
    confirm,
    define,
    extend_horizon,
    lock_for_season,
    shift_deduction_starts,
    unlock_after_season,
)
from domain.errors import Problem
from domain.platform.privileges import SYSTEM_PRIVILEGE

_CODES = (
    "BILLING_ACCOUNT_NOT_FOUND",
    "PAYROLL_CALENDAR_DUPLICATE",
    "PAYROLL_CALENDAR_INCOMPLETE",
    "PAYROLL_DAY_INVALID",
    "PAYROLL_FREQUENCY_MISMATCH",
    "PAYROLL_CALENDAR_LOCKED",
)
_EXAMPLE = {
    "account": "LB000000018",
    "payroll_frequency": "SEMI_MONTHLY",
    "start_date": "2025-01-15",
    "payroll_days": [15, 31],
}


class PayrollPatternMembers(Command):
    """A pattern of deduction dates; days are those of the month, 31 for the last one."""

    account: Identifier
    payroll_frequency: Frequency | None = None
    start_date: dt.date | None = None
    payroll_days: Annotated[tuple[int, ...], Field(max_length=10)] | None = None


@command(
    privilege="payroll_calendar.manage",
    room="02",
    summary="Define a payroll calendar as a draft, with its deduction dates for review",
    rules=("CAL-100", "CAL-110", "CAL-111", "CAL-112"),
    refusals=_CODES,
    example=_EXAMPLE,
)
class DefinePayrollCalendar(PayrollPatternMembers):
    """One calendar a frequency; nothing is billed by it before it is confirmed."""


@command(
    privilege="payroll_calendar.manage",
    room="02",
    summary="Give a payroll calendar a new version, as a draft",
    rules=("CAL-112", "CAL-113"),
    refusals=("ENTITY_NOT_FOUND", *_CODES),
    example={**_EXAMPLE, "serving": "SEMI_MONTHLY", "payroll_days": [10, 25], "start_date": "2025-02-10"},
)
class ChangePayrollCalendar(PayrollPatternMembers):
    """`serving` is the frequency the calendar serves now; deduction dates already invoiced stay.

    Left out, it is the calendar of the new frequency, or the only one of the account.
    """

    serving: Frequency | None = None


@command(
    privilege="payroll_calendar.manage",
    room="02",
    summary="Put a draft payroll calendar in force",
    rules=("CAL-112", "CAL-113"),
    refusals=(
        "BILLING_ACCOUNT_NOT_FOUND",
        "ENTITY_NOT_FOUND",
        "PAYROLL_CALENDAR_INCOMPLETE",
        "PAYROLL_CALENDAR_LOCKED",
        "STATE_INVALID",
    ),
    example={"account": "LB000000018", "payroll_frequency": "SEMI_MONTHLY"},
)
class ConfirmPayrollCalendar(Command):
    """The draft that serves the frequency."""

    account: Identifier
    payroll_frequency: Frequency


@command(
    privilege=SYSTEM_PRIVILEGE,
    room="02",
    summary="Work out the deduction dates of an account up to the horizon of today",
    rules=("CAL-111",),
    refusals=("BILLING_ACCOUNT_NOT_FOUND",),
    example={"account": "LB000000018"},
)
class ExtendPayrollCalendars(Command):
    """What the daily job does for an account; a second time on the same day adds nothing."""

    account: Identifier


@handles(ExtendPayrollCalendars)
def extend_payroll_calendars(command: ExtendPayrollCalendars, unit: UnitOfWork) -> Outcome:
    account, calendars = _load(unit, command.account)
    events = extend_horizon(calendars.state, account.identifier, payroll_facts(unit, account.state).horizon)
    if not events:
        return Outcome({"account": account.identifier, "added": 0, "skipped": "UNCHANGED"})
    unit.append(PAYROLL_CALENDARS, account.identifier, events)
    return Outcome({"account": account.identifier, "added": sum(len(one.added) for one in events)})


@handles(DefinePayrollCalendar)
def define_payroll_calendar(command: DefinePayrollCalendar, unit: UnitOfWork) -> Outcome:
    account, calendars = _load(unit, command.account)
    events = define(
        calendars.state,
        payroll_facts(unit, account.state),
        command.payroll_frequency,
        command.start_date,
        command.payroll_days,
    )
    return _told(unit.append(PAYROLL_CALENDARS, account.identifier, events), account.identifier)


@handles(ChangePayrollCalendar)
def change_payroll_calendar(command: ChangePayrollCalendar, unit: UnitOfWork) -> Outcome:
    account, calendars = _load(unit, command.account)
    events = change(
        calendars.state,
        payroll_facts(unit, account.state),
        command.serving,
        command.payroll_frequency,
        command.start_date,
        command.payroll_days,
    )
    return _told(unit.append(PAYROLL_CALENDARS, account.identifier, events), account.identifier)


@handles(ConfirmPayrollCalendar)
def confirm_payroll_calendar(command: ConfirmPayrollCalendar, unit: UnitOfWork) -> Outcome:
    account, calendars = _load(unit, command.account)
    events = confirm(calendars.state, payroll_facts(unit, account.state), command.payroll_frequency)
    return _told(unit.append(PAYROLL_CALENDARS, account.identifier, events), account.identifier)


def payroll_facts(unit: UnitOfWork, account: Account) -> PayrollFacts:
    """What payroll decisions need to know: how far dates are worked out, and up to where they are invoiced."""
    today = unit.today(account.time_zone)
    names = ("payroll.horizon_months",)
    values = parameters_in_force(unit, names, account_keys(account), today)
    live = account.live_periods()
    return PayrollFacts(
        account=account.number,
        horizon=horizon_end(today, int(str(values[names[0]]))),
        invoiced_to=max(record.end for record in live) - dt.timedelta(days=1) if live else None,
        tied_to=_tied_to(unit, account),
    )


def shift_with_rewrite(unit: UnitOfWork, account: Account, old: dt.date, new: dt.date) -> tuple[Problem, ...]:
    """Let the deduction dates follow the earliest effective date after a rewrite and its discards (CAL-115 to 119).

    Answers the warnings; accounts that do not bill members individually have none.
    """
    assert account.invoicing_start is not None
    shifted = shift_deduction_starts(
        unit.load(PAYROLL_CALENDARS, account.number).state,
        payroll_facts(unit, account),
        allocation_mode=account.allocation_mode,
        old_effective=old,
        new_effective=new,
        invoicing_start=account.invoicing_start,
    )
    if shifted.events:
        unit.append(PAYROLL_CALENDARS, account.number, shifted.events)
    return shifted.warnings


def follow_season(unit: UnitOfWork, account: Account) -> None:
    """The locked monthly calendar of an INDIVIDUAL account with gaps, unlocked once it has none (CAL-093)."""
    effective = account.earliest_effective_date
    if account.allocation_mode is not AllocationMode.INDIVIDUAL or effective is None:
        return
    calendars = unit.load(PAYROLL_CALENDARS, account.number).state
    events: Sequence[object]
    if account.seasonal_gaps:
        events = lock_for_season(calendars, payroll_facts(unit, account), effective)
    else:
        events = unlock_after_season(calendars, account.number)
    if events:
        unit.append(PAYROLL_CALENDARS, account.number, events)


def _tied_to(unit: UnitOfWork, account: Account) -> Frequency | None:
    """The payroll frequency under which the account's set-up uses it, if it is set up by payroll frequency."""
    setups = unit.load_many(SETUP, account.setups)
    frequencies = {
        entry.key.payroll_frequency
        for setup in setups.values()
        if setup.state.setup_type is SetupType.PER_PAYROLL_FREQUENCY
        for entry in setup.state.entries
        if entry.counts and entry.account == account.number and entry.key.payroll_frequency is not None
    }
    return frequencies.pop() if len(frequencies) == 1 else None


def _load(unit: UnitOfWork, number: str) -> tuple[Loaded[Account], Loaded[PayrollCalendars]]:
    account = load_account(unit, number)
    calendars = unit.load(PAYROLL_CALENDARS, account.identifier)
    unit.expect_main(PAYROLL_CALENDARS, calendars)
    return account, calendars


def _dates(calendar: PayrollCalendar) -> tuple[dt.date, ...]:
    latest = calendar.draft or calendar.confirmed
    return () if latest is None else latest.dates


def _told(calendars: Loaded[PayrollCalendars], account: str) -> Outcome:
    return Outcome(
        {
            "account": account,
            "calendars": [
                {
                    "number": one.number,
                    "status": one.status.value,
                    "payroll_frequencies": sorted(frequency.value for frequency in one.frequencies),
                    "dates": [day.isoformat() for day in _dates(one)[:60]],
                }
                for one in calendars.state.active
            ],
        }
    )
