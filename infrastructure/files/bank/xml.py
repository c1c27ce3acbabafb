"""Reading XML in pieces: each element of interest is handed over with its line as soon as it is complete.

A bank file may have hundreds of megabytes; a tree of it would need many times that. The parser is defusedxml's:
document type declarations, entities and external references are refused, not expanded. Names are local names; the
namespace of the root is asked of the caller before anything else is read.
"""

from __future__ import annotations

import xml.sax
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from xml.sax.handler import ContentHandler, feature_namespaces
from xml.sax.xmlreader import AttributesNSImpl, Locator

import defusedxml.sax  # type: ignore[import-untyped]
from defusedxml import DefusedXmlException

from application.files.defects import DefectCode
from infrastructure.files.collecting import Findings

_DEEPEST = 40


@dataclass(slots=True)
class Element:
    """An XML element: local name, line, attributes without namespace, text, children in order."""

    name: str
    line: int
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, path: str) -> Iterator[Element]:
        """All elements at a path of local names such as `Refs/EndToEndId`, in document order."""
        name, _, rest = path.partition("/")
        for child in self.children:
            if child.name == name:
                if rest:
                    yield from child.all(rest)
                else:
                    yield child

    def first(self, *paths: str) -> Element | None:
        """The first element at the first path that has one."""
        for path in paths:
            for element in self.all(path):
                return element
        return None

    def value(self, *paths: str) -> str:
        """The stripped text at the first path that has one; empty when there is none."""
        element = self.first(*paths)
        return element.text.strip() if element else ""


class XmlPieces(ContentHandler):
    """Builds the elements named in `whole` and hands each over; everything outside them is only counted."""

    def __init__(
        self,
        findings: Findings,
        accept_root: Callable[[str, str, int], None],
        whole: frozenset[str],
        begun: Callable[[str, int], None],
        take: Callable[[Element], None],
        ended: Callable[[str, int], None],
    ) -> None:
        super().__init__()
        self._findings = findings
        self._accept_root = accept_root
        self._whole = whole
        self._begun = begun
        self._take = take
        self._ended = ended
        self._stack: list[Element] = []
        self._text: list[str] = []
        self._depth = 0
        self._count = 0
        self._namespace: str | None = None
        self._where: Callable[[], int | None] = lambda: None

    def startElementNS(self, name: tuple[str | None, str], qname: str | None, attrs: AttributesNSImpl) -> None:
        """Open an element."""
        namespace, local = name
        line = self._line()
        self._depth += 1
        self._count += 1
        if self._depth == 1:
            self._accept_root(namespace or "", local, line)
            self._namespace = namespace
        if self._count > self._findings.limits.max_segments or self._depth > _DEEPEST:
            self._findings.stop(DefectCode.TOO_MANY_SEGMENTS, "too many or too deeply nested XML elements", line=line)
        if namespace != self._namespace:
            # Supplementary data may hold anything in a namespace of its own; its elements never match a path.
            local = f"?{local}"
        if self._stack or local in self._whole:
            element = Element(local, line)
            if len(attrs):
                element.attributes = {key: value for (space, key), value in attrs.items() if not space}
            if self._stack:
                self._stack[-1].children.append(element)
            self._stack.append(element)
            self._text.clear()
        else:
            self._begun(local, line)

    def characters(self, content: str) -> None:
        """Collect text."""
        if self._stack:
            self._text.append(content)

    def endElementNS(self, name: tuple[str | None, str], qname: str | None) -> None:
        """Close an element; hand it over when it is a whole one."""
        self._depth -= 1
        if not self._stack:
            self._ended(name[1], self._line())
            return
        element = self._stack.pop()
        if not element.children:
            element.text = "".join(self._text)
        self._text.clear()
        if not self._stack:
            self._take(element)

    def setDocumentLocator(self, locator: Locator) -> None:
        """Know where the parser is."""
        self._where = locator.getLineNumber

    def _line(self) -> int:
        return self._where() or 1


def parse(content: bytes, handler: XmlPieces, findings: Findings) -> None:
    """Parse the bytes; what is not well-formed or not allowed in XML is a defect. Raises ReadingStoppedError."""
    parser = defusedxml.sax.make_parser()
    parser.setFeature(feature_namespaces, True)
    parser.forbid_dtd = True
    parser.forbid_entities = True
    parser.forbid_external = True
    parser.setContentHandler(handler)
    try:
        parser.parse(BytesIO(content))
    except xml.sax.SAXParseException as error:
        line = error.getLineNumber() or 1
        findings.stop(DefectCode.XML_INVALID, f"not well-formed XML: {error.getMessage()}", line=line)
    except (xml.sax.SAXException, ValueError, LookupError) as error:
        # DefusedXmlException is a ValueError; LookupError and ValueError also come from unknown character sets.
        refused = isinstance(error, DefusedXmlException)
        reason = "document type or entity declarations are not allowed" if refused else "the XML cannot be decoded"
        findings.stop(DefectCode.XML_INVALID, reason, line=1)
