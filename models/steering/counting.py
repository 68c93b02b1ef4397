"""What counts say for and against expectations, and what further counts would say.

Counts of a cell (a few neighbouring points, about the width of a line) are Poisson if the expected
number is known. It never is: texture, occupancies and backgrounds make calculated lines wrong by
tens of percent. An expectation that is itself gamma-distributed gives negative-binomial counts,
whose variance holds the model's error beside the counting noise.
"""

import numpy as np
from scipy.special import gammaln, xlogy

from phasepilot.models.arrays import FloatArray

# From this many gamma "degrees" on, a negative binomial is a Poisson to all digits that count, and
# the difference of two log-gammas would lose them.
_POISSON_FROM = 1e7
_LEAST_EXPECTED = 1e-9


def count_log_likelihood(
    counts: FloatArray, expected: FloatArray, model_variance: FloatArray
) -> FloatArray:
    """Return the log probability of counts, exact down to no counts at all.

    Poisson where `model_variance` is 0; else negative binomial of the same mean, with the variance
    ``expected + model_variance``.

    Parameters
    ----------
    counts, expected, model_variance : ndarray
        Of shapes that fit one another; counts need not be whole.

    Examples
    --------
    >>> zero = np.zeros(1)
    >>> count_log_likelihood(zero, np.array([3.0]), zero)
    array([-3.])
    """
    mean = np.maximum(expected, _LEAST_EXPECTED)
    poisson = xlogy(counts, mean) - mean - gammaln(counts + 1)
    shape = mean**2 / np.maximum(model_variance, mean**2 / _POISSON_FROM)
    binomial = (
        gammaln(counts + shape)
        - gammaln(shape)
        - gammaln(counts + 1)
        + shape * np.log1p(-mean / (shape + mean))
        + xlogy(counts, mean / (shape + mean))
    )
    return np.asarray(np.where(shape < _POISSON_FROM, binomial, poisson))


def separation(first: FloatArray, second: FloatArray, model_variance: FloatArray) -> FloatArray:
    """Return -ln of the Bhattacharyya coefficient between two expectations of counts.

    Without model error it is exact for Poisson counts: (sqrt a - sqrt b)^2 / 2. A model's error v
    makes the variance of the root of counts (1 + v / m) / 4 instead of 1/4, m the mean of both, and
    the separation that much smaller: since v grows as m^2, it saturates.

    References
    ----------
    Kailath, IEEE Trans. Commun. Technol. 15, 52 (1967), doi:10.1109/TCOM.1967.1089532: the
    coefficient and the bound on the probability of error that it gives.

    Examples
    --------
    >>> separation(np.array([9.0]), np.array([1.0]), np.zeros(1))
    array([2.])
    """
    mean = np.maximum((first + second) / 2, _LEAST_EXPECTED)
    apart = (np.sqrt(first) - np.sqrt(second)) ** 2 / 2
    return np.asarray(apart / (1 + model_variance / mean))


def error_bound(probabilities: FloatArray) -> float:
    """Return the sum over pairs of sqrt(p_a p_b): no less than the probability of error.

    Examples
    --------
    >>> round(error_bound(np.array([0.5, 0.5])), 9), error_bound(np.array([1.0, 0.0]))
    (0.5, 0.0)
    """
    roots = np.sqrt(probabilities)
    return float(max(0.0, (roots.sum() ** 2 - probabilities.sum()) / 2))
