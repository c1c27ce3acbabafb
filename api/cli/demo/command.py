"""`rollon demo`: tells the story on a throw-away service, shows what came of it, and checks it."""

from __future__ import annotations

import time

import structlog
import typer
from rich.console import Console
from rich.table import Table

from api.cli.demo.checks import checks
from api.cli.demo.service import DemoError, served
from api.cli.demo.story import START, Story
from api.cli.demo.tables import answers, show
from api.wiring import System
from infrastructure.event_store.history import EventHistory


def demo() -> None:
    """Show four months of a group on a throw-away service: files in, invoices, late changes, money, checks."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    console = Console(width=160) if not Console().is_terminal else Console()
    begun = time.monotonic()
    failed = False
    with served(START) as (system, client):
        story = Story(client, lambda text: console.print(f"[dim]·[/dim] {text}"), lambda: _last_position(system))
        try:
            story.tell()
        except DemoError as error:
            console.print(f"[red]the story broke off:[/red] {error}")
            raise typer.Exit(1) from None
        found = answers(client, story.account, _last_position(system))
        show(console, client, story.account, found, story.cases)
        table = Table("check", "holds", "figures", title="Checks", title_justify="left", title_style="bold")
        for check in checks(system, client, found, story.received):
            failed = failed or not check.holds
            table.add_row(check.name, "yes" if check.holds else "[red]NO[/red]", check.figures)
        console.print(table)
    console.print(f"{time.monotonic() - begun:.1f} s")
    if failed:
        raise typer.Exit(1)


def _last_position(system: System) -> int:
    with system.database.writing() as connection:
        return EventHistory(connection).last_position()
