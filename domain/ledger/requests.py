"""Posting requests: what must be there before anything is posted, and each id only once (LED-019, LED-020, LED-022)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from domain.errors import Problem, Refusal
from domain.ledger.periods import parse_timestamp
from domain.ledger.rules import TransactionType, classification_problems


@dataclass(frozen=True, slots=True)
class PostingRequest:
    """A request as it came, nothing checked yet."""

    transaction_type: str | None
    transaction_date: str | None
    transaction_id: str | None
    transaction_class: str | None
    operation: str | None = None


def request_problems(request: PostingRequest, known_ids: Collection[str]) -> list[Problem]:
    """Missing fields together, then timestamp, classification, and an id that is in use (LED-009 to 011, 019, 020)."""
    missing = [
        name
        for name, value in (
            ("BusinessTransactionType", request.transaction_type),
            ("BusinessTransactionDate", request.transaction_date),
            ("BusinessTransactionId", request.transaction_id),
        )
        if not value
    ]
    problems = []
    if missing:
        problems.append(Problem("TRANSACTION_INCOMPLETE", f"missing: {', '.join(missing)}", params={"fields": missing}))
    if request.transaction_date:
        try:
            parse_timestamp(request.transaction_date)
        except Refusal as refused:
            problems.extend(refused.problems)
    problems += classification_problems(request.transaction_class, request.operation, request.transaction_type)
    if request.transaction_type and request.transaction_type not in set(TransactionType):
        problems.append(
            Problem(
                "POSTING_CONFIGURATION_MISSING",
                "the transaction type has no posting rules",
                pointer="/BusinessTransactionType",
            )
        )
    if request.transaction_id in known_ids:
        problems.append(
            Problem(
                "BUSINESS_TRANSACTION_ID_DUPLICATE",
                "a transaction with this id is posted, blocked or queued",
                pointer="/BusinessTransactionId",
            )
        )
    return problems
