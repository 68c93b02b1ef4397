"""Spots of single crystals (diamond anvils, gasket, large grains) among the rings of a powder.

A powder sends as much to every azimuth, a single crystal to a few: a cell of the polar image that
is far above the median of its ring belongs to a spot. How uneven a ring is is taken from its own
brighter half, so that the rings of a coarse or textured powder are not taken for spots, and a ring
that a shadow cuts is not either.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import label

from phasepilot.models.arrays import BoolArray, Float32Array, IntArray
from phasepilot.models.diffraction.images.frame_reduction import PolarImage

# Single crystals are taken to cover less than a tenth of a ring: its brightest tenth is not looked
# at. The quantile of a normal distribution at 0.9, in standard deviations above the median:
_USUAL_PART = 0.9
_QUANTILE_PER_SIGMA = 1.2816
# A ring seen at fewer azimuths has no quantiles that one could trust.
_LEAST_CELLS = 20
# A cell that the edge of the detector or a gap cuts to less than this part of the others of its
# ring may hold only the flank of a line.
_LEAST_PART = 0.5
# Cells that a spot reaches into besides those that stand out: along 2-theta and the azimuth.
_REACH = (3, 1)


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
    largest_ring_fraction : float
        The largest part that they are of the counts at one angle.
    """

    is_spot: BoolArray
    n_spots: int
    intensity_fraction: float
    largest_ring_fraction: float


def find_spots(polar: PolarImage, *, n_sigma: float = 6.0, least_ratio: float = 1.2) -> Spots:
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
    middle, sigma = _usual(mean)
    limit = np.maximum(middle + n_sigma * sigma, least_ratio * np.maximum(middle, 0))
    rows, columns = np.nonzero(mean > limit[:, None])
    excess = mean[rows, columns] - middle[rows]
    weight = polar.weight[rows, columns]
    # Counting: the variance of a mean over pixels, with their response for their number; an empty
    # ring counts as one that expects a single photon in the cell.
    expected = np.maximum(middle[rows] * weight, 1.0)
    is_bright = (excess * weight) ** 2 > n_sigma**2 * expected
    n_cells = np.maximum(np.count_nonzero(polar.is_measured, axis=1), 1)
    is_bright &= weight > _LEAST_PART * (polar.weight.sum(axis=1) / n_cells)[rows]
    rows, columns = rows[is_bright], columns[is_bright]
    in_rings = np.maximum(polar.signal, 0).sum(axis=1, dtype=np.float64)
    in_spots = np.bincount(rows, (excess * weight)[is_bright], minlength=in_rings.size)
    total = float(in_rings.sum())
    is_spot = _widened(rows, columns, mean)
    return Spots(
        is_spot=is_spot,
        n_spots=_n_separate(is_spot) if rows.size else 0,
        intensity_fraction=float(in_spots.sum()) / total if total > 0 else 0.0,
        largest_ring_fraction=float((in_spots / np.maximum(in_rings, 1.0)).max()),
    )


def _usual(mean: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Return median and standard deviation of each ring; infinite where it has too few cells."""
    # NaN is sorted to the end, so the measured cells of a ring come first.
    in_order = np.sort(mean, axis=1)
    n_cells = np.count_nonzero(~np.isnan(in_order), axis=1)
    middle = _quantile(in_order, n_cells, 0.5)
    spread = _quantile(in_order, n_cells, _USUAL_PART) - middle
    sigma = np.where(n_cells >= _LEAST_CELLS, spread / np.float32(_QUANTILE_PER_SIGMA), np.inf)
    return np.nan_to_num(middle), sigma.astype(np.float32)


def _quantile(in_order: Float32Array, n_cells: IntArray, part: float) -> Float32Array:
    place = np.minimum((n_cells * part).astype(np.intp), in_order.shape[1] - 1)
    return np.asarray(np.take_along_axis(in_order, place[:, None], axis=1)[:, 0])


def _widened(rows: IntArray, columns: IntArray, mean: Float32Array) -> BoolArray:
    """Return the cells and their neighbours, across the ends of the azimuth too."""
    is_bright = np.zeros_like(mean, dtype=bool)
    is_bright[rows, columns] = True
    (up, along), is_spot = _REACH, is_bright.copy()
    for step in range(1, up + 1):
        is_spot[step:] |= is_bright[:-step]
        is_spot[:-step] |= is_bright[step:]
    in_rings = is_spot.copy()
    for step in range(1, along + 1):
        is_spot |= np.roll(in_rings, step, axis=1)
        is_spot |= np.roll(in_rings, -step, axis=1)
    return is_spot


def _n_separate(is_spot: BoolArray) -> int:
    # Of the rows without spots, one between those that have some is enough.
    has_spots: BoolArray = np.asarray(is_spot.any(axis=1))
    has_spots[1:] |= has_spots[:-1]
    labels, n_labels = label(is_spot[has_spots], np.ones((3, 3), dtype=bool))
    # A spot across the ends of the azimuth is one.
    ends = labels[:, [0, -1]]
    across = np.unique(ends[(ends > 0).all(axis=1)], axis=0)
    return int(n_labels) - int(np.count_nonzero(across[:, 0] != across[:, 1]))
