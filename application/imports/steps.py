"""The steps of a file: one for each thing it says, in the order of the file.

A step is a command to be given, money or an advice to be matched, a note that something has no effect on billing, or a
case for a person. Which of them is decided when the file is read; what became of it is kept with it for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from application.files.identity import Place


class StepState(StrEnum):
    """PENDING to be done; DONE; NOTED: without effect on billing; WAITING: an advice whose money has not come; QUEUED:
    for a person; REFUSED by the rules; FAILED for a technical reason, and tried again when the file is sent again."""

    PENDING = "PENDING"
    DONE = "DONE"
    NOTED = "NOTED"
    WAITING = "WAITING"
    QUEUED = "QUEUED"
    REFUSED = "REFUSED"
    FAILED = "FAILED"


#: What a person should look at.
ATTENTION = (StepState.WAITING, StepState.QUEUED, StepState.REFUSED, StepState.FAILED)

#: Actions of steps that are not simply the name of a command.
RECEIPT = "Receipt"
ADVICE = "Advice"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a file says.

    `action` is the command's name, `RECEIPT` or `ADVICE`; of a step that is not PENDING it says what kind of record it
    was. `payload` holds the command's members. `match_key` ties money and its advice together, `line_key` knows a bank
    line again in another file. `code` is the reason of a step that a person has to look at or that has no effect.
    """

    action: str
    place: Place
    state: StepState = StepState.PENDING
    payload: Mapping[str, Any] = field(default_factory=dict)
    match_key: str | None = None
    line_key: str | None = None
    code: str | None = None


def noted(action: str, place: Place, code: str) -> Step:
    """Without effect on billing, and why."""
    return Step(action, place, StepState.NOTED, code=code)


def queued(action: str, place: Place, code: str, **known: Any) -> Step:
    """For a person, and why. `known` carries no names and no identifiers of a person."""
    return Step(action, place, StepState.QUEUED, payload=known, code=code)
