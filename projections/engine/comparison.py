"""Comparing two generations of a projection, which must be equal when both have seen the same events.

First by account: the number of rows and a hash over them, table by table (PLT-108). Where that differs, or always when
asked, row by row, naming the keys. Rows are compared in PostgreSQL's text form: equal means equal byte for byte, not
equal after rounding or folding of case. The hash is over the values themselves, which takes half the time, where no two
values of a column's type are equal and written differently.

The functions only read. They run on connections in repeatable-read transactions of one snapshot, which have no
transaction numbers of their own and so do not hold up the readers of the log, however long it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final

from psycopg.rows import tuple_row

from projections.engine.catalogue import Generation
from projections.engine.database import Connection
from projections.engine.projection import Projection
from projections.engine.table import Table

#: Differing accounts and keys that are named; all are counted.
NAMED: Final = 100


@dataclass(frozen=True, slots=True)
class AccountDifference:
    """An account (empty: the table has none) whose rows differ, with their numbers in both generations."""

    account: str
    live_rows: int
    rebuilt_rows: int


@dataclass(frozen=True, slots=True)
class RowDifference:
    """A key whose row is `MISSING` in the live generation, `SURPLUS` there, or `DIFFERENT`. The key is JSON text."""

    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class TableComparison:
    """What a table holds in both generations, and where they differ. At most NAMED accounts and rows are listed."""

    table: str
    live_rows: int
    rebuilt_rows: int
    differing_accounts: int
    accounts: tuple[AccountDifference, ...]
    differing_rows: int
    rows: tuple[RowDifference, ...]

    @property
    def equal(self) -> bool:
        return self.differing_accounts == 0 and self.differing_rows == 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of all tables, at a position that both generations have reached."""

    position: int
    tables: tuple[TableComparison, ...]

    @property
    def equal(self) -> bool:
        return all(table.equal for table in self.tables)


def compare(
    connections: Sequence[Connection], projection: Projection, live: Generation, rebuilt: Generation, *, every_row: bool
) -> Comparison:
    """Compare all tables; rows one by one only where the hashes differ, or with `every_row` in any case.

    The connections see one snapshot; as many tables are compared at a time as there are connections.
    """
    free: SimpleQueue[Connection] = SimpleQueue()
    for connection in connections:
        free.put(connection)

    def compared(table: Table) -> TableComparison:
        connection = free.get()
        try:
            return _compare(connection, table, live.schema, rebuilt.schema, every_row)
        finally:
            free.put(connection)

    with ThreadPoolExecutor(len(connections), "projection-comparison") as workers:
        return Comparison(rebuilt.highest, tuple(workers.map(compared, projection.tables)))


def _compare(connection: Connection, table: Table, live: str, rebuilt: str, every_row: bool) -> TableComparison:
    by_account = _BY_ACCOUNT.format(
        account=_account(table), row=_hash(table), live=table.qualified(live), rebuilt=table.qualified(rebuilt)
    )
    totals = _rows(connection, by_account)
    live_rows, rebuilt_rows, differing_accounts = totals[0][:3]
    accounts = tuple(AccountDifference(*row[3:]) for row in totals if row[3] is not None)
    differing: list[tuple[Any, ...]] = []
    if every_row or differing_accounts:
        differing = _rows(connection, _by_row(table, live, rebuilt))
    return TableComparison(
        table=table.name,
        live_rows=live_rows,
        rebuilt_rows=rebuilt_rows,
        differing_accounts=differing_accounts,
        accounts=accounts,
        differing_rows=differing[0][0] if differing else 0,
        rows=tuple(RowDifference(kind, key) for _, kind, key in differing),
    )


#: The first three columns are the same in every row; the rest are one differing account each, or empty.
_BY_ACCOUNT: Final = f"""
    with live as (
        select {{account}} as account, count(*) as n, sum({{row}}) as hash
        from {{live}} t group by 1
    ), rebuilt as (
        select {{account}} as account, count(*) as n, sum({{row}}) as hash
        from {{rebuilt}} t group by 1
    ), differing as (
        select coalesce(live.account, rebuilt.account) as account, coalesce(live.n, 0) as live_rows,
            coalesce(rebuilt.n, 0) as rebuilt_rows
        from live full join rebuilt on live.account = rebuilt.account
        where live.n is distinct from rebuilt.n or live.hash is distinct from rebuilt.hash
    )
    select coalesce((select sum(n) from live), 0)::bigint, coalesce((select sum(n) from rebuilt), 0)::bigint,
        (select count(*) from differing), named.account, named.live_rows, named.rebuilt_rows
    from (select 1) as one
    left join (select * from differing order by account limit {NAMED}) as named on true
    order by named.account
"""


#: Types of which equal values may be written differently: 1.0 and 1.00.
_WRITTEN_DIFFERENTLY: Final = frozenset(("numeric", "jsonb"))


def _hash(table: Table) -> str:
    """The hash of a row."""
    if any(column.type in _WRITTEN_DIFFERENTLY for column in table.columns):
        return "hashtextextended(t::text, 0)"
    return "hash_record_extended(t, 0)"


def _account(table: Table) -> str:
    return "''::text" if table.account is None else f"coalesce(t.\"{table.account}\"::text, '')"


def _by_row(table: Table, live: str, rebuilt: str) -> str:
    keys = ", ".join(f'coalesce(l."{name}", r."{name}")' for name in table.key)
    match = " and ".join(f'l."{name}" = r."{name}"' for name in table.key)
    first = table.key[0]
    return f"""
        select count(*) over (),
            case when l."{first}" is null then 'MISSING' when r."{first}" is null then 'SURPLUS' else 'DIFFERENT' end,
            json_build_array({keys})::text
        from {table.qualified(live)} l full join {table.qualified(rebuilt)} r on {match}
        where l::text is distinct from r::text
        order by {keys}
        limit {NAMED}
    """


def _rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return connection.cursor(row_factory=tuple_row).execute(query).fetchall()
