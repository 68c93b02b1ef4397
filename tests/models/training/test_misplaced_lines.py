import numpy as np
import pytest

from phasepilot.models.diffraction.stick_store import StickStore
from phasepilot.models.preprocessing.configuration import Preprocessing
from phasepilot.models.training.misplaced_lines import placed_patterns
from phasepilot.models.training.mixture_patterns import MixtureSource


@pytest.fixture
def source(store: StickStore) -> MixtureSource:
    every = np.arange(store.n_structures)
    return MixtureSource(store, every, "careful-laboratory", Preprocessing())


def centre(root: np.ndarray) -> np.ndarray:
    """Where the intensity lies on average, in bins."""
    intensity = root**2
    return (intensity * np.arange(root.shape[1])).sum(axis=1) / intensity.sum(axis=1)


def test_misplaced_lines_lie_elsewhere_in_ranges_that_usual_ones_have_as_well(
    source: MixtureSource,
) -> None:
    drawn = placed_patterns(source, 200, np.random.default_rng(0))
    usual, moved = drawn.inputs[~drawn.is_misplaced], drawn.inputs[drawn.is_misplaced]
    assert 60 < usual.shape[0] <= 100
    assert 60 < moved.shape[0] <= 100
    # Tubes are apart by a tenth to a factor of three: 140 to 1500 bins.
    assert centre(moved[:, 0]).std() > 1.3 * centre(usual[:, 0]).std()
    seen = [part[:, 1].sum(axis=1).mean() for part in (usual, moved)]
    assert seen[0] == pytest.approx(seen[1], rel=0.25)


def test_patterns_are_normalised_and_empty_where_unmeasured(source: MixtureSource) -> None:
    drawn = placed_patterns(source, 100, np.random.default_rng(1))
    np.testing.assert_allclose(drawn.inputs[:, 0].max(axis=1), 1)
    assert (drawn.inputs[:, 0][drawn.inputs[:, 1] == 0] == 0).all()
