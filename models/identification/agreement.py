"""How well drawn phases together explain a pattern."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.optimize import nnls

from phasepilot.models.arrays import FloatArray
from phasepilot.models.identification.root_pattern import RootPattern

# Calculated intensities are off by factors of about 2: a difference of strength between lines that
# are there counts less than a line that should not be there or is missing altogether.
_STRENGTH_WEIGHT = 0.6
LARGEST_RATIO = 4.0
_NEIGHBOURHOOD_LOG_Q = 0.0106
_N_REWEIGHTINGS = 2
# Empty bins must not decide.
_SMALLEST_ROOT = 1e-3


@dataclass(frozen=True, slots=True)
class Agreement:
    """What phases explain of a pattern.

    Attributes
    ----------
    scales : ndarray, shape (n_phases,)
        Of the drawn phases; 0 for one that explains nothing that others do not.
    value : float
        1 for a pattern that is explained in full, 0 for one of which nothing is.
    unexplained : float
        Share of it that even lines of free strength would leave.
    """

    scales: FloatArray
    value: float
    unexplained: float


def agreement(pattern: RootPattern, drawn: FloatArray) -> Agreement:
    """Return how well phases explain the pattern, scaled by non-negative least squares.

    The sum of squares is that of the differences between roots. It has two parts: what lines of
    free strength at these places would leave (free within `LARGEST_RATIO`), and how much the
    strengths differ from the calculated, which counts `_STRENGTH_WEIGHT`.

    Parameters
    ----------
    drawn : ndarray, shape (n_phases, n_bins)
    """
    measured = np.where(pattern.is_measured, drawn, 0.0)
    scales = _scales(pattern, measured)
    calculated = scales @ measured
    free = calculated * strength_ratio(pattern, calculated, LARGEST_RATIO)
    roots, root_free = pattern.rooted(pattern.signal), pattern.rooted(free)
    total = float(roots @ roots)
    if total == 0.0:
        return Agreement(scales, 0.0, 1.0)
    unexplained = float(((roots - root_free) ** 2).sum()) / total
    strength = float(((root_free - pattern.rooted(calculated)) ** 2).sum()) / total
    return Agreement(scales, 1 - unexplained - _STRENGTH_WEIGHT * strength, unexplained)


def strength_ratio(pattern: RootPattern, calculated: FloatArray, largest: float) -> FloatArray:
    """Return measured over calculated intensity around each bin, within 1/largest to largest."""
    n_bins = 2 * round(_NEIGHBOURHOOD_LOG_Q / pattern.grid.bin_width / 2) + 1
    around = uniform_filter1d(np.stack([pattern.signal, calculated]), n_bins, axis=1)
    around = np.maximum(around, 1e-9)
    return np.asarray(np.clip(around[0] / around[1], 1 / largest, largest))


def _scales(pattern: RootPattern, drawn: FloatArray) -> FloatArray:
    """Return the scales that make the roots agree best.

    (sqrt y - sqrt m)^2 = (y - m)^2 / (sqrt y + sqrt m)^2: weighted least squares, whose weights
    follow from the last solution.
    """
    signal = pattern.signal
    sizes = drawn.sum(axis=1)
    scales = np.where(sizes > 0, signal.sum() / np.maximum(sizes, 1e-300) / len(sizes), 0.0)
    for _ in range(_N_REWEIGHTINGS):
        roots = np.sqrt(signal + pattern.softening) + np.sqrt(scales @ drawn + pattern.softening)
        roots = np.maximum(roots, _SMALLEST_ROOT)
        scales, _ = nnls((drawn / roots).T, signal / roots)
    return np.asarray(scales)
