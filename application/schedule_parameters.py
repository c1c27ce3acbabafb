"""What the parameters say of invoicing schedules: their limits, the frequencies allowed, and values nobody chose."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from application.parameters import account_keys, parameters_in_force, values_in_force
from application.unit_of_work import UnitOfWork
from domain.accounts.account import Account
from domain.accounts.bill_type import BillType
from domain.calendar.frequency import Frequency
from domain.calendar.schedule import ScheduleParameters, Timing
from domain.platform.parameters import Value

_LISTS = ("flexibill.frequencies", "selfbill.frequencies", "seasonal.frequencies")
_NUMBERS = ("due_date_offset.max", "schedule.validation_periods")
_TIMING = "schedule.default_timing"
_LIMIT = "day_offset.limit"
_DEFAULTS = ("generation_retry_count", "generation_retry_interval", "draft_automation", "draft_offset_days")


def schedule_parameters(unit: UnitOfWork, bill_type: BillType | None, on: dt.date) -> ScheduleParameters:
    """The limits of schedules in force on a day, for an account of the bill type."""
    own: Mapping[str, str] = {} if bill_type is None else {"bill_type": bill_type.value}
    flexibill = {"bill_type": BillType.FLEXIBILL.value}
    offset_max, periods, flexible, self_bill, seasonal, timing, flexible_timing, *limits = values_in_force(
        unit,
        [
            *((name, {}) for name in (*_NUMBERS, *_LISTS)),
            (_TIMING, own),
            (_TIMING, flexibill),
            *((_LIMIT, {"frequency": one.value}) for one in Frequency),
        ],
        on,
    )
    return ScheduleParameters(
        day_offset_limits={one: _number(limit) for one, limit in zip(Frequency, limits, strict=True)},
        due_date_offset_max=_number(offset_max),
        validation_periods=_number(periods),
        flexibill_frequencies=_frequencies(flexible),
        selfbill_frequencies=_frequencies(self_bill),
        seasonal_frequencies=_frequencies(seasonal),
        default_timing=Timing(str(timing)),
        flexibill_default_timing=Timing(str(flexible_timing)),
    )


def schedule_defaults(unit: UnitOfWork, account: Account, on: dt.date) -> dict[str, object]:
    """The values a schedule of the account takes where nobody chose any, beside the shipped ones (CAL-020)."""
    names = tuple(f"calendar.{name}" for name in _DEFAULTS)
    values = parameters_in_force(unit, names, account_keys(account), on)
    return {name: values[f"calendar.{name}"] for name in _DEFAULTS}


def _number(value: Value) -> int:
    assert isinstance(value, int)
    return value


def _frequencies(value: Value) -> frozenset[Frequency]:
    assert isinstance(value, tuple)
    return frozenset(Frequency(name) for name in value)
