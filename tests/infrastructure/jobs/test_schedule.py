"""The schedule: every time starts one run, whatever the clocks of the zone do and however many schedulers there are."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from application.clock import ManualClock
from application.job_runs import JobDefinition, JobRuns
from infrastructure.jobs.lease import SchedulerLease
from infrastructure.jobs.scheduler import DueTime, Scheduler, by_instant, instant_of, latest_time
from infrastructure.postgres.database import Database
from tests.infrastructure.jobs.fakes import Sweeper, runs_of

NEW_YORK = ZoneInfo("America/New_York")


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.rule("PLT-052")
@pytest.mark.parametrize(
    ("day", "time", "instant"),
    [
        ("2025-03-08", "02:30", "2025-03-08T07:30"),
        ("2025-03-09", "02:30", "2025-03-09T07:00"),  # skipped: at the first valid instant, 03:00
        ("2025-03-09", "03:30", "2025-03-09T07:30"),
        ("2025-11-02", "01:30", "2025-11-02T05:30"),  # doubled: at its first
    ],
)
def test_a_skipped_time_runs_at_the_next_valid_instant_and_a_doubled_one_at_its_first(
    day: str, time: str, instant: str
) -> None:
    found = instant_of(dt.date.fromisoformat(day), dt.time.fromisoformat(time), NEW_YORK)
    assert found == utc(instant)


@pytest.mark.parametrize(
    ("now", "latest"),
    [
        ("2025-03-10T09:59", "2025-03-09T10:00"),
        ("2025-03-10T10:00", "2025-03-10T10:00"),
        ("2025-03-10T23:59", "2025-03-10T10:00"),
    ],
)
def test_the_latest_time_is_the_last_that_has_passed(now: str, latest: str) -> None:
    assert latest_time(dt.time(6), NEW_YORK, utc(now)) == utc(latest)


@pytest.mark.rule("PLT-052")
def test_each_time_starts_one_run_with_several_schedulers_and_a_missed_one_runs_once(database: Database) -> None:
    started: list[UUID] = []
    sweeper = Sweeper(database)
    clock = ManualClock(utc("2025-03-10T06:00"))
    runs = runs_of(database, sweeper, 2, started.append)
    schedulers = [Scheduler(runs, clock), Scheduler(runs_of(database, sweeper, 2, started.append), clock)]
    ticks = [name for _ in range(2) for scheduler in schedulers for name in scheduler.tick()]
    assert ticks == ["Sweep"]
    assert len(set(started)) == 1
    runs.work(started[0])
    assert [scheduler.tick() for scheduler in schedulers] == [[], []]
    clock.set(utc("2025-03-14T12:00"))  # down for four days
    ticks = [name for scheduler in schedulers for name in scheduler.tick()]
    assert ticks == ["Sweep"]
    assert len(set(started)) == 2


def test_a_tick_takes_up_what_was_left(database: Database) -> None:
    started: list[UUID] = []
    others: list[str] = []
    runs = runs_of(database, Sweeper(database), 1, started.append)
    clock = ManualClock(utc("2025-03-10T06:00"))
    Scheduler(runs, clock, resume=(lambda: others.append("files"),)).tick()
    Scheduler(runs, clock).tick()
    assert len(started) == 3  # begun, and offered again by each tick until somebody has done it
    assert others == ["files"]


@pytest.mark.rule("PLT-053")
def test_one_of_several_schedulers_leads_until_its_lease_has_run_out(database: Database) -> None:
    first, second = SchedulerLease(database, seconds=0.3), SchedulerLease(database, seconds=30)
    assert [first.leads(), second.leads(), first.leads()] == [True, False, True]
    started: list[UUID] = []
    runs = runs_of(database, Sweeper(database), 1, started.append)
    clock = ManualClock(utc("2025-03-10T06:00"))
    assert Scheduler(runs, clock, leads=second.leads).tick() == []
    assert started == []
    time.sleep(0.4)
    assert Scheduler(runs, clock, leads=second.leads).tick() == ["Sweep"]
    assert (first.leads(), fence(database)) == (False, 2)


def fence(database: Database) -> int:
    """How often the leader changed."""
    with database.writing() as connection:
        row = connection.execute("SELECT fence FROM scheduler_lease").fetchone()
    assert row is not None
    return int(row[0])


@dataclass
class Times:
    """Times set by hand."""

    time: dt.time | None
    name: str = "UTC"

    def zone(self, on: dt.date) -> ZoneInfo:
        return ZoneInfo(self.name)

    def start_of(self, definition: JobDefinition, on: dt.date) -> dt.time | None:
        return self.time


@pytest.mark.rule("PLT-052")
def test_a_job_starts_at_its_own_time_in_the_platforms_zone(database: Database) -> None:
    runs = runs_of(database, Sweeper(database), 1)
    clock = ManualClock(utc("2025-03-10T06:00"))
    scheduler = Scheduler(runs, clock, Times(dt.time(7), "America/New_York"))
    due = [scheduled(scheduler, runs, at) for at in ("2025-03-10T10:59", "2025-03-10T11:00")]
    assert due == [utc("2025-03-09T11:00"), utc("2025-03-10T11:00")]


def scheduled(scheduler: Scheduler, runs: JobRuns, now: str) -> dt.datetime:
    [due] = scheduler.due(runs.definitions["Sweep"], utc(now))
    return due.at


@pytest.mark.rule("CAL-001", "PLT-E12")
def test_each_calendar_has_its_time_in_each_zone_and_equal_instants_are_one_run(database: Database) -> None:
    times = {
        ("US", "America/New_York"): dt.time(6),
        ("US", "UTC"): dt.time(6),
        ("EU", "UTC"): dt.time(10),
        ("", "Pacific/Auckland"): dt.time(6),
    }
    found = by_instant(times, utc("2025-03-10T10:30"))
    assert found == [
        DueTime(utc("2025-03-09T17:00"), (("", "Pacific/Auckland"),)),
        DueTime(utc("2025-03-10T06:00"), (("US", "UTC"),)),
        DueTime(utc("2025-03-10T10:00"), (("EU", "UTC"), ("US", "America/New_York"))),
    ]
