"""Read models at the command line: where they stand, rebuilding and verifying them beside the live ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from api.cli.opening import configured
from api.cli.tables import show
from api.wiring import System
from projections.engine import Outcome
from projections.engine import Progress as Step
from projections.engine.rebuild import Report

projections = typer.Typer(no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(help="Names of read models; none: all.")]


@projections.command()
def status() -> None:
    """Show every read model: state, position, events behind, lag."""
    table = Table("read model", "generation", "mode", "state", "live", "position", "behind", "lag ms", "failure")
    with configured() as system:
        for record in system.statuses.all():
            failure = "" if record.failure is None else f"{record.failure.position} {record.failure.event_type}"
            table.add_row(
                record.name,
                str(record.generation),
                record.mode,
                record.state + (" (outdated)" if record.outdated else ""),
                "yes" if record.live else "no",
                str(record.position),
                str(record.events_behind),
                str(record.lag_ms),
                failure,
            )
    show(table)


@projections.command()
def rebuild(
    names: Names = None,
    reason: Annotated[
        str | None, typer.Option(help="Why a rebuild that differs from the live rows is to go live.")
    ] = None,
    restart: Annotated[bool, typer.Option(help="Begin anew instead of going on with an interrupted rebuild.")] = False,
) -> None:
    """Build read models anew beside the live ones, compare, and switch. Queries and commands go on meanwhile."""
    with configured() as system:
        with _bar() as step:
            reports = system.rebuilder.rebuild(_known(system, names), reason=reason, restart=restart, progress=step)
        for report in reports:
            typer.echo(f"{report.projection}: {report.outcome} generation {report.generation}, {report.events} events")
    if any(report.outcome is not Outcome.SWITCHED for report in reports):
        raise typer.Exit(1)


@projections.command()
def verify(names: Names = None) -> None:
    """Compare the live rows with a rebuild, row by row; nothing is changed."""
    with configured() as system:
        with _bar() as step:
            reports = system.rebuilder.verify(_known(system, names), progress=step)
        for report in reports:
            typer.echo(f"{report.projection}: {'equal' if report.equal else 'DIFFERENT'}")
            for table in report.comparison.tables if report.comparison else ():
                if table.differing_rows:
                    typer.echo(f"  {table.table}: {table.differing_rows} rows, such as {table.rows[:3]}")
    if not all(report.equal for report in reports):
        raise typer.Exit(1)


@projections.command()
def retry(name: str) -> None:
    """Let a failed read model go on from the event it stopped at."""
    with configured() as system:
        if not system.rebuilder.retry(_known(system, [name])[0]):
            typer.echo(f"{name} has not failed", err=True)
            raise typer.Exit(1)


def _known(system: System, names: list[str] | None) -> list[str]:
    unknown = sorted(set(names or ()) - set(system.projections))
    if unknown:
        typer.echo(f"there is no read model {', '.join(unknown)}; there are {', '.join(system.projections)}", err=True)
        raise typer.Exit(2)
    return names or list(system.projections)


@contextmanager
def _bar() -> Iterator[Report]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rate]}/s"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("reading", total=1.0, rate=0)

        def step(made: Step) -> None:
            progress.update(task, completed=made.fraction, description=made.phase, rate=made.rate)

        yield step
