"""Calibrates a network's answers on simulated measurements of structures that it never saw."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.special import log_softmax

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.errors import TrainingError
from phasepilot.models.estimation.answer_calibration import (
    NetworkCalibration,
    calibrated_symmetry_sets,
)
from phasepilot.models.uncertainty.laplace import (
    choose_prior_precision,
    laplace,
    layer_curvature,
)
from phasepilot.models.uncertainty.novelty import calibrate_novelty, prototypes_of
from phasepilot.models.uncertainty.temperature import fit_temperature

_N_PROTOTYPES = 300
_FEWEST = 8


@dataclass(frozen=True, slots=True)
class LabelledOutputs:
    """Outputs of a network for patterns whose space group is known.

    Attributes
    ----------
    logits : ndarray, shape (n_patterns, 230)
    embedding : ndarray, shape (n_patterns, n_features)
        What the last layer sees; no features for networks that do not tell.
    space_group_index : ndarray of int, shape (n_patterns,)
        Space group number less 1.
    """

    logits: FloatArray
    embedding: FloatArray
    space_group_index: IntArray


def fit_network(
    trained: LabelledOutputs,
    held_out: LabelledOutputs,
    *,
    log_prior: FloatArray,
    n_structures: int,
    rng: Generator,
) -> NetworkCalibration:
    """Return the calibration of a network.

    Parameters
    ----------
    trained : LabelledOutputs
        Some of the patterns that it was trained on: what it has seen.
    held_out : LabelledOutputs
        Of families that it was not trained on: how right it is. One half fits the temperature and
        the prior of the last layer, the other the sets and the ranks of novelty.
    log_prior : ndarray, shape (230,)
        How common the network takes each space group to be.
    n_structures : int
        That it was trained on; patterns of one structure say the same about the last layer.

    Raises
    ------
    TrainingError
        If there are too few patterns.
    """
    half = held_out.space_group_index.size // 2
    if half < _FEWEST:
        raise TrainingError(
            f"a calibration needs at least {2 * _FEWEST} held-out patterns, but there are"
            f" {held_out.space_group_index.size}; raise n_validation."
        )
    first, second = slice(None, half), slice(half, None)
    labels = held_out.space_group_index
    curvature = layer_curvature(trained.embedding, trained.logits, n_patterns=n_structures)
    precision = choose_prior_precision(
        curvature, held_out.logits[first], held_out.embedding[first], labels[first]
    )
    gaussian = laplace(curvature, prior_precision=precision)
    predictive = gaussian.predictive_logits(held_out.logits, held_out.embedding)
    temperature = fit_temperature(predictive[first], labels[first])
    probabilities = np.exp(log_softmax(predictive[second] / temperature, axis=1))
    n_prototypes = min(_N_PROTOTYPES, trained.embedding.shape[0])
    prototypes = prototypes_of(trained.embedding, n_prototypes=n_prototypes, rng=rng)
    return NetworkCalibration(
        temperature=temperature,
        log_prior=log_prior,
        laplace=gaussian,
        sets=calibrated_symmetry_sets(probabilities, labels[second]),
        novelty=calibrate_novelty(prototypes, held_out.logits[second], held_out.embedding[second]),
    )
