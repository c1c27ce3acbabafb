"""Taking in a file that a client sends: the port behind file upload (PLT-098).

A file is known by the SHA-256 of its bytes: the same bytes again are the same file, and give the first receipt. It is
quarantined until its content was checked, and what it holds (an enrolment, a bank statement, a document) is read then.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, BinaryIO, Protocol

from application.command import Principal


class FileState(StrEnum):
    """State machine "Uploaded file"."""

    QUARANTINED = "QUARANTINED"
    AVAILABLE = "AVAILABLE"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file that is taken in: who may send it, and how large it may be, in bytes."""

    name: str
    summary: str
    privilege: str
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way in. `name` is text, never a path; `content` stands at its beginning, the caller closes it."""

    kind: str
    name: str
    content_type: str
    size: int
    sha256: str
    content: BinaryIO


@dataclass(frozen=True, slots=True)
class FileReceipt:
    """What became of a file. `repeated` tells that these bytes had been received before; `report` is what reading it
    gave, JSON-ready: counts, defects by place, without personal data."""

    sha256: str
    kind: str
    size: int
    state: FileState
    received_at: dt.datetime
    repeated: bool = False
    report: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileCase:
    """Something a file says that a person should look at: an unknown member, money that nobody is named for.

    `state` is WAITING, QUEUED, REFUSED or FAILED; `code` says why; `line` and `segment` where in the file, from 1;
    `amount` is decimal text, of money.
    """

    sha256: str
    number: int
    kind: str
    name: str
    received_at: dt.datetime
    state: str
    action: str
    line: int
    segment: int
    code: str | None
    amount: str | None
    currency: str | None


class FileImporter(Protocol):
    """Takes files in and tells of them."""

    def kinds(self) -> Mapping[str, FileKind]:
        """The kinds of file that are taken in, by name."""
        ...

    def accept(self, upload: Upload, principal: Principal) -> FileReceipt:
        """Take a file in; the caller has checked privilege and size.

        Raises Refusal: FILE_TYPE_NOT_ALLOWED, FILE_REJECTED, FILE_FORMAT_UNKNOWN and those of the kind.
        """
        ...

    def receipt(self, sha256: str, principal: Principal) -> FileReceipt | None:
        """The receipt of a file by its hash; None when there is none, or not for this caller."""
        ...

    def cases(
        self, principal: Principal, kind: str | None, after: tuple[str, int] | None, limit: int
    ) -> Sequence[FileCase]:
        """What a person should look at in the files this caller may see, by receipt, behind the case (file, number)."""
        ...
