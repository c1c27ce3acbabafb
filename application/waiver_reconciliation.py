"""A waiver whose start lies outside its bounds is refused, and somebody is asked to reconcile its dates (PRM-092).

decision: a refusal stores nothing, so that the task is raised behind it by a command of the service itself. It is one
task for a message, however often that is sent, and closes when the message is accepted with other dates.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from application.aftermath import report
from application.clock import Clock
from application.command import Command, CommandRequest, Identifier, Outcome, Principal, command, handles
from application.dispatch import Dispatcher
from application.tasks import misaligned_waiver, raise_task
from application.unit_of_work import UnitOfWork
from domain.errors import Problem, refuse
from domain.members.record import MEMBER_RECORD
from domain.platform.privileges import SYSTEM_PRIVILEGE, Role
from domain.platform.tasks import TaskType

#: The command whose refusals these are, and the code they are refused with.
WAIVER_COMMAND: Final = "ApplyPremiumWaiver"
_CODE: Final = "WAIVER_DATE_MISALIGNED"
_SENDER: Final = Principal(
    "JOB", "waiver-dates", "waivers", frozenset({SYSTEM_PRIVILEGE}), roles=frozenset({Role.SYSTEM})
)


@command(
    privilege=SYSTEM_PRIVILEGE,
    room="04",
    summary="Ask somebody to reconcile the dates of a waiver that was refused for its start",
    rules=("PRM-092",),
    refusals=("MEMBER_RECORD_NOT_FOUND",),
    example={"member_record": "MR-1001", "transaction_id": "TX-1009", "effective_date": "2024-12-31"},
)
class ReportMisalignedWaiver(Command):
    """Names the refused message by its record and `transaction_id`, and the start that it states."""

    member_record: Identifier
    transaction_id: Identifier
    effective_date: dt.date


@handles(ReportMisalignedWaiver)
def report_misaligned_waiver(command: ReportMisalignedWaiver, unit: UnitOfWork) -> Outcome:
    unit.lock(f"member:{command.member_record}")
    record = unit.load(MEMBER_RECORD, command.member_record).state
    if not record.exists:
        raise refuse("MEMBER_RECORD_NOT_FOUND", "there is no such member record", pointer="/member_record")
    task = raise_task(
        unit,
        TaskType.WAIVER_DATE_MISALIGNED,
        cause=misaligned_waiver(record.number, command.transaction_id),
        subject=record.number,
        account=record.placements[-1].account,
        code=_CODE,
        reason=f"A waiver was refused because its start {command.effective_date} lies outside its bounds",
        links={"transaction": command.transaction_id, "effective_date": command.effective_date.isoformat()},
    )
    return Outcome({"member_record": record.number, "task": task})


class MisalignedWaivers:
    """Tells refusals of waivers as a command of the service itself; that of one message once a day."""

    def __init__(self, dispatcher: Dispatcher, clock: Clock) -> None:
        self._dispatcher = dispatcher
        self._clock = clock

    def refused(self, request: CommandRequest, problems: Sequence[Problem]) -> None:
        """What follows a refused waiver."""
        if all(one.code != _CODE for one in problems):
            return
        told = {name: str(request.payload[name]) for name in ReportMisalignedWaiver.model_fields}
        report(self._dispatcher, self._clock, _SENDER, ReportMisalignedWaiver, told)
