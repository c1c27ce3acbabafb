"""The bank samples: one BAI2 file is read, one BAI2 file and the camt.053 file contradict their own balances."""

from __future__ import annotations

import datetime as dt

import pytest

from application.files.bank import Balance, BankLine, BankStatement, BankStatementFile, Direction
from application.files.defects import DefectCode
from application.files.identity import FileFormat, Place
from application.files.personal import Confidential
from tests.infrastructure.files.samples import EXCERPT, defects, places, read, sample


def balances(day: dt.date, *figures: tuple[str, int], currency: str = "USD") -> tuple[Balance, ...]:
    return tuple(Balance(code, minor, currency, day) for code, minor in figures)


def ach_credit(minor: int, day: dt.date, reference: str) -> BankLine:
    return BankLine(
        account="1234567890",
        direction=Direction.CREDIT,
        minor=minor,
        currency="USD",
        value_date=day,
        booking_date=day,
        type_code="142",
        bank_reference=reference,
        text="SOME PAYMENT ACH OFFSET",
    )


def test_two_days_of_credits_are_read_with_balances_and_totals() -> None:
    content = read(BankStatementFile, sample("svb_us_example.bai2"))
    first, second = dt.date(2022, 2, 1), dt.date(2022, 2, 2)
    assert content.identity.format is FileFormat.BAI2
    assert (content.sender, content.reference, content.created_on) == ("121140399", "1", dt.date(2023, 2, 14))
    assert content.statements == (
        BankStatement(
            "1234567890",
            "USD",
            "1",
            first,
            balances(
                first,
                ("010", 34726979),
                ("015", 35217175),
                ("040", 32742537),
                ("045", 35217175),
                ("072", 0),
                ("074", 0),
                ("100", 490196),
                ("400", 0),
            ),
            (ach_credit(490196, first, "172629"),),
        ),
        BankStatement(
            "1234567890",
            "USD",
            "1",
            second,
            balances(
                second,
                ("010", 35217175),
                ("015", 36122975),
                ("040", 33871213),
                ("045", 36122975),
                ("072", 0),
                ("074", 0),
                ("100", 905800),
                ("400", 0),
            ),
            (ach_credit(905800, second, "150675"),),
        ),
    )
    assert [line.place for line in content.credits] == [Place(7, 7), Place(16, 16)]
    assert content.debits == ()
    assert content.invalid_lines == ()


def test_the_missing_slash_of_the_last_record_is_remarked() -> None:
    content = read(BankStatementFile, sample("svb_us_example.bai2"))
    assert [(remark.line, remark.message) for remark in content.remarks] == [
        (20, "record 99 has no record end (slash)")
    ]


@pytest.mark.rule("ARO-021")
def test_a_closing_balance_without_its_movement_refuses_the_bai2_file() -> None:
    found = defects(sample("citi_example.bai2"))
    assert places(found) == [(DefectCode.BALANCE, 3, 3, "015")]
    assert found[0].message == ("opening balance 100.00 and movements 0.01 make 100.01, the closing balance is 100.00")
    assert found[0].refusal_code == "FILE_CONTROL_TOTAL_MISMATCH"


def test_the_same_file_taken_as_an_excerpt_gives_a_sterling_credit_with_its_text() -> None:
    content = read(BankStatementFile, sample("citi_example.bai2"), EXCERPT)
    day = dt.date(2015, 7, 15)
    assert content.statements == (
        BankStatement(
            "77777777",
            "GBP",
            "00131100",
            day,
            balances(day, ("010", 10000), ("015", 10000), currency="GBP"),
            (
                BankLine(
                    account="77777777",
                    direction=Direction.CREDIT,
                    minor=1,
                    currency="GBP",
                    value_date=day,
                    booking_date=day,
                    type_code="191",
                    bank_reference="1234567890",
                    customer_reference="RP12312312312312",
                    text="\n".join(
                        (
                            "FR:FP SIP INCOMING",
                            "ENDT:20150715",
                            "TRID:RP12312312312312",
                            "PY:RP1231231231231200                 A1234BC 22/03/66",
                            "BI:22222222",
                            "OB:111111 BUCKINGHAM PALACE OB3:BARCLAYS BANK PLC",
                            "BO:11111111 BO1:DOE JO",
                        )
                    ),
                ),
            ),
        ),
    )
    assert content.remarks == ()


@pytest.mark.rule("ARO-021")
def test_balances_that_the_entries_do_not_explain_refuse_the_camt_file() -> None:
    found = defects(sample("camt053.xml"))
    assert places(found) == [(DefectCode.BALANCE, 1, 7, "Bal")]
    assert found[0].message == (
        "opening balance 15568.27 and movements -12.99 make 15555.28, the closing balance is 15121.12"
    )


def test_the_same_file_taken_as_an_excerpt_gives_one_credit_and_three_debits() -> None:
    content = read(BankStatementFile, sample("camt053.xml"), EXCERPT)
    day = dt.date(2014, 1, 5)
    assert content.identity.version == "camt.053.001.02"
    assert (content.sender, content.reference) == ("ABNANL2A", "TESTBANK/NL/1420561226673")
    assert content.created_on == dt.date(2014, 1, 6)
    (statement,) = content.statements
    assert (statement.account, statement.currency, statement.reference, statement.date) == (
        "NL77ABNA0574908765",
        "EUR",
        "1234Test/1",
        day,
    )
    assert statement.balances == balances(day, ("OPBD", 1_556_827), ("CLBD", 1_512_112), currency="EUR")
    shared = {"account": "NL77ABNA0574908765", "currency": "EUR", "value_date": day, "booking_date": day}
    assert content.credits == (
        BankLine(
            **shared,
            direction=Direction.CREDIT,
            minor=140_531,
            type_code="PMNT/RCDT/ESCT",
            customer_reference="INNDNL2U20140105000217200000708",
            end_to_end_id="115",
            text="#RD PARTY MEDIA CUSNO 90782 4210773",
            counterparty_name="3rd party Media",
            counterparty_account=Confidential("NL69ABNA0522123643"),
        ),
    )
    returned = {
        "direction": Direction.DEBIT,
        "type_code": "PMNT/IDDT/UPDD",
        "reversal": True,
        "return_reason": "AC06",
        "batch_size": 2,
        "counterparty_name": "Test Customer",
        "counterparty_account": Confidential("NL46ABNA0499998748"),
    }
    assert content.debits == (
        BankLine(
            **shared,
            direction=Direction.DEBIT,
            minor=75_425,
            type_code="PMNT/RDDT/ESDD",
            customer_reference="INNDNL2U20141231000142300002844",
            end_to_end_id="435005714488-ABNO33052620",
            mandate_id="1880000341866",
            text="Insurance policy 857239PERIOD 01.01.2014 - 31.12.2014\n"
            "MKB Insurance 859239PERIOD 01.01.2014 - 31.12.2014",
            counterparty_name="INSURANCE COMPANY TESTX",
            counterparty_account=Confidential("NL46ABNA0499998748"),
        ),
        *(
            BankLine(
                **shared,
                **returned,
                minor=minor,
                customer_reference=f"TESTBANK/NL/20141229/{number}",
                end_to_end_id=f"TESTBANK/NL/20141229/{number}",
                mandate_id=f"NL22ZZZ524885430000-C0125.{index}",
                text="Direct Debit S14 0410\n"
                "Direct debit S14 0410 AC07 Rek.nummer blokkade TESTBANK/NL/20141229/01206408",
            )
            for minor, number, index in ((56_405, "01206408", 1), (10_000, "01206407", 2))
        ),
    )
    assert "3rd party" not in repr(content), "names and texts of payers are not shown"
