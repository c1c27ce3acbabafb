"""The grammar of a transaction set, as data, and the walk that finds each segment's place in it.

An implementation guide says which segments follow each other, in which loops, how often, and which code values each
element may have. Here a guide is a tree of `Loop`s and `Use`s; positions (`at`) only rise inside a loop, equal
positions may come in any order. The walk looks for a segment's place in the innermost open loop first, then outwards,
never back:

    INS ─┬─ REF DTP            a second INS closes everything below and opens the next member
         ├─ NM1 ── N3 N4 DMG
         └─ HD ─── DTP AMT REF ── LX ── NM1

It checks each element by the dictionary and the guide's codes, each loop for what must be there, and hands every loop
marked `handed_over` to its reader as soon as it is complete, so that a file of any length needs the memory of one
member. A loop in which a defect was found is handed over as not `clean`: its contents must not be read as values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from application.files.defects import DefectCode
from infrastructure.files.collecting import Findings
from infrastructure.files.x12.checking import AgreedCodes, Checks, Use
from infrastructure.files.x12.elements import LAYOUTS
from infrastructure.files.x12.segments import Segment

UNLIMITED = 1 << 30


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """A loop: its first part is the segment that opens it. `at` is its position in the loop around it."""

    name: str
    at: int
    parts: tuple[Use | Loop, ...]
    most: int = 1
    needed: bool = False
    handed_over: bool = False

    @property
    def head(self) -> Use:
        """The segment use that opens the loop."""
        first = self.parts[0]
        if not isinstance(first, Use):
            raise TypeError(f"loop {self.name} does not begin with a segment")
        return first


class Node:
    """One occurrence of a loop in a file: its segments with their uses, and the loops inside it."""

    __slots__ = ("at", "children", "clean", "counts", "found_before", "loop", "segments")

    def __init__(self, loop: _CompiledLoop, found_before: int) -> None:
        self.loop = loop
        self.at = 0
        self.segments: list[tuple[Use, Segment]] = []
        self.children: list[Node] = []
        self.counts: dict[int, int] = {}
        self.found_before = found_before
        self.clean = True

    @property
    def name(self) -> str:
        return self.loop.name

    @property
    def head(self) -> Segment:
        """The segment that opened the loop."""
        return self.segments[0][1]

    def all(self, identifier: str, *qualifiers: str) -> list[Segment]:
        """The loop's own segments of this kind, in order; with qualifiers, those whose first element is one of them."""
        return [
            segment
            for _, segment in self.segments
            if segment.id == identifier and (not qualifiers or segment.get(1) in qualifiers)
        ]

    def first(self, identifier: str, *qualifiers: str) -> Segment | None:
        """The first such segment, or None."""
        for _, segment in self.segments:
            if segment.id == identifier and (not qualifiers or segment.get(1) in qualifiers):
                return segment
        return None

    def loops(self, *names: str) -> Iterator[Node]:
        """The loops directly inside, by name, in order."""
        return (child for child in self.children if child.name in names)


class _CompiledUse:
    """A part of a loop with its checks worked out; `loop` when the part is a loop."""

    __slots__ = ("at", "checks", "index", "key", "keys", "loop", "most", "needed", "use")

    def __init__(self, part: Use | Loop, index: int, agreed: AgreedCodes) -> None:
        self.loop = _CompiledLoop(part, agreed) if isinstance(part, Loop) else None
        self.use = part.head if isinstance(part, Loop) else part
        self.index = index
        self.at = part.at
        self.most = part.most
        self.needed = part.needed
        self.checks = Checks(self.use, agreed)
        self.key = self.use.key
        self.keys = (self.checks.rules[self.key - 1].codes or frozenset()) if self.key else frozenset()

    @property
    def name(self) -> str:
        return self.use.name


class _CompiledLoop:
    """A loop with its parts by segment identifier."""

    __slots__ = ("by_segment", "handed_over", "name", "parts")

    def __init__(self, loop: Loop, agreed: AgreedCodes) -> None:
        self.name = loop.name
        self.handed_over = loop.handed_over
        self.parts = tuple(_CompiledUse(part, index, agreed) for index, part in enumerate(loop.parts[1:], start=1))
        self.by_segment: dict[str, list[_CompiledUse]] = {}
        for part in self.parts:
            self.by_segment.setdefault(part.use.segment, []).append(part)


class Guide:
    """A grammar ready to walk: the loops of one transaction set, from its ST to its SE."""

    def __init__(self, root: Loop, agreed: AgreedCodes | None = None) -> None:
        self.root = _CompiledUse(root, 0, agreed or {})

    def walk(self, opening: Segment, findings: Findings, hand_over: Callable[[Node], None]) -> Walk:
        """Begin a transaction set at its first segment."""
        return Walk(self.root, opening, findings, hand_over)


class Walk:
    """One pass through a transaction set."""

    def __init__(
        self, root: _CompiledUse, opening: Segment, findings: Findings, hand_over: Callable[[Node], None]
    ) -> None:
        self._findings = findings
        self._hand_over = hand_over
        self._lost = False
        self._stack: list[Node] = []
        self._open(root, opening)

    def feed(self, segment: Segment) -> None:
        """Put the next segment in its place, or say that it has none."""
        if self._place(segment):
            self._lost = False
        elif not self._lost:
            self._complain(segment)

    def finish(self) -> Node:
        """End the transaction set: close every open loop and return the outermost one (not handed over)."""
        while len(self._stack) > 1:
            self._close()
        root = self._stack.pop()
        self._settle(root)
        return root

    def _place(self, segment: Segment) -> bool:
        stack = self._stack
        for depth in range(len(stack) - 1, -1, -1):
            node = stack[depth]
            for part in node.loop.by_segment.get(segment.id, ()):
                if part.at < node.at or (part.key and segment.get(part.key) not in part.keys):
                    continue
                while len(stack) > depth + 1:
                    self._close()
                node.at = part.at
                count = node.counts[part.index] = node.counts.get(part.index, 0) + 1
                if count == part.most + 1:
                    self._add(
                        DefectCode.SEGMENT_REPEATED, segment, f"{part.name}: more often than allowed ({part.most})"
                    )
                if part.loop is None:
                    node.segments.append((part.use, segment))
                    part.checks.check(segment, self._findings)
                else:
                    self._open(part, segment)
                return True
        return False

    def _open(self, part: _CompiledUse, segment: Segment) -> None:
        if part.loop is None:
            raise TypeError(f"{part.name} is no loop")
        node = Node(part.loop, self._findings.count)
        node.segments.append((part.use, segment))
        self._stack.append(node)
        part.checks.check(segment, self._findings)

    def _close(self) -> None:
        node = self._stack.pop()
        self._settle(node)
        if node.loop.handed_over:
            self._hand_over(node)
        else:
            self._stack[-1].children.append(node)

    def _settle(self, node: Node) -> None:
        """Name what the loop lacks; know whether it is clean."""
        for part in node.loop.parts:
            if part.needed and part.index not in node.counts:
                self._add(
                    DefectCode.SEGMENT_MISSING,
                    node.head,
                    f"{part.use.segment} ({part.name}) is missing in the loop that begins here",
                )
        node.clean = self._findings.count == node.found_before

    def _complain(self, segment: Segment) -> None:
        """Say why a segment has no place: an unknown code where the segment itself would be right, or out of order."""
        near = [
            part
            for node in reversed(self._stack)
            for part in node.loop.by_segment.get(segment.id, ())
            if part.at >= node.at and part.key
        ]
        if near:
            checks, key = near[0].checks, near[0].key
            allowed = sorted({code for part in near if part.key == key for code in part.keys})
            checks.code_unknown(segment, checks.rules[key - 1], segment.get(key), allowed, self._findings)
            self._lost = any(part.loop for part in near)
        else:
            known = segment.id in LAYOUTS
            reason = "out of order, or not part of this loop" if known else "not part of this transaction set"
            self._add(DefectCode.SEGMENT_UNEXPECTED, segment, f"{segment.id} is not expected here: {reason}")

    def _add(self, code: DefectCode, segment: Segment, message: str, element: str | None = None) -> None:
        self._findings.add(code, message, number=segment.number, line=segment.line, segment=segment.id, element=element)
