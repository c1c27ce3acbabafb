"""Roll-on: the lock, decisions in their order, repeated deliveries, the automatic mode, parked messages."""

from typing import Any

import pytest

from domain.accounts.setup import Routed
from domain.errors import Refusal
from domain.members.decisions import unpark
from domain.members.requests import RollOnAction, RollOnDecision, RoutingKey
from domain.members.rollon import instruct
from domain.premium.transactions import AmendmentKind, Origin, TransactionType, WaiverSource
from domain.products.master_policy import PolicyTerms, RollOnMode
from tests.domain.members.story import (
    LIFE,
    Group,
    Member,
    amount,
    day,
    drop,
    group_account,
    names,
    per_location,
    roll_on,
)
from tests.domain.premium.builders import sequence

T = TransactionType


def locked(group: Group | None = None) -> Member:
    """T2 (05-01) and T3 (07-01) backed off by T4 (03-01)."""
    member = Member(group or Group()).start()
    member.amend("05-01", "1320.00")
    member.amend("07-01", "1440.00")
    member.amend("03-01", "1260.00")
    return member


def event(happened: list[object], name: str) -> Any:
    return next(one for one in happened if type(one).__name__ == name)


@pytest.mark.rule("PRM-110", "PRM-112")
def test_policy_is_told_what_to_decide_with_the_amounts_as_they_were() -> None:
    member = Member(Group()).start()
    member.amend("05-01", "1320.00")
    request = event(member.amend("03-01", "1260.00"), "RollOnRequested")
    assert (request.caused_by, request.active_version, request.mode) == ("T3", 2, RollOnMode.MANUAL)
    [waiting] = request.transactions
    assert (waiting.transaction_id, waiting.type, waiting.effective_date) == ("T2", T.AMENDMENT, day("05-01"))
    assert waiting.amounts == (amount("1320.00"),)
    backed_off = member.record.transaction("T2")
    assert backed_off is not None
    assert backed_off.caused_back_off == "T3"


@pytest.mark.rule("PRM-110")
def test_with_nothing_backed_off_there_is_no_lock_and_the_version_is_active_at_once() -> None:
    member = Member(Group()).start()
    member.amend("05-01", "1320.00")
    member.stop("03-01")
    assert not member.record.is_roll_on_pending
    assert member.active_number == 3


@pytest.mark.rule("PRM-112")
def test_a_drop_is_allowed_at_any_time_and_a_roll_on_only_in_order() -> None:
    member = locked()
    assert member.refused(lambda: member.decide(roll_on("T3"))) == ["ROLL_ON_OUT_OF_ORDER"]
    member.decide(drop("T3"))
    assert (member.status("T3"), member.record.is_roll_on_pending) == ("DROPPED", True)
    member.decide(roll_on("T2"))
    assert member.active_number == 5
    together = locked()
    together.decide(roll_on("T3"), roll_on("T2"))
    assert [one.rolled_on_from for one in together.record.transactions[4:]] == ["T2", "T3"]


@pytest.mark.rule("PRM-100", "PRM-012")
def test_a_dropped_transaction_is_not_a_later_one() -> None:
    member = locked()
    member.decide(drop("T2"), drop("T3"))
    member.amend("02-01", "1230.00")
    assert [one.transaction_id for one in member.record.backed_off] == ["T4"]
    assert (member.status("T2"), member.status("T3")) == ("DROPPED", "DROPPED")


@pytest.mark.rule("PRM-112", "PRM-113")
def test_a_rolled_on_transaction_has_its_own_id_and_the_date_and_place_of_the_original() -> None:
    member = locked()
    member.decide(roll_on("T2", as_="R2"), roll_on("T3", "1500.00"))
    successor, original = member.record.transaction("R2"), member.record.transaction("T2")
    assert successor is not None
    assert original is not None
    assert (successor.rolled_on_from, successor.type) == ("T2", T.AMENDMENT)
    assert (successor.effective_date, successor.order) == (original.effective_date, original.order)
    assert successor.amounts == (amount("1320.00"),)
    assert (successor.version, original.status.value, original.version) == (5, "ROLLED_ON", 2)
    assert member.status("T3/rolled-on") == "APPLIED"
    assert member.rows() == [
        ("G", "01-01", "100.00", ""),
        ("G", "03-01", "105.00", ""),
        ("G", "05-01", "110.00", ""),
        ("G", "07-01", "125.00", ""),
    ]
    assert [one.rolled_on for one in member.record.rows] == [False, False, True, True]


@pytest.mark.rule("PRM-112")
@pytest.mark.parametrize(
    ("decisions", "codes"),
    [
        ([roll_on("T9")], ["NOT_BACKED_OFF"]),
        ([roll_on("T1")], ["NOT_BACKED_OFF"]),
        ([roll_on("T9"), roll_on("T4")], ["NOT_BACKED_OFF", "NOT_BACKED_OFF"]),
        ([roll_on("T2"), drop("T2")], ["ALREADY_DECIDED"]),
        ([], ["TRANSACTION_INCOMPLETE"]),
    ],
)
def test_a_decision_names_a_transaction_that_awaits_one(decisions: list[Any], codes: list[str]) -> None:
    member = locked()
    assert member.refused(lambda: member.decide(*decisions)) == codes


@pytest.mark.rule("PRM-112", "MEM-026")
def test_re_rated_amounts_are_checked_like_any_others() -> None:
    member = locked()
    twice = RollOnDecision("T2", RollOnAction.ROLL_ON, (amount("1.00"), amount("2.00")))
    assert member.refused(lambda: member.decide(twice)) == ["PREMIUM_KEY_DUPLICATE"]
    negative = RollOnDecision("T2", RollOnAction.ROLL_ON, (amount("-1.00"),))
    assert member.refused(lambda: member.decide(negative)) == ["REQUEST_INVALID"]


@pytest.mark.rule("PRM-112")
def test_without_a_pending_roll_on_there_is_nothing_to_decide() -> None:
    member = Member(Group()).start()
    member.amend("05-01", "1320.00")
    assert member.refused(lambda: member.decide(roll_on("T2"))) == ["NOT_ROLL_ON_PENDING"]


@pytest.mark.rule("PRM-117")
def test_a_decision_delivered_again_is_answered_with_the_first_result() -> None:
    member = locked()
    member.decide(roll_on("T2", "1380.00"))
    before = member.record
    assert member.decide(roll_on("T2", "1380.00")) == []
    assert member.decide(roll_on("T2", "1380.00", as_="another-id")) == []
    assert member.record is before
    for otherwise in (roll_on("T2", "1390.00"), roll_on("T2"), drop("T2")):
        assert member.refused(lambda otherwise=otherwise: member.decide(otherwise)) == ["ALREADY_DECIDED"]
    member.decide(roll_on("T2", "1380.00"), drop("T3"))
    assert member.decide(drop("T3")) == []
    assert member.refused(lambda: member.decide(roll_on("T3"))) == ["ALREADY_DECIDED"]
    assert not member.record.is_roll_on_pending


@pytest.mark.rule("PRM-113")
def test_a_reinstatement_whose_cancellation_was_dropped_cannot_be_rolled_on() -> None:
    member = Member(Group()).start()
    member.cancel("05-01")
    member.reinstate("06-01")
    member.amend("03-01", "1260.00")
    codes = member.refused(lambda: member.decide(drop("T2"), roll_on("T3")))
    assert codes == ["NO_CANCELLATION_IN_FORCE"]
    assert (member.status("T2"), member.status("T3")) == ("BACKED_OFF", "BACKED_OFF")
    member.decide(roll_on("T2"), roll_on("T3"))
    assert member.nets("G", "05-01", "06-02") == ["105.00"]


@pytest.mark.rule("PRM-113", "PRM-082")
def test_a_resume_whose_stop_was_dropped_cannot_be_rolled_on() -> None:
    member = Member(Group()).start()
    member.stop("05-01")
    member.resume("06-01")
    member.amend("03-01", "1260.00")
    assert member.refused(lambda: member.decide(drop("T2"), roll_on("T3"))) == ["NO_ACTIVE_STOP_BILLING"]
    member.decide(drop("T2"), drop("T3"))
    assert member.nets("G", "05-01", "05-02") == ["105.00"]


@pytest.mark.rule("PRM-103", "PRM-102")
def test_an_earlier_resume_makes_a_later_one_ineffective() -> None:
    member = Member(Group()).start()
    member.stop("03-01")
    member.resume("06-01")
    member.resume("05-01")
    assert member.status("T3") == "INEFFECTIVE"
    assert member.nets("G", "04-01", "05-02") == ["0.00", "100.00"]


@pytest.mark.rule("PRM-103", "PRM-066")
def test_an_earlier_reinstatement_makes_a_later_one_ineffective() -> None:
    member = Member(Group()).start()
    member.cancel("03-01")
    member.reinstate("06-01")
    member.reinstate("05-01")
    assert (member.status("T3"), member.record.is_roll_on_pending) == ("INEFFECTIVE", False)
    assert member.nets("G", "04-01", "05-02") == ["100.00"]


@pytest.mark.rule("PRM-055", "PRM-113", "MEM-036")
def test_a_rolled_on_sequence_has_a_new_id_and_names_the_one_it_replaces() -> None:
    group = Group()
    member = Member(group).start()
    member.amend("04-01", amounts=(amount("1200.00", LIFE, sequence(1, "700.00"), sequence(2, "500.00")),))
    group.invoice_months("G", 1, 4)
    member.amend("03-01", amounts=(amount("1200.00", LIFE, sequence(1, "1200.00")),))
    member.decide(roll_on("T2", as_="R"))
    rolled = member.record.transaction("R")
    assert rolled is not None
    assert [(one.sequence_id, one.replaces, one.root) for one in rolled.amounts[0].sequences] == [
        ("S1/R", "S1", "S1"),
        ("S2/R", "S2", "S2"),
    ]
    assert member.anyb_lines().get("04-01") is None


@pytest.mark.rule("MEM-036", "PRM-055")
def test_a_sequence_left_out_later_ends_and_one_whose_transaction_is_dropped_is_removed() -> None:
    group = Group()
    member = Member(group).start()
    member.amend("04-01", amounts=(amount("1200.00", LIFE, sequence(1, "700.00"), sequence(2, "500.00")),))
    member.amend("06-01", amounts=(amount("1200.00", LIFE, sequence(1, "1200.00")),))
    shares = [(f"{one.period_start:%m}", one.sequence, one.net) for one in member.charges("G", "05-01", "06-02")]
    assert shares == [("05", "S1", 5833), ("05", "S2", 4167), ("06", "S1", 10000)]
    group.invoice("G", "04-01")
    member.amend("03-01", amounts=(amount("1200.00", LIFE, sequence(1, "1200.00")),))
    member.decide(drop("T2"), drop("T3"))
    published = member.record.anyb_of("G")
    assert published is not None
    assert [(one.sequence, one.amount) for one in published.lines] == [("S1", 4167), ("S2", -4167)]


@pytest.mark.rule("PRM-113")
def test_a_rolled_on_class_change_is_routed_again_where_the_record_is_then() -> None:
    def by_class(sought: RoutingKey) -> Routed:
        return Routed(f"{sought.location}-{sought.member_class}")

    accounts = {f"{place}-{one}": group_account(f"{place}-{one}") for place in ("L1", "L2") for one in ("A", "B")}
    member = Member(Group(accounts, by_class)).start(location="L1", member_class="A")
    member.amend("06-01", "1320.00", kinds=(AmendmentKind.CLASSIFICATION_CHANGE,), member_class="B")
    member.amend("04-01", "1260.00", location="L2")
    assert [one.account for one in member.record.placements] == ["L1-A", "L2-A", "L2-B"]
    member.decide(roll_on("T2"))
    assert [(one.account, one.start) for one in member.record.placements] == [
        ("L1-A", day("01-01")),
        ("L2-A", day("04-01")),
        ("L2-B", day("06-01")),
    ]


# ---------------------------------------------------------------------------------------------------- automatic mode


@pytest.mark.rule("PRM-116")
def test_in_automatic_mode_everything_happens_in_one_unit() -> None:
    group = Group(terms=PolicyTerms(roll_on_mode=RollOnMode.AUTOMATIC))
    member = Member(group).start()
    member.amend("05-01", "1320.00")
    member.amend("07-01", "1440.00")
    group.invoice_months("G", 1, 8)
    happened = member.amend("03-01", "1260.00", decisions=(roll_on("T2", "1380.00"), drop("T3")))
    assert not member.record.is_roll_on_pending
    assert (member.status("T2"), member.status("T3"), member.active_number) == ("ROLLED_ON", "DROPPED", 5)
    assert event(happened, "RollOnRequested").mode is RollOnMode.AUTOMATIC
    assert names(happened).count("MemberAnybChanged") == 1
    assert member.anyb() == "10.00"


@pytest.mark.rule("PRM-116")
def test_in_automatic_mode_a_missing_decision_refuses_the_whole() -> None:
    group = Group(terms=PolicyTerms(roll_on_mode=RollOnMode.AUTOMATIC))
    member = Member(group).start()
    member.amend("05-01", "1320.00")
    member.amend("07-01", "1440.00")
    with pytest.raises(Refusal) as refusal:
        member.amend("03-01", "1260.00", decisions=(roll_on("T2"),))
    assert refusal.value.code == "ROLL_ON_INCOMPLETE"
    assert refusal.value.problems[0].params["transactions"] == ["T3"]
    assert member.active_number == 3


@pytest.mark.rule("PRM-116")
def test_the_message_may_ask_for_either_mode() -> None:
    by_message = Member(Group()).start()
    by_message.amend("05-01", "1320.00")
    by_message.amend("03-01", "1260.00", decisions=(roll_on("T2"),))
    assert not by_message.record.is_roll_on_pending
    manual = Member(Group(terms=PolicyTerms(roll_on_mode=RollOnMode.AUTOMATIC))).start()
    manual.amend("05-01", "1320.00")
    manual.amend("03-01", "1260.00", roll_on_mode=RollOnMode.MANUAL)
    assert manual.record.is_roll_on_pending


# ---------------------------------------------------------------------------------------------------------- parked


@pytest.mark.rule("PRM-115", "PRM-012", "MEM-105")
def test_claims_waivers_and_employment_changes_wait_for_the_end_of_the_lock() -> None:
    group = Group({"L1": group_account("L1"), "L2": group_account("L2")}, per_location)
    member = Member(group).start(location="L1")
    member.amend("05-01", "1320.00")
    member.amend("03-01", "1260.00")
    assert names(member.employ("04-01", "L2")) == ["TransactionParked"]
    assert names(member.waive("06-01", origin=Origin.CLAIMS)) == ["TransactionParked"]
    assert [one.request.transaction_id for one in member.record.parked] == ["T4", "T5"]
    assert member.employ("04-01", "L2", transaction_id="T4") == []
    with pytest.raises(Refusal, match="ROLL_ON_PENDING"):
        unpark(member.record, "T4", group.facts())
    member.decide(roll_on("T2"))
    member.unpark("T4")
    member.unpark("T5")
    assert (member.status("T4"), member.status("T5"), member.record.parked) == ("APPLIED", "APPLIED", ())
    assert [one.account for one in member.record.placements] == ["L1", "L2"]
    assert member.nets("L2", "05-01", "06-02") == ["110.00", "0.00"]


@pytest.mark.rule("PRM-115", "PRM-012")
def test_a_parked_message_that_is_refused_in_its_turn_is_rejected_to_its_origin() -> None:
    member = Member(Group()).start()
    member.cancel("05-01")
    member.amend("03-01", "1260.00")
    member.waive("06-01", origin=Origin.CLAIMS, transaction_id="W")
    member.decide(roll_on("T2"))
    rejected = event(member.unpark("W"), "TransactionRejected")
    assert (rejected.origin, rejected.codes) == (Origin.CLAIMS, ("MEMBER_NOT_IN_FORCE",))
    assert member.record.parked == ()
    member.reinstate("05-01")
    member.waive("06-01", origin=Origin.CLAIMS, transaction_id="W")
    assert member.status("W") == "APPLIED"


@pytest.mark.rule("PRM-115")
def test_the_end_of_a_claims_waiver_waits_and_that_of_a_policy_waiver_is_refused() -> None:
    claims = Member(Group()).start()
    claims.waive("02-01", transaction_id="W")
    claims.amend("05-01", "1320.00")
    claims.amend("03-01", "1260.00")
    assert names(claims.end_waiver("06-01", "W")) == ["TransactionParked"]
    policy = Member(Group(terms=PolicyTerms(premium_waiver_source=WaiverSource.POLICY))).start()
    policy.waive("02-01", waiver_source=WaiverSource.POLICY, transaction_id="W")
    policy.amend("05-01", "1320.00")
    policy.amend("03-01", "1260.00")
    ending = {"waiver_source": WaiverSource.POLICY}
    assert policy.refused(lambda: policy.end_waiver("06-01", "W", **ending)) == ["ROLL_ON_PENDING"]


@pytest.mark.rule("PRM-103", "PRM-113")
def test_a_policy_waiver_is_backed_off_and_rolled_on_without_a_version() -> None:
    member = Member(Group(terms=PolicyTerms(premium_waiver_source=WaiverSource.POLICY))).start()
    member.waive("05-01", "06-01", waiver_source=WaiverSource.POLICY)
    member.amend("03-01", "1260.00")
    assert member.status("T2") == "BACKED_OFF"
    happened = member.decide(roll_on("T2"))
    assert "PremiumWaiverApplied" in names(happened)
    assert (member.active_number, len(member.record.versions)) == (2, 2)
    assert member.nets("G", "04-01", "06-02") == ["105.00", "0.00", "105.00"]


@pytest.mark.rule("PRM-111")
def test_while_pending_the_active_view_stays_and_the_placements_with_it() -> None:
    group = Group({"L1": group_account("L1"), "L2": group_account("L2")}, per_location)
    member = Member(group).start(location="L1")
    member.amend("05-01", "1320.00")
    group.invoice_months("L1", 1, 4)
    group.route = lambda _: Routed("L2")
    happened = member.amend("03-01", "1260.00")
    assert "MemberRecordMoved" not in names(happened)
    assert member.active.at(day("03-01")).account == "L1"
    assert member.latest.at(day("03-01")).account == "L2"
    assert [one.account for one in member.record.placements] == ["L1"]
    group.invoice("L1", "05-01")
    last = member.decide(drop("T2"))
    assert "MemberRecordMoved" in names(last)
    assert [one.account for one in member.record.placements] == ["L1", "L2"]
    assert member.anyb("L1") == "-310.00"


@pytest.mark.rule("PRM-113")
def test_an_id_in_use_is_not_given_to_a_rolled_on_transaction() -> None:
    member = locked()
    assert member.refused(lambda: member.decide(roll_on("T2", as_="T1"))) == ["IDEMPOTENCY_CONFLICT"]
    assert instruct(member.record, (drop("T2"),), member.group.facts())
