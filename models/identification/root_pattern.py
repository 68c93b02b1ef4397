"""Measured and calculated intensities on the scale on which they are compared.

Counting noise is even on the scale of square roots, and so are, roughly, the errors of calculated
intensities, which texture and imperfect structures make wrong by factors. Bins that hold nothing
but the noise of a background would still count for much on that scale; it is softened there.
"""

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray
from phasepilot.models.log_q import LogQGrid
from phasepilot.models.preprocessing.preparation import PreparedPattern

# Calculated lines are wrong by so much of the highest; what noise adds to that is soft.
_RELATIVE_ERROR = 0.03
_NOISE_WINDOW_BINS = 128
_NOISE_LAG_BINS = 3


@dataclass(frozen=True, slots=True)
class RootPattern:
    """The measured part of a pattern above background, and how its intensities are compared.

    Attributes
    ----------
    grid : LogQGrid
        From the first to the last measured bin.
    first_bin : int
        Of the pattern's own grid.
    signal : ndarray, shape (n_bins,)
        Intensity above background, the highest bin 1; 0 where unmeasured.
    softening : float
        Intensity below which differences count linearly.
    """

    grid: LogQGrid
    first_bin: int
    signal: FloatArray
    is_measured: BoolArray
    softening: float

    def rooted(self, intensity: FloatArray) -> FloatArray:
        """Return sqrt(intensity + softening) - sqrt(softening)."""
        roots = np.sqrt(intensity + self.softening)
        roots -= sqrt(self.softening)
        return roots

    def without(self, intensity: FloatArray) -> "RootPattern":
        """Return what is left of the signal when this is taken away, on the same scale."""
        return replace(self, signal=np.maximum(self.signal - intensity, 0.0))


def root_pattern(pattern: PreparedPattern) -> RootPattern:
    """Return a prepared pattern on a scale of 1; all zero if it has no signal."""
    highest = float(pattern.signal.max())
    scale = highest if highest > 0 else 1.0
    noise = noise_level(pattern.intensity, pattern.is_measured) / scale
    measured = np.flatnonzero(pattern.is_measured)
    span = slice(int(measured[0]), int(measured[-1]) + 1)
    edges = np.exp(pattern.grid.log_edges[[span.start, span.stop]])
    return RootPattern(
        grid=LogQGrid(float(edges[0]), float(edges[1]), span.stop - span.start),
        first_bin=span.start,
        signal=pattern.signal[span] / scale,
        is_measured=pattern.is_measured[span],
        softening=noise**2 / _RELATIVE_ERROR,
    )


def noise_level(intensity: FloatArray, is_measured: BoolArray) -> float:
    """Return the standard deviation of a bin's noise where there are few lines; 0 if unknown.

    From second differences, which a smooth background leaves small, by their median in windows, of
    which a quarter has less.
    """
    lag = _NOISE_LAG_BINS
    differences = intensity[2 * lag :] - 2 * intensity[lag:-lag] + intensity[: -2 * lag]
    is_known = is_measured[2 * lag :] & is_measured[lag:-lag] & is_measured[: -2 * lag]
    known = np.abs(differences[is_known])
    n_windows = known.size // _NOISE_WINDOW_BINS
    if n_windows == 0:
        return 0.0
    windows = known[: n_windows * _NOISE_WINDOW_BINS].reshape(n_windows, -1)
    # 1.4826 times the median of |x| is the deviation of normal x; 1, -2, 1 adds up to 6 variances.
    return float(np.quantile(np.median(windows, axis=1), 0.25) * 1.4826 / np.sqrt(6))
