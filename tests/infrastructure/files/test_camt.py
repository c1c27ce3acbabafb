"""camt.053 and camt.054: versions, batches, statuses, references, and every figure recomputed."""

from __future__ import annotations

import datetime as dt

import pytest

from application.files.bank import BankStatementFile, Direction, StructuredRemittance
from application.files.defects import DefectCode
from application.files.identity import FileFormat
from application.files.personal import Confidential
from tests.infrastructure.files.samples import defects, read

BALANCES = """
<Bal><Tp><CdOrPrtry><Cd>{opening}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">{start}</Amt><CdtDbtInd>CRDT</CdtDbtInd>
<Dt><Dt>2025-03-02</Dt></Dt></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">{end}</Amt><CdtDbtInd>{sign}</CdtDbtInd>
<Dt><Dt>2025-03-03</Dt></Dt></Bal>"""


def balances(start: str, end: str, sign: str = "CRDT", opening: str = "OPBD") -> str:
    return BALANCES.format(start=start, end=end, sign=sign, opening=opening)


def entry(
    amount: str = "100.00",
    *,
    sign: str = "CRDT",
    status: str = "BOOK",
    dates: str = "<BookgDt><Dt>2025-03-03</Dt></BookgDt><ValDt><Dt>2025-03-04</Dt></ValDt>",
    more: str = "",
    currency: str = "EUR",
) -> str:
    head = f'<Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{sign}</CdtDbtInd><Sts>{status}</Sts>'
    return f"<Ntry>{head}{dates}{more}</Ntry>"


def details(*transactions: str, batch: str = "") -> str:
    return "<NtryDtls>" + batch + "".join(f"<TxDtls>{item}</TxDtls>" for item in transactions) + "</NtryDtls>"


def amount(value: str, currency: str = "EUR") -> str:
    return f'<AmtDtls><TxAmt><Amt Ccy="{currency}">{value}</Amt></TxAmt></AmtDtls>'


def camt(*parts: str, version: str = "02", kind: str = "053", currency: str = "EUR") -> bytes:
    """A document of one statement or notification."""
    outer, inner = ("BkToCstmrStmt", "Stmt") if kind == "053" else ("BkToCstmrDbtCdtNtfctn", "Ntfctn")
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.{kind}.001.{version}"><{outer}>
<GrpHdr><MsgId>M-1</MsgId><CreDtTm>2025-03-04T05:00:00+01:00</CreDtTm></GrpHdr>
<{inner}><Id>ST-1</Id><CreDtTm>2025-03-04T05:00:00</CreDtTm>
<Acct><Id><Othr><Id>ACC-1</Id></Othr></Id><Ccy>{currency}</Ccy></Acct>
{"".join(parts)}
</{inner}></{outer}></Document>""".encode()


@pytest.mark.parametrize("version", ["02", "03", "04", "05", "06", "07", "08"])
@pytest.mark.parametrize("kind", ["053", "054"])
def test_versions_02_to_08_of_both_messages_are_read(version: str, kind: str) -> None:
    content = read(BankStatementFile, camt(entry(), version=version, kind=kind))
    assert content.identity.format is (FileFormat.CAMT_053 if kind == "053" else FileFormat.CAMT_054)
    assert content.identity.version == f"camt.{kind}.001.{version}"
    (line,) = content.credits
    assert (line.account, line.minor, line.currency) == ("ACC-1", 10_000, "EUR")
    assert (line.booking_date, line.value_date) == (dt.date(2025, 3, 3), dt.date(2025, 3, 4))
    assert (content.reference, content.created_on) == ("M-1", dt.date(2025, 3, 4))


@pytest.mark.parametrize(
    ("version", "kind", "code"),
    [
        ("01", "053", DefectCode.VERSION_UNKNOWN),
        ("09", "053", DefectCode.VERSION_UNKNOWN),
        ("08", "052", DefectCode.VERSION_UNKNOWN),
    ],
)
@pytest.mark.rule("ARO-021")
def test_other_versions_and_messages_are_unknown_formats(version: str, kind: str, code: DefectCode) -> None:
    found = defects(camt(entry(), version=version, kind=kind))
    assert [(item.code, item.refusal_code) for item in found] == [(code, "FILE_FORMAT_UNKNOWN")]


def test_the_later_versions_spell_status_parties_and_amounts_differently() -> None:
    transaction = (
        '<Refs><AcctSvcrRef>B-9</AcctSvcrRef><EndToEndId>E-9</EndToEndId></Refs><Amt Ccy="EUR">100.00</Amt>'
        "<CdtDbtInd>CRDT</CdtDbtInd><RltdPties><Dbtr><Pty><Nm>PAYER LTD</Nm></Pty></Dbtr>"
        "<DbtrAcct><Id><IBAN>DE02120300000000202051</IBAN></Id></DbtrAcct></RltdPties>"
    )
    (line,) = read(
        BankStatementFile, camt(entry(status="<Cd>BOOK</Cd>", more=details(transaction)), version="08")
    ).credits
    assert (line.bank_reference, line.end_to_end_id) == ("B-9", "E-9")
    assert line.counterparty_name == "PAYER LTD"
    assert line.counterparty_account == Confidential("DE02120300000000202051")


def test_only_booked_entries_are_credits_the_others_are_kept_apart() -> None:
    content = read(
        BankStatementFile,
        camt(entry("1.00"), entry("2.00", status="PDNG"), entry("3.00", status="INFO"), entry("4.00", sign="DBIT")),
    )
    assert [line.minor for line in content.credits] == [100]
    assert [line.minor for line in content.debits] == [400]
    assert [line.minor for line in content.not_booked] == [200, 300]


def test_each_transaction_of_a_batch_is_a_line_with_its_own_key() -> None:
    batch = details(
        "<Refs><EndToEndId>E-1</EndToEndId></Refs>" + amount("60.00"),
        "<Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs>" + amount("20.00"),
        "<Refs><EndToEndId>E-3</EndToEndId></Refs>" + amount("20.00"),
        batch='<Btch><NbOfTxs>3</NbOfTxs><TtlAmt Ccy="EUR">100.00</TtlAmt></Btch>',
    )
    content = read(BankStatementFile, camt(entry(more="<AcctSvcrRef>B-1</AcctSvcrRef>" + batch)))
    assert [(line.minor, line.end_to_end_id, line.bank_reference) for line in content.credits] == [
        (6_000, "E-1", "B-1/1"),
        (2_000, "", "B-1/2"),
        (2_000, "E-3", "B-1/3"),
    ]
    assert {line.batch_size for line in content.credits} == {3}
    assert len({line.key for line in content.credits}) == 3, "equal amounts of two payers are two movements"


@pytest.mark.parametrize(
    ("batch", "transactions", "expected"),
    [
        ("", ["60.00", "39.99"], (DefectCode.CONTROL_TOTAL, "TxDtls")),
        ("", ["60.00", "40.01"], (DefectCode.CONTROL_TOTAL, "TxDtls")),
        ("<Btch><NbOfTxs>3</NbOfTxs></Btch>", ["60.00", "40.00"], (DefectCode.CONTROL_COUNT, "Btch/NbOfTxs")),
        (
            '<Btch><TtlAmt Ccy="EUR">99.00</TtlAmt></Btch>',
            ["60.00", "40.00"],
            (DefectCode.CONTROL_TOTAL, "Btch/TtlAmt"),
        ),
    ],
)
@pytest.mark.rule("ARO-021")
def test_a_batch_that_does_not_add_up_refuses_the_file(
    batch: str, transactions: list[str], expected: tuple[DefectCode, str]
) -> None:
    found = defects(camt(entry(), entry(more=details(*map(amount, transactions), batch=batch))))
    assert [(item.code, item.element) for item in found] == [expected]
    assert found[0].segment_number == 2


def test_transactions_without_amounts_in_the_entry_s_currency_are_one_line() -> None:
    foreign = details(amount("110.00", "USD"), amount("5.00", "USD"))
    (line,) = read(BankStatementFile, camt(entry(more=foreign))).credits
    assert (line.minor, line.batch_size) == (10_000, 2)
    charged = details("<Refs><EndToEndId>E</EndToEndId></Refs>" + amount("101.50"))
    (line,) = read(BankStatementFile, camt(entry(more=charged))).credits
    assert (line.minor, line.end_to_end_id) == (10_000, "E"), "the entry is what moved, before charges or after"


@pytest.mark.rule("ARO-021")
def test_opening_balance_and_booked_movements_make_the_closing_balance() -> None:
    moves = entry("100.00") + entry("30.00", sign="DBIT") + entry("7.00", status="PDNG")
    assert len(read(BankStatementFile, camt(balances("50.00", "120.00"), moves)).credits) == 1
    assert len(read(BankStatementFile, camt(balances("50.00", "120.00", opening="PRCD"), moves)).credits) == 1
    found = defects(camt(balances("50.00", "127.00"), moves))
    assert [(item.code, item.refusal_code) for item in found] == [(DefectCode.BALANCE, "FILE_CONTROL_TOTAL_MISMATCH")]
    overdrawn = camt(balances("50.00", "20.00", "DBIT"), entry("70.00", sign="DBIT"))
    assert len(read(BankStatementFile, overdrawn).debits) == 1
    assert len(read(BankStatementFile, camt(moves, kind="054")).credits) == 1, "a notification has no balances"


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ("<TtlNtries><NbOfNtries>2</NbOfNtries></TtlNtries>", None),
        ("<TtlNtries><NbOfNtries>3</NbOfNtries></TtlNtries>", DefectCode.CONTROL_COUNT),
        ("<TtlCdtNtries><Sum>100.00</Sum></TtlCdtNtries><TtlDbtNtries><Sum>30</Sum></TtlDbtNtries>", None),
        ("<TtlCdtNtries><Sum>100.01</Sum></TtlCdtNtries>", DefectCode.CONTROL_TOTAL),
        ("<TtlDbtNtries><Sum>0</Sum></TtlDbtNtries>", DefectCode.CONTROL_TOTAL),
    ],
)
@pytest.mark.rule("ARO-021")
def test_the_transactions_summary_must_agree(summary: str, expected: DefectCode | None) -> None:
    content = camt(f"<TxsSummry>{summary}</TxsSummry>", entry("100.00"), entry("30.00", sign="DBIT"))
    if expected is None:
        assert len(read(BankStatementFile, content).statements) == 1
    else:
        assert [item.code for item in defects(content)] == [expected]


def test_structured_remittance_names_documents_references_and_amounts() -> None:
    transaction = amount("100.00") + (
        "<RmtInf><Strd><RfrdDocInf><Tp><CdOrPrtry><Cd>CINV</Cd></CdOrPrtry></Tp><Nb>INV-1</Nb></RfrdDocInf>"
        '<RfrdDocAmt><RmtdAmt Ccy="EUR">60.00</RmtdAmt></RfrdDocAmt></Strd>'
        "<Strd><CdtrRefInf><Ref>RF18539007547034</Ref></CdtrRefInf></Strd>"
        "<Ustrd>THANK</Ustrd><Ustrd>YOU</Ustrd></RmtInf>"
    )
    (line,) = read(BankStatementFile, camt(entry(more=details(transaction)))).credits
    assert line.remittance == (
        StructuredRemittance("CINV", "INV-1", "", 6_000, "EUR"),
        StructuredRemittance(creditor_reference="RF18539007547034"),
    )
    assert line.text == "THANK\nYOU"


def test_a_reversal_keeps_the_entry_s_direction_and_a_return_its_reason() -> None:
    returned = details("<RtrInf><Rsn><Cd>AM04</Cd></Rsn></RtrInf>" + amount("100.00"))
    content = read(BankStatementFile, camt(entry(sign="DBIT", more="<RvslInd>true</RvslInd>" + returned)))
    (line,) = content.debits
    assert (line.direction, line.reversal, line.return_reason) == (Direction.DEBIT, True, "AM04")


@pytest.mark.parametrize(
    ("broken", "code", "element"),
    [
        (entry("1.234"), DefectCode.AMOUNT_INVALID, "Ntry/Amt"),
        (entry("-1.00"), DefectCode.AMOUNT_INVALID, "Ntry/Amt"),
        (entry("1,00"), DefectCode.AMOUNT_INVALID, "Ntry/Amt"),
        (entry("1e2"), DefectCode.AMOUNT_INVALID, "Ntry/Amt"),
        (entry(currency="EURO"), DefectCode.CURRENCY_INVALID, "Ntry/Amt"),
        (entry(sign="CREDIT"), DefectCode.CODE_UNKNOWN, "Ntry/CdtDbtInd"),
        (entry(status=""), DefectCode.ELEMENT_MISSING, "Ntry/Sts"),
        (entry(dates=""), DefectCode.ELEMENT_MISSING, "Ntry/ValDt"),
        (entry(dates="<ValDt><Dt>2025-02-30</Dt></ValDt>"), DefectCode.DATE_INVALID, "Ntry/ValDt"),
        (entry(dates="<ValDt><DtTm>2025-02-03</DtTm></ValDt>"), DefectCode.DATE_INVALID, "Ntry/ValDt"),
    ],
)
def test_a_malformed_entry_refuses_the_file_and_is_named(broken: str, code: DefectCode, element: str) -> None:
    found = defects(camt(entry(), "\n", broken))
    assert [(item.code, item.element, item.segment_number, item.line) for item in found] == [(code, element, 2, 7)]


def test_dates_may_be_moments_and_a_booking_date_stands_in_for_a_value_date() -> None:
    moment = entry(dates="<BookgDt><DtTm>2025-03-03T23:59:59+01:00</DtTm></BookgDt>")
    assert read(BankStatementFile, camt(moment)).credits[0].value_date == dt.date(2025, 3, 3)


def test_a_zero_entry_is_an_invalid_line() -> None:
    content = read(BankStatementFile, camt(entry("0.00"), entry("5.00")))
    assert [line.reason for line in content.invalid_lines] == ["zero amount"]
    assert [line.minor for line in content.credits] == [500]


def test_several_statements_are_read_each_with_its_own_balances() -> None:
    one = camt(balances("0.00", "100.00"), entry()).decode()
    statement = one[one.index("<Stmt>") : one.index("</BkToCstmrStmt>")]
    two = one.replace("</BkToCstmrStmt>", statement.replace("ST-1", "ST-2") + "</BkToCstmrStmt>")
    content = read(BankStatementFile, two.encode())
    assert [item.reference for item in content.statements] == ["ST-1", "ST-2"]
    assert [item.date for item in content.statements] == [dt.date(2025, 3, 3)] * 2
    assert [line.key[-1] for line in content.credits] == [1, 2]


@pytest.mark.parametrize(
    "content",
    [
        b'<!DOCTYPE D [<!ENTITY a "b">]><Document>&a;</Document>',
        b'<!DOCTYPE D SYSTEM "file:///etc/passwd"><Document/>',
        b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt></Document>',
        b'<?xml version="1.0" encoding="no-such"?><Document/>',
        b'<?xml version="1.0" encoding="big5"?><Document/>',
        b"<",
    ],
)
@pytest.mark.rule("PLT-098")
def test_declarations_broken_markup_and_unknown_character_sets_are_refused(content: bytes) -> None:
    assert [item.code for item in defects(content)] == [DefectCode.XML_INVALID]


def test_deep_nesting_is_refused() -> None:
    deep = camt("<X>" * 60 + "</X>" * 60)
    assert [item.code for item in defects(deep)] == [DefectCode.TOO_MANY_SEGMENTS]


def test_another_xml_document_is_an_unknown_format() -> None:
    assert [item.code for item in defects(b"<html><body/></html>")] == [DefectCode.FORMAT_UNKNOWN]


def test_a_document_without_a_statement_is_refused() -> None:
    empty = b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt/></Document>'
    assert [item.code for item in defects(empty)] == [DefectCode.SEGMENT_MISSING]
