"""The queues of tasks: one view over all of them, most urgent first (PLT-062)."""

from __future__ import annotations

from typing import Final

from projections.engine.listing import Listing
from projections.reads import Reads, Row

#: With a scope, tasks on accounts whose owner it covers (PLT-036).
TASKS: Final = Listing(
    "tasks",
    """
    with recursive covered as (
        select customer from {customer} where customer = any(%(scope)s::text[])
        union
        select c.customer from {customer} as c join covered on c.parent = covered.customer
    )
    select t.* from {task} as t
     where (t.state = %(state)s or (%(state)s::text is null and t.state in ('OPEN', 'CLAIMED')))
       and (%(queue)s::text is null or t.queue = %(queue)s)
       and (%(type)s::text is null or t.type = %(type)s)
       and (%(priority)s::smallint is null or t.priority = %(priority)s)
       and (%(assignee)s::text is null or t.assignee = %(assignee)s)
       and (%(account)s::text is null or t.account = %(account)s)
       and (%(raised_before)s::timestamptz is null or t.raised_at < %(raised_before)s)
       and (%(scope)s::text[] is null or exists (select from {account} as a
            where a.account = t.account and a.owner in (select customer from covered)))
    """,
    (("priority", True, "smallint"), ("raised_at", False, "timestamptz"), ("task", False, "text")),
)


def find_task(reads: Reads, number: str) -> Row | None:
    """A task by its number."""
    rows = reads.fetch("select * from {task} where task = %(number)s", {"number": number})
    return rows[0] if rows else None
