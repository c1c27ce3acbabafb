"""Premium sequence splits: whose share of a charge is whose.

A charge is worked out once for the item key and then split; a sequence never has a premium of its own. The days of the
period fall into sub-periods on which annual amount and effective holders stay the same. In each the unrounded premium
goes to the sequences by the annual amounts of their effective holders; what a sequence gets over all of them, as part
of the total, is its coefficient, and its share is coefficient x rounded charge (PRM-051 to PRM-054).

    June 2025, S1 720.00 -> 600.00 and S2 480.00 -> 600.00 on the 11th, premium unchanged 1200.00

    |--------10 days--------|---------------20 days----------------|
       S1 60 %   S2 40 %             S1 50 %        S2 50 %
    coefficients (10 x 60 % + 20 x 50 %) / 30 = 53.33 %  and 46.67 %
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from domain.money import half_up, half_up_ratio
from domain.premium.transactions import PremiumAmount, PremiumSequence, SequenceHolder

#: The sequence of an item key that has no other (PRM-050).
SINGLE = PremiumSequence("1", 1, dt.date.min, (SequenceHolder("", 1, dt.date.min),))


@dataclass(frozen=True, slots=True)
class SubPeriod:
    """Days [start, end) on which annual amount and effective holders stay the same.

    `weight` is the premium of the days (a numerator over a denominator common to the period); `holdings` are (root of
    the sequence, annual amount of its effective holders in minor units), only those above zero.
    """

    start: dt.date
    end: dt.date
    weight: int
    holdings: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class SequenceShare:
    """The share of one sequence in gross and net charge, in minor units; the waiver line is never positive."""

    sequence: PremiumSequence
    gross: int
    net: int

    @property
    def waiver(self) -> int:
        """Net minus gross (PRM-053)."""
        return self.net - self.gross


def holdings_on(sequences: Sequence[PremiumSequence], day: dt.date) -> tuple[tuple[str, int], ...]:
    """The annual amounts of the effective holders on the day, by sequence root; only those above zero (PRM-052)."""
    found: dict[str, int] = {}
    for sequence in sequences:
        if not sequence.effective <= day or (sequence.end is not None and sequence.end <= day):
            continue
        annual = sum(
            holder.annual
            for holder in sequence.holders
            if holder.effective <= day and (holder.expiration is None or day < holder.expiration)
        )
        if annual > 0:
            found[sequence.root] = found.get(sequence.root, 0) + annual
    return tuple(found.items())


def sequences_after(
    former: tuple[PremiumSequence, ...], stated: PremiumAmount, day: dt.date
) -> tuple[PremiumSequence, ...]:
    """The sequences of an item key after an amount was stated for it from the day on (MEM-033).

    A sequence goes on until a transaction states it, or its successor, anew. decision: those stated whose holders make
    up the whole annual amount on the day are all there are from then on; what they do not name has ended (MEM-036).
    """
    whole = sum(annual for _, annual in holdings_on(stated.sequences, day)) == stated.annual
    if not former or (whole and stated.sequences):
        return stated.sequences
    named = {one.root for one in stated.sequences} | {one.replaces for one in stated.sequences}
    return (*(one for one in former if not {one.root, one.sequence_id} & named), *stated.sequences)


def registration_conflict(sequences: Sequence[PremiumSequence]) -> str | None:
    """What forbids to register these sequences of one item together, None when nothing does (MEM-035).

    A holder missing on a charged day is found with the charges (PRM-047).
    """
    for one in sequences:
        if one.end is not None and one.end <= one.effective:
            return f"sequence {one.sequence_id} ends before it begins"
    ordered = sorted(sequences, key=lambda one: (one.number, one.effective))
    for before, after in pairwise(ordered):
        if before.number == after.number and (before.end is None or after.effective < before.end):
            return f"sequences {before.sequence_id} and {after.sequence_id} have the number {after.number} on one day"
    return None


def holder_changes(sequences: Iterable[PremiumSequence], first: dt.date, end: dt.date) -> list[dt.date]:
    """The days inside (first, end) on which the effective holders may change, ascending (PRM-051)."""
    days: set[dt.date] = set()
    for sequence in sequences:
        days.update((sequence.effective, sequence.end or end))
        for holder in sequence.holders:
            days.update((holder.effective, holder.expiration or end))
    return sorted(day for day in days if first < day < end)


def are_steady(sequences: Sequence[PremiumSequence], first: dt.date, end: dt.date) -> bool:
    """Whether each sequence has an amount above zero and is, with its holders, effective on all days [first, end)."""
    if len({sequence.root for sequence in sequences}) != len(sequences):
        return False
    for sequence in sequences:
        if sequence.effective > first or (sequence.end is not None and sequence.end < end):
            return False
        for holder in sequence.holders:
            if holder.effective > first or (holder.expiration is not None and holder.expiration < end):
                return False
        if sum(holder.annual for holder in sequence.holders) <= 0:
            return False
    return True


def steady_shares(amount: int, sequences: Sequence[PremiumSequence]) -> list[tuple[PremiumSequence, int]]:
    """The standard split by annual amounts, for a whole period with steady holders (PRM-054), as `split` gives it."""
    if len(sequences) == 1:
        return [(sequences[0], amount)]
    ordered = sorted(sequences, key=lambda one: (one.number, one.effective, one.sequence_id))
    annuals = [sum(holder.annual for holder in sequence.holders) for sequence in ordered]
    total = sum(annuals)
    shares = [half_up_ratio(amount * annual, total) for annual in annuals]
    difference = amount - sum(shares)
    for index in range(len(shares) - 1, -1, -1):
        if difference == 0:
            break
        moved = max(shares[index] + difference, 0) - shares[index]
        shares[index] += moved
        difference -= moved
    return list(zip(ordered, shares, strict=True))


def split(
    gross: int,
    net: int,
    charged: Sequence[SubPeriod],
    payable: Sequence[SubPeriod],
    sequences: Sequence[PremiumSequence],
) -> tuple[SequenceShare, ...]:
    """Split a charge over its sequences, ascending by number; those without any share in the period are left out.

    `gross` and `net` are the rounded charges in minor units, `charged` the sub-periods of all charged days, `payable`
    those of the non-waived ones, `sequences` all that occur in them (of two with one root the later one stands for it).
    The shares add up to gross and net exactly; no net share is above its gross share (PRM-053).
    """
    ordered = by_number(sequences)
    roots = [one.root for one in ordered]
    gross_shares = _shares(gross, charged, roots)
    net_shares = _shares(net, payable, roots)
    _limit(net_shares, gross_shares)
    return tuple(
        SequenceShare(sequence, gross_shares[sequence.root], net_shares[sequence.root])
        for sequence in ordered
        if sequence.root in gross_shares
    )


def by_number(sequences: Sequence[PremiumSequence]) -> list[PremiumSequence]:
    """One sequence a lineage, the later one of two, ascending by number."""
    latest = {one.root: one for one in sequences}
    return sorted(latest.values(), key=lambda one: (one.number, one.effective, one.sequence_id))


def _shares(amount: int, sub_periods: Sequence[SubPeriod], roots: Sequence[str]) -> dict[str, int]:
    """The rounded share of each root with a non-zero coefficient, the difference on the highest-numbered of them."""
    sums: dict[str, Fraction | int] = {}
    total = 0
    for part in sub_periods:
        total += part.weight
        held = sum(annual for _, annual in part.holdings)
        for root, annual in part.holdings:
            sums[root] = sums.get(root, 0) + Fraction(part.weight * annual, held)
    if total == 0:
        return {root: 0 for root in roots if any(root == held for part in sub_periods for held, _ in part.holdings)}
    shares = {root: half_up(Fraction(amount) * sums[root] / total) for root in roots if sums.get(root)}
    difference = amount - sum(shares.values())
    for root in reversed(list(shares)):
        if difference == 0:
            break
        moved = max(shares[root] + difference, 0) - shares[root]
        shares[root] += moved
        difference -= moved
    return shares


def _limit(net_shares: dict[str, int], gross_shares: dict[str, int]) -> None:
    """Bring every net share down to its gross share; the excess goes to the other sequences, highest number first."""
    excess = 0
    for root, gross in gross_shares.items():
        net = net_shares.setdefault(root, 0)
        if net > gross:
            excess += net - gross
            net_shares[root] = gross
    for root in reversed(list(gross_shares)):
        if excess == 0:
            break
        moved = min(gross_shares[root] - net_shares[root], excess)
        net_shares[root] += moved
        excess -= moved
