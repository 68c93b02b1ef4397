"""One number that makes a classifier's probabilities as frequent as they say, and how well it does.

A network that is trained to be right is too sure of itself where it is wrong. Dividing its logits
by a temperature, fitted to patterns that it has never seen, leaves every ranking as it is.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.errors import TrainingError

# Far beyond any network; a fit that ends at a bound says that the logits are useless.
_LOWEST, _HIGHEST = 0.02, 50.0
_SMALLEST_PROBABILITY = 1e-12


def fit_temperature(
    logits: FloatArray, labels: IntArray, *, class_weights: FloatArray | None = None
) -> float:
    """Return the temperature T for which softmax(logits / T) has the smallest log loss.

    Parameters
    ----------
    logits : ndarray, shape (n_patterns, n_classes)
    labels : ndarray of int, shape (n_patterns,)
        The true classes, counted from 0.
    class_weights : ndarray, shape (n_classes,), optional
        What a pattern of each class counts: the class frequencies that are expected in use, over
        those among the labels.

    Raises
    ------
    TrainingError
        If the shapes do not fit, or a label is not the number of a class.

    References
    ----------
    Guo et al., ICML 2017, arXiv:1706.04599, section 4.2.

    Examples
    --------
    Logits that say 0.88 where 3 of 4 are right are cooled down to say 0.75:

    >>> logits = np.tile([2.0, 0.0], (4, 1))
    >>> temperature = fit_temperature(logits, np.array([0, 0, 0, 1]))
    >>> round(float(np.exp(log_softmax(logits[0] / temperature)[0])), 4)
    0.75
    """
    check_labels(logits, labels)
    weights = np.ones(labels.size) if class_weights is None else class_weights[labels]
    rows = np.arange(labels.size)

    # The loss is convex in 1 / T, hence has one minimum in log T too.
    def loss(log_temperature: float) -> float:
        log_likelihood = log_softmax(logits * np.exp(-log_temperature), axis=1)[rows, labels]
        return -float(weights @ log_likelihood)

    fit = minimize_scalar(
        loss, bounds=(np.log(_LOWEST), np.log(_HIGHEST)), method="bounded", options={"xatol": 1e-5}
    )
    return float(np.exp(fit.x))


def log_loss(probabilities: FloatArray, labels: IntArray) -> float:
    """Return the mean of -ln p(true class), in nats.

    Probabilities below 1e-12 count as 1e-12, so that one impossible label does not hide the rest.

    Raises
    ------
    TrainingError
        As `fit_temperature`.

    Examples
    --------
    >>> round(log_loss(np.array([[0.5, 0.5]]), np.array([0])), 4)
    0.6931
    """
    check_labels(probabilities, labels)
    true = probabilities[np.arange(labels.size), labels]
    return -float(np.log(np.maximum(true, _SMALLEST_PROBABILITY)).mean())


def expected_calibration_error(
    probabilities: FloatArray, labels: IntArray, *, n_bins: int = 15
) -> float:
    """Return the mean difference between how sure and how right the answers are.

    Patterns are sorted by the probability of their best class and cut into bins of equal numbers;
    in each, the mean of these probabilities is compared with the share that is right. A perfectly
    calibrated classifier still gets about 0.8 sqrt(p (1 - p) n_bins / n_patterns), p being its
    accuracy: some 0.05 for 900 patterns, by chance alone.

    Raises
    ------
    TrainingError
        As `fit_temperature`, and if there are fewer patterns than bins.

    References
    ----------
    Naeini et al., AAAI 2015; bins of equal mass: Nixon et al., arXiv:1904.01685.

    Examples
    --------
    >>> sure = np.tile([0.9, 0.1], (20, 1))
    >>> labels = np.array([0] * 12 + [1] * 8)
    >>> round(expected_calibration_error(sure, labels, n_bins=1), 6)
    0.3
    """
    check_labels(probabilities, labels)
    if labels.size < n_bins:
        raise TrainingError(
            f"a calibration error needs at least one pattern a bin, but there are {labels.size}"
            f" patterns for {n_bins} bins; give more patterns or fewer bins."
        )
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == labels
    gap = (is_right - confidence)[np.argsort(confidence, kind="stable")]
    return float(sum(abs(part.sum()) for part in np.array_split(gap, n_bins)) / labels.size)


def check_labels(scores: FloatArray, labels: IntArray) -> None:
    """Raise TrainingError unless there is one class number for each row of scores."""
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or not labels.size:
        raise TrainingError(
            f"logits or probabilities must have shape (n_patterns, n_classes) and labels"
            f" (n_patterns,), but have {scores.shape} and {labels.shape}; give one label a row."
        )
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= scores.shape[1]:
        raise TrainingError(
            f"labels must be whole numbers from 0 to {scores.shape[1] - 1}, but are {labels.dtype}"
            f" from {labels.min()} to {labels.max()}; space group k is class k - 1."
        )
