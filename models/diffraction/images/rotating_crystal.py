"""A crystal that is turned in the beam, on any detector that has a geometry.

The rotation axis points up, across the beam; seen from above, a positive angle turns the crystal
from the right towards the source. Coordinates are those of
`phasepilot.models.diffraction.images.spot_pattern`.
"""

from functools import lru_cache

import numpy as np

from phasepilot.models.arrays import Float32Array, FloatArray
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.images.detector_geometry import DetectorGeometry
from phasepilot.models.diffraction.images.pixel_map import SYNCHROTRON_POLARIZATION
from phasepilot.models.diffraction.images.spot_drawing import draw_spots
from phasepilot.models.diffraction.images.spot_pattern import Spots, spots
from phasepilot.models.diffraction.images.spot_settings import (
    FlatDetector,
    GaussianSpots,
    SpotSettings,
)
from phasepilot.models.errors import CrystalError


def turned_about_axis(orientation: FloatArray, omega_deg: float) -> FloatArray:
    """Return the orientation after a turn about the vertical axis.

    Examples
    --------
    >>> turned_about_axis(np.eye(3), 90.0).round(3) @ np.array([1.0, 0.0, 0.0])
    array([0., 0., 1.])
    """
    cosine, sine = np.cos(np.radians(omega_deg)), np.sin(np.radians(omega_deg))
    turn = np.array([[cosine, 0.0, -sine], [0.0, 1.0, 0.0], [sine, 0.0, cosine]])
    return np.asarray(turn @ orientation)


def crystal_image(
    crystal: Crystal,
    orientation: FloatArray,
    geometry: DetectorGeometry,
    *,
    mosaicity_deg: float,
    sigma_px: float,
) -> Float32Array:
    """Return the image of one crystal: the strongest spot holds 1, shape (rows, columns).

    A detector that is tilted is taken as one across the beam; nothing at all where no reflection
    falls onto it.
    """
    settings = _settings(geometry, mosaicity_deg, sigma_px)
    try:
        return draw_spots(spots(crystal, orientation, settings), settings)
    except CrystalError:
        return np.zeros(geometry.shape, dtype=np.float32)


def crystal_spots(
    crystal: Crystal, orientation: FloatArray, geometry: DetectorGeometry, *, mosaicity_deg: float
) -> Spots:
    """Return the reflections of one crystal that fall onto the detector.

    Raises
    ------
    CrystalError
        As `spots`, for instance if there is none.
    """
    return spots(crystal, orientation, _settings(geometry, mosaicity_deg, 1.0))


def draw_crystal_spots(
    found: Spots, geometry: DetectorGeometry, *, sigma_px: float
) -> Float32Array:
    """Return the image of spots: the strongest holds 1, shape (rows, columns)."""
    return draw_spots(found, _settings(geometry, 1.0, sigma_px))


@lru_cache(maxsize=8)
def _settings(geometry: DetectorGeometry, mosaicity_deg: float, sigma_px: float) -> SpotSettings:
    height_m, width_m = geometry.pixel_size_m
    rows, columns = geometry.shape
    beam = (geometry.poni1_m / height_m - 0.5, geometry.poni2_m / width_m - 0.5)
    return SpotSettings(
        wavelength_angstrom=geometry.wavelength_angstrom,
        shape=(rows, columns),
        centre_offset_px=(beam[0] - (rows - 1) / 2, beam[1] - (columns - 1) / 2),
        geometry=FlatDetector(
            distance_mm=geometry.distance_m * 1e3,
            pixel_size_mm=height_m * 1e3,
            mosaicity_deg=mosaicity_deg,
            polarization_factor=SYNCHROTRON_POLARIZATION,
        ),
        profile=GaussianSpots(sigma_px=sigma_px),
    )
