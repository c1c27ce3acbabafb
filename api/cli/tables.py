"""Tables on standard output: as wide as the terminal, and whole where there is none, for a pipe or a file."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

#: Columns of a table that nobody looks at on a terminal: cut names could not be searched for.
_UNLIMITED = 1_000


def show(table: Table) -> None:
    """Print a table."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_UNLIMITED)
    console.print(table)
