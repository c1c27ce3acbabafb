"""Executing commands for jobs and files, whose own last command may still be running when they are taken up again."""

from __future__ import annotations

import time
from typing import Final, Protocol

from application.command import CommandAnswer, CommandRequest
from application.dispatch import CommandRefused

#: Seconds to wait for a command of the same key that a dead process left running.
PATIENCE: Final = 30.0


class Executor(Protocol):
    """What executes commands."""

    def execute(self, request: CommandRequest) -> CommandAnswer: ...


def execute_patiently(executor: Executor, request: CommandRequest, patience: float = PATIENCE) -> CommandAnswer:
    """Execute a command; while its first sending is still running, ask again (PLT-019). Raises CommandRefused."""
    until = time.monotonic() + patience
    while True:
        try:
            return executor.execute(request)
        except CommandRefused as refused:
            if refused.retry_after is None or time.monotonic() >= until:
                raise
            time.sleep(min(float(refused.retry_after), 1.0))
