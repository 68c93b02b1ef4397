"""Powder rings as an area detector sees them, before counting.

Intensities are what azimuthal integration gives back once it has corrected for solid angle and
polarisation: counts of a pixel at the PONI. Gaps and noise are left to
`phasepilot.models.diffraction.images.detector_effects`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from phasepilot.models.arrays import Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.images.detector_geometry import DetectorGeometry
from phasepilot.models.diffraction.images.pixel_map import (
    N_CHI_BINS,
    SYNCHROTRON_POLARIZATION,
    PixelMap,
    pixel_map,
    pixel_response,
    polar_order,
    q_range_per_angstrom,
)
from phasepilot.models.diffraction.powder.intensity_factors import lorentz
from phasepilot.models.diffraction.powder.line_drawing import cumulative_pseudo_voigt
from phasepilot.models.errors import GeometryError
from phasepilot.models.pattern import two_theta_from_q

# Rings end where their profile has fallen to this part of its height.
_TAIL_TOLERANCE = 3e-4


@dataclass(frozen=True, slots=True)
class RingLines:
    """Powder lines on a detector; all arrays have shape (n_lines,).

    Attributes
    ----------
    two_theta_deg : ndarray
        NaN for lines that the beam does not reach; those are not drawn.
    area : ndarray
        Integral over 2-theta, in counts x degree, without polarisation and solid angle.
    fwhm_deg : ndarray
        Width, without that of the pixels.
    lorentz_fraction : ndarray
        eta of the pseudo-Voigt, 0 to 1.
    """

    two_theta_deg: FloatArray
    area: FloatArray
    fwhm_deg: FloatArray
    lorentz_fraction: FloatArray

    def scaled(self, factor: float) -> "RingLines":
        """Return the same lines that many times as strong."""
        return replace(self, area=self.area * factor)


def ring_lines(
    q_per_angstrom: FloatArray,
    structure_factor_squared: FloatArray,
    geometry: DetectorGeometry,
    *,
    fwhm_deg: float | FloatArray,
    lorentz_fraction: float | FloatArray,
) -> RingLines:
    """Return the lines of a stick list on that detector.

    The area of a line is its |F|^2 times the Lorentz factor 1 / (sin^2 theta cos theta), which is
    the intensity of a powder ring per unit of its length at a fixed distance.

    Parameters
    ----------
    q_per_angstrom, structure_factor_squared : ndarray, shape (n_lines,)
        As `Sticks` hold them: the sum of |F|^2 over all reflections of the line.
    fwhm_deg, lorentz_fraction : float or ndarray, shape (n_lines,)

    Raises
    ------
    GeometryError
        If no line falls on the detector.
    """
    _check_any_on_detector(q_per_angstrom, geometry)
    two_theta = two_theta_from_q(q_per_angstrom, geometry.wavelength_angstrom)
    return RingLines(
        two_theta_deg=two_theta,
        area=structure_factor_squared * lorentz(two_theta),
        fwhm_deg=np.broadcast_to(np.asarray(fwhm_deg, dtype=np.float64), two_theta.shape),
        lorentz_fraction=np.broadcast_to(
            np.asarray(lorentz_fraction, dtype=np.float64), two_theta.shape
        ),
    )


def radial_image(
    two_theta_deg: FloatArray,
    intensity: FloatArray,
    geometry: DetectorGeometry,
    *,
    polarization_factor: float = SYNCHROTRON_POLARIZATION,
) -> Float32Array:
    """Return the image of a 1D pattern or background, shape (rows, columns); 0 beyond its ends.

    Parameters
    ----------
    two_theta_deg, intensity : ndarray, shape (n_points,)
        Any axis that increases, finer than the pixels where the intensity is not smooth.
    """
    axis = pixel_map(geometry).two_theta_deg
    curve = np.interp(axis, two_theta_deg, intensity, left=0.0, right=0.0)
    return _image_of_curve(curve, geometry, polarization_factor)


def smooth_rings(
    lines: RingLines,
    geometry: DetectorGeometry,
    *,
    polarization_factor: float = SYNCHROTRON_POLARIZATION,
) -> Float32Array:
    """Return the rings of a fine, untextured powder: expected counts, shape (rows, columns)."""
    pixels = pixel_map(geometry)
    curve = np.zeros(pixels.two_theta_deg.size)
    for ring in _rings(lines, pixels):
        curve[ring.start : ring.start + ring.profile.size] += ring.profile
    return _image_of_curve(curve, geometry, polarization_factor)


def modulated_rings(
    lines: RingLines,
    modulation: Float32Array,
    geometry: DetectorGeometry,
    *,
    polarization_factor: float = SYNCHROTRON_POLARIZATION,
) -> Float32Array:
    """Return rings whose strength varies along them: expected counts, shape (rows, columns).

    Parameters
    ----------
    modulation : ndarray, shape (n_lines, N_CHI_BINS)
        Strength of each line at each azimuth relative to a smooth ring, at
        `chi_bin_centres_deg()`; see `phasepilot.models.diffraction.images.ring_texture`.

    Raises
    ------
    GeometryError
        If the modulation is not of that shape.
    """
    expected = (lines.area.size, N_CHI_BINS)
    if modulation.shape != expected:
        raise GeometryError(
            f"modulation must have the shape {expected}, one row a line, but has"
            f" {modulation.shape}; make it at chi_bin_centres_deg()."
        )
    order = polar_order(geometry)
    sorted_image = np.zeros(order.lower.size, dtype=np.float32)
    for ring in _rings(lines, pixel_map(geometry)):
        # The last point only ends the interpolation of the pixels before it.
        last = ring.start + ring.profile.size - 1
        span = slice(order.starts[ring.start], order.starts[last])
        drawn = _interpolated(ring.profile, order.lower[span] - ring.start, order.fraction[span])
        drawn *= modulation[ring.line].take(order.chi_bin[span], mode="clip")
        sorted_image[span] += drawn
    image = sorted_image.take(order.place, mode="clip").reshape(geometry.shape)
    image *= pixel_response(geometry, polarization_factor)
    return image


@dataclass(frozen=True, slots=True)
class _Ring:
    """Profile of one line on the axis of a `PixelMap`, from point `start` on."""

    line: int
    start: int
    profile: FloatArray


def _rings(lines: RingLines, pixels: PixelMap) -> Iterator[_Ring]:
    """Yield the mean over a pixel's width of each line that reaches the detector."""
    axis = pixels.two_theta_deg
    reach = _reach_fwhm(lines.lorentz_fraction) * lines.fwhm_deg + pixels.pixel_width_deg.max()
    first = np.searchsorted(axis, lines.two_theta_deg - reach)
    stop = np.searchsorted(axis, lines.two_theta_deg + reach)
    # Lines that the beam does not reach, NaN, sort behind all points and so span none.
    for line in np.flatnonzero(stop - first > 1):
        span = slice(first[line], stop[line])
        half = pixels.pixel_width_deg[span] / 2
        offset = axis[span] - lines.two_theta_deg[line]
        upper, lower = (
            cumulative_pseudo_voigt(edge / lines.fwhm_deg[line], lines.lorentz_fraction[line])
            for edge in (offset + half, offset - half)
        )
        yield _Ring(int(line), int(first[line]), lines.area[line] * (upper - lower) / (2 * half))


def _reach_fwhm(lorentz_fraction: FloatArray) -> FloatArray:
    """Return where eta / (1 + 4 x^2), or the Gauss part, has fallen to the tolerance."""
    lorentz_reach = np.sqrt(lorentz_fraction / _TAIL_TOLERANCE) / 2
    gauss_reach = np.sqrt(-np.log2(_TAIL_TOLERANCE)) / 2
    return np.asarray(np.maximum(lorentz_reach, gauss_reach))


def _image_of_curve(
    curve: FloatArray, geometry: DetectorGeometry, polarization_factor: float
) -> Float32Array:
    pixels = pixel_map(geometry)
    image = _interpolated(curve, pixels.lower, pixels.fraction).reshape(pixels.shape)
    image *= pixel_response(geometry, polarization_factor)
    return image


def _interpolated(curve: FloatArray, lower: IntArray, fraction: Float32Array) -> Float32Array:
    """Return the curve between its points `lower` and `lower` + 1."""
    # Indices are in range by construction; "clip" spares the check and half of the time.
    image: Float32Array = np.diff(curve).astype(np.float32).take(lower, mode="clip")
    image *= fraction
    image += curve.astype(np.float32).take(lower, mode="clip")
    return image


def _check_any_on_detector(q_per_angstrom: FloatArray, geometry: DetectorGeometry) -> None:
    lowest, highest = q_range_per_angstrom(geometry)
    if ((q_per_angstrom >= lowest) & (q_per_angstrom <= highest)).any():
        return
    given = "there are none"
    if q_per_angstrom.size:
        given = f"they lie at {q_per_angstrom.min():.3g} to {q_per_angstrom.max():.3g}"
    raise GeometryError(
        f"some line must fall on the detector, which sees q = {lowest:.3g} to {highest:.3g}"
        f" 1/angstrom, but {given}; check the wavelength, the distance and the range of the sticks."
    )
