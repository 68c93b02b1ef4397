"""What each part of a pattern adds to the answer of a network, exactly.

A network of convolutions, rectifiers and dense layers is affine between the kinks of its
rectifiers: a logit is z = sum_i x_i dz/dx_i + intercept, without remainder, where x_i are the
values of the input. The terms of the sum are the attribution ("gradient times input"); the
intercept is what the biases add.

References
----------
Ancona et al., ICLR 2018 (arXiv:1711.06104), section 3: gradient times input among other ways.
"""

from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import Float32Array, FloatArray
from phasepilot.models.errors import ModelsError
from phasepilot.models.networks.network_session import PREDICTED_CLASS, NetworkSession

N_SPACE_GROUPS = 230


@dataclass(frozen=True, slots=True)
class Attribution:
    """A sum of logits, taken apart into what the input's values add to it.

    Attributes
    ----------
    contributions : ndarray, shape (n_channels, n_bins)
        Of the intensity (channel 0) and of having been measured (channel 1) in each bin.
    total : float
        The logit, or difference of logits, that is explained.
    """

    contributions: FloatArray
    total: float

    @property
    def of_bins(self) -> FloatArray:
        """What each bin adds, both channels together, shape (n_bins,)."""
        return np.asarray(self.contributions.sum(axis=0))

    @property
    def intercept(self) -> float:
        """What the biases add, through the rectifiers that this pattern opens."""
        return self.total - float(self.contributions.sum())


def class_weights(space_group_number: int, *, against: int | None = None) -> Float32Array:
    """Return weights whose sum over logits is that of a space group, shape (1, 230).

    Parameters
    ----------
    against : int, optional
        Number of a space group whose logit is subtracted: why one and not the other. The
        exponential of this difference is the ratio of their probabilities.

    Raises
    ------
    ModelsError
        If a number is not from 1 to 230, or both are the same.

    Examples
    --------
    >>> np.flatnonzero(class_weights(225, against=221)) + 1
    array([221, 225])
    """
    for number in (space_group_number, against):
        if number is not None and not 1 <= number <= N_SPACE_GROUPS:
            raise ModelsError(
                f"a space group must be a number from 1 to {N_SPACE_GROUPS}, but is {number};"
                " take the number of the International Tables."
            )
    if space_group_number == against:
        raise ModelsError(
            f"a space group must be set against another, but both are {against}; choose two."
        )
    weights = np.zeros((1, N_SPACE_GROUPS), dtype=np.float32)
    weights[0, space_group_number - 1] = 1
    if against is not None:
        weights[0, against - 1] = -1
    return weights


def attribute(
    network: NetworkSession, inputs: Float32Array, weights: Float32Array = PREDICTED_CLASS
) -> Attribution:
    """Return what the values of one pattern add to a sum of logits.

    Parameters
    ----------
    inputs : ndarray, shape (n_channels, n_bins)
        The pattern as `network_input` prepares it.
    weights : ndarray, shape (1, 230)
        Of the logits, from `class_weights`; by default the logit of the most probable space group.
    """
    outputs = network.run(inputs[None], weights)
    logits = outputs.space_group_logits[0].astype(np.float64)
    total = float(weights[0] @ logits) if weights.any() else float(logits.max())
    return Attribution(outputs.attribution[0].astype(np.float64), total)
