"""The logs of earlier versions, as they were written: they load, hold together, and are understood (PLT-026).

`tests/fixtures/write_event_log.py` writes a new one. None of them is ever changed.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.settings import Settings
from api.wiring import System
from application.clock import ManualClock
from application.log import START, RecordedEvent
from domain.events import event_class, event_classes
from infrastructure.event_store.export import export_log, load_log
from infrastructure.event_store.log import EventLog
from infrastructure.event_store.verification import verify_streams
from infrastructure.postgres.database import Database
from projections.engine import Outcome
from tests.fixtures.write_event_log import stored_logs

LOGS = stored_logs()

#: Declared, and decided by the domain, but written by no use case yet.
AWAITING_A_USE_CASE = frozenset(
    {
        "CustomerRenamed",
        "DeductionStartShifted",
        "DraftAllocationApplied",
        "DraftAllocationCleared",
        "DraftAllocationDeleted",
        "DraftAllocationSaved",
        "DraftPaymentDeleted",
        "HoldExpired",
        "MemberCancellationRequestRefused",
        "MemberCancellationRequested",
        "MemberNameEventStale",
        "MemberRecordRenamed",
        "PaymentInitiated",
        "PaymentRefundRestored",
        "PaymentRefunded",
        "PayrollCalendarDeactivated",
        "PayrollCalendarUnlocked",
        "ReassociationRequired",
        "RefundLockReleased",
        "RefundLockSet",
        "SecondFactorUsed",
    }
)
#: Written by use cases in circumstances that the life of the groups does not contain.
NOT_LIVED = frozenset(
    {
        "BucketMoved",
        "CascadeAccountRestarted",
        "CascadeBegun",
        "CascadeEnded",
        "CascadeRecordEnded",
        "CascadeRecordTermsStated",
        "ContinuationRemoved",
        "HubPaymentEventTaken",
        "InstallmentBilled",
        "InstallmentReplaced",
        "InstallmentScheduleGenerated",
        "InstallmentSuperseded",
        "InvoiceGenerationFailed",
        "InvoiceGenerationResumed",
        "MemberOverpaymentAllocated",
        "MemberValidationFailed",
        "MemberOverpaymentReleased",
        "OpenCreditSetOff",
        "TaskCancelled",
        "TaskClaimed",
        "TaskCompleted",
        "TaskRaised",
        "TaskReassigned",
        "TaskReminded",
        "TaskReturned",
        "WaiverExpirationFailed",
    }
)


@pytest.fixture(params=LOGS, ids=lambda path: path.name.partition(".")[0])
def log_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A stored log, unpacked."""
    plain = tmp_path / "log.jsonl"
    with gzip.open(request.param) as packed, plain.open("wb") as file:
        shutil.copyfileobj(packed, file)
    return plain


def everything(log: EventLog) -> Iterator[RecordedEvent]:
    """The log from its beginning, read in blocks of 200."""
    after = START
    while found := log.read(after, 200):
        yield from found
        after = found[-1].place


def types_in(path: Path) -> set[str]:
    with gzip.open(path) as packed:
        return {json.loads(line)["type"] for line in packed}


def test_the_newest_log_holds_every_type_of_event_that_can_be_written() -> None:
    # The registry also holds what other tests declare.
    declared = {name for name, cls in event_classes().items() if cls.__module__.startswith("domain.")}
    assert declared - types_in(LOGS[-1]) == AWAITING_A_USE_CASE | NOT_LIVED


@pytest.mark.rule("PLT-024", "PLT-026")
def test_a_stored_log_loads_holds_together_and_is_understood(log_file: Path, database: Database) -> None:
    count = load_log(database, log_file)
    assert count == len(log_file.read_bytes().splitlines())
    assert verify_streams(database) == []
    events = list(everything(EventLog(database.writing)))
    assert len(events) == count
    for recorded in events:
        assert type(recorded.event) is event_class(recorded.type), recorded
    again = log_file.with_name("again.jsonl")
    assert export_log(database, again) == count
    assert without_transactions(again) == without_transactions(log_file)


def without_transactions(path: Path) -> list[dict[str, object]]:
    """The rows of a log file without the writers' transaction ids, which belong to one server."""
    rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    for row in rows:
        del row["transaction"]
    return rows


def test_a_changed_payload_does_not_go_unnoticed(log_file: Path, database: Database) -> None:
    lines = log_file.read_text().splitlines()
    at, row = next((at, row) for at, row in enumerate(map(json.loads, lines)) if row["type"] == "PaymentReceived")
    row["payload"]["record"]["account"] = "LB999999999"
    lines[at] = json.dumps(row)
    log_file.write_text("\n".join(lines) + "\n")
    load_log(database, log_file)
    assert [found.stream for found in verify_streams(database)] == [row["stream"]]


@pytest.mark.rule("PLT-026")
def test_all_read_models_are_built_from_a_stored_log(log_file: Path, database: Database) -> None:
    load_log(database, log_file)
    with System(Settings(sandbox=True), database, ManualClock(dt.datetime(2025, 6, 1, tzinfo=dt.UTC))) as system:
        system.prepare()
        reports = system.rebuilder.rebuild(list(system.projections), reason="a loaded log", restart=True)
        assert {report.projection: report.outcome for report in reports} == dict.fromkeys(
            system.projections, Outcome.SWITCHED
        )
        for name in system.projections:
            [report] = system.rebuilder.verify([name])
            assert report.equal, report
            assert sum(table.live_rows for table in report.comparison.tables) > 0
