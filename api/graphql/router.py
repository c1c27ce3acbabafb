"""The GraphQL address: a JSON body with a query, its variables and, to read one's own writes, `minPosition`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final

import anyio
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.edge import correlation_of, principal_of, too_large
from api.graphql.execution import Executor, GraphQLRequest
from api.json_text import JsonInvalidError, parse_json
from api.problems import RequestRefused, refused, to_json
from api.settings import Limits
from application.dispatch import Layer
from domain.errors import Problem

_MOST_BYTES: Final = 1_000_000
_BODY_SECONDS: Final = Limits().body_seconds
_DEPTH: Final = 32
_KNOWN: Final = ("query", "variables", "operationName", "extensions", "minPosition", "waitMs")


def graphql_router(executor: Executor, *, workers: int = 16) -> APIRouter:
    """The routes; whoever mounts them puts authentication in front."""
    router = APIRouter(include_in_schema=False)
    threads = anyio.CapacityLimiter(workers)

    async def post(request: Request) -> Response:
        wanted = replace(_request_of(await _body(request)), correlation_id=correlation_of(request))
        principal = principal_of(request)
        answer = await anyio.to_thread.run_sync(lambda: executor.execute(wanted, principal), limiter=threads)
        return Response(to_json(answer), 200, {}, "application/json")

    router.add_api_route("", post, methods=["POST"])
    return router


async def _body(request: Request) -> Any:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise refused(Layer.FACADE, "MEDIA_TYPE_UNSUPPORTED", "the body is application/json")
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise too_large(_MOST_BYTES)
    except TimeoutError:
        raise refused(Layer.FACADE, "REQUEST_INVALID", "the body did not arrive in time") from None
    try:
        return parse_json(bytes(body), _DEPTH)
    except JsonInvalidError as error:
        raise RequestRefused(Layer.FACADE, error.problems) from None


def _request_of(value: Any) -> GraphQLRequest:
    """The request of a body. Raises REQUEST_INVALID with every problem."""
    if not isinstance(value, dict):
        raise refused(Layer.FACADE, "REQUEST_INVALID", "the body is an object with a query", pointer="")
    problems = [
        Problem("REQUEST_INVALID", "this is no member", pointer=f"/{name[:100]}")
        for name in value
        if name not in _KNOWN
    ]
    query, variables, operation = value.get("query"), value.get("variables"), value.get("operationName")
    if not isinstance(query, str) or not query.strip():
        problems.append(Problem("REQUEST_INVALID", "the text of a query", pointer="/query"))
    if variables is not None and not isinstance(variables, dict):
        problems.append(Problem("REQUEST_INVALID", "an object", pointer="/variables"))
    if operation is not None and not isinstance(operation, str):
        problems.append(Problem("REQUEST_INVALID", "a name", pointer="/operationName"))
    numbers = {}
    for name in ("minPosition", "waitMs"):
        number = value.get(name)
        if number is not None and (type(number) is not int or not 0 <= number < 2**63):
            problems.append(Problem("REQUEST_INVALID", "a whole number", pointer=f"/{name}"))
        numbers[name] = number
    if problems:
        raise RequestRefused(Layer.FACADE, problems)
    return GraphQLRequest(str(query), variables or {}, operation, numbers["minPosition"], numbers["waitMs"])
