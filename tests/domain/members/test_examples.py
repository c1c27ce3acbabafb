"""The worked examples of 04-premium-and-transactions, told as transactions sent to a member record."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from domain.calendar.frequency import Frequency
from domain.calendar.periods import InvoicingGrid
from domain.members.cascade import CascadeRequest, record_request
from domain.members.events import BilledPremiumReduced, MemberAnybChanged
from domain.premium.modal import ProrationBasis
from domain.premium.transactions import AmendmentKind, ItemKey, TransactionType
from domain.products.master_policy import PolicyTerms
from tests.domain.members.story import (
    LIFE,
    PAYROLL,
    Group,
    Member,
    amount,
    cents,
    day,
    direct_account,
    drop,
    group_account,
    individual_account,
    money,
    names,
    per_class,
    per_location,
    roll_on,
    with_gaps,
)
from tests.domain.premium.builders import sequence

A = ItemKey("LIFE", coverage_class="A")
B = ItemKey("LIFE", coverage_class="B")
CLASS_CHANGE = (AmendmentKind.CLASSIFICATION_CHANGE,)
PAYROLL_CHANGE = (AmendmentKind.PAYROLL_FREQUENCY_CHANGE,)


Act = Callable[[Member], object]


def nothing(_: Member) -> None:
    """No transaction."""


def reductions(happened: Iterable[object]) -> list[int]:
    """By how much billed keys fell (PRM-131)."""
    return [one.difference for one in happened if isinstance(one, BilledPremiumReduced)]


def group_and_direct(start: str) -> Group:
    """The group account G and an individual direct account ID invoicing from a date."""
    return Group({"G": group_account("G"), "ID": direct_account("ID", start)})


@pytest.mark.rule("PRM-E02", "PRM-061")
def test_e02_an_amendment_inside_a_period_is_rounded_once() -> None:
    member = Member(Group()).start()
    member.amend("04-16", "1560.00")
    assert member.nets("G", "04-01", "05-02") == ["113.42", "130.00"]
    unchanged = Member(Group()).start()
    unchanged.amend("03-10", "1200.00")
    unchanged.amend("03-22", "1200.00")
    assert unchanged.nets("G", "03-01", "03-02") == ["100.00"]
    back = Member(Group()).start()
    back.amend("03-10", "1500.00")
    back.amend("03-22", "1200.00")
    assert back.nets("G", "03-01", "03-02") == ["111.78"]


@pytest.mark.rule("PRM-E03", "PRM-028")
def test_e03_the_first_period_is_aligned_where_the_policy_says_so() -> None:
    aligned = Member(Group(terms=PolicyTerms(align_first_period=True))).start("1825.00", on="05-16")
    assert aligned.record.anchor == day("05-01")
    assert aligned.nets("G", "05-01", "06-02") == ["80.00", "152.08"]
    plain = Member(Group()).start("1825.00", on="05-16")
    assert plain.record.anchor == day("05-16")
    assert [(one.period_start, one.period_end) for one in plain.charges("G", "05-16", "05-17")] == [
        (day("05-16"), day("06-16"))
    ]
    assert plain.nets("G", "05-16", "05-17") == ["152.08"]


@pytest.mark.rule("PRM-E03", "PRM-028")
def test_e03_the_last_period_is_cut_by_the_term_expiration() -> None:
    quarterly = {"G": group_account("G", frequency=Frequency.QUARTERLY)}
    member = Member(Group(quarterly, expiration=day("11-16"))).start("1460.00")
    assert member.nets("G", "01-01", "12-31") == ["365.00", "365.00", "365.00", "184.00"]


@pytest.mark.rule("PRM-E04", "PRM-044", "PRM-062", "PRM-131")
def test_e04_a_class_change_credits_the_old_key_and_charges_the_new_one() -> None:
    group = Group()
    member = Member(group).start(amounts=(amount("1200.00", A),), member_class="A")
    group.invoice_months("G", 1, 3)
    happened = member.amend("03-16", kinds=CLASS_CHANGE, amounts=(amount("1200.00", B),), member_class="B")
    assert member.nets("G", "03-01", "03-02") == ["48.39", "51.61"]
    published = member.record.anyb_of("G")
    assert published is not None
    assert [(one.item, one.amount) for one in published.lines] == [(A, -5161), (B, 5161)]
    assert member.anyb() == "0.00"
    [reduced] = [one for one in happened if isinstance(one, BilledPremiumReduced)]
    assert (reduced.item, reduced.invoiced, reduced.corrected, reduced.difference) == (A, 10000, 4839, -5161)
    assert reduced.source_type is TransactionType.AMENDMENT


@pytest.mark.rule("PRM-E04", "PRM-062")
def test_e04_a_class_change_with_another_premium_is_charged_by_days() -> None:
    group = Group()
    member = Member(group).start(amounts=(amount("1200.00", A),), member_class="A")
    group.invoice_months("G", 1, 3)
    member.amend("03-16", kinds=CLASS_CHANGE, amounts=(amount("3000.00", B),), member_class="B")
    assert member.nets("G", "03-01", "04-02") == ["49.32", "131.51", "250.00"]
    assert member.anyb() == "80.83"


@pytest.mark.rule("PRM-E05", "PRM-062", "PRM-045")
@pytest.mark.parametrize(
    ("on", "left", "receiving"),
    [("04-10", ["120.00"], ["155.00", "155.00"]), ("04-21", ["120.00", "43.40"], ["96.82", "155.00"])],
)
def test_e05_a_class_change_moves_the_record_to_the_account_of_the_new_key(
    on: str, left: list[str], receiving: list[str]
) -> None:
    accounts = {"BA-A": group_account("BA-A", "01-10"), "BA-B": group_account("BA-B", "01-10")}
    member = Member(Group(accounts, per_class)).start(on="01-10", amounts=(amount("1440.00", A),), member_class="A")
    member.amend(on, kinds=CLASS_CHANGE, amounts=(amount("1860.00", B),), member_class="B")
    assert member.nets("BA-A", "03-10", "06-09") == left
    assert member.nets("BA-B", "03-10", "06-09") == receiving
    assert [(one.account, one.start) for one in member.record.placements] == [
        ("BA-A", day("01-10")),
        ("BA-B", day(on)),
    ]


def payroll_group() -> Group:
    """An INDIVIDUAL account with a deduction on the first day of each full modal period."""
    return Group({"G": individual_account("G", payroll=PAYROLL)})


@pytest.mark.rule("PRM-E06", "PRM-063")
def test_e06_a_payroll_frequency_change_gives_the_new_modality_from_its_date() -> None:
    group = payroll_group()
    member = Member(group).start("1300.00", payroll_frequency=Frequency.MONTHLY)
    group.invoice("G", "01-01")
    group.invoice("G", "02-01")
    assert group.invoice("G", "03-01") == "108.33"
    member.amend("03-12", kinds=PAYROLL_CHANGE, payroll_frequency=Frequency.BIWEEKLY)
    assert member.nets("G", "03-01", "04-08") == ["39.18", "50.00", "50.00"]
    assert member.anyb() == "30.85"
    assert group.invoice("G", "04-01") == "130.85"
    assert member.anyb() == "0.00"


@pytest.mark.rule("PRM-E06", "PRM-063")
def test_e06_a_payroll_frequency_change_off_the_grid_is_prorated_on_both_sides() -> None:
    member = Member(payroll_group()).start("1300.00", payroll_frequency=Frequency.MONTHLY)
    member.amend("03-10", kinds=PAYROLL_CHANGE, payroll_frequency=Frequency.BIWEEKLY)
    assert member.nets("G", "03-01", "03-26") == ["32.05", "7.12", "50.00"]


@pytest.mark.rule("PRM-E07", "PRM-064")
def test_e07_a_cancellation_charges_nothing_from_its_date() -> None:
    not_invoiced = Member(Group()).start()
    not_invoiced.cancel("03-16")
    assert not_invoiced.nets("G", "03-01", "04-02") == ["49.32"]
    group = Group()
    member, other = Member(group).start(), Member(group, "N").start("600.00")
    group.invoice_months("G", 1, 3)
    member.cancel("03-16")
    assert member.anyb() == "-50.68"
    assert group.invoice("G", "04-01") == "-0.68"
    assert (member.anyb(), other.anyb()) == ("0.00", "0.00")


@pytest.mark.rule("PRM-E07", "PRM-064")
@pytest.mark.parametrize(("on", "anyb"), [("03-01", "-100.00"), ("01-01", "-300.00")])
def test_e07_a_flat_cancellation_credits_everything(on: str, anyb: str) -> None:
    group = Group()
    member = Member(group).start()
    group.invoice_months("G", 1, 3)
    member.cancel(on)
    assert member.anyb() == anyb


@pytest.mark.rule("PRM-E08", "PRM-065", "PRM-066")
def test_e08_reinstated_without_lapse_or_rescinded_everything_is_charged_again() -> None:
    for undo in ("reinstate", "rescind"):
        group = Group()
        member = Member(group).start()
        group.invoice_months("G", 1, 2)
        member.cancel("03-16")
        assert [group.invoice("G", "03-01"), group.invoice("G", "04-01")] == ["49.32", "0.00"]
        getattr(member, undo)("03-16")
        assert member.anyb() == "150.68"


@pytest.mark.rule("PRM-E08", "PRM-066")
def test_e08_reinstated_with_lapse_the_days_between_stay_free() -> None:
    group = Group()
    member = Member(group).start()
    group.invoice_months("G", 1, 2)
    member.cancel("03-16")
    group.invoice_months("G", 3, 4)
    assert member.refused(lambda: member.reinstate("03-10")) == ["REINSTATEMENT_BEFORE_CANCELLATION"]
    assert member.refused(lambda: member.rescind("03-17")) == ["RESCIND_DATE_MISMATCH"]
    member.reinstate("04-11")
    assert member.anyb() == "65.75"
    assert group.invoice("G", "05-01") == "165.75"
    short = Member(Group()).start()
    short.cancel("03-16")
    short.reinstate("03-21")
    assert short.nets("G", "03-01", "03-02") == ["85.48"]


def e09() -> tuple[Group, Member]:
    """E09 up to the amendment that arrives late, as T4."""
    group = Group()
    member = Member(group).start()
    member.amend("04-01", "1320.00")
    member.amend("07-01", "1440.00")
    group.invoice_months("G", 1, 8)
    member.amend("03-01", "1260.00")
    return group, member


@pytest.mark.rule("PRM-E09", "PRM-105", "PRM-110", "PRM-111", "PRM-115", "PRM-123")
def test_e09_an_amendment_out_of_sequence_locks_the_record_and_changes_no_figure() -> None:
    _, member = e09()
    assert (member.status("T2"), member.status("T3")) == ("BACKED_OFF", "BACKED_OFF")
    assert member.versions == {1: "INACTIVE", 2: "INACTIVE", 3: "ACTIVE", 4: "PENDING"}
    assert member.anyb() == "0.00"
    assert member.record.is_roll_on_pending
    assert member.nets("G", "03-01", "08-02") == ["100.00", "110.00", "110.00", "110.00", "120.00", "120.00"]
    assert member.nets("G", "03-01", "08-02", latest=True) == ["105.00"] * 6
    assert reductions(member.events) == []
    assert member.refused(lambda: member.renew("09-01", "1500.00")) == ["ROLL_ON_PENDING"]


@pytest.mark.rule("PRM-E09", "PRM-112", "PRM-113", "PRM-114", "PRM-117")
def test_e09_rolled_on_in_order_the_chain_closes_and_anyb_is_computed_once() -> None:
    _, member = e09()
    assert member.refused(lambda: member.decide(roll_on("T3"))) == ["ROLL_ON_OUT_OF_ORDER"]
    first = member.decide(roll_on("T2", "1380.00"))
    assert member.versions[5] == "PENDING"
    assert not [one for one in first if isinstance(one, MemberAnybChanged)]
    last = member.decide(roll_on("T3", "1500.00"))
    assert member.versions == {1: "INACTIVE", 2: "INACTIVE", 3: "INACTIVE", 4: "INACTIVE", 5: "INACTIVE", 6: "ACTIVE"}
    assert names(last)[-2:] == ["RollOnCompleted", "MemberAnybChanged"]
    assert member.anyb() == "30.00"
    assert member.anyb_lines() == {f"{month:02}-01": ("5.00", "0.00") for month in range(3, 9)}
    assert member.decide(roll_on("T3", "1500.00")) == []
    assert member.refused(lambda: member.decide(roll_on("T3", "1560.00"))) == ["ALREADY_DECIDED"]


@pytest.mark.rule("PRM-E09", "PRM-112", "PRM-114")
def test_e09_dropped_transactions_fall_away() -> None:
    _, member = e09()
    member.decide(roll_on("T2", "1380.00"), drop("T3"))
    assert (member.anyb(), member.versions[5], member.status("T3")) == ("10.00", "ACTIVE", "DROPPED")
    _, both = e09()
    both.decide(drop("T3"))
    assert both.record.is_roll_on_pending
    closed = both.decide(drop("T2"))
    assert (both.anyb(), both.active_number) == ("-40.00", 4)
    assert reductions(closed) == [-500, -500, -500, -1500, -1500]


#: What is done before the invoice of March, what after it, and March as billed and as corrected.
EFFECTS: dict[str, tuple[Act, Act, str, str]] = {
    "amendment, higher": (nothing, lambda one: one.amend("03-16", "1560.00"), "100.00", "117.70"),
    "amendment, lower": (nothing, lambda one: one.amend("03-16", "960.00"), "100.00", "91.40"),
    "renewal, higher": (nothing, lambda one: one.renew("03-16", "1560.00"), "100.00", "117.70"),
    "renewal, lower": (nothing, lambda one: one.renew("03-16", "960.00"), "100.00", "91.40"),
    "cancellation": (nothing, lambda one: one.cancel("03-16"), "100.00", "49.32"),
    "stop": (nothing, lambda one: one.stop("03-16"), "100.00", "49.32"),
    "waiver": (nothing, lambda one: one.waive("03-16"), "100.00", "49.32"),
    "rescission": (lambda one: one.cancel("03-16"), lambda one: one.rescind("03-16"), "49.32", "100.00"),
    "reinstatement": (lambda one: one.cancel("03-16"), lambda one: one.reinstate("03-21"), "49.32", "85.48"),
    "resume": (lambda one: one.stop("03-16"), lambda one: one.resume("03-21"), "49.32", "85.48"),
    "waiver end": (lambda one: one.waive("03-16"), lambda one: one.end_waiver("03-21", "T2"), "49.32", "85.48"),
}


@pytest.mark.rule("PRM-140")
@pytest.mark.parametrize(("before", "act", "billed", "corrected"), EFFECTS.values(), ids=EFFECTS)
def test_a_period_not_invoiced_is_billed_as_corrected_and_an_invoiced_one_gives_anyb(
    before: Act, act: Act, billed: str, corrected: str
) -> None:
    group = Group()
    member = Member(group).start()
    before(member)
    group.invoice_months("G", 1, 2)
    happened = act(member)
    assert (member.anyb(), reductions(happened)) == ("0.00", [])
    assert group.invoice("G", "03-01") == corrected

    group = Group()
    member = Member(group).start()
    before(member)
    assert group.invoice_months("G", 1, 3)[-1] == billed
    happened = act(member)
    difference = cents(corrected) - cents(billed)
    assert (member.anyb(), reductions(happened)) == (money(difference), [difference] if difference < 0 else [])
    april = sum(one.net for one in member.charges("G", "04-01", "04-02"))
    assert group.invoice("G", "04-01") == money(april + difference)


@pytest.mark.rule("PRM-E10", "PRM-046", "PRM-097", "PRM-129", "MEM-130")
def test_e10_a_kept_move_and_a_kept_waiver_are_recalculated_on_top() -> None:
    group = group_and_direct("06-16")
    member = Member(group).start()
    member.amend("04-01", "1320.00")
    member.waive("05-01", "06-01")
    member.port("06-16")
    assert group.invoice_months("G", 1, 6)[-1] == "54.25"
    assert group.invoice("ID", "06-16") == "164.25"
    assert group.invoice("ID", "07-16") == "110.00"
    member.amend("03-11", "1260.00")
    assert (member.status("T2"), member.status("T3"), member.status("T4")) == ("BACKED_OFF", "APPLIED", "APPLIED")
    assert member.versions == {1: "INACTIVE", 2: "INACTIVE", 3: "ACTIVE", 4: "PENDING"}
    member.decide(roll_on("T2", "1380.00"))
    assert member.active_number == 5
    assert member.anyb_lines("G") == {
        "03-01": ("5.37", "0.00"),
        "04-01": ("5.00", "0.00"),
        "05-01": ("5.00", "-5.00"),
        "06-01": ("2.46", "0.00"),
    }
    assert (member.anyb("G"), member.anyb("ID")) == ("12.83", "12.46")


@pytest.mark.rule("PRM-E11", "PRM-127", "PRM-128")
def test_e11_a_cancellation_out_of_sequence_consumed_and_restored_by_a_discard() -> None:
    group = Group()
    member, other = Member(group).start(), Member(group, "N").start()
    group.invoice_months("G", 1, 3)
    member.amend("01-01", "1440.00")
    assert member.anyb() == "60.00"
    member.cancel("02-01")
    assert member.anyb() == "-180.00"
    assert group.invoice("G", "04-01") == "-80.00"
    assert (member.anyb(), other.anyb()) == ("0.00", "0.00")
    group.discard("G", "04-01")
    assert (member.anyb(), other.anyb()) == ("-180.00", "0.00")
    assert group.invoice("G", "04-01") == "-80.00"
    assert member.anyb() == "0.00"


@pytest.mark.rule("PRM-E12", "PRM-101", "PRM-106", "MEM-131")
def test_e12_a_portability_out_of_sequence_makes_later_amendments_ineffective() -> None:
    group = group_and_direct("03-01")
    member = Member(group).start()
    member.amend("04-01", "1320.00")
    assert group.invoice_months("G", 1, 4) == ["100.00", "100.00", "100.00", "110.00"]
    member.port("03-01")
    assert member.status("T2") == "INEFFECTIVE"
    assert not member.record.is_roll_on_pending
    assert member.anyb() == "-210.00"
    assert member.nets("ID", "03-01", "04-02") == ["100.00", "100.00"]
    assert member.refused(lambda: member.port("03-01")) == ["TRANSITION_DATE_NOT_AFTER_PREVIOUS"]


@pytest.mark.rule("PRM-E13", "PRM-029", "PRM-095", "PRM-096")
def test_e13_a_waiver_over_invoices() -> None:
    group = Group()
    member, other = Member(group).start(), Member(group, "N").start("600.00")
    group.invoice_months("G", 1, 3)
    member.waive("03-11")
    assert (member.nets("G", "03-01", "03-02"), member.anyb()) == (["32.88"], "-67.12")
    assert group.invoice("G", "04-01") == "-17.12"
    member.amend("02-01", "1320.00")
    assert member.anyb_lines() == {
        "02-01": ("10.00", "0.00"),
        "03-01": ("10.00", "-6.72"),
        "04-01": ("10.00", "-10.00"),
    }
    assert (member.status("T2"), member.anyb()) == ("APPLIED", "13.28")
    member.end_waiver("04-21", "T2")
    assert (member.nets("G", "04-01", "04-02"), member.anyb()) == (["36.16"], "49.44")
    assert group.invoice("G", "05-01") == "209.44"
    assert (member.anyb(), other.anyb()) == ("0.00", "0.00")
    parts = Member(Group()).start()
    parts.waive("03-11", "03-21")
    parts.amend("03-21", "1560.00")
    [march] = parts.charges("G", "03-01", "03-02")
    assert (march.gross, march.waiver, march.net) == (11277, -3288, 7989)


@pytest.mark.rule("PRM-E14", "PRM-080", "PRM-081", "PRM-082", "PRM-084")
def test_e14_stop_and_resume() -> None:
    group = Group()
    member = Member(group).start()
    member.amend("05-01", "1320.00")
    member.amend("07-01", "1440.00")
    assert group.invoice_months("G", 1, 5) == ["100.00", "100.00", "100.00", "100.00", "110.00"]
    member.stop("04-11")
    assert (member.status("T2"), member.status("T3")) == ("APPLIED", "APPLIED")
    assert member.active.at(day("07-01")).nonforfeiture == "REDUCED_PAID_UP"
    assert (member.nets("G", "04-01", "04-02"), member.anyb()) == (["32.88"], "-177.12")
    assert group.invoice("G", "06-01") == "-177.12"
    member.resume("06-16")
    assert (member.status("T2"), member.status("T3")) == ("APPLIED", "BACKED_OFF")
    assert member.anyb() == "0.00"
    member.decide(roll_on("T3", "1440.00"))
    assert member.active.at(day("06-16")).amounts[0].annual == 120000
    assert member.anyb() == "49.32"
    assert group.invoice("G", "07-01") == "169.32"


@pytest.mark.rule("PRM-E15", "PRM-145", "PRM-147")
def test_e15_seasonal_premium() -> None:
    group = Group({"G": with_gaps(group_account("G"), 6, 7, 8)}, terms=PolicyTerms(align_first_period=True))
    member = Member(group).start()
    assert member.nets("G", "01-01", "01-02") == ["133.33"]
    member.amend("04-11", "1800.00")
    assert member.nets("G", "04-01", "09-02") == ["177.78", "200.00", "200.00"]
    joiner = Member(group, "J").start(on="09-16")
    assert joiner.nets("G", "09-01", "10-02") == ["66.67", "133.33"]


@pytest.mark.rule("PRM-E15", "PRM-148")
def test_e15_changed_gaps_give_one_new_version_a_transaction() -> None:
    group = Group({"G": with_gaps(group_account("G"), 6, 7, 8)})
    member = Member(group).start()
    member.amend("04-16", "1800.00")
    assert member.nets("G", "04-01", "04-02") == ["166.67"]
    group.accounts["G"] = with_gaps(group.accounts["G"], 6, 7)
    member.send(TransactionType.SEASONAL_UPDATE, "04-16", account="G")
    made = [one for one in member.record.versions if one.seasonal]
    assert [(one.number, one.origin, one.status.value) for one in made] == [
        (3, "T1", "INACTIVE"),
        (4, "T2", "ACTIVE"),
    ]
    assert [one.type for one in made] == [TransactionType.NEW_BUSINESS, TransactionType.AMENDMENT]
    seasonal = {one.effective: one for one in member.record.rows}
    assert all(one.seasonal for one in seasonal.values())
    assert (seasonal[day("01-01")].modal, seasonal[day("05-01")].modal) == (12000, 18000)
    assert [seasonal[day(on)].origin_version for on in ("01-01", "04-16", "05-01")] == [1, 2, 2]
    assert member.nets("G", "04-01", "04-02") == ["150.00"]
    assert member.nets("G", "08-01", "08-02") == ["180.00"]


@pytest.mark.rule("PRM-E16", "PRM-130")
def test_e16_a_third_sequence_takes_its_share_from_the_others() -> None:
    group = Group()
    shares = (sequence(1, "600.00"), sequence(2, "600.00"))
    member = Member(group).start(amounts=(amount("1200.00", LIFE, *shares),))
    group.invoice_months("G", 1, 4)
    third = sequence(3, "600.00", "2025-04-11")
    member.amend("04-11", amounts=(amount("1800.00", LIFE, *shares, third),))
    published = member.record.anyb_of("G")
    assert published is not None
    assert [(one.sequence, one.amount) for one in published.lines] == [("S1", -68), ("S2", -68), ("S3", 3287)]
    assert member.anyb() == "31.51"


@pytest.mark.rule("PRM-E17", "PRM-068", "PRM-101")
def test_e17_a_lower_renewal_keeps_the_invoices() -> None:
    group = Group()
    member = Member(group).start()
    group.invoice_months("G", 1, 3)
    member.renew("02-01", "1080.00")
    assert member.anyb_lines() == {"02-01": ("-10.00", "0.00"), "03-01": ("-10.00", "0.00")}
    assert group.invoice("G", "04-01") == "70.00"
    group.discard("G", "04-01")
    assert member.anyb() == "-20.00"
    assert member.refused(lambda: member.renew("01-15", "1080.00")) == ["OOS_RENEWAL_NOT_SUPPORTED"]


@pytest.mark.rule("PRM-E18", "PRM-060", "PRM-122")
@pytest.mark.parametrize(("aligned", "anyb", "bill"), [(True, "242.74", "342.74"), (False, "300.00", "400.00")])
def test_e18_late_new_business_is_a_prior_period_charge(aligned: bool, anyb: str, bill: str) -> None:
    group = Group(terms=PolicyTerms(align_first_period=aligned))
    group.invoice_months("G", 1, 4)
    member = Member(group).start(on="02-16")
    assert member.anyb() == anyb
    published = member.record.anyb_of("G")
    assert published is not None
    assert {one.kind.value for one in published.lines} == {"PRIOR_PERIOD_CHARGE"}
    assert group.invoice("G", "05-01") == bill


@pytest.mark.rule("PRM-E19", "PRM-072", "MEM-072", "MEM-106")
def test_e19_an_employment_change_before_a_later_amendment_keeps_it() -> None:
    group = Group({"L1": group_account("L1"), "L2": group_account("L2")}, per_location)
    member = Member(group).start("1440.00", location="L1")
    member.amend("05-01", "1560.00")
    group.invoice_months("L1", 1, 5)
    group.invoice_months("L2", 1, 4)
    member.employ("04-16", "L2")
    assert (member.status("T2"), member.versions) == ("APPLIED", {1: "INACTIVE", 2: "INACTIVE", 3: "ACTIVE"})
    assert member.nets("L1", "04-01", "04-02") == ["59.18"]
    assert (member.anyb("L1"), member.anyb("L2")) == ("-190.82", "59.18")
    assert group.invoice("L2", "05-01") == "189.18"


@pytest.mark.rule("PRM-E20", "PRM-073", "PRM-102")
def test_e20_a_modality_change_of_the_account_is_kept_on_its_own_calendar() -> None:
    group = Group({"G": group_account("G")})
    member = Member(group).start(on="02-01")
    grid = InvoicingGrid.starting(day("01-01"), Frequency.MONTHLY).with_frequency(Frequency.QUARTERLY, day("04-01"))
    group.accounts["G"] = replace(group.accounts["G"], invoicing=grid)
    happened = member.send(
        TransactionType.INVOICING_MODALITY_CHANGE, "04-01", account="G", modality=Frequency.QUARTERLY
    )
    assert "ModalityChanged" in names(happened)
    member.amend("06-01", "1500.00")
    assert member.nets("G", "02-01", "10-31") == ["100.00", "100.00", "98.63", "352.60", "375.00"]
    member.amend("03-11", "1320.00")
    assert (member.status("T2"), member.status("T3")) == ("APPLIED", "BACKED_OFF")
    assert member.nets("G", "03-01", "07-31", latest=True) == ["108.82", "108.49", "330.00"]
    member.decide(roll_on("T3", "1560.00"))
    assert member.nets("G", "05-01", "10-31") == ["372.82", "390.00"]


@pytest.mark.rule("PRM-E21", "PRM-040", "PRM-069", "PRM-152")
def test_e21_a_rewrite_makes_everything_before_it_obsolete() -> None:
    group = Group()
    member = Member(group).start()
    member.amend("03-01", "1320.00")
    assert group.invoice_months("G", 1, 3) == ["100.00", "100.00", "110.00"]
    rewrite = CascadeRequest("R", TransactionType.REWRITE, "MP-1", day("02-01"), day("02-01"))
    group.discard("G", "01-01")
    from_cascade = record_request(rewrite, member.record)
    member.send(TransactionType.REWRITE, "02-01", transaction_id=from_cascade.transaction_id, cascade="R")
    assert (member.status("T1"), member.status("T2")) == ("OBSOLETE", "OBSOLETE")
    assert member.versions == {1: "OBSOLETE", 2: "OBSOLETE", 3: "ACTIVE"}
    assert (member.record.effective_date, member.record.anchor) == (day("02-01"), day("02-01"))
    assert member.anyb() == "-10.00"
    assert group.invoice("G", "04-01") == "90.00"


@pytest.mark.rule("PRM-E22")
@pytest.mark.parametrize(
    ("basis", "net"),
    [
        (ProrationBasis.ANNUAL_365, "32.88"),
        (ProrationBasis.MODAL_PERIOD_DAYS, "34.48"),
        (ProrationBasis.ANNUAL_ACTUAL, "32.79"),
    ],
)
def test_e22_a_cancelled_month_by_basis(basis: ProrationBasis, net: str) -> None:
    group = Group({"G": group_account("G", "2024-01-01", proration_basis=basis)})
    member = Member(group).start(on="2024-01-01")
    member.cancel("2024-02-11")
    assert member.nets("G", "2024-02-01", "2024-02-02") == [net]


@pytest.mark.rule("PRM-E23", "PRM-070", "PRM-129", "MEM-130")
@pytest.mark.parametrize(("stated", "direct_anyb"), [(None, "14.93"), ("1500.00", "0.00")])
def test_e23_a_move_carries_the_premium_unless_it_states_one(stated: str | None, direct_anyb: str) -> None:
    group = group_and_direct("04-16")
    member = Member(group).start("1440.00")
    group.invoice_months("G", 1, 5)
    member.port("04-16", amounts=() if stated is None else (amount(stated),))
    assert member.anyb("G") == "-180.82"
    if stated is None:
        assert member.nets("ID", "04-16", "05-02") == ["59.18", "120.00"]
    group.invoice("ID", "04-16")
    member.amend("04-01", "1560.00")
    assert member.nets("G", "04-01", "04-02") == ["64.11"]
    assert (member.anyb("G"), member.anyb("ID")) == ("-175.89", direct_anyb)


@pytest.mark.rule("PRM-E26", "PRM-004", "PRM-113")
def test_e26_rolled_on_a_transaction_takes_its_old_place_before_one_of_the_same_date() -> None:
    group = group_and_direct("04-01")
    member = Member(group).start()
    member.amend("04-01", "1320.00")
    member.port("04-01", amounts=(amount("1440.00"),))
    assert member.nets("ID", "04-01", "04-02") == ["120.00"]
    member.amend("03-01", "1260.00")
    assert (member.status("T2"), member.status("T3")) == ("BACKED_OFF", "APPLIED")
    member.decide(roll_on("T2"))
    assert member.nets("ID", "04-01", "04-02") == ["120.00"]
    assert member.nets("G", "03-01", "03-02") == ["105.00"]
