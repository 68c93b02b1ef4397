"""What keeping and uploading every document costs the RunEngine, whatever Tiled does.

    python benchmarks/archive_writing.py [--events 300] [--away 60]

One process measures, another serves Tiled. Rounds without and with the writer alternate, so that
both see the same machine; then the server stands still for a whole run, and then it is killed,
stays away for --away seconds, and comes back: every run must be there in the end, in order.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from bluesky import RunEngine
from bluesky import plans as bp
from ophyd.sim import SynAxis, SynSignal
from rich.console import Console
from rich.table import Table
from tiled_server_process import API_KEY, TiledServerProcess

from phasepilot.agent.archive.pending_runs import pending_logs
from phasepilot.agent.archive.tiled_client import connected, runs_container
from phasepilot.agent.archive.tiled_columns import archived_documents, find_run
from phasepilot.agent.archive.tiled_upload import ArchiveWriter

N_POINTS = 2751
N_ROUNDS = 4


class Timed:
    """A subscriber that notes how long another one holds the RunEngine up at each event."""

    def __init__(self, callback: Callable[[str, Any], None]) -> None:
        self._callback = callback
        self.seconds: list[float] = []

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Hand one document on."""
        started = time.perf_counter()
        self._callback(name, doc)
        if name == "event":
            self.seconds.append(time.perf_counter() - started)


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=300)
    parser.add_argument("--away", type=float, default=60.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        measure_all(Path(directory), arguments.events, arguments.away)


def measure_all(directory: Path, n_events: int, away_s: float) -> None:
    """Run all rounds in a directory."""
    motor = SynAxis(name="motor")
    detector = SynSignal(func=lambda: np.full(N_POINTS, motor.position), name="detector")
    table = Table("", "ms an event", "in the callback: median", "99th percentile", "longest")
    uids: list[str] = []
    engine = RunEngine({})

    def measure(what: str, callback: Callable[[str, Any], None] | None) -> None:
        timed = None if callback is None else Timed(callback)
        token = None if timed is None else engine.subscribe(timed)
        started = time.perf_counter()
        n_rounds = N_ROUNDS if what.startswith(("no", "server a")) else 1
        for _ in range(n_rounds):
            (uid,) = engine(bp.scan([detector], motor, 0, n_events - 1, n_events))
            if timed is not None:
                uids.append(uid)
        each_ms = 1e3 * (time.perf_counter() - started) / (n_events * n_rounds)
        cells = ["", "", ""]
        if timed is not None and token is not None:
            engine.unsubscribe(token)
            milliseconds = 1e3 * np.array(timed.seconds)
            values = (
                statistics.median(milliseconds),
                np.quantile(milliseconds, 0.99),
                milliseconds.max(),
            )
            cells = [f"{value:.2f} ms" for value in values]
        table.add_row(what, f"{each_ms:.2f}", *cells)

    with (
        TiledServerProcess(directory / "tiled") as server,
        connected(server.uri, api_key=API_KEY, timeout_s=5.0) as client,
    ):
        place = runs_container(client, "raw")
        writer = ArchiveWriter(directory / "log", place)
        measure("no writer", None)
        measure("server answers", writer)
        measure("no writer, again", None)
        server.suspend()
        measure("server stands still", writer)
        server.go_on()
        server.kill()
        back = threading.Timer(away_s, server.start)
        back.start()
        measure(f"server away for {away_s:g} s", writer)
        back.join()
        deadline = time.monotonic() + 600
        while pending_logs(directory / "log") and time.monotonic() < deadline:
            time.sleep(0.5)
        summary = writer.close(timeout_s=60)
        Console().print(table)
        n_rows = sum(
            name == "event"
            for uid in summary.uploaded
            for name, _ in archived_documents(find_run(place, uid))
        )
        is_in_order = list(place) == uids
        print(
            f"{len(summary.uploaded)} of {len(uids)} runs and {n_rows} of {len(uids) * n_events}"
            f" events are in Tiled, {'in' if is_in_order else 'NOT in'} their order;"
            f" {len(summary.pending)} pending"
        )


if __name__ == "__main__":
    main()
