"""The long-running processes: the API, the projector, the scheduler, workers."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from typing import Annotated

import dramatiq
import typer
import uvicorn

from api.cli.opening import configured, throw_away
from api.log import configure_logging
from infrastructure.jobs.broker import broker_of, runs_actor


def serve(
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="A throw-away database, own tokens, a movable clock.")
    ] = False,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)] = 8000,
    projecting: Annotated[
        bool, typer.Option("--projector/--no-projector", help="Whether this process also keeps the read models up.")
    ] = True,
    scheduling: Annotated[
        bool, typer.Option("--scheduler/--no-scheduler", help="Whether this process also starts jobs by the schedule.")
    ] = True,
) -> None:
    """Serve the API, GraphQL and the documentation pages."""
    # uvicorn ends by giving itself the signal again: this way what was opened is closed, and a sandbox is removed.
    signal.signal(signal.SIGTERM, _leave)
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
    with ExitStack() as stack:
        system = stack.enter_context(throw_away(url) if sandbox else configured())
        configure_logging(system.settings.log_level)
        typer.echo(f"commands   {url}/v1/commands/{{CommandName}}")
        typer.echo(f"graphql    {url}/graphql")
        typer.echo(f"reference  {url}/docs")
        if system.settings.sandbox:
            typer.echo(f"token      curl -s {url}/v1/sandbox/token -H 'Content-Type: application/json' "
                       """-d '{"user": "ann", "roles": ["ADM", "BOF", "POL"]}'""")  # fmt: skip
        uvicorn.run(
            system.app(projecting=projecting, scheduling=scheduling),
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=10,
        )


def _leave(*_: object) -> None:
    raise SystemExit(0)


def projector() -> None:
    """Keep the read models up with the log, until interrupted. Any number may run; one feeds at a time."""
    stop = _until_interrupted()
    with configured() as system:
        system.projector.run(stop)


def scheduler() -> None:
    """Start jobs by the schedule, until interrupted. Any number may run; each time of the schedule starts one run."""
    stop = _until_interrupted()
    with configured() as system:
        system.scheduler.run(stop)


def worker(threads: Annotated[int, typer.Option(help="Runs worked on at a time.", min=1, max=64)] = 2) -> None:
    """Work on runs of jobs that come through the broker of BROKER_URL, until interrupted."""
    stop = _until_interrupted()
    with configured() as system:
        if system.settings.broker_url is None:
            typer.echo("rollon: without BROKER_URL the serving processes work on the runs themselves", err=True)
            raise typer.Exit(2)
        broker = broker_of(system.settings.broker_url)
        runs_actor(broker, lambda run: system.jobs.work(run, stopping=stop.is_set))
        working = dramatiq.Worker(broker, worker_threads=threads)
        working.start()
        typer.echo("working")
        stop.wait()
        working.stop(timeout=30_000)
        broker.close()


def _until_interrupted() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
