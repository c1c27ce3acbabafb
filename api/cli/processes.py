"""The long-running processes: the API, the projector."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from typing import Annotated

import typer
import uvicorn

from api.cli.opening import configured, throw_away


def serve(
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="A throw-away database, own tokens, a movable clock.")
    ] = False,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)] = 8000,
    projecting: Annotated[
        bool, typer.Option("--projector/--no-projector", help="Whether this process also keeps the read models up.")
    ] = True,
) -> None:
    """Serve the API, GraphQL and the documentation pages."""
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
    with ExitStack() as stack:
        system = stack.enter_context(throw_away(url) if sandbox else configured())
        typer.echo(f"commands   {url}/v1/commands/{{CommandName}}")
        typer.echo(f"graphql    {url}/graphql")
        typer.echo(f"reference  {url}/docs")
        if system.settings.sandbox:
            typer.echo(f"token      curl -s {url}/v1/sandbox/token -H 'Content-Type: application/json' "
                       """-d '{"user": "ann", "roles": ["ADM", "BOF"]}'""")  # fmt: skip
        uvicorn.run(
            system.app(projecting=projecting),
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=10,
        )


def projector() -> None:
    """Keep the read models up with the log, until interrupted. Any number may run; one feeds at a time."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with configured() as system:
        system.projector.run(stop)
