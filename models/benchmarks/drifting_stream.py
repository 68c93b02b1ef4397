"""Prediction sets on a stream that drifts from simulated to measured patterns.

Sets of crystal systems are calibrated on half of the simulated patterns. The stream is the other
half, then the measured patterns, both in random order; after each the truth becomes known. Fixed
sets keep their level, adaptive ones move it.
"""

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.benchmarks.benchmark_result import Figure
from phasepilot.models.benchmarks.metrics import figure_of_items
from phasepilot.models.benchmarks.symmetry_figures import Level
from phasepilot.models.uncertainty.adaptive_level import AdaptiveLevel
from phasepilot.models.uncertainty.conformal import ConformalSets, calibrate_sets

TARGET = 0.9


def drift_figures(simulated: Level, measured: Level, *, prefix: str, n_seeds: int) -> list[Figure]:
    """Return the coverage of fixed and of adaptive sets of the measured part of the stream."""
    fixed, adaptive = np.full((2, n_seeds, measured.truth.size), np.nan)
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        sets, before = _calibrated(simulated, rng)
        after = rng.permutation(measured.truth.size)
        probabilities = np.concatenate(
            [simulated.probabilities[before], measured.probabilities[after]]
        )
        truth = np.concatenate([simulated.truth[before], measured.truth[after]])
        fixed[seed, after] = _fixed_coverage(sets, probabilities, truth)[before.size :]
        adaptive[seed, after] = _adaptive_coverage(sets, probabilities, truth)[before.size :]
    drifted = "the true crystal system is in the set after a drift to measured patterns"
    return [
        figure_of_items(
            f"{prefix}stream_fixed_set_coverage", fixed, f"{drifted}, sets as calibrated"
        ),
        figure_of_items(
            f"{prefix}stream_adaptive_set_coverage",
            adaptive,
            f"{drifted}, level adapted to misses",
            goal="goal 0.88-0.92",
        ),
    ]


def _calibrated(simulated: Level, rng: Generator) -> tuple[ConformalSets, IntArray]:
    """Return sets calibrated on half of the patterns, and the other half."""
    order = rng.permutation(simulated.truth.size)
    half = order.size // 2
    sets = calibrate_sets(
        simulated.probabilities[order[:half]],
        simulated.truth[order[:half]],
        pool_of_class=np.zeros(simulated.probabilities.shape[1], dtype=np.int64),
    )
    return sets, order[half:]


def _fixed_coverage(sets: ConformalSets, probabilities: FloatArray, truth: IntArray) -> BoolArray:
    return np.asarray(sets.membership(probabilities, TARGET)[np.arange(truth.size), truth])


def _adaptive_coverage(
    sets: ConformalSets, probabilities: FloatArray, truth: IntArray
) -> BoolArray:
    level = AdaptiveLevel.start(TARGET)
    is_covered = np.zeros(truth.size, dtype=bool)
    for k, (row, label) in enumerate(zip(probabilities, truth, strict=True)):
        is_covered[k] = sets.membership(row, level.level)[label]
        level = level.updated(was_covered=bool(is_covered[k]))
    return is_covered
