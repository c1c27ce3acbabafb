"""Validation of stored premium: is what a version says still what its transactions give?

Everything is worked out again from the timeline and compared with what is stored or kept elsewhere: the rows of the
version, the placements of the member record, the shares of the sequences (PRM-160). A difference is a finding with
expected and actual value, never a repair; a record that cannot be calculated gives no findings but the reason.

A row holds in its *lane*, an item key on an account, until the lane's next one. On every day in force exactly one lane
of a coverage costs something: none is a gap, two are an overlap.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.calendar.frequency import Frequency
from domain.calendar.periods import Period
from domain.errors import Problem, Refusal
from domain.premium.account_terms import AccountTerms
from domain.premium.charges import charges
from domain.premium.key_charge import key_charges, runs_of
from domain.premium.modal import modal_premium
from domain.premium.timeline import OPEN_END, Segment, Timeline
from domain.premium.transactions import ItemKey


class PremiumRow(Protocol):
    """What is read of a row of the modal premium history (PRM-041), amounts in minor units."""

    @property
    def account(self) -> str: ...
    @property
    def key(self) -> ItemKey: ...
    @property
    def effective(self) -> dt.date: ...
    @property
    def modality(self) -> Frequency: ...
    @property
    def annual(self) -> int: ...
    @property
    def modal(self) -> int: ...
    @property
    def prorated(self) -> int | None: ...
    @property
    def days(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class PlacedOn:
    """Days [start, end) on which an account bills the record, as 03-members-and-products has it; OPEN_END when open."""

    account: str
    start: dt.date
    end: dt.date = OPEN_END


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One difference: what it concerns, in which row or period, expected and actual value as texts."""

    account: str
    member_record: str
    check: str
    row: str
    expected: str
    actual: str


@dataclass(frozen=True, slots=True)
class Validation:
    """The findings on one member record; with `incomplete` problems there are no findings."""

    discrepancies: tuple[Discrepancy, ...] = ()
    incomplete: tuple[Problem, ...] = ()

    @property
    def clean(self) -> bool:
        """No difference and nothing missing: the guard of a resume (PRM-083)."""
        return not self.discrepancies and not self.incomplete


def validate(
    timeline: Timeline,
    stored: Sequence[PremiumRow],
    derived: Sequence[PremiumRow],
    accounts: Mapping[str, AccountTerms],
    placements: Sequence[PlacedOn],
    first: dt.date,
    end: dt.date,
) -> Validation:
    """Compare the stored rows and the placements of a record with what its timeline gives.

    `derived` are the rows worked out anew from the timeline. Sequence shares are checked for charges with a covered day
    in [first, end). Incomplete configuration (an account without terms, a calculation that stops) is reported as
    MODAL_VALIDATION_INCOMPLETE_DATA and gives no result.
    """
    member = timeline.terms.member_record
    missing = sorted({one.account for one in timeline.segments if one.in_force} - accounts.keys())
    if missing:
        return Validation(incomplete=tuple(_incomplete(member, "no terms of the account", name) for name in missing))
    try:
        found = [
            *_modal_amounts(member, stored, accounts),
            *_row_differences(member, stored, derived),
            *_gaps_and_overlaps(timeline, stored),
            *_share_differences(timeline, accounts, first, end),
            *_placement_differences(timeline, placements),
        ]
    except Refusal as refusal:
        return Validation(
            incomplete=tuple(_incomplete(member, one.message, one.params.get("account")) for one in refusal.problems)
        )
    return Validation(tuple(found))


def _incomplete(member_record: str, reason: str, account: object) -> Problem:
    params: dict[str, object] = {"account": account} if account is not None else {}
    return Problem("MODAL_VALIDATION_INCOMPLETE_DATA", reason, entity=member_record, params=params)


def _modal_amounts(
    member: str, rows: Iterable[PremiumRow], accounts: Mapping[str, AccountTerms]
) -> Iterable[Discrepancy]:
    """Every stored modal amount is its annual amount by the paymode of modality and gaps."""
    for row in rows:
        terms = accounts.get(row.account)
        if terms is None:
            continue
        expected = modal_premium(row.annual, row.modality, len(terms.seasonal_gaps))
        if row.modal != expected:
            yield Discrepancy(row.account, member, "MODAL_AMOUNT", _name(row), str(expected), str(row.modal))


def _row_differences(member: str, rows: Iterable[PremiumRow], expected: Iterable[PremiumRow]) -> Iterable[Discrepancy]:
    """Stored rows and derived rows are the same, item key by item key and date by date."""
    stored, derived = {_identity(row): row for row in rows}, {_identity(row): row for row in expected}
    for identity in sorted(stored.keys() | derived.keys()):
        is_row, should = stored.get(identity), derived.get(identity)
        row = should or is_row
        assert row is not None
        told = [_figures(should), _figures(is_row)]
        if told[0] != told[1]:
            yield Discrepancy(row.account, member, "ROW", _name(row), told[0], told[1])


def _gaps_and_overlaps(timeline: Timeline, rows: Iterable[PremiumRow]) -> Iterable[Discrepancy]:
    """On every day in force the lane of the coverage has a row, and no other lane of it costs anything."""
    lanes: dict[tuple[str, ItemKey], list[PremiumRow]] = {}
    for row in sorted(rows, key=lambda row: row.effective):
        lanes.setdefault((row.account, row.key), []).append(row)
    for segment in timeline.segments:
        for amount in segment.charged_amounts:
            lane = (segment.account, amount.key)
            if _in_effect(lanes.get(lane, ()), segment.start) is None:
                yield _lane_finding(timeline, segment, "GAP", amount.key, "a row", "-")
            for other, own in lanes.items():
                held = _in_effect(own, segment.start)
                same = other[1].coverage == amount.key.coverage and other != lane
                if same and held is not None and held.annual != 0:
                    yield _lane_finding(timeline, segment, "OVERLAP", other[1], "0", str(held.annual))


def _in_effect(lane: Sequence[PremiumRow], day: dt.date) -> PremiumRow | None:
    return next((row for row in reversed(lane) if row.effective <= day), None)


def _lane_finding(
    timeline: Timeline, segment: Segment, check: str, key: ItemKey, expected: str, actual: str
) -> Discrepancy:
    row = f"{key.coverage} {segment.start.isoformat()}"
    return Discrepancy(segment.account, timeline.terms.member_record, check, row, expected, actual)


def _share_differences(
    timeline: Timeline, accounts: Mapping[str, AccountTerms], first: dt.date, end: dt.date
) -> Iterable[Discrepancy]:
    """The shares of the sequences add up to the charge of the item key, gross and net."""
    for name in sorted({one.account for one in timeline.between(first, end) if one.in_force}):
        terms = accounts[name]
        found = charges(timeline, terms, first, end)
        for modality, start, stop in dict.fromkeys((one.modality, one.period_start, one.period_end) for one in found):
            period = Period(start, stop)
            for whole in key_charges(timeline, terms, modality, period, runs_of(timeline, terms, modality, period)):
                own = [
                    one for one in found if (one.item, one.modality, one.period_start) == (whole.item, modality, start)
                ]
                shares = (sum(one.gross for one in own), sum(one.net for one in own))
                if shares != (whole.gross, whole.net):
                    yield Discrepancy(
                        name,
                        timeline.terms.member_record,
                        "SEQUENCE_SHARES",
                        f"{whole.item.coverage} {start.isoformat()}",
                        f"{whole.gross}/{whole.net}",
                        f"{shares[0]}/{shares[1]}",
                    )


def _placement_differences(timeline: Timeline, placements: Iterable[PlacedOn]) -> Iterable[Discrepancy]:
    """On every day in force the account of the premium is the account of the placement."""
    known = sorted((one for one in placements if one.start < one.end), key=lambda one: one.start)
    for segment in timeline.segments:
        if not segment.in_force:
            continue
        day = segment.start
        while day < segment.end:
            placed = next((one for one in known if one.start <= day < one.end), None)
            starts = [one.start for one in known if day < one.start < segment.end]
            until = min(starts, default=segment.end) if placed is None else min(placed.end, segment.end)
            actual = placed.account if placed is not None else "-"
            if actual != segment.account:
                yield Discrepancy(
                    segment.account,
                    timeline.terms.member_record,
                    "PLACEMENT",
                    day.isoformat(),
                    segment.account,
                    actual,
                )
            day = until


def _identity(row: PremiumRow) -> tuple[object, ...]:
    return (row.key, row.account, row.effective)


def _name(row: PremiumRow) -> str:
    return f"{row.key.coverage} {row.effective.isoformat()}"


def _figures(row: PremiumRow | None) -> str:
    if row is None:
        return "-"
    part = "" if row.prorated is None else f", {row.days} days {row.prorated}"
    return f"{row.annual}/{row.modal} {row.modality.value}{part}"
