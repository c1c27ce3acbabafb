"""Reading ISO 20022 statements (camt.053) and debit/credit notifications (camt.054), versions 02 to 08.

A statement has entries; an entry is one amount on the account and may be a batch of transactions:

    Stmt ─┬─ Bal (OPBD … CLBD)          Ntry ─┬─ Amt, CdtDbtInd, Sts, dates, AcctSvcrRef
          ├─ TxsSummry                        └─ NtryDtls ─┬─ Btch (count, total)
          └─ Ntry …                                        └─ TxDtls … (references, parties, remittance)

Each transaction with an amount of its own becomes a line, so that every payer is seen; the transactions of an entry
must add up to it. An entry without such amounts is one line. Only entries with status BOOK move money; others are
kept as not booked. The direction is that of the entry; the reversal indicator only says that it undoes an earlier
one.

Recomputed, and refused when they differ (ARO-021): batch counts and totals, the transactions summary, and opening
balance + booked movements = closing balance, which is checked when a statement has exactly one of each in its
currency. A notification has no balances.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from application.files.bank import (
    Balance,
    BankLine,
    BankStatement,
    Direction,
    InvalidLine,
    StructuredRemittance,
)
from application.files.defects import DefectCode
from application.files.identity import FileFormat, Place
from application.files.personal import Confidential
from domain.money import AmountFormatError, CurrencyNotSupportedError, format_amount
from infrastructure.files.bank.statements import Occurrences, ParsedStatements, balance_flaw, movement
from infrastructure.files.bank.xml import Element, XmlPieces, parse
from infrastructure.files.collecting import Findings
from infrastructure.files.text import exact_minor, whole_number

_NAMESPACE = re.compile(r"urn:iso:std:iso:20022:tech:xsd:camt\.(05[34])\.001\.(0[2-8])\Z")
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:Z|[+-]\d{2}:\d{2})?\Z", re.ASCII)
_DATE_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})?\Z", re.ASCII)
_WHOLE = frozenset({"GrpHdr", "Ntry", "Bal", "TxsSummry", "Acct", "Id", "CreDtTm", "FrToDt", "RptgSrc", "SplmtryData"})
_STATEMENTS = {"Stmt": "camt.053", "Ntfctn": "camt.054"}
_OPENING = ("OPBD", "PRCD")
_CLOSING = "CLBD"
_DIRECTIONS = {"CRDT": Direction.CREDIT, "DBIT": Direction.DEBIT}


@dataclass(slots=True)
class _Statement:
    """A statement while it is read."""

    line: int
    number: int
    account: str = ""
    currency: str = ""
    reference: str = ""
    created_on: dt.date | None = None
    until: dt.date | None = None
    summary: Element | None = None
    entries: int = 0
    found_before: int = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    """What all lines of an entry share."""

    number: int
    line: int
    direction: Direction
    minor: int
    currency: str
    booked: bool
    booking_date: dt.date | None
    value_date: dt.date
    type_code: str
    reference: str
    reversal: bool
    text: str


def read_camt(content: bytes, findings: Findings) -> ParsedStatements | None:
    """Read a camt file. The result counts only if `findings` has no defects. Raises ReadingStoppedError."""
    return _Reader(findings).read(content)


class _Reader:
    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._occurrences = Occurrences()
        self._format = FileFormat.CAMT_053
        self._version = ""
        self._sender = ""
        self._reference = ""
        self._created_on: dt.date | None = None
        self._statements: list[BankStatement] = []
        self._statement: _Statement | None = None
        self._balances: list[Balance] = []
        self._lines: list[BankLine] = []
        self._invalid: list[InvalidLine] = []
        self._entry_number = 0

    def read(self, content: bytes) -> ParsedStatements | None:
        takes: dict[str, Callable[[Element], None]] = {
            "GrpHdr": self._take_header,
            "Ntry": self._take_entry,
            "Bal": self._take_balance,
            "TxsSummry": self._take_summary,
            "Acct": self._take_account,
            "Id": self._take_reference,
            "CreDtTm": self._take_creation,
            "FrToDt": self._take_period,
        }

        def take(element: Element) -> None:
            if (step := takes.get(element.name)) is not None:
                step(element)

        parse(
            content,
            XmlPieces(self._findings, self._accept_root, _WHOLE, self._begin, take, self._end),
            self._findings,
        )
        if not self._statements:
            self._add(DefectCode.SEGMENT_MISSING, 1, "the file has no statement or notification", "Document")
            return None
        created = self._created_on or self._statements[0].date
        return ParsedStatements(
            self._format, self._version, self._sender, self._reference, created, tuple(self._statements)
        )

    # Frame

    def _accept_root(self, namespace: str, name: str, line: int) -> None:
        match = _NAMESPACE.match(namespace)
        if match is None or name != "Document":
            code = DefectCode.VERSION_UNKNOWN if ":camt.05" in namespace else DefectCode.FORMAT_UNKNOWN
            self._findings.stop(code, "not a camt.053 or camt.054 document of version 02 to 08", line=line)
        self._format = FileFormat.CAMT_053 if match.group(1) == "053" else FileFormat.CAMT_054
        self._version = f"camt.{match.group(1)}.001.{match.group(2)}"

    def _begin(self, name: str, line: int) -> None:
        expected = "Stmt" if self._format is FileFormat.CAMT_053 else "Ntfctn"
        if name not in _STATEMENTS:
            return
        if name != expected:
            self._add(DefectCode.SEGMENT_UNEXPECTED, line, f"{name} does not belong in {self._version}", name)
        self._statement = _Statement(line, len(self._statements) + 1, found_before=self._findings.count)
        self._balances, self._lines, self._invalid = [], [], []

    def _end(self, name: str, line: int) -> None:
        statement = self._statement
        if name not in _STATEMENTS or statement is None:
            return
        if not statement.account:
            self._add(DefectCode.ELEMENT_MISSING, statement.line, "the statement names no account", "Acct")
        if self._findings.count == statement.found_before:
            self._check_summary(statement)
            self._check_balances(statement)
        day = self._day_of(statement)
        self._statements.append(
            BankStatement(
                statement.account,
                statement.currency or next((line.currency for line in self._lines), ""),
                statement.reference,
                day,
                tuple(self._balances),
                tuple(self._lines),
                tuple(self._invalid),
            )
        )
        self._statement = None

    def _day_of(self, statement: _Statement) -> dt.date:
        """The statement's day: that of the closing balance, else the end of its period, else its creation."""
        closing = next((balance.date for balance in self._balances if balance.code == _CLOSING and balance.date), None)
        day = closing or statement.until or statement.created_on or self._created_on
        if day is None:
            self._add(DefectCode.ELEMENT_MISSING, statement.line, "the statement has no date", "CreDtTm")
            return dt.date.min
        return day

    def _take_header(self, element: Element) -> None:
        self._reference = element.value("MsgId")
        self._created_on = self._date_time(element, "CreDtTm")
        self._sender = element.value("MsgRcpt/Nm")

    def _take_account(self, element: Element) -> None:
        if self._statement is not None:
            self._statement.account = _account(element) or ""
            self._statement.currency = element.value("Ccy")
            self._sender = self._sender or element.value(
                "Svcr/FinInstnId/BICFI", "Svcr/FinInstnId/BIC", "Svcr/FinInstnId/Nm"
            )

    def _take_reference(self, element: Element) -> None:
        if self._statement is not None:
            self._statement.reference = element.text.strip()

    def _take_creation(self, element: Element) -> None:
        if self._statement is not None:
            self._statement.created_on = self._moment(element.text.strip(), element)

    def _take_period(self, element: Element) -> None:
        if self._statement is not None:
            self._statement.until = self._date_time(element, "ToDtTm")

    def _take_summary(self, element: Element) -> None:
        if self._statement is not None:
            self._statement.summary = element

    def _take_balance(self, element: Element) -> None:
        money = self._money(element.first("Amt"), element, "Bal/Amt")
        direction = self._direction(element, "Bal/CdtDbtInd")
        if money is None or direction is None:
            return
        minor = money[0] if direction is Direction.CREDIT else -money[0]
        code = element.value("Tp/CdOrPrtry/Cd", "Tp/CdOrPrtry/Prtry")
        self._balances.append(Balance(code, minor, money[1], self._choice_date(element, "Dt")))

    # Checks of a statement

    def _check_summary(self, statement: _Statement) -> None:
        """TxsSummry: number and sum of all entries, of credits, of debits. Entries of every status count."""
        summary = statement.summary
        if summary is None:
            return
        total = summary.first("TtlNtries")
        if total is not None:
            self._compare_count(total, "NbOfNtries", statement.entries, "entries")
        for path, direction in (("TtlCdtNtries", Direction.CREDIT), ("TtlDbtNtries", Direction.DEBIT)):
            stated = summary.first(path)
            if stated is None or not stated.value("Sum"):
                continue
            currency = statement.currency or next((line.currency for line in self._lines), "")
            found = sum(line.minor for line in self._lines if line.direction is direction)
            minor = self._minor(stated.value("Sum"), currency, stated, f"{path}/Sum")
            if minor is not None and minor != found:
                self._add(
                    DefectCode.CONTROL_TOTAL,
                    stated.line,
                    f"{path}/Sum is {format_amount(minor, currency)}, the {direction.lower()} entries add up to "
                    f"{format_amount(found, currency)}",
                    f"{path}/Sum",
                )

    def _check_balances(self, statement: _Statement) -> None:
        """One opening (OPBD, else PRCD) and one closing balance (CLBD) of a currency: opening + movements = closing."""
        if not self._findings.limits.check_balances:
            return
        for currency in sorted({balance.currency for balance in self._balances}):
            known = [balance for balance in self._balances if balance.currency == currency]
            opening = next((found for code in _OPENING if (found := [b for b in known if b.code == code])), [])
            closing = [balance for balance in known if balance.code == _CLOSING]
            if len(opening) != 1 or len(closing) != 1:
                continue
            moved = movement([line for line in self._lines if line.currency == currency])
            flaw = balance_flaw(opening[0].minor, closing[0].minor, moved, currency)
            if flaw:
                self._add(DefectCode.BALANCE, statement.line, flaw, "Bal", statement.number)

    # Entries

    def _take_entry(self, element: Element) -> None:
        self._entry_number += 1
        if self._statement is None:
            self._add(DefectCode.SEGMENT_UNEXPECTED, element.line, "an entry outside a statement", "Ntry")
            return
        self._statement.entries += 1
        entry = self._entry(element, self._entry_number)
        if entry is None:
            return
        details = [detail for outer in element.all("NtryDtls") for detail in outer.all("TxDtls")]
        self._check_batches(element, entry, details)
        if entry.minor == 0:
            place = Place(entry.number, entry.line)
            self._invalid.append(InvalidLine("zero amount", entry.type_code, 0, entry.currency, entry.text, place))
            return
        parts = self._parts(entry, details)
        if parts is None:
            detail = details[0] if len(details) == 1 else None
            self._append(entry, detail, entry.minor, entry.direction, max(len(details), 1))
            return
        for index, (detail, minor, direction) in enumerate(parts, start=1):
            self._append(entry, detail, minor, direction, len(parts), index)

    def _entry(self, element: Element, number: int) -> _Entry | None:
        before = self._findings.count
        money = self._money(element.first("Amt"), element, "Ntry/Amt", number)
        direction = self._direction(element, "Ntry/CdtDbtInd", number)
        status = element.value("Sts/Cd", "Sts/Prtry", "Sts")
        if not status:
            self._add(DefectCode.ELEMENT_MISSING, element.line, "Ntry/Sts (status) is missing", "Ntry/Sts", number)
        booking_date = self._choice_date(element, "BookgDt", number)
        value_date = self._choice_date(element, "ValDt", number) or booking_date
        if value_date is None and self._findings.count == before:
            self._add(
                DefectCode.ELEMENT_MISSING,
                element.line,
                "the entry has neither a value date nor a booking date",
                "Ntry/ValDt",
                number,
            )
        if self._findings.count > before or money is None or direction is None or value_date is None:
            return None
        return _Entry(
            number=number,
            line=element.line,
            direction=direction,
            minor=money[0],
            currency=money[1],
            booked=status == "BOOK",
            booking_date=booking_date,
            value_date=value_date,
            type_code=_type_code(element),
            reference=element.value("AcctSvcrRef"),
            reversal=element.value("RvslInd") in ("true", "1"),
            text=element.value("AddtlNtryInf"),
        )

    def _parts(self, entry: _Entry, details: list[Element]) -> list[tuple[Element, int, Direction]] | None:
        """The entry's transactions with their own amounts; None when it has to be taken as one amount."""
        parts = []
        for detail in details:
            stated = detail.first("Amt", "AmtDtls/TxAmt/Amt")
            if stated is None or stated.attributes.get("Ccy") != entry.currency:
                return None
            money = self._money(stated, detail, "TxDtls/Amt", entry.number)
            direction = _DIRECTIONS.get(detail.value("CdtDbtInd"), entry.direction)
            if money is None:
                return None
            parts.append((detail, money[0], direction))
        if not parts:
            return None
        found = sum(minor if direction is entry.direction else -minor for _, minor, direction in parts)
        if found != entry.minor:
            # A single transaction may state the amount before charges: the entry is what moved.
            if len(parts) == 1:
                return None
            self._add(
                DefectCode.CONTROL_TOTAL,
                entry.line,
                f"the entry is {format_amount(entry.minor, entry.currency)}, its transactions add up to "
                f"{format_amount(found, entry.currency)}",
                "TxDtls",
                entry.number,
            )
            return None
        return parts if all(minor > 0 for _, minor, _ in parts) else None

    def _check_batches(self, element: Element, entry: _Entry, details: list[Element]) -> None:
        """Btch: the number of transactions if they are listed, and the total if it is in the entry's currency."""
        batches = [batch for outer in element.all("NtryDtls") for batch in outer.all("Btch")]
        counts = [whole_number(batch.value("NbOfTxs")) for batch in batches if batch.value("NbOfTxs")]
        if counts and details and len(counts) == len(batches):
            stated = sum(count or 0 for count in counts)
            if None in counts or stated != len(details):
                self._add(
                    DefectCode.CONTROL_COUNT,
                    batches[0].line,
                    f"Btch/NbOfTxs is {stated}, the entry lists {len(details)} transactions",
                    "Btch/NbOfTxs",
                    entry.number,
                )
        totals = [total for batch in batches if (total := batch.first("TtlAmt")) is not None]
        if not totals or len(totals) != len(batches):
            return
        moneys = [self._money(total, element, "Btch/TtlAmt", entry.number) for total in totals]
        if any(money is None or money[1] != entry.currency for money in moneys):
            return
        found = sum(money[0] for money in moneys if money is not None)
        if found != entry.minor:
            self._add(
                DefectCode.CONTROL_TOTAL,
                totals[0].line,
                f"Btch/TtlAmt is {format_amount(found, entry.currency)}, the entry is "
                f"{format_amount(entry.minor, entry.currency)}",
                "Btch/TtlAmt",
                entry.number,
            )

    def _append(
        self,
        entry: _Entry,
        detail: Element | None,
        minor: int,
        direction: Direction,
        batch_size: int,
        index: int = 1,
    ) -> None:
        """Add a line. In a batch without references of its own each line's bank reference is the entry's with its
        place in the batch: equal amounts of two payers in one batch are two movements, not one sent twice."""
        account = self._statement.account if self._statement else ""
        data = detail or Element("TxDtls", entry.line)
        reference = data.value("Refs/AcctSvcrRef")
        if not reference or (reference == entry.reference and batch_size > 1):
            reference = f"{entry.reference}/{index}" if entry.reference and batch_size > 1 else entry.reference
        payer = direction is Direction.CREDIT
        party, party_account = ("Dbtr", "DbtrAcct") if payer else ("Cdtr", "CdtrAcct")
        name = data.value(
            f"RltdPties/{party}/Nm", f"RltdPties/{party}/Pty/Nm", f"RltdPties/Ultmt{party}/Nm",
            f"RltdPties/Ultmt{party}/Pty/Nm",
        )  # fmt: skip
        counterparty = data.first(f"RltdPties/{party_account}")
        number = _account(counterparty) if counterparty else None
        texts = [item.text.strip() for item in data.all("RmtInf/Ustrd")]
        texts += [data.value("AddtlTxInf"), entry.text]
        self._lines.append(
            BankLine(
                account=account,
                direction=direction,
                minor=minor,
                currency=entry.currency,
                value_date=entry.value_date,
                booking_date=entry.booking_date,
                type_code=_type_code(data) or entry.type_code,
                bank_reference=reference,
                customer_reference=data.value("Refs/InstrId"),
                end_to_end_id=_provided(data.value("Refs/EndToEndId")),
                mandate_id=_provided(data.value("Refs/MndtId")),
                transaction_id=data.value("Refs/TxId", "Refs/UETR"),
                reversal=entry.reversal,
                return_reason=data.value("RtrInf/Rsn/Cd", "RtrInf/Rsn/Prtry"),
                batch_size=batch_size,
                booked=entry.booked,
                text="\n".join(text for text in texts if text),
                counterparty_name=name,
                counterparty_account=Confidential(number) if number else None,
                remittance=tuple(self._remittance(data, entry.number)),
                occurrence=self._occurrences.next(
                    account, reference, entry.value_date, minor, entry.currency, direction
                ),
                place=Place(entry.number, data.line),
            )
        )

    def _remittance(self, detail: Element, number: int) -> Iterator[StructuredRemittance]:
        """Structured remittance: one a document named, or one a creditor reference without a document."""
        for item in detail.all("RmtInf/Strd"):
            creditor = item.value("CdtrRefInf/Ref")
            stated = item.first("RfrdDocAmt/RmtdAmt", "RfrdDocAmt/DuePyblAmt")
            money = self._money(stated, item, "RfrdDocAmt/RmtdAmt", number) if stated is not None else None
            minor, currency = money or (None, "")
            documents = list(item.all("RfrdDocInf"))
            for document in documents:
                only = len(documents) == 1
                yield StructuredRemittance(
                    document.value("Tp/CdOrPrtry/Cd", "Tp/CdOrPrtry/Prtry"),
                    document.value("Nb"),
                    creditor,
                    minor if only else None,
                    currency if only else "",
                )
            if creditor and not documents:
                yield StructuredRemittance(creditor_reference=creditor, minor=minor, currency=currency)

    # Values

    def _money(
        self, amount: Element | None, around: Element, path: str, number: int | None = None
    ) -> tuple[int, str] | None:
        """Minor units and currency of an amount element; None with a defect when it has none."""
        if amount is None:
            self._add(DefectCode.ELEMENT_MISSING, around.line, f"{path} is missing", path, number)
            return None
        currency = amount.attributes.get("Ccy", "")
        minor = self._minor(amount.text.strip(), currency, amount, path, number)
        return None if minor is None else (minor, currency)

    def _minor(self, text: str, currency: str, element: Element, path: str, number: int | None = None) -> int | None:
        try:
            minor = exact_minor(text, currency)
        except CurrencyNotSupportedError:
            self._add(DefectCode.CURRENCY_INVALID, element.line, f"{path} has no supported currency", path, number)
            return None
        except AmountFormatError as error:
            self._add(DefectCode.AMOUNT_INVALID, element.line, f"{path} is not an amount: {error}", path, number)
            return None
        if minor < 0:
            self._add(DefectCode.AMOUNT_INVALID, element.line, f"{path} is negative", path, number)
            return None
        return minor

    def _direction(self, element: Element, path: str, number: int | None = None) -> Direction | None:
        direction = _DIRECTIONS.get(element.value("CdtDbtInd"))
        if direction is None:
            self._add(DefectCode.CODE_UNKNOWN, element.line, f"{path} is not CRDT or DBIT", path, number)
        return direction

    def _compare_count(self, element: Element, name: str, found: int, what: str) -> None:
        text = element.value(name)
        if text and whole_number(text) != found:
            self._add(
                DefectCode.CONTROL_COUNT,
                element.line,
                f"{element.name}/{name} is {text[:18]}, the statement has {found} {what}",
                f"{element.name}/{name}",
            )

    def _choice_date(self, element: Element, path: str, number: int | None = None) -> dt.date | None:
        """A date choice: `Dt` or the day of `DtTm`. None without a defect when it was not sent."""
        if element.first(path) is None:
            return None
        text, moment = element.value(f"{path}/Dt"), element.value(f"{path}/DtTm")
        match = _DATE.match(text) if text else _DATE_TIME.match(moment)
        day = _civil(match.group(1)) if match else None
        if day is None:
            name = f"{element.name}/{path}"
            self._add(DefectCode.DATE_INVALID, element.line, f"{name} is not a date", name, number)
        return day

    def _date_time(self, element: Element, path: str) -> dt.date | None:
        found = element.first(path)
        return self._moment(found.text.strip(), found) if found is not None else None

    def _moment(self, text: str, element: Element) -> dt.date | None:
        match = _DATE_TIME.match(text)
        day = _civil(match.group(1)) if match else None
        if day is None:
            self._add(DefectCode.DATE_INVALID, element.line, f"{element.name} is not a date and time", element.name)
        return day

    def _add(self, code: DefectCode, line: int, message: str, element: str, number: int | None = None) -> None:
        name = element.partition("/")[0]
        self._findings.add(code, message, number=number, line=line, segment=name, element=element)


def _civil(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


def _account(element: Element) -> str | None:
    """An account's IBAN or other number."""
    return element.value("Id/IBAN", "Id/Othr/Id", "Id/PrtryAcct/Id") or None


def _type_code(element: Element) -> str:
    """The bank transaction code: domain/family/sub-family, else the bank's own code."""
    parts = [element.value(f"BkTxCd/{path}") for path in ("Domn/Cd", "Domn/Fmly/Cd", "Domn/Fmly/SubFmlyCd")]
    return "/".join(part for part in parts if part) or element.value("BkTxCd/Prtry/Cd")


def _provided(reference: str) -> str:
    """A reference, or empty when the payer gave none and the bank filled in the agreed words."""
    return "" if reference.upper() in ("NOTPROVIDED", "NOTPRVD", "NOT PROVIDED") else reference
