import numpy as np
import pytest

from phasepilot.models.diffraction.stick_store import StickStore
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.training.mixture_patterns import MixtureSource


@pytest.fixture
def source(store: StickStore) -> MixtureSource:
    every = np.arange(store.n_structures)
    return MixtureSource(store, every, "laboratory", Preprocessing())


def test_half_of_the_patterns_are_mixtures(source: MixtureSource) -> None:
    drawn = source.draw(70, np.random.default_rng(0))
    assert drawn.inputs.shape == (140, 2, source.preprocessing.grid.n_bins)
    np.testing.assert_array_equal(drawn.is_mixture, np.arange(140) >= 70)
    assert drawn.inputs[:, 0].max() == 1


def test_shares_are_of_the_weaker_phase(source: MixtureSource) -> None:
    drawn = source.draw(70, np.random.default_rng(0))
    single, mixed = drawn.weaker_share[~drawn.is_mixture], drawn.weaker_share[drawn.is_mixture]
    # Two samples of three hold one phase alone.
    assert 0.45 < (single == 0).mean() < 0.85
    assert drawn.weaker_share.max() <= 0.5
    assert np.median(mixed) > 0.05 > np.median(single)


def test_the_same_seed_draws_the_same(source: MixtureSource) -> None:
    one, other = (source.draw(3, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(one.inputs, other.inputs)
    np.testing.assert_array_equal(one.weaker_share, other.weaker_share)
