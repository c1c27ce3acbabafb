"""Which period an invoice is for, and whether one may be generated now (INV-010 to INV-015, INV-030, CAL-050)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from domain.accounts.account import Account, PeriodStatus
from domain.accounts.bill_type import Capability, has_capability
from domain.accounts.holds import HeldActivity, active_holds, hold_active_problem
from domain.accounts.lifecycle import require_operational
from domain.calendar.periods import Period
from domain.calendar.seasonal import is_gap
from domain.errors import Refusal, refuse


def unbilled_periods(account: Account) -> Iterator[Period]:
    """Periods that may be billed next, earliest first, without end: no gap, no live invoice, not skipped (CAL-050)."""
    grid, earliest = account.grid, account.earliest_day
    if grid is None or earliest is None:
        return
    settled = account.settled_starts()
    for period in grid.periods_from(earliest):
        if period.start not in settled and not is_gap(period, account.seasonal_gaps):
            yield period


def target_period(account: Account) -> Period:
    """The next period to bill (INV-010). Refused when the account has no product yet."""
    for period in unbilled_periods(account):
        return period
    raise refuse("ACCOUNT_NOT_OPERATIONAL", "the account has no product to bill yet", entity=account.number)


def check_requested(account: Account, period_start: dt.date | None, eligible: Sequence[Period]) -> None:
    """Refuse a period that a command names and that is not among the eligible ones (INV-011, INV-014, INV-015)."""
    if period_start is None or any(period.start == period_start for period in eligible):
        return
    assert account.grid is not None
    named = account.grid.period_at(period_start)
    if named.start == period_start and is_gap(named, account.seasonal_gaps):
        raise refuse("SEASONAL_GAP", "the period is a seasonal gap", pointer="/period_start")
    record = account.periods.get(period_start)
    if record is not None and record.status is PeriodStatus.INVOICED:
        raise refuse(
            "PERIOD_ALREADY_INVOICED", "the period has a live invoice", entity=account.number, invoice=record.invoice
        )
    raise not_next(eligible[0])


def not_next(target: Period) -> Refusal:
    """The refusal of a named period while another one is to be billed first (INV-014)."""
    return refuse(
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
