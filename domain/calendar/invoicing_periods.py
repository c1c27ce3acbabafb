"""The invoicing periods of an account as things with a status: which are billed, which one is billed next.

A period is named by account and first day (CAL-049). What happened to it (an invoice issued, discarded, a period passed
over) is known to other documents and comes in as `PeriodHistory`; the boundaries come from the grid. A fixed period
keeps the boundaries it was billed with, whatever the grid does later (CAL-052).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from domain.accounts.bill_type import BillType
from domain.calendar.periods import InvoicingGrid, Period
from domain.calendar.seasonal import Months, is_gap

_DAY = dt.timedelta(days=1)


class PeriodStatus(StrEnum):
    """CAL-049."""

    PLANNED = "PLANNED"
    OPEN = "OPEN"
    INVOICED = "INVOICED"
    DISCARDED = "DISCARDED"
    GAP = "GAP"


@dataclass(frozen=True, slots=True)
class PeriodHistory:
    """What happened to the periods of an account, by their first day.

    `invoiced`: a non-discarded invoice exists. `ever_invoiced`: an invoice was issued once, discarded since or not.
    `requested`: a non-discarded payment request exists (SELF_BILL). `passed_over`: SKIPPED_ZERO. `opened`: a draft or
    generation has begun.
    """

    invoiced: frozenset[dt.date] = field(default_factory=frozenset)
    ever_invoiced: frozenset[dt.date] = field(default_factory=frozenset)
    requested: frozenset[dt.date] = field(default_factory=frozenset)
    passed_over: frozenset[dt.date] = field(default_factory=frozenset)
    opened: frozenset[dt.date] = field(default_factory=frozenset)

    @property
    def settled(self) -> frozenset[dt.date]:
        """First days of periods that are not to be billed (again) (CAL-050)."""
        return self.invoiced | self.passed_over


def status_of(period: Period, history: PeriodHistory, gaps: Months) -> PeriodStatus:
    """The status of a period. An invoice outweighs a gap: gaps never take back what was billed before they were set."""
    if period.start in history.invoiced:
        return PeriodStatus.INVOICED
    if is_gap(period, gaps):
        return PeriodStatus.GAP
    if period.start in history.ever_invoiced:
        return PeriodStatus.DISCARDED
    return PeriodStatus.OPEN if period.start in history.opened else PeriodStatus.PLANNED


def next_period_to_bill(grid: InvoicingGrid, earliest: dt.date, history: PeriodHistory, gaps: Months = ()) -> Period:
    """The earliest period that is no gap, has no non-discarded invoice and was not passed over (CAL-050).

    `earliest` is the first day of the account's earliest period. A discarded period counts as not billed.
    """
    settled = history.settled
    return next(
        period for period in grid.periods_from(earliest) if period.start not in settled and not is_gap(period, gaps)
    )


def fixed_periods(
    grid: InvoicingGrid, earliest: dt.date, history: PeriodHistory, bill_type: BillType | None
) -> tuple[Period, ...]:
    """The periods whose boundaries no frequency change moves any more (CAL-051), in order.

    Every period of the grid for which an invoice was ever issued, and for SELF_BILL every one with a non-discarded
    payment request. Drafts fix nothing. Periods of a grid that a rewrite has replaced are no longer among them.
    """
    fixed = history.ever_invoiced | history.invoiced
    if bill_type is BillType.SELF_BILL:
        fixed |= history.requested
    if not fixed:
        return ()
    periods = grid.periods_between(min(earliest, *fixed), max(fixed) + _DAY)
    return tuple(period for period in periods if period.start in fixed)


def numbered_periods(grid: InvoicingGrid, earliest: dt.date) -> Iterator[tuple[int, Period]]:
    """The periods with their displayed numbers, from 1 for the account's earliest one, without end (CAL-049)."""
    return enumerate(grid.periods_from(earliest), start=1)
