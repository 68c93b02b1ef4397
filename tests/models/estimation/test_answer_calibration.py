"""Sets and probabilities of made-up networks whose errors are known."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax

from phasepilot.models.estimation.answer_calibration import (
    NetworkCalibration,
    SymmetrySets,
    calibrated_symmetry_sets,
    with_prefix,
    without_prefix,
)
from phasepilot.models.estimation.network_fit import LabelledOutputs, fit_network
from phasepilot.models.networks.symmetry_levels import crystal_system_probabilities
from phasepilot.models.suggestion import CRYSTAL_SYSTEMS

LEVELS = (0.5, 0.7, 0.9, 0.95)


def right_answers(n_patterns: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities over all space groups, and truths drawn from them."""
    rng = np.random.default_rng(seed)
    probabilities = np.exp(log_softmax(4 * rng.normal(size=(n_patterns, 230)), axis=1))
    truth = (rng.random((n_patterns, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    return probabilities, np.minimum(truth, 229)


@pytest.fixture(scope="module")
def sets() -> SymmetrySets:
    return calibrated_symmetry_sets(*right_answers(4000, seed=0))


@pytest.mark.parametrize("level", LEVELS)
def test_sets_hold_the_truth_as_often_as_asked_for(sets: SymmetrySets, level: float) -> None:
    probabilities, truth = right_answers(2000, seed=1)
    covered = [
        int(number) + 1 in sets.space_groups(row, level)
        for row, number in zip(probabilities, truth, strict=True)
    ]
    # At low levels a little more often: the most probable class is always in the set.
    assert level - 0.03 < np.mean(covered) < level + 0.06


def test_sets_grow_with_the_level_and_begin_with_the_most_probable(sets: SymmetrySets) -> None:
    for row in right_answers(50, seed=2)[0]:
        groups = [sets.space_groups(row, level) for level in LEVELS]
        systems = [sets.crystal_systems(row, level) for level in LEVELS]
        for found in (groups, systems):
            assert all(set(a) <= set(b) for a, b in pairwise(found))
        assert all(group[0] == row.argmax() + 1 for group in groups)
        best = CRYSTAL_SYSTEMS[int(crystal_system_probabilities(row).argmax())]
        assert all(system[0] == best for system in systems)


def test_what_is_in_a_set_is_sorted_by_probability(sets: SymmetrySets) -> None:
    row = right_answers(1, seed=3)[0][0]
    probabilities = [row[number - 1] for number in sets.space_groups(row, 0.95)]
    assert probabilities == sorted(probabilities, reverse=True)


def test_a_sure_answer_has_one_group_and_an_unsure_one_many(sets: SymmetrySets) -> None:
    sure, unsure = np.full((2, 230), 1e-12)
    sure[100], unsure[::23] = 1.0, 0.1
    assert sets.space_groups(sure, 0.9) == (101,)
    assert len(sets.space_groups(unsure, 0.9)) == 10


def test_prefixes_are_taken_off_again() -> None:
    arrays: Mapping[str, NDArray[np.generic]] = {"a": np.ones(2), "b.c": np.zeros(1)}
    both = with_prefix("one", arrays) | with_prefix("only", {"a": np.zeros(3)})
    assert sorted(both) == ["one.a", "one.b.c", "only.a"]
    assert without_prefix("one", both).keys() == arrays.keys()


@pytest.fixture(scope="module")
def calibration() -> NetworkCalibration:
    """Of a last layer whose logits are three times too large."""
    rng = np.random.default_rng(5)
    layer = rng.normal(size=(6, 230))

    def view(n_patterns: int) -> LabelledOutputs:
        embedding = np.maximum(rng.normal(size=(n_patterns, 6)), 0.0)
        logits = embedding @ layer
        likely = np.exp(log_softmax(logits, axis=1)).cumsum(axis=1)
        truth = (rng.random((n_patterns, 1)) > likely).sum(axis=1)
        return LabelledOutputs(3 * logits, embedding, np.minimum(truth, 229))

    return fit_network(view(500), view(400), log_prior=np.zeros(230), n_structures=100_000, rng=rng)


def test_logits_that_are_three_times_too_large_are_cooled_down(
    calibration: NetworkCalibration,
) -> None:
    assert calibration.temperature == pytest.approx(3.0, rel=0.15)


def test_log_probabilities_are_of_probabilities_for_one_pattern_and_for_many(
    calibration: NetworkCalibration,
) -> None:
    rng = np.random.default_rng(6)
    logits, embedding = rng.normal(size=(3, 230)), rng.random((3, 6))
    together = calibration.log_probabilities(logits, embedding)
    np.testing.assert_allclose(np.exp(together).sum(axis=1), 1.0)
    np.testing.assert_allclose(
        together[1], calibration.log_probabilities(logits[1], embedding[1]), rtol=1e-12
    )
    assert (together.argmax(axis=1) == logits.argmax(axis=1)).all()


def test_a_calibration_comes_back_from_its_arrays(calibration: NetworkCalibration) -> None:
    again = NetworkCalibration.from_arrays(calibration.to_arrays())
    assert again.temperature == calibration.temperature
    rng = np.random.default_rng(7)
    logits, embedding = 3 * rng.normal(size=230), rng.random(6)
    # Some arrays are kept in half precision.
    expected = calibration.log_probabilities(logits, embedding)
    np.testing.assert_allclose(again.log_probabilities(logits, embedding), expected, atol=0.02)
    row = np.exp(expected)
    assert again.sets.space_groups(row, 0.9) == calibration.sets.space_groups(row, 0.9)
    assert again.novelty.judge(logits, embedding).novelty == pytest.approx(
        calibration.novelty.judge(logits, embedding).novelty, abs=0.02
    )
