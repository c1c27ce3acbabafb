"""Modal periods: one anchor, cut by modality changes and by the expiration."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.calendar.frequency import Frequency
from domain.calendar.periods import InvoicingGrid, ModalGrid, ModalPeriod, modal_anchor, period_at
from tests.domain.calendar.builders import LAW, ONE_DAY, D

FREQUENCIES = st.sampled_from(Frequency)


def modal(anchor: str, *modalities: tuple[str, Frequency], expiration: str | None = None) -> ModalGrid:
    return ModalGrid(
        D(anchor),
        tuple((D(day), modality) for day, modality in modalities),
        D(expiration) if expiration else None,
    )


def shown(grid: ModalGrid, first: str, end: str) -> list[str]:
    return [f"{item.start}..{item.to}{'*' if item.partial else ''}" for item in grid.periods_between(D(first), D(end))]


@pytest.mark.rule("CAL-101")
@pytest.mark.parametrize("modality", list(Frequency))
def test_every_frequency_is_a_modality_with_the_boundaries_of_invoicing(modality: Frequency) -> None:
    grid = modal("2024-01-31", ("2024-01-31", modality))
    for day in (D("2024-01-31"), D("2024-12-31"), D("2027-03-01")):
        found = grid.period_at(day)
        assert found is not None
        assert (found.start, found.end) == (
            period_at(D("2024-01-31"), modality, day).start,
            period_at(D("2024-01-31"), modality, day).end,
        )
        assert not found.partial
        assert found.modality is modality


@pytest.mark.rule("CAL-104", "CAL-E25")
def test_a_change_on_a_start_of_the_new_grid_cuts_the_old_side_only() -> None:
    grid = modal("2025-01-01", ("2025-01-01", Frequency.MONTHLY), ("2025-03-12", Frequency.BIWEEKLY))
    assert shown(grid, "2025-02-01", "2025-04-01") == [
        "2025-02-01..2025-02-28",
        "2025-03-01..2025-03-11*",
        "2025-03-12..2025-03-25",
        "2025-03-26..2025-04-08",
    ]


@pytest.mark.rule("CAL-104", "CAL-E25")
def test_a_change_within_a_period_of_the_new_grid_cuts_both_sides() -> None:
    grid = modal("2025-01-01", ("2025-01-01", Frequency.MONTHLY), ("2025-03-10", Frequency.BIWEEKLY))
    assert shown(grid, "2025-03-01", "2025-03-26") == [
        "2025-03-01..2025-03-09*",
        "2025-03-10..2025-03-11*",
        "2025-03-12..2025-03-25",
    ]
    cut = grid.period_at(D("2025-03-11"))
    assert cut == ModalPeriod(D("2025-03-10"), D("2025-03-12"), D("2025-02-26"), D("2025-03-12"), Frequency.BIWEEKLY)
    assert (cut.days, cut.full_days) == (2, 14)


@pytest.mark.rule("CAL-103", "CAL-E25")
def test_a_term_cuts_its_last_modal_period() -> None:
    grid = modal("2025-02-15", ("2025-02-15", Frequency.QUARTERLY), expiration="2026-01-01")
    assert shown(grid, "2025-08-15", "2026-06-01") == ["2025-08-15..2025-11-14", "2025-11-15..2025-12-31*"]
    assert grid.period_at(D("2025-12-31")) is not None
    assert grid.period_at(D("2026-01-01")) is None
    weekly = modal("2025-12-29", ("2025-12-29", Frequency.WEEKLY), expiration="2026-01-01")
    assert shown(weekly, "2025-12-29", "2026-06-01") == ["2025-12-29..2025-12-31*"]


@pytest.mark.rule("CAL-103")
def test_a_perpetual_policy_has_no_last_period_and_nothing_lies_before_the_anchor() -> None:
    grid = modal("2025-02-15", ("2025-02-15", Frequency.ANNUAL))
    far = grid.period_at(D("2125-02-15"))
    assert far is not None
    assert far.start == D("2125-02-15")
    assert grid.period_at(D("2025-02-14")) is None
    assert shown(grid, "2024-01-01", "2025-03-01") == ["2025-02-15..2026-02-14"]


@pytest.mark.rule("CAL-102", "CAL-E25")
def test_alignment_anchors_on_the_invoicing_period_that_holds_the_effective_date() -> None:
    invoicing = InvoicingGrid.starting(D("2025-01-01"), Frequency.MONTHLY)
    effective = D("2025-03-20")
    aligned = ModalGrid(modal_anchor(effective, invoicing, True), ((effective, Frequency.MONTHLY),))
    first = aligned.period_at(effective)
    assert first is not None
    assert (aligned.anchor, first.start, first.end) == (D("2025-03-01"), D("2025-03-01"), D("2025-04-01"))
    plain = ModalGrid(modal_anchor(effective, invoicing, False), ((effective, Frequency.MONTHLY),))
    first = plain.period_at(effective)
    assert first is not None
    assert (first.start, first.to) == (D("2025-03-20"), D("2025-04-19"))


@pytest.mark.rule("CAL-104")
def test_entries_that_change_nothing_cut_nothing() -> None:
    plain = modal("2025-01-01", ("2025-01-01", Frequency.MONTHLY))
    repeated = modal("2025-01-01", ("2025-01-01", Frequency.MONTHLY), ("2025-03-10", Frequency.MONTHLY))
    superseded = modal("2025-01-01", ("2024-06-01", Frequency.WEEKLY), ("2024-12-15", Frequency.MONTHLY))
    assert repeated == plain
    assert superseded == plain


MODALITIES = st.lists(st.tuples(st.integers(1, 1200), FREQUENCIES), max_size=4, unique_by=lambda item: item[0])


@pytest.mark.rule("CAL-101", "CAL-103", "CAL-104")
@LAW
@given(
    st.dates(dt.date(2000, 1, 1), dt.date(2040, 12, 31)),
    FREQUENCIES,
    MODALITIES,
    st.none() | st.integers(1, 1500),
    st.integers(0, 1499),
)
def test_modal_periods_are_contiguous_and_each_lies_in_a_period_of_the_modality_of_its_day(
    anchor: dt.date, first: Frequency, changes: list[tuple[int, Frequency]], term: int | None, days: int
) -> None:
    modalities = [(anchor, first), *((anchor + dt.timedelta(days=n), item) for n, item in sorted(changes))]
    expiration = None if term is None else anchor + dt.timedelta(days=term)
    grid = ModalGrid(anchor, tuple(modalities), expiration)
    day = anchor + dt.timedelta(days=days)
    found = grid.period_at(day)
    if expiration is not None and day >= expiration:
        assert found is None
        return
    assert found is not None
    assert day in found
    modality = [item for valid_from, item in modalities if valid_from <= day][-1]
    full = period_at(anchor, modality, day)
    assert (found.modality, found.full_start, found.full_end) == (modality, full.start, full.end)
    assert full.start <= found.start < found.end <= full.end
    assert grid.period_at(found.start) == grid.period_at(found.to) == found
    following = grid.period_at(found.end)
    assert following is None or following.start == found.end
    assert found.partial == ((found.start, found.end) != (full.start, full.end))
    if found.start > anchor:
        before = grid.period_at(found.start - ONE_DAY)
        assert before is not None
        assert before.end == found.start
