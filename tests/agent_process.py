"""An agent that steers a scan and writes it to Tiled: the program of a process of its own.

python agent_process.py URI API_KEY DIRECTORY SEED N_RUNS prints the uids, one a line; it measures
the next run for each line that comes in.
"""

import sys
from pathlib import Path

from experiment import configuration, fresh_run_engine, make_beamline

from phasepilot.agent.archive.tiled_client import connected
from phasepilot.agent.archive.tiled_upload import ArchiveWriter
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.plans.compression_scan import compression_scan


def main(uri: str, api_key: str, directory: str, seed: int, n_runs: int) -> None:
    """Measure so many runs, one after another."""
    agent = PhaseAgent(configuration())
    with connected(uri, api_key=api_key) as client, fresh_run_engine() as run_engine:
        writer = ArchiveWriter(Path(directory), client, batch_size=10)
        run_engine.subscribe(agent)
        run_engine.subscribe(writer)
        for _ in range(n_runs):
            sys.stdin.readline()
            beamline = make_beamline(seed)
            plan = compression_scan(
                [beamline.detector],
                beamline.cell,
                1.8,
                2.6,
                step=0.2,
                advisor=agent,
                advice_timeout_s=60.0,
            )
            (uid,) = run_engine(plan)
            print(uid, flush=True)
        summary = writer.close(timeout_s=300)
    if summary.problems or summary.pending:
        raise SystemExit("; ".join(summary.problems))


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:6]))
