"""What a premium calculation needs to know of accounts, gathered from their streams and parameters."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from application.parameters import account_keys, parameters_in_force
from application.unit_of_work import UnitOfWork
from domain.accounts.account import ACCOUNT, Account
from domain.accounts.bill_type import AllocationMode, BillType
from domain.calendar.frequency import Frequency
from domain.calendar.payroll import PAYROLL_FREQUENCIES
from domain.calendar.payroll_calendars import PAYROLL_CALENDARS, PayrollCalendars
from domain.errors import refuse
from domain.premium.account_terms import AccountTerms, InclusionCriterion, PayrollSchedule
from domain.premium.modal import ProrationBasis

_PRICING = ("premium.proration_basis", "invoicing.inclusion_criterion")


@dataclass(frozen=True, slots=True)
class ConfirmedDates:
    """The confirmed deduction dates of one payroll frequency (CAL-112)."""

    start: dt.date
    dates: tuple[dt.date, ...]

    def earliest_in(self, first: dt.date, end: dt.date) -> dt.date | None:
        """The earliest deduction date in [first, end), if there is any."""
        place = bisect_left(self.dates, first)
        return self.dates[place] if place < len(self.dates) and self.dates[place] < end else None


def account_terms(unit: UnitOfWork, account: Account) -> AccountTerms:
    """The terms by which premium is charged on the account. `ACCOUNT_NOT_OPERATIONAL` before its first product."""
    if account.grid is None or account.bill_type is None:
        raise refuse("ACCOUNT_NOT_OPERATIONAL", "the account has no product yet", entity=account.number)
    values = parameters_in_force(unit, _PRICING, account_keys(account), unit.today(account.time_zone))
    return AccountTerms(
        account=account.number,
        currency=account.currency,
        invoicing=account.grid,
        bill_type=account.bill_type,
        allocation_mode=account.allocation_mode,
        proration_basis=ProrationBasis(str(values["premium.proration_basis"])),
        inclusion_criterion=InclusionCriterion(str(values["invoicing.inclusion_criterion"])),
        seasonal_gaps=frozenset(account.seasonal_gaps),
        first_period=account.earliest_day,
        payroll=_payroll(unit, account),
    )


def terms_of_accounts(unit: UnitOfWork, numbers: Iterable[str]) -> dict[str, AccountTerms]:
    """The terms of several accounts; those that cannot bill yet are left out."""
    loaded = unit.load_many(ACCOUNT, numbers)
    return {
        number: account_terms(unit, one.state)
        for number, one in loaded.items()
        if one.state.grid is not None and one.state.bill_type is not None
    }


def _payroll(unit: UnitOfWork, account: Account) -> tuple[PayrollSchedule, ...]:
    individual = account.bill_type is BillType.LIST_BILL and account.allocation_mode is AllocationMode.INDIVIDUAL
    if not individual:
        return ()
    calendars = unit.load(PAYROLL_CALENDARS, account.number).state
    return tuple(schedule for one in PAYROLL_FREQUENCIES if (schedule := _schedule(calendars, one)) is not None)


def _schedule(calendars: PayrollCalendars, frequency: Frequency) -> PayrollSchedule | None:
    version = calendars.confirmed_version(frequency)
    if version is None:
        return None
    return PayrollSchedule(frequency, ConfirmedDates(version.pattern.start_date, version.dates))
