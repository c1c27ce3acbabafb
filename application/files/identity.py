"""Which file it is: its bytes, not its name. The same bytes under another name are the same file (ARO-021, PLT-005)."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from enum import StrEnum


class FileFormat(StrEnum):
    """The formats read, recognised by content."""

    X12_834 = "X12_834"
    X12_820 = "X12_820"
    BAI2 = "BAI2"
    CAMT_053 = "CAMT_053"
    CAMT_054 = "CAMT_054"


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """Name as sent, SHA-256 of the bytes in lower-case hex, size in bytes, format and version as the file states it."""

    name: str
    sha256: str
    size: int
    format: FileFormat
    version: str


def sha256_of(content: bytes) -> str:
    """The identity of a file's content: lower-case hex of SHA-256."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class Remark:
    """Something odd that is no defect: the file is taken, a person may want to look. Carries no personal value."""

    message: str
    segment_number: int | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands in its file: 1-based ordinal of the segment, record or entry, and 1-based line."""

    number: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class Envelope:
    """The X12 envelope of a transaction set: who sent it to whom, when, under which control numbers.

    `test` is true for usage indicator T: the partner marks the interchange as a test.
    """

    sender_qualifier: str
    sender: str
    receiver_qualifier: str
    receiver: str
    interchange_date: dt.date
    interchange_time: dt.time
    interchange_control_number: str
    test: bool
    application_sender: str
    application_receiver: str
    group_date: dt.date
    group_time: dt.time
    group_control_number: str
    version: str
    set_control_number: str
