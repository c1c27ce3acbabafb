"""Reading BAI2: records of a file, its groups, accounts and transactions, with every total and count recomputed.

    01 file ─ 02 group ─ 03 account ─ 16 transaction … 49 account end ─ 03 … ─ 98 group end ─ 02 … ─ 99 file end
    88 continues the record before it

A record is a line; its end is a slash, but a text may end without one. Amounts are whole minor units of the account's
currency, else the group's, else US dollars. Trailers carry the sum of all amounts and the number of records, accounts
and groups; opening ledger (010) plus movements must be closing ledger (015), and the details must add up to the
stated totals of credits (100) and debits (400): else money would be missing without anyone noticing (ARO-021). A
group that deletes, corrects or tests (status 2 to 4) is refused: it cannot be taken as movements of money, a person
has to look at it.

A reader of our own, not the bai2 library (MIT): that raises assorted exceptions (index, key and value errors among
them) at the first thing wrong and names no line, reads `1_000` and letters of other scripts as numbers, accepts any
text for a missing record end, and knows no balance check. The tests use it as a second opinion on every file we read
and write.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from application.files.bank import Balance, BankLine, BankStatement, Direction, InvalidLine
from application.files.defects import DefectCode
from application.files.identity import FileFormat, Place
from domain.money import CurrencyNotSupportedError, decimals_of
from infrastructure.files.bank.statements import Occurrences, ParsedStatements, balance_flaw, movement
from infrastructure.files.collecting import Findings
from infrastructure.files.text import clock_time, short_date, signed_whole_number, whole_number

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TYPE = re.compile(r"[0-9]{3}\Z")
_CODES = ("01", "02", "03", "16", "49", "88", "98", "99")
_FUNDS = ("", "Z", "0", "1", "2", "S", "V", "D")
_GROUP_STATUS = {"2": "deletion", "3": "correction", "4": "test only"}
DEFAULT_CURRENCY = "USD"
#: Characters of a record and continuations of one; what is longer is not taken apart.
LONGEST = 10_000
MOST_CONTINUATIONS = 1_000


@dataclass(slots=True)
class _Record:
    """A record with its continuations: pieces are (text without the record end, whether it had one)."""

    code: str
    number: int
    line: int
    pieces: list[tuple[str, bool]]

    @property
    def rows(self) -> int:
        """Physical records, continuations included."""
        return len(self.pieces)

    def fields(self) -> list[str]:
        """All fields of a record that holds no text; a piece's end is a field's end."""
        return [value.strip() for piece, _ in self.pieces for value in piece.split(",")]


@dataclass(slots=True)
class _Account:
    header: _Record
    number: str
    currency: str
    total: int | None = 0
    rows: int = 0
    balances: list[tuple[str, int]] = field(default_factory=list)
    stated: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    lines: list[BankLine] = field(default_factory=list)
    invalid: list[InvalidLine] = field(default_factory=list)
    found_before: int = 0


@dataclass(slots=True)
class _Group:
    header: _Record
    date: dt.date
    currency: str
    total: int | None = 0
    accounts: int = 0
    rows: int = 0


@dataclass(slots=True)
class _File:
    header: _Record
    sender: str
    reference: str
    created_on: dt.date
    total: int | None = 0
    groups: int = 0
    rows: int = 0


class _Cursor:
    """Takes the fields of a transaction one by one; what is left is its text, which may hold commas and slashes."""

    def __init__(self, record: _Record) -> None:
        self._pieces = [piece for piece, _ in record.pieces]
        self._at = 0

    def next(self) -> str:
        """The next field; empty when the record has no more."""
        if self._at >= len(self._pieces):
            return ""
        value, comma, rest = self._pieces[self._at].partition(",")
        if comma:
            self._pieces[self._at] = rest
        else:
            self._at += 1
        return value.strip()

    def text(self) -> str:
        """All that is left, a line for each record."""
        return "\n".join(part.rstrip() for part in self._pieces[self._at :] if part.strip())


def read_bai2(text: str, findings: Findings) -> ParsedStatements | None:
    """Read a BAI2 text. The result counts only if `findings` has no defects. Raises ReadingStoppedError."""
    return _Reader(findings).read(text)


class _Reader:
    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._occurrences = Occurrences()
        self._statements: list[BankStatement] = []
        self._file: _File | None = None
        self._group: _Group | None = None
        self._account: _Account | None = None
        self._ended = False

    def read(self, text: str) -> ParsedStatements | None:
        steps = {
            "01": self._open_file,
            "02": self._open_group,
            "03": self._open_account,
            "16": self._transaction,
            "49": self._close_account,
            "98": self._close_group,
            "99": self._close_file,
        }
        last: _Record | None = None
        for record in self._records(text):
            last = record
            if self._ended:
                self._add(DefectCode.SEGMENT_UNEXPECTED, record, "a record behind the end of the file (99)")
                continue
            if record.code != "01" and self._file is None:
                self._add(DefectCode.SEGMENT_UNEXPECTED, record, "a record before the file header (01)")
                continue
            steps[record.code](record)
        if last is None or self._file is None:
            return None
        if not self._ended:
            self._leave_group(last)
            self._add(DefectCode.TRUNCATED, last, "the file has no end (99); it is cut off")
        return ParsedStatements(
            FileFormat.BAI2,
            "2",
            self._file.sender,
            self._file.reference,
            self._file.created_on,
            tuple(self._statements),
        )

    # Records

    def _records(self, text: str) -> Iterator[_Record]:
        open_record: _Record | None = None
        for number, line, body in self._rows(text):
            code = body[:2]
            if code not in _CODES or body[2:3] != ",":
                self._findings.add(
                    DefectCode.SEGMENT_INVALID,
                    f"does not begin with a record code ({', '.join(_CODES)}) and a comma",
                    number=number,
                    line=line,
                )
                continue
            ended = body.endswith("/")
            piece = (body[3:-1] if ended else body[3:], ended)
            if code == "88":
                if open_record is None:
                    self._findings.add(
                        DefectCode.SEGMENT_UNEXPECTED,
                        "a continuation (88) of nothing",
                        number=number,
                        line=line,
                        segment=code,
                    )
                elif len(open_record.pieces) <= MOST_CONTINUATIONS:
                    open_record.pieces.append(piece)
                else:
                    self._add(
                        DefectCode.SEGMENT_REPEATED,
                        open_record,
                        f"more than {MOST_CONTINUATIONS} continuations (88), one of them in line {line}",
                    )
                continue
            if open_record is not None:
                yield self._whole(open_record)
            open_record = _Record(code, number, line, [piece])
        if open_record is not None:
            yield self._whole(open_record)

    def _whole(self, record: _Record) -> _Record:
        """Check the ends of a record that holds no text."""
        if record.code != "16":
            if any("/" in piece for piece, _ in record.pieces):
                self._add(DefectCode.DELIMITER_INVALID, record, "something stands behind the record end (slash)")
            if not all(ended for _, ended in record.pieces):
                self._findings.remark(
                    f"record {record.code} has no record end (slash)", number=record.number, line=record.line
                )
        return record

    def _rows(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Ordinal, line and text of each record; empty lines are not records."""
        number = line = 0
        for match in _LINE.finditer(text):
            line += 1
            body = match.group().rstrip()
            if not body:
                continue
            number += 1
            if number > self._findings.limits.max_segments:
                self._findings.stop(
                    DefectCode.TOO_MANY_SEGMENTS,
                    f"more than {self._findings.limits.max_segments} records",
                    number=number,
                    line=line,
                )
            if len(body) > LONGEST:
                self._findings.add(
                    DefectCode.SEGMENT_INVALID,
                    f"the record is longer than {LONGEST} characters",
                    number=number,
                    line=line,
                )
                continue
            if not body.isprintable() and (wrong := _UNPRINTABLE.search(body)):
                self._findings.add(
                    DefectCode.CHARACTER_INVALID,
                    f"the unprintable character U+{ord(wrong.group()):04X}",
                    number=number,
                    line=line,
                    segment=body[:2] if body[:2] in _CODES else None,
                )
                continue
            yield number, line, body

    # File

    def _open_file(self, record: _Record) -> None:
        if self._file is not None:
            self._add(DefectCode.SEGMENT_UNEXPECTED, record, "a second file header (01)")
            return
        sender, _, date, time, identification, _, _, version = self._fields(record, 8)
        created_on = self._date(record, date, "creation date")
        self._time(record, time, "creation time")
        if version != "2":
            self._add(DefectCode.VERSION_UNKNOWN, record, "the version number is not 2", "version number")
        self._file = _File(record, sender, identification, created_on, rows=record.rows)

    def _close_file(self, record: _Record) -> None:
        self._leave_group(record)
        file = self._file
        if file is None:
            return
        total, groups, records = self._fields(record, 3)
        self._compare(record, total, file.total, "file control total", signed=True)
        self._compare(record, groups, file.groups, "number of groups")
        self._compare(record, records, file.rows + record.rows, "number of records")
        if file.groups == 0:
            self._add(DefectCode.SEGMENT_MISSING, record, "the file has no group (02)")
        self._ended = True

    # Group

    def _open_group(self, record: _Record) -> None:
        self._leave_group(record)
        _, _, status, date, time, currency, modifier = self._fields(record, 7)
        if status in _GROUP_STATUS:
            self._add(
                DefectCode.CODE_UNKNOWN,
                record,
                f"group status {status} ({_GROUP_STATUS[status]}) is no movement of money; only 1 (update) is taken",
                "group status",
            )
        elif status != "1":
            self._add(DefectCode.CODE_UNKNOWN, record, "the group status is not 1 to 4", "group status")
        if modifier not in ("", "1", "2", "3", "4"):
            self._add(DefectCode.CODE_UNKNOWN, record, "the as-of-date modifier is not 1 to 4", "as-of-date modifier")
        self._time(record, time, "as-of time")
        day = self._date(record, date, "as-of date")
        self._group = _Group(record, day, self._currency(record, currency or DEFAULT_CURRENCY), rows=record.rows)

    def _close_group(self, record: _Record) -> None:
        self._leave_account(record)
        group = self._group
        if group is None:
            self._add(DefectCode.SEGMENT_UNEXPECTED, record, "a group end (98) without a group (02)")
            return
        total, accounts, records = self._fields(record, 3)
        self._compare(record, total, group.total, "group control total", signed=True)
        self._compare(record, accounts, group.accounts, "number of accounts")
        self._compare(record, records, group.rows + record.rows, "number of records")
        if group.accounts == 0:
            self._add(DefectCode.SEGMENT_MISSING, record, "the group has no account (03)")
        self._end_group(record, signed_whole_number(total))

    def _leave_group(self, record: _Record) -> None:
        self._leave_account(record)
        if self._group is not None:
            begun = self._group.header.line
            self._add(DefectCode.SEGMENT_MISSING, record, f"98 is missing: group begun in line {begun}")
            self._end_group(None, None)

    def _end_group(self, trailer: _Record | None, stated: int | None) -> None:
        group, file = self._group, self._file
        if group is not None and file is not None:
            file.groups += 1
            file.rows += group.rows + (trailer.rows if trailer else 0)
            file.total = None if stated is None or file.total is None else file.total + stated
        self._group = None

    # Account

    def _open_account(self, record: _Record) -> None:
        self._leave_account(record)
        if self._group is None:
            self._add(DefectCode.SEGMENT_UNEXPECTED, record, "an account (03) outside a group (02)")
            return
        cells = self._summary_cells(record)
        number, currency = next(cells, ("", True))[0], next(cells, ("", True))[0]
        if not number:
            self._add(DefectCode.ELEMENT_MISSING, record, "the account number is missing", "customer account number")
        account = _Account(
            record,
            number,
            self._currency(record, currency) if currency else self._group.currency,
            rows=record.rows,
            found_before=self._findings.count,
        )
        self._account = account
        self._summaries(record, cells, account)

    @staticmethod
    def _summary_cells(record: _Record) -> Iterator[tuple[str, bool]]:
        """Fields of an account record, each with whether it is the last of its physical record."""
        for piece, _ in record.pieces:
            values = piece.split(",")
            for index, value in enumerate(values):
                yield value.strip(), index == len(values) - 1

    def _summaries(self, record: _Record, cells: Iterator[tuple[str, bool]], account: _Account) -> None:
        """Balances and totals of an account: type code, amount, item count, funds type and availability, repeated."""
        for code, last in cells:
            if not code and last:
                continue  # Many banks write one comma too many at the end of a record.
            amount, items, funds = (next(cells, ("", True))[0] for _ in range(3))
            if not code and not amount and not items and not funds:
                continue
            if not _TYPE.match(code):
                self._add(DefectCode.CODE_UNKNOWN, record, "a summary type code is not 3 digits", "type code")
                account.total = None
                return
            minor = signed_whole_number(amount) if amount else 0
            if minor is None:
                self._add(DefectCode.AMOUNT_INVALID, record, f"the amount of {code} is not a whole number", "amount")
            count = whole_number(items) if items else None
            if items and count is None:
                self._add(
                    DefectCode.NUMBER_INVALID, record, f"the item count of {code} is not a whole number", "item count"
                )
            if not self._availability(record, funds, cells):
                account.total = None
                return
            account.total = None if minor is None or account.total is None else account.total + minor
            if minor is not None and amount:
                account.balances.append((code, minor))
                account.stated[code] = (minor, count)

    def _availability(self, record: _Record, funds: str, cells: Iterator[tuple[str, bool]]) -> bool:
        """Skip the availability of a summary; false when the record cannot be read on."""
        if funds not in _FUNDS:
            self._add(DefectCode.CODE_UNKNOWN, record, "a funds type is not one of Z, 0, 1, 2, S, V, D", "funds type")
            return False
        skip = {"S": 3, "V": 2}.get(funds, 0)
        if funds == "D":
            pairs = whole_number(next(cells, ("", True))[0])
            if pairs is None or pairs > 1_000:
                self._add(DefectCode.NUMBER_INVALID, record, "the number of availabilities is wrong", "funds type")
                return False
            skip = 2 * pairs
        for _ in range(skip):
            next(cells, None)
        return True

    def _close_account(self, record: _Record) -> None:
        account = self._account
        if account is None:
            self._add(DefectCode.SEGMENT_UNEXPECTED, record, "an account end (49) without an account (03)")
            return
        self._compare_movements(account)
        total, records = self._fields(record, 2)
        self._compare(record, total, account.total, "account control total", signed=True)
        self._compare(record, records, account.rows + record.rows, "number of records")
        self._end_account(record, signed_whole_number(total))

    def _leave_account(self, record: _Record) -> None:
        if self._account is not None:
            self._compare_movements(self._account)
            begun = self._account.header.line
            self._add(DefectCode.SEGMENT_MISSING, record, f"49 is missing: account begun in line {begun}")
            self._end_account(None, None)

    def _end_account(self, trailer: _Record | None, stated: int | None) -> None:
        account, group = self._account, self._group
        if account is None or group is None:
            return
        self._statements.append(
            BankStatement(
                account.number,
                account.currency,
                self._file.reference if self._file else "",
                group.date,
                tuple(Balance(code, minor, account.currency, group.date) for code, minor in account.balances),
                tuple(account.lines),
                tuple(account.invalid),
            )
        )
        group.accounts += 1
        group.rows += account.rows + (trailer.rows if trailer else 0)
        group.total = None if stated is None or group.total is None else group.total + stated
        self._account = None

    def _compare_movements(self, account: _Account) -> None:
        """Details against stated totals (100, 400) and balances (010, 015), if all of them could be read."""
        if not self._findings.limits.check_balances or self._findings.count != account.found_before:
            return
        for code, direction in (("100", Direction.CREDIT), ("400", Direction.DEBIT)):
            if code not in account.stated:
                continue
            minor, count = account.stated[code]
            lines = [line for line in account.lines if line.direction is direction]
            found = sum(line.minor for line in lines)
            if found != minor:
                self._add(
                    DefectCode.CONTROL_TOTAL,
                    account.header,
                    f"type code {code} states {direction.lower()}s of {minor}, the details add up to {found}",
                    code,
                )
            if count is not None and count != len(lines):
                self._add(
                    DefectCode.CONTROL_COUNT,
                    account.header,
                    f"type code {code} states {count} {direction.lower()}s, the details are {len(lines)}",
                    code,
                )
        if "010" in account.stated and "015" in account.stated:
            flaw = balance_flaw(
                account.stated["010"][0], account.stated["015"][0], movement(account.lines), account.currency
            )
            if flaw:
                self._add(DefectCode.BALANCE, account.header, flaw, "015")

    # Transactions

    def _transaction(self, record: _Record) -> None:
        account, group = self._account, self._group
        if account is None or group is None:
            self._add(DefectCode.SEGMENT_UNEXPECTED, record, "a transaction (16) outside an account (03)")
            return
        account.rows += record.rows
        cursor = _Cursor(record)
        code, amount, funds = cursor.next(), cursor.next(), cursor.next()
        if not _TYPE.match(code):
            self._add(DefectCode.CODE_UNKNOWN, record, "the type code is not 3 digits", "type code")
        minor = whole_number(amount) if amount else 0
        if minor is None:
            self._add(DefectCode.AMOUNT_INVALID, record, "the amount is not a whole number", "amount")
        account.total = None if minor is None or account.total is None else account.total + minor
        value_date = self._value_date(record, funds, cursor) or group.date
        reference, customer = cursor.next(), cursor.next()
        text = cursor.text()
        if minor is None:
            return
        direction = direction_of(code)
        place = Place(record.number, record.line)
        if direction is None or minor == 0:
            reason = "zero amount" if direction else "type code is neither a credit nor a debit"
            account.invalid.append(InvalidLine(reason, code, minor, account.currency, text, place))
            return
        account.lines.append(
            BankLine(
                account=account.number,
                direction=direction,
                minor=minor,
                currency=account.currency,
                value_date=value_date,
                booking_date=group.date,
                type_code=code,
                bank_reference=reference,
                customer_reference=customer,
                text=text,
                occurrence=self._occurrences.next(
                    account.number, reference, value_date, minor, account.currency, direction
                ),
                place=place,
            )
        )

    def _value_date(self, record: _Record, funds: str, cursor: _Cursor) -> dt.date | None:
        """The value date of a funds type V; other availabilities are skipped."""
        if funds == "V":
            date, time = cursor.next(), cursor.next()
            self._time(record, time, "value time")
            return self._date(record, date, "value date") if date else None
        if funds == "S":
            for _ in range(3):
                cursor.next()
        elif funds == "D":
            pairs = whole_number(cursor.next())
            if pairs is None or pairs > 1_000:
                self._add(DefectCode.NUMBER_INVALID, record, "the number of availabilities is wrong", "funds type")
                return None
            for _ in range(2 * pairs):
                cursor.next()
        elif funds not in _FUNDS:
            self._add(DefectCode.CODE_UNKNOWN, record, "the funds type is not one of Z, 0, 1, 2, S, V, D", "funds type")
        return None

    # Values

    def _fields(self, record: _Record, count: int) -> list[str]:
        """Exactly `count` fields; missing ones are empty, further ones that are not empty are a defect."""
        values = record.fields()
        if any(values[count:]):
            self._add(
                DefectCode.ELEMENT_UNEXPECTED,
                record,
                f"record {record.code} has {len(values)} fields, known are {count}",
            )
        return [*values[:count], *[""] * (count - len(values))]

    def _compare(self, record: _Record, stated: str, counted: int | None, what: str, *, signed: bool = False) -> None:
        """A trailer's figure against what was found; None: what was found cannot be known because of other defects."""
        figure = signed_whole_number(stated) if signed else whole_number(stated)
        if figure is None:
            self._add(DefectCode.NUMBER_INVALID, record, f"the {what} is missing or not a whole number", what)
        elif counted is not None and figure != counted:
            code = DefectCode.CONTROL_TOTAL if signed else DefectCode.CONTROL_COUNT
            self._add(code, record, f"the {what} is {figure}, found {counted}", what)

    def _date(self, record: _Record, text: str, what: str) -> dt.date:
        day = short_date(text)
        if day is None:
            self._add(DefectCode.DATE_INVALID, record, f"the {what} is not a date YYMMDD", what)
            return dt.date.min
        return day

    def _time(self, record: _Record, text: str, what: str) -> None:
        """Times HHMM; 2400 and 9999 are the end of the day. Intra-day banks also write HH:MM:SS."""
        if text and text not in ("2400", "9999") and clock_time(text.replace(":", "")) is None:
            self._add(DefectCode.TIME_INVALID, record, f"the {what} is not a time HHMM", what)

    def _currency(self, record: _Record, code: str) -> str:
        try:
            decimals_of(code)
        except CurrencyNotSupportedError:
            self._add(
                DefectCode.CURRENCY_INVALID, record, "the currency is not one this service supports", "currency code"
            )
            return DEFAULT_CURRENCY
        return code

    def _add(self, code: DefectCode, record: _Record, message: str, element: str | None = None) -> None:
        self._findings.add(code, message, number=record.number, line=record.line, segment=record.code, element=element)


def direction_of(type_code: str) -> Direction | None:
    """Credit or debit by BAI2 type code; None for status, loan and non-monetary codes.

    100 to 399 are credits and 400 to 699 debits; of a bank's own codes 920 to 959 are credits and 960 to 999 debits.
    """
    if not _TYPE.match(type_code):
        return None
    code = int(type_code)
    if 100 <= code <= 399 or 920 <= code <= 959:
        return Direction.CREDIT
    if 400 <= code <= 699 or 960 <= code <= 999:
        return Direction.DEBIT
    return None
