"""Work in threads of this process: what is started runs in the background, at most one thread an item of work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

_logger: Final = logging.getLogger(__name__)

S = TypeVar("S", bound=Hashable)


class BackgroundWork(Generic[S]):
    """Runs `work(subject, stopping)` for each subject in a thread of its own, two at most at a time.

    `close` asks all of it to stop and waits; what was not finished is left to be taken up again.
    """

    def __init__(self, name: str, work: Callable[[S, Callable[[], bool]], None], *, threads: int = 2) -> None:
        self._name = name
        self._work = work
        self._stop = threading.Event()
        self._places = threading.BoundedSemaphore(threads)
        self._guard = threading.Lock()
        self._running: dict[S, threading.Thread] = {}
        self._again: set[S] = set()

    def start(self, subject: S) -> None:
        """Work on the subject; if this process does so already, once more behind that. Nothing while closing."""
        with self._guard:
            if self._stop.is_set():
                return
            if subject in self._running:
                self._again.add(subject)
                return
            thread = threading.Thread(target=self._run, args=(subject,), name=f"{self._name} {subject}", daemon=True)
            self._running[subject] = thread
            thread.start()

    def close(self, timeout: float = 30.0) -> None:
        """Stop behind the item each thread is at."""
        self._stop.set()
        with self._guard:
            threads = list(self._running.values())
        for thread in threads:
            thread.join(timeout)

    def wait(self) -> None:
        """Wait until nothing is being worked on any more."""
        while True:
            with self._guard:
                threads = list(self._running.values())
            if not threads:
                return
            for thread in threads:
                thread.join()

    def _run(self, subject: S) -> None:
        while True:
            try:
                with self._places:
                    if not self._stop.is_set():
                        self._work(subject, self._stop.is_set)
            except Exception:
                _logger.exception("%s: %s failed", self._name, subject)
            with self._guard:
                if subject not in self._again or self._stop.is_set():
                    self._running.pop(subject, None)
                    return
                self._again.discard(subject)
