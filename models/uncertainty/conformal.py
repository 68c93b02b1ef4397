"""Sets of classes that hold the true one as often as stated, whatever the classifier.

A class is in the set when its probability reaches what all but a few patterns of its own kind
reached at calibration (split conformal prediction, least ambiguous sets). What is guaranteed, for
patterns that come about like the calibration patterns and for any classifier, however wrong:

- Classes with at least `min_patterns` calibration patterns have a threshold of their own. Of the
  patterns of such a class, at least the stated share are covered, on average over calibrations,
  and at most 1 / (n + 1) more. Class by class means that it holds for any class frequencies, so a
  beamline where other classes are common needs no new calibration.
- Rarer classes share one threshold with the other rare classes of their pool (the crystal system).
  It is guaranteed for the pool as a whole, at the class frequencies of calibration, not for each
  class in it.

Patterns from instruments or samples that the calibration patterns do not resemble are covered
without guarantee; see `phasepilot.models.uncertainty.adaptive_level` for streams that drift.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from phasepilot.models.arrays import BoolArray, Float32Array, FloatArray, IntArray
from phasepilot.models.errors import ModelsError
from phasepilot.models.uncertainty.temperature import check_labels

# Thresholds are kept for these levels; a level between two is taken as the higher one.
SET_LEVELS = np.arange(100, 200) / 200
# 100 patterns are the fewest whose quantiles reach 99 %. Of 50, 100 and 200, and thresholds for
# whole systems, 100 left the fewest classes more than 10 points below the level at sets 5 % larger
# than the last (simulated, 230 classes, level 0.9).
MIN_PATTERNS = 100


@dataclass(frozen=True, slots=True)
class ConformalSets:
    """Calibrated thresholds.

    Attributes
    ----------
    group_of_class : ndarray of int, shape (n_classes,)
        Which classes share a threshold.
    lowest_probability : ndarray, shape (n_groups, n_levels)
        A class of that group is in the set of that level (`SET_LEVELS`) from this probability on;
        0 where there were too few patterns to exclude anything.
    n_patterns : ndarray of int, shape (n_groups,)
        Calibration patterns of each group.
    """

    group_of_class: IntArray
    lowest_probability: Float32Array
    n_patterns: IntArray

    def membership(self, probabilities: FloatArray, level: float) -> BoolArray:
        """Return which classes are in the sets, shape (..., n_classes) like the probabilities.

        The most probable class always is, since an empty set would say that nothing is possible.
        Above the highest of `SET_LEVELS`, all are.

        Raises
        ------
        ModelsError
            If the level lies outside [0, 1], or the classes are not those of the calibration.
        """
        if not 0 <= level <= 1:
            raise ModelsError(
                f"a set's level must lie in [0, 1], but is {level:g};"
                " 0.9 asks for sets that hold the truth 9 times of 10."
            )
        if probabilities.shape[-1:] != self.group_of_class.shape:
            raise ModelsError(
                f"probabilities must be of the {self.group_of_class.size} classes that were"
                f" calibrated, but have shape {probabilities.shape}; calibrate this classifier."
            )
        # A hair less, so that 0.9 read from a file as 0.90000001 does not become 0.905.
        place = int(np.searchsorted(SET_LEVELS, level - 1e-6))
        if place == SET_LEVELS.size:
            return np.ones(probabilities.shape, dtype=bool)
        is_in = probabilities >= self.lowest_probability[self.group_of_class, place]
        return np.asarray(is_in | (probabilities == probabilities.max(axis=-1, keepdims=True)))

    def prediction_set(self, probabilities: FloatArray, level: float) -> IntArray:
        """Return the classes in one pattern's set, most probable first, shape (n_in_set,).

        Raises
        ------
        ModelsError
            As `membership`.
        """
        order = np.argsort(-probabilities, kind="stable")
        return np.asarray(order[self.membership(probabilities, level)[order]])

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return what `from_arrays` needs."""
        return {
            "group_of_class": self.group_of_class.astype(np.int16),
            "lowest_probability": self.lowest_probability,
            "n_patterns": self.n_patterns.astype(np.int32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the sets that `to_arrays` described."""
        return cls(
            np.asarray(arrays["group_of_class"], dtype=np.int64),
            np.asarray(arrays["lowest_probability"], dtype=np.float32),
            np.asarray(arrays["n_patterns"], dtype=np.int64),
        )


def calibrate_sets(
    probabilities: FloatArray,
    labels: IntArray,
    *,
    pool_of_class: IntArray,
    min_patterns: int = MIN_PATTERNS,
) -> ConformalSets:
    """Return sets calibrated on patterns that the classifier was neither trained nor tuned on.

    Parameters
    ----------
    probabilities : ndarray, shape (n_patterns, n_classes)
    labels : ndarray of int, shape (n_patterns,)
        The true classes, counted from 0.
    pool_of_class : ndarray of int, shape (n_classes,)
        With which others a rare class is pooled, fixed before looking at any answer: the crystal
        system for space groups, all zeros for crystal systems.
    min_patterns : int
        Classes with fewer are pooled; so are pools with fewer, all into one.

    Raises
    ------
    TrainingError
        If labels and probabilities do not fit each other.

    References
    ----------
    Split conformal: Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World (2005), with
    a taxonomy of classes (Mondrian). Least ambiguous sets: Sadinle, Lei & Wasserman, J. Am. Stat.
    Assoc. 114, 223 (2019), doi:10.1080/01621459.2017.1395341. Rare classes pooled: Ding et al.,
    NeurIPS 2023, arXiv:2306.09335, who cluster by the scores; pools that are fixed beforehand need
    no calibration patterns of their own. Scores that sum probabilities (APS, RAPS) gave sets
    15 to 50 % larger at the same coverage when the classifier was good, as large when it was poor.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = rng.integers(2, size=2000)
    >>> right = rng.uniform(0.3, 1.0, size=2000)
    >>> probabilities = np.where(labels[:, None] == [0, 1], right[:, None], 1 - right[:, None])
    >>> sets = calibrate_sets(probabilities, labels, pool_of_class=np.zeros(2, dtype=int))
    >>> sets.prediction_set(np.array([0.6, 0.4]), level=0.9)
    array([0, 1])
    >>> sets.prediction_set(np.array([0.8, 0.2]), level=0.9)
    array([0])
    """
    check_labels(probabilities, labels)
    groups = _groups(labels, pool_of_class, min_patterns)
    true_probability = probabilities[np.arange(labels.size), labels]
    n_groups = int(groups.max()) + 1
    lowest = np.zeros((n_groups, SET_LEVELS.size), dtype=np.float32)
    n_patterns = np.zeros(n_groups, dtype=np.int64)
    for group in range(n_groups):
        reached = np.sort(true_probability[groups[labels] == group])[::-1]
        n_patterns[group] = reached.size
        # The rank that makes the guarantee exact for n + 1 exchangeable patterns.
        rank = np.ceil((reached.size + 1) * SET_LEVELS - 1e-9).astype(np.int64)
        has_rank = rank <= reached.size
        # Rounding to single precision must not exclude the pattern that set the threshold.
        lowest[group, has_rank] = np.nextafter(
            reached[rank[has_rank] - 1].astype(np.float32), np.float32(0)
        )
    return ConformalSets(groups, lowest, n_patterns)


def _groups(labels: IntArray, pool_of_class: IntArray, min_patterns: int) -> IntArray:
    """Return the group of each class, shape (n_classes,), from label counts alone."""
    n_classes = pool_of_class.size
    counts = np.bincount(labels, minlength=n_classes)
    is_rare = counts < min_patterns
    pool_counts = np.bincount(pool_of_class[is_rare], counts[is_rare], pool_of_class.max() + 1)
    is_small = pool_counts[pool_of_class] < min_patterns
    pooled = np.where(is_small, n_classes + pool_counts.size, n_classes + pool_of_class)
    own_or_pooled = np.where(is_rare, pooled, np.arange(n_classes))
    return np.asarray(np.unique(own_or_pooled, return_inverse=True)[1], dtype=np.int64)
