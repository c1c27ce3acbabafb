"""The billing account: who is billed, in which currency, by which schedule, and which periods have been invoiced.

The account's stream is also the guard against invoicing a period twice: every issue, discard and skip of a period is an
event here, so of two racing generations one finds the stream moved (INV-011). The invoicing grid follows from the
invoicing start date and the frequency changes alone (CAL-043 to CAL-055); which period is next follows from the grid
and the period events (CAL-050, INV-010).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from domain.accounts.bill_type import AllocationMode, BillType
from domain.accounts.holds import Hold, HoldType
from domain.accounts.numbering import NumberClass
from domain.aggregate import Aggregate
from domain.calendar.frequency import Frequency
from domain.calendar.periods import InvoicingGrid, Period
from domain.calendar.schedule import Schedule
from domain.events import event
from domain.invoices.invoice import InvoiceGenerationFailed
from domain.premium.modal import BasisFrom


class Channel(StrEnum):
    """How an account came to be (ACC-015)."""

    MANUAL = "MANUAL"
    SETUP = "SETUP"
    TRANSITION = "TRANSITION"
    THIRD_PARTY = "THIRD_PARTY"
    FLEXIBILL = "FLEXIBILL"
    BULK_IMPORT = "BULK_IMPORT"


class AccountStatus(StrEnum):
    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    CLOSED = "CLOSED"


class PeriodStatus(StrEnum):
    """What was recorded for a period (CAL-049); a period without record is PLANNED, OPEN or GAP by date."""

    INVOICED = "INVOICED"
    DISCARDED = "DISCARDED"
    SKIPPED_ZERO = "SKIPPED_ZERO"


@dataclass(frozen=True, slots=True)
class Preferences:
    """Invoice preferences (ACC-044)."""

    document_format: str = "PDF"
    content_type: str = "DETAILED"
    delivery_method: str = "PORTAL"
    consolidated_statement: bool = True
    bill_by: tuple[str, ...] = ()


@event()
class BillingAccountCreated:
    """The account exists as a draft with its number (ACC-011 to ACC-017)."""

    number: str
    number_class: NumberClass
    sequence: int
    owner: str
    owner_is_individual: bool
    name: str
    currency: str
    channel: Channel
    time_zone: str
    legacy_number: str | None
    preferences: Preferences
    created_on: dt.date


@event()
class BillingAccountActivated:
    """All mandatory fields are there; the account may be used (ACC-018)."""

    number: str


@event()
class BillingAccountUpdated:
    """What the account says of its invoices is another now: its preferences, which apply to invoices generated from
    now on (ACC-022), or its schedule, of which `schedule_version` is the version saved (CAL-028)."""

    number: str
    preferences: Preferences
    schedule_version: int | None = None


@event()
class BillingCalendarAssigned:
    """The business calendar of the account (CAL-008)."""

    number: str
    calendar: str


@event()
class PayorAssigned:
    """Another customer than the owner pays (ACC-033)."""

    number: str
    customer: str


@event()
class InvoicingScheduleConfigured:
    """A new version of the invoicing schedule, whole, with what was changed and what was reset by it (CAL-027)."""

    number: str
    version: int
    schedule: Schedule
    changed: tuple[str, ...]


@event()
class InvoicingFrequencyChanged:
    """The frequency changed; its sequence begins on `first_day` (CAL-037, CAL-051).

    `fixed_from` is the start of the earliest fixed period, whose boundaries stay; None when no period was fixed.
    """

    number: str
    old: Frequency
    new: Frequency
    reset: tuple[str, ...]
    first_day: dt.date | None
    fixed_from: dt.date | None


@event()
class ModalityChangeRequired:
    """Members of a true-group account take the new modality from the first day of the new sequence (CAL-017)."""

    number: str
    master_policies: tuple[str, ...]
    old: Frequency
    new: Frequency
    first_day: dt.date


@event()
class SeasonalGapsChanged:
    """Another set of months is not billed; the paymode is the number of active periods (CAL-085, CAL-091)."""

    number: str
    old: tuple[int, ...]
    new: tuple[int, ...]
    active_period_count: int


@event()
class InvoicingStartDateSet:
    """The first invoicing period starts on this day (CAL-038 to CAL-040); `manual` stays unless a rewrite resets it.

    `frequency` and `month_end_sticky` make the grid from it (CAL-043); without frequency there is none yet.
    """

    number: str
    date: dt.date
    manual: bool
    frequency: Frequency | None
    month_end_sticky: bool = True


@event()
class InvoicingStartDateReset:
    """A rewrite set the start anew; the grid is rebuilt from it and former sequences end (CAL-042)."""

    number: str
    old: dt.date | None
    date: dt.date
    frequency: Frequency | None
    month_end_sticky: bool = True


@event()
class BillTypeAssigned:
    """Bill type and allocation mode, fixed by the first issued set-up (ACC-004 to ACC-007)."""

    number: str
    bill_type: BillType
    allocation_mode: AllocationMode | None


@event()
class MasterPolicyAssociated:
    """A master policy is billed on this account (ACC-067)."""

    number: str
    master_policy: str
    setup_ref: str
    effective_date: dt.date


@event()
class EarliestEffectiveDateChanged:
    """The earliest effective date of what is billed here moved (CAL-038, CAL-041)."""

    number: str
    date: dt.date


@event()
class HoldCreated:
    """A hold of the account (ACC-048 to ACC-050)."""

    number: str
    hold: Hold


@event()
class HoldUpdated:
    """Reason or dates of a hold changed (ACC-052)."""

    number: str
    hold: Hold


@event()
class HoldReleased:
    """An active hold ended on this day (ACC-053)."""

    number: str
    hold_id: str
    type: HoldType
    expiration: dt.date


@event()
class HoldRemoved:
    """A hold that had not begun was taken back (ACC-053)."""

    number: str
    hold_id: str
    type: HoldType


@event()
class HoldActivated:
    """A hold binds from its effective date (ACC-101)."""

    number: str
    hold_id: str
    type: HoldType
    business_date: dt.date


@event()
class HoldExpired:
    """A hold no longer binds (ACC-101)."""

    number: str
    hold_id: str
    type: HoldType
    business_date: dt.date


@event()
class InvoicingPeriodInvoiced:
    """The period has a live invoice (CAL-049), priced by these proration bases (PRM-024).

    `bases` None: recorded before they were told; empty: by the shipped basis, for none had been set.
    """

    number: str
    period_start: dt.date
    period_end: dt.date
    invoice: str
    due_date: dt.date
    bases: tuple[BasisFrom, ...] | None = None


@event()
class InvoicingPeriodDiscarded:
    """The period's invoice was discarded; by whom decides whether the job may take it again (INV-093)."""

    number: str
    period_start: dt.date
    invoice: str
    by_user: bool


@event()
class InvoicingPeriodSkipped:
    """No invoice is issued for the period: the zero rule (INV-031), or nobody was covered in it (CAL-050)."""

    number: str
    period_start: dt.date
    period_end: dt.date


@event()
class InvoiceGenerationResumed:
    """A user finished the task of a generation that failed for good; the job takes the account again (CAL-079)."""

    number: str
    period_start: dt.date
    task: str


@event()
class NextPaymentDueDateChanged:
    """CAL-081, CAL-082."""

    number: str
    old: dt.date | None
    new: dt.date | None


@event()
class BillingAccountClosed:
    """The account takes nothing new (ACC-026)."""

    number: str
    reason: str


@event()
class BillingAccountReopened:
    """A closed account is active again; holds and authorisation are not restored (ACC-026)."""

    number: str


@dataclass(frozen=True, slots=True)
class PeriodRecord:
    """What was recorded for one period; `end` exclusive."""

    start: dt.date
    end: dt.date
    status: PeriodStatus
    invoice: str | None
    due_date: dt.date | None
    by_user: bool = False
    bases: tuple[BasisFrom, ...] | None = None


@dataclass(frozen=True, slots=True)
class GenerationFailure:
    """The account's next invoice could not be generated: how often, and what happens next (CAL-079)."""

    period_start: dt.date
    failures: int
    run_date: dt.date
    retry_at: dt.datetime | None
    task: str | None


@dataclass(frozen=True, slots=True)
class Account:
    """State of a billing account; `number` is empty before creation."""

    number: str = ""
    owner: str = ""
    owner_is_individual: bool = False
    name: str = ""
    currency: str = ""
    time_zone: str = "UTC"
    legacy_number: str | None = None
    status: AccountStatus = AccountStatus.DRAFT
    preferences: Preferences = Preferences()
    calendar: str | None = None
    payor: str | None = None
    schedule: Schedule | None = None
    schedule_version: int = 0
    bill_type: BillType | None = None
    allocation_mode: AllocationMode | None = None
    master_policies: tuple[str, ...] = ()
    setups: tuple[str, ...] = ()
    earliest_effective_date: dt.date | None = None
    invoicing_start: dt.date | None = None
    invoicing_start_manual: bool = False
    grid: InvoicingGrid | None = None
    seasonal_gaps: tuple[int, ...] = ()
    holds: tuple[Hold, ...] = ()
    periods: Mapping[dt.date, PeriodRecord] = field(default_factory=dict)
    next_payment_due_date: dt.date | None = None
    closed_reason: str | None = None
    generation_failure: GenerationFailure | None = None

    @property
    def active(self) -> bool:
        return self.status is AccountStatus.ACTIVE

    @property
    def operational(self) -> bool:
        """Active with a bill type and at least one product (ACC-020)."""
        return self.active and self.bill_type is not None and bool(self.master_policies)

    @property
    def frequency(self) -> Frequency | None:
        """The invoicing frequency in force."""
        return self.schedule.frequency if self.schedule else None

    def live_periods(self) -> tuple[PeriodRecord, ...]:
        """Periods with a live invoice, earliest first."""
        records = (record for record in self.periods.values() if record.status is PeriodStatus.INVOICED)
        return tuple(sorted(records, key=lambda record: record.start))

    def billed_bases(self) -> dict[dt.date, tuple[BasisFrom, ...]]:
        """The proration bases by which periods with a live invoice were priced, by their first day."""
        return {record.start: record.bases for record in self.live_periods() if record.bases is not None}

    def billed_periods(self) -> tuple[Period, ...]:
        """Periods whose later differences the next invoice takes, in order: those with a live invoice (PRM-120), and
        those passed over, which no invoice of their own will ever bill (decision: PRM-120 for INV-032)."""
        billed = (record for record in self.periods.values() if record.status is not PeriodStatus.DISCARDED)
        return tuple(sorted(Period(record.start, record.end) for record in billed))

    def fixed_periods(self) -> tuple[Period, ...]:
        """Periods for which an invoice was ever issued, discarded or not, in order (CAL-051)."""
        fixed = (record for record in self.periods.values() if record.invoice is not None)
        return tuple(sorted(Period(record.start, record.end) for record in fixed))

    def settled_starts(self) -> frozenset[dt.date]:
        """Starts of periods that are not to be billed again: with a live invoice, or passed over (CAL-050)."""
        return frozenset(period.start for period in self.billed_periods())

    @property
    def earliest_day(self) -> dt.date | None:
        """First day of the earliest period: the ISD's, or an earlier one opened by an older product (CAL-041)."""
        if self.grid is None or self.invoicing_start is None:
            return None
        older = self.earliest_effective_date
        if older is not None and older < self.invoicing_start:
            return self.grid.period_at(older).start
        return self.grid.period_at(self.invoicing_start).start


def period_of(record: PeriodRecord) -> Period:
    return Period(record.start, record.end)


def evolve(state: Account, happened: object) -> Account:
    match happened:
        case BillingAccountCreated():
            return Account(
                number=happened.number,
                owner=happened.owner,
                owner_is_individual=happened.owner_is_individual,
                name=happened.name,
                currency=happened.currency,
                time_zone=happened.time_zone,
                legacy_number=happened.legacy_number,
                preferences=happened.preferences,
            )
        case BillingAccountActivated():
            return replace(state, status=AccountStatus.ACTIVE)
        case BillingAccountUpdated():
            return replace(state, preferences=happened.preferences)
        case BillingCalendarAssigned():
            return replace(state, calendar=happened.calendar)
        case PayorAssigned():
            return replace(state, payor=happened.customer)
        case InvoicingScheduleConfigured():
            return replace(state, schedule=happened.schedule, schedule_version=happened.version)
        case InvoicingFrequencyChanged():
            return _change_frequency(state, happened)
        case SeasonalGapsChanged():
            return replace(state, seasonal_gaps=happened.new)
        case InvoicingStartDateSet():
            grid = _fresh_grid(happened)
            return replace(state, invoicing_start=happened.date, invoicing_start_manual=happened.manual, grid=grid)
        case InvoicingStartDateReset():
            grid = _fresh_grid(happened)
            return replace(state, invoicing_start=happened.date, invoicing_start_manual=False, grid=grid)
        case BillTypeAssigned():
            return replace(state, bill_type=happened.bill_type, allocation_mode=happened.allocation_mode)
        case MasterPolicyAssociated():
            policies = tuple(dict.fromkeys((*state.master_policies, happened.master_policy)))
            setups = tuple(dict.fromkeys((*state.setups, happened.setup_ref)))
            return replace(state, master_policies=policies, setups=setups)
        case EarliestEffectiveDateChanged():
            return replace(state, earliest_effective_date=happened.date)
        case HoldCreated():
            return replace(state, holds=(*state.holds, happened.hold))
        case HoldUpdated():
            return _with_hold(state, happened.hold)
        case HoldReleased():
            hold = hold_named(state, happened.hold_id)
            return _with_hold(state, replace(hold, released=True, expiration=happened.expiration))
        case HoldRemoved():
            return _with_hold(state, replace(hold_named(state, happened.hold_id), removed=True))
        case InvoicingPeriodInvoiced():
            record = PeriodRecord(
                happened.period_start,
                happened.period_end,
                PeriodStatus.INVOICED,
                happened.invoice,
                happened.due_date,
                bases=happened.bases,
            )
            return replace(
                state,
                periods={**state.periods, record.start: record},
                generation_failure=failure_behind(state, record.start),
            )
        case InvoicingPeriodDiscarded():
            record = replace(
                state.periods[happened.period_start], status=PeriodStatus.DISCARDED, by_user=happened.by_user
            )
            return replace(state, periods={**state.periods, record.start: record})
        case InvoicingPeriodSkipped():
            return _skipped(state, happened)
        case InvoiceGenerationFailed():
            failure = GenerationFailure(
                happened.period_start, happened.failures, happened.run_date, happened.retry_at, happened.task
            )
            return replace(state, generation_failure=failure)
        case InvoiceGenerationResumed():
            return replace(state, generation_failure=None)
        case NextPaymentDueDateChanged():
            return replace(state, next_payment_due_date=happened.new)
        case BillingAccountClosed():
            return replace(state, status=AccountStatus.CLOSED, closed_reason=happened.reason, generation_failure=None)
        case BillingAccountReopened():
            return replace(state, status=AccountStatus.ACTIVE, closed_reason=None)
        case HoldActivated() | HoldExpired() | ModalityChangeRequired():
            return state
        case _:
            raise TypeError(f"not an event of a billing account: {type(happened).__name__}")


def _skipped(state: Account, happened: InvoicingPeriodSkipped) -> Account:
    """A period passed over keeps the invoice it once had, which fixed its boundaries (CAL-051)."""
    before = state.periods.get(happened.period_start)
    record = PeriodRecord(
        happened.period_start,
        happened.period_end,
        PeriodStatus.SKIPPED_ZERO,
        before.invoice if before is not None else None,
        before.due_date if before is not None else None,
    )
    return replace(
        state,
        periods={**state.periods, record.start: record},
        generation_failure=failure_behind(state, record.start),
    )


def failure_behind(state: Account, settled: dt.date) -> GenerationFailure | None:
    """What failed and is not settled by the period that starts on this day, nor by an earlier one."""
    failure = state.generation_failure
    return failure if failure is not None and failure.period_start > settled else None


def _change_frequency(state: Account, happened: InvoicingFrequencyChanged) -> Account:
    """The grid with the new sequence; fixed periods keep their boundaries (CAL-051, CAL-052)."""
    if state.grid is None or happened.first_day is None:
        return state
    grid = state.grid.with_frequency(happened.new, happened.first_day, fixed_from=happened.fixed_from)
    return replace(state, grid=grid)


def _fresh_grid(happened: InvoicingStartDateSet | InvoicingStartDateReset) -> InvoicingGrid | None:
    """One sequence from the start with the frequency in force at it (CAL-042, CAL-043)."""
    if happened.frequency is None:
        return None
    return InvoicingGrid.starting(happened.date, happened.frequency, happened.month_end_sticky)


def hold_named(state: Account, hold_id: str) -> Hold:
    """The hold with this id. Raises LookupError."""
    for hold in state.holds:
        if hold.hold_id == hold_id:
            return hold
    raise LookupError(hold_id)


def _with_hold(state: Account, changed: Hold) -> Account:
    holds = tuple(changed if hold.hold_id == changed.hold_id else hold for hold in state.holds)
    return replace(state, holds=holds)


ACCOUNT = Aggregate("account", Account, Account(), evolve, snapshot_every=8)
