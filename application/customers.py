"""Billing customers: registration and renaming."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from application.command import Command, Identifier, Outcome, Part, command, handles
from application.unit_of_work import UnitOfWork
from domain.customers.customer import CUSTOMER, Address, CustomerKind, CustomerRole, create
from domain.errors import refuse

ShortText = Annotated[str, Field(min_length=1, max_length=200)]


class AddressPart(Part):
    """A postal address."""

    line1: ShortText
    line2: ShortText | None = None
    city: ShortText
    state: Annotated[str, Field(max_length=10)] | None = None
    postal_code: Annotated[str, Field(max_length=20)] | None = None
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$", examples=["US"])]

    def value(self) -> Address:
        return Address(self.line1, self.city, self.country, self.line2, self.state, self.postal_code)


@command(
    privilege="customer.create",
    room="03",
    summary="Register a customer for billing",
    rules=("MEM-001", "MEM-002", "MEM-003"),
    refusals=("CUSTOMER_DATA_INCOMPLETE", "CUSTOMER_REFERENCE_DUPLICATE", "CUSTOMER_NOT_FOUND"),
    example={
        "reference": "C-100",
        "kind": "ORGANIZATION",
        "role": "GROUP_SPONSOR",
        "legal_name": "Northwind Mills Inc.",
        "legal_identification": "98-7654321",
        "address": {"line1": "1 Mill Lane", "city": "Austin", "state": "TX", "postal_code": "78701", "country": "US"},
        "email": "benefits@northwind.example",
    },
)
class CreateBillingCustomer(Command):
    """A group sponsor, a unit (with `parent`, its superior in the hierarchy) or an insured individual."""

    reference: Identifier
    kind: CustomerKind
    role: CustomerRole | None = None
    legal_name: ShortText | None = None
    legal_identification: ShortText | None = None
    first_name: ShortText | None = None
    last_name: ShortText | None = None
    address: AddressPart | None = None
    email: Annotated[str, Field(max_length=200, pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    payment_methods: Annotated[tuple[Identifier, ...], Field(max_length=20)] = ()
    parent: Identifier | None = None


@handles(CreateBillingCustomer)
def create_billing_customer(command: CreateBillingCustomer, unit: UnitOfWork) -> Outcome:
    if command.parent is not None and not unit.exists(CUSTOMER, command.parent):
        raise refuse("CUSTOMER_NOT_FOUND", "the parent customer is unknown", pointer="/parent")
    customer = unit.load(CUSTOMER, command.reference)
    unit.expect_main(CUSTOMER, customer)
    if customer.version:
        raise refuse("CUSTOMER_REFERENCE_DUPLICATE", "the customer reference is in use", pointer="/reference")
    role = command.role
    if role is None:
        role = CustomerRole.INSURED if command.kind is CustomerKind.INDIVIDUAL else CustomerRole.GROUP_SPONSOR
    created = create(
        reference=command.reference,
        kind=command.kind,
        role=role,
        legal_name=command.legal_name,
        legal_identification=command.legal_identification,
        first_name=command.first_name,
        last_name=command.last_name,
        address=command.address.value() if command.address else None,
        email=command.email,
        methods=command.payment_methods,
        parent=command.parent,
    )
    unit.append(CUSTOMER, command.reference, [created])
    return Outcome({"reference": command.reference, "payment_methods": list(created.payment_methods)})
