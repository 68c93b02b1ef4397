"""Entropy of an answer, split into what the pattern leaves open and what the network does.

Of equally likely networks each has its own answer. Where all of them waver, the pattern itself does
not say more: count longer, or measure a wider range. Where each is sure of something else, training
lacked such patterns, and counting will not help.
"""

from dataclasses import dataclass

import numpy as np

from phasepilot.models.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class EntropySplit:
    """Entropy of one pattern's probabilities, in bits.

    Attributes
    ----------
    total : float
        The sum of the two others.
    aleatoric : float
        What the pattern leaves open, at least 0.
    epistemic : float
        What more training could settle, at least 0.
    """

    total: float
    aleatoric: float
    epistemic: float


def entropy_bits(probabilities: FloatArray) -> FloatArray:
    """Return the entropy in bits, shape (...,), of probabilities of shape (..., n_classes).

    Examples
    --------
    >>> float(entropy_bits(np.full(8, 1 / 8)))
    3.0
    """
    # 0 log 0 = 0. scipy.special.entr does the same in twice the time.
    log = np.log2(probabilities, where=probabilities > 0, out=np.zeros_like(probabilities))
    return np.asarray(-np.einsum("...c,...c->...", probabilities, log))


def split_entropy(probabilities: FloatArray, drawn: FloatArray) -> EntropySplit:
    """Return the entropy of an answer, split by what equally likely networks answer.

    The epistemic part is the mutual information of class and network: the entropy of the draws'
    mean, less their mean entropy. It cannot exceed the entropy of the answer, of which it is a
    part; where the answer rests on more than the network and is surer, it is cut to it.

    Parameters
    ----------
    probabilities : ndarray, shape (n_classes,)
        The answer.
    drawn : ndarray, shape (n_draws, n_classes)
        As from `LastLayerLaplace.drawn_probabilities`.

    References
    ----------
    Depeweg et al., ICML 2018, arXiv:1710.07283, equation 2; Houlsby et al., arXiv:1112.5745.

    Examples
    --------
    Two networks, each sure of another class:

    >>> split_entropy(np.array([0.5, 0.5]), np.eye(2))
    EntropySplit(total=1.0, aleatoric=0.0, epistemic=1.0)
    """
    total = float(entropy_bits(probabilities))
    mutual = float(entropy_bits(drawn.mean(axis=0)) - entropy_bits(drawn).mean())
    epistemic = min(max(mutual, 0.0), total)
    return EntropySplit(total, total - epistemic, epistemic)
