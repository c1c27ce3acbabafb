"""Master policies: the billing product that the policy system creates for each of them."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from application.command import Command, CurrencyCode, Identifier, Outcome, Part, command, handles
from application.parameters import own_values_in_force, parameters_in_force
from application.unit_of_work import UnitOfWork
from domain.accounts.bill_type import BillType
from domain.calendar.frequency import Frequency
from domain.customers.customer import CUSTOMER
from domain.errors import refuse
from domain.money import decimals_of
from domain.premium.transactions import WaiverSource
from domain.products.master_policy import (
    MASTER_POLICY,
    MasterPolicy,
    PolicyClass,
    PolicyTerms,
    RollOnMode,
    create,
)

_ROLL_ON = "premium.roll_on_mode"
_WAIVER_SOURCE = "premium.premium_waiver_source"
_FILING_DAYS = "premium.waiver_claim_filing_days"
_ALIGN = "modal.align_first_period"


class PolicyClassPart(Part):
    """A class with its validity; `expiration_date` is the first day it no longer exists."""

    code: Identifier
    effective_date: dt.date
    expiration_date: dt.date | None = None


@command(
    privilege="integration.policy",
    room="03",
    summary="Create the billing product of a master policy",
    rules=("MEM-015", "MEM-022", "MEM-040"),
    refusals=(
        "CUSTOMER_NOT_FOUND",
        "PRODUCT_DATE_MISMATCH",
        "DATE_RANGE_INVALID",
        "CURRENCY_NOT_SUPPORTED",
        "STATE_INVALID",
    ),
    example={
        "master_policy": "MP-100",
        "sponsor": "C-100",
        "product": "GROUP-LIFE",
        "line_of_business": "LIFE",
        "bill_type": "LIST_BILL",
        "currency": "USD",
        "effective_date": "2025-01-01",
        "underwriting_company": "UWC-1",
    },
)
class CreateMasterPolicyProduct(Command):
    """The policy's terms decide how its members are billed; the set-up decides on which account. Terms left out are
    those of the parameters in force."""

    master_policy: Identifier
    sponsor: Identifier
    product: Identifier
    line_of_business: Identifier = "LIFE"
    bill_type: BillType = BillType.LIST_BILL
    currency: CurrencyCode = "USD"
    effective_date: dt.date
    transaction_effective_date: dt.date | None = None
    expiration_date: dt.date | None = None
    underwriting_company: Identifier = "UWC-1"
    classes: Annotated[tuple[PolicyClassPart, ...], Field(max_length=500)] = ()
    roll_on_mode: RollOnMode | None = None
    premium_waiver_source: WaiverSource | None = None
    waiver_claim_filing_days: Annotated[int, Field(ge=0, le=36500)] | None = None
    align_first_period: bool | None = None
    allowed_modalities: tuple[Frequency, ...] = tuple(Frequency)
    multiple_premium_sequences: bool = True
    first_invoice_grace_days: Annotated[int, Field(ge=0, le=90)] = 31


@handles(CreateMasterPolicyProduct)
def create_master_policy_product(command: CreateMasterPolicyProduct, unit: UnitOfWork) -> Outcome:
    sponsor = unit.load(CUSTOMER, command.sponsor)
    if sponsor.version == 0 or sponsor.state.is_individual:
        raise refuse("CUSTOMER_NOT_FOUND", "the sponsor is not a billing customer", pointer="/sponsor")
    require_currency(command.currency)
    policy = unit.load(MASTER_POLICY, command.master_policy)
    unit.expect_main(MASTER_POLICY, policy)
    created = create(
        policy.state,
        number=command.master_policy,
        sponsor=command.sponsor,
        product=command.product,
        line_of_business=command.line_of_business,
        bill_type=command.bill_type,
        currency=command.currency,
        effective_date=command.effective_date,
        transaction_effective_date=command.transaction_effective_date or command.effective_date,
        expiration_date=command.expiration_date,
        underwriting_company=command.underwriting_company,
        classes=tuple(PolicyClass(part.code, part.effective_date, part.expiration_date) for part in command.classes),
        terms=_terms(command, unit),
    )
    unit.append(MASTER_POLICY, command.master_policy, [created], effective_date=command.effective_date)
    return Outcome({"master_policy": command.master_policy})


def _terms(command: CreateMasterPolicyProduct, unit: UnitOfWork) -> PolicyTerms:
    """The terms as stated, and those left out as the parameters in force say; they stay with the policy (law 1)."""
    keys = {"master_policy": command.master_policy, "product": command.product}
    values = parameters_in_force(unit, (_ROLL_ON, _WAIVER_SOURCE, _FILING_DAYS, _ALIGN), keys, unit.today())
    filing_days = command.waiver_claim_filing_days
    if filing_days is None and values[_FILING_DAYS] is not None:
        filing_days = int(str(values[_FILING_DAYS]))
    return PolicyTerms(
        roll_on_mode=command.roll_on_mode or RollOnMode(str(values[_ROLL_ON])),
        premium_waiver_source=command.premium_waiver_source or WaiverSource(str(values[_WAIVER_SOURCE])),
        waiver_claim_filing_days=filing_days,
        align_first_period=values[_ALIGN] is True if command.align_first_period is None else command.align_first_period,
        allowed_modalities=command.allowed_modalities,
        multiple_premium_sequences=command.multiple_premium_sequences,
        first_invoice_grace_days=command.first_invoice_grace_days,
    )


def with_terms_in_force(unit: UnitOfWork, policy: MasterPolicy) -> MasterPolicy:
    """The policy with its terms of today (PRM-091).

    decision: what a parameter was set to for this very policy goes before what it was created with; what is set for
    more than one policy is only what new ones begin with.
    """
    keys = {"master_policy": policy.number}
    own = own_values_in_force(unit, (_ROLL_ON, _WAIVER_SOURCE, _ALIGN), keys, unit.today())
    terms = policy.terms
    if _ROLL_ON in own:
        terms = replace(terms, roll_on_mode=RollOnMode(str(own[_ROLL_ON])))
    if _WAIVER_SOURCE in own:
        terms = replace(terms, premium_waiver_source=WaiverSource(str(own[_WAIVER_SOURCE])))
    if _ALIGN in own:
        terms = replace(terms, align_first_period=own[_ALIGN] is True)
    return replace(policy, terms=terms) if own else policy


def require_currency(currency: str) -> None:
    """Refuse a currency that the system does not support (PLT-111)."""
    try:
        decimals_of(currency)
    except ValueError as error:
        raise refuse("CURRENCY_NOT_SUPPORTED", str(error), pointer="/currency") from None
