"""What a network sees of a cake: roots of what stands above the background, and a mask."""

import numpy as np
from scipy.ndimage import grey_opening, uniform_filter1d

from phasepilot.models.arrays import BoolArray, Float32Array

# Of cells along ln q: rings that are wider than this count as background.
_WIDEST_RING_BINS = 17
# Roots above so many times the mean root, each weighted by itself, say no more.
_LARGEST = 6.0


def cake_input(signal: Float32Array, is_measured: BoolArray) -> Float32Array:
    """Return the input of a cake network, shape (2, n_chi, n_bins).

    The root makes the noise of counts alike everywhere. It is in units of its own mean, weighted
    by itself: an empty cell does not change the unit.

    Parameters
    ----------
    signal : ndarray, shape (n_chi, n_bins)
        Sums over cells, as `cake_grid.cake_on_grid` returns them.
    """
    background = radial_background(signal, is_measured)
    above = np.maximum(signal - background, 0) if background.any() else np.maximum(signal, 0)
    return scaled_roots(above, is_measured)


def scaled_roots(above: Float32Array, is_measured: BoolArray) -> Float32Array:
    """Return the same for what stands above the background already, nothing of it below 0."""
    result = np.empty((2, *above.shape), dtype=np.float32)
    root = result[0]
    np.sqrt(above, out=root)
    root *= is_measured
    total = float(root.sum(dtype=np.float64))
    flat = root.ravel()
    unit = float(np.vdot(flat, flat)) / total if total > 0 else 1.0
    root *= np.float32(1 / unit)
    np.minimum(root, np.float32(_LARGEST), out=root)
    result[1] = is_measured
    return result


def radial_background(signal: Float32Array, is_measured: BoolArray) -> Float32Array:
    """Return what lies under rings and spots, shape (n_bins,).

    The median over the azimuth does not see spots; an opening along ln q takes rings away.
    """
    n_measured = is_measured.sum(axis=0)
    middle = np.maximum(n_measured - 1, 0) // 2
    n_counting = np.count_nonzero((signal > 0) & is_measured, axis=0)
    if (n_counting < n_measured - middle).all():  # as on images without background
        return np.zeros(signal.shape[1], dtype=np.float32)
    ordered = np.where(is_measured, signal, np.float32(np.inf)).T.copy()
    ordered.sort(axis=1)
    median = ordered[np.arange(middle.size), middle]
    known = np.flatnonzero(n_measured)
    profile = np.interp(np.arange(median.size), known, median[known])
    opened = grey_opening(profile, size=_WIDEST_RING_BINS, mode="nearest")
    smooth = uniform_filter1d(opened, _WIDEST_RING_BINS // 2, mode="nearest")
    return np.asarray(np.minimum(smooth, profile), dtype=np.float32)
