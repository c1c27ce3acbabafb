"""Refusals as the outside sees them: RFC 9457 problem documents (PLT-015).

Everything that is not an answer leaves in this one form, from a malformed body over an unknown address to a failure of
our own; the last tells nothing of what happened inside (PLT-016).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from starlette.responses import Response

from application.dispatch import CommandRefused, Layer
from domain.errors import Problem
from domain.platform.error_codes import ERROR_CODES, is_retryable, status_of

MEDIA_TYPE: Final = "application/problem+json"
#: So many problems are listed; whoever has more mends these first.
_LISTED: Final = 100


class RequestRefused(Exception):
    """A request the edge refuses itself. `status` differs from the code's only where HTTP has its own (405).

    `layer` None: no check refused it, something failed (500, 503).
    """

    def __init__(
        self,
        layer: Layer | None,
        problems: Sequence[Problem] | Problem,
        *,
        status: int | None = None,
        instance: UUID | None = None,
        correlation_id: UUID | None = None,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
        command: str | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        self.layer = layer
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.status = status or status_of(self.problems[0].code, command)
        self.instance = instance
        self.correlation_id = correlation_id
        self.retry_after = retry_after
        self.headers = dict(headers or {})
        self.extensions = dict(extensions or {})
        super().__init__(self.problems[0].code)

    @classmethod
    def of_command(cls, refused: CommandRefused, command: str) -> RequestRefused:
        """The refusal of a command, with the status its code has for that command (PLT-017)."""
        return cls(
            refused.layer,
            refused.problems,
            instance=refused.command_id,
            correlation_id=refused.correlation_id,
            retry_after=refused.retry_after,
            command=command,
        )

    @property
    def code(self) -> str:
        """The leading code (PLT-014)."""
        return self.problems[0].code


def refused(
    layer: Layer | None,
    code: str,
    message: str,
    *,
    pointer: str | None = None,
    hint: str | None = None,
    headers: Mapping[str, str] | None = None,
    retry_after: int | None = None,
) -> RequestRefused:
    """A refusal with one problem, to be raised by the caller."""
    return RequestRefused(
        layer, Problem(code, message, pointer=pointer, hint=hint), headers=headers, retry_after=retry_after
    )


def not_found(what: str = "there is nothing at this address") -> RequestRefused:
    """The answer to everything unknown, and to everything out of the caller's scope alike (PLT-016)."""
    return refused(Layer.EXISTENCE, "ENTITY_NOT_FOUND", what)


def problem_document(refusal: RequestRefused, instance: UUID, correlation_id: UUID) -> dict[str, Any]:
    """The members of PLT-015. `instance` and `correlation_id` stand in where the refusal has none of its own."""
    leading = refusal.problems[0]
    code = leading.code
    return {
        "type": f"urn:billing:problem:{code}",
        "title": ERROR_CODES[code].title,
        "status": refusal.status,
        "code": code,
        "layer": None if refusal.layer is None else str(refusal.layer),
        "detail": leading.message,
        "instance": f"urn:uuid:{refusal.instance or instance}",
        "correlation_id": str(refusal.correlation_id or correlation_id),
        "retryable": is_retryable(code),
        "retry_after_s": refusal.retry_after,
        "problems": [problem_member(problem) for problem in refusal.problems[:_LISTED]],
        **refusal.extensions,
    }


def problem_member(problem: Problem) -> dict[str, Any]:
    """One entry of the list of problems."""
    return {
        "code": problem.code,
        "message": problem.message,
        "pointer": problem.pointer,
        "entity": problem.entity,
        "params": dict(problem.params),
        "hint": problem.hint,
    }


def problem_response(refusal: RequestRefused, instance: UUID, correlation_id: UUID) -> Response:
    """The response of a refusal, with `Retry-After` where a time is known."""
    headers = dict(refusal.headers)
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    document = problem_document(refusal, instance, correlation_id)
    return Response(to_json(document), refusal.status, headers, MEDIA_TYPE)


def to_json(value: object) -> bytes:
    """JSON text in UTF-8. What is neither JSON nor has a plain text form is a defect and fails."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain, allow_nan=False).encode()


def _plain(value: object) -> object:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    if isinstance(value, tuple | Sequence):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "isoformat"):
        return str(value.isoformat()).replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} is not JSON")
