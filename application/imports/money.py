"""From bank files and remittance advices to receipts and what they shall pay.

A booked credit is a receipt: who sent it is told by the references on it, which are looked up as account numbers and
invoice numbers when the step is taken. An advice tells what a payment is for, and is tied to its money by the trace
number; whichever comes first waits for the other. Account numbers of payers are not kept (PAY-015), of our own account
only the last four characters.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any, Final

from application.files.bank import BankLine, BankStatementFile, Direction
from application.files.identity import Place
from application.files.remittance import RemittanceAdvice, RemittanceFile
from application.imports.steps import ADVICE, RECEIPT, Step, StepState, noted, queued
from domain.money import format_amount

#: What may be a number of ours in a reference or a text.
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{3,38}[A-Za-z0-9]", re.ASCII)
_NO_REFERENCE: Final = ("", "NOTPROVIDED", "NONREF")
_MOST_WORDS: Final = 50
_INVOICE: Final = ("IV", "IK")


def bank_steps(file: BankStatementFile) -> Iterator[Step]:
    """A step for every line of the file, booked or not."""
    for statement in file.statements:
        for line in statement.lines:
            yield _bank_step(line)
        for invalid in statement.invalid_lines:
            yield queued("Bank line", invalid.place, "INVALID_LINE", reason=invalid.reason)


def _bank_step(line: BankLine) -> Step:
    if not line.booked:
        return noted("Bank line", line.place, "NOT_BOOKED")
    amount = format_amount(line.minor, line.currency)
    if line.direction is Direction.DEBIT or line.reversal:
        if line.return_reason or line.reversal:
            return queued("Bank line", line.place, "RETURNED_ITEM", amount=amount, reason=line.return_reason)
        return noted("Bank line", line.place, "DEBIT")
    traces = [
        text
        for text in (line.end_to_end_id, line.customer_reference, line.transaction_id, line.bank_reference)
        if text.strip().upper() not in _NO_REFERENCE
    ]
    payload = {
        "amount": amount,
        "currency": line.currency,
        "value_date": line.value_date.isoformat(),
        "our_account": masked(line.account),
        "words": _words(line),
        "reference": (traces or [line_key(line)])[0][:100],
    }
    return Step(RECEIPT, line.place, payload=payload, match_key=traces[0] if traces else None, line_key=line_key(line))


def line_key(line: BankLine) -> str:
    """The line key of ARO-022 as a digest: the key itself holds an account number."""
    return hashlib.sha256(repr(line.key).encode()).hexdigest()[:40]


def masked(number: str) -> str:
    """An account number as it may be kept: every character but the last four is `*`; all of four or fewer (PAY-015)."""
    if len(number) <= 4:
        return "*" * len(number)
    return "*" * (len(number) - 4) + number[-4:]


def _words(line: BankLine) -> list[str]:
    """Candidates for numbers of ours, in the order in which they are worth looking up."""
    texts = [
        *(item.number for item in line.remittance),
        *(item.creditor_reference for item in line.remittance),
        line.customer_reference,
        line.end_to_end_id,
        line.text,
    ]
    found = dict.fromkeys(word.upper() for text in texts for word in _WORD.findall(text))
    return list(found)[:_MOST_WORDS]


def advice_steps(file: RemittanceFile) -> Iterator[Step]:
    """A step for every advice of the file."""
    for advice in file.advices:
        yield _advice_step(advice)


def _advice_step(advice: RemittanceAdvice) -> Step:
    place = advice.entities[0].place if advice.entities else Place()
    if not advice.credit:
        return queued(ADVICE, place, "DEBIT_ADVICE", amount=format_amount(advice.amount, advice.currency))
    invoices: dict[str, int] = {}
    others = 0
    words: list[str] = []
    for line in advice.lines:
        if line.reference_qualifier in _INVOICE and line.paid > 0:
            invoices[line.reference] = invoices.get(line.reference, 0) + line.paid
        else:
            others += 1
            words.append(line.reference.upper())
    payload: dict[str, Any] = {
        "amount": format_amount(advice.amount, advice.currency),
        "currency": advice.currency,
        "targets": [
            {"invoice": invoice, "amount": format_amount(minor, advice.currency)} for invoice, minor in invoices.items()
        ],
        # Lines that name no invoice, or take money back: what they are for a person decides.
        "other_lines": others,
        "words": words[:_MOST_WORDS],
    }
    if not advice.trace_number:
        return Step(ADVICE, place, StepState.QUEUED, payload=payload, code="TRACE_NUMBER_MISSING")
    return Step(ADVICE, place, payload=payload, match_key=advice.trace_number)
