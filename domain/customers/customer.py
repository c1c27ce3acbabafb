"""The billing customer: who owns accounts and pays bills (MEM-001 to MEM-004).

A customer is an organization (group sponsor, division or location) or an individual. The reference is its number, given
by customer management, unique and immutable. Payment methods CASH and CHECK come with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from domain.aggregate import Aggregate
from domain.errors import Problem, refuse_if_any
from domain.events import event


class CustomerKind(StrEnum):
    ORGANIZATION = "ORGANIZATION"
    INDIVIDUAL = "INDIVIDUAL"


class CustomerRole(StrEnum):
    """MEM-001."""

    GROUP_SPONSOR = "GROUP_SPONSOR"
    DIVISION = "DIVISION"
    LOCATION = "LOCATION"
    INSURED = "INSURED"


@dataclass(frozen=True, slots=True)
class Address:
    """A billing address; the communication preference is BILLING_STATEMENT (ACC-035)."""

    line1: str
    city: str
    country: str
    line2: str | None = None
    state: str | None = None
    postal_code: str | None = None


@event()
class BillingCustomerCreated:
    """A customer was registered for billing with its reference, identity, address and payment methods (MEM-002)."""

    reference: str
    kind: CustomerKind
    role: CustomerRole
    legal_name: str | None
    legal_identification: str | None
    first_name: str | None
    last_name: str | None
    address: Address
    email: str | None
    payment_methods: tuple[str, ...]
    parent: str | None


@event()
class CustomerRenamed:
    """Customer management changed the names; `customer_version` orders such changes (MEM-007, MEM-008)."""

    reference: str
    first_name: str | None
    last_name: str | None
    legal_name: str | None
    customer_version: int


@dataclass(frozen=True, slots=True)
class Customer:
    """State of a billing customer; `reference` is empty before creation."""

    reference: str = ""
    kind: CustomerKind = CustomerKind.ORGANIZATION
    role: CustomerRole = CustomerRole.GROUP_SPONSOR
    name: str = ""
    address: Address | None = None
    email: str | None = None
    payment_methods: tuple[str, ...] = ()
    parent: str | None = None
    customer_version: int = 0

    @property
    def is_individual(self) -> bool:
        return self.kind is CustomerKind.INDIVIDUAL


def evolve(state: Customer, happened: object) -> Customer:
    match happened:
        case BillingCustomerCreated():
            name = happened.legal_name or f"{happened.first_name or ''} {happened.last_name or ''}".strip()
            return Customer(
                reference=happened.reference,
                kind=happened.kind,
                role=happened.role,
                name=name,
                address=happened.address,
                email=happened.email,
                payment_methods=happened.payment_methods,
                parent=happened.parent,
            )
        case CustomerRenamed():
            name = happened.legal_name or f"{happened.first_name or ''} {happened.last_name or ''}".strip()
            return replace(state, name=name or state.name, customer_version=happened.customer_version)
        case _:
            raise TypeError(f"not an event of a customer: {type(happened).__name__}")


CUSTOMER = Aggregate("customer", Customer, Customer(), evolve)


def create(
    *,
    reference: str,
    kind: CustomerKind,
    role: CustomerRole,
    legal_name: str | None,
    legal_identification: str | None,
    first_name: str | None,
    last_name: str | None,
    address: Address | None,
    email: str | None,
    methods: tuple[str, ...],
    parent: str | None,
) -> BillingCustomerCreated:
    """Register a customer. Refused `CUSTOMER_DATA_INCOMPLETE`, naming each missing member (MEM-002)."""
    missing: list[str] = []
    if kind is CustomerKind.ORGANIZATION:
        missing += [
            name
            for name, value in (("legal_name", legal_name), ("legal_identification", legal_identification))
            if not value
        ]
    else:
        missing += [name for name, value in (("first_name", first_name), ("last_name", last_name)) if not value]
    if address is None:
        missing.append("address")
    refuse_if_any(
        [
            Problem("CUSTOMER_DATA_INCOMPLETE", f"{name} is missing", f"/{name}", params={"field": name})
            for name in missing
        ]
    )
    if (role is CustomerRole.INSURED) != (kind is CustomerKind.INDIVIDUAL):
        refuse_if_any(
            [Problem("REQUEST_INVALID", "an individual has the role INSURED, an organization another", "/role")]
        )
    assert address is not None
    ordered = tuple(dict.fromkeys(("CASH", "CHECK", *methods)))
    return BillingCustomerCreated(
        reference=reference,
        kind=kind,
        role=role,
        legal_name=legal_name,
        legal_identification=legal_identification,
        first_name=first_name,
        last_name=last_name,
        address=address,
        email=email,
        payment_methods=ordered,
        parent=parent,
    )
