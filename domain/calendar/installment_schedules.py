"""The installments of an account: generated with a purchase, billed once, superseded and replaced after a discard.

An installment has a number within the account and is UNBILLED until its invoice exists. It never turns back: when the
invoice is discarded it stays BILLED, is marked superseded, and a replacement with the same terms takes its place
(CAL-135 to CAL-137). The account's due-day entries for installments live here too (CAL-124).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import groupby

from domain.aggregate import Aggregate
from domain.calendar.installments import (
    AccountSchedule,
    Component,
    ComponentType,
    DueDayEntry,
    ItemPart,
    ServicePeriod,
    entry_problems,
)
from domain.calendar.payment_plans import PlanType
from domain.errors import Problem, refuse_if_any
from domain.events import event


@event()
class InstallmentDueDaysSet:
    """The account's due-day entries for installments, all of them (CAL-124)."""

    account: str
    entries: tuple[DueDayEntry, ...]


@dataclass(frozen=True, slots=True)
class NumberedComponent:
    """A component with its number in the account. Amounts are minor units; `billed_to_date` is exclusive."""

    number: int
    type: ComponentType
    due_date: dt.date
    amount: int
    parts: tuple[ItemPart, ...]
    billed_to_date: dt.date | None


@event()
class InstallmentScheduleGenerated:
    """A purchase or an import gave the account these installments, all UNBILLED; `service_end` exclusive (CAL-135)."""

    account: str
    product: str
    plan_code: str
    plan_uri: str
    plan_type: PlanType
    service_start: dt.date
    service_end: dt.date
    transaction_date: dt.date
    due_day: int | None
    installments: tuple[NumberedComponent, ...]
    imported: bool = False


@event()
class InstallmentBilled:
    """The invoice of the installment was created (CAL-136)."""

    account: str
    number: int
    invoice: str


@event()
class InstallmentSuperseded:
    """The invoice was discarded: the installment stays billed but counts no more (CAL-137)."""

    account: str
    number: int
    invoice: str


@event()
class InstallmentReplaced:
    """An UNBILLED installment with the same terms took the place of a superseded one (CAL-137)."""

    account: str
    replaces: int
    product: str
    replacement: NumberedComponent


class InstallmentState(StrEnum):
    """CAL-135."""

    UNBILLED = "UNBILLED"
    BILLED = "BILLED"


@dataclass(frozen=True, slots=True)
class PurchaseSchedule:
    """What one purchase, or an import, gave an account; `number` counts them from 1, `service_end` is exclusive.

    `due_day` is None for an import without one. `first` and `last` are the numbers of its installments.
    """

    number: int
    product: str
    plan_code: str
    plan_uri: str
    service_start: dt.date
    service_end: dt.date
    transaction_date: dt.date
    due_day: int | None
    imported: bool
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Installment:
    """One installment. `invoice` is the invoice that billed it, `replaces` the number of the one it stands for.

    `schedule` is the number of the purchase's schedule that it, or the one it stands for, came with.
    """

    product: str
    component: NumberedComponent
    schedule: int = 1
    state: InstallmentState = InstallmentState.UNBILLED
    invoice: str | None = None
    superseded: bool = False
    replaces: int | None = None


@dataclass(frozen=True, slots=True)
class InstallmentSchedule:
    """All installments of an account by number, its due-day entries, and the type of its latest plan."""

    by_number: Mapping[int, Installment] = field(default_factory=dict)
    schedules: tuple[PurchaseSchedule, ...] = ()
    entries: tuple[DueDayEntry, ...] = ()
    plan_type: PlanType | None = None

    @property
    def current(self) -> tuple[Installment, ...]:
        """The installments that count: not superseded, by due date, then number."""
        counting = (item for item in self.by_number.values() if not item.superseded)
        return tuple(sorted(counting, key=lambda item: (item.component.due_date, item.component.number)))

    def replaced_by(self, number: int) -> int | None:
        """The installment that stands for a superseded one (CAL-137)."""
        return next((one.component.number for one in self.by_number.values() if one.replaces == number), None)


def evolve(state: InstallmentSchedule, happened: object) -> InstallmentSchedule:
    """The installments after one more event."""
    match happened:
        case InstallmentDueDaysSet(entries=entries):
            return replace(state, entries=entries)
        case InstallmentScheduleGenerated():
            return _generated(state, happened)
        case InstallmentBilled(number=number, invoice=invoice):
            billed = replace(state.by_number[number], state=InstallmentState.BILLED, invoice=invoice)
            return _with(state, billed)
        case InstallmentSuperseded(number=number):
            return _with(state, replace(state.by_number[number], superseded=True))
        case InstallmentReplaced(replaces=replaces, product=product, replacement=component):
            schedule = state.by_number[replaces].schedule
            return _with(state, Installment(product, component, schedule, replaces=replaces))
        case _:
            raise TypeError(f"installment schedules know no event {type(happened).__name__}")


def _generated(state: InstallmentSchedule, happened: InstallmentScheduleGenerated) -> InstallmentSchedule:
    schedule = PurchaseSchedule(
        number=len(state.schedules) + 1,
        product=happened.product,
        plan_code=happened.plan_code,
        plan_uri=happened.plan_uri,
        service_start=happened.service_start,
        service_end=happened.service_end,
        transaction_date=happened.transaction_date,
        due_day=happened.due_day,
        imported=happened.imported,
        first=min(component.number for component in happened.installments),
        last=max(component.number for component in happened.installments),
    )
    added = {
        component.number: Installment(happened.product, component, schedule.number)
        for component in happened.installments
    }
    return replace(
        state,
        by_number={**state.by_number, **added},
        schedules=(*state.schedules, schedule),
        plan_type=happened.plan_type,
    )


def _with(state: InstallmentSchedule, installment: Installment) -> InstallmentSchedule:
    return replace(state, by_number={**state.by_number, installment.component.number: installment})


INSTALLMENT_SCHEDULES = Aggregate("installments", InstallmentSchedule, InstallmentSchedule(), evolve)


def set_due_days(
    state: InstallmentSchedule, account: str, entries: Sequence[DueDayEntry]
) -> list[InstallmentDueDaysSet]:
    """Replace the account's due-day entries (SetInstallmentDueDays). Refuses DUE_DAYS_INVALID per entry."""
    refuse_if_any(entry_problems(entries))
    return [] if tuple(entries) == state.entries else [InstallmentDueDaysSet(account=account, entries=tuple(entries))]


def generate(
    state: InstallmentSchedule,
    schedule: AccountSchedule,
    *,
    product: str,
    plan_code: str,
    plan_uri: str,
    plan_type: PlanType,
    period: ServicePeriod,
    transaction_date: dt.date,
    imported: bool = False,
) -> list[InstallmentScheduleGenerated]:
    """Give the account the installments of a purchase, judged and split before.

    Split by `installments.schedule_purchase`, or given to `installment_imports.schedule_given` where `imported`.
    """
    first = max(state.by_number, default=0) + 1
    return [
        InstallmentScheduleGenerated(
            account=schedule.account,
            product=product,
            plan_code=plan_code,
            plan_uri=plan_uri,
            plan_type=plan_type,
            service_start=period.start,
            service_end=period.end,
            transaction_date=transaction_date,
            due_day=schedule.due_day,
            installments=tuple(
                _numbered(number, component) for number, component in enumerate(schedule.components, start=first)
            ),
            imported=imported,
        )
    ]


def _numbered(number: int, component: Component) -> NumberedComponent:
    return NumberedComponent(
        number, component.type, component.due_date, component.amount, component.parts, component.billed_to_date
    )


def billable(state: InstallmentSchedule, numbers: Iterable[int]) -> tuple[Installment, ...]:
    """The chosen installments, each once, by due date, then number; only UNBILLED ones can be billed.

    Refuses ENTITY_NOT_FOUND alone, then INSTALLMENT_STATE_INVALID for each that is billed or superseded (CAL-135).
    """
    chosen = tuple(dict.fromkeys(numbers))
    refuse_if_any(
        [
            Problem("ENTITY_NOT_FOUND", "The account has no such installment", "/installments", entity=str(number))
            for number in chosen
            if number not in state.by_number
        ]
    )
    refuse_if_any(
        [
            Problem("INSTALLMENT_STATE_INVALID", "The installment is billed", "/installments", entity=str(number))
            for number in chosen
            if state.by_number[number].state is not InstallmentState.UNBILLED
        ]
    )
    found = (state.by_number[number] for number in chosen)
    return tuple(sorted(found, key=lambda one: (one.component.due_date, one.component.number)))


def bill(state: InstallmentSchedule, account: str, numbers: Iterable[int], invoice: str) -> list[InstallmentBilled]:
    """Mark installments billed by an invoice that was created (BillInstallments). Refuses as `billable` does."""
    return [
        InstallmentBilled(account=account, number=one.component.number, invoice=invoice)
        for one in billable(state, numbers)
    ]


def by_due_date(installments: Iterable[Installment]) -> Iterator[tuple[Installment, ...]]:
    """Installments that are due the same day together, earliest first.

    decision: each due date gets an invoice of its own, so that nobody is asked for an installment before it is due.
    """
    ordered = sorted(installments, key=lambda one: (one.component.due_date, one.component.number))
    for _, group in groupby(ordered, key=lambda one: one.component.due_date):
        yield tuple(group)


def replacements(state: InstallmentSchedule, invoice: str) -> tuple[Installment, ...]:
    """What stands for the installments that a discarded invoice had billed (CAL-137)."""
    billed = {one.component.number for one in state.by_number.values() if one.invoice == invoice}
    return tuple(one for one in state.by_number.values() if one.replaces in billed)


def supersede(
    state: InstallmentSchedule, account: str, invoice: str
) -> list[InstallmentSuperseded | InstallmentReplaced]:
    """Replace the installments of a discarded invoice (SupersedeInstallments); a second time does nothing (CAL-137)."""
    events: list[InstallmentSuperseded | InstallmentReplaced] = []
    number = max(state.by_number, default=0)
    for installment in state.by_number.values():
        if installment.invoice != invoice or installment.superseded:
            continue
        number += 1
        events.append(InstallmentSuperseded(account=account, number=installment.component.number, invoice=invoice))
        events.append(
            InstallmentReplaced(
                account=account,
                replaces=installment.component.number,
                product=installment.product,
                replacement=replace(installment.component, number=number),
            )
        )
    return events


def due_for_billing(
    state: InstallmentSchedule, number_of_days_ahead: int | None, processing_date: dt.date
) -> tuple[Installment, ...]:
    """The installments a run takes: due date less the calendar's lead time (0 without rule) is reached (CAL-136)."""
    latest = processing_date + dt.timedelta(days=number_of_days_ahead or 0)
    return tuple(
        installment
        for installment in state.current
        if installment.state is InstallmentState.UNBILLED and installment.component.due_date <= latest
    )


def has_products_from(state: InstallmentSchedule, day: dt.date) -> bool:
    """Whether a product bought with a plan is in force on the day or later, or is not wholly billed (ACC-025)."""
    unbilled = any(one.state is InstallmentState.UNBILLED for one in state.current)
    return unbilled or any(one.service_end > day for one in state.schedules)


def total(installments: Iterable[Installment]) -> int:
    """The sum of installments, in minor units; superseded ones are excluded (CAL-137)."""
    return sum(installment.component.amount for installment in installments if not installment.superseded)
