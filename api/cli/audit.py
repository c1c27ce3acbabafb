"""The event log at the command line, for auditors: a stream's events in order, the hash chains, an export."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from api.cli.opening import configured
from api.wiring import System
from infrastructure.event_store.export import export_log
from infrastructure.event_store.history import EventHistory
from infrastructure.event_store.verification import check_checkpoint, checkpoints, take_checkpoint, verify_streams
from infrastructure.postgres.audit_chain import seal_audit, verify_audit

audit = typer.Typer(no_args_is_help=True)

#: Events read at a time.
_PORTION = 1_000
_ANY_TIME = dt.datetime.max.replace(tzinfo=dt.UTC)


@audit.command()
def replay(
    stream: Annotated[str, typer.Argument(help="Such as account:LB000000018 or member:MR-1001.")],
    until: Annotated[dt.datetime | None, typer.Option(help="Only what was recorded up to this instant (UTC).")] = None,
) -> None:
    """Print the events of a stream in order, one JSON object a line."""
    instant = _ANY_TIME if until is None else until.replace(tzinfo=dt.UTC)
    found = False
    with configured() as system, system.database.reading() as connection:
        for row in _events(EventHistory(connection), stream, instant):
            found = True
            typer.echo(json.dumps(row, ensure_ascii=False))
    if not found:
        typer.echo(f"there is no event in {stream}", err=True)
        raise typer.Exit(1)


def _events(history: EventHistory, stream: str, until: dt.datetime) -> Iterator[dict[str, object]]:
    after = None
    while portion := history.page([stream], as_of=until, after=after, limit=_PORTION):
        for row, place in portion:
            after = place
            yield {
                "position": row["position"],
                "stream_position": row["stream_position"],
                "type": row["type"],
                "version": row["schema_version"],
                "effective_date": row["effective_date"].isoformat(),
                "recorded_at": row["recorded_at"].isoformat(),
                "actor": f"{row['actor_kind']} {row['actor']}",
                "command_id": row["command_id"],
                "correlation_id": row["correlation_id"],
                "payload": row["payload"],
            }


@audit.command()
def verify(streams: Annotated[list[str] | None, typer.Argument(help="Streams; none: all.")] = None) -> None:
    """Check the hash chain of every stream, the daily checkpoints and the trails of commands and queries.

    A stream that is named and has no events does not hold: there is none, or somebody took it away.
    """
    with configured() as system:
        missing = [stream for stream in streams or () if not _exists(system, stream)]
        breaks = verify_streams(system.database, streams)
        found = checkpoints(system.database)
        for checkpoint in found:
            breaks += check_checkpoint(system.database, checkpoint)
        seal = verify_audit(system.database)
    for stream in missing:
        typer.echo(f"there is no event in {stream}")
    for broken in breaks:
        typer.echo(f"{broken.stream} {broken.stream_position}: {broken.kind}")
    if seal is not None:
        typer.echo(f"{seal.trail}: {seal}")
    if missing or breaks or seal is not None:
        raise typer.Exit(1)
    typer.echo(f"intact; {len(found)} checkpoints")


def _exists(system: System, stream: str) -> bool:
    with system.database.reading() as connection:
        return bool(EventHistory(connection).page([stream], as_of=_ANY_TIME, after=None, limit=1))


@audit.command()
def checkpoint() -> None:
    """Take today's checkpoint over the heads of all streams, and seal the trails up to now."""
    with configured() as system:
        now = system.clock.now()
        taken = take_checkpoint(system.database, now.date(), now)
        sealed = seal_audit(system.database)
    typer.echo(f"{taken.taken_on}: {taken.streams} streams, {taken.hash.hex()}; {sealed} records sealed")


@audit.command()
def export(path: Annotated[Path, typer.Argument(help="The file to write, one JSON object a line.")]) -> None:
    """Write the whole log to a file."""
    with configured() as system:
        count = export_log(system.database, path)
    typer.echo(f"{count} events written to {path}")
