"""What is written is read again as the same records: nothing is lost, nothing is changed."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from application.files.bank import BankLine, BankStatement, BankStatementFile, Direction, StructuredRemittance
from application.files.enrolment import (
    CoordinationOfBenefits,
    CoverageInstruction,
    EnrolmentFile,
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
from application.files.remittance import (
    BankAccount,
    LineCount,
    RemittanceAdjustment,
    RemittanceAdvice,
    RemittanceEntity,
    RemittanceFile,
    RemittanceLine,
    RemittanceParty,
)
from infrastructure.files.bank.writer import BAI2_BALANCES, with_balances, write_bai2, write_camt053
from infrastructure.files.x12.segments import Delimiters
from infrastructure.files.x12.writer import envelope, write_820, write_834
from tests.infrastructure.files.samples import NAMES, read, sample

#: Big records shrink for minutes; a failing file is written out in full by the refusal instead.
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
DAYS = st.dates(dt.date(1900, 1, 1), dt.date(2099, 12, 31))
RECENT = st.dates(dt.date(1970, 1, 1), dt.date(2068, 12, 31))
MINOR = st.integers(-(10**12), 10**12)
POSITIVE = st.integers(1, 10**12)


def words(most: int, least: int = 1) -> st.SearchStrategy[str]:
    """Text a file may carry: letters of several scripts, digits, punctuation that is no delimiter, inner blanks."""
    alphabet = st.sampled_from("ABCXYZabz019ÄÉñß .-'#&()")
    return st.text(alphabet, min_size=least, max_size=most).map(lambda text: text.strip() or "X" * least)


def some(item: st.SearchStrategy[object], most: int = 2) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(item, max_size=most).map(tuple)


def maybe(item: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.just("") | item


codes = st.sampled_from
NAME = st.builds(PersonName, words(60), maybe(words(35)), maybe(words(25)), maybe(words(10)), maybe(words(10)))
ADDRESS = st.builds(
    PostalAddress,
    st.lists(words(55), min_size=1, max_size=2).map(tuple),
    words(30, 2).filter(lambda text: len(text) >= 2),
    codes(["IL", "PA"]),
    codes(["62701", "171110000"]),
    codes(["", "US"]),
    st.just(("", "")) | st.tuples(st.just("CY"), words(30)),
)
CONTACTS = st.lists(st.builds(Contact, codes(["HP", "WP", "CP", "EM"]), words(60)), max_size=3).map(tuple)
SSN = st.from_regex(r"[0-9]{9}", fullmatch=True)
IDENTIFIERS = st.lists(st.builds(PersonIdentifier, codes(["34", "ZZ"]), SSN), max_size=1).map(tuple)
AMOUNTS = some(st.builds(QualifiedAmount, codes(["P3", "C1", "D2"]), MINOR))


@st.composite
def people(draw: st.DrawFn) -> PersonDetails:
    born = draw(st.none() | DAYS)
    races = (
        ()
        if born is None
        else draw(some(st.tuples(codes("BCIO")) | st.tuples(codes("BC"), st.just("RET"), st.just("2106-3"))))
    )
    return PersonDetails(
        name=draw(NAME),
        identifiers=draw(IDENTIFIERS),
        birth_date=born,
        gender=draw(codes(["F", "M", "U"])) if born else "",
        marital_status=draw(codes(["", "M", "S"])) if born else "",
        ethnicities=races,
        citizenship=draw(codes(["", "1"])) if born else "",
        ethnicity_collection=("REC", "2186-5") if races else ("", ""),
        residence=draw(st.none() | ADDRESS),
        mailing=draw(st.none() | ADDRESS),
        contacts=draw(CONTACTS),
        languages=draw(some(st.builds(Language, st.just("LD"), st.just("SPA"), maybe(words(80)), codes(["", "7"])))),
        incomes=draw(
            some(st.builds(Income, codes("14"), MINOR, codes(["", "37.5"]), maybe(words(30)), maybe(words(5))), 1)
        ),
        health=draw(st.none() | st.builds(HealthInformation, codes("NTU"), codes(["", "66"]), codes(["", "140.5"]))),
        disabilities=draw(
            some(st.builds(Disability, codes("12"), st.just("DX"), words(15), st.none() | DAYS, st.none() | DAYS))
        ),
        death_date=draw(st.none() | DAYS),
    )


INCORRECT = st.builds(
    PersonDetails, name=NAME, identifiers=IDENTIFIERS, birth_date=st.none() | DAYS, gender=codes(["", "F"])
)
REFERENCES = some(st.builds(Reference, codes(["17", "23", "3H", "DX", "ZZ"]), words(50)), 3)


def party(role: str, entity_type: str = "1", contact: str = "TE", *, named: bool = False) -> st.SearchStrategy[Party]:
    numbers = st.lists(st.builds(Contact, st.just(contact), words(60)), max_size=3)
    full = st.builds(PersonName, words(60), words(35), maybe(words(25)))
    return st.builds(
        Party,
        st.just(role),
        st.just(entity_type),
        full if entity_type == "1" else st.builds(PersonName, words(60)),
        contact_name=maybe(words(60)) if named else st.just(""),
        contacts=(numbers.filter(bool) if named else numbers).map(tuple),
        address=st.none() | ADDRESS,
    )


@st.composite
def periods(draw: st.DrawFn, qualifier: str) -> QualifiedDate:
    first, last = sorted((draw(DAYS), draw(DAYS)))
    return QualifiedDate(qualifier, first, last)


COVERAGE = st.builds(
    CoverageInstruction,
    codes(list(Maintenance)),
    codes(["HLT", "DEN", "LTD"]),
    plan=maybe(words(50)),
    level=codes(["", "EMP", "FAM"]),
    late_enrolment=codes(["", "Y"]),
    dates=st.lists(
        st.builds(QualifiedDate, codes(["348", "349", "303"]), DAYS) | periods("343"), min_size=1, max_size=4
    ).map(tuple),
    amounts=AMOUNTS,
    references=some(st.builds(Reference, codes(["1L", "17", "ZZ"]), words(50))),
    cards=some(st.builds(IdentificationCard, words(50), codes("DHP"), st.none() | st.integers(1, 9), codes(["", "1"]))),
    providers=some(
        st.builds(
            Provider,
            st.integers(1, 999),
            party("P3").map(lambda item: replace(item, relationship="25", contacts=item.contacts[:1])),
            st.none() | st.builds(ProviderChange, st.just("2"), st.just("1P"), DAYS, codes(["14", "AA"])),
        ),
        1,
    ),
    coordination=some(
        st.builds(
            CoordinationOfBenefits,
            codes("PST"),
            maybe(words(50)),
            codes("156"),
            codes(["", "35"]),
            some(st.builds(Reference, codes(["60", "ZZ"]), words(50))),
            some(st.builds(QualifiedDate, codes(["344", "345"]), DAYS)),
            some(party("IN", "2").map(lambda item: replace(item, contacts=item.contacts[:1])), 1),
        ),
        1,
    ),
)

INSTRUCTION = st.builds(
    EnrolmentInstruction,
    subscriber=st.booleans(),
    relationship=codes(["18", "01", "19"]),
    maintenance=codes([Maintenance.ADDITION, Maintenance.CHANGE, Maintenance.CANCELLATION, Maintenance.REINSTATEMENT]),
    subscriber_number=st.builds(Confidential, words(50)),
    person=people(),
    reason=codes(["", "20", "EC"]),
    benefit_status=codes(["A", "C"]),
    medicare=codes([(), ("C",), ("A", "1")]),
    cobra_event=codes(["", "1"]),
    employment_status=codes(["", "FT", "TE"]),
    student_status=codes(["", "F"]),
    handicapped=codes(["", "N"]),
    confidentiality=codes(["", "R"]),
    birth_sequence=st.none() | st.integers(1, 5),
    policy_number=st.none() | words(50),
    references=REFERENCES,
    dates=some(st.builds(QualifiedDate, codes(["356", "357", "336", "303"]), DAYS), 4),
    corrected=st.booleans(),
    incorrect=st.none() | INCORRECT,
    employment_classes=codes([(), (("01",),), (("01", "02", "03"), ("17",))]),
    amounts=AMOUNTS,
    parties=some(party("36", "2", named=True) | party("S3") | party("QD"), 1),
    coverages=some(COVERAGE),
    categories=some(
        st.builds(
            ReportingCategory,
            words(60),
            st.none() | st.builds(Reference, codes(["17", "ZZ"]), words(50)),
            st.none() | st.builds(QualifiedDate, st.just("007"), DAYS) | periods("007"),
        )
    ),
)

ENVELOPE = envelope("SENDER 1", "RECEIVER", dt.datetime(2025, 3, 1, 9, 30), 7)  # noqa: DTZ001


@st.composite
def enrolments(draw: st.DrawFn) -> list[EnrolmentTransaction]:
    transactions = []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        envelope_ = replace(ENVELOPE, set_control_number=f"{number:04}")
        if draw(st.booleans()):
            envelope_ = replace(
                envelope_, group_control_number=str(100 + number), interchange_control_number=f"{number:09}"
            )
        transactions.append(
            EnrolmentTransaction(
                envelope=envelope_,
                purpose=draw(codes(list(TransactionPurpose))),
                reference=draw(words(50)),
                created_on=draw(DAYS),
                created_at=draw(codes([dt.time(9, 30), dt.time(9, 30, 15), dt.time(0, 0, 0, 120_000)])),
                action=draw(codes(list(FileAction))),
                sponsor=Organisation("P5", draw(maybe(words(60))), "FI", draw(SSN)),
                payer=Organisation("IN", draw(maybe(words(60))), "FI", draw(SSN)),
                time_zone=draw(codes(["", "ET"])),
                original_reference=draw(maybe(words(50))),
                master_policy_number=draw(st.none() | words(50)),
                dates=draw(some(st.builds(QualifiedDate, codes(["007", "303"]), DAYS))),
                brokers=draw(
                    some(st.builds(Organisation, st.just("BO"), words(60), st.just("FI"), SSN, codes([(), ("A",)])), 1)
                ),
                instructions=draw(st.lists(INSTRUCTION, min_size=1, max_size=3).map(tuple)),
            )
        )
    # One interchange and group may not be left and taken up again: its control number would occur twice.
    order = {id(item): index for index, item in enumerate(transactions)}
    return sorted(transactions, key=lambda item: (item.envelope.interchange_control_number, order[id(item)]))


@settings(max_examples=30, deadline=None, phases=NO_SHRINKING, suppress_health_check=SLOW)
@given(enrolments(), codes([Delimiters(), Delimiters("|", ">", "!", "\n"), Delimiters("+", ":", "*", "~")]))
def test_enrolments_written_and_read_are_the_same(
    transactions: list[EnrolmentTransaction], delimiters: Delimiters
) -> None:
    content = read(EnrolmentFile, write_834(transactions, delimiters=delimiters))
    assert content.transactions == tuple(transactions)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".834") and "managed" not in name])
def test_the_enrolment_samples_written_again_are_the_same_records(name: str) -> None:
    content = read(EnrolmentFile, sample(name))
    assert read(EnrolmentFile, write_834(content.transactions)).transactions == content.transactions


@st.composite
def advices(draw: st.DrawFn, version: str) -> RemittanceAdvice:
    guide = version != "005010"
    line_codes = codes(["IK", "1L"] if guide else ["IV", "ZZ"])
    entities = []
    for number in range(1, draw(st.integers(0, 3)) + 1):
        individual = number > 1 or not guide
        lines = []
        for _ in range(draw(st.integers(1, 3))):
            paid, changes = draw(MINOR), draw(some(st.integers(-(10**9), 10**9)))
            lines.append(
                RemittanceLine(
                    draw(codes(["AZ", "IK"]) if individual and guide else line_codes),
                    draw(words(50)),
                    paid,
                    paid - sum(changes) if changes or draw(st.booleans()) else None,
                    action="" if individual and guide else draw(codes(["", "PP"])),
                    references=draw(some(st.builds(Reference, codes(["38", "ZZ"]), words(50)))),
                    dates=draw(some(periods("582"), 1)),
                    counts=()
                    if individual and guide
                    else draw(codes([(), (LineCount("SLN 10", "42"),), (LineCount("SAC D940", minor=500),)])),
                    adjustments=tuple(RemittanceAdjustment(change, "52") for change in changes),
                )
            )
        entities.append(
            RemittanceEntity(
                number,
                "2J" if individual else "2L",
                "34" if individual else "FI",
                Confidential(draw(SSN)),
                draw(some(st.builds(Party, st.just("IL"), st.just("1"), NAME), 1)) if individual else (),
                draw(some(st.builds(RemittanceAdjustment, MINOR, codes(["52", "53"])))),
                tuple(lines),
            )
        )
    total = sum(line.paid for entity in entities for line in entity.lines)
    total += sum(adjustment.minor for entity in entities for adjustment in entity.adjustments)
    account = st.builds(BankAccount, st.just("01"), st.just("021000021"), st.just("DA"), st.builds(Confidential, SSN))
    return RemittanceAdvice(
        envelope=replace(ENVELOPE, version=version),
        handling="I",
        amount=total if entities else draw(MINOR),
        currency=draw(codes(["USD", "JPY", "KWD"])),
        credit=guide or draw(st.booleans()),
        method="ACH",
        format="CTX",
        trace_kind="1",
        trace_number=draw(words(50)),
        trace_originator="1234567890",
        trace_originator_supplement=draw(maybe(words(50))),
        payer=RemittanceParty("PR", draw(words(60)), "FI", draw(SSN), additional_names=draw(codes([(), ("UNIT 7",)]))),
        receiver=RemittanceParty("PE", draw(words(60)), "FI", draw(SSN), address=draw(st.none() | ADDRESS)),
        payment_date=draw(DAYS),
        payer_account=draw(account if guide else st.none() | account),
        receiver_account=draw(st.none() | account),
        originating_company="1234567890",
        references=draw(some(st.builds(Reference, codes(["38", "14"]), words(50)))),
        dates=draw(some(st.builds(QualifiedDate, st.just("009"), DAYS) | periods("582"))),
        entities=tuple(entities),
    )


@pytest.mark.parametrize("version", ["005010X218", "005010"])
@settings(max_examples=50, deadline=None, phases=NO_SHRINKING, suppress_health_check=SLOW)
@given(st.data())
def test_remittances_written_and_read_are_the_same(version: str, data: st.DataObject) -> None:
    advice = data.draw(advices(version))
    assert read(RemittanceFile, write_820([advice])).advices == (advice,)


@st.composite
def statements(draw: st.DrawFn, *, camt: bool) -> BankStatement:
    currency = draw(codes(["USD", "EUR", "JPY", "KWD"]))
    day = draw(RECENT)
    text = st.lists(words(30), max_size=3).map("\n".join)
    seen: dict[tuple[object, ...], int] = {}
    lines = []
    for _ in range(draw(st.integers(0, 5))):
        credit = draw(st.booleans())
        line = BankLine(
            account="DE02120300000000202051" if camt else "77-1",
            direction=Direction.CREDIT if credit else Direction.DEBIT,
            minor=draw(st.integers(1, 3) | POSITIVE),
            currency=currency,
            value_date=draw(st.just(day) | RECENT),
            booking_date=day,
            type_code=draw(codes(["PMNT/RCDT/ESCT", "NTRF"])) if camt else ("142" if credit else "475"),
            bank_reference=draw(maybe(words(35))),
            customer_reference=draw(maybe(words(35))),
            text=draw(text),
        )
        if camt:
            line = replace(
                line,
                end_to_end_id=draw(maybe(words(35))),
                mandate_id=draw(maybe(words(35))),
                transaction_id=draw(maybe(words(35))),
                reversal=draw(st.booleans()),
                return_reason=draw(codes(["", "AC06"])),
                booked=draw(st.integers(0, 3)) > 0,
                counterparty_name=draw(maybe(words(70))),
                counterparty_account=draw(st.none() | st.builds(Confidential, words(30))),
                remittance=draw(
                    some(
                        st.builds(
                            StructuredRemittance,
                            st.just("CINV"),
                            words(35),
                            codes(["", "RF18539007547034"]),
                            POSITIVE,
                            st.just(currency),
                        )
                    )
                ),
            )
        key = (line.account, line.bank_reference, line.value_date, line.minor, line.direction)
        seen[key] = seen.get(key, 0) + 1
        lines.append(replace(line, occurrence=seen[key]))
    plain = BankStatement(
        "DE02120300000000202051" if camt else "77-1", currency, "ST-1" if camt else "1", day, lines=tuple(lines)
    )
    opening = draw(MINOR)
    return with_balances(plain, opening) if camt else with_balances(plain, opening, BAI2_BALANCES)


NOW = dt.datetime(2025, 3, 4, 5, 6)  # noqa: DTZ001


@settings(max_examples=60, deadline=None, phases=NO_SHRINKING, suppress_health_check=SLOW)
@given(statements(camt=True), st.integers(2, 8), st.booleans())
def test_camt_statements_written_and_read_are_the_same(statement: BankStatement, version: int, indent: bool) -> None:
    written = write_camt053([statement], message_id="M-1", created_at=NOW, version=version, indent=indent)
    content = read(BankStatementFile, written)
    assert content.statements == (statement,)
    assert content.created_on == NOW.date()


@settings(max_examples=60, deadline=None, phases=NO_SHRINKING, suppress_health_check=SLOW)
@given(statements(camt=False))
def test_bai2_statements_written_and_read_are_the_same(statement: BankStatement) -> None:
    content = read(BankStatementFile, write_bai2([statement], sender="BANK", receiver="US", created_at=NOW))
    assert content.statements == (statement,)
    assert content.remarks == ()


def test_a_writer_refuses_what_its_format_cannot_carry() -> None:
    line = BankLine("1", Direction.CREDIT, 5, "USD", NOW.date(), type_code="142", end_to_end_id="E")
    statement = BankStatement("1", "USD", "1", NOW.date(), lines=(line,))
    with pytest.raises(ValueError, match="cannot carry"):
        write_bai2([statement], sender="A", receiver="B", created_at=NOW)
    debit = replace(line, end_to_end_id="", type_code="475")
    with pytest.raises(ValueError, match="no credit"):
        write_bai2([replace(statement, lines=(debit,))], sender="A", receiver="B", created_at=NOW)
    with pytest.raises(ValueError, match="batches"):
        write_camt053([replace(statement, lines=(replace(line, batch_size=2),))], message_id="M", created_at=NOW)
    content = read(EnrolmentFile, sample("add-dependent.834")).transactions[0]
    with pytest.raises(ValueError, match="delimiter"):
        write_834([replace(content, reference="A*B")])
