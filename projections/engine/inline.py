"""INLINE projections: their rows change in the transaction of the command that wrote the events (BAL-023, PLT-101).

The unit of work calls `run` behind its events and before it commits. All inline projections work on the command's own
connection: one round trip to load the rows the events need, one to write them. Which generations are live is asked at
the command's very beginning: the unit of work sends `ENTER` with what it begins with, and leaves what came of it in the
connection's `scratch`, as `entered`. On any other connection it is a round trip of its own.

Against a rebuild that is about to put another generation in place, commands hold a shared advisory lock until they
commit; the rebuild takes it exclusively for the moment of the change. A process whose code does not fit the live
generations writes nothing at all: it would feed tables it does not know, or leave one behind for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import psycopg
from psycopg.rows import tuple_row

from application.log import RecordedEvent
from projections.engine import catalogue
from projections.engine.advisory import lock_key
from projections.engine.database import Connection, ConnectionDatabase, Write
from projections.engine.projection import Mode, ProjectionSet
from projections.engine.rows import FoldError, Rows
from projections.engine.table import Key

#: Held shared by commands that feed inline projections, exclusively by a rebuild that puts a generation in place.
INLINE_LOCK: Final = lock_key("inline")

#: The statements by which a command holds the live generations in place and sees which they are.
ENTER: Final = (
    f"select current_setting('transaction_isolation'), pg_advisory_xact_lock_shared({INLINE_LOCK})::text",
    "select name, generation, definition from read_models.generation where live and mode = 'INLINE' order by name",
)


class NotReadyError(Exception):
    """The live generations do not fit this code: a projection is yet to be built, or this process is outdated."""


class InlineError(Exception):
    """An inline projection could not be fed; the command's transaction must not commit. The cause is chained."""

    def __init__(self, projection: str, event_type: str | None) -> None:
        super().__init__(f"projection {projection} failed at {event_type or 'a write'}")
        self.projection = projection
        self.event_type = event_type


class InlineProjections:
    """Feeds the inline projections of a set in the transactions of commands. Safe to share between threads."""

    enter = ENTER

    def __init__(self, projections: ProjectionSet) -> None:
        self._projections = projections.of(Mode.INLINE)
        self._definitions = {projection.name: projection.definition for projection in self._projections}
        self._events = frozenset().union(*(projection.events for projection in self._projections))

    def handle(self, connection: Connection, types: Iterable[str]) -> bool:
        """Whether there is anything to `run` for events of these types. Raises NotReadyError."""
        self.schemas(connection)
        return not self._events.isdisjoint(types)

    def run(self, cursor: psycopg.Cursor[Any], events: Sequence[RecordedEvent]) -> None:
        """Fold the events, in the order of the command, into the live generations.

        The cursor's connection has a transaction open, at READ COMMITTED and not in pipeline mode. Raises NotReadyError
        and InlineError, after which the transaction is to be rolled back; database errors come as they are.
        """
        if not self._projections or not events:
            return
        connection = cursor.connection
        schemas = self.schemas(connection)
        database = ConnectionDatabase(connection)
        folds = [
            _InlineFold(Rows(projection, schemas[projection.name], database), handled)
            for projection in self._projections
            if (handled := [event for event in events if event.type in projection.handlers])
        ]
        _load_together(folds, database)
        writes = [write for fold in folds for write in fold.writes()]
        if writes:
            database.write(writes)

    def schemas(self, connection: Connection) -> dict[str, str]:
        """The schema of each inline projection's live generation, held in place until the transaction ends.

        For ports that read inline rows. Raises NotReadyError.
        """
        [[(isolation, _)], found] = getattr(connection, "scratch", {}).get("entered") or _enter(connection)
        if isolation != "read committed":
            # A snapshot taken before the lock would still show the generation that was live before it.
            raise RuntimeError(f"inline projections need READ COMMITTED, not {isolation}")
        self._check((name, definition) for name, _, definition in found)
        return {name: catalogue.schema_of(name, generation) for name, generation, _ in found}

    def _check(self, found: Iterable[tuple[str, str]]) -> None:
        there = dict(found)
        if there == self._definitions:
            return
        missing = sorted(self._definitions.keys() - there.keys())
        unknown = sorted(there.keys() - self._definitions.keys())
        other = sorted(
            name for name in there.keys() & self._definitions.keys() if there[name] != self._definitions[name]
        )
        raise NotReadyError(f"inline projections: to be built {missing}, unknown {unknown}, of another version {other}")


@dataclass(frozen=True, slots=True)
class _InlineFold:
    """One projection's share of a command: its rows and the events it handles."""

    rows: Rows
    events: Sequence[RecordedEvent]

    def wanted(self) -> dict[str, list[Key]]:
        with self._naming():
            return self.rows.wanted(self.events)

    def writes(self) -> list[Write]:
        with self._naming():
            self.rows.fold(self.events)
            return self.rows.take_writes()

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Name the projection and the event in what goes wrong, unless it is the database that is in trouble."""
        name = self.rows.projection.name
        try:
            yield
        except psycopg.OperationalError:
            raise
        except FoldError as error:
            raise InlineError(name, error.event.type) from error.__cause__
        except Exception as error:
            raise InlineError(name, None) from error


def _enter(connection: Connection) -> list[list[tuple[Any, ...]]]:
    with connection.pipeline():
        cursors = [connection.cursor(row_factory=tuple_row).execute(query) for query in ENTER]
        return [cursor.fetchall() for cursor in cursors]


def _load_together(folds: Sequence[_InlineFold], database: ConnectionDatabase) -> None:
    """Load the rows that all the projections declare to need, in one round trip."""
    wanted = [fold.wanted() for fold in folds]
    queries = [fold.rows.load_queries(keys) for fold, keys in zip(folds, wanted, strict=True)]
    found = iter(database.query([query for group in queries for query in group]))
    for fold, keys, group in zip(folds, wanted, queries, strict=True):
        fold.rows.loaded(keys, list(islice(found, len(group))))
