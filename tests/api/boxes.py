"""A small room with which the tests of the edge work: boxes that money is put into, and commands that go wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from application.command import AmountText, Command, CommandType, Handler, Identifier, Outcome
from application.unit_of_work import Loaded, UnitOfWork
from domain.aggregate import Aggregate
from domain.errors import InvariantError, Problem, refuse, refuse_if_any
from domain.events import event
from domain.money import parse_amount


@event()
class BoxOpened:
    box: str


@event()
class BoxFilled:
    amount: int
    note: str


@event()
class BoxClosed:
    pass


@event()
class BoxReopened:
    pass


@dataclass(frozen=True, slots=True)
class Box:
    state: str = "NONE"
    balance: int = 0
    notes: tuple[str, ...] = ()


def evolve(box: Box, occurred: object) -> Box:
    match occurred:
        case BoxOpened() | BoxReopened():
            return replace(box, state="OPEN")
        case BoxFilled(amount=amount, note=note):
            return replace(box, balance=box.balance + amount, notes=(*box.notes, note))
        case BoxClosed():
            return replace(box, state="CLOSED")
        case _:
            raise AssertionError(occurred)


BOX = Aggregate("box", Box, Box(), evolve)


class OpenBox(Command):
    account: Identifier


class FillBox(Command):
    account: Identifier
    amount: AmountText
    note: Annotated[str, Field(max_length=10_000_000)] = ""


class CloseBox(Command):
    account: Identifier


class ReopenBox(Command):
    account: Identifier


class BreakBox(Command):
    how: str


def _load(unit: UnitOfWork, number: str) -> Loaded[Box]:
    unit.lock(f"account {number}")
    loaded = unit.load(BOX, number)
    if loaded.version == 0:
        raise refuse("BILLING_ACCOUNT_NOT_FOUND", "there is no such account", pointer="/account")
    unit.expect_main(BOX, loaded)
    return loaded


def open_box(command: OpenBox, unit: UnitOfWork) -> Outcome:
    if unit.exists(BOX, command.account):
        raise refuse("ACCOUNT_DUPLICATE", "there is one already", pointer="/account")
    unit.append(BOX, command.account, [BoxOpened(box=command.account)])
    return Outcome({"account": command.account})


def fill_box(command: FillBox, unit: UnitOfWork) -> Outcome:
    box = _load(unit, command.account)
    amount = parse_amount(command.amount, "USD")
    problems = []
    if box.state.state != "OPEN":
        problems.append(Problem("ACCOUNT_NOT_ACTIVE", "the account is closed", pointer="/account"))
    if amount <= 0:
        problems.append(Problem("AMOUNT_INVALID", "an amount above zero is needed", pointer="/amount"))
    refuse_if_any(problems)
    filled = unit.append(BOX, command.account, [BoxFilled(amount=amount, note=command.note)])
    warnings = [Problem("AMOUNT_INVALID", "a large amount", pointer="/amount")] if amount > 1_000_000 else []
    return Outcome({"balance": filled.state.balance}, warnings)


def close_box(command: CloseBox, unit: UnitOfWork) -> Outcome:
    box = _load(unit, command.account)
    if box.state.balance:
        unit.require_confirmation("confirmed", "there is money in it")
    unit.append(BOX, command.account, [BoxClosed()])
    return Outcome()


def reopen_box(command: ReopenBox, unit: UnitOfWork) -> Outcome:
    _load(unit, command.account)
    unit.append(BOX, command.account, [BoxReopened()])
    return Outcome()


def break_box(command: BreakBox, unit: UnitOfWork) -> Outcome:
    unit.append(BOX, "broken", [BoxOpened(box="broken")])
    if command.how == "invariant":
        raise InvariantError("123-45-6789 does not add up")
    raise KeyError("Ann Smith, 123-45-6789")


def _kind(
    model: type[Command], privilege: str, summary: str, refusals: tuple[str, ...], **example: object
) -> CommandType:
    account = "account" if "account" in model.model_fields else None
    return CommandType(model.__name__, model, privilege, "99", summary, example, refusals, (), account)


_NOT_FOUND = "BILLING_ACCOUNT_NOT_FOUND"
TYPES: dict[str, CommandType] = {
    kind.name: kind
    for kind in (
        _kind(OpenBox, "account.create", "Open a box", ("ACCOUNT_DUPLICATE",), account="A"),
        _kind(
            FillBox,
            "payment.apply",
            "Put money in",
            (_NOT_FOUND, "ACCOUNT_NOT_ACTIVE", "AMOUNT_INVALID"),
            account="A",
            amount="12.00",
        ),
        _kind(CloseBox, "account.update", "Close a box", (_NOT_FOUND, "CONFIRMATION_REQUIRED"), account="A"),
        _kind(ReopenBox, "account.update", "Reopen a box", (_NOT_FOUND,), account="A"),
        _kind(BreakBox, "account.update", "Go wrong", (), how="invariant"),
    )
}
HANDLERS: dict[str, Handler] = {
    "OpenBox": open_box,
    "FillBox": fill_box,
    "CloseBox": close_box,
    "ReopenBox": reopen_box,
    "BreakBox": break_box,
}
