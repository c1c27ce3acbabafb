"""Delimiters, envelope, control numbers and counts: each kind of damage is named where it is."""

from __future__ import annotations

import pytest

from application.files.defects import DefectCode
from application.files.enrolment import EnrolmentFile
from infrastructure.files.collecting import ReadingLimits
from tests.infrastructure.files.samples import defects, edited, places, read, sample

NAME = "add-dependent.834"
OTHER = "group-life-premium.820"


def body(name: str = NAME) -> str:
    """The sample from its first group on, without the interchange's header and trailer."""
    text = sample(name).decode()
    return text[text.index("GS*") : text.index("IEA*")]


def header(name: str = NAME) -> str:
    text = sample(name).decode()
    return text[: text.index("GS*")]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("SE*15*0001", "SE*14*0001", (DefectCode.CONTROL_COUNT, 17, 17, "SE01")),
        ("SE*15*0001", "SE*15*0002", (DefectCode.CONTROL_NUMBER, 17, 17, "SE02")),
        ("SE*15*0001", "SE*X*0001", (DefectCode.NUMBER_INVALID, 17, 17, "SE01")),
        ("GE*1*20213", "GE*2*20213", (DefectCode.CONTROL_COUNT, 18, 18, "GE01")),
        ("GE*1*20213", "GE*1*20214", (DefectCode.CONTROL_NUMBER, 18, 18, "GE02")),
        ("IEA*1*000010216", "IEA*0*000010216", (DefectCode.CONTROL_COUNT, 19, 19, "IEA01")),
        ("IEA*1*000010216", "IEA*1*000010217", (DefectCode.CONTROL_NUMBER, 19, 19, "IEA02")),
        ("~\nIEA*1*000010216~", "~\n", (DefectCode.SEGMENT_MISSING, 18, 18, "GE")),
        ("GE*1*20213~\n", "", (DefectCode.SEGMENT_MISSING, 18, 18, "IEA")),
        ("SE*15*0001~\n", "", (DefectCode.SEGMENT_MISSING, 17, 17, "GE")),
        ("*080503*1705*>", "*081503*1705*>", (DefectCode.DATE_INVALID, 1, 1, "ISA09")),
        ("*080503*1705*>", "*080503*2561*>", (DefectCode.TIME_INVALID, 1, 1, "ISA10")),
        ("*000010216*0*T*", "*00001021X*0*T*", (DefectCode.NUMBER_INVALID, 1, 1, "ISA13")),
        ("*000010216*0*T*", "*000010216*2*T*", (DefectCode.CODE_UNKNOWN, 1, 1, "ISA14")),
        ("*000010216*0*T*", "*000010216*0*Q*", (DefectCode.CODE_UNKNOWN, 1, 1, "ISA15")),
        ("*>*00501*", "*>*00401*", (DefectCode.VERSION_UNKNOWN, 1, 1, "ISA12")),
        ("X*005010X220A1~", "X*004010X095A1~", (DefectCode.VERSION_UNKNOWN, 3, 3, "GS08")),
        ("GS*BE*", "GS*RA*", (DefectCode.CODE_UNKNOWN, 3, 3, "GS01")),
        ("*20080503*1705*20213*", "*20080532*1705*20213*", (DefectCode.DATE_INVALID, 2, 2, "GS04")),
        ("ST*834*0001*005010X220A1", "ST*834*0001*005010X218", (DefectCode.CODE_UNKNOWN, 3, 3, "ST03")),
        ("ST*834*0001*005010X220A1", "ST*834*0001", (DefectCode.ELEMENT_MISSING, 3, 3, "ST03")),
        ("ST*834*0001", "ST*837*0001", (DefectCode.FORMAT_UNKNOWN, 3, 3, "ST01")),
    ],
)
@pytest.mark.rule("ARO-021")
def test_damage_to_the_envelope_is_named_by_segment_line_and_element(
    old: str, new: str, expected: tuple[DefectCode, int, int, str]
) -> None:
    assert expected in places(defects(edited(NAME, (old, new))))


def test_a_wrong_count_is_the_only_defect_of_an_otherwise_good_file() -> None:
    found = defects(edited(NAME, ("SE*15*", "SE*16*")))
    assert places(found) == [(DefectCode.CONTROL_COUNT, 17, 17, "SE01")]
    assert (
        str(found[0]) == "line 17, segment 17 (SE01): SE01 says 16 segments from ST to SE, counted 15 [CONTROL_COUNT]"
    )


def test_every_defect_of_a_file_is_named_in_file_order() -> None:
    found = defects(
        edited(
            NAME,
            ("INS*N*19*021*", "INS*X*19*029*"),
            ("DTP*351*D8*19980515", "DTP*351*D8*19980230"),
            ("HD*021**HLT", "HD*021**QQQ"),
            ("SE*15*", "SE*99*"),
            ("GE*1*", "GE*7*"),
        )
    )
    assert places(found) == [
        (DefectCode.CODE_UNKNOWN, 8, 8, "INS01"),
        (DefectCode.CODE_UNKNOWN, 8, 8, "INS03"),
        (DefectCode.DATE_INVALID, 11, 11, "DTP03"),
        (DefectCode.CODE_UNKNOWN, 15, 15, "HD03"),
        (DefectCode.CONTROL_COUNT, 17, 17, "SE01"),
        (DefectCode.CONTROL_COUNT, 18, 18, "GE01"),
    ]


def test_a_file_without_line_ends_reads_the_same_and_all_segments_lie_in_line_one() -> None:
    flat = sample(NAME).replace(b"\n", b"")
    assert read(EnrolmentFile, flat).transactions == read(EnrolmentFile, sample(NAME)).transactions
    assert places(defects(flat.replace(b"SE*15", b"SE*12"))) == [(DefectCode.CONTROL_COUNT, 17, 1, "SE01")]


@pytest.mark.parametrize("line_end", ["\r\n", " \n", "\n\n", "\t"])
def test_line_ends_and_blanks_behind_a_segment_end_do_not_matter(line_end: str) -> None:
    changed = sample(NAME).decode().replace("\n", line_end).encode()
    assert read(EnrolmentFile, changed).transactions == read(EnrolmentFile, sample(NAME)).transactions


@pytest.mark.parametrize("delimiters", ["|:^~", "*>^\n", "+<!'", "\x1d\x1f\x1e\x1c", "~:^*"])
def test_the_delimiters_are_those_of_the_header(delimiters: str) -> None:
    element, component, repetition, terminator = delimiters
    text = sample(NAME).decode().replace("\n", "")
    table = str.maketrans({"*": element, ":": component, ">": repetition, "~": terminator})
    assert read(EnrolmentFile, text.translate(table).encode()).transactions == (
        read(EnrolmentFile, sample(NAME)).transactions
    )


def test_a_segment_end_that_is_a_line_end_counts_its_lines() -> None:
    text = sample(NAME).decode().replace("~\n", "~").replace("~", "\n").replace("SE*15", "SE*11")
    assert places(defects(text.encode())) == [(DefectCode.CONTROL_COUNT, 17, 17, "SE01")]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("ISA*00*          *", "ISA*00*         *", DefectCode.ELEMENT_LENGTH),
        ("123456789012345*ZZ*123456789012346", "12345678901234*ZZ*123456789012346", DefectCode.ELEMENT_LENGTH),
        ("*T*:~", "*T*A~", DefectCode.DELIMITER_INVALID),
        ("*T*:~", "*T*>~", DefectCode.DELIMITER_INVALID),
        ("*>*00501", "*U*00501", DefectCode.DELIMITER_INVALID),
    ],
)
def test_a_header_that_does_not_give_the_delimiters_is_the_one_defect(old: str, new: str, code: DefectCode) -> None:
    found = defects(edited(NAME, (old, new)))
    assert [(item.code, item.line) for item in found] == [(code, 1)]


def test_a_lost_segment_end_is_named_where_it_was() -> None:
    found = defects(edited(NAME, ("REF*38*ABCD012354~\n", "REF*38*ABCD012354\n")))
    assert (DefectCode.CHARACTER_INVALID, 5, 5, "REF") in places(found)
    assert any("is the segment end missing?" in item.message for item in found)


def test_an_empty_segment_and_a_nameless_one_are_named() -> None:
    found = defects(edited(NAME, ("REF*38*ABCD012354~", "~*38*ABCD012354~")))
    assert places(found)[:2] == [(DefectCode.SEGMENT_INVALID, 5, 5, None), (DefectCode.SEGMENT_INVALID, 6, 5, None)]


def test_a_separator_inside_a_simple_element_is_a_defect_not_a_value() -> None:
    found = defects(edited(NAME, ("REF*1L*123456001", "REF*1L*123:456001")))
    assert places(found) == [(DefectCode.DELIMITER_INVALID, 10, 10, "REF02")]


def test_several_interchanges_groups_and_sets_are_read_in_order() -> None:
    second = header().replace("000010216", "000010217") + body() + "IEA*1*000010217~"
    third_group = body().replace("20213", "20214")
    first = header() + body() + third_group + "IEA*2*000010216~"
    content = read(EnrolmentFile, (first + second).encode())
    assert [
        (item.envelope.interchange_control_number, item.envelope.group_control_number) for item in content.transactions
    ] == [("000010216", "20213"), ("000010216", "20214"), ("000010217", "20213")]


@pytest.mark.rule("ARO-021")
def test_a_set_sent_twice_under_one_control_number_is_refused() -> None:
    text = body()
    doubled = text[: text.index("GE*")] + text[text.index("ST*") : text.index("GE*")] + "GE*2*20213~\n"
    found = defects((header() + doubled + "IEA*1*000010216~").encode())
    assert places(found) == [(DefectCode.CONTROL_NUMBER, 18, 18, "ST02")]


@pytest.mark.rule("ARO-021")
def test_an_interchange_sent_twice_in_one_file_is_refused() -> None:
    whole = sample(NAME) + b"\n"
    assert places(defects(whole + whole)) == [(DefectCode.CONTROL_NUMBER, 20, 20, "ISA13")]


def test_enrolment_and_remittance_in_one_file_are_refused() -> None:
    found = defects(sample(NAME) + b"\n" + sample(OTHER))
    assert (DefectCode.FORMAT_UNKNOWN, 22, 22, "ST01") in places(found)


def test_a_segment_between_the_sets_has_no_place() -> None:
    found = defects(edited(NAME, ("GE*1*20213", "REF*38*X1~\nGE*1*20213")))
    assert places(found) == [(DefectCode.SEGMENT_UNEXPECTED, 18, 18, "REF")]


def test_an_acknowledgement_in_the_interchange_is_no_defect() -> None:
    content = edited(NAME, ("T*:~\n", "T*:~\nTA1*000010200*080502*1200*A*000~\n"))
    assert len(read(EnrolmentFile, content).instructions) == 1


def test_reading_stops_at_the_limit_of_segments_and_of_defects() -> None:
    assert [item.code for item in defects(sample(NAME), ReadingLimits(max_segments=10))][-1] is (
        DefectCode.TOO_MANY_SEGMENTS
    )
    many = edited(NAME, ("HD*021**HLT~", "HD*021**HLT~\n" + "QQ*1~\n" * 50))
    found = defects(many, ReadingLimits(max_defects=20))
    assert len(found) == 21
    assert found[-1].code is DefectCode.TOO_MANY_DEFECTS


def test_a_segment_of_absurd_length_is_named_and_not_taken_apart() -> None:
    found = defects(edited(NAME, ("REF*38*ABCD012354", "REF*38*ABCD012354" + "*" * 10_000)))
    assert places(found) == [(DefectCode.SEGMENT_INVALID, 5, 5, "REF")]
