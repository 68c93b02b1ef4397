"""A whole simulated experiment for the tests: beamline, agent and what was emitted."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bluesky import RunEngine

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.models.steering.compression_rule import CompressionSettings
from phasepilot.sim_devices.beamline import SimulatedBeamline, simulated_beamline

STEERING = CompressionSettings(coarse_step=0.2, fine_step=0.025, stop_margin=0.4)


def configuration(**changes: Any) -> AgentConfiguration:
    values: dict[str, Any] = {
        "intensity_field": "detector_intensity",
        "two_theta_field": "detector_two_theta_deg",
        "wavelength_field": "detector_wavelength_angstrom",
        "axis_field": "cell_pressure_gpa",
        "steering": STEERING,
    }
    return AgentConfiguration(**{**values, **changes})


@contextmanager
def fresh_run_engine() -> Iterator[RunEngine]:
    """Give a RunEngine whose thread and loop are gone afterwards."""
    loop = asyncio.new_event_loop()
    engine = RunEngine({}, loop=loop)
    try:
        yield engine
    finally:
        if engine.state not in ("idle", "panicked"):
            engine.halt()
        loop.call_soon_threadsafe(loop.stop)
        engine._th.join()
        loop.close()


class PausesOnce:
    """A subscriber that asks for a pause at a frame, which comes before the plan's next message.

    A thread of its own, as `request_pause` needs it, may be too late for the frame to be repeated.
    """

    def __init__(self, run_engine: RunEngine, seq_num: int) -> None:
        self._run_engine, self._seq_num = run_engine, seq_num
        self._request: asyncio.Task[None] | None = None

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        if name == "event" and doc["seq_num"] == self._seq_num and self._request is None:
            # Callbacks run in the thread of the loop.
            request = self._run_engine._request_pause_coro()
            self._request = self._run_engine.loop.create_task(request)


class ManualClock:
    """A clock that only moves when someone sleeps."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def make_beamline(seed: int = 0, material: str = "KCl", **options: Any) -> SimulatedBeamline:
    clock = ManualClock()
    return simulated_beamline(material, seed=seed, clock=clock, sleep=clock.sleep, **options)


@dataclass(eq=False)
class Emitted:
    """A subscriber that keeps everything, with the questions that tests ask of it."""

    documents: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        self.documents.append((name, doc))

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        return [doc for name, doc in self.documents if name == kind]

    def events(self, stream: str) -> list[Mapping[str, Any]]:
        names = {doc["uid"]: doc["name"] for doc in self.of("descriptor")}
        return [doc for doc in self.of("event") if names[doc["descriptor"]] == stream]

    @property
    def stop(self) -> Mapping[str, Any]:
        (stop,) = self.of("stop")
        return stop
