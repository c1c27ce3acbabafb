"""Opening the service for a command of the command line: on what is configured, or on a throw-away database."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import typer

from api.settings import Settings, SettingsError
from api.wiring import System, open_system
from infrastructure.postgres.server import THROWAWAY_SETTINGS


def settings_of_environment() -> Settings:
    """The settings, or exit code 2 with every unusable value named."""
    try:
        return Settings.from_environment()
    except SettingsError as error:
        typer.echo(f"rollon: {error}", err=True)
        raise typer.Exit(2) from None


@contextmanager
def configured() -> Iterator[System]:
    """The service on the configured database."""
    with open_system(settings_of_environment()) as system:
        yield system


def _memory() -> Path | None:
    """A folder in memory, where the system has one and the user named none: nobody keeps a sandbox's data."""
    memory = Path("/dev/shm")
    usable = not os.environ.get("TMPDIR") and memory.is_dir() and os.access(memory, os.W_OK)
    return memory if usable else None


@contextmanager
def throw_away(public_url: str) -> Iterator[System]:
    """A sandbox on an embedded database in a temporary folder that goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="rollon-sandbox-", dir=_memory()))
    settings = settings_of_environment()
    settings = replace(
        settings,
        sandbox=True,
        database_url=None,
        database_read_url=None,
        data_directory=folder,
        public_url=public_url,
        rates=replace(settings.rates, enabled=False),
    )
    try:
        with open_system(settings, server_settings=THROWAWAY_SETTINGS) as system:
            yield system
    finally:
        shutil.rmtree(folder, ignore_errors=True)
