"""Many events in one unit of work, hashes included, against a plain COPY of the same rows.

Measured twice. The append alone encodes, chains and copies in the events, and commits them with the audit record. The
whole of it also folds them into the states of thousands of new members and stores those beside their streams.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Final

import psycopg

from api.cli.bench.groups import copier, durable_system, events_of, finish, group, unit_context
from api.cli.bench.measure import Measure, rate
from domain.members.record import MEMBER_RECORD
from infrastructure.unit_of_work import PostgresUnits

EVENTS: Final = 20_000
ROUNDS: Final = 6


def measure() -> list[Measure]:
    """The events of thousands of new members, without read models; the best of several rounds, all in turn."""
    with durable_system() as system:
        [first] = group(system, 1, 1).members
        events = events_of(system, first)
        copy, members = copier(events, first), EVENTS // len(events)
        units = PostgresUnits(system.database, system.ids)
        unfolded = replace(MEMBER_RECORD, evolve=lambda state, _: state, snapshot_every=0)
        alone: list[float] = []
        whole: list[float] = []
        floor: list[float] = []
        with psycopg.connect(system.database.conninfo, autocommit=True) as raw:
            raw.execute("CREATE TABLE copied (LIKE event INCLUDING INDEXES)")
            for turn in range(ROUNDS):
                for name, aggregate, seconds in (("A", unfolded, alone), ("B", MEMBER_RECORD, whole)):
                    filled = {record: copy(record) for record in (f"{name}{turn}-{one:08}" for one in range(members))}
                    context = unit_context(system)
                    started = time.perf_counter()
                    with units.begin(context) as unit:
                        for record, happened in filled.items():
                            unit.append(aggregate, record, happened)
                        finish(unit, context)
                    seconds.append(time.perf_counter() - started)
                floor.append(_copied(raw, str(context.command_id)))
    count = members * len(events)
    copied = count / min(floor)
    return [
        rate(f"bulk append of {count:,} events", count / min(alone), copied, "events/s", 0.3),
        rate("bulk append, folded and the states stored", count / min(whole), copied, "events/s", 0.25),
    ]


def _copied(raw: psycopg.Connection[Any], command_id: str) -> float:
    """Seconds to copy the command's rows into a table of the same columns and indexes."""
    query = f"COPY (SELECT * FROM event WHERE command_id = '{command_id}') TO STDOUT (FORMAT BINARY)"
    with raw.cursor().copy(query.encode()) as copy:
        whole = b"".join(bytes(block) for block in copy)
    started = time.perf_counter()
    with raw.cursor().copy("COPY copied FROM STDIN (FORMAT BINARY)") as into:
        for start in range(0, len(whole), 65_536):
            into.write(whole[start : start + 65_536])
    return time.perf_counter() - started
