"""Enrolment files: what a sponsor says of its members, one instruction a member, in the order of the file.

A transaction has a header (sponsor, payer, dates, action) and instructions. An instruction adds, changes, terminates or
reinstates a person, subscriber or dependant, and each of the person's coverages. Nothing is interpreted here beyond the
file: which account, member record and policy transaction it means is decided by the use case, and what it cannot place
goes to a queue. Dates are civil and as sent: an end date of the file is the last day covered, not the first day out.
Amounts are minor units.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from application.files.identity import Envelope, FileIdentity, Place, Remark
from application.files.personal import Confidential, Party, PersonDetails


class Maintenance(StrEnum):
    """What to do with a member or coverage (maintenance type). DELETION, CORRECTION, NOT_APPLICABLE: coverage only."""

    CHANGE = "001"
    DELETION = "002"
    ADDITION = "021"
    CANCELLATION = "024"
    REINSTATEMENT = "025"
    CORRECTION = "026"
    AUDIT = "030"
    NOT_APPLICABLE = "032"


class FileAction(StrEnum):
    """What the whole transaction is: changes only, a full list to compare with, or a full list that replaces."""

    CHANGE = "2"
    VERIFY = "4"
    REPLACE = "RX"


class TransactionPurpose(StrEnum):
    """Original, re-submission of a refused one, or a copy for information that has no effect."""

    ORIGINAL = "00"
    RESUBMISSION = "15"
    INFORMATION_COPY = "22"


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference number and its qualifier (`DX` department, `17` reporting category, `3H` case, `23` client).

    Some of them identify a person: the value is not shown by `repr`.
    """

    qualifier: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class QualifiedDate:
    """A date and what it means; for a period `until` is its last day."""

    qualifier: str
    date: dt.date
    until: dt.date | None = None


@dataclass(frozen=True, slots=True)
class QualifiedAmount:
    """An amount in minor units and what it is (`P3` premium, `C1` co-payment, `D2` deductible, `B9` co-insurance)."""

    qualifier: str
    minor: int


@dataclass(frozen=True, slots=True)
class Organisation:
    """A sponsor, payer, broker or administrator: role code, name, identifier and its qualifier (`FI` tax number)."""

    role: str
    name: str
    identifier_qualifier: str = ""
    identifier: str = ""
    accounts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ControlTotal:
    """A number of members the sender counted: `DT` dependants, `ET` employees, `TO` all."""

    qualifier: str
    count: int


@dataclass(frozen=True, slots=True)
class ReportingCategory:
    """A category of the member agreed between partners, such as location or class: name, reference, date."""

    name: str
    reference: Reference | None = None
    date: QualifiedDate | None = None


@dataclass(frozen=True, slots=True)
class IdentificationCard:
    """A card to be issued: plan coverage description, kind, number of cards, action."""

    plan: str
    kind: str
    count: int | None = None
    action: str = ""


@dataclass(frozen=True, slots=True)
class ProviderChange:
    """Why and when a provider was changed."""

    action: str
    role: str
    date: dt.date
    reason: str


@dataclass(frozen=True, slots=True)
class Provider:
    """A care provider chosen for a coverage, under the number the sender gave it."""

    number: int
    party: Party
    change: ProviderChange | None = None


@dataclass(frozen=True, slots=True)
class CoordinationOfBenefits:
    """Another cover of the member: payment order, group number, whether benefits are coordinated."""

    order: str
    group_number: str
    coordination: str
    service_type: str = ""
    references: tuple[Reference, ...] = ()
    dates: tuple[QualifiedDate, ...] = ()
    parties: tuple[Party, ...] = ()


def _date(dates: Iterable[QualifiedDate], qualifier: str) -> dt.date | None:
    return next((item.date for item in dates if item.qualifier == qualifier), None)


@dataclass(frozen=True, slots=True)
class CoverageInstruction:
    """What is to be done with one coverage of a member.

    `insurance_line` is the product kind (`HLT`, `DEN`, `VIS`, `LTD`, ...), `plan` the sender's plan code or
    description, `level` who is covered (`EMP`, `FAM`, `ESP`, ...).
    """

    maintenance: Maintenance
    insurance_line: str
    plan: str = ""
    level: str = ""
    late_enrolment: str = ""
    dates: tuple[QualifiedDate, ...] = ()
    amounts: tuple[QualifiedAmount, ...] = ()
    references: tuple[Reference, ...] = ()
    cards: tuple[IdentificationCard, ...] = ()
    providers: tuple[Provider, ...] = ()
    coordination: tuple[CoordinationOfBenefits, ...] = ()
    place: Place = field(default=Place(), compare=False)

    @property
    def benefit_begin(self) -> dt.date | None:
        """First day of the coverage (qualifier 348)."""
        return _date(self.dates, "348")

    @property
    def benefit_end(self) -> dt.date | None:
        """Last day of the coverage, inclusive (qualifier 349)."""
        return _date(self.dates, "349")

    @property
    def maintenance_effective(self) -> dt.date | None:
        """Day a change of the coverage takes effect (qualifier 303)."""
        return _date(self.dates, "303")

    @property
    def premium(self) -> int | None:
        """Premium amount in minor units (qualifier P3), if the sender gave one."""
        return next((item.minor for item in self.amounts if item.qualifier == "P3"), None)

    @property
    def policy_number(self) -> str | None:
        """The coverage's own group or policy number (qualifier 1L)."""
        return next((item.value for item in self.references if item.qualifier == "1L"), None)


@dataclass(frozen=True, slots=True)
class EnrolmentInstruction:
    """What is to be done with one person.

    `subscriber_number` ties dependants to their subscriber; `policy_number` is the sponsor's group or policy number.
    `corrected` says that `person` is the correction of what `incorrect` holds.
    """

    subscriber: bool
    relationship: str
    maintenance: Maintenance
    subscriber_number: Confidential
    person: PersonDetails
    reason: str = ""
    benefit_status: str = ""
    medicare: tuple[str, ...] = ()
    cobra_event: str = ""
    employment_status: str = ""
    student_status: str = ""
    handicapped: str = ""
    confidentiality: str = ""
    birth_sequence: int | None = None
    policy_number: str | None = None
    references: tuple[Reference, ...] = ()
    dates: tuple[QualifiedDate, ...] = ()
    corrected: bool = False
    incorrect: PersonDetails | None = None
    employment_classes: tuple[tuple[str, ...], ...] = ()
    amounts: tuple[QualifiedAmount, ...] = ()
    parties: tuple[Party, ...] = ()
    coverages: tuple[CoverageInstruction, ...] = ()
    categories: tuple[ReportingCategory, ...] = ()
    place: Place = field(default=Place(), compare=False)

    def date(self, qualifier: str) -> dt.date | None:
        """The member-level date with this qualifier, such as 336 employment begin or 303 maintenance effective."""
        return _date(self.dates, qualifier)

    def reference(self, qualifier: str) -> str | None:
        """The first supplemental reference with this qualifier, such as DX department."""
        return next((item.value for item in self.references if item.qualifier == qualifier), None)

    def category(self, name: str) -> ReportingCategory | None:
        """The reporting category with this name, ignoring case."""
        return next((item for item in self.categories if item.name.casefold() == name.casefold()), None)

    @property
    def eligibility_begin(self) -> dt.date | None:
        """First day of eligibility (qualifier 356)."""
        return self.date("356")

    @property
    def eligibility_end(self) -> dt.date | None:
        """Last day of eligibility, inclusive (qualifier 357)."""
        return self.date("357")


@dataclass(frozen=True, slots=True)
class Household:
    """A subscriber and the dependants sent with the same subscriber number; the subscriber may not have been sent."""

    subscriber_number: Confidential
    subscriber: EnrolmentInstruction | None
    dependants: tuple[EnrolmentInstruction, ...]


@dataclass(frozen=True, slots=True)
class EnrolmentTransaction:
    """One transaction set: its header and its instructions in file order."""

    envelope: Envelope
    purpose: TransactionPurpose
    reference: str
    created_on: dt.date
    created_at: dt.time
    action: FileAction
    sponsor: Organisation
    payer: Organisation
    time_zone: str = ""
    original_reference: str = ""
    master_policy_number: str | None = None
    dates: tuple[QualifiedDate, ...] = ()
    control_totals: tuple[ControlTotal, ...] = ()
    brokers: tuple[Organisation, ...] = ()
    instructions: tuple[EnrolmentInstruction, ...] = ()

    @property
    def effective_date(self) -> dt.date | None:
        """The date the transaction takes effect (qualifier 007)."""
        return _date(self.dates, "007")

    def households(self) -> tuple[Household, ...]:
        """The instructions by subscriber number, in the order in which each number first occurs.

        A second subscriber instruction with the same number (a change and a termination of one person) opens a
        household of its own, so that no instruction is lost; dependants belong to the latest one before them.
        """
        subscribers: list[EnrolmentInstruction | None] = []
        numbers: list[Confidential] = []
        dependants: list[list[EnrolmentInstruction]] = []
        latest: dict[str, int] = {}
        for instruction in self.instructions:
            number = instruction.subscriber_number.value
            at = latest.get(number)
            if at is None or (instruction.subscriber and subscribers[at] is not None):
                at = latest[number] = len(numbers)
                numbers.append(instruction.subscriber_number)
                subscribers.append(None)
                dependants.append([])
            if instruction.subscriber:
                subscribers[at] = instruction
            else:
                dependants[at].append(instruction)
        return tuple(
            Household(number, subscriber, tuple(members))
            for number, subscriber, members in zip(numbers, subscribers, dependants, strict=True)
        )


@dataclass(frozen=True, slots=True)
class EnrolmentFile:
    """A whole enrolment file, taken: every transaction set of every group and interchange in it."""

    identity: FileIdentity
    transactions: tuple[EnrolmentTransaction, ...]
    remarks: tuple[Remark, ...] = ()

    @property
    def instructions(self) -> tuple[EnrolmentInstruction, ...]:
        """All instructions of the file, in file order."""
        return tuple(item for transaction in self.transactions for item in transaction.instructions)
