"""How much weight the network and each known structure get in the common answer.

A candidate's score is linear in how it fits and in what the network thinks of its space group; a
softmax over candidates, summed by space group, is the search's answer. It is mixed with the
network's by a gate that opens the better the best candidate fits. Both the gate and the sharpness
of the softmax depend on noise and range of the pattern, so that the answer stays calibrated on
patterns that are better, or worse, than the average one that calibrated it.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator
from scipy.special import expit, softmax

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.estimation.evidence import (
    CANDIDATE_FEATURES,
    PATTERN_FEATURES,
    CandidateEvidence,
)

N_SPACE_GROUPS = 230
# Of the best candidate, next to a constant and the pattern's features.
_GATE_FEATURES = (
    CANDIDATE_FEATURES.index("cosine"),
    CANDIDATE_FEATURES.index("fine_cosine"),
    CANDIDATE_FEATURES.index("search_score"),
)
_LARGEST_LOG_SHARPNESS = 1.5
N_FEATURES = len(CANDIDATE_FEATURES)
N_GATE = 1 + len(_GATE_FEATURES) + len(PATTERN_FEATURES)
N_SHARPNESS = 1 + len(PATTERN_FEATURES)


class CombinationWeights(BaseModel):
    """Numbers fitted on simulated patterns of structures that the network never saw.

    Attributes
    ----------
    feature_mean, feature_scale : tuple of float
        Of `CANDIDATE_FEATURES`; they are standardised by these.
    pattern_mean, pattern_scale : tuple of float
        Of `PATTERN_FEATURES`.
    candidate : tuple of float
        Weight of each standardised feature in a candidate's score.
    network : float
        Weight of the network's log probability of the candidate's space group.
    network_sharpness : float
        Power that the network's own probabilities are raised to.
    gate : tuple of float
        Constant, features of the best candidate, features of the pattern.
    sharpness : tuple of float
        Of the scores: cosine of the best candidate, features of the pattern.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    feature_mean: tuple[float, ...]
    feature_scale: tuple[float, ...]
    pattern_mean: tuple[float, ...]
    pattern_scale: tuple[float, ...]
    candidate: tuple[float, ...]
    network: float
    network_sharpness: float
    gate: tuple[float, ...]
    sharpness: tuple[float, ...]

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        expected = {
            "feature_mean": N_FEATURES,
            "feature_scale": N_FEATURES,
            "pattern_mean": len(PATTERN_FEATURES),
            "pattern_scale": len(PATTERN_FEATURES),
            "candidate": N_FEATURES,
            "gate": N_GATE,
            "sharpness": N_SHARPNESS,
        }
        for name, length in expected.items():
            if len(getattr(self, name)) != length:
                raise ValueError(f"{name} must have {length} numbers")
        return self


@dataclass(frozen=True, slots=True)
class CombinedAnswer:
    """What network and search say together.

    Attributes
    ----------
    space_group_probabilities : ndarray, shape (230,)
    candidate_probabilities : ndarray, shape (n_candidates,)
        Of each candidate being the phase, given that one of them is.
    search_share : float
        Weight of the candidates in the answer, 0 to 1; the network has the rest.
    """

    space_group_probabilities: FloatArray
    candidate_probabilities: FloatArray
    search_share: float


def combine(
    weights: CombinationWeights,
    network_log_probabilities: FloatArray,
    candidates: CandidateEvidence,
    pattern: FloatArray,
    *,
    is_excluded: BoolArray | None = None,
) -> CombinedAnswer:
    """Return the common answer of network and search; of the network if there is no candidate.

    Parameters
    ----------
    network_log_probabilities : ndarray, shape (230,)
        All equal when the network is switched off.
    pattern : ndarray, shape (n_pattern_features,)
        `PATTERN_FEATURES`.
    is_excluded : ndarray of bool, shape (n_candidates,), optional
        Candidates that get nothing.
    """
    network = softmax(weights.network_sharpness * network_log_probabilities)
    if not candidates.structure.size:
        return CombinedAnswer(network, np.zeros(0), 0.0)
    if is_excluded is None:
        is_excluded = np.zeros(candidates.structure.size, dtype=bool)
    features = (candidates.features - weights.feature_mean) / np.array(weights.feature_scale)
    quality = (pattern - weights.pattern_mean) / np.array(weights.pattern_scale)
    parameters = np.concatenate(
        [
            weights.candidate,
            [weights.network, np.log(weights.network_sharpness)],
            weights.gate,
            weights.sharpness,
        ]
    )
    scores, share = scores_and_share(
        parameters,
        features[None],
        network_log_probabilities[None],
        candidates.space_group_index[None],
        quality[None],
        is_excluded[None],
    )
    of_candidates = softmax(scores[0])
    searched = np.bincount(candidates.space_group_index, of_candidates, N_SPACE_GROUPS)
    together = share[0] * searched + (1 - share[0]) * network
    return CombinedAnswer(together, of_candidates, float(share[0]))


def scores_and_share(
    parameters: FloatArray,
    features: FloatArray,
    log_probabilities: FloatArray,
    space_group_index: IntArray,
    quality: FloatArray,
    is_excluded: BoolArray,
) -> tuple[FloatArray, FloatArray]:
    """Return scores of candidates (n, n_candidates) and weights of the search (n,), of n patterns.

    Parameters
    ----------
    parameters : ndarray
        Weights of the candidates' features, of the network, logarithm of its sharpness, gate,
        sharpness, one behind the other.
    features : ndarray, shape (n, n_candidates, n_features)
        Standardised, as is `quality`, shape (n, n_pattern_features).
    is_excluded : ndarray of bool, shape (n, n_candidates)
    """
    gate_start = N_FEATURES + 2
    gate = parameters[gate_start : gate_start + N_GATE]
    sharpness = parameters[gate_start + N_GATE :]
    opinion = np.take_along_axis(log_probabilities, space_group_index, axis=1)
    scores = features @ parameters[:N_FEATURES] + parameters[N_FEATURES] * opinion
    scores = np.where(is_excluded, -1e9, scores)
    best = features[np.arange(features.shape[0]), scores.argmax(axis=1)][:, list(_GATE_FEATURES)]
    described = np.column_stack([np.ones(best.shape[0]), best, quality])
    exponent = np.column_stack([best[:, :1], quality]) @ sharpness
    scale = np.exp(np.clip(exponent, -_LARGEST_LOG_SHARPNESS, _LARGEST_LOG_SHARPNESS))
    return np.asarray(scores * scale[:, None]), np.asarray(expit(described @ gate))
