"""How long a suggestion takes, and what the agent costs the RunEngine.

    python benchmarks/agent_latency.py [--frames 2000]

One process, one run: a simulated 1D detector of 2,751 points whose counts were drawn beforehand,
so that only Bluesky and the agent are timed. Latency is from the event's own time stamp to the
moment its advice is there.
"""

import argparse
import platform
import time
from collections.abc import Generator, Mapping
from concurrent.futures import Future
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
from bluesky import RunEngine
from bluesky.utils import Msg
from rich.console import Console
from rich.table import Table

from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.models.diffraction.pressure.compressed_powder import Diffractometer
from phasepilot.models.diffraction.pressure.materials import KCL
from phasepilot.models.steering.compression_rule import CompressionSettings
from phasepilot.models.suggestion import Advice
from phasepilot.plans.advisor import Advisor, await_suggestion
from phasepilot.sim_devices.sample import Sample

N_DIFFERENT = 50


class PreparedDetector:
    """A readable that gives frames drawn beforehand, and the pressure they stand for."""

    name = "detector"
    parent = None

    def __init__(self) -> None:
        self._n_read = 0
        sample, rng = Sample(KCL), np.random.default_rng(0)
        self._pressures = np.linspace(0.3, 1.9, N_DIFFERENT)
        self._frames = []
        for pressure in self._pressures:
            sample.move_to(float(pressure))
            self._frames.append(rng.poisson(sample.expected_counts()).astype(np.float64))
        self._two_theta_deg = Diffractometer().two_theta_deg

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the next frame; pressure goes up and down so that strain steps stay small."""
        turn = self._n_read % (2 * N_DIFFERENT)
        index = turn if turn < N_DIFFERENT else 2 * N_DIFFERENT - 1 - turn
        self._n_read += 1
        now = time.time()
        return {
            "intensity": {"value": self._frames[index], "timestamp": now},
            "pressure": {"value": float(self._pressures[index]), "timestamp": now},
        }

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return the data keys."""
        shape = [self._two_theta_deg.size]
        return {
            "intensity": {"source": "drawn", "dtype": "array", "shape": shape},
            "pressure": {"source": "drawn", "dtype": "number", "shape": []},
        }

    def read_configuration(self) -> dict[str, dict[str, Any]]:
        """Return the axis."""
        return {"two_theta_deg": {"value": self._two_theta_deg, "timestamp": 0.0}}

    def describe_configuration(self) -> dict[str, dict[str, Any]]:
        """Return the data key of the axis."""
        shape = [self._two_theta_deg.size]
        return {"two_theta_deg": {"source": "drawn", "dtype": "array", "shape": shape}}


def frames_plan(detector: Any, n_frames: int, advisor: Advisor | None) -> Generator[Msg, Any, None]:
    """Read n frames; wait for the advice on each if there is an advisor."""

    @bpp.stage_decorator([])
    def inner() -> Generator[Msg, Any, None]:
        uid = yield from bps.open_run()
        for number in range(1, n_frames + 1):
            yield from bps.checkpoint()
            yield from bps.trigger_and_read([detector])
            if advisor is not None:
                yield from await_suggestion(advisor, uid, "primary", number, timeout_s=10.0)
        yield from bps.close_run()

    yield from inner()


class Stopwatch:
    """A subscriber that times each event until its advice is there; subscribe it last."""

    def __init__(self, agent: Advisor) -> None:
        self._agent, self._run_uid = agent, ""
        self.latencies_s: list[float] = []

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Attach to the advice on an event."""
        if name == "start":
            self._run_uid = doc["uid"]
        elif name == "event":
            emitted = doc["time"]

            def note(_: "Future[Advice]") -> None:
                self.latencies_s.append(time.time() - emitted)

            future = self._agent.advice(self._run_uid, "primary", doc["seq_num"])
            future.add_done_callback(note)


def timed_run(
    run_engine: RunEngine, n_frames: int, agent: PhaseAgent | None, *, waits: bool
) -> tuple[float, list[float]]:
    """Return events per second and the latencies of one run."""
    callbacks = [agent, Stopwatch(agent)] if agent else []
    tokens = [run_engine.subscribe(callback) for callback in callbacks]
    started = time.perf_counter()
    run_engine(frames_plan(PreparedDetector(), n_frames, agent if waits else None))
    rate = n_frames / (time.perf_counter() - started)
    if agent:
        agent.wait(120.0)
    for token in tokens:
        run_engine.unsubscribe(token)
    return rate, callbacks[1].latencies_s if agent else []


def make_agent() -> PhaseAgent:
    """Return the agent that is timed."""
    return PhaseAgent(
        AgentConfiguration(
            intensity_field="intensity",
            two_theta_field="two_theta_deg",
            wavelength_angstrom=0.41328,
            axis_field="pressure",
            steering=CompressionSettings(0.2, 0.025, 0.4),
        )
    )


def main() -> None:
    """Time the RunEngine alone, with the agent beside it and in lock-step, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=2000)
    n_frames = parser.parse_args().frames
    run_engine = RunEngine({})
    timed_run(run_engine, 50, make_agent(), waits=True)  # warm up
    cases = (
        ("RunEngine alone", None, False),
        ("agent subscribed, plan does not wait", make_agent(), False),
        ("agent in lock-step, plan waits", make_agent(), True),
    )
    results = [
        (label, *timed_run(run_engine, n_frames, agent, waits=waits))
        for label, agent, waits in cases
    ]
    table = Table(title=f"{n_frames} frames of 2,751 points, {platform.processor() or 'CPU'}")
    for heading in ("case", "events/s", "relative", "median ms", "99th percentile ms"):
        table.add_column(heading, justify="left" if heading == "case" else "right")
    alone = results[0][1]
    for label, rate, latencies_s in results:
        milliseconds = 1e3 * np.array(latencies_s)
        quantiles = (
            [f"{q:.1f}" for q in np.quantile(milliseconds, (0.5, 0.99))]
            if latencies_s
            else ["-", "-"]
        )
        table.add_row(label, f"{rate:.0f}", f"{rate / alone:.2f}", *quantiles)
    Console().print(table)
    print("Without waiting, frames queue up when they come faster than they are judged.")


if __name__ == "__main__":
    main()
