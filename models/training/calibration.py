"""Numbers fitted on held-out simulated patterns that turn a network's logits into probabilities."""

from collections.abc import Mapping

import numpy as np
from numpy.random import Generator
from scipy.special import log_softmax

from phasepilot.models.arrays import Array, FloatArray
from phasepilot.models.estimation.answer_calibration import NetworkCalibration
from phasepilot.models.estimation.network_fit import LabelledOutputs, fit_network
from phasepilot.models.uncertainty.temperature import fit_temperature


def fit_calibration(
    trained: LabelledOutputs,
    held_out: LabelledOutputs,
    *,
    log_prior: FloatArray,
    n_structures: int,
    rng: Generator,
) -> dict[str, Array]:
    """Return the arrays that go beside the weights, by name.

    Networks that tell what their last layer sees get all of `NetworkCalibration`; others only
    ``temperature`` (1,) and ``log_prior`` (230,).

    Parameters
    ----------
    trained, held_out, log_prior, n_structures
        As for `phasepilot.models.estimation.network_fit.fit_network`.
    """
    if not held_out.embedding.shape[1]:
        temperature = fit_temperature(held_out.logits, held_out.space_group_index)
        return {"temperature": np.array([temperature]), "log_prior": log_prior}
    calibration = fit_network(
        trained, held_out, log_prior=log_prior, n_structures=n_structures, rng=rng
    )
    return dict(calibration.to_arrays())


def calibrated_log_probabilities(
    outputs: LabelledOutputs, arrays: Mapping[str, Array]
) -> FloatArray:
    """Return log probabilities (n, 230) after a calibration by `fit_calibration`."""
    if outputs.embedding.shape[1]:
        calibration = NetworkCalibration.from_arrays(arrays)
        return calibration.log_probabilities(outputs.logits, outputs.embedding)
    return np.asarray(log_softmax(outputs.logits / arrays["temperature"], axis=1))
