"""Reading parameters inside a unit of work: the values in force on the day of the command (PLT-110)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from application.unit_of_work import UnitOfWork
from domain.accounts.account import Account
from domain.platform.parameters import PARAMETER, Value, identifiers_for, parameter, value_in_force


def parameters_in_force(
    unit: UnitOfWork, names: tuple[str, ...], keys: Mapping[str, str], on: dt.date
) -> dict[str, Value]:
    """The values of several parameters for the same keys on a day, with one query."""
    kinds = [parameter(name) for name in names]
    identifiers = {one: kind.name for kind in kinds for one in identifiers_for(kind, keys)}
    states = unit.load_many(PARAMETER, identifiers)
    return {
        name: value_in_force(
            kind,
            keys,
            [loaded.state for one, loaded in states.items() if identifiers[one] == kind.name],
            on,
        ).value
        for name, kind in zip(names, kinds, strict=True)
    }


def account_keys(account: Account) -> dict[str, str]:
    """The keys by which parameters of an account are looked up."""
    keys = {"account": account.number, "currency": account.currency}
    if account.bill_type is not None:
        keys["bill_type"] = account.bill_type.value
    if account.allocation_mode is not None:
        keys["mode"] = account.allocation_mode.value
    if account.schedule is not None and account.schedule.frequency is not None:
        keys["frequency_category"] = "CYCLE" if account.schedule.frequency.is_cycle else "PERIOD"
    return keys
