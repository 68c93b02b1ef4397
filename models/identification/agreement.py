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
    return agreement_with(sought(pattern), drawn)


@dataclass(frozen=True, slots=True)
class Sought:
    """What a pattern has that any number of mixtures are compared with.

    Attributes
    ----------
    pattern : RootPattern
    roots : ndarray, shape (n_bins,)
        Of its signal.
    total : float
        Their sum of squares.
    around : ndarray, shape (n_bins,)
        Mean signal around each bin.
    """

    pattern: RootPattern
    roots: FloatArray
    total: float
    around: FloatArray


def sought(pattern: RootPattern) -> Sought:
    """Return what `agreement_with` needs of a pattern."""
    roots = pattern.rooted(pattern.signal)
    return Sought(pattern, roots, float(roots @ roots), _around(pattern, pattern.signal))


def agreement_with(of: Sought, drawn: FloatArray) -> Agreement:
    """Return what `agreement` does, of a pattern that many mixtures are compared with."""
    pattern = of.pattern
    measured = drawn if pattern.is_measured.all() else np.where(pattern.is_measured, drawn, 0.0)
    scales = _scales(pattern, measured)
    if of.total == 0.0:
        return Agreement(scales, 0.0, 1.0)
    calculated = scales @ measured
    free = calculated * strength_ratio_to(of, calculated, LARGEST_RATIO)
    root_free = pattern.rooted(free)
    missing, change = of.roots - root_free, root_free - pattern.rooted(calculated)
    unexplained = float(missing @ missing) / of.total
    strength = float(change @ change) / of.total
    return Agreement(scales, 1 - unexplained - _STRENGTH_WEIGHT * strength, unexplained)


def strength_ratio(pattern: RootPattern, calculated: FloatArray, largest: float) -> FloatArray:
    """Return measured over calculated intensity around each bin, within 1/largest to largest."""
    return strength_ratio_to(sought(pattern), calculated, largest)


def strength_ratio_to(of: Sought, calculated: FloatArray, largest: float) -> FloatArray:
    """Return what `strength_ratio` does, of a pattern that is asked for many times."""
    ratio = of.around / _around(of.pattern, calculated)
    return np.minimum(np.maximum(ratio, 1 / largest), largest)


def _around(pattern: RootPattern, intensity: FloatArray) -> FloatArray:
    """Return the mean intensity around each bin, nowhere 0."""
    n_bins = 2 * round(_NEIGHBOURHOOD_LOG_Q / pattern.grid.bin_width / 2) + 1
    return np.asarray(np.maximum(uniform_filter1d(intensity, n_bins), 1e-9))


def _scales(pattern: RootPattern, drawn: FloatArray) -> FloatArray:
    """Return the scales that make the roots agree best.

    (sqrt y - sqrt m)^2 = (y - m)^2 / (sqrt y + sqrt m)^2: weighted least squares, whose weights
    follow from the last solution.
    """
    signal = pattern.signal
    sizes = drawn.sum(axis=1)
    scales = np.where(sizes > 0, signal.sum() / np.maximum(sizes, 1e-300) / len(sizes), 0.0)
    signal_roots = np.sqrt(signal + pattern.softening)
    for _ in range(_N_REWEIGHTINGS):
        roots = signal_roots + np.sqrt(scales @ drawn + pattern.softening)
        roots = np.maximum(roots, _SMALLEST_ROOT, out=roots)
        weighted, target = drawn / roots, signal / roots
        if len(drawn) == 1:
            square = float(weighted[0] @ weighted[0])
            scales = np.array([float(weighted[0] @ target) / square if square > 0 else 0.0])
            continue
        scales, _ = nnls(weighted.T, target)
    return np.asarray(scales)
