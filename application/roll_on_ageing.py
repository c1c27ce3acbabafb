"""Roll-on locks that are older than they should be: listed as a task, and told again every day (PRM-117).

A lock ends by Policy's decisions alone; what is done here reminds people of it and changes nothing of the record.
"""

from __future__ import annotations

from application.command import Command, Identifier, Outcome, command, handles
from application.members import load_member
from application.parameters import parameters_in_force
from application.tasks import overdue_roll_on, raise_task, remind_task
from application.unit_of_work import UnitOfWork
from domain.members.record import MemberRecord
from domain.platform.privileges import SYSTEM_PRIVILEGE
from domain.platform.tasks import TaskType

_ALERT_DAYS = "premium.roll_on_alert_days"


@command(
    privilege=SYSTEM_PRIVILEGE,
    room="04",
    summary="Remind of a roll-on lock that is older than it should be",
    rules=("PRM-117",),
    refusals=("MEMBER_RECORD_NOT_FOUND",),
    example={"member_record": "MR-1001"},
)
class RemindRollOn(Command):
    """Once a day (UTC). When there is nothing to tell, the result names the reason as `skipped`."""

    member_record: Identifier


@handles(RemindRollOn)
def remind_roll_on(command: RemindRollOn, unit: UnitOfWork) -> Outcome:
    member, _ = load_member(unit, command.member_record)
    record = member.state
    if record.lock is None:
        return Outcome({"member_record": record.number, "skipped": "NOT_LOCKED"})
    days = (unit.now - record.lock.requested_at).days
    alert_days = parameters_in_force(unit, (_ALERT_DAYS,), {}, unit.today())[_ALERT_DAYS]
    if days <= int(str(alert_days)):
        return Outcome({"member_record": record.number, "skipped": "NOT_OVERDUE"})
    waiting = ", ".join(one.transaction_id for one in record.backed_off)
    reason = f"A roll-on has been undecided for {days} days; waiting for a decision: {waiting}"
    task = raise_task(
        unit,
        TaskType.ROLL_ON_OVERDUE,
        cause=overdue_roll_on(record.number),
        subject=record.number,
        account=_account_of(record),
        code="ROLL_ON_PENDING",
        reason=reason,
        links={
            "member_record": record.number,
            "master_policy": record.master_policy,
            "caused_by": record.lock.caused_by,
            "requested_at": record.lock.requested_at.isoformat(),
        },
    )
    told = remind_task(unit, task, reason)
    return Outcome({"member_record": record.number, "task": task, "days": days, "told_again": told})


def _account_of(record: MemberRecord) -> str:
    """The account that bills the record last."""
    return record.placements[-1].account if record.placements else ""
