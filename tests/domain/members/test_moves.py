"""Moves to individual direct, returns, removed continuations (MEM-120 to MEM-131)."""

from typing import Any

import pytest

from domain.accounts.bill_type import BillType
from domain.accounts.setup import Routed
from domain.calendar.frequency import Frequency
from domain.members.identity import NON_PAYMENT, cancellation_refused, request_cancellation
from domain.members.record import MEMBER_RECORD
from domain.members.views import continues_group
from domain.premium.transactions import AmendmentKind, ItemKey, TransactionType
from domain.products.master_policy import PolicyTerms
from tests.domain.members.story import (
    PAYROLL,
    Group,
    Member,
    amount,
    day,
    direct_account,
    group_account,
    individual_account,
    names,
    per_class,
)

T = TransactionType


def moving(**more: Any) -> tuple[Group, Member]:
    group = Group({"G": group_account("G"), "ID": direct_account("ID"), "ID2": direct_account("ID2")}, **more)
    return group, Member(group).start()


def give_back(member: Member, on: str, **stated: Any) -> list[object]:
    return member.send(T.MOVED_TO_LIST_BILL, on, **stated)


def event(happened: list[object], name: str) -> Any:
    return next(one for one in happened if type(one).__name__ == name)


@pytest.mark.rule("MEM-E08", "MEM-124", "MEM-129", "MEM-071", "PRM-070")
def test_e08_a_move_to_a_new_individual_account() -> None:
    group = Group({"G": group_account("G"), "ID": direct_account("ID", "04-16")})
    member = Member(group).start()
    group.invoice_months("G", 1, 5)
    happened = member.port("04-16")
    assert (member.nets("G", "04-01", "06-01"), member.anyb("G")) == (["49.32"], "-150.68")
    assert (member.nets("ID", "04-16", "05-02"), member.anyb("ID")) == (["49.32", "100.00"], "0.00")
    placed = member.record.placements[-1]
    assert (placed.account, placed.start, placed.direct) == ("ID", day("04-16"), True)
    movements = event(happened, "MemberRecordMoved").movements
    assert [(one.kind.value, one.account) for one in movements] == [("MOVED_OUT", "G"), ("MOVED_IN", "ID")]
    moved = event(happened, "MemberPremiumMoved")
    assert (moved.from_account, moved.to_account, moved.modality) == ("G", "ID", Frequency.MONTHLY)


@pytest.mark.rule("MEM-E09", "MEM-122", "MEM-125")
def test_e09_a_move_is_strictly_later_than_the_move_or_return_before_it() -> None:
    _, member = moving()
    member.port("04-16")
    assert member.refused(lambda: member.port("04-16")) == ["TRANSITION_DATE_NOT_AFTER_PREVIOUS"]
    give_back(member, "05-01")
    assert member.refused(lambda: member.port("05-01")) == ["TRANSITION_DATE_NOT_AFTER_PREVIOUS"]
    member.port("05-02")
    assert [one.account for one in member.record.placements] == ["G", "ID", "G", "ID"]


@pytest.mark.rule("MEM-122", "MEM-123")
def test_the_conditions_of_a_move_are_checked_in_their_order() -> None:
    group, member = moving()
    member.cancel("06-01")
    assert member.refused(lambda: member.port("2024-12-31")) == ["BEFORE_MEMBER_EFFECTIVE"]
    assert member.refused(lambda: member.port("06-01")) == ["MEMBER_NOT_IN_FORCE"]
    member.port("03-01")
    assert member.status("T2") == "INEFFECTIVE"
    assert member.refused(lambda: member.port("2024-12-31", "ID2")) == ["TRANSITION_DATE_NOT_AFTER_PREVIOUS"]
    assert member.refused(lambda: member.port("04-01", "ID2")) == ["ALREADY_INDIVIDUAL_DIRECT"]
    group.expiration = day("2026-01-01")
    other = Member(group, "N").start()
    assert other.refused(lambda: other.port("2026-01-01")) == ["MEMBER_NOT_IN_FORCE"]


@pytest.mark.rule("MEM-E23", "MEM-121")
def test_e23_all_that_is_missing_for_a_move_is_reported() -> None:
    _, member = moving()
    assert member.refused(lambda: member.port("03-01", None, modality=None)) == [
        "ACCOUNT_SELECTION_MISSING",
        "MODALITY_MISSING",
    ]
    creating = {"account_incomplete": True}
    assert member.refused(lambda: member.port("03-01", modality=None, facts=creating)) == [
        "ACCOUNT_CREATION_INCOMPLETE",
        "MODALITY_MISSING",
    ]


@pytest.mark.rule("MEM-111")
def test_a_modality_outside_those_offered_is_refused() -> None:
    _, member = moving()
    assert member.refused(lambda: member.port("03-01", modality=Frequency.ANNUAL)) == ["MODALITY_NOT_ALLOWED"]


@pytest.mark.rule("MEM-E11", "MEM-130")
def test_e11_an_amendment_before_the_move_reaches_both_accounts() -> None:
    group = Group({"G": group_account("G"), "ID": direct_account("ID", "04-16")})
    member = Member(group).start()
    group.invoice_months("G", 1, 5)
    member.port("04-16")
    group.invoice("ID", "04-16")
    happened = member.amend("04-01", "1560.00")
    assert (member.nets("G", "04-01", "04-02"), member.anyb("G")) == (["64.11"], "-135.89")
    assert (member.nets("ID", "04-16", "05-02"), member.anyb("ID")) == (["64.11", "130.00"], "44.79")
    assert member.record.placements[-1].start == day("04-16")
    assert "MemberPremiumRecalculated" in names(happened)


@pytest.mark.rule("MEM-130", "PRM-070")
def test_an_amendment_on_or_after_the_move_touches_the_individual_account_only() -> None:
    group, member = moving()
    group.invoice_months("G", 1, 5)
    group.invoice_months("ID", 1, 5)
    member.port("04-01")
    before = member.anyb("G")
    member.amend("04-01", "1560.00")
    assert member.anyb("G") == before
    assert member.anyb("ID") == "260.00"


@pytest.mark.rule("MEM-131", "MEM-124")
def test_a_backdated_move_voids_later_group_placements_and_keeps_the_marks() -> None:
    accounts = {name: group_account(name) for name in ("BA-A", "BA-B")} | {"ID": direct_account("ID")}
    member = Member(Group(accounts, per_class)).start(member_class="A")
    member.waive("02-01", transaction_id="W")
    key = ItemKey("LIFE", coverage_class="B")
    change = (AmendmentKind.CLASSIFICATION_CHANGE,)
    member.amend("05-01", member_class="B", kinds=change, amounts=(amount("1500.00", key),))
    assert [one.account for one in member.record.placements] == ["BA-A", "BA-B"]
    happened = member.port("04-01")
    assert [(one.account, one.start) for one in member.record.placements] == [
        ("BA-A", day("01-01")),
        ("ID", day("04-01")),
    ]
    assert member.status("W") == "APPLIED"
    assert member.active.at(day("06-01")).waivers[0].waiver_id == "W"
    movements = event(happened, "MemberRecordMoved").movements
    assert [(one.kind.value, one.account, one.date) for one in movements] == [
        ("MOVED_OUT", "BA-A", day("04-01")),
        ("MOVED_IN", "ID", day("04-01")),
        ("MOVED_OUT", "BA-B", day("05-01")),
        ("MOVED_IN", "ID", day("05-01")),
    ]


# ------------------------------------------------------------------------------------------------------------ return


@pytest.mark.rule("MEM-125", "MEM-126", "MEM-127")
def test_a_return_leads_to_the_account_left_and_its_modality() -> None:
    _, member = moving()
    member.port("04-16", modality=Frequency.BIWEEKLY)
    assert member.nets("ID", "04-16", "04-24") == ["23.01", "46.15"]
    happened = give_back(member, "06-01")
    returned = event(happened, "MemberRecordReturned")
    assert (returned.from_account, returned.to_account, returned.to_original_account) == ("ID", "G", True)
    assert member.active.at(day("06-01")).modality is None
    assert member.nets("G", "06-01", "06-02") == ["100.00"]
    assert continues_group(member.record, day("05-01"))
    assert not continues_group(member.record, day("06-01"))


@pytest.mark.rule("MEM-125")
def test_a_return_is_not_dated_before_the_individual_placement_began() -> None:
    _, member = moving()
    assert member.refused(lambda: give_back(member, "04-01")) == ["NOT_ON_INDIVIDUAL_DIRECT"]
    member.port("04-16")
    assert member.refused(lambda: give_back(member, "04-15")) == ["RETURN_BEFORE_CONTINUATION"]
    give_back(member, "04-16")
    assert [(one.account, one.start, one.end) for one in member.record.placements] == [
        ("G", day("01-01"), day("04-16")),
        ("ID", day("04-16"), day("04-16")),
        ("G", day("04-16"), None),
    ]
    assert member.nets("G", "04-01", "04-02") == ["100.00"]
    assert member.refused(lambda: give_back(member, "05-01")) == ["NOT_ON_INDIVIDUAL_DIRECT"]


@pytest.mark.rule("MEM-126")
def test_a_return_needs_the_account_left_to_be_active() -> None:
    _, member = moving()
    member.port("04-16")
    inactive = {"inactive_accounts": frozenset({"G"})}
    assert member.refused(lambda: give_back(member, "06-01", facts=inactive)) == ["GROUP_ACCOUNT_NOT_ACTIVE"]


@pytest.mark.rule("MEM-E10", "MEM-126")
def test_e10_with_another_class_a_return_leads_to_the_account_of_that_class() -> None:
    accounts = {name: group_account(name) for name in ("BA-A", "BA-B")} | {"ID": direct_account("ID")}
    group = Group(accounts, per_class)
    member = Member(group).start(member_class="A")
    member.port("03-01")
    key = ItemKey("LIFE", coverage_class="B")
    change = (AmendmentKind.CLASSIFICATION_CHANGE,)
    member.amend("04-01", member_class="B", kinds=change, amounts=(amount("1200.00", key),))
    assert member.record.placements[-1].account == "ID"
    group.route = lambda _: Routed(None, ("CLASS_BILLING_MISSING",))
    assert member.refused(lambda: give_back(member, "05-01")) == ["NO_GROUP_ACCOUNT_FOR_ATTRIBUTES"]
    assert member.record.placements[-1].account == "ID"
    group.route = per_class
    returned = event(give_back(member, "05-01"), "MemberRecordReturned")
    assert (returned.to_account, returned.to_original_account) == ("BA-B", False)


@pytest.mark.rule("MEM-110", "MEM-127")
def test_a_return_without_a_derivable_modality_fails() -> None:
    group, member = moving()
    member.port("03-01")
    group.terms = PolicyTerms(allowed_modalities=(Frequency.ANNUAL,))
    assert member.refused(lambda: give_back(member, "05-01")) == ["MODALITY_UNRESOLVED"]


@pytest.mark.rule("MEM-108", "MEM-127")
def test_a_return_to_a_payroll_account_takes_the_payroll_frequency() -> None:
    group = Group({"G": individual_account("G", payroll=PAYROLL), "ID": direct_account("ID")})
    member = Member(group).start(payroll_frequency=Frequency.BIWEEKLY)
    member.port("03-01")
    assert member.active.at(day("03-01")).modality is Frequency.MONTHLY
    give_back(member, "05-01")
    assert member.active.at(day("05-01")).modality is Frequency.BIWEEKLY


@pytest.mark.rule("MEM-106", "MEM-126")
def test_a_backdated_employment_change_leads_a_later_return_to_another_account() -> None:
    accounts = {name: group_account(name) for name in ("L1", "L2")} | {"ID": direct_account("ID")}
    member = Member(Group(accounts, lambda sought: Routed(sought.location))).start(location="L1")
    member.port("03-01")
    give_back(member, "06-01")
    assert [one.account for one in member.record.placements] == ["L1", "ID", "L1"]
    member.employ("05-01", "L2")
    assert [(one.account, one.start) for one in member.record.placements] == [
        ("L1", day("01-01")),
        ("ID", day("03-01")),
        ("L2", day("06-01")),
    ]


# ---------------------------------------------------------------------------------------------------- self-bill origin


def self_bill() -> tuple[Group, Member]:
    """A record of self-bill origin, on individual direct from its start."""
    group = Group({"ID": direct_account("ID")}, bill_type=BillType.SELF_BILL)
    return group, Member(group).start(account="ID", modality=Frequency.MONTHLY)


@pytest.mark.rule("MEM-E24", "MEM-128", "PRM-071")
def test_e24_a_self_bill_continuation_is_removed_and_stays_in_place() -> None:
    group, member = self_bill()
    group.invoice_months("ID", 1, 5)
    assert member.refused(lambda: give_back(member, "04-16")) == ["SELF_BILL_ORIGIN"]
    happened = member.send(T.CONTINUATION_REMOVED, "04-16")
    assert "ContinuationRemoved" in names(happened)
    assert member.nets("ID", "04-01", "05-02") == ["49.32", "0.00"]
    assert member.anyb("ID") == "-150.68"
    assert [(one.account, one.end) for one in member.record.placements] == [("ID", None)]


@pytest.mark.rule("MEM-128", "MEM-125")
def test_a_removal_is_for_self_bill_origin_and_not_before_the_placement() -> None:
    _, member = self_bill()
    codes = member.refused(lambda: member.send(T.CONTINUATION_REMOVED, "2024-12-31"))
    assert codes == ["RETURN_BEFORE_CONTINUATION"]
    _, listed = moving()
    listed.port("03-01")
    assert listed.refused(lambda: listed.send(T.CONTINUATION_REMOVED, "04-01")) == ["NOT_SELF_BILL_ORIGIN"]


@pytest.mark.rule("MEM-125")
def test_a_purely_individual_record_has_no_group_to_return_to() -> None:
    group = Group({"ID": direct_account("ID")}, bill_type=BillType.INDIVIDUAL_DIRECT)
    member = Member(group).start(account="ID", modality=Frequency.MONTHLY)
    assert member.refused(lambda: give_back(member, "04-01")) == ["NOT_ON_INDIVIDUAL_DIRECT"]


# -------------------------------------------------------------------------------------------- first invoice, names


@pytest.mark.rule("MEM-134", "MEM-137")
def test_a_portability_stamps_the_grace_days_and_a_request_marks_the_record_once() -> None:
    group, member = moving(terms=PolicyTerms(first_invoice_grace_days=45))
    member.port("05-10")
    group.terms = PolicyTerms(first_invoice_grace_days=25)
    assert member.record.first_invoice_grace_days == 45
    [asked] = member.happen(request_cancellation(member.record, day("07-17")))
    assert (asked.effective_date, asked.reason) == (day("05-10"), NON_PAYMENT)  # type: ignore[attr-defined]
    assert request_cancellation(member.record, day("07-18")) == ()
    member.happen(cancellation_refused(member.record, "appeal"))
    assert not member.record.cancellation_requested
    member.happen(request_cancellation(member.record, day("07-19")))
    member.cancel("05-10")
    assert not member.record.cancellation_requested
    assert MEMBER_RECORD.fold(member.events) == member.record


@pytest.mark.rule("MEM-122")
def test_a_continuation_moves_like_a_portability_and_stamps_nothing() -> None:
    _, member = moving()
    member.move(T.CONTINUATION, "03-01")
    assert member.record.first_invoice_grace_days is None
    assert member.record.placements[-1].direct
    assert member.refused(lambda: member.port("04-01", "ID2")) == ["ALREADY_INDIVIDUAL_DIRECT"]
