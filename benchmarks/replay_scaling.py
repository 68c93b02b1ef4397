"""How many frames a second are judged again: in one process, on 1 and on 2 Dask workers.

    python benchmarks/replay_scaling.py [--runs 8] [--frames 150]

Runs of a simulated 1D detector of 2,751 points are read from logs of documents and, in one
process, from a served Tiled. Workers have loaded the network before they are timed.
"""

import argparse
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from event_model import compose_run
from tiled_server_process import API_KEY, TiledServerProcess

from phasepilot.agent.archive.document_files import DocumentFiles
from phasepilot.agent.archive.document_log import DocumentLog
from phasepilot.agent.archive.pending_runs import upload_pending
from phasepilot.agent.archive.run_query import RunSource
from phasepilot.agent.archive.tiled_client import connected, runs_container
from phasepilot.agent.archive.tiled_runs import TiledRuns
from phasepilot.agent.configuration import AgentConfiguration
from phasepilot.agent.replay_batch import Outcome, judge_run
from phasepilot.agent.replay_cluster import judge_runs, local_workers
from phasepilot.models.diffraction.pressure.compressed_powder import Diffractometer
from phasepilot.models.diffraction.pressure.materials import KCL
from phasepilot.sim_devices.sample import Sample

DIFFRACTOMETER = Diffractometer()
CONFIGURATION = AgentConfiguration(
    intensity_field="counts",
    two_theta_field="two_theta_deg",
    wavelength_angstrom=DIFFRACTOMETER.wavelength_angstrom,
    axis_field="pressure_gpa",
)


def main() -> None:
    """Measure, and print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--frames", type=int, default=150)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        logs = Path(name) / "logs"
        uids = [write_run(logs, arguments.frames, seed) for seed in range(arguments.runs)]
        for row in measured(Path(name), logs, uids, arguments.frames):
            print(row, flush=True)


def measured(directory: Path, logs: Path, uids: list[str], n_frames: int) -> Iterator[str]:
    """Yield a line for each way to judge the runs, with its speed and what that is of the first."""
    source = DocumentFiles(logs)
    judge_run(source, uids[0], CONFIGURATION)
    here = speed(one_by_one(source, uids), n_frames)
    yield f"{here:6.0f} frames/s  1.00  logs, this process"
    with TiledServerProcess(directory / "tiled") as server:
        with connected(server.uri, api_key=API_KEY) as client:
            place = runs_container(client, "raw")
            upload_pending(logs, place)
            archive = TiledRuns(place.uri, API_KEY)
        of_tiled = speed(one_by_one(archive, uids), n_frames)
    yield f"{of_tiled:6.0f} frames/s  {of_tiled / here:.2f}  Tiled in another process"
    for n_workers in (1, 2):
        with local_workers(n_workers) as client:
            # Each worker loads what it needs, before it is timed.
            list(judge_runs(client, source, uids[:1] * 2 * n_workers, CONFIGURATION))
            on_dask = speed(judge_runs(client, source, uids, CONFIGURATION), n_frames)
        yield f"{on_dask:6.0f} frames/s  {on_dask / here:.2f}  logs, {n_workers} Dask worker(s)"


def one_by_one(source: RunSource, uids: list[str]) -> Iterator[Outcome]:
    """Judge runs in this process."""
    return (judge_run(source, uid, CONFIGURATION) for uid in uids)


def speed(outcomes: Iterable[Outcome], n_frames: int) -> float:
    """Return frames a second of runs that must all have gone well."""
    started, n_judged = time.perf_counter(), 0
    for outcome in outcomes:
        if outcome.result is None or len(outcome.result.advice) != n_frames:
            raise SystemExit(f"run {outcome.run_uid} was not judged: {outcome.failure}")
        n_judged += n_frames
    return n_judged / (time.perf_counter() - started)


def write_run(directory: Path, n_frames: int, seed: int) -> str:
    """Write the log of a run under rising pressure and return its uid."""
    rng, log = np.random.default_rng(seed), DocumentLog(directory)
    array: dict[str, Any] = {"source": "sim", "dtype": "array", "shape": [N_POINTS]}
    number: dict[str, Any] = {"source": "sim", "dtype": "number", "shape": []}
    run = compose_run()
    log("start", dict(run.start_doc))
    keys: Any = {"counts": array, "two_theta_deg": array, "pressure_gpa": number}
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    log("descriptor", dict(stream.descriptor_doc))
    sample = Sample(KCL)
    for pressure in np.linspace(0.3, 1.9, n_frames):
        sample.move_to(float(pressure))
        counts = rng.poisson(sample.expected_counts()).astype(np.float64)
        data = {
            "counts": counts,
            "two_theta_deg": DIFFRACTOMETER.two_theta_deg,
            "pressure_gpa": float(pressure),
        }
        stamps = dict.fromkeys(data, 0.0)
        log("event", dict(stream.compose_event(data=data, timestamps=stamps, validate=False)))
    log("stop", dict(run.compose_stop()))
    log.close()
    return str(run.start_doc["uid"])


N_POINTS = DIFFRACTOMETER.two_theta_deg.size

if __name__ == "__main__":
    main()
