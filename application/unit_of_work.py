"""The unit of work: everything a handler may read and write, in one transaction.

A handler loads aggregates, decides with pure functions, appends events. Nothing is written before the handler returns:
the events of all touched streams, the inline projections fed by them and the stored answer of the idempotency key are
then committed together or not at all (PLT-012). Reads of the register see what is committed, plus nothing of this unit.
Accounts are locked in ascending order before they are read (PLT-012), which is what makes one account's activities run
one after another (PLT-011); streams are protected by their version besides.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from application.command import Principal
from domain.aggregate import Aggregate

S = TypeVar("S")
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """An aggregate's state and the stream position it stands at (0: the stream has no event yet)."""

    identifier: str
    state: S
    version: int


class UnitOfWork(Protocol):
    """One command's view of the system. All times come from here: the domain reads no clock (law 7)."""

    @property
    def principal(self) -> Principal: ...

    @property
    def now(self) -> dt.datetime:
        """The instant of the command, UTC, the same throughout the unit; it is the events' recorded_at."""
        ...

    @property
    def effective_date(self) -> dt.date | None:
        """The envelope's effective date, if one was given (PLT-006)."""
        ...

    @property
    def confirmations(self) -> frozenset[str]: ...

    @property
    def channel(self) -> str: ...

    @property
    def dry_run(self) -> bool:
        """Whether nothing will be committed (PLT-007), so that nothing can follow behind the command's commit."""
        ...

    def today(self, time_zone: str = "UTC") -> dt.date:
        """The civil date of `now` in an IANA time zone (PLT-050)."""
        ...

    def new_id(self) -> UUID:
        """A fresh UUID version 7 from the one id source."""
        ...

    def lock(self, *keys: str) -> None:
        """Take the named locks until the end of the unit, in ascending order; waits for other units that hold them."""
        ...

    def next_number(self, sequence: str, start: int = 1) -> int:
        """The next value of a named gap-free sequence, taken only if the unit commits. Locks the sequence."""
        ...

    def load(self, aggregate: Aggregate[S], identifier: str) -> Loaded[S]:
        """The aggregate's present state; version 0 with the initial state when it does not exist."""
        ...

    def load_many(self, aggregate: Aggregate[S], identifiers: Iterable[str]) -> dict[str, Loaded[S]]:
        """Many aggregates with one query; absent ones are left out."""
        ...

    def exists(self, aggregate: Aggregate[Any], identifier: str) -> bool: ...

    def append(
        self,
        aggregate: Aggregate[S],
        identifier: str,
        events: Sequence[object],
        *,
        effective_date: dt.date | None = None,
    ) -> Loaded[S]:
        """Add events to a stream behind what this unit loaded or appended before; returns the state after them.

        A stream that moved since it was loaded makes the whole unit be repeated by the dispatcher (PLT-021).
        """
        ...

    def start_process(self, subject: str, process: str, *, behind: str | None = None) -> str | None:
        """Begin a process on a subject until the end of the unit; answers the kind of another one that runs there.

        One of the kind `behind` is waited for (INV-151): what was read before may have changed when it has ended.
        """
        ...

    def running_process(self, subject: str) -> str | None:
        """The kind of a process that another unit runs on the subject at this moment; nothing is begun or awaited."""
        ...

    def read_many(self, aggregate: Aggregate[S], identifiers: Iterable[str]) -> dict[str, Loaded[S]]:
        """As `load_many`, for reading only: nothing is kept, so memory stays bounded however many are read."""
        ...

    def flush(self) -> None:
        """Write what was appended so far, still inside the transaction, so that ports see it.

        From here on only streams under this unit's locks may be loaded: the transaction has its place in the log.
        """
        ...

    def expect_main(
        self,
        aggregate: Aggregate[S],
        loaded: Loaded[S],
        *,
        status: Callable[[S], str] | None = None,
        status_changed: str = "CONCURRENT_CHANGE",
    ) -> None:
        """Name the command's main object: the envelope's expected version is compared with it (PLT-020). A command that
        names none is refused REQUEST_INVALID when a version above 0 is expected.

        With `status` and the document's own code `status_changed` (such as INVOICE_STATUS_CHANGED), that code is used
        when the object's status differs from the one at the expected version. Raises Refusal; does nothing when no
        version is expected.
        """
        ...

    def require_confirmation(self, name: str, message: str, *, code: str = "CONFIRMATION_REQUIRED") -> None:
        """Ask for a confirmation by name (PLT-008). Handlers go on: if the envelope lacks any, the dispatcher refuses
        the command with all of them once the handler has returned, and a dry run reports them (PLT-007)."""
        ...

    def port(self, kind: type[P]) -> P:
        """A read port over the inline projections (such as the item register), bound to this unit's transaction."""
        ...
