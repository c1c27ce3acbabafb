"""Runs behind a broker: the sender's message reaches a worker, and BROKER_URL names the broker."""

from __future__ import annotations

import threading
from uuid import UUID, uuid4

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from infrastructure.jobs.broker import QUEUE, BrokerError, BrokerStarter, broker_of, runs_actor


def test_a_started_run_reaches_a_worker() -> None:
    run = uuid4()
    sending = StubBroker()
    BrokerStarter(sending)(run)
    [message] = [dramatiq.Message.decode(data) for data in list(sending.queues[QUEUE].queue)]
    worked: list[UUID] = []
    working = StubBroker()
    runs_actor(working, worked.append)
    worker = dramatiq.Worker(working, worker_timeout=50, worker_threads=1)
    worker.start()
    try:
        working.enqueue(message)
        working.join(QUEUE)
        worker.join()
    finally:
        worker.stop()
    assert worked == [run]


def test_the_broker_may_be_a_table_of_the_database(conninfo: str) -> None:
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(conninfo)
    url = f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}"
    run, done, worked = uuid4(), threading.Event(), []

    def work(found: UUID) -> None:
        worked.append(found)
        done.set()

    BrokerStarter(broker_of(url))(run)
    broker = broker_of(url)
    runs_actor(broker, work)
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
    worker.start()
    try:
        assert done.wait(20)
    finally:
        worker.stop()
        broker.close()
    assert worked == [run]


@pytest.mark.parametrize("url", ["http://example.test", "nonsense", ""])
def test_another_broker_is_refused(url: str) -> None:
    with pytest.raises(BrokerError):
        broker_of(url)
