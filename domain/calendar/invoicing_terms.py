"""What the dates of an account's periods are computed from: the schedule version in force on the account's grid."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from domain.accounts.bill_type import BillType
from domain.calendar.frequency import Frequency
from domain.calendar.periods import InvoicingGrid
from domain.calendar.schedule import Schedule


@dataclass(frozen=True, slots=True)
class InvoicingTerms:
    """A complete schedule, the grid with the schedule's frequency, and what else dates depend on.

    `earliest` is the first day of the account's earliest period: the ISD, or that of an earlier period opened by the
    backward extension (CAL-041). `lead_time_days` is the lead-time rule of the account's calendar, None without one.
    """

    schedule: Schedule
    grid: InvoicingGrid
    bill_type: BillType | None
    earliest: dt.date
    lead_time_days: int | None = None

    @property
    def frequency(self) -> Frequency:
        """The frequency in force."""
        if self.schedule.frequency is None:
            raise ValueError("an incomplete schedule has no dates")
        return self.schedule.frequency

    @property
    def flexibill(self) -> bool:
        """Whether the account bills FlexiBill."""
        return self.bill_type is BillType.FLEXIBILL
