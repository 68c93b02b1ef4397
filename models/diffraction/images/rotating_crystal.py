"""A crystal that is turned in the beam, on any detector that has a geometry.

The rotation axis points up, across the beam; seen from above, a positive angle turns the crystal
from the right towards the source. Coordinates are those of
`phasepilot.models.diffraction.images.spot_pattern`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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

# A rocking crystal is seen at angles so far apart, in standard deviations of the orientation: their
# sum is even to 2 %.
_ROCKING_STEP = 2.0


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


@dataclass(frozen=True, slots=True, eq=False)
class Grain:
    """One crystal among those in the beam.

    Attributes
    ----------
    crystal : Crystal
    orientation : ndarray, shape (3, 3)
        With the rotation axis at 0.
    share : float
        Of the volume in the beam.
    """

    crystal: Crystal
    orientation: FloatArray
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class CrystalCamera:
    """A detector across the beam, and how broad the spots of a crystal are on it.

    Attributes
    ----------
    geometry : DetectorGeometry
        A detector that is tilted is taken as one across the beam.
    mosaicity_deg : float
        Standard deviation of the orientation within a grain.
    sigma_px : float
        Of the Gaussian that each spot is.
    """

    geometry: DetectorGeometry
    mosaicity_deg: float = 0.5
    sigma_px: float = 1.5

    def spots(self, grain: Grain, omega_deg: float) -> Spots | None:
        """Return the reflections of a grain that fall onto the detector; None if there is none.

        Intensities are those of `phasepilot.models.diffraction.images.spot_pattern.Spots` for one
        unit of volume, so that the sum of |F|^2 of different cells compares.
        """
        orientation = turned_about_axis(grain.orientation, omega_deg)
        try:
            found = spots(grain.crystal, orientation, self._settings)
        except CrystalError:
            return None
        scale = grain.share / grain.crystal.volume_cubic_angstrom**2
        return replace(found, intensity=found.intensity * scale)

    def image(
        self, grains: Sequence[Grain], omega_deg: float, *, rocking_deg: float = 0.0
    ) -> Float32Array:
        """Return the spots of all grains, in the unit of `spots`, shape (rows, columns).

        Parameters
        ----------
        rocking_deg : float
            Range about the angle that the axis turns through while the detector counts.
        """
        n_angles = int(np.ceil(rocking_deg / (_ROCKING_STEP * self.mosaicity_deg))) + 1
        offsets = (np.arange(n_angles) - (n_angles - 1) / 2) * (rocking_deg / max(n_angles - 1, 1))
        seen = [self.spots(grain, omega_deg + offset) for grain in grains for offset in offsets]
        found = [one for one in seen if one is not None]
        if not found:
            return np.zeros(self.geometry.shape, dtype=np.float32)
        every = Spots(
            *(
                np.concatenate([getattr(one, name) for one in found])
                for name in ("hkl", "row_px", "column_px", "intensity")
            )
        )
        scale = np.float32(every.intensity.max() / n_angles)
        return np.asarray(draw_spots(every, self._settings) * scale)

    def brightest(self, grains: Sequence[Grain], omegas_deg: FloatArray) -> float:
        """Return the median over these angles of the intensity in the brightest spot.

        Raises
        ------
        CrystalError
            If no reflection falls onto the detector at any of them.
        """
        found = (self.spots(grain, float(omega)) for omega in omegas_deg for grain in grains)
        heights = [float(one.intensity.max()) for one in found if one is not None]
        if not heights:
            raise CrystalError(
                "some grain must have a reflection on the detector at one of the angles, but none"
                " has; bring the detector nearer, or take more mosaicity or a shorter wavelength."
            )
        return float(np.median(heights))

    @property
    def _settings(self) -> SpotSettings:
        return _settings(self.geometry, self.mosaicity_deg, self.sigma_px)


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
