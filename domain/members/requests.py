"""What is asked of a member record, and what a decision must know from outside it.

A `TransactionRequest` is a policy transaction as its sender states it, before anything is decided: texts of None are
not stated, empty ones clear. `TransactionFacts` are the circumstances of the decision: the terms of the master policy
and of the accounts concerned, the routing of the billing set-up, the day and the instant. A decision is a function of
record, request and facts alone; what it decided is in the events.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum, StrEnum
from typing import Protocol

from domain.accounts.bill_type import BillType
from domain.accounts.setup import Routed
from domain.calendar.frequency import Frequency
from domain.premium.account_terms import AccountTerms
from domain.premium.transactions import (
    AmendmentKind,
    Origin,
    PremiumAmount,
    TransactionType,
    WaiverSource,
)
from domain.products.master_policy import PolicyTerms, RollOnMode

_DEFAULT_TERMS = PolicyTerms()


class RollOnAction(StrEnum):
    """What is decided on a backed-off transaction (PRM-112)."""

    ROLL_ON = "ROLL_ON"
    DROP = "DROP"


@dataclass(frozen=True, slots=True)
class RollOnDecision:
    """The decision on one backed-off transaction. `amounts` re-rate it; without any, those of the original stand.

    `rolled_on_as` is the id of the transaction that takes its place; None lets the record name it.
    """

    transaction_id: str
    action: RollOnAction
    amounts: tuple[PremiumAmount, ...] = ()
    rolled_on_as: str | None = None

    @property
    def content(self) -> str:
        """Identifies what is decided, whoever delivers it (PRM-117)."""
        return fingerprint((self.action, self.amounts))


@dataclass(frozen=True, slots=True)
class NewMember:
    """Who is enrolled (MEM-067). Names and employee identifier are personal data of class P3."""

    customer_number: str
    first_name: str | None = None
    last_name: str | None = None
    employee_id: str | None = None


@dataclass(frozen=True, slots=True)
class TransactionRequest:
    """A policy transaction as sent (PRM-003). Which fields belong to which type: `forms.py`.

    `type` is the text sent, so that an unknown one can be refused as such (PRM-001). Annual amounts are minor units.
    `until` is the first day no longer waived. `cascade` is the master policy transaction that caused it (PRM-150).
    """

    transaction_id: str | None = None
    type: str | None = None
    effective_date: dt.date | None = None
    transaction_date: dt.date | None = None
    origin: Origin | None = None
    member_record: str | None = None
    kinds: tuple[AmendmentKind, ...] = ()
    amounts: tuple[PremiumAmount, ...] = ()
    account: str | None = None
    modality: Frequency | None = None
    payroll_frequency: Frequency | None = None
    location: str | None = None
    division: str | None = None
    member_class: str | None = None
    nonforfeiture: str | None = None
    reason: str | None = None
    waiver_id: str | None = None
    waiver_source: WaiverSource | None = None
    until: dt.date | None = None
    expiration: dt.date | None = None
    coverages: tuple[str, ...] = ()
    out_of_scope: bool = False
    roll_on_mode: RollOnMode | None = None
    decisions: tuple[RollOnDecision, ...] = ()
    cascade: str | None = None
    member: NewMember | None = None

    @property
    def kind(self) -> TransactionType | None:
        """The type, None when it is not in the catalogue."""
        return TransactionType.__members__.get(self.type or "")


@dataclass(frozen=True, slots=True)
class RoutingKey:
    """By what a record is routed on a day (MEM-074 to MEM-076); the set-up decides which of it counts.

    `employment_change` allows the fallback to the root's account (MEM-104); a policy transaction has none (MEM-083).
    """

    day: dt.date
    location: str | None
    division: str | None
    member_class: str | None
    payroll_frequency: Frequency | None
    employment_change: bool = False


class Router(Protocol):
    """The billing set-up's answer to where a record belongs; a pure function of the last issued revision."""

    def __call__(self, sought: RoutingKey, /) -> Routed: ...


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """What of the master policy a decision needs; [effective, expiration) are the product dates (MEM-040)."""

    number: str
    bill_type: BillType
    currency: str
    effective: dt.date
    expiration: dt.date | None = None
    terms: PolicyTerms = _DEFAULT_TERMS

    def covers(self, day: dt.date) -> bool:
        """Whether the day lies inside the product dates."""
        return self.effective <= day and (self.expiration is None or day < self.expiration)


@dataclass(frozen=True, slots=True)
class TransactionFacts:
    """The circumstances of a decision.

    `accounts` are the terms of every account the record is, was or may come to be placed on. `class_decides` is true
    under `PER_LOCATION_AND_CLASS`, where a class change needs an account of its own (MEM-089). `reconciliation_open`
    tells that the validation of PRM-160 reports a discrepancy for the member (PRM-083), `waiver_override` that the
    caller may end a waiver of another source (PRM-091), `account_incomplete` that the chosen account is still being
    created (MEM-121).
    """

    today: dt.date
    now: dt.datetime
    policy: PolicyFacts
    accounts: Mapping[str, AccountTerms]
    route: Router
    inactive_accounts: frozenset[str] = frozenset()
    class_decides: bool = False
    transition_modalities: tuple[Frequency, ...] = (
        Frequency.WEEKLY,
        Frequency.BIWEEKLY,
        Frequency.SEMI_MONTHLY,
        Frequency.MONTHLY,
    )
    reconciliation_open: bool = False
    waiver_override: bool = False
    account_incomplete: bool = False

    def terms_of(self, account: str) -> AccountTerms:
        """The terms of an account. Raises KeyError when the caller did not provide them: a defect, not a refusal."""
        return self.accounts[account]


def fingerprint(content: object) -> str:
    """SHA-256 over the canonical JSON of a value; fields that are not stated do not count (PLT-003).

    A field added to a request in a later release therefore leaves the fingerprints of earlier messages as they are.
    """
    text = json.dumps(_canonical(content), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        stated = ((one.name, getattr(value, one.name)) for one in fields(value))
        return {
            name: _canonical(part) for name, part in stated if part is not None and part != () and part is not False
        }
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_canonical(part) for part in value]
    return value
