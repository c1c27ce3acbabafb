"""The law every read model must keep: its rows depend on the log alone, not on how the log was cut into batches.

For the tests of any projection: `rows_in_batches` folds a log in given batches into a scratch generation and gives the
rows back as PostgreSQL's text; two ways of cutting must give the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

from application.log import RecordedEvent
from projections.engine import Projection, catalogue
from projections.engine.database import Connections, dedicated
from projections.engine.writer import GenerationWriter

TextRows = dict[str, list[str]]


def rows_in_batches(
    connections: Connections,
    projection: Projection,
    events: Sequence[RecordedEvent],
    sizes: Iterable[int],
    *,
    cache_limit: int = 50_000,
    background: bool = False,
) -> TextRows:
    """The rows by table, in key order, after the events were fed in batches of these sizes, repeated as needed."""
    with dedicated(connections) as connection, ThreadPoolExecutor(1) as worker:
        with connection.transaction():
            record = catalogue.create(connection, projection)
        writer = GenerationWriter(
            projection, record, connection, background=worker if background else None, cache_limit=cache_limit
        )
        for batch in _cut(events, sizes):
            writer.feed(batch)
        writer.settle()
        writer.reload()
        assert not writer.failed, writer.record.failure
        rows = {
            table.name: [
                text
                for (text,) in connection.execute(
                    f"select t::text from {table.qualified(record.schema)} t order by {', '.join(table.key)}"
                )
            ]
            for table in projection.tables
        }
        with connection.transaction():
            catalogue.drop(connection, record)
        return rows


def _cut(events: Sequence[RecordedEvent], sizes: Iterable[int]) -> Iterator[Sequence[RecordedEvent]]:
    start = 0
    for size in cycle(list(sizes)):
        if start >= len(events):
            return
        yield events[start : start + size]
        start += size
