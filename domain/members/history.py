"""The modal premium history of a record: which rows each version of its premium shows, told by its events (PRM-040).

A version shows the rows of the version before it, without those it withdraws, and those it adds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from domain.members.events import ModalPremiumRow, ModalPremiumVersionCreated, VersionStatus
from domain.members.record import MemberRecord

_LIVE = (VersionStatus.ACTIVE, VersionStatus.PENDING)


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A row as one version shows it."""

    version: int
    status: VersionStatus
    row: ModalPremiumRow


def premium_history(record: MemberRecord, events: Iterable[object], *, all_versions: bool) -> list[VersionRow]:
    """The rows of the history screen: those of the live versions, and of others those they added; or every copy.

    Grouped by coverage and plan, so that classes and tiers of one follow each other; then the highest version first,
    then the latest effective date.
    """
    statuses = {one.number: one.status for one in record.versions}
    found: dict[tuple[object, ...], VersionRow] = {}
    for made, shown, added in _versions(events):
        status = statuses.get(made, VersionStatus.OBSOLETE)
        for row in shown:
            if all_versions or status in _LIVE or row in added:
                found[made, row.effective, row.account, row.key] = VersionRow(made, status, row)
    return sorted(found.values(), key=_place)


def _place(one: VersionRow) -> tuple[object, ...]:
    row = one.row
    return row.key.coverage, row.key.plan, -one.version, -row.effective.toordinal(), row.account, row.key


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
