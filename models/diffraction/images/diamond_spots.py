"""Spots of the diamond anvils on top of the rings of the sample."""

import numpy as np

from phasepilot.models.arrays import Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.images.detector_geometry import DetectorGeometry
from phasepilot.models.diffraction.images.pixel_map import (
    N_CHI_BINS,
    SYNCHROTRON_POLARIZATION,
    q_range_per_angstrom,
)
from phasepilot.models.diffraction.images.ring_image import RingLines, modulated_rings
from phasepilot.models.diffraction.images.ring_texture import azimuthal_sigma_deg, spots_at_random
from phasepilot.models.errors import GeometryError
from phasepilot.models.pattern import two_theta_from_q

# Crystallography Open Database, entry 9008564.
DIAMOND_LATTICE_ANGSTROM = 3.56679
# Width of the log-normal distribution of brightness (empirical): most spots within a factor 4.
_LOG_SPREAD = 1.4
_GAUSS_AREA = np.sqrt(np.pi / (4 * np.log(2)))


def diamond_spots(
    geometry: DetectorGeometry,
    *,
    n_expected: float,
    median_peak_counts: float,
    fwhm_deg: float,
    mosaic_fwhm_deg: float,
    rng: np.random.Generator,
    polarization_factor: float = SYNCHROTRON_POLARIZATION,
) -> Float32Array:
    """Return the image of the anvils' spots alone: expected counts, shape (rows, columns).

    Spots lie at the spacings of diamond, at any azimuth. How bright each is depends on how nearly
    its crystal meets Bragg's law, which no structure factor says: it is drawn at random.

    Parameters
    ----------
    n_expected : float
        Mean of the Poisson distributed number of spots on all rings that the detector sees, those
        that fall beyond its edges included.
    median_peak_counts : float
        Of the brightest pixel of a spot; a few reach a hundred times as much.
    fwhm_deg, mosaic_fwhm_deg : float
        Width in 2-theta, without that of the pixels, and mosaic spread along the ring.

    Raises
    ------
    GeometryError
        If no line of diamond falls on the detector, or as `spots_at_random`.
    """
    two_theta, multiplicity = _diamond_lines(geometry)
    # As many as each grain shows, see `expected_spots`.
    share = multiplicity * np.cos(np.radians(two_theta / 2))
    line = np.repeat(np.arange(share.size), rng.poisson(n_expected * share / share.sum()))
    peak_counts = median_peak_counts * rng.lognormal(sigma=_LOG_SPREAD, size=line.size)
    sigma_bins = azimuthal_sigma_deg(two_theta, mosaic_fwhm_deg) * (N_CHI_BINS / 360)
    modulation = spots_at_random(
        two_theta,
        line,
        peak_counts * np.sqrt(2 * np.pi) * sigma_bins[line] / N_CHI_BINS,
        mosaic_fwhm_deg=mosaic_fwhm_deg,
        rng=rng,
    )
    height_one = RingLines(
        two_theta_deg=two_theta,
        area=np.full(share.size, _GAUSS_AREA * fwhm_deg),
        fwhm_deg=np.full(share.size, fwhm_deg),
        lorentz_fraction=np.zeros(share.size),
    )
    return modulated_rings(
        height_one, modulation, geometry, polarization_factor=polarization_factor
    )


def _diamond_lines(geometry: DetectorGeometry) -> tuple[FloatArray, IntArray]:
    """Return angle and multiplicity of the lines of diamond that fall on the detector."""
    q_min, q_max = q_range_per_angstrom(geometry)
    highest = int(q_max * DIAMOND_LATTICE_ANGSTROM / (2 * np.pi))
    indices = np.arange(-highest, highest + 1)
    h, k, m = (axis.ravel() for axis in np.meshgrid(indices, indices, indices))
    all_odd = (h % 2 == 1) & (k % 2 == 1) & (m % 2 == 1)
    all_even = (h % 2 == 0) & (k % 2 == 0) & (m % 2 == 0) & ((h + k + m) % 4 == 0)
    squares, multiplicity = np.unique((h**2 + k**2 + m**2)[all_odd | all_even], return_counts=True)
    q = 2 * np.pi / DIAMOND_LATTICE_ANGSTROM * np.sqrt(squares)
    is_seen = (q > max(q_min, 0.0)) & (squares > 0) & (q < q_max)
    if not is_seen.any():
        raise GeometryError(
            f"some line of diamond must fall on the detector, which sees q = {q_min:.3g} to"
            f" {q_max:.3g} 1/angstrom, but the first lies at"
            f" {2 * np.pi / DIAMOND_LATTICE_ANGSTROM * np.sqrt(3):.3g}; bring the detector nearer"
            " or leave out the diamond."
        )
    return two_theta_from_q(q[is_seen], geometry.wavelength_angstrom), multiplicity[is_seen]
