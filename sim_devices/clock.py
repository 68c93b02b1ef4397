"""The time that devices go by: that of the wall, or a virtual one where hours take seconds."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol


class Clock(Protocol):
    """Tells the time and calls back later: `ThreadedClock` or `SimulatedClock`."""

    def __call__(self) -> float:
        """Return the time in seconds."""

    def call_after(self, seconds: float, action: Callable[[], None]) -> None:
        """Call the action once so many seconds have passed; return before that."""


class ThreadedClock:
    """Waits in threads of its own; by default in seconds since 1970.

    Parameters
    ----------
    clock, sleep : callable
        Tell the time, and wait; the two must agree.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self._clock()

    def call_after(self, seconds: float, action: Callable[[], None]) -> None:
        """Call the action from a thread of its own once so many seconds have passed."""

        def wait_and_act() -> None:
            self._sleep(seconds)
            action()

        # The RunEngine's loop must not be held up, so the waiting is done beside it.
        threading.Thread(target=wait_and_act, daemon=True).start()


class SimulatedClock:
    """Virtual seconds, which pass only while someone waits, and then at once.

    Followed by a RunEngine, time jumps from event to event while a plan waits for its devices: what
    was started together runs together, what was started without waiting goes on meanwhile, and
    the same plan takes the same time to the bit. `bps.sleep` takes virtual seconds too. Outside a
    running plan there is nobody to wait for, and each action is waited for as it starts.

    All devices of a plan must go by this clock: while a plan waits for one that does not,
    everything under way here runs to its end.

    `DiamondAnvilCell` and `PowderDetector` take it as ``clock=clock, sleep=clock.sleep``; what they
    do together then counts one after the other.

    Examples
    --------
    >>> clock = SimulatedClock()
    >>> clock.call_after(3600.0, lambda: print("arrived"))
    arrived
    >>> clock()
    3600.0
    """

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._run_engine: Any = None

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self._now_s

    def call_after(self, seconds: float, action: Callable[[], None]) -> None:
        """Call the action once so many seconds have passed; at once outside a running plan."""
        with self._lock:
            # The number keeps events of one moment in the order they were asked for.
            heapq.heappush(self._due, (self._now_s + seconds, next(self._numbers), action))
        if self._run_engine is None or self._run_engine.state != "running":
            self.sleep(seconds)

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass, and everything happen that is due in them."""
        end_s = self._now_s + seconds
        while self._advance_to_next(end_s):
            pass
        with self._lock:
            self._now_s = max(self._now_s, end_s)

    def follow(self, run_engine: Any) -> None:
        """Let time pass while plans of this RunEngine wait; its progress bar stays as it is."""
        earlier_hook = run_engine.waiting_hook

        def pass_time(statuses: Any) -> None:
            if earlier_hook is not None:
                earlier_hook(statuses)
            while any(not status.done for status in statuses or ()):
                if not self._advance_to_next():
                    return

        async def sleep(message: Any) -> None:
            self.sleep(*message.args)

        self._run_engine = run_engine
        run_engine.waiting_hook = pass_time
        run_engine.register_command("sleep", sleep)

    def _advance_to_next(self, end_s: float = float("inf")) -> bool:
        """Make the next event happen, if there is one until then; return whether there was."""
        with self._lock:
            if not self._due or self._due[0][0] > end_s:
                return False
            due_s, _, action = heapq.heappop(self._due)
            self._now_s = max(self._now_s, due_s)
        # Without the lock: an action takes the lock of its device.
        action()
        return True
