"""The table of refusal codes is the rulebook's, word for word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from domain.platform.error_codes import ERROR_CODES, is_retryable, status_of

RULEBOOK = Path(__file__).parents[3] / "docs" / "rules" / "13-platform.md"
CODE = r"(?:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|FORBIDDEN|UNAUTHENTICATED|bil\d{4})"
USERS = r"(?: \+(\d\d(?: \d\d)*))?"


def codes_of_the_rulebook() -> dict[str, tuple[int, tuple[str, ...], str]]:
    """Appendix D read from its text: code -> (status, documents, meaning)."""
    text = RULEBOOK.read_text(encoding="utf-8")
    appendix = text[text.index("## Appendix D: error codes") : text.index("Not refusals:")]
    found: dict[str, tuple[int, tuple[str, ...], str]] = {}
    for document, body in re.findall(r"^\*\*(\d\d) [^*]+\*\* (.+)$", appendix, re.MULTILINE):
        for status, group in re.findall(r"\*(\d{3})\* (.*?)\.(?= \*\d{3}\*|$)", body):
            for entry in re.split(rf"; (?={CODE}(?:[ ,;]|$))", group):
                bare = rf"{CODE}{USERS.replace('(', '(?:').replace('(?:?:', '(?:')}"
                parts = entry.split(", ") if re.fullmatch(rf"{bare}(?:, {bare})*", entry) else [entry]
                for part in parts:
                    match = re.fullmatch(rf"({CODE}){USERS}(?: (.+))?", part)
                    assert match is not None, part
                    code, users, meaning = match.groups()
                    assert code not in found, code
                    found[code] = (int(status), (document, *(users or "").split()), meaning or "")
    return found


@pytest.mark.rule("PLT-018")
def test_every_code_of_the_rulebook_is_in_the_table_with_its_status_documents_and_meaning() -> None:
    expected = codes_of_the_rulebook()
    assert len(expected) > 500
    actual = {code: (row.status, row.documents, row.meaning) for code, row in ERROR_CODES.items()}
    assert actual == expected


@pytest.mark.rule("PLT-017")
def test_the_status_follows_from_the_code() -> None:
    assert status_of("REQUEST_INVALID") == 400
    assert status_of("UNAUTHENTICATED") == 401
    assert status_of("FORBIDDEN") == 403
    assert status_of("BILLING_ACCOUNT_NOT_FOUND") == 404
    assert status_of("CONCURRENT_CHANGE") == 409
    assert status_of("EXPORT_EXPIRED") == 410
    assert status_of("MANDATORY_FIELDS_MISSING") == 422
    assert status_of("RATE_LIMITED") == 429
    assert status_of("BALANCE_CONSTRAINT_VIOLATED") == 500
    assert status_of("MAINTENANCE_MODE") == 503


@pytest.mark.rule("PLT-017", "MEM-051")
def test_a_refused_purchase_is_400_unless_it_is_a_matter_of_who_asks() -> None:
    for command in ("PurchaseProduct", "PurchaseProductGroup", "PurchaseMemberQuote"):
        assert status_of("CURRENCY_MISMATCH", command) == 400
        assert status_of("CREDIT_HOLD", command) == 400
        assert status_of("BILLING_ACCOUNT_NOT_FOUND", command) == 400
        assert status_of("UNAUTHENTICATED", command) == 401
        assert status_of("FORBIDDEN", command) == 403
    assert status_of("CURRENCY_MISMATCH", "ApplyPayment") == 422


def test_an_invented_code_has_no_status() -> None:
    with pytest.raises(KeyError):
        status_of("SOMETHING_WENT_WRONG")


@pytest.mark.rule("PLT-019")
def test_retryable_are_the_running_ones_and_429_and_503_and_no_other() -> None:
    assert {code for code in ERROR_CODES if is_retryable(code)} == {
        "COMMAND_IN_PROGRESS",
        "ACTIVITY_IN_PROGRESS",
        "PROCESS_CONFLICT",
        "RUN_ALREADY_ACTIVE",
        "RECALCULATION_IN_PROGRESS",
        "REPROCESSING_IN_PROGRESS",
        "RATE_LIMITED",
        "TRANSITION_FAILED",
        "ALLOCATION_FAILED",
        "KEYS_UNAVAILABLE",
        "MAINTENANCE_MODE",
        "PROJECTION_BEHIND",
        "RULES_UNAVAILABLE",
        "SERVICE_UNAVAILABLE",
    }
