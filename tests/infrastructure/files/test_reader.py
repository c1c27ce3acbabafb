"""The door: the content decides the format, the bytes the identity, the limits what is read at all."""

from __future__ import annotations

import hashlib

import pytest

from application.files.bank import BankStatementFile
from application.files.defects import DefectCode
from application.files.enrolment import EnrolmentFile
from application.files.identity import FileFormat
from domain.errors import Refusal
from infrastructure.files.collecting import ReadingLimits
from infrastructure.files.reader import read_file
from tests.infrastructure.files.samples import EXCERPT, NAMES, defects, read, sample


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.rule("PLT-098")
def test_the_format_is_recognised_from_the_content_whatever_the_name(name: str) -> None:
    kinds = {
        ".834": FileFormat.X12_834,
        ".820": FileFormat.X12_820,
        ".bai2": FileFormat.BAI2,
        ".xml": FileFormat.CAMT_053,
    }
    if name in ("enroll-employee-managed-care.834", "group-life-premium.820"):
        assert DefectCode.FORMAT_UNKNOWN not in {item.code for item in defects(sample(name))}
    else:
        assert read_file("photo.png", sample(name), EXCERPT).identity.format is kinds[name[name.rindex(".") :]]


@pytest.mark.rule("ARO-021")
def test_a_file_is_identified_by_the_hash_of_its_bytes() -> None:
    content = sample("add-dependent.834")
    first = read_file("monday.834", content).identity
    again = read_file("tuesday.txt", content).identity
    other = read_file("monday.834", content + b"\n").identity
    assert first.sha256 == again.sha256 == hashlib.sha256(content).hexdigest()
    assert first.name == "monday.834"
    assert first.size == len(content)
    assert other.sha256 != first.sha256


def test_a_byte_order_mark_and_blank_lines_before_the_content_do_not_matter() -> None:
    plain = read(EnrolmentFile, sample("add-dependent.834")).transactions
    assert read(EnrolmentFile, b"\xef\xbb\xbf" + sample("add-dependent.834")).transactions == plain
    assert read(EnrolmentFile, b"\n \n" + sample("add-dependent.834")).transactions == plain
    marked = b"\xef\xbb\xbf" + sample("svb_us_example.bai2")
    assert len(read(BankStatementFile, marked).credits) == 2


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "latin-1"])
def test_names_with_accents_are_read_in_the_usual_character_sets(encoding: str) -> None:
    content = sample("add-dependent.834").decode().replace("DOE*JOHN", "MÜLLER*RENÉ").encode(encoding)
    name = read(EnrolmentFile, content).instructions[0].person.name
    assert (name.last, name.first) == ("MÜLLER", "RENÉ")


def test_xml_may_be_in_utf_16() -> None:
    text = sample("camt053.xml").decode()
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        mark = "\ufeff" if encoding != "utf-16" else ""
        assert len(read(BankStatementFile, (mark + text).encode(encoding), EXCERPT).credits) == 1


@pytest.mark.parametrize(
    "content", [b"", b"  \n", b"hello", b"PK\x03\x04", b"%PDF-1.7", b"a,b,c\n1,2,3\n", b"\x00" * 50]
)
@pytest.mark.rule("ARO-021")
def test_what_is_none_of_the_formats_is_an_unknown_format(content: bytes) -> None:
    found = defects(content)
    assert [(item.code, item.refusal_code) for item in found] == [(DefectCode.FORMAT_UNKNOWN, "FILE_FORMAT_UNKNOWN")]


@pytest.mark.rule("PLT-098")
def test_sizes_are_limited_by_kind_of_file() -> None:
    limits = ReadingLimits(max_bytes_other=600, max_bytes_bank=700)
    assert read(EnrolmentFile, sample("add-dependent.834"), limits).identity.size == 533
    too_large = defects(sample("enroll-employee-multiple-products.834"), limits)
    assert [(item.code, item.refusal_code) for item in too_large] == [(DefectCode.FILE_TOO_LARGE, "FILE_TOO_LARGE")]
    assert too_large[0].message == "the file has 616 bytes, allowed are 600"
    assert len(read(BankStatementFile, sample("svb_us_example.bai2"), limits).credits) == 2
    payments = {item.code for item in defects(sample("group-life-premium.820"), ReadingLimits(max_bytes_other=10))}
    assert DefectCode.FILE_TOO_LARGE not in payments, "a remittance file is one of the payments files"
    assert ReadingLimits().max_bytes_other == 20 * 1024 * 1024
    assert ReadingLimits().max_bytes_bank == 200 * 1024 * 1024


def test_a_refusal_is_one_of_the_rulebook_with_every_problem_placed() -> None:
    with pytest.raises(Refusal) as refused:
        read_file("x", sample("group-life-premium.820"))
    problems = refused.value.problems
    assert len(problems) == 10
    assert {problem.code for problem in problems} == {"FILE_REJECTED", "FILE_CONTROL_TOTAL_MISMATCH"}
    assert problems[-1].params == {
        "defect": "CONTROL_COUNT",
        "segment_number": 18,
        "line": 18,
        "segment": "SE",
        "element": "SE01",
    }
    assert problems[-1].entity == "file"
