"""Whether a detector stopped counting: more points share the highest intensity than noise allows.

Of points that reach the highest count M, most would as a rule have gone beyond. One that expects L
counts and reaches M stays at M with the probability P(X = M) / P(X >= M), the hazard of the Poisson
distribution: nearly 1 where M is far above L, about sqrt(2 / (pi M)) at L = M. The product over all
points at M is the probability that none of them went beyond, whether they lie side by side or on
lines far apart.
"""

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.special import gammainc

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray

# How often, at most, noise is taken for a detector that stopped counting.
FALSE_SATURATION_RATE = 1e-3
# Fewer points may share the highest intensity because a file repeats some.
_FEWEST_POINTS = 3
# The top of smooth, rounded numbers is flat too, but in few places.
_MANY_RUNS = 5
# Points on either side whose mean tells what to expect of one.
_N_BESIDE = 2
# A tie of numbers that are hardly rounded would else decide alone.
_LEAST_LOG_HAZARD = -4.0
# The noise is judged from this many triples of this many counts, or taken to be that of counts.
_FEWEST_TRIPLES, _FEWEST_COUNTS = 50, 5.0
# A quarter of squared standard normal deviates lie below this.
_QUARTER = 0.3186**2


def n_cut_off(intensity: FloatArray, highest_count: float) -> int:
    """Return how many points are cut off at the highest intensity; 0 if noise may have done it.

    Parameters
    ----------
    intensity : ndarray, shape (n_points,)
        As measured, raw counts or scaled; only points that were measured.
    highest_count : float
        What the highest intensity is in counts.

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson(20.0, size=2000).astype(float)
    >>> n_cut_off(counts, counts.max())
    0
    >>> bool(n_cut_off(np.minimum(counts, 28.0), 28.0) == (counts >= 28).sum())
    True
    """
    highest = float(intensity.max())
    is_highest = intensity == highest
    n_highest = int(is_highest.sum())
    if n_highest < _FEWEST_POINTS:
        return 0
    if n_highest == intensity.size:
        return n_highest  # noise never leaves all points equal
    counts = intensity * (highest_count / highest)
    counts = counts / _noise_per_count(counts, is_highest)
    # The highest of counts may come to lie at any of about their standard deviation of places.
    n_places = max(float(np.sqrt(counts.max())), 1.0)
    if _log_chance(counts, is_highest) > np.log(FALSE_SATURATION_RATE / n_places):
        return 0
    starts, stops = runs_of_true(is_highest)
    if starts.size < _MANY_RUNS and not _falls_off(intensity, starts, stops):
        return 0
    return n_highest


def runs_of_true(is_in: BoolArray) -> tuple[IntArray, IntArray]:
    """Return where runs of True start, and where they have stopped."""
    change = np.flatnonzero(np.diff(np.concatenate([[False], is_in, [False]]).astype(np.int8)))
    return change[::2], change[1::2]


def _log_chance(counts: FloatArray, is_highest: BoolArray) -> float:
    """Return the logarithm of the probability that all points that reach the top stay there."""
    highest = float(counts.max())
    n_window = 2 * _N_BESIDE + 1
    around = uniform_filter1d(counts, n_window)[is_highest]
    expected = np.maximum((n_window * around - highest) / (n_window - 1), 0.0)
    # Numbers that are rounded to steps of several counts tie more often.
    step = _smallest_step(counts)
    reaches, goes_beyond = gammainc(highest, expected), gammainc(highest + step, expected)
    ratio = np.divide(goes_beyond, reaches, out=np.zeros_like(reaches), where=reaches > 0)
    return float(np.log(np.maximum(1 - ratio, np.exp(_LEAST_LOG_HAZARD))).sum())


def _noise_per_count(counts: FloatArray, is_highest: BoolArray) -> float:
    """Return the variance of the noise over the mean, at most 1: means of frames have less.

    What is cut off has no noise to be judged by, and none is taken to have less than rounding.
    """
    mean = (counts[:-2] + counts[1:-1] + counts[2:]) / 3
    is_free = ~(is_highest[:-2] | is_highest[1:-1] | is_highest[2:]) & (mean > _FEWEST_COUNTS)
    if is_free.sum() < _FEWEST_TRIPLES:
        return 1.0
    bend = (counts[1:-1] - (counts[:-2] + counts[2:]) / 2)[is_free]
    noise = float(np.quantile(bend**2 / 1.5 / mean[is_free], 0.25)) / _QUARTER
    of_rounding = _smallest_step(counts) ** 2 / 12 / float(np.median(mean[is_free]))
    return min(max(noise, of_rounding), 1.0)


def _falls_off(intensity: FloatArray, starts: IntArray, stops: IntArray) -> bool:
    """Say whether intensity falls off steeply beside the longest flat top.

    As far outside as the flat top of smooth, rounded numbers is wide, a parabola lies at most 9 of
    their smallest steps lower.
    """
    longest = int((stops - starts).argmax())
    n_flat = int(stops[longest] - starts[longest])
    beside = [
        max(starts[longest] - n_flat - 1, 0),
        min(stops[longest] + n_flat, intensity.size - 1),
    ]
    return bool(intensity.max() - intensity[beside].min() > 12 * _smallest_step(intensity))


def _smallest_step(values: FloatArray) -> float:
    return float(np.diff(np.unique(values)).min())
