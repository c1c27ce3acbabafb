"""Who is asking, and whether the second factor was given: the ports of authentication, and the guard of PLT-040.

Deny by default (PLT-029): a request without valid credentials has no principal, a principal has the privileges of its
roles or of its key and no others.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Protocol

from application.clock import Clock
from application.command import Command, CommandType, Principal
from application.dispatch import Guard
from application.unit_of_work import UnitOfWork
from domain.errors import refuse
from domain.platform.parameters import PARAMETERS
from domain.platform.second_factor import SECOND_FACTOR, use


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request brought: the `Authorization` header and the network address it came from."""

    authorization: str | None
    address: str | None


class NotAuthenticatedError(Exception):
    """No valid credential (UNAUTHENTICATED). The reason is for the log and never told to the caller."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Authenticator(Protocol):
    """Turns credentials into a principal."""

    def authenticate(self, credentials: Credentials) -> Principal:
        """The principal of valid credentials. Raises NotAuthenticatedError."""
        ...


#: How long a second factor is good for, its last instant included.
FACTOR_AGE: Final = dt.timedelta(minutes=5)
#: How far the identity provider's clock may be ahead of ours.
_CLOCK_SKEW: Final = dt.timedelta(seconds=30)
#: Commands of which each needs a second factor of its own.
_ONE_FACTOR_EACH: Final = frozenset({"ApproveRefund", "ReleaseRefundBatch"})
#: Commands that need the factor only in a case that their handlers know (a refund approved automatically).
_KNOWN_BY_HANDLER: Final = frozenset({"InitiateRefund", "EditRefund"})


def require_second_factor(principal: Principal, now: dt.datetime) -> None:
    """Refuse a user who gave no second factor within the last five minutes. Jobs and machines need none (PLT-040)."""
    if principal.kind != "USER":
        return
    given = principal.second_factor_at
    if given is None or not -_CLOCK_SKEW <= now - given <= FACTOR_AGE:
        raise refuse(
            "SECOND_FACTOR_REQUIRED",
            "this command needs a second factor given within the last 5 minutes",
            max_age_s=int(FACTOR_AGE.total_seconds()),
        )


class SecondFactorGuard(Guard):
    """Lets the commands of `second_factor.commands` pass only behind a recent second factor, and uses it up where one
    factor is good for one command only.

    `commands` gives the names in force; the identity provider says when the factor was given, so its age is told by
    the machine's clock, not by one that a test environment moved.
    """

    def __init__(self, clock: Clock, commands: Callable[[], Collection[str]] | None = None) -> None:
        default = PARAMETERS["second_factor.commands"].default
        assert isinstance(default, tuple)
        self._clock = clock
        self._commands = commands or (lambda: default)

    def authorise(self, kind: CommandType, principal: Principal) -> None:
        if kind.name in self._commands() and kind.name not in _KNOWN_BY_HANDLER:
            require_second_factor(principal, self._clock.now())

    def accept(self, kind: CommandType, command: Command, unit: UnitOfWork) -> None:
        principal = unit.principal
        if kind.name not in _ONE_FACTOR_EACH or principal.kind != "USER" or principal.second_factor_at is None:
            return
        person = principal.person or principal.identifier
        used = unit.load(SECOND_FACTOR, person)
        unit.append(SECOND_FACTOR, person, use(used.state, principal.second_factor_at, kind.name))
