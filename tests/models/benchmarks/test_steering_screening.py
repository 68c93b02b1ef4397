"""The simulated library of the screening benchmark, and what is counted of a screening."""

import numpy as np
import pytest

from phasepilot.models.benchmarks.screened_library import NOTHING, ScreenedLibrary, Templates
from phasepilot.models.benchmarks.screening_loops import Screening, raster, steered
from phasepilot.models.steering.sample_belief import SampleSite
from phasepilot.models.steering.sample_order import SampleOrderSettings, ScreeningCost


@pytest.fixture
def library() -> ScreenedLibrary:
    """Twelve samples, six of each of two phases, in two cells over a flat background."""
    rates = np.array([[9.0, 1.0], [1.0, 9.0], [1.0, 1.0]])
    templates = Templates(
        ("a", "b", NOTHING), np.arange(3), np.log(rates), rates.sum(axis=1), np.zeros(3)
    )
    sites = tuple(SampleSite(f"s{k}", (5.0 * k, 0.0)) for k in range(12))
    rows = [0] * 6 + [1] * 6
    return ScreenedLibrary(sites, ("a",) * 6 + ("b",) * 6, np.eye(2)[rows], rates[rows], templates)


def test_probabilities_are_those_of_poisson_counts(library: ScreenedLibrary) -> None:
    found = library.templates.probabilities(np.array([2.0, 0.0]), 0.5)
    expected = np.exp([-5.0, -5.0, -1.0]) * np.array([4.5, 0.5, 0.5]) ** 2
    np.testing.assert_allclose(found, expected / expected.sum())


def test_a_raster_takes_its_moves_exposures_and_readouts(library: ScreenedLibrary) -> None:
    cost = ScreeningCost(speed_mm_per_s=5.0, settle_s=0.5, readout_s=0.25)
    found = raster(library, 4.0, cost, np.random.default_rng(0))
    assert found.elapsed_s == pytest.approx(12 * (0.5 + 4.0 + 0.25) + 11 * 1.0)
    assert found.error() == 0.0


def test_a_steered_screening_is_shorter_and_counts_all_of_its_time(
    library: ScreenedLibrary,
) -> None:
    settings = SampleOrderSettings(order="raster", first_dwell_s=0.5, labels=("a", "b", NOTHING))
    found = steered(library, settings, np.random.default_rng(0))
    moves_s = 12 * 0.5 + 11 * 1.0
    assert found.measured() == 1.0
    assert found.error() <= 1 / 12
    assert found.elapsed_s >= moves_s + found.exposure_s.sum()
    assert found.elapsed_s < raster(library, 4.0, settings.cost, np.random.default_rng(0)).elapsed_s


def test_only_right_names_count_in_an_hour() -> None:
    found = Screening(np.array([1.0, 0.0]), np.array([0.1, 0.3]), 1800.0, np.array([5.0, 0.0]))
    assert (found.right_per_hour(), found.error(), found.measured()) == (2.0, 0.5, 0.5)
    assert found.stated() == pytest.approx(0.2)
