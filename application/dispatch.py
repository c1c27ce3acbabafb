"""The dispatcher: the one way a command gets from an authenticated request to events and an answer, or to a refusal.

The checks run in the layers of PLT-013, the first failing layer ends them: privilege and second factor; the key of
idempotency; command known and payload well formed; then, inside the unit of work, scope, the stored answer of the key,
and the handler with its own checks of existence, version and rules. What a handler appended is committed with the
inline projections, the stored answer and the audit record in one transaction (PLT-012); a stream that moved meanwhile
makes the whole command run again on the new state, a bounded number of times (PLT-021). A refused command leaves
nothing but its audit record, and binds no key.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

import msgspec
from pydantic import ValidationError

from application.clock import Clock, UuidSource
from application.command import (
    Command,
    CommandAnswer,
    CommandRegistry,
    CommandRequest,
    CommandType,
    Handler,
    Outcome,
    Principal,
)
from application.unit_of_work import UnitOfWork
from domain.errors import Problem, Refusal
from domain.platform.privileges import may_execute

#: `command.conflict_retries`: how often a command is repeated after a conflict (PLT-021).
CONFLICT_RETRIES = 3
#: Seconds after which a client may send the same key again while its first command is still running (PLT-019).
IN_PROGRESS_RETRY_AFTER = 1
#: Members that one refusal names as missing, malformed or unknown: a hostile payload could have hundreds of thousands.
MOST_PROBLEMS = 1_000

R = TypeVar("R")

#: What goes on behind the commit of a command: gets the request and its answer, and answers with what came of it. It
#: raises nothing, for the command stands.
Continuation = Callable[[CommandRequest, CommandAnswer], CommandAnswer]
#: What follows behind the refusal of a command, in transactions of its own. It raises nothing, for the refusal stands.
Aftermath = Callable[[CommandRequest, Sequence[Problem]], None]

_encode = msgspec.json.Encoder(order="sorted").encode
#: A client's key; behind `#` the index of a batch's item without a key of its own (PLT-009).
_KEY_FORM = re.compile(r"[A-Za-z0-9._:-]{1,100}(#[0-9]{1,3})?")
_OWN_CODE = re.compile(r"^[A-Z][A-Z0-9_]+$")


class Layer(StrEnum):
    """The layers of checks in the order in which they run (PLT-013)."""

    AUTHENTICATION = "AUTHENTICATION"
    AUTHORISATION = "AUTHORISATION"
    FACADE = "FACADE"
    COMMAND_FACADE = "COMMAND_FACADE"
    EXISTENCE = "EXISTENCE"
    CONCURRENCY = "CONCURRENCY"
    COMMAND_VALIDATION = "COMMAND_VALIDATION"


class ConcurrencyError(Exception):
    """Another unit got in between: a stream moved, a deadlock was broken. The command may be run again (PLT-021)."""

    def __init__(self, message: str, stream: str | None = None, current_version: int | None = None) -> None:
        super().__init__(message)
        self.stream = stream
        self.current_version = current_version


class NotStartedError(ConcurrencyError):
    """The unit failed before it read anything, on a connection that had died; it may be run again in any case."""


class KeyTakenError(Exception):
    """The idempotency key is not fresh: its first command was answered (`answer`), or is still running (None)."""

    def __init__(self, answer: StoredAnswer | None) -> None:
        super().__init__("answered before" if answer else "still running")
        self.answer = answer


class CommandRefused(Exception):
    """A command was refused as a whole and changed nothing (PLT-012): every problem of the first failing layer.

    `retry_after` is in seconds and only given when the same body may be sent again with the same key (PLT-019).
    """

    def __init__(
        self,
        layer: Layer,
        problems: Sequence[Problem],
        command_id: UUID,
        correlation_id: UUID,
        retry_after: int | None = None,
    ) -> None:
        self.layer = layer
        self.problems: tuple[Problem, ...] = tuple(problems)
        if not self.problems:
            raise ValueError("a refusal names at least one problem")
        self.command_id = command_id
        self.correlation_id = correlation_id
        self.retry_after = retry_after
        super().__init__(f"{layer}: " + ", ".join(problem.code for problem in self.problems))

    @property
    def code(self) -> str:
        """The leading code (PLT-014)."""
        return self.problems[0].code


class BatchRefused(Exception):
    """An atomic batch was refused as a whole: the refusals of all failing items by index from 0 (PLT-009)."""

    def __init__(self, refusals: Mapping[int, CommandRefused]) -> None:
        self.refusals = dict(refusals)
        super().__init__(", ".join(f"{index}: {refusal}" for index, refusal in self.refusals.items()))


class CommandContext(NamedTuple):
    """One attempt at one command, as the unit of work needs to know it: the request and what the server adds to it."""

    request: CommandRequest
    command_id: UUID
    correlation_id: UUID
    fingerprint: bytes
    now: dt.datetime


class StoredAnswer(NamedTuple):
    """What an earlier command of the same client and key was, and what it was answered (PLT-004)."""

    fingerprint: bytes
    answer: CommandAnswer


class AuditRecord(NamedTuple):
    """The record of one command, accepted or refused (PLT-078). Of the payload only the fingerprint is kept.

    `positions` maps each touched stream to its position after the command; `duration` is in microseconds. `subject` is
    the object of what is no command on a stream, such as the run of a job.
    """

    command_id: UUID
    command: str
    principal: Principal
    channel: str
    idempotency_key: str | None
    fingerprint: bytes | None
    accepted: bool
    replayed: bool
    dry_run: bool
    layer: str | None
    codes: tuple[str, ...]
    positions: Mapping[str, int]
    correlation_id: UUID
    recorded_at: dt.datetime
    duration: int
    on_behalf_of: str | None = None
    subject: str | None = None


class CommandUnit(UnitOfWork, Protocol):
    """A unit of work as the dispatcher sees it."""

    def require_fresh_key(self, *, now: bool = False) -> None:
        """From here on the command may only run with a fresh key: raises KeyTakenError if it is not.

        The key is looked up together with the next read, which raises then, so that it costs no round trip of its own;
        with `now`, at once.
        """
        ...

    @property
    def missing_confirmations(self) -> Sequence[Problem]:
        """The confirmations the handler asked for that the envelope does not carry (PLT-008)."""
        ...

    def complete(self, answer: CommandAnswer, audit: AuditRecord, *, commit: bool) -> CommandAnswer:
        """Write the appended events, feed the inline projections, store the answer under the key and the audit record.

        Returns the answer with its events, and with the highest position written. With `commit` the transaction ends
        here; a dry run never commits (PLT-007): its events carry their payload and no position, and the answer is
        stamped with the position it was computed on. Raises ConcurrencyError.
        """
        ...

    def enter(self, context: CommandContext) -> None:
        """Go on with another command in the same transaction; what the last one did not complete is forgotten."""
        ...

    def commit(self) -> None:
        """Commit the completed commands. Raises ConcurrencyError."""
        ...


class UnitFactory(Protocol):
    """Opens units of work."""

    def begin(self, context: CommandContext) -> AbstractContextManager[CommandUnit]:
        """A fresh unit; leaving it without `commit` rolls everything back."""
        ...


class AuditTrail(Protocol):
    """The append-only record of refused and replayed commands, written in transactions of its own (PLT-078)."""

    def record(self, record: AuditRecord) -> None: ...


class Guard:
    """Checks that stand outside the handlers (second factor, maintenance, scope); the base class lets everything pass.

    Each method refuses by raising a `Refusal`; the layer follows from its code (`layer_of`).
    """

    def authorise(self, kind: CommandType, principal: Principal) -> None:
        """Behind the privilege check and before the payload is looked at: second factor, maintenance mode."""

    def admit(self, kind: CommandType, command: Command, unit: UnitOfWork) -> None:
        """Before a stored answer is given: the named objects are in the caller's scope (PLT-004, PLT-016)."""

    def accept(self, kind: CommandType, command: Command, unit: UnitOfWork) -> None:
        """After the handler, in its transaction: what acceptance uses up, such as a second factor (PLT-040)."""


def layer_of(code: str) -> Layer:
    """The layer a code belongs to, by its status in the rulebook: 404 existence, 403 authorisation, version codes
    concurrency, and everything else a command's own rules raise is validation (PLT-013, PLT-017)."""
    return _LAYERS.get(code) or (Layer.EXISTENCE if code.endswith("_NOT_FOUND") else Layer.COMMAND_VALIDATION)


_LAYERS: dict[str, Layer] = {
    "UNAUTHENTICATED": Layer.AUTHENTICATION,
    **dict.fromkeys(
        (
            "FORBIDDEN",
            "AUTHORITY_EXCEEDED",
            "SELF_APPROVAL_FORBIDDEN",
            "APPROVER_ALREADY_APPROVED",
            "ROLE_INSUFFICIENT",
            "OWN_RIGHTS_FORBIDDEN",
            "USER_LOCKED",
            "SECOND_FACTOR_REQUIRED",
            "SECOND_FACTOR_INVALID",
            "SECOND_FACTOR_REUSED",
            "MAINTENANCE_MODE",
        ),
        Layer.AUTHORISATION,
    ),
    "IDEMPOTENCY_KEY_MISSING": Layer.FACADE,
    "COMMAND_UNKNOWN": Layer.COMMAND_FACADE,
    "REQUEST_INVALID": Layer.COMMAND_FACADE,
    "IDEMPOTENCY_CONFLICT": Layer.COMMAND_FACADE,
    "COMMAND_IN_PROGRESS": Layer.COMMAND_FACADE,
    "UNKNOWN_PAYMENT": Layer.EXISTENCE,
    "CONCURRENT_CHANGE": Layer.CONCURRENCY,
    "INVOICE_STATUS_CHANGED": Layer.CONCURRENCY,
    "PAYMENT_STATUS_CHANGED": Layer.CONCURRENCY,
}


def fingerprint_of(request: CommandRequest) -> bytes:
    """SHA-256 over the command name and the canonical JSON of payload, expected version, effective date and
    confirmations, values as sent (PLT-003)."""
    return _fingerprint(request, canonical_json(request.payload))


def _fingerprint(request: CommandRequest, payload: bytes) -> bytes:
    """The fingerprint, of a payload that is canonical JSON already: the last of the members in their order."""
    effective = request.effective_date
    others = canonical_json(
        {
            "confirmations": list(request.confirmations),
            "effective_date": effective.isoformat() if effective else None,
            "expected_version": request.expected_version,
        }
    )
    body = others[:-1] + b',"payload":' + payload + b"}"
    return hashlib.sha256(request.name.encode("utf-8", "surrogatepass") + body).digest()


def canonical_json(value: object) -> bytes:
    """JSON with sorted members and no blanks, UTF-8 (PLT-003)."""
    try:
        return _encode(value)
    except (OverflowError, UnicodeEncodeError):
        # Numbers beyond 64 bits and lone surrogates are no valid values of any field, but must not get stuck here.
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode("utf-8", "surrogatepass")


def _validated(model: type[Command], payload: Mapping[str, Any], text: bytes) -> Command:
    """The command of a payload of JSON values, and of its JSON text. Raises a Refusal with every malformed, unknown or
    missing member, each a `REQUEST_INVALID` with its JSON pointer, in the order of the model's fields (PLT-014,
    PLT-018), up to `MOST_PROBLEMS`."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        problems: dict[str, Problem] = {}
        for item in error.errors(include_url=False, include_context=False, include_input=False):
            pointer = _pointer(payload, item["loc"], missing=item["type"] == "missing")
            # A model may name a document's own code by raising a PydanticCustomError of that type.
            code = item["type"] if _OWN_CODE.match(item["type"]) else "REQUEST_INVALID"
            problems.setdefault(pointer, Problem(code, item["msg"], pointer=pointer))
            if len(problems) == MOST_PROBLEMS:
                break
        raise Refusal(list(problems.values())) from None


def _pointer(payload: object, location: tuple[int | str, ...], *, missing: bool) -> str:
    """The JSON pointer of a validation error: its location without what pydantic adds to members and indices."""
    here, pointer = payload, ""
    for depth, part in enumerate(location):
        if (isinstance(here, Mapping) and part in here) or (isinstance(here, list) and part in range(len(here))):
            here = here[part]  # type: ignore[index]
        elif not (missing and depth == len(location) - 1):
            continue
        pointer += "/" + str(part).replace("~", "~0").replace("/", "~1")
    return pointer


class Dispatcher:
    """Executes commands. One instance serves any number of threads; it keeps no state of a command."""

    def __init__(
        self,
        units: UnitFactory,
        audit: AuditTrail,
        clock: Clock,
        ids: UuidSource,
        *,
        guards: Sequence[Guard] = (),
        types: Mapping[str, CommandType] | None = None,
        handlers: Mapping[str, Handler] | None = None,
        continuations: Mapping[str, Continuation] | None = None,
        aftermaths: Mapping[str, Aftermath] | None = None,
        conflict_retries: int = CONFLICT_RETRIES,
    ) -> None:
        self._units = units
        self._audit = audit
        self._clock = clock
        self._ids = ids
        self._guards = tuple(guards)
        self._types = CommandRegistry.types if types is None else types
        self._handlers = CommandRegistry.handlers if handlers is None else handlers
        self._continuations = dict(continuations or {})
        self._aftermaths = dict(aftermaths or {})
        self._conflict_retries = conflict_retries

    def authorise(self, request: CommandRequest) -> None:
        """Check the privilege and the second factor alone, for an edge that must refuse before it reads the body
        (PLT-013). An unknown command passes: it is refused in its own layer. Raises CommandRefused."""
        execution = self._execution(request)
        try:
            self._authorise(execution)
        except Refusal as refusal:
            raise self._refused(execution, refusal.problems) from None

    def refuse(self, request: CommandRequest, layer: Layer, problems: Sequence[Problem]) -> CommandRefused:
        """Record a refusal that the edge decided (authentication, media type, JSON, envelope); the caller raises it."""
        return self._refused(self._execution(request), problems, layer)

    def put_on_record(self, request: CommandRequest, subject: str, problems: Sequence[Problem] = ()) -> None:
        """Record what was asked for besides commands, and done or refused elsewhere: the runs of jobs (PLT-078)."""
        codes = tuple(problem.code for problem in problems)
        layer = layer_of(codes[0]) if codes else None
        record = self._record(self._execution(request), accepted=not problems, layer=layer, codes=codes)
        self._audit.record(record._replace(subject=subject))

    def execute(self, request: CommandRequest) -> CommandAnswer:
        """Run one command to its answer. Raises CommandRefused with every problem of the first failing layer."""
        execution = self._execution(request)
        try:
            self._check_facade(execution)
            answer = self._with_retries([execution], lambda: self._attempt(execution))
        except Refusal as refusal:
            raise self._refused(execution, refusal.problems) from None
        except Exception:
            self._failed(execution)
            raise
        goes_on = self._continuations.get(request.name)
        return answer if goes_on is None or answer.dry_run else goes_on(request, answer)

    def execute_atomic(self, requests: Sequence[CommandRequest]) -> list[CommandAnswer]:
        """Run the commands of one account, all or none, in the order given (PLT-009, mode ATOMIC).

        A later command sees what the earlier ones did. After a failing item the others are still tried on the state
        without it, so that the problems of every failing item are known. Raises BatchRefused.
        """
        executions = [self._execution(request) for request in requests]
        refusals: dict[int, Sequence[Problem]] = {}
        try:
            for index, execution in enumerate(executions):
                with _collecting(refusals, index):
                    self._check_facade(execution)
            if not refusals:
                refusals.update(_of_several_accounts(executions))
            if not refusals:
                return self._with_retries(executions, lambda: self._attempt_all(executions))
        except _ItemsRefused as refused:
            refusals = refused.refusals
        except Exception:
            for execution in executions:
                self._failed(execution)
            raise
        raise BatchRefused({i: self._refused(executions[i], problems) for i, problems in sorted(refusals.items())})

    # Layers 2 to 4: before the transaction

    def _execution(self, request: CommandRequest) -> _Execution:
        command_id = self._ids.new()
        return _Execution(
            request=request,
            command_id=command_id,
            correlation_id=request.correlation_id or command_id,
            started=time.perf_counter_ns(),
            kind=self._types.get(request.name),
        )

    def _check_facade(self, execution: _Execution) -> None:
        self._authorise(execution)
        _check_key(execution.request)
        if execution.kind is None:
            raise Refusal(Problem("COMMAND_UNKNOWN", "There is no command of this name."))
        payload = canonical_json(execution.request.payload)
        execution.fingerprint = _fingerprint(execution.request, payload)
        execution.command = _validated(execution.kind.model, execution.request.payload, payload)

    def _authorise(self, execution: _Execution) -> None:
        kind, principal = execution.kind, execution.request.principal
        if kind is None:
            return
        if not may_execute(principal.privileges, kind.name, kind.privilege):
            raise Refusal(Problem("FORBIDDEN", "The privilege for this command is missing."))
        for guard in self._guards:
            guard.authorise(kind, principal)

    # Layers 5 to 7: inside the unit of work

    def _with_retries(self, executions: Sequence[_Execution], attempt: Callable[[], R]) -> R:
        """Run the attempt, and again when another unit got in between; with an expected version only once (PLT-021)."""
        version_expected = any(execution.request.expected_version is not None for execution in executions)
        for retries_left in range(self._conflict_retries, -1, -1):
            try:
                return attempt()
            except NotStartedError:
                if retries_left == 0:
                    raise
            except ConcurrencyError as conflict:
                if retries_left == 0 or version_expected:
                    raise Refusal(_concurrent_change(conflict)) from conflict
        raise AssertionError("unreachable")

    def _attempt(self, execution: _Execution) -> CommandAnswer:
        with self._units.begin(self._context(execution)) as unit:
            answer = self._item(execution, unit, commit=not execution.request.dry_run)
        if answer.replayed or answer.dry_run:
            self._audit.record(self._accepted(execution, answer))
        return answer

    def _attempt_all(self, executions: Sequence[_Execution]) -> list[CommandAnswer]:
        answers: list[CommandAnswer] = []
        refusals: dict[int, Sequence[Problem]] = {}
        with self._units.begin(self._context(executions[0])) as unit:
            for index, execution in enumerate(executions):
                if index:
                    unit.enter(self._context(execution))
                with _collecting(refusals, index):
                    answers.append(self._item(execution, unit, commit=False))
            if refusals:
                raise _ItemsRefused(refusals)
            dry_run = any(execution.request.dry_run for execution in executions)
            if not dry_run:
                unit.commit()
        for execution, answer in zip(executions, answers, strict=True):
            if answer.replayed or answer.dry_run:
                self._audit.record(self._accepted(execution, answer))
        return answers

    def _item(self, execution: _Execution, unit: CommandUnit, *, commit: bool) -> CommandAnswer:
        """Scope, then the key, then the handler (PLT-004). The handler starts before the key is known to be fresh and
        is stopped at its first read if it is not; a refusal it raises without reading must not be told instead."""
        kind, command = execution.known
        for guard in self._guards:
            guard.admit(kind, command, unit)
        try:
            unit.require_fresh_key()
            try:
                answer = self._handled(execution, unit)
            except Refusal:
                unit.require_fresh_key(now=True)
                raise
            answer = unit.complete(answer, self._accepted(execution), commit=commit)
            told = {} if answer.dry_run else execution.once
            return replace(answer, result={**answer.result, **told}) if told else answer
        except KeyTakenError as taken:
            return _answered_before(execution, taken.answer)

    def _handled(self, execution: _Execution, unit: CommandUnit) -> CommandAnswer:
        kind, command = execution.known
        outcome: Outcome = self._handlers[kind.name](command, unit)
        execution.once = outcome.once
        missing = unit.missing_confirmations
        if missing and not execution.request.dry_run:
            raise Refusal(missing)
        for guard in self._guards:
            guard.accept(kind, command, unit)
        return CommandAnswer(
            command_id=str(execution.command_id),
            result=outcome.result,
            events=(),
            position=None,
            warnings=tuple(outcome.warnings),
            missing_confirmations=tuple(str(problem.params.get("confirmation", problem.code)) for problem in missing),
            dry_run=execution.request.dry_run,
        )

    def _context(self, execution: _Execution) -> CommandContext:
        return CommandContext(
            request=execution.request,
            command_id=execution.command_id,
            correlation_id=execution.correlation_id,
            fingerprint=execution.fingerprint or b"",
            now=self._clock.now(),
        )

    # The audit trail

    def _accepted(self, execution: _Execution, answer: CommandAnswer | None = None) -> AuditRecord:
        """The record of an accepted command; without an answer, the unit of work adds the positions it wrote."""
        positions = {event.stream: event.stream_position for event in answer.events} if answer else {}
        return self._record(execution, accepted=True, replayed=bool(answer and answer.replayed), positions=positions)

    def _refused(
        self, execution: _Execution, problems: Sequence[Problem], layer: Layer | None = None
    ) -> CommandRefused:
        layer = layer or layer_of(problems[0].code)
        codes = tuple(problem.code for problem in problems)
        self._audit.record(self._record(execution, accepted=False, layer=layer, codes=codes))
        aftermath = self._aftermaths.get(execution.request.name)
        if aftermath is not None and not execution.request.dry_run:
            aftermath(execution.request, problems)
        retry_after = IN_PROGRESS_RETRY_AFTER if codes[0] == "COMMAND_IN_PROGRESS" else None
        return CommandRefused(layer, problems, execution.command_id, execution.correlation_id, retry_after)

    def _failed(self, execution: _Execution) -> None:
        """A technical failure or a violated invariant: recorded if the store still takes it; the failure itself goes on
        to the caller, who must not lose it behind a second one."""
        with contextlib.suppress(Exception):
            self._audit.record(self._record(execution, accepted=False, codes=("INTERNAL_ERROR",)))

    def _record(
        self,
        execution: _Execution,
        *,
        accepted: bool,
        replayed: bool = False,
        layer: Layer | None = None,
        codes: tuple[str, ...] = (),
        positions: Mapping[str, int] | None = None,
    ) -> AuditRecord:
        request = execution.request
        return AuditRecord(
            command_id=execution.command_id,
            command=request.name,
            principal=request.principal,
            channel=request.channel,
            idempotency_key=request.idempotency_key,
            fingerprint=execution.fingerprint or fingerprint_of(request),
            accepted=accepted,
            replayed=replayed,
            dry_run=request.dry_run,
            layer=layer,
            codes=codes,
            positions=positions or {},
            correlation_id=execution.correlation_id,
            recorded_at=self._clock.now(),
            duration=(time.perf_counter_ns() - execution.started) // 1000,
            on_behalf_of=request.on_behalf_of,
        )


@dataclass(slots=True)
class _Execution:
    """One command on its way through the layers."""

    request: CommandRequest
    command_id: UUID
    correlation_id: UUID
    started: int
    kind: CommandType | None
    fingerprint: bytes | None = None
    command: Command | None = None
    once: Mapping[str, Any] = field(default_factory=dict)

    @property
    def known(self) -> tuple[CommandType, Command]:
        """Kind and command once the facade let them pass."""
        assert self.kind is not None
        assert self.command is not None
        return self.kind, self.command


class _ItemsRefused(Exception):
    """Items of an atomic batch were refused inside the unit of work."""

    def __init__(self, refusals: dict[int, Sequence[Problem]]) -> None:
        super().__init__(len(refusals))
        self.refusals = refusals


@contextlib.contextmanager
def _collecting(refusals: dict[int, Sequence[Problem]], index: int) -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        refusals[index] = refusal.problems


def _check_key(request: CommandRequest) -> None:
    """The key is mandatory except for dry runs, and of the form of PLT-003."""
    if request.idempotency_key is None:
        if not request.dry_run:
            raise Refusal(Problem("IDEMPOTENCY_KEY_MISSING", "The header Idempotency-Key is missing."))
    elif not _KEY_FORM.fullmatch(request.idempotency_key):
        raise Refusal(Problem("REQUEST_INVALID", "The idempotency key is 1 to 100 characters of A-Z a-z 0-9 . _ : -"))


def _answered_before(execution: _Execution, stored: StoredAnswer | None) -> CommandAnswer:
    """The stored answer, if the same command was sent again (PLT-004)."""
    if stored is None:
        raise Refusal(Problem("COMMAND_IN_PROGRESS", "The first command with this key is still running."))
    if stored.fingerprint != execution.fingerprint:
        raise Refusal(Problem("IDEMPOTENCY_CONFLICT", "The key was used with another command or body."))
    return replace(stored.answer, replayed=True)


def _of_several_accounts(executions: Sequence[_Execution]) -> dict[int, Sequence[Problem]]:
    """Items that are not of the first item's account, by index; a command without an account is of none (PLT-009)."""
    accounts = []
    for execution in executions:
        kind, command = execution.known
        accounts.append(getattr(command, kind.account_field) if kind.account_field else None)
    return {
        index: [Problem("REQUEST_INVALID", "An atomic batch holds commands of one account only.")]
        for index, account in enumerate(accounts)
        if account is None or account != accounts[0]
    }


def _concurrent_change(conflict: ConcurrencyError) -> Problem:
    params = {} if conflict.current_version is None else {"current_version": conflict.current_version}
    return Problem("CONCURRENT_CHANGE", "The object was changed meanwhile.", entity=conflict.stream, params=params)
