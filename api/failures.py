"""What is told, and what is logged, when something fails that no check refused.

The caller gets a code and nothing of what happened inside; the log gets the kind of the failure and where in the code
it arose, but not its message, which may quote what a client sent (PLT-016, PLT-092).
"""

from __future__ import annotations

import traceback
from typing import Any, Final
from uuid import UUID

import psycopg
import structlog

from api.problems import RequestRefused, refused
from application.dispatch import ConcurrencyError, Layer
from projections.engine import NotReadyError

log: Final = structlog.get_logger("rollon.api")


def refusal_of(failure: Exception) -> RequestRefused:
    """503 when the database is away or too busy, 400 for a total too large to be kept, 500 for everything else.

    Nothing was written either way.
    """
    if isinstance(failure, ConcurrencyError | NotReadyError | psycopg.OperationalError):
        return refused(None, "SERVICE_UNAVAILABLE", "the event store is not available", retry_after=1)
    if isinstance(failure, psycopg.errors.NumericValueOutOfRange):
        return refused(Layer.COMMAND_VALIDATION, "REQUEST_INVALID", "a total would be larger than can be kept")
    return refused(None, "INTERNAL_ERROR", "the request failed; nothing was changed")


def log_failure(failure: Exception, request_id: UUID, correlation_id: UUID) -> None:
    """One line for a failure, with the places it went through."""
    log.error("failure", request_id=str(request_id), correlation_id=str(correlation_id), **trace_of(failure))


def trace_of(failure: BaseException | None) -> dict[str, Any]:
    """The kind of a failure and the places it went through, as members of a line of the log."""
    frames = [] if failure is None else traceback.extract_tb(failure.__traceback__)
    return {
        "kind": f"{type(failure).__module__}.{type(failure).__qualname__}",
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-12:]],
    }
