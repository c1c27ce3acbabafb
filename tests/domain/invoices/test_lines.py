"""Lines of an invoice in columns: what each of them counts is decided when they are cut into chunks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.invoices.lines import LineColumns, LinePart, LineTerms
from tests.domain.invoices.builders import CHARGE, FEBRUARY, WAIVER, only_chunk


@pytest.mark.rule("INV-007")
def test_a_charge_counts_itself_and_the_waiver_line_behind_it() -> None:
    chunk = only_chunk(("MR-1", CHARGE, 10000), ("MR-1", WAIVER, -6000), ("MR-2", CHARGE, 5000))
    assert chunk.amounts == (10000, -6000, 5000)
    assert chunk.nets() == (4000, 0, 5000)


@pytest.mark.rule("INV-007")
@pytest.mark.parametrize(
    "waiver",
    [
        ("MR-2", WAIVER, -6000),
        ("MR-1", replace(WAIVER, coverage="STD"), -6000),
        ("MR-1", replace(WAIVER, modal_start=FEBRUARY), -6000),
        ("MR-1", replace(WAIVER, location="L-2"), -6000),
    ],
)
def test_a_waiver_line_of_another_key_counts_for_itself(waiver: tuple[str, LineTerms, int]) -> None:
    assert only_chunk(("MR-1", CHARGE, 10000), waiver).nets() == (10000, -6000)


def test_a_waiver_line_counts_with_one_charge_only() -> None:
    chunk = only_chunk(("MR-1", CHARGE, 10000), ("MR-1", WAIVER, -6000), ("MR-1", WAIVER, -1000))
    assert chunk.nets() == (4000, 0, -1000)


def test_lines_without_waiver_count_their_amounts_and_carry_no_second_column() -> None:
    chunk = only_chunk(("MR-1", CHARGE, 10000), ("MR-2", CHARGE, -5000))
    assert (chunk.counted, chunk.nets()) == ((), (10000, -5000))


@pytest.mark.rule("INV-007")
def test_what_a_line_counts_is_read_from_the_chunk_and_not_worked_out_again() -> None:
    decided = only_chunk(("MR-1", CHARGE, 10000), ("MR-1", WAIVER, -6000))
    stored_under_another_rule = replace(decided, counted=(10000, -6000))
    assert stored_under_another_rule.nets() == (10000, -6000)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 9999), st.integers(-9999, 9999)), min_size=1, max_size=30), st.integers(1, 7))
def test_a_cut_never_parts_a_waiver_from_its_charge_and_no_cent_is_lost(
    pairs: list[tuple[int, int]], size: int
) -> None:
    collected = LineColumns()
    for number, (charge, waiver) in enumerate(pairs):
        collected.add(f"MR-{number}", CHARGE, charge)
        if waiver:
            collected.add(f"MR-{number}", WAIVER, waiver)
    chunks = list(collected.chunks(size))
    nets = [net for chunk in chunks for net in chunk.nets()]
    parts = [chunk.terms[term].part for chunk in chunks for term in chunk.term]
    assert [net for net, part in zip(nets, parts, strict=True) if part is LinePart.CHARGE] == [a + b for a, b in pairs]
    assert all(net == 0 for net, part in zip(nets, parts, strict=True) if part is LinePart.WAIVER)
    assert [chunk.first_line for chunk in chunks] == [
        1 + sum(len(before) for before in chunks[:index]) for index in range(len(chunks))
    ]
