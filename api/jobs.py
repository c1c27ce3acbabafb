"""Running a job by hand, following a run, and pausing, going on with or cancelling it (PLT-051, PLT-055).

GET  /v1/jobs             the jobs
POST /v1/jobs/{JobName}   start a run; answers 202 with it
GET  /v1/jobs/{run_id}    the run and its progress
GET  /v1/job-runs         the runs, latest first
POST /v1/job-runs/{run_id}/pause, /resume, /cancel
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from api.commands import CHANNEL
from api.edge import Edge, correlation_of, principal_of
from api.paths import NameConvertor  # noqa: F401  {job:name}
from api.problems import RequestRefused, not_found, to_json
from application.command import FIRST_DAY, LAST_DAY, CommandRequest, is_day_in_bounds
from application.dispatch import Layer
from application.jobs import ControlAction, JobRun, JobRunner, RunRequest, RunState
from domain.errors import Problem, Refusal

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MAX_ACCOUNTS: Final = 10_000
_RUN_ID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
#: What the rulebook calls the ways of control.
_NAMES: Final = {
    ControlAction.PAUSE: "PauseJob",
    ControlAction.RESUME: "ResumeJob",
    ControlAction.CANCEL: "CancelJobRun",
}
#: Runs of a page, unless told otherwise and at most (PLT-068).
_DEFAULT_RUNS: Final = 50
_MOST_RUNS: Final = 200


class Jobs:
    """The endpoints of jobs."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(dependencies=[Depends(self._edge.authenticate)], include_in_schema=False)
        router.add_api_route("/v1/jobs", self.catalogue, methods=["GET"])
        router.add_api_route("/v1/jobs/{run_id:uuid}", self.run, methods=["GET"])
        router.add_api_route("/v1/jobs/{job:name}", self.start, methods=["POST"])
        router.add_api_route("/v1/job-runs", self.runs, methods=["GET"])
        for action in ControlAction:
            path = f"/v1/job-runs/{{run_id:uuid}}/{action.lower()}"
            router.add_api_route(path, self._control(action), methods=["POST"])
        return router

    async def catalogue(self, request: Request) -> Response:
        """The jobs that may be run by hand."""
        self._edge.require(request, "job.view", "job.run")
        runner = self._edge.services.jobs
        jobs = [] if runner is None else [runner.jobs()[name] for name in sorted(runner.jobs())]
        members = [{"name": job.name, "summary": job.summary, "privilege": job.privilege} for job in jobs]
        return Response(to_json({"jobs": members}), 200, {}, "application/json")

    async def start(self, request: Request, job: str) -> Response:
        """Start a run."""
        runner = self._edge.services.jobs
        async with self._on_record(request, "RunJob", f"job:{job[:100]}"):
            kind = runner.jobs().get(job) if runner else None
            principal = self._edge.require(request, "job.run", *((kind.privilege,) if kind else ()))
            selection = _selection(job, await self._edge.json(request))
            if runner is None or kind is None:
                raise not_found("there is no such job")
            run = await self._edge.run(runner.start, selection, principal)
        return Response(to_json(run_document(run)), 202, {"Location": f"/v1/jobs/{run.run_id}"}, "application/json")

    async def run(self, request: Request, run_id: UUID) -> Response:
        """A run and its progress."""
        self._edge.require(request, "job.view", "job.run")
        runner: JobRunner | None = self._edge.services.jobs
        run = await self._edge.run(runner.run, run_id) if runner else None
        if run is None:
            raise not_found("there is no such run")
        return Response(to_json(run_document(run)), 200, {}, "application/json")

    async def runs(self, request: Request) -> Response:
        """A page of the runs, latest first."""
        self._edge.require(request, "job.view", "job.run")
        job, state, before, first = _page(request)
        runner: JobRunner | None = self._edge.services.jobs
        found = await self._edge.run(runner.recent, job, state, before, first + 1) if runner else []
        page = {"runs": [run_document(run) for run in found[:first]], "more": len(found) > first}
        return Response(to_json(page), 200, {}, "application/json")

    def _control(self, action: ControlAction) -> Callable[[Request, UUID], Awaitable[Response]]:
        async def control(request: Request, run_id: UUID) -> Response:
            async with self._on_record(request, _NAMES[action], f"run:{run_id}"):
                self._edge.require(request, "job.control")
                runner: JobRunner | None = self._edge.services.jobs
                run = await self._edge.run(runner.control, run_id, action) if runner else None
                if run is None:
                    raise not_found("there is no such run")
            return Response(to_json(run_document(run)), 200, {}, "application/json")

        return control

    @asynccontextmanager
    async def _on_record(self, request: Request, name: str, subject: str) -> AsyncIterator[None]:
        """Put what is asked for within on the record, done or refused, under the rulebook's name for it (PLT-078)."""
        asked = CommandRequest(name, {}, principal_of(request), CHANNEL, correlation_id=correlation_of(request))
        record = self._edge.services.dispatcher.put_on_record
        try:
            yield
        except (RequestRefused, Refusal) as refusal:
            await self._edge.run(record, asked, subject, refusal.problems)
            raise
        await self._edge.run(record, asked, subject)


def run_document(run: JobRun) -> dict[str, Any]:
    """A run as JSON."""
    return {
        "run_id": str(run.run_id),
        "job": run.job,
        "state": str(run.state),
        "run_date": run.run_date,
        "trigger": run.trigger,
        "selected": run.selected,
        "done": run.done,
        "skipped": dict(run.skipped),
        "failed": run.failed,
        "left": run.left,
        "last_item": run.last_item,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "heartbeat_at": run.heartbeat_at,
        "forecast_at": run.forecast_at,
        "requested": run.requested,
        "failures": [{"item": item, "code": code} for item, code in run.failures],
    }


def _page(request: Request) -> tuple[str | None, RunState | None, UUID | None, int]:
    """Job, state, the run behind which the page begins, and its size. Raises REQUEST_INVALID with every problem."""
    query = request.query_params
    problems = [
        Problem("REQUEST_INVALID", f"there is no parameter {name[:100]}")
        for name in query
        if name not in ("job", "state", "before", "first")
    ]
    if len(query.multi_items()) > len(query):
        problems.append(Problem("REQUEST_INVALID", "a parameter is given twice"))
    state, before, first = query.get("state"), query.get("before"), query.get("first", str(_DEFAULT_RUNS))
    if state is not None and state not in RunState.__members__:
        problems.append(Problem("REQUEST_INVALID", "there is no such state", pointer="/state"))
    if before is not None and not _RUN_ID.fullmatch(before):
        problems.append(Problem("REQUEST_INVALID", "a run is named by its id", pointer="/before"))
    if not _NUMBER.fullmatch(first) or not 1 <= int(first) <= _MOST_RUNS:
        problems.append(Problem("REQUEST_INVALID", f"a page has 1 to {_MOST_RUNS} runs", pointer="/first"))
    if "\x00" in query.get("job", ""):
        problems.append(Problem("REQUEST_INVALID", "this is no name of a job", pointer="/job"))
    if problems:
        raise RequestRefused(Layer.FACADE, problems)
    return query.get("job"), None if state is None else RunState(state), UUID(before) if before else None, int(first)


def _selection(job: str, value: Any) -> RunRequest:
    """Run date and accounts, from the body. Raises REQUEST_INVALID with every problem."""
    if not isinstance(value, dict):
        raise RequestRefused(Layer.FACADE, Problem("REQUEST_INVALID", "a selection is a JSON object", pointer=""))
    problems = [
        Problem("REQUEST_INVALID", "this is no member of a selection", pointer=f"/{name[:100]}")
        for name in value
        if name not in ("run_date", "accounts", "excluded_accounts")
    ]
    run_date = value.get("run_date")
    if run_date is not None and not _is_date(run_date):
        message = f"the run date is a date YYYY-MM-DD from {FIRST_DAY} to {LAST_DAY}"
        problems.append(Problem("REQUEST_INVALID", message, pointer="/run_date"))
    for name in ("accounts", "excluded_accounts"):
        if not _are_accounts(value.get(name) or []):
            message = f"a list of at most {_MAX_ACCOUNTS} account numbers"
            problems.append(Problem("REQUEST_INVALID", message, pointer=f"/{name}"))
    if problems:
        raise RequestRefused(Layer.FACADE, problems)
    return RunRequest(
        job,
        None if run_date is None else dt.date.fromisoformat(run_date),
        tuple(value.get("accounts") or ()),
        tuple(value.get("excluded_accounts") or ()),
    )


def _is_date(value: Any) -> bool:
    try:
        given = isinstance(value, str) and _DATE.fullmatch(value)
        return bool(given) and is_day_in_bounds(dt.date.fromisoformat(value))
    except ValueError:
        return False


def _are_accounts(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MAX_ACCOUNTS
        and all(isinstance(entry, str) and 1 <= len(entry) <= 100 for entry in value)
    )
