"""The sample files, small edits of them, and what a refusal says."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import pytest

from application.files.bank import BankStatementFile
from application.files.content import FileContent
from application.files.defects import DefectCode, FileDefect, FileRefused
from application.files.enrolment import EnrolmentFile
from application.files.remittance import RemittanceFile
from infrastructure.files.collecting import ReadingLimits
from infrastructure.files.reader import DEFAULT_LIMITS, read_file

FOLDER = Path(__file__).parents[2] / "fixtures" / "files"
NAMES = sorted(path.name for path in FOLDER.iterdir() if path.suffix in (".834", ".820", ".bai2", ".xml"))

#: For samples whose balances do not agree: read them as an excerpt.
EXCERPT = ReadingLimits(check_balances=False)

C = TypeVar("C", EnrolmentFile, RemittanceFile, BankStatementFile)


def sample(name: str) -> bytes:
    """The bytes of a sample file."""
    return (FOLDER / name).read_bytes()


def edited(name: str, *edits: tuple[str, str]) -> bytes:
    """A sample with texts replaced; each text must occur, or the edit would test nothing."""
    text = sample(name).decode()
    for old, new in edits:
        assert old in text, f"{old!r} does not occur in {name}"
        text = text.replace(old, new)
    return text.encode()


def read(kind: type[C], content: bytes, limits: ReadingLimits = DEFAULT_LIMITS) -> C:
    """Read a content that must be of this kind."""
    found: FileContent = read_file("file", content, limits)
    assert isinstance(found, kind)
    return found


def defects(content: bytes, limits: ReadingLimits = DEFAULT_LIMITS) -> tuple[FileDefect, ...]:
    """The defects of a content that must be refused."""
    with pytest.raises(FileRefused) as refused:
        read_file("file", content, limits)
    return refused.value.defects


def places(found: tuple[FileDefect, ...]) -> list[tuple[DefectCode, int | None, int | None, str | None]]:
    """Code, segment number, line and element (or segment) of each defect."""
    return [(item.code, item.segment_number, item.line, item.element or item.segment_id) for item in found]
