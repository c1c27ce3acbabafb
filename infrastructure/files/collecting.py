"""Collecting defects while reading on, within limits.

A reader adds what it finds and carries on, so that one run names everything. Two things end a run early, and each is a
defect itself: more segments than allowed, and more defects than a person would read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from application.files.defects import DefectCode, FileDefect, FileRefused
from application.files.identity import Remark

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """Limits and agreements for reading one file.

    Bytes: bank and remittance files 200 MiB, enrolment files 20 MiB (PLT-098, `upload.max_mb`). `max_segments` counts
    X12 segments, BAI2 records or XML elements. `check_balances` applies opening + movements = closing (ARO-021); it is
    switched off only for a source known to send excerpts. `agreed_codes` are code values beyond the implementation
    guide that a trading partner agreement allows, by reference designator: {"HD03": {"LIF"}}.
    """

    max_bytes_bank: int = 200 * _MIB
    max_bytes_other: int = 20 * _MIB
    max_segments: int = 20_000_000
    max_defects: int = 1_000
    max_remarks: int = 1_000
    check_balances: bool = True
    agreed_codes: tuple[tuple[str, frozenset[str]], ...] = ()
    currency: str = "USD"


class ReadingStoppedError(Exception):
    """Reading cannot usefully go on; the defects so far are the answer. Never leaves this package."""


class Findings:
    """Defects and remarks of one file, in the order found."""

    def __init__(self, limits: ReadingLimits) -> None:
        self.limits = limits
        self.defects: list[FileDefect] = []
        self.remarks: list[Remark] = []

    @property
    def count(self) -> int:
        return len(self.defects)

    def add(
        self,
        code: DefectCode,
        message: str,
        *,
        number: int | None = None,
        line: int | None = None,
        segment: str | None = None,
        element: str | None = None,
    ) -> None:
        """Add a defect. Raises ReadingStoppedError when there are more than anyone would read."""
        self.defects.append(FileDefect(code, message, number, line, segment, element))
        if len(self.defects) >= self.limits.max_defects:
            self.defects.append(
                FileDefect(
                    DefectCode.TOO_MANY_DEFECTS,
                    f"reading stopped after {self.limits.max_defects} defects; the rest of the file was not looked at",
                    number,
                    line,
                )
            )
            raise ReadingStoppedError

    def stop(self, code: DefectCode, message: str, *, number: int | None = None, line: int | None = None) -> NoReturn:
        """Add a defect after which nothing more can be read. Always raises ReadingStoppedError."""
        self.defects.append(FileDefect(code, message, number, line))
        raise ReadingStoppedError

    def remark(self, message: str, *, number: int | None = None, line: int | None = None) -> None:
        """Note something odd that does not refuse the file; above the limit only the first ones are kept."""
        if len(self.remarks) < self.limits.max_remarks:
            self.remarks.append(Remark(message, number, line))

    def refuse_if_any(self, name: str) -> None:
        """Raise FileRefused with all defects, in the order of the file, if there is any."""
        if self.defects:
            raise FileRefused(name, in_file_order(self.defects))


def in_file_order(defects: list[FileDefect]) -> list[FileDefect]:
    """By line and segment, those without a place last; equal places stay as found."""
    last = 1 << 62
    return sorted(
        defects,
        key=lambda defect: (
            defect.code is DefectCode.TOO_MANY_DEFECTS,
            last if defect.line is None else defect.line,
            last if defect.segment_number is None else defect.segment_number,
        ),
    )
