"""Measures against scikit-learn, closed forms and cases that can be counted by hand."""

import numpy as np
import pytest

from phasepilot.models.benchmarks.metrics import (
    accuracy_at_coverage,
    area_under_risk_coverage,
    area_under_roc,
    bootstrap_interval,
    calibration_error,
    false_positive_rate,
    figure_of_items,
    figure_of_seeds,
    is_within_top,
    macro_f1,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_macro_f1_is_scikit_learns_over_the_classes_that_occur(rng: np.random.Generator) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth = rng.choice([0, 3, 4, 9], 200)
    answer = np.where(rng.random(200) < 0.5, truth, rng.integers(12, size=200))
    expected = metrics.f1_score(
        truth, answer, labels=np.unique(truth), average="macro", zero_division=0
    )
    assert macro_f1(truth, answer) == pytest.approx(expected)


def test_roc_area_is_scikit_learns_with_ties(rng: np.random.Generator) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    unusual, usual = rng.integers(3, 12, 80) / 10, rng.integers(0, 9, 120) / 10
    labels = np.repeat([1, 0], [80, 120])
    expected = metrics.roc_auc_score(labels, np.concatenate([unusual, usual]))
    assert area_under_roc(unusual, usual) == pytest.approx(expected)


def test_top_k_is_scikit_learns(rng: np.random.Generator) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    probabilities = rng.dirichlet(np.ones(6), 100)
    truth = rng.integers(6, size=100)
    expected = metrics.top_k_accuracy_score(truth, probabilities, k=3, labels=np.arange(6))
    assert is_within_top(probabilities, truth, 3).mean() == pytest.approx(expected)


def test_calibration_error_is_nothing_when_each_bin_is_right_as_often_as_stated() -> None:
    confidence = np.repeat([0.25, 0.75], 20)
    is_right = np.tile([True, False, False, False], 5).tolist() + [True, True, True, False] * 5
    assert calibration_error(confidence, np.array(is_right), n_bins=2) == pytest.approx(0)


def test_calibration_error_is_the_excess_of_constant_overconfidence() -> None:
    is_right = np.tile([True, False], 30)
    assert calibration_error(np.full(60, 0.8), is_right, n_bins=15) == pytest.approx(0.3)


def test_bins_of_the_calibration_error_hold_equal_numbers_of_items() -> None:
    # Three unlike items in one bin of the mass would cancel in bins of equal width.
    confidence = np.array([0.1, 0.12, 0.14, 0.9])
    is_right = np.array([False, False, True, True])
    expected = (abs(0 - 0.22) + abs(2 - 1.04)) / 4
    assert calibration_error(confidence, is_right, n_bins=2) == pytest.approx(expected)


def test_risk_coverage_area_of_perfect_order_is_the_closed_form() -> None:
    # 3 of 4 right and the wrong one last: risks 0, 0, 0, 1/4.
    confidence = np.array([0.9, 0.8, 0.7, 0.1])
    is_right = np.array([True, True, True, False])
    assert area_under_risk_coverage(confidence, is_right) == pytest.approx(1 / 16)
    assert accuracy_at_coverage(confidence, is_right, 0.5) == 1.0
    assert accuracy_at_coverage(confidence, is_right, 1.0) == 0.75


def test_useless_confidence_leaves_half_coverage_no_better_than_all(
    rng: np.random.Generator,
) -> None:
    is_right = rng.random(20000) < 0.6
    assert accuracy_at_coverage(rng.random(20000), is_right, 0.5) == pytest.approx(0.6, abs=0.02)


def test_false_positive_rate_of_normal_scores_is_the_closed_form(rng: np.random.Generator) -> None:
    # 95 % of N(2, 1) lie above 2 - 1.645, and 36.1 % of N(0, 1) do.
    unusual, usual = rng.normal(2, 1, 50000), rng.normal(0, 1, 50000)
    assert false_positive_rate(unusual, usual) == pytest.approx(0.361, abs=0.01)


def test_bootstrap_interval_of_a_mean_is_that_of_the_normal_law(rng: np.random.Generator) -> None:
    values = rng.normal(5, 2, 400)
    interval = bootstrap_interval(lambda chosen: float(values[chosen].mean()), 400)
    half_width = 1.96 * values.std() / 20
    # Ends of 1000 resamples scatter by a few percent of the width.
    assert interval.low == pytest.approx(values.mean() - half_width, abs=0.03)
    assert interval.high == pytest.approx(values.mean() + half_width, abs=0.03)


def test_spread_is_that_of_the_seeds_and_the_interval_that_of_the_items() -> None:
    scores = np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    figure = figure_of_items("accuracy", scores, "share right")
    assert figure.value == pytest.approx(0.75)
    assert figure.spread == pytest.approx(np.std([0.5, 1.0], ddof=1))
    assert figure.low is not None
    assert figure.high is not None
    assert 0.5 <= figure.low < 0.75 < figure.high <= 1.0


def test_items_that_a_seed_did_not_ask_for_do_not_count() -> None:
    scores = np.array([[1.0, np.nan, np.nan], [0.0, 1.0, np.nan]])
    assert figure_of_items("accuracy", scores, "").value == pytest.approx((1.0 + 0.5) / 2)


def test_a_single_seed_has_no_spread() -> None:
    assert figure_of_items("accuracy", [1.0, 0.0], "").spread is None
    assert figure_of_seeds("accuracy", [np.array([1.0, 0.0])], "").spread is None


def test_seeds_with_items_of_their_own_count_alike() -> None:
    figure = figure_of_seeds("accuracy", [np.array([1.0]), np.array([0.0, 0.0, 1.0])], "")
    assert figure.value == pytest.approx((1 + 1 / 3) / 2)
