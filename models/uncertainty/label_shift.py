"""Other class frequencies than those of training: corrected when known, estimated when not.

A network knows how common each class was among what it was trained on. At another beamline classes
are common or rare in another way, while a pattern of a given class looks the same: the label shift.
"""

import numpy as np

from phasepilot.models.arrays import FloatArray
from phasepilot.models.errors import ModelsError

_MAX_ITERATIONS = 1000
_CONVERGED = 1e-7


def adjust(
    log_probabilities: FloatArray, old_prior: FloatArray, new_prior: FloatArray
) -> FloatArray:
    """Return the log probabilities under another prior, by Bayes' rule.

    Parameters
    ----------
    log_probabilities : ndarray, shape (..., n_classes)
        Or logits: an added constant does not matter.
    old_prior, new_prior : ndarray, shape (n_classes,)
        Class frequencies in training, and where the answer is used. A class that is 0 in the new
        one is ruled out.

    Raises
    ------
    ModelsError
        If a prior is negative, not of this many classes, does not sum to 1, or the old one has a
        zero.

    References
    ----------
    Saerens, Latinne & Decaestecker, Neural Comput. 14, 21 (2002),
    doi:10.1162/089976602753284446, equation 2.4.

    Examples
    --------
    >>> even = np.log(np.array([0.5, 0.5]))
    >>> adjusted = adjust(even, np.array([0.5, 0.5]), np.array([0.9, 0.1]))
    >>> np.exp(adjusted).round(6)
    array([0.9, 0.1])
    """
    n_classes = log_probabilities.shape[-1]
    _check_prior("old_prior", old_prior, n_classes)
    _check_prior("new_prior", new_prior, n_classes)
    if (old_prior == 0).any():
        raise ModelsError(
            f"every class must have been seen in training, but old_prior is 0 for"
            f" {int((old_prior == 0).sum())} of {n_classes}; give those a small share."
        )
    with np.errstate(divide="ignore"):
        shifted = log_probabilities + np.log(new_prior) - np.log(old_prior)
    highest = shifted.max(axis=-1, keepdims=True)
    return np.asarray(
        shifted - highest - np.log(np.exp(shifted - highest).sum(axis=-1, keepdims=True))
    )


def estimate_prior(
    probabilities: FloatArray, old_prior: FloatArray, *, n_believed: float = 0.0
) -> FloatArray:
    """Return the class frequencies that best explain a batch of answers, by EM.

    Each round corrects the answers for the frequencies found so far and takes their mean as the
    next. It needs calibrated probabilities: what the network is too sure of becomes too common.
    For a stream, take the last some hundred frames again and again.

    Parameters
    ----------
    probabilities : ndarray, shape (n_patterns, n_classes)
        Under the old prior.
    old_prior : ndarray, shape (n_classes,)
    n_believed : float
        For how many patterns the old prior counts (a Dirichlet prior). With 0, the maximum of the
        likelihood, a handful of frames can rule out every class that they do not show.

    Returns
    -------
    ndarray, shape (n_classes,)

    Raises
    ------
    ModelsError
        As `adjust`.

    References
    ----------
    Saerens, Latinne & Decaestecker, Neural Comput. 14, 21 (2002),
    doi:10.1162/089976602753284446, equation 2.9.
    """
    _check_prior("old_prior", old_prior, probabilities.shape[-1])
    if (old_prior == 0).any():
        raise ModelsError("old_prior must be above 0 for every class; give each a small share.")
    likelihood = probabilities / old_prior
    prior = old_prior
    for _ in range(_MAX_ITERATIONS):
        joint = likelihood * prior
        joint /= joint.sum(axis=1, keepdims=True)
        counts = joint.sum(axis=0) + n_believed * old_prior
        found = counts / counts.sum()
        has_converged = np.abs(found - prior).max() < _CONVERGED
        prior = found
        if has_converged:
            break
    return np.asarray(prior)


def _check_prior(name: str, prior: FloatArray, n_classes: int) -> None:
    if prior.shape != (n_classes,) or (prior < 0).any() or abs(prior.sum() - 1) > 1e-6:
        raise ModelsError(
            f"{name} must be {n_classes} shares that sum to 1, but has shape {prior.shape},"
            f" lowest value {prior.min():g} and sum {prior.sum():g}; divide counts by their sum."
        )
