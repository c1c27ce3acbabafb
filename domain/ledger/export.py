"""The journal for others: batches with control totals, and the text of an independent bookkeeping program.

A batch takes the posted entries of one accountable entity and accounting date; it must balance (LED-053). Its beancount
text is read back by beancount, which knows nothing of billing and checks every entry on its own.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from domain.errors import refuse
from domain.ledger.chart import CHART, AccountType
from domain.ledger.journal import JournalEntry, JournalLine
from domain.money import format_amount


class ExportMode(StrEnum):
    """One row a line, or one row an account, currency and side (LED-053)."""

    DETAIL = "DETAIL"
    SUMMARY = "SUMMARY"


@dataclass(frozen=True, slots=True)
class ExportRow:
    """A row of the export; amounts in minor units, base currency beside the original one (LED-055)."""

    transaction_id: str
    line: int
    code: str
    debit: int
    credit: int
    currency: str
    base_debit: int
    base_credit: int
    base_currency: str


@dataclass(frozen=True, slots=True)
class ExportBatch:
    """A batch with its control totals in base currency; `repeats` names the batch it is a copy of (LED-054)."""

    number: int
    transmission: int
    entity: str
    accounting_date: dt.date
    entries: tuple[str, ...]
    rows: tuple[ExportRow, ...]
    debits: int
    credits: int
    currency: str
    digest: str
    repeats: int | None = None


def export_batch(
    entries: Sequence[JournalEntry],
    *,
    number: int,
    transmission: int,
    entity: str,
    accounting_date: dt.date,
    mode: ExportMode = ExportMode.DETAIL,
) -> ExportBatch:
    """The batch of the entity's entries that were not exported yet. NOTHING_TO_EXPORT, EXPORT_OUT_OF_BALANCE (LED-053).

    `entries` in posting order; of each, the lines of this entity.
    """
    rows: list[ExportRow] = []
    taken: list[str] = []
    for entry in entries:
        own = [line for line in entry.lines if line.dimensions.entity == entity]
        if own and entry.accounting_date == accounting_date:
            taken.append(entry.transaction_id)
            rows += [_row(entry, line) for line in own]
    if not rows:
        raise refuse("NOTHING_TO_EXPORT", "every entry of the day is exported")
    debits, credits = sum(row.base_debit for row in rows), sum(row.base_credit for row in rows)
    if debits != credits:
        raise refuse("EXPORT_OUT_OF_BALANCE", "the batch does not balance", debits=debits, credits=credits)
    if mode is ExportMode.SUMMARY:
        rows = _summary(rows)
    digest = hashlib.sha256("\n".join(map(repr, rows)).encode()).hexdigest()
    return ExportBatch(
        number,
        transmission,
        entity,
        accounting_date,
        tuple(taken),
        tuple(rows),
        debits,
        credits,
        rows[0].base_currency,
        digest,
    )


def repeated(batch: ExportBatch, *, number: int, transmission: int, accepted: bool) -> ExportBatch:
    """A copy with the same content and a new transmission number (LED-054); BATCH_NOT_ACCEPTED."""
    if not accepted:
        raise refuse("BATCH_NOT_ACCEPTED", "only an accepted batch is repeated")
    return replace(batch, number=number, transmission=transmission, repeats=batch.number)


def _row(entry: JournalEntry, line: JournalLine) -> ExportRow:
    return ExportRow(
        entry.transaction_id,
        line.number,
        line.code,
        line.debit,
        line.credit,
        line.currency,
        line.base_debit,
        line.base_credit,
        line.base_currency,
    )


def _summary(rows: Iterable[ExportRow]) -> list[ExportRow]:
    sums: dict[tuple[str, str, bool], ExportRow] = {}
    for row in rows:
        key = (row.code, row.currency, row.base_debit > 0 or row.debit > 0)
        before = sums.get(key)
        sums[key] = replace(
            row,
            transaction_id="",
            line=0,
            debit=row.debit + (before.debit if before else 0),
            credit=row.credit + (before.credit if before else 0),
            base_debit=row.base_debit + (before.base_debit if before else 0),
            base_credit=row.base_credit + (before.base_credit if before else 0),
        )
    return [sums[key] for key in sorted(sums)]


# --- Beancount -------------------------------------------------------------------------------------------------------

_ROOTS = {
    AccountType.ASSET: "Assets",
    AccountType.LIABILITY: "Liabilities",
    AccountType.INCOME: "Income",
    AccountType.EXPENSE: "Expenses",
}


def beancount_account(code: str, entity: str) -> str:
    """The account's name in beancount: root, entity, code and name, such as Assets:ALPHA:1100-Billed-receivable."""
    account = CHART[code]
    return f"{_ROOTS[account.type]}:{_component(entity)}:{code}-{_component(account.name)}"


def _component(text: str) -> str:
    cleaned = "-".join("".join(character if character.isalnum() else " " for character in text).split())
    return cleaned if cleaned[:1].isdigit() or cleaned[:1].isupper() else f"X{cleaned}"


def beancount_text(entries: Sequence[JournalEntry]) -> str:
    """The entries as a beancount file: opened accounts, then one transaction an entry, with its ids as metadata.

    A foreign line shows its original amount at its total base price, so that beancount balances in base currency.
    """
    used = sorted({(line.code, line.dimensions.entity) for entry in entries for line in entry.lines})
    first = min((entry.accounting_date for entry in entries), default=dt.date(1970, 1, 1))
    parts = [f"{first.isoformat()} open {beancount_account(code, entity)}" for code, entity in used]
    for entry in sorted(entries, key=lambda one: one.accounting_date):
        parts.append("")
        parts.append(f'{entry.accounting_date.isoformat()} * "{entry.type}" "{_quoted(entry.transaction_id)}"')
        parts.append(f'  effective: "{entry.effective_date.isoformat()}"')
        parts.append(f'  timestamp: "{entry.timestamp.isoformat()}"')
        if entry.reverses:
            parts.append(f'  reverses: "{_quoted(entry.reverses)}"')
        for line in entry.lines:
            parts.append(f"  {beancount_account(line.code, line.dimensions.entity)}  {_amount(line)}")
            parts += [
                f'    {name}: "{_quoted(value)}"'
                for name, value in (
                    ("billing-account", line.dimensions.account),
                    ("invoice", line.dimensions.invoice),
                    ("payment", line.dimensions.payment),
                    ("member", line.dimensions.member),
                )
                if value
            ]
    return "\n".join([*parts, ""])


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _amount(line: JournalLine) -> str:
    original, base = line.debit - line.credit, line.base_debit - line.base_credit
    in_base = f"{format_amount(base, line.base_currency)} {line.base_currency}"
    if line.currency == line.base_currency or original == 0:
        return in_base
    price = format_amount(abs(base), line.base_currency)
    return f"{format_amount(original, line.currency)} {line.currency} @@ {price} {line.base_currency}"
