"""The invoicing start date (ISD) of an account: where its grid of periods is anchored, and when that may still move.

It follows the earliest effective date (EED) of what the account bills until an invoice fixes it; a user may set an
earlier one while no invoice stands. After that an older product no longer moves the ISD but opens earlier periods of
the same grid; only a master policy rewrite sets it again. CAL-038 to CAL-042.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from domain.calendar.frequency import Frequency
from domain.calendar.periods import InvoicingGrid
from domain.errors import Problem


class StartAlignment(StrEnum):
    """Parameter `invoicing_start.alignment` (CAL-039)."""

    NONE = "NONE"
    MONTH_START = "MONTH_START"
    WEEK_START = "WEEK_START"


@dataclass(frozen=True, slots=True)
class AlignmentRule:
    """How the ISD is derived from the EED; `weekday` is the ISO weekday of WEEK_START (1 Monday)."""

    alignment: StartAlignment = StartAlignment.NONE
    weekday: int = 1

    def start_for(self, earliest_effective: dt.date, frequency: Frequency) -> dt.date:
        """The aligned EED: MONTH_START acts on PERIOD frequencies, WEEK_START on CYCLE ones (CAL-039)."""
        if self.alignment is StartAlignment.MONTH_START and not frequency.is_cycle:
            return earliest_effective.replace(day=1)
        if self.alignment is StartAlignment.WEEK_START and frequency.is_cycle:
            return earliest_effective - dt.timedelta(days=(earliest_effective.isoweekday() - self.weekday) % 7)
        return earliest_effective


@dataclass(frozen=True, slots=True)
class InvoicingStart:
    """The ISD of an account, and whether a user set it."""

    day: dt.date
    manual: bool = False


def earliest_effective_date(master_policies: Iterable[dt.date], products: Iterable[dt.date]) -> dt.date | None:
    """The EED: the earliest effective date of the active master policies or, without one, of the products (CAL-038).

    `products` are active products and product items; a moved member counts with its transition date. None without any.
    """
    return min(master_policies, default=None) or min(products, default=None)


def derived_start(
    current: InvoicingStart | None, earliest_effective: dt.date, frequency: Frequency, rule: AlignmentRule
) -> InvoicingStart:
    """The ISD at the first product, or derived again; a manual one stays while it is <= EED (CAL-038, CAL-040)."""
    if current is not None and current.manual and current.day <= earliest_effective:
        return current
    return InvoicingStart(rule.start_for(earliest_effective, frequency))


def manual_start_problems(day: dt.date, earliest_effective: dt.date | None, *, invoice_exists: bool) -> list[Problem]:
    """What keeps a user from setting the ISD (CAL-040).

    `invoice_exists`: a non-discarded invoice. INVOICING_START_LOCKED, INVOICING_START_INVALID.
    """
    problems = []
    if invoice_exists:
        problems.append(Problem("INVOICING_START_LOCKED", "An invoice exists that is not discarded", "/date"))
    if earliest_effective is not None and day > earliest_effective:
        problems.append(
            Problem(
                "INVOICING_START_INVALID",
                "Invoicing starts no later than the earliest effective date",
                "/date",
                params={"earliest_effective_date": earliest_effective.isoformat()},
            )
        )
    return problems


@dataclass(frozen=True, slots=True)
class StartAfterProduct:
    """What a further product does: the ISD from then on, the grid, and the first day of the earliest period."""

    start: InvoicingStart
    grid: InvoicingGrid
    earliest: dt.date


def after_product(
    current: InvoicingStart,
    grid: InvoicingGrid,
    earliest: dt.date,
    effective: dt.date,
    *,
    earliest_effective: dt.date,
    ever_invoiced: bool,
    moved_member: bool,
    rule: AlignmentRule,
) -> StartAfterProduct:
    """Take in a product effective on `effective` (CAL-041).

    Before the first period: without any invoice ever issued the ISD is derived again from the EED that includes it.
    Otherwise, and always for a moved member, the ISD stays and earlier periods open up to the one that holds the date.
    """
    if effective >= earliest:
        return StartAfterProduct(current, grid, earliest)
    if not ever_invoiced and not moved_member:
        start = derived_start(current, earliest_effective, grid.frequency, rule)
        if start.day == current.day:
            return StartAfterProduct(start, grid, min(earliest, grid.period_at(effective).start))
        fresh = InvoicingGrid.starting(start.day, grid.frequency, grid.sticky)
        return StartAfterProduct(start, fresh, fresh.period_at(min(effective, start.day)).start)
    return StartAfterProduct(current, grid, grid.period_at(effective).start)


def after_rewrite(
    current: InvoicingStart,
    grid: InvoicingGrid,
    earliest: dt.date,
    earliest_effective: dt.date,
    rule: AlignmentRule,
    *,
    month_end_sticky: bool | None = None,
) -> StartAfterProduct:
    """Set the ISD again from the EED after a master policy rewrite; a manual ISD ends (CAL-042).

    A changed ISD rebuilds the whole grid with the frequency in force and ends former sequences; otherwise it stays.
    `month_end_sticky` goes for a rebuilt grid (CAL-046); None: as the present one.
    """
    start = InvoicingStart(rule.start_for(earliest_effective, grid.frequency))
    if start.day == current.day:
        return StartAfterProduct(start, grid, earliest)
    sticky = grid.sticky if month_end_sticky is None else month_end_sticky
    return StartAfterProduct(start, InvoicingGrid.starting(start.day, grid.frequency, sticky), start.day)
