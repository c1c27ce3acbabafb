"""For operators and auditors: where the read models stand, and the events of any stream."""

from __future__ import annotations

import datetime as dt

import strawberry

from api.graphql.events import Event, stream_history
from api.graphql.guard import read
from api.graphql.paging import DEFAULT_PAGE, After, Connection, First
from api.graphql.scalars import Position
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
    ) -> Connection[Event]:
        return stream_history(info.context, [stream], first, after, as_of)
