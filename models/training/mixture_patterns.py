"""Patterns of two phases in equal volumes and of single phases, as a recipe measures both."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import BoolArray, Float32Array, FloatArray, IntArray
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.recipe import Settings, named_recipe
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.diffraction.stick_store import StickStore
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.preprocessing.preparation import prepared
from phasepilot.models.training.synthesis import on_log_q

_BLOCK = 64


@dataclass(frozen=True, slots=True)
class MixturePatterns:
    """Network inputs, half of them of mixtures.

    Attributes
    ----------
    inputs : ndarray, shape (n_patterns, 2, n_bins)
    is_mixture : ndarray of bool, shape (n_patterns,)
        Others are of one phase, with as much of a second as the recipe puts in.
    weaker_share : ndarray, shape (n_patterns,)
        Of the intensity of all lines, that of the weaker phase: 0 to 0.5.
    """

    inputs: Float32Array
    is_mixture: BoolArray
    weaker_share: FloatArray


@dataclass(frozen=True, slots=True)
class MixtureSource:
    """Where they come from.

    Attributes
    ----------
    store : StickStore
    structures : ndarray of int
        Those of the store that samples are made of, all equally likely.
    recipe_name : str
        See `phasepilot recipes`.
    preprocessing : Preprocessing
    """

    store: StickStore
    structures: IntArray
    recipe_name: str
    preprocessing: Preprocessing

    def draw(self, n_structures: int, rng: Generator) -> MixturePatterns:
        """Return twice as many patterns: of each structure alone, and of each with another.

        What a structure looks like by itself therefore tells nothing.
        """
        first = rng.choice(self.structures, n_structures)
        second = np.roll(first, int(rng.integers(1, max(2, n_structures))))
        single = self._simulated(first, rng.permutation(first), None, rng)
        mixed = self._simulated(first, second, 0.5, rng)
        inputs, shares = (np.concatenate(parts) for parts in zip(*single, *mixed, strict=True))
        return MixturePatterns(inputs, np.arange(inputs.shape[0]) >= n_structures, shares)

    def draw_usual(self, n_patterns: int, rng: Generator) -> Float32Array:
        """Return inputs of usual patterns alone."""
        first, second = (rng.choice(self.structures, n_patterns) for _ in range(2))
        return np.concatenate([inputs for inputs, _ in self._simulated(first, second, None, rng)])

    def _simulated(
        self, first: IntArray, second: IntArray, fraction: float | None, rng: Generator
    ) -> Iterator[tuple[Float32Array, FloatArray]]:
        """Yield inputs and shares block by block; without a fraction the recipe says it."""
        simulator = PatternSimulator(self.store, NumpyBackend(rng))
        grid, recipe = self.preprocessing.grid.grid(), named_recipe(self.recipe_name)
        for start in range(0, first.size, _BLOCK):
            one, other = first[start : start + _BLOCK], second[start : start + _BLOCK]
            settings = recipe.draw(one.size, rng)
            if fraction is not None:
                settings = with_second_phase(settings, fraction)
            patterns = simulator.simulate_unchecked(one, settings, other)
            intensity, is_measured = on_log_q(
                patterns.intensity, patterns.is_covered, patterns.axis, grid
            )
            areas = simulator.phase_intensities(one, settings, other)
            total = areas.sum(axis=1)
            share = areas.min(axis=1) / np.where(total > 0, total, 1.0)
            yield prepared(intensity, is_measured, self.preprocessing), share


def with_second_phase(settings: Settings, fraction: float) -> Settings:
    """Return the settings with so much of the volume of a second phase in every sample."""
    columns = {**settings.columns, "impurity_fraction": np.full((settings.n_patterns, 1), fraction)}
    return replace(settings, columns=columns)
