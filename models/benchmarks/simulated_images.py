"""Frames of an area detector of which one knows what they show."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.spatial.transform import Rotation

from phasepilot.models.arrays import Float32Array
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.images.detector_effects import (
    air_scatter,
    beam_stop,
    counted,
    diffuse_ring,
    module_gaps,
    radius_px,
    with_hot_pixels,
)
from phasepilot.models.diffraction.images.detector_geometry import (
    PLAIN_DETECTOR,
    DetectorGeometry,
    plain_detector_config,
)
from phasepilot.models.diffraction.images.diamond_spots import diamond_spots
from phasepilot.models.diffraction.images.image_kind import ImageKind
from phasepilot.models.diffraction.images.ring_image import (
    RingLines,
    modulated_rings,
    ring_lines,
    smooth_rings,
)
from phasepilot.models.diffraction.images.ring_texture import (
    equivalent_cosines,
    expected_spots,
    fibre_texture,
    grain_spots,
)
from phasepilot.models.diffraction.images.rotating_crystal import CrystalCamera, Grain
from phasepilot.models.diffraction.reflections import Sticks, powder_sticks

_FULL_UINT16 = 65535
# What marks a pixel in a gap.
_DEAD = -1
_Q_MAX_PER_ANGSTROM = 8.0


@dataclass(frozen=True, slots=True, eq=False)
class KnownImage:
    """A frame, and what it shows.

    Attributes
    ----------
    image : ndarray of int32 or uint16, shape (rows, columns)
    geometry : DetectorGeometry
    shown : ImageKind
    """

    image: NDArray[np.int32] | NDArray[np.uint16]
    geometry: DetectorGeometry
    shown: ImageKind


def detectors() -> tuple[DetectorGeometry, ...]:
    """Return three places of a detector: around the beam, tilted, and beside it."""
    return (
        _detector((1024, 1024), 2e-4, 0.25, (0.5, 0.5), 0.0),
        _detector((1043, 981), 1.72e-4, 0.21, (0.49, 0.51), 0.02),
        _detector((619, 487), 1.72e-4, 0.15, (0.1, 0.4), 0.0),
    )


def _detector(
    shape: tuple[int, int],
    pixel_m: float,
    distance_m: float,
    beam: tuple[float, float],
    tilt_rad: float,
) -> DetectorGeometry:
    return DetectorGeometry(
        PLAIN_DETECTOR,
        plain_detector_config(shape, (pixel_m, pixel_m)),
        distance_m,
        shape[0] * pixel_m * beam[0],
        shape[1] * pixel_m * beam[1],
        tilt_rad,
        -tilt_rad / 2,
        0.0,
        0.4,
    )


def draw_known_image(
    kind: ImageKind, crystal: Crystal, geometry: DetectorGeometry, rng: np.random.Generator
) -> KnownImage:
    """Return a frame of that kind, all else about it at random."""
    peak = 10 ** rng.uniform(1.5, 3.7)
    drawn = _DRAWERS[kind](crystal, geometry, peak, rng)
    centre = (
        geometry.poni1_m / geometry.pixel_size_m[0],
        geometry.poni2_m / geometry.pixel_size_m[1],
    )
    if kind is not ImageKind.EMPTY:
        radius = radius_px(geometry.shape, centre)
        height = peak * 10 ** rng.uniform(-2.0, -0.3)
        drawn = drawn + air_scatter(radius, amplitude=height, decay=rng.uniform(150, 600))
        drawn += diffuse_ring(radius, amplitude=height * rng.uniform(0, 1), centre=300, width=80)
        drawn += np.float32(0.2 * height)
    counts = with_hot_pixels(counted(drawn, rng), 1e-6, photons=peak, rng=rng)
    is_measured = beam_stop(
        geometry.shape,
        centre,
        radius=rng.uniform(10, 30),
        arm_width=rng.uniform(4, 12),
        arm_angle_deg=rng.uniform(0, 360),
    )
    if rng.random() < 0.5:
        is_measured &= module_gaps(geometry.shape, module=(195, 487), gap=(17, 7))
    if kind is ImageKind.SATURATED:
        full = np.minimum(counts, _FULL_UINT16).astype(np.uint16)
        return KnownImage(np.where(is_measured, full, np.uint16(0)), geometry, kind)
    image = np.where(is_measured, counts, _DEAD).astype(np.int32)
    return KnownImage(image, geometry, kind)


def _lines(crystal: Crystal, geometry: DetectorGeometry, rng: np.random.Generator) -> RingLines:
    sticks = _sticks(crystal)
    return ring_lines(
        sticks.q_per_angstrom,
        sticks.structure_factor_squared,
        geometry,
        fwhm_deg=rng.uniform(0.05, 0.25),
        lorentz_fraction=rng.uniform(0, 0.6),
    )


def _sticks(crystal: Crystal) -> Sticks:
    return powder_sticks(crystal, _Q_MAX_PER_ANGSTROM)


def _scaled(image: Float32Array, peak: float) -> Float32Array:
    return np.asarray(image * np.float32(peak / image.max()), dtype=np.float32)


def _powder(
    crystal: Crystal, geometry: DetectorGeometry, peak: float, rng: np.random.Generator
) -> Float32Array:
    return _scaled(smooth_rings(_lines(crystal, geometry, rng), geometry), peak)


def _textured(
    crystal: Crystal, geometry: DetectorGeometry, peak: float, rng: np.random.Generator
) -> Float32Array:
    lines = _lines(crystal, geometry, rng)
    axis = ((0, 0, 1), (1, 0, 0), (1, 1, 0), (1, 1, 1))[rng.integers(4)]
    march_r = rng.uniform(0.4, 0.65) if rng.random() < 0.7 else rng.uniform(1.7, 2.8)
    modulation = fibre_texture(
        lines.two_theta_deg,
        equivalent_cosines(crystal, _sticks(crystal).hkl, axis),
        march_r,
        axis_chi_deg=rng.uniform(0, 180),
        axis_to_beam_deg=rng.uniform(60, 90),
    )
    return _scaled(modulated_rings(lines, modulation, geometry), peak)


def _spotty(
    crystal: Crystal, geometry: DetectorGeometry, peak: float, rng: np.random.Generator
) -> Float32Array:
    lines = _lines(crystal, geometry, rng)
    mosaic = rng.uniform(0.2, 0.8)
    multiplicity = _sticks(crystal).multiplicity
    one_grain = expected_spots(
        lines.two_theta_deg, multiplicity, n_grains=1.0, mosaic_fwhm_deg=mosaic
    )
    # So many spots on the ring of the usual multiplicity.
    n_spots = 10 ** rng.uniform(1.3, 2.3)
    n_expected = one_grain * n_spots / max(float(np.median(one_grain)), 1e-12)
    modulation = grain_spots(
        lines.two_theta_deg, np.maximum(n_expected, 1e-9), mosaic_fwhm_deg=mosaic, rng=rng
    )
    return _scaled(modulated_rings(lines, modulation, geometry), 3 * peak)


def _single(
    crystal: Crystal, geometry: DetectorGeometry, peak: float, rng: np.random.Generator
) -> Float32Array:
    camera = CrystalCamera(
        geometry, mosaicity_deg=rng.uniform(0.3, 1.2), sigma_px=rng.uniform(1.0, 2.5)
    )
    image = np.zeros(geometry.shape, dtype=np.float32)
    # A crystal that happens to show a spot or none is not what one would call a frame of it.
    while np.count_nonzero(maximum_filter(image, 9) == np.where(image > 0.02, image, 1)) < 3:
        grain = Grain(crystal, Rotation.random(random_state=rng).as_matrix())
        image = camera.image([grain], 0.0)
        image /= max(float(image.max()), 1e-30)
    return np.asarray(3 * peak * image, dtype=np.float32)


def _diamond(
    crystal: Crystal, geometry: DetectorGeometry, peak: float, rng: np.random.Generator
) -> Float32Array:
    rings = _powder(crystal, geometry, peak, rng)
    spots = np.zeros_like(rings)
    while not spots.max() > peak:
        spots = diamond_spots(
            geometry,
            n_expected=rng.uniform(8, 30),
            median_peak_counts=peak * 10 ** rng.uniform(0.5, 1.7),
            fwhm_deg=rng.uniform(0.1, 0.3),
            mosaic_fwhm_deg=rng.uniform(0.2, 1.0),
            rng=rng,
        )
    return rings + spots


def _diffuse(
    crystal: Crystal, geometry: DetectorGeometry, peak: float, rng: np.random.Generator
) -> Float32Array:
    del crystal, peak, rng
    return np.zeros(geometry.shape, dtype=np.float32)


def _empty(
    crystal: Crystal, geometry: DetectorGeometry, peak: float, rng: np.random.Generator
) -> Float32Array:
    del crystal, peak
    return np.full(geometry.shape, 10 ** rng.uniform(-5, -3.5), dtype=np.float32)


def _saturated(
    crystal: Crystal, geometry: DetectorGeometry, peak: float, rng: np.random.Generator
) -> Float32Array:
    del peak
    return _powder(crystal, geometry, _FULL_UINT16 * rng.uniform(1.5, 10), rng)


_Drawer = Callable[[Crystal, DetectorGeometry, float, np.random.Generator], Float32Array]
_DRAWERS: Mapping[ImageKind, _Drawer] = {
    ImageKind.POWDER: _powder,
    ImageKind.TEXTURED: _textured,
    ImageKind.SPOTTY: _spotty,
    ImageKind.SINGLE_CRYSTAL: _single,
    ImageKind.DIAMOND: _diamond,
    ImageKind.DIFFUSE: _diffuse,
    ImageKind.EMPTY: _empty,
    ImageKind.SATURATED: _saturated,
}
