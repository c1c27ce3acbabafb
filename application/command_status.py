"""What became of a command: the port behind the query `commandStatus` (PLT-010)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID


class CommandState(StrEnum):
    """Where a command stands. One that was refused or failed is FAILED, with its codes."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class CommandStatus:
    """A command on the record. `answer` is the stored one while its key is kept (PLT-005), None otherwise."""

    command_id: UUID
    command: str
    client: str
    state: CommandState
    recorded_at: dt.datetime
    correlation_id: UUID
    layer: str | None = None
    codes: tuple[str, ...] = ()
    answer: Mapping[str, Any] | None = None


class CommandStatusReader(Protocol):
    """Finds commands on the record."""

    def status(self, command_id: UUID) -> CommandStatus | None:
        """What became of a command; None when none of this id is on the record."""
        ...
