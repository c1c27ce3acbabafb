"""Finding accounts and people by name: whole words are not needed, capitals do not count."""

from __future__ import annotations

from typing import Any

import strawberry

from api.graphql.accounts import BillingAccount, account_of
from api.graphql.balances import account_rows
from api.graphql.context import Context
from api.graphql.guard import read
from api.graphql.paging import DEFAULT_PAGE, After, Connection, First, Listing
from api.graphql.scalars import Position
from domain.errors import refuse
from projections.search.fold import search


@strawberry.type(description="A person with a member record.")
class FoundMember:
    member_record: strawberry.ID = strawberry.field(description="The member record.")
    customer: str = strawberry.field(description="The person's customer number.")
    master_policy: str = strawberry.field(description="The master policy.")
    last_name: str = strawberry.field(description="The last name.")
    first_name: str = strawberry.field(description="The first name.")
    employee_id: str | None = strawberry.field(description="The employee number.")


def _contains(text: str, pointer: str) -> str:
    """A pattern for a part of a name. Raises REQUEST_INVALID for less than two characters."""
    wanted = text.strip()
    if len(wanted) < 2:
        raise refuse("REQUEST_INVALID", "at least two characters", pointer=pointer)
    escaped = wanted.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _member(row: dict[str, Any]) -> FoundMember:
    return FoundMember(
        member_record=strawberry.ID(row["member"]),
        customer=row["customer"],
        master_policy=row["master_policy"],
        last_name=row["last_name"],
        first_name=row["first_name"],
        employee_id=row["employee_id"],
    )


@strawberry.type
class SearchQueries:
    """The root fields of searches."""

    @read("member.view", "People by a part of the name, the employee number or the record number, in order of names.")
    def find_members(
        self,
        info: strawberry.Info,
        text: str,
        first: First = DEFAULT_PAGE,
        after: After = None,
        account: str | None = None,
        master_policy: str | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> Connection[FoundMember]:
        context: Context = info.context
        table = context.session.table(search.name, "person")
        listing = Listing(
            "found members",
            f"""
            select p.* from {table} as p
             where (p.last_name ilike %(pattern)s or p.first_name ilike %(pattern)s
                    or p.first_name || ' ' || p.last_name ilike %(pattern)s
                    or p.employee_id = %(text)s or p.member = %(text)s)
               and (%(master_policy)s::text is null or p.master_policy = %(master_policy)s)
               and (%(account)s::text is null or exists (select from {{placement}} as placed
                    where placed.member = p.member and placed.account = %(account)s))
            """,
            (("last_name", False), ("first_name", False), ("customer", False), ("member", False)),
            ("text", "text", "text", "text"),
        )
        parameters = {
            "pattern": _contains(text, "/text"),
            "text": text.strip(),
            "account": account,
            "master_policy": master_policy,
        }
        return listing.page(context, parameters, first, after, _member)

    @read("account.view", "Accounts by a part of their name, by name.")
    def find_accounts(
        self,
        info: strawberry.Info,
        name: str,
        first: First = DEFAULT_PAGE,
        after: After = None,
        owner: str | None = None,
        min_position: Position | None = None,
        wait_ms: int | None = None,
    ) -> Connection[BillingAccount]:
        context: Context = info.context
        listing = Listing(
            "found accounts",
            f"""
            select n.account, n.name from {context.session.table(search.name, "account_name")} as n
             where n.name ilike %(pattern)s and (%(owner)s::text is null or n.owner = %(owner)s)
            """,
            (("name", False), ("account", False)),
            ("text", "text"),
        )
        parameters = {"pattern": _contains(name, "/name"), "owner": owner}
        page = listing.page(context, parameters, first, after, lambda row: str(row["account"]))
        rows = account_rows(context, page.nodes)
        return page.mapped(lambda account: account_of(rows[account]))
