"""The cascade of a master policy transaction over its member records (PRM-150 to PRM-152, PRM-E24)."""

from typing import Any

import pytest

from domain.errors import Refusal
from domain.members.cascade import (
    CASCADING,
    CascadeOutcome,
    CascadeRequest,
    CascadeStatus,
    Judgement,
    RecordTerms,
    judge,
    record_request,
    status_of,
)
from domain.members.decisions import decide
from domain.premium.transactions import TransactionType
from domain.products.master_policy import CascadeResult
from tests.domain.members.story import Group, Member, amount, day, direct_account, drop, group_account

T = TransactionType


def master(kind: T, on: str, transaction_id: str = "MP-T1", **more: Any) -> CascadeRequest:
    return CascadeRequest(transaction_id, kind, "MP-1", day(on), day(on), **more)


def run(request: CascadeRequest, *members: Member) -> dict[str, CascadeResult]:
    """Run the cascade over the records as the application does: each on its own, with its own result."""
    by_number = {one.number: one for one in members}
    skipped = judged(request, Judgement.SKIPPED, *members)
    results = {number: CascadeResult(number, CascadeOutcome.SKIPPED) for number in skipped}
    for number in judged(request, Judgement.INCLUDED, *members):
        results[number] = apply_to(by_number[number], request)
    return results


def judged(request: CascadeRequest, judgement: Judgement, *members: Member) -> tuple[str, ...]:
    """The numbers of the members to whom the transaction is this."""
    return tuple(one.number for one in members if judge(request, one.record) is judgement)


def apply_to(member: Member, request: CascadeRequest) -> CascadeResult:
    try:
        events = decide(member.record, record_request(request, member.record), member.group.facts())
    except Refusal as refusal:
        return CascadeResult(member.number, CascadeOutcome.DEAD_LETTERED, refusal.code)
    member.happen(events)
    return CascadeResult(member.number, CascadeOutcome.APPLIED)


def five() -> tuple[Member, ...]:
    """The members of E24: in force, cancelled 03-01, continued, ported, with a pending roll-on."""
    group = Group({"G": group_account("G"), "ID": direct_account("ID")})
    members = tuple(Member(group, number).start() for number in ("1", "2", "3", "4", "5"))
    members[1].cancel("03-01")
    members[2].move(T.CONTINUATION, "04-01")
    members[3].port("04-01")
    members[4].amend("05-01", "1320.00")
    members[4].amend("03-01", "1260.00")
    return members


@pytest.mark.rule("PRM-E24", "PRM-150", "PRM-151")
def test_e24_a_cascaded_cancellation_and_the_reinstatement_that_undoes_it() -> None:
    members = five()
    cancellation = master(T.CANCELLATION, "06-01")
    results = run(cancellation, *members)
    assert {number: (one.result, one.code) for number, one in results.items()} == {
        "1": ("APPLIED", None),
        "2": ("SKIPPED", None),
        "3": ("APPLIED", None),
        "5": ("DEAD_LETTERED", "ROLL_ON_PENDING"),
    }
    assert status_of(results.values()) is CascadeStatus.COMPLETED_WITH_ERRORS
    assert [one.record.is_cancelled for one in members] == [True, True, True, False, False]
    members[4].decide(drop("T2"))
    results["5"] = apply_to(members[4], cancellation)
    assert status_of(results.values()) is CascadeStatus.COMPLETED
    assert members[4].record.is_cancelled
    reinstatement = master(T.REINSTATEMENT, "06-01", "MP-T2", undoes="MP-T1")
    assert judged(reinstatement, Judgement.INCLUDED, *members) == ("1", "3", "5")
    run(reinstatement, *members)
    assert [one.record.is_cancelled for one in members] == [False, True, False, False, False]


@pytest.mark.rule("PRM-151")
def test_a_rescission_reaches_only_records_cancelled_by_the_cancellation_it_undoes() -> None:
    members = five()
    run(master(T.CANCELLATION, "06-01"), *members)
    members[0].reinstate("06-01")
    rescission = master(T.RESCIND_CANCELLATION, "06-01", "MP-T2", undoes="MP-T1")
    assert judged(rescission, Judgement.INCLUDED, *members) == ("1", "3")
    results = run(rescission, *members)
    assert (results["1"].code, results["3"].result) == ("NO_CANCELLATION_IN_FORCE", "APPLIED")
    assert judged(master(T.RESCIND_CANCELLATION, "06-01", undoes="OTHER"), Judgement.INCLUDED, *members) == ()


@pytest.mark.rule("PLT-005")
def test_the_same_cascade_again_finds_its_transactions_applied() -> None:
    members = five()[:1]
    cancellation = master(T.CANCELLATION, "06-01")
    run(cancellation, *members)
    before = members[0].record
    assert apply_to(members[0], cancellation).result == "APPLIED"
    assert members[0].record is before
    assert members[0].status("MP-T1/1") == "APPLIED"


@pytest.mark.rule("PRM-151")
def test_records_of_other_policies_and_records_that_start_later_are_not_included() -> None:
    group = Group()
    late, stranger = Member(group, "1").start(on="07-01"), Member(group, "2").start()
    request = CascadeRequest("X", T.CANCELLATION, "MP-2", day("06-01"), day("06-01"))
    assert judged(request, Judgement.NOT_INCLUDED, stranger) == ("2",)
    assert judged(master(T.CANCELLATION, "06-01"), Judgement.NOT_INCLUDED, late) == ("1",)


@pytest.mark.rule("PRM-151")
def test_a_ported_record_that_returned_to_its_group_is_included_again() -> None:
    group = Group({"G": group_account("G"), "ID": direct_account("ID")})
    member = Member(group).start()
    member.port("02-01")
    assert judged(master(T.CANCELLATION, "06-01"), Judgement.INCLUDED, member) == ()
    member.send(T.MOVED_TO_LIST_BILL, "04-01")
    assert judged(master(T.CANCELLATION, "06-01"), Judgement.INCLUDED, member) == ("M",)
    assert judged(master(T.CANCELLATION, "03-01"), Judgement.INCLUDED, member) == ()


@pytest.mark.rule("PRM-152", "PRM-069")
@pytest.mark.parametrize(
    ("stated", "expected"), [(None, "02-01"), (RecordTerms(day("03-01"), (amount("2400.00"),)), "03-01")]
)
def test_a_rewritten_record_begins_on_its_stated_date_else_on_the_later_of_old_and_new(
    stated: RecordTerms | None, expected: str
) -> None:
    group = Group()
    early, late = Member(group, "1").start("1200.00"), Member(group, "2").start(on="05-01")
    records = None if stated is None else {"1": stated}
    results = run(master(T.REWRITE, "02-01", records=records), early, late)
    assert {one.result for one in results.values()} == {"APPLIED"}
    assert early.record.effective_date == day(expected)
    assert late.record.effective_date == day("05-01")
    assert early.nets("G", expected, expected[:3] + "02") == ["100.00" if stated is None else "200.00"]


@pytest.mark.rule("PRM-069", "PRM-103")
def test_a_rewrite_keeps_moves_employment_and_claims_waivers_from_its_date_on() -> None:
    group = Group({"G": group_account("G"), "ID": direct_account("ID")})
    member = Member(group).start(location="L1")
    member.employ("01-15", "L2")
    member.waive("01-20", "02-10", transaction_id="W1")
    member.waive("03-01", "04-01", transaction_id="W2")
    member.employ("04-01", "L3")
    member.port("05-01")
    member.renew("06-01", "1800.00")
    run(master(T.REWRITE, "02-01"), member)
    statuses = {one.transaction_id: one.status.value for one in member.record.transactions}
    assert statuses == {
        "T1": "OBSOLETE",
        "T2": "OBSOLETE",
        "W1": "OBSOLETE",
        "W2": "APPLIED",
        "T5": "APPLIED",
        "T6": "APPLIED",
        "T7": "OBSOLETE",
        "MP-T1/M": "APPLIED",
    }
    assert member.active.at(day("02-01")).location == "L2"
    assert member.active.at(day("04-01")).location == "L3"
    assert member.nets("G", "02-01", "05-01") == ["100.00", "0.00", "100.00"]
    assert member.nets("ID", "06-01", "06-02") == ["100.00"]
    assert [(one.account, one.start) for one in member.record.placements] == [
        ("G", day("02-01")),
        ("ID", day("05-01")),
    ]


@pytest.mark.rule("PRM-069")
def test_a_rewrite_to_an_earlier_date_takes_the_first_placement_with_it() -> None:
    member = Member(Group()).start(on="03-01", location="L1", member_class="A")
    run(master(T.REWRITE, "02-01", records={"M": RecordTerms(day("2025-02-01"))}), member)
    segment = member.active.at(day("02-01"))
    assert (segment.account, segment.location, segment.member_class) == ("G", "L1", "A")
    assert (member.record.anchor, member.nets("G", "02-01", "03-02")) == (day("02-01"), ["100.00", "100.00"])


@pytest.mark.rule("PRM-151")
def test_a_cancelled_record_is_not_rewritten() -> None:
    member = Member(Group()).start()
    member.cancel("01-15")
    assert judged(master(T.REWRITE, "02-01"), Judgement.SKIPPED, member) == ("M",)
    with pytest.raises(Refusal, match="MEMBER_NOT_IN_FORCE"):
        decide(member.record, record_request(master(T.REWRITE, "02-01"), member.record), member.group.facts())


@pytest.mark.rule("PRM-150")
def test_a_master_renewal_does_not_cascade() -> None:
    assert T.RENEWAL not in CASCADING
    assert {T.CANCELLATION, T.RESCIND_CANCELLATION, T.REINSTATEMENT, T.REWRITE} == CASCADING
