"""Employment changes: timeline, placement, fallback, and that the order of arrival does not matter (MEM-098 to 107)."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.accounts.setup import Routed
from domain.members.events import MemberRecordMoved, MovementKind
from domain.premium.transactions import AmendmentKind, ItemKey, TransactionType
from tests.domain.members.story import (
    Group,
    Member,
    amount,
    day,
    direct_account,
    group_account,
    names,
    per_class,
    per_location,
)

T = TransactionType


def located(on: str = "01-01", annual: str = "1200.00", location: str | None = "L1") -> tuple[Group, Member]:
    """A member on the account of its location, L2, L3 and the root R set up besides."""
    accounts = {name: group_account(name) for name in ("L1", "L2", "L3", "R")} | {"ID": direct_account("ID")}
    group = Group(accounts, per_location)
    return group, Member(group).start(annual, on=on, location=location)


def places(member: Member) -> list[tuple[str, str]]:
    """The placements with days, as (account, first day)."""
    return [(one.account, f"{one.start:%m-%d}") for one in member.record.placements if one.end != one.start]


def locations(member: Member) -> list[tuple[str, str | None]]:
    """The employment timeline: adjacent equal segments are one (MEM-101)."""
    merged: list[tuple[str, str | None]] = []
    for segment in member.active.segments:
        if not merged or merged[-1][1] != segment.location:
            merged.append((f"{segment.start:%m-%d}", segment.location))
    return merged


@pytest.mark.rule("MEM-E03", "MEM-070", "MEM-071", "MEM-072", "MEM-103")
def test_e03_a_location_change_in_an_invoiced_month_moves_the_record_by_days() -> None:
    group, member = located()
    group.invoice_months("L1", 1, 4)
    group.invoice_months("L2", 1, 4)
    happened = member.employ("04-16", "L2")
    assert (member.nets("L1", "04-01", "04-02"), member.anyb("L1")) == (["49.32"], "-50.68")
    assert (member.nets("L2", "04-16", "05-02"), member.anyb("L2")) == (["49.32", "100.00"], "49.32")
    assert names(happened)[0] == "EmploymentChanged"
    [moved] = [one for one in happened if isinstance(one, MemberRecordMoved)]
    out, into = moved.movements
    assert (out.kind, out.account, out.date) == (MovementKind.MOVED_OUT, "L1", day("04-16"))
    assert (into.kind, into.account, into.date) == (MovementKind.MOVED_IN, "L2", day("04-16"))
    assert out.correlation == into.correlation


@pytest.mark.rule("MEM-E04", "MEM-081", "MEM-104")
def test_e04_a_place_that_is_not_set_up_falls_back_to_the_root_until_the_next_event() -> None:
    group, member = located()
    member.employ("05-01", "L9", transaction_id="E")
    [first, fallback] = member.record.placements
    assert (fallback.account, fallback.root_fallback, first.root_fallback) == ("R", True, False)
    assert member.active.at(day("05-01")).location == "L9"
    group.accounts["L9"] = group_account("L9")
    group.route = lambda sought: Routed(sought.location)
    assert member.employ("05-01", "L9", transaction_id="E") == []
    assert places(member) == [("L1", "01-01"), ("R", "05-01")]
    member.employ("07-01", "L9")
    assert places(member) == [("L1", "01-01"), ("R", "05-01"), ("L9", "07-01")]
    assert not member.record.placements[-1].root_fallback


@pytest.mark.rule("MEM-104")
def test_a_record_that_stays_on_the_root_account_is_marked_and_the_mark_cleared() -> None:
    _, member = located(location=None)
    assert places(member) == [("R", "01-01")]
    member.employ("03-01", "L9")
    assert (places(member), member.record.placements[-1].root_fallback) == ([("R", "01-01")], True)
    member.employ("05-01", "")
    assert (places(member), member.record.placements[-1].root_fallback) == ([("R", "01-01")], False)
    assert member.active.at(day("05-01")).location is None


@pytest.mark.rule("MEM-105")
def test_without_an_active_account_at_the_root_the_event_is_refused() -> None:
    group, member = located()
    group.route = lambda _: Routed(None, ("PARENT_BILLING_MISSING",), fallback=True)
    assert member.refused(lambda: member.employ("05-01", "L9")) == ["PARENT_BILLING_MISSING"]


@pytest.mark.rule("MEM-E05", "MEM-099", "MEM-101")
def test_e05_events_out_of_order_give_the_same_placements() -> None:
    group, member = located(annual="2400.00")
    for name in ("L1", "L2", "L3"):
        group.invoice_months(name, 1, 6)
    member.employ("06-01", "L3")
    assert (member.anyb("L1"), member.anyb("L3")) == ("-200.00", "200.00")
    member.employ("04-01", "L2")
    assert places(member) == [("L1", "01-01"), ("L2", "04-01"), ("L3", "06-01")]
    assert [member.anyb(name) for name in ("L1", "L2", "L3")] == ["-600.00", "400.00", "200.00"]


@pytest.mark.rule("MEM-E06", "MEM-102")
def test_e06_a_change_before_the_members_start_counts_from_the_start() -> None:
    _, member = located(on="03-01")
    member.employ("02-01", "L2")
    changed = member.record.transaction("T2")
    assert changed is not None
    assert (changed.effective_date, changed.original_date) == (day("03-01"), day("02-01"))
    assert places(member) == [("L2", "03-01")]
    assert member.active.at(day("03-01")).location == "L2"
    assert [one.account for one in member.record.placements] == ["L1", "L2"]


@pytest.mark.rule("MEM-E07", "MEM-103")
def test_e07_under_a_single_bill_nothing_moves() -> None:
    group = Group()
    member = Member(group).start(location="L1")
    group.invoice_months("G", 1, 4)
    happened = member.employ("04-16", "L2")
    assert "PolicyTransactionApplied" in names(happened)
    assert "MemberRecordMoved" not in names(happened)
    assert "AnybUpdateExcluded" in names(happened)
    assert (member.nets("G", "04-01", "04-02"), member.anyb("G")) == (["100.00"], "0.00")


@pytest.mark.rule("MEM-100")
def test_an_event_that_changes_nothing_is_recorded_and_makes_no_transaction() -> None:
    _, member = located()
    happened: list[Any] = member.employ("05-01", "L1", transaction_id="E")
    assert [type(one).__name__ for one in happened] == ["EmploymentChanged"]
    assert happened[0].outcome.value == "NO_CHANGE"
    assert len(member.record.transactions) == 1
    assert member.employ("06-01", "L2", transaction_id="E") == []


@pytest.mark.rule("MEM-099")
def test_an_attribute_not_stated_keeps_its_value_and_an_empty_one_clears_it() -> None:
    _, member = located()
    member.employ("02-01", division="D1")
    member.employ("03-01", "L2")
    member.employ("04-01", "", division=None)
    at = {on: member.active.at(day(on)) for on in ("02-01", "03-01", "04-01")}
    assert [(one.location, one.division) for one in at.values()] == [("L1", "D1"), ("L2", "D1"), (None, "D1")]
    assert places(member)[-1] == ("R", "04-01")


@pytest.mark.rule("MEM-102", "MEM-107")
def test_on_or_after_a_cancellation_the_timeline_is_updated_and_nothing_rerouted() -> None:
    _, member = located()
    member.cancel("05-01")
    member.employ("06-01", "L2")
    assert places(member) == [("L1", "01-01")]
    assert member.active.at(day("06-01")).location == "L2"


@pytest.mark.rule("PRM-065")
def test_a_rescission_routes_the_employment_changes_dated_after_the_cancellation() -> None:
    _, member = located()
    member.cancel("05-01")
    member.employ("06-01", "L2")
    member.rescind("05-01")
    assert places(member) == [("L1", "01-01"), ("L2", "06-01")]
    assert member.nets("L2", "06-01", "06-02") == ["100.00"]


@pytest.mark.rule("PRM-066")
def test_a_reinstatement_routes_by_the_employment_of_the_lapse_from_its_own_date() -> None:
    _, member = located()
    member.cancel("05-01")
    member.employ("06-01", "L2")
    member.reinstate("07-01")
    assert places(member) == [("L1", "01-01"), ("L2", "07-01")]
    stays = located()[1]
    stays.cancel("05-01")
    stays.reinstate("07-01")
    assert places(stays) == [("L1", "01-01")]


@pytest.mark.rule("PRM-103")
def test_an_employment_change_kept_under_a_cancellation_has_no_effect_while_cancelled() -> None:
    _, member = located()
    member.employ("06-01", "L2")
    member.cancel("05-01")
    assert (member.status("T2"), places(member)) == ("APPLIED", [("L1", "01-01")])
    member.reinstate("05-01")
    assert places(member) == [("L1", "01-01"), ("L2", "06-01")]


@pytest.mark.rule("MEM-107", "MEM-131")
def test_on_individual_direct_an_employment_change_updates_attributes_and_moves_nothing() -> None:
    _, member = located()
    member.employ("06-01", "L2")
    member.port("04-01")
    assert places(member) == [("L1", "01-01"), ("ID", "04-01")]
    assert member.status("T2") == "APPLIED"
    assert member.active.at(day("06-01")).location == "L2"
    member.employ("07-01", "L3")
    assert places(member) == [("L1", "01-01"), ("ID", "04-01")]


@pytest.mark.rule("MEM-101", "MEM-106")
def test_a_later_event_that_changed_nothing_counts_once_an_earlier_one_arrives() -> None:
    _, member = located()
    member.employ("04-01", "L2")
    member.employ("06-01", "L2", transaction_id="late")
    assert len(member.record.transactions) == 2
    member.employ("05-01", "L3")
    assert locations(member) == [("01-01", "L1"), ("04-01", "L2"), ("05-01", "L3"), ("06-01", "L2")]
    assert places(member) == [("L1", "01-01"), ("L2", "04-01"), ("L3", "05-01"), ("L2", "06-01")]
    assert member.status("late") == "APPLIED"


@pytest.mark.rule("MEM-101")
def test_of_two_events_with_the_same_date_the_later_recorded_wins() -> None:
    _, member = located()
    member.employ("04-01", "L2")
    member.employ("04-01", "L3")
    assert places(member) == [("L1", "01-01"), ("L3", "04-01")]
    assert [one.account for one in member.record.placements] == ["L1", "L2", "L3"]


EVENTS = (
    ("03-01", "L2", None),
    ("05-01", "L3", "D1"),
    ("05-16", None, "D2"),
    ("07-01", "L2", None),
    ("08-01", "", "D2"),
)


@pytest.mark.rule("MEM-101")
def test_every_order_of_arrival_gives_the_same_timeline_and_placements() -> None:
    found = set()
    for order in permutations(EVENTS):
        _, member = located()
        for on, location, division in order:
            member.employ(on, location, division=division)
        timeline = tuple(
            (segment.location, segment.division, segment.account)
            for segment in (member.active.at(day(on)) for on in ("03-01", "05-01", "05-16", "07-01", "08-01"))
        )
        found.add((timeline, tuple(places(member))))
    timeline = (("L2", None, "L2"), ("L3", "D1", "L3"), ("L3", "D2", "L3"), ("L2", "D2", "L2"), (None, "D2", "R"))
    placed = (("L1", "01-01"), ("L2", "03-01"), ("L3", "05-01"), ("L2", "07-01"), ("R", "08-01"))
    assert found == {(timeline, placed)}


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[tuple[str, str | None, str | None]], list[int]]:
    """Employment events of different dates, some before the member's start, and an order of arrival."""
    dates = draw(st.lists(st.integers(1, 12), min_size=1, max_size=5, unique=True))
    values = st.sampled_from(["L1", "L2", "L3", ""])
    stated = []
    for month in dates:
        location = draw(st.none() | values)
        division = draw(st.sampled_from(["D1", "D2", ""]) if location is None else st.none() | st.just("D1"))
        stated.append((f"{month:02}-01", location, division))
    return stated, draw(st.permutations(range(len(stated))))


@pytest.mark.rule("MEM-101", "MEM-102")
@settings(max_examples=60, deadline=None)
@given(arrivals())
def test_the_order_of_arrival_never_matters(told: tuple[list[tuple[str, str | None, str | None]], list[int]]) -> None:
    events, order = told
    straight, shuffled = located(on="04-01")[1], located(on="04-01")[1]
    for on, location, division in sorted(events):
        straight.employ(on, location, division=division)
    for index in order:
        on, location, division = events[index]
        shuffled.employ(on, location, division=division)
    for month in range(4, 13):
        ours, theirs = (one.active.at(day(f"{month:02}-01")) for one in (straight, shuffled))
        assert (ours.location, ours.division, ours.account) == (theirs.location, theirs.division, theirs.account)


@pytest.mark.rule("MEM-070", "MEM-083", "MEM-107")
def test_a_class_change_places_the_record_and_a_second_one_of_the_date_wins() -> None:
    accounts = {name: group_account(name) for name in ("BA-A", "BA-B")} | {"ID": direct_account("ID")}
    member = Member(Group(accounts, per_class)).start(member_class="A")

    def to(on: str, code: str) -> None:
        key = ItemKey("LIFE", coverage_class=code)
        kinds = (AmendmentKind.CLASSIFICATION_CHANGE,)
        member.amend(on, kinds=kinds, member_class=code, amounts=(amount("1200.00", key),))

    to("03-01", "B")
    to("03-01", "A")
    history = [(one.account, one.start, one.end) for one in member.record.placements]
    assert history == [
        ("BA-A", day("01-01"), day("03-01")),
        ("BA-B", day("03-01"), day("03-01")),
        ("BA-A", day("03-01"), None),
    ]
    member.port("05-01")
    to("06-01", "B")
    assert [one.account for one in member.record.placements][-1] == "ID"
    assert member.active.at(day("06-01")).member_class == "B"
