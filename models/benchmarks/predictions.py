"""Estimates of many patterns, as arrays that measures can be taken of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray
from phasepilot.models.benchmarks.benchmark_result import Estimator, Progress
from phasepilot.models.errors import PatternError
from phasepilot.models.networks.estimate import PhaseEstimate
from phasepilot.models.networks.symmetry_levels import (
    crystal_system_probabilities,
    extinction_probabilities,
)
from phasepilot.models.pattern import Pattern
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS

N_SPACE_GROUPS = 230
# Patterns between two reports of progress.
_BATCH = 32


@dataclass(frozen=True, slots=True)
class Predictions:
    """What an estimator said of each of several patterns.

    Attributes
    ----------
    estimates : tuple of PhaseEstimate or None
        None where the estimator refused the pattern.
    """

    estimates: tuple[PhaseEstimate | None, ...]

    @property
    def space_groups(self) -> FloatArray:
        """Probabilities of space groups, shape (n_patterns, 230); all equal where refused."""
        nothing = np.full(N_SPACE_GROUPS, 1 / N_SPACE_GROUPS)
        rows = [nothing if one is None else one.space_group_probabilities for one in self.estimates]
        return np.array(rows)

    @property
    def crystal_systems(self) -> FloatArray:
        """Probabilities of crystal systems, shape (n_patterns, 7)."""
        return crystal_system_probabilities(self.space_groups)

    @property
    def extinction_classes(self) -> FloatArray:
        """Probabilities of extinction classes, shape (n_patterns, 97)."""
        return extinction_probabilities(self.space_groups)

    @property
    def crystal_system_sets(self) -> BoolArray:
        """Which systems are in the sets, shape (n_patterns, 7); all where refused."""
        rows = [
            np.ones(len(CRYSTAL_SYSTEMS), dtype=bool)
            if one is None
            else np.isin(CRYSTAL_SYSTEMS, one.crystal_system_set)
            for one in self.estimates
        ]
        return np.array(rows)

    @property
    def space_group_sets(self) -> BoolArray:
        """Which space groups are in the sets, shape (n_patterns, 230); all where refused."""
        numbers = np.arange(1, N_SPACE_GROUPS + 1)
        rows = [
            np.ones(N_SPACE_GROUPS, dtype=bool)
            if one is None
            else np.isin(numbers, one.space_group_set)
            for one in self.estimates
        ]
        return np.array(rows)

    @property
    def is_unknown(self) -> BoolArray:
        """Whether the verdict is "unknown", shape (n_patterns,); so it is where refused."""
        return np.array([one is None or not one.verdict.is_known for one in self.estimates])

    @property
    def novelty(self) -> FloatArray:
        """Novelty, shape (n_patterns,); 1 where refused: what cannot be read is not familiar."""
        return np.array([1.0 if one is None else one.novelty for one in self.estimates])


def predictions(
    estimator: Estimator, patterns: Sequence[Pattern], *, progress: Progress, step: str
) -> Predictions:
    """Return what the estimator says of the patterns, those it refuses included."""
    estimates: list[PhaseEstimate | None] = []
    for start in range(0, len(patterns), _BATCH):
        progress(step, start, len(patterns))
        estimates += _estimates(estimator, patterns[start : start + _BATCH])
    progress(step, len(patterns), len(patterns))
    return Predictions(tuple(estimates))


def _estimates(estimator: Estimator, patterns: Sequence[Pattern]) -> list[PhaseEstimate | None]:
    try:
        return list(estimator.predict_many(patterns))
    except PatternError:
        # One of them cannot be used; the others can.
        return [_estimate(estimator, pattern) for pattern in patterns]


def _estimate(estimator: Estimator, pattern: Pattern) -> PhaseEstimate | None:
    try:
        return estimator.predict(pattern)
    except PatternError:
        return None
