"""Fits the weights of the combination to patterns whose structure is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.errors import TrainingError
from phasepilot.models.estimation.combination import (
    N_FEATURES,
    N_GATE,
    N_SHARPNESS,
    N_SPACE_GROUPS,
    CombinationWeights,
    scores_and_share,
)
from phasepilot.models.estimation.evidence import CandidateEvidence

_PENALTY = 0.002
# A probability of 0 for the truth would rule out weights that are right but for one pattern.
_LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True, slots=True)
class KnownCase:
    """A pattern whose space group is known, and what is to be combined for it.

    Attributes
    ----------
    space_group_index : int
    network_log_probabilities : ndarray, shape (230,)
    candidates : CandidateEvidence
    pattern : ndarray, shape (n_pattern_features,)
    is_withheld : ndarray of bool, shape (n_candidates,)
        Candidates to be ignored, so that some samples are of no structure in the index.
    """

    space_group_index: int
    network_log_probabilities: FloatArray
    candidates: CandidateEvidence
    pattern: FloatArray
    is_withheld: BoolArray


def fit_combination(cases: Sequence[KnownCase]) -> CombinationWeights:
    """Return the weights that give the true space groups the largest likelihood.

    Raises
    ------
    TrainingError
        If there are no cases, or their numbers of candidates differ.
    """
    sizes = {case.candidates.structure.size for case in cases}
    if len(sizes) != 1:
        raise TrainingError(
            f"cases must have equally many candidates each, but have {sorted(sizes)}; search an"
            " index with more structures."
        )
    features = np.array([case.candidates.features for case in cases])
    quality = np.array([case.pattern for case in cases])
    flat = features.reshape(-1, N_FEATURES)
    mean, scale = flat.mean(axis=0), np.maximum(flat.std(axis=0), 1e-9)
    quality_mean, quality_scale = quality.mean(axis=0), np.maximum(quality.std(axis=0), 1e-9)
    inputs = (
        (features - mean) / scale,
        np.array([case.network_log_probabilities for case in cases]),
        np.array([case.candidates.space_group_index for case in cases]),
        (quality - quality_mean) / quality_scale,
        np.array([case.is_withheld for case in cases]),
    )
    truth = np.array([case.space_group_index for case in cases])

    def loss(parameters: FloatArray) -> float:
        together = _probabilities(parameters, *inputs)
        of_truth = together[np.arange(truth.size), truth]
        likelihood = np.log(of_truth + _LEAST_PROBABILITY).mean()
        return float(_PENALTY * (parameters**2).sum() - likelihood)

    start = np.concatenate([np.full(N_FEATURES, 0.7), [0.3], np.zeros(1 + N_GATE + N_SHARPNESS)])
    best = minimize(loss, start, method="L-BFGS-B").x
    gate_start = N_FEATURES + 2
    return CombinationWeights(
        feature_mean=tuple(mean.tolist()),
        feature_scale=tuple(scale.tolist()),
        pattern_mean=tuple(quality_mean.tolist()),
        pattern_scale=tuple(quality_scale.tolist()),
        candidate=tuple(best[:N_FEATURES].tolist()),
        network=float(best[N_FEATURES]),
        network_sharpness=float(np.exp(best[N_FEATURES + 1])),
        gate=tuple(best[gate_start : gate_start + N_GATE].tolist()),
        sharpness=tuple(best[gate_start + N_GATE :].tolist()),
    )


def _probabilities(
    parameters: FloatArray,
    features: FloatArray,
    log_probabilities: FloatArray,
    space_group_index: IntArray,
    quality: FloatArray,
    is_withheld: BoolArray,
) -> FloatArray:
    """Return what `combine` gives for many patterns at once, shape (n, 230)."""
    scores, share = scores_and_share(
        parameters, features, log_probabilities, space_group_index, quality, is_withheld
    )
    n = share.size
    flat = space_group_index + N_SPACE_GROUPS * np.arange(n)[:, None]
    searched = np.bincount(flat.ravel(), softmax(scores, axis=1).ravel(), n * N_SPACE_GROUPS)
    network = softmax(np.exp(parameters[N_FEATURES + 1]) * log_probabilities, axis=1)
    together = share[:, None] * searched.reshape(n, N_SPACE_GROUPS)
    return np.asarray(together + (1 - share[:, None]) * network)
