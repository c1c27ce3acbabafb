"""Processing a kept message again: the same handler, on a unit in which the message no longer waits for itself.

What made the message fail may make it fail again. Then nothing of the attempt is appended and the failure comes back as
`StillFailingError`, so that the dead letter keeps the new reasons (MEM-094).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from application.command import Command, Outcome
from application.register import PendingLetters
from application.unit_of_work import UnitOfWork
from domain.members.dead_letter import Reason

P = TypeVar("P")

#: Messages that the service sends to itself: their model and handler by name, beside those of the registry.
OWN_MESSAGES: dict[str, tuple[type[Command], Callable[[Any, UnitOfWork], Outcome]]] = {}


class StillFailingError(Exception):
    """The message cannot be processed yet."""

    def __init__(self, reasons: Sequence[Reason]) -> None:
        super().__init__(", ".join(reason.code for reason in reasons))
        self.reasons = tuple(reasons)


class _OtherLetters:
    """The dead letters of a record but for those being processed."""

    def __init__(self, letters: PendingLetters, processed: frozenset[str]) -> None:
        self._letters = letters
        self._processed = processed

    def pending(self, key: str) -> list[str]:
        return [number for number in self._letters.pending(key) if number not in self._processed]


class ReprocessingUnit:
    """A unit of work as seen by the handler of a message that is processed again."""

    def __init__(self, unit: UnitOfWork, processed: frozenset[str]) -> None:
        self._unit = unit
        self._processed = processed

    def port(self, kind: type[P]) -> P:
        found = self._unit.port(kind)
        if kind is PendingLetters:
            return cast(P, _OtherLetters(cast(PendingLetters, found), self._processed))
        return found

    def expect_main(self, *_: Any, **__: Any) -> None:
        """The expected version of the request concerns the dead letter."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unit, name)
