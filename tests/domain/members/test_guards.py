"""Every refusal of a transaction, with its code, in the rulebook's order; and repeated deliveries."""

from typing import Any

import pytest

from domain.accounts.bill_type import BillType
from domain.accounts.setup import Routed
from domain.calendar.frequency import Frequency
from domain.errors import Refusal
from domain.members.decisions import decide
from domain.members.events import GroupOrigin, MemberPremiumStarted
from domain.members.requests import NewMember, TransactionRequest
from domain.premium.transactions import AmendmentKind, ItemKey, Origin, PremiumAmount, TransactionType, WaiverSource
from tests.domain.members.story import (
    LIFE,
    Group,
    Member,
    amount,
    day,
    direct_account,
    drop,
    group_account,
    individual_account,
    names,
    per_class,
    roll_on,
)
from tests.domain.premium.builders import sequence

T = TransactionType
GENERAL = (AmendmentKind.GENERAL,)
WHO = NewMember("C-1")


def group_and_direct() -> Group:
    return Group({"G": group_account("G"), "ID": direct_account("ID"), "ID2": direct_account("ID2")})


# ------------------------------------------------------------------------------------------------ form


@pytest.mark.rule("PRM-003")
def test_every_missing_field_is_named() -> None:
    with pytest.raises(Refusal) as refusal:
        decide(Member(Group()).record, TransactionRequest(), Group().facts())
    named = [(one.code, one.pointer) for one in refusal.value.problems]
    fields = ("transaction_id", "type", "origin", "member_record", "effective_date", "transaction_date")
    assert named == [("TRANSACTION_INCOMPLETE", f"/{field}") for field in fields]


@pytest.mark.rule("PRM-003")
@pytest.mark.parametrize(
    ("kind", "stated", "missing"),
    [
        (T.NEW_BUSINESS, {"amounts": (amount("1200.00"),)}, ["member"]),
        (T.AMENDMENT, {}, ["kinds"]),
        (T.AMENDMENT, {"kinds": GENERAL}, ["amounts"]),
        (T.AMENDMENT, {"kinds": (AmendmentKind.CLASSIFICATION_CHANGE,)}, ["amounts"]),
        (T.AMENDMENT, {"kinds": (AmendmentKind.PAYROLL_FREQUENCY_CHANGE,)}, ["payroll_frequency"]),
        (T.AMENDMENT, {"kinds": (AmendmentKind.STOP_BILLING,)}, ["nonforfeiture"]),
        (T.AMENDMENT, {"kinds": (AmendmentKind.RESUME_BILLING,)}, ["reason"]),
        (T.RENEWAL, {}, ["amounts"]),
        (T.WAIVER_ADD, {}, ["source"]),
        (T.WAIVER_REMOVE, {}, ["waiver_id"]),
        (T.EMPLOYMENT_CHANGE, {}, ["location"]),
        (T.INVOICING_MODALITY_CHANGE, {}, ["account", "modality"]),
        (T.SEASONAL_UPDATE, {}, ["account"]),
    ],
)
def test_every_type_names_what_it_needs(kind: T, stated: dict[str, Any], missing: list[str]) -> None:
    member = Member(Group())
    with pytest.raises(Refusal) as refusal:
        member.send(kind, "03-01", **stated)
    assert [one.code for one in refusal.value.problems] == ["TRANSACTION_INCOMPLETE"] * len(missing)
    assert [one.params["field"] for one in refusal.value.problems] == missing


@pytest.mark.rule("MEM-019")
@pytest.mark.parametrize(("amounts", "pointer"), [((), "/amounts"), ((amount(None),), "/amounts/0/annual_amount")])
def test_a_record_starts_with_a_premium(amounts: tuple[PremiumAmount, ...], pointer: str) -> None:
    with pytest.raises(Refusal) as refusal:
        Member(Group()).send(T.NEW_BUSINESS, "03-01", member=WHO, amounts=amounts)
    assert [(one.code, one.pointer) for one in refusal.value.problems] == [("PREMIUM_MISSING", pointer)]


@pytest.mark.rule("PRM-001")
def test_a_type_outside_the_catalogue_is_unknown() -> None:
    member = Member(Group()).start()
    assert member.refused(lambda: member.send("ROLL_ON", "03-01")) == ["UNKNOWN_TRANSACTION_TYPE"]
    catalogue = """NEW_BUSINESS AMENDMENT CANCELLATION RESCIND_CANCELLATION REINSTATEMENT RENEWAL REWRITE CONTINUATION
        PORTABILITY MOVED_TO_LIST_BILL CONTINUATION_REMOVED EMPLOYMENT_CHANGE WAIVER_ADD WAIVER_REMOVE
        INVOICING_MODALITY_CHANGE SEASONAL_UPDATE"""
    assert [one.value for one in T] == catalogue.split()


@pytest.mark.rule("PRM-002")
@pytest.mark.parametrize("other", [AmendmentKind.GENERAL, AmendmentKind.RESUME_BILLING])
def test_a_stop_goes_with_no_other_kind(other: AmendmentKind) -> None:
    member = Member(Group()).start()
    kinds = (AmendmentKind.STOP_BILLING, other)
    stated = {"nonforfeiture": "EXTENDED_TERM", "reason": "OTHER"}
    assert member.refused(lambda: member.amend("03-01", "1300.00", kinds=kinds, **stated)) == [
        "AMENDMENT_KIND_CONFLICT"
    ]


@pytest.mark.rule("PRM-082")
def test_a_resume_names_one_of_the_reasons() -> None:
    member = Member(Group()).start()
    member.stop("03-01")
    assert member.refused(lambda: member.resume("04-01", reason="PLEASE")) == ["RESUME_REASON_INVALID"]


@pytest.mark.rule("MEM-026", "PRM-020")
def test_a_coverage_has_one_amount_in_a_transaction() -> None:
    member = Member(Group()).start()
    other = ItemKey("LIFE", coverage_class="B")
    twice = (amount("1.00"), amount("2.00"))
    two_keys = (amount("1.00"), amount("2.00", other))
    assert member.refused(lambda: member.amend("03-01", amounts=twice)) == ["PREMIUM_KEY_DUPLICATE"]
    assert member.refused(lambda: member.amend("03-01", amounts=two_keys)) == ["PREMIUM_KEY_DUPLICATE"]
    member.amend("03-01", amounts=(amount(None), amount("2.00", other)))
    assert member.nets("G", "03-01", "03-02") == ["0.17"]


@pytest.mark.rule("MEM-105")
def test_an_employment_event_without_a_date_is_sent_back() -> None:
    member = Member(Group()).start()
    codes = member.refused(lambda: member.send(T.EMPLOYMENT_CHANGE, None, location="L1", transaction_date=day("03-01")))
    assert codes == ["EFFECTIVE_DATE_MISSING"]


# --------------------------------------------------------------------------------- existence and start


@pytest.mark.rule("MEM-085")
def test_a_transaction_before_new_business_finds_no_record() -> None:
    member = Member(Group())
    assert member.refused(lambda: member.amend("03-01", "1300.00")) == ["MEMBER_RECORD_UNKNOWN"]


@pytest.mark.rule("MEM-085", "PRM-060", "PRM-101")
def test_a_second_new_business_is_refused_out_of_sequence_first() -> None:
    member = Member(Group()).start(on="03-01")
    assert member.refused(lambda: member.start(on="02-01")) == ["OOS_NEW_BUSINESS_NOT_SUPPORTED"]
    assert member.refused(lambda: member.start(on="03-01")) == ["MEMBER_RECORD_EXISTS"]
    assert member.refused(lambda: member.start(on="04-01")) == ["MEMBER_RECORD_EXISTS"]


@pytest.mark.rule("PRM-060", "MEM-067", "MEM-069")
def test_new_business_sets_amounts_placement_and_anchor() -> None:
    member = Member(Group()).start(payroll_frequency=Frequency.BIWEEKLY, location="L1", member_class="A")
    assert names(member.events) == [
        "MemberPremiumStarted",
        "PolicyTransactionApplied",
        "MemberRecordPlaced",
        "ModalPremiumVersionCreated",
        "AnybUpdateExcluded",
    ]
    started, record = member.events[0], member.record
    assert isinstance(started, MemberPremiumStarted)
    assert (started.first_name, started.last_name) == ("Ada", "Byron")
    assert (record.number, record.customer_number, record.master_policy) == ("M", "C-1", "MP-1")
    assert (record.effective_date, record.anchor, record.currency) == (day("01-01"), day("01-01"), "USD")
    assert (record.group_origin, record.placements[0].account) == (GroupOrigin.LIST_BILL, "G")
    assert record.placements[0].start == day("01-01")
    segment = member.active.at(day("01-01"))
    assert (segment.location, segment.member_class, segment.payroll_frequency) == ("L1", "A", Frequency.BIWEEKLY)
    assert member.active_number == 1


@pytest.mark.rule("PRM-005")
def test_a_future_transaction_is_applied_at_once() -> None:
    member = Member(Group()).start()
    member.amend("2026-03-01", "2400.00")
    assert member.status("T2") == "APPLIED"
    assert member.nets("G", "2026-02-01", "2026-03-02") == ["100.00", "200.00"]


@pytest.mark.rule("MEM-110", "PRM-009")
def test_without_a_modality_new_business_stores_nothing() -> None:
    member = Member(Group({"G": individual_account("G")}))
    assert member.refused(member.start) == ["MODALITY_UNRESOLVED"]
    assert not member.record.exists


@pytest.mark.rule("MEM-083", "PRM-009")
def test_without_an_account_every_reason_is_given() -> None:
    reasons = ("EMPLOYMENT_MISSING", "PARENT_BILLING_MISSING")
    member = Member(Group(route=lambda _: Routed(None, reasons)))
    assert member.refused(member.start) == list(reasons)


@pytest.mark.rule("PRM-008")
def test_a_self_bill_policy_takes_member_transactions_on_individual_direct_only() -> None:
    group = group_and_direct()
    group.bill_type = BillType.SELF_BILL
    member = Member(group)
    assert member.refused(member.start) == ["BILL_TYPE_MISMATCH"]
    member.start(account="ID", modality=Frequency.MONTHLY)
    assert member.record.group_origin is GroupOrigin.SELF_BILL
    member.amend("03-01", "1300.00")
    group.bill_type = BillType.LIST_BILL
    listed = Member(group, "N").start()
    group.bill_type = BillType.SELF_BILL
    assert listed.refused(lambda: listed.amend("03-01", "1300.00")) == ["BILL_TYPE_MISMATCH"]


# ------------------------------------------------------------------------------------- dates and cover


@pytest.mark.rule("PRM-006")
def test_the_member_date_is_checked_before_the_product_dates() -> None:
    group = Group(effective=day("2025-01-01"), expiration=day("2026-01-01"))
    member = Member(group).start(on="02-01")
    assert member.refused(lambda: member.amend("2024-12-31", "1300.00")) == ["BEFORE_MEMBER_EFFECTIVE"]
    assert member.refused(lambda: member.cancel("2026-01-01")) == ["OUTSIDE_PRODUCT_DATES"]
    assert Member(group, "N").refused(lambda: Member(group, "O").start(on="2024-12-31")) == ["OUTSIDE_PRODUCT_DATES"]
    member.cancel("2025-12-31")


@pytest.mark.rule("PRM-007")
@pytest.mark.parametrize("on", ["03-01", "04-01"])
def test_amendment_renewal_and_waiver_need_a_member_in_force(on: str) -> None:
    member = Member(group_and_direct()).start()
    member.cancel("03-01")
    for act in (
        lambda: member.amend(on, "1300.00"),
        lambda: member.stop(on),
        lambda: member.renew(on, "1300.00"),
        lambda: member.port(on),
        lambda: member.move(T.CONTINUATION, on),
        lambda: member.waive(on),
    ):
        assert member.refused(act) == ["MEMBER_NOT_IN_FORCE"]


@pytest.mark.rule("PRM-007")
def test_a_renewal_needs_a_list_bill_or_individual_direct_account() -> None:
    group = Group({"G": group_account("G", bill_type=BillType.FLEXIBILL, allocation_mode=None)})
    member = Member(group).start(payroll_frequency=Frequency.MONTHLY)
    assert member.refused(lambda: member.renew("03-01", "1300.00")) == ["RENEWAL_NOT_ALLOWED"]


@pytest.mark.rule("PRM-064")
@pytest.mark.parametrize("on", ["03-01", "05-01"])
def test_a_cancelled_member_is_not_cancelled_again(on: str) -> None:
    member = Member(Group()).start()
    member.cancel("03-01")
    assert member.refused(lambda: member.cancel(on)) == ["ALREADY_CANCELLED"]


@pytest.mark.rule("PRM-064", "PRM-103")
def test_an_earlier_cancellation_takes_the_place_of_a_later_one() -> None:
    member = Member(Group()).start()
    member.cancel("05-01")
    member.cancel("03-01")
    assert (member.status("T2"), member.status("T3")) == ("INEFFECTIVE", "APPLIED")
    member.rescind("03-01")
    assert (member.status("T2"), member.status("T3"), member.status("T4")) == ("INEFFECTIVE", "RESCINDED", "APPLIED")
    assert not member.record.is_cancelled


@pytest.mark.rule("PRM-065", "PRM-101")
def test_a_rescission_needs_a_cancellation_that_no_reinstatement_ended() -> None:
    member = Member(Group()).start()
    assert member.refused(lambda: member.rescind("03-01")) == ["NO_CANCELLATION_IN_FORCE"]
    member.cancel("03-01")
    assert member.refused(lambda: member.rescind("03-02")) == ["RESCIND_DATE_MISMATCH"]
    member.reinstate("04-01")
    assert member.refused(lambda: member.rescind("03-01")) == ["NO_CANCELLATION_IN_FORCE"]
    member.cancel("06-01")
    assert member.refused(lambda: member.rescind("03-01")) == ["NO_CANCELLATION_IN_FORCE"]
    assert member.refused(lambda: member.rescind("05-31")) == ["RESCIND_DATE_MISMATCH"]
    member.rescind("06-01")
    assert member.nets("G", "03-01", "06-02") == ["100.00", "100.00", "100.00"]


@pytest.mark.rule("PRM-066")
def test_a_reinstatement_needs_a_cancellation_in_force_on_or_before_its_date() -> None:
    member = Member(Group()).start()
    assert member.refused(lambda: member.reinstate("03-01")) == ["NO_CANCELLATION_IN_FORCE"]
    member.cancel("03-16")
    assert member.refused(lambda: member.reinstate("03-15")) == ["REINSTATEMENT_BEFORE_CANCELLATION"]
    member.reinstate("03-16")
    assert member.refused(lambda: member.reinstate("03-20")) == ["NO_CANCELLATION_IN_FORCE"]
    assert not member.record.is_cancelled


@pytest.mark.rule("PRM-067")
def test_what_a_cancellation_made_ineffective_stays_so_after_a_reinstatement() -> None:
    for undo in ("reinstate", "rescind"):
        member = Member(Group()).start()
        member.amend("05-01", "1500.00")
        member.cancel("04-01")
        getattr(member, undo)("04-01")
        assert member.status("T2") == "INEFFECTIVE"
        assert member.nets("G", "05-01", "05-02") == ["100.00"]


@pytest.mark.rule("PRM-066")
def test_a_reinstatement_may_state_other_amounts() -> None:
    member = Member(Group()).start()
    member.cancel("03-01")
    member.reinstate("05-01", amounts=(amount("2400.00"),))
    assert member.nets("G", "04-01", "05-02") == ["200.00"]


# ------------------------------------------------------------------------------------- stop and resume


@pytest.mark.rule("PRM-080")
@pytest.mark.parametrize("on", ["03-01", "04-15"])
def test_a_stopped_member_is_not_stopped_again(on: str) -> None:
    member = Member(Group()).start()
    member.stop("03-01")
    assert member.refused(lambda: member.stop(on)) == ["ALREADY_STOPPED"]


@pytest.mark.rule("PRM-082", "PRM-103")
def test_a_resume_ends_every_stop_active_on_its_date_and_restores_the_amounts_of_the_earliest() -> None:
    member = Member(Group()).start()
    member.amend("04-01", "1500.00")
    member.stop("05-01")
    member.stop("03-01")
    assert [member.status(one) for one in ("T2", "T3", "T4")] == ["APPLIED"] * 3
    resumed = next(one for one in member.resume("06-01") if type(one).__name__ == "BillingResumed")
    assert resumed.stops == ("T4", "T3")  # type: ignore[attr-defined]
    assert member.nets("G", "02-01", "06-02") == ["100.00", "0.00", "0.00", "0.00", "100.00"]


@pytest.mark.rule("PRM-082")
def test_a_resume_needs_an_active_stop_and_voids_it_on_its_own_date() -> None:
    member = Member(Group()).start()
    assert member.refused(lambda: member.resume("03-01")) == ["NO_ACTIVE_STOP_BILLING"]
    member.stop("03-01")
    assert member.refused(lambda: member.resume("02-28")) == ["NO_ACTIVE_STOP_BILLING"]
    member.resume("03-01")
    assert member.nets("G", "03-01", "03-02") == ["100.00"]
    assert member.refused(lambda: member.resume("04-01")) == ["NO_ACTIVE_STOP_BILLING"]


@pytest.mark.rule("PRM-083")
def test_a_resume_waits_for_the_reconciliation() -> None:
    member = Member(Group()).start()
    member.stop("03-01")
    assert member.refused(lambda: member.resume("04-01", facts={"reconciliation_open": True})) == [
        "RECONCILIATION_INCOMPLETE"
    ]
    member.resume("04-01")


@pytest.mark.rule("PRM-081")
def test_what_is_effective_under_a_stop_is_stored_and_not_charged() -> None:
    member = Member(Group()).start()
    member.stop("03-01")
    member.renew("05-01", "2400.00")
    segment = member.active.at(day("05-01"))
    assert segment.nonforfeiture == "REDUCED_PAID_UP"
    assert segment.amounts[0].annual == 240000
    assert member.nets("G", "05-01", "05-02") == ["0.00"]
    [row] = [one for one in member.record.rows if one.effective == day("03-01")]
    assert (row.stop, row.modal) == (True, 0)


# ----------------------------------------------------------------------------------------- calculation


@pytest.mark.rule("PRM-047")
def test_a_split_without_a_holder_on_a_charged_day_stops_the_calculation() -> None:
    member = Member(Group()).start()
    ends = sequence(1, "1200.00", "2025-03-01", "2025-06-01")
    with pytest.raises(Refusal) as refusal:
        member.amend("03-01", amounts=(amount("1200.00", LIFE, ends),))
    assert refusal.value.code == "MODAL_CALCULATION_BLOCKED"
    assert refusal.value.problems[0].params["first"] == "2025-06-01"
    assert member.active_number == 1


@pytest.mark.rule("PRM-069")
def test_a_rewrite_comes_from_the_master_policy_only() -> None:
    member = Member(Group()).start()
    assert member.refused(lambda: member.send(T.REWRITE, "02-01")) == ["REWRITE_ONLY_FROM_MASTER_POLICY"]


# ------------------------------------------------------------------------------------------------ lock


def locked(group: Group | None = None) -> Member:
    """A record that awaits a decision on T2."""
    member = Member(group or group_and_direct()).start()
    member.amend("05-01", "1320.00")
    member.amend("03-01", "1260.00")
    assert member.record.is_roll_on_pending
    return member


@pytest.mark.rule("PRM-115")
def test_policy_commands_are_refused_while_a_roll_on_is_pending() -> None:
    member = locked()
    for act in (
        lambda: member.amend("06-01", "1300.00"),
        lambda: member.cancel("06-01"),
        lambda: member.rescind("06-01"),
        lambda: member.reinstate("06-01"),
        lambda: member.stop("06-01"),
        lambda: member.renew("06-01", "1300.00"),
        lambda: member.waive("06-01", waiver_source=WaiverSource.POLICY),
    ):
        assert member.refused(act) == ["ROLL_ON_PENDING"]


@pytest.mark.rule("MEM-123", "PRM-115")
def test_a_move_tests_its_dates_and_account_before_the_lock() -> None:
    member = locked()
    assert member.refused(lambda: member.port("2024-12-01")) == ["BEFORE_MEMBER_EFFECTIVE"]
    assert member.refused(lambda: member.port("06-01")) == ["ROLL_ON_PENDING"]
    moved = Member(group_and_direct(), "N").start()
    moved.port("02-01")
    moved.amend("05-01", "1320.00")
    moved.amend("03-01", "1260.00")
    assert moved.refused(lambda: moved.port("02-15", "ID2")) == ["ALREADY_INDIVIDUAL_DIRECT"]


@pytest.mark.rule("PRM-115", "PRM-069")
def test_a_cascaded_rewrite_is_accepted_and_ends_the_lock() -> None:
    member = locked()
    member.send(T.REWRITE, "02-01", cascade="R")
    assert not member.record.is_roll_on_pending
    assert member.status("T2") == "OBSOLETE"
    assert member.versions == {1: "OBSOLETE", 2: "OBSOLETE", 3: "OBSOLETE", 4: "ACTIVE"}


# ------------------------------------------------------------------------------------------ repetition


@pytest.mark.rule("PLT-005")
def test_the_same_transaction_again_is_answered_as_the_first() -> None:
    member = Member(Group()).start()
    member.amend("03-01", "1300.00", transaction_id="A")
    before = member.record
    assert member.amend("03-01", "1300.00", transaction_id="A") == []
    assert member.record is before
    assert member.refused(lambda: member.amend("03-01", "1400.00", transaction_id="A")) == ["IDEMPOTENCY_CONFLICT"]
    assert member.refused(lambda: member.cancel("03-01", transaction_id="A")) == ["IDEMPOTENCY_CONFLICT"]


@pytest.mark.rule("PLT-005", "MEM-100")
def test_a_redelivered_employment_event_is_ignored_and_the_id_of_another_transaction_is_not() -> None:
    member = Member(Group()).start(location="L1")
    member.employ("03-01", "L2", transaction_id="E")
    assert member.employ("04-01", "L3", transaction_id="E") == []
    assert member.refused(lambda: member.employ("04-01", "L3", transaction_id="T1")) == ["IDEMPOTENCY_CONFLICT"]


@pytest.mark.rule("PLT-005")
def test_the_same_content_under_another_id_is_a_transaction_of_its_own() -> None:
    member = Member(Group()).start()
    member.amend("03-01", "1300.00", transaction_id="A")
    member.amend("03-01", "1300.00", transaction_id="B")
    assert [one.transaction_id for one in member.record.transactions] == ["T1", "A", "B"]
    assert member.active_number == 3


@pytest.mark.rule("PLT-004")
def test_a_refused_transaction_binds_nothing() -> None:
    member = Member(Group()).start()
    assert member.refused(lambda: member.rescind("03-01", transaction_id="A")) == ["NO_CANCELLATION_IN_FORCE"]
    member.amend("03-01", "1300.00", transaction_id="A")
    assert member.status("A") == "APPLIED"


@pytest.mark.rule("PLT-005")
def test_a_repeated_new_business_is_answered_even_after_the_record_has_moved_on() -> None:
    member = Member(Group()).start(transaction_id="NB")
    member.cancel("05-01")
    assert member.send(T.NEW_BUSINESS, "01-01", amounts=(amount("1200.00"),), transaction_id="NB",
                       member=NewMember("C-1", "Ada", "Byron")) == []  # fmt: skip


# ------------------------------------------------------------------------------------- out of sequence


@pytest.mark.rule("PRM-101")
def test_a_renewal_out_of_sequence_is_refused() -> None:
    member = Member(Group()).start()
    member.amend("05-01", "1320.00")
    assert member.refused(lambda: member.renew("03-01", "1200.00")) == ["OOS_RENEWAL_NOT_SUPPORTED"]


@pytest.mark.rule("PRM-113", "PRM-012")
def test_a_kept_transaction_whose_guard_fails_becomes_ineffective_and_its_origin_is_told() -> None:
    member = Member(Group()).start()
    member.cancel("05-01")
    member.reinstate("06-01")
    member.waive("07-01", origin=Origin.CLAIMS)
    member.amend("03-01", "1260.00")
    assert (member.status("T2"), member.status("T3"), member.status("T4")) == ("BACKED_OFF", "BACKED_OFF", "APPLIED")
    happened = member.decide(roll_on("T2"), drop("T3"))
    made = next(one for one in happened if type(one).__name__ == "TransactionsMadeIneffective")
    [waiver] = made.transactions  # type: ignore[attr-defined]
    assert (waiver.transaction_id, waiver.code, waiver.origin) == ("T4", "MEMBER_NOT_IN_FORCE", Origin.CLAIMS)
    assert member.status("T4") == "INEFFECTIVE"


@pytest.mark.rule("MEM-083", "MEM-089")
def test_an_amendment_to_a_class_without_account_is_refused_and_one_without_class_change_stays() -> None:
    group = Group({"BA-A": group_account("BA-A"), "BA-B": group_account("BA-B")}, per_class)
    member = Member(group).start(member_class="A")
    codes = member.refused(
        lambda: member.amend("03-01", "1300.00", kinds=(AmendmentKind.CLASSIFICATION_CHANGE,), member_class="Z")
    )
    assert codes == ["CLASS_BILLING_MISSING"]
    group.route = lambda _: Routed(None, ("LOCATION_CLASS_MISSING",))
    member.amend("03-01", "1300.00")
    assert [one.account for one in member.record.placements] == ["BA-A"]
    changed = {"kinds": (AmendmentKind.CLASSIFICATION_CHANGE,), "member_class": "B"}
    group.more["class_decides"] = True
    assert member.refused(lambda: member.amend("04-01", "1300.00", **changed)) == ["LOCATION_CLASS_MISSING"]


@pytest.mark.rule("MEM-081")
def test_the_next_amendment_routes_a_record_to_an_account_set_up_meanwhile() -> None:
    group = Group(
        {"BA-A": group_account("BA-A"), "BA-B": group_account("BA-B"), "NEW": group_account("NEW")}, per_class
    )
    member = Member(group).start(member_class="A")
    group.route = lambda _: Routed("NEW")
    assert [one.account for one in member.record.placements] == ["BA-A"]
    member.amend("03-01", "1300.00")
    assert [one.account for one in member.record.placements] == ["BA-A", "NEW"]


@pytest.mark.rule("PRM-002", "MEM-077", "MEM-098")
def test_a_location_in_an_amendment_becomes_an_employment_change_of_the_same_date_first() -> None:
    member = Member(Group()).start(location="L1")
    happened = member.amend("03-01", "1300.00", location="L2")
    assert names(happened)[:2] == ["EmploymentChanged", "PolicyTransactionApplied"]
    applied = [one.transaction for one in happened if type(one).__name__ == "PolicyTransactionApplied"]  # type: ignore[attr-defined]
    assert [(one.type, one.version, one.effective_date) for one in applied] == [
        (T.EMPLOYMENT_CHANGE, 2, day("03-01")),
        (T.AMENDMENT, 3, day("03-01")),
    ]
    again = member.amend("04-01", "1400.00", location="L2")
    assert "EmploymentChanged" not in names(again)


@pytest.mark.rule("PRM-002", "PRM-062", "PRM-063")
def test_a_general_amendment_changes_neither_class_nor_payroll_frequency() -> None:
    member = Member(Group()).start(member_class="A", payroll_frequency=Frequency.MONTHLY)
    member.amend("03-01", "1300.00", member_class="B", payroll_frequency=Frequency.WEEKLY)
    segment = member.active.at(day("03-01"))
    assert (segment.member_class, segment.payroll_frequency) == ("A", Frequency.MONTHLY)


def test_a_list_bill_start_is_routed_whatever_account_it_names() -> None:
    member = Member(group_and_direct()).start(account="ID")
    assert member.record.placements[0].account == "G"
