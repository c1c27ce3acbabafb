"""Works on cascades behind the commit of their command: a run of a job each, whose items are accounts and records.

A cascade stands in the log from the moment its command is committed; its run, under the same id, only keeps who works
on it and how far that is. A small one is worked on by the request that began it and over when that is answered, a
larger one by a worker. Whatever dies on the way, the run is taken up again, and a cascade without a run gets one: each
step has its effect once (see `cascades`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from application.command import CommandAnswer, CommandRequest
from application.job_runs import JobDefinition, JobRuns, StoredRun
from application.jobs import JobType, RunState
from domain.members.cascade import CascadeStatus

_logger: Final = logging.getLogger(__name__)

JOB: Final = "MasterPolicyCascade"
#: The command whose cascades these are.
COMMAND: Final = "ApplyMasterPolicyTransaction"

#: Kinds of items, in the order in which a run goes through them; the number follows behind a blank.
ACCOUNT: Final = "account"
RECORD: Final = "record"
END: Final = "the end"

#: States of a run that has been through everything; one that ended otherwise has not.
_DONE: Final = frozenset({RunState.COMPLETED, RunState.COMPLETED_WITH_EXCEPTIONS})

#: Seconds for which a request waits for another process that works on its cascade already.
PATIENCE: Final = 30.0
_LOOK: Final = 0.05


def _step(run: StoredRun, item: str) -> Mapping[str, Any]:
    """The payload of an item's command."""
    kind, _, number = item.partition(" ")
    named = {ACCOUNT: {"account": number}, RECORD: {"member_record": number}}.get(kind, {})
    return {"cascade": str(run.progress.run_id), **named}


CASCADE_RUN: Final = JobDefinition(
    JobType(JOB, "Let a master policy transaction reach the member records of the policy, one after another"),
    command="RunCascadeStep",
    payload=_step,
    on_failure="GiveUpCascadeStep",
    by_hand=False,
    insists=True,
)


class CascadeRuns:
    """Starts the runs of cascades, and answers the commands that began them; `running` names those without an end."""

    def __init__(self, runs: JobRuns, running: Callable[[], list[str]]) -> None:
        self._runs = runs
        self._running = running

    def go_on(self, request: CommandRequest, answer: CommandAnswer) -> CommandAnswer:
        """Go on with what an accepted command began; its answer, with how the cascade ended if it is a small one.

        The same for a command that was sent again, so that whoever got no answer gets this one (PLT-004).
        """
        if answer.result.get("status") != CascadeStatus.RUNNING.value:
            return answer
        run_id = UUID(str(answer.result["cascade"]))
        at_once = "activity_id" not in answer.result
        try:
            if not self._is_done(run_id):
                self._runs.follow(JOB, run_id, request.principal.identifier, at_once=at_once)
            if at_once and self._is_over(run_id):
                return self._with_end(run_id, answer)
        except Exception:
            # The cascade has begun and stands in the log; a worker goes on with it.
            _logger.exception("cascade %s goes on later", run_id)
        return replace(answer, result={**answer.result, "activity_id": str(run_id)})

    def resume(self) -> None:
        """Have a run for every cascade that has not ended; one whose run is there is left to it."""
        for cascade in self._running():
            self._runs.follow(JOB, UUID(cascade), "scheduler")

    def _is_over(self, run_id: UUID) -> bool:
        """Whether the run has ended; waits a while for another process that works on it."""
        until = time.monotonic() + PATIENCE
        while not self._is_done(run_id):
            if time.monotonic() >= until:
                return False
            time.sleep(_LOOK)
        return True

    def _is_done(self, run_id: UUID) -> bool:
        run = self._runs.run(run_id)
        return run is not None and run.state in _DONE

    def _with_end(self, run_id: UUID, answer: CommandAnswer) -> CommandAnswer:
        """The answer with the result of the last step, which is stored and the same each time."""
        ended = self._runs.answer_of(run_id, END)
        positions = [one for one in (answer.position, ended.position) if one is not None]
        return replace(answer, result={**answer.result, **ended.result}, position=max(positions, default=None))
