"""Invoices: generation, discard and regeneration (INV-010 to INV-152).

A generation is one unit of work: choose the period, price every member on the account, take what earlier invoices left
unbilled, match credits with charges, fix the statement, number and issue; then use money that waits on the account. The
account's lock makes its processes run one after another; a second process on the same account is refused, not queued.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

from pydantic import Field

from application.command import Command, Identifier, Outcome, command, handles
from application.invoice_terms import terms_of_items
from application.members import facts_of, invoiced_amounts, publish
from application.parameters import account_keys, parameters_in_force
from application.payments import allocated_items, configuration_of, kind_of, open_account, use_overpayment
from application.pricing import account_terms
from application.reconciliation import Reconciled, reconcile_issue, undo_pairs, write
from application.register import Directory, ItemRegister, Placements, StatementWindow
from application.settlement import invoicing_terms, settle
from application.tasks import close_tasks
from application.unit_of_work import Loaded, UnitOfWork
from domain.accounts.account import (
    ACCOUNT,
    Account,
    InvoicingPeriodDiscarded,
    InvoicingPeriodInvoiced,
    InvoicingPeriodSkipped,
    PeriodStatus,
    failure_behind,
    period_of,
)
from domain.balances.statement import (
    AfterIssue,
    NewCharges,
    OpenItemsSide,
    StatementDetail,
    Window,
    statement,
)
from domain.calendar.billing_calendars import BILLING_CALENDARS
from domain.calendar.business_calendar import BusinessCalendar, BusinessDayRule
from domain.calendar.due_dates import DueDate, final_due_date
from domain.calendar.generation import due_for_generation, generation_date, is_late
from domain.calendar.installment_schedules import (
    INSTALLMENT_SCHEDULES,
    Installment,
    InstallmentState,
    bill,
    replacements,
    supersede,
)
from domain.calendar.installments import anniversary_date
from domain.calendar.periods import Period
from domain.customers.customer import CUSTOMER
from domain.errors import refuse, refuse_if_any
from domain.invoices.billing import LineCollector, billed_amounts
from domain.invoices.installment_lines import installment_columns, installment_due_date, installments_period
from domain.invoices.invoice import (
    INVOICE,
    AnybConsumed,
    GenerationSource,
    Invoice,
    InvoiceBalancesCalculated,
    InvoiceBasis,
    InvoiceDiscarded,
    InvoiceInitialised,
    InvoiceIssued,
    InvoiceProjected,
    InvoiceRegenerated,
    ItemsReturnedToPending,
    StatementAmounts,
    check_discardable,
    regeneration_problems,
    runtime_status,
)
from domain.invoices.lines import LineChunk, LineColumns, LineTerms
from domain.invoices.target import check_invoicing, check_requested, not_next, target_period
from domain.members.events import MemberAnybChanged
from domain.members.record import MEMBER_RECORD, MemberRecord, active_timeline
from domain.money import format_amount
from domain.payments.classification import Category, Cause
from domain.payments.configuration import Autoconsumption
from domain.payments.consumption import Consumable, consume, use_member_money
from domain.payments.distribution import Distribution, allocate
from domain.payments.payment import PAYMENT
from domain.payments.unallocation import allocate_member_money, unallocate_discarded
from domain.platform.parameters import numbered
from domain.premium.account_terms import AccountTerms
from domain.premium.anyb import member_anyb
from domain.premium.charges import Charge, ChargeKey, charges_billed_in
from domain.premium.explanation import LocationLine, location_lines
from domain.premium.timeline import Timeline
from domain.products.master_policy import MASTER_POLICY, MasterPolicy

_logger: Final = logging.getLogger(__name__)
#: Members priced at a time: bounds the memory of a generation whatever the size of the group.
MEMBERS_AT_A_TIME = 2_000
#: How far before a period the placement of a member still charged in it may have ended.
_LOOK_BACK = dt.timedelta(days=366)

_GENERATE_REFUSALS = (
    "CONFIRMATION_REQUIRED",
    "BILLING_ACCOUNT_NOT_FOUND",
    "ACCOUNT_NOT_ACTIVE",
    "ACCOUNT_NOT_OPERATIONAL",
    "CAPABILITY_NOT_AVAILABLE",
    "BILLING_ADDRESS_MISSING",
    "HOLD_ACTIVE",
    "PROCESS_CONFLICT",
    "SEASONAL_GAP",
    "PERIOD_ALREADY_INVOICED",
    "PERIOD_NOT_ELIGIBLE",
    "NO_INVOICE_REQUIRED",
)


@command(
    privilege="invoice.generate",
    room="05",
    summary="Generate the next invoice of an account",
    rules=("INV-010", "INV-015", "INV-030", "INV-031", "INV-040", "INV-046"),
    refusals=_GENERATE_REFUSALS,
    example={"account": "LB000000018", "confirmed": True},
)
class GenerateInvoice(Command):
    """Bills the earliest period that is not billed. `period_start` may name it; another one is refused."""

    account: Identifier
    period_start: dt.date | None = None
    confirmed: bool = False


@command(
    privilege="invoice.discard",
    room="05",
    summary="Discard an invoice",
    rules=("INV-120", "INV-121", "INV-122", "INV-124", "INV-127"),
    refusals=(
        "CONFIRMATION_REQUIRED",
        "INVOICE_NOT_FOUND",
        "INVOICE_NOT_DISCARDABLE",
        "INVOICE_STATUS_CHANGED",
        "DEPENDENT_INVOICE_EXISTS",
        "PROCESS_CONFLICT",
        "REASON_REQUIRED",
    ),
    example={"invoice": "INV-00000001", "reason": "Wrong rates", "confirmed": True},
)
class DiscardInvoice(Command):
    """Its money is freed, its credits undone, its items wait to be billed again; the number is never used again."""

    invoice: Identifier
    reason: Annotated[str, Field(max_length=500)] = ""
    confirmed: bool = False


@command(
    privilege="invoice.regenerate",
    room="05",
    summary="Generate a discarded invoice's period again",
    rules=("INV-140", "INV-141", "INV-142"),
    refusals=(
        "CONFIRMATION_REQUIRED",
        "INVOICE_NOT_FOUND",
        "NOT_DISCARDED",
        "EARLIER_DISCARDED_PERIOD",
        "PERIOD_ALREADY_INVOICED",
        "HOLD_ACTIVE",
        "PROCESS_CONFLICT",
        "NO_INVOICE_REQUIRED",
    ),
    example={"invoice": "INV-00000001", "confirmed": True},
)
class RegenerateInvoice(Command):
    """A new invoice with a new number for the identical period, at the premium now in force."""

    invoice: Identifier
    confirmed: bool = False


def _confirm(confirmed: bool, unit: UnitOfWork) -> None:
    if not confirmed and "confirmed" not in unit.confirmations:
        unit.require_confirmation("confirmed", "the command must be confirmed")


def open_process(
    unit: UnitOfWork, named: str, process: str, pointer: str = "/account", *, behind: str | None = None
) -> Loaded[Account]:
    """Take the account's process lock, then the account (INV-150). Refused `PROCESS_CONFLICT` while another runs, but
    for one of the kind `behind`, which is waited for (INV-151)."""
    number = unit.port(Directory).resolve_account(named)
    if number is None:
        raise refuse("BILLING_ACCOUNT_NOT_FOUND", "there is no such account", pointer=pointer)
    running = unit.start_process(f"account:{number}", process, behind=behind)
    if running is not None:
        raise refuse("PROCESS_CONFLICT", f"{running} runs on the account", entity=number, process=running)
    unit.lock(f"account:{number}")
    return unit.load(ACCOUNT, number)


@handles(GenerateInvoice)
def generate_invoice(command: GenerateInvoice, unit: UnitOfWork) -> Outcome:
    account = open_process(unit, command.account, "GENERATION")
    _confirm(command.confirmed, unit)
    unit.expect_main(ACCOUNT, account)
    check(unit, account.state)
    eligible = _eligible(unit, account.state)
    check_requested(account.state, command.period_start, eligible)
    return issue(unit, account.state, eligible, GenerationSource.MANUAL, named=command.period_start)


def _eligible(unit: UnitOfWork, account: Account) -> list[Period]:
    """The target period, and those behind it whose invoices could be generated today (CAL-050, INV-010)."""
    terms = invoicing_terms(unit, account)
    target = target_period(account)
    if terms is None:
        return [target]
    due = due_for_generation(terms, target, account.settled_starts(), unit.today(account.time_zone))
    return [target, *(one.period for one in due if one.period != target)]


@handles(RegenerateInvoice)
def regenerate_invoice(command: RegenerateInvoice, unit: UnitOfWork) -> Outcome:
    known = unit.port(ItemRegister).account_of_invoice(command.invoice)
    if known is None:
        raise refuse("INVOICE_NOT_FOUND", "there is no such invoice", pointer="/invoice")
    account = open_process(unit, known[0], "REGENERATION", behind="GENERATION")
    discarded = unit.load(INVOICE, command.invoice)
    unit.expect_main(INVOICE, discarded)
    _confirm(command.confirmed, unit)
    refuse_if_any(regeneration_problems(discarded.state))
    check(unit, account.state)
    if discarded.state.basis is InvoiceBasis.INSTALLMENTS:
        outcome = _regenerate_installments(unit, account.state, discarded.state)
    else:
        outcome = _regenerate_period(unit, account.state, discarded.state)
    if "invoice" in outcome.result:
        replaced = InvoiceRegenerated(
            number=command.invoice, account=account.identifier, replaced_by=str(outcome.result["invoice"])
        )
        unit.append(INVOICE, command.invoice, [replaced])
    return outcome


def _regenerate_period(unit: UnitOfWork, account: Account, discarded: Invoice) -> Outcome:
    """Bill a discarded invoice's period again; discarded periods come earliest first (INV-140, INV-141)."""
    earlier = [
        record.start
        for record in account.periods.values()
        if record.status is PeriodStatus.DISCARDED and record.start < discarded.period_start
    ]
    if earlier:
        raise refuse(
            "EARLIER_DISCARDED_PERIOD",
            "an earlier discarded period is regenerated first",
            period_start=min(earlier).isoformat(),
        )
    record = account.periods.get(discarded.period_start)
    if record is None or record.status is not PeriodStatus.DISCARDED:
        raise refuse("PERIOD_ALREADY_INVOICED", "the period has a live invoice", entity=discarded.number)
    return issue(unit, account, [period_of(record)], GenerationSource.MANUAL, regenerates=discarded.number)


def check(unit: UnitOfWork, account: Account) -> None:
    """Conditions of generation, draft and regeneration (INV-030)."""
    payor = unit.load(CUSTOMER, account.payor or account.owner)
    check_invoicing(account, unit.today(account.time_zone), payor.state.address is not None)


# --- Pricing an invoice ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Priced:
    """What pricing the account's members gave: lines, who had unbilled differences, and whether anybody is in force."""

    terms: AccountTerms
    collector: LineCollector
    consumed: list[str]
    consumed_total: int
    in_force: bool


@dataclass(frozen=True, slots=True)
class PricedMember:
    """A member in a generation: its record and the timeline of its ACTIVE version (PRM-111)."""

    record: MemberRecord
    timeline: Timeline


def members_of(unit: UnitOfWork, numbers: Sequence[str]) -> Iterator[list[PricedMember]]:
    """Members in portions, with the timelines their invoices are priced from."""
    policies: dict[str, MasterPolicy] = {}
    for start in range(0, len(numbers), MEMBERS_AT_A_TIME):
        portion = unit.read_many(MEMBER_RECORD, numbers[start : start + MEMBERS_AT_A_TIME])
        missing = {one.state.master_policy for one in portion.values()} - policies.keys()
        policies |= {name: one.state for name, one in unit.load_many(MASTER_POLICY, missing).items()}
        yield [priced_member(one.state, policies[one.state.master_policy]) for one in portion.values()]


def priced_member(record: MemberRecord, policy: MasterPolicy) -> PricedMember:
    """A record with the timeline of its ACTIVE version."""
    timeline = active_timeline(
        record,
        term_expiration=policy.expiration_date,
        multiple_sequences=policy.terms.multiple_premium_sequences,
    )
    return PricedMember(record, timeline)


def price(unit: UnitOfWork, account: Account, terms: AccountTerms, period: Period) -> Priced:
    """The lines of the account's invoice for the period (INV-003, INV-004, INV-020 to INV-027)."""
    register = unit.port(ItemRegister)
    billed = account.billed_periods()
    billed_starts = {one.start: one for one in billed}
    open_members = set(register.members_with_anyb(account.number))
    first = dt.date.min if period.start == account.earliest_day else period.start - _LOOK_BACK
    placed = unit.port(Placements).members_on(account.number, first, period.end)
    priced = Priced(terms, LineCollector(period), [], 0, False)
    for portion in members_of(unit, sorted({*placed, *open_members})):
        numbers = [one.record.number for one in portion]
        kept = _billing_starts(unit, account.number, numbers, period.start)
        with_anyb = [one for one in numbers if one in open_members]
        invoiced = invoiced_amounts(unit, account.number, with_anyb) if with_anyb else {}
        known_terms = _invoiced_terms(unit, account.number, with_anyb) if with_anyb else {}
        for member in portion:
            record, timeline = member.record, member.timeline
            charges = charges_billed_in(timeline, terms, period, kept.get(record.number))
            priced.in_force = priced.in_force or bool(charges)
            priced.collector.add_charges(charges, record.master_policy, partial(_located, timeline, terms))
            if record.number in open_members:
                keys = member_anyb(timeline, terms, invoiced.get(record.number, ()), billed)
                total = priced.collector.add_anyb(
                    keys,
                    record.master_policy,
                    record.anchor,
                    lambda start: billed_starts.get(start) or terms.invoicing.period_at(start),
                    {one.transaction_id: one.type for one in record.transactions},
                    known_terms,
                )
                priced.consumed.append(record.number)
                priced.consumed_total += total
    return priced


def _located(timeline: Timeline, terms: AccountTerms, charge: Charge) -> tuple[LocationLine, ...]:
    return location_lines(timeline, terms, charge)


def _billing_starts(
    unit: UnitOfWork, account: str, members: Sequence[str], since: dt.date
) -> dict[str, dict[ChargeKey, dt.date]]:
    """Billing periods that keys keep because they were invoiced before (INV-021), by member."""
    found = invoiced_amounts(unit, account, members, since)
    return {member: {one.key: one.billing_start for one in amounts} for member, amounts in found.items()}


def _invoiced_terms(unit: UnitOfWork, account: str, members: Sequence[str]) -> dict[ChargeKey, LineTerms]:
    """Under which terms keys of these members were billed, the first time (for keys that cost nothing any more)."""
    return terms_of_items(unit.port(ItemRegister).items_of_keys(account, members), account)


# --- Issuing ---------------------------------------------------------------------------------------------------------


def issue(
    unit: UnitOfWork,
    account: Account,
    periods: Iterable[Period],
    source: GenerationSource,
    *,
    named: dt.date | None = None,
    regenerates: str | None = None,
) -> Outcome:
    """Price, state, number and issue the invoice of the first of the periods that requires one, then use waiting money
    (INV-040, INV-042).

    Periods in front of it in which nobody is covered are passed over; `named` is refused when it is not the first.
    """
    terms = account_terms(unit, account)
    period, priced, uncovered = _first_required(unit, account, terms, periods)
    if named is not None and named != period.start:
        raise not_next(period)
    columns = priced.collector.columns
    _pass_over(unit, account, uncovered)
    if account.generation_failure is not None and failure_behind(account, period.start) is None:
        close_tasks(unit, failed_generation(account.number), "the invoice was generated")
    zero = not any(columns.amounts)
    today = unit.today(account.time_zone)
    if zero and _suppresses_zero(unit, account, today):
        return _skip(unit, account, period)
    due, generated_from, late = _dates(unit, account, period, today)
    header = Header(InvoiceBasis.PERIOD, period, due, generated_from, late, source, regenerates)
    number, total_due = _produce(unit, account, header, columns, priced)
    republish(unit, account.number, _carried_elsewhere(unit, account.number, number, period), terms)
    return Outcome(_result(unit, number, total_due, account))


@dataclass(frozen=True, slots=True)
class Header:
    """What is decided of an invoice before it gets a number."""

    basis: InvoiceBasis
    period: Period
    due: DueDate
    generation_date: dt.date
    late: bool
    source: GenerationSource
    regenerates: str | None = None


def _produce(
    unit: UnitOfWork, account: Account, header: Header, columns: LineColumns, priced: Priced | None = None
) -> tuple[str, int]:
    """Number, reconcile, state and issue an invoice of these lines, then use waiting money (INV-040, INV-042).

    `priced` is what a period was priced to; its unbilled differences are among the lines. Answers the number and the
    total due.
    """
    period, due = header.period, header.due
    today = unit.today(account.time_zone)
    anniversary = _anniversary(unit, account, today)
    sequence = unit.next_number("invoice")
    number = _number(unit, sequence, today)
    assert account.bill_type is not None
    initialised = InvoiceInitialised(
        number=number,
        sequence=sequence,
        account=account.number,
        owner=account.owner,
        bill_type=account.bill_type,
        allocation_mode=account.allocation_mode,
        period_start=period.start,
        period_end=period.end,
        computed_due_date=due.computed,
        due_date=due.final,
        due_date_corrections=tuple(one.value for one in due.corrections),
        generation_date=header.generation_date,
        late=header.late,
        currency=account.currency,
        source=header.source,
        operator=unit.principal.identifier,
        issue_date=today,
        regenerates=header.regenerates,
        basis=header.basis,
        anniversary_date=anniversary,
    )
    chunks = list(columns.chunks())
    projected = [
        InvoiceProjected(number=number, sequence=sequence, account=account.number, lines=chunk) for chunk in chunks
    ]
    window = unit.port(ItemRegister).statement_window(account.number)
    reconciled = reconcile_issue(unit, account, number, chunks, due.final)
    invoice = unit.append(INVOICE, number, [initialised, *projected], effective_date=period.start)
    if priced is not None and priced.consumed:
        _consume_anyb(unit, account, number, priced)
    write(unit, reconciled, today)
    unit.flush()
    overpaid = use_overpayment(unit, account, today)
    unit.flush()
    amounts = _statement(unit, account, invoice.state, window, reconciled, chunks, overpaid)
    state = invoice.state
    row = unit.port(ItemRegister).invoices([number])[0]
    issued = InvoiceIssued(
        number=number,
        sequence=sequence,
        account=account.number,
        owner=account.owner,
        period_start=period.start,
        period_end=period.end,
        issue_date=today,
        due_date=due.final,
        currency=account.currency,
        lines=state.lines,
        positive_total=state.positive_total,
        negative_total=state.negative_total,
        total_due=amounts.total_due,
        runtime_status=runtime_status(row.positive_billed, row.collectible_due),
    )
    calculated = InvoiceBalancesCalculated(number=number, sequence=sequence, account=account.number, statement=amounts)
    unit.append(INVOICE, number, [calculated, issued], effective_date=period.start)
    if priced is not None:
        invoiced = InvoicingPeriodInvoiced(
            number=account.number,
            period_start=period.start,
            period_end=period.end,
            invoice=number,
            due_date=due.final,
            bases=priced.terms.bases,
        )
        unit.append(ACCOUNT, account.number, [invoiced])
    unit.flush()
    touched = {number, *reconciled.touched, *overpaid, *_consume_unapplied(unit, account, today)}
    settle(unit, account.number, touched, "INVOICE_ISSUED")
    return number, amounts.total_due


def _anniversary(unit: UnitOfWork, account: Account, today: dt.date) -> dt.date | None:
    """The next due day of the account's payment plan, where there is one and only one (CAL-138)."""
    schedule = unit.load(INSTALLMENT_SCHEDULES, account.number).state
    found = anniversary_date(schedule.entries, schedule.plan_type, today)
    if found.log_code is not None:
        _logger.warning(found.log_code, extra={"account": account.number})
    return found.date


def failed_generation(account: str) -> str:
    """The cause of the task that waits when an account's invoice could not be generated (CAL-079)."""
    return f"GENERATION_FAILED {account}"


def failed_discard(invoice: str) -> str:
    """The cause of the task that waits when a rewrite could not discard an invoice (INV-131)."""
    return f"REWRITE_DISCARD_FAILED {invoice}"


def _first_required(
    unit: UnitOfWork, account: Account, terms: AccountTerms, periods: Iterable[Period]
) -> tuple[Period, Priced, list[Period]]:
    """The first period with something to bill, its lines, and the periods in front of it. Refused NO_INVOICE_REQUIRED
    when there is none (INV-030).

    decision: nobody covered in one period must not keep the account from being billed ever again (CAL-050).
    """
    uncovered: list[Period] = []
    for period in periods:
        priced = price(unit, account, terms, period)
        if priced.in_force or len(priced.collector.columns):
            return period, priced, uncovered
        uncovered.append(period)
    raise refuse(
        "NO_INVOICE_REQUIRED",
        "nothing is charged in the period",
        entity=account.number,
        period_start=uncovered[0].start.isoformat(),
    )


def _pass_over(unit: UnitOfWork, account: Account, periods: Sequence[Period]) -> None:
    """Say that the periods get no invoice; what becomes due for them later goes on the next one (INV-032)."""
    skipped = [
        InvoicingPeriodSkipped(number=account.number, period_start=one.start, period_end=one.end) for one in periods
    ]
    if skipped:
        unit.append(ACCOUNT, account.number, skipped)


def _statement(
    unit: UnitOfWork,
    account: Account,
    invoice: Invoice,
    window: StatementWindow,
    reconciled: Reconciled,
    chunks: Sequence[LineChunk],
    overpaid: Mapping[str, int],
) -> StatementAmounts:
    """The static amounts, proved against the register as it stands now (BAL-042 to BAL-050)."""
    register = unit.port(ItemRegister)
    totals = register.totals(account.number)
    own = register.invoices([invoice.number])[0]
    current, added, credit = billed_amounts(chunks, invoice.period_start)
    to_new = overpaid.get(invoice.number, 0)
    to_earlier = sum(overpaid.values()) - to_new
    earlier_remaining = totals.remaining_due - own.remaining_due
    balance = totals.due_and_unpaid - totals.unapplied - totals.member_unapplied - totals.member_overpayment
    return statement(
        kind_of(account),
        Window(window.previous_total_due, window.payments_received, window.discarded_billed, window.written_off),
        NewCharges(current, added, credit),
        OpenItemsSide(
            earlier_remaining_due=earlier_remaining,
            overpayment_to_earlier=to_earlier,
            overpayment_to_new=to_new,
            open_credit=totals.open_credit,
            set_off_on_new=reconciled.credit_on_own,
            payments_allocated_to_invoices=window.payments_allocated,
        ),
        AfterIssue(
            totals.due_and_unpaid,
            balance,
            totals.unapplied,
            totals.member_overpayment,
            tuple(
                StatementDetail(product, "PREMIUM", due)
                for product, due in register.due_by_product(account.number).items()
            ),
        ),
        minimum_due=earlier_remaining + own.remaining_due,
        minimum_current=own.remaining_due,
    )


def _result(unit: UnitOfWork, number: str, total_due: int, account: Account) -> dict[str, object]:
    invoice = unit.load(INVOICE, number).state
    currency = account.currency

    def money(minor: int) -> dict[str, str]:
        return {"amount": format_amount(minor, currency), "currency": currency}

    return {
        "invoice": number,
        "account": account.number,
        "period_start": invoice.period_start.isoformat(),
        "period_end": (invoice.period_end - dt.timedelta(days=1)).isoformat(),
        "issue_date": invoice.issue_date.isoformat(),
        "due_date": invoice.due_date.isoformat(),
        "lines": invoice.lines,
        "billed": money(invoice.positive_total + invoice.negative_total),
        "total_due": money(total_due),
        "status": invoice.runtime_status.value,
    }


def _suppresses_zero(unit: UnitOfWork, account: Account, today: dt.date) -> bool:
    """Whether accounts of this bill type get no invoice of 0.00 (`zero_invoice`, INV-031)."""
    name = "invoicing.zero_invoice"
    return parameters_in_force(unit, (name,), account_keys(account), today)[name] == "SUPPRESS"


def _number(unit: UnitOfWork, sequence: int, today: dt.date) -> str:
    """The invoice number of a sequence, in the system's pattern (INV-044)."""
    name = "invoicing.invoice_number_pattern"
    return numbered(str(parameters_in_force(unit, (name,), {}, today)[name]), sequence)


def _skip(unit: UnitOfWork, account: Account, period: Period) -> Outcome:
    """The zero rule where it suppresses: no invoice, the period is passed over (INV-031)."""
    _pass_over(unit, account, [period])
    settle(unit, account.number, (), "PERIOD_SKIPPED")
    return Outcome(
        {"account": account.number, "period_start": period.start.isoformat(), "status": PeriodStatus.SKIPPED_ZERO.value}
    )


def _dates(unit: UnitOfWork, account: Account, period: Period, today: dt.date) -> tuple[DueDate, dt.date, bool]:
    """Final due date, generation date, and whether the generation is late (CAL-056 to CAL-068, CAL-076)."""
    terms = invoicing_terms(unit, account)
    if terms is None:
        raise refuse("ACCOUNT_NOT_OPERATIONAL", "the account's schedule is not complete", entity=account.number)
    previous = [record for record in account.live_periods() if record.start < period.start]
    calendar, _ = _calendar_of(unit, account)
    due = final_due_date(
        terms,
        period,
        system_date=today,
        previous_due=previous[-1].due_date if previous else None,
        rule=_business_day_rule(unit, account, today),
        calendar=calendar,
    )
    generated_from = generation_date(terms, period, due.computed)
    return due, generated_from, is_late(terms.schedule, generated_from, today)


def _business_day_rule(unit: UnitOfWork, account: Account, today: dt.date) -> BusinessDayRule:
    """Where a due date on a non-working day goes (CAL-066)."""
    values = parameters_in_force(unit, ("due_date.business_day_rule",), account_keys(account), today)
    return BusinessDayRule(str(values["due_date.business_day_rule"]))


def _calendar_of(unit: UnitOfWork, account: Account) -> tuple[BusinessCalendar | None, int]:
    """The working days of the account's calendar, and how many days ahead it generates invoices (CAL-008, CAL-010)."""
    calendars = unit.load(BILLING_CALENDARS, "installation").state
    calendar = calendars.find(account.calendar) if account.calendar else None
    return (None, 0) if calendar is None else (calendar.days, calendar.number_of_days_ahead or 0)


def _consume_anyb(unit: UnitOfWork, account: Account, number: str, priced: Priced) -> None:
    """The unbilled differences are on the invoice now; each member's published value is zero (INV-041, PRM-126)."""
    consumed = AnybConsumed(
        number=number, account=account.number, members=tuple(priced.consumed), total=priced.consumed_total
    )
    unit.append(INVOICE, number, [consumed])
    unit.load_many(MEMBER_RECORD, priced.consumed)
    for member in priced.consumed:
        settled = MemberAnybChanged(
            member_record=member,
            account=account.number,
            currency=account.currency,
            total=0,
            lines=(),
            calculated_at=unit.now,
        )
        unit.append(MEMBER_RECORD, member, [settled])


def _consume_unapplied(unit: UnitOfWork, account: Account, today: dt.date) -> set[str]:
    """Unapplied money pays open invoices after an issue, oldest first (PAY-077, PAY-079 a). Answers the invoices."""
    configuration = configuration_of(unit, account)
    if not configuration.consumes_at(Autoconsumption.INVOICE_GENERATION):
        return set()
    records = [
        Consumable(row.record, row.payment, Category(row.category), row.effective_date, row.unapplied)
        for row in unit.port(ItemRegister).unapplied_records(account.number)
        if not row.locked
    ]
    if not records:
        return set()
    consumption = consume(records, open_account(unit, account), category_order=configuration.category_order)
    loaded = unit.load_many(PAYMENT, [record for record, _ in consumption.by_record])
    touched = set()
    for record, lines in consumption.by_record:
        events = allocate(loaded[record].state, Distribution(lines=lines), cause=Cause.CONSUMPTION, date=today)
        unit.append(PAYMENT, record, events, effective_date=today)
        touched |= {part.invoice for part in lines}
    return touched


def _carried_elsewhere(unit: UnitOfWork, account: str, number: str, period: Period) -> list[str]:
    """Members whose keys of the period other live invoices carry: what they differ by is open again (INV-121)."""
    return unit.port(ItemRegister).members_billed_elsewhere(account, number, period.start)


def republish(unit: UnitOfWork, account: str, members: Sequence[str], terms: AccountTerms) -> None:
    """Compare again what the account has invoiced for these members with what it should have (PRM-125)."""
    loaded = unit.load_many(MEMBER_RECORD, members)
    for member in loaded.values():
        policy = unit.load(MASTER_POLICY, member.state.master_policy)
        facts = facts_of(unit, policy.state, member.identifier, (account,))
        publish(unit, member, facts)


# --- Installments ----------------------------------------------------------------------------------------------------


def issue_installments(
    unit: UnitOfWork,
    account: Account,
    installments: Sequence[Installment],
    source: GenerationSource,
    *,
    regenerates: str | None = None,
) -> Outcome:
    """Issue the invoice of UNBILLED installments that are due the same day, and say that they are billed (CAL-136).

    The invoice stands beside those of the account's periods; a refusal or a failure leaves the installments UNBILLED.

    decision: an installment of 0.00 gets its invoice on every bill type, for without one it would never be billed.
    """
    schedule = unit.load(INSTALLMENT_SCHEDULES, account.number).state
    today = unit.today(account.time_zone)
    day = installments[0].component.due_date
    calendar, ahead = _calendar_of(unit, account)
    due = installment_due_date(day, system_date=today, rule=_business_day_rule(unit, account, today), calendar=calendar)
    generated_from = day - dt.timedelta(days=ahead)
    period = installments_period(installments)
    header = Header(InvoiceBasis.INSTALLMENTS, period, due, generated_from, False, source, regenerates)
    number, total_due = _produce(unit, account, header, installment_columns(installments))
    numbers = [one.component.number for one in installments]
    unit.append(INSTALLMENT_SCHEDULES, account.number, bill(schedule, account.number, numbers, number))
    return Outcome({**_result(unit, number, total_due, account), "installments": numbers})


def _regenerate_installments(unit: UnitOfWork, account: Account, discarded: Invoice) -> Outcome:
    """Bill what stands for the installments of a discarded invoice (CAL-137, INV-140).

    decision: they are what its period is to an invoice of a period; other discarded ones need not come first.
    """
    schedule = unit.load(INSTALLMENT_SCHEDULES, account.number).state
    standing = replacements(schedule, discarded.number)
    billed = [one.invoice for one in standing if one.state is not InstallmentState.UNBILLED]
    if billed:
        raise refuse(
            "PERIOD_ALREADY_INVOICED",
            "what stands for the installments is billed",
            entity=discarded.number,
            invoice=billed[0],
        )
    return issue_installments(unit, account, standing, GenerationSource.MANUAL, regenerates=discarded.number)


# --- Discarding ------------------------------------------------------------------------------------------------------


@handles(DiscardInvoice)
def discard_invoice(command: DiscardInvoice, unit: UnitOfWork) -> Outcome:
    known = unit.port(ItemRegister).account_of_invoice(command.invoice)
    if known is None:
        raise refuse("INVOICE_NOT_FOUND", "there is no such invoice", pointer="/invoice")
    account = open_process(unit, known[0], "DISCARD", "/invoice")
    _confirm(command.confirmed, unit)
    invoice = unit.load(INVOICE, command.invoice)
    unit.expect_main(
        INVOICE, invoice, status=lambda state: state.runtime_status.value, status_changed="INVOICE_STATUS_CHANGED"
    )
    check_discardable(invoice.state, command.reason, None)
    _check_order(unit, account.state, invoice.state)
    return discard(unit, account.state, invoice.state, command.reason, GenerationSource.MANUAL)


def _check_order(unit: UnitOfWork, account: Account, invoice: Invoice) -> None:
    """Parameter discard_order (INV-121)."""
    values = parameters_in_force(
        unit, ("invoicing.discard_order",), account_keys(account), unit.today(account.time_zone)
    )
    order = values["invoicing.discard_order"]
    live = unit.port(ItemRegister).live_invoices(account.number, open_only=False)
    later = [row for row in live if row.sequence > invoice.sequence]
    if order == "NEWEST_FIRST" and later:
        raise refuse("DEPENDENT_INVOICE_EXISTS", "a later live invoice exists", invoices=[row.number for row in later])
    if order == "DEPENDENTS_FIRST" and later:
        dependent = unit.port(ItemRegister).invoices_carrying_keys_of(invoice.number)
        if dependent:
            raise refuse("DEPENDENT_INVOICE_EXISTS", "a later live invoice carries its keys", invoices=dependent)


def discard(unit: UnitOfWork, account: Account, invoice: Invoice, reason: str, source: GenerationSource) -> Outcome:
    """Undo an invoice in the order of INV-124: money, pairs of credits, items, status, then what follows from it."""
    today = unit.today(account.time_zone)
    register = unit.port(ItemRegister)
    members = register.members_to_republish(account.number, invoice.number)
    unallocated, destinations, touched = _free_money(unit, account, invoice.number, reason, today)
    touched |= undo_pairs(unit, account, invoice.number, today)
    assert invoice.statement is not None
    unit.append(
        INVOICE,
        invoice.number,
        [
            ItemsReturnedToPending(number=invoice.number, account=account.number, items=invoice.lines),
            InvoiceDiscarded(
                number=invoice.number,
                sequence=invoice.sequence,
                account=account.number,
                period_start=invoice.period_start,
                period_end=invoice.period_end,
                due_date=invoice.due_date,
                issue_date=invoice.issue_date,
                reason=reason,
                source=source,
                statement=invoice.statement,
                positive_total=invoice.positive_total,
                negative_total=invoice.negative_total,
                unallocated=unallocated,
                freed_by_destination=destinations,
            ),
        ],
    )
    if invoice.basis is InvoiceBasis.INSTALLMENTS:
        schedule = unit.load(INSTALLMENT_SCHEDULES, account.number).state
        unit.append(INSTALLMENT_SCHEDULES, account.number, supersede(schedule, account.number, invoice.number))
    else:
        freed = InvoicingPeriodDiscarded(
            number=account.number,
            period_start=invoice.period_start,
            invoice=invoice.number,
            by_user=source is GenerationSource.MANUAL,
        )
        unit.append(ACCOUNT, account.number, [freed])
    close_tasks(unit, failed_discard(invoice.number), "the invoice was discarded")
    settle(unit, account.number, touched - {invoice.number}, "INVOICE_DISCARDED")
    republish(unit, account.number, members, account_terms(unit, account))
    currency = account.currency
    return Outcome(
        {
            "invoice": invoice.number,
            "status": "DISCARDED",
            "unallocated": {"amount": format_amount(unallocated, currency), "currency": currency},
            "freed_to": {
                place: {"amount": format_amount(minor, currency), "currency": currency}
                for place, minor in destinations.items()
            },
        }
    )


def _free_money(
    unit: UnitOfWork, account: Account, number: str, reason: str, today: dt.date
) -> tuple[int, dict[str, int], set[str]]:
    """Unallocate everything on the invoice; members' money pays their other items (PAY-094, PAY-096)."""
    register = unit.port(ItemRegister)
    rows = register.allocations_on([number])
    by_record = sorted({row.record for row in rows})
    loaded = unit.load_many(PAYMENT, by_record)
    destinations: dict[str, int] = {}
    freed: list[Consumable] = []
    for record in by_record:
        items = allocated_items(row for row in rows if row.record == record)
        before = loaded[record].state
        events = unallocate_discarded(before, items, invoice=number, date=today, reason=reason)
        after = unit.append(PAYMENT, record, events, effective_date=today).state
        for place, moved in (
            ("unapplied", after.unapplied - before.unapplied),
            ("member_overpayment", after.member_overpayment_total - before.member_overpayment_total),
        ):
            if moved:
                destinations[place] = destinations.get(place, 0) + moved
        gained: dict[str, int] = {}
        for row in rows:
            if row.record == record and row.member:
                gained[row.member] = gained.get(row.member, 0) + row.amount
        freed += [
            Consumable(
                record, before.known.payment_number, before.known.category, before.effective_date, amount, member
            )
            for member, amount in gained.items()
        ]
    touched: set[str] = set()
    if kind_of(account).member_level and freed:
        others = open_account(unit, account, without=number)
        used = use_member_money(freed, others, category_order=configuration_of(unit, account).category_order)
        for record, lines_of_members in used.by_record:
            state = unit.load(PAYMENT, record).state
            events = allocate_member_money(state, lines_of_members, cause=Cause.OVERPAYMENT, date=today)
            unit.append(PAYMENT, record, events, effective_date=today)
            touched |= {part.invoice for _, lines in lines_of_members for part in lines}
        if used.allocated:
            destinations["items"] = used.allocated
            destinations["member_overpayment"] = destinations.get("member_overpayment", 0) - used.allocated
    return sum(row.amount for row in rows), {key: value for key, value in destinations.items() if value}, touched
