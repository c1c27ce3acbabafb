"""What queries show of cascades."""

from __future__ import annotations

from typing import Final

from projections.engine.listing import Listing
from projections.reads import Reads, Row

RESULTS: Final = Listing(
    "results of a cascade",
    "select member, result, code, dead_letter from {cascades_record} where cascade = %(cascade)s",
    (("member", False, "text"),),
)


def cascades_of(reads: Reads, master_policy: str, transaction_id: str | None, most: int) -> list[Row]:
    """The first cascades of a policy in order of recording, each with the counts of its results as they stand."""
    return reads.fetch(
        """
        select c.*, r.applied, r.skipped, r.dead_lettered, r.refused
          from {cascades_cascade} as c
          left join lateral (select count(*) filter (where result = 'APPLIED') as applied,
                                    count(*) filter (where result = 'SKIPPED') as skipped,
                                    count(*) filter (where result = 'DEAD_LETTERED') as dead_lettered,
                                    count(*) filter (where result = 'REFUSED') as refused
                               from {cascades_record} where cascade = c.cascade) as r on true
         where c.master_policy = %(policy)s
           and (%(transaction)s::text is null or c.transaction_id = %(transaction)s)
         order by c.position limit %(most)s
        """,
        {"policy": master_policy, "transaction": transaction_id, "most": most},
    )


def waiting_members(reads: Reads, cascade: str) -> list[str]:
    """The records of a cascade that wait as dead letters, by number."""
    rows = reads.fetch(
        "select member from {cascades_record} where cascade = %(cascade)s and result = 'DEAD_LETTERED' order by member",
        {"cascade": cascade},
    )
    return [row["member"] for row in rows]
