"""Holds: intervals of days on which an account's invoicing, draws, notices or cancellations are paused.

A hold binds on day d when effective <= d < expiration (no expiration: no end), whatever any job has noticed; its status
is derived from the day asked for (ACC-048 to ACC-055). Releasing ends it at once, removing takes back one that has not
begun; both leave it in the history.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from domain.errors import Problem


class HoldType(StrEnum):
    """ACC-048, in the order in which tags are shown."""

    INVOICE = "INVOICE"
    RECURRING_PAYMENT = "RECURRING_PAYMENT"
    REMINDER_NOTICE = "REMINDER_NOTICE"
    CANCEL_NOTICE = "CANCEL_NOTICE"
    CANCELLATION = "CANCELLATION"

    @property
    def tag(self) -> str:
        """The label shown on the account while a hold of the type is active."""
        return _TAGS[self]


_TAGS = {
    HoldType.INVOICE: "Invoice On Hold",
    HoldType.RECURRING_PAYMENT: "Recurring Payment On Hold",
    HoldType.REMINDER_NOTICE: "Reminder Notice On Hold",
    HoldType.CANCEL_NOTICE: "Cancel Notice On Hold",
    HoldType.CANCELLATION: "Cancellation On Hold",
}


class HoldStatus(StrEnum):
    """Derived, never stored (ACC-051)."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    RELEASED = "RELEASED"
    REMOVED = "REMOVED"


class HeldActivity(StrEnum):
    """Activities a hold can stop (ACC-055)."""

    INVOICING = "INVOICING"
    RECURRING_DRAW = "RECURRING_DRAW"
    REMINDER = "REMINDER"
    CANCEL_NOTICE = "CANCEL_NOTICE"
    CANCELLATION = "CANCELLATION"
    AUTOMATED_REFUND = "AUTOMATED_REFUND"


#: Which hold types stop which activity (ACC-055); everything not listed is stopped by nothing.
STOPPED_BY: dict[HeldActivity, frozenset[HoldType]] = {
    HeldActivity.INVOICING: frozenset({HoldType.INVOICE}),
    HeldActivity.RECURRING_DRAW: frozenset({HoldType.INVOICE, HoldType.RECURRING_PAYMENT}),
    HeldActivity.REMINDER: frozenset({HoldType.REMINDER_NOTICE}),
    HeldActivity.CANCEL_NOTICE: frozenset({HoldType.CANCEL_NOTICE}),
    HeldActivity.CANCELLATION: frozenset({HoldType.CANCELLATION}),
    HeldActivity.AUTOMATED_REFUND: frozenset(HoldType),
}


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold of an account. `expiration` is the first day not held, None for an open end."""

    hold_id: str
    type: HoldType
    reason: str
    effective: dt.date
    expiration: dt.date | None = None
    released: bool = False
    removed: bool = False

    def status_on(self, day: dt.date) -> HoldStatus:
        """Status as of a civil date of the account (ACC-051)."""
        if self.removed:
            return HoldStatus.REMOVED
        if self.released:
            return HoldStatus.RELEASED
        if day < self.effective:
            return HoldStatus.PENDING
        return HoldStatus.ACTIVE if self.expiration is None or day < self.expiration else HoldStatus.EXPIRED


def active_holds(holds: Iterable[Hold], activity: HeldActivity, day: dt.date) -> tuple[Hold, ...]:
    """The holds that stop the activity on that day (ACC-054, ACC-055)."""
    types = STOPPED_BY[activity]
    return tuple(hold for hold in holds if hold.type in types and hold.status_on(day) is HoldStatus.ACTIVE)


def hold_active_problem(holds: Iterable[Hold]) -> Problem:
    """`HOLD_ACTIVE`, naming the matching active holds with type and expiration (ACC-056)."""
    listed = [
        {"type": hold.type.value, "expiration": hold.expiration.isoformat() if hold.expiration else None}
        for hold in holds
    ]
    return Problem("HOLD_ACTIVE", "an active hold stops this activity on the account", params={"holds": listed})


def tags_on(holds: Iterable[Hold], day: dt.date) -> tuple[str, ...]:
    """Hold tags of the account on a day, in the order of ACC-048."""
    active = {hold.type for hold in holds if hold.status_on(day) is HoldStatus.ACTIVE}
    return tuple(kind.tag for kind in HoldType if kind in active)


def check_creation(effective: dt.date, expiration: dt.date | None, today: dt.date) -> list[Problem]:
    """Dates of a new or still pending hold: effective today or later, expiration after it (ACC-050)."""
    problems = []
    if effective < today:
        problems.append(
            Problem("HOLD_DATES_INVALID", "the effective date of a hold is today or later", "/effective_date")
        )
    if expiration is not None and expiration <= effective:
        problems.append(
            Problem("HOLD_DATES_INVALID", "the expiration date is after the effective date", "/expiration_date")
        )
    return problems
