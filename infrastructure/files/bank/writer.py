"""Writing bank files: BAI2 and camt.053, for demonstrations, tests of partners' links, and the proof by round trip.

Statements are written with the balances they carry; `with_balances` gives a statement its opening and closing balance
from its lines. Totals and counts are computed. What the format cannot carry is a ValueError, nothing is left out
quietly: BAI2 has no place for end-to-end ids, counterparties or structured remittance; batches are not written.
"""

from __future__ import annotations

import datetime as dt
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace

from application.files.bank import Balance, BankLine, BankStatement, Direction, StructuredRemittance
from domain.money import format_amount
from infrastructure.files.bank.bai2 import direction_of
from infrastructure.files.bank.statements import movement

#: Codes of opening and closing balance by format.
BAI2_BALANCES = ("010", "015")
CAMT_BALANCES = ("OPBD", "CLBD")

_SIGN = {Direction.CREDIT: "CRDT", Direction.DEBIT: "DBIT"}


def with_balances(statement: BankStatement, opening: int, codes: tuple[str, str] = CAMT_BALANCES) -> BankStatement:
    """The statement with its two balances: `opening` signed minor units, closing = opening + booked movements."""
    closing = opening + movement(list(statement.lines))
    balances = tuple(
        Balance(code, minor, statement.currency, statement.date)
        for code, minor in zip(codes, (opening, closing), strict=True)
    )
    return replace(statement, balances=balances)


# BAI2


def write_bai2(
    statements: Sequence[BankStatement],
    *,
    sender: str,
    receiver: str,
    created_at: dt.datetime,
    file_id: str = "1",
) -> bytes:
    """A BAI2 file, UTF-8: one group and account a statement, value-dated transactions, texts in continuations."""
    rows = [f"01,{_field(sender)},{_field(receiver)},{created_at:%y%m%d},{created_at:%H%M},{_field(file_id)},,,2/"]
    total = 0
    for statement in statements:
        group, group_total = _bai2_group(statement, sender, receiver)
        rows.extend(group)
        total += group_total
    rows.append(f"99,{total},{len(statements)},{len(rows) + 1}/")
    return ("\n".join(rows) + "\n").encode()


def _bai2_group(statement: BankStatement, sender: str, receiver: str) -> tuple[list[str], int]:
    if statement.invalid_lines:
        raise ValueError("invalid lines are not written")
    summary = "".join(f",{balance.code},{balance.minor},," for balance in statement.balances)
    rows = [f"03,{_field(statement.account)},{statement.currency}{summary}/"]
    for line in statement.lines:
        rows.extend(_bai2_line(line))
    total = sum(balance.minor for balance in statement.balances) + sum(line.minor for line in statement.lines)
    rows.append(f"49,{total},{len(rows) + 1}/")
    head = f"02,{_field(receiver)},{_field(sender)},1,{statement.date:%y%m%d},,{statement.currency},2/"
    return [head, *rows, f"98,{total},1,{len(rows) + 2}/"], total


def _bai2_line(line: BankLine) -> list[str]:
    beyond = (
        line.end_to_end_id,
        line.mandate_id,
        line.transaction_id,
        line.return_reason,
        line.counterparty_name,
        line.counterparty_account,
        line.remittance,
    )
    if any(beyond) or line.reversal or line.batch_size != 1 or not line.booked:
        raise ValueError("BAI2 cannot carry all of this line")
    if direction_of(line.type_code) is not line.direction:
        raise ValueError(f"type code {line.type_code} is no {line.direction.lower()}")
    fields = ["16", line.type_code, str(line.minor), "V", f"{line.value_date:%y%m%d}", ""]
    fields += [_field(line.bank_reference), _field(line.customer_reference)]
    first, *more = line.text.split("\n")
    return [",".join([*fields, first] if first else fields) + "/", *(f"88,{text}/" for text in more)]


def _field(value: str) -> str:
    if any(character in ",/" or character < " " for character in value):
        raise ValueError("a field contains a comma, a slash or a control character")
    return value


# camt.053


def write_camt053(
    statements: Sequence[BankStatement],
    *,
    message_id: str,
    created_at: dt.datetime,
    version: int = 8,
    indent: bool = True,
) -> bytes:
    """A camt.053.001.02 to .08 document, UTF-8: one statement element a statement, one entry a line."""
    if not 2 <= version <= 8:
        raise ValueError("versions 02 to 08 are written")
    document = ET.Element("Document", xmlns=f"urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version:02}")
    body = ET.SubElement(document, "BkToCstmrStmt")
    moment = f"{created_at:%Y-%m-%dT%H:%M:%S}"
    _tree(body, "GrpHdr", {"MsgId": message_id, "CreDtTm": moment})
    for statement in statements:
        _camt_statement(body, statement, moment, version)
    if indent:
        ET.indent(document)
    written: bytes = ET.tostring(document, encoding="utf-8", xml_declaration=True)
    return written


def _camt_statement(body: ET.Element, statement: BankStatement, moment: str, version: int) -> None:
    if statement.invalid_lines:
        raise ValueError("invalid lines are not written")
    node = ET.SubElement(body, "Stmt")
    day = statement.date.isoformat()
    period = {"FrDtTm": f"{day}T00:00:00", "ToDtTm": f"{day}T23:59:59"}
    _tree(node, "Id", statement.reference)
    _tree(node, "CreDtTm", moment)
    _tree(node, "FrToDt", period)
    _tree(node, "Acct", {"Id": _account(statement.account), "Ccy": statement.currency})
    for balance in statement.balances:
        element = _tree(node, "Bal", {"Tp": {"CdOrPrtry": {"Cd": balance.code}}})
        _amount(element, "Amt", abs(balance.minor), balance.currency)
        _tree(element, "CdtDbtInd", "DBIT" if balance.minor < 0 else "CRDT")
        _tree(element, "Dt", {"Dt": (balance.date or statement.date).isoformat()})
    for line in statement.lines:
        _camt_entry(node, line, version)


def _camt_entry(node: ET.Element, line: BankLine, version: int) -> None:
    if line.batch_size != 1:
        raise ValueError("batches are not written")
    entry = ET.SubElement(node, "Ntry")
    _amount(entry, "Amt", line.minor, line.currency)
    _tree(entry, "CdtDbtInd", _SIGN[line.direction])
    if line.reversal:
        _tree(entry, "RvslInd", "true")
    status = "BOOK" if line.booked else "PDNG"
    _tree(entry, "Sts", {"Cd": status} if version >= 7 else status)
    if line.booking_date is not None:
        _tree(entry, "BookgDt", {"Dt": line.booking_date.isoformat()})
    _tree(entry, "ValDt", {"Dt": line.value_date.isoformat()})
    _tree(entry, "AcctSvcrRef", line.bank_reference)
    _tree(entry, "BkTxCd", _type_code(line.type_code))
    detail = ET.SubElement(ET.SubElement(entry, "NtryDtls"), "TxDtls")
    references = {
        "InstrId": line.customer_reference,
        "EndToEndId": line.end_to_end_id,
        "TxId": line.transaction_id,
        "MndtId": line.mandate_id,
    }
    _tree(detail, "Refs", references)
    _amount(_tree(_tree(detail, "AmtDtls", {}, keep=True), "TxAmt", {}, keep=True), "Amt", line.minor, line.currency)
    _parties(detail, line, version)
    remittance = _tree(detail, "RmtInf", {}, keep=bool(line.text or line.remittance))
    for text in line.text.split("\n") if line.text else ():
        _tree(remittance, "Ustrd", text)
    for item in line.remittance:
        _structured(remittance, item)
    _tree(detail, "RtrInf", {"Rsn": {"Cd": line.return_reason}})


def _parties(detail: ET.Element, line: BankLine, version: int) -> None:
    if not line.counterparty_name and line.counterparty_account is None:
        return
    role = "Dbtr" if line.direction is Direction.CREDIT else "Cdtr"
    name: object = {"Nm": line.counterparty_name}
    parties = ET.SubElement(detail, "RltdPties")
    _tree(parties, role, {"Pty": name} if version >= 7 else name)
    if line.counterparty_account is not None:
        _tree(parties, f"{role}Acct", {"Id": _account(line.counterparty_account.value)})


def _structured(remittance: ET.Element, item: StructuredRemittance) -> None:
    node = ET.SubElement(remittance, "Strd")
    if item.number or item.kind:
        _tree(node, "RfrdDocInf", {"Tp": {"CdOrPrtry": {"Cd": item.kind}}, "Nb": item.number})
    if item.minor is not None:
        _amount(ET.SubElement(node, "RfrdDocAmt"), "RmtdAmt", item.minor, item.currency)
    _tree(node, "CdtrRefInf", {"Ref": item.creditor_reference})


def _tree(parent: ET.Element, name: str, content: object, *, keep: bool = False) -> ET.Element:
    """Append an element of text or of nested mappings; an empty one is left out unless it is to be kept."""
    element = ET.Element(name)
    if isinstance(content, dict):
        for key, value in content.items():
            _tree(element, key, value)
    elif content:
        element.text = str(content)
    if keep or element.text or len(element):
        parent.append(element)
    return element


def _amount(parent: ET.Element, name: str, minor: int, currency: str) -> None:
    ET.SubElement(parent, name, Ccy=currency).text = format_amount(minor, currency)


def _account(number: str) -> dict[str, object]:
    iban = number[:2].isalpha() and number[2:4].isdigit() and 15 <= len(number) <= 34
    return {"IBAN": number} if iban else {"Othr": {"Id": number}}


def _type_code(code: str) -> dict[str, object]:
    domain, _, rest = code.partition("/")
    family, _, sub = rest.partition("/")
    if not family:
        return {"Prtry": {"Cd": code}}
    return {"Domn": {"Cd": domain, "Fmly": {"Cd": family, "SubFmlyCd": sub}}}
