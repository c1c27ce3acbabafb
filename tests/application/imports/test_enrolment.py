"""From an enrolment file to policy transactions: which command, for whom, from which day, at which premium."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from application.files.enrolment import (
    CoverageInstruction,
    EnrolmentFile,
    EnrolmentInstruction,
    EnrolmentTransaction,
    FileAction,
    Maintenance,
    Organisation,
    QualifiedAmount,
    QualifiedDate,
    Reference,
    TransactionPurpose,
)
from application.files.identity import Envelope, FileFormat, FileIdentity, Place
from application.files.personal import Confidential, PersonDetails, PersonName
from application.imports.enrolment import EnrolmentTerms, enrolment_steps
from application.imports.money import masked
from application.imports.steps import Step, StepState

DAY = dt.date(2025, 1, 10)
ENVELOPE = Envelope(
    "ZZ", "A", "ZZ", "B", DAY, dt.time(6), "1", False, "A", "B", DAY, dt.time(6), "1", "005010X220A1", "0001"
)
MEMBER = EnrolmentInstruction(
    True, "18", Maintenance.ADDITION, Confidential("E1"), PersonDetails(PersonName("Miller", "Ada")), place=Place(7, 7)
)


def cover(maintenance: Maintenance, line: str = "LIF", **members: Any) -> CoverageInstruction:
    days = {"348": members.pop("begin", None), "349": members.pop("last", None), "303": members.pop("changed", None)}
    premium = members.pop("premium", None)
    return CoverageInstruction(
        maintenance,
        line,
        "BASIC",
        "EMP",
        dates=tuple(QualifiedDate(code, dt.date.fromisoformat(day)) for code, day in days.items() if day),
        amounts=() if premium is None else (QualifiedAmount("P3", premium),),
        **members,
    )


def steps(*instructions: EnrolmentInstruction, terms: EnrolmentTerms | None = None, **transaction: Any) -> list[Step]:
    whole = EnrolmentTransaction(
        **{
            "envelope": ENVELOPE,
            "purpose": TransactionPurpose.ORIGINAL,
            "reference": "R",
            "created_on": DAY,
            "created_at": dt.time(6),
            "action": FileAction.CHANGE,
            "sponsor": Organisation("P5", "Northwind"),
            "payer": Organisation("IN", "Insurer"),
            "master_policy_number": "G-1",
            "instructions": instructions,
            **transaction,
        }
    )
    file = EnrolmentFile(FileIdentity("f", "ab" * 32, 1, FileFormat.X12_834, "005010X220A1"), (whole,))
    return list(enrolment_steps(file, terms or EnrolmentTerms(), lambda number: f"X{len(number)}"))


def told(found: list[Step]) -> list[tuple[str, str | None, Any]]:
    """Command, first day and amounts of each step."""
    return [(step.action, step.payload.get("effective_date"), step.payload.get("amounts")) for step in found]


def amount(line: str = "LIF", **members: Any) -> dict[str, Any]:
    return {"coverage": line, "plan": "BASIC", "tier": "EMP", **members}


def test_coverages_that_begin_later_follow_as_amendments() -> None:
    added = replace(
        MEMBER,
        coverages=(
            cover(Maintenance.ADDITION, "DEN", begin="2025-03-01", premium=3_250),
            cover(Maintenance.ADDITION, "LIF", begin="2025-01-01", premium=4_500),
        ),
    )
    found = steps(added, terms=EnrolmentTerms(policies={"G-1": "MP-9"}))
    assert told(found) == [
        ("ApplyNewBusiness", "2025-01-01", [amount("LIF", monthly_amount="45.00")]),
        ("ApplyAmendment", "2025-03-01", [amount("DEN", monthly_amount="32.50")]),
    ]
    assert {step.payload["member_record"] for step in found} == {"MP-9-E1"}
    assert len({step.payload["transaction_id"] for step in found}) == 2
    assert told(steps(added)) == told(found)
    assert steps(added)[0].payload["transaction_id"] == steps(added)[0].payload["transaction_id"]


def test_coverages_of_several_policies_are_records_of_their_own() -> None:
    added = replace(
        MEMBER,
        coverages=(
            cover(Maintenance.ADDITION, begin="2025-01-01", premium=100),
            cover(Maintenance.ADDITION, begin="2025-01-01", premium=200, references=(Reference("1L", "G-2"),)),
        ),
    )
    assert [step.payload["member_record"] for step in steps(added)] == ["G-1-E1", "G-2-E1"]


def test_a_change_adds_changes_and_removes_on_its_days() -> None:
    changed = replace(
        MEMBER,
        maintenance=Maintenance.CHANGE,
        coverages=(
            cover(Maintenance.CHANGE, "LIF", begin="2025-01-01", changed="2025-04-01", premium=5_000),
            cover(Maintenance.CANCELLATION, "DEN", last="2025-02-28"),
        ),
    )
    assert told(steps(changed)) == [
        ("ApplyAmendment", "2025-03-01", [amount("DEN", removed=True)]),
        ("ApplyAmendment", "2025-04-01", [amount("LIF", monthly_amount="50.00")]),
    ]


def test_a_cancellation_begins_behind_the_last_covered_day() -> None:
    ended = replace(MEMBER, maintenance=Maintenance.CANCELLATION, dates=(QualifiedDate("357", dt.date(2025, 2, 28)),))
    assert told(steps(ended)) == [("ApplyCancellation", "2025-03-01", None)]


def test_a_reinstatement_states_amounts_only_where_the_file_does() -> None:
    back = replace(MEMBER, maintenance=Maintenance.REINSTATEMENT)
    silent = replace(back, coverages=(cover(Maintenance.REINSTATEMENT, begin="2025-05-01"),))
    priced = replace(back, coverages=(cover(Maintenance.REINSTATEMENT, begin="2025-05-01", premium=900),))
    assert told(steps(silent)) == [("ApplyReinstatement", "2025-05-01", None)]
    assert told(steps(priced)) == [("ApplyReinstatement", "2025-05-01", [amount(monthly_amount="9.00")])]


@pytest.mark.parametrize("name", ["LIF:BASIC", "BASIC", "LIF"])
def test_the_rate_table_prices_what_the_file_does_not(name: str) -> None:
    bare = replace(MEMBER, coverages=(cover(Maintenance.ADDITION, begin="2025-01-01"),))
    found = steps(bare, terms=EnrolmentTerms(annual={name: "1200.00"}))
    assert told(found) == [("ApplyNewBusiness", "2025-01-01", [amount(annual_amount="1200.00")])]


def test_a_premium_of_the_file_may_be_for_a_year() -> None:
    added = replace(MEMBER, coverages=(cover(Maintenance.ADDITION, begin="2025-01-01", premium=120_000),))
    found = steps(added, terms=EnrolmentTerms(premium_period="YEAR"))
    assert found[0].payload["amounts"] == [amount(annual_amount="1200.00")]


ADDED = replace(MEMBER, coverages=(cover(Maintenance.ADDITION, begin="2025-01-01", premium=100),))


@pytest.mark.parametrize(
    ("instruction", "transaction", "code"),
    [
        (replace(ADDED, coverages=()), {}, "COVERAGE_MISSING"),
        (replace(ADDED, maintenance=Maintenance.AUDIT), {}, "FULL_LIST_NOT_APPLIED"),
        (ADDED, {"action": FileAction.VERIFY}, "FULL_LIST_NOT_APPLIED"),
        (ADDED, {"master_policy_number": None}, "MASTER_POLICY_NOT_NAMED"),
        (replace(ADDED, subscriber=False), {}, "DEPENDANT_WITH_PREMIUM"),
        (replace(MEMBER, maintenance=Maintenance.CANCELLATION), {}, "DATE_MISSING"),
        (replace(ADDED, coverages=(*ADDED.coverages, cover(Maintenance.ADDITION))), {}, "DATE_MISSING"),
        (
            replace(ADDED, coverages=(*ADDED.coverages, cover(Maintenance.ADDITION, begin="2025-02-01"))),
            {},
            "PREMIUM_MISSING",
        ),
    ],
)
def test_what_cannot_be_decided_goes_to_a_person_as_a_whole(
    instruction: EnrolmentInstruction, transaction: dict[str, Any], code: str
) -> None:
    [step] = steps(instruction, **transaction)
    assert (step.state, step.code, step.place) == (StepState.QUEUED, code, Place(7, 7))


@pytest.mark.parametrize(
    ("instruction", "transaction", "code"),
    [
        (ADDED, {"envelope": replace(ENVELOPE, test=True)}, "TEST_INTERCHANGE"),
        (ADDED, {"purpose": TransactionPurpose.INFORMATION_COPY}, "INFORMATION_COPY"),
        (replace(MEMBER, subscriber=False), {}, "COVERED_WITH_SUBSCRIBER"),
        (replace(MEMBER, maintenance=Maintenance.CHANGE), {}, "NO_COVERAGE_CHANGED"),
    ],
)
def test_what_has_no_effect_on_billing_is_noted(
    instruction: EnrolmentInstruction, transaction: dict[str, Any], code: str
) -> None:
    [step] = steps(instruction, **transaction)
    assert (step.state, step.code) == (StepState.NOTED, code)


def test_a_test_interchange_is_taken_where_tests_are() -> None:
    found = steps(ADDED, terms=EnrolmentTerms(take_test=True), envelope=replace(ENVELOPE, test=True))
    assert [step.action for step in found] == ["ApplyNewBusiness"]


@pytest.mark.parametrize("number", ["123456789", "123-45-6789"])
def test_a_social_security_number_is_no_part_of_a_record_number(number: str) -> None:
    [step] = steps(replace(ADDED, subscriber_number=Confidential(number)))
    assert step.payload["member_record"] == f"G-1-X{len(number)}"
    [own] = steps(replace(ADDED, subscriber_number=Confidential(number), references=(Reference("23", "E7"),)))
    assert own.payload["member_record"] == "G-1-E7"


@pytest.mark.rule("PAY-015")
@pytest.mark.parametrize(("number", "kept"), [("000123456789", "********6789"), ("1234", "****"), ("", "")])
def test_account_numbers_are_kept_masked(number: str, kept: str) -> None:
    assert masked(number) == kept
