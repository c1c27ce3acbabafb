"""When an account's invoicing starts: what the parameters say of the start date, and the events that set it.

The start follows from the earliest effective date of what the account bills (CAL-038). How the parameters align it, and
whether its grid sticks to month ends, is decided when it is set and carried by the event; a later setting of a
parameter changes no grid (CAL-039, CAL-046).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from application.parameters import account_keys, parameters_in_force
from application.unit_of_work import UnitOfWork
from domain.accounts.account import Account, EarliestEffectiveDateChanged, InvoicingStartDateSet
from domain.calendar.invoicing_start import AlignmentRule, InvoicingStart, StartAlignment, after_product, derived_start

_ALIGNMENT = "invoicing_start.alignment"
_WEEKDAY = "invoicing_start.alignment_weekday"
_STICKY = "period.month_end_sticky"


@dataclass(frozen=True, slots=True)
class StartTerms:
    """How a start date set now is aligned, and whether its grid sticks to month ends."""

    rule: AlignmentRule
    month_end_sticky: bool


def start_terms(unit: UnitOfWork, account: Account) -> StartTerms:
    """The parameters in force for the account (CAL-039, CAL-046)."""
    names = (_ALIGNMENT, _WEEKDAY, _STICKY)
    values = parameters_in_force(unit, names, account_keys(account), unit.today(account.time_zone))
    rule = AlignmentRule(StartAlignment(str(values[_ALIGNMENT])), int(str(values[_WEEKDAY])))
    return StartTerms(rule, values[_STICKY] is True)


def start_set(account: Account, start: InvoicingStart, terms: StartTerms) -> InvoicingStartDateSet:
    """The event of a start date, with what its grid is made of."""
    return InvoicingStartDateSet(
        number=account.number,
        date=start.day,
        manual=start.manual,
        frequency=account.frequency,
        month_end_sticky=terms.month_end_sticky,
    )


def earliest_effective_date_events(
    unit: UnitOfWork, account: Account, effective: dt.date, *, moved_member: bool = False
) -> list[object]:
    """What something billed on the account from `effective` on does to its start (CAL-038 to CAL-041).

    The first one sets the start. An earlier one sets it anew while no period was billed; a moved member never does:
    then only earlier periods open. decision: a period passed over counts as billed here, for its grid is in use.
    """
    known = account.earliest_effective_date
    if known is not None and known <= effective:
        return []
    events: list[object] = [EarliestEffectiveDateChanged(number=account.number, date=effective)]
    frequency = account.frequency
    if frequency is None:
        return events
    terms = start_terms(unit, account)
    current = _current(account)
    if account.grid is None or account.earliest_day is None or current is None:
        return [*events, start_set(account, derived_start(current, effective, frequency, terms.rule), terms)]
    after = after_product(
        current,
        account.grid,
        account.earliest_day,
        effective,
        earliest_effective=effective,
        ever_invoiced=bool(account.periods),
        moved_member=moved_member,
        rule=terms.rule,
    )
    return events if after.start == current else [*events, start_set(account, after.start, terms)]


def first_start_events(unit: UnitOfWork, account: Account) -> list[object]:
    """The start of an account that bills something already and has got its frequency only now (CAL-038)."""
    effective, frequency = account.earliest_effective_date, account.frequency
    if account.grid is not None or effective is None or frequency is None:
        return []
    terms = start_terms(unit, account)
    return [start_set(account, derived_start(_current(account), effective, frequency, terms.rule), terms)]


def _current(account: Account) -> InvoicingStart | None:
    if account.invoicing_start is None:
        return None
    return InvoicingStart(account.invoicing_start, account.invoicing_start_manual)
