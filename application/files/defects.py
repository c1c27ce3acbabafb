"""What is wrong with a partner file, place by place, and the one refusal that carries all of it.

A file is taken whole or refused whole. A reader never stops at the first thing wrong: it collects `FileDefect`s, each
with the segment and line where a person finds it in the file, and raises one `FileRefused`. The fine-grained code of a
defect says what happened; the code of the rulebook it is answered with follows from it (ARO-021, PLT-098). Messages
quote codes, counts, control numbers and control totals, never names, identifiers, birth dates or account numbers
(PLT-016, PLT-092).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.errors import Problem, Refusal


class DefectCode(StrEnum):
    """Everything a reader may find wrong."""

    FORMAT_UNKNOWN = "FORMAT_UNKNOWN"
    VERSION_UNKNOWN = "VERSION_UNKNOWN"
    FILE_TOO_LARGE = "FILE_TOO_LARGE"
    TOO_MANY_SEGMENTS = "TOO_MANY_SEGMENTS"
    TOO_MANY_DEFECTS = "TOO_MANY_DEFECTS"
    TRUNCATED = "TRUNCATED"
    CHARACTER_INVALID = "CHARACTER_INVALID"
    DELIMITER_INVALID = "DELIMITER_INVALID"
    SEGMENT_INVALID = "SEGMENT_INVALID"
    SEGMENT_UNEXPECTED = "SEGMENT_UNEXPECTED"
    SEGMENT_MISSING = "SEGMENT_MISSING"
    SEGMENT_REPEATED = "SEGMENT_REPEATED"
    ELEMENT_MISSING = "ELEMENT_MISSING"
    ELEMENT_UNEXPECTED = "ELEMENT_UNEXPECTED"
    ELEMENT_LENGTH = "ELEMENT_LENGTH"
    ELEMENTS_INCOMPLETE = "ELEMENTS_INCOMPLETE"
    CODE_UNKNOWN = "CODE_UNKNOWN"
    NUMBER_INVALID = "NUMBER_INVALID"
    AMOUNT_INVALID = "AMOUNT_INVALID"
    CURRENCY_INVALID = "CURRENCY_INVALID"
    DATE_INVALID = "DATE_INVALID"
    TIME_INVALID = "TIME_INVALID"
    CONTROL_NUMBER = "CONTROL_NUMBER"
    CONTROL_COUNT = "CONTROL_COUNT"
    CONTROL_TOTAL = "CONTROL_TOTAL"
    BALANCE = "BALANCE"
    XML_INVALID = "XML_INVALID"


#: The rulebook's code of each defect; every other one is FILE_REJECTED (content check, reason named: PLT-098).
_ANSWERED_WITH = {
    DefectCode.FORMAT_UNKNOWN: "FILE_FORMAT_UNKNOWN",
    DefectCode.VERSION_UNKNOWN: "FILE_FORMAT_UNKNOWN",
    DefectCode.FILE_TOO_LARGE: "FILE_TOO_LARGE",
    DefectCode.TOO_MANY_SEGMENTS: "FILE_TOO_LARGE",
    DefectCode.CONTROL_NUMBER: "FILE_CONTROL_TOTAL_MISMATCH",
    DefectCode.CONTROL_COUNT: "FILE_CONTROL_TOTAL_MISMATCH",
    DefectCode.CONTROL_TOTAL: "FILE_CONTROL_TOTAL_MISMATCH",
    DefectCode.BALANCE: "FILE_CONTROL_TOTAL_MISMATCH",
}


@dataclass(frozen=True, slots=True)
class FileDefect:
    """One thing wrong, and where.

    `segment_number` is the 1-based ordinal of the X12 segment, BAI2 record or camt entry; `line` the 1-based line of
    the file; `segment_id` the segment, record or element name (such as `DTP`, `16`, `Ntry`); `element` the reference
    designator (such as `DTP01`) or field name.
    """

    code: DefectCode
    message: str
    segment_number: int | None = None
    line: int | None = None
    segment_id: str | None = None
    element: str | None = None

    @property
    def refusal_code(self) -> str:
        """The rulebook's code: FILE_FORMAT_UNKNOWN, FILE_CONTROL_TOTAL_MISMATCH, FILE_TOO_LARGE or FILE_REJECTED."""
        return _ANSWERED_WITH.get(self.code, "FILE_REJECTED")

    def __str__(self) -> str:
        place = ", ".join(
            f"{label} {value}"
            for label, value in (("line", self.line), ("segment", self.segment_number))
            if value is not None
        )
        name = self.element or self.segment_id
        return f"{place or 'file'}{f' ({name})' if name else ''}: {self.message} [{self.code}]"

    def as_problem(self) -> Problem:
        """The defect as a problem of the command that brought the file."""
        named = {
            "defect": self.code.value,
            "segment_number": self.segment_number,
            "line": self.line,
            "segment": self.segment_id,
            "element": self.element,
        }
        return Problem(
            self.refusal_code,
            f"{self}",
            entity="file",
            params={name: value for name, value in named.items() if value is not None},
        )


class FileRefused(Refusal):
    """A file is refused as a whole, with every defect in the order of the file (ARO-021). Nothing of it has effect."""

    def __init__(self, name: str, defects: Sequence[FileDefect]) -> None:
        self.name = name
        self.defects: tuple[FileDefect, ...] = tuple(defects)
        super().__init__([defect.as_problem() for defect in self.defects])

    def __str__(self) -> str:
        return "; ".join(str(defect) for defect in self.defects)
