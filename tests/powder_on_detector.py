"""A small tilted detector, and a powder of cerium oxide before it."""

from functools import cache

import numpy as np

from phasepilot.models.diffraction.crystals.crystal import Crystal, crystal_from_sites
from phasepilot.models.diffraction.images.detector_geometry import (
    PLAIN_DETECTOR,
    DetectorGeometry,
    plain_detector_config,
)
from phasepilot.models.diffraction.images.ring_image import RingLines, ring_lines
from phasepilot.models.diffraction.reflections import Sticks, powder_sticks


def make_geometry(
    *,
    shape: tuple[int, int] = (320, 300),
    pixel_size_m: float = 5e-4,
    distance_m: float = 0.25,
    tilt_rad: float = 0.0,
    wavelength_angstrom: float = 0.4,
) -> DetectorGeometry:
    """Return a plain detector whose PONI is its middle, turned there by the tilt."""
    return DetectorGeometry(
        detector=PLAIN_DETECTOR,
        detector_config=plain_detector_config(shape, (pixel_size_m, pixel_size_m)),
        distance_m=distance_m,
        poni1_m=shape[0] * pixel_size_m / 2,
        poni2_m=shape[1] * pixel_size_m / 2,
        rot1_rad=tilt_rad,
        rot2_rad=-tilt_rad / 2,
        rot3_rad=tilt_rad,
        wavelength_angstrom=wavelength_angstrom,
    )


@cache
def ceria() -> Crystal:
    sites = [("Ce", (0.0, 0.0, 0.0)), ("O", (0.25, 0.25, 0.25))]
    return crystal_from_sites("CeO2", "F m -3 m", (5.4113,) * 3 + (90.0,) * 3, sites)


def ceria_sticks(q_max_per_angstrom: float = 6.0) -> Sticks:
    return powder_sticks(ceria(), q_max_per_angstrom)


def ceria_lines(
    geometry: DetectorGeometry, *, fwhm_deg: float = 0.2, lorentz_fraction: float = 0.0
) -> RingLines:
    """Return lines that are scaled to about a thousand counts at the top of the strongest."""
    sticks = ceria_sticks()
    lines = ring_lines(
        sticks.q_per_angstrom,
        sticks.structure_factor_squared,
        geometry,
        fwhm_deg=fwhm_deg,
        lorentz_fraction=lorentz_fraction,
    )
    return lines.scaled(1e3 * fwhm_deg / np.nanmax(lines.area))
