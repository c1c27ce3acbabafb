"""Events as an auditor sees them: what happened in a stream, in order, as it was known at a recorded instant."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import strawberry

from api.graphql.context import Context
from api.graphql.paging import After, Connection, First, check_page, check_range, connection, cursor_of, fingerprint_of
from api.graphql.personal import TELLS
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
    payload: Payload = strawberry.field(description="What it says.", extensions=[TELLS])
    hash: str = strawberry.field(description="Its link of the stream's hash chain, hexadecimal.")


def event_of(row: dict[str, Any]) -> Event:
    """The event of a row of the log."""
    return Event(**{**row, "payload": Payload(row["payload"])})


EffectiveFrom = Annotated[
    dt.date | None, strawberry.argument(description="Only events effective on this day or later.")
]
EffectiveTo = Annotated[
    dt.date | None, strawberry.argument(description="Only events effective on this day or earlier.")
]


def stream_history(
    context: Context,
    streams: list[str],
    first: First,
    after: After,
    as_of: dt.datetime | None,
    about: str | None = None,
    *,
    date_from: dt.date | None = None,
    date_to: dt.date | None = None,
) -> Connection[Event]:
    """A page of the events of streams in log order, up to and including a recorded instant (PLT-028); with `about` only
    those whose payload has this text as its `name` or `calendar`, with dates only those effective on these days, both
    included. Raises DATE_RANGE_INVALID."""
    check_range(date_from, date_to)
    chosen = {"as_of": as_of, "about": about, "date_from": date_from, "date_to": date_to}
    fingerprint = fingerprint_of("history", sorted(streams), chosen)
    found = check_page(first, after, fingerprint, 2)
    rows = context.history.page(
        streams,
        as_of=as_of,
        after=(found[0], found[1]) if found else None,
        limit=first + 1,
        about=about,
        date_from=date_from,
        date_to=date_to,
    )
    nodes = [event_of(row) for row, _ in rows[:first]]
    cursors = [cursor_of(fingerprint, place) for _, place in rows[:first]]
    return connection(nodes, cursors, len(rows) > first, after is not None, None)
