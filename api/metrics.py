"""What is counted of commands and requests, for /metrics (PLT-106). Labels are names and codes only, never data."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from application.command import CommandAnswer

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The edge's own figures."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._commands = Counter(
            "rollon_commands", "Commands by name, outcome and code", ["name", "outcome", "code"], registry=registry
        )
        self._duration = Histogram(
            "rollon_command_duration_seconds", "Duration of commands", ["name"], buckets=_BUCKETS, registry=registry
        )
        self._requests = Counter(
            "rollon_http_requests",
            "Requests by route, method and status",
            ["route", "method", "status"],
            registry=registry,
        )
        self._running = Gauge("rollon_http_requests_running", "Requests being served", registry=registry)
        self._logins = Counter("rollon_login_failures", "Requests without valid credentials", registry=registry)
        self._limited = Counter("rollon_rate_limited", "Requests above the rate", ["kind"], registry=registry)

    def command(self, name: str, outcome: str, code: str, seconds: float) -> None:
        """One command. `outcome` is ACCEPTED, REPLAYED, DRY_RUN, REFUSED or FAILED; `code` empty when accepted."""
        self._commands.labels(name, outcome, code).inc()
        self._duration.labels(name).observe(seconds)

    def request(self, route: str, method: str, status: int) -> None:
        self._requests.labels(route, method, str(status)).inc()

    def running(self, step: int) -> None:
        self._running.inc(step)

    def login_failure(self) -> None:
        self._logins.inc()

    def rate_limited(self, kind: str) -> None:
        self._limited.labels(kind).inc()


def outcome_of(answer: CommandAnswer) -> str:
    """The outcome of an answered command."""
    if answer.dry_run:
        return "DRY_RUN"
    return "REPLAYED" if answer.replayed else "ACCEPTED"
