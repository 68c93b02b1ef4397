"""How often noise and nuisances alone reach what the tracker takes for evidence of a change.

    python benchmarks/tracker_null_statistics.py [--runs 300]

Null runs of samples and seeds that the compression benchmark does not use are followed with alarms
switched off. For each kind of evidence it prints the levels that are risen above so often in
10,000 frames, and a tail exp(-(t - level) / scale) drawn through two of them: the numbers that
`models/tracking/change_statistic.py` holds.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.compression_following import (
    FITTING_SEED,
    Task,
    benchmark_settings,
    mapped,
    prepared_frames,
    tracked,
)
from phasepilot.models.tracking.phase_state import SeenIn

RATES_PER_10000 = (100.0, 30.0, 10.0, 3.0, 1.0)
DRAWN_THROUGH = (30.0, 3.0)


@dataclass(frozen=True, slots=True)
class NullRun:
    """The evidence in each frame of a run, by kind, after the tracker has learned."""

    name: str
    n_frames: int
    evidence: dict[SeenIn, FloatArray]


def unalarmed(task: Task) -> NullRun:
    """Return a run as the tracker sees it when it never raises an alarm."""
    settings = replace(benchmark_settings(), alarm_probability=2.0)
    run = task.run()
    states = tracked(prepared_frames(run), run.gauge, settings)
    kinds = [one.evidence.by_kind for one in states[settings.learning_frames :] if one.evidence]
    evidence = {kind: np.array([one[kind] for one in kinds]) for kind in SeenIn}
    name = f"{run.course.kind} {run.course.material}, {run.peak_counts:.0f} counts, {task.number}"
    return NullRun(name, int((~run.is_lost).sum()), evidence)


def excursions(runs: Sequence[NullRun], kind: SeenIn, level: float) -> int:
    """Return how many times evidence rises above a level."""
    return sum(
        int((np.diff((one.evidence[kind] >= level).astype(int), prepend=0) == 1).sum())
        for one in runs
    )


def levels_of(runs: Sequence[NullRun], kind: SeenIn, rates: Sequence[float]) -> FloatArray:
    """Return the lowest levels that are risen above no more often than each rate, from then on."""
    n_frames = sum(one.n_frames for one in runs)
    grid = np.arange(0.2, 80.0, 0.05)
    found = np.array([excursions(runs, kind, float(level)) for level in grid]) * 1e4 / n_frames
    return np.array(
        [grid[min(np.flatnonzero(found > rate)[-1] + 1, grid.size - 1)] for rate in rates]
    )


def main() -> None:
    """Print the levels, and which runs come highest."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=300)
    n_runs = parser.parse_args().runs
    runs = list(mapped(unalarmed, [Task(FITTING_SEED, number, False) for number in range(n_runs)]))
    n_frames = sum(one.n_frames for one in runs)
    print(f"{n_runs} runs, {n_frames} frames with beam")
    for kind in SeenIn:
        levels = levels_of(runs, kind, RATES_PER_10000)
        told = ", ".join(
            f"{rate:g}: {level:.2f}" for rate, level in zip(RATES_PER_10000, levels, strict=True)
        )
        often, seldom = levels_of(runs, kind, DRAWN_THROUGH)
        scale = (seldom - often) / np.log(DRAWN_THROUGH[0] / DRAWN_THROUGH[1])
        level = often - scale * np.log(1e4 / DRAWN_THROUGH[0])
        print(f"{kind}: risen above so often in 10,000 frames: {told}")
        print(
            f"  drawn through {DRAWN_THROUGH[0]:g} and {DRAWN_THROUGH[1]:g}:"
            f" level {level:.2f}, scale {scale:.2f}"
        )
        for one in sorted(runs, key=lambda one: -one.evidence[kind].max())[:6]:
            evidence = one.evidence[kind]
            print(f"  {one.name}: {evidence.max():.1f} {int(evidence.argmax())} frames later")


if __name__ == "__main__":
    main()
