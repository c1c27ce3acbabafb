"""Versions of the modal premium, their rows, and the events that carry them."""

from dataclasses import replace
from typing import Any

import pytest

from domain.calendar.frequency import Frequency
from domain.calendar.periods import InvoicingGrid
from domain.members.events import ModalPremiumRow, ModalPremiumVersionCreated, RowReference
from domain.members.record import MEMBER_RECORD, MemberRecord, active_timeline
from domain.premium.transactions import AmendmentKind, ItemKey, TransactionType
from tests.domain.members.story import (
    LIFE,
    Group,
    Member,
    amount,
    day,
    direct_account,
    group_account,
    names,
    per_location,
    roll_on,
)

T = TransactionType
A = ItemKey("LIFE", coverage_class="A")
B = ItemKey("LIFE", coverage_class="B")
DENTAL = ItemKey("DENTAL")


def versions_of(member: Member) -> list[ModalPremiumVersionCreated]:
    return [one for one in member.events if isinstance(one, ModalPremiumVersionCreated)]


def last_version(member: Member) -> ModalPremiumVersionCreated:
    return versions_of(member)[-1]


def shown(rows: tuple[ModalPremiumRow, ...]) -> list[tuple[Any, ...]]:
    return [(one.account, one.key, f"{one.effective:%m-%d}", one.modal, one.prorated, one.days) for one in rows]


@pytest.mark.rule("PRM-040", "PRM-043")
def test_every_applied_transaction_makes_the_next_version_and_the_one_before_inactive() -> None:
    member = Member(Group()).start()
    member.amend("03-01", "1260.00")
    member.cancel("06-01")
    member.rescind("06-01")
    member.employ("07-01", "L1")
    member.waive("08-01")
    assert [one.version for one in versions_of(member)] == [1, 2, 3, 4, 5]
    assert member.versions == {1: "INACTIVE", 2: "INACTIVE", 3: "INACTIVE", 4: "INACTIVE", 5: "ACTIVE"}
    assert [one.version for one in member.record.transactions] == [1, 2, 3, 4, 5, None]


@pytest.mark.rule("PRM-046")
def test_a_waiver_makes_no_version_and_no_row() -> None:
    member = Member(Group()).start()
    before = member.record.rows
    happened = member.waive("03-01", "05-01")
    assert "ModalPremiumVersionCreated" not in names(happened)
    assert member.record.rows == before
    member.end_waiver("04-01", "T2")
    assert (member.record.rows, member.active_number) == (before, 1)


@pytest.mark.rule("PRM-041", "PRM-042")
def test_a_change_aligned_with_a_period_gives_one_row_and_another_two() -> None:
    member = Member(Group()).start(location="L1", division="D1")
    [first] = last_version(member).rows
    assert first == ModalPremiumRow(
        origin_version=1,
        transaction_id="T1",
        account="G",
        key=LIFE,
        effective=day("01-01"),
        modality=Frequency.MONTHLY,
        annual=120000,
        modal=10000,
        period_start=day("01-01"),
        period_end=day("02-01"),
        location="L1",
        division="D1",
    )
    member.amend("03-01", "1320.00")
    assert shown(last_version(member).rows) == [("G", LIFE, "03-01", 11000, None, None)]
    member.amend("04-16", "1560.00")
    assert shown(last_version(member).rows) == [
        ("G", LIFE, "04-16", 13000, 6411, 15),
        ("G", LIFE, "05-01", 13000, None, None),
    ]
    assert [one.origin_version for one in member.record.rows] == [1, 2, 3, 3]


@pytest.mark.rule("PRM-042")
def test_a_part_cut_again_inside_its_period_keeps_the_days_to_the_cut() -> None:
    member = Member(Group()).start()
    member.amend("04-16", "1560.00")
    member.amend("04-21", "1200.00")
    version = last_version(member)
    assert shown(version.rows) == [
        ("G", LIFE, "04-16", 13000, 2137, 5),
        ("G", LIFE, "04-21", 10000, 3288, 10),
        ("G", LIFE, "05-01", 10000, None, None),
    ]
    assert version.withdrawn == (RowReference("G", LIFE, day("04-16")), RowReference("G", LIFE, day("05-01")))


@pytest.mark.rule("PRM-044")
def test_a_class_change_sets_the_old_key_to_zero_and_adds_the_new_one_in_the_same_version() -> None:
    member = Member(Group()).start(amounts=(amount("1200.00", A), amount("600.00", DENTAL)))
    member.amend("03-01", kinds=(AmendmentKind.CLASSIFICATION_CHANGE,), amounts=(amount("1500.00", B),))
    assert shown(last_version(member).rows) == [
        ("G", A, "03-01", 0, None, None),
        ("G", B, "03-01", 12500, None, None),
    ]


@pytest.mark.rule("PRM-045")
def test_a_move_writes_zero_on_the_account_left_and_full_rows_on_the_receiving_one() -> None:
    member = Member(Group({"G": group_account("G"), "ID": direct_account("ID")})).start()
    member.port("04-16")
    version = last_version(member)
    assert version.version == 2
    assert shown(version.rows) == [
        ("G", LIFE, "04-16", 0, 0, 15),
        ("ID", LIFE, "04-16", 10000, 4932, 15),
        ("G", LIFE, "05-01", 0, None, None),
        ("ID", LIFE, "05-01", 10000, None, None),
    ]


@pytest.mark.rule("PRM-040", "PRM-042")
def test_a_version_carries_only_what_it_changes() -> None:
    member = Member(Group()).start(amounts=(amount("1200.00"), amount("600.00", DENTAL)))
    member.amend("03-01", amounts=(amount("1320.00"),))
    member.amend("04-01", amounts=(amount("660.00", DENTAL),))
    assert shown(last_version(member).rows) == [("G", DENTAL, "04-01", 5500, None, None)]
    unchanged = member.amend("05-01", amounts=(amount("1320.00"),))
    version = next(one for one in unchanged if isinstance(one, ModalPremiumVersionCreated))
    assert (version.version, version.rows, version.withdrawn) == (4, (), ())


@pytest.mark.rule("PRM-040", "PRM-041")
def test_the_rows_of_a_version_are_those_before_it_with_its_changes() -> None:
    member = Member(Group()).start()
    member.amend("05-01", "1320.00")
    member.stop("07-16")
    member.resume("09-01")
    member.amend("03-10", "1260.00")
    member.decide(roll_on("T2", "1380.00"))
    rows: dict[RowReference, ModalPremiumRow] = {}
    for version in versions_of(member):
        for gone in version.withdrawn:
            del rows[gone]
        for row in version.rows:
            reference = RowReference(row.account, row.key, row.effective)
            assert reference not in rows
            rows[reference] = row
    assert sorted(rows.values(), key=lambda one: one.effective) == sorted(
        member.record.rows, key=lambda one: one.effective
    )


@pytest.mark.rule("PRM-041", "PRM-080", "PRM-082")
def test_stop_and_resume_flag_their_rows() -> None:
    member = Member(Group()).start()
    member.stop("03-01")
    member.resume("05-01")
    flags = [(f"{one.effective:%m-%d}", one.modal, one.stop, one.resume) for one in member.record.rows]
    assert flags == [("01-01", 10000, False, False), ("03-01", 0, True, False), ("05-01", 10000, False, True)]


@pytest.mark.rule("PRM-041", "PRM-072")
def test_an_employment_change_gives_a_row_with_the_new_place() -> None:
    group = Group({"L1": group_account("L1"), "L2": group_account("L2")}, per_location)
    member = Member(group).start(location="L1")
    member.employ("03-01", "L2")
    rows = last_version(member).rows
    assert [(one.account, one.modal, one.location) for one in rows] == [("L1", 0, "L1"), ("L2", 10000, "L2")]
    assert {one.transaction_id for one in rows} == {"T2"}


@pytest.mark.rule("PRM-041", "PRM-073")
def test_a_modality_change_of_the_account_gives_rows_on_the_new_grid() -> None:
    group = Group()
    member = Member(group).start(on="02-01")
    grid = InvoicingGrid.starting(day("01-01"), Frequency.MONTHLY).with_frequency(Frequency.QUARTERLY, day("04-01"))
    group.accounts["G"] = replace(group.accounts["G"], invoicing=grid)
    member.send(T.INVOICING_MODALITY_CHANGE, "04-01", account="G", modality=Frequency.QUARTERLY)
    version = last_version(member)
    assert [(f"{one.effective:%m-%d}", one.modality, one.modal, one.prorated, one.days) for one in version.rows] == [
        ("04-01", Frequency.QUARTERLY, 30000, 9863, 30),
        ("05-01", Frequency.QUARTERLY, 30000, None, None),
    ]


@pytest.mark.rule("PRM-010", "PRM-011")
def test_every_applied_transaction_tells_type_kinds_date_version_accounts_and_member() -> None:
    member = Member(Group({"G": group_account("G"), "ID": direct_account("ID")})).start()
    expected = {
        "renew": "BillingRenewed",
        "cancel": "MemberCancelled",
        "rescind": "CancellationRescinded",
        "reinstate": "MemberReinstated",
    }
    acts = [
        ("renew", lambda: member.renew("02-01", "1260.00")),
        ("cancel", lambda: member.cancel("03-01")),
        ("rescind", lambda: member.rescind("03-01")),
        ("cancel", lambda: member.cancel("04-01")),
        ("reinstate", lambda: member.reinstate("05-01")),
    ]
    for name, act in acts:
        happened = act()
        assert expected[name] in names(happened)
        assert names(happened).count("PolicyTransactionApplied") == 1
    happened = member.port("06-01")
    applied: Any = next(one for one in happened if type(one).__name__ == "PolicyTransactionApplied")
    told = applied.transaction
    assert (told.type, told.kinds, told.effective_date, told.version) == (T.PORTABILITY, (), day("06-01"), 7)
    assert (applied.member_record, applied.accounts) == ("M", ("G", "ID"))
    assert "BillingRewritten" in names(member.send(T.REWRITE, "01-16", cascade="R"))


@pytest.mark.rule("PRM-013")
def test_the_record_can_be_asked_as_of_any_business_date_and_any_recording() -> None:
    member = Member(Group()).start()
    known = len(member.events)
    member.amend("03-01", "2400.00")
    member.stop("05-01")
    as_of, now = MEMBER_RECORD.fold(member.events[:known]), MEMBER_RECORD.fold(member.events)
    assert [len(one.versions) for one in (as_of, now)] == [1, 3]

    def charged(record: MemberRecord, on: str) -> tuple[int, bool, str]:
        segment = active_timeline(record).at(day(on))
        assert segment is not None
        return segment.annual_of(segment.amounts[0]), segment.stopped, segment.account

    days = ("02-28", "03-01", "05-01")
    assert [charged(as_of, on) for on in days] == [(120000, False, "G")] * 3
    assert [charged(now, on) for on in days] == [(120000, False, "G"), (240000, False, "G"), (0, True, "G")]
