"""The application: every endpoint, wired to one value of services. No globals: two applications do not meet."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Match, Route

from api.commands import Commands
from api.docs_page import content_policy, docs_page
from api.edge import Edge
from api.files import Files
from api.jobs import Jobs
from api.metrics import Metrics
from api.middleware import RequestFrame
from api.openapi import VERSION, openapi_document
from api.operations import Operations
from api.problems import RequestRefused, not_found, problem_response, refused, to_json
from api.rate_limit import RateLimiter
from api.reference import Reference
from api.sandbox import Sandbox
from api.services import Services
from application.dispatch import Layer, layer_of
from domain.errors import Problem, Refusal


def create_app(services: Services) -> FastAPI:
    """The ASGI application of these services."""
    metrics = Metrics(services.metrics)
    edge = Edge(services, metrics, RateLimiter(time.monotonic))
    app = FastAPI(
        title="Rollon",
        version=VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=services.lifespan,
    )
    routers = (
        Commands(edge).router(),
        Jobs(edge).router(),
        Files(edge).router(),
        Reference(edge).router(),
        *Sandbox(edge).routers(),
        Operations(edge).router(),
        _reference_pages(app),
    )
    for router in routers:
        app.include_router(router)
    if services.graphql is not None:
        for prefix in ("/v1/graphql", "/graphql"):
            app.include_router(services.graphql, prefix=prefix, dependencies=[Depends(edge.authenticate)])
    document: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not document:
            document.update(openapi_document(services))
        return document

    app.openapi = openapi  # type: ignore[method-assign]
    for path, mounted in services.mounts:
        app.mount(path, mounted)
    app.add_exception_handler(RequestRefused, _answer_refused)
    app.add_exception_handler(Refusal, _answer_refusal)
    app.add_exception_handler(HTTPException, _http_answer(routers))
    app.add_exception_handler(RequestValidationError, _answer_validation)
    if services.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(services.settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-Correlation-Id"],
            expose_headers=["Idempotency-Replayed", "Retry-After", "X-Request-Id", "X-Correlation-Id"],
            max_age=600,
        )
    app.add_middleware(
        RequestFrame, ids=services.ids, metrics=metrics, mounted=tuple(path for path, _ in services.mounts)
    )
    return app


def _reference_pages(app: FastAPI) -> APIRouter:
    """The OpenAPI document, and the pages written from it; each written once, at the first request for it."""
    router = APIRouter(include_in_schema=False)
    headers = {"Content-Security-Policy": content_policy()}

    @cache
    def document_text() -> bytes:
        return to_json(app.openapi())

    @cache
    def page(sending: bool) -> str:
        return docs_page(app.openapi(), sending=sending)

    async def document() -> Response:
        return Response(document_text(), 200, {}, "application/json")

    async def docs() -> Response:
        return HTMLResponse(page(True), headers=headers)

    async def redoc() -> Response:
        return HTMLResponse(page(False), headers=headers)

    router.add_api_route("/openapi.json", document, methods=["GET"])
    router.add_api_route("/docs", docs, methods=["GET"])
    router.add_api_route("/redoc", redoc, methods=["GET"])
    return router


# --- everything else becomes a problem document too ------------------------------------------------------------------


async def _answer_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestRefused)
    return problem_response(error, request.state.request_id, request.state.correlation_id)


async def _answer_refusal(request: Request, error: Exception) -> Response:
    """A refusal of a port behind an endpoint that is no command."""
    assert isinstance(error, Refusal)
    return await _answer_refused(request, RequestRefused(layer_of(error.code), error.problems))


def _http_answer(routers: Sequence[APIRouter]) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Answers what the routing itself refuses: an unknown address, or a method it does not have."""
    routes = [route for router in routers for route in router.routes if isinstance(route, Route)]

    def methods_at(request: Request) -> list[str]:
        matching = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
        return sorted({method for route in matching for method in route.methods or ()})

    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            refusal = not_found()
        elif error.status_code == 405:
            # decision: HTTP's own status for it; the rulebook has no code of its own.
            problem = Problem("REQUEST_INVALID", "this address does not have this method")
            allowed = ", ".join(methods_at(request)) or (error.headers or {}).get("Allow", "")
            refusal = RequestRefused(Layer.FACADE, problem, status=405, headers={"Allow": allowed})
        else:
            refusal = refused(Layer.FACADE, "REQUEST_INVALID", "the request is malformed")
        return await _answer_refused(request, refusal)

    return answer


async def _answer_validation(request: Request, error: Exception) -> Response:
    """A path or query parameter that a mounted router declared and the request does not meet."""
    assert isinstance(error, RequestValidationError)
    problems = [
        Problem("REQUEST_INVALID", str(item["msg"]), pointer="/" + "/".join(str(part) for part in item["loc"][1:]))
        for item in error.errors()
    ]
    return await _answer_refused(request, RequestRefused(Layer.FACADE, problems))
