"""Dead letters: member messages that cannot be processed now, kept whole until someone puts right what is missing.

A message that fails the validator (no account for the routing key, an unknown record, a modality that cannot be
resolved) changes nothing; it is stored with its payload, its reasons and hints, and waits in a queue a person can see.
While an item of a record is open, later messages of the record wait behind it in order of receipt (MEM-084 to MEM-097).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from domain.aggregate import Aggregate
from domain.errors import Problem, refuse
from domain.events import event


class DeadLetterKind(StrEnum):
    """PLT-057."""

    MEMBER_TRANSACTION = "MEMBER_TRANSACTION"
    EMPLOYMENT_CHANGE = "EMPLOYMENT_CHANGE"
    CASCADE_RECORD = "CASCADE_RECORD"
    UNMATCHED_MONEY = "UNMATCHED_MONEY"
    UNREADABLE = "UNREADABLE"


class DeadLetterState(StrEnum):
    """State machine of 03: only member messages wait behind one another."""

    OPEN = "OPEN"
    WAITING = "WAITING"
    RESOLVED = "RESOLVED"
    DISCARDED = "DISCARDED"


#: MEM-092. Other reasons carry the message of their refusal as hint.
HINTS: dict[str, str] = {
    "EMPLOYMENT_MISSING": "assign an employment at a configured unit or set up the parent",
    "PARENT_BILLING_MISSING": "set up billing for the parent customer",
    "EMPLOYER_BILLING_MISSING": "set up billing for the named unit",
    "MULTIPLE_EMPLOYMENTS": "end all but one of the named employments",
    "LOCATION_CLASS_MISSING": "assign an account to the named key",
    "CLASS_BILLING_MISSING": "assign an account to the named key",
    "FREQUENCY_BILLING_MISSING": "assign an account to the named key",
    "PAYROLL_CALENDAR_MISSING": "configure the payroll calendar for the named frequency",
    "BILLING_ACCOUNT_MISSING": "create or activate the account",
    "BILLING_ACCOUNT_NOT_ACTIVE": "create or activate the account",
    "MODALITY_UNRESOLVED": "link an invoicing configuration to the product group",
    "MEMBER_RECORD_UNKNOWN": "process the member's New Business first",
    "CEM_UNAVAILABLE": "retry when customer data are reachable",
    "ROLL_ON_PENDING": "decide the pending roll-on, then reprocess",
}

#: Refusals that are configuration failures, not business answers to the sender (PRM-009).
CONFIGURATION_FAILURES = frozenset(HINTS) | {"MODAL_CALCULATION_BLOCKED"}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the message could not be processed, and what would help."""

    code: str
    message: str
    hint: str


def reasons_of(problems: Sequence[Problem]) -> tuple[Reason, ...]:
    """The problems of a failed validation as reasons with hints (MEM-092)."""
    return tuple(
        Reason(problem.code, problem.message, HINTS.get(problem.code, problem.hint or problem.message))
        for problem in problems
    )


@event()
class MemberTransactionDeadLettered:
    """A message is kept for later, with its command and payload as JSON text (MEM-091)."""

    dead_letter: str
    kind: DeadLetterKind
    key: str
    command: str
    payload: str
    reasons: tuple[Reason, ...]
    source: str
    waiting: bool
    received_at: dt.datetime


@event()
class DeadLetterAttemptFailed:
    """Reprocessing failed again; the reasons are replaced (MEM-094)."""

    dead_letter: str
    reasons: tuple[Reason, ...]
    attempts: int


@event()
class DeadLetterResolved:
    """The message was processed, or refused by business rules and sent back (MEM-094, PLT-059)."""

    dead_letter: str
    outcome: str
    codes: tuple[str, ...] = ()


@event()
class DeadLetterDiscarded:
    """The message was given up; nothing of it is deleted (MEM-096)."""

    dead_letter: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """State of a dead letter; `number` is empty before it exists."""

    number: str = ""
    kind: DeadLetterKind = DeadLetterKind.MEMBER_TRANSACTION
    key: str = ""
    command: str = ""
    payload: str = ""
    state: DeadLetterState = DeadLetterState.OPEN
    reasons: tuple[Reason, ...] = ()
    attempts: int = 0
    received_at: dt.datetime | None = None
    outcome: str | None = None

    @property
    def pending(self) -> bool:
        """OPEN or WAITING: later messages of the key queue up behind it (MEM-093)."""
        return self.state in (DeadLetterState.OPEN, DeadLetterState.WAITING)


def evolve(state: DeadLetter, happened: object) -> DeadLetter:
    match happened:
        case MemberTransactionDeadLettered():
            return DeadLetter(
                number=happened.dead_letter,
                kind=happened.kind,
                key=happened.key,
                command=happened.command,
                payload=happened.payload,
                state=DeadLetterState.WAITING if happened.waiting else DeadLetterState.OPEN,
                reasons=happened.reasons,
                received_at=happened.received_at,
            )
        case DeadLetterAttemptFailed():
            return replace(state, state=DeadLetterState.OPEN, reasons=happened.reasons, attempts=happened.attempts)
        case DeadLetterResolved():
            return replace(state, state=DeadLetterState.RESOLVED, outcome=happened.outcome)
        case DeadLetterDiscarded():
            return replace(state, state=DeadLetterState.DISCARDED)
        case _:
            raise TypeError(f"not an event of a dead letter: {type(happened).__name__}")


DEAD_LETTER = Aggregate("dead_letter", DeadLetter, DeadLetter(), evolve)


def discard(state: DeadLetter, reason: str) -> DeadLetterDiscarded:
    """Give an item up. Refusals: ENTITY_NOT_FOUND, STATE_INVALID, REASON_REQUIRED (MEM-096, PLT-060)."""
    if not state.number:
        raise refuse("ENTITY_NOT_FOUND", "there is no such dead letter")
    if not state.pending:
        raise refuse("STATE_INVALID", f"the dead letter is {state.state}", entity=state.number)
    if not reason.strip():
        raise refuse("REASON_REQUIRED", "discarding needs a reason", pointer="/reason")
    return DeadLetterDiscarded(dead_letter=state.number, reason=reason)
