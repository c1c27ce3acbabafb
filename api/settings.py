"""Settings: everything a deployment may choose, read from the environment once, at start.

Nothing configured is a sandbox on an embedded database: it runs, and it accepts no token but its own. A production
environment names its database and its token issuer. Secrets come from the environment only and are never logged: the
text form of the settings leaves them out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_TRUE: Final = ("1", "true", "yes", "on")
_FALSE: Final = ("", "0", "false", "no", "off")


class SettingsError(ValueError):
    """The environment holds values that cannot be used; the message names all of them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A limit on everything a client may send. Sizes in bytes, times in seconds."""

    command_bytes: int = 5_000_000
    batch_bytes: int = 20_000_000
    batch_items: int = 500
    line_bytes: int = 1_000_000
    stream_lines: int = 1_000_000
    upload_bytes: int = 200_000_000
    json_depth: int = 32
    #: For a whole body of a command or batch, and between two parts of a stream.
    body_seconds: float = 60.0
    upload_seconds: float = 900.0
    #: Threads that execute commands, and how many requests may wait for one before 503 is answered.
    workers: int = 16
    waiting: int = 500


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a minute by kind of client (PLT-096)."""

    enabled: bool = True
    user: int = 300
    portal: int = 60
    machine: int = 3000
    logins: int = 10


@dataclass(frozen=True, slots=True)
class Settings:
    """What a deployment chose. `sandbox` marks a non-production environment (PLT-050)."""

    sandbox: bool = False
    database_url: str | None = field(default=None, repr=False)
    database_read_url: str | None = field(default=None, repr=False)
    broker_url: str | None = field(default=None, repr=False)
    data_directory: Path = Path("var")
    public_url: str = "http://127.0.0.1:8000"
    oidc_issuer: str | None = None
    oidc_audience: str | None = None
    oidc_jwks_url: str | None = None
    oidc_roles_claim: str = "roles"
    cors_origins: tuple[str, ...] = ()
    log_level: str = "INFO"
    limits: Limits = field(default_factory=Limits)
    rates: Rates = field(default_factory=Rates)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """The settings of the process environment. Raises SettingsError naming every unusable value."""
        read = _Reader(os.environ if environment is None else environment)
        # A database or an issuer of one's own is the mark of a deployment; without them it is a sandbox.
        bare = not read.has("DATABASE_URL") and not read.has("OIDC_ISSUER")
        sandbox = read.flag("ROLLON_SANDBOX", bare)
        settings = cls(
            sandbox=sandbox,
            database_url=read.text("DATABASE_URL"),
            database_read_url=read.text("DATABASE_READ_URL"),
            broker_url=read.text("BROKER_URL"),
            data_directory=Path(read.text("ROLLON_DATA") or "var"),
            public_url=(read.text("ROLLON_PUBLIC_URL") or "http://127.0.0.1:8000").rstrip("/"),
            oidc_issuer=read.text("OIDC_ISSUER"),
            oidc_audience=read.text("OIDC_AUDIENCE"),
            oidc_jwks_url=read.text("OIDC_JWKS_URL"),
            oidc_roles_claim=read.text("OIDC_ROLES_CLAIM") or "roles",
            cors_origins=read.words("ROLLON_CORS_ORIGINS"),
            log_level=(read.text("ROLLON_LOG_LEVEL") or "INFO").upper(),
            limits=Limits(
                command_bytes=read.number("ROLLON_MAX_COMMAND_BYTES", 5_000_000, 1_000, 100_000_000),
                batch_bytes=read.number("ROLLON_MAX_BATCH_BYTES", 20_000_000, 1_000, 200_000_000),
                upload_bytes=read.number("ROLLON_MAX_UPLOAD_BYTES", 200_000_000, 1_000, 10_000_000_000),
                workers=read.number("ROLLON_WORKERS", 16, 1, 256),
            ),
            rates=Rates(
                enabled=read.flag("ROLLON_RATE_LIMITS", not sandbox),
                user=read.number("ROLLON_RATE_USER", 300, 1, 1_000_000),
                portal=read.number("ROLLON_RATE_PORTAL", 60, 1, 1_000_000),
                machine=read.number("ROLLON_RATE_MACHINE", 3000, 1, 10_000_000),
                logins=read.number("ROLLON_RATE_LOGINS", 10, 1, 1_000_000),
            ),
        )
        read.check(settings.oidc_issuer is None or settings.oidc_audience is not None, "OIDC_AUDIENCE is missing")
        read.check("*" not in settings.cors_origins, "ROLLON_CORS_ORIGINS is a list of origins, never *")
        read.finish()
        return settings


class _Reader:
    """Reads values and gathers what is wrong with them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._faults: list[str] = []

    def has(self, name: str) -> bool:
        return bool(self._environment.get(name, "").strip())

    def text(self, name: str) -> str | None:
        return self._environment.get(name, "").strip() or None

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(word for word in (self.text(name) or "").replace(",", " ").split() if word)

    def flag(self, name: str, default: bool) -> bool:
        value = self._environment.get(name)
        if value is None:
            return default
        self.check(value.strip().lower() in _TRUE + _FALSE, f"{name} is true or false")
        return value.strip().lower() in _TRUE

    def number(self, name: str, default: int, low: int, high: int) -> int:
        text = self.text(name)
        if text is None:
            return default
        fits = text.isascii() and text.isdigit() and low <= int(text) <= high
        self.check(fits, f"{name} is a number from {low} to {high}")
        return int(text) if fits else default

    def check(self, holds: Callable[[], bool] | bool, fault: str) -> None:
        if not (holds if isinstance(holds, bool) else holds()):
            self._faults.append(fault)

    def finish(self) -> None:
        if self._faults:
            raise SettingsError("; ".join(self._faults))
