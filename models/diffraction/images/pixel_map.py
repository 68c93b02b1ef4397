"""What each pixel of a detector sees: its scattering angle, its azimuth, and how large it looks.

Made once for a geometry and kept, so that an image of rings costs one look-up a pixel.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from phasepilot.models.arrays import Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.images.detector_geometry import (
    DetectorGeometry,
    Shape,
    pyfai_integrator,
)
from phasepilot.models.pattern import q_from_two_theta

# pyFAI's factor of a beam polarised horizontally, as synchrotron beamlines commonly state it.
SYNCHROTRON_POLARIZATION = 0.99
# Azimuths are told apart to 0.05 degree: less than a pixel up to 1,150 pixels from the beam.
N_CHI_BINS = 7200
_STEPS_PER_PIXEL = 5


@dataclass(frozen=True, slots=True)
class PixelMap:
    """Where the pixels of a detector lie on a fine, uniform 2-theta axis.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns.
    two_theta_deg : ndarray, shape (n_points,)
        The axis, several points a pixel; it covers the detector.
    lower : ndarray of int, shape (n_pixels,)
        Point of the axis below the centre of each pixel, row by row.
    fraction : ndarray of float32, shape (n_pixels,)
        How far the centre is from there to the next point.
    pixel_width_deg : ndarray, shape (n_points,)
        Width of the box as blurred as the pixels there are by their size; see `pixel_map`.
    """

    shape: Shape
    two_theta_deg: FloatArray
    lower: IntArray
    fraction: Float32Array
    pixel_width_deg: FloatArray

    @property
    def step_deg(self) -> float:
        """Distance of two points of the axis."""
        return float(self.two_theta_deg[1] - self.two_theta_deg[0])

    @property
    def pixel_two_theta_deg(self) -> Float32Array:
        """Angle at the centre of each pixel, shape (rows, columns)."""
        angles = self.two_theta_deg[0] + (self.lower + self.fraction) * self.step_deg
        return np.asarray(angles, dtype=np.float32).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class PolarOrder:
    """The pixels of a `PixelMap` sorted by 2-theta, so that a ring is one slice of them.

    Attributes
    ----------
    starts : ndarray of int, shape (n_points + 1,)
        Pixels between points k and k + 1 of the axis are those from ``starts[k]`` to
        ``starts[k + 1]`` in this order.
    lower, fraction : ndarray, shape (n_pixels,)
        As in the map.
    chi_bin : ndarray of int32, shape (n_pixels,)
        Azimuth, 0 to `N_CHI_BINS` - 1; see `chi_bin_centres_deg`.
    place : ndarray of int, shape (n_pixels,)
        Where in this order each pixel of the image is.
    """

    starts: IntArray
    lower: IntArray
    fraction: Float32Array
    chi_bin: IntArray
    place: IntArray


def chi_bin_centres_deg() -> FloatArray:
    """Return the azimuth of each bin, shape (N_CHI_BINS,), from -180 to 180.

    As in pyFAI: 0 where columns increase, 90 where rows increase.
    """
    return np.asarray(-180 + (np.arange(N_CHI_BINS) + 0.5) * (360 / N_CHI_BINS))


@lru_cache(maxsize=2)
def pixel_map(geometry: DetectorGeometry) -> PixelMap:
    """Return the map of that geometry; the last two are kept, 0.1 GB for 2 megapixels.

    A ring that crosses a square pixel of width a at any angle x to its sides is blurred with the
    variance a^2 (cos^2 x + sin^2 x) / 12, that of a box of width a. In 2-theta this width is the
    slope of 2-theta over the image.
    """
    integrator = pyfai_integrator(geometry)
    two_theta = np.degrees(integrator.center_array(geometry.shape, unit="2th_rad"))
    slopes = np.gradient(two_theta)
    widths = np.hypot(slopes[0], slopes[1]).ravel()
    # The narrowest pixels set the step; a percentile, as the slope is none at the beam itself.
    step = float(np.percentile(widths, 1)) / _STEPS_PER_PIXEL
    start = float(two_theta.min())
    position = (two_theta.ravel() - start) / step
    lower = np.floor(position).astype(np.int64)
    n_points = int(lower.max()) + 2
    return PixelMap(
        shape=geometry.shape,
        two_theta_deg=np.asarray(start + step * np.arange(n_points)),
        lower=lower,
        fraction=(position - lower).astype(np.float32),
        # At the beam itself 2-theta is flat, which is no width.
        pixel_width_deg=np.maximum(_mean_at_points(widths, lower, n_points), step),
    )


def q_range_per_angstrom(geometry: DetectorGeometry) -> tuple[float, float]:
    """Return the smallest and the largest q that a pixel of the detector sees."""
    ends = pixel_map(geometry).two_theta_deg[[0, -1]]
    lowest, highest = q_from_two_theta(ends, geometry.wavelength_angstrom)
    return float(lowest), float(highest)


@lru_cache(maxsize=2)
def polar_order(geometry: DetectorGeometry) -> PolarOrder:
    """Return the pixels of that geometry in the order of their 2-theta; the last two are kept."""
    pixels = pixel_map(geometry)
    chi = pyfai_integrator(geometry).center_array(geometry.shape, unit="chi_rad").ravel()
    chi_bin = np.floor((chi + np.pi) * (N_CHI_BINS / (2 * np.pi))).astype(np.int64) % N_CHI_BINS
    order = np.argsort(pixels.lower, kind="stable")
    lower = pixels.lower[order]
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    return PolarOrder(
        starts=np.searchsorted(lower, np.arange(pixels.two_theta_deg.size + 1)),
        lower=lower,
        fraction=pixels.fraction[order],
        chi_bin=chi_bin[order],
        place=place,
    )


@lru_cache(maxsize=2)
def pixel_response(geometry: DetectorGeometry, polarization_factor: float) -> Float32Array:
    """Return which part of the scattering each pixel receives, shape (rows, columns).

    Its solid angle, relative to a pixel at the PONI, times the polarisation factor at its angle
    and azimuth; pyFAI's corrections divide by the same. The last two are kept.

    Parameters
    ----------
    polarization_factor : float
        1 for a beam polarised along the columns (horizontally), 0 for an unpolarised one, -1 for
        one polarised along the rows.
    """
    integrator = pyfai_integrator(geometry)
    response = integrator.solidAngleArray(geometry.shape) * integrator.polarization(
        geometry.shape, polarization_factor
    )
    return np.asarray(response, dtype=np.float32)


def _mean_at_points(values: FloatArray, points: IntArray, n_points: int) -> FloatArray:
    """Return the mean of the values at each point, those in between interpolated."""
    counts = np.bincount(points, minlength=n_points)
    sums = np.bincount(points, weights=values, minlength=n_points)
    known = np.flatnonzero(counts)
    return np.interp(np.arange(n_points), known, sums[known] / counts[known])
