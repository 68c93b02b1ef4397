"""Cakes drawn straight from lists of reflections, without an image in between.

A cell holds what all its pixels count, not their mean: a spot then stands as strong at any radius.
The frame is that of `spot_pattern`: the image seen from the source, x to the right, y up; the
azimuth of a cake runs the other way round, from columns to rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phasepilot.models.arrays import Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.images.cake_grid import CakeGrid
from phasepilot.models.diffraction.images.cake_kernels import (
    add_layer,
    add_rings,
    add_sphere,
    add_zone,
)


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
    add_layer(
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


@dataclass(frozen=True, slots=True)
class RadialFactors:
    """What multiplies |F|^2 besides.

    Attributes
    ----------
    lorentz_wavelength_angstrom : float
        Of the paper's Lorentz and polarisation factor, (1 + cos^2 2-theta) / (cos theta
        sin^2 theta), which stops growing at 2-theta = 150 degree; 0 for none.
    power : float
        Of |H|.
    b_square_angstrom : float
        Of a further Debye-Waller factor exp(-b |H|^2 / 2).
    contrast : float
        |F|^2 is raised to it.
    """

    lorentz_wavelength_angstrom: float = 0.0
    power: float = 0.0
    b_square_angstrom: float = 0.0
    contrast: float = 1.0


def zone_cake(
    hkl: NDArray[np.int8],
    intensity: Float32Array,
    reciprocal: FloatArray,
    zone_axis: IntArray,
    turn_rad: float,
    grid: CakeGrid,
    shape: SpotShape,
    factors: RadialFactors,
) -> Float32Array:
    """Return the cake of the reflections with hu + kv + lw = 0, shape (n_chi, n_bins).

    The same as `layer_cake` of an orientation with that direction of the lattice at the source,
    in a tenth of the time.

    Parameters
    ----------
    reciprocal : ndarray, shape (3, 3)
        Rows a*, b*, c*, without 2 pi.
    zone_axis : ndarray of int, shape (3,)
    turn_rad : float
        Turn about the beam.
    """
    cake = np.zeros(grid.shape, dtype=np.float32)
    add_zone(
        cake,
        hkl,
        intensity,
        np.ascontiguousarray(reciprocal, dtype=np.float64),
        zone_axis,
        turn_rad,
        *_grid_numbers(grid),
        shape.size_per_angstrom,
        np.radians(shape.arc_deg),
        factors.lorentz_wavelength_angstrom,
        factors.power,
        factors.b_square_angstrom,
        factors.contrast,
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
    add_sphere(
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
    add_rings(
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
