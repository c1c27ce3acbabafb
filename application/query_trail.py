"""The record of queries that were answered with personal data, and of viewed invoices (PLT-079, INV-235).

Who asked, for what, about whom, and of which classes the data was; never the data itself, nor a name that was looked
for. decision: it is written before the answer goes out, and what cannot be recorded is not shown.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

from application.command import Principal

#: Objects that a record names; above that it holds what was asked for and how many there were.
NAMED_OBJECTS: Final = 200


class DataClass(StrEnum):
    """Classes of data whose reading is recorded (PLT-085), and the audit store, whose reading is recorded too."""

    CONTACT = "P2"
    IDENTITY = "P3"
    SENSITIVE = "P4"
    AUDIT = "AUDIT"


class QueryRecord(NamedTuple):
    """One answered query. `fields` are the fields asked for with their arguments; `objects` are streams, such as
    `member:MR-1`: all `object_count` of them, or none when they are more than `NAMED_OBJECTS`. `duration` is in
    microseconds.
    """

    recorded_at: dt.datetime
    principal: Principal
    fields: Sequence[Mapping[str, Any]]
    classes: Sequence[DataClass]
    objects: Sequence[str]
    object_count: int
    duration: int
    correlation_id: UUID


class QueryTrail(Protocol):
    """The append-only store of such records."""

    def record(self, record: QueryRecord) -> None: ...
