"""The envelope: interchange (ISA/IEA), functional group (GS/GE), transaction set (ST/SE), each closed as it was opened.

    ISA ─ GS ─ ST … SE ─ ST … SE ─ GE ─ GS … GE ─ IEA ─ ISA …

Trailers repeat the control number of their header and count what lies between: segments from ST to SE with both, sets
in a group, groups in an interchange. A number or count that differs means that something is lost, doubled or cut off,
and refuses the file (FILE_CONTROL_TOTAL_MISMATCH, ARO-021). A missing trailer is named, and reading goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from application.files.defects import DefectCode
from application.files.identity import Envelope
from infrastructure.files.collecting import Findings
from infrastructure.files.text import clock_time, compact_date, short_date, whole_number
from infrastructure.files.x12.checking import Checks, Use
from infrastructure.files.x12.segments import Segment

INTERCHANGE_VERSION = "00501"

_CHECKS = {
    use.segment: Checks(use)
    for use in (
        Use("GS", 0, "group header", required=(1, 2, 3, 4, 5, 6, 7, 8), codes={7: "X"}),
        Use("GE", 0, "group trailer", required=(1, 2)),
        Use("SE", 0, "transaction set trailer", required=(1, 2)),
        Use("IEA", 0, "interchange trailer", required=(1, 2)),
        Use("TA1", 0, "interchange acknowledgement", required=(1, 2, 3, 4, 5)),
    )
}


class SetReader(Protocol):
    """Reads one transaction set; what it makes of it, it keeps for itself."""

    def feed(self, segment: Segment) -> None:
        """The next segment between ST and SE."""
        ...

    def finish(self) -> None:
        """The set has ended."""
        ...


@dataclass(slots=True)
class _Group:
    header: Segment
    sets: int = 0
    control_numbers: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Interchange:
    header: Segment
    groups: int = 0
    control_numbers: set[str] = field(default_factory=set)


#: Opens a reader for a set: ST, GS, and the envelope, which is None when it has defects. None: the set cannot be read.
OpenSet = Callable[[Segment, Segment, Envelope | None], SetReader | None]


class EnvelopeReader:
    """Takes all segments of a file in order, checks the envelope and passes the sets' segments on."""

    def __init__(self, findings: Findings, open_set: OpenSet) -> None:
        self._findings = findings
        self._open_set = open_set
        self._interchanges: set[str] = set()
        self._interchange: _Interchange | None = None
        self._group: _Group | None = None
        self._set: Segment | None = None
        self._reader: SetReader | None = None

    def read(self, segments: Iterable[Segment]) -> None:
        """Read all segments to the end of the file."""
        steps = {
            "ISA": self._open_interchange,
            "IEA": self._close_interchange,
            "GS": self._open_group,
            "GE": self._close_group,
            "ST": self._begin_set,
            "SE": self._end_set,
            "TA1": self._acknowledge,
        }
        last = None
        for segment in segments:
            last = segment
            if (step := steps.get(segment.id)) is not None:
                step(segment)
            elif self._set is None:
                self._add(DefectCode.SEGMENT_UNEXPECTED, segment, f"{segment.id} stands outside a transaction set")
            elif self._reader is not None:
                self._reader.feed(segment)
        self._leave_interchange(last)

    # Interchange

    def _open_interchange(self, segment: Segment) -> None:
        self._leave_interchange(segment)
        self._interchange = _Interchange(segment)
        self._check_interchange(segment)
        number = segment.get(13)
        if number in self._interchanges:
            self._add(DefectCode.CONTROL_NUMBER, segment, f"interchange {number} occurs twice in the file", "ISA13")
        self._interchanges.add(number)

    def _check_interchange(self, segment: Segment) -> None:
        for position in (5, 7):
            if not (segment.get(position).isascii() and segment.get(position).isalnum()):
                self._add(DefectCode.ELEMENT_MISSING, segment, f"ISA{position:02} is no qualifier", f"ISA{position:02}")
        for position in (6, 8):
            if not segment.get(position).strip():
                self._add(DefectCode.ELEMENT_MISSING, segment, f"ISA{position:02} is missing", f"ISA{position:02}")
        if short_date(segment.get(9)) is None:
            self._add(DefectCode.DATE_INVALID, segment, "ISA09 is not a date YYMMDD", "ISA09")
        if len(segment.get(10).strip()) != 4 or clock_time(segment.get(10)) is None:
            self._add(DefectCode.TIME_INVALID, segment, "ISA10 is not a time HHMM", "ISA10")
        if segment.get(12) != INTERCHANGE_VERSION:
            self._add(DefectCode.VERSION_UNKNOWN, segment, f"interchange version is not {INTERCHANGE_VERSION}", "ISA12")
        if whole_number(segment.get(13)) is None:
            self._add(DefectCode.NUMBER_INVALID, segment, "ISA13 (control number) is not 9 digits", "ISA13")
        if segment.get(14) not in ("0", "1"):
            self._add(DefectCode.CODE_UNKNOWN, segment, "ISA14 (acknowledgement requested) is not 0 or 1", "ISA14")
        if segment.get(15) not in ("P", "T"):
            self._add(DefectCode.CODE_UNKNOWN, segment, "ISA15 (usage) is not P or T", "ISA15")

    def _close_interchange(self, segment: Segment) -> None:
        self._leave_group(segment)
        _CHECKS["IEA"].check(segment, self._findings)
        if self._interchange is None:
            self._add(DefectCode.SEGMENT_UNEXPECTED, segment, "IEA without an open interchange")
            return
        header = self._interchange.header
        self._compare_number(segment, header.get(13), "IEA02", "ISA13")
        self._compare_count(segment, self._interchange.groups, "IEA01", "functional groups")
        self._end_interchange(segment)

    def _leave_interchange(self, segment: Segment | None) -> None:
        """The interchange ends without its trailer, if it is still open."""
        if segment is None:
            return
        self._leave_group(segment)
        if self._interchange is not None:
            self._missing(segment, "IEA", f"interchange begun in line {self._interchange.header.line}")
            self._end_interchange(segment)

    def _end_interchange(self, segment: Segment) -> None:
        if self._interchange is not None and self._interchange.groups == 0:
            self._missing(segment, "GS", "the interchange")
        self._interchange = None

    def _acknowledge(self, segment: Segment) -> None:
        _CHECKS["TA1"].check(segment, self._findings)
        if self._interchange is None or self._group is not None:
            self._add(DefectCode.SEGMENT_UNEXPECTED, segment, "TA1 belongs between ISA and GS")

    # Functional group

    def _open_group(self, segment: Segment) -> None:
        self._leave_group(segment)
        _CHECKS["GS"].check(segment, self._findings)
        self._group = _Group(segment)
        if self._interchange is None:
            self._add(DefectCode.SEGMENT_UNEXPECTED, segment, "GS without an open interchange")
            return
        self._interchange.groups += 1
        self._once(segment, segment.get(6), self._interchange.control_numbers, "GS06", "interchange")

    def _close_group(self, segment: Segment) -> None:
        self._leave_set(segment)
        _CHECKS["GE"].check(segment, self._findings)
        if self._group is None:
            self._add(DefectCode.SEGMENT_UNEXPECTED, segment, "GE without an open functional group")
            return
        self._compare_number(segment, self._group.header.get(6), "GE02", "GS06")
        self._compare_count(segment, self._group.sets, "GE01", "transaction sets")
        self._end_group(segment)

    def _leave_group(self, segment: Segment) -> None:
        self._leave_set(segment)
        if self._group is not None:
            self._missing(segment, "GE", f"functional group begun in line {self._group.header.line}")
            self._end_group(segment)

    def _end_group(self, segment: Segment) -> None:
        if self._group is not None and self._group.sets == 0:
            self._missing(segment, "ST", "the functional group")
        self._group = None

    # Transaction set

    def _begin_set(self, segment: Segment) -> None:
        self._leave_set(segment)
        self._set = segment
        if self._group is None:
            self._add(DefectCode.SEGMENT_UNEXPECTED, segment, "ST without an open functional group")
            return
        self._group.sets += 1
        self._once(segment, segment.get(2), self._group.control_numbers, "ST02", "functional group")
        self._reader = self._open_set(segment, self._group.header, self._envelope(segment))

    def _end_set(self, segment: Segment) -> None:
        if self._set is None:
            self._add(DefectCode.SEGMENT_UNEXPECTED, segment, "SE without an open transaction set")
            return
        opening = self._set
        self._finish_set()
        _CHECKS["SE"].check(segment, self._findings)
        self._compare_number(segment, opening.get(2), "SE02", "ST02")
        self._compare_count(segment, segment.number - opening.number + 1, "SE01", "segments from ST to SE")

    def _leave_set(self, segment: Segment) -> None:
        if self._set is not None:
            self._missing(segment, "SE", f"transaction set begun in line {self._set.line}")
            self._finish_set()

    def _finish_set(self) -> None:
        if self._reader is not None:
            self._reader.finish()
        self._reader = None
        self._set = None

    def _envelope(self, opening: Segment) -> Envelope | None:
        if self._interchange is None or self._group is None:
            return None
        isa, gs = self._interchange.header, self._group.header
        day, minute = short_date(isa.get(9)), clock_time(isa.get(10))
        group_day, group_time = compact_date(gs.get(4)), clock_time(gs.get(5))
        if day is None or minute is None or group_day is None or group_time is None:
            return None
        return Envelope(
            sender_qualifier=isa.get(5),
            sender=isa.get(6).rstrip(),
            receiver_qualifier=isa.get(7),
            receiver=isa.get(8).rstrip(),
            interchange_date=day,
            interchange_time=minute,
            interchange_control_number=isa.get(13),
            test=isa.get(15) == "T",
            application_sender=gs.get(2),
            application_receiver=gs.get(3),
            group_date=group_day,
            group_time=group_time,
            group_control_number=gs.get(6),
            version=gs.get(8),
            set_control_number=opening.get(2),
        )

    # What goes wrong

    def _once(self, segment: Segment, number: str, seen: set[str], element: str, whole: str) -> None:
        if number in seen:
            self._add(
                DefectCode.CONTROL_NUMBER,
                segment,
                f"control number {_short(number)} occurs twice in the {whole}",
                element,
            )
        seen.add(number)

    def _compare_number(self, segment: Segment, expected: str, element: str, of: str) -> None:
        sent = segment.get(2)
        if sent != expected:
            self._add(
                DefectCode.CONTROL_NUMBER, segment, f"{element} is {_short(sent)}, {of} is {_short(expected)}", element
            )

    def _compare_count(self, segment: Segment, counted: int, element: str, what: str) -> None:
        sent = whole_number(segment.get(1))
        if sent is not None and sent != counted:
            self._add(DefectCode.CONTROL_COUNT, segment, f"{element} says {sent} {what}, counted {counted}", element)

    def _missing(self, segment: Segment, missing: str, whole: str) -> None:
        self._add(DefectCode.SEGMENT_MISSING, segment, f"{missing} is missing: {whole}")

    def _add(self, code: DefectCode, segment: Segment, message: str, element: str | None = None) -> None:
        self._findings.add(code, message, number=segment.number, line=segment.line, segment=segment.id, element=element)


def _short(number: str) -> str:
    """A control number as quoted: at most 9 characters, those a control number can have."""
    return number[:9] + ("…" if len(number) > 9 else "") if number else "empty"
