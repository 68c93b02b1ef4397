"""One answer from several orientations of one crystal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.estimation.answer_calibration import (
    SymmetrySets,
    calibrated_symmetry_sets,
    with_prefix,
    without_prefix,
)

_LEAST_PROBABILITY = 1e-9


@dataclass(frozen=True, slots=True)
class FrameFusion:
    """How much further frames of the same crystal say.

    Attributes
    ----------
    sameness : float
        0 if frames err independently, so that log probabilities add up; 1 if all err alike, so that
        only their mean counts: n frames weigh n^(1 - sameness).
    sets : SymmetrySets
        Calibrated on answers from three frames.
    """

    sameness: float
    sets: SymmetrySets

    def log_probabilities(self, probabilities: FloatArray, log_prior: FloatArray) -> FloatArray:
        """Return the answer (230,) from those of single frames (n_frames, 230).

        What is known before any frame (the prior) counts once.
        """
        return np.asarray(fused(probabilities[None], log_prior, self.sameness)[0])

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return what `from_arrays` needs."""
        return {"sameness": np.array([self.sameness]), **with_prefix("sets", self.sets.to_arrays())}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the fusion that `to_arrays` described."""
        sameness = float(np.asarray(arrays["sameness"], dtype=np.float64)[0])
        return cls(sameness, SymmetrySets.from_arrays(without_prefix("sets", arrays)))


def fused(probabilities: FloatArray, log_prior: FloatArray, sameness: float) -> FloatArray:
    """Return log probabilities (n_crystals, 230) from frames (n_crystals, n_frames, 230).

    Examples
    --------
    Two frames that each say 0.8 say 0.94 together if they err independently:

    >>> frames, even = np.array([[[0.8, 0.2], [0.8, 0.2]]]), np.log([0.5, 0.5])
    >>> np.exp(fused(frames, even, 0.0)).round(2), np.exp(fused(frames, even, 1.0)).round(2)
    (array([[0.94, 0.06]]), array([[0.8, 0.2]]))
    """
    gained = np.log(np.maximum(probabilities, _LEAST_PROBABILITY)) - log_prior
    weight = probabilities.shape[1] ** (1 - sameness)
    return np.asarray(log_softmax(log_prior + weight * gained.mean(axis=1), axis=1))


def fit_fusion(probabilities: FloatArray, labels: IntArray, log_prior: FloatArray) -> FrameFusion:
    """Return the fusion of frames that is least surprised by the truth.

    Parameters
    ----------
    probabilities : ndarray, shape (n_crystals, n_frames, 230)
        Of frames of held-out crystals in several orientations. One half of the crystals fits, the
        other calibrates the sets.
    labels : ndarray of int, shape (n_crystals,)
        Space group number less 1.
    """
    half = labels.size // 2
    rows = np.arange(half)

    def loss(sameness: float) -> float:
        log_p = fused(probabilities[:half], log_prior, sameness)
        return -float(log_p[rows, labels[:half]].mean())

    sameness = float(minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded").x)
    answers = np.exp(fused(probabilities[half:], log_prior, sameness))
    return FrameFusion(sameness, calibrated_symmetry_sets(answers, labels[half:]))
