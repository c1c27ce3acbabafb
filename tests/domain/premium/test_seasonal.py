"""Seasonal premium: fewer, larger charges; nothing in the gaps, neither billed nor credited."""

import dataclasses

import pytest

from domain.calendar.frequency import Frequency
from domain.calendar.periods import modal_anchor
from domain.errors import Refusal
from domain.premium.account_terms import PayrollSchedule
from domain.premium.anyb import member_anyb
from domain.premium.charges import charges, charges_billed_in
from domain.premium.explanation import explain_charge
from domain.premium.modal import modal_premium, shown_daily_rates
from tests.domain.premium.builders import Book, Dates, History, account, amount, day, individual, member, money, nets

SUMMER = frozenset({6, 7, 8})


def seasonal(gaps: frozenset[int] = SUMMER):
    return account(seasonal_gaps=gaps)


@pytest.mark.rule("PRM-145", "PRM-021", "PRM-146", "PRM-E15")
def test_active_months_carry_the_annual_amount_and_daily_rates_are_shown_with_eight_decimals() -> None:
    modal = modal_premium(120000, Frequency.MONTHLY, len(SUMMER))
    assert money(modal) == "133.33"
    assert shown_daily_rates(modal, "USD") == ("4.76178571", "4.59758621", "4.44433333", "4.30096774")
    assert nets(member(), seasonal(), "2025-01-01", "2026-01-01") == ["133.33"] * 9


@pytest.mark.rule("PRM-146")
def test_daily_rates_are_shown_in_major_units_of_any_currency() -> None:
    assert shown_daily_rates(100, "JPY")[0] == "3.57142857"
    assert shown_daily_rates(100, "KWD")[0] == "0.00357143"


@pytest.mark.rule("PRM-024", "PRM-145", "PRM-E15")
@pytest.mark.parametrize(("on", "april"), [("2025-04-11", "177.78"), ("2025-04-16", "166.67")])
def test_a_seasonal_account_prorates_by_modal_period_days(on: str, april: str) -> None:
    history = member().amend(on, amount("1800.00"))
    found = charges(history.timeline(), seasonal(), day("2025-04-01"), day("2025-10-01"))
    assert [(f"{one.period_start:%m}", money(one.net)) for one in found] == [
        ("04", april),
        ("05", "200.00"),
        ("09", "200.00"),
    ]
    assert explain_charge(history.timeline(), seasonal(), found[0]).basis == "MODAL_PERIOD_DAYS"


@pytest.mark.rule("PRM-145", "PRM-E15")
def test_an_aligned_joiner_pays_the_days_of_the_first_active_month() -> None:
    effective = day("2025-09-16")
    joiner = History(effective=effective, anchor=modal_anchor(effective, seasonal().invoicing, align_first_period=True))
    joiner.new_business(amount("1200.00"))
    assert nets(joiner, seasonal(), "2025-09-01", "2025-11-01") == ["66.67", "133.33"]


@pytest.mark.rule("PRM-E15", "PRM-145")
def test_changed_gaps_give_every_transaction_the_amounts_of_the_new_paymode() -> None:
    history = member().amend("2025-04-16", amount("1800.00"))
    terms = seasonal(frozenset({6, 7}))
    assert nets(history, terms, "2025-03-01", "2025-06-01") == ["120.00", "150.00", "180.00"]
    assert nets(history, terms, "2025-06-01", "2025-09-01") == ["180.00"]


@pytest.mark.rule("PRM-147")
def test_a_change_dated_in_a_gap_is_charged_from_the_first_active_period_and_never_credited() -> None:
    history = member()
    book = Book(seasonal())
    book.invoice_months(1, 5, history)
    raised = dataclasses.replace(history, transactions=list(history.transactions)).amend(
        "2025-07-15", amount("1800.00")
    )
    assert nets(raised, seasonal(), "2025-05-01", "2025-10-01") == ["133.33", "200.00"]
    assert book.anyb(raised) == "0.00"
    cancelled = history.cancel("2025-05-16")
    # 15 of 31 days of May; the gap after it is neither charged nor credited.
    assert book.anyb(cancelled) == "-68.82"


@pytest.mark.rule("PRM-145", "CAL-094", "INV-022")
def test_on_an_individual_account_the_deduction_date_in_a_gap_makes_the_period_a_gap() -> None:
    start = day("2025-02-15")
    monthly = Dates(tuple(day(f"2025-{month:02}-15") for month in range(2, 13)))
    terms = individual(seasonal_gaps=frozenset({7}), payroll=(PayrollSchedule(Frequency.MONTHLY, monthly),))
    terms = dataclasses.replace(terms, invoicing=account(start="2025-02-15").invoicing)
    history = History(effective=start).new_business(
        amount("1100.00"), modality=Frequency.MONTHLY, payroll_frequency=Frequency.BIWEEKLY
    )
    found = charges(history.timeline(), terms, start, day("2026-01-15"))
    assert [f"{one.period_start:%m}" for one in found] == ["02", "03", "04", "05", "06", "08", "09", "10", "11", "12"]
    assert {money(one.net) for one in found} == {"100.00"}
    august = terms.invoicing.period_at(day("2025-08-15"))
    assert [money(one.net) for one in charges_billed_in(history.timeline(), terms, august)] == ["100.00"]


@pytest.mark.rule("PRM-031", "PRM-145")
def test_a_key_invoiced_before_a_gap_stays_a_key_of_its_period() -> None:
    # Modal periods from the 20th: 05-20 to 06-19 was billed in May. After a lapse its days begin in the gap of June.
    history = History(effective=day("2025-01-20")).new_business(amount("1200.00"))
    book = Book(seasonal())
    book.invoice_months(1, 5, history)
    history.cancel("2025-05-20").reinstate("2025-06-05")
    # 15 of 31 days of 133.33 remain.
    assert book.anyb(history) == "-68.82"
    fresh = member_anyb(history.timeline(), seasonal(), [], book.billed)
    assert day("2025-05-20") not in {one.key.period_start for one in fresh}


@pytest.mark.rule("PRM-145", "PRM-047")
def test_a_seasonal_account_charges_no_other_modality_than_monthly() -> None:
    history = History().new_business(amount("1200.00"), modality=Frequency.WEEKLY)
    with pytest.raises(Refusal) as refusal:
        nets(history, seasonal(), "2025-01-01", "2025-02-01")
    assert refusal.value.code == "MODAL_CALCULATION_BLOCKED"
