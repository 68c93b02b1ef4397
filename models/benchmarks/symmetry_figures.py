"""Figures of how right probabilities of symmetry are, the same for every estimator and protocol."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from phasepilot.models.arrays import BoolArray, FloatArray, IntArray
from phasepilot.models.benchmarks.benchmark_result import Figure
from phasepilot.models.benchmarks.metrics import (
    accuracy_at_coverage,
    area_under_risk_coverage,
    bootstrap_interval,
    figure_of_items,
    is_within_top,
    macro_f1,
)
from phasepilot.models.networks.symmetry_levels import (
    EXTINCTION_OF_SPACE_GROUP,
    SYSTEM_OF_SPACE_GROUP,
    crystal_system_probabilities,
    extinction_probabilities,
)
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS

HALF = 0.5


@dataclass(frozen=True, slots=True)
class Level:
    """Answers at one level of symmetry against the truth.

    Attributes
    ----------
    name : str
        ``crystal_system``, ``extinction_class`` or ``space_group``.
    probabilities : ndarray, shape (n_items, n_classes)
    truth : ndarray of int, shape (n_items,)
    """

    name: str
    probabilities: FloatArray
    truth: IntArray

    @property
    def answer(self) -> IntArray:
        """Most probable class, shape (n_items,)."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def is_right(self) -> BoolArray:
        """Whether that is the true one, shape (n_items,)."""
        return np.asarray(self.answer == self.truth)

    @property
    def confidence(self) -> FloatArray:
        """Probability of the answer, shape (n_items,)."""
        return np.asarray(self.probabilities.max(axis=1))


def crystal_system_level(space_groups: FloatArray, truth: IntArray) -> Level:
    """Return the level of crystal systems, from probabilities and indices of space groups."""
    return Level(
        "crystal_system", crystal_system_probabilities(space_groups), SYSTEM_OF_SPACE_GROUP[truth]
    )


def extinction_level(space_groups: FloatArray, truth: IntArray) -> Level:
    """Return the level of extinction classes, from probabilities and indices of space groups."""
    probabilities = extinction_probabilities(space_groups)
    return Level("extinction_class", probabilities, EXTINCTION_OF_SPACE_GROUP[truth])


def space_group_level(space_groups: FloatArray, truth: IntArray) -> Level:
    """Return the level of space groups."""
    return Level("space_group", space_groups, truth)


def accuracy_figure(level: Level, prefix: str, *, anchor: str = "", goal: str = "") -> Figure:
    """Return the share of items whose most probable class is the true one."""
    meaning = f"most probable {_spoken(level)} is the true one"
    name = f"{prefix}{level.name}_accuracy"
    return figure_of_items(name, level.is_right, meaning, anchor=anchor, goal=goal)


def top_figure(level: Level, prefix: str, n_best: int) -> Figure:
    """Return the share of items whose true class is among the most probable."""
    scores = is_within_top(level.probabilities, level.truth, n_best)
    meaning = f"true {_spoken(level)} is among the {n_best} most probable"
    return figure_of_items(f"{prefix}{level.name}_top_{n_best}_accuracy", scores, meaning)


def macro_f1_figure(level: Level, prefix: str) -> Figure:
    """Return the F1 score, averaged over the classes that occur."""
    answer, truth = level.answer, level.truth
    interval = bootstrap_interval(
        lambda chosen: macro_f1(truth[chosen], answer[chosen]), truth.size
    )
    return Figure(
        f"{prefix}{level.name}_macro_f1",
        macro_f1(truth, answer),
        f"F1 of the {_spoken(level)}, mean over those that occur",
        interval.low,
        interval.high,
    )


def half_coverage_figure(level: Level, prefix: str, *, anchor: str = "", goal: str = "") -> Figure:
    """Return the share of right answers among the surer half of the items."""
    sure, right = level.confidence, level.is_right
    interval = bootstrap_interval(
        lambda chosen: accuracy_at_coverage(sure[chosen], right[chosen], HALF), sure.size
    )
    return Figure(
        f"{prefix}{level.name}_accuracy_at_half_coverage",
        accuracy_at_coverage(sure, right, HALF),
        f"the same for the {_spoken(level)} among the surer half of patterns",
        interval.low,
        interval.high,
        anchor=anchor,
        goal=goal,
    )


def aurc_figure(level: Level, prefix: str) -> Figure:
    """Return the area under the risk-coverage curve."""
    sure, right = level.confidence, level.is_right
    interval = bootstrap_interval(
        lambda chosen: area_under_risk_coverage(sure[chosen], right[chosen]), sure.size
    )
    return Figure(
        f"{prefix}{level.name}_aurc",
        area_under_risk_coverage(sure, right),
        f"share of wrong {_spoken(level)}s, mean over all coverages; low is good",
        interval.low,
        interval.high,
    )


def answer_item(space_groups: FloatArray, truth: int) -> dict[str, Any]:
    """Return one pattern's truth and answer, from its probabilities and its space group's index."""
    systems = crystal_system_probabilities(space_groups)
    answer = int(space_groups.argmax())
    return {
        "space_group_number": truth + 1,
        "answer_space_group_number": answer + 1,
        "space_group_probability": float(space_groups[answer]),
        "crystal_system": CRYSTAL_SYSTEMS[int(SYSTEM_OF_SPACE_GROUP[truth])],
        "answer_crystal_system": CRYSTAL_SYSTEMS[int(systems.argmax())],
        "crystal_system_probability": float(systems.max()),
    }


def _spoken(level: Level) -> str:
    return level.name.replace("_", " ")
