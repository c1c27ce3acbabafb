"""Events as an auditor sees them: what happened in a stream, in order, as it was known at a recorded instant."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import strawberry

from api.graphql.context import Context
from api.graphql.paging import After, Connection, First, check_page, connection, cursor_of, fingerprint_of
from api.graphql.scalars import Payload, Position


@strawberry.type(description="A stored event.")
class Event:
    position: Position = strawberry.field(description="Its position in the log.")
    event_id: strawberry.ID = strawberry.field(description="Its id.")
    type: str = strawberry.field(description="What happened.")
    schema_version: int = strawberry.field(description="The version of the payload's form.")
    stream: str = strawberry.field(description="The stream it belongs to.")
    stream_position: int = strawberry.field(description="Its number in the stream, from 1.")
    effective_date: dt.date = strawberry.field(description="The business date.")
    recorded_at: dt.datetime = strawberry.field(description="When it was recorded, in UTC.")
    actor: str = strawberry.field(description="Who caused it.")
    actor_kind: str = strawberry.field(description="USER, MACHINE or JOB.")
    channel: str = strawberry.field(description="Where it came from.")
    command_id: strawberry.ID = strawberry.field(description="The command that wrote it.")
    correlation_id: strawberry.ID = strawberry.field(description="What it belongs to.")
    causation_id: strawberry.ID | None = strawberry.field(description="What led to its command.")
    payload: Payload = strawberry.field(description="What it says.")
    hash: str = strawberry.field(description="Its link of the stream's hash chain, hexadecimal.")


EVENT_COLUMNS = (
    "position, event_id::text, type, schema_version, stream, stream_position, effective_date, recorded_at, actor,"
    " actor_kind, channel, command_id::text, correlation_id::text, causation_id::text, payload::text as payload,"
    " encode(hash, 'hex') as hash"
)


def event_of(row: dict[str, Any]) -> Event:
    """The event of a row of the log."""
    return Event(**{**row, "payload": json.loads(row["payload"])})


def stream_history(
    context: Context,
    streams: list[str],
    first: First,
    after: After,
    as_of: dt.datetime | None,
    condition: str = "true",
    parameters: Mapping[str, str] | None = None,
) -> Connection[Event]:
    """A page of the events of streams in log order, up to and including a recorded instant (PLT-028); only those that
    meet a condition, SQL over the columns of the log with named parameters."""
    fingerprint = fingerprint_of(f"history {condition}", sorted(streams), {"as_of": as_of, **(parameters or {})})
    found = check_page(first, after, fingerprint, 2)
    rows = context.session.fetch(
        f"select {EVENT_COLUMNS}, transaction::text as transaction from event where stream = any(%(streams)s)"
        f" and {condition}"
        " and (%(as_of)s::timestamptz is null or recorded_at <= %(as_of)s)"
        " and (transaction, position) > (%(transaction)s::xid8, %(position)s::bigint)"
        " order by event.transaction, event.position limit %(rows)s",
        {
            **(parameters or {}),
            "streams": streams,
            "as_of": as_of,
            "transaction": found[0] if found else "0",
            "position": found[1] if found else "0",
            "rows": first + 1,
        },
    )
    cursors = [cursor_of(fingerprint, [row.pop("transaction"), str(row["position"])]) for row in rows]
    return connection(
        [event_of(row) for row in rows[:first]], cursors[:first], len(rows) > first, after is not None, None
    )
