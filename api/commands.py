"""Commands over HTTP: one at a time, in a batch, or as an endless stream; their catalogue, and what became of them.

    POST /v1/commands/{Name}      one command (PLT-001)
    POST /v1/commands/batch       up to 500, each on its own or all or none (PLT-009)
    POST /v1/commands             a stream of lines, one command each, answered line by line
    GET  /v1/commands             the catalogue
    GET  /v1/commands/{id}        what became of a command (PLT-010)

The order of PLT-013 is kept here: whoever lacks the privilege is told so before a byte of the body is read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.edge import Edge, correlation_of, principal_of
from api.envelope import EnvelopeInvalidError, read_envelope
from api.failures import log_failure, refusal_of
from api.json_text import JsonInvalidError, parse_json
from api.metrics import outcome_of
from api.paths import NameConvertor  # noqa: F401  {name:name}
from api.problems import (
    RequestRefused,
    not_found,
    problem_document,
    problem_member,
    refused,
    to_json,
)
from api.settings import Limits
from application.command import CommandAnswer, CommandRequest
from application.command_status import CommandStatus
from application.dispatch import BatchRefused, CommandRefused, Layer
from domain.errors import Problem
from domain.platform.privileges import may_execute

CHANNEL: Final = "API"
NDJSON: Final = "application/x-ndjson"
#: Lines of a stream that are run in one go, when so many have arrived.
_LINES_AT_ONCE: Final = 50
_BATCH_MEMBERS: Final = ("mode", "idempotency_key", "commands")


class Commands:
    """The endpoints of commands."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._dispatcher = edge.services.dispatcher

    def router(self) -> APIRouter:
        """The routes. They are not in FastAPI's own schema: api.openapi writes one operation for each command."""
        router = APIRouter(dependencies=[Depends(self._edge.authenticate)], include_in_schema=False)
        router.add_api_route("/v1/commands", self.catalogue, methods=["GET"])
        router.add_api_route("/v1/commands", self.stream, methods=["POST"])
        router.add_api_route("/v1/commands/batch", self.batch, methods=["POST"])
        router.add_api_route("/v1/commands/{command_id:uuid}", self.status, methods=["GET"])
        router.add_api_route("/v1/commands/{name:name}", self.execute, methods=["POST"])
        return router

    # --- one command ---

    async def execute(self, request: Request, name: str) -> Response:
        """Execute one command."""
        draft = self._draft(request, name)
        await self._authorise(draft)
        try:
            dry_run = _dry_run_of(request.query_params)
            key = _header_key(request)
            self._edge.require_media_type(request, "application/json")
            body = await self._edge.body(request, self._edge.limits.command_bytes)
        except RequestRefused as refusal:
            raise await self._edge.run(self._recorded, draft, refusal) from None
        answer = await self._edge.run(self._execute_body, draft, body, key, dry_run)
        headers = {"Idempotency-Replayed": "true"} if answer.replayed else {}
        activity = activity_of(answer)
        if activity is not None:
            headers["Location"] = f"/v1/jobs/{activity}"
        return Response(to_json(answer_document(answer)), status_of(answer), headers, "application/json")

    def _execute_body(self, draft: CommandRequest, body: bytes, key: str | None, dry_run: bool) -> CommandAnswer:
        try:
            value = self._edge.parse(body)
        except RequestRefused as refusal:
            raise self._recorded(draft, refusal) from None
        return self._execute_value(draft, value, header_key=key, dry_run=dry_run)

    def _execute_value(
        self,
        draft: CommandRequest,
        value: Any,
        *,
        header_key: str | None = None,
        derived_key: str | None = None,
        dry_run: bool = False,
        other_members: tuple[str, ...] = (),
    ) -> CommandAnswer:
        """Read the envelope and run the command; every refusal leaves as RequestRefused, recorded by the dispatcher."""
        try:
            command = self._enveloped(
                draft,
                value,
                header_key=header_key,
                derived_key=derived_key,
                dry_run=dry_run,
                other_members=other_members,
            )
        except RequestRefused as refusal:
            raise self._recorded(draft, refusal) from None
        return self._run(command)

    def _enveloped(self, draft: CommandRequest, value: Any, **arguments: Any) -> CommandRequest:
        assert draft.correlation_id is not None
        try:
            return read_envelope(
                value,
                name=draft.name,
                principal=draft.principal,
                channel=draft.channel,
                correlation_id=draft.correlation_id,
                **arguments,
            )
        except EnvelopeInvalidError as error:
            raise RequestRefused(Layer.FACADE, error.problems) from None

    def _run(self, command: CommandRequest) -> CommandAnswer:
        """Execute through the dispatcher, counted. Raises RequestRefused; a failure of our own goes through."""
        began = time.perf_counter()
        outcome, code = "FAILED", "INTERNAL_ERROR"
        try:
            answer = self._dispatcher.execute(command)
            outcome, code = outcome_of(answer), ""
            return answer
        except CommandRefused as refusal:
            outcome, code = "REFUSED", refusal.code
            raise RequestRefused.of_command(refusal, command.name) from None
        finally:
            self._edge.metrics.command(self._metric_name(command.name), outcome, code, time.perf_counter() - began)

    def _draft(self, request: Request, name: str) -> CommandRequest:
        """What is known of a command before its body is read."""
        return CommandRequest(
            name=name[:100],
            payload={},
            principal=principal_of(request),
            channel=CHANNEL,
            correlation_id=correlation_of(request),
        )

    async def _authorise(self, draft: CommandRequest) -> None:
        try:
            await self._edge.run(self._dispatcher.authorise, draft)
        except CommandRefused as refusal:
            self._edge.metrics.command(self._metric_name(draft.name), "REFUSED", refusal.code, 0.0)
            raise RequestRefused.of_command(refusal, draft.name) from None

    def _recorded(self, draft: CommandRequest, refusal: RequestRefused) -> RequestRefused:
        """The refusal of the edge, put on the record by the dispatcher as any other (PLT-078)."""
        layer = refusal.layer or Layer.FACADE
        recorded = self._dispatcher.refuse(draft, layer, refusal.problems)
        self._edge.metrics.command(self._metric_name(draft.name), "REFUSED", refusal.code, 0.0)
        return RequestRefused(
            layer,
            refusal.problems,
            status=refusal.status,
            instance=recorded.command_id,
            correlation_id=recorded.correlation_id,
            retry_after=refusal.retry_after,
            headers=refusal.headers,
            command=draft.name,
        )

    def _metric_name(self, name: str) -> str:
        """The command's name where there is such a command: names of a client's invention would grow without limit."""
        return name if name in self._edge.services.commands else "unknown"

    # --- a batch ---

    async def batch(self, request: Request) -> Response:
        """Execute several commands, each on its own (INDEPENDENT) or all or none (ATOMIC)."""
        dry_run = _dry_run_of(request.query_params)
        value = await self._edge.json(request, self._edge.limits.batch_bytes)
        mode, key, items = self._batch_of(value, _header_key(request))
        drafts = [self._draft(request, str(item.get("name", "")) if isinstance(item, dict) else "") for item in items]
        if mode == "ATOMIC":
            results = await self._edge.run(self._atomic, drafts, items, key, dry_run)
        else:
            results = await self._edge.run(self._independent, drafts, items, key, request, dry_run)
        return Response(to_json({"mode": mode, "results": results}), 200, {}, "application/json")

    def _batch_of(self, value: Any, header_key: str | None) -> tuple[str, str | None, list[Any]]:
        """Mode, key and items of a batch. Raises BATCH_TOO_LARGE, or REQUEST_INVALID with every problem."""
        if not isinstance(value, dict):
            raise refused(Layer.FACADE, "REQUEST_INVALID", "a batch is a JSON object", pointer="")
        items, mode, key = value.get("commands"), value.get("mode", "INDEPENDENT"), value.get("idempotency_key")
        if isinstance(items, list) and len(items) > self._edge.limits.batch_items:
            message = f"a batch has at most {self._edge.limits.batch_items} commands"
            raise refused(Layer.FACADE, "BATCH_TOO_LARGE", message, pointer="/commands")
        problems = []
        if mode not in ("INDEPENDENT", "ATOMIC"):
            problems.append(_invalid("/mode", "the mode is INDEPENDENT or ATOMIC"))
        if key is not None and not isinstance(key, str):
            problems.append(_invalid("/idempotency_key", "the key is a text"))
        elif key is not None and header_key is not None and key != header_key:
            problems.append(_invalid("/idempotency_key", "the key differs from the header Idempotency-Key"))
        if not isinstance(items, list) or not items:
            problems.append(_invalid("/commands", "a batch has a list of at least one command"))
        unknown = [name for name in value if name not in _BATCH_MEMBERS]
        problems.extend(_invalid(f"/{name[:100]}", "this is no member of a batch") for name in unknown)
        if problems:
            raise RequestRefused(Layer.FACADE, problems)
        assert isinstance(items, list)
        return mode, key or header_key, items

    def _independent(
        self, drafts: Sequence[CommandRequest], items: Sequence[Any], key: str | None, request: Request, dry_run: bool
    ) -> list[dict[str, Any]]:
        results = []
        for index, (draft, item) in enumerate(zip(drafts, items, strict=True)):
            derived = None if key is None else f"{key}#{index}"
            run = self._guarded(draft, item, derived, dry_run)
            results.append({"index": index, **self._result(run, request)})
        return results

    def _guarded(
        self, draft: CommandRequest, item: Any, derived_key: str | None, dry_run: bool
    ) -> Callable[[], CommandAnswer]:
        def run() -> CommandAnswer:
            if not isinstance(item, dict) or not isinstance(item.get("name"), str):
                raise RequestRefused(Layer.FACADE, _invalid("/name", "the name of the command is missing"))
            try:
                self._dispatcher.authorise(draft)
            except CommandRefused as refusal:
                raise RequestRefused.of_command(refusal, draft.name) from None
            return self._execute_value(draft, item, derived_key=derived_key, dry_run=dry_run, other_members=("name",))

        return run

    def _result(self, run: Callable[[], CommandAnswer], request: Request) -> dict[str, Any]:
        """The result of one item of a batch or stream: its status, and its answer or its problem."""
        try:
            answer = run()
        except RequestRefused as caught:
            refusal = caught
        except Exception as failure:
            log_failure(failure, request.state.request_id, correlation_of(request))
            refusal = refusal_of(failure)
        else:
            return {"status": status_of(answer), "replayed": answer.replayed, "answer": answer_document(answer)}
        document = problem_document(refusal, request.state.request_id, correlation_of(request))
        return {"status": refusal.status, "problem": document}

    def _atomic(
        self, drafts: Sequence[CommandRequest], items: Sequence[Any], key: str | None, dry_run: bool
    ) -> list[dict[str, Any]]:
        commands, refusals = [], dict[int, Sequence[Problem]]()
        for index, (draft, item) in enumerate(zip(drafts, items, strict=True)):
            derived = None if key is None else f"{key}#{index}"
            try:
                if not isinstance(item, dict) or not isinstance(item.get("name"), str):
                    raise RequestRefused(Layer.FACADE, _invalid("/name", "the name of the command is missing"))
                commands.append(
                    self._enveloped(draft, item, derived_key=derived, dry_run=dry_run, other_members=("name",))
                )
            except RequestRefused as refusal:
                refusals[index] = refusal.problems
        if refusals:
            raise _batch_refused(Layer.FACADE, refusals)
        began = time.perf_counter()
        try:
            answers = self._dispatcher.execute_atomic(commands)
        except BatchRefused as refused_items:
            first = refused_items.refusals[min(refused_items.refusals)]
            problems = {index: item.problems for index, item in refused_items.refusals.items()}
            for index, item in refused_items.refusals.items():
                self._edge.metrics.command(self._metric_name(commands[index].name), "REFUSED", item.code, 0.0)
            raise _batch_refused(first.layer, problems) from None
        seconds = (time.perf_counter() - began) / len(commands)
        for command, answer in zip(commands, answers, strict=True):
            self._edge.metrics.command(self._metric_name(command.name), outcome_of(answer), "", seconds)
        return [
            {"index": index, "status": 200, "replayed": answer.replayed, "answer": answer_document(answer)}
            for index, answer in enumerate(answers)
        ]

    # --- a stream ---

    async def stream(self, request: Request) -> Response:
        """Execute a stream of commands, one JSON object a line, answered by one line each in the same order."""
        dry_run = _dry_run_of(request.query_params)
        self._edge.require_media_type(request, NDJSON)
        return _LineResponse(self._stream_results(request, dry_run))

    async def _stream_results(self, request: Request, dry_run: bool) -> AsyncIterator[bytes]:
        async for lines in _lines(request, self._edge.limits):
            yield await self._edge.run(self._run_lines, lines, request, dry_run)

    def _run_lines(self, lines: Iterable[_Line], request: Request, dry_run: bool) -> bytes:
        results = []
        for line in lines:
            result = {"line": line.number, **self._result(self._line_run(line, request, dry_run), request)}
            results.append(to_json(result) + b"\n")
        return b"".join(results)

    def _line_run(self, line: _Line, request: Request, dry_run: bool) -> Callable[[], CommandAnswer]:
        def run() -> CommandAnswer:
            if line.fault is not None:
                raise line.fault
            try:
                item = parse_json(line.text, self._edge.limits.json_depth)
            except JsonInvalidError as error:
                raise RequestRefused(Layer.FACADE, error.problems) from None
            name = item.get("name") if isinstance(item, dict) else None
            draft = self._draft(request, name if isinstance(name, str) else "")
            return self._guarded(draft, item, None, dry_run)()

        return run

    # --- reads ---

    async def catalogue(self, request: Request) -> Response:
        """All commands: name, room, privilege, what they do, and whether the caller may issue them."""
        principal = principal_of(request)
        commands = [
            {
                "name": kind.name,
                "room": kind.room,
                "privilege": kind.privilege,
                "summary": kind.summary,
                "rules": list(kind.rules),
                "refusals": list(kind.refusals),
                "permitted": may_execute(principal.privileges, kind.name, kind.privilege),
            }
            for kind in sorted(self._edge.services.commands.values(), key=lambda kind: (kind.room, kind.name))
        ]
        return Response(to_json({"commands": commands}), 200, {}, "application/json")

    async def status(self, request: Request, command_id: UUID) -> Response:
        """What became of a command: for the client application that sent it, and for who may view the audit."""
        principal, reader = principal_of(request), self._edge.services.command_status
        found = await self._edge.run(reader.status, command_id) if reader else None
        if found is None or not (found.client == principal.client or "audit.view" in principal.privileges):
            raise not_found("there is no such command")
        return Response(to_json(status_document(found)), 200, {}, "application/json")


def activity_of(answer: CommandAnswer) -> str | None:
    """The activity that goes on behind an accepted command, whose progress the jobs' endpoint tells (PLT-010)."""
    activity: str | None = answer.result.get("activity_id")
    return activity


def status_of(answer: CommandAnswer) -> int:
    """200 for a command that is done, 202 for one that goes on as an activity (PLT-010)."""
    return 200 if activity_of(answer) is None else 202


def answer_document(answer: CommandAnswer) -> dict[str, Any]:
    """The answer of PLT-010 as JSON."""
    streams: dict[str, int] = {}
    for event in answer.events:
        streams[event.stream] = max(event.stream_position, streams.get(event.stream, 0))
    return {
        "command_id": answer.command_id,
        "result": answer.result,
        "events": [
            {
                "type": event.type,
                "id": event.event_id,
                "stream": event.stream,
                "stream_position": event.stream_position,
                "position": event.position,
                **({} if event.payload is None else {"payload": event.payload}),
            }
            for event in answer.events
        ],
        "position": answer.position,
        "streams": streams,
        "warnings": [problem_member(warning) for warning in answer.warnings],
        "missing_confirmations": list(answer.missing_confirmations),
        "dry_run": answer.dry_run,
    }


def status_document(status: CommandStatus) -> dict[str, Any]:
    """The status of a command as JSON."""
    return {
        "command_id": str(status.command_id),
        "command": status.command,
        "state": str(status.state),
        "recorded_at": status.recorded_at,
        "correlation_id": str(status.correlation_id),
        "layer": status.layer,
        "codes": list(status.codes),
        "answer": status.answer,
    }


def _batch_refused(layer: Layer, refusals: Mapping[int, Sequence[Problem]]) -> RequestRefused:
    """An atomic batch refused as a whole: the problems of all failing items, their pointers within the batch."""
    return RequestRefused(
        layer,
        [
            Problem(
                problem.code,
                problem.message,
                pointer=f"/commands/{index}{problem.pointer or ''}",
                entity=problem.entity,
                params={**problem.params, "index": index},
                hint=problem.hint,
            )
            for index in sorted(refusals)
            for problem in refusals[index]
        ],
    )


def _header_key(request: Request) -> str | None:
    """The key of the header. Raises REQUEST_INVALID for two: a repetition could go by either."""
    keys = request.headers.getlist("idempotency-key")
    if len(keys) > 1:
        raise refused(Layer.FACADE, "REQUEST_INVALID", "the header Idempotency-Key is given twice")
    return keys[0] if keys else None


def _dry_run_of(query: QueryParams) -> bool:
    """`?dryRun=true`, the same as the member of each envelope. Raises REQUEST_INVALID for anything else."""
    unknown = [name for name in query if name != "dryRun"]
    if unknown or len(query.multi_items()) > 1 or query.get("dryRun", "false") not in ("true", "false"):
        raise refused(Layer.FACADE, "REQUEST_INVALID", "the only parameter is dryRun, true or false")
    return query.get("dryRun") == "true"


def _invalid(pointer: str, message: str) -> Problem:
    return Problem("REQUEST_INVALID", message, pointer=pointer)


class _Line:
    """A line of a stream: its number from 1, and its text or what is wrong with it."""

    __slots__ = ("fault", "number", "text")

    def __init__(self, number: int, text: bytes = b"", fault: RequestRefused | None = None) -> None:
        self.number = number
        self.text = text
        self.fault = fault


async def _lines(request: Request, limits: Limits) -> AsyncIterator[list[_Line]]:
    """The lines of a body as they arrive, in groups; blank ones are counted and left out.

    Never more than one line and one chunk is held. A line above its limit is skipped to its end and refused alone; a
    stream above its limit of lines, or one that falls silent, ends there.
    """
    max_bytes, max_lines = limits.line_bytes, limits.stream_lines
    rest = bytearray()
    number, oversize = 0, False
    ready: list[_Line] = []

    def complete(text: bytes) -> None:
        nonlocal number, oversize
        number += 1
        if oversize:
            ready.append(_Line(number, fault=_line_too_long(max_bytes)))
        elif text.strip():
            ready.append(_Line(number, text))
        oversize = False

    chunks = request.stream()
    while True:
        try:
            async with asyncio.timeout(limits.body_seconds):
                chunk = await anext(chunks, None)
        except TimeoutError:
            yield [_Line(number + 1, fault=_silent())]
            return
        if chunk is None:
            break
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            oversize = oversize or len(rest) + end - start > max_bytes
            text = b"" if oversize else bytes(rest) + chunk[start:end]
            rest.clear()
            complete(text)
            start = end + 1
            if number > max_lines:
                ready[-1:] = [_Line(number, fault=_too_many_lines(max_lines))]
                yield ready
                return
            if len(ready) >= _LINES_AT_ONCE:
                yield ready
                ready = []
        oversize = oversize or len(rest) + len(chunk) - start > max_bytes
        if oversize:
            rest.clear()
        else:
            rest += chunk[start:]
        if ready:
            yield ready
            ready = []
    if rest or oversize:
        complete(bytes(rest))
        if ready:
            yield ready


def _line_too_long(max_bytes: int) -> RequestRefused:
    return refused(Layer.FACADE, "PAYLOAD_TOO_LARGE", f"a line has at most {max_bytes} bytes")


def _silent() -> RequestRefused:
    return refused(Layer.FACADE, "REQUEST_INVALID", "the next line did not arrive in time")


def _too_many_lines(max_lines: int) -> RequestRefused:
    return refused(Layer.FACADE, "PAYLOAD_TOO_LARGE", f"a stream has at most {max_lines} lines; the rest was not read")


class _LineResponse(Response):
    """Sends lines while the request's own lines still arrive.

    Unlike Starlette's streaming response it never listens for the end of the connection beside: that would take away
    parts of the body. The body's reader notices a client that went away.
    """

    media_type = NDJSON

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async for lines in self._lines:
                await send({"type": "http.response.body", "body": lines, "more_body": True})
        except ClientDisconnect:
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
