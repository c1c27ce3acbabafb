"""Changes of an account that reach its records: invoicing modality and seasonal gaps (PRM-073, PRM-148)."""

from dataclasses import replace
from typing import Any

import pytest

from domain.calendar.frequency import Frequency
from domain.calendar.periods import InvoicingGrid
from domain.premium.transactions import Origin, TransactionType
from tests.domain.members.story import (
    PAYROLL,
    Group,
    Member,
    day,
    direct_account,
    group_account,
    individual_account,
    names,
    roll_on,
    with_gaps,
)

T = TransactionType


def to_quarterly(group: Group, on: str) -> None:
    """The account G invoices quarterly from the date."""
    grid = InvoicingGrid.starting(day("01-01"), Frequency.MONTHLY).with_frequency(Frequency.QUARTERLY, day(on))
    group.accounts["G"] = replace(group.accounts["G"], invoicing=grid)


def change_modality(member: Member, on: str, **stated: Any) -> list[object]:
    stated = {"account": "G", "modality": Frequency.QUARTERLY, "origin": Origin.BILLING, **stated}
    return member.send(T.INVOICING_MODALITY_CHANGE, on, **stated)


def change_gaps(member: Member, *months: int) -> list[object]:
    group = member.group
    group.accounts["G"] = with_gaps(group.accounts["G"], *months)
    return member.send(T.SEASONAL_UPDATE, "04-01", account="G", origin=Origin.BILLING)


@pytest.mark.rule("PRM-073")
def test_a_frequency_change_reaches_records_whose_modality_comes_from_the_account() -> None:
    group = Group()
    member = Member(group).start()
    group.invoice_months("G", 1, 3)
    to_quarterly(group, "04-01")
    happened = change_modality(member, "04-01")
    told: Any = next(one for one in happened if type(one).__name__ == "ModalityChanged")
    assert (told.master_policy, told.account, told.effective_date) == ("MP-1", "G", day("04-01"))
    assert (told.old_modality, told.modality) == (Frequency.MONTHLY, Frequency.QUARTERLY)
    assert (member.active_number, member.nets("G", "03-01", "04-02")) == (2, ["100.00", "300.00"])


@pytest.mark.rule("PRM-073")
def test_records_elsewhere_or_with_a_modality_of_their_own_are_not_concerned() -> None:
    group = Group({"G": group_account("G"), "ID": direct_account("ID")})
    moved = Member(group).start()
    moved.port("03-01")
    own = Member(Group({"G": individual_account("G", payroll=PAYROLL)}), "N").start(payroll_frequency=Frequency.MONTHLY)
    to_quarterly(group, "04-01")
    assert change_modality(moved, "04-01") == []
    assert change_modality(own, "04-01") == []


@pytest.mark.rule("PRM-073")
def test_a_record_placed_later_takes_the_new_modality_from_its_placement() -> None:
    group = Group()
    member = Member(group).start(on="06-01")
    to_quarterly(group, "04-01")
    change_modality(member, "04-01")
    changed = member.record.transaction("T2")
    assert changed is not None
    assert (changed.effective_date, changed.original_date) == (day("06-01"), day("04-01"))
    assert member.nets("G", "06-01", "06-02") == ["300.00"]


@pytest.mark.rule("PRM-073", "PRM-100")
def test_a_change_dated_before_a_later_one_of_the_account_is_refused() -> None:
    group = Group()
    member = Member(group).start()
    to_quarterly(group, "06-01")
    change_modality(member, "06-01")
    assert member.refused(lambda: change_modality(member, "04-01")) == ["LATER_FREQUENCY_CHANGE_EXISTS"]
    change_modality(member, "07-01")
    member.amend("04-01", "1320.00")
    assert member.status("T2") == "APPLIED"


@pytest.mark.rule("PRM-034")
def test_only_a_rewrite_gives_the_modal_grid_another_anchor() -> None:
    group = Group({"G": group_account("G"), "ID": direct_account("ID", "06-01")})
    member = Member(group).start(on="01-10")
    member.amend("02-15", "1320.00")
    member.renew("03-20", "1440.00")
    to_quarterly(group, "04-01")
    change_modality(member, "04-01")
    member.port("06-03")
    assert member.record.anchor == day("01-10")
    starts = [f"{one.period_start:%m-%d}" for one in member.charges("G", "01-10", "06-03")]
    assert starts == ["01-10", "02-10", "03-10", "01-10", "04-10"]
    assert [f"{one.period_start:%m-%d}" for one in member.charges("ID", "06-03", "07-11")] == [
        "05-10",
        "06-10",
        "07-10",
    ]
    member.send(T.REWRITE, "02-05", cascade="R")
    assert member.record.anchor == day("02-05")
    assert [f"{one.period_start:%m-%d}" for one in member.charges("ID", "06-03", "06-06")] == ["05-05", "06-05"]


@pytest.mark.rule("PRM-148", "PRM-040")
def test_changed_gaps_give_no_version_of_their_own_but_one_a_transaction_with_rows() -> None:
    member = Member(Group()).start()
    member.amend("03-01", "1320.00")
    happened: list[Any] = change_gaps(member, 6, 7)
    told = next(one for one in happened if type(one).__name__ == "SeasonalPremiumRecalculated")
    assert (told.account, told.gap_months, told.versions) == ("G", (6, 7), (3, 4))
    update = member.record.transaction("T3")
    assert update is not None
    assert update.version is None
    assert [one.status.value for one in member.record.versions] == ["INACTIVE", "INACTIVE", "INACTIVE", "ACTIVE"]
    assert member.nets("G", "01-01", "01-02") == ["120.00"]
    assert [(f"{one.effective:%m-%d}", one.modal, one.seasonal) for one in member.record.rows] == [
        ("01-01", 12000, True),
        ("03-01", 13200, True),
    ]


@pytest.mark.rule("PRM-148")
def test_a_row_once_recalculated_keeps_its_mark_through_later_versions() -> None:
    member = Member(Group()).start()
    change_gaps(member, 6, 7)
    member.amend("04-01", "1320.00")
    assert [(one.seasonal, one.origin_version) for one in member.record.rows] == [(True, 1), (False, 3)]


@pytest.mark.rule("PRM-148")
def test_a_record_without_a_placement_on_the_account_is_left_alone() -> None:
    member = Member(Group({"G": group_account("G"), "H": group_account("H")})).start()
    assert member.send(T.SEASONAL_UPDATE, "04-01", account="H") == []


@pytest.mark.rule("PRM-148", "PRM-115")
def test_a_locked_record_is_recalculated_after_the_lock() -> None:
    group = Group()
    member = Member(group).start()
    member.amend("05-01", "1320.00")
    member.amend("03-01", "1260.00")
    group.accounts["G"] = with_gaps(group.accounts["G"], 6, 7)
    parked = member.send(T.SEASONAL_UPDATE, "04-01", account="G", transaction_id="S")
    assert names(parked) == ["TransactionParked"]
    member.decide(roll_on("T2"))
    happened: Any = member.unpark("S")
    told = next(one for one in happened if type(one).__name__ == "SeasonalPremiumRecalculated")
    assert len(told.versions) == 3
    assert {one.modal for one in member.record.rows} == {12000, 12600, 13200}


@pytest.mark.rule("MEM-112")
def test_on_a_seasonal_account_the_stored_modality_gives_way_to_monthly() -> None:
    member = Member(Group({"G": individual_account("G", payroll=PAYROLL)})).start(payroll_frequency=Frequency.BIWEEKLY)
    assert member.active.at(day("01-01")).modality is Frequency.BIWEEKLY
    change_gaps(member, 6, 7, 8)
    assert member.active.at(day("01-01")).modality is Frequency.MONTHLY
    assert member.nets("G", "01-01", "01-02") == ["133.33"]


@pytest.mark.rule("PRM-041", "PRM-148")
def test_a_row_belongs_to_the_transaction_that_ended_cover_not_to_one_without_version_of_its_day() -> None:
    member = Member(Group()).start()
    member.waive("01-01", waiver_id="W")
    member.cancel("01-16")
    member.end_waiver("01-16", "W")
    change_gaps(member, 6)
    shown = sorted((one.effective, one.transaction_id, one.annual, one.seasonal) for one in member.record.rows)
    assert shown == [
        (day("01-01"), "T1", 120000, True),
        (day("01-16"), "T3", 0, False),
        (day("02-01"), "T3", 0, False),
    ]
