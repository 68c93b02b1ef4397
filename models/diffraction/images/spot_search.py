"""Spots that stand out of a frame."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter, median, uniform_filter

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
    is_spot &= _contrast(image, weight) > _LEAST_CONTRAST
    found = np.nonzero(is_spot & (weight > 0))
    row, column = (found[axis] + _summit(smooth, found, axis) for axis in (0, 1))
    centre_row, centre_column = frame.centre_px
    photons = held[found].astype(np.float64)
    return FoundSpots(column - centre_column, centre_row - row, photons, around)


def _background(image: Float32Array, rings: IntArray) -> Float32Array:
    """Return the mean of each ring without what stands out of it.

    The median alone is a whole number: of the many counts below 1 it would make 0.
    """
    middle = np.asarray(median(image, rings, np.arange(rings.max() + 1)))[rings]
    is_usual = image <= middle + 3 * np.sqrt(middle + 1)
    n_usual = np.bincount(rings[is_usual], minlength=rings.max() + 1)
    total = np.bincount(rings[is_usual], image[is_usual], minlength=rings.max() + 1)
    return np.asarray(total / np.maximum(n_usual, 1), dtype=np.float32)[rings]


def _contrast(image: Float32Array, weight: Float32Array) -> FloatArray:
    """Return by how many standard deviations 3 x 3 pixels exceed the rim of 7 x 7 around them.

    Noise on the slope of a strong spot has summits too, but none that stands out of the slope.
    """
    counts, pixels = (
        {size: uniform_filter(one, size) * size**2 for size in (3, 5, 7)}
        for one in ((image * weight).astype(np.float64), weight.astype(np.float64))
    )
    rim = (counts[7] - counts[5]) / np.maximum(pixels[7] - pixels[5], 1.0)
    expected = rim * pixels[3]
    return np.asarray((counts[3] - expected) / np.sqrt(np.maximum(counts[3], expected) + 1.0))


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
