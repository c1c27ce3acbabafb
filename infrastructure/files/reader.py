"""The door for partner files: recognise the format from the content, read it whole, or refuse it with every defect.

The name of a file says nothing about it; it is kept for people. Who it is, is the SHA-256 of its bytes: the caller
keeps the hashes it has taken and answers a known one with its first result (ARO-021). Whatever the bytes are,
`read_file` returns a content or raises `FileRefused`, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from application.files.bank import BankStatementFile
from application.files.content import FileContent
from application.files.defects import DefectCode
from application.files.enrolment import EnrolmentFile
from application.files.identity import FileFormat, FileIdentity, sha256_of
from application.files.remittance import RemittanceFile
from infrastructure.files.bank.bai2 import read_bai2
from infrastructure.files.bank.camt import read_camt
from infrastructure.files.collecting import Findings, ReadingLimits, ReadingStoppedError
from infrastructure.files.text import decode
from infrastructure.files.x12.interchange import read_interchange

#: The functional identifier of the first group, looked for in the first kilobytes only: BE is an enrolment file.
_ENROLMENT = re.compile(rb"GS[^A-Za-z0-9\s]BE[^A-Za-z0-9]")
_XML = (b"<", b"\xef\xbb\xbf<", b"\xff\xfe<", b"\xfe\xff\x00<")

DEFAULT_LIMITS = ReadingLimits()


def read_file(name: str, content: bytes, limits: ReadingLimits = DEFAULT_LIMITS) -> FileContent:
    """Read an X12 834 or 820, BAI2, camt.053 or camt.054 file.

    Raises FileRefused with every defect found: unknown format, size, characters, delimiters, structure, values, control
    numbers, counts and totals. Nothing of a refused file may be used.
    """
    findings = Findings(limits)
    result: FileContent | None = None
    try:
        result = _reader_of(content, findings)(name, content, findings)
    except ReadingStoppedError:
        if not findings.defects:
            raise
    findings.refuse_if_any(name)
    if result is None:
        raise AssertionError("a file without defects has a content")
    return result


def _reader_of(content: bytes, findings: Findings) -> Callable[[str, bytes, Findings], FileContent | None]:
    """The reader by content, after the size has been looked at. Raises ReadingStoppedError."""
    limits = findings.limits
    beginning = content[:4096].lstrip()
    enrolment = beginning.startswith(b"ISA") and _ENROLMENT.search(beginning) is not None
    allowed = limits.max_bytes_other if enrolment else limits.max_bytes_bank
    if len(content) > allowed:
        findings.stop(DefectCode.FILE_TOO_LARGE, f"the file has {len(content)} bytes, allowed are {allowed}")
    if not beginning:
        findings.stop(DefectCode.FORMAT_UNKNOWN, "the file is empty")
    if beginning.removeprefix(b"\xef\xbb\xbf").startswith(b"ISA"):
        return _read_x12
    if beginning.startswith(_XML):
        return _read_camt
    if beginning.removeprefix(b"\xef\xbb\xbf").startswith(b"01,"):
        return _read_bai2
    return _read_nothing


def _read_nothing(name: str, content: bytes, findings: Findings) -> FileContent | None:
    findings.add(
        DefectCode.FORMAT_UNKNOWN, "neither X12 (begins with ISA), nor BAI2 (begins with 01,), nor XML", line=1
    )
    return None


def _identity(name: str, content: bytes, kind: FileFormat, version: str) -> FileIdentity:
    return FileIdentity(name, sha256_of(content), len(content), kind, version)


def _read_x12(name: str, content: bytes, findings: Findings) -> EnrolmentFile | RemittanceFile | None:
    found = read_interchange(decode(content), findings)
    if findings.defects:
        return None
    if found.enrolment:
        version = found.enrolment[0].envelope.version
        identity = _identity(name, content, FileFormat.X12_834, version)
        return EnrolmentFile(identity, tuple(found.enrolment), tuple(findings.remarks))
    version = found.remittance[0].envelope.version
    identity = _identity(name, content, FileFormat.X12_820, version)
    return RemittanceFile(identity, tuple(found.remittance), tuple(findings.remarks))


def _read_bai2(name: str, content: bytes, findings: Findings) -> BankStatementFile | None:
    parsed = read_bai2(decode(content), findings)
    if parsed is None or findings.defects:
        return None
    return BankStatementFile(
        _identity(name, content, FileFormat.BAI2, "2"),
        parsed.sender,
        parsed.reference,
        parsed.created_on,
        parsed.statements,
        tuple(findings.remarks),
    )


def _read_camt(name: str, content: bytes, findings: Findings) -> BankStatementFile | None:
    parsed = read_camt(content, findings)
    if parsed is None or findings.defects:
        return None
    return BankStatementFile(
        _identity(name, content, parsed.format, parsed.version),
        parsed.sender,
        parsed.reference,
        parsed.created_on,
        parsed.statements,
        tuple(findings.remarks),
    )
