"""Business calendars, invoicing periods and their dates, payroll calendars, payment plans and installments (02)."""

from __future__ import annotations

import datetime as dt
from itertools import islice

import strawberry

from api.graphql.accounts import InvoicingSchedule, require_account, schedule_of
from api.graphql.context import Context
from api.graphql.guard import read
from api.graphql.paging import DEFAULT_PAGE, After, Connection, First, page_of
from api.graphql.reading import reading
from api.graphql.scalars import Money, money
from application.calendars import INSTALLATION
from application.register import Directory
from application.settlement import invoicing_terms
from domain.accounts.account import ACCOUNT, Account
from domain.accounts.account import PeriodStatus as Recorded
from domain.calendar.billing_calendars import BILLING_CALENDARS, BillingCalendar
from domain.calendar.generation import PeriodDates, is_late, period_dates
from domain.calendar.installment_schedules import INSTALLMENT_SCHEDULES
from domain.calendar.invoicing_periods import PeriodHistory, status_of
from domain.calendar.invoicing_terms import InvoicingTerms
from domain.calendar.payment_plans import PAYMENT_PLANS, PaymentPlan, plan_key
from domain.calendar.payroll_calendars import PAYROLL_CALENDARS, PayrollCalendar, PayrollVersion
from domain.calendar.periods import Period
from domain.errors import refuse
from infrastructure.event_store import streams as stream_store

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

    @strawberry.field(description="How many accounts refer to it (CAL-009).")
    def accounts(self, info: strawberry.Info) -> int:
        return reading(info.context).port(Directory).accounts_on_calendar(self.name)


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


@strawberry.type(description="A payment plan (CAL-120).")
class InstallmentPlan:
    code: str
    uri: str
    description: str
    type: str
    frequency: str
    max_installments: int | None
    due_day_type: str
    effective_date: dt.date
    expiration_date: dt.date | None = strawberry.field(description="The first day it may not be used; null: open.")
    status: str = strawberry.field(description="SCHEDULED, AVAILABLE or EXPIRED today.")


@strawberry.type(description="What an installment bills of one item.")
class InstallmentPart:
    item: str
    amount: Money


@strawberry.type(description="An installment of an account (CAL-135).")
class InstallmentLine:
    number: int
    product: str
    type: str
    due_date: dt.date
    amount: Money
    parts: list[InstallmentPart]
    billed_to_date: dt.date | None = strawberry.field(description="Exclusive.")
    state: str = strawberry.field(description="UNBILLED or BILLED.")
    superseded: bool = strawberry.field(description="Whether its invoice was discarded and another one stands for it.")
    replaces: int | None
    invoice: str | None


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


def _history(account: Account) -> PeriodHistory:
    by_status: dict[Recorded, set[dt.date]] = {}
    for record in account.periods.values():
        by_status.setdefault(record.status, set()).add(record.start)
    invoiced = by_status.get(Recorded.INVOICED, set())
    return PeriodHistory(
        invoiced=frozenset(invoiced),
        ever_invoiced=frozenset(invoiced | by_status.get(Recorded.DISCARDED, set())),
        passed_over=frozenset(by_status.get(Recorded.SKIPPED_ZERO, set())),
    )


def _period(account: Account, terms: InvoicingTerms, dates: PeriodDates, today: dt.date) -> InvoicingPeriod:
    grid, earliest = account.grid, account.earliest_day
    assert grid is not None
    assert earliest is not None
    period = dates.period
    record = account.periods.get(period.start)
    status = status_of(period, _history(account), account.seasonal_gaps)
    invoiced = record is not None and record.status is Recorded.INVOICED
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
        frequency=str(grid.sequences[grid.sequence_index(period.start)].frequency),
    )


def _periods(context: Context, account: Account, first: Period, count: int) -> list[InvoicingPeriod]:
    terms = _terms(context, account)
    today = context.today(account.time_zone)
    return [_period(account, terms, dates, today) for dates in islice(period_dates(terms, first), count)]


def _payroll(calendar: PayrollCalendar, version: PayrollVersion, draft: bool) -> PayrollDeductions:
    return PayrollDeductions(
        number=calendar.number,
        status=str(calendar.status),
        payroll_frequency=str(version.pattern.frequency),
        start_date=version.pattern.start_date,
        payroll_days=list(version.pattern.payroll_days or ()),
        draft=draft,
        frozen_to=version.invoiced_to,
        dates=list(version.dates),
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

    @read("schedule.view", "The invoicing schedule of an account, as it was known at a recorded instant.")
    def invoicing_schedule(
        self, info: strawberry.Info, account: str, as_of: dt.datetime | None = None
    ) -> InvoicingSchedule | None:
        number = require_account(info.context, account)
        if as_of is None:
            return schedule_of(_account(info.context, number))
        stream = ACCOUNT.stream(number)
        [found] = info.context.session.fetch(
            "select coalesce(max(stream_position), 0) as version from event"
            " where stream = %(stream)s and recorded_at <= %(as_of)s",
            {"stream": stream, "as_of": as_of},
        )
        if not found["version"]:
            return None
        [rows] = info.context.connection.round_trip(stream_store.up_to_call(stream, found["version"]))
        [(_, folded)] = stream_store.fold_rows(ACCOUNT, rows)
        return schedule_of(folded.state)

    @read("schedule.view", "The dates of the periods to be billed next, 12 unless told, at most 36.")
    def schedule_preview(self, info: strawberry.Info, account: str, periods: int = _PREVIEW) -> list[InvoicingPeriod]:
        if not 1 <= periods <= _LONGEST_PREVIEW:
            raise refuse("REQUEST_INVALID", f"1 to {_LONGEST_PREVIEW} periods", pointer="/periods")
        state = _account(info.context, account)
        terms = _terms(info.context, state)
        settled = state.settled_starts()
        first = next(one for one in terms.grid.periods_from(terms.earliest) if one.start not in settled)
        return _periods(info.context, state, first, periods)

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

    @read("schedule.view", "The payroll calendars of an account, drafts beside the version in force.")
    def payroll_calendars(
        self, info: strawberry.Info, account: str, payroll_frequency: str | None = None, inactive: bool = False
    ) -> list[PayrollDeductions]:
        loaded = info.context.state(PAYROLL_CALENDARS, require_account(info.context, account))
        if loaded is None:
            return []
        return [
            _payroll(calendar, version, draft)
            for calendar in loaded.state.by_number.values()
            for version, draft in ((calendar.confirmed, False), (calendar.draft, True))
            if version is not None
            and (inactive or calendar.active)
            and payroll_frequency in (None, version.pattern.frequency)
        ]

    @read("payment_plan.view", "One payment plan by code or URI; null when there is none.")
    def payment_plan(
        self, info: strawberry.Info, code: str | None = None, uri: str | None = None
    ) -> InstallmentPlan | None:
        if (code is None) == (uri is None):
            raise refuse("REQUEST_INVALID", "a code or a URI", pointer="/code")
        key = plan_key(code) if code is not None else reading(info.context).port(Directory).plan_of_uri(uri or "")
        loaded = None if key is None else info.context.state(PAYMENT_PLANS, key)
        return None if loaded is None else _plan(loaded.state, info.context.today())

    @read("payment_plan.view", "Payment plans by code: all, or those a purchase on a day may use.")
    def payment_plans(self, info: strawberry.Info, available_on: dt.date | None = None) -> list[InstallmentPlan]:
        keys = reading(info.context).port(Directory).plans()
        plans = [loaded.state for loaded in info.context.states(PAYMENT_PLANS, keys).values()]
        today = info.context.today()
        return [
            _plan(plan, today)
            for plan in sorted(plans, key=lambda one: one.code)
            if available_on is None or plan.status_on(available_on) == "AVAILABLE"
        ]

    @read("installment.view", "The installments of an account by due date, then number.")
    def installment_schedule(
        self,
        info: strawberry.Info,
        account: str,
        first: First = DEFAULT_PAGE,
        after: After = None,
        state: str | None = None,
        product: str | None = None,
        due_from: dt.date | None = None,
        due_to: dt.date | None = None,
    ) -> Connection[InstallmentLine]:
        number = require_account(info.context, account)
        currency = _account(info.context, number).currency
        loaded = info.context.state(INSTALLMENT_SCHEDULES, number)
        lines = [] if loaded is None else list(loaded.state.by_number.values())
        found = sorted(
            (
                one
                for one in lines
                if state in (None, one.state)
                and product in (None, one.product)
                and (due_from is None or one.component.due_date >= due_from)
                and (due_to is None or one.component.due_date <= due_to)
            ),
            key=lambda one: (one.component.due_date, one.component.number),
        )
        name = f"installments {number} {state} {product} {due_from} {due_to}"
        return page_of(
            found,
            name,
            first,
            after,
            lambda one: InstallmentLine(
                number=one.component.number,
                product=one.product,
                type=str(one.component.type),
                due_date=one.component.due_date,
                amount=money(one.component.amount, currency),
                parts=[
                    InstallmentPart(item=part.item, amount=money(part.amount, currency)) for part in one.component.parts
                ],
                billed_to_date=one.component.billed_to_date,
                state=str(one.state),
                superseded=one.superseded,
                replaces=one.replaces,
                invoice=one.invoice,
            ),
        )
