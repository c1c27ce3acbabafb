"""The due-day pickers of a semi-monthly schedule."""

from __future__ import annotations

import pytest

from domain.calendar.due_day_pickers import DueDayPickers


@pytest.mark.rule("CAL-070")
def test_at_first_only_the_primary_picker_offers_days() -> None:
    fresh = DueDayPickers()
    assert fresh.primary_options == tuple(range(1, 28))
    assert not fresh.secondary_enabled
    assert fresh.secondary_options == ()


@pytest.mark.rule("CAL-070")
@pytest.mark.parametrize(("primary", "first"), [(1, 2), (15, 16), (27, 28)])
def test_confirming_the_primary_enables_the_days_after_it(primary: int, first: int) -> None:
    pickers = DueDayPickers().with_primary(primary)
    assert pickers.secondary_enabled
    assert pickers.secondary is None
    assert pickers.secondary_options == tuple(range(first, 32))


@pytest.mark.rule("CAL-071")
def test_changing_the_secondary_leaves_the_primary_and_the_options() -> None:
    pickers = DueDayPickers().with_primary(10).with_secondary(25)
    changed = pickers.with_secondary(11)
    assert (changed.primary, changed.secondary) == (10, 11)
    assert changed.secondary_options == pickers.secondary_options


@pytest.mark.rule("CAL-072")
def test_changing_the_primary_blanks_the_secondary_even_when_it_would_still_fit() -> None:
    changed = DueDayPickers().with_primary(10).with_secondary(25).with_primary(12)
    assert (changed.primary, changed.secondary) == (12, None)
    assert changed.secondary_options == tuple(range(13, 32))
    same = DueDayPickers(10, 25).with_primary(10)
    assert same == DueDayPickers(10, 25)


def test_a_day_that_is_not_offered_cannot_be_chosen() -> None:
    with pytest.raises(ValueError, match="28"):
        DueDayPickers().with_primary(28)
    with pytest.raises(ValueError, match="10"):
        DueDayPickers().with_primary(10).with_secondary(10)
    with pytest.raises(ValueError, match="20"):
        DueDayPickers().with_secondary(20)
