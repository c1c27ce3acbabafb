"""The 820 sample: refused, with every reason its text shows; and what it says once it is put right."""

from __future__ import annotations

import datetime as dt

import pytest

from application.files.defects import DefectCode, FileRefused
from application.files.enrolment import QualifiedDate, Reference
from application.files.identity import FileFormat
from application.files.personal import Confidential
from application.files.remittance import (
    BankAccount,
    RemittanceFile,
    RemittanceLine,
    RemittanceParty,
)
from infrastructure.files.reader import read_file
from tests.infrastructure.files.samples import defects, edited, places, read, sample

NAME = "group-life-premium.820"

#: The sample put right: the lost element BPR10 sent, adjustments that add up to nothing left out, segments counted.
PUT_RIGHT = (
    ("DA*123456789**01*", "DA*123456789*1234567890**01*"),
    ("ADX*8500.00*1*LIF*EMPLOYEE LIFE PREMIUM~\n", ""),
    ("ADX*2250.00*1*ADD*EMPLOYEE AD&D PREMIUM~\n", ""),
    ("ADX*1200.75*1*LIF*DEPENDENT LIFE PREMIUM~\n", ""),
    ("ADX*500.00*2*LIF*ADJUSTMENT - RETRO ENROLLMENT~\n", ""),
    ("SE*17*", "SE*12*"),
)


@pytest.mark.rule("ARO-021")
def test_the_sample_is_refused_for_shifted_bank_elements_reason_codes_and_its_segment_count() -> None:
    assert places(defects(sample(NAME))) == [
        (DefectCode.ELEMENT_LENGTH, 4, 4, "BPR11"),
        (DefectCode.ELEMENT_LENGTH, 4, 4, "BPR12"),
        (DefectCode.ELEMENT_LENGTH, 4, 4, "BPR13"),
        (DefectCode.ELEMENT_LENGTH, 4, 4, "BPR14"),
        (DefectCode.CONTROL_TOTAL, 10, 10, "RMR04"),
        (DefectCode.ELEMENT_LENGTH, 14, 14, "ADX02"),
        (DefectCode.ELEMENT_LENGTH, 15, 15, "ADX02"),
        (DefectCode.ELEMENT_LENGTH, 16, 16, "ADX02"),
        (DefectCode.ELEMENT_LENGTH, 17, 17, "ADX02"),
        (DefectCode.CONTROL_COUNT, 18, 18, "SE01"),
    ]


def test_the_messages_name_the_figures_of_the_file() -> None:
    with pytest.raises(FileRefused) as refused:
        read_file(NAME, sample(NAME))
    told = str(refused.value)
    assert "SE01 says 17 segments from ST to SE, counted 16" in told
    assert "RMR04 is 12450.75, RMR05 with its adjustments is 24901.50" in told
    assert "987654321" not in told, "an account number stands in the wrong element; it is not quoted"


def test_put_right_it_is_one_payment_for_one_invoice() -> None:
    content = read(RemittanceFile, edited(NAME, *PUT_RIGHT))
    assert content.identity.format is FileFormat.X12_820
    assert content.remarks == ()
    (advice,) = content.advices
    assert (advice.amount, advice.currency, advice.credit) == (1_245_075, "USD", True)
    assert (advice.handling, advice.method, advice.format) == ("C", "ACH", "CTX")
    assert advice.payer_account == BankAccount("01", "021000089", "DA", Confidential("123456789"))
    assert advice.receiver_account == BankAccount("01", "021000089", "DA", Confidential("987654321"))
    assert advice.originating_company == "1234567890"
    assert advice.payment_date == dt.date(2025, 2, 15)
    assert (advice.trace_kind, advice.trace_number, advice.trace_originator) == ("1", "PMT-2025-02-001", "1234567890")
    assert advice.dates == (QualifiedDate("009", dt.date(2025, 2, 15)),)
    assert advice.payer == RemittanceParty("PR", "ABC Corporation", "FI", "987654321")
    assert advice.receiver == RemittanceParty("PE", "ACME Insurance Company", "FI", "123456789")
    (entity,) = advice.entities
    assert (entity.number, entity.entity, entity.identifier_qualifier) == (1, "2J", "38")
    assert entity.identifier == Confidential("GROUP-LIFE-10001")
    assert entity.lines == (
        RemittanceLine(
            "IV",
            "INV-2025-02-001",
            paid=1_245_075,
            invoiced=1_245_075,
            references=(Reference("38", "GROUP-LIFE-10001"),),
            dates=(QualifiedDate("003", dt.date(2025, 2, 1)), QualifiedDate("004", dt.date(2025, 2, 28))),
        ),
    )
    assert entity.lines[0].coverage_period is None
    assert "123456789" not in repr(advice.payer_account)


@pytest.mark.parametrize(
    ("paid", "total"), [("12450.74", "12450.74"), ("12450.76", "12450.76"), ("0", "0.00"), ("-12450.75", "-12450.75")]
)
@pytest.mark.rule("ARO-021")
def test_a_payment_that_is_not_the_sum_of_its_lines_is_refused(paid: str, total: str) -> None:
    content = edited(NAME, *PUT_RIGHT, ("RMR*IV*INV-2025-02-001**12450.75*", f"RMR*IV*INV-2025-02-001**{paid}*"))
    found = defects(content)
    assert places(found) == [(DefectCode.CONTROL_TOTAL, 4, 4, "BPR02")]
    assert found[0].refusal_code == "FILE_CONTROL_TOTAL_MISMATCH"
    assert found[0].message == f"BPR02 is 12450.75, amounts paid and adjustments of its lines add up to {total}"
