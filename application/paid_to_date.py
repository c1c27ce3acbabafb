"""Paid-to-date of accounts and members, worked out from the items as they stand and the premium in force (BAL-079).

The unit of a true-group account is a master policy on it, from which each member's value follows; elsewhere it is the
member record on the account (BAL-080). Nothing is stored: the figure is a function of the register and the timelines,
and every channel shows what this function gives (BAL-101).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from application.invoices import members_of
from application.parameters import account_keys, parameters_in_force
from application.pricing import account_terms
from application.register import ItemRegister, PaidInvoiceRow, Placements
from application.unit_of_work import UnitOfWork
from domain.accounts.account import ACCOUNT, Account
from domain.accounts.bill_type import AllocationMode, BillType
from domain.balances.paid_to_date import (
    Absence,
    CapReason,
    DayKind,
    Gap,
    PaidToDate,
    RateSegment,
    Settings,
    Strategy,
    UnitInvoice,
    daily_annual,
    daily_modal,
    member_of_group,
    paid_to_date,
    settled_amount,
    unit_segments,
)
from domain.calendar.periods import Period
from domain.errors import refuse
from domain.premium.account_terms import AccountTerms
from domain.premium.charges import charges
from domain.premium.timeline import OPEN_END, Segment, Timeline

_SETTINGS = ("ptd.strategy", "ptd.gap_credit", "ptd.require_first_invoice_paid", "ptd.cap_at_billed_end")


@dataclass(frozen=True, slots=True)
class Reckoned:
    """A paid-to-date with what it was worked out from: the unit, its invoices, what is settled (minor units)."""

    account: str
    master_policy: str
    member_record: str | None
    result: PaidToDate
    settled: int
    invoices: tuple[PaidInvoiceRow, ...]
    segments: tuple[RateSegment, ...]


def account_paid_to_date(unit: UnitOfWork, account: str, master_policy: str) -> Reckoned:
    """The value of a master policy on a true-group account (BAL-080). Refused where the account has no such unit."""
    state = _account(unit, account)
    if state.bill_type is BillType.FLEXIBILL or state.allocation_mode is AllocationMode.INDIVIDUAL:
        raise refuse("CAPABILITY_NOT_AVAILABLE", "the account has no paid-to-date by policy", entity=account)
    return _of_unit(unit, state, master_policy, None)


def member_paid_to_date(unit: UnitOfWork, member_record: str, account: str) -> Reckoned:
    """The value of a member on an account (BAL-094 to BAL-098). Refused MEMBER_RECORD_NOT_FOUND."""
    state = _account(unit, account)
    for portion in members_of(unit, [member_record]):
        for member in portion:
            absences = _absences(member.timeline, account)
            start = _start(member.timeline, account)
            policy = member.record.master_policy
            if state.allocation_mode is AllocationMode.INDIVIDUAL or state.bill_type is BillType.INDIVIDUAL_DIRECT:
                return _of_unit(unit, state, policy, member_record)
            whole = _of_unit(unit, state, policy, None)
            result = member_of_group(whole.result, start or member.record.effective_date, absences)
            return Reckoned(account, policy, member_record, result, whole.settled, whole.invoices, whole.segments)
    raise refuse("MEMBER_RECORD_NOT_FOUND", "there is no such member record", pointer="/memberRecord")


def _account(unit: UnitOfWork, account: str) -> Account:
    state = unit.load(ACCOUNT, account).state
    if not state.number:
        raise refuse("BILLING_ACCOUNT_NOT_FOUND", "there is no such account", pointer="/account")
    return state


def _of_unit(unit: UnitOfWork, account: Account, master_policy: str, member: str | None) -> Reckoned:
    """The walk of one unit: a policy on the account, or one of its members."""
    terms = account_terms(unit, account)
    rows = unit.port(ItemRegister).paid_invoices(account.number, master_policy, member)
    own = [row for row in rows if row.own_period]
    invoices = [
        UnitInvoice(row.period_start, row.period_end, row.collectible == 0, row.positive_billed, row.billed)
        for row in own
    ]
    last = max((row.period_end for row in own), default=None)
    numbers = (
        [member] if member is not None else unit.port(Placements).members_on(account.number, dt.date.min, OPEN_END)
    )
    per_member: list[list[RateSegment]] = []
    absences: tuple[Absence, ...] = ()
    starts: list[dt.date] = []
    for portion in members_of(unit, numbers):
        for one in portion:
            if one.record.master_policy != master_policy:
                continue
            segments = member_segments(one.timeline, terms, last)
            if not segments:
                continue
            per_member.append(segments)
            starts.append(segments[0].start)
            if member is not None:
                absences = _absences(one.timeline, account.number)
    segments = per_member[0] if member is not None and per_member else unit_segments(per_member)
    overpayments = unit.port(ItemRegister).overpayments(account.number) if member is not None else []
    overpaid = sum([row.amount for row in overpayments if row.member == member])
    settled = settled_amount(sum(row.paid for row in rows), [("", row.written_off) for row in rows], overpaid)
    start = min(starts, default=account.earliest_day or dt.date.min)
    gaps = _gaps(account, last)
    result = paid_to_date(
        segments, invoices, settled, start=start, gaps=gaps, absences=absences, settings=_settings(unit, account)
    )
    return Reckoned(account.number, master_policy, member, result, settled, tuple(rows), tuple(segments))


def _settings(unit: UnitOfWork, account: Account) -> Settings:
    values = parameters_in_force(unit, _SETTINGS, account_keys(account), unit.today(account.time_zone))
    return Settings(
        strategy=Strategy(str(values["ptd.strategy"])),
        gap_credit=bool(values["ptd.gap_credit"]),
        require_first_invoice_paid=bool(values["ptd.require_first_invoice_paid"]),
        cap_at_billed_end=bool(values["ptd.cap_at_billed_end"]),
    )


# --- Days of a member -------------------------------------------------------------------------------------------------


def member_segments(timeline: Timeline, terms: AccountTerms, last_invoiced_end: dt.date | None) -> list[RateSegment]:
    """The days of a member on the account with their rates (BAL-083, BAL-084); days away are left out."""
    if terms.seasonal_gaps:
        return _seasonal_segments(timeline, terms, last_invoiced_end)
    return [
        _segment(one.start, one.end, _annual(one))
        for one in timeline.segments
        if one.in_force and one.account == terms.account
    ]


def _segment(start: dt.date, end: dt.date, annual: int) -> RateSegment:
    if annual <= 0:
        return RateSegment(start, end, DayKind.FREE)
    return RateSegment(start, end, DayKind.CHARGED, daily_annual(annual))


def _annual(segment: Segment) -> int:
    """What a day of the segment costs a year: nothing while stopped, nothing of what is waived."""
    if segment.stopped:
        return 0
    return sum(
        one.annual for one in segment.amounts if not any(waiver.covers(one.key.coverage) for waiver in segment.waivers)
    )


def _seasonal_segments(timeline: Timeline, terms: AccountTerms, last: dt.date | None) -> list[RateSegment]:
    """By modal premium and period, with free gap months, as far as anything can be settled."""
    placed = [one for one in timeline.segments if one.in_force and one.account == terms.account]
    if not placed:
        return []
    end = max(last or placed[0].start, placed[0].start) + dt.timedelta(days=800)
    by_period: dict[Period, int] = {}
    for one in charges(timeline, terms, placed[0].start, min(end, placed[-1].end)):
        period = Period(one.covered_from, one.covered_end)
        by_period[period] = by_period.get(period, 0) + one.net
    segments: list[RateSegment] = []
    for stay in placed:
        day = stay.start
        for period, net in sorted(by_period.items()):
            if net <= 0 or not (stay.start <= period.start < stay.end):
                continue
            if day < period.start:
                segments.append(RateSegment(day, period.start, DayKind.FREE))
            rate = daily_modal(net, period.start, period.end)
            segments.append(RateSegment(period.start, period.end, DayKind.CHARGED, rate))
            day = max(day, period.end)
        if day < min(stay.end, end):
            segments.append(RateSegment(day, min(stay.end, end), DayKind.FREE))
    return segments


def _gaps(account: Account, last: dt.date | None) -> Sequence[Gap]:
    """The seasonal gap that begins where billing stands, if one does (BAL-085, BAL-089)."""
    if not account.seasonal_gaps or last is None or account.grid is None:
        return ()
    end = last
    for period in account.grid.periods_from(last):
        if period.start.month not in account.seasonal_gaps:
            break
        end = period.end
    return (Gap(last, end),) if end > last else ()


def _start(timeline: Timeline, account: str) -> dt.date | None:
    return next((one.start for one in timeline.segments if one.in_force and one.account == account), None)


def _absences(timeline: Timeline, account: str) -> tuple[Absence, ...]:
    """The days after the member's start on the account on which it is not there, with the reason (BAL-095 to 098)."""
    found: list[Absence] = []
    started = False
    for segment in timeline.segments:
        here = segment.in_force and segment.account == account
        started = started or here
        if here or not started:
            continue
        reason = CapReason.MOVE if segment.in_force else CapReason.CANCELLATION
        end = None if segment.end == OPEN_END else segment.end
        if found and found[-1].end == segment.start:
            found[-1] = Absence(found[-1].start, end, found[-1].reason)
        else:
            found.append(Absence(segment.start, end, reason))
    return tuple(_named(found, timeline))


def _named(absences: Iterable[Absence], timeline: Timeline) -> Iterable[Absence]:
    """A cancellation that a reinstatement ended is a lapse; one the term's end follows lasts."""
    last = timeline.segments[-1].end if timeline.segments else None
    for one in absences:
        if one.end is not None and one.end == last:
            yield Absence(one.start, None, one.reason)
        elif one.end is not None and one.reason is CapReason.CANCELLATION:
            yield Absence(one.start, one.end, CapReason.LAPSE)
        else:
            yield one
