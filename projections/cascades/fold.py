"""Cascades of master policy transactions with the result of each record, folded with the commands that decide them.

Inline, because what a worker still has to do is read from here: a cascade that has begun must be found by whoever takes
it up, the moment its command is committed. Cascades from before they had streams of their own are folded from the
events of their policy; what identifies them is made of policy and transaction.
"""

from __future__ import annotations

from collections.abc import Iterable

from application.log import RecordedEvent
from domain.members.cascade import CascadeStatus
from domain.members.cascade_run import CascadeBegun, CascadeEnded, CascadeRecordEnded, former_id
from domain.products.master_policy import MASTER_POLICY, MasterPolicyCascadeCompleted, MasterPolicyCascadeStarted
from projections.engine import Column, Index, Mode, Projection, Rows, Table

#: A cascade; `followed` tells that it is worked on behind its command. Its status is the one it ended with.
CASCADE = Table(
    "cascade",
    (
        Column("cascade", "text"),
        Column("master_policy", "text"),
        Column("transaction_id", "text"),
        Column("type", "text"),
        Column("effective_date", "date"),
        Column("members", "bigint"),
        Column("followed", "boolean"),
        Column("status", "text"),
        Column("position", "bigint"),
    ),
    key=("cascade",),
    indexes=(Index(("master_policy", "position")), Index(("cascade",), where="status = 'RUNNING' and followed")),
)

#: The last result of each record that was reached or skipped.
RECORD = Table(
    "record",
    (
        Column("cascade", "text"),
        Column("member", "text"),
        Column("result", "text"),
        Column("code", "text", nullable=True),
        Column("dead_letter", "text", nullable=True),
    ),
    key=("cascade", "member"),
)

cascades = Projection("cascades", version=1, mode=Mode.INLINE, tables=(CASCADE, RECORD))


@cascades.on(CascadeBegun)
def begun(recorded: RecordedEvent, rows: Rows) -> None:
    event: CascadeBegun = recorded.event
    rows["cascade"].add(
        {
            "cascade": event.cascade,
            "master_policy": event.master_policy,
            "transaction_id": event.transaction_id,
            "type": event.type.value,
            "effective_date": event.effective_date,
            "members": event.members,
            "followed": True,
            "status": CascadeStatus.RUNNING.value,
            "position": recorded.position,
        }
    )


@cascades.on(CascadeRecordEnded)
def record_ended(recorded: RecordedEvent, rows: Rows) -> None:
    event: CascadeRecordEnded = recorded.event
    rows["record"].put(
        {
            "cascade": event.cascade,
            "member": event.member_record,
            "result": event.result.value,
            "code": event.code,
            "dead_letter": event.dead_letter,
        }
    )


def _own(recorded: RecordedEvent) -> Iterable[str]:
    return (recorded.event.cascade,)


@cascades.on(CascadeEnded, cascade=_own)
def ended(recorded: RecordedEvent, rows: Rows) -> None:
    rows["cascade"].require(recorded.event.cascade)["status"] = recorded.event.status.value


@cascades.on(MasterPolicyCascadeStarted)
def started_within_its_command(recorded: RecordedEvent, rows: Rows) -> None:
    event: MasterPolicyCascadeStarted = recorded.event
    if event.cascade is not None:
        return
    rows["cascade"].add(
        {
            "cascade": _made_of(recorded),
            "master_policy": _policy(recorded),
            "transaction_id": event.transaction_id,
            "type": event.type,
            "effective_date": event.effective_date,
            "members": event.members,
            "followed": False,
            "status": CascadeStatus.RUNNING.value,
            "position": recorded.position,
        }
    )


@cascades.on(MasterPolicyCascadeCompleted, cascade=lambda recorded: (_made_of(recorded),))
def completed_within_its_command(recorded: RecordedEvent, rows: Rows) -> None:
    event: MasterPolicyCascadeCompleted = recorded.event
    cascade = _made_of(recorded)
    rows["cascade"].require(cascade)["status"] = event.status
    for one in event.results:
        rows["record"].append(cascade, one.member_record, one.result, one.code, None)


def _policy(recorded: RecordedEvent) -> str:
    return recorded.stream.removeprefix(MASTER_POLICY.stream(""))


def _made_of(recorded: RecordedEvent) -> str:
    return former_id(_policy(recorded), recorded.event.transaction_id)
