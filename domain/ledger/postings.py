"""From domain events to money events: what each of them moves, between which dimensions (LED-021, LED-036, LED-041).

Payment events carry everything but the dimensions of invoice lines, which come from the register. The lines of an
invoice are told apart by posting case and summed by the terms they share, a movement a sum, so that an invoice of
300,000 lines posts in the time of one pass. Events that move no money position give None (LED-038). The
money of refunds is posted from the refund's own events, not from those on the payments it is taken from.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from domain.invoices.lines import LineChunk, LinePart, LineTerms
from domain.ledger.chart import AmountType, WriteOffClass
from domain.ledger.journal import Dimensions, MoneyEvent, Movement
from domain.ledger.rules import Case, TransactionType
from domain.payments.classification import Bucket, Category
from domain.payments.payment import (
    BucketMoved,
    MemberAmounts,
    MemberOverpaymentAllocated,
    MemberOverpaymentReleased,
    Origin,
    PaymentAllocated,
    PaymentDeclined,
    PaymentReceived,
    PaymentReleased,
    PaymentReversed,
    PaymentSettled,
    PaymentSuspended,
    PaymentTransferred,
    PaymentUnallocated,
    RecordIdentity,
    record_lines,
)
from domain.premium.transactions import TransactionType as PolicyTransactionType
from domain.products.purchases import PriceComponent

#: Dimensions of an invoice line (invoice, line number), entity of the item's underwriting company (LED-006).
LineDimensions = Callable[[str, int], Dimensions]

_RECEIVED = {
    Category.BANKING: TransactionType.PAYMENT_RECEIVED,
    Category.INTERNAL: TransactionType.INTERNAL_PAYMENT_RECEIVED,
    Category.CUSTOMER_CREDIT: TransactionType.CUSTOMER_CREDIT_GRANTED,
}

_WAIVERS = (PolicyTransactionType.WAIVER_ADD.value, PolicyTransactionType.WAIVER_REMOVE.value)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the stored event adds to its payload: id, time, effective date, activity."""

    event_id: str
    recorded_at: dt.datetime
    effective_date: dt.date
    activity: str | None = None


def payment_posting(
    happened: object, envelope: Envelope, entity_of: Callable[[str], str], line_dimensions: LineDimensions
) -> MoneyEvent | None:
    """The money event of an event of the payment stream, or None when it moves no money position.

    `entity_of` gives the accountable entity of a billing account (LED-006).
    """
    told = _payment_movements(happened, entity_of, line_dimensions)
    if told is None:
        return None
    type_, record, movements = told
    return MoneyEvent(
        envelope.event_id,
        type_,
        envelope.recorded_at,
        envelope.effective_date,
        record.currency,
        tuple(movements),
        envelope.activity,
    )


def _payment_movements(
    happened: object, entity_of: Callable[[str], str], line_dimensions: LineDimensions
) -> tuple[TransactionType, RecordIdentity, list[Movement]] | None:
    match happened:
        case PaymentReceived(in_force=True, origin=Origin.RECEIPT):
            here = _cash(happened.record, entity_of)
            moved = [Movement(happened.amount, here, here, funds=happened.funds)]
            return _RECEIVED[happened.record.category], happened.record, moved
        case PaymentReceived(in_force=True, origin=Origin.RELEASE):
            return TransactionType.SUSPENSE_RELEASED, happened.record, _released(happened, entity_of)
        case PaymentSettled(came_in_force=True):
            here = _cash(happened.record, entity_of)
            moved = [Movement(happened.amount, here, here, funds=happened.funds)]
            return _RECEIVED[happened.record.category], happened.record, moved
        case PaymentSettled():
            here = _cash(happened.record, entity_of)
            return TransactionType.PAYMENT_SETTLED, happened.record, [Movement(happened.amount, here, here)]
        case PaymentAllocated() | MemberOverpaymentAllocated() | PaymentUnallocated():
            return _lines_moved(happened, entity_of, line_dimensions)
        case BucketMoved():
            return TransactionType.BUCKET_MOVED, happened.record, _bucket_moved(happened, entity_of)
        case MemberOverpaymentReleased():
            here = _cash(happened.record, entity_of)._replace(member=happened.member)
            to = here if happened.to is not Bucket.UNAPPLIED else here._replace(member=None)
            moved = [Movement(happened.amount, here, to, bucket=Bucket.MEMBER_OVERPAYMENT, to_bucket=happened.to)]
            return TransactionType.BUCKET_MOVED, happened.record, moved
        case PaymentTransferred():
            here = _cash(happened.record, entity_of)
            moved = [
                Movement(target.amount, here, here._replace(entity=entity_of(target.account), account=target.account))
                for target in happened.targets
            ]
            return TransactionType.PAYMENT_TRANSFERRED, happened.record, moved
        case PaymentSuspended():
            here = _cash(happened.record, entity_of)
            return TransactionType.PAYMENT_SUSPENDED, happened.record, [Movement(happened.amount, here, here)]
        case PaymentReleased(domain=None):
            return TransactionType.SUSPENSE_RELEASED, happened.record, _released(happened, entity_of)
        case PaymentReleased():
            here = _cash(happened.record, entity_of)
            moved = [Movement(happened.suspended, here, here, Case.TO_DOMAIN)]
            return TransactionType.SUSPENSE_RELEASED, happened.record, moved
        case PaymentReversed() | PaymentDeclined():
            here = _cash(happened.record, entity_of)
            case = Case.SUSPENDED if happened.from_suspense else Case.IN_FORCE
            reversed_ = isinstance(happened, PaymentReversed)
            type_ = TransactionType.PAYMENT_REVERSED if reversed_ else TransactionType.PAYMENT_DECLINED
            return type_, happened.record, [Movement(happened.amount, here, here, case, funds=happened.funds)]
        case _:
            return None


def _cash(record: RecordIdentity, entity_of: Callable[[str], str]) -> Dimensions:
    """Dimensions of money that is on no item: the account's entity, the payment (LED-006)."""
    return Dimensions(entity_of(record.account), account=record.account, payment=record.payment_number)


def _released(happened: PaymentReceived | PaymentReleased, entity_of: Callable[[str], str]) -> list[Movement]:
    """Money out of the suspense of the accounts it was suspended on (C5 holds for each of them)."""
    here = _cash(happened.record, entity_of)
    told = happened.sources
    sources = list(zip(told.accounts, told.amounts, strict=True)) or [(here.account or "", happened.amount)]
    return [
        Movement(amount, here._replace(entity=entity_of(account), account=account), here, Case.TO_ACCOUNT)
        for account, amount in sources
    ]


def _lines_moved(
    happened: PaymentAllocated | MemberOverpaymentAllocated | PaymentUnallocated,
    entity_of: Callable[[str], str],
    line_dimensions: LineDimensions,
) -> tuple[TransactionType, RecordIdentity, list[Movement]]:
    here = _cash(happened.record, entity_of)
    if isinstance(happened, PaymentUnallocated):
        bucket = happened.to
    else:
        bucket = happened.source if isinstance(happened, PaymentAllocated) else Bucket.MEMBER_OVERPAYMENT
    undone = isinstance(happened, PaymentUnallocated)
    movements = []
    for invoice, line, amount in record_lines(happened.lines):
        item = line_dimensions(invoice, line)
        if (item.account, item.payment) != (here.account, here.payment):
            item = item._replace(account=here.account, payment=here.payment)
        money = here if bucket is Bucket.UNAPPLIED else here._replace(member=item.member)
        debit, credit = (item, money) if undone else (money, item)
        movements.append(Movement(amount, debit, credit, bucket=bucket))
    if undone:
        return TransactionType.PAYMENT_UNALLOCATED, happened.record, movements
    return TransactionType.PAYMENT_ALLOCATED, happened.record, movements


def _bucket_moved(happened: BucketMoved, entity_of: Callable[[str], str]) -> list[Movement]:
    here = _cash(happened.record, entity_of)
    members = happened.source_members if happened.source_members.members else happened.to_members
    if not members.members:
        members = MemberAmounts(("",), (happened.amount,))
    movements = []
    for member, amount in zip(members.members, members.amounts, strict=True):
        at_member = here._replace(member=member or None)
        movements.append(
            Movement(
                amount,
                at_member if happened.source is not Bucket.UNAPPLIED else here,
                at_member if happened.to is not Bucket.UNAPPLIED else here,
                bucket=happened.source,
                to_bucket=happened.to,
            )
        )
    return movements


# --- Invoices --------------------------------------------------------------------------------------------------------


def invoice_case(amount: int, *, waiver_offset: bool = False, waiver_cause: bool = False) -> Case:
    """The row of INVOICE_ISSUED for a signed amount (LED-036).

    `waiver_offset`: what the waiver line of a charge takes away of it, or gives back of it where the charge is taken
    back; `waiver_cause`: a retroactive line whose source transaction is a waiver, or its end.
    """
    if waiver_offset:
        return Case.WAIVER_OFFSET if amount < 0 else Case.WAIVER_OFFSET_END
    if waiver_cause:
        return Case.RETRO_WAIVER if amount < 0 else Case.RETRO_WAIVER_END
    return Case.POSITIVE if amount > 0 else Case.NEGATIVE


def line_cases(chunk: LineChunk) -> Iterator[tuple[LineTerms, Case, int]]:
    """Terms, row of INVOICE_ISSUED and amount above 0 of each line of a chunk, or of its parts (LED-036).

    A charge and the waiver line that counts with it are one item (INV-007). As far as the two lines take each other
    away, both stand in one place, receivable for a charge above zero and credits for one below; what the waiver line
    has beyond that stands in the other. So the net line alone is what 1100 or 1110 keeps of the pair (LED-049, C1, C2).
    """
    for row, (term, amount, net) in enumerate(zip(chunk.term, chunk.amounts, chunk.nets(), strict=True)):
        terms = chunk.terms[term]
        waived = terms.part is LinePart.WAIVER
        beyond = amount
        if waived and net == 0:
            beyond = _beyond(amount, chunk.amounts[row - 1])
            if beyond != amount:
                yield terms, invoice_case(amount, waiver_offset=True), abs(amount - beyond)
        if beyond:
            by_waiver = waived or terms.cause in _WAIVERS
            yield terms, invoice_case(beyond, waiver_cause=by_waiver), abs(beyond)


def amount_type_of(terms: LineTerms) -> AmountType:
    """What a line bills (LED-035).

    decision: an installment bills the insurer's own products, so that NET is premium and TAX is tax; PRODUCT_ITEM
    (2400, third-party products) is for items of third parties.
    """
    item = terms.installment
    return AmountType.TAX if item is not None and item.component == PriceComponent.TAX else AmountType.PREMIUM


def _beyond(waiver: int, charge: int) -> int:
    """What is left of the amount of a waiver line after it and its charge took each other away as far as they do."""
    if (waiver > 0) == (charge > 0):
        return waiver
    return waiver + charge if abs(waiver) > abs(charge) else 0


@dataclass(frozen=True, slots=True)
class PostingTerms:
    """What many lines of an invoice share: case, amount type and dimensions."""

    case: Case
    amount_type: AmountType
    dimensions: Dimensions


def invoice_posting(
    sums: Iterable[tuple[PostingTerms, int]], envelope: Envelope, currency: str, *, discarded: bool = False
) -> MoneyEvent:
    """INVOICE_ISSUED, or its mirror INVOICE_DISCARDED, of an invoice's lines summed by terms (LED-004, LED-036).

    Sums are minor units, not below 0. In a foreign currency the terms go down to the item, because lots are kept by
    item.
    """
    movements = tuple(
        Movement(amount, terms.dimensions, terms.dimensions, terms.case, amount_type=terms.amount_type)
        for terms, amount in sums
    )
    type_ = TransactionType.INVOICE_DISCARDED if discarded else TransactionType.INVOICE_ISSUED
    return _event(envelope, type_, currency, movements)


# --- Credits, write-offs, refunds ------------------------------------------------------------------------------------


def set_off_posting(
    pairs: Iterable[tuple[int, Dimensions, Dimensions]], envelope: Envelope, currency: str, *, undone: bool = False
) -> MoneyEvent:
    """CREDIT_SET_OFF of pairs (amount, credit item, positive item), or their undoing (LED-036)."""
    type_ = TransactionType.CREDIT_SET_OFF_UNDONE if undone else TransactionType.CREDIT_SET_OFF
    movements = tuple(
        Movement(amount, positive, credit) if undone else Movement(amount, credit, positive)
        for amount, credit, positive in pairs
    )
    return _event(envelope, type_, currency, movements)


def write_off_posting(
    kind: WriteOffClass,
    portions: Iterable[tuple[int, Dimensions]],
    envelope: Envelope,
    currency: str,
    *,
    reversed_: bool = False,
) -> MoneyEvent:
    """WRITE_OFF_ISSUED of portions (amount, item), or WRITE_OFF_REVERSED of all or some of them (LED-036)."""
    type_ = TransactionType.WRITE_OFF_REVERSED if reversed_ else TransactionType.WRITE_OFF_ISSUED
    movements = tuple(Movement(amount, item, item, write_off=kind) for amount, item in portions)
    return _event(envelope, type_, currency, movements)


def refund_posting(
    type_: TransactionType,
    parts: Iterable[tuple[int, Bucket, Dimensions]],
    envelope: Envelope,
    currency: str,
    *,
    case: Case = Case.PLAIN,
) -> MoneyEvent:
    """A REFUND_* entry of parts (amount, bucket it came from, dimensions with payment and refund) (LED-036)."""
    movements = tuple(Movement(amount, here, here, case, bucket=bucket) for amount, bucket, here in parts)
    return _event(envelope, type_, currency, movements)


def _event(envelope: Envelope, type_: TransactionType, currency: str, movements: tuple[Movement, ...]) -> MoneyEvent:
    return MoneyEvent(
        envelope.event_id,
        type_,
        envelope.recorded_at,
        envelope.effective_date,
        currency,
        movements,
        envelope.activity,
    )
