"""What every endpoint shares: who is asking, how fast they may ask, bodies within limits, blocking work in threads.

The checks keep the order of PLT-013: authentication before anything of the request is looked at, then the rate, then
the privilege, and only then the body. Nothing here knows of a particular endpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar
from uuid import UUID

import anyio
import anyio.to_thread
from starlette.requests import Request

from api.json_text import JsonInvalidError, parse_json
from api.metrics import Metrics
from api.problems import RequestRefused, refused
from api.rate_limit import RateLimiter
from api.services import Services
from application.command import Principal
from application.dispatch import Layer
from application.security import Credentials, NotAuthenticatedError
from domain.platform.privileges import is_portal_user

P = ParamSpec("P")
R = TypeVar("R")

_UTF8: Final = ("", "utf-8", "utf8")


class Edge:
    """The services as the endpoints use them."""

    def __init__(self, services: Services, metrics: Metrics, rates: RateLimiter) -> None:
        self.services = services
        self.metrics = metrics
        self.limits = services.settings.limits
        self._rates = rates
        self._threads = anyio.CapacityLimiter(self.limits.workers)
        self._waiting = 0

    # --- who is asking ---

    async def authenticate(self, request: Request) -> None:
        """Find the principal and keep it with the request. Raises UNAUTHENTICATED, then RATE_LIMITED."""
        credentials = Credentials(request.headers.get("authorization"), address_of(request))
        try:
            principal = await self.run(self.services.authenticator.authenticate, credentials)
        except NotAuthenticatedError as error:
            self.metrics.login_failure()
            request.state.login_failure = error.reason
            raise refused(
                Layer.AUTHENTICATION,
                "UNAUTHENTICATED",
                "no valid credential",
                headers={"WWW-Authenticate": 'Bearer realm="rollon"'},
            ) from None
        request.state.principal = principal
        kind, per_minute = self._rate_of(principal)
        self.limit(f"{kind}:{principal.client}:{principal.identifier}", kind, per_minute)

    def _rate_of(self, principal: Principal) -> tuple[str, int]:
        rates = self.services.settings.rates
        if principal.kind != "USER":
            return "MACHINE", rates.machine
        return ("PORTAL", rates.portal) if is_portal_user(principal.roles) else ("USER", rates.user)

    def limit(self, key: str, kind: str, per_minute: int) -> None:
        """Take one request from the key's rate (PLT-096). Raises RATE_LIMITED."""
        if not self.services.settings.rates.enabled:
            return
        seconds = self._rates.take(key, per_minute)
        if seconds is not None:
            self.metrics.rate_limited(kind)
            raise refused(Layer.FACADE, "RATE_LIMITED", f"at most {per_minute} requests a minute", retry_after=seconds)

    def require(self, request: Request, *privileges: str) -> Principal:
        """The principal, if it holds one of the privileges (none named: any principal). Raises FORBIDDEN."""
        principal = principal_of(request)
        if privileges and principal.privileges.isdisjoint(privileges):
            raise refused(Layer.AUTHORISATION, "FORBIDDEN", "the privilege for this request is missing")
        return principal

    # --- bodies ---

    def require_media_type(self, request: Request, *types: str) -> str:
        """The media type of the body, without parameters. Raises MEDIA_TYPE_UNSUPPORTED."""
        media_type, _, parameters = request.headers.get("content-type", "").partition(";")
        media_type = media_type.strip().lower()
        charset = next((part for part in parameters.lower().split(";") if part.strip().startswith("charset=")), "")
        encoded = request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")
        if media_type not in types or charset.partition("=")[2].strip(' "') not in _UTF8 or encoded:
            raise refused(
                Layer.FACADE, "MEDIA_TYPE_UNSUPPORTED", f"the body is {' or '.join(types)} in UTF-8, not compressed"
            )
        return media_type

    async def body(self, request: Request, max_bytes: int) -> bytes:
        """The body, read while it is no larger than the limit, and within the time a body may take.

        Raises PAYLOAD_TOO_LARGE as soon as it is known to be, REQUEST_INVALID for one that does not arrive.
        """
        declared = request.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared[:20]) > max_bytes:
            raise too_large(max_bytes)
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > max_bytes:
                        raise too_large(max_bytes)
                    chunks.append(chunk)
        except TimeoutError:
            raise refused(Layer.FACADE, "REQUEST_INVALID", "the body did not arrive in time") from None
        return b"".join(chunks)

    async def json(self, request: Request, max_bytes: int | None = None) -> Any:
        """The JSON body. Raises MEDIA_TYPE_UNSUPPORTED, PAYLOAD_TOO_LARGE, REQUEST_INVALID, in this order."""
        self.require_media_type(request, "application/json")
        body = await self.body(request, max_bytes or self.limits.command_bytes)
        return await self.run(self.parse, body)

    def parse(self, text: bytes) -> Any:
        """The value of a JSON text. Raises REQUEST_INVALID with every problem."""
        try:
            return parse_json(text, self.limits.json_depth)
        except JsonInvalidError as error:
            raise RequestRefused(Layer.FACADE, error.problems) from None

    # --- blocking work ---

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run blocking work in a thread of the edge's own. Raises SERVICE_UNAVAILABLE when too many wait already."""
        if self._waiting >= self.limits.waiting + self.limits.workers:
            raise refused(None, "SERVICE_UNAVAILABLE", "too many requests are waiting", retry_after=1)
        self._waiting += 1
        try:
            return await anyio.to_thread.run_sync(lambda: work(*args, **kwargs), limiter=self._threads)
        finally:
            self._waiting -= 1


def principal_of(request: Request) -> Principal:
    """The principal that `Edge.authenticate` found."""
    principal: Principal = request.state.principal
    return principal


def correlation_of(request: Request) -> UUID:
    """The request's correlation id, the caller's own or one that was given to it."""
    correlation_id: UUID = request.state.correlation_id
    return correlation_id


def address_of(request: Request) -> str | None:
    """The network address the request came from, as the server tells it."""
    return request.client.host if request.client else None


def too_large(max_bytes: int) -> RequestRefused:
    """A body above its limit. The rest of it is not read, so the connection cannot be used again."""
    return refused(
        Layer.FACADE, "PAYLOAD_TOO_LARGE", f"the body has more than {max_bytes} bytes", headers={"Connection": "close"}
    )
