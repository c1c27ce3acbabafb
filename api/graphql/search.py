"""Finding accounts and people by name: whole words are not needed, capitals do not count."""

from __future__ import annotations

from typing import Any, Final

import strawberry

from api.graphql.accounts import BillingAccount, account_of
from api.graphql.context import Context
from api.graphql.guard import read
from api.graphql.paging import DEFAULT_PAGE, After, Connection, First, page
from api.graphql.personal import of_member
from api.graphql.scalars import Position
from application.query_trail import DataClass
from domain.errors import refuse
from projections.register.reads import account_rows
from projections.search.reads import ACCOUNT_NAMES, PEOPLE, containing

_IDENTITY: Final = of_member(DataClass.IDENTITY)


@strawberry.type(description="A person with a member record.")
class FoundMember:
    member_record: strawberry.ID = strawberry.field(description="The member record.")
    customer: str = strawberry.field(description="The person's customer number.")
    master_policy: str = strawberry.field(description="The master policy.")
    last_name: str = strawberry.field(description="The last name.", extensions=[_IDENTITY])
    first_name: str = strawberry.field(description="The first name.", extensions=[_IDENTITY])
    employee_id: str | None = strawberry.field(description="The employee number.", extensions=[_IDENTITY])


def _contains(text: str, pointer: str) -> str:
    """A pattern for a part of a name. Raises REQUEST_INVALID for less than two characters."""
    wanted = text.strip()
    if len(wanted) < 2:
        raise refuse("REQUEST_INVALID", "at least two characters", pointer=pointer)
    return containing(wanted)


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
        parameters = {
            "pattern": _contains(text, "/text"),
            "text": text.strip(),
            "account": account,
            "master_policy": master_policy,
        }
        return page(context, PEOPLE, parameters, first, after, _member)

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
        parameters = {"pattern": _contains(name, "/name"), "owner": owner}
        found = page(context, ACCOUNT_NAMES, parameters, first, after, lambda row: str(row["account"]))
        rows = account_rows(context.reads, found.nodes)
        return found.mapped(lambda account: account_of(rows[account]))
