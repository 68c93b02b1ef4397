"""Cakes for training, straight from lists of reflections: crystals, grains and powders."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Literal, get_args

import numpy as np
from numpy.random import Generator
from scipy.spatial.transform import Rotation

from phasepilot.models.arrays import Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.images.cake_drawing import (
    RadialFactors,
    ReflectionList,
    SpotShape,
    Texture,
    ring_cake,
    sphere_cake,
    zone_cake,
)
from phasepilot.models.diffraction.images.cake_grid import CakeGrid
from phasepilot.models.diffraction.images.reflection_store import Reflections, ReflectionStore
from phasepilot.models.diffraction.images.spot_settings import CU_K_ALPHA_ANGSTROM
from phasepilot.models.preprocessing.cake_input import cake_input, scaled_roots
from phasepilot.models.training.cake_nuisances import Nuisances, measured_cake

CakeKind = Literal["ideal", "zone", "crystal", "grains", "powder"]
KINDS: tuple[CakeKind, ...] = get_args(CakeKind)
# Where the benchmark looks for what was not trained on.
TEST_AXES = ((1, 3, 1), (2, 1, 1), (0, 1, 1), (1, 2, 0))
_MOST_RING_REFLECTIONS = 200
_MOST_GRAIN_REFLECTIONS = 400


def trained_zone_axes(highest: int = 3) -> IntArray:
    """Return all directions with indices up to that number, one of each pair of opposite ones.

    Those that the benchmark tests are left out, but not what a cubic crystal cannot tell from them.
    """
    found = []
    for axis in product(range(-highest, highest + 1), repeat=3):
        first = next((index for index in axis if index), 0)
        if first > 0 and np.gcd.reduce(axis) == 1 and axis not in TEST_AXES:
            found.append(axis)
    return np.array(found)


_AXES = trained_zone_axes()
_POSITIVE_AXES = _AXES[(_AXES >= 0).all(axis=1)]


@dataclass(frozen=True, slots=True)
class CakeRecipe:
    """How often cakes of each kind are drawn, and how far lattices are scaled.

    Attributes
    ----------
    shares : mapping from kind to float
        They add up to 1.
    scaling : float
        Standard deviation of ln (lattice).
    nuisances : Nuisances
    """

    shares: Mapping[CakeKind, float] = field(
        default_factory=lambda: {
            "ideal": 0.05,
            "zone": 0.2,
            "crystal": 0.3,
            "grains": 0.2,
            "powder": 0.25,
        }
    )
    scaling: float = 0.06
    nuisances: Nuisances = field(default_factory=Nuisances)


@dataclass(frozen=True, slots=True)
class CakeBatch:
    """Network inputs and their labels.

    Attributes
    ----------
    inputs : ndarray of float32, shape (n_cakes, 2, n_chi, n_bins)
    space_group_index : ndarray of int, shape (n_cakes,)
    """

    inputs: Float32Array
    space_group_index: IntArray


def synthesise_cakes(
    store: ReflectionStore,
    chosen: IntArray,
    *,
    recipe: CakeRecipe,
    grid: CakeGrid,
    rng: Generator,
) -> CakeBatch:
    """Return one simulated cake of each chosen structure."""
    shares = np.array([recipe.shares.get(kind, 0.0) for kind in KINDS])
    kinds = rng.choice(len(KINDS), chosen.size, p=shares / shares.sum())
    inputs = np.empty((chosen.size, 2, *grid.shape), dtype=np.float32)
    for place, (number, kind) in enumerate(zip(chosen.tolist(), kinds, strict=True)):
        inputs[place] = drawn_cake(store, number, KINDS[kind], recipe=recipe, grid=grid, rng=rng)
    return CakeBatch(inputs, np.asarray(store.space_group_number[chosen]) - 1)


def drawn_cake(
    store: ReflectionStore,
    number: int,
    kind: CakeKind,
    *,
    recipe: CakeRecipe,
    grid: CakeGrid,
    rng: Generator,
) -> Float32Array:
    """Return the input of one cake of that kind, shape (2, n_chi, n_bins)."""
    signal = np.zeros(grid.shape, dtype=np.float32)
    for _ in range(3):  # an orientation may show nothing
        found = store.reflections(number)
        scale = np.exp(-rng.normal(0, recipe.scaling))
        crystal = Reflections(found.hkl, found.intensity, np.asarray(found.reciprocal) * scale)
        signal = _DRAWERS[kind](crystal, grid, rng)
        if signal.any():
            break
    if kind == "ideal":
        return scaled_roots(signal, np.ones(grid.shape, dtype=bool))
    return cake_input(*measured_cake(signal, grid, recipe.nuisances, rng))


def _ideal(crystal: Reflections, grid: CakeGrid, rng: Generator) -> Float32Array:
    """Return a zone as the paper has it: Cu K-alpha, its Lorentz and polarisation factor."""
    size = 0.0 if rng.random() < 0.6 else rng.uniform(0.003, 0.015)
    factors = RadialFactors(CU_K_ALPHA_ANGSTROM)
    return _zone_cake(crystal, grid, SpotShape(size), factors, rng)


def _zone(crystal: Reflections, grid: CakeGrid, rng: Generator) -> Float32Array:
    """Return a zone of which the radial factors are not known."""
    factors = RadialFactors(
        power=rng.uniform(-2.3, 0.3),
        b_square_angstrom=rng.uniform(-0.4, 1.5),
        contrast=rng.uniform(0.75, 1.3),
    )
    return _zone_cake(crystal, grid, _spot_shape(rng), factors, rng)


def _zone_cake(
    crystal: Reflections,
    grid: CakeGrid,
    shape: SpotShape,
    factors: RadialFactors,
    rng: Generator,
) -> Float32Array:
    axes = _POSITIVE_AXES if rng.random() < 0.5 else _AXES
    axis = axes[rng.integers(len(axes))] * (1 if rng.random() < 0.5 else -1)
    turn_rad = rng.uniform(0, 2 * np.pi)
    numbers = crystal.hkl, crystal.intensity, crystal.reciprocal, axis, turn_rad
    return zone_cake(*numbers, grid, shape, factors)


def _vectors(crystal: Reflections) -> ReflectionList:
    vectors = crystal.hkl.astype(np.float64) @ crystal.reciprocal
    return ReflectionList(vectors, crystal.intensity.astype(np.float64))


def _crystal(crystal: Reflections, grid: CakeGrid, rng: Generator) -> Float32Array:
    """Return a crystal in any orientation, of small or large mosaicity or slightly rotated."""
    return sphere_cake(
        _weathered(_vectors(crystal), (-0.6, 0.6), rng),
        _any_orientations(1, rng),
        np.ones(1),
        grid,
        _spot_shape(rng),
        wavelength_angstrom=_wavelength(rng),
        mosaicity_deg=float(np.exp(rng.uniform(np.log(0.3), np.log(6.0)))),
    )


def _grains(crystal: Reflections, grid: CakeGrid, rng: Generator) -> Float32Array:
    """Return a few crystals to spotty rings."""
    n_grains = int(np.exp(rng.uniform(np.log(2), np.log(120))))
    return sphere_cake(
        _strongest(_weathered(_vectors(crystal), (-0.6, 0.6), rng), _MOST_GRAIN_REFLECTIONS),
        _any_orientations(n_grains, rng),
        rng.exponential(size=n_grains),
        grid,
        _spot_shape(rng),
        wavelength_angstrom=_wavelength(rng),
        mosaicity_deg=float(np.exp(rng.uniform(np.log(0.2), np.log(3.0)))),
    )


def _powder(crystal: Reflections, grid: CakeGrid, rng: Generator) -> Float32Array:
    """Return rings: smooth, speckled or textured."""
    axis = rng.standard_normal(3)
    texture = Texture(
        crystal_axis=axis / np.linalg.norm(axis),
        sample_chi_rad=rng.uniform(-np.pi, np.pi),
        sample_to_beam_rad=rng.uniform(0, np.pi / 2),
        spread_rad=rng.uniform(0.2, 1.2) if rng.random() < 0.5 else np.pi,
        speckle=rng.uniform(0, 1.2) if rng.random() < 0.6 else 0.0,
    )
    return ring_cake(
        _strongest(_weathered(_vectors(crystal), (-0.5, 0.5), rng), _MOST_RING_REFLECTIONS),
        texture,
        grid,
        _spot_shape(rng),
        wavelength_angstrom=_wavelength(rng),
        rng=rng,
    )


_DRAWERS = {
    "ideal": _ideal,
    "zone": _zone,
    "crystal": _crystal,
    "grains": _grains,
    "powder": _powder,
}


def _any_orientations(n: int, rng: Generator) -> FloatArray:
    return np.asarray(Rotation.random(n, random_state=rng).as_matrix())


def _weathered(
    reflections: ReflectionList, powers: tuple[float, float], rng: Generator
) -> ReflectionList:
    """Return intensities times a power of |H|, another temperature factor and a contrast."""
    squared = np.square(reflections.vectors).sum(axis=1)
    factor = squared ** (rng.uniform(*powers) / 2) * np.exp(-rng.uniform(-0.4, 1.5) * squared / 2)
    contrast = rng.uniform(0.75, 1.3)
    return ReflectionList(reflections.vectors, reflections.intensity**contrast * factor)


def _strongest(reflections: ReflectionList, n_most: int) -> ReflectionList:
    if reflections.intensity.size <= n_most:
        return reflections
    kept = np.argpartition(reflections.intensity, -n_most)[-n_most:]
    return ReflectionList(reflections.vectors[kept], reflections.intensity[kept])


def _spot_shape(rng: Generator) -> SpotShape:
    size = np.exp(rng.uniform(np.log(0.002), np.log(0.02)))
    arc = 0.0 if rng.random() < 0.6 else np.exp(rng.uniform(np.log(0.5), np.log(6.0)))
    return SpotShape(float(size), float(arc))


def _wavelength(rng: Generator) -> float:
    return float(np.exp(rng.uniform(np.log(0.2), np.log(1.6))))
