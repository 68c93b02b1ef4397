"""Simulated mixtures of two phases in known amounts, and what is said of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import default_rng

from phasepilot.models.arrays import FloatArray
from phasepilot.models.benchmarks.benchmark_result import Progress
from phasepilot.models.benchmarks.tio2_matching import LibraryMatching, Said
from phasepilot.models.benchmarks.tio2_patterns import RECIPE, Mixture, simulated_mixtures
from phasepilot.models.benchmarks.tio2_phases import TitaniaPhases
from phasepilot.models.pattern import Pattern

# The post's recipe moves lattices by 4 % and halves lines; samples are rarely so far from a
# library as that.
RECIPES = (RECIPE, "careful-laboratory")
SECOND_WEIGHTS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
_EACH = 2
_EXAMPLE_WEIGHT = 0.25


@dataclass(frozen=True, slots=True)
class Pair:
    """Two phases by name; the first is a class of the network."""

    first: str
    second: str

    @property
    def name(self) -> str:
        """In names of figures."""
        return f"{self.first}_{self.second}"


PAIRS = (Pair("anatase", "rutile"), Pair("rutile", "hematite"))


@dataclass(frozen=True, slots=True)
class RecipeAnswers:
    """What is said of the mixtures of one recipe.

    Attributes
    ----------
    second_weight : ndarray, shape (n_mixtures,)
    said : list of Said
        With both phases in the library.
    classes_said : list of Said
        With the classes alone in the library: the same where both are classes.
    probabilities : ndarray, shape (n_mixtures, n_classes)
        Of the network of the same seed.
    """

    second_weight: FloatArray
    said: list[Said]
    classes_said: list[Said]
    probabilities: FloatArray


@dataclass(frozen=True, slots=True)
class MixtureAnswers:
    """What is said of one pair, by recipe; and a mixture to draw."""

    pair: Pair
    names: list[str]
    by_recipe: dict[str, RecipeAnswers]
    example: Pattern

    @property
    def example_name(self) -> str:
        """What the example is."""
        share = _EXAMPLE_WEIGHT
        return f"{1 - share:.0%} {self.pair.first}, {share:.0%} {self.pair.second} by weight"


def mixture_answers(
    pair: Pair,
    phases: TitaniaPhases,
    probabilities: Callable[[list[Pattern]], FloatArray],
    n_seeds: int,
    progress: Progress,
) -> MixtureAnswers:
    """Return what is said of mixtures of two phases, from little of the second to little else.

    Parameters
    ----------
    probabilities : callable
        From patterns to what the network of every seed says, shape (n_seeds, n, n_classes).
    """
    index = phases.extended
    names = [str(name) for name in index.labels.name]
    first, second = names.index(pair.first), names.index(pair.second)
    rng = default_rng([first, second])
    matching, extended = LibraryMatching(phases.polymorphs), LibraryMatching(index)
    weights = np.tile(np.repeat(SECOND_WEIGHTS, _EACH), n_seeds)
    mixtures = [Mixture(first, second, weight) for weight in weights.tolist()]
    by_recipe = {}
    for recipe in RECIPES:
        patterns = simulated_mixtures(index, mixtures, rng, recipe=recipe)
        step = f"{pair.name}, {recipe}"
        alone = matching.say_all(patterns, progress, step)
        both = alone
        if pair.second not in phases.names:
            both = extended.say_all(patterns, progress, f"{step}, {pair.second} known")
        of_seeds = probabilities(patterns)
        seed = np.arange(len(patterns)) // (len(SECOND_WEIGHTS) * _EACH)
        by_recipe[recipe] = RecipeAnswers(
            weights, both, alone, of_seeds[seed, np.arange(len(patterns))]
        )
    (example,) = simulated_mixtures(
        index, [Mixture(first, second, _EXAMPLE_WEIGHT)], default_rng(0), recipe=RECIPES[-1]
    )
    return MixtureAnswers(pair, names, by_recipe, example)
