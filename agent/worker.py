"""One background thread that does jobs in order and never keeps the process alive."""

import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread

logger = logging.getLogger(__name__)


class Worker:
    """A daemon thread with a queue: a job that hangs delays the next ones, never the exit."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def n_waiting(self) -> int:
        """How many jobs are queued."""
        return self._jobs.qsize()

    def submit(self, job: Callable[[], None]) -> None:
        """Queue a job; returns at once."""
        self._jobs.put(job)

    def drain(self, timeout_s: float) -> bool:
        """Wait until everything queued before is done; False when that took too long."""
        done = Event()
        self.submit(done.set)
        return done.wait(timeout_s)

    def close(self) -> None:
        """Let the thread end when everything queued before is done; returns at once."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:  # the thread must outlive any job; jobs report their own errors
                logger.exception("a job of the agent failed")
