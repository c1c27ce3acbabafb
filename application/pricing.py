"""What a premium calculation needs to know of accounts, gathered from their streams and parameters."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from application.parameters import account_keys, values_by_day
from application.unit_of_work import UnitOfWork
from domain.accounts.account import ACCOUNT, Account
from domain.accounts.bill_type import AllocationMode, BillType
from domain.calendar.frequency import Frequency
from domain.calendar.payroll import PAYROLL_FREQUENCIES
from domain.calendar.payroll_calendars import PAYROLL_CALENDARS, PayrollCalendars
from domain.errors import refuse
from domain.platform.parameters import Value
from domain.premium.account_terms import AccountTerms, InclusionCriterion, PayrollSchedule
from domain.premium.modal import BasisFrom, ProrationBasis
from domain.products.master_policy import MASTER_POLICY

_BASIS = "premium.proration_basis"
_CRITERION = "invoicing.inclusion_criterion"


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
    criterion, bases = _parameters(unit, account)
    return AccountTerms(
        account=account.number,
        currency=account.currency,
        invoicing=account.grid,
        bill_type=account.bill_type,
        allocation_mode=account.allocation_mode,
        inclusion_criterion=criterion,
        seasonal_gaps=frozenset(account.seasonal_gaps),
        first_period=account.earliest_day,
        payroll=_payroll(unit, account),
        bases=bases,
        billed_bases=account.billed_bases(),
    )


def _parameters(unit: UnitOfWork, account: Account) -> tuple[InclusionCriterion, tuple[BasisFrom, ...]]:
    """What the parameters say of today's inclusion criterion, and of proration: the bases that go for all policies of
    the account, and those of single policies whose product has others (PRM-024)."""
    policies = unit.load_many(MASTER_POLICY, account.master_policies)
    products = sorted({one.state.product for one in policies.values()})
    keys = account_keys(account)
    criteria, general, *own = values_by_day(
        unit, [(_CRITERION, keys), (_BASIS, keys), *((_BASIS, {**keys, "product": product}) for product in products)]
    )
    today = unit.today(account.time_zone)
    shipped, for_all = general[0], _from_now_on(general, today)
    of_product = {product: _from_now_on(changes, today) for product, changes in zip(products, own, strict=True)}
    bases = [BasisFrom(None, day, ProrationBasis(str(value))) for day, value in for_all if (day, value) != shipped]
    for number in sorted(policies):
        changes = of_product[policies[number].state.product]
        if changes != for_all:
            bases += [BasisFrom(number, day, ProrationBasis(str(value))) for day, value in changes]
    criterion = [value for day, value in criteria if day <= today][-1]
    return InclusionCriterion(str(criterion)), tuple(bases)


def _from_now_on(changes: Sequence[tuple[dt.date, Value]], today: dt.date) -> list[tuple[dt.date, Value]]:
    """What is in force today goes for every period that is not invoiced, earlier ones too: a command goes by what
    is in force then (PLT-110). What is set for a later day goes for the periods from that day on."""
    in_force = [value for day, value in changes if day <= today][-1]
    return [(dt.date.min, in_force), *((day, value) for day, value in changes if day > today)]


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
