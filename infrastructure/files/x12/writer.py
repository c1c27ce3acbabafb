"""Writing 834 and 820 files: for partners' test files, demonstrations, and the proof that reading loses nothing.

What is written from a record and read again is the same record. Counts and control numbers are computed, never passed
in. A value that the format cannot carry (a delimiter, a control character) is a ValueError: nothing is replaced.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from application.files.enrolment import (
    CoordinationOfBenefits,
    CoverageInstruction,
    EnrolmentInstruction,
    EnrolmentTransaction,
    Organisation,
    Provider,
    QualifiedAmount,
    QualifiedDate,
    Reference,
    ReportingCategory,
)
from application.files.identity import Envelope
from application.files.personal import Contact, Party, PersonDetails, PostalAddress
from application.files.remittance import (
    BankAccount,
    LineCount,
    RemittanceAdjustment,
    RemittanceAdvice,
    RemittanceEntity,
    RemittanceLine,
    RemittanceParty,
)
from domain.money import format_amount
from infrastructure.files.x12.guide_834 import VERSION
from infrastructure.files.x12.segments import Delimiters

#: Elements of a segment behind its identifier; a tuple is a composite, a list repeats.
Row = tuple[object, ...]

DEFAULT_DELIMITERS = Delimiters()


def envelope(
    sender: str,
    receiver: str,
    on: dt.datetime,
    control_number: int,
    *,
    version: str = VERSION,
    set_number: int = 1,
    group_number: int | None = None,
    test: bool = False,
    qualifier: str = "ZZ",
) -> Envelope:
    """An envelope with the usual values: both parties under one qualifier, group number like the interchange's."""
    day, time = on.date(), on.time().replace(second=0, microsecond=0)
    return Envelope(
        qualifier,
        sender,
        qualifier,
        receiver,
        day,
        time,
        f"{control_number:09}",
        test,
        sender,
        receiver,
        day,
        time,
        str(group_number or control_number),
        version,
        f"{set_number:04}",
    )


def write_834(
    transactions: Sequence[EnrolmentTransaction],
    *,
    delimiters: Delimiters = DEFAULT_DELIMITERS,
    line_end: str = "\n",
    currency: str = "USD",
) -> bytes:
    """An 834 file of these transactions, UTF-8. Transactions that follow each other in one group share its envelope."""
    bodies = [(item.envelope, list(_enrolment(item, currency))) for item in transactions]
    return _file(bodies, "834", "BE", delimiters, line_end)


def write_820(
    advices: Sequence[RemittanceAdvice],
    *,
    delimiters: Delimiters = DEFAULT_DELIMITERS,
    line_end: str = "\n",
) -> bytes:
    """An 820 file of these advices, UTF-8, in the version of their envelopes (005010X218 or 005010)."""
    bodies = [(item.envelope, list(_remittance(item))) for item in advices]
    return _file(bodies, "820", "RA", delimiters, line_end)


# Envelope


def _file(
    bodies: list[tuple[Envelope, list[Row]]], kind: str, functional: str, delimiters: Delimiters, line_end: str
) -> bytes:
    rows: list[Row] = []
    for _, interchange in groupby(bodies, key=lambda body: _interchange_key(body[0])):
        groups = [list(group) for _, group in groupby(interchange, key=lambda body: _group_key(body[0]))]
        first = groups[0][0][0]
        rows.append(_isa(first, delimiters))
        for group in groups:
            rows.extend(_group(group, kind, functional))
        rows.append(("IEA", str(len(groups)), first.interchange_control_number))
    return "".join(_text(row, delimiters) + delimiters.terminator + line_end for row in rows).encode()


def _interchange_key(item: Envelope) -> tuple[object, ...]:
    return (
        item.sender_qualifier,
        item.sender,
        item.receiver_qualifier,
        item.receiver,
        item.interchange_date,
        item.interchange_time,
        item.interchange_control_number,
        item.test,
    )


def _group_key(item: Envelope) -> tuple[object, ...]:
    return (
        item.application_sender,
        item.application_receiver,
        item.group_date,
        item.group_time,
        item.group_control_number,
        item.version,
    )


def _isa(item: Envelope, delimiters: Delimiters) -> Row:
    return (
        "ISA",
        "00",
        " " * 10,
        "00",
        " " * 10,
        item.sender_qualifier,
        item.sender.ljust(15),
        item.receiver_qualifier,
        item.receiver.ljust(15),
        f"{item.interchange_date:%y%m%d}",
        f"{item.interchange_time:%H%M}",
        delimiters.repetition,
        "00501",
        item.interchange_control_number,
        "0",
        "T" if item.test else "P",
        delimiters.component,
    )


def _group(group: list[tuple[Envelope, list[Row]]], kind: str, functional: str) -> Iterator[Row]:
    head = group[0][0]
    yield (
        "GS",
        functional,
        head.application_sender,
        head.application_receiver,
        f"{head.group_date:%Y%m%d}",
        _time(head.group_time),
        head.group_control_number,
        "X",
        head.version,
    )
    for item, body in group:
        yield ("ST", kind, item.set_control_number, "" if item.version == "005010" else item.version)
        yield from body
        yield ("SE", str(len(body) + 2), item.set_control_number)
    yield ("GE", str(len(group)), head.group_control_number)


def _text(row: Row, delimiters: Delimiters) -> str:
    if row[0] == "ISA":
        return delimiters.element.join(str(value) for value in row)
    elements = [_element(value, delimiters) for value in row]
    while not elements[-1]:
        elements.pop()
    return delimiters.element.join(elements)


def _element(value: object, delimiters: Delimiters) -> str:
    if isinstance(value, list):
        return delimiters.repetition.join(_element(part, delimiters) for part in value)
    if isinstance(value, tuple):
        return delimiters.component.join(_element(part, delimiters) for part in value).rstrip(delimiters.component)
    text = str(value)
    taken = (delimiters.element, delimiters.component, delimiters.repetition, delimiters.terminator)
    if any(delimiter in text for delimiter in taken) or any(character < " " for character in text):
        raise ValueError("a value contains a delimiter or a control character")
    return text


def _time(time: dt.time) -> str:
    if time.microsecond:
        return f"{time:%H%M%S}{time.microsecond // 10_000:02}"
    return f"{time:%H%M%S}" if time.second else f"{time:%H%M}"


# Enrolment


def _enrolment(item: EnrolmentTransaction, currency: str) -> Iterator[Row]:
    yield (
        "BGN",
        item.purpose.value,
        item.reference,
        f"{item.created_on:%Y%m%d}",
        _time(item.created_at),
        item.time_zone,
        item.original_reference,
        "",
        item.action.value,
    )
    if item.master_policy_number:
        yield ("REF", "38", item.master_policy_number)
    yield from _dates(item.dates)
    for total in item.control_totals:
        yield ("QTY", total.qualifier, str(total.count))
    for organisation in (item.sponsor, item.payer, *item.brokers):
        yield from _organisation(organisation)
    for instruction in item.instructions:
        yield from _instruction(instruction, currency)


def _organisation(item: Organisation) -> Iterator[Row]:
    yield ("N1", item.role, item.name, item.identifier_qualifier, item.identifier)
    if item.accounts:
        yield ("ACT", item.accounts[0], "", "", "", "", item.accounts[1] if len(item.accounts) > 1 else "")


def _instruction(item: EnrolmentInstruction, currency: str) -> Iterator[Row]:
    person = item.person
    yield (
        "INS",
        "Y" if item.subscriber else "N",
        item.relationship,
        item.maintenance.value,
        item.reason,
        item.benefit_status,
        item.medicare,
        item.cobra_event,
        item.employment_status,
        item.student_status,
        item.handicapped,
        "D8" if person.death_date else "",
        _day(person.death_date),
        item.confidentiality,
        "",
        "",
        "",
        "" if item.birth_sequence is None else str(item.birth_sequence),
    )
    yield ("REF", "0F", item.subscriber_number.value)
    if item.policy_number:
        yield ("REF", "1L", item.policy_number)
    yield from _references(item.references)
    yield from _dates(item.dates)
    yield from _member_name(item, currency)
    if item.incorrect is not None:
        yield _name("70", item.incorrect)
        yield from _demographics(item.incorrect)
    if person.mailing is not None:
        yield ("NM1", "31", "1")
        yield from _address(person.mailing)
    for party in item.parties:
        yield from _party(party)
    for disability in person.disabilities:
        yield ("DSB", disability.kind, "", "", "", "", "", disability.qualifier, disability.code)
        for qualifier, day in (("360", disability.begin), ("361", disability.end)):
            if day is not None:
                yield ("DTP", qualifier, "D8", _day(day))
    for coverage in item.coverages:
        yield from _coverage(coverage, currency)
    yield from _categories(item.categories)


def _member_name(item: EnrolmentInstruction, currency: str) -> Iterator[Row]:
    person = item.person
    yield _name("74" if item.corrected else "IL", person)
    yield from _contacts("IP", "", person.contacts)
    if person.residence is not None:
        yield from _address(person.residence)
    yield from _demographics(person)
    for codes in item.employment_classes:
        yield ("EC", *codes)
    for income in person.incomes:
        amount = format_amount(income.minor, currency)
        yield ("ICM", income.frequency, amount, income.hours, income.location, income.grade)
    yield from _amounts(item.amounts, currency)
    if person.health is not None:
        yield ("HLH", person.health.code, person.health.height, person.health.weight)
    for language in person.languages:
        yield ("LUI", language.qualifier, language.code, language.description, language.use)


def _name(role: str, person: PersonDetails) -> Row:
    name = person.name
    identifier = person.identifiers[0] if person.identifiers else None
    return (
        "NM1",
        role,
        person.entity_type,
        name.last,
        name.first,
        name.middle,
        name.prefix,
        name.suffix,
        identifier.qualifier if identifier else "",
        identifier.value if identifier else "",
    )


def _demographics(person: PersonDetails) -> Iterator[Row]:
    row: Row = (
        "D8" if person.birth_date else "",
        _day(person.birth_date),
        person.gender,
        person.marital_status,
        list(person.ethnicities) or "",
        person.citizenship,
        "",
        "",
        "",
        *person.ethnicity_collection,
    )
    if any(row):
        yield ("DMG", *row)


def _contacts(function: str, name: str, contacts: Sequence[Contact]) -> Iterator[Row]:
    for start in range(0, len(contacts), 3):
        three = contacts[start : start + 3]
        yield ("PER", function, name, *(part for contact in three for part in (contact.kind, contact.value)))


def _address(address: PostalAddress) -> Iterator[Row]:
    for start in range(0, len(address.lines), 2):
        yield ("N3", *address.lines[start : start + 2])
    place: Row = (
        address.city,
        address.state,
        address.postal_code,
        address.country,
        *address.location,
        address.subdivision,
    )
    if any(place):
        yield ("N4", *place)


#: Contact function of a party by its role.
_FUNCTIONS = {"36": "EP", "M8": "SK", "S3": "PQ"}


def _party(party: Party, function: str | None = None) -> Iterator[Row]:
    identifier = party.identifiers[0] if party.identifiers else None
    name = party.name
    yield (
        "NM1",
        party.role,
        party.entity_type,
        name.last,
        name.first,
        name.middle,
        name.prefix,
        name.suffix,
        identifier.qualifier if identifier else "",
        identifier.value if identifier else "",
        party.relationship,
    )
    contacts = list(_contacts(function or _FUNCTIONS.get(party.role, "RP"), party.contact_name, party.contacts))
    address = list(_address(party.address)) if party.address else []
    # Contacts stand before the address of a member's parties, behind it in coverage loops.
    yield from (*address, *contacts) if function else (*contacts, *address)


def _coverage(item: CoverageInstruction, currency: str) -> Iterator[Row]:
    yield (
        "HD",
        item.maintenance.value,
        "",
        item.insurance_line,
        item.plan,
        item.level,
        "",
        "",
        "",
        item.late_enrolment,
    )
    yield from _dates(item.dates)
    yield from _amounts(item.amounts, currency)
    yield from _references(item.references)
    for card in item.cards:
        yield ("IDC", card.plan, card.kind, "" if card.count is None else str(card.count), card.action)
    for provider in item.providers:
        yield from _provider(provider)
    for coordination in item.coordination:
        yield from _coordination(coordination)


def _provider(item: Provider) -> Iterator[Row]:
    yield ("LX", str(item.number))
    yield from _party(item.party, "IC")
    if item.change is not None:
        yield ("PLA", item.change.action, item.change.role, _day(item.change.date), "", item.change.reason)


def _coordination(item: CoordinationOfBenefits) -> Iterator[Row]:
    yield ("COB", item.order, item.group_number, item.coordination, item.service_type)
    yield from _references(item.references)
    yield from _dates(item.dates)
    for party in item.parties:
        yield from _party(party, "CN")


def _categories(categories: Sequence[ReportingCategory]) -> Iterator[Row]:
    if not categories:
        return
    yield ("LS", "2700")
    for number, category in enumerate(categories, start=1):
        yield ("LX", str(number))
        yield ("N1", "75", category.name)
        yield from _references((category.reference,) if category.reference else ())
        yield from _dates((category.date,) if category.date else ())
    yield ("LE", "2700")


def _day(day: dt.date | None) -> str:
    return f"{day.year:04}{day.month:02}{day.day:02}" if day else ""


def _dates(dates: Iterable[QualifiedDate]) -> Iterator[Row]:
    for item in dates:
        if item.until is None:
            yield ("DTP", item.qualifier, "D8", _day(item.date))
        else:
            yield ("DTP", item.qualifier, "RD8", f"{_day(item.date)}-{_day(item.until)}")


def _references(references: Iterable[Reference]) -> Iterator[Row]:
    for item in references:
        yield ("REF", item.qualifier, item.value)


def _amounts(amounts: Iterable[QualifiedAmount], currency: str) -> Iterator[Row]:
    for item in amounts:
        yield ("AMT", item.qualifier, format_amount(item.minor, currency))


# Remittance


def _remittance(item: RemittanceAdvice) -> Iterator[Row]:
    yield (
        "BPR",
        item.handling,
        format_amount(item.amount, item.currency),
        "C" if item.credit else "D",
        item.method,
        item.format,
        *_account(item.payer_account),
        item.originating_company,
        item.originating_company_supplement,
        *_account(item.receiver_account),
        _day(item.payment_date),
    )
    yield ("TRN", item.trace_kind, item.trace_number, item.trace_originator, item.trace_originator_supplement)
    if item.currency != "USD":
        yield ("CUR", "PR", item.currency)
    yield from _references(item.references)
    yield from _moments(item.dates)
    for party in (item.receiver, item.payer, *item.other_parties):
        yield from _remittance_party(party)
    for entity in item.entities:
        yield from _entity(entity, item.currency)


def _account(account: BankAccount | None) -> Row:
    if account is None:
        return ("",) * 4
    return (account.routing_qualifier, account.routing_number, account.account_kind, account.account_number.value)


def _moments(dates: Iterable[QualifiedDate]) -> Iterator[Row]:
    for item in dates:
        if item.until is None:
            yield ("DTM", item.qualifier, _day(item.date))
        else:
            yield ("DTM", item.qualifier, "", "", "", "RD8", f"{_day(item.date)}-{_day(item.until)}")


def _remittance_party(party: RemittanceParty) -> Iterator[Row]:
    yield ("N1", party.role, party.name, party.identifier_qualifier, party.identifier)
    for start in range(0, len(party.additional_names), 2):
        yield ("N2", *party.additional_names[start : start + 2])
    if party.address is not None:
        yield from _address(party.address)
    yield from _contacts("IC", party.contact_name, party.contacts)
    if any(party.delivery):
        yield ("RDM", *party.delivery)


def _entity(entity: RemittanceEntity, currency: str) -> Iterator[Row]:
    yield ("ENT", str(entity.number), entity.entity, entity.identifier_qualifier, entity.identifier.value)
    for party in entity.people:
        yield from _party(party)
    for adjustment in entity.adjustments:
        yield _adjustment(adjustment, currency)
    for line in entity.lines:
        yield from _line(line, currency)


def _line(line: RemittanceLine, currency: str) -> Iterator[Row]:
    yield (
        "RMR",
        line.reference_qualifier,
        line.reference,
        line.action,
        format_amount(line.paid, currency),
        "" if line.invoiced is None else format_amount(line.invoiced, currency),
        "" if line.discount is None else format_amount(line.discount, currency),
    )
    yield from _references(line.references)
    yield from _moments(line.dates)
    if line.counts:
        yield ("IT1", "1")
        for number, count in enumerate(line.counts, start=1):
            yield _count(number, count)
    for adjustment in line.adjustments:
        yield _adjustment(adjustment, currency)


def _count(number: int, count: LineCount) -> Row:
    segment, _, code = count.kind.partition(" ")
    if segment == "SAC":
        return ("SAC", "C", code, "", "", "" if count.minor is None else str(count.minor))
    return ("SLN", str(number), "", "O", count.count, code)


def _adjustment(adjustment: RemittanceAdjustment, currency: str) -> Row:
    reference = adjustment.reference
    return (
        "ADX",
        format_amount(adjustment.minor, currency),
        adjustment.reason,
        reference.qualifier if reference else "",
        reference.value if reference else "",
    )
