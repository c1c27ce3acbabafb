"""Finding people and accounts by a part of a name; capitals do not count."""

from __future__ import annotations

from typing import Final

from projections.engine.listing import Listing

PEOPLE: Final = Listing(
    "found members",
    """
    select p.* from {search_person} as p
     where (p.last_name ilike %(pattern)s or p.first_name ilike %(pattern)s
            or p.first_name || ' ' || p.last_name ilike %(pattern)s
            or p.employee_id = %(text)s or p.member = %(text)s)
       and (%(master_policy)s::text is null or p.master_policy = %(master_policy)s)
       and (%(account)s::text is null or exists (select from {placement} as placed
            where placed.member = p.member and placed.account = %(account)s))
    """,
    (
        ("last_name", False, "text"),
        ("first_name", False, "text"),
        ("customer", False, "text"),
        ("member", False, "text"),
    ),
)
ACCOUNT_NAMES: Final = Listing(
    "found accounts",
    """
    select n.account, n.name from {search_account_name} as n
     where n.name ilike %(pattern)s and (%(owner)s::text is null or n.owner = %(owner)s)
    """,
    (("name", False, "text"), ("account", False, "text")),
)


def containing(text: str) -> str:
    """The pattern of the names that contain a text."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
