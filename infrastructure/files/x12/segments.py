"""From text to segments: the delimiters are read from the interchange header, every segment keeps its place.

The interchange header (ISA) has fixed widths: its fourth character is the element separator, its elements 11 and 16 are
the repetition and component separators, and the character behind it ends every segment. Blanks and line ends behind a
segment's end belong to nobody and are skipped; a line end inside a segment is a defect, it nearly always means that the
segment's end is missing. Trailing blanks of an element carry no meaning and are dropped, except in the header.

A reader of our own, not pyx12 (BSD licence, well kept): its 4.0.0 has no map for the plain 005010 payment order and
answers it with an exception, refuses files that have a blank behind the segment end, does not check payment totals, and
reads about 9,000 segments a second, where a full list of 50,000 members has some 800,000. The tests use it as a second
opinion on the files we write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from application.files.defects import DefectCode
from infrastructure.files.collecting import Findings

ISA_LENGTH = 106
#: No segment of the sets read comes near this; a longer one has lost its end, and is not taken apart.
LONGEST = 10_000
#: Widths of ISA01 to ISA16.
_ISA_WIDTHS = (2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1)
_SEGMENT_ID = re.compile(r"[A-Z][A-Z0-9]{1,2}\Z")
_BETWEEN = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Delimiters:
    """The four characters that give a file its structure."""

    element: str = "*"
    component: str = ":"
    repetition: str = "^"
    terminator: str = "~"


class Segment:
    """One segment: identifier, elements (index 0 is element 01), ordinal number and line, both from 1."""

    __slots__ = ("delimiters", "elements", "id", "line", "number", "structured")

    def __init__(
        self, identifier: str, elements: list[str], number: int, line: int, delimiters: Delimiters, structured: bool
    ) -> None:
        self.id = identifier
        self.elements = elements
        self.number = number
        self.line = line
        self.delimiters = delimiters
        #: Whether a component or repetition separator occurs in it.
        self.structured = structured

    def get(self, position: int) -> str:
        """Element 01, 02, ... as text; empty when it was not sent."""
        return self.elements[position - 1] if position <= len(self.elements) else ""

    def components(self, position: int) -> tuple[str, ...]:
        """The components of a composite element; empty when it was not sent."""
        value = self.get(position)
        return tuple(value.split(self.delimiters.component)) if value else ()

    def repetitions(self, position: int) -> tuple[tuple[str, ...], ...]:
        """The repetitions of a repeating composite element, each as its components."""
        value = self.get(position)
        if not value:
            return ()
        return tuple(tuple(part.split(self.delimiters.component)) for part in value.split(self.delimiters.repetition))


def segments(text: str, findings: Findings) -> Iterator[Segment]:
    """All segments of all interchanges of a text that begins with ISA.

    Lexical defects are added to `findings`; a segment that cannot be read is left out. Raises ReadingStoppedError when
    the delimiters cannot be known or there are too many segments.
    """
    at, line = _skip_blanks(text, 0, 1)
    delimiters: Delimiters | None = None
    number = 0
    while at < len(text):
        number += 1
        if number > findings.limits.max_segments:
            findings.stop(
                DefectCode.TOO_MANY_SEGMENTS,
                f"more than {findings.limits.max_segments} segments",
                number=number,
                line=line,
            )
        if delimiters is None or text.startswith("ISA", at):
            delimiters = _delimiters(text, at, number, line, findings)
            end = at + ISA_LENGTH - 1
        else:
            end = text.find(delimiters.terminator, at)
        truncated = end < 0
        raw = text[at:] if truncated else text[at:end]
        if truncated:
            raw = raw.rstrip("\r\n \t")
            findings.add(
                DefectCode.TRUNCATED,
                "the last segment has no segment end; the file is cut off",
                number=number,
                line=line,
                segment=_identifier(raw, delimiters),
            )
        segment = _segment(raw, number, line, delimiters, findings)
        if segment is not None and not truncated:
            yield segment
        if truncated:
            return
        line += raw.count("\n")
        at, line = _skip_blanks(text, end + 1, line + (delimiters.terminator == "\n"))


def _skip_blanks(text: str, at: int, line: int) -> tuple[int, int]:
    """The place behind blanks and line ends, and its line."""
    match = _BETWEEN.match(text, at)
    end = match.end() if match else at
    return end, line + text.count("\n", at, end)


@lru_cache(maxsize=64)
def _unprintable(delimiters: Delimiters) -> re.Pattern[str]:
    """Control characters that are not delimiters of the file."""
    controls = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
    used = (delimiters.element, delimiters.component, delimiters.repetition, delimiters.terminator)
    return re.compile("[" + "".join(re.escape(control) for control in controls if control not in used) + "]")


def _identifier(raw: str, delimiters: Delimiters) -> str | None:
    identifier = raw.split(delimiters.element, 1)[0]
    return identifier if _SEGMENT_ID.match(identifier) else None


def _segment(raw: str, number: int, line: int, delimiters: Delimiters, findings: Findings) -> Segment | None:
    if len(raw) > LONGEST:
        findings.add(
            DefectCode.SEGMENT_INVALID,
            f"the segment is longer than {LONGEST} characters; is the segment end missing?",
            number=number,
            line=line,
            segment=_identifier(raw, delimiters),
        )
        return None
    elements = raw.split(delimiters.element)
    identifier = elements.pop(0)
    if not _SEGMENT_ID.match(identifier):
        message = "an empty segment" if not raw else "does not begin with a segment identifier"
        findings.add(DefectCode.SEGMENT_INVALID, message, number=number, line=line)
        return None
    if not raw.isprintable() and (wrong := _unprintable(delimiters).search(raw)):
        what = "a line end" if wrong.group() in "\r\n" else f"the unprintable character U+{ord(wrong.group()):04X}"
        hint = "; is the segment end missing?" if wrong.group() in "\r\n" else ""
        findings.add(
            DefectCode.CHARACTER_INVALID,
            f"{what} inside the segment{hint}",
            number=number,
            line=line,
            segment=identifier,
        )
        return None
    if identifier != "ISA" and " " in raw:
        elements = [element.rstrip(" ") for element in elements]
    structured = delimiters.component in raw or delimiters.repetition in raw
    return Segment(identifier, elements, number, line, delimiters, structured)


def _delimiters(text: str, at: int, number: int, line: int, findings: Findings) -> Delimiters:
    """Read the delimiters from the header; what cannot be relied on stops the reading."""
    header = text[at : at + ISA_LENGTH]
    if not header.startswith("ISA"):
        findings.stop(
            DefectCode.SEGMENT_INVALID, "the file does not begin with an interchange header", number=number, line=line
        )
    if len(header) < ISA_LENGTH:
        findings.stop(
            DefectCode.TRUNCATED,
            f"the interchange header has {len(header)} characters instead of {ISA_LENGTH}; the file is cut off",
            number=number,
            line=line,
        )
    separator = header[3]
    place = 4
    for index, width in enumerate(_ISA_WIDTHS, start=1):
        value = header[place : place + width]
        follows = header[place + width]
        if separator in value or (index < len(_ISA_WIDTHS) and follows != separator):
            findings.stop(
                DefectCode.ELEMENT_LENGTH,
                f"ISA{index:02} does not have its fixed width of {width}; the delimiters cannot be known",
                number=number,
                line=line,
            )
        place += width + 1
    delimiters = Delimiters(separator, header[104], header[82], header[105])
    characters = (delimiters.element, delimiters.component, delimiters.repetition, delimiters.terminator)
    if len(set(characters)) < 4 or any(character.isalnum() or character in " .-" for character in characters):
        findings.stop(
            DefectCode.DELIMITER_INVALID,
            "element, repetition and component separator and segment end must be four different characters, "
            "no letters, digits, blanks, points or hyphens",
            number=number,
            line=line,
        )
    return delimiters
