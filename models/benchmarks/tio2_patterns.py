"""Patterns as the post on titanium oxides simulates them, and any pattern on its axis."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.pattern_augmentation import rescale_min_max
from phasepilot.models.diffraction.powder.recipe import named_recipe
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.identification.search_index import SearchIndex
from phasepilot.models.identification.weight_fractions import densities
from phasepilot.models.pattern import Pattern, two_theta_from_q

RECIPE = "tio2-post"
TWO_THETA_DEG: FloatArray = np.linspace(5.0, 90.0, 8501)
# Of the post's simulations.
WAVELENGTH_ANGSTROM = 1.54184


@dataclass(frozen=True, slots=True)
class Mixture:
    """Two phases of an index in known amounts.

    Attributes
    ----------
    first, second : int
        Numbers of the structures.
    second_weight : float
        Weight fraction of the second, 0 to 1.
    """

    first: int
    second: int
    second_weight: float


def simulated(
    index: SearchIndex, structures: IntArray, rng: Generator, *, recipe: str = RECIPE
) -> list[Pattern]:
    """Return one measurement of each of these structures, by a recipe.

    Raises
    ------
    PatternError
        If a pattern shows no line.
    """
    settings = named_recipe(recipe).draw(structures.size, rng)
    settings = replace(
        settings,
        columns={**settings.columns, "impurity_fraction": np.zeros((structures.size, 1))},
    )
    patterns = PatternSimulator(index.sticks, NumpyBackend(rng)).simulate(structures, settings)
    return [patterns.pattern(k) for k in range(structures.size)]


def simulated_mixtures(
    index: SearchIndex, mixtures: Sequence[Mixture], rng: Generator, *, recipe: str = RECIPE
) -> list[Pattern]:
    """Return one measurement of each mixture; both phases have the same strain and texture.

    Raises
    ------
    PatternError
        As `simulated`.
    """
    settings = named_recipe(recipe).draw(len(mixtures), rng)
    first, second = (
        np.array([getattr(one, name) for one in mixtures]) for name in ("first", "second")
    )
    density = densities(index)
    weight = np.array([one.second_weight for one in mixtures])
    parts = (1 - weight) / density[first], weight / density[second]
    share = (parts[1] / (parts[0] + parts[1]))[:, None]
    settings = replace(settings, columns={**settings.columns, "impurity_fraction": share})
    patterns = PatternSimulator(index.sticks, NumpyBackend(rng)).simulate(first, settings, second)
    return [patterns.pattern(k) for k in range(len(mixtures))]


def on_post_axis(patterns: Sequence[Pattern]) -> Float32Array:
    """Return patterns as the post's network takes them, shape (n_patterns, 8501), from 0 to 1.

    As in the post, what was not measured repeats the first or the last point. Other wavelengths are
    brought to the angles of the post's.
    """
    rows = []
    for pattern in patterns:
        q, intensity = (
            pattern.q_per_angstrom[pattern.is_measured],
            pattern.intensity[pattern.is_measured],
        )
        angle = two_theta_from_q(q, WAVELENGTH_ANGSTROM)
        reached = np.isfinite(angle)
        rows.append(np.interp(TWO_THETA_DEG, angle[reached], intensity[reached]))
    return rescale_min_max(np.array(rows)).astype(np.float32)
