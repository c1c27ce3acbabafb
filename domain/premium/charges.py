"""Charges: what the days of a member come to on one account, modal period by modal period.

The unit is coverage x account x modal period. A period on every day of which the member is in force, placed on the
account with one modality and with one and the same annual amount costs the modal premium, however many transactions cut
it (PRM-022). Any other period costs, per item key, the rounded sum of its days' exact daily rates (PRM-023). Nearly all
periods of nearly all members are of the first kind and lie within a single segment of the timeline: they take the short
way (`_plain_charges`); everything else takes the full one (`key_charge.py`). Both give the same figures, and the tests
hold both against a naive day-by-day calculation.

    modal period   |-------------- March --------------|
    timeline       ...1200.00----|--1500.00--|--1200.00...      pieces of 9, 12 and 10 days
                                     |~~waiver~~|                payable: the days outside it

A charge is a light tuple: amounts, dates and the key. Why it is what it is, `explanation.py` tells on request.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from domain.accounts.bill_type import AllocationMode
from domain.calendar.frequency import Frequency
from domain.calendar.months import add_months
from domain.calendar.periods import Period, period_at
from domain.money import half_up_ratio
from domain.premium.account_terms import AccountTerms
from domain.premium.key_charge import key_charges, runs_of, sequence_amounts
from domain.premium.sequences import SINGLE, are_steady, steady_shares
from domain.premium.timeline import OPEN_END, Segment, Timeline
from domain.premium.transactions import ItemKey

_DAY = dt.timedelta(days=1)

#: The longest premium projection, in months.
PROJECTION_MONTHS = 24


class ChargeKey(NamedTuple):
    """What identifies a charge: member record x item key x premium sequence x modal period (PRM-032).

    The modal period is identified by account, modality and the first day of the *full* period of the member's grid, so
    that a cut of the period changes the charge and not its identity, and the days of several placements on one account
    in one period are one charge (MEM-072). `sequence` is the root of the sequence's lineage (PRM-055).
    """

    member_record: str
    account: str
    item: ItemKey
    sequence: str
    modality: Frequency
    period_start: dt.date


class Charge(NamedTuple):
    """The charge of one key. Amounts are minor units of the account's currency; the first six fields are the key.

    `period_end` and `covered_end` are exclusive. `covered_from` is the first day in the period on which the member is
    in force and placed there, `covered_end` the day after the last one (PRM-031). `days` are the charged days of the
    item key; `whole` says that the period is charged at modal premium (PRM-022). `annual` is the annual amount of the
    item key on its last day. `waiver` is never positive. Location and division are those of the last covered day;
    `one_location` is false when they change within the period (PRM-032). `waiver_from` is the start of the waiver.
    """

    member_record: str
    account: str
    item: ItemKey
    sequence: str
    modality: Frequency
    period_start: dt.date
    period_end: dt.date
    covered_from: dt.date
    covered_end: dt.date
    days: int
    whole: bool
    annual: int
    gross: int
    waiver: int
    sequence_number: int
    sequence_id: str
    sequence_effective: dt.date | None
    location: str | None
    division: str | None
    one_location: bool
    waiver_from: dt.date | None
    payroll_frequency: Frequency | None

    @property
    def key(self) -> ChargeKey:
        """The identity of the charge."""
        return ChargeKey(*self[:6])

    @property
    def net(self) -> int:
        """Gross charge and waiver line together (PRM-029)."""
        return self.gross + self.waiver

    @property
    def covered_to(self) -> dt.date:
        """The last covered day, inclusive (PRM-031)."""
        return self.covered_end - _DAY

    @property
    def has_item(self) -> bool:
        """Whether the charge gives an item: a period charged 0.00 does not, unless it is waived (PRM-030)."""
        return self.gross != 0


def charges(
    timeline: Timeline,
    terms: AccountTerms,
    first: dt.date,
    end: dt.date,
    billing_starts: Mapping[ChargeKey, dt.date] | None = None,
) -> list[Charge]:
    """The charges of a member on the account for all modal periods with a covered day in [first, end).

    Each for its whole modal period, also where that reaches beyond the window. Periods of 0.00 are listed while the
    member is in force (`has_item` tells); periods billed in a seasonal gap are not charged at all (PRM-145), unless
    `billing_starts` names for the key another billing period for which it was first invoiced (PRM-031). Refuses
    MODAL_CALCULATION_BLOCKED (PRM-047).
    """
    found: list[Charge] = []
    anchor, sticky, account = timeline.terms.anchor, terms.invoicing.sticky, terms.account
    seen: set[tuple[Frequency, dt.date]] = set()
    for segment in timeline.between(first, end):
        if not segment.in_force or segment.account != account:
            continue
        day = segment.start if segment.start > first else first
        last = segment.end if segment.end < end else end
        while day < last:
            modality, rule_first, rule_end = segment.modality, dt.date.min, OPEN_END
            if modality is None:
                modality, rule_first, rule_end = terms.modality_on(day)
            until = last if last < rule_end else rule_end
            while day < until:
                period = period_at(anchor, modality, day, sticky)
                start, stop = period.start, period.end
                if (modality, start) not in seen:
                    seen.add((modality, start))
                    plain = (
                        segment.start <= start
                        and stop <= segment.end
                        and rule_first <= start
                        and stop <= rule_end
                        and not (segment.waivers or segment.stops)
                        and _plain_charges(timeline, terms, segment, modality, period, found)
                    )
                    if not plain:
                        found += _full_charges(timeline, terms, modality, period, billing_starts or {})
                day = stop
            day = until
    return found


def charges_of(timelines: Iterable[Timeline], terms: AccountTerms, first: dt.date, end: dt.date) -> Iterator[Charge]:
    """The charges of many members on one account, member by member in the given order (see `charges`)."""
    for timeline in timelines:
        yield from charges(timeline, terms, first, end)


def charges_billed_in(
    timeline: Timeline,
    terms: AccountTerms,
    billing_period: Period,
    billing_starts: Mapping[ChargeKey, dt.date] | None = None,
) -> list[Charge]:
    """The charges whose billing period is the given invoicing period (INV-020 to INV-024).

    `billing_starts` holds the start of the billing period of keys already invoiced, which they keep (INV-021).
    """
    kept = billing_starts or {}
    first, end = days_billed_in(timeline, terms, billing_period)
    found = []
    for charge in charges(timeline, terms, first, end, kept):
        known = kept.get(charge.key) if kept else None
        if (known or billing_period_of(charge, terms).start) == billing_period.start:
            found.append(charge)
    if not kept:
        return found
    return found + _kept_outside(timeline, terms, billing_period, kept, {charge.key for charge in found})


def billing_period_of(charge: Charge, terms: AccountTerms) -> Period:
    """The invoicing period that bills the charge, when it was not invoiced yet (INV-020 to INV-024)."""
    return terms.billing_period(charge.covered_from, charge.covered_end, charge.payroll_frequency)


def project(timeline: Timeline, terms: AccountTerms, first: dt.date, months: int) -> list[Charge]:
    """The corrected charges of a member on the account for the `months` after `first`, at most 24.

    Those whose covered days begin on or after `first`. Raises ValueError outside 1 to 24 months; refuses
    MODAL_CALCULATION_BLOCKED.
    """
    if not 1 <= months <= PROJECTION_MONTHS:
        raise ValueError(f"a projection covers 1 to {PROJECTION_MONTHS} months")
    return [one for one in charges(timeline, terms, first, add_months(first, months)) if one.covered_from >= first]


def days_billed_in(timeline: Timeline, terms: AccountTerms, billing: Period) -> tuple[dt.date, dt.date]:
    """Days in which every charge billed in the period has one of its own."""
    first, end = billing.start, billing.end
    earliest = terms.first_period is not None and billing.start <= terms.first_period
    if terms.allocation_mode is AllocationMode.INDIVIDUAL:
        # Without a deduction date in the item's period the payroll start decides, however late it is (INV-023).
        earliest = earliest or any(one.dates.start in billing for one in terms.payroll)
        # The deduction date of an item may lie where the item's own days have a hole: in a lapse, or on the days of
        # another modality. Whole modal periods have a charged day all the same.
        for modality in _modalities_of(timeline, terms):
            anchor, sticky = timeline.terms.anchor, terms.invoicing.sticky
            first = min(first, period_at(anchor, modality, billing.start, sticky).start)
            end = max(end, period_at(anchor, modality, billing.end - _DAY, sticky).end)
    if earliest and timeline.segments:
        first = min(first, timeline.segments[0].start)
    return first, end


def _modalities_of(timeline: Timeline, terms: AccountTerms) -> frozenset[Frequency]:
    """The modalities of a record on the account; none where its days cannot have a hole, being of one piece."""
    if len(timeline.segments) == 1 and len(terms.modalities) < 2:
        return frozenset()
    own = {one.modality for one in timeline.segments if one.account == terms.account and one.modality is not None}
    return terms.modalities | own


def _kept_outside(
    timeline: Timeline,
    terms: AccountTerms,
    billing: Period,
    billing_starts: Mapping[ChargeKey, dt.date],
    found: set[ChargeKey],
) -> list[Charge]:
    """Charges that are billed in the period only because they were first invoiced for it (PRM-031)."""
    missing = [
        key
        for key, start in billing_starts.items()
        if start == billing.start
        and key.account == terms.account
        and key.member_record == timeline.terms.member_record
        and key not in found
    ]
    result: dict[ChargeKey, Charge] = {}
    for key in missing:
        period = period_at(timeline.terms.anchor, key.modality, key.period_start, terms.invoicing.sticky)
        for charge in charges(timeline, terms, period.start, period.end, billing_starts):
            if charge.key == key:
                result[key] = charge
    return list(result.values())


def _plain_charges(
    timeline: Timeline,
    terms: AccountTerms,
    segment: Segment,
    modality: Frequency,
    period: Period,
    found: list[Charge],
) -> bool:
    """Append the charges of a period within one segment, at modal premium; False when it needs the full way."""
    amounts = segment.amounts
    if not amounts or terms.seasonal_gaps:
        return False
    start, end = period.start, period.end
    multiple = timeline.terms.multiple_sequences
    if multiple:
        for amount in amounts:
            if amount.sequences and not are_steady(amount.sequences, start, end):
                return False
    member, account = timeline.terms.member_record, terms.account
    location, division, payroll = segment.location, segment.division, segment.payroll_frequency
    divisor = modality.paymode
    days = (end - start).days
    for amount in amounts:
        annual = amount.annual
        gross = half_up_ratio(annual, divisor)
        shares = steady_shares(gross, amount.sequences) if multiple and amount.sequences else [(SINGLE, gross)]
        for sequence, share in shares:
            found.append(
                Charge(
                    member, account, amount.key, sequence.root, modality, start, end, start, end,
                    days if annual else 0, True, annual,
                    share, 0, sequence.number, sequence.sequence_id,
                    None if sequence is SINGLE else sequence.effective, location, division, True, None, payroll,
                )
            )  # fmt: skip
    return True


def _full_charges(
    timeline: Timeline,
    terms: AccountTerms,
    modality: Frequency,
    period: Period,
    billing_starts: Mapping[ChargeKey, dt.date],
) -> list[Charge]:
    runs = runs_of(timeline, terms, modality, period)
    if not runs:
        return []
    covered_from, covered_end, last = runs[0].start, runs[-1].end, runs[-1].segment
    is_gap = False
    if terms.seasonal_gaps:
        is_gap = terms.is_gap(terms.billing_period(covered_from, covered_end, last.payroll_frequency))
        if is_gap and not any(one.period_start == period.start for one in billing_starts):
            return []
    one_location = all(
        (one.segment.location, one.segment.division) == (last.location, last.division) for one in runs[:-1]
    )
    found = []
    for key_charge in key_charges(timeline, terms, modality, period, runs):
        waiver_from = min((one.waiver.start for one in key_charge.charged if one.waiver is not None), default=None)
        days = sum(piece.days for piece in key_charge.charged)
        annual = key_charge.pieces[-1].amount.annual
        for sequence, gross, net in sequence_amounts(timeline, key_charge):
            found.append(
                Charge(
                    timeline.terms.member_record, terms.account, key_charge.item, sequence.root, modality,
                    period.start, period.end, covered_from, covered_end, days, key_charge.whole, annual, gross,
                    net - gross, sequence.number, sequence.sequence_id,
                    None if sequence is SINGLE else sequence.effective, last.location, last.division, one_location,
                    waiver_from, last.payroll_frequency,
                )
            )  # fmt: skip
    if terms.seasonal_gaps and billing_starts:
        return [one for one in found if not _is_gap(billing_starts.get(one.key), is_gap, terms)]
    return found


def _is_gap(billing_start: dt.date | None, otherwise: bool, terms: AccountTerms) -> bool:
    """Whether a key is billed in a gap: by the period for which it was first invoiced, if it was (PRM-031)."""
    return otherwise if billing_start is None else billing_start.month in terms.seasonal_gaps
