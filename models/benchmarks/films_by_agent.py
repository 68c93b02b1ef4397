"""What the agent's own classifiers say of the films that Oviedo et al. classify."""

from collections.abc import Iterator

import numpy as np
from numpy.random import default_rng

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.benchmarks.autoxrd import N_FOLDS, shuffled_folds
from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    Figure,
    Progress,
    figure_prefix,
)
from phasepilot.models.benchmarks.film_classifier import FilmMachine, compared, film_comparison
from phasepilot.models.benchmarks.film_views import films
from phasepilot.models.benchmarks.halide_films import DIMENSIONALITIES, TYPES
from phasepilot.models.benchmarks.measured_files import read_film_dimensionalities, read_thin_films
from phasepilot.models.benchmarks.metrics import figure_of_items
from phasepilot.models.benchmarks.predictions import predictions
from phasepilot.models.pattern import Pattern

# Paper's a-CNN, trained on films too (case 3), and on none (case 2).
_WITH_FILMS = {"space_group": "0.893", "dimensionality": "0.929"}
_WITHOUT = {"space_group": "0.802", "dimensionality": "0.837"}


def agent_figures(
    options: BenchmarkOptions, seeds: tuple[int, ...], progress: Progress
) -> Iterator[Figure]:
    """Yield how right the agent is about the films: trained on other films, and on none.

    Raises
    ------
    ModelsError, PatternError
        If there are no films.
    """
    by_group = read_thin_films(options.measured())
    by_dimension = read_film_dimensionalities(options.measured())
    groups = np.array(sorted(TYPES))
    of_group = np.array([DIMENSIONALITIES.index(TYPES[int(one)][2]) for one in groups])
    asked: dict[str, tuple[tuple[Pattern, ...], IntArray, IntArray]] = {
        "space_group": (
            by_group.patterns,
            np.searchsorted(groups, by_group.space_group_number),
            np.arange(groups.size),
        ),
        "dimensionality": (
            by_dimension.patterns,
            np.array([DIMENSIONALITIES.index(one) for one in by_dimension.dimensionality]),
            of_group,
        ),
    }
    for what, (patterns, truth, class_of_group) in asked.items():
        spoken = what.replace("_", " ")
        progress(f"agent, {spoken}", 0, 1)
        yield figure_of_items(
            f"agent_films_{what}",
            _trained_on_films(patterns, truth, seeds),
            f"films whose {spoken} is told rightly by the agent's classifier of films, a support"
            " vector machine, trained on four of five films and on nothing simulated",
            anchor=f"a-CNN {_WITH_FILMS[what]}",
        )
        for name, estimator in options.estimators.items():
            said = predictions(estimator, patterns, progress=progress, step=f"{name}, {spoken}")
            answer = _of_classes(said.space_groups[:, groups - 1], class_of_group).argmax(axis=1)
            yield figure_of_items(
                f"agent_{figure_prefix(name)}{what}",
                answer == truth,
                f"films whose {spoken} is told rightly by the agent's network, trained on no film"
                " and told which space groups occur",
                anchor=f"a-CNN {_WITHOUT[what]}",
            )


def _trained_on_films(
    patterns: tuple[Pattern, ...], truth: IntArray, seeds: tuple[int, ...]
) -> BoolArray:
    """Return whether each film is told rightly, shape (n_seeds, n_films)."""
    measured = films(patterns)
    comparison = film_comparison(measured, default_rng(0))
    shown = compared(comparison, measured)
    answer = np.zeros((len(seeds), truth.size), dtype=np.int64)
    for row, seed in zip(answer, seeds, strict=True):
        fold = shuffled_folds(truth.size, seed)
        for number in range(N_FOLDS):
            train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            row[test] = FilmMachine(comparison, truth, train).labels(shown, test)
    return np.asarray(answer == truth)


def _of_classes(space_groups: FloatArray, class_of_group: IntArray) -> FloatArray:
    """Return the sums over the groups of each class, shape (n_films, n_classes)."""
    return np.asarray(space_groups @ np.eye(class_of_group.max() + 1)[class_of_group])
