"""`rollon bench`: all measures, one after another, each on a throw-away database on disk with full durability."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

import structlog
import typer
from rich.console import Console
from rich.table import Table

from api.cli.bench import appending, commands, invoicing, reading, rebuilding
from api.cli.bench.measure import Measure

MEASURES: Final[Mapping[str, Callable[[], list[Measure]]]] = {
    "commands": commands.measure,
    "appending": appending.measure,
    "rebuilding": rebuilding.measure,
    "invoicing": invoicing.measure,
    "reading": reading.measure,
}


def bench(
    names: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(MEASURES)}; none: all.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write one JSON record a line.")] = None,
) -> None:
    """Measure the service against floors found on the same machine. Exit code 1 when a wanted ratio is not reached."""
    unknown = sorted(set(names or ()) - set(MEASURES))
    if unknown:
        typer.echo(f"there is no measure {', '.join(unknown)}; there are {', '.join(MEASURES)}", err=True)
        raise typer.Exit(2)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    found: list[Measure] = []
    for name in names or MEASURES:
        typer.echo(f"{name} ...", err=True)
        found += MEASURES[name]()
    if json_file is not None:
        json_file.write_text("".join(json.dumps(one.record()) + "\n" for one in found))
    table = Table("measure", "value", "floor", "unit", "ratio", "wanted", "reached")
    for one in found:
        table.add_row(
            one.name,
            f"{one.value:,.1f}",
            f"{one.floor:,.1f}",
            one.unit,
            f"{one.ratio:.2f}",
            f"{one.wanted:.2f}",
            "yes" if one.reached else "no",
        )
    Console().print(table)
    if not all(one.reached for one in found):
        raise typer.Exit(1)
