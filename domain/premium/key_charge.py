"""The charge of an item key in a modal period, with its working: pieces of days, rates, roundings, caps, shares.

This is the full way to a charge. The days of the period on the account become *runs* (one segment each), the runs
*pieces* of an item key, and the rules of PRM-022 to PRM-030 turn the pieces of a coverage into one gross and one net
charge a key, rounded once each. What was cut, capped or waived stays visible in the result, so that a charge can be
explained by the same figures that made it.

    runs      |---account A---|   (elsewhere)   |--account A--|
    pieces    |--key 1--|--key 2----|           |--key 2------|      key 2: two pieces, one rounding
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from domain.calendar.frequency import Frequency
from domain.calendar.periods import Period
from domain.errors import refuse
from domain.money import half_up_ratio, split_proportionally
from domain.premium.account_terms import AccountTerms
from domain.premium.modal import DailyRate, ProrationBasis
from domain.premium.sequences import SINGLE, SubPeriod, by_number, holder_changes, holdings_on, split
from domain.premium.timeline import CoverageAmount, RunningWaiver, Segment, Timeline
from domain.premium.transactions import ItemKey, PremiumSequence

_DAY = dt.timedelta(days=1)


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


class Run(NamedTuple):
    """Days [start, end) of a segment on which the member is in force and placed on the account with the modality."""

    start: dt.date
    end: dt.date
    segment: Segment


def runs_of(timeline: Timeline, terms: AccountTerms, modality: Frequency, period: Period) -> list[Run]:
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
                runs.append(Run(day, until, segment))
            day = until
    return runs


def key_charges(
    timeline: Timeline, terms: AccountTerms, modality: Frequency, period: Period, runs: Sequence[Run]
) -> Iterator[KeyCharge]:
    """The charges of the item keys of every coverage, by PRM-022 to PRM-030; keys in order of their first day."""
    _refuse_incomplete(timeline, terms, modality, runs)
    rate = DailyRate(_basis(timeline, terms, period, runs), terms.paymode(modality), period.start, period.end)
    pieces: dict[str, list[Piece]] = {}
    for start, end, segment in runs:
        for amount in segment.amounts:
            coverage = amount.key.coverage
            piece = Piece(start, end, amount, segment.annual_of(amount), segment.waiver_of(coverage), segment)
            pieces.setdefault(coverage, []).append(piece)
    for coverage in sorted(pieces):
        yield from _coverage_charges(pieces[coverage], rate, period)


def _basis(timeline: Timeline, terms: AccountTerms, period: Period, runs: Sequence[Run]) -> ProrationBasis:
    """The basis of the period, by the invoicing period that bills it; where nothing is in force none matters."""
    constant = terms.constant_basis
    if constant is not None or not runs:
        return constant or terms.proration_basis
    billing = terms.billing_period(runs[0].start, runs[-1].end, runs[-1].segment.payroll_frequency)
    return terms.basis_of(timeline.terms.master_policy, period.start, billing.start)


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


def sequence_amounts(timeline: Timeline, charge: KeyCharge) -> list[tuple[PremiumSequence, int, int]]:
    """(sequence, gross, net) of the key's sequences, ascending by number (PRM-050 to PRM-054)."""
    sequences = sequences_of(timeline, charge.pieces)
    if all(sequence is SINGLE for sequence in sequences):
        return [(SINGLE, charge.gross, charge.net)]
    shares = split(
        charge.gross,
        charge.net,
        sub_periods(timeline, charge.charged, charge.rate),
        sub_periods(timeline, charge.payable, charge.rate),
        sequences,
    )
    if not shares:
        return [(one, 0, 0) for one in by_number(sequences)]
    return [(share.sequence, share.gross, share.net) for share in shares]


def sequences_of(timeline: Timeline, pieces: Iterable[Piece]) -> list[PremiumSequence]:
    """All sequences of the pieces in order of day; where an amount has none, the single one."""
    if not timeline.terms.multiple_sequences:
        return [SINGLE]
    return [sequence for piece in pieces for sequence in piece.amount.sequences or (SINGLE,)]


def sub_periods(timeline: Timeline, pieces: Iterable[Piece], rate: DailyRate) -> list[SubPeriod]:
    """The pieces, cut where holders change (PRM-051). Refuses MODAL_CALCULATION_BLOCKED on a day without a holder."""
    found = []
    for piece in pieces:
        sequences = piece.amount.sequences or (SINGLE,)
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


def _refuse_incomplete(timeline: Timeline, terms: AccountTerms, modality: Frequency, runs: Sequence[Run]) -> None:
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
