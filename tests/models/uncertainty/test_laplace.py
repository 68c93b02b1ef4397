import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from phasepilot.models.errors import TrainingError
from phasepilot.models.uncertainty.entropy import split_entropy
from phasepilot.models.uncertainty.laplace import (
    LastLayerLaplace,
    choose_prior_precision,
    laplace,
    layer_curvature,
)

N_FEATURES, N_CLASSES = 5, 4


def trained_layer(n_patterns, seed):
    """Weights of a softmax layer fitted to few patterns, and those patterns."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(N_FEATURES + 1, N_CLASSES))
    features = np.column_stack([rng.normal(size=(n_patterns, N_FEATURES)), np.ones(n_patterns)])
    labels = (
        (rng.random((n_patterns, 1)) > softmax(features @ truth, axis=1).cumsum(axis=1))
        .sum(axis=1)
        .clip(max=N_CLASSES - 1)
    )

    def loss(flat):
        logits = features @ flat.reshape(truth.shape)
        fit = log_softmax(logits, axis=1)[np.arange(n_patterns), labels].sum()
        return -fit + 0.5 * (flat @ flat)

    weights = minimize(loss, np.zeros(truth.size)).x.reshape(truth.shape)
    return weights, features[:, :-1], truth


@pytest.fixture(scope="module")
def few():
    weights, features, truth = trained_layer(60, seed=1)
    logits = features @ weights[:-1] + weights[-1]
    return weights, truth, layer_curvature(features, logits, n_patterns=60)


def new_patterns(weights, truth, n_patterns, seed):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_patterns, N_FEATURES))
    true = softmax(features @ truth[:-1] + truth[-1], axis=1)
    labels = (rng.random((n_patterns, 1)) > true.cumsum(axis=1)).sum(axis=1)
    return features, features @ weights[:-1] + weights[-1], labels.clip(max=N_CLASSES - 1)


def test_variance_is_that_of_the_full_kronecker_posterior(few):
    # Against the inverse of the whole precision matrix, without the damping's cross terms: with a
    # vanishing prior there are none.
    _, _, curvature = few
    basis = np.linalg.qr(np.column_stack([np.ones(N_CLASSES), np.eye(N_CLASSES)[:, 1:]]))[0][:, 1:]
    hessian = basis.T @ curvature.output_hessian @ basis
    covariance = np.linalg.inv(60 * np.kron(curvature.feature_moment, hessian))
    features = np.random.default_rng(2).normal(size=N_FEATURES)
    jacobian = np.kron(np.append(features, 1.0)[None], basis)
    expected = np.diag(jacobian @ covariance @ jacobian.T)
    found = laplace(curvature, prior_precision=1e-9).logit_variance(features)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_variance_is_smallest_where_training_patterns_were(few):
    gaussian = laplace(few[2], prior_precision=1.0)
    inside, outside = np.zeros(N_FEATURES), np.full(N_FEATURES, 10.0)
    assert gaussian.feature_variance(outside) > 20 * gaussian.feature_variance(inside)


def test_variance_falls_as_one_over_the_number_of_patterns(few):
    _, _, curvature = few
    embedding = np.ones(N_FEATURES)
    more = type(curvature)(curvature.feature_moment, curvature.output_hessian, 6000.0)
    ratio = laplace(curvature, prior_precision=1e-6).logit_variance(embedding) / laplace(
        more, prior_precision=1e-6
    ).logit_variance(embedding)
    np.testing.assert_allclose(ratio, 100, rtol=0.05)


def test_two_classes_give_mackays_formula():
    gaussian = LastLayerLaplace(np.eye(2), np.array([[0.5, -0.5], [-0.5, 0.5]]), np.zeros((1, 2)))
    odds = gaussian.predictive_logits(np.array([3.0, 0.0]), np.array([1.0]))
    # phi^T V phi = 2; the log odds have variance 2 (0.5 + 0.5 + 1) = 4.
    assert odds[0] - odds[1] == pytest.approx(3 / np.sqrt(1 + np.pi / 8 * 4))


def test_predictive_is_close_to_the_mean_over_sampled_weights(few):
    weights, truth, curvature = few
    gaussian = laplace(curvature, prior_precision=1.0)
    features, logits, _ = new_patterns(weights, truth, 50, seed=3)
    rng = np.random.default_rng(4)
    predictive = softmax(gaussian.predictive_logits(logits, features), axis=1)
    for row in range(50):
        covariance = gaussian.feature_variance(features[row]) * gaussian.class_covariance
        sampled = rng.multivariate_normal(logits[row], covariance, size=4000, method="eigh")
        # Mean field of four classes; the untouched softmax is off by up to 0.1.
        np.testing.assert_allclose(
            softmax(sampled, axis=1).mean(axis=0), predictive[row], atol=0.04
        )


def test_chosen_prior_improves_the_log_loss_of_new_patterns(few):
    weights, truth, curvature = few
    features, logits, labels = new_patterns(weights, truth, 3000, seed=5)
    prior = choose_prior_precision(curvature, logits[:1500], features[:1500], labels[:1500])
    predictive = laplace(curvature, prior_precision=prior).predictive_logits(logits, features)

    def loss(scores):
        return -log_softmax(scores[1500:], axis=1)[np.arange(1500), labels[1500:]].mean()

    assert loss(predictive) < loss(logits) - 0.01


def test_fixed_draws_split_the_entropy_as_many_draws_do(few):
    weights, truth, curvature = few
    gaussian = laplace(curvature, prior_precision=1.0)
    features, logits, _ = new_patterns(weights, truth, 100, seed=6)
    rng = np.random.default_rng(7)
    fixed, many = [], []
    for row in range(100):
        drawn = gaussian.drawn_probabilities(logits[row], features[row])
        fixed.append(split_entropy(drawn.mean(axis=0), drawn).epistemic)
        covariance = gaussian.feature_variance(features[row]) * gaussian.class_covariance
        sampled = rng.multivariate_normal(logits[row], covariance, size=2000, method="eigh")
        drawn = softmax(sampled, axis=1)
        many.append(split_entropy(drawn.mean(axis=0), drawn).epistemic)
    # 32 draws of three free logits scatter by a fifth.
    assert np.mean(fixed) == pytest.approx(np.mean(many), rel=0.25)
    assert np.corrcoef(fixed, many)[0, 1] > 0.95


def test_higher_temperature_evens_out_the_draws(few):
    gaussian = laplace(few[2], prior_precision=1.0)
    logits, embedding = np.array([3.0, 0.0, 0.0, 0.0]), np.ones(N_FEATURES)
    cold = gaussian.drawn_probabilities(logits, embedding)
    warm = gaussian.drawn_probabilities(logits, embedding, temperature=5.0)
    assert warm[:, 0].mean() < cold[:, 0].mean()


def test_gaussian_comes_back_from_a_file_in_half_precision(few, tmp_path):
    gaussian = laplace(few[2], prior_precision=1.0)
    np.savez(tmp_path / "laplace.npz", **gaussian.to_arrays())
    with np.load(tmp_path / "laplace.npz", allow_pickle=False) as stored:
        again = LastLayerLaplace.from_arrays(stored)
    embedding = np.random.default_rng(8).normal(size=(20, N_FEATURES))
    np.testing.assert_allclose(
        again.logit_variance(embedding), gaussian.logit_variance(embedding), rtol=0.005
    )


def test_rows_of_other_patterns_are_refused():
    with pytest.raises(TrainingError, match=r"\(3, 5\) and \(4, 2\); take both from one pass"):
        layer_curvature(np.zeros((3, 5)), np.zeros((4, 2)), n_patterns=3)
