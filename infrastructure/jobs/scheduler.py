"""The schedule: starts each job's run at its time of day, once, whatever the number of schedulers (PLT-052, PLT-053).

The database decides: a scheduled time starts one run, so that a second scheduler finds it started. Only the latest time
that has passed is looked at: after downtime a missed job runs once, and what fell due meanwhile is the job's to catch
up. What a dead process left, runs and other work, is taken up again on the way.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final
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


#: The time of day at which a daily job starts on a day of the schedule's time zone.
StartTimes = Callable[[JobDefinition, dt.date], dt.time | None]


class Scheduler:
    """Looks at the schedule every few seconds. Without `times` jobs start when they are shipped to."""

    def __init__(
        self,
        runs: JobRuns,
        clock: Clock,
        zone: str = "UTC",
        *,
        resume: Sequence[Callable[[], None]] = (),
        times: StartTimes = lambda definition, _: definition.starts_at,
    ) -> None:
        self._runs = runs
        self._clock = clock
        self._zone = ZoneInfo(zone)
        self._resume = (runs.resume, *resume)
        self._times = times

    def tick(self) -> list[str]:
        """Start what is due and not started; the names of the jobs started."""
        now = self._clock.now()
        started = []
        for name, definition in self._runs.definitions.items():
            due = self._due(definition, now)
            if due is not None and self._runs.start_scheduled(name, due) is not None:
                started.append(name)
        for resume in self._resume:
            resume()
        return started

    def _due(self, definition: JobDefinition, now: dt.datetime) -> dt.datetime | None:
        """The latest scheduled time of a job that has passed."""
        shipped = definition.starts_at
        if definition.starts is Starts.DAILY and shipped is not None:
            return _latest(lambda day: self._times(definition, day) or shipped, self._zone, now)
        return self._runs.due_since(definition, now)

    def run(self, stop: threading.Event, interval: float = INTERVAL) -> None:
        """Tick until told to stop; a failing tick is logged and the next one tries again."""
        while not stop.is_set():
            try:
                for name in self.tick():
                    _logger.info("started %s", name)
            except Exception:
                _logger.exception("the schedule could not be looked at")
            stop.wait(interval)
