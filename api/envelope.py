"""The envelope around a command's payload (PLT-002), read from parsed JSON into a request for the dispatcher.

Everything wrong with the envelope is reported at once, in the order of its members. What is wrong with the payload is
not looked at here: that is the next layer's, which knows the command.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from application.command import FIRST_DAY, LAST_DAY, CommandRequest, Principal, is_day_in_bounds
from domain.errors import Problem

KEY_PATTERN: Final = r"^[A-Za-z0-9._:-]{1,100}$"
MAX_CONFIRMATIONS: Final = 100
MAX_ON_BEHALF_OF: Final = 200
MAX_VERSION: Final = 2**31 - 1

_KEY: Final = re.compile(KEY_PATTERN)
_KEY_FORM: Final = "is 1 to 100 characters of A-Z a-z 0-9 . _ : -"
_DATE: Final = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_UUID: Final = re.compile(r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_PRINTABLE: Final = re.compile(r"^[^\x00-\x1f\x7f]+$")


class EnvelopeInvalidError(ValueError):
    """The envelope is malformed: `REQUEST_INVALID` or `IDEMPOTENCY_KEY_MISSING` for each fault."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems[0].message)
        self.problems = problems


def read_envelope(
    body: Any,
    *,
    name: str,
    principal: Principal,
    channel: str,
    correlation_id: UUID,
    header_key: str | None = None,
    derived_key: str | None = None,
    dry_run: bool = False,
    other_members: tuple[str, ...] = (),
) -> CommandRequest:
    """The request of one command. `header_key` is that of the header Idempotency-Key, `derived_key` that of a batch's
    item without a key of its own (PLT-009), `dry_run` that of the query. Raises EnvelopeInvalidError."""
    if not isinstance(body, dict):
        raise EnvelopeInvalidError([_invalid("", "a command is a JSON object")])
    problems: list[Problem] = []
    members = _Members(body, problems)
    own_key = members.read("idempotency_key", _key_fault)
    if header_key is not None and not _KEY.fullmatch(header_key):
        problems.append(Problem("REQUEST_INVALID", f"the header Idempotency-Key {_KEY_FORM}"))
    elif header_key is not None and own_key is not None and own_key != header_key:
        problems.append(_invalid("idempotency_key", "differs from the header Idempotency-Key"))
    payload = members.read("payload", _payload_fault, required=True)
    expected_version = members.read("expected_version", _version_fault)
    effective_date = members.read("effective_date", _date_fault)
    dry_run = bool(members.read("dry_run", _flag_fault)) or dry_run
    confirmations = members.read("confirmations", _confirmations_fault) or []
    own_correlation = members.read("correlation_id", _uuid_fault)
    on_behalf_of = members.read("on_behalf_of", _on_behalf_of_fault)
    members.refuse_others(other_members)
    key = own_key or header_key or derived_key
    if key is None and not dry_run and body.get("idempotency_key") is None:
        problems.append(Problem("IDEMPOTENCY_KEY_MISSING", "the header Idempotency-Key is missing"))
    if problems:
        raise EnvelopeInvalidError(problems)
    return CommandRequest(
        name=name,
        payload=payload,
        principal=principal,
        channel=channel,
        idempotency_key=key,
        expected_version=expected_version,
        effective_date=None if effective_date is None else dt.date.fromisoformat(effective_date),
        dry_run=dry_run,
        confirmations=tuple(confirmations),
        correlation_id=correlation_id if own_correlation is None else UUID(own_correlation),
        on_behalf_of=on_behalf_of,
    )


def is_uuid(text: str) -> bool:
    """Whether a text is a UUID in its usual form."""
    return bool(_UUID.fullmatch(text))


class _Members:
    """The members of the envelope, each read once; what is left over is unknown."""

    def __init__(self, body: Mapping[str, Any], problems: list[Problem]) -> None:
        self._left = dict(body)
        self._problems = problems

    def read(self, name: str, fault_of: Callable[[Any], str | None], *, required: bool = False) -> Any:
        """The member's value; None when it is absent, null, or faulty."""
        value = self._left.pop(name, None)
        if value is None:
            if required:
                self._problems.append(_invalid(name, "is missing"))
            return None
        fault = fault_of(value)
        if fault is None:
            return value
        self._problems.append(_invalid(name, fault))
        return None

    def refuse_others(self, known: tuple[str, ...]) -> None:
        for name in self._left:
            if name not in known:
                self._problems.append(_invalid(name[:100], "is not a member of the envelope"))


def _invalid(name: str, fault: str) -> Problem:
    pointer = "/" + name.replace("~", "~0").replace("/", "~1") if name else ""
    return Problem("REQUEST_INVALID", f"{name} {fault}".strip(), pointer=pointer)


def _key_fault(value: Any) -> str | None:
    fits = isinstance(value, str) and _KEY.fullmatch(value)
    return None if fits else _KEY_FORM


def _payload_fault(value: Any) -> str | None:
    return None if isinstance(value, dict) else "is an object"


def _version_fault(value: Any) -> str | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_VERSION
    return None if fits else f"is a whole number from 0 to {MAX_VERSION}"


def _date_fault(value: Any) -> str | None:
    try:
        if isinstance(value, str) and _DATE.fullmatch(value) and value.isascii():
            if is_day_in_bounds(dt.date.fromisoformat(value)):
                return None
            return f"is a day from {FIRST_DAY} to {LAST_DAY}"
    except ValueError:
        pass
    return "is a date YYYY-MM-DD"


def _flag_fault(value: Any) -> str | None:
    return None if isinstance(value, bool) else "is true or false"


def _confirmations_fault(value: Any) -> str | None:
    fits = (
        isinstance(value, list)
        and len(value) <= MAX_CONFIRMATIONS
        and all(isinstance(entry, str) and 1 <= len(entry) <= 100 for entry in value)
    )
    return None if fits else f"is a list of at most {MAX_CONFIRMATIONS} texts of 1 to 100 characters"


def _uuid_fault(value: Any) -> str | None:
    return None if isinstance(value, str) and is_uuid(value) else "is a UUID"


def _on_behalf_of_fault(value: Any) -> str | None:
    fits = isinstance(value, str) and len(value) <= MAX_ON_BEHALF_OF and _PRINTABLE.fullmatch(value)
    return None if fits else f"is a text of 1 to {MAX_ON_BEHALF_OF} printable characters"
