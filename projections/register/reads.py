"""What queries show of the register: its lists and rows, inside the snapshot of one query."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Final

from projections.engine.listing import Listing
from projections.reads import Reads, Row

#: Parts of one line, and accounts of one customer, that are shown at most.
_PARTS: Final = 100
_OWNED: Final = 200

# --- Accounts --------------------------------------------------------------------------------------------------------

ACCOUNTS: Final = Listing(
    "accounts",
    """
    select * from {account} as a
     where (%(owner)s::text is null or a.owner = %(owner)s)
       and (%(status)s::text is null or a.status = %(status)s)
       and (%(bill_type)s::text is null or a.bill_type = %(bill_type)s)
       and (%(allocation_mode)s::text is null or a.allocation_mode = %(allocation_mode)s)
       and (%(currency)s::text is null or a.currency = %(currency)s)
       and (%(calendar)s::text is null or a.calendar = %(calendar)s)
       and (%(number)s::text is null or exists (select from {number} as n
            where n.account = a.account and starts_with(n.number, %(number)s)))
    """,
    (("account", False, "text"),),
)
ACCOUNTS_ON_CALENDAR: Final = Listing(
    "accounts on a calendar",
    "select * from {account} where calendar = %(calendar)s",
    (("account", False, "text"),),
)


def account_rows(reads: Reads, accounts: Sequence[str]) -> dict[str, Row]:
    """The row of each account."""
    rows = reads.fetch("select * from {account} where account = any(%(accounts)s)", {"accounts": list(accounts)})
    return {row["account"]: row for row in rows}


def accounts_owned_by(reads: Reads, customer: str) -> list[Row]:
    """The first 200 accounts of a customer by number."""
    return reads.fetch(
        "select * from {account} where owner = %(owner)s order by account limit %(most)s",
        {"owner": customer, "most": _OWNED},
    )


_BELOW: Final = """
    with recursive below as (
        select customer from {customer} where customer = %(customer)s
        union
        select c.customer from {customer} as c join below on c.parent = below.customer
    ), covered as (
        select customer from {customer} where customer = any(%(scope)s::text[])
        union
        select c.customer from {customer} as c join covered on c.parent = covered.customer
    ), seen as (
        select a.*, %(scope)s::text[] is null or a.owner in (select customer from covered) as visible
          from {account} as a join below on below.customer = a.owner
    )
"""


def accounts_below(reads: Reads, customer: str, scope: Sequence[str] | None = None) -> list[Row]:
    """The first 200 accounts of a customer and of the units below it, by number; with a scope those it covers."""
    return reads.fetch(
        _BELOW + "select * from seen where visible order by account limit %(most)s",
        {"customer": customer, "scope": None if scope is None else list(scope), "most": _OWNED},
    )


def totals_below(reads: Reads, customer: str, scope: Sequence[str] | None = None) -> list[Row]:
    """The active accounts of a customer and of the units below it, summed by currency and kind of account; `visible`
    tells the rows that a scope covers (ACC-096, PLT-036)."""
    return reads.fetch(
        _BELOW
        + """
        select visible, currency, bill_type, allocation_mode, sum(remaining_due)::bigint as remaining_due,
               sum(open_credit)::bigint as open_credit, sum(unapplied)::bigint as unapplied,
               sum(member_unapplied)::bigint as member_unapplied,
               sum(member_overpayment)::bigint as member_overpayment, sum(anyb)::bigint as anyb,
               min(changed_at) as changed_at
          from seen where status = 'ACTIVE'
         group by visible, currency, bill_type, allocation_mode
         order by currency, bill_type, allocation_mode
        """,
        {"customer": customer, "scope": None if scope is None else list(scope)},
    )


# --- Balances --------------------------------------------------------------------------------------------------------

MEMBER_BALANCES: Final = Listing(
    "member balances",
    """
    select listed.account, listed.member, account.currency,
           coalesce(due.billed, 0) as billed, coalesce(due.paid, 0) as paid, coalesce(due.due, 0) as due,
           coalesce(anyb.total, 0) as anyb,
           coalesce(money.member_unapplied, 0) as member_unapplied,
           coalesce(money.member_overpayment, 0) as member_overpayment
      from (select distinct account, member from {placement} where account = %(account)s
             union select account, member from {member_anyb} where account = %(account)s) as listed
      join {account} as account on account.account = listed.account
      left join lateral (select sum(i.billed)::bigint as billed, sum(i.paid)::bigint as paid,
                                sum(i.billed - i.paid - i.offset_amount - i.written_off)::bigint as due
                           from {item} as i join {invoice} as v on v.invoice = i.invoice and v.live
                          where i.member = listed.member and v.account = listed.account) as due on true
      left join {member_anyb} as anyb on anyb.account = listed.account and anyb.member = listed.member
      left join lateral (select sum(m.member_unapplied)::bigint as member_unapplied,
                                sum(m.member_overpayment)::bigint as member_overpayment
                           from {member_money} as m
                          where m.account = listed.account and m.member = listed.member) as money on true
     where (%(member)s::text is null or listed.member = %(member)s)
    """,
    (("member", False, "text"),),
)
ACCOUNT_ANYB: Final = Listing(
    "account anyb",
    "select member, total, calculated_at from {member_anyb} where account = %(account)s and total <> 0",
    (("member", False, "text"),),
)


def held_members(reads: Reads, account: str) -> int:
    """Members that are or were on the account and have an undecided roll-on."""
    [held] = reads.fetch(
        "select count(distinct m.member) as n from {member} as m join {placement} as p on p.member = m.member"
        " where p.account = %(account)s and m.locked",
        {"account": account},
    )
    return int(held["n"])


# --- Invoices --------------------------------------------------------------------------------------------------------

_INVOICE = "select v.*, a.currency from {invoice} as v join {account} as a on a.account = v.account"
_INVOICES = (
    _INVOICE
    + """
     where v.account = %(account)s
       and (%(live)s::boolean is null or v.live = %(live)s)
       and (%(period_from)s::date is null or v.period_end > %(period_from)s)
       and (%(period_to)s::date is null or v.period_start <= %(period_to)s)
       and (%(number)s::text is null or starts_with(v.invoice, %(number)s))
    """
)
#: INV-230, INV-231.
INVOICES: Final = Listing("invoices", _INVOICES, (("period_start", False, "date"), ("position", False, "bigint")))
INVOICES_NEWEST_FIRST: Final = Listing(
    "invoices", _INVOICES, (("period_start", True, "date"), ("position", True, "bigint"))
)
OPEN_INVOICES: Final = Listing(
    "open invoices",
    f"{_INVOICE} where v.account = %(account)s and v.live and (v.remaining_due <> 0 or v.open_credit <> 0)",
    (("period_start", False, "date"), ("position", False, "bigint")),
)
_ITEM = """
    select i.invoice, i.line, i.member, i.amount, i.billed, i.paid, i.offset_amount, i.written_off, i.held, t.kind,
           t.part, t.coverage, t.plan, t.coverage_class, t.tier, t.sub_group, t.sequence_id, t.sequence_root,
           t.master_policy, t.modality, t.modal_start, t.modal_end, t.covered_from, t.covered_end, t.billing_start,
           t.billing_end, t.location, t.division, t.cause
"""
ITEMS: Final = Listing(
    "invoice items",
    _ITEM
    + """
      from {item} as i join {term} as t on t.invoice = i.invoice and t.term = i.term
     where i.invoice = %(invoice)s and (%(member)s::text is null or i.member = %(member)s)
       and (%(coverage)s::text is null or t.coverage = %(coverage)s)
    """,
    (("line", False, "integer"),),
)


def find_invoice(reads: Reads, number: str) -> Row | None:
    """An invoice with its currency."""
    rows = reads.fetch(f"{_INVOICE} where v.invoice = %(number)s", {"number": number})
    return rows[0] if rows else None


def find_item(reads: Reads, invoice: str, line: int) -> Row | None:
    """One line of an invoice with its terms."""
    parameters = {"invoice": invoice, "member": None, "coverage": None, "line": line}
    rows = reads.fetch(f"{ITEMS.sql} and i.line = %(line)s", parameters)
    return rows[0] if rows else None


def items_of_same_charge(reads: Reads, account: str, invoice: str, line: int) -> list[Row]:
    """The lines of the same charge on other live invoices of the account, the first 100 in order of issue."""
    return reads.fetch(
        _ITEM
        + """
          from {item} as own join {term} as terms on terms.invoice = own.invoice and terms.term = own.term
          join {item} as i on i.member = own.member
          join {invoice} as v on v.invoice = i.invoice and v.live and v.account = %(account)s
          join {term} as t on t.invoice = i.invoice and t.term = i.term and t.coverage = terms.coverage
               and t.plan = terms.plan and t.coverage_class = terms.coverage_class and t.tier = terms.tier
               and t.sub_group = terms.sub_group and t.sequence_root = terms.sequence_root
               and t.modality = terms.modality and t.modal_start = terms.modal_start
         where own.invoice = %(invoice)s and own.line = %(line)s and (i.invoice, i.line) <> (own.invoice, own.line)
         order by v.position, i.line limit %(most)s
        """,
        {"account": account, "invoice": invoice, "line": line, "most": _PARTS},
    )


def money_on_item(reads: Reads, invoice: str, line: int) -> list[Row]:
    """The payment records with money on a line, in the order it came there."""
    return reads.fetch(
        "select record, amount, position from {allocation} where invoice = %(invoice)s and line = %(line)s"
        " and amount > 0 order by position",
        {"invoice": invoice, "line": line},
    )


def offsets_of_item(reads: Reads, invoice: str, line: int) -> list[Row]:
    """The lines that a line was set against, from either side; the first 100."""
    return reads.fetch(
        """
        select case when negative_invoice = %(invoice)s and negative_line = %(line)s then positive_invoice
                    else negative_invoice end as invoice,
               case when negative_invoice = %(invoice)s and negative_line = %(line)s then positive_line
                    else negative_line end as line, amount, matched
          from {credit_pair}
         where (negative_invoice = %(invoice)s and negative_line = %(line)s)
            or (positive_invoice = %(invoice)s and positive_line = %(line)s)
         order by 1, 2 limit %(most)s
        """,
        {"invoice": invoice, "line": line, "most": _PARTS},
    )


def payments_on_invoices(reads: Reads, invoices: Sequence[str]) -> dict[str, list[Row]]:
    """By invoice, the payment records with money on it and when money was last put there, the latest number first."""
    query = """
        select a.invoice, r.payment, a.record, r.transaction_date, r.status, sum(a.amount)::bigint as amount,
               max(e.recorded_at) as allocated_at
          from {allocation} as a join {record} as r on r.record = a.record
          join event as e on e.position = a.position
         where a.invoice = any(%(invoices)s) and a.amount > 0
         group by a.invoice, r.payment, a.record, r.transaction_date, r.status
         order by a.invoice, r.payment desc, a.record desc
    """
    return _grouped("invoice", reads.fetch(query, {"invoices": list(invoices)}))


def total_billed(reads: Reads, master_policy: str, days: Iterable[dt.date]) -> list[Row]:
    """What live invoices bill for a policy in the periods that hold the days, by day, plan and coverage (INV-242)."""
    return reads.fetch(
        """
        select d.day, t.plan, t.coverage, min(a.currency) as currency, sum(i.billed)::bigint as amount
          from unnest(%(days)s::date[]) as d (day)
          join {invoice} as v on v.live and v.period_start <= d.day and d.day < v.period_end
          join {account} as a on a.account = v.account
          join {item} as i on i.invoice = v.invoice
          join {term} as t on t.invoice = i.invoice and t.term = i.term and t.master_policy = %(policy)s
         group by d.day, t.plan, t.coverage order by d.day, t.plan, t.coverage
        """,
        {"days": sorted(set(days)), "policy": master_policy},
    )


# --- Payments --------------------------------------------------------------------------------------------------------

_RECORD = "select r.*, a.currency from {record} as r join {account} as a on a.account = r.account"
PAYMENTS: Final = Listing(
    "payments",
    _RECORD
    + """
     where r.account = %(account)s
       and (%(status)s::text is null or r.status = %(status)s)
       and (%(category)s::text is null or r.category = %(category)s)
       and (%(date_from)s::date is null or r.transaction_date >= %(date_from)s)
       and (%(date_to)s::date is null or r.transaction_date <= %(date_to)s)
    """,
    (("transaction_date", True, "date"), ("record", True, "text")),
)
RECORDS_WITH_FREE_MONEY: Final = Listing(
    "records with money on no item",
    f"{_RECORD} where r.account = %(account)s"
    " and (r.unapplied <> 0 or r.member_unapplied <> 0 or r.member_overpayment <> 0)",
    (("transaction_date", False, "date"), ("record", False, "text")),
)
ALLOCATIONS: Final = Listing(
    "allocations",
    """
    select a.invoice, a.line, a.amount, a.position, i.member, t.coverage
      from {allocation} as a join {item} as i on i.invoice = a.invoice and i.line = a.line
      join {term} as t on t.invoice = i.invoice and t.term = i.term
     where a.record = %(record)s and a.amount > 0
    """,
    (("invoice", False, "text"), ("line", False, "integer")),
)


def records_of_payment(reads: Reads, number: str) -> list[Row]:
    """The records of a payment, named by its number or by one of the records."""
    return reads.fetch(
        f"{_RECORD} where r.payment = %(number)s or r.record = %(number)s order by r.record", {"number": number}
    )


def parts_of_payments(reads: Reads, payments: Sequence[str]) -> dict[str, list[Row]]:
    """By payment, on which accounts its records lie and with what amounts."""
    query = """
        select r.payment, r.account, r.amount, a.currency
          from {record} as r join {account} as a on a.account = r.account
         where r.payment = any(%(payments)s) order by r.payment, length(r.record), r.record
    """
    return _grouped("payment", reads.fetch(query, {"payments": list(payments)}))


def covered_invoices(reads: Reads, records: Sequence[str]) -> dict[str, list[Row]]:
    """By record, the invoices with money of it, by period."""
    query = """
        select a.record, v.invoice, v.issue_date, v.due_date, v.period_start, v.period_end,
               sum(a.amount)::bigint as amount
          from {allocation} as a join {invoice} as v on v.invoice = a.invoice
         where a.record = any(%(records)s) and a.amount > 0
         group by a.record, v.invoice, v.issue_date, v.due_date, v.period_start, v.period_end
         order by a.record, v.period_start, v.invoice
    """
    return _grouped("record", reads.fetch(query, {"records": list(records)}))


# --- Member records --------------------------------------------------------------------------------------------------

MEMBERS: Final = Listing(
    "member records",
    """
    select m.* from {member} as m
     where (%(master_policy)s::text is null or m.master_policy = %(master_policy)s)
       and (%(customer)s::text is null or m.customer = %(customer)s)
       and (%(number)s::text is null or starts_with(m.member, %(number)s))
       and (%(locked)s::boolean is null or m.locked = %(locked)s)
       and (%(account)s::text is null or exists (select from {placement} as p
            where p.member = m.member and p.account = %(account)s
              and (%(day)s::date is null or (p.first_day <= %(day)s and %(day)s < p.end_day))))
    """,
    (("member", False, "text"),),
)
DEAD_LETTERS: Final = Listing(
    "dead letters",
    "select dead_letter, position from {dead_letter} where (%(key)s::text is null or key = %(key)s)",
    (("position", False, "bigint"), ("dead_letter", False, "text")),
)


def find_member(reads: Reads, number: str) -> Row | None:
    """The row of a member record."""
    rows = reads.fetch("select * from {member} where member = %(number)s", {"number": number})
    return rows[0] if rows else None


def locked_members(reads: Reads, master_policy: str | None, account: str | None, most: int) -> list[str]:
    """The records with an undecided roll-on, the first by number."""
    parameters = {
        "master_policy": master_policy, "account": account, "customer": None, "number": None, "day": None,
        "locked": True,
    }  # fmt: skip
    return [row["member"] for row, _ in MEMBERS.page(reads.fetch, parameters, most, None)]


def invoices_by_charge(reads: Reads, account: str, member: str) -> dict[tuple[str, str, dt.date], list[str]]:
    """The live invoices of an account that bill a member, by coverage, sequence and modal period."""
    rows = reads.fetch(
        "select distinct t.coverage, t.sequence_root, t.modal_start, i.invoice from {item} as i"
        " join {invoice} as v on v.invoice = i.invoice and v.live and v.account = %(account)s"
        " join {term} as t on t.invoice = i.invoice and t.term = i.term where i.member = %(member)s order by i.invoice",
        {"account": account, "member": member},
    )
    found: dict[tuple[str, str, dt.date], list[str]] = {}
    for row in rows:
        found.setdefault((row["coverage"], row["sequence_root"], row["modal_start"]), []).append(row["invoice"])
    return found


def _grouped(column: str, rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found
