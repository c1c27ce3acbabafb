"""The aggregate as such: its events, what they carry, how they fold, and the views derived from it."""

import dataclasses
import datetime as dt
import json
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any

import pytest

from domain.events import event_classes
from domain.members import events as member_events
from domain.members.identity import rename
from domain.members.record import MEMBER_RECORD, MemberRecord, evolve
from domain.members.requests import TransactionRequest, fingerprint
from domain.members.views import Badge, DerivedState, badges, derived_state, placement_history
from domain.premium.transactions import TransactionType
from tests.domain.members.story import (
    Group,
    Member,
    amount,
    day,
    direct_account,
    drop,
    group_account,
    names,
    per_location,
    roll_on,
    with_gaps,
)

T = TransactionType
CLASSES = [one for one in event_classes().values() if one.__module__ == member_events.__name__]


def eventful() -> Member:
    """A record to which nearly everything has happened."""
    group = Group(
        {name: group_account(name) for name in ("L1", "L2", "R")} | {"ID": direct_account("ID")}, per_location
    )
    member = Member(group).start(location="L1")
    group.invoice_months("L1", 1, 4)
    member.amend("05-01", "1320.00")
    member.amend("07-01", "1380.00")
    member.employ("04-16", "L2", transaction_id="E")
    member.amend("03-01", "1260.00")
    member.waive("08-01", "09-01", transaction_id="W")
    member.decide(drop("T3"), roll_on("T2"))
    member.unpark("W")
    member.stop("09-01")
    member.resume("10-01")
    member.port("11-01")
    member.cancel("12-01")
    member.reinstate("12-01")
    group.accounts["L1"] = with_gaps(group.accounts["L1"], 6)
    member.send(T.SEASONAL_UPDATE, "12-01", account="L1")
    member.happen(rename(member.record, first_name="Ada", last_name="King", employee_id="7", customer_version=3))
    member.send(T.REWRITE, "02-01", cascade="R")
    return member


def test_evolve_knows_every_event_of_the_room_and_nothing_else() -> None:
    assert len(CLASSES) > 30
    folded = {type(one) for one in eventful().events}
    assert len(folded) > 20
    for cls in CLASSES:
        assert cls in evolve.__globals__["_EVOLVE"], cls.__name__
    assert set(evolve.__globals__["_EVOLVE"]) == set(CLASSES)
    with pytest.raises(TypeError, match="not an event of a member record"):
        evolve(MemberRecord(), object())


def test_replaying_the_events_gives_the_same_record() -> None:
    member = eventful()
    assert MEMBER_RECORD.fold(member.events) == member.record
    assert (MEMBER_RECORD.stream_type, MEMBER_RECORD.snapshot_every) == ("member", 4)


def _readable(kind: Any) -> bool:
    """Whether values of the type are what JSON holds readably."""
    if kind in (str, int, bool, dt.date, dt.datetime, type(None)):
        return True
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return all(_readable(one) for one in parts)
    if origin is tuple:
        return all(_readable(one) for one in parts if one is not Ellipsis)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return issubclass(kind, str)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints: Mapping[str, Any] = typing.get_type_hints(kind)
        return all(_readable(hints[one.name]) for one in dataclasses.fields(kind))
    return False


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_event_holds_only_what_json_holds_readably(cls: type) -> None:
    assert dataclasses.is_dataclass(cls)
    assert _readable(cls)
    assert cls.__doc__


@pytest.mark.rule("PLT-004")
def test_a_fingerprint_depends_on_what_is_stated_only() -> None:
    request = TransactionRequest(transaction_id="A", type="AMENDMENT", amounts=(amount("1200.00"),))
    same = TransactionRequest(type="AMENDMENT", transaction_id="A", amounts=(amount("1200.00"),), location=None)
    other = dataclasses.replace(request, amounts=(amount("1200.01"),))
    cleared = dataclasses.replace(request, location="")
    assert fingerprint(request) == fingerprint(same)
    assert len({fingerprint(one) for one in (request, other, cleared)}) == 3
    assert fingerprint(("A", 1)) != fingerprint(("A", "1"))
    assert json.dumps(fingerprint(request))


# ------------------------------------------------------------------------------------------------------------- views


@pytest.mark.rule("MEM-068")
def test_the_state_of_a_day_is_derived() -> None:
    member = Member(Group()).start(on="02-01")
    member.stop("04-01")
    member.resume("05-01")
    member.cancel("06-01")
    member.reinstate("07-01")
    member.cancel("09-01")
    told = {on: derived_state(member.record, day(on)) for on in ("01-31", "02-01", "04-15", "05-01", "06-15", "07-01")}
    assert told == {
        "01-31": DerivedState.FUTURE,
        "02-01": DerivedState.IN_FORCE,
        "04-15": DerivedState.STOPPED,
        "05-01": DerivedState.IN_FORCE,
        "06-15": DerivedState.LAPSED,
        "07-01": DerivedState.IN_FORCE,
    }
    assert derived_state(member.record, day("09-01")) is DerivedState.ENDED
    assert member.record.is_cancelled


@pytest.mark.rule("MEM-069")
def test_placements_end_at_the_cancellation_date() -> None:
    member = Member(Group()).start()
    member.cancel("06-01")
    assert [(one.account, one.start, one.end) for one in placement_history(member.record)] == [
        ("G", day("01-01"), day("06-01"))
    ]
    member.reinstate("07-01")
    assert placement_history(member.record)[-1].end is None


def test_badges_tell_the_marks_of_a_day() -> None:
    accounts = {name: group_account(name) for name in ("L1", "R")}
    member = Member(Group(accounts, per_location)).start(location="L1", on="02-01")
    assert badges(member.record, day("01-01")) == (Badge.FUTURE,)
    member.employ("03-01", "L9")
    assert badges(member.record, day("03-01")) == (Badge.ROOT_FALLBACK,)
    member.stop("04-01")
    member.waive("04-01")
    assert badges(member.record, day("04-01")) == (Badge.STOPPED, Badge.WAIVED, Badge.ROOT_FALLBACK)
    member.cancel("05-01")
    assert Badge.CANCELLED in badges(member.record, day("04-01"))
    pending = Member(Group()).start()
    pending.amend("05-01", "1320.00")
    pending.amend("03-01", "1260.00")
    assert badges(pending.record, day("04-01")) == (Badge.ROLL_ON_PENDING,)


@pytest.mark.rule("MEM-008")
def test_a_name_event_with_an_older_version_is_stale() -> None:
    member = Member(Group()).start()
    newer = {"first_name": "Ada", "last_name": "King", "employee_id": None}
    assert names(member.happen(rename(member.record, **newer, customer_version=2))) == ["MemberRecordRenamed"]
    for version in (1, 2):
        again = member.happen(rename(member.record, **newer, customer_version=version))
        assert names(again) == ["MemberNameEventStale"]
    assert member.record.customer_version == 2


@pytest.mark.rule("PRM-125")
def test_a_transaction_that_touches_nothing_billed_is_logged_as_excluded() -> None:
    group = Group()
    member = Member(group).start()
    group.invoice("G", "01-01")
    assert "AnybUpdateExcluded" in names(member.amend("03-01", "1320.00"))
    assert "AnybUpdateExcluded" not in names(member.amend("01-16", "1440.00", decisions=(drop("T2"),)))
    assert member.anyb() == "12.44"


@pytest.mark.rule("PRM-123", "PRM-124")
def test_anyb_recomputed_without_new_events_gives_no_event() -> None:
    group = Group()
    member = Member(group).start()
    group.invoice_months("G", 1, 3)
    member.amend("02-01", "1440.00")
    assert member.anyb() == "40.00"
    assert member.publish() == []
    assert member.publish(day("03-01")) == []


@pytest.mark.rule("PRM-123")
def test_the_anyb_of_a_part_and_of_the_whole_are_the_same() -> None:
    """Comparing only what ends after a transaction's date gives what a comparison from the beginning gives."""
    member = eventful()
    assert any(one.total for one in member.record.anyb)
    assert member.publish() == []
