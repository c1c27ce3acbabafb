"""The unit of work on PostgreSQL: one connection, one transaction, everything a command reads and writes.

Nothing is written before `complete`: appended events, numbers taken and snapshots wait in memory, for two reasons. A
refusal then has nothing to undo, and the transaction gets its id only after every stream was read, which keeps the
order of the log in step with the order inside each stream (infrastructure.event_store.append). `complete` writes all of
it and ends the transaction in as few round trips as can be: one without inline projections, two with.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, Protocol, TypeVar, cast
from uuid import UUID

import msgspec
import psycopg

from application.clock import UuidSource, civil_date
from application.command import CommandAnswer, Principal, WrittenEvent
from application.dispatch import AuditRecord, CommandContext, ConcurrencyError, KeyTakenError, NotStartedError
from application.log import RecordedEvent
from application.unit_of_work import Loaded
from domain.aggregate import Aggregate
from domain.errors import Problem, Refusal
from infrastructure.event_store import snapshots
from infrastructure.event_store import streams as stream_store
from infrastructure.event_store.append import (
    INSERT_UP_TO,
    NewEvent,
    Written,
    conflict,
    copy_in,
    insert_call,
    written_rows,
)
from infrastructure.event_store.codec import canonical, named
from infrastructure.event_store.hash_chain import Hasher, Origin, StreamName
from infrastructure.event_store.log import head_call
from infrastructure.event_store.snapshots import Snapshot
from infrastructure.event_store.state_cache import StateCache
from infrastructure.event_store.streams import NO_HEAD, Folded, Head
from infrastructure.postgres import command_records as records
from infrastructure.postgres.command_records import OpenedKey
from infrastructure.postgres.connection import BEGIN, COMMIT, ROLLBACK, Call, Row, Statement, StoreConnection
from infrastructure.postgres.database import Database
from projections.engine.garbage import no_garbage_collection

S = TypeVar("S")
P = TypeVar("P")

#: Makes a read port bound to a connection.
PortFactory = Callable[[psycopg.Connection[Any]], Any]


class Inline(Protocol):
    """The inline projections, which fold a command's events into their tables in its transaction."""

    @property
    def enter(self) -> Sequence[str]:
        """Statements without parameters that a command begins with."""
        ...

    def handle(self, connection: psycopg.Connection[Any], types: Iterable[str]) -> bool:
        """Whether there is anything to `run` for events of these types."""
        ...

    def run(self, cursor: psycopg.Cursor[Any], events: Sequence[RecordedEvent]) -> None:
        """Fold the events, in their order, with a cursor of the command's transaction."""
        ...


#: How many named locks one command may take: 500 dead letters with their records (PLT-059), and what they concern.
LOCK_LIMIT = 1_500

#: Of how many streams at most the states are kept that one command made of them.
KEPT_UP_TO = 16

#: The processes of which one at a time runs on a subject (INV-150), by the names `start_process` is given.
PROCESSES = ("DRAFT", "GENERATION", "DISCARD", "REGENERATION")

_SAVEPOINT = Statement("command_savepoint", "SAVEPOINT command")
_ROLLBACK_TO = Statement("command_rollback", "ROLLBACK TO SAVEPOINT command")

_IDLE = int(psycopg.pq.TransactionStatus.IDLE)
_MICROSECOND = dt.timedelta(microseconds=1)


@dataclass(slots=True)
class _Stream:
    """A stream this unit has loaded or begun: its state with the appended events, and the head they go behind."""

    aggregate: Aggregate[Any]
    identifier: str
    name: str
    state: Any
    head: Head
    version: int
    snapshot: int
    began: bool
    size: int


class _Appended(NamedTuple):
    """An event waiting to be written."""

    stream: _Stream
    stream_position: int
    event: object
    effective_date: dt.date


@dataclass(slots=True)
class _Pending:
    """What the command at hand has decided and not yet written."""

    streams: dict[str, _Stream] = field(default_factory=dict)
    events: list[_Appended] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    missing_confirmations: list[Problem] = field(default_factory=list)
    main: str | None = None
    # What `flush` has written already: the rows with their positions, the heads of their streams, their instant.
    rows: list[NewEvent] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    heads: dict[str, Head] = field(default_factory=dict)
    recorded_at: dt.datetime | None = None


class PostgresUnits:
    """Opens units of work (application.dispatch.UnitFactory).

    `inline` are the inline projections; `ports` maps the read ports a handler may ask for to their makers. What the
    inline projections' `enter` returned is in the `scratch` of the connection while the unit lasts, as `entered`.
    """

    def __init__(
        self,
        database: Database,
        ids: UuidSource,
        *,
        inline: Inline | None = None,
        ports: Mapping[type, PortFactory] | None = None,
    ) -> None:
        self._database = database
        self._ids = ids
        self._inline = inline
        self._ports = dict(ports or {})
        self._states = StateCache()

    @contextmanager
    def begin(self, context: CommandContext) -> Iterator[PostgresUnitOfWork]:
        """A fresh unit; leaving it without a commit rolls everything back. Conflicts come out as ConcurrencyError."""
        pool = self._database.writers
        connection = pool.getconn()
        unit = PostgresUnitOfWork(connection, context, self._ids, self._inline, self._ports, self._states)
        try:
            yield unit
        except psycopg.Error as error:
            if connection.closed and not unit.begun:
                pool.check()  # after a restart of the server it may hold more dead connections
                raise NotStartedError("the connection was lost") from error
            found = conflict(error)
            if found is None:
                raise
            unit.roll_back()
            raise unit.located(found) from error
        finally:
            unit.roll_back()
            pool.putconn(connection)


class PostgresUnitOfWork:
    """One transaction (application.unit_of_work.UnitOfWork, application.dispatch.CommandUnit)."""

    def __init__(
        self,
        connection: StoreConnection,
        context: CommandContext,
        ids: UuidSource,
        inline: Inline | None,
        ports: Mapping[type, PortFactory],
        states: StateCache,
    ) -> None:
        self.connection = connection
        self._ids = ids
        self._states = states
        self._inline = inline
        self._port_factories = ports
        self._ports: dict[type, Any] = {}
        self._entering = () if inline is None else _enter_calls(*inline.enter)
        self._unsent: list[Call] = [Call(BEGIN), *self._entering]
        self._locked: set[str] = set()
        self._locked_before: set[str] = set()
        self.begun = False
        # The first stream of those loaded one after another without a lock in between, and what was read for the others
        # together with it: by stream, its aggregate, the state it was read behind and the rows.
        self._run: str | None = None
        self._ahead: dict[str, tuple[Aggregate[Any], Folded[Any], list[Row]]] = {}
        connection.scratch = {}
        self._enter(context)

    # The command's circumstances

    @property
    def principal(self) -> Principal:
        return self._context.request.principal

    @property
    def now(self) -> dt.datetime:
        return self._context.now

    @property
    def effective_date(self) -> dt.date | None:
        return self._context.request.effective_date

    @property
    def confirmations(self) -> frozenset[str]:
        return frozenset(self._context.request.confirmations)

    @property
    def channel(self) -> str:
        return self._context.request.channel

    @property
    def dry_run(self) -> bool:
        return self._context.request.dry_run

    def today(self, time_zone: str = "UTC") -> dt.date:
        return civil_date(self._context.now, time_zone)

    def new_id(self) -> UUID:
        return self._ids.new()

    # Reading

    def lock(self, *keys: str) -> None:
        wanted = sorted(set(keys) - self._locked)
        if len(wanted) + len(self._locked) > LOCK_LIMIT:
            raise ValueError(f"a command takes at most {LOCK_LIMIT} locks")
        if wanted:
            self._locked.update(wanted)
            self._end_run()
            self._before_next_read(records.lock_call(wanted))

    def start_process(self, subject: str, process: str, *, behind: str | None = None) -> str | None:
        key = f"process {subject}"
        if key in self._locked:
            return None
        self._end_run()
        [[(free,)]] = self._read(records.try_lock_call(key))
        if not free and behind is not None and self._holder(key) in (behind, None):
            self._read(records.lock_call([key]))
            free = True
        if free:
            self._locked.add(key)
            self._before_next_read(records.lock_call([f"{key} {process}"]))
            return None
        return self._holder(key) or "PROCESS"

    def running_process(self, subject: str) -> str | None:
        key = f"process {subject}"
        return None if key in self._locked else self._holder(key)

    def _holder(self, key: str) -> str | None:
        """Which process holds the lock; `PROCESS` where it has not said yet."""
        [[(taken,), *rows]] = self._read(records.holders_call([key, *(f"{key} {kind}" for kind in PROCESSES)]))
        running = [kind for kind, (held,) in zip(PROCESSES, rows, strict=True) if held]
        if running:
            return running[0]
        return "PROCESS" if taken else None

    def _end_run(self) -> None:
        """What was read before a lock was had may not hold any more."""
        self._run = None
        self._ahead.clear()

    def load(self, aggregate: Aggregate[S], identifier: str) -> Loaded[S]:
        stream = aggregate.stream(identifier)
        if stream not in self._pending.streams:
            self._load_one(aggregate, stream, identifier)
        return _loaded(self._pending.streams.get(stream) or self._begin_stream(aggregate, identifier))

    def load_many(self, aggregate: Aggregate[S], identifiers: Iterable[str]) -> dict[str, Loaded[S]]:
        wanted = {aggregate.stream(identifier): identifier for identifier in identifiers}
        known = self._pending.streams
        missing = [stream for stream in wanted if stream not in known]
        for start in range(0, len(missing), stream_store.STREAMS_PER_QUERY):
            chunk = missing[start : start + stream_store.STREAMS_PER_QUERY]
            self._load(aggregate, {stream: wanted[stream] for stream in chunk})
        return {
            identifier: _loaded(known[stream])
            for stream, identifier in wanted.items()
            if stream in known and known[stream].version
        }

    def read_many(self, aggregate: Aggregate[S], identifiers: Iterable[str]) -> dict[str, Loaded[S]]:
        wanted = {aggregate.stream(identifier): identifier for identifier in identifiers}
        known = self._pending.streams
        found = {wanted[name]: _loaded(known[name]) for name in wanted if name in known and known[name].version}
        missing = [name for name in wanted if name not in known]
        for start in range(0, len(missing), stream_store.STREAMS_PER_QUERY):
            [rows] = self._read(
                stream_store.load_call(aggregate, missing[start : start + stream_store.STREAMS_PER_QUERY])
            )
            with no_garbage_collection():
                for name, folded in stream_store.fold_rows(aggregate, rows):
                    found[wanted[name]] = Loaded(wanted[name], folded.state, folded.head.stream_position)
        return found

    def exists(self, aggregate: Aggregate[Any], identifier: str) -> bool:
        stream = aggregate.stream(identifier)
        known = self._pending.streams.get(stream)
        if known is not None:
            return known.version > 0
        [[(exists,)]] = self._read(stream_store.exists_call(stream))
        return bool(exists)

    def next_number(self, sequence: str, start: int = 1) -> int:
        numbers = self._pending.numbers
        if sequence not in numbers:
            self.lock(f"sequence {sequence}")
            [rows] = self._read(records.sequence_call(sequence))
            numbers[sequence] = rows[0][0] if rows else start - 1
        numbers[sequence] += 1
        self._pending.taken.add(sequence)
        return numbers[sequence]

    def port(self, kind: type[P]) -> P:
        if kind not in self._ports:
            self._send_unsent()  # the port reads by itself, from now on whenever it likes
            self._ports[kind] = self._port_factories[kind](self.connection)
        return cast(P, self._ports[kind])

    def expect_main(
        self,
        aggregate: Aggregate[S],
        loaded: Loaded[S],
        *,
        status: Callable[[S], str] | None = None,
        status_changed: str = "CONCURRENT_CHANGE",
    ) -> None:
        stream = aggregate.stream(loaded.identifier)
        self._pending.main = stream
        expected = self._context.request.expected_version
        if expected is None or expected == loaded.version:
            return
        versions = {"expected_version": expected, "current_version": loaded.version}
        if status is not None and expected < loaded.version:
            before = status(self._state_at(aggregate, stream, expected))
            now = status(loaded.state)
            if before != now:
                changed = {**versions, "from": before, "to": now}
                raise Refusal(Problem(status_changed, "The status was changed meanwhile.", params=changed))
        raise Refusal(Problem("CONCURRENT_CHANGE", "The object was changed meanwhile.", params=versions))

    def _require_main(self) -> None:
        """A version that was expected must have been compared: nobody shall believe that it was (PLT-020)."""
        if self._context.request.expected_version and self._pending.main is None:
            message = "This command is not about one object whose version could be expected."
            raise Refusal(Problem("REQUEST_INVALID", message, pointer="/expected_version"))

    # Deciding

    def append(
        self,
        aggregate: Aggregate[S],
        identifier: str,
        events: Sequence[object],
        *,
        effective_date: dt.date | None = None,
    ) -> Loaded[S]:
        """See the protocol. A stream not loaded before is taken to be new.

        The stored effective date is the one given, else the event's own `effective_date`, else the envelope's, else
        the day of the command in UTC.
        """
        stream = self._pending.streams.get(aggregate.stream(identifier)) or self._begin_stream(aggregate, identifier)
        default = effective_date or self.effective_date or self._context.now.date()
        for event in events:
            own = None if effective_date else getattr(event, "effective_date", None)
            stream.state = aggregate.evolve(stream.state, event)
            stream.version += 1
            day = own if type(own) is dt.date else default
            self._pending.events.append(_Appended(stream, stream.version, event, day))
        return _loaded(stream)

    def flush(self) -> None:
        pending = self._pending
        if not pending.events:
            return
        if self._key_call is not None:
            self._send_unsent()  # nothing may be written before the key is known to be fresh
        if not pending.rows:
            self._unsent.append(Call(_SAVEPOINT))  # so that a batch can go on without this command, see `enter`
            self._send_unsent()
            self._locked_before = set(self._locked)
        origin = _origin(self._context)
        pending.recorded_at = recorded_at = self._recorded_at()
        rows, written = self._write(origin, recorded_at, lambda _: [])
        heads = _heads(rows, recorded_at)
        for name, head in heads.items():
            stream = pending.streams[name]
            stream.head = head._replace(transaction=written.transaction)
        pending.rows += rows
        pending.positions += written.positions
        pending.heads |= heads
        pending.events.clear()

    def require_confirmation(self, name: str, message: str, *, code: str = "CONFIRMATION_REQUIRED") -> None:
        if name not in self._context.request.confirmations:
            self._pending.missing_confirmations.append(Problem(code, message, params={"confirmation": name}))

    @property
    def missing_confirmations(self) -> Sequence[Problem]:
        return tuple(self._pending.missing_confirmations)

    # The idempotency key

    def require_fresh_key(self, *, now: bool = False) -> None:
        self._fresh_key_required = True
        if now:
            self._send_unsent()
        self._check_key()

    # Writing

    def complete(self, answer: CommandAnswer, audit: AuditRecord, *, commit: bool) -> CommandAnswer:
        if self._key_call is not None:
            self._send_unsent()  # nothing may be written before the key is known to be fresh
        self._require_main()
        dry_run = self._context.request.dry_run
        computed_on = self._log_position() if dry_run else None
        pending = self._pending
        origin, recorded_at = _origin(self._context), self._recorded_at()
        heads = dict(pending.heads)

        def closing(written: Mapping[str, Head]) -> list[Call]:
            heads.update(written)
            if dry_run:
                return []
            calls = self._closing_calls(answer, audit, heads)
            return [*calls, Call(COMMIT)] if commit else calls

        rows, written = self._write(origin, recorded_at, closing)
        rows, positions = [*pending.rows, *rows], [*pending.positions, *written.positions]
        pending.rows = []  # completed: a batch keeps it when it goes on
        if dry_run:
            events = [_event(row, None, msgspec.json.decode(row.payload)) for row in rows]
            return _with_events(answer, events, computed_on)
        self._keep_states(heads, rows, written.transaction)
        events = [_event(row, position, None) for row, position in zip(rows, positions, strict=True)]
        return _with_events(answer, events, max(positions, default=None))

    def enter(self, context: CommandContext) -> None:
        if self._pending.rows:
            self._unsent.append(Call(_ROLLBACK_TO))
            self._locked = set(self._locked_before)  # the later ones are let go with it
        self._enter(context)

    def commit(self) -> None:
        self._read(Call(COMMIT))

    def roll_back(self) -> None:
        """Undo what was not committed; harmless when nothing is open."""
        if not self.connection.closed and self.connection.pgconn.transaction_status != _IDLE:
            with suppress(psycopg.OperationalError):  # a lost connection has rolled back by itself
                self.connection.round_trip(Call(ROLLBACK))

    def located(self, found: ConcurrencyError) -> ConcurrencyError:
        """The conflict with the stream that moved and its present version, as far as they can be told (PLT-020)."""
        versions = {stream.name: stream.head.stream_position for stream in self._grown()}
        with suppress(psycopg.Error):
            [rows] = self.connection.round_trip(stream_store.heads_call(list(versions)))
            for stream, head in stream_store.heads_of(rows).items():
                if head.stream_position != versions[stream]:
                    return ConcurrencyError(str(found), stream, head.stream_position)
        return found

    # How it is done

    def _enter(self, context: CommandContext) -> None:
        self._context = context
        self._pending = _Pending()
        # The call that opens the key, until it is sent; then what it found.
        self._key: OpenedKey | None = None
        self._key_call: Call | None = None
        self._fresh_key_required = False
        self._end_run()
        if context.request.idempotency_key is not None and not context.request.dry_run:
            self._key_call = records.open_key_call(context)
            self._unsent.append(self._key_call)

    def _before_next_read(self, call: Call) -> None:
        """Send a call together with the next one; at once when a port may read on its own meanwhile."""
        self._unsent.append(call)
        if self._ports:
            self._send_unsent()

    def _send_unsent(self) -> None:
        if self._unsent:
            self._read()

    def _read(self, *calls: Call) -> list[list[Row]]:
        """The rows of the calls, in one round trip with what is still to be sent before them."""
        unsent, self._unsent = self._unsent, []
        results = self.connection.round_trip(*unsent, *calls)
        if not self.begun:
            self.begun = True
            self.connection.scratch["entered"] = results[1 : 1 + len(self._entering)]
        if self._key_call is not None:
            [row] = results[unsent.index(self._key_call)]
            self._key, self._key_call = records.opened_key(row), None
            self._check_key()
        return results[len(unsent) :]

    def _check_key(self) -> None:
        """Stop the command if its key is known not to be fresh."""
        key = self._key
        if not self._fresh_key_required or key is None:
            return
        if key.command_id is not None:
            self._fresh_key_required = False
            [events] = self._read(records.events_of_call(key.command_id))
            raise KeyTakenError(records.stored_answer(key, events))
        if not key.free:
            raise KeyTakenError(None)

    def _load_one(self, aggregate: Aggregate[Any], stream: str, identifier: str) -> None:
        """Load a stream into the unit if it has events, going on from the state this process knows of it."""
        known, rows = self._read_behind(aggregate, stream)
        if known is not None:
            known = stream_store.fold_behind(aggregate, known, rows)
        if known is None:
            [rows] = self._read(stream_store.load_call(aggregate, [stream]))
            known = next((folded for _, folded in stream_store.fold_rows(aggregate, rows)), None)
        if known is not None:
            self._states.put(aggregate, stream, known)
            self._enlist(aggregate, stream, identifier, known)

    def _read_behind(self, aggregate: Aggregate[Any], stream: str) -> tuple[Folded[Any] | None, list[Row]]:
        """The state this process knows of a stream, and the rows from its head on.

        With the first stream of a run, those are asked for in the same round trip that such a command went on to load
        the last time: a wrong guess costs a look into an index, a right one saves the round trip.
        """
        ahead = self._ahead.pop(stream, None)
        if ahead is not None and ahead[0] is aggregate:
            return ahead[1:]
        command = self._context.request.name
        guesses: list[tuple[Aggregate[Any], str, Folded[Any]]] = []
        if self._run is None:
            self._run = stream
            loaded = self._pending.streams
            guesses = [one for one in self._states.likely_behind(command, stream) if one[1] not in loaded]
        elif self._run != stream:
            self._states.loaded_behind(command, self._run, aggregate, stream)
        known = self._states.get(aggregate, stream)
        if known is None:
            return None, []
        rows, *others = self._read(
            stream_store.behind_call(stream, known.head),
            *(stream_store.behind_call(other, folded.head) for _, other, folded in guesses),
        )
        self._ahead.update(
            (other, (of, state, found)) for (of, other, state), found in zip(guesses, others, strict=True)
        )
        return known, rows

    def _load(self, aggregate: Aggregate[Any], wanted: Mapping[str, str]) -> None:
        """Load streams, named to identifiers, into the unit; those without events are left out."""
        [rows] = self._read(stream_store.load_call(aggregate, list(wanted)))
        for stream, folded in stream_store.fold_rows(aggregate, rows):
            self._enlist(aggregate, stream, wanted[stream], folded)

    def _enlist(self, aggregate: Aggregate[Any], stream: str, identifier: str, folded: Folded[Any]) -> None:
        head = folded.head
        self._pending.streams[stream] = _Stream(
            aggregate, identifier, stream, folded.state, head, head.stream_position, folded.snapshot, False, folded.size
        )

    def _begin_stream(self, aggregate: Aggregate[Any], identifier: str) -> _Stream:
        name = aggregate.stream(identifier)
        stream = _Stream(aggregate, identifier, name, aggregate.initial, NO_HEAD, 0, 0, True, 0)
        self._pending.streams[name] = stream
        return stream

    def _state_at(self, aggregate: Aggregate[S], stream: str, version: int) -> S:
        [rows] = self._read(stream_store.up_to_call(stream, version))
        for _, folded in stream_store.fold_rows(aggregate, rows):
            return folded.state
        return aggregate.initial

    def _recorded_at(self) -> dt.datetime:
        """The instant of the command, but later than anything in the streams it adds to (PLT-023).

        decision: the events of one command share their instant, so that no question as of an instant finds half of it.
        """
        pending = self._pending
        flushed = pending.recorded_at or self._context.now
        # The head of a stream that was flushed is an event of this very command.
        others = (stream.head.recorded_at for stream in self._grown() if stream.name not in pending.heads)
        return max(flushed, max(others, default=NO_HEAD.recorded_at) + _MICROSECOND)

    def _grown(self) -> Iterator[_Stream]:
        """The streams with events that are not yet written."""
        return (stream for stream in self._pending.streams.values() if stream.version > stream.head.stream_position)

    def _chained(self, origin: Origin, recorded_at: dt.datetime) -> Iterator[NewEvent]:
        """The appended events as rows, each chained to the one before it in its stream."""
        hasher = Hasher(origin, recorded_at)
        names: dict[str, StreamName] = {}
        days: dict[dt.date, bytes] = {}
        hashes: dict[str, bytes] = {}
        events = self._pending.events
        for (stream, position, event, day), event_id in zip(events, self._ids.texts(len(events)), strict=True):
            name = stream.name
            kind, version = named[type(event)]
            payload = canonical(event)
            previous = hashes.get(name) or stream.head.hash
            hashes[name] = digest = hasher.hash(
                previous,
                names.get(name) or names.setdefault(name, StreamName.of(name)),
                position,
                kind.encode(),
                version,
                event_id.encode(),
                days.get(day) or days.setdefault(day, day.isoformat().encode()),
                payload,
            )
            yield NewEvent(name, position, kind, version, event_id, day, previous, digest, payload)

    def _write(
        self, origin: Origin, recorded_at: dt.datetime, closing: Callable[[Mapping[str, Head]], list[Call]]
    ) -> tuple[list[NewEvent], Written]:
        """Write the appended events, feed the inline projections, run the calls that `closing` makes of the new heads.

        The rows, and where they were written.
        """
        if not self._pending.events:
            if calls := closing({}):
                self._read(*calls)
            return [], Written(0, ())
        rows: list[NewEvent] = []
        after = max(stream.head.transaction for stream in self._grown())
        chained = self._chained(origin, recorded_at)
        if len(self._pending.events) > INSERT_UP_TO:
            self._send_unsent()
            with no_garbage_collection():
                # Rows are made while the server takes in the ones before them.
                written = copy_in(self.connection, origin, recorded_at, _kept(chained, rows), after)
        else:
            rows.extend(chained)
            insert = insert_call(origin, recorded_at, rows, after)
            if self._inline is not None and not self.begun:
                self._send_unsent()
            if not self._feeds(rows):
                results = self._read(insert, *closing(_heads(rows, recorded_at)))
                return rows, written_rows(results[0])
            written = written_rows(self._read(insert)[0])
        if self._inline is not None and self._feeds(rows):
            with self.connection.cursor() as cursor:
                self._inline.run(cursor, self._recorded(origin, recorded_at, rows, written))
        if calls := closing(_heads(rows, recorded_at)):
            self._read(*calls)
        return rows, written

    def _feeds(self, rows: Sequence[NewEvent]) -> bool:
        """Whether the inline projections have anything to do with the events."""
        return self._inline is not None and self._inline.handle(self.connection, {row.type for row in rows})

    def _recorded(
        self, origin: Origin, recorded_at: dt.datetime, rows: Sequence[NewEvent], written: Written
    ) -> list[RecordedEvent]:
        return [
            RecordedEvent(
                position,
                written.transaction,
                row.stream,
                row.stream_position,
                row.type,
                appended.event,
                recorded_at,
                row.effective_date,
                UUID(row.event_id),
                origin.actor,
                origin.command_id,
                origin.correlation_id,
                origin.causation_id,
            )
            for row, position, appended in zip(rows, written.positions, self._pending.events, strict=True)
        ]

    def _closing_calls(self, answer: CommandAnswer, audit: AuditRecord, heads: Mapping[str, Head]) -> list[Call]:
        """What is written behind the events: snapshots, numbers taken, the answer of the key, the audit record."""
        pending = self._pending
        calls = self._snapshot_calls(heads)
        calls.extend(records.save_sequence_call(name, pending.numbers[name]) for name in sorted(pending.taken))
        positions = {name: head.stream_position for name, head in heads.items()}
        subject = pending.main or next(iter(heads), None)
        if self._context.request.idempotency_key is None:
            calls.append(records.audit_call(audit, subject, positions))
        else:
            calls.append(records.audit_and_answer_call(audit, subject, positions, answer, self._context.now))
        return calls

    def _snapshot_calls(self, heads: Mapping[str, Head]) -> list[Call]:
        """The calls that store the states that are due; very many new ones are copied in at once."""
        due: list[Snapshot] = []
        new: list[Snapshot] = []
        for name, head in heads.items():
            stream = self._pending.streams[name]
            # Rarer on long streams, whose states are large: what a snapshot costs stays a fraction of what it saves.
            every = stream.aggregate.snapshot_every
            if every > 0 and max(every, head.stream_position // 8) <= head.stream_position - stream.snapshot:
                (new if stream.began else due).append(Snapshot(stream.aggregate, name, stream.state, head))
                stream.snapshot = head.stream_position
        for snapshot in due:
            self._states.snapshot_saved(snapshot.stream, snapshot.head.stream_position)
        if len(new) <= snapshots.REPLACE_UP_TO:
            return list(map(snapshots.save_call, due + new))
        snapshots.copy_new(self.connection, new)
        return list(map(snapshots.save_call, due))

    def _keep_states(self, heads: Mapping[str, Head], rows: Sequence[NewEvent], transaction: int) -> None:
        """Remember what a few streams have become; whether the log leads there is asked when they are loaded again."""
        if len(heads) > KEPT_UP_TO:
            return
        sizes = dict.fromkeys(heads, 0)
        for row in rows:
            sizes[row.stream] += len(row.payload)
        for name, head in heads.items():
            stream = self._pending.streams[name]
            own = head._replace(transaction=transaction or stream.head.transaction)  # 0: all was flushed before
            size = stream.size + sizes[name]
            self._states.put(stream.aggregate, name, Folded(stream.state, own, stream.snapshot, size))

    def _log_position(self) -> int | None:
        [rows] = self._read(head_call())
        return rows[0][1] if rows else None


@cache
def _enter_calls(*statements: str) -> tuple[Call, ...]:
    return tuple(Call(Statement(f"inline_enter_{number}", sql)) for number, sql in enumerate(statements))


def _heads(rows: Sequence[NewEvent], recorded_at: dt.datetime) -> dict[str, Head]:
    """The heads of the streams behind the rows."""
    last = {row.stream: row for row in rows}
    return {stream: Head(row.stream_position, row.hash, recorded_at, 0) for stream, row in last.items()}


def _kept(rows: Iterable[NewEvent], kept: list[NewEvent]) -> Iterator[NewEvent]:
    """The rows as they come, each put aside as well."""
    for row in rows:
        kept.append(row)
        yield row


def _loaded(stream: _Stream) -> Loaded[Any]:
    return Loaded(stream.identifier, stream.state, stream.version)


def _origin(context: CommandContext) -> Origin:
    request, principal = context.request, context.request.principal
    return Origin(
        actor_kind=principal.kind,
        actor=principal.identifier,
        client=principal.client,
        channel=request.channel,
        on_behalf_of=request.on_behalf_of,
        command_id=context.command_id,
        correlation_id=context.correlation_id,
        causation_id=request.causation_id,
    )


def _with_events(answer: CommandAnswer, events: Sequence[WrittenEvent], position: int | None) -> CommandAnswer:
    return CommandAnswer(
        answer.command_id,
        answer.result,
        tuple(events),
        position,
        answer.warnings,
        answer.missing_confirmations,
        answer.dry_run,
    )


def _event(row: NewEvent, position: int | None, payload: Mapping[str, Any] | None) -> WrittenEvent:
    return WrittenEvent(row.type, row.event_id, row.stream, row.stream_position, position, payload)
