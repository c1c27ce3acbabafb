"""What the engine needs of the log beyond reading it behind the settled horizon.

A `LogReader` never shows a transaction that an older one, still running, might precede: that makes it safe to follow.
The rows of INLINE projections, though, are committed together with the events, ahead of that horizon. To compare a
rebuilt copy with them, and to put it in their place, the engine must for a moment see exactly the events that one
transaction sees: `visible`.
"""

from __future__ import annotations

from typing import Protocol

from application.log import LogReader
from projections.engine.database import Connection


class LogSource(Protocol):
    """Opens readers of the log."""

    def settled(self) -> LogReader:
        """A reader that never skips an event, for following; it uses connections of its own."""
        ...

    def visible(self, connection: Connection) -> LogReader:
        """A reader of everything the connection's present transaction sees, in log order, settled or not."""
        ...
