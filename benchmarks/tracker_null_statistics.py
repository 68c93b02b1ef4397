"""How often noise and nuisances alone reach a statistic of the tracker, and the tail that fits it.

    python benchmarks/tracker_null_statistics.py [--runs 300]

Null runs of the compression benchmark, with seeds that it does not report, are followed with alarms
switched off. The number of times that the statistic rises above t falls about as
exp(-(t - level) / scale); the last line draws that through the counts at 10 and at 3 in 10,000
frames. NULL_LEVEL and NULL_SCALE in models/tracking/change_statistic.py are less steep, as a
comment there says: beyond, a few coincidences make a longer tail.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.compression import FITTING_SEED
from phasepilot.models.benchmarks.compression_following import (
    FollowedRun,
    Task,
    benchmark_settings,
    followed_runs,
)

RATES_PER_10000 = (100.0, 30.0, 10.0, 3.0, 1.0)


def excursions(runs: Sequence[FollowedRun], level: float) -> int:
    """Return how many times the statistic rises above a level."""
    n_first = benchmark_settings().learning_frames
    return sum(
        int((np.diff((one.statistic[n_first:] >= level).astype(int), prepend=0) == 1).sum())
        for one in runs
    )


def levels_of(runs: Sequence[FollowedRun], rates: Sequence[float]) -> FloatArray:
    """Return the lowest levels that are risen above no more often than each rate."""
    n_frames = sum(int((~one.is_lost).sum()) for one in runs)
    grid = np.arange(3.0, 80.0, 0.1)
    found = np.array([excursions(runs, float(level)) for level in grid]) * 1e4 / n_frames
    return np.array([grid[np.flatnonzero(found <= rate)[0]] for rate in rates])


def main() -> None:
    """Print the levels, for all runs and for halves of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=300)
    n_runs = parser.parse_args().runs
    settings = replace(benchmark_settings(), alarm_probability=2.0)
    tasks = [Task(FITTING_SEED, number, False) for number in range(n_runs)]
    runs = followed_runs(tasks, settings=settings, with_baselines=False)
    for name, part in (("all", runs), ("even", runs[::2]), ("odd", runs[1::2])):
        levels = levels_of(part, RATES_PER_10000)
        told = ", ".join(
            f"{rate:g}: {level:.1f}" for rate, level in zip(RATES_PER_10000, levels, strict=True)
        )
        print(f"{name} ({len(part)} runs), statistic risen above so often in 10,000 frames: {told}")
    at_ten, at_three = levels_of(runs, (10.0, 3.0))
    scale = (at_three - at_ten) / np.log(10 / 3)
    print(f"drawn through 10 and 3: level {at_ten - scale * np.log(1e3):.2f}, scale {scale:.2f}")
    for one in sorted(runs, key=lambda one: -one.statistic[8:].max())[:12]:
        at = int(one.statistic[8:].argmax()) + 8
        print(
            f"  {one.material}, {one.peak_counts:.0f} counts, run {one.task.number}:"
            f" {one.statistic[8:].max():.1f} in frame {at}"
        )


if __name__ == "__main__":
    main()
