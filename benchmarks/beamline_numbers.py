"""What a beamline pays for the agent: events a second, milliseconds an event, time to a suggestion.

    python benchmarks/beamline_numbers.py [--frames 240]
    python benchmarks/beamline_numbers.py --memory [--frames 100000]

One run of the program. A simulated 1D detector of 2,751 points whose counts were drawn beforehand,
then two area detectors whose images stand in the events, integrated by the agent; of these a third
as many frames. Every case is measured three times, in turn, and the middle one of the three by its
events a second is shown: ratios within a table can be compared, and absolute times depend on the
machine. The agent over 0MQ and the Tiled server are processes of their own on this host.
"""

import argparse
import contextlib
import logging
import math
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from agent_latency import PreparedDetector, make_agent
from benchmark_processes import served_agent, tiled_process
from bluesky import RunEngine
from frame_reduction import geometries
from image_detector import ImageBeamline
from rich.console import Console
from timed_runs import Case, in_turn, quantiles_ms, recorded, result_table, sustained

from phasepilot.agent.archive.tiled_upload import ArchiveWriter
from phasepilot.agent.sockets.remote_agent import RemoteAgent

# Documents that are there already must fit what the agent lets wait, 512 MiB of frames.
_MAX_WAITING_PATTERNS, _MAX_WAITING_IMAGES = 1900, 40


def compare_patterns(run_engine: RunEngine, n_frames: int) -> None:
    """Measure the cases of a 1D detector and print their table."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        remote = stack.enter_context(served_agent(directory, make_agent().configuration))
        client = stack.enter_context(tiled_process())

        def archive() -> ArchiveWriter:
            return ArchiveWriter(directory / "log", client)

        one_d = PreparedDetector
        cases = (
            Case("RunEngine alone", one_d),
            Case("agent beside: plan does not wait", one_d, make_agent(), waits=False),
            Case("agent in step: plan waits", one_d, make_agent()),
            Case("agent in step, and Tiled (buffered)", one_d, make_agent(), archive),
            Case("agent over 0MQ in step", one_d, remote),
        )
        results = in_turn(cases, run_engine, n_frames)
        median, high = quantiles_ms(_question_s(remote))
    Console(width=120).print(result_table(results, f"{n_frames} frames of 2,751 points"))
    print(f"Question and answer over 0MQ, without an estimate: median {median} ms, 99 % {high} ms")
    rates = sustained(make_agent, one_d(), min(n_frames, _MAX_WAITING_PATTERNS))
    print(f"Sustained, 1D, from event to suggestion without waiting: {rates}\n", flush=True)


def compare_images(run_engine: RunEngine, n_frames: int) -> None:
    """Measure the RunEngine with images in its events, and print a table for each detector."""
    for name, geometry in geometries("Pilatus2M").items():
        with tempfile.TemporaryDirectory() as folder:
            beamline = ImageBeamline(Path(folder), geometry)
            cases = (
                Case("RunEngine alone", beamline.detector),
                Case("agent in step: plan waits", beamline.detector, beamline.agent()),
            )
            results = in_turn(cases, run_engine, n_frames)
            megapixels = f"{math.prod(geometry.shape) / 1e6:.1f} megapixels, int32"
            what = f"{n_frames} images of {name}, {megapixels}"
            Console(width=120).print(result_table(results, what))
            n_waiting = min(n_frames, _MAX_WAITING_IMAGES)
            rates = sustained(beamline.agent, beamline.detector(), n_waiting)
            print(f"Sustained, {megapixels}, from event to suggestion: {rates}\n", flush=True)


def _question_s(remote: RemoteAgent) -> Any:
    """Return how long answers take on frames that the agent does not know, in seconds."""
    seconds = []
    for number in range(500):
        began = time.perf_counter()
        remote.advice("no run", "primary", number).result(30.0)
        seconds.append(time.perf_counter() - began)
    return np.array(seconds)


def memory(n_frames: int) -> None:
    """Print the memory of a process while an agent judges one long run."""
    agent, documents = make_agent(), recorded(PreparedDetector(), 1000)
    (start, descriptor, *events), stop = documents[:-1], documents[-1]
    agent(*start)
    agent(*descriptor)
    print(f"{'frames':>8} {'resident MiB':>13}")
    began = time.perf_counter()
    for number in range(n_frames):
        event = events[number % len(events)][1]
        agent("event", {**event, "seq_num": number + 1, "time": event["time"] + number})
        if (number + 1) % 200 == 0:
            agent.wait(60.0)
        if (number + 1) % max(1, n_frames // 10) == 0:
            print(f"{number + 1:>8} {_resident_mib():>13.0f}", flush=True)
    agent(*stop)
    print(f"{n_frames / (time.perf_counter() - began):.0f} frames/s")


def _resident_mib() -> float:
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [one for one in status.read_text().splitlines() if one.startswith("VmRSS")]
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=None)
    parser.add_argument("--memory", action="store_true", help="one long run, and its memory")
    arguments = parser.parse_args()
    if arguments.memory:
        memory(arguments.frames or 5000)
        return
    logging.getLogger("pyFAI").setLevel(logging.ERROR)
    n_frames, run_engine = arguments.frames or 240, RunEngine({})
    compare_patterns(run_engine, n_frames)
    compare_images(run_engine, max(1, n_frames // 3))


if __name__ == "__main__":
    main()
