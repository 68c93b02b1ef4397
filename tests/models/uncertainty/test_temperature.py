import numpy as np
import pytest
from scipy.special import softmax

from phasepilot.models.errors import TrainingError
from phasepilot.models.uncertainty.temperature import (
    expected_calibration_error,
    fit_temperature,
    log_loss,
)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_temperature_that_spoiled_perfect_logits_is_found(perfect_answers, temperature):
    logits, labels = perfect_answers(20_000, 10, seed=1)
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.03)


def test_class_weights_count_as_many_copies_of_a_class(perfect_answers):
    logits, labels = perfect_answers(500, 3, seed=2)
    copied = np.concatenate([np.arange(500), *[np.flatnonzero(labels == 1)] * 3])
    weighted = fit_temperature(logits, labels, class_weights=np.array([1.0, 4.0, 1.0]))
    assert weighted == pytest.approx(fit_temperature(logits[copied], labels[copied]), rel=1e-4)


def test_log_loss_of_an_impossible_label_is_finite():
    assert log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-np.log(1e-12))


def test_perfect_classifier_has_no_calibration_error_beyond_chance(perfect_answers):
    logits, labels = perfect_answers(20_000, 10, seed=3)
    # By chance about 0.8 sqrt(p (1 - p) n_bins / n) = 0.01.
    assert expected_calibration_error(softmax(logits, axis=1), labels) < 0.015


def test_calibration_error_by_chance_is_what_the_docstring_says(perfect_answers):
    found, expected = [], []
    for seed in range(20):
        logits, labels = perfect_answers(900, 10, seed=seed)
        probabilities = softmax(logits, axis=1)
        accuracy = probabilities.max(axis=1).mean()
        expected.append(0.8 * np.sqrt(accuracy * (1 - accuracy) * 15 / 900))
        found.append(expected_calibration_error(probabilities, labels))
    assert np.mean(found) == pytest.approx(np.mean(expected), rel=0.15)


def test_classifier_that_is_too_sure_has_the_error_by_which_it_is(perfect_answers):
    logits, labels = perfect_answers(20_000, 10, seed=5)
    sure = softmax(3 * logits, axis=1)
    is_right = sure.argmax(axis=1) == labels
    gap = sure.max(axis=1).mean() - is_right.mean()
    assert expected_calibration_error(sure, labels) == pytest.approx(gap, rel=0.02)


def test_fewer_patterns_than_bins_are_refused():
    with pytest.raises(TrainingError, match="there are 3 patterns for 15 bins; give more"):
        expected_calibration_error(np.full((3, 2), 0.5), np.array([0, 1, 0]))


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.zeros((3, 2)), np.array([0, 1]), r"have \(3, 2\) and \(2,\); give one label a row"),
        (np.zeros((2, 2)), np.array([1, 2]), "from 0 to 1, but are int64 from 1 to 2"),
        (np.zeros((2, 2)), np.array([0.0, 1.0]), "whole numbers .* are float64"),
    ],
)
def test_labels_that_do_not_fit_are_refused(scores, labels, message):
    with pytest.raises(TrainingError, match=message):
        fit_temperature(scores, labels)
