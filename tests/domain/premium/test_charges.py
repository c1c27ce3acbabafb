"""Charges of modal periods: whole, prorated, capped, apportioned; the rulebook's figures."""

import dataclasses
import datetime as dt

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.calendar.frequency import Frequency
from domain.calendar.periods import modal_anchor
from domain.errors import Refusal
from domain.premium.account_terms import InclusionCriterion, PayrollSchedule
from domain.premium.charges import ChargeKey, billing_period_of, charges, charges_billed_in, project
from domain.premium.explanation import explain_charge, location_lines
from domain.premium.modal import BasisFrom, ProrationBasis, basis_on
from domain.premium.transactions import ItemKey, PremiumAmount, TransactionType
from tests.domain.premium.builders import (
    Book,
    Dates,
    History,
    account,
    amount,
    charges_from,
    day,
    direct,
    individual,
    member,
    money,
    net_of,
    nets,
    sequence,
)

A = ItemKey("LIFE", coverage_class="A")
B = ItemKey("LIFE", coverage_class="B")


@pytest.mark.rule("PRM-021", "PRM-E01")
@pytest.mark.parametrize(
    ("modality", "expected"),
    [
        (Frequency.WEEKLY, "25.00"),
        (Frequency.BIWEEKLY, "50.00"),
        (Frequency.EVERY_28_DAYS, "100.00"),
        (Frequency.SEMI_MONTHLY, "54.17"),
        (Frequency.MONTHLY, "108.33"),
        (Frequency.BIMONTHLY, "216.67"),
        (Frequency.QUARTERLY, "325.00"),
        (Frequency.SEMI_ANNUAL, "650.00"),
        (Frequency.ANNUAL, "1300.00"),
    ],
)
def test_the_modal_premium_is_the_annual_amount_divided_by_the_paymode(modality: Frequency, expected: str) -> None:
    history = History().new_business(amount("1300.00"), modality=modality)
    assert nets(history, account(), "2025-01-01", "2025-01-02") == [expected]


@pytest.mark.rule("PRM-021")
def test_every_period_of_the_grid_carries_the_full_modal_premium_also_the_fifty_third_of_a_year() -> None:
    history = History().new_business(amount("1300.00"), modality=Frequency.WEEKLY)
    assert nets(history, account(), "2025-01-01", "2026-01-01") == ["25.00"] * 53


@pytest.mark.rule("PRM-023", "PRM-E02")
def test_the_two_sides_of_a_change_are_summed_before_rounding() -> None:
    history = member().amend("2025-04-16", amount("1560.00"))
    assert nets(history, account(), "2025-04-01", "2025-06-01") == ["113.42", "130.00"]


@pytest.mark.rule("PRM-022", "PRM-E02")
def test_amendments_that_leave_the_amount_leave_the_modal_premium() -> None:
    history = member().amend("2025-03-10", amount("1200.00")).amend("2025-03-22", amount("1200.00"))
    [march] = charges_from(history, account(), "2025-03-01", "2025-04-01")
    assert (money(march.net), march.whole) == ("100.00", True)


@pytest.mark.rule("PRM-023", "PRM-E02")
def test_a_change_and_its_return_within_a_period_are_charged_by_days() -> None:
    history = member().amend("2025-03-10", amount("1500.00")).amend("2025-03-22", amount("1200.00"))
    [march] = charges_from(history, account(), "2025-03-01", "2025-04-01")
    assert (money(march.net), march.whole, march.days) == ("111.78", False, 31)
    working = explain_charge(history.timeline(), account(), march)
    assert [(piece.days, piece.annual) for piece in working.pieces] == [(9, 120000), (12, 150000), (10, 120000)]
    assert [piece.sources for piece in working.pieces] == [("T1",), ("T2",), ("T3",)]


@pytest.mark.rule("PRM-033")
def test_a_third_amendment_is_charged_on_the_resulting_days_not_on_prorated_amounts() -> None:
    # 9 days of 1200.00, 6 of 1500.00, 6 of 1800.00, 10 of 1440.00: 45000 / 365
    history = member().amend("2025-03-10", amount("1500.00")).amend("2025-03-16", amount("1800.00"))
    history.amend("2025-03-22", amount("1440.00"))
    assert nets(history, account(), "2025-03-01", "2025-04-01") == ["123.29"]
    # The last one told again from 03-10 on: 9 days of 1200.00 and 22 of 1440.00; nothing of the others is left.
    history = member().amend("2025-03-10", amount("1500.00")).amend("2025-03-10", amount("1440.00"))
    assert nets(history, account(), "2025-03-01", "2025-04-01") == ["116.38"]


@pytest.mark.rule("PRM-028", "PRM-E03", "CAL-102")
def test_an_aligned_first_period_is_charged_from_the_effective_date() -> None:
    effective = day("2025-05-16")
    aligned = History(effective=effective, anchor=modal_anchor(effective, account().invoicing, align_first_period=True))
    aligned.new_business(amount("1825.00"))
    first, second = charges_from(aligned, account(), "2025-05-01", "2025-07-01")
    assert (first.period_start, first.covered_from, first.days) == (day("2025-05-01"), effective, 16)
    assert [money(first.net), money(second.net)] == ["80.00", "152.08"]


@pytest.mark.rule("PRM-E03", "CAL-102")
def test_a_first_period_that_is_not_aligned_is_whole() -> None:
    history = History(effective=day("2025-05-16")).new_business(amount("1825.00"))
    first, *_ = charges_from(history, account(), "2025-05-01", "2025-07-01")
    assert (first.period_start, first.covered_to, money(first.net)) == (day("2025-05-16"), day("2025-06-15"), "152.08")


@pytest.mark.rule("PRM-028", "PRM-E03", "CAL-103")
def test_the_period_cut_by_the_term_expiration_is_charged_to_the_day_before_it() -> None:
    history = History(expiration=day("2025-11-16")).new_business(amount("1460.00"), modality=Frequency.QUARTERLY)
    found = charges_from(history, account(), "2025-01-01", "2027-01-01")
    assert [money(one.net) for one in found] == ["365.00", "365.00", "365.00", "184.00"]
    assert (found[-1].covered_to, found[-1].days) == (day("2025-11-15"), 46)


@pytest.mark.rule("PRM-026", "PRM-044", "PRM-062", "PRM-E04")
def test_a_class_change_without_change_of_amount_apportions_the_modal_premium() -> None:
    history = History().new_business(amount("1200.00", A))
    book = Book(account())
    assert book.invoice_months(1, 3, history) == ["100.00"] * 3
    history.amend("2025-03-16", amount("1200.00", B))
    assert nets(history, account(), "2025-03-01", "2025-04-01") == ["48.39", "51.61"]
    assert [money(key.amount) for key in book.open_keys(history)] == ["-51.61", "51.61"]
    assert book.anyb(history) == "0.00"


@pytest.mark.rule("PRM-027", "PRM-E04")
def test_a_class_change_with_another_amount_rounds_each_key_on_its_own() -> None:
    history = History().new_business(amount("1200.00", A))
    book = Book(account())
    book.invoice_months(1, 3, history)
    history.amend("2025-03-16", amount("3000.00", B))
    assert nets(history, account(), "2025-03-01", "2025-05-01") == ["49.32", "131.51", "250.00"]
    assert [money(key.amount) for key in book.open_keys(history)] == ["-50.68", "131.51"]
    assert book.anyb(history) == "80.83"


@pytest.mark.rule("PRM-026")
def test_what_the_last_key_cannot_give_is_taken_from_the_key_before() -> None:
    # A modal premium of 0.02 over 8, 8, 8 and 6 of 30 days: 0.01, 0.01, 0.01 and 0.00 are more than there is.
    keys = [ItemKey("LIFE", tier=tier) for tier in "1234"]
    history = History().new_business(amount("0.24", keys[0]))
    for on, key in zip(("2025-04-09", "2025-04-17", "2025-04-25"), keys[1:], strict=True):
        history.amend(on, amount("0.24", key))
    found = charges_from(history, account(), "2025-04-01", "2025-05-01")
    assert [(one.item.tier, one.net) for one in found] == [("1", 1), ("2", 1), ("3", 0), ("4", 0)]


@pytest.mark.rule("PRM-026")
@settings(max_examples=100, deadline=None)
@given(modal=st.integers(1, 6), cuts=st.lists(st.integers(2, 30), max_size=8, unique=True))
@example(modal=2, cuts=[9, 17, 25])
def test_apportioned_keys_add_up_to_the_modal_premium_and_none_is_below_nothing(modal: int, cuts: list[int]) -> None:
    history = History()
    history.new_business(PremiumAmount(ItemKey("LIFE", tier="1"), 12 * modal))
    for cut in sorted(cuts):
        history.amend(f"2025-04-{cut:02}", PremiumAmount(ItemKey("LIFE", tier=f"{cut}"), 12 * modal))
    shares = [one.net for one in charges_from(history, account(), "2025-04-01", "2025-05-01")]
    assert (len(shares), sum(shares)) == (len(cuts) + 1, modal)
    assert min(shares) >= 0


@pytest.mark.rule("PRM-E05", "PRM-062", "MEM-072")
@pytest.mark.parametrize(
    ("on", "left", "receiving"),
    [
        ("2025-04-10", ["120.00"], ["155.00"]),
        ("2025-04-21", ["120.00", "43.40"], ["96.82", "155.00"]),
    ],
)
def test_a_class_change_with_account_change_charges_each_account_its_days(
    on: str, left: list[str], receiving: list[str]
) -> None:
    history = History(effective=day("2025-01-10")).new_business(amount("1440.00", A), account="BA-A")
    history.amend(on, amount("1860.00", B), account="BA-B")
    assert nets(history, account("BA-A"), "2025-03-10", "2025-06-10") == left
    assert nets(history, account("BA-B"), "2025-03-10", "2025-05-11")[: len(receiving)] == receiving


def deductions_on_period_starts(frequency: Frequency) -> tuple[PayrollSchedule, ...]:
    monthly = Dates(tuple(dt.date(2025, month, 1) for month in range(1, 13)))
    biweekly = Dates(tuple(day("2025-01-01") + dt.timedelta(days=14 * step) for step in range(26)))
    return (PayrollSchedule(Frequency.MONTHLY, monthly), PayrollSchedule(frequency, biweekly))


@pytest.mark.rule("PRM-E06", "PRM-063", "INV-022", "CAL-104")
def test_a_payroll_frequency_change_on_a_period_start_gives_full_periods_at_once() -> None:
    terms = individual(payroll=deductions_on_period_starts(Frequency.BIWEEKLY))
    monthly = {"modality": Frequency.MONTHLY, "payroll_frequency": Frequency.MONTHLY}
    biweekly = {"modality": Frequency.BIWEEKLY, "payroll_frequency": Frequency.BIWEEKLY}
    history = History().new_business(amount("1300.00"), **monthly)
    book = Book(terms)
    assert book.invoice_months(1, 3, history) == ["108.33"] * 3
    history.amend("2025-03-12", **biweekly)
    assert nets(history, terms, "2025-03-01", "2025-04-01") == ["39.18", "50.00", "50.00"]
    assert [money(key.amount) for key in book.open_keys(history)] == ["50.00", "50.00", "-69.15"]
    assert book.anyb(history) == "30.85"
    assert book.invoice("2025-04-01", history) == "130.85"
    assert book.anyb(history) == "0.00"


@pytest.mark.rule("PRM-E06", "PRM-028", "CAL-104")
def test_a_payroll_frequency_change_within_a_period_leaves_a_stub_on_each_side() -> None:
    history = History().new_business(amount("1300.00"), modality=Frequency.MONTHLY)
    history.amend("2025-03-10", modality=Frequency.BIWEEKLY)
    found = charges_from(history, individual(), "2025-03-01", "2025-03-13")
    assert [money(one.net) for one in found] == ["32.05", "7.12", "50.00"]
    assert (found[1].covered_from, found[1].covered_to, found[1].days) == (day("2025-03-10"), day("2025-03-11"), 2)


@pytest.mark.rule("PRM-063")
def test_a_payroll_frequency_change_may_place_the_record_on_another_account() -> None:
    history = History().new_business(amount("1300.00"), modality=Frequency.MONTHLY)
    history.amend("2025-03-12", account="WEEKS", modality=Frequency.BIWEEKLY)
    assert nets(history, individual(), "2025-03-01", "2025-05-01") == ["39.18"]
    assert nets(history, individual("WEEKS"), "2025-03-01", "2025-03-27") == ["50.00", "50.00"]


@pytest.mark.rule("MEM-072", "PRM-032")
def test_the_days_of_two_placements_on_one_account_in_one_period_are_added_before_rounding() -> None:
    history = member().port("2025-03-06", "ID", modality=Frequency.WEEKLY)
    history.add(TransactionType.MOVED_TO_LIST_BILL, "2025-03-21", account="G", modality_from_account=True)
    [march] = charges_from(history, account(), "2025-03-01", "2025-04-01")
    assert (march.days, money(march.net)) == (16, "52.60")
    assert (march.covered_from, march.covered_to) == (day("2025-03-01"), day("2025-03-31"))


@pytest.mark.rule("PRM-024", "PRM-E22")
@pytest.mark.parametrize(
    ("basis", "expected"),
    [
        (ProrationBasis.ANNUAL_365, "32.88"),
        (ProrationBasis.MODAL_PERIOD_DAYS, "34.48"),
        (ProrationBasis.ANNUAL_ACTUAL, "32.79"),
    ],
)
def test_ten_days_of_a_leap_february_by_each_basis(basis: ProrationBasis, expected: str) -> None:
    history = History(effective=day("2024-01-01")).new_business(amount("1200.00")).cancel("2024-02-11")
    terms = account(start="2024-01-01", proration_basis=basis)
    assert net_of(history, terms, "2024-02") == expected


@pytest.mark.rule("PRM-024")
def test_a_basis_holds_by_the_first_day_of_the_period_and_what_is_billed_keeps_its_own() -> None:
    history = member().amend("2025-01-11", amount("2400.00")).amend("2025-01-21", amount("1200.00"))
    changed = (BasisFrom(None, day("2025-02-01"), ProrationBasis.MODAL_PERIOD_DAYS),)
    early = (BasisFrom(None, day("2025-01-01"), ProrationBasis.MODAL_PERIOD_DAYS),)
    own = (*early, BasisFrom("MP", day("2025-01-01"), ProrationBasis.ANNUAL_365))
    january = day("2025-01-01")
    found = {
        "shipped": net_of(history, account(), "2025-01"),
        "set for later": net_of(history, account(bases=changed), "2025-01"),
        "set in time": net_of(history, account(bases=early), "2025-01"),
        "another policy's": net_of(history, account(bases=own), "2025-01"),
        "billed before": net_of(history, account(bases=early, billed_bases={january: ()}), "2025-01"),
        "billed with it": net_of(history, account(bases=changed, billed_bases={january: early}), "2025-01"),
        "seasonal": net_of(history, account(seasonal_gaps=frozenset({7}), billed_bases={january: ()}), "2025-01"),
    }
    assert found == {
        "shipped": "134.79", "set for later": "134.79", "set in time": "132.26", "another policy's": "132.26",
        "billed before": "134.79", "billed with it": "132.26", "seasonal": "144.28",
    }  # fmt: skip
    assert basis_on(own, "MP", january, ProrationBasis.ANNUAL_ACTUAL) is ProrationBasis.ANNUAL_365
    assert basis_on(own, "MP", day("2024-12-31"), ProrationBasis.ANNUAL_ACTUAL) is ProrationBasis.ANNUAL_ACTUAL


@pytest.mark.rule("PRM-024")
def test_actual_days_over_a_change_of_year_use_the_divisor_of_each_year() -> None:
    # 16 days of 2023 (365) and 11 days of 2024 (366): 1200 * 16/365 + 1200 * 11/366 = 52.60 + 36.07 = 88.67
    history = History(effective=day("2023-12-16")).new_business(amount("1200.00")).cancel("2024-01-12")
    terms = account(start="2023-12-01", proration_basis=ProrationBasis.ANNUAL_ACTUAL)
    assert nets(history, terms, "2023-12-01", "2024-02-01") == ["88.67"]


@pytest.mark.rule("PRM-023", "PRM-029", "PRM-E25")
def test_a_cut_period_is_charged_at_most_the_modal_premium() -> None:
    effective = day("2025-07-01")

    def history() -> History:
        return History(effective=effective).new_business(amount("1200.00"), modality=Frequency.BIMONTHLY)

    assert nets(history().cancel("2025-08-31"), account(), "2025-07-01", "2025-09-01") == ["200.00"]
    assert nets(history().cancel("2025-08-30"), account(), "2025-07-01", "2025-09-01") == ["197.26"]
    [waived] = charges_from(history().waive("2025-08-31", "2025-09-01"), account(), "2025-07-01", "2025-09-01")
    assert (money(waived.gross), money(waived.net), money(waived.waiver)) == ("200.00", "200.00", "0.00")


@pytest.mark.rule("PRM-023")
def test_the_cap_holds_for_the_coverage_when_several_keys_share_the_cut_period() -> None:
    history = History(effective=day("2025-07-01")).new_business(amount("1200.00", A), modality=Frequency.BIMONTHLY)
    history.amend("2025-08-01", amount("1200.00", B)).cancel("2025-08-31")
    found = charges_from(history, account(), "2025-07-01", "2025-09-01")
    assert [money(one.net) for one in found] == ["101.92", "98.08"]
    assert all(explain_charge(history.timeline(), account(), one).capped for one in found)


@pytest.mark.rule("PRM-023", "PRM-030")
def test_the_cap_also_holds_when_a_stop_cuts_the_last_day() -> None:
    history = History(effective=day("2025-07-01")).new_business(amount("1200.00"), modality=Frequency.BIMONTHLY)
    assert nets(history.stop("2025-08-31"), account(), "2025-07-01", "2025-09-01") == ["200.00"]


@pytest.mark.rule("PRM-031")
def test_a_lapse_shortens_the_covered_days_but_not_the_modal_period() -> None:
    history = member().cancel("2025-03-05").reinstate("2025-03-25")
    [march] = charges_from(history, account(), "2025-03-01", "2025-04-01")
    assert (march.covered_from, march.covered_to, march.days) == (day("2025-03-01"), day("2025-03-31"), 11)
    late = member().cancel("2025-02-20").reinstate("2025-03-25")
    [_, march] = charges_from(late, account(), "2025-02-01", "2025-04-01")
    assert (march.covered_from, march.covered_to) == (day("2025-03-25"), day("2025-03-31"))


@pytest.mark.rule("PRM-032")
def test_a_charge_key_names_member_item_sequence_and_modal_period() -> None:
    [march] = charges_from(member(), account(), "2025-03-01", "2025-04-01")
    assert march.key == ChargeKey("M", "G", ItemKey("LIFE"), "1", Frequency.MONTHLY, day("2025-03-01"))


@pytest.mark.rule("PRM-032", "INV-008")
def test_a_location_change_gives_one_line_per_interval_and_leaves_the_charge() -> None:
    history = member("1200.00").employ("2025-01-01", "L1").employ("2025-03-11", "L2")
    history.employ("2025-03-21", "L1")
    [march] = charges_from(history, account(), "2025-03-01", "2025-04-01")
    lines = location_lines(history.timeline(), account(), march)
    assert (money(march.net), march.one_location) == ("100.00", False)
    assert [(one.location, money(one.gross)) for one in lines] == [("L1", "32.26"), ("L2", "32.26"), ("L1", "35.48")]
    [april] = charges_from(history, account(), "2025-04-01", "2025-05-01")
    assert [one.location for one in location_lines(history.timeline(), account(), april)] == ["L1"]


@pytest.mark.rule("PRM-032")
def test_the_waiver_line_follows_the_location_intervals_too() -> None:
    history = member("1200.00").employ("2025-03-11", "L2").waive("2025-03-21")
    [march] = charges_from(history, account(), "2025-03-01", "2025-04-01")
    lines = location_lines(history.timeline(), account(), march)
    assert (money(march.gross), money(march.waiver)) == ("100.00", "-34.25")
    assert [(one.location, money(one.gross), money(one.waiver)) for one in lines] == [
        (None, "32.26", "-11.05"),
        ("L2", "67.74", "-23.20"),
    ]


@pytest.mark.rule("PRM-047")
def test_a_record_without_any_annual_amount_stops_the_calculation() -> None:
    with pytest.raises(Refusal) as refusal:
        nets(History().new_business(), account(), "2025-03-01", "2025-04-01")
    assert refusal.value.code == "MODAL_CALCULATION_BLOCKED"
    assert refusal.value.problems[0].params["first"] == "2025-03-01"


@pytest.mark.rule("PRM-061")
def test_a_record_whose_last_key_was_removed_costs_nothing_and_stops_nothing() -> None:
    history = member().amend("2025-03-11", amount(None))
    assert nets(history, account(), "2025-03-01", "2025-05-01") == ["32.88"]


@pytest.mark.rule("PRM-047")
def test_a_modality_that_cannot_be_resolved_stops_the_calculation() -> None:
    with pytest.raises(Refusal) as refusal:
        nets(member(), individual(), "2025-03-01", "2025-04-01")
    assert refusal.value.code == "MODAL_CALCULATION_BLOCKED"


@pytest.mark.rule("PRM-047")
def test_a_charged_day_without_effective_holder_stops_the_calculation_and_is_named() -> None:
    history = History().new_business(amount("1200.00", ItemKey("LIFE"), sequence(1, "1200.00", end="2025-03-11")))
    assert nets(history, account(), "2025-02-01", "2025-03-01") == ["100.00"]
    with pytest.raises(Refusal) as refusal:
        nets(history, account(), "2025-03-01", "2025-04-01")
    assert refusal.value.code == "MODAL_CALCULATION_BLOCKED"
    assert refusal.value.problems[0].params["first"] == "2025-03-11"


@pytest.mark.rule("PRM-073")
def test_a_modality_of_the_account_is_resolved_by_day() -> None:
    # The quarterly grid of the anchor 02-01 starts 02-01, 05-01, ...: April becomes a stub of the first quarter.
    terms = account(modality_by_day=((day("2025-01-01"), Frequency.MONTHLY), (day("2025-04-01"), Frequency.QUARTERLY)))
    history = (
        History(effective=day("2025-02-01")).new_business(amount("1200.00")).amend("2025-06-01", amount("1500.00"))
    )
    assert nets(history, terms, "2025-02-01", "2025-09-01") == ["100.00", "100.00", "98.63", "352.60", "375.00"]


@pytest.mark.rule("PRM-E20", "PRM-073")
def test_the_modality_change_of_the_account_is_recalculated_on_the_amounts_of_a_rolled_on_chain() -> None:
    grid = account(start="2025-02-01").invoicing.with_frequency(Frequency.QUARTERLY, day("2025-04-01"))
    terms = account(start="2025-02-01")
    terms = type(terms)("G", "USD", grid)
    history = History(effective=day("2025-02-01")).new_business(amount("1200.00"))
    history.amend("2025-03-11", amount("1320.00"))
    assert nets(history, terms, "2025-03-01", "2025-08-01") == ["108.82", "108.49", "330.00"]
    history.amend("2025-06-01", amount("1560.00"))
    assert nets(history, terms, "2025-03-01", "2025-09-01") == ["108.82", "108.49", "372.82", "390.00"]


@pytest.mark.rule("PRM-073")
def test_a_stored_modality_is_not_touched_by_the_account() -> None:
    terms = account(modality_by_day=((day("2025-01-01"), Frequency.MONTHLY), (day("2025-04-01"), Frequency.QUARTERLY)))
    history = History().new_business(amount("1200.00"), modality=Frequency.MONTHLY)
    assert nets(history, terms, "2025-03-01", "2025-06-01") == ["100.00"] * 3


@pytest.mark.rule("INV-020", "INV-021", "INV-E01")
def test_the_criterion_decides_the_billing_period_on_a_group_account() -> None:
    history = History(effective=day("2025-01-08")).new_business(amount("1300.00"), modality=Frequency.BIWEEKLY)
    by_first, by_last = account(), account(inclusion_criterion=InclusionCriterion.PERIOD_TO)
    january = by_first.invoicing.period_at(day("2025-01-01"))
    february = by_first.invoicing.period_at(day("2025-02-01"))

    def billed(terms: object, period: object) -> list[str]:
        return [money(one.net) for one in charges_billed_in(history.timeline(), terms, period)]  # type: ignore[arg-type]

    assert billed(by_first, january) == ["50.00", "50.00"]
    assert billed(by_last, january) == ["50.00"]
    assert billed(by_first, february) == ["50.00", "50.00"]
    assert billed(by_last, february) == ["50.00", "50.00"]


@pytest.mark.rule("INV-021")
def test_days_before_the_first_period_of_the_account_belong_to_it() -> None:
    terms = account(first_period=day("2025-02-01"))
    [january] = charges_from(member(), terms, "2025-01-01", "2025-01-15")
    assert billing_period_of(january, terms).start == day("2025-02-01")
    february = terms.invoicing.period_at(day("2025-02-01"))
    assert len(charges_billed_in(member().timeline(), terms, february)) == 2


@pytest.mark.rule("INV-022", "INV-E02")
def test_the_first_deduction_date_in_the_items_days_decides_on_an_individual_account() -> None:
    fridays = Dates(tuple(day("2024-12-20") + dt.timedelta(days=7 * week) for week in range(12)))
    terms = individual(payroll=(PayrollSchedule(Frequency.WEEKLY, fridays),))
    terms = dataclasses.replace(terms, invoicing=account(start="2024-12-01").invoicing)
    history = History(effective=day("2024-12-23")).new_business(
        amount("1300.00"), modality=Frequency.WEEKLY, payroll_frequency=Frequency.WEEKLY
    )
    history.cancel("2025-02-10")
    book = Book(terms)
    assert book.invoice("2024-12-01") == "0.00"

    def billed_on(date: str) -> list[tuple[str, str, str]]:
        """(first day, billing period, amount) of the items of an invoice."""
        items = book.invoices[day(date)]
        return [(f"{one.key.period_start}", f"{one.billing_start}", money(one.net)) for one in items]

    assert book.invoice("2025-01-01", history) == "150.00"
    assert billed_on("2025-01-01") == [
        ("2024-12-23", "2024-12-01", "25.00"),
        ("2024-12-30", "2025-01-01", "25.00"),
        ("2025-01-06", "2025-01-01", "25.00"),
        ("2025-01-13", "2025-01-01", "25.00"),
        ("2025-01-20", "2025-01-01", "25.00"),
        ("2025-01-27", "2025-01-01", "25.00"),
    ]
    assert book.invoice("2025-02-01", history) == "25.00"
    assert billed_on("2025-02-01") == [("2025-02-03", "2025-02-01", "25.00")]


@pytest.mark.rule("INV-023")
def test_without_a_deduction_date_the_payroll_start_decides_but_not_for_semi_monthly() -> None:
    late = Dates((day("2025-02-10"), day("2025-03-10")))
    monthly = individual(payroll=(PayrollSchedule(Frequency.MONTHLY, late),))
    history = History().new_business(amount("1200.00"), modality=Frequency.MONTHLY, payroll_frequency=Frequency.MONTHLY)
    [january] = charges_from(history, monthly, "2025-01-01", "2025-02-01")
    assert billing_period_of(january, monthly).start == day("2025-02-01")
    february = monthly.invoicing.period_at(day("2025-02-01"))
    assert len(charges_billed_in(history.timeline(), monthly, february)) == 2
    halves = individual(payroll=(PayrollSchedule(Frequency.SEMI_MONTHLY, late),))
    history = History().new_business(
        amount("1200.00"), modality=Frequency.SEMI_MONTHLY, payroll_frequency=Frequency.SEMI_MONTHLY
    )
    first, second = charges_from(history, halves, "2025-01-01", "2025-02-01")
    assert {billing_period_of(one, halves).start for one in (first, second)} == {day("2025-01-01")}


@pytest.mark.rule("INV-024")
def test_an_individual_direct_account_bills_by_the_first_day_whatever_its_criterion() -> None:
    terms = direct("ID", "2025-01-16")
    history = member().port("2025-02-01", "ID")
    [february] = charges_from(history, terms, "2025-02-01", "2025-03-01")
    assert billing_period_of(february, terms).start == day("2025-01-16")
    by_last = type(terms)(
        "ID", "USD", terms.invoicing, terms.bill_type, None, inclusion_criterion=InclusionCriterion.PERIOD_TO
    )
    assert billing_period_of(february, by_last).start == day("2025-01-16")


@pytest.mark.rule("PRM-031", "INV-021")
def test_a_key_once_invoiced_keeps_its_billing_period_when_its_days_change() -> None:
    terms = account(start="2025-01-10")
    history = History(effective=day("2025-01-10")).new_business(amount("1200.00"))
    book = Book(terms)
    book.invoice("2025-03-10", history)
    # Cancelled and reinstated: the first covered day of the period is now 04-01; by criterion still the same period.
    history.cancel("2025-03-01").reinstate("2025-04-01")
    [key] = book.open_keys(history)
    assert (key.billing_start, money(key.amount)) == (day("2025-03-10"), "-70.41")


@pytest.mark.rule("PRM-031")
def test_an_invoiced_key_is_not_billed_again_in_the_period_that_its_new_days_would_choose() -> None:
    # Modal periods from the 20th, invoices from the 1st: 03-20 to 04-19 was billed in March. Cancelled on 03-20 and
    # reinstated on 04-05, its first covered day lies in April; it stays a key of March, corrected to 15 days.
    terms = account()
    history = History(effective=day("2025-01-20")).new_business(amount("1200.00"))
    book = Book(terms)
    book.invoice_months(1, 3, history)
    history.cancel("2025-03-20").reinstate("2025-04-05")
    assert book.anyb(history) == "-50.68"
    kept = {one.key: one.billing_start for one in book.items_of("M")}
    april = terms.invoicing.period_at(day("2025-04-01"))
    billed = charges_billed_in(history.timeline(), terms, april, kept)
    assert [one.period_start for one in billed] == [day("2025-04-20")]
    march = terms.invoicing.period_at(day("2025-03-01"))
    assert [money(one.net) for one in charges_billed_in(history.timeline(), terms, march, kept)] == ["49.32"]
    assert book.invoice("2025-04-01", history) == "49.32"


def test_a_projection_reaches_at_most_twenty_four_months_ahead() -> None:
    assert len(project(member().timeline(), account(), day("2025-03-01"), 24)) == 24
    with pytest.raises(ValueError, match="24"):
        project(member().timeline(), account(), day("2025-03-01"), 25)


def test_a_projection_begins_with_the_first_period_that_is_not_yet_running() -> None:
    history = member().amend("2025-05-11", amount("1560.00"))
    found = project(history.timeline(), account(), day("2025-03-02"), 3)
    assert [(f"{one.period_start:%m}", money(one.net)) for one in found] == [
        ("04", "100.00"),
        ("05", "122.63"),
        ("06", "130.00"),
    ]


def test_a_window_lists_each_modal_period_once_and_only_on_its_account() -> None:
    history = member().port("2025-03-16", "ID", modality=Frequency.QUARTERLY)
    assert nets(history, account(), "2025-03-10", "2025-03-12") == ["49.32"]
    assert nets(history, account(), "2025-03-20", "2025-06-01") == []
    assert nets(history, direct("ID", "2025-03-16"), "2025-03-20", "2025-04-05") == ["52.60", "300.00"]
    assert charges(history.timeline(), account(), day("2025-04-01"), day("2025-04-01")) == []
