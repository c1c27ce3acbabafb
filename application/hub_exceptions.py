"""An event of the Payment Hub that billing cannot take is refused, and somebody is asked to look into it (PAY-022).

decision: as with waivers, the refusal stores nothing, so that the task is raised behind it by a command of the service
itself: one for an event however often the hub sends it, closed when the event is accepted after all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from application.aftermath import report
from application.clock import Clock
from application.command import Command, CommandRequest, Identifier, Outcome, Principal, command, handles
from application.dispatch import Dispatcher
from application.register import ItemRegister
from application.tasks import raise_task, refused_hub_event
from application.unit_of_work import UnitOfWork
from domain.errors import Problem
from domain.platform.privileges import SYSTEM_PRIVILEGE, Role
from domain.platform.tasks import TaskType

#: The command whose refusals these are, and the codes they are refused with.
HUB_EVENT_COMMAND: Final = "ApplyHubPaymentEvent"
_CODES: Final = ("UNKNOWN_PAYMENT", "PAYMENT_EVENT_REJECTED")
_SENDER: Final = Principal("JOB", "hub-events", "hub", frozenset({SYSTEM_PRIVILEGE}), roles=frozenset({Role.SYSTEM}))


@command(
    privilege=SYSTEM_PRIVILEGE,
    room="07",
    summary="Ask somebody to look into an event of the Payment Hub that was refused",
    rules=("PAY-022",),
    example={"hub_event_id": "EV-9", "payment": "PAY-99999999", "type": "COMPLETED", "code": "UNKNOWN_PAYMENT"},
)
class ReportRefusedHubEvent(Command):
    """Names the refused event and the code it was refused with. Of an unknown payment the task has no account."""

    hub_event_id: Identifier
    payment: Identifier
    type: Literal["COMPLETED", "FAILED"]
    code: Identifier


@handles(ReportRefusedHubEvent)
def report_refused_hub_event(command: ReportRefusedHubEvent, unit: UnitOfWork) -> Outcome:
    unit.lock(f"hub_event:{command.hub_event_id}")
    register = unit.port(ItemRegister)
    records = register.records_of_payment(command.payment)
    task = raise_task(
        unit,
        TaskType.HUB_EVENT_REFUSED,
        cause=refused_hub_event(command.hub_event_id),
        subject=command.payment,
        account=(register.account_of_record(records[0]) or "") if records else "",
        code=command.code,
        reason=f"The hub reported {command.type} of a payment that is unknown or does not await it",
        links={"hub_event": command.hub_event_id, "type": command.type},
    )
    return Outcome({"hub_event_id": command.hub_event_id, "task": task})


class RefusedHubEvents:
    """Tells refusals of the hub's events as a command of the service itself; that of one event once a day."""

    def __init__(self, dispatcher: Dispatcher, clock: Clock) -> None:
        self._dispatcher = dispatcher
        self._clock = clock

    def refused(self, request: CommandRequest, problems: Sequence[Problem]) -> None:
        """What follows a refused event of the hub."""
        code = next((one.code for one in problems if one.code in _CODES), None)
        if code is None:
            return
        told = {name: str(request.payload[name]) for name in ("hub_event_id", "payment", "type")}
        report(self._dispatcher, self._clock, _SENDER, ReportRefusedHubEvent, {**told, "code": code})
