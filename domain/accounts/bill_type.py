"""Bill type and allocation mode: the two axes on which an account lies, and what each combination can do (ACC-009)."""

from __future__ import annotations

from enum import StrEnum


class BillType(StrEnum):
    """ACC-004."""

    LIST_BILL = "LIST_BILL"
    SELF_BILL = "SELF_BILL"
    INDIVIDUAL_DIRECT = "INDIVIDUAL_DIRECT"
    FLEXIBILL = "FLEXIBILL"


class AllocationMode(StrEnum):
    """ACC-006: set with the bill type on LIST_BILL and SELF_BILL, null elsewhere."""

    TRUE_GROUP = "TRUE_GROUP"
    INDIVIDUAL = "INDIVIDUAL"


class Capability(StrEnum):
    """Rows of the capability table (ACC-009)."""

    MEMBER_RECORDS = "MEMBER_RECORDS"
    PAYROLL_CALENDARS = "PAYROLL_CALENDARS"
    REMITTANCE_FILE = "REMITTANCE_FILE"
    INVOICE_ON_REQUEST = "INVOICE_ON_REQUEST"
    PAYMENT_REQUEST = "PAYMENT_REQUEST"
    SEASONAL_GAPS = "SEASONAL_GAPS"
    THIRD_PARTY_ITEMS = "THIRD_PARTY_ITEMS"


_TRUE_GROUP = (BillType.LIST_BILL, AllocationMode.TRUE_GROUP)
_INDIVIDUAL = (BillType.LIST_BILL, AllocationMode.INDIVIDUAL)
_SELF_GROUP = (BillType.SELF_BILL, AllocationMode.TRUE_GROUP)
_SELF_INDIVIDUAL = (BillType.SELF_BILL, AllocationMode.INDIVIDUAL)
_DIRECT = (BillType.INDIVIDUAL_DIRECT, None)
_FLEXIBILL = (BillType.FLEXIBILL, None)

#: ACC-009, row by row.
CAPABILITIES: dict[Capability, frozenset[tuple[BillType, AllocationMode | None]]] = {
    Capability.MEMBER_RECORDS: frozenset({_TRUE_GROUP, _INDIVIDUAL, _DIRECT}),
    Capability.PAYROLL_CALENDARS: frozenset({_INDIVIDUAL, _SELF_INDIVIDUAL}),
    Capability.REMITTANCE_FILE: frozenset({_INDIVIDUAL}),
    Capability.INVOICE_ON_REQUEST: frozenset({_TRUE_GROUP, _INDIVIDUAL, _DIRECT, _FLEXIBILL}),
    Capability.PAYMENT_REQUEST: frozenset({_SELF_GROUP, _SELF_INDIVIDUAL}),
    Capability.SEASONAL_GAPS: frozenset({_TRUE_GROUP, _INDIVIDUAL}),
    Capability.THIRD_PARTY_ITEMS: frozenset({_FLEXIBILL}),
}


def has_capability(bill_type: BillType | None, mode: AllocationMode | None, capability: Capability) -> bool:
    """Whether an account of this model has the capability; an account without bill type has none (ACC-009)."""
    return bill_type is not None and (bill_type, mode) in CAPABILITIES[capability]
