"""How the strength of powder rings varies along them: preferred orientation and single grains.

Both give what `modulated_rings` takes; their product is a texture of few grains.
"""

import numpy as np
from numpy.polynomial import legendre
from scipy.ndimage import gaussian_filter1d

from phasepilot.models.arrays import Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.crystals.crystal import Crystal
from phasepilot.models.diffraction.images.pixel_map import N_CHI_BINS, chi_bin_centres_deg
from phasepilot.models.diffraction.powder.texture import march_dollase
from phasepilot.models.errors import GeometryError

# The Legendre series ends here; within these limits of r, both strong textures, what it leaves out
# is below 3 % of the maximum, and below 0.1 % from 0.5 to 2.
_HIGHEST_ORDER = 24
_MARCH_R_LIMITS = (0.35, 3.0)
_N_NODES = 200
# A texture varies over degrees; in between it is interpolated.
_TEXTURE_CHI_DEG = np.linspace(-180, 180, 901)
_CHI_BIN_DEG = 360 / N_CHI_BINS
_FWHM_OF_SIGMA = 2 * np.sqrt(2 * np.log(2))


def equivalent_cosines(
    crystal: Crystal, hkl: IntArray, texture_axis_hkl: tuple[int, int, int]
) -> FloatArray:
    """Return the cosines between a texture axis and all equivalents of each reflection.

    Parameters
    ----------
    hkl : ndarray of int, shape (n_lines, 3)
        One reflection of each line.
    texture_axis_hkl : tuple of int
        The axis is the normal of this plane.

    Returns
    -------
    ndarray, shape (n_lines, n_rotations)
    """
    axis = np.array(texture_axis_hkl) @ crystal.reciprocal
    equivalents = np.einsum("li,rij->lrj", hkl, crystal.setting.laue_rotations)
    normals = equivalents @ crystal.reciprocal
    lengths = np.linalg.norm(normals, axis=-1) * np.linalg.norm(axis)
    return np.asarray((normals @ axis) / lengths)


def fibre_texture(
    two_theta_deg: FloatArray,
    cosines: FloatArray,
    march_r: float,
    *,
    axis_chi_deg: float,
    axis_to_beam_deg: float = 90.0,
) -> Float32Array:
    """Return the modulation of rings by a March-Dollase fibre texture around a sample axis.

    The texture axes of the crystallites lie around the sample axis with the March-Dollase
    density W(a) = sum_l w_l P_l(cos a). The poles of a reflection at the angle b from the texture
    axis then have the density sum_l w_l P_l(cos b) P_l(cos psi) at the angle psi from the sample
    axis, by the addition theorem of the Legendre polynomials.

    Parameters
    ----------
    two_theta_deg : ndarray, shape (n_lines,)
    cosines : ndarray, shape (n_lines, n_equivalents)
        cos b of all equivalents of each line, see `equivalent_cosines`.
    march_r : float
        Below 1 if texture axes gather along the sample axis (plates pressed flat), 1 for no
        texture, above 1 if they gather across it (needles).
    axis_chi_deg, axis_to_beam_deg : float
        Azimuth of the sample axis, and its angle to the beam: 90 for a load across the beam, 0
        for one along it, as usual in a diamond anvil cell.

    Returns
    -------
    ndarray of float32, shape (n_lines, N_CHI_BINS)
        Its mean over all directions, not over the ring, is 1.

    Raises
    ------
    GeometryError
        If `march_r` is not from 0.35 to 3.

    References
    ----------
    Dollase, J. Appl. Cryst. 19, 267 (1986), doi:10.1107/S0021889886089458; Bunge, Texture
    Analysis in Materials Science (1982), chapter 5 (fibre textures).
    """
    lowest, highest = _MARCH_R_LIMITS
    if not lowest <= march_r <= highest:
        raise GeometryError(
            f"march_r must be from {lowest:g} to {highest:g}, but is {march_r:g}; 0.5 is a strong"
            " texture of plates, 1 is none."
        )
    weights = legendre.legvander(cosines, _HIGHEST_ORDER).mean(axis=1) * _pole_series(march_r)
    theta = np.radians(two_theta_deg / 2)[:, None]
    to_beam, chi = np.radians(axis_to_beam_deg), np.radians(_TEXTURE_CHI_DEG - axis_chi_deg)
    # The scattering vector leans against the beam by theta.
    cosine = np.sin(to_beam) * np.cos(theta) * np.cos(chi) - np.cos(to_beam) * np.sin(theta)
    density = np.maximum(legendre.legval(cosine, weights.T[:, :, None], tensor=False), 0.0)
    rows = [np.interp(chi_bin_centres_deg(), _TEXTURE_CHI_DEG, row) for row in density]
    return np.asarray(rows, dtype=np.float32).reshape(-1, N_CHI_BINS)


def _pole_series(march_r: float) -> FloatArray:
    """Return w_l of the March-Dollase density, shape (_HIGHEST_ORDER + 1,); odd ones are 0."""
    nodes, node_weights = legendre.leggauss(_N_NODES)
    directions = np.stack([np.sqrt(1 - nodes**2), np.zeros_like(nodes), nodes], axis=1)
    up = np.broadcast_to(np.array([0.0, 0.0, 1.0]), (nodes.size, 1, 3))
    density = march_dollase(directions, up, np.full(nodes.size, march_r))
    orders = np.arange(_HIGHEST_ORDER + 1)
    values = legendre.legvander(nodes, _HIGHEST_ORDER)
    series = (2 * orders + 1) / 2 * ((node_weights * density) @ values)
    return np.where(orders % 2 == 0, series, 0.0)


def expected_spots(
    two_theta_deg: FloatArray, multiplicity: IntArray, *, n_grains: float, mosaic_fwhm_deg: float
) -> FloatArray:
    """Return how many spots each ring shows on average, shape (n_lines,); 0 where 2-theta is NaN.

    Each of a grain's poles diffracts if it lies within its mosaic spread of the cone of poles that
    Bragg's law selects, a part cos(theta) / 2 x spread of all directions.

    Parameters
    ----------
    multiplicity : ndarray of int, shape (n_lines,)
        Reflections of the line, both of each Friedel pair.
    n_grains : float
        Grains in the beam.

    Examples
    --------
    >>> expected_spots(np.array([10.0]), np.array([8]), n_grains=1000, mosaic_fwhm_deg=0.5).round()
    array([35.])
    """
    acceptance = np.radians(mosaic_fwhm_deg) * np.cos(np.radians(two_theta_deg / 2)) / 2
    return np.asarray(np.nan_to_num(n_grains * multiplicity * acceptance))


def grain_spots(
    two_theta_deg: FloatArray,
    n_expected: FloatArray,
    *,
    mosaic_fwhm_deg: float,
    rng: np.random.Generator,
) -> Float32Array:
    """Return the modulation of rings made of the spots of single grains.

    The number of spots on a ring is Poisson distributed, their azimuths are uniform, and their
    strengths exponentially distributed: grains differ in size, and few are met in the middle of
    their reflection. On average over many samples the rings are as strong as smooth ones.

    Parameters
    ----------
    two_theta_deg, n_expected : ndarray, shape (n_lines,)
        Mean number of spots of each ring, see `expected_spots`.
    mosaic_fwhm_deg : float
        Spread of a grain's orientation, Gaussian; a spot is 1 / cos(theta) as wide in azimuth.

    Returns
    -------
    ndarray of float32, shape (n_lines, N_CHI_BINS)

    Raises
    ------
    GeometryError
        As `spots_at_random`.
    """
    line = np.repeat(np.arange(two_theta_deg.size), rng.poisson(n_expected))
    strength = rng.exponential(size=line.size) / n_expected[line]
    return spots_at_random(two_theta_deg, line, strength, mosaic_fwhm_deg=mosaic_fwhm_deg, rng=rng)


def spots_at_random(
    two_theta_deg: FloatArray,
    line: IntArray,
    strength: FloatArray,
    *,
    mosaic_fwhm_deg: float,
    rng: np.random.Generator,
) -> Float32Array:
    """Return the modulation of rings that consist of these spots, at random azimuths.

    Parameters
    ----------
    two_theta_deg : ndarray, shape (n_lines,)
    line : ndarray of int, shape (n_spots,)
        On which line each spot lies.
    strength : ndarray, shape (n_spots,)
        Intensity of each spot, relative to that of the whole smooth ring.
    mosaic_fwhm_deg : float
        As in `grain_spots`.

    Returns
    -------
    ndarray of float32, shape (n_lines, N_CHI_BINS)

    Raises
    ------
    GeometryError
        If the mosaic spread is finer than two azimuthal bins.
    """
    if not mosaic_fwhm_deg >= 2 * _CHI_BIN_DEG:
        raise GeometryError(
            f"mosaic_fwhm_deg must be at least {2 * _CHI_BIN_DEG:g}, two azimuthal bins, but is"
            f" {mosaic_fwhm_deg:g}; draw sharper spots that wide."
        )
    places = line * N_CHI_BINS + rng.integers(N_CHI_BINS, size=line.size)
    shape = (two_theta_deg.size, N_CHI_BINS)
    spots = np.bincount(places, strength * N_CHI_BINS, minlength=shape[0] * shape[1]).reshape(shape)
    for row in np.unique(line):
        sigma = azimuthal_sigma_deg(two_theta_deg[row], mosaic_fwhm_deg) / _CHI_BIN_DEG
        gaussian_filter1d(spots[row], float(sigma), mode="wrap", output=spots[row])
    return spots.astype(np.float32)


def azimuthal_sigma_deg(two_theta_deg: FloatArray, mosaic_fwhm_deg: float) -> FloatArray:
    """Return the standard deviation in azimuth of a spot, mosaic / cos(theta).

    Poles lie on a cone of radius cos(theta), which a small turn crosses in that much more azimuth.
    """
    return np.asarray(mosaic_fwhm_deg / (_FWHM_OF_SIGMA * np.cos(np.radians(two_theta_deg / 2))))
