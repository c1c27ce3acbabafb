"""Reading parameters inside a unit of work: the values in force on the day of the command (PLT-110)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import pairwise

from application.unit_of_work import UnitOfWork
from domain.accounts.account import Account
from domain.platform.parameters import (
    PARAMETER,
    Value,
    identifier_of,
    identifiers_for,
    parameter,
    value_in_force,
)


def parameters_in_force(
    unit: UnitOfWork, names: tuple[str, ...], keys: Mapping[str, str], on: dt.date
) -> dict[str, Value]:
    """The values of several parameters for the same keys on a day, with one query."""
    return dict(zip(names, values_in_force(unit, [(name, keys) for name in names], on), strict=True))


def values_in_force(unit: UnitOfWork, wanted: Sequence[tuple[str, Mapping[str, str]]], on: dt.date) -> list[Value]:
    """The value of each parameter for its keys on a day, in the order given, with one query."""
    asked = [(parameter(name), keys) for name, keys in wanted]
    identifiers = [identifiers_for(kind, keys) for kind, keys in asked]
    states = unit.load_many(PARAMETER, {one for several in identifiers for one in several})
    return [
        value_in_force(kind, keys, [states[one].state for one in several if one in states], on).value
        for (kind, keys), several in zip(asked, identifiers, strict=True)
    ]


def values_by_day(
    unit: UnitOfWork, wanted: Sequence[tuple[str, Mapping[str, str]]]
) -> list[tuple[tuple[dt.date, Value], ...]]:
    """The values of each parameter for its keys, each from the day on which it begins, with one query.

    The first is the default, from `dt.date.min` on; equal ones that follow one another are one.
    """
    asked = [(parameter(name), keys) for name, keys in wanted]
    identifiers = [identifiers_for(kind, keys) for kind, keys in asked]
    states = unit.load_many(PARAMETER, {one for several in identifiers for one in several})
    found = []
    for (kind, keys), several in zip(asked, identifiers, strict=True):
        known = [states[one].state for one in several if one in states]
        days = sorted({dt.date.min, *(setting.effective_from for state in known for setting in state.settings)})
        values = [(day, value_in_force(kind, keys, known, day).value) for day in days]
        found.append((values[0], *(after for before, after in pairwise(values) if after[1] != before[1])))
    return found


def own_values_in_force(
    unit: UnitOfWork, names: Sequence[str], keys: Mapping[str, str], on: dt.date
) -> dict[str, Value]:
    """The values that somebody set for exactly these keys, with one query; a name without one is left out."""
    identifiers = {identifier_of(parameter(name).name, keys): name for name in names}
    settings = {
        identifiers[one]: loaded.state.in_force(on) for one, loaded in unit.load_many(PARAMETER, identifiers).items()
    }
    return {name: setting.value for name, setting in settings.items() if setting is not None}


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
