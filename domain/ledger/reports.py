"""Trial balance, control identities and account balance: proof that the ledger and the balances tell one story.

Both sides are computed from the same events by different code; a variance is a finding, never corrected here (LED-048
to LED-051).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from domain.errors import refuse
from domain.ledger.chart import CHART
from domain.ledger.journal import JournalEntry
from domain.payments.classification import AccountKind


@dataclass(frozen=True, slots=True)
class TrialLine:
    """One account of one entity in one currency: `base` True in base currency, else in an original one.

    Amounts in minor units; balances are debits less credits.
    """

    entity: str
    code: str
    currency: str
    base: bool
    opening: int
    debits: int
    credits: int

    @property
    def closing(self) -> int:
        return self.opening + self.debits - self.credits


def trial_balance(entries: Iterable[JournalEntry], first: dt.date, last: dt.date) -> list[TrialLine]:
    """Opening, debits, credits and closing by entity, account and currency for accounting dates first..last (LED-048).

    `entries` are those known at the posting time asked for. Raises TRIAL_BALANCE_OUT_OF_BALANCE.
    """
    sums: dict[tuple[str, str, str, bool], list[int]] = {}
    for entry in entries:
        if entry.accounting_date > last:
            continue
        before = entry.accounting_date < first
        for line in entry.lines:
            for currency, base, debit, credit in (
                (line.base_currency, True, line.base_debit, line.base_credit),
                (line.currency, False, line.debit, line.credit),
            ):
                figures = sums.setdefault((line.dimensions.entity, line.code, currency, base), [0, 0, 0])
                if before:
                    figures[0] += debit - credit
                else:
                    figures[1] += debit
                    figures[2] += credit
    trial = [TrialLine(*key, *figures) for key, figures in sorted(sums.items())]
    totals: dict[tuple[str, str, bool], int] = {}
    for account in trial:
        key = (account.entity, account.currency, account.base)
        totals[key] = totals.get(key, 0) + account.closing
    wrong = {f"{entity} {currency}": value for (entity, currency, _), value in totals.items() if value}
    if wrong:
        raise refuse("TRIAL_BALANCE_OUT_OF_BALANCE", "debits and credits differ", differences=wrong)
    return trial


Balances = Mapping[str, int]


def balances(entries: Iterable[JournalEntry], account: str | None = None) -> dict[str, int]:
    """Debits less credits by account code in original currency, of one billing account or of all (LED-049)."""
    found: dict[str, int] = {}
    for entry in entries:
        for line in entry.lines:
            if account is None or line.dimensions.account == account:
                found[line.code] = found.get(line.code, 0) + line.debit - line.credit
    return {code: value for code, value in sorted(found.items()) if value}


@dataclass(frozen=True, slots=True)
class Control:
    """One control identity: both values, requests not posted yet, and the variance (LED-049, LED-051)."""

    number: str
    name: str
    ledger: int
    projection: int
    unposted: int = 0

    @property
    def variance(self) -> int:
        return self.projection - self.ledger - self.unposted


#: LED-049: number, projection figure, and the accounts whose balances (with sign) must equal it.
CONTROLS: tuple[tuple[str, str, tuple[tuple[str, int], ...]], ...] = (
    ("C1", "remaining_due", (("1100", 1),)),
    ("C2", "open_credit", (("1110", -1),)),
    ("C3", "due_and_unpaid", (("1100", 1), ("1110", 1))),
    ("C4", "unapplied", (("2100", -1),)),
    ("C4", "member_unapplied", (("2110", -1),)),
    ("C4", "member_overpayment", (("2120", -1),)),
    ("C5", "suspended", (("2150", -1),)),
    ("C6", "refunds_approved", (("2200", -1),)),
    ("C7", "refunds_in_transit", (("2210", -1),)),
    ("C8", "write_offs_and_adjustments", (("5000", 1), ("5010", 1))),
    ("C9", "awaiting_bank", (("1010", 1),)),
    ("C10", "billed_premium", (("4000", -1), ("5100", -1))),
)


def controlled_figures(ledger: Balances) -> dict[str, int]:
    """Every figure that LED-049 names, as the ledger gives it: also of a past day, which no other model keeps."""
    return {name: sum(sign * ledger.get(code, 0) for code, sign in parts) for _, name, parts in CONTROLS}


def controls(ledger: Balances, projection: Balances, unposted: Balances | None = None) -> list[Control]:
    """Every identity of LED-049 with both values; figures that the projection does not give are left out."""
    waiting, said = unposted or {}, controlled_figures(ledger)
    return [
        Control(number, name, said[name], projection[name], waiting.get(name, 0))
        for number, name, _ in CONTROLS
        if name in projection
    ]


def breaches(found: Iterable[Control]) -> list[Control]:
    """Identities whose variance is not 0.00 (LED-051)."""
    return [one for one in found if one.variance]


_BALANCE_ACCOUNTS = {
    AccountKind.LIST_BILL_INDIVIDUAL: ("1100", "1110", "2100", "2110", "2120"),
    AccountKind.INDIVIDUAL_DIRECT: ("1100", "1110", "2100", "2120"),
}


def account_balance(kind: AccountKind, ledger: Balances) -> int:
    """The account balance from the ledger (LED-050)."""
    codes = _BALANCE_ACCOUNTS.get(kind, ("1100", "1110", "2100"))
    return sum(ledger.get(code, 0) for code in codes)


def named(ledger: Balances) -> dict[str, int]:
    """Balances by account code and name, as a screen shows them."""
    return {f"{code} {CHART[code].name}": value for code, value in ledger.items()}
