"""Billing set-ups: starting, filling, issuing and revising the tie between a master policy and its accounts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from application.command import Command, Identifier, Outcome, Part, command, handles
from application.invoicing_start import earliest_effective_date_events
from application.payroll import follow_season
from application.register import Directory
from application.schedule_parameters import schedule_parameters
from application.settlement import tell_next_due_date
from application.unit_of_work import Loaded, UnitOfWork
from domain.accounts.account import (
    ACCOUNT,
    Account,
    BillTypeAssigned,
    MasterPolicyAssociated,
)
from domain.accounts.bill_type import AllocationMode, BillType
from domain.accounts.setup import (
    INELIGIBLE_SCHEDULE,
    SETUP,
    BillingSetupDiscarded,
    BillingSetupSaved,
    CandidateAccount,
    EntryKey,
    Setup,
    SetupEntry,
    SetupType,
    check_type,
    initial_entries,
    issue,
)
from domain.calendar.frequency import Frequency
from domain.calendar.payroll_calendars import PAYROLL_CALENDARS, PayrollCalendars, unready_for_setup
from domain.calendar.schedule_validation import association_problems
from domain.customers.customer import CUSTOMER
from domain.errors import Problem, refuse, refuse_if_any
from domain.products.master_policy import MASTER_POLICY, MasterPolicy, MasterPolicySetupIssued

_PER_CLASS_BILL_TYPES = frozenset({BillType.LIST_BILL, BillType.SELF_BILL})


class EntryPart(Part):
    """One entry: its key members by set-up type, and the account that bills it."""

    unit: Identifier | None = None
    member_class: Identifier | None = None
    payroll_frequency: Frequency | None = None
    account: Identifier | None = None
    enabled: bool = True
    not_used: bool = False

    def key(self) -> EntryKey:
        return EntryKey(self.unit, self.member_class, self.payroll_frequency)


@command(
    privilege="setup.create",
    room="01",
    summary="Start the billing set-up of a master policy",
    rules=("ACC-059", "ACC-060", "ACC-061"),
    refusals=(
        "MASTER_POLICY_NOT_FOUND",
        "SETUP_ALREADY_ASSOCIATED",
        "LOCATION_SETUP_NOT_AVAILABLE",
        "SETUP_TYPE_NOT_ALLOWED",
        "PER_CLASS_NOT_ALLOWED",
        "BILL_TYPE_MISMATCH",
    ),
    example={
        "master_policy": "MP-100",
        "bill_type": "LIST_BILL",
        "allocation_mode": "TRUE_GROUP",
        "setup_type": "SINGLE_BILL",
        "account": "LB000000018",
    },
)
class StartBillingSetup(Command):
    """Creates the draft with its entries. For a single bill `account` assigns the one account at once."""

    master_policy: Identifier
    process_reference: Identifier | None = None
    bill_type: BillType = BillType.LIST_BILL
    allocation_mode: AllocationMode | None = AllocationMode.TRUE_GROUP
    setup_type: SetupType = SetupType.SINGLE_BILL
    unit_kind: Annotated[str, Field(pattern=r"^(LOCATION|DIVISION)$")] = "LOCATION"
    payroll_frequencies: tuple[Frequency, ...] = ()
    account: Identifier | None = None
    entries: Annotated[tuple[EntryPart, ...], Field(max_length=5000)] = ()


@command(
    privilege="setup.create",
    room="01",
    summary="Save the entries of a draft set-up",
    rules=("ACC-063",),
    refusals=("SETUP_STATUS_INVALID", "ENTITY_NOT_FOUND"),
    example={"setup_ref": "SET-00000001", "entries": [{"account": "LB000000018"}]},
)
class SaveBillingSetup(Command):
    """The draft's entries as they are to be; incomplete drafts are stored."""

    setup_ref: Identifier
    entries: Annotated[tuple[EntryPart, ...], Field(max_length=5000)]


@command(
    privilege="setup.create",
    room="01",
    summary="Assign an account to an entry of a draft set-up",
    rules=("ACC-062",),
    refusals=("SETUP_STATUS_INVALID", "ENTITY_NOT_FOUND", "BILLING_ACCOUNT_NOT_FOUND"),
    example={"setup_ref": "SET-00000001", "account": "LB000000018"},
)
class AssignEntryAccount(Command):
    """The entry is named by its key members; none of them for the single entry of a single bill."""

    setup_ref: Identifier
    account: Identifier
    unit: Identifier | None = None
    member_class: Identifier | None = None
    payroll_frequency: Frequency | None = None


@command(
    privilege="setup.create",
    room="01",
    summary="Issue a set-up, so that it bills",
    rules=("ACC-064", "ACC-067", "CAL-030", "CAL-112"),
    refusals=(
        "SETUP_STATUS_INVALID",
        "SETUP_INCOMPLETE",
        "ACCOUNT_NOT_ELIGIBLE",
        "NO_UNIT_ENABLED",
        "PAYROLL_CALENDAR_INCOMPLETE",
    ),
    example={"setup_ref": "SET-00000001"},
)
class IssueBillingSetup(Command):
    """Assigns bill type and allocation mode to accounts without one, and ties the policy to them."""

    setup_ref: Identifier


@command(
    privilege="setup.update",
    room="01",
    summary="Start a revision of an issued set-up",
    rules=("ACC-077",),
    refusals=("MASTER_POLICY_NOT_FOUND", "SETUP_NOT_ISSUED"),
    example={"master_policy": "MP-100", "effective_date": "2025-06-01"},
)
class StartBillingSetupUpdate(Command):
    """A draft revision of the last issued one; the set-up's type and model stay."""

    master_policy: Identifier
    effective_date: dt.date


@command(
    privilege="setup.remove",
    room="01",
    summary="Discard a draft set-up",
    rules=("ACC-077",),
    refusals=("SETUP_STATUS_INVALID",),
    example={"setup_ref": "SET-00000001"},
)
class DiscardBillingSetup(Command):
    """Only a draft is discarded; what is issued stays in force."""

    setup_ref: Identifier


@handles(StartBillingSetup)
def start_billing_setup(command: StartBillingSetup, unit: UnitOfWork) -> Outcome:
    policy = load_policy(unit, command.master_policy)
    unit.expect_main(MASTER_POLICY, policy)
    if policy.state.setup_ref is not None:
        raise refuse("SETUP_ALREADY_ASSOCIATED", "the policy has an issued set-up", entity=policy.state.setup_ref)
    refuse_if_any(check_type(command.bill_type, command.setup_type, _PER_CLASS_BILL_TYPES))
    if command.bill_type is not policy.state.bill_type:
        raise refuse("BILL_TYPE_MISMATCH", "the policy has another bill type", pointer="/bill_type")
    units = [
        reference
        for reference, role in unit.port(Directory).units_of(policy.state.sponsor)
        if role == command.unit_kind
    ]
    if command.setup_type in (SetupType.PER_LOCATION, SetupType.PER_LOCATION_AND_CLASS) and not units:
        raise refuse("LOCATION_SETUP_NOT_AVAILABLE", "the sponsor has no units", pointer="/setup_type")
    entries = initial_entries(
        command.setup_type,
        [known.code for known in policy.state.classes],
        units,
        command.payroll_frequencies or (Frequency.MONTHLY,),
        policy.state.sponsor,
    )
    entries = _merged(entries, command.entries)
    if command.account is not None:
        entries = (
            tuple(replace(entry, account=_account_number(unit, command.account)) for entry in entries[:1]) + entries[1:]
        )
    setup_ref = f"SET-{unit.next_number('setup'):08d}"
    mode = command.allocation_mode if command.bill_type in _PER_CLASS_BILL_TYPES else None
    saved = BillingSetupSaved(
        setup_ref=setup_ref,
        process_reference=command.process_reference,
        master_policy=command.master_policy,
        sponsor=policy.state.sponsor,
        bill_type=command.bill_type,
        allocation_mode=mode,
        setup_type=command.setup_type,
        unit_kind=command.unit_kind,
        currency=policy.state.currency,
        revision=1,
        effective_date=policy.state.effective_date,
        entries=entries,
        payroll_frequencies=command.payroll_frequencies,
    )
    unit.append(SETUP, setup_ref, [saved])
    return Outcome({"setup_ref": setup_ref, "entries": [_entry_result(entry) for entry in entries]})


@handles(SaveBillingSetup)
def save_billing_setup(command: SaveBillingSetup, unit: UnitOfWork) -> Outcome:
    draft = _draft(unit, command.setup_ref)
    entries = _merged(draft.entries, command.entries)
    entries = tuple(
        replace(entry, account=_account_number(unit, entry.account) if entry.account else None) for entry in entries
    )
    unit.append(SETUP, command.setup_ref, [replace(draft, entries=entries)])
    return Outcome({"setup_ref": command.setup_ref, "entries": [_entry_result(entry) for entry in entries]})


@handles(AssignEntryAccount)
def assign_entry_account(command: AssignEntryAccount, unit: UnitOfWork) -> Outcome:
    draft = _draft(unit, command.setup_ref)
    account = _account_number(unit, command.account)
    key = EntryKey(command.unit, command.member_class, command.payroll_frequency)
    if all(entry.key != key for entry in draft.entries):
        raise refuse("ENTITY_NOT_FOUND", f"the set-up has no entry {key}", entity=command.setup_ref)
    entries = tuple(replace(entry, account=account) if entry.key == key else entry for entry in draft.entries)
    unit.append(SETUP, command.setup_ref, [replace(draft, entries=entries)])
    return Outcome({"setup_ref": command.setup_ref, "entries": [_entry_result(entry) for entry in entries]})


@handles(IssueBillingSetup)
def issue_billing_setup(command: IssueBillingSetup, unit: UnitOfWork) -> Outcome:
    setup = _load_setup(unit, command.setup_ref)
    draft = setup.state.draft
    named = tuple(dict.fromkeys(entry.account for entry in draft.entries if entry.account)) if draft else ()
    unit.lock(*(f"account:{number}" for number in named))
    accounts = unit.load_many(ACCOUNT, named)
    payors = unit.load_many(CUSTOMER, {loaded.state.payor or loaded.state.owner for loaded in accounts.values()})
    with_address = {reference for reference, payor in payors.items() if payor.state.address is not None}
    candidates = {number: _candidate(loaded.state, with_address) for number, loaded in accounts.items()}
    states = {number: loaded.state for number, loaded in accounts.items()}
    issued = issue(
        setup.state,
        candidates,
        parameters=schedule_parameters(unit, setup.state.bill_type, unit.today()),
        unready=() if draft is None else _unready(unit, draft, states),
    )
    unit.append(SETUP, command.setup_ref, [issued])
    policy = load_policy(unit, setup.state.master_policy)
    unit.append(
        MASTER_POLICY,
        policy.identifier,
        [
            MasterPolicySetupIssued(
                master_policy=policy.identifier, setup_ref=command.setup_ref, revision=issued.revision
            )
        ],
    )
    for number in issued.accounts:
        tied = unit.append(ACCOUNT, number, _association(unit, accounts[number].state, setup.state, policy.state))
        follow_season(unit, tied.state)
        tell_next_due_date(unit, number)
    return Outcome({"setup_ref": command.setup_ref, "revision": issued.revision, "accounts": list(issued.accounts)})


def _unready(unit: UnitOfWork, draft: BillingSetupSaved, accounts: Mapping[str, Account]) -> list[Problem]:
    """What the schedules and payroll calendars of the set-up's accounts lack for what they are to bill.

    decision: what ACC-065 lists is told as a reason of ineligibility, everything else with its own code (CAL-030). A
    seasonal account gets its payroll calendar with the set-up (CAL-093).
    """
    problems: list[Problem] = []
    parameters = schedule_parameters(unit, draft.bill_type, unit.today())
    calendars = unit.load_many(PAYROLL_CALENDARS, accounts)
    individual = draft.bill_type is BillType.LIST_BILL and draft.allocation_mode is AllocationMode.INDIVIDUAL
    for index, entry in enumerate(draft.entries):
        account = accounts.get(entry.account or "")
        if not entry.counts or account is None:
            continue
        if account.schedule is not None:
            wrong = association_problems(account.schedule, draft.bill_type, parameters=parameters)
            problems += [replace(one, entity=account.number) for one in wrong if one.code not in INELIGIBLE_SCHEDULE]
        if individual and not account.seasonal_gaps:
            known = calendars[account.number].state if account.number in calendars else PayrollCalendars()
            stated = (entry.key.payroll_frequency,) if entry.key.payroll_frequency else draft.payroll_frequencies
            problems += [
                replace(one, entity=account.number)
                for one in unready_for_setup(known, stated, f"/entries/{index}/account")
            ]
    return problems


def _candidate(account: Account, with_address: set[str]) -> CandidateAccount:
    return CandidateAccount(
        account.number,
        account.active,
        account.owner,
        account.bill_type,
        account.allocation_mode,
        account.currency,
        account.schedule.frequency if account.schedule else None,
        bool(account.seasonal_gaps),
        (account.payor or account.owner) in with_address,
    )


def _association(unit: UnitOfWork, account: Account, setup: Setup, policy: MasterPolicy) -> list[object]:
    """Bill type on first use, the tie to the policy, and the invoicing start from the earliest effective date."""
    events: list[object] = []
    if account.bill_type is None:
        events.append(
            BillTypeAssigned(number=account.number, bill_type=setup.bill_type, allocation_mode=setup.allocation_mode)
        )
    if policy.number not in account.master_policies:
        events.append(
            MasterPolicyAssociated(
                number=account.number,
                master_policy=policy.number,
                setup_ref=setup.setup_ref,
                effective_date=policy.effective_date,
            )
        )
    return events + earliest_effective_date_events(unit, account, policy.effective_date)


@handles(StartBillingSetupUpdate)
def start_billing_setup_update(command: StartBillingSetupUpdate, unit: UnitOfWork) -> Outcome:
    policy = load_policy(unit, command.master_policy)
    if policy.state.setup_ref is None:
        raise refuse("SETUP_NOT_ISSUED", "the policy has no issued set-up", entity=command.master_policy)
    setup = _load_setup(unit, policy.state.setup_ref).state
    saved = BillingSetupSaved(
        setup_ref=setup.setup_ref,
        process_reference=None,
        master_policy=setup.master_policy,
        sponsor=setup.sponsor,
        bill_type=setup.bill_type,
        allocation_mode=setup.allocation_mode,
        setup_type=setup.setup_type,
        unit_kind=setup.unit_kind,
        currency=setup.currency,
        revision=setup.issued_revision + 1,
        effective_date=command.effective_date,
        entries=setup.entries,
        payroll_frequencies=setup.payroll_frequencies,
    )
    unit.append(SETUP, setup.setup_ref, [saved])
    return Outcome({"setup_ref": setup.setup_ref, "revision": saved.revision})


@handles(DiscardBillingSetup)
def discard_billing_setup(command: DiscardBillingSetup, unit: UnitOfWork) -> Outcome:
    draft = _draft(unit, command.setup_ref)
    unit.append(SETUP, command.setup_ref, [BillingSetupDiscarded(setup_ref=command.setup_ref, revision=draft.revision)])
    return Outcome({"setup_ref": command.setup_ref})


def load_policy(unit: UnitOfWork, number: str) -> Loaded[MasterPolicy]:
    """The master policy, or `MASTER_POLICY_NOT_FOUND`."""
    policy = unit.load(MASTER_POLICY, number)
    if policy.version == 0:
        raise refuse("MASTER_POLICY_NOT_FOUND", "there is no such master policy", pointer="/master_policy")
    return policy


def _load_setup(unit: UnitOfWork, setup_ref: str) -> Loaded[Setup]:
    """The set-up that a command is about, at the version that is expected (PLT-020), or `ENTITY_NOT_FOUND`."""
    setup = unit.load(SETUP, setup_ref)
    if setup.version == 0:
        raise refuse("ENTITY_NOT_FOUND", "there is no such set-up", pointer="/setup_ref")
    unit.expect_main(SETUP, setup)
    return setup


def _draft(unit: UnitOfWork, setup_ref: str) -> BillingSetupSaved:
    setup = _load_setup(unit, setup_ref)
    if setup.state.draft is None:
        raise refuse("SETUP_STATUS_INVALID", "the set-up has no draft", entity=setup_ref)
    return setup.state.draft


def _account_number(unit: UnitOfWork, named: str) -> str:
    account = unit.port(Directory).resolve_account(named)
    if account is None:
        raise refuse("BILLING_ACCOUNT_NOT_FOUND", "there is no such account", pointer="/account")
    return account


def _merged(entries: tuple[SetupEntry, ...], given: tuple[EntryPart, ...]) -> tuple[SetupEntry, ...]:
    by_key = {part.key(): part for part in given}
    merged = []
    for entry in entries:
        part = by_key.pop(entry.key, None)
        if part is None:
            merged.append(entry)
        else:
            account = part.account or entry.account
            merged.append(replace(entry, account=account, enabled=part.enabled, not_used=part.not_used))
    if by_key:
        unknown = ", ".join(str(key) for key in by_key)
        raise refuse("ENTITY_NOT_FOUND", f"the set-up has no entry {unknown}", pointer="/entries")
    return tuple(merged)


def _entry_result(entry: SetupEntry) -> dict[str, object]:
    return {
        "unit": entry.key.unit,
        "member_class": entry.key.member_class,
        "payroll_frequency": entry.key.payroll_frequency,
        "account": entry.account,
        "enabled": entry.enabled,
        "not_used": entry.not_used,
        "status": None if not entry.counts else "COMPLETE" if entry.account else "INCOMPLETE",
    }
