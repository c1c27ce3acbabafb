"""Recurring draws: when an account may be drawn, on which invoices, how much, and when to stop trying (PAY-123 to 130).

Pure decisions of the job for one account. What the job looks at (holds, method, authorisation, rules) comes in as
facts; which account comes first, and what is done about a failure, is the job's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.payments.classification import Method


class Skip(StrEnum):
    """Why an account is not drawn now, in the order of the checks (PAY-123)."""

    HOLD_ACTIVE = "HOLD_ACTIVE"
    PAYMENT_METHOD_NOT_ACTIVE = "PAYMENT_METHOD_NOT_ACTIVE"
    WAITING_PERIOD = "WAITING_PERIOD"
    RETRY_WAIT = "RETRY_WAIT"
    DATA_INCOMPLETE = "DATA_INCOMPLETE"
    NO_AMOUNT_DUE = "NO_AMOUNT_DUE"


class RetryState(StrEnum):
    READY = "READY"
    WAITING = "WAITING"
    STOPPED = "STOPPED"


#: Decline reasons after which trying again is useless (PAY-129).
STOP_AT_ONCE = frozenset(("CARD_EXPIRED", "ACCOUNT_CLOSED", "NO_ACCOUNT", "NOT_AUTHORISED"))


@dataclass(frozen=True, slots=True)
class Retries:
    """Where an account stands after failed draws: `failures` in a row, not before `not_before` (PAY-129)."""

    state: RetryState = RetryState.READY
    failures: int = 0
    not_before: dt.date | None = None

    def failed(self, day: dt.date, reason: str, *, retry_days: int = 3, max_retries: int = 2) -> Retries:
        """After a failure on `day`: wait `retry_days`, or stop after the last retry or for a reason that stays."""
        failures = self.failures + 1
        if reason in STOP_AT_ONCE or failures > max_retries:
            return Retries(RetryState.STOPPED, failures)
        return Retries(RetryState.WAITING, failures, day + dt.timedelta(days=retry_days))

    def completed(self) -> Retries:
        """A completed draw, or a renewed method or authorisation, resets the count."""
        return Retries()

    def allows(self, day: dt.date) -> bool:
        """Whether the account may be drawn on `day`."""
        if self.state is RetryState.STOPPED:
            return False
        return self.not_before is None or day >= self.not_before


def waiting_days(
    rows: Mapping[tuple[str | None, str | None, str | None], int], bill_type: str, method: Method, customer_type: str
) -> int:
    """Waiting days by bill type, method and customer type, the most specific row first (PAY-124).

    Keys with None match everything; of two equally specific rows that with the bill type wins, then that with the
    method. Without a row: 14 days for an INDIVIDUAL, 3 for an ORGANIZATION.
    """
    keys: Sequence[str | None] = (bill_type, method, customer_type)
    matching = [key for key in rows if all(part is None or part == keys[place] for place, part in enumerate(key))]
    if not matching:
        return 14 if customer_type == "INDIVIDUAL" else 3
    best = max(matching, key=lambda key: (sum(part is not None for part in key), *(part is not None for part in key)))
    return rows[best]


@dataclass(frozen=True, slots=True)
class DrawFacts:
    """What the checks of PAY-123 look at."""

    hold_active: bool
    method_active: bool
    authorised_on: dt.date
    waiting_days: int
    retries: Retries
    data_complete: bool


def skip_reason(facts: DrawFacts, day: dt.date) -> Skip | None:
    """Why the account is skipped on `day`, the first reason that applies; None: it is drawn (PAY-123, PAY-124)."""
    if facts.hold_active:
        return Skip.HOLD_ACTIVE
    if not facts.method_active:
        return Skip.PAYMENT_METHOD_NOT_ACTIVE
    if day < facts.authorised_on + dt.timedelta(days=facts.waiting_days):
        return Skip.WAITING_PERIOD
    if not facts.retries.allows(day):
        return Skip.RETRY_WAIT
    return None if facts.data_complete else Skip.DATA_INCOMPLETE


@dataclass(frozen=True, slots=True)
class DrawableInvoice:
    """An ISSUED or PARTIALLY_PAID invoice, or a live payment request without invoice."""

    number: str
    due_date: dt.date
    collectible_due: int


def select_invoices(
    invoices: Sequence[DrawableInvoice],
    day: dt.date,
    *,
    offset_days: int = 0,
    business_day: Callable[[dt.date], dt.date] = lambda given: given,
) -> list[DrawableInvoice]:
    """Invoices whose payment date has come: due date − offset, moved by the account's business-day rule (PAY-125)."""
    return [
        one
        for one in invoices
        if one.collectible_due > 0 and business_day(one.due_date - dt.timedelta(days=offset_days)) <= day
    ]


def draw_amount(selected_due: int, requests: int = 0, still_consumable: int = 0) -> int:
    """Σ collectible due of the selected invoices after consumption + what payment requests need beyond it (PAY-126).

    0: nothing is drawn.
    """
    return max(selected_due + max(0, requests - still_consumable), 0)
