"""Bank statement files: the money that moved on our accounts, one line a movement.

A credit line becomes a receipt (ARO-020); debits, movements not yet booked and lines that cannot be money are kept as
well, so that nothing of a file disappears. Amounts are positive minor units of the line's currency; the sign is the
direction. Dates are civil.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from enum import StrEnum

from application.files.identity import FileIdentity, Place, Remark
from application.files.personal import Confidential


class Direction(StrEnum):
    """Whether the account gained or lost."""

    CREDIT = "CREDIT"
    DEBIT = "DEBIT"


@dataclass(frozen=True, slots=True)
class StructuredRemittance:
    """What the payer says, in structured form, a part of the money is for.

    `kind` is the document kind (`CINV` invoice), `number` the document number, `creditor_reference` the structured
    reference (such as RF18...), `minor` the amount remitted for it in minor units of `currency`, None when not stated.
    """

    kind: str = ""
    number: str = ""
    creditor_reference: str = ""
    minor: int | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class BankLine:
    """One movement on an account of ours.

    `account` is the receiving account as the bank names it; `type_code` the bank's transaction code; `bank_reference`
    the bank's own reference, `customer_reference` the one passed by the customer, `end_to_end_id` the payer's.
    `reversal`: the movement undoes an earlier one of the other direction. `return_reason`: code of a returned item.
    `batch_size`: the movement is one of so many booked as one amount. `occurrence` counts lines of the file that are
    equal in everything ARO-022 compares.
    """

    account: str
    direction: Direction
    minor: int
    currency: str
    value_date: dt.date
    booking_date: dt.date | None = None
    type_code: str = ""
    bank_reference: str = ""
    customer_reference: str = ""
    end_to_end_id: str = ""
    mandate_id: str = ""
    transaction_id: str = ""
    reversal: bool = False
    return_reason: str = ""
    batch_size: int = 1
    booked: bool = True
    text: str = field(default="", repr=False)
    counterparty_name: str = field(default="", repr=False)
    counterparty_account: Confidential | None = None
    remittance: tuple[StructuredRemittance, ...] = ()
    occurrence: int = 1
    place: Place = field(default=Place(), compare=False)

    @property
    def key(self) -> tuple[str, str, dt.date, int, str, Direction, int]:
        """The line key of ARO-022: a known key is a DUPLICATE_LINE.

        Account, bank reference, value date, amount, currency, direction; and, only without a bank reference, the
        occurrence number among equal lines of the file (0 with one).
        """
        return (
            self.account,
            self.bank_reference,
            self.value_date,
            self.minor,
            self.currency,
            self.direction,
            0 if self.bank_reference else self.occurrence,
        )


@dataclass(frozen=True, slots=True)
class InvalidLine:
    """A line that is well-formed but no movement of money, with the reason: logged as INVALID_LINE (ARO-022)."""

    reason: str
    type_code: str
    minor: int
    currency: str
    text: str = field(default="", repr=False)
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True)
class Balance:
    """A balance the bank states: its code, signed minor units (negative: overdrawn), currency and day."""

    code: str
    minor: int
    currency: str
    date: dt.date | None = None


@dataclass(frozen=True, slots=True)
class BankStatement:
    """One account's statement or notification, with its lines in file order."""

    account: str
    currency: str
    reference: str
    date: dt.date
    balances: tuple[Balance, ...] = ()
    lines: tuple[BankLine, ...] = ()
    invalid_lines: tuple[InvalidLine, ...] = ()


@dataclass(frozen=True, slots=True)
class BankStatementFile:
    """A whole bank file, taken."""

    identity: FileIdentity
    sender: str
    reference: str
    created_on: dt.date
    statements: tuple[BankStatement, ...]
    remarks: tuple[Remark, ...] = ()

    @property
    def credits(self) -> tuple[BankLine, ...]:
        """Booked credits in file order: each is one receipt (ARO-020)."""
        return self._lines(Direction.CREDIT)

    @property
    def debits(self) -> tuple[BankLine, ...]:
        """Booked debits in file order: returned items, charges, others (ARO-024)."""
        return self._lines(Direction.DEBIT)

    @property
    def not_booked(self) -> tuple[BankLine, ...]:
        """Pending movements: information only, they come again when booked."""
        return tuple(line for statement in self.statements for line in statement.lines if not line.booked)

    @property
    def invalid_lines(self) -> tuple[InvalidLine, ...]:
        """Lines that cannot be money, to be logged as INVALID_LINE."""
        return tuple(line for statement in self.statements for line in statement.invalid_lines)

    def _lines(self, direction: Direction) -> tuple[BankLine, ...]:
        return tuple(
            line
            for statement in self.statements
            for line in statement.lines
            if line.booked and line.direction is direction
        )
