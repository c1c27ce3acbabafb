"""What the demonstration's partners send: enrolment files, a bank file, a payment advice, written in their formats."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from application.files.bank import BankLine, BankStatement, Direction
from application.files.enrolment import (
    CoverageInstruction,
    EnrolmentInstruction,
    EnrolmentTransaction,
    FileAction,
    Maintenance,
    Organisation,
    QualifiedAmount,
    QualifiedDate,
    TransactionPurpose,
)
from application.files.personal import Confidential, PersonDetails, PersonName
from application.files.remittance import (
    BankAccount,
    RemittanceAdvice,
    RemittanceEntity,
    RemittanceLine,
    RemittanceParty,
)
from infrastructure.files.bank.writer import BAI2_BALANCES, with_balances, write_bai2
from infrastructure.files.x12.writer import envelope, write_820, write_834

OUR_ACCOUNT = "000123456789"
_ROUTING = "021000089"

_NAMES = (
    ("Ada", "Miller"), ("Ben", "Okafor"), ("Cleo", "Laurent"), ("Dan", "Sato"), ("Eve", "Lindqvist"),
    ("Finn", "Moreau"), ("Gia", "Romano"), ("Hal", "Novak"), ("Ida", "Costa"), ("Jon", "Weber"),
    ("Kim", "Tran"), ("Leo", "Haddad"),
)  # fmt: skip


def member(number: int) -> str:
    """The sponsor's own number of the n-th member, from 1."""
    return f"E{1000 + number}"


def cover(
    maintenance: Maintenance,
    line: str,
    *,
    begin: dt.date | None = None,
    last_day: dt.date | None = None,
    monthly: int | None = None,
) -> CoverageInstruction:
    """A coverage: from `begin`, up to and with `last_day`, at `monthly` minor units."""
    dates = [QualifiedDate(qualifier, day) for qualifier, day in (("348", begin), ("349", last_day)) if day is not None]
    amounts = () if monthly is None else (QualifiedAmount("P3", monthly),)
    return CoverageInstruction(maintenance, line, "BASIC", "EMP", dates=tuple(dates), amounts=amounts)


def instruct(maintenance: Maintenance, number: int, *coverages: CoverageInstruction) -> EnrolmentInstruction:
    """What is to be done with the n-th member."""
    first, last = _NAMES[(number - 1) % len(_NAMES)]
    return EnrolmentInstruction(
        True,
        "18",
        maintenance,
        Confidential(member(number)),
        PersonDetails(PersonName(last, first)),
        benefit_status="A",
        employment_status="FT",
        coverages=coverages,
    )


def enrolment_file(policy: str, on: dt.date, number: int, instructions: Sequence[EnrolmentInstruction]) -> bytes:
    """An 834 file of the sponsor."""
    sent = dt.datetime.combine(on, dt.time(6), dt.UTC)
    transaction = EnrolmentTransaction(
        envelope("NORTHWIND", "ROLLON", sent, number),
        TransactionPurpose.ORIGINAL,
        f"ENROL{number}",
        sent.date(),
        sent.time(),
        FileAction.CHANGE,
        Organisation("P5", "Northwind Mills", "FI", "987654321"),
        Organisation("IN", "Rollon Life", "FI", "123456789"),
        master_policy_number=policy,
        instructions=tuple(instructions),
    )
    return write_834([transaction])


def bank_file(on: dt.date, credits: Sequence[tuple[int, str, str]]) -> bytes:
    """A BAI2 file with credits: minor units, the payer's reference, text."""
    lines = tuple(
        BankLine(
            OUR_ACCOUNT,
            Direction.CREDIT,
            minor,
            "USD",
            on,
            type_code="165",
            bank_reference=f"B{on:%Y%m%d}{number}",
            customer_reference=reference,
            text=text,
        )
        for number, (minor, reference, text) in enumerate(credits, start=1)
    )
    statement = with_balances(BankStatement(OUR_ACCOUNT, "USD", "1", on, lines=lines), 0, BAI2_BALANCES)
    created = dt.datetime.combine(on, dt.time(6), dt.UTC)
    return write_bai2([statement], sender="FIRSTBANK", receiver="ROLLON", created_at=created)


def advice_file(on: dt.date, trace: str, invoices: Sequence[tuple[str, int]]) -> bytes:
    """An 820 file: the payment with this trace number pays these invoices."""
    advice = RemittanceAdvice(
        envelope("NORTHWIND", "ROLLON", dt.datetime.combine(on, dt.time(6), dt.UTC), 501, version="005010X218"),
        "I",
        sum(minor for _, minor in invoices),
        "USD",
        True,
        "ACH",
        "1",
        trace,
        RemittanceParty("PR", "Northwind Mills", "FI", "987654321"),
        RemittanceParty("PE", "Rollon Life", "FI", "123456789"),
        format="CTX",
        payment_date=on,
        payer_account=BankAccount("01", _ROUTING, "DA", Confidential("000987654321")),
        receiver_account=BankAccount("01", _ROUTING, "DA", Confidential(OUR_ACCOUNT)),
        originating_company="1987654321",
        entities=(
            RemittanceEntity(
                1,
                "2L",
                "FI",
                Confidential("987654321"),
                lines=tuple(RemittanceLine("IK", invoice, minor) for invoice, minor in invoices),
            ),
        ),
    )
    return write_820([advice])
