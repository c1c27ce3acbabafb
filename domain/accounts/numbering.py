"""Account numbers: a class prefix, an eight-digit sequence and a Luhn check digit (ACC-011, ACC-012)."""

from __future__ import annotations

from enum import StrEnum


class NumberClass(StrEnum):
    """Classes of account numbers with sequences of their own (ACC-011); the value is the sequence's name."""

    FLEXIBILL = "FLEXIBILL"
    INDIVIDUAL = "INDIVIDUAL"
    CONSOLIDATED = "CONSOLIDATED"
    LIST = "LIST"

    @property
    def prefix(self) -> str:
        return {"FLEXIBILL": "FB", "INDIVIDUAL": "ID", "CONSOLIDATED": "CB", "LIST": "LB"}[self.value]


def number_class(*, flexibill: bool, owner_is_individual: bool, in_single_bill_setup: bool) -> NumberClass:
    """The class of a new account, first match wins (ACC-011)."""
    if flexibill:
        return NumberClass.FLEXIBILL
    if owner_is_individual:
        return NumberClass.INDIVIDUAL
    return NumberClass.CONSOLIDATED if in_single_bill_setup else NumberClass.LIST


def check_digit(digits: str) -> int:
    """Luhn check digit over the sequence digits (ACC-012)."""
    total = 0
    for place, character in enumerate(reversed(digits)):
        value = int(character)
        if place % 2 == 0:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return (10 - total % 10) % 10


def account_number(kind: NumberClass, sequence: int, digits: int = 8) -> str:
    """The account number of a sequence value: LIST, 1 is `LB000000018` (ACC-012)."""
    body = str(sequence).zfill(digits)
    return f"{kind.prefix}{body}{check_digit(body)}"


def normalised(number: str) -> str:
    """A number as it is compared: trimmed and upper-cased (ACC-014)."""
    return number.strip().upper()
