"""The frame around every request: its ids, its log line, its security headers, and the last word when something fails.

A failure inside leaves as a problem document that tells nothing of it (PLT-016); log lines name the caller by a digest,
and a route by its pattern, so that neither tells of a person (PLT-092).
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import MutableMapping
from typing import Any, Final
from uuid import UUID

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.failures import log_failure, refusal_of
from api.metrics import Metrics
from api.problems import problem_response
from application.clock import UuidSource
from application.command import Principal

log: Final = structlog.get_logger("rollon.api")

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

#: Set on every response that does not set them itself (PLT-097).
_SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_STRICT_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"


class RequestFrame:
    """Outermost ASGI layer. Applications mounted under `mounted` paths set their own content policy."""

    def __init__(self, app: ASGIApp, *, ids: UuidSource, metrics: Metrics, mounted: tuple[str, ...] = ()) -> None:
        self._app = app
        self._ids = ids
        self._metrics = metrics
        self._mounted = mounted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._ids.new()
        state: MutableMapping[str, Any] = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["correlation_id"] = _correlation_id(Headers(scope=scope)) or request_id
        began = time.perf_counter()
        status = 0

        async def framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._complete(MutableHeaders(scope=message), scope, state)
            await send(message)

        self._metrics.running(1)
        try:
            await self._app(scope, receive, framed)
        except ClientDisconnect:
            status = status or 499
        except Exception as failure:
            log_failure(failure, state["request_id"], state["correlation_id"])
            if status:  # the response had begun: it can only be cut off
                raise
            response = problem_response(refusal_of(failure), state["request_id"], state["correlation_id"])
            await response(scope, receive, framed)
        finally:
            self._metrics.running(-1)
            self._log_request(scope, state, status, time.perf_counter() - began)

    def _complete(self, headers: MutableHeaders, scope: Scope, state: MutableMapping[str, Any]) -> None:
        headers["X-Request-Id"] = str(state["request_id"])
        headers["X-Correlation-Id"] = str(state["correlation_id"])
        for name, value in _SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        if not scope["path"].startswith(self._mounted or ("\0",)):
            headers.setdefault("Content-Security-Policy", _STRICT_POLICY)
        if scope.get("scheme") == "https":
            headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")

    def _log_request(self, scope: Scope, state: MutableMapping[str, Any], status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path_format", None) or "unmatched"
        self._metrics.request(route, scope["method"] if scope["method"].isalpha() else "OTHER", status)
        log.info(
            "request",
            request_id=str(state["request_id"]),
            correlation_id=str(state["correlation_id"]),
            method=scope["method"],
            route=route,
            status=status,
            duration_ms=round(seconds * 1000, 1),
            **_who(state.get("principal")),
            **({"login_failure": state["login_failure"]} if "login_failure" in state else {}),
        )


def _who(principal: Principal | None) -> dict[str, str]:
    """The caller in the log: its kind and client, and a digest of its name, which may be an e-mail address."""
    if principal is None:
        return {}
    digest = hashlib.sha256(principal.identifier.encode()).hexdigest()[:16]
    return {"principal": digest, "principal_kind": principal.kind, "client": principal.client}


def _correlation_id(headers: Headers) -> UUID | None:
    text = headers.get("x-correlation-id", "")
    return UUID(text) if _UUID.fullmatch(text) else None
