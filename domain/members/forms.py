"""Whether a transaction is complete and well formed, before any record is looked at (PRM-001 to PRM-003).

All faults of the form are reported at once, each naming its field. What a type needs besides the common fields is the
table `_NEEDED`; a move names its missing account and modality with codes of its own (MEM-121).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from domain.errors import Problem
from domain.members.requests import TransactionRequest
from domain.premium.sequences import registration_conflict
from domain.premium.transactions import AmendmentKind, ItemKey, PremiumAmount, TransactionType

STOP_OR_RESUME: Final = frozenset({AmendmentKind.STOP_BILLING, AmendmentKind.RESUME_BILLING})
#: PRM-082.
RESUME_REASONS: Final = frozenset({"PAYMENT_RECEIVED", "HOME_OFFICE_ERROR", "OTHER"})
#: PRM-002.
NONFORFEITURE: Final = frozenset({"REDUCED_PAID_UP", "EXTENDED_TERM"})

_COMMON: Final = ("transaction_id", "type", "origin", "member_record", "effective_date", "transaction_date")
_NEEDED: Final[dict[TransactionType, tuple[str, ...]]] = {
    TransactionType.NEW_BUSINESS: ("member", "amounts"),
    TransactionType.AMENDMENT: ("kinds",),
    TransactionType.RENEWAL: ("amounts",),
    TransactionType.WAIVER_ADD: ("waiver_source",),
    TransactionType.WAIVER_REMOVE: ("waiver_id",),
    TransactionType.INVOICING_MODALITY_CHANGE: ("account", "modality"),
    TransactionType.SEASONAL_UPDATE: ("account",),
}
#: Members that a message calls otherwise than the request.
_NAMES: Final = {"waiver_source": "source"}
_NEEDED_BY_KIND: Final[dict[AmendmentKind, tuple[str, ...]]] = {
    AmendmentKind.GENERAL: ("amounts",),
    AmendmentKind.CLASSIFICATION_CHANGE: ("amounts",),
    AmendmentKind.PAYROLL_FREQUENCY_CHANGE: ("payroll_frequency",),
    AmendmentKind.STOP_BILLING: ("nonforfeiture",),
    AmendmentKind.RESUME_BILLING: ("reason",),
}


def form_problems(request: TransactionRequest) -> list[Problem]:
    """Everything wrong with the form of a transaction, in the order of its fields (PRM-003, PLT-014)."""
    kind = request.kind
    problems = [_missing(name, kind) for name in _COMMON if not getattr(request, name)]
    if request.type and kind is None:
        problems.append(
            Problem(
                "UNKNOWN_TRANSACTION_TYPE",
                f"{request.type} is not a billing transaction type",
                "/type",
                params={"type": request.type},
            )
        )
    if kind is None:
        return problems
    needed = list(_NEEDED.get(kind, ()))
    if kind is TransactionType.AMENDMENT:
        needed += [name for one in request.kinds for name in _NEEDED_BY_KIND[one]]
    problems += [_missing(name, kind) for name in dict.fromkeys(needed) if not getattr(request, name)]
    return [*problems, *_kind_problems(request), *_amount_problems(request, kind), *_employment_problems(request, kind)]


def _missing(name: str, kind: TransactionType | None) -> Problem:
    if name == "effective_date" and kind is TransactionType.EMPLOYMENT_CHANGE:
        return Problem("EFFECTIVE_DATE_MISSING", "an employment change needs an effective date", "/effective_date")
    if name == "amounts" and kind is TransactionType.NEW_BUSINESS:
        return _premium_missing("/amounts")
    name = _NAMES.get(name, name)
    return missing(name)


def missing(name: str) -> Problem:
    """A mandatory member that the message lacks (PRM-003)."""
    return Problem("TRANSACTION_INCOMPLETE", f"{name} is missing", f"/{name}", params={"field": name})


def _premium_missing(pointer: str) -> Problem:
    """A list-bill member record has a premium from its start (MEM-019)."""
    return Problem("PREMIUM_MISSING", "a member record starts with an annual amount for each key", pointer)


def _kind_problems(request: TransactionRequest) -> list[Problem]:
    problems = []
    if STOP_OR_RESUME & set(request.kinds) and len(set(request.kinds)) > 1:
        problems.append(
            Problem(
                "AMENDMENT_KIND_CONFLICT",
                "a stop or resume of billing goes with no other kind of amendment",
                "/kinds",
                params={"kinds": [one.value for one in request.kinds]},
            )
        )
    if (
        AmendmentKind.STOP_BILLING in request.kinds
        and (request.nonforfeiture or "REDUCED_PAID_UP") not in NONFORFEITURE
    ):
        problems.append(Problem("REQUEST_INVALID", "not a nonforfeiture option", "/nonforfeiture"))
    if AmendmentKind.RESUME_BILLING in request.kinds and request.reason and request.reason not in RESUME_REASONS:
        problems.append(Problem("RESUME_REASON_INVALID", "not a reason to resume billing", "/reason"))
    return problems


def _amount_problems(request: TransactionRequest, kind: TransactionType) -> list[Problem]:
    """Faults of the amounts; at a start each needs one."""
    problems = amount_problems(request.amounts)
    if kind is TransactionType.NEW_BUSINESS:
        for index, amount in enumerate(request.amounts):
            if amount.annual is None:
                problems.append(_premium_missing(f"/amounts/{index}/annual_amount"))
    return problems


def amount_problems(amounts: Sequence[PremiumAmount], where: str = "/amounts") -> list[Problem]:
    """Keys named twice (MEM-026), two amounts for one coverage (PRM-020), amounts below zero, sequences (MEM-035)."""
    problems: list[Problem] = []
    keys: set[ItemKey] = set()
    coverages: set[str] = set()
    for index, amount in enumerate(amounts):
        pointer = f"{where}/{index}"
        if amount.key in keys or (amount.annual is not None and amount.key.coverage in coverages):
            problems.append(Problem("PREMIUM_KEY_DUPLICATE", f"coverage {amount.key.coverage} is named twice", pointer))
        keys.add(amount.key)
        if amount.annual is not None:
            coverages.add(amount.key.coverage)
            if amount.annual < 0:
                problems.append(
                    Problem("REQUEST_INVALID", "an annual amount is not negative", f"{pointer}/annual_amount")
                )
        conflict = registration_conflict(amount.sequences)
        if conflict is not None:
            problems.append(Problem("SEQUENCE_CONFLICT", conflict, f"{pointer}/sequences"))
    return problems


def _employment_problems(request: TransactionRequest, kind: TransactionType) -> list[Problem]:
    if kind is not TransactionType.EMPLOYMENT_CHANGE or not (request.location is None and request.division is None):
        return []
    return [
        Problem(
            "TRANSACTION_INCOMPLETE",
            "an employment change states location or division",
            "/location",
            params={"field": "location"},
        )
    ]
