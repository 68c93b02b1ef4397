"""Whether stated confidence and prediction sets hold.

On measured RRUFF patterns, with an estimator that was calibrated on simulated ones only, and on
simulated patterns of held-out structures (recipe `laboratory`), which are the kind that
calibrated it.
"""

from typing import Any

import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.benchmarks.benchmark_result import (
    BenchmarkOptions,
    BenchmarkResult,
    Chart,
    Curve,
    Figure,
    Progress,
)
from phasepilot.models.benchmarks.drifting_stream import drift_figures
from phasepilot.models.benchmarks.held_out_patterns import held_out_structures, simulated_patterns
from phasepilot.models.benchmarks.measured_files import read_rruff
from phasepilot.models.benchmarks.metrics import (
    bootstrap_interval,
    calibration_error,
    figure_of_items,
)
from phasepilot.models.benchmarks.predictions import Predictions, predictions
from phasepilot.models.benchmarks.symmetry_figures import (
    Level,
    answer_item,
    crystal_system_level,
    space_group_level,
)
from phasepilot.models.diffraction.powder.recipe import named_recipe
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS

N_BINS = 15
RECIPE = "laboratory"
# A share of fewer patterns says little about a class.
_MIN_OF_CLASS = 10


def run(options: BenchmarkOptions, progress: Progress) -> BenchmarkResult:
    """Return how far confidence and sets can be believed.

    Raises
    ------
    ModelsError
        If patterns or structures are missing or cannot be read.
    """
    data = read_rruff(options.measured())
    rng = np.random.default_rng(0)
    progress("held-out structures", 0, 1)
    held_out = held_out_structures(
        options.structures, options.n_simulated * options.n_seeds, rng, space_groups=range(1, 231)
    )
    settings = named_recipe(RECIPE).draw(held_out.chosen.size, rng)
    second = rng.permutation(held_out.chosen)
    simulated = simulated_patterns(held_out, settings, rng, second=second)
    figures: list[Figure] = []
    items: list[dict[str, Any]] = []
    curves: list[Curve] = []
    for name, estimator in options.estimators.items():
        prefix = options.prefix(name)
        of_measured, of_simulated = (
            predictions(estimator, patterns, progress=progress, step=f"{name}, {kind}")
            for kind, patterns in (("measured", data.patterns), ("simulated", simulated))
        )
        truth = data.space_group_index
        figures += _figures(of_measured, truth, prefix, are_judged=True)
        figures += _figures(
            of_simulated, held_out.space_group_index, f"{prefix}simulated_", are_judged=False
        )
        figures += drift_figures(
            crystal_system_level(of_simulated.space_groups, held_out.space_group_index),
            crystal_system_level(of_measured.space_groups, truth),
            prefix=prefix,
            n_seeds=options.n_seeds,
        )
        items += _items(of_measured, truth, data.name, name)
        groups = space_group_level(of_measured.space_groups, truth)
        curves.append(_reliability(name, groups.confidence, groups.is_right))
    title = f"calibration on {len(data.patterns)} measured and {len(simulated)} simulated patterns"
    chart = Chart(
        "stated probability of the space group", "share that is right", (*curves, _DIAGONAL)
    )
    return BenchmarkResult(title, tuple(figures), tuple(items), _notes(options), chart)


_DIAGONAL = Curve("as stated", np.array([0.0, 1.0]), np.array([0.0, 1.0]))


def _notes(options: BenchmarkOptions) -> tuple[str, ...]:
    return (
        f"Figures without a prefix are those of {options.judged!r} on measured patterns.",
        "A search whose library holds the very structures that were simulated knows them: figures"
        " called simulated then flatter it.",
    )


def _figures(said: Predictions, truth: IntArray, prefix: str, *, are_judged: bool) -> list[Figure]:
    """Return the figures of one estimator on one kind of patterns; goals are for those judged."""
    systems = crystal_system_level(said.space_groups, truth)
    groups = space_group_level(said.space_groups, truth)
    figures = [
        _error_figure(level, prefix, "floor 0.08, goal 0.05" if are_judged else "")
        for level in (systems, groups)
    ]
    for name, sets, labels, largest in (
        ("crystal_system", said.crystal_system_sets, systems.truth, "goal 1.6"),
        ("space_group", said.space_group_sets, truth, "goal 5"),
    ):
        spoken = name.replace("_", " ")
        figures += [
            figure_of_items(
                f"{prefix}{name}_set_coverage",
                sets[np.arange(labels.size), labels],
                f"the true {spoken} is in the set{_stated_level(said)}",
                goal="floor 0.85-0.95, goal 0.88-0.92" if are_judged else "",
            ),
            figure_of_items(
                f"{prefix}{name}_set_mean_size",
                sets.sum(axis=1),
                f"{spoken}s in a set",
                goal=largest if are_judged else "",
            ),
        ]
    lowest = _lowest_coverage(said.crystal_system_sets, systems.truth, prefix, are_judged)
    return [*figures, *lowest]


def _error_figure(level: Level, prefix: str, goal: str) -> Figure:
    sure, right = level.confidence, level.is_right
    interval = bootstrap_interval(
        lambda chosen: calibration_error(sure[chosen], right[chosen], n_bins=N_BINS), sure.size
    )
    return Figure(
        f"{prefix}{level.name}_ece",
        calibration_error(sure, right, n_bins=N_BINS),
        f"mean distance of stated probability and share right, {N_BINS} bins of equal mass",
        interval.low,
        interval.high,
        goal=goal,
    )


def _stated_level(said: Predictions) -> str:
    levels = {one.set_level for one in said.estimates if one is not None}
    return f", stated for {levels.pop():g} of patterns" if len(levels) == 1 else ""


def _lowest_coverage(
    sets: BoolArray, truth: IntArray, prefix: str, are_judged: bool
) -> list[Figure]:
    """Return the coverage of the crystal system that is covered worst, of those with patterns."""
    counts = np.bincount(truth, minlength=len(CRYSTAL_SYSTEMS))
    enough = np.flatnonzero(counts >= _MIN_OF_CLASS)
    if not enough.size:
        return []
    is_covered = sets[np.arange(truth.size), truth]
    worst = min(enough, key=lambda system: float(is_covered[truth == system].mean()))
    return [
        figure_of_items(
            f"{prefix}crystal_system_set_lowest_coverage",
            is_covered[truth == worst],
            f"the same for the worst system of at least {_MIN_OF_CLASS} patterns,"
            f" {CRYSTAL_SYSTEMS[int(worst)]}",
            goal="goal 0.80" if are_judged else "",
        )
    ]


def _reliability(name: str, confidence: FloatArray, is_right: BoolArray) -> Curve:
    bins = np.array_split(np.argsort(confidence, kind="stable"), N_BINS)
    means = [(confidence[part].mean(), is_right[part].mean()) for part in bins if part.size]
    stated, right = np.array(means).T
    return Curve(name, stated, right)


def _items(
    said: Predictions, truth: IntArray, patterns: tuple[str, ...], name: str
) -> list[dict[str, Any]]:
    systems, groups = said.crystal_system_sets, said.space_group_sets
    return [
        {
            "estimator": name,
            "pattern": pattern,
            **answer_item(said.space_groups[k], int(truth[k])),
            "crystal_system_set": [CRYSTAL_SYSTEMS[j] for j in np.flatnonzero(systems[k])],
            "space_group_set": (np.flatnonzero(groups[k]) + 1).tolist(),
        }
        for k, pattern in enumerate(patterns)
    ]
