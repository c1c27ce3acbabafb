"""The tables of the ledger. Amounts are minor units of the entry's currency."""

from __future__ import annotations

from projections.engine.columns import Column
from projections.engine.table import Index, Table

#: What postings need to know of accounts: currency, and the accountable entity (LED-006).
BOOK = Table(
    "book",
    (
        Column("account", "text"),
        Column("currency", "text"),
        Column("entity", "text"),
        Column("changed", "bigint"),
    ),
    key=("account",),
    account="account",
)

#: The accountable entity of a master policy's items: its underwriting company.
POLICY = Table("policy", (Column("master_policy", "text"), Column("entity", "text")), key=("master_policy",))

#: What an invoice bills, summed by what its lines share: what is posted at its issue, and mirrored at its discard.
BILLED = Table(
    "billed",
    (
        Column("invoice", "text"),
        Column("account", "text"),
        Column("sums", "jsonb"),
    ),
    key=("invoice",),
    account="account",
)

#: Journal entries (LED-001 to LED-005, LED-023 to LED-025), in posting order: that of the log.
ENTRY = Table(
    "entry",
    (
        Column("position", "bigint"),
        Column("transaction_id", "text"),
        Column("stream", "text"),
        Column("type", "text"),
        Column("class", "text"),
        Column("operation", "text", nullable=True),
        Column("account", "text"),
        Column("currency", "text"),
        Column("recorded_at", "timestamptz"),
        Column("effective_date", "date"),
        Column("accounting_date", "date"),
        Column("total", "bigint"),
    ),
    key=("position",),
    indexes=(Index(("account", "position")), Index(("accounting_date", "position")), Index(("transaction_id",))),
    append_only=True,
    account="account",
)

#: Their lines: exactly one of debit and credit is above 0.
LINE = Table(
    "line",
    (
        Column("position", "bigint"),
        Column("number", "integer"),
        Column("code", "text"),
        Column("entity", "text"),
        Column("currency", "text"),
        Column("debit", "bigint"),
        Column("credit", "bigint"),
        Column("account", "text", nullable=True),
        Column("master_policy", "text", nullable=True),
        Column("member", "text", nullable=True),
        Column("coverage", "text", nullable=True),
        Column("amount_type", "text", nullable=True),
        Column("invoice", "text", nullable=True),
        Column("item", "text", nullable=True),
        Column("payment", "text", nullable=True),
    ),
    key=("position", "number"),
    indexes=(Index(("account", "code")),),
    append_only=True,
)

#: Debits and credits by ledger account, entity, currency and accounting day: what reports add up (LED-048).
DAY = Table(
    "day",
    (
        Column("entity", "text"),
        Column("code", "text"),
        Column("currency", "text"),
        Column("accounting_date", "date"),
        Column("debit", "bigint"),
        Column("credit", "bigint"),
    ),
    key=("entity", "code", "currency", "accounting_date"),
)

#: Debits and credits by billing account and ledger account: what the control identities compare (LED-049).
BALANCE = Table(
    "balance",
    (
        Column("account", "text"),
        Column("code", "text"),
        Column("debit", "bigint"),
        Column("credit", "bigint"),
    ),
    key=("account", "code"),
    account="account",
)

TABLES = (BOOK, POLICY, BILLED, ENTRY, LINE, DAY, BALANCE)
