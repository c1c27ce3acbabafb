"""What the store needs regularly is done by whoever ticks, once a day or at every tick."""

from __future__ import annotations

import datetime as dt

import pytest

from application.clock import ManualClock
from infrastructure.event_store.verification import checkpoints
from infrastructure.housekeeping import Housekeeping
from infrastructure.postgres.audit_chain import verify_audit
from infrastructure.postgres.database import Database
from tests.conftest import Units


def _sealed(database: Database) -> tuple[int, int]:
    """Records of the trail, and those sealed."""
    with database.writing() as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM command_audit), (SELECT count(*) FROM command_audit_seal)"
        ).fetchone()
    assert row is not None
    return row[0], row[1]


@pytest.mark.rule("PLT-024", "PLT-082")
def test_a_day_gets_one_checkpoint_and_the_trail_is_sealed_at_every_tick(
    database: Database, clock: ManualClock, unit_of_work: Units
) -> None:
    purged: list[dt.datetime] = []
    unit_of_work.write(lambda unit: None)

    def purge() -> int:
        purged.append(clock.now())
        return 0

    keepers = [Housekeeping(database, clock, purge=purge) for _ in range(2)]
    for _ in range(3):
        for keeper in keepers:
            keeper.tick()
    assert [one.taken_on for one in checkpoints(database)] == [clock.now().date()]
    assert len(purged) == 2  # each process once a day
    clock.advance(dt.timedelta(days=1))
    unit_of_work.write(lambda unit: None)
    keepers[0].tick()
    assert len(checkpoints(database)) == 2
    records, sealed = _sealed(database)
    assert records == sealed == 2
    assert verify_audit(database) is None
