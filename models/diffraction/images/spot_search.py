"""Spots that stand out of a frame."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter, uniform_filter

from phasepilot.models.arrays import Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.images.detector_effects import radius_px
from phasepilot.models.diffraction.images.flat_frame import FlatFrame

# A spot is this much above what surrounds it, in standard deviations of its count.
_LEAST_SIGNIFICANCE = 5.0
_SPOT_PX = 7
# And its middle is this much above its rim.
_LEAST_CONTRAST = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class FoundSpots:
    """Spots of one frame and what lies under them.

    Attributes
    ----------
    right_px, up_px : ndarray, shape (n_spots,)
        From the direct beam.
    photons : ndarray, shape (n_spots,)
        Above the background, in 7 x 7 pixels.
    background : ndarray, shape (rows, columns)
        Photons a pixel, even around the beam.
    """

    right_px: FloatArray
    up_px: FloatArray
    photons: FloatArray
    background: Float32Array


def search_spots(frame: FlatFrame) -> FoundSpots:
    """Return the spots that stand out.

    A spot is the brightest pixel of 7 x 7, five standard deviations above what is usual in its ring
    around the beam.
    """
    weight = frame.is_measured.astype(np.float32)
    image = np.asarray(frame.image * weight, dtype=np.float32)
    rings = radius_px(image.shape, frame.centre_px).astype(int) + 1
    around = _background(image, np.where(weight > 0, rings, 0))
    above = ((image - around) * weight).astype(np.float32)
    box = _SPOT_PX**2
    held = uniform_filter(above, _SPOT_PX) * box
    noise = np.sqrt(np.maximum(uniform_filter(image, _SPOT_PX) * box, 1.0))
    smooth = gaussian_filter(above, 1.0)
    is_spot = (smooth == maximum_filter(smooth, _SPOT_PX)) & (held > _LEAST_SIGNIFICANCE * noise)
    rows, columns = np.nonzero(is_spot & (weight > 0))
    stands_out = _contrast(image, weight, rows, columns) > _LEAST_CONTRAST
    found = rows[stands_out], columns[stands_out]
    row, column = (found[axis] + _summit(smooth, found, axis) for axis in (0, 1))
    centre_row, centre_column = frame.centre_px
    photons = held[found].astype(np.float64)
    return FoundSpots(column - centre_column, centre_row - row, photons, around)


def _background(image: Float32Array, rings: IntArray) -> Float32Array:
    """Return the mean of each ring without what stands out of it.

    The median alone is a whole number: of the many counts below 1 it would make 0.
    """
    numbers = rings.ravel()
    middle = _ring_medians(image.ravel(), numbers)[rings]
    is_usual = image <= middle + 3 * np.sqrt(middle + 1)
    n_usual = np.bincount(rings[is_usual], minlength=rings.max() + 1)
    total = np.bincount(rings[is_usual], image[is_usual], minlength=rings.max() + 1)
    return np.asarray(total / np.maximum(n_usual, 1), dtype=np.float32)[rings]


def _ring_medians(counts: Float32Array, rings: IntArray) -> Float32Array:
    """Return the median of each ring; of an even number the mean of the middle two."""
    order, edges = _by_ring(rings.astype(np.uint16).tobytes())
    grouped = counts[order]
    medians = np.zeros(edges.size - 1, dtype=np.float32)
    for ring, (first, stop) in enumerate(pairwise(edges.tolist())):
        if stop > first:
            part = np.sort(grouped[first:stop])
            medians[ring] = (part[(part.size - 1) // 2] + part[part.size // 2]) / 2
    return medians


@lru_cache(maxsize=4)
def _by_ring(rings: bytes) -> tuple[IntArray, IntArray]:
    """Return pixels ring by ring, and where each ring begins; the same for all frames."""
    numbers = np.frombuffer(rings, dtype=np.uint16)
    order = np.argsort(numbers, kind="stable")
    return order, np.searchsorted(numbers[order], np.arange(int(numbers.max()) + 2))


def _contrast(
    image: Float32Array, weight: Float32Array, rows: IntArray, columns: IntArray
) -> FloatArray:
    """Return by how many standard deviations 3 x 3 pixels exceed the rim of 7 x 7 around them.

    Noise on the slope of a strong spot has summits too, but none that stands out of the slope.
    """
    reach = _SPOT_PX // 2
    steps = np.arange(-reach, reach + 1)
    near = np.maximum(np.abs(steps)[:, None], np.abs(steps))
    i, j = (rows + reach)[:, None, None] + steps[:, None], (columns + reach)[:, None, None] + steps
    # Beyond the edge the frame goes on as its mirror image.
    counts, pixels = (
        np.pad(one, reach, mode="symmetric")[i, j].astype(np.float64) for one in (image, weight)
    )
    on_rim, inside = near == reach, near <= 1
    rim = counts[:, on_rim].sum(axis=1) / np.maximum(pixels[:, on_rim].sum(axis=1), 1.0)
    held = counts[:, inside].sum(axis=1)
    expected = rim * pixels[:, inside].sum(axis=1)
    return np.asarray((held - expected) / np.sqrt(np.maximum(held, expected) + 1.0))


def _summit(smooth: Float32Array, found: tuple[IntArray, ...], axis: int) -> FloatArray:
    """Return how far the summit is from the brightest pixel, along rows or columns, in pixels.

    That of the parabola through the pixel and its neighbours.
    """
    size = smooth.shape[axis]
    before, after = list(found), list(found)
    before[axis], after[axis] = (
        np.maximum(found[axis] - 1, 0),
        np.minimum(found[axis] + 1, size - 1),
    )
    low, middle, high = (smooth[tuple(at)].astype(np.float64) for at in (before, found, after))
    curvature = np.maximum(2 * middle - low - high, 1e-9)
    return np.asarray(np.clip(0.5 * (high - low) / curvature, -0.5, 0.5))
