"""The billing set-up: which account bills which part of a master policy (ACC-059 to ACC-079).

A set-up is a list of entries (the sponsor, a class, a unit, a unit and class, a payroll frequency), each enabled entry
with exactly one account. Drafts are saved without being complete; issuing validates everything at once and assigns the
bill type and allocation mode to accounts that have none yet. Later revisions replace accounts for transactions
processed from then on. `route` answers which account bills a member (MEM-074 to MEM-076).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from domain.accounts.bill_type import AllocationMode, BillType
from domain.aggregate import Aggregate
from domain.calendar.frequency import Frequency
from domain.calendar.schedule import SHIPPED_PARAMETERS, ScheduleParameters
from domain.errors import Problem, refuse, refuse_if_any
from domain.events import event


class SetupType(StrEnum):
    """ACC-060."""

    SINGLE_BILL = "SINGLE_BILL"
    PER_CLASS = "PER_CLASS"
    PER_LOCATION = "PER_LOCATION"
    PER_LOCATION_AND_CLASS = "PER_LOCATION_AND_CLASS"
    PER_PAYROLL_FREQUENCY = "PER_PAYROLL_FREQUENCY"


_ALL = frozenset(SetupType)
ALLOWED_SETUPS: dict[BillType, frozenset[SetupType]] = {
    BillType.LIST_BILL: _ALL,
    BillType.SELF_BILL: _ALL - {SetupType.PER_PAYROLL_FREQUENCY},
    BillType.INDIVIDUAL_DIRECT: frozenset({SetupType.SINGLE_BILL}),
    BillType.FLEXIBILL: frozenset({SetupType.SINGLE_BILL}),
}
_BY_UNIT = frozenset({SetupType.PER_LOCATION, SetupType.PER_LOCATION_AND_CLASS})


@dataclass(frozen=True, slots=True, order=True)
class EntryKey:
    """Routing key of an entry: unit (customer reference), class, payroll frequency; None where it plays no part."""

    unit: str | None = None
    member_class: str | None = None
    payroll_frequency: Frequency | None = None

    def __str__(self) -> str:
        parts = (self.unit, self.member_class, self.payroll_frequency and self.payroll_frequency.value)
        return "+".join(part for part in parts if part) or "sponsor"


@dataclass(frozen=True, slots=True)
class SetupEntry:
    """One place to bill. A disabled or unused entry bills nobody (ACC-061, ACC-075)."""

    key: EntryKey
    account: str | None = None
    enabled: bool = True
    not_used: bool = False

    @property
    def counts(self) -> bool:
        return self.enabled and not self.not_used


@event()
class BillingSetupSaved:
    """A draft revision was started or saved with these entries (ACC-063).

    `payroll_frequencies` are those the group is paid by, as far as they were stated.
    """

    setup_ref: str
    process_reference: str | None
    master_policy: str
    sponsor: str
    bill_type: BillType
    allocation_mode: AllocationMode | None
    setup_type: SetupType
    unit_kind: str | None
    currency: str
    revision: int
    effective_date: dt.date
    entries: tuple[SetupEntry, ...]
    payroll_frequencies: tuple[Frequency, ...] = ()


@event()
class BillingSetupIssued:
    """The revision is in force for every transaction processed from now on (ACC-077)."""

    setup_ref: str
    master_policy: str
    revision: int
    accounts: tuple[str, ...]


@event()
class BillingSetupDiscarded:
    """A draft revision was given up."""

    setup_ref: str
    revision: int


@event()
class ReassociationRequired:
    """Members whose entry's account was replaced or removed are to be routed again as of the date (ACC-078)."""

    setup_ref: str
    effective_date: dt.date
    member_records: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setup:
    """State of a set-up: the revision in force and the draft beside it, if any."""

    setup_ref: str = ""
    master_policy: str = ""
    sponsor: str = ""
    bill_type: BillType = BillType.LIST_BILL
    allocation_mode: AllocationMode | None = None
    setup_type: SetupType = SetupType.SINGLE_BILL
    unit_kind: str | None = None
    currency: str = ""
    issued_revision: int = 0
    entries: tuple[SetupEntry, ...] = ()
    payroll_frequencies: tuple[Frequency, ...] = ()
    draft: BillingSetupSaved | None = None


def evolve(state: Setup, happened: object) -> Setup:
    match happened:
        case BillingSetupSaved():
            return replace(
                state,
                setup_ref=happened.setup_ref,
                master_policy=happened.master_policy,
                sponsor=happened.sponsor,
                bill_type=happened.bill_type,
                allocation_mode=happened.allocation_mode,
                setup_type=happened.setup_type,
                unit_kind=happened.unit_kind,
                currency=happened.currency,
                payroll_frequencies=happened.payroll_frequencies,
                draft=happened,
            )
        case BillingSetupIssued():
            entries = state.draft.entries if state.draft else state.entries
            return replace(state, issued_revision=happened.revision, entries=entries, draft=None)
        case BillingSetupDiscarded():
            return replace(state, draft=None)
        case ReassociationRequired():
            return state
        case _:
            raise TypeError(f"not an event of a set-up: {type(happened).__name__}")


SETUP = Aggregate("setup", Setup, Setup(), evolve)


def initial_entries(
    setup_type: SetupType,
    classes: Iterable[str],
    units: Iterable[str],
    payroll_frequencies: Iterable[Frequency],
    sponsor: str,
) -> tuple[SetupEntry, ...]:
    """The entries a set-up type has (ACC-061); the sponsor's own entry has the sponsor as unit where units count."""
    match setup_type:
        case SetupType.SINGLE_BILL:
            keys = [EntryKey()]
        case SetupType.PER_CLASS:
            keys = [EntryKey(member_class=code) for code in classes]
        case SetupType.PER_LOCATION:
            keys = [EntryKey(unit=sponsor), *(EntryKey(unit=unit) for unit in units)]
        case SetupType.PER_LOCATION_AND_CLASS:
            keys = [EntryKey(unit, code) for unit in (sponsor, *units) for code in classes]
        case SetupType.PER_PAYROLL_FREQUENCY:
            keys = [EntryKey(payroll_frequency=frequency) for frequency in payroll_frequencies]
    return tuple(SetupEntry(key) for key in keys)


def check_type(bill_type: BillType, setup_type: SetupType, per_class_bill_types: frozenset[BillType]) -> list[Problem]:
    """Set-up types by bill type (ACC-060)."""
    if bill_type is BillType.FLEXIBILL and setup_type is not SetupType.SINGLE_BILL:
        return [Problem("FLEXIBILL_SINGLE_BILL_ONLY", "FlexiBill uses a single bill only", "/setup_type")]
    if setup_type not in ALLOWED_SETUPS[bill_type]:
        return [Problem("SETUP_TYPE_NOT_ALLOWED", f"{bill_type} does not allow {setup_type}", "/setup_type")]
    if setup_type is SetupType.PER_CLASS and bill_type not in per_class_bill_types:
        return [Problem("PER_CLASS_NOT_ALLOWED", f"{bill_type} may not be set up per class", "/setup_type")]
    return []


@dataclass(frozen=True, slots=True)
class CandidateAccount:
    """What eligibility needs to know of an account (ACC-065)."""

    number: str
    active: bool
    owner: str
    bill_type: BillType | None
    allocation_mode: AllocationMode | None
    currency: str
    frequency: Frequency | None
    has_seasonal_gaps: bool
    has_address: bool


#: What is wrong with a schedule for a bill type (CAL-030) and is told as a reason of ineligibility (ACC-065).
INELIGIBLE_SCHEDULE = frozenset({"FREQUENCY_NOT_ALLOWED", "SEASONAL_NOT_ALLOWED"})


def ineligibility(
    setup: BillingSetupSaved,
    entry: SetupEntry,
    account: CandidateAccount,
    parameters: ScheduleParameters = SHIPPED_PARAMETERS,
) -> list[str]:
    """Reasons why an account cannot serve an entry, in the order of ACC-065."""
    owner = entry.key.unit if setup.setup_type in _BY_UNIT else setup.sponsor
    reasons = []
    if not account.active:
        reasons.append("STATUS")
    if account.owner != owner:
        reasons.append("OWNER")
    if account.bill_type is not None and account.bill_type is not setup.bill_type:
        reasons.append("BILL_TYPE")
    if account.bill_type is not None and account.allocation_mode is not setup.allocation_mode:
        reasons.append("ALLOCATION_MODE")
    if account.currency != setup.currency:
        reasons.append("CURRENCY")
    if sum(1 for other in setup.entries if other.counts and other.account == account.number) > 1:
        reasons.append("ALREADY_ASSIGNED")
    if account.frequency is not None and account.frequency not in parameters.allowed_frequencies(setup.bill_type):
        reasons.append("FREQUENCY_NOT_ALLOWED")
    if account.has_seasonal_gaps and setup.bill_type is not BillType.LIST_BILL:
        reasons.append("SEASONAL_NOT_ALLOWED")
    payroll = entry.key.payroll_frequency
    if payroll is not None and account.frequency is not None and payroll.paymode < account.frequency.paymode:
        reasons.append("PAYROLL_FREQUENCY_MISALIGNED")
    return reasons


def issue(
    state: Setup,
    candidates: Mapping[str, CandidateAccount],
    *,
    parameters: ScheduleParameters = SHIPPED_PARAMETERS,
    unready: Sequence[Problem] = (),
) -> BillingSetupIssued:
    """Issue the draft revision, or refuse with every finding together (ACC-064).

    `unready` is what the accounts' schedules and payroll calendars lack for what is billed by them (CAL-030, CAL-112).
    """
    draft = state.draft
    if draft is None:
        raise refuse("SETUP_STATUS_INVALID", "the set-up has no draft to issue", entity=state.setup_ref)
    problems = []
    missing = [str(entry.key) for entry in draft.entries if entry.counts and entry.account is None]
    if missing:
        problems.append(
            Problem(
                "SETUP_INCOMPLETE",
                "entries are not complete",
                "/entries",
                params={"entries": [{"entry": key, "fields": ["billing_account"]} for key in missing]},
            )
        )
    for entry in draft.entries:
        if not entry.counts or entry.account is None:
            continue
        candidate = candidates.get(entry.account)
        reasons = ["STATUS"] if candidate is None else ineligibility(draft, entry, candidate, parameters)
        if reasons:
            problems.append(
                Problem(
                    "ACCOUNT_NOT_ELIGIBLE",
                    f"account {entry.account} cannot serve entry {entry.key}",
                    entity=entry.account,
                    params={"entry": str(entry.key), "reasons": reasons},
                )
            )
    if not any(entry.counts for entry in draft.entries):
        problems.append(Problem("NO_UNIT_ENABLED", "no entry of the set-up is enabled", "/entries"))
    refuse_if_any([*problems, *unready])
    accounts = tuple(dict.fromkeys(entry.account for entry in draft.entries if entry.counts and entry.account))
    return BillingSetupIssued(
        setup_ref=state.setup_ref, master_policy=state.master_policy, revision=draft.revision, accounts=accounts
    )


@dataclass(frozen=True, slots=True)
class RoutingAttributes:
    """What a member is routed by on a day (MEM-074)."""

    unit: str | None
    member_class: str | None
    payroll_frequency: Frequency | None


@dataclass(frozen=True, slots=True)
class Routed:
    """The account found, or the reasons why there is none (MEM-087); `fallback` marks the root's account (MEM-104)."""

    account: str | None
    reasons: tuple[str, ...] = ()
    fallback: bool = False


def route(setup: Setup, attributes: RoutingAttributes, *, employment_change: bool = False) -> Routed:
    """The account that bills a member with these attributes, by the last issued revision (MEM-074 to 076, 087, 104)."""
    accounts = {entry.key: entry.account for entry in setup.entries if entry.counts and entry.account}
    unit = attributes.unit or setup.sponsor
    match setup.setup_type:
        case SetupType.SINGLE_BILL:
            return _found(accounts.get(EntryKey()), "BILLING_ACCOUNT_MISSING")
        case SetupType.PER_CLASS:
            return _found(accounts.get(EntryKey(member_class=attributes.member_class)), "CLASS_BILLING_MISSING")
        case SetupType.PER_PAYROLL_FREQUENCY:
            key = EntryKey(payroll_frequency=attributes.payroll_frequency)
            return _found(accounts.get(key), "FREQUENCY_BILLING_MISSING")
        case SetupType.PER_LOCATION | SetupType.PER_LOCATION_AND_CLASS:
            code = attributes.member_class if setup.setup_type is SetupType.PER_LOCATION_AND_CLASS else None
            account = accounts.get(EntryKey(unit, code))
            if account:
                return Routed(account)
            root = accounts.get(EntryKey(setup.sponsor, code))
            if employment_change:
                return Routed(root, () if root else ("PARENT_BILLING_MISSING",), fallback=True)
            if attributes.unit is None:
                return Routed(None, ("EMPLOYMENT_MISSING", "PARENT_BILLING_MISSING"))
            known = any(key.unit == unit for key in accounts)
            return Routed(None, ("LOCATION_CLASS_MISSING" if known else "EMPLOYER_BILLING_MISSING",))


def _found(account: str | None, reason: str) -> Routed:
    return Routed(account) if account else Routed(None, (reason,))
