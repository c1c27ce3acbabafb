"""The files of a deployment fit the service: processes that exist, settings that are read, no secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from api.cli.main import app
from api.settings import Settings

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "rollon"}


class Asked(Mapping[str, str]):
    """An empty environment that remembers the names it was asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def settings_read() -> set[str]:
    """The names of all settings."""
    asked = Asked()
    Settings.from_environment(asked)
    return asked.names


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_process_is_a_command_of_the_command_line_with_these_options(name: str) -> None:
    group = get_command(app)
    command, *arguments = OURS[name]["command"]
    # Parses the arguments and runs nothing; a command or an option that does not exist raises.
    group.commands[command].make_context(command, arguments)


def test_the_processes_together_do_everything_once() -> None:
    commands = {tuple(service["command"][:1]) for service in OURS.values()}
    assert commands == {("serve",), ("projector",), ("scheduler",), ("worker",)}
    assert {"--no-projector", "--no-scheduler"} <= set(OURS["api"]["command"])


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_variable_is_a_setting_that_is_read(name: str) -> None:
    assert set(OURS[name]["environment"]) <= settings_read()


def test_no_secret_is_in_the_file() -> None:
    values = [str(value) for service in SERVICES.values() for value in service["environment"].values()]
    assert any("POSTGRES_PASSWORD" in value for value in values)
    for value in values:
        for password in re.findall(r"://[^:/@]+:(.+?)@", value):
            assert password.startswith("${POSTGRES_PASSWORD")
    assert SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")


@pytest.mark.parametrize("name", ["postgres", "api"])
def test_what_others_wait_for_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]
    waited_for = {other for service in OURS.values() for other in service["depends_on"]}
    assert waited_for == {"postgres", "api"}


def test_the_operating_manual_names_every_setting() -> None:
    manual = (ROOT / "docs" / "operating.md").read_text()
    assert {"DATABASE_URL", "BROKER_URL", "OIDC_ISSUER", "ROLLON_SANDBOX", "ROLLON_RATE_USER"} <= settings_read()
    assert {name for name in settings_read() if f"`{name}`" not in manual} == set()


def test_the_image_runs_as_nobody_in_particular_on_checked_packages() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "USER rollon" in lines
    assert any("--require-hashes -r requirements.lock" in line for line in lines)
    copied = {line.split()[1] for line in lines if line.startswith("COPY") and line.endswith(f"./{line.split()[1]}")}
    assert {"domain", "application", "projections", "infrastructure", "api"} <= copied
    entry = next(line for line in lines if line.startswith("CMD"))
    assert '"serve"' in entry
