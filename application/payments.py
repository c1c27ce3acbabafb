"""Payments: money received, allocated, taken back, held and moved between accounts.

Every handler works the same way: lock the accounts concerned in ascending order, read the open debt from the register,
let the pure rules of domain.payments decide, append their events, and settle what follows on each account.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from application.command import AmountText, Command, CurrencyCode, Identifier, Outcome, Part, command, handles
from application.parameters import account_keys, parameters_in_force
from application.register import AllocationRow, Directory, ItemRegister, ItemRow, Placements
from application.settlement import settle
from application.tasks import close_tasks, refused_hub_event
from application.unit_of_work import Loaded, UnitOfWork
from domain.accounts.account import ACCOUNT, Account
from domain.errors import Problem, Refusal, refuse, refuse_if_any
from domain.money import AmountFormatError, CurrencyNotSupportedError, format_amount, parse_amount
from domain.payments.allocation import OpenAccount, OpenInvoice, OpenItems, Permissions, PriorityKey, SpreadSettings
from domain.payments.classification import (
    AccountKind,
    Bucket,
    Category,
    Cause,
    Channel,
    Explanation,
    Initiation,
    InternalSubtype,
    Method,
    PaymentDetails,
    SuspenseReason,
    account_kind,
    account_kinds,
    bank_processing_default,
    failure_reason,
    hub_effective_date,
    last_ordinal,
    payment_number,
    record_id,
)
from domain.payments.configuration import (
    AllocationConfiguration,
    Approach,
    Autoconsumption,
    allocate_automatically,
)
from domain.payments.consumption import Consumable, use_member_money
from domain.payments.distribution import Distribution, allocatable_problems, allocate, allocate_by_command, of_plan
from domain.payments.hub import HUB_PAYMENT, HUB_PAYMENT_EVENT, HubPaymentAccepted, HubPaymentEventTaken
from domain.payments.manual_allocation import (
    Scope,
    TargetFacts,
    distribute_to_targets,
    execute_preset,
    scope_of_targets,
)
from domain.payments.payment import PAYMENT, AllocatedItems, PaymentRecord
from domain.payments.reallocation import reallocate_payment
from domain.payments.receiving import (
    HubTarget,
    NamedInvoice,
    Offer,
    PayingAccount,
    designation_problems,
    hub_instructions,
    offer_problems,
    preset_allocation,
    receive,
)
from domain.payments.receiving import (
    settle as settle_funds,
)
from domain.payments.suspense import needs_entry, open_entry, suspense_reference
from domain.payments.targets import NAMED_BY_KIND, Instruction, Remainder, Target, TargetKind
from domain.payments.transfer import TransferRequest, transfer
from domain.payments.unallocation import allocate_member_money, freed_amount, unallocate_payment
from domain.payments.withdrawal import RecordEvents, ReleaseTarget, decline, release, reverse, suspend

ReasonCode = Annotated[str, Field(min_length=1, max_length=60)]
FreeText = Annotated[str, Field(max_length=500)]


class TargetPart(Part):
    """Where money shall go: an invoice, a member's part of it, a member record, a master policy (PAY-064)."""

    kind: TargetKind = TargetKind.INVOICE
    amount: AmountText
    invoice: Identifier | None = None
    member_record: Identifier | None = None
    master_policy: Identifier | None = None

    def problems(self, where: str) -> list[Problem]:
        """What is named that a target of this kind has no use for: nobody shall believe that it is heeded."""
        return [
            Problem("REQUEST_INVALID", f"a target of kind {self.kind} names no {name}", pointer=f"{where}/{name}")
            for name in ("invoice", "member_record", "master_policy")
            if getattr(self, name) is not None and name not in NAMED_BY_KIND[self.kind]
        ]


def _method_of_hub(stated: object) -> object:
    """EFT and ACH are one method here (PAY-028)."""
    return Method.EFT_ACH if stated in ("EFT", "ACH") else stated


class MethodMembers(Command):
    """How money came (PAY-014): a check needs number, date and reference; electronic money token and holder."""

    method: Method = Method.CASH
    reference: Identifier | None = None
    check_number: Identifier | None = None
    check_date: dt.date | None = None
    token_profile: Identifier | None = None
    account_holder: Annotated[str, Field(max_length=200)] | None = None

    def details(
        self,
        channel: Channel,
        *,
        category: Category = Category.BANKING,
        initiation: Initiation = Initiation.MANUAL,
        bank_processing: bool | None = None,
        hub_known: bool = False,
        subtype: InternalSubtype | None = None,
        related_entity: str | None = None,
        customer: str | None = None,
    ) -> PaymentDetails:
        processed = bank_processing_default(self.method, channel) if bank_processing is None else bank_processing
        return PaymentDetails(
            category=category,
            method=self.method,
            initiation=initiation,
            channel=channel,
            bank_processing=processed,
            hub_known=hub_known or processed,
            subtype=subtype,
            related_entity=related_entity,
            reference=self.reference,
            check_number=self.check_number,
            check_date=self.check_date,
            token_profile=self.token_profile,
            account_holder=self.account_holder,
            customer=customer,
        )


#: What may be wrong with the targets that money is to go to.
_OF_TARGETS = (
    "INVOICE_NOT_FOUND",
    "INVOICE_ACCOUNT_MISMATCH",
    "INVOICE_NOT_ELIGIBLE",
    "INVOICE_SETTLED",
    "AMOUNT_EXCEEDS_INVOICE_DUE",
    "REMAINDER_CHOICE_REQUIRED",
    "MEMBER_RECORD_NOT_FOUND",
    "OVER_ALLOCATED",
    "AMOUNT_INVALID",
)


@command(
    privilege="payment.apply",
    room="07",
    summary="Register a payment and allocate it",
    rules=("PAY-018", "PAY-063", "PAY-064", "PAY-065", "PAY-067"),
    refusals=(
        "BILLING_ACCOUNT_NOT_FOUND",
        "ACCOUNT_NOT_ACTIVE",
        "CURRENCY_MISMATCH",
        "EFFECTIVE_DATE_IN_FUTURE",
        "PAYMENT_DETAILS_INCOMPLETE",
        "BANK_PROCESSING_NOT_ALLOWED",
        "PAYMENT_METHOD_INVALID",
        "CAPABILITY_NOT_AVAILABLE",
        *_OF_TARGETS,
    ),
    example={
        "account": "LB000000018",
        "amount": "500.00",
        "method": "CHECK",
        "check_number": "10045",
        "check_date": "2025-01-20",
        "reference": "CHK-10045",
        "allocation": "RULES",
    },
)
class ApplyPayment(MethodMembers):
    """`allocation` RULES lets the account's configuration allocate, oldest invoice first; TARGETS serves `targets`.

    Money that the bank has yet to collect (`bank_processing`) is PENDING: its targets are kept, and served once it is
    in force. With targets that do not use up the amount, `remainder` says what becomes of the rest.
    """

    account: Identifier
    amount: AmountText
    currency: CurrencyCode | None = None
    effective_date: dt.date | None = None
    expiration_date: dt.date | None = None
    bank_processing: bool | None = None
    channel: Literal["UI", "PORTAL", "EXTERNAL"] = "UI"
    allocation: Literal["RULES", "TARGETS"] | None = None
    targets: Annotated[tuple[TargetPart, ...], Field(max_length=1000)] = ()
    remainder: Remainder | None = None


@command(
    privilege="payment.apply",
    room="07",
    summary="Replace the targets of money that the bank has yet to collect",
    rules=("PAY-076",),
    refusals=(
        "PAYMENT_NOT_FOUND",
        "PRESET_NOT_POSSIBLE",
        "CAPABILITY_NOT_AVAILABLE",
        "CONCURRENT_CHANGE",
        *_OF_TARGETS,
    ),
    example={
        "payment": "PAY-00000001",
        "targets": [{"invoice": "INV-00000001", "amount": "100.00"}],
        "remainder": "KEEP_UNAPPLIED",
    },
)
class PresetAllocation(Command):
    """Checked as the targets of a payment; served once the money is in force, each up to what it may take then."""

    payment: Identifier
    targets: Annotated[tuple[TargetPart, ...], Field(max_length=1000)] = ()
    remainder: Remainder | None = None


class HubTargetPart(Part):
    """One target of a hub payment: account, invoice or both; a single target may leave the amount out (PAY-025)."""

    account: Identifier | None = None
    invoice: Identifier | None = None
    amount: AmountText | None = None


@command(
    privilege="integration.hub",
    room="07",
    summary="Accept a payment routed by the Payment Hub",
    rules=("PAY-024", "PAY-025", "PAY-026", "PAY-027", "PAY-029", "PAY-048"),
    refusals=(
        "PAYMENT_DATA_MISSING",
        "BILLING_ACCOUNT_NOT_FOUND",
        "ACCOUNT_NOT_ACTIVE",
        "CURRENCY_MISMATCH",
        "AMOUNT_INVALID",
        "INSTRUCTION_SUM_MISMATCH",
        "INVOICE_NOT_FOUND",
        "INVOICE_ACCOUNT_MISMATCH",
        "INVOICE_NOT_ELIGIBLE",
        "IDEMPOTENCY_CONFLICT",
        "PAYMENT_DETAILS_INCOMPLETE",
        "PAYMENT_METHOD_INVALID",
    ),
    example={
        "payment_reference": "HUB-000001",
        "amount": "750.00",
        "currency": "USD",
        "method": "EFT_ACH",
        "token_profile": "TP-1",
        "account_holder": "Northwind Mills",
        "targets": [{"account": "LB000000018"}],
    },
)
class AcceptHubPayment(MethodMembers):
    """One payment for one or several accounts; the same reference with the same body gives the first answer. Reference,
    amount, currency and targets are needed (PAYMENT_DATA_MISSING)."""

    method: Annotated[
        Method, BeforeValidator(_method_of_hub), Field(description="EFT and ACH are taken too, for EFT_ACH.")
    ] = Method.CASH
    payment_reference: Identifier | None = None
    amount: AmountText | None = None
    currency: CurrencyCode | None = None
    bank_processing_date: dt.date | None = None
    targets: Annotated[tuple[HubTargetPart, ...], Field(max_length=500)] = ()

    def problems(self) -> list[Problem]:
        """What the hub has to send and did not (PAY-027)."""
        needed = ("payment_reference", "amount", "currency", "targets")
        missing = [name for name in needed if not getattr(self, name)]
        if not missing:
            return []
        message = f"missing: {', '.join(missing)}"
        return [Problem("PAYMENT_DATA_MISSING", message, pointer=f"/{missing[0]}", params={"fields": missing})]


@command(
    privilege="integration.payment",
    room="07",
    summary="Accept a payment from another payment source",
    rules=("PAY-032",),
    refusals=(
        "BILLING_ACCOUNT_NOT_FOUND",
        "ACCOUNT_NOT_ACTIVE",
        "AMOUNT_INVALID",
        "CURRENCY_MISMATCH",
        "OVER_ALLOCATED",
        "AMOUNT_EXCEEDS_INVOICE_DUE",
        "INVOICE_NOT_FOUND",
        "INVOICE_ACCOUNT_MISMATCH",
        "INVOICE_NOT_ELIGIBLE",
        "PAYMENT_DATA_MISSING",
        "PAYMENT_DETAILS_INCOMPLETE",
        "BANK_PROCESSING_NOT_ALLOWED",
        "EFFECTIVE_DATE_IN_FUTURE",
        "PAYMENT_METHOD_INVALID",
    ),
    example={"account": "LB000000018", "amount": "120.00", "designation": "UNAPPLIED"},
)
class AcceptExternalPayment(MethodMembers):
    """Designated as unapplied, or for invoices with amounts; what is left over stays unapplied. Without a designation,
    targets tell that it is for invoices."""

    account: Identifier
    amount: AmountText
    currency: CurrencyCode | None = None
    effective_date: dt.date | None = None
    bank_processing: bool | None = None
    designation: Literal["UNAPPLIED", "INVOICES"] | None = None
    targets: Annotated[tuple[HubTargetPart, ...], Field(max_length=500)] = ()


@command(
    privilege="integration.hub",
    room="07",
    summary="Take a status event of the Payment Hub",
    rules=("PAY-020", "PAY-021", "PAY-022"),
    refusals=(
        "UNKNOWN_PAYMENT",
        "PAYMENT_EVENT_REJECTED",
        "REASON_NOT_FOR_METHOD",
        "REASON_TEXT_REQUIRED",
    ),
    example={"hub_event_id": "EV-1", "payment": "PAY-00000001", "type": "COMPLETED"},
)
class ApplyHubPaymentEvent(Command):
    """COMPLETED brings pending money in force, FAILED declines it; each event counts once."""

    hub_event_id: Identifier
    payment: Identifier
    type: Literal["COMPLETED", "FAILED"]
    reason: ReasonCode | None = None
    text: FreeText | None = None


@command(
    privilege="payment.apply",
    room="07",
    summary="Allocate the unapplied money of a payment",
    rules=("PAY-063", "PAY-066", "PAY-067", "PAY-068"),
    refusals=(
        "PAYMENT_NOT_FOUND",
        "PAYMENT_NOT_ALLOCATABLE",
        "PAYMENT_LOCKED_BY_REFUND",
        "CAPABILITY_NOT_AVAILABLE",
        "CONCURRENT_CHANGE",
        "SOURCE_NOT_FOR_MEMBER",
        *_OF_TARGETS,
    ),
    example={
        "record": "PAY-00000001",
        "targets": [{"invoice": "INV-00000001", "amount": "100.00"}],
        "remainder": "KEEP_UNAPPLIED",
    },
)
class AllocatePayment(Command):
    """Targets in the order given, each on the dues left by those before it. `source` MEMBER_UNAPPLIED takes the money
    kept for `member_record`, which serves that member only."""

    record: Identifier
    source: Literal["UNAPPLIED", "MEMBER_UNAPPLIED"] = "UNAPPLIED"
    member_record: Identifier | None = None
    targets: Annotated[tuple[TargetPart, ...], Field(max_length=1000)] = ()
    remainder: Remainder | None = None


@command(
    privilege="payment.unallocate",
    room="07",
    summary="Take a payment's money off invoices",
    rules=("PAY-087", "PAY-089", "PAY-090", "PAY-091"),
    refusals=(
        "PAYMENT_NOT_FOUND",
        "PAYMENT_NOT_UNALLOCATABLE",
        "NOTHING_TO_UNALLOCATE",
        "PAYMENT_LOCKED_BY_REFUND",
        "REASON_REQUIRED",
        "REASON_TEXT_REQUIRED",
        "CONCURRENT_CHANGE",
    ),
    example={"record": "PAY-00000001", "invoices": ["INV-00000001"], "reason": "MISAPPLIED"},
)
class UnallocatePayment(Command):
    """The whole record, or only its money on the named invoices."""

    record: Identifier
    invoices: Annotated[tuple[Identifier, ...], Field(max_length=1000)] | None = None
    reason: ReasonCode | None = None
    text: FreeText | None = None


@command(
    privilege="payment.reallocate",
    room="07",
    summary="Move a payment's money to other invoices in one step",
    rules=("PAY-100",),
    refusals=(
        "PAYMENT_NOT_FOUND",
        "PAYMENT_NOT_REALLOCATABLE",
        "REALLOCATION_NOT_EQUAL",
        "CAPABILITY_NOT_AVAILABLE",
        "PAYMENT_STATUS_CHANGED",
        "CONCURRENT_CHANGE",
        "REASON_REQUIRED",
        "REASON_TEXT_REQUIRED",
        "NOTHING_TO_UNALLOCATE",
        "PAYMENT_LOCKED_BY_REFUND",
        "SOURCE_NOT_FOR_MEMBER",
        *_OF_TARGETS,
    ),
    example={
        "record": "PAY-00000001",
        "invoices": ["INV-00000001"],
        "targets": [{"kind": "INVOICE", "invoice": "INV-00000002", "amount": "100.00"}],
        "reason": "MISAPPLIED",
    },
)
class ReallocatePayment(Command):
    """Unallocates all or the named invoices and serves the targets with exactly that amount."""

    record: Identifier
    invoices: Annotated[tuple[Identifier, ...], Field(max_length=1000)] | None = None
    targets: Annotated[tuple[TargetPart, ...], Field(max_length=1000)]
    reason: ReasonCode | None = None
    text: FreeText | None = None


class WithdrawalMembers(Command):
    """Base of what acts on the whole payment: all its records at once (PAY-001)."""

    payment: Identifier
    reason: ReasonCode | None = None
    text: FreeText | None = None


@command(
    privilege="payment.reverse",
    room="07",
    summary="Reverse a payment entered or routed wrongly",
    rules=("PAY-106", "PAY-109", "PAY-110", "PAY-111"),
    refusals=(
        "PAYMENT_NOT_FOUND",
        "SUSPENSION_REQUIRED",
        "PAYMENT_NOT_REVERSIBLE",
        "REASON_REQUIRED",
        "REASON_TEXT_REQUIRED",
    ),
    example={"payment": "PAY-00000001", "reason": "ENTRY_ERROR"},
)
class ReversePayment(WithdrawalMembers):
    """All its money leaves; what it paid is due again."""


@command(
    privilege="payment.decline",
    room="07",
    summary="Decline a payment that was not honoured",
    rules=("PAY-107", "PAY-108", "PAY-110"),
    refusals=(
        "PAYMENT_NOT_FOUND",
        "PAYMENT_NOT_DECLINABLE",
        "REASON_REQUIRED",
        "REASON_NOT_FOR_METHOD",
        "REASON_TEXT_REQUIRED",
    ),
    example={"payment": "PAY-00000001", "reason": "INSUFFICIENT_FUNDS"},
)
class DeclinePayment(WithdrawalMembers):
    """Reasons depend on the method; OTHER needs a text."""


@command(
    privilege="payment.suspend",
    room="07",
    summary="Suspend a payment: its money leaves to general suspense",
    rules=("PAY-101", "PAY-102", "PAY-103"),
    refusals=(
        "PAYMENT_NOT_FOUND",
        "PAYMENT_NOT_SUSPENDABLE",
        "SUSPEND_FROM_DOMAIN_ONLY",
        "REASON_REQUIRED",
        "REASON_TEXT_REQUIRED",
    ),
    example={"payment": "PAY-00000001", "reason": "MISDIRECTED"},
)
class SuspendPayment(WithdrawalMembers):
    """Bank money in force only; the payment can be released to accounts again. The hub releases what it routed here
    to another domain instead (SUSPEND_FROM_DOMAIN_ONLY)."""


class MovedPart(Part):
    """An account that gets money of a payment, and how much of it."""

    account: Identifier
    amount: AmountText


class ReleaseTargetPart(MovedPart):
    """Where released money goes; the rules may be told for which invoice."""

    invoice: Identifier | None = None


@command(
    privilege="payment.release",
    room="07",
    summary="Release a suspended payment to accounts",
    rules=("PAY-104",),
    refusals=(
        "PAYMENT_NOT_FOUND",
        "PAYMENT_NOT_SUSPENDED",
        "RELEASE_AMOUNT_MISMATCH",
        "BILLING_ACCOUNT_NOT_FOUND",
        "ACCOUNT_NOT_ACTIVE",
        "AMOUNT_INVALID",
        "CURRENCY_MISMATCH",
        "INVOICE_NOT_FOUND",
        "INVOICE_ACCOUNT_MISMATCH",
        "INVOICE_NOT_ELIGIBLE",
    ),
    example={"payment": "PAY-00000001", "targets": [{"account": "LB000000018", "amount": "500.00"}]},
)
class ReleaseSuspendedPayment(Command):
    """The targets add up to the suspended amount; allocation follows by the rules."""

    payment: Identifier
    targets: Annotated[tuple[ReleaseTargetPart, ...], Field(max_length=100)]


@command(
    privilege="payment.transfer",
    room="07",
    summary="Transfer a payment's money to other accounts",
    rules=("PAY-112", "PAY-113", "PAY-114", "PAY-115"),
    refusals=(
        "PAYMENT_NOT_FOUND",
        "PAYMENT_NOT_TRANSFERABLE",
        "PAYMENT_LOCKED_BY_REFUND",
        "TARGET_INVALID",
        "TRANSFER_EXCEEDS_PAYMENT",
        "REASON_REQUIRED",
        "REASON_TEXT_REQUIRED",
        "CONFIRMATION_REQUIRED",
        "AMOUNT_INVALID",
        "CONCURRENT_CHANGE",
    ),
    example={
        "record": "PAY-00000001",
        "reason": "MISAPPLIED",
        "targets": [{"account": "LB000000026", "amount": "100.00"}],
    },
)
class TransferPayment(Command):
    """Needs the confirmations that apply: DRAFT_DELETION, MEMBER_UNAPPLIED_MOVE, UNALLOCATION, RETAIN_REMAINDER."""

    record: Identifier
    reason: ReasonCode | None = None
    text: FreeText | None = None
    targets: Annotated[tuple[MovedPart, ...], Field(max_length=100)]
    confirmations: Annotated[tuple[str, ...], Field(max_length=10)] = ()


@command(
    privilege="payment.internal.create",
    room="07",
    summary="Create an internal payment from a claim, a cash value or a premium loan",
    rules=("PAY-117",),
    refusals=(
        "BILLING_ACCOUNT_NOT_FOUND",
        "INTERNAL_PAYMENT_NOT_ALLOWED",
        "RELATED_ENTITY_REQUIRED",
        "ACCOUNT_NOT_ACTIVE",
        "EFFECTIVE_DATE_IN_FUTURE",
        "CAPABILITY_NOT_AVAILABLE",
        *_OF_TARGETS,
    ),
    example={
        "account": "LB000000018",
        "subtype": "CLAIM_DEDUCTION",
        "related_entity": "CLM-1",
        "amount": "50.00",
        "allocation": "RULES",
    },
)
class CreateInternalPayment(Command):
    """Never sent to the hub. `allocation` AUTOMATIC (or RULES) lets the account's configuration allocate, as it does
    when nothing is said; TARGETS serves `targets`."""

    account: Identifier
    subtype: InternalSubtype
    related_entity: Identifier | None = None
    amount: AmountText
    effective_date: dt.date | None = None
    allocation: Literal["AUTOMATIC", "RULES", "TARGETS"] | None = None
    targets: Annotated[tuple[TargetPart, ...], Field(max_length=1000)] = ()
    remainder: Remainder | None = None


# --- Facts -----------------------------------------------------------------------------------------------------------


def kind_of(account: Account) -> AccountKind:
    """The account's kind; an account without bill type is treated as a group account: it has no items to pay."""
    if account.bill_type is None:
        return AccountKind.LIST_BILL_TRUE_GROUP
    mode = account.allocation_mode.value if account.allocation_mode else None
    return account_kind(account.bill_type.value, mode)


def paying_account(account: Account) -> PayingAccount:
    return PayingAccount(account.number, bool(account.number), account.active, kind_of(account), account.currency)


def minor(text: str, currency: str, pointer: str) -> int:
    """Minor units of an amount text in the currency. Refused `AMOUNT_INVALID` for too many decimals (PAY-018)."""
    try:
        return parse_amount(text, currency)
    except AmountFormatError as error:
        raise refuse("AMOUNT_INVALID", str(error), pointer=pointer) from None
    except CurrencyNotSupportedError as error:
        raise refuse("CURRENCY_NOT_SUPPORTED", str(error), pointer="/currency") from None


class Stated:
    """Amounts of a command in one currency: what is wrong with them is gathered, to be told with all else."""

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self.problems: list[Problem] = []

    def minor(self, text: str, pointer: str) -> int:
        """Minor units; 1, a figure nothing is wrong with, where the text tells none in this currency."""
        try:
            return minor(text, self.currency, pointer)
        except Refusal as refusal:
            self.problems.extend(refusal.problems)
            return 1


_ALLOCATION = (
    "allocation.automated_allocation",
    "allocation.approaches",
    "allocation.allow_allocation_with_gaps",
    "allocation.allow_allocation_of_mismatched_amounts",
    "allocation.allow_partial_invoice_coverage",
    "allocation.use_priority_rules",
    "allocation.coverage_priority_order",
    "autoconsumption.invoice_generation",
    "autoconsumption.recurring",
    "consumption.category_order",
)


def configuration_of(unit: UnitOfWork, account: Account) -> AllocationConfiguration:
    """The allocation configuration of the account, from the parameters in force (PAY-034 to PAY-038)."""
    values = parameters_in_force(unit, _ALLOCATION, account_keys(account), unit.today(account.time_zone))

    def listed(name: str) -> tuple[str, ...]:
        value = values[name]
        return value if isinstance(value, tuple) else ()

    kind = kind_of(account)
    moments = {
        Autoconsumption.INVOICE_GENERATION: "autoconsumption.invoice_generation",
        Autoconsumption.RECURRING_PAYMENTS: "autoconsumption.recurring",
    }
    approaches = {"remittance_file": Approach.REMITTANCE_FILE, "allocation_rules": Approach.ALLOCATION_RULES}
    return AllocationConfiguration(
        row=f"PARAMETERS-{kind}",
        strategy="PARAMETERS",
        kind=kind,
        automated=bool(values["allocation.automated_allocation"]),
        approaches=tuple(approaches[one] for one in listed("allocation.approaches")),
        permissions=Permissions(
            bool(values["allocation.allow_allocation_with_gaps"]),
            bool(values["allocation.allow_allocation_of_mismatched_amounts"]),
            bool(values["allocation.allow_partial_invoice_coverage"]),
        ),
        spread=SpreadSettings(
            bool(values["allocation.use_priority_rules"]),
            tuple(PriorityKey(one) for one in listed("allocation.coverage_priority_order")),
        ),
        autoconsumption=frozenset(moment for moment, name in moments.items() if values[name]),
        category_order=tuple(Category(one) for one in listed("consumption.category_order")),
    )


def open_items(rows: Sequence[ItemRow]) -> OpenItems:
    """The register's open items as the columns allocation works on."""
    columns = list(zip(*rows, strict=True)) if rows else []
    if not columns:
        return OpenItems()
    field = dict(zip(ItemRow._fields, columns, strict=True))
    return OpenItems(
        invoices=field["invoice"],
        lines=field["line"],
        members=field["member"],
        coverages=field["coverage"],
        sequences=field["sequence"],
        sequence_dates=field["sequence_effective"],
        billing_starts=field["billing_start"],
        modal_starts=field["modal_start"],
        products=field["coverage"],
        due=tuple(row.due for row in rows),
        master_policies=field["master_policy"],
        held=field["held"],
        offset=field["offset"],
    )


def open_account(
    unit: UnitOfWork,
    account: Account,
    named: Sequence[str] = (),
    without: str | None = None,
    within: Scope | None = None,
) -> OpenAccount:
    """Everything an allocation on the account is decided on, as the register has it now.

    `named` invoices come whole, also where nothing of them is due; the invoice `without` is left out, and with `within`
    all items beyond that scope.
    """
    register = unit.port(ItemRegister)
    live = register.live_invoices(account.number, open_only=False)
    if within is None:
        rows = register.open_items(account.number, named)
    else:
        rows = register.open_items_of(account.number, invoices=within.invoices, members=within.members, named=named)
    items = open_items([row for row in rows if row.invoice != without])
    settings = configuration_of(unit, account).spread
    return OpenAccount(
        items,
        tuple(OpenInvoice(row.number, row.due_date, row.period_start) for row in live if row.number != without),
        replace(settings, product_priority=_product_priorities(unit, account, settings, items.products)),
    )


def _product_priorities(
    unit: UnitOfWork, account: Account, settings: SpreadSettings, products: Iterable[str]
) -> dict[str, int]:
    """The configured priorities of these products, where the account's rules ask for them (PAY-042)."""
    if not settings.use_priority_rules or PriorityKey.PRODUCT not in settings.effective_order:
        return {}
    keys, today = account_keys(account), unit.today(account.time_zone)
    found = {}
    for product in sorted(set(products)):
        name = "allocation.product_priority"
        value = parameters_in_force(unit, (name,), {**keys, "product": product}, today)[name]
        if isinstance(value, int):
            found[product] = value
    return found


def allocated_items(rows: Iterable[AllocationRow]) -> AllocatedItems:
    """Money of a record on lines, as columns."""
    listed = list(rows)
    return AllocatedItems(
        tuple(row.invoice for row in listed),
        tuple(row.line for row in listed),
        tuple(row.member or None for row in listed),
        tuple(row.amount for row in listed),
    )


def named_invoices(unit: UnitOfWork, numbers: Iterable[str | None]) -> dict[str, NamedInvoice]:
    """What is known of the invoices that targets name."""
    register = unit.port(ItemRegister)
    found = {}
    for number in dict.fromkeys(number for number in numbers if number):
        known = register.account_of_invoice(number)
        if known is not None:
            found[number] = NamedInvoice(number, known[0], not known[1])
    return found


def _targets(parts: Sequence[TargetPart], currency: str, stated: Stated | None = None) -> tuple[Target, ...]:
    """The targets as the domain names them. Refused with every amount the currency does not have, or, with `stated`,
    these are told there."""
    amounts = stated or Stated(currency)
    for index, part in enumerate(parts):
        amounts.problems += part.problems(f"/targets/{index}")
    targets = tuple(
        Target(
            part.kind,
            amounts.minor(part.amount, f"/targets/{index}/amount"),
            part.invoice,
            part.member_record,
            part.master_policy,
        )
        for index, part in enumerate(parts)
    )
    if stated is None:
        refuse_if_any(amounts.problems)
    return targets


def _target_facts(
    unit: UnitOfWork,
    account: Account,
    targets: Sequence[Target],
    freed: Iterable[str] = (),
    within: Scope | None = None,
) -> TargetFacts:
    named = named_invoices(unit, (target.invoice for target in targets))
    asked = sorted({target.member_record for target in targets if target.member_record})
    members = unit.port(Placements).ever_on(account.number, asked) if asked else None
    opened = open_account(unit, account, [*named, *freed], within=within)
    return TargetFacts(account.number, kind_of(account), opened, named, members)


def _to_targets(
    unit: UnitOfWork,
    account: Account,
    amount: int,
    targets: Sequence[Target],
    remainder: Remainder | None,
    source: Bucket = Bucket.UNAPPLIED,
    member: str | None = None,
) -> Distribution:
    """Serve targets on what they concern of the account, which may have hundreds of thousands of other open items.

    What is wrong with them is told from all of it: a refusal may speak of what else is due.
    """

    def served(within: Scope | None) -> Distribution:
        facts = _target_facts(unit, account, targets, within=within)
        return distribute_to_targets(amount, targets, remainder, facts, source=source, member=member)

    concerned = scope_of_targets(targets, remainder, member)
    if concerned is not None:
        with suppress(Refusal):
            return served(concerned)
    return served(None)


def account_named(unit: UnitOfWork, named: str, pointer: str = "/account") -> Loaded[Account]:
    number = unit.port(Directory).resolve_account(named)
    if number is None:
        raise refuse("BILLING_ACCOUNT_NOT_FOUND", "there is no such billing account", pointer=pointer)
    unit.lock(f"account:{number}")
    return unit.load(ACCOUNT, number)


def load_record(
    unit: UnitOfWork, record: str, status_changed: str = "CONCURRENT_CHANGE"
) -> tuple[Loaded[PaymentRecord], Loaded[Account]]:
    """A payment record and its account, locked. Refused `PAYMENT_NOT_FOUND`.

    `status_changed`: the code for a record whose status is no longer that of the expected version (PAY-063, PAY-099).
    """
    found = unit.port(ItemRegister).account_of_record(record)
    if found is None:
        raise refuse("PAYMENT_NOT_FOUND", "there is no such payment record", pointer="/record")
    unit.lock(f"account:{found}")
    loaded = unit.load(PAYMENT, record)
    unit.expect_main(PAYMENT, loaded, status=lambda state: state.status.value, status_changed=status_changed)
    return loaded, unit.load(ACCOUNT, found)


def records_result(number: str, records: Sequence[Loaded[PaymentRecord]]) -> Outcome:
    return Outcome(
        {
            "payment": number,
            "records": [
                {
                    "record": one.identifier,
                    "account": one.state.known.account,
                    "status": one.state.status.value,
                    "amount": format_amount(one.state.amount, one.state.known.currency),
                    "unapplied": format_amount(one.state.unapplied, one.state.known.currency),
                    "allocated": format_amount(one.state.items_total, one.state.known.currency),
                    "currency": one.state.known.currency,
                    "explanation": one.state.explanation.value if one.state.explanation else None,
                    "version": one.version,
                }
                for one in records
            ],
        }
    )


def use_overpayment(unit: UnitOfWork, account: Account, today: dt.date) -> dict[str, int]:
    """Members' overpayment pays their own items, where money is kept by member (PAY-081). What each invoice got."""
    if not kind_of(account).member_level:
        return {}
    holdings = [
        Consumable(row.record, row.payment, Category(row.category), row.effective_date, row.amount, row.member)
        for row in unit.port(ItemRegister).overpayments(account.number)
    ]
    paid: dict[str, int] = {}
    if not holdings:
        return paid
    own = open_account(unit, account, within=Scope((), tuple(sorted({row.member or "" for row in holdings}))))
    used = use_member_money(holdings, own, category_order=configuration_of(unit, account).category_order)
    for record, lines_of_members in used.by_record:
        state = unit.load(PAYMENT, record).state
        events = allocate_member_money(state, lines_of_members, cause=Cause.OVERPAYMENT, date=today)
        unit.append(PAYMENT, record, events, effective_date=today)
        for _, lines in lines_of_members:
            for part in lines:
                paid[part.invoice] = paid.get(part.invoice, 0) + part.total
    return paid


# --- Receiving -------------------------------------------------------------------------------------------------------


@handles(ApplyPayment)
def apply_payment(command: ApplyPayment, unit: UnitOfWork) -> Outcome:
    account = account_named(unit, command.account)
    unit.expect_main(ACCOUNT, account)
    today = unit.today(account.state.time_zone)
    currency = command.currency or account.state.currency
    stated = Stated(currency)
    amount = stated.minor(command.amount, "/amount")
    details = command.details(
        Channel(command.channel), bank_processing=command.bank_processing, customer=account.state.owner
    )
    offer = Offer(amount, currency, details, today, command.effective_date or today, command.expiration_date)
    targets = _targets(command.targets, currency, stated)
    wrong = [*stated.problems, *offer_problems(offer, paying_account(account.state), today)]
    by_rules = _by_rules_is_wanted(command, wrong)
    decided = None if by_rules else _served(unit, account.state, stated, amount, targets, command.remainder, wrong)
    refuse_if_any(wrong)
    number = payment_number(details.category, unit.next_number("payment"))
    events = receive(
        offer,
        paying_account(account.state),
        number=number,
        record=number,
        today=today,
        preset=None if by_rules else targets,
        remainder=command.remainder or Remainder.KEEP_UNAPPLIED,
    )
    record = unit.append(PAYMENT, number, events, effective_date=offer.effective_date)
    warnings: tuple[Problem, ...] = ()
    if record.state.in_force:
        if decided is None:
            record = _by_rules(unit, account.state, record, (), today)
        else:
            warnings = decided.warnings
            record = unit.append(
                PAYMENT, number, allocate_by_command(record.state, decided, date=today), effective_date=today
            )
    settle(unit, account.identifier, record.state.items, "PAYMENT_ALLOCATED")
    answer = records_result(number, [record])
    return Outcome(answer.result, warnings)


def _by_rules_is_wanted(command: ApplyPayment | CreateInternalPayment, wrong: list[Problem]) -> bool:
    """Whether the account's rules allocate: as said, else when neither targets nor a choice for the rest are given.

    Rules serve no targets; that both are given is added to `wrong`.
    """
    chosen = bool(command.targets) or command.remainder is not None
    if command.allocation is None:
        return not chosen
    if command.allocation != "TARGETS" and chosen:
        wrong.append(
            Problem("REQUEST_INVALID", "targets and remainder go with allocation TARGETS", pointer="/allocation")
        )
    return command.allocation != "TARGETS"


def _served(
    unit: UnitOfWork,
    account: Account,
    stated: Stated,
    amount: int,
    targets: Sequence[Target],
    remainder: Remainder | None,
    wrong: list[Problem],
) -> Distribution | None:
    """The targets served out of a new payment (PAY-067); what is wrong with them is added to `wrong`.

    None where the amounts are not told rightly: there is nothing to serve them with.
    """
    if stated.problems or amount <= 0:
        return None
    try:
        return _to_targets(unit, account, amount, targets, remainder)
    except Refusal as refusal:
        wrong.extend(refusal.problems)
        return None


def _by_rules(
    unit: UnitOfWork,
    account: Account,
    record: Loaded[PaymentRecord],
    instructions: Sequence[Instruction],
    today: dt.date,
    *,
    amount: int | None = None,
    excluded: frozenset[str] = frozenset(),
    designated_unapplied: bool = False,
) -> Loaded[PaymentRecord]:
    """Allocate a record's unapplied money by the account's rules; what stays opens a suspense entry (PAY-085)."""
    plan = allocate_automatically(
        configuration_of(unit, account),
        record.state.unapplied if amount is None else amount,
        instructions,
        open_account(unit, account),
        excluded=excluded,
        designated_unapplied=designated_unapplied,
    )
    events = allocate(record.state, of_plan(plan), cause=Cause.RULES, date=today)
    if events:
        record = unit.append(PAYMENT, record.identifier, events, effective_date=today)
    return _open_entry(unit, record, record.state.explanation or Explanation.NO_ALLOCATION_DETAILS, today)


def _open_entry(
    unit: UnitOfWork, record: Loaded[PaymentRecord], reason: Explanation | SuspenseReason, today: dt.date
) -> Loaded[PaymentRecord]:
    """Open a suspense entry for money of the record without a home, if it has some and no entry is open (PAY-085)."""
    if not needs_entry(record.state):
        return record
    reference = suspense_reference(unit.next_number("suspense"))
    opened = open_entry(record.state, reference=reference, reason=reason, receipt_date=today)
    return unit.append(PAYMENT, record.identifier, opened, effective_date=today)


@handles(AcceptHubPayment)
def accept_hub_payment(command: AcceptHubPayment, unit: UnitOfWork) -> Outcome:
    refuse_if_any(command.problems())
    assert command.payment_reference
    assert command.amount
    assert command.currency
    unit.lock(f"hub:{command.payment_reference}")
    known = unit.load(HUB_PAYMENT, command.payment_reference)
    fingerprint = hashlib.sha256(command.model_dump_json().encode()).hexdigest()
    if known.version:
        if known.state.fingerprint != fingerprint:
            raise refuse("IDEMPOTENCY_CONFLICT", "the payment reference was used with another body")
        if known.state.answer:
            return Outcome(json.loads(known.state.answer))
        identifiers = unit.port(ItemRegister).records_of_payment(known.state.payment)
        return records_result(known.state.payment, [unit.load(PAYMENT, one) for one in identifiers])
    stated = Stated(command.currency)
    amount = stated.minor(command.amount, "/amount")
    targets = [
        HubTarget(
            _resolved(unit, part.account),
            part.invoice,
            None if part.amount is None else stated.minor(part.amount, f"/targets/{index}/amount"),
        )
        for index, part in enumerate(command.targets)
    ]
    refuse_if_any(stated.problems)
    invoices = named_invoices(unit, (target.invoice for target in targets))
    parts, problems = hub_instructions(amount, targets, list(invoices.values()))
    unit.lock(*(f"account:{part.account}" for part in parts))
    accounts = unit.load_many(ACCOUNT, (part.account for part in parts))
    details = command.details(Channel.PAYMENT_HUB, bank_processing=False, hub_known=True, customer=None)
    offers: list[tuple[Loaded[Account] | None, Offer, Sequence[Instruction]]] = []
    for part in parts:
        account = accounts.get(part.account)
        state = account.state if account else Account()
        today = unit.today(state.time_zone)
        effective = hub_effective_date(command.bank_processing_date, command.check_date, today)
        offer = Offer(part.amount, command.currency, details, today, effective)
        problems += offer_problems(offer, paying_account(state), max(today, effective))
        offers.append((account, offer, part.instructions))
    refuse_if_any(_once(problems))
    number = payment_number(details.category, unit.next_number("payment"))
    written = []
    for ordinal, (account, offer, instructions) in enumerate(offers, start=1):
        assert account is not None
        today = offer.transaction_date
        record_number = record_id(number, ordinal)
        events = receive(
            offer,
            paying_account(account.state),
            number=number,
            record=record_number,
            today=max(today, offer.effective_date),
        )
        record = unit.append(PAYMENT, record_number, events, effective_date=offer.effective_date)
        written.append(_by_rules(unit, account.state, record, instructions, today))
    outcome = records_result(number, written)
    accepted = HubPaymentAccepted(
        reference=command.payment_reference,
        payment=number,
        fingerprint=fingerprint,
        answer=json.dumps(outcome.result),
    )
    unit.append(HUB_PAYMENT, command.payment_reference, [accepted])
    for record in written:
        settle(unit, record.state.known.account, record.state.items, "PAYMENT_ALLOCATED")
    return outcome


def _resolved(unit: UnitOfWork, named: str | None) -> str | None:
    if named is None:
        return None
    return unit.port(Directory).resolve_account(named) or named


def _once(problems: Sequence[Problem]) -> list[Problem]:
    seen: dict[tuple[str, str | None, str], Problem] = {}
    for problem in problems:
        seen.setdefault((problem.code, problem.pointer, problem.message), problem)
    return list(seen.values())


@handles(AcceptExternalPayment)
def accept_external_payment(command: AcceptExternalPayment, unit: UnitOfWork) -> Outcome:
    account = account_named(unit, command.account)
    today = unit.today(account.state.time_zone)
    currency = command.currency or account.state.currency
    stated = Stated(currency)
    amount = stated.minor(command.amount, "/amount")
    details = command.details(
        Channel.EXTERNAL, bank_processing=command.bank_processing or False, customer=account.state.owner
    )
    offer = Offer(amount, currency, details, today, command.effective_date or today)
    instructions = tuple(
        Instruction(stated.minor(part.amount or "0", f"/targets/{index}/amount"), part.invoice)
        for index, part in enumerate(command.targets)
    )
    problems = [*stated.problems, *offer_problems(offer, paying_account(account.state), today)]
    designated = command.designation == "INVOICES" or (command.designation is None and bool(instructions))
    if designated != bool(instructions):
        problems.append(
            Problem("PAYMENT_DATA_MISSING", "targets go with designation INVOICES", params={"fields": ["targets"]})
            if designated
            else Problem("REQUEST_INVALID", "money designated as unapplied has no targets", pointer="/targets")
        )
    elif designated and not stated.problems:
        invoices = named_invoices(unit, (one.invoice for one in instructions))
        live = unit.port(ItemRegister).live_invoices(account.identifier, open_only=True)
        dues = {row.number: row.collectible_due for row in live}
        problems += designation_problems(account.identifier, amount, instructions, invoices, dues)
    problems += _other_accounts(unit, account.identifier, command.targets)
    refuse_if_any(problems)
    targets = tuple(Target(TargetKind.INVOICE, one.amount, one.invoice) for one in instructions)
    number = payment_number(details.category, unit.next_number("payment"))
    automated = configuration_of(unit, account.state).automated
    preset = targets if automated else None  # without automation no designation is served (PAY-037)
    events = receive(offer, paying_account(account.state), number=number, record=number, today=today, preset=preset)
    record = unit.append(PAYMENT, number, events, effective_date=offer.effective_date)
    if not record.state.in_force:
        return records_result(number, [record])
    if designated and automated:
        facts = _target_facts(unit, account.state, targets)
        decided = execute_preset(amount, targets, Remainder.KEEP_UNAPPLIED, facts)
        events = allocate(record.state, decided, cause=Cause.INSTRUCTION, date=today)
        record = unit.append(PAYMENT, number, events, effective_date=today)
        record = _open_entry(unit, record, record.state.explanation or Explanation.NO_ALLOCATION_DETAILS, today)
    else:
        record = _by_rules(unit, account.state, record, (), today, designated_unapplied=not designated)
    settle(unit, account.identifier, record.state.items, "PAYMENT_ALLOCATED")
    return records_result(number, [record])


@handles(PresetAllocation)
def preset(command: PresetAllocation, unit: UnitOfWork) -> Outcome:
    records, accounts = _whole_payment(unit, command.payment)
    record, account = records[0], accounts[0].state
    unit.expect_main(PAYMENT, record)
    targets = _targets(command.targets, account.currency)
    events = preset_allocation(record.state, targets, command.remainder or Remainder.KEEP_UNAPPLIED)
    decided = _to_targets(unit, account, record.state.amount, targets, command.remainder)
    kept = unit.append(PAYMENT, record.identifier, events, effective_date=unit.today(account.time_zone))
    return Outcome(records_result(command.payment, [kept]).result, decided.warnings)


def _other_accounts(unit: UnitOfWork, account: str, targets: Sequence[HubTargetPart]) -> list[Problem]:
    """Targets that name another account than the one the money is for: each source pays one account (PAY-032)."""
    return [
        Problem("REQUEST_INVALID", "the target names another account", pointer=f"/targets/{index}/account")
        for index, part in enumerate(targets)
        if part.account is not None and _resolved(unit, part.account) != account
    ]


@handles(CreateInternalPayment)
def create_internal_payment(command: CreateInternalPayment, unit: UnitOfWork) -> Outcome:
    account = account_named(unit, command.account)
    unit.expect_main(ACCOUNT, account)
    today = unit.today(account.state.time_zone)
    stated = Stated(account.state.currency)
    amount = stated.minor(command.amount, "/amount")
    details = PaymentDetails(
        category=Category.INTERNAL,
        method=Method.INTERNAL,
        initiation=Initiation.MANUAL,
        channel=Channel.UI,
        subtype=command.subtype,
        related_entity=command.related_entity,
        customer=account.state.owner,
    )
    offer = Offer(amount, account.state.currency, details, today, command.effective_date or today)
    targets = _targets(command.targets, account.state.currency, stated)
    wrong = [*stated.problems, *offer_problems(offer, paying_account(account.state), today)]
    by_rules = _by_rules_is_wanted(command, wrong)
    decided = None if by_rules else _served(unit, account.state, stated, amount, targets, command.remainder, wrong)
    refuse_if_any(wrong)
    number = payment_number(Category.INTERNAL, unit.next_number("payment"))
    events = receive(offer, paying_account(account.state), number=number, record=number, today=today)
    record = unit.append(PAYMENT, number, events, effective_date=offer.effective_date)
    warnings: tuple[Problem, ...] = ()
    if decided is None:
        record = _by_rules(unit, account.state, record, (), today)
    else:
        warnings = decided.warnings
        record = unit.append(PAYMENT, number, allocate_by_command(record.state, decided, date=today))
    settle(unit, account.identifier, record.state.items, "PAYMENT_ALLOCATED")
    return Outcome(records_result(number, [record]).result, warnings)


@handles(ApplyHubPaymentEvent)
def apply_hub_payment_event(command: ApplyHubPaymentEvent, unit: UnitOfWork) -> Outcome:
    unit.lock(f"hub_event:{command.hub_event_id}")
    known = unit.load(HUB_PAYMENT_EVENT, command.hub_event_id)
    records, accounts = _whole_payment(unit, command.payment, unknown="UNKNOWN_PAYMENT")
    if known.version:
        if (known.state.payment, known.state.type) != (command.payment, command.type):
            raise refuse("PAYMENT_EVENT_REJECTED", "the event's id was used for another", pointer="/hub_event_id")
        return records_result(command.payment, records)
    taken = HubPaymentEventTaken(hub_event_id=command.hub_event_id, payment=command.payment, type=command.type)
    unit.append(HUB_PAYMENT_EVENT, command.hub_event_id, [taken])
    close_tasks(unit, refused_hub_event(command.hub_event_id), "the event was accepted")
    if command.type == "FAILED":
        reason = command.reason or failure_reason(records[0].state.stated.method)
        events = decline(
            [one.state for one in records],
            _items_of(unit, records),
            reason=reason,
            text=command.text,
            failed=True,
            date=unit.today(accounts[0].state.time_zone),
        )
        return _withdrawn(unit, command.payment, records, events, "PAYMENT_DECLINED")
    written = []
    for record, account in zip(records, accounts, strict=True):
        today = unit.today(account.state.time_zone)
        preset, remainder = record.state.preset, record.state.preset_remainder
        pending, chosen = not record.state.in_force, record.state.has_preset
        settled = unit.append(PAYMENT, record.identifier, settle_funds(record.state, today), effective_date=today)
        if pending and chosen:
            facts = _target_facts(unit, account.state, preset)
            decided = execute_preset(settled.state.unapplied, preset, remainder, facts)
            events_of_record = allocate(settled.state, decided, cause=Cause.PRESET, date=today)
            settled = unit.append(PAYMENT, record.identifier, events_of_record, effective_date=today)
            if decided.explanation is Explanation.TARGET_CHANGED:
                settled = _open_entry(unit, settled, Explanation.TARGET_CHANGED, today)
        elif pending:
            settled = _by_rules(unit, account.state, settled, (), today)
        written.append(settled)
    for one in written:
        settle(unit, one.state.known.account, one.state.items, "PAYMENT_ALLOCATED")
    return records_result(command.payment, written)


# --- Allocating and taking off ---------------------------------------------------------------------------------------


@handles(AllocatePayment)
def allocate_payment(command: AllocatePayment, unit: UnitOfWork) -> Outcome:
    record, account = load_record(unit, command.record)
    today = unit.today(account.state.time_zone)
    targets = _targets(command.targets, account.state.currency)
    source, member = Bucket(command.source), None
    if source is Bucket.MEMBER_UNAPPLIED:
        member = command.member_record or ""
        if not member:
            raise refuse("MEMBER_RECORD_NOT_FOUND", "say whose money it is", pointer="/member_record")
    elif command.member_record is not None:
        raise refuse("REQUEST_INVALID", "unapplied money is of no member", pointer="/member_record")
    refuse_if_any(allocatable_problems(record.state, source, member))
    available = record.state.in_bucket(source, member)
    decided = _to_targets(unit, account.state, available, targets, command.remainder, source, member)
    events = allocate_by_command(record.state, decided, date=today, source=source, member=member)
    if events:
        record = unit.append(PAYMENT, record.identifier, events, effective_date=today)
    settle(unit, account.identifier, decided.touched, "PAYMENT_ALLOCATED")
    answer = records_result(record.state.known.payment_number, [record])
    return Outcome(answer.result, decided.warnings)


@handles(UnallocatePayment)
def unallocate(command: UnallocatePayment, unit: UnitOfWork) -> Outcome:
    record, account = load_record(unit, command.record)
    today = unit.today(account.state.time_zone)
    items = allocated_items(unit.port(ItemRegister).allocations_of(record.identifier))
    events = unallocate_payment(
        record.state,
        items,
        invoices=command.invoices,
        reason=command.reason,
        text=command.text,
        date=today,
    )
    left = frozenset(record.state.items)
    if command.invoices is not None:
        left &= frozenset(command.invoices)
    freed = freed_amount(record.state, events)
    record = unit.append(PAYMENT, record.identifier, events, effective_date=today)
    touched = set(left)
    if kind_of(account.state) is AccountKind.LIST_BILL_INDIVIDUAL and freed:
        unit.flush()
        record = _by_rules(unit, account.state, record, (), today, amount=freed, excluded=left)
        touched |= set(record.state.items)
    settle(unit, account.identifier, touched, "PAYMENT_UNALLOCATED")
    return records_result(record.state.known.payment_number, [record])


@handles(ReallocatePayment)
def reallocate(command: ReallocatePayment, unit: UnitOfWork) -> Outcome:
    record, account = load_record(unit, command.record, "PAYMENT_STATUS_CHANGED")
    today = unit.today(account.state.time_zone)
    targets = _targets(command.targets, account.state.currency)
    items = allocated_items(unit.port(ItemRegister).allocations_of(record.identifier))
    touched = set(record.state.items)
    decided = reallocate_payment(
        record.state,
        items,
        invoices=command.invoices,
        targets=targets,
        facts=_target_facts(unit, account.state, targets, touched),
        reason=command.reason,
        text=command.text,
        date=today,
    )
    record = unit.append(PAYMENT, record.identifier, decided.events, effective_date=today)
    settle(unit, account.identifier, touched | set(record.state.items), "PAYMENT_REALLOCATED")
    answer = records_result(record.state.known.payment_number, [record])
    return Outcome(answer.result, decided.warnings)


# --- Whole payments --------------------------------------------------------------------------------------------------


def _whole_payment(
    unit: UnitOfWork, payment: str, *, unknown: str = "PAYMENT_NOT_FOUND"
) -> tuple[list[Loaded[PaymentRecord]], list[Loaded[Account]]]:
    """All records of a payment and their accounts, locked in ascending order (PAY-001, PLT-012)."""
    register = unit.port(ItemRegister)
    identifiers = register.records_of_payment(payment)
    if not identifiers:
        raise refuse(unknown, "there is no such payment", pointer="/payment")
    accounts = [register.account_of_record(one) for one in identifiers]
    unit.lock(*(f"account:{one}" for one in accounts))
    records = [unit.load(PAYMENT, one) for one in identifiers]
    unit.expect_main(PAYMENT, records[0])  # the payment goes by the number of its first record
    return records, [unit.load(ACCOUNT, one.state.known.account) for one in records]


def _items_of(unit: UnitOfWork, records: Sequence[Loaded[PaymentRecord]]) -> dict[str, AllocatedItems]:
    register = unit.port(ItemRegister)
    return {one.identifier: allocated_items(register.allocations_of(one.identifier)) for one in records}


def _withdrawn(
    unit: UnitOfWork,
    payment: str,
    records: Sequence[Loaded[PaymentRecord]],
    events: RecordEvents,
    cause: str,
) -> Outcome:
    """Append what happened to each record, let members' overpayment pay what is due again, and settle (PAY-110)."""
    written = []
    for record in records:
        happened = events.get(record.identifier, [])
        touched = set(record.state.items)
        after = unit.append(PAYMENT, record.identifier, happened) if happened else record
        account = unit.load(ACCOUNT, record.state.known.account).state
        if after.state.suspended:
            after = _open_entry(unit, after, SuspenseReason.MISDIRECTED, unit.today(account.time_zone))
        if account.active:  # on a closed account nothing is used again (PAY-103)
            unit.flush()
            touched |= set(use_overpayment(unit, account, unit.today(account.time_zone)))
        settle(unit, account.number, touched, cause)
        written.append(after)
    return records_result(payment, written)


def _withdraw(command: WithdrawalMembers, unit: UnitOfWork, decide: Callable[..., RecordEvents], cause: str) -> Outcome:
    """Take all money of a payment off its accounts, as `decide` (reverse, decline or suspend) says."""
    records, accounts = _whole_payment(unit, command.payment)
    events = decide(
        [one.state for one in records],
        _items_of(unit, records),
        reason=command.reason,
        text=command.text,
        date=unit.today(accounts[0].state.time_zone),
    )
    return _withdrawn(unit, command.payment, records, events, cause)


def _by_hub(unit: UnitOfWork, privilege: str) -> bool:
    """Whether the Payment Hub asks, not a user.

    decision: that is a machine that is here by the hub's privilege and does not hold `privilege`, the users' one.
    """
    principal = unit.principal
    return principal.kind == "MACHINE" and privilege not in principal.privileges


@handles(ReversePayment)
def reverse_payment(command: ReversePayment, unit: UnitOfWork) -> Outcome:
    by_hub = _by_hub(unit, "payment.reverse")
    return _withdraw(command, unit, partial(reverse, by_hub=by_hub), "PAYMENT_REVERSED")


@handles(DeclinePayment)
def decline_payment(command: DeclinePayment, unit: UnitOfWork) -> Outcome:
    by_hub = _by_hub(unit, "payment.decline")
    return _withdraw(command, unit, partial(decline, by_hub=by_hub), "PAYMENT_DECLINED")


@handles(SuspendPayment)
def suspend_payment(command: SuspendPayment, unit: UnitOfWork) -> Outcome:
    by_hub = _by_hub(unit, "payment.suspend")
    return _withdraw(command, unit, partial(suspend, requested_by_hub=by_hub), "PAYMENT_SUSPENDED")


@handles(ReleaseSuspendedPayment)
def release_suspended_payment(command: ReleaseSuspendedPayment, unit: UnitOfWork) -> Outcome:
    named = {part.account: _resolved(unit, part.account) or part.account for part in command.targets}
    unit.lock(*(f"account:{number}" for number in named.values()))
    records, accounts = _whole_payment(unit, command.payment)
    known = unit.load_many(ACCOUNT, named.values())
    today = unit.today(accounts[0].state.time_zone)
    currency = records[0].state.known.currency
    last = last_ordinal(one.identifier for one in records)
    targets = []
    for index, part in enumerate(command.targets):
        account = known.get(named[part.account])
        targets.append(
            ReleaseTarget(
                paying_account(account.state if account else Account()),
                minor(part.amount, currency, f"/targets/{index}/amount"),
                record_id(command.payment, last + index + 1),
                part.invoice,
            )
        )
    existing, new = release(
        [one.state for one in records],
        targets,
        invoices=named_invoices(unit, (part.invoice for part in command.targets)),
        date=today,
    )
    written = []
    for identifier, events in {**existing, **new}.items():
        record = unit.append(PAYMENT, identifier, events, effective_date=today)
        if record.state.in_force and record.state.unapplied:
            account = unit.load(ACCOUNT, record.state.known.account)
            instructions = [
                Instruction(target.amount, target.invoice)
                for target in targets
                if target.account.number == account.identifier
            ]
            record = _by_rules(unit, account.state, record, instructions, today)
        written.append(record)
    for record in written:
        settle(unit, record.state.known.account, record.state.items, "PAYMENT_RELEASED")
    return records_result(command.payment, written)


@handles(TransferPayment)
def transfer_payment(command: TransferPayment, unit: UnitOfWork) -> Outcome:
    named = {part.account: _resolved(unit, part.account) or part.account for part in command.targets}
    source_account = unit.port(ItemRegister).account_of_record(command.record)
    unit.lock(*(f"account:{number}" for number in (*named.values(), source_account or "")))
    record, account = load_record(unit, command.record)
    known = unit.load_many(ACCOUNT, named.values())
    currency = account.state.currency
    payment = record.state.known.payment_number
    last = last_ordinal(unit.port(ItemRegister).records_of_payment(payment))
    targets = []
    for index, part in enumerate(command.targets):
        target = known.get(named[part.account])
        state = target.state if target else Account(number=named[part.account])
        there = PayingAccount(named[part.account], target is not None, state.active, kind_of(state), state.currency)
        targets.append(
            TransferRequest(
                there,
                minor(part.amount, currency, f"/targets/{index}/amount"),
                record_id(payment, last + index + 1),
            )
        )
    today = unit.today(account.state.time_zone)
    touched = set(record.state.items)
    events, arrivals = transfer(
        record.state,
        allocated_items(unit.port(ItemRegister).allocations_of(record.identifier)),
        targets,
        reason=command.reason,
        text=command.text,
        confirmations=frozenset(command.confirmations) | unit.confirmations,
        incompatible=_incompatible(unit, account.state, today),
        date=today,
    )
    written = [unit.append(PAYMENT, record.identifier, events, effective_date=today)]
    written += [unit.append(PAYMENT, one, happened) for one, happened in arrivals.items()]
    settle(unit, account.identifier, touched, "PAYMENT_TRANSFERRED")
    for one in written[1:]:
        settle(unit, one.state.known.account, (), "PAYMENT_TRANSFERRED")
    return records_result(payment, written)


def _incompatible(unit: UnitOfWork, account: Account, today: dt.date) -> frozenset[tuple[AccountKind, AccountKind]]:
    """The pairs of account kinds between which no money is transferred (PAY-112), source first."""
    name = "transfer.incompatible_types"
    pairs = parameters_in_force(unit, (name,), account_keys(account), today)[name]
    assert isinstance(pairs, tuple)
    split = [pair.split(">") for pair in pairs]
    return frozenset(
        (of, to) for source, target in split for of in account_kinds(source) for to in account_kinds(target)
    )
