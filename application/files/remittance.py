"""Remittance files: one payment of a payer and what it is meant to pay, line by line.

The total of the payment equals the amounts paid of all its lines plus adjustments of earlier payments; a file where it
does not is refused. Amounts are minor units of the advice's currency; a line may be negative.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from application.files.enrolment import QualifiedDate, Reference
from application.files.identity import Envelope, FileIdentity, Place, Remark
from application.files.personal import Confidential, Contact, Party, PostalAddress


@dataclass(frozen=True, slots=True)
class BankAccount:
    """Bank and account of payer or receiver: routing qualifier (`01` ABA) and number, account kind and number."""

    routing_qualifier: str
    routing_number: str
    account_kind: str
    account_number: Confidential


@dataclass(frozen=True, slots=True)
class RemittanceParty:
    """Payer (`PR`), receiver (`PE`) or an intermediary bank, with what the file says of it."""

    role: str
    name: str
    identifier_qualifier: str = ""
    identifier: str = ""
    additional_names: tuple[str, ...] = ()
    address: PostalAddress | None = None
    contact_name: str = field(default="", repr=False)
    contacts: tuple[Contact, ...] = ()
    delivery: tuple[str, str, str] = ("", "", "")


@dataclass(frozen=True, slots=True)
class RemittanceAdjustment:
    """An adjustment: signed amount in minor units, reason code, and the reference it names, if any."""

    minor: int
    reason: str
    reference: Reference | None = None
    place: Place = field(default=Place(), compare=False)


@dataclass(frozen=True, slots=True)
class LineCount:
    """A number of lives or a service charge stated with a line: kind, value or amount in minor units."""

    kind: str
    count: str = ""
    minor: int | None = None


@dataclass(frozen=True, slots=True)
class RemittanceLine:
    """Money meant for one reference: an invoice, a policy, a member's premium.

    `reference_qualifier` says what `reference` is (`IV` invoice, `1L` group or policy, `11` account, `AZ` health
    insurance policy, `IK` invoice, `CT` contract). `paid` and `invoiced` are minor units; `invoiced` None: not stated.
    """

    reference_qualifier: str
    reference: str = field(repr=False)
    paid: int = 0
    invoiced: int | None = None
    action: str = ""
    discount: int | None = None
    references: tuple[Reference, ...] = ()
    dates: tuple[QualifiedDate, ...] = ()
    counts: tuple[LineCount, ...] = ()
    adjustments: tuple[RemittanceAdjustment, ...] = ()
    place: Place = field(default=Place(), compare=False)

    @property
    def coverage_period(self) -> tuple[dt.date, dt.date] | None:
        """First and last day (inclusive) of the period the line pays, if the file states one (qualifiers 582, AAG)."""
        return next((period for item in self.dates if (period := _period(item)) is not None), None)


def _period(item: QualifiedDate) -> tuple[dt.date, dt.date] | None:
    if item.qualifier in ("582", "AAG") and item.until is not None:
        return (item.date, item.until)
    return None


@dataclass(frozen=True, slots=True)
class RemittanceEntity:
    """Whom a part of the payment is for: an organisation (summary) or one individual.

    `entity` is the code sent (`2J` individual, `2L` corporation, ...); `people` are the names of an individual.
    """

    number: int
    entity: str
    identifier_qualifier: str
    identifier: Confidential
    people: tuple[Party, ...] = ()
    adjustments: tuple[RemittanceAdjustment, ...] = ()
    lines: tuple[RemittanceLine, ...] = ()
    place: Place = field(default=Place(), compare=False)

    @property
    def individual(self) -> bool:
        """Whether the money is for one named individual rather than an organisation."""
        return self.entity == "2J"


@dataclass(frozen=True, slots=True)
class RemittanceAdvice:
    """One payment: total, how and when it is paid, by whom to whom, and its parts.

    `credit` is true when the receiver is credited (the payer sends money), false for a debit of the receiver.
    `trace_number` ties the advice to the bank's credit (end-to-end or addenda reference).
    """

    envelope: Envelope
    handling: str
    amount: int
    currency: str
    credit: bool
    method: str
    trace_kind: str
    trace_number: str
    payer: RemittanceParty
    receiver: RemittanceParty
    format: str = ""
    payment_date: dt.date | None = None
    payer_account: BankAccount | None = None
    receiver_account: BankAccount | None = None
    originating_company: str = ""
    originating_company_supplement: str = ""
    trace_originator: str = ""
    trace_originator_supplement: str = ""
    references: tuple[Reference, ...] = ()
    dates: tuple[QualifiedDate, ...] = ()
    other_parties: tuple[RemittanceParty, ...] = ()
    entities: tuple[RemittanceEntity, ...] = ()

    @property
    def lines(self) -> tuple[RemittanceLine, ...]:
        """All lines of the payment, in file order."""
        return tuple(line for entity in self.entities for line in entity.lines)


@dataclass(frozen=True, slots=True)
class RemittanceFile:
    """A whole remittance file, taken."""

    identity: FileIdentity
    advices: tuple[RemittanceAdvice, ...]
    remarks: tuple[Remark, ...] = ()
