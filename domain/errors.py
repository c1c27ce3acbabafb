"""Refusals as values: what is wrong with a command, all of it at once, each problem naming its place.

A decision never raises for a business reason half-way: it collects `Problem`s and, when there is any, raises one
`Refusal` with all of them. Codes are those of the rulebook (13-platform, appendix D); the HTTP status follows from the
code alone. Order of problems: PLT-014.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong. `pointer` is a JSON pointer into the command's payload, `params` holds named figures or items.

    `params` values are plain JSON values; they carry no personal data (PLT-016).
    """

    code: str
    message: str
    pointer: str | None = None
    entity: str | None = None
    params: Mapping[str, object] = field(default_factory=dict)
    hint: str | None = None


class Refusal(Exception):
    """A command is refused as a whole; nothing was changed (PLT-012, PLT-014). The first problem leads."""

    def __init__(self, problems: Sequence[Problem] | Problem) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        if not self.problems:
            raise ValueError("a refusal names at least one problem")
        super().__init__(", ".join(problem.code for problem in self.problems))

    @property
    def code(self) -> str:
        """The leading code: that of the first problem."""
        return self.problems[0].code


def refuse_if_any(problems: Sequence[Problem]) -> None:
    """Raise one Refusal with all the problems, if there is any."""
    if problems:
        raise Refusal(problems)


def refuse(
    code: str, message: str, *, pointer: str | None = None, entity: str | None = None, **params: object
) -> Refusal:
    """A Refusal of one problem, to be raised by the caller: `raise refuse("ALREADY_CANCELLED", ...)`."""
    return Refusal(Problem(code, message, pointer=pointer, entity=entity, params=params))


class InvariantError(AssertionError):
    """Money or state does not add up: a defect, never a user's fault. Nothing is written; answered with 500."""
