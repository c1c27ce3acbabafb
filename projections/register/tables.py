"""The tables of the register. Amounts are minor units of the account's currency; ends of intervals are exclusive."""

from __future__ import annotations

from projections.engine.columns import Column
from projections.engine.table import Index, Table

#: An account with its totals (BAL-013 to BAL-018): all of live invoices and of payments in force.
ACCOUNT = Table(
    "account",
    (
        Column("account", "text"),
        Column("owner", "text"),
        Column("currency", "text"),
        Column("time_zone", "text"),
        Column("status", "text"),
        Column("bill_type", "text", nullable=True),
        Column("allocation_mode", "text", nullable=True),
        Column("calendar", "text", nullable=True),
        Column("remaining_due", "bigint"),
        Column("open_credit", "bigint"),
        Column("total_billed", "bigint"),
        Column("total_paid", "bigint"),
        Column("written_off", "bigint"),
        Column("unapplied", "bigint"),
        Column("member_unapplied", "bigint"),
        Column("member_overpayment", "bigint"),
        Column("anyb", "bigint"),
        Column("position", "bigint"),
        Column("changed_at", "timestamptz"),
    ),
    key=("account",),
    indexes=(Index(("owner",)), Index(("calendar",))),
    account="account",
    fill=70,
)

#: Every number that leads to an account: its own and its legacy number (ACC-013, ACC-014).
NUMBER = Table("number", (Column("number", "text"), Column("account", "text")), key=("number",))

#: Customers, for units and names.
CUSTOMER = Table(
    "customer",
    (Column("customer", "text"), Column("role", "text"), Column("parent", "text", nullable=True)),
    key=("customer",),
    indexes=(Index(("parent",)),),
)

#: Accounts named by enabled entries of the latest issued set-ups (ACC-025).
SETUP_ACCOUNT = Table(
    "setup_account",
    (Column("setup_ref", "text"), Column("account", "text")),
    key=("setup_ref", "account"),
    indexes=(Index(("account",)),),
)

#: Payment plans by the key of their code (CAL-121).
PLAN = Table("plan", (Column("plan", "text"), Column("uri", "text")), key=("plan",))

#: Member records by policy and customer.
MEMBER = Table(
    "member",
    (
        Column("member", "text"),
        Column("customer", "text"),
        Column("master_policy", "text"),
        Column("locked", "boolean"),
    ),
    key=("member",),
    indexes=(Index(("customer",)), Index(("master_policy",)), Index(("member",), where="locked")),
)

#: Which account bills a member on which days; an open end is the last day of the calendar.
PLACEMENT = Table(
    "placement",
    (
        Column("member", "text"),
        Column("first_day", "date"),
        Column("end_day", "date"),
        Column("account", "text"),
        Column("number", "integer"),
    ),
    key=("member", "number"),
    indexes=(Index(("account", "end_day")),),
)

#: The last published ANYB of a member on an account (PRM-123).
MEMBER_ANYB = Table(
    "member_anyb",
    (
        Column("account", "text"),
        Column("member", "text"),
        Column("total", "bigint"),
        Column("calculated_at", "timestamptz"),
    ),
    key=("account", "member"),
    account="account",
)

#: The open keys behind it: what is invoiced, and the difference in its parts (PRM-121).
ANYB = Table(
    "anyb",
    (
        Column("account", "text"),
        Column("member", "text"),
        Column("number", "integer"),
        Column("coverage", "text"),
        Column("plan", "text"),
        Column("coverage_class", "text"),
        Column("tier", "text"),
        Column("sub_group", "text"),
        Column("sequence_root", "text"),
        Column("modality", "text"),
        Column("modal_start", "date"),
        Column("billing_start", "date"),
        Column("kind", "text"),
        Column("invoiced_charge", "bigint"),
        Column("invoiced_waiver", "bigint"),
        Column("charge", "bigint"),
        Column("waiver", "bigint"),
        Column("transactions", "text[]"),
    ),
    key=("account", "member", "number"),
    account="account",
)

#: Invoices with what is due on them, `paid` and `written_off` on their positive lines. `position` is that of the issue.
INVOICE = Table(
    "invoice",
    (
        Column("invoice", "text"),
        Column("account", "text"),
        Column("sequence", "bigint"),
        Column("period_start", "date"),
        Column("period_end", "date"),
        Column("issue_date", "date"),
        Column("due_date", "date"),
        Column("positive_billed", "bigint"),
        Column("negative_billed", "bigint"),
        Column("paid", "bigint"),
        Column("written_off", "bigint"),
        Column("remaining_due", "bigint"),
        Column("open_credit", "bigint"),
        Column("held", "bigint"),
        Column("total_due", "bigint"),
        Column("live", "boolean"),
        Column("position", "bigint"),
    ),
    key=("invoice",),
    indexes=(Index(("account", "period_start"), where="live"),),
    account="account",
    fill=80,
)

#: What many lines of an invoice have in common (see domain.invoices.lines).
TERM = Table(
    "term",
    (
        Column("invoice", "text"),
        Column("term", "integer"),
        Column("kind", "text"),
        Column("part", "text"),
        Column("coverage", "text"),
        Column("plan", "text"),
        Column("coverage_class", "text"),
        Column("tier", "text"),
        Column("sub_group", "text"),
        Column("sequence", "integer"),
        Column("sequence_id", "text"),
        Column("sequence_root", "text"),
        Column("sequence_effective", "date", nullable=True),
        Column("master_policy", "text"),
        Column("modality", "text"),
        Column("modal_start", "date"),
        Column("modal_end", "date"),
        Column("covered_from", "date"),
        Column("covered_end", "date"),
        Column("billing_start", "date"),
        Column("billing_end", "date"),
        Column("location", "text", nullable=True),
        Column("division", "text", nullable=True),
        Column("cause", "text", nullable=True),
        Column("waiver_start", "date", nullable=True),
        Column("product", "text", nullable=True),
        Column("installment", "integer", nullable=True),
        Column("component", "text", nullable=True),
    ),
    key=("invoice", "term"),
    indexes=(Index(("master_policy",)),),
    append_only=True,
)

#: Lines of invoices. `amount` as printed, `billed` as counted: the net of a charge and its waiver line (INV-007).
ITEM = Table(
    "item",
    (
        Column("invoice", "text"),
        Column("line", "integer"),
        Column("member", "text"),
        Column("term", "integer"),
        Column("amount", "bigint"),
        Column("billed", "bigint"),
        Column("paid", "bigint"),
        Column("offset_amount", "bigint"),
        Column("written_off", "bigint"),
        Column("held", "bigint"),
    ),
    key=("invoice", "line"),
    # By term: a join from the few terms of an invoice must not read all its lines for each of them, however wrong the
    # planner's idea of a freshly written invoice is.
    indexes=(Index(("member",)), Index(("invoice", "term"))),
    fill=90,
)

#: Money of payment records on lines; `position` is that of the last allocation of the record to the line.
ALLOCATION = Table(
    "allocation",
    (
        Column("record", "text"),
        Column("invoice", "text"),
        Column("line", "integer"),
        Column("amount", "bigint"),
        Column("position", "bigint"),
    ),
    key=("record", "invoice", "line"),
    indexes=(Index(("invoice", "line"), while_building=True),),
)

#: Payment records with their money by place; `suspended_for` is the reason of the last suspension (PAY-101).
RECORD = Table(
    "record",
    (
        Column("record", "text"),
        Column("payment", "text"),
        Column("account", "text"),
        Column("category", "text"),
        Column("transaction_date", "date"),
        Column("effective_date", "date"),
        Column("amount", "bigint"),
        Column("items", "bigint"),
        Column("unapplied", "bigint"),
        Column("member_unapplied", "bigint"),
        Column("member_overpayment", "bigint"),
        Column("refunded", "bigint"),
        Column("transferred", "bigint"),
        Column("suspended", "bigint"),
        Column("refund_locks", "integer"),
        Column("status", "text", nullable=True),
        Column("explanation", "text", nullable=True),
        Column("suspended_for", "text", nullable=True),
    ),
    key=("record",),
    indexes=(
        Index(("account", "effective_date"), where="unapplied <> 0"),
        Index(("payment",)),
        Index(("account",)),
        Index(("transaction_date", "record"), where="unapplied <> 0 or member_unapplied <> 0 or suspended <> 0"),
    ),
    account="account",
)

#: Member money of records (LIST_BILL INDIVIDUAL, INDIVIDUAL_DIRECT).
MEMBER_MONEY = Table(
    "member_money",
    (
        Column("record", "text"),
        Column("member", "text"),
        Column("account", "text"),
        Column("member_unapplied", "bigint"),
        Column("member_overpayment", "bigint"),
    ),
    key=("record", "member"),
    indexes=(Index(("account", "member")),),
)

#: Credits set against charges (BAL-061, BAL-068).
OFFSET = Table(
    "credit_pair",
    (
        Column("negative_invoice", "text"),
        Column("negative_line", "integer"),
        Column("positive_invoice", "text"),
        Column("positive_line", "integer"),
        Column("amount", "bigint"),
        Column("matched", "boolean"),
    ),
    key=("negative_invoice", "negative_line", "positive_invoice", "positive_line"),
    indexes=(Index(("positive_invoice",), while_building=True),),
)

#: Money that reconciliations freed, by the invoice whose credits caused it (BAL-075).
FREED = Table(
    "freed",
    (
        Column("caused_by", "text"),
        Column("record", "text"),
        Column("invoice", "text"),
        Column("line", "integer"),
        Column("bucket", "text"),
        Column("amount", "bigint"),
        Column("position", "bigint"),
    ),
    key=("caused_by", "record", "invoice", "line", "position"),
    append_only=True,
)

#: Signed movements by recorded position, of which a statement's window is the sum (BAL-044 to BAL-046).
MOVEMENT = Table(
    "movement",
    (
        Column("account", "text"),
        Column("position", "bigint"),
        Column("part", "integer"),
        Column("kind", "text"),
        Column("amount", "bigint"),
        Column("issued_at", "bigint", nullable=True),
    ),
    key=("account", "position", "part"),
    append_only=True,
    account="account",
)

#: Dead letters that are open or waiting, by the record they hold up (MEM-093).
DEAD_LETTER = Table(
    "dead_letter",
    (Column("dead_letter", "text"), Column("key", "text"), Column("position", "bigint")),
    key=("dead_letter",),
    indexes=(Index(("key",)),),
)

#: Accounts whose next invoice could not be generated: when it is tried again; empty: when a user has acted (CAL-079).
FAILED_GENERATION = Table(
    "failed_generation",
    (
        Column("account", "text"),
        Column("period_start", "date"),
        Column("retry_at", "timestamptz", nullable=True),
        Column("task", "text", nullable=True),
    ),
    key=("account",),
    indexes=(Index(("retry_at",)),),
    account="account",
)

#: Tasks for people with what a queue shows of them (PLT-061, PLT-062).
TASK = Table(
    "task",
    (
        Column("task", "text"),
        Column("type", "text"),
        Column("queue", "text"),
        Column("priority", "smallint"),
        Column("privilege", "text"),
        Column("subject", "text"),
        Column("account", "text"),
        Column("cause", "text"),
        Column("code", "text"),
        Column("reason", "text"),
        Column("links", "jsonb"),
        Column("state", "text"),
        Column("assignee", "text", nullable=True),
        Column("raised_at", "timestamptz"),
        Column("reminded_on", "date", nullable=True),
        Column("closed_at", "timestamptz", nullable=True),
        Column("closed_by", "text", nullable=True),
        Column("note", "text", nullable=True),
    ),
    key=("task",),
    indexes=(
        Index(("cause",), where="state in ('OPEN', 'CLAIMED')"),
        Index(("account",)),
        Index(("priority", "raised_at", "task"), where="state in ('OPEN', 'CLAIMED')"),
    ),
    account="account",
)

TABLES = (
    ACCOUNT,
    NUMBER,
    CUSTOMER,
    SETUP_ACCOUNT,
    PLAN,
    MEMBER,
    PLACEMENT,
    MEMBER_ANYB,
    ANYB,
    INVOICE,
    TERM,
    ITEM,
    ALLOCATION,
    RECORD,
    MEMBER_MONEY,
    OFFSET,
    FREED,
    MOVEMENT,
    DEAD_LETTER,
    FAILED_GENERATION,
    TASK,
)
