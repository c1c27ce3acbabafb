"""What an account is on a day, derived and never stored: the marks beside its name, and which periods were settled."""

from __future__ import annotations

import datetime as dt

from domain.accounts import holds
from domain.accounts.account import Account, PeriodStatus
from domain.calendar.invoicing_periods import PeriodHistory

#: Shown in place of the bill type of an account that no set-up has given one.
NO_BILL_TYPE = "Empty"


def account_tags(account: Account, day: dt.date) -> tuple[str, ...]:
    """The tags of the account home, in its order: status unless active, bill type, allocation mode, holds (ACC-054)."""
    status = () if account.active else (str(account.status),)
    mode = () if account.allocation_mode is None else (str(account.allocation_mode),)
    return (*status, str(account.bill_type or NO_BILL_TYPE), *mode, *holds.tags_on(account.holds, day))


def period_history(account: Account) -> PeriodHistory:
    """What happened to the periods of an account (CAL-049)."""
    starts: dict[PeriodStatus, set[dt.date]] = {status: set() for status in PeriodStatus}
    for record in account.periods.values():
        starts[record.status].add(record.start)
    return PeriodHistory(
        invoiced=frozenset(starts[PeriodStatus.INVOICED]),
        ever_invoiced=frozenset(one.start for one in account.periods.values() if one.invoice is not None),
        passed_over=frozenset(starts[PeriodStatus.SKIPPED_ZERO]),
    )
