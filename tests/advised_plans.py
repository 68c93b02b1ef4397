"""What the tests of plans share: soft devices, advisors with a script or a rule, a way to run."""

import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import numpy as np
from bluesky import RunEngine
from experiment import Emitted, ManualClock
from ophyd import Component, Device, Kind, Signal
from ophyd.sim import SynAxis
from ophyd.status import Status

from phasepilot.models.suggestion import Action, Advice

Opinion = Advice | Exception | None


class ScriptedAdvisor:
    """An advisor with a fixed opinion on each frame; None stands for silence.

    Opinions go by sequence number, or come from a function of run and number.
    """

    def __init__(
        self, opinions: Mapping[int, Opinion] | Callable[[str, int], Opinion] | None = None
    ) -> None:
        self._opinions = opinions if opinions is not None else {}
        self.asked: list[tuple[str, int]] = []

    def advice(self, run_uid: str, stream: str, seq_num: int) -> "Future[Advice]":
        future: Future[Advice] = Future()
        if (run_uid, seq_num) not in self.asked:
            self.asked.append((run_uid, seq_num))
        if callable(self._opinions):
            opinion = self._opinions(run_uid, seq_num)
        else:
            opinion = self._opinions.get(seq_num, continuing(seq_num))
        if isinstance(opinion, Exception):
            raise opinion
        if opinion is not None:
            future.set_result(replace(opinion, frame_seq_num=seq_num))
        return future

    def settings(self) -> dict[str, str | float | int]:
        return {"agent_model": "script"}


class BrightestAdvisor:
    """Looks at the points of a run and wants the brightest of them measured finely, then stops.

    It is subscribed as an agent is, and its advice is a function of what was measured.
    """

    def __init__(self, position_field: str, counts_field: str) -> None:
        self._fields = position_field, counts_field
        self._points: dict[int, tuple[float, float]] = {}
        self._n_refined = 0

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        if name == "event" and self._fields[1] in doc["data"]:
            position, counts = (doc["data"][field] for field in self._fields)
            self._points[doc["seq_num"]] = position, counts

    def advice(self, run_uid: str, stream: str, seq_num: int) -> "Future[Advice]":
        future: Future[Advice] = Future()
        points = [self._points[number] for number in sorted(self._points) if number <= seq_num]
        center = max(points, key=lambda point: point[1])[0]
        if len({position for position, _ in points if abs(position - center) < 0.11}) > 5:
            future.set_result(advise(Action.STOP))
        else:
            window = {"region_start": center - 0.1, "region_stop": center + 0.1}
            future.set_result(advise(Action.REFINE, step=0.02, **window))
        return future

    def settings(self) -> dict[str, str | float | int]:
        return {"agent_model": "brightest point"}


def continuing(seq_num: int) -> Advice:
    return Advice(frame_seq_num=seq_num, action="continue", reason="nothing new")


def advise(action: Action, reason: str = "as scripted", **columns: Any) -> Advice:
    return Advice(action=action.value, reason=reason, **columns)


def peak_at(center: float) -> Callable[[float], float]:
    return lambda position: 10.0 + 1000.0 * float(np.exp(-(((position - center) / 0.05) ** 2)))


class SoftDetector(Device):  # type: ignore[misc]
    """Counts what stands at the position of an axis, as fast as the clock is moved."""

    exposure_s = Component(Signal, value=1.0, kind=Kind.normal)
    counts = Component(Signal, value=0.0, kind=Kind.hinted)

    def __init__(
        self,
        axis: Any = None,
        *,
        rate: Callable[[float], float] = lambda position: 10.0,
        clock: ManualClock | None = None,
        fails_at: Collection[float] = (),
    ) -> None:
        super().__init__(name="detector")
        self._axis = axis
        self._rate = rate
        self._clock = clock or ManualClock()
        self._fails_at = fails_at
        self.n_triggers = 0

    def trigger(self) -> Status:
        self.n_triggers += 1
        status = Status(self)
        place = self._axis.position if self._axis is not None else 0.0
        if place in self._fails_at:
            status.set_exception(RuntimeError("the detector is dead"))
            return status
        exposure_s = float(self.exposure_s.get())
        self._clock.sleep(exposure_s)
        self.counts.put(self._rate(place) * exposure_s)
        status.set_finished()
        return status


class SoftAxis(SynAxis):  # type: ignore[misc]
    """An axis that arrives at once, keeps a list of where it was sent, and may stick."""

    def __init__(
        self,
        *,
        name: str,
        sticks_at: Collection[float] = (),
        sticks_for_s: float = 0.0,
        n_times: int = 1000,
        overshoot: float = 0.0,
        value: float = 0.0,
    ) -> None:
        super().__init__(name=name, value=value, readback_func=lambda place: place + overshoot)
        self._sticks_at = sticks_at
        self._sticks_for_s = sticks_for_s
        self._n_times_left = n_times
        self.sent_to: list[float] = []

    def set(self, value: float) -> Status:
        self.sent_to.append(value)
        if value not in self._sticks_at or not self._n_times_left:
            return super().set(value)
        self._n_times_left -= 1
        status, failure = Status(self), RuntimeError(f"{self.name} is stuck")
        threading.Timer(self._sticks_for_s, status.set_exception, [failure]).start()
        return status


def run_plan(run_engine: RunEngine, plan: Any, *subscribers: Any) -> Emitted:
    emitted = Emitted()
    for subscriber in (*subscribers, emitted):
        run_engine.subscribe(subscriber)
    run_engine(plan)
    return emitted


def column(emitted: Emitted, name: str) -> list[Any]:
    """One column of the stream of decisions."""
    return [doc["data"][f"agent_{name}"] for doc in emitted.events("agent")]
