"""Names of accounts and of people, to find them by (ACC search, member search of 03).

The names of people are personal data; nothing but this read model holds them as rows, so that it can be dropped and
built again without them.
"""

from __future__ import annotations

from application.log import RecordedEvent
from domain.accounts.account import BillingAccountCreated
from domain.members.events import MemberPremiumStarted, MemberRecordRenamed
from projections.engine import Column, Index, Mode, Projection, Rows, Table

ACCOUNT_NAME = Table(
    "account_name",
    (Column("account", "text"), Column("name", "text"), Column("owner", "text")),
    key=("account",),
    append_only=True,
    account="account",
)

PERSON = Table(
    "person",
    (
        Column("member", "text"),
        Column("customer", "text"),
        Column("master_policy", "text"),
        Column("last_name", "text"),
        Column("first_name", "text"),
        Column("employee_id", "text", nullable=True),
    ),
    key=("member",),
    indexes=(Index(("last_name", "first_name", "customer", "member")), Index(("employee_id",))),
)

search = Projection("search", version=1, mode=Mode.FOLLOWING, tables=(ACCOUNT_NAME, PERSON))


@search.on(BillingAccountCreated)
def account_created(recorded: RecordedEvent, rows: Rows) -> None:
    event: BillingAccountCreated = recorded.event
    rows["account_name"].append(event.number, event.name, event.owner)


@search.on(MemberPremiumStarted)
def member_started(recorded: RecordedEvent, rows: Rows) -> None:
    event: MemberPremiumStarted = recorded.event
    rows["person"].add(
        {
            "member": event.member_record,
            "customer": event.customer_number,
            "master_policy": event.master_policy,
            "last_name": event.last_name or "",
            "first_name": event.first_name or "",
            "employee_id": event.employee_id,
        }
    )


@search.on(MemberRecordRenamed, person=lambda recorded: (recorded.event.member_record,))
def member_renamed(recorded: RecordedEvent, rows: Rows) -> None:
    event: MemberRecordRenamed = recorded.event
    row = rows["person"].require(event.member_record)
    row["last_name"] = event.last_name or ""
    row["first_name"] = event.first_name or ""
    row["employee_id"] = event.employee_id
