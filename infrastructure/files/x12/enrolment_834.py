"""Reading an 834: from the loops of the guide to enrolment instructions.

Each member loop becomes one instruction as soon as it is complete. What the guide defines is in the record; nothing is
interpreted: a date is kept with its qualifier, a code as sent. Beyond the guide two things are checked, because money
hangs on them: amounts must be exact in the currency, and the sender's own member counts (QTY) must agree.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from application.files.defects import DefectCode
from application.files.enrolment import (
    ControlTotal,
    CoordinationOfBenefits,
    CoverageInstruction,
    EnrolmentInstruction,
    EnrolmentTransaction,
    FileAction,
    IdentificationCard,
    Maintenance,
    Organisation,
    Provider,
    ProviderChange,
    QualifiedAmount,
    QualifiedDate,
    Reference,
    ReportingCategory,
    TransactionPurpose,
)
from application.files.identity import Envelope, Place
from application.files.personal import (
    Confidential,
    Contact,
    Disability,
    HealthInformation,
    Income,
    Language,
    Party,
    PersonDetails,
    PersonIdentifier,
    PersonName,
    PostalAddress,
)
from domain.money import AmountFormatError, CurrencyNotSupportedError
from infrastructure.files.collecting import Findings
from infrastructure.files.text import clock_time, compact_date, exact_minor, whole_number
from infrastructure.files.x12.grammar import Guide, Node
from infrastructure.files.x12.segments import Segment

_PARTY_LOOPS = ("2100D", "2100E", "2100F", "2100G", "2100H")


class EnrolmentSetReader:
    """Reads one 834 transaction set and appends the transaction to `into` when it is complete and without defects."""

    def __init__(
        self,
        guide: Guide,
        opening: Segment,
        envelope: Envelope | None,
        findings: Findings,
        into: list[EnrolmentTransaction],
    ) -> None:
        self._findings = findings
        self._found_before = findings.count
        self._envelope = envelope
        self._into = into
        self._currency = findings.limits.currency
        self._instructions: list[EnrolmentInstruction] = []
        self._members = {"employees": 0, "dependants": 0}
        self._walk = guide.walk(opening, findings, self._take_member)

    def feed(self, segment: Segment) -> None:
        """The next segment of the set."""
        self._walk.feed(segment)

    def finish(self) -> None:
        """The set has ended: compare the counts, build the transaction."""
        root = self._walk.finish()
        self._compare_counts(root)
        if self._envelope is not None and self._findings.count == self._found_before:
            self._into.append(self._transaction(root, self._envelope))

    def _take_member(self, node: Node) -> None:
        subscriber = node.head.get(1) == "Y"
        self._members["employees" if subscriber else "dependants"] += 1
        if not node.clean:
            return
        instruction = self._instruction(node)
        if subscriber and instruction.relationship != "18":
            self._findings.remark(
                f"INS01 says subscriber, INS02 says relationship {instruction.relationship} instead of 18 (self)",
                number=node.head.number,
                line=node.head.line,
            )
        self._instructions.append(instruction)

    def _compare_counts(self, root: Node) -> None:
        """QTY01 DT dependants, ET employees, TO all: the sender's counts against the INS loops."""
        dependants, employees = self._members["dependants"], self._members["employees"]
        counted = {"DT": dependants, "ET": employees, "TO": dependants + employees}
        for segment in root.all("QTY"):
            stated, found = whole_number(segment.get(2)), counted.get(segment.get(1))
            if found is not None and stated != found:
                told = f"says {stated}" if stated is not None else "is not a count"
                self._findings.add(
                    DefectCode.CONTROL_COUNT,
                    f"QTY02 {told} for {segment.get(1)}, the file has {found} members of this kind",
                    number=segment.number,
                    line=segment.line,
                    segment="QTY",
                    element="QTY02",
                )

    def _transaction(self, root: Node, envelope: Envelope) -> EnrolmentTransaction:
        begin = root.all("BGN")[0]
        policy = root.first("REF", "38")
        return EnrolmentTransaction(
            envelope=envelope,
            purpose=TransactionPurpose(begin.get(1)),
            reference=begin.get(2),
            created_on=_day(begin.get(3)),
            created_at=clock_time(begin.get(4)) or dt.time(),
            action=FileAction(begin.get(8)),
            sponsor=_organisation(next(root.loops("1000A"))),
            payer=_organisation(next(root.loops("1000B"))),
            time_zone=begin.get(5),
            original_reference=begin.get(6),
            master_policy_number=policy.get(2) if policy else None,
            dates=dates_of(root.all("DTP")),
            control_totals=tuple(
                ControlTotal(segment.get(1), whole_number(segment.get(2)) or 0) for segment in root.all("QTY")
            ),
            brokers=tuple(_organisation(loop) for loop in root.loops("1000C")),
            instructions=tuple(self._instructions),
        )

    def _instruction(self, node: Node) -> EnrolmentInstruction:
        ins = node.head
        name = next(node.loops("2100A"))
        subscriber_number = node.first("REF", "0F")
        policy = node.first("REF", "1L")
        incorrect = next(node.loops("2100B"), None)
        return EnrolmentInstruction(
            subscriber=ins.get(1) == "Y",
            relationship=ins.get(2),
            maintenance=Maintenance(ins.get(3)),
            subscriber_number=Confidential(subscriber_number.get(2) if subscriber_number else ""),
            person=self._person(node, name),
            reason=ins.get(4),
            benefit_status=ins.get(5),
            medicare=ins.components(6),
            cobra_event=ins.get(7),
            employment_status=ins.get(8),
            student_status=ins.get(9),
            handicapped=ins.get(10),
            confidentiality=ins.get(13),
            birth_sequence=whole_number(ins.get(17)),
            policy_number=policy.get(2) if policy else None,
            references=tuple(
                Reference(ref.get(1), ref.get(2)) for ref in node.all("REF") if ref.get(1) not in ("0F", "1L")
            ),
            dates=dates_of(node.all("DTP")),
            corrected=name.head.get(1) == "74",
            incorrect=_named_person(incorrect) if incorrect else None,
            employment_classes=tuple(tuple(segment.elements[:3]) for segment in name.all("EC")),
            amounts=self._amounts(name.all("AMT")),
            parties=tuple(party_of(loop) for loop in node.loops(*_PARTY_LOOPS)),
            coverages=tuple(self._coverage(loop) for loop in node.loops("2300")),
            categories=tuple(
                _category(category)
                for outer in node.loops("LS")
                for number in outer.loops("2700")
                for category in number.loops("2750")
            ),
            place=Place(ins.number, ins.line),
        )

    def _person(self, node: Node, name: Node) -> PersonDetails:
        ins, demographics = node.head, name.first("DMG")
        health = name.first("HLH")
        mailing = next(node.loops("2100C"), None)
        known = _named_person(name)
        return PersonDetails(
            name=known.name,
            entity_type=known.entity_type,
            identifiers=known.identifiers,
            birth_date=known.birth_date,
            gender=known.gender,
            marital_status=known.marital_status,
            ethnicities=known.ethnicities,
            citizenship=known.citizenship,
            ethnicity_collection=(demographics.get(10), demographics.get(11)) if demographics else ("", ""),
            residence=address_of(name),
            mailing=address_of(mailing) if mailing else None,
            contacts=contacts_of(name),
            languages=tuple(Language(lui.get(1), lui.get(2), lui.get(3), lui.get(4)) for lui in name.all("LUI")),
            incomes=tuple(
                Income(icm.get(1), self._minor(icm, 2), icm.get(3), icm.get(4), icm.get(5)) for icm in name.all("ICM")
            ),
            health=HealthInformation(health.get(1), health.get(2), health.get(3)) if health else None,
            disabilities=tuple(_disability(loop) for loop in node.loops("2200")),
            death_date=compact_date(ins.get(12)) if ins.get(12) else None,
        )

    def _coverage(self, node: Node) -> CoverageInstruction:
        hd = node.head
        return CoverageInstruction(
            maintenance=Maintenance(hd.get(1)),
            insurance_line=hd.get(3),
            plan=hd.get(4),
            level=hd.get(5),
            late_enrolment=hd.get(9),
            dates=dates_of(node.all("DTP")),
            amounts=self._amounts(node.all("AMT")),
            references=references_of(node),
            cards=tuple(
                IdentificationCard(idc.get(1), idc.get(2), whole_number(idc.get(3)), idc.get(4))
                for idc in node.all("IDC")
            ),
            providers=tuple(_provider(loop) for loop in node.loops("2310")),
            coordination=tuple(_coordination(loop) for loop in node.loops("2320")),
            place=Place(hd.number, hd.line),
        )

    def _amounts(self, segments: Iterable[Segment]) -> tuple[QualifiedAmount, ...]:
        return tuple(QualifiedAmount(segment.get(1), self._minor(segment, 2)) for segment in segments)

    def _minor(self, segment: Segment, position: int) -> int:
        return minor_of(segment, position, self._currency, self._findings)


def minor_of(segment: Segment, position: int, currency: str, findings: Findings) -> int:
    """The element's amount in minor units; an amount that is not exact in the currency is a defect (and 0 here)."""
    try:
        return exact_minor(segment.get(position), currency)
    except (AmountFormatError, CurrencyNotSupportedError) as error:
        reference = f"{segment.id}{position:02}"
        findings.add(
            DefectCode.AMOUNT_INVALID,
            f"{reference} is not an amount in {currency}: {error}",
            number=segment.number,
            line=segment.line,
            segment=segment.id,
            element=reference,
        )
        return 0


def dates_of(segments: Iterable[Segment]) -> tuple[QualifiedDate, ...]:
    """Dates and periods of DTP segments, checked by the grammar."""
    return tuple(_period(segment) for segment in segments)


def _period(segment: Segment) -> QualifiedDate:
    begin, _, end = segment.get(3).partition("-")
    return QualifiedDate(segment.get(1), _day(begin), _day(end) if end else None)


def _day(text: str) -> dt.date:
    """A date the grammar has checked."""
    day = compact_date(text)
    if day is None:
        raise ValueError("a date that was not checked")
    return day


def references_of(node: Node) -> tuple[Reference, ...]:
    """The loop's REF segments."""
    return tuple(Reference(segment.get(1), segment.get(2)) for segment in node.all("REF"))


def _organisation(node: Node) -> Organisation:
    n1 = node.head
    accounts = tuple(
        number for loop in node.loops("1100C") for number in (loop.head.get(1), loop.head.get(6)) if number
    )
    return Organisation(n1.get(1), n1.get(2), n1.get(3), n1.get(4), accounts)


def name_of(nm1: Segment) -> PersonName:
    """The name parts of an NM1 segment."""
    return PersonName(nm1.get(3), nm1.get(4), nm1.get(5), nm1.get(6), nm1.get(7))


def identifiers_of(nm1: Segment) -> tuple[PersonIdentifier, ...]:
    """The identifier of an NM1 segment, if it has one."""
    return (PersonIdentifier(nm1.get(8), nm1.get(9)),) if nm1.get(9) else ()


def address_of(node: Node) -> PostalAddress | None:
    """The loop's N3 and N4 segments as an address; None when it has neither."""
    lines = tuple(line for segment in node.all("N3") for line in segment.elements if line)
    n4 = node.first("N4")
    if n4 is None:
        return PostalAddress(lines) if lines else None
    return PostalAddress(lines, n4.get(1), n4.get(2), n4.get(3), n4.get(4), (n4.get(5), n4.get(6)), n4.get(7))


def contacts_of(node: Node) -> tuple[Contact, ...]:
    """The communication numbers of the loop's PER segments."""
    return tuple(
        Contact(segment.get(position), segment.get(position + 1))
        for segment in node.all("PER")
        for position in (3, 5, 7)
        if segment.get(position)
    )


def _named_person(node: Node) -> PersonDetails:
    """Name, identifiers and demographics of a name loop: all that an incorrect name has."""
    dmg = node.first("DMG")
    known = PersonDetails(name=name_of(node.head), entity_type=node.head.get(2), identifiers=identifiers_of(node.head))
    if dmg is None:
        return known
    return PersonDetails(
        name=known.name,
        entity_type=known.entity_type,
        identifiers=known.identifiers,
        birth_date=compact_date(dmg.get(2)),
        gender=dmg.get(3),
        marital_status=dmg.get(4),
        ethnicities=dmg.repetitions(5),
        citizenship=dmg.get(6),
    )


def party_of(node: Node) -> Party:
    """Another person or organisation named in a loop by NM1."""
    nm1 = node.first("NM1") or node.head
    contact = node.first("PER")
    return Party(
        role=nm1.get(1),
        entity_type=nm1.get(2),
        name=name_of(nm1),
        identifiers=identifiers_of(nm1),
        relationship=nm1.get(10),
        contact_name=contact.get(2) if contact else "",
        contacts=contacts_of(node),
        address=address_of(node),
    )


def _disability(node: Node) -> Disability:
    dates = {segment.get(1): compact_date(segment.get(3)) for segment in node.all("DTP")}
    dsb = node.head
    return Disability(dsb.get(1), dsb.get(7), dsb.get(8), dates.get("360"), dates.get("361"))


def _provider(node: Node) -> Provider:
    change = node.first("PLA")
    return Provider(
        number=whole_number(node.head.get(1)) or 0,
        party=party_of(node),
        change=ProviderChange(change.get(1), change.get(2), _day(change.get(3)), change.get(5)) if change else None,
    )


def _coordination(node: Node) -> CoordinationOfBenefits:
    cob = node.head
    return CoordinationOfBenefits(
        order=cob.get(1),
        group_number=cob.get(2),
        coordination=cob.get(3),
        service_type=cob.get(4),
        references=references_of(node),
        dates=dates_of(node.all("DTP")),
        parties=tuple(party_of(loop) for loop in node.loops("2330")),
    )


def _category(node: Node) -> ReportingCategory:
    reference, date = node.first("REF"), node.first("DTP")
    return ReportingCategory(
        name=node.head.get(2),
        reference=Reference(reference.get(1), reference.get(2)) if reference else None,
        date=_period(date) if date else None,
    )
