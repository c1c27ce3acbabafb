"""What queries show of the register: its lists and rows, inside the snapshot of one query."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from projections.engine.listing import Listing
from projections.reads import Reads, Row
from projections.search.reads import containing

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

_LISTED_MEMBERS: Final = """
    (select distinct account, member from {placement} where account = %(account)s
     union select account, member from {member_anyb} where account = %(account)s) as listed
    join {account} as account on account.account = listed.account
"""
#: A member's lines. `offset 0`: they are found by the member, also while the planner does not know yet how many an
#: invoice has.
_LINES_OF_MEMBER: Final = "(select * from {item} where member = %(member)s offset 0)"
_LISTED_MEMBER: Final = " where (%(member)s::text is null or listed.member = %(member)s)"
MEMBER_BALANCES: Final = Listing(
    "member balances",
    f"""
    select listed.account, listed.member, account.currency,
           coalesce(due.billed, 0) as billed, coalesce(due.paid, 0) as paid, coalesce(due.due, 0) as due,
           coalesce(anyb.total, 0) as anyb,
           coalesce(money.member_unapplied, 0) as member_unapplied,
           coalesce(money.member_overpayment, 0) as member_overpayment
      from {_LISTED_MEMBERS}
      left join lateral (select sum(i.billed)::bigint as billed, sum(i.paid)::bigint as paid,
                                sum(i.billed - i.paid - i.written_off
                                    - case when i.billed > 0 then i.offset_amount else -i.offset_amount end
                                )::bigint as due
                           from (select * from {{item}} where member = listed.member offset 0) as i
                           join {{invoice}} as v on v.invoice = i.invoice and v.live
                          where v.account = listed.account) as due on true
      left join {{member_anyb}} as anyb on anyb.account = listed.account and anyb.member = listed.member
      left join lateral (select sum(m.member_unapplied)::bigint as member_unapplied,
                                sum(m.member_overpayment)::bigint as member_overpayment
                           from {{member_money}} as m
                          where m.account = listed.account and m.member = listed.member) as money on true
     {_LISTED_MEMBER}
    """,
    (("member", False, "text"),),
    counted=f"select listed.member from {_LISTED_MEMBERS} {_LISTED_MEMBER}",
)
ACCOUNT_ANYB: Final = Listing(
    "account anyb",
    "select member, total, calculated_at from {member_anyb} where account = %(account)s and total <> 0",
    (("member", False, "text"),),
)


def members_ever_on(reads: Reads, account: str) -> list[str]:
    """The member records that are, were or will be billed on an account, or have an unbilled amount there."""
    rows = reads.fetch(f"select listed.member from {_LISTED_MEMBERS} order by listed.member", {"account": account})
    return [row["member"] for row in rows]


def anyb_changed_at(reads: Reads, account: str) -> dt.datetime | None:
    """When a member's figure on the account last changed."""
    [row] = reads.fetch(
        "select max(calculated_at) as at from {member_anyb} where account = %(account)s", {"account": account}
    )
    at: dt.datetime | None = row["at"]
    return at


def held_members(reads: Reads, account: str) -> int:
    """Members that are or were on the account and have an undecided roll-on."""
    [held] = reads.fetch(
        "select count(distinct m.member) as n from {member} as m join {placement} as p on p.member = m.member"
        " where p.account = %(account)s and m.locked",
        {"account": account},
    )
    return int(held["n"])


# --- Invoices --------------------------------------------------------------------------------------------------------

#: With its runtime status (INV-072, INV-073): only what was issued is a row.
_INVOICE = """
    select v.*, a.currency, a.time_zone, greatest(v.remaining_due - v.held, 0) as collectible_due,
           v.positive_billed - v.paid - v.written_off - v.remaining_due as offset_amount,
           case when not v.live then 'DISCARDED'
                when v.remaining_due - v.held <= 0 then 'PAID'
                when v.remaining_due - v.held = v.positive_billed then 'ISSUED'
                else 'PARTIALLY_PAID' end as status
      from {invoice} as v join {account} as a on a.account = v.account
"""
_INVOICES = (
    f"select * from ({_INVOICE}"
    """
     where v.account = %(account)s
       and (%(live)s::boolean is null or v.live = %(live)s)
       and (%(period_from)s::date is null or v.period_end > %(period_from)s)
       and (%(period_to)s::date is null or v.period_start <= %(period_to)s)
       and (%(number)s::text is null or starts_with(v.invoice, %(number)s))
    ) as found where (%(status)s::text is null or status = %(status)s)
     order by period_start desc, position desc limit %(recent)s
    """
)
#: INV-230, INV-231; `recent` leaves the newest ones, null: all.
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
           t.billing_end, t.location, t.division, t.cause, t.product, t.installment, t.component
"""
#: `names`: whether the caller may know people's names, so that they may order and find rows. NULL is last (PLT-069).
_NAMED: Final = """,
           coalesce(m.customer, '') as customer, case when %(names)s then coalesce(p.last_name, '') else '' end as last,
           case when %(names)s then coalesce(p.first_name, '') else '' end as first,
           coalesce(t.location, chr(1114111)) as location_order, coalesce(t.division, chr(1114111)) as division_order
"""
_ITEMS: Final = """
      from {item} as i join {term} as t on t.invoice = i.invoice and t.term = i.term
      left join {member} as m on m.member = i.member
      left join {search_person} as p on p.member = i.member
     where i.invoice = %(invoice)s and (%(member)s::text is null or i.member = %(member)s)
       and (%(coverage)s::text is null or t.coverage = %(coverage)s)
       and (%(products)s::text[] is null or t.coverage = any(%(products)s::text[]))
       and (%(period)s::date is null or t.billing_start = %(period)s)
       and (%(text)s::text is null or i.member = %(text)s
            or (%(names)s and (p.employee_id = %(text)s or p.last_name ilike %(pattern)s
                               or p.first_name ilike %(pattern)s
                               or p.first_name || ' ' || p.last_name ilike %(pattern)s)))
"""
#: INV-237: by code point, capitals first. The reverse turns all four levels; lines of one member stay in line order.
_BY_MEMBER: Final = (("last", False, "text"), ("first", False, "text"), ("customer", False, "text"),
                     ("member", False, "text"))  # fmt: skip
_BY_LINE: Final = ("line", False, "integer")
#: The orders of an invoice's lines (INV-237, INV-238). A place is known by its line: cursors tell no names.
ITEM_ORDERS: Final = {
    name: Listing(f"invoice items by {name}", _ITEM + _NAMED + _ITEMS, (*columns, _BY_LINE), key=("line", "integer"))
    for name, columns in {
        "LINE": (),
        "MEMBER": _BY_MEMBER,
        "MEMBER_REVERSED": tuple((column, True, kind) for column, _, kind in _BY_MEMBER),
        "POLICY": (("master_policy", False, "text"), *_BY_MEMBER),
        "COVERAGE": (("coverage", False, "text"), *_BY_MEMBER),
        "LOCATION": (("location_order", False, "text"), ("division_order", False, "text"), *_BY_MEMBER),
    }.items()
}


def item_filter(
    invoice: str,
    *,
    member: str | None = None,
    coverage: str | None = None,
    products: Sequence[str] | None = None,
    period: dt.date | None = None,
    text: str | None = None,
    names: bool = False,
) -> dict[str, object]:
    """What an invoice's lines are chosen by (INV-239); `products` are coverages, `text` a member record, and with
    `names` also a part of a name or an employee number."""
    return {
        "invoice": invoice, "member": member, "coverage": coverage, "period": period, "text": text, "names": names,
        "products": None if products is None else list(products), "pattern": None if text is None else containing(text),
    }  # fmt: skip


def periods_of_invoice(reads: Reads, parameters: Mapping[str, object]) -> list[Row]:
    """The invoicing periods an invoice bills, the latest first, each with its chosen lines."""
    return reads.fetch(
        f"""
        select t.billing_start, t.billing_end, count(*) as lines, sum(i.amount)::bigint as amount,
               sum(i.billed)::bigint as billed,
               sum(case when i.billed > 0 then i.billed - i.paid - i.offset_amount - i.written_off else 0 end)::bigint
                   as remaining_due
        {_ITEMS} group by t.billing_start, t.billing_end order by t.billing_start desc
        """,
        parameters,
    )


def products_of_invoice(reads: Reads, invoice: str) -> list[Row]:
    """The coverages with lines on an invoice, with the plans they come in."""
    return reads.fetch(
        """
        select t.coverage, array_agg(distinct t.plan) filter (where t.plan <> '') as plans
          from {term} as t where t.invoice = %(invoice)s
           and exists (select from {item} as i where i.invoice = t.invoice and i.term = t.term)
         group by t.coverage order by t.coverage
        """,
        {"invoice": invoice},
    )


def names_of(reads: Reads, members: Sequence[str]) -> dict[str, Row]:
    """By member record, the person's names and employee number."""
    rows = reads.fetch("select * from {search_person} where member = any(%(members)s)", {"members": list(members)})
    return {row["member"]: row for row in rows}


def invoices_with_waivers(reads: Reads, invoices: Sequence[str]) -> dict[str, bool]:
    """By invoice, that it has waiver lines; absent: it has none."""
    query = "select distinct invoice from {term} where invoice = any(%(invoices)s) and part = 'WAIVER'"
    return {row["invoice"]: True for row in reads.fetch(query, {"invoices": list(invoices)})}


def records_on_invoices(reads: Reads, invoices: Sequence[str]) -> list[str]:
    """The payment records with money on any of the invoices."""
    query = "select distinct record from {allocation} where invoice = any(%(invoices)s) and amount > 0"
    return [row["record"] for row in reads.fetch(query, {"invoices": list(invoices)})]


def find_invoice(reads: Reads, number: str) -> Row | None:
    """An invoice with its currency."""
    rows = reads.fetch(f"{_INVOICE} where v.invoice = %(number)s", {"number": number})
    return rows[0] if rows else None


def dues_of_accounts(reads: Reads, accounts: Sequence[str]) -> dict[str, list[Row]]:
    """By account, its live invoices with what is due on them."""
    query = """
        select account, invoice, period_start, position, due_date, remaining_due, open_credit, paid
          from {invoice} where account = any(%(accounts)s) and live
    """
    return _grouped("account", reads.fetch(query, {"accounts": list(accounts)}))


def product_dues(reads: Reads, account: str, product: str) -> list[Row]:
    """What a product has on each live invoice of an account, by amount type.

    The product of a line is what its installment pays for, else its policy, which has one. Of an invoice on which there
    is nothing else, the invoice's own figures are taken: a large group's lines are many.
    """
    return reads.fetch(
        """
        with mine as (
            select v.invoice, bool_and(coalesce(t.product, t.master_policy) = %(product)s)
                              and bool_and(t.component is distinct from 'TAX') as whole
              from {invoice} as v join {term} as t on t.invoice = v.invoice
             where v.account = %(account)s and v.live
             group by v.invoice having bool_or(coalesce(t.product, t.master_policy) = %(product)s)
        ), part as (
            select v.invoice, 'PREMIUM' as amount_type, v.positive_billed + v.negative_billed as billed, v.paid,
                   v.written_off, v.remaining_due, v.open_credit
              from mine join {invoice} as v on v.invoice = mine.invoice where mine.whole
            union all
            select i.invoice, case when t.component = 'TAX' then 'TAX' else 'PREMIUM' end, sum(i.billed)::bigint,
                   sum(i.paid)::bigint, sum(i.written_off)::bigint,
                   sum(case when i.billed > 0
                            then i.billed - i.paid - i.offset_amount - i.written_off else 0 end)::bigint,
                   sum(case when i.billed < 0 then -i.billed - i.offset_amount else 0 end)::bigint
              from mine
              join {term} as t on t.invoice = mine.invoice and coalesce(t.product, t.master_policy) = %(product)s
              join {item} as i on i.invoice = t.invoice and i.term = t.term
             where not mine.whole group by 1, 2
        )
        select part.*, v.period_start, v.due_date, v.position from part join {invoice} as v on v.invoice = part.invoice
         order by v.position, part.amount_type
        """,
        {"account": account, "product": product},
    )


def overpayment_of_policy(reads: Reads, account: str, master_policy: str) -> int:
    """The overpayment on an account of the members of a policy."""
    [row] = reads.fetch(
        "select coalesce(sum(o.member_overpayment), 0)::bigint as total from {member_money} as o"
        " join {member} as m on m.member = o.member and m.master_policy = %(policy)s where o.account = %(account)s",
        {"account": account, "policy": master_policy},
    )
    return int(row["total"])


def invoices_named(reads: Reads, numbers: Sequence[str]) -> list[Row]:
    """The invoices with these numbers, discarded ones too."""
    return reads.fetch("select * from {invoice} where invoice = any(%(numbers)s)", {"numbers": list(numbers)})


def find_item(reads: Reads, invoice: str, line: int) -> Row | None:
    """One line of an invoice with its terms."""
    sql = _ITEM + " from {item} as i join {term} as t on t.invoice = i.invoice and t.term = i.term"
    parameters = {"invoice": invoice, "line": line}
    rows = reads.fetch(f"{sql} where i.invoice = %(invoice)s and i.line = %(line)s", parameters)
    return rows[0] if rows else None


def items_of_same_charge(reads: Reads, account: str, invoice: str, line: int) -> list[Row]:
    """The lines of the same charge on other live invoices of the account, the first 100 in order of issue."""
    return reads.fetch(
        _ITEM
        + """
          from {item} as own join {term} as terms on terms.invoice = own.invoice and terms.term = own.term
          join lateral (select * from {item} where member = own.member offset 0) as i on true
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
    """What live invoices bill for a policy in the periods that hold the days, by day, plan and coverage, over all
    accounts; 0 for a plan that was billed at any time but not on the day (INV-242).

    decision: the plans of a policy are those that an invoice ever had for it; others have never cost anything.
    """
    return reads.fetch(
        """
        with plan as (
            select t.plan, t.coverage, min(a.currency) as currency
              from {term} as t join {invoice} as v on v.invoice = t.invoice join {account} as a on a.account = v.account
             where t.master_policy = %(policy)s group by t.plan, t.coverage
        ), billed as (
            select d.day, t.plan, t.coverage, sum(i.billed)::bigint as amount
              from {term} as t
              join {invoice} as v on v.invoice = t.invoice and v.live
              join unnest(%(days)s::date[]) as d (day) on v.period_start <= d.day and d.day < v.period_end
              join {item} as i on i.invoice = t.invoice and i.term = t.term
             where t.master_policy = %(policy)s
             group by d.day, t.plan, t.coverage
        )
        select d.day, p.plan, p.coverage, p.currency, coalesce(b.amount, 0) as amount
          from unnest(%(days)s::date[]) as d (day) cross join plan as p
          left join billed as b on b.day = d.day and b.plan = p.plan and b.coverage = p.coverage
         order by d.day, p.plan, p.coverage
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
#: Money without a home, the oldest first (PAY-084): what is suspended, and what has an owner but no invoice.
SUSPENSE_QUEUE: Final = Listing(
    "suspense queue",
    """
    select found.* from (
        select r.*, a.currency, case when r.suspended <> 0 then 'GENERAL_SUSPENSE' else 'UNAPPLIED' end as place,
               case when r.suspended <> 0 then r.suspended else r.unapplied + r.member_unapplied end as open_amount,
               case when r.suspended <> 0 then r.suspended_for else r.explanation end as reason
          from {record} as r join {account} as a on a.account = r.account
         where (r.unapplied <> 0 or r.member_unapplied <> 0 or r.suspended <> 0)
           and (%(account)s::text is null or r.account = %(account)s)
           and (%(date_from)s::date is null or r.transaction_date >= %(date_from)s)
           and (%(date_to)s::date is null or r.transaction_date <= %(date_to)s)
    ) as found
     where (%(place)s::text is null or place = %(place)s) and (%(reason)s::text is null or reason = %(reason)s)
    """,
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

MEMBERS_OF_RECORD: Final = Listing(
    "member money",
    "select * from {member_money} where record = %(record)s and (member_unapplied <> 0 or member_overpayment <> 0)",
    (("member", False, "text"),),
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
        f"select distinct t.coverage, t.sequence_root, t.modal_start, i.invoice from {_LINES_OF_MEMBER} as i"
        " join {invoice} as v on v.invoice = i.invoice and v.live and v.account = %(account)s"
        " join {term} as t on t.invoice = i.invoice and t.term = i.term order by i.invoice",
        {"account": account, "member": member},
    )
    found: dict[tuple[str, str, dt.date], list[str]] = {}
    for row in rows:
        found.setdefault((row["coverage"], row["sequence_root"], row["modal_start"]), []).append(row["invoice"])
    return found


def accounts_of_member(reads: Reads, member: str) -> list[Row]:
    """The accounts a member was ever placed on or invoiced on, by number."""
    return reads.fetch(
        """
        select a.* from {account} as a
         where a.account in (select account from {placement} where member = %(member)s
                             union select v.account from {item} as i join {invoice} as v on v.invoice = i.invoice
                                    where i.member = %(member)s)
         order by a.account
        """,
        {"member": member},
    )


def lines_of_member(reads: Reads, member: str, accounts: Sequence[str]) -> list[Row]:
    """The member's net lines on all invoices of the accounts, discarded ones too, in order of issue."""
    return reads.fetch(
        """
        select i.invoice, i.line, i.billed, v.account, v.issue_date, v.due_date, v.live, t.billing_start, t.billing_end
          from """
        + _LINES_OF_MEMBER
        + """ as i join {invoice} as v on v.invoice = i.invoice
          join {term} as t on t.invoice = i.invoice and t.term = i.term
         where v.account = any(%(accounts)s) and i.billed <> 0
         order by v.position, i.line
        """,
        {"member": member, "accounts": list(accounts)},
    )


def records_on_accounts(reads: Reads, accounts: Sequence[str]) -> list[str]:
    """The payment records of the accounts."""
    query = "select record from {record} where account = any(%(accounts)s) order by record"
    return [row["record"] for row in reads.fetch(query, {"accounts": list(accounts)})]


def records_with_member_money(reads: Reads, member: str, accounts: Sequence[str]) -> list[Row]:
    """The payment records of the accounts that keep, or once kept, money of a member."""
    return reads.fetch(
        "select record, account from {member_money} where account = any(%(accounts)s) and member = %(member)s"
        " order by record",
        {"member": member, "accounts": list(accounts)},
    )


def _grouped(column: str, rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found
