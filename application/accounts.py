"""Billing accounts: opening, configuring, holding and closing them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field

from application.calendars import load_calendars
from application.command import Command, CurrencyCode, Identifier, Outcome, Part, command, handles
from application.invoicing_start import first_start_events, start_set, start_terms
from application.products import require_currency
from application.register import Directory, ItemRegister, Placements, WaitingTasks
from application.schedule_parameters import schedule_defaults, schedule_parameters
from application.settlement import tell_next_due_date
from application.unit_of_work import Loaded, UnitOfWork
from domain.accounts.account import (
    ACCOUNT,
    Account,
    AccountStatus,
    BillingAccountActivated,
    BillingAccountCreated,
    BillingAccountReopened,
    BillingAccountUpdated,
    BillingCalendarAssigned,
    Channel,
    InvoicingFrequencyChanged,
    InvoicingScheduleConfigured,
    ModalityChangeRequired,
    PayorAssigned,
    Preferences,
    SeasonalGapsChanged,
)
from domain.accounts.holds import HoldType
from domain.accounts.lifecycle import (
    NAME_MAX,
    ActivationFacts,
    ClosingFacts,
    activation_problems,
    bill_by_problems,
    close,
    create_hold,
    default_name,
    delivery_problems,
    release_hold,
    remove_hold,
    require_active,
    update_hold,
)
from domain.accounts.numbering import NumberClass, account_number, normalised, number_class
from domain.calendar.billing_calendars import assignable, calendar_of_new_account
from domain.calendar.frequency import Frequency
from domain.calendar.installment_schedules import INSTALLMENT_SCHEDULES, has_products_from
from domain.calendar.invoicing_start import InvoicingStart, manual_start_problems
from domain.calendar.periods import InvoicingGrid
from domain.calendar.schedule import DueDayMode, GenerationOption, TimeUnit, Timing
from domain.calendar.schedule_validation import unfit_parameters
from domain.calendar.transitions import (
    ScheduleChange,
    ScheduleFacts,
    change_gaps,
    configure,
    generation_after_due_problems,
    requires_modality_change,
)
from domain.customers.customer import CUSTOMER, Customer
from domain.errors import Problem, refuse, refuse_if_any

MonthNumber = Annotated[int, Field(ge=1, le=12)]


class SchedulePart(Part):
    """An invoicing schedule; members left out take the default, or keep their value in a change (CAL-018 to 020)."""

    frequency: Frequency | None = None
    due_day_mode: DueDayMode | None = None
    due_days: Annotated[tuple[int, ...], Field(max_length=2)] = ()
    day_offset: int = 0
    timing: Timing = Timing.ON_TIME
    due_date_offset: int = 0
    generation_option: GenerationOption = GenerationOption.UNITS_IN_ADVANCE
    generation_day: int | None = None
    generation_month_offset: int = 0
    generation_units: int | None = None
    generation_unit: TimeUnit = TimeUnit.DAYS
    generation_window: int = 0
    generation_window_unit: TimeUnit = TimeUnit.DAYS
    advanced_mode: bool = False
    seasonal_billing: bool = False
    seasonal_gaps: Annotated[tuple[MonthNumber, ...], Field(max_length=12)] = ()
    generation_retry_count: int = 3
    generation_retry_interval: int = 60
    draft_automation: bool = False
    draft_offset_days: int = 5

    def given(self) -> dict[str, object]:
        """The members the client sent, by name."""
        return self.model_dump(exclude_unset=True)


#: Members of the schedule by the member of ChangeSeasonalGaps that sets them; it states no other.
_GAP_MEMBERS = {"/seasonal_billing": "/seasonal_billing", "/seasonal_gaps": "/months"}
_MONTHLY = {"frequency": "MONTHLY", "due_day_mode": "CALENDAR_DAY", "due_days": [1]}


#: What may be wrong with an invoicing schedule.
_OF_SCHEDULE = (
    "FREQUENCY_NOT_ALLOWED",
    "SEASONAL_REQUIRES_MONTHLY",
    "ADVANCED_MODE_REQUIRED",
    "ADVANCED_MODE_NOT_ALLOWED",
    "DUE_DAY_MODE_NOT_ALLOWED",
    "DUE_DAYS_INVALID",
    "OFFSET_OUT_OF_RANGE",
    "OFFSET_NOT_ALLOWED",
    "GENERATION_OPTION_NOT_ALLOWED",
    "GENERATION_RULE_MISSING",
    "GENERATION_AFTER_DUE",
    "SCHEDULE_INCOMPLETE",
)


@command(
    privilege="account.create",
    room="01",
    summary="Open a billing account",
    rules=("ACC-011", "ACC-015", "ACC-017", "ACC-018"),
    refusals=(
        "CUSTOMER_NOT_FOUND",
        "CURRENCY_NOT_SUPPORTED",
        "LEGACY_NUMBER_CONFLICT",
        "MANDATORY_FIELDS_MISSING",
        "PAYOR_ADDRESS_MISSING",
        "DELIVERY_NOT_POSSIBLE",
        "BILL_BY_INVALID",
        *_OF_SCHEDULE,
        "ENTITY_NOT_FOUND",
    ),
    example={"owner": "C-100", "name": "Northwind Mills BA 1", "currency": "USD", "schedule": _MONTHLY},
)
class CreateBillingAccount(Command):
    """Opened and activated at once, or refused as a whole; with `activate` false stored as a draft with its number."""

    owner: Identifier
    name: Annotated[str, Field(max_length=NAME_MAX)] | None = None
    currency: CurrencyCode
    channel: Channel = Channel.MANUAL
    time_zone: Annotated[str, Field(max_length=60)] = "UTC"
    calendar: Identifier | None = None
    schedule: SchedulePart = SchedulePart()
    document_format: Literal["PDF", "XLSX", "CSV"] = "PDF"
    content_type: Literal["DETAILED", "SUMMARY"] = "DETAILED"
    delivery_method: Literal["PORTAL", "EMAIL", "PRINT_MAIL", "NONE"] = "PORTAL"
    consolidated_statement: bool = True
    bill_by: Annotated[tuple[str, ...], Field(max_length=5)] = ()
    payor: Identifier | None = None
    legacy_number: Annotated[str, Field(min_length=1, max_length=30)] | None = None
    in_single_bill_setup: bool = False
    activate: bool = True


class AccountCommand(Command):
    """Base of commands on one account, named by its number or legacy number."""

    account: Identifier


@command(
    privilege="account.create",
    room="01",
    summary="Activate a draft account",
    rules=("ACC-018",),
    refusals=("BILLING_ACCOUNT_NOT_FOUND", "STATE_INVALID", "MANDATORY_FIELDS_MISSING", "DELIVERY_NOT_POSSIBLE"),
    example={"account": "LB000000018"},
)
class ActivateBillingAccount(AccountCommand):
    """All mandatory fields must be there."""


@command(
    privilege="account.update",
    room="01",
    summary="Change the invoice preferences of an account",
    rules=("ACC-022", "ACC-044", "ACC-046"),
    refusals=("BILLING_ACCOUNT_NOT_FOUND", "ACCOUNT_NOT_ACTIVE", "DELIVERY_NOT_POSSIBLE", "BILL_BY_INVALID"),
    example={"account": "LB000000018", "delivery_method": "EMAIL", "bill_by": ["CLASS"]},
)
class UpdateInvoicePreferences(AccountCommand):
    """Members left out keep their value; issued invoices keep what they had."""

    document_format: Literal["PDF", "XLSX", "CSV"] | None = None
    content_type: Literal["DETAILED", "SUMMARY"] | None = None
    delivery_method: Literal["PORTAL", "EMAIL", "PRINT_MAIL", "NONE"] | None = None
    consolidated_statement: bool | None = None
    bill_by: Annotated[tuple[str, ...], Field(max_length=5)] | None = None


@command(
    privilege="account.close",
    room="01",
    summary="Close an account that is no longer used",
    rules=("ACC-025", "ACC-026"),
    refusals=("BILLING_ACCOUNT_NOT_FOUND", "ACCOUNT_NOT_ACTIVE", "ACCOUNT_NOT_CLOSABLE", "REASON_REQUIRED"),
    example={"account": "LB000000018", "reason": "Contract ended"},
)
class CloseBillingAccount(AccountCommand):
    """Refused with every reason why the account is still in use."""

    reason: Annotated[str, Field(max_length=500)]


@command(
    privilege="account.close",
    room="01",
    summary="Reopen a closed account",
    rules=("ACC-026",),
    refusals=("BILLING_ACCOUNT_NOT_FOUND", "STATE_INVALID", "MANDATORY_FIELDS_MISSING"),
    example={"account": "LB000000018"},
)
class ReopenBillingAccount(AccountCommand):
    """Runs the activation checks again; holds are not restored."""


@command(
    privilege="hold.manage",
    room="01",
    summary="Place a hold on an account",
    rules=("ACC-048", "ACC-049", "ACC-050"),
    refusals=("BILLING_ACCOUNT_NOT_FOUND", "ACCOUNT_NOT_ACTIVE", "REASON_REQUIRED", "HOLD_DATES_INVALID"),
    example={"account": "LB000000018", "type": "INVOICE", "reason": "Rates under review"},
)
class CreateHold(AccountCommand):
    """`type` may also be REMINDER_AND_CANCEL_NOTICE or ALL_ACTIVITIES, which place one hold of each type meant."""

    type: Literal[
        "INVOICE",
        "RECURRING_PAYMENT",
        "REMINDER_NOTICE",
        "CANCEL_NOTICE",
        "CANCELLATION",
        "REMINDER_AND_CANCEL_NOTICE",
        "ALL_ACTIVITIES",
    ]
    reason: Annotated[str, Field(max_length=500)]
    effective_date: dt.date | None = None
    expiration_date: dt.date | None = None


@command(
    privilege="hold.manage",
    room="01",
    summary="Change a hold",
    rules=("ACC-052",),
    refusals=(
        "BILLING_ACCOUNT_NOT_FOUND",
        "ENTITY_NOT_FOUND",
        "HOLD_FINAL",
        "HOLD_DATES_INVALID",
        "HOLD_EFFECTIVE_IMMUTABLE",
    ),
    example={"account": "LB000000018", "hold_id": "HOLD-00000001", "expiration_date": "2027-01-31"},
)
class UpdateHold(AccountCommand):
    """Members left out keep their value; an expiration date of null opens the end."""

    hold_id: Identifier
    reason: Annotated[str, Field(max_length=500)] | None = None
    effective_date: dt.date | None = None
    expiration_date: dt.date | None = None


@command(
    privilege="hold.manage",
    room="01",
    summary="End an active hold now",
    rules=("ACC-053",),
    refusals=("BILLING_ACCOUNT_NOT_FOUND", "ENTITY_NOT_FOUND", "HOLD_STATUS_INVALID"),
    example={"account": "LB000000018", "hold_id": "HOLD-00000001"},
)
class ReleaseHold(AccountCommand):
    """Sets its expiration to today."""

    hold_id: Identifier


@command(
    privilege="hold.manage",
    room="01",
    summary="Take back a hold that has not begun",
    rules=("ACC-053",),
    refusals=("BILLING_ACCOUNT_NOT_FOUND", "ENTITY_NOT_FOUND", "HOLD_STATUS_INVALID"),
    example={"account": "LB000000018", "hold_id": "HOLD-00000001"},
)
class RemoveHold(AccountCommand):
    """Only a pending hold is removed."""

    hold_id: Identifier


@command(
    privilege="schedule.update",
    room="02",
    summary="Configure the invoicing schedule of an account",
    rules=("CAL-018", "CAL-023", "CAL-028", "CAL-031", "CAL-051"),
    refusals=(
        "BILLING_ACCOUNT_NOT_FOUND",
        *_OF_SCHEDULE,
        "SEASONAL_LOCKED",
        "PROCESS_CONFLICT",
    ),
    example={"account": "LB000000018", "schedule": {"due_day_mode": "CALENDAR_DAY", "due_days": [15]}},
)
class ConfigureInvoicingSchedule(AccountCommand):
    """Members of the schedule left out keep their value, or are reset where the frequency's category changes."""

    schedule: SchedulePart


@command(
    privilege="schedule.update",
    room="02",
    summary="Switch seasonal billing on or off, or choose its gap months",
    rules=("CAL-028", "CAL-083", "CAL-085", "CAL-090", "CAL-091"),
    refusals=(
        "BILLING_ACCOUNT_NOT_FOUND",
        "SEASONAL_NOT_ALLOWED",
        "SEASONAL_REQUIRES_MONTHLY",
        "ADVANCED_MODE_REQUIRED",
        "SEASONAL_GAP_COUNT_INVALID",
        "SEASONAL_LOCKED",
        "PROCESS_CONFLICT",
    ),
    example={"account": "LB000000018", "seasonal_billing": True, "months": [6, 7, 8]},
)
class ChangeSeasonalGaps(AccountCommand):
    """Gap months are 1 to 12 and repeat every year."""

    seasonal_billing: bool
    months: Annotated[tuple[MonthNumber, ...], Field(max_length=12)] = ()


@command(
    privilege="schedule.update",
    room="02",
    summary="Set the invoicing start date by hand",
    rules=("CAL-040",),
    refusals=("BILLING_ACCOUNT_NOT_FOUND", "INVOICING_START_LOCKED", "INVOICING_START_INVALID"),
    example={"account": "LB000000018", "date": "2025-01-01"},
)
class SetInvoicingStartDate(AccountCommand):
    """Possible while no live invoice exists; not later than what is billed there begins."""

    date: dt.date


@command(
    privilege="schedule.update",
    room="02",
    summary="Assign a business calendar to an account",
    rules=("CAL-008", "CAL-009"),
    refusals=("BILLING_ACCOUNT_NOT_FOUND", "ENTITY_NOT_FOUND"),
    example={"account": "LB000000018", "calendar": "US-STANDARD"},
)
class AssignBillingCalendar(AccountCommand):
    """Affects only runs and dates not yet executed."""

    calendar: Identifier


def load_account(unit: UnitOfWork, number: str, pointer: str = "/account") -> Loaded[Account]:
    """The account with this number or legacy number, locked for the unit. Refused `BILLING_ACCOUNT_NOT_FOUND`."""
    own = normalised(number)
    unit.lock(f"account:{own}")
    account = unit.load(ACCOUNT, own)
    if account.version:  # no account's number is another one's legacy number
        return account
    resolved = _resolved(unit, number, pointer)
    unit.lock(f"account:{resolved}")
    return unit.load(ACCOUNT, resolved)


def _main(unit: UnitOfWork, number: str) -> Loaded[Account]:
    """The account that a command is about, as `load_account`, at the version that is expected (PLT-020)."""
    account = load_account(unit, number)
    unit.expect_main(ACCOUNT, account)
    return account


def _resolved(unit: UnitOfWork, number: str, pointer: str = "/account") -> str:
    resolved = unit.port(Directory).resolve_account(number)
    if resolved is None:
        raise refuse("BILLING_ACCOUNT_NOT_FOUND", "there is no such account", pointer=pointer)
    return resolved


def _load_for_schedule(unit: UnitOfWork, number: str) -> tuple[Loaded[Account], str | None]:
    """The account whose schedule is to change, and the process that runs on it at this moment (CAL-028).

    While one runs, the change is refused whatever else is wrong with it: the account is read as it stood before, so
    that nobody waits for the process to end.
    """
    resolved = _resolved(unit, number)
    running = unit.running_process(f"account:{resolved}")
    if running is None:
        unit.lock(f"account:{resolved}")
    account = unit.load(ACCOUNT, resolved)
    unit.expect_main(ACCOUNT, account)
    return account, running


@handles(CreateBillingAccount)
def create_billing_account(command: CreateBillingAccount, unit: UnitOfWork) -> Outcome:
    owner = unit.load(CUSTOMER, command.owner)
    if owner.version == 0:
        raise refuse("CUSTOMER_NOT_FOUND", "the owner is not a billing customer", pointer="/owner")
    payor = unit.load(CUSTOMER, command.payor) if command.payor else None
    if payor is not None and payor.version == 0:
        raise refuse("CUSTOMER_NOT_FOUND", "the payor is not a billing customer", pointer="/payor")
    require_currency(command.currency)
    _require_time_zone(command.time_zone)
    calendars = load_calendars(unit).state
    calendar = calendar_of_new_account(calendars, command.calendar)
    directory = unit.port(Directory)
    name = command.name
    if name is None or (not name.strip() and command.channel is not Channel.MANUAL):
        name = default_name(owner.state.name, command.owner, directory.accounts_ever_of(command.owner))
    legacy = normalised(command.legacy_number) if command.legacy_number else None
    if legacy is not None and directory.resolve_account(legacy) is not None:
        raise refuse("LEGACY_NUMBER_CONFLICT", "another account has this number", pointer="/legacy_number")
    problems = bill_by_problems(command.bill_by)
    if not name.strip():
        problems.append(Problem("MANDATORY_FIELDS_MISSING", "name is missing", "/name", params={"fields": ["name"]}))
    refuse_if_any(problems)
    number, kind, sequence = _next_account_number(command, owner.state, unit, legacy)
    created = BillingAccountCreated(
        number=number,
        number_class=kind,
        sequence=sequence,
        owner=command.owner,
        owner_is_individual=owner.state.is_individual,
        name=name.strip(),
        currency=command.currency,
        channel=command.channel,
        time_zone=command.time_zone,
        legacy_number=legacy,
        preferences=Preferences(
            command.document_format,
            command.content_type,
            command.delivery_method,
            command.consolidated_statement,
            command.bill_by,
        ),
        created_on=unit.today(command.time_zone),
    )
    events: list[object] = [created]
    if calendar is not None:
        events.append(BillingCalendarAssigned(number=number, calendar=calendar))
    if command.payor is not None:
        events.append(PayorAssigned(number=number, customer=command.payor))
    draft = ACCOUNT.fold(events)
    change = _schedule_change(unit, draft, command.schedule.given(), creating=True)
    _refuse_schedule(change)
    events += schedule_events(draft, change)
    draft = ACCOUNT.fold(events)
    if command.activate:
        refuse_if_any(activation_problems(draft, _activation_facts(unit, draft)))
        events.append(BillingAccountActivated(number=number))
    account = unit.append(ACCOUNT, number, events)
    return Outcome({"account": number, "name": account.state.name, "status": account.state.status.value})


def _require_time_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise refuse("REQUEST_INVALID", "the time zone is not an IANA zone", pointer="/time_zone") from None


def _next_account_number(
    command: CreateBillingAccount, owner: Customer, unit: UnitOfWork, legacy: str | None
) -> tuple[str, NumberClass, int]:
    """The next free number of the class; a candidate that is in use as any number is skipped for good (ACC-013)."""
    kind = number_class(
        flexibill=command.channel is Channel.FLEXIBILL,
        owner_is_individual=owner.is_individual,
        in_single_bill_setup=command.in_single_bill_setup,
    )
    directory = unit.port(Directory)
    while True:
        sequence = unit.next_number(f"account:{kind.value}")
        number = account_number(kind, sequence)
        if number != legacy and directory.resolve_account(number) is None:
            return number, kind, sequence


def try_schedule(unit: UnitOfWork, account: Account, changes: dict[str, object]) -> ScheduleChange:
    """What a change of the account's schedule would come to, problems included; nothing is stored.

    Refuses REQUEST_INVALID for a value that is none of its choices.
    """
    try:
        return _schedule_change(unit, account, changes)
    except ValueError as error:
        raise refuse("REQUEST_INVALID", str(error), pointer="/proposed") from None


def _schedule_change(
    unit: UnitOfWork,
    account: Account,
    changes: dict[str, object],
    *,
    creating: bool = False,
    running: str | None = None,
) -> ScheduleChange:
    """Apply schedule values to an account by the rules of 02-calendar; problems are in the answer."""
    return configure(None if creating else account.schedule, changes, schedule_facts(unit, account, running))


def _refuse_schedule(change: ScheduleChange) -> None:
    """Refuse what is wrong with a command's member `schedule`, each problem at its place in the payload (PLT-014)."""
    refuse_if_any([replace(one, pointer=f"/schedule{one.pointer}") if one.pointer else one for one in change.problems])


def schedule_facts(unit: UnitOfWork, account: Account, running: str | None = None) -> ScheduleFacts:
    """What a schedule decision needs to know of the account; `running` is the process that runs on it (CAL-028)."""
    calendar = load_calendars(unit).state.find(account.calendar) if account.calendar else None
    live = account.live_periods()
    today = unit.today(account.time_zone)
    return ScheduleFacts(
        bill_type=account.bill_type,
        active=account.active,
        grid=account.grid,
        earliest=account.earliest_day,
        fixed=account.fixed_periods(),
        invoiced=frozenset(record.start for record in live),
        lead_time_days=calendar.number_of_days_ahead if calendar else None,
        seasonal_locked=bool(live),
        running_process=running,
        defaults=schedule_defaults(unit, account, today),
        parameters=schedule_parameters(unit, account.bill_type, today),
    )


def unfit_schedule(unit: UnitOfWork, account: Account) -> tuple[str, ...]:
    """The parameters of the account's schedule that are missing or no longer valid, for its activation (CAL-026)."""
    facts = schedule_facts(unit, account)
    unfit = unfit_parameters(
        account.schedule, account.bill_type, lead_time_days=facts.lead_time_days, parameters=facts.parameters
    )
    if unfit or account.schedule is None or not generation_after_due_problems(account.schedule, facts):
        return unfit
    return ("generation_option",)


def schedule_events(account: Account, change: ScheduleChange) -> list[object]:
    """The events of an accepted schedule change: the version, and what follows from it (CAL-037, CAL-091)."""
    new = change.schedule
    events: list[object] = [
        InvoicingScheduleConfigured(
            number=account.number, version=account.schedule_version + 1, schedule=new, changed=change.changed
        )
    ]
    if change.old_frequency is not None and new.frequency is not None:
        events.append(
            InvoicingFrequencyChanged(
                number=account.number,
                old=change.old_frequency,
                new=new.frequency,
                reset=change.reset,
                first_day=change.first_day,
                fixed_from=change.fixed_from,
            )
        )
        required = requires_modality_change(change, account.bill_type, account.allocation_mode)
        if required and change.first_day is not None and account.master_policies:
            events.append(
                ModalityChangeRequired(
                    number=account.number,
                    master_policies=account.master_policies,
                    old=change.old_frequency,
                    new=new.frequency,
                    first_day=change.first_day,
                )
            )
    if change.seasonal is not None:
        events.append(
            SeasonalGapsChanged(
                number=account.number,
                old=change.seasonal.old,
                new=change.seasonal.new,
                active_period_count=change.seasonal.active_period_count,
            )
        )
    return events


def _saved(account: Account, change: ScheduleChange) -> list[object]:
    """The events of a schedule changed by a command of its own, which tells that the account did (CAL-028)."""
    updated = BillingAccountUpdated(
        number=account.number, preferences=account.preferences, schedule_version=account.schedule_version + 1
    )
    return [*schedule_events(account, change), updated]


def _activation_facts(unit: UnitOfWork, account: Account) -> ActivationFacts:
    owner = unit.load(CUSTOMER, account.owner).state
    payor = unit.load(CUSTOMER, account.payor).state if account.payor else None
    effective = payor or owner
    return ActivationFacts(
        unfit_schedule=unfit_schedule(unit, account),
        payor_given=payor is not None,
        payor_has_address=payor is not None and payor.address is not None,
        address_required=False,
        has_email=effective.email is not None,
        has_address=effective.address is not None,
    )


@handles(ActivateBillingAccount)
def activate_billing_account(command: ActivateBillingAccount, unit: UnitOfWork) -> Outcome:
    account = _main(unit, command.account)
    if account.state.status is not AccountStatus.DRAFT:
        raise refuse("STATE_INVALID", "only a draft account is activated", entity=account.identifier)
    refuse_if_any(activation_problems(account.state, _activation_facts(unit, account.state)))
    unit.append(ACCOUNT, account.identifier, [BillingAccountActivated(number=account.identifier)])
    return Outcome({"account": account.identifier, "status": "ACTIVE"})


@handles(UpdateInvoicePreferences)
def update_invoice_preferences(command: UpdateInvoicePreferences, unit: UnitOfWork) -> Outcome:
    account = _main(unit, command.account)
    require_active(account.state)
    old = account.state.preferences
    new = Preferences(
        command.document_format or old.document_format,
        command.content_type or old.content_type,
        command.delivery_method or old.delivery_method,
        old.consolidated_statement if command.consolidated_statement is None else command.consolidated_statement,
        old.bill_by if command.bill_by is None else command.bill_by,
    )
    reader = unit.load(CUSTOMER, account.state.payor or account.state.owner).state
    problems = delivery_problems(new.delivery_method, reader.email is not None, reader.address is not None)
    refuse_if_any(problems + bill_by_problems(new.bill_by))
    unit.append(ACCOUNT, account.identifier, [BillingAccountUpdated(number=account.identifier, preferences=new)])
    return Outcome({"account": account.identifier})


@handles(CloseBillingAccount)
def close_billing_account(command: CloseBillingAccount, unit: UnitOfWork) -> Outcome:
    account = _main(unit, command.account)
    if not command.reason.strip():
        raise refuse("REASON_REQUIRED", "closing needs a reason", pointer="/reason")
    today = unit.today(account.state.time_zone)
    totals = unit.port(ItemRegister).totals(account.identifier)
    directory = unit.port(Directory)
    facts = ClosingFacts(
        active_products=unit.port(Placements).has_members_from(account.identifier, today)
        or has_products_from(unit.load(INSTALLMENT_SCHEDULES, account.identifier).state, today),
        open_invoices=any(
            row.collectible_due > 0 for row in unit.port(ItemRegister).live_invoices(account.identifier, open_only=True)
        ),
        balances=any(
            (
                totals.due_and_unpaid,
                totals.anyb,
                totals.unapplied,
                totals.member_unapplied,
                totals.member_overpayment,
            )
        ),
        pending_tasks=bool(unit.port(WaitingTasks).on_account(account.identifier)),
        setup_entry=directory.is_setup_account(account.identifier),
    )
    unit.append(ACCOUNT, account.identifier, close(account.state, facts, command.reason, today))
    return Outcome({"account": account.identifier, "status": "CLOSED"})


@handles(ReopenBillingAccount)
def reopen_billing_account(command: ReopenBillingAccount, unit: UnitOfWork) -> Outcome:
    account = _main(unit, command.account)
    if account.state.status is not AccountStatus.CLOSED:
        raise refuse("STATE_INVALID", "only a closed account is reopened", entity=account.identifier)
    refuse_if_any(activation_problems(account.state, _activation_facts(unit, account.state)))
    unit.append(ACCOUNT, account.identifier, [BillingAccountReopened(number=account.identifier)])
    return Outcome({"account": account.identifier, "status": "ACTIVE"})


_HOLD_CHOICES: dict[str, tuple[HoldType, ...]] = {
    "REMINDER_AND_CANCEL_NOTICE": (HoldType.REMINDER_NOTICE, HoldType.CANCEL_NOTICE),
    "ALL_ACTIVITIES": tuple(HoldType),
}


@handles(CreateHold)
def place_hold(command: CreateHold, unit: UnitOfWork) -> Outcome:
    account = _main(unit, command.account)
    today = unit.today(account.state.time_zone)
    kinds = _HOLD_CHOICES.get(command.type) or (HoldType(command.type),)
    events: list[object] = []
    identifiers = []
    for kind in kinds:
        hold_id = f"HOLD-{unit.next_number('hold'):08d}"
        effective = command.effective_date or today
        events += create_hold(account.state, hold_id, kind, command.reason, effective, command.expiration_date, today)
        identifiers.append({"hold_id": hold_id, "type": kind.value})
    unit.append(ACCOUNT, account.identifier, events)
    return Outcome({"account": account.identifier, "holds": identifiers})


@handles(UpdateHold)
def change_hold(command: UpdateHold, unit: UnitOfWork) -> Outcome:
    account = _main(unit, command.account)
    require_active(account.state)
    events = update_hold(
        account.state,
        command.hold_id,
        reason=command.reason,
        effective=command.effective_date,
        expiration=command.expiration_date,
        expiration_given="expiration_date" in command.model_fields_set,
        today=unit.today(account.state.time_zone),
    )
    unit.append(ACCOUNT, account.identifier, events)
    return Outcome({"account": account.identifier, "hold_id": command.hold_id})


@handles(ReleaseHold)
def end_hold(command: ReleaseHold, unit: UnitOfWork) -> Outcome:
    account = _main(unit, command.account)
    today = unit.today(account.state.time_zone)
    unit.append(ACCOUNT, account.identifier, release_hold(account.state, command.hold_id, today))
    return Outcome({"account": account.identifier, "hold_id": command.hold_id})


@handles(RemoveHold)
def take_back_hold(command: RemoveHold, unit: UnitOfWork) -> Outcome:
    account = _main(unit, command.account)
    today = unit.today(account.state.time_zone)
    unit.append(ACCOUNT, account.identifier, remove_hold(account.state, command.hold_id, today))
    return Outcome({"account": account.identifier, "hold_id": command.hold_id})


@handles(ConfigureInvoicingSchedule)
def configure_invoicing_schedule(command: ConfigureInvoicingSchedule, unit: UnitOfWork) -> Outcome:
    account, running = _load_for_schedule(unit, command.account)
    if account.state.status is AccountStatus.CLOSED:
        require_active(account.state)
    change = _schedule_change(unit, account.state, command.schedule.given(), running=running)
    _refuse_schedule(change)
    events = _saved(account.state, change)
    configured = unit.append(ACCOUNT, account.identifier, events)
    state = configured.state
    reached = _reach_members(unit, account.identifier, state.schedule_version, events)
    first = first_start_events(unit, state)
    if first:
        unit.append(ACCOUNT, account.identifier, first)
    tell_next_due_date(unit, account.identifier)
    return Outcome(
        {
            "account": account.identifier,
            "version": state.schedule_version,
            "changed": list(change.changed),
            "reset": list(change.reset),
            "first_day": change.first_day.isoformat() if change.first_day else None,
            "members": len(reached),
        }
    )


def _reach_members(unit: UnitOfWork, number: str, version: int, events: Sequence[object]) -> dict[str, str]:
    """What a change of the schedule means for the members billed to the account (CAL-017, CAL-091)."""
    # These rooms and accounts need each other.
    from application.cascades import change_modality, recalculate_seasonal
    from application.payroll import follow_season

    reached: dict[str, str] = {}
    for happened in events:
        if isinstance(happened, ModalityChangeRequired):
            reached |= change_modality(unit, number, happened.new, happened.first_day, str(version))
        elif isinstance(happened, SeasonalGapsChanged):
            follow_season(unit, unit.load(ACCOUNT, number).state)
            reached |= recalculate_seasonal(unit, number, unit.today(), str(version))
    return reached


@handles(ChangeSeasonalGaps)
def change_seasonal_gaps(command: ChangeSeasonalGaps, unit: UnitOfWork) -> Outcome:
    account, running = _load_for_schedule(unit, command.account)
    require_active(account.state)
    if account.state.schedule is None:
        raise refuse("SCHEDULE_INCOMPLETE", "the account has no schedule", entity=account.identifier)
    facts = schedule_facts(unit, account.state, running)
    change = change_gaps(account.state.schedule, command.seasonal_billing, command.months, facts)
    refuse_if_any([replace(one, pointer=_GAP_MEMBERS.get(one.pointer or "")) for one in change.problems])
    events = _saved(account.state, change)
    changed = unit.append(ACCOUNT, account.identifier, events)
    reached = _reach_members(unit, account.identifier, changed.state.schedule_version, events)
    tell_next_due_date(unit, account.identifier)
    months = list(change.schedule.seasonal_gaps)
    return Outcome({"account": account.identifier, "months": months, "members": len(reached)})


@handles(SetInvoicingStartDate)
def set_invoicing_start_date(command: SetInvoicingStartDate, unit: UnitOfWork) -> Outcome:
    account = _main(unit, command.account)
    require_active(account.state)
    refuse_if_any(
        manual_start_problems(
            command.date, account.state.earliest_effective_date, invoice_exists=bool(account.state.live_periods())
        )
    )
    start = InvoicingStart(command.date, manual=True)
    unit.append(ACCOUNT, account.identifier, [start_set(account.state, start, start_terms(unit, account.state))])
    tell_next_due_date(unit, account.identifier)
    return Outcome({"account": account.identifier, "date": command.date.isoformat()})


@handles(AssignBillingCalendar)
def assign_billing_calendar(command: AssignBillingCalendar, unit: UnitOfWork) -> Outcome:
    account = _main(unit, command.account)
    if account.state.status is AccountStatus.CLOSED:
        require_active(account.state)
    calendar = assignable(load_calendars(unit).state, command.calendar, "/calendar")
    assigned = BillingCalendarAssigned(number=account.identifier, calendar=calendar.name)
    unit.append(ACCOUNT, account.identifier, [assigned])
    return Outcome({"account": account.identifier, "calendar": calendar.name})


def grid_of(account: Account) -> InvoicingGrid:
    """The account's grid, or `ACCOUNT_NOT_OPERATIONAL` before its first product (ACC-020)."""
    if account.grid is None:
        raise refuse("ACCOUNT_NOT_OPERATIONAL", "the account has no product yet", entity=account.number)
    return account.grid
