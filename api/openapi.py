"""The OpenAPI document: one operation for every registered command, written from the registry, and the fixed ones.

The command's model gives the payload's schema, its declaration the summary, the example and the codes it may be refused
with; a code's status comes from the rulebook's table. So a new command documents itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from api.envelope import KEY_PATTERN, MAX_CONFIRMATIONS, MAX_ON_BEHALF_OF, MAX_VERSION
from api.services import Services
from application.command import CommandType
from application.jobs import ControlAction, RunState
from domain.platform.error_codes import ERROR_CODES, status_of
from domain.platform.parameters import PARAMETERS
from domain.platform.privileges import Role, covering_privileges

Document = dict[str, Any]

VERSION: Final = "1"
_REF: Final = "#/components/schemas/{model}"
_PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}
_UUID: Final = {"type": "string", "format": "uuid"}
_INSTANT: Final = {"type": "string", "format": "date-time"}
_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}

#: What any request may be answered, by where it may go wrong.
_AUTHENTICATED: Final = ("UNAUTHENTICATED", "RATE_LIMITED", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE")
_BODY: Final = ("REQUEST_INVALID", "PAYLOAD_TOO_LARGE", "MEDIA_TYPE_UNSUPPORTED")
_COMMAND: Final = (
    *_BODY,
    "IDEMPOTENCY_KEY_MISSING",
    "FORBIDDEN",
    "ENTITY_NOT_FOUND",
    "IDEMPOTENCY_CONFLICT",
    "COMMAND_IN_PROGRESS",
    "CONCURRENT_CHANGE",
    "CONFIRMATION_REQUIRED",
    "MAINTENANCE_MODE",
    *_AUTHENTICATED,
)

_INTRODUCTION: Final = """Group benefits billing. Commands are sent here, one operation each; questions go to GraphQL.

Every command takes an idempotency key: the same key with the same command is answered with the first answer and has no
further effect. A refused command changes nothing and names every problem at once, as `application/problem+json`.
Amounts are decimal strings, dates are `YYYY-MM-DD`, timestamps RFC 3339 in UTC."""


_DRY_RUN: Final[Document] = {
    "name": "dryRun",
    "in": "query",
    "required": False,
    "description": "The same as the envelope's `dry_run`; of a batch or a stream, for each of its commands.",
    "schema": {"type": "boolean", "default": False},
}


def openapi_document(services: Services) -> Document:
    """The whole document for what these services offer."""
    kinds = sorted(services.commands.values(), key=lambda kind: (kind.room, kind.name))
    schemas = {**_fixed_schemas(), **_command_schemas(kinds)}
    paths: dict[str, Document] = {}
    for kind in kinds:
        paths[f"/v1/commands/{kind.name}"] = {"post": _command_operation(kind)}
    for path, operations in _fixed_paths(services).items():
        paths[path] = {**paths.get(path, {}), **operations}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Rollon", "version": VERSION, "description": _INTRODUCTION},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": _tags(kinds),
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of the configured OpenID Connect issuer, or an API key.",
                }
            },
            "schemas": schemas,
        },
    }


def _tags(kinds: Sequence[CommandType]) -> list[Document]:
    rooms = list(dict.fromkeys(kind.room for kind in kinds))
    return [{"name": name} for name in (*rooms, "commands", "jobs", "files", "reference", "operations", "sandbox")]


# --- commands --------------------------------------------------------------------------------------------------------


def _command_schemas(kinds: Sequence[CommandType]) -> dict[str, Document]:
    """Payload and envelope of every command."""
    if not kinds:
        return {}
    mapping, definitions = models_json_schema([(kind.model, "validation") for kind in kinds], ref_template=_REF)
    schemas: dict[str, Document] = dict(definitions.get("$defs", {}))
    for kind in kinds:
        schemas[f"{kind.name}Request"] = _envelope_schema(mapping[(kind.model, "validation")])
    return schemas


def _envelope_schema(payload: Mapping[str, Any], *, with_name: bool = False) -> Document:
    """The envelope of PLT-002 around a payload; in a batch or a stream with the command's name."""
    name = {"name": {"type": "string", "description": "The command's name."}} if with_name else {}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [*name, "payload"],
        "properties": {
            **name,
            "payload": dict(payload),
            "idempotency_key": _optional(
                {"type": "string", "pattern": KEY_PATTERN}, "In place of the header Idempotency-Key."
            ),
            "expected_version": _optional(
                {"type": "integer", "minimum": 0, "maximum": MAX_VERSION},
                "The stream position of the main object that the user saw.",
            ),
            "effective_date": _optional({"type": "string", "format": "date"}, "A civil date; default today."),
            "dry_run": _optional({"type": "boolean"}, "Check everything, change nothing."),
            "confirmations": _optional(
                {
                    "type": "array",
                    "maxItems": MAX_CONFIRMATIONS,
                    "items": {"type": "string", "minLength": 1, "maxLength": 100},
                },
                "What the user confirmed.",
            ),
            "correlation_id": _optional(_UUID, "Ties together what belongs together; given by the server if absent."),
            "on_behalf_of": _optional(
                {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": MAX_ON_BEHALF_OF,
                    "pattern": "^[^\\u0000-\\u001f\\u007f]+$",
                },
                "For the record; grants nothing.",
            ),
        },
    }


def _optional(schema: Mapping[str, Any], description: str) -> Document:
    return {"anyOf": [dict(schema), {"type": "null"}], "description": description}


def _command_operation(kind: CommandType) -> Document:
    second_factor = PARAMETERS["second_factor.commands"].default
    needs_factor = isinstance(second_factor, tuple) and kind.name in second_factor
    others = sorted(covering_privileges(kind.name) - {kind.privilege})
    notes = ["Privilege " + " or ".join(f"`{name}`" for name in (kind.privilege, *others)) + "."]
    if needs_factor:
        notes.append("Users need a second factor given within the last 5 minutes.")
    if kind.rules:
        notes.append("Rules: " + ", ".join(kind.rules) + ".")
    codes = (*_COMMAND, *(("SECOND_FACTOR_REQUIRED",) if needs_factor else ()), *kind.refusals)
    answer = _json_response("CommandAnswer", "The command was accepted, or answered before with this key.")
    answer["headers"] = {
        "Idempotency-Replayed": {
            "description": "`true` on the stored answer of an earlier command with this key.",
            "schema": {"type": "string", "enum": ["true"]},
        }
    }
    return {
        "operationId": kind.name,
        "tags": [kind.room],
        "summary": kind.summary,
        "description": " ".join(notes),
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "Mandatory except for dry runs; unique per client application.",
                "schema": {"type": "string", "pattern": KEY_PATTERN},
                "example": f"{kind.name}-1",
            },
            _DRY_RUN,
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": f"#/components/schemas/{kind.name}Request"},
                    "example": {"payload": dict(kind.example)},
                }
            },
        },
        "responses": {"200": answer, **_activity(kind), **_refusals(codes, kind.name)},
    }


def _activity(kind: CommandType) -> Document:
    """The answer of a command that may go on behind its commit (PLT-010)."""
    if not kind.activity:
        return {}
    answer = _json_response("CommandAnswer", "The command was accepted and goes on as the activity of its result.")
    answer["headers"] = {
        "Location": {"description": "Where its progress is told.", "schema": {"type": "string"}},
    }
    return {"202": answer}


def _refusals(codes: Iterable[str], command: str | None = None) -> dict[str, Document]:
    """Problem responses by status, each naming its codes."""
    by_status: defaultdict[int, list[str]] = defaultdict(list)
    for code in dict.fromkeys(codes):
        by_status[status_of(code, command)].append(code)
    return {str(status): _problem_response(by_status[status]) for status in sorted(by_status)}


def _problem_response(codes: Sequence[str]) -> Document:
    described = "\n".join(f"- `{code}`: {ERROR_CODES[code].title}" for code in codes)
    return {
        "description": described,
        "x-codes": list(codes),
        "content": {"application/problem+json": {"schema": dict(_PROBLEM)}},
    }


def _json_response(schema: str, description: str) -> Document:
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


#: Where a path is an id for one method and a name for another, what is no id is answered as the name's address.
_ANOTHER_METHOD: Final = {
    "405": {
        "description": "This is no id.",
        "headers": {"Allow": {"schema": _TEXT}},
        "content": {"application/problem+json": {"schema": _PROBLEM}},
    }
}


# --- the fixed operations --------------------------------------------------------------------------------------------


def _operation(
    operation_id: str,
    tag: str,
    summary: str,
    responses: Mapping[str, Document],
    codes: Sequence[str],
    *,
    body: Document | None = None,
    media_type: str = "application/json",
    parameters: Sequence[Document] = (),
    open_to_all: bool = False,
) -> Document:
    operation: Document = {
        "operationId": operation_id,
        "tags": [tag],
        "summary": summary,
        "parameters": list(parameters),
        "responses": {**responses, **_refusals(codes)},
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {media_type: {"schema": body}}}
    if open_to_all:
        operation["security"] = []
    return operation


def _parameter(
    name: str, place: str, schema: Mapping[str, Any], description: str, *, required: bool = True
) -> Document:
    return {"name": name, "in": place, "required": required, "description": description, "schema": dict(schema)}


def _fixed_paths(services: Services) -> dict[str, Document]:
    paths = {**_commands_paths(), **_reference_paths(), **_jobs_paths(), **_files_paths(), **_operations_paths()}
    if services.settings.sandbox and services.sandbox_issuer is not None:
        paths |= _token_paths()
    if services.settings.sandbox and services.sandbox_clock is not None:
        paths |= _clock_paths()
    return paths


def _commands_paths() -> dict[str, Document]:
    any_command = {"$ref": "#/components/schemas/BatchItem"}
    batch = {
        "type": "object",
        "additionalProperties": False,
        "required": ["commands"],
        "properties": {
            "mode": {"type": "string", "enum": ["INDEPENDENT", "ATOMIC"], "default": "INDEPENDENT"},
            "idempotency_key": _optional({"type": "string", "pattern": KEY_PATTERN}, "Of the batch."),
            "commands": {"type": "array", "minItems": 1, "maxItems": 500, "items": any_command},
        },
    }
    stream = {
        "description": "One result a line, in the order of the commands.",
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
    }
    return {
        "/v1/commands": {
            "get": _operation(
                "listCommands",
                "commands",
                "All commands",
                {"200": _json_response("CommandCatalogue", "The commands.")},
                _AUTHENTICATED,
            ),
            "post": _operation(
                "streamCommands",
                "commands",
                "A stream of commands, one JSON object a line; each succeeds or fails alone",
                {"200": stream},
                ("REQUEST_INVALID", "MEDIA_TYPE_UNSUPPORTED", *_AUTHENTICATED),
                parameters=[_DRY_RUN],
                body={"description": 'Lines {"name", "idempotency_key", "payload", ...}.'},
                media_type="application/x-ndjson",
            ),
        },
        "/v1/commands/batch": {
            "post": _operation(
                "executeBatch",
                "commands",
                "Several commands, each on its own (INDEPENDENT) or all or none (ATOMIC, one account)",
                {"200": _json_response("BatchAnswer", "One result for each command, in order.")},
                sorted({*_COMMAND, "BATCH_TOO_LARGE", "COMMAND_UNKNOWN"}),
                body=batch,
                parameters=[
                    _parameter(
                        "Idempotency-Key",
                        "header",
                        {"type": "string", "pattern": KEY_PATTERN},
                        "Key of the batch; items without a key of their own get it with `#` and their index.",
                        required=False,
                    ),
                    _DRY_RUN,
                ],
            ),
        },
        "/v1/commands/{command_id}": {
            "get": _operation(
                "commandStatus",
                "commands",
                "What became of a command",
                {"200": _json_response("CommandStatus", "The command on the record."), **_ANOTHER_METHOD},
                ("ENTITY_NOT_FOUND", *_AUTHENTICATED),
                parameters=[_parameter("command_id", "path", _UUID, "As in the command's answer.")],
            ),
        },
    }


def _reference_paths() -> dict[str, Document]:
    return {
        "/v1/roles": {
            "get": _operation(
                "listRoles",
                "reference",
                "Roles and privileges",
                {"200": _json_response("Roles", "The roles.")},
                _AUTHENTICATED,
            )
        },
        "/v1/error-codes": {
            "get": _operation(
                "listErrorCodes",
                "reference",
                "All codes a refusal may carry",
                {"200": _json_response("ErrorCodes", "The codes.")},
                _AUTHENTICATED,
            )
        },
    }


def _jobs_paths() -> dict[str, Document]:
    accounts = {"type": "array", "maxItems": 10_000, "items": {"type": "string", "minLength": 1, "maxLength": 100}}
    selection = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "run_date": _optional({"type": "string", "format": "date"}, "Default: today of each account."),
            "accounts": _optional(accounts, "Default: all."),
            "excluded_accounts": _optional(accounts, "Left out, also if included."),
        },
    }
    run = _json_response("JobRun", "The run.")
    return {
        "/v1/jobs": {
            "get": _operation(
                "listJobs",
                "jobs",
                "The jobs that may be run by hand",
                {"200": _json_response("Jobs", "The jobs.")},
                ("FORBIDDEN", *_AUTHENTICATED),
            )
        },
        # One template for both, as OpenAPI wants it: a run is started by the job's name and asked for by its own id.
        "/v1/jobs/{id}": {
            "post": _operation(
                "runJob",
                "jobs",
                "Start a run of a job",
                {"202": run},
                (*_BODY, "FORBIDDEN", "ENTITY_NOT_FOUND", "RUN_ALREADY_ACTIVE", *_AUTHENTICATED),
                body=selection,
                parameters=[_parameter("id", "path", {"type": "string", "pattern": "^[A-Za-z]{1,100}$"}, "The job.")],
            ),
            "get": _operation(
                "jobRun",
                "jobs",
                "A run and its progress",
                {"200": run, **_ANOTHER_METHOD},
                ("FORBIDDEN", "ENTITY_NOT_FOUND", *_AUTHENTICATED),
                parameters=[_parameter("id", "path", _UUID, "The run, as answered when it was started.")],
            ),
        },
        "/v1/job-runs": {
            "get": _operation(
                "listJobRuns",
                "jobs",
                "The runs, latest first",
                {"200": _json_response("JobRuns", "A page of runs.")},
                ("REQUEST_INVALID", "FORBIDDEN", *_AUTHENTICATED),
                parameters=[
                    _parameter("job", "query", _TEXT, "Of one job.", required=False),
                    _parameter(
                        "state", "query", {"enum": [str(one) for one in RunState]}, "In a state.", required=False
                    ),
                    _parameter("before", "query", _UUID, "Begun before this run.", required=False),
                    _parameter(
                        "first",
                        "query",
                        {"type": "integer", "minimum": 1, "maximum": 200},
                        "Runs of the page; default 50.",
                        required=False,
                    ),
                ],
            )
        },
        **{f"/v1/job-runs/{{id}}/{action.lower()}": {"post": _control(action)} for action in ControlAction},
    }


def _control(action: ControlAction) -> Document:
    summaries = {
        ControlAction.PAUSE: "Let a run stop behind its present item, to be gone on with",
        ControlAction.RESUME: "Go on with a paused run behind its last item",
        ControlAction.CANCEL: "End a run behind its present item; what it has done stays",
    }
    return _operation(
        f"{action.lower()}JobRun",
        "jobs",
        summaries[action],
        {"200": _json_response("JobRun", "The run.")},
        ("FORBIDDEN", "ENTITY_NOT_FOUND", "STATE_INVALID", *_AUTHENTICATED),
        parameters=[_parameter("id", "path", _UUID, "The run.")],
    )


def _files_paths() -> dict[str, Document]:
    receipt = _json_response("FileReceipt", "The file's receipt.")
    codes = ("REQUEST_INVALID", "FORBIDDEN", "ENTITY_NOT_FOUND", "FILE_TOO_LARGE", "MEDIA_TYPE_UNSUPPORTED")
    content = ("FILE_TYPE_NOT_ALLOWED", "FILE_REJECTED", "FILE_FORMAT_UNKNOWN")
    upload = _operation(
        "uploadFile",
        "files",
        "Send a file in; the same bytes again are answered with the first receipt",
        {"200": receipt, "201": receipt},
        (*codes, *content, *_AUTHENTICATED),
        body={"type": "string", "contentMediaType": "application/octet-stream"},
        media_type="application/octet-stream",
        parameters=[
            _parameter("kind", "query", {"type": "string", "minLength": 1}, "The kind of file."),
            _parameter("name", "query", {"type": "string", "maxLength": 255}, "Its name.", required=False),
        ],
    )
    return {
        "/v1/files": {
            "get": _operation(
                "listFileKinds",
                "files",
                "The kinds of file that are taken in",
                {"200": _json_response("FileKinds", "The kinds.")},
                _AUTHENTICATED,
            ),
            "post": upload,
        },
        "/v1/files/{sha256}": {
            "get": _operation(
                "fileReceipt",
                "files",
                "What became of a file",
                {"200": receipt},
                ("ENTITY_NOT_FOUND", *_AUTHENTICATED),
                parameters=[
                    _parameter("sha256", "path", {"type": "string", "pattern": "^[0-9a-f]{64}$"}, "Hash of its bytes.")
                ],
            )
        },
        "/v1/file-cases": {
            "get": _operation(
                "listFileCases",
                "files",
                "What a person should look at in the files the caller may see, oldest first",
                {"200": _json_response("FileCases", "A page of cases.")},
                ("REQUEST_INVALID", *_AUTHENTICATED),
                parameters=[
                    _parameter("kind", "query", _TEXT, "Of one kind of file.", required=False),
                    _parameter(
                        "after",
                        "query",
                        {"type": "string", "pattern": "^[0-9a-f]{64}:[0-9]{1,9}$"},
                        "The `next` of the page before.",
                        required=False,
                    ),
                    _parameter(
                        "first",
                        "query",
                        {"type": "integer", "minimum": 1, "maximum": 200},
                        "Cases of the page; default 50.",
                        required=False,
                    ),
                ],
            )
        },
    }


def _operations_paths() -> dict[str, Document]:
    metrics = {"description": "Prometheus text format.", "content": {"text/plain": {"schema": _TEXT}}}
    failures = ("INTERNAL_ERROR", "SERVICE_UNAVAILABLE")
    return {
        "/health/live": {
            "get": _operation(
                "live",
                "operations",
                "The process is up",
                {"200": _json_response("Health", "It is.")},
                ("INTERNAL_ERROR",),
                open_to_all=True,
            )
        },
        "/health/ready": {
            "get": _operation(
                "ready",
                "operations",
                "The service can take requests",
                {"200": _json_response("Health", "It can.")},
                failures,
                open_to_all=True,
            )
        },
        "/metrics": {
            "get": _operation("metrics", "operations", "Figures", {"200": metrics}, failures, open_to_all=True)
        },
    }


def _token_paths() -> dict[str, Document]:
    token_request = {
        "type": "object",
        "additionalProperties": False,
        "required": ["user", "roles"],
        "properties": {
            "user": {"type": "string", "pattern": "^[A-Za-z0-9._@:-]{1,100}$"},
            "roles": {"type": "array", "items": {"type": "string", "enum": [role.value for role in Role]}},
            "client": _optional({"type": "string", "pattern": "^[A-Za-z0-9._@:-]{1,100}$"}, "The client application."),
            "person": _optional({"type": "string", "pattern": "^[A-Za-z0-9._@:-]{1,100}$"}, "Behind the login."),
            "scope_nodes": _optional(
                {"type": "array", "items": {"type": "string", "pattern": "^[A-Za-z0-9._@:-]{1,100}$"}},
                "Customers whose accounts are visible; absent: all.",
            ),
            "second_factor": _optional({"type": "boolean"}, "As if a second factor had been given just now."),
        },
        "example": {"user": "ann", "roles": ["ITS"], "second_factor": True},
    }
    return {
        "/v1/sandbox/token": {
            "post": _operation(
                "sandboxToken",
                "sandbox",
                "A token for any user and roles",
                {"200": _json_response("Token", "The token.")},
                (*_BODY, "ROLE_COMBINATION_FORBIDDEN", "ENTITY_NOT_FOUND", *_AUTHENTICATED[1:]),
                body=token_request,
                open_to_all=True,
            )
        },
    }


def _clock_paths() -> dict[str, Document]:
    steps = {
        name: {"type": "integer", "minimum": 0, "maximum": 10**8} for name in ("days", "hours", "minutes", "seconds")
    }
    clock_request = {
        "oneOf": [
            {
                "type": "object",
                "additionalProperties": False,
                "required": ["now"],
                "properties": {"now": dict(_INSTANT)},
            },
            {
                "type": "object",
                "additionalProperties": False,
                "required": ["advance"],
                "properties": {
                    "advance": {
                        "type": "object",
                        "additionalProperties": False,
                        "minProperties": 1,
                        "properties": steps,
                    }
                },
            },
        ]
    }
    clock = _json_response("Clock", "The clock.")
    return {
        "/v1/sandbox/clock": {
            "get": _operation(
                "sandboxClock", "sandbox", "What time it is", {"200": clock}, ("ENTITY_NOT_FOUND", *_AUTHENTICATED)
            ),
            "post": _operation(
                "moveSandboxClock",
                "sandbox",
                "Move the clock, not behind what is recorded",
                {"200": clock},
                (*_BODY, "ENTITY_NOT_FOUND", *_AUTHENTICATED),
                body=clock_request,
            ),
        },
    }


# --- schemas ---------------------------------------------------------------------------------------------------------


def _object(**properties: Any) -> Document:
    """An object with these members, all of them always there."""
    return {"type": "object", "required": list(properties), "properties": properties}


def _nullable(schema: Mapping[str, Any]) -> Document:
    return {"anyOf": [dict(schema), {"type": "null"}]}


def _list(schema: Mapping[str, Any]) -> Document:
    return {"type": "array", "items": dict(schema)}


def _fixed_schemas() -> dict[str, Document]:
    member = _object(
        code=_TEXT,
        message=_TEXT,
        pointer=_nullable(_TEXT),
        entity=_nullable(_TEXT),
        params={"type": "object"},
        hint=_nullable(_TEXT),
    )
    problem = _object(
        type={"type": "string", "pattern": "^urn:billing:problem:"},
        title=_TEXT,
        status={"type": "integer"},
        code=_TEXT,
        layer=_nullable(_TEXT),
        detail=_TEXT,
        instance={"type": "string", "format": "uri"},
        correlation_id=_UUID,
        retryable={"type": "boolean"},
        retry_after_s=_nullable({"type": "integer"}),
        problems=_list({"$ref": "#/components/schemas/ProblemMember"}),
    )
    event = _object(
        type=_TEXT, id=_TEXT, stream=_TEXT, stream_position={"type": "integer"}, position=_nullable({"type": "integer"})
    )
    answer = _object(
        command_id=_UUID,
        result={"type": "object", "description": "What the command decided; members by command."},
        events=_list(event),
        position=_nullable({"type": "integer", "description": "To be named as min_position in queries."}),
        streams={"type": "object", "additionalProperties": {"type": "integer"}},
        warnings=_list({"$ref": "#/components/schemas/ProblemMember"}),
        missing_confirmations=_list(_TEXT),
        dry_run={"type": "boolean"},
    )
    item = {
        "type": "object",
        "required": ["index", "status"],
        "properties": {
            "index": {"type": "integer"},
            "status": {"type": "integer"},
            "replayed": {"type": "boolean"},
            "answer": {"$ref": "#/components/schemas/CommandAnswer"},
            "problem": dict(_PROBLEM),
        },
    }
    return {
        "ProblemMember": member,
        "Problem": problem,
        "CommandAnswer": answer,
        "BatchItem": _envelope_schema({"type": "object"}, with_name=True),
        "BatchAnswer": _object(mode=_TEXT, results=_list(item)),
        "CommandCatalogue": _object(
            commands=_list(
                _object(
                    name=_TEXT,
                    room=_TEXT,
                    privilege=_TEXT,
                    summary=_TEXT,
                    rules=_list(_TEXT),
                    refusals=_list(_TEXT),
                    permitted={"type": "boolean"},
                )
            )
        ),
        "CommandStatus": _object(
            command_id=_UUID,
            command=_TEXT,
            state={"type": "string", "enum": ["QUEUED", "RUNNING", "DONE", "CANCELLED", "FAILED"]},
            recorded_at=_INSTANT,
            correlation_id=_UUID,
            layer=_nullable(_TEXT),
            codes=_list(_TEXT),
            answer=_nullable({"type": "object"}),
        ),
        "Roles": _object(
            roles=_list(_object(role=_TEXT, name=_TEXT, privileges=_list(_TEXT))),
            privileges=_list(_object(name=_TEXT, document=_TEXT, commands=_list(_TEXT), roles=_list(_TEXT))),
        ),
        "ErrorCodes": _object(
            codes=_list(
                _object(
                    code=_TEXT,
                    status={"type": "integer"},
                    title=_TEXT,
                    documents=_list(_TEXT),
                    retryable={"type": "boolean"},
                )
            )
        ),
        "Jobs": _object(jobs=_list(_object(name=_TEXT, summary=_TEXT, privilege=_TEXT))),
        "JobRun": _object(
            run_id=_UUID,
            job=_TEXT,
            state=_TEXT,
            run_date=_nullable({"type": "string", "format": "date"}),
            trigger=_TEXT,
            selected=_COUNT,
            done=_COUNT,
            skipped={"type": "object", "additionalProperties": _COUNT},
            failed=_COUNT,
            left=_COUNT,
            last_item=_nullable(_TEXT),
            started_at=_nullable(_INSTANT),
            ended_at=_nullable(_INSTANT),
            heartbeat_at=_nullable(_INSTANT),
            forecast_at=_nullable(_INSTANT),
            requested=_nullable(_TEXT),
            failures=_list(_object(item=_TEXT, code=_TEXT)),
        ),
        "JobRuns": _object(runs=_list({"$ref": "#/components/schemas/JobRun"}), more={"type": "boolean"}),
        "FileKinds": _object(kinds=_list(_object(name=_TEXT, summary=_TEXT, privilege=_TEXT, max_bytes=_COUNT))),
        "FileReceipt": _object(
            sha256=_TEXT,
            kind=_TEXT,
            size=_COUNT,
            state={"type": "string", "enum": ["QUARANTINED", "AVAILABLE", "REJECTED"]},
            received_at=_INSTANT,
            repeated={"type": "boolean"},
            report={"type": "object"},
        ),
        "FileCases": _object(
            cases=_list(
                _object(
                    sha256=_TEXT,
                    number=_COUNT,
                    kind=_TEXT,
                    name=_TEXT,
                    received_at=_INSTANT,
                    state={"type": "string", "enum": ["WAITING", "QUEUED", "REFUSED", "FAILED"]},
                    action=_TEXT,
                    line=_COUNT,
                    segment=_COUNT,
                    code=_nullable(_TEXT),
                    amount=_nullable(_TEXT),
                    currency=_nullable(_TEXT),
                )
            ),
            next=_nullable(_TEXT),
        ),
        "Health": {"type": "object", "required": ["status"], "properties": {"status": _TEXT}},
        "Token": _object(access_token=_TEXT, token_type=_TEXT, expires_in=_COUNT),
        "Clock": _object(now=_INSTANT, offset_s={"type": "integer"}),
    }
