"""Where every projection stands, for operators, health checks and metrics (PLT-106)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from application.clock import Clock
from application.log import LogPosition, LogReader
from projections.engine import catalogue
from projections.engine.catalogue import Failure, Generation, Purpose, State
from projections.engine.database import Connections, dedicated
from projections.engine.log_source import LogSource
from projections.engine.projection import Mode, ProjectionSet
from projections.engine.session import highest_of, lag_of


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """One generation of a projection.

    `position` is the highest event it holds, `events_behind` the number of log positions behind it, `lag_ms` the time
    since the first of them was recorded. `outdated` means that its tables are of another definition than this code's.
    """

    name: str
    mode: Mode
    generation: int
    version: int
    purpose: Purpose
    state: State
    live: bool
    outdated: bool
    position: int
    events_seen: int
    events_behind: int
    lag_ms: int
    events_per_second: int
    failure: Failure | None
    updated_at: dt.datetime


class Statuses:
    """Tells where the projections stand."""

    def __init__(self, projections: ProjectionSet, connections: Connections, log: LogSource, clock: Clock) -> None:
        self._projections = projections
        self._connections = connections
        self._log = log
        self._clock = clock

    def all(self) -> list[ProjectionStatus]:
        """Every generation that is not retired, by name."""
        with dedicated(self._connections) as connection:
            records = catalogue.generations(connection)
            visible = self._log.visible(connection)
            head, highest = visible.head(), highest_of(visible)
        reader = self._log.settled()
        return [self._status(record, reader, head, highest) for record in records if record.state is not State.RETIRED]

    def ready(self) -> tuple[str, ...]:
        """What keeps this process from taking commands and queries, in words; empty when it is ready."""
        with dedicated(self._connections) as connection:
            live = catalogue.live(connection)
        problems = [f"{name} is yet to be built" for name in self._projections if name not in live]
        for name, record in live.items():
            projection = self._projections.get(name)
            if projection is None:
                problems.append(f"{name} is unknown to this release")
            elif not record.fits(projection):
                problems.append(f"{name} is of another definition")
        return tuple(problems)

    def _status(self, record: Generation, reader: LogReader, head: LogPosition, highest: int) -> ProjectionStatus:
        projection = self._projections.get(record.name)
        current = record.live and record.mode is Mode.INLINE
        position = highest if current else record.highest
        return ProjectionStatus(
            name=record.name,
            mode=record.mode,
            generation=record.generation,
            version=record.version,
            purpose=record.purpose,
            state=record.state,
            live=record.live,
            outdated=projection is None or not record.fits(projection),
            position=position,
            events_seen=record.events_seen,
            events_behind=0 if current or record.place >= head else max(highest - position, 1),
            lag_ms=0 if current else lag_of(reader, record.place, self._clock.now()),
            events_per_second=record.events_per_second,
            failure=record.failure,
            updated_at=record.updated_at,
        )


class ProjectionCollector(Collector):
    """Prometheus gauges of the live generations: position, events behind, lag in seconds, rate, failed (PLT-106)."""

    def __init__(self, statuses: Callable[[], list[ProjectionStatus]]) -> None:
        self._statuses = statuses

    def collect(self) -> Iterator[Metric]:
        gauges: dict[str, tuple[str, Callable[[ProjectionStatus], float]]] = {
            "projection_position": ("Highest log position a projection holds", lambda s: s.position),
            "projection_events_behind": ("Log positions behind the head", lambda s: s.events_behind),
            "projection_lag_seconds": ("Age of the first event not held", lambda s: s.lag_ms / 1000),
            "projection_events_per_second": ("Events fed in the last seconds", lambda s: s.events_per_second),
            "projection_failed": ("1 when the projection stopped at an event", lambda s: s.state is State.FAILED),
            "projection_outdated": ("1 when the tables are of another definition", lambda s: s.outdated),
        }
        live = [status for status in self._statuses() if status.live]
        for name, (text, value) in gauges.items():
            family = GaugeMetricFamily(f"rollon_{name}", text, labels=["projection"])
            for status in live:
                family.add_metric([status.name], float(value(status)))
            yield family
