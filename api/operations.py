"""Health and metrics for whoever operates the service (PLT-106); neither needs credentials nor shows data."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from api.edge import Edge
from api.problems import RequestRefused, to_json
from api.services import Readiness, ReadinessCheck
from domain.errors import Problem


class Operations:
    """The endpoints of operations."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/health/live", self.live, methods=["GET"])
        router.add_api_route("/health/ready", self.ready, methods=["GET"])
        router.add_api_route("/metrics", self.metrics, methods=["GET"])
        return router

    async def live(self) -> Response:
        """The process is up."""
        return Response(to_json({"status": "live"}), 200, {}, "application/json")

    async def ready(self) -> Response:
        """The service can take requests: every check holds. Raises SERVICE_UNAVAILABLE naming those that do not."""
        results = [await self._edge.run(_checked, check) for check in self._edge.services.readiness]
        checks = [{"name": found.name, "ready": found.ready, "detail": found.detail} for found in results]
        failing = [found for found in results if not found.ready]
        if failing:
            problems = [Problem("SERVICE_UNAVAILABLE", f"{found.name} is not ready") for found in failing]
            raise RequestRefused(None, problems, retry_after=5, extensions={"checks": checks})
        mode = "SANDBOX" if self._edge.services.settings.sandbox else "NORMAL"
        return Response(to_json({"status": "ready", "mode": mode, "checks": checks}), 200, {}, "application/json")

    async def metrics(self) -> Response:
        """Figures in the Prometheus text format."""
        text = await self._edge.run(generate_latest, self._edge.services.metrics)
        return Response(text, 200, {"Content-Type": CONTENT_TYPE_LATEST})


def _checked(check: ReadinessCheck) -> Readiness:
    """The check's result; a check that fails itself tells no more than that."""
    try:
        return check()
    except Exception:
        return Readiness(getattr(check, "__name__", "check"), False, "the check failed")
