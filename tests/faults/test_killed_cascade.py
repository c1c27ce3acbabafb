"""A cascade whose process is killed again and again, without a chance to tidy up: every record is reached once."""

from __future__ import annotations

import datetime as dt
import os
import threading
import time

import pytest
from starlette.testclient import TestClient

from api.settings import Rates, Settings
from api.wiring import System
from application.clock import ManualClock
from domain.members.cascade_run import CascadeEnded, CascadeRecordEnded
from domain.members.events import PolicyTransactionApplied
from infrastructure.event_store.verification import verify_streams
from infrastructure.postgres.database import Database
from infrastructure.postgres.migrate import migrate
from infrastructure.postgres.server import EmbeddedServer
from tests.faults.test_killed_billing_run import Client, Process, free_port
from tests.scenarios.books import check_all
from tests.scenarios.conftest import World

#: In the suite a smaller group; ROLLON_FAULT_CASCADE=400 is the run that was asked for.
MEMBERS = int(os.environ.get("ROLLON_FAULT_CASCADE", "100"))
#: Shares of the records that have their result when the process is killed.
KILLED_AT = (0.2, 0.7)


def _reached(database: Database) -> int:
    with database.reading() as connection:
        row = connection.execute("SELECT count(*) FROM event WHERE type = 'CascadeRecordEnded'").fetchone()
    assert row is not None
    return int(row[0])


class Killer(threading.Thread):
    """Kills the process each time so many records are reached, and starts it again."""

    def __init__(self, database: Database, process: Process) -> None:
        super().__init__(daemon=True)
        self._database, self._process = database, process
        self.seen: list[int] = []
        self.ended = threading.Event()

    def run(self) -> None:
        for share in KILLED_AT:
            while _reached(self._database) < share * MEMBERS:
                if self.ended.is_set():
                    return
                time.sleep(0.005)
            self._process.kill()
            self.seen.append(_reached(self._database))
            self._process.start()


@pytest.mark.fault
@pytest.mark.rule("PRM-150", "PLT-004", "PLT-055")
def test_a_cascade_reaches_every_record_once_whatever_is_killed(database_server: EmbeddedServer) -> None:
    conninfo = database_server.ensure_database("killed_cascade")
    migrate(conninfo)
    clock = ManualClock(dt.datetime(2025, 1, 1, 12, tzinfo=dt.UTC))
    settings = Settings(sandbox=True, rates=Rates(enabled=False))
    with System(settings, Database(conninfo), clock) as system:
        system.prepare()
        with TestClient(system.app(projecting=False)) as inside:
            world = World(inside, system, clock)
            account, policy = world.group()
            for number in range(MEMBERS):
                world.member(policy, f"MR-{number:05}")
            world.do("GenerateInvoice", account=account, confirmed=True)
        url = f"http://127.0.0.1:{free_port()}"
        environment = {
            **os.environ,
            "DATABASE_URL": conninfo,
            "ROLLON_SANDBOX": "1",
            "ROLLON_RATE_LIMITS": "0",
            "ROLLON_PUBLIC_URL": url,
            "ROLLON_LOG_LEVEL": "ERROR",
        }
        process = Process(environment, "serve", "--port", url.rpartition(":")[2], "--no-projector", "--no-scheduler")
        killer = Killer(system.database, process)
        client = Client(url)
        try:
            process.start()
            killer.start()
            answer = client.do(
                "ApplyMasterPolicyTransaction",
                transaction_id="MC-1",
                master_policy=policy,
                type="CANCELLATION",
                effective_date="2025-01-16",
            )
        finally:
            killer.ended.set()
            killer.join()
            process.kill()
        # Each time in the middle: some records were reached, others not.
        assert len(killer.seen) == len(KILLED_AT)
        assert all(0 < seen < MEMBERS for seen in killer.seen)
        assert client.lost_answers
        numbers = [f"MR-{number:05}" for number in range(MEMBERS)]
        assert (answer["status"], answer["counts"]["APPLIED"]) == ("COMPLETED", MEMBERS)
        assert [one["member_record"] for one in answer["results"]] == numbers[:1000]
        applied = [one for one in world.events(PolicyTransactionApplied) if one.cascade == "MC-1"]
        assert [one.transaction.transaction_id for one in applied] == [f"MC-1/{number}" for number in numbers]
        assert [one.member_record for one in world.events(CascadeRecordEnded)] == numbers
        assert len(world.events(CascadeEnded)) == 1
        books = check_all(system, account)
        assert len(books.members) == MEMBERS
        assert verify_streams(system.database) == []
        for name in system.projections:
            system.projector.catch_up()
            [report] = system.rebuilder.verify([name])
            assert report.equal, report
    database_server.drop_database("killed_cascade")
