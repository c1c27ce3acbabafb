"""The days of a member on an account as paid-to-date walks them: at which rate, and where the member is away.

The premium timeline of the member and the terms of the account say both: days in force there cost a daily rate or are
free, by the annual premium or, on a seasonal account, by the modal premium of each period (BAL-083 to BAL-085). Days on
which the member is elsewhere, cancelled or not yet there are no segments; between them lie its absences (BAL-095).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable

from domain.balances.paid_to_date import Absence, CapReason, DayKind, Gap, RateSegment, daily_annual, daily_modal
from domain.calendar.periods import InvoicingGrid, Period
from domain.premium.account_terms import AccountTerms
from domain.premium.charges import charges
from domain.premium.timeline import OPEN_END, Segment, Timeline

#: How far beyond the last invoice a seasonal account's periods are walked: further than any money may reach ahead.
_HORIZON = dt.timedelta(days=800)


def member_segments(timeline: Timeline, terms: AccountTerms, last_invoiced_end: dt.date | None) -> list[RateSegment]:
    """The days of a member on the account with their rates, exact minor units a day (BAL-083, BAL-084).

    Days away are left out. `last_invoiced_end` is the exclusive end of the last invoiced period.
    """
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
    end = max(last or placed[0].start, placed[0].start) + _HORIZON
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


def gaps_from(last: dt.date | None, grid: InvoicingGrid | None, months: Collection[int]) -> tuple[Gap, ...]:
    """The seasonal gap that begins where billing stands, if one does (BAL-085, BAL-089).

    `last` is the exclusive end of the last invoiced period, `months` the gap months of the account.
    """
    if not months or last is None or grid is None:
        return ()
    end = last
    for period in grid.periods_from(last):
        if period.start.month not in months:
            break
        end = period.end
    return (Gap(last, end),) if end > last else ()


def first_day(timeline: Timeline, account: str) -> dt.date | None:
    """The first day of the member in force on the account."""
    return next((one.start for one in timeline.segments if one.in_force and one.account == account), None)


def absences(timeline: Timeline, account: str) -> tuple[Absence, ...]:
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


def _named(found: Iterable[Absence], timeline: Timeline) -> Iterable[Absence]:
    """A cancellation that a reinstatement ended is a lapse; one the term's end follows lasts."""
    last = timeline.segments[-1].end if timeline.segments else None
    for one in found:
        if one.end is not None and one.end == last:
            yield Absence(one.start, None, one.reason)
        elif one.end is not None and one.reason is CapReason.CANCELLATION:
            yield Absence(one.start, one.end, CapReason.LAPSE)
        else:
            yield one
