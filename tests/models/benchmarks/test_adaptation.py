"""Adaptation by examples: twins are trusted, strangers are not, and no test label is looked at."""

import numpy as np
import pytest

from phasepilot.models.benchmarks.adaptation import (
    Examples,
    Mixing,
    adapted_probabilities,
    chosen_mixing,
    folds_of_groups,
    mixed,
)

N_ITEMS = 40


def make_examples(similarity: np.ndarray, labels: np.ndarray, zero_shot: np.ndarray) -> Examples:
    return Examples(zero_shot, similarity, labels, np.arange(labels.size))


def says_nothing() -> np.ndarray:
    return np.full((N_ITEMS, 230), 1 / 230)


def says_the_truth(labels: np.ndarray) -> np.ndarray:
    return 0.9 * np.eye(230)[labels] + 0.1 / 230


@pytest.fixture
def labels() -> np.ndarray:
    return np.repeat([1, 13, 61, 224], N_ITEMS // 4)


@pytest.fixture
def twins(labels: np.ndarray) -> np.ndarray:
    """Every pattern of a space group is nearly the same."""
    return np.where(labels[:, None] == labels[None, :], 0.97, 0.3)


@pytest.fixture
def strangers() -> np.ndarray:
    """Similarity that has nothing to do with labels."""
    drawn = np.random.default_rng(0).uniform(0.3, 0.9, (N_ITEMS, N_ITEMS))
    return (drawn + drawn.T) / 2


def split(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    order = rng.permutation(N_ITEMS)
    return np.sort(order[:28]), np.sort(order[28:])


def accuracy(examples: Examples) -> float:
    rng = np.random.default_rng(1)
    train, test = split(rng)
    said = adapted_probabilities(examples, train, test, rng)
    np.testing.assert_allclose(said.sum(axis=1), 1.0)
    return float((said.argmax(axis=1) == examples.space_group_index[test]).mean())


def test_twins_are_enough_without_an_estimator(labels: np.ndarray, twins: np.ndarray) -> None:
    assert accuracy(make_examples(twins, labels, says_nothing())) == 1.0


def test_a_good_estimator_survives_meaningless_similarity(
    labels: np.ndarray, strangers: np.ndarray
) -> None:
    assert accuracy(make_examples(strangers, labels, says_the_truth(labels))) == 1.0


def test_the_examples_decide_what_to_trust(
    labels: np.ndarray, twins: np.ndarray, strangers: np.ndarray
) -> None:
    rng = np.random.default_rng(1)
    train, _ = split(rng)
    of_twins = chosen_mixing(make_examples(twins, labels, says_nothing()), train, rng)
    of_strangers = chosen_mixing(
        make_examples(strangers, labels, says_the_truth(labels)), train, rng
    )
    assert of_strangers.votes > of_twins.votes


def test_labels_of_test_items_are_not_looked_at(labels: np.ndarray, twins: np.ndarray) -> None:
    train, test = split(np.random.default_rng(1))
    changed = labels.copy()
    changed[test] = 99
    said, said_again = (
        adapted_probabilities(
            make_examples(twins, one, says_nothing()), train, test, np.random.default_rng(2)
        )
        for one in (labels, changed)
    )
    np.testing.assert_array_equal(said, said_again)


def test_mixing_follows_its_formula() -> None:
    # One example of space group 5 at distance 0.1, and an estimator that says 7 for sure.
    zero_shot = np.eye(230)[[6, 6]]
    similarity = np.array([[1.0, 0.9], [0.9, 1.0]])
    examples = make_examples(similarity, np.array([4, 0]), zero_shot)
    mixing = Mixing(reach=0.1, votes=2.0, sharpness=1.0, trust=0.0)
    said = mixed(examples, np.array([0]), np.array([1]), mixing)[0]
    total = np.exp(-1.0) + 2.0
    assert said[4] == pytest.approx(np.exp(-1.0) / total, rel=1e-4)
    assert said[6] == pytest.approx(2.0 / total, rel=1e-3)


def test_alike_examples_tell_once_how_common_a_space_group_is() -> None:
    labels = np.array([4, 4, 4, 6, 0])
    group = np.array([0, 0, 0, 1, 2])
    examples = Examples(np.full((5, 230), 1 / 230), np.zeros((5, 5)), labels, group)
    mixing = Mixing(reach=0.01, votes=1.0, sharpness=1.0, trust=1.0)
    said = mixed(examples, np.arange(4), np.array([4]), mixing)[0]
    assert said[4] == pytest.approx(said[6])
    assert said[4] == pytest.approx(2 * said[0])


def test_groups_go_whole_to_folds_that_are_all_used() -> None:
    group = np.random.default_rng(0).integers(30, size=200)
    fold = folds_of_groups(group, 5, np.random.default_rng(3))
    assert all(np.unique(fold[group == one]).size == 1 for one in np.unique(group))
    assert np.unique(fold).tolist() == [0, 1, 2, 3, 4]
