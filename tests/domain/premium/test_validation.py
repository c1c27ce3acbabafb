"""Validation: stored rows, placements and shares against what the transactions give."""

import dataclasses
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.calendar.frequency import Frequency
from domain.members.events import ModalPremiumRow
from domain.members.rows import rows_of
from domain.premium import validation
from domain.premium.account_terms import AccountTerms
from domain.premium.charges import Charge, charges
from domain.premium.timeline import build_timeline
from domain.premium.transactions import ItemKey
from domain.premium.validation import Discrepancy, PlacedOn, Validation, validate
from tests.domain.premium.builders import History, account, amount, day, direct, member, sequence
from tests.domain.premium.random_histories import random_case

A = ItemKey("LIFE", coverage_class="A")
B = ItemKey("LIFE", coverage_class="B")
ACCOUNTS = {"G": account(), "ID": direct("ID", "2025-04-16")}


def rows(history: History) -> tuple[ModalPremiumRow, ...]:
    return rows_of(history.timeline(), ACCOUNTS, {})


def checked(
    history: History, stored: tuple[ModalPremiumRow, ...], *placements: PlacedOn, **accounts: AccountTerms
) -> Validation:
    terms = accounts or ACCOUNTS
    placed = placements or (PlacedOn("G", day("2025-01-01")),)
    return validate(history.timeline(), stored, rows(history), terms, placed, day("2025-01-01"), day("2026-01-01"))


@pytest.mark.rule("PRM-160")
def test_what_was_derived_is_valid() -> None:
    history = member().amend("2025-03-10", amount("1500.00")).stop("2025-05-11").resume("2025-07-01")
    assert checked(history, rows(history)).clean
    moved = member("1440.00").port("2025-04-16", "ID")
    placed = (PlacedOn("G", day("2025-01-01"), day("2025-04-16")), PlacedOn("ID", day("2025-04-16")))
    assert checked(moved, rows(moved), *placed).clean
    away = member().amend("2025-03-01", amount(None)).amend("2025-05-01", amount("1200.00"))
    assert checked(away, rows(away)).clean


@pytest.mark.rule("PRM-160")
def test_a_wrong_modal_amount_is_listed_with_expected_and_actual() -> None:
    history = member()
    [row] = rows(history)
    found = checked(history, (dataclasses.replace(row, modal=10001),)).discrepancies
    assert Discrepancy("G", "M", "MODAL_AMOUNT", "LIFE 2025-01-01", "10000", "10001") in found


@pytest.mark.rule("PRM-160", "PRM-145")
def test_the_modal_amount_follows_the_gaps_of_the_account() -> None:
    history = member()
    seasonal = account(seasonal_gaps=frozenset({6, 7, 8}))
    found = checked(history, rows(history), G=seasonal).discrepancies
    assert Discrepancy("G", "M", "MODAL_AMOUNT", "LIFE 2025-01-01", "13333", "10000") in found


@pytest.mark.rule("PRM-160")
def test_a_stale_row_and_a_missing_row_are_listed() -> None:
    history = member().amend("2025-03-16", amount("1320.00"))
    first, part, full = rows(history)
    stale = dataclasses.replace(part, prorated=1)
    [found] = checked(history, (first, stale, full)).discrepancies
    assert (found.check, found.row) == ("ROW", "LIFE 2025-03-16")
    assert found.expected == "132000/11000 MONTHLY, 16 days 5786"
    assert found.actual == "132000/11000 MONTHLY, 16 days 1"
    [found] = checked(history, (first, part)).discrepancies
    assert (found.check, found.row, found.actual) == ("ROW", "LIFE 2025-04-01", "-")


@pytest.mark.rule("PRM-160")
def test_a_lane_without_row_is_a_gap_and_one_that_was_not_closed_an_overlap() -> None:
    history = History().new_business(amount("1200.00", A)).amend("2025-04-01", amount("1300.00", B))
    old, *rest = rows(history)
    closing = next(one for one in rest if one.key == A)
    new = next(one for one in rest if one.key == B)

    def checks(*stored: ModalPremiumRow) -> set[tuple[str, str]]:
        return {(one.check, one.row) for one in checked(history, stored).discrepancies if one.check != "ROW"}

    assert checks(old, closing, new) == set()
    assert checks(old, closing) == {("GAP", "LIFE 2025-04-01")}
    assert checks(old, new) == {("OVERLAP", "LIFE 2025-04-01")}


@pytest.mark.rule("PRM-160")
def test_shares_that_do_not_add_up_to_the_charge_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    history = History().new_business(amount("1200.00", A, sequence(1, "700.00"), sequence(2, "500.00")))
    assert checked(history, rows(history)).clean

    def without_the_second(*stated: Any) -> list[Charge]:
        return [one for one in charges(*stated) if one.sequence == "S1"]

    monkeypatch.setattr(validation, "charges", without_the_second)
    found = checked(history, rows(history)).discrepancies
    assert len(found) == 12
    assert found[0] == Discrepancy("G", "M", "SEQUENCE_SHARES", "LIFE 2025-01-01", "10000/10000", "5833/5833")


@pytest.mark.rule("PRM-160")
def test_a_placement_elsewhere_is_listed_from_the_day_on_which_it_differs() -> None:
    history = member()
    placed = (PlacedOn("G", day("2025-01-01"), day("2025-03-01")), PlacedOn("ID", day("2025-03-01")))
    [found] = checked(history, rows(history), *placed).discrepancies
    assert (found.check, found.row, found.expected, found.actual) == ("PLACEMENT", "2025-03-01", "G", "ID")
    [found] = checked(history, rows(history), PlacedOn("G", day("2025-02-01"))).discrepancies
    assert (found.row, found.actual) == ("2025-01-01", "-")


@pytest.mark.rule("PRM-160")
def test_incomplete_configuration_gives_no_result_but_its_name() -> None:
    history = member()
    found = checked(history, rows(history), ID=direct("ID", "2025-01-01"))
    assert found.discrepancies == ()
    assert [(one.code, one.params) for one in found.incomplete] == [
        ("MODAL_VALIDATION_INCOMPLETE_DATA", {"account": "G"})
    ]
    held = History().new_business(amount("1200.00", A, sequence(1, "1200.00", end="2025-04-01")))
    without_holder = checked(held, rows(held))
    assert not without_holder.clean
    assert without_holder.incomplete[0].code == "MODAL_VALIDATION_INCOMPLETE_DATA"
    assert "holder" in without_holder.incomplete[0].message


@pytest.mark.rule("PRM-160")
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(min_value=0, max_value=2**48))
def test_rows_and_placements_derived_from_a_timeline_are_valid_and_a_changed_one_is_found(seed: int) -> None:
    chance = random.Random(seed)
    case = random_case(chance)
    timeline = build_timeline(case.transactions, case.terms)
    accounts = {terms.account: terms for terms, _ in case.accounts}
    placements = [PlacedOn(one.account, one.start, one.end) for one in timeline.segments if one.in_force]
    derived = rows_of(timeline, accounts, {})
    found = validate(timeline, derived, derived, accounts, placements, case.first, case.end)
    assert found.discrepancies == ()
    if found.incomplete or not derived:
        return
    wrong = list(derived)
    place = chance.randrange(len(wrong))
    wrong[place] = dataclasses.replace(wrong[place], annual=wrong[place].annual + 1200)
    after = validate(timeline, wrong, derived, accounts, placements, case.first, case.end).discrepancies
    assert "ROW" in {one.check for one in after}


def test_a_frequency_is_shown_with_the_figures_of_a_row() -> None:
    history = History().new_business(amount("1200.00"), modality=Frequency.QUARTERLY)
    [row] = rows(history)
    [found] = checked(history, (dataclasses.replace(row, modality=Frequency.ANNUAL, modal=120000),)).discrepancies
    assert (found.expected, found.actual) == ("120000/30000 QUARTERLY", "120000/120000 ANNUAL")
