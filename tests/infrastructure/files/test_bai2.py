"""BAI2: each total and count is recomputed, each record has its place, texts keep their commas and slashes."""

from __future__ import annotations

import datetime as dt

import pytest

from application.files.bank import BankStatementFile, Direction, InvalidLine
from application.files.defects import DefectCode
from infrastructure.files.bank.bai2 import direction_of
from tests.infrastructure.files.samples import EXCERPT, defects, edited, places, read

NAME = "svb_us_example.bai2"


def bai2(*records: str, account: str = "03,77,USD/", group: str = "02,R,S,1,250301,,USD,2/") -> bytes:
    """A whole file of one account with these records; totals and counts are computed here, another way."""
    inside = [account, *records]
    total = 0
    for row in inside:
        fields = row.rstrip("/").split(",")
        if fields[0] == "16":
            total += int(fields[2] or 0)
        if fields[0] == "03":
            total += sum(int(value or 0) for value in fields[4::4])
    rows = [
        "01,S,R,250302,0600,1,,,2/",
        group,
        *inside,
        f"49,{total},{len(inside) + 1}/",
        f"98,{total},1,{len(inside) + 3}/",
        f"99,{total},1,{len(inside) + 5}/",
    ]
    return "\n".join(rows).encode()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("49,138884258,7", "49,138884259,7", (DefectCode.CONTROL_TOTAL, 9, 9, "account control total")),
        ("49,138884258,7", "49,138884258,6", (DefectCode.CONTROL_COUNT, 9, 9, "number of records")),
        ("98,138884258,1,9", "98,138884250,1,9", (DefectCode.CONTROL_TOTAL, 10, 10, "group control total")),
        ("98,138884258,1,9", "98,138884258,2,9", (DefectCode.CONTROL_COUNT, 10, 10, "number of accounts")),
        ("98,138884258,1,9", "98,138884258,1,8", (DefectCode.CONTROL_COUNT, 10, 10, "number of records")),
        ("99,282030196,2,20", "99,282030195,2,20", (DefectCode.CONTROL_TOTAL, 20, 20, "file control total")),
        ("99,282030196,2,20", "99,282030196,1,20", (DefectCode.CONTROL_COUNT, 20, 20, "number of groups")),
        ("99,282030196,2,20", "99,282030196,2,21", (DefectCode.CONTROL_COUNT, 20, 20, "number of records")),
        ("99,282030196,2,20", "99,,2,20", (DefectCode.NUMBER_INVALID, 20, 20, "file control total")),
        ("88,100,490196,1", "88,100,490197,1", (DefectCode.CONTROL_TOTAL, 3, 3, "100")),
        ("88,100,490196,1", "88,100,490196,2", (DefectCode.CONTROL_COUNT, 3, 3, "100")),
        ("400,000,0,/\n16,142,490196", "400,100,1,/\n16,142,490196", (DefectCode.CONTROL_TOTAL, 3, 3, "400")),
        ("16,142,490196", "16,142,490195", (DefectCode.CONTROL_TOTAL, 9, 9, "account control total")),
        ("16,142,490196", "16,142,49O196", (DefectCode.AMOUNT_INVALID, 7, 7, "amount")),
        ("16,142,490196", "16,142,-490196", (DefectCode.AMOUNT_INVALID, 7, 7, "amount")),
        ("16,142,490196", "16,14,490196", (DefectCode.CODE_UNKNOWN, 7, 7, "type code")),
        ("02,121140399,121140399,1,220201", "02,121140399,121140399,1,220231", (DefectCode.DATE_INVALID, 2, 2, None)),
        ("02,121140399,121140399,1,220201", "02,121140399,121140399,3,220201", (DefectCode.CODE_UNKNOWN, 2, 2, None)),
        ("220201,,USD,2", "220201,,XXQ,2", (DefectCode.CURRENCY_INVALID, 2, 2, "currency code")),
        ("220201,,USD,2", "220201,2561,USD,2", (DefectCode.TIME_INVALID, 2, 2, "as-of time")),
        ("230214,0754,1,,,2/", "230214,0754,1,,,3/", (DefectCode.VERSION_UNKNOWN, 1, 1, "version number")),
        ("49,138884258,7/\n", "", (DefectCode.SEGMENT_MISSING, 9, 9, None)),
        ("98,138884258,1,9/\n", "", (DefectCode.SEGMENT_MISSING, 10, 10, None)),
        ("99,282030196,2,20\n", "", (DefectCode.TRUNCATED, 19, 19, None)),
        ("49,138884258,7/", "49,138884258,7/9", (DefectCode.DELIMITER_INVALID, 9, 9, None)),
        ("49,138884258,7/", "4,138884258,7/", (DefectCode.SEGMENT_INVALID, 9, 9, None)),
        ("03,1234567890,USD,010", "03,,USD,010", (DefectCode.ELEMENT_MISSING, 3, 3, "customer account number")),
        ("88,040,32742537,,,", "88,040,32742537,,X,", (DefectCode.CODE_UNKNOWN, 3, 3, "funds type")),
    ],
)
@pytest.mark.rule("ARO-021")
def test_damage_is_named_by_record_line_and_field(
    old: str, new: str, expected: tuple[DefectCode, int, int, str | None]
) -> None:
    found = defects(edited(NAME, (old, new)))
    code, number, line, element = expected
    assert [
        item
        for item in found
        if (item.code, item.segment_number, item.line) == (code, number, line) and element in (None, item.element)
    ], [str(item) for item in found]


@pytest.mark.rule("ARO-021")
def test_a_lost_transaction_is_found_by_totals_counts_and_balance() -> None:
    found = defects(edited(NAME, ("16,142,490196,,172629,/\n88,SOME PAYMENT ACH OFFSET\n49", "49")))
    assert {item.code for item in found} >= {DefectCode.CONTROL_TOTAL, DefectCode.CONTROL_COUNT, DefectCode.BALANCE}


@pytest.mark.rule("ARO-021")
def test_opening_balance_and_movements_make_the_closing_balance() -> None:
    account = "03,77,USD,010,1000,,,015,1250,,/"
    good = bai2("16,115,300,Z,A,,IN/", "16,475,50,Z,B,,OUT/", account=account)
    assert [line.minor for line in read(BankStatementFile, good).credits] == [300]
    bad = bai2("16,115,300,Z,A,,IN/", "16,475,51,Z,B,,OUT/", account=account)
    assert places(defects(bad)) == [(DefectCode.BALANCE, 3, 3, "015")]
    overdrawn = bai2("16,475,1300,Z,B,,OUT/", account="03,77,USD,010,+1000,,,015,-300,,/")
    assert [line.minor for line in read(BankStatementFile, overdrawn).debits] == [1300]


def test_credits_debits_and_what_is_neither_are_told_apart() -> None:
    content = read(
        BankStatementFile,
        bai2(
            "16,115,300,Z,A,,LOCKBOX/",
            "16,475,50,Z,B,,CHECK/",
            "16,930,7,Z,C,,OWN CREDIT/",
            "16,970,8,Z,D,,OWN DEBIT/",
            "16,890,0,Z,E,,JUST TEXT/",
            "16,721,9,Z,F,,LOAN INTEREST/",
            "16,142,0,Z,G,,NOTHING/",
        ),
    )
    assert [(line.type_code, line.minor) for line in content.credits] == [("115", 300), ("930", 7)]
    assert [(line.type_code, line.minor) for line in content.debits] == [("475", 50), ("970", 8)]
    assert [(line.type_code, line.reason) for line in content.invalid_lines] == [
        ("890", "type code is neither a credit nor a debit"),
        ("721", "type code is neither a credit nor a debit"),
        ("142", "zero amount"),
    ]
    assert isinstance(content.invalid_lines[0], InvalidLine)


def test_the_value_date_is_that_of_funds_type_v_else_the_group_s_day() -> None:
    content = read(
        BankStatementFile,
        bai2(
            "16,142,1,V,250305,,A,,X/",
            "16,142,2,V,,,A,,X/",
            "16,142,6,S,1,2,3,A,,X/",
            "16,142,6,D,2,0,4,1,2,A,,X/",
            "16,142,5,1,A,,X/",
            "16,142,7,,A,,X/",
        ),
    )
    assert [line.value_date.day for line in content.credits] == [5, 1, 1, 1, 1, 1]
    assert {line.bank_reference for line in content.credits} == {"A"}
    assert {line.booking_date for line in content.credits} == {dt.date(2025, 3, 1)}


def test_texts_keep_commas_and_slashes_and_continue_over_records() -> None:
    content = read(BankStatementFile, bai2("16,142,1,Z,REF,CUST,INV 1/2, PART", "88,MORE, AND/OR/", "88,LAST"))
    (line,) = content.credits
    assert (line.bank_reference, line.customer_reference) == ("REF", "CUST")
    assert line.text == "INV 1/2, PART\nMORE, AND/OR\nLAST"


def test_a_transaction_may_continue_before_its_text() -> None:
    content = read(BankStatementFile, bai2("16,142,1,V/", "88,250307,1200/", "88,REF,CUST/", "88,TEXT/"))
    (line,) = content.credits
    assert (line.value_date.day, line.bank_reference, line.customer_reference, line.text) == (7, "REF", "CUST", "TEXT")


def test_amounts_are_minor_units_of_the_account_else_the_group_else_dollars() -> None:
    yen = read(BankStatementFile, bai2("16,142,5,Z,A/", account="03,77,JPY/")).credits[0]
    euro = read(BankStatementFile, bai2("16,142,5,Z,A/", account="03,77,/", group="02,R,S,1,250301,,EUR,2/")).credits[0]
    dollar = read(BankStatementFile, bai2("16,142,5,Z,A/", account="03,77,/", group="02,R,S,1,250301,,,/")).credits[0]
    assert [(line.minor, line.currency) for line in (yen, euro, dollar)] == [(5, "JPY"), (5, "EUR"), (5, "USD")]


@pytest.mark.parametrize("status", ["2", "3", "4", "", "7"])
def test_a_group_that_is_no_update_is_refused(status: str) -> None:
    found = defects(bai2("16,142,5,Z,A/", group=f"02,R,S,{status},250301,,USD,2/"))
    assert places(found) == [(DefectCode.CODE_UNKNOWN, 2, 2, "group status")]


@pytest.mark.rule("ARO-022")
def test_equal_lines_without_bank_reference_are_numbered_with_one_they_share_a_key() -> None:
    content = read(
        BankStatementFile,
        bai2("16,142,5,Z,,/", "16,142,5,Z,,/", "16,142,6,Z,,/", "16,142,5,Z,R,/", "16,142,5,Z,R,/", "16,475,5,Z,,/"),
    )
    keys = [line.key for line in content.credits]
    assert [key[-1] for key in keys] == [1, 2, 1, 0, 0]
    assert keys[0] != keys[1]
    assert keys[3] == keys[4]
    day = dt.date(2025, 3, 1)
    assert keys[0] == ("77", "", day, 5, "USD", Direction.CREDIT, 1)
    assert content.debits[0].key == ("77", "", day, 5, "USD", Direction.DEBIT, 1)


def test_an_excerpt_is_still_held_to_its_control_totals() -> None:
    assert places(defects(edited("citi_example.bai2", ("49,20001,10", "49,20002,10")), EXCERPT))[0][0] is (
        DefectCode.CONTROL_TOTAL
    )


def test_records_behind_the_end_and_second_headers_are_named() -> None:
    whole = bai2("16,142,5,Z,A/")
    assert places(defects(whole + b"\n" + whole))[0] == (DefectCode.SEGMENT_UNEXPECTED, 8, 8, "01")
    found = defects(edited(NAME, ("02,121140399,121140399,1,220201", "01,A,B,250301,,,,,2/\n02,1,2,1,220201")))
    assert (DefectCode.SEGMENT_UNEXPECTED, 2, 2, "01") in places(found)


@pytest.mark.parametrize(
    ("code", "direction"),
    [
        ("099", None),
        ("100", Direction.CREDIT),
        ("399", Direction.CREDIT),
        ("400", Direction.DEBIT),
        ("699", Direction.DEBIT),
        ("700", None),
        ("919", None),
        ("920", Direction.CREDIT),
        ("959", Direction.CREDIT),
        ("960", Direction.DEBIT),
        ("999", Direction.DEBIT),
        ("1234", None),
        ("", None),
    ],
)
def test_type_codes_say_credit_or_debit(code: str, direction: Direction | None) -> None:
    assert direction_of(code) is direction


def test_absurd_lengths_are_named_and_not_taken_apart() -> None:
    found = defects(bai2("16,142,5,Z,A,," + "X" * 10_000))
    assert (DefectCode.SEGMENT_INVALID, 4, 4, None) in places(found)
    found = defects(bai2("16,142,5,Z,A,,X", *["88,X"] * 1_002))
    assert (DefectCode.SEGMENT_REPEATED, 4, 4, "16") in places(found)
