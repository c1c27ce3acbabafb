"""Questions about the past of a few streams, inside the snapshot of one query (law 6).

A row is the stored event with its envelope, its payload as stored: what an auditor is shown. Decoded events and states
as of an instant are for whoever works something out from them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg.rows import dict_row

from application.unit_of_work import Loaded
from domain.aggregate import Aggregate
from infrastructure.event_store.codec import decoders
from infrastructure.event_store.streams import fold_rows, load_call, up_to_call
from infrastructure.postgres.connection import StoreConnection

S = TypeVar("S")
Row = dict[str, Any]

_COLUMNS = (
    "event.position, event_id::text, type, schema_version, stream, stream_position, effective_date, recorded_at, actor,"
    " actor_kind, channel, command_id::text, correlation_id::text, causation_id::text, payload,"
    " encode(hash, 'hex') as hash"
)
_KNOWN_BY = "(%(as_of)s::timestamptz is null or recorded_at <= %(as_of)s)"
#: Events of one invoice that are told about one line at most.
_MOST = 100


class EventHistory:
    """Reads events over one connection, in the transaction it has open."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def page(
        self,
        streams: Sequence[str],
        *,
        as_of: dt.datetime | None = None,
        after: tuple[str, str] | None = None,
        limit: int,
        about: str | None = None,
        date_from: dt.date | None = None,
        date_to: dt.date | None = None,
    ) -> list[tuple[Row, tuple[str, str]]]:
        """Events of the streams behind a place, in log order, each with its own place.

        `as_of` includes what was recorded at that very instant (PLT-028); `about` keeps the events whose payload has
        this text as its `name` or `calendar`, the dates those effective on these days, both included.
        """
        rows = self._fetch(
            f"select {_COLUMNS}, event.transaction::text as transaction from event where stream = any(%(streams)s)"
            f" and {_KNOWN_BY} and (%(about)s::text is null or"
            " coalesce(payload ->> 'name', payload ->> 'calendar') = %(about)s)"
            " and (%(date_from)s::date is null or effective_date >= %(date_from)s)"
            " and (%(date_to)s::date is null or effective_date <= %(date_to)s)"
            " and (event.transaction, event.position) > (%(transaction)s::xid8, %(position)s::bigint)"
            " order by event.transaction, event.position limit %(limit)s",
            streams=list(streams),
            as_of=as_of,
            about=about,
            date_from=date_from,
            date_to=date_to,
            transaction=after[0] if after else "0",
            position=after[1] if after else "0",
            limit=limit,
        )
        return [(row, (row.pop("transaction"), str(row["position"]))) for row in rows]

    def family(
        self, stream: str, *, after: tuple[str, str] | None = None, limit: int
    ) -> list[tuple[Row, tuple[str, str]]]:
        """Events of a stream and of those whose names go on behind it with a bar, behind a place, as `page`."""
        rows = self._fetch(
            f"select {_COLUMNS}, event.transaction::text as transaction from event"
            " where (stream = %(stream)s or (stream >= %(stream)s || '|' and stream < %(stream)s || '}'))"
            " and (event.transaction, event.position) > (%(transaction)s::xid8, %(position)s::bigint)"
            " order by event.transaction, event.position limit %(limit)s",
            stream=stream,
            transaction=after[0] if after else "0",
            position=after[1] if after else "0",
            limit=limit,
        )
        return [(row, (row.pop("transaction"), str(row["position"]))) for row in rows]

    def at(self, positions: Iterable[int]) -> dict[int, Row]:
        """The events at positions of the log."""
        rows = self._fetch(f"select {_COLUMNS} from event where position = any(%(at)s)", at=list(positions))
        return {row["position"]: row for row in rows}

    def of_types(self, streams: Sequence[str], *types: type) -> list[tuple[Row, Any]]:
        """The events of these types in the streams, in order, each with the event itself."""
        rows = self._fetch(
            f"select {_COLUMNS}, payload::text as text from event where stream = any(%(streams)s)"
            " and type = any(%(types)s) order by stream, stream_position",
            streams=list(streams),
            types=[kind.__name__ for kind in types],
        )
        return [(row, decoders[row["type"], row["schema_version"]](row.pop("text"))) for row in rows]

    def events(self, aggregate: Aggregate[Any], identifier: str, as_of: dt.datetime | None = None) -> list[Any]:
        """The events of one stream themselves, in order, as known at an instant."""
        rows = self._up_to(aggregate, identifier, as_of)
        return [decoders[row[2], row[3]](row[4]) for row in rows]

    def naming(self, stream: str, transactions: Sequence[str]) -> list[Row]:
        """The events of a stream that name one of the transactions, in order."""
        return self._fetch(
            f"select {_COLUMNS} from event where stream = %(stream)s"
            " and (payload ->> 'transaction_id' = any(%(named)s)"
            " or payload -> 'transaction' ->> 'transaction_id' = any(%(named)s)) order by stream_position",
            stream=stream,
            named=list(transactions),
        )

    def extent(self) -> tuple[int, int]:
        """How many events there are, and in how many streams; counts the whole log."""
        [row] = self._fetch("select count(*) as events, count(distinct stream) as streams from event")
        return row["events"], row["streams"]

    def last_position(self) -> int:
        """The highest position of the log; 0: it is empty."""
        [row] = self._fetch("select coalesce(max(position), 0) as last from event")
        return int(row["last"])

    def last_recorded(self, stream: str, kind: type, as_of: dt.datetime | None = None) -> dt.datetime | None:
        """When the last event of a type was recorded in a stream."""
        [row] = self._fetch(
            f"select max(recorded_at) as at from event where stream = %(stream)s and type = %(type)s and {_KNOWN_BY}",
            stream=stream,
            type=kind.__name__,
            as_of=as_of,
        )
        at: dt.datetime | None = row["at"]
        return at

    def last_totals(
        self, streams: Sequence[str], kind: type, account: str, until: dt.datetime, as_of: dt.datetime | None
    ) -> int:
        """The sum of the last totals that events of a type in the streams told of an account, of those recorded before
        one instant and by another, which is included."""
        [row] = self._fetch(
            "select coalesce(sum(total), 0)::bigint as total from ("
            "select distinct on (stream) (payload ->> 'total')::bigint as total from event"
            " where stream = any(%(streams)s) and type = %(type)s and payload ->> 'account' = %(account)s"
            f" and recorded_at < %(until)s and {_KNOWN_BY} order by stream, stream_position desc) as last",
            streams=list(streams),
            type=kind.__name__,
            account=account,
            until=until,
            as_of=as_of,
        )
        return int(row["total"])

    def of_line(self, stream: str, types: Sequence[type], line: int) -> list[Row]:
        """Of an invoice's events of these types, those of the whole invoice and the chunk that holds a line."""
        return self._fetch(
            f"select {_COLUMNS} from event where stream = %(stream)s and type = any(%(types)s)"
            " and (payload -> 'lines' -> 'first_line' is null"
            " or ((payload -> 'lines' ->> 'first_line')::int <= %(line)s and %(line)s <"
            " (payload -> 'lines' ->> 'first_line')::int + json_array_length(payload -> 'lines' -> 'amounts')))"
            " order by stream_position limit %(most)s",
            stream=stream,
            types=[kind.__name__ for kind in types],
            line=line,
            most=_MOST,
        )

    def sources_of_line(self, stream: str, kind: type, line: int) -> list[str]:
        """The transactions that an invoice's events of a type name for a line; none for one that corrects nothing."""
        rows = self._fetch(
            "select source -> 'transactions' as transactions from event,"
            " lateral json_array_elements(payload -> 'lines' -> 'sources') as source"
            " where stream = %(stream)s and type = %(type)s and (source ->> 'line')::int = %(line)s",
            stream=stream,
            type=kind.__name__,
            line=line,
        )
        return list(rows[0]["transactions"]) if rows else []

    def money_on_lines(
        self, streams: Sequence[str], types: Sequence[type], lines: Collection[tuple[str, int]]
    ) -> list[Row]:
        """What events of these types moved on lines (invoice, line): `type`, its `date`, the line, and the amount.

        The lines are picked where the events lie: one event of a payment of a large group has a thousand of them.
        """
        return self._fetch(
            "select event.type, (payload ->> 'date')::date as date, wanted.invoice, wanted.line, moved.amount"
            " from event, lateral json_array_elements(payload -> 'lines') as part,"
            " lateral (select line::int as line, amount::bigint as amount from rows from"
            " (json_array_elements_text(part -> 'lines'), json_array_elements_text(part -> 'amounts'))"
            " as pair(line, amount)) as moved, unnest(%(invoices)s::text[], %(lines)s::int[]) as wanted(invoice, line)"
            " where stream = any(%(streams)s) and type = any(%(types)s)"
            " and wanted.invoice = part ->> 'invoice' and wanted.line = moved.line"
            " order by stream, stream_position",
            streams=list(streams),
            types=[kind.__name__ for kind in types],
            invoices=[invoice for invoice, _ in lines],
            lines=[line for _, line in lines],
        )

    def states(self, aggregate: Aggregate[S], identifiers: Iterable[str]) -> dict[str, Loaded[S]]:
        """The present states of aggregates with one query; those that do not exist are left out."""
        named = {aggregate.stream(identifier): identifier for identifier in identifiers}
        if not named:
            return {}
        [rows] = self._connection.round_trip(load_call(aggregate, list(named)))
        return {
            named[stream]: Loaded(named[stream], folded.state, folded.head.stream_position)
            for stream, folded in fold_rows(aggregate, rows)
        }

    def state_at(self, aggregate: Aggregate[S], identifier: str, as_of: dt.datetime) -> S | None:
        """The state of an aggregate as it was known at an instant; None when it was not yet there."""
        for _, folded in fold_rows(aggregate, self._up_to(aggregate, identifier, as_of)):
            return folded.state
        return None

    def _up_to(self, aggregate: Aggregate[Any], identifier: str, as_of: dt.datetime | None) -> Sequence[Any]:
        stream = aggregate.stream(identifier)
        [found] = self._fetch(
            f"select coalesce(max(stream_position), 0) as version from event where stream = %(stream)s and {_KNOWN_BY}",
            stream=stream,
            as_of=as_of,
        )
        [rows] = self._connection.round_trip(up_to_call(stream, found["version"]))
        return rows

    def _fetch(self, query: str, **parameters: Any) -> list[Row]:
        cursor: psycopg.Cursor[Mapping[str, Any]] = self._connection.cursor(row_factory=dict_row)
        return [dict(row) for row in cursor.execute(query, parameters).fetchall()]
