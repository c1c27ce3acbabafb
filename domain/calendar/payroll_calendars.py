"""The payroll calendars of an account: one active calendar per payroll frequency, each defined, confirmed, changed.

One stream holds all payroll calendars of an account, because what is decided about one concerns the others: a frequency
is served once, and seasonal billing replaces them all. A calendar has a number within the account that outlives a
change of its frequency. Its confirmed version is used; a new version stands beside it as a draft until it is confirmed.
Every event carries the deduction dates it decided, so that no later code can give others.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from domain.accounts.bill_type import AllocationMode
from domain.aggregate import Aggregate
from domain.calendar.frequency import Frequency
from domain.calendar.payroll import (
    PayrollPattern,
    ShiftUnit,
    StartShift,
    payroll_problems,
    protected,
    seasonal_pattern,
    sequence_faults,
    start_shift,
)
from domain.errors import InvariantError, Problem, refuse, refuse_if_any
from domain.events import event


@event()
class PayrollCalendarDefined:
    """A payroll calendar exists: as a draft to be confirmed or, `locked`, made and confirmed by seasonal billing.

    A locked one under a number already known takes that calendar's place (CAL-093, CAL-118).
    """

    account: str
    number: int
    payroll_frequency: Frequency
    start_date: dt.date
    payroll_days: tuple[int, ...]
    dates: tuple[dt.date, ...]
    invoiced_to: dt.date | None
    locked: bool


@event()
class PayrollCalendarChanged:
    """A new version stands as a draft beside the confirmed one, or in place of an earlier draft (CAL-113)."""

    account: str
    number: int
    payroll_frequency: Frequency
    start_date: dt.date
    payroll_days: tuple[int, ...]
    dates: tuple[dt.date, ...]
    invoiced_to: dt.date | None


@event()
class PayrollCalendarConfirmed:
    """The draft version is in force with these dates; those up to `invoiced_to`, inclusive, are frozen (CAL-112)."""

    account: str
    number: int
    payroll_frequency: Frequency
    dates: tuple[dt.date, ...]
    invoiced_to: dt.date | None


@event()
class DeductionStartShifted:
    """A rewrite moved the start date, of the confirmed version or of the draft beside it (CAL-115 to CAL-119)."""

    account: str
    number: int
    payroll_frequency: Frequency
    draft: bool
    old_start: dt.date
    new_start: dt.date
    unit: ShiftUnit
    amount: int
    dates: tuple[dt.date, ...]
    invoiced_to: dt.date | None


@event()
class PayrollHorizonExtended:
    """Deduction dates were added at the end because time went on (CAL-111)."""

    account: str
    number: int
    added: tuple[dt.date, ...]


@event()
class PayrollCalendarDeactivated:
    """The calendar is no longer used: seasonal billing has put its own in place (CAL-093)."""

    account: str
    number: int


@event()
class PayrollCalendarUnlocked:
    """Seasonal billing was switched off; the calendar may be changed and stays confirmed (CAL-093)."""

    account: str
    number: int


class PayrollCalendarStatus(StrEnum):
    """State machine "Payroll calendar"."""

    DRAFT = "DRAFT"
    CONFIRMED = "CONFIRMED"
    LOCKED = "LOCKED"
    INACTIVE = "INACTIVE"


@dataclass(frozen=True, slots=True)
class PayrollVersion:
    """A pattern with its deduction dates to the horizon; dates up to `invoiced_to`, inclusive, are frozen (badge)."""

    pattern: PayrollPattern
    dates: tuple[dt.date, ...]
    invoiced_to: dt.date | None = None


@dataclass(frozen=True, slots=True)
class PayrollCalendar:
    """One calendar of the account: the version in force, and a draft that waits for confirmation."""

    number: int
    confirmed: PayrollVersion | None = None
    draft: PayrollVersion | None = None
    locked: bool = False
    active: bool = True

    @property
    def status(self) -> PayrollCalendarStatus:
        """Its state; a draft beside a confirmed version does not change it."""
        if not self.active:
            return PayrollCalendarStatus.INACTIVE
        if self.locked:
            return PayrollCalendarStatus.LOCKED
        return PayrollCalendarStatus.DRAFT if self.confirmed is None else PayrollCalendarStatus.CONFIRMED

    @property
    def frequencies(self) -> frozenset[Frequency]:
        """The frequencies it serves or is about to serve."""
        return frozenset(version.pattern.frequency for version in (self.confirmed, self.draft) if version is not None)


@dataclass(frozen=True, slots=True)
class PayrollCalendars:
    """All payroll calendars of an account by number, inactive ones included."""

    by_number: Mapping[int, PayrollCalendar] = field(default_factory=dict)

    @property
    def active(self) -> tuple[PayrollCalendar, ...]:
        """The calendars that are not inactive, by number."""
        return tuple(calendar for calendar in self.by_number.values() if calendar.active)

    @property
    def locked(self) -> bool:
        """Whether seasonal billing has locked the account's payroll calendar."""
        return any(calendar.locked for calendar in self.active)

    def confirmed_version(self, frequency: Frequency) -> PayrollVersion | None:
        """The version in force for a payroll frequency; unconfirmed calendars are not used (CAL-112)."""
        for calendar in self.active:
            if calendar.confirmed is not None and calendar.confirmed.pattern.frequency is frequency:
                return calendar.confirmed
        return None


def evolve(state: PayrollCalendars, happened: object) -> PayrollCalendars:
    """The payroll calendars after one more event."""
    match happened:
        case PayrollCalendarDefined(locked=True):
            return _with(state, PayrollCalendar(happened.number, confirmed=_version(happened), locked=True))
        case PayrollCalendarDefined():
            return _with(state, PayrollCalendar(happened.number, draft=_version(happened)))
        case PayrollCalendarChanged():
            return _with(state, replace(state.by_number[happened.number], draft=_version(happened)))
        case PayrollCalendarConfirmed(number=number, dates=dates, invoiced_to=invoiced_to):
            calendar = state.by_number[number]
            if calendar.draft is None:
                raise InvariantError("a payroll calendar is confirmed that has no draft")
            version = PayrollVersion(calendar.draft.pattern, dates, invoiced_to)
            return _with(state, replace(calendar, confirmed=version, draft=None))
        case DeductionStartShifted():
            return _with(state, _shifted(state.by_number[happened.number], happened))
        case PayrollHorizonExtended(number=number, added=added):
            calendar = state.by_number[number]
            if calendar.confirmed is None:
                raise InvariantError("only a confirmed payroll calendar has a horizon")
            longer = replace(calendar.confirmed, dates=(*calendar.confirmed.dates, *added))
            return _with(state, replace(calendar, confirmed=longer))
        case PayrollCalendarDeactivated(number=number):
            return _with(state, replace(state.by_number[number], active=False, locked=False))
        case PayrollCalendarUnlocked(number=number):
            return _with(state, replace(state.by_number[number], locked=False))
        case _:
            raise TypeError(f"payroll calendars know no event {type(happened).__name__}")


def _with(state: PayrollCalendars, calendar: PayrollCalendar) -> PayrollCalendars:
    return PayrollCalendars({**state.by_number, calendar.number: calendar})


def _version(happened: PayrollCalendarDefined | PayrollCalendarChanged) -> PayrollVersion:
    pattern = PayrollPattern(happened.payroll_frequency, happened.start_date, happened.payroll_days)
    return PayrollVersion(pattern, happened.dates, happened.invoiced_to)


def _shifted(calendar: PayrollCalendar, happened: DeductionStartShifted) -> PayrollCalendar:
    version = calendar.draft if happened.draft else calendar.confirmed
    if version is None:
        raise InvariantError("a version is shifted that does not exist")
    pattern = replace(version.pattern, start_date=happened.new_start)
    moved = PayrollVersion(pattern, happened.dates, happened.invoiced_to)
    return replace(calendar, draft=moved) if happened.draft else replace(calendar, confirmed=moved)


PAYROLL_CALENDARS = Aggregate("payroll-calendars", PayrollCalendars, PayrollCalendars(), evolve)


@dataclass(frozen=True, slots=True)
class PayrollFacts:
    """What payroll decisions need to know beside the calendars.

    `horizon` is the last day up to which dates exist (`payroll.horizon_end`); `invoiced_to` the last day, inclusive, of
    the latest period with a non-discarded invoice (E of CAL-113); `tied_to` the frequency of a per-payroll account.
    """

    account: str
    horizon: dt.date
    invoiced_to: dt.date | None = None
    tied_to: Frequency | None = None


def define(
    state: PayrollCalendars,
    facts: PayrollFacts,
    frequency: Frequency | None,
    start_date: dt.date | None,
    payroll_days: Sequence[int] | None,
) -> list[PayrollCalendarDefined]:
    """Define a payroll calendar as a draft, with its dates to the horizon for review (DefinePayrollCalendar).

    Refuses PAYROLL_CALENDAR_DUPLICATE, PAYROLL_CALENDAR_INCOMPLETE, PAYROLL_DAY_INVALID, PAYROLL_FREQUENCY_MISMATCH,
    PAYROLL_CALENDAR_LOCKED, all together.
    """
    problems = _duplicates(state, frequency, None)
    problems += payroll_problems(frequency, start_date, payroll_days, tied_to=facts.tied_to)
    problems += _locked(state)
    refuse_if_any(problems)
    pattern = _pattern(frequency, start_date, payroll_days)
    return [
        PayrollCalendarDefined(
            account=facts.account,
            number=max(state.by_number, default=0) + 1,
            payroll_frequency=pattern.frequency,
            start_date=pattern.start_date,
            payroll_days=pattern.payroll_days,
            dates=_verified_dates(pattern, facts.horizon),
            invoiced_to=None,
            locked=False,
        )
    ]


def change(
    state: PayrollCalendars,
    facts: PayrollFacts,
    serving: Frequency | None,
    frequency: Frequency | None,
    start_date: dt.date | None,
    payroll_days: Sequence[int] | None,
) -> list[PayrollCalendarChanged]:
    """Give the calendar that serves a frequency a new version, as a draft (ChangePayrollCalendar).

    `frequency` may differ from `serving`. Without `serving` it is the calendar of the new frequency, else the only one
    of the account. Former dates up to E stay (CAL-113). Refuses ENTITY_NOT_FOUND alone, else the codes of `define`; an
    unchanged pattern changes nothing.
    """
    calendar = _meant(state, frequency) if serving is None else _serving(state, serving)
    problems = _duplicates(state, frequency, calendar)
    problems += payroll_problems(frequency, start_date, payroll_days, tied_to=facts.tied_to)
    problems += _locked(state)
    refuse_if_any(problems)
    pattern = _pattern(frequency, start_date, payroll_days)
    latest = calendar.draft or calendar.confirmed
    if latest is not None and latest.pattern == pattern:
        return []
    return [
        PayrollCalendarChanged(
            account=facts.account,
            number=calendar.number,
            payroll_frequency=pattern.frequency,
            start_date=pattern.start_date,
            payroll_days=pattern.payroll_days,
            dates=_dates_beside(calendar, pattern, facts),
            invoiced_to=facts.invoiced_to,
        )
    ]


def confirm(state: PayrollCalendars, facts: PayrollFacts, frequency: Frequency) -> list[PayrollCalendarConfirmed]:
    """Put the draft version that serves a frequency in force (ConfirmPayrollCalendar).

    The protection of invoiced dates is judged again, for an invoice may have been issued since the draft was made.
    Refuses ENTITY_NOT_FOUND, PAYROLL_CALENDAR_LOCKED, STATE_INVALID (nothing to confirm).
    """
    candidates = [item for item in state.active if item.draft is not None and item.draft.pattern.frequency is frequency]
    calendar = candidates[0] if candidates else _serving(state, frequency)
    refuse_if_any(_locked(state))
    if calendar.draft is None:
        raise refuse("STATE_INVALID", "The payroll calendar is confirmed already", pointer="/payroll_frequency")
    return [
        PayrollCalendarConfirmed(
            account=facts.account,
            number=calendar.number,
            payroll_frequency=frequency,
            dates=_dates_beside(calendar, calendar.draft.pattern, facts),
            invoiced_to=facts.invoiced_to if calendar.confirmed is not None else None,
        )
    ]


@dataclass(frozen=True, slots=True)
class Shifted:
    """The events of a rewrite and the warnings that go with them."""

    events: tuple[DeductionStartShifted | PayrollCalendarDefined, ...]
    warnings: tuple[Problem, ...] = ()


def shift_deduction_starts(
    state: PayrollCalendars,
    facts: PayrollFacts,
    *,
    allocation_mode: AllocationMode | None,
    old_effective: dt.date,
    new_effective: dt.date,
    invoicing_start: dt.date,
) -> Shifted:
    """Move every active payroll calendar of an INDIVIDUAL account with its EED after a rewrite (CAL-115 to CAL-119).

    `facts.invoiced_to` is E after the discards of the rewrite, `invoicing_start` the new ISD, before which former dates
    are dropped. A locked calendar is built again from the new EED. Decision: a draft beside a confirmed version is
    shifted too, else confirming it later would undo the rewrite.
    """
    shift = start_shift(old_effective, new_effective)
    if shift is None or allocation_mode is not AllocationMode.INDIVIDUAL:
        return Shifted(())
    events: list[DeductionStartShifted | PayrollCalendarDefined] = []
    warnings = []
    for calendar in state.active:
        former = [day for day in _former_dates(calendar) if day >= invoicing_start]
        if calendar.locked:
            events.append(_seasonal_calendar(calendar.number, facts, new_effective, former))
            continue
        for version in (calendar.confirmed, calendar.draft):
            if version is not None:
                moved = _shift_event(calendar, version, shift, facts, former)
                events.append(moved)
                if moved.new_start < new_effective:
                    warnings.append(_start_before_policy(moved))
    return Shifted(tuple(events), tuple(warnings))


def lock_for_season(
    state: PayrollCalendars, facts: PayrollFacts, earliest_effective: dt.date
) -> list[PayrollCalendarDefined | PayrollCalendarDeactivated]:
    """Seasonal billing was switched on, on an INDIVIDUAL account: its one monthly calendar, locked (CAL-093).

    A monthly calendar it has takes the new pattern; all others become inactive. Nothing happens when it is locked.
    """
    if state.locked:
        return []
    monthly = next((calendar for calendar in state.active if Frequency.MONTHLY in calendar.frequencies), None)
    number = max(state.by_number, default=0) + 1 if monthly is None else monthly.number
    others = [calendar for calendar in state.active if calendar is not monthly]
    former = [] if monthly is None else _former_dates(monthly)
    return [
        *(PayrollCalendarDeactivated(account=facts.account, number=calendar.number) for calendar in others),
        _seasonal_calendar(number, facts, earliest_effective, former),
    ]


def unlock_after_season(state: PayrollCalendars, account: str) -> list[PayrollCalendarUnlocked]:
    """Seasonal billing was switched off: the calendar may be edited and stays confirmed (CAL-093)."""
    return [
        PayrollCalendarUnlocked(account=account, number=calendar.number) for calendar in state.active if calendar.locked
    ]


def extend_horizon(state: PayrollCalendars, account: str, horizon: dt.date) -> list[PayrollHorizonExtended]:
    """Add the dates up to the horizon to confirmed and locked calendars; a second time adds nothing (CAL-111)."""
    events = []
    for calendar in state.active:
        version = calendar.confirmed
        if version is None:
            continue
        known = max((*version.dates[-1:], version.invoiced_to or dt.date.min))
        added = tuple(day for day in version.pattern.dates_to(horizon) if day > known)
        if added:
            events.append(PayrollHorizonExtended(account=account, number=calendar.number, added=added))
    return events


def unready_for_setup(state: PayrollCalendars, stated: Iterable[Frequency], pointer: str) -> list[Problem]:
    """What keeps an account with payroll deduction from being set up (CAL-112).

    It serves the frequencies the set-up states and those of its calendars, at least one; decision: a calendar that was
    never confirmed says that its frequency is to be served. The locked calendar of a season serves them all (MEM-088).
    """
    if state.locked:
        return []
    drafted = (frequency for one in state.active if one.confirmed is None for frequency in sorted(one.frequencies))
    served = tuple(dict.fromkeys([*stated, *drafted]))
    if not served and not any(one.confirmed for one in state.active):
        return [Problem("PAYROLL_CALENDAR_INCOMPLETE", "The account has no confirmed payroll calendar", pointer)]
    return setup_problems(state, served, pointer)


def setup_problems(state: PayrollCalendars, frequencies: Iterable[Frequency], pointer: str) -> list[Problem]:
    """Payroll frequencies of a set-up for which the account has no confirmed calendar (CAL-112)."""
    return [
        Problem(
            "PAYROLL_CALENDAR_INCOMPLETE",
            "The account has no confirmed payroll calendar of this frequency",
            pointer,
            params={"payroll_frequency": str(frequency)},
        )
        for frequency in frequencies
        if state.confirmed_version(frequency) is None
    ]


def _meant(state: PayrollCalendars, frequency: Frequency | None) -> PayrollCalendar:
    """The calendar to be changed where the message does not say which one. Refuses ENTITY_NOT_FOUND."""
    serving = [calendar for calendar in state.active if frequency in calendar.frequencies]
    if serving or len(state.active) == 1:
        return (serving or list(state.active))[0]
    raise refuse("ENTITY_NOT_FOUND", "No payroll calendar serves the frequency", pointer="/serving")


def _serving(state: PayrollCalendars, frequency: Frequency) -> PayrollCalendar:
    """The active calendar that serves a frequency; a confirmed version outranks a draft."""
    serving = [calendar for calendar in state.active if frequency in calendar.frequencies]
    confirmed = [item for item in serving if item.confirmed and item.confirmed.pattern.frequency is frequency]
    if not serving:
        raise refuse("ENTITY_NOT_FOUND", "No payroll calendar of this frequency", pointer="/payroll_frequency")
    return (confirmed or serving)[0]


def _duplicates(state: PayrollCalendars, frequency: Frequency | None, own: PayrollCalendar | None) -> list[Problem]:
    """PAYROLL_CALENDAR_DUPLICATE when another active calendar serves the frequency (CAL-105)."""
    if any(calendar is not own and frequency in calendar.frequencies for calendar in state.active):
        return [
            Problem("PAYROLL_CALENDAR_DUPLICATE", "The account has a calendar of this frequency", "/payroll_frequency")
        ]
    return []


def _locked(state: PayrollCalendars) -> list[Problem]:
    if not state.locked:
        return []
    return [Problem("PAYROLL_CALENDAR_LOCKED", "Seasonal billing fixes the payroll calendar", "/payroll_frequency")]


def _pattern(
    frequency: Frequency | None, start_date: dt.date | None, payroll_days: Sequence[int] | None
) -> PayrollPattern:
    if frequency is None or start_date is None or not payroll_days:
        raise InvariantError("an incomplete payroll calendar was not refused")
    return PayrollPattern(frequency, start_date, tuple(sorted(payroll_days)))


def _verified_dates(pattern: PayrollPattern, horizon: dt.date) -> tuple[dt.date, ...]:
    """The dates of the pattern to the horizon, verified (CAL-112); at least the first one, be it beyond the horizon."""
    dates = pattern.dates_to(horizon) or (next(pattern.dates()),)
    faults = sequence_faults(pattern, dates)
    if faults:
        raise InvariantError(f"deduction dates are wrong: {faults[0]}")
    return dates


def _former_dates(calendar: PayrollCalendar) -> list[dt.date]:
    return list(calendar.confirmed.dates) if calendar.confirmed is not None else []


def _dates_beside(calendar: PayrollCalendar, pattern: PayrollPattern, facts: PayrollFacts) -> tuple[dt.date, ...]:
    """The dates of a new version of the calendar; a calendar never confirmed has no former dates to keep (CAL-113)."""
    dates = _verified_dates(pattern, facts.horizon)
    return dates if calendar.confirmed is None else protected(_former_dates(calendar), dates, facts.invoiced_to)


def _seasonal_calendar(
    number: int, facts: PayrollFacts, earliest_effective: dt.date, former: Sequence[dt.date]
) -> PayrollCalendarDefined:
    pattern = seasonal_pattern(earliest_effective)
    dates = _verified_dates(pattern, facts.horizon)
    return PayrollCalendarDefined(
        account=facts.account,
        number=number,
        payroll_frequency=pattern.frequency,
        start_date=pattern.start_date,
        payroll_days=pattern.payroll_days,
        dates=protected(former, dates, facts.invoiced_to) if former else dates,
        invoiced_to=facts.invoiced_to if former else None,
        locked=True,
    )


def _shift_event(
    calendar: PayrollCalendar,
    version: PayrollVersion,
    shift: StartShift,
    facts: PayrollFacts,
    former: Iterable[dt.date],
) -> DeductionStartShifted:
    pattern = replace(version.pattern, start_date=shift.apply(version.pattern.start_date))
    dates = _verified_dates(pattern, facts.horizon)
    return DeductionStartShifted(
        account=facts.account,
        number=calendar.number,
        payroll_frequency=pattern.frequency,
        draft=version is calendar.draft,
        old_start=version.pattern.start_date,
        new_start=pattern.start_date,
        unit=shift.unit,
        amount=shift.amount,
        dates=dates if calendar.confirmed is None else protected(former, dates, facts.invoiced_to),
        invoiced_to=facts.invoiced_to if calendar.confirmed is not None else None,
    )


def _start_before_policy(moved: DeductionStartShifted) -> Problem:
    """A shifted start before the new effective date is accepted, with a warning (CAL-117)."""
    return Problem(
        "DEDUCTION_START_BEFORE_POLICY",
        "The deduction start lies before the policy's effective date",
        params={"payroll_frequency": str(moved.payroll_frequency), "start_date": moved.new_start.isoformat()},
    )
