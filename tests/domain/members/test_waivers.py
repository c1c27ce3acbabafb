"""Premium waivers: sources, dates, overlaps, ends, expirations, and all records of a customer at once."""

import datetime as dt
from typing import Any

import pytest

from domain.errors import Refusal
from domain.members.events import PremiumWaiverEnded, WaiverEnding
from domain.members.record import MEMBER_RECORD
from domain.members.views import Badge, badges
from domain.members.waivers import WaiverCandidate, decide_waiver_for_all, expire_waivers, waived_records
from domain.premium.transactions import Origin, TransactionType, WaiverSource
from domain.products.master_policy import PolicyTerms
from tests.domain.members.story import NOW, Group, Member, amount, day, direct_account, group_account, names

T = TransactionType
POLICY, CLAIMS = WaiverSource.POLICY, WaiverSource.CLAIMS


def of_policy() -> Group:
    return Group(terms=PolicyTerms(premium_waiver_source=POLICY))


@pytest.mark.rule("PRM-090", "PRM-029", "PRM-098")
def test_a_waiver_frees_its_days_and_is_announced() -> None:
    member = Member(Group()).start()
    happened = member.waive("03-11", "05-01", coverages=("LIFE",), origin=Origin.CLAIMS)
    told: Any = next(one for one in happened if type(one).__name__ == "PremiumWaiverApplied")
    assert (told.waiver_id, told.source, told.effective_date, told.until) == ("T2", CLAIMS, day("03-11"), day("05-01"))
    assert member.nets("G", "03-01", "05-02") == ["32.88", "0.00", "100.00"]
    assert Badge.WAIVED in badges(member.record, day("04-01"))
    assert Badge.WAIVED not in badges(member.record, day("05-01"))


@pytest.mark.rule("PRM-091")
def test_only_the_source_of_the_master_policy_grants_waivers() -> None:
    member = Member(Group()).start()
    assert member.refused(lambda: member.waive("03-01", waiver_source=POLICY)) == ["WAIVER_SOURCE_NOT_ALLOWED"]
    other = Member(of_policy()).start()
    assert other.refused(lambda: other.waive("03-01", waiver_source=CLAIMS)) == ["WAIVER_SOURCE_NOT_ALLOWED"]


@pytest.mark.rule("PRM-091")
def test_a_waiver_of_the_other_source_that_still_runs_stands_in_the_way() -> None:
    group = Group()
    member = Member(group).start()
    member.waive("03-01", transaction_id="W")
    group.terms = PolicyTerms(premium_waiver_source=POLICY)
    request = {"waiver_source": POLICY}
    assert member.refused(lambda: member.waive("06-01", **request)) == ["WAIVER_OTHER_SOURCE_ACTIVE"]
    assert member.refused(lambda: member.end_waiver("06-01", "W", **request)) == ["WAIVER_SOURCE_NOT_ALLOWED"]
    member.end_waiver("06-01", "W", waiver_source=POLICY, facts={"waiver_override": True})
    member.waive("06-01", **request)
    assert member.nets("G", "02-01", "03-02") == ["100.00", "0.00"]


@pytest.mark.rule("PRM-091")
def test_whoever_names_no_source_speaks_for_the_system_he_is() -> None:
    member = Member(Group()).start()
    member.waive("03-01", transaction_id="W")
    nameless = {"waiver_source": None}
    for origin in (Origin.POLICY, Origin.BILLING):
        codes = member.refused(lambda origin=origin: member.end_waiver("06-01", "W", origin=origin, **nameless))
        assert codes == ["WAIVER_SOURCE_NOT_ALLOWED"]
    member.end_waiver("06-01", "W", origin=Origin.CLAIMS, **nameless)
    assert member.nets("G", "06-01", "06-02") == ["100.00"]


@pytest.mark.rule("PRM-092")
def test_the_checks_of_a_waiver_come_in_their_order() -> None:
    group = Group(terms=PolicyTerms(waiver_claim_filing_days=180))
    member = Member(group).start()
    filed = NOW.date() - dt.timedelta(days=180)
    # Each request also fails the checks that come later.
    assert member.refused(lambda: member.waive("2024-12-31", "2024-12-31")) == ["WAIVER_DATE_MISALIGNED"]
    too_early = (filed - dt.timedelta(days=1)).isoformat()
    assert member.refused(lambda: member.waive(too_early)) == ["WAIVER_DATE_MISALIGNED"]
    member.waive(filed.isoformat(), "04-01")
    member.cancel("08-01")
    assert member.refused(lambda: member.waive("08-01", "08-01")) == ["MEMBER_NOT_IN_FORCE"]
    assert member.refused(lambda: member.waive("03-20", "03-20")) == ["WAIVER_DATES_INVALID"]
    assert member.refused(lambda: member.waive("03-31", "04-15")) == ["WAIVER_OVERLAP"]
    member.waive("04-01", "04-15")


@pytest.mark.rule("PRM-092")
def test_the_filing_limit_is_for_claims_only() -> None:
    group = Group(terms=PolicyTerms(premium_waiver_source=POLICY, waiver_claim_filing_days=10))
    member = Member(group).start()
    member.waive("01-01", "02-01", waiver_source=POLICY)
    assert member.nets("G", "01-01", "01-02") == ["0.00"]


@pytest.mark.rule("PRM-092")
def test_waivers_of_different_coverages_may_run_together() -> None:
    member = Member(Group()).start()
    member.waive("03-01", "05-01", coverages=("LIFE",))
    member.waive("04-01", "06-01", coverages=("DENTAL",))
    assert member.refused(lambda: member.waive("04-15", coverages=("DENTAL", "VISION"))) == ["WAIVER_OVERLAP"]
    assert member.refused(lambda: member.waive("05-31")) == ["WAIVER_OVERLAP"]


@pytest.mark.rule("PRM-093")
def test_a_request_out_of_scope_changes_nothing_and_is_logged() -> None:
    member = Member(Group()).start()
    happened = member.waive("03-01", out_of_scope=True, transaction_id="W")
    assert names(happened) == ["PremiumWaiverOutOfScope"]
    assert len(member.record.transactions) == 1
    assert member.nets("G", "03-01", "03-02") == ["100.00"]
    assert member.waive("03-01", out_of_scope=True, transaction_id="W") == []


@pytest.mark.rule("PRM-095")
def test_the_end_of_a_waiver_needs_a_waiver_on_the_day_before() -> None:
    member = Member(Group()).start()
    assert member.refused(lambda: member.end_waiver("04-01", "W")) == ["NO_ACTIVE_WAIVER"]
    member.waive("03-01", "06-01", waiver_id="W")
    assert member.refused(lambda: member.end_waiver("02-28", "W")) == ["WAIVER_DATES_INVALID"]
    assert member.refused(lambda: member.end_waiver("06-02", "W")) == ["NO_ACTIVE_WAIVER"]
    ended: Any = next(one for one in member.end_waiver("05-01", "W") if isinstance(one, PremiumWaiverEnded))
    assert (ended.effective_date, ended.ending, ended.source) == (day("05-01"), WaiverEnding.ENDED, CLAIMS)
    assert member.nets("G", "04-01", "05-02") == ["0.00", "100.00"]
    assert member.refused(lambda: member.end_waiver("05-15", "W")) == ["NO_ACTIVE_WAIVER"]


@pytest.mark.rule("PRM-095", "PRM-113")
def test_an_earlier_end_takes_the_place_of_a_later_one() -> None:
    member = Member(Group()).start()
    member.waive("03-01", waiver_id="W")
    member.end_waiver("06-01", "W")
    member.end_waiver("05-01", "W")
    assert (member.status("T3"), member.status("T4")) == ("INEFFECTIVE", "APPLIED")
    assert member.nets("G", "04-01", "05-02") == ["0.00", "100.00"]


@pytest.mark.rule("PRM-095")
def test_an_end_on_the_start_voids_the_waiver() -> None:
    member = Member(Group()).start()
    member.waive("03-01", waiver_id="W")
    ended: Any = next(one for one in member.end_waiver("03-01", "W") if isinstance(one, PremiumWaiverEnded))
    assert ended.ending is WaiverEnding.VOID
    assert member.nets("G", "03-01", "03-02") == ["100.00"]
    member.waive("03-01")


@pytest.mark.rule("PRM-095")
def test_a_waiver_expires_by_itself_on_its_date_and_says_so_once() -> None:
    member = Member(Group()).start()
    member.waive("03-01", expiration=day("05-01"), waiver_id="W")
    assert member.nets("G", "04-01", "05-02") == ["0.00", "100.00"]
    assert expire_waivers(member.record, day("04-30")) == ()
    [expired] = member.happen(expire_waivers(member.record, day("05-01")))
    assert isinstance(expired, PremiumWaiverEnded)
    assert (expired.waiver_id, expired.ending, expired.effective_date) == ("W", WaiverEnding.EXPIRED, day("05-01"))
    assert expire_waivers(member.record, day("05-02")) == ()
    assert MEMBER_RECORD.fold(member.events) == member.record


@pytest.mark.rule("PRM-096", "PRM-097")
def test_amendments_renewals_and_moves_leave_a_running_waiver() -> None:
    group = Group({"G": group_account("G"), "ID": direct_account("ID")})
    member = Member(group).start()
    group.invoice_months("G", 1, 3)
    member.waive("02-01", "06-16", waiver_id="W")
    assert member.anyb("G") == "-200.00"
    member.amend("02-01", "1320.00")
    assert member.anyb_lines("G")["02-01"] == ("10.00", "-110.00")
    member.renew("03-01", "1440.00")
    member.port("04-01")
    assert (member.status("T2"), member.anyb("G")) == ("APPLIED", "-200.00")
    assert member.nets("ID", "05-01", "06-02") == ["0.00", "59.18"]


@pytest.mark.rule("PRM-097")
def test_on_or_after_a_cancellation_a_waiver_has_no_effect() -> None:
    member = Member(Group()).start()
    member.waive("03-01", waiver_id="W")
    member.cancel("05-01")
    assert member.nets("G", "04-01", "06-02") == ["0.00"]
    assert Badge.WAIVED not in badges(member.record, day("06-01"))


# ------------------------------------------------------------------------------------------------ all records at once


def candidates(*members: Member) -> list[WaiverCandidate]:
    return [WaiverCandidate(one.record, one.group.facts()) for one in members]


@pytest.mark.rule("PRM-094")
def test_a_waiver_reaches_every_in_force_record_whose_policy_takes_the_source() -> None:
    named, same, later = (Member(Group(), number).start() for number in ("M1", "M2", "M3"))
    other_source = Member(of_policy(), "M4").start()
    later.cancel("02-01")
    request = named.request(T.WAIVER_ADD, "03-01", waiver_source=CLAIMS, transaction_id="W", origin=Origin.CLAIMS)
    reached = waived_records(request, candidates(later, same, other_source, named))
    assert [one.record.number for one in reached] == ["M1", "M2"]
    decided = decide_waiver_for_all(request, candidates(named, same, later, other_source))
    for member in (named, same):
        member.happen(decided[member.number])
    assert (named.status("W"), same.status("W/M2")) == ("APPLIED", "APPLIED")
    assert same.nets("G", "03-01", "03-02") == ["0.00"]


@pytest.mark.rule("PRM-094")
def test_a_record_that_refuses_the_waiver_stops_it_for_all() -> None:
    named, same = (Member(Group(), number).start() for number in ("M1", "M2"))
    same.waive("02-01")
    request = named.request(T.WAIVER_ADD, "03-01", waiver_source=CLAIMS, transaction_id="W")
    with pytest.raises(Refusal) as refusal:
        decide_waiver_for_all(request, candidates(named, same))
    assert [(one.code, one.entity) for one in refusal.value.problems] == [("WAIVER_OVERLAP", "M2")]


@pytest.mark.rule("PRM-104")
def test_a_running_waiver_applies_to_the_premium_of_an_earlier_dated_amendment_too() -> None:
    member = Member(of_policy()).start()
    member.waive("02-01", "05-01", waiver_source=POLICY, waiver_id="W")
    member.amend("03-01", amounts=(amount("2400.00"),))
    assert member.status("T2") == "APPLIED"
    assert not member.record.is_roll_on_pending
    assert member.nets("G", "04-01", "05-02") == ["0.00", "200.00"]
