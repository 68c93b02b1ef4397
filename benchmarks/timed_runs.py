"""Runs of a RunEngine with an agent beside it or in step, timed in turn and shown in a table."""

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from agent_latency import Stopwatch, frames_plan
from bluesky import RunEngine
from rich.table import Table

from phasepilot.agent.archive.tiled_upload import ArchiveWriter
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.agent.sockets.remote_agent import RemoteAgent

N_ROUNDS = 3


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
    """One run of one case.

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
    detector: Callable[[], Any]
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
        run_engine(frames_plan(self.detector(), n_frames, self.advisor if self.waits else None))
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


def in_turn(cases: Sequence[Case], run_engine: RunEngine, n_frames: int) -> dict[str, list[Result]]:
    """Return the results of `N_ROUNDS` runs of each case, by its label."""
    for case in cases:
        case.measured(run_engine, min(n_frames, 30))  # warm up
    results: dict[str, list[Result]] = {case.label: [] for case in cases}
    for _ in range(N_ROUNDS):
        for case in cases:
            results[case.label].append(case.measured(run_engine, n_frames))
    return results


def sustained(make_agent: Callable[[], PhaseAgent], detector: Any, n_frames: int) -> str:
    """Return the frames a second that agents judge of documents that are there already, as text."""
    rates = []
    for _ in range(N_ROUNDS):
        agent, documents = make_agent(), recorded(detector, n_frames)
        # What images need is prepared once a geometry and belongs to no frame.
        head = documents[:2]
        for name, doc in head:
            agent(name, doc)
        agent.wait(600.0)
        began = time.perf_counter()
        for name, doc in documents[2:]:
            agent(name, doc)
        agent.wait(600.0)
        rates.append(n_frames / (time.perf_counter() - began))
        agent.close()
    return f"{np.median(rates):.0f} frames/s ({min(rates):.0f} to {max(rates):.0f})"


def recorded(detector: Any, n_frames: int) -> list[tuple[str, Any]]:
    """Return the documents of a run."""
    documents: list[tuple[str, Any]] = []
    run_engine = RunEngine({})
    run_engine.subscribe(lambda name, doc: documents.append((name, doc)))
    run_engine(frames_plan(detector, n_frames, None))
    return documents


def result_table(results: dict[str, list[Result]], what: str) -> Table:
    """Return the middle one of each case's runs, by its events a second."""
    title = (
        f"{what}, {platform.machine()}, Python {platform.python_version()}, {os.cpu_count()}"
        f" cores, load {os.getloadavg()[0]:.1f}; middle of {N_ROUNDS}"
    )
    table = Table(title=title)
    headings = (
        *("case", "events/s", "relative", "RE thread, ms", "99 %", "its CPU, ms", "99 %"),
        *("to suggestion, ms", "99 %"),
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "case" else "right")
    middle = {
        label: sorted(found, key=lambda one: one.events_per_s)[N_ROUNDS // 2]
        for label, found in results.items()
    }
    alone = next(iter(middle.values())).events_per_s
    for label, one in middle.items():
        rates = f"{one.events_per_s:.0f}", f"{one.events_per_s / alone:.2f}"
        times = one.in_thread_s, one.in_thread_cpu_s, one.latency_s
        table.add_row(label, *rates, *(text for each in times for text in quantiles_ms(each)))
    return table


def quantiles_ms(seconds: Any) -> tuple[str, str]:
    """Return median and 99th percentile in milliseconds; dashes where nothing was measured."""
    if not np.any(seconds):
        return "-", "-"
    median, high = np.quantile(1e3 * seconds, (0.5, 0.99))
    return f"{median:.2f}", f"{high:.2f}"
