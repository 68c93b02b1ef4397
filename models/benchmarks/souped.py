"""RRUFF "souped": part of the measured patterns serves as labelled examples for the rest.

Two protocols. *Random*: half of the patterns, at random, as in the NPCNN paper; many a pattern then
has its twin among the examples. *By group*: five folds, alike patterns never on both sides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from phasepilot.models.arrays import FloatArray, IntArray
from phasepilot.models.benchmarks.adaptation import (
    Examples,
    adapted_probabilities,
    folds_of_groups,
)
from phasepilot.models.benchmarks.baselines import nearest_labels
from phasepilot.models.benchmarks.benchmark_result import Figure, Progress
from phasepilot.models.benchmarks.metrics import figure_of_items
from phasepilot.models.networks.symmetry_levels import (
    SYSTEM_OF_SPACE_GROUP,
    crystal_system_probabilities,
)
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS

N_FOLDS = 5
_LEVELS = ("crystal_system", "space_group")


@dataclass(frozen=True, slots=True)
class Split:
    """Items whose labels are given, and items that are asked for."""

    train: IntArray
    test: IntArray


@dataclass(frozen=True, slots=True)
class Protocol:
    """A way to split items into examples and questions.

    Attributes
    ----------
    name : str
    meaning : str
    splits : callable
        Takes groups of the items and a generator; gives the splits of one seed, whose test items
        do not overlap.
    keeps_groups : bool
        Whether a group is never on both sides of a split.
    anchors, goals : tuple of str
        For the crystal system and for the space group.
    """

    name: str
    meaning: str
    splits: Callable[[IntArray, Generator], list[Split]]
    keeps_groups: bool
    anchors: tuple[str, str]
    goals: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Answers:
    """What was said of the items that one seed asked for; indices, -1 where it did not ask.

    Attributes
    ----------
    space_group, crystal_system : ndarray of int, shape (n_items,)
    """

    space_group: IntArray
    crystal_system: IntArray


def random_half(group: IntArray, rng: Generator) -> list[Split]:
    """Return one split: half of the items at random."""
    order = rng.permutation(group.size)
    half = group.size // 2
    return [Split(np.sort(order[:half]), np.sort(order[half:]))]


def folds_by_group(group: IntArray, rng: Generator) -> list[Split]:
    """Return five splits, each group whole in one of them."""
    fold = folds_of_groups(group, N_FOLDS, rng)
    return [Split(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(N_FOLDS)]


RANDOM = Protocol(
    "souped_random",
    "half of the patterns as examples, at random",
    random_half,
    keeps_groups=False,
    anchors=("NPCNN 0.86, one split", "NPCNN 0.77, one split"),
    goals=("goal 0.92", "goal 0.84"),
)
BY_GROUP = Protocol(
    "souped_by_group",
    "4 of 5 folds as examples, no group in both",
    folds_by_group,
    keeps_groups=True,
    anchors=("none published", "none published"),
    goals=("goal 0.84", "goal 0.68"),
)


def adapted_answers(
    examples: Examples, protocol: Protocol, *, n_seeds: int, progress: Progress, step: str
) -> list[Answers]:
    """Return what an estimator says that is adapted to the examples of each split, for each seed.

    Inside the examples, the same kind of split chooses the mixing.
    """
    n_items = examples.group.size
    inner_group = examples.group if protocol.keeps_groups else np.arange(n_items)
    inner = Examples(
        examples.zero_shot, examples.similarity, examples.space_group_index, inner_group
    )
    results = []
    for seed in range(n_seeds):
        progress(step, seed, n_seeds)
        rng = np.random.default_rng(seed)
        groups, systems = np.full(n_items, -1), np.full(n_items, -1)
        for split in protocol.splits(examples.group, rng):
            said = adapted_probabilities(inner, split.train, split.test, rng)
            groups[split.test] = said.argmax(axis=1)
            systems[split.test] = crystal_system_probabilities(said).argmax(axis=1)
        results.append(Answers(groups, systems))
    progress(step, n_seeds, n_seeds)
    return results


def nearest_answers(examples: Examples, protocol: Protocol, *, n_seeds: int) -> list[Answers]:
    """Return the label of the most similar example, on the same splits."""
    results = []
    for seed in range(n_seeds):
        groups = np.full(examples.group.size, -1)
        for split in protocol.splits(examples.group, np.random.default_rng(seed)):
            similarity = examples.similarity[np.ix_(split.test, split.train)]
            labels = examples.space_group_index[split.train]
            groups[split.test] = nearest_labels(similarity, labels)
        systems = np.where(groups < 0, -1, SYSTEM_OF_SPACE_GROUP[groups])
        results.append(Answers(groups, systems))
    return results


def is_right(answers: list[Answers], truth: IntArray, level: str) -> FloatArray:
    """Return 1 where right, 0 where wrong, NaN where not asked; shape (n_seeds, n_items).

    Parameters
    ----------
    truth : ndarray of int, shape (n_items,)
        Index of the space group.
    level : {"crystal_system", "space_group"}
    """
    said = np.array([getattr(one, level) for one in answers])
    true = SYSTEM_OF_SPACE_GROUP[truth] if level == "crystal_system" else truth
    return np.where(said < 0, np.nan, said == true)


def nearest_figures(bar: list[Answers], truth: IntArray, protocol: Protocol) -> list[Figure]:
    """Return the accuracy of the nearest neighbour, which others are compared with."""
    return [
        figure_of_items(
            f"nearest_neighbour_{protocol.name}_{level}_accuracy",
            is_right(bar, truth, level),
            f"{_spoken(level)} of the most similar example: {protocol.meaning}",
        )
        for level in _LEVELS
    ]


def souped_figures(
    answers: list[Answers], bar: list[Answers], truth: IntArray, *, protocol: Protocol, prefix: str
) -> list[Figure]:
    """Return the accuracy of crystal system and space group, and what it has above the bar."""
    figures = []
    for level, anchor, goal in zip(_LEVELS, protocol.anchors, protocol.goals, strict=True):
        right, right_of_bar = (is_right(said, truth, level) for said in (answers, bar))
        name = f"{prefix}{protocol.name}_{level}"
        accuracy = figure_of_items(
            f"{name}_accuracy",
            right,
            f"{_spoken(level)}: {protocol.meaning}",
            anchor=anchor,
            goal=goal,
        )
        gain = figure_of_items(
            f"{name}_gain",
            right - right_of_bar,
            "that accuracy less the nearest neighbour's",
            goal="floor 0.15" if protocol.keeps_groups else "",
        )
        figures += [accuracy, gain]
    return figures


def souped_items(
    answers: list[Answers], names: tuple[str, ...], truth: IntArray, about: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return one entry a seed and pattern that was asked for."""
    return [
        {
            **about,
            "seed": seed,
            "pattern": names[k],
            "space_group_number": int(truth[k]) + 1,
            "answer_space_group_number": int(one.space_group[k]) + 1,
            "answer_crystal_system": CRYSTAL_SYSTEMS[int(one.crystal_system[k])],
        }
        for seed, one in enumerate(answers)
        for k in np.flatnonzero(one.space_group >= 0)
    ]


def _spoken(level: str) -> str:
    return level.replace("_", " ")
