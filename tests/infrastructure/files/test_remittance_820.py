"""The 820 of the implementation guide: summary and individual remittance, periods, adjustments, balancing."""

from __future__ import annotations

import datetime as dt

import pytest

from application.files.defects import DefectCode
from application.files.enrolment import QualifiedDate, Reference
from application.files.personal import Confidential, Contact, PersonIdentifier, PersonName, PostalAddress
from application.files.remittance import LineCount, RemittanceAdjustment, RemittanceFile, RemittanceParty
from tests.infrastructure.files.samples import defects, places, read

HEADER = [
    "TRN*3*TRACE-77*9876543210*SUB1",
    "REF*38*MASTER9",
    "DTM*009*20250301",
    "DTM*582****RD8*20250301-20250331",
    "N1*PE*CARRIER*FI*222222222",
    "RDM*EM**PAY(AT)EXAMPLE.ORG",
    "N1*PR*EMPLOYER*FI*111111111",
    "N2*A DIVISION",
    "N3*1 HIGH STREET",
    "N4*SPRINGFIELD*IL*62701",
    "PER*IC*PAYROLL*TE*5551112222",
    "N1*BK*HOUSE BANK",
]

SUMMARY = [
    "ENT*1*2L*FI*111111111",
    "ADX*-25*52",
    "RMR*IK*INV-1**1000.00*1010.00",
    "REF*14*P-1",
    "DTM*582****RD8*20250201-20250228",
    "IT1*1",
    "SLN*1**O*42*10",
    "ADX*-10.00*53",
    "RMR*1L*GROUP-2*PP*300",
]

INDIVIDUAL = [
    "ENT*2*2J*34*900112222",
    "NM1*IL*1*MILLER*ANN****34*900112222",
    "RMR*AZ*POL-1**45.34",
    "REF*38*MASTER9",
    "DTM*AAG****RD8*20250301-20250331",
    "ENT*3*2J*EI*E-77",
    "NM1*EY*1*ROE*RICHARD****EI*E-77",
    "RMR*AZ*POL-2**-5.34",
]


def remittance(payment: str, *segments: str, header: list[str] = HEADER, version: str = "005010X218") -> bytes:
    """A whole file: BPR of this amount, the header, these entities."""
    inner = [f"BPR*I*{payment}*C*ACH*CTX*01*021000021*DA*1111*1234567890**01*121000358*DA*2222*20250303", *header]
    inner += segments
    rows = [
        "ISA*00*          *00*          *ZZ*PAYER          *ZZ*CARRIER        *250301*0930*^*00501*000000009*0*P*:",
        f"GS*RA*PAYER*CARRIER*20250301*0930*9*X*{version}",
        f"ST*820*0009*{version}" if version != "005010" else "ST*820*0009",
        *inner,
        f"SE*{len(inner) + 2}*0009",
        "GE*1*9",
        "IEA*1*000000009",
    ]
    return "".join(f"{row}~\n" for row in rows).encode()


@pytest.fixture(scope="module")
def content() -> RemittanceFile:
    return read(RemittanceFile, remittance("1315.00", *SUMMARY, *INDIVIDUAL))


def test_the_payment_names_trace_dates_and_parties(content: RemittanceFile) -> None:
    (advice,) = content.advices
    assert (advice.amount, advice.currency, advice.handling) == (131_500, "USD", "I")
    assert (advice.trace_kind, advice.trace_number) == ("3", "TRACE-77")
    assert (advice.trace_originator, advice.trace_originator_supplement) == ("9876543210", "SUB1")
    assert advice.payment_date == dt.date(2025, 3, 3)
    assert advice.references == (Reference("38", "MASTER9"),)
    assert advice.dates == (
        QualifiedDate("009", dt.date(2025, 3, 1)),
        QualifiedDate("582", dt.date(2025, 3, 1), dt.date(2025, 3, 31)),
    )
    assert advice.receiver == RemittanceParty(
        "PE", "CARRIER", "FI", "222222222", delivery=("EM", "", "PAY(AT)EXAMPLE.ORG")
    )
    assert advice.payer == RemittanceParty(
        "PR",
        "EMPLOYER",
        "FI",
        "111111111",
        ("A DIVISION",),
        PostalAddress(("1 HIGH STREET",), "SPRINGFIELD", "IL", "62701"),
        "PAYROLL",
        (Contact("TE", "5551112222"),),
    )
    assert [party.role for party in advice.other_parties] == ["BK"]


def test_a_summary_names_invoice_period_members_and_adjustments(content: RemittanceFile) -> None:
    organisation = content.advices[0].entities[0]
    assert not organisation.individual
    assert organisation.adjustments == (RemittanceAdjustment(-2_500, "52"),)
    invoice, group = organisation.lines
    assert (invoice.reference_qualifier, invoice.reference) == ("IK", "INV-1")
    assert (invoice.paid, invoice.invoiced) == (100_000, 101_000)
    assert invoice.references == (Reference("14", "P-1"),)
    assert invoice.coverage_period == (dt.date(2025, 2, 1), dt.date(2025, 2, 28))
    assert invoice.counts == (LineCount("SLN 10", "42"),)
    assert invoice.adjustments == (RemittanceAdjustment(-1_000, "53"),)
    assert (group.action, group.paid, group.invoiced) == ("PP", 30_000, None)


def test_individuals_are_named_with_their_own_lines(content: RemittanceFile) -> None:
    ann, richard = content.advices[0].entities[1:]
    assert ann.individual
    assert ann.identifier == Confidential("900112222")
    assert ann.people[0].name == PersonName("MILLER", "ANN")
    assert ann.people[0].identifiers == (PersonIdentifier("34", "900112222"),)
    assert ann.lines[0].coverage_period == (dt.date(2025, 3, 1), dt.date(2025, 3, 31))
    assert [line.paid for line in richard.lines] == [-534]
    assert sum(line.paid for line in content.advices[0].lines) == 134_000
    assert "900112222" not in repr(content)
    assert "MILLER" not in repr(content)


@pytest.mark.parametrize("payment", ["1340.00", "1314.99", "1315.01", "0"])
@pytest.mark.rule("ARO-021")
def test_the_payment_must_be_lines_and_earlier_adjustments(payment: str) -> None:
    found = defects(remittance(payment, *SUMMARY, *INDIVIDUAL))
    assert places(found) == [(DefectCode.CONTROL_TOTAL, 4, 4, "BPR02")]
    assert "add up to 1315.00" in found[0].message


@pytest.mark.rule("ARO-021")
def test_a_line_s_adjustments_must_explain_what_is_not_paid() -> None:
    changed = [row.replace("ADX*-10.00*53", "ADX*-11.00*53") for row in SUMMARY]
    found = defects(remittance("1315.00", *changed, *INDIVIDUAL))
    assert places(found) == [(DefectCode.CONTROL_TOTAL, 19, 19, "RMR04")]
    assert found[0].message == "RMR04 is 1000.00, RMR05 with its adjustments is 999.00"


def test_a_short_payment_without_adjustment_is_no_defect() -> None:
    content = read(RemittanceFile, remittance("60", "ENT*1*2L*FI*111111111", "RMR*IK*INV-1*PP*60*100"))
    assert (content.advices[0].lines[0].paid, content.advices[0].lines[0].invoiced) == (6_000, 10_000)


def test_a_payment_without_lines_is_remarked() -> None:
    content = read(RemittanceFile, remittance("60"))
    assert content.advices[0].entities == ()
    assert [remark.message for remark in content.remarks] == ["the payment has no remittance lines"]


def test_amounts_are_in_the_currency_of_the_file() -> None:
    header = [*HEADER[:1], "CUR*PR*JPY", *HEADER[1:]]
    content = read(RemittanceFile, remittance("60", "ENT*1*2L*FI*1A", "RMR*IK*INV-1**60", header=header))
    assert (content.advices[0].amount, content.advices[0].currency) == (60, "JPY")
    found = defects(remittance("60.5", "ENT*1*2L*FI*1A", "RMR*IK*INV-1**60.5", header=header))
    assert DefectCode.AMOUNT_INVALID in {item.code for item in found}
    unknown = [*HEADER[:1], "CUR*PR*XXQ", *HEADER[1:]]
    found = defects(remittance("60", "ENT*1*2L*FI*1A", "RMR*IK*INV-1**60", header=unknown))
    assert places(found) == [(DefectCode.CURRENCY_INVALID, 6, 6, "CUR02")]


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        (["ENT*1*2L*FI*1A", "RMR*IV*INV-1**10"], (DefectCode.CODE_UNKNOWN, 18, 18, "RMR01")),
        (["ENT*1*2L*FI*1A", "RMR*IK*INV-1"], (DefectCode.ELEMENT_MISSING, 18, 18, "RMR04")),
        (["ENT*1*2L*FI*1A", "RMR*IK*INV-1**1O"], (DefectCode.NUMBER_INVALID, 18, 18, "RMR04")),
        (["ENT*1*2L*FI*1A", "RMR*IK*INV-1**10.001"], (DefectCode.AMOUNT_INVALID, 18, 18, "RMR04")),
        (["ENT*1*2L*FI*1A"], (DefectCode.SEGMENT_MISSING, 17, 17, "ENT")),
        (["ENT*1*QQ*FI*1A", "RMR*IK*INV-1**10"], (DefectCode.CODE_UNKNOWN, 17, 17, "ENT02")),
    ],
)
def test_what_breaks_the_guide_is_named_where_it_is(
    segments: list[str], expected: tuple[DefectCode, int, int, str]
) -> None:
    assert expected in places(defects(remittance("10", *segments)))


def test_the_plain_standard_takes_codes_the_guide_does_not() -> None:
    segments = ["ENT*1*QQ*ZZ*1A", "RMR*IV*INV-1**10*12*2"]
    content = read(RemittanceFile, remittance("10", *segments, version="005010"))
    (line,) = content.advices[0].lines
    assert (line.reference_qualifier, line.paid, line.invoiced, line.discount) == ("IV", 1_000, 1_200, 200)
