"""What follows a refused command: a report by a command of the service itself, for a refusal stores nothing."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import Final

from application.clock import Clock
from application.command import Command, CommandRequest, Principal
from application.dispatch import Dispatcher

_logger: Final = logging.getLogger(__name__)


def report(
    dispatcher: Dispatcher, clock: Clock, sender: Principal, kind: type[Command], told: Mapping[str, str]
) -> None:
    """Send a report, the same one once a day (UTC); its failure is no failure of the command, whose refusal stands."""
    message = "\n".join((*told.values(), clock.now().date().isoformat()))
    key = f"{sender.client}:{hashlib.sha256(message.encode()).hexdigest()}"
    try:
        dispatcher.execute(CommandRequest(kind.__name__, dict(told), sender, "JOB", idempotency_key=key))
    except Exception:
        _logger.exception("%s was not accepted", kind.__name__)
