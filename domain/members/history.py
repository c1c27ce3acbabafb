"""The modal premium history of a record: which rows each version of its premium shows, told by its events (PRM-040).

A version shows the rows of the version before it, without those it withdraws, and those it adds. Premium waivers make
no row; they mark those whose days they share (PRM-046).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from domain.members.events import ModalPremiumRow, ModalPremiumVersionCreated, VersionStatus
from domain.members.record import MemberRecord
from domain.members.views import WaiverState, WaiverView, waivers_on
from domain.premium.timeline import OPEN_END

_LIVE = (VersionStatus.ACTIVE, VersionStatus.PENDING)


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A row as one version shows it; `waived` tells that a premium waiver shares days with it."""

    version: int
    status: VersionStatus
    row: ModalPremiumRow
    waived: bool


def premium_history(record: MemberRecord, events: Iterable[object], *, all_versions: bool) -> list[VersionRow]:
    """The rows of the history screen: those of the live versions, and of others those they added; or every copy.

    Grouped by coverage and plan, so that classes and tiers of one follow each other; then the highest version first,
    then the latest effective date.
    """
    statuses = {one.number: one.status for one in record.versions}
    waivers = [one for one in waivers_on(record, dt.date.min) if one.state is not WaiverState.VOID]
    found: dict[tuple[object, ...], VersionRow] = {}
    for made, shown, added in _versions(events):
        status = statuses.get(made, VersionStatus.OBSOLETE)
        for row, end in _with_ends(shown):
            if all_versions or status in _LIVE or row in added:
                waived = any(_marks(waiver, row, end) for waiver in waivers)
                found[made, row.effective, row.account, row.key] = VersionRow(made, status, row, waived)
    return sorted(found.values(), key=_place)


def _place(one: VersionRow) -> tuple[object, ...]:
    row = one.row
    return row.key.coverage, row.key.plan, -one.version, -row.effective.toordinal(), row.account, row.key


def _with_ends(rows: Sequence[ModalPremiumRow]) -> Iterator[tuple[ModalPremiumRow, dt.date]]:
    """The rows of a version, each with the day on which the next one of its account and key takes its place."""
    ends: dict[tuple[str, object], dt.date] = {}
    for row in sorted(rows, key=lambda one: one.effective, reverse=True):
        yield row, ends.get((row.account, row.key), OPEN_END)
        ends[row.account, row.key] = row.effective


def _marks(waiver: WaiverView, row: ModalPremiumRow, end: dt.date) -> bool:
    """Whether the waiver shares a day of premium with the row."""
    given = waiver.transaction
    if row.annual == 0 or (given.coverages and row.key.coverage not in given.coverages):
        return False
    return given.effective_date < end and row.effective < (waiver.end or OPEN_END)


def _versions(
    events: Iterable[object],
) -> list[tuple[int, tuple[ModalPremiumRow, ...], tuple[ModalPremiumRow, ...]]]:
    """Each version with the rows it shows and those it added; a pending version may be told in several events."""
    shown: tuple[ModalPremiumRow, ...] = ()
    versions: dict[int, tuple[tuple[ModalPremiumRow, ...], tuple[ModalPremiumRow, ...]]] = {}
    for made in events:
        if not isinstance(made, ModalPremiumVersionCreated):
            continue
        gone = {(one.account, one.key, one.effective) for one in made.withdrawn}
        shown = (*(one for one in shown if (one.account, one.key, one.effective) not in gone), *made.rows)
        added = versions.get(made.version, ((), ()))[1]
        versions[made.version] = (shown, (*added, *made.rows))
    return [(version, *parts) for version, parts in versions.items()]
