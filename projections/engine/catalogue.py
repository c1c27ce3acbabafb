"""The catalogue of generations: which copies of each projection exist, where each stands, and which one is live.

A generation is one copy of a projection's tables, in a schema of its own. At most one generation of a projection is
live; a rebuild makes a second one beside it and moves the flag in one transaction. A generation's position is stored
with its rows, in one transaction (PLT-101): whatever is killed, and when, the rows are those of the position.

All functions take a connection and leave its transaction to the caller.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from psycopg.rows import tuple_row

from application.log import LogPosition
from projections.engine.advisory import lock_key
from projections.engine.database import Connection
from projections.engine.projection import Mode, Projection

#: The catalogue's own definition; idempotent, so that the migrations and a test may both execute it.
CATALOGUE_DDL: Final = (
    "create schema if not exists read_models",
    """
    create table if not exists read_models.generation (
        name text collate "C" not null,
        generation integer not null,
        version integer not null,
        definition text not null,
        mode text not null check (mode in ('INLINE', 'FOLLOWING')),
        purpose text not null check (purpose in ('SERVE', 'VERIFY')),
        state text not null check (state in ('BUILDING', 'RUNNING', 'FAILED', 'RETIRED')),
        live boolean not null default false check (not live or state in ('RUNNING', 'FAILED')),
        transaction bigint not null default 0,
        position bigint not null default 0,
        highest bigint not null default 0,
        ahead bigint[] not null default '{}',
        events_seen bigint not null default 0,
        revision bigint not null default 0,
        events_per_second integer not null default 0,
        complete boolean not null default false,
        failed_position bigint,
        failed_type text,
        failed_class text,
        failure text,
        reason text,
        created_at timestamptz not null default clock_timestamp(),
        updated_at timestamptz not null default clock_timestamp(),
        retired_at timestamptz,
        primary key (name, generation)
    ) with (fillfactor = 50)
    """,
    "create unique index if not exists generation_live on read_models.generation (name) where live",
)


class State(StrEnum):
    """What a generation is doing."""

    BUILDING = "BUILDING"
    RUNNING = "RUNNING"
    FAILED = "FAILED"
    RETIRED = "RETIRED"


class Purpose(StrEnum):
    """What a generation is for: to answer queries, or to check the one that does."""

    SERVE = "SERVE"
    VERIFY = "VERIFY"


@dataclass(frozen=True, slots=True)
class Failure:
    """The event at which a generation stopped, and why; free of personal data."""

    position: int
    event_type: str
    error: str
    message: str


@dataclass(frozen=True, slots=True)
class Generation:
    """A generation as the catalogue knows it.

    It has seen every event up to and including `place`, and besides those with a position in `ahead` (see
    `rebuild`). `highest` is the highest position among them: what is told outside. `revision` counts the batches
    written. `complete` says that all indexes are there.
    """

    name: str
    generation: int
    version: int
    definition: str
    mode: Mode
    purpose: Purpose
    state: State
    live: bool
    place: LogPosition
    highest: int
    ahead: frozenset[int]
    events_seen: int
    revision: int
    events_per_second: int
    complete: bool
    failure: Failure | None
    reason: str | None
    created_at: dt.datetime
    updated_at: dt.datetime
    retired_at: dt.datetime | None

    @property
    def schema(self) -> str:
        """The schema that holds its tables."""
        return schema_of(self.name, self.generation)

    def fits(self, projection: Projection) -> bool:
        """Whether this code's fold belongs to its tables."""
        return self.definition == projection.definition


def schema_of(name: str, generation: int) -> str:
    """The schema of a generation's tables."""
    return f"read_{name}_{generation}"


_COLUMNS = """
    name, generation, version, definition, mode, purpose, state, live, transaction, position, highest, ahead,
    events_seen, revision, events_per_second, complete, failed_position, failed_type, failed_class, failure,
    reason, created_at, updated_at, retired_at
"""

#: The live generations, all in one small query.
LIVE_QUERY: Final = f"select {_COLUMNS} from read_models.generation where live order by name"


def generation_of(row: Sequence[Any]) -> Generation:
    """The record of a row of `LIVE_QUERY`."""
    failure = None if row[16] is None else Failure(row[16], row[17], row[18], row[19])
    return Generation(
        name=row[0],
        generation=row[1],
        version=row[2],
        definition=row[3],
        mode=Mode(row[4]),
        purpose=Purpose(row[5]),
        state=State(row[6]),
        live=row[7],
        place=LogPosition(row[8], row[9]),
        highest=row[10],
        ahead=frozenset(row[11]),
        events_seen=row[12],
        revision=row[13],
        events_per_second=row[14],
        complete=row[15],
        failure=failure,
        reason=row[20],
        created_at=row[21],
        updated_at=row[22],
        retired_at=row[23],
    )


def install(connection: Connection) -> None:
    """Create the catalogue if it is not there."""
    row = connection.execute("select to_regclass('read_models.generation') is not null").fetchone()
    if row is not None and row[0]:
        return
    for statement in CATALOGUE_DDL:
        connection.execute(statement)


def live(connection: Connection) -> dict[str, Generation]:
    """The live generation of each projection that has one."""
    return {record.name: record for record in _select(connection, LIVE_QUERY, ())}


def generations(connection: Connection, names: Iterable[str] | None = None) -> list[Generation]:
    """All generations, of all projections or of the named ones, the oldest first."""
    condition, parameters = ("", []) if names is None else (" where name = any(%s)", [list(names)])
    query = f"select {_COLUMNS} from read_models.generation{condition} order by name, generation"
    return _select(connection, query, parameters)


def get(connection: Connection, name: str, generation: int) -> Generation | None:
    """One generation, or None."""
    query = f"select {_COLUMNS} from read_models.generation where name = %s and generation = %s"
    return next(iter(_select(connection, query, (name, generation))), None)


def hold(connection: Connection, record: Generation) -> None:
    """Keep a generation's position from moving until the end of the transaction.

    An advisory lock, because it is fair: waiting for the row itself could take for ever, since each batch of a busy
    projector leaves a new version of the row, locked before the waiter gets to it.
    """
    connection.execute("select pg_advisory_xact_lock(%s)", (feeding_key(record.name, record.generation),))


def feeding_key(name: str, generation: int) -> int:
    """The lock that every batch of a generation holds shared, and `hold` exclusively."""
    return lock_key(f"feed {name} {generation}")


def create(
    connection: Connection, projection: Projection, *, live: bool = False, purpose: Purpose = Purpose.SERVE
) -> Generation:
    """A new generation with empty tables at the beginning of the log: live at once, or to be built."""
    state = State.RUNNING if live else State.BUILDING
    query = f"""
        insert into read_models.generation (name, generation, version, definition, mode, purpose, state, live, complete)
        select %(name)s, coalesce(max(generation), 0) + 1, %(version)s, %(definition)s, %(mode)s, %(purpose)s,
            %(state)s, %(live)s, %(live)s
        from read_models.generation where name = %(name)s
        returning {_COLUMNS}
    """
    parameters = {
        "name": projection.name,
        "version": projection.version,
        "definition": projection.definition,
        "mode": projection.mode,
        "purpose": purpose,
        "state": state,
        "live": live,
    }
    record = _select(connection, query, parameters)[0]
    connection.execute(f'create schema "{record.schema}"')
    for table in projection.tables:
        for statement in table.create(record.schema, building=not live):
            connection.execute(statement)
    return record


#: Moves the position, in the transaction that writes the rows. Changes no row when somebody else has moved it.
ADVANCE: Final = """
    with held as (select pg_advisory_xact_lock_shared(%(key)s))
    update read_models.generation set transaction = %(transaction)s, position = %(position)s, highest = %(highest)s,
        ahead = %(ahead)s, events_seen = %(events_seen)s, revision = %(revision)s + 1,
        events_per_second = %(events_per_second)s, updated_at = clock_timestamp()
    from held
    where name = %(name)s and generation = %(generation)s and revision = %(revision)s
        and state in ('BUILDING', 'RUNNING')
"""


def mark_complete(connection: Connection, record: Generation) -> None:
    """All indexes are there."""
    connection.execute(
        "update read_models.generation set complete = true where name = %s and generation = %s",
        (record.name, record.generation),
    )


def fail(connection: Connection, record: Generation, failure: Failure) -> None:
    """Stop a generation in front of an event."""
    connection.execute(
        """
        update read_models.generation set state = 'FAILED', failed_position = %s, failed_type = %s, failed_class = %s,
            failure = %s, events_per_second = 0, updated_at = clock_timestamp()
        where name = %s and generation = %s and state in ('BUILDING', 'RUNNING')
        """,
        (failure.position, failure.event_type, failure.error, failure.message, record.name, record.generation),
    )


def retry(connection: Connection, name: str, generation: int | None = None) -> int:
    """Let failed generations of a projection, all or one, go on from where they stopped; the number of them."""
    return connection.execute(
        """
        update read_models.generation set state = case when live then 'RUNNING' else 'BUILDING' end,
            failed_position = null, failed_type = null, failed_class = null, failure = null,
            updated_at = clock_timestamp()
        where name = %s and state = 'FAILED' and generation = coalesce(%s, generation)
        """,
        (name, generation),
    ).rowcount


def retire(connection: Connection, record: Generation, reason: str | None = None) -> None:
    """Take a generation out of service; its tables stay until `drop`."""
    connection.execute(
        """
        update read_models.generation set live = false, state = 'RETIRED', retired_at = clock_timestamp(),
            reason = coalesce(%s, reason), events_per_second = 0, updated_at = clock_timestamp()
        where name = %s and generation = %s
        """,
        (reason, record.name, record.generation),
    )


def go_live(connection: Connection, record: Generation, reason: str | None) -> None:
    """Make a built generation the live one; the one before has been retired in the same transaction."""
    connection.execute(
        """
        update read_models.generation set live = true, state = 'RUNNING', reason = %s, ahead = '{}',
            updated_at = clock_timestamp()
        where name = %s and generation = %s
        """,
        (reason, record.name, record.generation),
    )


def drop(connection: Connection, record: Generation) -> None:
    """Drop a generation that is not live, its tables and its record."""
    connection.execute("delete from read_models.generation where name = %s and generation = %s and not live",
                       (record.name, record.generation))  # fmt: skip
    connection.execute(f'drop schema if exists "{record.schema}" cascade')


def retired_before(connection: Connection, age: dt.timedelta) -> list[Generation]:
    """The generations that were retired longer ago than `age`."""
    query = f"""
        select {_COLUMNS} from read_models.generation
        where state = 'RETIRED' and retired_at <= clock_timestamp() - %s order by name, generation
    """
    return _select(connection, query, (age,))


def _select(connection: Connection, query: str, parameters: Any) -> list[Generation]:
    cursor = connection.cursor(row_factory=tuple_row)
    return [generation_of(row) for row in cursor.execute(query, parameters).fetchall()]
