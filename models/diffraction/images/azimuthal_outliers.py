"""Spots of single crystals (diamond anvils, gasket, large grains) among the rings of a powder.

A powder sends as much to every azimuth, a single crystal to one: a cell of the polar image that is
far above the median of its ring belongs to a spot. What is usual on a ring is taken from the ring
itself, so that the uneven rings of a coarse or textured powder are not taken for spots.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, label

from phasepilot.models.arrays import BoolArray, Float32Array, IntArray
from phasepilot.models.diffraction.images.frame_reduction import PolarImage

# Median absolute deviation of a normal distribution, in standard deviations.
_MAD_PER_SIGMA = 0.6745
# A ring seen at fewer azimuths has no median that one could trust.
_LEAST_CELLS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Spots:
    """Where single crystals shine in a polar image.

    Attributes
    ----------
    is_spot : ndarray of bool, shape (n_bins, n_chi)
        Cells of spots, with the cells around them that they may reach into.
    n_spots : int
        Separate ones.
    intensity_fraction : float
        Their part of all counts, above that of the rings below them.
    """

    is_spot: BoolArray
    n_spots: int
    intensity_fraction: float


def find_spots(polar: PolarImage, *, n_sigma: float = 6.0, least_ratio: float = 1.5) -> Spots:
    """Return the spots of a polar image.

    Parameters
    ----------
    n_sigma : float
        How far above the median of its ring a cell must be: in standard deviations, of the cells
        of the ring or of counting, whichever is larger.
    least_ratio : float
        And how many times the median.
    """
    mean = np.full(polar.signal.shape, np.nan, dtype=np.float32)
    np.divide(polar.signal, polar.weight, out=mean, where=polar.is_measured)
    middle, sigma, is_known = _usual(mean)
    # Counting: variance of a mean over pixels, with their response for their number.
    with np.errstate(invalid="ignore", divide="ignore"):
        poisson = np.sqrt(np.maximum(middle, 0)[:, None] / polar.weight)
        reach = n_sigma * np.maximum(sigma[:, None], poisson)
        excess = mean - middle[:, None]
        is_core = (excess > reach) & (mean > least_ratio * middle[:, None]) & is_known[:, None]
    is_spot = _widened(is_core)
    in_spots = np.where(is_spot & polar.is_measured, np.maximum(excess, 0) * polar.weight, 0)
    total = float(np.maximum(polar.signal, 0).sum())
    return Spots(
        is_spot=is_spot,
        n_spots=_n_separate(is_spot) if is_core.any() else 0,
        intensity_fraction=float(np.nansum(in_spots)) / total if total > 0 else 0.0,
    )


def _usual(mean: Float32Array) -> tuple[Float32Array, Float32Array, BoolArray]:
    """Return median and robust standard deviation of each ring, and whether it has enough cells."""
    # NaN is sorted to the end, so the measured cells of a ring come first.
    in_order = np.sort(mean, axis=1)
    n_cells = np.count_nonzero(~np.isnan(in_order), axis=1)
    middle = _median(in_order, n_cells)
    deviation = np.sort(np.abs(mean - middle[:, None]), axis=1)
    sigma = _median(deviation, n_cells) / np.float32(_MAD_PER_SIGMA)
    return middle, sigma, np.asarray(n_cells >= _LEAST_CELLS)


def _median(in_order: Float32Array, n_cells: IntArray) -> Float32Array:
    # The upper one of an even number: half a cell's difference does not matter here.
    place = np.minimum(n_cells // 2, in_order.shape[1] - 1)
    return np.asarray(np.take_along_axis(in_order, place[:, None], axis=1)[:, 0])


def _widened(is_core: BoolArray) -> BoolArray:
    """Return the cells and their neighbours, across the ends of the azimuth too."""
    if not is_core.any():
        return is_core
    wrapped = np.concatenate([is_core[:, -1:], is_core, is_core[:, :1]], axis=1)
    return np.asarray(binary_dilation(wrapped, np.ones((5, 3), dtype=bool))[:, 1:-1])


def _n_separate(is_spot: BoolArray) -> int:
    labels, n_labels = label(is_spot, np.ones((3, 3), dtype=bool))
    # A spot across the ends of the azimuth is one.
    across = {
        (first, last)
        for first, last in zip(labels[:, 0], labels[:, -1], strict=True)
        if first and last and first != last
    }
    return int(n_labels) - len(across)
