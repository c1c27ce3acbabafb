"""What an 834 may say of a member beyond the samples, and where the guide draws its lines."""

from __future__ import annotations

import datetime as dt

import pytest

from application.files.defects import DefectCode
from application.files.enrolment import (
    ControlTotal,
    CoordinationOfBenefits,
    EnrolmentFile,
    EnrolmentInstruction,
    FileAction,
    IdentificationCard,
    Maintenance,
    ProviderChange,
    QualifiedAmount,
    QualifiedDate,
    Reference,
    ReportingCategory,
    TransactionPurpose,
)
from application.files.personal import (
    Contact,
    Disability,
    HealthInformation,
    Income,
    Language,
    PersonIdentifier,
    PersonName,
    PostalAddress,
)
from infrastructure.files.collecting import ReadingLimits
from tests.infrastructure.files.samples import defects, places, read

HEADER = [
    "BGN*22*REF1*20250301*0930*ET*REF0**RX",
    "REF*38*MASTER9",
    "DTP*007*D8*20250401",
    "QTY*ET*1",
    "QTY*DT*1",
    "QTY*TO*2",
    "N1*P5*SPONSOR*FI*111111111",
    "N1*IN*CARRIER*FI*222222222",
    "N1*BO*BROKER*FI*333333333",
    "ACT*A-1*****A-2",
]

SUBSCRIBER = [
    "INS*Y*18*021*EC*C*C:1*1*FT*F*N*D8*20250620*R****2",
    "REF*0F*S-1",
    "REF*1L*GROUP-1",
    "REF*DX*DEPT-7",
    "REF*17*CAT-3",
    "DTP*336*D8*20200106",
    "DTP*356*D8*20250401",
    "NM1*74*1*MILLER*ANN*B*DR*JR*34*900112222",
    "PER*IP**HP*5551112222*EM*ANN(AT)EXAMPLE.ORG*CP*5553334444",
    "N3*1 HIGH STREET*FLOOR 2",
    "N4*SPRINGFIELD*IL*62701*US*CY*SANGAMON",
    "DMG*D8*19800131*F*M*B:RET:2106-3^C*1****REC*2186-5",
    "EC*01*02*03",
    "ICM*4*5200.50*37.5*LOC*G7",
    "AMT*D2*250",
    "HLH*T*66*140",
    "LUI*LD*SPA*SPANISH*7",
    "NM1*70*1*MULLER*ANNE****34*900112223",
    "DMG*D8*19800113*F",
    "NM1*31*1",
    "N3*PO BOX 9",
    "N4*SPRINGFIELD*IL*62702",
    "NM1*36*2*WORKS INC*****24*123456789",
    "PER*EP*HR DESK*TE*5559990000",
    "NM1*S3*1*MILLER*OTTO****34*900113333",
    "NM1*QD*1*KEEPER*EVA",
    "DSB*2******DX*585",
    "DTP*360*D8*20240101",
    "DTP*361*D8*20240630",
    "HD*021**DEN*PLAN-D*FAM****Y",
    "DTP*348*D8*20250401",
    "DTP*349*D8*20251231",
    "DTP*303*D8*20250315",
    "DTP*343*RD8*20250301-20250331",
    "AMT*P3*45.3",
    "AMT*C1*10",
    "REF*1L*DENTAL-7",
    "REF*QQ*12",
    "IDC*PLAN-D*D*2*1",
    "LX*1",
    "NM1*P3*1*TOOTH*TED***DDS*XX*1234567893*26",
    "N3*2 DENTIST WAY",
    "N4*SPRINGFIELD*IL*62703",
    "PER*IC**TE*5552223333",
    "PLA*2*1P*20250401**AA",
    "COB*P*G-22*5*35",
    "REF*60*OTHER-1",
    "DTP*344*D8*20240101",
    "NM1*IN*2*OTHER INSURER*****FI*444444444",
    "N3*3 INSURER ROAD",
    "N4*CHICAGO*IL*60601",
    "PER*CN**TE*5554445555",
    "HD*024**VIS",
    "DTP*349*D8*20250331",
    "LS*2700",
    "LX*1",
    "N1*75*LOCATION",
    "REF*ZZ*NORTH",
    "DTP*007*D8*20250401",
    "LX*2",
    "N1*75*CLASS",
    "REF*17*HOURLY",
    "LE*2700",
]

DEPENDANT = [
    "INS*N*01*025*41*A",
    "REF*0F*S-1",
    "NM1*IL*1*MILLER*BEN",
    "HD*025**DEN",
    "DTP*348*D8*20250501",
]


def enrolment(*segments: str, header: list[str] = HEADER) -> bytes:
    """A whole file around these member segments; composites by `:`, repetition by `^`."""
    inner = [*header, *segments]
    rows = [
        "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *250301*0930*^*00501*000000007*0*P*:",
        "GS*BE*SENDER*RECEIVER*20250301*0930*7*X*005010X220A1",
        "ST*834*0007*005010X220A1",
        *inner,
        f"SE*{len(inner) + 2}*0007",
        "GE*1*7",
        "IEA*1*000000007",
    ]
    return "".join(f"{row}~\n" for row in rows).encode()


def minimal(*segments: str) -> bytes:
    """Members behind the least header."""
    return enrolment(*segments, header=["BGN*00*R*20250301*0930****2", "N1*P5**FI*1A", "N1*IN**FI*2B"])


@pytest.fixture(scope="module")
def content() -> EnrolmentFile:
    return read(EnrolmentFile, enrolment(*SUBSCRIBER, *DEPENDANT))


@pytest.fixture(scope="module")
def member(content: EnrolmentFile) -> EnrolmentInstruction:
    return content.instructions[0]


def test_the_header_names_purpose_action_policy_dates_counts_and_organisations(content: EnrolmentFile) -> None:
    (found,) = content.transactions
    assert found.purpose is TransactionPurpose.INFORMATION_COPY
    assert found.action is FileAction.REPLACE
    assert (found.reference, found.original_reference, found.time_zone) == ("REF1", "REF0", "ET")
    assert found.master_policy_number == "MASTER9"
    assert found.effective_date == dt.date(2025, 4, 1)
    assert found.control_totals == (ControlTotal("ET", 1), ControlTotal("DT", 1), ControlTotal("TO", 2))
    assert (found.sponsor.name, found.payer.name) == ("SPONSOR", "CARRIER")
    assert [(broker.name, broker.accounts) for broker in found.brokers] == [("BROKER", ("A-1", "A-2"))]


def test_a_member_s_status_references_and_dates_are_kept(member: EnrolmentInstruction) -> None:
    assert member.maintenance is Maintenance.ADDITION
    assert (member.reason, member.benefit_status, member.medicare) == ("EC", "C", ("C", "1"))
    assert (member.cobra_event, member.employment_status, member.student_status) == ("1", "FT", "F")
    assert (member.handicapped, member.confidentiality, member.birth_sequence) == ("N", "R", 2)
    assert member.policy_number == "GROUP-1"
    assert member.reference("DX") == "DEPT-7"
    assert member.references == (Reference("DX", "DEPT-7"), Reference("17", "CAT-3"))
    assert member.date("336") == dt.date(2020, 1, 6)
    assert member.date("337") is None
    assert member.employment_classes == (("01", "02", "03"),)
    assert member.amounts == (QualifiedAmount("D2", 25_000),)
    assert member.category("location") == ReportingCategory(
        "LOCATION", Reference("ZZ", "NORTH"), QualifiedDate("007", dt.date(2025, 4, 1))
    )
    assert member.category("CLASS") == ReportingCategory("CLASS", Reference("17", "HOURLY"))


def test_a_member_s_person_is_kept_whole(member: EnrolmentInstruction) -> None:
    person = member.person
    assert member.corrected
    assert person.name == PersonName("MILLER", "ANN", "B", "DR", "JR")
    assert person.social_security_number == "900112222"
    assert (person.birth_date, person.gender, person.marital_status) == (dt.date(1980, 1, 31), "F", "M")
    assert person.ethnicities == (("B", "RET", "2106-3"), ("C",))
    assert (person.citizenship, person.ethnicity_collection) == ("1", ("REC", "2186-5"))
    assert person.residence == PostalAddress(
        ("1 HIGH STREET", "FLOOR 2"), "SPRINGFIELD", "IL", "62701", "US", ("CY", "SANGAMON")
    )
    assert person.mailing == PostalAddress(("PO BOX 9",), "SPRINGFIELD", "IL", "62702")
    assert [contact.kind for contact in person.contacts] == ["HP", "EM", "CP"]
    assert person.incomes == (Income("4", 520_050, "37.5", "LOC", "G7"),)
    assert person.health == HealthInformation("T", "66", "140")
    assert person.languages == (Language("LD", "SPA", "SPANISH", "7"),)
    assert person.disabilities == (Disability("2", "DX", "585", dt.date(2024, 1, 1), dt.date(2024, 6, 30)),)
    assert person.death_date == dt.date(2025, 6, 20)
    assert member.incorrect is not None
    assert member.incorrect.name == PersonName("MULLER", "ANNE")
    assert member.incorrect.birth_date == dt.date(1980, 1, 13)


def test_other_people_of_a_member_are_kept_with_role_and_contact(member: EnrolmentInstruction) -> None:
    employer, parent, guardian = member.parties
    assert (employer.role, employer.name.last, employer.contact_name) == ("36", "WORKS INC", "HR DESK")
    assert employer.contacts == (Contact("TE", "5559990000"),)
    assert (parent.role, parent.identifiers) == ("S3", (PersonIdentifier("34", "900113333"),))
    assert (guardian.role, guardian.name.first) == ("QD", "EVA")


def test_each_coverage_has_its_own_dates_amounts_references_and_parties(member: EnrolmentInstruction) -> None:
    dental, vision = member.coverages
    assert (dental.insurance_line, dental.plan, dental.level, dental.late_enrolment) == ("DEN", "PLAN-D", "FAM", "Y")
    assert (dental.benefit_begin, dental.benefit_end) == (dt.date(2025, 4, 1), dt.date(2025, 12, 31))
    assert dental.maintenance_effective == dt.date(2025, 3, 15)
    assert dental.dates[3] == QualifiedDate("343", dt.date(2025, 3, 1), dt.date(2025, 3, 31))
    assert dental.premium == 4_530
    assert dental.amounts[1] == QualifiedAmount("C1", 1_000)
    assert dental.policy_number == "DENTAL-7"
    assert dental.references[1] == Reference("QQ", "12")
    assert dental.cards == (IdentificationCard("PLAN-D", "D", 2, "1"),)
    (provider,) = dental.providers
    assert provider.party.name == PersonName("TOOTH", "TED", suffix="DDS")
    assert provider.party.relationship == "26"
    assert provider.party.contacts == (Contact("TE", "5552223333"),)
    assert provider.change == ProviderChange("2", "1P", dt.date(2025, 4, 1), "AA")
    (other,) = dental.coordination
    assert isinstance(other, CoordinationOfBenefits)
    assert (other.order, other.group_number, other.coordination, other.service_type) == ("P", "G-22", "5", "35")
    assert other.references == (Reference("60", "OTHER-1"),)
    assert other.dates == (QualifiedDate("344", dt.date(2024, 1, 1)),)
    assert other.parties[0].name.last == "OTHER INSURER"
    assert (vision.maintenance, vision.benefit_end) == (Maintenance.CANCELLATION, dt.date(2025, 3, 31))


def test_a_dependant_joins_the_household_of_the_same_subscriber_number(content: EnrolmentFile) -> None:
    (household,) = content.transactions[0].households()
    assert household.subscriber is content.instructions[0]
    assert household.dependants == (content.instructions[1],)
    assert household.dependants[0].maintenance is Maintenance.REINSTATEMENT
    assert household.dependants[0].coverages[0].maintenance is Maintenance.REINSTATEMENT


def test_two_instructions_for_one_subscriber_lose_nobody() -> None:
    change = ["INS*Y*18*001**A", "REF*0F*S-1", "NM1*IL*1*MILLER*ANN"]
    child = ["INS*N*19*021**A", "REF*0F*S-1", "NM1*IL*1*MILLER*EVA"]
    found = read(EnrolmentFile, minimal(*change, *child, *change, *child))
    households = found.transactions[0].households()
    assert [(item.subscriber is not None, len(item.dependants)) for item in households] == [(True, 1), (True, 1)]


@pytest.mark.parametrize(("quantity", "stated"), [("QTY*ET*1", "QTY*ET*2"), ("QTY*TO*2", "QTY*TO*1")])
@pytest.mark.rule("ARO-021")
def test_the_sender_s_member_counts_must_agree(quantity: str, stated: str) -> None:
    header = [stated if row == quantity else row for row in HEADER]
    found = defects(enrolment(*SUBSCRIBER, *DEPENDANT, header=header))
    assert [(item.code, item.element) for item in found] == [(DefectCode.CONTROL_COUNT, "QTY02")]


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        (["INS*Y*18*021**A", "NM1*IL*1*DOE"], (DefectCode.SEGMENT_MISSING, 7, 7, "INS")),
        (["INS*Y*18*021", "REF*0F*S1", "NM1*IL*1*DOE"], (DefectCode.ELEMENT_MISSING, 7, 7, "INS05")),
        (["INS*Y*18*021**A", "REF*0F*S1"], (DefectCode.SEGMENT_MISSING, 7, 7, "INS")),
        (["INS*Y*18*021**A", "REF*0F*S1", "NM1*IL*1*DOE", "HD*021**HLT"], (DefectCode.SEGMENT_MISSING, 10, 10, "HD")),
        (["INS*Y*18*021**A", "REF*0F*S1", "NM1*IL*1"], (DefectCode.ELEMENT_MISSING, 9, 9, "NM103")),
        (
            ["INS*Y*18*021**A", "REF*0F*S1", "REF*0F*S2", "NM1*IL*1*DOE"],
            (DefectCode.SEGMENT_REPEATED, 9, 9, "REF"),
        ),
        (
            ["INS*Y*18*021**A", "REF*0F*S1", "NM1*IL*1*DOE", "REF*1L*G"],
            (DefectCode.SEGMENT_UNEXPECTED, 10, 10, "REF"),
        ),
        (["INS*Y*18*021**A******D8", "REF*0F*S1", "NM1*IL*1*DOE"], (DefectCode.ELEMENTS_INCOMPLETE, 7, 7, "INS11")),
        (
            ["INS*Y*18*021**A", "REF*0F*S1", "NM1*IL*1*DOE*****34"],
            (DefectCode.ELEMENTS_INCOMPLETE, 9, 9, "NM108"),
        ),
        (
            ["INS*Y*18*021**A", "REF*0F*S1", "NM1*ZZ*1*DOE", "N3*X"],
            (DefectCode.CODE_UNKNOWN, 9, 9, "NM101"),
        ),
        (
            ["INS*Y*18*021**A", "REF*0F*S1", "DTP*356*RD8*20250101-20250131", "NM1*IL*1*DOE"],
            (DefectCode.CODE_UNKNOWN, 9, 9, "DTP02"),
        ),
        (
            ["INS*Y*18*021**A", "REF*0F*S1", "NM1*IL*1*DOE", "HD*021**HLT", "DTP*343*RD8*20250131-20250101"],
            (DefectCode.DATE_INVALID, 11, 11, "DTP03"),
        ),
        (
            ["INS*Y*18*021**A", "REF*0F*S1", "NM1*IL*1*DOE", "AMT*P3*12.345"],
            (DefectCode.AMOUNT_INVALID, 10, 10, "AMT02"),
        ),
        (
            ["INS*Y*18*021**A", "REF*0F*S1", "NM1*IL*1*DOE", "AMT*P3*1E3"],
            (DefectCode.NUMBER_INVALID, 10, 10, "AMT02"),
        ),
        (
            ["INS*Y*18*021**A", "REF*0F*S1", "NM1*IL*1*DOE", "HD*021**HLT*******************X", "DTP*348*D8*20250101"],
            (DefectCode.ELEMENT_UNEXPECTED, 10, 10, "HD"),
        ),
        (["INS*Y*18*021**A", "REF*0F*S1", "NM1*IL*1*DOE", "QX*1"], (DefectCode.SEGMENT_UNEXPECTED, 10, 10, "QX")),
        ([], (DefectCode.SEGMENT_MISSING, 3, 3, "ST")),
    ],
)
def test_what_breaks_the_guide_is_named_where_it_is(
    segments: list[str], expected: tuple[DefectCode, int, int, str]
) -> None:
    assert expected in places(defects(minimal(*segments)))


def test_an_unknown_loop_is_named_once_and_not_for_each_of_its_segments() -> None:
    member = [
        "INS*Y*18*021**A",
        "REF*0F*S1",
        "NM1*IL*1*DOE",
        "DMG*D8*19800101*U",
        "NM1*XY*1*ROE",
        "N3*X",
        "N4*Y*IL*60601",
    ]
    assert places(defects(minimal(*member))) == [(DefectCode.CODE_UNKNOWN, 11, 11, "NM101")]


@pytest.mark.parametrize(
    ("text", "minor"), [("45.34", 4534), ("45", 4500), ("45.", 4500), (".5", 50), ("-12.50", -1250), ("045.3400", 4534)]
)
def test_decimals_are_exact_minor_units(text: str, minor: int) -> None:
    found = read(EnrolmentFile, minimal("INS*Y*18*021**A", "REF*0F*S1", "NM1*IL*1*DOE", f"AMT*P3*{text}"))
    assert found.instructions[0].amounts == (QualifiedAmount("P3", minor),)


def test_amounts_are_in_the_currency_of_the_partner() -> None:
    member = ["INS*Y*18*021**A", "REF*0F*S1", "NM1*IL*1*DOE", "AMT*P3*1.234"]
    found = read(EnrolmentFile, minimal(*member), ReadingLimits(currency="KWD"))
    assert found.instructions[0].amounts == (QualifiedAmount("P3", 1234),)


def test_agreed_codes_extend_only_the_lists_that_are_open_to_agreement() -> None:
    life = ["INS*Y*18*021**A", "REF*0F*S1", "NM1*IL*1*DOE", "HD*021**LIF", "DTP*348*D8*20250101"]
    assert places(defects(minimal(*life))) == [(DefectCode.CODE_UNKNOWN, 10, 10, "HD03")]
    agreed = ReadingLimits(agreed_codes=(("HD03", frozenset({"LIF"})), ("INS03", frozenset({"999"}))))
    assert read(EnrolmentFile, minimal(*life), agreed).instructions[0].coverages[0].insurance_line == "LIF"
    odd = ["INS*Y*18*999**A", "REF*0F*S1", "NM1*IL*1*DOE"]
    assert places(defects(minimal(*odd), agreed)) == [(DefectCode.CODE_UNKNOWN, 7, 7, "INS03")]
