"""Reading the register inside a unit of work: the SQL behind the ports of application.register.

Each class is bound to the cursor of the unit's transaction and to the live generation's tables, so that what it reads
is what the unit's decision is applied to.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from psycopg import Cursor

from application.register import (
    AccountSums,
    AccountTotals,
    AllocationRow,
    Directory,
    FreedRow,
    InvoicedRow,
    InvoiceRow,
    ItemRegister,
    ItemRow,
    JobWork,
    MemberChanges,
    OverpaymentRow,
    PaidInvoiceRow,
    PairRow,
    PendingLetters,
    Placements,
    StatementWindow,
    UnappliedRow,
    WaitingTasks,
)
from domain.accounts.numbering import normalised
from domain.members.record import MEMBER_RECORD
from projections.register.fold import ALLOCATED, DISCARDED, PAYMENT, WRITTEN_OFF

Tables = Mapping[str, str]


class _Queries:
    """Base: SQL with table names in braces, rows as plain tuples."""

    def __init__(self, cursor: Cursor[Any], tables: Tables) -> None:
        self._cursor = cursor
        self._tables = tables

    def _rows(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        self._cursor.execute(sql.format_map(self._tables), parameters)
        return [tuple(row) for row in self._cursor.fetchall()]

    def _value(self, sql: str, parameters: Mapping[str, Any]) -> Any:
        rows = self._rows(sql, parameters)
        return rows[0][0] if rows else None


class DirectoryQueries(_Queries):
    """Port `Directory`."""

    def resolve_account(self, number: str) -> str | None:
        found = self._value("select account from {number} where number = %(number)s", {"number": normalised(number)})
        return None if found is None else str(found)

    def accounts_ever_of(self, owner: str) -> int:
        return int(self._value("select count(*) from {account} where owner = %(owner)s", {"owner": owner}))

    def members_of_policy(self, master_policy: str) -> list[str]:
        sql = "select member from {member} where master_policy = %(policy)s order by member"
        return [row[0] for row in self._rows(sql, {"policy": master_policy})]

    def members_of_customer(self, customer: str) -> list[str]:
        sql = "select member from {member} where customer = %(customer)s order by member"
        return [row[0] for row in self._rows(sql, {"customer": customer})]

    def accounts_on_calendar(self, calendar: str) -> int:
        sql = "select count(*) from {account} where calendar = %(calendar)s"
        return int(self._value(sql, {"calendar": calendar}))

    def units_of(self, sponsor: str) -> list[tuple[str, str]]:
        sql = (
            "with recursive unit as (select customer, role from {customer} where parent = %(sponsor)s union"
            " select c.customer, c.role from {customer} c join unit u on c.parent = u.customer)"
            " select customer, role from unit order by customer"
        )
        return [(row[0], row[1]) for row in self._rows(sql, {"sponsor": sponsor})]

    def is_setup_account(self, account: str) -> bool:
        sql = "select exists(select from {setup_account} where account = %(account)s)"
        return bool(self._value(sql, {"account": account}))

    def plan_of_uri(self, uri: str) -> str | None:
        found: str | None = self._value("select plan from {plan} where uri = %(uri)s", {"uri": uri})
        return found

    def plans(self) -> list[str]:
        return [row[0] for row in self._rows("select plan from {plan} order by plan", {})]


class JobWorkQueries(_Queries):
    """Port `JobWork`."""

    def active_accounts(
        self, after: str, limit: int, excluded: Sequence[str], groups: Sequence[tuple[str, str]] | None = None
    ) -> list[str]:
        sql = (
            "select account from {account} where status = 'ACTIVE' and bill_type is not null and account > %(after)s"
            " and account <> all(%(excluded)s::text[]) and (not %(grouped)s or (coalesce(calendar, ''), time_zone) in"
            " (select * from unnest(%(calendars)s::text[], %(zones)s::text[]))) order by account limit %(limit)s"
        )
        parameters = {
            "after": after,
            "limit": limit,
            "excluded": list(excluded),
            "grouped": groups is not None,
            "calendars": [calendar for calendar, _ in groups or ()],
            "zones": [zone for _, zone in groups or ()],
        }
        return [row[0] for row in self._rows(sql, parameters)]

    def groups(self) -> list[tuple[str, str]]:
        sql = (
            "select distinct coalesce(calendar, '') as calendar, time_zone from {account}"
            " where status = 'ACTIVE' and bill_type is not null order by 1, 2"
        )
        return [(row[0], row[1]) for row in self._rows(sql, {})]

    def failed_generations(self, until: dt.datetime, after: str, limit: int, excluded: Sequence[str]) -> list[str]:
        sql = (
            "select account from {failed_generation} where retry_at <= %(until)s and account > %(after)s"
            " and account <> all(%(excluded)s::text[]) order by account limit %(limit)s"
        )
        parameters = {"until": until, "after": after, "limit": limit, "excluded": list(excluded)}
        return [row[0] for row in self._rows(sql, parameters)]

    def locked_records(
        self, accounts: Sequence[str] | None, after: str, limit: int, excluded: Sequence[str]
    ) -> list[str]:
        sql = (
            "select m.member from {member} m where m.locked and m.member > %(after)s"
            " and (%(accounts)s::text[] is null or exists (select from {placement} p where p.member = m.member"
            " and p.account = any(%(accounts)s)))"
            " and not exists (select from {placement} p where p.member = m.member and p.account = any(%(excluded)s))"
            " order by m.member limit %(limit)s"
        )
        parameters = {
            "accounts": None if accounts is None else list(accounts),
            "after": after,
            "limit": limit,
            "excluded": list(excluded),
        }
        return [row[0] for row in self._rows(sql, parameters)]

    def latest_retry(self, now: dt.datetime) -> dt.datetime | None:
        sql = "select max(retry_at) from {failed_generation} where retry_at <= %(now)s"
        found: dt.datetime | None = self._value(sql, {"now": now})
        return found


class PlacementQueries(_Queries):
    """Port `Placements`."""

    def members_on(self, account: str, first: dt.date, end: dt.date) -> list[str]:
        sql = (
            "select distinct member from {placement} where account = %(account)s and end_day > %(first)s"
            " and first_day < %(end)s and first_day < end_day order by member"
        )
        return [row[0] for row in self._rows(sql, {"account": account, "first": first, "end": end})]

    def ever_on(self, account: str, members: Sequence[str]) -> frozenset[str]:
        sql = (
            "select distinct member from {placement} where account = %(account)s and member = any(%(members)s)"
            " and first_day < end_day"
        )
        return frozenset(row[0] for row in self._rows(sql, {"account": account, "members": list(members)}))

    def has_members_from(self, account: str, day: dt.date) -> bool:
        sql = (
            "select exists(select from {placement} where account = %(account)s and end_day > %(day)s"
            " and first_day < end_day)"
        )
        return bool(self._value(sql, {"account": account, "day": day}))

    def accounts_of(self, member_record: str) -> list[str]:
        sql = "select distinct account from {placement} where member = %(member)s order by account"
        return [row[0] for row in self._rows(sql, {"member": member_record})]


#: Events that are looked through for those of a policy's members.
_LOOKED_THROUGH: Final = 10_000


class MemberChangeQueries(_Queries):
    """Port `MemberChanges`."""

    def horizon(self) -> int:
        return int(self._value("select pg_snapshot_xmin(pg_current_snapshot())::text", {}))

    def changed(self, master_policy: str, since: int) -> bool:
        # Behind very many events it is cheaper to take it that something has changed. The bound also keeps the reading
        # to the index of the log, whatever the planner thinks of its size.
        sql = """
            with later as (select stream from event where transaction >= %(since)s::text::xid8
                            order by transaction, position limit %(most)s)
            select (select count(*) from later) = %(most)s or exists(
                select from later join {member} as m on m.member = substr(later.stream, %(prefix)s + 1)
                 where starts_with(later.stream, %(members)s) and m.master_policy = %(master_policy)s)
        """
        members = MEMBER_RECORD.stream("")
        parameters: dict[str, object] = {
            "since": since, "most": _LOOKED_THROUGH, "members": members, "prefix": len(members),
            "master_policy": master_policy,
        }  # fmt: skip
        return bool(self._value(sql, parameters))


class PendingLetterQueries(_Queries):
    """Port `PendingLetters`."""

    def pending(self, key: str) -> list[str]:
        sql = "select dead_letter from {dead_letter} where key = %(key)s order by position, dead_letter"
        return [row[0] for row in self._rows(sql, {"key": key})]


class WaitingTaskQueries(_Queries):
    """Port `WaitingTasks`."""

    def of_cause(self, cause: str) -> str | None:
        sql = "select task from {task} where cause = %(cause)s and state in ('OPEN', 'CLAIMED')"
        found: str | None = self._value(sql, {"cause": cause})
        return found

    def on_account(self, account: str) -> list[str]:
        sql = "select task from {task} where account = %(account)s and state in ('OPEN', 'CLAIMED') order by task"
        return [row[0] for row in self._rows(sql, {"account": account})]


_INVOICE = (
    "invoice, sequence, period_start, period_end, issue_date, due_date, positive_billed, remaining_due, open_credit,"
    " held, total_due, position"
)
_ITEM = (
    "i.invoice, i.line, i.member, t.coverage, t.plan, t.coverage_class, t.tier, t.sub_group, t.sequence,"
    " t.sequence_id, t.sequence_root, t.sequence_effective, t.master_policy, t.modality, t.modal_start, t.modal_end,"
    " t.covered_from, t.covered_end, t.billing_start, t.billing_end, t.cause, t.location, t.division, t.kind,"
    " i.billed, i.paid, i.offset_amount, i.written_off, i.held"
)
_ITEM_SOURCE = (
    " from {invoice} v join {item} i on i.invoice = v.invoice"
    " join {term} t on t.invoice = i.invoice and t.term = i.term"
)
#: The lines of one invoice, read once whatever the planner thinks of a freshly written one: `offset 0` keeps it from
#: reading them anew for each term.
_LINES_OF_INVOICE = "(select * from {item} where invoice = %(invoice)s offset 0)"
#: Those of some members, found by the member, also while the planner does not know yet how many an invoice has.
_LINES_OF_MEMBERS = "(select * from {item} where member = any(%(members)s) offset 0)"
#: PAY-040.
_ITEM_ORDER = (
    " order by v.due_date, v.period_start, v.invoice, t.billing_start, t.modal_start,"
    " t.sequence_effective nulls last, i.member, t.coverage, t.sequence, i.line"
)


_PAID_ON_ITEMS = """
    v.invoice, v.period_start, v.period_end, bool_or(t.billing_start = v.period_start), sum(i.billed)::bigint,
    sum(greatest(i.billed, 0))::bigint, sum(i.paid)::bigint, sum(i.written_off)::bigint,
    sum(greatest(greatest(i.billed, 0) - i.paid - greatest(i.offset_amount, 0) - i.written_off - i.held, 0))::bigint
"""
_PAID_ON_MEMBER = f"""
    select {_PAID_ON_ITEMS} from {_LINES_OF_MEMBERS} as i
      join {{invoice}} as v on v.invoice = i.invoice and v.live and v.account = %(account)s
      join {{term}} as t on t.invoice = i.invoice and t.term = i.term and t.master_policy = %(policy)s
     group by v.invoice, v.period_start, v.period_end order by v.period_start, v.invoice
"""
# Of an invoice that bills nothing but the policy, its own figures are taken: a large group's lines are many.
_PAID_ON_POLICY = f"""
    with mine as (
        select v.invoice, bool_and(t.master_policy = %(policy)s) as whole,
               bool_or(t.billing_start = v.period_start) as own_period
          from {{invoice}} as v join {{term}} as t on t.invoice = v.invoice
         where v.account = %(account)s and v.live
         group by v.invoice having bool_or(t.master_policy = %(policy)s)
    )
    select v.invoice, v.period_start, v.period_end, mine.own_period, v.positive_billed + v.negative_billed as billed,
           v.positive_billed, v.paid, v.written_off, greatest(v.remaining_due - v.held, 0)
      from mine join {{invoice}} as v on v.invoice = mine.invoice where mine.whole
    union all
    select {_PAID_ON_ITEMS} from mine join {{invoice}} as v on v.invoice = mine.invoice
      join {{term}} as t on t.invoice = mine.invoice and t.master_policy = %(policy)s
      join {{item}} as i on i.invoice = t.invoice and i.term = t.term
     where not mine.whole group by v.invoice, v.period_start, v.period_end
     order by period_start, invoice
"""


class ItemQueries(_Queries):
    """Port `ItemRegister`."""

    def totals(self, account: str) -> AccountTotals:
        rows = self._rows(
            "select remaining_due, open_credit, total_billed, total_paid, written_off, unapplied, member_unapplied,"
            " member_overpayment, anyb from {account} where account = %(account)s",
            {"account": account},
        )
        return AccountTotals(*rows[0]) if rows else AccountTotals()

    def live_invoices(self, account: str, *, open_only: bool) -> list[InvoiceRow]:
        condition = " and (remaining_due <> 0 or open_credit <> 0)" if open_only else ""
        sql = (
            f"select {_INVOICE} from {{invoice}} where account = %(account)s and live{condition}"
            " order by due_date, period_start, invoice"
        )
        return [InvoiceRow(*row) for row in self._rows(sql, {"account": account})]

    def invoices(self, numbers: Sequence[str]) -> list[InvoiceRow]:
        sql = (
            f"select {_INVOICE} from {{invoice}} where invoice = any(%(numbers)s)"
            " order by due_date, period_start, invoice"
        )
        return [InvoiceRow(*row) for row in self._rows(sql, {"numbers": list(numbers)})]

    def open_items(self, account: str, named: Sequence[str] = ()) -> list[ItemRow]:
        sql = (
            f"select {_ITEM}{_ITEM_SOURCE} where v.account = %(account)s and v.live and i.billed > 0"
            " and (v.remaining_due <> 0 and i.billed > i.paid + i.offset_amount + i.written_off + i.held"
            f" or v.invoice = any(%(named)s)){_ITEM_ORDER}"
        )
        return self._items(sql, {"account": account, "named": list(named)})

    def open_items_of(
        self, account: str, *, invoices: Sequence[str], members: Sequence[str], named: Sequence[str]
    ) -> list[ItemRow]:
        found = []
        if members:
            found += self._items(
                f"select {_ITEM} from {_LINES_OF_MEMBERS} i"
                " join {invoice} v on v.invoice = i.invoice join {term} t on t.invoice = i.invoice and t.term = i.term"
                " where v.account = %(account)s and v.live and i.billed > 0 and v.invoice <> all(%(invoices)s)"
                " and (i.billed > i.paid + i.offset_amount + i.written_off + i.held or v.invoice = any(%(named)s))"
                f"{_ITEM_ORDER}",
                {"account": account, "members": list(members), "invoices": list(invoices), "named": list(named)},
            )
        for invoice in invoices:
            found += self._items(
                f"select {_ITEM} from {_LINES_OF_INVOICE} i join {{invoice}} v on v.invoice = i.invoice"
                " join {term} t on t.invoice = i.invoice and t.term = i.term"
                f" where v.account = %(account)s and v.live and i.billed > 0{_ITEM_ORDER}",
                {"account": account, "invoice": invoice},
            )
        return found

    def due_by_product(self, account: str) -> dict[str, int]:
        sql = (
            "select coalesce(t.product, t.master_policy) as product, sum(i.billed - i.paid - i.written_off"
            " - case when i.billed > 0 then i.offset_amount else -i.offset_amount end)"
            f"{_ITEM_SOURCE} where v.account = %(account)s and v.live and (v.remaining_due <> 0 or v.open_credit <> 0)"
            " group by 1 order by 1"
        )
        return {row[0]: int(row[1]) for row in self._rows(sql, {"account": account})}

    def credit_items(self, account: str) -> list[ItemRow]:
        sql = (
            f"select {_ITEM}{_ITEM_SOURCE} where v.account = %(account)s and v.live and v.open_credit <> 0"
            f" and i.billed < 0 and -i.billed > i.offset_amount{_ITEM_ORDER}"
        )
        return self._items(sql, {"account": account})

    def items_of_keys(self, account: str, members: Sequence[str]) -> list[ItemRow]:
        sql = (
            f"select {_ITEM} from {_LINES_OF_MEMBERS} i join {{invoice}} v on v.invoice = i.invoice"
            " join {term} t on t.invoice = i.invoice and t.term = i.term"
            " where v.account = %(account)s and v.live and i.billed <> 0 order by v.position desc, i.line desc"
        )
        return self._items(sql, {"account": account, "members": list(members)})

    def items_of_invoice(self, invoice: str) -> list[ItemRow]:
        sql = (
            f"select {_ITEM} from {_LINES_OF_INVOICE} i join {{term}} t on t.invoice = i.invoice and t.term = i.term"
            " where i.billed <> 0 order by i.line"
        )
        return self._items(sql, {"invoice": invoice})

    def _items(self, sql: str, parameters: Mapping[str, Any]) -> list[ItemRow]:
        return [ItemRow(*row) for row in self._rows(sql, parameters)]

    def invoiced(self, account: str, members: Sequence[str], since: dt.date) -> Iterator[InvoicedRow]:
        sql = (
            "select i.member, t.coverage, t.plan, t.coverage_class, t.tier, t.sub_group, t.sequence_root, t.modality,"
            " t.modal_start, min(t.billing_start), sum(i.amount) filter (where t.part = 'CHARGE'),"
            f" sum(i.amount) filter (where t.part = 'WAIVER') from {_LINES_OF_MEMBERS} i"
            " join {invoice} v on v.invoice = i.invoice join {term} t on t.invoice = i.invoice and t.term = i.term"
            " where v.account = %(account)s and v.live and t.modal_end > %(since)s"
            " group by i.member, t.coverage, t.plan, t.coverage_class, t.tier, t.sub_group, t.sequence_root,"
            " t.modality, t.modal_start order by 1, 2, 3, 4, 5, 6, 7, 8, 9"
        )
        for row in self._rows(sql, {"account": account, "members": list(members), "since": since}):
            yield InvoicedRow._make([*row[:9], row[9], int(row[10] or 0), int(row[11] or 0)])

    def members_with_anyb(self, account: str) -> list[str]:
        sql = (
            "select distinct a.member from {anyb} a join {member} m on m.member = a.member"
            " where a.account = %(account)s and not m.locked order by a.member"
        )
        return [row[0] for row in self._rows(sql, {"account": account})]

    def members_to_republish(self, account: str, invoice: str) -> list[str]:
        sql = (
            "select distinct member from {item} where invoice = %(invoice)s and member <> '' and term = any(array("
            "select t.term from {term} t join {invoice} v on v.invoice = t.invoice where t.invoice = %(invoice)s"
            " and (t.kind = 'RETRO' or t.billing_start <> v.period_start)))"
            " union select member from {anyb} where account = %(account)s order by 1"
        )
        return [row[0] for row in self._rows(sql, {"account": account, "invoice": invoice})]

    def allocations_on(self, invoices: Sequence[str]) -> list[AllocationRow]:
        sql = (
            "select a.record, r.category, a.invoice, a.line, i.member, a.amount, a.position from {allocation} a"
            " join {record} r on r.record = a.record join {item} i on i.invoice = a.invoice and i.line = a.line"
            " where a.invoice = any(%(invoices)s) order by a.position, a.record, a.invoice, a.line"
        )
        return [AllocationRow(*row) for row in self._rows(sql, {"invoices": list(invoices)})]

    def allocations_of(self, record: str) -> list[AllocationRow]:
        sql = (
            "select a.record, r.category, a.invoice, a.line, i.member, a.amount, a.position from {allocation} a"
            " join {record} r on r.record = a.record join {item} i on i.invoice = a.invoice and i.line = a.line"
            " join {invoice} v on v.invoice = i.invoice join {term} t on t.invoice = i.invoice and t.term = i.term"
            f" where a.record = %(record)s{_ITEM_ORDER}"
        )
        return [AllocationRow(*row) for row in self._rows(sql, {"record": record})]

    def account_of_record(self, record: str) -> str | None:
        found = self._value("select account from {record} where record = %(record)s", {"record": record})
        return None if found is None else str(found)

    def account_of_invoice(self, invoice: str) -> tuple[str, bool] | None:
        rows = self._rows("select account, live from {invoice} where invoice = %(invoice)s", {"invoice": invoice})
        return (rows[0][0], rows[0][1]) if rows else None

    def unapplied_records(self, account: str) -> list[UnappliedRow]:
        sql = (
            "select record, payment, category, effective_date, unapplied, refund_locks > 0 from {record}"
            " where account = %(account)s and unapplied <> 0 order by effective_date, payment, record"
        )
        return [UnappliedRow(*row) for row in self._rows(sql, {"account": account})]

    def overpayments(self, account: str) -> list[OverpaymentRow]:
        sql = (
            "select m.record, r.payment, r.category, r.effective_date, m.member, m.member_overpayment"
            " from {member_money} m join {record} r on r.record = m.record"
            " where m.account = %(account)s and m.member_overpayment <> 0 order by m.member, m.record"
        )
        return [OverpaymentRow(*row) for row in self._rows(sql, {"account": account})]

    def paid_invoices(self, account: str, master_policy: str, member: str | None = None) -> list[PaidInvoiceRow]:
        parameters = {"account": account, "policy": master_policy, "members": [member]}
        sql = _PAID_ON_POLICY if member is None else _PAID_ON_MEMBER
        return [PaidInvoiceRow(*row) for row in self._rows(sql, parameters)]

    def excess_freed_by(self, invoice: str) -> list[FreedRow]:
        sql = (
            "select f.record, r.category, f.invoice, f.line, i.member, f.bucket, f.amount, f.position"
            " from {freed} f join {record} r on r.record = f.record"
            " join {item} i on i.invoice = f.invoice and i.line = f.line"
            " where f.caused_by = %(invoice)s order by f.position, f.invoice, f.line"
        )
        return [FreedRow(*row) for row in self._rows(sql, {"invoice": invoice})]

    def members_billed_elsewhere(self, account: str, invoice: str, billing_start: dt.date) -> list[str]:
        sql = (
            "select distinct i.member from {invoice} v join {term} t on t.invoice = v.invoice"
            " join {item} i on i.invoice = t.invoice and i.term = t.term where v.account = %(account)s and v.live"
            " and v.invoice <> %(invoice)s and t.billing_start = %(billing_start)s and i.member <> ''"
            " and v.period_start <> t.billing_start order by i.member"
        )
        parameters = {"account": account, "invoice": invoice, "billing_start": billing_start}
        return [row[0] for row in self._rows(sql, parameters)]

    def invoices_carrying_keys_of(self, invoice: str) -> list[str]:
        sql = (
            f"select distinct o.invoice from {{invoice}} v join {_LINES_OF_INVOICE} i on i.invoice = v.invoice"
            " join {term} t on t.invoice = i.invoice and t.term = i.term"
            " join {item} k on k.member = i.member and k.invoice <> i.invoice"
            " join {term} u on u.invoice = k.invoice and u.term = k.term and u.coverage = t.coverage"
            " and u.plan = t.plan and u.coverage_class = t.coverage_class and u.tier = t.tier"
            " and u.sub_group = t.sub_group and u.sequence_root = t.sequence_root and u.modal_start = t.modal_start"
            " join {invoice} o on o.invoice = k.invoice and o.account = v.account and o.live"
            " and o.sequence > v.sequence where v.invoice = %(invoice)s order by o.invoice"
        )
        return [row[0] for row in self._rows(sql, {"invoice": invoice})]

    def records_of_payment(self, payment: str) -> list[str]:
        sql = "select record from {record} where payment = %(payment)s order by length(record), record"
        return [row[0] for row in self._rows(sql, {"payment": payment})]

    def pairs_of(self, invoice: str) -> list[PairRow]:
        sql = (
            "select negative_invoice, negative_line, positive_invoice, positive_line, amount, matched"
            " from {credit_pair} where negative_invoice = %(invoice)s or positive_invoice = %(invoice)s"
            " order by 1, 2, 3, 4"
        )
        return [PairRow(*row) for row in self._rows(sql, {"invoice": invoice})]

    def statement_window(self, account: str) -> StatementWindow:
        previous = self._rows(
            "select position, total_due from {invoice} where account = %(account)s and live"
            " order by position desc limit 1",
            {"account": account},
        )
        since, total_due = (previous[0][0], previous[0][1]) if previous else (0, 0)
        sums: dict[str, int] = {}
        for kind, amount in self._rows(
            "select kind, sum(amount) from {movement} where account = %(account)s and position > %(since)s"
            " and (kind <> %(discarded)s or issued_at <= %(since)s) group by kind",
            {"account": account, "since": since, "discarded": DISCARDED},
        ):
            sums[kind] = int(amount)
        return StatementWindow(
            previous_total_due=total_due,
            payments_received=sums.get(PAYMENT, 0),
            written_off=sums.get(WRITTEN_OFF, 0),
            discarded_billed=sums.get(DISCARDED, 0),
            payments_allocated=sums.get(ALLOCATED, 0),
            has_previous=bool(previous),
        )


class AccountSumQueries(_Queries):
    """Port `AccountSums`."""

    def differing(self, account: str) -> list[str]:
        # One row: for each total whether it is another than the sum of its parts.
        sql = """
            select a.remaining_due <> i.remaining_due, a.open_credit <> i.open_credit, a.total_billed <> i.billed,
                   a.total_paid <> r.items or a.total_paid <> i.paid, a.unapplied <> r.unapplied,
                   a.member_unapplied <> r.member_unapplied, a.member_overpayment <> r.member_overpayment,
                   a.anyb <> m.anyb
              from {account} as a
             cross join lateral (select coalesce(sum(v.remaining_due), 0) as remaining_due,
                                        coalesce(sum(v.open_credit), 0) as open_credit,
                                        coalesce(sum(v.positive_billed + v.negative_billed), 0) as billed,
                                        coalesce(sum(v.paid), 0) as paid
                                   from {invoice} as v where v.account = a.account and v.live) as i
             cross join lateral (select coalesce(sum(p.items), 0) as items, coalesce(sum(p.unapplied), 0) as unapplied,
                                        coalesce(sum(p.member_unapplied), 0) as member_unapplied,
                                        coalesce(sum(p.member_overpayment), 0) as member_overpayment
                                   from {record} as p where p.account = a.account) as r
             cross join lateral (select coalesce(sum(b.total), 0) as anyb
                                   from {member_anyb} as b where b.account = a.account) as m
             where a.account = %(account)s
        """
        names = (
            "remaining_due", "open_credit", "total_billed", "total_paid", "unapplied", "member_unapplied",
            "member_overpayment", "anyb",
        )  # fmt: skip
        [row] = self._rows(sql, {"account": account})
        return [name for name, differs in zip(names, row, strict=True) if differs]


#: The queries behind each port.
PORTS: Final[Mapping[type, Any]] = {
    Directory: DirectoryQueries,
    Placements: PlacementQueries,
    MemberChanges: MemberChangeQueries,
    PendingLetters: PendingLetterQueries,
    WaitingTasks: WaitingTaskQueries,
    AccountSums: AccountSumQueries,
    ItemRegister: ItemQueries,
    JobWork: JobWorkQueries,
}
