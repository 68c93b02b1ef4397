import numpy as np
import pytest
from scipy.stats import entropy

from phasepilot.models.uncertainty.entropy import entropy_bits, split_entropy


def test_entropy_is_that_of_scipy_in_bits():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(230), size=5)
    np.testing.assert_allclose(entropy_bits(probabilities), entropy(probabilities, base=2, axis=1))


def test_certain_answer_has_no_entropy():
    assert entropy_bits(np.array([0.0, 1.0, 0.0])) == 0


def test_networks_that_agree_leave_everything_to_the_pattern():
    answer = np.array([0.7, 0.2, 0.1])
    split = split_entropy(answer, np.tile(answer, (8, 1)))
    assert split.epistemic == pytest.approx(0, abs=1e-12)
    assert split.aleatoric == pytest.approx(split.total)


def test_parts_are_not_negative_and_sum_to_the_entropy():
    rng = np.random.default_rng(1)
    for concentration in (0.01, 0.1, 1, 100):
        drawn = rng.dirichlet(np.full(230, concentration), size=32)
        split = split_entropy(drawn.mean(axis=0), drawn)
        assert min(split.aleatoric, split.epistemic) >= 0
        assert split.aleatoric + split.epistemic == pytest.approx(split.total)
        assert split.total == pytest.approx(entropy(drawn.mean(axis=0), base=2))
        assert split.aleatoric == pytest.approx(entropy(drawn, base=2, axis=1).mean())


def test_answer_surer_than_the_networks_keeps_its_own_entropy():
    split = split_entropy(np.array([0.99, 0.01]), np.eye(2))
    assert split.epistemic == split.total == pytest.approx(0.0808, abs=1e-4)
    assert split.aleatoric == 0
