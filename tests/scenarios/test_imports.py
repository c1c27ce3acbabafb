"""Partner files over HTTP: an enrolment file becomes members, a bank file and an advice become payments."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from typing import Any

import pytest

from application.command import Principal
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
from application.register import ItemRegister
from infrastructure.files.bank.writer import BAI2_BALANCES, with_balances, write_bai2
from infrastructure.files.x12.writer import envelope, write_820, write_834
from tests.scenarios.conftest import World

NOON = dt.datetime(2024, 12, 20, 12, tzinfo=dt.UTC)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def coverage(maintenance: Maintenance, *, begin: str = "", end: str = "", premium: int | None = None) -> Any:
    dates = [QualifiedDate("348", day(begin))] if begin else []
    dates += [QualifiedDate("349", day(end))] if end else []
    amounts = () if premium is None else (QualifiedAmount("P3", premium),)
    return CoverageInstruction(maintenance, "LIF", "BASIC", "EMP", dates=tuple(dates), amounts=amounts)


def instruction(maintenance: Maintenance, number: str, *coverages: CoverageInstruction) -> EnrolmentInstruction:
    return EnrolmentInstruction(
        True,
        "18",
        maintenance,
        Confidential(number),
        PersonDetails(PersonName("MILLER", "ADA")),
        benefit_status="A",
        employment_status="FT",
        coverages=coverages,
    )


def enrolment(*instructions: EnrolmentInstruction, number: int = 1, policy: str = "MP-1") -> bytes:
    return write_834(
        [
            EnrolmentTransaction(
                envelope("NORTHWIND", "INSURER", NOON, number),
                TransactionPurpose.ORIGINAL,
                f"REF{number}",
                NOON.date(),
                NOON.time(),
                FileAction.CHANGE,
                Organisation("P5", "Northwind Mills", "FI", "999888777"),
                Organisation("IN", "Insurer", "FI", "654456654"),
                master_policy_number=policy,
                instructions=instructions,
            )
        ]
    )


def bank(*lines: BankLine) -> bytes:
    statement = BankStatement("123456789", "USD", "1", day("2024-12-27"), lines=lines)
    return write_bai2(
        [with_balances(statement, 0, BAI2_BALANCES)],
        sender="BANK",
        receiver="INSURER",
        created_at=dt.datetime(2024, 12, 27, 6, tzinfo=dt.UTC),
    )


def credit(minor: int, reference: str = "", text: str = "", bank_reference: str = "B1") -> BankLine:
    return BankLine(
        "123456789",
        Direction.CREDIT,
        minor,
        "USD",
        day("2024-12-27"),
        type_code="165",
        bank_reference=bank_reference,
        customer_reference=reference,
        text=text,
    )


def advice(trace: str, *lines: tuple[str, int]) -> bytes:
    total = sum(paid for _, paid in lines)
    return write_820(
        [
            RemittanceAdvice(
                envelope("NORTHWIND", "INSURER", NOON, 7, version="005010X218"),
                "I",
                total,
                "USD",
                True,
                "ACH",
                "1",
                trace,
                RemittanceParty("PR", "Northwind Mills", "FI", "999888777"),
                RemittanceParty("PE", "Insurer", "FI", "654456654"),
                format="CTX",
                payer_account=BankAccount("01", "021000089", "DA", Confidential("111222333")),
                receiver_account=BankAccount("01", "021000089", "DA", Confidential("123456789")),
                originating_company="1234567890",
                payment_date=day("2024-12-27"),
                entities=(
                    RemittanceEntity(
                        1,
                        "2L",
                        "FI",
                        Confidential("999888777"),
                        lines=tuple(RemittanceLine("IK", invoice, paid) for invoice, paid in lines),
                    ),
                ),
            )
        ]
    )


def post(world: World, kind: str, content: bytes, *, roles: Sequence[str] = ("POL", "ARA")) -> Any:
    token = world.system.issuer.token("ann", roles, person="P-ANN", second_factor=True)
    return world.client.post(
        f"/v1/files?kind={kind}&name=file.txt",
        content=content,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"},
    )


def take(world: World, kind: str, content: bytes) -> dict[str, Any]:
    """Send a file that must be accepted, and follow it to its end; its receipt."""
    sent = post(world, kind, content)
    assert sent.status_code in (200, 201), sent.text
    token = world.system.issuer.token("ann", ("POL", "ARA"), person="P-ANN")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        receipt: dict[str, Any] = world.client.get(
            sent.headers["location"], headers={"Authorization": f"Bearer {token}"}
        ).json()
        if receipt["report"]["left"] == 0:
            # What this file's money was waited for by is taken behind it.
            world.system.wait_for_background()
            return {**receipt, "repeated": sent.json()["repeated"]}
        time.sleep(0.02)
    raise AssertionError(receipt)


def cases(receipt: dict[str, Any]) -> list[tuple[str, str]]:
    return [(case["state"], case["code"]) for case in receipt["report"]["cases"]]


def billed(world: World, account: str) -> str:
    return str(world.do("GenerateInvoice", account=account, confirmed=True)["billed"]["amount"])


ADDED = coverage(Maintenance.ADDITION, begin="2025-01-01", premium=10_000)


def test_an_enrolment_file_enrols_and_the_same_file_again_has_no_further_effect(world: World) -> None:
    world.on("2024-12-20")
    account, _ = world.group()
    content = enrolment(instruction(Maintenance.ADDITION, "E1", ADDED), instruction(Maintenance.ADDITION, "E2", ADDED))
    first = take(world, "ENROLMENT", content)
    assert (first["state"], first["repeated"], first["report"]["steps"], first["report"]["done"]) == (
        "AVAILABLE",
        False,
        2,
        2,
    )
    again = take(world, "ENROLMENT", content)
    assert (again["repeated"], again["report"]) == (True, first["report"])
    assert billed(world, account) == "200.00"


def test_changes_terminations_and_reinstatements_reach_the_premium(world: World) -> None:
    world.on("2024-12-20")
    account, _ = world.group()
    take(
        world,
        "ENROLMENT",
        enrolment(*(instruction(Maintenance.ADDITION, number, ADDED) for number in ("E1", "E2", "E3"))),
    )
    changed = coverage(Maintenance.CHANGE, begin="2025-02-01", premium=15_000)
    ended = coverage(Maintenance.CANCELLATION, end="2025-01-31")
    receipt = take(
        world,
        "ENROLMENT",
        enrolment(
            instruction(Maintenance.CHANGE, "E1", changed),
            instruction(Maintenance.CANCELLATION, "E2", ended),
            instruction(Maintenance.CANCELLATION, "E3", ended),
            number=2,
        ),
    )
    assert cases(receipt) == []
    back = coverage(Maintenance.REINSTATEMENT, begin="2025-02-01")
    assert (
        cases(take(world, "ENROLMENT", enrolment(instruction(Maintenance.REINSTATEMENT, "E3", back), number=3))) == []
    )
    assert billed(world, account) == "300.00"  # January: 3 x 100.00
    world.on("2025-01-20")
    assert billed(world, account) == "250.00"  # February: 150.00, gone, 100.00


def test_what_cannot_be_placed_is_kept_for_a_person_and_the_rest_goes_on(world: World) -> None:
    world.on("2024-12-20")
    account, _ = world.group()
    content = enrolment(
        instruction(Maintenance.ADDITION, "E1", coverage(Maintenance.ADDITION, begin="2025-01-01")),
        instruction(Maintenance.CANCELLATION, "E9", coverage(Maintenance.CANCELLATION, end="2025-01-31")),
        instruction(Maintenance.ADDITION, "E2", ADDED),
    )
    receipt = take(world, "ENROLMENT", content)
    assert receipt["report"]["done"] == 1
    assert cases(receipt) == [("QUEUED", "PREMIUM_MISSING"), ("QUEUED", "MEMBER_RECORD_UNKNOWN")]
    assert [case["line"] > 0 for case in receipt["report"]["cases"]] == [True, True]
    assert billed(world, account) == "100.00"


def test_a_file_with_a_defect_is_refused_whole_with_every_defect_and_its_place(world: World) -> None:
    world.on("2024-12-20")
    account, _ = world.group()
    content = enrolment(instruction(Maintenance.ADDITION, "E1", ADDED), instruction(Maintenance.ADDITION, "E2", ADDED))
    broken = content.replace(b"DTP*348*D8*20250101", b"DTP*348*D8*20250199")
    sent = post(world, "ENROLMENT", broken)
    assert sent.status_code == 422
    problems = sent.json()["problems"]
    assert [problem["params"]["defect"] for problem in problems] == ["DATE_INVALID", "DATE_INVALID"]
    assert all(problem["params"]["line"] and problem["params"]["segment_number"] for problem in problems)
    status, codes = world.refused("GenerateInvoice", account=account, confirmed=True)
    assert (status, codes) == (409, ["NO_INVOICE_REQUIRED"])


@pytest.mark.rule("PLT-098")
def test_the_kind_of_a_file_is_told_by_its_content(world: World) -> None:
    sent = post(world, "BANK_STATEMENT", enrolment(instruction(Maintenance.ADDITION, "E1", ADDED)))
    assert (sent.status_code, sent.json()["problems"][0]["code"]) == (415, "FILE_TYPE_NOT_ALLOWED")


def test_a_member_known_by_social_security_number_gets_a_number_that_does_not_tell_it(world: World) -> None:
    world.on("2024-12-20")
    world.group()
    take(world, "ENROLMENT", enrolment(instruction(Maintenance.ADDITION, "123456789", ADDED)))
    with world.system.database.reading() as connection:
        text = connection.execute("SELECT string_agg(payload::text || stream, ' ') FROM event").fetchone()
        kept = connection.execute("SELECT string_agg(payload::text, ' ') FROM file_step").fetchone()
    assert text is not None
    assert kept is not None
    assert "123456789" not in text[0] + kept[0]
    removed = coverage(Maintenance.CANCELLATION, end="2025-01-31")
    found = take(world, "ENROLMENT", enrolment(instruction(Maintenance.CANCELLATION, "123456789", removed), number=2))
    assert found["report"]["done"] == 1


def _billed_group(world: World) -> tuple[str, str]:
    """A group with an invoice of 200.00; account and invoice."""
    world.on("2024-12-20")
    account, _ = world.group()
    take(
        world,
        "ENROLMENT",
        enrolment(instruction(Maintenance.ADDITION, "E1", ADDED), instruction(Maintenance.ADDITION, "E2", ADDED)),
    )
    invoice = world.do("GenerateInvoice", account=account, confirmed=True)["invoice"]
    world.on("2024-12-28")
    return account, invoice


def _money(world: World, account: str) -> tuple[int, int]:
    """Paid and unapplied, minor units."""
    with world.system.database.writing() as connection:
        factory = world.system.units._ports[ItemRegister]
        totals = factory(connection).totals(account)
    return totals.total_paid, totals.unapplied


def test_bank_credits_find_their_account_by_the_numbers_they_mention(world: World) -> None:
    account, invoice = _billed_group(world)
    receipt = take(
        world,
        "BANK_STATEMENT",
        bank(
            credit(5_000, text=f"PREMIUM {invoice}", bank_reference="B1"),
            credit(7_000, reference=account, bank_reference="B2"),
            credit(900, text="THANK YOU", bank_reference="B3"),
        ),
    )
    assert receipt["report"]["done"] == 2
    assert cases(receipt) == [("QUEUED", "ACCOUNT_NOT_IDENTIFIED")]
    assert _money(world, account) == (12_000, 0)
    with world.system.database.reading() as connection:
        row = connection.execute("SELECT string_agg(payload::text, ' ') FROM file_step").fetchone()
    assert row is not None
    assert "123456789" not in row[0]


def test_a_bank_line_that_comes_in_another_file_again_is_not_paid_twice(world: World) -> None:
    account, invoice = _billed_group(world)
    take(world, "BANK_STATEMENT", bank(credit(5_000, reference=invoice)))
    again = take(
        world,
        "BANK_STATEMENT",
        bank(credit(5_000, reference=invoice), credit(100, reference=invoice, bank_reference="B2")),
    )
    assert (again["report"]["noted"], again["report"]["done"]) == (1, 1)
    assert _money(world, account) == (5_100, 0)


@pytest.mark.parametrize("money_first", [True, False])
def test_money_and_its_advice_find_each_other_whichever_comes_first(world: World, money_first: bool) -> None:
    account, invoice = _billed_group(world)
    files = [
        ("BANK_STATEMENT", bank(credit(25_000, reference="TRACE-1", text=account))),
        ("REMITTANCE", advice("TRACE-1", (invoice, 15_000), ("IV-UNKNOWN", 10_000))),
    ]
    if money_first:
        receipts = [take(world, *file) for file in files]
        # The money paid the invoice by the account's rules: the advice has nothing left to say, and is shown.
        assert cases(receipts[1])[0][0] == "REFUSED"
        assert _money(world, account) == (20_000, 5_000)
    else:
        waiting = take(world, *files[1])
        assert cases(waiting) == [("WAITING", "MONEY_NOT_RECEIVED")]
        take(world, *files[0])
        refused = take(world, *files[1])
        assert cases(refused) == [("REFUSED", "INVOICE_NOT_FOUND")]
        assert _money(world, account) == (0, 25_000)


def test_an_advice_directs_its_money_to_the_invoices_it_names(world: World) -> None:
    account, invoice = _billed_group(world)
    take(world, "REMITTANCE", advice("TRACE-1", (invoice, 15_000)))
    receipt = take(world, "BANK_STATEMENT", bank(credit(15_000, reference="TRACE-1")))
    assert (receipt["report"]["done"], cases(receipt)) == (1, [])
    done = take(world, "REMITTANCE", advice("TRACE-1", (invoice, 15_000)))
    assert (done["repeated"], done["report"]["done"]) == (True, 1), done
    assert _money(world, account) == (15_000, 0)


def test_an_interrupted_file_is_gone_on_with_behind_its_last_step(world: World) -> None:
    world.on("2024-12-20")
    account, _ = world.group()
    imports = world.system.imports
    started: list[str] = []
    imports._starter = started.append
    content = enrolment(*(instruction(Maintenance.ADDITION, f"E{number}", ADDED) for number in range(5)))
    assert post(world, "ENROLMENT", content).json()["report"]["left"] == 5
    taken: list[int] = []
    imports.work(started[0], stopping=lambda: len(taken) == 2, progress=taken.append)
    assert taken == [0, 1]
    imports._starter = lambda sha256: imports.work(sha256, progress=taken.append)
    imports.resume()
    assert taken == [0, 1, 2, 3, 4]
    assert billed(world, account) == "500.00"
    receipt = imports.receipt(started[0], Principal("USER", "x", "x", frozenset({"policytxn.submit"})))
    assert receipt is not None
    assert receipt.report["done"] == 5


def _queue(world: World, query: str = "", *roles: str, user: str = "sue") -> dict[str, Any]:
    token = world.system.issuer.token(user, roles or ("POL", "ARA"), person="P-SUE")
    response = world.client.get(f"/v1/file-cases{query}", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    return page


def test_what_waits_for_a_person_is_in_one_queue_over_all_files_by_receipt(world: World) -> None:
    _billed_group(world)
    lost = instruction(Maintenance.CANCELLATION, "E9", coverage(Maintenance.CANCELLATION, end="2025-01-31"))
    take(world, "ENROLMENT", enrolment(lost))
    world.on("2024-12-29")
    unnamed = credit(900, text="THANK YOU", bank_reference="B3")
    take(world, "BANK_STATEMENT", bank(unnamed, credit(450, text="MERCI", bank_reference="B4")))
    everything = _queue(world)
    told = [(one["kind"], one["state"], one["code"], one["amount"], one["currency"]) for one in everything["cases"]]
    assert told == [
        ("ENROLMENT", "QUEUED", "MEMBER_RECORD_UNKNOWN", None, None),
        ("BANK_STATEMENT", "QUEUED", "ACCOUNT_NOT_IDENTIFIED", "9.00", "USD"),
        ("BANK_STATEMENT", "QUEUED", "ACCOUNT_NOT_IDENTIFIED", "4.50", "USD"),
    ]
    assert everything["next"] is None
    assert all(one["name"] == "file.txt" and one["line"] > 0 for one in everything["cases"])
    pages, place = [], ""
    while place is not None:
        page = _queue(world, "?first=1" + (f"&after={place}" if place else ""))
        pages, place = [*pages, *page["cases"]], page["next"]
    assert pages == everything["cases"]
    assert [one["kind"] for one in _queue(world, "?kind=ENROLMENT")["cases"]] == ["ENROLMENT"]


def test_the_queue_shows_what_one_may_send_or_has_sent(world: World) -> None:
    _billed_group(world)
    take(world, "BANK_STATEMENT", bank(credit(900, text="THANK YOU", bank_reference="B3")))
    assert _queue(world, "", "POL")["cases"] == []
    assert len(_queue(world, "", "ARA")["cases"]) == 1
    assert len(_queue(world, "", "CCA", user="ann")["cases"]) == 1
    assert _queue(world, "?kind=ENROLMENT", "CCA", user="ann")["cases"] == []


def test_cases_of_one_kind_are_found_behind_any_number_of_others(world: World) -> None:
    _billed_group(world)
    take(world, "BANK_STATEMENT", bank(*(credit(900, text="THANKS", bank_reference=f"B{one}") for one in range(3))))
    world.on("2024-12-29")
    lost = instruction(Maintenance.CANCELLATION, "E9", coverage(Maintenance.CANCELLATION, end="2025-01-31"))
    take(world, "ENROLMENT", enrolment(lost))
    for roles, user in ((("CCA",), "ann"), (("POL", "ARA"), "sue")):  # who sent them, and who may send such files
        page = _queue(world, "?kind=ENROLMENT&first=1", *roles, user=user)
        assert ([one["kind"] for one in page["cases"]], page["next"]) == (["ENROLMENT"], None)


@pytest.mark.parametrize("query", ["first=0", "first=201", "first=x", "after=x", "place=1", "kind=A&kind=B"])
def test_a_page_of_the_queue_that_cannot_be_is_refused(world: World, query: str) -> None:
    token = world.system.issuer.token("ann", ("ARA",), person="P-ANN")
    response = world.client.get(f"/v1/file-cases?{query}", headers={"Authorization": f"Bearer {token}"})
    assert (response.status_code, response.json()["code"]) == (400, "REQUEST_INVALID")
