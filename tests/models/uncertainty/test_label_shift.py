import numpy as np
import pytest
from scipy.special import softmax

from phasepilot.models.errors import ModelsError
from phasepilot.models.uncertainty.label_shift import adjust, estimate_prior

OLD = np.array([0.6, 0.3, 0.1])
NEW = np.array([0.05, 0.15, 0.8])


def gaussian_answers(prior, n_patterns, *, trained_with, seed):
    """Exact posterior of three Gaussian classes on a line, under another prior than the labels'."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, n_patterns, p=prior)
    seen = labels + 0.5 * rng.normal(size=n_patterns)
    logits = -((seen[:, None] - np.arange(3)) ** 2) / (2 * 0.25) + np.log(trained_with)
    return softmax(logits, axis=1), labels


def test_adjusted_probabilities_are_those_of_a_classifier_trained_with_the_new_prior():
    old, _ = gaussian_answers(NEW, 50, trained_with=OLD, seed=1)
    new, _ = gaussian_answers(NEW, 50, trained_with=NEW, seed=1)
    np.testing.assert_allclose(np.exp(adjust(np.log(old), OLD, NEW)), new, rtol=1e-10)


def test_class_that_is_ruled_out_gets_probability_zero():
    adjusted = np.exp(adjust(np.log(np.full(3, 1 / 3)), OLD, np.array([0.0, 0.5, 0.5])))
    assert adjusted[0] == 0
    assert adjusted.sum() == pytest.approx(1)


def test_prior_of_a_stream_is_found_from_answers_without_labels():
    probabilities, _ = gaussian_answers(NEW, 4000, trained_with=OLD, seed=2)
    np.testing.assert_allclose(estimate_prior(probabilities, OLD), NEW, atol=0.02)


def test_answers_under_the_estimated_prior_are_right_more_often():
    probabilities, labels = gaussian_answers(NEW, 2000, trained_with=OLD, seed=3)
    found = estimate_prior(probabilities, OLD)
    adjusted = adjust(np.log(probabilities), OLD, found)
    before = (probabilities.argmax(axis=1) == labels).mean()
    assert (adjusted.argmax(axis=1) == labels).mean() > before + 0.03


def test_few_frames_cannot_overturn_a_prior_that_is_believed():
    probabilities, _ = gaussian_answers(NEW, 10, trained_with=OLD, seed=4)
    believed = estimate_prior(probabilities, OLD, n_believed=1000)
    np.testing.assert_allclose(believed, OLD, atol=0.02)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (OLD, NEW[:2], "new_prior must be 3 shares"),
        (2 * OLD, NEW, "old_prior must be 3 shares .* sum 2; divide counts"),
        (np.array([0.0, 0.5, 0.5]), NEW, "old_prior is 0 for 1 of 3; give those"),
    ],
)
def test_priors_that_are_none_are_refused(old, new, message):
    with pytest.raises(ModelsError, match=message):
        adjust(np.zeros(3), old, new)


def test_em_refuses_a_class_that_training_never_saw():
    with pytest.raises(ModelsError, match="above 0 for every class; give each a small share"):
        estimate_prior(np.full((2, 2), 0.5), np.array([0.0, 1.0]))
