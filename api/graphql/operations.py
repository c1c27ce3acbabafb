"""For operators and auditors: where the read models stand, and the events of any stream."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import strawberry

from api.graphql.context import Context
from api.graphql.events import EffectiveFrom, EffectiveTo, Event, stream_history
from api.graphql.guard import read
from api.graphql.paging import (
    DEFAULT_PAGE,
    After,
    Connection,
    First,
    check_page,
    connection,
    cursor_of,
    fingerprint_of,
)
from api.graphql.scalars import Payload, Position
from application.query_trail import DataClass
from projections.engine import catalogue


@strawberry.type(description="How fresh the answer is (PLT-071).")
class Freshness:
    position: Position = strawberry.field(description="The position all read models have reached.")
    as_of: dt.datetime = strawberry.field(description="The instant of the answer.")
    lag_ms: int = strawberry.field(description="How long ago the oldest event not yet seen was recorded; 0: none.")


@strawberry.type(description="Where one generation of a read model stands.")
class ProjectionState:
    name: str = strawberry.field(description="The read model.")
    generation: int = strawberry.field(description="Which copy of its tables.")
    mode: str = strawberry.field(description="INLINE: with the command; FOLLOWING: behind the log.")
    state: str = strawberry.field(description="BUILDING, RUNNING or FAILED.")
    live: bool = strawberry.field(description="Whether queries read it.")
    position: Position = strawberry.field(description="The highest event it holds.")
    events_seen: Position = strawberry.field(description="Events read so far.")
    failed_event_type: str | None = strawberry.field(description="The event it stopped at.")
    failed_position: Position | None = strawberry.field(description="The position it stopped at.")


@strawberry.type(
    description="A query that was answered with personal data, or that showed the lines of an invoice or a member's"
    " figures for another system."
)
class RecordedQuery:
    position: Position = strawberry.field(description="Its number in the trail.")
    recorded_at: dt.datetime = strawberry.field(description="When it was answered, in UTC.")
    actor: str = strawberry.field(description="Who asked.")
    actor_kind: str = strawberry.field(description="USER, MACHINE or JOB.")
    person: str | None = strawberry.field(description="The person behind the login.")
    client: str = strawberry.field(description="The client.")
    address: str | None = strawberry.field(description="The network address it came from.")
    session: str | None = strawberry.field(description="The session.")
    query: Payload = strawberry.field(
        description="The fields asked for that have arguments, with them; words by which people were looked for are"
        " left out."
    )
    classes: list[str] = strawberry.field(
        description="P2 contact, P3 identity, P4 sensitive; AUDIT: this trail was read. Empty: an invoice, or a"
        " member's figures for another system, were viewed."
    )
    objects: list[str] = strawberry.field(
        description="What was shown, such as `member:MR-1`; empty above 200, then the query and the number tell it."
    )
    object_count: int = strawberry.field(description="How many objects were shown.")
    correlation_id: strawberry.ID = strawberry.field(description="The request.")


def _recorded(row: dict[str, Any]) -> RecordedQuery:
    shown = {name: row[name] for name in RecordedQuery.__annotations__}
    return RecordedQuery(**{**shown, "query": Payload(row["query"])})


@strawberry.type
class OperationQueries:
    """The root fields of operations and audit."""

    @strawberry.field(description="How fresh this answer is.")
    def freshness(self, info: strawberry.Info) -> Freshness:
        session = info.context.session
        return Freshness(position=session.position, as_of=session.as_of, lag_ms=session.lag_ms)

    @read("job.view", "Where every read model stands.")
    def projections(self, info: strawberry.Info) -> list[ProjectionState]:
        return [
            ProjectionState(
                name=record.name,
                generation=record.generation,
                mode=record.mode,
                state=record.state,
                live=record.live,
                position=Position(record.highest),
                events_seen=Position(record.events_seen),
                failed_event_type=record.failure.event_type if record.failure else None,
                failed_position=Position(record.failure.position) if record.failure else None,
            )
            for record in catalogue.generations(info.context.connection)
            if record.state != "RETIRED"
        ]

    @read("audit.view", "The events of a stream such as `account:LB000000018`, in order.")
    def events(
        self,
        info: strawberry.Info,
        stream: str,
        first: First = DEFAULT_PAGE,
        after: After = None,
        as_of: dt.datetime | None = None,
        date_from: EffectiveFrom = None,
        date_to: EffectiveTo = None,
    ) -> Connection[Event]:
        return stream_history(info.context, [stream], first, after, as_of, date_from=date_from, date_to=date_to)

    @read(
        "audit.view",
        "Queries that were answered with personal data and views of invoices, in the order of their recording; all"
        " criteria hold together. Reading them is recorded too (PLT-079).",
    )
    def recorded_queries(
        self,
        info: strawberry.Info,
        first: First = DEFAULT_PAGE,
        after: After = None,
        actor: str | None = None,
        concerning: Annotated[
            str | None, strawberry.argument(description="An object that was shown, such as `member:MR-1`.")
        ] = None,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
    ) -> Connection[RecordedQuery]:
        context: Context = info.context
        context.tell("audit:queries", DataClass.AUDIT)
        criteria = {"actor": actor, "concerning": concerning, "since": since, "until": until}
        fingerprint = fingerprint_of("recorded queries", (), criteria)
        place = check_page(first, after, fingerprint, 2)
        rows = context.queries.page(
            actor=actor, concerning=concerning, since=since, until=until,
            after=(place[0], place[1]) if place else None, limit=first + 1,
        )  # fmt: skip
        cursors = [cursor_of(fingerprint, found) for _, found in rows[:first]]
        nodes = [_recorded(row) for row, _ in rows[:first]]
        return connection(nodes, cursors, len(rows) > first, after is not None, None)
