"""Rebuilding and verifying projections beside the live ones, while queries and commands go on (PLT-108).

A rebuild makes a new generation of tables, feeds it from the beginning of the log, many projections from one read,
completes its indexes, compares it with the live generation, and puts it in its place in one transaction. It may be
interrupted at any moment, by a kill too, and goes on from where its own tables stand. A verification does the same with
a generation of its own, compares every row, and drops it.

Two generations can only be compared when both have seen the same events. For that the live one is held still for the
few milliseconds in which the new one takes the last events and a snapshot is opened; the comparison itself, which may
take long, runs on the snapshot:

    FOLLOWING   the batches of the live generation are kept out by a lock; the new one is fed up to its place.
    INLINE      the inline lock is taken exclusively, so commands wait before they commit; the new one is fed everything
                visible then. Part of that may not be settled: it lies ahead of the place up to which the log can be
                followed. The new generation remembers those positions and skips them when they come again.

    log order     ... e e e e | e . e . e        e  committed, visible        .  a transaction still running
                        place ^     ^ ahead ^
"""

from __future__ import annotations

import datetime as dt
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock
from typing import Any, Final, TypeVar

import psycopg
from psycopg import sql

from application.log import START, LogPosition, LogReader
from domain.errors import refuse
from projections.engine import catalogue
from projections.engine.advisory import lock_key, try_lock, unlock
from projections.engine.catalogue import Failure, Generation, Purpose, State
from projections.engine.comparison import Comparison, compare
from projections.engine.database import Connection, Connections, dedicated
from projections.engine.feeding import Feeding, up_to
from projections.engine.inline import INLINE_LOCK, NotReadyError
from projections.engine.log_source import LogSource
from projections.engine.projection import Mode, Projection, ProjectionSet
from projections.engine.writer import GenerationWriter

_logger = logging.getLogger(__name__)

R = TypeVar("R")

#: Events read at once at most. The larger, the more changes of one row become one write; the memory grows with it.
MOST_EVENTS: Final = 25_000
#: Events read at once at the beginning.
FIRST_EVENTS: Final = 5_000
#: Rows kept in memory from batch to batch, of all projections together; about a kilobyte each.
CACHED_ROWS: Final = 500_000
#: Bytes up to which an index is built in the ordinary way, in a moment; larger ones hold up nobody.
SMALL_TABLE: Final = 32 << 20
#: Projections that are finished side by side (indexes, comparison, switch).
FINISHED_AT_ONCE: Final = 2
#: Seconds a thread keeps the interpreter when another one wants it. The threads that read and write hand over pieces of
#: what is on its way ten thousand times; at the usual 5 ms they would mostly wait for the one that folds.
TURN: Final = 0.0002
#: Milliseconds a rebuild waits for commands to let it hold the inline generations still, before it lets them go on.
HOLD_TIMEOUT: Final = 500
#: Attempts at holding still, and the seconds between them.
HOLD_ATTEMPTS: Final = 60
HOLD_PAUSE: Final = 0.5


class Outcome(StrEnum):
    """How a rebuild ended for a projection."""

    SWITCHED = "SWITCHED"  # the new generation is live
    DIFFERENT = "DIFFERENT"  # it differs from the live one and was not put in its place: a reason is needed
    FAILED = "FAILED"  # an event cannot be folded
    INTERRUPTED = "INTERRUPTED"  # it was stopped and can be resumed


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rebuild has come. Positions stand for events; `rate` is events a second, over the whole run so far."""

    phase: str
    projections: tuple[str, ...]
    position: int
    head: int
    events: int
    rate: int

    @property
    def fraction(self) -> float:
        """The done part, 0 to 1: for a bar, never for money."""
        return min(self.position / self.head, 1.0) if self.head else 1.0


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """The end of a rebuild of one projection. `comparison` is None when there was nothing live to compare with."""

    projection: str
    outcome: Outcome
    generation: int
    events: int
    comparison: Comparison | None = None
    failure: Failure | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The end of a verification of one projection; without a comparison, it failed or was stopped."""

    projection: str
    generation: int
    comparison: Comparison | None = None
    failure: Failure | None = None

    @property
    def equal(self) -> bool:
        return self.comparison is not None and self.comparison.equal


Report = Callable[[Progress], None]
Stopping = Callable[[], bool]


class Rebuilder:
    """Builds, compares and switches generations of the projections of a set.

    `connections` opens connections, at a time one a projection, four for each of the FINISHED_AT_ONCE and two more: a
    pool must have that many to give.
    """

    def __init__(
        self, projections: ProjectionSet, connections: Connections, log: LogSource, *, most_events: int = MOST_EVENTS
    ) -> None:
        self._projections = projections
        self._connections = connections
        self._log = log
        self._most = most_events

    def prepare(self) -> tuple[str, ...]:
        """Make the service ready to start: create what can be created at once, and tell what must be rebuilt.

        On an empty log every projection gets its live generation. On any other, those without one, and those whose live
        generation is of another definition, are returned.
        """
        with dedicated(self._connections) as connection:
            with connection.transaction():
                connection.execute("select pg_advisory_xact_lock(%s)", (lock_key("prepare"),))
                catalogue.install(connection)
                there = {record.name for record in catalogue.generations(connection)}
                absent = [projection for name, projection in self._projections.items() if name not in there]
                if absent:
                    connection.execute("select pg_advisory_xact_lock(%s)", (INLINE_LOCK,))
                    if self._log.visible(connection).head() == START:
                        for projection in absent:
                            catalogue.create(connection, projection, live=True)
            live = catalogue.live(connection)
        return tuple(
            name
            for name, projection in self._projections.items()
            if name not in live or not live[name].fits(projection)
        )

    def rebuild(
        self,
        names: Iterable[str],
        *,
        reason: str | None = None,
        restart: bool = False,
        progress: Report | None = None,
        stopping: Stopping | None = None,
    ) -> list[RebuildReport]:
        """Rebuild projections beside the live ones and switch to the new generations.

        A new generation that differs from the live one of the same definition is switched to only with a `reason`
        (PLT-108); without, it stays, and another call goes on from there. `restart` begins anew instead of resuming.
        Raises Refusal RUN_ALREADY_ACTIVE.
        """
        with self._run(names, Purpose.SERVE, restart, progress, stopping) as run:
            run.build()
            return run.side_by_side(lambda writer: run.finish(writer, reason))

    def verify(
        self, names: Iterable[str], *, progress: Report | None = None, stopping: Stopping | None = None
    ) -> list[VerifyReport]:
        """Compare the live rows with those of a rebuild, row by row, and change nothing.

        Raises NotReadyError for a projection without a live generation of this definition, Refusal RUN_ALREADY_ACTIVE.
        """
        with self._run(names, Purpose.VERIFY, True, progress, stopping) as run:
            try:
                for writer in run.writers:
                    if run.comparable(writer) is None:
                        name = writer.projection.name
                        raise NotReadyError(f"projection {name} has no live generation of this definition")
                run.build()
                return run.side_by_side(run.check)
            finally:
                run.drop()

    def purge(self, older_than: dt.timedelta = dt.timedelta(minutes=15)) -> int:
        """Drop the generations that were retired longer ago; the number of them. No query runs that long."""
        dropped = 0
        with dedicated(self._connections) as connection:
            for record in catalogue.retired_before(connection, older_than):
                with connection.transaction():
                    connection.execute("set local lock_timeout = '2s'")
                    catalogue.drop(connection, record)
                dropped += 1
        return dropped

    def retry(self, name: str) -> bool:
        """Let a failed projection go on from the event it stopped at; False when it is not failed."""
        with dedicated(self._connections) as connection:
            return catalogue.retry(connection, name) > 0

    def retire(self, name: str, reason: str) -> bool:
        """Take a projection that the code no longer has out of service; False when it is not live."""
        with dedicated(self._connections) as connection, connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", (INLINE_LOCK,))
            record = catalogue.live(connection).get(name)
            if record is not None:
                catalogue.retire(connection, record, reason)
            return record is not None

    @contextmanager
    def _run(
        self,
        names: Iterable[str],
        purpose: Purpose,
        restart: bool,
        progress: Report | None,
        stopping: Stopping | None,
    ) -> Iterator[_Run]:
        projections = [self._projections[name] for name in dict.fromkeys(names)]
        with ExitStack() as stack:
            stack.enter_context(_short_turns())
            control = stack.enter_context(dedicated(self._connections))
            for projection in projections:
                _take(control, lock_key(f"{purpose} {projection.name}"), projection.name, stack)
            workers = stack.enter_context(ThreadPoolExecutor(max(len(projections), 1), "projection-writer"))
            reading = stack.enter_context(ThreadPoolExecutor(1, "log-reader"))
            cached = CACHED_ROWS // max(len(projections), 1)
            writers = []
            for projection in projections:
                record = _generation(control, projection, purpose, restart)
                connection = stack.enter_context(dedicated(self._connections))
                writers.append(GenerationWriter(projection, record, connection, background=workers, cache_limit=cached))
            run = _Run(control, self._connections, self._log, writers, self._most, reading, progress, stopping)
            try:
                yield run
            finally:
                run.let_go()


class _Run:
    """A rebuild or verification under way."""

    def __init__(
        self,
        control: Connection,
        connections: Connections,
        log: LogSource,
        writers: list[GenerationWriter],
        most: int,
        reading: Executor,
        progress: Report | None,
        stopping: Stopping | None,
    ) -> None:
        self.writers = writers
        self._control = control
        self._connections = connections
        self._log = log
        self._reader = log.settled()
        self._most = most
        self._feeding = Feeding(self._reader, most, first=FIRST_EVENTS, background=reading)
        self._progress = progress
        self._telling = Lock()
        self._stopping = stopping or _never
        self._started = time.monotonic()
        self._seen_before = sum(writer.events_seen for writer in writers)

    # Building

    def build(self) -> None:
        """Feed all generations to the end of the log, or to where the live ones stand."""
        self._catch_up(self.writers, "reading", self._bounds, self._feeding)

    def side_by_side(self, finish: Callable[[GenerationWriter], R]) -> list[R]:
        """Complete the indexes of each generation and finish it, several at a time: a small one waits for no large one.
        Their results in the order of the writers; an error comes out when the others have ended."""

        def completed(writer: GenerationWriter) -> R:
            if not writer.failed and not writer.record.complete and not self._stopping():
                self._tell("indexing")
                self._complete(writer)
            return finish(writer)

        with ThreadPoolExecutor(FINISHED_AT_ONCE, "projection-finish") as workers:
            return list(workers.map(completed, self.writers))

    def comparable(self, writer: GenerationWriter) -> Generation | None:
        """The live generation, if the same fold fills it."""
        live = catalogue.live(self._control).get(writer.projection.name)
        return live if live is not None and live.fits(writer.projection) else None

    def let_go(self) -> None:
        """Stop writing, whatever is under way."""
        for writer in self.writers:
            with suppress(Exception):
                writer.settle()

    def drop(self) -> None:
        """Drop the generations that were built."""
        for writer in self.writers:
            with suppress(Exception):
                writer.settle()
            with self._control.transaction():
                catalogue.drop(self._control, writer.record)

    def _bounds(self) -> dict[GenerationWriter, LogPosition]:
        """A generation to be compared must not overtake the live one it is to be compared with."""
        there = catalogue.live(self._control)
        found = ((writer, there.get(writer.projection.name)) for writer in self.writers)
        return {
            writer: live.place
            for writer, live in found
            if live is not None and live.mode is Mode.FOLLOWING and live.fits(writer.projection)
        }

    def _catch_up(
        self,
        writers: Sequence[GenerationWriter],
        phase: str,
        bounds: Callable[[], Mapping[GenerationWriter, LogPosition]],
        feeding: Feeding,
    ) -> None:
        """Feed to the end of what there is to read. Under traffic the end moves on; the rest is small then."""
        while not self._stopping():
            self._tell(phase)
            feeding.round(writers, bounds())
            if feeding.at_the_end:
                fed = [writer.place for writer in writers]
                for writer in writers:
                    writer.settle()
                if [writer.place for writer in writers] == fed:  # else a batch failed and is to be fed again
                    return

    def _complete(self, writer: GenerationWriter) -> None:
        """Build the indexes that were left out, without a long transaction: readers of the log wait for those."""
        writer.settle()
        schema = writer.record.schema
        connection = writer.connection
        for table in writer.projection.tables:
            size = _value(connection, "select pg_relation_size(%s)", (table.qualified(schema),))
            for statement in table.finish(schema, concurrently=size > SMALL_TABLE):
                connection.execute(statement)
        catalogue.mark_complete(connection, writer.record)
        writer.reload()

    def _tell(self, phase: str) -> None:
        if self._progress is None or not self.writers:
            return
        with self._telling:  # several may be finished at a time
            events = sum(writer.events_seen for writer in self.writers) - self._seen_before
            elapsed = max(time.monotonic() - self._started, 0.001)
            self._progress(
                Progress(
                    phase=phase,
                    projections=tuple(writer.projection.name for writer in self.writers),
                    position=min(writer.highest for writer in self.writers),
                    head=self._reader.head().position,
                    events=events // len(self.writers),
                    rate=round(events / len(self.writers) / elapsed),
                )
            )

    # Finishing

    def finish(self, writer: GenerationWriter, reason: str | None) -> RebuildReport:
        """Compare a built generation with the live one, and switch to it."""
        name = writer.projection.name
        live = catalogue.live(self._control).get(name)
        comparison = None
        if self._done(writer) and live is not None:
            if live.fits(writer.projection):
                self._tell("comparing")
                comparison = self._compare(writer, live, every_row=False)
            elif reason is None:
                reason = f"definition of version {live.version} replaced by version {writer.projection.version}"
        if not self._done(writer):
            outcome = Outcome.FAILED if writer.failed else Outcome.INTERRUPTED
        elif comparison is not None and not comparison.equal and reason is None:
            outcome = Outcome.DIFFERENT
        else:
            self._tell("switching")
            outcome = self._switch(writer, live, reason)
        return RebuildReport(
            name, outcome, writer.record.generation, writer.events_seen, comparison, writer.record.failure, reason
        )

    def check(self, writer: GenerationWriter) -> VerifyReport:
        """Compare a built generation with the live one, every row."""
        live = self.comparable(writer)
        comparison = None
        if live is not None and self._done(writer):
            self._tell("comparing")
            comparison = self._compare(writer, live, every_row=True)
        return VerifyReport(writer.projection.name, live.generation if live else 0, comparison, writer.record.failure)

    def _done(self, writer: GenerationWriter) -> bool:
        return not writer.failed and writer.record.complete and not self._stopping()

    def _compare(self, writer: GenerationWriter, live: Generation, *, every_row: bool) -> Comparison | None:
        """Compare on a snapshot in which both generations have seen the same events; None if the new one failed."""
        self._catch_up([writer], "reading", self._bounds, Feeding(self._reader, self._most))
        with self._reading_all() as snapshot:
            with self._held_still(writer, live) as hold:
                self._take_last(writer, live, hold)
                [(name,)] = snapshot.execute("select pg_export_snapshot()").fetchall()
            if writer.failed:
                return None
            _require_same_place(snapshot, writer.record, live)
            with self._reading_all() as beside:
                beside.execute(sql.SQL("set transaction snapshot {}").format(sql.Literal(name)))
                both = (snapshot, beside)
                return compare(both, writer.projection, live, writer.record, every_row=every_row)

    @contextmanager
    def _reading_all(self) -> Iterator[Connection]:
        """A connection in a transaction whose snapshot is taken by its first query, for queries over all rows."""
        with dedicated(self._connections) as connection, connection.transaction():
            connection.execute("set transaction isolation level repeatable read, read only")
            connection.execute("set local enable_hashjoin = on")
            yield connection

    def _switch(self, writer: GenerationWriter, live: Generation | None, reason: str | None) -> Outcome:
        """Put the generation in the place of the live one, in one transaction, at the same or a later position."""
        self._catch_up([writer], "reading", dict, Feeding(self._reader, self._most))
        with self._held_still(writer, live) as hold:
            if not writer.failed and not self._stopping():
                self._take_last(writer, live, hold)
            if writer.failed:
                return Outcome.FAILED
            if self._stopping():
                return Outcome.INTERRUPTED
            if live is not None:
                catalogue.retire(hold, live)
            catalogue.go_live(hold, writer.record, reason)
        writer.reload()
        _logger.info("projection %s: generation %s is live", writer.projection.name, writer.record.generation)
        return Outcome.SWITCHED

    @contextmanager
    def _held_still(self, writer: GenerationWriter, live: Generation | None) -> Iterator[Connection]:
        """Within, the live generation takes no events. Yields the connection whose transaction holds it."""
        with dedicated(self._connections) as hold, hold.transaction():
            if writer.projection.mode is Mode.INLINE:
                _lock_inline(hold)
            elif live is not None:
                catalogue.hold(hold, live)
            hold.execute("set local synchronous_commit = on")
            yield hold

    def _take_last(self, writer: GenerationWriter, live: Generation | None, hold: Connection) -> None:
        """Feed what is between the generation and the live one that is held still."""
        if writer.projection.mode is Mode.INLINE:
            self._feed_up_to(writer, None)
            _feed_visible(writer, self._log.visible(hold), self._most)
        elif live is not None:
            held = catalogue.get(hold, live.name, live.generation)
            self._feed_up_to(writer, held.place if held is not None else START)

    def _feed_up_to(self, writer: GenerationWriter, bound: LogPosition | None) -> None:
        """Feed up to a place, or (None) to the end of the settled log, which stands still as far as it matters."""
        while not writer.failed:
            events = self._reader.read(writer.place, self._most)
            share = events if bound is None else up_to(events, bound)
            if share:
                writer.feed(share)
                continue
            before = writer.place
            writer.settle()
            if writer.place == before:
                return


@contextmanager
def _short_turns() -> Iterator[None]:
    """Within, the threads of this process take turns more often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _feed_visible(writer: GenerationWriter, reader: LogReader, most: int) -> None:
    """Feed everything visible behind the generation's place."""
    after = writer.place
    while not writer.failed:
        events = reader.read(after, most)
        if not events:
            break
        writer.feed_ahead(events)
        after = events[-1].place
    writer.settle()


def _require_same_place(snapshot: Connection, rebuilt: Generation, live: Generation) -> None:
    """Two generations that follow the log can be compared at one place only. (Inline ones are held by the lock.)"""
    places = {
        record.place
        for record in catalogue.generations(snapshot, [live.name])
        if record.generation in (rebuilt.generation, live.generation)
    }
    if live.mode is Mode.FOLLOWING and len(places) != 1:
        raise RuntimeError(f"the generations of projection {live.name} are not at one place")


def _lock_inline(hold: Connection) -> None:
    """Take the inline lock exclusively, in short attempts: commands queue behind each of them."""
    hold.execute(f"set local lock_timeout = {HOLD_TIMEOUT}")
    for attempt in range(HOLD_ATTEMPTS):
        try:
            with hold.transaction():
                hold.execute("select pg_advisory_xact_lock(%s)", (INLINE_LOCK,))
        except psycopg.errors.LockNotAvailable:
            if attempt + 1 == HOLD_ATTEMPTS:
                raise
            time.sleep(HOLD_PAUSE)
        else:
            return


def _take(control: Connection, key: int, name: str, stack: ExitStack) -> None:
    if not try_lock(control, key):
        raise refuse("RUN_ALREADY_ACTIVE", "The projection is being rebuilt or verified already.", projection=name)
    stack.callback(unlock, control, key)


def _generation(control: Connection, projection: Projection, purpose: Purpose, restart: bool) -> Generation:
    """The generation to go on with, or a new one; what an earlier run left behind and is of no use is dropped."""
    resumed = None
    live = catalogue.live(control).get(projection.name)
    for record in catalogue.generations(control, [projection.name]):
        if record.live or record.state is State.RETIRED or record.purpose is not purpose:
            continue
        # One that is ahead of the live one could not be compared with it any more.
        ahead = live is not None and live.mode is Mode.FOLLOWING and live.fits(projection) and record.place > live.place
        if record.fits(projection) and not restart and not ahead and resumed is None:
            resumed = record
        else:
            with control.transaction():
                catalogue.drop(control, record)
    if resumed is None:
        with control.transaction():
            return catalogue.create(control, projection, purpose=purpose)
    if resumed.state is State.FAILED:
        catalogue.retry(control, resumed.name, resumed.generation)
    return catalogue.get(control, resumed.name, resumed.generation) or resumed


def _value(connection: Connection, query: str, parameters: Sequence[Any]) -> int:
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return int(row[0])


def _never() -> bool:
    return False
