"""Checking a segment by its use: elements by the dictionary, codes by the guide, syntax notes by the standard.

A `Use` is data: the segment, its place, which elements must be sent and which code values are allowed. A message names
the element by its reference designator and meaning; it quotes a value only when that is a code that says nothing of a
person (PLT-016, PLT-092).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from application.files.defects import DefectCode
from infrastructure.files.collecting import Findings
from infrastructure.files.text import compact_date
from infrastructure.files.x12.elements import COMPOSITES, ELEMENTS, LAYOUTS, PRIVATE_SEGMENTS, Element, flaw
from infrastructure.files.x12.segments import Segment

AgreedCodes = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """A segment in its place. `codes` maps element positions to the values allowed; `key` is the element whose value
    tells this use from others of the same segment (0: none); `required` are the elements that must be sent. An
    `extensible` use takes the codes partners agreed beyond the guide."""

    segment: str
    at: int
    name: str
    most: int = 1
    needed: bool = False
    key: int = 0
    required: tuple[int, ...] = ()
    codes: Mapping[int, str] = field(default_factory=dict)
    extensible: bool = False


class Rule:
    """What an element of a use must be."""

    __slots__ = ("codes", "composite", "element", "quotable", "reference", "repeats", "required")

    def __init__(self, use: Use, position: int, number: str, agreed: AgreedCodes) -> None:
        self.reference = f"{use.segment}{position:02}"
        self.repeats = number.endswith("+")
        number = number.rstrip("+")
        self.composite = COMPOSITES.get(number, ())
        self.element = ELEMENTS.get(number)
        self.required = position in use.required
        private = use.segment in PRIVATE_SEGMENTS and position != use.key
        self.quotable = self.element is not None and self.element.kind == "ID" and not private
        codes = use.codes.get(position)
        more = agreed.get(self.reference, frozenset()) if use.extensible else frozenset()
        self.codes = None if codes is None else frozenset(codes.split()) | more

    @property
    def label(self) -> str:
        return f"{self.reference} ({self.element.name})" if self.element else self.reference


class Checks:
    """All checks of one use, worked out once."""

    __slots__ = ("_notes", "rules", "use")

    def __init__(self, use: Use, agreed: AgreedCodes | None = None) -> None:
        layout = LAYOUTS[use.segment]
        self.use = use
        self.rules = tuple(
            Rule(use, position, number, agreed or {}) for position, number in enumerate(layout.elements, start=1)
        )
        self._notes = tuple(
            (note[0], tuple(int(note[index : index + 2]) for index in range(1, len(note), 2))) for note in layout.notes
        )

    def code_unknown(self, segment: Segment, rule: Rule, value: str, allowed: list[str], findings: Findings) -> None:
        """Say that a code is not among those allowed here."""
        told = f"is {value}" if rule.quotable and 0 < len(value) <= 3 else "has no known value"
        _add(
            findings,
            DefectCode.CODE_UNKNOWN,
            segment,
            f"{rule.label} {told}; allowed here: {', '.join(allowed)}",
            rule.reference,
        )

    def check(self, segment: Segment, findings: Findings) -> None:
        """Check the segment's elements by dictionary, guide and syntax notes."""
        elements = segment.elements
        rules = self.rules
        if len(elements) > len(rules):
            _add(
                findings,
                DefectCode.ELEMENT_UNEXPECTED,
                segment,
                f"{segment.id} has {len(elements)} elements, at most {len(rules)} are known",
            )
        before = ""
        for rule, value in zip(rules, elements, strict=False):
            if value:
                if rule.codes is None or value not in rule.codes:
                    self._check_value(rule, value, before, segment, findings)
            elif rule.required:
                _add(findings, DefectCode.ELEMENT_MISSING, segment, f"{rule.label} is missing", rule.reference)
            before = value
        for rule in rules[len(elements) :]:
            if rule.required:
                _add(findings, DefectCode.ELEMENT_MISSING, segment, f"{rule.label} is missing", rule.reference)
        for kind, positions in self._notes:
            present = sum(1 for position in positions if position <= len(elements) and elements[position - 1])
            if present < len(positions) or kind == "E":
                self._check_note(kind, positions, present, segment, findings)

    def _check_value(self, rule: Rule, value: str, before: str, segment: Segment, findings: Findings) -> None:
        delimiters = segment.delimiters
        if rule.composite:
            self._check_composite(rule, value, segment, findings)
            return
        if segment.structured and (delimiters.component in value or delimiters.repetition in value):
            _add(
                findings,
                DefectCode.DELIMITER_INVALID,
                segment,
                f"{rule.label} contains a component or repetition separator but is a simple element",
                rule.reference,
            )
            return
        element = rule.element
        if element is None:
            return
        if (found := flaw(element, value)) is not None:
            _add(findings, found[0], segment, f"{rule.label} {found[1]}", rule.reference)
        elif rule.codes is not None:
            self.code_unknown(segment, rule, value, sorted(rule.codes), findings)
        elif element is _PERIOD and (message := _period_flaw(before, value)):
            _add(findings, DefectCode.DATE_INVALID, segment, f"{rule.label} {message}", rule.reference)

    def _check_composite(self, rule: Rule, value: str, segment: Segment, findings: Findings) -> None:
        delimiters = segment.delimiters
        repetitions = value.split(delimiters.repetition) if rule.repeats else [value]
        for repetition in repetitions:
            components = [component.rstrip(" ") for component in repetition.split(delimiters.component)]
            if len(components) > len(rule.composite):
                _add(
                    findings,
                    DefectCode.ELEMENT_UNEXPECTED,
                    segment,
                    f"{rule.reference} has {len(components)} components, at most {len(rule.composite)} are known",
                    rule.reference,
                )
            for place, (number, component) in enumerate(zip(rule.composite, components, strict=False), start=1):
                element = ELEMENTS[number]
                if component and (found := flaw(element, component)) is not None:
                    reference = f"{rule.reference}-{place}"
                    _add(findings, found[0], segment, f"{reference} ({element.name}) {found[1]}", reference)

    def _check_note(
        self, kind: str, positions: tuple[int, ...], present: int, segment: Segment, findings: Findings
    ) -> None:
        """A syntax note over element positions of which `present` were sent."""
        if not present and kind != "R":
            return
        broken = {
            "P": present < len(positions),
            "R": present == 0,
            "E": present > 1,
            "C": present < len(positions) and bool(segment.get(positions[0])),
            "L": present == 1 and bool(segment.get(positions[0])),
        }[kind]
        if broken:
            names = ", ".join(f"{segment.id}{position:02}" for position in positions)
            demand = {
                "P": "are sent all or none",
                "R": "at least one is sent",
                "E": "at most one is sent",
                "C": f"{segment.id}{positions[0]:02} needs the others",
                "L": f"{segment.id}{positions[0]:02} needs one of the others",
            }[kind]
            _add(
                findings,
                DefectCode.ELEMENTS_INCOMPLETE,
                segment,
                f"{names}: {demand}",
                f"{segment.id}{positions[0]:02}",
            )


def _add(findings: Findings, code: DefectCode, segment: Segment, message: str, element: str | None = None) -> None:
    findings.add(code, message, number=segment.number, line=segment.line, segment=segment.id, element=element)


_PERIOD: Element = ELEMENTS["1251"]


def _period_flaw(form: str, value: str) -> str | None:
    """What is wrong with a date time period in the form D8 or RD8, or None."""
    if form == "D8":
        return None if compact_date(value) else "is not a date CCYYMMDD"
    if form == "RD8":
        begin, _, end = value.partition("-")
        first, last = compact_date(begin), compact_date(end)
        if first is None or last is None:
            return "is not a period CCYYMMDD-CCYYMMDD"
        return None if first <= last else "is a period that ends before it begins"
    return "has no known format qualifier (D8, RD8) before it"
