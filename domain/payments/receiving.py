"""Accepting money: the checks before a payment exists, and the events with which it starts (PAY-014 to PAY-032).

Nothing is created while anything is wrong: every function here either returns events or raises one Refusal with every
problem. A payment over several accounts is checked for all of them first; the caller collects the problems of all
records before it writes one (PAY-009, PAY-024).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from domain.errors import Problem, refuse, refuse_if_any
from domain.payments.classification import (
    AccountKind,
    Category,
    Cause,
    Funds,
    FundsStatus,
    InternalSubtype,
    PaymentDetails,
    detail_problems,
    funds_at_receipt,
    funds_of,
)
from domain.payments.payment import (
    AllocationPreset,
    PaymentInitiated,
    PaymentReceived,
    PaymentRecord,
    PaymentSettled,
    Phase,
    RecordIdentity,
    fold,
    with_status,
)
from domain.payments.targets import Instruction, Remainder, Target


@dataclass(frozen=True, slots=True)
class PayingAccount:
    """What receiving asks of the account: is it there and active, its kind and currency."""

    number: str
    exists: bool
    active: bool
    kind: AccountKind
    currency: str


@dataclass(frozen=True, slots=True)
class RegisteredMethod:
    """A saved payment method as the payer's register knows it (PAY-017)."""

    active: bool
    owner: str
    type: str


@dataclass(frozen=True, slots=True)
class Offer:
    """Money offered to one account: the amount in minor units and what was stated about it."""

    amount: int
    currency: str
    details: PaymentDetails
    transaction_date: dt.date
    effective_date: dt.date
    expiration_date: dt.date | None = None
    replaces: str | None = None


def offer_problems(offer: Offer, account: PayingAccount, today: dt.date) -> list[Problem]:
    """Everything wrong with an offer: account, amount, currency, dates, details (PAY-005, PAY-014 to PAY-019)."""
    problems = []
    if not account.exists:
        problems.append(Problem("BILLING_ACCOUNT_NOT_FOUND", "there is no such billing account", pointer="/account"))
    elif not account.active:
        problems.append(Problem("ACCOUNT_NOT_ACTIVE", "the billing account is not active", pointer="/account"))
    if offer.amount <= 0:
        problems.append(Problem("AMOUNT_INVALID", "the amount must be above zero", pointer="/amount"))
    if account.exists and offer.currency != account.currency:
        problems.append(
            Problem(
                "CURRENCY_MISMATCH",
                f"the account is kept in {account.currency}",
                pointer="/currency",
                params={"currency": account.currency},
            )
        )
    if offer.effective_date > today:
        problems.append(
            Problem("EFFECTIVE_DATE_IN_FUTURE", "the effective date lies in the future", pointer="/effective_date")
        )
    if offer.expiration_date is not None and offer.expiration_date < offer.effective_date:
        problems.append(
            Problem("REQUEST_INVALID", "the expiration date lies before the effective date", pointer="/expiration_date")
        )
    problems.extend(detail_problems(offer.details))
    internal_kinds = (
        AccountKind.LIST_BILL_TRUE_GROUP,
        AccountKind.LIST_BILL_INDIVIDUAL,
        AccountKind.INDIVIDUAL_DIRECT,
    )
    if account.exists and offer.details.category is Category.INTERNAL and account.kind not in internal_kinds:
        problems.append(
            Problem(
                "INTERNAL_PAYMENT_NOT_ALLOWED",
                "internal payments exist on list bill and individual direct accounts only",
                pointer="/account",
            )
        )
    return problems


def method_problems(details: PaymentDetails, method: RegisteredMethod | None, payer: str) -> list[Problem]:
    """A payment by a saved method needs it active, the payer's, and of the stated type (PAY-017)."""
    if details.payment_method is None:
        return []
    if method is not None and method.active and method.owner == payer and method.type == details.method:
        return []
    return [
        Problem(
            "PAYMENT_METHOD_INVALID",
            "the payment method is not active, not the payer's, or of another type",
            pointer="/payment_method",
        )
    ]


def starts_in_force(details: PaymentDetails) -> bool:
    """Money awaiting the bank counts only when it is a pre-authorised recurring draw (PAY-020, PAY-021)."""
    return not details.bank_processing or details.recurring


def receive(
    offer: Offer,
    account: PayingAccount,
    *,
    number: str,
    record: str,
    today: dt.date,
    preset: Sequence[Target] | None = None,
    remainder: Remainder = Remainder.KEEP_UNAPPLIED,
    draft: PaymentRecord | None = None,
) -> list[object]:
    """Accept an offer as a record of its own: PaymentReceived, its preset targets while pending, its status.

    `preset` None: nobody chose targets, the rules allocate; empty: nothing but `remainder` was chosen.
    `draft`: the INITIATED draft payment that is applied hereby. Raises a Refusal with every problem.
    """
    refuse_if_any(offer_problems(offer, account, today))
    identity = RecordIdentity(number, record, account.number, account.kind, offer.details.category, account.currency)
    in_force = starts_in_force(offer.details)
    events: list[object] = [
        PaymentReceived(
            record=identity,
            amount=offer.amount,
            details=offer.details,
            transaction_date=offer.transaction_date,
            effective_date=offer.effective_date,
            expiration_date=offer.expiration_date,
            in_force=in_force,
            funds_status=funds_at_receipt(offer.details),
            funds=funds_of(offer.details),
            replaces=offer.replaces,
        )
    ]
    if preset is not None and not in_force:
        events.append(AllocationPreset(record=identity, targets=tuple(preset), remainder=remainder))
    return with_status(draft or PaymentRecord(), events, Cause.RECEIPT, offer.transaction_date)


def initiate(offer: Offer, account: PayingAccount, *, number: str, record: str, today: dt.date) -> list[object]:
    """Create a draft payment: complete details, no money in force (PAY-070, PAY-118, PAY-121)."""
    refuse_if_any(offer_problems(offer, account, today))
    identity = RecordIdentity(number, record, account.number, account.kind, offer.details.category, account.currency)
    events: list[object] = [
        PaymentInitiated(
            record=identity,
            amount=offer.amount,
            details=offer.details,
            transaction_date=offer.transaction_date,
            effective_date=offer.effective_date,
        )
    ]
    return with_status(PaymentRecord(), events, Cause.RECEIPT, offer.transaction_date)


def preset_allocation(
    state: PaymentRecord, targets: Sequence[Target], remainder: Remainder = Remainder.KEEP_UNAPPLIED
) -> list[object]:
    """Replace the preset allocation of money that is not in force yet (PAY-076)."""
    if state.phase not in (Phase.INITIATED, Phase.PENDING):
        raise refuse("PRESET_NOT_POSSIBLE", "the money is already in force", pointer="/targets")
    return [AllocationPreset(record=state.known, targets=tuple(targets), remainder=remainder)]


def settle(state: PaymentRecord, date: dt.date) -> list[object]:
    """The hub reports COMPLETED: a pending record comes in force, a draw in force is settled (PAY-020 to PAY-022).

    The caller then executes the preset targets of a record that came in force. Raises PAYMENT_EVENT_REJECTED.
    """
    if state.funds_status is not FundsStatus.AWAITING or state.phase not in (
        Phase.PENDING,
        Phase.IN_FORCE,
        Phase.SUSPENDED,
    ):
        raise refuse(
            "PAYMENT_EVENT_REJECTED",
            "the payment does not await the bank",
            funds=str(state.funds_status),
            status=state.status,
        )
    pending = state.phase is Phase.PENDING
    amount = state.announced if pending else state.amount
    settled = PaymentSettled(record=state.known, amount=amount, came_in_force=pending, funds=Funds.BANK, date=date)
    return with_status(state, [settled], Cause.SETTLEMENT, date)


# --- Payment Hub and other domains -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HubTarget:
    """One target of a hub request as stated: account, invoice or both, and an amount (None with a single target)."""

    account: str | None
    invoice: str | None
    amount: int | None


@dataclass(frozen=True, slots=True)
class NamedInvoice:
    """What is known of an invoice that a target names: its account, and whether it is discarded."""

    number: str
    account: str
    discarded: bool


@dataclass(frozen=True, slots=True)
class AccountInstructions:
    """A payment's part for one account, with its instructions in the order given."""

    account: str
    amount: int
    instructions: tuple[Instruction, ...]


def hub_instructions(
    amount: int, targets: Sequence[HubTarget], invoices: Sequence[NamedInvoice]
) -> tuple[list[AccountInstructions], list[Problem]]:
    """The parts of a hub payment by account, and every problem of its targets (PAY-025, PAY-027).

    One target defaults to the whole amount; several need amounts that add up to it. A paid invoice is no problem.
    """
    known = {invoice.number: invoice for invoice in invoices}
    problems = []
    if not targets:
        problems.append(Problem("PAYMENT_DATA_MISSING", "no target is named", pointer="/targets"))
    amounts = [amount if len(targets) == 1 and target.amount is None else target.amount for target in targets]
    by_account: dict[str, list[Instruction]] = {}
    for index, (target, part) in enumerate(zip(targets, amounts, strict=True)):
        where = f"/targets/{index}"
        problems.extend(_hub_target_problems(target, part, known, where))
        invoice = known.get(target.invoice) if target.invoice else None
        account = target.account or (invoice.account if invoice else None)
        if account and part is not None:
            by_account.setdefault(account, []).append(Instruction(part, target.invoice))
    if targets and all(part is not None for part in amounts) and sum(part or 0 for part in amounts) != amount:
        problems.append(
            Problem(
                "INSTRUCTION_SUM_MISMATCH",
                "the instructed amounts do not add up to the payment",
                pointer="/targets",
                params={"instructed": sum(part or 0 for part in amounts), "amount": amount},
            )
        )
    parts = [
        AccountInstructions(account, sum(one.amount for one in instructions), tuple(instructions))
        for account, instructions in by_account.items()
    ]
    return parts, problems


def _hub_target_problems(
    target: HubTarget, part: int | None, known: dict[str, NamedInvoice], where: str
) -> list[Problem]:
    problems = []
    named = (("account", target.account or target.invoice), ("amount", part))
    missing = [name for name, value in named if value is None or value == ""]
    if missing:
        problems.append(
            Problem("PAYMENT_DATA_MISSING", f"missing: {', '.join(missing)}", pointer=where, params={"fields": missing})
        )
    if part is not None and part <= 0:
        problems.append(Problem("AMOUNT_INVALID", "the amount must be above zero", pointer=f"{where}/amount"))
    return [*problems, *invoice_reference_problems(target.invoice, target.account, known, f"{where}/invoice")]


def invoice_reference_problems(
    number: str | None, account: str | None, known: Mapping[str, NamedInvoice], pointer: str
) -> list[Problem]:
    """What is wrong with an invoice that a target names (PAY-027): unknown, of another account, discarded.

    No invoice named, no problem; `account` None: of any account.
    """
    if not number:
        return []
    invoice = known.get(number)
    if invoice is None:
        return [Problem("INVOICE_NOT_FOUND", "there is no such invoice", pointer=pointer)]
    if account and invoice.account != account:
        return [Problem("INVOICE_ACCOUNT_MISMATCH", "the invoice is of another account", pointer=pointer)]
    if invoice.discarded:
        return [Problem("INVOICE_NOT_ELIGIBLE", "the invoice is discarded", pointer=pointer)]
    return []


def designation_problems(
    account: str,
    amount: int,
    instructions: Sequence[Instruction],
    invoices: Mapping[str, NamedInvoice],
    directed_due: Mapping[str, int],
) -> list[Problem]:
    """What is wrong with the invoices an external system designates (PAY-032): their sum, each invoice, and each one's
    due, which several amounts for one invoice use up together."""
    problems = []
    total = sum(one.amount for one in instructions)
    if total > amount:
        problems.append(
            Problem(
                "OVER_ALLOCATED", "more is designated than paid", pointer="/targets", params={"excess": total - amount}
            )
        )
    left = dict(directed_due)
    for index, one in enumerate(instructions):
        where = f"/targets/{index}"
        if one.amount <= 0:
            problems.append(Problem("AMOUNT_INVALID", "the amount must be above zero", pointer=f"{where}/amount"))
        wrong = invoice_reference_problems(one.invoice or "?", account, invoices, f"{where}/invoice")
        problems += wrong
        due = left.get(one.invoice or "", 0)
        if not wrong and one.amount > due:
            problems.append(
                Problem(
                    "AMOUNT_EXCEEDS_INVOICE_DUE",
                    "more than the invoice is due",
                    pointer=f"{where}/amount",
                    params={"due": due},
                )
            )
        left[one.invoice or ""] = max(0, due - one.amount)
    return problems


def update_problems(
    state: PaymentRecord, *, amount: int, total: int, currency: str, changed: Collection[str] = ()
) -> list[Problem]:
    """What an update of a known payment may not change (PAY-031).

    `total` is the amount of the whole payment, `amount` what the update repeats; `changed` names its other new values.
    """
    problems = []
    if amount != total:
        problems.append(Problem("AMOUNT_MISMATCH", "the amount differs from the payment's", pointer="/amount"))
    if currency != state.known.currency:
        problems.append(Problem("CURRENCY_MISMATCH", "the currency differs from the payment's", pointer="/currency"))
    problems.extend(
        Problem("IMMUTABLE_ATTRIBUTE", f"{name} cannot be changed", pointer=f"/{name}")
        for name in ("initiation", "channel", "transaction_date")
        if name in changed
    )
    return problems


@dataclass(frozen=True, slots=True)
class CashTransaction:
    """A cash movement as Cash Management reports it (PAY-120); `amount` is negative for a deduction."""

    amount: int
    correlation: str | None
    accounting_date: dt.date | None
    member_record: str | None
    product: str | None
    cash_account: str


def cash_transaction_ignored(
    reported: CashTransaction, account_kind: AccountKind | None, products: Collection[str]
) -> str | None:
    """Why a cash transaction creates no payment, or None if it does (PAY-120). `products` empty: every product."""
    if reported.amount >= 0:
        return "AMOUNT_NOT_NEGATIVE"
    if not reported.correlation:
        return "CORRELATION_MISSING"
    if reported.accounting_date is None:
        return "ACCOUNTING_DATE_MISSING"
    if not reported.member_record:
        return "MEMBER_RECORD_MISSING"
    if account_kind is None or not account_kind.member_level:
        return "ACCOUNT_NOT_ELIGIBLE"
    if products and reported.product not in products:
        return "PRODUCT_NOT_ELIGIBLE"
    return None


def cash_deduction_details(template: PaymentDetails, reported: CashTransaction) -> PaymentDetails:
    """The details of the internal payment that a cash transaction creates (PAY-121)."""
    return replace(
        template,
        category=Category.INTERNAL,
        subtype=InternalSubtype.CASH_DEDUCTION,
        related_entity=reported.cash_account,
        member_record=reported.member_record,
        correlation=reported.correlation,
    )


def received(events: Sequence[object]) -> PaymentRecord:
    """The record after the events of its receipt: what the allocation that follows starts from."""
    return fold(PaymentRecord(), events)
