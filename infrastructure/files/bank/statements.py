"""What both bank formats share: the statements found, occurrence numbers, opening and closing balance."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass

from application.files.bank import BankLine, BankStatement, Direction
from application.files.identity import FileFormat
from domain.money import format_amount


@dataclass(frozen=True, slots=True)
class ParsedStatements:
    """A bank file before it is given its identity."""

    format: FileFormat
    version: str
    sender: str
    reference: str
    created_on: dt.date
    statements: tuple[BankStatement, ...]


class Occurrences:
    """Numbers equal lines of a file from 1, in file order (ARO-022)."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[object, ...]] = Counter()

    def next(self, *key: object) -> int:
        """The number of this line among the lines with an equal key so far."""
        self._seen[key] += 1
        return self._seen[key]


def movement(lines: list[BankLine]) -> int:
    """Booked credits less booked debits, in minor units."""
    return sum(line.minor if line.direction is Direction.CREDIT else -line.minor for line in lines if line.booked)


def balance_flaw(opening: int, closing: int, moved: int, currency: str) -> str | None:
    """What is wrong when opening + movements is not closing (ARO-021), or None. Signed minor units."""
    if opening + moved == closing:
        return None
    opened, change, expected, closed = (
        format_amount(minor, currency) for minor in (opening, moved, opening + moved, closing)
    )
    return f"opening balance {opened} and movements {change} make {expected}, the closing balance is {closed}"
