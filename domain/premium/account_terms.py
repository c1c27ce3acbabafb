"""What of a billing account decides the premium charged on it, and to which of its periods a charge belongs.

An account gives its members' premium a basis, a grid of invoicing periods, perhaps seasonal gaps, and for those whose
modality is not their own, a modality by day. The billing period of a charge is the account's period that bills it: by
first or last day on a group account, by payroll deduction date on an individual one (INV-020 to INV-024).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from domain.accounts.bill_type import AllocationMode, BillType
from domain.calendar.frequency import Frequency
from domain.calendar.periods import InvoicingGrid, Period
from domain.errors import refuse
from domain.premium.modal import BasisFrom, ProrationBasis, basis_on, paymode


class InclusionCriterion(StrEnum):
    """Which day of an item decides its billing period on a TRUE_GROUP account (INV-020)."""

    PERIOD_FROM = "PERIOD_FROM"
    PERIOD_TO = "PERIOD_TO"


class DeductionDates(Protocol):
    """A payroll deduction schedule (CAL-105 to 113), including the dates that a seasonal gap suppresses (CAL-094)."""

    @property
    def start(self) -> dt.date:
        """The payroll deduction start date."""
        ...

    def earliest_in(self, first: dt.date, end: dt.date) -> dt.date | None:
        """The earliest deduction date in [first, end), if there is any."""
        ...


@dataclass(frozen=True, slots=True)
class PayrollSchedule:
    """The deduction dates of one payroll frequency of an INDIVIDUAL account (CAL-016)."""

    frequency: Frequency
    dates: DeductionDates


class ModalityRule(NamedTuple):
    """A modality and the days [first, end) on which the account gives it."""

    modality: Frequency
    first: dt.date
    end: dt.date


@dataclass(frozen=True, slots=True)
class AccountTerms:
    """The terms of one billing account.

    `seasonal_gaps` are months 1-12. `modality_by_day` holds (first day, modality), ascending, the first of which also
    holds before its day; empty on a TRUE_GROUP account it is the invoicing frequency of the day (PRM-073).
    `first_period` is the start of the account's earliest period: earlier days belong to it (INV-021); None: the grid
    goes on backwards. `payroll` holds the schedules of an INDIVIDUAL account, one a payroll frequency.

    `proration_basis` holds before the first of `bases`, and everywhere without any. `billed_bases` are those with which
    invoicing periods, by their first day, were invoiced: what is billed keeps them, whatever was set since.
    """

    account: str
    currency: str
    invoicing: InvoicingGrid
    bill_type: BillType = BillType.LIST_BILL
    allocation_mode: AllocationMode | None = AllocationMode.TRUE_GROUP
    proration_basis: ProrationBasis = ProrationBasis.ANNUAL_365
    inclusion_criterion: InclusionCriterion = InclusionCriterion.PERIOD_FROM
    seasonal_gaps: frozenset[int] = frozenset()
    modality_by_day: tuple[tuple[dt.date, Frequency], ...] = ()
    first_period: dt.date | None = None
    payroll: tuple[PayrollSchedule, ...] = ()
    bases: tuple[BasisFrom, ...] = ()
    billed_bases: Mapping[dt.date, tuple[BasisFrom, ...]] = field(default_factory=dict)
    _modalities: tuple[tuple[dt.date, Frequency], ...] = field(init=False, repr=False, compare=False)
    _constant: ProrationBasis | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rules = self.modality_by_day
        if not rules and self.allocation_mode is AllocationMode.TRUE_GROUP:
            rules = tuple((one.first_day, one.frequency) for one in self.invoicing.sequences)
        object.__setattr__(self, "_modalities", rules)
        constant: ProrationBasis | None = self.proration_basis
        if self.seasonal_gaps:
            constant = ProrationBasis.MODAL_PERIOD_DAYS
        elif self.bases or any(self.billed_bases.values()):
            constant = None
        object.__setattr__(self, "_constant", constant)

    @property
    def constant_basis(self) -> ProrationBasis | None:
        """The basis of all periods, None if it depends on them: a seasonal account always prorates by modal period days
        (PRM-024)."""
        return self._constant

    def basis_of(self, master_policy: str, period_start: dt.date, billing_start: dt.date) -> ProrationBasis:
        """The basis of a modal period that is billed in the invoicing period of this first day.

        decision: by the first day of the modal period, in what was set when the invoicing period was invoiced or, while
        it is not, in what is set now; so a setting prices no invoiced period anew (PRM-024, PLT-110).
        """
        constant = self.constant_basis
        if constant is not None:
            return constant
        bases = self.billed_bases.get(billing_start, self.bases)
        return basis_on(bases, master_policy, period_start, self.proration_basis)

    def paymode(self, modality: Frequency) -> int:
        """Periods a year that are charged on this account (PRM-021, PRM-145)."""
        return paymode(modality, len(self.seasonal_gaps))

    @property
    def modalities(self) -> frozenset[Frequency]:
        """All modalities the account gives its records by day."""
        return frozenset(modality for _, modality in self._modalities)

    def modality_on(self, day: dt.date) -> ModalityRule:
        """The account's modality on the day, for records that have none of their own (PRM-073).

        Refuses MODAL_CALCULATION_BLOCKED where it is not resolvable (PRM-047).
        """
        rules = self._modalities
        if not rules:
            raise refuse(
                "MODAL_CALCULATION_BLOCKED",
                "the modality cannot be resolved: neither the record nor the account gives one",
                entity=self.account,
                day=day.isoformat(),
            )
        index = len(rules) - 1
        while index and day < rules[index][0]:
            index -= 1
        return ModalityRule(
            rules[index][1],
            rules[index][0] if index else dt.date.min,
            rules[index + 1][0] if index + 1 < len(rules) else dt.date.max,
        )

    def billing_period(
        self, covered_from: dt.date, covered_end: dt.date, payroll_frequency: Frequency | None
    ) -> Period:
        """The invoicing period that bills an item covering [covered_from, covered_end) (INV-020 to INV-024)."""
        day = self.reference_date(covered_from, covered_end, payroll_frequency)
        if self.first_period is not None and day < self.first_period:
            day = self.first_period
        return self.invoicing.period_at(day)

    def reference_date(
        self, covered_from: dt.date, covered_end: dt.date, payroll_frequency: Frequency | None
    ) -> dt.date:
        """The day that decides the billing period of an item covering [covered_from, covered_end)."""
        if self.bill_type is BillType.LIST_BILL and self.allocation_mode is AllocationMode.INDIVIDUAL:
            return self._deduction_date(covered_from, covered_end, payroll_frequency)
        by_last_day = self.inclusion_criterion is InclusionCriterion.PERIOD_TO
        if by_last_day and self.bill_type is not BillType.INDIVIDUAL_DIRECT:
            return covered_end - dt.timedelta(days=1)
        return covered_from

    def is_gap(self, period: Period) -> bool:
        """Whether the invoicing period is a seasonal gap: its first day lies in a gap month (CAL-084)."""
        return period.start.month in self.seasonal_gaps

    def _deduction_date(
        self, covered_from: dt.date, covered_end: dt.date, payroll_frequency: Frequency | None
    ) -> dt.date:
        """INV-022, INV-023: the first deduction date in the item's period, else its first day or the payroll start."""
        dates = self._deductions_of(payroll_frequency)
        if dates is None:
            return covered_from
        found = dates.earliest_in(covered_from, covered_end)
        if found is not None:
            return found
        if payroll_frequency is Frequency.SEMI_MONTHLY:
            return covered_from
        return max(covered_from, dates.start)

    def _deductions_of(self, payroll_frequency: Frequency | None) -> DeductionDates | None:
        """The schedule of the payroll frequency; the locked one of a seasonal account serves every one (MEM-088)."""
        for schedule in self.payroll:
            if schedule.frequency is payroll_frequency or self.seasonal_gaps:
                return schedule.dates
        return None
