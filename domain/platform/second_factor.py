"""The second factor of a person: which one was used up, and by what (PLT-040).

A factor is known by the instant at which it was given. Approving a refund or releasing a refund batch uses it up: the
next such command needs a fresh one. Refused commands leave no event and so use up nothing; all other commands share it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from domain.aggregate import Aggregate
from domain.errors import refuse
from domain.events import event


@event()
class SecondFactorUsed:
    """The factor given at `given_at` was used up by an accepted command."""

    given_at: dt.datetime
    command: str


@dataclass(frozen=True, slots=True)
class SecondFactorState:
    """The last factor used up. Factors are given in order, so an older one cannot come back."""

    last_used: dt.datetime | None = None


def evolve(state: SecondFactorState, occurred: object) -> SecondFactorState:
    """The state after an event."""
    match occurred:
        case SecondFactorUsed():
            return SecondFactorState(occurred.given_at)
        case _:
            raise TypeError(f"{type(occurred).__name__} is no event of a second factor")


SECOND_FACTOR: Final = Aggregate("second_factor", SecondFactorState, SecondFactorState(), evolve)


def use(state: SecondFactorState, given_at: dt.datetime, command: str) -> list[object]:
    """Use up the factor for a command. Refuses SECOND_FACTOR_REUSED for one that was used up, or an older one."""
    if state.last_used is not None and given_at <= state.last_used:
        raise refuse("SECOND_FACTOR_REUSED", "this second factor was used for another approval; give a new one")
    return [SecondFactorUsed(given_at=given_at, command=command)]
