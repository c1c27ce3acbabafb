"""Runs one GraphQL request: limits, one snapshot of the read models, resolution, and errors in the rulebook's codes.

A request runs in a thread of its own with a small event loop: fields that ask for the same kind of thing are loaded
together, and no resolver holds up another request. Nothing is written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import psycopg
import strawberry
from graphql import DocumentNode, GraphQLError, GraphQLSyntaxError, OperationDefinitionNode, parse
from graphql import OperationType as GraphQLOperationType
from strawberry.types.graphql import OperationType

from api.failures import log, trace_of
from api.graphql.context import Context
from api.graphql.limits import (
    COMPARING,
    TOKEN_LIMIT,
    asks_for,
    check_limits,
    check_no_introspection,
    check_texts,
    wanted_position,
)
from api.graphql.personal import fields_with_arguments
from application.balance_checks import Findings
from application.clock import Clock
from application.command import Principal
from application.paid_to_date import RateMemory
from application.query_trail import NAMED_OBJECTS, QueryRecord, QueryTrail
from domain.errors import Problem, Refusal, refuse
from domain.platform.privileges import is_portal_user
from projections.engine import ReadModels
from projections.engine.session import DEFAULT_WAIT


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """A request as it came. `min_position` and `wait_ms` may also be given as arguments of root fields (PLT-071)."""

    query: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    operation: str | None = None
    min_position: int | None = None
    wait_ms: int | None = None
    correlation_id: UUID | None = None


class Executor:
    """Executes requests against one schema. Safe to share between threads."""

    def __init__(
        self, schema: strawberry.Schema, models: ReadModels, clock: Clock, trail: QueryTrail, findings: Findings
    ) -> None:
        self.schema = schema
        self._models = models
        self._clock = clock
        self._trail = trail
        self._findings = findings
        self._rates = RateMemory()

    def execute(self, request: GraphQLRequest, principal: Principal) -> dict[str, Any]:
        """The answer document: data, errors, and in its extensions how fresh it is.

        Every error has a reference, the correlation id, by which what is logged of it is found.
        """
        reference = request.correlation_id or uuid4()
        answer = self._execute(request, principal, reference)
        for error in answer.get("errors", ()):
            error["extensions"]["reference"] = str(reference)
        return answer

    def _execute(self, request: GraphQLRequest, principal: Principal, reference: UUID) -> dict[str, Any]:
        began = time.perf_counter_ns()
        try:
            document = parse(request.query, max_tokens=TOKEN_LIMIT)
            _check_operation(document, request.operation)
            check_limits(document, request.variables)
            check_texts(document)
            portal = is_portal_user(principal.roles)
            if portal:
                check_no_introspection(document)
            position, wait = wanted_position(document, request.variables, request.operation)
            positions = [value for value in (request.min_position, position) if value is not None]
            if asks_for(document, COMPARING, request.variables):
                positions.append(self._models.highest())
            waits = [value for value in (request.wait_ms, wait) if value is not None]
            with self._models.session(
                min_position=max(positions, default=None), wait_ms=max(waits, default=DEFAULT_WAIT)
            ) as session:
                freshness = {
                    "position": session.position,
                    "as_of": session.as_of.isoformat(),
                    "lag_ms": session.lag_ms,
                }
                context = Context(principal, session, self._clock, self._rates)
                result = asyncio.run(
                    self.schema.execute(
                        request.query,
                        variable_values=dict(request.variables),
                        context_value=context,
                        operation_name=request.operation,
                        allowed_operation_types=(OperationType.QUERY,),
                    )
                )
            for account in sorted(context.incomplete):
                self._findings.incomplete_balance(account, context.clock.now())
            if context.told:
                duration = (time.perf_counter_ns() - began) // 1_000
                self._trail.record(record_of(context, document, request.variables, duration, reference))
        except GraphQLSyntaxError as error:
            return {"data": None, "errors": [_told(error, reference)]}
        except Refusal as refusal:
            return {"data": None, "errors": [_refused(refusal.problems)]}
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = [_told(error, reference, hints=not portal) for error in result.errors]
        answer["extensions"] = freshness
        return answer


def record_of(
    context: Context, document: DocumentNode, variables: Mapping[str, Any], duration: int, reference: UUID
) -> QueryRecord:
    """What is kept of a query that told of people (PLT-079)."""
    objects = sorted(context.told)
    return QueryRecord(
        recorded_at=context.clock.now(),
        principal=context.principal,
        fields=fields_with_arguments(document, variables),
        classes=sorted({one for classes in context.told.values() for one in classes}),
        objects=objects if len(objects) <= NAMED_OBJECTS else (),
        object_count=len(objects),
        duration=duration,
        correlation_id=reference,
    )


def _check_operation(document: DocumentNode, name: str | None) -> None:
    """Raises REQUEST_INVALID unless one query is meant: this service is written to by commands alone."""
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    if name is not None:
        operations = [one for one in operations if one.name is not None and one.name.value == name]
    if len(operations) != 1:
        raise refuse(
            "REQUEST_INVALID", "the document needs one operation, or the name of one", pointer="/operationName"
        )
    if operations[0].operation is not GraphQLOperationType.QUERY:
        raise refuse("REQUEST_INVALID", "only queries: what changes anything is a command", pointer="/query")


def _told(error: Any, reference: UUID, *, hints: bool = True) -> dict[str, Any]:
    """An error as the caller sees it: refusals with their codes, misuse of the schema, and failures without detail.

    Without `hints` a misspelt name is not answered with the names there are (PLT-097).
    """
    cause = getattr(error, "original_error", None)
    told: dict[str, Any] = {}
    if isinstance(cause, Refusal):
        told = _refused(cause.problems)
    elif isinstance(cause, psycopg.errors.QueryCanceled):
        told = _refused([Problem("QUERY_TOO_COMPLEX", "the query takes too long")])
    elif isinstance(error, GraphQLError) and (cause is None or isinstance(cause, GraphQLError | ValueError)):
        message = error.message if hints else error.message.partition(" Did you mean ")[0]
        told = _refused([Problem("REQUEST_INVALID", message)])
    else:
        log.error("resolver_failed", correlation_id=str(reference), **trace_of(cause))
        told = _refused([Problem("INTERNAL_ERROR", "the query failed")])
    if getattr(error, "path", None):
        told["path"] = list(error.path)
    if getattr(error, "locations", None):
        told["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    return told


def _refused(problems: Any) -> dict[str, Any]:
    listed = list(problems)[:100]
    return {
        "message": listed[0].message,
        "extensions": {
            "code": listed[0].code,
            "problems": [
                {
                    "code": problem.code,
                    "message": problem.message,
                    "pointer": problem.pointer,
                    "entity": problem.entity,
                    "params": {name: _plain(value) for name, value in problem.params.items()},
                }
                for problem in listed
            ],
        },
    }


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | bool | None) else str(value)
