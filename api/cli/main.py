"""The command line: one command a way of running or looking at the service.

Every command takes its settings from the environment (api.settings); with nothing configured it works on the embedded
database in `var/`. Exit codes: 0 done, 1 something does not hold (a broken chain, a differing read model), 2 misuse.
"""

from __future__ import annotations

import typer

from api.cli.audit import audit
from api.cli.bench.command import bench
from api.cli.demo.command import demo
from api.cli.importing import import_file
from api.cli.processes import projector, scheduler, serve, worker
from api.cli.projections import projections

app = typer.Typer(
    name="rollon", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Billing for group benefits insurance.",
)  # fmt: skip
app.command()(serve)
app.command()(demo)
app.command()(bench)
app.command()(worker)
app.command()(projector)
app.command()(scheduler)
app.command("import-file")(import_file)
app.add_typer(projections, name="projections", help="Read models: where they stand, rebuilding, verifying.")
app.add_typer(audit, name="audit", help="The event log: replay, verify, export.")

if __name__ == "__main__":
    app()
