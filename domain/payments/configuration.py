"""How an account allocates by itself: the configuration row and its checks (PAY-034 to PAY-038).

A row belongs to a bill type (and for LIST_BILL to an allocation mode); an account uses the row of its kind, or the
named strategy of the same kind that is set on it. Changes act on payments received and runs started afterwards, so the
row that decided a payment is part of what is passed to the decision, never read again later.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from domain.accounts.bill_type import AllocationMode, BillType
from domain.errors import Problem
from domain.payments.allocation import (
    OpenAccount,
    Permissions,
    Plan,
    PriorityKey,
    SpreadSettings,
    plan_allocation,
)
from domain.payments.classification import AccountKind, Category, Explanation, account_kind
from domain.payments.consumption import CONSUMPTION_ORDER
from domain.payments.targets import Instruction


class Approach(StrEnum):
    """Ways of automated allocation, spelled as the configuration spells them (PAY-035)."""

    REMITTANCE_FILE = "remittanceFile"
    ALLOCATION_RULES = "allocationRules"


class Autoconsumption(StrEnum):
    """When unapplied money is used automatically (PAY-036, PAY-077)."""

    INVOICE_GENERATION = "invoiceGeneration"
    RECURRING_PAYMENTS = "recurringPayments"


PERMISSION_NAMES = ("allowAllocationWithGaps", "allowAllocationOfMismatchedAmounts", "allowPartialInvoiceCoverage")


@dataclass(frozen=True, slots=True)
class AllocationConfiguration:
    """A valid row. `permissions` bind the approach `allocationRules` only."""

    row: str
    strategy: str
    kind: AccountKind
    automated: bool = True
    approaches: tuple[Approach, ...] = (Approach.ALLOCATION_RULES,)
    permissions: Permissions = field(default_factory=Permissions)
    spread: SpreadSettings = field(default_factory=SpreadSettings)
    autoconsumption: frozenset[Autoconsumption] = frozenset(Autoconsumption)
    category_order: tuple[Category, ...] = CONSUMPTION_ORDER

    def consumes_at(self, moment: Autoconsumption) -> bool:
        """Whether unapplied money is used then; never on LIST_BILL INDIVIDUAL (PAY-077)."""
        return moment in self.autoconsumption and self.kind is not AccountKind.LIST_BILL_INDIVIDUAL


def default_configuration(kind: AccountKind) -> AllocationConfiguration:
    """The row an account has when nothing is configured: the defaults of the parameter table."""
    individual = kind is AccountKind.LIST_BILL_INDIVIDUAL
    return AllocationConfiguration(
        row=f"DEFAULT-{kind}",
        strategy="DEFAULT",
        kind=kind,
        approaches=(Approach.REMITTANCE_FILE, Approach.ALLOCATION_RULES)
        if individual
        else (Approach.ALLOCATION_RULES,),
        spread=SpreadSettings(use_priority_rules=kind.member_level),
        autoconsumption=frozenset() if individual else frozenset(Autoconsumption),
    )


def category_order_problems(order: Sequence[str], pointer: str) -> list[Problem]:
    """A category order names each of the three categories exactly once (PAY-038, BAL-064)."""
    if sorted(order) == sorted(Category):
        return []
    return [
        Problem(
            "CATEGORY_ORDER_INCOMPLETE",
            "each of the three categories is named exactly once",
            pointer=pointer,
            params={"categories": [str(category) for category in Category]},
        )
    ]


@dataclass(frozen=True, slots=True)
class ConfigurationRequest:
    """A row as somebody wants it, nothing checked yet; permissions by their external names, None where not stated."""

    row: str
    strategy: str
    bill_type: str
    allocation_mode: str | None
    automated: bool
    approaches: tuple[str, ...] = ()
    permissions: Mapping[str, bool | None] = field(default_factory=dict)
    use_priority_rules: bool = False
    priority_order: tuple[str, ...] = ()
    product_priority: Mapping[str, int] = field(default_factory=dict)
    autoconsumption: tuple[str, ...] = ()
    category_order: tuple[str, ...] = tuple(CONSUMPTION_ORDER)


def configure(
    request: ConfigurationRequest, existing_rows: Collection[str]
) -> tuple[AllocationConfiguration | None, list[Problem]]:
    """The row that the request describes, or everything that is wrong with it (PAY-034 to PAY-036, PAY-038)."""
    problems = []
    if request.row in existing_rows:
        problems.append(Problem("CONFIGURATION_DUPLICATE", "the row id is in use", pointer="/row"))
    mode_missing = request.bill_type == BillType.LIST_BILL and request.allocation_mode is None
    if mode_missing:
        problems.append(
            Problem(
                "MODE_REQUIRED",
                "a list bill row needs an allocation mode",
                pointer="/allocation_mode",
                params={"allowed": [str(mode) for mode in AllocationMode]},
            )
        )
    individual = request.bill_type == BillType.LIST_BILL and request.allocation_mode == AllocationMode.INDIVIDUAL
    problems += _approach_problems(request, individual=individual)
    if individual and request.autoconsumption:
        problems.append(
            Problem(
                "AUTOCONSUMPTION_NOT_ALLOWED",
                "money is kept by member on this account type and never consumed automatically",
                pointer="/autoconsumption",
            )
        )
    unknown = [one for one in request.autoconsumption if one not in set(Autoconsumption)]
    if unknown or len(set(request.priority_order)) != len(request.priority_order):
        where = "/autoconsumption" if unknown else "/priority_order"
        problems.append(Problem("REQUEST_INVALID", "unknown or repeated values", pointer=where))
    problems += category_order_problems(request.category_order, "/category_order")
    if problems:
        return None, problems
    stated = [bool(request.permissions.get(name)) for name in PERMISSION_NAMES]
    return (
        AllocationConfiguration(
            row=request.row,
            strategy=request.strategy,
            kind=account_kind(request.bill_type, request.allocation_mode),
            automated=request.automated,
            approaches=tuple(Approach(one) for one in request.approaches),
            permissions=Permissions(*stated),
            spread=SpreadSettings(
                request.use_priority_rules,
                tuple(PriorityKey(one) for one in request.priority_order),
                dict(request.product_priority),
            ),
            autoconsumption=frozenset(Autoconsumption(one) for one in request.autoconsumption),
            category_order=tuple(Category(one) for one in request.category_order),
        ),
        [],
    )


def _approach_problems(request: ConfigurationRequest, *, individual: bool) -> list[Problem]:
    if not request.automated:
        return []
    supported = [Approach.REMITTANCE_FILE, Approach.ALLOCATION_RULES] if individual else [Approach.ALLOCATION_RULES]
    repeated = len(set(request.approaches)) != len(request.approaches)
    if not request.approaches or repeated or any(one not in set(supported) for one in request.approaches):
        return [
            Problem(
                "APPROACH_INVALID",
                "the approaches are an ordered list, not empty, of those the account type supports",
                pointer="/approaches",
                params={"supported": [str(one) for one in supported]},
            )
        ]
    missing = [name for name in PERMISSION_NAMES if request.permissions.get(name) is None]
    if Approach.ALLOCATION_RULES in request.approaches and missing:
        return [
            Problem(
                "RULES_INCOMPLETE",
                f"the approach allocationRules needs {', '.join(missing)}",
                pointer="/permissions",
                params={"missing": missing},
            )
        ]
    return []


def strategy_problems(strategy: AllocationConfiguration | None, kind: AccountKind) -> list[Problem]:
    """A named strategy set on an account must be of its bill type and mode (PAY-034)."""
    if strategy is not None and strategy.kind is kind:
        return []
    return [Problem("STRATEGY_NOT_FOR_ACCOUNT", "the strategy is of another bill type or mode", pointer="/strategy")]


def allocate_automatically(
    configuration: AllocationConfiguration,
    amount: int,
    instructions: Sequence[Instruction],
    account: OpenAccount,
    *,
    accepted_references: Sequence[Instruction] | None = None,
    excluded: frozenset[str] = frozenset(),
    set_aside: int = 0,
    designated_unapplied: bool = False,
) -> Plan:
    """The plan for money that arrived, by the account's configuration (PAY-037, PAY-046).

    The approach `remittanceFile` is tried before by `remittance.distribute` when a file came with the money; this is
    the rest of the list. `designated_unapplied`: the payer wants it kept (PAY-032).
    """
    if designated_unapplied:
        return Plan(False, (), amount, frozenset(), Explanation.NO_ALLOCATION_DETAILS)
    if not configuration.automated:
        return Plan(False, (), amount, frozenset(), Explanation.AUTOMATION_DISABLED)
    if Approach.ALLOCATION_RULES not in configuration.approaches:
        return Plan(False, (), amount, frozenset(), Explanation.NO_ALLOCATION_DETAILS)
    return plan_allocation(
        amount,
        instructions,
        account,
        configuration.permissions,
        accepted_references=accepted_references,
        excluded=excluded,
        set_aside=set_aside,
    )
