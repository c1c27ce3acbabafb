"""How fast a master policy transaction runs through its records, and that its memory does not grow with the policy.

Run: `python -m tests.benchmarks.cascade_bench [members [cascades]]`, 5,000 members and all three cascades unless told
otherwise. A group is enrolled and invoiced, then cancelled, rescinded and rewritten by cascades that this process works
on. For each it prints records a second, milliseconds of processor time of this process a record, and by how much the
peak of its memory exceeds that at the start, in each fifth of the records: a cascade that kept what it reads would go
on growing from one to the next.
"""

from __future__ import annotations

import datetime as dt
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from uuid import UUID

from starlette.testclient import TestClient

from api.settings import Rates, Settings
from api.wiring import System, look_for_garbage_rarely
from application.clock import ManualClock
from infrastructure.postgres.database import Database
from infrastructure.postgres.migrate import migrate
from infrastructure.postgres.server import EmbeddedServer
from tests.scenarios.conftest import World

MEMBERS = 5_000
CASCADES = (("CANCELLATION", "2025-02-16"), ("RESCIND_CANCELLATION", "2025-02-16"), ("REWRITE", "2025-02-01"))


def resident() -> int:
    """Kilobytes of memory of this process at the moment."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


class Watch(threading.Thread):
    """Looks at the memory while a cascade runs: its highest value in each fifth."""

    def __init__(self, world: World, run: UUID, members: int) -> None:
        super().__init__(daemon=True)
        self._world, self._run, self._members = world, run, members
        self.peaks = [0] * 5
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.2):
            found = self._world.system.jobs.run(self._run)
            taken = 0 if found is None else found.selected - found.left
            fifth = min(taken * 5 // self._members, 4)
            self.peaks[fifth] = max(self.peaks[fifth], resident())


def measure(world: World, policy: str, kind: str, day: str, members: int) -> None:
    started = resident()
    wall, processor = time.perf_counter(), time.process_time()
    answer = world.send(
        "ApplyMasterPolicyTransaction", transaction_id=f"M-{kind}", master_policy=policy, type=kind, effective_date=day
    )
    run = UUID(answer.json()["result"]["activity_id"])
    watch = Watch(world, run, members)
    watch.start()
    world.system.wait_for_background()
    watch.ended.set()
    watch.join()
    seconds = time.perf_counter() - wall
    each = (time.process_time() - processor) * 1000 / members
    peaks = " ".join(f"{(peak - started) / 1024:6.1f}" for peak in watch.peaks)
    print(f"{kind:22} {members / seconds:8.0f} records/s {each:8.2f} ms of this process a record   MB {peaks}")


def main(members: int, cascades: int) -> None:
    look_for_garbage_rarely()
    settings = Settings(sandbox=True, log_level="ERROR", rates=Rates(enabled=False))
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder)).start()
        conninfo = server.ensure_database("cascade_bench")
        migrate(conninfo)
        clock = ManualClock(dt.datetime(2024, 12, 20, 12, tzinfo=dt.UTC))
        try:
            with System(settings, Database(conninfo), clock) as system:
                system.prepare()
                with TestClient(system.app(projecting=False)) as client:
                    world = World(client, system, clock)
                    account, policy = world.group()
                    for number in range(members):
                        world.member(policy, f"MR-{number:06}")
                    for _ in range(3):
                        world.do("GenerateInvoice", account=account, confirmed=True)
                    world.do("SetParameter", name="premium.cascade_at_once", value=0)
                    for kind, day in CASCADES[:cascades]:
                        measure(world, policy, kind, day, members)
        finally:
            server.stop()


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:3]]
    main(*(given + [MEMBERS, len(CASCADES)][len(given) :]))
