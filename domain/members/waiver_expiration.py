"""Waivers whose end could not be recorded: how many days in a row, by the account the job took them for (PRM-095).

The job tries again the next day; what failed on three days in a row is given to a person.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from domain.aggregate import Aggregate
from domain.events import event

#: Days in a row after which a person is asked.
ASKED_AFTER: Final = 3


@event()
class WaiverExpirationFailed:
    """The daily job could not record the end of an account's waivers; `failures` counts the days in a row."""

    account: str
    day: dt.date
    failures: int
    code: str
    detail: str
    task: str | None


@dataclass(frozen=True, slots=True)
class WaiverExpiration:
    """The last failure; `day` None: there was none."""

    day: dt.date | None = None
    failures: int = 0


def evolve(state: WaiverExpiration, happened: object) -> WaiverExpiration:
    match happened:
        case WaiverExpirationFailed():
            return WaiverExpiration(happened.day, happened.failures)
        case _:
            raise TypeError(f"not an event of waivers' expiration: {type(happened).__name__}")


WAIVER_EXPIRATION: Final = Aggregate("waiver_expiration", WaiverExpiration, WaiverExpiration(), evolve)


def failures_on(state: WaiverExpiration, day: dt.date) -> int:
    """Failures in a row with one on this day: further ones of a day count once, and a day without one begins anew."""
    if state.day == day:
        return state.failures
    return state.failures + 1 if state.day == day - dt.timedelta(days=1) else 1
