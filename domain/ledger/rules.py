"""The posting rules: which money event debits and credits which accounts (LED-009 to LED-012, LED-036 to LED-041).

One table, read like the rulebook's. A side is an account code, or `{mapping}` for the account that a key of the
movement maps to: amount type, funds, write-off kind, bucket. A `case` tells rows of one type apart. What is not in the
table is not posted, because no money position changes (LED-038).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.errors import Problem


class TransactionClass(StrEnum):
    """LED-009."""

    INVOICE = "INVOICE"
    PAYMENT = "PAYMENT"


class PaymentOperation(StrEnum):
    """LED-010: money enters, leaves or changes owner; or is distributed to or taken from obligations."""

    DIRECT_PAYMENT = "DIRECT_PAYMENT"
    PAYMENT_ALLOCATION = "PAYMENT_ALLOCATION"


class TransactionType(StrEnum):
    """`BusinessTransactionType` (LED-011)."""

    INVOICE_ISSUED = "INVOICE_ISSUED"
    INVOICE_DISCARDED = "INVOICE_DISCARDED"
    CREDIT_SET_OFF = "CREDIT_SET_OFF"
    CREDIT_SET_OFF_UNDONE = "CREDIT_SET_OFF_UNDONE"
    WRITE_OFF_ISSUED = "WRITE_OFF_ISSUED"
    WRITE_OFF_REVERSED = "WRITE_OFF_REVERSED"
    EXPERIENCE_REFUND_CONFIRMED = "EXPERIENCE_REFUND_CONFIRMED"
    PAYMENT_RECEIVED = "PAYMENT_RECEIVED"
    PAYMENT_SETTLED = "PAYMENT_SETTLED"
    INTERNAL_PAYMENT_RECEIVED = "INTERNAL_PAYMENT_RECEIVED"
    CUSTOMER_CREDIT_GRANTED = "CUSTOMER_CREDIT_GRANTED"
    PAYMENT_DECLINED = "PAYMENT_DECLINED"
    PAYMENT_REVERSED = "PAYMENT_REVERSED"
    PAYMENT_SUSPENDED = "PAYMENT_SUSPENDED"
    SUSPENSE_RELEASED = "SUSPENSE_RELEASED"
    PAYMENT_TRANSFERRED = "PAYMENT_TRANSFERRED"
    REFUND_APPROVED = "REFUND_APPROVED"
    REFUND_ISSUED = "REFUND_ISSUED"
    REFUND_PAID = "REFUND_PAID"
    REFUND_CANCELLED = "REFUND_CANCELLED"
    REFUND_VOIDED = "REFUND_VOIDED"
    REFUND_STOPPED = "REFUND_STOPPED"
    REFUND_DECLINED = "REFUND_DECLINED"
    REFUND_SOURCE_RETURNED = "REFUND_SOURCE_RETURNED"
    REFUND_RECOVERED = "REFUND_RECOVERED"
    PAYMENT_ALLOCATED = "PAYMENT_ALLOCATED"
    PAYMENT_UNALLOCATED = "PAYMENT_UNALLOCATED"
    BUCKET_MOVED = "BUCKET_MOVED"


class Case(StrEnum):
    """Which row of a type applies to a movement; PLAIN where a type has one row only."""

    PLAIN = "PLAIN"
    POSITIVE = "POSITIVE"
    NEGATIVE = "NEGATIVE"
    WAIVER_OFFSET = "WAIVER_OFFSET"
    WAIVER_OFFSET_END = "WAIVER_OFFSET_END"
    RETRO_WAIVER = "RETRO_WAIVER"
    RETRO_WAIVER_END = "RETRO_WAIVER_END"
    IN_FORCE = "IN_FORCE"
    SUSPENDED = "SUSPENDED"
    TO_ACCOUNT = "TO_ACCOUNT"
    TO_DOMAIN = "TO_DOMAIN"
    ISSUED_BEFORE = "ISSUED_BEFORE"
    NEVER_ISSUED = "NEVER_ISSUED"
    TAKEN_BACK = "TAKEN_BACK"
    RESTORED_IN_TRANSIT = "RESTORED_IN_TRANSIT"


@dataclass(frozen=True, slots=True)
class PostingRule:
    """Debit and credit side of one case of one transaction type."""

    case: Case
    debit: str
    credit: str


_T, _C = TransactionType, Case
_INVOICE = (TransactionClass.INVOICE, None)
_DIRECT = (TransactionClass.PAYMENT, PaymentOperation.DIRECT_PAYMENT)
_ALLOCATION = (TransactionClass.PAYMENT, PaymentOperation.PAYMENT_ALLOCATION)

Classification = tuple[TransactionClass, PaymentOperation | None]

#: LED-036, in its order: type → classification and its rows (case, debit, credit).
#: decision: WAIVER_OFFSET_END is the counterpart of WAIVER_OFFSET where a waived charge is taken back: the charge below
#: zero stands on the credits, and what comes back of its waiver is taken from the same place.
POSTING_RULES: dict[TransactionType, tuple[Classification, tuple[PostingRule, ...]]] = {
    _T.INVOICE_ISSUED: (
        _INVOICE,
        (
            PostingRule(_C.POSITIVE, "1100", "{amount_type}"),
            PostingRule(_C.NEGATIVE, "{amount_type}", "1110"),
            PostingRule(_C.WAIVER_OFFSET, "5100", "1100"),
            PostingRule(_C.WAIVER_OFFSET_END, "1110", "5100"),
            PostingRule(_C.RETRO_WAIVER, "5100", "1110"),
            PostingRule(_C.RETRO_WAIVER_END, "1100", "5100"),
        ),
    ),
    _T.INVOICE_DISCARDED: (
        _INVOICE,
        (
            PostingRule(_C.POSITIVE, "{amount_type}", "1100"),
            PostingRule(_C.NEGATIVE, "1110", "{amount_type}"),
            PostingRule(_C.WAIVER_OFFSET, "1100", "5100"),
            PostingRule(_C.WAIVER_OFFSET_END, "5100", "1110"),
            PostingRule(_C.RETRO_WAIVER, "1110", "5100"),
            PostingRule(_C.RETRO_WAIVER_END, "5100", "1100"),
        ),
    ),
    _T.CREDIT_SET_OFF: (_INVOICE, (PostingRule(_C.PLAIN, "1110", "1100"),)),
    _T.CREDIT_SET_OFF_UNDONE: (_INVOICE, (PostingRule(_C.PLAIN, "1100", "1110"),)),
    _T.WRITE_OFF_ISSUED: (_INVOICE, (PostingRule(_C.PLAIN, "{write_off}", "1100"),)),
    _T.WRITE_OFF_REVERSED: (_INVOICE, (PostingRule(_C.PLAIN, "1100", "{write_off}"),)),
    _T.EXPERIENCE_REFUND_CONFIRMED: (_INVOICE, (PostingRule(_C.PLAIN, "5300", "1900"),)),
    _T.PAYMENT_RECEIVED: (_DIRECT, (PostingRule(_C.PLAIN, "{funds}", "2100"),)),
    _T.PAYMENT_SETTLED: (_DIRECT, (PostingRule(_C.PLAIN, "1000", "1010"),)),
    _T.INTERNAL_PAYMENT_RECEIVED: (_DIRECT, (PostingRule(_C.PLAIN, "{funds}", "2100"),)),
    _T.CUSTOMER_CREDIT_GRANTED: (_DIRECT, (PostingRule(_C.PLAIN, "{funds}", "2100"),)),
    _T.PAYMENT_DECLINED: (
        _DIRECT,
        (PostingRule(_C.IN_FORCE, "2100", "{funds}"), PostingRule(_C.SUSPENDED, "2150", "{funds}")),
    ),
    _T.PAYMENT_REVERSED: (
        _DIRECT,
        (PostingRule(_C.IN_FORCE, "2100", "{funds}"), PostingRule(_C.SUSPENDED, "2150", "{funds}")),
    ),
    _T.PAYMENT_SUSPENDED: (_DIRECT, (PostingRule(_C.PLAIN, "2100", "2150"),)),
    _T.SUSPENSE_RELEASED: (
        _DIRECT,
        (PostingRule(_C.TO_ACCOUNT, "2150", "2100"), PostingRule(_C.TO_DOMAIN, "2150", "1900")),
    ),
    _T.PAYMENT_TRANSFERRED: (_DIRECT, (PostingRule(_C.PLAIN, "2100", "2100"),)),
    _T.REFUND_APPROVED: (_DIRECT, (PostingRule(_C.PLAIN, "{bucket}", "2200"),)),
    _T.REFUND_ISSUED: (_DIRECT, (PostingRule(_C.PLAIN, "2200", "2210"),)),
    _T.REFUND_PAID: (
        _DIRECT,
        (PostingRule(_C.ISSUED_BEFORE, "2210", "1000"), PostingRule(_C.NEVER_ISSUED, "2200", "1000")),
    ),
    _T.REFUND_CANCELLED: (_DIRECT, (PostingRule(_C.PLAIN, "2200", "{bucket}"),)),
    _T.REFUND_VOIDED: (_DIRECT, (PostingRule(_C.PLAIN, "2200", "{bucket}"),)),
    _T.REFUND_STOPPED: (
        _DIRECT,
        (PostingRule(_C.ISSUED_BEFORE, "2210", "{bucket}"), PostingRule(_C.NEVER_ISSUED, "2200", "{bucket}")),
    ),
    _T.REFUND_DECLINED: (
        _DIRECT,
        (PostingRule(_C.ISSUED_BEFORE, "2210", "{bucket}"), PostingRule(_C.NEVER_ISSUED, "2200", "{bucket}")),
    ),
    _T.REFUND_SOURCE_RETURNED: (
        _DIRECT,
        (
            PostingRule(_C.TAKEN_BACK, "1190", "1000"),
            PostingRule(_C.NEVER_ISSUED, "2200", "1190"),
            PostingRule(_C.RESTORED_IN_TRANSIT, "2210", "1190"),
        ),
    ),
    _T.REFUND_RECOVERED: (_DIRECT, (PostingRule(_C.PLAIN, "1000", "1190"),)),
    _T.PAYMENT_ALLOCATED: (_ALLOCATION, (PostingRule(_C.PLAIN, "{bucket}", "1100"),)),
    _T.PAYMENT_UNALLOCATED: (_ALLOCATION, (PostingRule(_C.PLAIN, "1100", "{bucket}"),)),
    _T.BUCKET_MOVED: (_ALLOCATION, (PostingRule(_C.PLAIN, "{bucket}", "{to_bucket}"),)),
}

#: Types that create new money positions: they convert at the rate of their day, all others carry (LED-030).
NEW_POSITIONS = frozenset(
    (
        _T.INVOICE_ISSUED,
        _T.PAYMENT_RECEIVED,
        _T.INTERNAL_PAYMENT_RECEIVED,
        _T.CUSTOMER_CREDIT_GRANTED,
        _T.EXPERIENCE_REFUND_CONFIRMED,
        _T.REFUND_SOURCE_RETURNED,
    )
)


def rule_of(type_: TransactionType, case: Case) -> PostingRule:
    """The row of the table. Raises KeyError for a case that the type does not have."""
    for rule in POSTING_RULES[type_][1]:
        if rule.case is case:
            return rule
    raise KeyError(f"{type_} has no case {case}")


def classification_of(type_: TransactionType) -> Classification:
    """Class and, for payments, operation of a type (LED-011)."""
    return POSTING_RULES[type_][0]


def classification_problems(class_: str | None, operation: str | None, type_: str | None) -> list[Problem]:
    """What is wrong with a stated classification (LED-009 to LED-011): missing, invalid, or contradicting the type."""
    if not class_:
        return [_problem("CLASSIFICATION_MISSING", "the transaction class is missing", "/transaction_class")]
    if class_ not in set(TransactionClass):
        return [_problem("CLASSIFICATION_INVALID", "the class is INVOICE or PAYMENT", "/transaction_class")]
    if class_ == TransactionClass.PAYMENT:
        if not operation:
            return [_problem("CLASSIFICATION_MISSING", "a payment needs its operation", "/payment_operation")]
        if operation not in set(PaymentOperation):
            return [
                _problem(
                    "CLASSIFICATION_INVALID",
                    "the operation is DIRECT_PAYMENT or PAYMENT_ALLOCATION",
                    "/payment_operation",
                )
            ]
    if type_ in set(TransactionType):
        expected = classification_of(TransactionType(type_))
        if (class_, operation) != (expected[0], expected[1]):
            return [
                _problem(
                    "CLASSIFICATION_INCONSISTENT",
                    f"{type_} belongs to another class or operation",
                    "/transaction_class",
                )
            ]
    return []


def _problem(code: str, message: str, pointer: str) -> Problem:
    return Problem(code, message, pointer=pointer)
