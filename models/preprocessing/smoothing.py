"""Smoothing that does not reach into what was not measured."""

import numpy as np
from scipy.signal import savgol_filter

from phasepilot.models.arrays import BoolArray, FloatArray
from phasepilot.models.errors import PatternError
from phasepilot.models.preprocessing.gaps import bridged


def savitzky_golay(
    intensity: FloatArray, is_measured: BoolArray, *, n_window: int, polynomial_order: int
) -> FloatArray:
    """Return each bin's value on the polynomial fitted to the `n_window` bins around it.

    Gaps are bridged by straight lines first, so that lines beside a gap keep their height;
    unmeasured bins are given back as they came.

    Parameters
    ----------
    intensity, is_measured : ndarray, shape (n_patterns, n_bins)
        Each row measured somewhere.
    n_window : int
        Odd, above `polynomial_order`, at most `n_bins`.

    Raises
    ------
    PatternError
        If the window is even, too narrow for the polynomial or wider than the pattern.

    References
    ----------
    Savitzky & Golay, Anal. Chem. 36, 1627 (1964).

    Examples
    --------
    >>> parabola = np.arange(9.0)[None] ** 2
    >>> everything = np.ones((1, 9), dtype=bool)
    >>> smooth = savitzky_golay(parabola, everything, n_window=5, polynomial_order=2)
    >>> np.allclose(smooth, parabola)
    True
    """
    n_bins = intensity.shape[-1]
    if n_window % 2 == 0 or not polynomial_order < n_window <= n_bins:
        raise PatternError(
            f"n_window must be odd, above the polynomial's order ({polynomial_order}) and at most"
            f" the pattern's {n_bins} bins, but is {n_window}; take the nearest odd number between."
        )
    filled = bridged(intensity, is_measured)
    smooth = savgol_filter(filled, n_window, polynomial_order, axis=-1, mode="interp")
    return np.where(is_measured, smooth, intensity)
