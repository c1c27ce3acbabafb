"""The master policy as billing knows it: its sponsor, dates, product, and the terms its members are billed by.

One billing product exists per master policy (MEM-015). The policy system creates it with the transaction's effective
date equal to the product's (MEM-040); the billing set-up that ties it to accounts is an aggregate of its own. A master
policy transaction of list bill cascades to the member records and changes no amount itself (PRM-008, PRM-150).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from enum import StrEnum

from domain.accounts.bill_type import BillType
from domain.aggregate import Aggregate
from domain.calendar.frequency import Frequency
from domain.errors import Problem, refuse, refuse_if_any
from domain.events import event
from domain.premium.transactions import WaiverSource


class RollOnMode(StrEnum):
    """PRM-116."""

    MANUAL = "MANUAL"
    AUTOMATIC = "AUTOMATIC"


@dataclass(frozen=True, slots=True)
class PolicyClass:
    """A class of the master policy, valid on [effective, expiration) (MEM-022)."""

    code: str
    effective: dt.date
    expiration: dt.date | None = None


@dataclass(frozen=True, slots=True)
class PolicyTerms:
    """Parameters of the master policy, decided at creation and carried in its event (law 1).

    `expiration` is the first day not covered; None is open-ended (MEM-041).
    """

    roll_on_mode: RollOnMode = RollOnMode.MANUAL
    premium_waiver_source: WaiverSource = WaiverSource.CLAIMS
    waiver_claim_filing_days: int | None = None
    align_first_period: bool = False
    allowed_modalities: tuple[Frequency, ...] = tuple(Frequency)
    multiple_premium_sequences: bool = True
    first_invoice_grace_days: int = 31


@event()
class BillingProductCreated:
    """The billing product of a master policy exists from its effective date (MEM-015, MEM-023)."""

    master_policy: str
    sponsor: str
    product: str
    line_of_business: str
    bill_type: BillType
    currency: str
    effective_date: dt.date
    expiration_date: dt.date | None
    underwriting_company: str
    classes: tuple[PolicyClass, ...]
    terms: PolicyTerms


@event()
class MasterPolicySetupIssued:
    """A revision of the billing set-up of this policy is in force for transactions processed from now on (ACC-077)."""

    master_policy: str
    setup_ref: str
    revision: int


@event()
class MasterPolicyCascadeStarted:
    """A master policy transaction began to reach its member records, in ascending number (PRM-150).

    `cascade` identifies what follows, which has streams of its own (domain.members.cascade_run); None: it was over with
    the command that started it.
    """

    transaction_id: str
    type: str
    effective_date: dt.date
    members: int
    cascade: str | None = None


@dataclass(frozen=True, slots=True)
class CascadeResult:
    """What became of one record in a cascade: APPLIED, SKIPPED, DEAD_LETTERED (PRM-151)."""

    member_record: str
    result: str
    code: str | None = None


@event()
class MasterPolicyCascadeCompleted:
    """Every record of a cascade has its result; status COMPLETED or COMPLETED_WITH_ERRORS (PRM-151).

    No longer written: results stand with the records since cascades have streams of their own.
    """

    transaction_id: str
    status: str
    results: tuple[CascadeResult, ...]


@event()
class MasterPolicyRewritten:
    """The master policy has a new effective date (PRM-152)."""

    transaction_id: str
    old_effective_date: dt.date
    effective_date: dt.date


@event()
class MasterPolicyTransactionRecorded:
    """A master policy transaction was recorded; on list bill it has no premium effect of its own (PRM-008)."""

    transaction_id: str
    type: str
    effective_date: dt.date


@event()
class MemberValidationFailed:
    """Before a purchase somebody was found not billable, for these reasons; of the person nothing is kept (MEM-090)."""

    master_policy: str
    effective_date: dt.date
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordedTransaction:
    """A master policy transaction that was accepted, with the cascade it began, if it began one that may still run."""

    transaction_id: str
    type: str
    effective_date: dt.date
    cascade: str | None = None


@dataclass(frozen=True, slots=True)
class MasterPolicy:
    """State of a master policy; `number` is empty before creation."""

    number: str = ""
    sponsor: str = ""
    product: str = ""
    bill_type: BillType = BillType.LIST_BILL
    currency: str = ""
    effective_date: dt.date = dt.date.min
    expiration_date: dt.date | None = None
    underwriting_company: str = ""
    classes: tuple[PolicyClass, ...] = ()
    terms: PolicyTerms = PolicyTerms()
    setup_ref: str | None = None
    setup_revision: int = 0
    transactions: tuple[RecordedTransaction, ...] = ()

    def is_class_valid(self, code: str, day: dt.date) -> bool:
        """Whether the class exists on the day; a policy without classes has no class rule (MEM-022)."""
        return not self.classes or any(
            known.code == code and known.effective <= day and (known.expiration is None or day < known.expiration)
            for known in self.classes
        )

    def covers(self, day: dt.date) -> bool:
        """Whether the day lies inside the product's dates (MEM-040)."""
        return self.effective_date <= day and (self.expiration_date is None or day < self.expiration_date)


def evolve(state: MasterPolicy, happened: object) -> MasterPolicy:
    match happened:
        case BillingProductCreated():
            return MasterPolicy(
                number=happened.master_policy,
                sponsor=happened.sponsor,
                product=happened.product,
                bill_type=happened.bill_type,
                currency=happened.currency,
                effective_date=happened.effective_date,
                expiration_date=happened.expiration_date,
                underwriting_company=happened.underwriting_company,
                classes=happened.classes,
                terms=happened.terms,
            )
        case MasterPolicySetupIssued():
            return replace(state, setup_ref=happened.setup_ref, setup_revision=happened.revision)
        case MasterPolicyTransactionRecorded() | MasterPolicyCascadeStarted():
            cascade = happened.cascade if isinstance(happened, MasterPolicyCascadeStarted) else None
            recorded = RecordedTransaction(happened.transaction_id, happened.type, happened.effective_date, cascade)
            return replace(state, transactions=(*state.transactions, recorded))
        case MasterPolicyRewritten():
            return replace(state, effective_date=happened.effective_date)
        case MasterPolicyCascadeCompleted() | MemberValidationFailed():
            return state
        case _:
            raise TypeError(f"not an event of a master policy: {type(happened).__name__}")


MASTER_POLICY = Aggregate("master_policy", MasterPolicy, MasterPolicy(), evolve)


def create(
    state: MasterPolicy,
    *,
    number: str,
    sponsor: str,
    product: str,
    line_of_business: str,
    bill_type: BillType,
    currency: str,
    effective_date: dt.date,
    transaction_effective_date: dt.date,
    expiration_date: dt.date | None,
    underwriting_company: str,
    classes: tuple[PolicyClass, ...],
    terms: PolicyTerms,
) -> BillingProductCreated:
    """Create the billing product. Refusals: PRODUCT_DATE_MISMATCH (MEM-040), DATE_RANGE_INVALID, STATE_INVALID."""
    if state.number:
        raise refuse("STATE_INVALID", "the master policy already has its billing product", entity=number)
    problems = []
    if transaction_effective_date != effective_date:
        problems.append(
            Problem(
                "PRODUCT_DATE_MISMATCH", "transaction and product have different effective dates", "/effective_date"
            )
        )
    if expiration_date is not None and expiration_date <= effective_date:
        problems.append(
            Problem("DATE_RANGE_INVALID", "the expiration date is after the effective date", "/expiration_date")
        )
    refuse_if_any(problems)
    return BillingProductCreated(
        master_policy=number,
        sponsor=sponsor,
        product=product,
        line_of_business=line_of_business,
        bill_type=bill_type,
        currency=currency,
        effective_date=effective_date,
        expiration_date=expiration_date,
        underwriting_company=underwriting_company,
        classes=classes,
        terms=terms,
    )
