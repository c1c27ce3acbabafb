"""A small aggregate for the tests of the event store and the dispatcher: a till that takes and gives money."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, replace

import psycopg

from application.command import AmountText, Command, CommandType, Outcome
from application.unit_of_work import UnitOfWork
from domain.aggregate import Aggregate
from domain.errors import refuse
from domain.events import event
from domain.money import Money, parse_amount
from infrastructure.postgres.database import Database


@event()
class TillOpened:
    name: str
    currency: str


@event()
class TillFilled:
    amount: Money
    effective_date: dt.date
    notes: tuple[str, ...] = ()


@event()
class TillEmptied:
    amount: Money


@dataclass(frozen=True, slots=True)
class TillState:
    name: str = ""
    currency: str = ""
    balance: int = 0
    movements: int = 0


def evolve(state: TillState, happened: object) -> TillState:
    match happened:
        case TillOpened(name=name, currency=currency):
            return TillState(name, currency)
        case TillFilled(amount=amount):
            return replace(state, balance=state.balance + amount.minor, movements=state.movements + 1)
        case TillEmptied(amount=amount):
            return replace(state, balance=state.balance - amount.minor, movements=state.movements + 1)
        case _:
            raise AssertionError(happened)


TILL = Aggregate("till", TillState, TillState(), evolve)
TILL_WITH_SNAPSHOTS = Aggregate("till", TillState, TillState(), evolve, snapshot_every=10)


class OpenTill(Command):
    till: str
    name: str
    currency: str = "USD"


class FillTill(Command):
    till: str
    amount: AmountText
    effective_date: dt.date | None = None
    notes: tuple[str, ...] = ()


class EmptyTill(Command):
    till: str


def open_till(command: OpenTill, unit: UnitOfWork) -> Outcome:
    till = unit.load(TILL, command.till)
    if till.version:
        raise refuse("STATE_INVALID", "The till is open already.", entity=command.till)
    unit.append(TILL, command.till, [TillOpened(name=command.name, currency=command.currency)])
    return Outcome({"till": command.till})


def fill_till(command: FillTill, unit: UnitOfWork) -> Outcome:
    till = unit.load(TILL, command.till)
    if not till.version:
        raise refuse("TILL_NOT_FOUND", "There is no such till.", entity=command.till)
    unit.expect_main(TILL, till, status=lambda state: "EMPTY" if state.balance == 0 else "FILLED", status_changed="S")
    amount = Money(parse_amount(command.amount, till.state.currency), till.state.currency)
    day = command.effective_date or unit.today()
    filled = unit.append(TILL, command.till, [TillFilled(amount=amount, effective_date=day, notes=command.notes)])
    return Outcome({"balance": filled.state.balance})


def empty_till(command: EmptyTill, unit: UnitOfWork) -> Outcome:
    till = unit.load(TILL, command.till)
    if not till.version:
        raise refuse("TILL_NOT_FOUND", "There is no such till.", entity=command.till)
    unit.expect_main(TILL, till)
    unit.require_confirmation("emptied", "The till will be emptied.")
    if till.state.balance >= 100_000:
        unit.require_confirmation("large", "The amount is large.", code="LARGE_AMOUNT")
    unit.append(TILL, command.till, [TillEmptied(amount=Money(till.state.balance, till.state.currency))])
    return Outcome({"amount": till.state.balance})


def _type(model: type[Command], account_field: str | None = "till") -> CommandType:
    return CommandType(model.__name__, model, "till.manage", "samples", "", {}, (), (), account_field)


TYPES = {model.__name__: _type(model) for model in (OpenTill, FillTill, EmptyTill)}
HANDLERS = {"OpenTill": open_till, "FillTill": fill_till, "EmptyTill": empty_till}


def wait_until_blocked(database: Database, seconds: float = 20) -> None:
    """Return once another connection of the database waits for a lock; so a test needs no pause of the right length."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    until = time.monotonic() + seconds
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        while connection.execute(waiting).fetchone() == (0,):
            assert time.monotonic() < until, "nobody waits for a lock"
            time.sleep(0.005)
