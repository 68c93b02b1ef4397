"""Souped protocols: what is split, and what the nearest neighbour makes of twins."""

import numpy as np
import pytest

from phasepilot.models.benchmarks.adaptation import Examples
from phasepilot.models.benchmarks.benchmark_result import no_progress
from phasepilot.models.benchmarks.souped import (
    BY_GROUP,
    RANDOM,
    Answers,
    adapted_answers,
    folds_by_group,
    is_right,
    nearest_answers,
    nearest_figures,
    random_half,
    souped_figures,
    souped_items,
)

N_ITEMS = 60


@pytest.fixture
def examples() -> Examples:
    """Groups of three twins; each space group has two groups, which do not look alike."""
    group = np.repeat(np.arange(20), 3)
    labels = group // 2 + 60
    similarity = np.where(group[:, None] == group[None, :], 0.98, 0.2)
    # The estimator knows every other space group.
    zero_shot = np.full((N_ITEMS, 230), 1 / 230)
    known = labels % 2 == 0
    zero_shot[known] = 0.9 * np.eye(230)[labels[known]] + 0.1 / 230
    return Examples(zero_shot, similarity, labels, group)


def test_half_of_the_items_are_asked_for() -> None:
    (split,) = random_half(np.arange(9), np.random.default_rng(0))
    assert split.train.size == 4
    assert sorted([*split.train, *split.test]) == list(range(9))


def test_the_random_half_is_that_of_the_definition() -> None:
    (split,) = random_half(np.zeros(908), np.random.default_rng(3))
    expected = np.sort(np.random.default_rng(3).permutation(908)[:454])
    np.testing.assert_array_equal(split.train, expected)


def test_folds_ask_for_every_item_once_and_never_split_a_group(examples: Examples) -> None:
    splits = folds_by_group(examples.group, np.random.default_rng(0))
    asked = np.concatenate([one.test for one in splits])
    assert sorted(asked) == list(range(N_ITEMS))
    for one in splits:
        assert not set(examples.group[one.train]) & set(examples.group[one.test])


def test_neighbours_know_twins_and_fail_without_them(examples: Examples) -> None:
    truth = examples.space_group_index
    with_twins = is_right(nearest_answers(examples, RANDOM, n_seeds=3), truth, "space_group")
    without = is_right(nearest_answers(examples, BY_GROUP, n_seeds=3), truth, "space_group")
    # Of two twins, one is among half of the items three times of four.
    assert np.nanmean(with_twins) == pytest.approx(0.76, abs=0.1)
    assert np.nanmean(without) < 0.3


def test_an_adapted_estimator_keeps_what_it_knows_without_twins(examples: Examples) -> None:
    answers = adapted_answers(examples, BY_GROUP, n_seeds=1, progress=no_progress, step="")
    right = is_right(answers, examples.space_group_index, "space_group")[0]
    assert right[examples.space_group_index % 2 == 0].all()


def test_an_adapted_estimator_learns_twins(examples: Examples) -> None:
    answers = adapted_answers(examples, RANDOM, n_seeds=2, progress=no_progress, step="")
    bar = nearest_answers(examples, RANDOM, n_seeds=2)
    right, of_bar = (
        np.nanmean(is_right(one, examples.space_group_index, "space_group"))
        for one in (answers, bar)
    )
    assert right > of_bar


def test_both_are_asked_for_the_same_items(examples: Examples) -> None:
    answers = adapted_answers(examples, RANDOM, n_seeds=2, progress=no_progress, step="")
    bar = nearest_answers(examples, RANDOM, n_seeds=2)
    for one, other in zip(answers, bar, strict=True):
        np.testing.assert_array_equal(one.space_group < 0, other.space_group < 0)


def test_items_that_were_not_asked_for_are_not_wrong() -> None:
    said = [Answers(np.array([4, -1, 7]), np.array([1, -1, 1]))]
    right = is_right(said, np.array([4, 5, 6]), "space_group")
    np.testing.assert_array_equal(right, [[1.0, np.nan, 0.0]])
    # Space groups 5, 6 and 7 are monoclinic.
    np.testing.assert_array_equal(is_right(said, np.array([4, 5, 6]), "crystal_system")[0, ::2], 1)


def test_figures_name_protocol_and_level(examples: Examples) -> None:
    truth = examples.space_group_index
    bar = nearest_answers(examples, BY_GROUP, n_seeds=2)
    (system, group) = nearest_figures(bar, truth, BY_GROUP)
    assert system.name == "nearest_neighbour_souped_by_group_crystal_system_accuracy"
    figures = souped_figures(bar, bar, truth, protocol=BY_GROUP, prefix="network_")
    values = {figure.name: figure.value for figure in figures}
    assert values["network_souped_by_group_space_group_accuracy"] == group.value
    assert values["network_souped_by_group_space_group_gain"] == 0.0


def test_items_hold_what_was_asked_for(examples: Examples) -> None:
    names = tuple(f"pattern {k}" for k in range(N_ITEMS))
    answers = nearest_answers(examples, RANDOM, n_seeds=2)
    items = souped_items(answers, names, examples.space_group_index, {"estimator": "x"})
    assert len(items) == 2 * 30
    assert {item["seed"] for item in items} == {0, 1}
    assert all(item["estimator"] == "x" for item in items)
