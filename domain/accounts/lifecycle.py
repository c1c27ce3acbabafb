"""Opening, activating, closing an account, and its holds: guards and the events they lead to (ACC-015 to ACC-058)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

from domain.accounts.account import (
    Account,
    AccountStatus,
    BillingAccountClosed,
    HoldActivated,
    HoldCreated,
    HoldReleased,
    HoldRemoved,
    HoldUpdated,
    hold_named,
)
from domain.accounts.holds import Hold, HoldStatus, HoldType, check_creation
from domain.errors import Problem, Refusal, refuse, refuse_if_any

NAME_MAX = 120


def default_name(owner_name: str, owner_reference: str, accounts_ever: int) -> str:
    """`<owner> BA <n>`, n counting every account ever created for the owner (ACC-016)."""
    return f"{owner_name or owner_reference} BA {accounts_ever + 1}"


def require_active(account: Account) -> None:
    """Refuse what a DRAFT or CLOSED account cannot take (`ACCOUNT_NOT_ACTIVE`)."""
    if not account.active:
        raise refuse(
            "ACCOUNT_NOT_ACTIVE", f"the account is {account.status}", entity=account.number, status=account.status.value
        )


def require_operational(account: Account) -> None:
    """Refuse invoicing an account that is not active (ACC-020) or has no bill type or product."""
    require_active(account)
    if not account.operational:
        raise refuse("ACCOUNT_NOT_OPERATIONAL", "the account has no bill type or no product", entity=account.number)


@dataclass(frozen=True, slots=True)
class ActivationFacts:
    """What activation needs to know beside the account (ACC-018); `unfit_schedule` names the parameters of its
    schedule that are missing or invalid (CAL-026)."""

    unfit_schedule: tuple[str, ...]
    payor_given: bool
    payor_has_address: bool
    address_required: bool
    has_email: bool
    has_address: bool


def activation_problems(account: Account, facts: ActivationFacts) -> list[Problem]:
    """Missing mandatory fields in the order of ACC-018, then payor and delivery (ACC-033, ACC-044)."""
    missing = []
    if not account.name.strip():
        missing.append("name")
    if not account.currency:
        missing.append("currency")
    if not account.time_zone:
        missing.append("time_zone")
    if account.calendar is None:
        missing.append("business_calendar")
    if facts.unfit_schedule:
        missing.append("invoice_schedule")
    for name in ("document_format", "content_type", "delivery_method"):
        if not getattr(account.preferences, name):
            missing.append(name)
    if (facts.payor_given or facts.address_required) and not facts.has_address:
        missing.append("billing_address")
    problems = []
    if missing:
        problems.append(
            Problem(
                "MANDATORY_FIELDS_MISSING",
                "fields needed for activation are missing: " + ", ".join(missing),
                entity=account.number or None,
                params={"fields": missing, "schedule": list(facts.unfit_schedule)},
            )
        )
    if facts.payor_given and not facts.payor_has_address:
        problems.append(Problem("PAYOR_ADDRESS_MISSING", "the payor has no address", "/payor"))
    problems += delivery_problems(account.preferences.delivery_method, facts.has_email, facts.has_address)
    return problems


def delivery_problems(method: str, has_email: bool, has_address: bool) -> list[Problem]:
    """`DELIVERY_NOT_POSSIBLE` when the method's e-mail or address is missing (ACC-044)."""
    if (method == "EMAIL" and not has_email) or (method == "PRINT_MAIL" and not has_address):
        return [Problem("DELIVERY_NOT_POSSIBLE", f"{method} needs an address it can be sent to", "/delivery_method")]
    return []


BILL_BY = frozenset({"CLASS", "LOCATION", "DIVISION", "PAYROLL_FREQUENCY"})


def bill_by_problems(criteria: Sequence[str]) -> list[Problem]:
    """0 to 2 different criteria, in order (ACC-046)."""
    if len(criteria) > 2 or len(set(criteria)) != len(criteria) or not set(criteria) <= BILL_BY:
        return [Problem("BILL_BY_INVALID", "bill_by lists up to two different criteria", "/bill_by")]
    return []


@dataclass(frozen=True, slots=True)
class ClosingFacts:
    """What closing needs to know beside the account (ACC-025)."""

    active_products: bool
    open_invoices: bool
    balances: bool
    pending_tasks: bool
    setup_entry: bool


def close(account: Account, facts: ClosingFacts, reason: str, today: dt.date) -> list[object]:
    """Close the account; active holds are released, pending ones removed. Refused with all reasons (ACC-025, 026)."""
    if account.status is AccountStatus.CLOSED:
        raise refuse("ACCOUNT_NOT_ACTIVE", "the account is closed", entity=account.number)
    reasons = [
        name
        for name, applies in (
            ("ACTIVE_PRODUCTS", facts.active_products),
            ("OPEN_INVOICES", facts.open_invoices),
            ("BALANCES", facts.balances),
            ("PENDING_TASKS", facts.pending_tasks),
            ("SETUP_ENTRY", facts.setup_entry),
        )
        if applies
    ]
    if reasons:
        raise refuse("ACCOUNT_NOT_CLOSABLE", "the account is still in use", entity=account.number, reasons=reasons)
    events: list[object] = []
    for hold in account.holds:
        status = hold.status_on(today)
        if status is HoldStatus.ACTIVE:
            events.append(HoldReleased(number=account.number, hold_id=hold.hold_id, type=hold.type, expiration=today))
        elif status is HoldStatus.PENDING:
            events.append(HoldRemoved(number=account.number, hold_id=hold.hold_id, type=hold.type))
    events.append(BillingAccountClosed(number=account.number, reason=reason))
    return events


def create_hold(
    account: Account,
    hold_id: str,
    kind: HoldType,
    reason: str,
    effective: dt.date,
    expiration: dt.date | None,
    today: dt.date,
) -> list[object]:
    """A new hold; it binds at once when it is effective today (ACC-050)."""
    require_active(account)
    problems = [] if reason.strip() else [Problem("REASON_REQUIRED", "a hold needs a reason", "/reason")]
    problems += check_creation(effective, expiration, today)
    refuse_if_any(problems)
    hold = Hold(hold_id, kind, reason, effective, expiration)
    events: list[object] = [HoldCreated(number=account.number, hold=hold)]
    if effective == today:
        events.append(HoldActivated(number=account.number, hold_id=hold_id, type=kind, business_date=effective))
    return events


def _existing(account: Account, hold_id: str) -> Hold:
    try:
        return hold_named(account, hold_id)
    except LookupError:
        raise refuse("ENTITY_NOT_FOUND", "the account has no such hold", pointer="/hold_id") from None


def update_hold(
    account: Account,
    hold_id: str,
    *,
    reason: str | None,
    effective: dt.date | None,
    expiration: dt.date | None,
    expiration_given: bool,
    today: dt.date,
) -> list[object]:
    """Change a hold as far as its status allows (ACC-052). `expiration_given` tells null from absent."""
    hold = _existing(account, hold_id)
    status = hold.status_on(today)
    if status in (HoldStatus.EXPIRED, HoldStatus.RELEASED, HoldStatus.REMOVED):
        raise refuse("HOLD_FINAL", f"the hold is {status}", entity=hold_id)
    changed = replace(
        hold,
        reason=hold.reason if reason is None else reason,
        effective=hold.effective if effective is None else effective,
        expiration=expiration if expiration_given else hold.expiration,
    )
    problems: list[Problem] = []
    if status is HoldStatus.PENDING:
        problems += check_creation(changed.effective, changed.expiration, today)
    else:
        if changed.effective != hold.effective:
            problems.append(
                Problem("HOLD_EFFECTIVE_IMMUTABLE", "an active hold keeps its effective date", "/effective_date")
            )
        if expiration_given and expiration is not None and expiration <= today:
            problems.append(Problem("HOLD_DATES_INVALID", "the expiration date is after today", "/expiration_date"))
    refuse_if_any(problems)
    return [HoldUpdated(number=account.number, hold=changed)]


def release_hold(account: Account, hold_id: str, today: dt.date) -> list[object]:
    """End an active hold immediately (ACC-053)."""
    hold = _existing(account, hold_id)
    _require_status(hold, HoldStatus.ACTIVE, today)
    return [HoldReleased(number=account.number, hold_id=hold_id, type=hold.type, expiration=today)]


def remove_hold(account: Account, hold_id: str, today: dt.date) -> list[object]:
    """Take back a hold that has not begun (ACC-053)."""
    hold = _existing(account, hold_id)
    _require_status(hold, HoldStatus.PENDING, today)
    return [HoldRemoved(number=account.number, hold_id=hold_id, type=hold.type)]


def _require_status(hold: Hold, wanted: HoldStatus, today: dt.date) -> None:
    status = hold.status_on(today)
    if status is not wanted:
        raise Refusal(Problem("HOLD_STATUS_INVALID", f"the hold is {status}, not {wanted}", entity=hold.hold_id))
