"""Remittance files: who the remitter says the money is for (PAY-052 to PAY-062).

A row names a member by record number, SSN or employee id and an amount, maybe a product. Rows of one person are summed
into a group; each group's money pays the group's own items and, when nothing of them is due any more, becomes
overpayment of its own records: it never reaches anybody else. Reading CSV and XLSX is an adapter's work; it hands over
header names and text cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.errors import Problem
from domain.money import AmountFormatError, parse_amount
from domain.payments.allocation import Dues, OpenAccount, PriorityKey, SpreadSettings
from domain.payments.distribution import Distribution
from domain.payments.payment import MemberAmounts

#: Most rows of one file (`remittance.max_rows`).
MAX_ROWS = 50_000

_IDENTIFIERS = ("member_record_number", "ssn", "employee_id")


class Skip(StrEnum):
    """Why a row is left out while the others go on (PAY-055)."""

    NO_IDENTIFIER = "NO_IDENTIFIER"
    AMOUNT_INVALID = "AMOUNT_INVALID"
    MEMBER_NOT_FOUND = "MEMBER_NOT_FOUND"
    IDENTIFIER_AMBIGUOUS = "IDENTIFIER_AMBIGUOUS"
    PRODUCT_UNKNOWN = "PRODUCT_UNKNOWN"
    MEMBER_NOT_ON_INVOICE = "MEMBER_NOT_ON_INVOICE"


class Scope(StrEnum):
    """EARLIEST pays the oldest items first; INVOICES the chosen invoices, then as EARLIEST (PAY-058)."""

    EARLIEST = "EARLIEST"
    INVOICES = "INVOICES"


@dataclass(frozen=True, slots=True)
class RemittanceRow:
    """A data row as text; `number` counts rows of the file from 1, without the header."""

    number: int
    member_record: str
    ssn: str
    employee_id: str
    amount: str
    product: str


@dataclass(frozen=True, slots=True)
class RemittanceMember:
    """A member record of the account: identifiers, product of its master policy, annual premium in force (minor units).

    The annual premium is that on the payment's effective date (PAY-060).
    """

    record: str
    ssn: str | None
    employee_id: str | None
    product: str
    annual: int


@dataclass(frozen=True, slots=True)
class SkippedRow:
    number: int
    reason: Skip


@dataclass(frozen=True, slots=True)
class Group:
    """Money for one record or one person. `records` in member record order; amounts by product, "" for none."""

    key: str
    person: bool
    records: tuple[str, ...]
    amounts: Mapping[str, int]
    rows: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.amounts.values())


@dataclass(frozen=True, slots=True)
class Remittance:
    """Matched rows of a file, in the order of distribution, and the skipped ones (PAY-055 to PAY-057)."""

    groups: tuple[Group, ...]
    skipped: tuple[SkippedRow, ...]

    @property
    def total(self) -> int:
        return sum(group.total for group in self.groups)


def _normal(header: str) -> str:
    return "".join(header.lower().replace("_", " ").split())


def read_rows(header: Sequence[str], cells: Iterable[Sequence[str]]) -> tuple[list[RemittanceRow], list[Problem]]:
    """Rows by column name; headers ignore case, spaces and underscores (PAY-053). REMITTANCE_COLUMNS_MISSING.

    A header of one cell that contains a tab or a semicolon is REMITTANCE_NOT_COMMA_SEPARATED (PAY-054).
    """
    if len(header) == 1 and any(separator in header[0] for separator in ";\t|"):
        return [], [
            Problem("REMITTANCE_NOT_COMMA_SEPARATED", "the columns are not separated by commas", pointer="/file")
        ]
    place = {_normal(name): index for index, name in reversed(list(enumerate(header)))}
    columns = {name: place.get(_normal(name)) for name in (*_IDENTIFIERS, "amount", "product")}
    missing = [] if columns["amount"] is not None else ["amount"]
    if all(columns[name] is None for name in _IDENTIFIERS):
        missing = [*_IDENTIFIERS, *missing]
    if missing:
        problem = Problem(
            "REMITTANCE_COLUMNS_MISSING", f"missing: {', '.join(missing)}", pointer="/file", params={"columns": missing}
        )
        return [], [problem]

    def cell(row: Sequence[str], name: str) -> str:
        index = columns[name]
        return row[index].strip() if index is not None and index < len(row) else ""

    rows = [
        RemittanceRow(
            number,
            cell(row, "member_record_number"),
            cell(row, "ssn"),
            cell(row, "employee_id"),
            cell(row, "amount"),
            cell(row, "product"),
        )
        for number, row in enumerate(cells, start=1)
    ]
    if len(rows) > MAX_ROWS:
        return [], [Problem("REMITTANCE_TOO_LARGE", f"at most {MAX_ROWS} rows", pointer="/file")]
    return rows, []


def match(
    rows: Sequence[RemittanceRow],
    members: Sequence[RemittanceMember],
    currency: str,
    *,
    invoiced: frozenset[str] | None = None,
) -> Remittance:
    """Match rows to the account's member records and sum them by group (PAY-055 to PAY-057).

    `invoiced`: with scope INVOICES, the member records that have an item of any product on a chosen invoice.
    """
    matching = _Matching(members, currency, invoiced)
    for row in rows:
        matching.add(row)
    return matching.result()


class _Matching:
    def __init__(self, members: Sequence[RemittanceMember], currency: str, invoiced: frozenset[str] | None) -> None:
        self.by_record = {member.record: member for member in members}
        self.by_ssn: dict[str, list[RemittanceMember]] = {}
        self.by_employee: dict[str, list[RemittanceMember]] = {}
        for member in members:
            if member.ssn:
                self.by_ssn.setdefault(_digits(member.ssn), []).append(member)
            if member.employee_id:
                self.by_employee.setdefault(member.employee_id, []).append(member)
        self.currency = currency
        self.invoiced = invoiced
        self.groups: dict[tuple[bool, tuple[str, ...]], tuple[dict[str, int], list[int]]] = {}
        self.skipped: list[SkippedRow] = []

    def add(self, row: RemittanceRow) -> None:
        outcome = self._match(row)
        if isinstance(outcome, Skip):
            self.skipped.append(SkippedRow(row.number, outcome))
            return
        person, records, amount = outcome
        amounts, numbers = self.groups.setdefault((person, records), ({}, []))
        amounts[row.product] = amounts.get(row.product, 0) + amount
        numbers.append(row.number)

    def _match(self, row: RemittanceRow) -> Skip | tuple[bool, tuple[str, ...], int]:
        if not (row.member_record or row.ssn or row.employee_id):
            return Skip.NO_IDENTIFIER
        try:
            amount = parse_amount(row.amount, self.currency)
        except AmountFormatError:
            return Skip.AMOUNT_INVALID
        if amount <= 0:
            return Skip.AMOUNT_INVALID
        found = self._records(row)
        if isinstance(found, Skip):
            return found
        person, members = found
        if row.product and all(member.product != row.product for member in members):
            return Skip.PRODUCT_UNKNOWN
        records = tuple(sorted(member.record for member in members))
        if self.invoiced is not None and not any(record in self.invoiced for record in records):
            return Skip.MEMBER_NOT_ON_INVOICE
        return person, records, amount

    def _records(self, row: RemittanceRow) -> Skip | tuple[bool, list[RemittanceMember]]:
        """The first identifier that matches decides: record number, SSN, employee id (PAY-056)."""
        if row.member_record and row.member_record in self.by_record:
            return False, [self.by_record[row.member_record]]
        if row.ssn and _digits(row.ssn) in self.by_ssn:
            return True, self._person(self.by_ssn[_digits(row.ssn)])
        if row.employee_id and row.employee_id in self.by_employee:
            members = self.by_employee[row.employee_id]
            if len({_digits(member.ssn) if member.ssn else None for member in members}) > 1:
                return Skip.IDENTIFIER_AMBIGUOUS
            return True, self._person(members)
        return Skip.MEMBER_NOT_FOUND

    def _person(self, members: list[RemittanceMember]) -> list[RemittanceMember]:
        """All records of the person, by its SSN if it has one: rows by SSN and by employee id join (PAY-056)."""
        ssn = members[0].ssn
        return self.by_ssn[_digits(ssn)] if ssn else members

    def result(self) -> Remittance:
        """Record groups by record number, then person groups by lowest record number (PAY-057)."""
        ordered = sorted(self.groups.items(), key=lambda entry: (entry[0][0], entry[0][1][0]))
        return Remittance(
            tuple(
                Group(records[0], person, records, dict(sorted(amounts.items())), tuple(numbers))
                for (person, records), (amounts, numbers) in ordered
            ),
            tuple(self.skipped),
        )


def _digits(ssn: str) -> str:
    return "".join(character for character in ssn if character.isalnum())


def file_problems(remittance: Remittance, amount: int) -> list[Problem]:
    """Refusals of the file as a whole once its rows are matched (PAY-054). `amount`: what is to be allocated."""
    if not remittance.groups:
        return [Problem("REMITTANCE_NO_VALID_ROWS", "no row of the file can be used", pointer="/file")]
    if remittance.total > amount:
        return [
            Problem(
                "REMITTANCE_TOTAL_EXCEEDS_PAYMENT",
                "the rows add up to more than there is to allocate",
                pointer="/file",
                params={"rows": remittance.total, "amount": amount},
            )
        ]
    return []


def total_problems(remittance: Remittance, amount: int) -> list[Problem]:
    """A file is applied only if it distributes the whole amount (PAY-047, PAY-062)."""
    if remittance.total == amount:
        return []
    return [
        Problem(
            "REMITTANCE_TOTAL_MISMATCH",
            "the rows do not add up to the amount to allocate",
            pointer="/file",
            params={"rows": remittance.total, "amount": amount},
        )
    ]


def distribute(
    remittance: Remittance,
    members: Sequence[RemittanceMember],
    account: OpenAccount,
    *,
    scope: Scope = Scope.EARLIEST,
    invoices: frozenset[str] = frozenset(),
) -> Distribution:
    """Pay each group's items with its money, and keep the rest as overpayment of its records (PAY-057 to PAY-060)."""
    dues, write_offs = account.work()
    known = {member.record: member for member in members}
    rows_of: dict[str, list[int]] = {}
    for row, member in enumerate(account.items.members):
        rows_of.setdefault(member, []).append(row)
    overpaid: dict[str, int] = {}
    for group in remittance.groups:
        rows = [row for record in group.records for row in rows_of.get(record, [])]
        for product in (*(product for product in group.amounts if product), *([""] if "" in group.amounts else [])):
            own = [row for row in rows if not product or known[account.items.members[row]].product == product]
            left = group.amounts[product]
            if scope is Scope.INVOICES:
                left = dues.spread([row for row in own if account.items.invoices[row] in invoices], left)
            left = dues.spread(own, left)
            for record, share in _overpayment(left, group, product, known, account.settings):
                overpaid[record] = overpaid.get(record, 0) + share
    for invoice in _touched(dues):
        write_offs.give_way(invoice, 0)
    return Distribution(
        lines=dues.result(),
        overpayments=MemberAmounts(tuple(sorted(overpaid)), tuple(overpaid[record] for record in sorted(overpaid))),
        reversed_write_offs=tuple(write_offs.reversed),
    )


def _touched(dues: Dues) -> list[str]:
    return list(dict.fromkeys(dues.items.invoices[row] for row in dues.given))


def _overpayment(
    amount: int, group: Group, product: str, known: Mapping[str, RemittanceMember], settings: SpreadSettings
) -> list[tuple[str, int]]:
    """What is left of a group's amount, by record: proportional to annual premium, or equally (PAY-060)."""
    if amount == 0:
        return []
    members = [known[record] for record in group.records]
    if product:
        members = [member for member in members if member.product == product]
    elif group.person and settings.use_priority_rules and PriorityKey.PRODUCT in settings.effective_order:
        best = min(settings.rank(member.product) for member in members)
        members = [member for member in members if settings.rank(member.product) == best]
    weights = [member.annual for member in members]
    if not any(weights):
        weights = [1] * len(members)
    shares = share_by_weight(amount, weights)
    return [(member.record, share) for member, share in zip(members, shares, strict=True) if share]


def share_by_weight(amount: int, weights: Sequence[int]) -> list[int]:
    """amount × weight ÷ Σ weights, HALF_UP each; the difference on the last, never below 0, the rest before it."""
    total = sum(weights)
    shares = [(2 * amount * weight + total) // (2 * total) for weight in weights]
    difference = amount - sum(shares)
    row = len(shares) - 1
    while difference:
        new = max(shares[row] + difference, 0)
        difference -= new - shares[row]
        shares[row] = new
        row -= 1
    return shares
