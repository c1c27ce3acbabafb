"""The six 834 samples, field by field: five are read, one is refused for what its text shows."""

from __future__ import annotations

import datetime as dt

import pytest

from application.files.defects import DefectCode
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
from application.files.identity import Envelope, FileFormat, Place
from application.files.personal import (
    Confidential,
    Contact,
    Language,
    Party,
    PersonDetails,
    PersonIdentifier,
    PersonName,
    PostalAddress,
)
from infrastructure.files.collecting import ReadingLimits
from tests.infrastructure.files.samples import defects, edited, places, read, sample

SUBSCRIBER = Confidential("123456789")

#: The envelope five of the samples share.
ENVELOPE = Envelope(
    sender_qualifier="ZZ",
    sender="123456789012345",
    receiver_qualifier="ZZ",
    receiver="123456789012346",
    interchange_date=dt.date(2008, 5, 3),
    interchange_time=dt.time(17, 5),
    interchange_control_number="000010216",
    test=True,
    application_sender="1234567890",
    application_receiver="1234567890",
    group_date=dt.date(2008, 5, 3),
    group_time=dt.time(17, 5),
    group_control_number="20213",
    version="005010X220A1",
    set_control_number="0001",
)


def transaction(instruction: EnrolmentInstruction, master_policy_number: str | None = None) -> EnrolmentTransaction:
    """The header five of the samples share, with one instruction."""
    return EnrolmentTransaction(
        envelope=ENVELOPE,
        purpose=TransactionPurpose.ORIGINAL,
        reference="12456",
        created_on=dt.date(1998, 5, 20),
        created_at=dt.time(12, 0),
        action=FileAction.CHANGE,
        sponsor=Organisation("P5", "", "FI", "999888777"),
        payer=Organisation("IN", "", "FI", "654456654"),
        master_policy_number=master_policy_number,
        instructions=(instruction,),
    )


def person(last: str, first: str, middle: str, born: dt.date | None, number: str) -> PersonDetails:
    return PersonDetails(
        name=PersonName(last, first, middle),
        identifiers=(PersonIdentifier("34", number),),
        birth_date=born,
        gender="M" if born else "",
    )


def test_a_dependant_is_added_with_own_coverage_and_school() -> None:
    content = read(EnrolmentFile, sample("add-dependent.834"))
    assert content.remarks == ()
    assert content.transactions == (
        transaction(
            EnrolmentInstruction(
                subscriber=False,
                relationship="19",
                maintenance=Maintenance.ADDITION,
                subscriber_number=SUBSCRIBER,
                person=person("DOE", "JOHN", "P", dt.date(1977, 8, 16), "103229876"),
                reason="20",
                benefit_status="A",
                employment_status="FT",
                policy_number="123456001",
                dates=(QualifiedDate("351", dt.date(1998, 5, 15)),),
                parties=(Party("M8", "2", PersonName("PENN STATE UNIVERSITY")),),
                coverages=(
                    CoverageInstruction(
                        Maintenance.ADDITION, "HLT", dates=(QualifiedDate("348", dt.date(1996, 6, 1)),)
                    ),
                ),
            ),
            master_policy_number="ABCD012354",
        ),
    )
    instruction = content.instructions[0]
    assert instruction.place == Place(8, 8)
    assert instruction.coverages[0].place == Place(15, 15)
    assert instruction.coverages[0].benefit_begin == dt.date(1996, 6, 1)
    assert instruction.coverages[0].benefit_end is None
    household = content.transactions[0].households()[0]
    assert household.subscriber is None
    assert household.dependants == (instruction,)


def test_a_subscriber_s_name_and_birth_date_are_corrected() -> None:
    content = read(EnrolmentFile, sample("change-subscriber-information.834"))
    assert content.remarks == ()
    assert content.transactions == (
        transaction(
            EnrolmentInstruction(
                subscriber=True,
                relationship="18",
                maintenance=Maintenance.CHANGE,
                subscriber_number=SUBSCRIBER,
                person=person("DOE", "JAMES", "", dt.date(1950, 4, 15), "103229876"),
                reason="25",
                benefit_status="A",
                employment_status="FT",
                policy_number="123456001",
                incorrect=PersonDetails(
                    name=PersonName("DOE", "JAMES", "E"), birth_date=dt.date(1950, 4, 16), gender="M"
                ),
            )
        ),
    )


def test_a_subscriber_is_enrolled_in_two_products() -> None:
    content = read(EnrolmentFile, sample("enroll-employee-multiple-products.834"))
    coverages = tuple(
        CoverageInstruction(Maintenance.ADDITION, line, dates=(QualifiedDate("348", dt.date(1996, 6, 1)),))
        for line in ("HLT", "VIS")
    )
    assert content.transactions == (
        transaction(
            EnrolmentInstruction(
                subscriber=True,
                relationship="18",
                maintenance=Maintenance.ADDITION,
                subscriber_number=SUBSCRIBER,
                person=PersonDetails(
                    name=PersonName("DOE", "JOHN", "P"),
                    identifiers=(PersonIdentifier("34", "123456789"),),
                    birth_date=dt.date(1940, 8, 16),
                    gender="M",
                    residence=PostalAddress(
                        ("100 MARKET ST", "APT 30"), "CAMP HILL", "PA", "17011", location=("CY", "CUMBERLAND")
                    ),
                    contacts=(Contact("HP", "7172343334"), Contact("WP", "7172341240")),
                ),
                reason="20",
                benefit_status="A",
                employment_status="FT",
                policy_number="123456001",
                dates=(QualifiedDate("356", dt.date(1996, 5, 23)),),
                coverages=coverages,
            )
        ),
    )
    assert content.instructions[0].eligibility_begin == dt.date(1996, 5, 23)
    assert content.instructions[0].eligibility_end is None
    assert [coverage.place.line for coverage in content.instructions[0].coverages] == [16, 18]


def test_a_full_list_with_premium_and_blanks_behind_segment_ends_is_read() -> None:
    content = read(EnrolmentFile, sample("example834_5010.834"))
    assert content.identity.format is FileFormat.X12_834
    assert content.identity.version == "005010X220A1"
    found = content.transactions[0]
    assert found.envelope == Envelope(
        sender_qualifier="ZZ",
        sender="D00XXX",
        receiver_qualifier="ZZ",
        receiver="00AA",
        interchange_date=dt.date(2007, 3, 5),
        interchange_time=dt.time(18, 32),
        interchange_control_number="676048320",
        test=False,
        application_sender="D00XXX",
        application_receiver="00AA",
        group_date=dt.date(2015, 3, 5),
        group_time=dt.time(18, 32),
        group_control_number="260007982",
        version="005010X220A1",
        set_control_number="0001",
    )
    assert [remark.message for remark in content.remarks] == ["ISA09 and GS04 are different days"]
    assert found.action is FileAction.VERIFY
    assert found.reference == "88880070301  00"
    assert (found.created_on, found.created_at) == (dt.date(2015, 3, 5), dt.time(18, 12, 45))
    assert found.effective_date == dt.date(2015, 3, 1)
    assert found.sponsor == Organisation("P5", "PAYER 1", "FI", "999999999")
    assert found.payer == Organisation("IN", "KCMHSAS", "FI", "999999999")
    assert found.instructions == (
        EnrolmentInstruction(
            subscriber=True,
            relationship="18",
            maintenance=Maintenance.AUDIT,
            subscriber_number=Confidential("00389999"),
            person=PersonDetails(
                name=PersonName("DOE", "JOHN", "A"),
                identifiers=(PersonIdentifier("34", "999999999"),),
                birth_date=dt.date(1967, 3, 30),
                gender="M",
                ethnicities=(("O",),),
                residence=PostalAddress(("777 ELM ST",), "ALLEGAN", "MI", "49010", location=("CY", "03")),
                languages=(Language(description="ESSPANISH"),),
            ),
            reason="XN",
            benefit_status="A",
            medicare=("C",),
            employment_status="FT",
            policy_number="000003409999",
            references=(Reference("3H", "K129999A"),),
            dates=(QualifiedDate("356", dt.date(2015, 3, 1)),),
            coverages=(
                CoverageInstruction(
                    Maintenance.AUDIT,
                    "AK",
                    plan="064703",
                    level="IND",
                    dates=(QualifiedDate("348", dt.date(2015, 3, 1)),),
                    amounts=(QualifiedAmount("P3", 4534),),
                    references=(Reference("17", "E  1F"),),
                ),
            ),
        ),
    )
    assert found.instructions[0].coverages[0].premium == 4534


def test_a_subscriber_s_eligibility_is_terminated_and_the_odd_relationship_is_remarked() -> None:
    content = read(EnrolmentFile, sample("terminate-subscriber-eligibility.834"))
    assert content.transactions == (
        transaction(
            EnrolmentInstruction(
                subscriber=True,
                relationship="19",
                maintenance=Maintenance.CANCELLATION,
                subscriber_number=SUBSCRIBER,
                person=person("DOE", "JOHN", "E", None, "103229876"),
                reason="08",
                benefit_status="A",
                employment_status="TE",
                policy_number="123456001",
                dates=(QualifiedDate("357", dt.date(1996, 8, 1)),),
            )
        ),
    )
    assert content.instructions[0].eligibility_end == dt.date(1996, 8, 1)
    assert [(remark.line, remark.message) for remark in content.remarks] == [
        (7, "INS01 says subscriber, INS02 says relationship 19 instead of 18 (self)")
    ]


def test_a_member_date_with_a_qualifier_the_guide_does_not_know_refuses_the_file() -> None:
    found = defects(sample("enroll-employee-managed-care.834"))
    assert places(found) == [(DefectCode.CODE_UNKNOWN, 10, 10, "DTP01")]
    assert "is 358" in found[0].message
    assert "356, 357" in found[0].message


def test_what_partners_agree_beyond_the_guide_is_read() -> None:
    agreed = ReadingLimits(agreed_codes=(("DTP01", frozenset({"358"})),))
    content = read(EnrolmentFile, sample("enroll-employee-managed-care.834"), agreed)
    instruction = content.instructions[0]
    assert instruction.date("358") == dt.date(1996, 5, 23)
    assert instruction.person.name == PersonName("SMITH", "WILLIAM")
    assert instruction.person.residence == PostalAddress(("1715 SOUTHWIND AVENUE",), "ANYTOWN", "PA", "171110000")
    coverage = instruction.coverages[0]
    assert (coverage.insurance_line, coverage.benefit_begin) == ("HMO", dt.date(1996, 6, 1))
    provider = coverage.providers[0]
    assert provider.number == 1
    assert provider.party == Party(
        "P3", "1", PersonName("BROWN", "BERNARD", prefix="DR"), (PersonIdentifier("SV", "143766"),), "25"
    )


@pytest.mark.rule("PLT-092")
def test_nothing_personal_is_shown_by_a_read_file() -> None:
    personal = {
        "REF*0F*123456789": "REF*0F*871112222",
        "NM1*IL*1*DOE*JOHN*P***34*123456789": "NM1*IL*1*QUISLEY*XAVIER*ZED***34*873334444",
        "7172343334": "5550001111",
        "100 MARKET ST*APT 30": "77 HIDDEN LANE*FLAT 9",
        "CAMP HILL": "NOWHERETON",
        "19400816": "19310722",
    }
    content = read(EnrolmentFile, edited("enroll-employee-multiple-products.834", *personal.items()))
    assert content.instructions[0].person.social_security_number == "873334444"
    shown = f"{content!r} {content} {content.instructions[0].person}"
    hidden = [
        "871112222",
        "873334444",
        "QUISLEY",
        "XAVIER",
        "ZED",
        "5550001111",
        "HIDDEN",
        "NOWHERETON",
        "1931",
        "FLAT 9",
    ]
    assert [value for value in hidden if value in shown] == []


@pytest.mark.rule("PLT-016", "PLT-092")
def test_a_refusal_quotes_no_personal_value() -> None:
    broken = edited(
        "enroll-employee-multiple-products.834",
        ("DMG*D8*19400816*M", "DMG*D8*19401399*Q"),
        ("NM1*IL*1*DOE*JOHN*P***34*123456789", "NM1*IL*1*QUISLEY*XAVIER" + "X" * 40 + "****34*87"),
        ("N4*CAMP HILL*PA*17011", "N4*NOWHERETON*PENNSYLVANIA*77777777777777777"),
    )
    found = defects(broken)
    assert {item.element for item in found} == {"DMG02", "DMG03", "NM104", "N402", "N403"}
    told = " ".join(map(str, found))
    assert [value for value in ("1940", "is Q", "XAVIER", "NOWHERETON", "PENNSYLVANIA", "7777") if value in told] == []
