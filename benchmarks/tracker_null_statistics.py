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

from phasepilot.models.arrays import BoolArray, FloatArray
from phasepilot.models.benchmarks.compression_following import (
    FITTING_SEED,
    Task,
    benchmark_settings,
    mapped,
    prepared_frames,
    tracked,
)
from phasepilot.models.tracking.phase_state import SeenIn, TrackerSettings

RATES_PER_10000 = (100.0, 30.0, 10.0, 3.0, 1.0)
# Down to the rate that is promised: lines that cross make exceptions, which come seldom.
DRAWN_THROUGH = (10.0, 1.0)


@dataclass(frozen=True, slots=True)
class NullRun:
    """The evidence in each frame of a run, by kind, and in which lines are still told apart."""

    name: str
    n_frames: int
    evidence: dict[SeenIn, FloatArray]
    is_learning: BoolArray


def unalarmed(task: Task) -> NullRun:
    """Return a run as the tracker sees it when it never raises an alarm."""
    settings = replace(benchmark_settings(), alarm_probability=2.0)
    run = task.run()
    states = tracked(prepared_frames(run), run.gauge, settings)
    judged = [one for one in states if one.n_frames > settings.learning_frames]
    kinds = [one.evidence.by_kind for one in judged if one.evidence]
    evidence = {kind: np.array([one[kind] for one in kinds]) for kind in SeenIn}
    is_learning = np.array([one.sums is not None for one in judged if one.evidence])
    name = f"{run.course.kind} {run.course.material}, {run.peak_counts:.0f} counts, {task.number}"
    return NullRun(name, int((~run.is_lost).sum()), evidence, is_learning)


def excursions(runs: Sequence[NullRun], kind: SeenIn, level: float) -> tuple[int, int]:
    """Return how many times evidence rises above a level, in all and while learning.

    It counts as above until it has been below for as many frames as take an alarm back.
    """
    n_quiet = TrackerSettings().quiet_frames
    n_all = n_learning = 0
    for one in runs:
        is_high = one.evidence[kind] >= level
        is_held = np.convolve(is_high, np.ones(n_quiet + 1))[: is_high.size] > 0.5
        is_rise = np.diff(is_held.astype(int), prepend=0) == 1
        n_all += int(is_rise.sum())
        n_learning += int((is_rise & one.is_learning).sum())
    return n_all, n_learning


def levels_of(runs: Sequence[NullRun], kind: SeenIn, rates: Sequence[float]) -> FloatArray:
    """Return the lowest levels that are risen above no more often than each rate, from then on."""
    n_frames = sum(one.n_frames for one in runs)
    highest = max(float(one.evidence[kind].max()) for one in runs)
    grid = np.arange(0.2, highest + 0.1, 0.05)
    found = np.array([excursions(runs, kind, float(level))[0] for level in grid]) * 1e4 / n_frames
    return np.array(
        [grid[min(np.flatnonzero(found > rate)[-1] + 1, grid.size - 1)] for rate in rates]
    )


def main() -> None:
    """Follow the runs and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=300)
    n_runs = parser.parse_args().runs
    report(list(mapped(unalarmed, [Task(FITTING_SEED, k, False) for k in range(n_runs)])))


def report(runs: Sequence[NullRun]) -> None:
    """Print the levels, and which runs come highest."""
    n_frames = sum(one.n_frames for one in runs)
    n_learning = sum(int(one.is_learning.sum()) for one in runs)
    print(f"{len(runs)} runs, {n_frames} frames with beam, lines still told apart in {n_learning}")
    for kind in SeenIn:
        levels = levels_of(runs, kind, RATES_PER_10000)
        told = ", ".join(
            f"{rate:g}: {level:.2f}" for rate, level in zip(RATES_PER_10000, levels, strict=True)
        )
        often, seldom = levels_of(runs, kind, DRAWN_THROUGH)
        scale = (seldom - often) / np.log(DRAWN_THROUGH[0] / DRAWN_THROUGH[1])
        level = often - scale * np.log(1e4 / DRAWN_THROUGH[0])
        print(f"{kind}: risen above so often in 10,000 frames: {told}")
        n_all, n_learning = excursions(runs, kind, often)
        print(f"  {n_learning} of {n_all} times above {often:.2f} while lines were told apart")
        print(
            f"  drawn through {DRAWN_THROUGH[0]:g} and {DRAWN_THROUGH[1]:g}:"
            f" level {level:.2f}, scale {scale:.2f}"
        )
        for one in sorted(runs, key=lambda one: -one.evidence[kind].max())[:6]:
            evidence = one.evidence[kind]
            print(f"  {one.name}: {evidence.max():.1f} {int(evidence.argmax())} frames later")


if __name__ == "__main__":
    main()
