"""Finds what became of a command in the audit trail and among the stored answers (PLT-010).

A command that goes on as an activity is as far as the run that follows it.
"""

from __future__ import annotations

from uuid import UUID

from application.command_status import CommandState, CommandStatus
from infrastructure.postgres.database import Database

_STATUS = """
SELECT a.command, a.client, a.outcome, a.recorded_at, a.correlation_id, a.layer, a.codes, s.answer,
       s.answer -> 'result' ->> 'activity_id', r.state
  FROM command_audit a
  LEFT JOIN stored_answer s ON s.client = a.client AND s.key = a.idempotency_key AND s.command_id = a.command_id
  LEFT JOIN job_run r ON r.run_id = (s.answer -> 'result' ->> 'activity_id')::uuid
 WHERE a.command_id = %s
 ORDER BY a.position
 LIMIT 1
"""


class PostgresCommandStatus:
    """Reads from the writers' side, so that a command that was answered is found."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def status(self, command_id: UUID) -> CommandStatus | None:
        with self._database.writing() as connection:
            row = connection.execute(_STATUS, [command_id]).fetchone()
        if row is None:
            return None
        command, client, outcome, recorded_at, correlation_id, layer, codes, answer, activity, run = row
        return CommandStatus(
            command_id=command_id,
            command=command,
            client=client,
            state=_state(outcome, activity, run),
            recorded_at=recorded_at,
            correlation_id=correlation_id,
            layer=layer,
            codes=tuple(codes),
            answer=answer,
        )


def _state(outcome: str, activity: str | None, run: str | None) -> CommandState:
    """`run` is the state of the run that follows an activity, None while it has none."""
    if outcome in ("REFUSED", "FAILED"):
        return CommandState.FAILED
    if activity is None or run in ("COMPLETED", "COMPLETED_WITH_EXCEPTIONS"):
        return CommandState.DONE
    return CommandState.QUEUED if run in (None, "SCHEDULED") else CommandState.RUNNING
