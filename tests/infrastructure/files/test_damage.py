"""Whatever is done to a file, it is read or refused with its defects: no other exception, no money changed unseen."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from application.files.content import FileContent
from application.files.defects import FileRefused
from infrastructure.files.reader import read_file
from tests.infrastructure.files.samples import EXCERPT, NAMES, edited, sample
from tests.infrastructure.files.test_sample_remittance_file import PUT_RIGHT

SAMPLES = {name: sample(name) for name in NAMES}
SAMPLES["group-life-premium.820"] = edited("group-life-premium.820", *PUT_RIGHT)
#: The samples that are read as they stand.
GOOD = tuple(name for name in NAMES if name != "enroll-employee-managed-care.834")
#: The formats that count their lines; XML does not, there balances and summaries stand guard.
COUNTED = tuple(name for name in NAMES if not name.endswith(".xml"))
DELIMITERS = b'*~:^>\\,/<>"= \n\r|'


def outcome(content: bytes) -> FileContent | FileRefused:
    """The content or the refusal; any other exception fails the test."""
    try:
        return read_file("damaged", content, EXCERPT)
    except FileRefused as refused:
        return refused


def taken(content: bytes) -> bool:
    """Whether the content is read; a refusal must say where and why."""
    found = outcome(content)
    if not isinstance(found, FileRefused):
        return True
    lines = content.count(b"\n") + content.count(b"\r") + 1
    assert found.defects
    for defect in found.defects:
        assert defect.message
        assert defect.line is None or 1 <= defect.line <= lines
        assert str(defect)
    return False


def test_the_samples_themselves_are_taken_but_one() -> None:
    assert tuple(name for name, content in SAMPLES.items() if taken(content)) == GOOD


@pytest.mark.parametrize("name", NAMES)
def test_a_file_cut_off_anywhere_is_refused(name: str) -> None:
    whole = SAMPLES[name]
    end = len(whole.rstrip(b"\n\r /" if name.endswith(".bai2") else b"\n\r "))
    step = 1 if len(whole) < 2_000 else 17
    survivors = [cut for cut in range(0, end, step) if taken(whole[:cut])]
    assert survivors == []


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.rule("ARO-021")
def test_a_file_that_lost_one_line_is_refused(name: str) -> None:
    lines = SAMPLES[name].splitlines(keepends=True)
    assert [line for index, line in enumerate(lines) if taken(b"".join(lines[:index] + lines[index + 1 :]))] == []


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.rule("ARO-021")
def test_a_file_with_one_line_doubled_is_refused(name: str) -> None:
    lines = SAMPLES[name].splitlines()
    assert [line for index, line in enumerate(lines) if taken(b"\n".join([*lines[:index], line, *lines[index:]]))] == []


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("svb_us_example.bai2", rb"16,142,(\d+)"),
        ("svb_us_example.bai2", rb"(?m)^(?:49|98|99),(\d+,\d+)"),
        ("svb_us_example.bai2", rb"010,(\d+)"),
        ("citi_example.bai2", rb"16,191,(\d+)"),
        ("group-life-premium.820", rb"BPR\*C\*([\d.]+)"),
        ("group-life-premium.820", rb"RMR\*IV\*INV-2025-02-001\*\*([\d.]+)"),
        ("group-life-premium.820", rb"SE\*(\d+\*\d+)"),
        ("add-dependent.834", rb"(?:GE|IEA)\*(\d+\*\d+)"),
    ],
)
@pytest.mark.rule("ARO-021")
def test_no_single_digit_of_a_controlled_figure_changes_unseen(name: str, figure: bytes) -> None:
    whole = SAMPLES[name]
    places = [place for match in re.finditer(figure, whole) for place in range(match.start(1), match.end(1))]
    assert places
    for place in places:
        for digit in b"0123456789":
            if whole[place] == digit or whole[place : place + 1] in b".,*":
                continue
            changed = bytearray(whole)
            changed[place] = digit
            assert not taken(bytes(changed)), changed[place - 20 : place + 20]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A sample with a few bytes corrupted, inserted, deleted, repeated, or its delimiters exchanged."""
    content = bytearray(SAMPLES[draw(st.sampled_from(NAMES))])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        kind = draw(st.sampled_from(["corrupt", "insert", "delete", "repeat", "exchange"]))
        if kind == "corrupt" and content:
            content[at] = draw(st.integers(0, 255))
        elif kind == "insert":
            content[at:at] = draw(
                st.binary(min_size=1, max_size=6) | st.sampled_from([b"~", b"*", b",", b"/", b"<", b"\n"])
            )
        elif kind == "delete":
            del content[at : at + draw(st.integers(1, 60))]
        elif kind == "repeat":
            content[at:at] = content[at : at + draw(st.integers(1, 120))]
        elif kind == "exchange":
            one, two = draw(st.sampled_from(DELIMITERS)), draw(st.sampled_from(DELIMITERS))
            content = bytearray(bytes(content).translate(bytes.maketrans(bytes([one, two]), bytes([two, one]))))
    return bytes(content)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damaged())
def test_damage_never_raises_anything_but_a_refusal(content: bytes) -> None:
    taken(content)


_BEGINNINGS = [
    b"",
    b"ISA*",
    SAMPLES["add-dependent.834"][:106],
    b"01,S,R,250301,,1,,,2/\n02,R,S,1,250301,,,/\n03,1,,",
    b"<",
    b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02">',
    b"\xff\xfe<\x00",
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(_BEGINNINGS), st.binary(max_size=200))
@example(b"01,", b"")
@example(SAMPLES["add-dependent.834"][:106], b"GS~GE~ST~SE~INS~IEA~")
@example(b"01,S,R,250301,,1,,,2/\n", b"16,/\n88,/\n49,/\n98,/\n99,/")
def test_random_bytes_never_raise_anything_but_a_refusal(beginning: bytes, rest: bytes) -> None:
    taken(beginning + rest)


_X12 = st.text(alphabet="0129AZ*~:^. -\n", max_size=30)
_SEGMENTS = [
    "GS",
    "GE",
    "ST",
    "SE",
    "IEA",
    "BGN",
    "INS",
    "REF",
    "DTP",
    "NM1",
    "DMG",
    "HD",
    "AMT",
    "BPR",
    "RMR",
    "ENT",
    "TA1",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(_SEGMENTS), _X12), max_size=25))
def test_random_segments_in_random_order_never_raise_anything_but_a_refusal(rows: list[tuple[str, str]]) -> None:
    body = "".join(f"{name}*{rest}~" for name, rest in rows)
    taken(SAMPLES["add-dependent.834"][:106] + body.encode())


_BAI2 = st.text(alphabet="0129ZVSD,/-+A \n", max_size=30)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["01", "02", "03", "16", "49", "88", "98", "99"]), _BAI2), max_size=25))
def test_random_records_in_random_order_never_raise_anything_but_a_refusal(rows: list[tuple[str, str]]) -> None:
    taken("\n".join(["01,S,R,250301,,1,,,2/", *(f"{code},{rest}" for code, rest in rows)]).encode())
