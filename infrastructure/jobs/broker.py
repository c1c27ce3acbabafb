"""Runs behind a message broker: the process that starts a run sends its id, a worker works on it (Dramatiq).

A message is only a hint: what is to be done stands in the database, and a run is claimed before it is worked on. A
message lost or sent twice is harmless; the scheduler sends ids of unfinished runs again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import dramatiq
import psycopg

QUEUE: Final = "rollon-jobs"
ACTOR: Final = "work_on_run"
#: A run may take hours; longer than a day is a defect.
TIME_LIMIT: Final = 24 * 3600 * 1000


class BrokerError(ValueError):
    """BROKER_URL names no broker that is known."""


def broker_of(url: str) -> dramatiq.Broker:
    """The broker of BROKER_URL: amqp:// RabbitMQ, redis:// Redis, postgresql:// a table of that database."""
    scheme = urlsplit(url).scheme
    # Each client is imported only where it is used: a process has one broker at most.
    if scheme in ("amqp", "amqps"):
        from dramatiq.brokers.rabbitmq import RabbitmqBroker

        return RabbitmqBroker(url=url)
    if scheme in ("redis", "rediss"):
        from dramatiq.brokers.redis import RedisBroker

        redis: dramatiq.Broker = RedisBroker(url=url)  # type: ignore[no-untyped-call]
        return redis
    if scheme in ("postgres", "postgresql"):
        from dramatiq_postgres import PostgresBroker, init

        # Its tables are its own, and made once, whoever comes first.
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            init(cursor)
        broker: dramatiq.Broker = PostgresBroker(url=url)
        return broker
    raise BrokerError("BROKER_URL begins with amqp://, redis:// or postgresql://")


def runs_actor(broker: dramatiq.Broker, work: Callable[[UUID], None]) -> dramatiq.Actor[Any, Any]:
    """Declare the actor that works on a run. The sender declares it too and never calls it."""

    def work_on_run(run_id: str) -> None:
        work(UUID(run_id))

    declare = dramatiq.actor(broker=broker, actor_name=ACTOR, queue_name=QUEUE, max_retries=3, time_limit=TIME_LIMIT)
    return declare(work_on_run)


class BrokerStarter:
    """Sends the ids of runs that are to be worked on."""

    def __init__(self, broker: dramatiq.Broker) -> None:
        self._actor = runs_actor(broker, _not_here)

    def __call__(self, run_id: UUID) -> None:
        self._actor.send(str(run_id))


def _not_here(run_id: UUID) -> None:
    raise RuntimeError(f"this process sends runs, it does not work on them: {run_id}")
