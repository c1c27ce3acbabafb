"""Scope: whose accounts a principal may act on (PLT-033 to PLT-036).

A scope is a list of customers; each covers its subtree. An account belongs to the scope of its owner, a set-up or a
master policy to that of its sponsor, a member record to that of any account it was placed on, a payment to that of the
accounts of its records. What a command names outside the caller's scope is answered exactly as if it were unknown
(PLT-016): for a principal with a scope both are refused here, by one sentence for each kind of object.

A command that names nothing of the kind reaches beyond any list of customers; only a principal with scope ALL may send
it (PLT-035, `FORBIDDEN` with reason `SCOPE`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from application.command import Command, CommandType
from application.dispatch import Guard
from application.register import Directory, ItemRegister, Placements
from application.unit_of_work import UnitOfWork
from domain.accounts.account import ACCOUNT
from domain.accounts.setup import SETUP
from domain.customers.customer import CUSTOMER
from domain.errors import Problem, Refusal, refuse, refuse_if_any
from domain.platform.tasks import TASK
from domain.products.master_policy import MASTER_POLICY

#: How far up the customer tree is looked; deeper trees are refused when they are made.
_MAX_DEPTH: Final = 100


@dataclass(frozen=True, slots=True)
class _Named:
    """An object a command names: by which member, with which pointer."""

    member: str
    identifier: str
    pointer: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an object lies: on accounts, or with customers. Nowhere: it is unknown."""

    accounts: tuple[str, ...] = ()
    customers: tuple[str, ...] = ()


def _account(unit: UnitOfWork, number: str) -> _Place:
    resolved = unit.port(Directory).resolve_account(number)
    return _Place() if resolved is None else _Place((resolved,))


def _customer(unit: UnitOfWork, reference: str) -> _Place:
    return _Place(customers=(reference,))


def _master_policy(unit: UnitOfWork, number: str) -> _Place:
    loaded = unit.load(MASTER_POLICY, number)
    return _Place(customers=(loaded.state.sponsor,)) if loaded.version else _Place()


def _setup(unit: UnitOfWork, setup_ref: str) -> _Place:
    loaded = unit.load(SETUP, setup_ref)
    return _Place(customers=(loaded.state.sponsor,)) if loaded.version else _Place()


def _member_record(unit: UnitOfWork, number: str) -> _Place:
    return _Place(tuple(unit.port(Placements).accounts_of(number)))


def _invoice(unit: UnitOfWork, number: str) -> _Place:
    found = unit.port(ItemRegister).account_of_invoice(number)
    return _Place() if found is None else _Place((found[0],))


def _record(unit: UnitOfWork, number: str) -> _Place:
    found = unit.port(ItemRegister).account_of_record(number)
    return _Place() if found is None else _Place((found,))


def _payment(unit: UnitOfWork, number: str) -> _Place:
    records = unit.port(ItemRegister).records_of_payment(number)
    return _Place(tuple(account for record in records for account in _record(unit, record).accounts))


def _task(unit: UnitOfWork, number: str) -> _Place:
    loaded = unit.load(TASK, number)
    return _Place((loaded.state.account,)) if loaded.version else _Place()


#: By the name of a command's member: what it names, the code for an unknown one, and where such an object lies.
_KINDS: Final[Mapping[str, tuple[str, str, Callable[[UnitOfWork, str], _Place]]]] = {
    "account": ("BILLING_ACCOUNT_NOT_FOUND", "account", _account),
    "owner": ("CUSTOMER_NOT_FOUND", "customer", _customer),
    "sponsor": ("CUSTOMER_NOT_FOUND", "customer", _customer),
    "parent": ("CUSTOMER_NOT_FOUND", "customer", _customer),
    "unit": ("CUSTOMER_NOT_FOUND", "customer", _customer),
    "master_policy": ("MASTER_POLICY_NOT_FOUND", "master policy", _master_policy),
    "setup_ref": ("ENTITY_NOT_FOUND", "set-up", _setup),
    "member_record": ("MEMBER_RECORD_NOT_FOUND", "member record", _member_record),
    "invoice": ("INVOICE_NOT_FOUND", "invoice", _invoice),
    "invoices": ("INVOICE_NOT_FOUND", "invoice", _invoice),
    "record": ("PAYMENT_NOT_FOUND", "payment", _record),
    "payment": ("PAYMENT_NOT_FOUND", "payment", _payment),
    "task": ("ENTITY_NOT_FOUND", "task", _task),
}

#: Commands that bring an object in under the policy they name: the record itself is not there yet.
_NEW_RECORDS: Final = frozenset({"ApplyNewBusiness"})


class ScopeGuard(Guard):
    """Refuses commands on what is outside the caller's scope, before a stored answer is given (PLT-004)."""

    def admit(self, kind: CommandType, command: Command, unit: UnitOfWork) -> None:
        scope = unit.principal.scope
        if scope is None:
            return
        named = [one for one in _named_in(command) if not (kind.name in _NEW_RECORDS and one.member == "member_record")]
        if not named:
            raise _beyond_scope()
        places = [_KINDS[one.member][2](unit, one.identifier) for one in named]
        tree = _Tree(unit, frozenset(scope))
        problems = []
        for one, place in zip(named, places, strict=True):
            covered = _covered(place, tree)
            if not any(covered):
                problems.append(_unknown(one))
            elif one.member == "payment" and not all(covered):
                raise _beyond_scope()
        refuse_if_any(problems)


class _Tree:
    """The customer tree as far as the scope is asked about it, each customer once."""

    def __init__(self, unit: UnitOfWork, scope: frozenset[str]) -> None:
        self._unit = unit
        self._scope = scope
        self._covered: dict[str, bool] = {}

    def covers(self, reference: str) -> bool:
        """Whether the customer exists and it, or one above it, is in the scope."""
        if reference not in self._covered:
            self._covered[reference] = self._climb(reference)
        return self._covered[reference]

    def covers_account(self, number: str) -> bool:
        """Whether the account's owner, who never changes, is covered.

        The account is read only for this and not kept, so that nobody waits for it here: whether a command waits for
        what runs on the account, or is refused, is its handler's to decide (INV-150), on the state it then finds.
        """
        return self.covers(self._unit.read_many(ACCOUNT, [number])[number].state.owner)

    def _climb(self, reference: str) -> bool:
        here: str | None = reference
        for _ in range(_MAX_DEPTH):
            loaded = self._unit.load(CUSTOMER, here) if here else None
            if loaded is None or loaded.version == 0:
                return False
            if here in self._scope:
                return True
            here = loaded.state.parent
        return False


def _covered(place: _Place, tree: _Tree) -> list[bool]:
    """For every part of an object whether it lies in the scope; nothing for an unknown one."""
    covered = [tree.covers_account(account) for account in place.accounts]
    return covered + [tree.covers(customer) for customer in place.customers]


def _unknown(one: _Named) -> Problem:
    """The problem of an object outside the scope: the one of an unknown object."""
    code, what, _ = _KINDS[one.member]
    return Problem(code, f"there is no such {what}", pointer=one.pointer)


def _beyond_scope() -> Refusal:
    return refuse("FORBIDDEN", "this command reaches beyond the accounts in your scope", reason="SCOPE")


def _named_in(part: BaseModel, pointer: str = "") -> Iterator[_Named]:
    """The objects a command names, also in the parts of its lists, in the order of its fields."""
    for member in type(part).model_fields:
        value = getattr(part, member)
        here = f"{pointer}/{member}"
        if isinstance(value, str) and member in _KINDS:
            yield _Named(member, value, here)
        elif isinstance(value, BaseModel):
            yield from _named_in(value, here)
        elif isinstance(value, tuple | list):
            for index, entry in enumerate(value):
                if isinstance(entry, str) and member in _KINDS:
                    yield _Named(member, entry, f"{here}/{index}")
                elif isinstance(entry, BaseModel):
                    yield from _named_in(entry, f"{here}/{index}")


def outside(unit: UnitOfWork, scope: Collection[str], named: Mapping[str, str]) -> list[Problem]:
    """What of the named objects is unknown within a scope, for reads; `named` maps the kind of object (as a command's
    member is called) to its identifier. An object that lies partly in the scope is known: whoever shows it leaves the
    rest out (`covered_accounts`). Raises FORBIDDEN when nothing is named."""
    if not named:
        raise _beyond_scope()
    tree = _Tree(unit, frozenset(scope))
    wanted = [_Named(member, identifier, f"/{member}") for member, identifier in named.items()]
    return [_unknown(one) for one in wanted if not any(_covered(_KINDS[one.member][2](unit, one.identifier), tree))]


def covered_accounts(unit: UnitOfWork, scope: Collection[str], accounts: Collection[str]) -> frozenset[str]:
    """Those of the accounts whose owners lie in the scope."""
    tree = _Tree(unit, frozenset(scope))
    owners = {number: loaded.state.owner for number, loaded in unit.load_many(ACCOUNT, accounts).items()}
    return frozenset(number for number, owner in owners.items() if tree.covers(owner))
