"""Premium rows: the lines of the modal premium history, as a version of a member record shows them.

A row says from when an item key has which annual and modal amount on which account. A change on a modal period start
gives one row; a change within a period gives one for the rest of the period, prorated, and one from the next period
start, in full (PRM-042). The key or account left gets a closing row of 0.00 from the same date (PRM-044, PRM-045).

    amendment to 1560.00 on 04-16:   04-16 to 04-30   15 days   64.11
                                     05-01 ...        full     130.00

Rows are derived from the timeline, like everything else; a version stores what was derived when it was written, and
validation compares the two (PRM-160). Displayed amounts are rounded row by row and need not add up to the charge.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from domain.calendar.frequency import Frequency
from domain.calendar.periods import Period, period_at
from domain.money import half_up_ratio
from domain.premium.account_terms import AccountTerms
from domain.premium.modal import DailyRate
from domain.premium.timeline import CoverageAmount, Segment, Timeline
from domain.premium.transactions import ItemKey, PremiumSequence, TransactionType


@dataclass(frozen=True, slots=True)
class PremiumRow:
    """One row of the modal premium history (PRM-041). Amounts in minor units; `end` exclusive, OPEN_END when open.

    `effective` is the modal premium effective date. `prorated` and `days` are given when the row covers part of the
    modal period [period_start, period_end). `closing` marks the 0.00 row of a key or account left. `seasonal` marks the
    rows of a seasonal update, set by who writes the version. `transaction_id` is the transaction that made the row.
    """

    transaction_id: str
    account: str
    item: ItemKey
    location: str | None
    division: str | None
    modality: Frequency
    effective: dt.date
    end: dt.date
    annual: int
    modal: int
    period_start: dt.date
    period_end: dt.date
    prorated: int | None = None
    days: int | None = None
    stop: bool = False
    resume: bool = False
    seasonal: bool = False
    closing: bool = False
    sequences: tuple[PremiumSequence, ...] = ()


class _Stretch(NamedTuple):
    """Days [start, end) on which a coverage has one row's attributes."""

    start: dt.date
    end: dt.date
    segment: Segment
    amount: CoverageAmount
    modality: Frequency
    resumed: bool
    transaction_id: str

    def continues(self, before: _Stretch) -> bool:
        """Whether nothing that a row shows has changed since the stretch before."""
        mine, other = self.segment, before.segment
        return (
            before.end == self.start
            and self.amount == before.amount
            and self.modality is before.modality
            and mine.stopped == other.stopped
            and (mine.account, mine.location, mine.division) == (other.account, other.location, other.division)
        )

    def leaves(self, before: _Stretch) -> bool:
        """Whether the item key or the account of the stretch before was left."""
        return (self.segment.account, self.amount.key) != (before.segment.account, before.amount.key)


def premium_rows(timeline: Timeline, accounts: Mapping[str, AccountTerms]) -> tuple[PremiumRow, ...]:
    """All rows of the member record, by coverage, then date; `accounts` has the terms of every account it is placed on.

    Raises KeyError for an account without terms; refuses MODAL_CALCULATION_BLOCKED for an unresolvable modality.
    """
    coverages = sorted({one.key.coverage for segment in timeline.segments for one in segment.amounts})
    rows: list[PremiumRow] = []
    for coverage in coverages:
        stretches = _merged(_stretches(timeline, accounts, coverage))
        for index, stretch in enumerate(stretches):
            terms = accounts[stretch.segment.account]
            rows += _rows_of(timeline, terms, stretch)
            following = stretches[index + 1] if index + 1 < len(stretches) else None
            rows += _closing_row(timeline, terms, stretch, following)
    return tuple(rows)


def _stretches(timeline: Timeline, accounts: Mapping[str, AccountTerms], coverage: str) -> Iterator[_Stretch]:
    resumed = was_stopped = False
    for segment in timeline.segments:
        resumed = (resumed or was_stopped) and not segment.stopped
        was_stopped = segment.stopped
        amount = next((one for one in segment.charged_amounts if one.key.coverage == coverage), None)
        if amount is None:
            continue
        day = segment.start
        while day < segment.end:
            modality, until = segment.modality, segment.end
            if modality is None:
                rule = accounts[segment.account].modality_on(day)
                modality, until = rule.modality, min(until, rule.end)
            yield _Stretch(day, until, segment, amount, modality, resumed, _maker(timeline, segment, amount, day))
            day = until


def _maker(timeline: Timeline, segment: Segment, amount: CoverageAmount, day: dt.date) -> str:
    """The transaction that made the row which begins on the day."""
    if day != segment.start:
        for one in timeline.transactions:
            changes = one.type is TransactionType.INVOICING_MODALITY_CHANGE
            if changes and one.effective_date == day and one.account == segment.account:
                return one.transaction_id
        return amount.source
    if amount.source in segment.sources or not segment.sources:
        return amount.source
    return segment.sources[-1]


def _merged(stretches: Iterator[_Stretch]) -> list[_Stretch]:
    found: list[_Stretch] = []
    for stretch in stretches:
        if found and stretch.continues(found[-1]):
            found[-1] = found[-1]._replace(end=stretch.end)
        else:
            found.append(stretch)
    return found


def _rows_of(timeline: Timeline, terms: AccountTerms, stretch: _Stretch) -> list[PremiumRow]:
    """One row for a stretch that begins with a modal period, else one for the rest of the period and one in full."""
    period = period_at(timeline.terms.anchor, stretch.modality, stretch.start, terms.invoicing.sticky)
    row = _row(terms, stretch, period)
    if stretch.start == period.start:
        return [row]
    rate = DailyRate(terms.basis, terms.paymode(stretch.modality), period.start, period.end)
    part_end = min(period.end, stretch.end)
    part = replace(
        row,
        end=part_end,
        prorated=half_up_ratio(rate.weight(row.annual, stretch.start, part_end), rate.denominator),
        days=(part_end - stretch.start).days,
    )
    if stretch.end <= period.end:
        return [part]
    following = period_at(timeline.terms.anchor, stretch.modality, period.end, terms.invoicing.sticky)
    return [
        part,
        replace(row, effective=period.end, period_start=following.start, period_end=following.end),
    ]


def _row(terms: AccountTerms, stretch: _Stretch, period: Period) -> PremiumRow:
    segment, amount = stretch.segment, stretch.amount
    annual = segment.annual_of(amount)
    return PremiumRow(
        transaction_id=stretch.transaction_id,
        account=segment.account,
        item=amount.key,
        location=segment.location,
        division=segment.division,
        modality=stretch.modality,
        effective=stretch.start,
        end=stretch.end,
        annual=annual,
        modal=half_up_ratio(annual, terms.paymode(stretch.modality)),
        period_start=period.start,
        period_end=period.end,
        stop=segment.stopped,
        resume=stretch.resumed,
        sequences=amount.sequences,
    )


def _closing_row(
    timeline: Timeline, terms: AccountTerms, stretch: _Stretch, following: _Stretch | None
) -> list[PremiumRow]:
    """The 0.00 row of a key or account left, of a removed key, or of a cancelled record (PRM-044, PRM-045)."""
    if following is not None and following.start == stretch.end and not following.leaves(stretch):
        return []
    after = timeline.at(stretch.end)
    if after is None:
        return []
    period = period_at(timeline.terms.anchor, stretch.modality, stretch.end, terms.invoicing.sticky)
    until = following.start if following is not None and following.start > stretch.end else after.end
    left = _row(terms, stretch, period)
    return [
        replace(
            left,
            transaction_id=after.sources[-1] if after.sources else left.transaction_id,
            effective=stretch.end,
            end=until,
            annual=0,
            modal=0,
            stop=False,
            resume=False,
            closing=True,
        )
    ]
