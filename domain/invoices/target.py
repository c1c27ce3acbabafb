"""Which period an invoice is for, and whether one may be generated now (INV-010 to INV-015, INV-030, CAL-050)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from domain.accounts.account import Account, PeriodStatus
from domain.accounts.bill_type import Capability, has_capability
from domain.accounts.holds import HeldActivity, active_holds, hold_active_problem
from domain.accounts.lifecycle import require_operational
from domain.calendar.periods import Period
from domain.errors import InvariantError, Refusal, refuse


def is_gap(account: Account, period: Period) -> bool:
    """A period is a seasonal gap when its first day lies in a gap month (CAL-084)."""
    return period.start.month in account.seasonal_gaps


def first_period(account: Account) -> Period:
    """The earliest period of the account: the ISD's, or an earlier one opened by an added product (CAL-041)."""
    grid, start = account.grid, account.invoicing_start
    if grid is None or start is None:
        raise InvariantError("the account has no invoicing start date")
    earliest = account.earliest_effective_date
    if account.periods and earliest is not None and earliest < start:
        return grid.period_at(earliest)
    return grid.period_at(start)


def unbilled_periods(account: Account) -> Iterator[Period]:
    """Periods that may be billed next, earliest first, without end: no gap, no live invoice, not skipped (CAL-050)."""
    grid = account.grid
    if grid is None:
        return
    for period in grid.periods_from(first_period(account).start):
        record = account.periods.get(period.start)
        settled = record is not None and record.status in (PeriodStatus.INVOICED, PeriodStatus.SKIPPED_ZERO)
        if not settled and not is_gap(account, period):
            yield period


def target_period(account: Account) -> Period:
    """The next period to bill (INV-010). Refused when the account has no product yet."""
    for period in unbilled_periods(account):
        return period
    raise refuse("ACCOUNT_NOT_OPERATIONAL", "the account has no product to bill yet", entity=account.number)


def requested_period(account: Account, period_start: dt.date | None) -> Period:
    """The target period; a command that names another one is refused (INV-011, INV-014, INV-015)."""
    target = target_period(account)
    if period_start is None or period_start == target.start:
        return target
    assert account.grid is not None
    named = account.grid.period_at(period_start)
    if named.start == period_start and is_gap(account, named):
        raise refuse("SEASONAL_GAP", "the period is a seasonal gap", pointer="/period_start")
    record = account.periods.get(period_start)
    if record is not None and record.status is PeriodStatus.INVOICED:
        raise refuse(
            "PERIOD_ALREADY_INVOICED", "the period has a live invoice", entity=account.number, invoice=record.invoice
        )
    raise refuse(
        "PERIOD_NOT_ELIGIBLE",
        "the named period is not the next one to bill",
        pointer="/period_start",
        target=target.start.isoformat(),
    )


def check_invoicing(account: Account, today: dt.date, has_address: bool) -> None:
    """Conditions of generation, draft and regeneration that the account itself decides (INV-030, ACC-055)."""
    require_operational(account)
    if not has_capability(account.bill_type, account.allocation_mode, Capability.INVOICE_ON_REQUEST):
        raise refuse("CAPABILITY_NOT_AVAILABLE", f"{account.bill_type} accounts are not invoiced on request")
    if not has_address:
        raise refuse("BILLING_ADDRESS_MISSING", "the effective payor has no active address", entity=account.number)
    held = active_holds(account.holds, HeldActivity.INVOICING, today)
    if held:
        raise Refusal(hold_active_problem(held))
