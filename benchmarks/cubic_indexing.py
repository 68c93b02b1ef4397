"""Fit and judge the logistic model that says whether a pattern is cubic, on simulated patterns.

    python benchmarks/cubic_indexing.py --structures STORE [--patterns 160]

STORE is a folder of stick lists (`phasepilot structures sticks`). The coefficients are fitted on
families that networks are trained on, the table is of held-out families. Each recipe gives the same
number of patterns, half of them cubic, lattices stretched by -20 to 25 %; a quarter of the others
have a cell within 3 % of a cubic one. Coefficients belong into models/estimation/cubic_indexing.py.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.random import Generator
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.benchmarks.metrics import area_under_roc
from phasepilot.models.diffraction.powder.backend import NumpyBackend
from phasepilot.models.diffraction.powder.recipe import Recipe, named_recipe
from phasepilot.models.diffraction.powder.simulation import PatternSimulator
from phasepilot.models.diffraction.stick_store import StickStore, open_stick_store
from phasepilot.models.estimation.cubic_indexing import MAX_LOG_ODDS, index_as_cubic
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.preprocessing.preparation import prepare_pattern

RECIPES = ("ideal", "laboratory", "careful-laboratory")
# Crystal systems other than cubic, by their last space group; all equally often.
SYSTEM_ENDS = (0, 2, 15, 74, 142, 167, 194)
# c / a of tetragonal and of hexagonal cells that are cubic ones in another setting.
CUBIC_TETRAGONAL = (1.0, 2**0.5, 2**-0.5)
CUBIC_HEXAGONAL = (1.5**0.5, 6**0.5, 24**0.5)
NEARLY = 0.03
BLOCK = 40
# Keeps coefficients finite where the features separate the classes.
RIDGE = 1e-4


@dataclass(frozen=True, slots=True)
class Sample:
    """Indexed patterns.

    Attributes
    ----------
    features : ndarray, shape (n_patterns, n_features)
    is_indexed, is_cubic, is_pseudo_cubic : ndarray of bool, shape (n_patterns,)
    seconds : ndarray, shape (n_patterns,)
        What the indexing took.
    """

    features: FloatArray
    is_indexed: BoolArray
    is_cubic: BoolArray
    is_pseudo_cubic: BoolArray
    seconds: FloatArray


def is_pseudo_cubic(store: StickStore) -> BoolArray:
    """Return which crystals are not cubic but have such a cell nearly."""
    number = np.asarray(store.space_group_number)
    a, b, c = np.moveaxis(1 / np.linalg.norm(store.reciprocal, axis=2), 1, 0)
    is_tetragonal = (number >= 75) & (number <= 142)
    is_trigonal = (number >= 143) & (number <= 167)
    is_orthorhombic = (number >= 16) & (number <= 74)
    # A hexagonal cell has a = 2 / (sqrt 3 |a*|).
    hexagonal = c / a * 3**0.5 / 2
    longest, shortest = np.maximum(np.maximum(a, b), c), np.minimum(np.minimum(a, b), c)
    nearly_tetragonal = (np.abs(np.subtract.outer(CUBIC_TETRAGONAL, c / a)) < NEARLY).any(axis=0)
    ratios = np.array(CUBIC_HEXAGONAL)[:, None]
    nearly_hexagonal = (np.abs(hexagonal / ratios - 1) < NEARLY).any(axis=0)
    return np.asarray(
        (is_tetragonal & nearly_tetragonal)
        | (is_trigonal & nearly_hexagonal)
        | (is_orthorhombic & (longest / shortest < 1 + NEARLY))
    )


def chosen_structures(
    store: StickStore, allowed: BoolArray, n_patterns: int, rng: Generator
) -> IntArray:
    """Return so many structures: half cubic, an eighth pseudo-cubic, the rest of all systems."""
    number = np.asarray(store.space_group_number)
    n_pseudo = n_patterns // 8
    parts = [
        rng.choice(np.flatnonzero(allowed & (number >= 195)), n_patterns // 2),
        rng.choice(np.flatnonzero(allowed & is_pseudo_cubic(store)), n_pseudo),
    ]
    systems = rng.integers(len(SYSTEM_ENDS) - 1, size=n_patterns - n_patterns // 2 - n_pseudo)
    for system, count in enumerate(np.bincount(systems)):
        low, high = SYSTEM_ENDS[system : system + 2]
        members = np.flatnonzero(allowed & (number > low) & (number <= high))
        parts.append(rng.choice(members, count))
    return np.concatenate(parts)


def indexed_sample(store: StickStore, chosen: IntArray, recipe: Recipe, rng: Generator) -> Sample:
    """Return what indexing makes of one simulated, stretched measurement of each structure."""
    patterns = []
    for block in np.array_split(chosen, max(1, chosen.size // BLOCK)):
        impurities = rng.integers(store.n_structures, size=block.size)
        scales = rng.uniform(0.8, 1.25, size=(block.size, 1))
        drawn = recipe.draw(block.size, rng)
        settings = replace(drawn, columns={**drawn.columns, "isotropic_strain": scales - 1})
        simulator = PatternSimulator(store, NumpyBackend(rng))
        measured = simulator.simulate_unchecked(block, settings, impurities)
        patterns += [measured.pattern(k) for k in range(block.size)]
    rows, seconds = [], []
    for pattern in patterns:
        prepared = prepare_pattern(pattern, Preprocessing())
        start = perf_counter()
        rows.append(index_as_cubic(prepared))
        seconds.append(perf_counter() - start)
    return Sample(
        features=np.stack([row.features for row in rows]),
        is_indexed=np.array([bool(row.centring) for row in rows]),
        is_cubic=np.asarray(store.space_group_number[chosen] >= 195),
        is_pseudo_cubic=is_pseudo_cubic(store)[chosen],
        seconds=np.array(seconds),
    )


def joined(samples: list[Sample]) -> Sample:
    """Return the patterns of several samples as one."""
    names = Sample.__slots__
    return Sample(*(np.concatenate([getattr(one, name) for one in samples]) for name in names))


def fitted(sample: Sample) -> FloatArray:
    """Return intercept and coefficients of the logistic model, the intercept first."""
    features = _with_ones(sample)[sample.is_indexed]
    sign = np.where(sample.is_cubic[sample.is_indexed], 1.0, -1.0)

    def loss(coefficients: FloatArray) -> float:
        margins = sign * (features @ coefficients)
        return float(np.logaddexp(0, -margins).mean() + RIDGE * (coefficients[1:] ** 2).sum())

    return np.asarray(minimize(loss, np.zeros(features.shape[1])).x)


def log_odds(sample: Sample, coefficients: FloatArray) -> FloatArray:
    """Return what `cubic_log_odds` would say with these coefficients."""
    odds = np.clip(_with_ones(sample) @ coefficients, -MAX_LOG_ODDS, MAX_LOG_ODDS)
    return np.where(sample.is_indexed, odds, 0.0)


def _with_ones(sample: Sample) -> FloatArray:
    return np.column_stack((np.ones(sample.is_cubic.size), sample.features))


def table(judged: dict[str, Sample], coefficients: FloatArray) -> Table:
    """Return how well held-out families are told apart, one row a recipe."""
    result = Table(title="cubic or not, families that nothing was fitted to, stretched lattices")
    columns = ("recipe", "patterns", "ROC AUC", "right", "cubic > 2", "others < -2", "others > 2")
    for column in (*columns, "pseudo-cubic > 2", "log loss", "ms"):
        result.add_column(column, justify="left" if column == "recipe" else "right")
    for name, sample in judged.items():
        odds, is_cubic = log_odds(sample, coefficients), sample.is_cubic
        cubic, others = odds[is_cubic], odds[~is_cubic]
        sign = np.where(is_cubic, 1.0, -1.0)
        figures = (
            area_under_roc(cubic, others),
            (sign * odds > 0).mean(),
            (cubic > 2).mean(),
            (others < -2).mean(),
            (others > 2).mean(),
            (odds[sample.is_pseudo_cubic] > 2).mean(),
            np.logaddexp(0, -sign * odds).mean(),
        )
        ms = np.median(sample.seconds) * 1e3
        result.add_row(name, f"{odds.size}", *(f"{one:.3f}" for one in figures), f"{ms:.1f}")
    return result


def main() -> None:
    """Fit, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--structures", type=Path, required=True, help="folder of stick lists")
    parser.add_argument("--patterns", type=int, default=160, help="patterns a recipe and set")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    store, rng = open_stick_store(arguments.structures), np.random.default_rng(arguments.seed)
    samples: dict[str, list[Sample]] = {"fit": [], "judge": []}
    for name in RECIPES:
        for use, allowed in (("fit", ~store.is_held_out), ("judge", store.is_held_out)):
            chosen = chosen_structures(store, allowed, arguments.patterns, rng)
            samples[use].append(indexed_sample(store, chosen, named_recipe(name), rng))
    coefficients = fitted(joined(samples["fit"]))
    judged = dict(zip(RECIPES, samples["judge"], strict=True))
    console = Console(width=140)
    console.print(table({**judged, "all": joined(samples["judge"])}, coefficients))
    console.print(f"INTERCEPT = {coefficients[0]:.2f}")
    console.print(f"COEFFICIENTS = ({', '.join(f'{one:.2f}' for one in coefficients[1:])})")


if __name__ == "__main__":
    main()
