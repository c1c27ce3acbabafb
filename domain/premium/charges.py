"""Charges: what the days of a member come to on one account, modal period by modal period.

The unit is coverage x account x modal period. A period on every day of which the member is in force, placed on the
account with one modality and with one and the same annual amount costs the modal premium, however many transactions cut
it (PRM-022). Any other period costs, per item key, the rounded sum of its days' exact daily rates (PRM-023). Nearly all
periods of nearly all members are of the first kind and lie within a single segment of the timeline: they take the short
way (`_plain_charges`); everything else takes the full one (`_key_charges`). Both give the same figures, which the tests
compare with a naive day-by-day calculation.

    modal period   |-------------- March --------------|
    timeline       ...1200.00----|--1500.00--|--1200.00...      pieces of 9, 12 and 10 days
                                     |~~waiver~~|                payable: the days outside it

A charge is a light tuple: amounts, dates and the key. Why it is what it is, `explain_charge` tells on request.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from domain.accounts.bill_type import AllocationMode
from domain.calendar.frequency import Frequency
from domain.calendar.months import add_months
from domain.calendar.periods import Period, period_at
from domain.errors import Refusal, refuse
from domain.money import half_up_ratio, split_proportionally
from domain.premium.account_terms import AccountTerms, InclusionCriterion
from domain.premium.modal import DailyRate
from domain.premium.sequences import SINGLE_SEQUENCE, SubPeriod, holder_changes, holdings_on, split
from domain.premium.timeline import OPEN_END, CoverageAmount, RunningWaiver, Segment, Timeline
from domain.premium.transactions import ItemKey, PremiumSequence, SequenceHolder

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
    first, end = _days_billed_in(timeline, terms, billing_period)
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


def _days_billed_in(timeline: Timeline, terms: AccountTerms, billing: Period) -> tuple[dt.date, dt.date]:
    """Days in which every charge billed in the period has one of its own."""
    first, end = billing.start, billing.end
    earliest = terms.first_period is not None and billing.start <= terms.first_period
    if terms.allocation_mode is AllocationMode.INDIVIDUAL:
        # Without a deduction date in the item's period the payroll start decides, however late it is (INV-023).
        earliest = earliest or any(one.dates.start in billing for one in terms.payroll)
    if earliest and timeline.segments:
        first = min(first, timeline.segments[0].start)
    return first, end


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


# ------------------------------------------------------------------------------------------- the short way


def _plain_charges(
    timeline: Timeline,
    terms: AccountTerms,
    segment: Segment,
    modality: Frequency,
    period: Period,
    found: list[Charge],
) -> bool:
    """Append the charges of a period that lies within one segment, at modal premium; False when one needs more."""
    multiple = timeline.terms.multiple_sequences
    amounts = segment.amounts
    if not amounts:
        return False
    start, end = period.start, period.end
    if terms.seasonal_gaps:
        return False
    if multiple:
        for amount in amounts:
            if amount.sequences:
                return False
    member, account = timeline.terms.member_record, terms.account
    location, division, payroll = segment.location, segment.division, segment.payroll_frequency
    divisor = modality.paymode
    days = (end - start).days
    for amount in amounts:
        annual = amount.annual
        found.append(
            Charge(
                member,
                account,
                amount.key,
                SINGLE_SEQUENCE,
                modality,
                start,
                end,
                start,
                end,
                days,
                True,
                annual,
                half_up_ratio(annual, divisor),
                0,
                1,
                SINGLE_SEQUENCE,
                None,
                location,
                division,
                True,
                None,
                payroll,
            )
        )
    return True


# ------------------------------------------------------------------------------------------- the full way


@dataclass(frozen=True, slots=True)
class Piece:
    """Days [start, end) of one item key on which nothing changes; `annual` is what is charged, 0 while stopped."""

    start: dt.date
    end: dt.date
    amount: CoverageAmount
    annual: int
    waiver: RunningWaiver | None
    segment: Segment

    @property
    def days(self) -> int:
        """Number of days."""
        return (self.end - self.start).days


@dataclass(frozen=True, slots=True)
class KeyCharge:
    """The charge of an item key in a modal period before it is split over sequences, with its working.

    `whole`: charged at modal premium or a part of it (PRM-022, PRM-026); `capped`: brought down to the modal premium
    (PRM-023). `pieces` are in order of day.
    """

    item: ItemKey
    pieces: tuple[Piece, ...]
    rate: DailyRate
    whole: bool
    capped: bool
    gross: int
    net: int

    @property
    def charged(self) -> tuple[Piece, ...]:
        """The charged days: those with an annual amount (PRM-025, PRM-030)."""
        return tuple(piece for piece in self.pieces if piece.annual)

    @property
    def payable(self) -> tuple[Piece, ...]:
        """The charged days that are not waived (PRM-029)."""
        return tuple(piece for piece in self.pieces if piece.annual and piece.waiver is None)


class _Run(NamedTuple):
    """Days [start, end) of a segment on which the member is in force and placed on the account with the modality."""

    start: dt.date
    end: dt.date
    segment: Segment


def _full_charges(
    timeline: Timeline,
    terms: AccountTerms,
    modality: Frequency,
    period: Period,
    billing_starts: Mapping[ChargeKey, dt.date],
) -> list[Charge]:
    runs = _runs(timeline, terms, modality, period)
    if not runs:
        return []
    covered_from, covered_end, last = runs[0].start, runs[-1].end, runs[-1].segment
    one_location = all(
        (one.segment.location, one.segment.division) == (last.location, last.division) for one in runs[:-1]
    )
    found = []
    for key_charge in _key_charges(timeline, terms, modality, period, runs):
        waiver_from = min((one.waiver.start for one in key_charge.charged if one.waiver is not None), default=None)
        days = sum(piece.days for piece in key_charge.charged)
        annual = key_charge.pieces[-1].amount.annual
        for sequence, gross, net in _sequence_amounts(timeline, key_charge):
            found.append(
                Charge(
                    timeline.terms.member_record, terms.account, key_charge.item, sequence.root, modality,
                    period.start, period.end, covered_from, covered_end, days, key_charge.whole, annual, gross,
                    net - gross, sequence.number, sequence.sequence_id,
                    None if sequence is _SINGLE else sequence.effective, last.location, last.division, one_location,
                    waiver_from, last.payroll_frequency,
                )
            )  # fmt: skip
    if terms.seasonal_gaps:
        billing = terms.billing_period(covered_from, covered_end, last.payroll_frequency)
        return [one for one in found if not _is_gap(billing_starts.get(one.key, billing.start), terms)]
    return found


def _is_gap(billing_start: dt.date, terms: AccountTerms) -> bool:
    return billing_start.month in terms.seasonal_gaps


def _runs(timeline: Timeline, terms: AccountTerms, modality: Frequency, period: Period) -> list[_Run]:
    """The days of the period on the account with the modality, in order."""
    runs = []
    for segment in timeline.between(period.start, period.end):
        if not segment.in_force or segment.account != terms.account:
            continue
        day, last = max(segment.start, period.start), min(segment.end, period.end)
        while day < last:
            until = last
            if segment.modality is None:
                rule = terms.modality_on(day)
                until = min(last, rule.end)
                matches = rule.modality is modality
            else:
                matches = segment.modality is modality
            if matches:
                runs.append(_Run(day, until, segment))
            day = until
    return runs


def _key_charges(
    timeline: Timeline, terms: AccountTerms, modality: Frequency, period: Period, runs: Sequence[_Run]
) -> Iterator[KeyCharge]:
    """The charges of the item keys of every coverage, by PRM-022 to PRM-030; keys in order of their first day."""
    _refuse_incomplete(timeline, terms, modality, runs)
    rate = DailyRate(terms.basis, terms.paymode(modality), period.start, period.end)
    pieces: dict[str, list[Piece]] = {}
    for start, end, segment in runs:
        for amount in segment.amounts:
            coverage = amount.key.coverage
            piece = Piece(start, end, amount, segment.annual_of(amount), segment.waiver_of(coverage), segment)
            pieces.setdefault(coverage, []).append(piece)
    for coverage in sorted(pieces):
        yield from _coverage_charges(pieces[coverage], rate, period)


def _coverage_charges(pieces: Sequence[Piece], rate: DailyRate, period: Period) -> Iterator[KeyCharge]:
    by_key: dict[ItemKey, list[Piece]] = {}
    for piece in pieces:
        by_key.setdefault(piece.amount.key, []).append(piece)
    keys = list(by_key.values())
    same_annual = all(piece.annual == pieces[0].annual for piece in pieces)
    whole = same_annual and sum(piece.days for piece in pieces) == period.days
    capped = False
    if whole:
        modal = rate.modal(pieces[0].annual)
        grosses = split_proportionally(modal, [sum(piece.days for piece in key) for key in keys])
    else:
        grosses = [_prorated(key, rate) for key in keys]
        capped = _cap(grosses, {piece.annual for piece in pieces if piece.annual}, rate)
    for key, gross in zip(keys, grosses, strict=True):
        yield KeyCharge(key[0].amount.key, tuple(key), rate, whole, capped, gross, _net(key, gross, rate))


def _prorated(pieces: Iterable[Piece], rate: DailyRate) -> int:
    """The rounded sum of the daily rates of the pieces (PRM-023)."""
    return half_up_ratio(sum(rate.weight(one.annual, one.start, one.end) for one in pieces), rate.denominator)


def _cap(grosses: list[int], annuals: set[int], rate: DailyRate) -> bool:
    """Bring a cut period with one annual amount on all its charged days down to the modal premium (PRM-023).

    decision: the unit is the coverage in the period; several item keys together are capped, from the last key back, as
    the difference of PRM-026 is taken. Days without premium are not charged days.
    """
    if len(annuals) != 1:
        return False
    excess = sum(grosses) - rate.modal(next(iter(annuals)))
    if excess <= 0:
        return False
    for index in range(len(grosses) - 1, -1, -1):
        taken = min(grosses[index], excess)
        grosses[index] -= taken
        excess -= taken
    return True


def _net(pieces: Sequence[Piece], gross: int, rate: DailyRate) -> int:
    """The net charge of an item key under its waivers (PRM-029)."""
    charged = [piece for piece in pieces if piece.annual]
    payable = [piece for piece in charged if piece.waiver is None]
    if len(payable) == len(charged):
        return gross
    return min(gross, _prorated(payable, rate))


# ------------------------------------------------------------------------------------------- sequences

_SINGLE = PremiumSequence(SINGLE_SEQUENCE, 1, dt.date.min, (SequenceHolder("", 1, dt.date.min),))


def _sequence_amounts(timeline: Timeline, charge: KeyCharge) -> list[tuple[PremiumSequence, int, int]]:
    """(sequence, gross, net) of the key's sequences, ascending by number (PRM-050 to PRM-054)."""
    sequences = _sequences(timeline, charge.pieces)
    if all(sequence is _SINGLE for sequence in sequences):
        return [(_SINGLE, charge.gross, charge.net)]
    shares = split(
        charge.gross,
        charge.net,
        _sub_periods(timeline, charge.charged, charge.rate),
        _sub_periods(timeline, charge.payable, charge.rate),
        sequences,
    )
    if not shares:
        return [(one, 0, 0) for one in sorted(set(sequences), key=lambda one: (one.number, one.sequence_id))]
    return [(share.sequence, share.gross, share.net) for share in shares]


def _sequences(timeline: Timeline, pieces: Iterable[Piece]) -> list[PremiumSequence]:
    """All sequences of the pieces in order of day; where an amount has none, the single one."""
    if not timeline.terms.multiple_sequences:
        return [_SINGLE]
    return [sequence for piece in pieces for sequence in piece.amount.sequences or (_SINGLE,)]


def _sub_periods(timeline: Timeline, pieces: Iterable[Piece], rate: DailyRate) -> list[SubPeriod]:
    """The pieces, cut where holders change (PRM-051). Refuses MODAL_CALCULATION_BLOCKED on a day without a holder."""
    found = []
    for piece in pieces:
        sequences = piece.amount.sequences or (_SINGLE,)
        cuts = [piece.start, *holder_changes(sequences, piece.start, piece.end), piece.end]
        for start, end in pairwise(cuts):
            holdings = holdings_on(sequences, start)
            if not holdings:
                raise refuse(
                    "MODAL_CALCULATION_BLOCKED",
                    "a premium sequence split has no effective holder on a charged day",
                    entity=timeline.terms.member_record,
                    coverage=piece.amount.key.coverage,
                    first=start.isoformat(),
                    last=(end - _DAY).isoformat(),
                )
            found.append(SubPeriod(start, end, rate.weight(piece.annual, start, end), holdings))
    return found


def _refuse_incomplete(timeline: Timeline, terms: AccountTerms, modality: Frequency, runs: Sequence[_Run]) -> None:
    """Refuse MODAL_CALCULATION_BLOCKED for a record that never had an annual amount, or a modality the gaps forbid."""
    if terms.seasonal_gaps and modality is not Frequency.MONTHLY:
        raise refuse(
            "MODAL_CALCULATION_BLOCKED",
            "a seasonal account charges monthly premium only",
            entity=timeline.terms.member_record,
            account=terms.account,
            modality=modality.value,
        )
    for start, _, segment in runs:
        if not segment.amounts and not any(one.amounts for one in timeline.segments if one.start < start):
            raise refuse(
                "MODAL_CALCULATION_BLOCKED",
                "the record has no annual amount",
                entity=timeline.terms.member_record,
                account=terms.account,
                first=start.isoformat(),
            )


# ------------------------------------------------------------------------------------------- the working


@dataclass(frozen=True, slots=True)
class ExplainedPiece:
    """Days [start, end) of a charge: annual amount (0 while stopped), days, exact unrounded premium in minor units.

    `sources` are the transactions behind the piece: the one that set the amount, then those effective on its start.
    `holders` are the annual amounts of the effective holders by sequence root on the first day.
    """

    start: dt.date
    end: dt.date
    days: int
    annual: int
    unrounded: Fraction
    stopped: bool
    waiver_id: str | None
    location: str | None
    division: str | None
    holders: tuple[tuple[str, int], ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The working of one charge key: the item key's whole charge, how it came about, and this key's share of it.

    `daily` denominators: the rate of a piece is `unrounded / days`. `modal` is the modal premium of the last annual
    amount. `coefficient` is the key's share of the gross charge before rounding (PRM-052), 1 with a single sequence.
    """

    charge: Charge
    basis: str
    paymode: int
    modal: int
    full_period_days: int
    whole: bool
    capped: bool
    gross: int
    net: int
    coefficient: Fraction
    pieces: tuple[ExplainedPiece, ...]


def explain_charge(timeline: Timeline, terms: AccountTerms, charge: Charge) -> Explanation:
    """How the charge came about. Raises LookupError when the timeline has no such charge on the account."""
    period = Period(charge.period_start, charge.period_end)
    runs = _runs(timeline, terms, charge.modality, period)
    for key_charge in _key_charges(timeline, terms, charge.modality, period, runs):
        if key_charge.item == charge.item:
            return _explained(timeline, charge, key_charge)
    raise LookupError(f"no charge of {charge.key}")


def _explained(timeline: Timeline, charge: Charge, key_charge: KeyCharge) -> Explanation:
    rate = key_charge.rate
    return Explanation(
        charge=charge,
        basis=rate.basis.value,
        paymode=rate.paymode,
        modal=rate.modal(key_charge.pieces[-1].annual),
        full_period_days=(rate.end - rate.start).days,
        whole=key_charge.whole,
        capped=key_charge.capped,
        gross=key_charge.gross,
        net=key_charge.net,
        coefficient=_coefficient(timeline, charge, key_charge),
        pieces=tuple(
            ExplainedPiece(
                start=piece.start,
                end=piece.end,
                days=piece.days,
                annual=piece.annual,
                unrounded=Fraction(rate.weight(piece.annual, piece.start, piece.end), rate.denominator),
                stopped=piece.segment.stopped,
                waiver_id=piece.waiver.waiver_id if piece.waiver is not None else None,
                location=piece.segment.location,
                division=piece.segment.division,
                holders=holdings_on(piece.amount.sequences, piece.start),
                sources=tuple(dict.fromkeys((piece.amount.source, *piece.segment.sources))),
            )
            for piece in key_charge.pieces
        ),
    )


def _coefficient(timeline: Timeline, charge: Charge, key_charge: KeyCharge) -> Fraction:
    if all(sequence is _SINGLE for sequence in _sequences(timeline, key_charge.pieces)):
        return Fraction(1)
    total, own = 0, Fraction(0)
    for part in _sub_periods(timeline, key_charge.charged, key_charge.rate):
        total += part.weight
        held = dict(part.holdings)
        own += Fraction(part.weight * held.get(charge.sequence, 0), sum(held.values()))
    return own / total if total else Fraction(0)


class LocationLine(NamedTuple):
    """The part of a charge on one location and division, days [start, end); amounts in minor units (PRM-032)."""

    start: dt.date
    end: dt.date
    location: str | None
    division: str | None
    gross: int
    waiver: int


def location_lines(timeline: Timeline, terms: AccountTerms, charge: Charge) -> tuple[LocationLine, ...]:
    """One line per location interval of the charge: amounts by days, the difference on the last (PRM-032, INV-008)."""
    if charge.one_location:
        return (
            LocationLine(
                charge.covered_from, charge.covered_end, charge.location, charge.division, charge.gross, charge.waiver
            ),
        )
    intervals: list[list[Piece]] = []
    for piece in explained_pieces(timeline, terms, charge):
        place = (piece.segment.location, piece.segment.division)
        if intervals and place == (intervals[-1][-1].segment.location, intervals[-1][-1].segment.division):
            intervals[-1].append(piece)
        else:
            intervals.append([piece])
    days = [sum(piece.days for piece in interval) for interval in intervals]
    gross = split_proportionally(charge.gross, days)
    waiver = split_proportionally(-charge.waiver, days)
    return tuple(
        LocationLine(
            interval[0].start, interval[-1].end, interval[-1].segment.location, interval[-1].segment.division, share,
            -waived,
        )
        for interval, share, waived in zip(intervals, gross, waiver, strict=True)
    )  # fmt: skip


def explained_pieces(timeline: Timeline, terms: AccountTerms, charge: Charge) -> tuple[Piece, ...]:
    """The charged days of the charge's item key in pieces; all its days when none is charged."""
    period = Period(charge.period_start, charge.period_end)
    runs = _runs(timeline, terms, charge.modality, period)
    for key_charge in _key_charges(timeline, terms, charge.modality, period, runs):
        if key_charge.item == charge.item:
            return key_charge.charged or key_charge.pieces
    raise LookupError(f"no charge of {charge.key}")


__all__ = [
    "PROJECTION_MONTHS",
    "AccountTerms",
    "Charge",
    "ChargeKey",
    "ExplainedPiece",
    "Explanation",
    "InclusionCriterion",
    "LocationLine",
    "Refusal",
    "billing_period_of",
    "charges",
    "charges_billed_in",
    "charges_of",
    "explain_charge",
    "location_lines",
    "project",
]
