"""Independent readers agree: the files we write are valid to them, and they see the same figures."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path

import pytest
from bai2 import bai2 as bai2_library
from pyx12.params import params
from pyx12.x12n_document import x12n_document

from application.files.bank import BankLine, BankStatement, BankStatementFile, Direction
from application.files.enrolment import EnrolmentFile
from application.files.remittance import RemittanceFile
from infrastructure.files.bank.writer import BAI2_BALANCES, with_balances, write_bai2
from infrastructure.files.x12.writer import write_820, write_834
from tests.infrastructure.files.samples import EXCERPT, defects, edited, read, sample
from tests.infrastructure.files.test_enrolment_834 import DEPENDANT, SUBSCRIBER, enrolment
from tests.infrastructure.files.test_remittance_820 import INDIVIDUAL, SUMMARY, remittance


@pytest.mark.parametrize("name", ["citi_example.bai2", "svb_us_example.bai2"])
def test_the_bai2_library_sees_the_same_transactions(name: str) -> None:
    ours = read(BankStatementFile, sample(name), EXCERPT)
    theirs = bai2_library.parse_from_string(sample(name).decode())
    found = [
        (account.header.customer_account_number, item.type_code.code, item.amount, item.bank_reference)
        for group in theirs.children
        for account in group.children
        for item in account.children
    ]
    assert found
    assert [(line.account, line.type_code, line.minor, line.bank_reference) for line in ours.credits] == found


def test_the_bai2_library_accepts_the_totals_and_counts_we_write() -> None:
    day = dt.date(2025, 3, 3)
    lines = tuple(
        BankLine("77", direction, minor, "USD", day, day, code, bank_reference=f"R{minor}", text="A\nB")
        for direction, minor, code in ((Direction.CREDIT, 500, "142"), (Direction.DEBIT, 70, "475"))
    )
    statement = with_balances(BankStatement("77", "USD", "1", day, lines=lines), 1_000, BAI2_BALANCES)
    written = write_bai2(
        [statement, statement], sender="BANK", receiver="US", created_at=dt.datetime(2025, 3, 4, 5, 6, tzinfo=dt.UTC)
    )
    theirs = bai2_library.parse_from_string(written.decode(), check_integrity=True)
    assert [len(account.children) for group in theirs.children for account in group.children] == [2, 2]
    assert theirs.trailer.file_control_total == 2 * (1_000 + 1_430 + 570)


@pytest.mark.parametrize(
    "name", ["add-dependent.834", "change-subscriber-information.834", "enroll-employee-multiple-products.834", "full"]
)
def test_pyx12_accepts_the_enrolments_we_write(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By its maps of the same implementation guide, segment for segment."""
    content = sample(name) if name != "full" else enrolment(*SUBSCRIBER, *DEPENDANT)
    path = tmp_path / "written.834"
    path.write_bytes(write_834(read(EnrolmentFile, content).transactions))
    valid = x12n_document(params(), str(path), io.StringIO(), None, None)
    assert valid, [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    "old", ["REF*0F*123456789~\n", "NM1*IL*1*DOE*JOHN*P***34*103229876~\n", "DTP*348*D8*19960601~\n"]
)
def test_pyx12_and_this_reader_refuse_the_same_losses(old: str, tmp_path: Path) -> None:
    """What the guide demands of a member, taken out, with the count put right: both say no."""
    content = edited("add-dependent.834", (old, ""), ("SE*15*", "SE*14*"))
    path = tmp_path / "lost.834"
    path.write_bytes(content)
    assert not x12n_document(params(), str(path), io.StringIO(), None, None)
    assert defects(content)


def test_pyx12_accepts_the_remittances_we_write(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "written.820"
    path.write_bytes(write_820(read(RemittanceFile, remittance("1315.00", *SUMMARY, *INDIVIDUAL)).advices))
    valid = x12n_document(params(), str(path), io.StringIO(), None, None)
    assert valid, [record.getMessage() for record in caplog.records]
