"""Remittance files: matching rows to people, and where their money goes."""

from __future__ import annotations

import pytest

from domain.payments.allocation import OpenAccount, PriorityKey, SpreadSettings
from domain.payments.classification import AccountKind, Cause, PaymentStatus
from domain.payments.distribution import Distribution, allocate
from domain.payments.payment import fold
from domain.payments.remittance import (
    RemittanceMember,
    RemittanceRow,
    Scope,
    Skip,
    distribute,
    file_problems,
    match,
    read_rows,
    total_problems,
)
from tests.domain.payments.builders import TODAY, Row, by_line, open_invoices, open_items, record

ON = SpreadSettings(use_priority_rules=True)
HEADER = ("SSN", "Employee ID", "member_record_number", "Amount", "Product")


def rows(*cells: tuple[str, str, str, str, str]) -> list[RemittanceRow]:
    found, problems = read_rows(HEADER, cells)
    assert problems == []
    return found


E08_MEMBERS = [
    RemittanceMember("MR-A1", "1111", None, "DENTAL", 120000),
    RemittanceMember("MR-A2", "1111", None, "VISION", 60000),
    RemittanceMember("MR-B1", "2222", None, "DENTAL", 120000),
]
E08_ITEMS = [
    Row("INV-1", 2000, member="MR-A1"),
    Row("INV-2", 10000, member="MR-A1"),
    Row("INV-2", 5000, member="MR-A2"),
    Row("INV-2", 10000, member="MR-B1"),
]
ON_INV_2 = frozenset(("MR-A1", "MR-A2", "MR-B1"))


def e08(settings: SpreadSettings = ON) -> OpenAccount:
    return OpenAccount(open_items(E08_ITEMS), open_invoices("INV-1", "INV-2"), settings)


@pytest.mark.rule("PAY-E08", "PAY-055", "PAY-056", "PAY-058", "PAY-060")
def test_a_persons_money_pays_the_chosen_invoice_then_its_oldest_and_the_rest_is_kept_by_premium() -> None:
    file = rows(
        ("1111", "", "", "200.00", ""),
        ("2222", "", "", "30.00", ""),
        ("", "", "", "10.00", ""),
    )
    matched = match(file, E08_MEMBERS, "USD", invoiced=ON_INV_2)
    assert [(one.number, one.reason) for one in matched.skipped] == [(3, Skip.NO_IDENTIFIER)]
    assert [problem.code for problem in total_problems(matched, 24000)] == ["REMITTANCE_TOTAL_MISMATCH"]
    assert [problem.code for problem in file_problems(matched, 22000)] == ["REMITTANCE_TOTAL_EXCEEDS_PAYMENT"]
    assert total_problems(matched, 23000) == file_problems(matched, 23000) == []
    done = distribute(matched, E08_MEMBERS, e08(), scope=Scope.INVOICES, invoices=frozenset(("INV-2",)))
    assert by_line(done.lines) == {("INV-1", 1): 2000, ("INV-2", 1): 10000, ("INV-2", 2): 5000, ("INV-2", 3): 3000}
    assert dict(zip(done.overpayments.members, done.overpayments.amounts, strict=True)) == {
        "MR-A1": 2000,
        "MR-A2": 1000,
    }
    assert done.placed == 23000
    payment = record(AccountKind.LIST_BILL_INDIVIDUAL, 23000)
    distribution = Distribution(done.lines, done.overpayments)
    after = fold(payment, allocate(payment, distribution, cause=Cause.REMITTANCE, date=TODAY))
    assert after.status is PaymentStatus.ALLOCATED


@pytest.mark.rule("PAY-E08", "PAY-058", "PAY-059")
@pytest.mark.parametrize(
    ("settings", "scope", "expected"),
    [
        (ON, Scope.EARLIEST, [2000, 6667, 3333]),
        (ON, Scope.INVOICES, [0, 8000, 4000]),
        (SpreadSettings(), Scope.EARLIEST, [1412, 7059, 3529]),
    ],
)
def test_a_short_amount_covers_the_oldest_first_unless_rules_are_off(
    settings: SpreadSettings, scope: Scope, expected: list[int]
) -> None:
    matched = match(rows(("1111", "", "", "120.00", "")), E08_MEMBERS, "USD")
    done = distribute(matched, E08_MEMBERS, e08(settings), scope=scope, invoices=frozenset(("INV-2",)))
    got = by_line(done.lines)
    assert [got.get(("INV-1", 1), 0), got.get(("INV-2", 1), 0), got.get(("INV-2", 2), 0)] == expected


E09_MEMBERS = [
    RemittanceMember("MR-D1", "3333", None, "DENTAL", 60000),
    RemittanceMember("MR-V1", "3333", None, "VISION", 24000),
    RemittanceMember("MR-V2", "3333", None, "VISION", 12000),
]
E09_ITEMS = [
    Row(number, due, member=member, product=product)
    for number in ("INV-1", "INV-2")
    for member, product, due in (("MR-D1", "DENTAL", 5000), ("MR-V1", "VISION", 2000), ("MR-V2", "VISION", 1000))
]


@pytest.mark.rule("PAY-E09", "PAY-057", "PAY-060")
@pytest.mark.parametrize(
    ("order", "priority", "kept"),
    [
        ((), {}, {"MR-D1": 2000 + 313, "MR-V1": 125, "MR-V2": 62}),
        ((PriorityKey.PRODUCT,), {"DENTAL": 1}, {"MR-D1": 2000 + 500}),
    ],
)
def test_money_for_a_product_goes_first_and_what_is_over_follows_the_annual_premium(
    order: tuple[PriorityKey, ...], priority: dict[str, int], kept: dict[str, int]
) -> None:
    file = rows(
        ("3333", "", "", "40.00", ""),
        ("3333", "", "", "25.00", "VISION"),
        ("3333", "", "", "120.00", "DENTAL"),
    )
    settings = SpreadSettings(True, order, priority)
    account = OpenAccount(open_items(E09_ITEMS), open_invoices("INV-1", "INV-2"), settings)
    done = distribute(match(file, E09_MEMBERS, "USD"), E09_MEMBERS, account)
    assert by_line(done.lines) == {
        ("INV-1", 1): 5000,
        ("INV-1", 2): 1667 + 333,
        ("INV-1", 3): 833 + 167,
        ("INV-2", 1): 5000,
        ("INV-2", 2): 2000,
        ("INV-2", 3): 1000,
    }
    assert dict(zip(done.overpayments.members, done.overpayments.amounts, strict=True)) == kept


@pytest.mark.rule("PAY-E23", "PAY-060")
def test_three_cents_over_five_equal_records_leave_the_last_two_without() -> None:
    members = [RemittanceMember(f"MR-{number}", "4444", None, "DENTAL", 50000) for number in range(1, 6)]
    account = OpenAccount(open_items([]), [], ON)
    done = distribute(match(rows(("4444", "", "", "0.03", "")), members, "USD"), members, account)
    assert dict(zip(done.overpayments.members, done.overpayments.amounts, strict=True)) == {
        "MR-1": 1,
        "MR-2": 1,
        "MR-3": 1,
    }


@pytest.mark.rule("PAY-060")
def test_without_any_annual_premium_the_rest_is_shared_equally() -> None:
    members = [RemittanceMember(f"MR-{number}", "4444", None, "DENTAL", 0) for number in (1, 2, 3)]
    done = distribute(
        match(rows(("4444", "", "", "1.00", "")), members, "USD"), members, OpenAccount(open_items([]), [], ON)
    )
    assert done.overpayments.amounts == (33, 33, 34)


@pytest.mark.rule("PAY-055", "PAY-056")
def test_every_bad_row_is_skipped_with_its_reason_and_the_others_go_on() -> None:
    members = [
        RemittanceMember("MR-1", "1111", "E-1", "DENTAL", 1),
        RemittanceMember("MR-2", "2222", "E-1", "DENTAL", 1),
        RemittanceMember("MR-3", None, "E-3", "VISION", 1),
        RemittanceMember("MR-4", "4444", "E-3", "VISION", 1),
        RemittanceMember("MR-5", "5555", "E-5", "VISION", 1),
        RemittanceMember("MR-6", "5555", None, "DENTAL", 1),
    ]
    file = rows(
        ("", "", "", "1.00", ""),
        ("1111", "", "", "x", ""),
        ("1111", "", "", "0.00", ""),
        ("1111", "", "", "1.001", ""),
        ("9999", "", "MR-9", "1.00", ""),
        ("", "E-1", "", "1.00", ""),
        ("", "E-3", "", "1.00", ""),
        ("1111", "", "", "1.00", "LIFE"),
        ("2222", "", "", "1.00", ""),
        ("", "E-5", "", "1.00", ""),
        ("5555", "", "", "2.00", ""),
        ("1111", "", "MR-5", "4.00", ""),
    )
    matched = match(file, members, "USD", invoiced=frozenset(("MR-5", "MR-6")))
    assert [(one.number, one.reason) for one in matched.skipped] == [
        (1, Skip.NO_IDENTIFIER),
        (2, Skip.AMOUNT_INVALID),
        (3, Skip.AMOUNT_INVALID),
        (4, Skip.AMOUNT_INVALID),
        (5, Skip.MEMBER_NOT_FOUND),
        (6, Skip.IDENTIFIER_AMBIGUOUS),
        (7, Skip.IDENTIFIER_AMBIGUOUS),
        (8, Skip.PRODUCT_UNKNOWN),
        (9, Skip.MEMBER_NOT_ON_INVOICE),
    ]
    assert [(group.person, group.records, group.total) for group in matched.groups] == [
        (False, ("MR-5",), 400),
        (True, ("MR-5", "MR-6"), 300),
    ]


@pytest.mark.rule("PAY-053", "PAY-054")
def test_headers_ignore_case_spaces_and_underscores_and_a_missing_column_refuses_the_file() -> None:
    found, problems = read_rows(("Member Record NUMBER", "A_mount", "note"), [(" MR-1 ", "1.00", "hello")])
    assert problems == []
    assert (found[0].member_record, found[0].amount) == ("MR-1", "1.00")
    _, problems = read_rows(("name", "total"), [])
    assert problems[0].code == "REMITTANCE_COLUMNS_MISSING"
    assert problems[0].params["columns"] == ["member_record_number", "ssn", "employee_id", "amount"]
    _, problems = read_rows(("ssn;amount",), [])
    assert problems[0].code == "REMITTANCE_NOT_COMMA_SEPARATED"


@pytest.mark.rule("PAY-054")
def test_a_file_without_a_usable_row_is_refused_as_a_whole() -> None:
    matched = match(rows(("9999", "", "", "1.00", "")), E08_MEMBERS, "USD")
    assert [problem.code for problem in file_problems(matched, 100)] == ["REMITTANCE_NO_VALID_ROWS"]
