import numpy as np
import pytest
from scipy import stats

from phasepilot.models.steering.counting import count_log_likelihood, error_bound, separation

COUNTS = np.arange(400.0)


@pytest.mark.parametrize("mean", [0.03, 1.0, 70.0])
def test_counts_without_model_error_are_poisson(mean) -> None:
    found = count_log_likelihood(COUNTS, np.array(mean), np.array(0.0))
    np.testing.assert_allclose(found, stats.poisson.logpmf(COUNTS, mean), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("mean", [0.5, 20.0])
def test_counts_with_model_error_have_its_variance_added(mean) -> None:
    model_variance = (0.3 * mean) ** 2
    probability = np.exp(count_log_likelihood(COUNTS, np.array(mean), np.array(model_variance)))
    expected = (probability * COUNTS).sum()
    assert probability.sum() == pytest.approx(1)
    assert expected == pytest.approx(mean)
    variance = (probability * (COUNTS - expected) ** 2).sum()
    assert variance == pytest.approx(mean + model_variance)


def test_the_likelihood_goes_over_smoothly_from_negative_binomial_to_poisson() -> None:
    mean = np.array(50.0)
    almost = count_log_likelihood(COUNTS, mean, np.array(2500 / 0.99e7))
    np.testing.assert_allclose(almost, stats.poisson.logpmf(COUNTS, 50.0), atol=1e-2)


@pytest.mark.parametrize(("first", "second"), [(4.0, 9.0), (0.0, 3.0), (30.0, 33.0)])
def test_the_coefficient_of_poisson_counts_is_the_sum_over_all_counts(first, second) -> None:
    product = stats.poisson.pmf(COUNTS, first) * stats.poisson.pmf(COUNTS, second)
    found = np.exp(-separation(np.array(first), np.array(second), np.array(0.0)))
    assert found == pytest.approx(np.sqrt(product).sum())


def test_model_error_makes_separation_saturate() -> None:
    times = np.array([1.0, 1e2, 1e4, 1e6])
    apart = separation(3 * times, 5 * times, (0.3 * 4 * times) ** 2)
    assert (np.diff(apart) > 0).all()
    assert apart[3] == pytest.approx(apart[2], rel=1e-2)
    # (sqrt 3 - sqrt 5)^2 / 2 over sigma^2 times the mean.
    assert apart[3] == pytest.approx((np.sqrt(3) - np.sqrt(5)) ** 2 / 2 / (0.3**2 * 4), rel=1e-3)


def test_the_bound_is_never_below_the_probability_of_error() -> None:
    rng = np.random.default_rng(0)
    for probabilities in rng.dirichlet(np.full(6, 0.3), size=200):
        assert error_bound(probabilities) >= 1 - probabilities.max() - 1e-12
