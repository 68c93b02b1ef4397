"""What a beamline pays for the agent: events a second, milliseconds an event, time to a suggestion.

    python benchmarks/beamline_numbers.py [--frames 1000]
    python benchmarks/beamline_numbers.py --memory [--frames 100000]

One run of the program, one simulated 1D detector of 2,751 points whose counts were drawn
beforehand. Every case is measured three times, in turn, and the middle one of the three by its
events a second is shown: ratios within a table can be compared, and absolute times depend on the
machine. The agent over 0MQ and the Tiled server are processes of their own on this host.
"""

import argparse
import contextlib
import os
import platform
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from agent_latency import PreparedDetector, Stopwatch, frames_plan, make_agent
from bluesky import RunEngine
from rich.console import Console
from rich.table import Table

from phasepilot.agent.archive.tiled_upload import ArchiveWriter
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.sockets.remote_agent import RemoteAgent

_N_ROUNDS = 3
_TILED = """
import sys, time
from phasepilot.agent.archive.tiled_server import embedded_tiled_server
with embedded_tiled_server() as server:
    print(server.uri, server.api_key, flush=True)
    sys.stdin.read()
"""


class Timed:
    """A callback, and what it costs the RunEngine's thread at each event.

    `seconds` are those of the clock, in which a busy machine may do other things; `cpu_seconds` are
    those in which the thread itself ran.
    """

    def __init__(self, callback: Callable[[str, Mapping[str, Any]], Any]) -> None:
        self._callback = callback
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Pass a document on."""
        began, cpu_began = time.perf_counter(), time.thread_time()
        self._callback(name, doc)
        if name == "event":
            self.seconds.append(time.perf_counter() - began)
            self.cpu_seconds.append(time.thread_time() - cpu_began)


@dataclass(frozen=True)
class Result:
    """One case, once.

    Attributes
    ----------
    events_per_s : float
    in_thread_s, in_thread_cpu_s : ndarray
        What our callbacks cost the RunEngine's thread at each event; see `Timed`.
    latency_s : ndarray
        From event to suggestion.
    """

    events_per_s: float
    in_thread_s: Any
    in_thread_cpu_s: Any
    latency_s: Any


@dataclass(frozen=True)
class Case:
    """What is subscribed, and whether the plan waits for each suggestion."""

    label: str
    advisor: PhaseAgent | RemoteAgent | None = None
    archive: Callable[[], ArchiveWriter] | None = None
    waits: bool = True

    def measured(self, run_engine: RunEngine, n_frames: int) -> Result:
        """Return one run of it."""
        writer = self.archive() if self.archive else None
        timed = [Timed(callback) for callback in (self.advisor, writer) if callback]
        stopwatch = Stopwatch(self.advisor) if self.advisor else None
        tokens = [run_engine.subscribe(one) for one in (*timed, stopwatch) if one]
        began = time.perf_counter()
        run_engine(frames_plan(PreparedDetector(), n_frames, self.advisor if self.waits else None))
        rate = n_frames / (time.perf_counter() - began)
        until = time.monotonic() + 120.0
        while stopwatch and len(stopwatch.latencies_s) < n_frames and time.monotonic() < until:
            time.sleep(0.01)
        for token in tokens:
            run_engine.unsubscribe(token)
        if writer is not None:
            writer.close(timeout_s=300.0)
        return Result(
            rate,
            np.sum([one.seconds for one in timed], axis=0),
            np.sum([one.cpu_seconds for one in timed], axis=0),
            np.array(stopwatch.latencies_s if stopwatch else []),
        )


@contextlib.contextmanager
def served_agent(directory: Path) -> Iterator[RemoteAgent]:
    """Give a client of an agent in a process of its own."""
    config = directory / "agent.json"
    config.write_text(make_agent().configuration.model_dump_json())
    documents, advice, results = _free_addresses()
    command = [
        *(str(Path(sys.executable).parent / "phasepilot"), "serve", str(config)),
        *("--documents", documents, "--advice", advice, "--results", results),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            with RemoteAgent(documents, advice) as remote:
                if not remote.wait_until_connected(60.0):
                    raise SystemExit("the served agent does not answer")
                yield remote
        finally:
            process.terminate()


def _free_addresses() -> list[str]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]


@contextlib.contextmanager
def tiled_process() -> Iterator[Any]:
    """Give the client of a Tiled server in a process of its own."""
    from phasepilot.agent.archive.tiled_client import connected

    command = [sys.executable, "-W", "ignore", "-c", _TILED]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        uri, key = process.stdout.readline().split()
        try:
            with connected(uri, api_key=key) as client:
                yield client
        finally:
            process.communicate("")


def compare(n_frames: int) -> None:
    """Measure all cases in turn and print the table."""
    run_engine = RunEngine({})
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        remote = stack.enter_context(served_agent(directory))
        client = stack.enter_context(tiled_process())
        beside, in_step, archived = make_agent(), make_agent(), make_agent()

        def archive() -> ArchiveWriter:
            return ArchiveWriter(directory / "log", client)

        cases = (
            Case("RunEngine alone"),
            Case("agent beside: plan does not wait", beside, waits=False),
            Case("agent in step: plan waits", in_step),
            Case("agent in step, and Tiled (buffered)", archived, archive),
            Case("agent over 0MQ in step", remote),
        )
        results: dict[str, list[Result]] = {case.label: [] for case in cases}
        for case in cases:
            case.measured(run_engine, 30)  # warm up
        for _ in range(_N_ROUNDS):
            for case in cases:
                results[case.label].append(case.measured(run_engine, n_frames))
        wire_s = _question_s(remote)
        sustained = [_sustained(n_frames) for _ in range(_N_ROUNDS)]
    Console(width=120).print(_table(results, n_frames))
    median, high = _quantiles(wire_s)
    print(f"Question and answer over 0MQ, without an estimate: median {median} ms, 99 % {high} ms")
    print(
        f"Sustained, 1D, from event to suggestion without waiting: {np.median(sustained):.0f}"
        f" frames/s ({min(sustained):.0f} to {max(sustained):.0f})"
    )


def _question_s(remote: RemoteAgent) -> Any:
    """Return how long answers take on frames that the agent does not know, in seconds."""
    seconds = []
    for number in range(500):
        began = time.perf_counter()
        remote.advice("no run", "primary", number).result(30.0)
        seconds.append(time.perf_counter() - began)
    return np.array(seconds)


def _sustained(n_frames: int) -> float:
    """Return the frames a second that an agent judges of documents that are there already."""
    agent, documents = make_agent(), recorded(n_frames)
    began = time.perf_counter()
    for name, doc in documents:
        agent(name, doc)
    agent.wait(600.0)
    return n_frames / (time.perf_counter() - began)


def recorded(n_frames: int) -> list[tuple[str, Any]]:
    """Return the documents of a run; fewer frames than the agent lets wait."""
    documents: list[tuple[str, Any]] = []
    run_engine = RunEngine({})
    run_engine.subscribe(lambda name, doc: documents.append((name, doc)))
    run_engine(frames_plan(PreparedDetector(), min(n_frames, 1900), None))
    return documents


def _table(results: dict[str, list[Result]], n_frames: int) -> Table:
    title = (
        f"{n_frames} frames of 2,751 points, {platform.machine()}, Python"
        f" {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f};"
        f" middle of {_N_ROUNDS}"
    )
    table = Table(title=title)
    headings = (
        *("case", "events/s", "relative", "RE thread, ms", "99 %", "its CPU, ms", "99 %"),
        *("to suggestion, ms", "99 %"),
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "case" else "right")
    middle = {
        label: sorted(found, key=lambda one: one.events_per_s)[_N_ROUNDS // 2]
        for label, found in results.items()
    }
    alone = next(iter(middle.values())).events_per_s
    for label, one in middle.items():
        rates = f"{one.events_per_s:.0f}", f"{one.events_per_s / alone:.2f}"
        times = one.in_thread_s, one.in_thread_cpu_s, one.latency_s
        table.add_row(label, *rates, *(text for each in times for text in _quantiles(each)))
    return table


def _quantiles(seconds: Any) -> tuple[str, str]:
    if not np.any(seconds):
        return "-", "-"
    median, high = np.quantile(1e3 * seconds, (0.5, 0.99))
    return f"{median:.2f}", f"{high:.2f}"


def memory(n_frames: int) -> None:
    """Print the memory of a process while an agent judges one long run."""
    agent, documents = make_agent(), recorded(1000)
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
    else:
        compare(arguments.frames or 1000)


if __name__ == "__main__":
    main()
