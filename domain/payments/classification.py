"""How a payment is classified, and the small tables that follow from the classification alone (PAY-004 to PAY-019).

Direction is always incoming: money that leaves is a refund. The category says whose money it is (the bank's, another
domain's, a credit granted by the insurer), the method how it came, the channel through which door, the initiation
whether a person or a job caused it. The account kind is the pair of bill type and allocation mode in the one word that
every rule of money movement asks for: the rulebook's LBG, LBI, SELF_BILL, FLEXIBILL, INDIVIDUAL_DIRECT.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from domain.errors import Problem


class Category(StrEnum):
    """Whose money it is (PAY-004). The order of use is configured, see `domain.payments.configuration`."""

    BANKING = "BANKING"
    INTERNAL = "INTERNAL"
    CUSTOMER_CREDIT = "CUSTOMER_CREDIT"


class Initiation(StrEnum):
    """MANUAL by a person or the hub, AUTOMATIC by a recurring draw or a cash deduction."""

    MANUAL = "MANUAL"
    AUTOMATIC = "AUTOMATIC"


class Method(StrEnum):
    CASH = "CASH"
    CHECK = "CHECK"
    EFT_ACH = "EFT_ACH"
    CREDIT_CARD = "CREDIT_CARD"
    INTERNAL = "INTERNAL"
    CREDIT = "CREDIT"


class Channel(StrEnum):
    UI = "UI"
    PORTAL = "PORTAL"
    EXTERNAL = "EXTERNAL"
    PAYMENT_HUB = "PAYMENT_HUB"
    RECURRING = "RECURRING"
    CASH_MANAGEMENT = "CASH_MANAGEMENT"
    BANK_FILE = "BANK_FILE"


class InternalSubtype(StrEnum):
    """Where an internal payment comes from (PAY-117): a claim, a cash value, or an automatic premium loan."""

    CLAIM_DEDUCTION = "CLAIM_DEDUCTION"
    CASH_DEDUCTION = "CASH_DEDUCTION"
    APL = "APL"


class FundsStatus(StrEnum):
    """Whether the bank has honoured the money; beside the status, never inside it (PAY-012)."""

    CLEARED = "CLEARED"
    ISSUED = "ISSUED"
    AWAITING = "AWAITING"
    SETTLED = "SETTLED"
    FAILED = "FAILED"


class Funds(StrEnum):
    """Where the money of a payment stands outside billing, as the ledger keeps it (LED-035, LED-037)."""

    BANK = "BANK"
    HUB = "HUB"
    CLAIM_DEDUCTION = "CLAIM_DEDUCTION"
    CASH_DEDUCTION = "CASH_DEDUCTION"
    APL = "APL"
    CUSTOMER_CREDIT = "CUSTOMER_CREDIT"


class PaymentStatus(StrEnum):
    """PAY-010. What is not stored is derived by PAY-011 from the record's parts alone."""

    INITIATED = "INITIATED"
    PENDING = "PENDING"
    UNAPPLIED = "UNAPPLIED"
    PARTIALLY_ALLOCATED = "PARTIALLY_ALLOCATED"
    ALLOCATED = "ALLOCATED"
    REFUNDED = "REFUNDED"
    TRANSFERRED = "TRANSFERRED"
    SUSPENDED = "SUSPENDED"
    DECLINED = "DECLINED"
    REVERSED = "REVERSED"
    DELETED = "DELETED"


class Bucket(StrEnum):
    """The places of money on an account that is on no invoice item (BAL-009)."""

    UNAPPLIED = "UNAPPLIED"
    MEMBER_UNAPPLIED = "MEMBER_UNAPPLIED"
    MEMBER_OVERPAYMENT = "MEMBER_OVERPAYMENT"


class AccountKind(StrEnum):
    """Bill type and allocation mode in one word (07-payments: LBG, LBI and the rest)."""

    LIST_BILL_TRUE_GROUP = "LIST_BILL_TRUE_GROUP"
    LIST_BILL_INDIVIDUAL = "LIST_BILL_INDIVIDUAL"
    SELF_BILL = "SELF_BILL"
    FLEXIBILL = "FLEXIBILL"
    INDIVIDUAL_DIRECT = "INDIVIDUAL_DIRECT"

    @property
    def member_level(self) -> bool:
        """Whether money is kept by member: LIST_BILL INDIVIDUAL and INDIVIDUAL_DIRECT (PAY-007)."""
        return self in (AccountKind.LIST_BILL_INDIVIDUAL, AccountKind.INDIVIDUAL_DIRECT)

    @property
    def buckets(self) -> frozenset[Bucket]:
        """The buckets that may hold money on such an account (BAL-009)."""
        if self is AccountKind.LIST_BILL_INDIVIDUAL:
            return frozenset(Bucket)
        if self is AccountKind.INDIVIDUAL_DIRECT:
            return frozenset((Bucket.UNAPPLIED, Bucket.MEMBER_OVERPAYMENT))
        return frozenset((Bucket.UNAPPLIED,))


def account_kind(bill_type: str, allocation_mode: str | None = None) -> AccountKind:
    """The kind of an account of this bill type and, for LIST_BILL, allocation mode. Raises ValueError for any other."""
    return AccountKind(f"{bill_type}_{allocation_mode}" if bill_type == "LIST_BILL" else bill_type)


def account_kinds(bill_type: str) -> tuple[AccountKind, ...]:
    """The kinds that accounts of a bill type may have."""
    return tuple(kind for kind in AccountKind if kind == bill_type or kind.startswith(f"{bill_type}_"))


class Cause(StrEnum):
    """Why money moved. The destinations of an unallocation follow from it (PAY-087)."""

    INSTRUCTION = "INSTRUCTION"
    RULES = "RULES"
    REMITTANCE = "REMITTANCE"
    MANUAL = "MANUAL"
    MANUAL_MEMBERS = "MANUAL_MEMBERS"
    PRESET = "PRESET"
    CONSUMPTION = "CONSUMPTION"
    RECURRING = "RECURRING"
    OVERPAYMENT = "OVERPAYMENT"
    INVOICE_DISCARDED = "INVOICE_DISCARDED"
    EXCESS = "EXCESS"
    EXCESS_RETURNED = "EXCESS_RETURNED"
    REALLOCATION = "REALLOCATION"
    TRANSFER = "TRANSFER"
    SUSPENSION = "SUSPENSION"
    RELEASE = "RELEASE"
    REVERSAL = "REVERSAL"
    DECLINE = "DECLINE"
    REFUND = "REFUND"
    CREDIT = "CREDIT"
    RECEIPT = "RECEIPT"
    SETTLEMENT = "SETTLEMENT"


class Explanation(StrEnum):
    """Why a record still has unapplied money: the latest reason is kept (PAY-033, PAY-048)."""

    NO_ALLOCATION_DETAILS = "NO_ALLOCATION_DETAILS"
    AUTOMATION_DISABLED = "AUTOMATION_DISABLED"
    NO_OPEN_INVOICE = "NO_OPEN_INVOICE"
    GAP_NOT_ALLOWED = "GAP_NOT_ALLOWED"
    MISMATCH_NOT_ALLOWED = "MISMATCH_NOT_ALLOWED"
    PARTIAL_NOT_ALLOWED = "PARTIAL_NOT_ALLOWED"
    EXCESS = "EXCESS"
    TARGET_CHANGED = "TARGET_CHANGED"
    USER_DECISION = "USER_DECISION"
    UNALLOCATED = "UNALLOCATED"
    EXCESSIVE_PAYMENT = "EXCESSIVE_PAYMENT"
    TRANSFER = "TRANSFER"
    CANCELLATION_REQUESTED = "CANCELLATION_REQUESTED"


class SuspenseReason(StrEnum):
    """Reasons of a suspense entry beside the explanations of PAY-033 (PAY-085)."""

    MISDIRECTED = "MISDIRECTED"
    INTERNAL_HELD = "INTERNAL_HELD"
    ALLOCATION_FAILED = "ALLOCATION_FAILED"


#: Reasons of a decline by method; OTHER needs a text (PAY-108).
DECLINE_REASONS: dict[Method, tuple[str, ...]] = {
    Method.CHECK: ("INSUFFICIENT_FUNDS", "STOP_PAYMENT", "ACCOUNT_CLOSED", "SIGNATURE", "STALE_DATED", "OTHER"),
    Method.EFT_ACH: ("INSUFFICIENT_FUNDS", "ACCOUNT_CLOSED", "NO_ACCOUNT", "NOT_AUTHORISED", "OTHER"),
    Method.CREDIT_CARD: ("CARD_DECLINED", "CARD_EXPIRED", "CHARGEBACK", "OTHER"),
    Method.CASH: ("COUNTERFEIT", "ENTRY_ERROR", "OTHER"),
    Method.INTERNAL: ("SOURCE_CANCELLED", "ENTRY_ERROR", "OTHER"),
    Method.CREDIT: ("CREDIT_WITHDRAWN", "ENTRY_ERROR", "OTHER"),
}


def failure_reason(method: Method) -> str:
    """The reason of a decline when the hub reports FAILED and says no more (PAY-108).

    decision: the first of the method's.
    """
    return DECLINE_REASONS[method][0]


#: Reasons of a transfer (PAY-112).
TRANSFER_REASONS = ("DUPLICATE_ACCOUNT", "MISAPPLIED", "CUSTOMER_REQUEST", "ACCOUNT_CHANGE", "OTHER")

_METHOD_FIELDS: dict[Method, tuple[str, ...]] = {
    Method.CHECK: ("check_number", "check_date", "reference"),
    Method.EFT_ACH: ("token_profile", "account_holder"),
    Method.CREDIT_CARD: ("token_profile", "account_holder"),
}

_PREFIX = {Category.BANKING: "PAY", Category.INTERNAL: "INT", Category.CUSTOMER_CREDIT: "CRD"}


@dataclass(frozen=True, slots=True)
class PaymentDetails:
    """What was stated about the payment, the same on all its records.

    `mask` shows at most the last four characters of an account or card number; the full number is nowhere (PAY-015).
    `reference` is the payer's or the hub's payment reference, `related_entity` the claim, cash account or loan of an
    internal payment, `member_record` the member it was deducted from. `hub_known`: delivered by or collected through
    the Payment Hub, which decides whether a reversal needs a suspension first (PAY-106).
    """

    category: Category
    method: Method
    initiation: Initiation
    channel: Channel
    bank_processing: bool = False
    recurring: bool = False
    pre_authorised: bool = False
    hub_known: bool = False
    subtype: InternalSubtype | None = None
    related_entity: str | None = None
    member_record: str | None = None
    correlation: str | None = None
    reference: str | None = None
    check_number: str | None = None
    check_date: dt.date | None = None
    token_profile: str | None = None
    account_holder: str | None = None
    mask: str | None = None
    payment_method: str | None = None
    customer: str | None = None


def payment_number(category: Category, sequence: int) -> str:
    """The system's number of a payment: PAY-, INT- or CRD- and eight digits (PAY-003)."""
    return f"{_PREFIX[category]}-{sequence:08d}"


def record_id(number: str, ordinal: int) -> str:
    """The id of a payment's `ordinal`-th record (from 1): the number itself, then number/2, number/3 (PAY-001)."""
    return number if ordinal == 1 else f"{number}/{ordinal}"


def last_ordinal(records: Iterable[str]) -> int:
    """The highest ordinal among record ids of one payment; 0 for none.

    There may be fewer records: a target whose account has one already leaves its ordinal out.
    """
    return max((int(record.partition("/")[2] or 1) for record in records), default=0)


def mask_account_number(number: str) -> str:
    """Every character but the last four as `*`; all of them if there are four or fewer (PAY-015)."""
    return "*" * len(number) if len(number) <= 4 else "*" * (len(number) - 4) + number[-4:]


def bank_processing_default(method: Method, channel: Channel) -> bool:
    """True for card and EFT entered in UI or portal, false otherwise (PAY-019)."""
    return method in (Method.CREDIT_CARD, Method.EFT_ACH) and channel in (Channel.UI, Channel.PORTAL)


def funds_at_receipt(details: PaymentDetails) -> FundsStatus:
    """The funds status with which a payment starts (PAY-012, PAY-020, PAY-021)."""
    if details.bank_processing:
        return FundsStatus.AWAITING
    return FundsStatus.ISSUED if details.method is Method.CHECK else FundsStatus.CLEARED


def funds_of(details: PaymentDetails) -> Funds:
    """Where the money of a payment comes from when it gets in force (LED-035, LED-041).

    A recurring draw in force awaits the bank in clearing; any other bank money is in the bank, also that of a collected
    payment, which was pending until the bank honoured it.
    """
    if details.category is Category.CUSTOMER_CREDIT:
        return Funds.CUSTOMER_CREDIT
    if details.category is Category.INTERNAL and details.subtype is not None:
        return Funds(details.subtype)
    return Funds.HUB if details.bank_processing and details.recurring else Funds.BANK


def hub_effective_date(
    bank_processing_date: dt.date | None, check_date: dt.date | None, registration_date: dt.date
) -> dt.date:
    """Effective date of a hub payment: bank processing date, else check date, else registration date (PAY-005)."""
    return bank_processing_date or check_date or registration_date


def detail_problems(details: PaymentDetails) -> list[Problem]:
    """Missing method fields (PAY-014), forbidden bank processing (PAY-019), internal money without source (PAY-117)."""
    problems = []
    missing = [name for name in _METHOD_FIELDS.get(details.method, ()) if not getattr(details, name)]
    if missing:
        problems.append(
            Problem(
                "PAYMENT_DETAILS_INCOMPLETE",
                f"a payment by {details.method} needs {', '.join(missing)}",
                pointer=f"/{missing[0]}",
                params={"fields": missing},
            )
        )
    if details.bank_processing and details.method in (Method.CASH, Method.CHECK, Method.INTERNAL, Method.CREDIT):
        problems.append(
            Problem(
                "BANK_PROCESSING_NOT_ALLOWED",
                f"a payment by {details.method} cannot be collected through the bank",
                pointer="/bank_processing",
            )
        )
    if details.category is Category.BANKING and details.method in (Method.INTERNAL, Method.CREDIT):
        # decision: money of the bank comes by a bank's method; internal money and credits are created as such.
        problems.append(
            Problem(
                "PAYMENT_METHOD_INVALID",
                f"{details.method} is not a way in which money of the bank comes",
                pointer="/method",
            )
        )
    if details.category is Category.INTERNAL and not (details.subtype and details.related_entity):
        problems.append(
            Problem(
                "RELATED_ENTITY_REQUIRED",
                "an internal payment names its claim, cash account or loan",
                pointer="/related_entity",
            )
        )
    return problems


def destination(kind: AccountKind, category: Category, cause: Cause, *, amendment: bool = False) -> Bucket:
    """The bucket that takes money off an invoice item (PAY-087, BAL-065, BAL-066).

    `amendment`: the excess stems from an amendment and the account routes such money to `member_overpayment`. Discarded
    invoices on member-level accounts free money into `member_overpayment`, from where it is walked over the member's
    other items (PAY-096). A customer credit never lies in `member_unapplied`.
    """
    if cause is Cause.INVOICE_DISCARDED and kind.member_level:
        return Bucket.MEMBER_OVERPAYMENT
    if kind is not AccountKind.LIST_BILL_INDIVIDUAL or category is Category.CUSTOMER_CREDIT:
        return Bucket.UNAPPLIED
    if cause is Cause.EXCESS:
        return Bucket.MEMBER_OVERPAYMENT if amendment else Bucket.MEMBER_UNAPPLIED
    return Bucket.MEMBER_UNAPPLIED if cause is Cause.MANUAL_MEMBERS else Bucket.UNAPPLIED
