"""Business calendars, invoicing periods and their dates, payroll calendars, payment plans (02)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import islice
from typing import Any

import strawberry

from api.graphql.accounts import (
    BillingAccount,
    InvoicingSchedule,
    account_of,
    require_account,
    schedule_of,
)
from api.graphql.context import Context
from api.graphql.events import Event, stream_history
from api.graphql.guard import read
from api.graphql.paging import DEFAULT_PAGE, After, Connection, First, page, page_of
from api.graphql.reading import reading
from application.accounts import schedule_facts, try_schedule
from application.calendars import INSTALLATION
from application.register import Directory
from application.settlement import invoicing_terms
from domain.accounts.account import ACCOUNT, Account, InvoicingFrequencyChanged, InvoicingScheduleConfigured
from domain.accounts.account import PeriodStatus as Recorded
from domain.accounts.views import period_history
from domain.calendar.billing_calendars import BILLING_CALENDARS, BillingCalendar
from domain.calendar.generation import PeriodDates, is_late, period_dates
from domain.calendar.invoicing_periods import next_period_to_bill, status_of
from domain.calendar.invoicing_terms import InvoicingTerms
from domain.calendar.payment_plans import PAYMENT_PLANS, PaymentPlan, plan_key
from domain.calendar.payroll_calendars import (
    PAYROLL_CALENDARS,
    DeductionStartShifted,
    PayrollCalendar,
    PayrollVersion,
)
from domain.calendar.periods import Period
from domain.calendar.schedule_options import Range, schedule_options
from domain.calendar.schedule_versions import ScheduleVersion as StoredVersion
from domain.calendar.schedule_versions import version_in_force
from domain.calendar.seasonal import is_gap
from domain.errors import refuse, refuse_if_any
from domain.invoices.invoice import INVOICE, InvoiceInitialised
from projections.register.reads import ACCOUNTS_ON_CALENDAR

_DAY = dt.timedelta(days=1)
#: Periods of a preview unless told otherwise, and at most.
_PREVIEW, _LONGEST_PREVIEW = 12, 36


@strawberry.type(description="A calendar of working days (CAL-001).")
class WorkingCalendar:
    name: str = strawberry.field(description="Its name.")
    weekend_days: list[int] = strawberry.field(description="ISO weekdays, 1 Monday to 7 Sunday.")
    holidays: list[dt.date] = strawberry.field(description="Holidays.")
    working_weekends: list[dt.date] = strawberry.field(description="Weekend days that are worked.")
    execution_time: str = strawberry.field(description="HH:MM in the time zone of each account.")
    active: bool = strawberry.field(description="Whether it takes new assignments.")
    default: bool = strawberry.field(description="Whether new accounts get it.")
    number_of_days_ahead: int | None = strawberry.field(description="How many days ahead invoices are generated.")
    _state: strawberry.Private[BillingCalendar]

    @strawberry.field(description="Whether a day is a working day (CAL-004).")
    def is_working_day(self, day: dt.date) -> bool:
        return self._state.days.is_working_day(day)

    @strawberry.field(description="The accounts that refer to it, by number, each with its schedule (CAL-010).")
    def linked_accounts(
        self, info: strawberry.Info, first: First = DEFAULT_PAGE, after: After = None
    ) -> Connection[BillingAccount]:
        return page(info.context, ACCOUNTS_ON_CALENDAR, {"calendar": self.name}, first, after, account_of)

    @strawberry.field(description="What happened to it: who defined, changed or ruled what, and when (CAL-010).")
    def history(self, info: strawberry.Info, first: First = DEFAULT_PAGE, after: After = None) -> Connection[Event]:
        stream = BILLING_CALENDARS.stream(INSTALLATION)
        return stream_history(info.context, [stream], first, after, None, self.name)

    @strawberry.field(description="How many accounts refer to it (CAL-009).")
    def accounts(self, info: strawberry.Info) -> int:
        context: Context = info.context
        return context.port(Directory).accounts_on_calendar(self.name)


@strawberry.type(description="An invoicing period with its dates (CAL-049, CAL-068).")
class InvoicingPeriod:
    number: int = strawberry.field(description="Its number, from 1 for the account's earliest period.")
    from_: dt.date = strawberry.field(name="from", description="Its first day.")
    to: dt.date = strawberry.field(description="Its last day.")
    status: str = strawberry.field(description="PLANNED, OPEN, INVOICED, DISCARDED or GAP.")
    computed_due_date: dt.date = strawberry.field(description="The due date by the schedule.")
    due_date: dt.date | None = strawberry.field(description="The due date of its invoice.")
    generation_date: dt.date = strawberry.field(description="From when its invoice is generated.")
    window_end: dt.date = strawberry.field(description="The last day of the generation window.")
    draft_date: dt.date | None = strawberry.field(description="When a draft is made.")
    late: bool = strawberry.field(description="Whether the window passed without an invoice.")
    invoice: str | None = strawberry.field(description="Its invoice.")
    frequency: str = strawberry.field(description="The frequency of its sequence.")
    partial: bool = strawberry.field(description="Whether it is a stub in front of, or cut by, another frequency.")
    anchor: dt.date = strawberry.field(description="The day from which the periods of its sequence are counted.")
    corrections: list[str] = strawberry.field(description="PAST_DATE, BUSINESS_DAY, SEQUENCE: why the due date moved.")


@strawberry.input(description="Values of an invoicing schedule to try out; what is left out keeps its value.")
class ProposedSchedule:
    frequency: str | None = strawberry.field(default=None, description="The invoicing frequency.")
    due_day_mode: str | None = strawberry.field(default=None, description="How the due day is found.")
    due_days: list[int] | None = strawberry.field(default=None, description="The due days of CALENDAR_DAY.")
    day_offset: int | None = strawberry.field(default=None, description="Days added to the period start.")
    timing: str | None = strawberry.field(default=None, description="ON_TIME, ADVANCE or ARREARS.")
    due_date_offset: int | None = strawberry.field(default=None, description="Months or cycles between both.")
    generation_option: str | None = strawberry.field(default=None, description="DAY_OF_MONTH or UNITS_IN_ADVANCE.")
    generation_day: int | None = strawberry.field(default=None, description="The day of DAY_OF_MONTH.")
    generation_month_offset: int | None = strawberry.field(default=None, description="Months before the due date's.")
    generation_units: int | None = strawberry.field(default=None, description="Units of UNITS_IN_ADVANCE.")
    generation_unit: str | None = strawberry.field(default=None, description="DAYS, WEEKS or MONTHS.")
    generation_window: int | None = strawberry.field(default=None, description="Units of the generation window.")
    generation_window_unit: str | None = strawberry.field(default=None, description="DAYS, WEEKS or MONTHS.")
    advanced_mode: bool | None = strawberry.field(default=None, description="Whether the advanced values apply.")
    seasonal_billing: bool | None = strawberry.field(default=None, description="Whether there are gap months.")
    seasonal_gaps: list[int] | None = strawberry.field(default=None, description="The gap months, 1 to 12.")
    draft_automation: bool | None = strawberry.field(default=None, description="Whether drafts are made.")
    draft_offset_days: int | None = strawberry.field(default=None, description="Days from draft to generation.")


@strawberry.type(description="Whole numbers from one to another, both included.")
class IntegerRange:
    low: int = strawberry.field(description="The least.")
    high: int = strawberry.field(description="The greatest.")


@strawberry.type(description="What may be chosen for a schedule as it stands; what is not among it is refused.")
class ScheduleOptions:
    frequencies: list[str] = strawberry.field(description="Frequencies.")
    due_day_modes: list[str] = strawberry.field(description="Due-day modes of the frequency.")
    primary_due_days: list[int] = strawberry.field(description="Days of the due day, or of the first of two.")
    secondary_due_days: list[int] = strawberry.field(description="Days of the second; none before the first is chosen.")
    timings: list[str] = strawberry.field(description="Timings.")
    generation_options: list[str] = strawberry.field(description="Ways to find the generation date.")
    generation_unit_kinds: list[str] = strawberry.field(description="Units of UNITS_IN_ADVANCE.")
    day_offset: IntegerRange = strawberry.field(description="Days added to the period start.")
    due_date_offset: IntegerRange = strawberry.field(description="Months or cycles of the due-date offset.")
    generation_units: IntegerRange = strawberry.field(description="How many units of the chosen kind.")
    generation_window: IntegerRange = strawberry.field(description="How many units of the window.")
    editable: list[str] = strawberry.field(description="The attributes that may be set at all.")
    gaps_locked: bool = strawberry.field(description="Whether invoices fix the gap months (CAL-090).")
    reset: list[str] = strawberry.field(description="The attributes that the chosen frequency resets (CAL-031).")


@strawberry.type(description="A version of an account's invoicing schedule (CAL-027).")
class ScheduleVersion:
    version: int = strawberry.field(description="Its number, from 1.")
    author: str = strawberry.field(description="Who stored it.")
    business_date: dt.date = strawberry.field(description="From when it is meant to hold.")
    recorded_at: dt.datetime = strawberry.field(description="When it was stored.")
    frequency: str | None = strawberry.field(description="Its frequency.")
    due_day_mode: str | None = strawberry.field(description="How its due day is found.")
    due_days: list[int] = strawberry.field(description="Its due days.")
    seasonal_gaps: list[int] = strawberry.field(description="Its gap months.")
    changed: list[str] = strawberry.field(description="The attributes with another value than before.")
    reset: list[str] = strawberry.field(description="The attributes that a change of frequency reset.")
    first_day: dt.date | None = strawberry.field(description="The first day of the new sequence of its frequency.")


@strawberry.type(description="What the last rewrite did to a deduction start (CAL-119).")
class DeductionShift:
    old_start: dt.date = strawberry.field(description="The start before.")
    new_start: dt.date = strawberry.field(description="The start after.")
    unit: str = strawberry.field(description="MONTHS or DAYS.")
    amount: int = strawberry.field(description="By how many; negative: earlier.")


@strawberry.type(description="A payroll deduction calendar of an account (CAL-100 to CAL-119).")
class PayrollDeductions:
    number: int = strawberry.field(description="Its number on the account.")
    status: str = strawberry.field(description="DRAFT, CONFIRMED, LOCKED or INACTIVE.")
    payroll_frequency: str = strawberry.field(description="The frequency it serves.")
    start_date: dt.date = strawberry.field(description="From when deductions are made.")
    payroll_days: list[int] = strawberry.field(description="Its days.")
    draft: bool = strawberry.field(description="Whether this version waits for confirmation.")
    frozen_to: dt.date | None = strawberry.field(description="Dates up to this day are invoiced and stay.")
    dates: list[dt.date] = strawberry.field(description="Deduction dates to the horizon.")
    last_shift: DeductionShift | None = strawberry.field(description="The last shift by a rewrite.")


@strawberry.type(description="A payment plan (CAL-120).")
class InstallmentPlan:
    code: str = strawberry.field(description="Its code.")
    uri: str = strawberry.field(description="The URI by which purchases name it.")
    description: str = strawberry.field(description="What it is.")
    type: str = strawberry.field(description="Its type.")
    frequency: str = strawberry.field(description="How often an installment is due.")
    max_installments: int | None = strawberry.field(description="Installments at most; null: as many as fit.")
    due_day_type: str = strawberry.field(description="What its due days are.")
    effective_date: dt.date = strawberry.field(description="The first day it may be used.")
    expiration_date: dt.date | None = strawberry.field(description="The first day it may not be used; null: open.")
    status: str = strawberry.field(description="SCHEDULED, AVAILABLE or EXPIRED today.")


def _calendar(one: BillingCalendar, default: str | None) -> WorkingCalendar:
    return WorkingCalendar(
        name=one.name,
        weekend_days=sorted(one.days.weekend_days),
        holidays=sorted(one.days.holidays),
        working_weekends=sorted(one.days.working_weekends),
        execution_time=one.execution_time,
        active=one.active,
        default=one.name == default,
        number_of_days_ahead=one.number_of_days_ahead,
        _state=one,
    )


def _account(context: Context, number: str) -> Account:
    loaded = context.state(ACCOUNT, require_account(context, number))
    assert loaded is not None
    return loaded.state


def _terms(context: Context, account: Account) -> InvoicingTerms:
    terms = invoicing_terms(reading(context), account)
    if terms is None:
        raise refuse("ACCOUNT_NOT_OPERATIONAL", "there is no product or no complete schedule", pointer="/account")
    return terms


def _period(
    account: Account,
    terms: InvoicingTerms,
    dates: PeriodDates,
    today: dt.date,
    corrections: Mapping[str, tuple[str, ...]],
) -> InvoicingPeriod:
    grid, earliest = account.grid, account.earliest_day
    assert grid is not None
    assert earliest is not None
    period = dates.period
    record = account.periods.get(period.start)
    history = period_history(account)
    if min(dates.draft_date or dates.generation_date, dates.generation_date) <= today:
        due = next_period_to_bill(grid, earliest, history, account.seasonal_gaps)
        history = replace(history, opened=frozenset({due.start}))
    status = status_of(period, history, account.seasonal_gaps)
    invoiced = record is not None and record.status is Recorded.INVOICED
    sequence = grid.sequences[grid.sequence_index(period.start)]
    return InvoicingPeriod(
        number=grid.number_of(period.start, earliest),
        from_=period.start,
        to=period.to,
        status=str(status),
        computed_due_date=dates.computed_due_date,
        due_date=record.due_date if record is not None and invoiced else None,
        generation_date=dates.generation_date,
        window_end=dates.window_end,
        draft_date=dates.draft_date,
        late=not invoiced and status != "GAP" and is_late(terms.schedule, dates.generation_date, today),
        invoice=record.invoice if record is not None else None,
        frequency=str(sequence.frequency),
        partial=period.partial,
        anchor=sequence.first_day,
        corrections=list(corrections.get(record.invoice or "", ())) if record is not None else [],
    )


def _periods(
    context: Context, account: Account, first: Period, count: int, terms: InvoicingTerms | None = None
) -> list[InvoicingPeriod]:
    terms = terms or _terms(context, account)
    today = context.today(account.time_zone)
    found = list(islice(period_dates(terms, first), count))
    starts = {one.period.start for one in found}
    invoices = [one.invoice for one in account.periods.values() if one.start in starts and one.invoice is not None]
    corrections = _corrections(context, invoices)
    return [_period(account, terms, dates, today, corrections) for dates in found]


def _corrections(context: Context, invoices: list[str]) -> dict[str, tuple[str, ...]]:
    """By invoice, why its due date is not the computed one (CAL-065)."""
    found = context.history.of_types([INVOICE.stream(number) for number in invoices], InvoiceInitialised)
    return {issued.number: tuple(issued.due_date_corrections) for _, issued in found}


def _given(proposed: ProposedSchedule | None) -> dict[str, object]:
    """The values that were proposed, by name."""
    return {} if proposed is None else {name: one for name, one in asdict(proposed).items() if one is not None}


def _range(numbers: Range) -> IntegerRange:
    return IntegerRange(low=numbers.low, high=numbers.high)


def _proposed(context: Context, account: Account, proposed: ProposedSchedule) -> Account:
    """The account as it would be with proposed values; refused with the codes a command would be refused with."""
    change = try_schedule(reading(context), account, _given(proposed))
    refuse_if_any(change.problems)
    grid = change.grid or account.grid
    return replace(account, schedule=change.schedule, grid=grid)


def _schedule_history(context: Context, account: str) -> list[ScheduleVersion]:
    """The versions of a schedule from the events that stored them, latest first (CAL-027)."""
    versions: list[ScheduleVersion] = []
    changes: dict[object, InvoicingFrequencyChanged] = {}
    stored: list[tuple[dict[str, Any], InvoicingScheduleConfigured]] = []
    kinds = (InvoicingScheduleConfigured, InvoicingFrequencyChanged)
    for row, happened in context.history.of_types([ACCOUNT.stream(account)], *kinds):
        if isinstance(happened, InvoicingFrequencyChanged):
            changes[row["command_id"]] = happened
        else:
            stored.append((row, happened))
    for row, happened in reversed(stored):
        changed = changes.get(row["command_id"])
        schedule = happened.schedule
        versions.append(
            ScheduleVersion(
                version=happened.version,
                author=row["actor"],
                business_date=row["effective_date"],
                recorded_at=row["recorded_at"],
                frequency=None if schedule.frequency is None else str(schedule.frequency),
                due_day_mode=None if schedule.due_day_mode is None else str(schedule.due_day_mode),
                due_days=list(schedule.due_days),
                seasonal_gaps=list(schedule.seasonal_gaps),
                changed=list(happened.changed),
                reset=list(changed.reset) if changed is not None else [],
                first_day=changed.first_day if changed is not None else None,
            )
        )
    return versions


def _stored_versions(context: Context, account: str) -> list[StoredVersion]:
    """The versions of a schedule in the order of their recording."""
    found = context.history.of_types([ACCOUNT.stream(account)], InvoicingScheduleConfigured)
    return [
        StoredVersion(happened.version, happened.schedule, row["effective_date"], row["recorded_at"])
        for row, happened in found
    ]


def _last_shifts(context: Context, account: str) -> dict[int, DeductionShift]:
    """By payroll calendar, the last shift of its deduction start."""
    found = context.history.of_types([PAYROLL_CALENDARS.stream(account)], DeductionStartShifted)
    return {
        shift.number: DeductionShift(
            old_start=shift.old_start, new_start=shift.new_start, unit=str(shift.unit), amount=shift.amount
        )
        for _, shift in found
    }


def _is_suppressed(account: Account, day: dt.date) -> bool:
    """Whether a deduction date lies in a gap period (CAL-094)."""
    return account.grid is not None and is_gap(account.grid.period_at(day), account.seasonal_gaps)


def _payroll(
    calendar: PayrollCalendar,
    version: PayrollVersion,
    draft: bool,
    dates: list[dt.date],
    shift: DeductionShift | None,
) -> PayrollDeductions:
    return PayrollDeductions(
        number=calendar.number,
        status=str(calendar.status),
        payroll_frequency=str(version.pattern.frequency),
        start_date=version.pattern.start_date,
        payroll_days=list(version.pattern.payroll_days or ()),
        draft=draft,
        frozen_to=version.invoiced_to,
        dates=dates,
        last_shift=shift,
    )


def _plan(plan: PaymentPlan, today: dt.date) -> InstallmentPlan:
    return InstallmentPlan(
        code=plan.code,
        uri=plan.uri,
        description=plan.description,
        type=str(plan.type),
        frequency=str(plan.frequency),
        max_installments=plan.max_installments,
        due_day_type=str(plan.due_day_type),
        effective_date=plan.effective_date,
        expiration_date=plan.expiration_date,
        status=str(plan.status_on(today)),
    )


@strawberry.type
class CalendarQueries:
    """The root fields of calendars."""

    @read("calendar.view", "One business calendar by its name; null when there is none.")
    def billing_calendar(self, info: strawberry.Info, name: str) -> WorkingCalendar | None:
        loaded = info.context.state(BILLING_CALENDARS, INSTALLATION)
        found = loaded.state.find(name) if loaded is not None else None
        return None if found is None else _calendar(found, loaded.state.default)

    @read("calendar.view", "Business calendars by name.")
    def billing_calendars(
        self, info: strawberry.Info, name: str | None = None, active: bool | None = None
    ) -> list[WorkingCalendar]:
        loaded = info.context.state(BILLING_CALENDARS, INSTALLATION)
        if loaded is None:
            return []
        found = sorted(loaded.state.by_key.values(), key=lambda one: one.name)
        return [
            _calendar(one, loaded.state.default)
            for one in found
            if (name is None or name.casefold() in one.name.casefold()) and active in (None, one.active)
        ]

    @read(
        "schedule.view",
        "The invoicing schedule of an account, as it was known at a recorded instant, and of its versions the one that"
        " goes on a business day (CAL-027).",
    )
    def invoicing_schedule(
        self, info: strawberry.Info, account: str, as_of: dt.datetime | None = None, on: dt.date | None = None
    ) -> InvoicingSchedule | None:
        context: Context = info.context
        number = require_account(context, account)
        state = _account(context, number) if as_of is None else context.history.state_at(ACCOUNT, number, as_of)
        if state is None or on is None:
            return None if state is None else schedule_of(state)
        version = version_in_force(_stored_versions(context, number), business_date=on, recorded_by=as_of)
        if version is None:
            return None
        gaps = version.schedule.seasonal_gaps
        return schedule_of(
            replace(state, schedule=version.schedule, schedule_version=version.number, seasonal_gaps=gaps)
        )

    @read(
        "schedule.view",
        "The dates of the periods to be billed next, 12 unless told, at most 36; with `proposed` as they would be, or"
        " refused with the codes that a change to these values would be refused with.",
    )
    def schedule_preview(
        self,
        info: strawberry.Info,
        account: str,
        periods: int = _PREVIEW,
        proposed: ProposedSchedule | None = None,
    ) -> list[InvoicingPeriod]:
        if not 1 <= periods <= _LONGEST_PREVIEW:
            raise refuse("REQUEST_INVALID", f"1 to {_LONGEST_PREVIEW} periods", pointer="/periods")
        state = _account(info.context, account)
        if proposed is not None:
            state = _proposed(info.context, state, proposed)
        terms = _terms(info.context, state)
        settled = state.settled_starts()
        first = next(one for one in terms.grid.periods_from(terms.earliest) if one.start not in settled)
        return _periods(info.context, state, first, periods, terms)

    @read(
        "schedule.view",
        "The options a schedule page offers as somebody edits: those of the account's schedule, or with `proposed` of"
        " the values chosen so far.",
    )
    def schedule_options(
        self, info: strawberry.Info, account: str, proposed: ProposedSchedule | None = None
    ) -> ScheduleOptions:
        unit = reading(info.context)
        state = _account(info.context, account)
        change = try_schedule(unit, state, _given(proposed))
        facts = schedule_facts(unit, state)
        found = schedule_options(
            change.schedule, facts.bill_type, facts.parameters, seasonal_locked=facts.seasonal_locked
        )
        return ScheduleOptions(
            frequencies=[str(one) for one in found.frequencies],
            due_day_modes=[str(one) for one in found.due_day_modes],
            primary_due_days=list(found.primary_days),
            secondary_due_days=list(found.secondary_days),
            timings=[str(one) for one in found.timings],
            generation_options=[str(one) for one in found.generation_options],
            generation_unit_kinds=[str(one) for one in found.generation_units],
            day_offset=_range(found.day_offset),
            due_date_offset=_range(found.due_date_offset),
            generation_units=_range(found.units),
            generation_window=_range(found.window),
            editable=list(found.editable),
            gaps_locked=found.gaps_locked,
            reset=list(change.reset),
        )

    @read("schedule.view", "The versions of an account's invoicing schedule, latest first.")
    def schedule_history(
        self, info: strawberry.Info, account: str, first: First = DEFAULT_PAGE, after: After = None
    ) -> Connection[ScheduleVersion]:
        number = require_account(info.context, account)
        found = _schedule_history(info.context, number)
        return page_of(found, f"schedule history {number}", first, after, lambda one: one)

    @read("schedule.view", "The invoicing periods of an account from its earliest or a given day on.")
    def invoicing_periods(
        self,
        info: strawberry.Info,
        account: str,
        first: First = 24,
        date_from: dt.date | None = None,
        date_to: dt.date | None = None,
        status: str | None = None,
    ) -> list[InvoicingPeriod]:
        if not 1 <= first <= 120:
            raise refuse("REQUEST_INVALID", "1 to 120 periods", pointer="/first")
        state = _account(info.context, account)
        terms = _terms(info.context, state)
        start = terms.grid.period_at(max(date_from or terms.earliest, terms.earliest))
        found = _periods(info.context, state, start, first)
        return [one for one in found if (date_to is None or one.from_ <= date_to) and status in (None, one.status)]

    @read("schedule.view", "The invoicing period that holds a day; null before the first.")
    def invoicing_period_at(self, info: strawberry.Info, account: str, day: dt.date) -> InvoicingPeriod | None:
        state = _account(info.context, account)
        terms = _terms(info.context, state)
        if day < terms.grid.period_at(terms.earliest).start:
            return None
        return _periods(info.context, state, terms.grid.period_at(day), 1)[0]

    @read(
        "schedule.view",
        "The payroll calendars of an account, drafts beside the version in force; dates in gap periods are left out"
        " unless `gaps`.",
    )
    def payroll_calendars(
        self,
        info: strawberry.Info,
        account: str,
        payroll_frequency: str | None = None,
        inactive: bool = False,
        gaps: bool = False,
    ) -> list[PayrollDeductions]:
        number = require_account(info.context, account)
        loaded = info.context.state(PAYROLL_CALENDARS, number)
        if loaded is None:
            return []
        state = _account(info.context, number)
        shifts = _last_shifts(info.context, number)
        return [
            _payroll(
                calendar,
                version,
                draft,
                [day for day in version.dates if gaps or not _is_suppressed(state, day)],
                shifts.get(calendar.number),
            )
            for calendar in loaded.state.by_number.values()
            for version, draft in ((calendar.confirmed, False), (calendar.draft, True))
            if version is not None
            and (inactive or calendar.active)
            and payroll_frequency in (None, version.pattern.frequency)
        ]

    @read("payment_plan.view", "One payment plan by code or URI (CAL-139).")
    def payment_plan(self, info: strawberry.Info, code: str | None = None, uri: str | None = None) -> InstallmentPlan:
        if (code is None) == (uri is None) or not (code or uri or "").strip():
            raise refuse("REQUEST_INVALID", "a code or a URI", pointer="/code")
        key = plan_key(code) if code is not None else info.context.port(Directory).plan_of_uri(uri or "")
        loaded = None if key is None else info.context.state(PAYMENT_PLANS, key)
        if loaded is None or loaded.state is None:
            raise refuse("ENTITY_NOT_FOUND", "there is no such payment plan", pointer="/code")
        return _plan(loaded.state, info.context.today())

    @read("payment_plan.view", "Payment plans by code: all, or those a purchase on a day may use.")
    def payment_plans(self, info: strawberry.Info, available_on: dt.date | None = None) -> list[InstallmentPlan]:
        keys = info.context.port(Directory).plans()
        plans = [loaded.state for loaded in info.context.history.states(PAYMENT_PLANS, keys).values()]
        today = info.context.today()
        return [
            _plan(plan, today)
            for plan in sorted(plans, key=lambda one: one.code)
            if available_on is None or plan.status_on(available_on) == "AVAILABLE"
        ]
