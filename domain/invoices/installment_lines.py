"""The lines of an invoice of installments: a price component of each, with the installment's own period and due date.

    installment      due date .................... billed-to date        [due date, billed-to date)
    invoice period   earliest due date ................... latest billed-to date

A deposit has no billed-to date and covers the day it is due. A price component that is 0.00 still gets its line, so
that an installment of nothing is seen to be billed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from domain.calendar.business_calendar import BusinessCalendar, BusinessDayRule, business_day
from domain.calendar.due_dates import Correction, DueDate
from domain.calendar.frequency import Frequency
from domain.calendar.installment_schedules import Installment, NumberedComponent
from domain.calendar.periods import Period
from domain.invoices.lines import InstallmentItem, LineColumns, LineKind, LinePart, LineTerms

_DAY = dt.timedelta(days=1)


def installment_period(component: NumberedComponent) -> Period:
    """What an installment bills: from its due date to its billed-to date, a deposit its due date alone (CAL-134).

    decision: an import may have promised a due date behind the end of its service; then it is that day alone.
    """
    end = component.billed_to_date
    return Period(component.due_date, max(end or component.due_date, component.due_date + _DAY))


def installments_period(installments: Sequence[Installment]) -> Period:
    """The period of an invoice of these installments: from the earliest due date to the latest billed-to date."""
    periods = [installment_period(one.component) for one in installments]
    return Period(min(one.start for one in periods), max(one.end for one in periods))


def installment_due_date(
    due_date: dt.date,
    *,
    system_date: dt.date,
    rule: BusinessDayRule = BusinessDayRule.NONE,
    calendar: BusinessCalendar | None = None,
) -> DueDate:
    """The due date of the invoice of an installment that is due on `due_date`, created on `system_date`.

    decision: it is the installment's own, which was agreed with the purchase; an invoice that comes late is due on the
    day it is made, not before, and the business-day rule goes for it as for others (CAL-064 to CAL-066). There is no
    sequence correction: installments are due on their own days, whatever else the account is billed.
    """
    corrections = []
    day = due_date
    if day < system_date:
        day = system_date
        corrections.append(Correction.PAST_DATE)
    worked = business_day(day, rule, calendar, not_before=system_date)
    if worked != day:
        day = worked
        corrections.append(Correction.BUSINESS_DAY)
    return DueDate(due_date, day, tuple(corrections))


def installment_columns(installments: Sequence[Installment]) -> LineColumns:
    """The lines of an invoice of these installments, by due date, number and price component (CAL-130, INV-001)."""
    billing = installments_period(installments)
    columns = LineColumns()
    for installment in sorted(installments, key=lambda one: (one.component.due_date, one.component.number)):
        component = installment.component
        for part in component.parts:
            item = InstallmentItem(installment.product, component.number, part.item)
            columns.add("", _terms(item, installment_period(component), billing), part.amount)
    return columns


def _terms(item: InstallmentItem, period: Period, billing: Period) -> LineTerms:
    return LineTerms(
        kind=LineKind.PRODUCT_ITEM,
        part=LinePart.CHARGE,
        coverage=item.product,
        plan="",
        coverage_class="",
        tier="",
        sub_group="",
        sequence=1,
        sequence_id="",
        # What tells this charge from others of the product that are due the same day.
        sequence_root=f"{item.installment}/{item.component}",
        sequence_effective=None,
        master_policy="",
        modality=Frequency.MONTHLY,
        modal_start=period.start,
        modal_end=period.end,
        covered_from=period.start,
        covered_end=period.end,
        billing_start=billing.start,
        billing_end=billing.end,
        installment=item,
    )
