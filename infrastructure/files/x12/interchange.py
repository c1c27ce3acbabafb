"""Reading a whole X12 file: which transaction set in which version is read by which guide.

A file holds one kind of business: enrolment or remittance. A set of another kind, another version, or both kinds in one
file refuse the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from application.files.defects import DefectCode
from application.files.enrolment import EnrolmentTransaction
from application.files.identity import Envelope
from application.files.remittance import RemittanceAdvice
from infrastructure.files.collecting import Findings
from infrastructure.files.x12.enrolment_834 import EnrolmentSetReader
from infrastructure.files.x12.envelope import EnvelopeReader, SetReader
from infrastructure.files.x12.grammar import Guide, Loop
from infrastructure.files.x12.guide_820 import GUIDE, REMITTANCE_GUIDE, REMITTANCE_STANDARD, STANDARD
from infrastructure.files.x12.guide_834 import ENROLMENT, VERSION
from infrastructure.files.x12.remittance_820 import RemittanceSetReader
from infrastructure.files.x12.segments import Segment, segments

#: Set identifier and version to the guide it is read by.
_GUIDES: dict[tuple[str, str], Loop] = {
    ("834", VERSION): ENROLMENT,
    ("820", GUIDE): REMITTANCE_GUIDE,
    ("820", STANDARD): REMITTANCE_STANDARD,
}
#: Functional identifier of the group each set belongs in.
_GROUPS = {"834": "BE", "820": "RA"}


@dataclass(slots=True)
class InterchangeContent:
    """What a file holds: one of the two lists is empty."""

    enrolment: list[EnrolmentTransaction] = field(default_factory=list)
    remittance: list[RemittanceAdvice] = field(default_factory=list)


@lru_cache(maxsize=16)
def _guides(agreed_codes: tuple[tuple[str, frozenset[str]], ...]) -> dict[tuple[str, str], Guide]:
    """The grammars with the codes partners agreed; worked out once for each agreement."""
    agreed = dict(agreed_codes)
    return {key: Guide(loop, agreed) for key, loop in _GUIDES.items()}


def read_interchange(text: str, findings: Findings) -> InterchangeContent:
    """Read all interchanges of a text. Its content is complete only if `findings` has no defects.

    Raises ReadingStoppedError.
    """
    content = InterchangeContent()
    guides = _guides(findings.limits.agreed_codes)
    kinds: set[str] = set()

    def open_set(opening: Segment, group: Segment, envelope: Envelope | None) -> SetReader | None:
        kind, version = opening.get(1), group.get(8)
        _check_kind(opening, group, kinds, findings)
        if envelope is not None and envelope.interchange_date != envelope.group_date:
            findings.remark("ISA09 and GS04 are different days", number=group.number, line=group.line)
        guide = guides.get((kind, version))
        if guide is None:
            return None
        if kind == "834":
            return EnrolmentSetReader(guide, opening, envelope, findings, content.enrolment)
        return RemittanceSetReader(guide, opening, envelope, findings, content.remittance)

    EnvelopeReader(findings, open_set).read(segments(text, findings))
    return content


def _check_kind(opening: Segment, group: Segment, kinds: set[str], findings: Findings) -> None:
    kind, version = opening.get(1), group.get(8)
    place = {"number": opening.number, "line": opening.line}

    def add(code: DefectCode, message: str, element: str) -> None:
        findings.add(code, message, segment="ST", element=element, **place)

    if kind not in _GROUPS:
        add(DefectCode.FORMAT_UNKNOWN, f"transaction set {kind[:3]} is not read here, only 834 and 820", "ST01")
        return
    if (kind, version) not in _GUIDES:
        known = ", ".join(known for of, known in _GUIDES if of == kind)
        add(DefectCode.VERSION_UNKNOWN, f"version {version[:12]} of {kind} is not read here, only {known}", "GS08")
    if group.get(1) != _GROUPS[kind]:
        add(DefectCode.CODE_UNKNOWN, f"GS01 is not {_GROUPS[kind]}, the group of {kind}", "GS01")
    if opening.get(3) and opening.get(3) != version:
        add(DefectCode.CODE_UNKNOWN, "ST03 is not the version of its group (GS08)", "ST03")
    kinds.add(kind)
    if len(kinds) > 1:
        add(DefectCode.FORMAT_UNKNOWN, "enrolment (834) and remittance (820) in one file", "ST01")
