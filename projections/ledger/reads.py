"""What queries show of the ledger, inside the snapshot of one query."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from projections.engine.listing import Listing
from projections.reads import Reads, Row

ENTRIES: Final = Listing(
    "journal",
    """
    select e.* from {ledger_entry} as e
     where (%(account)s::text is null or e.account = %(account)s)
       and (%(type)s::text is null or e.type = %(type)s)
       and (%(date_from)s::date is null or e.accounting_date >= %(date_from)s)
       and (%(date_to)s::date is null or e.accounting_date <= %(date_to)s)
       and ((%(invoice)s::text is null and %(payment)s::text is null) or exists (
            select from {ledger_line} as l where l.position = e.position
               and (%(invoice)s::text is null or l.invoice = %(invoice)s)
               and (%(payment)s::text is null or l.payment = %(payment)s)))
    """,
    (("position", False, "bigint"),),
)


def lines_of(reads: Reads, positions: Sequence[int], after: int, first: int) -> dict[int, list[Row]]:
    """The first lines of entries behind a number, by the position of the entry, in order."""
    found: dict[int, list[Row]] = {}
    query = """
        select * from {ledger_line} where position = any(%(positions)s) and number > %(after)s and number <= %(last)s
         order by position, number
    """
    for row in reads.fetch(query, {"positions": list(positions), "after": after, "last": after + first}):
        found.setdefault(row["position"], []).append(row)
    return found


def line_counts(reads: Reads, positions: Sequence[int]) -> dict[int, int]:
    """How many lines entries have, by their positions: they are numbered from 1."""
    query = """
        select position, max(number) as lines from {ledger_line} where position = any(%(positions)s) group by position
    """
    return {row["position"]: row["lines"] for row in reads.fetch(query, {"positions": list(positions)})}


def trial_balance(reads: Reads, first: dt.date, last: dt.date, entity: str | None) -> list[Row]:
    """Opening, debits and credits of each entity, ledger account and currency, for accounting dates, both inclusive."""
    return reads.fetch(
        """
        select entity, code, currency,
               sum(case when accounting_date < %(first)s then debit - credit else 0 end)::bigint as opening,
               sum(case when accounting_date >= %(first)s then debit else 0 end)::bigint as debits,
               sum(case when accounting_date >= %(first)s then credit else 0 end)::bigint as credits
          from {ledger_day}
         where accounting_date <= %(last)s and (%(entity)s::text is null or entity = %(entity)s)
         group by entity, code, currency order by entity, code, currency
        """,
        {"first": first, "last": last, "entity": entity},
    )


def controls_as_of(
    reads: Reads, account: str, codes: Sequence[str], on: dt.date, as_of: dt.datetime | None, time_zone: str
) -> list[Row]:
    """Balances (debits less credits) of control accounts of a billing account by invoice and code, and as `paid` what
    payments took of them; of entries that count on or before a day and were recorded by an instant, which is included.

    Money counts from its effective date on. What invoices post is effective at the start of their period, before or
    behind their issue, and counts from the day of the time zone on which it was posted. With the latest `recorded_at`
    and `position` among the entries.
    """
    return reads.fetch(
        """
        select l.invoice, l.code, sum(l.debit - l.credit)::bigint as balance,
               sum(case when l.payment is null then 0 else l.credit - l.debit end)::bigint as paid,
               max(e.recorded_at) as recorded_at, max(e.position) as position
          from {ledger_line} as l join {ledger_entry} as e on e.position = l.position
         where l.account = %(account)s and l.code = any(%(codes)s)
           and (%(as_of)s::timestamptz is null or e.recorded_at <= %(as_of)s)
           and case when e.class = 'INVOICE' then (e.recorded_at at time zone %(time_zone)s)::date
                    else e.effective_date end <= %(on)s
         group by l.invoice, l.code
        """,
        {"account": account, "codes": list(codes), "on": on, "as_of": as_of, "time_zone": time_zone},
    )


def control_sides(reads: Reads, account: str | None) -> list[Row]:
    """For each account what the balances say and, as `ledger`, what the ledger says by ledger account (LED-049)."""
    return reads.fetch(
        """
        select a.account, a.currency, a.remaining_due, a.open_credit, a.unapplied, a.member_unapplied,
               a.member_overpayment,
               a.total_billed - coalesce((select sum(i.billed) from {invoice} as v
                   join {term} as t on t.invoice = v.invoice and t.component = 'TAX'
                   join {item} as i on i.invoice = t.invoice and i.term = t.term
                  where v.account = a.account and v.live), 0)::bigint as billed_premium,
               coalesce((select sum(r.suspended) from {record} as r where r.account = a.account), 0)::bigint
                   as suspended,
               (select jsonb_object_agg(b.code, b.debit - b.credit)
                  from {ledger_balance} as b where b.account = a.account) as ledger
          from {account} as a where (%(account)s::text is null or a.account = %(account)s)
        """,
        {"account": account},
    )
