"""The versions of an account's schedule: which one was in force, by business date or by system date (CAL-027)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.calendar.schedule import Schedule


@dataclass(frozen=True, slots=True)
class ScheduleVersion:
    """One stored version. `business_date` is the civil date of the account from which it is meant to hold."""

    number: int
    schedule: Schedule
    business_date: dt.date
    recorded_at: dt.datetime


def version_in_force(
    versions: Sequence[ScheduleVersion],
    *,
    business_date: dt.date | None = None,
    recorded_by: dt.datetime | None = None,
) -> ScheduleVersion | None:
    """The latest version that holds on the business date and was recorded by the moment; None before the first.

    None for a date means now: every version counts.
    """
    counting = [
        version
        for version in versions
        if (business_date is None or version.business_date <= business_date)
        and (recorded_by is None or version.recorded_at <= recorded_by)
    ]
    return max(counting, key=lambda version: version.number, default=None)


def outdated_drafts(draft_periods: Iterable[dt.date], invoiced: Iterable[dt.date]) -> tuple[dt.date, ...]:
    """Drafts that a changed schedule outdates: those of periods without invoice, by period start (CAL-027)."""
    fixed = frozenset(invoiced)
    return tuple(sorted(start for start in draft_periods if start not in fixed))
