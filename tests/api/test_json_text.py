"""Hostile JSON is refused with every problem named, and no float comes out of any text."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.json_text import JsonInvalidError, parse_json


def problems_of(text: bytes | str) -> list[tuple[str | None, str]]:
    with pytest.raises(JsonInvalidError) as refused:
        parse_json(text if isinstance(text, bytes) else text.encode())
    assert {problem.code for problem in refused.value.problems} == {"REQUEST_INVALID"}
    return [(problem.pointer, problem.message) for problem in refused.value.problems]


@pytest.mark.parametrize("text", ["", "{", "[1,]", '{"a":1}{"b":2}', "{'a':1}", "\ufeff{}", "nul", '"\n"', "01", "-"])
def test_what_is_not_json_is_refused_with_line_and_column(text: str) -> None:
    ((pointer, message),) = problems_of(text)
    assert pointer == ""
    assert "line 1" in message or "line 2" in message


def test_text_that_is_not_utf8_is_refused() -> None:
    assert problems_of(b'{"a":"\xff\xfe"}') == [("", "the body is not UTF-8")]


def test_every_fraction_exponent_nan_and_infinity_is_refused_with_its_pointer() -> None:
    found = problems_of('{"a":1.5,"b":[1e3,NaN],"c":{"d":-Infinity,"e":100.00}}')
    assert [pointer for pointer, _ in found] == ["/a", "/b/0", "/b/1", "/c/d", "/c/e"]


def test_members_given_twice_are_refused_at_every_depth() -> None:
    found = problems_of('{"a":1,"a":2,"b":{"x/y":1,"x/y":1,"z":[{"q":0,"q":0}]}}')
    assert [pointer for pointer, _ in found] == ["/a", "/b/x~1y", "/b/z/0/q"]


def test_many_members_given_twice_cost_no_quadratic_time() -> None:
    text = "{" + ",".join(['"a":1', '"b":1'] * 100_000) + "}"
    began = time.perf_counter()
    assert [pointer for pointer, _ in problems_of(text)] == ["/a", "/b"]
    assert time.perf_counter() - began < 5


def test_numbers_beyond_64_bits_are_refused() -> None:
    assert parse_json(b"[9223372036854775807,-9223372036854775808,-0]") == [2**63 - 1, -(2**63), 0]
    found = problems_of("[9223372036854775808,-9223372036854775809," + "9" * 100_000 + "]")
    assert [pointer for pointer, _ in found] == ["/0", "/1", "/2"]


def test_characters_the_database_cannot_hold_are_refused() -> None:
    found = problems_of('{"a":"x\\u0000y","b":"\\ud800","c\\u0000":1,"ok":"\\ud83d\\ude00"}')
    assert [pointer for pointer, _ in found] == ["", "/a", "/b"]


def test_nesting_is_limited_and_does_not_exhaust_the_stack() -> None:
    assert parse_json(b"[" * 32 + b"]" * 32)
    for depth in (33, 500, 100_000):
        ((_, message),) = problems_of(b"[" * depth + b"]" * depth)
        assert "nested more than 32 deep" in message
    ((_, message),) = problems_of(b'{"a":' * 50_000 + b"1" + b"}" * 50_000)
    assert "nested more than 32 deep" in message


def test_at_most_a_hundred_problems_are_listed() -> None:
    assert len(problems_of("[" + ",".join(["0.1"] * 10_000) + "]")) == 100


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")), inner)
    ),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_every_other_value_is_read_as_it_was_written(value: object, escaped: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=escaped).encode(), 100) == value


@given(st.binary(max_size=200))
def test_no_bytes_whatever_raise_anything_else_or_yield_a_float(text: bytes) -> None:
    try:
        value = parse_json(text)
    except JsonInvalidError:
        return
    assert not isinstance(value, float)
