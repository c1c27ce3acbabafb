"""Commands on messages that could not be processed: process them again, or give them up with a reason (MEM-094).

When the first message of a record has gone through, or was given up, those that waited behind it follow in order of
receipt until one fails.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, cast

from pydantic import Field, ValidationError

from application.command import Command, CommandRegistry, Identifier, Outcome, command, handles
from application.register import PendingLetters
from application.reprocessing import OWN_MESSAGES, ReprocessingUnit, StillFailingError
from application.unit_of_work import UnitOfWork
from domain.errors import Problem, Refusal, refuse, refuse_if_any
from domain.members.dead_letter import (
    DEAD_LETTER,
    DeadLetter,
    DeadLetterAttemptFailed,
    DeadLetterDiscarded,
    DeadLetterResolved,
    DeadLetterState,
)

_FINAL = (DeadLetterState.RESOLVED, DeadLetterState.DISCARDED)


@command(
    privilege="deadletter.reprocess",
    room="03",
    summary="Process messages again that could not be processed",
    rules=("MEM-094", "MEM-095", "PLT-059"),
    refusals=("ENTITY_NOT_FOUND", "REPROCESSING_IN_PROGRESS"),
    example={"items": ["DL-00000001"]},
)
class ReprocessDeadLetter(Command):
    """Each with the result of its own; one already resolved answers its result and has no effect."""

    items: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=500)]


@command(
    privilege="deadletter.discard",
    room="03",
    summary="Give up a message that could not be processed",
    rules=("MEM-096", "PLT-060"),
    refusals=("ENTITY_NOT_FOUND", "REASON_REQUIRED", "STATE_INVALID"),
    example={"item": "DL-00000001", "reason": "Sent twice"},
)
class DiscardDeadLetter(Command):
    """Final; nothing is deleted, and messages that waited behind it are processed."""

    item: Identifier
    reason: str = ""


@handles(ReprocessDeadLetter)
def reprocess_dead_letter(command: ReprocessDeadLetter, unit: UnitOfWork) -> Outcome:
    loaded = unit.load_many(DEAD_LETTER, command.items)
    unknown = [
        Problem("ENTITY_NOT_FOUND", "there is no such dead letter", pointer=f"/items/{index}")
        for index, number in enumerate(command.items)
        if number not in loaded
    ]
    refuse_if_any(unknown)
    results: dict[str, dict[str, object]] = {}
    for number in sorted(set(command.items), key=_received):
        if number not in results:
            results |= {str(one["item"]): one for one in _reprocess(unit, loaded[number].state)}
    return Outcome({"items": list(results.values())})


def _received(number: str) -> tuple[int, str]:
    """Numbers are given in order of receipt."""
    return len(number), number


def _reprocess(unit: UnitOfWork, letter: DeadLetter) -> list[dict[str, object]]:
    """Process one message and, if it went through, those that wait behind it.

    decision: one that is not the first of its record has to wait for its turn, asked for or not; it stays as it is.
    """
    number = letter.number
    running = unit.start_process(f"dead_letter:{number}", "REPROCESSING")
    if running is not None:
        raise refuse("REPROCESSING_IN_PROGRESS", "it is being processed", entity=number)
    unit.lock(f"member:{letter.key}")
    letter = unit.load(DEAD_LETTER, number).state
    pending = unit.port(PendingLetters).pending(letter.key)
    first, *waiting = [one for one in pending if unit.load(DEAD_LETTER, one).state.pending] or [number]
    if letter.state in _FINAL or first != number:
        return [_result(letter)]
    after = _attempt(unit, letter, {number, *waiting})
    followed = _followers(unit, waiting, number) if after.state is DeadLetterState.RESOLVED else []
    return [_result(after), *followed]


@handles(DiscardDeadLetter)
def discard_dead_letter(command: DiscardDeadLetter, unit: UnitOfWork) -> Outcome:
    loaded = unit.load(DEAD_LETTER, command.item)
    if not loaded.version:
        raise refuse("ENTITY_NOT_FOUND", "there is no such dead letter", pointer="/item")
    unit.expect_main(DEAD_LETTER, loaded)
    if not command.reason.strip():
        raise refuse("REASON_REQUIRED", "giving up a message needs a reason", pointer="/reason")
    unit.lock(f"member:{loaded.state.key}")
    letter = unit.load(DEAD_LETTER, command.item).state
    if letter.state in _FINAL:
        raise refuse("STATE_INVALID", "the message is no longer open", pointer="/item", state=letter.state.value)
    was_open = letter.state is DeadLetterState.OPEN
    waiting = [one for one in unit.port(PendingLetters).pending(letter.key) if one != command.item]
    discarded = unit.append(
        DEAD_LETTER, command.item, [DeadLetterDiscarded(dead_letter=command.item, reason=command.reason.strip())]
    )
    results = [_result(discarded.state)]
    if was_open:
        results += _followers(unit, waiting, command.item)
    return Outcome({"items": results})


def _followers(unit: UnitOfWork, waiting: Sequence[str], done: str) -> list[dict[str, object]]:
    """Process what waited behind a message, in order of receipt, until one fails."""
    results = []
    for index, number in enumerate(waiting):
        letter = _attempt(unit, unit.load(DEAD_LETTER, number).state, {done, *waiting[index:], *waiting[:index]})
        results.append(_result(letter))
        if letter.state is not DeadLetterState.RESOLVED:
            break
    return results


def _attempt(unit: UnitOfWork, letter: DeadLetter, processed: set[str]) -> DeadLetter:
    """Process a message once more; the dead letter afterwards (MEM-094)."""
    model, handler = OWN_MESSAGES.get(letter.command) or (
        CommandRegistry.types[letter.command].model,
        CommandRegistry.handlers[letter.command],
    )
    view = cast(UnitOfWork, ReprocessingUnit(unit, frozenset(processed)))
    try:
        message = model.model_validate_json(letter.payload)
        outcome = handler(message, view)
    except StillFailingError as failure:
        failed = DeadLetterAttemptFailed(
            dead_letter=letter.number, reasons=failure.reasons, attempts=letter.attempts + 1
        )
        return unit.append(DEAD_LETTER, letter.number, [failed]).state
    except Refusal as refusal:
        # Refused by business rules: that answers the message, as it would have answered the sender (PLT-059).
        codes = tuple(problem.code for problem in refusal.problems)
        answered = DeadLetterResolved(dead_letter=letter.number, outcome="REFUSED", codes=codes)
        return unit.append(DEAD_LETTER, letter.number, [answered]).state
    except ValidationError as error:
        raise refuse("PAYLOAD_ERASED", "the message can no longer be read", entity=letter.number) from error
    told = json.dumps(outcome.result, sort_keys=True, default=str)
    resolved = DeadLetterResolved(dead_letter=letter.number, outcome=told)
    return unit.append(DEAD_LETTER, letter.number, [resolved]).state


def _result(letter: DeadLetter) -> dict[str, object]:
    return {
        "item": letter.number,
        "state": letter.state.value,
        "member_record": letter.key,
        "attempts": letter.attempts,
        "outcome": letter.outcome,
        "reasons": [{"code": one.code, "message": one.message, "hint": one.hint} for one in letter.reasons],
    }
