"""Cakes drawn straight from lists of reflections, without an image in between.

A cell holds what all its pixels count, not their mean: a spot then stands as strong at any radius.
The frame is that of `spot_pattern`: the image seen from the source, x to the right, y up; the
azimuth of a cake runs the other way round, from columns to rows.
"""

import math
from dataclasses import dataclass

import numba
import numpy as np

from phasepilot.models.arrays import Float32Array, FloatArray
from phasepilot.models.diffraction.images.cake_grid import CakeGrid

# A spot ends after this many standard deviations: roots of roots still show a step there.
_REACH = 4.2
# A mosaic block turned further than this many standard deviations is not there.
_MOSAIC_CUT = 3.0


@dataclass(frozen=True, slots=True)
class ReflectionList:
    """Reflections of one crystal, one of each Friedel pair.

    Attributes
    ----------
    vectors : ndarray, shape (n_reflections, 3)
        H in 1/angstrom, |H| = 1/d, in the Cartesian frame of the crystal.
    intensity : ndarray, shape (n_reflections,)
        |F|^2 with Debye-Waller factor; any unit.
    """

    vectors: FloatArray
    intensity: FloatArray


@dataclass(frozen=True, slots=True)
class SpotShape:
    """How a spot is spread.

    Attributes
    ----------
    size_per_angstrom : float
        Standard deviation both ways, as on a detector: less azimuth at a larger radius.
    arc_deg : float
        Further standard deviation in azimuth, of mosaic blocks.
    """

    size_per_angstrom: float = 0.0
    arc_deg: float = 0.0


def layer_cake(
    reflections: ReflectionList,
    orientation: FloatArray,
    grid: CakeGrid,
    shape: SpotShape,
    *,
    half_thickness_per_angstrom: float,
) -> Float32Array:
    """Return the cake of the layer of reciprocal space across the beam, shape (n_chi, n_bins).

    Parameters
    ----------
    orientation : ndarray, shape (3, 3)
        H_image = orientation H_crystal; its last row points at the source.
    half_thickness_per_angstrom : float
        Reflections this near to the plane belong to it.
    """
    cake = np.zeros(grid.shape, dtype=np.float32)
    _add_layer(
        cake,
        reflections.vectors,
        reflections.intensity,
        orientation,
        half_thickness_per_angstrom,
        *_grid_numbers(grid),
        shape.size_per_angstrom,
        np.radians(shape.arc_deg),
    )
    return cake


def sphere_cake(
    reflections: ReflectionList,
    orientations: FloatArray,
    weights: FloatArray,
    grid: CakeGrid,
    shape: SpotShape,
    *,
    wavelength_angstrom: float,
    mosaicity_deg: float,
) -> Float32Array:
    """Return the cake of mosaic crystals on the Ewald sphere, with 1 / sin 2-theta.

    Parameters
    ----------
    orientations : ndarray, shape (n_crystals, 3, 3)
    weights : ndarray, shape (n_crystals,)
        How much of each crystal is in the beam.
    """
    cake = np.zeros(grid.shape, dtype=np.float32)
    _add_sphere(
        cake,
        reflections.vectors,
        reflections.intensity,
        orientations,
        weights,
        wavelength_angstrom,
        np.radians(mosaicity_deg),
        *_grid_numbers(grid),
        shape.size_per_angstrom,
        np.radians(shape.arc_deg),
    )
    return cake


@dataclass(frozen=True, slots=True)
class Texture:
    """How poles gather in a powder: one crystal direction near one sample direction.

    Attributes
    ----------
    crystal_axis : ndarray, shape (3,)
        Unit vector, in the frame of the crystal.
    sample_chi_rad, sample_to_beam_rad : float
        Azimuth of the sample's axis and its angle to the beam.
    spread_rad : float
        Standard deviation between the two; above 3 there is no texture.
    speckle : float
        Standard deviation of the logarithm of how cells of one ring differ: few grains.
    """

    crystal_axis: FloatArray
    sample_chi_rad: float
    sample_to_beam_rad: float
    spread_rad: float
    speckle: float


def ring_cake(
    reflections: ReflectionList,
    texture: Texture,
    grid: CakeGrid,
    shape: SpotShape,
    *,
    wavelength_angstrom: float,
    rng: np.random.Generator,
) -> Float32Array:
    """Return the cake of a powder, with 1 / (sin 2-theta sin theta), textured and speckled."""
    cake = np.zeros(grid.shape, dtype=np.float32)
    # Equivalent reflections are on one ring and share its speckles.
    length = np.linalg.norm(reflections.vectors, axis=1)
    _, ring = np.unique(np.round(length, 5), return_inverse=True)
    n_rings = int(ring.max()) + 1 if ring.size else 0
    speckle = np.exp(
        texture.speckle * rng.standard_normal((n_rings, grid.n_chi), dtype=np.float32)
        - texture.speckle**2 / 2
    )
    _add_rings(
        cake,
        reflections.vectors,
        length,
        reflections.intensity,
        ring,
        speckle,
        texture.crystal_axis,
        texture.sample_chi_rad,
        texture.sample_to_beam_rad,
        texture.spread_rad,
        wavelength_angstrom,
        *_grid_numbers(grid)[:3],
        shape.size_per_angstrom,
    )
    return cake


def _grid_numbers(grid: CakeGrid) -> tuple[float, float, float]:
    """Return where ln q begins, the width of its bins, and the blur in bins."""
    return float(grid.radial.log_edges[0]), grid.radial.bin_width, grid.blur_bins


@numba.njit(cache=True, nogil=True)
def _splat(cake, x, y, length, weight, log_start, log_step, blur, size, arc):  # type: ignore[no-untyped-def]
    """Add a Gaussian of that weight at the azimuth and ln q of a reflection."""
    n_chi, n_bins = cake.shape
    place_q = (math.log(2 * math.pi * length) - log_start) / log_step - 0.5
    # Rows of an image count downwards, so that its azimuth runs clockwise as seen from the source.
    place_chi = (math.atan2(-y, x) / (2 * math.pi) + 0.5) * n_chi - 0.5
    relative = size / length
    sigma_q = math.sqrt(blur * blur + (relative / log_step) ** 2)
    turn = (relative * relative + arc * arc) * (n_chi / (2 * math.pi)) ** 2
    sigma_chi = min(math.sqrt(blur * blur + turn), n_chi / 7.0)
    first_q = max(0, math.ceil(place_q - _REACH * sigma_q))
    last_q = min(n_bins - 1, math.floor(place_q + _REACH * sigma_q))
    if first_q > last_q:
        return
    scale = weight / (2 * math.pi * sigma_q * sigma_chi)
    first_chi = math.ceil(place_chi - _REACH * sigma_chi)
    last_chi = math.floor(place_chi + _REACH * sigma_chi)
    for chi in range(first_chi, last_chi + 1):
        along = scale * math.exp(-0.5 * ((chi - place_chi) / sigma_chi) ** 2)
        row = chi % n_chi
        for k in range(first_q, last_q + 1):
            cake[row, k] += along * math.exp(-0.5 * ((k - place_q) / sigma_q) ** 2)


@numba.njit(cache=True, nogil=True)
def _add_layer(  # type: ignore[no-untyped-def]
    cake, vectors, intensity, turn, thickness, log_start, log_step, blur, size, arc
):
    for k in range(vectors.shape[0]):
        h0, h1, h2 = vectors[k, 0], vectors[k, 1], vectors[k, 2]
        z = turn[2, 0] * h0 + turn[2, 1] * h1 + turn[2, 2] * h2
        if abs(z) > thickness:
            continue
        x = turn[0, 0] * h0 + turn[0, 1] * h1 + turn[0, 2] * h2
        y = turn[1, 0] * h0 + turn[1, 1] * h1 + turn[1, 2] * h2
        length = math.sqrt(x * x + y * y + z * z)
        for sign in (1.0, -1.0):
            _splat(
                cake,
                sign * x,
                sign * y,
                length,
                intensity[k],
                log_start,
                log_step,
                blur,
                size,
                arc,
            )


@numba.njit(cache=True, nogil=True)
def _add_sphere(  # type: ignore[no-untyped-def]
    cake,
    vectors,
    intensity,
    turns,
    weights,
    wavelength,
    mosaicity,
    log_start,
    log_step,
    blur,
    size,
    arc,
):
    reach = _MOSAIC_CUT * mosaicity
    for k in range(vectors.shape[0]):
        h0, h1, h2 = vectors[k, 0], vectors[k, 1], vectors[k, 2]
        length = math.sqrt(h0 * h0 + h1 * h1 + h2 * h2)
        sine = wavelength * length / 2
        if sine >= 0.99:
            continue
        theta = math.asin(sine)
        lorentz = intensity[k] / math.sin(2 * theta)
        for crystal in range(turns.shape[0]):
            turn = turns[crystal]
            z = turn[2, 0] * h0 + turn[2, 1] * h1 + turn[2, 2] * h2
            for sign in (1.0, -1.0):
                # Sines differ by less than their angles: nothing is missed.
                if abs(sign * z / length - sine) > reach:
                    continue
                off = math.asin(max(-1.0, min(1.0, sign * z / length))) - theta
                if abs(off) > reach:
                    continue
                x = sign * (turn[0, 0] * h0 + turn[0, 1] * h1 + turn[0, 2] * h2)
                y = sign * (turn[1, 0] * h0 + turn[1, 1] * h1 + turn[1, 2] * h2)
                weight = weights[crystal] * lorentz * math.exp(-0.5 * (off / mosaicity) ** 2)
                _splat(cake, x, y, length, weight, log_start, log_step, blur, size, arc)


@numba.njit(cache=True, nogil=True)
def _add_rings(  # type: ignore[no-untyped-def]
    cake,
    vectors,
    lengths,
    intensity,
    ring,
    speckle,
    axis,
    axis_chi,
    axis_to_beam,
    spread,
    wavelength,
    log_start,
    log_step,
    blur,
    size,
):
    n_chi, n_bins = cake.shape
    around = np.ones(n_chi)
    for k in range(vectors.shape[0]):
        length = lengths[k]
        sine = wavelength * length / 2
        if sine >= 0.99:
            continue
        theta = math.asin(sine)
        weight = 2 * intensity[k] / (math.sin(2 * theta) * sine) / n_chi
        place_q = (math.log(2 * math.pi * length) - log_start) / log_step - 0.5
        sigma_q = math.sqrt(blur * blur + (size / length / log_step) ** 2)
        first_q = max(0, math.ceil(place_q - _REACH * sigma_q))
        last_q = min(n_bins - 1, math.floor(place_q + _REACH * sigma_q))
        if first_q > last_q:
            continue
        if spread < 3:
            cosine = (
                vectors[k, 0] * axis[0] + vectors[k, 1] * axis[1] + vectors[k, 2] * axis[2]
            ) / length
            leaning = math.acos(max(-1.0, min(1.0, cosine)))
            # Poles of one reflection lie on a cone: the nearer to its axis, the denser.
            dense = 1 / max(math.sin(leaning), 0.5 * spread)
            for chi in range(n_chi):
                azimuth = 2 * math.pi * ((chi + 0.5) / n_chi - 0.5) - axis_chi
                pole = math.sin(axis_to_beam) * math.cos(theta) * math.cos(azimuth) - math.cos(
                    axis_to_beam
                ) * math.sin(theta)
                off = math.acos(max(-1.0, min(1.0, pole)))
                around[chi] = dense * (
                    math.exp(-0.5 * ((off - leaning) / spread) ** 2)
                    + math.exp(-0.5 * ((math.pi - off - leaning) / spread) ** 2)
                )
        for j in range(first_q, last_q + 1):
            height = (
                weight
                * math.exp(-0.5 * ((j - place_q) / sigma_q) ** 2)
                / (sigma_q * math.sqrt(2 * math.pi))
            )
            for chi in range(n_chi):
                cake[chi, j] += height * around[chi] * speckle[ring[k], chi]
