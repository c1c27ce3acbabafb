"""Feeding one generation: folds batches of the log into its rows and moves its position, each batch in one transaction.

Exactly once, whatever happens (PLT-101): the first statement of a batch's transaction moves the position, on the
condition that nobody else has moved it since this writer last looked; then the rows are written; then it commits. A
crash in between leaves both as they were. A second process at work by mistake finds the condition broken and writes
nothing.

A batch that fails is narrowed down to the event that cannot be folded. The events before it are kept, the generation
is marked FAILED in front of it, and nobody else is affected. Trouble of the database itself (a lost connection, a
deadlock, a full disk) is no fault of an event: it is passed on, and the batch is tried again.

With a `background` executor the writing of a batch goes on while the next one is being read and folded.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, suppress
from operator import itemgetter
from pathlib import PurePath
from typing import Any

import psycopg

from application.log import LogPosition, RecordedEvent
from projections.engine import catalogue
from projections.engine.catalogue import Failure, Generation, State
from projections.engine.columns import ColumnValueError
from projections.engine.database import Connection, ConnectionDatabase, Query, Values, Write
from projections.engine.projection import Projection, ProjectionError
from projections.engine.rows import FoldError, Rows


class OvertakenError(Exception):
    """Somebody else has moved, stopped or replaced the generation; look again."""


_POSITION = itemgetter(RecordedEvent._fields.index("position"))

#: Not the fault of an event: the batch may be tried again as it is.
PASSING: tuple[type[Exception], ...] = (psycopg.OperationalError, psycopg.InterfaceError, OvertakenError, MemoryError)


class GenerationWriter:
    """Feeds one generation on a connection in autocommit mode, which it does not share during a call."""

    def __init__(
        self,
        projection: Projection,
        record: Generation,
        connection: Connection,
        *,
        background: Executor | None = None,
        cache_limit: int = 50_000,
    ) -> None:
        self.projection = projection
        self.connection = connection
        self._background = background
        self._batch = _Batch(connection)
        self._rows = Rows(projection, record.schema, self._batch, cache_limit, empty=record.revision == 0)
        self._key = catalogue.feeding_key(record.name, record.generation)
        self._careful_until: LogPosition | None = None
        self._rate = _Rate()
        self._take(record)

    @property
    def record(self) -> Generation:
        """The generation as this writer last knew it stored; the batch still being written is not in it."""
        return self._record

    @property
    def place(self) -> LogPosition:
        """The place up to which events were fed, the batch still being written included."""
        return self._place

    @property
    def highest(self) -> int:
        """The highest position fed."""
        return self._highest

    @property
    def events_seen(self) -> int:
        return self._seen

    @property
    def failed(self) -> bool:
        return self._record.state is State.FAILED

    def feed(self, events: Sequence[RecordedEvent]) -> None:
        """Take the next events of the settled log, all of them, whether the projection handles them or not.

        Afterwards the generation has seen them, or it has FAILED at one, or (after an earlier batch turned out to have
        failed) it stands further back and wants to be fed from its `place`. Raises the PASSING errors, after which
        `reload` is to be called.
        """
        self._feed(events, settled=True)

    def feed_ahead(self, events: Sequence[RecordedEvent]) -> None:
        """Take events behind `place` that are visible but not settled yet; they are skipped when they come again."""
        unseen = [event for event in events if event.position not in self._ahead]
        if unseen:
            self._feed(unseen, settled=False)

    def settle(self) -> None:
        """Wait until everything fed is written. Afterwards as with `feed`."""
        try:
            self._batch.wait()
        except PASSING:
            raise
        except Exception:
            self._go_back()

    def reload(self) -> None:
        """Start again from what is stored: after a passing error, or when somebody else was at work."""
        self._batch.abandon()
        self._rows.forget()
        record = catalogue.get(self.connection, self._record.name, self._record.generation)
        if record is None:
            raise OvertakenError(f"generation {self._record.generation} of {self._record.name} is gone")
        self._take(record)

    def _take(self, record: Generation) -> None:
        self._record = record
        self._place, self._highest, self._seen = record.place, record.highest, record.events_seen
        self._ahead, self._revision = record.ahead, record.revision

    def _feed(self, events: Sequence[RecordedEvent], *, settled: bool) -> None:
        if self._careful_until is not None and self._place >= self._careful_until:
            self._careful_until = None
        before = self._revision
        try:
            self._apply(events, settled, in_background=self._careful_until is None)
        except PASSING:
            raise
        except Exception as error:
            self._go_back()
            if self._revision == before:  # else it was the batch before this one, written in the background
                self._isolate(events, settled, error)

    def _isolate(self, events: Sequence[RecordedEvent], settled: bool, error: Exception) -> None:
        """After `error` came of feeding all: feed the events before the one that cannot be folded, and fail at it."""
        if len(events) == 1:
            self._fail(events[0], error)
            return
        middle = _split(events, error)
        for part in (events[:middle], events[middle:]):
            try:
                self._apply(part, settled, in_background=False)
            except PASSING:
                raise
            except Exception as narrower:
                self._go_back()
                self._isolate(part, settled, narrower)
                if self.failed:
                    return

    def _apply(self, events: Sequence[RecordedEvent], settled: bool, *, in_background: bool) -> None:
        """Fold the events and write what came of it, in one transaction; after an error nothing of it is left."""
        try:
            self._fold(events, settled, in_background=in_background)
        except BaseException:
            self._batch.abandon()
            raise

    def _fold(self, events: Sequence[RecordedEvent], settled: bool, *, in_background: bool) -> None:
        place, ahead = self._place, self._ahead
        if settled:
            place = events[-1].place
            if ahead:
                ahead = ahead.difference(event.position for event in events)
                events = [event for event in events if event.position not in self._ahead]
        else:
            ahead = ahead.union(event.position for event in events)
        advance: dict[str, Any] = {
            "key": self._key,
            "name": self._record.name,
            "generation": self._record.generation,
            "revision": self._revision,
            "transaction": place.transaction,
            "position": place.position,
            "highest": max(self._highest, max(map(_POSITION, events), default=0)),
            "ahead": sorted(ahead),
            "events_seen": self._seen + len(events),
            "events_per_second": self._rate.of(len(events)),
        }
        self._batch.begin(advance)
        handlers = self.projection.handlers
        handled = [event for event in events if event.type in handlers]
        if handled:
            self._rows.fold(handled)
        self._batch.finish(self._rows.take_writes(), self._background if in_background else None)
        self._rows.trim()
        self._place, self._ahead, self._revision = place, ahead, self._revision + 1
        self._highest, self._seen = advance["highest"], advance["events_seen"]

    def _go_back(self) -> None:
        """After a failed batch: to what is stored, and carefully over the batches that were under way."""
        reached = self._place
        self.reload()
        if self._place < reached:
            self._careful_until = reached

    def _fail(self, event: RecordedEvent, error: Exception) -> None:
        cause = error.__cause__ if isinstance(error, FoldError) and isinstance(error.__cause__, Exception) else error
        failure = Failure(event.position, event.type, type(cause).__name__, describe(cause))
        catalogue.fail(self.connection, self._record, failure)
        self.reload()


class _Batch:
    """The transaction of a batch: opened when it is first written to, or in the background when the fold is done."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._database = ConnectionDatabase(connection)
        self._advance: Mapping[str, Any] = {}
        self._transaction: AbstractContextManager[psycopg.Transaction] | None = None
        self._writing: Future[None] | None = None

    def begin(self, advance: Mapping[str, Any]) -> None:
        """Begin a batch that is going to move the position by the parameters of `catalogue.ADVANCE`."""
        self._advance = advance

    def write(self, writes: Sequence[Write]) -> None:
        """Writes that the fold needs to see before it can go on."""
        self._open()
        self._database.write(writes)

    def query(self, queries: Sequence[Query]) -> list[list[Values]]:
        self.wait()
        return self._database.query(queries)

    def finish(self, writes: Sequence[Write], background: Executor | None) -> None:
        """Write the rest and commit; with a `background`, return before that is done."""
        self.wait()
        if self._transaction is None and background is not None:
            self._writing = background.submit(self._commit, self._advance, writes)
        else:
            self._open()
            self._database.write(writes)
            self._close(None)

    def wait(self) -> None:
        """Until the batch in the background is written; raises what went wrong with it."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def abandon(self) -> None:
        """Give up whatever is under way."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.exception()
        if self._transaction is not None:
            with suppress(psycopg.Error):  # of a connection that is lost the server rolls back the rest
                self._close(psycopg.Rollback())

    def _commit(self, advance: Mapping[str, Any], writes: Sequence[Write]) -> None:
        with self._connection.transaction():
            self._move(advance)
            self._database.write(writes)

    def _open(self) -> None:
        self.wait()
        if self._transaction is None:
            transaction = self._connection.transaction()
            transaction.__enter__()
            self._transaction = transaction
            self._move(self._advance)

    def _close(self, error: Exception | None) -> None:
        assert self._transaction is not None
        transaction, self._transaction = self._transaction, None
        transaction.__exit__(type(error) if error else None, error, None)

    def _move(self, advance: Mapping[str, Any]) -> None:
        if self._connection.execute(catalogue.ADVANCE, advance).rowcount != 1:
            raise OvertakenError(
                f"generation {advance['generation']} of {advance['name']} was moved by another process"
            )


class _Rate:
    """Events a second over the last seconds."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._count = 0
        self._last = 0

    def of(self, count: int) -> int:
        """Count the events; the rate over the last whole window of at least a second."""
        self._count += count
        elapsed = time.monotonic() - self._since
        if elapsed >= 1.0:
            self._last = round(self._count / elapsed)
            self._since, self._count = time.monotonic(), 0
        return self._last


def _split(events: Sequence[RecordedEvent], error: Exception) -> int:
    """Where to part a failed batch: in front of the failing event, behind it when it is the first, or in the middle."""
    if isinstance(error, FoldError):
        position = error.event.position
        found = next(index for index, event in enumerate(events) if event.position == position)
        return found or 1
    return len(events) // 2


def describe(error: BaseException) -> str:
    """What went wrong, for operators: where in the code, and the database's names. Values are left out: they may be
    personal data. Only a `ProjectionError` or `ColumnValueError` speaks for itself."""
    if isinstance(error, ProjectionError | ColumnValueError):
        return str(error)
    parts = []
    if isinstance(error, psycopg.Error):
        diagnostic = error.diag
        named = (
            ("state", error.sqlstate),
            ("table", diagnostic.table_name),
            ("column", diagnostic.column_name),
            ("constraint", diagnostic.constraint_name),
        )
        parts += [f"{label} {value}" for label, value in named if value]
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        frame = frames[-1]
        parts.append(f"{PurePath(frame.filename).name}:{frame.lineno} in {frame.name}")
    return ", ".join(parts) or "no details"
