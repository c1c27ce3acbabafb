"""Accounting dates and periods: when an entry counts, and when a month is closed (LED-023 to LED-026).

An entry counts on the civil date of its timestamp in the ledger's time zone, whatever its effective date; once that
month is no longer open it counts on the first day of the earliest open one, marked late. A closed month never changes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from enum import StrEnum

from domain.errors import Problem, refuse, refuse_if_any
from domain.ledger.journal import Dating


class PeriodStatus(StrEnum):
    OPEN = "OPEN"
    CLOSING = "CLOSING"
    CLOSED = "CLOSED"


def month_of(day: dt.date) -> dt.date:
    """The period of a day, named by its first day."""
    return day.replace(day=1)


def next_month(month: dt.date) -> dt.date:
    """The period after."""
    return (month + dt.timedelta(days=32)).replace(day=1)


def accounting_date(timestamp: dt.datetime, zone: dt.tzinfo, statuses: Mapping[dt.date, PeriodStatus]) -> Dating:
    """Where an entry posted now counts (LED-025). Periods without a status are OPEN. `timestamp` is aware."""
    day = timestamp.astimezone(zone).date()
    month = month_of(day)
    if statuses.get(month, PeriodStatus.OPEN) is PeriodStatus.OPEN:
        return Dating(day)
    earliest = min((one for one, status in statuses.items() if status is PeriodStatus.OPEN), default=None)
    unlisted = next_month(max(statuses))
    return Dating(min(earliest, unlisted) if earliest else unlisted, late=True)


def close_problems(
    month: dt.date,
    statuses: Mapping[dt.date, PeriodStatus],
    *,
    unposted: Iterable[dt.date],
    in_balance: bool,
    open_control_reviews: int,
) -> list[Problem]:
    """Why a period cannot be closed, one problem with all reasons (LED-026, PERIOD_NOT_CLOSABLE).

    `unposted`: accounting days of QUEUED and BLOCKED requests; `statuses` knows every period since the first entry.
    """
    reasons = [
        name
        for name, applies in (
            (
                "EARLIER_PERIOD_OPEN",
                any(one < month and status is not PeriodStatus.CLOSED for one, status in statuses.items()),
            ),
            ("REQUESTS_UNPOSTED", any(month_of(day) == month for day in unposted)),
            ("TRIAL_BALANCE_OUT_OF_BALANCE", not in_balance),
            ("CONTROL_REVIEW_OPEN", open_control_reviews > 0),
        )
        if applies
    ]
    if not reasons:
        return []
    return [Problem("PERIOD_NOT_CLOSABLE", "the period cannot be closed yet", params={"reasons": reasons})]


def reopen(month: dt.date, statuses: Mapping[dt.date, PeriodStatus], reason: str | None) -> None:
    """Check that the last closed period may be reopened (LED-026): PERIOD_NOT_REOPENABLE, REASON_REQUIRED."""
    problems = []
    closed = [one for one, status in statuses.items() if status is PeriodStatus.CLOSED]
    if not closed or max(closed) != month:
        problems.append(Problem("PERIOD_NOT_REOPENABLE", "only the last closed period is reopened"))
    if not reason:
        problems.append(Problem("REASON_REQUIRED", "a reason is needed", pointer="/reason"))
    refuse_if_any(problems)


def parse_timestamp(text: str | None) -> dt.datetime:
    """The business transaction timestamp: date and time in UTC (LED-023).

    TRANSACTION_INCOMPLETE without one, TIMESTAMP_INCOMPLETE for a date alone.
    """
    if not text:
        raise refuse("TRANSACTION_INCOMPLETE", "the transaction date is missing", fields=["BusinessTransactionDate"])
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise refuse("REQUEST_INVALID", "not a timestamp", pointer="/BusinessTransactionDate") from None
    if "T" not in text or moment.tzinfo is None:
        raise refuse(
            "TIMESTAMP_INCOMPLETE", "a timestamp has date, time and offset", pointer="/BusinessTransactionDate"
        )
    return moment.astimezone(dt.UTC)
