import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from phasepilot.models.errors import ModelsError, TrainingError
from phasepilot.models.uncertainty.conformal import SET_LEVELS, ConformalSets, calibrate_sets

N_CLASSES = 12
POOLS = np.arange(N_CLASSES) // 4


@pytest.fixture(scope="session")
def biased_answers(perfect_answers):
    """A poor, overconfident classifier that neglects its first classes."""

    def answers(n_patterns, seed):
        logits, labels = perfect_answers(n_patterns, N_CLASSES, seed=seed)
        return softmax(2.5 * logits + 0.3 * np.arange(N_CLASSES), axis=1), labels

    return answers


@pytest.fixture(scope="module")
def sets(biased_answers):
    return calibrate_sets(*biased_answers(12_000, seed=1), pool_of_class=POOLS)


@pytest.mark.parametrize("level", [0.7, 0.9, 0.95])
def test_sets_of_a_poor_classifier_hold_the_truth_at_the_level(sets, level, biased_answers):
    probabilities, labels = biased_answers(12_000, seed=2)
    held = sets.membership(probabilities, level)[np.arange(labels.size), labels]
    # Two binomial deviations of 12,000 and of the calibration's 12,000.
    assert held.mean() == pytest.approx(level, abs=0.012)


def test_every_class_is_covered_not_only_their_mean(sets, biased_answers):
    probabilities, labels = biased_answers(12_000, seed=3)
    held = sets.membership(probabilities, 0.9)[np.arange(labels.size), labels]
    by_class = [held[labels == k].mean() for k in range(N_CLASSES)]
    # Classes have some 1000 patterns in either sample: standard deviation 0.013.
    assert min(by_class) > 0.86


def test_coverage_survives_other_class_frequencies(sets, biased_answers):
    probabilities, labels = biased_answers(12_000, seed=4)
    only_first = labels < 2
    held = sets.membership(probabilities, 0.9)[np.arange(labels.size), labels]
    assert held[only_first].mean() == pytest.approx(0.9, abs=0.03)


def test_rare_classes_share_the_threshold_of_their_pool(biased_answers):
    probabilities, labels = biased_answers(5000, seed=5)
    # Classes 0 and 1 become rare, class 2 does not.
    kept = (labels > 1) | (np.arange(5000) % 8 == 0)
    sets = calibrate_sets(probabilities[kept], labels[kept], pool_of_class=POOLS, min_patterns=60)
    assert sets.group_of_class[0] == sets.group_of_class[1]
    assert np.unique(sets.group_of_class).size == N_CLASSES - 1
    together = sets.n_patterns[sets.group_of_class[0]]
    assert together == (labels[kept] <= 1).sum()


def test_average_coverage_over_calibrations_is_exact():
    # With 19 patterns and level 0.9 the rank is 18: coverage is 18 / 20 on average, exactly.
    rng = np.random.default_rng(6)
    covered = []
    for _ in range(1500):
        true = rng.random(20)
        probabilities = np.column_stack([true, np.ones(20)])
        labels = np.zeros(20, dtype=int)
        sets = calibrate_sets(
            probabilities[:19], labels[:19], pool_of_class=np.zeros(2, dtype=int), min_patterns=10
        )
        covered.append(sets.membership(probabilities[19], 0.9)[0])
    assert np.mean(covered) == pytest.approx(0.9, abs=0.02)


def test_too_few_patterns_for_a_level_exclude_nothing():
    sets = calibrate_sets(
        np.tile([0.9, 0.1], (10, 1)), np.zeros(10, dtype=int), pool_of_class=np.zeros(2, dtype=int)
    )
    assert sets.membership(np.array([0.999, 0.001]), 0.95).all()


@given(first=st.floats(0.5, 0.995), second=st.floats(0.5, 1.0))
def test_higher_levels_give_larger_sets(sets, biased_answers, first, second):
    probabilities = biased_answers(20, seed=8)[0]
    low, high = sorted((first, second))
    assert (sets.membership(probabilities, low) <= sets.membership(probabilities, high)).all()


def test_sets_are_never_empty_and_start_with_the_most_probable_class(sets, biased_answers):
    flat = np.full(N_CLASSES, 1e-9)
    flat[5] = 2e-9
    assert sets.prediction_set(flat, 0.5).tolist() == [5]
    some = biased_answers(1, seed=9)[0][0]
    chosen = sets.prediction_set(some, 0.99)
    assert (np.diff(some[chosen]) <= 0).all()


def test_level_of_a_decimal_number_is_not_rounded_up(sets, biased_answers):
    probabilities = biased_answers(200, seed=10)[0]
    for level in SET_LEVELS[::7]:
        nearly = float(np.float32(level))
        np.testing.assert_array_equal(
            sets.membership(probabilities, nearly), sets.membership(probabilities, float(level))
        )


def test_sets_come_back_from_a_file(sets, tmp_path, biased_answers):
    np.savez(tmp_path / "sets.npz", **sets.to_arrays())
    with np.load(tmp_path / "sets.npz", allow_pickle=False) as stored:
        again = ConformalSets.from_arrays(stored)
    probabilities = biased_answers(100, seed=11)[0]
    np.testing.assert_array_equal(
        again.membership(probabilities, 0.9), sets.membership(probabilities, 0.9)
    )


def test_wrong_levels_and_classes_are_refused(sets):
    with pytest.raises(ModelsError, match=r"lie in \[0, 1\], but is 90; 0.9 asks for"):
        sets.membership(np.full(N_CLASSES, 1 / N_CLASSES), 90)
    with pytest.raises(ModelsError, match=r"of the 12 classes .* shape \(7,\); calibrate this"):
        sets.membership(np.full(7, 1 / 7), 0.9)
    with pytest.raises(TrainingError, match="give one label a row"):
        calibrate_sets(np.zeros((3, 2)), np.array([0]), pool_of_class=np.zeros(2, dtype=int))
