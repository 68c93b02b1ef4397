"""Steered compression scans over several seeds: what is found, and at what cost in frames.

    python benchmarks/transition_search.py [--seeds 10] [--counts 5000]

The experiment of `phasepilot demo` without its waiting: RunEngine, simulated cell and detector,
agent in lock-step. Found is the middle of the interval between the last frame without new lines
and the first with them; the fixed scan takes the smallest of the steered steps all the way.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from bluesky import RunEngine
from rich.console import Console
from rich.table import Table

from phasepilot.agent.cli.demo import Steps, demo_configuration
from phasepilot.agent.phase_agent import PhaseAgent
from phasepilot.models.diffraction.pressure.materials import MATERIALS
from phasepilot.plans.compression_scan import compression_scan
from phasepilot.sim_devices.beamline import simulated_beamline


class InstantClock:
    """A clock that only moves when someone sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.now_s += seconds


# Readings of the pressure scatter by 0.01 GPa: twice that is no error of the agent.
GAUGE_GPA = 0.02


@dataclass(frozen=True, slots=True)
class Search:
    """What one scan gave; `error_gpa` is NaN when nothing was found."""

    error_gpa: float
    is_inside: bool
    has_stopped: bool
    n_frames: int
    n_fixed: int


def search(run_engine: RunEngine, material_name: str, seed: int, peak_counts: float) -> Search:
    """Run one steered scan."""
    clock = InstantClock()
    beamline = simulated_beamline(
        material_name, seed=seed, peak_counts=peak_counts, clock=clock, sleep=clock.sleep
    )
    material = beamline.material
    steps = Steps.of(material)
    agent = PhaseAgent(demo_configuration(material))
    token = run_engine.subscribe(agent)
    run_engine(
        compression_scan(
            [beamline.detector],
            beamline.cell,
            material.scan_start_gpa,
            material.scan_stop_gpa,
            step=steps.coarse_gpa,
            min_step=steps.fine_gpa,
            advisor=agent,
            advice_timeout_s=30.0,
        )
    )
    run_engine.unsubscribe(token)
    report = agent.report()
    travelled = report.advice[-1].axis_value - report.advice[0].axis_value
    true = material.transition_pressure_gpa
    low, high = report.onset_interval or (np.nan, np.nan)
    return Search(
        error_gpa=(low + high) / 2 - true,
        is_inside=bool(low - GAUGE_GPA <= true <= high + GAUGE_GPA),
        has_stopped=report.advice[-1].action == "stop",
        n_frames=len(report.advice),
        n_fixed=round(travelled / steps.fine_gpa) + 1,
    )


def main() -> None:
    """Print one row a material: mean and spread over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--counts", type=float, default=5000.0)
    options = parser.parse_args()
    run_engine = RunEngine({})
    table = Table(
        *("sample", "found", "found - true (GPa)", "true inside interval", "stopped"),
        *("frames", "fixed fine scan"),
        title=f"{options.seeds} seeds, {options.counts:g} counts in the strongest bin",
    )
    for name in MATERIALS:
        runs = [search(run_engine, name, seed, options.counts) for seed in range(options.seeds)]
        errors = np.array([run.error_gpa for run in runs])
        frames = np.array([run.n_frames for run in runs])
        table.add_row(
            name,
            f"{np.isfinite(errors).sum()}/{len(runs)}",
            f"{np.nanmean(errors):+.3f} ± {np.nanstd(errors):.3f}",
            f"{sum(run.is_inside for run in runs)}/{len(runs)}",
            f"{sum(run.has_stopped for run in runs)}/{len(runs)}",
            f"{frames.mean():.0f} ± {frames.std():.0f}",
            f"{np.mean([run.n_fixed for run in runs]):.0f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
