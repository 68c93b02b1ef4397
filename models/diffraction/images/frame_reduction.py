"""From image after image of one detector to patterns, cakes and what is wrong with them.

One product with a sparse matrix gives the polar image; all else is made of that. What does not
change from frame to frame (geometry, mask, dark and flat image, response) is computed once.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasepilot.models.arrays import BoolArray, Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.images.detector_geometry import (
    DetectorGeometry,
    check_image_shape,
    measured_pixels,
    pyfai_detector,
    pyfai_integrator,
)
from phasepilot.models.diffraction.images.pixel_map import SYNCHROTRON_POLARIZATION
from phasepilot.models.diffraction.images.polar_projection import PolarProjection, polar_projection
from phasepilot.models.errors import GeometryError

# Cells that touch less of a pixel than this owe it to rounding.
_LEAST_WEIGHT = 1e-3
# The mark of a full 16-bit detector. Wider integers hold their largest value for dead pixels.
_FULL_UINT16 = 65535


@dataclass(frozen=True, slots=True, eq=False)
class Corrections:
    """What stands between the counts of a pixel and what was scattered towards it.

    Attributes
    ----------
    is_measured : ndarray of bool, shape (rows, columns), or None
        False for pixels to leave out besides the detector's own gaps.
    dark : ndarray, shape (rows, columns), or None
        Counts without beam, subtracted.
    flat : ndarray, shape (rows, columns), or None
        Efficiency of the pixels, divided by; those where it is 0 are left out.
    polarization_factor : float or None
        1 for a beam polarised along the columns (horizontally), 0 for an unpolarised one; None
        leaves the counts as they are.
    solid_angle : bool
        Whether to divide by the solid angle of each pixel, relative to one at the PONI.
    saturation_counts : float or None
        Pixels that hold at least this much were full, and are left out.
    """

    is_measured: BoolArray | None = None
    dark: FloatArray | None = None
    flat: FloatArray | None = None
    polarization_factor: float | None = SYNCHROTRON_POLARIZATION
    solid_angle: bool = True
    saturation_counts: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PolarImage:
    """An image unrolled around the beam: sums over cells of 2-theta and azimuth.

    Attributes
    ----------
    signal : ndarray of float32, shape (n_bins, n_chi)
        Counts of the pixels in each cell, dark image subtracted.
    weight : ndarray of float32, shape (n_bins, n_chi)
        Response of those pixels: signal / weight is the corrected mean count of a pixel.
    two_theta_deg, chi_deg : ndarray
        Centres of the cells.
    n_pixels : int
        Pixels that hold counts.
    n_saturated : int
        Pixels that were full.
    """

    signal: Float32Array
    weight: Float32Array
    two_theta_deg: FloatArray
    chi_deg: FloatArray
    n_pixels: int
    n_saturated: int

    @property
    def is_measured(self) -> BoolArray:
        """Which cells hold pixels."""
        return np.asarray(self.weight > _LEAST_WEIGHT)


class FrameReducer:
    """Unrolls images of one detector; not for several threads at once.

    Parameters
    ----------
    geometry : DetectorGeometry
    corrections : Corrections
    n_bins : int
        Cells along 2-theta, over all angles that the detector sees. One and a half a pixel of the
        radius serve well.
    n_chi : int
        Cells along the azimuth.

    Raises
    ------
    GeometryError
        If mask, dark or flat image are not of the detector's shape, or leave no pixel.
    """

    def __init__(
        self,
        geometry: DetectorGeometry,
        corrections: Corrections | None = None,
        *,
        n_bins: int = 1500,
        n_chi: int = 180,
    ) -> None:
        self.geometry = geometry
        self._corrections = corrections or Corrections()
        self._response = _response(geometry, self._corrections)
        self._projection: PolarProjection = polar_projection(geometry, n_bins, n_chi)
        dark = self._corrections.dark
        self._dark = None if dark is None else dark.astype(np.float32).ravel()
        is_gap = self._response == 0
        # An image that is read into the same memory each time costs no page faults.
        self._counts = np.empty(self._response.size, dtype=np.float32)
        self._usual_gaps = is_gap
        self._usual_weight = self._projection.summed(self._response)
        self._is_gap_always = is_gap
        self._is_measured: BoolArray = np.asarray(~is_gap.reshape(geometry.shape))

    @property
    def is_measured(self) -> BoolArray:
        """Which pixels no mask, gap or dead part of the flat image leaves out, (rows, columns)."""
        return self._is_measured

    def reduce(self, image: NDArray[Any]) -> PolarImage:
        """Return the image unrolled.

        Raises
        ------
        GeometryError
            If the image is not of the detector's shape, no numbers, or without a usable pixel.
        """
        check_image_shape(image.shape, self.geometry, "the image")
        if image.dtype.kind not in "fiub":
            raise GeometryError(
                f"the image must hold real numbers, but its type is {image.dtype}; is this the"
                " field of the detector?"
            )
        flat = image.reshape(-1)
        is_full = self._full(flat)
        is_gap = self._gaps(flat)
        n_saturated = int(np.count_nonzero(is_full & ~is_gap)) if is_full is not None else 0
        if is_full is not None:
            is_gap |= is_full
        weight = self._weight(is_gap)
        counts = self._counts
        np.copyto(counts, flat, casting="unsafe")
        if self._dark is not None:
            counts -= self._dark
        counts[is_gap] = 0.0
        n_pixels = is_gap.size - int(np.count_nonzero(is_gap))
        if not n_pixels:
            raise GeometryError(
                f"some pixel of the image must hold a count, but all {is_gap.size} are masked, dead"
                " or full; was the detector read out, and is the mask not inverted?"
            )
        return PolarImage(
            self._projection.summed(counts),
            weight,
            self._projection.two_theta_deg,
            self._projection.chi_deg,
            n_pixels,
            n_saturated,
        )

    def _full(self, flat: NDArray[Any]) -> BoolArray | None:
        limit = self._corrections.saturation_counts
        if limit is None and flat.dtype == np.uint16:
            limit = _FULL_UINT16
        return None if limit is None else np.asarray(flat >= limit)

    def _gaps(self, flat: NDArray[Any]) -> BoolArray:
        """Return the pixels to leave out: masked, or marked as dead by the detector."""
        return np.asarray(is_marked_dead(flat, self.geometry) | self._is_gap_always)

    def _weight(self, is_gap: BoolArray) -> Float32Array:
        """Return the response in each cell; dead pixels are mostly those of the last image."""
        changed: IntArray = np.flatnonzero(is_gap != self._usual_gaps)
        if not changed.size:
            return self._usual_weight
        response = self._response
        if changed.size < is_gap.size // 100:
            sign = np.where(is_gap[changed], -1.0, 1.0).astype(np.float32)
            change = self._projection.summed_over(changed, sign * response[changed])
            return np.asarray(np.maximum(self._usual_weight + change, 0))
        self._usual_gaps = is_gap.copy()
        self._usual_weight = self._projection.summed(np.where(is_gap, np.float32(0), response))
        return self._usual_weight


def is_marked_dead(image: NDArray[Any], geometry: DetectorGeometry) -> BoolArray:
    """Return the pixels that the detector marks as measuring nothing, in the shape of the image.

    Negative, the largest of a wide unsigned type, not finite, or what pyFAI knows as its mark.
    """
    kind, is_wide = image.dtype.kind, image.dtype.itemsize >= np.dtype(np.uint32).itemsize
    if kind == "i":
        return np.asarray(image < 0)
    if kind == "u" and is_wide:
        return np.asarray(image == np.iinfo(image.dtype).max)
    if kind != "f":
        return np.zeros(image.shape, dtype=bool)
    is_dead = ~np.isfinite(image)
    detector = pyfai_detector(geometry)
    if detector.dummy is not None:
        is_dead |= np.abs(image - float(detector.dummy)) <= float(detector.delta_dummy or 0.0)
    return np.asarray(is_dead)


def _response(geometry: DetectorGeometry, corrections: Corrections) -> Float32Array:
    """Return what each pixel makes of the same scattering, 0 where it is masked; one row."""
    integrator = pyfai_integrator(geometry)
    response = measured_pixels(geometry).astype(np.float32)
    if corrections.solid_angle:
        response *= integrator.solidAngleArray(geometry.shape).astype(np.float32)
    if corrections.polarization_factor is not None:
        response *= integrator.polarization(geometry.shape, corrections.polarization_factor)
    named = {"mask": corrections.is_measured, "dark": corrections.dark, "flat": corrections.flat}
    for name, array in named.items():
        if array is not None:
            check_image_shape(array.shape, geometry, f"the {name} image")
    if corrections.flat is not None:
        response *= np.where(np.isfinite(corrections.flat), corrections.flat, 0).astype(np.float32)
    if corrections.is_measured is not None:
        response *= corrections.is_measured
    response[~(response > 0)] = 0.0
    if not response.any():
        raise GeometryError(
            f"some of the {response.size} pixels must be measured, but mask, flat image and the"
            f" gaps of the detector {geometry.detector} leave none; is the mask inverted?"
        )
    return np.asarray(response.reshape(-1), dtype=np.float32)
