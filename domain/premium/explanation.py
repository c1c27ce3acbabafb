"""Why a charge is what it is, and how it shows on a bill with one line per location.

Both are worked out on request from the pieces that made the charge, by the functions that made it; pricing in bulk
carries nothing for them.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from domain.calendar.periods import Period
from domain.money import split_proportionally
from domain.premium.account_terms import AccountTerms
from domain.premium.charges import Charge
from domain.premium.key_charge import KeyCharge, Piece, key_charges, runs_of, sequences_of, sub_periods
from domain.premium.sequences import SINGLE, holdings_on
from domain.premium.timeline import Timeline


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
    runs = runs_of(timeline, terms, charge.modality, period)
    for key_charge in key_charges(timeline, terms, charge.modality, period, runs):
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
    if all(sequence is SINGLE for sequence in sequences_of(timeline, key_charge.pieces)):
        return Fraction(1)
    total, own = 0, Fraction(0)
    for part in sub_periods(timeline, key_charge.charged, key_charge.rate):
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
    runs = runs_of(timeline, terms, charge.modality, period)
    for key_charge in key_charges(timeline, terms, charge.modality, period, runs):
        if key_charge.item == charge.item:
            return key_charge.charged or key_charge.pieces
    raise LookupError(f"no charge of {charge.key}")
