"""What only a sandbox has: tokens for the asking, and a clock that can be moved (PLT-050).

    POST /v1/sandbox/token        {"user": "ann", "roles": ["BOF"]} -> a bearer token
    GET  /v1/sandbox/jwks.json    the key it is signed with
    GET  /v1/sandbox/.well-known/openid-configuration
    GET  /v1/sandbox/clock        what time it is
    POST /v1/sandbox/clock        {"now": "..."} or {"advance": {"days": 1}}; not behind what is recorded

Elsewhere these addresses do not exist.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, Final

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from api.edge import Edge, address_of
from api.problems import RequestRefused, not_found, refused, to_json
from api.services import TokenIssuer
from application.clock import ClockBehindRecordsError, MovableClock
from application.dispatch import Layer
from domain.errors import Problem
from domain.platform.privileges import Role, forbidden_combinations

_INSTANT: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})", re.ASCII)
_UNITS: Final = ("days", "hours", "minutes", "seconds")
_NAME: Final = re.compile(r"[A-Za-z0-9._@:-]{1,100}")
#: The clock moves within these years: from where the milliseconds of ids begin, far from the end of dates.
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 2200


class Sandbox:
    """The endpoints of the sandbox."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    def routers(self) -> tuple[APIRouter, APIRouter]:
        """The routes open to all, and those of the clock."""
        tokens = APIRouter(include_in_schema=False)
        tokens.add_api_route("/v1/sandbox/token", self.token, methods=["POST"])
        tokens.add_api_route("/v1/sandbox/jwks.json", self.jwks, methods=["GET"])
        tokens.add_api_route("/v1/sandbox/.well-known/openid-configuration", self.discovery, methods=["GET"])
        exists_and_authenticated = [Depends(self._exists), Depends(self._edge.authenticate)]
        clock = APIRouter(dependencies=exists_and_authenticated, include_in_schema=False)
        clock.add_api_route("/v1/sandbox/clock", self.clock, methods=["GET"])
        clock.add_api_route("/v1/sandbox/clock", self.move_clock, methods=["POST"])
        return tokens, clock

    def _issuer(self) -> TokenIssuer:
        issuer = self._edge.services.sandbox_issuer
        if issuer is None or not self._edge.services.settings.sandbox:
            raise not_found()
        return issuer

    def _clock(self) -> MovableClock:
        clock = self._edge.services.sandbox_clock
        if clock is None or not self._edge.services.settings.sandbox:
            raise not_found()
        return clock

    async def _exists(self) -> None:
        self._clock()

    async def token(self, request: Request) -> Response:
        """A token for a user with roles."""
        issuer = self._issuer()
        self._edge.limit(f"login:{address_of(request)}", "LOGIN", self._edge.services.settings.rates.logins)
        wanted = _token_request(await self._edge.json(request))
        token = await self._edge.run(issuer.token, wanted.pop("user"), wanted.pop("roles"), **wanted)
        document = {"access_token": token, "token_type": "Bearer", "expires_in": issuer.lifetime}
        return Response(to_json(document), 200, {}, "application/json")

    async def jwks(self) -> Response:
        """The public key of the issuer."""
        return Response(to_json(self._issuer().jwks()), 200, {}, "application/json")

    async def discovery(self) -> Response:
        """The discovery document of the issuer."""
        return Response(to_json(self._issuer().discovery()), 200, {}, "application/json")

    async def clock(self) -> Response:
        """What time the environment thinks it is."""
        return _clock_answer(self._clock())

    async def move_clock(self, request: Request) -> Response:
        """Move the clock, for every process of the environment."""
        clock = self._clock()
        value = await self._edge.json(request)
        instant = _instant_of(value, await self._edge.run(clock.now))
        try:
            await self._edge.run(clock.set_now, instant)
        except ClockBehindRecordsError as error:
            # decision: events of a stream are recorded in increasing time (PLT-023), so time does not run back over
            # them; before anything is recorded, any day may be chosen to begin with.
            raise refused(Layer.FACADE, "REQUEST_INVALID", str(error), pointer="/now") from None
        return _clock_answer(clock)


def _clock_answer(clock: MovableClock) -> Response:
    return Response(
        to_json({"now": clock.now(), "offset_s": int(clock.offset.total_seconds())}), 200, {}, "application/json"
    )


def _token_request(value: Any) -> dict[str, Any]:
    """User, roles and what else a token says. Raises REQUEST_INVALID with every problem, ROLE_COMBINATION_FORBIDDEN."""
    problems: list[Problem] = []
    if not isinstance(value, dict):
        raise refused(Layer.FACADE, "REQUEST_INVALID", "a token is asked for with a JSON object", pointer="")
    wanted: dict[str, Any] = {"user": value.get("user"), "roles": value.get("roles")}
    if not _is_name(wanted["user"]):
        problems.append(_invalid("/user", "the user is 1 to 100 characters of A-Z a-z 0-9 . _ @ : -"))
    roles = wanted["roles"]
    if not isinstance(roles, list) or not all(isinstance(role, str) and role in set(Role) for role in roles):
        problems.append(_invalid("/roles", f"roles are a list of {', '.join(Role)}"))
    for name in ("client", "person"):
        if value.get(name) is not None:
            wanted[name] = value[name]
            if not _is_name(value[name]):
                problems.append(_invalid(f"/{name}", "1 to 100 characters of A-Z a-z 0-9 . _ @ : -"))
    if value.get("scope_nodes") is not None:
        wanted["scope_nodes"] = value["scope_nodes"]
        if not isinstance(value["scope_nodes"], list) or not all(_is_name(node) for node in value["scope_nodes"]):
            problems.append(_invalid("/scope_nodes", "a list of customer numbers"))
    if value.get("second_factor") is not None:
        wanted["second_factor"] = value["second_factor"]
        if not isinstance(value["second_factor"], bool):
            problems.append(_invalid("/second_factor", "true or false"))
    known = ("user", "roles", "client", "person", "scope_nodes", "second_factor")
    problems.extend(_invalid(f"/{name[:100]}", "this is no member") for name in value if name not in known)
    if problems:
        raise RequestRefused(Layer.FACADE, problems)
    colliding = forbidden_combinations(wanted["roles"])
    if colliding:
        raise RequestRefused(
            Layer.COMMAND_VALIDATION,
            [
                Problem(
                    "ROLE_COMBINATION_FORBIDDEN",
                    found.reason,
                    pointer="/roles",
                    params={"privileges": list(found.privileges)},
                )
                for found in colliding
            ],
        )
    return wanted


def _instant_of(value: Any, now: dt.datetime) -> dt.datetime:
    """The instant to which the clock is to be moved. Raises REQUEST_INVALID."""
    if not isinstance(value, dict) or len(value) != 1 or not set(value) <= {"now", "advance"}:
        raise refused(Layer.FACADE, "REQUEST_INVALID", "either now or advance is needed", pointer="")
    if "now" in value:
        text = value["now"]
        try:
            if isinstance(text, str) and _INSTANT.fullmatch(text):
                return _reachable(dt.datetime.fromisoformat(text).astimezone(dt.UTC), "/now")
        except (ValueError, OverflowError):
            pass
        raise refused(Layer.FACADE, "REQUEST_INVALID", "an instant such as 2025-04-01T06:30:00Z", pointer="/now")
    step = value["advance"]
    steps_fit = (
        isinstance(step, dict)
        and step
        and all(name in _UNITS and type(count) is int and 0 <= count <= 10**8 for name, count in step.items())
    )
    if not steps_fit:
        message = "whole numbers of days, hours, minutes or seconds"
        raise refused(Layer.FACADE, "REQUEST_INVALID", message, pointer="/advance")
    try:
        return _reachable(now + dt.timedelta(**step), "/advance")
    except OverflowError:
        raise _too_far("/advance") from None


def _reachable(instant: dt.datetime, pointer: str) -> dt.datetime:
    if not _FIRST_YEAR <= instant.year <= _LAST_YEAR:
        raise _too_far(pointer)
    return instant


def _too_far(pointer: str) -> RequestRefused:
    return refused(
        Layer.FACADE,
        "REQUEST_INVALID",
        f"the clock moves within the years {_FIRST_YEAR} to {_LAST_YEAR}",
        pointer=pointer,
    )


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(_NAME.fullmatch(value))


def _invalid(pointer: str, message: str) -> Problem:
    return Problem("REQUEST_INVALID", message, pointer=pointer)
