"""The schedule: starts each job's run at its time of day, once, whatever the number of schedulers (PLT-052, PLT-053).

One of several schedulers leads. The database decides besides: a scheduled time starts one run, so that a second
scheduler finds it started. Only the latest time that has passed is looked at: after downtime a missed job runs once,
and what fell due meanwhile is the job's to catch up. What a dead process left, runs and other work, is taken up again
on the way.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from application.clock import Clock
from application.job_runs import JobDefinition, JobRuns, Starts

_logger: Final = logging.getLogger(__name__)

#: Seconds between two looks at the schedule.
INTERVAL: Final = 10.0


def latest_time(time: dt.time, zone: ZoneInfo, now: dt.datetime) -> dt.datetime:
    """The latest instant, not after `now`, at which it was this time of day in the zone, UTC (PLT-052)."""
    return _latest(lambda _: time, zone, now)


def _latest(time_on: Callable[[dt.date], dt.time], zone: ZoneInfo, now: dt.datetime) -> dt.datetime:
    """The same of a time that another day may have another: each day's own counts."""
    today = now.astimezone(zone).date()
    days = (today - dt.timedelta(days=back) for back in range(3))
    candidates = (instant_of(day, time_on(day), zone) for day in days)
    return next(instant for instant in candidates if instant <= now)


def instant_of(day: dt.date, time: dt.time, zone: ZoneInfo) -> dt.datetime:
    """The instant of a local time, UTC: a doubled one is its first, a skipped one the next valid instant (PLT-052)."""
    local = dt.datetime.combine(day, time, zone)
    instant = local.astimezone(dt.UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return instant
    # Skipped: go back to where the zone's new offset begins.
    minute = dt.timedelta(minutes=1)
    while (instant - minute).astimezone(zone).utcoffset() == instant.astimezone(zone).utcoffset():
        instant -= minute
    return instant


class Times(Protocol):
    """When daily jobs start: the zone of their times, and the time of a job on a day of that zone."""

    def zone(self, on: dt.date) -> ZoneInfo: ...

    def start_of(self, definition: JobDefinition, on: dt.date) -> dt.time | None: ...


class ShippedTimes:
    """The times the service is shipped with, in UTC."""

    def zone(self, on: dt.date) -> ZoneInfo:
        return ZoneInfo("UTC")

    def start_of(self, definition: JobDefinition, on: dt.date) -> dt.time | None:
        return definition.starts_at


@dataclass(frozen=True, slots=True)
class DueTime:
    """A scheduled time that has passed, and the (calendar, time zone) of the accounts it is the time of."""

    at: dt.datetime
    groups: tuple[tuple[str, str], ...] | None = None


class Scheduler:
    """Looks at the schedule every few seconds; `leads` says whether this one of several schedulers does (PLT-053)."""

    def __init__(
        self,
        runs: JobRuns,
        clock: Clock,
        times: Times | None = None,
        *,
        leads: Callable[[], bool] = lambda: True,
        resume: Sequence[Callable[[], None]] = (),
    ) -> None:
        self._runs = runs
        self._clock = clock
        self._times = times or ShippedTimes()
        self._leads = leads
        self._resume = (runs.resume, *resume)

    def tick(self) -> list[str]:
        """Start what is due and not started; the names of the jobs started."""
        if not self._leads():
            return []
        now = self._clock.now()
        started = []
        for name, definition in self._runs.definitions.items():
            for due in self.due(definition, now):
                if self._runs.start_scheduled(name, due.at, due.groups) is not None:
                    started.append(name)
        for resume in self._resume:
            resume()
        return started

    def due(self, definition: JobDefinition, now: dt.datetime) -> list[DueTime]:
        """The latest scheduled times of a job that have passed, earliest first."""
        match definition.starts:
            case Starts.DAILY:
                shipped = definition.starts_at
                if shipped is None:
                    return []
                zone = self._times.zone(now.date())
                return [DueTime(_latest(lambda day: self._times.start_of(definition, day) or shipped, zone, now))]
            case Starts.AT_CALENDAR_TIMES:
                return by_instant(self._runs.calendar_times(), now)
            case Starts.AT_RETRIES:
                at = self._runs.latest_retry(now)
                return [] if at is None else [DueTime(at)]
            case Starts.BY_HAND:
                return []

    def run(self, stop: threading.Event, interval: float = INTERVAL) -> None:
        """Tick until told to stop; a failing tick is logged and the next one tries again."""
        while not stop.is_set():
            try:
                for name in self.tick():
                    _logger.info("started %s", name)
            except Exception:
                _logger.exception("the schedule could not be looked at")
            stop.wait(interval)


def by_instant(times: Mapping[tuple[str, str], dt.time], now: dt.datetime) -> list[DueTime]:
    """The latest instant of each group's time of day; groups of the same instant together."""
    found: dict[dt.datetime, list[tuple[str, str]]] = {}
    for group, time in sorted(times.items()):
        found.setdefault(latest_time(time, ZoneInfo(group[1]), now), []).append(group)
    return [DueTime(at, tuple(groups)) for at, groups in sorted(found.items())]
