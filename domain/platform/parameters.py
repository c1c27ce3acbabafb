"""Parameters: the figures and switches an insurer may set, each with its type, range, default and scope.

A parameter has one full name that carries its domain (PLT-110), for instance `recurring.waiting_days`. Its value may be
set for the whole system or for keys within its scope (a bill type, an account, a product, ...); a value set for a more
special key goes before a general one. Every setting takes effect on a civil date and is kept for good: a command uses
what is in force on the day it is recorded, and its events carry the value, so that a later setting changes no past.

The tables below are those of the rulebook's sections "Parameters" (calendar, premium, invoicing, payments, balances,
platform). Rows that are tables or records with a command of their own stand in `SET_ELSEWHERE`. Where the rulebook
gives no bounds, wide ones are set here, for a limit on everything is better than a typing error that stops billing.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations
from types import MappingProxyType
from typing import Final

from domain.accounts.bill_type import AllocationMode, BillType
from domain.aggregate import Aggregate
from domain.calendar.frequency import Frequency
from domain.errors import Problem, refuse_if_any
from domain.events import event
from domain.money import AmountFormatError, CurrencyNotSupportedError, parse_amount
from domain.platform.privileges import PRIVILEGES

#: What a parameter may hold: a switch, a whole number, a text (times, zones and amounts too), a list of texts, nothing.
Value = bool | int | str | tuple[str, ...] | None


#: Defaults for certain keys: the first whose keys are all among those asked for goes.
Special = tuple[tuple[Mapping[str, str], Value], ...]


class Kind(StrEnum):
    """How a value is written and checked."""

    BOOLEAN = "BOOLEAN"
    INTEGER = "INTEGER"  # within [low, high]
    CHOICE = "CHOICE"  # one of the choices
    CHOICES = "CHOICES"  # an ordered list of different choices
    CODES = "CODES"  # a list of different codes of the insurer's own
    TEXT = "TEXT"
    AMOUNT = "AMOUNT"  # decimal text, not negative, in the currency of the keys
    TIME = "TIME"  # HH:MM, local to the parameter's zone
    CRON = "CRON"  # five fields, or "daily HH:MM"
    ZONE = "ZONE"  # an IANA time zone
    LOCALE = "LOCALE"  # a BCP 47 language tag


@dataclass(frozen=True, slots=True)
class ParameterType:
    """What is known of a parameter.

    `keys` is its scope, from the most general to the most special key; empty: one value for the system. `special`
    holds defaults that differ for certain keys. `low` and `high` are inclusive.
    """

    name: str
    document: str
    kind: Kind
    default: Value
    keys: tuple[str, ...] = ()
    low: int = 0
    high: int = 2**31 - 1
    choices: tuple[str, ...] = ()
    nullable: bool = False
    special: Special = ()
    unit: str = ""

    def default_for(self, keys: Mapping[str, str]) -> Value:
        """The default that goes for these keys."""
        return next((value for when, value in self.special if when.items() <= keys.items()), self.default)


class ParameterUnknownError(LookupError):
    """No parameter has this name."""


# --- values a key may take -------------------------------------------------------------------------------------------

BILL_TYPES: Final = tuple(BillType)
FREQUENCIES: Final = tuple(Frequency)
CATEGORIES: Final = ("BANKING", "INTERNAL", "CUSTOMER_CREDIT")

#: Keys whose values are a closed list; any other key takes an identifier.
KEY_VALUES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "bill_type": BILL_TYPES,
        "mode": tuple(AllocationMode),
        "frequency": FREQUENCIES,
        "frequency_category": ("CYCLE", "PERIOD"),
        "customer_type": ("INDIVIDUAL", "ORGANIZATION"),
        "client_kind": ("USER", "PORTAL", "MACHINE"),
        "file_kind": ("DOCUMENT", "BANK"),
        "format": ("CSV", "XLSX"),
    }
)


def _boolean(name: str, document: str, default: bool, *keys: str, special: Special = ()) -> ParameterType:
    return ParameterType(name, document, Kind.BOOLEAN, default, keys, special=special)


def _integer(
    name: str,
    document: str,
    default: int | None,
    low: int,
    high: int,
    *keys: str,
    unit: str = "",
    special: Special = (),
) -> ParameterType:
    return ParameterType(
        name, document, Kind.INTEGER, default, keys, low, high, nullable=default is None, special=special, unit=unit
    )


def _choice(
    name: str,
    document: str,
    choices: tuple[str, ...],
    default: str,
    *keys: str,
    special: Special = (),
) -> ParameterType:
    return ParameterType(name, document, Kind.CHOICE, default, keys, choices=choices, special=special)


def _list(
    name: str,
    document: str,
    choices: tuple[str, ...],
    default: tuple[str, ...],
    *keys: str,
    special: Special = (),
) -> ParameterType:
    kind = Kind.CHOICES if choices else Kind.CODES
    return ParameterType(name, document, kind, default, keys, choices=choices, special=special)


def _text(name: str, document: str, kind: Kind, default: str | None, *keys: str) -> ParameterType:
    return ParameterType(name, document, kind, default, keys, nullable=default is None)


# --- the tables ------------------------------------------------------------------------------------------------------

_WORKING_DAY_MODES = ("NONE", "POSTPONE", "IN_ADVANCE")
_DAILY_RATE_BASES = ("ANNUAL_365", "ANNUAL_ACTUAL", "MODAL_PERIOD_DAYS")
_DAY_OFFSET_LIMITS = (6, 13, 27, 14, 29, 59, 89, 179, 364)  # CAL-013, in the order of FREQUENCIES

_CALENDAR = (
    _boolean("calendar.strict_holidays", "02", True),
    _choice("job.invoice_generation.non_working_day_mode", "02", _WORKING_DAY_MODES, "POSTPONE"),
    _choice("job.draft_bill.non_working_day_mode", "02", _WORKING_DAY_MODES, "NONE"),
    _choice(
        "schedule.default_timing",
        "02",
        ("ON_TIME", "ADVANCE", "ARREARS"),
        "ON_TIME",
        "bill_type",
        special=(({"bill_type": "FLEXIBILL"}, "ARREARS"),),
    ),
    _boolean("period.month_end_sticky", "02", True, "account"),
    _choice(
        "invoicing_start.alignment",
        "02",
        ("NONE", "MONTH_START", "WEEK_START"),
        "NONE",
        "frequency_category",
        "account",
    ),
    _integer("invoicing_start.alignment_weekday", "02", 1, 1, 7, "frequency_category", "account", unit="1 = Monday"),
    _choice("due_date.business_day_rule", "02", ("NONE", "NEXT", "PREVIOUS"), "NONE", "bill_type"),
    _integer(
        "day_offset.limit",
        "02",
        29,
        0,
        364,
        "frequency",
        unit="days",
        special=tuple(({"frequency": name}, days) for name, days in zip(FREQUENCIES, _DAY_OFFSET_LIMITS, strict=True)),
    ),
    _integer("due_date_offset.max", "02", 12, 0, 12, unit="months or cycles"),
    _integer("schedule.validation_periods", "02", 24, 1, 120, unit="periods"),
    _integer("calendar.generation_retry_count", "02", 3, 0, 10, "account"),
    _integer("calendar.generation_retry_interval", "02", 60, 1, 1440, "account", unit="minutes"),
    _boolean("calendar.draft_automation", "02", False, "account"),
    _integer("calendar.draft_offset_days", "02", 5, 0, 90, "account", unit="days"),
    _list(
        "flexibill.frequencies",
        "02",
        FREQUENCIES,
        tuple(name for name in FREQUENCIES if name not in ("SEMI_ANNUAL", "EVERY_28_DAYS")),
    ),
    _list("selfbill.frequencies", "02", FREQUENCIES, ("MONTHLY", "QUARTERLY", "ANNUAL")),
    _list("seasonal.frequencies", "02", FREQUENCIES, ("MONTHLY",)),
    _boolean("modal.align_first_period", "02", False, "master_policy"),
    _integer("payroll.horizon_months", "02", 24, 1, 120, unit="months"),
    _integer("plan.max_installments", "02", 12, 1, 12),
    # decision: a product's configuration of CAL-127 is this parameter, which the rulebook's table does not have.
    _integer("plan.product_due_day", "02", None, 1, 31, "product", unit="day of the month"),
)

_PREMIUM = (
    # Seasonal accounts always use MODAL_PERIOD_DAYS, whatever is set here (PRM-024).
    _choice("premium.proration_basis", "04", _DAILY_RATE_BASES, "ANNUAL_365", "product", "account"),
    _choice("premium.roll_on_mode", "04", ("MANUAL", "AUTOMATIC"), "MANUAL", "master_policy"),
    # Not in the rulebook: up to how many records a master policy transaction is over when it is answered (PRM-150).
    _integer("premium.cascade_at_once", "04", 500, 0, 500, unit="records"),
    _integer("premium.roll_on_alert_days", "04", 5, 1, 365, unit="days"),
    _choice("premium.premium_waiver_source", "04", ("POLICY", "CLAIMS"), "CLAIMS", "master_policy"),
    _integer("premium.waiver_claim_filing_days", "04", None, 0, 3660, "product", unit="days"),
    _boolean("premium.apply_to_all_policies", "04", True),
    _text("premium.anyb_job_time", "04", Kind.TIME, "02:00"),
    _integer("premium.anyb_job_batch", "04", 500, 1, 10_000),
    _text("premium.waiver_expiration_job_time", "04", Kind.TIME, "00:30"),
    _integer("premium.modal_history_page_size", "04", 50, 10, 200, "user", unit="rows"),
)

_INVOICING = (
    _choice("invoicing.inclusion_criterion", "05", ("PERIOD_FROM", "PERIOD_TO"), "PERIOD_FROM", "account"),
    _choice(
        "invoicing.zero_invoice",
        "05",
        ("GENERATE", "SUPPRESS"),
        "GENERATE",
        "bill_type",
        special=(({"bill_type": "INDIVIDUAL_DIRECT"}, "SUPPRESS"),),
    ),
    _text("invoicing.invoice_number_pattern", "05", Kind.TEXT, "INV-{sequence:08}"),
    _choice("invoicing.discard_order", "05", ("ANY", "DEPENDENTS_FIRST", "NEWEST_FIRST"), "ANY"),
    _integer("invoicing.process_lock_timeout", "05", 30, 1, 1440, unit="minutes"),
    _integer("invoicing.job_batch_size", "05", 100, 1, 10_000, "job"),
    _boolean("invoicing.auto_export", "05", False, "account"),
    _choice("invoicing.export_format", "05", ("CSV", "XLSX"), "CSV", "account"),
    _integer("invoicing.recent_invoices", "05", 4, 1, 100, unit="rows"),
)

_ALLOCATION_KEYS = ("bill_type", "mode", "strategy", "account")
_LBI_APPROACHES = ("remittance_file", "allocation_rules")
_LIST_BILL_INDIVIDUAL = {"bill_type": "LIST_BILL", "mode": "INDIVIDUAL"}  # the rulebook's LBI

_PAYMENTS = (
    _boolean("allocation.automated_allocation", "07", True, *_ALLOCATION_KEYS),
    _list(
        "allocation.approaches",
        "07",
        _LBI_APPROACHES,
        ("allocation_rules",),
        *_ALLOCATION_KEYS,
        special=((_LIST_BILL_INDIVIDUAL, _LBI_APPROACHES),),
    ),
    _boolean("allocation.allow_allocation_with_gaps", "07", False, *_ALLOCATION_KEYS),
    _boolean("allocation.allow_allocation_of_mismatched_amounts", "07", True, *_ALLOCATION_KEYS),
    _boolean("allocation.allow_partial_invoice_coverage", "07", True, *_ALLOCATION_KEYS),
    _boolean(
        "allocation.use_priority_rules",
        "07",
        False,
        *_ALLOCATION_KEYS,
        special=((_LIST_BILL_INDIVIDUAL, True), ({"bill_type": "INDIVIDUAL_DIRECT"}, True)),
    ),
    _list(
        "allocation.coverage_priority_order",
        "07",
        ("INVOICING_PERIOD", "PREMIUM_SEQUENCE", "PRODUCT"),
        (),
        *_ALLOCATION_KEYS,
    ),
    _integer("allocation.product_priority", "07", None, 0, 10_000, *_ALLOCATION_KEYS, "product"),
    _boolean(
        "autoconsumption.invoice_generation",
        "07",
        True,
        "bill_type",
        "mode",
        "account",
        special=((_LIST_BILL_INDIVIDUAL, False),),
    ),
    _boolean(
        "autoconsumption.recurring",
        "07",
        True,
        "bill_type",
        "mode",
        "account",
        special=((_LIST_BILL_INDIVIDUAL, False),),
    ),
    _list("consumption.category_order", "07", CATEGORIES, ("CUSTOMER_CREDIT", "INTERNAL", "BANKING")),
    # Each pair as "FROM>TO", for instance "LIST_BILL>SELF_BILL".
    _list("transfer.incompatible_types", "07", tuple(f"{a}>{b}" for a in BILL_TYPES for b in BILL_TYPES if a != b), ()),
    _list("reasons.unallocation", "07", (), ("MISAPPLIED", "CUSTOMER_REQUEST", "ENTRY_ERROR", "OTHER")),
    _list("reasons.suspension", "07", (), ("UNIDENTIFIED", "INVESTIGATION", "CUSTOMER_REQUEST", "OTHER")),
    _list("reasons.reversal", "07", (), ("ENTRY_ERROR", "DUPLICATE", "CUSTOMER_REQUEST", "OTHER")),
    _list(
        "reasons.transfer",
        "07",
        (),
        ("DUPLICATE_ACCOUNT", "MISAPPLIED", "CUSTOMER_REQUEST", "ACCOUNT_CHANGE", "OTHER"),
    ),
    _list("reasons.hold", "07", (), ("INVESTIGATION", "CUSTOMER_REQUEST", "OTHER")),
    _integer(
        "recurring.waiting_days",
        "07",
        14,
        0,
        90,
        "customer_type",
        "bill_type",
        "method",
        unit="days",
        special=(({"customer_type": "ORGANIZATION"}, 3),),
    ),
    _integer("recurring.offset_days", "07", 0, 0, 30, "bill_type", "account", unit="days"),
    _choice("recurring.business_day_rule", "07", ("NONE", "FOLLOWING", "PRECEDING"), "NONE", "account"),
    _integer("recurring.retry_days", "07", 3, 0, 90, "bill_type", "method", unit="days"),
    _integer("recurring.max_retries", "07", 2, 0, 10, "bill_type", "method"),
    _boolean("recurring.collect_payment_requests", "07", False, "bill_type", "account"),
    _text("recurring.job_schedule", "07", Kind.CRON, "daily 04:00"),
    _integer("method.expiry_warning_days", "07", 30, 0, 365, unit="days"),
    _list("cash_deduction.products", "07", (), ()),
    _integer("remittance.max_rows", "07", 50_000, 1, 1_000_000, unit="rows"),
    _boolean("receipt.enabled", "07", True, "bill_type"),
    _integer("publication.max_attempts", "07", 5, 1, 100, "message_type"),
    _integer("payments.recent_payments", "07", 4, 1, 100, unit="rows"),
)

_BALANCES = (
    _choice("reconciliation.trigger_strategy", "08", ("COMBINED", "SEPARATE"), "COMBINED", "bill_type", "account"),
    _list("excess.category_order", "08", CATEGORIES, ("BANKING", "INTERNAL", "CUSTOMER_CREDIT")),
    _boolean("excess.amendment_to_overpayment", "08", False, "account"),
    _choice("minimum_due.mode", "08", ("FULL", "FIXED_AMOUNT"), "FULL", "product"),
    ParameterType("minimum_due.amount", "08", Kind.AMOUNT, None, ("currency", "product"), nullable=True),
    _choice(
        "ptd.strategy",
        "08",
        ("BY_INVOICE", "DAILY_RATE", "MAXIMUM"),
        "MAXIMUM",
        "bill_type",
        "mode",
        "account",
    ),
    _boolean("ptd.gap_credit", "08", True, "bill_type"),
    _choice("ptd.daily_rate_basis", "08", _DAILY_RATE_BASES, "ANNUAL_365", "account"),
    _boolean("ptd.require_first_invoice_paid", "08", False, "bill_type"),
    _boolean("ptd.cap_at_billed_end", "08", False, "bill_type"),
    _list("ptd.excluded_writeoff_reasons", "08", (), (), "bill_type"),
    _text("ptd.job_schedule", "08", Kind.CRON, "daily 03:00"),
    _text("balance.verification_schedule", "08", Kind.CRON, "daily 04:00"),
    _choice("balance.snapshot_push", "08", ("ON_CHANGE", "ON_REQUEST"), "ON_CHANGE"),
    _list("register.amount_types", "08", ("PREMIUM", "TAX", "FEE"), ("PREMIUM", "TAX", "FEE")),
)

_SECOND_FACTOR_COMMANDS = (
    "ApproveRefund",
    "ReleaseRefundBatch",
    "InitiateRefund",
    "EditRefund",
    *PRIVILEGES["user.manage"].commands,
    *PRIVILEGES["apikey.manage"].commands,
    "RevealPersonalData",
)

_PLATFORM = (
    _text("platform.time_zone", "13", Kind.ZONE, "UTC"),
    _text("platform.locale", "13", Kind.LOCALE, "en-US"),
    _integer("idempotency.retention_days", "13", 90, 1, 3660, unit="days"),
    _integer("batch.max_items", "13", 500, 1, 500),
    _integer("command.conflict_retries", "13", 3, 0, 100),
    _integer("approval.validity_hours", "13", 24, 1, 720, unit="hours"),
    _integer("sod.method_change_days", "13", 5, 0, 365, unit="days"),
    _list("second_factor.commands", "13", (), _SECOND_FACTOR_COMMANDS),
    _integer("platform.bam_retry_attempts", "13", 3, 0, 100),
    _integer("platform.bam_retry_delay", "13", 60, 1, 86_400, unit="seconds"),
    _integer("webhook.suspend_after", "13", 10, 1, 1000, "subscription"),
    _integer("webhook.keep_days", "13", 7, 1, 90, "subscription", unit="days"),
    _integer("job.service_window", "13", 4, 1, 24, "job", unit="hours"),
    _integer("job.max_wait", "13", 2, 0, 24, "job", unit="hours"),
    _integer("job.abort_after_same_failures", "13", 100, 1, 100_000, "job"),
    _text("job.start_time", "13", Kind.TIME, None, "job"),
    _integer("platform.dead_letter_alert_after", "13", 24, 1, 720, unit="hours"),
    _integer("deadletter.list_days", "13", 90, 1, 3660, unit="days"),
    _integer(
        "export.rows_per_file",
        "13",
        1_000_000,
        1,
        1_048_575,
        "format",
        unit="rows",
        special=(({"format": "XLSX"}, 100_000),),
    ),
    _integer("export.max_rows", "13", 5_000_000, 1, 100_000_000, unit="rows"),
    _integer("export.keep_days", "13", 7, 1, 365, unit="days"),
    _integer("retention.years", "13", 7, 7, 100, "jurisdiction", unit="years"),
    _integer("techlog.retention_days", "13", 90, 1, 3660, unit="days"),
    _integer("upload.max_mb", "13", 20, 1, 1000, "file_kind", unit="MB", special=(({"file_kind": "BANK"}, 200),)),
    _integer("rules.cache_hours", "13", 24, 0, 720, "table", unit="hours"),
    # PLT-093 to PLT-096.
    _integer("session.access_token_minutes", "13", 15, 1, 60, unit="minutes"),
    _integer("session.refresh_token_hours", "13", 8, 1, 24, unit="hours"),
    _integer(
        "session.idle_minutes",
        "13",
        30,
        1,
        240,
        "client_kind",
        unit="minutes",
        special=(({"client_kind": "PORTAL"}, 15),),
    ),
    _integer(
        "session.max_hours", "13", 12, 1, 24, "client_kind", unit="hours", special=(({"client_kind": "PORTAL"}, 8),)
    ),
    _integer("lock.after_failures", "13", 5, 1, 100),
    _integer("lock.minutes", "13", 15, 1, 1440, unit="minutes"),
    _integer("lock.final_after_failures", "13", 10, 1, 100),
    _integer(
        "rate.requests_per_minute",
        "13",
        300,
        1,
        1_000_000,
        "client_kind",
        unit="requests",
        special=(({"client_kind": "PORTAL"}, 60), ({"client_kind": "MACHINE"}, 3000)),
    ),
    _integer("rate.logins_per_minute", "13", 10, 1, 10_000, unit="attempts per address"),
    _integer("rate.exports_per_hour", "13", 10, 1, 10_000, unit="exports per user"),
)

#: Every parameter by its full name.
PARAMETERS: Final[Mapping[str, ParameterType]] = MappingProxyType(
    {
        parameter.name: parameter
        for table in (_CALENDAR, _PREMIUM, _INVOICING, _PAYMENTS, _BALANCES, _PLATFORM)
        for parameter in table
    }
)

#: Rows of the rulebook's tables that are records or tables of their own, and where they are set.
SET_ELSEWHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "calendar.default": "SetDefaultBillingCalendar",
        "number_of_days_ahead": "DefineGenerationRule",
        "schedule.defaults": "ActivateDefaultRules",
        "tolerance row": "ConfigureTolerance",
    }
)

#: Names the rulebook uses without their domain, or in the spelling of a partner's message.
_SHORT_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{
            name.partition(".")[2]: name
            for name in PARAMETERS
            if name.partition(".")[0] in ("calendar", "premium", "invoicing", "payments", "platform")
        },
        "allowAllocationWithGaps": "allocation.allow_allocation_with_gaps",
        "allowAllocationOfMismatchedAmounts": "allocation.allow_allocation_of_mismatched_amounts",
        "allowPartialInvoiceCoverage": "allocation.allow_partial_invoice_coverage",
        "retention_years": "retention.years",
    }
)


def parameter(name: str) -> ParameterType:
    """The parameter of a full name, or of the short name the rulebook uses. Raises ParameterUnknownError."""
    try:
        return PARAMETERS[_SHORT_NAMES.get(name, name)]
    except KeyError:
        raise ParameterUnknownError(f"there is no parameter {name}") from None


# --- checking a value ------------------------------------------------------------------------------------------------

_CRON_FIELD = re.compile(r"^(\*|\d{1,2}(-\d{1,2})?(,\d{1,2}(-\d{1,2})?)*)(/\d{1,2})?$")
_CRON_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_TIME = re.compile(r"^([01]\d|2[0-3]):[0-5]\d$")
_ZONE = re.compile(r"^(UTC|[A-Z][A-Za-z_]+(/[A-Z][A-Za-z0-9_+-]*){1,2})$")
_LOCALE = re.compile(r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?$")
_CODE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
_NUMBER_PATTERN = re.compile(r"([A-Za-z0-9._-]{0,20})\{sequence:0(\d{1,2})\}([A-Za-z0-9._-]{0,20})")
_MAX_LIST = 1000


def numbered(pattern: str, sequence: int) -> str:
    """The number that a pattern such as `INV-{sequence:08}` gives to a sequence."""
    parts = _NUMBER_PATTERN.fullmatch(pattern)
    assert parts is not None
    before, digits, behind = parts.groups()
    return f"{before}{sequence:0{int(digits)}d}{behind}"


#: Values of the rulebook whose rules this service does not carry out yet.
#: decision: they are refused, for setting them would promise what is not done.
NOT_OFFERED: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "reconciliation.trigger_strategy": frozenset({"SEPARATE"}),
        "minimum_due.mode": frozenset({"FIXED_AMOUNT"}),
        "ptd.daily_rate_basis": frozenset({"ANNUAL_ACTUAL", "MODAL_PERIOD_DAYS"}),
    }
)


def problem_of_value(kind: ParameterType, value: Value, keys: Mapping[str, str]) -> Problem | None:
    """What is wrong with a value (`VALUE_OUT_OF_RANGE`, PLT-110); None when the parameter may hold it.

    An order of the payment categories has each of them (`CATEGORY_ORDER_INCOMPLETE`, PAY-038, BAL-064).
    """
    fault = _fault(kind, value, keys)
    if fault is None and isinstance(value, str) and value in NOT_OFFERED.get(kind.name, ()):
        fault = f"{value} is not offered by this service yet"
    if fault is not None:
        return Problem("VALUE_OUT_OF_RANGE", f"{kind.name}: {fault}", pointer="/value", params={"name": kind.name})
    if kind.choices == CATEGORIES and isinstance(value, tuple) and len(value) != len(CATEGORIES):
        missing = sorted(set(CATEGORIES) - set(value))
        message = f"{kind.name}: each category is listed once; missing: {', '.join(missing)}"
        params = {"name": kind.name, "missing": missing}
        return Problem("CATEGORY_ORDER_INCOMPLETE", message, pointer="/value", params=params)
    return None


def _fault(kind: ParameterType, value: Value, keys: Mapping[str, str]) -> str | None:
    if value is None:
        return None if kind.nullable else "a value is needed"
    match kind.kind:
        case Kind.BOOLEAN:
            return _boolean_fault(kind, value, keys)
        case Kind.INTEGER:
            return _integer_fault(kind, value)
        case Kind.CHOICES | Kind.CODES:
            return _list_fault(kind, value)
        case _:
            return _text_fault(kind, value, keys) if isinstance(value, str) else "a text is needed"


def _boolean_fault(kind: ParameterType, value: Value, keys: Mapping[str, str]) -> str | None:
    if not isinstance(value, bool):
        return "true or false is needed"
    fixed = kind.name.startswith("autoconsumption.") and _LIST_BILL_INDIVIDUAL.items() <= keys.items()
    return "on a list bill with individual allocation money is never consumed by itself" if value and fixed else None


def _integer_fault(kind: ParameterType, value: Value) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return "a whole number is needed"
    return None if kind.low <= value <= kind.high else f"a number from {kind.low} to {kind.high} is needed"


def _list_fault(kind: ParameterType, value: Value) -> str | None:
    if not isinstance(value, tuple):
        return "a list is needed"
    if len(value) > _MAX_LIST or len(set(value)) != len(value):
        return f"at most {_MAX_LIST} different entries are needed"
    if kind.kind is Kind.CHOICES:
        return None if set(value) <= set(kind.choices) else f"only these may be listed: {', '.join(kind.choices)}"
    if kind.name.startswith("reasons.") and "OTHER" not in value:
        return "OTHER must be among the reasons"
    return None if all(_CODE.fullmatch(entry) for entry in value) else "codes of letters, digits, dot, dash, underscore"


def _text_fault(kind: ParameterType, value: str, keys: Mapping[str, str]) -> str | None:
    match kind.kind:
        case Kind.CHOICE:
            return None if value in kind.choices else f"one of {', '.join(kind.choices)} is needed"
        case Kind.TIME:
            return None if _TIME.fullmatch(value) else "a time HH:MM is needed"
        case Kind.CRON:
            return None if _is_schedule(value) else '"daily HH:MM" or five cron fields are needed'
        case Kind.ZONE:
            return None if _ZONE.fullmatch(value) else "an IANA time zone is needed"
        case Kind.LOCALE:
            return None if _LOCALE.fullmatch(value) else "a language tag such as en-US is needed"
        case Kind.AMOUNT:
            return _amount_fault(value, keys)
        case _:
            return _plain_text_fault(kind, value)


def _is_schedule(value: str) -> bool:
    if value.startswith("daily "):
        return bool(_TIME.fullmatch(value.removeprefix("daily ")))
    fields = value.split(" ")
    return len(fields) == len(_CRON_BOUNDS) and all(
        _CRON_FIELD.fullmatch(field)
        and all(low <= int(number) <= high for number in re.findall(r"\d+", field.split("/")[0]))
        for field, (low, high) in zip(fields, _CRON_BOUNDS, strict=True)
    )


def _amount_fault(value: str, keys: Mapping[str, str]) -> str | None:
    currency = keys.get("currency")
    if currency is None:
        return "an amount needs the key currency"
    try:
        return None if parse_amount(value, currency) >= 0 else "an amount of zero or more is needed"
    except (AmountFormatError, CurrencyNotSupportedError) as error:
        return str(error)


def _plain_text_fault(kind: ParameterType, value: str) -> str | None:
    if not 1 <= len(value) <= 200 or not value.isprintable():
        return "a text of 1 to 200 printable characters is needed"
    if kind.name.endswith("_number_pattern") and not _NUMBER_PATTERN.fullmatch(value):
        return "the pattern needs one {sequence:0n}, n the number of digits, between letters, digits, dots and dashes"
    return None


def problems_of_keys(kind: ParameterType, keys: Mapping[str, str]) -> list[Problem]:
    """Keys outside the parameter's scope, or with a value that key cannot have (`REQUEST_INVALID`)."""
    problems = []
    for key, value in keys.items():
        allowed = KEY_VALUES.get(key)
        if key not in kind.keys:
            scope = ", ".join(kind.keys) or "none: it goes for the whole system"
            message = f"{kind.name} is not set by {key}; its keys are {scope}"
        elif allowed is not None and value not in allowed:
            message = f"{key} is one of {', '.join(allowed)}"
        else:
            continue
        problems.append(
            Problem("REQUEST_INVALID", message, pointer=f"/keys/{key.replace('~', '~0').replace('/', '~1')}")
        )
    return problems


# --- the aggregate: one parameter for one set of keys ----------------------------------------------------------------


@event()
class ParameterSet:
    """A parameter got a value for its keys, from `effective_from` (inclusive) on. `version` counts from 1."""

    name: str
    keys: Mapping[str, str]
    version: int
    value: bool | int | str | tuple[str, ...] | None
    previous_value: bool | int | str | tuple[str, ...] | None
    effective_from: dt.date


@dataclass(frozen=True, slots=True)
class Setting:
    """One value and the day from which it goes."""

    version: int
    value: Value
    effective_from: dt.date


@dataclass(frozen=True, slots=True)
class ParameterState:
    """All settings of one parameter for one set of keys, in the order of their recording."""

    keys: tuple[tuple[str, str], ...] = ()
    settings: tuple[Setting, ...] = ()

    @property
    def version(self) -> int:
        return self.settings[-1].version if self.settings else 0

    def in_force(self, on: dt.date) -> Setting | None:
        """The setting in force on a day: the latest effective date not after it, of those the last recorded."""
        begun = [setting for setting in self.settings if setting.effective_from <= on]
        return max(begun, key=lambda setting: (setting.effective_from, setting.version), default=None)


def evolve(state: ParameterState, occurred: object) -> ParameterState:
    """The state after an event."""
    match occurred:
        case ParameterSet():
            setting = Setting(occurred.version, _frozen(occurred.value), occurred.effective_from)
            return replace(state, keys=tuple(sorted(occurred.keys.items())), settings=(*state.settings, setting))
        case _:
            raise TypeError(f"{type(occurred).__name__} is no event of a parameter")


PARAMETER: Final = Aggregate("parameter", ParameterState, ParameterState(), evolve)


def set_parameter(
    state: ParameterState,
    kind: ParameterType,
    keys: Mapping[str, str],
    value: Value,
    effective_from: dt.date,
    today: dt.date,
) -> list[object]:
    """Set a value from a day on. Refuses a value or a day out of range with every problem (PLT-110).

    decision: the day lies at most in ten years and never in the past, for what was recorded stands on the old value.
    """
    problems = problems_of_keys(kind, keys)
    wrong = problem_of_value(kind, value, keys)
    if wrong:
        problems.append(wrong)
    if not today <= effective_from <= today + dt.timedelta(days=3660):
        message = "a parameter is set from today or a later day within ten years on"
        problems.append(Problem("VALUE_OUT_OF_RANGE", message, pointer="/effective_from"))
    refuse_if_any(problems)
    before = state.in_force(effective_from)
    return [
        ParameterSet(
            name=kind.name,
            keys=dict(sorted(keys.items())),
            version=state.version + 1,
            value=value,
            previous_value=before.value if before else kind.default_for(keys),
            effective_from=effective_from,
        )
    ]


def _frozen(value: object) -> Value:
    """A stored list comes back as a list; a state holds tuples."""
    return tuple(value) if isinstance(value, list) else value  # type: ignore[return-value]


# --- the value in force ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ValueInForce:
    """A value with what it came from: the keys it is set for and its version (0: the default). Events carry both."""

    name: str
    value: Value
    version: int
    keys: tuple[tuple[str, str], ...] = ()


def identifier_of(name: str, keys: Mapping[str, str]) -> str:
    """The stream identifier of a parameter for exactly these keys."""
    return "|".join((name, *(f"{key}={value}" for key, value in sorted(keys.items()))))


def identifiers_for(kind: ParameterType, keys: Mapping[str, str]) -> list[str]:
    """The streams that may hold the value for these keys, from the general to the most special."""
    relevant = [(key, keys[key]) for key in kind.keys if key in keys]
    return [
        identifier_of(kind.name, dict(chosen))
        for count in range(len(relevant) + 1)
        for chosen in combinations(relevant, count)
    ]


def value_in_force(
    kind: ParameterType, keys: Mapping[str, str], states: Iterable[ParameterState], on: dt.date
) -> ValueInForce:
    """The value that goes for these keys on a day (PLT-110): the one set for the most special matching keys.

    Of two settings, the one that names the more special key (the later one in the parameter's scope) wins. Without any
    setting in force it is the default. `states` are those of `identifiers_for`; others are ignored.
    """
    best: tuple[tuple[bool, ...], ParameterState, Setting] | None = None
    for state in states:
        setting = state.in_force(on)
        named = dict(state.keys)
        if setting is None or any(keys.get(key) != value for key, value in named.items()):
            continue
        rank = tuple(key in named for key in reversed(kind.keys))
        if best is None or rank > best[0]:
            best = (rank, state, setting)
    if best is None:
        return ValueInForce(kind.name, kind.default_for(keys), 0)
    _, state, setting = best
    return ValueInForce(kind.name, setting.value, setting.version, state.keys)
